//! The profile of one column, by the kind of its values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, GenericListArray, OffsetSizeTrait, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use serde_json::Value;

use super::byte_counts::ByteCounts;
use super::distinct::{COUNTED, COUNTED_BYTES, Counts, Distinct, Hashed, hash_bytes, key, mixed};
use super::grid::{self, Grid};
use super::numbers::Numbers;
use crate::base::error::{Error, Result};
use crate::base::select::take;

/// So many numbers are made floats at a time, so that these stay in the cache.
pub(super) const AT_ONCE: usize = 1 << 14;
/// Whole numbers are close together if the largest and the least one are not further apart.
const CLOSE: usize = 1 << 10;
/// 2⁵³: from here on several integers are the same float.
pub(super) const WHOLE: f64 = 9_007_199_254_740_992.0;

/// What is known of one column.
#[derive(Debug, Clone)]
pub struct ColumnProfile {
    pub(super) name: String,
    pub(super) data_type: String,
    pub(super) rows: u64,
    pub(super) nulls: u64,
    pub(super) values: Values,
}

/// What is known of values, by their kind.
#[derive(Debug, Clone)]
pub(super) enum Values {
    Number(NumberValues),
    /// Seconds since 1970.
    Time(NumberValues),
    Text(TextValues),
    List(ListValues),
    /// Structs, maps and whatever else: only nulls are counted.
    Other,
}

/// Numbers and booleans.
#[derive(Debug, Clone, Default)]
pub(super) struct NumberValues {
    pub numbers: Numbers,
    pub distinct: Distinct,
    pub grid: Grid,
}

/// Text, or bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct TextValues {
    /// Characters of text, bytes of bytes.
    pub lengths: Numbers,
    pub distinct: Distinct,
    pub counts: Counts<String>,
}

/// Lists of numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct ListValues {
    pub lengths: Numbers,
    pub items: Numbers,
    pub null_items: u64,
}

impl NumberValues {
    /// Adds numbers.
    pub fn extend(&mut self, values: &[f64]) {
        self.numbers.extend(values.iter().copied());
        self.count(values);
    }

    /// Adds numbers of 32 bits, in less time than the same numbers of 64 bits take. Zeros are slow ([`NumberValues::add_times`]).
    pub fn extend_f32(&mut self, values: &[f32]) {
        self.numbers.extend_f32(values);
        self.count(values);
    }

    /// Adds numbers to the sketch and to the grid.
    fn count<T: Copy + Into<f64>>(&mut self, values: &[T]) {
        let mut hashed = Hashed::default();
        // Counting values one by one takes more time than the sketch does, and is in vain if there are too many. The sketch proves
        // that there are if it uses more registers than values are counted. If few values are known so far, few will come.
        let few = 1..COUNTED / 2;
        let sketch_first = self.grid.is_exact() && !few.contains(&self.grid.used());
        if sketch_first {
            values.chunks(Hashed::MOST).for_each(|part| self.distinct.add_all(hashed.of(part).1));
            if self.distinct.used() > COUNTED {
                self.grid.blur();
            }
        }
        for part in values.chunks(Hashed::MOST) {
            let mut exact = 0;
            if self.grid.is_exact() || !sketch_first {
                let (keys, hashes) = hashed.of(part);
                while exact < part.len() && self.grid.is_exact() {
                    // A value that is counted is in the sketch as well.
                    if self.grid.add_exact(keys[exact], hashes[exact]) {
                        self.distinct.add(hashes[exact]);
                    }
                    exact += 1;
                }
                self.distinct.add_all(&hashes[exact..]);
            }
            self.grid.extend(&part[exact..]);
        }
    }

    /// Adds whole numbers. If they lie close together there are few different ones.
    fn extend_whole(&mut self, values: &[f64]) {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for &value in values {
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
        }
        if max - min >= CLOSE.min(values.len() / 4) as f64 {
            return self.extend(values);
        }
        let mut counts = [0u32; CLOSE];
        values.iter().for_each(|&value| counts[(value - min) as usize % CLOSE] += 1);
        for (at, &count) in counts.iter().enumerate() {
            self.add_times(min + at as f64, u64::from(count));
        }
    }

    /// Adds a value whose identity is `bits`: integers beyond 2⁵³ round to the same float, but are not the same.
    fn add_exact(&mut self, value: f64, bits: u64) {
        self.numbers.add(value);
        self.distinct.add(mixed(bits));
        self.grid.add(value, 1);
        if bits != key(value) {
            self.grid.blur();
        }
    }

    pub fn add_times(&mut self, value: f64, times: u64) {
        if times > 0 {
            self.numbers.add_times(value, times);
            self.distinct.add(mixed(key(value)));
            self.grid.add(value, times);
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.numbers.merge(&other.numbers);
        self.distinct.merge(&other.distinct);
        self.grid.merge(&other.grid);
    }

    /// Finite values in their order and their counts: exact ones if they are counted one by one, else the middles of cells or of
    /// bins.
    pub fn sorted(&self) -> Vec<(f64, u64)> {
        self.sorted_of(&self.grid.cells())
    }

    /// As [`NumberValues::sorted`], from the cells of the grid in their order.
    pub fn sorted_of(&self, cells: &[(f64, u64)]) -> Vec<(f64, u64)> {
        if self.grid.is_exact() {
            return cells.iter().copied().filter(|(value, _)| value.is_finite()).collect();
        }
        if !self.prefers_grid() {
            return self.numbers.bins();
        }
        let (min, max) = (self.numbers.min().unwrap_or(0.0), self.numbers.max().unwrap_or(0.0));
        let middle = grid::middle(self.grid.level());
        cells.iter().map(|&(low, count)| (middle(low).clamp(min, max), count)).collect()
    }

    /// Whether cells of equal width tell more than bins, whose width grows with the value: so it is if values differ by little
    /// compared with their size, as times do.
    pub fn prefers_grid(&self) -> bool {
        !self.grid.is_closed() && self.grid.used() > self.numbers.used_bins()
    }

    /// How many different values there are: exact if they are counted one by one, else an estimate.
    pub fn distinct_count(&self) -> u64 {
        self.grid.len().map_or_else(|| self.distinct.estimate().round() as u64, |count| count as u64)
    }
}

impl TextValues {
    fn add(&mut self, text: &str) {
        self.lengths.add(text.chars().count() as f64);
        self.distinct.add(hash_bytes(text.as_bytes()));
        if text.len() <= COUNTED_BYTES { self.counts.add(text, 1) } else { self.counts.close() }
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        self.lengths.add(bytes.len() as f64);
        self.distinct.add(hash_bytes(bytes));
        self.counts.close();
    }

    pub fn distinct_count(&self) -> u64 {
        self.counts.len().map_or_else(|| self.distinct.estimate().round() as u64, |count| count as u64)
    }
}

/// Types whose values are numbers, with the function that makes a float of a value.
macro_rules! by_number_type {
    ($data_type:expr, $array:expr, $call:ident, $to:expr, $else:expr) => {
        match $data_type {
            DataType::Int8 => $call::<Int8Type>($to, $array.as_primitive(), f64::from),
            DataType::Int16 => $call::<Int16Type>($to, $array.as_primitive(), f64::from),
            DataType::Int32 => $call::<Int32Type>($to, $array.as_primitive(), f64::from),
            DataType::Int64 => $call::<Int64Type>($to, $array.as_primitive(), |v| v as f64),
            DataType::UInt8 => $call::<UInt8Type>($to, $array.as_primitive(), f64::from),
            DataType::UInt16 => $call::<UInt16Type>($to, $array.as_primitive(), f64::from),
            DataType::UInt32 => $call::<UInt32Type>($to, $array.as_primitive(), f64::from),
            DataType::UInt64 => $call::<UInt64Type>($to, $array.as_primitive(), |v| v as f64),
            DataType::Float16 => $call::<Float16Type>($to, $array.as_primitive(), f64::from),
            DataType::Float32 => $call::<Float32Type>($to, $array.as_primitive(), f64::from),
            DataType::Float64 => $call::<Float64Type>($to, $array.as_primitive(), |v| v),
            DataType::Decimal128(_, scale) => {
                let unit = 10f64.powi(i32::from(*scale));
                $call::<Decimal128Type>($to, $array.as_primitive(), move |v| v as f64 / unit)
            }
            _ => $else,
        }
    };
}

/// The type of a dictionary's values; any other type as it is.
pub(super) fn plain_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

/// The type of the items of a list; `None` for other types.
pub(super) fn item_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating() || matches!(data_type, DataType::Decimal128(..))
}

impl ColumnProfile {
    /// The profile of no rows of a column.
    pub fn new(name: &str, data_type: &DataType) -> Self {
        let plain = plain_type(data_type);
        let values = match plain {
            of if is_number(of) || *of == DataType::Boolean => Values::Number(NumberValues::default()),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Values::Time(NumberValues::default()),
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Values::Text(TextValues::default()),
            of if item_type(of).is_some_and(is_number) => Values::List(ListValues::default()),
            _ => Values::Other,
        };
        Self { name: name.to_owned(), data_type: plain.to_string(), rows: 0, nulls: 0, values }
    }

    /// The profile of numbers that are not a column of a table.
    pub(super) fn of_numbers(name: &str, data_type: &str) -> Self {
        let values = Values::Number(NumberValues { grid: Grid::exact_only(), ..NumberValues::default() });
        Self { name: name.to_owned(), data_type: data_type.to_owned(), rows: 0, nulls: 0, values }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows without a value.
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// How many different values there are, nulls aside: exact up to 1,000, an estimate beyond. `None` for lists, structs and
    /// the like.
    pub fn distinct_count(&self) -> Option<u64> {
        match &self.values {
            Values::Number(of) | Values::Time(of) => Some(of.distinct_count()),
            Values::Text(of) => Some(of.distinct_count()),
            Values::List(_) | Values::Other => None,
        }
    }

    /// The numbers of the column, or the seconds since 1970 of times.
    pub fn numbers(&self) -> Option<&Numbers> {
        match &self.values {
            Values::Number(of) | Values::Time(of) => Some(&of.numbers),
            _ => None,
        }
    }

    /// The lengths of texts and lists.
    pub fn lengths(&self) -> Option<&Numbers> {
        match &self.values {
            Values::Text(of) => Some(&of.lengths),
            Values::List(of) => Some(&of.lengths),
            _ => None,
        }
    }

    /// The finite numbers in their order and their counts: exact up to 1,000 different ones, the middles of bins beyond.
    pub(super) fn sorted_numbers(&self) -> Option<Vec<(f64, u64)>> {
        match &self.values {
            Values::Number(of) | Values::Time(of) => Some(of.sorted()),
            _ => None,
        }
    }

    /// All values and their counts, the most common first; `None` if there are more than 1,000 different ones.
    pub(super) fn counted_values(&self) -> Option<Vec<(Value, u64)>> {
        match &self.values {
            Values::Number(of) | Values::Time(of) => {
                let counts = of.grid.most_common(usize::MAX)?.into_iter();
                Some(counts.map(|(value, count)| (Value::from(value), count)).collect())
            }
            Values::Text(of) => {
                Some(of.counts.most_common(usize::MAX)?.into_iter().map(|(text, count)| (text.into(), count)).collect())
            }
            Values::List(_) | Values::Other => None,
        }
    }

    /// Adds some rows of the column.
    ///
    /// # Errors
    /// [`Error::Arrow`] if a dictionary is damaged.
    pub fn add(&mut self, array: &ArrayRef) -> Result<()> {
        let plain;
        let array = match array.as_any_dictionary_opt() {
            Some(dictionary) => {
                plain = take(dictionary.values(), dictionary.keys()).map_err(Error::from)?;
                &plain
            }
            None => array,
        };
        self.rows += array.len() as u64;
        self.nulls += array.logical_null_count() as u64;
        match &mut self.values {
            Values::Number(to) => add_numbers(to, array),
            Values::Time(to) => {
                let seconds: Vec<f64> = floats(array).into_iter().flatten().flatten().collect();
                seconds.chunks(AT_ONCE).for_each(|part| to.extend(part));
            }
            Values::Text(to) => add_texts(to, array),
            Values::List(to) => add_lists(to, array),
            Values::Other => {}
        }
        Ok(())
    }

    /// Adds the rows of the other, whose column has the same name and type.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it has not.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if (&self.name, &self.data_type) != (&other.name, &other.data_type) {
            let why = format!(
                "`{}` ({}) cannot be merged with `{}` ({})",
                self.name, self.data_type, other.name, other.data_type
            );
            return Err(Error::InvalidOption { option: "profile", why });
        }
        self.rows += other.rows;
        self.nulls += other.nulls;
        match (&mut self.values, &other.values) {
            (Values::Number(own), Values::Number(other)) | (Values::Time(own), Values::Time(other)) => own.merge(other),
            (Values::Text(own), Values::Text(other)) => {
                own.lengths.merge(&other.lengths);
                own.distinct.merge(&other.distinct);
                own.counts.merge(&other.counts);
            }
            (Values::List(own), Values::List(other)) => {
                own.lengths.merge(&other.lengths);
                own.items.merge(&other.items);
                own.null_items += other.null_items;
            }
            // The type tells the kind.
            _ => {}
        }
        Ok(())
    }
}

fn add_primitive<T: ArrowPrimitiveType<Native: Identity>>(
    to: &mut NumberValues,
    array: &PrimitiveArray<T>,
    float: impl Fn(T::Native) -> f64,
) {
    let is_its_float = |&value: &T::Native| value.identity(float(value)) == key(float(value));
    if T::DATA_TYPE.is_floating() || array.values().iter().all(is_its_float) {
        // Decimals are whole numbers as well, but not as floats.
        let is_whole = T::DATA_TYPE.is_integer();
        in_parts(array, float, |part| if is_whole { to.extend_whole(part) } else { to.extend(part) });
    } else {
        for value in array.iter().flatten() {
            to.add_exact(float(value), value.identity(float(value)));
        }
    }
}

/// Calls `take` with the values of an array as floats, some of them at a time.
fn in_parts<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    float: impl Fn(T::Native) -> f64,
    mut take: impl FnMut(&[f64]),
) {
    let mut part = Vec::with_capacity(array.len().min(AT_ONCE));
    if array.null_count() == 0 {
        for values in array.values().chunks(AT_ONCE) {
            part.clear();
            part.extend(values.iter().map(|&value| float(value)));
            take(&part);
        }
        return;
    }
    let mut values = array.iter().flatten().map(float);
    loop {
        part.clear();
        part.extend(values.by_ref().take(AT_ONCE));
        if part.is_empty() {
            return;
        }
        take(&part);
    }
}

/// What tells a value from others that are the same as a float.
trait Identity: Copy {
    fn identity(self, float: f64) -> u64;
}

macro_rules! identity {
    ($($float:ty)*; $($integer:ty)*) => {
        $(impl Identity for $float {
            #[inline]
            fn identity(self, float: f64) -> u64 {
                key(float)
            }
        })*
        $(impl Identity for $integer {
            #[inline]
            fn identity(self, float: f64) -> u64 {
                if float.abs() < WHOLE { key(float) } else { mixed(self as u64) }
            }
        })*
    };
}
identity!(half::f16 f32 f64; i8 i16 i32 i64 i128 u8 u16 u32 u64);

fn add_numbers(to: &mut NumberValues, array: &ArrayRef) {
    if let Some(flags) = array.as_boolean_opt() {
        let set = flags.iter().flatten().filter(|flag| *flag).count();
        to.add_times(1.0, set as u64);
        to.add_times(0.0, (flags.len() - flags.null_count() - set) as u64);
        return;
    }
    by_number_type!(array.data_type(), array, add_primitive, to, ());
}

/// The numbers, flags or seconds since 1970 of an array; `None` for other types.
pub(super) fn floats(array: &ArrayRef) -> Option<Vec<Option<f64>>> {
    fn each<T: ArrowPrimitiveType>(
        to: &mut Vec<Option<f64>>,
        array: &PrimitiveArray<T>,
        float: impl Fn(T::Native) -> f64,
    ) {
        to.extend(array.iter().map(|value| value.map(&float)));
    }
    let mut found = Vec::with_capacity(array.len());
    if let Some(flags) = array.as_boolean_opt() {
        found.extend(flags.iter().map(|flag| flag.map(|flag| f64::from(u8::from(flag)))));
        return Some(found);
    }
    let seconds = |per_second: f64| move |v: i64| v as f64 / per_second;
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            each::<TimestampSecondType>(&mut found, array.as_primitive(), seconds(1.0));
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            each::<TimestampMillisecondType>(&mut found, array.as_primitive(), seconds(1e3));
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each::<TimestampMicrosecondType>(&mut found, array.as_primitive(), seconds(1e6));
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            each::<TimestampNanosecondType>(&mut found, array.as_primitive(), seconds(1e9));
        }
        DataType::Date32 => each::<Date32Type>(&mut found, array.as_primitive(), |v| f64::from(v) * 86_400.0),
        DataType::Date64 => each::<Date64Type>(&mut found, array.as_primitive(), seconds(1e3)),
        other => by_number_type!(other, array, each, &mut found, return None),
    }
    Some(found)
}

fn add_texts(to: &mut TextValues, array: &ArrayRef) {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().flatten().for_each(|text| to.add(text)),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().flatten().for_each(|text| to.add(text)),
        DataType::Utf8View => array.as_string_view().iter().flatten().for_each(|text| to.add(text)),
        DataType::Binary => array.as_binary::<i32>().iter().flatten().for_each(|bytes| to.add_bytes(bytes)),
        DataType::LargeBinary => array.as_binary::<i64>().iter().flatten().for_each(|bytes| to.add_bytes(bytes)),
        DataType::BinaryView => array.as_binary_view().iter().flatten().for_each(|bytes| to.add_bytes(bytes)),
        DataType::FixedSizeBinary(_) => {
            array.as_fixed_size_binary().iter().flatten().for_each(|bytes| to.add_bytes(bytes));
        }
        _ => {}
    }
}

fn add_lists(to: &mut ListValues, array: &ArrayRef) {
    match array.data_type() {
        DataType::List(_) => add_offset_lists(to, array.as_list::<i32>()),
        DataType::LargeList(_) => add_offset_lists(to, array.as_list::<i64>()),
        DataType::FixedSizeList(..) => {
            let lists = array.as_fixed_size_list();
            to.lengths.add_times(f64::from(lists.value_length()), (lists.len() - lists.null_count()) as u64);
            match lists.null_count() {
                0 => add_items(to, lists.values()),
                _ => lists.iter().flatten().for_each(|items| add_items(to, &items)),
            }
        }
        _ => {}
    }
}

fn add_offset_lists<O: OffsetSizeTrait>(to: &mut ListValues, lists: &GenericListArray<O>) {
    if lists.null_count() > 0 {
        for items in lists.iter().flatten() {
            to.lengths.add(items.len() as f64);
            add_items(to, &items);
        }
    } else if let (Some(first), Some(last)) = (lists.offsets().first(), lists.offsets().last()) {
        lists.offsets().lengths().for_each(|length| to.lengths.add(length as f64));
        add_items(to, &lists.values().slice(first.as_usize(), last.as_usize() - first.as_usize()));
    }
}

fn add_items(to: &mut ListValues, items: &ArrayRef) {
    to.null_items += items.null_count() as u64;
    let to = &mut to.items;
    // Bytes by their value: far fewer different ones than items.
    if let Some(bytes) =
        items.as_primitive_opt::<UInt8Type>().filter(|bytes| bytes.null_count() == 0 && bytes.len() >= 256)
    {
        for bytes in bytes.values().chunks(1 << 31) {
            let mut counts = ByteCounts::new(1);
            counts.add(bytes);
            for (_, table) in counts.tables() {
                table.iter().enumerate().for_each(|(value, &count)| to.add_times(value as f64, u64::from(count)));
            }
        }
        return;
    }
    fn add<T: ArrowPrimitiveType>(to: &mut Numbers, items: &PrimitiveArray<T>, float: impl Fn(T::Native) -> f64) {
        match items.null_count() {
            0 => to.extend(items.values().iter().map(|&value| float(value))),
            _ => to.extend(items.iter().flatten().map(float)),
        }
    }
    by_number_type!(items.data_type(), items, add, to, ());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_any_length_are_counted_alike() {
        // Around the limit; 1,500 values use more registers than are counted, 1,030 do not.
        for different in [3u32, 900, 1_000, 1_001, 1_030, 1_500, 5_000] {
            // Zeros of both signs are among them, and numbers that are not finite.
            let value = |i: u32| match i {
                5_000 => f32::NAN,
                5_001 => f32::NEG_INFINITY,
                5_002 => -0.0,
                _ => (i * 7_919 % different) as f32 * 0.37 - 5.0 * 0.37,
            };
            let values: Vec<f32> = (0..6_000).map(value).collect();
            for grid in [Grid::default(), Grid::exact_only()] {
                let of = |part: usize| {
                    let mut short = NumberValues { grid: grid.clone(), ..NumberValues::default() };
                    let mut long = short.clone();
                    for part in values.chunks(part) {
                        short.extend_f32(part);
                        long.extend(&part.iter().copied().map(f64::from).collect::<Vec<_>>());
                    }
                    [short, long].map(|of| (of.grid.about(), of.grid.cells(), of.distinct, of.numbers.bins()))
                };
                // As text, because NaN is among the cells.
                let told = |of: &dyn std::fmt::Debug| format!("{of:?}");
                let one_by_one = of(1);
                assert_eq!(told(&one_by_one[0]), told(&one_by_one[1]), "{different}");
                for part in [37, 700, 2_600, 6_000] {
                    assert_eq!(told(&of(part)), told(&one_by_one), "{different} in parts of {part}");
                }
            }
        }
    }
}
