//! Files as tables.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt8Type};
use arrow_array::{Array, RecordBatch};
use pixelfeat::{io, synthetic};

use crate::{context, refusal, rows};

const ROWS: u64 = 50;

fn table() -> RecordBatch {
    synthetic::Digits::new(ROWS, 2, ROWS as usize).next().unwrap().unwrap()
}

fn pixels(table: &RecordBatch) -> Vec<u8> {
    table.column(0).as_fixed_size_list().values().as_primitive::<UInt8Type>().values().to_vec()
}

/// The rows as lines of JSON.
fn ndjson(table: &RecordBatch) -> String {
    let (pixels, labels) = (pixels(table), table.column(1).as_primitive::<Int64Type>().values());
    let lines =
        pixels.chunks(784).zip(labels).map(|(image, label)| format!("{{\"image\": {image:?}, \"label\": {label}}}\n"));
    lines.collect()
}

fn npy(table: &RecordBatch) -> Vec<u8> {
    let about = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, 28, 28), }}", table.num_rows());
    let about = format!("{about:<117}\n");
    [b"\x93NUMPY\x01\x00", &(about.len() as u16).to_le_bytes()[..], about.as_bytes(), &pixels(table)].concat()
}

fn write(folder: &Path, table: &RecordBatch) {
    let text = ndjson(table);
    fs::write(folder.join("digits.ndjson"), &text).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    fs::write(folder.join("digits.json.gz"), gzip.finish().unwrap()).unwrap();
    fs::write(folder.join("digits.npy"), npy(table)).unwrap();
    for name in ["digits.parquet", "digits.arrow"] {
        io::write(folder.join(name), synthetic::Digits::new(ROWS, 2, 16), &io::WriteOptions::default()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_all_formats_are_tables() {
    let (folder, table) = (tempfile::tempdir().unwrap(), table());
    write(folder.path(), &table);
    // One partition keeps the order of the rows.
    let context = context(1, 7);
    let expected = {
        let sql = format!("SELECT pixel_features(image, '28x28') AS f FROM pixelfeat_digits({ROWS}, 2)");
        rows(&context, &sql).await.unwrap()
    };
    for name in ["digits.ndjson", "digits.json.gz", "digits.parquet", "digits.arrow", "digits.npy"] {
        let path = folder.path().join(name).display().to_string();
        let found =
            rows(&context, &format!("SELECT pixel_features(image, '28x28') AS f FROM pixelfeat('{path}')")).await;
        let found = found.unwrap();
        assert!(found.column(0).to_data() == expected.column(0).to_data(), "{name}");
        if name != "digits.npy" {
            // Other columns alone, in another order, and none.
            let sql = format!("SELECT sum(label), count(*) FROM pixelfeat('{path}')");
            let found = rows(&context, &sql).await.unwrap();
            let sum: i64 = table.column(1).as_primitive::<Int64Type>().values().iter().sum();
            assert_eq!(found.column(0).as_primitive::<Int64Type>().value(0), sum, "{name}");
            let found = rows(&context, &format!("SELECT label, image FROM pixelfeat('{path}')")).await.unwrap();
            assert_eq!((found.schema().field(1).name().as_str(), found.num_rows()), ("image", ROWS as usize), "{name}");
        }
        let found = rows(&context, &format!("SELECT count(*) FROM pixelfeat('{path}')")).await.unwrap();
        assert_eq!(found.column(0).as_primitive::<Int64Type>().value(0), ROWS as i64, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_names_several_files() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.ndjson", "b.ndjson"] {
        fs::write(folder.path().join(name), ndjson(&table())).unwrap();
    }
    let context = context(2, 8192);
    let pattern = folder.path().join("*.ndjson").display().to_string();
    for (limit, expected) in [("", 2 * ROWS), ("LIMIT 63", 63)] {
        let sql = format!("SELECT label FROM pixelfeat('{pattern}') {limit}");
        assert_eq!(rows(&context, &sql).await.unwrap().num_rows() as u64, expected, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_tell_the_column_of_the_images_and_their_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.ndjson");
    fs::write(&path, "{\"data\": {\"pixels\": [0, 1, 2, 65535]}}\n{\"data\": {\"pixels\": [0, 1, 2, -1]}}\n").unwrap();
    let context = context(1, 8192);
    let from = format!("FROM pixelfeat('{}', 'image=data.pixels, pixel_type=u16')", path.display());
    let sql = format!("SELECT pixel_mean(\"data.pixels\", '2x2') AS m, \"data.pixels.defect\"['detail'] AS d {from}");
    let found = rows(&context, &sql).await.unwrap();
    assert_eq!(found.column(0).as_primitive::<arrow_array::types::Float32Type>().value(0), 16_384.5);
    assert!(found.column(0).is_null(1) && found.column(1).as_string::<i32>().value(1).contains("-1"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_an_error_of_the_crate() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("broken.ndjson"), format!("{}{{\"image\": [0, 1\n", ndjson(&table()))).unwrap();
    // The first rows decide the columns.
    let late = ["{\"image\": [0], \"n\": 1}\n".repeat(50_000), "{\"image\": [0], \"late\": 5}\n".to_owned()].concat();
    fs::write(path("late.ndjson"), late).unwrap();
    fs::write(path("text.txt"), [0, 1, 2, 3]).unwrap();
    let context = context(2, 8192);
    for (call, why) in [
        (format!("'{}'", path("broken.ndjson")), "broken.ndjson: line 51"),
        (format!("'{}'", path("text.txt")), "text.txt: is in no format that can be read"),
        (format!("'{}'", path("none.json")), "pixelfeat: cannot open "),
        ("'-'".to_owned(), "pixelfeat: the argument path is the stream -, which can be read only once"),
        (String::new(), "pixelfeat takes path, [options], not 0 arguments"),
        ("1".to_owned(), "pixelfeat: the argument path is Int64, not text"),
        (format!("'{}'", path("late.ndjson")), "late.ndjson: line 50001"),
        ("'a', 'late_members=x'".to_owned(), "options is wrong: late_members: `x` is not rest"),
        ("'a', 'b=c'".to_owned(), "options is wrong: `b` is none of image, pixel_type and late_members"),
    ] {
        let error = refusal(&context, &format!("SELECT * FROM pixelfeat({call})")).await;
        assert!(error.contains(why), "{call}: {error}");
    }
    let late =
        format!("SELECT _rest FROM pixelfeat('{}', 'late_members=rest') WHERE _rest IS NOT NULL", path("late.ndjson"));
    let found = rows(&context, &late).await.unwrap();
    assert_eq!((found.num_rows(), found.column(0).as_string::<i32>().value(0)), (1, "{\"late\": 5}"));
    let error = refusal(&context, "SELECT * FROM pixelfeat_digits(-1)").await;
    assert!(error.contains("pixelfeat_digits: the argument rows is -1, not a whole number from 0 on"), "{error}");
}

#[test]
fn a_query_that_ends_early_ends_its_reader() {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found = runtime.block_on(async {
            let sql = "SELECT label FROM pixelfeat_digits(100000000000) WHERE label > 4 LIMIT 5";
            rows(&context(2, 64), sql).await.unwrap()
        });
        // This waits for blocking tasks, such as readers.
        drop(runtime);
        sender.send(found.num_rows()).unwrap();
    });
    assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(5));
}
