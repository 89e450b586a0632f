//! Images and their windows brought to a size, in the arithmetic of Pillow's `resize`: whole weights, the width first, and
//! each side rounded once, half up. (Pillow 13 takes the height first where that is less work.)

use std::collections::HashMap;
use std::f64::consts::PI;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

#[cfg(feature = "gpu")]
use super::resample::side_words;
use super::resample::{Filter, Resampler};
use super::vector::{Block, Kernel, Vector, WEIGHT_BITS, run_kernel};
use super::{View, Whole};
use crate::base::pixels::Pixel;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::simd::Level;

/// A filter of Pillow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PillowFilter {
    Bilinear,
    Bicubic,
    Lanczos,
}

impl PillowFilter {
    /// The distance from which on weights are zero, in pixels of the smaller image.
    fn reach(self) -> f64 {
        match self {
            PillowFilter::Bilinear => 1.0,
            PillowFilter::Bicubic => 2.0,
            PillowFilter::Lanczos => 3.0,
        }
    }

    /// The weight at a distance.
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { libm::sin(x * PI) / (x * PI) };
        match self {
            PillowFilter::Bilinear => (1.0 - x).max(0.0),
            PillowFilter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            PillowFilter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            PillowFilter::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

/// The length before, the length afterwards, the bits behind the point of weights, and the filter.
type Lengths = (usize, usize, u32, PillowFilter);

/// The weights that are known. Threads share
/// them, because work is shared out to a thread in small parts.
static SIDES: RwLock<Option<HashMap<Lengths, Arc<Side>>>> = RwLock::new(None);

/// More lengths than images have; then all are forgotten.
const MAX_SIDES: usize = 1024;

/// The weights from one length to another.
fn side(key: Lengths) -> Arc<Side> {
    let known = SIDES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(side) = known.as_ref().and_then(|sides| sides.get(&key)) {
        return side.clone();
    }
    drop(known);
    let side = Arc::new(Side::new(key));
    let mut known = SIDES.write().unwrap_or_else(PoisonError::into_inner);
    let sides = known.get_or_insert_default();
    if sides.len() >= MAX_SIDES {
        sides.clear();
    }
    sides.insert(key, side.clone());
    side
}

/// For each new pixel the first old one, and as many weights for each.
struct Side {
    starts: Vec<u32>,
    taps: usize,
    weights: Vec<i32>,
    /// For rows of bytes, by their channels: the same in blocks, as vectors take them.
    blocks: [OnceLock<Option<Vec<Block>>>; ImageShape::MAX_CHANNELS],
}

impl Side {
    fn new((from, to, precision, filter): Lengths) -> Self {
        let scale = from as f64 / to as f64;
        let shrink = scale.max(1.0);
        let support = filter.reach() * shrink;
        let windows: Vec<(usize, Vec<f64>)> = (0..to)
            .map(|at| {
                let centre = (at as f64 + 0.5) * scale;
                let first = (centre - support + 0.5).max(0.0) as usize;
                let end = ((centre + support + 0.5) as usize).min(from);
                let weight = |x: usize| filter.weight((x as f64 - centre + 0.5) * (1.0 / shrink));
                let weights: Vec<f64> = (first..end).map(weight).collect();
                let total: f64 = weights.iter().sum();
                (first, weights.iter().map(|weight| weight / total).collect())
            })
            .collect();
        let whole = |weight: f64| (0.5f64.copysign(weight) + weight * f64::from(1u32 << precision)) as i32;
        // Weights of zero at the ends of a window say nothing.
        let windows = windows.into_iter().map(|(first, weights)| {
            let weights: Vec<i32> = weights.into_iter().map(whole).collect();
            let zeros = weights.iter().take_while(|weight| **weight == 0).count();
            let end = weights.len() - weights.iter().rev().take_while(|weight| **weight == 0).count();
            (first + zeros, weights[zeros..end.max(zeros)].to_vec())
        });
        let windows: Vec<(usize, Vec<i32>)> = windows.collect();
        let taps = windows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let mut side =
            Self { starts: Vec::with_capacity(to), taps, weights: vec![0; to * taps], blocks: Default::default() };
        for ((first, weights), places) in windows.into_iter().zip(side.weights.chunks_exact_mut(taps)) {
            // Near the end the window begins earlier, with weights of zero, so that it ends within the side.
            let start = first.min(from - taps);
            side.starts.push(start as u32);
            places[first - start..][..weights.len()].copy_from_slice(&weights);
        }
        side
    }

    #[inline(always)]
    fn blocks(&self, channels: usize) -> Option<&[Block]> {
        self.blocks[channels - 1].get_or_init(|| Block::all(self.windows(), channels)).as_deref()
    }

    #[inline(always)]
    fn windows(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.starts.iter().map(|start| *start as usize).zip(self.weights.chunks_exact(self.taps))
    }
}

/// The weights from one length to another as a device reads them.
#[cfg(feature = "gpu")]
pub(super) fn write_side(from: usize, to: usize, pixel_type: PixelType, words: &mut Vec<u32>) {
    let bits = if pixel_type == PixelType::U16 { precision::<u16>() } else { precision::<u8>() };
    let Side { starts, taps, weights, .. } = Side::new((from, to, bits, PillowFilter::Bilinear));
    side_words(taps, bits, starts.into_iter(), weights.into_iter(), words);
}

/// Bits behind the point of weights: a weighted sum of values fits 31 bits.
#[inline(always)]
fn precision<P: Whole>() -> u32 {
    const { assert!(WEIGHT_BITS == 30 - u8::BITS) };
    30 - P::BITS
}

/// Brings the window at row `y` and column `x` to the shape `to`.
#[inline(always)]
pub(super) fn whole<P: Whole, V: Vector>(
    vector: V,
    old: View<'_, P>,
    [y, x, height, width]: [usize; 4],
    new: &mut [P],
    to: ImageShape,
    between: &mut Vec<P>,
) {
    let (row, channels) = (old.shape.row_values(), old.shape.channels());
    let bits = precision::<P>();
    let side = |from, to| side((from, to, bits, PillowFilter::Bilinear));
    let (across, down) = (side(width, to.width()), side(height, to.height()));
    let across = &*across;
    let to_row = to.row_values();
    let only_across = height == to.height();
    if !only_across {
        between.resize(height * to_row, P::default());
    }
    let first: &mut [P] = if only_across { &mut *new } else { &mut *between };
    // The rows of the window, each with what follows it in the image.
    let old = &old.pixels[y * row + x * channels..];
    if width == to.width() {
        for (at, new) in first.chunks_exact_mut(to_row).enumerate() {
            new.copy_from_slice(&old[at * row..][..to_row]);
        }
    } else {
        bring(vector, old, row, channels, across, first, to_row);
    }
    if only_across {
        return;
    }
    for (new, (start, weights)) in new.chunks_exact_mut(to_row).zip(down.windows()) {
        let rows = &between[start * to_row..];
        if P::BITS == 8 {
            vector.down(bytemuck::cast_slice(rows), to_row, weights, bytemuck::cast_slice_mut(new));
            continue;
        }
        for (i, new) in new.iter_mut().enumerate() {
            let mut sum = 1 << (bits - 1);
            for (tap, weight) in weights.iter().enumerate() {
                sum += rows[tap * to_row + i].get() * weight;
            }
            *new = rounded::<P>(sum);
        }
    }
}

/// Brings rows of pixels to their new length. The old ones begin at multiples of `row`, the new ones have `to_row` values.
#[inline(always)]
fn bring<P: Whole, V: Vector>(
    vector: V,
    old: &[P],
    row: usize,
    channels: usize,
    side: &Side,
    new: &mut [P],
    to_row: usize,
) {
    if V::PERMUTES
        && P::BITS == 8
        && let Some(blocks) = side.blocks(channels)
        && vector.along(bytemuck::cast_slice(old), row, blocks, bytemuck::cast_slice_mut(new), to_row)
    {
        return;
    }
    for (at, new) in new.chunks_exact_mut(to_row).enumerate() {
        let old = &old[at * row..];
        match channels {
            1 => along::<P, 1>(old, side, new),
            2 => along::<P, 2>(old, side, new),
            3 => along::<P, 3>(old, side, new),
            _ => along::<P, 4>(old, side, new),
        }
    }
}

#[inline(always)]
fn rounded<P: Whole>(sum: i32) -> P {
    P::put((sum >> precision::<P>()).clamp(0, P::MAX))
}

/// Brings a row of pixels to its new length.
#[inline(always)]
fn along<P: Whole, const C: usize>(old: &[P], side: &Side, new: &mut [P]) {
    let ((old, _), (new, _)) = (old.as_chunks::<C>(), new.as_chunks_mut::<C>());
    for (new, (start, weights)) in new.iter_mut().zip(side.windows()) {
        let mut sums = [1 << (precision::<P>() - 1); C];
        for (pixel, weight) in old[start..].iter().zip(weights) {
            for channel in 0..C {
                sums[channel] += pixel[channel].get() * weight;
            }
        }
        *new = sums.map(rounded::<P>);
    }
}

/// Brings a whole image of bytes to a size. `between` is a buffer.
pub(crate) fn bytes(
    old: &[u8],
    from: ImageShape,
    filter: PillowFilter,
    to: ImageShape,
    new: &mut Vec<u8>,
    between: &mut Vec<u8>,
) {
    new.clear();
    new.resize(to.values(), 0);
    run_kernel(Level::detect(), Bytes { old, from, filter, to, new, between });
}

/// An image of bytes on its way. Some weights may be below zero, which the vectors of [`whole`] cannot take.
struct Bytes<'a> {
    old: &'a [u8],
    from: ImageShape,
    filter: PillowFilter,
    to: ImageShape,
    new: &'a mut [u8],
    between: &'a mut Vec<u8>,
}

impl Kernel for Bytes<'_> {
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        let Self { old, from, filter, to, new, between } = self;
        let (channels, height, width) = (from.channels(), from.height(), from.width());
        let middle: &[u8] = if width == to.width() {
            old
        } else {
            // Columns as rows, whose values are summed side by side.
            between.resize(old.len() + 2 * to.width() * height * channels, 0);
            let (turned, rest) = between.split_at_mut(old.len());
            let (narrow, middle) = rest.split_at_mut(to.width() * height * channels);
            transpose(old, [height, width, channels], turned);
            down(turned, height * channels, &side((width, to.width(), WEIGHT_BITS, filter)), narrow);
            transpose(narrow, [to.width(), height, channels], middle);
            middle
        };
        match height == to.height() {
            true => new.copy_from_slice(middle),
            false => down(middle, to.row_values(), &side((height, to.height(), WEIGHT_BITS, filter)), new),
        }
    }
}

/// Rows of pixels become columns.
#[inline(always)]
fn transpose(old: &[u8], [height, width, channels]: [usize; 3], new: &mut [u8]) {
    match channels {
        1 => transpose_pixels::<1>(old, height, width, new),
        2 => transpose_pixels::<2>(old, height, width, new),
        3 => transpose_pixels::<3>(old, height, width, new),
        _ => transpose_pixels::<4>(old, height, width, new),
    }
}

#[inline(always)]
fn transpose_pixels<const C: usize>(old: &[u8], height: usize, width: usize, new: &mut [u8]) {
    let ((old, _), (new, _)) = (old.as_chunks::<C>(), new.as_chunks_mut::<C>());
    for (x, new) in new.chunks_exact_mut(height).enumerate() {
        new.iter_mut().zip(old[x..].iter().step_by(width)).for_each(|(new, old)| *new = *old);
    }
}

/// Brings columns of bytes to their new height. `row` is the length of rows.
#[inline(always)]
fn down(old: &[u8], row: usize, side: &Side, new: &mut [u8]) {
    for (new, (start, weights)) in new.chunks_exact_mut(row).zip(side.windows()) {
        let rows = &old[start * row..];
        let mut at = 0;
        while at < row {
            // The last stretch may begin within the one before: it writes the same values again.
            at = if row >= 16 {
                let at = at.min(row - 16);
                stretch::<16>(&rows[at..], row, weights, &mut new[at..]);
                at + 16
            } else {
                stretch::<1>(&rows[at..], row, weights, &mut new[at..]);
                at + 1
            };
        }
    }
}

/// The first N new values of a row. The old ones are the first of each of `rows`.
#[inline(always)]
fn stretch<const N: usize>(rows: &[u8], row: usize, weights: &[i32], new: &mut [u8]) {
    let mut sums = [1 << (WEIGHT_BITS - 1); N];
    for (tap, weight) in weights.iter().enumerate() {
        let bytes: &[u8; N] = rows[tap * row..].first_chunk().expect("a stretch of a row");
        for lane in 0..N {
            sums[lane] += i32::from(bytes[lane]) * weight;
        }
    }
    let new: &mut [u8; N] = new.first_chunk_mut().expect("a stretch of a row");
    for lane in 0..N {
        new[lane] = rounded(sums[lane]);
    }
}

/// As [`whole`] for floats, in the arithmetic of [`Resampler`].
pub(super) fn floats<P: Pixel>(
    old: View<'_, P>,
    [y, x, height, width]: [usize; 4],
    new: &mut [P],
    to: ImageShape,
    resampler: &mut Resampler,
) {
    let (row, channels) = (old.shape.row_values(), old.shape.channels());
    let rows = old.pixels.chunks_exact(row).skip(y).take(height);
    let window: Vec<P> = rows.flat_map(|row| &row[x * channels..(x + width) * channels]).copied().collect();
    let shape = ImageShape::new(height, width, channels).unwrap_or(to);
    resampler.resample(&window, shape, new, to, Filter::Bilinear);
}
