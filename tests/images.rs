//! Hashes and issues of images, beside what imagehash and CleanVision say of them; images that two data sets share.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, RecordBatch};
use arrow_select::concat::concat_batches;
use pixelfeat::io::{self, ReadOptions};
use pixelfeat::quality::{HashColumns, ImageScores, Issue, IssueOptions, IssueWatch, Profile, Profiler};
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, Featurizer, Observed, Observer};
use serde_json::{Value, json};

use crate::cli::{Place, read, text};
use crate::support::example;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quality").join(name)
}

fn path(name: &str) -> String {
    fixture(name).to_str().unwrap().to_owned()
}

/// What imagehash and CleanVision say of a set.
fn expected(set: &str) -> Value {
    serde_json::from_slice::<Value>(&fs::read(fixture("images.json")).unwrap()).unwrap()[set].take()
}

const SETS: [&str; 2] = ["gray", "colour"];

/// The output of a run over a set, in batches of so many rows.
fn run(set: &str, rows: usize, threads: usize, observers: Vec<Box<dyn Observer>>) -> RecordBatch {
    let engine = Engine::new(EngineOptions::backend(Backend::Cpu).with_threads(threads)).unwrap();
    let featurizer = Featurizer::new(engine, FeatureSpec::default().with_ragged(true));
    let mut files = io::FeatureFiles::new(&featurizer).with_read_options(ReadOptions::default().with_batch_rows(rows));
    for observer in observers {
        files = files.with_observer(observer);
    }
    let (stream, _) = files.open([fixture(&format!("{set}.parquet"))]).unwrap();
    let batches: Vec<RecordBatch> = stream.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[test]
fn hashes_are_those_of_imagehash() {
    for set in SETS {
        let found = run(set, 17, 2, vec![Box::<HashColumns>::default()]);
        let columns = ["ahash", "dhash", "phash"].map(|name| found.column_by_name(name).unwrap().clone());
        for (row, expected) in expected(set)["hashes"].as_array().unwrap().iter().enumerate() {
            let found =
                columns.clone().map(|column| format!("{:016x}", column.as_primitive::<UInt64Type>().value(row)));
            assert_eq!(&json!(found), expected, "{set} {row}");
        }
    }
}

/// The scores of all images, in the order of rows.
#[derive(Clone, Default)]
struct Scores(Arc<Mutex<Vec<ImageScores>>>);

impl Observer for Scores {
    fn observe(&mut self, batch: &Observed<'_>) -> pixelfeat::Result<()> {
        let mut found = vec![None; batch.input.num_rows()];
        for (rows, images) in batch.images() {
            let values = images.shape().values();
            for (at, place) in images.places().enumerate() {
                let place = place.unwrap();
                let image = images.pixels().as_slice().range(place * values..(place + 1) * values);
                found[rows.map_or(at, |rows| rows[at])] = Some(ImageScores::of(images.shape(), image, 1.0)?);
            }
        }
        self.0.lock().unwrap().extend(found.into_iter().map(Option::unwrap));
        Ok(())
    }
}

#[test]
fn scores_are_those_of_cleanvision() {
    for set in SETS {
        let (scores, expected) = (Scores::default(), expected(set));
        run(set, 100, 1, vec![Box::new(scores.clone())]);
        for (row, found) in scores.0.lock().unwrap().iter().enumerate() {
            let found = [
                ("dark", found.dark),
                ("light", found.light),
                ("low_information", found.low_information),
                ("blurry", found.blurry),
                ("odd_aspect_ratio", found.odd_aspect_ratio),
            ];
            for (name, found) in found {
                let wanted = expected["issues"][name]["scores"][row].as_f64().unwrap();
                assert!((found - wanted).abs() < 1e-12, "{set} {row} {name}: {found}, CleanVision has {wanted}");
            }
        }
    }
}

/// The rows that CleanVision flags, and of duplicates those behind the first.
fn flagged(expected: &Value, issue: &str) -> Vec<u64> {
    serde_json::from_value(expected["issues"][issue]["flagged"].clone()).unwrap()
}

#[test]
fn issues_are_those_of_cleanvision_whatever_the_batches() {
    for set in SETS {
        let expected = expected(set);
        for (rows, threads) in [(1_000, 2), (7, 3), (1, 1)] {
            let (watch, profiler) = (IssueWatch::new(IssueOptions::default()), Profiler::new(None));
            let watch = watch.with_profiler(profiler.clone());
            let output = run(set, rows, threads, vec![Box::new(watch.clone()), Box::new(profiler.clone())]);
            let column = output.column_by_name("issues").unwrap().as_list::<i32>();
            let profile = profiler.profile();
            let report = watch.report();
            assert_eq!(report.results.len(), 8);
            for result in &report.results {
                let (name, flagged) = (&result.check, flagged(&expected, &result.check));
                let told: Vec<u64> = result.rows.iter().map(|row| row.row).collect();
                assert_eq!(
                    (result.unexpected, &told[..]),
                    (flagged.len() as u64, &flagged[..told.len()]),
                    "{set} {name}"
                );
                assert_eq!((told.len(), result.elements), (flagged.len().min(10), output.num_rows() as u64), "{name}");
                if name != "odd_size" {
                    let has = |row: &u64| {
                        let issues = column.value(*row as usize);
                        issues.as_string::<i32>().iter().flatten().any(|issue| issue == name)
                    };
                    let found: Vec<u64> = (0..column.len() as u64).filter(has).collect();
                    assert_eq!(found, flagged, "{set} {name}");
                }
                let issue: Issue = name.parse().unwrap();
                let counted = profile.images().unwrap().issues().unwrap();
                let counted = counted.iter().find(|(of, _)| *of == issue).and_then(|(_, images)| *images);
                let is_duplicate = matches!(issue, Issue::ExactDuplicate | Issue::NearDuplicate);
                assert_eq!(counted, (!is_duplicate).then_some(flagged.len() as u64), "{set} {name}");
            }
        }
    }
}

#[test]
fn parts_have_the_issues_of_the_whole_in_their_profiles() {
    let part = |options: IssueOptions| {
        let profiler = Profiler::new(None);
        let watch = IssueWatch::new(options).with_profiler(profiler.clone());
        run("colour", 50, 1, vec![Box::new(watch), Box::new(profiler.clone())]);
        // As it comes back from a file.
        let text = profiler.profile().to_json().to_string();
        Profile::from_json(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let mut twice = part(IssueOptions::default());
    let once = twice.to_json();
    twice.merge(&part(IssueOptions::default())).unwrap();
    for (issue, images) in once["images"]["issues"].as_object().unwrap() {
        assert_eq!(twice.to_json()["images"]["issues"][issue], json!(2 * images.as_u64().unwrap()), "{issue}");
    }
    let other = part(IssueOptions::default().with_threshold(Issue::Dark, 0.5).unwrap());
    assert!(twice.merge(&other).unwrap_err().to_string().contains("told by other thresholds"));
    let profiler = Profiler::new(None);
    run("colour", 50, 1, vec![Box::new(profiler.clone())]);
    assert_eq!(profiler.profile().to_json()["images"]["issues"], Value::Null);
    assert!(twice.merge(&profiler.profile()).is_err() && profiler.profile().merge(&other).is_err());
}

#[test]
fn beyond_what_is_remembered_duplicates_are_missed_and_the_report_says_so() {
    let watch = IssueWatch::new(IssueOptions::default().with_remembered(3));
    run("gray", 100, 1, vec![Box::new(watch.clone())]);
    let found = watch.report().results.into_iter().find(|result| result.check.starts_with("exact_duplicate")).unwrap();
    // Rows 60 and 64 repeat row 0; 61 and 63 repeat rows that were not remembered.
    assert_eq!((&found.check[..], found.unexpected), ("exact_duplicate (of the first 3 images)", 2));
    assert_eq!(found.rows.iter().map(|row| row.row).collect::<Vec<_>>(), [60, 64]);
}

fn check(place: &Place, args: &[&str]) -> Output {
    example("check").args(args).current_dir(place.path("")).output().unwrap()
}

#[test]
fn featurize_adds_columns_of_issues_and_hashes() {
    let place = Place::new();
    let input = path("gray.parquet");
    let all = [&input[..], "--issues", "--hashes", "--check-report", "found.json", "--profile", "p.json"];
    let shown = place.done(&[&all[..], &["-o", "out.parquet"]].concat());
    assert!(shown.contains("warning dark: observed 24, expected no score below 0.32"), "{shown}");
    assert!(shown.contains("row 60: the same as") && shown.contains("0 failed, 6 warnings"), "{shown}");
    let output = read(&place.path("out.parquet"));
    let names: Vec<_> = output.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(
        names,
        ["row", "pixel_mean", "pixel_std", "features", "ahash", "dhash", "phash", "issues"].map(str::to_owned)
    );
    let found = place.report("found.json");
    assert_eq!((&found["success"], &found["warnings"]), (&json!(true), &json!(6)));
    assert_eq!(found["results"][6]["unexpected_index_list"][0]["row"], 60);
    assert_eq!(place.report("p.json")["images"]["issues"]["dark"], 24);

    place.done(&[&input, "--issues", "--issue-threshold", "dark=0", "-q", "-o", "out.csv", "--columns", "image,row"]);
    let csv = text(&fs::read(place.path("out.csv")).unwrap());
    let last = |line: &str| line.rsplit(',').next().unwrap().to_owned();
    let lines: Vec<String> = csv.lines().map(last).collect();
    assert_eq!(
        (&lines[0][..], &lines[1][..], &lines[62][..]),
        ("issues", "", "low_information;exact_duplicate"),
        "{csv}"
    );
}

#[test]
fn rows_without_an_image_have_no_issues_and_no_hashes() {
    let place = Place::new();
    place.file("in.ndjson", "{\"image\": [[1, 2], [3, 4]]}\n{\"image\": null}\n{\"image\": [[1, 2], [3, 4]]}\n");
    place.done(&["in.ndjson", "--issues", "--hashes", "-q", "-o", "out.parquet"]);
    let output = read(&place.path("out.parquet"));
    let issues = output.column_by_name("issues").unwrap().as_list::<i32>();
    assert_eq!([0, 1, 2].map(|row| issues.is_null(row)), [false, true, false]);
    let last = issues.value(2);
    assert!(last.as_string::<i32>().iter().any(|issue| issue == Some("exact_duplicate")), "{last:?}");
    for name in ["ahash", "dhash", "phash"] {
        assert_eq!(output.column_by_name(name).unwrap().null_count(), 1, "{name}");
    }
    // A name that is taken, and options that contradict each other.
    place.file("taken.ndjson", "{\"image\": [1, 2, 3, 4], \"issues\": 1}\n");
    assert!(place.failed(&["taken.ndjson", "--issues"]).contains("already has a column `issues`"));
    for (args, told) in [
        (&["in.ndjson", "--issues", "--epochs", "0..2"][..], "cannot be used with"),
        (&["in.ndjson", "--issue-threshold", "dark=0.1"], "--issues"),
        (&["in.ndjson", "--issues", "--issue-threshold", "gloomy=1"], "`gloomy` is not dark, light"),
        (&["in.ndjson", "--issues", "--issue-threshold", "near_duplicate=1"], "near_duplicate has none"),
        (&["in.ndjson", "--check-report", "x.json"], "required"),
    ] {
        let output = place.run(args);
        let shown = text(&output.stderr);
        assert!(output.status.code() == Some(2) && shown.contains(told), "{args:?}: {shown}");
    }
}

/// Four images of 4×4 pixels, the last of which is nearly the first.
fn lines(which: &[usize]) -> String {
    let image = |i: usize| (0..16).map(|p| (p * p * (3 + 2 * i) + 40 * i) % 251).collect::<Vec<_>>();
    let mut near = image(0);
    near[5] += 1;
    let all = [image(0), image(1), image(2), near];
    which.iter().map(|&i| json!({ "image": all[i], "id": i }).to_string() + "\n").collect()
}

#[test]
fn images_that_are_in_another_file_as_well_fail_the_check() {
    let place = Place::new();
    place.file("train.ndjson", lines(&[0, 1, 1]));
    place.file("test.ndjson", lines(&[2, 1, 3]));
    place.file("clean.ndjson", lines(&[2]));
    let output = check(&place, &["train.ndjson", "--against", "test.ndjson", "--check-report", "found.json"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{shown} {}", text(&output.stderr));
    for line in [
        "failed  images that are in test.ndjson as well: observed 2, expected 0 of 3 images",
        "train.ndjson: row 1: the same as test.ndjson: row 1",
        "train.ndjson: row 2: the same as test.ndjson: row 1",
        "warning images that are near one in test.ndjson (distance 0): observed 1",
        "train.ndjson: row 0: 0 bits from test.ndjson: row 2",
    ] {
        assert!(shown.contains(line), "{line} is missing in {shown}");
    }
    let found = place.report("found.json");
    assert_eq!((&found["failed"], &found["warnings"]), (&json!(1), &json!(1)));
    assert_eq!(found["results"][0]["unexpected_index_list"][1], json!({ "file": "train.ndjson", "row": 2 }));

    let code = |args: &[&str]| check(&place, &[&["train.ndjson", "-q"], args].concat()).status.code();
    assert_eq!(code(&["--against", "clean.ndjson"]), Some(0));
    assert_eq!(code(&["--against", "clean.ndjson", "--against", "test.ndjson"]), Some(3));
    place.file("near.ndjson", lines(&[3]));
    assert_eq!(code(&["--against", "near.ndjson"]), Some(0));
    assert_eq!(code(&["--against", "near.ndjson", "--near-fails"]), Some(3));
    assert_eq!(code(&["--against", "near.ndjson", "--near-distance", "17"]), Some(2));
    assert_eq!(code(&["--against", "none.ndjson"]), Some(1));

    // What could not be compared is told; a table without images cannot be.
    place.file("gaps.ndjson", lines(&[2]) + "{\"image\": [1], \"id\": 1}\n");
    let output = check(&place, &["train.ndjson", "--against", "gaps.ndjson"]);
    assert_eq!(text(&output.stderr), "warning: 1 of 2 rows of gaps.ndjson have no image to compare\n");
    assert_eq!((output.status.code(), &text(&output.stdout)[..]), (Some(0), "all 2 checks hold\n"));
    let output = check(&place, &["train.ndjson", "--image", "picture", "--issues"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no column `picture`"), "{}", text(&output.stderr));
}

#[test]
fn check_tells_the_issues_of_a_whole_file() {
    let place = Place::new();
    let output = check(&place, &[&path("colour.parquet"), "--ragged", "--issues", "--check-report", "found.xml"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown} {}", text(&output.stderr));
    assert!(
        shown.contains("warning odd_size: observed 1, expected no size outside of")
            && shown.contains("row 31: 190x210x3"),
        "{shown}"
    );
    let xml = text(&fs::read(place.path("found.xml")).unwrap());
    assert!(xml.contains("tests=\"8\" failures=\"0\""), "{xml}");
}
