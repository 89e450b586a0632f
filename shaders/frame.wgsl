// What the kernels of every pixel type and feature family have in common: pixels come into workgroup memory by the block,
// coalesced; families work on them there, task by task; what they accumulate leaves as a record. A block is some whole
// small images, or a tile of a large one, whose records `merge` adds up.
//
// The host composes this file with generated declarations (`gpu/shader.rs`): `Params`, one function for each number of the
// plan (`width()`, `channels()`, …), and the calls of the families. A family has functions of its own name:
//   NAME_tasks(block)                       tasks over a block
//   NAME_task(block, task, at)              one of them; `at` is where the family's part begins in an image's record
//   NAME_merge_tasks()                      tasks that make an image's record of those of its tiles
//   NAME_merge(image, task, at, to)         one of them; `to` is where the family's part begins in the results
//   NAME_merged_words()                     words of its part in such a record
//   NAME_finish(me, record, to)             features from its part of a record; for integers

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> records: array<u32>;
@group(0) @binding(2) var<storage, read_write> results: array<u32>;
@group(0) @binding(2) var<storage, read_write> features: array<f32>;

const GROUP: u32 = 128u;

// A block in workgroup memory: by how many bytes it begins behind a vector, its images, the rows of each and the values
// of a row. Then the row and the pixel of the image at which it begins, and the byte of `pixels`.
struct Block {
    lead: u32,
    images: u32,
    rows: u32,
    values: u32,
    y: u32,
    x: u32,
    start: u32,
}

fn row_bytes() -> u32 {
    return width() * channels() * VALUE_BYTES;
}

// One word in 33 stays free, so that neither neighbouring words nor the same words of neighbouring rows share a bank.
fn place(word: u32) -> u32 {
    return word + (word >> 5u);
}

fn load(to: u32, at: u32) {
    let four = pixels[at];
    set_block_word(place(4u * to), four.x);
    set_block_word(place(4u * to + 1u), four.y);
    set_block_word(place(4u * to + 2u), four.z);
    set_block_word(place(4u * to + 3u), four.w);
}

// Four bytes of the block, from any byte on.
fn word_at(byte: u32) -> u32 {
    let low = block_word(place(byte >> 2u));
    if aligned() == 1u {
        return low;
    }
    let high = block_word(place((byte >> 2u) + 1u));
    let shift = 8u * (byte & 3u);
    return (low >> shift) | ((high << 1u) << (31u - shift));
}

// Numbers of 64 bits are their low and their high word.
fn wide_plus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn wide_times(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let first = (a & 0xffffu) * (b >> 16u) + (low >> 16u);
    let second = (a >> 16u) * (b & 0xffffu) + (first & 0xffffu);
    return vec2<u32>((second << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u));
}

// Where part `i` of `parts` begins on a side of `side` pixels.
fn part_start(side: u32, parts: u32, i: u32) -> u32 {
    return (i * side + parts - 1u) / parts;
}

// Where a row of the block begins in it.
fn row_at(lead: u32, row: u32) -> u32 {
    if tiled() == 1u {
        return row * pitch() + ((lead + row * row_bytes()) & 15u);
    }
    return lead + row * pitch();
}

// The bits of the value that begins at a byte of the block.
fn value_at(byte: u32) -> u32 {
    return extractBits(block_word(place(byte >> 2u)), 8u * (byte & 3u), 8u * VALUE_BYTES);
}

// The bits of the value that lies `dy` rows and `dx` pixels from a value of the block, which is given by its row in the
// block and its place in the row. Beyond the border of the image it is the nearest value of the same channel. A value
// beyond a tile is read from `pixels`.
fn value_near(block: Block, row: u32, value: u32, dy: i32, dx: i32) -> u32 {
    let above = select(row % block.rows, block.y + row, tiled() == 1u);
    let before = block.x + value / channels();
    let last = vec2<i32>(i32(params.image_height) - 1, i32(width()) - 1);
    let at = clamp(vec2<i32>(i32(above) + dy, i32(before) + dx), vec2<i32>(), last);
    // From the first row of the block, which may be of an earlier image, and from its first pixel.
    let to_row = i32(row) + at.x - i32(above);
    let to_value = (at.y - i32(block.x)) * i32(channels()) + i32(value % channels());
    if tiled() == 1u && (to_row < 0 || to_row >= i32(block.rows) || to_value < 0 || to_value >= i32(block.values)) {
        let byte = block.start + u32(to_row) * row_bytes() + u32(to_value) * VALUE_BYTES;
        return extractBits(pixels[byte >> 4u][(byte >> 2u) & 3u], 8u * (byte & 3u), 8u * VALUE_BYTES);
    }
    return value_at(row_at(block.lead, u32(to_row)) + u32(to_value) * VALUE_BYTES);
}

fn clear(me: u32, words: u32) {
    for (var i = me; i < words; i += GROUP) {
        set_record_word(i, 0u);
    }
}

fn write(me: u32, at: u32, words: u32) {
    for (var i = me; i < words; i += GROUP) {
        results[at + i] = record_word(i);
    }
}

// Blocks of whole images: their records are the results.
@compute @workgroup_size(128)
fn whole(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let first = (group.y * groups.x + group.x) * block_images();
    if first >= params.images {
        return;
    }
    let images = min(block_images(), params.images - first);
    let image_bytes = block_rows() * row_bytes();
    let start = (params.first + first) * image_bytes;
    let begin = start >> 4u;
    let vectors = ((start + images * image_bytes + 15u) >> 4u) - begin;
    for (var i = me; i < vectors; i += GROUP) {
        load(i, begin + i);
    }
    clear(me, images * record_words());
    workgroupBarrier();
    run_tasks(me, Block(start & 15u, images, block_rows(), width() * channels(), 0u, 0u, start));
    workgroupBarrier();
    write(me, first * record_words(), images * record_words());
}

fn bands() -> u32 {
    return (params.height + block_rows() - 1u) / block_rows();
}

fn across() -> u32 {
    return (width() + block_pixels() - 1u) / block_pixels();
}

// Blocks that are tiles, image by image, band by band, from left to right: their records are for `merge`.
@compute @workgroup_size(128)
fn tiles(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let number = group.y * groups.x + group.x;
    if number >= params.images * bands() * across() {
        return;
    }
    let band = number / across();
    let image = band / bands();
    let x = (number % across()) * block_pixels();
    let y = (band % bands()) * block_rows();
    let rows = min(block_rows(), params.height - y);
    let values = min(block_pixels(), width() - x) * channels();
    let start = ((params.first + image) * params.height + params.rows_above + y) * row_bytes() + x * channels() * VALUE_BYTES;
    let vectors = pitch() / 16u;
    for (var i = me; i < rows * vectors; i += GROUP) {
        let byte = start + (i / vectors) * row_bytes();
        if 16u * (i % vectors) < (byte & 15u) + values * VALUE_BYTES {
            load(i, (byte >> 4u) + i % vectors);
        }
    }
    clear(me, record_words());
    workgroupBarrier();
    run_tasks(me, Block(start & 15u, 1u, rows, values, params.first_row + y, x, start));
    workgroupBarrier();
    write(me, number * record_words(), record_words());
}

// Where the record of a tile of an image begins.
fn record_of(image: u32, band: u32, x: u32) -> u32 {
    return ((image * bands() + band) * across() + x) * record_words();
}

// A word of the records of an image's tiles, added up.
fn sum_of_tiles(image: u32, word: u32) -> u32 {
    var sum = 0u;
    for (var band = 0u; band < bands(); band++) {
        for (var x = 0u; x < across(); x++) {
            sum += records[record_of(image, band, x) + word];
        }
    }
    return sum;
}

// The same over those tiles alone that have pixels of a window, in 64 bits. `rows` and `columns` are where the window
// begins and ends in the image.
fn sum_of_window(image: u32, word: u32, rows: vec2<u32>, columns: vec2<u32>) -> vec2<u32> {
    var sum = vec2<u32>();
    // In the rows that the chunk has of the image.
    let here = clamp(rows, vec2<u32>(params.first_row), vec2<u32>(params.first_row + params.height)) - params.first_row;
    if here.x < here.y && columns.x < columns.y {
        for (var band = here.x / block_rows(); band <= (here.y - 1u) / block_rows(); band++) {
            for (var x = columns.x / block_pixels(); x <= (columns.y - 1u) / block_pixels(); x++) {
                sum = wide_plus(sum, vec2<u32>(records[record_of(image, band, x) + word], 0u));
            }
        }
    }
    return sum;
}

// Sum `i` of a family's part of a record, which has a word for each, or two, low and high, if it is made of tiles.
fn sum_of_record(record: u32, i: u32) -> f32 {
    if tiled() == 1u {
        return f32(records[record + 2u * i + 1u]) * 4294967296.0 + f32(records[record + 2u * i]);
    }
    return f32(records[record + i]);
}

// Makes the records of images from those of their tiles, a task an invocation.
@compute @workgroup_size(128)
fn merge(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let task = id.y * groups.x * GROUP + id.x;
    let image = task / merge_tasks();
    if image >= params.images {
        return;
    }
    merge_task(image, task - image * merge_tasks());
}
