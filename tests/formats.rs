//! Files as their own programs write them (tests/fixtures/make_files.py): the same twelve images in each, and what comes
//! out in every format read back.
#![cfg(all(feature = "arrays", feature = "csv", feature = "ipc", feature = "json", feature = "parquet"))]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type, UInt8Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Int64Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StringArray,
    UInt8Array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use pixelfeat::io::{self, ReadOptions, Rows, WriteOptions};
use pixelfeat::{
    Backend, Engine, EngineOptions, Error, FeatureSpec, Featurizer, ImageShape, KeepImage, Layout, OnInvalid,
    StreamOptions, synthetic,
};
use proptest::prelude::*;

const N: usize = 12;
const H: usize = 6;
const W: usize = 5;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/files").join(name)
}

/// The pixels of the fixtures, by the formula of the script that wrote them.
fn pixels() -> Vec<u8> {
    let image =
        |n: usize| (0..H).flat_map(move |y| (0..W).map(move |x| ((n * 37 + y * 11 + x * 5 + n * y * x) % 128) as u8));
    (0..N).flat_map(image).collect()
}

fn nested(leaf: ArrayRef, sides: &[usize]) -> ArrayRef {
    sides.iter().rev().fold(leaf, |items, &side| {
        let field = Arc::new(Field::new_list_field(items.data_type().clone(), false));
        Arc::new(FixedSizeListArray::new(field, side as i32, items, None))
    })
}

/// The images as nested lists of a type.
fn images(leaf: &DataType) -> ArrayRef {
    let bytes: ArrayRef = Arc::new(UInt8Array::from(pixels()));
    nested(arrow_cast::cast(&bytes, leaf).unwrap(), &[H, W])
}

fn featurizer(spec: FeatureSpec) -> Featurizer {
    Featurizer::new(Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap(), spec)
}

fn all(reader: impl RecordBatchReader) -> RecordBatch {
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn read(name: &str, options: &ReadOptions) -> RecordBatch {
    all(io::open(fixture(name), options).unwrap())
}

/// What the features of an image array are, whatever file it came from.
fn features_of(images: ArrayRef) -> Vec<ArrayRef> {
    let batch = RecordBatch::try_from_iter([("image", images)]).unwrap();
    features(RecordBatchIterator::new([Ok(batch.clone())], batch.schema()), "image")
}

fn features(reader: impl RecordBatchReader + Send + 'static, image: &str) -> Vec<ArrayRef> {
    let spec = FeatureSpec::default().with_image(image.to_owned());
    let batch = all(featurizer(spec).stream(reader).unwrap());
    let column = |name| batch.column_by_name(name).cloned().unwrap();
    ["pixel_mean", "pixel_std", "features"].map(column).to_vec()
}

fn labels() -> Vec<i64> {
    (0..N as i64).map(|n| n % 3).collect()
}

/// A column of numbers as i64.
fn numbers(batch: &RecordBatch, name: &str) -> Vec<i64> {
    let column = arrow_cast::cast(batch.column_by_name(name).unwrap(), &DataType::Int64).unwrap();
    column.as_primitive::<Int64Type>().values().to_vec()
}

fn strings<'a>(batch: &'a RecordBatch, name: &str) -> Vec<&'a str> {
    batch.column_by_name(name).unwrap().as_string::<i32>().iter().map(Option::unwrap).collect()
}

/// The error that reading and featurizing ends in.
fn failure_with(path: &Path, options: &ReadOptions) -> String {
    let run = || -> Result<(), Error> {
        let reader = io::open(path, options)?;
        for batch in featurizer(FeatureSpec::default().with_image(&options.image)).stream(reader)? {
            batch.map_err(Error::from)?;
        }
        Ok(())
    };
    run().unwrap_err().to_string()
}

fn failure(path: &Path) -> String {
    failure_with(path, &ReadOptions::default())
}

const TYPES: [(&str, DataType); 11] = [
    ("u1", DataType::UInt8),
    ("i1", DataType::Int8),
    ("u2", DataType::UInt16),
    ("i2", DataType::Int16),
    ("u4", DataType::UInt32),
    ("i4", DataType::Int32),
    ("u8", DataType::UInt64),
    ("i8", DataType::Int64),
    ("f2", DataType::Float16),
    ("f4", DataType::Float32),
    ("f8", DataType::Float64),
];

#[test]
fn arrays_of_every_type_and_order_hold_the_same_images() {
    let mut seen = 0;
    for (kind, data_type) in TYPES {
        let expected = images(&data_type);
        let expected_features = features_of(expected.clone());
        for name in [format!("idx/{kind}.idx"), format!("npy/{kind}.npy"), format!("npy/{kind}-big-fortran.npy")] {
            if !fixture(&name).exists() {
                assert!(name.starts_with("idx"), "{name}");
                continue;
            }
            seen += 1;
            for batch_rows in [1, 5, 100] {
                let options = ReadOptions::default().with_batch_rows(batch_rows);
                let batch = read(&name, &options);
                assert_eq!(batch.column(0), &expected, "{name}");
                assert_eq!(features(io::open(fixture(&name), &options).unwrap(), "image"), expected_features, "{name}");
            }
        }
    }
    assert_eq!(seen, 27);
    for (name, sides) in
        [("npy/flat.npy", &[H * W][..]), ("npy/one-channel-first.npy", &[H, W]), ("npy/packed.npy.gz", &[H, W])]
    {
        let expected = nested(Arc::new(UInt8Array::from(pixels())), sides);
        assert_eq!(read(name, &ReadOptions::default()).column(0), &expected, "{name}");
    }
    let colour: Vec<u8> = pixels().into_iter().flat_map(|p| [p, 127 - p, p / 2]).collect();
    let colour = nested(Arc::new(UInt8Array::from(colour)), &[H, W, 3]);
    for name in ["npy/colour.npy", "npy/colour-fortran.npy"] {
        assert_eq!(read(name, &ReadOptions::default()).column(0), &colour, "{name}");
        assert_eq!(
            features(io::open(fixture(name), &ReadOptions::default()).unwrap(), "image"),
            features_of(colour.clone())
        );
    }
    let truth = UInt8Array::from_iter_values(pixels().into_iter().map(|p| u8::from(p > 63)));
    assert_eq!(read("npy/bool.npy", &ReadOptions::default()).column(0), &nested(Arc::new(truth), &[H, W]));
    let error = failure(&fixture("npy/channels-first.npy"));
    assert!(error.ends_with("holds 12×3×6×5 u8: channels come last, so transpose it to 12×6×5×3"), "{error}");
}

#[test]
fn idx_images_find_their_labels() {
    for name in ["idx/train-images-idx3-ubyte", "idx/t10k-images-idx3-ubyte.gz"] {
        let batch = read(name, &ReadOptions::default().with_batch_rows(5));
        assert_eq!(numbers(&batch, "label"), labels(), "{name}");
        assert_eq!(batch.column(0), &images(&DataType::UInt8), "{name}");
    }
    // Of several files that are found, labels are no files of their own.
    for name in ["idx/*-ubyte*", "idx/t*"] {
        let batch = read(name, &ReadOptions::default());
        assert_eq!(numbers(&batch, "label"), [labels(), labels()].concat(), "{name}");
    }
    // Without a file of that name there is no such column; a file that is named is taken whatever its format.
    assert_eq!(read("idx/i4.idx", &ReadOptions::default()).num_columns(), 1);
    let options = ReadOptions::default().with_labels(fixture("npy/labels.npy"));
    for name in ["idx/i4.idx", "npy/u1.npy", "npy/packed.npy.gz"] {
        assert_eq!(numbers(&read(name, &options), "label"), labels(), "{name}");
    }
    let error = failure_with(&fixture("idx/train-labels-idx1-ubyte"), &ReadOptions::default());
    assert!(error.ends_with("holds 12 u8, which are labels and no images"), "{error}");
    let options = ReadOptions::default().with_labels(fixture("npy/u1.npy"));
    let error = failure_with(&fixture("idx/i4.idx"), &options);
    assert!(error.ends_with("npy/u1.npy: holds 12×6×5 u8, not a label for each of 12 images"), "{error}");
    let several = io::open_all([fixture("idx/i4.idx"), fixture("idx/i2.idx")], &options).unwrap_err().to_string();
    assert_eq!(several, "labels: a file of labels belongs to one file of images");
}

#[test]
fn arrays_of_an_archive_are_columns() {
    for name in ["npz/stored.npz", "npz/deflated.npz"] {
        let batch = read(name, &ReadOptions::image("x_train"));
        let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["x_train", "y_train"]);
        assert_eq!(batch.column(0), &images(&DataType::UInt8));
        assert_eq!(numbers(&batch, "y_train"), labels());
        assert_eq!(read(name, &ReadOptions::image("x_test")).num_rows(), N / 2);
        let error = failure(&fixture(name));
        let expected = "holds several arrays of images, `x_train` (12×6×5 u8), `x_test` (6×6×5 u8): choose one, as with --image x_train";
        assert!(error.ends_with(expected), "{error}");
    }
    // The only array of images is the image column; text is a column, Python objects are none.
    let batch = read("npz/one.npz", &ReadOptions::default().with_batch_rows(5));
    assert_eq!(batch.column_by_name("image").unwrap(), &images(&DataType::UInt8));
    assert_eq!(batch.num_columns(), 2);
    assert_eq!(strings(&batch, "names"), (0..N).map(|n| format!("image {n} é")).collect::<Vec<_>>());
}

#[test]
fn folders_of_parquet_have_their_partitions_as_columns() {
    let pattern = fixture("hive-pyarrow").join("**/*.parquet");
    let files: Vec<_> = (0..3).map(|l| fixture("hive-pyarrow").join(format!("label={l}/part-0.parquet"))).collect();
    let options = ReadOptions::default();
    let whole = all(io::open(fixture("hive-pyarrow"), &options).unwrap());
    for again in [io::open(pattern, &options).unwrap(), io::open_all(&files, &options).unwrap()] {
        assert_eq!(all(again), whole);
    }
    assert_eq!(numbers(&whole, "label"), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    let rows = numbers(&whole, "row");
    assert_eq!(rows, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
    let take = |images: &ArrayRef, rows: &[i64]| {
        let rows = Int64Array::from(rows.to_vec());
        arrow_select::take::take(images, &rows, None).unwrap()
    };
    // The lists are flat, so the shape is given.
    let spec = FeatureSpec::new(ImageShape::gray(H, W).unwrap());
    let stream = |path: PathBuf| all(featurizer(spec.clone()).stream(io::open(path, &options).unwrap()).unwrap());
    let expected = features_of(take(&images(&DataType::UInt8), &rows));
    assert_eq!(stream(fixture("hive-pyarrow")).column_by_name("features").unwrap(), &expected[2]);

    let daft = stream(fixture("hive-daft"));
    let kinds: Vec<_> = numbers(&daft, "row").iter().map(|row| ["a/b", "c d", "é"][*row as usize % 3]).collect();
    assert_eq!(strings(&daft, "kind"), kinds);
    let expected = features_of(take(&images(&DataType::UInt8), &numbers(&daft, "row")));
    assert_eq!(daft.column_by_name("features").unwrap(), &expected[2]);

    let mixed =
        io::open_all([&files[0], &fixture("hive-daft/kind=c%20d/part-0.parquet")], &options).unwrap_err().to_string();
    assert!(
        mixed.contains("kind=c%20d/part-0.parquet: its folders name other columns (kind) than those of"),
        "{mixed}"
    );
}

#[test]
fn json_images_lie_under_nested_keys_or_are_encoded() {
    let options = ReadOptions::image("data.pixels");
    let batch = read("json/nested.ndjson", &options);
    let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["id", "data.pixels", "data", "label", "data.pixels.defect"]);
    let data = batch.column_by_name("data").unwrap().as_struct();
    assert_eq!(data.column_names(), ["source"]);
    assert_eq!(data.column(0).as_string::<i32>().value(3), "s3");
    let spec = FeatureSpec::new(ImageShape::gray(H, W).unwrap()).with_image("data.pixels");
    let stream = featurizer(spec).stream(io::open(fixture("json/nested.ndjson"), &options).unwrap()).unwrap();
    assert_eq!(all(stream).column_by_name("features").unwrap(), &features_of(images(&DataType::UInt8))[2]);

    // The same again and again, in blocks of gzip: whatever the threads are, rows and their order are the same.
    let once = batch;
    for threads in [1, 2, 5] {
        let many = read("json/blocks.ndjson.gz", &options.clone().with_threads(threads));
        assert_eq!(many.num_rows(), 70 * N);
        for copy in 0..70 {
            assert_eq!(many.slice(copy * N, N), once, "{threads} threads, copy {copy}");
        }
    }

    let files: Vec<Vec<u8>> =
        (0..N).map(|n| fs::read(fixture(&format!("images/{}/{n:02}.png", n % 3))).unwrap()).collect();
    for name in ["json/base64.ndjson", "json/addresses.json"] {
        let batch = read(name, &ReadOptions::default());
        let bytes: Vec<_> =
            batch.column_by_name("image").unwrap().as_binary::<i32>().iter().map(Option::unwrap).collect();
        assert_eq!(bytes, files, "{name}");
        assert_eq!(numbers(&batch, "label"), labels());
    }
}

#[test]
fn a_key_of_that_very_name_comes_before_a_path_and_rows_may_lack_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.ndjson");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        all(io::open(&path, &ReadOptions::image("a.b")).unwrap())
    };
    let plain = read("{\"a\": {\"b\": [9]}, \"a.b\": [1, 2, 3, 4]}\n");
    assert_eq!(plain.column_by_name("a.b").unwrap().as_list::<i32>().value(0).len(), 4);
    assert!(plain.column_by_name("a").is_some());
    let rows = [
        r#"{"a": {"b": [1, 2]}}"#,
        r#"{"a": {"c": 5}}"#,
        r#"{"a": null}"#,
        r#"{"a": {"b": "text", "c": 6}}"#,
        r#"{}"#,
        r#"{"a": {"b": [3, 4], "b": [5, 6]}}"#,
    ];
    let batch = read(&rows.join("\n"));
    let images = batch.column_by_name("a.b").unwrap().as_list::<i32>();
    assert_eq!((0..6).map(|row| images.is_valid(row)).collect::<Vec<_>>(), [true, false, false, false, false, true]);
    assert_eq!(images.value(5).as_primitive::<UInt8Type>().values()[..], [5, 6]);
    let c = batch.column_by_name("a").unwrap().as_struct().column(0).as_primitive::<Int64Type>();
    assert_eq!(c.iter().collect::<Vec<_>>(), [None, Some(5), None, Some(6), None, None]);
    let reasons = batch.column_by_name("a.b.defect").unwrap().as_struct().column(0).as_string::<i32>();
    let reasons: Vec<_> = reasons.iter().collect();
    let (null, odd) = (Some("null_image"), Some("unparsable"));
    assert_eq!(reasons, [None, null, null, odd, null, None]);
    fs::write(&path, "{\"a\": {\"c\": 1}}\n").unwrap();
    assert_eq!(failure_with(&path, &ReadOptions::image("a.b")), "no column `a.b`; there is `a`");
}

#[test]
fn strings_that_are_no_encoded_images_are_named_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.ndjson");
    let line = fs::read_to_string(fixture("json/base64.ndjson")).unwrap().lines().next().unwrap().to_owned();
    let escaped = line.replace('/', "\\/");
    fs::write(
        &path,
        [&line, r#"{"image": "no base64!"}"#, r#"{"image": [1, 2]}"#, &escaped].map(|l| format!("{l}\n")).concat(),
    )
    .unwrap();
    let batch = all(io::open(&path, &ReadOptions::default()).unwrap());
    let column = batch.column_by_name("image").unwrap().as_binary::<i32>();
    assert_eq!((0..4).map(|row| column.is_valid(row)).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(column.value(0), column.value(3));
    let details = batch.column_by_name("image.defect").unwrap().as_struct().column(1).as_string::<i32>();
    assert!(details.value(1).starts_with("a string that is no base64"), "{}", details.value(1));
    assert_eq!(details.value(2), "an array");
    // Base64 of something else is a string like another.
    fs::write(&path, "{\"image\": \"aGVsbG8=\"}\n").unwrap();
    let batch = all(io::open(&path, &ReadOptions::default()).unwrap());
    assert!(matches!(batch.column_by_name("image").unwrap().data_type(), DataType::List(_)));
}

#[test]
fn image_files_are_rows_with_their_folders_as_labels() {
    let names: Vec<_> = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11].map(|n| format!("images/{}/{n:02}.png", n % 3)).into();
    let options = ReadOptions::default().with_batch_rows(5);
    let reader = io::open(fixture("images"), &options).unwrap();
    let (origins, progress) = (reader.origins(), reader.progress());
    let batch = all(reader);
    assert_eq!(Some(progress.bytes_read()), progress.bytes_total());
    assert_eq!(numbers(&batch, "label"), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    let paths: Vec<_> = names.iter().map(|name| fixture(name).display().to_string()).collect();
    assert_eq!(strings(&batch, "path"), paths);
    assert_eq!(origins.locate(6), (Some(paths[6].as_str().into()), 0));
    let bytes = batch.column_by_name("image").unwrap().as_binary::<i32>();
    for (row, path) in paths.iter().enumerate() {
        assert_eq!(bytes.value(row), fs::read(path).unwrap(), "{path}");
    }
    for name in ["images/**/*.png", "images/*"] {
        assert_eq!(all(io::open(fixture(name), &options).unwrap()), batch, "{name}");
    }
    let kinds = all(io::open(fixture("kinds"), &options).unwrap());
    assert_eq!(strings(&kinds, "label"), ["cat", "dog"]);
    let error = io::open(fixture("images"), &ReadOptions::image("path")).unwrap_err().to_string();
    assert_eq!(error, "the input already has a column `path`, which the output would need: rename it");
}

/// 1,000 digits in four files of two formats, which know their rows.
fn numbered(folder: &Path) -> Vec<PathBuf> {
    let digits = all(synthetic::Digits::new(1_000, 3, 100));
    let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..1_000).map(|row| format!("row {row}"))));
    let (image, label) = (digits.column(0).clone(), digits.column(1).clone());
    let batch =
        RecordBatch::try_from_iter([("text", text), ("image", image), ("label", label), ("row", rows)]).unwrap();
    [("a.parquet", 0, 300), ("b.arrow", 300, 1), ("c.parquet", 301, 499), ("d.parquet", 800, 200)]
        .map(|(name, first, rows)| {
            let part = batch.slice(first, rows);
            let path = folder.join(name);
            io::write(&path, RecordBatchIterator::new([Ok(part)], batch.schema()), &WriteOptions::default()).unwrap();
            path
        })
        .to_vec()
}

#[test]
fn the_first_rows_and_a_sample_are_the_same_however_they_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let files = numbered(folder.path());
    let rows_of = |rows, batch_rows, threads| {
        let options = ReadOptions::default().with_rows(rows).with_batch_rows(batch_rows).with_threads(threads);
        numbers(&all(io::open_all(&files, &options).unwrap()), "row")
    };
    for batch_rows in [64, 8192] {
        for first in [0, 1, 300, 301, 555, 1_000, 5_000] {
            assert_eq!(rows_of(Rows::First(first), batch_rows, 2), (0..first.min(1_000) as i64).collect::<Vec<_>>());
        }
    }
    // What comes behind the first rows is not even opened.
    fs::write(&files[3], "no Parquet").unwrap();
    assert_eq!(rows_of(Rows::First(800), 8192, 1).len(), 800);
    numbered(folder.path());
    let sample = rows_of(Rows::Sample { rows: 50, seed: 7 }, 8192, 1);
    assert_eq!(sample.len(), 50);
    assert!(sample.is_sorted_by(|a, b| a < b));
    assert_eq!(rows_of(Rows::Sample { rows: 50, seed: 7 }, 13, 2), sample);
    assert_ne!(rows_of(Rows::Sample { rows: 50, seed: 8 }, 8192, 1), sample);
    assert_eq!(rows_of(Rows::Sample { rows: 5_000, seed: 7 }, 8192, 1), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn a_bad_row_of_a_sample_is_named_by_its_own_file_and_row() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        |row: usize| format!("{{\"image\": [{}], \"row\": {row}}}\n", if row == 137 { "1" } else { "1, 2, 3, 4" });
    let (a, b) = (folder.path().join("a.ndjson"), folder.path().join("b.ndjson"));
    fs::write(&a, (0..100).map(line).collect::<String>()).unwrap();
    fs::write(&b, (100..200).map(line).collect::<String>()).unwrap();
    let mut named = 0;
    for seed in 0..8 {
        let options = ReadOptions::default().with_rows(Rows::Sample { rows: 100, seed });
        let reader = io::open_all([&a, &b], &options).unwrap();
        let stream = StreamOptions::default().with_origins(reader.origins());
        let spec = FeatureSpec::default().with_on_invalid(OnInvalid::Error);
        let failed = featurizer(spec).stream_with(reader, stream).unwrap().find_map(Result::err);
        if let Some(error) = failed {
            assert!(error.to_string().contains("b.ndjson: row 37, column `image`: wrong length"), "{error}");
            named += 1;
        }
    }
    assert!((1..8).contains(&named), "{named} of 8 samples had the row");
}

#[test]
fn only_the_columns_that_are_wanted_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = numbered(folder.path());
    let names = |batch: &RecordBatch| batch.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let whole = all(io::open_all(&files, &ReadOptions::default()).unwrap());
    for wanted in [&[][..], &["label"], &["row", "label"], &["text"], &["image", "text", "label", "row"]] {
        let options = ReadOptions::default().with_columns(wanted.iter().copied());
        let batch = all(io::open_all(&files, &options).unwrap());
        let kept = ["text", "image", "label", "row"].into_iter().filter(|c| *c == "image" || wanted.contains(c));
        assert_eq!(names(&batch), kept.collect::<Vec<_>>());
        for name in names(&batch) {
            assert_eq!(batch.column_by_name(&name), whole.column_by_name(&name));
        }
    }
    let options = ReadOptions::default().with_columns(["colour"]);
    let error = io::open_all(&files, &options).unwrap_err().to_string();
    assert!(error.starts_with("no column `colour`; there is"), "{error}");
    // The same of a column that a folder tells, and of JSON.
    let options = ReadOptions::default().with_columns(["label"]);
    assert_eq!(names(&read("hive-pyarrow", &options)), ["image", "label"]);
    assert_eq!(names(&read("json/base64.ndjson", &options)), ["image", "label", "image.defect"]);
    // Damage in a column that nobody wants is not seen: it is not read.
    let mut bytes = fs::read(&files[0]).unwrap();
    let chunk = {
        use parquet::file::reader::{FileReader, SerializedFileReader};
        let reader = SerializedFileReader::new(fs::File::open(&files[0]).unwrap()).unwrap();
        reader.metadata().row_group(0).column(0).byte_range()
    };
    bytes[chunk.0 as usize..(chunk.0 + chunk.1) as usize].fill(0xaa);
    fs::write(&files[0], bytes).unwrap();
    assert!(io::open(&files[0], &ReadOptions::default()).unwrap().any(|batch| batch.is_err()));
    assert_eq!(all(io::open(&files[0], &options).unwrap()).num_rows(), 300);
}

/// A stream of features with null rows, labels that are null and labels with odd letters.
fn with_nulls() -> pixelfeat::FeatureStream {
    let rows = 2_000;
    let images: arrow_array::BinaryArray =
        (0..rows).map(|row| (row % 10 != 3).then(|| vec![(row % 250) as u8; 4])).collect();
    let kinds = ["a/b", "c=d", "ü", "", "5"];
    let kinds: StringArray = (0..rows).map(|row| (row % 7 != 6).then(|| kinds[row % 5])).collect();
    let numbers = Int64Array::from_iter_values(0..rows as i64);
    let schema = Arc::new(Schema::new(vec![
        Field::new("kind", DataType::Utf8, true),
        Field::new("image", DataType::Binary, true),
        Field::new("row", DataType::Int64, true),
    ]));
    let columns: Vec<ArrayRef> = vec![Arc::new(kinds), Arc::new(images), Arc::new(numbers)];
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let batches: Vec<_> = (0..rows).step_by(77).map(|at| Ok(batch.slice(at, 77.min(rows - at)))).collect();
    featurizer(FeatureSpec::default()).stream(RecordBatchIterator::new(batches, schema)).unwrap()
}

fn parted(column: &str) -> WriteOptions {
    WriteOptions::default().with_partition_by(column)
}

#[test]
fn partitions_hold_what_one_file_would() {
    let folder = tempfile::tempdir().unwrap();
    let (out, whole) = (folder.path().join("features"), folder.path().join("whole.parquet"));
    let written = io::write(&out, with_nulls(), &parted("kind")).unwrap();
    assert_eq!(written.rows, 2_000);
    let mut names: Vec<_> =
        fs::read_dir(&out).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = ["kind=", "kind=5", "kind=__HIVE_DEFAULT_PARTITION__", "kind=a%2Fb", "kind=c%3Dd", "kind=ü"];
    assert_eq!(names, expected);
    let bytes: u64 = names.iter().map(|name| fs::metadata(out.join(name).join("part-0.parquet")).unwrap().len()).sum();
    assert_eq!(written.bytes, bytes);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    io::write(&whole, with_nulls(), &WriteOptions::default()).unwrap();
    let read = |path: &Path| all(io::open(path, &ReadOptions::default()).unwrap());
    let (parts, whole) = (read(&out), read(&whole));
    assert_eq!(parts.num_columns(), whole.num_columns());
    // In the order of the rows again, each row is what it was.
    let order: Int64Array = {
        let mut order: Vec<_> = numbers(&parts, "row").into_iter().zip(0..).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, at)| at).collect()
    };
    for field in whole.schema().fields() {
        let column = parts.column_by_name(field.name()).unwrap();
        let column = arrow_select::take::take(column, &order, None).unwrap();
        assert_eq!(column.data_type(), field.data_type());
        assert_eq!(&column, whole.column_by_name(field.name()).unwrap(), "{}", field.name());
    }
    // In each file the rows are in their order.
    let one = numbers(&read(&out.join("kind=5/part-0.parquet")), "row");
    assert!(one.len() > 300 && one.is_sorted());
}

#[test]
fn partitions_replace_their_like_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("features.parquet");
    let digits = |rows| featurizer(FeatureSpec::default()).stream(synthetic::Digits::new(rows, 1, 100)).unwrap();
    fs::create_dir(&out).unwrap();
    for rows in [1_000, 10] {
        assert_eq!(io::write(&out, digits(rows), &parted("label")).unwrap().rows, rows);
        let back = all(io::open(&out, &ReadOptions::default()).unwrap());
        assert_eq!(back.num_rows() as u64, rows);
        assert_eq!(back.column_by_name("label").unwrap().data_type(), &DataType::Int64);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary is left");
    }
    // A run that fails leaves what was there.
    let (good, schema) = (digits(10).next().unwrap(), digits(1).schema());
    let broken = Err(Error::Format { file: "input".into(), message: "broke off".into() }.into());
    assert!(io::write(&out, RecordBatchIterator::new([good, broken], schema), &parted("label")).is_err());
    assert_eq!(all(io::open(&out, &ReadOptions::default()).unwrap()).num_rows(), 10);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    for foreign in ["notes.txt", "kind=5/part-0.parquet", "label=1/notes.txt"] {
        let path = out.join(foreign);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        let error = io::write(&out, digits(10), &parted("label")).unwrap_err().to_string();
        assert!(error.ends_with("features.parquet: a folder with something else in it is there"), "{error}");
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        if foreign.starts_with("kind") {
            fs::remove_dir(path.parent().unwrap()).unwrap();
        }
    }
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert!(io::write(&file, digits(10), &parted("label")).is_err());
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let other = folder.path().join("other");
    assert_eq!(
        io::write(&other, digits(1), &parted("kind")).unwrap_err().to_string(),
        "no column `kind`; there is `label`, `pixel_mean`, `pixel_std`, `features`"
    );
    let error = io::write(&other, digits(1), &parted("features")).unwrap_err().to_string();
    assert!(error.contains("partitions are by integers, truth values or strings"), "{error}");
    let error = io::write(&other, numbered_stream(600), &parted("row")).unwrap_err().to_string();
    assert!(error.contains("column `row` has more than 512 values to partition by"), "{error}");
    assert!(!other.exists());
}

/// Features of digits with a column of row numbers.
fn numbered_stream(rows: i64) -> impl RecordBatchReader {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let batch = RecordBatch::try_from_iter([("row", column)]).unwrap();
    RecordBatchIterator::new([Ok(batch.clone())], batch.schema())
}

#[test]
fn npy_output_reads_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("features.npy");
    let run = || {
        let spec = FeatureSpec::default().with_keep_image(KeepImage::Original);
        featurizer(spec).stream(synthetic::Digits::new(257, 1, 100)).unwrap()
    };
    let written = io::write(&out, run(), &WriteOptions::default()).unwrap();
    let expected = all(run());
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let beside = ["image", "label", "pixel_mean", "pixel_std"];
    let mut expected_names =
        [&beside.map(|name| format!("features.{name}.npy"))[..], &["features.npy".to_owned()]].concat();
    expected_names.sort();
    assert_eq!(names, expected_names);
    let bytes: u64 = names.iter().map(|name| fs::metadata(folder.path().join(name)).unwrap().len()).sum();
    assert_eq!((written.rows, written.bytes), (257, bytes));
    // Through the reader, with each of the other files as the labels.
    for name in beside.into_iter().filter(|name| *name != "image") {
        let labels = Some(folder.path().join(format!("features.{name}.npy")));
        let mut options = ReadOptions::default();
        options.labels = labels;
        let back = all(io::open(&out, &options).unwrap());
        assert_eq!(back.column_by_name("label").unwrap(), expected.column_by_name(name).unwrap(), "{name}");
        let features = expected.column_by_name("features").unwrap().as_fixed_size_list();
        assert_eq!(back.column(0).as_fixed_size_list().values(), features.values());
    }
    let images = all(io::open(folder.path().join("features.image.npy"), &ReadOptions::default()).unwrap());
    let flat = expected.column_by_name("image").unwrap().as_fixed_size_list().values();
    assert_eq!(images.column(0).as_fixed_size_list().values(), flat);
}

#[test]
fn npy_has_nan_for_null_floats_and_refuses_what_it_cannot_hold() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("features.npy");
    let spec = || FeatureSpec::new(ImageShape::gray(2, 2).unwrap());
    let run = |label: ArrayRef, layout| {
        let image: ArrayRef = Arc::new(arrow_array::BinaryArray::from(vec![Some(b"abcd".as_slice()), None]));
        let batch =
            RecordBatch::try_from_iter_with_nullable([("image", image, true), ("a/label", label, true)]).unwrap();
        let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        let stream = featurizer(spec().with_layout(layout)).stream(reader).unwrap();
        io::write(&out, stream, &WriteOptions::default())
    };
    run(Arc::new(arrow_array::BooleanArray::from(vec![true, false])), Layout::List).unwrap();
    let back = all(io::open(&out, &ReadOptions::default()).unwrap());
    let features = back.column(0).as_fixed_size_list();
    assert!(features.value(0).as_primitive::<Float32Type>().values().iter().all(|v| v.is_finite()));
    assert!(features.value(1).as_primitive::<Float32Type>().values().iter().all(|v| v.is_nan()));
    assert!(folder.path().join("features.a%2Flabel.npy").is_file());
    let before = fs::read(&out).unwrap();
    let error = run(Arc::new(Int64Array::from(vec![Some(1), None])), Layout::List).unwrap_err().to_string();
    assert!(error.ends_with("row 1 of column `a/label` is null, which NPY has no integer for"), "{error}");
    let error = run(Arc::new(StringArray::from(vec!["a", "b"])), Layout::List).unwrap_err().to_string();
    assert!(error.starts_with("column `a/label` is Utf8: NPY files hold numbers"), "{error}");
    let error = run(Arc::new(Int64Array::from(vec![1, 2])), Layout::Columns).unwrap_err().to_string();
    assert!(error.contains("NPY takes the features as one list"), "{error}");
    assert_eq!(fs::read(&out).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn csv_output_has_a_column_for_each_feature() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("features.csv");
    let written = io::write(&out, with_nulls(), &WriteOptions::default()).unwrap();
    let text = fs::read_to_string(&out).unwrap();
    assert_eq!((written.rows, written.bytes), (2_000, text.len() as u64));
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 2_001);
    let names = "kind,row,pixel_mean,pixel_std,row_sum_0,row_sum_1,col_sum_0,col_sum_1,centroid_y,centroid_x,mean,std";
    assert_eq!(lines[0].join(","), names);
    let expected = all(with_nulls());
    let features = expected.column_by_name("features").unwrap().as_fixed_size_list();
    for (row, line) in lines[1..].iter().enumerate() {
        assert_eq!(line[1], row.to_string());
        for (at, cell) in line[4..].iter().enumerate() {
            match features.is_valid(row) {
                true => assert_eq!(
                    cell.parse::<f32>().unwrap(),
                    features.value(row).as_primitive::<Float32Type>().value(at)
                ),
                false => assert_eq!(*cell, ""),
            }
        }
    }
    // Text with commas, quotes and line ends is one cell; no rows are a head.
    let odd: ArrayRef = Arc::new(StringArray::from(vec!["a,\"b\"\nc"]));
    let batch = RecordBatch::try_from_iter([("x", odd)]).unwrap();
    io::write(&out, RecordBatchIterator::new([Ok(batch.clone())], batch.schema()), &WriteOptions::default()).unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), "x\n\"a,\"\"b\"\"\nc\"\n");
    let none: [Result<RecordBatch, arrow_schema::ArrowError>; 0] = [];
    io::write(&out, RecordBatchIterator::new(none, batch.schema()), &WriteOptions::default()).unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), "x\n");
    let list: ArrayRef = Arc::new(arrow_array::ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)])]));
    let batch = RecordBatch::try_from_iter([("x", list)]).unwrap();
    let error =
        io::write(&out, RecordBatchIterator::new([Ok(batch.clone())], batch.schema()), &WriteOptions::default());
    assert!(error.unwrap_err().to_string().contains("CSV has no form for it"));
    #[cfg(target_os = "linux")]
    for name in ["full.csv", "full.npy"] {
        let full = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        let stream = featurizer(FeatureSpec::default()).stream(synthetic::Digits::new(20_000, 1, 8192)).unwrap();
        let error = io::write(&full, stream, &WriteOptions::default()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("No space left on device"), "{error}");
    }
}

#[test]
fn bad_files_of_every_kind_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let of = |name: &str| fs::read(fixture(name)).unwrap();
    let (npy, idx, npz, gz) = (
        of("npy/u1.npy"),
        of("idx/train-images-idx3-ubyte"),
        of("npz/deflated.npz"),
        of("idx/t10k-images-idx3-ubyte.gz"),
    );
    let idx_of = |dimensions: &[u32]| {
        let mut head = vec![0, 0, 8, dimensions.len() as u8];
        dimensions.iter().for_each(|side| head.extend(side.to_be_bytes()));
        head
    };
    let longer = |bytes: &[u8]| [bytes, b"x"].concat();
    let gzip = |bytes: &[u8]| {
        use std::io::Write;
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    };
    let mut bent = gz.clone();
    let last = bent.len() - 6;
    bent[last] ^= 1;
    for (name, bytes, why) in [
        ("cut.npy", npy[..npy.len() - 1].to_vec(), "its header says 12×6×5 u8, which is 360 bytes, but 359 are there"),
        ("long.npy", longer(&npy), "which is 360 bytes, but 361 are there"),
        ("head.npy", npy[..20].to_vec(), "its NPY header breaks off"),
        ("magic.npy", npy[..6].to_vec(), "the file ends early"),
        ("cut.idx", idx[..100].to_vec(), "which is 360 bytes, but 84 are there"),
        ("head.idx", idx[..7].to_vec(), "the file ends early"),
        ("type.idx", [&[0, 0, 0x0a, 3][..], &idx[4..]].concat(), "is in no format"),
        ("huge.idx", idx_of(&[u32::MAX, u32::MAX, u32::MAX]), "a row is too long"),
        ("many.idx", idx_of(&[u32::MAX, 28, 28]), "which is 3367254359280 bytes, but 0 are there"),
        ("zero.idx", idx_of(&[7, 0, 28]), "a dimension is zero"),
        ("cut.idx.gz", gz[..gz.len() / 2].to_vec(), "the file ends early"),
        ("bent.idx.gz", bent, "the compressed data is damaged"),
        ("short.idx.gz", gzip(&idx[..76]), "breaks off in row 2 of 12×6×5 u8"),
        ("long.idx.gz", gzip(&longer(&idx)), "there is more than its header says, 12×6×5 u8"),
        ("many.idx.gz", gzip(&idx_of(&[u32::MAX, 28, 28])), "breaks off in row 0 of 4294967295×28×28 u8"),
        ("cut.npz", npz[..npz.len() / 2].to_vec(), "not a readable NPZ file"),
        ("empty.npz", [b"PK\x05\x06".to_vec(), vec![0; 18]].concat(), "none of its arrays holds images"),
    ] {
        let path = put(name, &bytes);
        let error = failure_with(&path, &ReadOptions::image("x_train"));
        assert!(error.starts_with(&path.display().to_string()) && error.contains(why), "{name}: {error}");
    }
    // Flipped bits in a member are found by its checksum.
    let mut bent = of("npz/stored.npz");
    let at = bent.windows(6).position(|w| w == b"\x93NUMPY").unwrap() + 128 + 50;
    bent[at] ^= 1;
    let error = failure_with(&put("bent.npz", &bent), &ReadOptions::image("x_train"));
    assert!(
        error.contains("bent.npz: x_train: the compressed data is damaged: its checksum or size is wrong"),
        "{error}"
    );
    let missing = folder.path().join("gone.png");
    assert!(failure(&missing).starts_with(&format!("cannot open {}", missing.display())));
}

/// Reads a file to its end or its error; only a panic, or taking all memory there is, can fail.
fn survive(name: &str, bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Path::new(name).file_name().unwrap());
    fs::write(&path, bytes).unwrap();
    for image in ["image", "x_train"] {
        let Ok(reader) = io::open(&path, &ReadOptions::image(image).with_threads(1)) else { continue };
        let mut rows = 0;
        for batch in reader.take(64) {
            let Ok(batch) = batch else { break };
            rows += batch.num_rows();
        }
        assert!(rows <= 64 * 8192);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn no_bytes_make_a_reader_panic(
        name in prop::sample::select(vec![
            "idx/train-images-idx3-ubyte", "idx/t10k-images-idx3-ubyte.gz", "npy/u1.npy", "npy/f4-big-fortran.npy",
            "npy/packed.npy.gz", "npz/stored.npz", "npz/deflated.npz", "npz/one.npz", "json/nested.ndjson",
            "json/base64.ndjson", "hive-pyarrow/label=1/part-0.parquet",
        ]),
        cut in prop::option::of(0.0..1.0),
        changes in prop::collection::vec((0.0..1.0, any::<u8>()), 0..6),
    ) {
        let mut bytes = fs::read(fixture(name)).unwrap();
        for (at, byte) in changes {
            // Heads are where the most is said.
            let at = if byte % 2 == 0 { at * bytes.len() as f64 } else { at * bytes.len().min(64) as f64 };
            bytes[at as usize] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        survive(name, &bytes);
    }
}
