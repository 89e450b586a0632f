//! The front door of reading: what a file is by its first bytes, and the reader that knows it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::batches::Batches;
use super::images;
use super::options::ReadOptions;
use super::paths::Source;
use super::progress::{Counted, Progress};
use crate::base::error::{Error, Result};

/// The name that stdin has in messages.
pub const STDIN: &str = "stdin";
/// Longer than any magic number, and enough text to see past leading blank space.
const HEAD_BYTES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Json,
    Parquet,
    IpcFile,
    IpcStream,
    /// IDX or NPY, plain or gzip.
    Array,
    Npz,
    Image,
}

/// What an input is by its first bytes; `None` if it is none of the formats.
fn recognise(head: &[u8]) -> Option<Format> {
    const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];
    // A zstd file may begin with a frame to be skipped, of one of sixteen kinds.
    let skippable = matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if head.starts_with(b"PAR1") {
        return Some(Format::Parquet);
    }
    if head.starts_with(b"ARROW1") {
        return Some(Format::IpcFile);
    }
    if head.starts_with(&[0xff; 4]) {
        return Some(Format::IpcStream);
    }
    // The second is what an archive without members begins with.
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(Format::Npz);
    }
    #[cfg(feature = "arrays")]
    let is_packed_array = super::arrays::is_packed_array(head);
    #[cfg(not(feature = "arrays"))]
    let is_packed_array = false;
    if is_array(head) || is_packed_array {
        return Some(Format::Array);
    }
    if images::is_image(head) {
        return Some(Format::Image);
    }
    // Text of any kind is the JSON reader's to judge: it can name the line.
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let is_text = text.starts_with(b"{")
        || text.starts_with(b"[")
        || !text.iter().any(|&byte| byte < b' ' && !byte.is_ascii_whitespace());
    let is_compressed = skippable || COMPRESSED.iter().any(|magic| head.starts_with(magic));
    (is_text || is_compressed).then_some(Format::Json)
}

/// Whether bytes begin as an NPY or IDX file does: the latter with two zeros, a type and 1 to 4 dimensions.
pub fn is_array(head: &[u8]) -> bool {
    head.starts_with(b"\x93NUMPY") || matches!(head, [0, 0, 0x08 | 0x09 | 0x0b..=0x0e, 1..=4, ..])
}

/// Opens a source.
pub fn open(source: &Source, options: &ReadOptions, progress: &Progress) -> Result<Batches> {
    match source {
        Source::Stdin => open_input(Box::new(io::stdin()), None, STDIN.to_owned(), options, progress),
        Source::File(path) => {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
            let again = file.try_clone().map_err(|e| Error::io("open", path, e))?;
            let regular = again.metadata().is_ok_and(|m| m.is_file()).then_some((again, &**path));
            open_input(Box::new(file), regular, name, options, progress)
        }
        Source::Images(files) => images::open(files.clone(), options, progress),
    }
}

/// Opens a stream of bytes, which may be a regular file.
fn open_input(
    mut input: Box<dyn Read + Send>,
    file: Option<(File, &Path)>,
    name: String,
    options: &ReadOptions,
    progress: &Progress,
) -> Result<Batches> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|e| Error::io("read", &name, e))?;
    let format = recognise(&head).ok_or_else(|| {
        let message = "is neither JSON (plain, gzip or zstd), Parquet, Arrow IPC, IDX, NPY, NPZ nor an image";
        Error::format(&name, message)
    })?;
    match (format, file) {
        (Format::Parquet | Format::IpcFile | Format::Npz | Format::Image, Some((file, path))) => {
            open_seekable(format, file, path, name, options, progress)
        }
        (Format::Json | Format::IpcStream | Format::Array, file) => {
            let input = Counted::new(io::Cursor::new(head).chain(input), progress.clone());
            open_stream(format, Box::new(input), file, name, options)
        }
        (_, None) => {
            let message = "of all formats only JSON, Arrow IPC streams, IDX and NPY can be read from a pipe";
            Err(Error::format(name, message))
        }
    }
}

#[cfg_attr(
    not(any(feature = "parquet", feature = "ipc", feature = "arrays")),
    allow(unused_variables, reason = "no format that seeks")
)]
fn open_seekable(
    format: Format,
    file: File,
    path: &Path,
    name: String,
    options: &ReadOptions,
    progress: &Progress,
) -> Result<Batches> {
    let size = file.metadata().map_or(0, |m| m.len());
    match format {
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let (batches, rows) = super::parquet::open(file, &name, options)?;
            Ok(super::progress::by_rows(batches, progress.clone(), size, rows))
        }
        #[cfg(feature = "ipc")]
        Format::IpcFile => {
            let batches = super::ipc::open_file(file, &name, options)?;
            progress.add(size);
            Ok(batches)
        }
        #[cfg(feature = "arrays")]
        Format::Npz => {
            let (batches, rows) = super::arrays::open_npz(file, path, &name, options)?;
            Ok(super::progress::by_rows(batches, progress.clone(), size, rows))
        }
        Format::Image => images::open(vec![PathBuf::from(path)], options, progress),
        _ => Err(not_built_in(format, name)),
    }
}

#[cfg_attr(not(feature = "arrays"), allow(unused_variables, reason = "only arrays need all of it"))]
fn open_stream(
    format: Format,
    input: Box<dyn Read + Send>,
    file: Option<(File, &Path)>,
    name: String,
    options: &ReadOptions,
) -> Result<Batches> {
    match format {
        #[cfg(feature = "json")]
        Format::Json => Ok(Box::new(super::json::open(input, &name, options)?)),
        #[cfg(feature = "ipc")]
        Format::IpcStream => super::ipc::open_stream(input, &name, options),
        #[cfg(feature = "arrays")]
        Format::Array => super::arrays::open(input, file.map(|(_, path)| path), &name, options),
        _ => Err(not_built_in(format, name)),
    }
}

fn not_built_in(format: Format, file: String) -> Error {
    let (format, feature) = match format {
        Format::Json => ("JSON", "json"),
        Format::Parquet => ("Parquet", "parquet"),
        Format::IpcFile | Format::IpcStream => ("Arrow IPC", "ipc"),
        Format::Array | Format::Npz => ("the reader of IDX, NPY and NPZ", "arrays"),
        Format::Image => return Error::Internal("image files need no feature".to_owned()),
    };
    Error::format(file, format!("{format} is not built in; enable the feature `{feature}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert!(recognise(b"PAR1....") == Some(Format::Parquet));
        assert!(recognise(b"ARROW1\0\0") == Some(Format::IpcFile));
        assert!(recognise(&[0xff, 0xff, 0xff, 0xff, 0x10]) == Some(Format::IpcStream));
        for text in [&b"{\"a\": 1}\n"[..], b"\xef\xbb\xbf [", b"", b"not json", &[0x1f, 0x8b, 8, 0]] {
            assert!(recognise(text) == Some(Format::Json));
        }
        assert!(recognise(b"\x93NUMPY\x01\0v\0") == Some(Format::Array));
        assert!(recognise(b"\0\0\x08\x03\0\0\0\x0a") == Some(Format::Array));
        assert!(recognise(b"PK\x03\x04") == Some(Format::Npz));
        assert!(recognise(b"\x89PNG\r\n\x1a\n\0\0") == Some(Format::Image));
        for nothing in [&b"\x7fELF\x02\x01"[..], b"\0\0\x08\x05\0", b"GIF89a\x10\0"] {
            assert!(recognise(nothing).is_none());
        }
    }
}
