//! Lattice gradients of 8 and 16-bit pixels on a device: the WGSL, and how a record is laid out and read.

use super::cells::{DIRECTIONS, VALUES, Windows};
use crate::features::family::BlockGeometry;

pub(super) const SHADERS: &[&str] =
    &[include_str!("../../../shaders/gradients.wgsl"), include_str!("../../../shaders/gradients_finish.wgsl")];

/// Sums in a record.
pub(super) fn sums(block: &BlockGeometry) -> usize {
    block.channels * VALUES
}

/// The sums in the record of an image or band: a word each, or two if it is made of tiles.
pub(super) fn read(block: &BlockGeometry, record: &[u32]) -> Windows<u64> {
    let sum = |words: &[u32]| words.iter().rev().fold(0, |sum, &word| sum << 32 | u64::from(word));
    let words = if block.tiled { 2 } else { 1 };
    let windows = record.chunks_exact(words * DIRECTIONS);
    windows.map(|window| std::array::from_fn(|k| sum(&window[words * k..][..words]))).collect()
}
