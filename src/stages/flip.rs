//! Images mirrored, each with a probability.

use crate::base::error::{Error, Result};
use crate::base::random::Random;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::images::{ImageBuffer, PixelValue};
#[cfg(feature = "gpu")]
use crate::stages::DeviceStage;
use crate::stages::{Operation, StageDraw};

/// Mirrors an image with a given probability: `flip:x` (left becomes right) or `flip:y` (top becomes bottom).
///
/// Whether an image is mirrored depends on the run's seed, the stage's place in the chain and the image's row alone. The
/// shape stays, and so do the channels of each pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flip {
    axis: Axis,
    probability: f64,
}

/// The direction in which an image is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Left becomes right.
    X,
    /// Top becomes bottom.
    Y,
}

impl Flip {
    /// Mirrors an image with this probability, from 0 (never) to 1 (always).
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it is not from 0 to 1.
    pub fn new(axis: Axis, probability: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&probability) {
            return Ok(Self { axis, probability });
        }
        Err(Error::InvalidOption { option: "flip", why: format!("the probability {probability} is not from 0 to 1") })
    }
}

impl Operation for Flip {
    type Workspace = ();

    fn parse(arguments: Option<&str>) -> Result<Self> {
        let text = arguments.unwrap_or_default();
        let (axis, probability) = text.split_once(':').unwrap_or((text, "1"));
        let axis = match axis {
            "x" => Some(Axis::X),
            "y" => Some(Axis::Y),
            _ => None,
        };
        match (axis, probability.parse()) {
            (Some(axis), Ok(probability)) => Self::new(axis, probability),
            _ => Err(Error::InvalidOption {
                option: "flip",
                why: format!("`{text}` is not AXIS or AXIS:PROBABILITY, as in x or y:0.5"),
            }),
        }
    }

    fn arguments(&self) -> Option<String> {
        let axis = match self.axis {
            Axis::X => "x",
            Axis::Y => "y",
        };
        Some(if self.probability == 1.0 { axis.to_owned() } else { format!("{axis}:{}", self.probability) })
    }

    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        Ok(from)
    }

    /// The first word is 1 if the image is mirrored.
    fn draw(&self, random: &mut Random) -> StageDraw {
        // A number below 1 is below every probability of 1, and none is below 0.
        StageDraw([u32::from(random.unit() < self.probability), 0, 0, 0])
    }

    fn apply<P: PixelValue>(&self, params: StageDraw, image: &mut ImageBuffer<P>, (): &mut ()) -> Result<(), String> {
        if params.0[0] == 0 {
            return Ok(());
        }
        let shape = image.shape();
        let (row, channels) = (shape.row_values(), shape.channels());
        match self.axis {
            Axis::Y => {
                let (height, pixels) = (shape.height(), image.pixels_mut());
                for y in 0..height / 2 {
                    let (top, bottom) = pixels.split_at_mut((height - 1 - y) * row);
                    top[y * row..][..row].swap_with_slice(&mut bottom[..row]);
                }
            }
            Axis::X => {
                for row in image.pixels_mut().chunks_exact_mut(row) {
                    // The values of each pixel change places as well, and then change back.
                    row.reverse();
                    row.chunks_exact_mut(channels).for_each(<[P]>::reverse);
                }
            }
        }
        Ok(())
    }

    /// For pixels of any type: values only change their places.
    #[cfg(feature = "gpu")]
    fn device(&self, _: PixelType) -> Option<DeviceStage> {
        let constants = vec![("ALONG_X", u32::from(self.axis == Axis::X))];
        Some(DeviceStage { wgsl: include_str!("../../shaders/flip.wgsl"), constants })
    }

    #[cfg(all(test, feature = "gpu"))]
    fn examples() -> Vec<Self> {
        vec![Self { axis: Axis::X, probability: 0.5 }, Self { axis: Axis::Y, probability: 1.0 }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flipped(text: &str, shape: &str, pixels: &[u8], params: StageDraw) -> Vec<u8> {
        let mut image = ImageBuffer::of(shape.parse().unwrap(), pixels.to_vec());
        Flip::parse(Some(text)).unwrap().apply(params, &mut image, &mut ()).unwrap();
        image.pixels().to_vec()
    }

    #[test]
    fn rows_and_columns_change_places_and_channels_stay() {
        let yes = StageDraw([1, 0, 0, 0]);
        assert_eq!(flipped("x", "2x3", &[1, 2, 3, 4, 5, 6], yes), [3, 2, 1, 6, 5, 4]);
        assert_eq!(flipped("y", "3x2", &[1, 2, 3, 4, 5, 6], yes), [5, 6, 3, 4, 1, 2]);
        assert_eq!(flipped("x", "1x2x3", &[1, 2, 3, 4, 5, 6], yes), [4, 5, 6, 1, 2, 3]);
        assert_eq!(flipped("x", "2x3", &[1, 2, 3, 4, 5, 6], StageDraw::default()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(flipped("y", "1x1", &[7], yes), [7]);
    }

    #[test]
    fn the_probability_is_that_of_the_draws() {
        let share = |probability: f64| {
            let flip = Flip::new(Axis::X, probability).unwrap();
            let flips = (0..10_000).filter(|&row| flip.draw(&mut Random::new(7, row)).0[0] == 1).count();
            flips as f64 / 10_000.0
        };
        assert_eq!((share(0.0), share(1.0)), (0.0, 1.0));
        // Four standard deviations of a share of 10,000.
        assert!((share(0.3) - 0.3).abs() < 0.0184, "{}", share(0.3));
        assert!(Flip::new(Axis::X, 1.1).is_err() && Flip::new(Axis::X, f64::NAN).is_err());
    }

    #[test]
    fn text_and_stage_agree() {
        for text in ["x", "y", "x:0.5", "y:0.25"] {
            assert_eq!(Flip::parse(Some(text)).unwrap().arguments().as_deref(), Some(text));
        }
        for text in ["", "z", "x:", "x:2", "x:-0.1", "x:NaN", "0.5"] {
            assert!(Flip::parse(Some(text)).is_err(), "{text}");
        }
    }
}
