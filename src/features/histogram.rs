//! Histograms: how many values of a channel fall into each of N equal parts of their range.

use std::fmt;

use super::family::{Band, BandSums, BlockNames, Family, ImageSpec, Parameters, channel_prefix, sums_of_bands};
#[cfg(feature = "gpu")]
use super::family::{BlockGeometry, DeviceForm};
use super::rows::RowsMut;
use crate::base::error::{Error, Result};
use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::simd::{Level, Simd, SimdKernel, run_simd};

/// The feature `histogram:N`.
///
/// For each channel, one channel after another, a block `histogram` of N values: the share of the channel's pixels in each
/// of N equal parts of the range of values, from the lowest to the highest. The shares of a channel add up to 1.
///
/// Of 8 and 16-bit pixels the range is that of their type: with N = 2ᵏ, a value of b bits counts in part p ÷ 2^(b−k),
/// rounded down. Of float pixels it is 0 to the scale: p counts in part p·N ÷ scale, rounded down, and in the first or the
/// last part if it lies outside. Counts are exact integers, and count ÷ (H·W) is rounded to f32 once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Histogram {
    /// log₂ of the number of parts.
    log2_bins: u8,
}

impl Histogram {
    /// With `bins` parts.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `bins` is not a power of two from 2 to 256.
    pub fn new(bins: usize) -> Result<Self> {
        if (2..=256).contains(&bins) && bins.is_power_of_two() {
            return Ok(Self { log2_bins: bins.trailing_zeros() as u8 });
        }
        let why = format!("`histogram:{bins}`: bins are a power of two from 2 to 256");
        Err(Error::InvalidOption { option: "features", why })
    }

    /// The number of parts.
    pub fn bins(self) -> usize {
        1 << self.log2_bins
    }
}

impl Parameters for Histogram {
    fn parse(parameters: Option<&str>) -> Result<Self> {
        match parameters.and_then(|bins| bins.parse().ok()) {
            Some(bins) => Self::new(bins),
            None => {
                let why = "`histogram` needs a number of bins, as in histogram:16".to_owned();
                Err(Error::InvalidOption { option: "features", why })
            }
        }
    }

    fn fmt_parameters(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}", self.bins())
    }
}

impl Histogram {
    /// Writes the row of an image from its counts.
    fn finish(of: ImageSpec, counts: &[u32], row: &mut [f32]) {
        let pixels = of.shape.pixels() as f64;
        for (value, &count) in row.iter_mut().zip(counts) {
            *value = (f64::from(count) / pixels) as f32;
        }
    }
}

impl Family for Histogram {
    fn blocks(&self, shape: ImageShape) -> Vec<BlockNames> {
        let block = |c| {
            let prefix = channel_prefix(shape, c);
            BlockNames::numbered(format!("{prefix}histogram"), self.bins(), |bin| format!("{prefix}histogram_{bin}"))
        };
        (0..shape.channels()).map(block).collect()
    }

    fn block_values(&self, shape: ImageShape) -> usize {
        shape.channels() * self.bins()
    }

    fn compute(&self, level: Level, of: ImageSpec, pixels: PixelSlice<'_>, out: &mut RowsMut<'_>) {
        run_simd(level, CountRows { histogram: *self, of, pixels, out });
    }

    fn sum_band(&self, level: Level, band: &Band, image: PixelSlice<'_>) -> BandSums {
        let mut counts = vec![0; self.block_values(band.of.shape)];
        let pixels = band.pixels(image);
        run_simd(level, CountBand { histogram: *self, of: band.of, pixels, counts: &mut counts });
        Box::new(counts)
    }

    fn finish_bands(&self, of: ImageSpec, bands: Vec<BandSums>, row: &mut [f32]) {
        let mut counts = vec![0u32; self.block_values(of.shape)];
        for band in sums_of_bands::<Vec<u32>>(bands) {
            counts.iter_mut().zip(band).for_each(|(sum, count)| *sum += count);
        }
        Self::finish(of, &counts, row);
    }

    /// A device rounds where a float falls, so that no features are made of such counts there.
    #[cfg(feature = "gpu")]
    fn device_form(&self, pixel_type: PixelType) -> DeviceForm {
        if pixel_type == PixelType::F32 { DeviceForm::Records } else { DeviceForm::Features }
    }

    #[cfg(feature = "gpu")]
    fn shaders(&self, pixel_type: PixelType) -> &'static [&'static str] {
        const COUNTS: &str = include_str!("../../shaders/histogram.wgsl");
        const FINISH: &str = include_str!("../../shaders/histogram_finish.wgsl");
        match pixel_type {
            PixelType::U8 | PixelType::U16 => &[COUNTS, FINISH],
            PixelType::F32 => &[COUNTS],
        }
    }

    #[cfg(feature = "gpu")]
    fn shader_numbers(&self, _: &BlockGeometry) -> Vec<(&'static str, usize)> {
        vec![("histogram_bins", self.bins())]
    }

    #[cfg(feature = "gpu")]
    fn record_words(&self, block: &BlockGeometry) -> usize {
        block.channels * self.bins()
    }

    #[cfg(feature = "gpu")]
    fn finish_records(
        &self,
        of: ImageSpec,
        _: &BlockGeometry,
        records: &mut dyn Iterator<Item = &[u32]>,
        out: &mut RowsMut<'_>,
    ) -> bool {
        out.iter_mut().zip(records).for_each(|(row, counts)| Self::finish(of, counts, row));
        true
    }

    #[cfg(feature = "gpu")]
    fn record_sums(&self, _: &Band, _: &BlockGeometry, record: &[u32]) -> Option<BandSums> {
        Some(Box::new(record.to_vec()))
    }

    fn expected(&self, of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
        let (bins, channels) = (self.bins(), of.shape.channels());
        let bin = |i: usize| match image {
            PixelSlice::U8(pixels) => usize::from(pixels[i]) * bins / 256,
            PixelSlice::U16(pixels) => usize::from(pixels[i]) * bins / 65_536,
            PixelSlice::F32(pixels) => {
                (f64::from(pixels[i]) * bins as f64 / of.scale).floor().clamp(0.0, (bins - 1) as f64) as usize
            }
        };
        let mut counts = vec![0usize; channels * bins];
        (0..of.shape.values()).for_each(|i| counts[i % channels * bins + bin(i)] += 1);
        counts.into_iter().map(|count| (count as f64 / of.shape.pixels() as f64) as f32).collect()
    }
}

/// The rows of image after image.
struct CountRows<'a, 'r> {
    histogram: Histogram,
    of: ImageSpec,
    pixels: PixelSlice<'a>,
    out: &'a mut RowsMut<'r>,
}

impl SimdKernel for CountRows<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut counts = vec![0; self.histogram.block_values(self.of.shape)];
        for (pixels, row) in self.pixels.chunks(self.of.shape.values()).zip(self.out.iter_mut()) {
            counts.fill(0);
            add(simd, self.histogram, self.of, pixels, &mut counts);
            Histogram::finish(self.of, &counts, row);
        }
    }
}

/// The counts of a band.
struct CountBand<'a> {
    histogram: Histogram,
    of: ImageSpec,
    pixels: PixelSlice<'a>,
    counts: &'a mut [u32],
}

impl SimdKernel for CountBand<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        add(simd, self.histogram, self.of, self.pixels, self.counts);
    }
}

/// Adds the counts of every channel, channel by channel.
#[inline(always)]
pub(super) fn add<S: Simd>(simd: S, histogram: Histogram, of: ImageSpec, pixels: PixelSlice<'_>, counts: &mut [u32]) {
    /// More parts than this are counted faster one value at a time.
    const MAX_VECTOR_BINS: usize = 32;
    let (bins, log2, channels) = (histogram.bins(), u32::from(histogram.log2_bins), of.shape.channels());
    match pixels {
        PixelSlice::U8(pixels) if channels == 1 && bins <= MAX_VECTOR_BINS => {
            add_vectors(simd, pixels, 8 - log2, counts);
        }
        PixelSlice::U8(pixels) => add_values(pixels, channels, bins, counts, |p| usize::from(p >> (8 - log2))),
        PixelSlice::U16(pixels) => add_values(pixels, channels, bins, counts, |p| usize::from(p >> (16 - log2))),
        PixelSlice::F32(pixels) => {
            let (factor, last) = (bins as f64, (bins - 1) as f64);
            // The conversion rounds down, since nothing negative is left.
            add_values(pixels, channels, bins, counts, |p| {
                (f64::from(p) * factor / of.scale).max(0.0).min(last) as usize
            });
        }
    }
}

/// Counts bytes a vector at a time: each part of the range has a vector of byte counters.
#[inline(always)]
pub(super) fn add_vectors<S: Simd>(simd: S, pixels: &[u8], shift: u32, counts: &mut [u32]) {
    /// Parts that are counted in one pass, so that their counters stay in registers.
    const GROUP: usize = 8;
    /// Vectors until a byte counter could be full.
    const MAX_VECTORS: usize = 255;
    for part in pixels.chunks(MAX_VECTORS * S::LANES) {
        let vectors = part.chunks_exact(S::LANES);
        for &pixel in vectors.remainder() {
            counts[usize::from(pixel >> shift)] += 1;
        }
        for (group, counts) in counts.chunks_mut(GROUP).enumerate() {
            let bins: [S::Bytes; GROUP] = std::array::from_fn(|i| simd.splat((group * GROUP + i) as u8));
            let mut counters = [simd.splat(0); GROUP];
            for vector in vectors.clone() {
                let vector = simd.shift_right(simd.load(vector), shift);
                for i in 0..GROUP {
                    counters[i] = simd.count_equal(counters[i], vector, bins[i]);
                }
            }
            for (count, counters) in counts.iter_mut().zip(counters) {
                *count += simd.sum(counters);
            }
        }
    }
}

/// Counts value by value.
#[inline(always)]
pub(super) fn add_values<T: Copy>(
    pixels: &[T],
    channels: usize,
    bins: usize,
    counts: &mut [u32],
    bin: impl Fn(T) -> usize,
) {
    match channels {
        3 => add_lanes::<T, 3>(pixels, channels, bins, counts, bin),
        _ => add_lanes::<T, 4>(pixels, channels, bins, counts, bin),
    }
}

/// Neighbouring values are counted in `L` tables, a multiple of the channels: equal neighbours do not wait for each other.
#[inline(always)]
fn add_lanes<T: Copy, const L: usize>(
    pixels: &[T],
    channels: usize,
    bins: usize,
    counts: &mut [u32],
    bin: impl Fn(T) -> usize,
) {
    let mut tables = [[0u32; 256]; L];
    let (chunks, rest) = pixels.as_chunks::<L>();
    for chunk in chunks {
        for lane in 0..L {
            tables[lane][bin(chunk[lane]) & 0xff] += 1;
        }
    }
    for (lane, &pixel) in rest.iter().enumerate() {
        tables[lane][bin(pixel) & 0xff] += 1;
    }
    for (lane, table) in tables.iter().enumerate() {
        let counts = &mut counts[lane % channels * bins..][..bins];
        counts.iter_mut().zip(table).for_each(|(count, &more)| *count += more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_powers_of_two() {
        for bins in [2, 16, 256] {
            assert_eq!(Histogram::new(bins).unwrap().bins(), bins);
        }
        for text in ["", "0", "1", "3", "512", "x", "-2"] {
            assert!(Histogram::parse(Some(text)).is_err(), "{text}");
        }
        assert!(Histogram::parse(None).is_err());
    }

    #[test]
    fn shares_are_those_counted_by_hand() {
        let of = ImageSpec { shape: ImageShape::gray(1, 8).unwrap(), scale: 255.0 };
        let pixels = [0u8, 63, 64, 127, 128, 255, 255, 200];
        let expected = Histogram::new(4).unwrap().expected(of, (&pixels[..]).into());
        assert_eq!(expected, [0.25, 0.25, 0.125, 0.375]);
        let of = ImageSpec { scale: 2.0, ..of };
        let floats = [-1.0f32, 0.0, 0.5, 0.999, 1.0, 1.5, 2.0, 9.0];
        let expected = Histogram::new(2).unwrap().expected(of, (&floats[..]).into());
        assert_eq!(expected, [0.5, 0.5]);
    }

    #[test]
    fn byte_counters_do_not_overflow() {
        for len in [254, 255, 256, 255 * 64, 255 * 64 + 1, 100_000] {
            let shape = ImageShape::gray(1, len.min(65_536)).unwrap();
            let pixels = vec![77u8; shape.values()];
            let histogram = Histogram::new(16).unwrap();
            for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
                let band = Band { of: ImageSpec { shape, scale: 255.0 }, rows: 0..1 };
                let counts = histogram.sum_band(level, &band, (&pixels).into());
                let counts: Box<Vec<u32>> = counts.downcast().unwrap();
                assert_eq!((counts[4], counts.iter().sum::<u32>()), (shape.values() as u32, shape.values() as u32));
            }
        }
    }
}
