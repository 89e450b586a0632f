//! The kernel in plain Rust, written once for every pixel type and channel count; the other levels instantiate it with
//! their instructions for whatever they have no kernel of their own for.

use super::sums::{Arithmetic, LevelKernels, Passes, Sums};
use crate::base::simd::Portable;

impl LevelKernels for Portable {
    #[inline(always)]
    fn bytes(self, pixels: &[u8], into: &mut Sums<u8>, spare: &mut Vec<u32>) {
        any_image(self, pixels, into, spare);
    }
}

impl<P: Arithmetic> Passes<P> for Portable {
    #[inline(always)]
    fn first_pass<const C: usize>(
        self,
        pixels: &[P],
        height: usize,
        rows: &mut [P::Sum],
        cols: &mut [P::Sum],
        sum_sq: &mut [P::Total],
    ) {
        match C {
            3 => first_pass::<P, C, 24>(pixels, height, rows, cols, sum_sq),
            _ => first_pass::<P, C, 8>(pixels, height, rows, cols, sum_sq),
        }
    }

    #[inline(always)]
    fn second_pass<const C: usize>(self, pixels: &[P], rows: &[P::Sum], sum_sq: &mut [P::Total]) {
        P::second_pass::<C>(pixels, rows, sum_sq);
    }
}

/// The sum of each channel's lanes, halves upon halves.
#[inline(always)]
pub(super) fn fold<P: Arithmetic, const C: usize, const L: usize>(mut lanes: [P::Sum; L]) -> [P::Sum; C] {
    let mut left = L;
    while left > C {
        left /= 2;
        for lane in 0..left {
            lanes[lane] = P::add(lanes[lane], lanes[lane + left]);
        }
    }
    *lanes.first_chunk().expect("L is C times a power of two")
}

/// Overwrites `into` with the sums of one image of any pixel type.
#[inline(always)]
pub(super) fn any_image<P: Arithmetic, K: Passes<P>>(
    kernels: K,
    pixels: &[P],
    into: &mut Sums<P>,
    spare: &mut Vec<P::Sum>,
) {
    match into.shape().channels() {
        1 => channels::<P, K, 1>(kernels, pixels, into, spare),
        2 => channels::<P, K, 2>(kernels, pixels, into, spare),
        3 => channels::<P, K, 3>(kernels, pixels, into, spare),
        _ => channels::<P, K, 4>(kernels, pixels, into, spare),
    }
}

#[inline(always)]
fn channels<P: Arithmetic, K: Passes<P>, const C: usize>(
    kernels: K,
    pixels: &[P],
    into: &mut Sums<P>,
    spare: &mut Vec<P::Sum>,
) {
    let shape = into.shape();
    let (height, width) = (shape.height(), shape.width());
    let (rows, cols, sum_sq) = into.parts_mut();
    if C == 1 {
        cols.fill(P::Sum::default());
        kernels.first_pass::<C>(pixels, height, rows, cols, sum_sq);
    } else {
        spare.clear();
        spare.resize(width * C, P::Sum::default());
        kernels.first_pass::<C>(pixels, height, rows, spare, sum_sq);
        for (x, sums) in spare.as_chunks::<C>().0.iter().enumerate() {
            for c in 0..C {
                cols[c * width + x] = sums[c];
            }
        }
    }
    kernels.second_pass::<C>(pixels, rows, sum_sq);
}

/// A row is taken as W·C values, whatever their channel: value `i` goes to lane `i mod L`, so `L`, a multiple of `C`,
/// keeps the channels apart, and float sums have one order, whichever instructions compute the lanes.
#[inline(always)]
fn first_pass<P: Arithmetic, const C: usize, const L: usize>(
    pixels: &[P],
    height: usize,
    rows: &mut [P::Sum],
    cols: &mut [P::Sum],
    sum_sq: &mut [P::Total],
) {
    let row_values = cols.len();
    let (col_chunks, col_rest) = cols.as_chunks_mut::<L>();
    let rows_per_fold = (P::SQUARES / (row_values / L + 1)).max(1);
    sum_sq.fill(P::Total::default());
    let mut squares = [P::Square::default(); L];
    for (y, row) in pixels.chunks_exact(row_values).enumerate() {
        let mut lanes = [P::Sum::default(); L];
        let mut add = |lane: usize, pixel: P, col: &mut P::Sum| {
            let value = pixel.widen();
            *col = P::add(*col, value);
            lanes[lane] = P::add(lanes[lane], value);
            squares[lane] = P::add_square(squares[lane], value);
        };
        let (chunks, rest) = row.as_chunks::<L>();
        for (chunk, cols) in chunks.iter().zip(&mut *col_chunks) {
            for lane in 0..L {
                add(lane, chunk[lane], &mut cols[lane]);
            }
        }
        for (lane, (&pixel, col)) in rest.iter().zip(&mut *col_rest).enumerate() {
            add(lane, pixel, col);
        }
        for (c, sum) in fold::<P, C, L>(lanes).into_iter().enumerate() {
            rows[c * height + y] = sum;
        }
        if (y + 1) % rows_per_fold == 0 || y + 1 == height {
            for (lane, square) in squares.iter_mut().enumerate() {
                sum_sq[lane % C] = P::add_lane(sum_sq[lane % C], std::mem::take(square));
            }
        }
    }
}
