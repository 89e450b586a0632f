//! Writes an output in the format that its name tells, or that the caller names.

#[cfg(feature = "lineage")]
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
#[cfg(feature = "lineage")]
use std::path::PathBuf;

use arrow_array::RecordBatchReader;

use super::formats::{self, AnyReader, FileFormat, OutputFormat, STDOUT, Writer, Writing};
use super::options::{Compression, WriteOptions};
use super::output_file::{CountedWriter, OutputFile, OutputFolder};
use crate::base::error::{Error, Result};
use crate::base::text::listed;
#[cfg(feature = "lineage")]
use crate::lineage::dvc_md5;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes everything that `reader` yields to `path`. The ending of the name decides the format:
///
/// - `.parquet`: Parquet. With [`WriteOptions::partition_by`] a folder of Parquet files; such a name may also have no ending.
/// - `.arrow`: an Arrow IPC file.
/// - `-`: an Arrow IPC stream on stdout.
/// - `.npy`: the column `features` as an N×F array in C order, or the first column of fixed-size lists if there are no
///   features. Each other column is a file beside it: `label` is in `features.label.npy`. A null float is NaN.
/// - `.csv`: a header line and a line for each row. A fixed-size list becomes a column for each item, a list of text its
///   items with semicolons between them; a null is empty.
///
/// The file appears under its name only when it is complete: it is written under a temporary name in the same folder,
/// flushed to the disk and renamed. A failed or killed run leaves the old file in place. A device or pipe is written directly.
/// Of several NPY files, `path` gets its name last. A folder replaces only an empty folder or one that holds nothing but
/// partitions by the same column: `COLUMN=…` with `part-….parquet`.
///
/// # Errors
/// - [`Error::InvalidOption`] if the name has another ending, the format is not built in or does not know the compression or
///   partitions, or NPY is to take features in columns.
/// - [`Error::UnsupportedColumn`] if the format has no form for a column, or partitions cannot be by a column of its type.
/// - [`Error::NoSuchColumn`] if there is no column to partition by.
/// - [`Error::Format`] if a null integer is to be written as NPY, or a folder has more than 512 partitions.
/// - [`Error::Io`] if the file cannot be written, or a folder holds something else.
/// - Every error that `reader` yields.
pub fn write(path: impl AsRef<Path>, reader: impl RecordBatchReader, options: &WriteOptions) -> Result<Written> {
    prepare(path, reader, options)?.finish()
}

/// As [`write()`], but the file gets its name only with [`Prepared::finish`], so that other things can be done before.
///
/// # Errors
/// As [`write()`].
pub fn prepare(path: impl AsRef<Path>, reader: impl RecordBatchReader, options: &WriteOptions) -> Result<Prepared> {
    let path = path.as_ref();
    let (_, writing, writer) = chosen(path, options)?;
    let reader: AnyReader<'_> = Box::new(reader);
    match (writer, &options.partition_by) {
        (Writer::Files(write), _) => {
            let (rows, files) = write(path, reader)?;
            Ok(Prepared { rows, bytes: files.iter().map(OutputFile::bytes).sum(), files, folder: None })
        }
        (Writer::StreamOrPartitions(_, partitions), Some(column)) => {
            let folder = OutputFolder::create(path, |there| (partitions.may_replace)(there, column))?;
            let (rows, bytes) = (partitions.write)(folder.path(), path, reader, column, options)?;
            Ok(Prepared { rows, bytes, files: Vec::new(), folder: Some(folder) })
        }
        (Writer::Stream(write) | Writer::StreamOrPartitions(write, _), _) if writing.format == STDOUT => {
            let mut out = CountedWriter::new(BufWriter::new(io::stdout()));
            let rows = write(&mut out, path, reader, options)?;
            out.flush().map_err(|e| Error::io("write", path, e))?;
            Ok(Prepared { rows, bytes: out.bytes(), files: Vec::new(), folder: None })
        }
        (Writer::Stream(write) | Writer::StreamOrPartitions(write, _), _) => {
            let mut out = OutputFile::create(path)?;
            let rows = write(&mut out, path, reader, options)?;
            out.flush().map_err(|e| Error::io("write", path, e))?;
            Ok(Prepared { rows, bytes: out.bytes(), files: vec![out], folder: None })
        }
    }
}

/// Writes everything that `reader` yields to `out`, from front to back, and flushes it. `out` should be buffered. It can be
/// anything: a socket, a child's stdin, a `Vec<u8>`. In contrast to [`write()`] nothing is atomic: after an error `out`
/// holds a part of the output.
///
/// All formats but [`OutputFormat::Npy`] can be written so; NPY has its length at the start and a file for each column.
///
/// ```
/// # #[cfg(feature = "csv")] {
/// use pixelfeat::{io, synthetic};
///
/// let mut csv = Vec::new();
/// let options = io::WriteOptions::default();
/// let written = io::write_to(&mut csv, io::OutputFormat::Csv, synthetic::Digits::new(10, 1, 10), &options)?;
/// assert_eq!((written.rows, written.bytes), (10, csv.len() as u64));
/// # }
/// # Ok::<_, pixelfeat::Error>(())
/// ```
///
/// # Errors
/// - [`Error::InvalidOption`] if the format cannot be written to a stream, does not know the compression or is not built in,
///   or partitions are asked for.
/// - [`Error::UnsupportedColumn`] if the format has no form for a column.
/// - [`Error::Io`] if `out` cannot be written; errors call it `output`.
/// - Every error that `reader` yields.
pub fn write_to(
    out: impl Write + Send,
    format: OutputFormat,
    reader: impl RecordBatchReader,
    options: &WriteOptions,
) -> Result<Written> {
    let refuse = |why: String| Err(Error::InvalidOption { option: "output", why });
    let path = Path::new("output");
    let Some((row, writing)) = formats::writable().find(|(_, writing)| writing.format == format) else {
        return refuse(format!("`{format}` is no format that can be written"));
    };
    if options.partition_by.is_some() {
        return refuse("partitions are a folder, not a stream".to_owned());
    }
    check_codec(row, writing, options)?;
    match writing.writer {
        Some(Writer::Stream(write) | Writer::StreamOrPartitions(write, _)) => {
            let mut out = CountedWriter::new(out);
            let rows = write(&mut out, path, Box::new(reader), options)?;
            out.flush().map_err(|e| Error::io("write", path, e))?;
            Ok(Written { rows, bytes: out.bytes() })
        }
        Some(Writer::Files(_)) => refuse(format!("the format {} needs files, not a stream", row.name)),
        None => refuse(row.not_built_in()),
    }
}

/// A complete output that has no name yet. If it is dropped without [`Prepared::finish`], nothing is left of it, except
/// for what went to stdout.
#[derive(Debug)]
pub struct Prepared {
    rows: u64,
    bytes: u64,
    files: Vec<OutputFile>,
    folder: Option<OutputFolder>,
}

impl Prepared {
    /// What `dvc add` will note as `md5` of each output, by its name: one file or folder, or several NPY files. What goes to
    /// stdout, a device or a pipe has none. The bytes are read again from where they wait for their name.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk does not take or give them.
    #[cfg(feature = "lineage")]
    pub fn md5(&mut self) -> Result<BTreeMap<PathBuf, String>> {
        let mut hashes = BTreeMap::new();
        for file in &mut self.files {
            if let Some((name, place)) = file.so_far()? {
                hashes.insert(name.to_owned(), dvc_md5(place)?);
            }
        }
        if let Some(folder) = &self.folder {
            hashes.insert(folder.name().to_owned(), dvc_md5(folder.path())?);
        }
        Ok(hashes)
    }

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

/// Checks that [`write()`] can write `path` with `options`, before any work is done.
///
/// # Errors
/// [`Error::InvalidOption`] if not.
pub fn check(path: impl AsRef<Path>, options: &WriteOptions) -> Result<()> {
    chosen(path.as_ref(), options).map(drop)
}

/// Whether a file of this name, written with `options`, keeps the key-value pairs of [`WriteOptions::footer`].
pub fn has_footer(path: impl AsRef<Path>, options: &WriteOptions) -> bool {
    let reads_footers = |format: &FileFormat| format.reading.as_ref().is_some_and(|reading| reading.footer.is_some());
    chosen(path.as_ref(), options).is_ok_and(|(format, ..)| reads_footers(format))
}

/// How to write `path` with `options`. Checks everything that can be checked before there is any data.
fn chosen(path: &Path, options: &WriteOptions) -> Result<(&'static FileFormat, &'static Writing, Writer)> {
    let is_stdout = path.as_os_str() == "-";
    let ending = path.extension().and_then(|ending| ending.to_str());
    let refuse =
        |why: String| Err(Error::InvalidOption { option: "output", why: format!("{}: {why}", path.display()) });
    let endings = |writing: &Writing| writing.ending.is_some_and(|known| ending == known.strip_prefix('.'));
    let (format, writing) = match formats::writable().find(|(_, writing)| match (is_stdout, &options.partition_by) {
        (true, None) => writing.format == STDOUT,
        (true, Some(_)) => false,
        (false, None) => endings(writing),
        (false, Some(_)) => writing.has_partitions && (ending.is_none() || endings(writing)),
    }) {
        Some(found) => found,
        None if options.partition_by.is_some() => {
            let known = formats::writable().filter(|(_, writing)| writing.has_partitions);
            let known = listed(known.filter_map(|(_, writing)| writing.ending), "or");
            return refuse(format!("the name of a folder of partitions must end in {known}, or have no ending"));
        }
        None => {
            let known = listed(formats::writable().filter_map(|(_, writing)| writing.ending), "or");
            return refuse(format!("the name must end in {known}, or be - for an Arrow IPC stream on stdout"));
        }
    };
    check_codec(format, writing, options)?;
    match writing.writer {
        Some(writer) => Ok((format, writing, writer)),
        None => refuse(format.not_built_in()),
    }
}

fn check_codec(format: &FileFormat, writing: &Writing, options: &WriteOptions) -> Result<()> {
    match options.compression {
        Some(codec) if codec != Compression::None && !writing.codecs.contains(&codec) => {
            let known: Vec<String> =
                writing.codecs.iter().chain([&Compression::None]).map(Compression::to_string).collect();
            let known = listed(known.iter().map(String::as_str), "and");
            let why = format!("the format {} knows {known}, not {codec}", format.name);
            Err(Error::InvalidOption { option: "compression", why })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format() {
        assert_eq!(check("-", &WriteOptions::default()).is_ok(), cfg!(feature = "ipc"));
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
