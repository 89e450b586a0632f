//! Values that change by those around them.

use super::arithmetic::blend;
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
            // A thirteenth, rounded half up. For bytes the dividend is below 2¹³, where the product has the same quotient.
            let twice = (2 * sum + 13) as u32;
            let smooth = if P::BITS == 8 { (twice * 40_330) >> 20 } else { twice / 26 } as i32;
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
pub(super) fn blur<P: Whole>(
    old: View<'_, P>,
    radius: usize,
    weights: &[u32],
    new: &mut [P],
    between: &mut Vec<P>,
    sums: &mut Vec<u32>,
) {
    let (height, channels, row) = (old.shape.height(), old.shape.channels(), old.shape.row_values());
    let (middle, sides) = (weights[0], &weights[1..=radius]);
    let edge = radius * channels;
    // The image after the first pass, and behind it a row with its first and last pixel repeated.
    between.clear();
    between.resize(old.pixels.len() + row + 2 * edge, P::default());
    let (between, padded) = between.split_at_mut(old.pixels.len());
    sums.resize(row, 0);
    for (old, out) in old.pixels.chunks_exact(row).zip(between.chunks_exact_mut(row)) {
        for far in 0..radius {
            padded[far * channels..][..channels].copy_from_slice(&old[..channels]);
            padded[edge + row + far * channels..][..channels].copy_from_slice(&old[row - channels..]);
        }
        padded[edge..edge + row].copy_from_slice(old);
        start(sums, middle, old);
        for (far, weight) in sides.iter().enumerate() {
            let far = (far + 1) * channels;
            add_pair(sums, *weight, &padded[edge - far..][..row], &padded[edge + far..][..row]);
        }
        finish(sums, out);
    }
    for (y, out) in new.chunks_exact_mut(row).enumerate() {
        let line = |y: usize| &between[y * row..][..row];
        start(sums, middle, line(y));
        for (far, weight) in sides.iter().enumerate() {
            let far = far + 1;
            add_pair(sums, *weight, line(y.saturating_sub(far)), line((y + far).min(height - 1)));
        }
        finish(sums, out);
    }
    restore_alpha(old, new);
}

#[inline(always)]
fn start<P: Whole>(sums: &mut [u32], weight: u32, values: &[P]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = weight * value.get() as u32;
    }
}

#[inline(always)]
fn add_pair<P: Whole>(sums: &mut [u32], weight: u32, one: &[P], other: &[P]) {
    for ((sum, one), other) in sums.iter_mut().zip(one).zip(other) {
        *sum += weight * (one.get() + other.get()) as u32;
    }
}

#[inline(always)]
fn finish<P: Whole>(sums: &[u32], out: &mut [P]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = P::put(((sum + (1 << 14)) >> 15) as i32);
    }
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_product_has_the_quotient() {
        assert!((0..=2 * 13 * 255 + 13u32).all(|twice| (twice * 40_330) >> 20 == twice / 26));
    }
}
