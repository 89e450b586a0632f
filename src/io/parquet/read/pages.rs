//! Where the pages of a column chunk are and how much each holds, found by reading only their headers.

use parquet::file::metadata::ColumnChunkMetaData;

use super::Irregular;
use super::shared_file::SharedFile;

/// How many bytes are read to find a header. The first number is enough for most; headers with long statistics need more.
const HEADER_BYTES: [usize; 4] = [256, 4 << 10, 64 << 10, 1 << 20];
/// The maximum size of a page. Larger ones are left to the Arrow reader: such a size is unusual or wrong.
const MAX_PAGE_BYTES: i32 = 64 << 20;

/// A data page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageInfo {
    /// Where its header begins.
    pub offset: u64,
    /// Header and data, as in the file.
    pub bytes: i32,
    /// The bytes of its data, decompressed, as the header tells; not more than [`MAX_PAGE_BYTES`].
    pub size: usize,
    /// The number of levels, which is that of values if nothing is null.
    pub levels: usize,
    /// The number of rows, if the header tells; it does in version 2.
    pub rows: Option<usize>,
    /// Whether the page holds values, not indices of values in the dictionary.
    pub plain: bool,
}

/// The pages of a column chunk.
#[derive(Debug, Default)]
pub struct Pages {
    /// Whether there is a dictionary page before the first of them.
    pub dictionary: bool,
    pub data: Vec<PageInfo>,
}

/// Finds the pages by going from header to header.
pub fn find(file: &SharedFile, chunk: &ColumnChunkMetaData) -> Result<Pages, Irregular> {
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let start = u64::try_from(start).map_err(|_| Irregular)?;
    let length = u64::try_from(chunk.compressed_size()).map_err(|_| Irregular)?;
    let end = start.checked_add(length).filter(|&end| end <= file.length).ok_or(Irregular)?;
    let mut pages = Pages::default();
    let mut at = start;
    while at < end {
        let header = read_header(file, at, end)?;
        let bytes = i32::try_from(header.length).ok().and_then(|length| length.checked_add(header.compressed));
        let bytes = bytes.filter(|&bytes| bytes as u64 <= end - at).ok_or(Irregular)?;
        match header.kind {
            PageKind::Dictionary if at == start => pages.dictionary = true,
            PageKind::Data { levels, rows, plain } => {
                pages.data.push(PageInfo { offset: at, bytes, size: header.size, levels, rows, plain })
            }
            _ => return Err(Irregular),
        }
        at += bytes as u64;
    }
    // Other readers start where the chunk's metadata says, so it must agree on whether there is a dictionary.
    if pages.data.is_empty() || pages.dictionary != (pages.data[0].offset != start) {
        return Err(Irregular);
    }
    Ok(pages)
}

#[derive(Debug, PartialEq, Eq)]
enum PageKind {
    Dictionary,
    Data { levels: usize, rows: Option<usize>, plain: bool },
}

#[derive(Debug, PartialEq, Eq)]
struct PageHeader {
    kind: PageKind,
    /// Of the data behind it.
    compressed: i32,
    /// Of this data, decompressed.
    size: usize,
    /// Of itself.
    length: usize,
}

fn read_header(file: &SharedFile, at: u64, end: u64) -> Result<PageHeader, Irregular> {
    let mut buffer = Vec::new();
    for max in HEADER_BYTES {
        let length = usize::try_from(end - at).unwrap_or(max).min(max);
        buffer.resize(length, 0);
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut buffer[filled..], at + filled as u64) {
                Ok(0) | Err(_) => return Err(Irregular),
                Ok(read) => filled += read,
            }
        }
        if let Some(header) = parse(&buffer) {
            return Ok(header);
        }
        if length < max {
            break;
        }
    }
    Err(Irregular)
}

/// Reads a page header; `None` if it is none, or goes on beyond `bytes`.
fn parse(bytes: &[u8]) -> Option<PageHeader> {
    let mut thrift = Thrift { bytes };
    let (mut page_type, mut size, mut compressed) = (None, None, None);
    let (mut levels, mut rows, mut encoding) = (None, None, None);
    thrift.fields(|thrift, id, kind| match (id, kind) {
        (1, Thrift::I32) => thrift.i32().map(|v| page_type = Some(v)),
        (2, Thrift::I32) => thrift.i32().map(|v| size = Some(v)),
        (3, Thrift::I32) => thrift.i32().map(|v| compressed = Some(v)),
        // The headers of data pages of version 1 and 2.
        (5 | 8, Thrift::STRUCT) => thrift.fields(|thrift, inner, kind| match (inner, kind) {
            (1, Thrift::I32) => thrift.i32().map(|v| levels = Some(v)),
            (3, Thrift::I32) if id == 8 => thrift.i32().map(|v| rows = Some(v)),
            (2, Thrift::I32) if id == 5 => thrift.i32().map(|v| encoding = Some(v)),
            (4, Thrift::I32) if id == 8 => thrift.i32().map(|v| encoding = Some(v)),
            _ => thrift.skip(kind, 0),
        }),
        _ => thrift.skip(kind, 0),
    })?;
    let count = |value: Option<i32>| usize::try_from(value?).ok();
    let plain = encoding == Some(0);
    let kind = match page_type? {
        0 => PageKind::Data { levels: count(levels)?, rows: None, plain },
        2 => PageKind::Dictionary,
        3 => PageKind::Data { levels: count(levels)?, rows: Some(count(rows)?), plain },
        _ => return None,
    };
    let compressed = compressed.filter(|&size| size >= 0)?;
    let size = size.filter(|size| (0..=MAX_PAGE_BYTES).contains(size))? as usize;
    Some(PageHeader { kind, compressed, size, length: bytes.len() - thrift.bytes.len() })
}

/// Thrift's compact protocol, as far as it takes to find numbers in structs.
struct Thrift<'a> {
    bytes: &'a [u8],
}

impl Thrift<'_> {
    const I32: u8 = 5;
    const STRUCT: u8 = 12;
    /// Page headers nest three deep.
    const DEEPEST: usize = 8;

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn i32(&mut self) -> Option<i32> {
        let zigzag = self.varint()?;
        i32::try_from((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)).ok()
    }

    fn advance(&mut self, length: usize) -> Option<()> {
        self.bytes = self.bytes.get(length..)?;
        Some(())
    }

    /// Calls `visit` with the number and type of each field of a struct; it has to consume the value.
    fn fields(&mut self, mut visit: impl FnMut(&mut Self, i32, u8) -> Option<()>) -> Option<()> {
        let mut id = 0i32;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Some(());
            }
            id = match byte >> 4 {
                0 => self.i32()?,
                delta => id.checked_add(i32::from(delta))?,
            };
            visit(self, id, byte & 0x0f)?;
        }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            // Booleans are in the type.
            1 | 2 => Some(()),
            3 => self.advance(1),
            4..=6 => self.varint().map(drop),
            7 => self.advance(8),
            8 => {
                let length = self.varint()?;
                self.advance(usize::try_from(length).ok()?)
            }
            Self::STRUCT if depth < Self::DEEPEST => self.fields(|thrift, _, kind| thrift.skip(kind, depth + 1)),
            // Page headers have no lists and no maps.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of a version 1 page as PyArrow writes it, with statistics, then data.
    const V1: [u8; 34] = [
        0x15, 0x00, 0x15, 0x80, 0x10, 0x15, 0xc8, 0x01, 0x2c, 0x15, 0xa0, 0x06, 0x15, 0x10, 0x15, 0x06, 0x15, 0x06,
        0x1c, 0x36, 0x00, 0x28, 0x04, 1, 0, 0, 0, 0x18, 0x02, 0, 0, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn headers_are_read_past_what_they_also_say() {
        let mut bytes = V1.to_vec();
        bytes.extend([7; 100]);
        let kind = PageKind::Data { levels: 400, rows: None, plain: false };
        assert_eq!(parse(&bytes), Some(PageHeader { kind, compressed: 100, size: 1024, length: 34 }));
        for cut in 0..V1.len() {
            assert_eq!(parse(&V1[..cut]), None);
        }
    }

    #[test]
    fn version_2_tells_the_rows() {
        let bytes = [
            0x15, 0x06, 0x15, 0x10, 0x15, 0x10, 0x5c, 0x15, 0x14, 0x15, 0x00, 0x15, 0x04, 0x15, 0x00, 0x15, 0x02, 0x15,
            0x02, 0x11, 0x00, 0x00,
        ];
        let kind = PageKind::Data { levels: 10, rows: Some(2), plain: true };
        assert_eq!(parse(&bytes), Some(PageHeader { kind, compressed: 8, size: 8, length: bytes.len() }));
    }

    #[test]
    fn lies_are_none() {
        // A page of 2 GiB, a negative size, structs without an end.
        for bytes in [
            &[0x15, 0x00, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0x02, 0x2c, 0x15, 0x02, 0x00, 0x00][..],
            &[0x15, 0x00, 0x15, 0x02, 0x15, 0x01, 0x2c, 0x15, 0x02, 0x00, 0x00],
            &[0x1c; 100],
            &[0xff; 40],
        ] {
            assert_eq!(parse(bytes), None);
        }
    }
}
