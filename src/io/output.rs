//! What an output is by its name, and the writer that makes it.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use arrow_array::RecordBatchReader;

use super::options::{Compression, WriteOptions};
use super::place::{Counted, OutputFile, OutputFolder};
use crate::base::error::{Error, Result};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes everything that `reader` yields to `path`, as its ending says:
///
/// - `.parquet`: Parquet. With [`WriteOptions::partition_by`] a folder of Parquet files; its name ends so or in nothing.
/// - `.arrow`: an Arrow IPC file; `-`: an IPC stream on stdout.
/// - `.npy`: the column `features` (or, for what are no features, the first of fixed-size lists) as an N×F array in C
///   order. Each other column is a file beside it, `label` in `features.label.npy`. A null among floats is not a number.
/// - `.csv`: a line for each row behind a head. A fixed-size list becomes a column for each item; nulls are empty.
///
/// The file appears under its name only when it is complete: it is written beside it, flushed to the disk and renamed.
/// A failed or killed run leaves what was there. A device or pipe is written directly. Of several NPY files, `path` comes
/// last. A folder replaces only an empty one and one that holds nothing but the like: `COLUMN=…` with `part-….parquet`.
///
/// # Errors
/// - [`Error::InvalidOption`] if the name has another ending, the format does not know the compression or partitions, or
///   NPY is to take features in columns.
/// - [`Error::UnsupportedColumn`] if the format has no form for a column, or it cannot part a folder.
/// - [`Error::NoSuchColumn`] if there is no column to partition by.
/// - [`Error::Format`] if NPY is to take an integer that is null, or a folder has more than 512 partitions.
/// - [`Error::Io`] if the file cannot be written, or a folder holds something else.
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
    let format = OutputFormat::of(path, options)?;
    format.check(options)?;
    match format {
        OutputFormat::IpcStream => {
            let mut out = Counted::new(BufWriter::new(io::stdout()));
            let rows = format.write(&mut out, path, reader, options)?;
            out.flush().map_err(|e| Error::io("write", path, e))?;
            Ok(Prepared { rows, bytes: out.bytes(), files: Vec::new(), folder: None })
        }
        #[cfg(feature = "arrays")]
        OutputFormat::Npy => {
            let (rows, files) = super::arrays::write(path, reader)?;
            Ok(Prepared { rows, bytes: files.iter().map(OutputFile::bytes).sum(), files, folder: None })
        }
        #[cfg(feature = "parquet")]
        OutputFormat::Partitions => {
            let column = options.partition_by.as_deref().unwrap_or_default();
            let folder = OutputFolder::create(path, |there| super::parquet::is_partitions(there, column))?;
            let (rows, bytes) = super::parquet::write_partitions(folder.path(), path, reader, column, options)?;
            Ok(Prepared { rows, bytes, files: Vec::new(), folder: Some(folder) })
        }
        _ => {
            let mut out = OutputFile::create(path)?;
            let rows = format.write(&mut out, path, reader, options)?;
            out.flush().map_err(|e| Error::io("write", path, e))?;
            Ok(Prepared { rows, bytes: out.bytes(), files: vec![out], folder: None })
        }
    }
}

/// An output that is complete but for its name; dropped unfinished, it leaves no trace. (What went to stdout is gone.)
#[derive(Debug)]
pub struct Prepared {
    rows: u64,
    bytes: u64,
    files: Vec<OutputFile>,
    folder: Option<OutputFolder>,
}

impl Prepared {
    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk does not take it.
    pub fn finish(self) -> Result<Written> {
        for file in self.files {
            file.finish()?;
        }
        if let Some(folder) = self.folder {
            folder.finish()?;
        }
        Ok(Written { rows: self.rows, bytes: self.bytes })
    }
}

/// Whether `path` names an output that [`write()`] can make with `options`; to find out before any work is done.
///
/// # Errors
/// [`Error::InvalidOption`] if not.
pub fn check(path: impl AsRef<Path>, options: &WriteOptions) -> Result<()> {
    OutputFormat::of(path.as_ref(), options)?.check(options)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutputFormat {
    Parquet,
    /// A folder of Parquet files.
    Partitions,
    IpcFile,
    IpcStream,
    Npy,
    Csv,
}

impl OutputFormat {
    fn of(path: &Path, options: &WriteOptions) -> Result<Self> {
        let refuse =
            |why: &str| Err(Error::InvalidOption { option: "output", why: format!("{}: {why}", path.display()) });
        let ending = path.extension().and_then(|e| e.to_str());
        let format = match (ending, &options.partition_by) {
            (None | Some("parquet"), Some(_)) if path.as_os_str() != "-" => OutputFormat::Partitions,
            (_, Some(_)) => return refuse("partitions are Parquet: the name must end in .parquet or nothing"),
            (Some("parquet"), None) => OutputFormat::Parquet,
            (Some("arrow"), None) => OutputFormat::IpcFile,
            (Some("npy"), None) => OutputFormat::Npy,
            (Some("csv"), None) => OutputFormat::Csv,
            _ if path.as_os_str() == "-" => OutputFormat::IpcStream,
            _ => {
                return refuse(
                    "the name must end in .parquet, .arrow, .npy or .csv, or be - for an IPC stream on stdout",
                );
            }
        };
        let (feature, is_built_in) = match format {
            OutputFormat::Parquet | OutputFormat::Partitions => ("parquet", cfg!(feature = "parquet")),
            OutputFormat::IpcFile | OutputFormat::IpcStream => ("ipc", cfg!(feature = "ipc")),
            OutputFormat::Npy => ("arrays", cfg!(feature = "arrays")),
            OutputFormat::Csv => ("csv", cfg!(feature = "csv")),
        };
        if is_built_in { Ok(format) } else { refuse(&format!("built without the feature `{feature}`")) }
    }

    fn check(self, options: &WriteOptions) -> Result<()> {
        let refuse = |why: &str| Err(Error::InvalidOption { option: "compression", why: why.to_owned() });
        match (self, options.compression) {
            (_, None | Some(Compression::None)) | (OutputFormat::Parquet | OutputFormat::Partitions, _) => Ok(()),
            (OutputFormat::IpcFile | OutputFormat::IpcStream, Some(Compression::Zstd)) => Ok(()),
            (OutputFormat::IpcFile | OutputFormat::IpcStream, _) => refuse("Arrow IPC knows zstd and none"),
            (OutputFormat::Npy | OutputFormat::Csv, _) => refuse("NPY and CSV know none"),
        }
    }

    /// Writes a format of one file that is written from front to back.
    #[cfg_attr(
        not(any(feature = "parquet", feature = "ipc")),
        allow(unused_variables, reason = "no format needs all of it")
    )]
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
            #[cfg(feature = "csv")]
            OutputFormat::Csv => super::csv::write(out, path, reader),
            other => Err(Error::Internal(format!("{other:?} is not written so"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format() {
        assert_eq!(
            OutputFormat::of(Path::new("-"), &WriteOptions::default()).ok(),
            cfg!(feature = "ipc").then_some(OutputFormat::IpcStream)
        );
        let error = check("features.txt", &WriteOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with("output: features.txt: the name must end in"), "{error}");
        let gzip = WriteOptions { compression: Some(Compression::Gzip), ..WriteOptions::default() };
        for name in ["features.arrow", "features.npy", "features.csv"] {
            assert!(check(name, &gzip).is_err(), "{name}");
        }
        let parted = WriteOptions { partition_by: Some("label".to_owned()), ..WriteOptions::default() };
        for name in ["features.arrow", "features.npy", "-"] {
            assert!(check(name, &parted).is_err(), "{name}");
        }
        for name in ["features", "features.parquet", "a.b/features"] {
            assert_eq!(check(name, &parted).is_ok(), cfg!(feature = "parquet"), "{name}");
        }
    }
}
