//! Values that change by a rule for single values, which may depend on counts over the whole image.

use super::colour::{luma, map_colours};
use super::{View, Whole, colours};
use crate::base::simd::Simd;

/// `a` and `b` mixed: `b` by `factor` 32,768ths, and what is left of 1 by `a`. Beyond 0 and 1 it goes on in a line, up to
/// what a value can hold. Pillow's `blend` gives the same for factor ÷ 32768.
#[inline(always)]
pub(super) fn blend<P: Whole>(a: i32, b: i32, factor: i32) -> i32 {
    if P::BITS == 8 {
        ((a * 32_768 + factor * (b - a)) >> 15).clamp(0, P::MAX)
    } else {
        let mixed = (i64::from(a) * 32_768 + i64::from(factor) * i64::from(b - a)) >> 15;
        mixed.clamp(0, i64::from(P::MAX)) as i32
    }
}

#[inline(always)]
pub(super) fn brightness<P: Whole, S: Simd>(_: S, old: View<'_, P>, factor: i32, new: &mut [P]) {
    map_colours(old, new, |value| blend::<P>(0, value, factor));
}

#[inline(always)]
pub(super) fn contrast<P: Whole, S: Simd>(_: S, old: View<'_, P>, factor: i32, new: &mut [P]) {
    let mean = mean_luma(old);
    map_colours(old, new, |value| blend::<P>(mean, value, factor));
}

/// The mean luma, rounded half up.
#[inline(always)]
fn mean_luma<P: Whole>(old: View<'_, P>) -> i32 {
    let row = old.shape.row_values();
    let channels = old.shape.channels();
    // Rows of sums fit 32 bits.
    let sum_of = |row: &[P]| -> u64 {
        let sum = match channels {
            1 => row.iter().map(|value| value.get() as u32).sum::<u32>(),
            2 => row.as_chunks::<2>().0.iter().map(|pixel| pixel[0].get() as u32).sum(),
            3 => row.as_chunks::<3>().0.iter().map(|[r, g, b]| luma([*r, *g, *b])).sum(),
            _ => row.as_chunks::<4>().0.iter().map(|[r, g, b, _]| luma([*r, *g, *b])).sum(),
        };
        u64::from(sum)
    };
    let sum: u64 = old.pixels.chunks_exact(row).map(sum_of).sum();
    let pixels = old.shape.pixels() as u64;
    ((2 * sum + pixels) / (2 * pixels)) as i32
}

#[inline(always)]
pub(super) fn posterize<P: Whole>(old: View<'_, P>, bits: i32, new: &mut [P]) {
    let mask = P::MAX & !(P::MAX >> bits);
    map_colours(old, new, |value| value & mask);
}

#[inline(always)]
pub(super) fn solarize<P: Whole>(old: View<'_, P>, threshold: i32, new: &mut [P]) {
    map_colours(old, new, |value| if value >= threshold { P::MAX - value } else { value });
}

#[inline(always)]
pub(super) fn invert<P: Whole>(old: View<'_, P>, new: &mut [P]) {
    map_colours(old, new, |value| P::MAX - value);
}

/// The values of one channel.
#[inline(always)]
fn channel<P: Whole>(old: View<'_, P>, channel: usize) -> impl Iterator<Item = i32> {
    old.pixels[channel..].iter().step_by(old.shape.channels()).map(|value| value.get())
}

/// Writes one channel.
#[inline(always)]
fn map_channel<P: Whole>(old: View<'_, P>, channel: usize, new: &mut [P], f: impl Fn(i32) -> i32) {
    let step = old.shape.channels();
    let pairs = new[channel..].iter_mut().step_by(step).zip(old.pixels[channel..].iter().step_by(step));
    pairs.for_each(|(new, old)| *new = P::put(f(old.get())));
}

#[inline(always)]
fn copy_alpha<P: Whole>(old: View<'_, P>, new: &mut [P]) {
    let channels = old.shape.channels();
    if colours(channels) < channels {
        map_channel(old, channels - 1, new, |value| value);
    }
}

#[inline(always)]
pub(super) fn autocontrast<P: Whole, S: Simd>(_: S, old: View<'_, P>, new: &mut [P]) {
    for at in 0..colours(old.shape.channels()) {
        let (low, high) = channel(old, at).fold((P::MAX, 0), |(low, high), value| (low.min(value), high.max(value)));
        if low < high {
            let (low, range) = (low as u32, (high - low) as u32);
            map_channel(old, at, new, |value| ((value as u32 - low) * P::MAX as u32 / range) as i32);
        } else {
            map_channel(old, at, new, |value| value);
        }
    }
    copy_alpha(old, new);
}

/// By the first eight bits of a value; the others stay.
#[inline(always)]
pub(super) fn equalize<P: Whole, S: Simd>(_: S, old: View<'_, P>, new: &mut [P]) {
    let shift = P::BITS - 8;
    for at in 0..colours(old.shape.channels()) {
        let mut counts = [0u32; 256];
        channel(old, at).for_each(|value| counts[(value >> shift) as usize] += 1);
        let table = equalizing(&counts);
        let low = (1 << shift) - 1;
        map_channel(old, at, new, |value| i32::from(table[(value >> shift) as usize]) << shift | (value & low));
    }
    copy_alpha(old, new);
}

/// What each value becomes so that all are equally frequent, as Pillow's `equalize` has it.
fn equalizing(counts: &[u32; 256]) -> [u8; 256] {
    let total: u32 = counts.iter().sum();
    let last = counts.iter().rfind(|count| **count > 0).copied().unwrap_or(0);
    let step = (total - last) / 255;
    if step == 0 {
        return std::array::from_fn(|value| value as u8);
    }
    let mut before = step / 2;
    counts.map(|count| {
        let value = (before / step).min(255);
        before += count;
        value as u8
    })
}
