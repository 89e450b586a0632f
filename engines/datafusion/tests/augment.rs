//! Versions of images.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, UInt32Array};
use arrow_schema::{DataType, Field};
use datafusion::arrow::compute::concat_batches;
use pixelfeat::{EPOCH, Encoding, FeatureSpec, KeepImage, PixelType, SAMPLE_ID};

use crate::{batch, bmp, context, digits, featurizer, put, rows};

const ROWS: usize = 30;

/// A table of images, ids that are not the numbers of rows, and epochs.
fn table(images: ArrayRef) -> RecordBatch {
    let ids = Arc::new(Int64Array::from_iter_values((0..images.len() as i64).map(|row| 1_000 - 7 * row)));
    let epochs = Arc::new(UInt32Array::from_iter_values((0..images.len() as u32).map(|row| row % 3)));
    batch([
        (Field::new("image", images.data_type().clone(), true), images),
        (Field::new(SAMPLE_ID, DataType::Int64, false), ids as ArrayRef),
        (Field::new(EPOCH, DataType::UInt32, false), epochs as ArrayRef),
    ])
}

/// The images that a run of the crate keeps.
fn crates_own(table: &RecordBatch, spec: FeatureSpec) -> ArrayRef {
    let reader = RecordBatchIterator::new([Ok(table.clone())], table.schema());
    let stream = featurizer(spec.with_keep_image(KeepImage::Tensor)).stream(reader).unwrap();
    let batches: Vec<_> = stream.map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap().column_by_name("image").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_those_of_the_crate_whatever_the_partitions() {
    let table = table(digits(ROWS));
    for pipeline in ["crop(pad=4),hflip(0.5),randaugment(2,9)", "affine(rotate=20),noise(3)", "resize(14x14),normalize"]
    {
        let spec = FeatureSpec::new("28x28".parse().unwrap()).with_stages(pipeline.parse().unwrap()).with_seed(5);
        let own = crates_own(&table, spec);
        for (partitions, batch_rows) in [(1, 8192), (3, 1), (4, 7)] {
            let context = context(partitions, batch_rows);
            put(&context, "digits", &table, partitions, batch_rows);
            let call = format!("pixel_augment(image, '28x28', '{pipeline}', sample_id, epoch, 5)");
            let sql =
                format!("SELECT {call} AS a, pixel_mean({call}, '14x14') AS m FROM digits ORDER BY sample_id DESC");
            let sql = if pipeline.starts_with("resize") { sql } else { sql.replace("'14x14'", "'28x28'") };
            let found = rows(&context, &sql).await.unwrap();
            assert!(found.column(0).to_data() == own.to_data(), "{pipeline} in {partitions} by {batch_rows}");
            // The images can be featurized as they come, and their type alone tells nothing else.
            assert_eq!((found.column(1).null_count(), found.schema().field(0).metadata().len()), (0, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_epoch_and_the_id_can_be_literals() {
    let images = digits(2);
    let table = table(images);
    let context = context(1, 8192);
    put(&context, "digits", &table, 1, 8192);
    let one = async |sql: &str| rows(&context, sql).await.unwrap().column(0).clone();
    let by_columns = "SELECT pixel_augment(image, '28x28', 'noise(9)', sample_id, epoch) FROM digits WHERE epoch = 1";
    let by_literals = "SELECT pixel_augment(image, '28x28', 'noise(9)', 993, 1) FROM digits WHERE epoch = 1";
    let of_epoch_2 = "SELECT pixel_augment(image, '28x28', 'noise(9)', 993, 2) FROM digits WHERE epoch = 1";
    assert!(one(by_columns).await.to_data() == one(by_literals).await.to_data());
    assert!(one(by_columns).await.to_data() != one(of_epoch_2).await.to_data());
    let constant = "SELECT pixel_augment(X'00010203', '2x2', 'hflip(1)', 1, 0) FROM digits";
    let mirrored = one(constant).await;
    assert_eq!(mirrored.len(), 2);
    assert_eq!(
        format!("{:?}", mirrored.as_fixed_size_list().value(1)),
        "PrimitiveArray<UInt8>\n[\n  1,\n  0,\n  3,\n  2,\n]"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn encoded_images_of_many_sizes_are_brought_to_one() {
    let mut images = BinaryBuilder::new();
    for row in 0..9usize {
        match row {
            4 => images.append_null(),
            _ => images.append_value(bmp(4 + row, 12 - row, |at| (at * 31 % 256) as u8)),
        }
    }
    let table = table(Arc::new(images.finish()));
    let spec =
        FeatureSpec::new("8x8x3".parse().unwrap()).with_encoding(Encoding::Encoded).with_pixel_type(PixelType::U8);
    let own = crates_own(&table, spec.with_stages("gray,resize(5x5)".parse().unwrap()));
    let context = context(3, 2);
    put(&context, "photos", &table, 3, 2);
    let call = "pixel_augment(image, '8x8x3', 'gray,resize(5x5)', sample_id, 0, 0, 'encoding=encoded')";
    let sql = format!("SELECT {call} AS a, pixel_mean({call}, '5x5') AS m FROM photos ORDER BY sample_id DESC");
    let found = rows(&context, &sql).await.unwrap();
    assert!(found.column(0).to_data() == own.to_data());
    let means = found.column(1).as_primitive::<Float32Type>();
    assert_eq!((means.null_count(), means.is_null(4)), (1, true));
}
