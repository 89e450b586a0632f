// Profiles of float pixels. WGSL leaves the rounding of f32 open in part, so nothing here relies on it: a row is summed
// about a value near its mean, which the host adds back in f64, and long sums are made of short ones. The part in a record is m,
// Σ(p − m) and Σ(p − m)² of every row, then Σp of every column, each [channel · side + place].

// How many terms are added before their sum is: an error grows with this and with the number of such sums, not with
// their product.
const PROFILES_RUN: u32 = 64u;

fn profiles_plus_float(sums: vec2<f32>, d: f32) -> vec2<f32> {
    return sums + vec2<f32>(d, d * d);
}

fn profiles_value_at(byte: u32) -> f32 {
    return bitcast<f32>(word_at(byte));
}

// Σ(p − middle) and Σ(p − middle)² of `count` pixels of a channel.
fn profiles_row_about(middle: f32, at: u32, count: u32) -> vec2<f32> {
    var sums = vec2<f32>();
    var i = 0u;
    while i < count {
        let stop = min(i + PROFILES_RUN, count);
        var run = vec2<f32>();
        for (; i < stop; i++) {
            run = profiles_plus_float(run, profiles_value_at(at + 4u * channels() * i) - middle);
        }
        sums += run;
    }
    return sums;
}

fn profiles_put(at: u32, value: f32) {
    set_record_word(at, bitcast<u32>(value));
}

fn profiles_row(at: u32, values: u32, channel: u32, y: u32, record: u32) {
    let count = values / channels();
    let start = at + 4u * channel;
    let middle = profiles_row_about(0.0, start, count).x / f32(count);
    let sums = profiles_row_about(middle, start, count);
    let to = record + 3u * (channel * block_rows() + y);
    profiles_put(to, middle);
    profiles_put(to + 1u, sums.x);
    profiles_put(to + 2u, sums.y);
}

fn profiles_column(lead: u32, first: u32, rows: u32, word: u32, values: u32, record: u32) {
    var sum = 0.0;
    var row = first;
    while row < first + rows {
        let stop = min(row + PROFILES_RUN, first + rows);
        var run = 0.0;
        for (; row < stop; row++) {
            run += profiles_value_at(row_at(lead, row) + 4u * word);
        }
        sum += run;
    }
    let place = (word % channels()) * block_pixels() + word / channels();
    profiles_put(record + 3u * channels() * block_rows() + place, sum);
}

fn profiles_float_in(at: u32) -> f32 {
    return bitcast<f32>(records[at]);
}

// Pixels in a row of the block that is number `x` from the left.
fn profiles_part_pixels(x: u32) -> f32 {
    return f32(min(block_pixels(), width() - x * block_pixels()));
}

// The sums of a row about the mean of its parts' middles, each as heavy as it is long.
fn profiles_merge_row(image: u32, channel: u32, y: u32, at: u32, to: u32) {
    let place = at + 3u * (channel * block_rows() + y % block_rows());
    let band = y / block_rows();
    var middle = 0.0;
    var x = 0u;
    while x < across() {
        let stop = min(x + PROFILES_RUN, across());
        var run = 0.0;
        for (; x < stop; x++) {
            run += profiles_part_pixels(x) * profiles_float_in(record_of(image, band, x) + place);
        }
        middle += run;
    }
    middle /= f32(width());
    var sums = vec2<f32>();
    x = 0u;
    while x < across() {
        let stop = min(x + PROFILES_RUN, across());
        var run = vec2<f32>();
        for (; x < stop; x++) {
            let part = record_of(image, band, x) + place;
            let n = profiles_part_pixels(x);
            let apart = profiles_float_in(part) - middle;
            let rest = profiles_float_in(part + 1u);
            run += vec2<f32>(rest + n * apart, profiles_float_in(part + 2u) + (2.0 * rest + n * apart) * apart);
        }
        sums += run;
    }
    results[to] = bitcast<u32>(middle);
    results[to + 1u] = bitcast<u32>(sums.x);
    results[to + 2u] = bitcast<u32>(sums.y);
}

fn profiles_merge_column(image: u32, channel: u32, x: u32, at: u32, to: u32) {
    let place = at + 3u * channels() * block_rows() + channel * block_pixels() + x % block_pixels();
    var sum = 0.0;
    var band = 0u;
    while band < bands() {
        let stop = min(band + PROFILES_RUN, bands());
        var run = 0.0;
        for (; band < stop; band++) {
            run += profiles_float_in(record_of(image, band, x / block_pixels()) + place);
        }
        sum += run;
    }
    results[to] = bitcast<u32>(sum);
}

fn profiles_merged_words() -> u32 {
    return channels() * (3u * params.height + width());
}

fn profiles_merge_tasks() -> u32 {
    return channels() * (params.height + width());
}

// A row or a column a task.
fn profiles_merge(image: u32, task: u32, at: u32, to: u32) {
    let rows = channels() * params.height;
    if task < rows {
        profiles_merge_row(image, task / params.height, task % params.height, at, to + 3u * task);
    } else {
        let column = task - rows;
        profiles_merge_column(image, column / width(), column % width(), at, to + 3u * rows + column);
    }
}
