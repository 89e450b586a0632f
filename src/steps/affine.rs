//! Pixels from places that an affine map tells, in 16.16 fixed point.

use std::ops::Range;

use super::{View, Whole};
use crate::base::pixels::Pixel;

/// The pixel at each place, as Pillow's `transform` gives it for `NEAREST`.
#[inline(always)]
pub(super) fn nearest<P: Pixel>(old: View<'_, P>, matrix: [i32; 6], new: &mut [P]) {
    match old.shape.channels() {
        1 => nearest_of::<P, 1>(old, matrix, new),
        2 => nearest_of::<P, 2>(old, matrix, new),
        3 => nearest_of::<P, 3>(old, matrix, new),
        _ => nearest_of::<P, 4>(old, matrix, new),
    }
}

#[inline(always)]
fn nearest_of<P: Pixel, const C: usize>(old: View<'_, P>, [a, b, c, d, e, f]: [i32; 6], new: &mut [P]) {
    let (height, width) = (old.shape.height(), old.shape.width());
    let (from, _) = old.pixels.as_chunks::<C>();
    let (to, _) = new.as_chunks_mut::<C>();
    let zero = [P::default(); C];
    for (y, row) in to.chunks_exact_mut(width).enumerate() {
        let (mut at_x, mut at_y) = (place(b, y, c), place(e, y, f));
        let there = both(within(at_x, a, width, width), within(at_y, d, height, width));
        row[..there.start].fill(zero);
        row[there.end..].fill(zero);
        (at_x, at_y) = (place(a, there.start, at_x), place(d, there.start, at_y));
        let row = &mut row[there];
        if a == 1 << 16 && d == 0 && !row.is_empty() {
            let first = (at_y >> 16) as usize * width + (at_x >> 16) as usize;
            row.copy_from_slice(&from[first..first + row.len()]);
            continue;
        }
        for pixel in row {
            *pixel = from[(at_y >> 16) as usize * width + (at_x >> 16) as usize];
            at_x = at_x.wrapping_add(a);
            at_y = at_y.wrapping_add(d);
        }
    }
}

/// `first + slope · steps`. Stages see to it that no place of an image overflows.
#[inline(always)]
fn place(slope: i32, steps: usize, first: i32) -> i32 {
    first.wrapping_add(slope.wrapping_mul(steps as i32))
}

/// The steps of `count` after which `first + slope · step`, in 65,536ths, lies in a side of length `side`.
#[inline(always)]
fn within(first: i32, slope: i32, side: usize, count: usize) -> Range<usize> {
    let (first, slope, end) = (i64::from(first), i64::from(slope), (side as i64) << 16);
    // The first step of a rising line that is not below `bound`.
    let reaches = |first: i64, slope: i64, bound: i64| (bound - first + slope - 1).div_euclid(slope);
    let clamped = |step: i64| step.clamp(0, count as i64) as usize;
    match slope {
        0 if (0..end).contains(&first) => 0..count,
        0 => 0..0,
        1.. => clamped(reaches(first, slope, 0))..clamped(reaches(first, slope, end)),
        // The falling line, mirrored.
        _ => clamped(reaches(-first, -slope, 1 - end))..clamped(reaches(-first, -slope, 1)),
    }
}

#[inline(always)]
fn both(one: Range<usize>, other: Range<usize>) -> Range<usize> {
    let start = one.start.max(other.start);
    start..one.end.min(other.end).max(start)
}

/// The pixel at each place, interpolated between its four neighbours.
#[inline(always)]
pub(super) fn bilinear<P: Whole>(old: View<'_, P>, [a, b, c, d, e, f]: [i32; 6], new: &mut [P]) {
    const HALF: i32 = 1 << 15;
    let (height, width, channels) = (old.shape.height(), old.shape.width(), old.shape.channels());
    let row_values = old.shape.row_values();
    for (y, row) in new.chunks_exact_mut(row_values).enumerate() {
        let (mut at_x, mut at_y) = (place(b, y, c), place(e, y, f));
        let there = both(within(at_x, a, width, width), within(at_y, d, height, width));
        row[..there.start * channels].fill(P::default());
        row[there.end * channels..].fill(P::default());
        (at_x, at_y) = (place(a, there.start, at_x), place(d, there.start, at_y));
        for pixel in row[there.start * channels..there.end * channels].chunks_exact_mut(channels) {
            // From corners of pixels to their centres.
            let (u, v) = (at_x - HALF, at_y - HALF);
            let column = |at: i32| at.clamp(0, width as i32 - 1) as usize * channels;
            let line = |at: i32| at.clamp(0, height as i32 - 1) as usize * row_values;
            let (left, right) = (column(u >> 16), column((u >> 16) + 1));
            let (top, bottom) = (line(v >> 16), line((v >> 16) + 1));
            let (x, y) = ((u >> 8) as u32 & 0xff, (v >> 8) as u32 & 0xff);
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |line: usize, column: usize| old.pixels[line + column + channel].get() as u32;
                let above = (256 - x) * at(top, left) + x * at(top, right);
                let below = (256 - x) * at(bottom, left) + x * at(bottom, right);
                *value = P::put((((256 - y) * above + y * below + (1 << 15)) >> 16) as i32);
            }
            at_x = at_x.wrapping_add(a);
            at_y = at_y.wrapping_add(d);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_within_a_side_are_those_that_a_walk_finds() {
        for slope in [-200_000, -65_536, -7, -1, 0, 1, 3, 65_535, 65_536, 70_001] {
            for first in [-300_000, -65_536, -1, 0, 1, 65_535, 196_607, 196_608, 400_000] {
                let inside = |step: usize| (0..3 << 16).contains(&(first + slope * step as i32));
                let walked: Vec<usize> = (0..9).filter(|&step| inside(step)).collect();
                let got = within(first, slope, 3, 9);
                assert!(got.clone().eq(walked.iter().copied()), "{first} {slope}: {got:?}, {walked:?}");
            }
        }
    }
}
