//! Digests of rows: those of a second implementation, the same for every form of the same rows, and others for other rows.
#![cfg(all(feature = "lineage", feature = "json", feature = "parquet", feature = "ipc"))]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::{Float32Type, Int64Type, UInt8Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, LargeListArray,
    LargeStringArray, ListArray, ListViewArray, RecordBatch, RecordBatchIterator, RecordBatchReader, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampSecondArray, UInt8Array, UnionArray,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, Schema, UnionFields};
use arrow_select::concat::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use pixelfeat::io::{self, ReadOptions, WriteOptions};
use pixelfeat::lineage::{Digest, DigestBuilder, Digesting, dvc_md5};
use pixelfeat::synthetic::Digits;
use serde_json::{Value, json};

use crate::cli::Place;
use crate::support::example;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/digests").join(name)
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(fixture("digests.json")).unwrap()).unwrap()
}

fn read(path: &Path, options: &ReadOptions) -> Digest {
    Digest::of(io::open(path, options).unwrap()).unwrap()
}

fn of(batch: &RecordBatch) -> Digest {
    Digest::of(RecordBatchIterator::new([Ok(batch.clone())], batch.schema())).unwrap()
}

/// The digest of one column.
fn column(array: ArrayRef) -> Digest {
    of(&RecordBatch::try_from_iter_with_nullable([("column", array, true)]).unwrap())
}

#[test]
fn a_second_implementation_finds_the_same_digests() {
    let expected = expected();
    for name in ["all.parquet", "all.arrow", "plain.ndjson"] {
        let digest = read(&fixture(name), &ReadOptions::default());
        assert_eq!(digest.to_json(), expected[name], "{name}");
    }
    let batch = io::open(fixture("all.arrow"), &ReadOptions::default()).unwrap().next().unwrap().unwrap();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        let alone = RecordBatch::try_from_iter_with_nullable([(field.name(), array.clone(), true)]).unwrap();
        assert_eq!(of(&alone).to_json(), expected["columns"][field.name()], "{field}");
    }
}

#[test]
fn batches_row_groups_threads_and_formats_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let digits = || Digits::new(3000, 3, 1000);
    let digest = Digest::of(digits()).unwrap();
    let schema = digits().schema();
    let all = concat_batches(&schema, &digits().map(|batch| batch.unwrap()).collect::<Vec<_>>()).unwrap();
    // Rows that are hashed on their own, and short ones that are hashed beside others.
    for table in [all.clone(), all.project(&[1]).unwrap()] {
        for rows in [1, 15, 16, 17, 700] {
            let batches: Vec<_> = (0..3000).step_by(rows).map(|at| Ok(table.slice(at, rows.min(3000 - at)))).collect();
            let cut = Digest::of(RecordBatchIterator::new(batches, table.schema())).unwrap();
            assert_eq!(cut, of(&table), "{rows} rows a batch");
        }
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| of(&all)), digest, "{threads} threads");
    }
    for (name, group) in [("a.parquet", 77), ("b.parquet", 3000)] {
        let path = folder.path().join(name);
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), schema.clone(), Some(properties)).unwrap();
        writer.write(&all).unwrap();
        writer.close().unwrap();
        for batch_rows in [13, 8192] {
            assert_eq!(read(&path, &ReadOptions::default().with_batch_rows(batch_rows)), digest, "{name}");
        }
    }
    let path = folder.path().join("c.arrow");
    io::write(&path, digits(), &WriteOptions::default()).unwrap();
    assert_eq!(read(&path, &ReadOptions::default()), digest);
    let mut lines = String::new();
    for row in 0..all.num_rows() {
        let image = all.column(0).slice(row, 1);
        let image = arrow_array::cast::AsArray::as_fixed_size_list(&image).values().clone();
        let pixels: Vec<u8> = arrow_array::cast::AsArray::as_primitive::<UInt8Type>(&image).values().to_vec();
        let label = arrow_cast::display::array_value_to_string(all.column(1), row).unwrap();
        lines += &format!("{}\n", json!({"label": label.parse::<i64>().unwrap(), "image": pixels}));
    }
    let path = folder.path().join("d.ndjson");
    fs::write(&path, lines).unwrap();
    assert_eq!(read(&path, &ReadOptions::default()), digest, "the columns come in another order, too");
}

#[test]
fn layouts_of_the_same_values_have_one_digest() {
    let lists = [Some(vec![Some(1), Some(2)]), Some(vec![Some(3), Some(250)])];
    let list = ListArray::from_iter_primitive::<UInt8Type, _, _>(lists.clone());
    let digest = column(Arc::new(list.clone()));
    let item = Arc::new(Field::new("item", DataType::UInt8, true));
    let views = ListViewArray::new(
        item.clone(),
        ScalarBuffer::from(vec![2, 0]),
        ScalarBuffer::from(vec![2, 2]),
        Arc::new(UInt8Array::from(vec![3, 250, 1, 2])),
        None,
    );
    let wide: Vec<Option<Vec<Option<i64>>>> =
        lists.iter().map(|list| list.as_ref().map(|list| list.iter().map(|v| v.map(i64::from)).collect())).collect();
    let sliced = ListArray::from_iter_primitive::<UInt8Type, _, _>([None].into_iter().chain(lists.clone()));
    let same: [ArrayRef; 5] = [
        Arc::new(FixedSizeListArray::new(item, 2, list.values().clone(), None)),
        Arc::new(LargeListArray::from_iter_primitive::<UInt8Type, _, _>(lists)),
        Arc::new(views),
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(wide)),
        Arc::new(sliced.slice(1, 2)),
    ];
    for array in same {
        assert_eq!(column(array.clone()), digest, "{}", array.data_type());
    }
    let words = [Some("a"), None, Some("b"), Some("a")];
    let digest = column(Arc::new(StringArray::from_iter(words)));
    let keys = Int32Array::from(vec![Some(2), Some(1), Some(0), Some(2)]);
    let dictionary = DictionaryArray::new(keys, Arc::new(StringArray::from(vec![Some("b"), None, Some("a")])));
    let same: [ArrayRef; 3] = [
        Arc::new(LargeStringArray::from_iter(words)),
        Arc::new(StringViewArray::from_iter(words)),
        Arc::new(dictionary),
    ];
    for array in same {
        assert_eq!(column(array.clone()), digest, "{}", array.data_type());
    }
    let digest = column(Arc::new(TimestampSecondArray::from(vec![Some(-5), None])));
    assert_eq!(column(Arc::new(TimestampMicrosecondArray::from(vec![Some(-5_000_000), None]))), digest);
    assert_ne!(column(Arc::new(TimestampSecondArray::from(vec![Some(-5), None]).with_timezone("UTC"))), digest);
    let nulls: DictionaryArray<arrow_array::types::Int32Type> =
        DictionaryArray::new(Int32Array::new_null(2), Arc::new(StringArray::from(Vec::<&str>::new())));
    assert_eq!(column(Arc::new(nulls)), column(Arc::new(Int64Array::new_null(2))));
}

#[test]
fn every_change_of_a_row_changes_the_digest() {
    let floats = |values: &[f32]| -> ArrayRef { Arc::new(Float32Array::from(values.to_vec())) };
    let base = floats(&[1.0, 2.0, 0.0]);
    let digest = column(base.clone());
    let changed_bit = f32::from_bits(2.0f32.to_bits() ^ 1);
    let others: [(&str, ArrayRef); 5] = [
        ("a bit", floats(&[1.0, changed_bit, 0.0])),
        ("a null for a zero", Arc::new(Float32Array::from(vec![Some(1.0), Some(2.0), None]))),
        ("a row less", floats(&[1.0, 2.0])),
        ("a row twice", floats(&[1.0, 2.0, 0.0, 0.0])),
        ("integers for floats", Arc::new(Int64Array::from(vec![1, 2, 0]))),
    ];
    for (what, other) in others {
        let other = column(other);
        assert!(other != digest && !other.has_rows_of(&digest), "{what}");
    }
    let swapped = column(floats(&[2.0, 1.0, 0.0]));
    assert_ne!(swapped, digest);
    assert!(swapped.has_rows_of(&digest), "the same rows in another order");
    assert_eq!(column(floats(&[1.0, 2.0, -0.0])), digest);
    let renamed = of(&RecordBatch::try_from_iter([("other", base)]).unwrap());
    assert!(!renamed.has_rows_of(&digest), "a column of another name");
    let list = |list| column(Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([list])));
    let (empty, null, zero) = (list(Some(vec![])), list(None), list(Some(vec![Some(0.0)])));
    let of_null = list(Some(vec![None]));
    let digests = [empty, null, zero, of_null];
    assert!((0..4).all(|a| (0..a).all(|b| digests[a] != digests[b])), "empty list, null, a zero, a null in a list");
    // What stands beside one another must not run into one another.
    let pair = |a: &str, b: &str| {
        let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        of(&RecordBatch::try_from_iter([("a", text(a)), ("b", text(b))]).unwrap())
    };
    assert_ne!(pair("xy", "z"), pair("x", "yz"));
}

#[test]
fn a_digest_is_read_as_it_was_written() {
    let digest = Digest::of(Digits::new(10, 1, 10)).unwrap();
    assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    assert_eq!(Digest::from_json(&digest.to_json()).unwrap(), digest);
    let text = digest.to_string();
    for wrong in
        ["", "v1:10:ab:cd", &text[1..], &text[..text.len() - 1], &text.replace(":10:", ":-1:"), &text.replace('a', "g")]
    {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
    let mut newer = digest.to_json();
    newer["version"] = json!(2);
    let error = Digest::from_json(&newer).unwrap_err().to_string();
    assert!(error.contains("form 2") && error.contains("form 1"), "{error}");
    assert!(Digest::from_json(&json!({"version": 1})).is_err());
}

#[test]
fn unions_are_refused_before_anything_is_read() {
    let fields = UnionFields::try_new([0], [Field::new("a", DataType::Int64, true)]).unwrap();
    let union = UnionArray::try_new(fields, vec![0].into(), None, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
    let batch = RecordBatch::try_from_iter([("mixed", Arc::new(union) as ArrayRef)]).unwrap();
    let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
    let error = Digesting::new(reader).err().unwrap().to_string();
    assert!(error.contains("`mixed`") && error.contains("digests have no form for it"), "{error}");
    let mut builder = DigestBuilder::new(&Schema::empty()).unwrap();
    assert!(builder.add(&batch).is_err(), "a batch that is not as was said");
}

#[test]
fn dvc_notes_the_same_hashes() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let found: Value = serde_json::from_slice(&fs::read(fixtures.join("dvc.json")).unwrap()).unwrap();
    for name in ["files/hive-pyarrow", "digests/all.parquet"] {
        assert_eq!(dvc_md5(fixtures.join(name)).unwrap(), found["md5"][name].as_str().unwrap(), "{name}");
    }
    let place = Place::new();
    for name in found["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
        let path = place.path("odd").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    assert_eq!(dvc_md5(place.path("odd")).unwrap(), found["md5"]["odd"].as_str().unwrap());
    assert!(dvc_md5(place.path("missing")).unwrap_err().to_string().contains("missing"));
}

#[test]
fn a_run_tells_what_it_wrote_in_its_report_and_in_the_footer() {
    let place = Place::new();
    let mut digests = Vec::new();
    for (output, args) in [
        ("a.parquet", &["--batch-size", "77"][..]),
        ("b.arrow", &["--threads", "1"]),
        ("c.parquet", &["--compression", "none", "--backend", "cpu"]),
    ] {
        let told = place.done(&[&["-o", output, "--digest", "--md5", "--report", "report.json"], args].concat());
        let report: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
        let footer = &io::read_footer(place.path(output)).unwrap()["pixelfeat.digest"];
        assert_eq!(serde_json::from_str::<Value>(footer).unwrap(), report["digest"], "{output}");
        let digest = Digest::from_json(&report["digest"]).unwrap();
        assert_eq!(digest, read(&place.path(output), &ReadOptions::default()), "{output}");
        assert_eq!(report["md5"], json!({output: dvc_md5(place.path(output)).unwrap()}));
        assert!(told.contains(&format!("digest {digest}\n")) && told.contains("\nmd5 "), "{told}");
        digests.push(digest);
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "batches, threads, codecs and formats do not matter");
    place.done(&["-o", "parts", "--partition-by", "label", "--digest", "--md5", "--report", "report.json"]);
    let report: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
    assert_eq!(report["digest"], digests[0].to_json(), "the rows as they came, with the column that names the folders");
    assert_eq!(report["md5"]["parts"], dvc_md5(place.path("parts")).unwrap());
    place.done(&["-o", "d.parquet"]);
    assert!(!io::read_footer(place.path("d.parquet")).unwrap().contains_key("pixelfeat.digest"));
}

/// Runs `check --same`; the exit code and what it printed.
fn same(place: &Place, a: &str, b: &str) -> (Option<i32>, String) {
    let mut command = example("check");
    command.args(["--same", a, b]).current_dir(place.path("."));
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn check_names_the_first_rows_that_differ() {
    let place = Place::new();
    let line = |row: usize| format!("{{\"image\": [0, 1, 2, {row}], \"label\": {}, \"name\": \"n{row}\"}}\n", row % 3);
    let lines: Vec<String> = (0..100).map(line).collect();
    place.file("a.ndjson", lines.concat());
    // Another order of columns, and another format.
    let batches: Vec<_> =
        io::open(place.path("a.ndjson"), &ReadOptions::default()).unwrap().map(|b| b.unwrap()).collect();
    let columns = ["name", "label", "image"];
    let places: Vec<usize> = columns.iter().map(|name| batches[0].schema().index_of(name).unwrap()).collect();
    let batches: Vec<_> = batches.iter().map(|batch| batch.project(&places)).collect();
    let schema = batches[0].as_ref().unwrap().schema();
    io::write(place.path("a.parquet"), RecordBatchIterator::new(batches, schema), &WriteOptions::default()).unwrap();
    let (code, told) = same(&place, "a.ndjson", "a.parquet");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with("the same 100 rows\na.ndjson   v1:100:"), "{told}");

    let mut changed = lines.clone();
    changed[40] = changed[40].replace("[0, 1, 2, 40]", "[0, 1, 2, 41]").replace("n40", "N40");
    changed[70] = changed[70].replace("\"label\": 1", "\"label\": null");
    place.file("b.ndjson", changed.concat());
    let (code, told) = same(&place, "a.parquet", "b.ndjson");
    assert_eq!(code, Some(3), "{told}");
    let rows = "2 rows differ in their places\n\
        a.parquet row 40 and b.ndjson row 40\n  image: [0, 1, 2, 40] and [0, 1, 2, 41]\n  name: n40 and N40\n\
        a.parquet row 70 and b.ndjson row 70\n  label: 1 and null\n";
    assert!(told.starts_with("not the same rows\n") && told.ends_with(rows), "{told}");

    place.file("c.ndjson", lines.iter().rev().cloned().collect::<String>());
    let (code, told) = same(&place, "a.ndjson", "c.ndjson");
    assert_eq!(code, Some(3), "{told}");
    assert!(told.starts_with("the same 100 rows in another order\n"), "{told}");

    // The files of a folder are one input, and the row is told by its file.
    fs::create_dir(place.path("d")).unwrap();
    place.file("d/1.ndjson", lines[..60].concat());
    place.file("d/2.ndjson", lines[60..98].concat() + &changed[40]);
    let (code, told) = same(&place, "a.ndjson", "d");
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("2 rows differ in their places\na.ndjson row 98 and d/2.ndjson row 38\n"), "{told}");
    assert!(told.ends_with("a.ndjson row 99 is behind the end of d\n"), "{told}");

    place.file("e.ndjson", lines.concat().replace("name", "title"));
    let (code, told) = same(&place, "a.ndjson", "e.ndjson");
    assert_eq!(code, Some(3), "{told}");
    let columns = "only a.ndjson has the columns name\nonly e.ndjson has the columns title\n";
    assert!(told.ends_with(columns), "{told}");
    let (code, told) = same(&place, "a.ndjson", "missing.parquet");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.starts_with("error: ") && told.contains("missing.parquet"), "{told}");
}
