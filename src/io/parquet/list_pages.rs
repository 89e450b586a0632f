//! Pages of fixed-size lists of pixels or features, made of whole rows.
//!
//! The Arrow writer makes two levels for each value and looks at each again. Here a row's levels are two runs, and its
//! values go to the compressor as they lie.

use std::io::Write;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt8Type, UInt16Type};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, RecordBatch};
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

/// How the values of such a column are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Floats of 32 bits, as they lie.
    F32,
    /// Numbers of 16 bits, each in 32: Parquet has no narrower type.
    U16,
    /// Bytes. A dictionary holds the numbers from 0 to 255 in order, so that the places of values in it, 8 bits each, are the
    /// values themselves.
    U8,
}

impl Form {
    /// That of a column; `None` if the column is none of these.
    pub fn of(field: &Field) -> Option<Self> {
        match field.data_type() {
            DataType::FixedSizeList(item, length) if *length > 0 => match item.data_type() {
                DataType::Float32 => Some(Form::F32),
                DataType::UInt16 => Some(Form::U16),
                DataType::UInt8 => Some(Form::U8),
                _ => None,
            },
            _ => None,
        }
    }

    fn encoding(self) -> Encoding {
        match self {
            Form::U8 => Encoding::RLE_DICTIONARY,
            Form::U16 | Form::F32 => Encoding::PLAIN,
        }
    }

    /// The values of the dictionary, if there is one.
    fn dictionary(self) -> Option<Vec<u8>> {
        (self == Form::U8).then(|| (0..=255).flat_map(u32::to_le_bytes).collect())
    }

    /// Puts values behind the levels of their page. Each part is an array and the ranges in it that are taken.
    fn put(self, parts: &[(ArrayRef, Vec<Range<usize>>)], bytes: &mut Vec<u8>) {
        let taken =
            || parts.iter().flat_map(|(values, ranges)| ranges.iter().map(move |range| (values, range.clone())));
        let count = taken().map(|(_, range)| range.len()).sum::<usize>();
        match self {
            Form::F32 => put_words(
                bytes,
                count,
                taken().map(|(values, range)| &values.as_primitive::<Float32Type>().values()[range]),
                f32::to_le_bytes,
            ),
            Form::U16 => put_words(
                bytes,
                count,
                taken().map(|(values, range)| &values.as_primitive::<UInt16Type>().values()[range]),
                |value: u16| u32::from(value).to_le_bytes(),
            ),
            Form::U8 => {
                // One run of groups of eight places, the last of which is filled up.
                let groups = count.div_ceil(8);
                bytes.reserve_exact(11 + groups * 8);
                bytes.push(8);
                if groups == 0 {
                    return;
                }
                put_varint(bytes, (groups as u64) << 1 | 1);
                for (values, range) in taken() {
                    bytes.extend_from_slice(&values.as_primitive::<UInt8Type>().values()[range]);
                }
                bytes.resize(bytes.len() + groups * 8 - count, 0);
            }
        }
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
pub fn page(parts: &[RecordBatch], at: usize, form: Form, compressor: &mut Compressor) -> Result<ListPage> {
    let mut levels = Levels::default();
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        let lists = part.column(at).as_fixed_size_list();
        values.push((lists.values().clone(), levels.add(lists, part.schema_ref().field(at).is_nullable())));
    }
    let Levels { repetition, definition, count, rows } = levels;
    let mut bytes = Vec::new();
    for runs in [repetition.finish(), definition.finish()] {
        bytes.extend((runs.len() as u32).to_le_bytes());
        bytes.extend(runs);
    }
    form.put(&values, &mut bytes);
    let uncompressed = bytes.len();
    Ok(ListPage { bytes: compressor.compress(bytes)?, uncompressed, levels: count, rows })
}

/// The levels of a page, which tell lists and nulls.
#[derive(Default)]
struct Levels {
    repetition: LevelRuns,
    definition: LevelRuns,
    count: usize,
    rows: usize,
}

impl Levels {
    /// Adds lists. Returns the ranges of their items that are values.
    fn add(&mut self, lists: &FixedSizeListArray, lists_may_be_null: bool) -> Vec<Range<usize>> {
        let (length, first) = (lists.value_length() as usize, lists.value_offset(0) as usize);
        let nulls = lists.values().nulls().filter(|nulls| nulls.null_count() > 0);
        let items_may_be_null = match lists.data_type() {
            DataType::FixedSizeList(item, _) => item.is_nullable(),
            _ => false,
        };
        let null = u8::from(lists_may_be_null) + 1;
        let value = null + u8::from(items_may_be_null);
        let mut values: Vec<Range<usize>> = Vec::new();
        let mut take = |range: Range<usize>| match values.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => values.push(range),
        };
        for row in 0..lists.len() {
            self.repetition.push(0, 1);
            if lists.is_null(row) {
                self.definition.push(0, 1);
                self.count += 1;
                continue;
            }
            self.repetition.push(1, length - 1);
            self.count += length;
            let items = first + row * length..first + (row + 1) * length;
            match nulls {
                None => {
                    self.definition.push(value, length);
                    take(items);
                }
                Some(nulls) => {
                    for item in items {
                        self.definition.push(if nulls.is_null(item) { null } else { value }, 1);
                        if nulls.is_valid(item) {
                            take(item..item + 1);
                        }
                    }
                }
            }
        }
        self.rows += lists.len();
        values
    }
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
        if self.length > 0 {
            put_varint(&mut self.bytes, (std::mem::take(&mut self.length) as u64) << 1);
            self.bytes.push(self.value);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.bytes
    }
}

/// Puts `count` values of 32 bits, which lie in several slices.
fn put_words<'a, T: Copy + 'a>(
    bytes: &mut Vec<u8>,
    count: usize,
    slices: impl Iterator<Item = &'a [T]>,
    word: impl Fn(T) -> [u8; 4],
) {
    bytes.reserve_exact(count * 4);
    for values in slices {
        bytes.extend(values.iter().flat_map(|&value| word(value)));
    }
}

/// Puts a number in groups of seven bits, the lowest first.
fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A column of a row group, as the file's writer takes it.
pub fn chunk(
    pages: Vec<ListPage>,
    form: Form,
    column: ColumnDescPtr,
    codec: Codec,
    compressor: &mut Compressor,
) -> Result<(Bytes, ColumnCloseResult)> {
    let room = pages.iter().map(|page| page.bytes.len() + 64).sum();
    let mut out = TrackedWrite::new(Vec::with_capacity(room));
    let mut writer = SerializedPageWriter::new(&mut out);
    let mut index = OffsetIndexBuilder::new();
    let (mut rows, mut levels, mut compressed, mut uncompressed) = (0, 0, 0, 0);
    let mut metadata = ColumnChunkMetaData::builder(column);
    let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
    if let Some(values) = form.dictionary() {
        let (number, bytes) = ((values.len() / size_of::<u32>()) as u32, values.len());
        let buf = compressor.compress(values)?.into();
        let page = Page::DictionaryPage { buf, num_values: number, encoding: Encoding::PLAIN, is_sorted: true };
        let written = writer.write_page(CompressedPage::new(page, bytes))?;
        compressed += written.compressed_size as i64;
        uncompressed += written.uncompressed_size as i64;
        metadata = metadata.set_dictionary_page_offset(Some(0));
        encodings.push(Encoding::RLE_DICTIONARY);
    }
    let first_page = compressed;
    for page in pages {
        let count = u32::try_from(page.levels)?;
        let data = Page::DataPage {
            buf: page.bytes.into(),
            num_values: count,
            encoding: form.encoding(),
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
    let metadata = metadata
        .set_encodings(encodings)
        .set_compression(codec)
        .set_num_values(levels)
        .set_total_compressed_size(compressed)
        .set_total_uncompressed_size(uncompressed)
        .set_data_page_offset(first_page)
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
