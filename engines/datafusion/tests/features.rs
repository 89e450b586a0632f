//! Features, means, deviations and defects of columns of all kinds.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field};
use pixelfeat::{Engine, EngineOptions, FeatureSpec, Features, Featurizer, synthetic};

use crate::{batch, context, put, rows};

/// Drawn digits.
fn digits(rows: u64) -> ArrayRef {
    let batch = synthetic::Digits::new(rows, 1, rows as usize).next().unwrap().unwrap();
    batch.column(0).clone()
}

fn crates_own(spec: FeatureSpec, field: &Field, images: &dyn Array) -> Features {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    Featurizer::new(engine, spec).featurize_column(field, images).unwrap()
}

fn numbered(field: Field, images: ArrayRef) -> RecordBatch {
    let numbers = Arc::new(Int64Array::from_iter_values(0..images.len() as i64));
    batch([(field, images), (Field::new("n", DataType::Int64, false), numbers)])
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_those_of_the_crate() {
    let images = digits(300);
    let field = Field::new("image", images.data_type().clone(), true);
    let own = crates_own(FeatureSpec::new("28x28".parse().unwrap()), &field, &images);
    let table = numbered(field, images);
    for (partitions, batch_rows) in [(1, 8192), (2, 7), (3, 1), (4, 64)] {
        let context = context(partitions, batch_rows);
        put(&context, "digits", &table, partitions, batch_rows);
        let sql = "SELECT pixel_features(image, '28x28') AS f, pixel_mean(image, '28x28') AS m FROM digits ORDER BY n";
        let found = rows(&context, sql).await.unwrap();
        assert_eq!(found.column(0).to_data(), own.list().to_data(), "{partitions} partitions");
        assert_eq!(found.column(1).to_data(), own.column("pixel_mean").unwrap().to_data());
    }
}
