//! Writes CSV: a header line, then a line for each row.

use std::io::Write;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow_buffer::NullBuffer;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Schema};

use crate::base::error::{Error, Result};
use crate::features::{FEATURE_NAMES_KEY, FEATURES};

/// Writes all batches; returns the rows. A fixed-size list becomes a column for each of its items, a list of text its items with
/// semicolons between them; nulls are empty.
pub fn write(mut out: impl Write, path: &Path, reader: impl RecordBatchReader) -> Result<u64> {
    let schema = reader.schema();
    if let Some(field) = schema.fields().iter().find(|field| !has_text(field.data_type())) {
        return Err(Error::UnsupportedColumn {
            column: field.name().clone(),
            data_type: field.data_type().clone(),
            why: "CSV has no form for it; leave it out by naming the columns to pass through".to_owned(),
        });
    }
    let names = names(&schema)?;
    let mut rows = 0;
    let mut text = Vec::new();
    // An empty batch comes before all others, so that there is a header even if there are no rows.
    let batches = std::iter::once(Ok(RecordBatch::new_empty(schema.clone()))).chain(reader);
    for (at, batch) in batches.enumerate() {
        let batch = batch.map_err(Error::from)?;
        text.clear();
        if at == 0 {
            write_header(&names, &mut text);
        }
        let failed = |e: ArrowError| Error::format(path.display().to_string(), e.to_string());
        write_rows(&batch, &schema, &mut text).map_err(failed)?;
        out.write_all(&text).map_err(|e| Error::io("write", path, e))?;
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

fn has_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, _) => has_text(item.data_type()),
        other => !other.is_nested() || is_text_list(other),
    }
}

fn is_text_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(item) if item.data_type() == &DataType::Utf8)
}

/// The maximum columns of a file. The schema of an input may claim lists of any length.
const MAX_COLUMNS: usize = 1 << 20;

/// The columns that a column of a type becomes, and the type of their values.
fn flat(data_type: &DataType) -> (usize, &DataType) {
    let (mut items, mut leaf) = (1usize, data_type);
    while let DataType::FixedSizeList(item, side) = leaf {
        items = items.saturating_mul(*side as usize);
        leaf = item.data_type();
    }
    (items, leaf)
}

/// The names of all columns of the file.
fn names(schema: &Schema) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for field in schema.fields() {
        let (items, _) = flat(field.data_type());
        if items.saturating_add(names.len()) > MAX_COLUMNS {
            return Err(Error::UnsupportedColumn {
                column: field.name().clone(),
                data_type: field.data_type().clone(),
                why: format!("a CSV file would have more than {MAX_COLUMNS} columns"),
            });
        }
        if !matches!(field.data_type(), DataType::FixedSizeList(..)) {
            names.push(field.name().clone());
            continue;
        }
        let known: Vec<&str> = match schema.metadata().get(FEATURE_NAMES_KEY) {
            Some(names) if field.name() == FEATURES => names.split(',').collect(),
            _ => Vec::new(),
        };
        names.extend((0..items).map(|at| match known.len() == items {
            true => known[at].to_owned(),
            false => format!("{}_{at}", field.name()),
        }));
    }
    Ok(names)
}

fn write_header(names: &[String], text: &mut Vec<u8>) {
    let begin = text.len();
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        write_quoted(name, text);
    }
    end_line(begin, text);
}

fn write_rows(batch: &RecordBatch, schema: &Schema, text: &mut Vec<u8>) -> Result<(), ArrowError> {
    let types =
        |schema: &Schema| schema.fields().iter().map(|field| flat(field.data_type()).1.clone()).collect::<Vec<_>>();
    if types(batch.schema_ref()) != types(schema) {
        return Err(ArrowError::InvalidArgumentError("the types of a batch are not those of its reader".to_owned()));
    }
    let mut columns = batch.columns().iter().map(Column::of).collect::<Result<Vec<_>, _>>()?;
    if columns.iter().all(|column| column.items == 0) {
        return Err(ArrowError::InvalidArgumentError("CSV has no form for rows without columns".to_owned()));
    }
    for row in 0..batch.num_rows() {
        let begin = text.len();
        let mut place = 0;
        for column in &mut columns {
            for at in row * column.items..(row + 1) * column.items {
                if place > 0 {
                    text.push(b',');
                }
                place += 1;
                if column.levels.iter().all(|(items, nulls)| nulls.is_valid(at / items)) {
                    (column.write)(at, text).map_err(|e| {
                        ArrowError::CsvError(format!("Error processing row {}, col {place}: {e}", row + 1))
                    })?;
                }
            }
        }
        end_line(begin, text);
    }
    Ok(())
}

/// A line that would be empty has a pair of quotes, because readers skip empty lines.
fn end_line(begin: usize, text: &mut Vec<u8>) {
    if text.len() == begin {
        text.extend_from_slice(b"\"\"");
    }
    text.push(b'\n');
}

fn write_quoted(value: &str, text: &mut Vec<u8>) {
    if !value.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return text.extend_from_slice(value.as_bytes());
    }
    text.push(b'"');
    for (at, part) in value.split('"').enumerate() {
        if at > 0 {
            text.extend_from_slice(b"\"\"");
        }
        text.extend_from_slice(part.as_bytes());
    }
    text.push(b'"');
}

/// Writes one value of an array; nothing for a null.
type WriteValue<'a> = Box<dyn FnMut(usize, &mut Vec<u8>) -> Result<(), ArrowError> + 'a>;

/// A column of a batch as columns of text.
struct Column<'a> {
    /// The columns of text.
    items: usize,
    /// The levels of lists that have nulls: the values below each list, and which lists are null.
    levels: Vec<(usize, &'a NullBuffer)>,
    write: WriteValue<'a>,
}

impl<'a> Column<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self, ArrowError> {
        let (items, _) = flat(column.data_type());
        let (mut levels, mut leaf) = (Vec::new(), column);
        while let Some(list) = leaf.as_fixed_size_list_opt() {
            levels.extend(list.nulls().map(|nulls| (flat(list.data_type()).0, nulls)));
            leaf = list.values();
        }
        Ok(Self { items, levels, write: write_value(leaf)? })
    }
}

/// The same text as arrow-cast's, which takes longer for what a file has most of.
fn write_value(array: &ArrayRef) -> Result<WriteValue<'_>, ArrowError> {
    macro_rules! valid {
        ($array:expr, |$value:ident, $text:ident| $write:expr) => {{
            let array = $array;
            Box::new(move |at, $text| {
                if array.is_valid(at) {
                    let $value = array.value(at);
                    $write;
                }
                Ok(())
            })
        }};
    }
    macro_rules! float {
        ($t:ty) => {
            valid!(array.as_primitive::<$t>(), |value, text| text
                .extend_from_slice(ryu::Buffer::new().format(value).as_bytes()))
        };
    }
    macro_rules! integer {
        ($t:ty) => {
            valid!(array.as_primitive::<$t>(), |value, text| write!(text, "{value}")?)
        };
    }
    Ok(match array.data_type() {
        DataType::Float32 => float!(Float32Type),
        DataType::Float64 => float!(Float64Type),
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => integer!(UInt64Type),
        DataType::Utf8 => valid!(array.as_string::<i32>(), |value, text| write_quoted(value, text)),
        list if is_text_list(list) => valid!(array.as_list::<i32>(), |items, text| {
            write_quoted(&items.as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(";"), text)
        }),
        _ => {
            let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
            let mut value = String::new();
            Box::new(move |at, text| {
                value.clear();
                formatter.value(at).write(&mut value)?;
                write_quoted(&value, text);
                Ok(())
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array, NullArray, PrimitiveArray,
        RecordBatchIterator, StringArray, UInt8Array,
    };
    use arrow_schema::Field;

    use super::*;
    use crate::base::random::Random;

    fn text(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, of)| (name, of, true)));
        let batch = batch.unwrap();
        let (schema, mut text) = (batch.schema(), Vec::new());
        let reader = RecordBatchIterator::new([Ok(batch.clone()), Ok(batch.slice(0, 0))], schema);
        assert_eq!(write(&mut text, Path::new("a.csv"), reader).unwrap(), batch.num_rows() as u64);
        String::from_utf8(text).unwrap()
    }

    fn same_as_arrow_cast<T: ArrowPrimitiveType>(values: impl Iterator<Item = T::Native>) {
        let array: ArrayRef = Arc::new(PrimitiveArray::<T>::from_iter(values.map(Some).chain([None])));
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(&array, &options).unwrap();
        let mut write = write_value(&array).unwrap();
        let mut text = Vec::new();
        for at in 0..array.len() {
            text.clear();
            write(at, &mut text).unwrap();
            assert_eq!(str::from_utf8(&text).unwrap(), formatter.value(at).to_string());
        }
    }

    #[test]
    fn numbers_are_written_as_arrow_cast_writes_them() {
        // Catches another shortest form: -0, 1e16 for 10000000000000000.0, inf for infinity, a missing `.0`.
        let known = [
            0.0,
            -0.0,
            1.0,
            0.1,
            1e-7,
            1e-5,
            1.5e7,
            1e15,
            1e16,
            1e17,
            123_456_789.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            f64::MIN_POSITIVE / 4.0,
            f64::MAX,
            1e-45,
            3e-39,
            3.4e38,
        ];
        let mut random = Random::new(1, 2);
        let bits: Vec<u64> = (0..20_000).map(|_| random.bits()).collect();
        same_as_arrow_cast::<Float64Type>(known.into_iter().chain(bits.iter().map(|&bits| f64::from_bits(bits))));
        let known = known.into_iter().map(|value| value as f32);
        same_as_arrow_cast::<Float32Type>(known.chain(bits.iter().map(|&bits| f32::from_bits(bits as u32))));
        same_as_arrow_cast::<Int8Type>(i8::MIN..=i8::MAX);
        same_as_arrow_cast::<UInt8Type>(0..=u8::MAX);
        same_as_arrow_cast::<Int16Type>(i16::MIN..=i16::MAX);
        same_as_arrow_cast::<UInt16Type>(0..=u16::MAX);
        same_as_arrow_cast::<Int32Type>(bits.iter().map(|&bits| bits as i32).chain([i32::MIN, i32::MAX, 0]));
        same_as_arrow_cast::<UInt32Type>(bits.iter().map(|&bits| bits as u32).chain([u32::MAX, 0]));
        same_as_arrow_cast::<Int64Type>(bits.iter().map(|&bits| bits as i64).chain([i64::MIN, i64::MAX, 0]));
        same_as_arrow_cast::<UInt64Type>(bits.iter().copied().chain([u64::MAX, 0]));
    }

    #[test]
    fn quotes_are_where_readers_need_them() {
        // Catches a separator, quote or line end that splits a value, and quotes around what needs none.
        let values = ["plain", "", " spaces ", "a,b", "say \"so\"", "\"", "two\nlines", "a\rb", "#;'\t\\", "é"];
        let column: ArrayRef = Arc::new(StringArray::from_iter(values.iter().map(Some).chain([None])));
        let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(0..11));
        assert_eq!(
            text(vec![("a,\"b", column), ("n", numbers)]),
            "\"a,\"\"b\",n\nplain,0\n,1\n spaces ,2\n\"a,b\",3\n\"say \"\"so\"\"\",4\n\"\"\"\",5\n\"two\nlines\",6\n\
             \"a\rb\",7\n#;'\t\\,8\né,9\n,10\n"
        );
    }

    #[test]
    fn a_line_of_one_empty_value_is_not_empty() {
        // Catches a row that is lost, because readers skip empty lines.
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some(""), None, Some("a")]));
        assert_eq!(text(vec![("", column.clone())]), "\"\"\n\"\"\n\"\"\na\n");
        assert_eq!(text(vec![("a", Arc::new(NullArray::new(2)))]), "a\n\"\"\n\"\"\n");
        assert_eq!(text(vec![("a", column.clone()), ("b", column)]), "a,b\n,\n,\na,a\n");
    }

    #[test]
    fn lists_in_lists_are_columns() {
        // Catches items in another order, and a null list that shifts or shows the items below it.
        let field = |of: &DataType| Arc::new(Field::new("item", of.clone(), true));
        let values = Arc::new(UInt8Array::from_iter((0..24).map(|i| (i != 5).then_some(i))));
        let nulls = |null: usize, len| Some((0..len).map(|i| i != null).collect());
        let inner = FixedSizeListArray::new(field(&DataType::UInt8), 2, values, nulls(6, 12));
        let outer = FixedSizeListArray::new(field(inner.data_type()), 3, Arc::new(inner), nulls(3, 4));
        let none =
            FixedSizeListArray::try_new_with_length(field(&DataType::Null), 0, Arc::new(NullArray::new(0)), None, 4)
                .unwrap();
        let longs: ArrayRef = Arc::new(Int64Array::from_iter_values(7..11));
        let columns: Vec<(&str, ArrayRef)> = vec![("p", Arc::new(outer)), ("none", Arc::new(none)), ("n", longs)];
        let expected = ["0,1,2,3,4,,7", "6,7,8,9,10,11,8", ",,14,15,16,17,9", ",,,,,,10"];
        assert_eq!(text(columns.clone()), format!("p_0,p_1,p_2,p_3,p_4,p_5,n\n{}\n", expected.join("\n")));
        // A part of a column begins with its own rows.
        let part = columns.iter().map(|(name, of)| (*name, of.slice(1, 2))).collect();
        assert_eq!(text(part), format!("p_0,p_1,p_2,p_3,p_4,p_5,n\n{}\n", expected[1..3].join("\n")));
    }

    #[test]
    fn batches_of_other_types_are_an_error() {
        // Catches columns that no longer stand under their names.
        let batch = |column: ArrayRef| RecordBatch::try_from_iter([("a", column)]).unwrap();
        let floats = batch(Arc::new(Float32Array::from(vec![1.0])));
        let doubles = batch(Arc::new(Float64Array::from(vec![1.0])));
        let reader = RecordBatchIterator::new([Ok(floats.clone()), Ok(doubles)], floats.schema());
        write(Vec::new(), Path::new("a.csv"), reader).unwrap_err();
        let reader = RecordBatchIterator::new([], Arc::new(Schema::empty()));
        write(Vec::new(), Path::new("a.csv"), reader).unwrap_err();
    }
}
