//! The types of pixels that JSON numbers become.

use arrow_array::types::{ArrowPrimitiveType, Float32Type, UInt8Type, UInt16Type};
use arrow_buffer::ArrowNativeType;

use crate::base::reason::Reason;
use crate::base::shape::PixelType;

/// A type of pixels.
pub(super) trait JsonPixel: ArrowNativeType + From<u8> {
    const TYPE: PixelType;
    type Arrow: ArrowPrimitiveType<Native = Self>;

    /// The pixel of a non-negative integer below 10⁹.
    fn natural(value: u32) -> Option<Self>;

    /// The pixel of any number, given as its nearest f64.
    fn number(value: f64) -> Result<Self, Reason>;
}

macro_rules! integer_pixel {
    ($native:ty, $arrow:ty, $variant:ident) => {
        impl JsonPixel for $native {
            const TYPE: PixelType = PixelType::$variant;
            type Arrow = $arrow;

            #[inline(always)]
            fn natural(value: u32) -> Option<Self> {
                Self::try_from(value).ok()
            }

            fn number(value: f64) -> Result<Self, Reason> {
                if !value.is_finite() {
                    Err(Reason::NotFinite)
                } else if value.fract() != 0.0 {
                    Err(Reason::NotAnInteger)
                } else if value < 0.0 || value > f64::from(Self::MAX) {
                    Err(Reason::OutOfRange)
                } else {
                    Ok(value as Self)
                }
            }
        }
    };
}

integer_pixel!(u8, UInt8Type, U8);
integer_pixel!(u16, UInt16Type, U16);

impl JsonPixel for f32 {
    const TYPE: PixelType = PixelType::F32;
    type Arrow = Float32Type;

    #[inline(always)]
    fn natural(value: u32) -> Option<Self> {
        Some(value as f32)
    }

    fn number(value: f64) -> Result<Self, Reason> {
        let pixel = value as f32;
        if !value.is_finite() {
            Err(Reason::NotFinite)
        } else if pixel.is_infinite() {
            Err(Reason::OutOfRange)
        } else {
            Ok(pixel)
        }
    }
}
