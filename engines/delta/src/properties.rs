//! What a table remembers of the rows that were written to it: its properties.

use std::collections::BTreeMap;
use std::collections::HashMap;

use arrow_schema::{Field, Fields, Schema};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use deltalake::arrow::ipc::convert::try_schema_from_ipc_buffer;
use deltalake::parquet::arrow::encode_arrow_schema;

/// What all keys of this project begin with.
const OWN: &str = "pixelfeat.";
/// The columns as they were before Delta's types, as Parquet files have them: an Arrow IPC message in base64.
const COLUMNS: &str = "pixelfeat.arrow_schema";
/// A newer version may add rows.
const VERSION: &str = "pixelfeat.version";

/// The properties of a table with rows of this schema: what is said of the features, and the types of the columns.
pub fn of(schema: &Schema) -> BTreeMap<String, String> {
    let mut properties: BTreeMap<String, String> = features(schema.metadata()).collect();
    // Readers are not to take the columns for something else.
    let fields: Fields = schema.fields().clone();
    properties.insert(COLUMNS.to_owned(), encode_arrow_schema(&Schema::new(fields)));
    properties
}

fn features(about: &HashMap<String, String>) -> impl Iterator<Item = (String, String)> {
    let own = about.iter().filter(|(key, _)| key.starts_with(OWN) && *key != COLUMNS);
    own.map(|(key, value)| (key.clone(), value.clone()))
}

/// The first property in which rows of a schema differ from a table: its name, that of the table and that of the rows. A table
/// that says nothing of features takes all.
pub fn difference(table: &HashMap<String, String>, schema: &Schema) -> Option<(String, String, String)> {
    let has: BTreeMap<_, _> = features(table).collect();
    let given: BTreeMap<_, _> = features(schema.metadata()).collect();
    if has.is_empty() {
        return None;
    }
    // `features` says more than the names that follow from it.
    let mut keys: Vec<&String> = has.keys().chain(given.keys()).filter(|key| *key != VERSION).collect();
    keys.sort_by_key(|key| (*key != "pixelfeat.features", key.len()));
    let key = keys.into_iter().find(|key| has.get(*key) != given.get(*key))?;
    let of = |properties: &BTreeMap<String, String>| properties.get(key).cloned().unwrap_or_default();
    Some((key.trim_start_matches(OWN).to_owned(), of(&has), of(&given)))
}

/// The columns of a table's rows as they were written, where the table knows; `columns` are those that it has.
pub fn original(table: &HashMap<String, String>, columns: &Schema) -> Schema {
    let known = table.get(COLUMNS).and_then(|text| BASE64_STANDARD.decode(text).ok());
    let known = known.and_then(|bytes| try_schema_from_ipc_buffer(&bytes).ok());
    let field = |field: &Field| {
        let known = known.as_ref().and_then(|known| known.field_with_name(field.name()).ok());
        // Other writers may have added nulls.
        known.map_or_else(|| field.clone(), |known| known.clone().with_nullable(true))
    };
    let fields: Fields = columns.fields().iter().map(|of| field(of)).collect();
    Schema::new_with_metadata(fields, features(table).collect())
}
