//! Whether the claims of a message can be true, before memory is allocated for them.

use arrow_ipc::{BodyCompression, CompressionType, RecordBatch};

/// The maximum rows of a batch whose columns take no memory, as columns of nulls.
const MAX_FREE_ROWS: u64 = 1 << 20;
/// A byte of LZ4 becomes 255 bytes at most, 4 bytes of zstd a block of 128 KiB.
const LZ4_RATIO: u64 = 255;
const ZSTD_RATIO: u64 = 128 << 10 >> 2;
/// What even an empty frame may claim.
const MIN_CLAIM: u64 = 128 << 10;

/// Checks the header of a batch, or of a dictionary's, against its body.
///
/// # Errors
/// What is wrong.
pub fn check(batch: RecordBatch<'_>, body: &[u8]) -> Result<(), String> {
    let mut bytes = 0u64;
    for (at, buffer) in batch.buffers().into_iter().flatten().enumerate() {
        let range = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let found = range.and_then(|(start, len)| body.get(start..start.checked_add(len)?));
        let found = found.ok_or_else(|| format!("buffer {at} lies outside its body of {} bytes", body.len()))?;
        bytes = bytes.saturating_add(match batch.compression() {
            Some(compression) => uncompressed(found, compression, at)?,
            None => found.len() as u64,
        });
    }
    for (at, node) in batch.nodes().into_iter().flatten().enumerate() {
        if node.length() < 0 || !(0..=node.length()).contains(&node.null_count()) {
            return Err(format!("column {at} claims {} nulls of {} values", node.null_count(), node.length()));
        }
    }
    let rows = u64::try_from(batch.length()).map_err(|_| format!("it claims {} rows", batch.length()))?;
    match rows > MAX_FREE_ROWS.max(bytes.saturating_mul(8)) {
        true => Err(format!("it claims {rows} rows, and its buffers have {bytes} bytes")),
        false => Ok(()),
    }
}

/// The size that a compressed buffer claims to have.
fn uncompressed(buffer: &[u8], compression: BodyCompression<'_>, at: usize) -> Result<u64, String> {
    let Some((claim, data)) = buffer.split_first_chunk() else {
        return match buffer.is_empty() {
            true => Ok(0),
            false => Err(format!("buffer {at} is compressed and has only {} bytes", buffer.len())),
        };
    };
    let ratio = if compression.codec() == CompressionType::LZ4_FRAME { LZ4_RATIO } else { ZSTD_RATIO };
    let len = data.len() as u64;
    match i64::from_le_bytes(*claim) {
        -1 => Ok(len),
        claim @ 0.. if (claim as u64) <= len.saturating_mul(ratio).max(MIN_CLAIM) => Ok(claim as u64),
        claim => Err(format!("buffer {at} claims that its {len} bytes become {claim}")),
    }
}
