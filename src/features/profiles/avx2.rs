//! AVX2: its own kernel for bytes, the plain code recompiled for the rest.

use std::arch::x86_64::*;

use super::bytes::{self, Vector};
use super::portable;
use super::sums::{LevelKernels, Passes, Sums};
use super::wide::{self, Spread, Wide};
use crate::base::simd::{Avx2, Portable};

impl LevelKernels for Avx2 {
    #[inline(always)]
    fn bytes(self, pixels: &[u8], into: &mut Sums<u8>, spare: &mut Vec<u32>) {
        // Of narrower rows a vector would be mostly empty.
        if into.shape().width() < 8 {
            portable::any_image(Portable, pixels, into, spare);
        } else {
            assert_eq!(pixels.len(), into.shape().values());
            // SAFETY: `self` proves that the CPU has AVX2; the length was checked.
            unsafe { bytes::image::<__m256i>(pixels, into) }
        }
    }
}

// No closure stands between the trait's functions and the intrinsics: one that the compiler did not inline would be
// compiled without AVX2.

/// For 16 bytes `k` of 16 pixels and channel `c`: where the bytes of that channel go, as `vpshufb` wants it.
const fn shuffles<const C: usize>() -> [[[u8; 16]; C]; C] {
    let mut to = [[[0x80; 16]; C]; C];
    let mut i = 0;
    while i < 16 * C {
        to[i / 16][i % C][i / C] = (i % 16) as u8;
        i += 1;
    }
    to
}

/// Ones, then zeros: read from `32 − n`, a mask of `n` bytes.
static MASKS: [u8; 64] = {
    let mut masks = [0; 64];
    let mut i = 0;
    while i < 32 {
        masks[i] = 0xff;
        i += 1;
    }
    masks
};

// SAFETY, for every block here: the CPU has AVX2, as the trait demands; memory is read and written as the caller
// allowed, and `MASKS` within its 64 bytes.
impl Vector for __m256i {
    const LANES: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: above.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load<const C: usize>(from: *const u8) -> [Self; C] {
        // SAFETY: above; 16 pixels of C channels go to each half, 32·C bytes in all.
        unsafe {
            if C == 1 {
                return [_mm256_loadu_si256(from.cast()); C];
            }
            let shuffles = const { shuffles::<C>() };
            let mut channels = [_mm256_setzero_si256(); C];
            for (k, to) in shuffles.iter().enumerate() {
                let first = _mm_loadu_si128(from.add(16 * k).cast());
                let last = _mm_loadu_si128(from.add(16 * (C + k)).cast());
                let part = _mm256_set_m128i(last, first);
                for c in 0..C {
                    let order = _mm256_broadcastsi128_si256(_mm_loadu_si128(to[c].as_ptr().cast()));
                    channels[c] = _mm256_or_si256(channels[c], _mm256_shuffle_epi8(part, order));
                }
            }
            channels
        }
    }

    #[inline(always)]
    unsafe fn load_part<const C: usize>(from: *const u8, pixels: usize, readable: usize) -> [Self; C] {
        debug_assert!((1..=32).contains(&pixels) && pixels * C <= readable);
        // SAFETY: above; what is loaded whole is readable or the copy.
        unsafe {
            let mut channels = if readable >= 32 * C {
                Self::load::<C>(from)
            } else {
                let mut copy = [[0u8; 32]; C];
                std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr().cast(), pixels * C);
                Self::load::<C>(copy.as_ptr().cast())
            };
            let mask = _mm256_loadu_si256(MASKS.as_ptr().add(32 - pixels).cast());
            for channel in &mut channels {
                *channel = _mm256_and_si256(*channel, mask);
            }
            channels
        }
    }

    #[inline(always)]
    unsafe fn sums(self) -> Self {
        // SAFETY: above.
        unsafe { _mm256_sad_epu8(self, _mm256_setzero_si256()) }
    }

    #[inline(always)]
    unsafe fn halves(self) -> [Self; 2] {
        // SAFETY: above.
        unsafe { [_mm256_and_si256(self, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(self)] }
    }

    #[inline(always)]
    unsafe fn add16(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { _mm256_add_epi16(self, other) }
    }

    #[inline(always)]
    unsafe fn add32(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { _mm256_add_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn add_squares(self, halves: [Self; 2]) -> Self {
        // SAFETY: above.
        unsafe {
            let even = _mm256_madd_epi16(halves[0], halves[0]);
            let odd = _mm256_madd_epi16(halves[1], halves[1]);
            _mm256_add_epi32(self, _mm256_add_epi32(even, odd))
        }
    }

    #[inline(always)]
    unsafe fn total32(self) -> u64 {
        // SAFETY: above.
        unsafe {
            let low = _mm256_and_si256(self, _mm256_set1_epi64x(0xffff_ffff));
            let pairs = _mm256_add_epi64(low, _mm256_srli_epi64::<32>(self));
            let two = _mm_add_epi64(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
            (_mm_cvtsi128_si64(two) as u64).wrapping_add(_mm_extract_epi64::<1>(two) as u64)
        }
    }

    #[inline(always)]
    unsafe fn totals(of: [Self; 4]) -> [u32; 4] {
        // SAFETY: above.
        unsafe {
            let first = _mm256_or_si256(of[0], _mm256_slli_epi64::<32>(of[1]));
            let last = _mm256_or_si256(of[2], _mm256_slli_epi64::<32>(of[3]));
            let sum = _mm256_add_epi32(_mm256_unpacklo_epi64(first, last), _mm256_unpackhi_epi64(first, last));
            let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            let mut totals = [0; 4];
            _mm_storeu_si128(totals.as_mut_ptr().cast(), sum);
            totals
        }
    }

    #[inline(always)]
    unsafe fn add_columns(halves: [Self; 2], cols: *mut u32, pixels: usize) {
        // SAFETY: above; a lane is touched only where its number is below `pixels`.
        unsafe {
            let low = _mm256_unpacklo_epi16(halves[0], halves[1]);
            let high = _mm256_unpackhi_epi16(halves[0], halves[1]);
            let eights = [
                _mm256_castsi256_si128(low),
                _mm256_castsi256_si128(high),
                _mm256_extracti128_si256::<1>(low),
                _mm256_extracti128_si256::<1>(high),
            ];
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            for (i, sums) in eights.into_iter().enumerate() {
                let left = _mm256_set1_epi32(pixels as i32 - 8 * i as i32);
                let mask = _mm256_cmpgt_epi32(left, lanes);
                let to = cols.wrapping_add(8 * i).cast();
                let sum = _mm256_add_epi32(_mm256_maskload_epi32(to, mask), _mm256_cvtepu16_epi32(sums));
                _mm256_maskstore_epi32(to, mask, sum);
            }
        }
    }
}

/// Ones, then zeros: read from `8 − n`, a mask of `n` lanes of 32 bits.
static MASKS_32: [u32; 16] = [!0, !0, !0, !0, !0, !0, !0, !0, 0, 0, 0, 0, 0, 0, 0, 0];

/// # Safety
/// The CPU must have AVX2, and `n` must be at most 8.
#[inline(always)]
unsafe fn mask_32(n: usize) -> __m256i {
    debug_assert!(n <= 8);
    // SAFETY: eight of the sixteen lanes from `8 − n`; the CPU has AVX2.
    unsafe { _mm256_loadu_si256(MASKS_32.as_ptr().add(8 - n).cast()) }
}

/// Eight 16-bit pixels.
#[derive(Clone, Copy)]
pub(super) struct Words(__m256i);

// SAFETY, for every block here: the CPU has AVX2 and the memory is the caller's, as the trait demands.
impl Wide for Words {
    type Pixel = u16;
    type Squares = [__m256i; 2];
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_setzero_si256()) }
    }

    #[inline(always)]
    unsafe fn no_squares() -> [__m256i; 2] {
        // SAFETY: above.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const u16) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const u16, n: usize, readable: usize) -> Self {
        // SAFETY: above.
        unsafe {
            if readable >= 8 {
                return Self(_mm256_and_si256(Self::load(from).0, mask_32(n)));
            }
            let mut copy = [0; 8];
            std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), n);
            Self::load(copy.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const u32) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_sums_part(from: *const u32, n: usize) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_maskload_epi32(from.cast(), mask_32(n))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        // SAFETY: above.
        unsafe { _mm256_storeu_si256(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut u32, n: usize) {
        // SAFETY: above.
        unsafe { _mm256_maskstore_epi32(to.cast(), mask_32(n), self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm256_add_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn total(self) -> u32 {
        // SAFETY: above.
        unsafe {
            let four = _mm_add_epi32(_mm256_castsi256_si128(self.0), _mm256_extracti128_si256::<1>(self.0));
            let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b1110>(four));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two))) as u32
        }
    }

    #[inline(always)]
    unsafe fn add_squares(self, to: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: above.
        unsafe {
            let odd = _mm256_srli_epi64::<32>(self.0);
            [
                _mm256_add_epi64(to[0], _mm256_mul_epu32(self.0, self.0)),
                _mm256_add_epi64(to[1], _mm256_mul_epu32(odd, odd)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn add_channels<const C: usize>(squares: [__m256i; 2], first: usize, to: &mut [u64]) {
        for (odd, squares) in squares.into_iter().enumerate() {
            let mut lanes = [0u64; 4];
            // SAFETY: above; four lanes of 64 bits.
            unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), squares) };
            for (i, square) in lanes.into_iter().enumerate() {
                to[(first + 2 * i + odd) % C] += square;
            }
        }
    }
}

/// Eight float pixels.
#[derive(Clone, Copy)]
pub(super) struct Floats([__m256d; 2]);

// SAFETY, for every block here: the CPU has AVX2 and the memory is the caller's, as the trait demands.
impl Wide for Floats {
    type Pixel = f32;
    type Squares = ();
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: above.
        unsafe { Self([_mm256_setzero_pd(); 2]) }
    }

    #[inline(always)]
    unsafe fn no_squares() {}

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: above.
        unsafe { Self([_mm256_cvtps_pd(_mm_loadu_ps(from)), _mm256_cvtps_pd(_mm_loadu_ps(from.add(4)))]) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize, _: usize) -> Self {
        // SAFETY: above; masked lanes are not read.
        unsafe {
            let eight = _mm256_maskload_ps(from, mask_32(n));
            Self([_mm256_cvtps_pd(_mm256_castps256_ps128(eight)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(eight))])
        }
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const f64) -> Self {
        // SAFETY: above.
        unsafe { Self([_mm256_loadu_pd(from), _mm256_loadu_pd(from.add(4))]) }
    }

    #[inline(always)]
    unsafe fn load_sums_part(from: *const f64, n: usize) -> Self {
        // SAFETY: above; masked lanes are not read.
        unsafe {
            let [low, high] = masks_64(n);
            Self([_mm256_maskload_pd(from, low), _mm256_maskload_pd(from.wrapping_add(4), high)])
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: above.
        unsafe {
            _mm256_storeu_pd(to, self.0[0]);
            _mm256_storeu_pd(to.add(4), self.0[1]);
        }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f64, n: usize) {
        // SAFETY: above; masked lanes are not written.
        unsafe {
            let [low, high] = masks_64(n);
            _mm256_maskstore_pd(to, low, self.0[0]);
            _mm256_maskstore_pd(to.wrapping_add(4), high, self.0[1]);
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self([_mm256_add_pd(self.0[0], other.0[0]), _mm256_add_pd(self.0[1], other.0[1])]) }
    }

    #[inline(always)]
    unsafe fn total(self) -> f64 {
        // SAFETY: above.
        unsafe {
            let four = _mm256_add_pd(self.0[0], self.0[1]);
            let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn add_squares(self, (): ()) {}

    #[inline(always)]
    unsafe fn add_channels<const C: usize>((): (), _: usize, _: &mut [f64]) {}
}

/// Masks of `n` ≤ 8 lanes of 64 bits.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn masks_64(n: usize) -> [__m256i; 2] {
    // SAFETY: the CPU has AVX2.
    unsafe {
        let mask = mask_32(n);
        [
            _mm256_cvtepi32_epi64(_mm256_castsi256_si128(mask)),
            _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(mask)),
        ]
    }
}

impl Spread for Floats {
    #[inline(always)]
    unsafe fn add_spread(self, mean: Self, n: usize, to: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe {
            let mut off = [_mm256_sub_pd(self.0[0], mean.0[0]), _mm256_sub_pd(self.0[1], mean.0[1])];
            if n < 8 {
                let [low, high] = masks_64(n);
                off =
                    [_mm256_and_pd(off[0], _mm256_castsi256_pd(low)), _mm256_and_pd(off[1], _mm256_castsi256_pd(high))];
            }
            to.add(Self([_mm256_mul_pd(off[0], off[0]), _mm256_mul_pd(off[1], off[1])]))
        }
    }
}

// SAFETY: a value of `Avx2` proves that the CPU has the instructions of `Words` and `Floats`.
wide::passes!(Avx2, Words: 8, Floats);
