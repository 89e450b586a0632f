//! Files and streams: readers that yield record batches, writers that finish atomically.
//!
//! | format | read | written |
//! |---|---|---|
//! | NDJSON, JSON array; plain, gzip, zstd | file, stdin | |
//! | Parquet | file | file, folder of partitions |
//! | Arrow IPC file | file | file |
//! | Arrow IPC stream | file, stdin | stdout |
//! | IDX and NPY, plain or gzip | file, stdin | NPY file |
//! | NPZ | file | |
//! | image files | file | |
//! | CSV | | file |
//!
//! What an input is, its first bytes tell; what an output is to be, its name. Several files are named one by one, by a
//! pattern such as `data/**/*.parquet`, or by their folder ([`open_all`]).

#[cfg(feature = "arrays")]
mod arrays;
mod batches;
#[cfg(feature = "csv")]
mod csv;
mod formats;
mod images;
mod input;
#[cfg(feature = "ipc")]
mod ipc;
#[cfg(feature = "json")]
pub mod json;
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
mod write_back;

pub use formats::OutputFormat;
pub use options::{Compression, ReadOptions, Rows, WriteOptions};
pub use output::{Prepared, Written, check, prepare, write, write_to};
pub use output_file::{OutputFile, is_same_file};
pub use progress::Progress;
#[cfg(feature = "json")]
pub use quarantine::Quarantine;
pub use reader::{Reader, open, open_all};
