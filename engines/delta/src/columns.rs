//! Columns as Delta can hold them, and back as they were.
//!
//! Delta has neither unsigned integers nor lists of a fixed size. Wider types hold the same values; the table remembers the
//! types that the rows had.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, ListArray, RecordBatch, RecordBatchReader, StructArray, UInt64Array,
    new_null_array,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use deltalake::arrow::compute::take;

use crate::error::{Error, Result};

/// What Arrow calls the items of a list in a Delta table.
const ELEMENT: &str = "element";

/// The columns of the files of a table: those of `schema` in types that Delta has. A fixed-size list stays one: in Parquet it
/// is a list like any other, and it is written fast.
pub fn stored(schema: &Schema) -> Result<Schema> {
    let field = |field: &Arc<Field>| -> Result<Field> {
        let data_type = stored_type(field.data_type()).ok_or_else(|| Error::UnsupportedColumn {
            column: field.name().clone(),
            data_type: field.data_type().clone(),
        })?;
        Ok(Field::new(field.name(), data_type, field.is_nullable()))
    };
    let fields: Vec<Field> = schema.fields().iter().map(field).collect::<Result<_>>()?;
    Ok(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The type that holds all values of a type; `None` if Delta has none.
fn stored_type(data_type: &DataType) -> Option<DataType> {
    let item = |item: &Field| Some(Arc::new(Field::new(ELEMENT, stored_type(item.data_type())?, item.is_nullable())));
    Some(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Utf8
        | DataType::Binary => data_type.clone(),
        DataType::Decimal128(_, scale) if *scale >= 0 => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())),
        DataType::Dictionary(_, values) => stored_type(values)?,
        DataType::FixedSizeList(of, length) => DataType::FixedSizeList(item(of)?, *length),
        DataType::List(of) | DataType::LargeList(of) | DataType::ListView(of) | DataType::LargeListView(of) => {
            DataType::List(item(of)?)
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| Some(Field::new(field.name(), stored_type(field.data_type())?, field.is_nullable())))
                .collect::<Option<Fields>>()?,
        ),
        _ => return None,
    })
}

/// The columns of the files as the table declares them: lists of any length, and nulls allowed everywhere, so that other
/// writers may add rows with nulls.
pub fn declared(schema: &Schema) -> Schema {
    let field = |field: &Arc<Field>| Field::new(field.name(), declared_type(field.data_type()), true);
    Schema::new(schema.fields().iter().map(field).collect::<Fields>())
}

fn declared_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::FixedSizeList(item, _) | DataType::List(item) => {
            DataType::List(Arc::new(Field::new(ELEMENT, declared_type(item.data_type()), true)))
        }
        DataType::Struct(fields) => {
            let field = |field: &Arc<Field>| Field::new(field.name(), declared_type(field.data_type()), true);
            DataType::Struct(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

/// A reader whose columns have other types, by name. Columns that a batch lacks are null.
pub struct Converted<R> {
    reader: R,
    schema: SchemaRef,
}

impl<R: RecordBatchReader> Converted<R> {
    pub fn new(reader: R, schema: Schema) -> Self {
        Self { reader, schema: Arc::new(schema) }
    }

    fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
            Some(column) => convert(column, field.data_type()).map_err(|error| {
                let message = format!("column `{}`: {error}", field.name());
                Error::from(ArrowError::CastError(message))
            }),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

impl<R: RecordBatchReader> Iterator for Converted<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.reader.next()?.and_then(|batch| self.convert(&batch).map_err(ArrowError::from)))
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Converted<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// The same values in another type, or an error for the first value that it cannot hold.
fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match (array.data_type(), to) {
        (from, to) if from == to => array.clone(),
        // Only the items change, or what they are called.
        (DataType::FixedSizeList(_, length), DataType::FixedSizeList(item, same)) if length == same => {
            let lists = array.as_fixed_size_list();
            let values = convert(lists.values(), item.data_type())?;
            Arc::new(FixedSizeListArray::try_new(item.clone(), *length, values, lists.nulls().cloned())?)
        }
        (DataType::List(_), DataType::List(item)) => {
            let lists = array.as_list::<i32>();
            let values = convert(lists.values(), item.data_type())?;
            Arc::new(ListArray::try_new(item.clone(), lists.offsets().clone(), values, lists.nulls().cloned())?)
        }
        (DataType::List(_), DataType::FixedSizeList(item, length)) => Arc::new(fixed(array.as_list(), item, *length)?),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let structs = array.as_struct();
            let columns = structs.columns().iter().zip(fields).map(|(column, to)| convert(column, to.data_type()));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                structs.nulls().cloned(),
                structs.len(),
            )?)
        }
        (from, to) => {
            let exact = CastOptions { safe: false, ..CastOptions::default() };
            let converted = cast_with_options(array, to, &exact)?;
            // Division drops what is finer than a unit.
            if matches!((from, to), (DataType::Timestamp(..), DataType::Timestamp(..)) | (DataType::Date64, _))
                && *cast_with_options(&converted, from, &exact)? != **array
            {
                let message = format!("a value of {from} is finer than {to} can tell");
                return Err(ArrowError::CastError(message));
            }
            converted
        }
    })
}

/// Lists as lists of a fixed size. (arrow-cast 59 takes the wrong values of a list whose first offset is not 0.)
fn fixed(lists: &ListArray, item: &Arc<Field>, length: i32) -> Result<FixedSizeListArray, ArrowError> {
    let (size, offsets) = (length as usize, lists.value_offsets());
    let first = offsets[0] as usize;
    let is_even = offsets.windows(2).all(|ends| (ends[1] - ends[0]) == length);
    let values = if is_even {
        lists.values().slice(first, lists.len() * size)
    } else {
        let mut places: Vec<Option<u64>> = Vec::with_capacity(lists.len() * size);
        for (row, ends) in offsets.windows(2).enumerate() {
            if lists.is_null(row) {
                places.extend(std::iter::repeat_n(None, size));
            } else if ends[1] - ends[0] == length {
                places.extend((ends[0] as u64..ends[1] as u64).map(Some));
            } else {
                let message = format!("a list of {} values, where all others have {length}", ends[1] - ends[0]);
                return Err(ArrowError::CastError(message));
            }
        }
        take(lists.values(), &UInt64Array::from(places), None)?
    };
    FixedSizeListArray::try_new(item.clone(), length, convert(&values, item.data_type())?, lists.nulls().cloned())
}

#[cfg(test)]
mod tests {
    use arrow_array::types::{Int16Type, UInt8Type};

    use super::*;

    #[test]
    fn a_part_of_a_column_of_lists_keeps_its_own_values() {
        let lists = |rows: Vec<Option<Vec<Option<i16>>>>| ListArray::from_iter_primitive::<Int16Type, _, _>(rows);
        let row = |n: i16| Some(vec![Some(n), Some(n + 1)]);
        let to = DataType::FixedSizeList(Arc::new(Field::new("item", DataType::UInt8, false)), 2);
        for (rows, expected) in [
            (vec![row(1), row(3), row(5)], vec![Some([3, 4]), Some([5, 6])]),
            (vec![row(1), row(3), None], vec![Some([3, 4]), None]),
            (vec![None, None, row(5)], vec![None, Some([5, 6])]),
        ] {
            let part: ArrayRef = Arc::new(lists(rows).slice(1, 2));
            let fixed = convert(&part, &to).unwrap();
            let fixed = fixed.as_fixed_size_list();
            let read = |row: usize| -> Vec<u8> { fixed.value(row).as_primitive::<UInt8Type>().values().to_vec() };
            for (row, expected) in expected.iter().enumerate() {
                assert_eq!((fixed.is_valid(row), expected.is_some()), (expected.is_some(), fixed.is_valid(row)));
                assert!(expected.is_none_or(|expected| expected.to_vec() == read(row)));
            }
        }
        let uneven: ArrayRef = Arc::new(lists(vec![row(1), Some(vec![Some(3)])]));
        assert!(convert(&uneven, &to).unwrap_err().to_string().contains("a list of 1 values"));
    }
}
