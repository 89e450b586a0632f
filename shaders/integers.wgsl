// What the kernels of 8 and 16-bit pixels have in common. Every number is exact. A record is the sums of the rows, then
// those of the columns, each [channel · side + place], one or two a word; then Σp² of every channel.

// Sums a word in the records of blocks, and in those of images made of several.
override SUMS_A_WORD: u32;
override MERGED_A_WORD: u32;
// Words of the sums in a block's record.
override SUM_WORDS: u32;

fn put_sum(record: u32, at: u32, sum: u32) {
    if SUMS_A_WORD == 2u {
        atomicAdd(&staged[record + (at >> 1u)], sum << (16u * (at & 1u)));
    } else {
        atomicStore(&staged[record + at], sum);
    }
}

fn put_row(record: u32, channel: u32, y: u32, sum: u32) {
    put_sum(record, channel * BLOCK_ROWS + y, sum);
}

// `value` counts along the row, channel by channel of each pixel.
fn put_column(record: u32, value: u32, sum: u32) {
    put_sum(record, CHANNELS * BLOCK_ROWS + (value % CHANNELS) * BLOCK_PIXELS + value / CHANNELS, sum);
}

fn sum_in(record: u32, at: u32) -> u32 {
    if SUMS_A_WORD == 2u {
        return (records[record + (at >> 1u)] >> (16u * (at & 1u))) & 0xffffu;
    }
    return records[record + at];
}

fn plus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn merged_sum(image: u32, at: u32) -> u32 {
    var sum = 0u;
    if at < CHANNELS * params.height {
        let y = at % params.height;
        let place = (at / params.height) * BLOCK_ROWS + y % BLOCK_ROWS;
        for (var x = 0u; x < across(); x++) {
            sum += sum_in(record_of(image, y / BLOCK_ROWS, x), place);
        }
    } else {
        let column = at - CHANNELS * params.height;
        let x = column % WIDTH;
        let place = CHANNELS * BLOCK_ROWS + (column / WIDTH) * BLOCK_PIXELS + x % BLOCK_PIXELS;
        for (var band = 0u; band < bands(); band++) {
            sum += sum_in(record_of(image, band, x / BLOCK_PIXELS), place);
        }
    }
    return sum;
}

// Makes the records of images from those of their blocks, a word an invocation. Σp² stays apart by bands, low and high
// words, [channel · bands + band].
@compute @workgroup_size(128)
fn merge(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let sums = CHANNELS * (params.height + WIDTH);
    let sum_words = (sums + MERGED_A_WORD - 1u) / MERGED_A_WORD;
    let words = sum_words + 2u * CHANNELS * bands();
    let task = id.y * groups.x * GROUP + id.x;
    let image = task / words;
    if image >= params.images {
        return;
    }
    let word = task - image * words;
    if word < sum_words {
        var result = merged_sum(image, word * MERGED_A_WORD);
        if MERGED_A_WORD == 2u && 2u * word + 1u < sums {
            result |= merged_sum(image, 2u * word + 1u) << 16u;
        }
        results[task] = result;
    } else if ((word - sum_words) & 1u) == 0u {
        let at = (word - sum_words) / 2u;
        var squares = vec2<u32>();
        for (var x = 0u; x < across(); x++) {
            squares = plus(squares, squares_in(record_of(image, at % bands(), x) + SUM_WORDS, at / bands()));
        }
        results[task] = squares.x;
        results[task + 1u] = squares.y;
    }
}
