//! Images that are a value each: raw bytes of one length are decoded from their pages, all else by an Arrow reader that
//! starts at the right page.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaDataBuilder;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;

use super::buffers::PooledBuffer;
use super::context::FileContext;
use super::image_column::{ImageKind, LeafColumn};
use super::levels::check_present;
use super::page_data::{DataPages, PageParts, locations};
use super::pages::{self, PageInfo, Pages};
use super::values;
use super::{Irregular, MAX_PIECE_BYTES, damaged};
use crate::base::error::Result;

/// A row group whose image column is not nested, so that every page holds whole rows.
pub struct FlatGroup {
    group: usize,
    image: LeafColumn,
    pages: Pages,
    /// The row that each page begins with, and the number of rows.
    pub starts: Vec<usize>,
    /// The metadata of this row group alone, with an index of the image column's pages, made from their headers. With the
    /// index the Arrow reader skips the pages before a range of rows.
    indexed: ArrowReaderMetadata,
}

impl FlatGroup {
    /// Finds the pages of a row group; `None` if the page headers do not tell its rows.
    pub fn find(context: &FileContext, image: &LeafColumn, group: usize, rows: usize) -> Option<Self> {
        let row_group = context.row_group(group);
        let pages = pages::find(&context.file, row_group.column(image.leaf)).ok()?;
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
        let metadata = ParquetMetaDataBuilder::new(context.metadata.metadata().file_metadata().clone())
            .add_row_group(row_group.clone())
            .set_offset_index(Some(vec![index]))
            .build();
        let indexed = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()).ok()?;
        Some(Self { group, image: image.clone(), pages, starts, indexed })
    }

    /// A row group of nothing but these pages.
    fn alone(&self, context: &FileContext, pages: &[PageInfo], rows: usize) -> Option<ArrowReaderMetadata> {
        let row_group = context.row_group(self.group);
        let mut columns = row_group.columns().to_vec();
        columns[self.image.leaf] = columns[self.image.leaf]
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
        let metadata = ParquetMetaDataBuilder::new(context.metadata.metadata().file_metadata().clone())
            .add_row_group(row_group)
            .build();
        ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()).ok()
    }
}

/// Some pages of a row group, and their rows.
pub struct FlatJob {
    pub flat: Arc<FlatGroup>,
    pub pages: Range<usize>,
    pub rows: Range<usize>,
    /// The other columns of these rows.
    pub others: RecordBatch,
}

impl FlatJob {
    /// The batches of these rows, and how many of the rows were decoded from their pages.
    pub fn read(&self, context: &FileContext) -> Result<(Vec<RecordBatch>, usize)> {
        let (flat, rows, others) = (&self.flat, &self.rows, &self.others);
        let image = &flat.image;
        let pages = &flat.pages.data[self.pages.clone()];
        if let Ok(images) = self.decode_bytes(context, pages) {
            let batch = context.with_paged(image, images, others)?;
            return Ok((context.cut(&batch), rows.len()));
        }
        // Plain pages need no dictionary; without it the Arrow reader does not decode it again for each job.
        let alone = if pages.iter().all(|page| page.plain) { flat.alone(context, pages, rows.len()) } else { None };
        let (metadata, first_row) = alone.map_or((flat.indexed.clone(), rows.start), |metadata| (metadata, 0));
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(context.file.clone(), metadata)
            .with_projection(ProjectionMask::roots(context.metadata.parquet_schema(), [image.root]))
            .with_offset(first_row)
            .with_limit(rows.len());
        let reader = context.build(builder)?;
        let (mut batches, mut at) = (Vec::new(), 0);
        for batch in reader {
            let images = batch?;
            let end = at + images.num_rows();
            if end > rows.len() {
                break;
            }
            let others = others.slice(at, images.num_rows());
            batches.push(context.with_paged(image, images.column(0).clone(), &others)?);
            at = end;
        }
        if at < rows.len() {
            return Err(damaged(&context.name, &"a page has fewer rows than it says"));
        }
        Ok((batches, 0))
    }

    /// The images of pages of raw bytes, if none is null and all are of one length and plainly encoded.
    fn decode_bytes(&self, context: &FileContext, pages: &[PageInfo]) -> Result<ArrayRef, Irregular> {
        let (image, rows) = (&self.flat.image, self.rows.len());
        let ImageKind::Bytes { max_definition } = image.kind else { return Err(Irregular) };
        if !pages.iter().all(|page| page.plain) {
            return Err(Irregular);
        }
        let fixed = match image.field.data_type() {
            DataType::FixedSizeBinary(length) => Some(usize::try_from(*length).map_err(|_| Irregular)?),
            _ => None,
        };
        let mut reader = DataPages::new(context, context.row_group(self.flat.group).column(image.leaf), pages)?;
        let mut decoded: Option<(usize, PooledBuffer)> = None;
        let mut at = 0;
        for _ in pages {
            let (page, parts) = reader.next(false, max_definition > 0)?;
            let PageParts { definition, encoding, values: data, .. } = parts;
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
                    let bytes = length.checked_mul(rows).filter(|&bytes| bytes <= MAX_PIECE_BYTES).ok_or(Irregular)?;
                    let (length, images) = decoded.insert((length, context.pool.take(bytes)));
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
}
