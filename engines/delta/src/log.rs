//! The commits of a table, as they stand in its log.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The folder of the log in that of the table.
pub const LOG: &str = "_delta_log";

/// A commit: what made a version of a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Commit {
    /// The version.
    pub version: u64,
    /// When it was made, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// `Append`, `Overwrite`, or what another writer calls it, such as `OPTIMIZE`.
    pub operation: String,
    /// The rows of the files that it added, if their statistics tell.
    pub rows: Option<u64>,
    /// Everything that the log says of it, such as `pixelfeat.digest`.
    pub info: Map<String, Value>,
}

/// The commits whose entries the log still has, newest first. (Delta's tools remove old ones after a checkpoint.)
///
/// # Errors
/// [`Error::Log`] if a part of the log cannot be read or is no JSON, [`Error::NotATable`] if there is no log.
pub fn history(table: impl AsRef<Path>) -> Result<Vec<Commit>> {
    let table = table.as_ref();
    let folder = table.join(LOG);
    let entries = fs::read_dir(&folder).map_err(|_| not_a_table(table))?;
    let mut commits = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::io("read", &folder, e))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let version = name.strip_suffix(".json").filter(|digits| digits.len() == 20);
        if let Some(version) = version.and_then(|digits| digits.parse().ok()) {
            commits.push(commit(table, &path, version)?);
        }
    }
    commits.sort_by_key(|commit| std::cmp::Reverse(commit.version));
    if commits.is_empty() {
        return Err(Error::Log { table: table.to_owned(), why: format!("there are no commits in {LOG}") });
    }
    Ok(commits)
}

fn commit(table: &Path, path: &Path, version: u64) -> Result<Commit> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    let mut commit = Commit { version, timestamp: None, operation: String::new(), rows: Some(0), info: Map::new() };
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let action: Value = serde_json::from_str(line).map_err(|error| Error::Log {
            table: table.to_owned(),
            why: format!("version {version} is cut or damaged in line {}: {error}", at + 1),
        })?;
        if let Some(add) = action.get("add") {
            let rows = add["stats"].as_str().and_then(|stats| serde_json::from_str::<Value>(stats).ok());
            let rows = rows.and_then(|stats| stats["numRecords"].as_u64());
            commit.rows = commit.rows.zip(rows).map(|(sum, rows)| sum + rows);
        }
        if let Some(Value::Object(info)) = action.get("commitInfo") {
            commit.info = info.clone();
        }
    }
    if text.trim().is_empty() {
        return Err(Error::Log { table: table.to_owned(), why: format!("version {version} is empty") });
    }
    commit.timestamp = commit.info.get("timestamp").and_then(Value::as_i64);
    let mode = commit.info.get("operationParameters").and_then(|parameters| parameters["mode"].as_str());
    let operation = commit.info.get("operation").and_then(Value::as_str).unwrap_or("unknown");
    commit.operation = mode.filter(|_| operation == "WRITE").unwrap_or(operation).to_owned();
    Ok(commit)
}

/// What is there instead of a table.
pub fn not_a_table(table: &Path) -> Error {
    let why = match fs::metadata(table) {
        Err(error) => error.to_string(),
        Ok(about) if !about.is_dir() => "it is a file".to_owned(),
        Ok(_) => format!("there is no folder {LOG} in it"),
    };
    Error::NotATable { table: table.to_owned(), why }
}
