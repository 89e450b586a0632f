// The stage `gray` for integers; `src/stages/gray.rs` has the formula and the weights.

fn stage_value(draw: vec4<u32>, y: u32, x: u32, channel: u32) -> u32 {
    if channels() < 3u {
        return value_in(y, x, 0u);
    }
    let sum = RED * value_in(y, x, 0u) + GREEN * value_in(y, x, 1u) + BLUE * value_in(y, x, 2u);
    return (sum + 32768u) >> 16u;
}
