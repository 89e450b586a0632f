//! Pages of fixed-size lists of floats, made of whole rows: what a features column is.
//!
//! The Arrow writer makes two levels for each value and looks at each again. Here a row's levels are two runs, and its
//! values go to the compressor as they lie.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use flate2::write::GzEncoder;
use parquet::basic::{Compression as Codec, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::io::Compression;

/// Whether a column is one of those.
pub fn is_list(field: &Field) -> bool {
    match field.data_type() {
        DataType::FixedSizeList(item, length) => {
            *length > 0 && !item.is_nullable() && *item.data_type() == DataType::Float32
        }
        _ => false,
    }
}

/// Compresses pages.
pub enum Compressor {
    None,
    Snappy(Box<snap::raw::Encoder>),
    Gzip,
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    pub fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::None => Compressor::None,
            Compression::Snappy => Compressor::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::Gzip => Compressor::Gzip,
            // The level that parquet's own writer has by default.
            Compression::Zstd => Compressor::Zstd(zstd::bulk::Compressor::new(1)?),
        })
    }

    fn compress(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        match self {
            Compressor::None => Ok(bytes),
            Compressor::Snappy(encoder) => Ok(encoder.compress_vec(&bytes)?),
            Compressor::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&bytes)?;
                Ok(encoder.finish()?)
            }
            Compressor::Zstd(compressor) => Ok(compressor.compress(&bytes)?),
        }
    }
}

/// A page, compressed.
pub struct ListPage {
    bytes: Vec<u8>,
    uncompressed: usize,
    levels: usize,
    rows: usize,
}

/// Makes a page of the lists in column `at` of some batches.
pub fn page(parts: &[RecordBatch], at: usize, compressor: &mut Compressor) -> Result<ListPage> {
    let (mut repetition, mut definition) = (LevelRuns::default(), LevelRuns::default());
    let (mut rows, mut levels, mut values) = (0, 0, Vec::new());
    for part in parts {
        let lists = part.column(at).as_fixed_size_list();
        let length = lists.value_length() as usize;
        let present = if part.schema_ref().field(at).is_nullable() { 2 } else { 1 };
        let floats = lists.values().as_primitive::<Float32Type>().values();
        let floats = &floats[lists.value_offset(0) as usize..][..lists.len() * length];
        let mut taken = 0;
        for row in 0..lists.len() {
            repetition.push(0, 1);
            if lists.is_null(row) {
                definition.push(0, 1);
                levels += 1;
                values.push(&floats[taken..row * length]);
                taken = (row + 1) * length;
            } else {
                repetition.push(1, length - 1);
                definition.push(present, length);
                levels += length;
            }
        }
        values.push(&floats[taken..]);
        rows += lists.len();
    }
    let (repetition, definition) = (repetition.finish(), definition.finish());
    let value_bytes = values.iter().map(|values| size_of_val(*values)).sum::<usize>();
    let mut bytes = Vec::with_capacity(8 + repetition.len() + definition.len() + value_bytes);
    for runs in [repetition, definition] {
        bytes.extend((runs.len() as u32).to_le_bytes());
        bytes.extend(runs);
    }
    for values in values {
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    let uncompressed = bytes.len();
    Ok(ListPage { bytes: compressor.compress(bytes)?, uncompressed, levels, rows })
}

/// Levels as runs of Parquet's hybrid encoding, of values that fit a byte.
#[derive(Default)]
struct LevelRuns {
    bytes: Vec<u8>,
    value: u8,
    length: usize,
}

impl LevelRuns {
    fn push(&mut self, value: u8, length: usize) {
        if value != self.value {
            self.flush();
            self.value = value;
        }
        self.length += length;
    }

    fn flush(&mut self) {
        if self.length == 0 {
            return;
        }
        let mut header = (std::mem::take(&mut self.length) as u64) << 1;
        while header >= 0x80 {
            self.bytes.push(header as u8 | 0x80);
            header >>= 7;
        }
        self.bytes.extend([header as u8, self.value]);
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.bytes
    }
}

/// A column of a row group, as the file's writer takes it.
pub fn chunk(pages: Vec<ListPage>, column: ColumnDescPtr, codec: Codec) -> Result<(Bytes, ColumnCloseResult)> {
    let room = pages.iter().map(|page| page.bytes.len() + 64).sum();
    let mut out = TrackedWrite::new(Vec::with_capacity(room));
    let mut writer = SerializedPageWriter::new(&mut out);
    let mut index = OffsetIndexBuilder::new();
    let (mut rows, mut levels, mut compressed, mut uncompressed) = (0, 0, 0, 0);
    for page in pages {
        let count = u32::try_from(page.levels)?;
        let data = Page::DataPage {
            buf: page.bytes.into(),
            num_values: count,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written = writer.write_page(CompressedPage::new(data, page.uncompressed))?;
        index.append_row_count(page.rows as i64);
        index.append_offset_and_size(written.offset as i64, written.compressed_size as i32);
        rows += page.rows as u64;
        levels += page.levels as i64;
        compressed += written.compressed_size as i64;
        uncompressed += written.uncompressed_size as i64;
    }
    let bytes: Bytes = out.into_inner()?.into();
    let metadata = ColumnChunkMetaData::builder(column)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
        .set_compression(codec)
        .set_num_values(levels)
        .set_total_compressed_size(compressed)
        .set_total_uncompressed_size(uncompressed)
        .set_data_page_offset(0)
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: rows,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: Some(index.build()),
    };
    Ok((bytes, close))
}
