//! How far a reader has got.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

#[cfg(any(feature = "parquet", feature = "arrays"))]
use super::batches::{Batches, changed};
use crate::base::clock::{Activity, during};

/// How many bytes of its files a reader has read so far. Any thread may ask.
#[derive(Debug, Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: Arc<Total>,
}

/// The size of the files, which is looked up when it is asked for: of many small files this takes as long as reading them.
type Total = LazyLock<Option<u64>, Box<dyn FnOnce() -> Option<u64> + Send>>;

impl Progress {
    pub(super) fn new(total: impl FnOnce() -> Option<u64> + Send + 'static) -> Self {
        Self { read: Arc::default(), total: Arc::new(LazyLock::new(Box::new(total))) }
    }

    /// Bytes read so far, as they are in the files.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The size of all files together in bytes; `None` if one of them is a pipe or is not there any more. The first call looks up
    /// the size of each file.
    pub fn bytes_total(&self) -> Option<u64> {
        **self.total
    }

    pub(super) fn add(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Adds the bytes that are read through it to a [`Progress`].
pub struct CountedReader<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> CountedReader<R> {
    pub fn new(inner: R, progress: Progress) -> Self {
        Self { inner, progress }
    }
}

impl<R: Read> Read for CountedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = during(Activity::Read, || self.inner.read(buffer))?;
        self.progress.add(read as u64);
        Ok(read)
    }
}

/// Estimates the bytes read of a file of known size by the rows delivered.
#[cfg(any(feature = "parquet", feature = "arrays"))]
pub fn by_rows(batches: Batches, progress: Progress, size: u64, rows: u64) -> Batches {
    let bytes = move |done: u64| (u128::from(size) * u128::from(done) / u128::from(rows.max(1))) as u64;
    let (schema, mut done) = (batches.schema(), 0);
    changed(batches, schema, move |batch| {
        let before = bytes(done);
        done += batch.num_rows() as u64;
        progress.add(bytes(done) - before);
        Ok(batch)
    })
}
