// Pixels from places that an affine map tells, in 16.16 fixed point: `src/steps/affine.rs`.

// The column and the row, in 65,536ths.
fn mapped(place: Place) -> vec2<i32> {
    let x = i32(place.x);
    let y = i32(place.y);
    return vec2<i32>(args[1] * x + (args[2] * y + args[3]), args[4] * x + (args[5] * y + args[6]));
}

fn inside(at: vec2<i32>) -> bool {
    return u32(at.x >> 16u) < width() && u32(at.y >> 16u) < height();
}

fn affine(place: Place) -> u32 {
    let at = mapped(place);
    if inside(at) {
        return value_in(u32(at.y >> 16u), u32(at.x >> 16u), place.channel);
    }
    return 0u;
}
