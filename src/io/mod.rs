//! Files and streams: readers that yield record batches, writers that finish atomically.
//!
//! | format | read | written |
//! |---|---|---|
//! | NDJSON, JSON array; plain, gzip, zstd | file, stdin | |
//! | Parquet | file | file |
//! | Arrow IPC file | file | file |
//! | Arrow IPC stream | file, stdin | stdout |
//!
//! What an input is, its first bytes tell; what an output is to be, its name.

mod input;
#[cfg(feature = "ipc")]
mod ipc;
#[cfg(feature = "json")]
pub mod json;
mod output;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "json")]
mod quarantine;

use std::str::FromStr;

use crate::error::{Error, Result, choose};
use crate::shape::PixelType;

pub use input::{Progress, Reader, open, open_all};
pub use output::{OutputFile, Prepared, Written, check, is_same_file, prepare, write};
#[cfg(feature = "json")]
pub use quarantine::Quarantine;

/// How to read an input.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadOptions {
    /// The column that holds the images.
    pub image: String,
    /// The pixel type that JSON numbers are read as; `None` is u8. Typed formats keep the file's own type.
    pub pixel_type: Option<PixelType>,
    /// The most rows of a batch, at least 1. Batches of large images hold fewer, so that memory stays bounded.
    pub batch_rows: usize,
    /// Threads that decode; 0 for one a core.
    pub threads: usize,
    /// Hand lines that are not JSON on as [`Reason::BrokenLine`](crate::Reason::BrokenLine) rows instead of ending with
    /// an error; for runs with a quarantine to put them in.
    pub keep_broken_lines: bool,
}

impl ReadOptions {
    /// The default options: images in column `image`, 8,192 rows a batch.
    pub fn image(column: impl Into<String>) -> Self {
        Self { image: column.into(), pixel_type: None, batch_rows: 8192, threads: 0, keep_broken_lines: false }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self::image("image")
    }
}

/// How to write an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// The codec; `None` for the format's usual one: zstd for Parquet, none for Arrow IPC.
    pub compression: Option<Compression>,
}

/// A codec of an output file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard, level 1.
    Zstd,
    /// Snappy; Parquet only.
    Snappy,
    /// Gzip; Parquet only.
    Gzip,
    /// Uncompressed.
    None,
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choose(
            "compression",
            text,
            &[
                ("zstd", Compression::Zstd),
                ("snappy", Compression::Snappy),
                ("gzip", Compression::Gzip),
                ("none", Compression::None),
            ],
        )
    }
}
