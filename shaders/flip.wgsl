// The stages `hflip` and `vflip`: the first word is 0, the code of `identity`, for an image that is not mirrored.

fn stage_value(draw: vec4<u32>, y: u32, x: u32, channel: u32) -> u32 {
    if draw.x == 0u {
        return value_in(y, x, channel);
    }
    if ALONG_X == 1u {
        return value_in(y, width() - 1u - x, channel);
    }
    return value_in(height() - 1u - y, x, channel);
}
