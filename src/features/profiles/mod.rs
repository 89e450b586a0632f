//! Row sums, column sums, centroid, mean and standard deviation: one fused pass over the pixels.

mod arithmetic;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod bytes;
#[cfg(feature = "gpu")]
mod device;
#[cfg(target_arch = "x86_64")]
mod narrow;
mod oracle;
mod portable;
mod sums;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(feature = "gpu")]
use self::device::{DevicePixel, Record};
use self::sums::{Arithmetic, LevelKernels, Sums};
use super::family::{Band, BandSums, BlockNames, Family, ImageSpec, Parameters, channel_prefix, without_parameters};
#[cfg(feature = "gpu")]
use super::family::{BlockGeometry, DeviceForm};
use super::rows::RowsMut;
use crate::base::error::Result;
use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::simd::{Level, run_at_level};

/// Keeps the centroid of an all-zero image at 0 instead of 0/0; part of the reference's formula.
const CENTROID_EPSILON: f64 = 1e-6;
/// Values of a channel besides its row and column sums.
const SINGLE_VALUES: usize = 4;

/// The feature `profiles`.
///
/// For each channel, one channel after another, C·(H + W + 4) values in the feature list:
///
/// | block | values | formula |
/// |---|---|---|
/// | `row_sums` | H | row sum ÷ scale |
/// | `col_sums` | W | column sum ÷ scale |
/// | `centroid` | 2 | cy = Σy·p ÷ (Σp + 10⁻⁶) ÷ H, cx = Σx·p ÷ (Σp + 10⁻⁶) ÷ W |
/// | `mean` | 1 | mean ÷ scale |
/// | `std` | 1 | std ÷ scale, the population's: √(N·Σp² − (Σp)²) ÷ N |
///
/// and for all channels together two columns in raw units, `pixel_mean` and `pixel_std`.
///
/// The formulas are those of the Daft tutorial pipeline's float32 NumPy code, evaluated from exact sums. Each result is
/// rounded to f32 once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Profiles;

impl Parameters for Profiles {
    fn parse(parameters: Option<&str>) -> Result<Self> {
        without_parameters("profiles", parameters)
    }
}

impl Family for Profiles {
    fn blocks(&self, shape: ImageShape) -> Vec<BlockNames> {
        let mut blocks = Vec::new();
        for c in 0..shape.channels() {
            let prefix = channel_prefix(shape, c);
            let one = |name: &str| BlockNames::numbered(format!("{prefix}{name}"), 1, |_| format!("{prefix}{name}"));
            blocks.extend([
                BlockNames::numbered(format!("{prefix}row_sums"), shape.height(), |y| format!("{prefix}row_sum_{y}")),
                BlockNames::numbered(format!("{prefix}col_sums"), shape.width(), |x| format!("{prefix}col_sum_{x}")),
                BlockNames::numbered(format!("{prefix}centroid"), 2, |i| format!("{prefix}centroid_{}", ["y", "x"][i])),
                one("mean"),
                one("std"),
            ]);
        }
        blocks
    }

    fn block_values(&self, shape: ImageShape) -> usize {
        shape.channels() * (shape.height() + shape.width() + SINGLE_VALUES)
    }

    fn columns(&self) -> &'static [&'static str] {
        &["pixel_mean", "pixel_std"]
    }

    fn compute(&self, level: Level, of: ImageSpec, pixels: PixelSlice<'_>, out: &mut RowsMut<'_>) {
        match pixels {
            PixelSlice::U8(pixels) => run_kernel(level, ImageRows { of, pixels, out }),
            PixelSlice::U16(pixels) => run_kernel(level, ImageRows { of, pixels, out }),
            PixelSlice::F32(pixels) => run_kernel(level, ImageRows { of, pixels, out }),
        }
    }

    fn sum_band(&self, level: Level, band: &Band, image: PixelSlice<'_>) -> BandSums {
        fn boxed<P: Arithmetic>(level: Level, band: ImageSpec, pixels: &[P]) -> BandSums {
            let mut sums = Sums::zeroed(band.shape);
            run_kernel(level, ImageSums { pixels, into: &mut sums });
            Box::new(sums)
        }
        match band.pixels(image) {
            PixelSlice::U8(pixels) => boxed(level, band.own(), pixels),
            PixelSlice::U16(pixels) => boxed(level, band.own(), pixels),
            PixelSlice::F32(pixels) => boxed(level, band.own(), pixels),
        }
    }

    fn finish_bands(&self, of: ImageSpec, bands: Vec<BandSums>, row: &mut [f32]) {
        let done = finish_merged::<u8>(of, &bands, row)
            || finish_merged::<u16>(of, &bands, row)
            || finish_merged::<f32>(of, &bands, row);
        assert!(done, "bands are of one pixel type, and made by this family");
    }

    /// Float sums are rounded, so that no features are made of them on the device.
    #[cfg(feature = "gpu")]
    fn device_form(&self, pixel_type: PixelType) -> DeviceForm {
        if pixel_type == PixelType::F32 { DeviceForm::Records } else { DeviceForm::Features }
    }

    #[cfg(feature = "gpu")]
    fn shaders(&self, pixel_type: PixelType) -> &'static [&'static str] {
        device::shaders(pixel_type)
    }

    #[cfg(feature = "gpu")]
    fn shader_numbers(&self, block: &BlockGeometry) -> Vec<(&'static str, usize)> {
        vec![
            ("profiles_sum_words", device::sum_words(block)),
            ("profiles_sums_a_word", device::sums_a_word(block)),
            ("profiles_merged_a_word", device::merged_a_word(block)),
        ]
    }

    #[cfg(feature = "gpu")]
    fn record_words(&self, block: &BlockGeometry) -> usize {
        device::record_words(block)
    }

    #[cfg(feature = "gpu")]
    fn merged_words(&self, block: &BlockGeometry, height: usize) -> usize {
        Record::new(block, height).words()
    }

    #[cfg(feature = "gpu")]
    fn merge_tasks(&self, block: &BlockGeometry, height: usize) -> usize {
        match block.pixel_type {
            PixelType::F32 => block.channels * (height + block.width),
            _ => self.merged_words(block, height),
        }
    }

    #[cfg(feature = "gpu")]
    fn finish_records(
        &self,
        of: ImageSpec,
        block: &BlockGeometry,
        records: &mut dyn Iterator<Item = &[u32]>,
        out: &mut RowsMut<'_>,
    ) -> bool {
        match block.pixel_type {
            PixelType::U8 => finish_records::<u8>(of, block, records, out),
            PixelType::U16 => finish_records::<u16>(of, block, records, out),
            PixelType::F32 => finish_records::<f32>(of, block, records, out),
        }
    }

    #[cfg(feature = "gpu")]
    fn record_sums(&self, band: &Band, block: &BlockGeometry, record: &[u32]) -> Option<BandSums> {
        fn boxed<P: DevicePixel>(band: ImageSpec, block: &BlockGeometry, words: &[u32]) -> Option<BandSums> {
            let mut sums = Sums::<P>::zeroed(band.shape);
            let read = P::read_record(&mut sums, words, &Record::new(block, band.shape.height()));
            read.then(|| Box::new(sums) as BandSums)
        }
        match block.pixel_type {
            PixelType::U8 => boxed::<u8>(band.own(), block, record),
            PixelType::U16 => boxed::<u16>(band.own(), block, record),
            PixelType::F32 => boxed::<f32>(band.own(), block, record),
        }
    }

    fn expected(&self, of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
        oracle::expected(of, image)
    }
}

/// The rows of image after image from their records.
#[cfg(feature = "gpu")]
fn finish_records<P: DevicePixel>(
    of: ImageSpec,
    block: &BlockGeometry,
    records: &mut dyn Iterator<Item = &[u32]>,
    out: &mut RowsMut<'_>,
) -> bool {
    let record = Record::new(block, of.shape.height());
    let mut sums = Sums::<P>::zeroed(of.shape);
    out.iter_mut().zip(records).all(|(row, words)| {
        let read = P::read_record(&mut sums, words, &record);
        finish(of, &sums, row);
        read
    })
}

/// Work on pixels that is written once and compiled for every level.
trait ProfilesKernel {
    /// Runs with the kernels of one level. Must be `#[inline(always)]`, as must all that it calls, so that they are
    /// compiled with the instructions of that level.
    fn run<K: LevelKernels>(self, kernels: K);
}

run_at_level!(run_kernel, ProfilesKernel);

/// The rows of image after image.
struct ImageRows<'a, 'r, P> {
    of: ImageSpec,
    pixels: &'a [P],
    out: &'a mut RowsMut<'r>,
}

impl<P: Arithmetic> ProfilesKernel for ImageRows<'_, '_, P> {
    /// Computes the values of an image while its sums are in cache.
    #[inline(always)]
    fn run<K: LevelKernels>(self, kernels: K) {
        let mut sums = Sums::zeroed(self.of.shape);
        let mut spare = Vec::new();
        for (pixels, row) in self.pixels.chunks_exact(self.of.shape.values()).zip(self.out.iter_mut()) {
            P::image(kernels, pixels, &mut sums, &mut spare);
            finish(self.of, &sums, row);
        }
    }
}

/// The sums of one image or band, which overwrite `into`.
struct ImageSums<'a, P: Arithmetic> {
    pixels: &'a [P],
    into: &'a mut Sums<P>,
}

impl<P: Arithmetic> ProfilesKernel for ImageSums<'_, P> {
    #[inline(always)]
    fn run<K: LevelKernels>(self, kernels: K) {
        debug_assert_eq!(self.pixels.len(), self.into.shape().values());
        P::image(kernels, self.pixels, self.into, &mut Vec::new());
    }
}

/// Writes the row of an image whose bands these are, if they are of this pixel type.
fn finish_merged<P: Arithmetic>(of: ImageSpec, bands: &[BandSums], row: &mut [f32]) -> bool {
    let bands: Option<Vec<&Sums<P>>> = bands.iter().map(|band| band.downcast_ref()).collect();
    let Some(bands) = bands else { return false };
    finish(of, &merged(of.shape, &bands), row);
    true
}

/// The sums of an image of `shape` from those of its bands, in order.
fn merged<P: Arithmetic>(shape: ImageShape, bands: &[&Sums<P>]) -> Sums<P> {
    let mut into = Sums::zeroed(shape);
    let (rows, cols, sum_sq) = into.parts_mut();
    let mut y = 0;
    for band in bands {
        let height = band.shape().height();
        for (rows, part) in rows.chunks_exact_mut(shape.height()).zip(band.row_sums().chunks_exact(height)) {
            rows[y..y + height].copy_from_slice(part);
        }
        for (col, &part) in cols.iter_mut().zip(band.col_sums()) {
            *col = P::add(*col, part);
        }
        y += height;
    }
    for (c, sum_sq) in sum_sq.iter_mut().enumerate() {
        *sum_sq = P::merge(bands.iter().map(|band| {
            let height = band.shape().height();
            let (total, _) = P::weigh(&band.row_sums()[c * height..][..height]);
            (band.shape().pixels(), total, band.sum_sq()[c])
        }));
    }
    into
}

/// Writes the row of one image, rounding each value to f32 once.
#[inline(always)]
fn finish<P: Arithmetic>(of: ImageSpec, sums: &Sums<P>, row: &mut [f32]) {
    let ImageSpec { shape, scale } = of;
    let (h, w, channels) = (shape.height(), shape.width(), shape.channels());
    let n = shape.pixels();
    let mut pool = [(P::Total::default(), P::Total::default()); ImageShape::MAX_CHANNELS];
    let (blocks, columns) = row.split_at_mut(channels * (h + w + SINGLE_VALUES));
    for (c, out) in blocks.chunks_exact_mut(h + w + SINGLE_VALUES).enumerate() {
        let rows = &sums.row_sums()[c * h..][..h];
        let cols = &sums.col_sums()[c * w..][..w];
        let sum_sq = sums.sum_sq()[c];
        let (total, weighted_y) = P::weigh(rows);
        let (_, weighted_x) = P::weigh(cols);
        pool[c] = (total, sum_sq);
        P::scale(rows, w, scale, &mut out[..h]);
        P::scale(cols, h, scale, &mut out[h..h + w]);
        let mass = P::as_f64(total) + CENTROID_EPSILON;
        out[h + w] = (P::as_f64(weighted_y) / mass / h as f64) as f32;
        out[h + w + 1] = (P::as_f64(weighted_x) / mass / w as f64) as f32;
        out[h + w + 2] = (P::as_f64(total) / n as f64 / scale) as f32;
        out[h + w + 3] = (P::std(n, total, sum_sq) / scale) as f32;
    }
    let (total, sum_sq) = if channels == 1 { pool[0] } else { P::pool(n, &pool[..channels]) };
    let all = n * channels;
    columns[0] = (P::as_f64(total) / all as f64) as f32;
    columns[1] = P::std(all, total, sum_sq) as f32;
}
