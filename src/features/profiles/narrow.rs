//! AVX-512: gray images whose rows are short, such as digits. Their column sums stay in registers, and the sums of eight rows are
//! added up together.

use std::arch::x86_64::*;

use super::bytes::Vector;
use super::sums::Sums;

/// The longest row.
pub(super) const COLUMNS: usize = 32;

/// The most rows of 16-bit pixels: each adds at most 2·255² to a lane of 32 bits.
pub(super) const WORD_ROWS: usize = u32::MAX as usize / (2 * 255 * 255);

/// How far ahead of a load memory is fetched, in bytes.
pub(super) const AHEAD: usize = 4096;

/// A mask of the first `n` lanes, for `n` of any size.
#[inline(always)]
pub(super) fn first(n: usize) -> u64 {
    if n >= 64 { !0 } else { (1 << n) - 1 }
}

/// Where row `y` begins. What comes some rows later is fetched: Zen 5 does not do that for masked loads.
#[inline(always)]
fn row<P>(pixels: &[P], y: usize, width: usize) -> *const P {
    let from = pixels.as_ptr().wrapping_add(y * width);
    // SAFETY: every x86-64 has the instruction, and what it names may be anywhere.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast::<i8>().wrapping_add(AHEAD)) };
    from
}

/// The sums of an image of bytes, with two rows to a vector.
///
/// # Safety
/// The CPU must have the instructions; the image must have one channel, at most 32 columns and 257 rows, so that a
/// 16-bit lane holds a column sum, and `pixels` must be as long as its shape says.
#[inline(always)]
pub(super) unsafe fn bytes(pixels: &[u8], into: &mut Sums<u8>) {
    let (height, width) = (into.shape().height(), into.shape().width());
    let (rows, cols, sum_sq) = into.parts_mut();
    let columns = first(width) as u32;
    // SAFETY: the CPU has the instructions; masks leave only the columns and rows of the image, lanes that they leave out
    // are neither read nor written.
    unsafe {
        let zero = _mm512_setzero_si512();
        let (mut even, mut odd, mut squares) = (zero, zero, zero);
        for y in (0..height).step_by(8) {
            let mut sums = [zero; 4];
            for (pair, sums) in sums.iter_mut().enumerate() {
                let y = y + 2 * pair;
                let from = row(pixels, y, width);
                let upper = _mm256_maskz_loadu_epi8(if y < height { columns } else { 0 }, from.cast());
                let mask = if y + 1 < height { columns } else { 0 };
                let lower = _mm256_maskz_loadu_epi8(mask, from.wrapping_add(width).cast());
                let pixels = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(upper), lower);
                let halves = pixels.halves();
                *sums = pixels.sums();
                squares = squares.add_squares(halves);
                (even, odd) = (even.add16(halves[0]), odd.add16(halves[1]));
            }
            // Each quarter comes to hold a part of the sums of four rows: even rows in the first two, odd in the last.
            let first_rows = _mm512_or_si512(sums[0], _mm512_slli_epi64::<32>(sums[1]));
            let last_rows = _mm512_or_si512(sums[2], _mm512_slli_epi64::<32>(sums[3]));
            let low = _mm512_unpacklo_epi64(first_rows, last_rows);
            let parts = low.add32(_mm512_unpackhi_epi64(first_rows, last_rows));
            let totals = parts.add32(_mm512_shuffle_i64x2::<0b10_11_00_01>(parts, parts));
            let order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 0, 0, 0, 0, 0, 0, 0, 0);
            let totals = _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, totals));
            let to = rows.as_mut_ptr().wrapping_add(y);
            _mm256_mask_storeu_epi32(to.cast(), first(height - y) as u8, totals);
        }
        // 16-bit lanes in pairs are columns in order.
        let even = _mm256_add_epi16(_mm512_castsi512_si256(even), _mm512_extracti64x4_epi64::<1>(even));
        let odd = _mm256_add_epi16(_mm512_castsi512_si256(odd), _mm512_extracti64x4_epi64::<1>(odd));
        let (low, high) = (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
        let to = cols.as_mut_ptr();
        let sums = _mm512_cvtepu16_epi32(_mm256_permute2x128_si256::<0x20>(low, high));
        _mm512_mask_storeu_epi32(to.cast(), columns as u16, sums);
        let sums = _mm512_cvtepu16_epi32(_mm256_permute2x128_si256::<0x31>(low, high));
        _mm512_mask_storeu_epi32(to.wrapping_add(16).cast(), (columns >> 16) as u16, sums);
        sum_sq[0] = squares.total32();
    }
}

/// As the plain first pass over 16-bit pixels of one channel. Squares are made of bytes: a pixel is 256·h + l, so
/// Σp² = 65536·Σh² + 512·Σhl + Σl².
///
/// # Safety
/// The CPU must have AVX-512 F, BW and VNNI; the image must have at most [`COLUMNS`] columns, which is the length of `cols`, and
/// [`WORD_ROWS`] rows, which is that of `rows`, and `pixels` all of its pixels.
#[inline(always)]
pub(super) unsafe fn words(pixels: &[u16], height: usize, rows: &mut [u32], cols: &mut [u32], sum_sq: &mut [u64]) {
    let width = cols.len();
    debug_assert!(width <= COLUMNS && height <= WORD_ROWS && pixels.len() == height * width && rows.len() == height);
    let columns = first(width) as u32;
    // SAFETY: the CPU has the instructions; masks leave only the columns and rows of the image, lanes that they leave out
    // are neither read nor written.
    unsafe {
        let zero = _mm512_setzero_si512();
        let (mut even, mut odd) = (zero, zero);
        let (mut high_high, mut high_low, mut low_low) = (zero, zero, zero);
        for y in (0..height).step_by(8) {
            let mut sums = [zero; 8];
            for (i, sums) in sums.iter_mut().enumerate() {
                // A mask of its own for each row would cost more than the rest.
                if y + i >= height {
                    break;
                }
                let row = _mm512_maskz_loadu_epi16(columns, row(pixels, y + i, width).cast());
                let (evens, odds) = (_mm512_and_si512(row, _mm512_set1_epi32(0xffff)), _mm512_srli_epi32::<16>(row));
                (even, odd) = (even.add32(evens), odd.add32(odds));
                *sums = evens.add32(odds);
                let (high, low) = (_mm512_srli_epi16::<8>(row), _mm512_and_si512(row, _mm512_set1_epi16(0xff)));
                high_high = _mm512_dpwssd_epi32(high_high, high, high);
                high_low = _mm512_dpwssd_epi32(high_low, high, low);
                low_low = _mm512_dpwssd_epi32(low_low, low, low);
            }
            let [a, b, c, d, e, f, g, h] = sums;
            let (upper, lower) = (four_rows([a, b, c, d]), four_rows([e, f, g, h]));
            let pairs = _mm512_shuffle_i64x2::<0b10_00_10_00>(upper, lower);
            let pairs = pairs.add32(_mm512_shuffle_i64x2::<0b11_01_11_01>(upper, lower));
            let totals = pairs.add32(_mm512_shuffle_i64x2::<0b10_11_00_01>(pairs, pairs));
            let totals = _mm512_castsi512_si256(_mm512_shuffle_i64x2::<0b10_00_10_00>(totals, totals));
            let to = rows.as_mut_ptr().wrapping_add(y);
            _mm256_mask_storeu_epi32(to.cast(), first(height - y) as u8, totals);
        }
        // Lanes in pairs are columns in order.
        let order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let behind = _mm512_add_epi32(order, _mm512_set1_epi32(8));
        for (half, order) in [order, behind].into_iter().enumerate() {
            let (to, mask) = (cols.as_mut_ptr().wrapping_add(16 * half), (columns >> (16 * half)) as u16);
            let before = _mm512_maskz_loadu_epi32(mask, to.cast());
            let sums = before.add32(_mm512_permutex2var_epi32(even, order, odd));
            _mm512_mask_storeu_epi32(to.cast(), mask, sums);
        }
        sum_sq[0] = (high_high.total32() << 16) + (high_low.total32() << 9) + low_low.total32();
    }
}

/// Each quarter holds a part of the sums of four rows.
///
/// # Safety
/// The CPU must have AVX-512 F.
#[inline(always)]
unsafe fn four_rows([a, b, c, d]: [__m512i; 4]) -> __m512i {
    // SAFETY: the CPU has the instructions.
    unsafe {
        let first = _mm512_unpacklo_epi32(a, b).add32(_mm512_unpackhi_epi32(a, b));
        let last = _mm512_unpacklo_epi32(c, d).add32(_mm512_unpackhi_epi32(c, d));
        _mm512_unpacklo_epi64(first, last).add32(_mm512_unpackhi_epi64(first, last))
    }
}

/// As the plain first pass over floats of one channel: all additions have its order.
///
/// # Safety
/// The CPU must have AVX-512 F and VL; the image must have at most [`COLUMNS`] columns, which is the length of `cols`, and `height`
/// rows, which is that of `rows`, and `pixels` all of its pixels.
#[inline(always)]
pub(super) unsafe fn floats(pixels: &[f32], height: usize, rows: &mut [f64], cols: &mut [f64]) {
    const VECTORS: usize = COLUMNS / 8;
    let width = cols.len();
    debug_assert!(width <= COLUMNS && pixels.len() == height * width && rows.len() == height);
    let columns = first(width) as u32;
    // SAFETY: as in `words`.
    unsafe {
        let zero = _mm512_setzero_pd();
        let mut of_columns = [zero; VECTORS];
        for (v, sums) in of_columns.iter_mut().enumerate() {
            let mask = (columns >> (8 * v)) as u8;
            *sums = _mm512_maskz_loadu_pd(mask, cols.as_ptr().wrapping_add(8 * v));
        }
        for y in (0..height).step_by(8) {
            let mut sums = [zero; 8];
            for (i, sums) in sums.iter_mut().enumerate() {
                // A mask of its own for each row would cost more than the rest.
                if y + i >= height {
                    break;
                }
                let from = row(pixels, y + i, width);
                for (v, of_columns) in of_columns.iter_mut().enumerate() {
                    let values = _mm256_maskz_loadu_ps((columns >> (8 * v)) as u8, from.wrapping_add(8 * v));
                    let values = _mm512_cvtps_pd(values);
                    *of_columns = _mm512_add_pd(*of_columns, values);
                    *sums = _mm512_add_pd(*sums, values);
                }
            }
            // Halves upon halves: lane i plus lane i + 4, then plus lane i + 2, then plus lane i + 1.
            let [a, b, c, d, e, f, g, h] = sums;
            let upper = quarters(halves(a, b), halves(c, d));
            let lower = quarters(halves(e, f), halves(g, h));
            let totals = _mm512_add_pd(_mm512_unpacklo_pd(upper, lower), _mm512_unpackhi_pd(upper, lower));
            let totals = _mm512_permutexvar_pd(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), totals);
            _mm512_mask_storeu_pd(rows.as_mut_ptr().wrapping_add(y), first(height - y) as u8, totals);
        }
        for (v, sums) in of_columns.into_iter().enumerate() {
            let mask = (columns >> (8 * v)) as u8;
            _mm512_mask_storeu_pd(cols.as_mut_ptr().wrapping_add(8 * v), mask, sums);
        }
    }
}

/// Each half of `a`, and then of `b`, added to the other one.
///
/// # Safety
/// The CPU must have AVX-512 F.
#[inline(always)]
unsafe fn halves(a: __m512d, b: __m512d) -> __m512d {
    // SAFETY: the CPU has the instructions.
    unsafe { _mm512_add_pd(_mm512_shuffle_f64x2::<0b01_00_01_00>(a, b), _mm512_shuffle_f64x2::<0b11_10_11_10>(a, b)) }
}

/// Each quarter of `a`, and then of `b`, added to the next one.
///
/// # Safety
/// The CPU must have AVX-512 F.
#[inline(always)]
unsafe fn quarters(a: __m512d, b: __m512d) -> __m512d {
    // SAFETY: the CPU has the instructions.
    unsafe { _mm512_add_pd(_mm512_shuffle_f64x2::<0b10_00_10_00>(a, b), _mm512_shuffle_f64x2::<0b11_01_11_01>(a, b)) }
}
