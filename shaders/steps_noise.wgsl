// Normal noise from Philox4x32-10 and a table of quantiles: `src/steps/noise.rs`, `src/base/philox.rs`. Alpha stays.

fn philox(block: u32, key: vec2<u32>) -> vec4<u32> {
    var counter = vec4<u32>(block, 0u, 0u, 0u);
    var round_key = key;
    for (var i = 0u; i < 10u; i += 1u) {
        let low = product(counter.x, 0xd2511f53u);
        let high = product(counter.z, 0xcd9e8d57u);
        counter = vec4<u32>(high.y ^ counter.y ^ round_key.x, high.x, low.y ^ counter.w ^ round_key.y, low.x);
        round_key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return counter;
}

fn noise(place: Place) -> u32 {
    let value = value_at(place.at);
    if place.channel >= colours() {
        return value;
    }
    // Eight values share the words of a counter.
    let block = place.at / 8u;
    if kept_for != block {
        kept = philox(block, vec2<u32>(u32(args[1]), u32(args[2])));
        kept_for = block;
    }
    let bits = extractBits(kept[(place.at / 2u) % 4u], 16u * (place.at % 2u), 16u);
    let table = params.tables + u32(args[4]) + (bits >> 4u);
    let low = i32(told[table]);
    let draw = low + (((i32(told[table + 1u]) - low) * i32(bits & 15u) + 8) >> 4u);
    let shift = 28u - VALUE_BITS;
    let added = (draw * args[3] + (1i << (shift - 1u))) >> shift;
    return u32(clamp(i32(value) + added, 0, i32(LARGEST)));
}
