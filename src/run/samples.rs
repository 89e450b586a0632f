//! Which samples the rows of a batch are, and batches cut so that samples which are mixed stay together.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};

use crate::base::error::{Error, Result};
use crate::base::select::concat_batches;
use crate::stages::{MIX_WINDOW, Samples};

/// The column of the number of each sample.
pub const SAMPLE_ID: &str = "sample_id";
/// The column of the epoch of each row.
pub const EPOCH: &str = "epoch";

/// Fails if a schema numbers samples or epochs by something else than integers.
pub(crate) fn check_numbers(schema: &Schema) -> Result<()> {
    for option in [SAMPLE_ID, EPOCH] {
        if let Some((_, field)) = schema.column_with_name(option)
            && !field.data_type().is_integer()
        {
            let why =
                format!("it is a column of {}, but samples and epochs are numbered by integers", field.data_type());
            return Err(Error::InvalidOption { option, why });
        }
    }
    Ok(())
}

/// The samples of a batch, by its columns `sample_id` and `epoch` if it has them. Otherwise the number of a sample is that
/// of its row in the whole input, and the epoch is 0.
pub(crate) fn samples(batch: &RecordBatch, seed: u64, first_row: u64) -> Result<Samples> {
    let numbers = |name| batch.column_by_name(name).map(|column| whole_numbers(name, column)).transpose();
    let epochs = numbers(EPOCH)?.map(|epochs| epochs.iter().map(|epoch| *epoch as u32).collect());
    Ok(Samples { seed, first_row, ids: numbers(SAMPLE_ID)?.map(Arc::from), epochs, log: None })
}

/// The epoch of a batch's first row, if it has one.
pub(crate) fn epoch_of(batch: &RecordBatch) -> Option<u64> {
    let column = batch.column_by_name(EPOCH).filter(|column| !column.is_empty())?;
    whole_numbers(EPOCH, &column.slice(0, 1)).ok()?.first().copied()
}

/// The numbers of a column of integers, which has no null.
pub(crate) fn whole_numbers(option: &'static str, column: &dyn Array) -> Result<Vec<u64>> {
    if column.null_count() > 0 {
        return Err(Error::InvalidOption { option, why: "a number is null".to_owned() });
    }
    macro_rules! of {
        ($($Type:ident => $Arrow:ty,)*) => {
            match column.data_type() {
                $(DataType::$Type => {
                    // Numbers below 0 are as good as any others.
                    column.as_primitive::<$Arrow>().values().iter().map(|number| *number as u64).collect()
                })*
                other => {
                    let why = format!("it is a column of {other}, not of integers");
                    return Err(Error::InvalidOption { option, why });
                }
            }
        };
    }
    Ok(of! {
        Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
        UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type,
    })
}

/// A reader whose batches end where windows of samples that are mixed end: after whole windows, or with the epoch.
pub(crate) struct Windows<R> {
    reader: R,
    /// Rows of a window that has not come in whole.
    held: Option<RecordBatch>,
    /// What comes next, as it belongs to another epoch.
    next: Option<RecordBatch>,
    ended: bool,
}

impl<R: RecordBatchReader> Windows<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, held: None, next: None, ended: false }
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let batch = match self.next.take() {
                Some(batch) => Some(batch),
                None if self.ended => return Ok(self.held.take()),
                None => self.reader.next().transpose().map_err(Error::from)?,
            };
            let Some(batch) = batch else {
                self.ended = true;
                continue;
            };
            if batch.num_rows() == 0 {
                return Ok(Some(batch));
            }
            let all = match self.held.take() {
                Some(held) => concat_batches(held.schema_ref(), [&held, &batch]).map_err(Error::from)?,
                None => batch,
            };
            // The rows of the first epoch that is there.
            let of_epoch = match all.column_by_name(EPOCH) {
                Some(column) => {
                    let epochs = whole_numbers(EPOCH, column)?;
                    epochs.iter().take_while(|epoch| **epoch == epochs[0]).count()
                }
                None => all.num_rows(),
            };
            if of_epoch < all.num_rows() {
                self.next = Some(all.slice(of_epoch, all.num_rows() - of_epoch));
                return Ok(Some(all.slice(0, of_epoch)));
            }
            let whole = all.num_rows() / MIX_WINDOW * MIX_WINDOW;
            if whole < all.num_rows() {
                self.held = Some(all.slice(whole, all.num_rows() - whole));
            }
            if whole > 0 {
                return Ok(Some(all.slice(0, whole)));
            }
        }
    }
}

impl<R: RecordBatchReader> Iterator for Windows<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().map_err(ArrowError::from).transpose()
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Windows<R> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}
