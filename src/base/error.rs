//! The one error type of the crate.

use std::any::Any;
use std::path::{Path, PathBuf};

use arrow_schema::{ArrowError, DataType};

use crate::base::reason::Reason;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, with the values that made it so.
///
/// A row that cannot be featurized is not an error unless the caller asked for it with
/// [`OnInvalid::Error`](crate::OnInvalid::Error): it is a [`Defect`](crate::Defect), counted in the run's report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A side is zero or above 65,536, the channels are not 1 to 4, or the image has more than 2³¹−1 values.
    #[error("image shape {height}x{width}x{channels}: {why}")]
    InvalidShape {
        /// Rows of pixels.
        height: usize,
        /// Pixels in a row.
        width: usize,
        /// Values per pixel.
        channels: usize,
        /// Which bound it breaks.
        why: &'static str,
    },
    /// The image shape was not given and the data does not tell it.
    #[error("column `{column}`: {why}; give the shape, as in 28x28 or 64x64x3")]
    UnknownShape {
        /// The image column.
        column: String,
        /// What the data looked like.
        why: String,
    },
    /// The input has no such column.
    #[error("no column `{column}`; there is {}", quoted(.available))]
    NoSuchColumn {
        /// The column asked for.
        column: String,
        /// The columns there are.
        available: Vec<String>,
    },
    /// The column's type cannot hold images, or not of the declared pixel type.
    #[error("column `{column}` is {data_type}: {why}")]
    UnsupportedColumn {
        /// The image column.
        column: String,
        /// Its Arrow type.
        data_type: DataType,
        /// What was expected instead.
        why: String,
    },
    /// An output column would have the name of an input column.
    #[error("the input already has a column `{column}`, which the output would need: rename it")]
    ColumnTaken {
        /// The name that both would have.
        column: String,
    },
    /// A row could not be featurized and the policy is to stop there. Rows count from 0.
    #[error("{}row {row}{}, column `{column}`: {reason}: {detail}", within(.file), at_line(.line))]
    InvalidRow {
        /// The file, where the reader named one.
        file: Option<String>,
        /// The row in that file, from 0.
        row: u64,
        /// The line in that file, from 1, for line-based formats.
        line: Option<u64>,
        /// The image column.
        column: String,
        /// Why it is invalid.
        reason: Reason,
        /// The value or length at fault.
        detail: String,
    },
    /// More rows could not be featurized than the run allows
    /// ([`FeatureSpec::max_invalid`](crate::FeatureSpec::max_invalid)).
    #[error("{message}")]
    TooManyInvalid {
        /// Rows read.
        rows: u64,
        /// Rows that could not be featurized.
        invalid: u64,
        /// How many there are and may be, what they have in common, what would take them, and where the first of them is.
        message: String,
    },
    /// Checks of severity error failed ([`Checker`](crate::quality::Checker)).
    #[error("{message}")]
    ChecksFailed {
        /// How many.
        failed: usize,
        /// The first of them, and what they observed.
        message: String,
    },
    /// The rows are too far from those of a reference ([`DriftWatch`](crate::quality::DriftWatch)).
    #[error("{message}")]
    Drifted {
        /// How many columns have drifted.
        columns: usize,
        /// How many may have, and the names of the worst.
        message: String,
    },
    /// A text input is not what its format asks for. Lines and columns count from 1.
    #[error("{file}: line {line}, column {column}: {message}")]
    Syntax {
        /// The file, or `stdin`.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The byte in that line, from 1.
        column: u64,
        /// What was wrong with it.
        message: String,
    },
    /// A JSON object has a member that no column can take. The columns were decided by the first rows. Lines count from 1.
    /// [`LateMembers`](crate::io::LateMembers) says what else may become of such a member.
    #[error("{file}: line {line}, column {column}: {message}")]
    LateMember {
        /// The file, or `stdin`.
        file: String,
        /// The line, from 1.
        line: u64,
        /// The byte in that line at which the object begins, from 1.
        column: u64,
        /// Which member it is, and why no column can take it.
        message: String,
    },
    /// A file or stream is damaged or of a kind that cannot be read.
    #[error("{file}: {message}")]
    Format {
        /// The file, or `stdin`.
        file: String,
        /// What was wrong with it.
        message: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// `open`, `read`, `write`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An option's value is outside its range.
    #[error("{option}: {why}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What it must be.
        why: String,
    },
    /// An error of the Arrow libraries that no other variant describes.
    #[error(transparent)]
    Arrow(ArrowError),
    /// A GPU that was asked for by itself could not do the work: a `GpuError`. An [`Engine`](crate::Engine) lets the CPU
    /// do it instead, and does not give this error.
    #[error(transparent)]
    Gpu(Box<dyn std::error::Error + Send + Sync>),
    /// A defect of this crate: a worker ended in a way it must not.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl Error {
    /// What the system said when asked to `action` the file at `path`.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { action, path: path.as_ref().to_owned(), source }
    }

    /// A file or stream that is not what it should be.
    pub(crate) fn format(file: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Format { file: file.into(), message: message.into() }
    }
}

impl From<ArrowError> for Error {
    /// Takes an [`Error`] that travelled through a `RecordBatchReader` back out of its wrapping.
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(own) => *own,
                Err(other) => Error::Arrow(ArrowError::ExternalError(other)),
            },
            other => Error::Arrow(other),
        }
    }
}

impl From<Error> for ArrowError {
    fn from(error: Error) -> Self {
        match error {
            Error::Arrow(inner) => inner,
            own => ArrowError::ExternalError(Box::new(own)),
        }
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a worker panicked")
}

/// The first names of a list, in backticks.
fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn within(file: &Option<String>) -> String {
    file.as_ref().map(|f| format!("{f}: ")).unwrap_or_default()
}

fn at_line(line: &Option<u64>) -> String {
    line.map(|l| format!(" (line {l})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_through_a_record_batch_reader() {
        let error = Error::NoSuchColumn { column: "img".into(), available: vec!["image".into(), "label".into()] };
        let text = error.to_string();
        assert_eq!(text, "no column `img`; there is `image`, `label`");
        let back = Error::from(ArrowError::from(error));
        assert!(matches!(back, Error::NoSuchColumn { .. }));
        assert_eq!(back.to_string(), text);
    }
}
