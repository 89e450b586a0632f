//! Readers, writers and the whole job, on files of synthetic digits. Every pass counts its rows.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt8Type};
use arrow_array::{Array, DictionaryArray, FixedSizeListArray, StructArray, UInt8Array, UInt32Array};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, ListArray, RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use image::ImageFormat;
use pixelfeat::io::{self, Compression, ReadOptions, WriteOptions};
use pixelfeat::synthetic::{self, Digits};
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, Featurizer, ImageShape};

const JSON_ROWS: u64 = 10_000;
const PARQUET_ROWS: u64 = 50_000;
const PIXELS: usize = synthetic::SIDE * synthetic::SIDE;

fn featurizer() -> Featurizer {
    let engine = Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap();
    Featurizer::new(engine, FeatureSpec::new(ImageShape::gray(synthetic::SIDE, synthetic::SIDE).unwrap()))
}

fn digits(rows: u64) -> Vec<RecordBatch> {
    Digits::new(rows, 1, ReadOptions::default().batch_rows).map(|batch| batch.unwrap()).collect()
}

/// The batches as NDJSON, as Python writes it.
fn ndjson(batches: &[RecordBatch]) -> Vec<u8> {
    let mut text = Vec::new();
    for batch in batches {
        let pixels = batch.column(0).as_fixed_size_list().values().as_primitive::<UInt8Type>().values().clone();
        let labels = batch.column(1).as_primitive::<Int64Type>();
        for (image, label) in pixels.chunks_exact(PIXELS).zip(labels.values()) {
            writeln!(text, "{{\"image\": {image:?}, \"label\": {label}}}").unwrap();
        }
    }
    text
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

/// The same images in another layout.
fn relaid(batches: &[RecordBatch], layout: fn(&[u8]) -> ArrayRef) -> Vec<RecordBatch> {
    let relay = |batch: &RecordBatch| {
        let values = batch.column(0).as_fixed_size_list().values().as_primitive::<UInt8Type>();
        RecordBatch::try_from_iter([("image", layout(values.values())), ("label", batch.column(1).clone())]).unwrap()
    };
    batches.iter().map(relay).collect()
}

fn as_list(pixels: &[u8]) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let ends = OffsetBuffer::from_lengths(std::iter::repeat_n(PIXELS, pixels.len() / PIXELS));
    let values = Arc::new(Int64Array::from_iter_values(pixels.iter().map(|&p| i64::from(p))));
    Arc::new(ListArray::new(item, ends, values, None))
}

fn as_binary(pixels: &[u8]) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(pixels.chunks_exact(PIXELS)))
}

fn reader(batches: &[RecordBatch]) -> impl RecordBatchReader {
    RecordBatchIterator::new(batches.iter().cloned().map(Ok), batches[0].schema())
}

fn write(path: &Path, batches: &[RecordBatch], compression: Option<Compression>, rows: u64) {
    assert_eq!(
        io::write(path, reader(batches), &WriteOptions::default().with_compression(compression)).unwrap().rows,
        rows
    );
}

fn read(path: &Path, rows: u64) {
    let read: usize = io::open(path, &ReadOptions::default()).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(read as u64, rows);
}

fn json(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let text = ndjson(&digits(JSON_ROWS));
    let (plain, packed) = (folder.path().join("digits.json"), folder.path().join("digits.json.gz"));
    fs::write(&plain, &text).unwrap();
    fs::write(&packed, gzip(&text)).unwrap();
    let mut group = c.benchmark_group("json, bytes of text");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("read", |b| b.iter(|| read(&plain, JSON_ROWS)));
    group.bench_function("read gzip", |b| b.iter(|| read(&packed, JSON_ROWS)));
    group.bench_function("gunzip alone", |b| {
        let packed = fs::read(&packed).unwrap();
        let mut buffer = vec![0; 1 << 20];
        b.iter(|| {
            let mut stream = flate2::bufread::MultiGzDecoder::new(&packed[..]);
            let mut bytes = 0;
            while let read @ 1.. = stream.read(&mut buffer).unwrap() {
                bytes += read;
            }
            assert_eq!(bytes, text.len());
        });
    });
    let (featurizer, out) = (featurizer(), folder.path().join("features.parquet"));
    group.bench_function("gzip to features.parquet", |b| {
        b.iter(|| {
            let stream = featurizer.stream(io::open(&packed, &ReadOptions::default()).unwrap()).unwrap();
            assert_eq!(io::write(&out, stream, &WriteOptions::default()).unwrap().rows, JSON_ROWS);
        });
    });
    group.finish();
}

fn parquet(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let fixed = digits(PARQUET_ROWS);
    let mut group = c.benchmark_group("parquet, bytes of pixels");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).throughput(Throughput::Bytes(PARQUET_ROWS * PIXELS as u64));
    let path = folder.path().join("images.parquet");
    for (name, batches) in [
        ("FixedSizeList<u8>", fixed.clone()),
        ("List<int64>", relaid(&fixed, as_list)),
        ("Binary", relaid(&fixed, as_binary)),
    ] {
        write(&path, &batches, Some(Compression::Snappy), PARQUET_ROWS);
        group.bench_function(format!("read {name}"), |b| b.iter(|| read(&path, PARQUET_ROWS)));
    }
    group.finish();
}

fn writers(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let stream = featurizer().stream(Digits::new(PARQUET_ROWS, 1, ReadOptions::default().batch_rows)).unwrap();
    let features: Vec<_> = stream.map(|batch| batch.unwrap()).collect();
    let bytes: usize = features.iter().map(|batch| batch.get_array_memory_size()).sum();
    let mut group = c.benchmark_group("write features, bytes in memory");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).throughput(Throughput::Bytes(bytes as u64));
    for (format, name) in
        [("parquet", "features.parquet"), ("ipc", "features.arrow"), ("npy", "features.npy"), ("csv", "features.csv")]
    {
        let path = folder.path().join(name);
        group.bench_function(format, |b| b.iter(|| write(&path, &features, None, PARQUET_ROWS)));
    }
    let options = WriteOptions::default().with_partition_by("label");
    let path = folder.path().join("features");
    group.bench_function("partitioned parquet", |b| {
        b.iter(|| assert_eq!(io::write(&path, reader(&features), &options).unwrap().rows, PARQUET_ROWS));
    });
    group.finish();
}

/// The same digits in every other form that people have them in.
fn formats(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let batches = digits(PARQUET_ROWS);
    let images =
        |batch: &RecordBatch| batch.column(0).as_fixed_size_list().values().as_primitive::<UInt8Type>().clone();
    let pixels: Vec<u8> = batches.iter().flat_map(|batch| images(batch).values().to_vec()).collect();
    let path = |name: &str| folder.path().join(name);
    let head: Vec<u8> = [0x803, PARQUET_ROWS as u32, synthetic::SIDE as u32, synthetic::SIDE as u32]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect();
    let idx = [&head[..], &pixels].concat();
    fs::write(path("images.idx"), &idx).unwrap();
    fs::write(path("images.idx.gz"), gzip(&idx)).unwrap();
    let npy = |order: &str, pixels: &[u8]| {
        let side = synthetic::SIDE;
        let text = format!("{{'descr': '|u1', 'fortran_order': {order}, 'shape': ({PARQUET_ROWS}, {side}, {side})}}");
        [&b"\x93NUMPY\x01\0"[..], &(text.len() as u16).to_le_bytes(), text.as_bytes(), pixels].concat()
    };
    fs::write(path("c.npy"), npy("False", &pixels)).unwrap();
    // Fortran's order of other images, which take as long.
    fs::write(path("fortran.npy"), npy("True", &pixels)).unwrap();
    let mut npz = zip::ZipWriter::new(fs::File::create(path("images.npz")).unwrap());
    let packing = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    npz.start_file("images.npy", packing).unwrap();
    npz.write_all(&npy("False", &pixels)).unwrap();
    npz.finish().unwrap();
    let parts = WriteOptions::default().with_partition_by("label");
    assert_eq!(io::write(path("parts"), reader(&batches), &parts).unwrap().rows, PARQUET_ROWS);
    write(&path("images.arrow"), &batches, None, PARQUET_ROWS);

    let mut group = c.benchmark_group("read");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).throughput(Throughput::Bytes(pixels.len() as u64));
    for (format, name) in [
        ("Arrow IPC", "images.arrow"),
        ("IDX", "images.idx"),
        ("IDX gzip", "images.idx.gz"),
        ("NPY", "c.npy"),
        ("NPY Fortran order", "fortran.npy"),
        ("NPZ deflated", "images.npz"),
        ("partitioned Parquet", "parts"),
    ] {
        group.bench_function(format, |b| b.iter(|| read(&path(name), PARQUET_ROWS)));
    }
    // What an image file takes by being a file; 1 KiB is about a small PNG's size.
    for (at, bytes) in pixels[..1_000 * PIXELS].chunks_exact(PIXELS).enumerate() {
        let file = path(&format!("files/{}/{at}.png", at % 10));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("image files", |b| b.iter(|| read(&path("files"), 1_000)));
    group.finish();
}

/// Columns in memory to pixels and features: what each layout and encoding costs, by the bytes of its pixels.
fn decode(c: &mut Criterion) {
    const IMAGES: usize = 256;
    let colours = ImageShape::new(64, 64, 3).unwrap();
    let pixels: Vec<u8> =
        (0..IMAGES * colours.values()).map(|i| (i / 3 % 64 * 2 + i / 192 % 64 + i % 3 * 40) as u8).collect();
    let mut group = c.benchmark_group("decode");
    group.sampling_mode(SamplingMode::Flat).sample_size(20).throughput(Throughput::Bytes(pixels.len() as u64));
    let binary = encoded_as(&pixels, None);
    let tensor = |dims: &str| {
        let metadata = format!(r#"{{"shape": {dims}}}"#);
        HashMap::from([
            ("ARROW:extension:name".to_owned(), "arrow.fixed_shape_tensor".to_owned()),
            ("ARROW:extension:metadata".to_owned(), metadata),
        ])
    };
    let item = Arc::new(Field::new("item", DataType::UInt8, false));
    let values = Arc::new(UInt8Array::from(pixels.clone()));
    let lists: ArrayRef =
        Arc::new(FixedSizeListArray::new(item.clone(), colours.values() as i32, values.clone(), None));
    let of_one = |length: usize, values: ArrayRef| -> ArrayRef {
        let item = Arc::new(Field::new("item", values.data_type().clone(), false));
        let ends = OffsetBuffer::from_lengths(std::iter::repeat_n(length, values.len() / length));
        Arc::new(ListArray::new(item, ends, values, None))
    };
    let nested = of_one(64, of_one(64, of_one(3, values.clone())));
    let side = |length: u32| Arc::new(UInt32Array::from(vec![length; IMAGES])) as ArrayRef;
    let daft = StructArray::from(
        [("data", of_one(colours.values(), values)), ("height", side(64)), ("width", side(64)), ("channel", side(3))]
            .map(|(name, column)| (Arc::new(Field::new(name, column.data_type().clone(), false)), column))
            .to_vec(),
    );
    let image = |column: &ArrayRef| Field::new("image", column.data_type().clone(), true);
    let plain = FeatureSpec::new(colours);
    let mut cases = vec![
        ("raw bytes", image(&binary), binary.clone(), plain.clone()),
        ("tensor H×W×C", image(&lists).with_metadata(tensor("[64, 64, 3]")), lists.clone(), plain.clone()),
        ("tensor C×H×W", image(&lists).with_metadata(tensor("[3, 64, 64]")), lists, plain.clone()),
        ("nested lists", image(&nested), nested, plain.clone()),
    ];
    let daft: ArrayRef = Arc::new(daft);
    let shape = of_one(3, Arc::new(UInt32Array::from([64, 64, 3].repeat(IMAGES))));
    let tensors = StructArray::from(
        [("data", daft.as_struct().column(0).clone()), ("shape", shape)]
            .map(|(name, column)| (Arc::new(Field::new(name, column.data_type().clone(), false)), column))
            .to_vec(),
    );
    let tensors: ArrayRef = Arc::new(tensors);
    cases.push(("tensors with their shapes", image(&tensors), tensors, plain.clone()));
    let keys = UInt32Array::from_iter_values(0..IMAGES as u32);
    let dictionary: ArrayRef = Arc::new(DictionaryArray::new(keys, binary.clone()));
    cases.push(("dictionary of raw bytes", image(&dictionary), dictionary, plain.clone()));
    cases.push(("daft image", image(&daft), daft, plain.clone()));
    for (name, format) in [
        ("png", ImageFormat::Png),
        ("jpeg", ImageFormat::Jpeg),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("tiff", ImageFormat::Tiff),
    ] {
        let column = encoded_as(&pixels, Some(format));
        cases.push((name, image(&column), column, plain.clone()));
    }
    let gray = plain.clone().with_stages("gray".parse().unwrap());
    cases.push(("raw bytes, gray", image(&binary), binary.clone(), gray));
    let resize = plain.with_stages("resize(28x28)".parse().unwrap());
    cases.push(("raw bytes, resized to 28x28", image(&binary), binary, resize));
    for (name, field, column, spec) in cases {
        let engine = Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap();
        let featurizer = Featurizer::new(engine, spec);
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(featurizer.featurize_column(&field, &column).unwrap().list().null_count(), 0));
        });
    }
    group.finish();
}

/// Images of 64×64 RGB, raw or encoded.
fn encoded_as(pixels: &[u8], format: Option<ImageFormat>) -> ArrayRef {
    let encode = |image: &[u8]| {
        let Some(format) = format else { return image.to_vec() };
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::write_buffer_with_format(&mut bytes, image, 64, 64, image::ExtendedColorType::Rgb8, format).unwrap();
        bytes.into_inner()
    };
    Arc::new(BinaryArray::from_iter_values(pixels.chunks_exact(64 * 64 * 3).map(encode)))
}

criterion_group!(benches, json, parquet, formats, decode, writers);
criterion_main!(benches);
