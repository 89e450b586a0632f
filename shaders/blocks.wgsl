// What the kernels of every pixel type have in common: pixels come into workgroup memory by the block, coalesced, are
// summed there by rows and by columns, and leave as records. A block is some whole small images, or a rectangle of a
// large one, whose records `merge` adds up. The pixel type's file says how a row and a column are summed.

// Twin of `gpu::layout::Params`.
struct Params {
    first: u32,
    images: u32,
    height: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> records: array<u32>;
@group(0) @binding(2) var<storage, read_write> results: array<u32>;

// The image: pixels in a row, values in a pixel.
override WIDTH: u32;
override CHANNELS: u32;
// The block: its whole images (none: it is a rectangle), the rows of each or of the rectangle, the pixels of a row.
override BLOCK_IMAGES: u32;
override BLOCK_ROWS: u32;
override BLOCK_PIXELS: u32;
// Bytes from row to row in workgroup memory.
override PITCH: u32;
// Whether every row begins on a word.
override ALIGNED: bool;
// Words that a block, a record of it and all of its records take.
override BLOCK_WORDS: u32;
override RECORD_WORDS: u32;
override RECORDS_WORDS: u32;

const GROUP: u32 = 128u;

var<workgroup> block: array<u32, BLOCK_WORDS>;
var<workgroup> staged: array<atomic<u32>, RECORDS_WORDS>;

fn row_bytes() -> u32 {
    return WIDTH * CHANNELS * VALUE_BYTES;
}

// One word in 33 stays free, so that neither neighbouring words nor the same words of neighbouring rows share a bank.
fn place(word: u32) -> u32 {
    return word + (word >> 5u);
}

fn load(to: u32, at: u32) {
    let four = pixels[at];
    block[place(4u * to)] = four.x;
    block[place(4u * to + 1u)] = four.y;
    block[place(4u * to + 2u)] = four.z;
    block[place(4u * to + 3u)] = four.w;
}

// Four bytes of the block, from any byte on.
fn word_at(byte: u32) -> u32 {
    let low = block[place(byte >> 2u)];
    if ALIGNED {
        return low;
    }
    let high = block[place((byte >> 2u) + 1u)];
    let shift = 8u * (byte & 3u);
    return (low >> shift) | ((high << 1u) << (31u - shift));
}

// Where a row of the block begins in it. `lead` is by how many bytes the block's first begins behind a vector.
fn row_at(lead: u32, row: u32) -> u32 {
    if BLOCK_IMAGES == 0u {
        return row * PITCH + ((lead + row * row_bytes()) & 15u);
    }
    return lead + row * PITCH;
}

// Sums `images` images of `rows` rows of `values` values.
fn sum_block(me: u32, lead: u32, images: u32, rows: u32, values: u32) {
    let row_tasks = images * rows * CHANNELS;
    let columns = (values * VALUE_BYTES + 3u) / 4u;
    let tasks = row_tasks + images * columns;
    for (var task = me; task < tasks; task += GROUP) {
        if task < row_tasks {
            let row = task / CHANNELS;
            let image = row / rows;
            sum_row(row_at(lead, row), values, task % CHANNELS, row - image * rows, image * RECORD_WORDS);
        } else {
            let column = task - row_tasks;
            let image = column / columns;
            sum_column(lead, image * rows, rows, column - image * columns, values, image * RECORD_WORDS);
        }
    }
}

fn clear(me: u32, words: u32) {
    for (var i = me; i < words; i += GROUP) {
        atomicStore(&staged[i], 0u);
    }
}

fn write(me: u32, at: u32, words: u32) {
    for (var i = me; i < words; i += GROUP) {
        results[at + i] = atomicLoad(&staged[i]);
    }
}

// Blocks of whole images: their records are the results.
@compute @workgroup_size(128)
fn whole(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let first = (group.y * groups.x + group.x) * BLOCK_IMAGES;
    if first >= params.images {
        return;
    }
    let images = min(BLOCK_IMAGES, params.images - first);
    let image_bytes = BLOCK_ROWS * row_bytes();
    let start = (params.first + first) * image_bytes;
    let begin = start >> 4u;
    let vectors = ((start + images * image_bytes + 15u) >> 4u) - begin;
    for (var i = me; i < vectors; i += GROUP) {
        load(i, begin + i);
    }
    clear(me, images * RECORD_WORDS);
    workgroupBarrier();
    sum_block(me, start & 15u, images, BLOCK_ROWS, WIDTH * CHANNELS);
    workgroupBarrier();
    write(me, first * RECORD_WORDS, images * RECORD_WORDS);
}

fn bands() -> u32 {
    return (params.height + BLOCK_ROWS - 1u) / BLOCK_ROWS;
}

fn across() -> u32 {
    return (WIDTH + BLOCK_PIXELS - 1u) / BLOCK_PIXELS;
}

// Blocks that are rectangles, image by image, band by band, from left to right: their records are for `merge`.
@compute @workgroup_size(128)
fn parts(
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
    let x = (number % across()) * BLOCK_PIXELS;
    let y = (band % bands()) * BLOCK_ROWS;
    let rows = min(BLOCK_ROWS, params.height - y);
    let values = min(BLOCK_PIXELS, WIDTH - x) * CHANNELS;
    let start = ((params.first + image) * params.height + y) * row_bytes() + x * CHANNELS * VALUE_BYTES;
    let vectors = PITCH / 16u;
    for (var i = me; i < rows * vectors; i += GROUP) {
        let byte = start + (i / vectors) * row_bytes();
        if 16u * (i % vectors) < (byte & 15u) + values * VALUE_BYTES {
            load(i, (byte >> 4u) + i % vectors);
        }
    }
    clear(me, RECORD_WORDS);
    workgroupBarrier();
    sum_block(me, start & 15u, 1u, rows, values);
    workgroupBarrier();
    write(me, number * RECORD_WORDS, RECORD_WORDS);
}

// Where the record of a block of an image begins.
fn record_of(image: u32, band: u32, x: u32) -> u32 {
    return ((image * bands() + band) * across() + x) * RECORD_WORDS;
}
