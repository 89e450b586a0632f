//! A random sample of rows, in the order of the input.

use std::collections::BinaryHeap;

use arrow_array::{RecordBatch, UInt32Array};

use crate::base::error::{Error, Result};
use crate::base::random::Random;
use crate::base::select::{concat_batches, take_batch};

/// Each row gets a random number that depends only on the seed and the row. The rows with the smallest numbers are the sample.
/// Up to twice as many rows are held in memory.
pub struct Sample {
    wanted: usize,
    seed: u64,
    /// The random numbers of the rows that are kept, with the rows so that no two are equal; the largest is on top.
    kept: BinaryHeap<(u64, u64)>,
    /// Rows that are or were kept, with their numbers.
    held: Vec<(RecordBatch, Vec<(u64, u64)>)>,
    rows_held: usize,
}

impl Sample {
    pub fn new(wanted: usize, seed: u64) -> Self {
        Self { wanted, seed, kept: BinaryHeap::new(), held: Vec::new(), rows_held: 0 }
    }

    /// Takes the next rows of the input into account; the first is row `first`.
    pub fn add(&mut self, first: u64, batch: &RecordBatch) -> Result<()> {
        let (mut picked, mut numbers) = (Vec::new(), Vec::new());
        for (at, row) in (first..).take(batch.num_rows()).enumerate() {
            let number = (Random::new(self.seed, row).bits(), row);
            if self.kept.len() == self.wanted {
                match self.kept.peek() {
                    Some(&largest) if number < largest => self.kept.pop(),
                    _ => continue,
                };
            }
            self.kept.push(number);
            picked.push(at as u32);
            numbers.push(number);
        }
        if picked.is_empty() {
            return Ok(());
        }
        self.rows_held += picked.len();
        self.held.push((take(batch, picked)?, numbers));
        if self.rows_held > self.wanted.saturating_mul(2) { self.tidy() } else { Ok(()) }
    }

    /// Drops the rows that are no longer in the sample.
    fn tidy(&mut self) -> Result<()> {
        let Some(&largest) = self.kept.peek() else { return Ok(()) };
        for (batch, numbers) in &mut self.held {
            let still: Vec<u32> = (0..).zip(&*numbers).filter(|(_, n)| **n <= largest).map(|(at, _)| at).collect();
            if still.len() < numbers.len() {
                *batch = take(batch, still)?;
                numbers.retain(|number| *number <= largest);
            }
        }
        self.held.retain(|(batch, _)| batch.num_rows() > 0);
        self.rows_held = self.held.iter().map(|(batch, _)| batch.num_rows()).sum();
        Ok(())
    }

    /// The sample in the order of the input: batches of up to `batch_rows` rows, and the number of each row in the input.
    pub fn finish(mut self, batch_rows: usize) -> Result<(Vec<RecordBatch>, Vec<u64>)> {
        self.tidy()?;
        let rows = self.held.iter().flat_map(|(_, numbers)| numbers.iter().map(|(_, row)| *row)).collect();
        let (mut batches, mut parts, mut in_parts) = (Vec::new(), Vec::new(), 0);
        let mut held = self.held.into_iter().map(|(batch, _)| batch).peekable();
        while let Some(batch) = held.next() {
            in_parts += batch.num_rows();
            parts.push(batch);
            if held.peek().is_none_or(|next| in_parts + next.num_rows() > batch_rows) {
                batches.push(concat_batches(parts[0].schema_ref(), &parts).map_err(Error::from)?);
                parts.clear();
                in_parts = 0;
            }
        }
        Ok((batches, rows))
    }
}

fn take(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch> {
    take_batch(batch, &UInt32Array::from(rows)).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use std::sync::Arc;

    fn drawn(rows: i64, batch_rows: usize, wanted: usize, seed: u64) -> Vec<i64> {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("row", column)]).unwrap();
        let mut sample = Sample::new(wanted, seed);
        for at in (0..rows as usize).step_by(batch_rows) {
            sample.add(at as u64, &batch.slice(at, batch_rows.min(rows as usize - at))).unwrap();
            assert!(sample.rows_held <= wanted.saturating_mul(2));
        }
        let mut drawn = Vec::new();
        let (batches, numbers) = sample.finish(batch_rows).unwrap();
        for batch in batches {
            assert!((1..=batch_rows).contains(&batch.num_rows()));
            drawn.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
        }
        assert_eq!(drawn, numbers.iter().map(|&n| n as i64).collect::<Vec<_>>());
        drawn
    }

    #[test]
    fn a_sample_depends_on_the_seed_and_the_rows_alone() {
        let sample = drawn(10_000, 1_000, 100, 1);
        assert_eq!(sample.len(), 100);
        assert!(sample.is_sorted_by(|a, b| a < b));
        for batch_rows in [1, 7, 333, 10_000] {
            assert_eq!(drawn(10_000, batch_rows, 100, 1), sample);
        }
        assert_ne!(drawn(10_000, 1_000, 100, 2), sample);
        assert_eq!(drawn(10, 3, 100, 1), (0..10).collect::<Vec<_>>());
        assert_eq!(drawn(10, 3, usize::MAX, 1), (0..10).collect::<Vec<_>>());
        assert_eq!(drawn(10, 3, 0, 1), Vec::<i64>::new());
    }

    #[test]
    fn every_row_is_as_likely_as_another() {
        let mut times = vec![0; 50];
        for seed in 0..4_000 {
            drawn(50, 8, 10, seed).into_iter().for_each(|row| times[row as usize] += 1);
        }
        // 800 each, with a deviation of 25.
        assert!(times.iter().all(|&n| (675..925).contains(&n)), "{times:?}");
    }
}
