//! The crate's errors as exceptions.

use pixelfeat::Error as Cause;
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

create_exception!(
    pixelfeat,
    Error,
    PyValueError,
    "Input that cannot be used, or an option out of its range.\n\n\
     Attributes, each None where it does not apply:\n    \
     kind: what went wrong, such as 'invalid_row', 'no_such_column' or 'invalid_option'.\n    \
     file: the file.\n    \
     row: the row in that file or in the data, from 0.\n    \
     line: the line in that file, from 1.\n    \
     column: the column of the images, or the one that is missing.\n    \
     reason: why a row cannot be featurized, such as 'wrong_length' or 'out_of_range'.\n    \
     option: the option that is out of its range."
);

/// What an error tells beside its message.
#[derive(Default)]
struct About<'a> {
    kind: &'static str,
    file: Option<&'a str>,
    row: Option<u64>,
    line: Option<u64>,
    column: Option<&'a str>,
    reason: Option<&'static str>,
    option: Option<&'static str>,
}

fn about(error: &Cause) -> About<'_> {
    let kind = |kind| About { kind, ..About::default() };
    match error {
        Cause::InvalidShape { .. } => kind("invalid_shape"),
        Cause::UnknownShape { column, .. } => About { column: Some(column), ..kind("unknown_shape") },
        Cause::NoSuchColumn { column, .. } => About { column: Some(column), ..kind("no_such_column") },
        Cause::UnsupportedColumn { column, .. } => About { column: Some(column), ..kind("unsupported_column") },
        Cause::ColumnTaken { column } => About { column: Some(column), ..kind("column_taken") },
        Cause::InvalidRow { file, row, line, column, reason, .. } => About {
            file: file.as_deref(),
            row: Some(*row),
            line: *line,
            column: Some(column),
            reason: Some(reason.name()),
            ..kind("invalid_row")
        },
        Cause::TooManyInvalid { .. } => kind("too_many_invalid"),
        Cause::Syntax { file, line, .. } => About { file: Some(file), line: Some(*line), ..kind("syntax") },
        Cause::LateMember { file, line, .. } => About { file: Some(file), line: Some(*line), ..kind("late_member") },
        Cause::Format { file, .. } => About { file: Some(file), ..kind("format") },
        Cause::InvalidOption { option, .. } => About { option: Some(option), ..kind("invalid_option") },
        Cause::Arrow(_) => kind("arrow"),
        _ => kind("other"),
    }
}

/// The exception for an error: `OSError` (`FileNotFoundError`, …) where the system refused, else [`Error`].
pub fn raised(error: Cause) -> PyErr {
    if let Cause::Io { path, source, .. } = &error
        && let Some(number) = source.raw_os_error()
    {
        let said = source.to_string();
        let said = said.trim_end_matches(&format!(" (os error {number})")).to_owned();
        return PyOSError::new_err((number, said, path.display().to_string()));
    }
    Python::attach(|py| {
        let exception = Error::new_err(error.to_string());
        let (value, about) = (exception.value(py), about(&error));
        let set = || {
            value.setattr("kind", about.kind)?;
            value.setattr("file", about.file)?;
            value.setattr("row", about.row)?;
            value.setattr("line", about.line)?;
            value.setattr("column", about.column)?;
            value.setattr("reason", about.reason)?;
            value.setattr("option", about.option)
        };
        set().err().unwrap_or(exception)
    })
}

/// An option that is out of its range.
pub fn refused(option: &'static str, why: impl Into<String>) -> PyErr {
    raised(Cause::InvalidOption { option, why: why.into() })
}
