//! Row groups → jobs on several threads → batches in order.
//!
//! A row group is read in one of four ways:
//! - **Lists**: the image column has lists of one length, so its pages say by their level counts which rows they hold.
//!   Groups of pages are jobs, and a record that goes over from one job's pages to the next's is put together here.
//! - **Rows**: the image column is flat (raw bytes), so its pages say how many rows they hold. Ranges of them are jobs,
//!   read from the pages where the bytes are of one length, and by an Arrow reader of its own where not.
//! - **Whole**: a small row group of any other kind is a job as it is.
//! - **Serial**: a large one is read ahead by the thread that hands out the jobs.
//!
//! For the first two that thread also reads the other columns, row range by row range. Whether lists really are of one
//! length is only known when their levels have been seen: if not, the Arrow reader takes over from the first row that
//! has not been delivered.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use arrow_array::{
    ArrayRef, FixedSizeListArray, GenericListArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions, RecordBatchReader,
};
use arrow_buffer::{Buffer, MutableBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData};
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::SchemaDescriptor;

use super::levels::{check_present, check_records};
use super::pages::{self, Pages};
use super::projection::projected;
use super::values::{self, Dictionary, Leaf, by_leaf};
use super::{Irregular, SharedFile, damaged};
use crate::base::error::{Error, Result};
use crate::base::ordered::{self, Ordered};
use crate::io::batches::Batches;
use crate::io::options::ReadOptions;

/// Decoded bytes that a batch is to stay near, whatever the rows hold: small enough for caches to hold some of it on the
/// way to the kernels, and for reading, computing and writing to overlap early.
const BATCH_BYTES: usize = 2 << 20;
/// Decoded bytes that all jobs in flight together are to stay near.
const IN_FLIGHT_BYTES: usize = 128 << 20;
/// Batches that may be on their way behind the reader.
const DOWNSTREAM: usize = 4;
/// Decoded bytes up to which a row group may be one job.
const WHOLE_BYTES: usize = 32 << 20;
/// Decoded bytes of a page, or of one record, from which on the Arrow reader takes over, which need not hold it at once.
const LARGEST_PIECE: usize = 64 << 20;

/// Opens a file; returns its batches and how many rows they will have.
pub fn open(file: File, name: &str, options: &ReadOptions) -> Result<(Batches, u64)> {
    let (reader, rows) = open_reader(file, name, options)?;
    Ok((Box::new(reader), rows))
}

pub(super) fn open_reader(file: File, name: &str, options: &ReadOptions) -> Result<(Reader, u64)> {
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
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, |n| n.get()),
        n => n,
    };
    let in_flight = threads;
    let image = ImageColumn::find(&metadata, &options.image);
    let row_bytes = row_bytes(metadata.metadata(), image.as_ref());
    let batch_bytes = BATCH_BYTES.min(IN_FLIGHT_BYTES / in_flight);
    let input = Arc::new(Input {
        name: name.to_owned(),
        file,
        schema: metadata.schema().clone(),
        image,
        row_bytes,
        batch_rows: (batch_bytes / row_bytes).clamp(1, options.batch_rows),
        metadata,
        pool: Arc::new(Pool { buffers: Mutex::default(), most: in_flight + DOWNSTREAM }),
    });
    let (source, working) = (Source::jobs(input.clone()), input.clone());
    let jobs = ordered::map(threads, in_flight, source, move || {
        let input = working.clone();
        move |job| input.run(job)
    });
    let jobs = jobs.map_err(|e| Error::Internal(format!("a reading thread: {e}")))?;
    let reader =
        Reader { input, jobs: Some(jobs), ready: VecDeque::new(), begun: Vec::new(), serial: None, fast_rows: 0 };
    Ok((reader, rows.max(0) as u64))
}

/// What a row takes once decoded, by the number of values that the footer tells.
fn row_bytes(metadata: &ParquetMetaData, image: Option<&ImageColumn>) -> usize {
    let (mut bytes, mut rows) = (0i64, 0i64);
    for group in metadata.row_groups() {
        rows = rows.saturating_add(group.num_rows());
        for (leaf, column) in group.columns().iter().enumerate() {
            // Small integers take less than their physical type.
            let pixel = image.filter(|image| image.leaf == leaf).and_then(|image| item(image.field.data_type()));
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

/// Where the images are, if in a column that can be read in parts.
struct ImageColumn {
    /// Among the columns at the top.
    root: usize,
    /// Among the columns of values.
    leaf: usize,
    field: FieldRef,
    kind: ImageKind,
}

#[derive(Clone, Copy, PartialEq)]
enum ImageKind {
    List {
        max_definition: u8,
    },
    /// Raw bytes.
    Bytes {
        max_definition: u8,
    },
    Flat,
}

impl ImageColumn {
    fn find(metadata: &ArrowReaderMetadata, name: &str) -> Option<Self> {
        let (schema, columns) = (metadata.schema(), metadata.parquet_schema());
        let root = schema.fields().iter().position(|field| field.name() == name)?;
        // The columns of the file and those of the Arrow schema are the same ones.
        if schema.fields().len() != columns.root_schema().get_fields().len() {
            return None;
        }
        let mut leaves = (0..columns.num_columns()).filter(|&leaf| columns.get_column_root_idx(leaf) == root);
        let (Some(leaf), None) = (leaves.next(), leaves.next()) else { return None };
        let (field, column) = (&schema.fields()[root], columns.column(leaf));
        let kind = match (column.max_rep_level(), item(field.data_type())) {
            (0, None) if is_bytes(field.data_type(), column.physical_type()) => {
                ImageKind::Bytes { max_definition: u8::try_from(column.max_def_level()).ok()? }
            }
            (0, None) if !field.data_type().is_nested() => ImageKind::Flat,
            (1, Some((item, _))) if values::is_leaf(item, column.physical_type()) => {
                ImageKind::List { max_definition: u8::try_from(column.max_def_level()).ok()? }
            }
            _ => return None,
        };
        Some(Self { root, leaf, field: field.clone(), kind })
    }
}

/// The item type of a list, and its length where that is the type's.
fn item(list: &DataType) -> Option<(&DataType, Option<usize>)> {
    match list {
        DataType::List(item) | DataType::LargeList(item) => Some((item.data_type(), None)),
        DataType::FixedSizeList(item, length) => Some((item.data_type(), usize::try_from(*length).ok())),
        _ => None,
    }
}

fn is_bytes(data_type: &DataType, stored: Type) -> bool {
    matches!(
        (data_type, stored),
        (DataType::Binary | DataType::LargeBinary, Type::BYTE_ARRAY)
            | (DataType::FixedSizeBinary(1..), Type::FIXED_LEN_BYTE_ARRAY)
    )
}

/// What all threads know.
struct Input {
    name: String,
    file: SharedFile,
    metadata: ArrowReaderMetadata,
    schema: SchemaRef,
    image: Option<ImageColumn>,
    row_bytes: usize,
    /// The most rows of a batch.
    batch_rows: usize,
    pool: Arc<Pool>,
}

/// Buffers of batches that nobody holds any more. Fresh memory costs the system about as much as decoding into it.
struct Pool {
    buffers: Mutex<Vec<MutableBuffer>>,
    most: usize,
}

impl Pool {
    /// A buffer of so many bytes, with anything in them.
    fn take(self: &Arc<Self>, bytes: usize) -> Pooled {
        let used = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = used.unwrap_or_default();
        buffer.resize(bytes, 0);
        Pooled { buffer, pool: self.clone() }
    }
}

/// A buffer that returns to its pool.
struct Pooled {
    buffer: MutableBuffer,
    pool: Arc<Pool>,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut buffers = self.pool.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < self.pool.most {
            buffers.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// The Arrow reader of some columns and rows.
struct ArrowReader {
    reader: ParquetRecordBatchReader,
    name: String,
}

impl Iterator for ArrowReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match guarded(&self.name, || self.reader.next()) {
            Ok(batch) => batch.map(|batch| batch.map_err(|e| damaged(&self.name, &e))),
            Err(error) => Some(Err(error)),
        }
    }
}

/// Turns panics into errors: the Arrow reader has some for damaged headers and schemas.
fn guarded<T>(name: &str, read: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| damaged(name, &"its headers contradict each other"))
}

/// A row group's images, page by page.
struct Lists {
    group: usize,
    /// Values of an image.
    length: usize,
    pages: Pages,
    /// The dictionary page: its data and how many values they are.
    dictionary: Option<(Bytes, usize)>,
    /// Set once the row group has turned out to be something else.
    given_up: AtomicBool,
}

enum Job {
    Lists(ListsJob),
    Rows { flat: Arc<Flat>, pages: Range<usize>, rows: Range<usize>, others: RecordBatch },
    Whole(usize),
    Ready(RecordBatch),
}

/// Some pages of a row group, and the rows that end in them.
struct ListsJob {
    lists: Arc<Lists>,
    pages: Range<usize>,
    rows: Range<usize>,
    /// Values before the first page that belong to the first of these rows.
    begun: usize,
    /// Values of the pages.
    values: usize,
    others: RecordBatch,
}

enum Done {
    /// The pages' values, behind room for those of the record that was begun before.
    Lists(ListsJob, Result<Pooled, Irregular>),
    /// Batches, and how many rows of them were decoded from their pages.
    Batches(Vec<RecordBatch>, usize),
}

impl Input {
    fn row_group(&self, group: usize) -> &RowGroupMetaData {
        self.metadata.metadata().row_group(group)
    }

    fn arrow_reader(&self, group: usize, columns: ProjectionMask, first_row: usize) -> Result<ArrowReader> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(columns)
            .with_offset(first_row);
        self.build(builder)
    }

    fn build(&self, builder: ParquetRecordBatchReaderBuilder<SharedFile>) -> Result<ArrowReader> {
        let builder = builder.with_batch_size(self.batch_rows);
        let reader = guarded(&self.name, || builder.build())?.map_err(|e| damaged(&self.name, &e))?;
        Ok(ArrowReader { reader, name: self.name.clone() })
    }

    /// A batch of all columns as one of the file's.
    fn whole_batch(&self, batch: Result<RecordBatch>) -> Result<RecordBatch> {
        // The Arrow reader's schema lacks the file's metadata.
        let batch = batch?;
        RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec()).map_err(|e| damaged(&self.name, &e))
    }

    /// A batch of images and the other columns, in the file's order.
    fn with_others(&self, column: &ImageColumn, images: ArrayRef, others: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = others.columns().to_vec();
        columns.insert(column.root, images);
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| damaged(&self.name, &e))
    }

    fn run(&self, job: Job) -> Result<Done> {
        match job {
            Job::Ready(batch) => Ok(Done::Batches(vec![batch], 0)),
            Job::Whole(group) => {
                let reader = self.arrow_reader(group, ProjectionMask::all(), 0)?;
                Ok(Done::Batches(reader.map(|batch| self.whole_batch(batch)).collect::<Result<_>>()?, 0))
            }
            Job::Rows { flat, pages, rows, others } => self.read_rows(&flat, pages, &rows, &others),
            Job::Lists(job) => {
                let values = match &self.image {
                    Some(image) if !job.lists.given_up.load(Ordering::Relaxed) => self.decode(image, &job),
                    _ => Err(Irregular),
                };
                Ok(Done::Lists(job, values))
            }
        }
    }

    fn read_rows(&self, flat: &Flat, pages: Range<usize>, rows: &Range<usize>, others: &RecordBatch) -> Result<Done> {
        let Some(image) = &self.image else { return Ok(Done::Batches(Vec::new(), 0)) };
        let pages = &flat.pages.data[pages];
        if let Ok(images) = self.decode_bytes(image, flat, pages, rows.len()) {
            let batch = self.with_others(image, images, others)?;
            return Ok(Done::Batches(self.cut(&batch), rows.len()));
        }
        // Who does not need the dictionary need not decode it once more for each job.
        let alone = if pages.iter().all(|page| page.plain) { flat.alone(self, image, pages, rows.len()) } else { None };
        let (metadata, first_row) = alone.map_or((flat.indexed.clone(), rows.start), |metadata| (metadata, 0));
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), metadata)
            .with_projection(ProjectionMask::roots(self.metadata.parquet_schema(), [image.root]))
            .with_offset(first_row)
            .with_limit(rows.len());
        let reader = self.build(builder)?;
        let (mut batches, mut at) = (Vec::new(), 0);
        for batch in reader {
            let images = batch?;
            let end = at + images.num_rows();
            if end > rows.len() {
                break;
            }
            let others = others.slice(at, images.num_rows());
            batches.push(self.with_others(image, images.column(0).clone(), &others)?);
            at = end;
        }
        if at < rows.len() {
            return Err(damaged(&self.name, &"a page has fewer rows than it says"));
        }
        Ok(Done::Batches(batches, 0))
    }

    /// The images of some pages of raw bytes, if all are there, written plainly and of one length.
    fn decode_bytes(
        &self,
        image: &ImageColumn,
        flat: &Flat,
        pages: &[pages::Page],
        rows: usize,
    ) -> Result<ArrayRef, Irregular> {
        let ImageKind::Bytes { max_definition } = image.kind else { return Err(Irregular) };
        if !pages.iter().all(|page| page.plain) {
            return Err(Irregular);
        }
        let fixed = match image.field.data_type() {
            DataType::FixedSizeBinary(length) => Some(usize::try_from(*length).map_err(|_| Irregular)?),
            _ => None,
        };
        let mut reader = data_page_reader(self, self.row_group(flat.group).column(image.leaf), pages)?;
        let mut decoded: Option<(usize, Pooled)> = None;
        let mut at = 0;
        for page in pages {
            let found = reader.get_next_page().map_err(|_| Irregular)?.ok_or(Irregular)?;
            let (_, definition, encoding, data) = split(&found, page.levels, false, max_definition > 0)?;
            if encoding != Encoding::PLAIN {
                return Err(Irregular);
            }
            if max_definition > 0 {
                check_present(definition, max_definition, page.levels)?;
            }
            let (length, images) = match &mut decoded {
                Some((length, images)) => (*length, images),
                None => {
                    let length = fixed.map_or_else(|| values::first_length(data), Ok)?;
                    let bytes = length.checked_mul(rows).filter(|&bytes| bytes <= LARGEST_PIECE).ok_or(Irregular)?;
                    let (length, images) = decoded.insert((length, self.pool.take(bytes)));
                    (*length, images)
                }
            };
            let out = images.buffer.get_mut(at * length..(at + page.levels) * length).ok_or(Irregular)?;
            values::byte_arrays(data, fixed.is_none(), length, out)?;
            at += page.levels;
        }
        let (length, images) = decoded.filter(|_| at == rows).ok_or(Irregular)?;
        let buffer = Buffer::from(Bytes::from_owner(images));
        values::bytes_array(image.field.data_type(), buffer, length, rows)
    }

    /// Slices of at most `batch_rows` rows, of one size rather than with a small one last.
    fn cut(&self, batch: &RecordBatch) -> Vec<RecordBatch> {
        let rows = batch.num_rows();
        let size = rows.div_ceil(rows.div_ceil(self.batch_rows).max(1)).max(1);
        (0..rows).step_by(size).map(|at| batch.slice(at, size.min(rows - at))).collect()
    }

    fn decode(&self, image: &ImageColumn, job: &ListsJob) -> Result<Pooled, Irregular> {
        let (leaf, _) = item(image.field.data_type()).ok_or(Irregular)?;
        by_leaf!(leaf, decode_pages(self, image, job))
    }

    /// Puts together what a job decoded and what the one before it left over, in `begun`; leaves there what is left over
    /// this time.
    fn assemble(&self, job: &ListsJob, mut values: Pooled, begun: &mut Vec<u8>) -> Result<Vec<RecordBatch>, Irregular> {
        let image = self.image.as_ref().ok_or(Irregular)?;
        let (leaf, _) = item(image.field.data_type()).ok_or(Irregular)?;
        let width = leaf.primitive_width().ok_or(Irregular)?;
        if begun.len() != job.begun * width {
            return Err(Irregular);
        }
        values.buffer.as_slice_mut()[..begun.len()].copy_from_slice(begun);
        let (rows, length) = (job.rows.len(), job.lists.length);
        begun.clear();
        begun.extend_from_slice(&values.as_ref()[rows * length * width..]);
        let items = values::array(leaf, Buffer::from(Bytes::from_owner(values)), rows * length)?;
        let images: ArrayRef = match image.field.data_type() {
            DataType::FixedSizeList(item, size) => {
                Arc::new(FixedSizeListArray::try_new(item.clone(), *size, items, None).map_err(|_| Irregular)?)
            }
            DataType::List(item) => Arc::new(list::<i32>(item, length, items)?),
            DataType::LargeList(item) => Arc::new(list::<i64>(item, length, items)?),
            _ => return Err(Irregular),
        };
        let batch = self.with_others(image, images, &job.others).map_err(|_| Irregular)?;
        Ok(self.cut(&batch))
    }
}

fn list<O: OffsetSizeTrait>(item: &FieldRef, length: usize, items: ArrayRef) -> Result<GenericListArray<O>, Irregular> {
    if O::from_usize(items.len()).is_none() {
        return Err(Irregular);
    }
    let offsets = OffsetBuffer::from_repeated_length(length, items.len() / length);
    GenericListArray::try_new(item.clone(), offsets, items, None).map_err(|_| Irregular)
}

/// A reader of a chunk's dictionary, if it has one, and just these of its pages.
fn page_reader(
    input: &Input,
    chunk: &ColumnChunkMetaData,
    pages: &[pages::Page],
) -> Result<SerializedPageReader<SharedFile>, Irregular> {
    let locations = locations(pages.iter().map(|page| (page, 0)));
    SerializedPageReader::new(Arc::new(input.file.clone()), chunk, 0, Some(locations)).map_err(|_| Irregular)
}

/// As [`page_reader`], past the chunk's dictionary.
fn data_page_reader(
    input: &Input,
    chunk: &ColumnChunkMetaData,
    pages: &[pages::Page],
) -> Result<SerializedPageReader<SharedFile>, Irregular> {
    let mut reader = page_reader(input, chunk, pages)?;
    // What lies before the first page is taken for a dictionary.
    if reader.peek_next_page().map_err(|_| Irregular)?.is_some_and(|page| page.is_dict) {
        reader.skip_next_page().map_err(|_| Irregular)?;
    }
    Ok(reader)
}

fn locations<'a>(pages: impl Iterator<Item = (&'a pages::Page, usize)>) -> Vec<PageLocation> {
    pages
        .map(|(page, first_row)| PageLocation {
            offset: page.offset as i64,
            compressed_page_size: page.bytes,
            first_row_index: first_row as i64,
        })
        .collect()
}

fn decode_pages<T: Leaf>(input: &Input, image: &ImageColumn, job: &ListsJob) -> Result<Pooled, Irregular> {
    let ImageKind::List { max_definition } = image.kind else { return Err(Irregular) };
    let lists = &job.lists;
    let chunk = input.row_group(lists.group).column(image.leaf);
    let dictionary =
        lists.dictionary.as_ref().map(|(bytes, values)| Dictionary::<T>::new(bytes, *values)).transpose()?;
    let pages = &lists.pages.data[job.pages.clone()];
    let mut reader = data_page_reader(input, chunk, pages)?;
    let mut pooled = input.pool.take((job.begun + job.values) * size_of::<T>());
    let values = pooled.buffer.typed_data_mut::<T>();
    let mut at = job.begun;
    for page in pages {
        let found = reader.get_next_page().map_err(|_| Irregular)?.ok_or(Irregular)?;
        let out = values.get_mut(at..at + page.levels).ok_or(Irregular)?;
        let (repetition, definition, encoding, data) = split(&found, page.levels, true, true)?;
        // The buffer begins where a record does.
        let to_next = (lists.length - at % lists.length) % lists.length;
        check_records(repetition, to_next, lists.length, page.levels)?;
        check_present(definition, max_definition, page.levels)?;
        values::decode(data, encoding, dictionary.as_ref(), out)?;
        at += page.levels;
    }
    if at == values.len() { Ok(pooled) } else { Err(Irregular) }
}

/// Of a page: repetition levels, definition levels, the encoding of its values, and these.
type Parts<'a> = (&'a [u8], &'a [u8], Encoding, &'a [u8]);

/// The repetition levels, definition levels and values of a page of a column that has such levels, or has not.
fn split(page: &Page, levels: usize, repeated: bool, defined: bool) -> Result<Parts<'_>, Irregular> {
    if page.num_values() as usize != levels {
        return Err(Irregular);
    }
    match page {
        Page::DataPage { buf, encoding, def_level_encoding, rep_level_encoding, .. } => {
            if (*def_level_encoding, *rep_level_encoding) != (Encoding::RLE, Encoding::RLE) {
                return Err(Irregular);
            }
            let (repetition, rest) = if repeated { prefixed(buf)? } else { (&[][..], &buf[..]) };
            let (definition, values) = if defined { prefixed(rest)? } else { (&[][..], rest) };
            Ok((repetition, definition, *encoding, values))
        }
        Page::DataPageV2 { buf, encoding, def_levels_byte_len, rep_levels_byte_len, .. } => {
            let (repetition, rest) = buf.split_at_checked(*rep_levels_byte_len as usize).ok_or(Irregular)?;
            let (definition, values) = rest.split_at_checked(*def_levels_byte_len as usize).ok_or(Irregular)?;
            Ok((repetition, definition, *encoding, values))
        }
        Page::DictionaryPage { .. } => Err(Irregular),
    }
}

/// Levels behind their length, and the rest.
fn prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), Irregular> {
    let (length, rest) = bytes.split_first_chunk().ok_or(Irregular)?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(Irregular)
}

impl Lists {
    /// Settles how the images of a row group are to be read, as far as the footer and the page headers tell.
    fn find(input: &Input, image: &ImageColumn, group: usize, rows: usize) -> Result<Self, Irregular> {
        let chunk = input.row_group(group).column(image.leaf);
        if chunk.statistics().and_then(|s| s.null_count_opt()).is_some_and(|nulls| nulls > 0) {
            return Err(Irregular);
        }
        let total = usize::try_from(chunk.num_values()).map_err(|_| Irregular)?;
        let (leaf, fixed) = item(image.field.data_type()).ok_or(Irregular)?;
        let width = leaf.primitive_width().ok_or(Irregular)?;
        let length = total / rows.max(1);
        let piece = LARGEST_PIECE / width;
        if length == 0
            || length > piece
            || Some(total) != length.checked_mul(rows)
            || fixed.is_some_and(|n| n != length)
        {
            return Err(Irregular);
        }
        let pages = pages::find(&input.file, chunk)?;
        let levels = pages.data.iter().try_fold(0usize, |sum, page| sum.checked_add(page.levels));
        if levels != Some(total) || pages.data.iter().any(|page| page.levels > piece || page.levels == 0) {
            return Err(Irregular);
        }
        let dictionary = match pages.dictionary {
            false => None,
            true => {
                let page = page_reader(input, chunk, &pages.data[..1])?.get_next_page().map_err(|_| Irregular)?;
                match page {
                    #[allow(deprecated, reason = "what writers of version 1 pages still put there")]
                    Some(Page::DictionaryPage {
                        buf,
                        num_values,
                        encoding: Encoding::PLAIN | Encoding::PLAIN_DICTIONARY,
                        ..
                    }) => Some((buf, num_values as usize)),
                    _ => return Err(Irregular),
                }
            }
        };
        Ok(Self { group, length, pages, dictionary, given_up: AtomicBool::new(false) })
    }
}

/// Hands out the jobs, row group after row group.
struct Source {
    input: Arc<Input>,
    next_group: usize,
    state: State,
}

enum State {
    Between,
    Lists { lists: Arc<Lists>, next_page: usize, values: usize, others: Others },
    Rows { flat: Arc<Flat>, next_page: usize, others: Others },
    Serial(ArrowReader),
}

impl Source {
    fn jobs(input: Arc<Input>) -> impl FnMut() -> Option<Result<Job>> + Send + 'static {
        let mut source = Self { input, next_group: 0, state: State::Between };
        move || source.next().transpose()
    }

    fn next(&mut self) -> Result<Option<Job>> {
        loop {
            let job = match &mut self.state {
                State::Between => {
                    if self.next_group == self.input.metadata.metadata().num_row_groups() {
                        return Ok(None);
                    }
                    self.next_group += 1;
                    match self.begin(self.next_group - 1)? {
                        None => continue,
                        job => job,
                    }
                }
                State::Lists { lists, next_page, values, others } => {
                    next_lists(&self.input, lists, next_page, values, others)?
                }
                State::Rows { flat, next_page, others } => next_rows(&self.input, flat, next_page, others)?,
                State::Serial(reader) => reader.next().map(|b| self.input.whole_batch(b)).transpose()?.map(Job::Ready),
            };
            match job {
                Some(job) => return Ok(Some(job)),
                None => self.state = State::Between,
            }
        }
    }

    /// Chooses how a row group is read; a small one may be a job at once.
    fn begin(&mut self, group: usize) -> Result<Option<Job>> {
        let input = &self.input;
        let rows = usize::try_from(input.row_group(group).num_rows()).unwrap_or(0);
        let small = rows.checked_mul(input.row_bytes).is_some_and(|bytes| bytes <= WHOLE_BYTES);
        match &input.image {
            Some(image) if matches!(image.kind, ImageKind::List { .. }) => {
                if let Ok(lists) = Lists::find(input, image, group, rows) {
                    let others = Others::open(input, image, group)?;
                    self.state = State::Lists { lists: Arc::new(lists), next_page: 0, values: 0, others };
                    return Ok(None);
                }
            }
            Some(image) if !small || matches!(image.kind, ImageKind::Bytes { .. }) => {
                if let Some(flat) = Flat::find(input, image, group, rows) {
                    let others = Others::open(input, image, group)?;
                    self.state = State::Rows { flat: Arc::new(flat), next_page: 0, others };
                    return Ok(None);
                }
            }
            _ => {}
        }
        if small {
            return Ok(Some(Job::Whole(group)));
        }
        self.state = State::Serial(input.arrow_reader(group, ProjectionMask::all(), 0)?);
        Ok(None)
    }
}

/// The next pages of a row group that make a batch, and with them at least one row.
fn next_lists(
    input: &Input,
    lists: &Arc<Lists>,
    next_page: &mut usize,
    values: &mut usize,
    others: &mut Others,
) -> Result<Option<Job>> {
    // The rest of the row group is the consumer's to read.
    if lists.given_up.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let (first_page, before) = (*next_page, *values);
    let first_row = before / lists.length;
    for page in &lists.pages.data[first_page..] {
        let rows = (*values + page.levels) / lists.length - first_row;
        if *values / lists.length > first_row && rows > input.batch_rows {
            break;
        }
        *values += page.levels;
        *next_page += 1;
    }
    if *next_page == first_page {
        return Ok(None);
    }
    let rows = first_row..*values / lists.length;
    Ok(Some(Job::Lists(ListsJob {
        lists: lists.clone(),
        pages: first_page..*next_page,
        begun: before % lists.length,
        values: *values - before,
        others: others.take(input, rows.len())?,
        rows,
    })))
}

/// The next pages of a row group that make a batch.
fn next_rows(input: &Input, flat: &Arc<Flat>, next_page: &mut usize, others: &mut Others) -> Result<Option<Job>> {
    let (first_page, first_row) = (*next_page, flat.starts[*next_page]);
    let ends = &flat.starts[first_page + 1..];
    if ends.is_empty() {
        return Ok(None);
    }
    let pages = ends.iter().take_while(|&&end| end - first_row <= input.batch_rows).count().max(1);
    *next_page += pages;
    let rows = first_row..ends[pages - 1];
    let others = others.take(input, rows.len())?;
    Ok(Some(Job::Rows { flat: flat.clone(), pages: first_page..*next_page, rows, others }))
}

/// A row group with a flat image column.
struct Flat {
    group: usize,
    pages: Pages,
    /// The row that each page begins with, and the number of rows.
    starts: Vec<usize>,
    /// This row group alone, with an index of the image column's pages made from their headers. With it a range of rows
    /// is read without a look at the pages before.
    indexed: ArrowReaderMetadata,
}

impl Flat {
    fn find(input: &Input, image: &ImageColumn, group: usize, rows: usize) -> Option<Self> {
        let row_group = input.row_group(group);
        let pages = pages::find(&input.file, row_group.column(image.leaf)).ok()?;
        let mut starts = vec![0];
        let mut row = 0usize;
        for page in &pages.data {
            // Without repetition each level is a row.
            let in_page = page.rows.unwrap_or(page.levels);
            row = row.checked_add(in_page).filter(|&row| in_page > 0 && row <= rows)?;
            starts.push(row);
        }
        if row != rows {
            return None;
        }
        let none = OffsetIndexMetaData { page_locations: Vec::new(), unencoded_byte_array_data_bytes: None };
        let mut index = vec![none; row_group.num_columns()];
        index[image.leaf].page_locations = locations(pages.data.iter().zip(starts.iter().copied()));
        let metadata = ParquetMetaDataBuilder::new(input.metadata.metadata().file_metadata().clone())
            .add_row_group(row_group.clone())
            .set_offset_index(Some(vec![index]))
            .build();
        let indexed = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()).ok()?;
        Some(Self { group, pages, starts, indexed })
    }

    /// A row group of nothing but these pages.
    fn alone(
        &self,
        input: &Input,
        image: &ImageColumn,
        pages: &[pages::Page],
        rows: usize,
    ) -> Option<ArrowReaderMetadata> {
        let row_group = input.row_group(self.group);
        let mut columns = row_group.columns().to_vec();
        columns[image.leaf] = columns[image.leaf]
            .clone()
            .into_builder()
            .set_dictionary_page_offset(None)
            .set_data_page_offset(pages.first()?.offset as i64)
            .set_total_compressed_size(pages.iter().map(|page| i64::from(page.bytes)).sum())
            .set_num_values(pages.iter().map(|page| page.levels as i64).sum())
            .build()
            .ok()?;
        let row_group =
            row_group.clone().into_builder().set_num_rows(rows as i64).set_column_metadata(columns).build().ok()?;
        let metadata = ParquetMetaDataBuilder::new(input.metadata.metadata().file_metadata().clone())
            .add_row_group(row_group)
            .build();
        ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()).ok()
    }
}

/// The columns of a row group other than the images, by ranges of rows.
struct Others {
    schema: SchemaRef,
    /// `None` if there are none.
    reader: Option<ArrowReader>,
    /// Read and not yet asked for.
    left: RecordBatch,
}

impl Others {
    fn open(input: &Input, image: &ImageColumn, group: usize) -> Result<Self> {
        let columns: &SchemaDescriptor = input.metadata.parquet_schema();
        let mut fields = input.schema.fields().to_vec();
        fields.remove(image.root);
        let reader = match fields.len() {
            0 => None,
            n => {
                let roots = (0..=n).filter(|&root| root != image.root);
                Some(input.arrow_reader(group, ProjectionMask::roots(columns, roots), 0)?)
            }
        };
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { left: RecordBatch::new_empty(schema.clone()), schema, reader })
    }

    fn take(&mut self, input: &Input, rows: usize) -> Result<RecordBatch> {
        let wrong = |e: ArrowError| damaged(&input.name, &e);
        let Some(reader) = &mut self.reader else {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            return RecordBatch::try_new_with_options(self.schema.clone(), Vec::new(), &options).map_err(wrong);
        };
        let (mut parts, mut missing) = (Vec::new(), rows);
        while missing > 0 {
            if self.left.num_rows() == 0 {
                let next = reader.next().ok_or_else(|| damaged(&input.name, &"its columns differ in length"))?;
                self.left = RecordBatch::try_new(self.schema.clone(), next?.columns().to_vec()).map_err(wrong)?;
            }
            let taken = missing.min(self.left.num_rows());
            parts.push(self.left.slice(0, taken));
            self.left = self.left.slice(taken, self.left.num_rows() - taken);
            missing -= taken;
        }
        if parts.len() == 1 { Ok(parts.remove(0)) } else { concat_batches(&self.schema, &parts).map_err(wrong) }
    }
}

/// The batches of a file.
pub(super) struct Reader {
    input: Arc<Input>,
    /// `None` after an error.
    jobs: Option<Ordered<Done>>,
    ready: VecDeque<RecordBatch>,
    /// The values of a record of which the rest is in the next job's pages.
    begun: Vec<u8>,
    /// The rest of a row group that turned out irregular.
    serial: Option<ArrowReader>,
    /// Rows whose images were decoded from the pages.
    pub(super) fast_rows: usize,
}

impl Reader {
    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(reader) = &mut self.serial {
                match reader.next() {
                    Some(batch) => return self.input.whole_batch(batch).map(Some),
                    None => self.serial = None,
                }
            }
            let Some(jobs) = &mut self.jobs else { return Ok(None) };
            match jobs.next().transpose()? {
                None => return Ok(None),
                Some(Done::Batches(batches, fast_rows)) => {
                    self.fast_rows += fast_rows;
                    self.ready.extend(batches);
                }
                Some(Done::Lists(job, _)) if job.lists.given_up.load(Ordering::Relaxed) => {}
                Some(Done::Lists(job, values)) => {
                    match values.and_then(|values| self.input.assemble(&job, values, &mut self.begun)) {
                        Ok(batches) => {
                            self.fast_rows += job.rows.len();
                            self.ready.extend(batches);
                        }
                        Err(Irregular) => {
                            job.lists.given_up.store(true, Ordering::Relaxed);
                            self.begun.clear();
                            let group = job.lists.group;
                            self.serial =
                                Some(self.input.arrow_reader(group, ProjectionMask::all(), job.rows.start)?);
                        }
                    }
                }
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance();
        if result.is_err() {
            (self.jobs, self.serial) = (None, None);
            self.ready.clear();
        }
        result.map_err(ArrowError::from).transpose()
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.input.schema.clone()
    }
}
