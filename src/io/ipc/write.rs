//! Batches → Arrow IPC files and streams.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};

use crate::base::error::{Error, Result};
use crate::base::select::take;
use crate::io::options::{Compression, WriteOptions};

pub fn write_file(out: impl Write, path: &Path, reader: impl RecordBatchReader, options: &WriteOptions) -> Result<u64> {
    let schema = Arc::new(plain_schema(&reader.schema()));
    let mut writer =
        FileWriter::try_new_with_options(out, &schema, write_options(options)?).map_err(|e| failed(path, e))?;
    let mut rows = 0;
    for batch in reader {
        let batch = plain(&batch.map_err(Error::from)?, &schema).map_err(Error::from)?;
        writer.write(&batch).map_err(|e| failed(path, e))?;
        rows += batch.num_rows() as u64;
    }
    for (key, value) in options.footer.pairs()? {
        writer.write_metadata(key, value);
    }
    writer.finish().map_err(|e| failed(path, e))?;
    Ok(rows)
}

/// The schema with dictionaries replaced by their values: a file has one dictionary for each column, but each batch of a run
/// may have its own.
fn plain_schema(schema: &Schema) -> Schema {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Dictionary(_, values) => Arc::new(field.as_ref().clone().with_data_type(*values.clone())),
            _ => field.clone(),
        })
        .collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let values = |column: &ArrayRef| match column.as_any_dictionary_opt() {
        Some(dictionary) => take(dictionary.values(), dictionary.keys()),
        None => Ok(column.clone()),
    };
    let columns = batch.columns().iter().map(values).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

/// Writes a stream. Each batch is flushed, so that the reader of a pipe gets it at once.
pub fn write_stream(
    out: impl Write,
    path: &Path,
    reader: impl RecordBatchReader,
    options: &WriteOptions,
) -> Result<u64> {
    let mut writer = StreamWriter::try_new_with_options(out, &reader.schema(), write_options(options)?)
        .map_err(|e| failed(path, e))?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(Error::from)?;
        writer.write(&batch).and_then(|()| writer.flush()).map_err(|e| failed(path, e))?;
        rows += batch.num_rows() as u64;
    }
    writer.finish().map_err(|e| failed(path, e))?;
    Ok(rows)
}

fn write_options(options: &WriteOptions) -> Result<IpcWriteOptions> {
    let compression = (options.compression == Some(Compression::Zstd)).then_some(CompressionType::ZSTD);
    IpcWriteOptions::default().try_with_compression(compression).map_err(Error::from)
}

fn failed(path: &Path, error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, source) => Error::io("write", path, source),
        other => Error::Format { file: path.display().to_string(), message: other.to_string() },
    }
}
