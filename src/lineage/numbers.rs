//! Numbers as the bytes of a digest: one each, and long runs of them at once.

use arrow_buffer::NullBuffer;
use half::f16;

const INTEGER: u8 = 3;
const UNSIGNED: u8 = 4;
const FLOAT: u8 = 5;
const DOUBLE: u8 = 6;
const BYTE_LIST: u8 = 10;
const INTEGER_LIST: u8 = 11;
const FLOAT_LIST: u8 = 12;
const DOUBLE_LIST: u8 = 13;

/// A tag and a length.
pub fn put_len(tag: u8, len: usize, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(len as u64).to_le_bytes());
}

/// A column of numbers.
pub struct Numbers<'a, T> {
    pub values: &'a [T],
    pub nulls: Option<&'a NullBuffer>,
}

/// A type of numbers.
pub trait Number: Copy + Sync {
    /// Writes one number.
    fn write(self, out: &mut Vec<u8>);

    /// Writes a list of numbers, at least one, if there is a short form for them.
    fn write_list(values: &[Self], out: &mut Vec<u8>) -> bool;
}

/// Appends what `bytes` makes of each value, into memory that is claimed once.
fn extend<T: Copy, const N: usize>(values: &[T], out: &mut Vec<u8>, bytes: impl Fn(T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + N * values.len(), 0);
    for (place, &value) in out[start..].as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *place = bytes(value);
    }
}

macro_rules! integers {
    ($($type:ty),*) => {
        $(impl Number for $type {
            fn write(self, out: &mut Vec<u8>) {
                match i64::try_from(self) {
                    Ok(value) => {
                        out.push(INTEGER);
                        out.extend_from_slice(&value.to_le_bytes());
                    }
                    Err(_) => {
                        out.push(UNSIGNED);
                        out.extend_from_slice(&(self as u64).to_le_bytes());
                    }
                }
            }

            fn write_list(values: &[Self], out: &mut Vec<u8>) -> bool {
                // Without leaving early, so that many are looked at at once.
                if values.iter().fold(true, |all, &value| all & u8::try_from(value).is_ok()) {
                    put_len(BYTE_LIST, values.len(), out);
                    extend(values, out, |value| [value as u8]);
                } else if values.iter().fold(true, |all, &value| all & i64::try_from(value).is_ok()) {
                    put_len(INTEGER_LIST, values.len(), out);
                    extend(values, out, |value| (value as i64).to_le_bytes());
                } else {
                    return false;
                }
                true
            }
        })*
    };
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// −0 as 0, and one NaN.
fn float_bits(value: f32) -> [u8; 4] {
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    (if value.is_nan() { 0x7fc0_0000 } else { bits }).to_le_bytes()
}

fn double_bits(value: f64) -> [u8; 8] {
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    (if value.is_nan() { 0x7ff8_0000_0000_0000 } else { bits }).to_le_bytes()
}

macro_rules! floats {
    ($($type:ty, $tag:ident, $list:ident, $bits:expr;)*) => {
        $(impl Number for $type {
            fn write(self, out: &mut Vec<u8>) {
                out.push($tag);
                out.extend_from_slice(&$bits(self));
            }

            fn write_list(values: &[Self], out: &mut Vec<u8>) -> bool {
                put_len($list, values.len(), out);
                extend(values, out, $bits);
                true
            }
        })*
    };
}
floats! {
    f16, FLOAT, FLOAT_LIST, |value: f16| float_bits(value.to_f32());
    f32, FLOAT, FLOAT_LIST, float_bits;
    f64, DOUBLE, DOUBLE_LIST, double_bits;
}
