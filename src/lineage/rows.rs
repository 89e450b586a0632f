//! The digests of rows, in parallel.

use arrow_array::RecordBatch;
use arrow_schema::Field;
use rayon::prelude::*;

use super::canonical::Named;
use super::lanes::{self, BLOCK, LANES};
use crate::base::error::Result;
use crate::images::defect::DEFECTS_OF;

/// The digest of one row.
pub type RowDigest = [u8; 32];

/// Bytes of rows that a thread takes at a time, about: enough to be worth waking it.
const PART_BYTES: usize = 64 << 10;
/// Rows that a thread takes at a time, at most.
const MAX_ROWS: usize = 1024;

/// Whether a column is one of the table, and not what a reader has to say of its images.
pub(super) fn is_data(field: &Field) -> bool {
    !field.metadata().contains_key(DEFECTS_OF)
}

/// Puts the digest of each row of a batch into `digests`.
pub fn digest(batch: &RecordBatch, digests: &mut Vec<RowDigest>) -> Result<()> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    let columns = columns.filter(|(field, _)| is_data(field));
    let named = Named::new(columns.map(|(field, column)| (field.name(), column.as_ref())))?;
    digests.clear();
    digests.resize(batch.num_rows(), [0; 32]);
    if digests.is_empty() {
        return Ok(());
    }
    let mut first = Vec::new();
    named.write(0, &mut first);
    // Rows that lanes cannot take need not wait for others.
    let together = if first.len() <= lanes::MAX_BYTES { LANES } else { 1 };
    let rows = (PART_BYTES / first.len().max(1)).clamp(1, MAX_ROWS).next_multiple_of(together);
    let hash = |(part, digests): (usize, &mut [RowDigest])| {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let mut row = part * rows;
        for digests in digests.chunks_mut(together) {
            bytes.clear();
            ends.clear();
            for _ in 0..digests.len() {
                named.write(row, &mut bytes);
                // Only whole blocks can be hashed beside others.
                bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
                ends.push(bytes.len());
                row += 1;
            }
            hash_each(&bytes, &ends, digests);
        }
    };
    if batch.num_rows() <= rows {
        hash((0, digests));
    } else {
        digests.par_chunks_mut(rows).enumerate().for_each(hash);
    }
    Ok(())
}

/// Hashes messages that stand one behind another and end at `ends`.
fn hash_each(bytes: &[u8], ends: &[usize], digests: &mut [RowDigest]) {
    let mut start = 0;
    let mut next = |&end: &usize| &bytes[std::mem::replace(&mut start, end)..end];
    match (<&[usize; LANES]>::try_from(ends), <&mut [RowDigest; LANES]>::try_from(&mut *digests)) {
        (Ok(ends), Ok(digests)) if lanes::are_worth(ends) => lanes::hash(&ends.each_ref().map(next), digests),
        _ => ends.iter().zip(digests).for_each(|(end, digest)| *digest = *blake3::hash(next(end)).as_bytes()),
    }
}
