// Windows of an image, and whole images, brought to a size: `src/steps/resized.rs`, `src/steps/resample.rs`. The weights
// of each side are in a table: the number of weights for each new pixel, the bits behind their point, the first old pixel
// of each new one, and the weights. What lies between the two sides is rounded, so their order shows.

// The weighted mean of a sum of values, rounded half up.
fn mean_of(sum: i32, bits: u32) -> u32 {
    return u32(clamp((sum + ((1i << bits) >> 1u)) >> bits, 0, i32(LARGEST)));
}

// What a new pixel takes of a side: the first old pixel, how many there are, where their weights are in the tables, and the
// bits behind the point.
struct Taken {
    first: u32,
    count: u32,
    weights: u32,
    bits: u32,
}

// `pixel` is one of `pixels` new ones of a side whose table begins at `table` among those of the step.
fn taken(table: i32, pixel: u32, pixels: u32) -> Taken {
    let at = params.tables + u32(table);
    return Taken(told[at + 2u + pixel], told[at], at + 2u + pixels + pixel * told[at], told[at + 1u]);
}

fn crop_resize(place: Place) -> u32 {
    let across = taken(args[5], place.x, new_shape.y);
    let down = taken(args[6], place.y, new_shape.x);
    let x = u32(args[2]) + across.first;
    let y = u32(args[1]) + down.first;
    var sum = 0i;
    for (var i = 0u; i < down.count; i += 1u) {
        var along = 0i;
        for (var j = 0u; j < across.count; j += 1u) {
            along += i32(value_in(y + i, x + j, place.channel)) * i32(told[across.weights + j]);
        }
        sum += i32(mean_of(along, across.bits)) * i32(told[down.weights + i]);
    }
    return mean_of(sum, down.bits);
}

// The height first; for 8-bit pixels.
fn resize(place: Place) -> u32 {
    let across = taken(args[5], place.x, new_shape.y);
    let down = taken(args[6], place.y, new_shape.x);
    var sum = 0i;
    for (var j = 0u; j < across.count; j += 1u) {
        var along = 0i;
        for (var i = 0u; i < down.count; i += 1u) {
            along += i32(value_in(down.first + i, across.first + j, place.channel)) * i32(told[down.weights + i]);
        }
        sum += i32(mean_of(along, down.bits)) * i32(told[across.weights + j]);
    }
    return mean_of(sum, across.bits);
}
