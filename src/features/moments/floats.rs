//! Sums of float pixels, in f64 and in one order.

use super::binomials::{ORDERS, PARTS};
use crate::base::shape::ImageShape;

/// Σ (y − cy)ʲ·(x − cx)ᵏ·p of a channel about the middle of the image.
pub(super) type FloatSums = [f64; PARTS];

/// Adds rows of pixels from row `first` of an image on to the sums of its channels: down the columns, for which vectors
/// serve, then along them.
#[inline(always)]
pub(super) fn add(shape: ImageShape, first: usize, pixels: &[f32], sums: &mut [FloatSums]) {
    let (row_values, channels) = (shape.row_values(), shape.channels());
    let middle = |side: usize| (side as f64 - 1.0) / 2.0;
    let mut columns = [(); 4].map(|()| vec![0.0f64; row_values]);
    for (y, row) in pixels.chunks_exact(row_values).enumerate() {
        let [zeroth, once, twice, thrice] = columns.each_mut().map(|column| &mut column[..row_values]);
        let dy = (first + y) as f64 - middle(shape.height());
        for (i, &pixel) in row.iter().enumerate() {
            let pixel = f64::from(pixel);
            zeroth[i] += pixel;
            once[i] += dy * pixel;
            twice[i] += dy * dy * pixel;
            thrice[i] += dy * dy * dy * pixel;
        }
    }
    for (channel, sums) in sums.iter_mut().enumerate() {
        for x in 0..shape.width() {
            let dx = x as f64 - middle(shape.width());
            let powers = [1.0, dx, dx * dx, dx * dx * dx];
            for (sum, (j, k)) in sums.iter_mut().zip(ORDERS) {
                *sum += powers[k] * columns[j][x * channels + channel];
            }
        }
    }
}
