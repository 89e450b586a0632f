//! Exact sums of integer pixels: Σ C(y, j)·C(x, k)·p for j + k ≤ 3, where C(n, i) is the binomial coefficient.
//!
//! Binomials instead of powers because additions alone make them: if a sum is added to the next at every step, the k-th
//! holds Σ C(steps since p, k)·p. They are smaller than powers too. And parts of an image move to their place exactly, by
//! C(x + a, k) = Σ C(a, k − i)·C(x, i).

use crate::base::pixels::Pixel;
use crate::base::shape::ImageShape;

/// How many sums there are.
pub(super) const PARTS: usize = 10;
/// The j and k of each.
pub(super) const ORDERS: [(usize, usize); PARTS] =
    [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0)];

/// Where the sum of j and k is.
pub(super) const fn place(j: usize, k: usize) -> usize {
    [0, 4, 7, 9][j] + k
}

/// The sums of a channel of an image. The largest is below 2¹⁶ · 2³¹ · 2⁴⁶.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Binomials([u128; PARTS]);

impl Binomials {
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }

    /// Adds the sums of a part of the image, which begins at row `y` and column `x` and counts from there.
    pub fn add_part(&mut self, y: usize, x: usize, part: &[u64; PARTS]) {
        let (by_y, by_x) = (choose(y), choose(x));
        for (sum, (j, k)) in self.0.iter_mut().zip(ORDERS) {
            for a in 0..=j {
                for b in 0..=k {
                    *sum += by_y[j - a] * by_x[k - b] * u128::from(part[place(a, b)]);
                }
            }
        }
    }

    /// Σ (y − cy)ʲ·(x − cx)ᵏ·p about the pixel (cy, cx) that is nearest to the centroid; a half rounds up. Zeros if Σp is 0.
    pub fn about_the_centroid(&self) -> [f64; PARTS] {
        let total = self.0[0];
        if total == 0 {
            return [0.0; PARTS];
        }
        let nearest = |sum: u128| ((2 * sum + total) / (2 * total)) as i128;
        let (by_y, by_x) = (powers_about(nearest(self.0[place(1, 0)])), powers_about(nearest(self.0[place(0, 1)])));
        ORDERS.map(|(j, k)| {
            let mut sum = 0i128;
            for (a, by_y) in by_y[j].iter().enumerate().take(j + 1) {
                for (b, by_x) in by_x[k].iter().enumerate().take(k + 1) {
                    sum += by_y * by_x * self.0[place(a, b)] as i128;
                }
            }
            sum as f64
        })
    }
}

/// C(n, 0) to C(n, 3).
fn choose(n: usize) -> [u128; 4] {
    let n = n as u128;
    let two = n * n.saturating_sub(1) / 2;
    [1, n, two, two * n.saturating_sub(2) / 3]
}

/// (n − c)ⁱ as a sum of binomials of n: the factors of C(n, 0) to C(n, 3), for i from 0 to 3.
fn powers_about(c: i128) -> [[i128; 4]; 4] {
    // n² = 2·C(n, 2) + n and n³ = 6·C(n, 3) + 6·C(n, 2) + n.
    [[1, 0, 0, 0], [-c, 1, 0, 0], [c * c, 1 - 2 * c, 2, 0], [-c * c * c, 1 - 3 * c + 3 * c * c, 6 - 6 * c, 6]]
}

/// A type of integer pixels.
pub(super) trait Cascaded: Pixel {
    /// Rows after which a column's sums could be larger than 32 bits hold: the largest times C(rows, 4) is below 2³².
    const MAX_ROWS: usize;

    fn widened(self) -> u32;
}

impl Cascaded for u8 {
    const MAX_ROWS: usize = 128;

    #[inline(always)]
    fn widened(self) -> u32 {
        self.into()
    }
}

impl Cascaded for u16 {
    const MAX_ROWS: usize = 32;

    #[inline(always)]
    fn widened(self) -> u32 {
        self.into()
    }
}

/// Values of a row that go down the columns together.
const LANES: usize = 16;
/// Pixels of a row whose sums fit 64 bits: those of a column are below 2³², and C(1,024, 4) is below 2³⁶.
const MAX_PIXELS: usize = 1_024;

/// What adds the pixels of images of a shape.
pub(super) struct Workspace {
    shape: ImageShape,
    /// Σ C(y, j)·p of each column of values, for j from 0 to 3.
    columns: [Vec<u32>; 4],
}

impl Workspace {
    pub fn new(shape: ImageShape) -> Self {
        Self { shape, columns: std::array::from_fn(|_| vec![0; shape.row_values()]) }
    }

    /// Adds rows of pixels from row `first` of an image on to the sums of its channels.
    #[inline(always)]
    pub fn add<P: Cascaded>(&mut self, first: usize, pixels: &[P], sums: &mut [Binomials]) {
        let (row_values, channels) = (self.shape.row_values(), self.shape.channels());
        for (strip, pixels) in pixels.chunks(P::MAX_ROWS * row_values).enumerate() {
            self.down(pixels);
            let y = first + strip * P::MAX_ROWS;
            for (channel, sums) in sums.iter_mut().enumerate() {
                for x in (0..self.shape.width()).step_by(MAX_PIXELS) {
                    let end = self.shape.width().min(x + MAX_PIXELS);
                    let columns = self.columns.each_ref().map(|of| &of[x * channels + channel..end * channels]);
                    sums.add_part(y, x, &across(columns, channels));
                }
            }
        }
    }

    /// The columns' sums over some rows.
    #[inline(always)]
    fn down<P: Cascaded>(&mut self, pixels: &[P]) {
        let row_values = self.shape.row_values();
        let mut at = 0;
        while at < row_values {
            // The last columns are taken with some before them again, or alone if there are no more.
            let begin = at.min(row_values.saturating_sub(LANES));
            let lanes = LANES.min(row_values - begin);
            let mut sums = [[0u32; LANES]; 4];
            for row in pixels.chunks_exact(row_values).rev() {
                let values: [P; LANES] = match row[begin..].first_chunk() {
                    Some(values) => *values,
                    None => {
                        let mut values = [P::default(); LANES];
                        values[..lanes].copy_from_slice(&row[begin..]);
                        values
                    }
                };
                for lane in 0..LANES {
                    sums[3][lane] += sums[2][lane];
                    sums[2][lane] += sums[1][lane];
                    sums[1][lane] += sums[0][lane];
                    sums[0][lane] += values[lane].widened();
                }
            }
            for (column, sums) in self.columns.iter_mut().zip(&sums) {
                column[begin..begin + lanes].copy_from_slice(&sums[..lanes]);
            }
            at = begin + lanes;
        }
    }
}

/// The sums of some columns of one channel, whose values are `step` apart.
#[inline(always)]
fn across(columns: [&[u32]; 4], step: usize) -> [u64; PARTS] {
    let mut sums = [0u64; PARTS];
    for at in (0..columns[0].len()).step_by(step).rev() {
        for j in 0..4 {
            for k in (1..4 - j).rev() {
                sums[place(j, k)] += sums[place(j, k - 1)];
            }
            sums[place(j, 0)] += u64::from(columns[j][at]);
        }
    }
    sums
}
