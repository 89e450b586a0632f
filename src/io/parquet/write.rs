//! Batches → row groups.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions, compute_leaves,
};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};
use crate::io::output::write_error;
use crate::io::{Compression, WriteOptions};
use crate::ordered::{self, Ordered};

/// Bytes of rows that are encoded at once, about; where pages end depends on it. With fewer the calls cost more than the
/// bytes, more leave a core's cache.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of a row group before encoding, about: small enough that several are encoded at once and as many can be read.
const GROUP_BYTES: usize = 4 << 20;
/// Bytes of a row group's rows that may wait to be encoded.
const WAITING_BYTES: usize = 4 << 20;
/// Bytes of a page before compression: what an encoder gathers and compresses stays in its core's cache.
const PAGE_BYTES: usize = 128 << 10;
/// More could not be fed by the one thread that cuts the blocks.
const MOST_ENCODERS: usize = 8;

/// Writes all batches; returns the rows.
///
/// This thread pulls the batches and cuts them into blocks, workers encode a row group each, block by block as the rows
/// come, and one more thread puts finished row groups into the file, so that reading, computing, encoding and writing
/// overlap. Where anything is cut depends on row numbers alone, so the file does not depend on batch sizes or on the
/// number of threads.
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
    let writer = ArrowWriter::try_new_with_options(out, schema.clone(), writing).map_err(failed)?;
    let (mut file, columns) = writer.into_serialized_writer().map_err(failed)?;
    let (mut groups, encoded) = start_encoders(columns, &schema, path)?;
    let (cut, written) = thread::scope(|scope| {
        let writing =
            scope.spawn(|| encoded.into_iter().try_for_each(|chunks| append(&mut file, chunks?).map_err(failed)));
        let cut = groups.take_all(reader);
        // With nothing more to encode, the encoders and then the writing end.
        drop(groups);
        (cut, writing.join().unwrap_or_else(|_| Err(Error::Internal("the writing thread panicked".to_owned()))))
    });
    // Where writing fails, cutting stops without an error of its own.
    let (rows, has_nulls) = cut?;
    written?;
    let types = encode_arrow_schema(&readable(&schema, &has_nulls));
    file.append_key_value_metadata(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), types));
    file.close().map_err(failed)?;
    Ok(rows)
}

fn append<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    chunks: Vec<ArrowColumnChunk>,
) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
    group.close().map(drop)
}

/// Where the rows are cut, by nothing but the types of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cutting {
    block_rows: usize,
    blocks_in_group: usize,
}

impl Cutting {
    fn of(schema: &Schema) -> Self {
        // A string, a label or a list of whatever length.
        const UNKNOWN: usize = 16;
        fn width(data_type: &DataType) -> usize {
            match data_type {
                DataType::FixedSizeList(item, length) => {
                    width(item.data_type()).saturating_mul(usize::try_from(*length).unwrap_or(0))
                }
                DataType::FixedSizeBinary(length) => usize::try_from(*length).unwrap_or(0),
                DataType::Struct(fields) => fields.iter().map(|field| width(field.data_type())).sum(),
                other => other.primitive_width().unwrap_or(UNKNOWN),
            }
        }
        let row = schema.fields().iter().map(|field| width(field.data_type())).fold(1, usize::saturating_add);
        let block_rows = (BLOCK_BYTES / row).clamp(16, 1024);
        Self { block_rows, blocks_in_group: (GROUP_BYTES / row / block_rows).clamp(1, 64) }
    }
}

/// Cuts batches into blocks, and blocks into row groups for the encoders.
struct Groups {
    schema: SchemaRef,
    cutting: Cutting,
    /// Rows on their way to a full block.
    parts: Vec<RecordBatch>,
    rows_in_parts: usize,
    /// Where row groups are handed in: their number, and their blocks as they come.
    encoders: SyncSender<(usize, Receiver<RecordBatch>)>,
    /// The row group that is being handed in, and its blocks so far.
    current: Option<(SyncSender<RecordBatch>, usize)>,
    begun: usize,
}

/// Those behind have ended, and left their error.
struct Ended;

impl Groups {
    /// Returns the rows, and for each column whether it has a null; less than all there are if the encoders end early.
    fn take_all(&mut self, reader: impl RecordBatchReader) -> Result<(u64, Vec<bool>)> {
        let mut has_nulls = vec![false; self.schema.fields().len()];
        let mut rows = 0;
        for batch in reader {
            let batch = batch.map_err(Error::from)?;
            rows += batch.num_rows() as u64;
            for (has_nulls, column) in has_nulls.iter_mut().zip(batch.columns()) {
                *has_nulls |= column.null_count() > 0;
            }
            let row_bytes = batch.get_array_memory_size() / batch.num_rows().max(1);
            let mut at = 0;
            while at < batch.num_rows() {
                let taken = (self.cutting.block_rows - self.rows_in_parts).min(batch.num_rows() - at);
                self.parts.push(batch.slice(at, taken));
                self.rows_in_parts += taken;
                at += taken;
                if self.rows_in_parts == self.cutting.block_rows
                    && let Err(Ended) = self.hand_in(row_bytes)?
                {
                    return Ok((rows, has_nulls));
                }
            }
        }
        if self.rows_in_parts > 0 {
            // If they have ended, their error says why.
            let _ = self.hand_in(1)?;
        }
        Ok((rows, has_nulls))
    }

    /// Hands in the parts as a block of rows of about so many bytes.
    fn hand_in(&mut self, row_bytes: usize) -> Result<Result<(), Ended>> {
        self.rows_in_parts = 0;
        let block = match <[RecordBatch; 1]>::try_from(std::mem::take(&mut self.parts)) {
            Ok([block]) => block,
            Err(parts) => concat_batches(&self.schema, &parts)?,
        };
        let (current, blocks) = match self.current.take() {
            Some(current) => current,
            None => {
                // How many blocks may wait is no matter of the result, so an estimate is enough.
                let block_bytes = row_bytes.saturating_mul(self.cutting.block_rows).max(1);
                let (current, blocks) =
                    sync_channel((WAITING_BYTES / block_bytes).clamp(1, self.cutting.blocks_in_group));
                if self.encoders.send((self.begun, blocks)).is_err() {
                    return Ok(Err(Ended));
                }
                self.begun += 1;
                (current, 0)
            }
        };
        if current.send(block).is_err() {
            return Ok(Err(Ended));
        }
        if blocks + 1 < self.cutting.blocks_in_group {
            self.current = Some((current, blocks + 1));
        }
        Ok(Ok(()))
    }
}

/// Starts the threads that encode: where their work is handed in, and the row groups in order.
fn start_encoders(
    columns: ArrowRowGroupWriterFactory,
    schema: &SchemaRef,
    path: &Path,
) -> Result<(Groups, Ordered<Vec<ArrowColumnChunk>>)> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_ENCODERS);
    let (encoders, handed_in) = sync_channel(0);
    let shared = Arc::new((columns, schema.clone(), path.display().to_string()));
    // With the one that whoever writes waits for, as many in flight as can be worked on.
    let encoded = ordered::map(
        threads,
        threads - 1,
        move || handed_in.recv().ok().map(Ok),
        move || {
            let shared = shared.clone();
            move |(group, blocks): (usize, Receiver<RecordBatch>)| {
                let (columns, schema, file) = &*shared;
                encode(columns, schema, group, &blocks)
                    .map_err(|e| Error::Format { file: file.clone(), message: e.to_string() })
            }
        },
    )
    .map_err(|e| Error::Internal(format!("an encoding thread: {e}")))?;
    let groups = Groups {
        schema: schema.clone(),
        cutting: Cutting::of(schema),
        parts: Vec::new(),
        rows_in_parts: 0,
        encoders,
        current: None,
        begun: 0,
    };
    Ok((groups, encoded))
}

fn encode(
    columns: &ArrowRowGroupWriterFactory,
    schema: &Schema,
    group: usize,
    blocks: &Receiver<RecordBatch>,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let mut writers = columns.create_column_writers(group)?;
    for block in blocks {
        let mut leaves = writers.iter_mut();
        for (field, column) in schema.fields().iter().zip(block.columns()) {
            for leaf in compute_leaves(field, column)? {
                if let Some(writer) = leaves.next() {
                    writer.write(&leaf)?;
                }
            }
        }
    }
    writers.into_iter().map(|writer| writer.close()).collect()
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
        .set_data_page_size_limit(PAGE_BYTES)
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
