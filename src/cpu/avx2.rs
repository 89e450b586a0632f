//! AVX2: its own kernel for bytes, the plain code recompiled for the rest.

use std::arch::x86_64::*;

use super::bytes::{self, Vector};
use super::portable::{self, Kernels};
use crate::features::{Finisher, Output};
use crate::moments::{Moments, Pixel};

/// Proof that the CPU has AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    pub(super) fn featurize<P: Pixel>(self, finisher: &Finisher, pixels: &[P], out: Output<'_>) {
        // SAFETY: `self` proves that the CPU has AVX2.
        unsafe { featurize(self, finisher, pixels, out) }
    }

    pub(super) fn moments<P: Pixel>(self, pixels: &[P], into: &mut Moments<P>) {
        // SAFETY: `self` proves that the CPU has AVX2.
        unsafe { moments(self, pixels, into) }
    }
}

#[target_feature(enable = "avx2")]
fn featurize<P: Pixel>(level: Avx2, finisher: &Finisher, pixels: &[P], out: Output<'_>) {
    portable::images(level, finisher, pixels, out);
}

#[target_feature(enable = "avx2")]
fn moments<P: Pixel>(level: Avx2, pixels: &[P], into: &mut Moments<P>) {
    portable::image(level, pixels, into, &mut Vec::new());
}

impl Kernels for Avx2 {
    #[inline(always)]
    fn bytes(self, pixels: &[u8], into: &mut Moments<u8>, spare: &mut Vec<u32>) {
        // Of narrower rows a vector would be mostly empty.
        if into.shape().width() < 8 {
            portable::any_image(pixels, into, spare);
        } else {
            assert_eq!(pixels.len(), into.shape().values());
            // SAFETY: `self` proves that the CPU has AVX2; the length was checked.
            unsafe { bytes_image(pixels, into) }
        }
    }
}

/// # Safety
/// `pixels` must be as long as the shape of `into` says.
#[target_feature(enable = "avx2")]
unsafe fn bytes_image(pixels: &[u8], into: &mut Moments<u8>) {
    // SAFETY: the CPU has AVX2; the length is the caller's promise.
    unsafe { bytes::image::<__m256i>(pixels, into) }
}

/// For channel `c` and 16 bytes `k` of 16 pixels: where the bytes of that channel go, as `vpshufb` wants it.
const fn shuffles<const C: usize>() -> [[[u8; 16]; C]; C] {
    let mut to = [[[0x80; 16]; C]; C];
    let mut i = 0;
    while i < 16 * C {
        to[i % C][i / 16][i / C] = (i % 16) as u8;
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
            let part = |i: usize| _mm_loadu_si128(from.add(16 * i).cast());
            let parts: [Self; C] = std::array::from_fn(|k| _mm256_set_m128i(part(C + k), part(k)));
            let shuffles = const { shuffles::<C>() };
            std::array::from_fn(|c| {
                let mut channel = _mm256_setzero_si256();
                for k in 0..C {
                    let to = _mm256_broadcastsi128_si256(_mm_loadu_si128(shuffles[c][k].as_ptr().cast()));
                    channel = _mm256_or_si256(channel, _mm256_shuffle_epi8(parts[k], to));
                }
                channel
            })
        }
    }

    #[inline(always)]
    unsafe fn load_part<const C: usize>(from: *const u8, pixels: usize, readable: usize) -> [Self; C] {
        debug_assert!((1..=32).contains(&pixels) && pixels * C <= readable);
        // SAFETY: above; what is loaded whole is readable or the copy.
        unsafe {
            let loaded = if readable >= 32 * C {
                Self::load::<C>(from)
            } else {
                let mut copy = [[0u8; 32]; C];
                std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr().cast(), pixels * C);
                Self::load::<C>(copy.as_ptr().cast())
            };
            let mask = _mm256_loadu_si256(MASKS.as_ptr().add(32 - pixels).cast());
            loaded.map(|channel| _mm256_and_si256(channel, mask))
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
            let squares = halves.map(|half| _mm256_madd_epi16(half, half));
            _mm256_add_epi32(self, _mm256_add_epi32(squares[0], squares[1]))
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
