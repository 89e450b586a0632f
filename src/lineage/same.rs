//! Whether two tables hold the same rows, and which are the first that differ.

use arrow_array::{RecordBatch, RecordBatchReader};

use super::canonical::Named;
use super::digest::{Digest, DigestBuilder};
use super::rows::{RowDigest, is_data};
use crate::base::error::{Error, Result};

/// What [`Comparison::of`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Comparison {
    /// The digests of both tables.
    pub digests: [Digest; 2],
    /// The columns that only one of them has. If there is any, rows are not compared one by one.
    pub only_in: [Vec<String>; 2],
    /// How many places have different rows; rows that only one table has at its end count as well.
    pub different_rows: u64,
    /// The first of them.
    pub first: Vec<Difference>,
}

/// A place at which two tables have different rows.
#[derive(Debug)]
#[non_exhaustive]
pub struct Difference {
    /// The row, from 0.
    pub row: u64,
    /// The columns whose values differ, by name; all of them if one table has ended.
    pub columns: Vec<String>,
    /// The row in both tables, as batches of one row; `None` where a table has ended.
    pub values: [Option<RecordBatch>; 2],
}

impl Comparison {
    /// Reads two tables in step and remembers at most `limit` differences.
    ///
    /// Rows are the same if their digests are ([`Digest`] says what these cover), so tables of other formats and layouts can be
    /// the same. Memory holds a batch of each.
    ///
    /// # Errors
    /// As [`DigestBuilder::new`]; every error that a reader yields.
    pub fn of(a: impl RecordBatchReader, b: impl RecordBatchReader, limit: usize) -> Result<Self> {
        let names = [names(&a), names(&b)];
        let missing = |here: &[String], there: &[String]| here.iter().filter(|n| !there.contains(n)).cloned().collect();
        let only_in = [missing(&names[0], &names[1]), missing(&names[1], &names[0])];
        let has_rows = names[0] == names[1];
        let (mut a, mut b) = (Side::new(a)?, Side::new(b)?);
        let (mut row, mut different_rows, mut first) = (0, 0, Vec::new());
        loop {
            let rows = match (a.fill()?, b.fill()?) {
                (0, 0) => break,
                (0, rows) | (rows, 0) => rows,
                (of_a, of_b) => of_a.min(of_b),
            };
            for at in 0..rows {
                if a.digest(at) == b.digest(at) {
                    continue;
                }
                different_rows += 1;
                if has_rows && first.len() < limit {
                    let values = [a.row(at), b.row(at)];
                    first.push(Difference { row: row + at as u64, columns: different(&values)?, values });
                }
            }
            a.skip(rows);
            b.skip(rows);
            row += rows as u64;
        }
        Ok(Self { digests: [a.digests.digest(), b.digests.digest()], only_in, different_rows, first })
    }

    /// Whether both hold the same rows in the same order.
    pub fn is_same(&self) -> bool {
        self.digests[0] == self.digests[1]
    }

    /// Whether both hold the same rows, but not in the same order.
    pub fn is_other_order(&self) -> bool {
        !self.is_same() && self.digests[0].has_rows_of(&self.digests[1])
    }
}

/// The names of the columns, in their order.
fn names(reader: &impl RecordBatchReader) -> Vec<String> {
    let schema = reader.schema();
    let mut names: Vec<_> = schema.fields().iter().filter(|f| is_data(f)).map(|f| f.name().clone()).collect();
    names.sort();
    names
}

/// The columns whose values differ between batches of one row.
fn different(values: &[Option<RecordBatch>; 2]) -> Result<Vec<String>> {
    let columns = |batch: &RecordBatch| {
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns()).filter(|(field, _)| is_data(field));
        let bytes = columns.map(|(field, column)| {
            let mut bytes = Vec::new();
            Named::new([(field.name(), column.as_ref())])?.write(0, &mut bytes);
            Ok((field.name().clone(), bytes))
        });
        let mut columns = bytes.collect::<Result<Vec<_>>>()?;
        columns.sort();
        Ok::<_, Error>(columns)
    };
    Ok(match values {
        [Some(a), Some(b)] => {
            let pairs = columns(a)?.into_iter().zip(columns(b)?);
            pairs.filter(|(a, b)| a != b).map(|((name, _), _)| name).collect()
        }
        [one, other] => match one.as_ref().or(other.as_ref()) {
            Some(batch) => columns(batch)?.into_iter().map(|(name, _)| name).collect(),
            None => Vec::new(),
        },
    })
}

/// One of the tables, on the way through it.
struct Side<R> {
    reader: R,
    digests: DigestBuilder,
    batch: Option<RecordBatch>,
    of_rows: Vec<RowDigest>,
    /// Rows of the batch that are done with.
    done: usize,
}

impl<R: RecordBatchReader> Side<R> {
    fn new(reader: R) -> Result<Self> {
        let digests = DigestBuilder::new(&reader.schema())?;
        Ok(Self { reader, digests, batch: None, of_rows: Vec::new(), done: 0 })
    }

    /// Reads a batch if there are no rows left of the last one; returns how many rows there are, 0 at the end.
    fn fill(&mut self) -> Result<usize> {
        while self.done == self.of_rows.len() {
            let Some(batch) = self.reader.next() else { return Ok(0) };
            let batch = batch.map_err(Error::from)?;
            self.of_rows.clear();
            self.of_rows.extend_from_slice(self.digests.add(&batch)?);
            (self.batch, self.done) = (Some(batch), 0);
        }
        Ok(self.of_rows.len() - self.done)
    }

    fn digest(&self, at: usize) -> Option<&RowDigest> {
        self.of_rows.get(self.done + at)
    }

    fn row(&self, at: usize) -> Option<RecordBatch> {
        let at = self.done + at;
        self.batch.as_ref().filter(|batch| at < batch.num_rows()).map(|batch| batch.slice(at, 1))
    }

    fn skip(&mut self, rows: usize) {
        self.done = (self.done + rows).min(self.of_rows.len());
    }
}
