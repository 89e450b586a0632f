//! Arrow IPC files and streams.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use arrow_select::take::take;

use super::batches::Batches;
use super::options::{Compression, ReadOptions, WriteOptions};
use crate::base::error::{Error, Result};

pub fn open_file(file: File, name: &str, options: &ReadOptions) -> Result<Batches> {
    let reader = FileReader::try_new_buffered(file, None).map_err(|e| damaged(name, &e))?;
    Ok(Box::new(Split::new(reader, name, options)))
}

pub fn open_stream(input: Box<dyn Read + Send>, name: &str, options: &ReadOptions) -> Result<Batches> {
    let tail = Tail { input, last: Arc::default() };
    let last = tail.last.clone();
    let reader = StreamReader::try_new(BufReader::new(tail), None).map_err(|e| damaged(name, &e))?;
    Ok(Box::new(Split { end: Some(last), ..Split::new(reader, name, options) }))
}

/// The mark at the end of a stream. The format allows a writer to stop without it. But then a stream of a writer that died
/// looks complete, so a stream without the mark is an error.
const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Remembers the last bytes that were read through it.
struct Tail {
    input: Box<dyn Read + Send>,
    last: Arc<AtomicU64>,
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        let last = buffer[..read].iter().rev().take(8).rev();
        let before = self.last.load(Ordering::Relaxed);
        self.last.store(last.fold(before, |all, &byte| all << 8 | u64::from(byte)), Ordering::Relaxed);
        Ok(read)
    }
}

fn damaged(name: &str, error: &ArrowError) -> Error {
    Error::Format { file: name.to_owned(), message: format!("not readable Arrow IPC: {error}") }
}

/// Cuts the batches of a file, which may have any size, and names the file in errors.
struct Split<R> {
    batches: R,
    rest: Option<RecordBatch>,
    rows: usize,
    name: String,
    /// The last bytes of a stream, which must be the mark at its end.
    end: Option<Arc<AtomicU64>>,
}

impl<R: RecordBatchReader> Split<R> {
    fn new(batches: R, name: &str, options: &ReadOptions) -> Self {
        Self { batches, rest: None, rows: options.batch_rows, name: name.to_owned(), end: None }
    }
}

impl<R: RecordBatchReader> Iterator for Split<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.rest.take() {
            Some(batch) => batch,
            None => match self.batches.next() {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return Some(Err(damaged(&self.name, &error).into())),
                None => {
                    let last = self.end.take()?.load(Ordering::Relaxed);
                    let message = "the stream breaks off: its end-of-stream mark is missing".to_owned();
                    let cut = Error::Format { file: self.name.clone(), message };
                    return (last != u64::from_be_bytes(END_OF_STREAM)).then(|| Err(cut.into()));
                }
            },
        };
        if batch.num_rows() <= self.rows {
            return Some(Ok(batch));
        }
        self.rest = Some(batch.slice(self.rows, batch.num_rows() - self.rows));
        Some(Ok(batch.slice(0, self.rows)))
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Split<R> {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }
}

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
        Some(dictionary) => take(dictionary.values(), dictionary.keys(), None),
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
