//! Image files: each file is a row that holds its bytes. The consumer of the column decodes them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{BinaryArray, RecordBatch, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::batches::{Batches, made};
use super::options::ReadOptions;
use super::partition;
use super::progress::Progress;
use crate::base::error::{Error, Result};

/// The column of the names of the folders that the files lie in.
const LABEL: &str = "label";
/// The column of the files' paths.
const PATH: &str = "path";
/// A batch is closed at this many bytes of files: some tens of photographs, so that the next ones are read meanwhile.
const BATCH_BYTES: usize = 4 << 20;
/// And at this many files, so that the first ones are decoded while others are read.
const BATCH_FILES: usize = 1 << 10;
/// The maximum size of a file. Together with `BATCH_BYTES` it keeps a batch within 32-bit offsets.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Reads image files as rows of three columns: the file's bytes; `label`, the name of the folder that the file is in, as an
/// integer if all names are integers, null for a file without a folder; and `path`.
pub fn open(files: Arc<Vec<PathBuf>>, options: &ReadOptions, progress: &Progress) -> Result<Batches> {
    if [LABEL, PATH].contains(&&*options.image) {
        return Err(Error::ColumnTaken { column: options.image.clone() });
    }
    let labels = partition::type_of(files.iter().map(|file| folder(file)));
    let schema = Arc::new(Schema::new(vec![
        Field::new(&options.image, DataType::Binary, false),
        Field::new(LABEL, labels.clone(), true),
        Field::new(PATH, DataType::Utf8, false),
    ]));
    let (of_batches, most, progress) = (schema.clone(), options.batch_rows.min(BATCH_FILES), progress.clone());
    let mut at = 0;
    let next = move || -> Result<Option<RecordBatch>> {
        let (mut bytes, mut ends, first) = (Vec::with_capacity(BATCH_BYTES), vec![0], at);
        while at < files.len() && ends.len() <= most && bytes.len() < BATCH_BYTES {
            let before = bytes.len();
            read(&files[at], &mut bytes)?;
            progress.add((bytes.len() - before) as u64);
            ends.push(bytes.len() as i32);
            at += 1;
        }
        let taken = &files[first..at];
        if taken.is_empty() {
            return Ok(None);
        }
        bytes.shrink_to_fit();
        let images = BinaryArray::try_new(OffsetBuffer::new(ends.into()), bytes.into(), None).map_err(Error::from)?;
        let labels = partition::column(taken.iter().map(|file| folder(file)), &labels);
        let paths = StringArray::from_iter_values(taken.iter().map(|file| file.to_string_lossy()));
        let columns = vec![Arc::new(images) as _, labels, Arc::new(paths) as _];
        Ok(Some(RecordBatch::try_new(of_batches.clone(), columns).map_err(Error::from)?))
    };
    let mut next = next;
    Ok(made(schema, std::iter::from_fn(move || next().map_err(ArrowError::from).transpose())))
}

/// The name of the folder that a file lies in, as far as its path tells.
fn folder(file: &Path) -> Option<&str> {
    file.parent()?.file_name()?.to_str()
}

/// Appends the bytes of a file.
fn read(path: &Path, to: &mut Vec<u8>) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(to).map_err(|e| Error::io("read", path, e))?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(Error::format(path.display().to_string(), format!("is longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(())
}
