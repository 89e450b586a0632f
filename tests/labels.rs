//! Label noise: which wrong labels are found, and what is said of labels that cannot be judged.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc"))]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch,
    RecordBatchIterator, StringArray,
};
use arrow_schema::{DataType, Field};
use pixelfeat::quality::{LabelReport, LabelWatch};
use pixelfeat::synthetic::{Digits, Random};
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, Featurizer, Layout, PixelType, StreamOptions};
use serde_json::Value;

use crate::cli::{Place, text};
use crate::support::example;

/// Digits with other labels.
fn relabelled(rows: u64, label: impl Fn(usize, i64) -> i64) -> RecordBatch {
    let digits = Digits::new(rows, 1, rows as usize).next().unwrap().unwrap();
    let actual = digits.column_by_name("label").unwrap().as_primitive::<Int64Type>();
    let labels: Int64Array = actual.values().iter().enumerate().map(|(row, of)| label(row, *of)).collect();
    with_labels(&digits, Arc::new(labels))
}

fn with_labels(images: &RecordBatch, labels: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([("image", images.column(0).clone()), ("label", labels)]).unwrap()
}

/// A label that is wrong in a twentieth of the rows.
fn flipped(row: usize, label: i64) -> i64 {
    let mut random = Random::new(9, row as u64);
    if random.unit() < 0.05 { (label + 1 + (random.bits() % 9) as i64) % 10 } else { label }
}

fn run(
    watch: &LabelWatch,
    table: &RecordBatch,
    spec: FeatureSpec,
    rows: usize,
    threads: usize,
) -> Result<LabelReport, String> {
    let parts = (0..table.num_rows()).step_by(rows).map(|at| table.slice(at, rows.min(table.num_rows() - at)));
    let parts: Vec<_> = parts.map(Ok).collect();
    let engine = Engine::new(EngineOptions::backend(Backend::Cpu).with_threads(threads)).unwrap();
    let options = StreamOptions::default().with_observer(Box::new(watch.clone()));
    let reader = RecordBatchIterator::new(parts, table.schema());
    let mut stream = Featurizer::new(engine, spec).stream_with(reader, options).unwrap();
    stream.try_for_each(|batch| batch.map(drop)).map_err(|error| error.to_string())?;
    Ok(watch.report().unwrap())
}

fn spec(features: &str) -> FeatureSpec {
    FeatureSpec::default().with_features(features.parse().unwrap())
}

#[test]
fn wrong_labels_are_found_and_right_ones_are_not() {
    let judged = |label: fn(usize, i64) -> i64| {
        run(&LabelWatch::new("label"), &relabelled(600, label), spec("gradients"), 512, 2).unwrap()
    };
    let clean = judged(|_, label| label);
    assert_eq!((clean.rows, clean.left_out, clean.sampled, clean.rare, clean.folds), (600, 0, 600, 0, 5));
    assert!(clean.noise < 0.005 && clean.suspicious < 5 && clean.accuracy > 0.99, "{clean}");

    let noisy = judged(flipped);
    let digits = Digits::new(600, 1, 600).next().unwrap().unwrap();
    let actual = digits.column_by_name("label").unwrap().as_primitive::<Int64Type>().values().to_vec();
    let wrong = actual.iter().enumerate().filter(|(row, label)| flipped(*row, **label) != **label).count();
    assert!((20..40).contains(&wrong), "{wrong}");
    assert!((noisy.noise - wrong as f64 / 600.0).abs() < 0.01, "{wrong} of 600: {noisy}");
    let found: Vec<bool> = noisy
        .most_suspicious
        .iter()
        .map(|of| {
            let row = of.row as usize;
            assert_eq!(of.given, flipped(row, actual[row]).to_string());
            of.likely == actual[row].to_string()
        })
        .collect();
    assert_eq!(noisy.suspicious as usize, found.len());
    let right = found.iter().filter(|of| **of).count();
    assert!(right * 6 >= wrong * 5 && found.len() - right <= 3, "{right} of {wrong}, {} in all", found.len());
    assert!(found[..15].iter().all(|of| *of), "the worst come first");
    assert!(noisy.most_suspicious.is_sorted_by(|a, b| a.confidence <= b.confidence));
    let all: f64 = noisy.joint.iter().flatten().sum();
    assert!((all - 1.0).abs() < 1e-12, "{all}");
}

#[test]
fn batches_threads_and_layouts_do_not_show() {
    let table = relabelled(400, flipped);
    let judged = |rows, threads, layout| {
        let watch = LabelWatch::new("label").with_rows(300);
        run(&watch, &table, spec("zones:4x4,histogram:2").with_layout(layout), rows, threads).unwrap()
    };
    let whole = judged(512, 2, Layout::List);
    assert_eq!((whole.rows, whole.sampled + whole.rare), (400, 300));
    assert!(whole.suspicious > 0);
    let whole = whole.to_json().to_string();
    for (rows, threads, layout) in [(7, 1, Layout::List), (512, 1, Layout::Columns), (7, 2, Layout::Tensor)] {
        assert_eq!(
            judged(rows, threads, layout).to_json().to_string(),
            whole,
            "{rows} rows, {threads} threads, {layout}"
        );
    }
}

#[test]
fn labels_are_text_integers_booleans_and_dictionaries() {
    let table = relabelled(60, |row, _| (row % 2) as i64);
    let judged =
        |labels: ArrayRef| run(&LabelWatch::new("label"), &with_labels(&table, labels), spec("zones:2x2"), 25, 1);
    let rows = || (0..60).map(|row| (row % 10 != 3).then_some(row % 2));
    let text: Vec<Option<&str>> = rows().map(|of| of.map(|of| ["no", ""][of])).collect();
    let numbers = rows().map(|of| of.map(|of| [10, 9][of]));
    let arrays: [(ArrayRef, [&str; 2]); 4] = [
        (Arc::new(StringArray::from(text.clone())), ["", "no"]),
        (Arc::new(text.into_iter().collect::<DictionaryArray<Int32Type>>()), ["", "no"]),
        // By value, not by text.
        (Arc::new(numbers.collect::<Int64Array>()), ["9", "10"]),
        (Arc::new(rows().map(|of| of.map(|of| of == 0)).collect::<BooleanArray>()), ["false", "true"]),
    ];
    let mut accuracies = Vec::new();
    for (labels, classes) in arrays {
        let report = judged(labels).unwrap();
        assert_eq!(report.classes, classes);
        assert_eq!((report.rows, report.left_out, report.sampled), (54, 6, 54), "nulls are left out");
        if classes[0].is_empty() {
            assert!(report.to_string().contains("given no, likely \"\""), "{report}");
        }
        assert_eq!(report.confident.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        accuracies.push(report.accuracy);
    }
    assert_eq!(accuracies, [accuracies[0]; 4], "only the names differ");

    let error = judged(Arc::new(Float64Array::from(vec![1.0; 60]))).unwrap_err();
    assert!(error.ends_with("column `label` is Float64: labels are text, integers or booleans"), "{error}");
    let error = run(&LabelWatch::new("class"), &table, spec("zones:2x2"), 60, 1).unwrap_err();
    assert!(error.ends_with("no column `class`; there is `label`"), "{error}");
    let many = relabelled(1_001, |row, _| row as i64);
    let error = run(&LabelWatch::new("label"), &many, spec("zones:2x2"), 500, 1).unwrap_err();
    let expected = "label noise: `label` has more than 1,000 classes, too many to tell apart by 4 features";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn what_cannot_be_judged_is_counted() {
    // Four rows are too few for five folds.
    let table = relabelled(100, |row, label| if row < 4 { 77 } else { label % 2 });
    let report = run(&LabelWatch::new("label"), &table, spec("zones:2x2"), 50, 1).unwrap();
    assert_eq!((report.rows, report.sampled, report.rare), (100, 96, 4));
    assert_eq!(report.classes, ["0", "1"]);

    let one = relabelled(20, |_, _| 3);
    let report = run(&LabelWatch::new("label"), &one, spec("zones:2x2"), 20, 1).unwrap();
    assert_eq!((report.folds, report.rows, &report.to_json()["noise"]), (0, 20, &Value::Null));
    assert_eq!(report.to_string(), "label noise of label is not known: fewer than two classes have enough rows");

    // The sums of some images are beyond f32.
    let pixels = (0..40).flat_map(|row| [if row % 8 == 0 { 3e38 } else { row as f32 }; 4]);
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let images = FixedSizeListArray::new(item, 4, Arc::new(pixels.collect::<Float32Array>()), None);
    let labels: ArrayRef = Arc::new((0..40).map(|row| row / 20).collect::<Int64Array>());
    let table = RecordBatch::try_from_iter([("image", Arc::new(images) as ArrayRef), ("label", labels)]).unwrap();
    let float = FeatureSpec::new("2x2".parse().unwrap()).with_pixel_type(Some(PixelType::F32)).with_scale(Some(1.0));
    let report = run(&LabelWatch::new("label"), &table, float, 16, 1).unwrap();
    assert_eq!((report.rows, report.left_out), (35, 5));
}

#[test]
fn the_programs_write_and_tell_what_labels_are_suspicious() {
    let place = Place::new();
    place.file("clean.ndjson", images(0));
    let told = place.done(&["clean.ndjson", "--label", "label", "--label-report", "clean.json"]);
    assert!(told.contains("label noise of label: 0.00 % estimated; 0 of 60 rows are suspicious"), "{told}");
    place.file("noisy.ndjson", images(1));
    let args = ["noisy.ndjson", "--label", "label", "--label-report", "noisy.json"];
    let told = place.done(&args);
    let line = "noisy.ndjson: row 17: given dark, likely light, probability of dark 0.0";
    assert!(told.contains("1 of 60 rows are suspicious") && told.contains(line), "{told}");
    let report = place.report("noisy.json");
    assert_eq!((&report["sampled"], &report["suspicious"]), (&60.into(), &1.into()));
    assert_eq!(report["confident"][0][1], 1);
    let worst = &report["most_suspicious"][0];
    assert_eq!((&worst["file"], &worst["row"]), (&"noisy.ndjson".into(), &17.into()));
    let output =
        example("check").args(args).args(["--features", "profiles"]).current_dir(place.path("")).output().unwrap();
    assert!(output.status.success() && text(&output.stdout).contains(line), "{}", text(&output.stdout));
    assert_eq!(place.report("noisy.json"), report);
    let usage = place.run(&["noisy.ndjson", "--label-report", "none.json"]);
    assert_eq!(usage.status.code(), Some(2), "{}", text(&usage.stderr));
}

/// Sixty lines of images, dark and light ones, of which one may have the wrong label.
fn images(wrong: usize) -> String {
    let line = |row: usize| {
        let is_light = row % 2 == 1;
        let label = if is_light && !(wrong > 0 && row == 17) { "light" } else { "dark" };
        let shade = 50 + 100 * usize::from(is_light) + row % 7;
        format!("{{\"image\": [[{shade}, {shade}], [{shade}, {}]], \"label\": \"{label}\"}}\n", shade + row % 3)
    };
    (0..60).map(line).collect()
}

#[test]
fn images_of_another_size_are_judged_if_they_have_as_many_features() {
    let place = Place::new();
    place.file("in.ndjson", images(0) + &"{\"image\": [[1, 2, 3]], \"label\": \"dark\"}\n".repeat(3));
    for (features, rows, left_out) in [("profiles", 60, 3), ("histogram:4", 63, 0)] {
        let label = ["--label", "label", "--label-report", "labels.json"];
        place.done(&[&["in.ndjson", "--ragged", "--features", features][..], &label].concat());
        let report = place.report("labels.json");
        assert_eq!((&report["rows"], &report["left_out"]), (&rows.into(), &left_out.into()), "{features}");
    }
}
