//! The exact sums that every backend fills and the profiles follow from, and what makes them: the arithmetic of a pixel
//! type, and the kernels of a SIMD level.

use std::fmt::Debug;

use crate::base::pixels::Pixel;
use crate::base::shape::ImageShape;

/// The arithmetic in which the pixel types differ: exact integers and floats. All else is written once.
pub(crate) trait Arithmetic: Pixel {
    /// Sum of one row or column: `u32` (a side is at most 65,536) or `f64`.
    type Sum: Copy + Default + PartialEq + Debug + Send + Sync;
    /// Sum of a whole image: `u64` or `f64`.
    type Total: Copy + Default + PartialEq + Debug + Send + Sync;
    /// The sum of squares in one lane; `()` where a second pass sums them.
    type Square: Copy + Default;
    /// How many squares one lane can hold.
    const SQUARES: usize;

    fn widen(self) -> Self::Sum;
    fn add(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    fn add_square(sum: Self::Square, value: Self::Sum) -> Self::Square;
    fn add_lane(total: Self::Total, lane: Self::Square) -> Self::Total;

    /// Overwrites `into` with the sums of one image. `spare` is memory that is kept from image to image.
    fn image<K: LevelKernels>(kernels: K, pixels: &[Self], into: &mut Sums<Self>, spare: &mut Vec<Self::Sum>);

    /// Turns the Σp² of every channel, as the first pass left them, into [`Sums::sum_sq`].
    fn second_pass<const C: usize>(pixels: &[Self], rows: &[Self::Sum], sum_sq: &mut [Self::Total]);

    /// [`Sums::sum_sq`] of several sets of values, from the size, the sum and the `sum_sq` of each.
    fn merge(parts: impl Iterator<Item = (usize, Self::Total, Self::Total)> + Clone) -> Self::Total;

    /// Σ sᵢ and Σ i·sᵢ.
    fn weigh(sums: &[Self::Sum]) -> (Self::Total, Self::Total);

    /// The total as a float, rounded once.
    fn as_f64(total: Self::Total) -> f64;

    /// Population standard deviation of `n` values from their sum and [`Sums::sum_sq`].
    fn std(n: usize, total: Self::Total, sum_sq: Self::Total) -> f64;

    /// Sum and [`Sums::sum_sq`] of several channels of `n` values each, taken as one set of values.
    fn pool(n: usize, channels: &[(Self::Total, Self::Total)]) -> (Self::Total, Self::Total);

    /// `sums[i] / scale` in f64, rounded to f32 once. `longest` is the number of values in the longest sum; `scale` is one
    /// that a [`FeatureLayout`](crate::FeatureLayout) takes.
    fn scale(sums: &[Self::Sum], longest: usize, scale: f64, out: &mut [f32]);
}

/// What a level computes otherwise than the plain code.
pub(crate) trait LevelKernels: Passes<u16> + Passes<f32> {
    /// The sums of one image of bytes, as [`Arithmetic::image`].
    fn bytes(self, pixels: &[u8], into: &mut Sums<u8>, spare: &mut Vec<u32>);
}

/// The passes over one image's pixels of type `P`, `C` channels.
pub(crate) trait Passes<P: Arithmetic>: Copy {
    /// Row sums, column sums in the order of a row's values, added to what is there, and Σp². `pixels` are `height` rows
    /// of `cols.len()` values.
    fn first_pass<const C: usize>(
        self,
        pixels: &[P],
        height: usize,
        rows: &mut [P::Sum],
        cols: &mut [P::Sum],
        sum_sq: &mut [P::Total],
    );

    /// Turns the Σp² of every channel, as the first pass left them, into sums of squares about the mean.
    fn second_pass<const C: usize>(self, pixels: &[P], rows: &[P::Sum], sum_sq: &mut [P::Total]);
}

/// The sums of one image or of a band of its rows, channel by channel.
///
/// All else follows: Σp = Σ row sums, Σy·p = Σ y·row\_sums\[y\], Σx·p = Σ x·col\_sums\[x\]. For integer pixels every
/// number is exact, so the order of the additions does not matter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums<P: Arithmetic> {
    shape: ImageShape,
    rows: Vec<P::Sum>,
    cols: Vec<P::Sum>,
    sum_sq: Vec<P::Total>,
}

/// Row sums, column sums and `sum_sq`, laid out as [`Sums::row_sums`] and its siblings say.
pub(crate) type Parts<'a, P> =
    (&'a mut [<P as Arithmetic>::Sum], &'a mut [<P as Arithmetic>::Sum], &'a mut [<P as Arithmetic>::Total]);

impl<P: Arithmetic> Sums<P> {
    /// All zero, for a kernel to fill.
    pub fn zeroed(shape: ImageShape) -> Self {
        let channels = shape.channels();
        Self {
            shape,
            rows: vec![P::Sum::default(); channels * shape.height()],
            cols: vec![P::Sum::default(); channels * shape.width()],
            sum_sq: vec![P::Total::default(); channels],
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

    /// Of every channel, for integers Σp², for floats Σ(p − mean)²: that loses nothing where the mean is large against
    /// the spread.
    pub fn sum_sq(&self) -> &[P::Total] {
        &self.sum_sq
    }

    /// All sums, to be written in full.
    #[inline(always)]
    pub fn parts_mut(&mut self) -> Parts<'_, P> {
        (&mut self.rows, &mut self.cols, &mut self.sum_sq)
    }
}
