//! Batches: what every reader of a file yields.

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use crate::base::error::Result;

/// The batches of one file.
pub type Batches = Box<dyn RecordBatchReader + Send>;

/// Changes each batch; the results have the schema `schema`.
pub fn changed(
    batches: Batches,
    schema: SchemaRef,
    mut change: impl FnMut(RecordBatch) -> Result<RecordBatch> + Send + 'static,
) -> Batches {
    made(schema, batches.map(move |batch| change(batch?).map_err(ArrowError::from)))
}

/// The batches of an iterator, which have the schema `schema`. After an error there are no more.
pub fn made(
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
) -> Batches {
    let until_error = batches.scan(false, |failed, batch| {
        let ended = std::mem::replace(failed, batch.is_err());
        (!ended).then_some(batch)
    });
    Box::new(RecordBatchIterator::new(until_error, schema))
}
