// The family `moments`: Σ C(y, j)·C(x, k)·p for j + k ≤ 3, counted from the first row and column of the image or tile. One
// task takes a row of one channel. The part in a record is the ten sums of each channel, low and high words, in the order of
// `ORDERS` in `binomials.rs`. Every sum fits 64 bits: with fewer than 2¹³ values of 16 bits, it is below 2¹⁶ · C(2¹³, 4).

fn moments_tasks(block: Block) -> u32 {
    return block.images * block.rows * channels();
}

fn moments_add(at: u32, sum: vec2<u32>) {
    let before = add_record_word(at, sum.x);
    add_record_word(at + 1u, sum.y + select(0u, 1u, before + sum.x < before));
}

// The lower 64 bits of a product.
fn moments_times(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = wide_times(a.x, b.x);
    return vec2<u32>(low.x, low.y + a.x * b.y + a.y * b.x);
}

fn moments_task(block: Block, task: u32, at: u32) {
    let channel = task % channels();
    let row = task / channels();
    let start = row_at(block.lead, row) + channel * VALUE_BYTES;
    // From right to left each sum is added to the next, so that the k-th becomes Σ C(x, k)·p.
    var sum = 0u;
    var once = vec2<u32>();
    var twice = vec2<u32>();
    var thrice = vec2<u32>();
    for (var x = block.values / channels(); x > 0u; x--) {
        thrice = wide_plus(thrice, twice);
        twice = wide_plus(twice, once);
        once = wide_plus(once, vec2<u32>(sum, 0u));
        sum += value_at(start + (x - 1u) * channels() * VALUE_BYTES);
    }
    // C(y, 2) and C(y, 3), in which one factor is a multiple of 3. Rows of a block are fewer than 2¹⁵.
    let y = vec2<u32>(row % block.rows, 0u);
    let two = y.x * (y.x - 1u) / 2u;
    let y2 = vec2<u32>(two, 0u);
    var y3 = wide_times(two, (y.x - 2u) / 3u);
    if two % 3u == 0u {
        y3 = wide_times(two / 3u, y.x - 2u);
    }
    let total = vec2<u32>(sum, 0u);
    let to = (row / block.rows) * record_words() + at + 20u * channel;
    moments_add(to, total);
    moments_add(to + 2u, once);
    moments_add(to + 4u, twice);
    moments_add(to + 6u, thrice);
    moments_add(to + 8u, moments_times(total, y));
    moments_add(to + 10u, moments_times(once, y));
    moments_add(to + 12u, moments_times(twice, y));
    moments_add(to + 14u, moments_times(total, y2));
    moments_add(to + 16u, moments_times(once, y2));
    moments_add(to + 18u, moments_times(total, y3));
}

fn moments_merged_words() -> u32 {
    return bands() * across() * 20u * channels();
}

fn moments_merge_tasks() -> u32 {
    return moments_merged_words();
}

// A word a task: the host adds up the sums of the tiles, which begin at different places.
fn moments_merge(image: u32, task: u32, part: u32, to: u32) {
    let words = 20u * channels();
    let tile = task / words;
    results[to + task] = records[record_of(image, tile / across(), tile % across()) + part + task % words];
}
