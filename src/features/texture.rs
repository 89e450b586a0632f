//! Texture: a histogram of brightness and one of local binary patterns.

use std::ops::Range;

#[cfg(feature = "gpu")]
use super::family::BlockGeometry;
use super::family::{
    Band, BandSums, BlockNames, Family, ImageSpec, Parameters, channel_prefix, sums_of_bands, without_parameters,
};
use super::histogram::{self, Histogram};
use super::rows::RowsMut;
use crate::base::error::Result;
use crate::base::pixels::{Pixel, PixelSlice};
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::simd::{Level, Simd, SimdKernel, run_simd};

/// Parts of the histogram of brightness.
const BINS: usize = 16;
/// Kinds of local binary patterns: by their ones from 0 to 8, and all that are not uniform.
const PATTERNS: usize = 10;
/// The kind of patterns that are not uniform.
const MIXED: u8 = 9;
/// Values of a channel.
const VALUES: usize = BINS + PATTERNS;

/// The feature `texture`: what the surface looks like, wherever it is in the image.
///
/// For each channel, one channel after another, two blocks. `texture_histogram` has 16 values: how many pixels fall into
/// each of 16 equal parts of the range, as [`Histogram`] counts them. `lbp` has 10 values: how many pixels have each kind of
/// local binary pattern (T. Ojala, M. Pietikäinen, T. Mäenpää, *Multiresolution gray-scale and rotation invariant texture
/// classification with local binary patterns*, IEEE PAMI 24, 2002, with 8 neighbours at distance 1, not interpolated):
///
/// 1. The ring of a pixel is its neighbours in the order E, SE, S, SW, W, NW, N, NE. Beyond the border a neighbour is the
///    nearest pixel of the image.
/// 2. The bit of a neighbour is 1 if its value is at least the pixel's.
/// 3. If the bits change at most twice round the ring, the kind is the number of ones, 0 to 8. Otherwise it is 9.
///
/// Every value is √(count ÷ (H·W)), which is computed in f64 and rounded to f32 once. The square root brings rare and
/// frequent patterns to one scale; the squares of the 16, and of the 10, add up to 1. Colour images have these values for
/// each channel, since textures of one brightness may differ in a channel.
///
/// Counts are exact integers; an image has fewer than 2³¹ pixels, so 32 bits hold them. Float pixels are compared as they
/// are, on the CPU only, so that their counts are exact as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Texture;

impl Parameters for Texture {
    fn parse(parameters: Option<&str>) -> Result<Self> {
        without_parameters("texture", parameters)
    }
}

/// How many pixels of each channel are in each part of the range, [channel · 16 + part], and have each kind of pattern,
/// [channel · 10 + kind].
#[derive(Debug, Clone, PartialEq)]
struct Counts {
    bins: Vec<u32>,
    patterns: Vec<u32>,
}

impl Counts {
    fn zeroed(channels: usize) -> Self {
        Self { bins: vec![0; channels * BINS], patterns: vec![0; channels * PATTERNS] }
    }

    /// Writes the row of an image.
    fn finish(&self, of: ImageSpec, row: &mut [f32]) {
        let channels = self.bins.chunks_exact(BINS).zip(self.patterns.chunks_exact(PATTERNS));
        let counts = channels.flat_map(|(bins, patterns)| bins.iter().chain(patterns));
        write_roots(of, counts.copied(), row);
    }
}

/// Writes the values of counts.
fn write_roots(of: ImageSpec, counts: impl Iterator<Item = u32>, row: &mut [f32]) {
    let pixels = of.shape.pixels() as f64;
    for (value, count) in row.iter_mut().zip(counts) {
        *value = (f64::from(count) / pixels).sqrt() as f32;
    }
}

impl Family for Texture {
    fn blocks(&self, shape: ImageShape) -> Vec<BlockNames> {
        let channels = (0..shape.channels()).map(|channel| channel_prefix(shape, channel));
        let named = |prefix: String| {
            ["texture_histogram", "lbp"].map(|name| {
                let values = if name == "lbp" { PATTERNS } else { BINS };
                BlockNames::numbered(format!("{prefix}{name}"), values, |i| format!("{prefix}{name}_{i}"))
            })
        };
        channels.flat_map(named).collect()
    }

    fn block_values(&self, shape: ImageShape) -> usize {
        shape.channels() * VALUES
    }

    fn compute(&self, level: Level, of: ImageSpec, pixels: PixelSlice<'_>, out: &mut RowsMut<'_>) {
        run_simd(level, TextureRows { of, pixels, out });
    }

    fn sum_band(&self, level: Level, band: &Band, image: PixelSlice<'_>) -> BandSums {
        let mut counts = Counts::zeroed(band.of.shape.channels());
        run_simd(level, TextureBand { band, image, counts: &mut counts });
        Box::new(counts)
    }

    fn finish_bands(&self, of: ImageSpec, bands: Vec<BandSums>, row: &mut [f32]) {
        let mut sum = Counts::zeroed(of.shape.channels());
        for band in sums_of_bands::<Counts>(bands) {
            sum.bins.iter_mut().zip(band.bins).for_each(|(sum, count)| *sum += count);
            sum.patterns.iter_mut().zip(band.patterns).for_each(|(sum, count)| *sum += count);
        }
        sum.finish(of, row);
    }

    #[cfg(feature = "gpu")]
    fn shaders(&self, _: PixelType) -> &'static [&'static str] {
        &[include_str!("../../shaders/texture.wgsl"), include_str!("../../shaders/texture_finish.wgsl")]
    }

    #[cfg(feature = "gpu")]
    fn record_words(&self, block: &BlockGeometry) -> usize {
        block.channels * VALUES
    }

    #[cfg(feature = "gpu")]
    fn finish_records(
        &self,
        of: ImageSpec,
        _: &BlockGeometry,
        records: &mut dyn Iterator<Item = &[u32]>,
        out: &mut RowsMut<'_>,
    ) -> bool {
        out.iter_mut().zip(records).for_each(|(row, record)| write_roots(of, record.iter().copied(), row));
        true
    }

    #[cfg(feature = "gpu")]
    fn record_sums(&self, band: &Band, _: &BlockGeometry, record: &[u32]) -> Option<BandSums> {
        let mut counts = Counts::zeroed(band.of.shape.channels());
        for (channel, record) in record.chunks_exact(VALUES).enumerate() {
            let (bins, patterns) = record.split_at(BINS);
            counts.bins[channel * BINS..][..BINS].copy_from_slice(bins);
            counts.patterns[channel * PATTERNS..][..PATTERNS].copy_from_slice(patterns);
        }
        Some(Box::new(counts))
    }

    fn expected(&self, of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
        let (height, width, channels) = (of.shape.height(), of.shape.width(), of.shape.channels());
        let value = |i: usize| match image {
            PixelSlice::U8(image) => f64::from(image[i]),
            PixelSlice::U16(image) => f64::from(image[i]),
            PixelSlice::F32(image) => f64::from(image[i]),
        };
        let range = match image {
            PixelSlice::U8(_) => 256.0,
            PixelSlice::U16(_) => 65_536.0,
            PixelSlice::F32(_) => of.scale,
        };
        let values: Vec<f64> = (0..of.shape.values()).map(value).collect();
        let mut counts = vec![[0u64; VALUES]; channels];
        for y in 0..height {
            let (north, south) = (y.saturating_sub(1), (y + 1).min(height - 1));
            for x in 0..width {
                let (west, east) = (x.saturating_sub(1), (x + 1).min(width - 1));
                let ring = [
                    (y, east),
                    (south, east),
                    (south, x),
                    (south, west),
                    (y, west),
                    (north, west),
                    (north, x),
                    (north, east),
                ];
                for (channel, counts) in counts.iter_mut().enumerate() {
                    let at = |y: usize, x: usize| values[(y * width + x) * channels + channel];
                    let bits = ring.map(|(to_y, to_x)| at(to_y, to_x) >= at(y, x));
                    let ones = bits.iter().filter(|&&bit| bit).count();
                    let changes = (0..8).filter(|&i| bits[i] != bits[(i + 1) % 8]).count();
                    counts[(at(y, x) * 16.0 / range).floor().clamp(0.0, 15.0) as usize] += 1;
                    counts[16 + if changes <= 2 { ones } else { 9 }] += 1;
                }
            }
        }
        let pixels = (height * width) as f64;
        counts.iter().flatten().map(|&count| (count as f64 / pixels).sqrt() as f32).collect()
    }
}

/// The rows of image after image.
struct TextureRows<'a, 'r> {
    of: ImageSpec,
    pixels: PixelSlice<'a>,
    out: &'a mut RowsMut<'r>,
}

impl SimdKernel for TextureRows<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut counts = Counts::zeroed(self.of.shape.channels());
        let mut work = Workspace::default();
        let band = Band { of: self.of, rows: 0..self.of.shape.height() };
        for (image, row) in self.pixels.chunks(self.of.shape.values()).zip(self.out.iter_mut()) {
            counts.bins.fill(0);
            counts.patterns.fill(0);
            add(simd, &band, image, &mut counts, &mut work);
            counts.finish(self.of, row);
        }
    }
}

/// The counts of a band.
struct TextureBand<'a> {
    band: &'a Band,
    image: PixelSlice<'a>,
    counts: &'a mut Counts,
}

impl SimdKernel for TextureBand<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        add(simd, self.band, self.image, self.counts, &mut Workspace::default());
    }
}

/// Spare memory of a thread.
#[derive(Default)]
struct Workspace {
    bytes: Vec<u8>,
    words: Vec<u16>,
    floats: Vec<f32>,
    codes: Vec<u8>,
}

/// Adds the counts of a band.
#[inline(always)]
fn add<S: Simd>(simd: S, band: &Band, image: PixelSlice<'_>, counts: &mut Counts, work: &mut Workspace) {
    let of_bins = Histogram::new(BINS).expect("a power of two");
    histogram::add(simd, of_bins, band.of, band.pixels(image), &mut counts.bins);
    let (patterns, codes) = (&mut counts.patterns, &mut work.codes);
    match image {
        PixelSlice::U8(image) => add_patterns(simd, band, image, patterns, &mut work.bytes, codes),
        PixelSlice::U16(image) => add_patterns(simd, band, image, patterns, &mut work.words, codes),
        PixelSlice::F32(image) => add_patterns(simd, band, image, patterns, &mut work.floats, codes),
    }
}

/// Counts the kinds of patterns. They are found for some rows at a time, which stay in cache.
///
/// These rows and the two round them are copied into `framed` with a frame: one more pixel on each side, which repeats its
/// neighbour. There every value has its neighbours at the same distances, so that vectors reach from row to row.
#[inline(always)]
fn add_patterns<S: Simd, P: Pixel + PartialOrd>(
    simd: S,
    band: &Band,
    image: &[P],
    counts: &mut [u32],
    framed: &mut Vec<P>,
    codes: &mut Vec<u8>,
) {
    /// Bytes of codes at a time, about.
    const CODES: usize = 16 << 10;
    let (shape, channels) = (band.of.shape, band.of.shape.channels());
    let pitch = shape.row_values() + 2 * channels;
    let at_once = (CODES / pitch).max(1);
    for first in band.rows.clone().step_by(at_once) {
        let rows = first..band.rows.end.min(first + at_once);
        frame(shape, image, rows.clone(), framed);
        codes.resize(rows.len() * pitch, 0);
        // The first and the last of these values are of the frame, and have no neighbours.
        code(framed, pitch, channels, codes);
        for codes in codes.chunks_exact_mut(pitch) {
            codes[..channels].fill(MIXED);
            codes[pitch - channels..].fill(MIXED);
        }
        if channels == 1 {
            histogram::add_vectors(simd, codes, 0, counts);
        } else {
            histogram::add_values(codes, channels, PATTERNS, counts, usize::from);
        }
        // Those of the frame do not count.
        counts.iter_mut().skip(MIXED.into()).step_by(PATTERNS).for_each(|count| *count -= 2 * rows.len() as u32);
    }
}

/// Copies rows of an image, and the row above and the one below, with a frame of one pixel.
#[inline(always)]
fn frame<P: Pixel>(shape: ImageShape, image: &[P], rows: Range<usize>, framed: &mut Vec<P>) {
    let (row_values, channels) = (shape.row_values(), shape.channels());
    framed.clear();
    for y in rows.start..rows.end + 2 {
        let row = &image[y.saturating_sub(1).min(shape.height() - 1) * row_values..][..row_values];
        framed.extend_from_slice(&row[..channels]);
        framed.extend_from_slice(row);
        framed.extend_from_slice(&row[row_values - channels..]);
    }
}

/// The kinds of patterns of framed rows, `pitch` values from one to the next, but for the first and the last pixel.
#[inline(always)]
fn code<P: Copy + PartialOrd>(framed: &[P], pitch: usize, channels: usize, codes: &mut [u8]) {
    let inner = codes.len() - 2 * channels;
    let from = |row: usize, pixel: usize| &framed[row * pitch + pixel * channels..][..inner];
    let (northwest, north, northeast) = (from(0, 0), from(0, 1), from(0, 2));
    let (west, here, east) = (from(1, 0), from(1, 1), from(1, 2));
    let (southwest, south, southeast) = (from(2, 0), from(2, 1), from(2, 2));
    let codes = &mut codes[channels..][..inner];
    for i in 0..inner {
        let bit = |neighbours: &[P]| u8::from(neighbours[i] >= here[i]);
        codes[i] = kind(
            (bit(east), bit(southeast), bit(south), bit(southwest)),
            (bit(west), bit(northwest), bit(north), bit(northeast)),
        );
    }
}

/// The kind of the pattern whose bits are `a` to `d` and `e` to `h`, round the ring. It has no arrays, because the compiler
/// turns them into vectors across the ring instead of along the row, and is seven times as slow.
#[inline(always)]
fn kind((a, b, c, d): (u8, u8, u8, u8), (e, f, g, h): (u8, u8, u8, u8)) -> u8 {
    let ones = a + b + c + d + e + f + g + h;
    let changes = (a ^ b) + (b ^ c) + (c ^ d) + (d ^ e) + (e ^ f) + (f ^ g) + (g ^ h) + (h ^ a);
    if changes <= 2 { ones } else { MIXED }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shape: &str) -> ImageSpec {
        ImageSpec { shape: shape.parse().unwrap(), scale: 255.0 }
    }

    #[test]
    fn patterns_are_those_found_by_hand() {
        // An edge: of the brighter pixel beside it five neighbours are as bright, of the darker one all.
        let bit = |bits: u8, i: u32| bits >> i & 1;
        let four = |bits: u8, i: u32| (bit(bits, i), bit(bits, i + 1), bit(bits, i + 2), bit(bits, i + 3));
        for (bits, want) in
            [(0, 0), (0b1, 1), (0b1100_0001, 3), (0xff, 8), (0b1000_1111, 5), (0b101, 9), (0b0101_0101, 9)]
        {
            assert_eq!(kind(four(bits, 0), four(bits, 4)), want, "{bits:b}");
        }
        let pixels = [9u8, 9, 0, 9, 9, 0];
        let values = Texture.expected(of("2x3"), (&pixels[..]).into());
        // Four of six pixels see only what is at least as bright: the darker column and the left one.
        let third = (1.0f64 / 3.0).sqrt() as f32;
        assert_eq!(values[16..], [0.0, 0.0, 0.0, 0.0, 0.0, third, 0.0, 0.0, (2.0f64 / 3.0).sqrt() as f32, 0.0]);
        assert_eq!(values[0], 1.0);
    }

    #[test]
    fn one_pixel_and_one_column_have_a_border_on_both_sides() {
        let alone = Texture.expected(of("1x1"), (&[200u8][..]).into());
        assert_eq!((alone[12], alone[16 + 8]), (1.0, 1.0));
        let (mut framed, mut codes) = (Vec::new(), [0; 4]);
        frame(ImageShape::gray(3, 2).unwrap(), &[1u8, 1, 3, 2, 1, 1], 1..2, &mut framed);
        assert_eq!(framed, [1, 1, 1, 1, 3, 3, 2, 2, 1, 1, 1, 1]);
        code(&framed, 4, 1, &mut codes);
        // Beyond the border both meet themselves; the second also has a larger value on the other side.
        assert_eq!(codes[1..3], [1, 9]);
    }

    #[test]
    fn squares_add_up_to_one() {
        let pixels: Vec<u8> = (0..35u32 * 35).map(|i| ((i * i * 31) >> 3) as u8).collect();
        let values = Texture.expected(of("35x35"), (&pixels).into());
        for part in [&values[..16], &values[16..]] {
            let sum: f64 = part.iter().map(|&value| f64::from(value).powi(2)).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
    }
}
