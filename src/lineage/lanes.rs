//! BLAKE3 of several short messages at once, each in a lane of its own.
//!
//! Written from the paper: J. O'Connor, J.-P. Aumasson, S. Neves, Z. Wilcox-O'Hearn, BLAKE3, 2020, section 2. The crate `blake3` is
//! fast for one long message, and hashes a short one block after block.

use crate::base::simd::{Level, Portable, run_at_level};

/// What BLAKE3 takes at once.
pub const BLOCK: usize = 64;
/// Messages that are hashed at once.
pub const LANES: usize = 16;
/// The maximum of bytes of a message: BLAKE3 makes a tree of a longer one.
pub const MAX_BYTES: usize = 1024;

const WORDS: usize = 16;
const IV: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// The order of the words of a block in each of the seven rounds.
const ORDERS: [[usize; WORDS]; 7] = orders();
const CHUNK_START: u32 = 1;
const CHUNK_END: u32 = 2;
const ROOT: u32 = 8;

const fn orders() -> [[usize; WORDS]; 7] {
    let permutation = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
    let mut orders = [[0; WORDS]; 7];
    let mut at = 0;
    while at < 7 * WORDS {
        let (round, word) = (at / WORDS, at % WORDS);
        orders[round][word] = if round == 0 { word } else { orders[round - 1][permutation[word]] };
        at += 1;
    }
    orders
}

type Hash = [u8; 32];
/// A word of each message.
type Lanes = [u32; LANES];

/// Whether messages that stand one behind another and end at `ends` can be hashed at once, and are of about one length, so that
/// few lanes wait for others.
pub fn are_worth(ends: &[usize; LANES]) -> bool {
    // Without vectors the crate is faster.
    if Level::detect() == Level::Portable {
        return false;
    }
    let (mut start, mut least, mut most) = (0, usize::MAX, 0);
    for &end in ends {
        (least, most) = (least.min(end - start), most.max(end - start));
        start = end;
    }
    least > 0 && most <= MAX_BYTES && most * LANES <= 2 * start
}

/// Puts the digests of messages into `digests`. Each message has one to 16 whole blocks.
pub fn hash(messages: &[&[u8]; LANES], digests: &mut [Hash; LANES]) {
    hash_at(Level::detect(), messages, digests);
}

fn hash_at(level: Level, messages: &[&[u8]; LANES], digests: &mut [Hash; LANES]) {
    run_kernel(level, Hashing { messages, digests });
}

trait Kernel {
    fn run<W: Words>(self, simd: W);
}

run_at_level!(run_kernel, Kernel);

/// Vectors of a word of each message, in the instructions of a level. A value of the implementor proves that the CPU has them.
trait Words: Copy {
    type Vector: Copy;

    fn load(self, words: &Lanes) -> Self::Vector;
    fn store(self, vector: Self::Vector, words: &mut Lanes);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Every word rotated right by `BITS`.
    fn rotate<const BITS: i32, const REST: i32>(self, a: Self::Vector) -> Self::Vector;
}

impl Words for Portable {
    type Vector = Lanes;

    #[inline(always)]
    fn load(self, words: &Lanes) -> Lanes {
        *words
    }

    #[inline(always)]
    fn store(self, vector: Lanes, words: &mut Lanes) {
        *words = vector;
    }

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    fn xor(self, a: Lanes, b: Lanes) -> Lanes {
        std::array::from_fn(|lane| a[lane] ^ b[lane])
    }

    #[inline(always)]
    fn rotate<const BITS: i32, const REST: i32>(self, a: Lanes) -> Lanes {
        a.map(|word| word.rotate_right(BITS as u32))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, Words};
    use crate::base::simd::{Avx2, Avx512};

    // SAFETY, for every block here: `self` proves that the CPU has the instructions; loads and stores are of a whole array.
    impl Words for Avx2 {
        type Vector = [__m256i; 2];

        #[inline(always)]
        fn load(self, words: &Lanes) -> [__m256i; 2] {
            let at = words.as_ptr().cast::<__m256i>();
            // SAFETY: above.
            unsafe { [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))] }
        }

        #[inline(always)]
        fn store(self, [low, high]: [__m256i; 2], words: &mut Lanes) {
            let at = words.as_mut_ptr().cast::<__m256i>();
            // SAFETY: above.
            unsafe {
                _mm256_storeu_si256(at, low);
                _mm256_storeu_si256(at.add(1), high);
            }
        }

        #[inline(always)]
        fn add(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: above.
            unsafe { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
        }

        #[inline(always)]
        fn xor(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: above.
            unsafe { [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])] }
        }

        #[inline(always)]
        fn rotate<const BITS: i32, const REST: i32>(self, [low, high]: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: above.
            unsafe {
                [
                    _mm256_or_si256(_mm256_srli_epi32::<BITS>(low), _mm256_slli_epi32::<REST>(low)),
                    _mm256_or_si256(_mm256_srli_epi32::<BITS>(high), _mm256_slli_epi32::<REST>(high)),
                ]
            }
        }
    }

    // SAFETY, for every block here: as above.
    impl Words for Avx512 {
        type Vector = __m512i;

        #[inline(always)]
        fn load(self, words: &Lanes) -> __m512i {
            // SAFETY: above.
            unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
        }

        #[inline(always)]
        fn store(self, vector: __m512i, words: &mut Lanes) {
            // SAFETY: above.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
        }

        #[inline(always)]
        fn add(self, a: __m512i, b: __m512i) -> __m512i {
            // SAFETY: above.
            unsafe { _mm512_add_epi32(a, b) }
        }

        #[inline(always)]
        fn xor(self, a: __m512i, b: __m512i) -> __m512i {
            // SAFETY: above.
            unsafe { _mm512_xor_si512(a, b) }
        }

        #[inline(always)]
        fn rotate<const BITS: i32, const REST: i32>(self, a: __m512i) -> __m512i {
            // SAFETY: above.
            unsafe { _mm512_ror_epi32::<BITS>(a) }
        }
    }
}

struct Hashing<'a> {
    messages: &'a [&'a [u8]; LANES],
    digests: &'a mut [Hash; LANES],
}

impl Kernel for Hashing<'_> {
    #[inline(always)]
    fn run<W: Words>(self, simd: W) {
        let mut blocks = [0; LANES];
        for (blocks, message) in blocks.iter_mut().zip(self.messages) {
            *blocks = message.len() / BLOCK;
        }
        let mut most = 0;
        for of_message in blocks {
            most = most.max(of_message);
        }
        let mut state = [[0; LANES]; 8];
        for (state, word) in state.iter_mut().zip(IV) {
            *state = [word; LANES];
        }
        for at in 0..most {
            let mut words = [[0; LANES]; WORDS];
            let mut flags = [0; LANES];
            for lane in 0..LANES {
                let Some(block) = self.messages[lane].get(at * BLOCK..(at + 1) * BLOCK) else { continue };
                for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
                    word[lane] = u32::from_le_bytes(*bytes);
                }
                flags[lane] = if at == 0 { CHUNK_START } else { 0 };
                flags[lane] |= if at + 1 == blocks[lane] { CHUNK_END | ROOT } else { 0 };
            }
            let before = state;
            compress(simd, &mut state, &words, &flags);
            for lane in 0..LANES {
                if at >= blocks[lane] {
                    // A message that has ended stays as it is.
                    for (word, before) in state.iter_mut().zip(&before) {
                        word[lane] = before[lane];
                    }
                }
            }
        }
        for (lane, digest) in self.digests.iter_mut().enumerate() {
            for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(&state) {
                *bytes = word[lane].to_le_bytes();
            }
        }
    }
}

/// The compression function, for blocks of 64 bytes of the first chunk.
#[inline(always)]
fn compress<W: Words>(simd: W, state: &mut [Lanes; 8], words: &[Lanes; WORDS], flags: &Lanes) {
    let (word, all) = (|at: usize| simd.load(&state[at]), |word: u32| simd.load(&[word; LANES]));
    let mut v = [
        word(0),
        word(1),
        word(2),
        word(3),
        word(4),
        word(5),
        word(6),
        word(7),
        all(IV[0]),
        all(IV[1]),
        all(IV[2]),
        all(IV[3]),
        all(0),
        all(0),
        all(BLOCK as u32),
        simd.load(flags),
    ];
    for order in ORDERS {
        let word = |at: usize| simd.load(&words[order[at]]);
        mix(simd, &mut v, [0, 4, 8, 12], word(0), word(1));
        mix(simd, &mut v, [1, 5, 9, 13], word(2), word(3));
        mix(simd, &mut v, [2, 6, 10, 14], word(4), word(5));
        mix(simd, &mut v, [3, 7, 11, 15], word(6), word(7));
        mix(simd, &mut v, [0, 5, 10, 15], word(8), word(9));
        mix(simd, &mut v, [1, 6, 11, 12], word(10), word(11));
        mix(simd, &mut v, [2, 7, 8, 13], word(12), word(13));
        mix(simd, &mut v, [3, 4, 9, 14], word(14), word(15));
    }
    for (at, word) in state.iter_mut().enumerate() {
        simd.store(simd.xor(v[at], v[at + 8]), word);
    }
}

/// The function G of the paper on four words of the state.
#[inline(always)]
fn mix<W: Words>(simd: W, v: &mut [W::Vector; 16], [a, b, c, d]: [usize; 4], x: W::Vector, y: W::Vector) {
    v[a] = simd.add(simd.add(v[a], v[b]), x);
    v[d] = simd.rotate::<16, 16>(simd.xor(v[d], v[a]));
    v[c] = simd.add(v[c], v[d]);
    v[b] = simd.rotate::<12, 20>(simd.xor(v[b], v[c]));
    v[a] = simd.add(simd.add(v[a], v[b]), y);
    v[d] = simd.rotate::<8, 24>(simd.xor(v[d], v[a]));
    v[c] = simd.add(v[c], v[d]);
    v[b] = simd.rotate::<7, 25>(simd.xor(v[b], v[c]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_hashes_as_the_crate_does() {
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            for seed in 0..40usize {
                let length = |lane: usize| 1 + (seed * 7 + lane * lane * (seed % 3)) % (MAX_BYTES / BLOCK);
                let bytes: Vec<Vec<u8>> = (0..LANES)
                    .map(|lane| (0..length(lane) * BLOCK).map(|at| (at * (seed + 3) + lane * 17) as u8).collect())
                    .collect();
                let messages: [&[u8]; LANES] = std::array::from_fn(|lane| &bytes[lane][..]);
                let mut digests = [[0; 32]; LANES];
                hash_at(level, &messages, &mut digests);
                for (message, digest) in messages.iter().zip(digests) {
                    assert_eq!(digest, *blake3::hash(message).as_bytes(), "{level}, {} bytes", message.len());
                }
            }
        }
    }

    #[test]
    fn lanes_are_for_short_messages_of_about_one_length() {
        let ends = |lengths: [usize; LANES]| {
            let mut end = 0;
            lengths.map(|length| {
                end += length;
                end
            })
        };
        let vectors = Level::detect() != Level::Portable;
        assert_eq!(are_worth(&ends([320; LANES])), vectors);
        assert_eq!(are_worth(&ends([MAX_BYTES; LANES])), vectors);
        assert!(!are_worth(&ends([MAX_BYTES + BLOCK; LANES])));
        let mut one = [BLOCK; LANES];
        one[3] = MAX_BYTES;
        assert!(!are_worth(&ends(one)), "fifteen lanes would wait");
        one[3] = 0;
        assert!(!are_worth(&ends(one)), "nothing is no block");
    }
}
