//! Values that change by those around them.

use super::points::blend;
use super::{View, Whole, colours};

/// Away from the mean over 3×3 pixels in which the one in the middle counts five times; pixels at the edge stay.
#[inline(always)]
pub(super) fn sharpness<P: Whole>(old: View<'_, P>, factor: i32, new: &mut [P]) {
    let (height, row, channels) = (old.shape.height(), old.shape.row_values(), old.shape.channels());
    new.copy_from_slice(old.pixels);
    if height < 3 || old.shape.width() < 3 {
        return;
    }
    for y in 1..height - 1 {
        let above = &old.pixels[(y - 1) * row..][..row];
        let here = &old.pixels[y * row..][..row];
        let below = &old.pixels[(y + 1) * row..][..row];
        let new = &mut new[y * row..][..row];
        let inner = row - 2 * channels;
        let rows = [above, here, below];
        // The left, the middle and the right neighbour of each inner value.
        let [left, middle, right] = [0, channels, 2 * channels].map(|at| rows.map(|row| &row[at..][..inner]));
        let new = &mut new[channels..][..inner];
        for i in 0..inner {
            let sum = |rows: [&[P]; 3]| rows[0][i].get() + rows[1][i].get() + rows[2][i].get();
            let value = middle[1][i].get();
            let sum = sum(left) + sum(middle) + sum(right) + 4 * value;
            // Rounded half up. The sum has at most 20 bits, so that the division is one by multiplication.
            let smooth = (2 * sum + 13) / 26;
            new[i] = P::put(blend::<P>(smooth, value, factor));
        }
        if colours(channels) < channels {
            let alphas = new.iter_mut().zip(middle[1]).skip(channels - 1).step_by(channels);
            alphas.for_each(|(new, old)| *new = *old);
        }
    }
}

/// The weighted mean over 2·`radius` + 1 pixels of each row, then of each column; each rounds once.
#[inline(always)]
pub(super) fn blur<P: Whole>(old: View<'_, P>, radius: usize, weights: &[u32], new: &mut [P], between: &mut Vec<P>) {
    let (height, width, channels) = (old.shape.height(), old.shape.width(), old.shape.channels());
    let row = old.shape.row_values();
    let weights = &weights[..radius + 1];
    let round = |sum: u32| P::put(((sum + (1 << 14)) >> 15) as i32);
    between.clear();
    between.extend_from_slice(old.pixels);
    for (old, new) in old.pixels.chunks_exact(row).zip(between.chunks_exact_mut(row)) {
        for (i, new) in new.iter_mut().enumerate() {
            let (x, channel) = (i / channels, i % channels);
            let at = |x: usize| old[x * channels + channel].get() as u32;
            let pairs = weights.iter().enumerate().skip(1);
            let sum: u32 =
                pairs.map(|(far, weight)| weight * (at(x.saturating_sub(far)) + at((x + far).min(width - 1)))).sum();
            *new = round(sum + weights[0] * at(x));
        }
    }
    for (y, new) in new.chunks_exact_mut(row).enumerate() {
        let line = |y: usize| &between[y * row..][..row];
        for (i, new) in new.iter_mut().enumerate() {
            let pairs = weights.iter().enumerate().skip(1);
            let sum: u32 = pairs
                .map(|(far, weight)| {
                    let (above, below) = (line(y.saturating_sub(far)), line((y + far).min(height - 1)));
                    weight * (above[i].get() as u32 + below[i].get() as u32)
                })
                .sum();
            *new = round(sum + weights[0] * line(y)[i].get() as u32);
        }
    }
    restore_alpha(old, new);
}

/// Copies alpha from the old image.
#[inline(always)]
pub(super) fn restore_alpha<P: Whole>(old: View<'_, P>, new: &mut [P]) {
    let channels = old.shape.channels();
    if colours(channels) < channels {
        let alphas = new.iter_mut().zip(old.pixels).skip(channels - 1).step_by(channels);
        alphas.for_each(|(new, old)| *new = *old);
    }
}
