//! Colours to gray by the weights of ITU-R BT.601.

/// A pixel type that knows the luma of a colour.
pub(super) trait Luma: Copy {
    /// 0.299 R + 0.587 G + 0.114 B.
    fn luma(rgb: [Self; 3]) -> Self;
}

/// The weights in 65,536ths, which add up to 65,536: gray stays as it is, and no sum of 16-bit values leaves 32 bits.
/// The weights and the rounding are those of Pillow's `convert("L")`.
const WEIGHTS: [u32; 3] = [19_595, 38_470, 7_471];

macro_rules! integer_luma {
    ($($t:ty),*) => {$(
        impl Luma for $t {
            fn luma(rgb: [Self; 3]) -> Self {
                let sum: u32 = rgb.iter().zip(WEIGHTS).map(|(&value, weight)| u32::from(value) * weight).sum();
                ((sum + (1 << 15)) >> 16) as $t
            }
        }
    )*};
}
integer_luma!(u8, u16);

impl Luma for f32 {
    fn luma([r, g, b]: [Self; 3]) -> Self {
        (0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)) as f32
    }
}

/// Makes interleaved pixels of so many channels gray ones. Alpha, the last of two or four channels, is left out.
pub(super) fn convert<T: Luma>(pixels: &mut Vec<T>, channels: usize) {
    if channels == 1 {
        return;
    }
    let count = pixels.len() / channels;
    for i in 0..count {
        let at = i * channels;
        pixels[i] = if channels < 3 { pixels[at] } else { T::luma([pixels[at], pixels[at + 1], pixels[at + 2]]) };
    }
    pixels.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luma_is_the_weighted_sum_rounded() {
        // To the nearest, but for the weights' own error of less than 1/65,536 of each value.
        for r in (0..=255u8).step_by(5) {
            for g in (0..=255u8).step_by(3) {
                for b in 0..=255u8 {
                    let exact = (299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) as f64 / 1000.0;
                    let got = f64::from(u8::luma([r, g, b]));
                    assert!((got - exact).abs() < 0.502, "{r} {g} {b}: {got}, {exact}");
                }
            }
        }
        for (rgb, gray) in [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([10, 200, 90], 131)] {
            assert_eq!(u8::luma(rgb), gray);
        }
        assert_eq!(u16::luma([65_535; 3]), 65_535);
        assert_eq!(f32::luma([1.0, 0.5, 0.25]), 0.621);
    }

    #[test]
    fn gray_stays_and_alpha_goes() {
        for value in 0..=255 {
            assert_eq!(u8::luma([value; 3]), value);
        }
        let convert = |channels, pixels: &[u8]| {
            let mut pixels = pixels.to_vec();
            convert(&mut pixels, channels);
            pixels
        };
        assert_eq!(convert(1, &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(convert(2, &[1, 200, 3, 200]), [1, 3]);
        assert_eq!(convert(3, &[255, 0, 0, 7, 7, 7]), [76, 7]);
        assert_eq!(convert(4, &[0, 255, 0, 0, 7, 7, 7, 200]), [150, 7]);
    }
}
