//! Files and streams: readers that yield record batches, and writers whose files appear only when they are complete.
//!
//! | format | read from | written to |
//! |---|---|---|
//! | NDJSON, JSON array; plain, gzip, zstd | files, pipes | |
//! | Parquet | files | files, folders of partitions, pipes |
//! | Arrow IPC file | files | files, pipes |
//! | Arrow IPC stream | files, pipes | pipes |
//! | IDX and NPY, plain or gzip | files, pipes | NPY files |
//! | NPZ | files | |
//! | image files | files | |
//! | CSV | | files, pipes |
//!
//! The format of an input is recognised by its first bytes. The format of an output is chosen by the ending of its name.
//!
//! - [`FeatureFiles`] opens files and featurizes their rows.
//! - [`open`] and [`open_all`] read files as they are. They take names, patterns such as `data/**/*.parquet`, and folders.
//!   [`read`] takes any `Read`.
//! - [`write()`] writes a file that appears when it is complete. [`write_to`] takes any `Write`.
//! - A [`Footer`] tells at the end of a file what is known only then; [`read_footer`] reads it.

#[cfg(feature = "arrays")]
mod arrays;
mod batches;
#[cfg(feature = "csv")]
mod csv;
mod feature_files;
mod footer;
mod formats;
#[cfg(any(feature = "arrays", feature = "json"))]
mod gzip;
mod images;
mod input;
#[cfg(feature = "ipc")]
mod ipc;
#[cfg(feature = "json")]
pub mod json;
mod live;
mod magic;
mod options;
mod output;
mod output_file;
#[cfg(feature = "parquet")]
mod parquet;
mod partition;
mod paths;
mod progress;
#[cfg(feature = "json")]
mod quarantine;
mod reader;
mod sample;
#[cfg(feature = "lineage")]
mod source;
#[cfg(any(feature = "arrays", feature = "json"))]
mod spare;
mod write_back;

pub use feature_files::FeatureFiles;
pub use footer::Footer;
pub use formats::OutputFormat;
pub use input::read_footer;
pub use live::StopHandle;
pub use options::{Compression, LateMembers, ReadOptions, Rows, WriteOptions};
pub use output::{Prepared, Written, check, has_footer, prepare, write, write_to};
pub use output_file::{OutputFile, is_same_file};
pub use paths::is_stream;
pub use progress::Progress;
#[cfg(feature = "json")]
pub use quarantine::Quarantine;
pub use reader::{Reader, open, open_all, read};
#[cfg(feature = "lineage")]
pub use source::source;
