//! Sums that only the highest values of the largest tiles could break.

use super::*;

#[test]
fn a_tile_of_the_highest_values_does_not_overflow() {
    let shape = ImageShape::gray(256, 8_192).unwrap();
    let pixels = vec![u8::MAX; shape.values()];
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        let mut whole = Sums::zeroed(shape);
        run_kernel(level, ImageSums { pixels: &pixels, into: &mut whole });
        assert!(whole.row_sums().iter().all(|&sum| sum == 255 * 8_192), "{level}");
        assert!(whole.col_sums().iter().all(|&sum| sum == 255 * 256), "{level}");
        assert_eq!(whole.sum_sq(), [255 * 255 * 256 * 8_192], "{level}");
    }
}

#[test]
fn narrow_images_of_the_highest_words_do_not_overflow() {
    const MAX: u64 = u16::MAX as u64;
    // The last number of rows whose squares fit 32 bits, and the next one.
    for height in [33_025, 33_026, 65_536] {
        let shape = ImageShape::gray(height, 3).unwrap();
        let pixels = vec![u16::MAX; shape.values()];
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            let mut whole = Sums::zeroed(shape);
            run_kernel(level, ImageSums { pixels: &pixels, into: &mut whole });
            assert!(whole.row_sums().iter().all(|&sum| u64::from(sum) == 3 * MAX), "{level}");
            assert!(whole.col_sums().iter().all(|&sum| u64::from(sum) == height as u64 * MAX), "{level}");
            assert_eq!(whole.sum_sq(), [3 * height as u64 * MAX * MAX], "{level}");
        }
    }
}

#[test]
fn the_f32_shortcut_rounds_as_the_f64_quotient_does() {
    for scale in [255.0, 65_535.0, 3.0, 1.0, 100.0] {
        let sums: Vec<u32> = (0..1 << 24).step_by(97).chain((1 << 24) - 500..1 << 24).collect();
        let mut fast = vec![f32::NAN; sums.len()];
        u8::scale(&sums, 1, scale, &mut fast);
        for (&sum, &got) in sums.iter().zip(&fast) {
            assert_eq!(got.to_bits(), ((f64::from(sum) / scale) as f32).to_bits(), "{sum} / {scale}");
        }
    }
}
