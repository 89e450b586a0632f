//! The file that is being read, and the batches of it.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::RowGroupMetaData;

use super::arrow_reader::{ArrowReader, guarded};
use super::buffers::BufferPool;
use super::damaged;
use super::image_column::LeafColumn;
use super::shared_file::SharedFile;
use crate::base::error::Result;

/// A file that is being read: what all threads know of it.
pub struct FileContext {
    pub name: String,
    pub file: SharedFile,
    pub metadata: ArrowReaderMetadata,
    pub schema: SchemaRef,
    /// The column that is read from its pages, if there is one.
    pub paged: Option<LeafColumn>,
    /// The decoded bytes of a row, about.
    pub row_bytes: usize,
    /// The maximum rows of a batch.
    pub batch_rows: usize,
    /// Buffers of values that were decoded from pages.
    pub pool: Arc<BufferPool>,
    /// Buffers of decompressed pages.
    pub pages: Arc<BufferPool>,
}

impl FileContext {
    pub fn row_group(&self, group: usize) -> &RowGroupMetaData {
        self.metadata.metadata().row_group(group)
    }

    /// Reads some columns of a row group from a row on.
    pub fn arrow_reader(&self, group: usize, columns: ProjectionMask, first_row: usize) -> Result<ArrowReader> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
            .with_row_groups(vec![group])
            .with_projection(columns)
            .with_offset(first_row);
        self.build(builder)
    }

    pub fn build(&self, builder: ParquetRecordBatchReaderBuilder<SharedFile>) -> Result<ArrowReader> {
        let builder = builder.with_batch_size(self.batch_rows);
        let reader = guarded(&self.name, || builder.build())?.map_err(|e| damaged(&self.name, &e))?;
        Ok(ArrowReader { reader, name: self.name.clone() })
    }

    /// A batch of all columns that the Arrow reader made, with the schema of the file.
    pub fn whole_batch(&self, batch: Result<RecordBatch>) -> Result<RecordBatch> {
        let batch = batch?;
        // The Arrow reader's schema lacks the metadata of the file.
        RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec()).map_err(|e| damaged(&self.name, &e))
    }

    /// A batch of a column that was read from its pages and the other columns, in the file's order.
    pub fn with_paged(&self, column: &LeafColumn, values: ArrayRef, others: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = others.columns().to_vec();
        columns.insert(column.root, values);
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| damaged(&self.name, &e))
    }

    /// Slices of about the same size, of at most `batch_rows` rows each.
    pub fn cut(&self, batch: &RecordBatch) -> Vec<RecordBatch> {
        let rows = batch.num_rows();
        let size = rows.div_ceil(rows.div_ceil(self.batch_rows).max(1)).max(1);
        (0..rows).step_by(size).map(|at| batch.slice(at, size.min(rows - at))).collect()
    }
}
