// Features of the profiles of 8 and 16-bit pixels that stay on the device, in f32. Sums are exact integers of up to 96
// bits until they are divided; what follows rounds as WGSL lets it.

const PROFILES_TWO_32: f32 = 4294967296.0;
// Keeps the centroid of an all-zero image at 0.
const PROFILES_EPSILON: f32 = 1e-6;

// Σp, Σy·p and Σx·p of what each invocation has seen, low and high words.
var<workgroup> profiles_totals: array<vec2<u32>, GROUP>;
var<workgroup> profiles_by_y: array<vec2<u32>, GROUP>;
var<workgroup> profiles_by_x: array<vec2<u32>, GROUP>;

fn profiles_times_word(a: vec2<u32>, b: u32) -> vec3<u32> {
    let low = wide_times(a.x, b);
    let high = wide_plus(wide_times(a.y, b), vec2<u32>(low.y, 0u));
    return vec3<u32>(low.x, high.x, high.y);
}

// A square below 2⁹⁶.
fn profiles_squared(a: vec2<u32>) -> vec3<u32> {
    let low = profiles_times_word(a, a.x);
    let high = profiles_times_word(a, a.y);
    let upper = wide_plus(vec2<u32>(low.y, low.z), vec2<u32>(high.x, high.y));
    return vec3<u32>(low.x, upper.x, upper.y);
}

// a − b, where a ≥ b.
fn profiles_minus(a: vec3<u32>, b: vec3<u32>) -> vec3<u32> {
    let first = select(0u, 1u, a.x < b.x);
    let second = select(0u, 1u, a.y < b.y || (a.y == b.y && first == 1u));
    return vec3<u32>(a.x - b.x, a.y - b.y - first, a.z - b.z - second);
}

fn profiles_float(a: vec2<u32>) -> f32 {
    return f32(a.y) * PROFILES_TWO_32 + f32(a.x);
}

// √(n·Σp² − (Σp)²) ÷ n.
fn profiles_deviation(n: u32, total: vec2<u32>, sum_sq: vec2<u32>) -> f32 {
    let spread = profiles_minus(profiles_times_word(sum_sq, n), profiles_squared(total));
    return sqrt((f32(spread.z) * PROFILES_TWO_32 + f32(spread.y)) * PROFILES_TWO_32 + f32(spread.x)) / f32(n);
}

fn profiles_sum_at(record: u32, at: u32) -> u32 {
    if profiles_merged_a_word() == 2u {
        return (records[record + (at >> 1u)] >> (16u * (at & 1u))) & 0xffffu;
    }
    return records[record + at];
}

// Σp² of a channel: the sum of its bands, in one word or two.
fn profiles_sum_sq_at(record: u32, channel: u32) -> vec2<u32> {
    let parts = select(1u, bands(), tiled() == 1u);
    let words = select(VALUE_BYTES, 2u, tiled() == 1u);
    var sum_sq = vec2<u32>();
    for (var part = 0u; part < parts; part++) {
        let at = record + profiles_merged_sum_words() + (channel * parts + part) * words;
        if words == 2u {
            sum_sq = wide_plus(sum_sq, vec2<u32>(records[at], records[at + 1u]));
        } else {
            sum_sq = wide_plus(sum_sq, vec2<u32>(records[at], 0u));
        }
    }
    return sum_sq;
}

// The features of an image, then its mean and its deviation in raw units; one image a workgroup.
fn profiles_finish(me: u32, record: u32, to_image: u32) {
    let height = params.height;
    let values = height + width() + 4u;
    let n = height * width();
    var all_total = vec2<u32>();
    var all_sum_sq = vec2<u32>();
    for (var channel = 0u; channel < channels(); channel++) {
        let to = to_image + channel * values;
        var total = vec2<u32>();
        var weighted = vec2<u32>();
        for (var y = me; y < height; y += GROUP) {
            let sum = profiles_sum_at(record, channel * height + y);
            total = wide_plus(total, vec2<u32>(sum, 0u));
            weighted = wide_plus(weighted, wide_times(sum, y));
            features[to + y] = f32(sum) / params.scale;
        }
        profiles_totals[me] = total;
        profiles_by_y[me] = weighted;
        weighted = vec2<u32>();
        for (var x = me; x < width(); x += GROUP) {
            let sum = profiles_sum_at(record, channels() * height + channel * width() + x);
            weighted = wide_plus(weighted, wide_times(sum, x));
            features[to + height + x] = f32(sum) / params.scale;
        }
        profiles_by_x[me] = weighted;
        workgroupBarrier();
        if me == 0u {
            total = vec2<u32>();
            var y = vec2<u32>();
            var x = vec2<u32>();
            for (var i = 0u; i < GROUP; i++) {
                total = wide_plus(total, profiles_totals[i]);
                y = wide_plus(y, profiles_by_y[i]);
                x = wide_plus(x, profiles_by_x[i]);
            }
            let sum_sq = profiles_sum_sq_at(record, channel);
            let mass = profiles_float(total) + PROFILES_EPSILON;
            features[to + height + width()] = profiles_float(y) / mass / f32(height);
            features[to + height + width() + 1u] = profiles_float(x) / mass / f32(width());
            features[to + height + width() + 2u] = profiles_float(total) / f32(n) / params.scale;
            features[to + height + width() + 3u] = profiles_deviation(n, total, sum_sq) / params.scale;
            all_total = wide_plus(all_total, total);
            all_sum_sq = wide_plus(all_sum_sq, sum_sq);
        }
        workgroupBarrier();
    }
    if me == 0u {
        let to = to_image + channels() * values;
        features[to] = profiles_float(all_total) / f32(n * channels());
        features[to + 1u] = profiles_deviation(n * channels(), all_total, all_sum_sq);
    }
}
