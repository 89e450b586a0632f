//! Pages, decompressed and taken apart.

use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::Irregular;
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

/// As [`page_reader`], after the dictionary.
pub fn data_page_reader(
    context: &FileContext,
    chunk: &ColumnChunkMetaData,
    pages: &[PageInfo],
) -> Result<SerializedPageReader<SharedFile>, Irregular> {
    let mut reader = page_reader(context, chunk, pages)?;
    // The reader takes what lies before the first page for a dictionary.
    if reader.peek_next_page().map_err(|_| Irregular)?.is_some_and(|page| page.is_dict) {
        reader.skip_next_page().map_err(|_| Irregular)?;
    }
    Ok(reader)
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

/// The parts of a page of a column that has repetition levels (`repeated`) and definition levels (`defined`).
pub fn split(page: &Page, levels: usize, repeated: bool, defined: bool) -> Result<PageParts<'_>, Irregular> {
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
            Ok(PageParts { repetition, definition, encoding: *encoding, values })
        }
        Page::DataPageV2 { buf, encoding, def_levels_byte_len, rep_levels_byte_len, .. } => {
            let (repetition, rest) = buf.split_at_checked(*rep_levels_byte_len as usize).ok_or(Irregular)?;
            let (definition, values) = rest.split_at_checked(*def_levels_byte_len as usize).ok_or(Irregular)?;
            Ok(PageParts { repetition, definition, encoding: *encoding, values })
        }
        Page::DictionaryPage { .. } => Err(Irregular),
    }
}

/// Levels that follow their length, and the bytes after them.
fn prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), Irregular> {
    let (length, rest) = bytes.split_first_chunk().ok_or(Irregular)?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(Irregular)
}
