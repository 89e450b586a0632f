//! The distribution of some numbers, in a form that does not depend on their order: counts in bins, and exact sums.
//!
//! A bin is all floats that share the upper 19 bits: sign, exponent and 7 bits of the mantissa. So a value taken from the
//! middle of a bin is within 0.4 % of every value in it. A page is the 128 bins of one sign and exponent. It also has the sum
//! of the mantissas and of their squares as integers, from which mean and deviation follow with one rounding each.

use super::exact;

/// Bins of a page.
const BINS: usize = 128;
/// The bits of a mantissa below those that choose the bin.
const BELOW: u32 = 45;
/// The upper 12 bits of a float.
const SIGNS_AND_EXPONENTS: usize = 1 << 12;
/// The lowest bits of the mantissa of a float of 32 bits are zeros when it has 64.
const SHORT: u32 = 29;
/// The units of sums of squares: 2^-2148.
const LEAST: i32 = -1074;

/// The numbers of one sign and exponent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub counts: [u64; BINS],
    /// The sum of mantissas.
    pub sum: u128,
    /// The sum of their squares.
    pub squares: [u64; 3],
}

impl Page {
    /// Adds a number of this page by its bits.
    #[inline(always)]
    fn add(&mut self, bits: u64) {
        let (_, mantissa, _) = exact::parts(f64::from_bits(bits));
        self.counts[(bits >> BELOW) as usize % BINS] += 1;
        self.sum += u128::from(mantissa);
        let square = u128::from(mantissa) * u128::from(mantissa);
        let [low, middle, high] = self.squares;
        let (sum, carry) = (u128::from(middle) << 64 | u128::from(low)).overflowing_add(square);
        self.squares = [sum as u64, (sum >> 64) as u64, high + u64::from(carry)];
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { counts: [0; BINS], sum: 0, squares: [0; 3] }
    }
}

/// The numbers of 32 bits of one sign and exponent. Their mantissas have 24 bits, so the sums of many fit 64.
struct ShortPage {
    counts: [u32; BINS],
    /// The sum of mantissas and that of their squares, in parts: who adds to the same one again waits for the addition before.
    sums: [[u64; 2]; 4],
}

/// Some numbers of 32 bits.
struct ShortPages {
    /// For each sign and exponent which page it has, or one that is not there.
    index: [u16; 1 << 9],
    /// With the sign and exponent that each has in 64 bits.
    pages: Vec<(usize, ShortPage)>,
    min: f32,
    max: f32,
}

impl Default for ShortPages {
    fn default() -> Self {
        Self { index: [u16::MAX; 1 << 9], pages: Vec::new(), min: f32::INFINITY, max: f32::NEG_INFINITY }
    }
}

impl ShortPages {
    /// So many squares of mantissas have a sum of 64 bits.
    const MOST: usize = 1 << 15;

    /// Adds numbers until one has no page. Returns this one and those behind it.
    fn take<'a>(&mut self, values: &'a [f32]) -> &'a [f32] {
        let (mut min, mut max) = (self.min, self.max);
        let mut rest = &values[values.len()..];
        for (at, &value) in values.iter().enumerate() {
            let bits = value.to_bits();
            let Some((_, page)) = self.pages.get_mut(usize::from(self.index[(bits >> 23) as usize])) else {
                rest = &values[at..];
                break;
            };
            page.counts[(bits >> 16) as usize % BINS] += 1;
            let mantissa = u64::from(bits & 0x7f_ffff | 0x80_0000);
            let [sum, squares] = &mut page.sums[at % 4];
            (*sum, *squares) = (*sum + mantissa, *squares + mantissa * mantissa);
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
        }
        (self.min, self.max) = (min, max);
        rest
    }

    /// Makes the page of a number; false if the number is none, infinite, zero, or below the normal ones.
    fn open(&mut self, value: f32) -> bool {
        if value.is_normal() {
            self.index[(value.to_bits() >> 23) as usize] = self.pages.len() as u16;
            let of = (f64::from(value).to_bits() >> 52) as usize;
            self.pages.push((of, ShortPage { counts: [0; BINS], sums: [[0; 2]; 4] }));
        }
        value.is_normal()
    }
}

/// Some numbers. Two of them that were made of the same numbers are equal, whatever the order.
#[derive(Debug, Clone)]
pub struct Numbers {
    pub(super) finite: u64,
    pub(super) nan: u64,
    pub(super) infinite: [u64; 2],
    min: f64,
    max: f64,
    /// For each sign and exponent which page it has, or one that is not there. It is made when numbers of 64 bits come.
    index: Option<Box<[u16; SIGNS_AND_EXPONENTS]>>,
    pages: Vec<Page>,
    /// The sign and exponent of each page.
    of: Vec<u16>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            finite: 0,
            nan: 0,
            infinite: [0; 2],
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            index: None,
            pages: Vec::new(),
            of: Vec::new(),
        }
    }
}

/// The place of each of these signs and exponents.
#[cold]
fn index(of: &[u16]) -> Box<[u16; SIGNS_AND_EXPONENTS]> {
    let mut index = Box::new([u16::MAX; SIGNS_AND_EXPONENTS]);
    of.iter().zip(0..).for_each(|(of, place)| index[usize::from(*of)] = place);
    index
}

impl Numbers {
    /// Adds a number.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.extend([value]);
    }

    /// Adds numbers.
    #[inline]
    pub fn extend(&mut self, values: impl IntoIterator<Item = f64>) {
        let mut values = values.into_iter();
        // What is rare is done outside of the loop, which is faster without calls.
        while let Some(value) = self.extend_known(&mut values) {
            self.add_times(value, 1);
        }
    }

    /// Adds numbers until one has no page, which it returns.
    #[inline]
    fn extend_known(&mut self, values: &mut impl Iterator<Item = f64>) -> Option<f64> {
        let (mut finite, mut min, mut max) = (0, self.min, self.max);
        let index = self.index.get_or_insert_with(|| index(&self.of));
        let unknown = values.find_map(|value| {
            // Both zeros are one.
            let value = value + 0.0;
            let bits = value.to_bits();
            let Some(page) = self.pages.get_mut(usize::from(index[(bits >> 52) as usize])) else {
                return Some(value);
            };
            page.add(bits);
            finite += 1;
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
            None
        });
        (self.finite, self.min, self.max) = (self.finite + finite, min, max);
        unknown
    }

    /// Adds numbers of 32 bits. It takes less time than the same numbers of 64 bits, but zeros are slow.
    pub fn extend_f32(&mut self, values: &[f32]) {
        for part in values.chunks(ShortPages::MOST) {
            let (mut pages, mut rest) = (ShortPages::default(), part);
            loop {
                // What is rare is done outside of the loop, which is faster without calls.
                rest = pages.take(rest);
                let Some((&value, more)) = rest.split_first() else { break };
                if !pages.open(value) {
                    self.add_times(value.into(), 1);
                    rest = more;
                }
            }
            self.merge_short(&pages);
        }
    }

    fn merge_short(&mut self, pages: &ShortPages) {
        self.min = self.min.min(pages.min.into());
        self.max = self.max.max(pages.max.into());
        let new = pages.pages.iter().filter(|(of, _)| self.place(*of).is_none()).count();
        self.of.reserve(new);
        self.pages.reserve(new);
        for (of, page) in &pages.pages {
            let own = self.page(*of);
            own.counts.iter_mut().zip(&page.counts).for_each(|(own, more)| *own += u64::from(*more));
            for [sum, squares] in page.sums {
                own.sum += u128::from(sum) << SHORT;
                exact::add(&mut own.squares, squares.into(), 2 * SHORT as usize);
            }
            self.finite += page.counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        }
    }

    /// Adds a number so many times.
    pub fn add_times(&mut self, value: f64, times: u64) {
        // Both zeros are one.
        let value = value + 0.0;
        if !value.is_finite() {
            return self.add_other(value, times);
        }
        if times == 0 {
            return;
        }
        self.finite += times;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let bits = value.to_bits();
        let (_, mantissa, _) = exact::parts(value);
        let page = self.page((bits >> 52) as usize);
        page.counts[(bits >> BELOW) as usize % BINS] += times;
        page.sum += u128::from(mantissa) * u128::from(times);
        let square = u128::from(mantissa) * u128::from(mantissa);
        exact::add(&mut page.squares, u128::from(square as u64) * u128::from(times), 0);
        exact::add(&mut page.squares, (square >> 64) * u128::from(times), 64);
    }

    /// Counts what is not finite.
    #[cold]
    fn add_other(&mut self, value: f64, times: u64) {
        match value {
            f64::INFINITY => self.infinite[1] += times,
            f64::NEG_INFINITY => self.infinite[0] += times,
            _ => self.nan += times,
        }
    }

    /// Where the page of a sign and exponent is, if it is there.
    fn place(&self, of: usize) -> Option<usize> {
        match &self.index {
            Some(index) => Some(usize::from(index[of])).filter(|place| *place < self.pages.len()),
            // There are few.
            None => self.of.iter().position(|own| usize::from(*own) == of),
        }
    }

    fn page(&mut self, of: usize) -> &mut Page {
        let place = self.place(of).unwrap_or_else(|| {
            let place = self.pages.len();
            if let Some(index) = &mut self.index {
                index[of] = place as u16;
            }
            self.of.push(of as u16);
            self.pages.push(Page::default());
            place
        });
        &mut self.pages[place]
    }

    /// Adds the numbers of the other.
    pub fn merge(&mut self, other: &Self) {
        self.finite += other.finite;
        self.nan += other.nan;
        self.infinite = [0, 1].map(|i| self.infinite[i] + other.infinite[i]);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (of, page) in other.pages() {
            self.merge_page(of, page);
        }
    }

    fn merge_page(&mut self, of: usize, page: &Page) {
        let own = self.page(of);
        own.counts.iter_mut().zip(&page.counts).for_each(|(own, more)| *own += more);
        own.sum += page.sum;
        exact::merge(&mut own.squares, &page.squares);
    }

    /// The numbers of a stored page, if they are consistent.
    pub(super) fn restore(parts: impl Iterator<Item = (usize, Page)>, about: &Restored) -> Option<Self> {
        let mut numbers = Self { nan: about.nan, infinite: about.infinite, ..Self::default() };
        for (of, page) in parts {
            if of >= SIGNS_AND_EXPONENTS || of % (1 << 11) == 0x7ff || numbers.place(of).is_some() {
                return None;
            }
            numbers.finite += page.counts.iter().sum::<u64>();
            numbers.merge_page(of, &page);
        }
        if let Some((min, max)) = about.range.filter(|_| numbers.finite > 0) {
            (numbers.min, numbers.max) = (min, max);
        }
        ((numbers.finite > 0) == about.range.is_some()).then_some(numbers)
    }

    /// The pages there are, with their sign and exponent, in the order of these bits.
    pub(super) fn pages(&self) -> impl Iterator<Item = (usize, &Page)> {
        let mut pages: Vec<(usize, &Page)> = self.of.iter().map(|of| usize::from(*of)).zip(&self.pages).collect();
        pages.sort_unstable_by_key(|(of, _)| *of);
        pages.into_iter()
    }

    /// How many there are, those that are no numbers and infinities included.
    pub fn count(&self) -> u64 {
        self.finite + self.nan + self.infinite[0] + self.infinite[1]
    }

    /// How many are NaN or infinite.
    pub fn not_finite(&self) -> u64 {
        self.count() - self.finite
    }

    /// The least finite number.
    pub fn min(&self) -> Option<f64> {
        (self.finite > 0).then_some(self.min)
    }

    /// The largest finite number.
    pub fn max(&self) -> Option<f64> {
        (self.finite > 0).then_some(self.max)
    }

    /// The sum of the finite numbers in units of 2^-1074.
    fn exact_sum(&self) -> Vec<u64> {
        let mut sum = vec![0; 36];
        for (of, page) in self.pages() {
            let shift = (of % (1 << 11)).max(1) - 1;
            if of >> 11 == 1 {
                exact::subtract(&mut sum, page.sum, shift)
            } else {
                exact::add(&mut sum, page.sum, shift)
            }
        }
        sum
    }

    /// The sum of the finite numbers, rounded once.
    pub fn sum(&self) -> f64 {
        let (is_negative, sum) = exact::magnitude(&self.exact_sum());
        let (m, e) = exact::float(&sum);
        exact::scaled(if is_negative { -m } else { m }, e + LEAST)
    }

    /// The mean of the finite numbers, within one unit in the last place.
    pub fn mean(&self) -> Option<f64> {
        let (is_negative, sum) = exact::magnitude(&self.exact_sum());
        let (m, e) = exact::float(&sum);
        let mean = exact::scaled(m / self.finite as f64, e + LEAST);
        (self.finite > 0).then_some(if is_negative { -mean } else { mean })
    }

    /// The sample standard deviation (n − 1) of the finite numbers, within two units in the last place; `None` for fewer
    /// than two.
    pub fn std(&self) -> Option<f64> {
        if self.finite < 2 {
            return None;
        }
        // n Σx² − (Σx)², without rounding.
        let mut squares = vec![0; 72];
        for (of, page) in self.pages() {
            let shift = 2 * ((of % (1 << 11)).max(1) - 1);
            for (at, &limb) in page.squares.iter().enumerate() {
                exact::add(&mut squares, u128::from(limb), shift + 64 * at);
            }
        }
        let mut spread = exact::product(&squares, &[self.finite]);
        let (_, sum) = exact::magnitude(&self.exact_sum());
        let sum = exact::product(&sum, &sum);
        for (at, &limb) in sum.iter().enumerate() {
            exact::subtract(&mut spread, u128::from(limb), 64 * at);
        }
        let (m, e) = exact::float(&spread);
        let n = self.finite as f64;
        let (m, e) = (m / (n * (n - 1.0)), e + 2 * LEAST);
        // An even exponent, half of which the root has.
        let odd = e.rem_euclid(2);
        Some(exact::scaled((m * f64::from(1 + odd)).sqrt(), (e - odd) / 2))
    }

    /// The bins in the order of their values: the middle of each, within the range of the numbers, and its count.
    pub fn bins(&self) -> Vec<(f64, u64)> {
        let mut bins = self.middles();
        bins.iter_mut().for_each(|(middle, _)| *middle = middle.clamp(self.min, self.max));
        bins
    }

    /// How many bins are in use.
    pub(super) fn used_bins(&self) -> usize {
        self.pages.iter().map(|page| page.counts.iter().filter(|count| **count > 0).count()).sum()
    }

    /// The middle of each bin and its count, in the order of values. The same bin has the same middle in other numbers.
    pub(super) fn middles(&self) -> Vec<(f64, u64)> {
        let (mut bins, mut positive) = (Vec::with_capacity(self.used_bins()), 0);
        for (of, page) in self.pages() {
            for (bin, &count) in page.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let bits = (of as u64) << 52 | (bin as u64) << BELOW;
                // The bin of zero holds zeros in practice, and numbers below 1e-310.
                let middle = if bits == 0 { 0.0 } else { f64::from_bits(bits | 1 << (BELOW - 1)) };
                bins.push((middle, count));
            }
            positive = if of >> 11 == 0 { bins.len() } else { positive };
        }
        // Of negative numbers those with the highest bits are the least.
        bins[positive..].reverse();
        bins.rotate_left(positive);
        bins
    }
}

/// What a stored form tells beside the pages.
pub(super) struct Restored {
    pub nan: u64,
    pub infinite: [u64; 2],
    pub range: Option<(f64, f64)>,
}

/// The values at these shares of a sorted list of values and their counts: those of NumPy's method `nearest`. `None` for an
/// empty list.
pub(super) fn quantiles(values: &[(f64, u64)], shares: &[f64]) -> Option<Vec<f64>> {
    let rank = |count: u64| shares.iter().map(move |share| (share * (count - 1) as f64).round_ties_even() as u64);
    ranked(values, rank)
}

/// The middle value of a sorted list of values and their counts, or the mean of the two in the middle. `None` for an empty list.
pub(super) fn median(values: &[(f64, u64)]) -> Option<f64> {
    let middle = ranked(values, |count| [(count - 1) / 2, count / 2].into_iter())?;
    Some(middle[0].midpoint(middle[1]))
}

/// The values at these ranks, from 0, of a sorted list of values and their counts. `None` for an empty list.
fn ranked<R: Iterator<Item = u64>>(values: &[(f64, u64)], ranks: impl FnOnce(u64) -> R) -> Option<Vec<f64>> {
    let count: u64 = values.iter().map(|(_, count)| count).sum();
    let mut ends = Vec::with_capacity(values.len());
    let mut end = 0;
    for (_, count) in values {
        end += count;
        ends.push(end);
    }
    (count > 0).then(|| ranks(count).map(|rank| values[ends.partition_point(|end| *end <= rank)].0).collect())
}

/// A histogram of equal steps over a range, of a sorted list of values and their counts. Without a range it goes from the least
/// to the largest value.
pub(super) fn histogram(
    values: &[(f64, u64)],
    range: Option<(f64, f64)>,
    steps: usize,
) -> Option<(Vec<f64>, Vec<u64>)> {
    let (low, high) = range.or_else(|| Some((values.first()?.0, values.last()?.0)))?;
    let steps = if low == high { 1 } else { steps };
    let width = (high / steps as f64) - (low / steps as f64);
    let edges: Vec<f64> = (0..=steps).map(|i| if i == steps { high } else { low + width * i as f64 }).collect();
    let (mut counts, mut step) = (vec![0; steps], 0);
    for &(value, count) in values {
        while step + 1 < steps && edges[step + 1] <= value {
            step += 1;
        }
        counts[step] += count;
    }
    Some((edges, counts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    fn of(values: &[f64]) -> Numbers {
        let mut numbers = Numbers::default();
        values.iter().for_each(|&value| numbers.add(value));
        numbers
    }

    #[test]
    fn mean_and_deviation_are_those_of_exact_arithmetic() {
        // Where plain sums of squares have no digit left.
        let far: Vec<f64> = [1.0, 2.0, 3.0, 4.0].iter().map(|v| 1e9 + v * 1e-3).collect();
        let numbers = of(&far);
        assert!((numbers.mean().unwrap() - (1e9 + 2.5e-3)).abs() < 2e-7);
        assert!((numbers.std().unwrap() / 1.290_994_448_735_805_6e-3 - 1.0).abs() < 1e-4);
        let small = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(small.mean(), Some(5.0));
        assert_eq!(small.std(), Some((32.0f64 / 7.0).sqrt()));
        let huge = of(&[f64::MAX, f64::MAX, -f64::MAX]);
        assert_eq!(huge.mean(), Some(f64::MAX / 3.0));
        assert!(of(&[5e-324, 5e-324]).mean() == Some(5e-324) && of(&[5e-324; 3]).std() == Some(0.0));
        assert_eq!((of(&[]).mean(), of(&[3.0]).std()), (None, None));
    }

    #[test]
    fn order_parts_and_repetition_do_not_show() {
        let mut random = Random::new(9, 0);
        let values: Vec<f64> = (0..3_000).map(|_| random.between(-3.0, 5.0).powi(7)).collect();
        let whole = of(&values);
        let mut backwards = of(&values.iter().rev().take(1_234).copied().collect::<Vec<_>>());
        backwards.merge(&of(&values[..values.len() - 1_234]));
        let state = |numbers: &Numbers| {
            let pages: Vec<_> = numbers.pages().map(|(of, page)| (of, page.clone())).collect();
            (pages, numbers.mean().map(f64::to_bits), numbers.std().map(f64::to_bits), numbers.finite)
        };
        assert_eq!(state(&whole), state(&backwards));
        let mut repeated = Numbers::default();
        repeated.add_times(1.7e80, 1_000_003);
        let mut single = Numbers::default();
        (0..1_000_003).for_each(|_| single.add(1.7e80));
        assert_eq!(state(&repeated), state(&single));
    }

    #[test]
    fn numbers_of_32_bits_are_those_of_64() {
        let mut random = Random::new(10, 0);
        // Subnormal numbers, zeros, the ends of the range, and what is no number; more than one part, and more than 32 pages.
        let mut values = vec![0.0, -0.0, f32::MIN_POSITIVE / 8.0, -1e-45, f32::MAX, -f32::MAX, f32::NAN, f32::INFINITY];
        values.extend((0..40_000).map(|_| f32::from_bits(random.bits() as u32)).filter(|value| !value.is_nan()));
        values.extend([16_777_215.0; 300]);
        for values in [&values[..], &values[..1], &values[6..7], &[-2.5, -7.0], &[]] {
            let mut short = Numbers::default();
            values.chunks(35_000).for_each(|part| short.extend_f32(part));
            let long = of(&values.iter().copied().map(f64::from).collect::<Vec<_>>());
            let state = |of: &Numbers| (of.finite, of.nan, of.infinite, of.min.to_bits(), of.max.to_bits());
            assert_eq!(state(&short), state(&long));
            assert!(short.pages().eq(long.pages()));
        }
    }

    #[test]
    fn quantiles_are_within_a_bin() {
        let mut values: Vec<f64> = (0..1_001).map(|i| f64::from(i - 300).powi(3)).collect();
        let found = quantiles(&of(&values).bins(), &[0.0, 0.1, 0.3, 0.5, 0.999, 1.0]).unwrap();
        values.sort_by(f64::total_cmp);
        for (found, at) in found.iter().zip([0, 100, 300, 500, 999, 1_000]) {
            assert!((found - values[at]).abs() <= values[at].abs() * 0.004, "{found} at {at}: {}", values[at]);
        }
        assert_eq!((quantiles(&[], &[0.5]), median(&[])), (None, None));
        assert_eq!((median(&[(1.0, 2), (4.0, 2)]), median(&[(1.0, 2), (4.0, 3)])), (Some(2.5), Some(4.0)));
        assert_eq!(median(&[(f64::MAX, 4)]), Some(f64::MAX));
    }

    #[test]
    fn what_is_no_number_is_counted_apart() {
        let numbers = of(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, -0.0, 0.0, 1.0]);
        assert_eq!((numbers.count(), numbers.not_finite(), numbers.nan, numbers.infinite), (7, 4, 1, [1, 2]));
        assert_eq!((numbers.min(), numbers.max(), numbers.bins()[0]), (Some(0.0), Some(1.0), (0.0, 2)));
    }

    #[test]
    fn a_histogram_holds_every_value_once() {
        let (edges, counts) = histogram(&[(0.0, 2), (1.0, 1), (5.0, 3), (10.0, 4)], None, 5).unwrap();
        assert_eq!((edges, counts), (vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0], vec![3, 0, 3, 0, 4]));
        assert_eq!(histogram(&[(7.0, 3)], None, 5), Some((vec![7.0, 7.0], vec![3])));
        assert_eq!(histogram(&[], None, 5), None);
    }
}
