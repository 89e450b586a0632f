//! Profiles as an aggregate.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch, RecordBatchIterator};
use arrow_schema::Field;
use datafusion::arrow::compute::filter_record_batch;
use pixelfeat::quality::{Profile, Profiler};
use pixelfeat::{FeatureSpec, StreamOptions, synthetic};

use crate::{batch, context, featurizer, put, rows};

const ROWS: u64 = 120;

fn table() -> RecordBatch {
    synthetic::Digits::new(ROWS, 3, ROWS as usize).next().unwrap().unwrap()
}

/// The profile that a run of the crate makes of the images of a table.
fn crates_own(table: &RecordBatch, features: &str) -> String {
    let images = table.column(0).clone();
    let images = batch([(Field::new("image", images.data_type().clone(), true), images)]);
    let profiler = Profiler::new(None);
    let reader = RecordBatchIterator::new([Ok(images.clone())], images.schema());
    let spec = FeatureSpec::new("28x28".parse().unwrap()).with_features(features.parse().unwrap());
    let options = StreamOptions::default().with_observer(Box::new(profiler.clone()));
    featurizer(spec).stream_with(reader, options).unwrap().for_each(|batch| drop(batch.unwrap()));
    text(&profiler.profile())
}

fn text(profile: &Profile) -> String {
    let mut text = Vec::new();
    profile.write_json(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_partitions_gives_the_profile_of_the_crate() {
    let table = table();
    for features in ["profiles", "gradients,histogram:4"] {
        let own = crates_own(&table, features);
        for (partitions, batch_rows) in [(1, 8192), (2, 7), (4, 50)] {
            let context = context(partitions, batch_rows);
            put(&context, "digits", &table, partitions, batch_rows);
            let sql = format!("SELECT pixel_profile(image, '28x28', '{features}') FROM digits");
            let found = rows(&context, &sql).await.unwrap();
            assert_eq!(found.column(0).as_string::<i64>().value(0), own, "{partitions} partitions by {batch_rows}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_filters_and_tables_without_rows_have_profiles() {
    let table = table();
    let context = context(3, 10);
    put(&context, "digits", &table, 3, 10);
    let sql = "SELECT label, pixel_profile(image, '28x28') FROM digits GROUP BY label";
    let found = rows(&context, sql).await.unwrap();
    let labels = found.column(0).as_primitive::<Int64Type>().values();
    let texts = found.column(1).as_string::<i64>();
    let by_label: BTreeMap<i64, &str> = labels.iter().copied().zip(texts.iter().flatten()).collect();
    assert_eq!(by_label.len(), 10);
    for (label, found) in by_label {
        let keep = table.column(1).as_primitive::<Int64Type>().iter().map(|of| Some(of == Some(label))).collect();
        assert_eq!(found, crates_own(&filter_record_batch(&table, &keep).unwrap(), "profiles"), "{label}");
    }
    let sql = "SELECT pixel_profile(image, '28x28') FILTER (WHERE label > 9) FROM digits";
    let found = rows(&context, sql).await.unwrap();
    assert_eq!(found.column(0).as_string::<i64>().value(0), text(&Profile::default()));
    let read = Profile::from_json(&serde_json::from_str(texts.value(0)).unwrap()).unwrap();
    assert!((1..ROWS).contains(&read.rows()) && read.images().is_some() && !texts.is_null(0));
}
