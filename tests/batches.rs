//! One batch in, one batch out.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, RecordBatchIterator};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use pixelfeat::quality::Profiler;
use pixelfeat::{
    Backend, DimensionOrder, Encoding, Engine, EngineOptions, Error, FeatureSpec, Featurizer, KeepImage, OnInvalid,
    PixelType, StreamOptions, synthetic,
};

fn featurizer(spec: FeatureSpec) -> Featurizer {
    Featurizer::new(Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap(), spec)
}

fn digits() -> RecordBatch {
    let digits = synthetic::Digits::new(40, 4, 40).next().unwrap().unwrap();
    let mut fields = digits.schema_ref().fields().to_vec();
    fields.push(Arc::new(Field::new("sample_id", DataType::Int64, false)));
    let ids = Arc::new(Int64Array::from_iter_values((0..40).map(|row| 500 - 3 * row))) as ArrayRef;
    let columns = digits.columns().iter().cloned().chain([ids]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// What a stream makes of a batch, and the profile of it.
fn streamed(spec: FeatureSpec, batch: &RecordBatch) -> (RecordBatch, String) {
    let profiler = Profiler::new(None);
    let options = StreamOptions::default().with_observer(Box::new(profiler.clone()));
    let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
    let batches: Vec<_> = featurizer(spec).stream_with(reader, options).unwrap().map(Result::unwrap).collect();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    (all, profiler.profile().to_json().to_string())
}

#[test]
fn a_batch_becomes_what_a_stream_makes_of_it() {
    let spec = FeatureSpec::default().with_seed(3).with_stages("crop(pad=4),hflip(0.5),noise(3)".parse().unwrap());
    let spec = spec.with_keep_image(KeepImage::Tensor);
    let mut profiler = Profiler::new(None);
    let found = featurizer(spec.clone()).featurize_batch(&digits(), Some(&mut profiler)).unwrap();
    let (expected, profile) = streamed(spec, &digits());
    assert!(found == expected);
    assert_eq!(profiler.profile().to_json().to_string(), profile);
}

#[test]
fn rows_without_features_stay_go_or_end_it() {
    let images: ArrayRef =
        Arc::new(BinaryArray::from(vec![Some(&[1u8, 2, 3, 4][..]), None, Some(&[1]), Some(&[9; 4])]));
    let field = Field::new("image", DataType::Binary, true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![images]).unwrap();
    let of = |on_invalid| {
        let spec = FeatureSpec::new("2x2".parse().unwrap()).with_on_invalid(on_invalid);
        featurizer(spec).featurize_batch(&batch, None)
    };
    let all = of(OnInvalid::Null).unwrap();
    assert_eq!((all.num_rows(), all.column_by_name("features").unwrap().null_count()), (4, 2));
    let valid = of(OnInvalid::Drop).unwrap();
    assert_eq!((valid.num_rows(), valid.column_by_name("features").unwrap().null_count()), (2, 0));
    assert!(matches!(of(OnInvalid::Error), Err(Error::InvalidRow { row: 1, .. })));
    let none = featurizer(FeatureSpec::new("2x2".parse().unwrap())).featurize_batch(&batch.slice(0, 0), None).unwrap();
    assert_eq!((none.num_rows(), none.schema()), (0, all.schema()));
    let missing = featurizer(FeatureSpec::default().with_image("other")).featurize_batch(&batch, None);
    assert!(matches!(missing, Err(Error::NoSuchColumn { .. })));
}

#[test]
fn what_is_left_to_the_rows_is_known() {
    // Some of the columns hold encoded images.
    if cfg!(not(feature = "image")) {
        return;
    }
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    let tensors = DataType::Struct(
        vec![Field::new("data", list(DataType::UInt8), true), Field::new("shape", list(DataType::UInt32), true)].into(),
    );
    let file = DataType::Struct(vec![Field::new("bytes", DataType::Binary, true)].into());
    let square = DataType::FixedSizeList(Arc::new(Field::new("item", DataType::UInt8, true)), 4);
    let open = FeatureSpec::default;
    let shaped = || FeatureSpec::new("2x2".parse().unwrap());
    for (data_type, spec, expected) in [
        (square, open(), false),
        (list(DataType::UInt8), open(), true),
        (list(DataType::UInt8), shaped(), false),
        (DataType::Binary, shaped(), true),
        (DataType::Binary, shaped().with_encoding(Encoding::Raw), false),
        (DataType::Binary, shaped().with_encoding(Encoding::Encoded), true),
        (DataType::Binary, shaped().with_encoding(Encoding::Encoded).with_pixel_type(PixelType::U8), false),
        (file, shaped(), true),
        (tensors.clone(), shaped(), true),
        (tensors, shaped().with_order(DimensionOrder::HW), false),
    ] {
        let field = Field::new("image", data_type, true);
        assert_eq!(featurizer(spec.clone()).needs_rows(&field).unwrap(), expected, "{field} as {spec:?}");
    }
    assert!(featurizer(shaped()).needs_rows(&Field::new("image", DataType::Utf8, true)).is_err());
}
