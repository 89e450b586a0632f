//! What can go wrong with a table.

use std::path::{Path, PathBuf};

use arrow_schema::{ArrowError, DataType};
use deltalake::DeltaTableError;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between rows and a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading, computing or writing features failed.
    #[error(transparent)]
    Features(pixelfeat::Error),
    /// There is no table.
    #[error("{} is no Delta table: {why}", .table.display())]
    NotATable {
        /// The path.
        table: PathBuf,
        /// What is there instead.
        why: String,
    },
    /// The table has no such version.
    #[error("{} has no version {version}; its latest is {latest}", .table.display())]
    NoSuchVersion {
        /// The table.
        table: PathBuf,
        /// The version asked for.
        version: u64,
        /// The last one.
        latest: u64,
    },
    /// The log has a gap or is damaged.
    #[error("{}: the log of the table cannot be read: {why}", .table.display())]
    Log {
        /// The table.
        table: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The table uses something that this crate does not know.
    #[error("{}: {why}", .table.display())]
    Unsupported {
        /// The table.
        table: PathBuf,
        /// What it uses.
        why: String,
    },
    /// Delta has no type for a column.
    #[error("column `{column}` is {data_type}: Delta has no such type")]
    UnsupportedColumn {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
    },
    /// The rows have other columns than the table.
    #[error("{}: the rows do not fit the table: {why}", .table.display())]
    OtherColumns {
        /// The table.
        table: PathBuf,
        /// Which columns, and how they differ.
        why: String,
    },
    /// The rows have other features than the table, or features of other images.
    #[error("{}: the table has {key} `{has}`, the rows have `{given}`; `overwrite` replaces both", .table.display())]
    OtherFeatures {
        /// The table.
        table: PathBuf,
        /// Which property differs, as `features`.
        key: String,
        /// That of the table.
        has: String,
        /// That of the rows.
        given: String,
    },
    /// Another writer was faster. Nothing was written.
    #[error("{}: another writer has changed the table since this run began ({why}); nothing was written, run again", .table.display())]
    Conflict {
        /// The table.
        table: PathBuf,
        /// What the other writer did.
        why: String,
    },
    /// Delta's library failed.
    #[error("{}: {source}", .table.display())]
    Delta {
        /// The table.
        table: PathBuf,
        /// Its error.
        source: Box<DeltaTableError>,
    },
}

impl Error {
    pub(crate) fn delta(table: &Path, source: DeltaTableError) -> Self {
        Error::Delta { table: table.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Error::Features(pixelfeat::Error::Io { action, path: path.to_owned(), source })
    }
}

impl From<pixelfeat::Error> for Error {
    /// Takes an [`Error`] that travelled through a `RecordBatchReader` back out of its wrapping.
    fn from(error: pixelfeat::Error) -> Self {
        match error {
            pixelfeat::Error::Arrow(ArrowError::ExternalError(inner)) => match inner.downcast::<Error>() {
                Ok(own) => *own,
                Err(other) => Error::Features(pixelfeat::Error::Arrow(ArrowError::ExternalError(other))),
            },
            other => Error::Features(other),
        }
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        pixelfeat::Error::from(error).into()
    }
}

impl From<Error> for ArrowError {
    fn from(error: Error) -> Self {
        match error {
            Error::Features(inner) => inner.into(),
            own => ArrowError::ExternalError(Box::new(own)),
        }
    }
}
