//! Colours to gray by the weights of ITU-R BT.601.

use crate::base::error::Result;
use crate::base::philox::{Chance, Stream};
use crate::base::shape::ImageShape;
use crate::images::decode::Wanted;
use crate::stages::{Arguments, Format, Operation, Written, whole_numbers};
use crate::steps::Step;

/// Makes colours gray.
///
/// `gray`: one channel for all images. Integers: (19595 R + 38470 G + 7471 B + 32768) ÷ 65536, rounded down, as Pillow's
/// `convert("L")`. Floats: 0.299 R + 0.587 G + 0.114 B. Alpha, the last of two or four channels, is left out. An image of
/// one channel stays as it is. As the first stage, of a JPEG that stores brightness and colours (YCbCr, as nearly all do), it
/// takes the brightness alone, without decoding the colours, as OpenCV's `IMREAD_GRAYSCALE` and Pillow's `draft("L")`. That is
/// the same weighted sum, before the colours were rounded.
///
/// `gray(P)`: with probability P all colours of an image become that gray. Its channels stay, alpha among them, because
/// all images have the same. For 8 and 16-bit pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gray(
    /// The probability of an image whose channels stay; `None` for one channel.
    pub Option<Chance>,
);

impl Operation for Gray {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        Ok(Self(arguments.number("p", 0.0..=1.0)?.map(Chance::new).transpose()?))
    }

    fn write(&self, out: &mut Written) {
        if let Some(chance) = self.0 {
            out.value(chance);
        }
    }

    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        match self.0 {
            None => ImageShape::gray(from.height(), from.width()),
            Some(_) => Ok(from),
        }
    }

    fn check(&self, from: Format) -> Result<()> {
        if self.0.is_some() { whole_numbers("gray", from) } else { Ok(()) }
    }

    fn wanted(&self) -> Wanted {
        if self.0.is_none() { Wanted::Gray } else { Wanted::Stored }
    }

    fn metadata(&self) -> Option<(&'static str, String)> {
        self.0.is_none().then(|| ("pixelfeat.gray", "bt601".to_owned()))
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        match self.0 {
            None if from.shape.channels() > 1 => steps.extend([Step::Gray {}]),
            Some(chance) if stream.happens(chance) => steps.extend([Step::Luma {}]),
            _ => {}
        }
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["", "0.5"]
    }
}
