//! Windows of images, at random places and of random sizes.

use crate::base::error::{Error, Result};
use crate::base::philox::Stream;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::stages::grammar::{Span, size};
use crate::stages::{Arguments, Format, Operation, Written};
use crate::steps::Step;

/// `crop(HxW,pad=N)`: a window of H rows of W pixels at a random place, all places alike. Before that, N (0) rows and
/// columns of zeros are set around the image. Without HxW the window is as large as the image was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    size: Option<(usize, usize)>,
    pad: u32,
}

impl Operation for Crop {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let size = arguments.next_if(size);
        let pad = arguments.whole("pad", 0..=8192)?;
        if size.is_none() && pad.is_none() {
            return Err(arguments.refuse("it needs a size, as in crop(24x24), or a padding, as in crop(pad=4)"));
        }
        Ok(Self { size, pad: pad.unwrap_or(0) })
    }

    fn write(&self, out: &mut Written) {
        if let Some((height, width)) = self.size {
            out.value(format!("{height}x{width}"));
        }
        out.named("pad", self.pad, 0);
        if self.size.is_none() && self.pad == 0 {
            out.value("pad=0");
        }
    }

    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        let (height, width) = self.size.unwrap_or((from.height(), from.width()));
        let room = 2 * self.pad as usize;
        if height > from.height() + room || width > from.width() + room {
            let why = format!("{height}x{width} is larger than the image of {from} with its padding of {}", self.pad);
            return Err(Error::InvalidOption { option: "crop", why });
        }
        ImageShape::new(height, width, from.channels())
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        let shape = from.shape;
        let (height, width) = self.size.unwrap_or((shape.height(), shape.width()));
        let pad = self.pad as i32;
        let mut place = |from: usize, to: usize| stream.between(-pad, from as i32 + pad - to as i32);
        let (y, x) = (place(shape.height(), height), place(shape.width(), width));
        steps.extend([Step::Crop { y, x, height: height as i32, width: width as i32 }]);
    }

    /// Values only change their places.
    #[cfg(feature = "gpu")]
    fn on_device(&self, _: PixelType) -> bool {
        true
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["pad=2", "3x4", "5x6,pad=1"]
    }
}

/// `resized_crop(HxW,scale=LOW..HIGH,ratio=LOW..HIGH)`: a random window of the image, brought to H rows of W pixels as
/// Pillow's `BILINEAR` does.
///
/// The window has a share of the image's area between the two of `scale` (0.08..1), and its width divided by its height
/// is between the two of `ratio` (3/4 to 4/3), whose logarithm is uniform. If ten such windows do not fit the image, it is
/// the largest one in the middle whose ratio is allowed. This is the rule of torchvision's `RandomResizedCrop`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResizedCrop {
    size: (usize, usize),
    scale: Span,
    ratio: Span,
    /// The logarithms of `ratio`.
    log_ratio: Span,
}

const SCALE: Span = Span { low: 0.08, high: 1.0 };
const RATIO: Span = Span { low: 3.0 / 4.0, high: 4.0 / 3.0 };
/// Windows that are tried before the one in the middle is taken.
const TRIES: usize = 10;

impl Operation for ResizedCrop {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let size = arguments.size("size")?.ok_or_else(|| arguments.refuse("it needs a size, as in 224x224"))?;
        let scale = arguments.range("scale", 1e-6..=1.0)?.unwrap_or(SCALE);
        let ratio = arguments.range("ratio", 1e-3..=1e3)?.unwrap_or(RATIO);
        let log_ratio = Span { low: libm::log(ratio.low), high: libm::log(ratio.high) };
        Ok(Self { size, scale, ratio, log_ratio })
    }

    fn write(&self, out: &mut Written) {
        out.value(format!("{}x{}", self.size.0, self.size.1));
        out.named("scale", self.scale, SCALE).named("ratio", self.ratio, RATIO);
    }

    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        ImageShape::new(self.size.0, self.size.1, from.channels())
    }

    fn sets_size(&self) -> bool {
        true
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        let (to_height, to_width) = (self.size.0 as i32, self.size.1 as i32);
        let (all_height, all_width) = (from.shape.height() as i32, from.shape.width() as i32);
        let area = f64::from(all_height) * f64::from(all_width);
        for _ in 0..TRIES {
            let target = area * stream.uniform(self.scale.low, self.scale.high);
            let ratio = libm::exp(stream.uniform(self.log_ratio.low, self.log_ratio.high));
            let width = (target * ratio).sqrt().round_ties_even() as i32;
            let height = (target / ratio).sqrt().round_ties_even() as i32;
            if (1..=all_height).contains(&height) && (1..=all_width).contains(&width) {
                let y = stream.between(0, all_height - height);
                let x = stream.between(0, all_width - width);
                steps.extend([Step::CropResize { y, x, height, width, to_height, to_width }]);
                return;
            }
        }
        let ratio = f64::from(all_width) / f64::from(all_height);
        let (height, width) = if ratio < self.ratio.low {
            ((f64::from(all_width) / self.ratio.low).round_ties_even() as i32, all_width)
        } else if ratio > self.ratio.high {
            (all_height, (f64::from(all_height) * self.ratio.high).round_ties_even() as i32)
        } else {
            (all_height, all_width)
        };
        let (height, width) = (height.clamp(1, all_height), width.clamp(1, all_width));
        let (y, x) = ((all_height - height) / 2, (all_width - width) / 2);
        steps.extend([Step::CropResize { y, x, height, width, to_height, to_width }]);
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["9x7", "5x6,scale=0.3..0.5,ratio=0.5..2"]
    }
}
