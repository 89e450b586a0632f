//! The rows of a query into a file, by pixelfeat's writers.

use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use pixelfeat::io::{self, WriteOptions, Written};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

/// Writes the rows of a query to a file, in the format that its name tells: Parquet, Arrow IPC, NPY or CSV
/// ([`io::write`](pixelfeat::io::write())). The file appears only when it is complete. Rows come in the order in which the
/// partitions give them. Features and pixels become pages of Parquet faster than by `COPY`.
///
/// # Errors
/// Those of the query, and those of [`io::write`](pixelfeat::io::write()).
pub async fn write(query: DataFrame, path: impl AsRef<Path>, options: &WriteOptions) -> Result<Written> {
    let rows = Rows { batches: query.execute_stream().await?, runtime: Handle::current() };
    let (path, options) = (path.as_ref().to_owned(), options.clone());
    let written = spawn_blocking(move || io::write(path, rows, &options)).await;
    written.map_err(|error| DataFusionError::External(Box::new(error)))?.map_err(failed)
}

/// The error of the query, if it was one.
fn failed(error: pixelfeat::Error) -> DataFusionError {
    match error {
        pixelfeat::Error::Arrow(ArrowError::ExternalError(inner)) => match inner.downcast::<DataFusionError>() {
            Ok(of_query) => *of_query,
            Err(other) => DataFusionError::External(other),
        },
        other => DataFusionError::External(Box::new(other)),
    }
}

/// The batches of a query, for a thread that may wait for them.
struct Rows {
    batches: SendableRecordBatchStream,
    runtime: Handle,
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.runtime.block_on(self.batches.next())?;
        Some(batch.map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }
}

impl RecordBatchReader for Rows {
    fn schema(&self) -> SchemaRef {
        self.batches.schema()
    }
}
