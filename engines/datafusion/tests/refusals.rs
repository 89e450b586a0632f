//! What the functions refuse when a query is planned, and in which words.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, new_null_array};
use arrow_schema::{DataType, Field};

use datafusion::prelude::SessionContext;

use crate::{batch, context, put, refusal, rows};

/// Columns of every type that a test names.
fn columns() -> Vec<(Field, ArrayRef)> {
    let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
    let tensors = DataType::Struct(
        vec![Field::new("data", list(DataType::UInt8), true), Field::new("shape", list(DataType::Int64), true)].into(),
    );
    let file = DataType::Struct(vec![Field::new("bytes", DataType::Binary, true)].into());
    let fixed = DataType::FixedSizeList(Arc::new(Field::new("item", DataType::UInt8, true)), 784);
    let types = [
        ("image", fixed),
        ("bytes", DataType::Binary),
        ("file", file),
        ("tensors", tensors),
        ("label", DataType::Int64),
        ("name", DataType::Utf8),
    ];
    types.into_iter().map(|(name, of)| (Field::new(name, of.clone(), true), new_null_array(&of, 1))).collect()
}

/// Why a query cannot be planned.
async fn plan_refusal(context: &SessionContext, sql: &str) -> String {
    let plan = async { context.sql(sql).await?.create_physical_plan().await };
    match plan.await {
        Ok(_) => panic!("{sql} has a plan"),
        Err(error) => error.strip_backtrace(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_are_errors_that_name_them() {
    let context = context(2, 8192);
    put(&context, "t", &batch(columns()), 1, 1);
    for (call, why) in [
        ("pixel_features()", "pixel_features takes image, shape, [features], [options], not 0 arguments"),
        ("pixel_features(image)", "pixel_features takes image, shape, [features], [options], not 1 arguments"),
        ("pixel_mean(image, '28x28', NULL, NULL)", "pixel_mean takes image, shape, [options], not 4 arguments"),
        ("pixel_features(image, name)", "pixel_features: the argument shape is not a literal. It is: The shape"),
        ("pixel_features(image, NULL)", "pixel_features: the argument shape is NULL"),
        ("pixel_features(image, 28)", "pixel_features: the argument shape is Int64, not text"),
        ("pixel_features(image, '28')", "the argument shape is wrong: `28` is not HxW or HxWxC, as in 28x28"),
        ("pixel_features(image, '28x28', 'profile')", "features is wrong: `profile` is none of profiles, histogram"),
        ("pixel_features(image, '28x28', name)", "pixel_features: the argument features is not a literal"),
        ("pixel_features(image, '28x28', NULL, 'raw')", "options is wrong: `raw` is no name with = and a value"),
        ("pixel_features(image, '28x28', NULL, 'a=b')", "`a` is none of encoding, order, pixel_type and scale"),
        ("pixel_features(image, '28x28', NULL, 'encoding=png')", "options is wrong: encoding: `png` is not raw or"),
        ("pixel_features(image, '28x28', NULL, 'order=x')", "options is wrong: order: `x` is not hw, hwc, chw or"),
        ("pixel_features(image, '28x28', NULL, 'scale=x')", "options is wrong: scale: `x` is not a number"),
        ("pixel_features(image, '28x28', NULL, 'scale=0')", "pixel_features: scale: "),
        ("pixel_features(image, '28x28', NULL, 'encoding=encoded')", "encoded images were declared"),
        ("pixel_features(file, '28x28', NULL, 'encoding=raw')", "raw pixels were declared, its images are encoded"),
        ("pixel_features(bytes, '28x28', NULL, 'pixel_type=u16')", "raw bytes are u8 pixels, not u16"),
        ("pixel_features(label, '28x28')", "pixel_features: the argument image is Int64: images are lists of numbers"),
        ("pixel_defect(name, '28x28')", "pixel_defect: the argument image is Utf8: images are lists of numbers"),
        ("pixel_features(image, '32x32')", "784 values are no image of 32x32"),
        ("pixel_features(tensors, '28x28')", "does not tell the order of its dimensions: name it, as in 'order=hwc'"),
        ("pixel_augment(image, '28x28', 'hflip', 1)", "pixel_augment takes image, shape, pipeline, id, epoch, [seed]"),
        ("pixel_augment(image, '28x28', 'flip', 1, 0)", "pipeline is wrong: at character 1: `flip` is not gray"),
        ("pixel_augment(image, '28x28', name, 1, 0)", "pixel_augment: the argument pipeline is not a literal"),
        ("pixel_augment(image, '28x28', 'crop(40x40)', 1, 0)", "pixel_augment: "),
        (
            "pixel_augment(image, '28x28', 'hflip', name, 0)",
            "pixel_augment: the argument id is Utf8. It is: The numbers",
        ),
        ("pixel_augment(image, '28x28', 'hflip', 1, '0')", "pixel_augment: the argument epoch is Utf8"),
        ("pixel_augment(image, '28x28', 'hflip', 1, -1)", "pixel_augment: the argument epoch: "),
        ("pixel_augment(image, '28x28', 'hflip', CAST(NULL AS INT), 0)", "the argument id is NULL in some rows"),
        ("pixel_augment(image, '28x28', 'hflip', 1, 0, -1)", "the argument seed is -1, not a whole number from 0 on"),
        ("pixel_augment(image, '28x28', 'hflip', 1, 0, label)", "the argument seed is not a literal"),
        ("pixel_augment(image, '28x28', 'hflip', 1, 0, 0, 'scale=1')", "options is wrong: scale is for features"),
        ("pixel_profile(image)", "pixel_profile takes image, shape, [features], [options], not 1 arguments"),
        ("pixel_profile(label, '28x28')", "pixel_profile: the argument image is Int64"),
        ("pixel_profile(image, name)", "pixel_profile: the argument shape is not a literal"),
        ("pixel_profile(image, '32x32')", "784 values are no image of 32x32"),
        ("pixel_profile(DISTINCT image, '28x28')", "pixel_profile takes no DISTINCT"),
    ] {
        let sql = format!("SELECT {call} FROM t");
        // What needs no rows is checked before any row is read.
        let error = match ["the argument epoch: ", "NULL in some rows"].iter().any(|of_rows| why.contains(of_rows)) {
            true => refusal(&context, &sql).await,
            false => plan_refusal(&context, &sql).await,
        };
        assert!(error.contains(why), "{call}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_can_be_named() {
    let context = context(1, 8192);
    put(&context, "t", &batch(columns()), 1, 1);
    let sql = "SELECT pixel_features(image => bytes, shape => '28x28', features => NULL, options => 'encoding=encoded') FROM t";
    assert_eq!(rows(&context, sql).await.unwrap().num_rows(), 1);
    let error = refusal(&context, "SELECT pixel_features(image, size => '28x28') FROM t").await;
    assert!(error.contains("Unknown parameter name 'size'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_explain_themselves() {
    let context = context(1, 8192);
    let sql = "SELECT count(*) FROM information_schema.routines WHERE routine_name LIKE 'pixel\\_%' AND description IS NOT NULL";
    let found = rows(&context, sql).await.unwrap();
    assert_eq!(found.column(0).as_primitive::<Int64Type>().value(0), 6);
}
