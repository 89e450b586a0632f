//! The front door of reading: what a file is, and several files as one input.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::ReadOptions;
use crate::defect::DEFECTS_OF;
use crate::error::{Error, Result};
use crate::pipeline::Sources;

pub(super) type Batches = Box<dyn RecordBatchReader + Send>;

/// The name that stdin has in messages.
const STDIN: &str = "stdin";
/// Longer than any magic number, and enough text to see past leading blank space.
const HEAD_BYTES: usize = 512;

/// Opens one input; `-` is stdin.
///
/// # Errors
/// - [`Error::Io`] if it cannot be opened or read.
/// - [`Error::Format`] if it is none of the formats, is damaged, or its format is not built in.
/// - [`Error::Syntax`], [`Error::NoSuchColumn`] if it is JSON and its first lines are not, or have no images.
pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Reader> {
    open_all([path], options)
}

/// Opens several inputs, to be read one after the other as one. Their columns must be the same.
///
/// # Errors
/// As [`open`] for the first; the others are opened when their turn comes. [`Error::InvalidOption`] if there is none.
pub fn open_all<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>, options: &ReadOptions) -> Result<Reader> {
    if options.batch_rows == 0 {
        return Err(Error::InvalidOption { option: "batch size", why: "must be at least 1".to_owned() });
    }
    let mut pending: VecDeque<PathBuf> = paths.into_iter().map(|p| p.as_ref().to_owned()).collect();
    let progress = Progress { read: Arc::default(), total: total_bytes(&pending) };
    let Some(first) = pending.pop_front() else {
        return Err(Error::InvalidOption { option: "input", why: "no file was given".to_owned() });
    };
    let mut current = open_one(&first, options, &progress)?;
    let sources = Sources::default();
    sources.begin(0, name_of(&first));
    let mut schema = current.schema();
    let mut ahead = None;
    if !pending.is_empty() {
        // An input without rows may not know its columns; the first that has some speaks for all.
        ahead = current.next();
        while ahead.is_none()
            && let Some(path) = pending.pop_front()
        {
            current = open_one(&path, options, &progress)?;
            sources.begin(0, name_of(&path));
            schema = current.schema();
            ahead = current.next();
        }
        // Another file may have nulls where that one has none.
        let fields: Vec<_> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    }
    Ok(Reader {
        schema,
        ahead,
        current: Some(current),
        pending,
        options: options.clone(),
        sources,
        rows: 0,
        progress,
        order: None,
    })
}

/// How many bytes of its files a reader has taken in; readable from any thread.
#[derive(Debug, Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    /// Bytes read so far, as they are in the files.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of all files together; `None` where a pipe is among them.
    pub fn bytes_total(&self) -> Option<u64> {
        self.total
    }

    fn add(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The batches of one or several inputs, in order.
pub struct Reader {
    schema: SchemaRef,
    /// A batch of the current input that is already read.
    ahead: Option<Result<RecordBatch, ArrowError>>,
    current: Option<Batches>,
    pending: VecDeque<PathBuf>,
    options: ReadOptions,
    sources: Sources,
    rows: u64,
    progress: Progress,
    /// Where the columns are in the current file, if not where they are in the first.
    order: Option<Vec<usize>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("schema", &self.schema)
            .field("pending", &self.pending)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Tells which file a row came from; for [`StreamOptions::sources`](crate::StreamOptions::sources).
    pub fn sources(&self) -> Sources {
        self.sources.clone()
    }

    /// How far it has read.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(current) = &mut self.current else { return Ok(None) };
            if let Some(batch) = self.ahead.take().or_else(|| current.next()) {
                let mut batch = batch.map_err(Error::from)?;
                if let Some(order) = &self.order {
                    batch = batch.project(order).map_err(Error::from)?;
                }
                self.rows += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
            self.current = None;
            if let Some(path) = self.pending.pop_front() {
                let mut next = open_one(&path, &self.options, &self.progress)?;
                self.ahead = next.next();
                if self.ahead.is_some() {
                    self.order = same_columns(&self.schema, &next.schema(), &path)?;
                }
                self.sources.begin(self.rows, name_of(&path));
                self.current = Some(next);
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance();
        if result.is_err() {
            self.current = None;
            self.pending.clear();
        }
        result.map_err(ArrowError::from).transpose()
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Where the columns of `first` are in `other`, if not at the same places.
fn same_columns(first: &Schema, other: &Schema, path: &Path) -> Result<Option<Vec<usize>>> {
    let type_of = |name: &str| other.column_with_name(name).map(|(at, field)| (at, field.data_type()));
    let places: Option<Vec<usize>> = first
        .fields()
        .iter()
        .map(|field| type_of(field.name()).filter(|(_, data_type)| *data_type == field.data_type()).map(|(at, _)| at))
        .collect();
    match places {
        Some(places) if first.fields().len() == other.fields().len() => Ok((!places.is_sorted()).then_some(places)),
        _ => {
            let listed = |schema: &Schema| -> String {
                let fields = schema.fields().iter().filter(|f| !f.metadata().contains_key(DEFECTS_OF));
                fields.map(|f| format!("{} {}", f.name(), f.data_type())).collect::<Vec<_>>().join(", ")
            };
            let message =
                format!("its columns ({}) are not those of the first input ({})", listed(other), listed(first));
            Err(Error::Format { file: name_of(path), message })
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn name_of(path: &Path) -> String {
    if is_stdin(path) { STDIN.to_owned() } else { path.display().to_string() }
}

fn total_bytes(paths: &VecDeque<PathBuf>) -> Option<u64> {
    paths.iter().map(|path| std::fs::metadata(path).ok().filter(|m| m.is_file()).map(|m| m.len())).sum()
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Json,
    Parquet,
    IpcFile,
    IpcStream,
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
    // Text of any kind is the JSON reader's to judge: it can name the line.
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let is_text = text.starts_with(b"{")
        || text.starts_with(b"[")
        || !text.iter().any(|&byte| byte < b' ' && !byte.is_ascii_whitespace());
    let is_compressed = skippable || COMPRESSED.iter().any(|magic| head.starts_with(magic));
    (is_text || is_compressed).then_some(Format::Json)
}

fn open_one(path: &Path, options: &ReadOptions, progress: &Progress) -> Result<Batches> {
    let name = name_of(path);
    let io_error = |action| {
        let path = PathBuf::from(&name);
        move |source| Error::Io { action, path, source }
    };
    let mut file: Option<File> = None;
    let mut input: Box<dyn Read + Send> = if is_stdin(path) {
        Box::new(io::stdin())
    } else {
        let opened = File::open(path).map_err(io_error("open"))?;
        if opened.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(Error::Format { file: name, message: "is a directory".to_owned() });
        }
        file = Some(opened.try_clone().map_err(io_error("open"))?);
        Box::new(opened)
    };
    let mut head = Vec::new();
    input.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(io_error("read"))?;
    let format = recognise(&head).ok_or_else(|| Error::Format {
        file: name.clone(),
        message: "is neither JSON (plain, gzip or zstd), Parquet nor Arrow IPC".to_owned(),
    })?;
    if matches!(format, Format::Parquet | Format::IpcFile) {
        let Some(file) = file.filter(|f| f.metadata().is_ok_and(|m| m.is_file())) else {
            return Err(Error::Format {
                file: name,
                message: "Parquet and Arrow IPC files cannot be read from a pipe".to_owned(),
            });
        };
        return open_seekable(format, file, name, options, progress);
    }
    let input = Counted { inner: io::Cursor::new(head).chain(input), progress: progress.clone() };
    open_stream(format, Box::new(input), name, options)
}

#[cfg_attr(not(any(feature = "parquet", feature = "ipc")), allow(unused_variables, reason = "no format that seeks"))]
fn open_seekable(
    format: Format,
    file: File,
    name: String,
    options: &ReadOptions,
    progress: &Progress,
) -> Result<Batches> {
    let size = file.metadata().map_or(0, |m| m.len());
    match format {
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let (batches, rows) = super::parquet::open(file, &name, options)?;
            Ok(Box::new(ByRows { batches, progress: progress.clone(), size, rows, done: 0 }))
        }
        #[cfg(feature = "ipc")]
        Format::IpcFile => {
            let batches = super::ipc::open_file(file, &name, options)?;
            progress.add(size);
            Ok(batches)
        }
        _ => Err(not_built_in(format, name)),
    }
}

#[cfg_attr(not(any(feature = "json", feature = "ipc")), allow(unused_variables, reason = "no format that streams"))]
fn open_stream(format: Format, input: Box<dyn Read + Send>, name: String, options: &ReadOptions) -> Result<Batches> {
    match format {
        #[cfg(feature = "json")]
        Format::Json => Ok(Box::new(super::json::open(input, &name, options)?)),
        #[cfg(feature = "ipc")]
        Format::IpcStream => super::ipc::open_stream(input, &name, options),
        _ => Err(not_built_in(format, name)),
    }
}

fn not_built_in(format: Format, file: String) -> Error {
    let (format, feature) = match format {
        Format::Json => ("JSON", "json"),
        Format::Parquet => ("Parquet", "parquet"),
        Format::IpcFile | Format::IpcStream => ("Arrow IPC", "ipc"),
    };
    Error::Format { file, message: format!("{format} is not built in; enable the feature `{feature}`") }
}

/// Counts the bytes that go through it.
struct Counted<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.add(read as u64);
        Ok(read)
    }
}

/// Estimates the bytes read of a file of known size by the rows delivered.
#[cfg(feature = "parquet")]
struct ByRows {
    batches: Batches,
    progress: Progress,
    size: u64,
    rows: u64,
    done: u64,
}

#[cfg(feature = "parquet")]
impl ByRows {
    fn bytes(&self) -> u64 {
        (u128::from(self.size) * u128::from(self.done) / u128::from(self.rows.max(1))) as u64
    }
}

#[cfg(feature = "parquet")]
impl Iterator for ByRows {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?;
        if let Ok(batch) = &batch {
            let before = self.bytes();
            self.done += batch.num_rows() as u64;
            self.progress.add(self.bytes() - before);
        }
        Some(batch)
    }
}

#[cfg(feature = "parquet")]
impl RecordBatchReader for ByRows {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }
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
        assert!(recognise(b"\x89PNG\r\n\x1a\n\0\0").is_none());
    }
}
