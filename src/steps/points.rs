//! Values that change by a rule for single values, which may depend on counts over the whole image.

use super::arithmetic::{blend, luma};
use super::colour::map_colours;
use super::vector::Vector;
use super::{View, Whole, colours};

/// Bytes from which on a table is made first.
const TABLE_FROM: usize = 512;

/// Applies a function to every colour: of many bytes through a table, if the level has instructions for it.
#[inline(always)]
fn map<P: Whole, V: Vector>(vector: V, old: View<'_, P>, new: &mut [P], f: impl Fn(i32) -> i32) {
    let all_colours = colours(old.shape.channels()) == old.shape.channels();
    if V::PERMUTES && P::BITS == 8 && all_colours && new.len() >= TABLE_FROM {
        vector.map(&table(f), bytemuck::cast_slice(old.pixels), bytemuck::cast_slice_mut(new));
    } else {
        map_colours(old, new, f);
    }
}

/// What a function makes of each byte.
#[inline(always)]
fn table(f: impl Fn(i32) -> i32) -> [u8; 256] {
    let mut table = [0; 256];
    for (value, entry) in table.iter_mut().enumerate() {
        *entry = f(value as i32) as u8;
    }
    table
}

#[inline(always)]
pub(super) fn brightness<P: Whole, V: Vector>(vector: V, old: View<'_, P>, factor: i32, new: &mut [P]) {
    map(vector, old, new, |value| blend::<P>(0, value, factor));
}

#[inline(always)]
pub(super) fn contrast<P: Whole, V: Vector>(vector: V, old: View<'_, P>, factor: i32, new: &mut [P]) {
    let mean = mean_luma(vector, old);
    map(vector, old, new, |value| blend::<P>(mean, value, factor));
}

/// The mean luma, rounded half up.
#[inline(always)]
fn mean_luma<P: Whole, V: Vector>(vector: V, old: View<'_, P>) -> i32 {
    let mut total = 0u64;
    // Loops and no closures, so that all is compiled for the level. The sum of a row fits 32 bits.
    for row in old.pixels.chunks_exact(old.shape.row_values()) {
        let mut sum = 0u32;
        match old.shape.channels() {
            1 => {
                for value in row {
                    sum += value.get() as u32;
                }
            }
            2 => {
                for [value, _] in row.as_chunks::<2>().0 {
                    sum += value.get() as u32;
                }
            }
            3 if P::BITS == 8 => sum = vector.luma_sum(bytemuck::cast_slice(row)),
            3 => {
                for pixel in row.as_chunks::<3>().0 {
                    sum += luma(*pixel);
                }
            }
            _ => {
                for [r, g, b, _] in row.as_chunks::<4>().0 {
                    sum += luma([*r, *g, *b]);
                }
            }
        }
        total += u64::from(sum);
    }
    let pixels = old.shape.pixels() as u64;
    ((2 * total + pixels) / (2 * pixels)) as i32
}

#[inline(always)]
pub(super) fn posterize<P: Whole, V: Vector>(vector: V, old: View<'_, P>, bits: i32, new: &mut [P]) {
    let mask = P::MAX & !(P::MAX >> bits);
    map(vector, old, new, |value| value & mask);
}

#[inline(always)]
pub(super) fn solarize<P: Whole, V: Vector>(vector: V, old: View<'_, P>, threshold: i32, new: &mut [P]) {
    map(vector, old, new, |value| if value >= threshold { P::MAX - value } else { value });
}

#[inline(always)]
pub(super) fn invert<P: Whole, V: Vector>(vector: V, old: View<'_, P>, new: &mut [P]) {
    map(vector, old, new, |value| P::MAX - value);
}

#[inline(always)]
pub(super) fn autocontrast<P: Whole, V: Vector>(vector: V, old: View<'_, P>, new: &mut [P]) {
    let ranges = ranges(old);
    let stretch = |channel: usize, value: i32| match ranges[channel] {
        (low, high) if low < high => {
            ((value.clamp(low, high) - low) as u32 * P::MAX as u32 / (high - low) as u32) as i32
        }
        _ => value,
    };
    map_channels(vector, old, new, stretch);
}

/// The smallest and the largest value of each channel.
#[inline(always)]
fn ranges<P: Whole>(old: View<'_, P>) -> [(i32, i32); 4] {
    // Groups of whole pixels of any number of channels, and of whole vectors.
    const GROUP: usize = 192;
    let channels = old.shape.channels();
    let (mut low, mut high) = ([P::put(P::MAX); GROUP], [P::default(); GROUP]);
    let (groups, rest) = old.pixels.as_chunks::<GROUP>();
    for group in groups {
        for at in 0..GROUP {
            low[at] = low[at].min(group[at]);
            high[at] = high[at].max(group[at]);
        }
    }
    let mut ranges = [(P::MAX, 0); 4];
    let ends = low.iter().zip(&high).map(|(low, high)| (low.get(), high.get()));
    let all = ends.chain(rest.iter().map(|value| (value.get(), value.get())));
    for (at, (low, high)) in all.enumerate() {
        let range = &mut ranges[at % channels];
        *range = (range.0.min(low), range.1.max(high));
    }
    ranges
}

/// Applies a function of the channel to every colour. Alpha is copied.
#[inline(always)]
fn map_channels<P: Whole, V: Vector>(vector: V, old: View<'_, P>, new: &mut [P], f: impl Fn(usize, i32) -> i32) {
    let channels = old.shape.channels();
    if P::BITS == 8 && channels != 2 && channels != 4 {
        let table = |channel: usize| table(|value| f(channel, value));
        let (old, new) = (bytemuck::cast_slice(old.pixels), bytemuck::cast_slice_mut(new));
        match channels {
            1 => vector.map(&table(0), old, new),
            _ => vector.map_three(&[table(0), table(1), table(2)], old, new),
        }
        return;
    }
    let colours = colours(channels);
    for (old, new) in old.pixels.chunks_exact(channels).zip(new.chunks_exact_mut(channels)) {
        for (channel, (old, new)) in old.iter().zip(new).enumerate() {
            *new = if channel < colours { P::put(f(channel, old.get())) } else { *old };
        }
    }
}

/// By the first eight bits of a value; the others stay.
#[inline(always)]
pub(super) fn equalize<P: Whole, V: Vector>(vector: V, old: View<'_, P>, new: &mut [P]) {
    let (shift, channels) = (P::BITS - 8, old.shape.channels());
    // Neighbouring values are often equal. They count in places of their own, so that none waits for the one before.
    let mut counts = [[0u32; 256]; 4];
    let (fours, rest) = old.pixels.as_chunks::<4>();
    match channels {
        1 => {
            for four in fours {
                for lane in 0..4 {
                    counts[lane][(four[lane].get() >> shift) as usize] += 1;
                }
            }
            for value in rest {
                counts[0][(value.get() >> shift) as usize] += 1;
            }
            let [first, others @ ..] = &mut counts;
            for other in others {
                for (sum, count) in first.iter_mut().zip(other) {
                    *sum += *count;
                }
            }
        }
        _ => {
            for pixel in old.pixels.chunks_exact(channels) {
                for (value, counts) in pixel.iter().zip(&mut counts) {
                    counts[(value.get() >> shift) as usize] += 1;
                }
            }
        }
    }
    let tables = [0, 1, 2].map(|channel| equalizing(&counts[channel]));
    let low = (1 << shift) - 1;
    map_channels(vector, old, new, |channel, value| {
        i32::from(tables[channel][(value >> shift) as usize]) << shift | (value & low)
    });
}

/// What each value becomes so that all are equally frequent, as Pillow's `equalize` has it.
fn equalizing(counts: &[u32; 256]) -> [u8; 256] {
    let total: u32 = counts.iter().sum();
    let last = counts.iter().rfind(|count| **count > 0).copied().unwrap_or(0);
    let step = (total - last) / 255;
    if step == 0 {
        return std::array::from_fn(|value| value as u8);
    }
    let mut before = step / 2;
    counts.map(|count| {
        let value = (before / step).min(255);
        before += count;
        value as u8
    })
}
