//! Where the rows of a run come from.

use std::sync::{Arc, Mutex, PoisonError};

/// Which file each row of an input came from. A reader fills it while it reads; clones share it.
#[derive(Debug, Clone, Default)]
pub struct RowOrigins(Arc<Mutex<Vec<Stretch>>>);

/// Rows that follow one another in the input and in their file.
#[derive(Debug)]
struct Stretch {
    /// The first of them, counted over the whole input.
    first: u64,
    file: Arc<str>,
    /// Its number in the file.
    first_in_file: u64,
}

impl RowOrigins {
    /// Says that the rows from `first_row` on, counted over the whole input, are those of `file`.
    pub fn begin(&self, first_row: u64, file: impl Into<Arc<str>>) {
        self.resume(first_row, file, 0);
    }

    /// As [`RowOrigins::begin`], where the first of these rows is row `row` of the file.
    pub fn resume(&self, first_row: u64, file: impl Into<Arc<str>>, row: u64) {
        let stretch = Stretch { first: first_row, file: file.into(), first_in_file: row };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stretch);
    }

    /// The file of a row and its number in it, from 0.
    pub fn locate(&self, row: u64) -> (Option<Arc<str>>, u64) {
        let stretches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match stretches[..stretches.partition_point(|stretch| stretch.first <= row)].last() {
            Some(stretch) => (Some(stretch.file.clone()), row - stretch.first + stretch.first_in_file),
            None => (None, row),
        }
    }

    /// The first row behind `row` with which rows of another stretch begin; `None` if none is known.
    #[cfg(feature = "lineage")]
    pub(crate) fn next_file(&self, row: u64) -> Option<u64> {
        let stretches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stretches.get(stretches.partition_point(|stretch| stretch.first <= row)).map(|stretch| stretch.first)
    }
}
