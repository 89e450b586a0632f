//! The arithmetic of each pixel type: exact integers, and floats in f64.

use super::portable::{any_image, fold};
use super::sums::{Arithmetic, LevelKernels, Sums};

/// A correctly rounded f32 quotient of two f32 numbers is what rounding the f64 quotient gives (53 ≥ 2·24 + 2 bits:
/// Figueroa, "When is double rounding innocuous?"), so sums below 2²⁴ need no f64 at all. No quotient is subnormal, because
/// scales have a range.
#[inline(always)]
fn scale_exact_f32(sums: &[u32], scale: f32, out: &mut [f32]) {
    for (to, &sum) in out.iter_mut().zip(sums) {
        *to = sum as i32 as f32 / scale;
    }
}

macro_rules! integer {
    ($t:ty, $square:ty, $squares:expr, $kernels:ident, $pixels:ident, $into:ident, $spare:ident => $image:expr) => {
        impl Arithmetic for $t {
            type Sum = u32;
            type Total = u64;
            type Square = $square;
            const SQUARES: usize = $squares;

            #[inline(always)]
            fn image<K: LevelKernels>($kernels: K, $pixels: &[Self], $into: &mut Sums<Self>, $spare: &mut Vec<u32>) {
                $image
            }

            #[inline(always)]
            fn widen(self) -> u32 {
                u32::from(self)
            }

            #[inline(always)]
            fn add(a: u32, b: u32) -> u32 {
                a + b
            }

            #[inline(always)]
            fn add_square(sum: $square, value: u32) -> $square {
                sum + <$square>::from(value * value)
            }

            #[inline(always)]
            fn add_lane(total: u64, lane: $square) -> u64 {
                total + u64::from(lane)
            }

            #[inline(always)]
            fn second_pass<const C: usize>(_: &[Self], _: &[u32], _: &mut [u64]) {}

            fn merge(parts: impl Iterator<Item = (usize, u64, u64)> + Clone) -> u64 {
                parts.map(|(_, _, sum_sq)| sum_sq).sum()
            }

            #[inline(always)]
            fn weigh(sums: &[u32]) -> (u64, u64) {
                let mut total = 0;
                let mut weighted = 0;
                for (i, &sum) in sums.iter().enumerate() {
                    total += u64::from(sum);
                    weighted += i as u64 * u64::from(sum);
                }
                (total, weighted)
            }

            #[inline(always)]
            fn as_f64(total: u64) -> f64 {
                total as f64
            }

            #[inline(always)]
            fn std(n: usize, total: u64, sum_sq: u64) -> f64 {
                let n = n as u64;
                // n²·variance, an exact integer; u64 holds it for all but the largest images.
                let spread = match (n.checked_mul(sum_sq), total.checked_mul(total)) {
                    (Some(a), Some(b)) => (a - b) as f64,
                    _ => (u128::from(n) * u128::from(sum_sq) - u128::from(total) * u128::from(total)) as f64,
                };
                spread.sqrt() / n as f64
            }

            #[inline(always)]
            fn pool(_: usize, channels: &[(u64, u64)]) -> (u64, u64) {
                channels.iter().fold((0, 0), |(t, s), &(total, sum_sq)| (t + total, s + sum_sq))
            }

            #[inline(always)]
            fn scale(sums: &[u32], longest: usize, scale: f64, out: &mut [f32]) {
                let fits_f32 = longest * (<$t>::MAX as usize) < 1 << 24 && f64::from(scale as f32) == scale;
                if fits_f32 {
                    scale_exact_f32(sums, scale as f32, out);
                } else {
                    for (to, &sum) in out.iter_mut().zip(sums) {
                        *to = (f64::from(sum) / scale) as f32;
                    }
                }
            }
        }
    };
}
integer!(u8, u32, u32::MAX as usize / (255 * 255), kernels, pixels, into, spare => kernels.bytes(pixels, into, spare));
integer!(u16, u64, usize::MAX, kernels, pixels, into, spare => any_image(kernels, pixels, into, spare));

impl Arithmetic for f32 {
    type Sum = f64;
    type Total = f64;
    type Square = ();
    const SQUARES: usize = usize::MAX;

    #[inline(always)]
    fn image<K: LevelKernels>(kernels: K, pixels: &[f32], into: &mut Sums<f32>, spare: &mut Vec<f64>) {
        any_image(kernels, pixels, into, spare);
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn add(a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn add_square((): (), _: f64) {}

    #[inline(always)]
    fn add_lane(total: f64, (): ()) -> f64 {
        total
    }

    #[inline(always)]
    fn second_pass<const C: usize>(pixels: &[f32], rows: &[f64], sum_sq: &mut [f64]) {
        match C {
            3 => spread::<C, 48>(pixels, rows, sum_sq),
            _ => spread::<C, 32>(pixels, rows, sum_sq),
        }
    }

    fn merge(parts: impl Iterator<Item = (usize, f64, f64)> + Clone) -> f64 {
        let (n, total) = parts.clone().fold((0, 0.0), |(n, total), part| (n + part.0, total + part.1));
        let mean = total / n as f64;
        parts.map(|(n, total, sum_sq)| sum_sq + n as f64 * (total / n as f64 - mean).powi(2)).sum()
    }

    /// In eight lanes: one sum after another would take as long as all of a small image.
    #[inline(always)]
    fn weigh(sums: &[f64]) -> (f64, f64) {
        let (mut totals, mut weighted, mut places) = ([0.0; 8], [0.0; 8], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let (eights, rest) = sums.as_chunks::<8>();
        for eight in eights {
            for lane in 0..8 {
                totals[lane] += eight[lane];
                weighted[lane] += places[lane] * eight[lane];
                places[lane] += 8.0;
            }
        }
        for (lane, sum) in rest.iter().enumerate() {
            totals[lane] += sum;
            weighted[lane] += places[lane] * sum;
        }
        let ([total], [weighted]) = (fold::<f32, 1, 8>(totals), fold::<f32, 1, 8>(weighted));
        (total, weighted)
    }

    #[inline(always)]
    fn as_f64(total: f64) -> f64 {
        total
    }

    #[inline(always)]
    fn std(n: usize, _: f64, sum_sq: f64) -> f64 {
        (sum_sq / n as f64).sqrt()
    }

    #[inline(always)]
    fn pool(n: usize, channels: &[(f64, f64)]) -> (f64, f64) {
        let n = n as f64;
        let total = channels.iter().map(|c| c.0).sum::<f64>();
        let mean = total / (n * channels.len() as f64);
        // Each channel's spread is about its own mean; moving it to the common one adds n·(difference)².
        let sum_sq = channels.iter().map(|c| c.1 + n * (c.0 / n - mean).powi(2)).sum();
        (total, sum_sq)
    }

    #[inline(always)]
    fn scale(sums: &[f64], _: usize, scale: f64, out: &mut [f32]) {
        // As usual for floats: a quotient by 1 changes nothing and takes long.
        if scale == 1.0 {
            for (to, &sum) in out.iter_mut().zip(sums) {
                *to = sum as f32;
            }
            return;
        }
        for (to, &sum) in out.iter_mut().zip(sums) {
            *to = (sum / scale) as f32;
        }
    }
}

/// The mean of every channel, repeated over `L` lanes.
#[inline(always)]
pub(super) fn means<const C: usize, const L: usize>(pixels: &[f32], rows: &[f64]) -> [f64; L] {
    let n = pixels.len() / C;
    let height = rows.len() / C;
    let mut means = [0.0; L];
    for c in 0..C {
        let mean = f32::weigh(&rows[c * height..][..height]).0 / n as f64;
        for lane in (c..L).step_by(C) {
            means[lane] = mean;
        }
    }
    means
}

/// Σ(p − mean)² of every channel, in `L` lanes.
#[inline(always)]
fn spread<const C: usize, const L: usize>(pixels: &[f32], rows: &[f64], sum_sq: &mut [f64]) {
    let means = means::<C, L>(pixels, rows);
    let mut lanes = [0.0; L];
    let mut add = |lane: usize, pixel: f32| {
        let off = f64::from(pixel) - means[lane];
        lanes[lane] += off * off;
    };
    let (chunks, rest) = pixels.as_chunks::<L>();
    for chunk in chunks {
        for (lane, &pixel) in chunk.iter().enumerate() {
            add(lane, pixel);
        }
    }
    for (lane, &pixel) in rest.iter().enumerate() {
        add(lane, pixel);
    }
    sum_sq.copy_from_slice(&fold::<f32, C, L>(lanes));
}
