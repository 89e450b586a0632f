//! Opens one input with the reader of its format, which its first bytes tell, or reads its footer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::batches::Batches;
use super::formats::{self, ByteStream, HEAD_BYTES, Open, RegularFile};
use super::live::{self, LiveReader, PauseSwitch};
use super::options::ReadOptions;
use super::paths::{InputSource, resolve};
use super::progress::{CountedReader, Progress};
use super::{images, paths};
use crate::base::error::{Error, Result};
use crate::base::text::listed;
use crate::base::warnings::Warnings;

/// Opens a source.
pub fn open(source: InputSource, options: &ReadOptions, progress: &Progress, warnings: &Warnings) -> Result<Batches> {
    let name = paths::name_of(&source);
    let opened = Opened { name: &name, options, progress, warnings };
    match source {
        InputSource::Stream(bytes, _) => opened.live(bytes),
        InputSource::File(path) => {
            let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
            let again = file.try_clone().map_err(|e| Error::io("open", &path, e))?;
            match again.metadata().is_ok_and(|about| about.is_file()) {
                true => opened.bytes(Box::new(file), Some((again, &path)), None),
                false => opened.live(Box::new(file)),
            }
        }
        InputSource::Images(files) => images::open(files, options, progress),
    }
}

/// Reads the key-value pairs in the footer of a file: the key-value metadata of a Parquet file, or the custom metadata in the
/// footer of an Arrow IPC file. Of a folder it reads the first file of rows, by name. A file of another format, a stream and
/// an image have none.
///
/// # Errors
/// - [`Error::Io`] if the file cannot be opened or read.
/// - [`Error::Format`] if it is damaged, or its format is not built in; if a folder has no files of a known format.
pub fn read_footer(path: impl AsRef<Path>) -> Result<BTreeMap<String, String>> {
    let Some(InputSource::File(path)) = resolve([path.as_ref().to_owned()])?.into_iter().next() else {
        return Ok(BTreeMap::new());
    };
    let failed = |e| Error::io("read", &path, e);
    // Opening a pipe would wait for somebody to write into it.
    let about = fs::metadata(&path).map_err(|e| Error::io("open", &path, e))?;
    if !about.is_file() {
        return Ok(BTreeMap::new());
    }
    let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
    let mut bytes = file.try_clone().map_err(failed)?;
    let head = live::head(&mut bytes, HEAD_BYTES, |_| true).map_err(failed)?;
    let name = path.display().to_string();
    match formats::recognise(&head).and_then(|(format, reading)| Some((format, reading.footer.as_ref()?))) {
        Some((_, Some(read))) => read(RegularFile { file, path: &path, name: &name, size: about.len() }),
        Some((format, None)) => Err(Error::format(&name, format.not_built_in())),
        None => Ok(BTreeMap::new()),
    }
}

/// An input that is being opened.
struct Opened<'a> {
    name: &'a str,
    options: &'a ReadOptions,
    progress: &'a Progress,
    warnings: &'a Warnings,
}

impl Opened<'_> {
    /// Opens a stream whose bytes may arrive at any time.
    fn live(&self, bytes: Box<dyn Read + Send>) -> Result<Batches> {
        let live = LiveReader::new(bytes, self.options.max_delay, self.options.stop.clone());
        let live = live.map_err(|e| Error::io("start a thread for", self.name, e))?;
        let pauses = live.pauses();
        self.bytes(Box::new(live), None, Some(pauses))
    }

    /// Opens a stream of bytes. `file` is the same input where it is a regular file, `pauses` the switch of its pauses where
    /// it is not.
    fn bytes(
        &self,
        mut bytes: Box<dyn Read + Send>,
        file: Option<(File, &Path)>,
        pauses: Option<PauseSwitch>,
    ) -> Result<Batches> {
        let &Self { name, options, progress, warnings } = self;
        let enough = |head: &[u8]| formats::recognise(head).is_some();
        let head = live::head(&mut bytes, HEAD_BYTES, enough).map_err(|e| Error::io("read", name, e))?;
        let (format, reading) = formats::recognise(&head).ok_or_else(|| {
            let known = listed(formats::readable().map(|(format, _)| format.name), "or");
            Error::format(name, format!("is in no format that can be read: {known}"))
        })?;
        if let Some(pauses) = pauses {
            if reading.notices_pauses { pauses.again() } else { pauses.off() }
        }
        let not_built_in = || Error::format(name, format.not_built_in());
        match (&reading.open, file) {
            (Open::Stream(open), file) => {
                let open = open.ok_or_else(not_built_in)?;
                let bytes = Box::new(CountedReader::new(io::Cursor::new(head).chain(bytes), progress.clone()));
                open(ByteStream { bytes, warnings, path: file.map(|(_, path)| path), name }, options)
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
}
