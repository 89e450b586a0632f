// Values that change by those around them: `src/steps/neighbours.rs`. Alpha stays.

fn sharpness(place: Place) -> u32 {
    let value = value_at(place.at);
    let edge = place.y == 0u || place.x == 0u || place.y + 1u >= height() || place.x + 1u >= width();
    if edge || place.channel >= colours() {
        return value;
    }
    let row = width() * channels();
    var sum = 4u * value;
    for (var i = 0u; i < 3u; i += 1u) {
        let middle = place.at + i * row - row;
        sum += value_at(middle - channels()) + value_at(middle) + value_at(middle + channels());
    }
    return blend((2u * sum + 13u) / 26u, value, args[1]);
}

// The weight of a pixel at this distance, in 32,768ths.
fn weight_of(far: u32) -> u32 {
    var pair = args[2];
    switch far / 2u {
        case 1u: {
            pair = args[3];
        }
        case 2u: {
            pair = args[4];
        }
        case 3u: {
            pair = args[5];
        }
        default: {}
    }
    return extractBits(u32(pair), 16u * (far % 2u), 16u);
}

// The weighted mean along a row, rounded.
fn blurred_along(y: u32, x: u32, channel: u32) -> u32 {
    var sum = weight_of(0u) * value_in(y, x, channel) + 16384u;
    for (var far = 1u; far <= u32(args[1]); far += 1u) {
        let left = x - min(x, far);
        let right = min(x + far, width() - 1u);
        sum += weight_of(far) * (value_in(y, left, channel) + value_in(y, right, channel));
    }
    return sum >> 15u;
}

fn blur(place: Place) -> u32 {
    if place.channel >= colours() {
        return value_at(place.at);
    }
    var sum = weight_of(0u) * blurred_along(place.y, place.x, place.channel) + 16384u;
    for (var far = 1u; far <= u32(args[1]); far += 1u) {
        let above = blurred_along(place.y - min(place.y, far), place.x, place.channel);
        let below = blurred_along(min(place.y + far, height() - 1u), place.x, place.channel);
        sum += weight_of(far) * (above + below);
    }
    return sum >> 15u;
}
