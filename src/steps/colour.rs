//! Colours: their luma, and what is between colour and luma.

use super::arithmetic::{luma, saturated};
use super::vector::Vector;
use super::{View, Whole};
use crate::base::pixels::Pixel;
use crate::base::shape::PixelType;

/// Applies a function to every colour. Alpha is copied.
#[inline(always)]
pub(super) fn map_colours<P: Whole>(old: View<'_, P>, new: &mut [P], f: impl Fn(i32) -> i32) {
    let map = |value: P| P::put(f(value.get()));
    match old.shape.channels() {
        2 => {
            for (old, new) in old.pixels.as_chunks::<2>().0.iter().zip(new.as_chunks_mut::<2>().0) {
                *new = [map(old[0]), old[1]];
            }
        }
        4 => {
            for (old, new) in old.pixels.as_chunks::<4>().0.iter().zip(new.as_chunks_mut::<4>().0) {
                *new = [map(old[0]), map(old[1]), map(old[2]), old[3]];
            }
        }
        _ => {
            for (old, new) in old.pixels.iter().zip(new) {
                *new = map(*old);
            }
        }
    }
}

/// Applies a function to the three colours of every pixel. Alpha is copied. Images without colours stay.
#[inline(always)]
fn map_pixels<P: Whole>(old: View<'_, P>, new: &mut [P], f: impl Fn([P; 3]) -> [P; 3]) {
    match old.shape.channels() {
        3 => {
            for (old, new) in old.pixels.as_chunks::<3>().0.iter().zip(new.as_chunks_mut::<3>().0) {
                *new = f(*old);
            }
        }
        4 => {
            for ([r, g, b, alpha], new) in old.pixels.as_chunks::<4>().0.iter().zip(new.as_chunks_mut::<4>().0) {
                let [r, g, b] = f([*r, *g, *b]);
                *new = [r, g, b, *alpha];
            }
        }
        _ => new.copy_from_slice(old.pixels),
    }
}

#[inline(always)]
pub(super) fn luma_everywhere<P: Whole>(old: View<'_, P>, new: &mut [P]) {
    map_pixels(old, new, |rgb| [P::put(luma(rgb) as i32); 3]);
}

#[inline(always)]
pub(super) fn saturation<P: Whole, V: Vector>(vector: V, old: View<'_, P>, factor: i32, new: &mut [P]) {
    if P::BITS == 8 && old.shape.channels() == 3 {
        return vector.saturate(bytemuck::cast_slice(old.pixels), factor, bytemuck::cast_slice_mut(new));
    }
    map_pixels(old, new, |rgb| saturated(rgb, factor));
}

/// Through hue, saturation and value as Pillow has them, in whole numbers.
#[inline(always)]
pub(super) fn hue<P: Whole>(old: View<'_, P>, turn: i32, new: &mut [P]) {
    map_pixels(old, new, |rgb| turned(rgb, turn));
}

#[inline(always)]
fn turned<P: Whole>(rgb: [P; 3], turn: i32) -> [P; 3] {
    let values = rgb.map(|value| value.get() as u32);
    let turn = turn as u32 & 0xff;
    let values = if P::BITS == 8 { turned_bytes(values, turn) } else { turned_words(values, turn) };
    values.map(|value| P::put(value as i32))
}

macro_rules! turned {
    ($turned:ident, $max:literal, $Wide:ty) => {
        /// The same for values up to a bound, in integers that hold its third power.
        #[inline(always)]
        fn $turned([r, g, b]: [u32; 3], turn: u32) -> [u32; 3] {
            const MAX: $Wide = $max;
            let (low, high) = (r.min(g).min(b), r.max(g).max(b));
            if low == high {
                return [r, g, b];
            }
            let range = high - low;
            // Sixths of the circle from red on, in units of 1 ÷ range. Red begins at 6 where it comes before 0.
            let sixths = if r == high {
                if g >= b { g - b } else { 6 * range + g - b }
            } else if g == high {
                2 * range + b - r
            } else {
                4 * range + r - g
            };
            let (value, range, sixths) = (<$Wide>::from(high), <$Wide>::from(range), <$Wide>::from(sixths));
            let saturation = range * MAX / value;
            let hue = (sixths * MAX / (6 * range) + <$Wide>::from(turn) * (MAX / 255)) % (MAX + 1);
            let (sector, part) = (hue * 6 / MAX, hue * 6 % MAX);
            // The value times 1 − weight ÷ whole, rounded half up.
            let once = |weight: $Wide| ((2 * value * (MAX - weight) + MAX) / (2 * MAX)) as u32;
            let twice = |weight: $Wide| {
                const SQUARE: $Wide = MAX * MAX;
                ((2 * value * (SQUARE - weight) + SQUARE) / (2 * SQUARE)) as u32
            };
            let (p, q, t) = (once(saturation), twice(saturation * part), twice(saturation * (MAX - part)));
            match sector {
                0 | 6 => [high, t, p],
                1 => [q, high, p],
                2 => [p, high, t],
                3 => [p, q, high],
                4 => [t, p, high],
                _ => [high, p, q],
            }
        }
    };
}
turned!(turned_bytes, 255, u32);
turned!(turned_words, 65_535, u64);

/// One channel of luma. Of gray and alpha gray remains.
#[inline(always)]
pub(super) fn gray<P: Pixel>(old: View<'_, P>, new: &mut [P]) {
    let channels = old.shape.channels();
    let pixels = old.pixels.chunks_exact(channels);
    if channels < 3 {
        new.iter_mut().zip(pixels).for_each(|(new, old)| *new = old[0]);
        return;
    }
    match P::TYPE {
        PixelType::U8 => gray_of::<u8>(bytemuck::cast_slice(old.pixels), channels, bytemuck::cast_slice_mut(new)),
        PixelType::U16 => gray_of::<u16>(bytemuck::cast_slice(old.pixels), channels, bytemuck::cast_slice_mut(new)),
        PixelType::F32 => {
            let pixels: &[f32] = bytemuck::cast_slice(old.pixels);
            let new: &mut [f32] = bytemuck::cast_slice_mut(new);
            for (new, old) in new.iter_mut().zip(pixels.chunks_exact(channels)) {
                let [r, g, b] = [old[0], old[1], old[2]].map(f64::from);
                *new = (0.299 * r + 0.587 * g + 0.114 * b) as f32;
            }
        }
    }
}

#[inline(always)]
fn gray_of<P: Whole>(old: &[P], channels: usize, new: &mut [P]) {
    for (new, old) in new.iter_mut().zip(old.chunks_exact(channels)) {
        *new = P::put(luma([old[0], old[1], old[2]]) as i32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::shape::ImageShape;

    #[test]
    fn luma_is_the_weighted_sum_rounded() {
        // To the nearest, but for the weights' own error of less than 1/65,536 of each value.
        for r in (0..=255u8).step_by(5) {
            for g in (0..=255u8).step_by(3) {
                for b in 0..=255u8 {
                    let exact = (299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) as f64 / 1000.0;
                    let got = f64::from(luma::<u8>([r, g, b]));
                    assert!((got - exact).abs() < 0.502, "{r} {g} {b}: {got}, {exact}");
                }
            }
        }
        for (rgb, gray) in [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([10, 200, 90], 131)] {
            assert_eq!(luma::<u8>(rgb), gray);
        }
        assert_eq!(luma::<u16>([65_535; 3]), 65_535);
        let (shape, pixels) = (ImageShape::new(1, 1, 3).unwrap(), &[1.0, 0.5, 0.25f32][..]);
        let mut new = [0.0];
        gray(View { shape, pixels }, &mut new);
        assert_eq!(new, [0.621]);
    }

    #[test]
    fn gray_stays_and_alpha_goes() {
        for value in 0..=255 {
            assert_eq!(luma::<u8>([value; 3]), u32::from(value));
        }
        let convert = |channels, pixels: &[u8]| {
            let shape = ImageShape::new(1, pixels.len() / channels, channels).unwrap();
            let mut new = vec![0; shape.width()];
            gray(View { shape, pixels }, &mut new);
            new
        };
        assert_eq!(convert(1, &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(convert(2, &[1, 200, 3, 200]), [1, 3]);
        assert_eq!(convert(3, &[255, 0, 0, 7, 7, 7]), [76, 7]);
        assert_eq!(convert(4, &[0, 255, 0, 0, 7, 7, 7, 200]), [150, 7]);
    }
}
