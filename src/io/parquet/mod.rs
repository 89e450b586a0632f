//! Parquet files.
//!
//! Reading: images in lists of one length, which is what most files hold, are decoded page by page past the Arrow
//! reader's record assembly ([`pages`], [`levels`], [`values`]); everything else, and every file in which something does
//! not fit, goes through the Arrow reader ([`read`]). Columns that nobody wants are not
//! looked at ([`projection`]). Writing: row groups are encoded beside the thread that computes ([`write`](mod@write)), or
//! into a file for each value of a column ([`partitions`]).

mod levels;
mod lists;
mod pages;
mod partitions;
mod projection;
mod read;
#[cfg(test)]
mod tests;
mod values;
mod write;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use crate::base::error::Error;

pub use partitions::{is_partitions, write_partitions};
pub use read::open;
pub use write::write;

/// Something about a column chunk that only the Arrow reader may judge: it has data that the short way does not know,
/// or is damaged. Says no more, since the Arrow reader's data or error is what counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Irregular;

fn damaged(file: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Format { file: file.to_owned(), message: format!("not a readable Parquet file: {error}") }
}

/// A file that several threads read at once. Clones of a `File` share one position, so each read says where.
#[derive(Debug, Clone)]
struct SharedFile {
    file: Arc<File>,
    length: u64,
}

impl SharedFile {
    fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), length })
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(&*self.file, buffer, at);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(&*self.file, buffer, at);
    }
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for SharedFile {
    type T = BufReader<ReadAt>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(ReadAt { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // Before anything is allocated: the length is the file's claim.
        if start.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of a file of {} bytes", self.length)));
        }
        let mut bytes = Vec::with_capacity(length);
        let file = ReadAt { file: self.clone(), at: start };
        if file.take(length as u64).read_to_end(&mut bytes)? < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start}: the file has become shorter")));
        }
        Ok(bytes.into())
    }
}

/// Reads on from a place in the file.
#[derive(Debug)]
struct ReadAt {
    file: SharedFile,
    at: u64,
}

impl Read for ReadAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
