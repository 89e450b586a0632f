//! How far two data sets are apart, beside what Evidently, SciPy and NumPy say.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use pixelfeat::io::{self, ReadOptions, Rows};
use pixelfeat::quality::{DriftOptions, DriftReport, MaxDrift, Profile};
use serde_json::{Value, json};

use crate::cli::{Place, text};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quality").join(name)
}

/// The profile of the first rows of a table.
fn profile(name: &str, rows: u64) -> Profile {
    let options = ReadOptions::default().with_rows(Rows::First(rows)).with_batch_rows(400);
    let mut profile = Profile::default();
    for batch in io::open(fixture(name), &options).unwrap() {
        profile.add_table(&batch.unwrap()).unwrap();
    }
    // As a reference comes from a file.
    Profile::from_json(&serde_json::from_str(&profile.to_json().to_string()).unwrap()).unwrap()
}

fn drift(rows: u64, options: &DriftOptions) -> DriftReport {
    profile("moved.parquet", rows).drift_from(&profile("table.parquet", rows), options).unwrap()
}

fn found<'a>(report: &'a Value, column: &str) -> &'a Value {
    report["results"].as_array().unwrap().iter().find(|of| of["column"] == column).expect(column)
}

#[test]
fn every_column_is_judged_as_evidently_does() {
    let all: Value = serde_json::from_slice(&fs::read(fixture("drift.json")).unwrap()).unwrap();
    for rows in [1_500, 800] {
        let expected = &all[rows.to_string()];
        let report = drift(rows, &DriftOptions::default()).to_json();
        for (column, by_evidently) in expected["evidently"].as_object().unwrap() {
            let found = found(&report, column);
            assert_eq!(found["test"], by_evidently["test"], "{rows} {column}");
            let (value, wanted) = (found["value"].as_f64().unwrap(), by_evidently["value"].as_f64().unwrap());
            // Up to 1,000 different values are exact. Of more, the middles of their bins stand for the values.
            let is_binned = rows > 1_000 && ["normal", "far", "wide"].contains(&&column[..]);
            // Evidently takes the probability of z from 1, which leaves 16 digits behind the point.
            let tolerance = if is_binned { 0.002 } else { 1e-9 * wanted + 1e-15 };
            assert!((value - wanted).abs() <= tolerance, "{rows} {column}: {value}, Evidently has {wanted}");
        }
        for (column, distances) in expected["distances"].as_object().unwrap() {
            for (name, wanted) in distances.as_object().unwrap() {
                let (value, wanted) = (found(&report, column)[name].as_f64().unwrap(), wanted.as_f64().unwrap());
                // NumPy rounds the edges of a histogram, which shows where values differ in their last digits only.
                let tolerance = match (rows > 1_000, &name[..]) {
                    (true, _) => 0.02 * wanted + 0.001,
                    (false, "js_divergence") => 1e-3 * wanted,
                    (false, _) => 1e-9,
                };
                assert!((value - wanted).abs() <= tolerance, "{rows} {column} {name}: {value}, NumPy has {wanted}");
            }
        }
    }
}

#[test]
fn new_and_vanished_values_and_columns_are_told_and_the_worst_comes_first() {
    let report = drift(1_500, &DriftOptions::default());
    let json = report.to_json();
    let kind = found(&json, "kind");
    assert_eq!((&kind["new"], &kind["vanished"], &kind["drifted"]), (&json!(["earwig"]), &json!([""]), &json!(true)));
    let drifted: Vec<bool> = report.columns.iter().map(|column| column.drifted).collect();
    assert!(drifted.is_sorted_by(|a, b| a >= b), "{drifted:?}");
    assert_eq!(report.columns[0].name, "small");
    let nulls = found(&json, "normal")["nulls"].as_array().unwrap();
    assert!((nulls[0].as_f64().unwrap() - 0.1).abs() < 0.03, "{nulls:?}");

    let table = |columns: Vec<(&str, ArrayRef)>| {
        let mut profile = Profile::default();
        profile.add_table(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        profile
    };
    let numbers = |values: [i64; 2]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let texts = Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef;
    let a = table(vec![("x", numbers([1, 2])), ("y", texts), ("z", numbers([1, 2]))]);
    let b = table(vec![("x", numbers([1, 2])), ("y", numbers([5, 6])), ("w", numbers([1, 2]))]);
    let json = b.drift_from(&a, &DriftOptions::default()).unwrap().to_json();
    assert_eq!(found(&json, "z")["note"], "it has vanished");
    assert_eq!(found(&json, "w")["note"], "the reference does not have it");
    assert_eq!(found(&json, "y")["note"], "its type was Utf8 and is Int64");
    assert_eq!((&found(&json, "x")["drifted"], &json["drifted_columns"]), (&json!(false), &json!(3)));
    let error = b.drift_from(&Profile::default(), &DriftOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "reference: a profile without rows cannot be compared");
}

#[test]
fn thresholds_and_limits_decide() {
    let names = |report: &DriftReport| -> Vec<String> {
        report.columns.iter().filter(|column| column.drifted).map(|column| column.name.clone()).collect()
    };
    let mut options = DriftOptions::default();
    let usual = drift(1_500, &options);
    assert_eq!(names(&usual), ["small", "normal", "kind", "flag"]);
    // Four of eleven are fewer than half.
    assert!(!usual.drifted && usual.verdict().is_ok());
    options.max_drift = MaxDrift::Columns(3);
    options.thresholds.insert("flag".to_owned(), 0.2);
    assert!(!drift(1_500, &options).drifted);
    options.thresholds.insert("far".to_owned(), 0.001);
    let message = drift(1_500, &options).verdict().unwrap_err().to_string();
    assert_eq!(message, "4 of 11 columns have drifted from the reference, the limit is 3: far, small, normal, kind");
    options.thresholds.insert("colour".to_owned(), 1.0);
    let moved = profile("moved.parquet", 10);
    let error = moved.drift_from(&moved, &options).unwrap_err().to_string();
    assert_eq!(error, "reference: there is no column `colour` for a threshold");
    for text in ["0", "7", "50%", "0.5%"] {
        assert_eq!(text.parse::<MaxDrift>().unwrap().to_string(), text);
    }
    assert!("-1".parse::<MaxDrift>().is_err() && "200%".parse::<MaxDrift>().is_err());
}

#[test]
fn a_run_is_compared_with_a_reference_and_stopped_if_it_drifts() {
    let place = Place::new();
    let (table, moved) = (fixture("table.parquet"), fixture("moved.parquet"));
    let [table, moved] = [&table, &moved].map(|path| path.to_str().unwrap());
    let shape = ["--shape", "8x6x3", "-q"];
    place.done(&[&[table, "--profile", "p.json"], &shape[..]].concat());
    place.done(&[&[table, "--reference", "p.json", "--max-drift", "0", "-o", "same.parquet"], &shape[..]].concat());
    let args = [moved, "--reference", "p.json", "--max-drift", "1", "--drift-report", "d.json", "-o", "none.parquet"];
    let output = place.run(&[&args[..], &shape[..]].concat());
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(shown.contains("drifted small: Wasserstein distance (normed)") && shown.contains("new: earwig"), "{shown}");
    assert!(!place.path("none.parquet").exists());
    let report: Value = serde_json::from_slice(&fs::read(place.path("d.json")).unwrap()).unwrap();
    assert_eq!(report["drifted"], true);
    for compared in ["pixel_mean", "image.sharpness", "pixels.2", "c0_mean"] {
        assert_eq!(found(&report, compared)["drifted"], false, "{compared}");
    }
    // Without a limit drift is told and stops nothing.
    let shown = place.done(&[moved, "--shape", "8x6x3", "--reference", "p.json"]);
    assert!(shown.contains("columns have drifted"), "{shown}");
    place.file("no.json", "{}");
    let message = place.failed(&[table, "--reference", "no.json"]);
    assert_eq!(message, "profile: it is not the JSON of a profile: it has no version");
}
