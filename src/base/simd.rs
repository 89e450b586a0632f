//! Sets of SIMD instructions: which of them this CPU has, and the proof of it that kernels ask for.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use super::error::{Error, Result};
use super::text::choose;

/// A set of instructions that the CPU kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// What every CPU of the target has.
    Portable,
    /// x86-64 with AVX2, BMI, LZCNT and POPCNT: Haswell, Zen and later.
    Avx2,
    /// That and AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and VNNI: Ice Lake, Zen 4 and later.
    Avx512,
}

impl Level {
    /// All levels, from the plainest to the fastest.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// Whether this CPU has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => false,
        }
    }

    /// The fastest level of this CPU.
    pub fn detect() -> Level {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Level::ALL.into_iter().rfind(|level| level.is_available()).unwrap_or(Level::Portable))
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = Error;

    /// Reads what [`Level::name`] writes.
    fn from_str(text: &str) -> Result<Self> {
        choose("SIMD level", text, &Level::ALL.map(|level| (level.name(), level)))
    }
}

/// No instructions beyond those that every CPU of the target has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

/// Proof that the CPU has the instructions of [`Level::Avx2`].
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    #[inline]
    pub fn detect() -> Option<Self> {
        static HAS: OnceLock<bool> = OnceLock::new();
        let has_all = || {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt")
        };
        HAS.get_or_init(has_all).then_some(Self(()))
    }
}

/// Proof that the CPU has the instructions of [`Level::Avx512`].
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    #[inline]
    pub fn detect() -> Option<Self> {
        static HAS: OnceLock<bool> = OnceLock::new();
        let has_all = || {
            Avx2::detect().is_some()
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi")
                && is_x86_feature_detected!("avx512vbmi2")
                && is_x86_feature_detected!("avx512vnni")
        };
        HAS.get_or_init(has_all).then_some(Self(()))
    }
}

/// A kernel that is written once and compiled for every level.
pub(crate) trait SimdKernel {
    /// Runs with the instructions of one level. Must be `#[inline(always)]`, as must all that it calls, so that they are
    /// compiled with these instructions.
    fn run<S: Simd>(self, simd: S);
}

/// Makes the function `$run`, which runs a kernel with a level's instructions, or with those that every CPU has if this
/// one lacks them. `$Kernel` is a trait whose method `run` takes the proof of the level.
macro_rules! run_at_level {
    ($vis:vis $run:ident, $Kernel:path) => {
        $vis fn $run(level: $crate::base::simd::Level, kernel: impl $Kernel) {
            #[cfg(target_arch = "x86_64")]
            use $crate::base::simd::{Avx2, Avx512};
            use $crate::base::simd::{Level, Portable};
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => {
                    if let Some(avx2) = Avx2::detect() {
                        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
                        fn run(avx2: Avx2, kernel: impl $Kernel) {
                            kernel.run(avx2);
                        }
                        // SAFETY: `avx2` proves that the CPU has these instructions.
                        return unsafe { run(avx2, kernel) };
                    }
                }
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => {
                    if let Some(avx512) = Avx512::detect() {
                        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
                        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx512vnni")]
                        fn run(avx512: Avx512, kernel: impl $Kernel) {
                            kernel.run(avx512);
                        }
                        // SAFETY: `avx512` proves that the CPU has these instructions.
                        return unsafe { run(avx512, kernel) };
                    }
                }
                _ => {}
            }
            kernel.run(Portable);
        }
    };
}
pub(crate) use run_at_level;

run_at_level!(pub(crate) run_simd, SimdKernel);

/// The most bytes of a vector at any level.
pub(crate) const MAX_LANES: usize = 64;

/// Vectors of bytes, in the instructions of a level. A value of the implementor proves that the CPU has them.
pub(crate) trait Simd: Copy {
    /// A vector.
    type Bytes: Copy;
    /// Bytes of a vector.
    const LANES: usize;

    /// The same byte in every lane.
    fn splat(self, byte: u8) -> Self::Bytes;

    /// The first [`Simd::LANES`] of `bytes`.
    ///
    /// # Panics
    /// If there are fewer.
    fn load(self, bytes: &[u8]) -> Self::Bytes;

    /// Every lane shifted right by `bits` ≤ 7, zeros coming in.
    fn shift_right(self, bytes: Self::Bytes, bits: u32) -> Self::Bytes;

    /// `counters`, one more in the lanes in which `a` and `b` are equal.
    fn count_equal(self, counters: Self::Bytes, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;

    /// The sum of all lanes.
    fn sum(self, bytes: Self::Bytes) -> u32;

    /// Writes a vector to the first [`Simd::LANES`] of `out`.
    ///
    /// # Panics
    /// If there are fewer.
    fn store(self, bytes: Self::Bytes, out: &mut [u8]);

    /// Writes the bytes that are not 0 to the start of `out`, in order. Returns how many they are. What stands behind them
    /// among the first [`Simd::LANES`] of `out` may change.
    ///
    /// # Panics
    /// If `out` has no room for a vector.
    fn store_not_zero(self, bytes: Self::Bytes, out: &mut [u8]) -> usize;

    /// Writes the numbers that are not 0 to the start of `out`, in order. Returns how many they are. What stands behind them, up to
    /// as many numbers as there are, may change.
    ///
    /// # Panics
    /// If `out` is shorter than `values`.
    #[inline(always)]
    fn copy_not_zero(self, values: &[f32], out: &mut [f32]) -> usize {
        let out = &mut out[..values.len()];
        let mut count = 0;
        for &value in values {
            // Without a branch: where numbers are often 0, the CPU cannot predict which.
            out[count] = value;
            count += usize::from(value != 0.0);
        }
        count
    }

    /// Sums of bytes and of their squares, and how many bytes are 0.
    type Sums: Copy;

    /// Those of no bytes.
    fn no_sums(self) -> Self::Sums;

    /// `sums`, and those of `bytes`. Sums of 2¹⁴ bytes fit.
    fn add_sums(self, sums: Self::Sums, bytes: Self::Bytes) -> Self::Sums;

    /// `sums`, and the differences of `a` and `b` without their signs added to the sum.
    fn add_differences(self, sums: Self::Sums, a: Self::Bytes, b: Self::Bytes) -> Self::Sums;

    /// The sum, the sum of squares, and the zeros.
    fn totals(self, sums: Self::Sums) -> [u64; 3];

    /// The bits that are set in both.
    fn and(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;

    /// `yes` where the bits of `mask` are set, `no` elsewhere. All bits of a byte of `mask` are the same.
    fn select(self, mask: Self::Bytes, yes: Self::Bytes, no: Self::Bytes) -> Self::Bytes;

    /// Eight times each pixel less the eight around it, within what a byte holds. `rows` are the row above the pixels, their own
    /// and the one below. Of each row there are three vectors: they start one to the left of the pixels, at them, and one to the
    /// right.
    fn edges(self, rows: [[Self::Bytes; 3]; 3]) -> Self::Bytes;

    /// Writes what a table has at each of `bytes` to `out`, which is as long.
    #[inline(always)]
    fn look_up(self, table: &[u8; 256], bytes: &[u8], out: &mut [u8]) {
        for (out, &byte) in out.iter_mut().zip(bytes) {
            *out = table[usize::from(byte)];
        }
    }

    /// Four sums of 32 bits.
    type Four: Copy;

    /// Four times the same sum.
    fn four(self, sum: i32) -> Self::Four;

    /// `sums` plus four bytes, each times `weight`.
    fn add_weighed(self, sums: Self::Four, bytes: [u8; 4], weight: i16) -> Self::Four;

    /// The sums without their last `bits`, and within what a byte holds.
    fn to_bytes(self, sums: Self::Four, bits: u32) -> [u8; 4];
}

impl Simd for Portable {
    type Bytes = [u8; 16];
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(self, byte: u8) -> [u8; 16] {
        [byte; 16]
    }

    #[inline(always)]
    fn load(self, bytes: &[u8]) -> [u8; 16] {
        *bytes.first_chunk().expect("a vector of bytes")
    }

    #[inline(always)]
    fn shift_right(self, bytes: [u8; 16], bits: u32) -> [u8; 16] {
        bytes.map(|byte| byte >> bits)
    }

    #[inline(always)]
    fn count_equal(self, counters: [u8; 16], a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|i| counters[i].wrapping_add(u8::from(a[i] == b[i])))
    }

    #[inline(always)]
    fn sum(self, bytes: [u8; 16]) -> u32 {
        bytes.iter().map(|&byte| u32::from(byte)).sum()
    }

    #[inline(always)]
    fn store(self, bytes: [u8; 16], out: &mut [u8]) {
        *out.first_chunk_mut().expect("room for a vector") = bytes;
    }

    #[inline(always)]
    fn store_not_zero(self, bytes: [u8; 16], out: &mut [u8]) -> usize {
        let out: &mut [u8; 16] = out.first_chunk_mut().expect("room for a vector");
        let mut count = 0;
        for byte in bytes {
            out[count % 16] = byte;
            count += usize::from(byte != 0);
        }
        count
    }

    type Sums = [u32; 3];

    #[inline(always)]
    fn no_sums(self) -> [u32; 3] {
        [0; 3]
    }

    #[inline(always)]
    fn add_sums(self, [mut sum, mut squares, mut zeros]: [u32; 3], bytes: [u8; 16]) -> [u32; 3] {
        for byte in bytes {
            let value = u32::from(byte);
            (sum, squares, zeros) = (sum + value, squares + value * value, zeros + u32::from(byte == 0));
        }
        [sum, squares, zeros]
    }

    #[inline(always)]
    fn add_differences(self, [sum, squares, zeros]: [u32; 3], a: [u8; 16], b: [u8; 16]) -> [u32; 3] {
        let differences = a.iter().zip(b).map(|(&a, b)| u32::from(a.abs_diff(b)));
        [sum + differences.sum::<u32>(), squares, zeros]
    }

    #[inline(always)]
    fn totals(self, sums: [u32; 3]) -> [u64; 3] {
        sums.map(u64::from)
    }

    #[inline(always)]
    fn and(self, a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|i| a[i] & b[i])
    }

    #[inline(always)]
    fn select(self, mask: [u8; 16], yes: [u8; 16], no: [u8; 16]) -> [u8; 16] {
        std::array::from_fn(|i| mask[i] & yes[i] | !mask[i] & no[i])
    }

    #[inline(always)]
    fn edges(self, rows: [[[u8; 16]; 3]; 3]) -> [u8; 16] {
        let mut edges = [0; 16];
        for i in 0..16 {
            let mut sum = 0;
            for bytes in rows.iter().flatten() {
                sum += u16::from(bytes[i]);
            }
            edges[i] = (9 * u16::from(rows[1][1][i])).saturating_sub(sum).min(255) as u8;
        }
        edges
    }

    type Four = [i32; 4];

    #[inline(always)]
    fn four(self, sum: i32) -> [i32; 4] {
        [sum; 4]
    }

    #[inline(always)]
    fn add_weighed(self, sums: [i32; 4], bytes: [u8; 4], weight: i16) -> [i32; 4] {
        std::array::from_fn(|i| sums[i] + i32::from(bytes[i]) * i32::from(weight))
    }

    #[inline(always)]
    fn to_bytes(self, sums: [i32; 4], bits: u32) -> [u8; 4] {
        sums.map(|sum| (sum >> bits).clamp(0, 255) as u8)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Avx2, Avx512, Simd};

    /// For each choice of eight bytes the places of those that are chosen, one after another.
    static PACKED: [[u8; 8]; 256] = {
        let mut all = [[0; 8]; 256];
        let mut choice = 0;
        while choice < 256 {
            let (mut place, mut count) = (0, 0);
            while place < 8 {
                if choice >> place & 1 == 1 {
                    all[choice][count] = place as u8;
                    count += 1;
                }
                place += 1;
            }
            choice += 1;
        }
        all
    };

    /// Four sums in a vector of 128 bits, which both levels have.
    macro_rules! four_sums {
        () => {
            type Four = __m128i;

            #[inline(always)]
            fn four(self, sum: i32) -> __m128i {
                // SAFETY: above.
                unsafe { _mm_set1_epi32(sum) }
            }

            #[inline(always)]
            fn add_weighed(self, sums: __m128i, bytes: [u8; 4], weight: i16) -> __m128i {
                // SAFETY: above. The upper half of each pixel is zero, so that of the weight does not matter.
                unsafe {
                    let pixels = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(i32::from_le_bytes(bytes)));
                    _mm_add_epi32(sums, _mm_madd_epi16(pixels, _mm_set1_epi32(i32::from(weight))))
                }
            }

            #[inline(always)]
            fn to_bytes(self, sums: __m128i, bits: u32) -> [u8; 4] {
                // SAFETY: above. Both steps saturate.
                unsafe {
                    let words = _mm_packs_epi32(_mm_sra_epi32(sums, _mm_cvtsi32_si128(bits as i32)), sums);
                    _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes()
                }
            }
        };
    }

    /// The weights of two neighbours.
    const fn pair(first: i8, second: i8) -> i16 {
        i16::from_le_bytes([first as u8, second as u8])
    }

    /// Edges, alike for vectors of both lengths.
    macro_rules! edges {
        ($Bytes:ty, $set:ident, $multiply:ident, $add:ident, $pack:ident, $shuffle:ident, $repeat:ident) => {
            #[inline(always)]
            fn edges(self, [above, middle, below]: [[$Bytes; 3]; 3]) -> $Bytes {
                // SAFETY: above. An instruction takes the bytes of a vector two by two: it multiplies each by its weight and adds both
                // up. For a pixel at an even place the first vector has the byte to its left and its own in one pair, and the last
                // vector begins a pair with the byte to its right. For a pixel at an odd place the first vector ends a pair with the
                // byte to its left, and the last vector has its own byte and the one to its right in one pair. Sums are within ±2,040.
                unsafe {
                    let (both, first, second) = ($set(pair(-1, -1)), $set(pair(-1, 0)), $set(pair(0, -1)));
                    let (to_first, to_second) = ($set(pair(8, -1)), $set(pair(-1, 8)));
                    let even = $add(
                        $add(
                            $add($multiply(above[0], both), $multiply(above[2], first)),
                            $add($multiply(below[0], both), $multiply(below[2], first)),
                        ),
                        $add($multiply(middle[0], to_second), $multiply(middle[2], first)),
                    );
                    let odd = $add(
                        $add(
                            $add($multiply(above[0], second), $multiply(above[2], both)),
                            $add($multiply(below[0], second), $multiply(below[2], both)),
                        ),
                        $add($multiply(middle[0], second), $multiply(middle[2], to_first)),
                    );
                    // Within each 128 bits, eight bytes of even places come before eight of odd ones.
                    let order = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
                    $shuffle($pack(even, odd), $repeat(order))
                }
            }
        };
    }

    /// The sum of four lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn total(lanes: __m256i) -> u64 {
        let two = _mm_add_epi64(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
        (_mm_cvtsi128_si64(two) + _mm_extract_epi64::<1>(two)) as u64
    }

    // SAFETY, for every block here: `self` proves that the CPU has the instructions; a load reads a checked array.
    impl Simd for Avx2 {
        type Bytes = __m256i;
        const LANES: usize = 32;

        #[inline(always)]
        fn splat(self, byte: u8) -> __m256i {
            // SAFETY: above.
            unsafe { _mm256_set1_epi8(byte as i8) }
        }

        #[inline(always)]
        fn load(self, bytes: &[u8]) -> __m256i {
            let bytes: &[u8; 32] = bytes.first_chunk().expect("a vector of bytes");
            // SAFETY: above.
            unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
        }

        #[inline(always)]
        fn shift_right(self, bytes: __m256i, bits: u32) -> __m256i {
            // SAFETY: above.
            unsafe {
                let shifted = _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(bits as i32));
                _mm256_and_si256(shifted, _mm256_set1_epi8((0xff >> bits) as i8))
            }
        }

        #[inline(always)]
        fn count_equal(self, counters: __m256i, a: __m256i, b: __m256i) -> __m256i {
            // SAFETY: above. Equal lanes are −1.
            unsafe { _mm256_sub_epi8(counters, _mm256_cmpeq_epi8(a, b)) }
        }

        #[inline(always)]
        fn sum(self, bytes: __m256i) -> u32 {
            // SAFETY: above.
            unsafe { total(_mm256_sad_epu8(bytes, _mm256_setzero_si256())) as u32 }
        }

        #[inline(always)]
        fn store(self, bytes: __m256i, out: &mut [u8]) {
            let out: &mut [u8; 32] = out.first_chunk_mut().expect("room for a vector");
            // SAFETY: above.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes) }
        }

        #[inline(always)]
        fn store_not_zero(self, bytes: __m256i, out: &mut [u8]) -> usize {
            let out: &mut [u8; 32] = out.first_chunk_mut().expect("room for a vector");
            // SAFETY: above.
            let zeros = unsafe { _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())) };
            let (mut all, mut count) = ([0; 32], 0);
            if zeros == -1 {
                return 0;
            }
            self.store(bytes, &mut all);
            let (eights, _) = all.as_chunks::<8>();
            for (eight, kept) in eights.iter().zip((!zeros).to_le_bytes()) {
                let places = PACKED[usize::from(kept)];
                // SAFETY: above.
                let packed = unsafe {
                    let eight = _mm_cvtsi64_si128(i64::from_le_bytes(*eight));
                    _mm_cvtsi128_si64(_mm_shuffle_epi8(eight, _mm_cvtsi64_si128(i64::from_le_bytes(places))))
                };
                // Of those before at most 24 were kept.
                out[count..count + 8].copy_from_slice(&packed.to_le_bytes());
                count += kept.count_ones() as usize;
            }
            count
        }

        /// Sums in 64 bits, squares in 32, and 255 for each zero in 64.
        type Sums = [__m256i; 3];

        #[inline(always)]
        fn no_sums(self) -> [__m256i; 3] {
            // SAFETY: above.
            [unsafe { _mm256_setzero_si256() }; 3]
        }

        #[inline(always)]
        fn add_sums(self, [sum, squares, zeros]: [__m256i; 3], bytes: __m256i) -> [__m256i; 3] {
            // SAFETY: above.
            unsafe {
                let zero = _mm256_setzero_si256();
                let (low, high) = (_mm256_unpacklo_epi8(bytes, zero), _mm256_unpackhi_epi8(bytes, zero));
                let both = _mm256_add_epi32(_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high));
                let black = _mm256_sad_epu8(_mm256_cmpeq_epi8(bytes, zero), zero);
                [
                    _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, zero)),
                    _mm256_add_epi32(squares, both),
                    _mm256_add_epi64(zeros, black),
                ]
            }
        }

        #[inline(always)]
        fn add_differences(self, [sum, squares, zeros]: [__m256i; 3], a: __m256i, b: __m256i) -> [__m256i; 3] {
            // SAFETY: above.
            [unsafe { _mm256_add_epi64(sum, _mm256_sad_epu8(a, b)) }, squares, zeros]
        }

        #[inline(always)]
        fn totals(self, [sum, squares, zeros]: [__m256i; 3]) -> [u64; 3] {
            // SAFETY: above.
            unsafe {
                let zero = _mm256_setzero_si256();
                let (low, high) = (_mm256_unpacklo_epi32(squares, zero), _mm256_unpackhi_epi32(squares, zero));
                [total(sum), total(_mm256_add_epi64(low, high)), total(zeros) / 255]
            }
        }

        #[inline(always)]
        fn and(self, a: __m256i, b: __m256i) -> __m256i {
            // SAFETY: above.
            unsafe { _mm256_and_si256(a, b) }
        }

        #[inline(always)]
        fn select(self, mask: __m256i, yes: __m256i, no: __m256i) -> __m256i {
            // SAFETY: above.
            unsafe { _mm256_blendv_epi8(no, yes, mask) }
        }

        edges!(
            __m256i,
            _mm256_set1_epi16,
            _mm256_maddubs_epi16,
            _mm256_add_epi16,
            _mm256_packus_epi16,
            _mm256_shuffle_epi8,
            _mm256_broadcastsi128_si256
        );

        four_sums!();
    }

    // SAFETY, for every block here: as above.
    impl Simd for Avx512 {
        type Bytes = __m512i;
        const LANES: usize = 64;

        #[inline(always)]
        fn splat(self, byte: u8) -> __m512i {
            // SAFETY: above.
            unsafe { _mm512_set1_epi8(byte as i8) }
        }

        #[inline(always)]
        fn load(self, bytes: &[u8]) -> __m512i {
            let bytes: &[u8; 64] = bytes.first_chunk().expect("a vector of bytes");
            // SAFETY: above.
            unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
        }

        #[inline(always)]
        fn shift_right(self, bytes: __m512i, bits: u32) -> __m512i {
            // SAFETY: above.
            unsafe {
                let shifted = _mm512_srl_epi16(bytes, _mm_cvtsi32_si128(bits as i32));
                _mm512_and_si512(shifted, _mm512_set1_epi8((0xff >> bits) as i8))
            }
        }

        #[inline(always)]
        fn count_equal(self, counters: __m512i, a: __m512i, b: __m512i) -> __m512i {
            // SAFETY: above.
            unsafe {
                let equal = _mm512_cmpeq_epi8_mask(a, b);
                _mm512_mask_sub_epi8(counters, equal, counters, _mm512_set1_epi8(-1))
            }
        }

        #[inline(always)]
        fn sum(self, bytes: __m512i) -> u32 {
            // SAFETY: above.
            unsafe { _mm512_reduce_add_epi64(_mm512_sad_epu8(bytes, _mm512_setzero_si512())) as u32 }
        }

        #[inline(always)]
        fn store(self, bytes: __m512i, out: &mut [u8]) {
            let out: &mut [u8; 64] = out.first_chunk_mut().expect("room for a vector");
            // SAFETY: above.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), bytes) }
        }

        #[inline(always)]
        fn store_not_zero(self, bytes: __m512i, out: &mut [u8]) -> usize {
            // SAFETY: above.
            let (bits, kept) = unsafe {
                let bits = _mm512_test_epi8_mask(bytes, bytes);
                (bits, _mm512_maskz_compress_epi8(bits, bytes))
            };
            self.store(kept, out);
            bits.count_ones() as usize
        }

        #[inline(always)]
        fn copy_not_zero(self, values: &[f32], out: &mut [f32]) -> usize {
            let out = &mut out[..values.len()];
            let mut count = 0;
            for values in values.chunks(16) {
                let there = u16::MAX >> (16 - values.len());
                // SAFETY: above. `there` hides what is behind the end, and no more numbers are written than were read.
                unsafe {
                    let some = _mm512_maskz_loadu_ps(there, values.as_ptr());
                    let bits = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(some, _mm512_setzero_ps());
                    let packed = _mm512_maskz_compress_ps(bits, some);
                    _mm512_mask_storeu_ps(out.as_mut_ptr().add(count), there, packed);
                    count += bits.count_ones() as usize;
                }
            }
            count
        }

        /// Sums in 64 bits, sums of v·(v − 128) in 32, and zeros. Those of 2¹⁴ bytes are at most 2¹⁴·255·127, which is below 2³¹.
        type Sums = (__m512i, __m512i, u64);

        #[inline(always)]
        fn no_sums(self) -> (__m512i, __m512i, u64) {
            // SAFETY: above.
            let zero = unsafe { _mm512_setzero_si512() };
            (zero, zero, 0)
        }

        #[inline(always)]
        fn add_sums(self, (sum, products, zeros): (__m512i, __m512i, u64), bytes: __m512i) -> (__m512i, __m512i, u64) {
            // SAFETY: above.
            unsafe {
                // The instruction multiplies bytes without a sign by some with one.
                let signed = _mm512_xor_si512(bytes, _mm512_set1_epi8(i8::MIN));
                (
                    _mm512_add_epi64(sum, _mm512_sad_epu8(bytes, _mm512_setzero_si512())),
                    _mm512_dpbusd_epi32(products, bytes, signed),
                    zeros + u64::from(_mm512_testn_epi8_mask(bytes, bytes).count_ones()),
                )
            }
        }

        #[inline(always)]
        fn add_differences(
            self,
            (sum, products, zeros): (__m512i, __m512i, u64),
            a: __m512i,
            b: __m512i,
        ) -> (__m512i, __m512i, u64) {
            // SAFETY: above.
            (unsafe { _mm512_add_epi64(sum, _mm512_sad_epu8(a, b)) }, products, zeros)
        }

        #[inline(always)]
        fn totals(self, (sum, products, zeros): (__m512i, __m512i, u64)) -> [u64; 3] {
            // SAFETY: above. The sum of all v·(v − 128) fits 32 bits.
            let (sum, products) = unsafe { (_mm512_reduce_add_epi64(sum), _mm512_reduce_add_epi32(products)) };
            [sum as u64, (128 * sum + i64::from(products)) as u64, zeros]
        }

        #[inline(always)]
        fn and(self, a: __m512i, b: __m512i) -> __m512i {
            // SAFETY: above.
            unsafe { _mm512_and_si512(a, b) }
        }

        #[inline(always)]
        fn select(self, mask: __m512i, yes: __m512i, no: __m512i) -> __m512i {
            // SAFETY: above.
            unsafe { _mm512_ternarylogic_epi64::<0xca>(mask, yes, no) }
        }

        edges!(
            __m512i,
            _mm512_set1_epi16,
            _mm512_maddubs_epi16,
            _mm512_add_epi16,
            _mm512_packus_epi16,
            _mm512_shuffle_epi8,
            _mm512_broadcast_i32x4
        );

        #[inline(always)]
        fn look_up(self, table: &[u8; 256], bytes: &[u8], out: &mut [u8]) {
            let [a, b, c, d] = [0, 64, 128, 192].map(|at| self.load(&table[at..]));
            assert_eq!(bytes.len(), out.len());
            for (bytes, out) in bytes.chunks(64).zip(out.chunks_mut(64)) {
                let mask = u64::MAX >> (64 - bytes.len());
                // SAFETY: above; both have as many bytes as the mask, and masked lanes are neither read nor written.
                unsafe {
                    let places = _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().cast());
                    let (low, high) = (_mm512_permutex2var_epi8(a, places, b), _mm512_permutex2var_epi8(c, places, d));
                    let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(places), low, high);
                    _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), mask, found);
                }
            }
        }

        four_sums!();
    }
}

/// Writes what a table has at each of `bytes` to `out`, which is as long.
#[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only pages of Parquet have dictionaries"))]
pub fn look_up(level: Level, table: &[u8; 256], bytes: &[u8], out: &mut [u8]) {
    struct LookUp<'a>(&'a [u8; 256], &'a [u8], &'a mut [u8]);

    impl SimdKernel for LookUp<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            simd.look_up(self.0, self.1, self.2);
        }
    }

    run_simd(level, LookUp(table, bytes, out));
}

/// Writes the numbers that are not 0 to the start of `out`, which is at least as long. Returns how many they are. What stands
/// behind them, up to as many numbers as there are, may change.
pub fn copy_not_zero(level: Level, values: &[f32], out: &mut [f32]) -> usize {
    struct CopyNotZero<'a>(&'a [f32], &'a mut [f32], &'a mut usize);

    impl SimdKernel for CopyNotZero<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            *self.2 = simd.copy_not_zero(self.0, self.1);
        }
    }

    let mut count = 0;
    run_simd(level, CopyNotZero(values, out, &mut count));
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_zero_are_copied_at_every_level_and_length() {
        let values: Vec<f32> = (0..200).map(|at| if at * at % 7 < 3 { 0.0 } else { at as f32 }).collect();
        let all = [&values[..], &[0.0, -0.0, f32::NAN, -3.0], &[0.0; 40], &[1.0; 33]].concat();
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            for length in (0..40).chain([200, 204, 244, all.len()]) {
                let mut copied = vec![9.0; length + 1];
                let kept = copy_not_zero(level, &all[..length], &mut copied);
                assert_eq!(copied[length], 9.0);
                let expected = all[..length].iter().filter(|value| **value != 0.0).map(|value| value.to_bits());
                assert!(copied[..kept].iter().map(|value| value.to_bits()).eq(expected), "{level} {length}");
            }
        }
    }

    #[test]
    fn every_byte_is_looked_up_at_every_level_and_length() {
        let table = std::array::from_fn(|at| (at * 167 + 13) as u8);
        let bytes: Vec<u8> = (0..600).map(|at| (at * 59) as u8).collect();
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            for length in [0, 1, 8, 63, 64, 65, 128, 600] {
                let mut out = vec![0; length];
                look_up(level, &table, &bytes[..length], &mut out);
                let expected: Vec<u8> = bytes[..length].iter().map(|&byte| table[usize::from(byte)]).collect();
                assert_eq!(out, expected, "{level} {length}");
            }
        }
    }
}
