//! The cells and windows of an image, the sums of their directions, and the values that follow from them.

use std::ops::Range;

use crate::base::pixels::Pixel;
use crate::features::family::ImageSpec;

/// Directions of a gradient.
pub(super) const DIRECTIONS: usize = 8;
/// Cells along a side.
pub(super) const CELLS: usize = 10;
/// Windows along a side. Window i has the cells from 2·i on.
pub(super) const WINDOWS: usize = 4;
/// The weights of the cells of a window along a side.
pub(super) const WEIGHTS: [usize; 4] = [1, 3, 3, 1];
/// Values of a channel.
pub(super) const VALUES: usize = WINDOWS * WINDOWS * DIRECTIONS;

/// Sums of the directions of some cells side by side.
pub(super) type CellRow<T> = [[T; DIRECTIONS]; CELLS];

/// The arithmetic in which the pixel types differ: exact integers, and f64 for floats.
pub(super) trait Arithmetic: Pixel {
    /// What a direction of a pixel is.
    type Direction: Copy + Default;
    /// The sum of a direction over some rows of a column.
    type Column: Copy + Default;
    /// The sum of a direction over a cell or window.
    type Total: Copy + Default + PartialEq + std::fmt::Debug + Send + Sync;
    /// How many rows a [`Arithmetic::Column`] can sum.
    const COLUMN_ROWS: usize;

    /// The eight directions of a pixel, from its neighbours.
    fn directions(left: Self, right: Self, up: Self, down: Self) -> [Self::Direction; DIRECTIONS];

    fn add(column: Self::Column, direction: Self::Direction) -> Self::Column;

    fn widen(column: Self::Column) -> Self::Total;

    fn plus(a: Self::Total, b: Self::Total) -> Self::Total;

    /// The total as a float. Those of integers are below 2⁵³, so this is exact.
    fn as_f64(total: Self::Total) -> f64;
}

macro_rules! directions {
    ($left:ident, $right:ident, $up:ident, $down:ident, $less:expr, $min:expr) => {{
        let (less, min) = ($less, $min);
        let (xp, xn) = (less($right, $left), less($left, $right));
        let (yp, yn) = (less($down, $up), less($up, $down));
        // One of each pair is zero.
        let (a, b) = (xp + xn, yp + yn);
        [less(xp, b), min(xp, yp), less(yp, a), min(xn, yp), less(xn, b), min(xn, yn), less(yn, a), min(xp, yn)]
    }};
}

macro_rules! integer {
    ($pixel:ty, $column:ty, $rows:expr) => {
        impl Arithmetic for $pixel {
            type Direction = $pixel;
            type Column = $column;
            type Total = u64;
            const COLUMN_ROWS: usize = $rows;

            #[inline(always)]
            fn directions(left: Self, right: Self, up: Self, down: Self) -> [Self; DIRECTIONS] {
                directions!(
                    left,
                    right,
                    up,
                    down,
                    |a: Self, b: Self| a.saturating_sub(b),
                    |a: Self, b: Self| if a < b { a } else { b }
                )
            }

            #[inline(always)]
            fn add(column: $column, direction: Self) -> $column {
                column + <$column>::from(direction)
            }

            #[inline(always)]
            fn widen(column: $column) -> u64 {
                u64::from(column)
            }

            #[inline(always)]
            fn plus(a: u64, b: u64) -> u64 {
                a + b
            }

            #[inline(always)]
            fn as_f64(total: u64) -> f64 {
                total as f64
            }
        }
    };
}
integer!(u8, u16, 257);
integer!(u16, u32, 65_537);

impl Arithmetic for f32 {
    type Direction = f64;
    type Column = f64;
    type Total = f64;
    const COLUMN_ROWS: usize = usize::MAX;

    #[inline(always)]
    fn directions(left: f32, right: f32, up: f32, down: f32) -> [f64; DIRECTIONS] {
        let (left, right, up, down) = (f64::from(left), f64::from(right), f64::from(up), f64::from(down));
        let less = |a: f64, b: f64| if a > b { a - b } else { 0.0 };
        directions!(left, right, up, down, less, |a: f64, b: f64| if a < b { a } else { b })
    }

    #[inline(always)]
    fn add(column: f64, direction: f64) -> f64 {
        column + direction
    }

    #[inline(always)]
    fn widen(column: f64) -> f64 {
        column
    }

    #[inline(always)]
    fn plus(a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline(always)]
    fn as_f64(total: f64) -> f64 {
        total
    }
}

/// Where the cells of an image are, and what the sums of its windows are divided by.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    /// The first row of each cell, and the end.
    pub rows: [usize; CELLS + 1],
    /// The first column of each cell, and the end.
    pub columns: [usize; CELLS + 1],
    pub channels: usize,
    /// Scale times weighed pixels of each window; 1 of a window without pixels, whose sums are zero.
    pub divisors: [f64; WINDOWS * WINDOWS],
}

impl Grid {
    pub fn new(of: ImageSpec) -> Self {
        let rows = starts(of.shape.height());
        let columns = starts(of.shape.width());
        let divisors = std::array::from_fn(|window| {
            let area = weighed(&rows, window / WINDOWS) * weighed(&columns, window % WINDOWS);
            if area == 0 { 1.0 } else { of.scale * area as f64 }
        });
        Self { rows, columns, channels: of.shape.channels(), divisors }
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.columns[CELLS]
    }

    /// Rows of the image.
    pub fn height(&self) -> usize {
        self.rows[CELLS]
    }

    /// The rows of a cell that are in a band.
    #[inline(always)]
    pub fn cell_rows(&self, cell: usize, band: &Range<usize>) -> Range<usize> {
        let end = self.rows[cell + 1].min(band.end);
        self.rows[cell].max(band.start).min(end)..end
    }
}

/// Where each of ten cells along a side begins, and the end: position p is in cell ⌊10·p ÷ side⌋.
fn starts(side: usize) -> [usize; CELLS + 1] {
    std::array::from_fn(|cell| (cell * side).div_ceil(CELLS))
}

/// Rows or columns of a window, each as often as its weight says.
fn weighed(starts: &[usize; CELLS + 1], window: usize) -> u64 {
    let cells = starts[2 * window..].windows(2).map(|side| side[1] - side[0]);
    cells.zip(WEIGHTS).map(|(pixels, weight)| (weight * pixels) as u64).sum()
}

/// The sums of an image or band of one: for each channel and each row of windows those of the ten columns of cells, in
/// which a row of cells counts as its weight says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sums<T>(pub Vec<[CellRow<T>; WINDOWS]>);

impl<T: Copy + Default> Sums<T> {
    pub fn zeroed(channels: usize) -> Self {
        Self(vec![[[[T::default(); DIRECTIONS]; CELLS]; WINDOWS]; channels])
    }

    #[inline(always)]
    pub fn clear(&mut self) {
        self.0.fill([[[T::default(); DIRECTIONS]; CELLS]; WINDOWS]);
    }
}

/// The sums of the windows of an image or band of one: of channel after channel those of each window, row by row.
pub(super) type Windows<T> = Vec<[T; DIRECTIONS]>;

/// Overwrites `windows` with the sums in which the columns of cells count as their weights say.
#[inline(always)]
pub(super) fn weigh_columns<P: Arithmetic>(sums: &Sums<P::Total>, windows: &mut Windows<P::Total>) {
    for (sums, windows) in sums.0.iter().zip(windows.chunks_exact_mut(WINDOWS * WINDOWS)) {
        for (at, window) in windows.iter_mut().enumerate() {
            let cells = &sums[at / WINDOWS][2 * (at % WINDOWS)..];
            for (k, sum) in window.iter_mut().enumerate() {
                let (outer, inner) = (P::plus(cells[0][k], cells[3][k]), P::plus(cells[1][k], cells[2][k]));
                *sum = P::plus(P::plus(outer, inner), P::plus(inner, inner));
            }
        }
    }
}

/// Writes the row of an image, rounding each value to f32 once.
#[inline(always)]
pub(super) fn finish<P: Arithmetic>(grid: &Grid, windows: &Windows<P::Total>, row: &mut [f32]) {
    let (values, _) = row.as_chunks_mut::<DIRECTIONS>();
    for ((at, window), values) in windows.iter().enumerate().zip(values) {
        let divisor = grid.divisors[at % (WINDOWS * WINDOWS)];
        for (value, &sum) in values.iter_mut().zip(window) {
            *value = (P::as_f64(sum) / divisor).sqrt() as f32;
        }
    }
}
