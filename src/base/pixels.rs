//! Pixels of images in the type that they are computed in, owned or borrowed.

use std::fmt::Debug;
use std::ops::Range;

use arrow_buffer::ScalarBuffer;

use super::shape::PixelType;

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for f32 {}
}

/// A type that pixels can have: `u8`, `u16`, `f32`. Sealed.
pub trait Pixel: sealed::Sealed + bytemuck::Pod + Default + PartialEq + Debug + Send + Sync {
    /// The type's name at run time.
    const TYPE: PixelType;

    /// These pixels as a slice whose type is known at run time.
    fn slice(pixels: &[Self]) -> PixelSlice<'_>;

    /// The pixels of a slice, if they are of this type.
    fn of(pixels: PixelSlice<'_>) -> Option<&[Self]>;
}

/// The pixels of a batch, image after image, in the type they are computed in.
#[derive(Debug, Clone)]
pub enum Pixels {
    /// 8-bit pixels.
    U8(ScalarBuffer<u8>),
    /// 16-bit pixels.
    U16(ScalarBuffer<u16>),
    /// Finite floats (in rows that are not defective).
    F32(ScalarBuffer<f32>),
}

impl Pixels {
    /// The pixels, borrowed.
    pub fn as_slice(&self) -> PixelSlice<'_> {
        match self {
            Pixels::U8(pixels) => PixelSlice::U8(pixels),
            Pixels::U16(pixels) => PixelSlice::U16(pixels),
            Pixels::F32(pixels) => PixelSlice::F32(pixels),
        }
    }
}

/// Borrowed pixels, image after image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PixelSlice<'a> {
    /// 8-bit pixels.
    U8(&'a [u8]),
    /// 16-bit pixels.
    U16(&'a [u16]),
    /// Floats.
    F32(&'a [f32]),
}

/// Does the same with the slice of each type, and wraps the result in the same variant.
macro_rules! each {
    ($slice:expr, $pixels:ident => $result:expr) => {
        match $slice {
            PixelSlice::U8($pixels) => PixelSlice::U8($result),
            PixelSlice::U16($pixels) => PixelSlice::U16($result),
            PixelSlice::F32($pixels) => PixelSlice::F32($result),
        }
    };
}

impl<'a> PixelSlice<'a> {
    /// The type of the pixels.
    #[inline]
    pub fn pixel_type(self) -> PixelType {
        match self {
            PixelSlice::U8(_) => PixelType::U8,
            PixelSlice::U16(_) => PixelType::U16,
            PixelSlice::F32(_) => PixelType::F32,
        }
    }

    /// How many values there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            PixelSlice::U8(pixels) => pixels.len(),
            PixelSlice::U16(pixels) => pixels.len(),
            PixelSlice::F32(pixels) => pixels.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Bytes of all values.
    #[inline]
    pub fn size(self) -> usize {
        self.len() * self.pixel_type().bytes()
    }

    /// The bytes of the values, in the machine's byte order.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            PixelSlice::U8(pixels) => pixels,
            PixelSlice::U16(pixels) => bytemuck::cast_slice(pixels),
            PixelSlice::F32(pixels) => bytemuck::cast_slice(pixels),
        }
    }

    /// The values of `range`.
    ///
    /// # Panics
    /// If the range reaches beyond the values.
    #[inline]
    pub fn range(self, range: Range<usize>) -> Self {
        each!(self, pixels => &pixels[range])
    }

    /// The first `values` values, and the rest.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn split_at(self, values: usize) -> (Self, Self) {
        (self.range(0..values), self.range(values..self.len()))
    }

    /// Stretches of `values` values each; the last may be shorter.
    ///
    /// # Panics
    /// If `values` is zero.
    pub fn chunks(self, values: usize) -> impl ExactSizeIterator<Item = Self> + Clone {
        let len = self.len();
        (0..len.div_ceil(values)).map(move |i| self.range(i * values..len.min((i + 1) * values)))
    }
}

macro_rules! pixel {
    ($type:ty, $variant:ident) => {
        impl Pixel for $type {
            const TYPE: PixelType = PixelType::$variant;

            #[inline]
            fn slice(pixels: &[Self]) -> PixelSlice<'_> {
                PixelSlice::$variant(pixels)
            }

            #[inline]
            fn of(pixels: PixelSlice<'_>) -> Option<&[Self]> {
                match pixels {
                    PixelSlice::$variant(pixels) => Some(pixels),
                    _ => None,
                }
            }
        }

        impl<'a> From<&'a [$type]> for PixelSlice<'a> {
            fn from(pixels: &'a [$type]) -> Self {
                PixelSlice::$variant(pixels)
            }
        }

        impl<'a> From<&'a Vec<$type>> for PixelSlice<'a> {
            fn from(pixels: &'a Vec<$type>) -> Self {
                PixelSlice::$variant(pixels)
            }
        }
    };
}
pixel!(u8, U8);
pixel!(u16, U16);
pixel!(f32, F32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_cut_where_their_values_are() {
        let pixels: Vec<u16> = (0..10).collect();
        let slice = PixelSlice::from(&pixels);
        assert_eq!((slice.len(), slice.size(), slice.as_bytes().len()), (10, 20, 20));
        assert_eq!(slice.split_at(3), (PixelSlice::U16(&[0, 1, 2]), PixelSlice::U16(&pixels[3..])));
        let chunks: Vec<_> = slice.chunks(4).collect();
        assert_eq!(chunks, [&pixels[..4], &pixels[4..8], &pixels[8..]].map(PixelSlice::U16));
        assert_eq!(u16::of(slice), Some(&pixels[..]));
        assert_eq!(u8::of(slice), None);
    }
}
