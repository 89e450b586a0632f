//! Images in Parquet files, and their features as the crate computes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchIterator, new_null_array,
};
use datafusion::arrow::datatypes::{Field, Float32Type, Int64Type, Schema};
use pixelfeat::{DimensionOrder, Engine, EngineOptions, FeatureSet, FeatureSpec, Featurizer, io, synthetic};

/// Writes `files` files of `rows` digits each, numbered from 0 in the column `id`.
pub fn write(folder: &Path, files: u64, rows: u64) {
    std::fs::create_dir(folder).unwrap();
    for file in 0..files {
        let digits = synthetic::Digits::new(rows, file, rows as usize).next().unwrap().unwrap();
        let ids = Int64Array::from_iter_values((file * rows) as i64..((file + 1) * rows) as i64);
        let images = digits.column(0);
        write_rows(&folder.join(format!("{file}.parquet")), Arc::new(ids), plain(images), Arc::clone(images));
    }
}

/// Writes rows without images.
pub fn write_nulls(file: &Path, rows: u64) {
    let digits = synthetic::Digits::new(1, 0, 1).next().unwrap().unwrap();
    let ids = Int64Array::from_iter_values(0..rows as i64);
    let nulls = new_null_array(digits.column(0).data_type(), rows as usize);
    write_rows(file, Arc::new(ids), plain(&nulls), nulls);
}

/// Writes images of 14x14 pixels and 4 channels as tensors. Metadata alone says that each channel comes as a whole. Returns the
/// bits of their features.
pub fn write_tensors(file: &Path, rows: u64) -> BTreeMap<i64, Vec<u32>> {
    let digits = synthetic::Digits::new(rows, 0, rows as usize).next().unwrap().unwrap();
    let images = digits.column(0);
    let about = [
        ("ARROW:extension:name", "arrow.fixed_shape_tensor"),
        ("ARROW:extension:metadata", r#"{"shape":[4,14,14],"dim_names":["C","H","W"]}"#),
    ];
    let about = about.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let ids = Int64Array::from_iter_values(0..rows as i64);
    write_rows(file, Arc::new(ids), plain(images).with_metadata(about.into()), Arc::clone(images));
    let spec = FeatureSpec::new("14x14x4".parse().unwrap()).with_order(DimensionOrder::CHW);
    (0..).zip(features(spec, images)).collect()
}

fn plain(images: &ArrayRef) -> Field {
    Field::new("image", images.data_type().clone(), true)
}

fn write_rows(file: &Path, ids: ArrayRef, image: Field, images: ArrayRef) {
    let schema = Arc::new(Schema::new(vec![Field::new("id", ids.data_type().clone(), true), image]));
    let batch = RecordBatch::try_new(schema.clone(), vec![ids, images]).unwrap();
    io::write(file, RecordBatchIterator::new([Ok(batch)], schema), &io::WriteOptions::default()).unwrap();
}

/// The bits of the features of each digit that [`write`] has written.
pub fn expected(files: u64, rows: u64, set: &str) -> BTreeMap<i64, Vec<u32>> {
    let spec = FeatureSpec::default().with_features(set.parse::<FeatureSet>().unwrap());
    let digits = (0..files).flat_map(|file| synthetic::Digits::new(rows, file, rows as usize));
    (0..).zip(digits.flat_map(|digits| features(spec.clone(), digits.unwrap().column(0)))).collect()
}

/// The bits of the features as the crate computes them.
fn features(spec: FeatureSpec, images: &ArrayRef) -> Vec<Vec<u32>> {
    let featurizer = Featurizer::new(Engine::new(EngineOptions::default()).unwrap(), spec);
    let features = featurizer.featurize(images).unwrap();
    (0..features.list().len()).map(|row| bits(&features.list().value(row))).collect()
}

/// The bits of the column `features` of Parquet files, by the column `id`. Each row has to be there once.
pub fn read(folder: &Path) -> BTreeMap<i64, Vec<u32>> {
    let mut rows = BTreeMap::new();
    for batch in io::open(folder, &io::ReadOptions::default()).unwrap() {
        let batch = batch.unwrap();
        let column = |name| batch.column_by_name(name).unwrap();
        let (ids, features) = (column("id").as_primitive::<Int64Type>(), column("features").as_fixed_size_list());
        for row in 0..batch.num_rows() {
            let before = rows.insert(ids.value(row), bits(&features.value(row)));
            assert!(before.is_none(), "row {} is there twice", ids.value(row));
        }
    }
    rows
}

fn bits(values: &ArrayRef) -> Vec<u32> {
    values.as_primitive::<Float32Type>().values().iter().map(|value| value.to_bits()).collect()
}
