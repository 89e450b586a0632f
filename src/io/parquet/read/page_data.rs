//! Pages, decompressed and taken apart.

use std::slice;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::Irregular;
use super::buffers::PooledBuffer;
use super::context::FileContext;
use super::pages::PageInfo;
use super::shared_file::SharedFile;

/// A reader of the dictionary of a chunk, if it has one, and of these of its pages.
pub fn page_reader(
    context: &FileContext,
    chunk: &ColumnChunkMetaData,
    pages: &[PageInfo],
) -> Result<SerializedPageReader<SharedFile>, Irregular> {
    let locations = locations(pages.iter().map(|page| (page, 0)));
    SerializedPageReader::new(Arc::new(context.file.clone()), chunk, 0, Some(locations)).map_err(|_| Irregular)
}

/// The data pages of a chunk, one after the other, decompressed into one buffer. parquet's own reader fills a new one with
/// zeros for each page before it decompresses into it.
pub struct DataPages<'a> {
    reader: SerializedPageReader<SharedFile>,
    pages: slice::Iter<'a, PageInfo>,
    /// What decompresses, and into what; `None` if the reader decompresses, or there is nothing to decompress.
    decompressor: Option<(Decompressor, PooledBuffer)>,
    page: Option<Page>,
}

enum Decompressor {
    Snappy(snap::raw::Decoder),
    Zstd(Box<zstd::bulk::Decompressor<'static>>),
}

impl Decompressor {
    /// Fills all of `out`.
    fn run(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<(), Irregular> {
        let filled = match self {
            // Both write nothing beyond the end of `out`.
            Decompressor::Snappy(decoder) => decoder.decompress(bytes, out).map_err(|_| Irregular)?,
            Decompressor::Zstd(decoder) => decoder.decompress_to_buffer(bytes, out).map_err(|_| Irregular)?,
        };
        if filled == out.len() { Ok(()) } else { Err(Irregular) }
    }
}

impl<'a> DataPages<'a> {
    pub fn new(context: &FileContext, chunk: &ColumnChunkMetaData, pages: &'a [PageInfo]) -> Result<Self, Irregular> {
        let decompressor = match chunk.compression() {
            Compression::SNAPPY => Some(Decompressor::Snappy(snap::raw::Decoder::new())),
            Compression::ZSTD(_) => {
                let decoder = zstd::bulk::Decompressor::new().map_err(|_| Irregular)?;
                Some(Decompressor::Zstd(Box::new(decoder)))
            }
            _ => None,
        };
        let mut reader = match &decompressor {
            // The reader does not decompress a chunk that is marked as uncompressed.
            Some(_) => {
                let raw = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build();
                page_reader(context, &raw.map_err(|_| Irregular)?, pages)?
            }
            None => page_reader(context, chunk, pages)?,
        };
        // The reader takes what lies before the first page for a dictionary.
        if reader.peek_next_page().map_err(|_| Irregular)?.is_some_and(|page| page.is_dict) {
            reader.skip_next_page().map_err(|_| Irregular)?;
        }
        let largest = pages.iter().map(|page| page.size).max().unwrap_or(0);
        let decompressor = decompressor.map(|decompressor| (decompressor, context.pages.take(largest)));
        Ok(Self { reader, pages: pages.iter(), decompressor, page: None })
    }

    /// The next page of a column that has repetition levels (`repeated`) and definition levels (`defined`), or not.
    pub fn next(&mut self, repeated: bool, defined: bool) -> Result<(&'a PageInfo, PageParts<'_>), Irregular> {
        let info = self.pages.next().ok_or(Irregular)?;
        let page = self.page.insert(self.reader.get_next_page().map_err(|_| Irregular)?.ok_or(Irregular)?);
        if page.num_values() as usize != info.levels {
            return Err(Irregular);
        }
        let decompressor = self.decompressor.as_mut();
        let parts = match page {
            Page::DataPage { buf, encoding, def_level_encoding, rep_level_encoding, .. } => {
                if (*def_level_encoding, *rep_level_encoding) != (Encoding::RLE, Encoding::RLE) {
                    return Err(Irregular);
                }
                let bytes = decompressed(decompressor, buf, info.size)?;
                let (repetition, rest) = if repeated { prefixed(bytes)? } else { (&[][..], bytes) };
                let (definition, values) = if defined { prefixed(rest)? } else { (&[][..], rest) };
                PageParts { repetition, definition, encoding: *encoding, values }
            }
            Page::DataPageV2 { buf, encoding, def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
                let (repetition, rest) = buf.split_at_checked(*rep_levels_byte_len as usize).ok_or(Irregular)?;
                let (definition, values) = rest.split_at_checked(*def_levels_byte_len as usize).ok_or(Irregular)?;
                let size = info.size.checked_sub(repetition.len() + definition.len()).ok_or(Irregular)?;
                let values = decompressed(decompressor.filter(|_| *is_compressed), values, size)?;
                PageParts { repetition, definition, encoding: *encoding, values }
            }
            Page::DictionaryPage { .. } => return Err(Irregular),
        };
        Ok((info, parts))
    }
}

/// `bytes`, or what a decompressor makes of them: so many bytes as the page's header tells.
fn decompressed<'a>(
    decompressor: Option<&'a mut (Decompressor, PooledBuffer)>,
    bytes: &'a [u8],
    size: usize,
) -> Result<&'a [u8], Irregular> {
    let Some((decompressor, into)) = decompressor else { return Ok(bytes) };
    let out = into.buffer.as_slice_mut().get_mut(..size).ok_or(Irregular)?;
    // Some writers leave nothing where there is nothing to compress.
    if size > 0 {
        decompressor.run(bytes, out)?;
    }
    Ok(out)
}

/// Where pages are, each with its first row, as Parquet's index has it.
pub fn locations<'a>(pages: impl Iterator<Item = (&'a PageInfo, usize)>) -> Vec<PageLocation> {
    pages
        .map(|(page, first_row)| PageLocation {
            offset: page.offset as i64,
            compressed_page_size: page.bytes,
            first_row_index: first_row as i64,
        })
        .collect()
}

/// What is in a data page. Levels that the column does not have are empty.
pub struct PageParts<'a> {
    pub repetition: &'a [u8],
    pub definition: &'a [u8],
    pub encoding: Encoding,
    pub values: &'a [u8],
}

/// Levels that follow their length, and the bytes after them.
fn prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), Irregular> {
    let (length, rest) = bytes.split_first_chunk().ok_or(Irregular)?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(Irregular)
}
