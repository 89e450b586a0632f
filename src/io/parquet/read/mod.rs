//! Reading Parquet: row groups are cut into jobs, which threads run, and the batches come out in order.
//!
//! The way of a file: the schema without unwanted columns ([`projection`]) → how the images are stored
//! ([`image_column`]) → where its pages are ([`pages`]) → jobs ([`planner`]) → images from pages ([`list_images`],
//! [`flat_images`], by [`page_data`], [`levels`] and [`values`]) beside the [`other_columns`] → batches ([`reader`]).

mod arrow_reader;
mod buffers;
mod context;
mod flat_images;
mod image_column;
mod levels;
mod list_images;
mod other_columns;
mod page_data;
mod pages;
mod planner;
mod projection;
mod reader;
mod shared_file;
mod values;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use self::arrow_reader::guarded;
use self::buffers::BufferPool;
use self::context::FileContext;
use self::image_column::{LeafColumn, item};
use self::projection::projected;
use self::reader::ParquetReader;
use self::shared_file::SharedFile;
use crate::base::error::{Error, Result};
use crate::io::batches::Batches;
use crate::io::options::ReadOptions;

/// The decoded bytes that a batch should have, about, whatever the rows hold: few enough for caches to hold some of it on
/// the way to the kernels, and for reading, computing and writing to overlap early.
const BATCH_BYTES: usize = 2 << 20;
/// The decoded bytes that all jobs in flight together should have, about.
const IN_FLIGHT_BYTES: usize = 128 << 20;
/// The maximum of batches that wait after the reader.
const MAX_DOWNSTREAM: usize = 4;
/// The maximum of decoded bytes of a page or a record. Above it the Arrow reader takes over, which need not hold it at once.
const MAX_PIECE_BYTES: usize = 64 << 20;

/// A column chunk is not of the kind that the fast way knows, or is damaged. It has no details: the Arrow reader reads the
/// chunk again, and its data or error is what counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Irregular;

fn damaged(file: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Format { file: file.to_owned(), message: format!("not a readable Parquet file: {error}") }
}

/// Opens a file; returns its batches and the number of their rows.
pub fn open(file: File, name: &str, options: &ReadOptions) -> Result<(Batches, u64)> {
    let (reader, rows) = open_reader(file, name, options)?;
    Ok((Box::new(reader), rows))
}

/// As [`open`], with the reader itself.
pub(super) fn open_reader(file: File, name: &str, options: &ReadOptions) -> Result<(ParquetReader, u64)> {
    let file = SharedFile::new(file).map_err(|e| damaged(name, &e))?;
    let metadata = guarded(name, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
    let metadata = metadata.map_err(|e| damaged(name, &e))?;
    let metadata = match &options.columns {
        Some(columns) => {
            guarded(name, || projected(&metadata, &options.image, columns))?.map_err(|e| damaged(name, &e))?
        }
        None => metadata,
    };
    let rows = metadata.metadata().file_metadata().num_rows();
    let threads = options.decoders();
    let in_flight = threads;
    let paged = LeafColumn::find(&metadata, &options.image);
    let row_bytes = row_bytes(metadata.metadata(), paged.as_ref());
    let batch_bytes = BATCH_BYTES.min(IN_FLIGHT_BYTES / in_flight);
    let context = Arc::new(FileContext {
        name: name.to_owned(),
        file,
        schema: metadata.schema().clone(),
        paged,
        row_bytes,
        batch_rows: (batch_bytes / row_bytes).clamp(1, options.batch_rows),
        metadata,
        pool: Arc::new(BufferPool::new(in_flight + MAX_DOWNSTREAM)),
        pages: Arc::new(BufferPool::new(threads)),
    });
    let reader = ParquetReader::start(context, threads, in_flight)?;
    Ok((reader, rows.max(0) as u64))
}

/// The key-value metadata of a file, without the schema in Arrow's own form.
pub fn footer(file: File, name: &str) -> Result<BTreeMap<String, String>> {
    let metadata = guarded(name, || ParquetMetaDataReader::new().parse_and_finish(&file))?;
    let metadata = metadata.map_err(|e| damaged(name, &e))?;
    let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let pairs = pairs.filter(|pair| pair.key != ARROW_SCHEMA_META_KEY);
    Ok(pairs.map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default())).collect())
}

/// The decoded bytes of a row, by the number of values that the footer tells.
fn row_bytes(metadata: &ParquetMetaData, paged: Option<&LeafColumn>) -> usize {
    let (mut bytes, mut rows) = (0i64, 0i64);
    for group in metadata.row_groups() {
        rows = rows.saturating_add(group.num_rows());
        for (leaf, column) in group.columns().iter().enumerate() {
            // Small integers take less than their physical type.
            let pixel = paged.filter(|paged| paged.leaf == leaf).and_then(|paged| item(paged.field.data_type()));
            let width = match (pixel.and_then(|(pixel, _)| pixel.primitive_width()), column.column_type()) {
                (Some(width), _) => width as i64,
                (_, Type::BOOLEAN) => 1,
                (_, Type::INT32 | Type::FLOAT) => 4,
                (_, Type::INT64 | Type::DOUBLE) => 8,
                (_, Type::INT96) => 12,
                (_, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY) => {
                    // A dictionary makes the chunk smaller than what comes out of it, where the footer tells that.
                    let decoded = column.unencoded_byte_array_data_bytes().unwrap_or(column.uncompressed_size());
                    bytes = bytes.saturating_add(decoded);
                    0
                }
            };
            bytes = bytes.saturating_add(column.num_values().saturating_mul(width));
        }
    }
    usize::try_from(bytes / rows.max(1)).unwrap_or(1).max(1)
}
