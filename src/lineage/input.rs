//! An input of a run, as it is recorded.

use serde_json::{Map, Value, json};

/// An input of a run: a file, or the files that a folder or a pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Input {
    /// Its name, as it was given; `-` for stdin.
    pub name: String,
    /// The option that names it, such as `labels`, if it is none of the files that rows are read from.
    pub option: Option<String>,
    /// How many files it stands for; 0 for a stream.
    pub files: u64,
    /// The bytes of all its files; `None` for a stream.
    pub bytes: Option<u64>,
    /// The rows that were read from it; `None` if that is not known.
    pub rows: Option<u64>,
    /// The BLAKE3 hash of the file, as `b3sum FILE` tells it, if it was hashed. Of several files that of the lines which
    /// `b3sum FILE…` prints for them, in their order.
    pub blake3: Option<String>,
    /// Whether rows hold something of its name: it is an image, it stands for several files, or it is in a folder such as
    /// `label=3`.
    pub is_named: bool,
}

impl Input {
    pub(super) fn to_json(&self) -> Value {
        let members = [
            ("name", Some(json!(self.name))),
            ("option", self.option.as_ref().map(|option| json!(option))),
            ("files", (self.files != 1).then(|| json!(self.files))),
            ("bytes", self.bytes.map(|bytes| json!(bytes))),
            ("rows", self.rows.map(|rows| json!(rows))),
            ("blake3", self.blake3.as_ref().map(|hash| json!(hash))),
            ("named", self.is_named.then_some(json!(true))),
        ];
        Value::Object(Map::from_iter(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)))))
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let number = |key: &str| match value.get(key) {
            Some(value) => value.as_u64().map(Some),
            None => Some(None),
        };
        let text = |key: &str| match value.get(key) {
            Some(value) => value.as_str().map(|text| Some(text.to_owned())),
            None => Some(None),
        };
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            option: text("option")?,
            files: number("files")?.unwrap_or(1),
            bytes: number("bytes")?,
            rows: number("rows")?,
            blake3: text("blake3")?,
            is_named: value.get("named").is_some_and(|named| named == true),
        })
    }
}
