//! What is measured of one gray image: exact sums, in one pass over its pixels with the fastest instructions of the CPU.

use crate::base::simd::{Level, MAX_LANES, Simd, SimdKernel, run_simd};

/// The sums of so many bytes fit those of a vector.
const AT_ONCE: usize = 1 << 14;
/// So many pixels are looked at together, so that they stay in the cache: whole rows, at least one.
const BAND: usize = 1 << 13;

/// Sums over the pixels of a gray image, and how many pixels it has.
#[derive(Debug, Clone, Default, PartialEq)]
struct GraySums {
    pixels: usize,
    /// The sum of the pixels, that of their squares, and how many are 0.
    values: [u64; 3],
    /// The sum of the edges that a filter finds, and that of their squares. Pixels at the border count as they are.
    edges: [u64; 2],
    /// How much neighbours in a row differ, and how much neighbours in a column do.
    differences: [u64; 2],
}

/// Measures images. Its buffers serve one image after another.
#[derive(Debug, Default)]
pub(super) struct Measurer {
    /// A band of rows and what is around it.
    pixels: Vec<u8>,
    masks: Masks,
}

impl Measurer {
    /// [`MEASURES`](super::MEASURES) of a gray image.
    pub fn measure(&mut self, gray: &[u8], width: usize) -> [f64; 5] {
        let sums = self.look(gray, width);
        let ([sum, squares, black], n) = (sums.values, sums.pixels as f64);
        let contrast = deviation(sums.pixels, sum, squares);
        [sum as f64 / n / 255.0, contrast / 255.0, black as f64 / n, sums.sharpness(), sums.vertical_edges()]
    }

    /// The measure `sharpness` of a gray image.
    pub fn sharpness(&mut self, gray: &[u8], width: usize) -> f64 {
        self.look(gray, width).sharpness()
    }

    fn look(&mut self, gray: &[u8], width: usize) -> GraySums {
        let mut sums = GraySums::default();
        run_simd(Level::detect(), Look { measurer: self, gray, width, sums: &mut sums });
        sums
    }

    /// Takes a band: copies its pixels and the rows above and below it, if there are any.
    fn take(&mut self, gray: &[u8], start: usize, band: Band) {
        let Band { width, rows, is_first, is_last } = band;
        self.masks.fit(band);
        let from = if is_first { start } else { start - width };
        let to = start + rows * width + if is_last { 0 } else { width };
        // What stands around the image is left as it is: masks hide what it leads to.
        let at = if is_first { 1 + width } else { 1 };
        self.pixels.resize(self.masks.inside.len() + 2 * width + 2, 0);
        self.pixels[at..][..to - from].copy_from_slice(&gray[from..to]);
    }
}

impl GraySums {
    /// The deviation of a filter that finds edges, as Pillow's `FIND_EDGES` does.
    fn sharpness(&self) -> f64 {
        deviation(self.pixels, self.edges[0], self.edges[1])
    }

    fn vertical_edges(&self) -> f64 {
        let [across, down] = self.differences;
        if across + down == 0 { 0.5 } else { across as f64 / (across + down) as f64 }
    }
}

/// The measure `contrast` of a gray image.
pub(super) fn contrast(gray: &[u8]) -> f64 {
    let mut sums = [0; 3];
    run_simd(Level::detect(), Sums { gray, sums: &mut sums });
    deviation(gray.len(), sums[0], sums[1]) / 255.0
}

/// The population standard deviation, from exact sums.
pub(super) fn deviation(n: usize, sum: u64, squares: u64) -> f64 {
    let spread = n as u128 * u128::from(squares) - u128::from(sum) * u128::from(sum);
    (spread as f64).sqrt() / n as f64
}

/// Rows of an image that are looked at together.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Band {
    width: usize,
    rows: usize,
    /// Whether it has the first row of the image.
    is_first: bool,
    /// Whether it has the last one.
    is_last: bool,
}

/// What is true of each pixel of a band: a byte is 255 where it is true, and else 0. Behind the pixels bytes of 0 fill up the last
/// vector.
///
/// The rows of a band follow one another, so that vectors are full even if rows are short. The last pixel of a row then lies beside
/// the first one of the next row. Masks tell that these are no neighbours.
#[derive(Debug, Default)]
struct Masks {
    of: Option<Band>,
    /// It is there.
    inside: Vec<u8>,
    /// It is not at the border of the image.
    inner: Vec<u8>,
    /// It has a neighbour to its right.
    across: Vec<u8>,
    /// It has a neighbour below.
    down: Vec<u8>,
}

impl Masks {
    /// Makes them those of a band.
    fn fit(&mut self, band: Band) {
        let last = band.rows - 1;
        match self.of {
            Some(of) if of == band => {}
            // Only the rows at the ends of bands of one size differ.
            Some(of) if (of.width, of.rows) == (band.width, band.rows) => {
                self.fill_row(band, 0);
                self.fill_row(band, last);
            }
            _ => {
                let whole = (band.width * band.rows).next_multiple_of(MAX_LANES);
                for mask in [&mut self.inside, &mut self.inner, &mut self.across, &mut self.down] {
                    mask.clear();
                    mask.resize(whole, 0);
                }
                (0..=last).for_each(|row| self.fill_row(band, row));
            }
        }
        self.of = Some(band);
    }

    fn fill_row(&mut self, band: Band, row: usize) {
        let (is_top, is_bottom) = (band.is_first && row == 0, band.is_last && row + 1 == band.rows);
        let (start, end) = (row * band.width, (row + 1) * band.width);
        self.inside[start..end].fill(255);
        self.across[start..end - 1].fill(255);
        self.down[start..end].fill(if is_bottom { 0 } else { 255 });
        if band.width > 2 {
            self.inner[start + 1..end - 1].fill(if is_top || is_bottom { 0 } else { 255 });
        }
    }
}

/// Looks at an image.
struct Look<'a> {
    measurer: &'a mut Measurer,
    gray: &'a [u8],
    width: usize,
    sums: &'a mut GraySums,
}

impl SimdKernel for Look<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { measurer, gray, width, sums } = self;
        let height = gray.len() / width;
        let together = (BAND / width).max(1);
        sums.pixels = gray.len();
        for first in (0..height).step_by(together) {
            let rows = together.min(height - first);
            let band = Band { width, rows, is_first: first == 0, is_last: first + rows == height };
            measurer.take(gray, first * width, band);
            add_band(simd, measurer, width, sums);
            sums.values[2] -= (measurer.masks.inside.len() - rows * width) as u64;
        }
    }
}

/// Adds the sums of a band. Nothing behind it differs from 0, so its zeros include what is there.
#[inline(always)]
fn add_band<S: Simd>(simd: S, measurer: &Measurer, width: usize, sums: &mut GraySums) {
    let Masks { inside, inner, across, down, .. } = &measurer.masks;
    // All of one length, so that it is compared once for each vector.
    let (pixels, n) = (&measurer.pixels, inside.len() + 2);
    let (above, middle, below) = (&pixels[..n], &pixels[width..][..n], &pixels[2 * width..][..n]);
    for start in (0..inside.len()).step_by(AT_ONCE) {
        let part = start..inside.len().min(start + AT_ONCE);
        let masks = inside[part.clone()].chunks_exact(S::LANES).zip(inner[part.clone()].chunks_exact(S::LANES));
        let masks = masks.zip(across[part.clone()].chunks_exact(S::LANES).zip(down[part].chunks_exact(S::LANES)));
        let (mut values, mut edges) = (simd.no_sums(), simd.no_sums());
        let (mut to_right, mut to_below) = (simd.no_sums(), simd.no_sums());
        let mut at = start;
        for ((inside, inner), (across, down)) in masks {
            let end = at + S::LANES + 2;
            let rows = [
                load_three(simd, &above[at..end]),
                load_three(simd, &middle[at..end]),
                load_three(simd, &below[at..end]),
            ];
            at += S::LANES;
            let here = simd.and(rows[1][1], simd.load(inside));
            values = simd.add_sums(values, here);
            edges = simd.add_sums(edges, simd.select(simd.load(inner), simd.edges(rows), here));
            let right = simd.select(simd.load(across), rows[1][2], here);
            to_right = simd.add_differences(to_right, here, right);
            let lower = simd.select(simd.load(down), rows[2][1], here);
            to_below = simd.add_differences(to_below, here, lower);
        }
        let (values, [sum, squares, _]) = (simd.totals(values), simd.totals(edges));
        sums.values.iter_mut().zip(values).for_each(|(own, more)| *own += more);
        sums.edges = [sums.edges[0] + sum, sums.edges[1] + squares];
        sums.differences[0] += simd.totals(to_right)[0];
        sums.differences[1] += simd.totals(to_below)[0];
    }
}

/// A vector, and those that start one and two bytes behind it.
#[inline(always)]
fn load_three<S: Simd>(simd: S, bytes: &[u8]) -> [S::Bytes; 3] {
    [simd.load(bytes), simd.load(&bytes[1..]), simd.load(&bytes[2..])]
}

/// Adds the bytes, their squares, and how many are 0.
struct Sums<'a> {
    gray: &'a [u8],
    sums: &'a mut [u64; 3],
}

impl SimdKernel for Sums<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for part in self.gray.chunks(AT_ONCE) {
            let vectors = part.chunks_exact(S::LANES);
            let rest = vectors.remainder();
            let mut last = [0; MAX_LANES];
            last[..rest.len()].copy_from_slice(rest);
            let mut found = simd.add_sums(simd.no_sums(), simd.load(&last));
            for vector in vectors {
                found = simd.add_sums(found, simd.load(vector));
            }
            self.sums.iter_mut().zip(simd.totals(found)).for_each(|(own, more)| *own += more);
            self.sums[2] -= (S::LANES - rest.len()) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: usize, height: usize) -> Vec<u8> {
        (0..width * height).map(|i| if i / 9 % 4 == 0 { 0 } else { ((i * 37 + i * i * 11) % 256) as u8 }).collect()
    }

    /// By the formulas, pixel by pixel.
    fn plain(gray: &[u8], width: usize) -> GraySums {
        let height = gray.len() / width;
        let at = |x: usize, y: usize| i64::from(gray[y * width + x]);
        let mut sums = GraySums { pixels: gray.len(), ..GraySums::default() };
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let value = at(x, y) as u64;
            sums.values =
                [sums.values[0] + value, sums.values[1] + value * value, sums.values[2] + u64::from(value == 0)];
            let is_inner = x > 0 && y > 0 && x + 1 < width && y + 1 < height;
            let edge = match is_inner {
                true => {
                    let all: i64 = (0..9).map(|k| at(x + k % 3 - 1, y + k / 3 - 1)).sum();
                    (9 * at(x, y) - all).clamp(0, 255) as u64
                }
                false => value,
            };
            sums.edges = [sums.edges[0] + edge, sums.edges[1] + edge * edge];
            sums.differences[0] += if x > 0 { (at(x, y) - at(x - 1, y)).unsigned_abs() } else { 0 };
            sums.differences[1] += if y > 0 { (at(x, y) - at(x, y - 1)).unsigned_abs() } else { 0 };
        }
        sums
    }

    #[test]
    fn sums_are_those_of_the_plain_formulas() {
        // Rows that end inside a vector, several bands, one row, one column, rows longer than a band, and again a smaller image
        // with the buffers of a larger one.
        let shapes =
            [(28, 28), (7, 5), (300, 170), (66, 3), (200, 90), (5_000, 4), (40_000, 3), (3, 3), (2, 9), (1, 9)];
        for level in Level::ALL {
            let mut measurer = Measurer::default();
            for (width, height) in shapes.into_iter().chain([(9, 1), (1, 1), (28, 28)]) {
                for gray in [image(width, height), vec![255; width * height], vec![0; width * height]] {
                    let mut found = GraySums::default();
                    run_simd(level, Look { measurer: &mut measurer, gray: &gray, width, sums: &mut found });
                    assert_eq!(found, plain(&gray, width), "{level} {width}x{height}");
                    let mut sums = [0; 3];
                    run_simd(level, Sums { gray: &gray, sums: &mut sums });
                    assert_eq!(sums, found.values, "{level} {width}x{height}");
                }
            }
        }
    }

    #[test]
    fn measures_of_a_chequered_image() {
        let mut measurer = Measurer::default();
        let [brightness, contrast, black, sharpness, vertical] = measurer.measure(&[0, 255, 255, 0], 2);
        assert_eq!((brightness, contrast, black, sharpness, vertical), (0.5, 0.5, 0.5, 127.5, 0.5));
        assert_eq!((measurer.sharpness(&[0, 255], 2), super::contrast(&[0, 255])), (127.5, 0.5));
    }

    #[test]
    fn edges_have_a_direction() {
        let mut measurer = Measurer::default();
        let mut vertical = |gray: &[u8], width| measurer.look(gray, width).vertical_edges();
        // Stripes, and no edges at all.
        assert_eq!(vertical(&[9, 200, 9, 9, 200, 9], 3), 1.0);
        assert_eq!(vertical(&[9, 9, 200, 200], 2), 0.0);
        assert_eq!(vertical(&[9; 6], 3), 0.5);
    }
}
