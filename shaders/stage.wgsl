// What the stages of every pixel type have in common: an invocation makes one word of the images that a stage gives, value
// by value.
//
// The host composes this file with generated declarations (`gpu/shader.rs`), which are `StageParams` and `VALUE_BYTES`,
// with the constants of the stage, and with the file of the stage, which has one function:
//   stage_value(draw, y, x, channel)        the value at this place of the image that the stage gives
// Values of 8 and 16 bits are integers; a float is its bits. `draw` holds the parameters that the stage drew for the image.
// The stage reads the image that it is given by `value_in(y, x, channel)`, whose sides are `height()`, `width()` and
// `channels()`.

@group(0) @binding(0) var<uniform> params: StageParams;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read_write> results: array<u32>;
@group(0) @binding(3) var<storage, read> draws: array<vec4<u32>>;

const GROUP: u32 = 128u;
const VALUE_BITS: u32 = 8u * VALUE_BYTES;
const WORD_VALUES: u32 = 4u / VALUE_BYTES;

// The image that this invocation reads, counted from the start of `pixels`.
var<private> image_in: u32;

fn height() -> u32 {
    return params.height;
}

fn width() -> u32 {
    return params.width;
}

fn channels() -> u32 {
    return params.channels;
}

fn value_in(y: u32, x: u32, channel: u32) -> u32 {
    let at = ((image_in * height() + y) * width() + x) * channels() + channel;
    return extractBits(pixels[at / WORD_VALUES], VALUE_BITS * (at % WORD_VALUES), VALUE_BITS);
}

@compute @workgroup_size(128)
fn stage(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let word = id.y * groups.x * GROUP + id.x;
    let image_values = params.to_height * params.to_width * params.to_channels;
    let values = params.images * image_values;
    if word >= (values + WORD_VALUES - 1u) / WORD_VALUES {
        return;
    }
    // The bytes behind the last value are zeros.
    var packed = 0u;
    for (var i = 0u; i < WORD_VALUES; i += 1u) {
        let at = word * WORD_VALUES + i;
        if at < values {
            let image = at / image_values;
            let value = at - image * image_values;
            let pixel = value / params.to_channels;
            let channel = value - pixel * params.to_channels;
            let y = pixel / params.to_width;
            let x = pixel - y * params.to_width;
            image_in = params.first + image;
            let draw = draws[params.first_draw + image];
            packed = insertBits(packed, stage_value(draw, y, x, channel), VALUE_BITS * i, VALUE_BITS);
        }
    }
    results[params.first_word + word] = packed;
}
