//! Files and streams: readers that yield record batches, writers that finish atomically.

use crate::shape::PixelType;

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
