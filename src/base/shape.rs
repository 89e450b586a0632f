//! What an image is: its shape and the type of its pixels.

use std::fmt;
use std::str::FromStr;

use crate::base::error::{Error, Result};
use crate::base::text::names;

/// Height, width and channels of every image of a run; values lie row by row, the channels of a pixel side by side
/// (H×W×C, interleaved).
///
/// Sides are 1 to 65,536, so that the sum of a row or column of 16-bit pixels fits 32 bits; channels are 1 to 4; an
/// image has at most 2³¹−1 values, the most an Arrow list can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageShape {
    height: u32,
    width: u32,
    channels: u32,
}

impl ImageShape {
    /// The longest side.
    pub const MAX_SIDE: usize = 65_536;
    /// The most values per pixel.
    pub const MAX_CHANNELS: usize = 4;

    /// A shape of `height` rows, `width` pixels a row and `channels` values a pixel.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] if a bound above is broken.
    pub fn new(height: usize, width: usize, channels: usize) -> Result<Self> {
        let refuse = |why| Err(Error::InvalidShape { height, width, channels, why });
        if height == 0 || width == 0 {
            return refuse("a side is zero");
        }
        if height > Self::MAX_SIDE || width > Self::MAX_SIDE {
            return refuse("a side is over 65536");
        }
        if channels == 0 || channels > Self::MAX_CHANNELS {
            return refuse("channels must be 1 to 4");
        }
        if height * width * channels > i32::MAX as usize {
            return refuse("an image has at most 2147483647 values");
        }
        Ok(Self { height: height as u32, width: width as u32, channels: channels as u32 })
    }

    /// A one-channel shape.
    ///
    /// # Errors
    /// As [`ImageShape::new`].
    pub fn gray(height: usize, width: usize) -> Result<Self> {
        Self::new(height, width, 1)
    }

    /// The square one-channel shape of `len` values, if `len` is a perfect square.
    pub fn square(len: usize) -> Option<Self> {
        let side = len.isqrt();
        if side * side == len { Self::gray(side, side).ok() } else { None }
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.height as usize
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width as usize
    }

    /// Values per pixel.
    pub fn channels(&self) -> usize {
        self.channels as usize
    }

    /// Pixels of one channel, H·W.
    pub fn pixels(&self) -> usize {
        self.height() * self.width()
    }

    /// Values of one image, H·W·C: the length that a flat list must have.
    pub fn values(&self) -> usize {
        self.pixels() * self.channels()
    }

    /// Values in one row of pixels, W·C.
    pub fn row_values(&self) -> usize {
        self.width() * self.channels()
    }
}

impl fmt::Display for ImageShape {
    /// `28x28`, or `64x64x3` where there are several channels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)?;
        if self.channels > 1 {
            write!(f, "x{}", self.channels)?;
        }
        Ok(())
    }
}

impl FromStr for ImageShape {
    type Err = Error;

    /// Reads `HxW` or `HxWxC`.
    fn from_str(text: &str) -> Result<Self> {
        let sides: Option<Vec<usize>> = text.split(['x', 'X']).map(|part| part.trim().parse().ok()).collect();
        match sides.as_deref() {
            Some(&[h, w]) => Self::gray(h, w),
            Some(&[h, w, c]) => Self::new(h, w, c),
            _ => Err(Error::InvalidOption {
                option: "shape",
                why: format!("`{text}` is not HxW or HxWxC, as in 28x28 or 64x64x3"),
            }),
        }
    }
}

/// The type that pixels are computed in, declared once for a run and never guessed from values in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelType {
    /// 0 to 255. Features are exact.
    U8,
    /// 0 to 65,535. Features are exact.
    U16,
    /// Finite 32-bit floats.
    F32,
}

impl PixelType {
    /// What sums and means are divided by unless a run says otherwise: 255, 65,535 or 1.
    pub fn default_scale(self) -> f64 {
        match self {
            PixelType::U8 => 255.0,
            PixelType::U16 => 65_535.0,
            PixelType::F32 => 1.0,
        }
    }

    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            PixelType::U8 => 1,
            PixelType::U16 => 2,
            PixelType::F32 => 4,
        }
    }
}

names!("pixel type", PixelType { "u8" => U8, "u16" => U16, "f32" => F32 });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert!(ImageShape::gray(65_536, 1).is_ok());
        assert!(ImageShape::new(65_536, 8_191, 4).is_ok());
        for (h, w, c) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 5), (65_537, 1, 1), (65_536, 65_536, 1)] {
            assert!(ImageShape::new(h, w, c).is_err(), "{h}x{w}x{c}");
        }
    }

    #[test]
    fn text_and_shape_agree() {
        for text in ["28x28", "1x7", "64x64x3"] {
            assert_eq!(text.parse::<ImageShape>().unwrap().to_string(), text);
        }
        for text in ["", "28", "28x", "ax28", "1x1x1x1", "-1x2", "0x4"] {
            assert!(text.parse::<ImageShape>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_perfect_squares_are_square() {
        assert_eq!(ImageShape::square(784), Some(ImageShape::gray(28, 28).unwrap()));
        assert_eq!(ImageShape::square(783), None);
        assert_eq!(ImageShape::square(0), None);
    }
}
