//! The passes over 16-bit and float pixels on x86, in the order of the plain code, written once over the few vector
//! operations in which AVX2 and AVX-512 differ.

use super::portable::fold;
use super::sums::Arithmetic;

/// Neighbouring values of a row, widened to sums.
///
/// # Safety
/// Every function needs a CPU with the implementor's instructions. Pointers must be good for as many values as are read
/// or written: `LANES`, or `n` ≤ `LANES` where there is an `n`.
pub(super) trait Wide: Copy {
    /// The type of the pixels.
    type Pixel: Arithmetic;
    /// Squares of all lanes.
    type Squares: Copy;
    /// Values of a vector. Of floats eight, so that the order of additions is that of the plain code.
    const LANES: usize;

    unsafe fn zero() -> Self;
    unsafe fn no_squares() -> Self::Squares;
    unsafe fn load(from: *const Self::Pixel) -> Self;
    /// The lanes from `n` on are zero. `readable` ≥ `n` pixels can be read.
    unsafe fn load_part(from: *const Self::Pixel, n: usize, readable: usize) -> Self;
    unsafe fn load_sums(from: *const <Self::Pixel as Arithmetic>::Sum) -> Self;
    unsafe fn load_sums_part(from: *const <Self::Pixel as Arithmetic>::Sum, n: usize) -> Self;
    unsafe fn store(self, to: *mut <Self::Pixel as Arithmetic>::Sum);
    unsafe fn store_part(self, to: *mut <Self::Pixel as Arithmetic>::Sum, n: usize);
    unsafe fn add(self, other: Self) -> Self;
    /// The sum of the lanes: halves upon halves, as [`fold`].
    unsafe fn total(self) -> <Self::Pixel as Arithmetic>::Sum;
    unsafe fn add_squares(self, to: Self::Squares) -> Self::Squares;
    /// The [`first_pass`] of one channel, with the same result, where there is a faster way for images of these sides. False if
    /// there is none.
    #[inline(always)]
    unsafe fn narrow(
        _pixels: &[Self::Pixel],
        _height: usize,
        _rows: &mut [<Self::Pixel as Arithmetic>::Sum],
        _cols: &mut [<Self::Pixel as Arithmetic>::Sum],
        _sum_sq: &mut [<Self::Pixel as Arithmetic>::Total],
    ) -> bool {
        false
    }
    /// Adds the squares of lane `i` to the total of channel `(first + i) mod C`.
    unsafe fn add_channels<const C: usize>(
        squares: Self::Squares,
        first: usize,
        to: &mut [<Self::Pixel as Arithmetic>::Total],
    );
}

/// As the plain first pass. `G` vectors, three for three channels and else one, keep the channels apart; `L` is their
/// length, G · LANES.
///
/// # Safety
/// The CPU must have the instructions of `V`; `pixels` must be `height` rows of `cols.len()` values.
#[inline(always)]
pub(super) unsafe fn first_pass<V: Wide, const C: usize, const G: usize, const L: usize>(
    pixels: &[V::Pixel],
    height: usize,
    rows: &mut [<V::Pixel as Arithmetic>::Sum],
    cols: &mut [<V::Pixel as Arithmetic>::Sum],
    sum_sq: &mut [<V::Pixel as Arithmetic>::Total],
) {
    const { assert!(L == G * V::LANES) };
    debug_assert_eq!(L % C, 0);
    let row_values = cols.len();
    assert_eq!(pixels.len(), height * row_values);
    // SAFETY: the CPU has the instructions, and the sides were checked.
    if C == 1 && unsafe { V::narrow(pixels, height, rows, cols, sum_sq) } {
        return;
    }
    let whole = row_values / L * L;
    let ends = pixels.as_ptr_range().end;
    // SAFETY: the CPU has the instructions; `x + n` ≤ `row_values`, so what is read and written lies in the row and in
    // `cols`, and from a pixel to the end all is readable.
    unsafe {
        let mut squares = [V::no_squares(); G];
        for y in 0..height {
            let row = pixels.as_ptr().add(y * row_values);
            let mut sums = [V::zero(); G];
            for x in (0..whole).step_by(L) {
                for g in 0..G {
                    let x = x + g * V::LANES;
                    let value = V::load(row.add(x));
                    let to = cols.as_mut_ptr().add(x);
                    V::load_sums(to).add(value).store(to);
                    sums[g] = sums[g].add(value);
                    squares[g] = value.add_squares(squares[g]);
                }
            }
            for g in 0..G {
                let x = whole + g * V::LANES;
                if x < row_values {
                    let n = (row_values - x).min(V::LANES);
                    let value = V::load_part(row.add(x), n, ends.offset_from_unsigned(row.add(x)));
                    let to = cols.as_mut_ptr().add(x);
                    V::load_sums_part(to, n).add(value).store_part(to, n);
                    sums[g] = sums[g].add(value);
                    squares[g] = value.add_squares(squares[g]);
                }
            }
            if C == 1 {
                rows[y] = sums[0].total();
            } else {
                let mut lanes = [<V::Pixel as Arithmetic>::Sum::default(); L];
                for (g, sums) in sums.into_iter().enumerate() {
                    sums.store(lanes.as_mut_ptr().add(g * V::LANES));
                }
                for (c, sum) in fold::<V::Pixel, C, L>(lanes).into_iter().enumerate() {
                    rows[c * height + y] = sum;
                }
            }
        }
        sum_sq.fill(<V::Pixel as Arithmetic>::Total::default());
        for (g, squares) in squares.into_iter().enumerate() {
            V::add_channels::<C>(squares, g * V::LANES, sum_sq);
        }
    }
}

/// Operations of the second pass over floats, eight lanes.
///
/// # Safety
/// As [`Wide`].
pub(super) trait Spread: Wide<Pixel = f32> {
    /// Adds (`self` − `mean`)², in the first `n` lanes alone.
    unsafe fn add_spread(self, mean: Self, n: usize, to: Self) -> Self;
}

/// As the plain second pass, of `C` `means`, in `G` vectors, `L` lanes.
///
/// # Safety
/// The CPU must have the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn spread<V: Spread, const C: usize, const G: usize, const L: usize>(
    pixels: &[f32],
    means: [f64; L],
) -> [f64; C] {
    const { assert!(L == G * V::LANES && V::LANES == 8) };
    let whole = pixels.len() / L * L;
    let from = pixels.as_ptr();
    let mut lanes = [0.0; L];
    // SAFETY: the CPU has the instructions; `x + n` ≤ `pixels.len()`, and `means` and `lanes` have G · 8 places.
    unsafe {
        let mut mean = [V::zero(); G];
        let mut sums = [V::zero(); G];
        for (g, mean) in mean.iter_mut().enumerate() {
            *mean = V::load_sums(means.as_ptr().add(8 * g));
        }
        for x in (0..whole).step_by(L) {
            for g in 0..G {
                sums[g] = V::load(from.add(x + 8 * g)).add_spread(mean[g], 8, sums[g]);
            }
        }
        for g in 0..G {
            let x = whole + 8 * g;
            if x < pixels.len() {
                let n = (pixels.len() - x).min(8);
                sums[g] = V::load_part(from.add(x), n, pixels.len() - x).add_spread(mean[g], n, sums[g]);
            }
        }
        for (g, sums) in sums.into_iter().enumerate() {
            sums.store(lanes.as_mut_ptr().add(8 * g));
        }
    }
    fold::<f32, C, L>(lanes)
}

/// The passes of a level over its vectors of 16-bit pixels, `$lanes` each, and of floats, eight each.
///
/// Whoever calls it vouches that a value of the level proves that the CPU has the vectors' instructions.
macro_rules! passes {
    ($level:ty, $Words:ty: $lanes:literal, $Floats:ty) => {
        impl Passes<u16> for $level {
            #[inline(always)]
            fn first_pass<const C: usize>(
                self,
                pixels: &[u16],
                height: usize,
                rows: &mut [u32],
                cols: &mut [u32],
                sum_sq: &mut [u64],
            ) {
                // SAFETY: `self` proves that the CPU has the instructions.
                unsafe {
                    match C {
                        3 => {
                            super::wide::first_pass::<$Words, C, 3, { 3 * $lanes }>(pixels, height, rows, cols, sum_sq)
                        }
                        _ => super::wide::first_pass::<$Words, C, 1, $lanes>(pixels, height, rows, cols, sum_sq),
                    }
                }
            }

            #[inline(always)]
            fn second_pass<const C: usize>(self, _: &[u16], _: &[u32], _: &mut [u64]) {}
        }

        impl Passes<f32> for $level {
            #[inline(always)]
            fn first_pass<const C: usize>(
                self,
                pixels: &[f32],
                height: usize,
                rows: &mut [f64],
                cols: &mut [f64],
                sum_sq: &mut [f64],
            ) {
                // SAFETY: `self` proves that the CPU has the instructions.
                unsafe {
                    match C {
                        3 => super::wide::first_pass::<$Floats, C, 3, 24>(pixels, height, rows, cols, sum_sq),
                        _ => super::wide::first_pass::<$Floats, C, 1, 8>(pixels, height, rows, cols, sum_sq),
                    }
                }
            }

            #[inline(always)]
            fn second_pass<const C: usize>(self, pixels: &[f32], rows: &[f64], sum_sq: &mut [f64]) {
                // SAFETY: `self` proves that the CPU has the instructions.
                let spread: [f64; C] = unsafe {
                    match C {
                        3 => super::wide::spread::<$Floats, C, 6, 48>(
                            pixels,
                            super::arithmetic::means::<C, 48>(pixels, rows),
                        ),
                        _ => super::wide::spread::<$Floats, C, 4, 32>(
                            pixels,
                            super::arithmetic::means::<C, 32>(pixels, rows),
                        ),
                    }
                };
                sum_sq.copy_from_slice(&spread);
            }
        }
    };
}
pub(super) use passes;
