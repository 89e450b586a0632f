//! Values of any number type → pixels of the type a run computes in.

use std::fmt::Display;

use arrow_array::PrimitiveArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, UInt8Type, UInt16Type};
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use half::f16;

use crate::base::pixels::{Pixel, Pixels};
use crate::base::reason::Reason;
use crate::base::shape::PixelType;
use crate::images::defect::Defect;

/// Whether the `len` values from `start` are non-null and fit the pixel type.
pub(super) fn check<A, T>(
    row: usize,
    leaf: &PrimitiveArray<A>,
    nulls: Option<&NullBuffer>,
    start: usize,
    len: usize,
) -> Result<usize, Defect>
where
    A: ArrowPrimitiveType<Native: Value>,
    T: PixelValue,
{
    if let Some(nulls) = nulls
        && let Some(pixel) = (0..len).find(|&i| nulls.is_null(start + i))
    {
        return Err(Defect::new(row, Reason::NullPixel, format!("pixel {pixel} is null")));
    }
    let Some(values) = leaf.values().get(start..start + len) else {
        // A list of the Null type has lengths but no values.
        return Err(Defect::new(row, Reason::NullPixel, "pixel 0 is null"));
    };
    if T::takes_all(values) {
        return Ok(start);
    }
    let (pixel, value) = values.iter().enumerate().find(|(_, v)| !T::takes_all(&[**v])).unwrap_or((0, &values[0]));
    Err(Defect::new(row, value.misfit(), format!("pixel {pixel} is {value}")).with_fits(wider(T::TYPE, values)))
}

/// The narrowest pixel type, wider than `declared`, that takes all of `values`.
fn wider<V: Value>(declared: PixelType, values: &[V]) -> Option<PixelType> {
    match declared {
        PixelType::U8 if V::fit_u16(values) => Some(PixelType::U16),
        PixelType::U8 | PixelType::U16 if V::fit_f32(values) => Some(PixelType::F32),
        _ => None,
    }
}

/// A type that images are computed in, as Arrow has it and as values of other types become it.
pub(crate) trait PixelValue: Pixel + Value + ArrowNativeType {
    type Arrow: ArrowPrimitiveType<Native = Self>;
    /// Whether all values can become pixels of this type without loss.
    fn takes_all<V: Value>(values: &[V]) -> bool;
    /// Converts a value that [`PixelValue::takes_all`] accepts; other values are truncated.
    fn narrow<V: Value>(value: V) -> Self;
    /// These pixels with their type known at run time.
    fn wrap(pixels: ScalarBuffer<Self>) -> Pixels;
}

macro_rules! pixel_value {
    ($t:ty, $kind:ident, $arrow:ty, $fits:ident, $to:ident) => {
        impl PixelValue for $t {
            type Arrow = $arrow;
            fn takes_all<V: Value>(values: &[V]) -> bool {
                V::$fits(values)
            }
            fn narrow<V: Value>(value: V) -> Self {
                value.$to()
            }
            fn wrap(pixels: ScalarBuffer<Self>) -> Pixels {
                Pixels::$kind(pixels)
            }
        }
    };
}
pixel_value!(u8, U8, UInt8Type, fit_u8, to_u8);
pixel_value!(u16, U16, UInt16Type, fit_u16, to_u16);
pixel_value!(f32, F32, Float32Type, fit_f32, to_f32);

/// Runs a body with `$P` as the type that `$pixel_type` names.
macro_rules! with_pixel_type {
    ($pixel_type:expr, $P:ident => $body:expr) => {
        match $pixel_type {
            crate::base::shape::PixelType::U8 => {
                type $P = u8;
                $body
            }
            crate::base::shape::PixelType::U16 => {
                type $P = u16;
                $body
            }
            crate::base::shape::PixelType::F32 => {
                type $P = f32;
                $body
            }
        }
    };
}
pub(super) use with_pixel_type;

/// A number type that pixels come in. The `fit_…` functions look at every value without an early exit, so that the
/// compiler can turn them into vector code.
pub(crate) trait Value: Copy + Display + Send + Sync {
    fn fit_u8(values: &[Self]) -> bool;
    fn fit_u16(values: &[Self]) -> bool;
    fn fit_f32(values: &[Self]) -> bool;
    fn to_u8(self) -> u8;
    fn to_u16(self) -> u16;
    fn to_f32(self) -> f32;
    /// The reason why a value does not fit.
    fn misfit(self) -> Reason;
}

macro_rules! integer_value {
    ($($t:ty),*) => {$(
        impl Value for $t {
            // A negative number sign-extends to a huge one, so one OR tells for the whole row.
            fn fit_u8(values: &[Self]) -> bool {
                values.iter().fold(0, |all, &v| all | v as u64) <= u64::from(u8::MAX)
            }
            fn fit_u16(values: &[Self]) -> bool {
                values.iter().fold(0, |all, &v| all | v as u64) <= u64::from(u16::MAX)
            }
            fn fit_f32(values: &[Self]) -> bool {
                values.iter().fold(true, |all, &v| {
                    let size = i128::from(v).unsigned_abs() as u64;
                    all & (size >> (size.trailing_zeros() & 63) < 1 << 24)
                })
            }
            fn to_u8(self) -> u8 {
                self as u8
            }
            fn to_u16(self) -> u16 {
                self as u16
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn misfit(self) -> Reason {
                Reason::OutOfRange
            }
        }
    )*};
}
integer_value!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! float_value {
    ($t:ty) => {
        impl Value for $t {
            // A float-to-integer cast saturates and makes NaN 0, so only an integer in range survives the way back.
            fn fit_u8(values: &[Self]) -> bool {
                values.iter().fold(true, |all, &v| all & (<$t>::from(v as u8) == v))
            }
            fn fit_u16(values: &[Self]) -> bool {
                values.iter().fold(true, |all, &v| all & (<$t>::from(v as u16) == v))
            }
            fn fit_f32(values: &[Self]) -> bool {
                values.iter().fold(true, |all, &v| all & (v as f32).is_finite())
            }
            fn to_u8(self) -> u8 {
                self as u8
            }
            fn to_u16(self) -> u16 {
                self as u16
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn misfit(self) -> Reason {
                if !self.is_finite() {
                    Reason::NotFinite
                } else if self.fract() != 0.0 {
                    Reason::NotAnInteger
                } else {
                    Reason::OutOfRange
                }
            }
        }
    };
}
float_value!(f32);
float_value!(f64);

impl Value for f16 {
    fn fit_u8(values: &[Self]) -> bool {
        values.iter().all(|v| f32::fit_u8(&[v.to_f32()]))
    }
    fn fit_u16(values: &[Self]) -> bool {
        values.iter().all(|v| f32::fit_u16(&[v.to_f32()]))
    }
    fn fit_f32(values: &[Self]) -> bool {
        values.iter().all(|v| v.is_finite())
    }
    fn to_u8(self) -> u8 {
        f16::to_f32(self) as u8
    }
    fn to_u16(self) -> u16 {
        f16::to_f32(self) as u16
    }
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    fn misfit(self) -> Reason {
        f16::to_f32(self).misfit()
    }
}
