// The frame for images of any size: one slot a dispatch, from one buffer to another. An image is cut into parts, one a
// workgroup. Measures of images lie in a buffer.

@group(0) @binding(4) var<storage, read_write> image_measures: array<atomic<u32>>;

// Where the image begins in `pixels`, and its measures in theirs.
var<private> image_at: u32;
var<private> measures_at: u32;

fn value_at(at: u32) -> u32 {
    let value = image_at + at;
    return extractBits(pixels[value / WORD_VALUES], VALUE_BITS * (value % WORD_VALUES), VALUE_BITS);
}

fn measured(at: u32) -> u32 {
    return atomicLoad(&image_measures[measures_at + at]);
}

fn begin(image: u32) {
    load_step(image, params.slot);
    image_at = (params.first + image) * params.stride;
    measures_at = image * MEASURES;
}

@compute @workgroup_size(128)
fn apply(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let number = group.y * groups.x + group.x;
    let values = values_of(shape_of(params.slot + 1u));
    // An image that begins within a word reaches into one more.
    let parts = (values + WORD_VALUES - 1u) / WORD_VALUES / PART_WORDS + 1u;
    let image = number / parts;
    if image >= params.images {
        return;
    }
    begin(image);
    let first = (params.to_first + image) * params.to_stride;
    let end = first + values;
    let part = first / WORD_VALUES + (number - image * parts) * PART_WORDS;
    for (var i = me; i < PART_WORDS; i += GROUP) {
        let word = part + i;
        let start = max(word * WORD_VALUES, first);
        if start < end {
            let skip = start - word * WORD_VALUES;
            write_word(word, new_word(start - first, skip), skip, min(end - start, WORD_VALUES - skip));
        }
    }
}
