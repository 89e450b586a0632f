// Sums of 16-bit pixels, two a word. Every number is exact: a side is at most 65,536, so a sum of values fits 32 bits;
// a sum of squares takes 48 and is carried by hand.

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
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
// Σp and the low and high words of Σp² of every row, then Σp of every column; each [(image·C + channel)·side + place].
@group(0) @binding(2) var<storage, read_write> results: array<u32>;

fn value(at: u32) -> u32 {
    return (pixels[at >> 1u] >> (16u * (at & 1u))) & 0xffffu;
}

fn plus(sums: vec3<u32>, p: u32) -> vec3<u32> {
    let square = p * p;
    let low = sums.y + square;
    return vec3<u32>(sums.x + p, low, sums.z + select(0u, 1u, low < square));
}

// Σp and the low and high words of Σp² of `count` values, `stride` apart.
// Four terms a turn, since Mesa's llvmpipe leaves a shader's loops after 65,535 turns in all.
fn strided_sums(start: u32, count: u32, stride: u32) -> vec3<u32> {
    var sums = vec3<u32>();
    var at = start;
    for (var i = 0u; i < count / 4u; i++) {
        sums = plus(sums, value(at));
        sums = plus(sums, value(at + stride));
        sums = plus(sums, value(at + 2u * stride));
        sums = plus(sums, value(at + 3u * stride));
        at += 4u * stride;
    }
    for (var i = 0u; i < count % 4u; i++) {
        sums = plus(sums, value(at));
        at += stride;
    }
    return sums;
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
    let sums = strided_sums(start, params.width, params.channels);
    let image = row / params.height;
    let place = (image * params.channels + channel) * params.height + row % params.height;
    results[3u * place] = sums.x;
    results[3u * place + 1u] = sums.y;
    results[3u * place + 2u] = sums.z;
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
    let sum = strided_sums(image * params.height * stride + flat, params.height, stride).x;
    let channel = flat % params.channels;
    results[params.cols_at + (image * params.channels + channel) * params.width + flat / params.channels] = sum;
}
