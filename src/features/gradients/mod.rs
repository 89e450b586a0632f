//! Lattice gradients: how strongly the brightness of each part of an image rises in each of eight directions.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod cells;
mod columns;
#[cfg(feature = "gpu")]
mod device;
mod oracle;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::cells::{Arithmetic, DIRECTIONS, Grid, Sums, VALUES, WINDOWS, Windows, finish, weigh_columns};
use self::columns::Columns;
#[cfg(feature = "gpu")]
use super::family::BlockGeometry;
use super::family::{Band, BandSums, BlockNames, Family, ImageSpec, Parameters, channel_prefix, without_parameters};
use super::rows::RowsMut;
use crate::base::error::Result;
use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
#[cfg(target_arch = "x86_64")]
use crate::base::simd::Avx2;
use crate::base::simd::{Level, Portable, run_at_level};

/// The feature `gradients`.
///
/// For each channel, one channel after another, a block `gradients` of 128 values: 4 rows of 4 windows, and of each window
/// eight directions, in turns of 45° from right to down. The value of direction `d` of the window in row `r` and column
/// `c` is named `gradient_r{r}c{c}_d{d}`. It is 0 to 1 if the pixels lie within a range as wide as the scale: the square root
/// of the window's mean of that direction, as a share of the scale.
///
/// 1. The border is clamped: L, R, U and D are the pixels left, right, up and down, or the pixel itself where there is none.
/// 2. With a ⊖ b = max(a − b, 0): x⁺ = R ⊖ L, x⁻ = L ⊖ R, y⁺ = D ⊖ U, y⁻ = U ⊖ D, a = x⁺ + x⁻ and b = y⁺ + y⁻.
/// 3. The directions of the pixel: x⁺ ⊖ b, min(x⁺, y⁺), y⁺ ⊖ a, min(x⁻, y⁺), x⁻ ⊖ b, min(x⁻, y⁻), y⁻ ⊖ a, min(x⁺, y⁻).
///    Their sum is max(a, b). This shares the gradient out to the two lattice directions next to it, exactly and without
///    angles.
/// 4. The image has 10×10 cells. Row y is in row ⌊10·y ÷ H⌋ of cells, column x in column ⌊10·x ÷ W⌋. Cells of small images may
///    have no pixels.
/// 5. Window (i, j) has the cells 2·i to 2·i + 3 down and 2·j to 2·j + 3 across, with the weights 1, 3, 3, 1 along each side.
///    S is the weighed sum of a direction over the pixels of the window, A the weighed number of its pixels.
/// 6. The value is √(S ÷ (scale · A)), and 0 if A = 0.
///
/// The definition is this crate's own. It is a relative of histograms of oriented gradients (Dalal and Triggs, 2005), with
/// lattice directions instead of angles and without normalised blocks.
///
/// For 8 and 16-bit pixels S is an exact integer below 2⁵³. Quotient and root are computed in f64 and rounded to f32 once.
/// Of float pixels the directions and their sums, none of whose terms is negative, are computed in f64: each value is
/// within 2⁻²³ times itself of the exact one. A device has no form of them, so the CPU computes them.
///
/// Colour images have these values for each channel. The strongest channel of a pixel, which HOG takes, would need a rule
/// for ties and lose the others. Gray would lose edges between colours of equal brightness. Who wants 128 values of a colour
/// image puts the stage `gray` before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Gradients;

impl Parameters for Gradients {
    fn parse(parameters: Option<&str>) -> Result<Self> {
        without_parameters("gradients", parameters)
    }
}

impl Family for Gradients {
    fn blocks(&self, shape: ImageShape) -> Vec<BlockNames> {
        let block = |c| {
            let prefix = channel_prefix(shape, c);
            BlockNames::numbered(format!("{prefix}gradients"), VALUES, |i| {
                let (window, direction) = (i / DIRECTIONS, i % DIRECTIONS);
                format!("{prefix}gradient_r{}c{}_d{direction}", window / WINDOWS, window % WINDOWS)
            })
        };
        (0..shape.channels()).map(block).collect()
    }

    fn block_values(&self, shape: ImageShape) -> usize {
        shape.channels() * VALUES
    }

    fn compute(&self, level: Level, of: ImageSpec, pixels: PixelSlice<'_>, out: &mut RowsMut<'_>) {
        match pixels {
            PixelSlice::U8(pixels) => run_kernel(level, ImageRows { of, pixels, out }),
            PixelSlice::U16(pixels) => run_kernel(level, ImageRows { of, pixels, out }),
            PixelSlice::F32(pixels) => run_kernel(level, ImageRows { of, pixels, out }),
        }
    }

    fn sum_band(&self, level: Level, band: &Band, image: PixelSlice<'_>) -> BandSums {
        fn boxed<P: LevelPixel>(level: Level, band: &Band, image: &[P]) -> BandSums {
            let mut windows = Windows::<P::Total>::new();
            run_kernel(level, BandKernel { band, image, windows: &mut windows });
            Box::new(windows)
        }
        match image {
            PixelSlice::U8(image) => boxed(level, band, image),
            PixelSlice::U16(image) => boxed(level, band, image),
            PixelSlice::F32(image) => boxed(level, band, image),
        }
    }

    fn finish_bands(&self, of: ImageSpec, bands: Vec<BandSums>, row: &mut [f32]) {
        // Sums of both integer types are u64, and finished in the same way.
        let done = finish_merged::<u8>(of, &bands, row) || finish_merged::<f32>(of, &bands, row);
        assert!(done, "bands are of one pixel type, and made by this family");
    }

    #[cfg(feature = "gpu")]
    fn shaders(&self, _: PixelType) -> &'static [&'static str] {
        device::SHADERS
    }

    #[cfg(feature = "gpu")]
    fn record_words(&self, block: &BlockGeometry) -> usize {
        block.channels * VALUES
    }

    /// Two words a sum.
    #[cfg(feature = "gpu")]
    fn merged_words(&self, block: &BlockGeometry, _: usize) -> usize {
        2 * self.record_words(block)
    }

    #[cfg(feature = "gpu")]
    fn finish_records(
        &self,
        of: ImageSpec,
        block: &BlockGeometry,
        records: &mut dyn Iterator<Item = &[u32]>,
        out: &mut RowsMut<'_>,
    ) -> bool {
        let grid = Grid::new(of);
        for (row, record) in out.iter_mut().zip(records) {
            finish::<u8>(&grid, &device::read(block, record), row);
        }
        true
    }

    #[cfg(feature = "gpu")]
    fn record_sums(&self, _: &Band, block: &BlockGeometry, record: &[u32]) -> Option<BandSums> {
        Some(Box::new(device::read(block, record)))
    }

    fn expected(&self, of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
        oracle::expected(of, image)
    }
}

/// Writes the row of an image whose bands these are, if their sums are of this kind.
fn finish_merged<P: Arithmetic>(of: ImageSpec, bands: &[BandSums], row: &mut [f32]) -> bool {
    let bands: Option<Vec<&Windows<P::Total>>> = bands.iter().map(|band| band.downcast_ref()).collect();
    let Some(bands) = bands else { return false };
    let mut windows = no_windows::<P>(of.shape.channels());
    for band in bands {
        for (to, from) in windows.as_flattened_mut().iter_mut().zip(band.as_flattened()) {
            *to = P::plus(*to, *from);
        }
    }
    finish::<P>(&Grid::new(of), &windows, row);
    true
}

fn no_windows<P: Arithmetic>(channels: usize) -> Windows<P::Total> {
    vec![[P::Total::default(); DIRECTIONS]; channels * WINDOWS * WINDOWS]
}

/// What adds up the directions of images, and what it keeps from image to image.
trait Kernel<P: Arithmetic> {
    /// Adds the sums of the rows of a band of `image`.
    fn add(&mut self, grid: &Grid, image: &[P], band: &Range<usize>, sums: &mut Sums<P::Total>);

    /// Writes the row of an image from its sums. Overwrites `windows`, which is memory that is kept from image to image.
    #[inline(always)]
    fn finish(&self, grid: &Grid, sums: &Sums<P::Total>, windows: &mut Windows<P::Total>, row: &mut [f32]) {
        weigh_columns::<P>(sums, windows);
        finish::<P>(grid, windows, row);
    }
}

/// The kernels of a SIMD level. All methods, and those of the kernels, must be `#[inline(always)]`, so that they are
/// compiled with the instructions of the level.
trait LevelKernels: Copy {
    fn bytes(self, grid: &Grid) -> impl Kernel<u8>;
    fn words(self, grid: &Grid) -> impl Kernel<u16>;

    /// The same at every level, so that sums have one order.
    #[inline(always)]
    fn floats(self, grid: &Grid) -> impl Kernel<f32> {
        Columns::<f32, 8>::new(grid)
    }
}

impl LevelKernels for Portable {
    #[inline(always)]
    fn bytes(self, grid: &Grid) -> impl Kernel<u8> {
        Columns::<u8, 16>::new(grid)
    }

    #[inline(always)]
    fn words(self, grid: &Grid) -> impl Kernel<u16> {
        Columns::<u16, 8>::new(grid)
    }
}

#[cfg(target_arch = "x86_64")]
impl LevelKernels for Avx2 {
    #[inline(always)]
    fn bytes(self, grid: &Grid) -> impl Kernel<u8> {
        Columns::<u8, 32>::new(grid)
    }

    #[inline(always)]
    fn words(self, grid: &Grid) -> impl Kernel<u16> {
        Columns::<u16, 16>::new(grid)
    }
}

/// A pixel type that every level has a kernel for.
trait LevelPixel: Arithmetic {
    fn kernel<K: LevelKernels>(kernels: K, grid: &Grid) -> impl Kernel<Self>;
}

macro_rules! level_pixel {
    ($pixel:ty, $kernel:ident) => {
        impl LevelPixel for $pixel {
            #[inline(always)]
            fn kernel<K: LevelKernels>(kernels: K, grid: &Grid) -> impl Kernel<Self> {
                kernels.$kernel(grid)
            }
        }
    };
}
level_pixel!(u8, bytes);
level_pixel!(u16, words);
level_pixel!(f32, floats);

/// Work on pixels that is written once and compiled for every level.
trait GradientsKernel {
    /// Must be `#[inline(always)]`, as [`LevelKernels`] says.
    fn run<K: LevelKernels>(self, kernels: K);
}

run_at_level!(run_kernel, GradientsKernel);

/// The rows of image after image.
struct ImageRows<'a, 'r, P> {
    of: ImageSpec,
    pixels: &'a [P],
    out: &'a mut RowsMut<'r>,
}

impl<P: LevelPixel> GradientsKernel for ImageRows<'_, '_, P> {
    #[inline(always)]
    fn run<K: LevelKernels>(self, kernels: K) {
        let grid = Grid::new(self.of);
        let mut kernel = P::kernel(kernels, &grid);
        let (mut sums, mut windows) = (Sums::zeroed(grid.channels), no_windows::<P>(grid.channels));
        for (image, row) in self.pixels.chunks_exact(self.of.shape.values()).zip(self.out.iter_mut()) {
            sums.clear();
            kernel.add(&grid, image, &(0..grid.height()), &mut sums);
            kernel.finish(&grid, &sums, &mut windows, row);
        }
    }
}

/// The sums of a band, which overwrite `windows`.
struct BandKernel<'a, P: Arithmetic> {
    band: &'a Band,
    image: &'a [P],
    windows: &'a mut Windows<P::Total>,
}

impl<P: LevelPixel> GradientsKernel for BandKernel<'_, P> {
    #[inline(always)]
    fn run<K: LevelKernels>(self, kernels: K) {
        let grid = Grid::new(self.band.of);
        let mut sums = Sums::zeroed(grid.channels);
        P::kernel(kernels, &grid).add(&grid, self.image, &self.band.rows, &mut sums);
        *self.windows = no_windows::<P>(grid.channels);
        weigh_columns::<P>(&sums, self.windows);
    }
}
