//! What a caller may ask of readers and writers.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::base::error::{Error, Result, choose};
use crate::base::shape::PixelType;

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
    /// The columns to read beside the images, in the input's order; `None` for all. Parquet's others are not even
    /// looked at.
    pub columns: Option<Vec<String>>,
    /// Which rows to read.
    pub rows: Rows,
    /// The labels of an IDX or NPY file of images: a file of one number an image, which becomes column `label`. `None`
    /// looks beside an IDX file for the one that MNIST's naming gives it.
    pub labels: Option<PathBuf>,
}

/// Which rows of an input to read. The input is all of its files together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rows {
    /// Every row.
    #[default]
    All,
    /// The first so many; what comes after them is not read.
    First(u64),
    /// So many rows drawn at random, or all if there are fewer, in the input's order. Every choice of rows is as likely
    /// as another; seed and number of rows decide which it is, not batches or threads. The whole input is read before
    /// the first row comes out, and up to twice as many rows are held in memory.
    Sample {
        /// How many.
        rows: usize,
        /// What decides which.
        seed: u64,
    },
}

impl ReadOptions {
    /// The default options: images in column `image`, 8,192 rows a batch.
    pub fn image(column: impl Into<String>) -> Self {
        Self {
            image: column.into(),
            pixel_type: None,
            batch_rows: 8192,
            threads: 0,
            keep_broken_lines: false,
            columns: None,
            rows: Rows::All,
            labels: None,
        }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self::image("image")
    }
}

/// How to write an output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// The codec; `None` for the format's usual one: zstd for Parquet, none for all else.
    pub compression: Option<Compression>,
    /// Write a folder of Parquet files, one for each value of this column, which then stands in the names of their
    /// folders alone: `label=3/part-0.parquet`.
    pub partition_by: Option<String>,
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

/// The names of the codecs.
const CODECS: [(&str, Compression); 4] = [
    ("zstd", Compression::Zstd),
    ("snappy", Compression::Snappy),
    ("gzip", Compression::Gzip),
    ("none", Compression::None),
];

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choose("compression", text, &CODECS)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = CODECS.iter().find(|(_, codec)| codec == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}
