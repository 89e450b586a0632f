//! The columns beside the one that is read from its pages.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::schema::types::SchemaDescriptor;

use super::arrow_reader::ArrowReader;
use super::context::FileContext;
use super::damaged;
use super::image_column::LeafColumn;
use crate::base::error::Result;
use crate::base::select::concat_batches;

/// The columns of a row group other than the one that is read from its pages, by ranges of rows.
pub struct OtherColumns {
    schema: SchemaRef,
    /// `None` if there are none.
    reader: Option<ArrowReader>,
    /// Rows that are read and not yet taken.
    left: RecordBatch,
}

impl OtherColumns {
    pub fn open(context: &FileContext, paged: &LeafColumn, group: usize) -> Result<Self> {
        let columns: &SchemaDescriptor = context.metadata.parquet_schema();
        let mut fields = context.schema.fields().to_vec();
        fields.remove(paged.root);
        let reader = match fields.len() {
            0 => None,
            n => {
                let roots = (0..=n).filter(|&root| root != paged.root);
                Some(context.arrow_reader(group, ProjectionMask::roots(columns, roots), 0)?)
            }
        };
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { left: RecordBatch::new_empty(schema.clone()), schema, reader })
    }

    /// The columns of the next rows.
    pub fn take(&mut self, context: &FileContext, rows: usize) -> Result<RecordBatch> {
        let wrong = |e: ArrowError| damaged(&context.name, &e);
        let Some(reader) = &mut self.reader else {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            return RecordBatch::try_new_with_options(self.schema.clone(), Vec::new(), &options).map_err(wrong);
        };
        let (mut parts, mut missing) = (Vec::new(), rows);
        while missing > 0 {
            if self.left.num_rows() == 0 {
                let next = reader.next().ok_or_else(|| damaged(&context.name, &"its columns differ in length"))?;
                self.left = RecordBatch::try_new(self.schema.clone(), next?.columns().to_vec()).map_err(wrong)?;
            }
            let taken = missing.min(self.left.num_rows());
            parts.push(self.left.slice(0, taken));
            self.left = self.left.slice(taken, self.left.num_rows() - taken);
            missing -= taken;
        }
        if parts.len() == 1 { Ok(parts.remove(0)) } else { concat_batches(&self.schema, &parts).map_err(wrong) }
    }
}
