//! The arithmetic of single values and pixels that several steps share.

use super::Whole;

/// The weights of ITU-R BT.601 in 65,536ths, which add up to 65,536: gray stays as it is, and no sum of 16-bit values
/// leaves 32 bits. The weights and the rounding are those of Pillow's `convert("L")`.
pub(crate) const LUMA_WEIGHTS: [u32; 3] = [19_595, 38_470, 7_471];

/// 0.299 R + 0.587 G + 0.114 B, rounded half up.
#[inline(always)]
pub(super) fn luma<P: Whole>(rgb: [P; 3]) -> u32 {
    let [r, g, b] = rgb.map(|value| value.get() as u32);
    (LUMA_WEIGHTS[0] * r + LUMA_WEIGHTS[1] * g + LUMA_WEIGHTS[2] * b + (1 << 15)) >> 16
}

/// `a` and `b` mixed: `b` by `factor` 32,768ths, and what is left of 1 by `a`. Beyond 0 and 1 it goes on in a line, up to
/// what a value can hold. Pillow's `blend` gives the same for factor ÷ 32768.
#[inline(always)]
pub(super) fn blend<P: Whole>(a: i32, b: i32, factor: i32) -> i32 {
    if P::BITS == 8 {
        // As a·32768 is whole 32,768ths, it can be added behind the shift.
        (a + ((factor * (b - a)) >> 15)).clamp(0, P::MAX)
    } else {
        let mixed = (i64::from(a) * 32_768 + i64::from(factor) * i64::from(b - a)) >> 15;
        mixed.clamp(0, i64::from(P::MAX)) as i32
    }
}

/// The colours of a pixel away from its luma.
#[inline(always)]
pub(super) fn saturated<P: Whole>(rgb: [P; 3], factor: i32) -> [P; 3] {
    let luma = luma(rgb) as i32;
    rgb.map(|value| P::put(blend::<P>(luma, value.get(), factor)))
}
