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
