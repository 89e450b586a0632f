//! Every layout and every encoding that a column can have, in files written by the tools whose they are
//! (`tests/fixtures/make.py`): the features must be those of the same pixels in a plain column, byte for byte.
#![cfg(all(feature = "image", feature = "ipc", feature = "parquet"))]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int8Type, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, DictionaryArray, FixedSizeListArray, Float32Array, Int8Array,
    Int32Array, LargeBinaryArray, ListArray, RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray,
    UInt8Array, UInt16Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields, Schema};
use arrow_select::concat::concat_batches;
use pixelfeat::io::{self, ReadOptions, WriteOptions};
use pixelfeat::stages::{Gray, Resize};
use pixelfeat::{
    Chain, Engine, EngineOptions, Error, FeatureSpec, Featurizer, ImageShape, KeepImage, Layout, PixelType, Reason,
    Report,
};
use proptest::prelude::*;

/// The formula of `make.py`: the values of image `n`.
fn image(n: usize, shape: ImageShape) -> Vec<u32> {
    let mut values = Vec::new();
    for y in 0..shape.height() {
        for x in 0..shape.width() {
            values.extend((0..shape.channels()).map(|c| ((37 * n + 11 * y + 5 * x + 83 * c + 3 * x * y) % 256) as u32));
        }
    }
    values
}

/// The formula of `make.py` in 16 bits.
fn deep(n: usize, shape: ImageShape) -> Vec<u32> {
    image(n, shape).into_iter().map(|value| value * 251 + 19).collect()
}

fn shape(text: &str) -> ImageShape {
    text.parse().unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn picture(name: &str) -> Vec<u8> {
    fs::read(fixture("images").join(name)).unwrap()
}

fn featurizer(spec: FeatureSpec) -> Featurizer {
    Featurizer::new(Engine::new(EngineOptions::default()).unwrap(), spec)
}

/// Featurizes all of a reader.
fn run(spec: FeatureSpec, reader: impl RecordBatchReader + Send + 'static) -> Result<(RecordBatch, Report), Error> {
    let stream = featurizer(spec).stream(reader)?;
    let (schema, report) = (stream.schema(), stream.report_handle());
    let batches = stream.collect::<Result<Vec<_>, _>>().map_err(Error::from)?;
    Ok((concat_batches(&schema, &batches).unwrap(), report.get()))
}

fn run_file(spec: FeatureSpec, path: &Path) -> (RecordBatch, Report) {
    run(spec, io::open(path, &ReadOptions::default()).unwrap()).unwrap()
}

fn reader(field: Field, column: ArrayRef) -> impl RecordBatchReader + Send + 'static {
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap();
    let schema = batch.schema();
    RecordBatchIterator::new([Ok(batch)], schema)
}

fn run_column(spec: FeatureSpec, column: ArrayRef) -> Result<(RecordBatch, Report), Error> {
    run(spec, reader(Field::new("image", column.data_type().clone(), true), column))
}

fn numbers(values: impl Iterator<Item = u32>, pixel_type: PixelType) -> ArrayRef {
    match pixel_type {
        PixelType::U8 => Arc::new(UInt8Array::from_iter_values(values.map(|v| v as u8))),
        PixelType::U16 => Arc::new(UInt16Array::from_iter_values(values.map(|v| v as u16))),
        PixelType::F32 => Arc::new(Float32Array::from_iter_values(values.map(|v| v as f32))),
    }
}

/// The images as a plain column, null where there is none.
fn plain(images: &[Option<Vec<u32>>], shape: ImageShape, pixel_type: PixelType) -> ArrayRef {
    let none = vec![0; shape.values()];
    let values = numbers(images.iter().flat_map(|i| i.as_ref().unwrap_or(&none)).copied(), pixel_type);
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    let valid = images.iter().map(Option::is_some).collect();
    Arc::new(FixedSizeListArray::new(item, shape.values() as i32, values, Some(valid)))
}

/// What features, means and deviations are, whatever else there is.
fn features(batch: &RecordBatch) -> Vec<ArrayRef> {
    ["features", "pixel_mean", "pixel_std"].map(|name| batch.column_by_name(name).unwrap().clone()).to_vec()
}

#[track_caller]
fn assert_same(got: &RecordBatch, images: &[Option<Vec<u32>>], shape: ImageShape, pixel_type: PixelType, what: &str) {
    let (expected, _) = run_column(FeatureSpec::new(shape), plain(images, shape, pixel_type)).unwrap();
    assert_eq!(features(got), features(&expected), "{what}");
    assert_eq!(got.schema().metadata()["pixelfeat.shape"], shape.to_string(), "{what}");
    assert_eq!(got.schema().metadata()["pixelfeat.pixel_type"], pixel_type.to_string(), "{what}");
}

#[test]
fn every_layout_gives_the_features_of_its_pixels() {
    use PixelType::{F32, U8, U16};
    let (rgb, gray) = (shape("5x7x3"), shape("5x7"));
    let colours = || (0..3).map(|n| Some(image(n, rgb))).collect::<Vec<_>>();
    let grays = || (0..3).map(|n| Some(image(n, gray))).collect::<Vec<_>>();
    let deeps = (0..3).map(|n| Some(deep(n, rgb))).collect::<Vec<_>>();
    let with_null = [colours(), vec![None]].concat();
    let null_between = vec![Some(image(0, gray)), None, Some(image(2, gray))];
    let by_key = || vec![Some(image(0, gray)), Some(image(1, gray)), None, Some(image(0, gray))];
    for (file, images, shape, pixel_type) in [
        ("tensor_hwc.parquet", colours(), rgb, U8),
        ("tensor_hwc.arrow", colours(), rgb, U8),
        ("tensor_chw_permuted.parquet", colours(), rgb, U8),
        ("tensor_chw_numpy.parquet", colours(), rgb, U8),
        ("tensor_chw_named.parquet", colours(), rgb, U8),
        ("tensor_chw_plain.arrow", colours(), rgb, U8),
        ("tensor_wh_named.arrow", grays(), gray, U8),
        ("tensor_u16.parquet", deeps, rgb, U16),
        ("tensor_i64.arrow", grays(), gray, U8),
        ("tensor_f32.arrow", grays(), gray, F32),
        ("tensor_f16.arrow", grays(), gray, F32),
        ("nested_hw.parquet", grays(), gray, U8),
        ("nested_hwc.parquet", colours(), rgb, U8),
        ("nested_mixed.arrow", colours(), rgb, U8),
        ("nested_views.arrow", colours(), rgb, U8),
        ("nested_null.parquet", null_between, gray, U8),
        ("dictionary.arrow", by_key(), gray, U8),
        ("pandas_lists.parquet", grays(), gray, U8),
        ("pandas_png.parquet", colours(), rgb, U8),
        ("daft_image.parquet", with_null.clone(), rgb, U8),
        ("daft_fixed.parquet", colours(), rgb, U8),
        ("hf_image.parquet", with_null, rgb, U8),
        ("hf_array2d.parquet", grays(), gray, U8),
    ] {
        let (got, report) = run_file(FeatureSpec::default(), &fixture("layouts").join(file));
        assert_same(&got, &images, shape, pixel_type, file);
        assert_eq!(report.rows_featurized, images.iter().flatten().count() as u64, "{file}");
        assert_eq!(got.column_by_name("label").unwrap().len(), images.len(), "{file}");
    }
    // Flat lists and raw bytes of no square length do not tell their shape.
    for (file, images, pixel_type) in
        [("half.parquet", grays(), F32), ("half.arrow", grays(), F32), ("dictionary_bytes.parquet", by_key(), U8)]
    {
        let (got, _) = run_file(FeatureSpec::new(gray), &fixture("layouts").join(file));
        assert_same(&got, &images, gray, pixel_type, file);
    }
}

/// The images in the files whose rows are of different sizes.
fn different() -> [(usize, ImageShape); 3] {
    [(0, shape("5x7x3")), (1, shape("4x6x3")), (2, shape("5x7x3"))]
}

const DIFFERENT: [&str; 6] = [
    "variable_named.parquet",
    "variable_named.arrow",
    "variable_plain.parquet",
    "variable_plain.arrow",
    "daft_sizes.parquet",
    "daft_tensor.parquet",
];

#[test]
fn another_size_is_a_defect_and_the_report_names_what_would_help() {
    for file in DIFFERENT {
        let (got, report) = run_file(FeatureSpec::default(), &fixture("layouts").join(file));
        let shape = shape("5x7x3");
        let mut images = vec![Some(image(0, shape)), None, Some(image(2, shape))];
        images.resize(got.num_rows(), None);
        assert_same(&got, &images, shape, PixelType::U8, file);
        assert_eq!(report.rows_invalid[&Reason::WrongLength], 1, "{file}");
        let text = report.to_string();
        assert!(text.contains("some images are not 5x7x3: resize brings all to one size, ragged"), "{text}");
    }
}

#[test]
fn ragged_features_are_those_of_each_image_alone() {
    for file in DIFFERENT {
        let spec = FeatureSpec::default().with_ragged(true).with_keep_image(KeepImage::Tensor);
        let path = fixture("layouts").join(file);
        let (got, report) = run_file(spec.clone(), &path);
        assert_eq!((report.rows_featurized, report.other_sizes), (3, false), "{file}");
        assert_eq!(got.schema().metadata()["pixelfeat.shape"], "HxWx3");
        let side = |name| got.column_by_name(name).unwrap().as_primitive::<UInt32Type>().iter().collect::<Vec<_>>();
        assert_eq!((&side("height")[..3], &side("width")[..3]), (&[5, 4, 5].map(Some)[..], &[7, 6, 7].map(Some)[..]));
        let lists = got.column_by_name("features").unwrap().as_list::<i32>();
        for (row, (n, shape)) in different().into_iter().enumerate() {
            let alone = plain(&[Some(image(n, shape))], shape, PixelType::U8);
            let alone = featurizer(FeatureSpec::new(shape)).featurize(&alone).unwrap();
            assert_eq!(&lists.value(row), alone.list().values(), "{file}, row {row}");
            let mean = got.column_by_name("pixel_mean").unwrap().as_primitive::<Float32Type>().value(row);
            assert_eq!(mean, alone.column("pixel_mean").unwrap().value(0), "{file}, row {row}");
        }
        if got.num_rows() > 3 {
            assert!(lists.is_null(3) && side("height")[3].is_none(), "{file}");
        }
        // The images that were kept are ragged again.
        let folder = tempfile::tempdir().unwrap();
        for name in ["kept.parquet", "kept.arrow"] {
            let kept = folder.path().join(name);
            let stream = featurizer(spec.clone()).stream(io::open(&path, &ReadOptions::default()).unwrap()).unwrap();
            io::write(&kept, Only("image", stream), &WriteOptions::default()).unwrap();
            let (again, _) = run_file(FeatureSpec::default().with_ragged(true), &kept);
            assert_eq!(features(&again), features(&got), "{file} {name}");
        }
    }
}

/// One column of a reader.
struct Only<R>(&'static str, R);

impl<R: RecordBatchReader> Iterator for Only<R> {
    type Item = Result<RecordBatch, arrow_schema::ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.1.schema().index_of(self.0).unwrap();
        Some(self.1.next()?.map(|batch| batch.project(&[at]).unwrap()))
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Only<R> {
    fn schema(&self) -> Arc<Schema> {
        let at = self.1.schema().index_of(self.0).unwrap();
        Arc::new(self.1.schema().project(&[at]).unwrap())
    }
}

fn encoded(images: &[Option<&[u8]>]) -> ArrayRef {
    Arc::new(BinaryArray::from(images.to_vec()))
}

fn stages(gray: bool) -> Chain {
    if gray { Chain::new().with(Gray::default()) } else { Chain::new() }
}

/// The pixels of an encoded image after the stages of a spec, as the run keeps them.
fn pixels(bytes: &[u8], spec: FeatureSpec) -> (Vec<u32>, String) {
    let spec = spec.with_keep_image(KeepImage::Tensor);
    let (got, report) = run_column(spec, encoded(&[Some(bytes)])).unwrap();
    assert_eq!(report.rows_featurized, 1, "{report}");
    let values = got.column(0).as_fixed_size_list().values().clone();
    let values = match report.pixel_type {
        PixelType::U8 => values.as_primitive::<UInt8Type>().values().iter().map(|&v| v.into()).collect(),
        _ => values.as_primitive::<UInt16Type>().values().iter().map(|&v| v.into()).collect(),
    };
    (values, format!("{} {}", report.shape, report.pixel_type))
}

#[test]
fn every_encoding_and_mode_gives_the_pixels_that_were_stored() {
    for (mode, n, channels) in [("l", 0, 1), ("la", 1, 2), ("rgb", 2, 3), ("rgba", 3, 4)] {
        let shape = ImageShape::new(5, 7, channels).unwrap();
        for ending in ["png", "tiff", "webp"] {
            if ending == "webp" && channels < 3 {
                continue;
            }
            let name = format!("{mode}.{ending}");
            let expected = (image(n, shape), format!("{shape} u8"));
            assert_eq!(pixels(&picture(&name), FeatureSpec::default()), expected, "{name}");
        }
        for ending in ["png", "tiff"] {
            let name = format!("{mode}16.{ending}");
            let expected = (deep(channels - 1, shape), format!("{shape} u16"));
            assert_eq!(pixels(&picture(&name), FeatureSpec::default()), expected, "{name}");
        }
    }
    // BMP has no gray of its own: it comes as the colours of a palette.
    let thrice: Vec<u32> = image(0, shape("5x7")).into_iter().flat_map(|v| [v; 3]).collect();
    assert_eq!(pixels(&picture("l.bmp"), FeatureSpec::default()), (thrice, "5x7x3 u8".to_owned()));
    let as_gray = FeatureSpec::default().with_stage(Gray::default());
    assert_eq!(pixels(&picture("l.bmp"), as_gray).0, image(0, shape("5x7")));
    assert_eq!(pixels(&picture("rgb.bmp"), FeatureSpec::default()).0, image(2, shape("5x7x3")));
    let palette = pixels(&picture("palette.png"), FeatureSpec::default());
    assert_eq!(palette, pixels(&picture("palette.png.png"), FeatureSpec::default()));
}

#[test]
fn jpeg_is_what_another_decoder_makes_of_it_within_three_steps() {
    for name in ["l.jpg", "rgb.jpg"] {
        let (ours, shape) = pixels(&picture(name), FeatureSpec::default());
        let (theirs, their_shape) = pixels(&picture(&format!("{name}.png")), FeatureSpec::default());
        assert_eq!((&shape, ours.len()), (&their_shape, theirs.len()));
        let furthest = ours.iter().zip(&theirs).map(|(&a, &b)| a.abs_diff(b)).max().unwrap();
        assert!(furthest <= 3, "{name}: {furthest} steps apart");
    }
}

#[test]
fn gray_of_a_jpeg_is_its_brightness_as_another_decoder_reads_it() {
    let furthest = |name: &str, chain: &str| {
        let spec = FeatureSpec::default().with_stages(chain.parse().unwrap());
        let file = |ending: &str| fs::read(fixture("luma").join(format!("{name}.{ending}"))).unwrap();
        let (ours, shape) = pixels(&file("jpg"), spec);
        let (theirs, their_shape) = pixels(&file("png"), FeatureSpec::default());
        assert_eq!((shape.as_str(), their_shape.as_str()), ("29x37 u8", "29x37 u8"), "{name}");
        ours.iter().zip(&theirs).map(|(&a, &b)| a.abs_diff(b)).max().unwrap()
    };
    for name in ["444", "422", "420", "progressive"] {
        assert!(furthest(name, "gray") <= 1, "{name}: {} steps apart", furthest(name, "gray"));
        // Gray that is made later is made of the colours.
        assert!(furthest(name, "hflip(0),gray") > 4, "{name}");
    }
    assert!(furthest("rgb", "gray") <= 1);
}

#[test]
fn any_kind_of_bytes_column_holds_encoded_images() {
    let files = ["rgb.png", "rgb.tiff", "rgb.webp", "rgb.bmp"].map(picture);
    let rows: Vec<Option<&[u8]>> = files.iter().map(|f| Some(f.as_slice())).chain([None]).collect();
    let keys = Int8Array::from(vec![Some(0), Some(1), Some(2), Some(3), None]);
    let values: ArrayRef = encoded(&rows[..4]);
    let path: ArrayRef = Arc::new(arrow_array::StringArray::from(vec![Some("a"), None, None, None, Some("only.png")]));
    let fields = vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)];
    let columns: Vec<ArrayRef> = vec![
        encoded(&rows),
        Arc::new(LargeBinaryArray::from(rows.clone())),
        Arc::new(BinaryViewArray::from(rows.clone())),
        Arc::new(DictionaryArray::<Int8Type>::new(keys, values)),
        Arc::new(StructArray::new(Fields::from(fields), vec![encoded(&rows), path], None)),
    ];
    let shape = shape("5x7x3");
    let mut images = vec![Some(image(2, shape)); 4];
    images.push(None);
    for column in columns {
        let what = column.data_type().to_string();
        // With the shape declared as well as read from the images.
        for spec in [FeatureSpec::default(), FeatureSpec::new(shape)] {
            let (got, report) = run_column(spec.clone(), column.clone()).unwrap();
            assert_same(&got, &images, shape, PixelType::U8, &what);
            assert_eq!(report.rows_invalid.into_iter().collect::<Vec<_>>(), [(Reason::NullImage, 1)]);
            let alone = featurizer(spec).featurize(&column).unwrap();
            assert_eq!(
                &(Arc::new(alone.list().clone()) as ArrayRef),
                got.column_by_name("features").unwrap(),
                "{what}"
            );
        }
    }
}

#[test]
fn bytes_are_encoded_images_only_if_most_of_them_are() {
    let png = picture("l.png");
    // Raw pixels of which one image begins as a PNG does.
    let mut like_png = png[..8].to_vec();
    like_png.push(7);
    let raw: Vec<Option<&[u8]>> = vec![Some(&[1; 9]), Some(&like_png), Some(&[3; 9])];
    let (got, report) = run_column(FeatureSpec::default(), encoded(&raw)).unwrap();
    assert_eq!((report.shape, report.rows_featurized), (shape("3x3"), 3));
    assert_eq!(got.column_by_name("features").unwrap().null_count(), 0);
    // All do, but the declared shape is as long as they are.
    let (_, report) = run_column(FeatureSpec::new(shape("3x3")), encoded(&raw[1..2])).unwrap();
    assert_eq!(report.rows_featurized, 1);
    // Encoded ones of which the first is damaged, and a raw one among them.
    let mixed: Vec<Option<&[u8]>> = vec![Some(&png[..20]), Some(&[1; 35]), Some(&png), Some(&png)];
    let (got, report) = run_column(FeatureSpec::default(), encoded(&mixed)).unwrap();
    assert_same(
        &got,
        &[vec![None; 2], vec![Some(image(0, shape("5x7"))); 2]].concat(),
        shape("5x7"),
        PixelType::U8,
        "",
    );
    assert_eq!(report.rows_invalid.into_iter().collect::<Vec<_>>(), [(Reason::Undecodable, 2)]);
    // Whatever batches they come in.
    for cut in 1..4 {
        let schema = Arc::new(Schema::new(vec![Field::new("image", DataType::Binary, true)]));
        let column = encoded(&mixed);
        let parts = [column.slice(0, cut), column.slice(cut, 4 - cut)];
        let parts = parts.map(|part| RecordBatch::try_new(schema.clone(), vec![part]));
        let (again, _) = run(FeatureSpec::default(), RecordBatchIterator::new(parts, schema)).unwrap();
        assert_eq!(again, got, "{cut}");
    }
    let error = run_column(FeatureSpec::default().with_pixel_type(PixelType::F32), encoded(&mixed));
    assert!(error.unwrap_err().to_string().ends_with("encoded images are u8 or u16 pixels, not f32"));
}

#[test]
fn one_run_has_one_depth() {
    let (eight, sixteen) = (picture("rgb.png"), picture("rgb16.png"));
    let both = |most: &[u8], other: &[u8], pixel_type| {
        let column = encoded(&[Some(other), Some(most), Some(most)]);
        let spec = FeatureSpec::default().with_pixel_type(pixel_type);
        let (got, report) = run_column(spec, column).unwrap();
        let valid: Vec<bool> = (0..3).map(|row| got.column(0).is_valid(row)).collect();
        (report.pixel_type, valid, report.rows_invalid.get(&Reason::WrongDepth).copied(), report.fits)
    };
    let rest = vec![false, true, true];
    assert_eq!(both(&eight, &sixteen, None), (PixelType::U8, rest.clone(), Some(1), Some(PixelType::U16)));
    assert_eq!(both(&sixteen, &eight, None), (PixelType::U16, rest, Some(1), None));
    let only = vec![true, false, false];
    assert_eq!(both(&eight, &sixteen, Some(PixelType::U16)), (PixelType::U16, only, Some(2), None));
}

#[test]
fn gray_is_pillows_to_the_last_bit_and_resizing_within_one_step() {
    let source = picture("stages.png");
    let stored = |name: &str| pixels(&picture(name), FeatureSpec::default()).0;
    let gray = FeatureSpec::default().with_stage(Gray::default());
    assert_eq!(pixels(&source, gray.clone()).0, stored("stages_gray.png"));
    for (filter, side, size) in
        [("bilinear", "down", "5x6"), ("bilinear", "up", "40x31"), ("area", "down", "5x6"), ("area", "up", "40x31")]
    {
        let resize: Resize = format!("{size}:{filter}").parse().unwrap();
        let (got, shape) = pixels(&source, FeatureSpec::default().with_stage(resize));
        let expected = stored(&format!("stages_{filter}_{side}.png"));
        assert_eq!((shape.as_str(), got.len()), (format!("{size}x3 u8").as_str(), expected.len()));
        let furthest = got.iter().zip(&expected).map(|(&a, &b)| a.abs_diff(b)).max().unwrap();
        assert!(furthest <= 1, "{filter} {side}: {furthest} steps apart");
    }
    // Gray comes before the size.
    let resize: Resize = "5x6".parse().unwrap();
    let (got, _) = pixels(&source, gray.with_stage(resize));
    let (then, _) = pixels(&picture("stages_gray.png"), FeatureSpec::default().with_stage(resize));
    assert_eq!(got, then);
}

#[test]
fn every_kind_of_column_goes_through_the_stages() {
    let spec = |shape| FeatureSpec::default().with_stages("gray,resize(5x7)".parse().unwrap()).with_shape(shape);
    let rgb = shape("5x7x3");
    let png = encoded(&[Some(&picture("rgb.png")), Some(&picture("rgba.png")), Some(&picture("l.png"))]);
    // All colours are one channel now, so all modes may stand side by side.
    let (got, report) = run_column(spec(None), png.clone()).unwrap();
    assert_eq!((report.rows_featurized, report.shape), (3, shape("5x7")));
    let grays = pixels(&picture("rgb.png"), FeatureSpec::default().with_stage(Gray::default())).0;
    let from_lists = plain(&[Some(image(2, rgb))], rgb, PixelType::U8);
    let (lists, _) = run_column(spec(Some(rgb)), from_lists).unwrap();
    let first = |batch: &RecordBatch| features(batch).iter().map(|column| column.slice(0, 1)).collect::<Vec<_>>();
    assert_eq!(first(&lists), first(&got));
    assert_same(&lists, &[Some(grays)], shape("5x7"), PixelType::U8, "lists");
    let about = lists.schema().metadata().clone();
    assert_eq!((&about["pixelfeat.gray"][..], &about["pixelfeat.resize"][..]), ("bt601", "5x7"));
    assert_eq!(about["pixelfeat.stages"], "gray,resize(5x7)");
    for file in DIFFERENT {
        let spec = FeatureSpec::default().with_stages("resize(5x7)".parse().unwrap());
        let (got, report) = run_file(spec, &fixture("layouts").join(file));
        assert_eq!((report.rows_featurized, report.shape), (3, rgb), "{file}");
        // Those that have the size are not touched.
        let (plain, _) = run_column(FeatureSpec::new(rgb), plain(&[Some(image(0, rgb))], rgb, PixelType::U8)).unwrap();
        assert_eq!(first(&got), first(&plain), "{file}");
    }
    for (resize, kind) in [("3x2", PixelType::U16), ("9x8:area", PixelType::F32), ("3x2:area", PixelType::F32)] {
        for channels in 1..=4 {
            let shape = ImageShape::new(5, 7, channels).unwrap();
            let flat: Vec<u32> = (0..35).flat_map(|_| (1..=channels as u32).map(|c| c * 50)).collect();
            let spec = FeatureSpec::new(shape).with_stage(resize.parse::<Resize>().unwrap());
            let (got, _) = run_column(spec, plain(&[Some(flat)], shape, kind)).unwrap();
            // A plane stays one, each channel for itself.
            let small = got.schema().metadata()["pixelfeat.shape"].parse::<ImageShape>().unwrap();
            let flat: Vec<u32> = (0..small.pixels()).flat_map(|_| (1..=channels as u32).map(|c| c * 50)).collect();
            assert_same(&got, &[Some(flat)], small, kind, resize);
        }
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let column = || plain(&[Some(vec![1])], shape("1x1"), PixelType::U16);
    let resize: Resize = "2x2".parse().unwrap();
    for (spec, why) in [
        (FeatureSpec::default().with_ragged(true).with_stage(resize), "images that are resized all have one size"),
        (FeatureSpec::default().with_ragged(true).with_layout(Layout::Columns), "not columns or tensors"),
        (FeatureSpec::default().with_keep_image(KeepImage::Bytes), "bytes hold u8 pixels of one size"),
    ] {
        let error = run_column(spec, column()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let error = featurizer(FeatureSpec::default().with_ragged(true)).featurize(&column()).unwrap_err();
    assert!(error.to_string().contains("a stream's can be ragged"), "{error}");
}

#[test]
fn kept_images_are_read_again_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [picture("rgb.png"), picture("rgb.bmp")];
    for with_null in [false, true] {
        let mut images: Vec<Option<&[u8]>> = rows.iter().map(|row| Some(row.as_slice())).collect();
        images.extend(with_null.then_some(None));
        for keep_image in [KeepImage::Tensor, KeepImage::Bytes, KeepImage::Original] {
            for gray in [false, true] {
                let spec = FeatureSpec::default().with_keep_image(keep_image).with_stages(stages(gray));
                let (first, _) = run_column(spec.clone(), encoded(&images)).unwrap();
                for name in ["kept.parquet", "kept.arrow"] {
                    let path = folder.path().join(name);
                    let column = encoded(&images);
                    let input = reader(Field::new("image", DataType::Binary, true), column);
                    let stream = featurizer(spec.clone()).stream(input).unwrap();
                    io::write(&path, Only("image", stream), &WriteOptions::default()).unwrap();
                    let gray = gray && keep_image == KeepImage::Original;
                    let (again, report) = run_file(FeatureSpec::default().with_stages(stages(gray)), &path);
                    assert_eq!(report.shape, first.schema().metadata()["pixelfeat.shape"].parse().unwrap());
                    assert_eq!(features(&again), features(&first), "{name} {keep_image:?} {with_null}");
                }
            }
        }
    }
}

#[test]
fn late_defects_leave_kept_images_in_their_rows() {
    // The second row shows only when computed with, the first before.
    let values: ArrayRef = Arc::new(Float32Array::from(vec![f32::NAN, 1.0, 3e38, 3e38, 5.0, 6.0]));
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let lists: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([2, 2, 2]), values, None));
    let spec = FeatureSpec::new(shape("1x2")).with_keep_image(KeepImage::Tensor);
    let (got, report) = run_column(spec, lists).unwrap();
    assert_eq!(report.rows_invalid[&Reason::NotFinite], 2);
    let kept = got.column(0).as_fixed_size_list();
    assert_eq!((0..3).map(|row| kept.is_valid(row)).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(kept.values().as_primitive::<Float32Type>().values()[..], [0.0, 0.0, 0.0, 0.0, 5.0, 6.0]);
}

#[test]
fn tensors_in_the_output_say_so() {
    let spec = FeatureSpec::new(shape("1x2")).with_layout(Layout::Tensor).with_keep_image(KeepImage::Tensor);
    let (got, _) = run_column(spec, plain(&[Some(vec![1, 2])], shape("1x2"), PixelType::U8)).unwrap();
    for (name, metadata) in [
        ("image", r#"{"dim_names":["H","W"],"shape":[1,2]}"#),
        ("features", r#"{"dim_names":["feature"],"shape":[7]}"#),
    ] {
        let field = got.schema().field_with_name(name).unwrap().clone();
        assert_eq!(field.extension_type_name(), Some("arrow.fixed_shape_tensor"));
        assert_eq!(field.extension_type_metadata(), Some(metadata));
        // PyArrow recognises no others in Parquet.
        assert!(matches!(field.data_type(), DataType::FixedSizeList(item, _) if item.is_nullable()));
    }
}

#[test]
fn few_bytes_that_stand_for_many_pixels_are_taken_in_parts() {
    // Forty times the same image of 4 MB.
    let large = shape("2000x2000");
    let values = plain(&[Some(vec![3; large.values()])], large, PixelType::U8);
    let keys = Int8Array::from(vec![0; 40]);
    let column: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::new(keys, values));
    for (spec, most) in [
        (FeatureSpec::default(), 16),
        (FeatureSpec::default().with_ragged(true), 16),
        (FeatureSpec::default().with_stages("resize(500x500)".parse().unwrap()), 40),
    ] {
        let input = reader(Field::new("image", column.data_type().clone(), true), column.clone());
        let rows: Vec<usize> = featurizer(spec.clone()).stream(input).unwrap().map(|b| b.unwrap().num_rows()).collect();
        assert_eq!(rows.iter().sum::<usize>(), 40);
        assert!(rows.iter().all(|&rows| rows <= most), "{rows:?}");
        if !spec.ragged {
            let whole = featurizer(spec).featurize(&column).unwrap();
            assert_eq!((whole.list().len(), whole.defects().len()), (40, 0));
            assert_eq!(whole.column("pixel_mean").unwrap().values().iter().filter(|&&mean| mean == 3.0).count(), 40);
        }
    }
}

/// A field of an extension type.
fn extension(column: &ArrayRef, name: &str, metadata: &str) -> Field {
    Field::new("image", column.data_type().clone(), true).with_metadata(HashMap::from([
        ("ARROW:extension:name".to_owned(), name.to_owned()),
        ("ARROW:extension:metadata".to_owned(), metadata.to_owned()),
    ]))
}

#[test]
fn metadata_that_contradicts_its_column_is_an_error_that_says_how() {
    let twelve = plain(&[Some(vec![1; 12])], shape("2x2x3"), PixelType::U8);
    let fixed = "arrow.fixed_shape_tensor";
    for (name, metadata, why) in [
        (fixed, r#"{"shape": [2, 2, 2]}"#, "its metadata tells a shape of [2, 2, 2], its lists hold 12 values"),
        (fixed, r#"{"shape": [4294967296, 4294967296, 3]}"#, "a side is over 65536"),
        (fixed, r#"{"shape": [2, 2, 3], "permutation": [0, 1, 3]}"#, "its permutation [0, 1, 3] is none"),
        (fixed, r#"{"shape": [2, 2, 3], "permutation": "x"}"#, "the permutation in its metadata are not numbers"),
        (fixed, r#"{"shape": [1, 1, 12, 1]}"#, "its shape [1, 1, 12, 1] is neither"),
        (fixed, "{}", "its metadata names no shape"),
        (fixed, "not JSON", "its metadata is not JSON"),
        ("arrow.variable_shape_tensor", "", "its storage is not a struct"),
        ("daft.super_extension", r#"{"datatype":{"FixedShapeImage":["RGB",2,3]}}"#, "a shape of [2, 3, 3]"),
        ("daft.super_extension", "\x01\x02", "its metadata is not JSON"),
    ] {
        let error =
            run(FeatureSpec::default(), reader(extension(&twelve, name, metadata), twelve.clone())).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::UnsupportedColumn { .. }), "{text}");
        assert!(text.contains(why) && text.contains(name), "{text}");
    }
    // A type of somebody else's is its storage.
    let field = extension(&twelve, "somebody.else", "\x00");
    let spec = FeatureSpec::new(shape("2x2x3"));
    assert_eq!(run(spec, reader(field, twelve.clone())).unwrap().1.rows_featurized, 1);
    let one = FeatureSpec::default();
    let field = extension(&twelve, fixed, r#"{"shape": [2, 2, 3]}"#);
    assert_eq!(featurizer(one).featurize_column(&field, &twelve).unwrap().list().value_length(), 24);
}

#[test]
fn sizes_that_lie_are_defects_of_their_rows() {
    let values: ArrayRef = Arc::new(UInt8Array::from(vec![7; 24]));
    let item = |kind| Arc::new(Field::new("item", kind, true));
    let data: ArrayRef =
        Arc::new(ListArray::new(item(DataType::UInt8), OffsetBuffer::from_lengths([4; 6]), values, None));
    let dims = vec![2, 2, -1, 4, 65_536, 65_536, 0, 4, 2, 3, 2, 2];
    let dims: ArrayRef = Arc::new(Int32Array::from(dims));
    let dims: ArrayRef = Arc::new(FixedSizeListArray::new(item(DataType::Int32), 2, dims, None));
    let fields =
        vec![Field::new("data", data.data_type().clone(), true), Field::new("shape", dims.data_type().clone(), true)];
    let tensors: ArrayRef = Arc::new(StructArray::new(Fields::from(fields), vec![data.clone(), dims], None));
    let sides = |values: [i32; 6]| Arc::new(Int32Array::from(values.to_vec())) as ArrayRef;
    let (height, width) = (sides([2, -1, 65_536, 0, 2, 2]), sides([2, 4, 65_536, 4, 3, 2]));
    let fields = vec![
        Field::new("data", data.data_type().clone(), true),
        Field::new("height", DataType::Int32, true),
        Field::new("width", DataType::Int32, true),
    ];
    let images: ArrayRef = Arc::new(StructArray::new(Fields::from(fields), vec![data, height, width], None));
    for column in [tensors, images] {
        for spec in [
            FeatureSpec::new(shape("2x2")),
            FeatureSpec::new(shape("2x2")).with_ragged(true),
            FeatureSpec::new(shape("2x2")).with_stages("resize(2x2)".parse().unwrap()),
        ] {
            let (got, report) = run_column(spec, column.clone()).unwrap();
            let valid: Vec<bool> = (0..6).map(|row| got.column(0).is_valid(row)).collect();
            assert_eq!(valid, [true, false, false, false, false, true], "{}", column.data_type());
            assert_eq!(report.rows_invalid.into_iter().collect::<Vec<_>>(), [(Reason::WrongLength, 4)]);
        }
    }
}

/// The headers of images too large for any memory.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let mut bmp = picture("rgb.bmp");
    bmp[18..26].copy_from_slice(&[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]);
    let mut beyond = picture("rgb.bmp");
    beyond[18..26].copy_from_slice(&[0xff; 8]);
    let mut jpeg = picture("rgb.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    let mut png = picture("rgb.png");
    png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let mut tiff = picture("rgb.tiff");
    let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let entries = u16::from_le_bytes(tiff[directory..directory + 2].try_into().unwrap()) as usize;
    for entry in (0..entries).map(|i| directory + 2 + 12 * i) {
        // Width and length.
        if tiff[entry + 1] == 1 && tiff[entry] < 2 {
            tiff[entry + 2..entry + 4].copy_from_slice(&4u16.to_le_bytes());
            tiff[entry + 8..entry + 12].copy_from_slice(&60_000u32.to_le_bytes());
        }
    }
    vec![("bmp", bmp), ("beyond.bmp", beyond), ("jpeg", jpeg), ("png", png), ("tiff", tiff)]
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn headers_of_absurd_size_are_defects_before_anything_is_decoded() {
    for (name, bomb) in bombs() {
        for spec in [
            FeatureSpec::new(shape("5x7x3")).with_stages("resize(4x4)".parse().unwrap()),
            FeatureSpec::new(shape("5x7x3")).with_ragged(true),
        ] {
            let column = encoded(&[Some(&bomb), Some(&picture("rgb.png"))]);
            let mut seen = Vec::new();
            let quarantine: pixelfeat::OnInvalidRow = {
                let (out, into) = std::sync::mpsc::channel();
                seen.push(into);
                Box::new(move |row| {
                    out.send((row.row, row.defect.reason, row.defect.detail.clone())).unwrap();
                    Ok(())
                })
            };
            let options = pixelfeat::StreamOptions::default().with_quarantine(quarantine);
            let input = reader(Field::new("image", DataType::Binary, true), column);
            let rows: usize =
                featurizer(spec).stream_with(input, options).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
            assert_eq!(rows, 2);
            let defects: Vec<_> = seen[0].iter().collect();
            let [(0, Reason::Undecodable, detail)] = &defects[..] else { panic!("{name}: {defects:?}") };
            println!("{name}: {detail}");
        }
    }
}

#[test]
fn a_file_cut_short_is_a_defect_or_lacks_nothing() {
    for entry in fs::read_dir(fixture("images")).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        let spec = || FeatureSpec::default().with_ragged(true);
        let cuts: Vec<usize> = (12..whole.len()).step_by(whole.len() / 40 + 1).chain([whole.len() - 1]).collect();
        let mut rows: Vec<Option<&[u8]>> = vec![Some(&whole); cuts.len() + 1];
        rows.extend(cuts.iter().map(|&cut| Some(&whole[..cut])));
        let (got, _) = run_column(spec(), encoded(&rows)).unwrap();
        let lists = got.column_by_name("features").unwrap().as_list::<i32>();
        for (row, cut) in (cuts.len() + 1..).zip(&cuts) {
            assert!(
                lists.is_null(row) || lists.value(row) == lists.value(0),
                "{} cut at {cut} of {} gives other pixels",
                path.display(),
                whole.len()
            );
        }
        assert!(lists.null_count() >= cuts.len() / 2, "{}: {}", path.display(), lists.null_count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_images_never_panic_and_cost_their_own_row_only(
        file in prop::sample::select(vec![
            "rgb.png", "la16.png", "palette.png", "l.jpg", "rgb.jpg", "rgba.webp", "l.bmp", "rgb.bmp", "rgb.tiff",
            "la.tiff", "rgba16.tiff",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        ragged in any::<bool>(),
    ) {
        let good = picture("rgb.png");
        let mut bad = picture(file);
        for (at, value) in changes {
            let at = at.index(bad.len());
            bad[at] = value;
        }
        if let Some(cut) = cut {
            bad.truncate(cut.index(bad.len()));
        }
        let stages = if ragged { "gray" } else { "gray,resize(4x4)" };
        let spec = FeatureSpec::default().with_ragged(ragged).with_stages(stages.parse().unwrap());
        let (got, report) = run_column(spec, encoded(&[Some(&good), Some(&bad), Some(&good)])).unwrap();
        prop_assert_eq!(report.rows_in, 3);
        let features = got.column_by_name("features").unwrap();
        prop_assert!(features.is_valid(0) && features.is_valid(2));
    }

    #[test]
    fn damaged_metadata_is_an_error_or_a_shape_never_a_panic(
        start in prop::sample::select(vec![
            r#"{"shape": [2, 2, 3], "dim_names": ["H", "W", "C"], "permutation": [0, 1, 2]}"#,
            r#"{"datatype":{"FixedShapeImage":["RGB",2,2]},"daft_version":"0.7.26"}"#,
        ]),
        name in prop::sample::select(vec!["arrow.fixed_shape_tensor", "daft.super_extension"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[0-9\\[\\]{}\",:a-zA-Z -]{0,3}"), 0..4),
    ) {
        let mut metadata = start.to_owned();
        for (at, text) in changes {
            let at = at.index(metadata.len());
            metadata.replace_range(at..at + 1, &text);
        }
        let twelve = plain(&[Some(vec![1; 12])], shape("2x2x3"), PixelType::U8);
        let field = extension(&twelve, name, &metadata);
        match run(FeatureSpec::default(), reader(field, twelve)) {
            Ok((_, report)) => prop_assert_eq!(report.rows_in, 1),
            Err(Error::UnsupportedColumn { .. } | Error::UnknownShape { .. }) => {}
            Err(other) => prop_assert!(false, "{}: {other}", metadata),
        }
    }
}
