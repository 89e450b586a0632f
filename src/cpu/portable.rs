//! The kernel in plain Rust, written once for every pixel type and channel count; the other levels instantiate it with
//! their instructions for whatever they have no kernel of their own for.

use std::any::{Any, TypeId};

use crate::base::shape::PixelType;
use crate::features::moments::{Moments, Pixel};
use crate::features::{Finisher, Output};

/// What a level computes otherwise than the plain code.
pub(super) trait Kernels: Passes<u16> + Passes<f32> {
    /// The moments of one image of bytes, as [`any_image`].
    fn bytes(self, pixels: &[u8], into: &mut Moments<u8>, spare: &mut Vec<u32>);
}

/// The passes over one image's pixels of type `P`, `C` channels.
pub(super) trait Passes<P: Lanes>: Copy {
    /// Row sums, column sums in the order of a row's values, added to what is there, and Σp². `pixels` are `height` rows
    /// of `cols.len()` values.
    fn first_pass<const C: usize>(
        self,
        pixels: &[P],
        height: usize,
        rows: &mut [P::Sum],
        cols: &mut [P::Sum],
        seconds: &mut [P::Total],
    );

    /// Turns the Σp² of every channel, as the first pass left them, into second moments.
    fn second_pass<const C: usize>(self, pixels: &[P], rows: &[P::Sum], seconds: &mut [P::Total]);
}

/// No instructions beyond the target's baseline.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Kernels for Portable {
    #[inline(always)]
    fn bytes(self, pixels: &[u8], into: &mut Moments<u8>, spare: &mut Vec<u32>) {
        any_image(self, pixels, into, spare);
    }
}

impl<P: Lanes> Passes<P> for Portable {
    #[inline(always)]
    fn first_pass<const C: usize>(
        self,
        pixels: &[P],
        height: usize,
        rows: &mut [P::Sum],
        cols: &mut [P::Sum],
        seconds: &mut [P::Total],
    ) {
        match C {
            3 => first_pass::<P, C, 24>(pixels, height, rows, cols, seconds),
            _ => first_pass::<P, C, 8>(pixels, height, rows, cols, seconds),
        }
    }

    #[inline(always)]
    fn second_pass<const C: usize>(self, pixels: &[P], rows: &[P::Sum], seconds: &mut [P::Total]) {
        P::second_pass::<C>(pixels, rows, seconds);
    }
}

impl Portable {
    pub(super) fn featurize<P: Pixel>(self, finisher: &Finisher, pixels: &[P], out: Output<'_>) {
        images(self, finisher, pixels, out);
    }

    pub(super) fn moments<P: Pixel>(self, pixels: &[P], into: &mut Moments<P>) {
        image(self, pixels, into, &mut Vec::new());
    }
}

/// Image after image: sums, then features while the sums are in cache.
#[inline(always)]
pub(super) fn images<P: Pixel, K: Kernels>(kernels: K, finisher: &Finisher, pixels: &[P], out: Output<'_>) {
    let shape = finisher.shape();
    let mut moments = Moments::zeroed(shape);
    let mut spare = Vec::new();
    let features = out.features.chunks_exact_mut(shape.features());
    let places = features.zip(out.means).zip(out.stds);
    for (pixels, ((features, mean), std)) in pixels.chunks_exact(shape.values()).zip(places) {
        image(kernels, pixels, &mut moments, &mut spare);
        (*mean, *std) = finisher.finish(&moments, features);
    }
}

/// Overwrites `into` with the moments of one image. `spare` is room that is kept from image to image.
#[inline(always)]
pub(super) fn image<P: Pixel, K: Kernels>(kernels: K, pixels: &[P], into: &mut Moments<P>, spare: &mut Vec<P::Sum>) {
    debug_assert_eq!(pixels.len(), into.shape().values());
    match P::TYPE {
        PixelType::U8 => kernels.bytes(same_pixels(pixels), same(into), same(spare)),
        PixelType::U16 => any_image::<u16, K>(kernels, same_pixels(pixels), same(into), same(spare)),
        PixelType::F32 => any_image::<f32, K>(kernels, same_pixels(pixels), same(into), same(spare)),
    }
}

/// `value` under the name of the type that it has.
#[inline(always)]
pub(super) fn same<T: Any, U: Any>(value: &mut T) -> &mut U {
    (value as &mut dyn Any).downcast_mut().expect("P::TYPE names P")
}

#[inline(always)]
fn same_pixels<P: Pixel, Q: Pixel>(pixels: &[P]) -> &[Q] {
    assert_eq!(TypeId::of::<P>(), TypeId::of::<Q>());
    // SAFETY: P and Q are one type.
    unsafe { std::slice::from_raw_parts(pixels.as_ptr().cast(), pixels.len()) }
}

/// The arithmetic of one pixel type, lane by lane.
pub(super) trait Lanes: Pixel {
    /// A sum of squares in one lane; nothing where they are summed in a second pass.
    type Square: Copy + Default;
    /// How many squares one lane can hold.
    const SQUARES: usize;

    fn widen(self) -> Self::Sum;
    fn add(a: Self::Sum, b: Self::Sum) -> Self::Sum;
    fn add_square(sum: Self::Square, value: Self::Sum) -> Self::Square;
    fn add_lane(total: Self::Total, lane: Self::Square) -> Self::Total;

    /// Turns the Σp² of every channel, as the first pass left them, into second moments.
    fn second_pass<const C: usize>(pixels: &[Self], rows: &[Self::Sum], seconds: &mut [Self::Total]);

    /// The second moment of several sets of values from the size, the sum and the second moment of each.
    fn merge(parts: impl Iterator<Item = (usize, Self::Total, Self::Total)> + Clone) -> Self::Total;
}

macro_rules! integer_lanes {
    ($t:ty, $square:ty, $squares:expr) => {
        impl Lanes for $t {
            type Square = $square;
            const SQUARES: usize = $squares;

            #[inline(always)]
            fn widen(self) -> u32 {
                u32::from(self)
            }

            #[inline(always)]
            fn add(a: u32, b: u32) -> u32 {
                a + b
            }

            #[inline(always)]
            fn add_square(sum: $square, value: u32) -> $square {
                sum + <$square>::from(value * value)
            }

            #[inline(always)]
            fn add_lane(total: u64, lane: $square) -> u64 {
                total + u64::from(lane)
            }

            #[inline(always)]
            fn second_pass<const C: usize>(_: &[Self], _: &[u32], _: &mut [u64]) {}

            fn merge(parts: impl Iterator<Item = (usize, u64, u64)> + Clone) -> u64 {
                parts.map(|(_, _, second)| second).sum()
            }
        }
    };
}
integer_lanes!(u8, u32, u32::MAX as usize / (255 * 255));
integer_lanes!(u16, u64, usize::MAX);

impl Lanes for f32 {
    type Square = ();
    const SQUARES: usize = usize::MAX;

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn add(a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn add_square((): (), _: f64) {}

    #[inline(always)]
    fn add_lane(total: f64, (): ()) -> f64 {
        total
    }

    #[inline(always)]
    fn second_pass<const C: usize>(pixels: &[f32], rows: &[f64], seconds: &mut [f64]) {
        match C {
            3 => spread::<C, 48>(pixels, rows, seconds),
            _ => spread::<C, 32>(pixels, rows, seconds),
        }
    }

    fn merge(parts: impl Iterator<Item = (usize, f64, f64)> + Clone) -> f64 {
        let (n, total) = parts.clone().fold((0, 0.0), |(n, total), part| (n + part.0, total + part.1));
        let mean = total / n as f64;
        parts.map(|(n, total, second)| second + n as f64 * (total / n as f64 - mean).powi(2)).sum()
    }
}

/// The mean of every channel, repeated over `L` lanes.
#[inline(always)]
pub(super) fn means<const C: usize, const L: usize>(pixels: &[f32], rows: &[f64]) -> [f64; L] {
    let n = pixels.len() / C;
    let height = rows.len() / C;
    let mut means = [0.0; L];
    for c in 0..C {
        let mean = f32::weigh(&rows[c * height..][..height]).0 / n as f64;
        for lane in (c..L).step_by(C) {
            means[lane] = mean;
        }
    }
    means
}

/// Σ(p − mean)² of every channel, in `L` lanes.
#[inline(always)]
fn spread<const C: usize, const L: usize>(pixels: &[f32], rows: &[f64], seconds: &mut [f64]) {
    let means = means::<C, L>(pixels, rows);
    let mut lanes = [0.0; L];
    let mut add = |lane: usize, pixel: f32| {
        let off = f64::from(pixel) - means[lane];
        lanes[lane] += off * off;
    };
    let (chunks, rest) = pixels.as_chunks::<L>();
    for chunk in chunks {
        for (lane, &pixel) in chunk.iter().enumerate() {
            add(lane, pixel);
        }
    }
    for (lane, &pixel) in rest.iter().enumerate() {
        add(lane, pixel);
    }
    seconds.copy_from_slice(&fold::<f32, C, L>(lanes));
}

/// The sum of each channel's lanes, halves upon halves.
#[inline(always)]
pub(super) fn fold<P: Lanes, const C: usize, const L: usize>(mut lanes: [P::Sum; L]) -> [P::Sum; C] {
    let mut left = L;
    while left > C {
        left /= 2;
        for lane in 0..left {
            lanes[lane] = P::add(lanes[lane], lanes[lane + left]);
        }
    }
    *lanes.first_chunk().expect("L is C times a power of two")
}

/// Overwrites `into` with the moments of one image of any pixel type.
#[inline(always)]
pub(super) fn any_image<P: Lanes, K: Passes<P>>(
    kernels: K,
    pixels: &[P],
    into: &mut Moments<P>,
    spare: &mut Vec<P::Sum>,
) {
    match into.shape().channels() {
        1 => channels::<P, K, 1>(kernels, pixels, into, spare),
        2 => channels::<P, K, 2>(kernels, pixels, into, spare),
        3 => channels::<P, K, 3>(kernels, pixels, into, spare),
        _ => channels::<P, K, 4>(kernels, pixels, into, spare),
    }
}

#[inline(always)]
fn channels<P: Lanes, K: Passes<P>, const C: usize>(
    kernels: K,
    pixels: &[P],
    into: &mut Moments<P>,
    spare: &mut Vec<P::Sum>,
) {
    let shape = into.shape();
    let (height, width) = (shape.height(), shape.width());
    let (rows, cols, seconds) = into.parts_mut();
    if C == 1 {
        cols.fill(P::Sum::default());
        kernels.first_pass::<C>(pixels, height, rows, cols, seconds);
    } else {
        spare.clear();
        spare.resize(width * C, P::Sum::default());
        kernels.first_pass::<C>(pixels, height, rows, spare, seconds);
        for (x, sums) in spare.as_chunks::<C>().0.iter().enumerate() {
            for c in 0..C {
                cols[c * width + x] = sums[c];
            }
        }
    }
    kernels.second_pass::<C>(pixels, rows, seconds);
}

/// A row is taken as W·C values, whatever their channel: value `i` goes to lane `i mod L`, so `L`, a multiple of `C`,
/// keeps the channels apart, and float sums have one order, whichever instructions compute the lanes.
#[inline(always)]
fn first_pass<P: Lanes, const C: usize, const L: usize>(
    pixels: &[P],
    height: usize,
    rows: &mut [P::Sum],
    cols: &mut [P::Sum],
    seconds: &mut [P::Total],
) {
    let row_values = cols.len();
    let (col_chunks, col_rest) = cols.as_chunks_mut::<L>();
    let rows_per_fold = (P::SQUARES / (row_values / L + 1)).max(1);
    seconds.fill(P::Total::default());
    let mut squares = [P::Square::default(); L];
    for (y, row) in pixels.chunks_exact(row_values).enumerate() {
        let mut lanes = [P::Sum::default(); L];
        let mut add = |lane: usize, pixel: P, col: &mut P::Sum| {
            let value = pixel.widen();
            *col = P::add(*col, value);
            lanes[lane] = P::add(lanes[lane], value);
            squares[lane] = P::add_square(squares[lane], value);
        };
        let (chunks, rest) = row.as_chunks::<L>();
        for (chunk, cols) in chunks.iter().zip(&mut *col_chunks) {
            for lane in 0..L {
                add(lane, chunk[lane], &mut cols[lane]);
            }
        }
        for (lane, (&pixel, col)) in rest.iter().zip(&mut *col_rest).enumerate() {
            add(lane, pixel, col);
        }
        for (c, sum) in fold::<P, C, L>(lanes).into_iter().enumerate() {
            rows[c * height + y] = sum;
        }
        if (y + 1) % rows_per_fold == 0 || y + 1 == height {
            for (lane, square) in squares.iter_mut().enumerate() {
                seconds[lane % C] = P::add_lane(seconds[lane % C], std::mem::take(square));
            }
        }
    }
}
