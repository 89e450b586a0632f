//! Images that are lists of one length: decoded from their pages, without the record assembly of the Arrow reader.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{ArrayRef, FixedSizeListArray, GenericListArray, OffsetSizeTrait, RecordBatch};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::{DataType, FieldRef};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};

use super::buffers::PooledBuffer;
use super::context::FileContext;
use super::image_column::{LeafColumn, item};
use super::levels::{check_present, check_records};
use super::page_data::{DataPages, PageParts, page_reader};
use super::pages::{self, Pages};
use super::values::{self, Dictionary, Leaf, by_leaf};
use super::{Irregular, MAX_PIECE_BYTES};

/// A row group with a column of lists of one length, mostly the images.
pub struct ListGroup {
    pub group: usize,
    column: LeafColumn,
    max_definition: u8,
    /// The values of a list.
    pub length: usize,
    pub pages: Pages,
    /// The data of the dictionary page, and how many values it holds.
    dictionary: Option<(Bytes, usize)>,
    /// Set once a page shows that the lists are not of one length, so that the Arrow reader has to read them.
    pub given_up: AtomicBool,
}

impl ListGroup {
    /// Finds the pages of a row group, if the column has lists of one length as far as the footer and the page headers tell.
    pub fn find(
        context: &FileContext,
        column: &LeafColumn,
        max_definition: u8,
        group: usize,
        rows: usize,
    ) -> Result<Self, Irregular> {
        let chunk = context.row_group(group).column(column.leaf);
        if chunk.statistics().and_then(|s| s.null_count_opt()).is_some_and(|nulls| nulls > 0) {
            return Err(Irregular);
        }
        let total = usize::try_from(chunk.num_values()).map_err(|_| Irregular)?;
        let (leaf, fixed) = item(column.field.data_type()).ok_or(Irregular)?;
        let width = leaf.primitive_width().ok_or(Irregular)?;
        let length = total / rows.max(1);
        let piece = MAX_PIECE_BYTES / width;
        if length == 0
            || length > piece
            || Some(total) != length.checked_mul(rows)
            || fixed.is_some_and(|n| n != length)
        {
            return Err(Irregular);
        }
        let pages = pages::find(&context.file, chunk)?;
        let levels = pages.data.iter().try_fold(0usize, |sum, page| sum.checked_add(page.levels));
        if levels != Some(total) || pages.data.iter().any(|page| page.levels > piece || page.levels == 0) {
            return Err(Irregular);
        }
        let dictionary = match pages.dictionary {
            false => None,
            true => {
                let page = page_reader(context, chunk, &pages.data[..1])?.get_next_page().map_err(|_| Irregular)?;
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
        let column = column.clone();
        Ok(Self { group, column, max_definition, length, pages, dictionary, given_up: AtomicBool::new(false) })
    }

    /// The rows that each page holds, about.
    pub fn page_rows(&self) -> impl Iterator<Item = usize> {
        self.pages.data.iter().map(|page| page.levels / self.length)
    }
}

/// Some pages of a row group, and the rows that end in them.
pub struct ListJob {
    pub lists: Arc<ListGroup>,
    pub pages: Range<usize>,
    pub rows: Range<usize>,
    /// The values of the first of these rows that are in pages before.
    pub begun: usize,
    /// The values of the pages.
    pub values: usize,
    /// The other columns of these rows.
    pub others: RecordBatch,
}

impl ListJob {
    /// Decodes the values of the pages. In the buffer they come after room for those of the record that was begun before.
    pub fn decode(&self, context: &FileContext) -> Result<PooledBuffer, Irregular> {
        if self.lists.given_up.load(Ordering::Relaxed) {
            return Err(Irregular);
        }
        let (leaf, _) = item(self.lists.column.field.data_type()).ok_or(Irregular)?;
        by_leaf!(leaf, decode_pages(context, self))
    }

    /// Makes batches of what [`ListJob::decode`] returned. `begun` holds the values of a record that the job before it began;
    /// afterwards those of a record that this job began and the next one ends.
    pub fn assemble(
        &self,
        context: &FileContext,
        mut values: PooledBuffer,
        begun: &mut Vec<u8>,
    ) -> Result<Vec<RecordBatch>, Irregular> {
        let column = &self.lists.column;
        let (leaf, _) = item(column.field.data_type()).ok_or(Irregular)?;
        let width = leaf.primitive_width().ok_or(Irregular)?;
        if begun.len() != self.begun * width {
            return Err(Irregular);
        }
        values.buffer.as_slice_mut()[..begun.len()].copy_from_slice(begun);
        let (rows, length) = (self.rows.len(), self.lists.length);
        begun.clear();
        begun.extend_from_slice(&values.as_ref()[rows * length * width..]);
        let items = values::array(leaf, Buffer::from(Bytes::from_owner(values)), rows * length)?;
        let lists: ArrayRef = match column.field.data_type() {
            DataType::FixedSizeList(item, size) => {
                Arc::new(FixedSizeListArray::try_new(item.clone(), *size, items, None).map_err(|_| Irregular)?)
            }
            DataType::List(item) => Arc::new(list::<i32>(item, length, items)?),
            DataType::LargeList(item) => Arc::new(list::<i64>(item, length, items)?),
            _ => return Err(Irregular),
        };
        let batch = context.with_paged(column, lists, &self.others).map_err(|_| Irregular)?;
        Ok(context.cut(&batch))
    }
}

fn decode_pages<T: Leaf>(context: &FileContext, job: &ListJob) -> Result<PooledBuffer, Irregular> {
    let lists = &job.lists;
    let chunk = context.row_group(lists.group).column(lists.column.leaf);
    let dictionary =
        lists.dictionary.as_ref().map(|(bytes, values)| Dictionary::<T>::new(bytes, *values)).transpose()?;
    let pages = &lists.pages.data[job.pages.clone()];
    let mut reader = DataPages::new(context, chunk, pages)?;
    let mut pooled = context.pool.take((job.begun + job.values) * size_of::<T>());
    let values = pooled.buffer.typed_data_mut::<T>();
    let mut at = job.begun;
    for _ in pages {
        let (page, parts) = reader.next(true, true)?;
        let PageParts { repetition, definition, encoding, values: data } = parts;
        let out = values.get_mut(at..at + page.levels).ok_or(Irregular)?;
        // The buffer starts with the start of a record.
        let to_next = (lists.length - at % lists.length) % lists.length;
        check_records(repetition, to_next, lists.length, page.levels)?;
        check_present(definition, lists.max_definition, page.levels)?;
        values::decode(data, encoding, dictionary.as_ref(), out)?;
        at += page.levels;
    }
    if at == values.len() { Ok(pooled) } else { Err(Irregular) }
}

fn list<O: OffsetSizeTrait>(item: &FieldRef, length: usize, items: ArrayRef) -> Result<GenericListArray<O>, Irregular> {
    if O::from_usize(items.len()).is_none() {
        return Err(Irregular);
    }
    let offsets = OffsetBuffer::from_repeated_length(length, items.len() / length);
    GenericListArray::try_new(item.clone(), offsets, items, None).map_err(|_| Irregular)
}
