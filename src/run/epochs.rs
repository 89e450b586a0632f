//! An input that is read once an epoch, with the numbers of its samples.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader, UInt32Array, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use crate::base::error::{Error, Result};
use crate::base::philox::{Stream, operation_key};
use crate::base::select::{concat_batches, take_batch};
use crate::run::samples::{EPOCH, SAMPLE_ID};

/// A reader that can be sent to a thread.
pub type BoxedReader = Box<dyn RecordBatchReader + Send>;

/// Epochs of an input, one after the other: a reader whose rows also have the columns `sample_id` and `epoch`.
///
/// The number of a sample is that of its row in the input, from 0, unless the input has an integer column `sample_id`. What
/// a run draws depends on the two columns, so that epoch 7 on its own gives what it gives in a whole run.
///
/// ```
/// use pixelfeat::{Engine, EngineOptions, Epochs, FeatureSpec, Featurizer, KeepImage, synthetic};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let spec = FeatureSpec::default()
///     .with_stages("crop(pad=4),hflip(0.5)".parse()?)
///     .with_seed(7)
///     .with_keep_image(KeepImage::Tensor);
/// let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, spec);
/// // Three epochs of 1,000 digits, each in an order of its own.
/// let epochs = Epochs::new(0..3, |_| Ok(Box::new(synthetic::Digits::new(1_000, 1, 100))))?.shuffled(7, 4_096);
/// let rows: usize = featurizer.stream(epochs)?.map(|batch| batch.map_or(0, |batch| batch.num_rows())).sum();
/// assert_eq!(rows, 3_000);
/// # Ok(())
/// # }
/// ```
pub struct Epochs {
    open: Box<dyn FnMut(u32) -> Result<BoxedReader> + Send>,
    left: Range<u32>,
    schema: SchemaRef,
    /// Whether the input numbers its samples itself.
    numbered: bool,
    current: Option<Current>,
    shuffle: Option<Shuffle>,
}

/// The epoch that is being read.
struct Current {
    epoch: u32,
    reader: BoxedReader,
    /// Rows read.
    rows: u64,
    /// Batches of the block that is being filled.
    block: Vec<RecordBatch>,
    /// Blocks that were shuffled.
    blocks: u64,
}

/// Rows change places within blocks of so many.
#[derive(Clone, Copy)]
struct Shuffle {
    seed: u64,
    rows: usize,
}

impl std::fmt::Debug for Epochs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epochs").field("schema", &self.schema).field("left", &self.left).finish_non_exhaustive()
    }
}

impl Epochs {
    /// Reads an input once for each epoch of a range. `open` opens it; it may give the rows in another order in each epoch,
    /// if the input numbers its samples itself.
    ///
    /// # Errors
    /// Those of `open`. [`Error::InvalidOption`] if the range is empty or samples are numbered by something else than
    /// integers. [`Error::ColumnTaken`] if the input has a column `epoch`.
    pub fn new(epochs: Range<u32>, mut open: impl FnMut(u32) -> Result<BoxedReader> + Send + 'static) -> Result<Self> {
        if epochs.is_empty() {
            let why = format!("{}..{} has no epoch", epochs.start, epochs.end);
            return Err(Error::InvalidOption { option: "epochs", why });
        }
        let current = Current::new(epochs.start, open(epochs.start)?);
        let input = current.reader.schema();
        if input.column_with_name(EPOCH).is_some() {
            return Err(Error::ColumnTaken { column: EPOCH.to_owned() });
        }
        let numbered = input.column_with_name(SAMPLE_ID).is_some();
        let mut fields = input.fields().to_vec();
        if !numbered {
            fields.push(Arc::new(Field::new(SAMPLE_ID, DataType::UInt64, false)));
        }
        fields.push(Arc::new(Field::new(EPOCH, DataType::UInt32, false)));
        let schema = Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()));
        let left = epochs.start + 1..epochs.end;
        Ok(Self { open: Box::new(open), left, schema, numbered, current: Some(current), shuffle: None })
    }

    /// Shuffles rows within blocks of `rows` rows that follow one another, by a permutation that the seed, the epoch and
    /// the number of the block decide. Memory holds one block and one batch. To mix rows that are farther apart, let `open`
    /// give files in another order in each epoch ([`permutation`]).
    #[must_use]
    pub fn shuffled(self, seed: u64, rows: usize) -> Self {
        Self { shuffle: Some(Shuffle { seed, rows: rows.max(1) }), ..self }
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.current.is_none() {
                let Some(epoch) = self.left.next() else { return Ok(None) };
                self.current = Some(Current::new(epoch, (self.open)(epoch)?));
            }
            let Some(current) = &mut self.current else { return Ok(None) };
            let next = match self.shuffle {
                None => current.read(&self.schema, self.numbered)?,
                Some(shuffle) => current.shuffled(&self.schema, self.numbered, shuffle)?,
            };
            if next.is_some() {
                return Ok(next);
            }
            self.current = None;
        }
    }
}

impl Current {
    fn new(epoch: u32, reader: BoxedReader) -> Self {
        Self { epoch, reader, rows: 0, block: Vec::new(), blocks: 0 }
    }

    /// The next batch, with the further columns.
    fn read(&mut self, schema: &SchemaRef, numbered: bool) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.reader.next().transpose().map_err(Error::from)? else { return Ok(None) };
        let rows = batch.num_rows();
        let mut columns = batch.columns().to_vec();
        if !numbered {
            columns.push(Arc::new(UInt64Array::from_iter_values(self.rows..self.rows + rows as u64)));
        }
        columns.push(Arc::new(UInt32Array::from_value(self.epoch, rows)));
        self.rows += rows as u64;
        RecordBatch::try_new(schema.clone(), columns).map(Some).map_err(Error::from)
    }

    /// The next block of rows in another order.
    fn shuffled(&mut self, schema: &SchemaRef, numbered: bool, shuffle: Shuffle) -> Result<Option<RecordBatch>> {
        let mut held: usize = self.block.iter().map(RecordBatch::num_rows).sum();
        while held < shuffle.rows
            && let Some(batch) = self.read(schema, numbered)?
        {
            held += batch.num_rows();
            self.block.push(batch);
        }
        if held == 0 {
            return Ok(None);
        }
        let all = concat_batches(schema, &self.block).map_err(Error::from)?;
        let rows = held.min(shuffle.rows);
        self.block = if held > rows { vec![all.slice(rows, held - rows)] } else { Vec::new() };
        let order = permutation(shuffle.seed, self.epoch, self.blocks, rows);
        self.blocks += 1;
        let order = UInt64Array::from_iter_values(order.into_iter().map(|row| row as u64));
        take_batch(&all, &order).map(Some).map_err(Error::from)
    }
}

/// The numbers from 0 to `n` − 1 in an order that a seed, an epoch and the number of a block decide: for files or parts of
/// files that [`Epochs`] is to read in another order in each epoch.
pub fn permutation(seed: u64, epoch: u32, block: u64, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let mut stream = Stream::new(operation_key(seed, epoch, "shuffle", 0), block);
    for last in (1..n).rev() {
        order.swap(last, stream.below(last as u32 + 1) as usize);
    }
    order
}

impl Iterator for Epochs {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance();
        if result.is_err() {
            (self.current, self.left) = (None, 0..0);
        }
        result.map_err(ArrowError::from).transpose()
    }
}

impl RecordBatchReader for Epochs {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
