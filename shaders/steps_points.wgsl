// Values that change by a rule for single values: `src/steps/points.rs`. Alpha stays.

fn colours() -> u32 {
    return select(3u, 1u, channels() < 3u);
}

// `a` and `b` mixed by 32,768ths. (a·32768 + factor·(b − a)) >> 15 is made of parts that fit 32 bits.
fn blend(a: u32, b: u32, factor: i32) -> u32 {
    let far = i32(b) - i32(a);
    let mixed = i32(a) + (factor >> 15u) * far + (((factor & 0x7fff) * far) >> 15u);
    return u32(clamp(mixed, 0, i32(LARGEST)));
}

fn brightness(place: Place) -> u32 {
    let value = value_at(place.at);
    return select(value, blend(0u, value, args[1]), place.channel < colours());
}

fn posterize(place: Place) -> u32 {
    let value = value_at(place.at);
    return select(value, value & ~(LARGEST >> u32(args[1])), place.channel < colours());
}

fn solarize(place: Place) -> u32 {
    let value = value_at(place.at);
    return select(value, LARGEST - value, place.channel < colours() && i32(value) >= args[1]);
}

fn invert(place: Place) -> u32 {
    let value = value_at(place.at);
    return select(value, LARGEST - value, place.channel < colours());
}

// The two words of a product, the low one first, by halves of 16 bits.
fn product(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let one = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (one & 0xffffu);
    return vec2<u32>((other << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (one >> 16u) + (other >> 16u));
}

// Quotient and remainder of a number of two words, the low one first, if the quotient is below 65,536.
fn divided(number: vec2<u32>, divisor: u32) -> vec2<u32> {
    var left = number;
    var quotient = 0u;
    for (var i = 0u; i < 16u; i += 1u) {
        let bit = 15u - i;
        let part = vec2<u32>(divisor << bit, (divisor >> 1u) >> (31u - bit));
        if left.y > part.y || (left.y == part.y && left.x >= part.x) {
            left.y -= part.y + select(0u, 1u, left.x < part.x);
            left.x -= part.x;
            quotient |= 1u << bit;
        }
    }
    return vec2<u32>(quotient, left.x);
}

// a·b ÷ divisor, if that is below 65,536: the quotient and the remainder.
fn share_of(a: u32, b: u32, divisor: u32) -> vec2<u32> {
    if VALUE_BYTES == 1u {
        // Products of what 8-bit values make fit 32 bits.
        let number = a * b;
        return vec2<u32>(number / divisor, number % divisor);
    }
    return divided(product(a, b), divisor);
}

// A quotient rounded half up, of its whole part and its remainder.
fn rounded(parts: vec2<u32>, divisor: u32) -> u32 {
    return parts.x + select(0u, 1u, parts.y >= divisor - parts.y);
}
