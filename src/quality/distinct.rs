//! How many different values there are, and how often each occurs: both without regard to their order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::base::simd::{Level, Simd, SimdKernel, run_simd};

/// The bits of a hash that choose a register.
const CHOOSING: u32 = 12;
/// How many registers there are. The standard error of the estimate is 1.04/√registers = 1.6 %.
pub(super) const REGISTERS: usize = 1 << CHOOSING;
/// How many different values are counted one by one. If there are more, none is.
pub(super) const COUNTED: usize = 1_000;
/// Values with longer text are not counted one by one.
pub(super) const COUNTED_BYTES: usize = 128;

/// Bits that look random and depend on `bits` alone (the finalizer of SplitMix64).
#[inline(always)]
pub(super) fn mixed(bits: u64) -> u64 {
    let z = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A float as the bits by which it is counted: both zeros are one, and all that are no numbers.
#[inline(always)]
pub(super) fn key(value: f64) -> u64 {
    (if value.is_nan() { f64::NAN } else { value + 0.0 }).to_bits()
}

/// The keys of numbers and their hashes, of many at once.
pub(super) struct Hashed {
    keys: [u64; Self::MOST],
    hashes: [u64; Self::MOST],
}

impl Default for Hashed {
    fn default() -> Self {
        Self { keys: [0; Self::MOST], hashes: [0; Self::MOST] }
    }
}

impl Hashed {
    /// So many numbers are hashed at once.
    pub const MOST: usize = 256;

    /// The [`key`] of each number and the hash of that, of [`Hashed::MOST`] numbers at most.
    pub fn of<T: Copy + Into<f64>>(&mut self, values: &[T]) -> (&[u64], &[u64]) {
        let count = values.len().min(Self::MOST);
        let (keys, hashes) = (&mut self.keys[..count], &mut self.hashes[..count]);
        run_simd(Level::detect(), HashAll { values, keys, hashes });
        (&self.keys[..count], &self.hashes[..count])
    }
}

/// Hashes numbers. It has no vectors of its own: the compiler makes those of the level.
struct HashAll<'a, T> {
    values: &'a [T],
    keys: &'a mut [u64],
    hashes: &'a mut [u64],
}

impl<T: Copy + Into<f64>> SimdKernel for HashAll<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for ((&value, to_key), to_hash) in self.values.iter().zip(self.keys).zip(self.hashes) {
            *to_key = key(value.into());
            *to_hash = mixed(*to_key);
        }
    }
}

/// The hash of some bytes: the same on every machine and in every version.
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = mixed(bytes.len() as u64);
    for word in words {
        hash = mixed(hash ^ u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = mixed(hash ^ u64::from_le_bytes(word));
    }
    hash
}

/// A hash of many bytes, in less time than [`hash_bytes`]: four parts of them do not wait for each other. No file keeps it.
pub(super) fn hash_long(bytes: &[u8]) -> u64 {
    const PARTS: usize = 4;
    let mut parts: [u64; PARTS] = std::array::from_fn(|at| mixed((bytes.len() * PARTS + at) as u64));
    let other = parts.map(mixed);
    let mut add = |block: &[u8; 16 * PARTS]| {
        let (words, _) = block.as_chunks::<8>();
        for at in 0..PARTS {
            let [a, b] = [words[2 * at], words[2 * at + 1]].map(u64::from_le_bytes);
            let product = u128::from(a ^ parts[at]) * u128::from(b ^ other[at]);
            parts[at] = product as u64 ^ (product >> 64) as u64;
        }
    };
    let (blocks, rest) = bytes.as_chunks();
    blocks.iter().for_each(&mut add);
    let mut last = [0; 16 * PARTS];
    last[..rest.len()].copy_from_slice(rest);
    add(&last);
    parts.into_iter().fold(0, |all, part| mixed(all ^ part))
}

/// A HyperLogLog sketch: an estimate of how many different values there were. Values go in as hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct(Box<[u8; REGISTERS]>);

impl Default for Distinct {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

/// Adds a value to registers by its hash.
#[inline(always)]
fn add(registers: &mut [u8; REGISTERS], hash: u64) {
    // The place of the first one among the other bits, from 1.
    let rank = (hash << CHOOSING | 1 << (CHOOSING - 1)).leading_zeros() as u8 + 1;
    let register = &mut registers[(hash >> (64 - CHOOSING)) as usize];
    *register = rank.max(*register);
}

/// Adds values by their hashes. CPUs of the higher levels count leading zeros by one instruction.
struct AddAll<'a> {
    registers: &'a mut [u8; REGISTERS],
    hashes: &'a [u64],
}

impl SimdKernel for AddAll<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for &hash in self.hashes {
            add(self.registers, hash);
        }
    }
}

impl Distinct {
    /// Adds a value by its hash.
    #[inline]
    pub(super) fn add(&mut self, hash: u64) {
        add(&mut self.0, hash);
    }

    /// Adds values by their hashes.
    pub(super) fn add_all(&mut self, hashes: &[u64]) {
        run_simd(Level::detect(), AddAll { registers: &mut self.0, hashes });
    }

    /// How many registers are in use. There are at least as many different values.
    pub(super) fn used(&self) -> usize {
        self.0.iter().filter(|rank| **rank > 0).count()
    }

    /// Adds the values of the other.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&*other.0).for_each(|(own, other)| *own = (*other).max(*own));
    }

    /// The estimate, by the formula of Ertl ("New cardinality estimation algorithms for HyperLogLog sketches", 2017),
    /// which needs no correction for small or large counts.
    pub fn estimate(&self) -> f64 {
        const BITS: usize = 64 - CHOOSING as usize;
        // Counted in four tables: who counts the same rank again in one waits for the count before.
        let mut tables = [[0u64; BITS + 2]; 4];
        for ranks in self.0.as_chunks::<4>().0 {
            tables.iter_mut().zip(ranks).for_each(|(table, &rank)| table[usize::from(rank)] += 1);
        }
        let of_rank: [u64; BITS + 2] = std::array::from_fn(|rank| tables.iter().map(|table| table[rank]).sum());
        let m = REGISTERS as f64;
        let mut z = m * tau(1.0 - of_rank[BITS + 1] as f64 / m);
        for count in of_rank[1..=BITS].iter().rev() {
            z = 0.5 * (z + *count as f64);
        }
        z += m * sigma(of_rank[0] as f64 / m);
        m * m / (2.0 * std::f64::consts::LN_2 * z)
    }

    pub(super) fn registers(&self) -> &[u8] {
        &*self.0
    }

    pub(super) fn from_registers(registers: Vec<u8>) -> Option<Self> {
        let fits = registers.iter().all(|rank| u32::from(*rank) <= 65 - CHOOSING);
        registers.into_boxed_slice().try_into().ok().filter(|_| fits).map(Self)
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Hashes a key of 64 bits or of text quickly.
#[derive(Default)]
pub(super) struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mixed(self.0 ^ hash_bytes(bytes));
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = mixed(self.0 ^ bits);
    }

    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// How often each value occurs, exactly, as long as there are at most [`COUNTED`] different ones. With more of them nothing is
/// known of any: what is known must depend on the values alone, not on which of them came first.
#[derive(Debug, Clone)]
pub(super) struct Counts<K: Hash + Eq>(Option<HashMap<K, u64, BuildHasherDefault<Quick>>>);

impl<K: Hash + Eq> Default for Counts<K> {
    fn default() -> Self {
        Self(Some(HashMap::default()))
    }
}

impl<K: Hash + Eq + Ord + Clone> Counts<K> {
    /// Adds a value so many times.
    #[inline]
    pub fn add<Q>(&mut self, value: &Q, times: u64)
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized + ToOwned<Owned = K>,
    {
        let Some(counts) = &mut self.0 else { return };
        if let Some(count) = counts.get_mut(value) {
            *count += times;
        } else if counts.len() < COUNTED {
            counts.insert(value.to_owned(), times);
        } else {
            self.0 = None;
        }
    }

    /// Forgets all, for values that cannot be counted.
    pub fn close(&mut self) {
        self.0 = None;
    }

    pub fn merge(&mut self, other: &Self) {
        match &other.0 {
            Some(others) => {
                let Some(counts) = &mut self.0 else { return };
                for (value, count) in others {
                    *counts.entry(value.clone()).or_default() += count;
                }
                if counts.len() > COUNTED {
                    self.0 = None;
                }
            }
            None => self.0 = None,
        }
    }

    /// All values and their counts, in the order of values.
    pub fn sorted(&self) -> Option<Vec<(K, u64)>> {
        let mut counts: Vec<(K, u64)> = self.0.as_ref()?.iter().map(|(value, count)| (value.clone(), *count)).collect();
        counts.sort();
        Some(counts)
    }

    /// The most common values, the most common first; of those that are as common, the lower ones first.
    pub fn most_common(&self, how_many: usize) -> Option<Vec<(K, u64)>> {
        let mut counts = self.sorted()?;
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.truncate(how_many);
        Some(counts)
    }

    /// As many different values as are known.
    pub fn len(&self) -> Option<usize> {
        self.0.as_ref().map(HashMap::len)
    }

    pub fn from_sorted(counts: Option<Vec<(K, u64)>>) -> Self {
        Self(counts.map(|counts| counts.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_within_three_standard_errors() {
        for count in [0u64, 1, 10, 100, 1_000, 5_000, 10_000, 100_000, 1_000_000] {
            let mut distinct = Distinct::default();
            (0..count).for_each(|value| distinct.add(mixed(value)));
            let error = (distinct.estimate() - count as f64).abs();
            assert!(error <= 0.05 * count as f64 + 0.01, "{count}: {}", distinct.estimate());
            assert!(count > 10 || distinct.estimate().round() == count as f64);
        }
    }

    #[test]
    fn parts_in_any_order_give_the_same_registers() {
        let of = |values: &mut dyn Iterator<Item = u64>| {
            let mut distinct = Distinct::default();
            values.for_each(|value| distinct.add(hash_bytes(value.to_string().as_bytes())));
            distinct
        };
        let whole = of(&mut (0..2_000));
        let mut parts = of(&mut (900..2_000).rev());
        parts.merge(&of(&mut (0..1_200)));
        assert_eq!(whole, parts);
        assert!(Distinct::from_registers(vec![53; REGISTERS]).is_some());
        assert!(Distinct::from_registers(vec![54; REGISTERS]).is_none());
    }

    #[test]
    fn texts_that_differ_in_length_or_place_have_other_hashes() {
        let texts: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"abcdefgh", b"abcdefgh\0", b"bacdefgh"];
        for (i, a) in texts.iter().enumerate() {
            assert!(texts[..i].iter().all(|b| hash_bytes(a) != hash_bytes(b) && hash_long(a) != hash_long(b)), "{a:?}");
        }
        // One byte anywhere, in another place or with another value, and another length.
        let mut seen = std::collections::HashSet::new();
        for length in [1, 63, 64, 65, 784] {
            let mut bytes = vec![0; length];
            assert!(seen.insert(hash_long(&bytes)));
            for at in 0..length {
                for value in [1, 128, 255] {
                    bytes[at] = value;
                    assert!(seen.insert(hash_long(&bytes)), "{value} at {at} of {length}");
                }
                bytes[at] = 0;
            }
        }
    }

    #[test]
    fn counts_are_exact_or_not_there() {
        let mut counts = Counts::<u64>::default();
        for value in 0..COUNTED as u64 {
            counts.add(&value, 1 + value % 3);
        }
        assert_eq!(counts.most_common(2), Some(vec![(2, 3), (5, 3)]));
        let mut one = Counts::<u64>::default();
        one.add(&7, 5);
        counts.merge(&one);
        assert_eq!(counts.most_common(1), Some(vec![(7, 7)]));
        one.add(&5_000, 1);
        let (mut forth, mut back) = (counts.clone(), one.clone());
        forth.merge(&one);
        back.merge(&counts);
        assert_eq!((forth.sorted(), back.sorted()), (None, None));
    }
}
