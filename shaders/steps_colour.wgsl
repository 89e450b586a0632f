// Colours and their luma: `src/steps/colour.rs`.

// The luma of the pixel whose first value is at this number.
fn luma_at(at: u32) -> u32 {
    return (RED * value_at(at) + GREEN * value_at(at + 1u) + BLUE * value_at(at + 2u) + 32768u) >> 16u;
}

fn is_coloured(place: Place) -> bool {
    return channels() >= 3u && place.channel < 3u;
}

fn luma(place: Place) -> u32 {
    if is_coloured(place) {
        return luma_at(place.at - place.channel);
    }
    return value_at(place.at);
}

fn gray(place: Place) -> u32 {
    // The new image has one channel.
    let at = place.at * channels();
    if channels() < 3u {
        return value_at(at);
    }
    return luma_at(at);
}

fn saturation(place: Place) -> u32 {
    let value = value_at(place.at);
    if is_coloured(place) {
        return blend(luma_at(place.at - place.channel), value, args[1]);
    }
    return value;
}

// `value` less its share `weight` ÷ `all`, rounded half up.
fn less(value: u32, weight: u32, all: u32) -> u32 {
    return rounded(share_of(value, all - weight, all), all);
}

// Through hue, saturation and value.
fn hue(place: Place) -> u32 {
    let own = value_at(place.at);
    if !is_coloured(place) {
        return own;
    }
    let at = place.at - place.channel;
    let r = value_at(at);
    let g = value_at(at + 1u);
    let b = value_at(at + 2u);
    let value = max(max(r, g), b);
    let range = value - min(min(r, g), b);
    if range == 0u {
        return own;
    }
    // Sixths of the circle from red on, in units of 1 ÷ range.
    var sixths = 4u * range + r - g;
    if r == value {
        sixths = select(g - b, 6u * range + g - b, g < b);
    } else if g == value {
        sixths = 2u * range + b - r;
    }
    let saturation = range * LARGEST / value;
    let turn = (u32(args[1]) & 0xffu) * (LARGEST / 255u);
    let turned = (share_of(sixths, LARGEST, 6u * range).x + turn) % (LARGEST + 1u);
    let sector = turned * 6u / LARGEST;
    let part = turned * 6u % LARGEST;
    // Which of v, p, q and t the channel gets.
    let all = LARGEST * LARGEST;
    let one = (sector + 6u - 2u * place.channel) % 6u;
    switch one {
        case 0u, 5u: {
            return value;
        }
        case 1u: {
            return less(value, saturation * part, all);
        }
        case 4u: {
            return less(value, saturation * (LARGEST - part), all);
        }
        default: {
            return less(value, saturation, LARGEST);
        }
    }
}
