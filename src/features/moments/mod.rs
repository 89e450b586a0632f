//! Moments: how the brightness of an image is spread about its centroid.

mod binomials;
mod central;
mod floats;
mod oracle;

#[cfg(feature = "gpu")]
use self::binomials::PARTS;
use self::binomials::{Binomials, Cascaded, Workspace};
use self::central::VALUES;
use self::floats::FloatSums;
use super::family::{
    Band, BandSums, BlockNames, Family, ImageSpec, Parameters, channel_prefix, sums_of_bands, without_parameters,
};
#[cfg(feature = "gpu")]
use super::family::{BlockGeometry, DeviceForm};
use super::rows::RowsMut;
use crate::base::error::Result;
use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::simd::{Level, Simd, SimdKernel, run_simd};

/// The feature `moments`.
///
/// For each channel, one channel after another, two blocks. `central_moments` has 7 values, normalised central moments to
/// order 3: `nu20`, `nu11`, `nu02`, `nu30`, `nu21`, `nu12`, `nu03`. The first figure is the power of x. `hu_moments` has 7
/// values, `hu1` to `hu7`: Hu's invariants (M.-K. Hu, *Visual pattern recognition by moment invariants*, IRE Trans. Inf.
/// Theory 8, 1962). Position and size of a shape do not change the first block; turning does not change the second either.
///
/// With p = pixel ÷ scale, x̄ = Σx·p ÷ Σp and ȳ = Σy·p ÷ Σp:
///
/// 1. μ_kj = Σ(x−x̄)ᵏ·(y−ȳ)ʲ·p
/// 2. ν_kj = μ_kj ÷ μ₀₀^(1+(k+j)/2)
/// 3. Hu's invariants are those polynomials of ν that OpenCV's `HuMoments` and scikit-image's `moments_hu` compute.
///
/// The values are those of OpenCV's `moments` and `HuMoments` for the image divided by the scale. Scikit-image's
/// `moments_normalized` has the same values; it names the row's power first. Its `hu7` has the other sign, because
/// `moments_hu` takes rows for x.
///
/// If Σp is not positive, as in a black image, all values are 0. A value that f32 cannot hold becomes the largest that it
/// can.
///
/// Sums of integer pixels are exact in 128 bits: the sums about the pixel nearest to the centroid (a half rounds up) are
/// integers. From there to the centroid it is at most half a pixel, for which f64 serves. Float pixels are summed in f64
/// about the middle of the image, on the CPU only. A value is then within 10⁻⁶ of itself and 10⁻¹² more, unless an image is
/// more than 1,000 times as wide or high as what is bright in it, or its mass nearly cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Moments;

impl Parameters for Moments {
    fn parse(parameters: Option<&str>) -> Result<Self> {
        without_parameters("moments", parameters)
    }
}

/// Writes the row of an image from the sums of its channels.
fn finish(of: ImageSpec, sums: &[Binomials], row: &mut [f32]) {
    for (values, sums) in row.chunks_exact_mut(VALUES).zip(sums) {
        values.copy_from_slice(&central::values(&sums.about_the_centroid(), of.scale));
    }
}

fn finish_floats(of: ImageSpec, sums: &[FloatSums], row: &mut [f32]) {
    for (values, sums) in row.chunks_exact_mut(VALUES).zip(sums) {
        values.copy_from_slice(&central::values(sums, of.scale));
    }
}

impl Family for Moments {
    fn blocks(&self, shape: ImageShape) -> Vec<BlockNames> {
        let named = |prefix: String| {
            let nu = |i: usize| format!("{prefix}nu{}", ["20", "11", "02", "30", "21", "12", "03"][i]);
            let hu = |i: usize| format!("{prefix}hu{}", i + 1);
            [
                BlockNames::numbered(format!("{prefix}central_moments"), 7, nu),
                BlockNames::numbered(format!("{prefix}hu_moments"), 7, hu),
            ]
        };
        (0..shape.channels()).flat_map(|channel| named(channel_prefix(shape, channel))).collect()
    }

    fn block_values(&self, shape: ImageShape) -> usize {
        shape.channels() * VALUES
    }

    fn compute(&self, level: Level, of: ImageSpec, pixels: PixelSlice<'_>, out: &mut RowsMut<'_>) {
        match pixels {
            PixelSlice::U8(pixels) => run_simd(level, IntegerRows { of, pixels, out }),
            PixelSlice::U16(pixels) => run_simd(level, IntegerRows { of, pixels, out }),
            PixelSlice::F32(pixels) => run_simd(level, FloatRows { of, pixels, out }),
        }
    }

    fn sum_band(&self, level: Level, band: &Band, image: PixelSlice<'_>) -> BandSums {
        fn integers<P: Cascaded>(level: Level, band: &Band, pixels: &[P]) -> BandSums {
            let mut sums = vec![Binomials::default(); band.of.shape.channels()];
            run_simd(level, IntegerBand { band, pixels, sums: &mut sums });
            Box::new(sums)
        }
        match band.pixels(image) {
            PixelSlice::U8(pixels) => integers(level, band, pixels),
            PixelSlice::U16(pixels) => integers(level, band, pixels),
            PixelSlice::F32(pixels) => {
                let mut sums = vec![FloatSums::default(); band.of.shape.channels()];
                run_simd(level, FloatBand { band, pixels, sums: &mut sums });
                Box::new(sums)
            }
        }
    }

    fn finish_bands(&self, of: ImageSpec, bands: Vec<BandSums>, row: &mut [f32]) {
        let integers: Option<Vec<&Vec<Binomials>>> = bands.iter().map(|band| band.downcast_ref()).collect();
        if let Some(bands) = integers {
            let mut sums = vec![Binomials::default(); of.shape.channels()];
            for band in bands {
                sums.iter_mut().zip(band).for_each(|(sum, band)| sum.add(band));
            }
            return finish(of, &sums, row);
        }
        let mut sums = vec![FloatSums::default(); of.shape.channels()];
        for band in sums_of_bands::<Vec<FloatSums>>(bands) {
            for (sum, band) in sums.iter_mut().flatten().zip(band.iter().flatten()) {
                *sum += band;
            }
        }
        finish_floats(of, &sums, row);
    }

    /// The host needs 128 bits, which a device does not have.
    #[cfg(feature = "gpu")]
    fn device_form(&self, pixel_type: PixelType) -> DeviceForm {
        if pixel_type == PixelType::F32 { DeviceForm::No } else { DeviceForm::Records }
    }

    #[cfg(feature = "gpu")]
    fn shaders(&self, _: PixelType) -> &'static [&'static str] {
        &[include_str!("../../../shaders/moments.wgsl")]
    }

    #[cfg(feature = "gpu")]
    fn record_words(&self, block: &BlockGeometry) -> usize {
        2 * PARTS * block.channels
    }

    /// The records of all tiles: the host moves each to its place.
    #[cfg(feature = "gpu")]
    fn merged_words(&self, block: &BlockGeometry, height: usize) -> usize {
        block.bands(height) * block.across() * self.record_words(block)
    }

    #[cfg(feature = "gpu")]
    fn merge_tasks(&self, block: &BlockGeometry, height: usize) -> usize {
        self.merged_words(block, height)
    }

    #[cfg(feature = "gpu")]
    fn finish_records(
        &self,
        of: ImageSpec,
        block: &BlockGeometry,
        records: &mut dyn Iterator<Item = &[u32]>,
        out: &mut RowsMut<'_>,
    ) -> bool {
        for (row, record) in out.iter_mut().zip(records) {
            finish(of, &read(block, 0, record), row);
        }
        true
    }

    #[cfg(feature = "gpu")]
    fn record_sums(&self, band: &Band, block: &BlockGeometry, record: &[u32]) -> Option<BandSums> {
        Some(Box::new(read(block, band.rows.start, record)))
    }

    fn expected(&self, of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
        oracle::expected(of, image)
    }
}

/// The sums in the record of an image, or of a band that begins at row `first`: those of its blocks, each counted from the
/// block's own first row and column.
#[cfg(feature = "gpu")]
fn read(block: &BlockGeometry, first: usize, record: &[u32]) -> Vec<Binomials> {
    let mut sums = vec![Binomials::default(); block.channels];
    for (tile, record) in record.chunks_exact(2 * PARTS * block.channels).enumerate() {
        let (y, x) = (first + tile / block.across() * block.rows, tile % block.across() * block.pixels);
        for (sums, words) in sums.iter_mut().zip(record.chunks_exact(2 * PARTS)) {
            let part = std::array::from_fn(|i| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32);
            sums.add_part(y, x, &part);
        }
    }
    sums
}

/// The rows of image after image.
struct IntegerRows<'a, 'r, P> {
    of: ImageSpec,
    pixels: &'a [P],
    out: &'a mut RowsMut<'r>,
}

impl<P: Cascaded> SimdKernel for IntegerRows<'_, '_, P> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let mut workspace = Workspace::new(self.of.shape);
        let mut sums = vec![Binomials::default(); self.of.shape.channels()];
        for (image, row) in self.pixels.chunks_exact(self.of.shape.values()).zip(self.out.iter_mut()) {
            sums.fill(Binomials::default());
            workspace.add(0, image, &mut sums);
            finish(self.of, &sums, row);
        }
    }
}

/// The sums of a band.
struct IntegerBand<'a, P> {
    band: &'a Band,
    pixels: &'a [P],
    sums: &'a mut [Binomials],
}

impl<P: Cascaded> SimdKernel for IntegerBand<'_, P> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        Workspace::new(self.band.of.shape).add(self.band.rows.start, self.pixels, self.sums);
    }
}

/// The rows of image after image of floats.
struct FloatRows<'a, 'r> {
    of: ImageSpec,
    pixels: &'a [f32],
    out: &'a mut RowsMut<'r>,
}

impl SimdKernel for FloatRows<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let shape = self.of.shape;
        let mut sums = vec![FloatSums::default(); shape.channels()];
        for (image, row) in self.pixels.chunks_exact(shape.values()).zip(self.out.iter_mut()) {
            sums.fill(FloatSums::default());
            floats::add(shape, 0, image, &mut sums);
            finish_floats(self.of, &sums, row);
        }
    }
}

/// The sums of a band of floats.
struct FloatBand<'a> {
    band: &'a Band,
    pixels: &'a [f32],
    sums: &'a mut [FloatSums],
}

impl SimdKernel for FloatBand<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        floats::add(self.band.of.shape, self.band.rows.start, self.pixels, self.sums);
    }
}

#[cfg(test)]
mod tests;
