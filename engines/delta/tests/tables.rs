//! Appending, overwriting and reading versions.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, RecordBatchIterator, RecordBatchReader, StringArray};
use arrow_schema::{ArrowError, Schema};
use pixelfeat::lineage::{DIGEST_KEY, Digest};
use pixelfeat::{io, lineage};
use pixelfeat_delta::{Error, Mode, Table, TableOptions, history, write};
use tempfile::tempdir;

use crate::{digest, features, names, numbers, put, read, rows};

#[test]
fn every_version_keeps_its_rows_and_the_log_their_digests() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("a/digits");
    for (version, mode, seed) in [(0, Mode::Append, 1), (1, Mode::Append, 2), (2, Mode::Overwrite, 3)] {
        let written = put(&table, mode, features(200, seed, "profiles")).unwrap();
        assert_eq!((written.version, written.rows, written.files), (version, 200, 1));
    }
    let first = Digest::of(features(200, 1, "profiles")).unwrap();
    let both = features(200, 1, "profiles").chain(features(200, 2, "profiles"));
    let both = Digest::of(RecordBatchIterator::new(both, features(1, 1, "profiles").schema())).unwrap();
    let last = Digest::of(features(200, 3, "profiles")).unwrap();
    assert_eq!([Some(0), Some(1), Some(2), None].map(|version| digest(&table, version)), [first, both, last, last]);
    let commits = history(&table).unwrap();
    let told = |at: usize| Digest::from_json(&commits[at].info[DIGEST_KEY]).unwrap();
    assert_eq!((told(0), told(2)), (last, first));
    let said: Vec<_> = commits.iter().map(|c| (c.version, c.operation.as_str(), c.rows)).collect();
    assert_eq!(said, [(2, "Overwrite", Some(200)), (1, "Append", Some(200)), (0, "Append", Some(200))]);
}

/// A table gives back the columns that were written, and its schema says of the features what theirs said.
#[test]
fn a_version_has_the_types_and_metadata_of_its_rows() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    let written = features(300, 1, "profiles,gradients").schema();
    put(&table, Mode::Append, features(300, 1, "profiles,gradients")).unwrap();
    let table = Table::open(table, None).unwrap();
    let schema = table.read(&io::ReadOptions::default()).unwrap().schema();
    assert_eq!(schema.metadata(), written.metadata());
    let types = |schema: &Schema| -> Vec<_> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    assert_eq!(types(&schema), types(&written));
    assert!(types(&table.columns().unwrap()) != types(&written), "Delta has no lists of a fixed size");
    assert_eq!(table.properties().unwrap()["pixelfeat.features"], "profiles,gradients");
}

#[test]
fn rows_are_cut_into_files_and_keep_their_order() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("digits");
    let options = TableOptions::new(Mode::Append).with_file_bytes(100 * 260);
    let written = write(&table, features(1_000, 1, "profiles"), &options).unwrap();
    assert!((5..=16).contains(&written.files), "{written:?}");
    assert_eq!(names(&table).len(), written.files);
    assert_eq!(digest(&table, None), Digest::of(features(1_000, 1, "profiles")).unwrap());
}

#[test]
fn no_rows_make_a_table_without_files() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("none");
    assert_eq!(put(&table, Mode::Append, features(0, 1, "profiles")).unwrap().rows, 0);
    assert_eq!(digest(&table, None).rows(), 0);
    put(&table, Mode::Append, features(10, 1, "profiles")).unwrap();
    assert_eq!((digest(&table, Some(0)).rows(), digest(&table, None).rows()), (0, 10));
}

#[test]
fn a_run_that_fails_leaves_nothing() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("digits");
    let broken = || {
        let rows = features(500, 1, "profiles");
        let schema = rows.schema();
        let error = Err(ArrowError::ComputeError("the disk of the input broke".to_owned()));
        RecordBatchIterator::new(rows.chain([error]), schema)
    };
    let options = TableOptions::new(Mode::Append).with_file_bytes(10_000);
    assert!(write(&table, broken(), &options).unwrap_err().to_string().contains("broke"));
    assert!(!table.exists());
    put(&table, Mode::Append, features(10, 1, "profiles")).unwrap();
    let before = names(&table);
    write(&table, broken(), &options).unwrap_err();
    assert_eq!((names(&table), Table::open(&table, None).unwrap().version()), (before, 0));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("numbers");
    put(&table, Mode::Append, numbers(&[1, 2])).unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["one"]));
    let other: ArrayRef = Arc::new(Float32Array::from(vec![1.0]));
    let same: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let why = |columns: Vec<(&'static str, ArrayRef)>| {
        let error = put(&table, Mode::Append, rows(columns)).unwrap_err();
        assert!(matches!(error, Error::OtherColumns { .. }), "{error}");
        error.to_string()
    };
    assert!(why(vec![("n", text)]).contains("column `n` is Utf8, in the table Int64"));
    assert!(why(vec![("n", same.clone()), ("m", other.clone())]).contains("the table has no column `m`"));
    assert!(why(vec![("m", other)]).contains("they have no column `n`"));
    assert_eq!(digest(&table, None).rows(), 2);
    // Overwriting replaces the columns, and appending then asks for the new ones.
    put(&table, Mode::Overwrite, features(20, 1, "profiles")).unwrap();
    let error = put(&table, Mode::Append, features(20, 1, "zones:2x2")).unwrap_err();
    assert!(matches!(&error, Error::OtherFeatures { key, .. } if key == "features"), "{error}");
    put(&table, Mode::Append, features(20, 1, "profiles")).unwrap();
    assert_eq!(
        (digest(&table, Some(0)).rows(), digest(&table, Some(1)).rows(), digest(&table, None).rows()),
        (2, 20, 40)
    );
}

#[test]
fn statistics_tell_the_least_and_largest_values() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    let columns: [(&str, ArrayRef); 3] = [
        ("n", Arc::new(Int64Array::from(vec![Some(7), None, Some(-3)]))),
        ("x", Arc::new(Float32Array::from(vec![0.5, -1.5, 2.0]))),
        ("nan", Arc::new(Float32Array::from(vec![0.5, f32::NAN, 2.0]))),
    ];
    put(&table, Mode::Append, rows(columns)).unwrap();
    let log = std::fs::read_to_string(table.join("_delta_log/00000000000000000000.json")).unwrap();
    let add = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let add = add.into_iter().find_map(|action| action.get("add").cloned()).unwrap();
    let stats: serde_json::Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
    assert_eq!(
        stats,
        serde_json::json!({
            "numRecords": 3,
            "minValues": { "n": -3, "x": -1.5 },
            "maxValues": { "n": 7, "x": 2.0 },
            "nullCount": { "n": 1, "x": 0, "nan": 0 },
        })
    );
    let file = std::fs::metadata(table.join(add["path"].as_str().unwrap())).unwrap();
    assert_eq!(add["size"].as_u64(), Some(file.len()));
}

#[test]
fn partitions_are_refused() {
    let folder = tempdir().unwrap();
    let about = io::WriteOptions::default().with_partition_by("label");
    let options = TableOptions::new(Mode::Append).with_write(about);
    let error = write(folder.path().join("table"), features(10, 1, "profiles"), &options).unwrap_err();
    assert!(error.to_string().contains("partitions"), "{error}");
    assert!(read(&folder.path().join("table"), None).is_err());
    // The key under which commits have it is the one that files have.
    assert_eq!(lineage::DIGEST_KEY, "pixelfeat.digest");
}
