//! The bytes of a value that a digest is made of: the same for every layout that holds the same value.
//!
//! A value is a tag and a payload. Numbers are little-endian, and lengths have 64 bits, so no two values have the same bytes.
//!
//! | value | tag | payload |
//! |---|---|---|
//! | null | 0 | |
//! | false, true | 1, 2 | |
//! | integer of any width that fits i64 | 3 | i64 |
//! | integer beyond that | 4 | u64 |
//! | f32, and f16 as f32 | 5 | bits; −0 is 0, and every NaN is `7fc00000` |
//! | f64 | 6 | bits; −0 is 0, and every NaN is `7ff8000000000000` |
//! | text | 7 | length, UTF-8 |
//! | bytes, of fixed size or not | 8 | length, bytes |
//! | list | 9 | length, values |
//! | list of integers 0 to 255, with one value at least and no null | 10 | length, a byte each |
//! | other list of integers that fit i64, as above | 11 | length, an i64 each |
//! | list of f32 or f16, as above | 12 | length, bits as above |
//! | list of f64, as above | 13 | length, bits as above |
//! | struct | 14 | number of children; for each, by name, the length of its name, the name, the value |
//! | map | 15 | length; key and value of each entry |
//! | date; time of day | 16; 17 | i128: nanoseconds since 1970, or midnight |
//! | timestamp without, with a time zone | 18; 19 | i128: nanoseconds since 1970 |
//! | duration | 20 | i128: nanoseconds |
//! | interval | 21 | months, days, nanoseconds, an i64 each |
//! | decimal | 22 | the digits without zeros at their end, as a 256-bit integer; the scale, as i8 |
//!
//! A dictionary counts as its values, and list views as lists.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, BooleanArray, GenericListArray, OffsetSizeTrait, PrimitiveArray};
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

use super::numbers::{Number, Numbers, put_len};
use crate::base::error::{Error, Result};

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const TEXT: u8 = 7;
const BYTES: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 14;
const MAP: u8 = 15;
const DATE: u8 = 16;
const TIME: u8 = 17;
const TIMESTAMP: u8 = 18;
const TIMESTAMP_WITH_ZONE: u8 = 19;
const DURATION: u8 = 20;
const INTERVAL: u8 = 21;
const DECIMAL: u8 = 22;

/// A column whose values can be written as bytes.
pub(super) trait Values: Sync {
    /// Writes the value of a row.
    fn write(&self, row: usize, out: &mut Vec<u8>);

    /// Writes a list of the values of some rows.
    fn write_list(&self, rows: Range<usize>, out: &mut Vec<u8>) {
        put_len(LIST, rows.len(), out);
        rows.for_each(|row| self.write(row, out));
    }
}

type AnyValues<'a> = Box<dyn Values + 'a>;

/// A name before its value.
pub(super) fn put_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(name.len() as u64).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// Checks that a column of this type has such bytes.
pub(super) fn check(field: &Field) -> Result<()> {
    match unsupported(field.data_type()) {
        Some(data_type) => Err(Error::UnsupportedColumn {
            column: field.name().clone(),
            data_type: data_type.clone(),
            why: "digests have no form for it".to_owned(),
        }),
        None => Ok(()),
    }
}

fn unsupported(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Union(..) | DataType::RunEndEncoded(..) => Some(data_type),
        DataType::Struct(fields) => fields.iter().find_map(|field| unsupported(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _) => unsupported(item.data_type()),
        DataType::Dictionary(_, values) => unsupported(values),
        _ => None,
    }
}

/// The values of a column of a type that [`check`] accepts; of any other they are an internal error.
pub(super) fn values<'a>(array: &'a dyn Array) -> Result<AnyValues<'a>> {
    let nulls = array.nulls();
    macro_rules! numbers {
        ($type:ty) => {
            Ok(Box::new(Numbers { values: array.as_primitive::<$type>().values(), nulls }))
        };
    }
    macro_rules! bytes {
        ($tag:expr, $array:expr) => {{
            let array = $array;
            written(nulls, move |row, out| {
                let value: &[u8] = array.value(row).as_ref();
                put_len($tag, value.len(), out);
                out.extend_from_slice(value);
            })
        }};
    }
    macro_rules! time {
        ($type:ty, $tag:expr, $nanoseconds:expr) => {
            nanoseconds::<$type>(array, $tag, $nanoseconds)
        };
    }
    macro_rules! time_by_unit {
        ($unit:expr, $tag:expr, $second:ty, $milli:ty, $micro:ty, $nano:ty) => {
            match $unit {
                TimeUnit::Second => time!($second, $tag, 1_000_000_000),
                TimeUnit::Millisecond => time!($milli, $tag, 1_000_000),
                TimeUnit::Microsecond => time!($micro, $tag, 1_000),
                TimeUnit::Nanosecond => time!($nano, $tag, 1),
            }
        };
    }
    match array.data_type() {
        DataType::Null => Ok(Box::new(Written(|_, out: &mut Vec<u8>| out.push(NULL)))),
        DataType::Boolean => {
            let array: &BooleanArray = array.as_boolean();
            written(nulls, move |row, out| out.push(if array.value(row) { TRUE } else { FALSE }))
        }
        DataType::Int8 => numbers!(Int8Type),
        DataType::Int16 => numbers!(Int16Type),
        DataType::Int32 => numbers!(Int32Type),
        DataType::Int64 => numbers!(Int64Type),
        DataType::UInt8 => numbers!(UInt8Type),
        DataType::UInt16 => numbers!(UInt16Type),
        DataType::UInt32 => numbers!(UInt32Type),
        DataType::UInt64 => numbers!(UInt64Type),
        DataType::Float16 => numbers!(Float16Type),
        DataType::Float32 => numbers!(Float32Type),
        DataType::Float64 => numbers!(Float64Type),
        DataType::Utf8 => bytes!(TEXT, array.as_string::<i32>()),
        DataType::LargeUtf8 => bytes!(TEXT, array.as_string::<i64>()),
        DataType::Utf8View => bytes!(TEXT, array.as_string_view()),
        DataType::Binary => bytes!(BYTES, array.as_binary::<i32>()),
        DataType::LargeBinary => bytes!(BYTES, array.as_binary::<i64>()),
        DataType::BinaryView => bytes!(BYTES, array.as_binary_view()),
        DataType::FixedSizeBinary(_) => bytes!(BYTES, array.as_fixed_size_binary()),
        DataType::Date32 => time!(Date32Type, DATE, 86_400_000_000_000),
        DataType::Date64 => time!(Date64Type, DATE, 1_000_000),
        DataType::Time32(TimeUnit::Second) => time!(Time32SecondType, TIME, 1_000_000_000),
        DataType::Time32(_) => time!(Time32MillisecondType, TIME, 1_000_000),
        DataType::Time64(TimeUnit::Microsecond) => time!(Time64MicrosecondType, TIME, 1_000),
        DataType::Time64(_) => time!(Time64NanosecondType, TIME, 1),
        DataType::Timestamp(unit, zone) => {
            let tag = if zone.is_some() { TIMESTAMP_WITH_ZONE } else { TIMESTAMP };
            time_by_unit!(
                unit,
                tag,
                TimestampSecondType,
                TimestampMillisecondType,
                TimestampMicrosecondType,
                TimestampNanosecondType
            )
        }
        DataType::Duration(unit) => time_by_unit!(
            unit,
            DURATION,
            DurationSecondType,
            DurationMillisecondType,
            DurationMicrosecondType,
            DurationNanosecondType
        ),
        DataType::Interval(IntervalUnit::YearMonth) => {
            interval::<IntervalYearMonthType>(array, |months| [i64::from(months), 0, 0])
        }
        DataType::Interval(IntervalUnit::DayTime) => interval::<IntervalDayTimeType>(array, |value| {
            [0, i64::from(value.days), i64::from(value.milliseconds) * 1_000_000]
        }),
        DataType::Interval(IntervalUnit::MonthDayNano) => interval::<IntervalMonthDayNanoType>(array, |value| {
            [i64::from(value.months), i64::from(value.days), value.nanoseconds]
        }),
        DataType::Decimal32(_, scale) => decimal::<Decimal32Type>(array, *scale, |v| i256::from_i128(v.into())),
        DataType::Decimal64(_, scale) => decimal::<Decimal64Type>(array, *scale, |v| i256::from_i128(v.into())),
        DataType::Decimal128(_, scale) => decimal::<Decimal128Type>(array, *scale, i256::from_i128),
        DataType::Decimal256(_, scale) => decimal::<Decimal256Type>(array, *scale, |v| v),
        DataType::List(_) => list(array.as_list::<i32>()),
        DataType::LargeList(_) => list(array.as_list::<i64>()),
        DataType::FixedSizeList(..) => {
            let array = array.as_fixed_size_list();
            let (items, len) = (values(array.values().as_ref())?, array.value_length() as usize);
            written(nulls, move |row, out| items.write_list(row * len..(row + 1) * len, out))
        }
        DataType::ListView(_) => {
            let array = array.as_list_view::<i32>();
            list_view(values(array.values().as_ref())?, nulls, array.offsets(), array.sizes())
        }
        DataType::LargeListView(_) => {
            let array = array.as_list_view::<i64>();
            list_view(values(array.values().as_ref())?, nulls, array.offsets(), array.sizes())
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let named = Named::new(fields.iter().zip(columns).map(|(field, column)| (field.name(), column.as_ref())))?;
            written(nulls, move |row, out| {
                put_len(STRUCT, named.0.len(), out);
                named.write(row, out);
            })
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let (keys, items) = (values(map.keys().as_ref())?, values(map.values().as_ref())?);
            let offsets = map.value_offsets();
            written(nulls, move |row, out| {
                let entries = offsets[row] as usize..offsets[row + 1] as usize;
                put_len(MAP, entries.len(), out);
                for entry in entries {
                    keys.write(entry, out);
                    items.write(entry, out);
                }
            })
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let items = values(dictionary.values().as_ref())?;
            // A null row has any key.
            let keys = if dictionary.values().is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
            written(nulls, move |row, out| items.write(keys[row], out))
        }
        other => Err(Error::Internal(format!("a digest of a column of {other}"))),
    }
}

/// Columns with their names, by these names; columns of one name keep their order.
pub(super) struct Named<'a>(Vec<(Vec<u8>, AnyValues<'a>)>);

impl<'a> Named<'a> {
    pub fn new<N: AsRef<str>>(columns: impl IntoIterator<Item = (N, &'a dyn Array)>) -> Result<Self> {
        let mut columns: Vec<(N, &dyn Array)> = columns.into_iter().collect();
        columns.sort_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        let named = columns.into_iter().map(|(name, array)| {
            let mut prefix = Vec::new();
            put_name(name.as_ref(), &mut prefix);
            Ok((prefix, values(array)?))
        });
        Ok(Self(named.collect::<Result<_>>()?))
    }

    /// Writes names and values of a row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        for (name, values) in &self.0 {
            out.extend_from_slice(name);
            values.write(row, out);
        }
    }
}

/// Values that a function writes.
struct Written<F>(F);

impl<F: Fn(usize, &mut Vec<u8>) + Sync> Values for Written<F> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        (self.0)(row, out);
    }
}

/// Values that a function writes where they are not null.
fn written<'a>(
    nulls: Option<&'a NullBuffer>,
    write: impl Fn(usize, &mut Vec<u8>) + Sync + 'a,
) -> Result<AnyValues<'a>> {
    Ok(match nulls {
        None => Box::new(Written(write)),
        Some(nulls) => Box::new(Written(
            move |row, out: &mut Vec<u8>| {
                if nulls.is_null(row) { out.push(NULL) } else { write(row, out) }
            },
        )),
    })
}

impl<T: Number> Values for Numbers<'_, T> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self.nulls {
            Some(nulls) if nulls.is_null(row) => out.push(NULL),
            _ => T::write(self.values[row], out),
        }
    }

    fn write_list(&self, rows: Range<usize>, out: &mut Vec<u8>) {
        let is_null = |row| self.nulls.is_some_and(|nulls| nulls.is_null(row));
        let whole = !rows.is_empty() && !rows.clone().any(is_null);
        if !whole || !T::write_list(&self.values[rows.clone()], out) {
            put_len(LIST, rows.len(), out);
            rows.for_each(|row| self.write(row, out));
        }
    }
}

fn list<O: OffsetSizeTrait>(array: &GenericListArray<O>) -> Result<AnyValues<'_>> {
    let (items, offsets) = (values(array.values().as_ref())?, array.value_offsets());
    written(array.nulls(), move |row, out| items.write_list(offsets[row].as_usize()..offsets[row + 1].as_usize(), out))
}

fn list_view<'a, O: OffsetSizeTrait>(
    items: AnyValues<'a>,
    nulls: Option<&'a NullBuffer>,
    offsets: &'a [O],
    sizes: &'a [O],
) -> Result<AnyValues<'a>> {
    written(nulls, move |row, out| {
        let start = offsets[row].as_usize();
        items.write_list(start..start + sizes[row].as_usize(), out);
    })
}

fn nanoseconds<'a, T: ArrowPrimitiveType<Native: Into<i128>>>(
    array: &'a dyn Array,
    tag: u8,
    unit: i128,
) -> Result<AnyValues<'a>> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    written(array.nulls(), move |row, out| {
        let value: i128 = array.value(row).into();
        out.push(tag);
        out.extend_from_slice(&(value * unit).to_le_bytes());
    })
}

fn interval<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    parts: impl Fn(T::Native) -> [i64; 3] + Sync + 'a,
) -> Result<AnyValues<'a>> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    written(array.nulls(), move |row, out| {
        out.push(INTERVAL);
        parts(array.value(row)).iter().for_each(|part| out.extend_from_slice(&part.to_le_bytes()));
    })
}

fn decimal<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    scale: i8,
    wide: impl Fn(T::Native) -> i256 + Sync + 'a,
) -> Result<AnyValues<'a>> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    let ten = i256::from_i128(10);
    written(array.nulls(), move |row, out| {
        let (mut digits, mut scale) = (wide(array.value(row)), scale);
        if digits == i256::ZERO {
            scale = 0;
        }
        while digits != i256::ZERO && scale > i8::MIN && digits.wrapping_rem(ten) == i256::ZERO {
            (digits, scale) = (digits.wrapping_div(ten), scale - 1);
        }
        out.push(DECIMAL);
        out.extend_from_slice(&digits.to_le_bytes());
        out.extend_from_slice(&scale.to_le_bytes());
    })
}
