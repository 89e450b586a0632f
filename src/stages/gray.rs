//! Colours to gray by the weights of ITU-R BT.601.

use crate::base::error::{Error, Result};
use crate::base::shape::{ImageShape, PixelType};
use crate::images::{ImageBuffer, PixelValue};
#[cfg(feature = "gpu")]
use crate::stages::DeviceStage;
use crate::stages::{Operation, StageDraw};

/// Makes colours gray.
///
/// Integers: (19595 R + 38470 G + 7471 B + 32768) ÷ 65536, rounded down, as Pillow's `convert("L")`. Floats:
/// 0.299 R + 0.587 G + 0.114 B. Alpha, the last of two or four channels, is left out. An image of one channel stays as
/// it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Gray;

impl Operation for Gray {
    type Workspace = ();

    fn parse(arguments: Option<&str>) -> Result<Self> {
        match arguments {
            None => Ok(Self),
            Some(_) => Err(Error::InvalidOption { option: "gray", why: "it has no arguments".to_owned() }),
        }
    }

    fn arguments(&self) -> Option<String> {
        None
    }

    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        ImageShape::gray(from.height(), from.width())
    }

    fn metadata(&self) -> Option<(&'static str, String)> {
        Some(("pixelfeat.gray", "bt601".to_owned()))
    }

    fn apply<P: PixelValue>(&self, _: StageDraw, image: &mut ImageBuffer<P>, (): &mut ()) -> Result<(), String> {
        let shape = self.shape(image.shape()).map_err(|e| e.to_string())?;
        let channels = image.shape().channels();
        if channels > 1 {
            let pixels = image.pixels_mut();
            for i in 0..shape.values() {
                let at = i * channels;
                pixels[i] = if channels < 3 { pixels[at] } else { luma([pixels[at], pixels[at + 1], pixels[at + 2]]) };
            }
            image.shrink(shape);
        }
        Ok(())
    }

    /// For integers. Gray of floats is computed in f64, which shaders do not have.
    #[cfg(feature = "gpu")]
    fn device(&self, pixel_type: PixelType) -> Option<DeviceStage> {
        let constants = ["RED", "GREEN", "BLUE"].into_iter().zip(WEIGHTS).collect();
        (pixel_type != PixelType::F32)
            .then_some(DeviceStage { wgsl: include_str!("../../shaders/gray.wgsl"), constants })
    }
}

/// The weights in 65,536ths, which add up to 65,536: gray stays as it is, and no sum of 16-bit values leaves 32 bits.
/// The weights and the rounding are those of Pillow's `convert("L")`.
const WEIGHTS: [u32; 3] = [19_595, 38_470, 7_471];

/// 0.299 R + 0.587 G + 0.114 B.
fn luma<P: PixelValue>(rgb: [P; 3]) -> P {
    match P::TYPE {
        PixelType::U8 | PixelType::U16 => {
            let sum: u32 = rgb.iter().zip(WEIGHTS).map(|(value, weight)| u32::from(value.to_u16()) * weight).sum();
            P::narrow((sum + (1 << 15)) >> 16)
        }
        PixelType::F32 => {
            let [r, g, b] = rgb.map(|value| f64::from(value.to_f32()));
            P::narrow(0.299 * r + 0.587 * g + 0.114 * b)
        }
    }
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
                    let got = f64::from(luma::<u8>([r, g, b]));
                    assert!((got - exact).abs() < 0.502, "{r} {g} {b}: {got}, {exact}");
                }
            }
        }
        for (rgb, gray) in [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([10, 200, 90], 131)] {
            assert_eq!(luma::<u8>(rgb), gray);
        }
        assert_eq!(luma::<u16>([65_535; 3]), 65_535);
        assert_eq!(luma::<f32>([1.0, 0.5, 0.25]), 0.621);
    }

    #[test]
    fn gray_stays_and_alpha_goes() {
        for value in 0..=255 {
            assert_eq!(luma::<u8>([value; 3]), value);
        }
        let convert = |channels, pixels: &[u8]| {
            let shape = ImageShape::new(1, pixels.len() / channels, channels).unwrap();
            let mut image = ImageBuffer::of(shape, pixels.to_vec());
            Gray.apply(StageDraw::default(), &mut image, &mut ()).unwrap();
            assert_eq!(image.shape(), Gray.shape(shape).unwrap());
            image.pixels().to_vec()
        };
        assert_eq!(convert(1, &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(convert(2, &[1, 200, 3, 200]), [1, 3]);
        assert_eq!(convert(3, &[255, 0, 0, 7, 7, 7]), [76, 7]);
        assert_eq!(convert(4, &[0, 255, 0, 0, 7, 7, 7, 200]), [150, 7]);
    }
}
