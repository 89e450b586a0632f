//! Large images in bands of rows, each an image of its own whose moments add up to the whole's.

use rayon::prelude::*;

use super::Level;
use super::portable::{Lanes, same};
use crate::base::shape::{ImageShape, PixelType};
use crate::features::moments::{Moments, Pixel};

/// Bytes of a band: enough to outweigh handing it to another thread.
const BAND_BYTES: usize = 256 << 10;
/// Fewest rows of a band, so that adding up the column sums stays a small part of the work.
const BAND_ROWS: usize = 64;

/// How many rows a band has, if an image of `shape` is cut into bands at all. The cut depends on nothing else, because
/// float sums show it.
pub(super) fn rows_per_band<P: Pixel>(shape: ImageShape) -> Option<usize> {
    let most = BAND_BYTES.div_ceil(shape.row_values() * size_of::<P>()).max(BAND_ROWS);
    let bands = shape.height().div_ceil(most);
    (bands > 1).then(|| shape.height().div_ceil(bands).next_multiple_of(4))
}

/// Overwrites `into` with the moments of one image, from bands of `rows` rows, computed in parallel or one by one.
pub(super) fn moments<P: Pixel>(level: Level, pixels: &[P], rows: usize, parallel: bool, into: &mut Moments<P>) {
    let shape = into.shape();
    let band = |pixels: &[P]| {
        let height = pixels.len() / shape.row_values();
        let shape = ImageShape::new(height, shape.width(), shape.channels()).expect("part of a valid shape");
        let mut moments = Moments::zeroed(shape);
        super::unbanded(level, pixels, &mut moments);
        moments
    };
    let values = rows * shape.row_values();
    let mut bands: Vec<Moments<P>> = if parallel {
        pixels.par_chunks(values).map(band).collect()
    } else {
        pixels.chunks(values).map(band).collect()
    };
    match P::TYPE {
        PixelType::U8 => merge::<u8>(same::<_, Vec<_>>(&mut bands), same(into)),
        PixelType::U16 => merge::<u16>(same::<_, Vec<_>>(&mut bands), same(into)),
        PixelType::F32 => merge::<f32>(same::<_, Vec<_>>(&mut bands), same(into)),
    }
}

fn merge<P: Lanes>(bands: &[Moments<P>], into: &mut Moments<P>) {
    let shape = into.shape();
    let (rows, cols, seconds) = into.parts_mut();
    cols.fill(P::Sum::default());
    let mut y = 0;
    for band in bands {
        let height = band.shape().height();
        for (rows, part) in rows.chunks_exact_mut(shape.height()).zip(band.row_sums().chunks_exact(height)) {
            rows[y..y + height].copy_from_slice(part);
        }
        for (col, &part) in cols.iter_mut().zip(band.col_sums()) {
            *col = P::add(*col, part);
        }
        y += height;
    }
    for (c, second) in seconds.iter_mut().enumerate() {
        *second = P::merge(bands.iter().map(|band| {
            let height = band.shape().height();
            let (total, _) = P::weigh(&band.row_sums()[c * height..][..height]);
            (band.shape().pixels(), total, band.seconds()[c])
        }));
    }
}
