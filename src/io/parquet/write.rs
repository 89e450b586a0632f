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

/// Rows that are encoded at once. Where pages end depends on it.
const BLOCK_ROWS: usize = 512;
/// Blocks of a row group: 32,768 rows, 8 MB of 28×28 features, so that there are enough of them to encode in parallel.
const BLOCKS_IN_GROUP: usize = 64;
/// Bytes of a row group's rows that may wait to be encoded.
const WAITING_BYTES: usize = 16 << 20;
/// Bytes of a page before compression: what an encoder gathers and compresses stays in its core's cache.
const PAGE_BYTES: usize = 256 << 10;
/// More could not be fed by the one thread that cuts the blocks.
const MOST_ENCODERS: usize = 8;

/// Writes all batches; returns the rows.
///
/// Each row group is encoded by a worker, block by block as the rows come, so that reading, computing and encoding
/// overlap; this thread only cuts the blocks and puts finished row groups into the file. Where anything is cut depends
/// on row numbers alone, so the file does not depend on batch sizes or on the number of threads.
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
    let mut encoders = Encoders::start(columns, &schema, path)?;
    let mut has_nulls = vec![false; schema.fields().len()];
    let mut blocks = Blocks { schema: schema.clone(), parts: Vec::new(), rows: 0 };
    let mut rows = 0;
    let append = |file: &mut SerializedFileWriter<_>, chunks: Vec<ArrowColumnChunk>| {
        let mut group = file.next_row_group()?;
        chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
        group.close().map(drop)
    };
    for batch in reader {
        let batch = batch.map_err(Error::from)?;
        rows += batch.num_rows() as u64;
        for (has_nulls, column) in has_nulls.iter_mut().zip(batch.columns()) {
            *has_nulls |= column.null_count() > 0;
        }
        let row_bytes = batch.get_array_memory_size() / batch.num_rows().max(1);
        let mut at = 0;
        while at < batch.num_rows() {
            let taken = (BLOCK_ROWS - blocks.rows).min(batch.num_rows() - at);
            blocks.push(batch.slice(at, taken));
            at += taken;
            if blocks.rows == BLOCK_ROWS {
                for chunks in encoders.encode(blocks.take()?, row_bytes)? {
                    append(&mut file, chunks).map_err(failed)?;
                }
            }
        }
    }
    if blocks.rows > 0 {
        for chunks in encoders.encode(blocks.take()?, 1)? {
            append(&mut file, chunks).map_err(failed)?;
        }
    }
    for chunks in encoders.finish() {
        append(&mut file, chunks?).map_err(failed)?;
    }
    let types = encode_arrow_schema(&readable(&schema, &has_nulls));
    file.append_key_value_metadata(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), types));
    file.close().map_err(failed)?;
    Ok(rows)
}

/// Rows on their way to a full block.
struct Blocks {
    schema: SchemaRef,
    parts: Vec<RecordBatch>,
    rows: usize,
}

impl Blocks {
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

/// Encodes row groups on threads of its own.
struct Encoders {
    /// Where row groups are handed in: their number, and their blocks as they come.
    groups: SyncSender<(usize, Receiver<RecordBatch>)>,
    encoded: Ordered<Vec<ArrowColumnChunk>>,
    /// The row group that is being handed in.
    current: Option<SyncSender<RecordBatch>>,
    blocks_in_current: usize,
    begun: usize,
    taken: usize,
    in_flight: usize,
}

impl Encoders {
    fn start(columns: ArrowRowGroupWriterFactory, schema: &SchemaRef, path: &Path) -> Result<Self> {
        let threads = thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_ENCODERS);
        // One more than can be worked on, so that nobody waits for the next.
        let in_flight = threads + 1;
        let (groups, handed_in) = sync_channel(1);
        let shared = Arc::new((columns, schema.clone(), path.display().to_string()));
        let encoded = ordered::map(
            threads,
            in_flight,
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
        Ok(Self { groups, encoded, current: None, blocks_in_current: 0, begun: 0, taken: 0, in_flight })
    }

    /// Hands in a block of rows of about so many bytes; returns the row groups for which it had to wait.
    fn encode(&mut self, block: RecordBatch, row_bytes: usize) -> Result<Vec<Vec<ArrowColumnChunk>>> {
        let mut finished = Vec::new();
        if self.current.is_none() {
            while self.begun - self.taken >= self.in_flight {
                finished.extend(self.encoded.next().transpose()?);
                self.taken += 1;
            }
            // How many blocks may wait is no matter of the result, so an estimate is enough.
            let waiting = (WAITING_BYTES / (row_bytes * BLOCK_ROWS).max(1)).clamp(1, BLOCKS_IN_GROUP);
            let (sender, blocks) = sync_channel(waiting);
            self.begun += usize::from(self.groups.send((self.begun, blocks)).is_ok());
            self.current = Some(sender);
            self.blocks_in_current = 0;
        }
        self.blocks_in_current += 1;
        let sent = self.current.as_ref().is_some_and(|current| current.send(block).is_ok());
        if !sent {
            // Whoever was to encode it has ended, and left its error.
            self.current = None;
            return match self.encoded.find_map(Result::err) {
                Some(error) => Err(error),
                None => Err(Error::Internal("an encoder ended early".to_owned())),
            };
        }
        if self.blocks_in_current == BLOCKS_IN_GROUP {
            self.current = None;
        }
        Ok(finished)
    }

    /// The row groups that have not been returned yet.
    fn finish(self) -> impl Iterator<Item = Result<Vec<ArrowColumnChunk>>> {
        drop((self.current, self.groups));
        self.encoded
    }
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
