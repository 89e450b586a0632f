//! How often each number occurs, exactly as long as there are few, and else in cells of equal width.
//!
//! The width is a power of two: the least for which at most 1,000 cells are in use. It follows from the numbers alone, not
//! from their order, since more numbers never need narrower cells. So parts can be merged, and merged parts equal the whole.

use super::distinct::{COUNTED, key};
use super::exact;
use super::table::Table;

/// The exponent of the least float: cells of this width hold one float each.
const LEAST: i32 = -1074;

/// The most cells of a row.
const MOST: f64 = 4096.0;
/// Added to a number below 2⁵¹ and taken away again, it leaves the nearest whole number.
const ROUNDS: f64 = 6_755_399_441_055_744.0;

/// Some numbers in cells.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    /// The width of cells as a power of two.
    level: i32,
    /// Whether each cell is a value, and all values are there.
    is_exact: bool,
    /// Whether numbers go into wider cells when there are too many for exact ones. If not, they are forgotten.
    widens: bool,
    /// Most of the cells, if they are not exact.
    row: Row,
    /// The others, by the bits of their lower end.
    others: Table,
}

impl Default for Grid {
    fn default() -> Self {
        Self { level: LEAST, is_exact: true, widens: true, row: Row::default(), others: Table::default() }
    }
}

/// 2 to this power, within the normal floats.
#[inline]
fn power(of: i32) -> f64 {
    f64::from_bits(((of + 1023).max(1) as u64) << 52)
}

/// The largest whole number up to `value`, if that is below 2⁵¹: a few instructions, where not every CPU has one.
#[inline]
fn floor(value: f64) -> f64 {
    let nearest = (value + ROUNDS) - ROUNDS;
    nearest - f64::from(u8::from(nearest > value))
}

/// The lower end of the cell of a finite number.
#[inline]
fn cell(value: f64, level: i32) -> u64 {
    // Below the normal floats a power of two may round to zero.
    if level < -1000 {
        return key(value);
    }
    let width = power(level);
    let cells = value / width;
    // From 2^53 cells on, the cell is narrower than the last bit of the value.
    match cells.abs() {
        0.0..2_251_799_813_685_248.0 => key(floor(cells) * width),
        0.0..9_007_199_254_740_992.0 => key(cells.floor() * width),
        _ => key(value),
    }
}

/// Neighbouring cells: an array, in which a cell is found in less time than in a table.
#[derive(Debug, Clone, Default)]
struct Row {
    /// Cells in a unit of the numbers.
    per_unit: f64,
    /// How many cells lie between 0 and the first.
    first: f64,
    counts: Vec<u64>,
    /// How many cells have a count.
    used: usize,
}

impl Row {
    /// A row with room for most of these numbers, and for some beside them. None of them is counted.
    fn around(numbers: &[(f64, u64)], level: i32) -> Self {
        if numbers.is_empty() || !(-1000..900).contains(&level) {
            return Self::default();
        }
        let per_unit = power(-level);
        let mut cells: Vec<f64> = numbers.iter().map(|(value, _)| (value * per_unit).floor()).collect();
        let (mut low, mut high) =
            cells.iter().fold((f64::MAX, f64::MIN), |(low, high), &cell| (low.min(cell), high.max(cell)));
        let spare = ((high - low) / 4.0).floor();
        (low, high) = (low - spare, high + spare + 1.0);
        if high - low > MOST {
            let middle = cells.len() / 2;
            let (_, median, _) = cells.select_nth_unstable_by(middle, f64::total_cmp);
            (low, high) = (*median - MOST / 2.0, *median + MOST / 2.0);
        }
        // Beyond, not every whole number is a float.
        if low.abs().max(high.abs()) >= (1u64 << 50) as f64 {
            return Self::default();
        }
        Self { per_unit, first: low, counts: vec![0; (high - low) as usize], used: 0 }
    }

    /// Adds a number so many times. `None` if the row does not have its cell, else whether that was empty.
    #[inline]
    fn add(&mut self, value: f64, times: u64) -> Option<bool> {
        let cells = floor(value * self.per_unit) - self.first;
        // Beyond the end if the row does not have this cell, or the number is none.
        let place = (cells + ROUNDS).to_bits().wrapping_sub(ROUNDS.to_bits());
        let count = self.counts.get_mut(usize::try_from(place).ok()?)?;
        let is_new = *count == 0;
        self.used += usize::from(is_new);
        *count += times;
        Some(is_new)
    }

    /// Adds numbers until the row does not have the cell of one. Returns this one and those behind it.
    fn take<'a, T: Copy + Into<f64>>(&mut self, values: &'a [T]) -> &'a [T] {
        let known = values.iter().position(|&value| self.add(value.into(), 1).is_none());
        &values[known.unwrap_or(values.len())..]
    }

    /// The lower ends of the cells that are in use and their counts, in order.
    fn cells(&self) -> impl Iterator<Item = (f64, u64)> {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        used.map(|(at, &count)| ((self.first + at as f64) / self.per_unit + 0.0, count))
    }
}

/// What makes the middle of a cell of its lower end.
pub(super) fn middle(level: i32) -> impl Fn(f64) -> f64 {
    let half = if level < -1000 { 0.0 } else { exact::scaled(0.5, level) };
    // A value that is finer than its cell stands for itself.
    move |low| if low + half < low + 2.0 * half { low + half } else { low }
}

impl Grid {
    /// One that knows few numbers or none.
    pub fn exact_only() -> Self {
        Self { widens: false, ..Self::default() }
    }

    /// One of these parts.
    pub fn restore(level: i32, is_exact: bool, widens: bool, cells: Vec<(f64, u64)>) -> Self {
        let mut grid = Self { is_exact, widens, ..Self::default() };
        match is_exact {
            true => grid.others = cells.into_iter().map(|(value, count)| (key(value), count)).collect(),
            false => grid.fill(level.clamp(LEAST, 1023), &cells),
        }
        grid
    }

    /// Takes these cells, or numbers, into empty ones of this level.
    fn fill(&mut self, level: i32, cells: &[(f64, u64)]) {
        (self.level, self.row, self.others) = (level, Row::around(cells, level), Table::default());
        for &(value, count) in cells {
            self.put(value, count);
        }
    }

    /// Adds a finite number to cells that are not exact. Returns whether the cell was empty.
    #[inline]
    fn put(&mut self, value: f64, times: u64) -> bool {
        self.row.add(value, times).unwrap_or_else(|| self.others.add(cell(value, self.level), times))
    }

    /// Its width as a power of two, whether it is exact, and whether its cells widen.
    pub fn about(&self) -> (i32, bool, bool) {
        (self.level, self.is_exact, self.widens)
    }

    /// Whether there is nothing to add to any more.
    #[inline]
    pub fn is_closed(&self) -> bool {
        !self.is_exact && !self.widens
    }

    /// Whether each value is counted on its own.
    #[inline]
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Adds a number so many times.
    #[inline]
    pub fn add(&mut self, value: f64, times: u64) {
        if self.is_closed() || times == 0 || !self.is_exact && !value.is_finite() {
            return;
        }
        let is_new = if self.is_exact { self.others.add(key(value), times) } else { self.put(value, times) };
        self.widen_if(is_new);
    }

    /// Adds a number to exact cells, by its [`key`] and the hash of that. Returns whether it is a new one.
    #[inline]
    pub fn add_exact(&mut self, key: u64, hash: u64) -> bool {
        let is_new = self.others.add_hashed(key, hash, 1);
        self.widen_if(is_new);
        is_new
    }

    #[inline]
    fn widen_if(&mut self, is_new: bool) {
        if is_new && self.used() > COUNTED {
            self.widen();
        }
    }

    /// Adds numbers.
    pub fn extend<T: Copy + Into<f64>>(&mut self, values: &[T]) {
        let mut rest = values;
        while !self.is_closed() {
            // It does not matter when cells are widened.
            rest = self.row.take(rest);
            self.widen_if(true);
            let Some((&value, others)) = rest.split_first() else { return };
            self.add(value.into(), 1);
            rest = others;
        }
    }

    /// Says that different values look the same here.
    pub fn blur(&mut self) {
        if self.is_exact {
            self.widen();
        }
    }

    /// Forgets all numbers, also those to come.
    fn close(&mut self) {
        (self.is_exact, self.widens) = (false, false);
        (self.row, self.others) = (Row::default(), Table::default());
    }

    /// Leaves exact cells, and takes the least width for which there are few enough cells.
    fn widen(&mut self) {
        if self.is_exact && !self.widens {
            return self.close();
        }
        let mut cells = self.unsorted();
        if self.is_exact {
            self.is_exact = false;
            cells.retain(|(value, _)| value.is_finite());
        }
        if cells.len() <= COUNTED {
            return self.fill(self.level, &cells);
        }
        // Narrower cells than the last bit of the least number change nothing.
        let mut numbers: Vec<f64> = cells.iter().map(|(value, _)| *value).collect();
        let last_bits =
            numbers.iter().filter(|value| **value != 0.0).map(|value| exact::parts(*value).2 as i32 + LEAST);
        let finest = last_bits.min().unwrap_or(LEAST);
        // In this order the numbers of a cell stand side by side.
        numbers.sort_unstable_by(f64::total_cmp);
        let fits = |level: i32| {
            let cells = numbers.iter().map(|value| cell(*value, level));
            let (mut last, mut used) = (None, 0);
            for cell in cells {
                used += usize::from(last != Some(cell));
                last = Some(cell);
            }
            used <= COUNTED
        };
        // Wider cells are never more. Mostly a little wider is enough.
        let (mut narrow, mut step) = (self.level.max(finest.min(1022)), 1);
        let mut wide = (narrow + step).min(1023);
        while wide < 1023 && !fits(wide) {
            step *= 2;
            (narrow, wide) = (wide, (wide + step).min(1023));
        }
        while wide - narrow > 1 {
            let middle = narrow + (wide - narrow) / 2;
            if fits(middle) { wide = middle } else { narrow = middle }
        }
        self.fill(wide, &cells);
    }

    fn set_level(&mut self, level: i32) {
        let cells = self.unsorted();
        self.fill(level, &cells);
    }

    pub fn merge(&mut self, other: &Self) {
        if self.is_closed() || other.is_closed() {
            return self.close();
        }
        if !other.is_exact {
            self.blur();
        }
        if other.level > self.level {
            self.set_level(other.level);
        }
        for (value, count) in other.unsorted() {
            if self.is_exact {
                self.others.add(key(value), count);
            } else if value.is_finite() {
                self.put(value, count);
            }
        }
        self.widen_if(true);
    }

    /// The lower ends of the cells and their counts.
    fn unsorted(&self) -> Vec<(f64, u64)> {
        let others = self.others.iter().map(|(bits, count)| (f64::from_bits(bits), count));
        self.row.cells().chain(others).collect()
    }

    /// The cells in their order: the lower end of each and its count.
    pub fn cells(&self) -> Vec<(f64, u64)> {
        let mut cells = self.unsorted();
        // Those of the row are in order, and few others or none come behind them.
        cells.sort_by(|a, b| a.0.total_cmp(&b.0));
        cells
    }

    /// The finite values in their order and their counts, if all are known.
    pub fn sorted(&self) -> Option<Vec<(f64, u64)>> {
        let is_finite = |(value, _): &(f64, u64)| value.is_finite();
        self.is_exact.then(|| self.cells().into_iter().filter(is_finite).collect())
    }

    /// The most common values, the most common first; of those that are as common, the lower ones first.
    pub fn most_common(&self, how_many: usize) -> Option<Vec<(f64, u64)>> {
        if !self.is_exact {
            return None;
        }
        let mut cells = self.unsorted();
        let order = |a: &(f64, u64), b: &(f64, u64)| b.1.cmp(&a.1).then(a.0.total_cmp(&b.0));
        if how_many < cells.len() {
            cells.select_nth_unstable_by(how_many, order);
            cells.truncate(how_many);
        }
        cells.sort_unstable_by(order);
        Some(cells)
    }

    /// How many different values there are, if all are known.
    pub fn len(&self) -> Option<usize> {
        self.is_exact.then_some(self.used())
    }

    /// How many cells are in use.
    pub fn used(&self) -> usize {
        self.row.used + self.others.len()
    }

    /// The middles of the cells in their order and their counts, with cells of this width, which must not be less than its own.
    pub fn middles(&self, level: i32) -> Vec<(f64, u64)> {
        let cells = match level > self.level {
            true => {
                let mut wider = self.clone();
                wider.set_level(level);
                wider.cells()
            }
            false => self.cells(),
        };
        let middle = middle(level);
        cells.into_iter().map(|(low, count)| (middle(low), count)).collect()
    }

    pub fn level(&self) -> i32 {
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    fn of(values: &[f64]) -> Grid {
        let mut grid = Grid::default();
        values.iter().for_each(|&value| grid.add(value, 1));
        grid
    }

    #[test]
    fn few_values_are_exact_and_many_are_within_a_cell() {
        let few = of(&[3.0, -0.0, 0.0, f64::NAN, 3.0]);
        assert_eq!((few.sorted(), few.len()), (Some(vec![(0.0, 2), (3.0, 2)]), Some(3)));
        let values: Vec<f64> = (0..5_000).map(|i| 1e9 + f64::from(i) * 1e-3).collect();
        let grid = of(&values);
        assert!(grid.len().is_none() && grid.used() > COUNTED / 2 - 1 && grid.used() <= COUNTED, "{}", grid.used());
        let middles = grid.middles(grid.level());
        assert_eq!(middles.iter().map(|(_, count)| count).sum::<u64>(), 5_000);
        assert!((middles[middles.len() / 2].0 - (1e9 + 2.5)).abs() < 0.02);
    }

    #[test]
    fn the_width_does_not_depend_on_order_or_parts() {
        let mut random = Random::new(4, 0);
        for power in [1, 9] {
            let values: Vec<f64> = (0..4_000).map(|_| random.between(-2.0, 3.0).powi(power)).collect();
            let whole = of(&values);
            let backwards = of(&values.iter().rev().copied().collect::<Vec<_>>());
            for at in [10, 1_500, 3_990] {
                let (mut forth, mut back) = (of(&values[..at]), of(&values[at..]));
                let last = back.clone();
                back.merge(&forth);
                forth.merge(&last);
                for other in [&forth, &back, &backwards] {
                    assert_eq!((other.about(), other.cells()), (whole.about(), whole.cells()), "{power} {at}");
                }
            }
        }
    }

    #[test]
    fn many_at_once_are_the_same_as_one_by_one() {
        let mut random = Random::new(6, 0);
        // Beside the middle: numbers far outside the table, ends of cells, below zero, and those that are no numbers.
        let values: Vec<f64> = (0..6_000)
            .map(|i| match i % 50 {
                0 => 1e300,
                1 => -1e9 - f64::from(i),
                2 => f64::NAN,
                3 => f64::NEG_INFINITY,
                4 => -1e-320,
                5 => f64::from(i / 50) - 60.0,
                _ => random.between(-50.0, 50.0),
            })
            .collect();
        for start in [2_000, 5_000] {
            let mut grid = of(&values[..start]);
            grid.extend(&values[start..]);
            let whole = of(&values);
            assert_eq!((grid.about(), grid.cells()), (whole.about(), whole.cells()));
        }
        let mut closed = Grid::exact_only();
        closed.extend(&values);
        assert!(closed.is_closed());
    }

    #[test]
    fn one_that_does_not_widen_forgets() {
        let mut grid = Grid::exact_only();
        (0..1_001).for_each(|i| grid.add(f64::from(i), 1));
        assert!(grid.is_closed() && grid.used() == 0);
        let mut other = Grid::exact_only();
        other.add(1.0, 1);
        other.merge(&grid);
        assert!(other.is_closed() && other.sorted().is_none());
    }
}
