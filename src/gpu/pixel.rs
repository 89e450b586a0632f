//! The pixel types that kernels exist for, and how their records are read.

use super::fault::GpuError;
use super::plan::Record;
use crate::features::moments::{Moments, Pixel};

/// A pixel type with kernels on the GPU: `u8`, `u16`, `f32`.
///
/// Sums of `u8` and `u16` are exact. Those of `f32` are made in f32: with k = min(n, 512) and
/// γ = k·2⁻²⁴ ÷ (1 − k·2⁻²⁴), the sum of a column of n values is within γ·Σ|p| of the true one, and that of a row within
/// γ·Σ|p − m| for an m near the row's mean; values and sums below 2⁻¹²⁶ may count as zero, and squared deviations below
/// it do.
pub trait GpuPixel: Pixel + bytemuck::Pod {
    /// Adds the record of one image, or of the rows from `top` on of one, to its moments.
    #[doc(hidden)]
    fn add_record(moments: &mut Moments<Self>, words: &[u32], record: &Record, top: usize);

    /// Completes the moments once all is added.
    #[doc(hidden)]
    fn complete(moments: &mut Moments<Self>) -> Result<(), GpuError>;
}

/// A pixel type whose sums are exact: `u8`, `u16`.
pub trait ExactPixel: GpuPixel {}
impl ExactPixel for u8 {}
impl ExactPixel for u16 {}

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
        impl GpuPixel for $t {
            fn add_record(moments: &mut Moments<Self>, words: &[u32], record: &Record, top: usize) {
                let full = moments.shape().height();
                let (rows, cols, sum_sqs) = moments.parts_mut();
                let row_sums = record.channels * record.height;
                let (sums, squares) = words.split_at(record.sum_words);
                if record.height == full {
                    for_each_sum(sums, record, |i, sum| match rows.get_mut(i) {
                        Some(row) => *row = sum,
                        None => cols[i - row_sums] += sum,
                    });
                } else {
                    for_each_sum(sums, record, |i, sum| match i.checked_sub(row_sums) {
                        None => rows[i / record.height * full + top + i % record.height] = sum,
                        Some(column) => cols[column] += sum,
                    });
                }
                let parts = squares.chunks_exact(record.bands * record.sum_sq_words);
                for (sum_sq, parts) in sum_sqs.iter_mut().zip(parts) {
                    *sum_sq += match record.sum_sq_words {
                        1 => parts.iter().map(|&word| u64::from(word)).sum::<u64>(),
                        _ => {
                            let (pairs, _) = parts.as_chunks::<2>();
                            pairs.iter().map(|&[low, high]| u64::from(low) | u64::from(high) << 32).sum()
                        }
                    };
                }
            }

            fn complete(_: &mut Moments<Self>) -> Result<(), GpuError> {
                Ok(())
            }
        }
    };
}
integer_pixel!(u8);
integer_pixel!(u16);

impl GpuPixel for f32 {
    fn add_record(moments: &mut Moments<f32>, words: &[u32], record: &Record, top: usize) {
        let full = moments.shape().height();
        let (rows, cols, squares) = moments.parts_mut();
        let n = record.width as f64;
        let (row_words, col_words) = words[..record.sum_words].split_at(3 * record.channels * record.height);
        let (row_words, _) = row_words.as_chunks::<3>();
        for (c, (square, records)) in squares.iter_mut().zip(row_words.chunks_exact(record.height)).enumerate() {
            for (sum, record) in rows[c * full + top..].iter_mut().zip(records) {
                let [middle, rest, spread] = record.map(|word| f64::from(f32::from_bits(word)));
                *sum = n * middle + rest;
                // From about `middle` to about the row's own mean; the difference cannot be negative but by rounding.
                let own = spread - rest * rest / n;
                *square += if own < 0.0 { 0.0 } else { own };
            }
        }
        for (sum, &word) in cols.iter_mut().zip(col_words) {
            *sum += f64::from(f32::from_bits(word));
        }
    }

    fn complete(moments: &mut Moments<f32>) -> Result<(), GpuError> {
        let shape = moments.shape();
        let n = shape.width() as f64;
        let (rows, cols, squares) = moments.parts_mut();
        // So far each row's spread is about its own mean; moving it to the image's adds n·(difference)².
        for (rows, square) in rows.chunks_exact(shape.height()).zip(squares.iter_mut()) {
            let mean = rows.iter().sum::<f64>() / shape.pixels() as f64;
            *square += rows.iter().map(|row| n * (row / n - mean).powi(2)).sum::<f64>();
        }
        let finite = |sums: &[f64]| sums.iter().all(|sum| sum.is_finite());
        if finite(rows) && finite(cols) && finite(squares) { Ok(()) } else { Err(GpuError::Range) }
    }
}
