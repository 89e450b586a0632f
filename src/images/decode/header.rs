//! What the header of an encoded image states, within the bounds of this crate.

use crate::base::shape::{ImageShape, PixelType};

/// How many bytes the pixels of one image may take. The decoder itself may take as many again.
#[cfg(feature = "image")]
pub(super) const MAX_BYTES: usize = 256 << 20;

/// The shape and the depth of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub shape: ImageShape,
    /// u8 or u16.
    pub pixel_type: PixelType,
}

#[cfg(feature = "image")]
impl Header {
    /// A header of which the pixels fit into [`MAX_BYTES`].
    pub fn new((width, height): (u32, u32), channels: usize, pixel_type: PixelType) -> Result<Self, String> {
        let shape = ImageShape::new(height as usize, width as usize, channels).map_err(|e| e.to_string())?;
        if shape.values() * pixel_type.bytes() > MAX_BYTES {
            return Err(format!("a {shape} {pixel_type} image is over {} MB", MAX_BYTES >> 20));
        }
        Ok(Self { shape, pixel_type })
    }
}
