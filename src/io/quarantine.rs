//! Writes the rows that cannot be featurized to a file of their own, as NDJSON.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use serde_json::value::RawValue;

use super::output_file::OutputFile;
use crate::base::error::{Error, Result};
use crate::base::reason::Reason;
use crate::run::stream::{InvalidRow, OnInvalidRow};

/// A file for the rows that could not be featurized.
///
/// Each line is a JSON object: `file` (if the reader gave a name), `row` (from 0, in that file), `line` (from 1, if the
/// reader gave it), `reason`, `detail`, and the input: `record`, the columns of the row with the image as the file has it, or
/// `text`, the line, if it was not JSON. A value that JSON cannot express is described in a string. The file appears under its
/// name when [`Quarantine::finish`] is called; it is empty if there was no such row.
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

    /// Writes the rows of a stream, as [`StreamOptions::quarantine`](crate::StreamOptions::quarantine). `image` is the image
    /// column. For files, [`FeatureFiles`](crate::io::FeatureFiles) does this.
    pub fn sink(&self, image: &str) -> OnInvalidRow {
        let (quarantine, image) = (self.clone(), image.to_owned());
        Box::new(move |row| {
            let line = entry(row, &image)?;
            match &mut *quarantine.file.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(file) => file.write_all(line.as_bytes()).map_err(|e| Error::io("write", &quarantine.path, e)),
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

/// The row as a JSON object. The image is the text that the file has, if the reader kept it.
fn record(invalid: &InvalidRow<'_>, image: &str) -> Result<String> {
    let row = invalid.batch.slice(invalid.defect.row, 1);
    let mut members = Vec::new();
    for at in 0..row.num_columns() {
        let column = row.project(&[at]).map_err(Error::from)?;
        let name = column.schema_ref().field(0).name().clone();
        let member = match invalid.defect.raw.as_deref().filter(|_| name == image) {
            Some(raw) => {
                let value = serde_json::from_str::<&RawValue>(raw).map_or_else(|_| quoted(raw), |v| v.get().to_owned());
                format!("{}:{value}", quoted(&name))
            }
            // JSON has no infinities, and cannot express every type: such values are described in a string.
            None => written(&column)
                .filter(|_| name != image || invalid.defect.reason != Reason::NotFinite)
                .unwrap_or_else(|| format!("{}:{}", quoted(&name), quoted(&format!("{:?}", column.column(0))))),
        };
        members.push(member);
    }
    Ok(format!("{{{}}}", members.join(",")))
}

/// A batch of one row and one column as a member of a JSON object, as arrow-json writes it.
fn written(column: &RecordBatch) -> Option<String> {
    let mut json = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut json);
    writer.write(column).and_then(|()| writer.finish()).ok()?;
    let json = String::from_utf8(json).ok()?;
    Some(json.trim().strip_prefix('{')?.strip_suffix('}')?.to_owned())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
