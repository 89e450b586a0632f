//! Two images in one.

use super::geometry::copy;
use super::vector::{Kernel, Vector, run_kernel};
use crate::base::pixels::Pixel;
use crate::base::shape::{ImageShape, PixelType};
use crate::base::simd::Level;

/// One, as a share.
const ONE: i32 = 1 << 16;

/// `lambda` 65,536ths of one image and the rest of the other: of integers rounded half up, of floats summed in f64.
pub(crate) fn mix<P: Pixel>(lambda: u32, one: &[P], other: &[P], out: &mut [P]) {
    run_kernel(Level::detect(), Mix { lambda, one, other, out });
}

struct Mix<'a, P> {
    lambda: u32,
    one: &'a [P],
    other: &'a [P],
    out: &'a mut [P],
}

impl<P: Pixel> Kernel for Mix<'_, P> {
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        let Self { lambda, one, other, out } = self;
        match P::TYPE {
            PixelType::U8 => {
                let (one, other): (&[u8], &[u8]) = (bytemuck::cast_slice(one), bytemuck::cast_slice(other));
                let out: &mut [u8] = bytemuck::cast_slice_mut(out);
                // λ·a + (1 − λ)·b is b + λ·(a − b), and a + (λ − 1)·(a − b): one of the shares is a word with a sign.
                let near = 2 * lambda >= ONE as u32;
                let share = if near { lambda as i32 - ONE } else { lambda as i32 } as i16;
                for ((out, a), b) in out.iter_mut().zip(one).zip(other) {
                    let (a, b) = (i16::from(*a), i16::from(*b));
                    let difference = a - b;
                    // The upper word of the product, rounded half up by the first bit of the lower one.
                    let upper = ((i32::from(difference) * i32::from(share)) >> 16) as i16;
                    let lower = difference.wrapping_mul(share);
                    *out = (if near { a } else { b } + upper - (lower >> 15)) as u8;
                }
            }
            PixelType::U16 => {
                let (one, other): (&[u16], &[u16]) = (bytemuck::cast_slice(one), bytemuck::cast_slice(other));
                let out: &mut [u16] = bytemuck::cast_slice_mut(out);
                let rest = ONE as u32 - lambda;
                for ((out, a), b) in out.iter_mut().zip(one).zip(other) {
                    *out = ((lambda * u32::from(*a) + rest * u32::from(*b) + (1 << 15)) >> 16) as u16;
                }
            }
            PixelType::F32 => {
                let (one, other): (&[f32], &[f32]) = (bytemuck::cast_slice(one), bytemuck::cast_slice(other));
                let out: &mut [f32] = bytemuck::cast_slice_mut(out);
                let lambda = f64::from(lambda) / f64::from(ONE);
                for ((out, a), b) in out.iter_mut().zip(one).zip(other) {
                    *out = (lambda * f64::from(*a) + (1.0 - lambda) * f64::from(*b)) as f32;
                }
            }
        }
    }
}

/// An image in which a window, given as row, column, height and width, is the other image's.
pub(crate) fn cut<P: Pixel>(
    shape: ImageShape,
    [y, x, height, width]: [usize; 4],
    one: &[P],
    other: &[P],
    out: &mut [P],
) {
    out.copy_from_slice(one);
    let (row, channels) = (shape.row_values(), shape.channels());
    let rows = out.chunks_exact_mut(row).zip(other.chunks_exact(row)).skip(y).take(height);
    let window = x * channels..(x + width) * channels;
    rows.for_each(|(out, other)| copy(&other[window.clone()], &mut out[window.clone()]));
}
