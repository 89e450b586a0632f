//! Pixels that move: mirrored, cut out, covered.

use std::ops::Range;

use super::View;
use super::vector::Vector;
use crate::base::pixels::Pixel;
use crate::base::shape::{ImageShape, PixelType};

/// Mirrors rows: left becomes right.
#[inline(always)]
pub(super) fn flip_x<P: Pixel, V: Vector>(vector: V, old: View<'_, P>, new: &mut [P]) {
    match old.shape.channels() {
        1 => reverse::<P, V, 1>(vector, old, new),
        2 => reverse::<P, V, 2>(vector, old, new),
        3 => reverse::<P, V, 3>(vector, old, new),
        _ => reverse::<P, V, 4>(vector, old, new),
    }
}

#[inline(always)]
fn reverse<P: Pixel, V: Vector, const C: usize>(vector: V, old: View<'_, P>, new: &mut [P]) {
    if V::PERMUTES && P::TYPE == PixelType::U8 {
        let (old, shape) = (bytemuck::cast_slice(old.pixels), old.shape);
        return reverse_bytes::<V, C>(vector, View { shape, pixels: old }, bytemuck::cast_slice_mut(new));
    }
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

/// As [`reverse`], 64 bytes at a time, of which whole pixels count: some of a row, or some short rows. What is written
/// beyond them is written again with the next ones.
#[inline(always)]
fn reverse_bytes<V: Vector, const C: usize>(vector: V, old: View<'_, u8>, new: &mut [u8]) {
    let (height, width, row) = (old.shape.height(), old.shape.width(), old.shape.row_values());
    let (rows, stretch) = ((64 / row).clamp(1, height), width.min(64 / C));
    let bytes = rows * stretch * C;
    let mut places = [0; 64];
    // Without divisions, which would take longer than all else for a small image.
    for line in 0..rows {
        for pixel in 0..stretch {
            for channel in 0..C {
                let at = (line * stretch + pixel) * C + channel;
                places[at & 63] = ((line * stretch + stretch - 1 - pixel) * C + channel) as u8;
            }
        }
    }
    let mut y = 0;
    while y < height {
        // The last rows and the last stretch may begin within those before: they write the same values again.
        y = y.min(height - rows);
        let mut at = 0;
        while at < width {
            at = at.min(width - stretch);
            let (from, to) = (y * row + (width - stretch - at) * C, y * row + at * C);
            match (old.pixels[from..].first_chunk(), new[to..].first_chunk_mut()) {
                (Some(from), Some(to)) => *to = vector.permute(from, &places),
                // At the end of the image.
                _ => {
                    let mut last = [0; 64];
                    copy(&old.pixels[from..][..bytes], &mut last);
                    copy(&vector.permute(&last, &places)[..bytes], &mut new[to..]);
                }
            }
            at += stretch;
        }
        y += rows;
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
    // All at once, since the call costs more than a row.
    new.fill(P::default());
    let (first, end) = (columns.start * channels, columns.end * channels);
    if first >= end {
        return;
    }
    let from = (x + columns.start as i32) as usize * channels;
    for at in rows {
        let old = &old.pixels[(y + at as i32) as usize * from_row + from..][..end - first];
        copy(old, &mut new[at * to_row + first..][..end - first]);
    }
}

/// Copies a few values without a call.
#[inline(always)]
pub(super) fn copy<P: Pixel>(old: &[P], new: &mut [P]) {
    let (old, new): (&[u8], &mut [u8]) = (bytemuck::cast_slice(old), bytemuck::cast_slice_mut(new));
    let len = old.len().min(new.len());
    match len {
        0..8 => {
            for (old, new) in old.iter().zip(new) {
                *new = *old;
            }
        }
        8..16 => ends::<8>(old, new, len),
        16..32 => ends::<16>(old, new, len),
        32..64 => ends::<32>(old, new, len),
        _ => new[..len].copy_from_slice(&old[..len]),
    }
}

/// Copies the first and the last N bytes, which may overlap.
#[inline(always)]
fn ends<const N: usize>(old: &[u8], new: &mut [u8], len: usize) {
    for at in [0, len - N] {
        if let (Some(old), Some(new)) = (old[at..].first_chunk::<N>(), new[at..].first_chunk_mut::<N>()) {
            *new = *old;
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

/// Brings a window, given as row, column, height and width, to a size: the pixel in which each new one's centre lies.
#[inline(always)]
pub(super) fn resize_nearest<P: Pixel>(
    old: View<'_, P>,
    [y, x, height, width]: [usize; 4],
    new: &mut [P],
    to: ImageShape,
) {
    let (row, channels) = (old.shape.row_values(), old.shape.channels());
    let place = |at: usize, from: usize, to: usize| (2 * at + 1) * from / (2 * to);
    for (at, new) in new.chunks_exact_mut(to.row_values()).enumerate() {
        let old = &old.pixels[(y + place(at, height, to.height())) * row..][..row];
        for (at, new) in new.chunks_exact_mut(channels).enumerate() {
            new.copy_from_slice(&old[(x + place(at, width, to.width())) * channels..][..channels]);
        }
    }
}
