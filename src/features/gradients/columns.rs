//! The kernel in plain Rust, written once for every pixel type and channel count: strips of neighbouring values, each
//! with sums of its own, so that sums of floats have one order whichever instructions compute them.

use std::ops::Range;

use super::Kernel;
use super::cells::{Arithmetic, CELLS, CellRow, DIRECTIONS, Grid, Sums, WEIGHTS, WINDOWS};

/// Sums in strips of `L` values.
pub(super) struct Columns<P: Arithmetic, const L: usize> {
    /// The sums of the cells of a channel, by the row of cells.
    cells: Vec<[CellRow<P::Total>; CELLS]>,
    /// The channel and the cell of each value of a row.
    places: Vec<(u8, u8)>,
}

impl<P: Arithmetic, const L: usize> Columns<P, L> {
    pub fn new(grid: &Grid) -> Self {
        let places = (0..grid.width() * grid.channels).map(|value| {
            let x = value / grid.channels;
            ((value % grid.channels) as u8, (CELLS * x / grid.width()) as u8)
        });
        Self {
            cells: vec![[[[P::Total::default(); DIRECTIONS]; CELLS]; CELLS]; grid.channels],
            places: places.collect(),
        }
    }
}

impl<P: Arithmetic, const L: usize> Kernel<P> for Columns<P, L> {
    #[inline(always)]
    fn add(&mut self, grid: &Grid, image: &[P], band: &Range<usize>, sums: &mut Sums<P::Total>) {
        self.cells.fill([[[P::Total::default(); DIRECTIONS]; CELLS]; CELLS]);
        for start in (0..self.places.len()).step_by(L) {
            let strip = Strip::<P, L>::new(grid, image, start);
            for cell in 0..CELLS {
                let rows = grid.cell_rows(cell, band);
                for first in rows.clone().step_by(P::COLUMN_ROWS) {
                    let columns = strip.sums(first..rows.end.min(first.saturating_add(P::COLUMN_ROWS)));
                    let places = &self.places[start..];
                    for (lane, &(channel, column)) in places.iter().take(L).enumerate() {
                        let to = &mut self.cells[usize::from(channel)][cell][usize::from(column)];
                        for (to, column) in to.iter_mut().zip(&columns) {
                            *to = P::plus(*to, P::widen(column[lane]));
                        }
                    }
                }
            }
        }
        for (cells, sums) in self.cells.iter().zip(&mut sums.0) {
            weigh_rows::<P>(cells, sums);
        }
    }
}

/// Adds the rows of cells to those of windows.
#[inline(always)]
fn weigh_rows<P: Arithmetic>(cells: &[CellRow<P::Total>; CELLS], sums: &mut [CellRow<P::Total>; WINDOWS]) {
    for (i, window) in sums.iter_mut().enumerate() {
        for (cells, weight) in cells[2 * i..].iter().zip(WEIGHTS) {
            for (to, from) in window.as_flattened_mut().iter_mut().zip(cells.as_flattened()) {
                for _ in 0..weight {
                    *to = P::plus(*to, *from);
                }
            }
        }
    }
}

/// `L` neighbouring values of every row of an image.
struct Strip<'a, P, const L: usize> {
    image: &'a [P],
    height: usize,
    row_values: usize,
    channels: usize,
    start: usize,
    /// The lanes of the first pixel of a row, and those of the last: they are their own neighbours.
    is_first: [bool; L],
    is_last: [bool; L],
}

impl<'a, P: Arithmetic, const L: usize> Strip<'a, P, L> {
    #[inline(always)]
    fn new(grid: &Grid, image: &'a [P], start: usize) -> Self {
        let (channels, row_values) = (grid.channels, grid.width() * grid.channels);
        let is_first = std::array::from_fn(|lane| start + lane < channels);
        let is_last = std::array::from_fn(|lane| start + lane + channels >= row_values);
        Self { image, height: grid.height(), row_values, channels, start, is_first, is_last }
    }

    /// The sums of each lane over some rows. Lanes beyond the end of a row hold anything.
    #[inline(always)]
    fn sums(&self, rows: Range<usize>) -> [[P::Column; L]; DIRECTIONS] {
        let mut sums = [[P::Column::default(); L]; DIRECTIONS];
        for y in rows {
            let at = y * self.row_values + self.start;
            let middle = self.load(at);
            let left = self.load(at.wrapping_sub(self.channels));
            let right = self.load(at + self.channels);
            let up = if y == 0 { middle } else { self.load(at - self.row_values) };
            let down = if y + 1 == self.height { middle } else { self.load(at + self.row_values) };
            let [s0, s1, s2, s3, s4, s5, s6, s7] = &mut sums;
            // Not a range: a build with few optimisations, as tests have, would call its methods for each lane.
            let mut lane = 0;
            while lane < L {
                let left = if self.is_first[lane] { middle[lane] } else { left[lane] };
                let right = if self.is_last[lane] { middle[lane] } else { right[lane] };
                let [d0, d1, d2, d3, d4, d5, d6, d7] = P::directions(left, right, up[lane], down[lane]);
                s0[lane] = P::add(s0[lane], d0);
                s1[lane] = P::add(s1[lane], d1);
                s2[lane] = P::add(s2[lane], d2);
                s3[lane] = P::add(s3[lane], d3);
                s4[lane] = P::add(s4[lane], d4);
                s5[lane] = P::add(s5[lane], d5);
                s6[lane] = P::add(s6[lane], d6);
                s7[lane] = P::add(s7[lane], d7);
                lane += 1;
            }
        }
        sums
    }

    /// Values from a place on, which may be outside the image in lanes that do not matter.
    #[inline(always)]
    fn load(&self, at: usize) -> [P; L] {
        match self.image.get(at..at.wrapping_add(L)).and_then(|values| values.first_chunk()) {
            Some(values) => *values,
            None => std::array::from_fn(|lane| self.image.get(at.wrapping_add(lane)).copied().unwrap_or_default()),
        }
    }
}
