//! Writes a folder of files, one for each value of a column.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch, RecordBatchReader, UInt32Array};
use arrow_schema::{DataType, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::file::metadata::KeyValue;
use rayon::prelude::*;

use super::write::{failed, properties, readable};
use crate::base::error::{Error, Result};
use crate::base::select::{concat_batches, take, take_batch};
use crate::io::options::WriteOptions;
use crate::io::partition;

/// The maximum of values: each has an open file and rows in memory.
const MAX_PARTITIONS: usize = 512;
/// The maximum of encoded bytes that all files together keep in memory until their row groups are full.
const HELD_BYTES: usize = 256 << 20;
/// Rows that are encoded at once. It does not depend on the batches, so pages always end at the same rows.
const BLOCK_ROWS: usize = 512;
const GROUP_ROWS: usize = 32 << 10;
const FILE: &str = "part-0.parquet";

/// Writes all batches into files below `folder`, which errors call `path`; returns the rows and bytes.
///
/// The files do not have the column. In each file the rows keep their order. A file does not depend on the sizes of batches,
/// except that row groups may end elsewhere once more than 256 MiB wait to be written.
pub fn write_partitions(
    folder: &Path,
    path: &Path,
    reader: impl RecordBatchReader,
    column: &str,
    options: &WriteOptions,
) -> Result<(u64, u64)> {
    let schema = reader.schema();
    let names = || schema.fields().iter().map(|field| field.name().clone()).collect();
    let at =
        schema.index_of(column).map_err(|_| Error::NoSuchColumn { column: column.to_owned(), available: names() })?;
    let others: Vec<usize> = (0..schema.fields().len()).filter(|&other| other != at).collect();
    let rest = std::sync::Arc::new(schema.project(&others).map_err(Error::from)?);
    let mut parts: BTreeMap<Option<String>, Part> = BTreeMap::new();
    let mut has_nulls = vec![false; others.len()];
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(Error::from)?;
        rows += batch.num_rows() as u64;
        let groups = groups(batch.column(at).as_ref(), column)?;
        let batch = batch.project(&others).map_err(Error::from)?;
        for (has_nulls, column) in has_nulls.iter_mut().zip(batch.columns()) {
            *has_nulls |= column.null_count() > 0;
        }
        for value in groups.keys().filter(|value| !parts.contains_key(*value)).cloned().collect::<Vec<_>>() {
            if parts.len() == MAX_PARTITIONS {
                let message = format!("column `{column}` has more than {MAX_PARTITIONS} values to partition by");
                return Err(Error::format(path.display().to_string(), message));
            }
            let part = Part::create(&folder.join(partition::folder(column, value.as_deref())), path, &rest, options)?;
            parts.insert(value, part);
        }
        parts.par_iter_mut().try_for_each(|(value, part)| match groups.get(value) {
            Some(rows) => part.push(take_batch(&batch, rows).map_err(Error::from)?),
            None => Ok(()),
        })?;
        bound(parts.values_mut().collect())?;
    }
    let told = readable(&rest, &has_nulls, options);
    let footer = options.footer.pairs()?;
    let bytes = parts.into_par_iter().map(|(_, part)| part.finish(&told, &footer)).collect::<Result<Vec<u64>>>()?;
    Ok((rows, bytes.into_iter().sum()))
}

/// Whether a folder holds nothing but what [`write_partitions`] puts into one.
pub fn is_partitions(folder: &Path, column: &str) -> io::Result<bool> {
    let prefix = format!("{}=", partition::escaped(column));
    let starts = |name: &std::ffi::OsStr, with: &str| name.to_str().is_some_and(|name| name.starts_with(with));
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !starts(&entry.file_name(), &prefix) || !entry.file_type()?.is_dir() {
            return Ok(false);
        }
        for file in fs::read_dir(entry.path())? {
            let file = file?;
            if !starts(&file.file_name(), "part-") || !file.file_type()?.is_file() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The rows of each value.
fn groups(array: &dyn Array, column: &str) -> Result<BTreeMap<Option<String>, UInt32Array>> {
    let mut groups: BTreeMap<Option<String>, Vec<u32>> = BTreeMap::new();
    macro_rules! by {
        ($array:expr) => {{
            let array = $array;
            for row in 0..array.len() {
                let value = array.is_valid(row).then(|| array.value(row).to_string());
                groups.entry(value).or_default().push(row as u32);
            }
        }};
    }
    match array.data_type() {
        DataType::Int8 => by!(array.as_primitive::<Int8Type>()),
        DataType::Int16 => by!(array.as_primitive::<Int16Type>()),
        DataType::Int32 => by!(array.as_primitive::<Int32Type>()),
        DataType::Int64 => by!(array.as_primitive::<Int64Type>()),
        DataType::UInt8 => by!(array.as_primitive::<UInt8Type>()),
        DataType::UInt16 => by!(array.as_primitive::<UInt16Type>()),
        DataType::UInt32 => by!(array.as_primitive::<UInt32Type>()),
        DataType::UInt64 => by!(array.as_primitive::<UInt64Type>()),
        DataType::Boolean => by!(array.as_boolean()),
        DataType::Utf8 => by!(array.as_string::<i32>()),
        DataType::LargeUtf8 => by!(array.as_string::<i64>()),
        DataType::Utf8View => by!(array.as_string_view()),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let plain = take(dictionary.values(), dictionary.keys()).map_err(Error::from)?;
            return self::groups(plain.as_ref(), column);
        }
        other => {
            return Err(Error::UnsupportedColumn {
                column: column.to_owned(),
                data_type: other.clone(),
                why: "partitions are by integers, truth values or strings".to_owned(),
            });
        }
    }
    Ok(groups.into_iter().map(|(value, rows)| (value, UInt32Array::from(rows))).collect())
}

/// Ends the row groups of the files that keep most in memory, until all together are within bounds.
fn bound(mut parts: Vec<&mut Part>) -> Result<()> {
    let mut held: usize = parts.iter().map(|part| part.writer.in_progress_size()).sum();
    if held > HELD_BYTES {
        parts.sort_by_key(|part| std::cmp::Reverse(part.writer.in_progress_size()));
        for part in parts {
            if held <= HELD_BYTES / 2 {
                break;
            }
            held -= part.writer.in_progress_size();
            part.writer.flush().map_err(|e| failed(&part.path, e))?;
        }
    }
    Ok(())
}

/// Rows that wait for their block to be full.
struct Blocks {
    schema: SchemaRef,
    parts: Vec<RecordBatch>,
    rows: usize,
}

impl Blocks {
    fn new(schema: SchemaRef) -> Self {
        Self { schema, parts: Vec::new(), rows: 0 }
    }

    fn push(&mut self, part: RecordBatch) {
        self.rows += part.num_rows();
        self.parts.push(part);
    }

    fn take(&mut self) -> Result<RecordBatch> {
        self.rows = 0;
        let parts = std::mem::take(&mut self.parts);
        match <[RecordBatch; 1]>::try_from(parts) {
            Ok([block]) => Ok(block),
            Err(parts) => concat_batches(&self.schema, &parts).map_err(Error::from),
        }
    }
}

/// The file of one value.
struct Part {
    writer: ArrowWriter<BufWriter<File>>,
    blocks: Blocks,
    path: PathBuf,
}

impl Part {
    fn create(folder: &Path, path: &Path, schema: &SchemaRef, options: &WriteOptions) -> Result<Self> {
        let file = fs::create_dir(folder)
            .and_then(|()| File::create(folder.join(FILE)))
            .map_err(|e| Error::io("write", path, e))?;
        let properties =
            properties(schema, options).into_builder().set_max_row_group_row_count(Some(GROUP_ROWS)).build();
        let writing = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(BufWriter::new(file), schema.clone(), writing)
            .map_err(|e| failed(path, e))?;
        Ok(Self { writer, blocks: Blocks::new(schema.clone()), path: path.to_owned() })
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let taken = (BLOCK_ROWS - self.blocks.rows).min(batch.num_rows() - at);
            self.blocks.push(batch.slice(at, taken));
            at += taken;
            if self.blocks.rows == BLOCK_ROWS {
                self.encode()?;
            }
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<()> {
        self.writer.write(&self.blocks.take()?).map_err(|e| failed(&self.path, e))
    }

    /// Completes the file, with the types that readers are to be told of and the pairs of the footer; returns its bytes.
    fn finish(mut self, told: &Schema, footer: &BTreeMap<String, String>) -> Result<u64> {
        if self.blocks.rows > 0 {
            self.encode()?;
        }
        let types = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(told));
        self.writer.append_key_value_metadata(types);
        for (key, value) in footer {
            self.writer.append_key_value_metadata(KeyValue::new(key.clone(), value.clone()));
        }
        let path = self.path;
        let file = self.writer.into_inner().map_err(|e| failed(&path, e))?;
        let synced = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
            file.sync_all()?;
            file.metadata()
        });
        synced.map(|m| m.len()).map_err(|e| Error::io("write", &path, e))
    }
}
