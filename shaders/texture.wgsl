// The family `texture`: for each channel the counts of 16 equal parts of the range, then those of 10 kinds of local binary
// patterns. One task takes one value. The part in a record is [channel][part or kind].

fn texture_words_in_channel() -> u32 {
    return 26u;
}

fn texture_tasks(block: Block) -> u32 {
    return block.images * block.rows * block.values;
}

fn texture_task(block: Block, task: u32, at: u32) {
    let row = task / block.values;
    let value = task - row * block.values;
    let centre = value_at(row_at(block.lead, row) + value * VALUE_BYTES);
    // Round the ring, from the east over the south: one more than dy and dx of each neighbour, two bits each.
    var bits = 0u;
    for (var i = 0u; i < 8u; i++) {
        let dy = i32((0x01a9u >> (2u * i)) & 3u) - 1;
        let dx = i32((0x901au >> (2u * i)) & 3u) - 1;
        bits |= select(0u, 1u, value_near(block, row, value, dy, dx) >= centre) << i;
    }
    let turned = ((bits << 1u) | (bits >> 7u)) & 0xffu;
    var kind = countOneBits(bits);
    if countOneBits(bits ^ turned) > 2u {
        kind = 9u;
    }
    let record = (row / block.rows) * record_words() + at + (value % channels()) * texture_words_in_channel();
    // The mask changes nothing: the shift must be one that WGSL knows for every size of a value.
    add_record_word(record + (centre >> ((8u * VALUE_BYTES - 4u) & 31u)), 1u);
    add_record_word(record + 16u + kind, 1u);
}

fn texture_merged_words() -> u32 {
    return channels() * texture_words_in_channel();
}

fn texture_merge_tasks() -> u32 {
    return texture_merged_words();
}

// A count a task: the sum over the tiles of the image.
fn texture_merge(image: u32, task: u32, part: u32, to: u32) {
    results[to + task] = sum_of_tiles(image, part + task);
}
