//! Resampling: each new pixel is a weighted mean of old ones, along one side of the image and then along the other.
//!
//! The arithmetic is that of Pillow and of fast_image_resize: for 8 and 16-bit pixels weights are whole numbers, and each
//! side rounds once, half up. So results do not depend on the order of additions or the SIMD level. Floats are summed in
//! f64, in an order that the code fixes.

use std::ops::Range;

use crate::base::pixels::Pixel;
use crate::base::shape::{ImageShape, PixelType};
use crate::base::simd::{Level, Simd, SimdKernel, run_simd};
use crate::base::text::names;

/// How an image is resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Filter {
    /// Linear interpolation; where the image gets smaller, over all the pixels that fall under the triangle, as Pillow's
    /// `BILINEAR` does.
    #[default]
    Bilinear,
    /// The mean of the pixels that fall into the new one, as Pillow's `BOX` does.
    Area,
}

names!("resize filter", Filter { "bilinear" => Bilinear, "area" => Area });

impl Filter {
    /// The weight of an old pixel at this distance from the new one, in pixels of the image that is smaller.
    fn weight(self, distance: f64) -> f64 {
        match self {
            Filter::Bilinear => (1.0 - distance.abs()).max(0.0),
            Filter::Area => f64::from(u8::from(distance > -0.5 && distance <= 0.5)),
        }
    }

    /// The distance from which on weights are zero.
    fn reach(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Area => 0.5,
        }
    }
}

/// A thread's buffers, and the weights of the last sizes.
pub struct Resampler {
    u8: Buffers<u8>,
    u16: Buffers<u16>,
    f32: Buffers<f32>,
    level: Level,
}

impl Resampler {
    /// Resamples at this level.
    pub fn at(level: Level) -> Self {
        Self { u8: Buffers::default(), u16: Buffers::default(), f32: Buffers::default(), level }
    }

    /// Resamples interleaved pixels to another height and width.
    pub fn resample<P: Pixel>(&mut self, old: &[P], from: ImageShape, new: &mut [P], to: ImageShape, filter: Filter) {
        let job = Job { level: self.level, from, to, filter };
        match P::TYPE {
            PixelType::U8 => self.u8.run(job, bytemuck::cast_slice(old), bytemuck::cast_slice_mut(new)),
            PixelType::U16 => self.u16.run(job, bytemuck::cast_slice(old), bytemuck::cast_slice_mut(new)),
            PixelType::F32 => self.f32.run(job, bytemuck::cast_slice(old), bytemuck::cast_slice_mut(new)),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
struct Job {
    level: Level,
    from: ImageShape,
    to: ImageShape,
    filter: Filter,
}

/// Pixels that can be resampled.
trait Sample: Pixel {
    type Weight: Copy + Default;
    type Sum: Copy;
    /// Whether the height is brought to its new size before the width. The values between the two are rounded, so the
    /// order shows in the result. This is the order of fast_image_resize.
    const HEIGHT_FIRST: bool;

    /// The bits behind the binary point of weights, of which `largest` is the largest.
    fn precision(largest: f64) -> u32;
    fn weight(weight: f64, precision: u32) -> Self::Weight;
    /// The sum of no pixels, to which half a unit is added for rounding.
    fn zero(precision: u32) -> Self::Sum;
    fn add(sum: Self::Sum, pixel: Self, weight: Self::Weight) -> Self::Sum;
    fn merge(one: Self::Sum, other: Self::Sum) -> Self::Sum;
    fn finish(sum: Self::Sum, precision: u32) -> Self;

    /// Taps along a row are whole multiples of this, if there are so many.
    const TAPS: usize = LANES;

    /// Brings rows of C channels to their new width.
    #[inline(always)]
    fn along<S: Simd, const C: usize>(_: S, along: Along<'_, Self>) {
        let Along { old, side, new, planes, .. } = along;
        for (row, new) in old.values.chunks_exact(old.row).zip(new.chunks_exact_mut(side.starts.len() * C)) {
            several_channels::<Self, C>(side, &row[old.columns.clone()], new, planes);
        }
    }
}

macro_rules! integer_sample {
    ($pixel:ty, $weight:ty, $sum:ty, $height_first:literal, { $($more:item)* }) => {
        impl Sample for $pixel {
            type Weight = $weight;
            type Sum = $sum;
            const HEIGHT_FIRST: bool = $height_first;

            /// As many bits as the largest weight leaves in the type of weights, and the largest sum in that of sums, which
            /// keeps two bits for weights below zero and above one.
            fn precision(largest: f64) -> u32 {
                let max = <$sum>::BITS - <$pixel>::BITS - 2;
                let fits = |bits: &u32| (largest * 2f64.powi(*bits as i32)).round() <= f64::from(<$weight>::MAX);
                (0..max).take_while(fits).last().unwrap_or(0)
            }

            fn weight(weight: f64, precision: u32) -> $weight {
                (weight * 2f64.powi(precision as i32)).round() as $weight
            }

            #[inline(always)]
            fn zero(precision: u32) -> $sum {
                (1 << precision) >> 1
            }

            #[inline(always)]
            fn add(sum: $sum, pixel: $pixel, weight: $weight) -> $sum {
                sum + <$sum>::from(pixel) * <$sum>::from(weight)
            }

            #[inline(always)]
            fn merge(one: $sum, other: $sum) -> $sum {
                one + other
            }

            #[inline(always)]
            fn finish(sum: $sum, precision: u32) -> $pixel {
                (sum >> precision).clamp(0, <$sum>::from(<$pixel>::MAX)) as $pixel
            }

            $($more)*
        }
    };
}
integer_sample!(u8, i16, i32, true, {
    const TAPS: usize = 1;

    #[inline(always)]
    fn along<S: Simd, const C: usize>(simd: S, along: Along<'_, u8>) {
        match C {
            1 => four_rows(simd, along),
            _ => four_values::<S, C>(simd, along),
        }
    }
});
integer_sample!(u16, i32, i64, false, {});

impl Sample for f32 {
    type Weight = f64;
    type Sum = f64;
    const HEIGHT_FIRST: bool = false;

    fn precision(_: f64) -> u32 {
        0
    }

    fn weight(weight: f64, _: u32) -> f64 {
        weight
    }

    #[inline(always)]
    fn zero(_: u32) -> f64 {
        0.0
    }

    #[inline(always)]
    fn add(sum: f64, pixel: f32, weight: f64) -> f64 {
        sum + f64::from(pixel) * weight
    }

    #[inline(always)]
    fn merge(one: f64, other: f64) -> f64 {
        one + other
    }

    #[inline(always)]
    fn finish(sum: f64, _: u32) -> f32 {
        sum as f32
    }
}

/// Weights along one side: for each new pixel the old ones from its start on, as many for each.
struct Side<P: Sample> {
    starts: Vec<usize>,
    /// Old pixels of each new one. Some weights may be zero.
    taps: usize,
    weights: Vec<P::Weight>,
    precision: u32,
    /// The old pixels that have a weight at all. Starts count from the first of these.
    used: Range<usize>,
}

/// Taps along a row are summed in so many parts side by side.
const LANES: usize = 8;

impl<P: Sample> Side<P> {
    /// The weights that bring a side from one length to another. Taps are whole `lanes` if the side is long enough.
    fn new(from: usize, to: usize, filter: Filter, lanes: usize) -> Self {
        let scale = from as f64 / to as f64;
        let shrink = scale.max(1.0);
        let reach = filter.reach() * shrink;
        let windows: Vec<(usize, Vec<f64>)> = (0..to)
            .map(|at| {
                let centre = (at as f64 + 0.5) * scale;
                let first = (centre - reach).floor().max(0.0) as usize;
                let end = ((centre + reach).ceil() as usize).min(from);
                let mut weights: Vec<f64> =
                    (first..end).map(|x| filter.weight((x as f64 - (centre - 0.5)) * (1.0 / shrink))).collect();
                let zeros = weights.iter().take_while(|weight| **weight == 0.0).count();
                weights.drain(..zeros);
                let total: f64 = weights.iter().sum();
                weights.truncate(weights.len() - weights.iter().rev().take_while(|weight| **weight == 0.0).count());
                weights.iter_mut().for_each(|weight| *weight /= total);
                (first + zeros, weights)
            })
            .collect();
        let largest = windows.iter().flat_map(|(_, weights)| weights).copied().fold(0.0, f64::max);
        let precision = P::precision(largest);
        let used = windows.iter().map(|(start, _)| *start).min().unwrap_or(0)
            ..windows.iter().map(|(start, weights)| start + weights.len()).max().unwrap_or(0);
        let longest = windows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let whole = longest.next_multiple_of(lanes);
        let taps = if whole <= used.len() { whole } else { longest };
        let mut side = Self { starts: Vec::new(), taps, weights: Vec::new(), precision, used };
        for (start, weights) in windows {
            let start = start - side.used.start;
            // Near the end the window begins earlier, with weights of zero, so that it ends within the side.
            let shifted = start.min(side.used.len() - taps);
            side.starts.push(shifted);
            let at = side.weights.len() + start - shifted;
            side.weights.resize(side.weights.len() + taps, P::Weight::default());
            for (to, weight) in side.weights[at..].iter_mut().zip(weights) {
                *to = P::weight(weight, precision);
            }
        }
        side
    }

    /// The values of the columns that have a weight.
    fn columns(&self, channels: usize) -> Range<usize> {
        self.used.start * channels..self.used.end * channels
    }

    #[inline(always)]
    fn windows(&self) -> impl ExactSizeIterator<Item = (usize, &[P::Weight])> {
        self.starts.iter().copied().zip(self.weights.chunks_exact(self.taps))
    }
}

/// The weights of 8-bit pixels from one length to another as a device reads them.
#[cfg(feature = "gpu")]
pub(super) fn write_side(from: usize, to: usize, filter: Filter, words: &mut Vec<u32>) {
    let Side { starts, taps, weights, precision, used } = Side::<u8>::new(from, to, filter, 1);
    let starts = starts.into_iter().map(|start| (used.start + start) as u32);
    side_words(taps, precision, starts, weights.into_iter().map(i32::from), words);
}

/// The words of a side's weights as `shaders/steps_resized.wgsl` reads them.
#[cfg(feature = "gpu")]
pub(super) fn side_words(
    taps: usize,
    bits: u32,
    starts: impl Iterator<Item = u32>,
    weights: impl Iterator<Item = i32>,
    words: &mut Vec<u32>,
) {
    words.extend([taps as u32, bits]);
    words.extend(starts);
    words.extend(weights.map(|weight| weight as u32));
}

/// The weights of the last job, and the image between its two passes.
struct Buffers<P: Sample> {
    last: Option<(Job, [Option<Side<P>>; 2])>,
    between: Vec<P>,
    planes: Vec<P>,
}

impl<P: Sample> Default for Buffers<P> {
    fn default() -> Self {
        Self { last: None, between: Vec::new(), planes: Vec::new() }
    }
}

impl<P: Sample> Buffers<P> {
    fn run(&mut self, job: Job, old: &[P], new: &mut [P]) {
        let Job { level, from, to, filter } = job;
        let channels = from.channels();
        if self.last.as_ref().is_none_or(|(last, _)| *last != job) {
            let side = |from, to, lanes| (from != to).then(|| Side::new(from, to, filter, lanes));
            self.last = Some((job, [side(from.height(), to.height(), 1), side(from.width(), to.width(), P::TAPS)]));
        }
        let Some((_, [height, width])) = &self.last else { return };
        let row = from.width() * channels;
        match (height, width) {
            (None, None) => new.copy_from_slice(old),
            (Some(height), None) => {
                let old = Rows { values: &old[height.used.start * row..], row, columns: 0..row };
                run_simd(level, Down { old, side: height, new });
            }
            (None, Some(width)) => {
                let old = Rows { values: old, row, columns: width.columns(channels) };
                run_simd(level, Along { old, channels, side: width, new, planes: &mut self.planes });
            }
            (Some(height), Some(width)) if P::HEIGHT_FIRST => {
                let columns = width.columns(channels);
                let (between_row, values) = (columns.len(), &old[height.used.start * row..]);
                self.between.resize(to.height() * between_row, P::default());
                let old = Rows { values, row, columns };
                run_simd(level, Down { old, side: height, new: &mut self.between });
                let old = Rows { values: &self.between, row: between_row, columns: 0..between_row };
                run_simd(level, Along { old, channels, side: width, new, planes: &mut self.planes });
            }
            (Some(height), Some(width)) => {
                let between_row = to.width() * channels;
                self.between.resize(height.used.len() * between_row, P::default());
                let values = &old[height.used.start * row..height.used.end * row];
                let old = Rows { values, row, columns: width.columns(channels) };
                run_simd(level, Along { old, channels, side: width, new: &mut self.between, planes: &mut self.planes });
                let old = Rows { values: &self.between, row: between_row, columns: 0..between_row };
                run_simd(level, Down { old, side: height, new });
            }
        }
    }
}

/// Rows of values, of which some columns count.
struct Rows<'a, P> {
    values: &'a [P],
    /// Values in a row.
    row: usize,
    columns: Range<usize>,
}

/// Brings the height to its new size.
struct Down<'a, P: Sample> {
    old: Rows<'a, P>,
    side: &'a Side<P>,
    new: &'a mut [P],
}

impl<P: Sample> SimdKernel for Down<'_, P> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { old, side, new } = self;
        let columns = old.columns.len();
        for (new, (start, weights)) in new.chunks_exact_mut(columns).zip(side.windows()) {
            let rows = &old.values[start * old.row + old.columns.start..];
            let mut at = 0;
            while at < columns {
                // The last stretch may begin within the one before: it writes the same values again.
                at = if columns >= 32 {
                    let at = at.min(columns - 32);
                    stretch::<P, 32>(&rows[at..], old.row, side, weights, &mut new[at..]);
                    at + 32
                } else if columns >= 8 {
                    let at = at.min(columns - 8);
                    stretch::<P, 8>(&rows[at..], old.row, side, weights, &mut new[at..]);
                    at + 8
                } else {
                    stretch::<P, 1>(&rows[at..], old.row, side, weights, &mut new[at..]);
                    at + 1
                };
            }
        }
    }
}

/// The first N new values of a row, whose sums stay in registers. The old ones are the first of `rows`.
#[inline(always)]
fn stretch<P: Sample, const N: usize>(rows: &[P], row: usize, side: &Side<P>, weights: &[P::Weight], new: &mut [P]) {
    let mut sums = [P::zero(side.precision); N];
    for (tap, &weight) in weights.iter().enumerate() {
        let pixels: &[P; N] = rows[tap * row..].first_chunk().expect("a stretch of a row");
        for lane in 0..N {
            sums[lane] = P::add(sums[lane], pixels[lane], weight);
        }
    }
    let new: &mut [P; N] = new.first_chunk_mut().expect("a stretch of a row");
    for lane in 0..N {
        new[lane] = P::finish(sums[lane], side.precision);
    }
}

/// Brings the width to its new size.
struct Along<'a, P: Sample> {
    old: Rows<'a, P>,
    channels: usize,
    side: &'a Side<P>,
    new: &'a mut [P],
    /// Room for the channels of a row, one after another.
    planes: &'a mut Vec<P>,
}

impl<P: Sample> SimdKernel for Along<'_, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.channels {
            1 => P::along::<S, 1>(simd, self),
            2 => P::along::<S, 2>(simd, self),
            3 => P::along::<S, 3>(simd, self),
            _ => P::along::<S, 4>(simd, self),
        }
    }
}

/// Brings rows of bytes to their new width, pixel by pixel: the values of a pixel, and of the next one where a pixel has
/// fewer, are summed side by side.
#[inline(always)]
fn four_values<S: Simd, const C: usize>(simd: S, along: Along<'_, u8>) {
    let Along { old, side, new, .. } = along;
    let zero = simd.four(u8::zero(side.precision));
    for (row, new) in old.values.chunks_exact(old.row).zip(new.chunks_exact_mut(side.starts.len() * C)) {
        let row = &row[old.columns.clone()];
        for (new, (start, weights)) in new.chunks_exact_mut(C).zip(side.windows()) {
            let pixels = &row[start * C..];
            let mut sums = zero;
            if pixels.len() >= side.taps * C + 4 - C {
                for (bytes, &weight) in pixels.windows(4).step_by(C).zip(weights) {
                    let bytes = bytes.try_into().expect("four bytes");
                    sums = simd.add_weighed(sums, bytes, weight);
                }
            } else {
                for (pixel, &weight) in pixels.chunks_exact(C).zip(weights) {
                    let mut bytes = [0; 4];
                    bytes[..C].copy_from_slice(pixel);
                    sums = simd.add_weighed(sums, bytes, weight);
                }
            }
            new.copy_from_slice(&simd.to_bytes(sums, side.precision)[..C]);
        }
    }
}

/// Brings rows of one byte a pixel to their new width, four rows side by side.
#[inline(always)]
fn four_rows<S: Simd>(simd: S, along: Along<'_, u8>) {
    let Along { old, side, new, .. } = along;
    let (zero, width) = (simd.four(u8::zero(side.precision)), side.starts.len());
    for (rows, new) in old.values.chunks(4 * old.row).zip(new.chunks_mut(4 * width)) {
        // The last rows may be fewer than four: the last of all stands for those that are missing.
        let last = rows.len() / old.row - 1;
        let row = |at: usize| &rows[at.min(last) * old.row..][old.columns.clone()];
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        for (x, (start, weights)) in side.windows().enumerate() {
            let taps = start..start + side.taps;
            let columns = a[taps.clone()].iter().zip(&b[taps.clone()]).zip(&c[taps.clone()]).zip(&d[taps]);
            let mut sums = zero;
            for ((((&a, &b), &c), &d), &weight) in columns.zip(weights) {
                sums = simd.add_weighed(sums, [a, b, c, d], weight);
            }
            for (new, byte) in new.iter_mut().skip(x).step_by(width).zip(simd.to_bytes(sums, side.precision)) {
                *new = byte;
            }
        }
    }
}

/// The new values of one channel of a row, which are every C-th of `new`.
#[inline(always)]
fn one_channel<P: Sample, const C: usize>(side: &Side<P>, row: &[P], new: &mut [P]) {
    for (new, (start, weights)) in new.iter_mut().step_by(C).zip(side.windows()) {
        let pixels = &row[start..][..side.taps];
        let (pixels, last_pixels) = pixels.as_chunks::<LANES>();
        let (weights, last_weights) = weights.as_chunks::<LANES>();
        let mut sums = [P::zero(0); LANES];
        for (pixels, weights) in pixels.iter().zip(weights) {
            for lane in 0..LANES {
                sums[lane] = P::add(sums[lane], pixels[lane], weights[lane]);
            }
        }
        let mut sum = sums.into_iter().fold(P::zero(side.precision), P::merge);
        for (&pixel, &weight) in last_pixels.iter().zip(last_weights) {
            sum = P::add(sum, pixel, weight);
        }
        *new = P::finish(sum, side.precision);
    }
}

/// The new pixels of C values of a row.
#[inline(always)]
fn several_channels<P: Sample, const C: usize>(side: &Side<P>, row: &[P], new: &mut [P], planes: &mut Vec<P>) {
    let (pixels, _) = row.as_chunks::<C>();
    planes.resize(row.len(), P::default());
    for (c, plane) in planes.chunks_exact_mut(pixels.len()).enumerate() {
        for (to, pixel) in plane.iter_mut().zip(pixels) {
            *to = pixel[c];
        }
        one_channel::<P, C>(side, plane, &mut new[c..]);
    }
}
