// Sums of float pixels. WGSL leaves the rounding of f32 open in part, so nothing here relies on it: a row is summed
// about a value near its mean, which the host adds back in f64, and long sums are made of short ones.

// Twin of `gpu::layout::Params`.
struct Params {
    height: u32,
    width: u32,
    channels: u32,
    row_tasks: u32,
    col_tasks: u32,
    cols_at: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<f32>;
// m, Σ(p − m) and Σ(p − m)² of every row, then Σp of every column; each [(image·C + channel)·side + place].
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

// How many times four terms are added before their sum is: an error grows with this and with the number of such sums,
// not with their product.
const BLOCK: u32 = 64u;

fn plus(sums: vec2<f32>, d: f32) -> vec2<f32> {
    return sums + vec2<f32>(d, d * d);
}

// Σ(p − middle) and Σ(p − middle)² of `count` values, `stride` apart.
// Four terms a turn, since Mesa's llvmpipe leaves a shader's loops after 65,535 turns in all.
fn sums_about(middle: f32, start: u32, count: u32, stride: u32) -> vec2<f32> {
    var sums = vec2<f32>();
    var at = start;
    var left = count / 4u;
    while left > 0u {
        let turns = min(left, BLOCK);
        var block = vec2<f32>();
        for (var i = 0u; i < turns; i++) {
            block = plus(block, pixels[at] - middle);
            block = plus(block, pixels[at + stride] - middle);
            block = plus(block, pixels[at + 2u * stride] - middle);
            block = plus(block, pixels[at + 3u * stride] - middle);
            at += 4u * stride;
        }
        sums += block;
        left -= turns;
    }
    var rest = vec2<f32>();
    for (var i = 0u; i < count % 4u; i++) {
        rest = plus(rest, pixels[at] - middle);
        at += stride;
    }
    return sums + rest;
}

@compute @workgroup_size(64)
fn rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let task = id.y * groups.x * 64u + id.x;
    if task >= params.row_tasks {
        return;
    }
    let row = task / params.channels;
    let channel = task % params.channels;
    let start = row * params.width * params.channels + channel;
    let middle = sums_about(0.0, start, params.width, params.channels).x / f32(params.width);
    let sums = sums_about(middle, start, params.width, params.channels);
    let image = row / params.height;
    let place = (image * params.channels + channel) * params.height + row % params.height;
    results[3u * place] = middle;
    results[3u * place + 1u] = sums.x;
    results[3u * place + 2u] = sums.y;
}

@compute @workgroup_size(64)
fn cols(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let task = id.y * groups.x * 64u + id.x;
    if task >= params.col_tasks {
        return;
    }
    let stride = params.width * params.channels;
    let image = task / stride;
    let flat = task % stride;
    let sum = sums_about(0.0, image * params.height * stride + flat, params.height, stride).x;
    let channel = flat % params.channels;
    results[params.cols_at + (image * params.channels + channel) * params.width + flat / params.channels] = sum;
}
