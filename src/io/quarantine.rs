//! The rows set aside, as NDJSON.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use serde_json::value::RawValue;

use super::output::{OutputFile, write_error};
use crate::error::{Error, Result};
use crate::pipeline::{InvalidRow, OnInvalidRow};
use crate::reason::Reason;

/// A file that takes the rows which could not be featurized.
///
/// One JSON object a line: `file` (where the reader named one), `row` (from 0, in that file), `line` (from 1, for JSON
/// input), `reason`, `detail`, and what was there: `record`, the row's columns with the image as it stood in the file, or
/// `text`, the line, where it was not JSON. It appears under its name when [`Quarantine::finish`] is called, empty if
/// there was no such row.
#[derive(Clone)]
pub struct Quarantine {
    file: Arc<Mutex<Option<OutputFile>>>,
    path: PathBuf,
}

impl fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantine").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Quarantine {
    /// Starts the file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = Arc::new(Mutex::new(Some(OutputFile::create(&path)?)));
        Ok(Self { file, path })
    }

    /// What writes the rows, for [`StreamOptions::quarantine`](crate::StreamOptions::quarantine). `image` is the image
    /// column.
    pub fn sink(&self, image: &str) -> OnInvalidRow {
        let (quarantine, image) = (self.clone(), image.to_owned());
        Box::new(move |row| {
            let line = entry(row, &image)?;
            match &mut *quarantine.file.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(file) => file.write_all(line.as_bytes()).map_err(|e| write_error(&quarantine.path, e)),
                None => Err(Error::Internal("the quarantine is already finished".to_owned())),
            }
        })
    }

    /// Completes the file; later calls do nothing.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be completed.
    pub fn finish(&self) -> Result<()> {
        match self.file.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(file) => file.finish().map(drop),
            None => Ok(()),
        }
    }
}

fn entry(invalid: &InvalidRow<'_>, image: &str) -> Result<String> {
    let defect = invalid.defect;
    let mut line = String::from("{");
    if let Some(file) = &invalid.file {
        line += &format!("\"file\":{},", quoted(file));
    }
    line += &format!("\"row\":{},", invalid.row);
    if let Some(number) = defect.line {
        line += &format!("\"line\":{number},");
    }
    line += &format!("\"reason\":{},\"detail\":{},", quoted(defect.reason.name()), quoted(&defect.detail));
    if defect.reason == Reason::BrokenLine {
        line += &format!("\"text\":{}", quoted(defect.raw.as_deref().unwrap_or_default()));
    } else {
        line += &format!("\"record\":{}", record(invalid, image)?);
    }
    line += "}\n";
    Ok(line)
}

/// The row as a JSON object; in place of the image what stood in the file, if the reader kept it.
fn record(invalid: &InvalidRow<'_>, image: &str) -> Result<String> {
    let mut row = invalid.batch.slice(invalid.defect.row, 1);
    let raw = invalid.defect.raw.as_deref();
    if raw.is_some()
        && let Ok(at) = row.schema_ref().index_of(image)
    {
        row.remove_column(at);
    }
    let mut json = Vec::new();
    if row.num_columns() > 0 {
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut json);
        writer.write(&row).and_then(|()| writer.finish()).map_err(Error::from)?;
    }
    let json = String::from_utf8_lossy(&json);
    let members = json.trim().trim_start_matches('{').strip_suffix('}').unwrap_or_default();
    let Some(raw) = raw else { return Ok(format!("{{{members}}}")) };
    let value = match serde_json::from_str::<&RawValue>(raw) {
        Ok(value) => value.get().to_owned(),
        Err(_) => quoted(raw),
    };
    let comma = if members.is_empty() { "" } else { "," };
    Ok(format!("{{{members}{comma}{}:{value}}}", quoted(image)))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
