//! The exact sums that every backend fills and all features follow from.

use std::fmt::Debug;

use crate::base::shape::{ImageShape, PixelType};

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for f32 {}
}

/// A pixel type that kernels exist for: `u8`, `u16`, `f32`. Sealed.
///
/// The associated functions are the arithmetic that differs between exact integers and floats; everything above is
/// written once.
pub trait Pixel: sealed::Sealed + Copy + Default + PartialEq + Debug + Send + Sync + 'static {
    /// The type's name at run time.
    const TYPE: PixelType;
    /// Sum of one row or column: `u32` (a side is at most 65,536) or `f64`.
    type Sum: Copy + Default + PartialEq + Debug + Send + Sync;
    /// Sum of a whole image: `u64` or `f64`.
    type Total: Copy + Default + PartialEq + Debug + Send + Sync;

    /// Σ sᵢ and Σ i·sᵢ.
    fn weigh(sums: &[Self::Sum]) -> (Self::Total, Self::Total);

    /// The total as a float, rounded once.
    fn as_f64(total: Self::Total) -> f64;

    /// Population standard deviation of `n` values from their sum and [`Moments::seconds`].
    fn std(n: usize, total: Self::Total, second: Self::Total) -> f64;

    /// Sum and second moment of several channels of `n` values each, taken as one set of values.
    fn pool(n: usize, channels: &[(Self::Total, Self::Total)]) -> (Self::Total, Self::Total);

    /// `sums[i] / scale` in f64, rounded to f32 once. `longest` is the number of values in the longest sum; `scale` is one
    /// that [`Finisher`](crate::Finisher) takes.
    fn scale(sums: &[Self::Sum], longest: usize, scale: f64, out: &mut [f32]);
}

/// A correctly rounded f32 quotient of two f32 numbers is what rounding the f64 quotient gives (53 ≥ 2·24 + 2 bits:
/// Figueroa, "When is double rounding innocuous?"), so sums below 2²⁴ need no f64 at all. (The range of scales leaves no subnormal quotient.)
#[inline(always)]
fn scale_exact_f32(sums: &[u32], scale: f32, out: &mut [f32]) {
    for (to, &sum) in out.iter_mut().zip(sums) {
        *to = sum as i32 as f32 / scale;
    }
}

macro_rules! integer_pixel {
    ($t:ty, $name:expr) => {
        impl Pixel for $t {
            const TYPE: PixelType = $name;
            type Sum = u32;
            type Total = u64;

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
            fn std(n: usize, total: u64, second: u64) -> f64 {
                let n = n as u64;
                // n²·variance, an exact integer; u64 holds it for all but the largest images.
                let spread = match (n.checked_mul(second), total.checked_mul(total)) {
                    (Some(a), Some(b)) => (a - b) as f64,
                    _ => (u128::from(n) * u128::from(second) - u128::from(total) * u128::from(total)) as f64,
                };
                spread.sqrt() / n as f64
            }

            #[inline(always)]
            fn pool(_: usize, channels: &[(u64, u64)]) -> (u64, u64) {
                channels.iter().fold((0, 0), |(t, s), &(total, second)| (t + total, s + second))
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
integer_pixel!(u8, PixelType::U8);
integer_pixel!(u16, PixelType::U16);

impl Pixel for f32 {
    const TYPE: PixelType = PixelType::F32;
    type Sum = f64;
    type Total = f64;

    #[inline(always)]
    fn weigh(sums: &[f64]) -> (f64, f64) {
        let mut total = 0.0;
        let mut weighted = 0.0;
        for (i, &sum) in sums.iter().enumerate() {
            total += sum;
            weighted += i as f64 * sum;
        }
        (total, weighted)
    }

    #[inline(always)]
    fn as_f64(total: f64) -> f64 {
        total
    }

    #[inline(always)]
    fn std(n: usize, _: f64, second: f64) -> f64 {
        (second / n as f64).sqrt()
    }

    #[inline(always)]
    fn pool(n: usize, channels: &[(f64, f64)]) -> (f64, f64) {
        let n = n as f64;
        let total = channels.iter().map(|c| c.0).sum::<f64>();
        let mean = total / (n * channels.len() as f64);
        // Each channel's spread is about its own mean; moving it to the common one adds n·(difference)².
        let second = channels.iter().map(|c| c.1 + n * (c.0 / n - mean).powi(2)).sum();
        (total, second)
    }

    #[inline(always)]
    fn scale(sums: &[f64], _: usize, scale: f64, out: &mut [f32]) {
        for (to, &sum) in out.iter_mut().zip(sums) {
            *to = (sum / scale) as f32;
        }
    }
}

/// The moments of one image, channel by channel: the contract between the backends and the features.
///
/// All else follows: Σp = Σ row sums, Σy·p = Σ y·row_sums\[y\], Σx·p = Σ x·col_sums\[x\]. For integer pixels every
/// number is exact, so no order of summation can be seen in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments<P: Pixel> {
    shape: ImageShape,
    rows: Vec<P::Sum>,
    cols: Vec<P::Sum>,
    seconds: Vec<P::Total>,
}

/// Row sums, column sums and second moments, laid out as [`Moments::row_sums`] and its siblings say.
pub type Parts<'a, P> = (&'a mut [<P as Pixel>::Sum], &'a mut [<P as Pixel>::Sum], &'a mut [<P as Pixel>::Total]);

impl<P: Pixel> Moments<P> {
    /// All zero, for a kernel to fill.
    pub fn zeroed(shape: ImageShape) -> Self {
        let channels = shape.channels();
        Self {
            shape,
            rows: vec![P::Sum::default(); channels * shape.height()],
            cols: vec![P::Sum::default(); channels * shape.width()],
            seconds: vec![P::Total::default(); channels],
        }
    }

    /// The shape that the sums are of.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Row sums of every channel, channel by channel: `[c·H + y]`.
    pub fn row_sums(&self) -> &[P::Sum] {
        &self.rows
    }

    /// Column sums of every channel, channel by channel: `[c·W + x]`.
    pub fn col_sums(&self) -> &[P::Sum] {
        &self.cols
    }

    /// The second moment of every channel: for integers Σp², for floats Σ(p − mean)², which loses nothing where the mean
    /// is large against the spread.
    pub fn seconds(&self) -> &[P::Total] {
        &self.seconds
    }

    /// The places of all sums, to be written in full.
    #[inline(always)]
    pub fn parts_mut(&mut self) -> Parts<'_, P> {
        (&mut self.rows, &mut self.cols, &mut self.seconds)
    }
}
