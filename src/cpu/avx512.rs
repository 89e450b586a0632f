//! AVX-512 as of Ice Lake and Zen 4: its own kernel for bytes, the plain code recompiled for the rest.

use std::arch::x86_64::*;

use super::bytes::{self, Vector};
use super::portable::{self, Kernels};
use crate::features::{Finisher, Output};
use crate::moments::{Moments, Pixel};

/// Proof that the CPU has AVX-512 F, BW, DQ, VL, VBMI and VNNI.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni");
        all.then_some(Self(()))
    }

    pub(super) fn featurize<P: Pixel>(self, finisher: &Finisher, pixels: &[P], out: Output<'_>) {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe { featurize(self, finisher, pixels, out) }
    }

    pub(super) fn moments<P: Pixel>(self, pixels: &[P], into: &mut Moments<P>) {
        // SAFETY: `self` proves that the CPU has the instructions.
        unsafe { moments(self, pixels, into) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn featurize<P: Pixel>(level: Avx512, finisher: &Finisher, pixels: &[P], out: Output<'_>) {
    portable::images(level, finisher, pixels, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn moments<P: Pixel>(level: Avx512, pixels: &[P], into: &mut Moments<P>) {
    portable::image(level, pixels, into, &mut Vec::new());
}

impl Kernels for Avx512 {
    #[inline(always)]
    fn bytes(self, pixels: &[u8], into: &mut Moments<u8>, spare: &mut Vec<u32>) {
        // Of narrower rows a vector would be mostly empty.
        if into.shape().width() < 8 {
            portable::any_image(pixels, into, spare);
        } else {
            assert_eq!(pixels.len(), into.shape().values());
            // SAFETY: `self` proves that the CPU has the instructions; the length was checked.
            unsafe { bytes_image(pixels, into) }
        }
    }
}

/// # Safety
/// `pixels` must be as long as the shape of `into` says.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn bytes_image(pixels: &[u8], into: &mut Moments<u8>) {
    // SAFETY: the CPU has the instructions; the length is the caller's promise.
    unsafe { bytes::image::<__m512i>(pixels, into) }
}

/// For channel `c` of 64 pixels: which of the first 128 bytes goes where, which of the last 128, and from which of the
/// two each byte is taken.
const fn permutes<const C: usize>() -> [([u8; 64], [u8; 64], u64); C] {
    let mut to = [([0; 64], [0; 64], 0); C];
    let mut i = 0;
    while i < 64 * C {
        let (channel, pixel) = (&mut to[i % C], i / C);
        if i < 128 {
            channel.0[pixel] = i as u8;
        } else {
            channel.1[pixel] = (i - 128) as u8;
            channel.2 |= 1 << pixel;
        }
        i += 1;
    }
    to
}

/// Brings the channels of 64 pixels apart.
///
/// # Safety
/// The CPU must have VBMI.
#[inline(always)]
unsafe fn apart<const C: usize>(parts: [__m512i; C]) -> [__m512i; C] {
    if C == 1 {
        return parts;
    }
    let permutes = const { permutes::<C>() };
    std::array::from_fn(|c| {
        let (first, last, from_last) = &permutes[c];
        // SAFETY: the CPU has the instructions; each table is 64 bytes.
        unsafe {
            let channel = _mm512_permutex2var_epi8(parts[0], _mm512_loadu_si512(first.as_ptr().cast()), parts[1]);
            if C == 2 {
                return channel;
            }
            let last = _mm512_loadu_si512(last.as_ptr().cast());
            if C == 3 {
                return _mm512_mask_permutexvar_epi8(channel, *from_last, last, parts[2]);
            }
            _mm512_mask_blend_epi8(*from_last, channel, _mm512_permutex2var_epi8(parts[2], last, parts[C - 1]))
        }
    })
}

/// A mask of the first `n` lanes, for `n` of any size.
#[inline(always)]
fn first(n: usize) -> u64 {
    if n >= 64 { !0 } else { (1 << n) - 1 }
}

// SAFETY, for every block here: the CPU has the instructions, as the trait demands; memory is read and written as the
// caller allowed, masked lanes not at all.
impl Vector for __m512i {
    const LANES: usize = 64;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load<const C: usize>(from: *const u8) -> [Self; C] {
        // SAFETY: above.
        unsafe { apart(std::array::from_fn(|k| _mm512_loadu_si512(from.add(64 * k).cast()))) }
    }

    #[inline(always)]
    unsafe fn load_part<const C: usize>(from: *const u8, pixels: usize, readable: usize) -> [Self; C] {
        debug_assert!((1..=64).contains(&pixels) && pixels * C <= readable);
        // SAFETY: above.
        unsafe {
            apart(std::array::from_fn(|k| {
                let mask = first((pixels * C).saturating_sub(64 * k));
                _mm512_maskz_loadu_epi8(mask, from.wrapping_add(64 * k).cast())
            }))
        }
    }

    #[inline(always)]
    unsafe fn sums(self) -> Self {
        // SAFETY: above.
        unsafe { _mm512_sad_epu8(self, _mm512_setzero_si512()) }
    }

    #[inline(always)]
    unsafe fn halves(self) -> [Self; 2] {
        // SAFETY: above.
        unsafe { [_mm512_and_si512(self, _mm512_set1_epi16(0xff)), _mm512_srli_epi16::<8>(self)] }
    }

    #[inline(always)]
    unsafe fn add16(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { _mm512_add_epi16(self, other) }
    }

    #[inline(always)]
    unsafe fn add32(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { _mm512_add_epi32(self, other) }
    }

    #[inline(always)]
    unsafe fn add_squares(self, halves: [Self; 2]) -> Self {
        // SAFETY: above.
        unsafe { _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(self, halves[0], halves[0]), halves[1], halves[1]) }
    }

    #[inline(always)]
    unsafe fn total32(self) -> u64 {
        // SAFETY: above.
        unsafe {
            let low = _mm512_and_si512(self, _mm512_set1_epi64(0xffff_ffff));
            _mm512_reduce_add_epi64(_mm512_add_epi64(low, _mm512_srli_epi64::<32>(self))) as u64
        }
    }

    #[inline(always)]
    unsafe fn totals(of: [Self; 4]) -> [u32; 4] {
        // SAFETY: above.
        unsafe {
            let first = _mm512_or_si512(of[0], _mm512_slli_epi64::<32>(of[1]));
            let last = _mm512_or_si512(of[2], _mm512_slli_epi64::<32>(of[3]));
            let sum = _mm512_add_epi32(_mm512_unpacklo_epi64(first, last), _mm512_unpackhi_epi64(first, last));
            let sum = _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum));
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
            let low = _mm512_unpacklo_epi16(halves[0], halves[1]);
            let high = _mm512_unpackhi_epi16(halves[0], halves[1]);
            // Sixteen bytes of each in turn are sixteen columns in order.
            let order = [_mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15)];
            for (half, order) in order.into_iter().enumerate() {
                let sums = _mm512_permutex2var_epi64(low, order, high);
                let sixteens = [_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums)];
                for (i, sums) in sixteens.into_iter().enumerate() {
                    let at = 32 * half + 16 * i;
                    let mask = first(pixels.saturating_sub(at)) as u16;
                    let to = cols.wrapping_add(at).cast();
                    let sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(mask, to), _mm512_cvtepu16_epi32(sums));
                    _mm512_mask_storeu_epi32(to, mask, sum);
                }
            }
        }
    }
}
