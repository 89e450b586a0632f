//! Arrays: IDX and NPY files, plain or gzip, and NPZ, an archive of NPY files.
//!
//! The first dimension counts the rows, the others are the shape of an image: N×L, N×H×W or N×H×W×C. In C order rows are
//! contiguous and are read batch by batch. In Fortran order they are interleaved, so each batch is gathered from all over the
//! file. A pipe or a compressed file, in which one cannot seek, is first unpacked into a temporary file.

mod element;
mod idx;
mod npy;
mod npz;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, Field, Schema};
use flate2::bufread::GzDecoder;

use self::element::Element;
use super::batches::{Batches, made};
use super::gzip;
use super::magic::is_idx;
use super::options::ReadOptions;
use crate::base::error::{Error, Result};

pub use npz::open as open_npz;
pub use write::write;

/// The column of labels that an IDX or NPY file of images has beside it.
const LABEL: &str = "label";
/// The bytes of an array that a batch is closed at.
const BATCH_BYTES: usize = 8 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What the header of a file says about the array after it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ArrayHeader {
    element: Element,
    big_endian: bool,
    /// Fortran order: the first dimension varies fastest.
    fortran: bool,
    /// The dimensions, rows first.
    shape: Vec<usize>,
}

impl ArrayHeader {
    fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The dimensions of a row.
    fn inner(&self) -> &[usize] {
        self.shape.get(1..).unwrap_or_default()
    }

    /// Elements of a row.
    fn row_values(&self) -> usize {
        self.inner().iter().product()
    }

    fn row_bytes(&self) -> usize {
        self.row_values() * self.element.bytes()
    }

    /// The bytes of the array; the maximum of u64 if there are more.
    fn bytes(&self) -> u64 {
        self.shape.iter().try_fold(self.element.bytes() as u64, |all, &n| all.checked_mul(n as u64)).unwrap_or(u64::MAX)
    }

    /// Whether the rows are interleaved. A dimension of length one has no order.
    fn is_interleaved(&self) -> bool {
        self.fortran && self.shape.iter().filter(|&&side| side > 1).count() > 1
    }

    /// Checks that a row can be a value of a column.
    fn check(&self, name: &str) -> Result<()> {
        let max = i32::MAX as usize / self.element.bytes().max(1);
        let values = self.inner().iter().try_fold(1usize, |all, &n| all.checked_mul(n)).filter(|&n| n <= max);
        match values {
            _ if self.shape.is_empty() => Err(Error::format(name, "holds a single number, not rows of them")),
            Some(0) => Err(Error::format(name, format!("holds {self}: a dimension is zero"))),
            None => Err(Error::format(name, format!("holds {self}: a row is too long"))),
            Some(_) if self.shape.len() > 4 => {
                Err(Error::format(name, format!("holds {self}: images have up to three dimensions")))
            }
            Some(_) if self.element.is_text() && self.shape.len() > 1 => {
                Err(Error::format(name, format!("holds {self}: images are numbers")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Checks that these are images. Channels that come first are an error, except for a single channel, where the order of
    /// the values is the same.
    fn check_images(&mut self, name: &str) -> Result<()> {
        match *self.inner() {
            [] => Err(Error::format(name, format!("holds {self}, which are labels and no images"))),
            [1, h, w] if h > 4 && w > 4 => {
                self.shape.remove(1);
                Ok(())
            }
            [c, h, w] if c <= 4 && h > 4 && w > 4 => {
                let message =
                    format!("holds {self}: channels come last, so transpose it to {}×{h}×{w}×{c}", self.rows());
                Err(Error::format(name, message))
            }
            _ => Ok(()),
        }
    }

    /// Checks that a file with `bytes` after the header holds exactly the array.
    fn check_size(&self, bytes: u64, name: &str) -> Result<()> {
        let said = self.bytes();
        if said == bytes {
            return Ok(());
        }
        let message = format!("its header says {self}, which is {said} bytes, but {bytes} are there");
        Err(Error::format(name, message))
    }
}

impl std::fmt::Display for ArrayHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sides: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "{} {}", sides.join("×"), self.element)
    }
}

/// The first bytes of what a gzip file holds, by the first bytes of that file; empty if it is no gzip file.
pub fn unpacked_head(head: &[u8]) -> Vec<u8> {
    let mut first = Vec::new();
    if head.starts_with(&GZIP) {
        // The head ends in the middle of the data. That is an error only after what could be unpacked.
        let _ = GzDecoder::new(head).take(8).read_to_end(&mut first);
    }
    first
}

#[cfg(feature = "lineage")]
pub use idx::labels_of;

/// Files without those that are the labels of others among them.
pub fn without_labels(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    let labels: HashSet<PathBuf> = files.iter().filter_map(|file| idx::labels_of(file)).collect();
    files.retain(|file| !labels.contains(file));
    files
}

/// Opens an IDX or NPY file of images, and the file of its labels where there is one.
///
/// The images are nested fixed-size lists of the file's own type in the column that the options name; the labels a column
/// `label`. `path` is where the input is, if it is a regular file.
pub fn open(input: Box<dyn Read + Send>, path: Option<&Path>, name: &str, options: &ReadOptions) -> Result<Batches> {
    let (mut images, is_idx) = ArrayColumn::open(input, path, name, options)?;
    images.header.check_images(name)?;
    let beside = path.filter(|_| is_idx).and_then(idx::labels_of);
    let mut columns = vec![(options.image.clone(), images)];
    if let Some(path) = options.labels.clone().or(beside) {
        if options.image == LABEL {
            return Err(Error::ColumnTaken { column: LABEL.to_owned() });
        }
        let (rows, name) = (columns[0].1.header.rows(), path.display().to_string());
        let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        let (labels, _) = ArrayColumn::open(Box::new(file), Some(&path), &name, options)?;
        if labels.header.shape != [rows] {
            let message = format!("holds {}, not a label for each of {rows} images", labels.header);
            return Err(Error::format(name, message));
        }
        columns.push((LABEL.to_owned(), labels));
    }
    table(columns, options)
}

/// An array that is being read.
struct ArrayColumn {
    header: ArrayHeader,
    bytes: ArrayBytes,
    row: usize,
    name: String,
}

enum ArrayBytes {
    /// Contiguous rows.
    InOrder(Box<dyn Read + Send>),
    /// Interleaved rows, from a place in a file.
    Interleaved { file: File, start: u64 },
}

impl ArrayColumn {
    /// Reads the head of an IDX or NPY file; says as well whether it is IDX.
    fn open(
        input: Box<dyn Read + Send>,
        path: Option<&Path>,
        name: &str,
        options: &ReadOptions,
    ) -> Result<(Self, bool)> {
        let failed = |e| read_error(e, name);
        let (magic, input) = peek(input, 2).map_err(failed)?;
        let is_packed = magic == GZIP;
        let input: Box<dyn Read + Send> = match is_packed {
            true => gzip::decoder(input, options.decoders()).map_err(failed)?,
            false => input,
        };
        let (magic, mut input) = peek(input, 4).map_err(failed)?;
        if !is_idx(&magic) && !npy::MAGIC.starts_with(&magic) {
            return Err(Error::format(name, "is neither IDX nor NPY"));
        }
        let is_idx = magic.first() == Some(&0);
        let (header, start) = if is_idx { idx::header(&mut input, name)? } else { npy::header(&mut input, name)? };
        header.check(name)?;
        let path = path.filter(|_| !is_packed);
        if let Some(path) = path {
            let there = std::fs::metadata(path).map_err(failed)?.len();
            header.check_size(there.saturating_sub(start), name)?;
        }
        Ok((Self::new(header, input, path.map(|path| (path, start)), name)?, is_idx))
    }

    /// An array whose bytes come next in `input`, and from a place in a file, if they are in one.
    fn new(header: ArrayHeader, input: Box<dyn Read + Send>, place: Option<(&Path, u64)>, name: &str) -> Result<Self> {
        let bytes = match (header.is_interleaved(), place) {
            (false, _) => ArrayBytes::InOrder(input),
            (true, Some((path, start))) => {
                let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
                ArrayBytes::Interleaved { file, start }
            }
            (true, None) => ArrayBytes::Interleaved { file: unpacked(input, &header, name)?, start: 0 },
        };
        Ok(Self { header, bytes, row: 0, name: name.to_owned() })
    }

    /// Reads the next `rows` rows, which must be there.
    fn take(&mut self, rows: usize) -> Result<ArrayRef> {
        let wanted = rows * self.header.row_bytes();
        let bytes = match &mut self.bytes {
            ArrayBytes::InOrder(input) => {
                // The header may be wrong, so the buffer grows as bytes come.
                let mut bytes = Vec::with_capacity(wanted.min(BATCH_BYTES));
                input.take(wanted as u64).read_to_end(&mut bytes).map_err(|e| read_error(e, &self.name))?;
                if bytes.len() < wanted {
                    let row = self.row + bytes.len() / self.header.row_bytes();
                    return Err(Error::format(&self.name, format!("breaks off in row {row} of {}", self.header)));
                }
                bytes
            }
            ArrayBytes::Interleaved { file, start } => {
                gather(file, *start, &self.header, self.row, rows).map_err(|e| read_error(e, &self.name))?
            }
        };
        self.row += rows;
        self.header.element.column(bytes, self.header.big_endian, self.header.inner())
    }

    /// Checks that nothing follows the array. In a compressed file this also checks the checksum at the end.
    fn finish(&mut self) -> Result<()> {
        let ArrayBytes::InOrder(input) = &mut self.bytes else { return Ok(()) };
        match input.take(1).read_to_end(&mut Vec::new()).map_err(|e| read_error(e, &self.name))? {
            0 => Ok(()),
            _ => Err(Error::format(&self.name, format!("there is more than its header says, {}", self.header))),
        }
    }
}

/// The batches of columns of the same number of rows.
fn table(mut columns: Vec<(String, ArrayColumn)>, options: &ReadOptions) -> Result<Batches> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(name, column.header.element.data_type(column.header.inner()), false))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let all = columns.first().map_or(0, |(_, images)| images.header.rows());
    let row_bytes: usize = columns.iter().map(|(_, column)| column.header.row_bytes()).sum();
    let max = (BATCH_BYTES / row_bytes.max(1)).clamp(1, options.batch_rows);
    let (of_batches, mut at, mut finished) = (schema.clone(), 0, false);
    let mut next = move || -> Result<Option<RecordBatch>> {
        if at == all {
            if !std::mem::replace(&mut finished, true) {
                columns.iter_mut().try_for_each(|(_, column)| column.finish())?;
            }
            return Ok(None);
        }
        let rows = max.min(all - at);
        at += rows;
        let arrays = columns.iter_mut().map(|(_, column)| column.take(rows)).collect::<Result<_>>()?;
        Ok(Some(RecordBatch::try_new(of_batches.clone(), arrays).map_err(Error::from)?))
    };
    Ok(made(schema, std::iter::from_fn(move || next().map_err(ArrowError::from).transpose())))
}

/// The first bytes of a stream, and the stream as it was before they were read.
fn peek(mut input: Box<dyn Read + Send>, bytes: u64) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut first = Vec::new();
    input.by_ref().take(bytes).read_to_end(&mut first)?;
    Ok((first.clone(), Box::new(Cursor::new(first).chain(input))))
}

/// Copies a stream of interleaved rows into a temporary file.
fn unpacked(input: Box<dyn Read + Send>, header: &ArrayHeader, name: &str) -> Result<File> {
    let mut file = tempfile::tempfile().map_err(|e| Error::io("make a temporary file for", name, e))?;
    let max = header.bytes().saturating_add(1);
    let bytes = io::copy(&mut input.take(max), &mut file).map_err(|e| read_error(e, name))?;
    match bytes == max {
        true => Err(Error::format(name, format!("there is more than its header says, {header}"))),
        false => header.check_size(bytes, name).map(|()| file),
    }
}

/// Gathers rows of an array in Fortran order, and brings them into C order.
fn gather(file: &mut File, start: u64, header: &ArrayHeader, first: usize, rows: usize) -> io::Result<Vec<u8>> {
    let (all, inner, size) = (header.rows(), header.inner(), header.element.bytes());
    let values = header.row_values();
    let mut gathered = vec![0; rows * values * size];
    let mut run = vec![0; rows * size];
    for place in 0..values {
        file.seek(SeekFrom::Start(start + ((place * all + first) * size) as u64))?;
        file.read_exact(&mut run)?;
        // The place in the row when the first of its dimensions runs fastest → when the last does.
        let (mut left, mut to) = (place, 0);
        let mut step = values;
        for &side in inner {
            step /= side;
            to += left % side * step;
            left /= side;
        }
        for (row, element) in run.chunks_exact(size).enumerate() {
            let at = (row * values + to) * size;
            gathered[at..at + size].copy_from_slice(element);
        }
    }
    Ok(gathered)
}

/// An error in reading. Damaged data is reported with these kinds, by flate2 and by the check of NPZ members.
fn read_error(error: io::Error, name: &str) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::format(name, "the file ends early"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if error.raw_os_error().is_none() => {
            Error::format(name, format!("the compressed data is damaged: {error}"))
        }
        _ => Error::io("read", PathBuf::from(name), error),
    }
}
