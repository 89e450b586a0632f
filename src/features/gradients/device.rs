//! Lattice gradients of 8 and 16-bit pixels on a device: the WGSL, and how a record is read.

use super::cells::{DIRECTIONS, Windows};
use crate::features::family::BlockGeometry;

pub(super) const SHADERS: &[&str] =
    &[include_str!("../../../shaders/gradients.wgsl"), include_str!("../../../shaders/gradients_finish.wgsl")];

/// The sums in the record of an image or band.
pub(super) fn read(block: &BlockGeometry, record: &[u32]) -> Windows<u64> {
    let sums: Vec<u64> = block.sums(record).collect();
    sums.as_chunks::<DIRECTIONS>().0.to_vec()
}
