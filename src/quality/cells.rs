//! The cells of a column, a feature or a measure: as text, as numbers, as hashes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float32Array, GenericListArray, OffsetSizeTrait, RecordBatch};
use arrow_schema::DataType;

use super::column::{WHOLE, floats};
use super::distinct::{hash_bytes, hash_long, key, mixed};
use super::images::MEASURES;
use crate::base::error::{Error, Result};
use crate::base::select::take;
use crate::base::text::cut;
use crate::run::observe::Observed;

/// The rows that checks look at.
pub(super) struct Rows<'a> {
    pub input: &'a RecordBatch,
    /// The batch of a run, with its features.
    pub observed: Option<&'a Observed<'a>>,
    /// The measures of each row's image; of rows without an image they are no numbers.
    pub measures: &'a [[f64; MEASURES.len()]],
}

/// The cells of some rows.
pub(super) struct Cells<'a> {
    /// The column; of features and measures their numbers alone.
    array: Option<Cow<'a, ArrayRef>>,
    numbers: Option<Vec<Option<f64>>>,
}

/// Cells by name: several checks look at the same ones.
pub(super) struct KnownCells<'a> {
    rows: &'a Rows<'a>,
    known: RefCell<BTreeMap<String, Rc<Cells<'a>>>>,
}

impl<'a> KnownCells<'a> {
    pub fn new(rows: &'a Rows<'a>) -> Self {
        Self { rows, known: RefCell::default() }
    }

    /// As [`Rows::cells`].
    pub fn get(&self, name: &str) -> Result<Rc<Cells<'a>>> {
        if let Some(cells) = self.known.borrow().get(name) {
            return Ok(Rc::clone(cells));
        }
        let cells = Rc::new(self.rows.cells(name)?);
        self.known.borrow_mut().insert(name.to_owned(), Rc::clone(&cells));
        Ok(cells)
    }
}

impl<'a> Rows<'a> {
    pub fn len(&self) -> usize {
        self.input.num_rows()
    }

    pub fn column_names(&self) -> Vec<String> {
        self.input.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The type of a column, a feature or a measure; `None` if there is none of this name.
    pub fn data_type(&self, name: &str) -> Option<DataType> {
        if let Some(column) = self.input.column_by_name(name) {
            return Some(column.data_type().clone());
        }
        let output = self.observed.and_then(|of| of.output.column_by_name(name));
        let measure = || self.cells(name).is_ok().then_some(DataType::Float64);
        output.map(|column| column.data_type().clone()).or_else(measure)
    }

    /// The cells of a column, a feature or a measure of the images.
    ///
    /// # Errors
    /// [`Error::NoSuchColumn`] if there is none.
    pub fn cells(&self, name: &str) -> Result<Cells<'a>> {
        if let Some(column) = self.input.column_by_name(name) {
            return Cells::of(column);
        }
        if let Some(at) = name.strip_prefix("image.").and_then(|name| MEASURES.iter().position(|known| *known == name))
            && self.measures.len() == self.len()
        {
            let numbers = self.measures.iter().map(|of| Some(of[at]).filter(|value| !value.is_nan())).collect();
            return Ok(Cells { array: None, numbers: Some(numbers) });
        }
        self.feature(name).ok_or_else(|| {
            let mut available = self.column_names();
            if let Some(of) = self.observed {
                available.extend(MEASURES.map(|name| format!("image.{name}")));
                available.extend(of.layout.columns().map(|(name, _)| name.to_owned()));
                available.extend_from_slice(of.layout.list_names());
            }
            Error::NoSuchColumn { column: name.to_owned(), available }
        })
    }

    fn feature(&self, name: &str) -> Option<Cells<'a>> {
        let of = self.observed?;
        let from = of.output.num_columns() - of.feature_columns;
        let fields = &of.output.schema_ref().fields()[from..];
        if let Some(at) = fields.iter().position(|field| field.name() == name) {
            return Cells::of(of.output.column(from + at)).ok();
        }
        let at = of.layout.list_names().iter().position(|known| known == name)?;
        let list = of.output.columns().last()?.as_fixed_size_list_opt()?;
        let (values, stride) = (list.values().as_any().downcast_ref::<Float32Array>()?, list.value_length() as usize);
        let value = |row: usize| list.is_valid(row).then(|| f64::from(values.value(row * stride + at)));
        Some(Cells { array: None, numbers: Some((0..list.len()).map(value).collect()) })
    }
}

impl<'a> Cells<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        let array = match column.as_any_dictionary_opt() {
            Some(of) => Cow::Owned(take(of.values(), of.keys()).map_err(Error::from)?),
            None => Cow::Borrowed(column),
        };
        let numbers = floats(&array);
        Ok(Self { array: Some(array), numbers })
    }

    pub fn is_null(&self, row: usize) -> bool {
        match (&self.numbers, &self.array) {
            (Some(numbers), _) => numbers[row].is_none(),
            (None, Some(array)) => array.data_type() == &DataType::Null || array.is_null(row),
            (None, None) => true,
        }
    }

    pub fn null_count(&self) -> usize {
        match (&self.numbers, &self.array) {
            (Some(numbers), _) => numbers.iter().filter(|number| number.is_none()).count(),
            (None, Some(array)) => array.logical_null_count(),
            (None, None) => 0,
        }
    }

    /// The least and the largest number; `None` if there is none, or one that is no number.
    pub fn range(&self) -> Option<(f64, f64)> {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for &number in self.numbers.as_ref()?.iter().flatten() {
            if number.is_nan() {
                return None;
            }
            (min, max) = (min.min(number), max.max(number));
        }
        (min <= max).then_some((min, max))
    }

    /// Whether every row has a number that is exact as a float, and `hold` is true of all of them.
    pub fn are_numbers(&self, mut hold: impl FnMut(f64) -> bool) -> bool {
        let mut fits = |number: &Option<f64>| number.is_some_and(|value| value.abs() < WHOLE && hold(value));
        self.numbers.as_ref().is_some_and(|numbers| numbers.iter().all(&mut fits))
    }

    /// Whether the items of the lists are bytes.
    pub fn has_bytes(&self) -> bool {
        let items = self.array.as_ref().and_then(|array| inner_values(array));
        items.is_some_and(|items| items.data_type() == &DataType::UInt8)
    }

    pub fn number(&self, row: usize) -> Option<f64> {
        self.numbers.as_ref()?[row]
    }

    /// The text of an integer that a float may not tell from others.
    pub fn large(&self, row: usize) -> Option<String> {
        self.number(row).filter(|value| value.abs() >= WHOLE)?;
        self.array.as_ref().filter(|array| array.data_type().is_integer()).and_then(|array| text(array, row))
    }

    /// Text; `None` for other types.
    pub fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        let array = self.array.as_ref()?;
        Some(Cow::Borrowed(match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value(row),
            DataType::LargeUtf8 => array.as_string::<i64>().value(row),
            DataType::Utf8View => array.as_string_view().value(row),
            _ => return None,
        }))
    }

    /// The characters of a text, the items of a list, the bytes of bytes.
    pub fn length(&self, row: usize) -> Option<usize> {
        if let Some(text) = self.text(row) {
            return Some(text.chars().count());
        }
        let array = self.array.as_ref()?;
        match array.data_type() {
            DataType::List(_) => Some(array.as_list::<i32>().value_length(row) as usize),
            DataType::LargeList(_) => Some(array.as_list::<i64>().value_length(row) as usize),
            DataType::FixedSizeList(_, length) => Some(*length as usize),
            _ => self.bytes(row).map(<[u8]>::len),
        }
    }

    /// The least and the largest length of the lists of all rows, and of what stands in the place of nulls; `None` for other types.
    pub fn list_length_range(&self) -> Option<(f64, f64)> {
        fn range<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Option<(f64, f64)> {
            let widest = |(min, max): (usize, usize), length| (min.min(length), max.max(length));
            let (min, max) = lists.offsets().lengths().fold((usize::MAX, 0), widest);
            (min <= max).then_some((min as f64, max as f64))
        }
        let array = self.array.as_ref()?;
        match array.data_type() {
            DataType::List(_) => range(array.as_list::<i32>()),
            DataType::LargeList(_) => range(array.as_list::<i64>()),
            DataType::FixedSizeList(_, length) => Some((f64::from(*length), f64::from(*length))),
            _ => None,
        }
    }

    fn bytes(&self, row: usize) -> Option<&[u8]> {
        let array = self.array.as_ref()?;
        Some(match array.data_type() {
            DataType::Binary => array.as_binary::<i32>().value(row),
            DataType::LargeBinary => array.as_binary::<i64>().value(row),
            DataType::BinaryView => array.as_binary_view().value(row),
            DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().value(row),
            _ => return None,
        })
    }

    fn items(&self, row: usize) -> Option<ArrayRef> {
        let array = self.array.as_ref()?;
        Some(match array.data_type() {
            DataType::List(_) => array.as_list::<i32>().value(row),
            DataType::LargeList(_) => array.as_list::<i64>().value(row),
            DataType::FixedSizeList(..) => array.as_fixed_size_list().value(row),
            _ => return None,
        })
    }

    /// The numbers of a list, of all levels if lists are nested; `None` for other types.
    pub fn leaves(&self, row: usize) -> Option<Vec<Option<f64>>> {
        let mut items = self.items(row)?;
        while let Some(inner) = inner_values(&items) {
            items = inner;
        }
        floats(&items)
    }

    /// The least and the largest item of all rows, and of what stands in the place of nulls; `None` if that is not known.
    pub fn item_range(&self) -> Option<(f64, f64)> {
        let mut items = inner_values(self.array.as_ref()?)?;
        while let Some(inner) = inner_values(&items) {
            items = inner;
        }
        macro_rules! range {
            ($($data_type:ident => $Type:ty),+) => {
                match items.data_type() {
                    $(DataType::$data_type => {
                        let values = items.as_primitive::<$Type>().values();
                        let (mut min, mut max) = (*values.first()?, *values.first()?);
                        for &value in values {
                            (min, max) = (min.min(value), max.max(value));
                        }
                        Some((min as f64, max as f64))
                    })+
                    // Floats may be no numbers.
                    _ => None,
                }
            };
        }
        range!(UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type,
            Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type)
    }

    /// A hash that equal cells share. Nulls are equal, and so are cells of types that have no other form than their text.
    pub fn hash(&self, row: usize) -> u64 {
        if self.is_null(row) {
            return 1;
        }
        if let Some(number) = self.number(row) {
            return self.large(row).map_or_else(|| mixed(key(number)), |text| hash_bytes(text.as_bytes()));
        }
        if let Some(text) = self.text(row) {
            return hash_bytes(text.as_bytes());
        }
        if let Some(bytes) = self.bytes(row).or_else(|| self.byte_items(row)) {
            return hash_long(bytes);
        }
        if let Some(items) = self.items(row) {
            if let Some(bytes) = items.as_primitive_opt::<UInt8Type>().filter(|bytes| bytes.null_count() == 0) {
                return hash_long(bytes.values());
            }
            let floats = floats(&items).unwrap_or_default();
            let hash = |all: u64, value: &Option<f64>| mixed(all ^ value.map_or(2, key));
            return floats.iter().fold(mixed(items.len() as u64), hash);
        }
        mixed(3)
    }

    /// The items of a list of bytes, if no list here has a null in it; `None` for other types.
    fn byte_items(&self, row: usize) -> Option<&[u8]> {
        let array = self.array.as_ref()?;
        let (values, range) = match array.data_type() {
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                (lists.values(), lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize)
            }
            DataType::FixedSizeList(_, length) => {
                let lists = array.as_fixed_size_list();
                let start = lists.value_offset(row) as usize;
                (lists.values(), start..start + *length as usize)
            }
            _ => return None,
        };
        let bytes = values.as_primitive_opt::<UInt8Type>().filter(|bytes| bytes.null_count() == 0)?;
        bytes.values().get(range)
    }

    /// The cell for people, shortened.
    pub fn told(&self, row: usize) -> String {
        const SHOWN: usize = 80;
        if self.is_null(row) {
            return "null".to_owned();
        }
        let whole = match (&self.array, self.number(row)) {
            (Some(array), number) => match (text(array, row), number) {
                (Some(text), None) => format!("{text:?}"),
                (Some(text), Some(_)) => text,
                (None, Some(number)) => number.to_string(),
                (None, None) => self.length(row).map_or_else(|| "…".to_owned(), |length| format!("{length} items")),
            },
            (None, number) => number.unwrap_or(f64::NAN).to_string(),
        };
        cut(&whole, SHOWN)
    }

    /// The error of a check that needs other values than the cells have.
    pub fn unsupported(&self, name: &str, needed: &str) -> Error {
        let data_type = self.array.as_ref().map_or(DataType::Float64, |array| array.data_type().clone());
        Error::UnsupportedColumn { column: name.to_owned(), data_type, why: format!("a check needs {needed}") }
    }
}

/// The values of a list array that its rows refer to; `None` for other types.
fn inner_values(array: &ArrayRef) -> Option<ArrayRef> {
    Some(match array.data_type() {
        DataType::List(_) => {
            let (lists, offsets) = (array.as_list::<i32>(), array.as_list::<i32>().value_offsets());
            lists.values().slice(offsets[0] as usize, (offsets[lists.len()] - offsets[0]) as usize)
        }
        DataType::LargeList(_) => {
            let (lists, offsets) = (array.as_list::<i64>(), array.as_list::<i64>().value_offsets());
            lists.values().slice(offsets[0] as usize, (offsets[lists.len()] - offsets[0]) as usize)
        }
        // Its values begin with those of its first row, whatever it was cut from.
        DataType::FixedSizeList(..) => array.as_fixed_size_list().values().clone(),
        _ => return None,
    })
}

/// The text of an integer, boolean or text; `None` for a null, and for other types.
pub(super) fn text(array: &ArrayRef, row: usize) -> Option<String> {
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let key = dictionary.keys().is_valid(row).then(|| dictionary.normalized_keys()[row])?;
        return text(dictionary.values(), key);
    }
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        _ => return None,
    })
}
