//! Pixels as floats of mean zero and deviation one.

use crate::base::error::{Error, Result};
use crate::base::philox::Stream;
use crate::base::shape::{ImageShape, PixelType};
use crate::stages::{Arguments, Format, Operation, Written};
use crate::steps::Step;

/// `normalize(mean=M,std=S)`: (value ÷ largest value − M) ÷ S as f32, the last stage of all. M and S are numbers, or one
/// for each channel with `/` between, as in `normalize(mean=0.485/0.456/0.406,std=0.229/0.224/0.225)`. Without them M is 0
/// and S is 1.
///
/// In f32: (value − M·largest) · (1 ÷ (S·largest)), where both constants are rounded once from f64. The largest value is
/// 255, 65,535, or 1 for floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize {
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Operation for Normalize {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let mean = arguments.numbers("mean")?.unwrap_or_else(|| vec![0.0]);
        let std = arguments.numbers("std")?.unwrap_or_else(|| vec![1.0]);
        if std.iter().any(|std| *std <= 0.0) {
            return Err(arguments.refuse("deviations are above 0"));
        }
        Ok(Self { mean, std })
    }

    fn write(&self, out: &mut Written) {
        let text = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join("/");
        out.named("mean", text(&self.mean), "0".to_owned()).named("std", text(&self.std), "1".to_owned());
    }

    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        for numbers in [&self.mean, &self.std] {
            if numbers.len() != 1 && numbers.len() != from.channels() {
                let why = format!("{} numbers are not one for each of {} channels", numbers.len(), from.channels());
                return Err(Error::InvalidOption { option: "normalize", why });
            }
        }
        Ok(from)
    }

    fn slots(&self) -> usize {
        0
    }

    fn draw(&self, _: Format, _: &mut Stream, _: &mut impl Extend<Step>) {}

    /// Shaders may fuse the subtraction with the multiplication, which changes the last bit.
    #[cfg(feature = "gpu")]
    fn on_device(&self, _: PixelType) -> bool {
        false
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["mean=0.5,std=0.25"]
    }
}

impl Normalize {
    /// For each channel what is subtracted from a value, and what the difference is multiplied by.
    pub(crate) fn constants(&self, format: Format) -> Vec<[f32; 2]> {
        let largest = match format.pixel_type {
            PixelType::U8 => 255.0,
            PixelType::U16 => 65_535.0,
            PixelType::F32 => 1.0,
        };
        let of = |numbers: &[f64], channel: usize| numbers[channel.min(numbers.len() - 1)];
        (0..format.shape.channels())
            .map(|channel| {
                let (mean, std) = (of(&self.mean, channel), of(&self.std, channel));
                [(mean * largest) as f32, (1.0 / (std * largest)) as f32]
            })
            .collect()
    }
}
