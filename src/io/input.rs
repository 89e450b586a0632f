//! Opens one input with the reader of its format, which its first bytes tell.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::batches::Batches;
use super::formats::{self, ByteStream, HEAD_BYTES, Open, RegularFile};
use super::options::ReadOptions;
use super::paths::InputSource;
use super::progress::{CountedReader, Progress};
use super::{images, paths};
use crate::base::error::{Error, Result};
use crate::base::text::listed;

/// Opens a source.
pub fn open(source: InputSource, options: &ReadOptions, progress: &Progress) -> Result<Batches> {
    let name = paths::name_of(&source);
    match source {
        InputSource::Stream(bytes, _) => open_bytes(bytes, None, &name, options, progress),
        InputSource::File(path) => {
            let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
            let again = file.try_clone().map_err(|e| Error::io("open", &path, e))?;
            let regular = again.metadata().is_ok_and(|m| m.is_file()).then_some((again, &*path));
            open_bytes(Box::new(file), regular, &name, options, progress)
        }
        InputSource::Images(files) => images::open(files, options, progress),
    }
}

/// Opens a stream of bytes. `file` is the same input where it is a regular file.
fn open_bytes(
    mut bytes: Box<dyn Read + Send>,
    file: Option<(File, &Path)>,
    name: &str,
    options: &ReadOptions,
    progress: &Progress,
) -> Result<Batches> {
    let mut head = Vec::new();
    bytes.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|e| Error::io("read", name, e))?;
    let (format, reading) = formats::recognise(&head).ok_or_else(|| {
        let known = listed(formats::readable().map(|(format, _)| format.name), "or");
        Error::format(name, format!("is in no format that can be read: {known}"))
    })?;
    let not_built_in = || Error::format(name, format.not_built_in());
    match (&reading.open, file) {
        (Open::Stream(open), file) => {
            let open = open.ok_or_else(not_built_in)?;
            let bytes = Box::new(CountedReader::new(io::Cursor::new(head).chain(bytes), progress.clone()));
            open(ByteStream { bytes, path: file.map(|(_, path)| path), name }, options)
        }
        (Open::File(open), Some((file, path))) => {
            let open = open.ok_or_else(not_built_in)?;
            let size = file.metadata().map_or(0, |m| m.len());
            open(RegularFile { file, path, name, size }, options, progress)
        }
        (Open::File(_), None) => {
            let streams = formats::readable().filter(|(_, reading)| matches!(reading.open, Open::Stream(_)));
            let streams = listed(streams.map(|(format, _)| format.name), "and");
            let message = format!("the format {} needs a regular file; a pipe can carry {streams}", format.name);
            Err(Error::format(name, message))
        }
    }
}
