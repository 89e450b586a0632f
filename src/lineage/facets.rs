//! Facets of OpenLineage: what an event tells of a data set and of a run.

use std::path::Path;

use arrow_schema::{DataType, Field, Schema};
use serde_json::{Map, Value, json};

use super::input::Input;
use super::record::{Column, Record};
use crate::quality::{CheckReport, ColumnProfile, Profile, Severity};

/// Whoever sends the events, as a URI: a package URL.
pub(super) const PRODUCER: &str = concat!("pkg:cargo/", env!("CARGO_PKG_NAME"), "@", env!("CARGO_PKG_VERSION"));
/// The schema of the events.
pub(super) const SPEC: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json";

/// Facets by their names.
pub(super) type Facets = Map<String, Value>;

/// A facet: its members, who made it, and its schema by version and name.
fn facet(schema: &str, mut members: Value) -> Value {
    members["_producer"] = json!(PRODUCER);
    members["_schemaURL"] = json!(schema);
    members
}

/// The address of a schema of a facet, which is also the name of its definition.
fn schema_of(version: &str, name: &str) -> String {
    format!("https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}")
}

/// The columns of a data set. The list of features has its blocks as fields.
pub(super) fn schema(of: &Schema, columns: &[Column]) -> Value {
    fn fields(field: &Field) -> Vec<Value> {
        match field.data_type() {
            DataType::Struct(members) => members.iter().map(|member| described(member)).collect(),
            _ => Vec::new(),
        }
    }
    fn described(field: &Field) -> Value {
        let mut about = json!({ "name": field.name(), "type": field.data_type().to_string() });
        let members = fields(field);
        if !members.is_empty() {
            about["fields"] = json!(members);
        }
        about
    }
    let blocks = |name: &str| {
        let blocks = columns.iter().find(|column| column.name == name).map_or(&[][..], |column| &column.blocks);
        let block = |(name, values): &(String, usize)| json!({ "name": name, "type": format!("{values} x Float32") });
        blocks.iter().map(block).collect::<Vec<Value>>()
    };
    let all = of.fields().iter().enumerate().map(|(at, field)| {
        let mut about = described(field);
        about["ordinal_position"] = json!(at + 1);
        let blocks = blocks(field.name());
        if !blocks.is_empty() {
            about["fields"] = json!(blocks);
        }
        about
    });
    facet(&schema_of("1-2-0", "SchemaDatasetFacet"), json!({ "fields": all.collect::<Vec<_>>() }))
}

/// Where a data set lies.
pub(super) fn data_source(path: &str) -> Value {
    facet(&schema_of("1-0-1", "DatasourceDatasetFacet"), json!({ "name": "file", "uri": uri(path) }))
}

/// The version of a data set: a hash or digest of its content.
pub(super) fn version(version: &str) -> Value {
    facet(&schema_of("1-0-1", "DatasetVersionDatasetFacet"), json!({ "datasetVersion": version }))
}

/// Which columns of which inputs each column of the output was made of. A block of features is `features.NAME`.
pub(super) fn column_lineage(record: &Record, namespace: &str, names: &[String]) -> Value {
    let mut fields = Map::new();
    for column in &record.columns {
        let (kind, what) = match column.is_copy {
            true => ("IDENTITY", ""),
            false => ("TRANSFORMATION", "computed from the pixels or values of this column"),
        };
        let of = |field: &String, name: &String| {
            let how = json!({ "type": "DIRECT", "subtype": kind, "description": what, "masking": false });
            json!({ "namespace": namespace, "name": name, "field": field, "transformations": [how] })
        };
        let from: Vec<Value> =
            column.from.iter().flat_map(|field| names.iter().map(move |name| of(field, name))).collect();
        let blocks = column.blocks.iter().map(|(block, _)| format!("{}.{block}", column.name));
        for name in std::iter::once(column.name.clone()).chain(blocks) {
            fields.insert(name, json!({ "inputFields": from }));
        }
    }
    facet(&schema_of("1-2-0", "ColumnLineageDatasetFacet"), json!({ "fields": fields }))
}

/// What was read of an input.
pub(super) fn input_statistics(input: &Input) -> Value {
    let mut members = json!({ "fileCount": input.files });
    if let Some(bytes) = input.bytes {
        members["size"] = json!(bytes);
    }
    if let Some(rows) = input.rows {
        members["rowCount"] = json!(rows);
    }
    facet(&schema_of("1-0-0", "InputStatisticsInputDatasetFacet"), members)
}

/// What was written.
pub(super) fn output_statistics(rows: u64, bytes: u64) -> Value {
    let members = json!({ "rowCount": rows, "size": bytes });
    facet(&schema_of("1-0-2", "OutputStatisticsOutputDatasetFacet"), members)
}

/// What a profile knows of some columns. `name` and `version` are those of the facet, which inputs and outputs each have.
fn metrics<'a>(
    rows: u64,
    of: impl Iterator<Item = &'a ColumnProfile>,
    bytes: Option<u64>,
    version: &str,
    name: &str,
) -> Value {
    let column = |of: &ColumnProfile| {
        let mut about = json!({ "nullCount": of.nulls(), "count": of.rows() - of.nulls() });
        if let Some(distinct) = of.distinct_count() {
            about["distinctCount"] = json!(distinct);
        }
        if let Some(numbers) = of.numbers()
            && let (Some(min), Some(max)) = (numbers.min(), numbers.max())
        {
            (about["min"], about["max"]) = (json!(min), json!(max));
            let sum = numbers.sum();
            if sum.is_finite() {
                about["sum"] = json!(sum);
            }
        }
        (of.name().to_owned(), about)
    };
    let columns: Map<String, Value> = of.map(column).collect();
    let mut members = json!({ "rowCount": rows, "columnMetrics": columns });
    if let Some(bytes) = bytes {
        members["bytes"] = json!(bytes);
    }
    facet(&schema_of(version, name), members)
}

/// What a profile knows of the columns of the only input.
pub(super) fn input_metrics(profile: &Profile, bytes: Option<u64>) -> Value {
    metrics(profile.rows(), profile.columns().iter(), bytes, "1-0-3", "DataQualityMetricsInputDatasetFacet")
}

/// What a profile knows of the features, and of the columns as well if those are of several inputs.
pub(super) fn output_metrics(profile: &Profile, with_columns: bool) -> Value {
    let columns = if with_columns { profile.columns() } else { &[] };
    let columns = columns.iter().chain(profile.features());
    metrics(profile.rows(), columns, None, "1-0-0", "DataQualityMetricsDatasetFacet")
}

/// What checks found.
pub(super) fn assertions(report: &CheckReport) -> Value {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let all = report.results.iter().map(|result| {
        let severity = if result.severity == Severity::Error { "error" } else { "warn" };
        let mut about = json!({
            "assertion": result.check,
            "success": result.passed,
            "severity": severity,
            "actual": text(&result.observed),
        });
        if !result.expected.is_empty() {
            about["expected"] = json!(result.expected);
        }
        if let Some(target) = &result.target {
            about["column"] = json!(target);
        }
        about
    });
    let members = json!({ "assertions": all.collect::<Vec<_>>() });
    facet(&schema_of("1-1-0", "DataQualityAssertionsDatasetFacet"), members)
}

/// This crate and its version.
pub(super) fn processing_engine() -> Value {
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let members = json!({ "name": name, "version": version, "openlineageAdapterVersion": version });
    facet(&schema_of("1-1-1", "ProcessingEngineRunFacet"), members)
}

/// Why a run failed.
pub(super) fn error_message(message: &str) -> Value {
    let members = json!({ "message": message, "programmingLanguage": "RUST" });
    facet(&schema_of("1-0-1", "ErrorMessageRunFacet"), members)
}

/// What connects an event with the record in the footer of the output: the id there, and the options.
pub(super) fn record(record: &Record) -> Value {
    let members = json!({ "id": record.id.to_string(), "options": record.options });
    facet(&format!("{SPEC}#/$defs/RunFacet"), members)
}

/// A path as a `file` URI. Bytes that a URI cannot hold are escaped.
fn uri(path: &str) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' | b'=' => {
                uri.push(char::from(byte));
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

/// The absolute path of a name, which need not exist.
pub(super) fn absolute(name: &str) -> String {
    std::path::absolute(name).unwrap_or_else(|_| Path::new(name).to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("/a b/ü=1.json"), "file:///a%20b/%C3%BC=1.json");
    }
}
