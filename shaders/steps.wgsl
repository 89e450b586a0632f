// What all steps have in common. A step is told by a record of eight words, its code and seven arguments; it makes an
// image of another one, value by value.
//
// The host composes this file (`gpu/shader.rs`) with generated declarations, with the files of the steps, with one of the
// two frames (`steps_wide.wgsl`, `steps_whole.wgsl`) and with `step_value(place)`, which calls the function of the step
// that `args` tell. Such a function has the name of its step in `src/steps/mod.rs` and gives the value at a place of the
// new image. Values of 8 and 16 bits are integers; a float is its bits. A frame has these functions:
//   value_at(at)         a value of the image that the step is applied to
//   measured(at)         a word of what was measured over that image, for the steps of `steps_measures.wgsl`

@group(0) @binding(0) var<uniform> params: StepParams;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read_write> results: array<atomic<u32>>;
// The shapes of images before each slot and after the last one, four words each; the records, slot by slot of image by
// image; and tables, to which some records refer.
@group(0) @binding(3) var<storage, read> told: array<u32>;

const GROUP: u32 = 128u;
const VALUE_BITS: u32 = 8u * VALUE_BYTES;
const WORD_VALUES: u32 = 4u / VALUE_BYTES;
const RECORD_WORDS: u32 = 8u;
const NOTHING: u32 = 0xffffffffu;

// Height, width and channels of the image before and after the step.
var<private> shape: vec3<u32>;
var<private> new_shape: vec3<u32>;
// The record of the step.
var<private> args: array<i32, 8>;
// What a step keeps from one value to the next, and what it is for.
var<private> kept_for: u32;
var<private> kept: vec4<u32>;

// A place in the new image: the number of its value, its row, its column and its channel.
struct Place {
    at: u32,
    y: u32,
    x: u32,
    channel: u32,
}

fn height() -> u32 {
    return shape.x;
}

fn width() -> u32 {
    return shape.y;
}

fn channels() -> u32 {
    return shape.z;
}

fn values_of(image_shape: vec3<u32>) -> u32 {
    return image_shape.x * image_shape.y * image_shape.z;
}

fn shape_of(slot: u32) -> vec3<u32> {
    return vec3<u32>(told[4u * slot], told[4u * slot + 1u], told[4u * slot + 2u]);
}

fn record_of(image: u32, slot: u32) -> u32 {
    return params.records + (image * params.slots + slot) * RECORD_WORDS;
}

fn load_step(image: u32, slot: u32) {
    shape = shape_of(slot);
    new_shape = shape_of(slot + 1u);
    let record = record_of(image, slot);
    args = array<i32, 8>(
        i32(told[record]),
        i32(told[record + 1u]),
        i32(told[record + 2u]),
        i32(told[record + 3u]),
        i32(told[record + 4u]),
        i32(told[record + 5u]),
        i32(told[record + 6u]),
        i32(told[record + 7u]),
    );
    kept_for = NOTHING;
}

fn value_in(y: u32, x: u32, channel: u32) -> u32 {
    return value_at((y * width() + x) * channels() + channel);
}

fn place_of(at: u32) -> Place {
    let pixel = at / new_shape.z;
    let y = pixel / new_shape.y;
    return Place(at, y, pixel - y * new_shape.y, at - pixel * new_shape.z);
}

fn next(place: Place) -> Place {
    var after = Place(place.at + 1u, place.y, place.x, place.channel + 1u);
    if after.channel == new_shape.z {
        after.channel = 0u;
        after.x += 1u;
    }
    if after.x == new_shape.y {
        after.x = 0u;
        after.y += 1u;
    }
    return after;
}

// The values of the new image from `at` on, packed behind the first `skip` places of a word.
fn new_word(at: u32, skip: u32) -> u32 {
    let values = values_of(new_shape);
    var place = place_of(at);
    var packed = 0u;
    for (var i = skip; i < WORD_VALUES && place.at < values; i += 1u) {
        packed = insertBits(packed, step_value(place), VALUE_BITS * i, VALUE_BITS);
        place = next(place);
    }
    return packed;
}

// Writes a word that holds `here` values behind `skip` places. Where images follow each other without gaps, neighbours
// share words, which were zero before.
fn write_word(word: u32, packed: u32, skip: u32, here: u32) {
    if params.gapless == 1u && (skip > 0u || skip + here < WORD_VALUES) {
        atomicOr(&results[word], packed);
    } else {
        atomicStore(&results[word], packed);
    }
}
