//! Writes CSV: a header line, then a line for each row.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, StringArray, UInt64Array};
use arrow_csv::WriterBuilder;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::base::error::{Error, Result};
use crate::base::select::take;
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
    let flat = Arc::new(flat_schema(&schema)?);
    let mut rows = 0;
    let mut text = Vec::new();
    // An empty batch comes before all others, so that there is a header even if there are no rows.
    let batches = std::iter::once(Ok(RecordBatch::new_empty(schema))).chain(reader);
    for (at, batch) in batches.enumerate() {
        let batch = batch.map_err(Error::from)?;
        text.clear();
        let mut writer = WriterBuilder::new().with_header(at == 0).build(&mut text);
        let failed = |e: ArrowError| Error::format(path.display().to_string(), e.to_string());
        writer.write(&flattened(&batch, &flat).map_err(failed)?).map_err(failed)?;
        drop(writer);
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

fn flat_schema(schema: &Schema) -> Result<Schema> {
    let mut fields = Vec::new();
    for field in schema.fields() {
        let (mut items, mut leaf) = (1usize, field.data_type());
        while let DataType::FixedSizeList(item, side) = leaf {
            items = items.saturating_mul(*side as usize);
            leaf = item.data_type();
        }
        if items.saturating_add(fields.len()) > MAX_COLUMNS {
            return Err(Error::UnsupportedColumn {
                column: field.name().clone(),
                data_type: field.data_type().clone(),
                why: format!("a CSV file would have more than {MAX_COLUMNS} columns"),
            });
        }
        let leaf = if is_text_list(leaf) { &DataType::Utf8 } else { leaf };
        if !matches!(field.data_type(), DataType::FixedSizeList(..)) {
            fields.push(Field::new(field.name(), leaf.clone(), true));
            continue;
        }
        let known: Vec<&str> = match schema.metadata().get(FEATURE_NAMES_KEY) {
            Some(names) if field.name() == FEATURES => names.split(',').collect(),
            _ => Vec::new(),
        };
        let name = |at: usize| match known.len() == items {
            true => known[at].to_owned(),
            false => format!("{}_{at}", field.name()),
        };
        fields.extend((0..items).map(|at| Field::new(name(at), leaf.clone(), true)));
    }
    Ok(Schema::new(fields))
}

fn flattened(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for column in batch.columns() {
        flatten(column, &mut columns)?;
    }
    RecordBatch::try_new(schema.clone(), columns)
}

/// The columns that a column becomes.
fn flatten(column: &ArrayRef, columns: &mut Vec<ArrayRef>) -> Result<(), ArrowError> {
    let Some(list) = column.as_fixed_size_list_opt() else {
        columns.push(if is_text_list(column.data_type()) { joined(column) } else { column.clone() });
        return Ok(());
    };
    let side = list.value_length() as u64;
    for at in 0..side {
        let places: UInt64Array =
            (0..list.len()).map(|row| list.is_valid(row).then_some(row as u64 * side + at)).collect();
        flatten(&take(list.values(), &places)?, columns)?;
    }
    Ok(())
}

/// The items of each list of text as one text.
fn joined(column: &ArrayRef) -> ArrayRef {
    let text = |items: ArrayRef| items.as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(";");
    Arc::new(column.as_list::<i32>().iter().map(|items| items.map(text)).collect::<StringArray>())
}
