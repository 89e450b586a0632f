//! Real input against the reference arithmetic, where the data lies beside the clone.
#![cfg(all(feature = "json", feature = "parquet"))]

use std::io::Write;
use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_select::concat::concat_batches;
use pixelfeat::io::{self, ReadOptions};
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, Featurizer, PixelType};

fn data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let found = path.is_file();
    // Past the test harness, which would keep it to itself: a test that has nothing to do must say so.
    if !found {
        let _ = writeln!(std::io::stderr(), "{name} is not there: the tests of real input compare nothing");
    }
    found.then_some(path)
}

fn all(reader: impl RecordBatchReader) -> RecordBatch {
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    concat_batches(&schema, &batches).unwrap()
}

#[test]
fn mnist_features_are_within_a_millionth_of_numpys_and_the_same_on_every_backend() {
    let (Some(images), Some(reference)) =
        (data("mnist_handwritten_test.json.gz"), data("mnist_test_reference.parquet"))
    else {
        return;
    };
    let run = |engine: Engine| {
        let reader = io::open(&images, &ReadOptions::default()).unwrap();
        all(Featurizer::new(engine, FeatureSpec::default()).stream(reader).unwrap())
    };
    let cpu = run(Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap());
    if let Some(gpu) = crate::support::gpu() {
        assert!(run(gpu) == cpu, "the GPU's features are not the CPU's");
    }
    let reference = all(io::open(reference, &ReadOptions::default()).unwrap());
    assert_eq!((cpu.num_rows(), reference.num_rows()), (10_000, 10_000));
    let labels = |batch: &RecordBatch| batch.column_by_name("label").unwrap().as_primitive::<Int64Type>().clone();
    assert_eq!(labels(&cpu), labels(&reference));
    let mut largest = 0f32;
    let mut check = |got: &dyn Array, want: &dyn Array, scale: f32| {
        let (got, want) = (got.as_primitive::<Float32Type>(), want.as_primitive::<Float32Type>());
        assert_eq!((got.len(), got.null_count()), (want.len(), 0));
        for (got, want) in got.values().iter().zip(want.values()) {
            // A millionth of the value's own size, since sums of 28 rows and raw means are not near 1.
            largest = largest.max((got - want).abs() / want.abs().max(scale));
        }
    };
    let column = |batch: &RecordBatch, name: &str| batch.column_by_name(name).unwrap().clone();
    for name in ["pixel_mean", "pixel_std"] {
        check(&column(&cpu, name), &column(&reference, name), 1.0);
    }
    let features = column(&cpu, "features");
    let wanted = column(&reference, "features");
    let wanted = wanted.as_list::<i32>().values().clone();
    check(features.as_fixed_size_list().values(), &wanted, 1.0);
    println!("largest difference from the reference: {largest:e}");
    assert!(largest <= 1e-6, "{largest:e}");
}

#[test]
fn mnist_is_the_same_in_any_pixel_type_that_holds_it() {
    let Some(images) = data("mnist_handwritten_test.json.gz") else { return };
    let run = |pixel_type| {
        let options = ReadOptions::default().with_pixel_type(pixel_type);
        let spec = FeatureSpec::default().with_pixel_type(pixel_type).with_scale(255.0);
        let engine = Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap();
        all(Featurizer::new(engine, spec).stream(io::open(&images, &options).unwrap()).unwrap())
    };
    assert_eq!(run(PixelType::U8).columns(), run(PixelType::U16).columns());
}
