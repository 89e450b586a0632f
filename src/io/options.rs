//! The options of readers and writers.

use std::path::PathBuf;

use crate::base::shape::PixelType;
use crate::base::text::names;

/// How to read an input. Set the fields, or chain the `with_` methods:
///
/// ```
/// use pixelfeat::io::{ReadOptions, Rows};
///
/// let options = ReadOptions::image("pixels").with_columns(["label"]).with_rows(Rows::First(1_000));
/// assert_eq!(options.image, "pixels");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The column that holds the images.
    pub image: String,
    /// The pixel type that JSON numbers are read as; `None` is u8. Typed formats keep the file's own type.
    pub pixel_type: Option<PixelType>,
    /// The maximum rows of a batch, at least 1. Batches of large images have fewer rows, so that memory stays bounded.
    pub batch_rows: usize,
    /// Threads that decode; 0 for one per core.
    pub threads: usize,
    /// Whether a line that is not JSON becomes a row of nulls with the defect
    /// [`Reason::BrokenLine`](crate::Reason::BrokenLine), for a quarantine, instead of an error.
    pub keep_broken_lines: bool,
    /// The columns to read beside the images; `None` for all. They keep the order of the input. Of a Parquet file the other
    /// columns are not read at all.
    pub columns: Option<Vec<String>>,
    /// Which rows to read.
    pub rows: Rows,
    /// The file of the labels of an IDX or NPY file of images: one number per image, which becomes column `label`. With
    /// `None`, an IDX file is read with the file of labels beside it that is named as MNIST's are.
    pub labels: Option<PathBuf>,
}

/// Which rows of an input to read. The input is all of its files together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Rows {
    /// Every row.
    #[default]
    All,
    /// So many rows from the start; the rest is not read.
    First(u64),
    /// So many rows drawn at random, or all if there are fewer, in the order of the input. Every set of rows is equally
    /// likely. The choice depends on the seed and the number of rows, not on batches or threads. The whole input is read before
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

    /// Sets the pixel type that JSON numbers are read as.
    pub fn with_pixel_type(mut self, pixel_type: impl Into<Option<PixelType>>) -> Self {
        self.pixel_type = pixel_type.into();
        self
    }

    /// Sets the maximum rows of a batch.
    pub fn with_batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows;
        self
    }

    /// Sets the threads that decode; 0 for one per core.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets whether lines that are not JSON become rows.
    pub fn with_keep_broken_lines(mut self, keep: bool) -> Self {
        self.keep_broken_lines = keep;
        self
    }

    /// Reads only these columns beside the images.
    pub fn with_columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Sets which rows are read.
    pub fn with_rows(mut self, rows: Rows) -> Self {
        self.rows = rows;
        self
    }

    /// Reads the labels of an IDX or NPY file of images from this file.
    pub fn with_labels(mut self, path: impl Into<PathBuf>) -> Self {
        self.labels = Some(path.into());
        self
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self::image("image")
    }
}

/// How to write an output. Set the fields, or chain the `with_` methods.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WriteOptions {
    /// The codec; `None` for the format's usual one: zstd for Parquet, none for all else.
    pub compression: Option<Compression>,
    /// Write a folder of Parquet files, one for each value of this column: `label=3/part-0.parquet`. The files themselves do
    /// not have the column.
    pub partition_by: Option<String>,
}

impl WriteOptions {
    /// Sets the codec.
    pub fn with_compression(mut self, codec: impl Into<Option<Compression>>) -> Self {
        self.compression = codec.into();
        self
    }

    /// Writes a folder of Parquet files, one for each value of this column.
    pub fn with_partition_by(mut self, column: impl Into<String>) -> Self {
        self.partition_by = Some(column.into());
        self
    }
}

/// A codec of an output file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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

names!("compression", Compression { "zstd" => Zstd, "snappy" => Snappy, "gzip" => Gzip, "none" => None });
