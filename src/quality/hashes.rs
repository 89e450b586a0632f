//! Hashes of images: three by which similar images are near each other, and one that only equal images share.

use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, UInt64Array};
use arrow_schema::{DataType, Field};
use rayon::prelude::*;

use super::distinct::mixed;
use super::gray::EightBit;
use crate::base::error::Result;
use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;
use crate::base::simd::{Level, Simd, SimdKernel, run_simd};
use crate::images::ImageBatch;
use crate::run::observe::{Observed, Observer};

/// The hashes of an image that the Python package imagehash 4.3 computes by default, of 64 bits each.
///
/// The first bit is the highest one, and bits go row by row: `format!("{:016x}", hashes.phash)` is imagehash's text. All three
/// look at the gray of the image in 8 bits (BT.601; alpha is left out; 16-bit pixels are divided by 256, and floats by a scale),
/// which is resized with Lanczos's filter in the whole-number arithmetic of Pillow's `resize`, the width first.
///
/// They are the same on every machine. `ahash` and `dhash` equal imagehash's for every image of 8 bits, with Pillow up to 12; Pillow
/// 13 resizes the height of some images first that are higher than wide, and then a few bits may differ. `phash` is equal where no
/// two of the middle frequencies are equal but for rounding: imagehash computes them in floats, and this in integers. So a flat
/// image always has the hash 8000000000000000 here.
///
/// ```
/// use pixelfeat::PixelSlice;
/// use pixelfeat::quality::ImageHashes;
///
/// # fn main() -> pixelfeat::Result<()> {
/// let rising: Vec<u8> = (0..64).map(|i| 30 * (i % 8)).collect();
/// let hashes = ImageHashes::of("8x8".parse()?, PixelSlice::U8(&rising), 1.0)?;
/// assert_eq!((hashes.ahash, hashes.dhash), (0x0f0f_0f0f_0f0f_0f0f, u64::MAX));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ImageHashes {
    /// Of the image as 8×8: which pixels are brighter than the mean.
    pub ahash: u64,
    /// Of the image as 8 rows of 9 pixels: which pixels are brighter than the one to their left.
    pub dhash: u64,
    /// Of the image as 32×32: which of the 8×8 lowest frequencies of its cosine transform are above their median.
    pub phash: u64,
}

impl ImageHashes {
    /// The hashes of one image. `scale` is what floats are divided by to be from 0 to 1; other pixels have no use for it.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) if there are not as many pixels as the shape says.
    pub fn of(shape: ImageShape, pixels: PixelSlice<'_>, scale: f64) -> Result<Self> {
        Ok(Self::of_image(&mut EightBit::of(shape, pixels, scale)?, &mut Vec::new()))
    }

    fn of_image(image: &mut EightBit, small: &mut Vec<u8>) -> Self {
        image.gray_at([8, 8], small);
        let sum: u32 = small.iter().map(|&p| u32::from(p)).sum();
        let ahash = bits(small.iter().map(|&p| 64 * u32::from(p) > sum));
        image.gray_at([8, 9], small);
        let dhash = bits(small.chunks_exact(9).flat_map(|row| row.windows(2)).map(|pair| pair[1] > pair[0]));
        Self { ahash, dhash, phash: phash(image, small) }
    }
}

/// Bits, the first one highest.
fn bits(all: impl Iterator<Item = bool>) -> u64 {
    all.fold(0, |hash, bit| hash << 1 | u64::from(bit))
}

/// The side of the image that is transformed, and how many frequencies are kept in each direction.
const SIDE: usize = 32;
const KEPT: usize = 8;
/// Half of the pixels of a side are enough: those of the other half have the same weights, or the opposite ones in odd frequencies.
const HALF: usize = SIDE / 2;

/// 2²⁰·cos(πk(2n + 1)/64), rounded: the weight of pixel n in frequency k. For each n, because vectors hold all k.
static COSINES: LazyLock<[[f64; KEPT]; HALF]> = LazyLock::new(|| {
    let angle = |k: usize, n: usize| std::f64::consts::PI * (k * (2 * n + 1)) as f64 / (2 * SIDE) as f64;
    let weight = |k: usize, n: usize| (libm::cos(angle(k, n)) * f64::from(1 << 20)).round();
    std::array::from_fn(|n| std::array::from_fn(|k| weight(k, n)))
});

/// The third of [`ImageHashes`]. At most half of its bits are set, so it is never [`u64::MAX`].
pub(super) fn phash(image: &mut EightBit, small: &mut Vec<u8>) -> u64 {
    image.gray_at([SIDE, SIDE], small);
    let mut all = [0; KEPT * KEPT];
    run_simd(Level::detect(), Frequencies { pixels: small, all: &mut all });
    let mut by_size = all;
    let (lower, upper, _) = by_size.select_nth_unstable(KEPT * KEPT / 2);
    let middle = *upper + lower.iter().max().copied().unwrap_or_default();
    bits(all.iter().map(|d| 2 * d > middle))
}

/// The lowest frequencies of an image of 32×32 pixels, row by row: sums of pixels, each times the weights of its row and its
/// column. It has no vectors of its own: the compiler makes those of the level.
struct Frequencies<'a> {
    pixels: &'a [u8],
    all: &'a mut [i64; KEPT * KEPT],
}

/// So many columns are added up together.
const TOGETHER: usize = 8;
/// Sums of columns are cut into multiples of this and a rest, so that sums of their products are exact as floats.
const PART: f64 = 131_072.0;

impl SimdKernel for Frequencies<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let cosines = &*COSINES;
        // Down the columns, in floats, which are exact here: all are whole numbers, and sums are below 2³³.
        let mut columns = [[0.0; SIDE]; KEPT];
        for start in (0..SIDE).step_by(TOGETHER) {
            let mut sums = [[0.0; TOGETHER]; KEPT];
            for (n, weights) in cosines.iter().enumerate() {
                let (upper, lower) = (&self.pixels[n * SIDE + start..], &self.pixels[(SIDE - 1 - n) * SIDE + start..]);
                let (upper, lower) = (&upper[..TOGETHER], &lower[..TOGETHER]);
                let mut folded = [[0.0; TOGETHER]; 2];
                for x in 0..TOGETHER {
                    let (upper, lower) = (f64::from(upper[x]), f64::from(lower[x]));
                    (folded[0][x], folded[1][x]) = (upper + lower, upper - lower);
                }
                for (k, sums) in sums.iter_mut().enumerate() {
                    for x in 0..TOGETHER {
                        sums[x] += folded[k % 2][x] * weights[k];
                    }
                }
            }
            for (column, sums) in columns.iter_mut().zip(&sums) {
                column[start..start + TOGETHER].copy_from_slice(sums);
            }
        }
        // Along the rows, in two parts, whose sums are below 2⁴³.
        for (row, found) in columns.iter().zip(self.all.as_chunks_mut::<KEPT>().0) {
            let (mut high, mut low) = ([0.0; KEPT], [0.0; KEPT]);
            for (n, weights) in cosines.iter().enumerate() {
                let folded = [row[n] + row[SIDE - 1 - n], row[n] - row[SIDE - 1 - n]];
                let parts = [(folded[0] / PART) as i32, (folded[1] / PART) as i32];
                for l in 0..KEPT {
                    let part = f64::from(parts[l % 2]);
                    high[l] += part * weights[l];
                    low[l] += (folded[l % 2] - part * PART) * weights[l];
                }
            }
            for l in 0..KEPT {
                found[l] = high[l] as i64 * PART as i64 + low[l] as i64;
            }
        }
    }
}

/// What only images of the same shape, pixel type and pixels share: 128 bits, of which two different images agree in all only by
/// chance. Who wants to can make two images that do.
pub(super) fn fingerprint(shape: ImageShape, pixels: PixelSlice<'_>) -> u128 {
    let sides = (shape.height() as u64) << 32 | shape.width() as u64;
    let kind = (shape.channels() * 8 + pixels.pixel_type().bytes()) as u64;
    let mut halves = [mixed(sides ^ mixed(kind)), mixed(kind ^ mixed(!sides))];
    let mut add = |word: u64| halves = halves.map(|half| mixed(half ^ word));
    let (words, rest) = pixels.as_bytes().as_chunks::<8>();
    words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    add(u64::from_le_bytes(last));
    u128::from(halves[0]) << 64 | u128::from(halves[1])
}

/// What is computed of each image of a batch, with the rows of the images, in parallel.
pub(super) fn each_image<T: Send, W: Default>(
    batch: &Observed<'_>,
    compute: impl Fn(&mut W, ImageShape, PixelSlice<'_>) -> T + Sync,
) -> Vec<Option<T>> {
    some_images(batch, |_| true, compute)
}

/// As [`each_image`], of the images of some rows alone.
pub(super) fn some_images<T: Send, W: Default>(
    batch: &Observed<'_>,
    is_wanted: impl Fn(usize) -> bool,
    compute: impl Fn(&mut W, ImageShape, PixelSlice<'_>) -> T + Sync,
) -> Vec<Option<T>> {
    let mut found: Vec<Option<T>> = (0..batch.input.num_rows()).map(|_| None).collect();
    for (rows, images) in batch.images() {
        let (shape, pixels) = (images.shape(), images.pixels().as_slice());
        let image = |place: usize| pixels.range(place * shape.values()..(place + 1) * shape.values());
        let places = valid_places(images).map(|(row, place)| (rows.map_or(row, |rows| rows[row]), place));
        let places: Vec<(usize, usize)> = places.filter(|(row, _)| is_wanted(*row)).collect();
        let computed: Vec<T> =
            places.par_iter().map_init(W::default, |work, &(_, place)| compute(work, shape, image(place))).collect();
        for ((row, _), computed) in places.into_iter().zip(computed) {
            found[row] = Some(computed);
        }
    }
    found
}

/// The rows of a batch of images that have one, and the places of these.
fn valid_places(images: &ImageBatch) -> impl Iterator<Item = (usize, usize)> {
    images.places().enumerate().filter_map(|(row, place)| Some((row, place?)))
}

/// Adds the columns `ahash`, `dhash` and `phash` to the output of a run: [`ImageHashes`] of the images as they are featurized,
/// as UInt64, and null where a row has no image.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct HashColumns;

impl Observer for HashColumns {
    fn fields(&self) -> Vec<Field> {
        ["ahash", "dhash", "phash"].map(|name| Field::new(name, DataType::UInt64, true)).to_vec()
    }

    fn observe(&mut self, _: &Observed<'_>) -> Result<()> {
        Ok(())
    }

    fn columns(&mut self, batch: &Observed<'_>) -> Result<Vec<ArrayRef>> {
        let scale = batch.layout.scale();
        let hashes = each_image(batch, |(image, small): &mut (EightBit, Vec<u8>), shape, pixels| {
            image.take(shape, pixels, scale);
            ImageHashes::of_image(image, small)
        });
        let column = |of: fn(&ImageHashes) -> u64| -> ArrayRef {
            Arc::new(hashes.iter().map(|hashes| hashes.as_ref().map(of)).collect::<UInt64Array>())
        };
        Ok(vec![column(|of| of.ahash), column(|of| of.dhash), column(|of| of.phash)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shape: &str, pixels: &[u8]) -> ImageHashes {
        ImageHashes::of(shape.parse().unwrap(), PixelSlice::U8(pixels), 1.0).unwrap()
    }

    #[test]
    fn the_first_bit_is_the_highest() {
        let mut pixels = [10; 64];
        pixels[0] = 200;
        // Of a size that needs no resizing: the pixel is the only one above the mean.
        assert_eq!(of("8x8", &pixels).ahash, 1 << 63);
        let flat = of("5x7", &[9; 35]);
        assert_eq!((flat.ahash, flat.dhash, flat.phash), (0, 0, 1 << 63));
    }

    #[test]
    fn frequencies_are_those_of_whole_numbers_at_every_level() {
        let weight = |k: usize, n: usize| match n < HALF {
            true => COSINES[n][k] as i64,
            false => COSINES[SIDE - 1 - n][k] as i64 * [1, -1][k % 2],
        };
        let mixed: Vec<u8> = (0..SIDE * SIDE).map(|i| (i * i * 31 % 257) as u8).collect();
        let halves: Vec<u8> = (0..SIDE * SIDE).map(|i| if i % SIDE < HALF { 255 } else { 0 }).collect();
        for pixels in [mixed, halves, vec![255; SIDE * SIDE]] {
            let expected: [i64; KEPT * KEPT] = std::array::from_fn(|at| {
                let product = |i: usize| weight(at / KEPT, i / SIDE) * weight(at % KEPT, i % SIDE);
                (0..SIDE * SIDE).map(|i| i64::from(pixels[i]) * product(i)).sum()
            });
            for level in Level::ALL {
                let mut all = [0; KEPT * KEPT];
                run_simd(level, Frequencies { pixels: &pixels, all: &mut all });
                assert_eq!(all, expected, "{level}");
            }
        }
    }

    #[test]
    fn other_pixel_types_hash_as_their_upper_8_bits() {
        let bytes: Vec<u8> = (0..20 * 30).map(|i| (i * i * 7 % 251) as u8).collect();
        let words: Vec<u16> = bytes.iter().map(|&b| u16::from(b) << 8 | 0x5a).collect();
        let floats: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0 * 3.0).collect();
        let shape = "20x30".parse().unwrap();
        let expected = of("20x30", &bytes);
        assert_eq!(ImageHashes::of(shape, PixelSlice::U16(&words), 1.0).unwrap(), expected);
        assert_eq!(ImageHashes::of(shape, PixelSlice::F32(&floats), 3.0).unwrap(), expected);
        let message = ImageHashes::of(shape, PixelSlice::U8(&bytes[1..]), 1.0).unwrap_err().to_string();
        assert_eq!(message, "pixels: an image of 20x30 has 600 values, and there are 599");
    }

    #[test]
    fn fingerprints_tell_apart_what_differs_in_shape_type_or_place() {
        let shape = |text: &str| text.parse::<ImageShape>().unwrap();
        let bytes = [0u8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut moved = bytes;
        moved.swap(2, 3);
        let all = [
            fingerprint(shape("3x4"), PixelSlice::U8(&bytes)),
            fingerprint(shape("4x3"), PixelSlice::U8(&bytes)),
            fingerprint(shape("2x2x3"), PixelSlice::U8(&bytes)),
            fingerprint(shape("3x4"), PixelSlice::U8(&moved)),
            fingerprint(shape("3x4"), PixelSlice::F32(&[0.0; 12])),
            fingerprint(shape("3x4"), PixelSlice::U16(&[0; 12])),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b && a >> 64 != b >> 64 && *a as u64 != *b as u64), "{i}");
        }
        assert_eq!(all[0], fingerprint(shape("3x4"), PixelSlice::U8(&bytes)));
    }
}
