//! Features of images as [Delta tables](https://delta.io): one that is appended to or overwritten by runs, read in any
//! version.
//!
//! [`write()`] puts everything that a reader yields into a table; [`Table`] reads a version; [`history`] tells the commits.
//!
//! ```
//! use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, io, synthetic};
//! use pixelfeat_delta::{Mode, Table, TableOptions, write};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("digits");
//! let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, FeatureSpec::default());
//! for seed in [1, 2] {
//!     let features = featurizer.stream(synthetic::Digits::new(100, seed, 100))?;
//!     write(&path, features, &TableOptions::new(Mode::Append))?;
//! }
//! let rows = |version| -> Result<usize, Box<dyn std::error::Error>> {
//!     let reader = Table::open(&path, version)?.read(&io::ReadOptions::default())?;
//!     Ok(reader.map(|batch| batch.map_or(0, |batch| batch.num_rows())).sum())
//! };
//! assert_eq!((rows(Some(0))?, rows(None)?), (100, 200));
//! # Ok(())
//! # }
//! ```
//!
//! # What a table holds
//! Delta has neither unsigned integers nor lists of a fixed size. Columns are widened to the next type that holds all values:
//! u8 becomes short, u16 integer, u32 long, u64 decimal(20,0), half floats become floats, a list of a fixed size a list, a
//! dictionary its values, times have microseconds. Nothing is rounded: a time that is finer is an error. A type that Delta has
//! nothing like, such as a duration, is refused. The property `pixelfeat.arrow_schema` keeps the types that the rows had, and
//! [`Table::read`] gives them back.
//!
//! The other properties `pixelfeat.…` say which features the table has, of which images, as the metadata of a file does. Rows with
//! other features cannot be appended. The entry of a commit says what the footer of a file would say
//! ([`WriteOptions::with_footer`](pixelfeat::io::WriteOptions::with_footer)), such as the digest of the rows.

mod columns;
mod commit;
mod error;
mod files;
mod log;
mod properties;
mod reader;
mod stats;
mod table;

pub use commit::{Committed, Mode, Prepared, TableOptions, prepare, write};
pub use error::{Error, Result};
pub use log::{Commit, history};
pub use reader::TableReader;
pub use table::Table;

/// Compiles the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
