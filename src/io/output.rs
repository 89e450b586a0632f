//! Outputs that appear under their name only when they are complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use arrow_array::RecordBatchReader;
use tempfile::NamedTempFile;

use super::WriteOptions;
use crate::error::{Error, Result};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes everything that `reader` yields to `path`: Parquet if it ends in `.parquet`, an Arrow IPC file if in `.arrow`,
/// an IPC stream on stdout if it is `-`.
///
/// The file appears under its name only when it is complete: it is written beside it, flushed to the disk and renamed.
/// A failed or killed run leaves what was there. A device or pipe is written directly.
///
/// # Errors
/// - [`Error::InvalidOption`] if the name has another ending, or the format does not know the compression.
/// - [`Error::Io`] if the file cannot be written.
/// - Every error that `reader` yields.
pub fn write(path: impl AsRef<Path>, reader: impl RecordBatchReader, options: &WriteOptions) -> Result<Written> {
    prepare(path, reader, options)?.finish()
}

/// As [`write()`], but the file gets its name only with [`Prepared::finish`]: for what else must be done first.
///
/// # Errors
/// As [`write()`].
pub fn prepare(path: impl AsRef<Path>, reader: impl RecordBatchReader, options: &WriteOptions) -> Result<Prepared> {
    let path = path.as_ref();
    let format = OutputFormat::of(path)?;
    format.check(options)?;
    if format == OutputFormat::IpcStream {
        let mut out = Counted { inner: BufWriter::new(io::stdout()), bytes: 0 };
        let rows = format.write(&mut out, path, reader, options)?;
        out.flush().map_err(|e| write_error(path, e))?;
        return Ok(Prepared { rows, bytes: out.bytes, file: None });
    }
    let mut out = OutputFile::create(path)?;
    let rows = format.write(&mut out, path, reader, options)?;
    out.flush().map_err(|e| write_error(path, e))?;
    Ok(Prepared { rows, bytes: out.out.bytes, file: Some(out) })
}

/// An output that is complete but for its name; dropped unfinished, it leaves no trace. (What went to stdout is gone.)
#[derive(Debug)]
pub struct Prepared {
    rows: u64,
    bytes: u64,
    file: Option<OutputFile>,
}

impl Prepared {
    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk does not take it.
    pub fn finish(self) -> Result<Written> {
        if let Some(file) = self.file {
            file.finish()?;
        }
        Ok(Written { rows: self.rows, bytes: self.bytes })
    }
}

/// Whether `path` names an output that [`write()`] can make with `options`; to find out before any work is done.
///
/// # Errors
/// [`Error::InvalidOption`] if not.
pub fn check(path: impl AsRef<Path>, options: &WriteOptions) -> Result<()> {
    OutputFormat::of(path.as_ref())?.check(options)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutputFormat {
    Parquet,
    IpcFile,
    IpcStream,
}

impl OutputFormat {
    fn of(path: &Path) -> Result<Self> {
        let refuse =
            |why: &str| Err(Error::InvalidOption { option: "output", why: format!("{}: {why}", path.display()) });
        let format = match path.extension().and_then(|e| e.to_str()) {
            Some("parquet") => OutputFormat::Parquet,
            Some("arrow") => OutputFormat::IpcFile,
            _ if path.as_os_str() == "-" => OutputFormat::IpcStream,
            _ => return refuse("the name must end in .parquet or .arrow, or be - for an IPC stream on stdout"),
        };
        match format {
            OutputFormat::Parquet if !cfg!(feature = "parquet") => refuse("built without the feature `parquet`"),
            OutputFormat::IpcFile | OutputFormat::IpcStream if !cfg!(feature = "ipc") => {
                refuse("built without the feature `ipc`")
            }
            _ => Ok(format),
        }
    }

    fn check(self, options: &WriteOptions) -> Result<()> {
        use super::Compression::{Gzip, Snappy};
        match (self, options.compression) {
            (OutputFormat::IpcFile | OutputFormat::IpcStream, Some(Gzip | Snappy)) => {
                Err(Error::InvalidOption { option: "compression", why: "Arrow IPC knows zstd and none".to_owned() })
            }
            _ => Ok(()),
        }
    }

    #[cfg_attr(not(any(feature = "parquet", feature = "ipc")), allow(unused_variables, reason = "no format to write"))]
    fn write(
        self,
        out: impl Write + Send,
        path: &Path,
        reader: impl RecordBatchReader,
        options: &WriteOptions,
    ) -> Result<u64> {
        match self {
            #[cfg(feature = "parquet")]
            OutputFormat::Parquet => super::parquet::write(out, path, reader, options),
            #[cfg(feature = "ipc")]
            OutputFormat::IpcFile => super::ipc::write_file(out, path, reader, options),
            #[cfg(feature = "ipc")]
            OutputFormat::IpcStream => super::ipc::write_stream(out, path, reader, options),
            #[cfg(not(all(feature = "parquet", feature = "ipc")))]
            other => Err(Error::Internal(format!("{other:?} is not built in"))),
        }
    }
}

pub(super) fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Io { action: "write", path: path.to_owned(), source }
}

/// A file being written, beside its name; dropped unfinished, it leaves no trace. (A process that is killed leaves a hidden
/// `.NAME.….partial`.)
#[derive(Debug)]
pub struct OutputFile {
    out: Counted<BufWriter<Place>>,
    /// The name it was asked for by.
    path: PathBuf,
    /// The name it is to have: that of the target where `path` is a link.
    target: PathBuf,
}

#[derive(Debug)]
enum Place {
    Beside(NamedTempFile, WriteBack),
    /// What is no regular file cannot be replaced by one.
    Direct(File),
}

impl OutputFile {
    /// Starts a file that is to be called `path`. What is no regular file, such as a device or a pipe, is opened itself.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let target = target_of(path);
        let existing = fs::metadata(&target).ok();
        let place = match &existing {
            Some(there) if there.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Some(there) if !there.is_file() => File::options().write(true).open(&target).map(Place::Direct),
            _ => Self::beside(&target, existing.map(|there| there.permissions()))
                .map(|file| Place::Beside(file, WriteBack::default())),
        };
        let place = place.map_err(|e| write_error(path, e))?;
        let out = Counted { inner: BufWriter::with_capacity(64 << 10, place), bytes: 0 };
        Ok(Self { out, path: path.to_owned(), target })
    }

    fn beside(target: &Path, permissions: Option<fs::Permissions>) -> io::Result<NamedTempFile> {
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(target.file_name().unwrap_or_default());
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".partial");
        // A temporary file is private by default; an output has the permissions of any new file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(without_path)?;
        if let Some(permissions) = permissions {
            fs::set_permissions(file.path(), permissions)?;
        }
        Ok(file)
    }

    /// Makes the file complete and gives it its name; returns its size in bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk does not take it.
    pub fn finish(self) -> Result<u64> {
        let (path, target, bytes) = (self.path, self.target, self.out.bytes);
        let finish = || {
            match self.out.inner.into_inner().map_err(io::IntoInnerError::into_error)? {
                Place::Beside(file, write_back) => {
                    write_back.finish()?;
                    file.as_file().sync_all()?;
                    file.persist(&target).map_err(|e| e.error)?;
                }
                // A device may not know how to sync.
                Place::Direct(mut file) => file.flush()?,
            }
            Ok(bytes)
        };
        finish().map_err(|e| write_error(&path, e))
    }
}

/// The file that a name stands for: where it is a link, what that points to, be it there or not.
fn target_of(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| match fs::read_link(path) {
        Ok(to) => path.parent().unwrap_or(Path::new("")).join(to),
        Err(_) => path.to_owned(),
    })
}

/// The system's own error, without the temporary name that the user never chose.
fn without_path(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|e| e.source()).and_then(|e| e.downcast_ref::<io::Error>());
    inner.and_then(io::Error::raw_os_error).map_or(error, io::Error::from_raw_os_error)
}

/// Whether two names stand for the same file.
pub fn is_same_file(a: impl AsRef<Path>, b: impl AsRef<Path>) -> bool {
    let place = |path: &Path| {
        let target = target_of(path);
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()), target.file_name().map(ToOwned::to_owned))
    };
    place(a.as_ref()) == place(b.as_ref())
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Place {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Place::Beside(file, write_back) => {
                let written = file.write(bytes)?;
                write_back.note(file.as_file(), written);
                Ok(written)
            }
            Place::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Place::Beside(file, _) => file.flush(),
            Place::Direct(file) => file.flush(),
        }
    }
}

/// Has what was written sent to the disk while more is being made, so that the sync at the end finds little to do.
#[derive(Debug, Default)]
struct WriteBack {
    /// Bytes written since the last sync was asked for.
    bytes: usize,
    /// Whom to ask, and whom to wait for. Without one, the sync at the end does it all.
    syncing: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
    tried: bool,
}

impl WriteBack {
    /// Bytes that are worth a sync.
    const WORTH: usize = 16 << 20;

    fn note(&mut self, file: &File, written: usize) {
        self.bytes += written;
        if self.bytes < Self::WORTH {
            return;
        }
        self.bytes = 0;
        if !std::mem::replace(&mut self.tried, true) {
            self.syncing = Self::start(file).ok();
        }
        if let Some((ask, _)) = &self.syncing {
            // If one still waits to be done it will include this.
            let _ = ask.try_send(());
        }
    }

    fn start(file: &File) -> io::Result<(SyncSender<()>, JoinHandle<io::Result<()>>)> {
        let file = file.try_clone()?;
        let (ask, asked) = sync_channel(1);
        let syncing = thread::Builder::new().name("pixelfeat-sync".to_owned());
        Ok((ask, syncing.spawn(move || asked.iter().try_for_each(|()| file.sync_data()))?))
    }

    /// Waits for the syncs that were asked for. A failed write is told of only once, so perhaps here.
    fn finish(self) -> io::Result<()> {
        let Some((ask, syncing)) = self.syncing else { return Ok(()) };
        drop(ask);
        // A panic has synced nothing, which the sync at the end makes up for.
        syncing.join().unwrap_or(Ok(()))
    }
}

#[derive(Debug)]
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_only_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.parquet");
        fs::write(&path, "old").unwrap();
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the unfinished file is gone");
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"newer").unwrap();
        assert_eq!(file.finish().unwrap(), 5);
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_permissions_and_devices_stay_what_they_are() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&target, &link).unwrap();
        let mut file = OutputFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);

        let mut null = OutputFile::create(Path::new("/dev/null")).unwrap();
        null.write_all(b"x").unwrap();
        null.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn names_tell_the_format() {
        assert_eq!(OutputFormat::of(Path::new("-")).ok(), cfg!(feature = "ipc").then_some(OutputFormat::IpcStream));
        let error = check("features.csv", &WriteOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with("output: features.csv: the name must end in"), "{error}");
        let gzip = WriteOptions { compression: Some(super::super::Compression::Gzip) };
        assert!(check("features.arrow", &gzip).is_err());
    }
}
