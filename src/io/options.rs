//! The options of readers and writers.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::footer::Footer;
use super::live::StopHandle;
use crate::base::error::Result;
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
    /// The maximum rows of a batch, at least 1. Batches of large images have fewer rows, so that memory stays bounded. Of image
    /// files a batch has at most 1,024.
    pub batch_rows: usize,
    /// Threads that decode; 0 for one per core.
    pub threads: usize,
    /// Whether a line that is not JSON becomes a row of nulls with the defect
    /// [`Reason::BrokenLine`](crate::Reason::BrokenLine), for a quarantine, instead of an error.
    pub keep_broken_lines: bool,
    /// What becomes of members of JSON objects that no column can take.
    pub late_members: LateMembers,
    /// The columns to read beside the images; `None` for all. They keep the order of the input. Of a Parquet file the other
    /// columns are not read at all.
    pub columns: Option<Vec<String>>,
    /// Which rows to read.
    pub rows: Rows,
    /// How long a row of a stream may wait for the next ones, if these do not come; before the first pause at
    /// least 50 ms. The batches of an Arrow IPC stream come out at once; there this is only the time after which
    /// a pause decides what the first rows are to tell, if they are few.
    pub max_delay: Duration,
    /// Ends the reading of streams.
    pub stop: StopHandle,
    /// The file of the labels of an IDX or NPY file of images: one number per image, which becomes column `label`. With
    /// `None`, an IDX file is read with the file of labels beside it that is named as MNIST's are.
    pub labels: Option<PathBuf>,
}

/// The column of the members that no other column can take: [`LateMembers::Rest`].
#[cfg(any(feature = "json", feature = "arrays"))]
pub(crate) const REST: &str = "_rest";

/// What becomes of a member of a JSON object that no column can take, because its key or the type of its value appears only
/// after the first rows, which decide the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LateMembers {
    /// The line counts as broken, as one that is not JSON: see [`ReadOptions::keep_broken_lines`].
    #[default]
    BreakLine,
    /// Reading ends with [`Error::LateMember`](crate::Error::LateMember), even if broken lines are kept. A caller who can
    /// read the input again may then choose [`LateMembers::Rest`].
    Fail,
    /// It goes into a string column `_rest`, as a JSON object of all such members of its row. The column is there whether
    /// or not there are such members; without any it is null. The column that would have held the value is null.
    Rest,
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
            late_members: LateMembers::default(),
            columns: None,
            rows: Rows::All,
            max_delay: Duration::from_millis(5),
            stop: StopHandle::default(),
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

    /// How many threads decode: as many as were asked for, or one per core.
    #[cfg_attr(
        not(any(feature = "json", feature = "parquet", feature = "arrays")),
        allow(dead_code, reason = "only some formats have threads")
    )]
    pub(super) fn decoders(&self) -> usize {
        match self.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// Sets whether lines that are not JSON become rows.
    pub fn with_keep_broken_lines(mut self, keep: bool) -> Self {
        self.keep_broken_lines = keep;
        self
    }

    /// Sets what becomes of members of JSON objects that no column can take.
    pub fn with_late_members(mut self, late_members: LateMembers) -> Self {
        self.late_members = late_members;
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

    /// Sets how long a row of a stream may wait for the next ones.
    pub fn with_max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// Lets the reading of streams be ended by this handle.
    pub fn with_stop(mut self, stop: StopHandle) -> Self {
        self.stop = stop;
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
    /// Key-value pairs for the end of the file, told when all rows have been written. They go into the key-value metadata of
    /// a Parquet file, or of every file of a folder of partitions, and into the custom metadata in the footer of an Arrow IPC
    /// file. The other formats have no place for them.
    pub footer: Footer,
    /// Whether a Parquet file tells Arrow's readers of plain lists where a column has lists of a fixed size, as table formats
    /// expect that have no others. In the file both are the same. A plain list is no tensor, so nothing says that it is one.
    pub plain_lists: bool,
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

    /// Sets whether a Parquet file calls lists of a fixed size plain lists.
    pub fn with_plain_lists(mut self, plain: bool) -> Self {
        self.plain_lists = plain;
        self
    }

    /// Adds key-value pairs to the end of the file. `pairs` is called once, after the last batch has been pulled; an error of
    /// it is one of the writer. Of pairs with the same key the last counts.
    ///
    /// ```
    /// # #[cfg(feature = "parquet")] {
    /// use pixelfeat::{io, synthetic};
    ///
    /// let path = tempfile::tempdir()?.keep().join("digits.parquet");
    /// let options = io::WriteOptions::default().with_footer(|| Ok(vec![("by".to_owned(), "hand".to_owned())]));
    /// io::write(&path, synthetic::Digits::new(10, 1, 10), &options)?;
    /// assert_eq!(io::read_footer(&path)?["by"], "hand");
    /// # std::fs::remove_dir_all(path.parent().unwrap())?;
    /// # }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_footer(mut self, pairs: impl Fn() -> Result<Vec<(String, String)>> + Send + Sync + 'static) -> Self {
        self.footer.add(pairs);
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
