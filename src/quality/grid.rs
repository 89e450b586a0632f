//! How often each number occurs, exactly as long as there are few, and else in cells of equal width.
//!
//! The width is a power of two: the least for which at most 1,000 cells are in use. It follows from the numbers alone, not
//! from their order, since more numbers never need narrower cells. So parts can be merged, and merged parts equal the whole.

use super::distinct::{COUNTED, key, mixed};
use super::exact;
use super::table::Table;

/// The exponent of the least float: cells of this width hold one float each.
const LEAST: i32 = -1074;

/// So many cells are counted in a table, when many numbers are added at once.
const TABLE: usize = 1 << 12;
/// Fewer numbers than these are added one by one.
const MANY: usize = 1 << 9;
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
    /// By the bits of the lower end of the cell.
    cells: Table,
}

impl Default for Grid {
    fn default() -> Self {
        Self { level: LEAST, is_exact: true, widens: true, cells: Table::default() }
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

impl Grid {
    /// One that knows few numbers or none.
    pub fn exact_only() -> Self {
        Self { widens: false, ..Self::default() }
    }

    /// One of these parts.
    pub fn restore(level: i32, is_exact: bool, widens: bool, cells: Vec<(f64, u64)>) -> Self {
        let cells = cells.into_iter().map(|(value, count)| (key(value), count)).collect();
        Self { level: level.clamp(LEAST, 1023), is_exact, widens, cells }
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
        let cell = if self.is_exact { key(value) } else { cell(value, self.level) };
        self.insert(cell, mixed(cell), times);
    }

    /// Adds a number to exact cells, by its [`key`] and the hash of that. Returns whether it is a new one.
    #[inline]
    pub fn add_exact(&mut self, key: u64, hash: u64) -> bool {
        self.insert(key, hash, 1)
    }

    #[inline]
    fn insert(&mut self, cell: u64, hash: u64, times: u64) -> bool {
        let is_new = self.cells.add_hashed(cell, hash, times);
        if is_new && self.cells.len() > COUNTED {
            self.widen();
        }
        is_new
    }

    /// Adds numbers.
    pub fn extend(&mut self, values: &[f64]) {
        let first = if values.len() < MANY { None } else { self.table_start() };
        let Some(first) = first else {
            for &value in values {
                if self.is_closed() {
                    return;
                }
                self.add(value, 1);
            }
            return;
        };
        let (width, per_unit) = (power(self.level), power(-self.level));
        let (mut table, mut others) = ([0u32; TABLE], Vec::new());
        for &value in values {
            // A number that is no cell of the table is none here either: its difference is too large, or it is no number.
            let at = (floor(value * per_unit) - first + ROUNDS).to_bits().wrapping_sub(ROUNDS.to_bits());
            match table.get_mut(at as usize) {
                Some(count) => *count += 1,
                None => others.push(value),
            }
        }
        for (at, &count) in table.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.cells.add(key((first + at as f64) * width), u64::from(count));
        }
        if self.cells.len() > COUNTED {
            self.widen();
        }
        others.iter().for_each(|&value| self.add(value, 1));
    }

    /// The first of the cells around the median of those that are in use, as a number of cells from 0. `None` if there are none, or
    /// they are too narrow or too wide.
    fn table_start(&self) -> Option<f64> {
        if self.is_exact || !(-1000..1000).contains(&self.level) {
            return None;
        }
        let mut cells: Vec<f64> = self.cells.iter().map(|(bits, _)| f64::from_bits(bits)).collect();
        let middle = cells.len() / 2;
        let (_, median, _) = (!cells.is_empty()).then(|| cells.select_nth_unstable_by(middle, f64::total_cmp))?;
        let first = (*median * power(-self.level)).floor() - (TABLE / 2) as f64;
        (first.abs() < (1u64 << 50) as f64).then_some(first)
    }

    /// Says that different values look the same here.
    pub fn blur(&mut self) {
        if self.is_exact {
            self.leave_exact();
        }
    }

    fn leave_exact(&mut self) {
        self.is_exact = false;
        if self.widens {
            self.cells = self.cells.iter().filter(|(bits, _)| f64::from_bits(*bits).is_finite()).collect();
        } else {
            self.cells = Table::default();
        }
    }

    /// Takes the least width for which there are few enough cells.
    fn widen(&mut self) {
        if self.is_exact {
            self.leave_exact();
        }
        if self.cells.len() <= COUNTED {
            return;
        }
        // Narrower cells than the last bit of the least number change nothing.
        let mut numbers: Vec<f64> = self.cells.iter().map(|(bits, _)| f64::from_bits(bits)).collect();
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
        self.set_level(wide);
    }

    fn set_level(&mut self, level: i32) {
        self.cells = self.cells.iter().map(|(bits, count)| (cell(f64::from_bits(bits), level), count)).collect();
        self.level = level;
    }

    pub fn merge(&mut self, other: &Self) {
        if self.is_closed() || other.is_closed() {
            self.is_exact = false;
            self.widens = false;
            self.cells = Table::default();
            return;
        }
        if !other.is_exact {
            self.blur();
        }
        if other.level > self.level {
            self.set_level(other.level);
        }
        for (bits, count) in other.cells.iter() {
            let value = f64::from_bits(bits);
            if self.is_exact || value.is_finite() {
                self.cells.add(if self.is_exact { bits } else { cell(value, self.level) }, count);
            }
        }
        if self.cells.len() > COUNTED {
            self.widen();
        }
    }

    /// The cells in their order: the lower end of each and its count.
    pub fn cells(&self) -> Vec<(f64, u64)> {
        let mut cells: Vec<(f64, u64)> = self.cells.iter().map(|(bits, count)| (f64::from_bits(bits), count)).collect();
        cells.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
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
        let mut cells: Vec<(f64, u64)> = self.cells.iter().map(|(bits, count)| (f64::from_bits(bits), count)).collect();
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
        self.is_exact.then_some(self.cells.len())
    }

    /// How many cells are in use.
    pub fn used(&self) -> usize {
        self.cells.len()
    }

    /// The middles of the cells in their order and their counts, with cells of this width, which must not be less than its own.
    pub fn middles(&self, level: i32) -> Vec<(f64, u64)> {
        let mut wider = self.clone();
        if level > self.level {
            wider.set_level(level);
        }
        let half = if level < -1000 { 0.0 } else { exact::scaled(0.5, level) };
        // A value that is finer than its cell stands for itself.
        let middle = |low: f64| if low + half < low + 2.0 * half { low + half } else { low };
        wider.cells().into_iter().map(|(low, count)| (middle(low), count)).collect()
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
