// The frame for small images: all slots in one dispatch, one workgroup an image. The image goes to and fro between two
// halves of workgroup memory.

var<workgroup> halves: array<u32, 2u * HALF_WORDS>;

// Where the image begins in `halves`.
var<private> image_at: u32;

fn value_at(at: u32) -> u32 {
    return extractBits(halves[image_at + at / WORD_VALUES], VALUE_BITS * (at % WORD_VALUES), VALUE_BITS);
}

@compute @workgroup_size(128)
fn whole(
    @builtin(local_invocation_index) me: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let image = group.y * groups.x + group.x;
    if image >= params.images {
        return;
    }
    let values_in = values_of(shape_of(0u));
    let first_in = (params.first + image) * params.stride;
    let lead = VALUE_BITS * (first_in % WORD_VALUES);
    for (var i = me; i * WORD_VALUES < values_in; i += GROUP) {
        let word = first_in / WORD_VALUES + i;
        var packed = pixels[word] >> lead;
        if lead > 0u && (word + 1u) * WORD_VALUES < first_in + values_in {
            packed |= pixels[word + 1u] << (32u - lead);
        }
        halves[i] = packed;
    }
    image_at = 0u;
    for (var slot = 0u; slot < params.slots; slot += 1u) {
        let code = told[record_of(image, slot)];
        if code == 0u {
            continue;
        }
        load_step(image, slot);
        workgroupBarrier();
        measure_whole(me, code);
        let to = HALF_WORDS - image_at;
        let values = values_of(new_shape);
        for (var i = me; i * WORD_VALUES < values; i += GROUP) {
            halves[to + i] = new_word(i * WORD_VALUES, 0u);
        }
        image_at = to;
    }
    workgroupBarrier();
    let values = values_of(shape_of(params.slots));
    let first = (params.to_first + image) * params.to_stride;
    let end = first + values;
    for (var word = first / WORD_VALUES + me; word * WORD_VALUES < end; word += GROUP) {
        let start = max(word * WORD_VALUES, first);
        let skip = start - word * WORD_VALUES;
        let here = min(end - start, WORD_VALUES - skip);
        var packed = 0u;
        for (var i = 0u; i < here; i += 1u) {
            packed = insertBits(packed, value_at(start - first + i), VALUE_BITS * (skip + i), VALUE_BITS);
        }
        write_word(word, packed, skip, here);
    }
}
