//! Tables through the library and through the program, in one binary.

mod concurrent;
mod damaged;
mod program;
mod tables;
mod types;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{Field, Schema};
use pixelfeat::lineage::{Digest, Digesting};
use pixelfeat::{
    BoxedReader, Engine, EngineOptions, FeatureSet, FeatureSpec, FeatureStream, Featurizer, io, synthetic,
};
use pixelfeat_delta::{Committed, Mode, Result, Table, TableOptions, write};

/// The features of drawn digits.
fn features(rows: u64, seed: u64, set: &str) -> FeatureStream {
    let spec = FeatureSpec::default().with_features(set.parse::<FeatureSet>().unwrap());
    let engine = Engine::new(EngineOptions::default()).unwrap();
    Featurizer::new(engine, spec).stream(synthetic::Digits::new(rows, seed, 64)).unwrap()
}

/// Rows of the named columns.
fn rows(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> BoxedReader {
    let (fields, arrays): (Vec<_>, Vec<_>) =
        columns.into_iter().map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    Box::new(RecordBatchIterator::new([Ok(batch)], schema))
}

fn numbers(values: &[i64]) -> BoxedReader {
    rows([("n", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)])
}

fn put(table: &Path, mode: Mode, reader: impl RecordBatchReader) -> Result<Committed> {
    let rows = Digesting::new(reader)?;
    let digest = rows.handle();
    let about = io::WriteOptions::default().with_footer(move || Ok(vec![digest.pair()]));
    write(table, rows, &TableOptions::new(mode).with_write(about))
}

fn read(table: &Path, version: Option<u64>) -> Result<Vec<RecordBatch>> {
    let reader = Table::open(table, version)?.read(&io::ReadOptions::default())?;
    Ok(reader.collect::<std::result::Result<_, _>>()?)
}

fn digest(table: &Path, version: Option<u64>) -> Digest {
    Digest::of(Table::open(table, version).unwrap().read(&io::ReadOptions::default()).unwrap()).unwrap()
}

/// The names in a folder, without those of the log.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "_delta_log");
    names.sort();
    names
}
