//! Random numbers that depend on a key and a counter alone: Philox4x32-10.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3. SC'11.

use std::fmt;

use super::error::{Error, Result};
use super::simd::{Level, Simd, SimdKernel, run_simd};

const ROUNDS: usize = 10;

/// The four words that Philox4x32-10 makes of a counter under a key.
#[inline]
pub(crate) fn philox(counter: [u32; 4], key: Key) -> [u32; 4] {
    let (mut words, mut key) = (counter.map(u64::from), key);
    for _ in 0..ROUNDS {
        words = round(words, key);
        key = next(key);
    }
    words.map(|word| word as u32)
}

/// The lower halves are the words; what is above them says nothing. So vectors need no instruction to cut products in two.
#[inline(always)]
fn round([c0, c1, c2, c3]: [u64; 4], [k0, k1]: Key) -> [u64; 4] {
    let low = (c0 & 0xffff_ffff) * 0xd251_1f53;
    let high = (c2 & 0xffff_ffff) * 0xcd9e_8d57;
    [high >> 32 ^ c1 ^ u64::from(k0), high, low >> 32 ^ c3 ^ u64::from(k1), low]
}

/// The key of the next round.
#[inline(always)]
fn next([k0, k1]: Key) -> Key {
    [k0.wrapping_add(0x9e37_79b9), k1.wrapping_add(0xbb67_ae85)]
}

/// Counters that are taken side by side, in the lanes of vectors.
pub(crate) const LANES: usize = 16;

/// The first words that [`Stream`]s of some samples draw, at most [`LANES`] of them.
pub(crate) struct FirstWords([[u64; LANES]; 4]);

impl FirstWords {
    /// Those of the samples `ids` under an operation's key.
    pub fn new(level: Level, key: Key, ids: &[u64]) -> Self {
        let mut words = [[0; LANES]; 4];
        for (lane, id) in ids.iter().enumerate().take(LANES) {
            (words[0][lane], words[1][lane]) = (id & 0xffff_ffff, id >> 32);
        }
        run_simd(level, SideBySide { words: &mut words, key });
        Self(words)
    }

    /// Those of the sample `ids[lane]`.
    #[inline]
    pub fn of(&self, lane: usize) -> [u32; 4] {
        [0, 1, 2, 3].map(|word: usize| self.0[word][lane] as u32)
    }
}

struct SideBySide<'a> {
    words: &'a mut [[u64; LANES]; 4],
    key: Key,
}

impl SimdKernel for SideBySide<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, _: S) {
        for _ in 0..ROUNDS {
            for lane in 0..LANES {
                let [c0, c1, c2, c3] = &mut *self.words;
                let words = round([c0[lane], c1[lane], c2[lane], c3[lane]], self.key);
                [c0[lane], c1[lane], c2[lane], c3[lane]] = words;
            }
            self.key = next(self.key);
        }
    }
}

/// A key of Philox.
pub(crate) type Key = [u32; 2];

/// The key of an operation: it depends on the seed, the epoch, the name of the operation and how many operations of this
/// name stand before it. So an operation that is added changes no draw of another one.
pub(crate) fn operation_key(seed: u64, epoch: u32, name: &str, occurrence: u32) -> Key {
    let [k0, k1, ..] = philox([epoch, hash(name), occurrence, 0], [seed as u32, (seed >> 32) as u32]);
    [k0, k1]
}

/// FNV-1a of 32 bits: what stands for a name in the counter of [`operation_key`].
pub(crate) fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The draws of one operation for one sample, one after another.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    key: Key,
    id: u64,
    block: u32,
    words: [u32; 4],
    used: usize,
}

impl Stream {
    /// The draws of the sample `id` under an operation's key.
    #[inline]
    pub fn new(key: Key, id: u64) -> Self {
        Self { key, id, block: 0, words: [0; 4], used: 4 }
    }

    /// The same, if its first words are known.
    #[inline]
    pub fn begun(key: Key, id: u64, words: [u32; 4]) -> Self {
        Self { key, id, block: 1, words, used: 0 }
    }

    /// The next 32 bits.
    #[inline]
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            self.refill();
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Apart from `bits`, which stands in every draw of every stage.
    #[inline(never)]
    fn refill(&mut self) {
        self.words = philox([self.id as u32, (self.id >> 32) as u32, self.block, 0], self.key);
        self.block += 1;
        self.used = 0;
    }

    /// A whole number from 0 to `n` − 1; 0 if `n` is 0.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(n)) >> 32) as u32
    }

    /// A whole number from `low` to `high`, both included.
    #[inline]
    pub fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low) as u32 + 1) as i32
    }

    /// A number from 0 to below 1.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        f64::from(self.bits()) / (1u64 << 32) as f64
    }

    /// A number in `low..high`.
    #[inline]
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Whether something that has this probability happens. What always happens takes no draw.
    #[inline]
    pub fn happens(&mut self, chance: Chance) -> bool {
        chance == Chance::ALWAYS || u64::from(self.bits()) < chance.threshold
    }
}

/// A probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    probability: f64,
    /// How many of the 2³² words mean that it happens.
    threshold: u64,
}

impl Chance {
    /// It always happens.
    pub const ALWAYS: Chance = Chance { probability: 1.0, threshold: 1 << 32 };

    /// # Errors
    /// [`Error::InvalidOption`] if `probability` is not from 0 to 1.
    pub fn new(probability: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&probability) {
            return Ok(Self { probability, threshold: (probability * (1u64 << 32) as f64).round() as u64 });
        }
        Err(Error::InvalidOption { option: "probability", why: format!("{probability} is not from 0 to 1") })
    }

    /// From 0 to 1.
    pub fn probability(self) -> f64 {
        self.probability
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::ALWAYS
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.probability.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123's `kat_vectors`, philox4x32-10.
    #[test]
    fn the_published_answers_come_out() {
        for (counter, key, answer) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), answer);
        }
    }

    #[test]
    fn draws_are_the_words_of_their_counters() {
        let key = [3, 4];
        let mut stream = Stream::new(key, 0x5_0000_0007);
        let drawn: Vec<u32> = (0..8).map(|_| stream.bits()).collect();
        assert_eq!(drawn[..4], philox([7, 5, 0, 0], key));
        assert_eq!(drawn[4..], philox([7, 5, 1, 0], key));
        let ids: [u64; LANES] = std::array::from_fn(|lane| 0x5_0000_0007 + lane as u64 * 0x1_2345_6789);
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            let words = FirstWords::new(level, key, &ids);
            for (lane, id) in ids.into_iter().enumerate() {
                let words = words.of(lane);
                let (mut begun, mut stream) = (Stream::begun(key, id, words), Stream::new(key, id));
                assert!((0..8).all(|_| begun.bits() == stream.bits()), "{level} {id}");
            }
        }
    }

    #[test]
    fn keys_differ_in_everything_that_they_depend_on() {
        let mut seen = std::collections::HashSet::new();
        for seed in [0, 1, 1 << 32] {
            for epoch in 0..3 {
                for name in ["hflip", "vflip", "crop"] {
                    for occurrence in 0..3 {
                        assert!(seen.insert(operation_key(seed, epoch, name, occurrence)));
                    }
                }
            }
        }
    }

    #[test]
    fn bounds_and_probabilities_hold_at_their_ends() {
        let mut stream = Stream::new([1, 2], 3);
        let drawn: Vec<i32> = (0..1000).map(|_| stream.between(-2, 2)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&-2), Some(&2)));
        assert!((0..100).all(|_| stream.below(1) == 0 && stream.below(0) == 0));
        let chance = |p| Chance::new(p).unwrap();
        assert!((0..100).all(|_| stream.happens(chance(1.0)) && !stream.happens(chance(0.0))));
        assert!(Chance::new(1.1).is_err() && Chance::new(f64::NAN).is_err());
    }
}
