//! Pixels that move: mirrored, cut out, covered.

use std::ops::Range;

use super::View;
use crate::base::pixels::Pixel;
use crate::base::shape::ImageShape;

/// Mirrors rows: left becomes right.
#[inline(always)]
pub(super) fn flip_x<P: Pixel>(old: View<'_, P>, new: &mut [P]) {
    match old.shape.channels() {
        1 => reverse::<P, 1>(old, new),
        2 => reverse::<P, 2>(old, new),
        3 => reverse::<P, 3>(old, new),
        _ => reverse::<P, 4>(old, new),
    }
}

#[inline(always)]
fn reverse<P: Pixel, const C: usize>(old: View<'_, P>, new: &mut [P]) {
    let row = old.shape.row_values();
    for (old, new) in old.pixels.chunks_exact(row).zip(new.chunks_exact_mut(row)) {
        let (old, _) = old.as_chunks::<C>();
        let (new, _) = new.as_chunks_mut::<C>();
        let width = new.len();
        if width >= 16 {
            // The last stretch may begin within the one before: it writes the same values again.
            let mut at = 0;
            while at < width {
                at = at.min(width - 16);
                let from: &[[P; C]; 16] = old[width - 16 - at..].first_chunk().expect("a stretch of a row");
                let to: &mut [[P; C]; 16] = new[at..].first_chunk_mut().expect("a stretch of a row");
                *to = std::array::from_fn(|lane| from[15 - lane]);
                at += 16;
            }
        } else {
            for (new, old) in new.iter_mut().zip(old.iter().rev()) {
                *new = *old;
            }
        }
    }
}

/// Mirrors columns: top becomes bottom.
#[inline(always)]
pub(super) fn flip_y<P: Pixel>(old: View<'_, P>, new: &mut [P]) {
    let row = old.shape.row_values();
    for (old, new) in old.pixels.chunks_exact(row).zip(new.chunks_exact_mut(row).rev()) {
        new.copy_from_slice(old);
    }
}

/// The window of shape `to` whose corner is at row `y` and column `x`; zeros outside the image.
#[inline(always)]
pub(super) fn crop<P: Pixel>(old: View<'_, P>, y: i32, x: i32, new: &mut [P], to: ImageShape) {
    let (from_row, to_row, channels) = (old.shape.row_values(), to.row_values(), to.channels());
    let (rows, columns) = (inside(y, old.shape.height(), to.height()), inside(x, old.shape.width(), to.width()));
    for (at, new) in new.chunks_exact_mut(to_row).enumerate() {
        if rows.contains(&at) && !columns.is_empty() {
            let old = &old.pixels[(y + at as i32) as usize * from_row..][..from_row];
            let (first, end) = (columns.start * channels, columns.end * channels);
            let from = (x + columns.start as i32) as usize * channels;
            new[..first].fill(P::default());
            new[first..end].copy_from_slice(&old[from..from + end - first]);
            new[end..].fill(P::default());
        } else {
            new.fill(P::default());
        }
    }
}

/// The places of a window's side that lie within an image's side, if the window begins at `start`.
fn inside(start: i32, from: usize, to: usize) -> Range<usize> {
    let place = |at: i64| at.clamp(0, to as i64) as usize;
    place(-i64::from(start))..place(from as i64 - i64::from(start))
}

/// Covers a rectangle of the image, given as row, column, height and width.
#[inline(always)]
pub(super) fn erase<P: Pixel>(old: View<'_, P>, [y, x, height, width]: [usize; 4], fill: P, new: &mut [P]) {
    new.copy_from_slice(old.pixels);
    let (row, channels) = (old.shape.row_values(), old.shape.channels());
    for row in new.chunks_exact_mut(row).skip(y).take(height) {
        row[x * channels..(x + width) * channels].fill(fill);
    }
}
