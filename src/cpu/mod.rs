//! The CPU backend: images and bands of images shared out to threads, each computed by the families of a feature set.
//!
//! For integer pixels every SIMD level and thread count gives the same values because sums are exact; for floats because
//! additions have one order.

mod bands;
#[cfg(test)]
mod tests;

use crate::base::pixels::PixelSlice;
pub use crate::base::simd::Level;
use crate::features::rows::RowsMut;
use crate::features::{FeatureLayout, FeaturesMut};

/// The work that is handed to a thread at a time, in bytes of pixels.
const LEAF_BYTES: usize = 128 << 10;
/// From how many bytes of pixels on several threads work. The calling thread needs some 40 µs for as many; waking others
/// and their looking for more, while the rest of a pipeline wants the cores, costs no less.
pub(crate) const PARALLEL_BYTES: usize = 4 * LEAF_BYTES;
/// Bytes of pixels that one family works on before the next: they stay in a core's first cache.
const TILE_BYTES: usize = 16 << 10;

/// Computes the values of every image of `pixels`, H·W·C values each, one after another, into its row of `out`.
///
/// Works in parallel on the current rayon pool; little work is done at once on the calling thread. A `level` that the CPU
/// does not have is replaced by [`Level::Portable`]. No images are fine.
///
/// # Panics
/// If `pixels` and `out` do not hold the same number of images of the layout.
pub fn featurize<'a>(level: Level, layout: &FeatureLayout, pixels: impl Into<PixelSlice<'a>>, out: FeaturesMut<'_>) {
    let pixels = pixels.into();
    let (shape, images) = (layout.shape(), out.images());
    assert_eq!(pixels.len(), images * shape.values(), "pixels of {images} images of {shape}");
    assert_eq!(out.stride(), layout.stride(), "values in a row of `{}` of {shape}", layout.set());
    if pixels.size() < PARALLEL_BYTES {
        leaf(level, layout, pixels, out);
    } else {
        let max = LEAF_BYTES / (shape.values() * pixels.pixel_type().bytes());
        halve(level, layout, pixels, out, max.max(1));
    }
}

/// Halves the work, for any thread that is idle, until a part has at most `max` images.
fn halve(level: Level, layout: &FeatureLayout, pixels: PixelSlice<'_>, out: FeaturesMut<'_>, max: usize) {
    let images = out.images();
    if images <= max {
        return leaf(level, layout, pixels, out);
    }
    let (pixels, other_pixels) = pixels.split_at(images / 2 * layout.shape().values());
    let (out, other_out) = out.split_at(images / 2);
    rayon::join(|| halve(level, layout, pixels, out, max), || halve(level, layout, other_pixels, other_out, max));
}

/// One thread's part, or one image large enough for several.
fn leaf(level: Level, layout: &FeatureLayout, mut pixels: PixelSlice<'_>, mut out: FeaturesMut<'_>) {
    let shape = layout.shape();
    if let Some(rows) = bands::rows_per_band(shape, pixels.pixel_type()) {
        for (image, row) in pixels.chunks(shape.values()).zip(out.rows_mut()) {
            bands::featurize(level, layout, image, rows, row);
        }
        return;
    }
    // Several families take turns on images that stay in cache.
    let tile = match layout.features().len() {
        1 => usize::MAX,
        _ => (TILE_BYTES / (shape.values() * pixels.pixel_type().bytes())).max(1),
    };
    while out.images() > 0 {
        let images = out.images().min(tile);
        let (now, later) = pixels.split_at(images * shape.values());
        let (mut rows, rows_later) = out.split_at(images);
        for (feature, range) in layout.features() {
            feature.family().compute(level, layout.images(), now, &mut RowsMut::new(rows.reborrow(), range));
        }
        (pixels, out) = (later, rows_later);
    }
}
