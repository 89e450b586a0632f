//! Files and folders that appear under their names only when they are complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
#[cfg(feature = "arrays")]
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use super::write_back::WriteBack;
use crate::base::error::{Error, Result};

/// A file that is written under a temporary name in the same folder. If it is dropped before [`OutputFile::finish`], it is
/// removed. (A process that is killed leaves a hidden `.NAME.….partial`.)
#[derive(Debug)]
pub struct OutputFile {
    out: CountedWriter<BufWriter<Destination>>,
    /// The name that the caller gave.
    path: PathBuf,
    /// The final name: that of the target if `path` is a link.
    target: PathBuf,
}

#[derive(Debug)]
enum Destination {
    Beside(NamedTempFile, WriteBack),
    /// A device or pipe, which cannot be replaced by a regular file.
    Direct(File),
}

impl OutputFile {
    /// Starts a file whose final name is `path`. A device or a pipe is opened and written directly.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let target = target_of(path);
        let existing = fs::metadata(&target).ok();
        let place = match &existing {
            Some(there) if there.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Some(there) if !there.is_file() => File::options().write(true).open(&target).map(Destination::Direct),
            _ => Self::beside(&target, existing.map(|there| there.permissions()))
                .map(|file| Destination::Beside(file, WriteBack::default())),
        };
        let place = place.map_err(|e| Error::io("write", path, e))?;
        let out = CountedWriter::new(BufWriter::with_capacity(64 << 10, place));
        Ok(Self { out, path: path.to_owned(), target })
    }

    fn beside(target: &Path, permissions: Option<fs::Permissions>) -> io::Result<NamedTempFile> {
        let (folder, prefix) = (folder_of(target), hidden_prefix(target));
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

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.out.bytes
    }

    /// The name that the file is to have, and where all bytes written so far are; `None` if it is a device or a pipe.
    #[cfg(feature = "lineage")]
    pub(super) fn so_far(&mut self) -> Result<Option<(&Path, &Path)>> {
        self.out.flush().map_err(|e| Error::io("write", &self.path, e))?;
        Ok(match self.out.inner.get_ref() {
            Destination::Beside(file, _) => Some((&self.path, file.path())),
            Destination::Direct(_) => None,
        })
    }

    /// Overwrites the first bytes, for a format whose start contains what is known only at its end.
    #[cfg(feature = "arrays")]
    pub(super) fn replace_start(&mut self, bytes: &[u8]) -> Result<()> {
        let out = &mut self.out.inner;
        let replaced = out.flush().and_then(|()| match out.get_mut() {
            Destination::Beside(file, _) => file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(bytes)),
            Destination::Direct(file) => file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(bytes)),
        });
        replaced.map_err(|e| Error::io("write", &self.path, e))
    }

    /// Waits until what was written is on the disk. [`OutputFile::finish`] does so as well, and has less to wait for then.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk does not take it.
    pub fn sync(&mut self) -> Result<()> {
        let out = &mut self.out.inner;
        let synced = out.flush().and_then(|()| match out.get_ref() {
            Destination::Beside(file, _) => file.as_file().sync_all(),
            Destination::Direct(_) => Ok(()),
        });
        synced.map_err(|e| Error::io("write", &self.path, e))
    }

    /// Completes the file and gives it its name; returns its size in bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk does not take it.
    pub fn finish(self) -> Result<u64> {
        let (path, target, bytes) = (self.path, self.target, self.out.bytes);
        let finish = || {
            match self.out.inner.into_inner().map_err(io::IntoInnerError::into_error)? {
                Destination::Beside(file, write_back) => {
                    write_back.finish()?;
                    file.as_file().sync_all()?;
                    file.persist(&target).map_err(|e| e.error)?;
                }
                // A device may not know how to sync.
                Destination::Direct(mut file) => file.flush()?,
            }
            Ok(bytes)
        };
        finish().map_err(|e| Error::io("write", &path, e))
    }
}

/// A folder that is written under a temporary name beside its own. If it is dropped before it is finished, it is removed.
#[derive(Debug)]
pub struct OutputFolder {
    folder: TempDir,
    path: PathBuf,
    target: PathBuf,
}

#[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only Parquet is written as folders"))]
impl OutputFolder {
    /// Starts a folder whose final name is `path`. What exists there already must be a folder, and empty or one that
    /// `may_replace` accepts.
    ///
    /// # Errors
    /// [`Error::Io`] if something else is there, or the folder cannot be created.
    pub fn create(path: &Path, may_replace: impl Fn(&Path) -> io::Result<bool>) -> Result<Self> {
        let target = target_of(path);
        let create = || {
            if fs::symlink_metadata(&target).is_ok() {
                let is_empty = fs::read_dir(&target)?.next().is_none();
                if !is_empty && !may_replace(&target)? {
                    return Err(io::Error::other("a folder with something else in it is there"));
                }
            }
            let prefix = hidden_prefix(&target);
            let mut builder = tempfile::Builder::new();
            builder.prefix(&prefix).suffix(".partial");
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
            builder.tempdir_in(folder_of(&target)).map_err(without_path)
        };
        let folder = create().map_err(|e| Error::io("write", path, e))?;
        Ok(Self { folder, path: path.to_owned(), target })
    }

    /// The name that it is to have.
    #[cfg(feature = "lineage")]
    pub(super) fn name(&self) -> &Path {
        &self.path
    }

    /// Where its files are to be put.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the folder its name. A folder that had the name before is moved away first and removed then. Nothing has
    /// the name between these two steps.
    ///
    /// # Errors
    /// [`Error::Io`] if the system does not let it.
    pub fn finish(self) -> Result<()> {
        let Self { folder, path, target } = self;
        let finish = || {
            let replaced = match fs::symlink_metadata(&target) {
                Ok(_) => {
                    let aside = tempfile::Builder::new()
                        .prefix(&hidden_prefix(&target))
                        .suffix(".replaced")
                        .tempdir_in(folder_of(&target))?;
                    fs::rename(&target, aside.path().join("folder"))?;
                    Some(aside)
                }
                Err(_) => None,
            };
            if let Err(error) = fs::rename(folder.path(), &target) {
                if let Some(replaced) = &replaced {
                    fs::rename(replaced.path().join("folder"), &target)?;
                }
                return Err(error);
            }
            // Nothing is left of it to be removed.
            let _ = folder.keep();
            replaced.map_or(Ok(()), TempDir::close)
        };
        finish().map_err(|e| Error::io("write", &path, e))
    }
}

/// The folder that a path is in.
fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the name of something temporary beside a path begins with.
fn hidden_prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".");
    prefix
}

/// The file that a name stands for. If it is a link, that is its target, whether it exists or not.
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
        let folder = folder_of(&target);
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

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Destination::Beside(file, write_back) => {
                let written = file.write(bytes)?;
                write_back.note(file.as_file(), written);
                Ok(written)
            }
            Destination::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Destination::Beside(file, _) => file.flush(),
            Destination::Direct(file) => file.flush(),
        }
    }
}

/// Counts the bytes that are written through it.
#[derive(Debug)]
pub struct CountedWriter<W> {
    inner: W,
    bytes: u64,
}

impl<W> CountedWriter<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, bytes: 0 }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<W: Write> Write for CountedWriter<W> {
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
}
