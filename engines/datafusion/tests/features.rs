//! Features, means, deviations and defects of columns of all kinds.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt8Type};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Int64Array, StructArray, UInt8Array, UInt16Array, UInt32Array};
use arrow_schema::{DataType, Field};
use datafusion::arrow::compute::{cast, concat};
use pixelfeat::{DimensionOrder, Encoding, FeatureSpec, Features, PixelType};

use crate::{batch, bmp, context, digits, featurizer, put, refusal, rows};

const ROWS: usize = 40;

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// The images of `digits` as bytes; each fifth is null and each seventh too short.
fn binary(digits: &FixedSizeListArray) -> ArrayRef {
    let mut bytes = BinaryBuilder::new();
    for row in 0..digits.len() {
        let image = digits.value(row);
        let image: &[u8] = image.as_primitive::<UInt8Type>().values();
        match row {
            row if row % 5 == 4 => bytes.append_null(),
            row if row % 7 == 6 => bytes.append_value(&image[1..]),
            _ => bytes.append_value(image),
        }
    }
    Arc::new(bytes.finish())
}

/// The images of `digits` as columns of many types, with what the types leave open.
fn kinds(digits: &FixedSizeListArray) -> Vec<(Field, ArrayRef, FeatureSpec)> {
    let spec = || FeatureSpec::new("28x28".parse().unwrap());
    let raw = || spec().with_encoding(Encoding::Raw);
    let as_type = |to: DataType| cast(digits, &to).unwrap();
    let wide = {
        // A pixel that no u8 holds, in two rows.
        let values = digits.values().as_primitive::<UInt8Type>().values().iter().enumerate();
        let values = values.map(|(at, &pixel)| if at % 20_000 == 300 { 256 } else { i64::from(pixel) });
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let values = Arc::new(Int64Array::from_iter_values(values));
        Arc::new(FixedSizeListArray::new(item, 784, values, None)) as ArrayRef
    };
    let bytes = binary(digits);
    let of_bytes = |to: DataType| cast(&bytes, &to).unwrap();
    let whole = cast(digits.values(), &DataType::UInt8).unwrap();
    let whole = whole.as_primitive::<UInt8Type>().values().inner().clone();
    let side = || Arc::new(UInt32Array::from(vec![28; digits.len()])) as ArrayRef;
    let channel = Arc::new(UInt16Array::from(vec![1; digits.len()])) as ArrayRef;
    let field = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    let data = as_type(list(DataType::UInt8));
    let sides = StructArray::from(vec![
        (field("data", &data), data.clone()),
        (field("height", &side()), side()),
        (field("width", &side()), side()),
        (field("channel", &channel), channel),
    ]);
    let column = |name: &str, array: ArrayRef, spec| (Field::new(name, array.data_type().clone(), true), array, spec);
    vec![
        column("fixed_u8", Arc::new(digits.clone()), spec()),
        column("list_u8", as_type(list(DataType::UInt8)), spec()),
        column("list_u16", as_type(list(DataType::UInt16)), spec()),
        column("list_f32", as_type(list(DataType::Float32)), spec()),
        column("list_i64", cast(&wide, &list(DataType::Int64)).unwrap(), spec()),
        column("binary", bytes.clone(), raw()),
        column("large_binary", of_bytes(DataType::LargeBinary), raw()),
        column("binary_view", of_bytes(DataType::BinaryView), raw()),
        column("fixed_bytes", Arc::new(arrow_array::FixedSizeBinaryArray::new(784, whole, None)), spec()),
        column(
            "dictionary",
            of_bytes(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary))),
            raw(),
        ),
        column("sides", Arc::new(sides), spec()),
        column("nulls", arrow_array::new_null_array(&DataType::Null, digits.len()), spec()),
    ]
}

fn crates_own(spec: &FeatureSpec, field: &Field, images: &dyn Array) -> Features {
    featurizer(spec.clone()).featurize_column(field, images).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_all_kinds_have_the_features_that_the_crate_computes() {
    let kinds = kinds(digits(ROWS).as_fixed_size_list());
    let numbers = Arc::new(Int64Array::from_iter_values(0..ROWS as i64)) as ArrayRef;
    let columns = kinds.iter().map(|(field, array, _)| (field.clone(), array.clone()));
    let table = batch(columns.chain([(Field::new("n", DataType::Int64, false), numbers)]));
    let select = kinds.iter().map(|(field, ..)| {
        let name = field.name();
        format!(
            "pixel_features({name}, '28x28', 'profiles,histogram:8') AS f_{name}, pixel_mean({name}, '28x28') AS m_{name}, \
             pixel_std({name}, '28x28') AS s_{name}, pixel_defect({name}, '28x28') AS d_{name}"
        )
    });
    let sql = format!("SELECT {} FROM digits ORDER BY n", select.collect::<Vec<_>>().join(", "));
    for (partitions, batch_rows) in [(1, 8192), (1, 1), (2, 7), (3, 1), (4, 8192), (4, 7)] {
        let context = context(partitions, batch_rows);
        put(&context, "digits", &table, partitions, batch_rows);
        let found = rows(&context, &sql).await.unwrap();
        for (field, images, spec) in &kinds {
            let about = format!("{} in {partitions} partitions by {batch_rows}", field.name());
            let spec = spec.clone().with_features("profiles,histogram:8".parse().unwrap());
            let own = crates_own(&spec, field, images);
            let column = |prefix: &str| found.column_by_name(&format!("{prefix}_{}", field.name())).unwrap();
            assert!(column("f").to_data() == own.list().to_data(), "{about}");
            assert!(column("m").to_data() == own.column("pixel_mean").unwrap().to_data(), "{about}");
            assert!(column("s").to_data() == own.column("pixel_std").unwrap().to_data(), "{about}");
            let mut reasons = vec![None; ROWS];
            own.defects().iter().for_each(|d| reasons[d.row] = Some(format!("{}: {}", d.reason.name(), d.detail)));
            let told: Vec<_> = column("d").as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect();
            assert_eq!(told, reasons, "{about}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_is_read_in_the_order_that_its_metadata_names() {
    let values: Vec<u8> = (0..2 * 3 * 4 * 5).map(|i| (i * 7 % 251) as u8).collect();
    let item = Arc::new(Field::new("item", DataType::UInt8, true));
    let images = Arc::new(FixedSizeListArray::new(item, 60, Arc::new(UInt8Array::from(values)), None)) as ArrayRef;
    let about = HashMap::from([
        ("ARROW:extension:name".to_owned(), "arrow.fixed_shape_tensor".to_owned()),
        ("ARROW:extension:metadata".to_owned(), r#"{"shape":[3,4,5],"dim_names":["C","H","W"]}"#.to_owned()),
    ]);
    let plain = Field::new("image", images.data_type().clone(), true);
    let tensor = plain.clone().with_metadata(about);
    let spec = FeatureSpec::new("4x5x3".parse().unwrap());
    let by_channel = crates_own(&spec.clone().with_order(DimensionOrder::CHW), &plain, &images);
    let by_pixel = crates_own(&spec, &plain, &images);
    assert_ne!(by_channel.list_values(), by_pixel.list_values());

    let context = context(1, 1);
    put(&context, "tensors", &batch([(tensor, images.clone())]), 1, 1);
    put(&context, "lists", &batch([(plain, images)]), 1, 1);
    let features = async |from: &str, options: &str| {
        let sql = format!("SELECT pixel_features(image, '4x5x3', NULL, {options}) FROM {from}");
        let found = rows(&context, &sql).await.unwrap();
        found.column(0).as_fixed_size_list().values().as_primitive::<Float32Type>().values().to_vec()
    };
    assert_eq!(features("tensors", "NULL").await, by_channel.list_values());
    assert_eq!(features("lists", "NULL").await, by_pixel.list_values());
    assert_eq!(features("lists", "'order=chw'").await, by_channel.list_values());
    let error = refusal(&context, "SELECT pixel_features(image, '4x5x3', NULL, 'order=hwc') FROM tensors").await;
    assert!(error.contains("the order hwc was declared, its metadata says chw"), "{error}");

    // Parquet keeps the metadata, DataFusion drops it unless told otherwise.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tensors.parquet");
    rows(&context, &format!("COPY tensors TO '{}'", path.display())).await.unwrap();
    for (skip, expected) in [(true, &by_pixel), (false, &by_channel)] {
        rows(&context, &format!("SET datafusion.execution.parquet.skip_metadata = {skip}")).await.unwrap();
        let name = format!("parquet_{skip}");
        let sql = format!("CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{}'", path.display());
        rows(&context, &sql).await.unwrap();
        assert_eq!(features(&name, "NULL").await, expected.list_values(), "skip_metadata = {skip}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_from_parquet_are_views_and_give_the_same() {
    let images = binary(digits(ROWS).as_fixed_size_list());
    let field = Field::new("image", DataType::Binary, true);
    let own = crates_own(&FeatureSpec::new("28x28".parse().unwrap()).with_encoding(Encoding::Raw), &field, &images);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.parquet").display().to_string();
    let context = context(1, 16);
    put(&context, "digits", &batch([(field, images)]), 1, 16);
    rows(&context, &format!("COPY digits TO '{path}'")).await.unwrap();
    context.register_parquet("parquet", &path, Default::default()).await.unwrap();
    let sql = "SELECT arrow_typeof(image) AS t, pixel_features(image, '28x28') AS f FROM parquet";
    let found = rows(&context, sql).await.unwrap();
    assert_eq!(found.column(0).as_string::<i32>().value(0), "BinaryView");
    assert!(found.column(1).to_data() == own.list().to_data());
}

#[tokio::test(flavor = "multi_thread")]
async fn encoded_images_are_decoded_where_they_are_declared() {
    let mut images = BinaryBuilder::new();
    for row in 0..20u8 {
        match row % 4 {
            3 => images.append_value(b"no image"),
            _ => images.append_value(bmp(3, 4, |at| (at as u8).wrapping_mul(row))),
        }
    }
    let images = Arc::new(images.finish()) as ArrayRef;
    let field = Field::new("image", DataType::Binary, true);
    let spec = FeatureSpec::new("3x4x3".parse().unwrap());
    let own = crates_own(&spec.with_encoding(Encoding::Encoded).with_pixel_type(PixelType::U8), &field, &images);
    assert_eq!(own.defects().len(), 5);
    for (partitions, batch_rows) in [(1, 8192), (4, 1)] {
        let context = context(partitions, batch_rows);
        let numbers = Arc::new(Int64Array::from_iter_values(0..20)) as ArrayRef;
        let columns = [(field.clone(), images.clone()), (Field::new("n", DataType::Int64, false), numbers)];
        put(&context, "photos", &batch(columns), 1, 8192);
        let sql = "SELECT pixel_features(image, '3x4x3', NULL, 'encoding=encoded'), \
                   pixel_defect(image, '3x4x3', NULL, 'encoding=encoded') FROM photos ORDER BY n";
        let found = rows(&context, sql).await.unwrap();
        assert!(found.column(0).to_data() == own.list().to_data());
        let told = found.column(1).as_string::<i32>();
        assert!(told.value(3).starts_with("undecodable: "), "{}", told.value(3));
        // Not declared, bytes are pixels.
        let raw = rows(&context, "SELECT pixel_defect(image, '3x4x3') FROM photos ORDER BY n").await.unwrap();
        assert_eq!(raw.column(0).as_string::<i32>().value(0), own_raw(&field, &images));
    }
}

fn own_raw(field: &Field, images: &ArrayRef) -> String {
    let spec = FeatureSpec::new("3x4x3".parse().unwrap()).with_encoding(Encoding::Raw);
    let own = crates_own(&spec, field, images);
    format!("{}: {}", own.defects()[0].reason.name(), own.defects()[0].detail)
}

#[tokio::test(flavor = "multi_thread")]
async fn constants_and_tables_without_rows_have_features_too() {
    let context = context(2, 8192);
    let found = rows(
        &context,
        "SELECT pixel_mean(X'000000ff', '2x2') AS mean, pixel_defect(X'00', '2x2') AS short, \
         pixel_features(NULL, '2x2') AS none, pixel_defect(NULL, '2x2') AS why FROM pixelfeat_digits(3)",
    )
    .await
    .unwrap();
    assert_eq!(found.num_rows(), 3);
    assert_eq!(found.column(0).as_primitive::<Float32Type>().value(2), 63.75);
    assert!(found.column(1).as_string::<i32>().value(2).starts_with("wrong_length: "));
    assert_eq!((found.column(2).null_count(), found.column(2).as_fixed_size_list().value_length()), (3, 8));
    assert_eq!(found.column(3).as_string::<i32>().value(2), "null_image: null");

    let sql = "SELECT pixel_features(image, '28x28') AS f FROM pixelfeat_digits(0)";
    let found = rows(&context, sql).await.unwrap();
    assert_eq!((found.num_rows(), found.column(0).as_fixed_size_list().value_length()), (0, 60));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_without_rows_are_fine() {
    let images = digits(3);
    let field = Field::new("image", images.data_type().clone(), true);
    let table = batch([(field, concat(&[&images]).unwrap())]);
    let context = context(1, 8192);
    let parts = vec![vec![table.slice(0, 0), table.clone(), table.slice(3, 0)], vec![table.slice(0, 0)]];
    let table = datafusion::datasource::MemTable::try_new(table.schema(), parts).unwrap();
    context.register_table("digits", Arc::new(table)).unwrap();
    let sql = "SELECT pixel_features(image, '28x28') FROM digits";
    assert_eq!(rows(&context, sql).await.unwrap().num_rows(), 3);
}
