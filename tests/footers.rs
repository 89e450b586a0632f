//! Key-value pairs at the end of files: they are told last, stay with their file, and are read again.
#![cfg(all(feature = "parquet", feature = "ipc"))]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::Schema;
use pixelfeat::io::{self, OutputFormat, ReadOptions, WriteOptions};
use pixelfeat::{Error, synthetic};

/// A reader that counts the rows that were pulled from it, and a footer that tells them.
fn counted(rows: u64) -> (impl RecordBatchReader, WriteOptions) {
    let counted = Arc::new(AtomicU64::new(0));
    let digits = synthetic::Digits::new(rows, 1, 10);
    let (schema, counting) = (digits.schema(), counted.clone());
    let batches = digits.inspect(move |batch| {
        counting.fetch_add(batch.as_ref().unwrap().num_rows() as u64, Ordering::Relaxed);
    });
    let told = move || {
        let rows = counted.load(Ordering::Relaxed).to_string();
        Ok(vec![("rows".to_owned(), rows), ("pixelfeat.digest".to_owned(), "{}".to_owned())])
    };
    let by = || Ok(vec![("by".to_owned(), "hand".to_owned())]);
    (RecordBatchIterator::new(batches, schema), WriteOptions::default().with_footer(told).with_footer(by))
}

fn open(path: &Path) -> io::Reader {
    io::open(path, &ReadOptions::default()).unwrap()
}

#[test]
fn pairs_are_told_after_the_last_row_and_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.parquet", "b.arrow", "folder"] {
        let path = folder.path().join(name);
        let (reader, mut options) = counted(95);
        options.partition_by = (name == "folder").then(|| "label".to_owned());
        io::write(&path, reader, &options).unwrap();
        let footer = io::read_footer(&path).unwrap();
        assert_eq!((footer["rows"].as_str(), footer["by"].as_str()), ("95", "hand"), "{name}");
        assert_eq!(footer["pixelfeat.digest"], "{}", "{name}");
        assert!(!footer.contains_key("ARROW:schema"), "{name}");
        assert_eq!(open(&path).map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 95, "{name}");
    }
    for entry in fs::read_dir(folder.path().join("folder")).unwrap() {
        let part = entry.unwrap().path().join("part-0.parquet");
        assert_eq!(io::read_footer(&part).unwrap()["rows"], "95", "{}", part.display());
    }
}

#[test]
fn formats_without_a_place_for_them_leave_them_out() {
    for format in [OutputFormat::ArrowStream, OutputFormat::Csv] {
        let (reader, options) = counted(20);
        let reader = RecordBatchIterator::new(
            reader.map(|batch| batch?.project(&[1])).collect::<Vec<_>>(),
            Arc::new(synthetic::Digits::new(1, 1, 1).schema().project(&[1]).unwrap()),
        );
        let mut bytes = Vec::new();
        io::write_to(&mut bytes, format, reader, &options).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("hand") && !text.contains("pixelfeat.digest"), "{format}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.ndjson");
    fs::write(&path, "{\"image\": [0]}\n").unwrap();
    assert!(io::read_footer(&path).unwrap().is_empty());
}

#[test]
fn what_is_true_of_one_file_is_not_told_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
    let (reader, options) = counted(10);
    io::write(&first, reader, &options).unwrap();
    io::write(&second, open(&first), &WriteOptions::default()).unwrap();
    let footer = io::read_footer(&second).unwrap();
    assert_eq!(footer.get("by").map(String::as_str), Some("hand"), "what others wrote stays");
    assert!(!footer.contains_key("pixelfeat.digest"), "{footer:?}");
    // The schema that another library gave a stream may have it as well.
    let about = [("pixelfeat.lineage", "{}"), ("owner", "us")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let digits = synthetic::Digits::new(3, 1, 3);
    let schema = Arc::new(Schema::new_with_metadata(digits.schema().fields().clone(), about.into()));
    let batches = digits.map(|batch| RecordBatch::try_new(schema.clone(), batch?.columns().to_vec()));
    let mut bytes = Vec::new();
    let stream = RecordBatchIterator::new(batches.collect::<Vec<_>>(), schema.clone());
    io::write_to(&mut bytes, OutputFormat::ArrowStream, stream, &WriteOptions::default()).unwrap();
    let back = io::read(std::io::Cursor::new(bytes), "stream", &ReadOptions::default()).unwrap().schema();
    assert_eq!(back.metadata().keys().collect::<Vec<_>>(), ["owner"]);
}

#[test]
fn errors_of_a_footer_leave_no_file_and_damaged_files_say_so() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.parquet", "a.arrow"] {
        let path = folder.path().join(name);
        let failing = || Err(Error::Internal("no digest".to_owned()));
        let error = io::write(&path, synthetic::Digits::new(10, 1, 10), &WriteOptions::default().with_footer(failing));
        assert!(error.unwrap_err().to_string().contains("no digest"), "{name}");
        assert!(!path.exists(), "{name}");
        let (reader, options) = counted(10);
        io::write(&path, reader, &options).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let error = io::read_footer(&path).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
    assert!(io::read_footer(folder.path().join("missing.parquet")).is_err());
}
