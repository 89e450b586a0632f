//! The programs `featurize` and `inspect`, run as a user runs them.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc"))]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use pixelfeat::io::{self, ReadOptions, WriteOptions};
use pixelfeat::synthetic;
use serde_json::{Value, json};

use crate::support::example;

pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs featurize here.
    pub fn run(&self, args: &[&str]) -> Output {
        example("featurize").args(args).current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap()
    }

    pub fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The one line of a failure that is not the user's usage.
    pub fn failed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{args:?}");
        let message = text(&output.stderr);
        let message = message.trim_end();
        assert!(message.starts_with("error: ") && message.lines().count() == 1, "{message}");
        message.strip_prefix("error: ").unwrap().to_owned()
    }

    pub fn report(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn read(path: &Path) -> RecordBatch {
    let reader = io::open(path, &ReadOptions::default()).unwrap();
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

const GOOD: &str = r#"{"image": [1, 2, 3, 4], "label": 7}"#;

#[test]
fn the_first_command_of_the_readme_works_on_nothing_but_the_program() {
    let place = Place::new();
    let shown = place.done(&[]);
    assert!(shown.contains("10000 of 10000 rows featurized, 28x28 u8 images"), "{shown}");
    assert!(shown.contains("in features.parquet"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("label  pixel_mean  pixel_std  features")), "{shown}");
    assert_eq!(place.files(), ["features.parquet"]);
    let batch = read(&place.path("features.parquet"));
    assert_eq!((batch.num_rows(), batch.num_columns()), (10_000, 4));
}

#[test]
fn cpu_and_gpu_write_the_same_bytes() {
    if crate::support::gpu().is_none() {
        return;
    }
    let place = Place::new();
    for backend in ["cpu", "gpu", "hybrid"] {
        let (out, report) = (format!("{backend}.parquet"), format!("{backend}.json"));
        place.done(&["--backend", backend, "-o", &out, "--report", &report, "--batch-size", "1000"]);
        let report = place.report(&report);
        // Who of the two has how much of it is theirs to settle.
        assert!(report["backend"] == backend || backend == "hybrid", "{report}");
        assert_eq!(report["backend_reason"], format!("{backend} was asked for"));
        assert_eq!(report["adapter"].is_string(), backend != "cpu");
    }
    assert!(fs::read(place.path("cpu.parquet")).unwrap() == fs::read(place.path("hybrid.parquet")).unwrap());
    assert!(fs::read(place.path("cpu.parquet")).unwrap() == fs::read(place.path("gpu.parquet")).unwrap());
}

#[test]
fn threads_and_batch_sizes_do_not_show_in_the_output() {
    let place = Place::new();
    place.done(&["-o", "a.arrow", "--threads", "1", "--batch-size", "10000"]);
    place.done(&["-o", "b.arrow", "--threads", "3", "--batch-size", "17", "-q"]);
    assert_eq!(read(&place.path("a.arrow")), read(&place.path("b.arrow")));
}

#[test]
fn a_report_accounts_for_every_row_and_suggests_the_type_that_fits() {
    let place = Place::new();
    let rows = [
        GOOD,
        r#"{"image": null, "label": 1}"#,
        r#"{"label": 2}"#,
        r#"{"image": "text", "label": 3}"#,
        r#"{"image": [1, 2, 3], "label": 4}"#,
        r#"{"image": [1, 2, 3, 256], "label": 5}"#,
        r#"{"image": [1, 2, 3, 1e400], "label": 6}"#,
        r#"{"image": [1, 2, null, 4], "label": 7}"#,
        r#"{"image": [1, 2, 65535, 4], "label": 8}"#,
        r#"{"image": [[1, 2], [3, 4]], "label": 9}"#,
        GOOD,
    ];
    let input = place.file("in.ndjson", rows.join("\n"));
    let input = input.to_str().unwrap();
    let shown = place.done(&[input, "-o", "out.parquet", "--report", "r.json", "--quarantine", "bad.ndjson"]);
    assert!(shown.contains("2 of 11 rows featurized, 2x2 u8 images"), "{shown}");
    assert!(shown.contains("some values do not fit u8; pixel type u16 would take them"), "{shown}");
    assert!(shown.contains("the invalid rows are in bad.ndjson"), "{shown}");
    let report = place.report("r.json");
    assert_eq!(report["rows_in"], 11);
    assert_eq!(report["rows_featurized"], 2);
    let invalid = json!({
        "null_image": 2, "unparsable": 2, "wrong_length": 1, "out_of_range": 2, "not_finite": 1, "null_pixel": 1
    });
    assert_eq!(report["rows_invalid"], invalid);
    assert_eq!(report["suggested_pixel_type"], "u16");
    assert_eq!(report["backend"], "cpu");
    assert_eq!(report["adapter"], Value::Null);
    let seconds = report["seconds"].as_object().unwrap();
    let of = |name: &str| seconds[name].as_f64().unwrap();
    let parts: f64 = seconds.keys().filter(|name| *name != "total").map(|name| of(name)).sum();
    assert!((parts / of("total") - 1.0).abs() < 0.1, "{report}");
    assert!(of("open") > 0.0 && of("encode") > 0.0, "{report}");
    assert!(report["threads"]["computing"]["features"].as_f64().unwrap() > 0.0, "{report}");
    let out = read(&place.path("out.parquet"));
    assert_eq!(out.num_rows(), 11);
    assert_eq!(out.column_by_name("features").unwrap().null_count(), 9);
    assert_eq!(out.column_by_name("label").unwrap().null_count(), 0);

    // Each row set aside holds what was there.
    // (serde_json's numbers end before 1e400.)
    let bad = text(&fs::read(place.path("bad.ndjson")).unwrap()).replace("1e400]", "\"huge\"]");
    let bad: Vec<Value> = bad.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(bad.len(), 9);
    for entry in &bad {
        let row = entry["row"].as_u64().unwrap() as usize;
        assert_eq!(entry["file"], input);
        let original: Value = serde_json::from_str(&rows[row].replace("1e400", "\"huge\"")).unwrap();
        assert_eq!(entry["record"]["label"], original["label"], "{entry}");
        assert_eq!(entry["record"]["image"], original["image"], "{entry}");
    }
    assert_eq!(bad[0]["reason"], "null_image");
    assert_eq!(bad[4]["detail"], "pixel 3 is 256");

    // With a type that takes them, the two rows come in; under drop, only good rows are left.
    place.done(&[input, "-o", "wide.parquet", "--pixel-type", "u16", "--report", "r.json", "--on-invalid", "drop"]);
    assert_eq!(place.report("r.json")["rows_featurized"], 4);
    assert_eq!(read(&place.path("wide.parquet")).num_rows(), 4);
    let message = place.failed(&[input, "-o", "none.parquet", "--on-invalid", "error"]);
    assert!(message.ends_with("in.ndjson: row 1 (line 2), column `image`: null image: null"), "{message}");
    assert!(!place.files().contains(&"none.parquet".to_owned()));
}

#[test]
fn a_broken_line_ends_the_run_unless_a_quarantine_takes_it() {
    let place = Place::new();
    let input = place.file("in.ndjson", format!("{GOOD}\n\n{{\"image\": [1, 2,, 4]}}\r\n{GOOD}\n"));
    let input = input.to_str().unwrap();
    place.file("features.parquet", "previous");
    let message = place.failed(&[input]);
    assert!(message.contains("in.ndjson: line 3, column 17: "), "{message}");
    assert_eq!(fs::read(place.path("features.parquet")).unwrap(), b"previous");
    assert_eq!(place.files(), ["features.parquet", "in.ndjson"]);

    place.done(&[input, "--quarantine", "bad.ndjson", "--report", "r.json"]);
    assert_eq!(place.report("r.json")["rows_in"], 3);
    assert_eq!(place.report("r.json")["rows_invalid"], json!({"broken_line": 1}));
    assert_eq!(read(&place.path("features.parquet")).num_rows(), 2);
    let bad: Value = serde_json::from_slice(&fs::read(place.path("bad.ndjson")).unwrap()).unwrap();
    assert_eq!((&bad["row"], &bad["line"], &bad["reason"]), (&json!(1), &json!(3), &json!("broken_line")));
    assert_eq!(bad["text"], "{\"image\": [1, 2,, 4]}");
}

#[test]
fn damaged_input_of_every_kind_is_one_line_with_its_place() {
    let place = Place::new();
    let good = (0..2_000).map(|_| GOOD).collect::<Vec<_>>().join("\n");
    let gz = {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(good.as_bytes()).unwrap();
        gz.finish().unwrap()
    };
    place.file("whole.json.gz", &gz);
    place.done(&["whole.json.gz", "-o", "whole.parquet", "-q"]);
    place.file("cut.json.gz", &gz[..gz.len() / 2]);
    place.file("text.ndjson", "hello\n");
    place.file("other.ndjson", "{\"img\": [1], \"label\": 2}\n");
    place.file("empty.ndjson", "");
    place.file("half.parquet", {
        let whole = fs::read(place.path("whole.parquet")).unwrap();
        whole[..whole.len() / 2].to_vec()
    });
    for (args, expected) in [
        (&["cut.json.gz"][..], "cut.json.gz: "),
        (&["text.ndjson"], "text.ndjson: line 1, column 1: "),
        (&["other.ndjson"], "no column `image`; there is `img`, `label`"),
        (&["empty.ndjson"], "column `image`: there are no rows to read the image shape from; give the shape"),
        (&["half.parquet"], "half.parquet: not a readable Parquet file: "),
        (&["whole.parquet"], "no column `image`; there is `label`, `pixel_mean`, `pixel_std`, `features`"),
        (&["whole.parquet", "--image", "label"], "column `label` is Int64: images are lists of numbers"),
        (&["nowhere.ndjson"], "cannot open nowhere.ndjson: No such file"),
        (
            &["whole.json.gz", "--shape", "3x3", "--on-invalid", "error"],
            "whole.json.gz: row 0, column `image`: wrong length",
        ),
        (&["whole.json.gz", "-o", "no/such/folder.parquet"], "cannot write no/such/folder.parquet: No such file"),
    ] {
        let message = place.failed(args);
        assert!(message.starts_with(expected), "{args:?}: {message}");
    }
    assert!(!place.files().contains(&"features.parquet".to_owned()));
    place.done(&["empty.ndjson", "--shape", "2x2", "-q"]);
    assert_eq!(read(&place.path("features.parquet")).num_rows(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_line() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/full", place.path("full.parquet")).unwrap();
    let message = place.failed(&["-o", "full.parquet"]);
    assert!(message.starts_with("cannot write full.parquet: No space left on device"), "{message}");
}

#[test]
fn usage_errors_exit_with_two() {
    let place = Place::new();
    for args in [
        &["--shape", "28"][..],
        &["--shape", "0x4"],
        &["--pixel-type", "u32"],
        &["--scale", "0"],
        &["--backend", "cuda"],
        &["--layout", "rows"],
        &["--on-invalid", "skip"],
        &["--compression", "lzma"],
        &["--batch-size", "0"],
        &["--threads", "0"],
        &["-o", "features.txt"],
        &["-o", "features.csv", "--compression", "zstd"],
        &["-o", "features.npy", "--partition-by", "label"],
        &["--limit", "3", "--sample", "3"],
        &["-o", "features.arrow", "--compression", "gzip"],
        &["--no-such-option"],
    ] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{args:?}: {}", text(&output.stderr));
    }
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn no_file_is_written_twice_and_no_input_is_lost() {
    let place = Place::new();
    place.file("in.ndjson", GOOD);
    for (args, expected) in [
        (&["in.ndjson", "--quarantine", "in.ndjson"][..], "--quarantine in.ndjson is an input as well"),
        (&["in.ndjson", "-o", "x.parquet", "--report", "./x.parquet"], "--report ./x.parquet is the output as well"),
        (&["in.ndjson", "--quarantine", "q", "--report", "q"], "--report q is --quarantine as well"),
    ] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stderr).trim_end(), format!("error: {expected}"));
    }
    assert_eq!(place.files(), ["in.ndjson"]);
    // A report that cannot be written is found out before the work, and leaves no output.
    let message = place.failed(&["in.ndjson", "--report", "no/such/report.json"]);
    assert!(message.starts_with("cannot write no/such/report.json: No such file"), "{message}");
    assert_eq!(place.files(), ["in.ndjson"]);
}

#[test]
fn several_json_files_may_be_empty_or_have_their_keys_in_another_order() {
    let place = Place::new();
    place.file("empty.json", "");
    place.file("a.json", GOOD);
    place.file("b.json", r#"{"label": 8, "image": [4, 3, 2, 1]}"#);
    place.done(&["empty.json", "a.json", "empty.json", "b.json", "empty.json", "-q"]);
    let labels = read(&place.path("features.parquet")).column(0).clone();
    assert_eq!(labels.as_primitive::<Int64Type>().values()[..], [7, 8]);
    place.file("c.json", r#"{"image": [1, 2, 3, 4], "label": "text"}"#);
    let message = place.failed(&["a.json", "c.json"]);
    assert!(message.starts_with("c.json: its columns (image List(") && !message.contains("defect"), "{message}");
}

#[test]
fn numbers_beside_the_image_are_never_rounded_silently() {
    let place = Place::new();
    let rows = |id: &str| format!("{{\"image\": [1], \"id\": 1.5}}\n{{\"image\": [2], \"id\": {id}}}\n");
    place.file("fine.ndjson", rows("9007199254740992"));
    place.done(&["fine.ndjson", "-q"]);
    place.file("ids.ndjson", rows("9007199254740993"));
    let shown = place.done(&["ids.ndjson", "--report", "report.json"]);
    let warning = "column `id` holds JSON text, since its values have no Arrow type in common";
    assert!(shown.contains(&format!("warning: {warning}\n")), "{shown}");
    let report: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["warnings"], json!([warning]));
    let ids = read(&place.path("features.parquet")).column_by_name("id").unwrap().clone();
    assert_eq!(ids.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("1.5"), Some("9007199254740993")]);
}

#[test]
fn other_columns_of_json_end_no_run() {
    let place = Place::new();
    let rows = [
        r#"{"image": [1], "none": {}, "mixed": [null, 1, "1", {}], "either": {"a": {}}, "huge": 1e400, "day": "2026-11-21"}"#,
        r#"{"image": [2], "none": {}, "mixed": [[]], "either": 3, "huge": 99999999999999999999, "day": null}"#,
    ];
    place.file("in.ndjson", rows.join("\n"));
    for (output, more) in [("a.parquet", &[][..]), ("b.arrow", &[]), ("c.csv", &["--layout", "columns"])] {
        let shown = place.done(&[&["in.ndjson", "-o", output], more].concat());
        for key in ["none", "mixed", "either", "huge"] {
            assert!(shown.contains(&format!("warning: column `{key}` holds JSON text")), "{shown}");
        }
        assert!(!shown.contains("`day`"), "{shown}");
    }
    for output in ["a.parquet", "b.arrow"] {
        let rows = read(&place.path(output));
        let texts = |key: &str| {
            let column = rows.column_by_name(key).unwrap().as_string::<i32>();
            column.iter().map(|text| text.unwrap_or("null").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts("none"), ["{}", "{}"]);
        assert_eq!(texts("mixed"), [r#"[null, 1, "1", {}]"#, "[[]]"]);
        assert_eq!(texts("either"), [r#"{"a": {}}"#, "3"]);
        assert_eq!(texts("huge"), ["1e400", "99999999999999999999"]);
        assert_eq!(texts("day"), ["2026-11-21", "null"]);
    }
    let csv = fs::read_to_string(place.path("c.csv")).unwrap();
    assert!(csv.contains(r#"{},"[null, 1, ""1"", {}]","{""a"": {}}",1e400,2026-11-21"#), "{csv}");
}

#[test]
fn a_file_is_read_again_for_members_that_come_late() {
    let place = Place::new();
    // More than the first rows, which decide the columns.
    let early: String = (0..60_000).map(|i| format!("{{\"image\": [1], \"id\": {i}}}\n")).collect();
    place.file("late.ndjson", early + "{\"image\": [2], \"id\": \"x\", \"new\": [1]}\n{\"image\": [}\n");
    for (output, more) in [("a.parquet", &[][..]), ("b.arrow", &[]), ("c.csv", &["--layout", "columns"])] {
        let args = [&["late.ndjson", "--quarantine", "bad.ndjson", "-o", output], more].concat();
        let shown = place.done(&args);
        assert!(shown.contains("warning: key `new` is not in the first rows"), "{shown}");
        assert_eq!(fs::read_to_string(place.path("bad.ndjson")).unwrap().lines().count(), 1);
    }
    for output in ["a.parquet", "b.arrow"] {
        let rows = read(&place.path(output));
        let rest = rows.column_by_name("_rest").unwrap().as_string::<i32>();
        assert_eq!((rows.num_rows(), rest.null_count()), (60_001, 60_000));
        assert_eq!(rest.value(60_000), "{\"new\": [1],\"id\": \"x\"}");
    }
}

#[test]
fn a_control_byte_is_a_broken_line_like_another() {
    let place = Place::new();
    place.file("in.ndjson", format!("{GOOD}\n{{\"image\": [1, \0]}}\n{GOOD}\n"));
    place.done(&["in.ndjson", "--quarantine", "bad.ndjson", "-q"]);
    assert_eq!(read(&place.path("features.parquet")).num_rows(), 2);
}

#[test]
fn a_feature_set_makes_its_columns_and_a_wrong_one_is_named() {
    let place = Place::new();
    place.done(&["--features", "histogram:4,profiles", "-o", "list.parquet"]);
    place.done(&["--features", "histogram:4", "--layout", "columns", "-o", "columns.parquet"]);
    let read = |name: &str| io::open(place.path(name), &ReadOptions::default()).unwrap();
    let (list, columns) = (read("list.parquet").schema(), read("columns.parquet").schema());
    assert_eq!(list.metadata()["pixelfeat.features"], "histogram:4,profiles");
    assert!(
        list.metadata()["pixelfeat.feature_names"].starts_with("histogram_0,histogram_1,histogram_2,histogram_3,row")
    );
    assert!(matches!(list.field_with_name("features").unwrap().data_type(), DataType::FixedSizeList(_, 64)));
    let names: Vec<_> = columns.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["label", "histogram_0", "histogram_1", "histogram_2", "histogram_3"]);
    for batch in read("columns.parquet") {
        let batch = batch.unwrap();
        let column = |at: usize| batch.column(at).as_primitive::<Float32Type>().values().to_vec();
        for row in 0..batch.num_rows() {
            let sum = (1..5).map(|at| column(at)[row]).sum::<f32>();
            assert!((sum - 1.0).abs() < 1e-6, "row {row}: {sum}");
            if row > 100 {
                break;
            }
        }
    }
    let wrong = place.run(&["--features", "histogram:5"]);
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("a power of two from 2 to 256"));
}

#[test]
fn the_short_help_fits_a_screen() {
    let help = Place::new().done(&["-h"]);
    assert!(help.lines().count() <= 40, "{help}");
    assert!(help.contains("--features") && !help.contains("--max-delay"), "{help}");
}

#[test]
fn completions_know_the_options() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Place::new().done(&["--completions", shell]);
        assert!(script.contains("max-delay"), "{shell}: {script}");
    }
}

#[test]
fn help_names_every_option() {
    let help = Place::new().done(&["--help"]);
    for option in [
        "--output",
        "--image",
        "--shape",
        "--pixel-type",
        "--scale",
        "--keep-image",
        "--backend",
        "--layout",
        "--on-invalid",
        "--max-invalid",
        "--profile",
        "--label",
        "--check",
        "--check-report",
        "--issues",
        "--issue-threshold",
        "--hashes",
        "--lineage",
        "--lineage-job",
        "--if-changed",
        "--quarantine-failed",
        "--reference",
        "--max-drift",
        "--drift-threshold",
        "--drift-report",
        "--quality-report",
        "--quarantine",
        "--compression",
        "--batch-size",
        "--threads",
        "--report",
        "--quiet",
        "--labels",
        "--columns",
        "--limit",
        "--sample",
        "--seed",
        "--partition-by",
        "--gray",
        "--resize",
        "--stages",
        "--features",
        "--ragged",
        "--encoding",
        "--order",
    ] {
        assert!(help.contains(option), "{option} is missing in:\n{help}");
    }
}

#[test]
fn stdin_goes_in_and_an_ipc_stream_comes_out() {
    let place = Place::new();
    let mut child = example("featurize")
        .args(["-", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{GOOD}\n{GOOD}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("2 of 2 rows featurized"));
    let features = read(&place.file("features.arrows", &output.stdout));
    // With the column of members that come late.
    assert_eq!((features.num_rows(), features.num_columns()), (2, 5));

    // And the stream is an input again.
    let images = place.path("images.arrow");
    io::write(&images, synthetic::Digits::new(10, 1, 10), &WriteOptions::default()).unwrap();
    let mut child = example("featurize")
        .args(["-", "-o", "out.parquet", "-q"])
        .current_dir(place.0.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = Vec::new();
    let mut digits = synthetic::Digits::new(10, 1, 10);
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut stream, &digits.schema()).unwrap();
    writer.write(&digits.next().unwrap().unwrap()).unwrap();
    writer.finish().unwrap();
    drop(writer);
    child.stdin.take().unwrap().write_all(&stream).unwrap();
    assert!(child.wait().unwrap().success());
    // A producer that died does not look like one that was done.
    place.file("cut.arrows", &stream[..stream.len() - 8]);
    let message = place.failed(&["cut.arrows", "-o", "cut.parquet"]);
    assert_eq!(message, "cut.arrows: the stream breaks off: its end-of-stream mark is missing");
    place.done(&["images.arrow", "-o", "file.parquet", "-q"]);
    assert_eq!(read(&place.path("out.parquet")).columns(), read(&place.path("file.parquet")).columns());
}

#[cfg(feature = "image")]
#[test]
fn images_of_different_sizes_are_named_resized_or_ragged() {
    let place = Place::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layouts/daft_sizes.parquet");
    let run = |args: &[&str]| place.done(&[&[fixture.to_str().unwrap(), "-o", "out.parquet"], args].concat());
    let names = || {
        let schema = read(&place.path("out.parquet")).schema();
        schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    let shown = run(&[]);
    assert!(shown.contains("2 of 3 rows featurized, 5x7x3 u8 images"), "{shown}");
    assert!(shown.contains("1 rows invalid: 1 wrong length"), "{shown}");
    assert!(shown.contains("some images are not 5x7x3: resize brings all to one size, ragged takes each"), "{shown}");
    let shown = run(&["--gray", "--resize", "4x3:area", "--keep-image", "--layout", "tensor"]);
    assert!(shown.contains("3 of 3 rows featurized, 4x3 u8 images"), "{shown}");
    assert_eq!(names(), ["image", "label", "pixel_mean", "pixel_std", "features"]);
    let kept = read(&place.path("out.parquet")).schema().field(0).clone();
    assert_eq!(kept.extension_type_metadata(), Some(r#"{"dim_names":["H","W"],"shape":[4,3]}"#));
    run(&["--gray", "--resize", "4x3", "--keep-image=bytes"]);
    assert_eq!(read(&place.path("out.parquet")).schema().field(0).data_type(), &DataType::FixedSizeBinary(12));
    run(&["--ragged", "--report", "report.json"]);
    assert_eq!(names(), ["label", "pixel_mean", "pixel_std", "height", "width", "features"]);
    assert_eq!(place.report("report.json")["rows_featurized"], 3);
    for args in [
        &["--ragged", "--resize", "4x4"][..],
        &["--resize", "4"],
        &["--resize", "4x4:best"],
        &["--stages", "blur"],
        &["--stages", "gray", "--gray"],
    ] {
        assert_eq!(place.run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn rows_columns_and_outputs_are_chosen_by_options() {
    let place = Place::new();
    let line = |row: usize| format!("{{\"image\": [1, 2, 3, {row}], \"row\": {row}, \"label\": {}}}\n", row % 3);
    place.file("in.ndjson", (0..100).map(line).collect::<String>());
    let rows = |name: &str| {
        let rows = read(&place.path(name)).column_by_name("row").cloned().unwrap();
        rows.as_primitive::<Int64Type>().values().to_vec()
    };
    place.done(&["in.ndjson", "--limit", "3", "-o", "first.parquet"]);
    assert_eq!(rows("first.parquet"), [0, 1, 2]);
    for name in ["a.parquet", "b.parquet"] {
        place.done(&["in.ndjson", "--sample", "10", "--seed", "5", "-o", name]);
    }
    assert_eq!(rows("a.parquet").len(), 10);
    assert_eq!(rows("a.parquet"), rows("b.parquet"));
    place.done(&["in.ndjson", "--columns", "row", "-o", "row.parquet"]);
    let names: Vec<_> = read(&place.path("row.parquet")).schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["row", "pixel_mean", "pixel_std", "features"]);
    assert_eq!(
        place.failed(&["in.ndjson", "--columns", "colour"]),
        "no column `colour`; there is `image`, `row`, `label`"
    );
    place.done(&["in.ndjson", "--partition-by", "label", "-o", "parts"]);
    assert_eq!(rows("parts").len(), 100);
    assert_eq!(rows("parts/label=1/part-0.parquet")[..3], [1, 4, 7]);
    place.done(&["in.ndjson", "-o", "features.csv"]);
    let csv = text(&fs::read(place.path("features.csv")).unwrap());
    assert!(csv.starts_with("row,label,pixel_mean,pixel_std,row_sum_0,"), "{csv}");
    assert_eq!(csv.lines().count(), 101);
    place.done(&["in.ndjson", "-o", "features.npy"]);
    assert!(place.path("features.label.npy").is_file());
    // What was written as an array is an input with labels.
    place.done(&["features.npy", "--labels", "features.label.npy", "--shape", "2x4", "--pixel-type", "f32", "-q"]);
    assert_eq!(read(&place.path("features.parquet")).num_rows(), 100);
}

#[test]
fn inspect_tells_what_a_file_holds_and_the_command_works() {
    let place = Place::new();
    place.file(
        "odd.ndjson",
        "{\"pixels\": [1, 2, 3, 4], \"label\": 3}\n{\"pixels\": [1, 2, 300, 4], \"label\": null}\n{\"pixels\": null}\nno JSON\n\
         {\"pixels\": [0, 2, 3, 9], \"label\": 4}\n",
    );
    let inspect = |args: &[&str]| {
        let output = example("inspect").args(args).current_dir(place.0.path()).output().unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (done, shown, error) = inspect(&["odd.ndjson", "--picture", "sheet.png"]);
    assert!(done, "{error}");
    for expected in [
        "odd.ndjson: 5 rows, ",
        "  pixels  list of UInt8  1 null",
        "  label   Int64          2 null",
        "images in `pixels`",
        "shape       2x2, 8 features",
        "pixel type  u8, values 0 to 9",
        "some do not fit; u16 would take them",
        "good rows   2",
        "odd rows    1 null image\n              row 2 (line 3): null",
        "odd rows    1 out of range\n              row 1 (line 2): pixel 2 is 300",
        "odd rows    1 broken line\n              row 3 (line 4): ",
        "2 images drawn in sheet.png",
    ] {
        assert!(shown.contains(expected), "{expected} is missing in\n{shown}");
    }
    let picture = fs::read(place.path("sheet.png")).unwrap();
    let picture = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
    assert_eq!(
        (picture.info().width, picture.info().height),
        (2 * (112 + 2 + 28 + 14) + 14, 14 + 112 + 2 + 28 + 14 + 14)
    );
    let command =
        shown.lines().find_map(|line| line.strip_prefix("cargo run --release --example featurize -- ")).unwrap();
    place.done(&command.split(' ').collect::<Vec<_>>());
    assert_eq!(read(&place.path("features.parquet")).num_rows(), 4);
    let (_, shown, _) = inspect(&["odd.ndjson", "--rows", "1"]);
    assert!(shown.contains("odd.ndjson: 1 rows") && shown.contains("values 1 to 4"), "{shown}");

    place.file("flat.ndjson", "{\"data\": {\"p\": [1, 2, 3], \"id\": 1}, \"label\": 5}\n");
    let (done, shown, error) = inspect(&["flat.ndjson"]);
    assert!(!done && error.contains("which is not a perfect square"), "{error}");
    assert!(shown.contains("data.p  list of UInt8") && shown.contains("--image data.p --shape HxW"), "{shown}");
    place.file("none.ndjson", "{\"a\": 1}\n");
    let (done, _, error) = inspect(&["none.ndjson"]);
    assert!(!done && error.contains("no column `image`; there is `a`"), "{error}");
}
