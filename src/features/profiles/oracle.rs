//! The oracle of the profiles: one line a formula, and nothing that a backend uses. Slow and obvious.

use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;
use crate::features::family::ImageSpec;

/// The row of one image.
pub(super) fn expected(of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
    match image {
        PixelSlice::U8(pixels) => integer(|i| u64::from(pixels[i]), of.shape, of.scale),
        PixelSlice::U16(pixels) => integer(|i| u64::from(pixels[i]), of.shape, of.scale),
        PixelSlice::F32(pixels) => float(pixels, of.shape, of.scale),
    }
}

/// The features of integer pixels: integer sums in 128 bits, each result rounded to f32 once.
fn integer(pixels: impl Fn(usize) -> u64, shape: ImageShape, scale: f64) -> Vec<f32> {
    let (h, w, channels) = (shape.height(), shape.width(), shape.channels());
    let at = |y: usize, x: usize, c: usize| u128::from(pixels((y * w + x) * channels + c));
    let spread = |n: u128, sum: u128, squares: u128| ((n * squares - sum * sum) as f64).sqrt() / n as f64;
    let n = (h * w) as u128;
    let mut features = Vec::new();
    for c in 0..channels {
        let sum: u128 = (0..h).flat_map(|y| (0..w).map(move |x| (y, x))).map(|(y, x)| at(y, x, c)).sum();
        let squares: u128 = (0..h).flat_map(|y| (0..w).map(move |x| (y, x))).map(|(y, x)| at(y, x, c).pow(2)).sum();
        let moment_y: u128 = (0..h).map(|y| y as u128 * (0..w).map(|x| at(y, x, c)).sum::<u128>()).sum();
        let moment_x: u128 = (0..w).map(|x| x as u128 * (0..h).map(|y| at(y, x, c)).sum::<u128>()).sum();
        features.extend((0..h).map(|y| ((0..w).map(|x| at(y, x, c)).sum::<u128>() as f64 / scale) as f32));
        features.extend((0..w).map(|x| ((0..h).map(|y| at(y, x, c)).sum::<u128>() as f64 / scale) as f32));
        features.push((moment_y as f64 / (sum as f64 + 1e-6) / h as f64) as f32);
        features.push((moment_x as f64 / (sum as f64 + 1e-6) / w as f64) as f32);
        features.push((sum as f64 / n as f64 / scale) as f32);
        features.push((spread(n, sum, squares) / scale) as f32);
    }
    let all = shape.values();
    let sum: u128 = (0..all).map(|i| u128::from(pixels(i))).sum();
    let squares: u128 = (0..all).map(|i| u128::from(pixels(i)).pow(2)).sum();
    features.extend([(sum as f64 / all as f64) as f32, spread(all as u128, sum, squares) as f32]);
    features
}

/// The features of float pixels, by plain f64 sums and a two-pass deviation.
fn float(pixels: &[f32], shape: ImageShape, scale: f64) -> Vec<f32> {
    let (h, w, channels) = (shape.height(), shape.width(), shape.channels());
    let at = |y: usize, x: usize, c: usize| f64::from(pixels[(y * w + x) * channels + c]);
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let spread = |v: &[f64], m: f64| (v.iter().map(|p| (p - m).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
    let std = |v: &[f64]| spread(v, mean(v));
    let mut features = Vec::new();
    for c in 0..channels {
        let values: Vec<f64> = (0..h).flat_map(|y| (0..w).map(move |x| (y, x))).map(|(y, x)| at(y, x, c)).collect();
        let rows: Vec<f64> = (0..h).map(|y| (0..w).map(|x| at(y, x, c)).sum()).collect();
        let cols: Vec<f64> = (0..w).map(|x| (0..h).map(|y| at(y, x, c)).sum()).collect();
        let sum: f64 = rows.iter().sum();
        features.extend(rows.iter().map(|r| (r / scale) as f32));
        features.extend(cols.iter().map(|k| (k / scale) as f32));
        features
            .push((rows.iter().enumerate().map(|(y, r)| y as f64 * r).sum::<f64>() / (sum + 1e-6) / h as f64) as f32);
        features
            .push((cols.iter().enumerate().map(|(x, k)| x as f64 * k).sum::<f64>() / (sum + 1e-6) / w as f64) as f32);
        features.push((mean(&values) / scale) as f32);
        features.push((std(&values) / scale) as f32);
    }
    let all: Vec<f64> = pixels.iter().map(|&p| f64::from(p)).collect();
    features.extend([mean(&all) as f32, std(&all) as f32]);
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_sums_done_by_hand() {
        // 1 2
        // 3 6   row sums 3, 9; column sums 4, 8; Σy·p = 9, Σx·p = 8; mean 3; Σp² = 50, variance 12.5 − 9 = 3.5
        let pixels = [1u64, 2, 3, 6];
        let got = integer(|i| pixels[i], ImageShape::gray(2, 2).unwrap(), 1.0);
        let cy = (9.0 / (12.0 + 1e-6) / 2.0) as f32;
        let cx = (8.0 / (12.0 + 1e-6) / 2.0) as f32;
        let std = 3.5f64.sqrt() as f32;
        assert_eq!(got, [3.0, 9.0, 4.0, 8.0, cy, cx, 3.0, std, 3.0, std]);
        let floats = float(&pixels.map(|p| p as f32), ImageShape::gray(2, 2).unwrap(), 1.0);
        assert_eq!(floats, got);
    }

    #[test]
    fn an_all_zero_image_has_its_centroid_at_zero() {
        let got = integer(|_| 0, ImageShape::gray(3, 2).unwrap(), 255.0);
        assert_eq!(got, [0.0; 11]);
    }

    #[test]
    fn channels_follow_one_another() {
        let two = [1u64, 10, 2, 20];
        let shape = ImageShape::new(1, 2, 2).unwrap();
        let got = integer(|i| two[i], shape, 1.0);
        let alone = |c: usize| integer(|i| two[2 * i + c], ImageShape::gray(1, 2).unwrap(), 1.0)[..7].to_vec();
        assert_eq!(got[..14], [alone(0), alone(1)].concat());
    }
}
