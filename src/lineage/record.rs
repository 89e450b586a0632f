//! What made a file: the record in its footer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::input::Input;
use super::run_id::RunId;
use crate::base::error::{Error, Result};
use crate::base::keys::LINEAGE_KEY;

/// The form of the record. Records of other forms are refused.
const FORM: u64 = 1;

/// What made a file: the inputs, the options and the version of a run, and what became of its rows.
///
/// It holds no time, no random number and nothing of the machine. So a run that is made again gives the same record, and the
/// file has the same bytes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// What tells whether another run would make the same rows: it follows from the version, the options and the inputs.
    pub id: RunId,
    /// The version of this crate that made the file.
    pub version: String,
    /// The inputs, in their order.
    pub inputs: Vec<Input>,
    /// The options that decide the rows and how they are stored, as words of a command line.
    pub options: Vec<String>,
    /// The columns of the file, in their order.
    pub columns: Vec<Column>,
    /// Rows read.
    pub rows_in: u64,
    /// Rows written.
    pub rows_out: u64,
}

/// A column of an output, and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The columns of the input that it was made of. An image is its pixels, so no column stands for what only its place or
    /// the seed decides, such as `sample_id`.
    pub from: Vec<String>,
    /// Whether its values are those of the one column that it was made of.
    pub is_copy: bool,
    /// The names of the blocks of features in it, and how many values each has.
    pub blocks: Vec<(String, usize)>,
}

impl Record {
    /// As JSON on one line: what stands in the footer under [`LINEAGE_KEY`].
    pub fn to_json(&self) -> Value {
        json!({
            "form": FORM,
            "id": self.id.to_string(),
            "producer": env!("CARGO_PKG_NAME"),
            "version": self.version,
            "inputs": self.inputs.iter().map(Input::to_json).collect::<Vec<_>>(),
            "options": self.options,
            "columns": self.columns.iter().map(Column::to_json).collect::<Vec<_>>(),
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
        })
    }

    /// Reads what [`Record::to_json`] wrote. `file` is what errors call the file.
    ///
    /// # Errors
    /// [`Error::Format`] if it is no such record, or of a form that this version does not know.
    pub fn from_json(text: &str, file: &str) -> Result<Self> {
        let damaged = |what: &str| Error::format(file, format!("its lineage record {what}"));
        let value: Value = serde_json::from_str(text).map_err(|e| damaged(&format!("is not JSON: {e}")))?;
        let version = value["version"].as_str().unwrap_or("of no known number").to_owned();
        match value["form"].as_u64() {
            Some(FORM) => {}
            Some(form) => {
                let here = env!("CARGO_PKG_VERSION");
                let what = format!(
                    "has form {form}, which pixelfeat {version} wrote; this is pixelfeat {here}, which reads form {FORM}"
                );
                return Err(damaged(&what));
            }
            None => return Err(damaged("does not tell its form")),
        }
        let read = || {
            Some(Self {
                id: value["id"].as_str()?.parse().ok()?,
                version,
                inputs: value["inputs"].as_array()?.iter().map(Input::from_json).collect::<Option<_>>()?,
                options: strings(&value["options"])?,
                columns: value["columns"].as_array()?.iter().map(Column::from_json).collect::<Option<_>>()?,
                rows_in: value["rows_in"].as_u64()?,
                rows_out: value["rows_out"].as_u64()?,
            })
        };
        read().ok_or_else(|| damaged("lacks a member, or one has another type than it should have"))
    }

    /// The record among the key-value pairs of a footer; `None` if there is none. `file` is what errors call the file.
    ///
    /// # Errors
    /// As [`Record::from_json`].
    pub fn of_footer(pairs: &BTreeMap<String, String>, file: &str) -> Result<Option<Self>> {
        pairs.get(LINEAGE_KEY).map(|text| Self::from_json(text, file)).transpose()
    }

    /// The words of a command line for `featurize` that makes the file again, as `output`: inputs, options and the name of the
    /// output. They are not quoted.
    pub fn arguments(&self, output: &str) -> Vec<String> {
        let inputs = self.inputs.iter().filter(|input| input.option.is_none()).map(|input| input.name.clone());
        // A name that begins as an option does would be taken for one.
        let inputs = inputs.map(|name| if name.starts_with('-') && name != "-" { format!("./{name}") } else { name });
        let named = self.inputs.iter().filter_map(|input| Some((input.option.clone()?, input.name.clone())));
        let named = named.map(|(option, name)| format!("--{option}={name}"));
        let output = if output.starts_with('-') { format!("./{output}") } else { output.to_owned() };
        inputs.chain(self.options.iter().cloned()).chain(named).chain(["-o".to_owned(), output]).collect()
    }
}

impl Column {
    fn to_json(&self) -> Value {
        let mut about = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("from".to_owned(), json!(self.from)),
            ("copy".to_owned(), json!(self.is_copy)),
        ]);
        if !self.blocks.is_empty() {
            about.insert("blocks".to_owned(), json!(self.blocks));
        }
        Value::Object(about)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let block = |block: &Value| Some((block[0].as_str()?.to_owned(), usize::try_from(block[1].as_u64()?).ok()?));
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            from: strings(&value["from"])?,
            is_copy: value["copy"].as_bool()?,
            blocks: match value.get("blocks") {
                Some(blocks) => blocks.as_array()?.iter().map(block).collect::<Option<_>>()?,
                None => Vec::new(),
            },
        })
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let hashed = Input {
            name: "-x.parquet".to_owned(),
            files: 2,
            bytes: Some(10),
            rows: Some(3),
            blake3: Some("ab".to_owned()),
            ..Input::default()
        };
        let labels = Input { name: "y".to_owned(), option: Some("labels".to_owned()), ..Input::default() };
        let options = vec!["--gray".to_owned()];
        let inputs = vec![hashed, labels];
        Record {
            id: RunId::of("0.1.0", &options, &inputs),
            version: "0.1.0".to_owned(),
            inputs,
            options,
            columns: vec![Column {
                name: "features".to_owned(),
                from: vec!["image".to_owned()],
                is_copy: false,
                blocks: vec![("row_sums".to_owned(), 28)],
            }],
            rows_in: 4,
            rows_out: 3,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = record();
        assert_eq!(Record::from_json(&record.to_json().to_string(), "f").unwrap(), record);
        assert_eq!(record.arguments("-o"), ["./-x.parquet", "--gray", "--labels=y", "-o", "./-o"]);
    }

    #[test]
    fn another_form_and_damage_are_told_apart() {
        let mut value = record().to_json();
        value["rows_in"] = json!("4");
        let refused = |value: &Value| Record::from_json(&value.to_string(), "a.parquet").unwrap_err().to_string();
        assert_eq!(
            refused(&value),
            "a.parquet: its lineage record lacks a member, or one has another type than it should have"
        );
        (value["form"], value["version"]) = (json!(9), json!("7.0.0"));
        let told = refused(&value);
        assert!(told.starts_with("a.parquet: its lineage record has form 9, which pixelfeat 7.0.0 wrote"), "{told}");
        assert!(Record::from_json("{", "f").unwrap_err().to_string().contains("is not JSON"));
        assert!(Record::from_json("{}", "f").unwrap_err().to_string().contains("does not tell its form"));
    }
}
