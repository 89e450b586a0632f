//! What is counted and measured of one image: a few passes over its bytes, with the fastest instructions of the CPU.

use crate::base::simd::{Level, Simd, SimdKernel, run_simd};

/// The longest vector.
const BLOCK: usize = 64;
/// The sums of so many bytes fit those of a vector.
const AT_ONCE: usize = 1 << 14;
/// So many pixels of the edges of an image are kept at a time, so that they stay in the cache: whole rows, at least one.
const EDGES: usize = 1 << 12;
/// So many bytes are counted at a time.
const PART: usize = 1 << 10;
/// How many tables bytes are counted in.
const TABLES: usize = 4;

/// Counts of bytes, in several tables: who counts the same byte again in one table waits for the count before.
pub(super) struct ByteCounts {
    tables: [[u32; 256]; TABLES],
    channels: usize,
    /// The bytes of a part that are not 0, and what is written behind them.
    others: [u8; PART + BLOCK],
}

impl ByteCounts {
    pub fn new(channels: usize) -> Self {
        Self { tables: [[0; 256]; TABLES], channels, others: [0; PART + BLOCK] }
    }

    /// Adds the bytes of an image. There may be no more than 2³² in all.
    pub fn add(&mut self, bytes: &[u8]) {
        let tables = &mut self.tables;
        if self.channels == 3 {
            let (pixels, _) = bytes.as_chunks::<3>();
            for [r, g, b] in pixels.iter().map(|pixel| pixel.map(usize::from)) {
                (tables[0][r], tables[1][g], tables[2][b]) = (tables[0][r] + 1, tables[1][g] + 1, tables[2][b] + 1);
            }
            return;
        }
        if self.channels == 1 {
            return run_simd(Level::detect(), CountBytes { bytes, tables, others: &mut self.others });
        }
        count(bytes, tables);
    }

    /// The tables, with the channel that each belongs to. A channel may have several.
    pub fn tables(&self) -> impl Iterator<Item = (usize, &[u32; 256])> {
        // Three channels use three tables, and the numbers of other channels divide four.
        self.tables.iter().enumerate().map(|(at, table)| (at % self.channels, table))
    }
}

/// Counts bytes. The background of images is often 0, so zeros are not counted one by one.
struct CountBytes<'a> {
    bytes: &'a [u8],
    tables: &'a mut [[u32; 256]; TABLES],
    others: &'a mut [u8; PART + BLOCK],
}

impl SimdKernel for CountBytes<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { bytes, tables, others } = self;
        for part in bytes.chunks(PART) {
            let (vectors, mut found) = (part.chunks_exact(S::LANES), 0);
            let rest = vectors.remainder();
            for vector in vectors {
                found += simd.store_not_zero(simd.load(vector), &mut others[found..]);
            }
            count(&others[..found], tables);
            count(rest, tables);
            tables[0][0] += (part.len() - rest.len() - found) as u32;
        }
    }
}

#[inline(always)]
fn count(bytes: &[u8], tables: &mut [[u32; 256]; TABLES]) {
    let (groups, rest) = bytes.as_chunks::<TABLES>();
    for group in groups {
        for (table, &byte) in tables.iter_mut().zip(group) {
            table[usize::from(byte)] += 1;
        }
    }
    for (table, &byte) in tables.iter_mut().zip(rest) {
        table[usize::from(byte)] += 1;
    }
}

/// [`MEASURES`](super::MEASURES) of a gray image. `edges` is a buffer.
pub(super) fn measure(gray: &[u8], width: usize, edges: &mut Vec<u8>) -> [f64; 5] {
    let n = gray.len() as f64;
    let mut sums = [0; 3];
    run_simd(Level::detect(), Sums { gray, sums: &mut sums });
    let [sum, squares, black] = sums;
    let contrast = deviation(gray.len(), sum, squares);
    let sharpness = edge_deviation(gray, width, edges);
    [sum as f64 / n / 255.0, contrast / 255.0, black as f64 / n, sharpness, vertical_edges(gray, width)]
}

/// The measure `vertical_edges` of a gray image.
fn vertical_edges(gray: &[u8], width: usize) -> f64 {
    let mut sums = [0; 2];
    run_simd(Level::detect(), Differences { gray, width, sums: &mut sums });
    let [across, down] = sums;
    if across + down == 0 { 0.5 } else { across as f64 / (across + down) as f64 }
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

/// The deviation of a filter that finds edges, as Pillow's `FIND_EDGES` does. `edges` is a buffer.
pub(super) fn edge_deviation(gray: &[u8], width: usize, edges: &mut Vec<u8>) -> f64 {
    let mut sums = [0; 3];
    run_simd(Level::detect(), EdgeSums { gray, width, edges, sums: &mut sums });
    deviation(gray.len(), sums[0], sums[1])
}

/// Adds the bytes, their squares, and how many are 0.
struct Sums<'a> {
    gray: &'a [u8],
    sums: &'a mut [u64; 3],
}

impl SimdKernel for Sums<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        add_sums(simd, self.gray, self.sums);
    }
}

/// Adds the same sums of the edges that the filter finds. Pixels at the border count as they are.
struct EdgeSums<'a> {
    gray: &'a [u8],
    width: usize,
    edges: &'a mut Vec<u8>,
    sums: &'a mut [u64; 3],
}

impl SimdKernel for EdgeSums<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gray, width, edges, sums } = self;
        let height = gray.len() / width;
        if height < 3 || width < 3 {
            return add_sums(simd, gray, sums);
        }
        add_sums(simd, &gray[..width], sums);
        add_sums(simd, &gray[gray.len() - width..], sums);
        let together = (EDGES / width).max(1);
        for first in (1..height - 1).step_by(together) {
            let rows = together.min(height - 1 - first);
            let three = [first - 1, first, first + 1].map(|y| &gray[y * width..][..rows * width]);
            edges.resize(rows * width, 0);
            // As if all rows were one. What that makes of the border is put right behind.
            find_edges(simd, three, &mut edges[1..rows * width - 1]);
            for (found, row) in edges.chunks_exact_mut(width).zip(three[1].chunks_exact(width)) {
                (found[0], found[width - 1]) = (row[0], row[width - 1]);
            }
            add_sums(simd, edges, sums);
        }
    }
}

/// Adds how much neighbours in a row of pixels differ, and neighbours in a column.
struct Differences<'a> {
    gray: &'a [u8],
    width: usize,
    sums: &'a mut [u64; 2],
}

impl SimdKernel for Differences<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gray, width, sums } = self;
        // As if all rows were one; the end of a row and the start of the next one are no neighbours.
        let mut across = add_differences(simd, &gray[..gray.len() - 1], &gray[1..]);
        for start in (width..gray.len()).step_by(width) {
            across -= u64::from(gray[start - 1].abs_diff(gray[start]));
        }
        *sums = [across, add_differences(simd, &gray[..gray.len() - width], &gray[width..])];
    }
}

/// Adds the differences of two runs of bytes of one length, without their signs.
#[inline(always)]
fn add_differences<S: Simd>(simd: S, a: &[u8], b: &[u8]) -> u64 {
    let mut sum = 0;
    for (a, b) in a.chunks(AT_ONCE).zip(b.chunks(AT_ONCE)) {
        let (a, b) = (a.chunks_exact(S::LANES), b.chunks_exact(S::LANES));
        let last = [a.remainder(), b.remainder()].map(|rest| load_rest(simd, rest));
        let mut found = simd.add_differences(simd.no_sums(), last[0], last[1]);
        for (a, b) in a.zip(b) {
            found = simd.add_differences(found, simd.load(a), simd.load(b));
        }
        sum += simd.totals(found)[0];
    }
    sum
}

/// Finds the edges of the pixels between the first and the last one of the middle row.
#[inline(always)]
fn find_edges<S: Simd>(simd: S, [above, middle, below]: [&[u8]; 3], to: &mut [u8]) {
    let n = to.len();
    if n < S::LANES {
        for (x, to) in to.iter_mut().enumerate() {
            let mut around = 0;
            for row in [above, middle, below] {
                around += u16::from(row[x]) + u16::from(row[x + 1]) + u16::from(row[x + 2]);
            }
            *to = (9 * u16::from(middle[x + 1])).saturating_sub(around).min(255) as u8;
        }
        return;
    }
    for x in (0..n - S::LANES).step_by(S::LANES).chain([n - S::LANES]) {
        // Checked here once, so that no load is.
        let [above, middle, below] = [above, middle, below].map(|row| &row[x..x + S::LANES + 2]);
        let around = [
            simd.load(above),
            simd.load(&above[1..]),
            simd.load(&above[2..]),
            simd.load(middle),
            simd.load(&middle[2..]),
            simd.load(below),
            simd.load(&below[1..]),
            simd.load(&below[2..]),
        ];
        simd.store(simd.edges(simd.load(&middle[1..]), around), &mut to[x..]);
    }
}

/// Less than a vector, with zeros behind.
#[inline(always)]
fn load_rest<S: Simd>(simd: S, rest: &[u8]) -> S::Bytes {
    let mut last = [0; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    simd.load(&last)
}

#[inline(always)]
fn add_sums<S: Simd>(simd: S, gray: &[u8], sums: &mut [u64; 3]) {
    for part in gray.chunks(AT_ONCE) {
        let vectors = part.chunks_exact(S::LANES);
        let rest = vectors.remainder();
        let mut found = simd.add_sums(simd.no_sums(), load_rest(simd, rest));
        for vector in vectors {
            found = simd.add_sums(found, simd.load(vector));
        }
        let [sum, squares, zeros] = simd.totals(found);
        sums[0] += sum;
        sums[1] += squares;
        sums[2] += zeros - (S::LANES - rest.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_found_as_by_the_plain_formula() {
        // Blocks that overlap, several parts of rows, rows shorter than a block, and no block at all.
        for (width, height) in [(7, 5), (28, 28), (66, 3), (200, 90), (5_000, 4), (3, 3)] {
            let gray: Vec<u8> = (0..width * height).map(|i| ((i * 37 + i * i * 11) % 256) as u8).collect();
            let mut edges = gray.iter().map(|&p| i32::from(p)).collect::<Vec<_>>();
            for y in 1..height - 1 {
                for x in 1..width - 1 {
                    let around = (0..9).map(|k| i32::from(gray[(y + k / 3 - 1) * width + x + k % 3 - 1])).sum::<i32>();
                    edges[y * width + x] = (9 * i32::from(gray[y * width + x]) - around).clamp(0, 255);
                }
            }
            let (sum, squares) = edges.iter().fold((0, 0), |(s, q), &e| (s + e as u64, q + (e * e) as u64));
            let expected = deviation(gray.len(), sum, squares);
            let mut buffer = Vec::new();
            assert_eq!(edge_deviation(&gray, width, &mut buffer), expected, "{width}x{height}");
            for level in Level::ALL {
                let mut sums = [0; 3];
                run_simd(level, EdgeSums { gray: &gray, width, edges: &mut buffer, sums: &mut sums });
                assert_eq!(sums[..2], [sum, squares], "{level} {width}x{height}");
            }
        }
        assert_eq!(edge_deviation(&[0, 255], 2, &mut Vec::new()), 127.5);
    }

    #[test]
    fn bytes_are_counted_in_the_tables_of_their_channels() {
        for channels in 1..=4 {
            // Words of zeros among others, and a rest.
            let bytes: Vec<u8> =
                (0..channels * 1_003).map(|i| if i / 24 % 3 == 0 { 0 } else { (i * i) as u8 }).collect();
            let mut counts = ByteCounts::new(channels);
            counts.add(&bytes);
            for channel in 0..channels {
                for value in 0..=255 {
                    let tables = counts.tables().filter(|(of, _)| *of == channel);
                    let found: u32 = tables.map(|(_, table)| table[usize::from(value)]).sum();
                    let all = bytes.iter().skip(channel).step_by(channels);
                    assert_eq!(found as usize, all.filter(|byte| **byte == value).count(), "{channel} of {channels}");
                }
            }
        }
    }

    #[test]
    fn bytes_are_counted_at_every_level() {
        // Every choice of eight neighbours, vectors of zeros and of none, several parts, and a rest.
        let choices = (0..=255u8).flat_map(|choice| (0..8).map(move |bit| (choice >> bit & 1) * (choice | 1)));
        let bytes: Vec<u8> = choices.chain([0; 300]).chain((0..333).map(|i| (i % 255 + 1) as u8)).collect();
        let mut expected = [0; 256];
        bytes.iter().for_each(|&byte| expected[usize::from(byte)] += 1);
        for level in Level::ALL {
            let mut counts = ByteCounts::new(1);
            let ByteCounts { tables, others, .. } = &mut counts;
            run_simd(level, CountBytes { bytes: &bytes, tables, others });
            let found: [u32; 256] = std::array::from_fn(|byte| counts.tables().map(|(_, table)| table[byte]).sum());
            assert_eq!(found, expected, "{level}");
        }
    }

    #[test]
    fn measures_of_a_chequered_image() {
        let [brightness, contrast, black, _, vertical] = measure(&[0, 255, 255, 0], 2, &mut Vec::new());
        assert_eq!((brightness, contrast, black, vertical), (0.5, 0.5, 0.5, 0.5));
    }

    #[test]
    fn edges_have_a_direction() {
        // Rows that end inside a vector, several parts, one row or column, one pixel, and equal pixels.
        for (width, height) in [(28, 28), (7, 5), (300, 170), (1, 9), (9, 1), (1, 1)] {
            let gray: Vec<u8> = (0..width * height).map(|i| ((i * 37 + i * i * 11) % 256) as u8).collect();
            let at = |x: usize, y: usize| i64::from(gray[y * width + x]);
            let (mut across, mut down) = (0, 0);
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                across += if x > 0 { (at(x, y) - at(x - 1, y)).unsigned_abs() } else { 0 };
                down += if y > 0 { (at(x, y) - at(x, y - 1)).unsigned_abs() } else { 0 };
            }
            for level in Level::ALL {
                let mut sums = [0; 2];
                run_simd(level, Differences { gray: &gray, width, sums: &mut sums });
                assert_eq!(sums, [across, down], "{level} {width}x{height}");
            }
        }
        // Stripes, and no edges at all.
        assert_eq!(vertical_edges(&[9, 200, 9, 9, 200, 9], 3), 1.0);
        assert_eq!(vertical_edges(&[9, 9, 200, 200], 2), 0.0);
        assert_eq!(vertical_edges(&[9; 6], 3), 0.5);
    }
}
