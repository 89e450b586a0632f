//! The types of an array's elements, and their bytes as Arrow columns.

use std::fmt;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{ArrayRef, FixedSizeListArray, Int8Array, PrimitiveArray, StringArray, UInt8Array};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use half::f16;

use crate::base::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
    /// So many characters of 4 bytes, filled up with zeros.
    Text(usize),
}

impl Element {
    pub fn bytes(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 | Element::F16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 => 8,
            Element::Text(characters) => 4 * characters,
        }
    }

    pub fn is_text(self) -> bool {
        matches!(self, Element::Text(_))
    }

    fn leaf_type(self) -> DataType {
        match self {
            Element::U8 => DataType::UInt8,
            Element::I8 => DataType::Int8,
            Element::U16 => DataType::UInt16,
            Element::I16 => DataType::Int16,
            Element::U32 => DataType::UInt32,
            Element::I32 => DataType::Int32,
            Element::U64 => DataType::UInt64,
            Element::I64 => DataType::Int64,
            Element::F16 => DataType::Float16,
            Element::F32 => DataType::Float32,
            Element::F64 => DataType::Float64,
            Element::Text(_) => DataType::Utf8,
        }
    }

    /// The type of a column of which a row has these dimensions.
    pub fn data_type(self, inner: &[usize]) -> DataType {
        inner.iter().rev().fold(self.leaf_type(), |item, &side| {
            DataType::FixedSizeList(Arc::new(Field::new_list_field(item, false)), side as i32)
        })
    }

    /// The column of elements, of which a row has these dimensions, none of them zero.
    pub fn column(self, bytes: Vec<u8>, big_endian: bool, inner: &[usize]) -> Result<ArrayRef> {
        macro_rules! numbers {
            ($native:ty, $arrow:ty) => {
                numbers::<{ size_of::<$native>() }, $arrow>(
                    &bytes,
                    if big_endian { <$native>::from_be_bytes } else { <$native>::from_le_bytes },
                )
            };
        }
        let leaf: ArrayRef = match self {
            Element::U8 => Arc::new(UInt8Array::new(ScalarBuffer::from(bytes), None)),
            Element::I8 => {
                let values = bytes.len();
                Arc::new(Int8Array::new(ScalarBuffer::new(Buffer::from_vec(bytes), 0, values), None))
            }
            Element::U16 => numbers!(u16, UInt16Type),
            Element::I16 => numbers!(i16, Int16Type),
            Element::U32 => numbers!(u32, UInt32Type),
            Element::I32 => numbers!(i32, Int32Type),
            Element::U64 => numbers!(u64, UInt64Type),
            Element::I64 => numbers!(i64, Int64Type),
            Element::F16 => numbers!(f16, Float16Type),
            Element::F32 => numbers!(f32, Float32Type),
            Element::F64 => numbers!(f64, Float64Type),
            Element::Text(_) => Arc::new(
                bytes
                    .chunks_exact(self.bytes())
                    .map(|text| Some(characters(text, big_endian)))
                    .collect::<StringArray>(),
            ),
        };
        let mut items = leaf;
        for &side in inner.iter().rev() {
            let field = Arc::new(Field::new_list_field(items.data_type().clone(), false));
            items = Arc::new(FixedSizeListArray::try_new(field, side as i32, items, None).map_err(Error::from)?);
        }
        Ok(items)
    }
}

fn numbers<const N: usize, A: ArrowPrimitiveType>(bytes: &[u8], number: fn([u8; N]) -> A::Native) -> ArrayRef {
    let (numbers, _) = bytes.as_chunks::<N>();
    Arc::new(PrimitiveArray::<A>::from_iter_values(numbers.iter().map(|bytes| number(*bytes))))
}

/// What is no character is shown as U+FFFD.
fn characters(bytes: &[u8], big_endian: bool) -> String {
    let (codes, _) = bytes.as_chunks::<4>();
    let codes = codes.iter().map(|code| if big_endian { u32::from_be_bytes(*code) } else { u32::from_le_bytes(*code) });
    codes
        .take_while(|&code| code != 0)
        .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Element::U8 => "u8",
            Element::I8 => "i8",
            Element::U16 => "u16",
            Element::I16 => "i16",
            Element::U32 => "u32",
            Element::I32 => "i32",
            Element::U64 => "u64",
            Element::I64 => "i64",
            Element::F16 => "f16",
            Element::F32 => "f32",
            Element::F64 => "f64",
            Element::Text(_) => "text",
        })
    }
}
