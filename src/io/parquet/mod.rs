//! Parquet files.
//!
//! - [`read`]: images are decoded page by page where their column allows it, everything else goes through the Arrow reader.
//! - [`write`](mod@write): row groups are encoded on threads of their own ([`list_pages`]: the pages of features and pixels), or into a
//!   file for each value of a column ([`partitions`]).

mod list_pages;
mod partitions;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use partitions::{is_partitions, write_partitions};
pub use read::{footer, open};
pub use write::write;
