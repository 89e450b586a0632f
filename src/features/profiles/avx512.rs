//! AVX-512 as of Ice Lake and Zen 4: its own kernel for bytes, the plain code recompiled for the rest.

use std::arch::x86_64::*;

use super::bytes::{self, Vector};
use super::narrow::{self, AHEAD, first};
use super::portable;
use super::sums::{LevelKernels, Passes, Sums};
use super::wide::{self, Spread, Wide};
use crate::base::simd::{Avx512, Portable};

impl LevelKernels for Avx512 {
    #[inline(always)]
    fn bytes(self, pixels: &[u8], into: &mut Sums<u8>, spare: &mut Vec<u32>) {
        // Of narrower rows a vector would be mostly empty.
        if into.shape().width() < 8 {
            portable::any_image(Portable, pixels, into, spare);
        } else {
            assert_eq!(pixels.len(), into.shape().values());
            let shape = into.shape();
            let is_narrow = shape.channels() == 1 && shape.width() <= narrow::COLUMNS && shape.height() <= 257;
            // SAFETY: `self` proves that the CPU has the instructions; length and sides were checked.
            unsafe { if is_narrow { narrow::bytes(pixels, into) } else { bytes::image::<__m512i>(pixels, into) } }
        }
    }
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
    let mut channels = parts;
    for c in 0..C {
        let (first, last, from_last) = &permutes[c];
        // SAFETY: the CPU has the instructions; each table is 64 bytes.
        unsafe {
            let (first, last) = (_mm512_loadu_si512(first.as_ptr().cast()), _mm512_loadu_si512(last.as_ptr().cast()));
            channels[c] = _mm512_permutex2var_epi8(parts[0], first, parts[1]);
            if C == 3 {
                channels[c] = _mm512_mask_permutexvar_epi8(channels[c], *from_last, last, parts[2]);
            } else if C == 4 {
                let others = _mm512_permutex2var_epi8(parts[2], last, parts[3]);
                channels[c] = _mm512_mask_blend_epi8(*from_last, channels[c], others);
            }
        }
    }
    channels
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
        unsafe {
            let mut parts = [_mm512_setzero_si512(); C];
            for (k, part) in parts.iter_mut().enumerate() {
                _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(64 * k + AHEAD).cast());
                *part = _mm512_loadu_si512(from.add(64 * k).cast());
            }
            apart(parts)
        }
    }

    #[inline(always)]
    unsafe fn load_part<const C: usize>(from: *const u8, pixels: usize, readable: usize) -> [Self; C] {
        debug_assert!((1..=64).contains(&pixels) && pixels * C <= readable);
        // SAFETY: above.
        unsafe {
            // Zen 5 does not prefetch for masked loads: without this, images that are not in cache take three times as
            // long.
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD).cast());
            let mut parts = [_mm512_setzero_si512(); C];
            for (k, part) in parts.iter_mut().enumerate() {
                let mask = first((pixels * C).saturating_sub(64 * k));
                *part = _mm512_maskz_loadu_epi8(mask, from.wrapping_add(64 * k).cast());
            }
            apart(parts)
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

/// Sixteen 16-bit pixels.
#[derive(Clone, Copy)]
pub(super) struct Words(__m512i);

// SAFETY, for every block here: the CPU has the instructions and the memory is the caller's, as the trait demands.
impl Wide for Words {
    type Pixel = u16;
    type Squares = [__m512i; 2];
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: above.
        unsafe { Self(_mm512_setzero_si512()) }
    }

    #[inline(always)]
    unsafe fn no_squares() -> [__m512i; 2] {
        // SAFETY: above.
        unsafe { [_mm512_setzero_si512(); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const u16) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const u16, n: usize, _: usize) -> Self {
        // SAFETY: above; masked lanes are not read.
        unsafe { Self(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n) as u16, from.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const u32) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_sums_part(from: *const u32, n: usize) -> Self {
        // SAFETY: above; masked lanes are not read.
        unsafe { Self(_mm512_maskz_loadu_epi32(first(n) as u16, from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        // SAFETY: above.
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut u32, n: usize) {
        // SAFETY: above; masked lanes are not written.
        unsafe { _mm512_mask_storeu_epi32(to.cast(), first(n) as u16, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm512_add_epi32(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn total(self) -> u32 {
        // SAFETY: above.
        unsafe { _mm512_reduce_add_epi32(self.0) as u32 }
    }

    #[inline(always)]
    unsafe fn add_squares(self, to: [__m512i; 2]) -> [__m512i; 2] {
        // SAFETY: above.
        unsafe {
            let odd = _mm512_srli_epi64::<32>(self.0);
            [
                _mm512_add_epi64(to[0], _mm512_mul_epu32(self.0, self.0)),
                _mm512_add_epi64(to[1], _mm512_mul_epu32(odd, odd)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn narrow(pixels: &[u16], height: usize, rows: &mut [u32], cols: &mut [u32], sum_sq: &mut [u64]) -> bool {
        let fits = cols.len() <= narrow::COLUMNS && height <= narrow::WORD_ROWS;
        if fits {
            // SAFETY: above; sides and length were checked, here and by the caller.
            unsafe { narrow::words(pixels, height, rows, cols, sum_sq) }
        }
        fits
    }

    #[inline(always)]
    unsafe fn add_channels<const C: usize>(squares: [__m512i; 2], first: usize, to: &mut [u64]) {
        for (odd, squares) in squares.into_iter().enumerate() {
            let mut lanes = [0u64; 8];
            // SAFETY: above; eight lanes of 64 bits.
            unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), squares) };
            for (i, square) in lanes.into_iter().enumerate() {
                to[(first + 2 * i + odd) % C] += square;
            }
        }
    }
}

/// Eight float pixels.
#[derive(Clone, Copy)]
pub(super) struct Floats(__m512d);

// SAFETY, for every block here: the CPU has the instructions and the memory is the caller's, as the trait demands.
impl Wide for Floats {
    type Pixel = f32;
    type Squares = ();
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: above.
        unsafe { Self(_mm512_setzero_pd()) }
    }

    #[inline(always)]
    unsafe fn no_squares() {}

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm512_cvtps_pd(_mm256_loadu_ps(from))) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize, _: usize) -> Self {
        // SAFETY: above; masked lanes are not read.
        unsafe { Self(_mm512_cvtps_pd(_mm256_maskz_loadu_ps(first(n) as u8, from))) }
    }

    #[inline(always)]
    unsafe fn load_sums(from: *const f64) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm512_loadu_pd(from)) }
    }

    #[inline(always)]
    unsafe fn load_sums_part(from: *const f64, n: usize) -> Self {
        // SAFETY: above; masked lanes are not read.
        unsafe { Self(_mm512_maskz_loadu_pd(first(n) as u8, from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: above.
        unsafe { _mm512_storeu_pd(to, self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f64, n: usize) {
        // SAFETY: above; masked lanes are not written.
        unsafe { _mm512_mask_storeu_pd(to, first(n) as u8, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: above.
        unsafe { Self(_mm512_add_pd(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn total(self) -> f64 {
        // SAFETY: above.
        unsafe {
            let four = _mm256_add_pd(_mm512_castpd512_pd256(self.0), _mm512_extractf64x4_pd::<1>(self.0));
            let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }

    #[inline(always)]
    unsafe fn add_squares(self, (): ()) {}

    #[inline(always)]
    unsafe fn narrow(pixels: &[f32], height: usize, rows: &mut [f64], cols: &mut [f64], sum_sq: &mut [f64]) -> bool {
        let fits = cols.len() <= narrow::COLUMNS;
        if fits {
            // SAFETY: above; the width was checked, and the length by the caller.
            unsafe { narrow::floats(pixels, height, rows, cols) };
            sum_sq.fill(0.0);
        }
        fits
    }

    #[inline(always)]
    unsafe fn add_channels<const C: usize>((): (), _: usize, _: &mut [f64]) {}
}

impl Spread for Floats {
    #[inline(always)]
    unsafe fn add_spread(self, mean: Self, n: usize, to: Self) -> Self {
        // SAFETY: the CPU has the instructions.
        unsafe {
            let off = _mm512_maskz_sub_pd(first(n) as u8, self.0, mean.0);
            to.add(Self(_mm512_mul_pd(off, off)))
        }
    }
}

// SAFETY: a value of `Avx512` proves that the CPU has the instructions of `Words` and `Floats`.
wide::passes!(Avx512, Words: 16, Floats);
