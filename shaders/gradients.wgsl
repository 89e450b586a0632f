// The family `gradients` for integers. One task adds up what some rows of the block have of a cell, for a channel: of whole
// images the rows of the cell, of a tile one row. It counts in up to four windows. The part in a record is the weighed sums,
// [channel][row][column][direction]: a word each for a block, which has fewer than 2¹³ values of 16 bits; two, low and high,
// in a record that is made of tiles.

const GRADIENTS_CELLS: u32 = 10u;
const GRADIENTS_WINDOWS: u32 = 4u;

// Where a cell begins on a side of `side` pixels.
fn gradients_start(side: u32, cell: u32) -> u32 {
    return part_start(side, GRADIENTS_CELLS, cell);
}

fn gradients_weight(cell: u32) -> u32 {
    return select(1u, 3u, cell == 1u || cell == 2u);
}

// The first column of cells that the block has pixels of, and how many from there to the last.
fn gradients_across(block: Block) -> vec2<u32> {
    let first = GRADIENTS_CELLS * block.x / width();
    let last = GRADIENTS_CELLS * (block.x + block.values / channels() - 1u) / width();
    return vec2<u32>(first, last - first + 1u);
}

// How many parts the rows of an image of the block are taken in.
fn gradients_parts(block: Block) -> u32 {
    return select(GRADIENTS_CELLS, block.rows, tiled() == 1u);
}

fn gradients_tasks(block: Block) -> u32 {
    return block.images * gradients_parts(block) * gradients_across(block).y * channels();
}

fn gradients_task(block: Block, task: u32, at: u32) {
    let across = gradients_across(block);
    let channel = task % channels();
    let column = across.x + task / channels() % across.y;
    let part = task / channels() / across.y;
    let image = part / gradients_parts(block);
    var top = part - image * gradients_parts(block);
    var bottom = top + 1u;
    var row = GRADIENTS_CELLS * (block.y + top) / params.image_height;
    if tiled() == 0u {
        row = top;
        top = gradients_start(block.rows, row);
        bottom = gradients_start(block.rows, row + 1u);
    }
    let begin = max(gradients_start(width(), column), block.x) - block.x;
    let end = min(gradients_start(width(), column + 1u) - block.x, block.values / channels());
    // Right, down, left and up; and the diagonals that follow each.
    var straight = vec4<u32>();
    var diagonal = vec4<u32>();
    for (var y = image * block.rows + top; y < image * block.rows + bottom && begin < end; y++) {
        var value = begin * channels() + channel;
        var left = value_near(block, y, value, 0, -1);
        var here = value_near(block, y, value, 0, 0);
        for (var x = begin; x < end; x++) {
            let right = value_near(block, y, value, 0, 1);
            let up = value_near(block, y, value, -1, 0);
            let down = value_near(block, y, value, 1, 0);
            let near = vec4<u32>(left, up, right, down);
            let steps = max(near.zwxy, near) - near;
            let others = (steps + steps.zwxy).yxyx;
            straight += max(steps, others) - others;
            diagonal += min(steps, steps.yzwx);
            left = here;
            here = right;
            value += channels();
        }
    }
    for (var i = 0u; i < 4u; i++) {
        // Beyond the first window a number wraps and is too large.
        let window = vec2<u32>(row / 2u - (i >> 1u), column / 2u - (i & 1u));
        if window.x < GRADIENTS_WINDOWS && window.y < GRADIENTS_WINDOWS {
            let weight = gradients_weight(row - 2u * window.x) * gradients_weight(column - 2u * window.y);
            let of_channel = (channel * GRADIENTS_WINDOWS + window.x) * GRADIENTS_WINDOWS + window.y;
            let to = image * record_words() + at + 8u * of_channel;
            for (var k = 0u; k < 4u; k++) {
                add_record_word(to + 2u * k, weight * straight[k]);
                add_record_word(to + 2u * k + 1u, weight * diagonal[k]);
            }
        }
    }
}

fn gradients_values() -> u32 {
    return channels() * GRADIENTS_WINDOWS * GRADIENTS_WINDOWS * 8u;
}

fn gradients_merged_words() -> u32 {
    return 2u * gradients_values();
}

fn gradients_merge_tasks() -> u32 {
    return gradients_values();
}

// A sum a task: over the tiles that have pixels of the window.
fn gradients_merge(image: u32, task: u32, part: u32, to: u32) {
    let window = vec2<u32>(task / 32u % GRADIENTS_WINDOWS, task / 8u % GRADIENTS_WINDOWS);
    let top = gradients_start(params.image_height, 2u * window.x);
    let bottom = gradients_start(params.image_height, 2u * window.x + 4u);
    let left = gradients_start(width(), 2u * window.y);
    let right = gradients_start(width(), 2u * window.y + 4u);
    let sum = sum_of_window(image, part + task, vec2<u32>(top, bottom), vec2<u32>(left, right));
    results[to + 2u * task] = sum.x;
    results[to + 2u * task + 1u] = sum.y;
}
