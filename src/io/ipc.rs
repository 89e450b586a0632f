//! Arrow IPC files and streams.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};

use super::input::Batches;
use super::output::write_error;
use super::{Compression, ReadOptions, WriteOptions};
use crate::error::{Error, Result};

pub fn open_file(file: File, name: &str, options: &ReadOptions) -> Result<Batches> {
    let reader = FileReader::try_new_buffered(file, None).map_err(|e| damaged(name, &e))?;
    Ok(Box::new(Split::new(reader, name, options)))
}

pub fn open_stream(input: Box<dyn Read + Send>, name: &str, options: &ReadOptions) -> Result<Batches> {
    let reader = StreamReader::try_new(BufReader::new(input), None).map_err(|e| damaged(name, &e))?;
    Ok(Box::new(Split::new(reader, name, options)))
}

fn damaged(name: &str, error: &ArrowError) -> Error {
    Error::Format { file: name.to_owned(), message: format!("not readable Arrow IPC: {error}") }
}

/// Cuts the file's batches, which may be of any size, and puts its name into errors.
struct Split<R> {
    batches: R,
    rest: Option<RecordBatch>,
    rows: usize,
    name: String,
}

impl<R: RecordBatchReader> Split<R> {
    fn new(batches: R, name: &str, options: &ReadOptions) -> Self {
        Self { batches, rest: None, rows: options.batch_rows, name: name.to_owned() }
    }
}

impl<R: RecordBatchReader> Iterator for Split<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.rest.take() {
            Some(batch) => batch,
            None => match self.batches.next()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(damaged(&self.name, &error).into())),
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
    let mut writer = FileWriter::try_new_with_options(out, &reader.schema(), write_options(options)?)
        .map_err(|e| failed(path, e))?;
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(Error::from)?;
        writer.write(&batch).map_err(|e| failed(path, e))?;
        rows += batch.num_rows() as u64;
    }
    writer.finish().map_err(|e| failed(path, e))?;
    Ok(rows)
}

/// Each batch is flushed, so that the reading end of a pipe gets it when it is ready.
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
        ArrowError::IoError(_, source) => write_error(path, source),
        other => Error::Format { file: path.display().to_string(), message: other.to_string() },
    }
}
