//! The program `delta`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use pixelfeat::io;
use pixelfeat::lineage::Digest;
use tempfile::tempdir;

use crate::{digest, names};

fn delta(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delta"));
    command.current_dir(folder).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    delta(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn versions_are_written_told_and_read() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let fine = |arguments: &[&str]| {
        let output = run(here, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let told = fine(&["append", "--table", "digits", "--features", "zones:2x2"]);
    assert!(told.contains("10,000 rows") && told.contains("in version 0 of digits"), "{told}");
    fine(&["overwrite", "--table", "digits", "--keep-image=original", "-q"]);
    let log = fine(&["log", "--table", "digits"]);
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("1 ") && lines[1].contains("overwrite"), "{log}");
    let json: Vec<serde_json::Value> =
        fine(&["log", "--table", "digits", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json[1]["info"]["pixelfeat.digest"]["rows"], 10_000);
    let options = &json[1]["info"]["pixelfeat.lineage"]["options"];
    assert_eq!(options, &serde_json::json!(["--features=zones:2x2"]), "{}", json[1]);
    fine(&["read", "--table", "digits", "--version", "0", "-o", "old.parquet"]);
    let old = Digest::of(io::open(here.join("old.parquet"), &io::ReadOptions::default()).unwrap()).unwrap();
    assert_eq!(old, digest(&here.join("digits"), Some(0)));
    assert!(lines[2].contains(&old.to_string()), "{log}");
    // The images of a version are an input like a file of them.
    fine(&["append", "--table", "again", "--from-table", "digits", "--from-version", "1", "--columns", "label", "-q"]);
    fine(&["append", "--table", "first", "--features", "profiles", "-q"]);
    assert_eq!(digest(&here.join("again"), None), digest(&here.join("first"), None));
}

#[test]
fn failures_say_why_and_leave_nothing() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let why = |code: i32, arguments: &[&str]| {
        let output = run(here, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(why(1, &["log", "--table", "none"]).starts_with("error: none is no Delta table"));
    assert!(why(1, &["read", "--table", "none", "-o", "x.parquet"]).starts_with("error: none is no Delta table"));
    why(2, &["append"]);
    why(2, &["append", "--table", "t", "--report", "t"]);
    why(2, &["append", "--table", "t", "--if-changed"]);
    why(2, &["append", "a.parquet", "--table", "t", "--from-table", "s"]);
    std::fs::write(here.join("rows.ndjson"), "{\"image\": [0, 1, 2, 3]}\n{\"image\": [0]}\n{\"image\": [0]}\n")
        .unwrap();
    why(1, &["append", "rows.ndjson", "--table", "rows", "--on-invalid", "error"]);
    std::fs::write(here.join("checks.json"), r#"{"checks": [{"expect": "table_row_count_to_equal", "value": 7}]}"#)
        .unwrap();
    let told = why(3, &["append", "--table", "rows", "--check", "checks.json"]);
    assert!(told.contains("10000"), "{told}");
    assert_eq!(names(here), ["checks.json", "rows.ndjson"]);
}

/// Two programs at once: both commit.
#[test]
fn two_programs_at_once_lose_nothing() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    let start = || delta(here, &["append", "--table", "digits", "-q"]).spawn().unwrap();
    let outputs: Vec<Output> = [start(), start()].into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for output in &outputs {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_eq!(digest(&here.join("digits"), None).rows(), 20_000);
}
