//! Writes rows as Parquet files of bounded size, which are no part of a table before a commit names them.

use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pixelfeat::io;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::log::LOG;
use crate::stats::Statistics;

/// What the names of the files begin with.
const PREFIX: &str = "part-";

/// A complete file in the folder of a table.
#[derive(Debug)]
pub struct DataFile {
    pub name: String,
    pub written: io::Written,
    pub statistics: Statistics,
}

/// Files that no commit names yet. If they are dropped before [`DataFiles::keep`], they are removed, and the folder as well if
/// it was made for them.
#[derive(Debug)]
pub struct DataFiles {
    folder: PathBuf,
    is_new: bool,
    pub files: Vec<DataFile>,
    kept: bool,
}

impl DataFiles {
    /// Writes all rows of a reader into files of about `file_bytes` of rows each, before encoding.
    pub fn write(
        folder: &Path,
        reader: impl RecordBatchReader,
        options: &io::WriteOptions,
        file_bytes: usize,
    ) -> Result<Self> {
        let is_new = !folder.exists();
        fs::create_dir_all(folder).map_err(|e| Error::io("write", folder, e))?;
        let mut all = Self { folder: folder.to_owned(), is_new, files: Vec::new(), kept: false };
        // The commit has what a file would have at its end.
        let mut options = options.clone().with_plain_lists(true);
        options.footer = io::Footer::default();
        let id = Uuid::new_v4();
        let mut rows = Rows { schema: reader.schema(), reader, next: None };
        while rows.has_more()? {
            let name = format!("{PREFIX}{id}-{:05}.parquet", all.files.len());
            let mut statistics = Statistics::new(&rows.schema);
            let of_file = RowsOfFile { rows: &mut rows, left: Some(file_bytes.max(1)), statistics: &mut statistics };
            let written = io::write(folder.join(&name), of_file, &options)?;
            all.files.push(DataFile { name, written, statistics });
        }
        Ok(all)
    }

    /// Leaves the files where they are.
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for DataFiles {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // What cannot be removed is no part of the table, and Delta's vacuum finds it.
        for file in &self.files {
            let _ = fs::remove_file(self.folder.join(&file.name));
        }
        if self.is_new {
            let _ = fs::remove_dir(self.folder.join(LOG));
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// Whether this crate has written a file, by its name.
pub fn is_own(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(has_own_name)
}

fn has_own_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).and_then(|id| id.get(..36)).is_some_and(|id| Uuid::try_parse(id).is_ok())
}

/// Whether a folder is empty but for files that a killed run has left.
pub fn may_become_table(folder: &Path) -> std::io::Result<bool> {
    if !folder.exists() {
        return Ok(true);
    }
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !has_own_name(name.trim_start_matches('.')) && name != LOG {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rows of a run, and the batch that is still to be given out.
struct Rows<R> {
    schema: SchemaRef,
    reader: R,
    next: Option<RecordBatch>,
}

impl<R: RecordBatchReader> Rows<R> {
    fn has_more(&mut self) -> Result<bool, ArrowError> {
        while self.next.as_ref().is_none_or(|batch| batch.num_rows() == 0) {
            match self.reader.next() {
                Some(batch) => self.next = Some(batch?),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The rows of one file.
struct RowsOfFile<'a, R> {
    rows: &'a mut Rows<R>,
    /// The bytes that the file still takes; `None` if it is full.
    left: Option<usize>,
    statistics: &'a mut Statistics,
}

impl<R: RecordBatchReader> Iterator for RowsOfFile<'_, R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.left?;
        match self.rows.has_more() {
            Err(error) => Some(Err(error)),
            Ok(false) => None,
            Ok(true) => {
                let batch = self.rows.next.take()?;
                let bytes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
                self.left = left.checked_sub(bytes.sum()).filter(|&left| left > 0);
                self.statistics.add(&batch);
                Some(Ok(batch))
            }
        }
    }
}

impl<R: RecordBatchReader> RecordBatchReader for RowsOfFile<'_, R> {
    fn schema(&self) -> SchemaRef {
        self.rows.schema.clone()
    }
}
