// As `steps_affine.wgsl`, interpolated between four pixels: `src/steps/affine.rs`.

fn affine_bilinear(place: Place) -> u32 {
    let at = mapped(place);
    if !inside(at) {
        return 0u;
    }
    // From corners of pixels to their centres.
    let centre = at - vec2<i32>(32768);
    let last = vec2<i32>(i32(width()) - 1, i32(height()) - 1);
    let low = vec2<u32>(clamp(centre >> vec2<u32>(16u), vec2<i32>(0), last));
    let high = vec2<u32>(clamp((centre >> vec2<u32>(16u)) + vec2<i32>(1), vec2<i32>(0), last));
    let part = vec2<u32>(centre >> vec2<u32>(8u)) & vec2<u32>(0xffu);
    let c = place.channel;
    let above = (256u - part.x) * value_in(low.y, low.x, c) + part.x * value_in(low.y, high.x, c);
    let below = (256u - part.x) * value_in(high.y, low.x, c) + part.x * value_in(high.y, high.x, c);
    return ((256u - part.y) * above + part.y * below + 32768u) >> 16u;
}
