//! The rows of a version, in the types that they had when they were written.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use pixelfeat::{BoxedReader, RowOrigins, StreamOptions, Warnings, io};

use crate::columns::Converted;
use crate::error::Result;

/// The rows of a version, in the types that they had when they were written.
pub struct TableReader {
    rows: Converted<BoxedReader>,
    /// What a reader of files tells beside its rows.
    beside: Option<(RowOrigins, Warnings, io::Progress)>,
}

impl TableReader {
    /// The rows of files with the same columns.
    pub(crate) fn of_files(reader: io::Reader, schema: Schema) -> Self {
        let beside = Some((reader.origins(), reader.warnings(), reader.progress()));
        Self { rows: Converted::new(Box::new(reader), schema), beside }
    }

    /// The rows of files whose columns may differ, as columns of a schema.
    pub(crate) fn of_mixed_files(files: Vec<PathBuf>, schema: Schema, options: &io::ReadOptions) -> Result<Self> {
        let left = match options.rows {
            io::Rows::All => u64::MAX,
            io::Rows::First(rows) => rows,
            _ => {
                let why = "others have written to the table, so its rows can only be read from the first on".to_owned();
                return Err(pixelfeat::Error::InvalidOption { option: "sample", why }.into());
            }
        };
        let options = options.clone().with_rows(io::Rows::All);
        let mixed = MixedFiles { files: files.into(), schema: schema.into(), options, current: None, left };
        // The columns have their types already.
        let schema = mixed.schema.as_ref().clone();
        Ok(Self { rows: Converted::new(Box::new(mixed), schema), beside: None })
    }

    /// Names the files of rows in errors of a stream, and passes warnings on.
    pub fn stream_options(&self) -> StreamOptions {
        match &self.beside {
            Some((origins, warnings, _)) => {
                StreamOptions::default().with_origins(origins.clone()).with_warnings(warnings.clone())
            }
            None => StreamOptions::default(),
        }
    }

    /// How far reading has got.
    pub fn progress(&self) -> Option<io::Progress> {
        self.beside.as_ref().map(|(_, _, progress)| progress.clone())
    }
}

impl fmt::Debug for TableReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableReader").field("schema", &self.schema()).finish()
    }
}

impl Iterator for TableReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

impl RecordBatchReader for TableReader {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// One file after another, each with its own reader.
struct MixedFiles {
    files: VecDeque<PathBuf>,
    schema: SchemaRef,
    options: io::ReadOptions,
    current: Option<Converted<io::Reader>>,
    left: u64,
}

impl MixedFiles {
    fn take(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            match &mut self.current {
                Some(file) => match file.next().transpose()? {
                    Some(batch) => {
                        let rows = (batch.num_rows() as u64).min(self.left);
                        self.left -= rows;
                        return Ok(Some(batch.slice(0, rows as usize)));
                    }
                    None => self.current = None,
                },
                None => match self.files.pop_front() {
                    Some(file) => {
                        let reader = io::open_all([file], &self.options)?;
                        self.current = Some(Converted::new(reader, self.schema.as_ref().clone()));
                    }
                    None => break,
                },
            }
        }
        Ok(None)
    }
}

impl Iterator for MixedFiles {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.take().map_err(ArrowError::from).transpose();
        if matches!(batch, Some(Err(_))) {
            self.left = 0;
        }
        batch
    }
}

impl RecordBatchReader for MixedFiles {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
