// Pixels that move: `src/steps/geometry.rs`.

fn identity(place: Place) -> u32 {
    return value_at(place.at);
}

fn flip_x(place: Place) -> u32 {
    return value_in(place.y, width() - 1u - place.x, place.channel);
}

fn flip_y(place: Place) -> u32 {
    return value_in(height() - 1u - place.y, place.x, place.channel);
}

fn crop(place: Place) -> u32 {
    // Rows and columns below 0 are large numbers here.
    let y = place.y + u32(args[1]);
    let x = place.x + u32(args[2]);
    if y < height() && x < width() {
        return value_in(y, x, place.channel);
    }
    return 0u;
}

fn erase(place: Place) -> u32 {
    if place.y - u32(args[1]) < u32(args[3]) && place.x - u32(args[2]) < u32(args[4]) {
        return u32(args[5]);
    }
    return value_at(place.at);
}

// The place ⌊(2·at + 1)·from ÷ (2·to)⌋, of whose terms none leaves 32 bits: at is below to, and a side is at most 65,536.
fn nearest_place(at: u32, from_side: u32, to_side: u32) -> u32 {
    let product = at * from_side;
    return product / to_side + (2u * (product % to_side) + from_side) / (2u * to_side);
}

fn crop_resize_nearest(place: Place) -> u32 {
    let y = u32(args[1]) + nearest_place(place.y, u32(args[3]), u32(args[5]));
    let x = u32(args[2]) + nearest_place(place.x, u32(args[4]), u32(args[6]));
    return value_in(y, x, place.channel);
}
