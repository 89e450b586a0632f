// Windows of an image, and whole images, brought to a size: `src/steps/resized.rs`, `src/steps/resample.rs`. The weights
// of each side are in a table: the number of weights for each new pixel, the bits behind their point, the first old pixel
// of each new one, and the weights. What lies between the two sides is rounded, so their order shows.

// The weighted mean of a sum of values, rounded half up.
fn mean_of(sum: i32, bits: u32) -> u32 {
    return u32(clamp((sum + ((1i << bits) >> 1u)) >> bits, 0, i32(LARGEST)));
}

fn crop_resize(place: Place) -> u32 {
    let across = params.tables + u32(args[5]);
    let down = params.tables + u32(args[6]);
    let x = u32(args[2]) + told[across + 2u + place.x];
    let y = u32(args[1]) + told[down + 2u + place.y];
    let across_weights = across + 2u + new_shape.y + place.x * told[across];
    let down_weights = down + 2u + new_shape.x + place.y * told[down];
    var sum = 0i;
    for (var i = 0u; i < told[down]; i += 1u) {
        var along = 0i;
        for (var j = 0u; j < told[across]; j += 1u) {
            along += i32(value_in(y + i, x + j, place.channel)) * i32(told[across_weights + j]);
        }
        sum += i32(mean_of(along, told[across + 1u])) * i32(told[down_weights + i]);
    }
    return mean_of(sum, told[down + 1u]);
}

// The height first; for 8-bit pixels.
fn resize(place: Place) -> u32 {
    let across = params.tables + u32(args[5]);
    let down = params.tables + u32(args[6]);
    let x = told[across + 2u + place.x];
    let y = told[down + 2u + place.y];
    let across_weights = across + 2u + new_shape.y + place.x * told[across];
    let down_weights = down + 2u + new_shape.x + place.y * told[down];
    var sum = 0i;
    for (var j = 0u; j < told[across]; j += 1u) {
        var along = 0i;
        for (var i = 0u; i < told[down]; i += 1u) {
            along += i32(value_in(y + i, x + j, place.channel)) * i32(told[down_weights + i]);
        }
        sum += i32(mean_of(along, told[down + 1u])) * i32(told[across_weights + j]);
    }
    return mean_of(sum, told[across + 1u]);
}
