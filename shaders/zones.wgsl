// The family `zones`: the sum of each cell of a grid of `zones_rows()` by `zones_columns()` cells. One task adds up what a
// row of the block has of a cell, for a channel. The part in a record is the sums, [channel][row][column]: a word each for a
// block, which has fewer than 2¹⁶ values; two, low and high, in a record that is made of tiles.

// The first column of cells that the block has pixels of, and how many from there to the last.
fn zones_across(block: Block) -> vec2<u32> {
    let first = zones_columns() * block.x / width();
    let last = zones_columns() * (block.x + block.values / channels() - 1u) / width();
    return vec2<u32>(first, last - first + 1u);
}

fn zones_tasks(block: Block) -> u32 {
    return block.images * block.rows * zones_across(block).y * channels();
}

fn zones_task(block: Block, task: u32, at: u32) {
    let across = zones_across(block);
    let channel = task % channels();
    let column = across.x + task / channels() % across.y;
    let row = task / channels() / across.y;
    let y = block.y + row % block.rows;
    let cell = (channel * zones_rows() + zones_rows() * y / params.image_height) * zones_columns() + column;
    let begin = max(part_start(width(), zones_columns(), column), block.x) - block.x;
    let end = min(part_start(width(), zones_columns(), column + 1u) - block.x, block.values / channels());
    let start = row_at(block.lead, row);
    var sum = 0u;
    for (var x = begin; x < end; x++) {
        sum += value_at(start + (x * channels() + channel) * VALUE_BYTES);
    }
    add_record_word((row / block.rows) * record_words() + at + cell, sum);
}

fn zones_cells() -> u32 {
    return channels() * zones_rows() * zones_columns();
}

fn zones_merged_words() -> u32 {
    return 2u * zones_cells();
}

fn zones_merge_tasks() -> u32 {
    return zones_cells();
}

// A cell a task: the sum over the tiles that have pixels of it.
fn zones_merge(image: u32, task: u32, part: u32, to: u32) {
    let column = task % zones_columns();
    let row = task / zones_columns() % zones_rows();
    let top = part_start(params.image_height, zones_rows(), row);
    let bottom = part_start(params.image_height, zones_rows(), row + 1u);
    let left = part_start(width(), zones_columns(), column);
    let right = part_start(width(), zones_columns(), column + 1u);
    let sum = sum_of_window(image, part + task, vec2<u32>(top, bottom), vec2<u32>(left, right));
    results[to + 2u * task] = sum.x;
    results[to + 2u * task + 1u] = sum.y;
}
