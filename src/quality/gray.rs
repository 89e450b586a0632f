//! An image in 8 bits, as measures, scores and hashes see it: its colours without alpha, and its gray.

use crate::base::error::{Error, Result};
use crate::base::pixels::{Pixel, PixelSlice};
use crate::base::shape::ImageShape;
use crate::steps::resized::{PillowFilter, bytes};

/// Pixels that have a form in 8 bits: the upper half of 16 bits, and floats as 255ths of the scale.
pub(super) trait Byte: Pixel {
    fn byte(self, scale: f64) -> u8;

    /// Pixels that are bytes already.
    fn bytes(_: &[Self]) -> Option<&[u8]> {
        None
    }
}

impl Byte for u8 {
    fn bytes(pixels: &[u8]) -> Option<&[u8]> {
        Some(pixels)
    }

    #[inline]
    fn byte(self, _: f64) -> u8 {
        self
    }
}

impl Byte for u16 {
    #[inline]
    fn byte(self, _: f64) -> u8 {
        (self >> 8) as u8
    }
}

impl Byte for f32 {
    #[inline]
    fn byte(self, scale: f64) -> u8 {
        (f64::from(self) / scale * 255.0).round().clamp(0.0, 255.0) as u8
    }
}

/// Adds the gray of an image: BT.601, as of the stage `gray`. Alpha is left out.
pub(super) fn to_gray<P: Byte>(image: &[P], channels: usize, scale: f64, to: &mut Vec<u8>) {
    match channels {
        1 => to.extend(image.iter().map(|p| p.byte(scale))),
        2 => to.extend(image.iter().step_by(2).map(|p| p.byte(scale))),
        _ => to.extend(image.chunks_exact(channels).map(|pixel| {
            let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(|p| u32::from(p.byte(scale)));
            ((19_595 * r + 38_470 * g + 7_471 * b + 32_768) >> 16) as u8
        })),
    }
}

/// Adds the colours of an image without alpha.
fn to_colours<P: Byte>(image: &[P], channels: usize, scale: f64, to: &mut Vec<u8>) {
    match channels {
        1 | 3 => to.extend(image.iter().map(|p| p.byte(scale))),
        _ => to.extend(image.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]).map(|p| p.byte(scale))),
    }
}

/// An image in 8 bits, in buffers that serve one image after another.
#[derive(Default)]
pub(super) struct EightBit {
    pub height: usize,
    pub width: usize,
    /// One or three.
    pub channels: usize,
    pub colours: Vec<u8>,
    gray: Vec<u8>,
    between: Vec<u8>,
}

impl EightBit {
    /// An image. `scale` is what floats are divided by.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if there are not as many pixels as the shape says.
    pub fn of(shape: ImageShape, pixels: PixelSlice<'_>, scale: f64) -> Result<Self> {
        if pixels.len() != shape.values() {
            let why = format!("an image of {shape} has {} values, and there are {}", shape.values(), pixels.len());
            return Err(Error::InvalidOption { option: "pixels", why });
        }
        let mut image = Self::default();
        image.take(shape, pixels, scale);
        Ok(image)
    }

    /// Takes another image. `scale` is what floats are divided by.
    pub fn take(&mut self, shape: ImageShape, image: PixelSlice<'_>, scale: f64) {
        let of = shape.channels();
        (self.height, self.width, self.channels) = (shape.height(), shape.width(), if of < 3 { 1 } else { 3 });
        self.colours.clear();
        match image {
            PixelSlice::U8(image) => to_colours(image, of, scale, &mut self.colours),
            PixelSlice::U16(image) => to_colours(image, of, scale, &mut self.colours),
            PixelSlice::F32(image) => to_colours(image, of, scale, &mut self.colours),
        }
        self.find_gray();
    }

    fn find_gray(&mut self) {
        self.gray.clear();
        if self.channels > 1 {
            to_gray(&self.colours, self.channels, 1.0, &mut self.gray);
        }
    }

    /// The gray, row by row.
    pub fn gray(&self) -> &[u8] {
        if self.channels == 1 { &self.colours } else { &self.gray }
    }

    /// Its gray brought to a size.
    pub fn gray_at(&mut self, [height, width]: [usize; 2], to: &mut Vec<u8>) {
        let (Ok(from), Ok(shape)) = (ImageShape::gray(self.height, self.width), ImageShape::gray(height, width)) else {
            return;
        };
        let mut between = std::mem::take(&mut self.between);
        bytes(self.gray(), from, PillowFilter::Lanczos, shape, to, &mut between);
        self.between = between;
    }

    /// The whole image brought to a size, by Pillow's default filter.
    pub fn shrunk(&mut self, [height, width]: [usize; 2], to: &mut Self) {
        let (Ok(from), Ok(shape)) =
            (ImageShape::new(self.height, self.width, self.channels), ImageShape::new(height, width, self.channels))
        else {
            return;
        };
        (to.height, to.width, to.channels) = (height, width, self.channels);
        bytes(&self.colours, from, PillowFilter::Bicubic, shape, &mut to.colours, &mut self.between);
        to.find_gray();
    }
}
