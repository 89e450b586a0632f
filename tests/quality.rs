//! What a run says of its data and of the rows that it cannot take.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc"))]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, Int64Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StringArray,
};
use pixelfeat::io::{self, ReadOptions, WriteOptions};
use pixelfeat::quality::{Profile, Profiler};
use pixelfeat::synthetic::Digits;
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, Featurizer, StreamOptions};
use serde_json::{Value, json};

use crate::cli::{Place, text};
use crate::support::example;

/// Lines with `good` images of 2×2 pixels and `bad` ones of six values.
fn lines(good: usize, bad: usize) -> String {
    let line = |pixels: &str| format!("{{\"image\": [{pixels}], \"label\": 1}}\n");
    line("1, 2, 3, 4").repeat(good) + &line("1, 2, 3, 4, 5, 6").repeat(bad)
}

#[test]
fn a_run_without_any_features_fails_and_says_what_would_fit() {
    let place = Place::new();
    place.file("in.ndjson", lines(0, 3));
    let message = place.failed(&["in.ndjson", "--shape", "2x2", "--quarantine", "bad.ndjson"]);
    assert_eq!(
        message,
        "none of 3 rows could be featurized: 3 rows have 6 values; 2x2 is 4; did you mean 2x3?; the first is in.ndjson: \
         row 0"
    );
    assert_eq!(text(&fs::read(place.path("bad.ndjson")).unwrap()).lines().count(), 3, "the evidence is kept");
    assert!(!place.path("features.parquet").exists());
    place.done(&["in.ndjson", "--shape", "2x2", "--max-invalid", "100%"]);
    place.done(&["in.ndjson", "--shape", "2x3"]);

    place.file("deep.ndjson", "{\"image\": [1, 2, 3, 4000]}\n{\"image\": null}\n");
    let message = place.failed(&["deep.ndjson", "--shape", "2x2"]);
    let expected = "none of 2 rows could be featurized: 1 row null image; 1 row out of range (pixel 3 is 4000); pixel type \
                    u16 would take most values that do not fit; the first is deep.ndjson: row 0 (line 1)";
    assert_eq!(message, expected);
}

#[test]
fn the_gate_opens_at_its_limit_and_closes_beyond() {
    let place = Place::new();
    place.file("in.ndjson", lines(98, 2));
    for passes in ["2", "2%", "100%", "50"] {
        place.done(&["in.ndjson", "--shape", "2x2", "--max-invalid", passes, "-q"]);
    }
    for fails in ["1", "1.9%", "0", "0%"] {
        let message = place.failed(&["in.ndjson", "--shape", "2x2", "--max-invalid", fails, "-o", "none.parquet"]);
        assert!(message.starts_with(&format!("2 of 100 rows could not be featurized, more than {fails}")), "{message}");
    }
    assert!(!place.path("none.parquet").exists());
    // Nothing to featurize is nothing wrong.
    place.file("empty.ndjson", "");
    place.done(&["empty.ndjson", "--shape", "2x2", "--max-invalid", "0%"]);
}

#[test]
fn a_stream_has_gone_out_when_the_gate_closes_and_the_exit_code_tells() {
    let mut child = example("featurize")
        .args(["-", "-o", "-", "--shape", "2x2", "--batch-size", "1", "--max-invalid", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines(3, 2).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stdout.is_empty());
    let message = text(&output.stderr);
    assert!(message.contains("2 of 5 rows could not be featurized, more than 1: 2 rows have 6 values"), "{message}");
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quality").join(name)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The profile of a table of the fixtures, with batches of so many rows.
fn profile_of(name: &str, rows: usize, threads: usize) -> Profile {
    let engine = Engine::new(EngineOptions::backend(Backend::Cpu).with_threads(threads)).unwrap();
    let featurizer = Featurizer::new(engine, FeatureSpec::new("8x6x3".parse().unwrap()));
    let profiler = Profiler::new(Some("label"));
    let (stream, _) = io::FeatureFiles::new(&featurizer)
        .with_read_options(ReadOptions::default().with_batch_rows(rows))
        .with_observer(Box::new(profiler.clone()))
        .open([fixture(name)])
        .unwrap();
    stream.for_each(|batch| drop(batch.unwrap()));
    profiler.profile()
}

/// The bytes of a profile's file.
fn written(profile: &Profile) -> String {
    profile.to_json().to_string()
}

fn close(found: &Value, expected: &Value, tolerance: f64, what: &str) {
    let (found, expected) = (found.as_f64().expect(what), expected.as_f64().expect(what));
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs().max(f64::MIN_POSITIVE), "{what}: {found}, NumPy has {expected}");
}

/// Compares what a profile says of some numbers with what NumPy says. Quantiles of more than 1,000 different values come from
/// bins.
fn same_numbers(found: &Value, expected: &Value, what: &str) {
    for name in ["min", "max"] {
        // serde_json may read a number one unit off.
        close(&found[name], &expected[name], 2.3e-16, &format!("{what} {name}"));
    }
    // One unit in the last place of the mean, two of the deviation: the fixture has those of exact arithmetic.
    close(&found["mean"], &expected["mean"], 2.3e-16, &format!("{what} mean"));
    close(&found["std"], &expected["std"], 4.5e-16, &format!("{what} std"));
    for (share, value) in expected["quantiles"].as_object().unwrap() {
        close(&found["quantiles"][share], value, 0.004, &format!("{what} at {share}"));
    }
    let counts = found["histogram"]["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap());
    assert!(counts.clone().count() <= 20 && counts.sum::<u64>() > 0, "{what}");
}

#[test]
fn a_profile_says_what_numpy_says() {
    let expected = json_of(&fixture("table.json"));
    let found = profile_of("table.parquet", 333, 2).to_json();
    assert_eq!(found["rows"], 1_500);
    let names: Vec<_> = found["columns"].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["normal", "far", "wide", "small", "id", "flag", "kind", "time", "parts", "label"]);
    for column in found["columns"].as_array().unwrap() {
        let name = column["name"].as_str().unwrap();
        let expected = &expected["columns"][name];
        assert_eq!((&column["count"], &column["nulls"]), (&json!(1_500), &expected["nulls"]), "{name}");
        if let Some(distinct) = expected["distinct"].as_u64() {
            let tolerance = if distinct > 1_000 { 0.05 } else { 0.0 };
            close(&column["distinct"], &json!(distinct), tolerance, &format!("{name} distinct"));
            let common: Vec<Value> = column["most_common"].as_array().into_iter().flatten().cloned().collect();
            let wanted = expected["most_common"].as_array().into_iter().flatten();
            let wanted: Vec<Value> =
                wanted.map(|pair| json!([pair[0].as_f64().map_or(pair[0].clone(), Value::from), pair[1]])).collect();
            assert_eq!(common, wanted, "{name}");
        }
        for part in ["lengths", "items"] {
            if !expected[part].is_null() {
                same_numbers(&column[part], &expected[part], &format!("{name} {part}"));
            }
        }
        if !expected["mean"].is_null() {
            same_numbers(column, expected, name);
        }
    }
    let time = found["columns"].as_array().unwrap().iter().find(|of| of["name"] == "time").unwrap();
    assert!(time["range"][0].as_str().unwrap().starts_with("2025-10-09T08:"), "{}", time["range"]);
}

#[test]
fn the_profile_of_images_is_what_numpy_and_pillow_say() {
    let expected = &json_of(&fixture("table.json"))["images"];
    let found = profile_of("table.parquet", 1_000, 1).to_json();
    let images = &found["images"];
    assert_eq!((&images["count"], &images["shapes"]), (&json!(1_500), &json!([["8x6x3", 1_500]])));
    for (channel, expected) in expected["channels"].as_array().unwrap().iter().enumerate() {
        same_numbers(&images["channels"][channel], expected, &format!("channel {channel}"));
    }
    for (name, expected) in expected["measures"].as_object().unwrap() {
        let measure = &images["measures"][name];
        for part in ["mean", "std", "min", "max"] {
            close(&measure[part], &expected[part], 1e-13, &format!("{name} {part}"));
        }
        for (share, value) in expected["quantiles"].as_object().unwrap() {
            close(&measure["quantiles"][share], value, 0.004, &format!("{name} at {share}"));
        }
    }
    for (class, expected) in expected["classes"].as_object().unwrap() {
        let of = &found["classes"]["classes"][class];
        assert_eq!(of["rows"], expected["rows"], "{class}");
        // The brightness of an image is a 32-bit float here.
        close(&of["brightness"], &expected["brightness"], 1e-7, class);
        let pixel_mean = of["means"]["pixel_mean"].as_f64().unwrap();
        assert!((10.0..200.0).contains(&pixel_mean), "{class}: {pixel_mean}");
    }
    assert_eq!(found["features"].as_array().unwrap().len(), 2 + 3 * (8 + 6 + 4));
}

#[test]
fn a_profile_has_the_same_bytes_for_any_batches_threads_and_order_of_merging() {
    let whole = written(&profile_of("table.parquet", 8_192, 2));
    for (rows, threads) in [(1, 1), (7, 3), (1_000, 1)] {
        assert!(written(&profile_of("table.parquet", rows, threads)) == whole, "{rows} rows, {threads} threads");
    }
    // Thirds that went through files, merged in any order.
    let reader = io::open(fixture("table.parquet"), &ReadOptions::default().with_batch_rows(500)).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let parts = batches.iter().map(|batch| {
        let profiler = Profiler::new(Some("label"));
        watch(&profiler, "8x6x3", RecordBatchIterator::new([Ok(batch.clone())], batch.schema()));
        let text = profiler.profile().to_json().to_string();
        Profile::from_json(&serde_json::from_str(&text).unwrap()).unwrap()
    });
    let parts: Vec<Profile> = parts.collect();
    assert_eq!(parts.len(), 3);
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]] {
        let mut merged = Profile::default();
        order.iter().for_each(|&at| merged.merge(&parts[at]).unwrap());
        assert!(written(&merged) == whole, "{order:?}");
    }
    let mut other = profile_of("table.parquet", 100, 1);
    let mut tables = Profile::default();
    tables.add_table(&batches[0]).unwrap();
    assert!(other.merge(&tables).unwrap_err().to_string().starts_with("profile: "));
}

/// Adds the rows of a reader to a profile.
fn watch(profiler: &Profiler, shape: &str, reader: impl RecordBatchReader + Send + 'static) {
    let engine = Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap();
    let featurizer = Featurizer::new(engine, FeatureSpec::new(shape.parse().unwrap()));
    let options = StreamOptions::default().with_observer(Box::new(profiler.clone()));
    featurizer.stream_with(reader, options).unwrap().for_each(|batch| drop(batch.unwrap()));
}

#[test]
fn features_that_wait_for_others_are_counted_as_those_that_do_not() {
    let profile = |batch_rows: usize| {
        let profiler = Profiler::new(None);
        watch(&profiler, "28x28", Digits::new(8_000, 1, batch_rows));
        written(&profiler.profile())
    };
    // The features of a small batch wait for many turns, those of the last one for none.
    let whole = profile(8_000);
    assert!(profile(100) == whole && profile(1_500) == whole);
}

#[test]
fn a_profile_watches_runs_over_images_of_two_shapes() {
    let reader = || {
        let rows = (0..400u32).map(|row| (0..30_000u32).map(|at| (row * 7 + at * at) as u8).collect::<Vec<u8>>());
        let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(rows));
        let batch = RecordBatch::try_from_iter([("image", images)]).unwrap();
        RecordBatchIterator::new([Ok(batch.clone())], batch.schema())
    };
    let (both, parts) = (Profiler::new(None), [Profiler::new(None), Profiler::new(None)]);
    for (shape, part) in ["100x300", "300x100"].into_iter().zip(&parts) {
        watch(&both, shape, reader());
        watch(part, shape, reader());
    }
    let mut merged = parts[0].profile();
    merged.merge(&parts[1].profile()).unwrap();
    assert!(written(&both.profile()) == written(&merged));
}

#[test]
fn damaged_and_foreign_profiles_are_refused() {
    let good = profile_of("table.parquet", 1_500, 1).to_json();
    let refused = |value: &Value| Profile::from_json(value).unwrap_err().to_string();
    assert_eq!(refused(&json!({})), "profile: it is not the JSON of a profile: it has no version");
    assert_eq!(refused(&json!({ "version": 7 })), "profile: its version is 7, not 2");
    for (path, told) in [
        ("/columns/0/state/numbers/pages/0/2", "column `normal` is damaged"),
        ("/columns/6/state/distinct", "column `kind` is damaged"),
        ("/features/3/kind", "column `c0_row_sum_1` is damaged"),
        ("/images/channels/1/state", "its images are damaged"),
        ("/classes/classes/3/state", "its classes are damaged"),
        ("/rows", "it has no number of rows"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).expect(path) = json!("x");
        assert_eq!(refused(&bad), format!("profile: {told}"), "{path}");
    }
}

#[test]
fn featurize_writes_a_profile_whatever_the_layout_and_none_if_it_fails() {
    let place = Place::new();
    let input = fixture("table.parquet");
    let input = input.to_str().unwrap();
    for (name, args) in [
        ("a.json", &["--batch-size", "100"][..]),
        ("b.json", &["--layout", "columns", "--threads", "1"]),
        ("c.json", &["--layout", "tensor", "--on-invalid", "drop"]),
    ] {
        place.done(&[&[input, "--shape", "8x6x3", "--profile", name, "--label", "label", "-q"], args].concat());
    }
    assert!(fs::read(place.path("a.json")).unwrap() == fs::read(place.path("b.json")).unwrap());
    assert!(fs::read(place.path("a.json")).unwrap() == fs::read(place.path("c.json")).unwrap());
    let expected = profile_of("table.parquet", 1_500, 1).to_json().to_string();
    assert!(text(&fs::read(place.path("a.json")).unwrap()).trim_end() == expected);
    place.failed(&[input, "--shape", "5x5", "--profile", "none.json"]);
    place.failed(&[input, "--shape", "8x6x3", "--profile", "none.json", "--label", "colour"]);
    assert!(!place.path("none.json").exists());
    let shown = place.run(&[input, "--profile", input]);
    assert!(text(&shown.stderr).contains("is an input as well"), "{}", text(&shown.stderr));
}

#[test]
fn images_of_different_sizes_share_the_profiles_of_blocks() {
    let place = Place::new();
    place.file("in.ndjson", "{\"image\": [[1, 2], [3, 4]]}\n{\"image\": [[5, 6, 7]]}\n{\"image\": null}\n");
    place.done(&["in.ndjson", "--ragged", "--profile", "p.json", "-q"]);
    let profile = json_of(&place.path("p.json"));
    let feature =
        |name: &str| profile["features"].as_array().unwrap().iter().find(|of| of["name"] == name).unwrap().clone();
    assert_eq!(profile["images"]["shapes"], json!([["1x3", 1], ["2x2", 1]]));
    assert_eq!(profile["invalid"], json!({ "null_image": 1 }));
    let rows = feature("row_sums");
    assert_eq!((&rows["count"], &rows["nulls"], &rows["distinct"]), (&json!(3), &json!(1), &json!(3)));
    assert!((rows["max"].as_f64().unwrap() - 18.0 / 255.0).abs() < 1e-7, "{rows}");
    assert_eq!(feature("pixel_mean")["max"], 6.0);
}

/// Six rows, of which some are bad in ways that checks find.
const ROWS: &str = r#"{"image": [1, 2, 3, 4], "label": 1, "name": "ant", "score": 0.5}
{"image": [1, 2, 3, 4], "label": 2, "name": "bee", "score": 0.75}
{"image": [0, 0, 0, 0], "label": 12, "name": "Bee", "score": null}
{"image": [5, 6, 7, 8], "label": 2, "name": "", "score": 7.0}
{"image": [5, 6, 7, 9], "label": null, "name": "ant", "score": 0.25}
{"image": [200, 6, 7, 9], "label": 3, "name": "wasp", "score": 0.5}
"#;

/// Which of these checks pass on [`ROWS`], and what they observe.
fn checked(place: &Place, program: &str, checks: Value) -> (Option<i32>, Value) {
    place.file("rows.ndjson", ROWS);
    place.file("checks.json", json!({ "checks": checks }).to_string());
    let output = example(program)
        .args(["rows.ndjson", "--check", "checks.json", "--check-report", "found.json", "-q"])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    (output.status.code(), json_of(&place.path("found.json")))
}

#[test]
fn every_rule_finds_what_it_looks_for() {
    let place = Place::new();
    let set = |values: Value| json!({"rule": "in_set", "column": "label", "values": values});
    // A check, whether it holds, what is observed, how many rows are unexpected.
    let cases = [
        (json!({"rule": "not_null", "column": "label"}), false, json!(1.0), 1),
        (json!({"rule": "not_null", "column": "label", "mostly": 0.8}), true, json!(5.0 / 6.0), 1),
        (
            json!({"metric": "nullValues", "column": "score", "mustBeLessThan": 17, "unit": "percent"}),
            true,
            json!(100.0 / 6.0),
            1,
        ),
        (json!({"metric": "missingValues", "column": "name", "missingValues": ["", "n/a"]}), false, json!(1.0), 1),
        (json!({"rule": "between", "column": "label", "min": 0, "max": 9}), false, json!(1.0), 1),
        (json!({"rule": "between", "column": "label", "min": 0, "max": 9, "mostly": 0.8}), true, json!(0.8), 1),
        (json!({"rule": "between", "column": "score", "max": 0.75, "strict_max": true}), false, json!(2.0), 2),
        (set(json!([1, 2, 3])), false, json!(1.0), 1),
        (set(json!([1, 2, 3, 12])), true, json!(0.0), 0),
        (json!({"rule": "not_in_set", "column": "name", "values": ["wasp"]}), false, json!(1.0), 1),
        (json!({"rule": "match_regex", "column": "name", "pattern": "^[a-z]+$"}), false, json!(2.0), 2),
        (json!({"rule": "not_match_regex", "column": "name", "pattern": "^x"}), true, json!(0.0), 0),
        (
            json!({"expect": "expect_column_value_lengths_to_be_between", "column": "name", "min_value": 1}),
            false,
            json!(1.0),
            1,
        ),
        (json!({"rule": "length_between", "column": "image", "min": 4, "max": 4}), true, json!(0.0), 0),
        (json!({"rule": "length_between", "column": "image", "min": 1, "max": 3}), false, json!(6.0), 6),
        (json!({"rule": "unique", "column": "image"}), false, json!(2.0), 2),
        (json!({"rule": "unique", "column": "name", "mustBeLessOrEqualTo": 2}), true, json!(2.0), 2),
        (json!({"metric": "duplicateValues", "columns": ["label", "name"]}), true, json!(0.0), 0),
        (json!({"rule": "mean", "column": "label", "mustBe": 4}), true, json!(4.0), 0),
        (json!({"rule": "std", "column": "label", "max": 4}), false, json!(20.5f64.sqrt()), 0),
        (json!({"rule": "min", "column": "score", "min": 0.25}), true, json!(0.25), 0),
        (json!({"rule": "max", "column": "score", "max": 1}), false, json!(7.0), 0),
        (json!({"rule": "median", "column": "score", "min": 0.5, "max": 0.5}), true, json!(0.5), 0),
        (json!({"rule": "sum", "column": "label", "mustNotBe": 20}), false, json!(20.0), 0),
        (
            json!({"rule": "quantile", "quantile": 0.75, "column": "score", "mustBeBetween": [0.75, 1]}),
            false,
            json!(0.75),
            0,
        ),
        (json!({"rule": "distinct_count", "column": "name", "mustBe": 5}), true, json!(5.0), 0),
        (json!({"rule": "distinct_share", "column": "name", "min": 0.8}), true, json!(5.0 / 6.0), 0),
        (
            json!({"rule": "distinct_in_set", "column": "label", "values": [1, 2, 3, 12, 13]}),
            true,
            json!({"values": 4, "unexpected": []}),
            0,
        ),
        (
            json!({"rule": "distinct_contain_set", "column": "label", "values": [1, 4]}),
            false,
            json!({"known": 1, "of": 2}),
            0,
        ),
        (
            json!({"rule": "distinct_equal_set", "column": "label", "values": [1, 2, 3]}),
            false,
            json!({"values": 4, "unexpected": [[12.0, 1]]}),
            0,
        ),
        (json!({"rule": "most_common_in_set", "column": "name", "values": ["ant"]}), true, json!(["ant"]), 0),
        (json!({"metric": "rowCount", "mustBeBetween": [5, 7]}), true, json!(6.0), 0),
        (json!({"expect": "table_row_count_to_equal", "value": 7}), false, json!(6.0), 0),
        (
            json!({"rule": "columns_match_set", "columns": ["label", "image", "score", "name"]}),
            true,
            json!(["image", "label", "name", "score"]),
            0,
        ),
        (json!({"rule": "max", "column": "pixel_mean", "max": 60}), true, json!(55.5), 0),
        (json!({"rule": "between", "column": "row_sum_0", "max": 0.1}), false, json!(1.0), 1),
        (json!({"rule": "between", "column": "image.black", "max": 0.5}), false, json!(1.0), 1),
        (json!({"rule": "max", "column": "pixels", "max": 199}), false, json!(200.0), 0),
        (json!({"rule": "mean", "column": "pixels.0", "min": 0}), true, json!(295.0 / 24.0), 0),
    ];
    let checks: Vec<&Value> = cases.iter().map(|(check, ..)| check).collect();
    let (code, found) = checked(&place, "featurize", json!(checks));
    assert_eq!(code, Some(3));
    let failed = cases.iter().filter(|case| !case.1).count();
    assert_eq!(
        (&found["success"], &found["failed"], &found["checks"]),
        (&json!(false), &json!(failed), &json!(cases.len()))
    );
    for ((check, holds, observed, unexpected), found) in cases.iter().zip(found["results"].as_array().unwrap()) {
        assert_eq!(&found["success"], holds, "{check}: {found}");
        assert_eq!(found["unexpected_count"], *unexpected, "{check}: {found}");
        match (observed.as_f64(), found["observed_value"].as_f64()) {
            (Some(observed), Some(value)) => assert!((value - observed).abs() < 1e-6, "{check}: {found}"),
            _ => assert_eq!(&found["observed_value"], observed, "{check}"),
        }
    }
}

#[test]
fn a_failed_check_names_its_rows_and_no_output_appears() {
    let place = Place::new();
    place.file("a.ndjson", ROWS);
    place.file("b.ndjson", ROWS);
    let between = json!({"rule": "between", "column": "label", "max": 9, "name": "labels are <digits>"});
    let bright = json!({"rule": "mean", "column": "image.brightness", "max": 0.0, "severity": "warning"});
    place.file("bad.json", json!({ "checks": [between, bright] }).to_string());
    let args = ["a.ndjson", "b.ndjson", "--check", "bad.json", "--quarantine", "bad.ndjson", "--quarantine-failed"];
    let output = place.run(&[&args[..], &["--check-report", "found.xml", "--profile", "p.json"]].concat());
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    for line in [
        "failed  labels are <digits>: observed 2.0, expected = 0 unexpected rows",
        "a.ndjson: row 2: 12",
        "b.ndjson: row 2: 12",
    ] {
        assert!(shown.contains(line), "{line} is missing in {shown}");
    }
    assert!(
        shown.contains("warning image.brightness: mean") && shown.contains("error: 1 of 2 checks failed"),
        "{shown}"
    );
    let xml = text(&fs::read(place.path("found.xml")).unwrap());
    assert!(xml.contains("tests=\"2\" failures=\"1\"") && xml.contains("name=\"labels are &lt;digits&gt;\""), "{xml}");
    assert!(!place.path("features.parquet").exists() && !place.path("p.json").exists());
    let bad = text(&fs::read(place.path("bad.ndjson")).unwrap());
    let bad: Vec<Value> = bad.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(bad.len(), 2);
    assert_eq!(
        (&bad[1]["file"], &bad[1]["row"], &bad[1]["reason"]),
        (&json!("b.ndjson"), &json!(2), &json!("failed_check"))
    );
    assert_eq!((&bad[1]["detail"], &bad[1]["record"]["label"]), (&json!("labels are <digits>: 12"), &json!(12)));

    // A warning is told, and the run is a success.
    place.file("fine.json", json!({ "checks": [bright] }).to_string());
    assert!(place.done(&["a.ndjson", "--check", "fine.json"]).contains("0 failed, 1 warnings"));
    for (checks, told) in [
        ("{\"checks\": [{\"rule\": \"not_null\", \"column\": \"colour\"}]}", "no column `colour`; there is `image`"),
        (
            "{\"checks\": [{\"rule\": \"between\", \"column\": \"name\", \"min\": 1}]}",
            "column `name` is Utf8: a check needs numbers",
        ),
        ("{\"checks\": [{\"rule\": \"odd\"}]}", "checks: check 1: the rule `odd` is not known"),
        ("checks: []", "checks: not JSON"),
    ] {
        place.file("wrong.json", checks);
        let message = place.failed(&["a.ndjson", "--check", "wrong.json", "-o", "none.parquet"]);
        assert!(message.starts_with(told), "{message}");
    }
    assert!(!place.path("none.parquet").exists());
}

#[test]
fn a_table_without_images_is_checked_and_profiled_as_well() {
    let place = Place::new();
    let ids: ArrayRef = Arc::new((0..2_000).chain([5]).map(Some).collect::<Int64Array>());
    let kinds = (0..2_000).map(|i| (i % 7).to_string()).chain(["x".to_owned()]);
    let kinds: ArrayRef = Arc::new(StringArray::from_iter_values(kinds));
    let batch = RecordBatch::try_from_iter([("id", ids), ("kind", kinds)]).unwrap();
    let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
    io::write(place.path("table.parquet"), reader, &WriteOptions::default()).unwrap();
    let checks =
        json!([{"rule": "unique", "column": "id"}, {"rule": "match_regex", "column": "kind", "pattern": "^\\d$"}]);
    place.file("checks.json", json!({ "checks": checks }).to_string());
    let output = example("check")
        .args(["table.parquet", "--check", "checks.json", "--profile", "p.json"])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{shown} {}", text(&output.stderr));
    assert!(shown.contains("id: unique: observed 2.0") && shown.contains("table.parquet: row 2000: \"x\""), "{shown}");
    let output =
        example("check").args(["table.parquet", "--profile", "p.json"]).current_dir(place.path("")).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let profile = json_of(&place.path("p.json"));
    assert_eq!(
        (&profile["rows"], &profile["columns"][1]["distinct"], &profile["images"]),
        (&json!(2_001), &json!(8), &json!(null))
    );
    let (code, found) = checked(&place, "check", json!([{"rule": "between", "column": "image.black", "max": 1}]));
    assert_eq!((code, &found["success"]), (Some(0), &json!(true)));
}
