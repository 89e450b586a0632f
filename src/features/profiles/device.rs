//! The profiles on a device: the WGSL, how a record is laid out, and how it is read.

use super::sums::{Arithmetic, Sums};
use crate::base::shape::PixelType;
use crate::features::family::BlockGeometry;

const PROFILES: &str = include_str!("../../../shaders/profiles.wgsl");
const INTEGERS: &str = include_str!("../../../shaders/profiles_integers.wgsl");
const FINISH: &str = include_str!("../../../shaders/profiles_finish.wgsl");
const U8: &str = include_str!("../../../shaders/profiles_u8.wgsl");
const U16: &str = include_str!("../../../shaders/profiles_u16.wgsl");
const F32: &str = include_str!("../../../shaders/profiles_f32.wgsl");

/// Float sums are rounded, so that no features are made of them on the device.
pub(super) fn shaders(pixel_type: PixelType) -> &'static [&'static str] {
    match pixel_type {
        PixelType::U8 => &[PROFILES, INTEGERS, U8, FINISH],
        PixelType::U16 => &[PROFILES, INTEGERS, U16, FINISH],
        PixelType::F32 => &[PROFILES, F32],
    }
}

/// Sums a word in the record of a block. Two where each is below 2¹⁶, as all are in a tile of 8-bit pixels.
pub(super) fn sums_a_word(block: &BlockGeometry) -> usize {
    if block.pixel_type == PixelType::U8 && (block.tiled || block.short_sides) { 2 } else { 1 }
}

/// Sums a word in the record of an image.
pub(super) fn merged_a_word(block: &BlockGeometry) -> usize {
    if block.pixel_type == PixelType::U8 && block.short_sides { 2 } else { 1 }
}

/// Words of the sums in a record of a block.
pub(super) fn sum_words(block: &BlockGeometry) -> usize {
    (block.channels * (block.rows + block.pixels)).div_ceil(sums_a_word(block))
}

/// Words of the record of a block.
pub(super) fn record_words(block: &BlockGeometry) -> usize {
    match block.pixel_type {
        PixelType::U8 => sum_words(block) + block.channels,
        PixelType::U16 => sum_words(block) + 2 * block.channels,
        PixelType::F32 => block.channels * (3 * block.rows + block.pixels),
    }
}

/// How the record of an image, or of a band of one, is laid out in the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    height: usize,
    width: usize,
    channels: usize,
    /// Sums a word.
    a_word: usize,
    /// Words of all sums; of floats those of the rows' three numbers and the columns' one.
    sum_words: usize,
    /// Parts that Σp² of a channel comes in.
    bands: usize,
    /// Words of each part.
    sum_sq_words: usize,
}

impl Record {
    /// Of an image or band of `height` rows.
    pub fn new(block: &BlockGeometry, height: usize) -> Self {
        let BlockGeometry { pixel_type, width, channels, tiled, .. } = *block;
        let a_word = merged_a_word(block);
        let (bands, sum_sq_words) = match pixel_type {
            PixelType::F32 => (0, 0),
            PixelType::U8 if !tiled => (1, 1),
            _ => (block.bands(height), 2),
        };
        let sum_words = match pixel_type {
            PixelType::F32 => channels * (3 * height + width),
            _ => (channels * (height + width)).div_ceil(a_word),
        };
        Self { height, width, channels, a_word, sum_words, bands, sum_sq_words }
    }

    pub fn words(&self) -> usize {
        self.sum_words + self.channels * self.bands * self.sum_sq_words
    }
}

/// A pixel type whose records can be read.
pub(super) trait DevicePixel: Arithmetic {
    /// Overwrites `sums` with those of a record. `false` if one of float pixels is beyond f32.
    ///
    /// Sums of `u8` and `u16` are exact. [`Gpu::featurize`](crate::gpu::Gpu::featurize) says what those of `f32` are.
    fn read_record(sums: &mut Sums<Self>, words: &[u32], record: &Record) -> bool;
}

/// Reads sums from their words, one or two in each.
fn for_each_sum(words: &[u32], record: &Record, mut each: impl FnMut(usize, u32)) {
    let sums = record.channels * (record.height + record.width);
    if record.a_word == 1 {
        words[..sums].iter().enumerate().for_each(|(i, &word)| each(i, word));
    } else {
        for (i, &word) in words[..sums / 2].iter().enumerate() {
            each(2 * i, word & 0xffff);
            each(2 * i + 1, word >> 16);
        }
        if !sums.is_multiple_of(2) {
            each(sums - 1, words[sums / 2] & 0xffff);
        }
    }
}

macro_rules! integer_pixel {
    ($t:ty) => {
        impl DevicePixel for $t {
            fn read_record(sums: &mut Sums<Self>, words: &[u32], record: &Record) -> bool {
                let (rows, cols, sum_sq) = sums.parts_mut();
                let row_sums = record.channels * record.height;
                let (words, sum_sq_words) = words.split_at(record.sum_words);
                for_each_sum(words, record, |i, sum| match rows.get_mut(i) {
                    Some(row) => *row = sum,
                    None => cols[i - row_sums] = sum,
                });
                let parts = sum_sq_words.chunks_exact(record.bands * record.sum_sq_words);
                for (sum_sq, parts) in sum_sq.iter_mut().zip(parts) {
                    *sum_sq = match record.sum_sq_words {
                        1 => parts.iter().map(|&word| u64::from(word)).sum::<u64>(),
                        _ => {
                            let (pairs, _) = parts.as_chunks::<2>();
                            pairs.iter().map(|&[low, high]| u64::from(low) | u64::from(high) << 32).sum()
                        }
                    };
                }
                true
            }
        }
    };
}
integer_pixel!(u8);
integer_pixel!(u16);

impl DevicePixel for f32 {
    fn read_record(sums: &mut Sums<f32>, words: &[u32], record: &Record) -> bool {
        let pixels = sums.shape().pixels() as f64;
        let (rows, cols, sum_sq) = sums.parts_mut();
        let n = record.width as f64;
        let (row_words, col_words) = words[..record.sum_words].split_at(3 * record.channels * record.height);
        let (row_words, _) = row_words.as_chunks::<3>();
        let channels = rows.chunks_exact_mut(record.height).zip(row_words.chunks_exact(record.height));
        for (sum_sq, (rows, records)) in sum_sq.iter_mut().zip(channels) {
            let mut within_rows = 0.0;
            for (sum, record) in rows.iter_mut().zip(records) {
                let [middle, rest, spread] = record.map(|word| f64::from(f32::from_bits(word)));
                *sum = n * middle + rest;
                // From about `middle` to about the row's own mean; the difference cannot be negative but by rounding.
                let own = spread - rest * rest / n;
                within_rows += if own < 0.0 { 0.0 } else { own };
            }
            // So far each row's spread is about its own mean; moving it to the image's adds n·(difference)².
            let mean = rows.iter().sum::<f64>() / pixels;
            *sum_sq = within_rows + rows.iter().map(|row| n * (row / n - mean).powi(2)).sum::<f64>();
        }
        for (sum, &word) in cols.iter_mut().zip(col_words) {
            *sum = f64::from(f32::from_bits(word));
        }
        let finite = |sums: &[f64]| sums.iter().all(|sum| sum.is_finite());
        finite(rows) && finite(cols) && finite(sum_sq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_packed() {
        let block = |pixel_type, height, width, short_sides| BlockGeometry {
            pixel_type,
            width,
            channels: 1,
            tiled: false,
            rows: height,
            pixels: width,
            short_sides,
        };
        // 56 sums in 28 words and one of Σp²: 116 bytes.
        assert_eq!(Record::new(&block(PixelType::U8, 28, 28, true), 28).words(), 29);
        assert_eq!(record_words(&block(PixelType::U8, 28, 28, true)), 29);
        // 258 · 255 does not fit 16 bits.
        assert_eq!(Record::new(&block(PixelType::U8, 2, 257, true), 2).a_word, 2);
        assert_eq!(Record::new(&block(PixelType::U8, 2, 258, false), 2).a_word, 1);
        assert_eq!(Record::new(&block(PixelType::U16, 28, 28, true), 28).words(), 58);
    }
}
