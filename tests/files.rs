//! Files of every format: what is written reads back the same, and damaged ones say so.
#![cfg(all(feature = "parquet", feature = "ipc"))]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, MapBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, FixedSizeListArray, Int32Array, RecordBatch, RecordBatchIterator,
    RecordBatchReader, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use pixelfeat::io::{self, Compression, ReadOptions, WriteOptions};
use pixelfeat::{
    Engine, EngineOptions, Error, FeatureSpec, Featurizer, ImageShape, KeepImage, Layout, MaxInvalid, OnInvalid,
    StreamOptions, synthetic,
};

fn all(reader: impl RecordBatchReader) -> RecordBatch {
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn digits(rows: u64) -> synthetic::Digits {
    synthetic::Digits::new(rows, 5, 100)
}

fn featurizer(spec: FeatureSpec) -> Featurizer {
    Featurizer::new(Engine::new(EngineOptions::default()).unwrap(), spec)
}

fn open(path: &Path) -> io::Reader {
    io::open(path, &ReadOptions::default()).unwrap()
}

/// The error that reading and featurizing a file ends in.
fn failure(path: &Path) -> String {
    let run = || -> Result<(), Error> {
        let reader = io::open(path, &ReadOptions::default())?;
        for batch in featurizer(FeatureSpec::default()).stream(reader)? {
            batch.map_err(Error::from)?;
        }
        Ok(())
    };
    run().unwrap_err().to_string()
}

#[test]
fn features_read_back_as_written_in_every_format_layout_and_codec() {
    let folder = tempfile::tempdir().unwrap();
    for layout in [Layout::List, Layout::Columns] {
        let run = || {
            let spec = FeatureSpec::default().with_layout(layout).with_keep_image(KeepImage::Original);
            featurizer(spec).stream(digits(257)).unwrap()
        };
        let expected = all(run());
        for (name, compression) in [
            ("a.parquet", None),
            ("b.parquet", Some(Compression::Zstd)),
            ("c.parquet", Some(Compression::Snappy)),
            ("d.parquet", Some(Compression::Gzip)),
            ("e.parquet", Some(Compression::None)),
            ("f.arrow", None),
            ("g.arrow", Some(Compression::Zstd)),
            ("h.arrow", Some(Compression::None)),
        ] {
            let path = folder.path().join(name);
            let written = io::write(&path, run(), &WriteOptions::default().with_compression(compression)).unwrap();
            assert_eq!((written.rows, written.bytes), (257, fs::metadata(&path).unwrap().len()));
            let back = all(open(&path));
            assert_eq!(back.schema().metadata()["pixelfeat.shape"], "28x28", "{name}");
            assert_eq!(back.columns(), expected.columns(), "{name} {layout:?}");
        }
    }
}

#[test]
fn null_rows_survive_the_way_through_parquet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nulls.parquet");
    let images: ArrayRef =
        Arc::new(BinaryArray::from(vec![Some(b"abcd".as_slice()), None, Some(b"abc"), Some(b"wxyz")]));
    let labels: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
    let batch = RecordBatch::try_from_iter([("image", images), ("label", labels)]).unwrap();
    let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
    let stream = featurizer(FeatureSpec::new(ImageShape::gray(2, 2).unwrap())).stream(reader).unwrap();
    io::write(&path, stream, &WriteOptions::default()).unwrap();
    let back = all(open(&path));
    // A list, not a fixed-size list, which PyArrow could not read with nulls in it.
    let features = back.column_by_name("features").unwrap().as_list::<i32>();
    assert_eq!((0..4).map(|row| features.is_valid(row)).collect::<Vec<_>>(), [true, false, false, true]);
    let first = features.value(0);
    assert_eq!(first.as_primitive::<Float32Type>().value(0), (97.0 + 98.0) / 255.0);
}

#[test]
fn images_from_parquet_and_ipc_give_the_features_of_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let expected = all(featurizer(FeatureSpec::default()).stream(digits(300)).unwrap());
    let images = all(digits(300));
    // 64-bit integer lists are what JSON tools write, bytes what image tools do.
    let lists = images.column(0).as_fixed_size_list();
    let flat = lists.values().as_primitive::<arrow_array::types::UInt8Type>();
    let wide: ArrayRef =
        Arc::new(flat.values().iter().map(|&v| Some(i64::from(v))).collect::<arrow_array::Int64Array>());
    let offsets = arrow_buffer::OffsetBuffer::from_lengths(std::iter::repeat_n(784, 300));
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let int64: ArrayRef = Arc::new(arrow_array::ListArray::new(item, offsets, wide, None));
    let binary: ArrayRef = Arc::new(BinaryArray::from_iter_values(flat.values().chunks_exact(784)));
    for (name, column) in [("fixed", images.column(0).clone()), ("int64", int64), ("binary", binary)] {
        let batch = RecordBatch::try_from_iter([("image", column), ("label", images.column(1).clone())]).unwrap();
        for ending in ["parquet", "arrow"] {
            let path = folder.path().join(format!("{name}.{ending}"));
            let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
            io::write(&path, reader, &WriteOptions::default()).unwrap();
            for batch_rows in [1000, 64] {
                let options = ReadOptions::default().with_batch_rows(batch_rows);
                let reader = io::open(&path, &options).unwrap();
                let got = all(featurizer(FeatureSpec::default()).stream(reader).unwrap());
                assert_eq!(got.columns(), expected.columns(), "{}", path.display());
            }
        }
    }
}

#[test]
fn several_files_are_one_input_and_rows_are_named_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: Vec<Option<&[u8]>>| {
        let images: ArrayRef = Arc::new(BinaryArray::from(rows));
        let schema = Arc::new(Schema::new(vec![Field::new("image", DataType::Binary, true)]));
        let batch = RecordBatch::try_new(schema.clone(), vec![images]).unwrap();
        let path = folder.path().join(name);
        io::write(&path, RecordBatchIterator::new([Ok(batch)], schema), &WriteOptions::default()).unwrap();
        path
    };
    let first = write("first.parquet", vec![Some(b"abcd"), Some(b"efgh")]);
    let second = write("second.arrow", vec![Some(b"ijkl"), Some(b"mn")]);
    let run = |on_invalid| {
        let reader = io::open_all([&first, &second], &ReadOptions::default()).unwrap();
        assert!(reader.progress().bytes_total().is_some_and(|bytes| bytes > 0));
        let options = StreamOptions::default().with_origins(reader.origins());
        let spec = FeatureSpec::default().with_on_invalid(on_invalid);
        featurizer(spec).stream_with(reader, options).unwrap()
    };
    assert_eq!(all(run(OnInvalid::Null)).num_rows(), 4);
    let error = run(OnInvalid::Error).find_map(Result::err).map(Error::from).unwrap().to_string();
    assert!(error.ends_with("second.arrow: row 1, column `image`: wrong length: 2 values, 2x2 needs 4"), "{error}");

    let other = folder.path().join("other.parquet");
    io::write(&other, digits(3), &WriteOptions::default()).unwrap();
    let mut reader = io::open_all([&first, &other], &ReadOptions::default()).unwrap();
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("other.parquet: its columns (image FixedSizeList"), "{error}");
    assert!(reader.next().is_none());
}

#[test]
fn progress_reaches_the_size_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.parquet", "b.arrow"] {
        let path = folder.path().join(name);
        io::write(&path, digits(500), &WriteOptions::default()).unwrap();
        let reader = open(&path);
        let progress = reader.progress();
        assert_eq!(all(reader).num_rows(), 500);
        assert_eq!(Some(progress.bytes_read()), progress.bytes_total(), "{name}");
    }
}

#[test]
fn damaged_and_foreign_files_are_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["whole.parquet", "whole.arrow"] {
        io::write(at(name), digits(200), &WriteOptions::default()).unwrap();
        let whole = fs::read(at(name)).unwrap();
        let half = at(&name.replace("whole", "half"));
        fs::write(&half, &whole[..whole.len() / 2]).unwrap();
        let error = failure(&half);
        let kind = if name.ends_with("arrow") { "not readable Arrow IPC" } else { "not a readable Parquet file" };
        assert!(error.contains(&half.display().to_string()) && error.contains(kind), "{error}");
        // Damage anywhere is an error or other pixels, never a panic.
        for at_byte in (8..whole.len()).step_by(whole.len() / 97) {
            let mut bent = whole.clone();
            bent[at_byte] ^= 0x55;
            let path = at(&name.replace("whole", "bent"));
            fs::write(&path, bent).unwrap();
            let Ok(reader) = io::open(&path, &ReadOptions::default()) else { continue };
            let Ok(stream) = featurizer(FeatureSpec::default()).stream(reader) else { continue };
            stream.for_each(drop);
        }
    }
    fs::write(at("program"), b"\x7fELF\x02\x01\x01\0\0").unwrap();
    let error = failure(&at("program"));
    assert!(error.contains("program: is in no format that can be read: Parquet, Arrow IPC file,"), "{error}");
    let error = failure(&at("nowhere.parquet"));
    assert!(error.starts_with("cannot open ") && error.contains("nowhere.parquet: No such file"), "{error}");
    fs::create_dir(at("folder")).unwrap();
    assert!(failure(&at("folder")).ends_with("is a folder without files of a known ending"));
}

#[test]
fn parquet_without_the_column_or_with_a_wrong_type_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.parquet");
    let labels: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("label", labels.clone())]).unwrap();
    io::write(&path, RecordBatchIterator::new([Ok(batch.clone())], batch.schema()), &WriteOptions::default()).unwrap();
    assert_eq!(failure(&path), "no column `image`; there is `label`");
    let batch = RecordBatch::try_from_iter([("image", labels)]).unwrap();
    io::write(&path, RecordBatchIterator::new([Ok(batch.clone())], batch.schema()), &WriteOptions::default()).unwrap();
    assert!(failure(&path).starts_with("column `image` is Int32: images are lists of numbers"));
}

#[test]
fn dictionaries_that_change_from_batch_to_batch_can_be_written_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let batch = |name: &str| {
        let images: ArrayRef = Arc::new(BinaryArray::from(vec![b"abcd".as_slice()]));
        let kinds: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::from_iter([name]));
        RecordBatch::try_from_iter([("image", images), ("kind", kinds)]).unwrap()
    };
    for name in ["a.parquet", "b.arrow"] {
        let batches = [Ok(batch("one")), Ok(batch("two"))];
        let reader = RecordBatchIterator::new(batches, batch("one").schema());
        let stream = featurizer(FeatureSpec::default()).stream(reader).unwrap();
        let path = folder.path().join(name);
        io::write(&path, stream, &WriteOptions::default()).unwrap();
        let kinds = arrow_cast::cast(all(open(&path)).column(0), &DataType::Utf8).unwrap();
        assert_eq!(kinds.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("one"), Some("two")], "{name}");
    }
}

#[cfg(feature = "json")]
#[test]
fn a_quarantine_takes_rows_of_types_that_json_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.ndjson");
    let images: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        [Some([Some(1.0), Some(f32::NAN), Some(f32::INFINITY), Some(0.0)])],
        4,
    ));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("Europe/Berlin"));
    let mut map = MapBuilder::new(None, Int32Builder::new(), Int32Builder::new());
    map.keys().append_value(5);
    map.values().append_value(6);
    map.append(true).unwrap();
    let map: ArrayRef = Arc::new(map.finish());
    let batch = RecordBatch::try_from_iter([("image", images), ("time", times), ("map", map)]).unwrap();
    let quarantine = io::Quarantine::create(&path).unwrap();
    let options = StreamOptions::default().with_quarantine(quarantine.sink("image"));
    let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
    let spec = FeatureSpec::default().with_max_invalid(MaxInvalid::Percent(100.0));
    all(featurizer(spec).stream_with(reader, options).unwrap());
    quarantine.finish().unwrap();
    let entry: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!((&entry["row"], &entry["reason"]), (&0.into(), &"not_finite".into()));
    assert_eq!(entry["record"]["time"], "1970-01-01T01:00:00+01:00");
    let told = |name: &str| entry["record"][name].as_str().unwrap().to_owned();
    assert!(told("image").contains("NaN") && told("image").contains("inf"), "{entry}");
    assert!(told("map").contains('5') && told("map").contains('6'), "{entry}");
}

#[test]
fn zero_rows_are_an_empty_output_where_the_file_tells_the_shape() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("empty.parquet"), folder.path().join("out.parquet"));
    let schema = digits(1).schema();
    let none: [Result<RecordBatch, arrow_schema::ArrowError>; 0] = [];
    io::write(&path, RecordBatchIterator::new(none, schema), &WriteOptions::default()).unwrap();
    let stream = featurizer(FeatureSpec::default()).stream(open(&path)).unwrap();
    assert_eq!(io::write(&out, stream, &WriteOptions::default()).unwrap().rows, 0);
    let back = all(open(&out));
    assert_eq!((back.num_rows(), back.num_columns()), (0, 4));
}

#[test]
fn a_failed_write_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.parquet");
    fs::write(&path, "previous").unwrap();
    let good = digits(10).next().unwrap();
    let schema = digits(1).schema();
    let broken = Err(Error::Format { file: "input".into(), message: "broke off".into() }.into());
    let error =
        io::write(&path, RecordBatchIterator::new([good, broken], schema), &WriteOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "input: broke off");
    assert_eq!(fs::read(&path).unwrap(), b"previous");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let missing = folder.path().join("no/such/folder/features.parquet");
    let error = io::write(&missing, digits(1), &WriteOptions::default()).unwrap_err().to_string();
    assert!(error.starts_with("cannot write ") && error.contains("features.parquet: No such file"), "{error}");
    let error = io::write(folder.path().join("x.txt"), digits(1), &WriteOptions::default()).unwrap_err().to_string();
    assert!(error.contains("x.txt: the name must end in .parquet, .arrow, .npy or .csv"), "{error}");
}

#[test]
fn any_stream_of_bytes_can_be_written_and_read() {
    use io::OutputFormat::{ArrowFile, ArrowStream, Csv, Npy, Parquet};
    let folder = tempfile::tempdir().unwrap();
    let plain = WriteOptions::default();
    for (format, name) in [(Parquet, "x.parquet"), (ArrowFile, "x.arrow"), (Csv, "x.csv")] {
        if format == Csv && !cfg!(feature = "csv") {
            continue;
        }
        let path = folder.path().join(name);
        let run = || featurizer(FeatureSpec::default()).stream(digits(300)).unwrap();
        let written = io::write(&path, run(), &plain).unwrap();
        let mut bytes = Vec::new();
        assert_eq!(io::write_to(&mut bytes, format, run(), &plain).unwrap(), written, "{format}");
        assert_eq!(bytes, fs::read(&path).unwrap(), "{format}");
    }
    let mut bytes = Vec::new();
    io::write_to(&mut bytes, ArrowStream, digits(300), &plain.clone().with_compression(Compression::Zstd)).unwrap();
    let reader = io::read(std::io::Cursor::new(bytes.clone()), "socket", &ReadOptions::default()).unwrap();
    assert_eq!(reader.origins().locate(7), (Some("socket".into()), 7));
    assert_eq!(all(reader), all(digits(300)));

    bytes.truncate(bytes.len() - 8);
    let mut reader = io::read(std::io::Cursor::new(bytes), "socket", &ReadOptions::default()).unwrap();
    let error = reader.find_map(Result::err).unwrap().to_string();
    assert!(error.contains("socket: the stream breaks off"), "{error}");
    let parquet = fs::read(folder.path().join("x.parquet")).unwrap();
    let error = io::read(std::io::Cursor::new(parquet), "socket", &ReadOptions::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "socket: the format Parquet needs a regular file; a pipe can carry Arrow IPC stream, NPY, IDX and JSON"
    );
    let refused = |format, options: &WriteOptions| {
        io::write_to(std::io::sink(), format, digits(1), options).unwrap_err().to_string()
    };
    assert_eq!(
        refused(ArrowFile, &plain.clone().with_compression(Compression::Snappy)),
        "compression: the format Arrow IPC file knows zstd and none, not snappy"
    );
    assert_eq!(
        refused(Parquet, &plain.clone().with_partition_by("label")),
        "output: partitions are a folder, not a stream"
    );
    if cfg!(feature = "arrays") {
        assert_eq!(refused(Npy, &plain), "output: the format NPY needs files, not a stream");
    }
}

#[cfg(feature = "json")]
#[test]
fn files_are_featurized_with_the_names_of_their_files_and_a_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.json"), "{\"pixels\": [0, 300, 2, 3]}\nno JSON\n").unwrap();
    fs::write(at("b.json"), "{\"pixels\": [1]}\n{\"pixels\": [1, 2, 3, 4]}\n").unwrap();
    let spec = FeatureSpec::new(ImageShape::gray(2, 2).unwrap())
        .with_image("pixels")
        .with_pixel_type(pixelfeat::PixelType::U16);
    let featurizer = featurizer(spec);
    // What the spec says counts, not these.
    let options = ReadOptions::image("other").with_pixel_type(pixelfeat::PixelType::U8).with_batch_rows(1);
    let quarantine = io::Quarantine::create(at("bad.ndjson")).unwrap();
    let files = io::FeatureFiles::new(&featurizer).with_read_options(options.clone()).with_quarantine(&quarantine);
    let (stream, progress) = files.open([at("a.json"), at("b.json")]).unwrap();
    let batch = all(stream);
    quarantine.finish().unwrap();
    assert_eq!((batch.num_rows(), batch.column(0).null_count()), (3, 1));
    assert_eq!(Some(progress.bytes_read()), progress.bytes_total());
    let entries: Vec<serde_json::Value> =
        fs::read_to_string(at("bad.ndjson")).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = entries.iter().map(|e| (e["reason"].as_str().unwrap(), e["row"].as_u64().unwrap())).collect();
    assert_eq!(found, [("broken_line", 1), ("wrong_length", 0)]);
    assert!(entries[1]["file"].as_str().unwrap().ends_with("b.json"));

    let text = fs::read(at("b.json")).unwrap();
    let (stream, _) =
        io::FeatureFiles::new(&featurizer).with_read_options(options).read(std::io::Cursor::new(text), "text").unwrap();
    assert_eq!(all(stream).num_rows(), 2);
    let broken = io::FeatureFiles::new(&featurizer).open([at("a.json")]);
    assert!(broken.unwrap_err().to_string().contains("a.json: line 2"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["full.parquet", "full.arrow"] {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let stream = featurizer(FeatureSpec::default()).stream(digits(20_000)).unwrap();
        let error = io::write(&path, stream, &WriteOptions::default()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("No space left on device"), "{error}");
    }
}
