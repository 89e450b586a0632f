//! Records in footers: what they tell, and runs that are made again by them or not made again.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc", feature = "lineage"))]

use std::fs;
use std::process::{Output, Stdio};
use std::thread;
use std::time::Duration;

use pixelfeat::io;
use pixelfeat::lineage::{LINEAGE_KEY, Record};
use pixelfeat::synthetic;
use serde_json::{Value, json};

use crate::cli::{Place, text};
use crate::support::example;

/// Runs featurize without the configuration of whoever runs the tests.
pub fn featurize(place: &Place, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let home = place.path("").display().to_string();
    let mut command = example("featurize");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OPENLINEAGE")) {
        command.env_remove(name);
    }
    command.args(args).current_dir(place.path("")).env("HOME", &home).env("USERPROFILE", &home).stdin(Stdio::null());
    command.envs(variables.iter().copied()).output().unwrap()
}

pub fn done(place: &Place, args: &[&str]) -> String {
    let output = featurize(place, args, &[]);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

pub fn inspect(place: &Place, args: &[&str]) -> Output {
    example("inspect").args(args).current_dir(place.path("")).output().unwrap()
}

pub fn inspected(place: &Place, args: &[&str]) -> String {
    let output = inspect(place, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The arguments of the one command that `inspect --rerun` prints, as a shell without special characters splits them.
fn rerun(place: &Place, file: &str) -> Vec<String> {
    let command = inspected(place, &["--rerun", file]);
    let arguments = command.trim_end().split_once("featurize -- ").unwrap().1;
    arguments.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect()
}

pub fn record(place: &Place, file: &str) -> Record {
    Record::of_footer(&io::read_footer(place.path(file)).unwrap(), file).unwrap().unwrap()
}

/// Some digits with labels, as NDJSON.
pub fn digits(place: &Place, name: &str, rows: u64, seed: u64) {
    let mut pixels = [0; synthetic::SIDE * synthetic::SIDE];
    let mut line = |row| {
        let label = synthetic::digit(seed, row, &mut pixels);
        format!("{}\n", json!({ "image": &pixels[..], "label": label }))
    };
    place.file(name, (0..rows).map(&mut line).collect::<String>());
}

#[test]
fn the_footer_tells_what_made_a_file() {
    let place = Place::new();
    digits(&place, "a.ndjson", 20, 1);
    digits(&place, "b.ndjson", 30, 2);
    fs::write(place.path("b.ndjson"), fs::read_to_string(place.path("b.ndjson")).unwrap() + "{\"image\": [1]}\n")
        .unwrap();
    let options =
        ["--on-invalid", "drop", "--gray", "--resize", "14x14", "--hashes", "--threads", "1", "--backend", "cpu"];
    for output in ["out.parquet", "out.arrow"] {
        done(&place, &[&["a.ndjson", "b.ndjson", "-o", output][..], &options].concat());
        let record = record(&place, output);
        assert_eq!(record.options, ["--stages=gray,resize(14x14)", "--on-invalid=drop", "--hashes"]);
        assert_eq!((record.rows_in, record.rows_out), (51, 50));
        let inputs: Vec<_> = record.inputs.iter().map(|of| (of.name.as_str(), of.rows, of.bytes.is_some())).collect();
        assert_eq!(inputs, [("a.ndjson", Some(20), true), ("b.ndjson", Some(31), true)]);
        assert!(record.inputs.iter().all(|input| input.blake3.is_none()), "no option asks for hashes");
        let columns: Vec<_> =
            record.columns.iter().map(|of| (of.name.as_str(), of.from.join(","), of.is_copy)).collect();
        assert_eq!(columns[..2], [("label", "label".to_owned(), true), ("pixel_mean", "image".to_owned(), false)]);
        let features = record.columns.iter().find(|column| column.name == "features").unwrap();
        assert_eq!(features.blocks[..2], [("row_sums".to_owned(), 14), ("col_sums".to_owned(), 14)]);
        let hash = record.columns.last().unwrap();
        assert_eq!((hash.name.as_str(), &hash.from[..]), ("phash", &["image".to_owned()][..]));
    }
    // Nothing of the machine or the time is in it.
    done(
        &place,
        &[&["a.ndjson", "b.ndjson", "-o", "again.parquet"][..], &options[..6], &["--threads", "3", "-q"]].concat(),
    );
    assert!(fs::read(place.path("out.parquet")).unwrap() == fs::read(place.path("again.parquet")).unwrap());
    done(&place, &["--digest", "-o", "digest.arrow", "-q"]);
    assert!(inspected(&place, &["digest.arrow"]).contains("\n  digest     v1:10000:"));
    let shown = inspected(&place, &["out.parquet"]);
    assert!(shown.contains("input      b.ndjson, ") && shown.contains("is there and has this size"), "{shown}");
}

#[test]
fn a_file_is_made_again_by_its_footer_alone() {
    let place = Place::new();
    digits(&place, "a.ndjson", 40, 1);
    digits(&place, "b.ndjson", 40, 2);
    fs::write(place.path("a.ndjson"), fs::read_to_string(place.path("a.ndjson")).unwrap() + "no JSON\n").unwrap();
    let cases: [&[&str]; 6] = [
        &["a.ndjson", "--quarantine", "odd.ndjson"],
        &["b.ndjson", "--limit", "30", "--features", "profiles,zones:2x2", "--layout", "columns", "--columns", "label"],
        &[
            "b.ndjson",
            "--limit",
            "40",
            "--augment",
            "hflip(0.5),crop(pad=2)",
            "--seed",
            "7",
            "--epochs",
            "1..3",
            "--keep-image",
        ],
        &[
            "b.ndjson",
            "--limit",
            "40",
            "--mixup",
            "0.4",
            "--soft-labels",
            "10",
            "--compression",
            "snappy",
            "--augment-log",
        ],
        &[
            "b.ndjson",
            "--sample",
            "9",
            "--seed",
            "3",
            "--quarantine",
            "o.ndjson",
            "--issues",
            "--issue-threshold",
            "dark=0.9",
        ],
        &["--gray", "--limit", "5"],
    ];
    let further: [(&[&str], &[&str]); 3] =
        [(&["--digest"], &["--digest"]), (&["--lineage", "events.jsonl"], &["--if-changed"]), (&[], &[])];
    for (options, (also, again)) in cases.iter().zip(further.iter().cycle()) {
        done(&place, &[options, *also, &["-o", "out.parquet", "-q"]].concat());
        let words = rerun(&place, "out.parquet");
        let has_inputs = options[0] == "a.ndjson" || options[0] == "b.ndjson";
        let again = if has_inputs || also.contains(&"--digest") { *again } else { &[] };
        assert_eq!(words.join(" ").split_once("-o out-rerun.parquet").unwrap().1.trim(), again.join(" "));
        done(&place, &words.iter().map(String::as_str).collect::<Vec<_>>());
        let [first, again] = ["out.parquet", "out-rerun.parquet"].map(|name| fs::read(place.path(name)).unwrap());
        assert!(first == again, "{options:?}: {words:?}");
        fs::remove_file(place.path("out-rerun.parquet")).unwrap();
    }
    let plain = place.path("a.parquet");
    io::write(&plain, synthetic::Digits::new(5, 1, 5), &io::WriteOptions::default()).unwrap();
    let refused = inspect(&place, &["--rerun", "a.parquet"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("it has no record of what made it"));
}

#[test]
fn a_run_that_would_change_nothing_writes_nothing() {
    let place = Place::new();
    digits(&place, "a.ndjson", 10, 1);
    let run = ["a.ndjson", "-o", "out.parquet", "--if-changed"];
    let is_skipped = |args: &[&str]| {
        let before = fs::metadata(place.path("out.parquet")).and_then(|about| about.modified()).ok();
        thread::sleep(Duration::from_millis(20));
        let told = done(&place, args).contains("is there already, made of the same inputs and options");
        let after = fs::metadata(place.path("out.parquet")).and_then(|about| about.modified()).ok();
        assert_eq!(told, before == after, "{args:?}");
        told
    };
    assert!(!is_skipped(&run) && is_skipped(&run));
    fs::rename(place.path("a.ndjson"), place.path("moved.ndjson")).unwrap();
    assert!(is_skipped(&["moved.ndjson", "-o", "out.parquet", "--if-changed", "--threads", "1", "--report", "r.json"]));
    assert!(!is_skipped(&["moved.ndjson", "-o", "out.parquet", "--if-changed", "--gray"]));
    digits(&place, "moved.ndjson", 10, 2);
    let gray = ["moved.ndjson", "-o", "out.parquet", "--if-changed", "--gray"];
    assert!(!is_skipped(&gray) && is_skipped(&gray));
    // A footer that cannot be read, and one of another version, are no reason not to write.
    fs::write(place.path("out.parquet"), "PAR1 and no more").unwrap();
    assert!(!is_skipped(&gray) && is_skipped(&gray));
    with_record(&place, "out.parquet", |record| record["form"] = json!(2));
    assert!(!is_skipped(&gray));
    let with_digest = [&gray[..], &["--digest"]].concat();
    assert!(!is_skipped(&with_digest) && is_skipped(&with_digest) && is_skipped(&gray));
    let parts = ["moved.ndjson", "-o", "parts", "--partition-by", "label", "--if-changed"];
    assert!(!done(&place, &parts).contains("is there already") && done(&place, &parts).contains("is there already"));
    assert_eq!(rerun(&place, "parts")[1..], ["--partition-by=label", "-o", "parts-rerun", "--if-changed"]);
    for (args, told) in [(["a.ndjson", "out.csv"], "has no footer"), (["-", "out.parquet"], "is a stream")] {
        let output = featurize(&place, &[args[0], "-o", args[1], "--if-changed"], &[]);
        assert!(output.status.code() == Some(2) && text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
}

/// A file of digits with a record that is changed.
fn with_record(place: &Place, file: &str, change: impl Fn(&mut Value)) {
    done(place, &["-o", file, "--limit", "3", "-q"]);
    let mut record = record(place, file).to_json();
    change(&mut record);
    let pairs = move || Ok(vec![(LINEAGE_KEY.to_owned(), record.to_string())]);
    let options = io::WriteOptions::default().with_footer(pairs);
    io::write(place.path(file), synthetic::Digits::new(5, 1, 5), &options).unwrap();
}

#[test]
fn inspect_follows_inputs_and_tells_what_became_of_them() {
    let place = Place::new();
    digits(&place, "a.ndjson", 10, 1);
    done(&place, &["a.ndjson", "-o", "kept.parquet", "--keep-image", "--lineage", "events.jsonl", "-q"]);
    done(
        &place,
        &[
            "kept.parquet",
            "--columns",
            "label",
            "-o",
            "out.arrow",
            "--lineage",
            "events.jsonl",
            "-q",
            "--layout",
            "columns",
        ],
    );
    let shown = inspected(&place, &["out.arrow", "--events", "events.jsonl"]);
    assert_eq!(shown.matches("is unchanged: blake3 ").count(), 2, "both inputs are followed: {shown}");
    assert_eq!(shown.matches("event run  ").count(), 1, "{shown}");
    let before = record(&place, "kept.parquet").inputs[0].blake3.clone().unwrap();
    digits(&place, "a.ndjson", 11, 1);
    let now = pixelfeat_hash(&place, "a.ndjson");
    let shown = inspected(&place, &["out.arrow"]);
    assert!(shown.contains(&format!("has changed: it was blake3 {before}, and is {now}")), "{shown}");
    fs::remove_file(place.path("kept.parquet")).unwrap();
    let shown = inspected(&place, &["out.arrow"]);
    assert!(shown.contains("is gone") && !shown.contains("a.ndjson"), "{shown}");
    // An output that has replaced its input does not lead in a circle.
    done(&place, &["a.ndjson", "-o", "same.parquet", "--keep-image", "-q"]);
    done(
        &place,
        &[
            "same.parquet",
            "--columns",
            "label",
            "-o",
            "same.parquet",
            "--keep-image",
            "--lineage",
            "events.jsonl",
            "-q",
        ],
    );
    assert_eq!(inspected(&place, &["same.parquet"]).matches("made by pixelfeat").count(), 1);

    with_record(&place, "other.parquet", |record| (record["form"], record["version"]) = (json!(2), json!("9.0.0")));
    let output = inspect(&place, &["other.parquet"]);
    assert!(output.status.success() && text(&output.stdout).contains("images in `image`"), "the rows are shown");
    assert!(text(&output.stderr).contains("has form 2, which pixelfeat 9.0.0 wrote"), "{}", text(&output.stderr));
    assert!(!inspect(&place, &["--rerun", "other.parquet"]).status.success());
    with_record(&place, "old.parquet", |record| record["version"] = json!("0.0.1"));
    let output = inspect(&place, &["--rerun", "old.parquet"]);
    assert!(output.status.success() && text(&output.stderr).contains("pixelfeat 0.0.1 made it"));
}

/// The BLAKE3 hash of a file, by way of another record.
fn pixelfeat_hash(place: &Place, file: &str) -> String {
    done(place, &[file, "-o", "hash.parquet", "-q", "--lineage", "hash.jsonl"]);
    record(place, "hash.parquet").inputs[0].blake3.clone().unwrap()
}
