//! The functions in queries, and what they refuse, in one binary.

mod augment;
mod features;
mod profile;
mod program;
mod refusals;
mod tables;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, synthetic};

/// The images of drawn digits.
fn digits(rows: usize) -> ArrayRef {
    let batch = synthetic::Digits::new(rows as u64, 1, rows).next().unwrap().unwrap();
    batch.column(0).clone()
}

/// The crate's own.
fn featurizer(spec: FeatureSpec) -> Featurizer {
    Featurizer::new(Engine::new(EngineOptions::default()).unwrap(), spec)
}

/// An encoded image of three channels, of the given values by their places.
fn bmp(height: usize, width: usize, value: impl Fn(usize) -> u8) -> Vec<u8> {
    let row_bytes = (width * 3).next_multiple_of(4);
    let mut file = b"BM".to_vec();
    let header = [54 + row_bytes * height, 0, 54, 40, width, height, 1 | 24 << 16, 0, row_bytes * height, 0, 0, 0, 0];
    header.iter().for_each(|&number| file.extend((number as u32).to_le_bytes()));
    // The last row of pixels comes first, and blue before red.
    for row in (0..height).rev() {
        let mut pixels: Vec<u8> = (0..width * 3).map(|at| value(row * width * 3 + at / 3 * 3 + 2 - at % 3)).collect();
        pixels.resize(row_bytes, 0);
        file.extend(pixels);
    }
    file
}

/// A context with all functions.
fn context(partitions: usize, batch_rows: usize) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(batch_rows);
    let context = SessionContext::new_with_config(config.with_information_schema(true));
    pixelfeat_datafusion::register_all(&context);
    context
}

/// A batch of the named columns.
fn batch(columns: impl IntoIterator<Item = (Field, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Registers a table of the rows of a batch, cut into so many partitions and into batches of so many rows.
fn put(context: &SessionContext, name: &str, rows: &RecordBatch, partitions: usize, batch_rows: usize) {
    let per_partition = rows.num_rows().div_ceil(partitions).max(1);
    let cut = |rows: &RecordBatch, length: usize| -> Vec<RecordBatch> {
        let starts = (0..rows.num_rows()).step_by(length);
        starts.map(|start| rows.slice(start, length.min(rows.num_rows() - start))).collect()
    };
    let partitions = cut(rows, per_partition).iter().map(|part| cut(part, batch_rows)).collect();
    context.register_table(name, Arc::new(MemTable::try_new(rows.schema(), partitions).unwrap())).unwrap();
}

/// The rows of a query as one batch.
async fn rows(context: &SessionContext, sql: &str) -> Result<RecordBatch> {
    let frame = context.sql(sql).await?;
    let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    Ok(datafusion::arrow::compute::concat_batches(&schema, &batches)?)
}

/// Why a query fails.
async fn refusal(context: &SessionContext, sql: &str) -> String {
    match rows(context, sql).await {
        Ok(rows) => panic!("{sql} gives {} rows", rows.num_rows()),
        Err(error) => error.strip_backtrace(),
    }
}
