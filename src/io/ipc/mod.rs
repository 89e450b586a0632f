//! Arrow IPC files and streams.

mod check;
mod message;
mod read;
mod write;

pub use read::{footer, open_file, open_stream};
pub use write::{write_file, write_stream};
