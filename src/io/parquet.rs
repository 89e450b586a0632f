//! Parquet files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::basic::{Compression as Codec, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::input::Batches;
use super::output::write_error;
use super::{Compression, ReadOptions, WriteOptions};
use crate::error::{Error, Result};

/// Decoded bytes that a batch is to stay near, whatever the rows hold.
const BATCH_BYTES: usize = 16 << 20;
/// Rows of a row group: 32 MB of 28×28 features, small enough to be read in parallel.
const ROW_GROUP_ROWS: usize = 128 << 10;

/// Opens a file; returns its batches and how many rows they will have.
pub fn open(file: File, name: &str, options: &ReadOptions) -> Result<(Batches, u64)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(name, e))?;
    let rows = builder.metadata().file_metadata().num_rows();
    let rows_at_once = (BATCH_BYTES / row_bytes(builder.metadata())).clamp(1, options.batch_rows);
    // The built reader's own schema has lost the file's metadata.
    let schema = builder.schema().clone();
    let batches = builder.with_batch_size(rows_at_once).build().map_err(|e| damaged(name, e))?;
    Ok((Box::new(Named { batches, schema, name: name.to_owned() }), rows.max(0) as u64))
}

/// What a row takes once decoded, by the number of values that the footer tells.
fn row_bytes(metadata: &ParquetMetaData) -> usize {
    let (mut bytes, mut rows) = (0i64, 0i64);
    for group in metadata.row_groups() {
        rows = rows.saturating_add(group.num_rows());
        for column in group.columns() {
            let width = match column.column_type() {
                Type::BOOLEAN => 1,
                Type::INT32 | Type::FLOAT => 4,
                Type::INT64 | Type::DOUBLE => 8,
                Type::INT96 => 12,
                Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => {
                    bytes = bytes.saturating_add(column.uncompressed_size());
                    0
                }
            };
            bytes = bytes.saturating_add(column.num_values().saturating_mul(width));
        }
    }
    usize::try_from(bytes / rows.max(1)).unwrap_or(1).max(1)
}

fn damaged(name: &str, error: ParquetError) -> Error {
    Error::Format { file: name.to_owned(), message: format!("not a readable Parquet file: {error}") }
}

/// Puts the file's name into the reader's errors.
struct Named {
    batches: ParquetRecordBatchReader,
    schema: SchemaRef,
    name: String,
}

impl Iterator for Named {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        Some(batch.map_err(|e| {
            Error::Format { file: self.name.clone(), message: format!("not a readable Parquet file: {e}") }.into()
        }))
    }
}

impl RecordBatchReader for Named {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Writes all batches; returns the rows.
pub fn write(
    out: impl Write + Send,
    path: &Path,
    reader: impl RecordBatchReader,
    options: &WriteOptions,
) -> Result<u64> {
    let schema = reader.schema();
    let failed = |error: ParquetError| match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => write_error(path, *io),
            Err(other) => Error::Format { file: path.display().to_string(), message: other.to_string() },
        },
        other => Error::Format { file: path.display().to_string(), message: other.to_string() },
    };
    let writing =
        ArrowWriterOptions::new().with_properties(properties(&schema, options)).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(out, schema.clone(), writing).map_err(failed)?;
    let mut has_nulls = vec![false; schema.fields().len()];
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(Error::from)?;
        writer.write(&batch).map_err(failed)?;
        rows += batch.num_rows() as u64;
        for (has_nulls, column) in has_nulls.iter_mut().zip(batch.columns()) {
            *has_nulls |= column.null_count() > 0;
        }
    }
    let types = encode_arrow_schema(&readable(&schema, &has_nulls));
    writer.append_key_value_metadata(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), types));
    writer.close().map_err(failed)?;
    Ok(rows)
}

/// The Arrow types that readers are told of. Arrow's C++ reader, and with it PyArrow and pandas, refuses a fixed-size
/// list with a null row (apache/arrow issue 34510), so a column that turned out to have one is called a plain list. In
/// the file both are the same.
fn readable(schema: &Schema, has_nulls: &[bool]) -> Schema {
    let told = |(field, &has_nulls): (&Arc<Field>, &bool)| match field.data_type() {
        DataType::FixedSizeList(item, _) if has_nulls => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::List(item.clone())))
        }
        _ => field.clone(),
    };
    let fields: Vec<_> = schema.fields().iter().zip(has_nulls).map(told).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn properties(schema: &Schema, options: &WriteOptions) -> WriterProperties {
    let codec = match options.compression.unwrap_or(Compression::Zstd) {
        Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
        Compression::Snappy => Codec::SNAPPY,
        Compression::Gzip => Codec::GZIP(Default::default()),
        Compression::None => Codec::UNCOMPRESSED,
    };
    // In order, so that the same data makes the same file.
    let metadata: BTreeMap<_, _> = schema.metadata().iter().collect();
    let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let mut properties = WriterProperties::builder()
        .set_compression(codec)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(metadata));
    for field in schema.fields() {
        // Features hardly ever repeat, so a dictionary costs time and space, and nobody filters by one of their values.
        let path = match field.data_type() {
            DataType::FixedSizeList(item, _) if item.data_type().is_floating() => {
                vec![field.name().clone(), "list".to_owned(), item.name().clone()]
            }
            DataType::Float32 => vec![field.name().clone()],
            _ => continue,
        };
        let path = ColumnPath::new(path);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    properties.build()
}
