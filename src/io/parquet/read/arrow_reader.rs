//! The Arrow reader, of which no panic reaches the caller.

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::damaged;
use crate::base::error::Result;
use crate::base::guard;

/// The Arrow reader of some columns and rows.
pub struct ArrowReader {
    pub reader: ParquetRecordBatchReader,
    /// The name of the file in messages.
    pub name: String,
}

impl Iterator for ArrowReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match guarded(&self.name, || self.reader.next()) {
            Ok(batch) => batch.map(|batch| batch.map_err(|e| damaged(&self.name, &e))),
            Err(error) => Some(Err(error)),
        }
    }
}

/// Turns panics into errors: the Arrow reader panics on some damaged headers and schemas.
pub fn guarded<T>(name: &str, read: impl FnOnce() -> T) -> Result<T> {
    guard::guarded(read).map_err(|_| damaged(name, &"its headers contradict each other"))
}
