//! Streams: order, bounds, policies, and how they end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use pixelfeat::{
    Activity, Engine, EngineOptions, Error, FeatureSpec, FeatureStream, Featurizer, ImageShape, KeepImage, Layout,
    MaxInvalid, Observed, Observer, OnInvalid, PixelType, Reason, RowOrigins, StreamOptions, synthetic,
};

fn featurizer(spec: FeatureSpec) -> Featurizer {
    Featurizer::new(Engine::new(EngineOptions::default()).unwrap(), spec)
}

fn shape(text: &str) -> ImageShape {
    text.parse().unwrap()
}

/// Two-pixel images of which some are bad in different ways, with a row number and a text beside them.
fn mixed() -> RecordBatch {
    let mut images = ListBuilder::new(Int64Builder::new());
    for row in [
        Some(vec![Some(1), Some(3)]),
        None,
        Some(vec![Some(1), Some(300)]),
        Some(vec![Some(5), Some(5)]),
        Some(vec![Some(5)]),
        Some(vec![Some(0), Some(255)]),
    ] {
        images.append_option(row);
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("row", Arc::new(Int64Array::from_iter_values(0..6))),
        ("image", Arc::new(images.finish())),
        ("note", Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("d"), Some("e"), Some("f")]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn reader_of(batches: Vec<RecordBatch>) -> impl RecordBatchReader + Send + 'static {
    let schema = batches[0].schema();
    RecordBatchIterator::new(batches.into_iter().map(Ok), schema)
}

fn collect(stream: FeatureStream) -> RecordBatch {
    let schema = stream.schema();
    let batches: Vec<_> = stream.map(|batch| batch.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn column_names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|f| f.name().clone()).collect()
}

#[test]
fn waiting_is_told_by_what_held_the_batches_up() {
    const STEP: Duration = Duration::from_millis(15);
    const BATCHES: usize = 5;
    struct Slow;
    impl Observer for Slow {
        fn observe(&mut self, _: &Observed<'_>) -> pixelfeat::Result<()> {
            std::thread::sleep(STEP);
            Ok(())
        }
    }
    // How long a run waited for its batches if reading, observing or using each of them takes long.
    let run = |reads: bool, observes: bool, uses: bool| {
        let schema = mixed().schema();
        let batches = (0..BATCHES).map(move |_| {
            std::thread::sleep(if reads { STEP } else { Duration::ZERO });
            Ok(mixed())
        });
        let mut options = StreamOptions::default();
        if observes {
            options = options.with_observer(Box::new(Slow));
        }
        let reader = RecordBatchIterator::new(batches, schema);
        let spec = FeatureSpec::new(shape("1x2"));
        let mut stream = featurizer(spec).stream_with(reader, options).unwrap();
        let began = Instant::now();
        for batch in &mut stream {
            batch.unwrap();
            std::thread::sleep(if uses { STEP } else { Duration::ZERO });
        }
        (stream.times(), began.elapsed())
    };
    let all = STEP * BATCHES as u32;
    let (times, elapsed) = run(true, false, false);
    assert!(times.waited.on(Activity::Decode) >= all / 2, "{times:?}");
    assert!(times.waited.total() <= elapsed, "{times:?} in {elapsed:?}");
    assert!(times.reading.on(Activity::Decode) >= all && times.computing.on(Activity::Wait) > all / 3, "{times:?}");

    let (times, _) = run(false, true, false);
    assert!(times.waited.on(Activity::Observe) >= all / 2, "{times:?}");
    assert!(times.computing.on(Activity::Observe) >= all && times.reading.on(Activity::Wait) > all / 3, "{times:?}");

    let (times, elapsed) = run(false, false, true);
    assert!(elapsed - times.waited.total() >= all, "{times:?} in {elapsed:?}");
    assert_eq!(times.waited.on(Activity::Wait), Duration::ZERO);
}

#[test]
fn nulls_keep_their_rows_and_other_columns_pass_through() {
    let stream = featurizer(FeatureSpec::new(shape("1x2"))).stream(reader_of(vec![mixed()])).unwrap();
    let handle = stream.report_handle();
    let out = collect(stream);
    assert_eq!(column_names(&out), ["row", "note", "pixel_mean", "pixel_std", "features"]);
    assert_eq!(out.column(0), mixed().column(0));
    assert_eq!(out.column(1), mixed().column(2));
    let valid: Vec<bool> = (0..6).map(|row| out.column(4).is_valid(row)).collect();
    assert_eq!(valid, [true, false, false, true, false, true]);
    let means: Vec<_> = out.column(2).as_primitive::<Float32Type>().iter().collect();
    assert_eq!(means, [Some(2.0), None, None, Some(5.0), None, Some(127.5)]);
    let report = handle.get();
    assert_eq!((report.rows_in, report.rows_featurized, report.invalid()), (6, 3, 3));
    let reasons: Vec<_> = report.rows_invalid.into_iter().collect();
    assert_eq!(reasons, [(Reason::NullImage, 1), (Reason::WrongLength, 1), (Reason::OutOfRange, 1)]);
    assert_eq!(report.fits, Some(PixelType::U16));
}

#[test]
fn drop_leaves_invalid_rows_out() {
    let spec = FeatureSpec::new(shape("1x2")).with_on_invalid(OnInvalid::Drop).with_keep_image(KeepImage::Original);
    let out = collect(featurizer(spec).stream(reader_of(vec![mixed()])).unwrap());
    assert_eq!(column_names(&out), ["row", "image", "note", "pixel_mean", "pixel_std", "features"]);
    assert_eq!(out.column(0).as_primitive::<Int64Type>().values()[..], [0, 3, 5]);
    assert_eq!(out.column(5).null_count(), 0);
}

#[test]
fn error_names_file_row_column_and_reason_once_and_ends() {
    let spec = FeatureSpec::new(shape("1x2")).with_on_invalid(OnInvalid::Error);
    let good = mixed().slice(0, 1);
    let origins = RowOrigins::default();
    origins.begin(0, "a.parquet");
    origins.begin(2, "b.parquet");
    let options = StreamOptions::default().with_origins(origins);
    let batches = vec![good.clone(), good, mixed().slice(2, 2)];
    let mut stream = featurizer(spec).stream_with(reader_of(batches), options).unwrap();
    assert!(stream.next().unwrap().is_ok());
    assert!(stream.next().unwrap().is_ok());
    let error = Error::from(stream.next().unwrap().unwrap_err());
    assert_eq!(error.to_string(), "b.parquet: row 0, column `image`: out of range: pixel 1 is 300");
    assert!(stream.next().is_none());
    assert!(stream.next().is_none());
}

#[test]
fn a_quarantine_sees_every_invalid_row_in_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    let options = StreamOptions::default().with_quarantine(Box::new(move |row| {
        let label = row.batch.column(0).as_primitive::<Int64Type>().value(row.defect.row);
        into.lock().unwrap().push((row.row, label, row.defect.reason));
        Ok(())
    }));
    let batches = vec![mixed().slice(0, 4), mixed().slice(4, 2)];
    collect(featurizer(FeatureSpec::new(shape("1x2"))).stream_with(reader_of(batches), options).unwrap());
    let expected = [(1, 1, Reason::NullImage), (2, 2, Reason::OutOfRange), (4, 4, Reason::WrongLength)];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn any_split_into_batches_gives_the_same_bytes_in_order() {
    let run = |batch_rows| {
        let stream = featurizer(FeatureSpec::default()).stream(synthetic::Digits::new(1_000, 3, batch_rows)).unwrap();
        collect(stream)
    };
    let whole = run(1_000);
    assert_eq!(whole.num_rows(), 1_000);
    for batch_rows in [1, 7, 333, 999] {
        assert_eq!(run(batch_rows), whole, "{batch_rows} rows a batch");
    }
}

#[test]
fn both_layouts_hold_the_same_numbers_and_the_schema_says_what_they_are() {
    let list = collect(featurizer(FeatureSpec::default()).stream(synthetic::Digits::new(20, 3, 20)).unwrap());
    let spec = FeatureSpec::default().with_layout(Layout::Columns);
    let columns = collect(featurizer(spec).stream(synthetic::Digits::new(20, 3, 20)).unwrap());
    let metadata = columns.schema().metadata().clone();
    assert_eq!(metadata["pixelfeat.shape"], "28x28");
    assert_eq!(metadata["pixelfeat.scale"], "255");
    assert_eq!(metadata["pixelfeat.pixel_type"], "u8");
    assert_eq!(metadata["pixelfeat.version"], env!("CARGO_PKG_VERSION"));
    let names: Vec<&str> = metadata["pixelfeat.feature_names"].split(',').collect();
    assert_eq!(names.len(), 60);
    let lists = list.column_by_name("features").unwrap().as_fixed_size_list();
    for (place, name) in names.iter().enumerate() {
        let column = columns.column_by_name(name).unwrap().as_primitive::<Float32Type>();
        for row in 0..20 {
            assert_eq!(column.value(row), lists.value(row).as_primitive::<Float32Type>().value(place), "{name}");
        }
    }
}

#[test]
fn the_shape_is_read_from_the_first_rows_that_tell_it() {
    let nulls = mixed().slice(1, 1);
    let twos = mixed().slice(2, 2);
    let stream = featurizer(FeatureSpec::default()).stream(reader_of(vec![nulls.clone(), twos]));
    let error = stream.unwrap_err().to_string();
    assert_eq!(
        error,
        "column `image`: its images hold 2 values, which is not a perfect square; give the shape, as in 28x28 or 64x64x3"
    );
    let one_pixel = mixed().slice(4, 1);
    let out = collect(featurizer(FeatureSpec::default()).stream(reader_of(vec![nulls.clone(), one_pixel])).unwrap());
    assert_eq!((out.num_rows(), out.column(4).null_count()), (2, 1));
    let error = featurizer(FeatureSpec::default()).stream(reader_of(vec![nulls])).unwrap_err().to_string();
    assert!(error.contains("none of the first 1 rows has an image"), "{error}");
    let error =
        featurizer(FeatureSpec::default()).stream(reader_of(vec![mixed().slice(0, 0)])).unwrap_err().to_string();
    assert!(error.contains("there are no rows to read the image shape from"), "{error}");
}

#[test]
fn the_shape_does_not_depend_on_the_batches() {
    let mut images = ListBuilder::new(Int64Builder::new());
    for len in [9, 4, 4, 4, 4] {
        images.append_value((0..len).map(Some));
    }
    let all = RecordBatch::try_from_iter([("image", Arc::new(images.finish()) as ArrayRef)]).unwrap();
    for batch_rows in [1, 2, 5] {
        let batches = (0..5).step_by(batch_rows).map(|at| all.slice(at, batch_rows.min(5 - at))).collect();
        let stream = featurizer(FeatureSpec::default()).stream(reader_of(batches)).unwrap();
        assert_eq!(stream.schema().metadata()["pixelfeat.shape"], "2x2", "{batch_rows} rows a batch");
    }
}

#[test]
fn float_features_beyond_f32_are_no_features() {
    let flat = arrow_array::Float32Array::from(vec![3e38, 3e38, 1.0, 2.0]);
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let images: ArrayRef = Arc::new(arrow_array::FixedSizeListArray::new(item, 2, Arc::new(flat), None));
    let batch = RecordBatch::try_from_iter([("image", images)]).unwrap();
    let stream = featurizer(FeatureSpec::new(shape("1x2"))).stream(reader_of(vec![batch])).unwrap();
    let handle = stream.report_handle();
    let out = collect(stream);
    assert_eq!((out.column(2).is_valid(0), out.column(2).is_valid(1)), (false, true));
    assert_eq!(handle.get().rows_invalid.into_iter().collect::<Vec<_>>(), [(Reason::NotFinite, 1)]);
}

#[test]
fn empty_input_gives_an_empty_output_of_the_right_columns() {
    let out = collect(featurizer(FeatureSpec::new(shape("1x2"))).stream(reader_of(vec![mixed().slice(0, 0)])).unwrap());
    assert_eq!((out.num_rows(), out.num_columns()), (0, 5));
}

#[test]
fn schemas_that_do_not_suit_are_refused_before_any_row() {
    let spec = FeatureSpec::new(shape("1x2")).with_image("img");
    let error = featurizer(spec).stream(reader_of(vec![mixed()])).unwrap_err().to_string();
    assert_eq!(error, "no column `img`; there is `row`, `image`, `note`");
    let spec = FeatureSpec::new(shape("1x2")).with_image("note");
    let error = featurizer(spec).stream(reader_of(vec![mixed()])).unwrap_err().to_string();
    assert!(error.starts_with("column `note` is Utf8: images are lists of numbers"), "{error}");
    let spec = FeatureSpec::new(shape("1x2")).with_scale(0.0);
    assert!(matches!(featurizer(spec).stream(reader_of(vec![mixed()])), Err(Error::InvalidOption { .. })));
    let taken =
        RecordBatch::try_from_iter([("image", mixed().column(1).clone()), ("features", mixed().column(0).clone())])
            .unwrap();
    let error = featurizer(FeatureSpec::new(shape("1x2"))).stream(reader_of(vec![taken])).unwrap_err().to_string();
    assert_eq!(error, "the input already has a column `features`, which the output would need: rename it");
}

/// Yields digit batches without end, counting them; ends with an error or a panic where told to.
struct Endless {
    made: Arc<AtomicUsize>,
    fail_at: Option<usize>,
    panic_at: Option<usize>,
    batch: RecordBatch,
}

impl Endless {
    fn new(made: &Arc<AtomicUsize>) -> Self {
        let batch = synthetic::Digits::new(10, 1, 10).next().unwrap().unwrap();
        Self { made: made.clone(), fail_at: None, panic_at: None, batch }
    }
}

impl Iterator for Endless {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        assert_ne!(Some(made), self.panic_at, "a reader that breaks");
        if Some(made) == self.fail_at {
            return Some(Err(Error::Format { file: "x".into(), message: "broken".into() }.into()));
        }
        Some(Ok(self.batch.clone()))
    }
}

impl RecordBatchReader for Endless {
    fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }
}

#[test]
fn a_slow_consumer_holds_the_producer_back_and_a_dropped_one_stops_it() {
    let made = Arc::new(AtomicUsize::new(0));
    let mut stream = featurizer(FeatureSpec::default()).stream(Endless::new(&made)).unwrap();
    stream.next().unwrap().unwrap();
    let settled = settle(&made);
    assert!(settled <= 12, "{settled} batches were read for one consumed");
    drop(stream);
    let stopped = settle(&made);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(made.load(Ordering::SeqCst), stopped);
}

/// Waits until the count stands still.
fn settle(count: &AtomicUsize) -> usize {
    let start = Instant::now();
    loop {
        let before = count.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
        if count.load(Ordering::SeqCst) == before {
            return before;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "the producer never rests");
    }
}

#[test]
fn a_readers_error_or_panic_surfaces_once_after_the_batches_before_it() {
    for panics in [false, true] {
        let made = Arc::new(AtomicUsize::new(0));
        let at = Some(3);
        let reader = if panics {
            Endless { panic_at: at, ..Endless::new(&made) }
        } else {
            Endless { fail_at: at, ..Endless::new(&made) }
        };
        let mut stream = featurizer(FeatureSpec::default()).stream(reader).unwrap();
        for _ in 0..3 {
            assert_eq!(stream.next().unwrap().unwrap().num_rows(), 10);
        }
        let error = Error::from(stream.next().unwrap().unwrap_err()).to_string();
        assert!(error.contains(if panics { "a reader that breaks" } else { "x: broken" }), "{error}");
        assert!(stream.next().is_none());
    }
}

#[test]
fn the_readers_word_on_a_row_replaces_the_null_it_left() {
    let defect = pixelfeat::Defect::new(1, Reason::Unparsable, "a string");
    let defects = [defect.with_line(2).with_raw("\"x\"".to_owned())];
    let batch = mixed().slice(0, 2);
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(pixelfeat::defects_field("image")));
    let mut columns = batch.columns().to_vec();
    columns.push(pixelfeat::defects_array(2, &defects));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let stream = featurizer(FeatureSpec::new(shape("1x2"))).stream(reader_of(vec![batch.clone()])).unwrap();
    let handle = stream.report_handle();
    assert_eq!(column_names(&collect(stream)), ["row", "note", "pixel_mean", "pixel_std", "features"]);
    assert_eq!(handle.get().rows_invalid.into_iter().collect::<Vec<_>>(), [(Reason::Unparsable, 1)]);
    let spec = FeatureSpec::new(shape("1x2")).with_on_invalid(OnInvalid::Error);
    let mut stream = featurizer(spec).stream(reader_of(vec![batch])).unwrap();
    let error = Error::from(stream.next().unwrap().unwrap_err()).to_string();
    assert_eq!(error, "row 1 (line 2), column `image`: unparsable: a string");
}

#[test]
fn one_engine_serves_many_threads() {
    let Some(engine) = crate::support::gpu() else { return };
    let cpu = Engine::new(EngineOptions::backend(pixelfeat::Backend::Cpu)).unwrap();
    let expected =
        collect(Featurizer::new(cpu, FeatureSpec::default()).stream(synthetic::Digits::new(500, 9, 100)).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let featurizer = Featurizer::new(engine.clone(), FeatureSpec::default());
                assert_eq!(collect(featurizer.stream(synthetic::Digits::new(500, 9, 100)).unwrap()), expected);
            });
        }
    });
}

#[cfg(feature = "gpu")]
#[test]
fn a_device_lost_mid_run_changes_no_byte_and_the_report_says_so() {
    let Some((device, queue)) = crate::support::device(|_| ()) else { return };
    let options = EngineOptions::backend(pixelfeat::Backend::Gpu);
    let engine = Engine::with_device(options, device.clone(), queue).unwrap();
    let cpu = Engine::new(EngineOptions::backend(pixelfeat::Backend::Cpu)).unwrap();
    let expected =
        collect(Featurizer::new(cpu, FeatureSpec::default()).stream(synthetic::Digits::new(2_000, 9, 100)).unwrap());
    let mut stream =
        Featurizer::new(engine.clone(), FeatureSpec::default()).stream(synthetic::Digits::new(2_000, 9, 100)).unwrap();
    let handle = stream.report_handle();
    let mut batches = vec![stream.next().unwrap().unwrap()];
    device.destroy();
    batches.extend((&mut stream).map(|batch| batch.unwrap()));
    assert_eq!(concat_batches(&expected.schema(), &batches).unwrap(), expected);
    let report = handle.get();
    assert_eq!(report.backend(), "cpu+gpu");
    assert!(report.backend_reason.contains("the CPU went on from there"), "{}", report.backend_reason);
    assert!(report.adapter.is_some());
}

#[test]
fn what_a_stage_draws_depends_on_seed_and_row_alone() {
    let spec = |seed| {
        let stages = "hflip(0.5),vflip(0.3)".parse().unwrap();
        FeatureSpec::default().with_stages(stages).with_seed(seed).with_keep_image(KeepImage::Bytes)
    };
    let run = |engine: &Engine, seed, batch| {
        let digits = synthetic::Digits::new(600, 9, batch);
        collect(Featurizer::new(engine.clone(), spec(seed)).stream(digits).unwrap())
    };
    let engines = crate::support::engines();
    let expected = run(&engines[0].1, 7, 600);
    assert_eq!(expected.schema().metadata()["pixelfeat.stages"], "hflip(0.5),vflip(0.3)");
    for (name, engine) in &engines {
        for batch in [1, 7, 512] {
            assert!(run(engine, 7, batch) == expected, "{name}, batches of {batch}");
        }
    }
    assert!(run(&engines[0].1, 8, 600) != expected, "another seed mirrors other images");
    let plain = Featurizer::new(engines[0].1.clone(), FeatureSpec::default().with_keep_image(KeepImage::Bytes));
    let plain = collect(plain.stream(synthetic::Digits::new(600, 9, 600)).unwrap());
    let images = |batch: &RecordBatch| batch.column_by_name("image").unwrap().as_fixed_size_binary().clone();
    let (before, after) = (images(&plain), images(&expected));
    let same = (0..600).filter(|&row| before.value(row) == after.value(row)).count();
    // 0.5 · 0.7 of the images stay as they are, give or take four standard deviations.
    assert!((163..=257).contains(&same), "{same} of 600 are not mirrored");
}

#[cfg(feature = "gpu")]
#[test]
fn a_device_lost_mid_run_changes_no_byte_of_mirrored_images() {
    let Some((device, queue)) = crate::support::device(|_| ()) else { return };
    let engine = Engine::with_device(EngineOptions::backend(pixelfeat::Backend::Gpu), device.clone(), queue).unwrap();
    let spec = || FeatureSpec::default().with_stages("hflip(0.5)".parse().unwrap()).with_seed(3);
    let digits = || synthetic::Digits::new(1_000, 9, 100);
    let cpu = Engine::new(EngineOptions::backend(pixelfeat::Backend::Cpu)).unwrap();
    let expected = collect(Featurizer::new(cpu, spec()).stream(digits()).unwrap());
    let mut stream = Featurizer::new(engine, spec()).stream(digits()).unwrap();
    let mut batches = vec![stream.next().unwrap().unwrap()];
    device.destroy();
    batches.extend((&mut stream).map(|batch| batch.unwrap()));
    assert_eq!(concat_batches(&expected.schema(), &batches).unwrap(), expected);
}

#[test]
fn null_typed_columns_and_other_types_beside_the_image_are_no_trouble() {
    let images = Arc::new(arrow_array::NullArray::new(2)) as ArrayRef;
    let schema = Schema::new(vec![Field::new("image", DataType::Null, true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![images]).unwrap();
    let spec = FeatureSpec::new(shape("1x2")).with_max_invalid(MaxInvalid::Percent(100.0));
    let out = collect(featurizer(spec).stream(reader_of(vec![batch])).unwrap());
    assert_eq!((out.num_rows(), out.column(0).null_count()), (2, 2));
}
