//! The values of a page, decoded straight into the Arrow type.

use std::sync::Arc;

use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, FixedSizeBinaryArray, GenericBinaryArray, OffsetSizeTrait, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use parquet::basic::{Encoding, Type};

use super::Irregular;
use super::levels::{Run, Runs};
use crate::base::simd::{Level, look_up};

/// A type of Arrow values that Parquet stores in one physical type.
pub trait Leaf: ArrowNativeType + bytemuck::Pod {
    /// Bytes of a value in the file.
    const WIDTH: usize;
    /// From `WIDTH` bytes. Narrower integers keep the low bits, as in the Arrow reader.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! leaf {
    ($($stored:ty => $($t:ty),*);*) => {
        $($(impl Leaf for $t {
            const WIDTH: usize = size_of::<$stored>();
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let mut value = [0; size_of::<$stored>()];
                value.copy_from_slice(bytes);
                <$stored>::from_le_bytes(value) as $t
            }
        })*)*
    };
}
leaf!(i32 => u8, i8, u16, i16, u32, i32; i64 => u64, i64; f32 => f32; f64 => f64);

/// Calls the generic function `$f` for the leaf type `$leaf`; an expression of `Result<_, Irregular>`.
macro_rules! by_leaf {
    ($leaf:expr, $f:ident($($argument:expr),*)) => {
        match $leaf {
            DataType::UInt8 => $f::<u8>($($argument),*),
            DataType::Int8 => $f::<i8>($($argument),*),
            DataType::UInt16 => $f::<u16>($($argument),*),
            DataType::Int16 => $f::<i16>($($argument),*),
            DataType::UInt32 => $f::<u32>($($argument),*),
            DataType::Int32 => $f::<i32>($($argument),*),
            DataType::UInt64 => $f::<u64>($($argument),*),
            DataType::Int64 => $f::<i64>($($argument),*),
            DataType::Float32 => $f::<f32>($($argument),*),
            DataType::Float64 => $f::<f64>($($argument),*),
            _ => Err(Irregular),
        }
    };
}
pub(super) use by_leaf;

/// Whether values of Arrow type `leaf`, stored as `stored`, are a [`Leaf`].
pub fn is_leaf(leaf: &DataType, stored: Type) -> bool {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    match stored {
        Type::INT32 => matches!(leaf, UInt8 | Int8 | UInt16 | Int16 | UInt32 | Int32),
        Type::INT64 => matches!(leaf, UInt64 | Int64),
        Type::FLOAT => *leaf == Float32,
        Type::DOUBLE => *leaf == Float64,
        _ => false,
    }
}

/// `values` values as an Arrow array.
pub fn array(leaf: &DataType, buffer: Buffer, values: usize) -> Result<ArrayRef, Irregular> {
    macro_rules! arrays {
        ($($kind:ident => $t:ty),*) => {
            match leaf {
                $(DataType::$kind => {
                    Arc::new(PrimitiveArray::<$t>::new(ScalarBuffer::new(buffer, 0, values), None)) as ArrayRef
                })*
                _ => return Err(Irregular),
            }
        };
    }
    Ok(arrays!(
        UInt8 => UInt8Type, Int8 => Int8Type, UInt16 => UInt16Type, Int16 => Int16Type, UInt32 => UInt32Type,
        Int32 => Int32Type, UInt64 => UInt64Type, Int64 => Int64Type, Float32 => Float32Type, Float64 => Float64Type
    ))
}

/// Decodes plain values into all of `out`.
pub fn plain<T: Leaf>(bytes: &[u8], out: &mut [T]) -> Result<(), Irregular> {
    let bytes = out.len().checked_mul(T::WIDTH).and_then(|length| bytes.get(..length)).ok_or(Irregular)?;
    for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(T::WIDTH)) {
        *out = T::read(bytes);
    }
    Ok(())
}

/// The length of the first of some byte arrays.
pub fn first_length(bytes: &[u8]) -> Result<usize, Irregular> {
    let length = bytes.first_chunk().ok_or(Irregular)?;
    usize::try_from(u32::from_le_bytes(*length)).ok().filter(|&length| length > 0).ok_or(Irregular)
}

/// Decodes plain byte arrays of one length, each behind its length where they are `prefixed`, into all of `out`.
pub fn byte_arrays(bytes: &[u8], prefixed: bool, length: usize, out: &mut [u8]) -> Result<(), Irregular> {
    if !prefixed {
        out.copy_from_slice(bytes.get(..out.len()).ok_or(Irregular)?);
        return Ok(());
    }
    let expected = u32::try_from(length).map_err(|_| Irregular)?.to_le_bytes();
    let mut rest = bytes;
    for out in out.chunks_exact_mut(length) {
        let (found, behind) = rest.split_first_chunk().ok_or(Irregular)?;
        let (image, behind) = behind.split_at_checked(length).ok_or(Irregular)?;
        if *found != expected {
            return Err(Irregular);
        }
        out.copy_from_slice(image);
        rest = behind;
    }
    Ok(())
}

/// `rows` byte arrays of `length` bytes each as an Arrow array.
pub fn bytes_array(data_type: &DataType, bytes: Buffer, length: usize, rows: usize) -> Result<ArrayRef, Irregular> {
    fn array<O: OffsetSizeTrait>(bytes: Buffer, length: usize, rows: usize) -> Result<ArrayRef, Irregular> {
        let total = length.checked_mul(rows).and_then(O::from_usize);
        if total.is_none() {
            return Err(Irregular);
        }
        let offsets = OffsetBuffer::from_repeated_length(length, rows);
        let array = GenericBinaryArray::<O>::try_new(offsets, bytes, None).map_err(|_| Irregular)?;
        Ok(Arc::new(array))
    }
    match data_type {
        DataType::Binary => array::<i32>(bytes, length, rows),
        DataType::LargeBinary => array::<i64>(bytes, length, rows),
        DataType::FixedSizeBinary(size) => {
            Ok(Arc::new(FixedSizeBinaryArray::try_new(*size, bytes, None).map_err(|_| Irregular)?))
        }
        _ => Err(Irregular),
    }
}

/// The values that a chunk's pages refer to by number.
pub struct Dictionary<T> {
    values: Vec<T>,
    /// The first 256, or as many zeros: a byte always finds one.
    first: [T; 256],
}

impl<T: Leaf> Dictionary<T> {
    /// Reads the dictionary page's values, which are plain.
    pub fn new(bytes: &[u8], values: usize) -> Result<Self, Irregular> {
        if values.checked_mul(T::WIDTH).is_none_or(|length| length > bytes.len()) {
            return Err(Irregular);
        }
        let mut all = vec![T::default(); values];
        plain(bytes, &mut all)?;
        let mut first = [T::default(); 256];
        let known = values.min(256);
        first[..known].copy_from_slice(&all[..known]);
        Ok(Self { values: all, first })
    }

    /// Decodes numbers of values into all of `out`.
    pub fn decode(&self, bytes: &[u8], mut out: &mut [T]) -> Result<(), Irregular> {
        let (&width, bytes) = bytes.split_first().ok_or(Irregular)?;
        let width = usize::from(width);
        if width > 32 {
            return Err(Irregular);
        }
        let mut runs = Runs::new(bytes, width, out.len());
        while let Some(run) = runs.next()? {
            match run {
                Run::Repeated { value, length } => {
                    let value = *self.values.get(value as usize).ok_or(Irregular)?;
                    let (now, rest) = out.split_at_mut(length);
                    now.fill(value);
                    out = rest;
                }
                Run::Packed { bytes, length } => {
                    let (now, rest) = out.split_at_mut(length);
                    if width == 8 {
                        self.look_up_bytes(&bytes[..length], now)?
                    } else {
                        self.look_up(bytes, width, now)?
                    }
                    out = rest;
                }
            }
        }
        Ok(())
    }

    /// The usual case: a byte a pixel.
    #[inline]
    fn look_up_bytes(&self, bytes: &[u8], out: &mut [T]) -> Result<(), Irregular> {
        let known = self.values.len();
        if known < 256 && bytes.iter().any(|&byte| usize::from(byte) >= known) {
            return Err(Irregular);
        }
        if let Ok(table) = bytemuck::cast_slice(&self.first).try_into() {
            look_up(Level::detect(), table, bytes, bytemuck::cast_slice_mut(out));
            return Ok(());
        }
        for (out, &byte) in out.iter_mut().zip(bytes) {
            *out = self.first[usize::from(byte)];
        }
        Ok(())
    }

    fn look_up(&self, bytes: &[u8], width: usize, out: &mut [T]) -> Result<(), Irregular> {
        let mask = (1u64 << width) - 1;
        // Eight values take `width` bytes.
        for (group, out) in out.chunks_mut(8).enumerate() {
            let bytes = bytes.get(group * width..).ok_or(Irregular)?;
            for (at, out) in out.iter_mut().enumerate() {
                let index = word(bytes, at * width / 8) >> (at * width % 8) & mask;
                *out = *self.values.get(index as usize).ok_or(Irregular)?;
            }
        }
        Ok(())
    }
}

/// The eight bytes from `at`, zeros beyond the end.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    match bytes.get(at..at + 8) {
        Some(bytes) => word.copy_from_slice(bytes),
        None => {
            let rest = bytes.get(at..).unwrap_or_default();
            word[..rest.len()].copy_from_slice(rest);
        }
    }
    u64::from_le_bytes(word)
}

/// Decodes the values of a data page into all of `out`.
pub fn decode<T: Leaf>(
    bytes: &[u8],
    encoding: Encoding,
    dictionary: Option<&Dictionary<T>>,
    out: &mut [T],
) -> Result<(), Irregular> {
    match (encoding, dictionary) {
        (Encoding::PLAIN, _) => plain(bytes, out),
        #[allow(deprecated, reason = "what writers of version 1 pages still put there")]
        (Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, Some(dictionary)) => dictionary.decode(bytes, out),
        _ => Err(Irregular),
    }
}
