//! Large images in bands of rows: the sums of the bands add up to the whole's.

use rayon::prelude::*;

use crate::base::pixels::PixelSlice;
use crate::base::shape::{ImageShape, PixelType};
use crate::base::simd::Level;
use crate::features::FeatureLayout;
use crate::features::family::{Band, BandSums};

/// Bytes of a band: enough to outweigh handing it to another thread.
const BAND_BYTES: usize = 256 << 10;
/// Fewest rows of a band, so that adding up the column sums stays a small part of the work.
const BAND_ROWS: usize = 64;

/// How many rows a band has, if an image of `shape` is cut into bands at all. The cut depends on nothing else, because
/// float sums show it.
pub(super) fn rows_per_band(shape: ImageShape, pixel_type: PixelType) -> Option<usize> {
    let max = BAND_BYTES.div_ceil(shape.row_values() * pixel_type.bytes()).max(BAND_ROWS);
    let bands = shape.height().div_ceil(max);
    (bands > 1).then(|| shape.height().div_ceil(bands).next_multiple_of(4))
}

/// Computes the row of one image from bands of `rows` rows, in parallel. While a band is in cache, every family sums it.
pub(super) fn featurize(level: Level, layout: &FeatureLayout, image: PixelSlice<'_>, rows: usize, row: &mut [f32]) {
    let shape = layout.shape();
    let sum_band = |first: usize| -> Vec<BandSums> {
        let band = Band { of: layout.images(), rows: first..shape.height().min(first + rows) };
        layout.features().map(|(feature, _)| feature.family().sum_band(level, &band, image)).collect()
    };
    let bands: Vec<usize> = (0..shape.height()).step_by(rows).collect();
    let sums: Vec<Vec<BandSums>> = bands.into_par_iter().map(sum_band).collect();
    let mut by_band: Vec<_> = sums.into_iter().map(Vec::into_iter).collect();
    for (feature, range) in layout.features() {
        let bands = by_band.iter_mut().filter_map(Iterator::next).collect();
        feature.family().finish_bands(layout.images(), bands, &mut row[range]);
    }
}
