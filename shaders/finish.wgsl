// Features of 8 and 16-bit pixels that stay on the device: from the records of images, in f32. Sums are exact integers of
// up to 96 bits until they are divided; what follows rounds as WGSL lets it.

// Twin of `gpu::layout::Params`. `first` counts images in the features.
struct Params {
    first: u32,
    images: u32,
    height: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> records: array<u32>;
// The features of an image, then its mean and its deviation in raw units.
@group(0) @binding(2) var<storage, read_write> features: array<f32>;

override WIDTH: u32;
override CHANNELS: u32;
// The record: sums a word, words of all sums, parts of Σp² and words of each.
override A_WORD: u32;
override SUM_WORDS: u32;
override BANDS: u32;
override SECOND_WORDS: u32;
override SCALE: f32;

const GROUP: u32 = 128u;
const TWO_32: f32 = 4294967296.0;
// Keeps the centroid of an all-zero image at 0.
const EPSILON: f32 = 1e-6;

// Σp, Σy·p and Σx·p of what each invocation has seen, low and high words.
var<workgroup> totals: array<vec2<u32>, GROUP>;
var<workgroup> by_y: array<vec2<u32>, GROUP>;
var<workgroup> by_x: array<vec2<u32>, GROUP>;

fn plus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn times(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let first = (a & 0xffffu) * (b >> 16u) + (low >> 16u);
    let second = (a >> 16u) * (b & 0xffffu) + (first & 0xffffu);
    return vec2<u32>((second << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u));
}

fn times_word(a: vec2<u32>, b: u32) -> vec3<u32> {
    let low = times(a.x, b);
    let high = plus(times(a.y, b), vec2<u32>(low.y, 0u));
    return vec3<u32>(low.x, high.x, high.y);
}

// A square below 2⁹⁶.
fn squared(a: vec2<u32>) -> vec3<u32> {
    let low = times_word(a, a.x);
    let high = times_word(a, a.y);
    let upper = plus(vec2<u32>(low.y, low.z), vec2<u32>(high.x, high.y));
    return vec3<u32>(low.x, upper.x, upper.y);
}

// a − b, where a ≥ b.
fn minus(a: vec3<u32>, b: vec3<u32>) -> vec3<u32> {
    let first = select(0u, 1u, a.x < b.x);
    let second = select(0u, 1u, a.y < b.y || (a.y == b.y && first == 1u));
    return vec3<u32>(a.x - b.x, a.y - b.y - first, a.z - b.z - second);
}

fn float(a: vec2<u32>) -> f32 {
    return f32(a.y) * TWO_32 + f32(a.x);
}

// √(n·Σp² − (Σp)²) ÷ n.
fn deviation(n: u32, total: vec2<u32>, squares: vec2<u32>) -> f32 {
    let spread = minus(times_word(squares, n), squared(total));
    return sqrt((f32(spread.z) * TWO_32 + f32(spread.y)) * TWO_32 + f32(spread.x)) / f32(n);
}

fn sum_at(record: u32, at: u32) -> u32 {
    if A_WORD == 2u {
        return (records[record + (at >> 1u)] >> (16u * (at & 1u))) & 0xffffu;
    }
    return records[record + at];
}

// One image a workgroup.
@compute @workgroup_size(128)
fn finish(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let image = group.y * groups.x + group.x;
    if image >= params.images {
        return;
    }
    let height = params.height;
    let record = image * (SUM_WORDS + CHANNELS * BANDS * SECOND_WORDS);
    let values = height + WIDTH + 4u;
    let out = (params.first + image) * (CHANNELS * values + 2u);
    let n = height * WIDTH;
    var all_total = vec2<u32>();
    var all_squares = vec2<u32>();
    for (var channel = 0u; channel < CHANNELS; channel++) {
        let to = out + channel * values;
        var total = vec2<u32>();
        var weighted = vec2<u32>();
        for (var y = me; y < height; y += GROUP) {
            let sum = sum_at(record, channel * height + y);
            total = plus(total, vec2<u32>(sum, 0u));
            weighted = plus(weighted, times(sum, y));
            features[to + y] = f32(sum) / SCALE;
        }
        totals[me] = total;
        by_y[me] = weighted;
        weighted = vec2<u32>();
        for (var x = me; x < WIDTH; x += GROUP) {
            let sum = sum_at(record, CHANNELS * height + channel * WIDTH + x);
            weighted = plus(weighted, times(sum, x));
            features[to + height + x] = f32(sum) / SCALE;
        }
        by_x[me] = weighted;
        workgroupBarrier();
        if me == 0u {
            total = vec2<u32>();
            var y = vec2<u32>();
            var x = vec2<u32>();
            for (var i = 0u; i < GROUP; i++) {
                total = plus(total, totals[i]);
                y = plus(y, by_y[i]);
                x = plus(x, by_x[i]);
            }
            var squares = vec2<u32>();
            for (var band = 0u; band < BANDS; band++) {
                let at = record + SUM_WORDS + (channel * BANDS + band) * SECOND_WORDS;
                if SECOND_WORDS == 2u {
                    squares = plus(squares, vec2<u32>(records[at], records[at + 1u]));
                } else {
                    squares = plus(squares, vec2<u32>(records[at], 0u));
                }
            }
            let mass = float(total) + EPSILON;
            features[to + height + WIDTH] = float(y) / mass / f32(height);
            features[to + height + WIDTH + 1u] = float(x) / mass / f32(WIDTH);
            features[to + height + WIDTH + 2u] = float(total) / f32(n) / SCALE;
            features[to + height + WIDTH + 3u] = deviation(n, total, squares) / SCALE;
            all_total = plus(all_total, total);
            all_squares = plus(all_squares, squares);
        }
        workgroupBarrier();
    }
    if me == 0u {
        let to = out + CHANNELS * values;
        features[to] = float(all_total) / f32(n * CHANNELS);
        features[to + 1u] = deviation(n * CHANNELS, all_total, all_squares);
    }
}
