//! The pixel types that kernels exist for, and how their results are read.

use super::context::GpuError;
use super::layout;
use crate::moments::{Moments, Pixel};

/// A pixel type with kernels on the GPU: `u8`, `u16`, `f32`.
///
/// Sums of `u8` and `u16` are exact. Those of `f32` are made in f32: with k = min(n, 512) and
/// γ = k·2⁻²⁴ ÷ (1 − k·2⁻²⁴), the sum of a column of n values is within γ·Σ|p| of the true one, and that of a row within
/// γ·Σ|p − m| for an m near the row's mean; values and sums below 2⁻¹²⁶ may count as zero, and squared deviations below
/// it do.
pub trait GpuPixel: Pixel + bytemuck::NoUninit {
    /// The WGSL of its kernels.
    #[doc(hidden)]
    const SHADER: &'static str;
    /// Words of a row's record in the results.
    #[doc(hidden)]
    const ROW_WORDS: usize;

    /// Reads the records of some rows, `width` values each, of one channel: sets the rows' sums and adds to the
    /// channel's second moment.
    #[doc(hidden)]
    fn read_rows(records: &[u32], width: usize, sums: &mut [Self::Sum], second: &mut Self::Total);

    /// Adds one band's column sums of one channel.
    #[doc(hidden)]
    fn add_cols(words: &[u32], sums: &mut [Self::Sum]);

    /// Completes the moments once every row is read.
    #[doc(hidden)]
    fn settle(moments: &mut Moments<Self>) -> Result<(), GpuError>;
}

macro_rules! integer_pixel {
    ($t:ty, $shader:expr, $row_words:literal, $square:expr) => {
        impl GpuPixel for $t {
            const SHADER: &'static str = $shader;
            const ROW_WORDS: usize = $row_words;

            fn read_rows(records: &[u32], _: usize, sums: &mut [u32], second: &mut u64) {
                let (records, _) = records.as_chunks::<$row_words>();
                let square: fn(&[u32; $row_words]) -> u64 = $square;
                for (sum, record) in sums.iter_mut().zip(records) {
                    *sum = record[0];
                    *second += square(record);
                }
            }

            fn add_cols(words: &[u32], sums: &mut [u32]) {
                for (sum, word) in sums.iter_mut().zip(words) {
                    *sum += word;
                }
            }

            fn settle(_: &mut Moments<Self>) -> Result<(), GpuError> {
                Ok(())
            }
        }
    };
}
integer_pixel!(u8, layout::SHADER_U8, 2, |record| u64::from(record[1]));
integer_pixel!(u16, layout::SHADER_U16, 3, |record| u64::from(record[1]) | u64::from(record[2]) << 32);

impl GpuPixel for f32 {
    const SHADER: &'static str = layout::SHADER_F32;
    const ROW_WORDS: usize = 3;

    fn read_rows(records: &[u32], width: usize, sums: &mut [f64], second: &mut f64) {
        let n = width as f64;
        let (records, _) = records.as_chunks::<3>();
        for (sum, record) in sums.iter_mut().zip(records) {
            let [middle, rest, spread] = record.map(|word| f64::from(f32::from_bits(word)));
            *sum = n * middle + rest;
            // From about `middle` to about the row's own mean; the difference cannot be negative but by rounding.
            let own = spread - rest * rest / n;
            *second += if own < 0.0 { 0.0 } else { own };
        }
    }

    fn add_cols(words: &[u32], sums: &mut [f64]) {
        for (sum, &word) in sums.iter_mut().zip(words) {
            *sum += f64::from(f32::from_bits(word));
        }
    }

    fn settle(moments: &mut Moments<f32>) -> Result<(), GpuError> {
        let shape = moments.shape();
        let n = shape.width() as f64;
        let (rows, cols, seconds) = moments.parts_mut();
        // So far each row's spread is about its own mean; moving it to the image's adds n·(difference)².
        for (rows, second) in rows.chunks_exact(shape.height()).zip(seconds.iter_mut()) {
            let mean = rows.iter().sum::<f64>() / shape.pixels() as f64;
            *second += rows.iter().map(|row| n * (row / n - mean).powi(2)).sum::<f64>();
        }
        let finite = |sums: &[f64]| sums.iter().all(|sum| sum.is_finite());
        if finite(rows) && finite(cols) && finite(seconds) { Ok(()) } else { Err(GpuError::Range) }
    }
}
