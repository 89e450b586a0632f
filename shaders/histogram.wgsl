// The family `histogram`: how many values of a channel fall into each of `histogram_bins()` equal parts of their range. One
// task counts the values of a word. The part in a record is the counts, [channel · bins + bin].

// Words of a row.
fn histogram_words_in_row(block: Block) -> u32 {
    return (block.values * VALUE_BYTES + 3u) / 4u;
}

fn histogram_tasks(block: Block) -> u32 {
    return block.images * block.rows * histogram_words_in_row(block);
}

// The part of the range that a value falls into; `bits` are those of the value.
fn histogram_bin(bits: u32) -> u32 {
    if VALUE_BYTES == 4u {
        let bin = floor(bitcast<f32>(bits) * f32(histogram_bins()) / params.scale);
        return u32(clamp(bin, 0.0, f32(histogram_bins() - 1u)));
    }
    // The mask changes nothing: words of 32 bits have left above, but their shift must be one that WGSL knows.
    return (bits * histogram_bins()) >> ((8u * VALUE_BYTES) & 31u);
}

fn histogram_task(block: Block, task: u32, at: u32) {
    let words = histogram_words_in_row(block);
    let row = task / words;
    let word = task - row * words;
    let record = (row / block.rows) * record_words() + at;
    let four = word_at(row_at(block.lead, row) + 4u * word);
    let values = 4u / VALUE_BYTES;
    for (var i = 0u; i < values && values * word + i < block.values; i++) {
        var bits = four;
        if VALUE_BYTES < 4u {
            bits = extractBits(four, 8u * VALUE_BYTES * i, 8u * VALUE_BYTES);
        }
        let channel = (values * word + i) % channels();
        add_record_word(record + channel * histogram_bins() + histogram_bin(bits), 1u);
    }
}

fn histogram_merged_words() -> u32 {
    return channels() * histogram_bins();
}

fn histogram_merge_tasks() -> u32 {
    return histogram_merged_words();
}

// A count a task: the sum over the tiles of the image.
fn histogram_merge(image: u32, task: u32, part: u32, to: u32) {
    results[to + task] = sum_of_tiles(image, part + task);
}
