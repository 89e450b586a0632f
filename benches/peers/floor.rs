//! The least that any featurizer does: read every pixel, write every result.

use pixelfeat::{FeatureLayout, Pixel};
use rayon::prelude::*;

/// Reads all pixels and writes all of `results`, in parallel on the current rayon pool. Returns something that depends
/// on every pixel, so that none is left out.
pub fn floor<P: Pixel>(pixels: &[P], results: &mut [f32], layout: &FeatureLayout) -> u64 {
    let shape = layout.shape();
    // The kernels' own grain.
    let images = ((128 << 10) / (shape.values() * size_of::<P>())).max(1);
    let parts = pixels.par_chunks(images * shape.values());
    parts
        .zip(results.par_chunks_mut(images * layout.stride()))
        .map(|(pixels, results)| {
            let sum = sum(pixels);
            results.fill(sum as f32);
            sum
        })
        .reduce(|| 0, u64::wrapping_add)
}

fn sum<P: Pixel>(pixels: &[P]) -> u64 {
    // SAFETY: pixels are plain numbers without padding, and any bytes are a u64.
    let (head, words, tail) = unsafe { pixels.align_to::<u64>() };
    let rest = (head.len() + tail.len()) as u64;
    words.iter().fold(rest, |sum, &word| sum.wrapping_add(word))
}
