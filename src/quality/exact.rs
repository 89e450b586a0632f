//! Sums of floats without rounding: integers of many limbs, in two's complement, the lowest limb first.
//!
//! An addition of floats rounds, so its result depends on the order. These sums are integers, and do not.

/// Adds `value`·2^`shift`. What leaves the highest limb is lost.
pub(super) fn add(limbs: &mut [u64], value: u128, shift: usize) {
    let (parts, at) = spread(value, shift);
    let mut carry = false;
    for (at, limb) in limbs.iter_mut().enumerate().skip(at) {
        let part = parts.get(at - shift / 64).copied().unwrap_or(0);
        if part == 0 && !carry && at >= shift / 64 + parts.len() {
            return;
        }
        let (sum, first) = limb.overflowing_add(part);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        *limb = sum;
        carry = first || second;
    }
}

/// Subtracts `value`·2^`shift`.
pub(super) fn subtract(limbs: &mut [u64], value: u128, shift: usize) {
    let (parts, at) = spread(value, shift);
    let mut borrow = false;
    for (at, limb) in limbs.iter_mut().enumerate().skip(at) {
        let part = parts.get(at - shift / 64).copied().unwrap_or(0);
        if part == 0 && !borrow && at >= shift / 64 + parts.len() {
            return;
        }
        let (rest, first) = limb.overflowing_sub(part);
        let (rest, second) = rest.overflowing_sub(u64::from(borrow));
        *limb = rest;
        borrow = first || second;
    }
}

/// `value`·2^`shift` as limbs, and the place of the first of them.
fn spread(value: u128, shift: usize) -> ([u64; 3], usize) {
    let (low, high, bits) = (value as u64, (value >> 64) as u64, shift % 64);
    let over = |limb: u64| if bits == 0 { 0 } else { limb >> (64 - bits) };
    ([low << bits, high << bits | over(low), over(high)], shift / 64)
}

/// Adds the other number, limb by limb. Both have as many limbs.
pub(super) fn merge(limbs: &mut [u64], other: &[u64]) {
    let mut carry = false;
    for (limb, &part) in limbs.iter_mut().zip(other) {
        let (sum, first) = limb.overflowing_add(part);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        *limb = sum;
        carry = first || second;
    }
}

/// Whether the number is below zero, and its magnitude.
pub(super) fn magnitude(limbs: &[u64]) -> (bool, Vec<u64>) {
    let is_negative = limbs.last().is_some_and(|limb| limb >> 63 == 1);
    let mut limbs = limbs.to_vec();
    if is_negative {
        limbs.iter_mut().for_each(|limb| *limb = !*limb);
        add(&mut limbs, 1, 0);
    }
    (is_negative, limbs)
}

/// The product of two magnitudes.
pub(super) fn product(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut product = vec![0; a.len() + b.len() + 2];
    for (i, &a) in a.iter().enumerate().filter(|(_, a)| **a != 0) {
        for (j, &b) in b.iter().enumerate().filter(|(_, b)| **b != 0) {
            add(&mut product, u128::from(a) * u128::from(b), (i + j) * 64);
        }
    }
    product
}

/// A magnitude as `m`·2^`e` with m in 0.5..1, rounded once; zero is (0, 0).
pub(super) fn float(limbs: &[u64]) -> (f64, i32) {
    let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else { return (0.0, 0) };
    let lead = limbs[top].leading_zeros();
    let limb = |at: Option<usize>| at.and_then(|at| limbs.get(at)).copied().unwrap_or(0);
    let next = limb(top.checked_sub(1));
    let mut word = if lead == 0 { limbs[top] } else { limbs[top] << lead | next >> (64 - lead) };
    // The bits that do not fit decide ties only, so that one of them says all.
    let rest = if lead == 0 { next != 0 } else { next << lead != 0 };
    if rest || limbs[..top.saturating_sub(1)].iter().any(|limb| *limb != 0) {
        word |= 1;
    }
    (word as f64 / 2f64.powi(64), (top as i32 + 1) * 64 - lead as i32)
}

/// `m`·2^`e`, with as many steps as keep the powers within floats.
pub(super) fn scaled(m: f64, e: i32) -> f64 {
    let half = e / 2;
    m * 2f64.powi(half / 2)
        * 2f64.powi(half - half / 2)
        * 2f64.powi((e - half) / 2)
        * 2f64.powi(e - half - (e - half) / 2)
}

/// The bits of a float: whether it is below zero, the mantissa as an integer, and the exponent above that of the least float
/// there is. Its value is mantissa·2^(exponent − 1074).
pub(super) fn parts(value: f64) -> (bool, u64, usize) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52) as usize & 0x7ff, bits & ((1 << 52) - 1));
    match exponent {
        0 => (bits >> 63 == 1, fraction, 0),
        _ => (bits >> 63 == 1, fraction | 1 << 52, exponent - 1),
    }
}

/// A sum of 32-bit floats without rounding, for up to 2⁶⁴ of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FloatSum([u64; 6]);

/// The exponent of the least 32-bit float.
const LEAST: i32 = -149;

impl FloatSum {
    /// Adds a finite number.
    #[inline]
    pub fn add(&mut self, value: f32) {
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 23) as usize & 0xff, bits & ((1 << 23) - 1));
        let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 23, exponent - 1) };
        // A mantissa of 24 bits lies in two limbs at most, and what goes beyond them is mostly nothing.
        let (at, part) = (shift / 64, u128::from(mantissa) << (shift % 64));
        let (low, high) = (part as u64, (part >> 64) as u64);
        if bits >> 31 == 1 {
            let (limb, borrow) = self.0[at].overflowing_sub(low);
            self.0[at] = limb;
            let more = high + u64::from(borrow);
            if more != 0 {
                subtract(&mut self.0, u128::from(more), 64 * (at + 1));
            }
        } else {
            let (limb, carry) = self.0[at].overflowing_add(low);
            self.0[at] = limb;
            let more = high + u64::from(carry);
            if more != 0 {
                add(&mut self.0, u128::from(more), 64 * (at + 1));
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        merge(&mut self.0, &other.0);
    }

    /// The sum, rounded once.
    pub fn value(&self) -> f64 {
        let (is_negative, magnitude) = magnitude(&self.0);
        let (m, e) = float(&magnitude);
        scaled(if is_negative { -m } else { m }, e + LEAST)
    }

    pub fn limbs(&self) -> &[u64] {
        &self.0
    }

    pub fn from_limbs(limbs: &[u64]) -> Option<Self> {
        limbs.try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    #[test]
    fn sums_are_those_of_wide_integers_in_any_order() {
        let mut random = Random::new(3, 0);
        let terms: Vec<(u128, usize, bool)> = (0..400)
            .map(|_| (u128::from(random.bits()) * 5, (random.bits() % 40) as usize, random.bits().is_multiple_of(2)))
            .collect();
        let sum = |terms: &mut dyn Iterator<Item = &(u128, usize, bool)>| {
            let mut limbs = [0; 5];
            for &(value, shift, plus) in terms {
                if plus { add(&mut limbs, value, shift) } else { subtract(&mut limbs, value, shift) }
            }
            limbs
        };
        let expected: i128 = terms.iter().map(|&(v, s, plus)| ((v as i128) << s) * if plus { 1 } else { -1 }).sum();
        let (forth, back) = (sum(&mut terms.iter()), sum(&mut terms.iter().rev()));
        assert_eq!(forth, back);
        let (is_negative, size) = magnitude(&forth);
        assert_eq!(
            (is_negative, u128::from(size[1]) << 64 | u128::from(size[0])),
            (expected < 0, expected.unsigned_abs())
        );
        assert_eq!(size[2..], [0, 0, 0]);
    }

    #[test]
    fn carries_go_through_all_limbs() {
        let mut limbs = [u64::MAX, u64::MAX, u64::MAX, 0];
        add(&mut limbs, 1, 0);
        assert_eq!(limbs, [0, 0, 0, 1]);
        subtract(&mut limbs, 1, 0);
        assert_eq!(limbs, [u64::MAX, u64::MAX, u64::MAX, 0]);
        assert_eq!(product(&[u64::MAX, u64::MAX], &[u64::MAX])[..4], [1, u64::MAX, u64::MAX - 1, 0]);
    }

    #[test]
    fn floats_round_once_to_even() {
        for (limbs, expected) in [
            (vec![0, 0], 0.0),
            (vec![1, 0], 1.0),
            (vec![0, 1], 2f64.powi(64)),
            // 2^53 + 1 lies between two floats, and a bit far below decides.
            (vec![0, (1 << 53) + 1], 2f64.powi(64) * 2f64.powi(53)),
            (vec![1, (1 << 53) + 1], 2f64.powi(64) * (2f64.powi(53) + 2.0)),
            (vec![u64::MAX], 2f64.powi(64)),
        ] {
            let (m, e) = float(&limbs);
            assert_eq!(scaled(m, e), expected, "{limbs:?}");
        }
    }

    #[test]
    fn a_sum_of_floats_loses_nothing() {
        let mut sum = FloatSum::default();
        for value in [1e30, 1.5, -1e30, f32::MIN_POSITIVE / 8.0, 0.25, -f32::MIN_POSITIVE / 8.0, -2.0] {
            sum.add(value);
        }
        assert_eq!(sum.value(), -0.25);
        let mut more = FloatSum::default();
        more.add(f32::MAX);
        more.merge(&sum);
        assert_eq!(more.value(), f64::from(f32::MAX) - 0.25);
    }
}
