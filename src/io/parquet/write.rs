//! Writes batches as row groups.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriter, ArrowWriterOptions, compute_leaves,
};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, ColumnPath, SchemaDescriptor};

use super::list_pages::{self, Compressor, Form, ListPage};
use crate::base::error::{Error, Result};
use crate::base::ordered::{self, Ordered};
use crate::base::select::{concat_batches, take};
use crate::io::options::{Compression, WriteOptions};

/// Bytes of rows that are encoded at once, about: what a worker makes a page of stays in its core's cache.
const BLOCK_BYTES: usize = 256 << 10;
/// Bytes of a row group before encoding, about: enough to be read on its own, and few enough to be held while it is made.
const GROUP_BYTES: usize = 4 << 20;
/// Row groups until their size doubles.
const GROUPS_OF_A_SIZE: usize = 4096;
/// Blocks that may be on their way into the file: enough for the encoders to go on while a disk takes its time.
const IN_FLIGHT: usize = 16;
/// The maximum of encoding threads: the one thread that cuts the blocks could not feed more.
const MAX_ENCODERS: usize = 8;

/// Writes all batches; returns the rows.
///
/// This thread pulls the batches and cuts them into blocks, workers encode a block of features or another column of a row
/// group each, and one more thread puts what they make into the file, so that reading, computing, encoding and writing
/// overlap. Blocks, row groups and pages are cut by row numbers, so the file does not depend on batch sizes or on the
/// number of threads.
pub fn write(
    out: impl Write + Send,
    path: &Path,
    reader: impl RecordBatchReader,
    options: &WriteOptions,
) -> Result<u64> {
    let schema = reader.schema();
    let failed = |error| failed(path, error);
    let compression = options.compression.unwrap_or(Compression::Zstd);
    let writing =
        ArrowWriterOptions::new().with_properties(properties(&schema, options)).with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(out, schema.clone(), writing).map_err(failed)?;
    let (mut file, columns) = writer.into_serialized_writer().map_err(failed)?;
    let fields = Fields::new(&schema, file.schema_descr());
    let compressor = Compressor::new(compression).map_err(failed)?;
    let assembler = Assembler { file: &mut file, fields: &fields, codec: codec(compression), compressor };
    let (tasks, encoded) = start_encoders(path, compression)?;
    let (cut, written) = thread::scope(|scope| {
        let assembling = scope.spawn(|| assembler.take_all(encoded, &failed));
        let mut cutter =
            Cutter { columns, fields: &fields, tasks, block: RowBlock::default(), others: Vec::new(), ended: 0 };
        let cut = cutter.take_all(reader);
        // Without more work the encoders end, and then the assembling thread.
        drop(cutter);
        (cut, assembling.join().unwrap_or_else(|_| Err(Error::Internal("the writing thread panicked".to_owned()))))
    });
    // If writing fails, cutting stops without an error of its own.
    let (rows, has_nulls) = cut?;
    written?;
    let types = encode_arrow_schema(&readable(&schema, &has_nulls, options));
    file.append_key_value_metadata(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), types));
    for (key, value) in options.footer.pairs()? {
        file.append_key_value_metadata(KeyValue::new(key, value));
    }
    file.close().map_err(failed)?;
    Ok(rows)
}

/// An error of the Parquet writer, or the error of the system that it wraps.
pub(super) fn failed(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => Error::io("write", path, *io),
            Err(other) => Error::format(path.display().to_string(), other.to_string()),
        },
        other => Error::format(path.display().to_string(), other.to_string()),
    }
}

/// The columns, and how each is encoded.
struct Fields {
    schema: SchemaRef,
    /// For each field the leaf columns of the file.
    leaves: Vec<Vec<ColumnDescPtr>>,
    /// How it is encoded by [`list_pages`]; `None` if it is not.
    forms: Vec<Option<Form>>,
}

impl Fields {
    fn new(schema: &SchemaRef, columns: &SchemaDescriptor) -> Self {
        let mut leaves = vec![Vec::new(); schema.fields().len()];
        for leaf in 0..columns.num_columns() {
            leaves[columns.get_column_root_idx(leaf)].push(columns.column(leaf));
        }
        let forms = schema.fields().iter().map(|field| Form::of(field)).collect();
        Self { schema: schema.clone(), leaves, forms }
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        (0..self.forms.len()).filter(|&field| self.forms[field].is_none())
    }

    fn lists(&self) -> impl Iterator<Item = (usize, Form)> {
        self.forms.iter().enumerate().filter_map(|(field, form)| Some((field, (*form)?)))
    }
}

/// How many rows a block has, and how many blocks a row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cutting {
    block_rows: usize,
    blocks_in_group: usize,
}

impl Cutting {
    /// Decides by the bytes of the first row, which do not depend on the batch size.
    fn by(batch: &RecordBatch) -> Self {
        let bytes = |column: &ArrayRef| match column.data_type() {
            // Rows share the values of a dictionary, so each has only its key.
            DataType::Dictionary(key, _) => key.primitive_width().unwrap_or(0),
            DataType::Utf8View | DataType::BinaryView => size_of::<u128>(),
            // The row is copied out, because a slice of a list still refers to all items.
            _ => take(column, &UInt32Array::from(vec![0]))
                .and_then(|row| row.to_data().get_slice_memory_size())
                .unwrap_or(0),
        };
        let row = batch.columns().iter().map(bytes).sum::<usize>().max(1);
        let block_rows = (BLOCK_BYTES / row).clamp(1, 1024);
        Self { block_rows, blocks_in_group: (GROUP_BYTES / row / block_rows).clamp(1, 64) }
    }

    /// The blocks of the row group with that number. A file has room for 32,767, so they grow as it does.
    fn blocks_in(&self, group: usize) -> usize {
        self.blocks_in_group << (group / GROUPS_OF_A_SIZE).min(16)
    }
}

/// Rows that wait for their block to be full.
#[derive(Default)]
struct RowBlock {
    parts: Vec<RecordBatch>,
    rows: usize,
}

/// Work for an encoder; the results come back as [`Encoded`] in the same order.
enum Task {
    Page { parts: Arc<Vec<RecordBatch>>, field: usize, form: Form },
    Column { field: Arc<Field>, writers: Vec<ArrowColumnWriter>, blocks: Vec<ArrayRef> },
    EndOfGroup,
}

enum Encoded {
    Page(ListPage),
    Column(Vec<ArrowColumnChunk>),
    EndOfGroup,
}

/// Cuts batches into blocks and hands them to the encoders.
struct Cutter<'a> {
    columns: ArrowRowGroupWriterFactory,
    fields: &'a Fields,
    tasks: SyncSender<Task>,
    block: RowBlock,
    /// The columns of the current row group that are encoded whole, block by block.
    others: Vec<RecordBatch>,
    /// The number of row groups before it.
    ended: usize,
}

impl Cutter<'_> {
    /// Returns the rows, and for each column whether it has a null; less than all there are if the encoders end early.
    fn take_all(&mut self, reader: impl RecordBatchReader) -> Result<(u64, Vec<bool>)> {
        let mut has_nulls = vec![false; self.fields.schema.fields().len()];
        let mut rows = 0;
        let mut cutting = None;
        for batch in reader {
            let batch = batch.map_err(Error::from)?;
            rows += batch.num_rows() as u64;
            for (has_nulls, column) in has_nulls.iter_mut().zip(batch.columns()) {
                *has_nulls |= column.null_count() > 0;
            }
            let mut at = 0;
            while at < batch.num_rows() {
                let cutting = *cutting.get_or_insert_with(|| Cutting::by(&batch));
                let taken = (cutting.block_rows - self.block.rows).min(batch.num_rows() - at);
                self.block.parts.push(batch.slice(at, taken));
                self.block.rows += taken;
                at += taken;
                if self.block.rows == cutting.block_rows && self.end_block(cutting)?.is_break() {
                    return Ok((rows, has_nulls));
                }
            }
        }
        if let Some(cutting) = cutting {
            if self.block.rows > 0 && self.end_block(cutting)?.is_break() {
                return Ok((rows, has_nulls));
            }
            // If the encoders end early, they have left their error.
            let _ = self.end_group()?;
        }
        Ok((rows, has_nulls))
    }

    /// Hands the current block to the encoders. Breaks if they have ended, which leaves their error to the assembling thread.
    fn end_block(&mut self, cutting: Cutting) -> Result<ControlFlow<()>> {
        let parts = Arc::new(std::mem::take(&mut self.block).parts);
        for (field, form) in self.fields.lists() {
            if self.tasks.send(Task::Page { parts: parts.clone(), field, form }).is_err() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let others: Vec<_> = self.fields.others().collect();
        let parts = parts.iter().map(|part| part.project(&others)).collect::<Result<Vec<_>, _>>()?;
        self.others.push(match <[RecordBatch; 1]>::try_from(parts) {
            Ok([block]) => block,
            Err(parts) => concat_batches(&Arc::new(self.fields.schema.project(&others)?), &parts)?,
        });
        if self.others.len() < cutting.blocks_in(self.ended) { Ok(ControlFlow::Continue(())) } else { self.end_group() }
    }

    /// Hands the current row group to the encoders; breaks as [`Cutter::end_block`] does.
    fn end_group(&mut self) -> Result<ControlFlow<()>> {
        let blocks = std::mem::take(&mut self.others);
        if blocks.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let writers = self.columns.create_column_writers(self.ended).map_err(|e| Error::Internal(e.to_string()))?;
        self.ended += 1;
        let mut writers = writers.into_iter();
        let mut writers: Vec<Vec<_>> =
            self.fields.leaves.iter().map(|leaves| writers.by_ref().take(leaves.len()).collect()).collect();
        for (at, field) in self.fields.others().enumerate() {
            let task = Task::Column {
                field: self.fields.schema.fields()[field].clone(),
                writers: std::mem::take(&mut writers[field]),
                blocks: blocks.iter().map(|block| block.column(at).clone()).collect(),
            };
            if self.tasks.send(task).is_err() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(match self.tasks.send(Task::EndOfGroup) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    }
}

/// Starts the threads that encode. Returns where to send their work, and their results in order.
fn start_encoders(path: &Path, compression: Compression) -> Result<(SyncSender<Task>, Ordered<Encoded>)> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get()).min(MAX_ENCODERS);
    let (tasks, handed_in) = sync_channel(0);
    let file = path.display().to_string();
    let worker = move || {
        let file = file.clone();
        let mut compressor = None;
        move |task| encode(task, &mut compressor, compression).map_err(|e| Error::format(file.clone(), e.to_string()))
    };
    let encoded = ordered::map(threads, IN_FLIGHT.max(2 * threads), move || handed_in.recv().ok().map(Ok), worker)
        .map_err(|e| Error::Internal(format!("an encoding thread: {e}")))?;
    Ok((tasks, encoded))
}

fn encode(task: Task, compressor: &mut Option<Compressor>, compression: Compression) -> Result<Encoded, ParquetError> {
    match task {
        Task::Page { parts, field, form } => {
            let compressor = match compressor {
                Some(compressor) => compressor,
                None => compressor.insert(Compressor::new(compression)?),
            };
            list_pages::page(&parts, field, form, compressor).map(Encoded::Page)
        }
        Task::Column { field, mut writers, blocks } => {
            for block in blocks {
                for (leaf, writer) in compute_leaves(&field, &block)?.iter().zip(&mut writers) {
                    writer.write(leaf)?;
                }
            }
            Ok(Encoded::Column(writers.into_iter().map(ArrowColumnWriter::close).collect::<Result<_, _>>()?))
        }
        Task::EndOfGroup => Ok(Encoded::EndOfGroup),
    }
}

/// Puts what was encoded into the file, row group after row group.
struct Assembler<'a, W: Write + Send> {
    file: &'a mut SerializedFileWriter<W>,
    fields: &'a Fields,
    codec: Codec,
    /// For dictionaries. Pages are compressed before.
    compressor: Compressor,
}

impl<W: Write + Send> Assembler<'_, W> {
    fn take_all(mut self, encoded: Ordered<Encoded>, failed: &impl Fn(ParquetError) -> Error) -> Result<()> {
        let lists = self.fields.lists().count();
        let (mut pages, mut columns) = (Vec::new(), Vec::new());
        for encoded in encoded {
            match encoded? {
                Encoded::Page(page) => pages.push(page),
                Encoded::Column(chunks) => columns.push(chunks),
                Encoded::EndOfGroup => {
                    // The pages of several columns come block by block.
                    let mut of_lists: Vec<Vec<ListPage>> = (0..lists).map(|_| Vec::new()).collect();
                    for (at, page) in pages.drain(..).enumerate() {
                        of_lists[at % lists].push(page);
                    }
                    self.append(of_lists, std::mem::take(&mut columns)).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, lists: Vec<Vec<ListPage>>, columns: Vec<Vec<ArrowColumnChunk>>) -> Result<(), ParquetError> {
        let (mut lists, mut columns) = (lists.into_iter(), columns.into_iter());
        let mut group = self.file.next_row_group()?;
        for (form, leaves) in self.fields.forms.iter().zip(&self.fields.leaves) {
            if let Some(form) = form {
                let (pages, column) = (lists.next().unwrap_or_default(), leaves[0].clone());
                let (bytes, close) = list_pages::chunk(pages, *form, column, self.codec, &mut self.compressor)?;
                group.append_column(&bytes, close)?;
            } else {
                for chunk in columns.next().unwrap_or_default() {
                    chunk.append_to_row_group(&mut group)?;
                }
            }
        }
        group.close().map(drop)
    }
}

/// The Arrow types that the file declares to readers. Arrow's C++ reader, and with it PyArrow and pandas, refuses a fixed-size
/// list with a null row (apache/arrow issue 34510), so a column that turned out to have one is called a plain list. In
/// the file both are the same.
pub(super) fn readable(schema: &Schema, has_nulls: &[bool], options: &WriteOptions) -> Schema {
    let told = |(field, &has_nulls): (&Arc<Field>, &bool)| match field.data_type() {
        DataType::FixedSizeList(item, _) if has_nulls || options.plain_lists => {
            let mut about = field.metadata().clone();
            // A plain list is no tensor.
            about.retain(|key, _| !key.starts_with("ARROW:extension:"));
            Arc::new(field.as_ref().clone().with_data_type(DataType::List(item.clone())).with_metadata(about))
        }
        _ => field.clone(),
    };
    let fields: Vec<_> = schema.fields().iter().zip(has_nulls).map(told).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
        Compression::Snappy => Codec::SNAPPY,
        Compression::Gzip => Codec::GZIP(Default::default()),
        Compression::None => Codec::UNCOMPRESSED,
    }
}

pub(super) fn properties(schema: &Schema, options: &WriteOptions) -> WriterProperties {
    let codec = codec(options.compression.unwrap_or(Compression::Zstd));
    // In order, so that the same data makes the same file.
    let metadata: BTreeMap<_, _> = schema.metadata().iter().collect();
    let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let mut properties = WriterProperties::builder().set_compression(codec).set_key_value_metadata(Some(metadata));
    for field in schema.fields() {
        // Features rarely repeat, so a dictionary costs time and space, and nobody filters by one of their values.
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

#[cfg(test)]
mod tests {
    use arrow_array::types::UInt8Type;
    use arrow_array::{BinaryArray, FixedSizeListArray, Float32Array, ListArray, UInt8Array};

    use super::*;

    fn cutting(column: ArrayRef) -> Cutting {
        Cutting::by(&RecordBatch::try_from_iter([("column", column)]).unwrap())
    }

    #[test]
    fn rows_are_cut_by_their_width_whatever_lies_behind_them() {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let floats: ArrayRef = Arc::new(Float32Array::from(vec![0.5; 60 * 300]));
        let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(item, 60, floats, None));
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<UInt8Type, _, _>(
            (0..300).map(|_| Some((0..240).map(|n| Some(n as u8)))),
        ));
        let binary: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..300).map(|_| [7; 240])));
        for column in [fixed, list, binary] {
            for rows in [1, 300] {
                let cutting = cutting(column.slice(300 - rows, rows));
                assert!((900..=1024).contains(&cutting.block_rows), "{cutting:?} {}", column.data_type());
                assert!((15..=18).contains(&cutting.blocks_in_group), "{cutting:?} {}", column.data_type());
            }
        }
        let narrow = cutting(Arc::new(UInt8Array::from(vec![1, 2, 3])));
        assert_eq!(narrow, Cutting { block_rows: 1024, blocks_in_group: 64 });
        let wide = cutting(Arc::new(BinaryArray::from_iter_values([vec![0; 9 << 20]])));
        assert_eq!(wide, Cutting { block_rows: 1, blocks_in_group: 1 });
    }

    #[test]
    fn row_groups_grow_before_a_file_has_too_many() {
        let cutting = Cutting { block_rows: 1, blocks_in_group: 1 };
        let rows: usize = (0..32_767).map(|group| cutting.blocks_in(group)).sum();
        assert_eq!(cutting.blocks_in(4095), 1);
        assert_eq!(cutting.blocks_in(4096), 2);
        assert!(rows > 1_000_000, "{rows} rows of 9 MB");
    }
}
