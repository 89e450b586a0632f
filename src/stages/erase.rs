//! Rectangles of images covered.

use crate::base::error::{Error, Result};
use crate::base::philox::{Chance, Stream};
use crate::base::shape::PixelType;
use crate::stages::grammar::Span;
use crate::stages::{Arguments, Format, Operation, Written};
use crate::steps::Step;

/// `erase(P,area=LOW..HIGH,ratio=LOW..HIGH,fill=N)`: with probability P (1) covers a random rectangle by N (0), a value of
/// a pixel.
///
/// The rectangle has a share of the image's area between the two of `area` (0.02..0.33), and its height divided by its
/// width is between the two of `ratio` (0.3..3.3), whose logarithm is uniform. It is smaller than the image in both
/// directions; if ten such rectangles do not fit, nothing is covered. This is the rule of torchvision's `RandomErasing`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Erase {
    chance: Chance,
    area: Span,
    ratio: Span,
    /// The logarithms of `ratio`.
    log_ratio: Span,
    fill: u32,
}

const AREA: Span = Span { low: 0.02, high: 0.33 };
const RATIO: Span = Span { low: 0.3, high: 3.3 };
/// Rectangles that are tried.
const TRIES: usize = 10;

impl Operation for Erase {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let chance = arguments.chance()?;
        let area = arguments.range("area", 1e-6..=1.0)?.unwrap_or(AREA);
        let ratio = arguments.range("ratio", 1e-3..=1e3)?.unwrap_or(RATIO);
        let fill = arguments.whole("fill", 0..=65_535)?.unwrap_or(0);
        let log_ratio = Span { low: libm::log(ratio.low), high: libm::log(ratio.high) };
        Ok(Self { chance, area, ratio, log_ratio, fill })
    }

    fn write(&self, out: &mut Written) {
        if self.chance != Chance::ALWAYS {
            out.value(self.chance);
        }
        out.named("area", self.area, AREA).named("ratio", self.ratio, RATIO).named("fill", self.fill, 0);
    }

    fn check(&self, from: Format) -> Result<()> {
        if from.pixel_type == PixelType::U8 && self.fill > 255 {
            return Err(Error::InvalidOption { option: "erase", why: format!("fill {} is no 8-bit value", self.fill) });
        }
        Ok(())
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if !stream.happens(self.chance) {
            return;
        }
        let (all_height, all_width) = (from.shape.height() as i32, from.shape.width() as i32);
        let area = f64::from(all_height) * f64::from(all_width);
        for _ in 0..TRIES {
            let target = area * stream.uniform(self.area.low, self.area.high);
            let ratio = libm::exp(stream.uniform(self.log_ratio.low, self.log_ratio.high));
            let height = (target * ratio).sqrt().round_ties_even() as i32;
            let width = (target / ratio).sqrt().round_ties_even() as i32;
            if height < all_height && width < all_width {
                let y = stream.between(0, all_height - height);
                let x = stream.between(0, all_width - width);
                steps.extend([Step::Erase { y, x, height, width, fill: self.fill as i32 }]);
                return;
            }
        }
    }

    /// Values stay, or become one that is known.
    #[cfg(feature = "gpu")]
    fn on_device(&self, _: PixelType) -> bool {
        true
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["", "0.5,area=0.1..0.2,ratio=1,fill=9"]
    }
}
