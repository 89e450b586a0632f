// Sums of 8-bit pixels, four a word. Every number is exact: a side is at most 65,536, so a sum of values fits 32 bits,
// and so does a row's sum of squares (65,536 · 255² < 2³²).

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
// Σp and Σp² of every row, then Σp of every column; each [(image·C + channel)·side + place].
@group(0) @binding(2) var<storage, read_write> results: array<u32>;

const ALL: u32 = 0xffffffffu;

fn value(at: u32) -> u32 {
    return (pixels[at >> 2u] >> (8u * (at & 3u))) & 0xffu;
}

// Σp and Σp² of `count` (at least 1) adjacent values: whole words, those at the ends masked to the values asked for.
fn packed_sums(start: u32, count: u32) -> vec2<u32> {
    let end = start + count - 1u;
    let first = start >> 2u;
    let last = end >> 2u;
    let head = ALL << (8u * (start & 3u));
    let tail = ALL >> (8u * (3u - (end & 3u)));
    var sums = vec2<u32>();
    for (var at = first; at <= last; at++) {
        let word = pixels[at] & select(ALL, head, at == first) & select(ALL, tail, at == last);
        sums += vec2<u32>(dot4U8Packed(word, 0x01010101u), dot4U8Packed(word, word));
    }
    return sums;
}

fn plus(sums: vec2<u32>, p: u32) -> vec2<u32> {
    return sums + vec2<u32>(p, p * p);
}

// Σp and Σp² of `count` values, `stride` apart.
// Four terms a turn, since Mesa's llvmpipe leaves a shader's loops after 65,535 turns in all.
fn strided_sums(start: u32, count: u32, stride: u32) -> vec2<u32> {
    var sums = vec2<u32>();
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
    var sums: vec2<u32>;
    if params.channels == 1u {
        sums = packed_sums(start, params.width);
    } else {
        sums = strided_sums(start, params.width, params.channels);
    }
    let image = row / params.height;
    let place = (image * params.channels + channel) * params.height + row % params.height;
    results[2u * place] = sums.x;
    results[2u * place + 1u] = sums.y;
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
