//! What steps ask of SIMD levels: bytes that change places, and bytes that a table maps. Plain code does the same where a
//! level has no instruction for it; most of it the compiler turns into vectors.

use super::arithmetic::{luma, saturated};
#[cfg(target_arch = "x86_64")]
use crate::base::simd::{Avx2, Avx512};
use crate::base::simd::{Portable, run_at_level};

/// A step on its way, compiled for every level.
pub(super) trait Kernel {
    /// Runs with the instructions of one level. Must be `#[inline(always)]`, as must all that it calls.
    fn run<V: Vector>(self, vector: V);
}

run_at_level!(pub(super) run_kernel, Kernel);

/// The instructions of a level. A value of the implementor proves that the CPU has them.
///
/// Methods are loops, because the closures of iterators may become functions of their own, which are compiled for any CPU.
pub(super) trait Vector: Copy {
    /// Whether [`Vector::permute`] and [`Vector::map`] are a few instructions.
    const PERMUTES: bool = false;

    /// Byte `i` of the result is byte `places[i]` of `bytes`; places are below 64.
    #[inline(always)]
    fn permute(self, bytes: &[u8; 64], places: &[u8; 64]) -> [u8; 64] {
        places.map(|place| bytes[usize::from(place & 63)])
    }

    /// Every byte becomes the entry of the table at it. The slices have the same length.
    #[inline(always)]
    fn map(self, table: &[u8; 256], old: &[u8], new: &mut [u8]) {
        for (old, new) in old.iter().zip(new) {
            *new = table[usize::from(*old)];
        }
    }

    /// The sum of the lumas of some pixels of three bytes, at most 2²⁴ of them.
    #[inline(always)]
    fn luma_sum(self, pixels: &[u8]) -> u32 {
        let mut sum = 0;
        for pixel in pixels.as_chunks::<3>().0 {
            sum += luma(*pixel);
        }
        sum
    }

    /// The colours of pixels of three bytes away from their luma.
    #[inline(always)]
    fn saturate(self, old: &[u8], factor: i32, new: &mut [u8]) {
        for (old, new) in old.as_chunks::<3>().0.iter().zip(new.as_chunks_mut::<3>().0) {
            *new = saturated(*old, factor);
        }
    }

    /// Brings rows to their new length, if the level has an instruction for it; returns whether it has. The old ones begin at
    /// multiples of `row` in `old`, which may go on behind them; the new ones have `to_row` bytes.
    #[inline(always)]
    fn along(self, _old: &[u8], _row: usize, _blocks: &[Block], _new: &mut [u8], _to_row: usize) -> bool {
        false
    }

    /// The weighted sum of rows of bytes that begin at multiples of `row` in `old`.
    #[inline(always)]
    fn down(self, old: &[u8], row: usize, weights: &[i32], new: &mut [u8]) {
        for (at, new) in new.iter_mut().enumerate() {
            let mut sum = 1 << (WEIGHT_BITS - 1);
            for (tap, weight) in weights.iter().enumerate() {
                sum += i32::from(old[tap * row + at]) * weight;
            }
            *new = (sum >> WEIGHT_BITS) as u8;
        }
    }

    /// As [`Vector::map`] with a table for each of three channels that lie side by side.
    #[inline(always)]
    fn map_three(self, tables: &[[u8; 256]; 3], old: &[u8], new: &mut [u8]) {
        for (old, new) in old.as_chunks::<3>().0.iter().zip(new.as_chunks_mut::<3>().0) {
            for channel in 0..3 {
                new[channel] = tables[channel][usize::from(old[channel])];
            }
        }
    }
}

/// Bits behind the point of a weight.
pub(super) const WEIGHT_BITS: u32 = 22;
/// In vectors a weight has so many bits more. So the last byte of a sum of 32 bits, without a sign, is the value.
const MORE_BITS: u32 = 24 - WEIGHT_BITS;
/// Such a weight is cut into the bits above these and these.
const LOW_BITS: u32 = 13;
/// What makes a sum of them round half up.
const HALF: i32 = 1 << 23;
/// Values that a block has.
const BLOCK: usize = 16;

/// Some neighbouring values of a row that is brought to a new length: where the old bytes of each are, and their weights.
pub(super) struct Block {
    /// The first of the 64 old bytes that are loaded.
    first: usize,
    /// For each two taps the places of their bytes for each value, and the high and the low parts of their weights.
    pairs: Vec<([u8; 64], [i16; 32], [i16; 32])>,
}

impl Block {
    /// The blocks of a row of pixels of so many channels. `windows` are the first old pixel of each new one and its
    /// weights. `None` if the old bytes of a block are too far apart.
    pub fn all<'a>(windows: impl Iterator<Item = (usize, &'a [i32])>, channels: usize) -> Option<Vec<Self>> {
        let windows: Vec<_> = windows.collect();
        let values = windows.len() * channels;
        let of = |start: usize| {
            let all = start..values.min(start + BLOCK);
            let first = windows[start / channels].0 * channels;
            let taps = windows[0].1.len();
            let mut pairs = vec![([0; 64], [0; 32], [0; 32]); taps.div_ceil(2)];
            for (lane, value) in all.enumerate() {
                let (from, weights) = windows[value / channels];
                for (tap, weight) in weights.iter().enumerate() {
                    let place = (from + tap) * channels + value % channels - first;
                    let (places, high, low) = &mut pairs[tap / 2];
                    // The bytes between are masked away.
                    let half = 2 * lane + tap % 2;
                    places[2 * half] = u8::try_from(place).ok().filter(|place| *place < 64)?;
                    (high[half], low[half]) = cut(*weight);
                }
            }
            Some(Self { first, pairs })
        };
        (0..values).step_by(BLOCK).map(of).collect()
    }
}

/// The high and the low part of a weight.
#[inline(always)]
fn cut(weight: i32) -> (i16, i16) {
    let weight = weight << MORE_BITS;
    ((weight >> LOW_BITS) as i16, (weight & ((1 << LOW_BITS) - 1)) as i16)
}

impl Vector for Portable {}

#[cfg(target_arch = "x86_64")]
impl Vector for Avx2 {}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::super::arithmetic::LUMA_WEIGHTS;
    use super::{Avx512, BLOCK, Block, HALF, LOW_BITS, Portable, Vector, cut};

    /// A table in four vectors.
    type Table = [__m512i; 4];

    #[inline(always)]
    fn load(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: a load reads a checked array. Every caller has the proof that the CPU has AVX-512 F and VBMI.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(bytes: &mut [u8; 64], vector: __m512i) {
        // SAFETY: as in `load`; a store writes a checked array.
        unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn table(entries: &[u8; 256]) -> Table {
        let (parts, _) = entries.as_chunks::<64>();
        std::array::from_fn(|part| load(&parts[part]))
    }

    #[inline(always)]
    fn entries([a, b, c, d]: Table, places: __m512i) -> __m512i {
        // SAFETY: as in `load`.
        unsafe {
            let (low, high) = (_mm512_permutex2var_epi8(a, places, b), _mm512_permutex2var_epi8(c, places, d));
            _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(places), high)
        }
    }

    /// The bytes of vector `part` of three that are of a channel.
    const fn of_channel(part: usize, channel: usize) -> u64 {
        let (mut mask, mut at) = (0, 0);
        while at < 64 {
            if (64 * part + at) % 3 == channel {
                mask |= 1 << at;
            }
            at += 1;
        }
        mask
    }

    /// Pixels of three bytes that are taken at once, of the 64 bytes that are loaded.
    const PIXELS: usize = 16;

    /// For each pixel the bytes of two channels, each with a zero byte behind it.
    const fn two_channels(first: usize, second: usize) -> [u8; 64] {
        let mut places = [0; 64];
        let mut pixel = 0;
        while pixel < PIXELS {
            places[4 * pixel] = (3 * pixel + first) as u8;
            places[4 * pixel + 2] = (3 * pixel + second) as u8;
            pixel += 1;
        }
        places
    }

    /// Where the bytes of 32 pixels are, from byte `first` on: red and green in one vector, blue in the next, each as two
    /// groups of 16 words are packed.
    const fn packed(first: usize) -> [u8; 64] {
        let mut places = [0; 64];
        let mut at = 0;
        while at < 64 && first + at < 6 * PIXELS {
            let (pixel, channel) = ((first + at) / 3, (first + at) % 3);
            let word = pixel % PIXELS / 4 * 16 + pixel / PIXELS * 4 + pixel % 4;
            places[at] = (word + [0, 8, 64][channel]) as u8;
            at += 1;
        }
        places
    }

    const RED_GREEN: [u8; 64] = two_channels(0, 1);
    const BLUE_GREEN: [u8; 64] = two_channels(2, 1);
    const TOGETHER: [[u8; 64]; 2] = [packed(0), packed(64)];

    /// Half words of red and green of 16 pixels, and of blue and green.
    ///
    /// # Safety
    /// The CPU must have AVX-512 F and VBMI.
    #[inline(always)]
    unsafe fn pairs(bytes: __m512i) -> [__m512i; 2] {
        // SAFETY: the caller's.
        unsafe { [half_words(load(&RED_GREEN), bytes), half_words(load(&BLUE_GREEN), bytes)] }
    }

    /// The lumas of 16 pixels. The weight of green does not fit 16 bits with a sign, so each pair takes a half of it.
    ///
    /// # Safety
    /// The CPU must have AVX-512 F and VNNI.
    #[inline(always)]
    unsafe fn lumas([red_green, blue_green]: [__m512i; 2]) -> __m512i {
        let [red, green, blue] = LUMA_WEIGHTS.map(|weight| weight as i32);
        // SAFETY: the caller's.
        unsafe {
            let half = _mm512_set1_epi32(1 << 15);
            let sums = _mm512_dpwssd_epi32(half, red_green, _mm512_set1_epi32(red | (green / 2) << 16));
            let sums = _mm512_dpwssd_epi32(sums, blue_green, _mm512_set1_epi32(blue | (green - green / 2) << 16));
            _mm512_srli_epi32::<16>(sums)
        }
    }

    /// Columns that are taken as one vector when columns are brought to a new height.
    const STRETCH: usize = 32;

    /// The last byte of each of 16 or 32 sums.
    const VALUES: [u8; 64] = {
        let mut places = [0; 64];
        let mut at = 0;
        while at < 32 {
            places[at] = (4 * at + 3) as u8;
            at += 1;
        }
        places
    };

    /// For 16 columns the bytes of two rows, each with a zero byte behind it. The rows have half a vector each.
    const fn two_rows(first: usize) -> [u8; 64] {
        let mut places = [0; 64];
        let mut column = 0;
        while column < 16 {
            places[4 * column] = (first + column) as u8;
            places[4 * column + 2] = (STRETCH + first + column) as u8;
            column += 1;
        }
        places
    }

    const TWO_ROWS: [[u8; 64]; 2] = [two_rows(0), two_rows(16)];

    /// The bytes at `places` as half words.
    ///
    /// # Safety
    /// The CPU must have AVX-512 F and VBMI.
    #[inline(always)]
    unsafe fn half_words(places: __m512i, bytes: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_maskz_permutexvar_epi8(0x5555_5555_5555_5555, places, bytes) }
    }

    /// The sums of products with the high and the low parts of weights, put together.
    ///
    /// # Safety
    /// The CPU must have AVX-512 F.
    #[inline(always)]
    unsafe fn joined([high, low]: [__m512i; 2]) -> __m512i {
        // SAFETY: the caller's.
        unsafe { _mm512_add_epi32(_mm512_slli_epi32::<LOW_BITS>(high), low) }
    }

    /// Brings N rows to their new length, as [`Vector::along`].
    ///
    /// # Safety
    /// The CPU must have AVX-512 F, BW, VBMI and VNNI.
    #[inline(always)]
    unsafe fn along_rows<const N: usize>(old: &[u8], row: usize, blocks: &[Block], new: &mut [u8], to_row: usize) {
        for (at, block) in blocks.iter().enumerate() {
            let mut bytes = [load(&[0; 64]); N];
            for line in 0..N {
                let old = &old[line * row + block.first..];
                bytes[line] = match old.first_chunk() {
                    Some(bytes) => load(bytes),
                    None => {
                        let mut padded = [0; 64];
                        padded[..old.len()].copy_from_slice(old);
                        load(&padded)
                    }
                };
            }
            // SAFETY: the caller's; loads and stores are of checked arrays.
            unsafe {
                let mut sums = [[_mm512_setzero_si512(), _mm512_set1_epi32(HALF)]; N];
                for (places, high, low) in &block.pairs {
                    let places = load(places);
                    let high = _mm512_loadu_si512(high.as_ptr().cast());
                    let low = _mm512_loadu_si512(low.as_ptr().cast());
                    for line in 0..N {
                        let pixels = half_words(places, bytes[line]);
                        sums[line][0] = _mm512_dpwssd_epi32(sums[line][0], pixels, high);
                        sums[line][1] = _mm512_dpwssd_epi32(sums[line][1], pixels, low);
                    }
                }
                for line in 0..N {
                    let values = _mm512_permutexvar_epi8(load(&VALUES), joined(sums[line]));
                    let mut all = [0; BLOCK];
                    _mm_storeu_si128(all.as_mut_ptr().cast(), _mm512_castsi512_si128(values));
                    let new = &mut new[line * to_row..][at * BLOCK..to_row];
                    match new.first_chunk_mut() {
                        Some(new) => *new = all,
                        None => new.copy_from_slice(&all[..new.len()]),
                    }
                }
            }
        }
    }

    /// The weighted sums of N stretches of rows, as [`Vector::down`].
    ///
    /// # Safety
    /// The CPU must have AVX-512 F, BW, VBMI and VNNI.
    #[inline(always)]
    unsafe fn down_stretches<const N: usize>(old: &[u8], row: usize, weights: &[i32], new: &mut [u8]) {
        // SAFETY: the caller's; loads and stores are of checked arrays.
        unsafe {
            let half = _mm512_set1_epi32(HALF);
            let zero = _mm512_setzero_si512();
            let mut sums = [[[zero, half]; 2]; N];
            for (pair, weights) in weights.chunks(2).enumerate() {
                let second = weights.get(1).copied().unwrap_or(0);
                let ((high, low), (other_high, other_low)) = (cut(weights[0]), cut(second));
                let both =
                    |first: i16, second: i16| _mm512_set1_epi32(i32::from(first) & 0xffff | i32::from(second) << 16);
                let (high, low) = (both(high, other_high), both(low, other_low));
                // A last row without another one is taken twice, with a weight of zero.
                let (one, other) = (2 * pair * row, (2 * pair + weights.len() - 1) * row);
                for stretch in 0..N {
                    let line = |start: usize| {
                        let bytes: &[u8; STRETCH] =
                            old[start + stretch * STRETCH..].first_chunk().expect("a stretch of a row");
                        _mm256_loadu_si256(bytes.as_ptr().cast())
                    };
                    let bytes = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(line(one)), line(other));
                    for half in 0..2 {
                        let pixels = half_words(load(&TWO_ROWS[half]), bytes);
                        let sums = &mut sums[stretch][half];
                        sums[0] = _mm512_dpwssd_epi32(sums[0], pixels, high);
                        sums[1] = _mm512_dpwssd_epi32(sums[1], pixels, low);
                    }
                }
            }
            for stretch in 0..N {
                let [first, second] = sums[stretch];
                let values = _mm512_permutex2var_epi8(joined(first), load(&VALUES), joined(second));
                let new: &mut [u8; STRETCH] = new[stretch * STRETCH..].first_chunk_mut().expect("a stretch of a row");
                _mm256_storeu_si256(new.as_mut_ptr().cast(), _mm512_castsi512_si256(values));
            }
        }
    }

    impl Vector for Avx512 {
        const PERMUTES: bool = true;

        #[inline(always)]
        fn luma_sum(self, pixels: &[u8]) -> u32 {
            let mut at = 0;
            // SAFETY: `self` proves that the CPU has the instructions.
            let sum = unsafe {
                let mut sums = _mm512_setzero_si512();
                while let Some(bytes) = pixels[at..].first_chunk() {
                    sums = _mm512_add_epi32(sums, lumas(pairs(load(bytes))));
                    at += 3 * PIXELS;
                }
                _mm512_reduce_add_epi32(sums) as u32
            };
            sum + Portable.luma_sum(&pixels[at..])
        }

        #[inline(always)]
        fn saturate(self, old: &[u8], factor: i32, new: &mut [u8]) {
            const BYTES: usize = 3 * PIXELS;
            let mut at = 0;
            // SAFETY: `self` proves that the CPU has the instructions; loads and stores are of checked arrays.
            unsafe {
                // Products of words: by the whole part of the factor, and by its 32,768ths.
                let whole = _mm512_set1_epi16((factor >> 15) as i16);
                let part = _mm512_set1_epi16((factor & 0x7fff) as i16);
                let places = [load(&TOGETHER[0]), load(&TOGETHER[1])];
                let low = _mm512_set1_epi32(0xffff);
                while let (Some(old), Some(to)) =
                    (old[at..].first_chunk::<{ BYTES + 64 }>(), new[at..].first_chunk_mut::<{ 2 * BYTES }>())
                {
                    let bytes = |from: usize| load(old[from..].first_chunk().expect("64 bytes"));
                    let ([rg, bg], [other_rg, other_bg]) = (pairs(bytes(0)), pairs(bytes(BYTES)));
                    let luma = _mm512_packus_epi32(lumas([rg, bg]), lumas([other_rg, other_bg]));
                    let red = _mm512_packus_epi32(_mm512_and_si512(rg, low), _mm512_and_si512(other_rg, low));
                    let green = _mm512_packus_epi32(_mm512_srli_epi32::<16>(rg), _mm512_srli_epi32::<16>(other_rg));
                    let blue = _mm512_packus_epi32(_mm512_and_si512(bg, low), _mm512_and_si512(other_bg, low));
                    let away = |value| {
                        let by = _mm512_sub_epi16(value, luma);
                        let far = _mm512_mulhi_epi16(_mm512_add_epi16(by, by), part);
                        _mm512_add_epi16(_mm512_add_epi16(luma, _mm512_mullo_epi16(by, whole)), far)
                    };
                    let red_green = _mm512_packus_epi16(away(red), away(green));
                    let blue = _mm512_packus_epi16(away(blue), _mm512_setzero_si512());
                    let (start, end) = to.split_first_chunk_mut().expect("64 bytes");
                    store(start, _mm512_permutex2var_epi8(red_green, places[0], blue));
                    let rest = _mm512_permutex2var_epi8(red_green, places[1], blue);
                    _mm256_storeu_si256(end.as_mut_ptr().cast(), _mm512_castsi512_si256(rest));
                    at += 2 * BYTES;
                }
            }
            Portable.saturate(&old[at..], factor, &mut new[at..]);
        }

        #[inline(always)]
        fn permute(self, bytes: &[u8; 64], places: &[u8; 64]) -> [u8; 64] {
            let mut out = [0; 64];
            // SAFETY: `self` proves that the CPU has the instructions.
            store(&mut out, unsafe { _mm512_permutexvar_epi8(load(places), load(bytes)) });
            out
        }

        #[inline(always)]
        fn along(self, old: &[u8], row: usize, blocks: &[Block], new: &mut [u8], to_row: usize) -> bool {
            // Some rows together, so that weights are loaded once for all of them.
            const ROWS: usize = 4;
            let mut at = 0;
            // SAFETY: `self` proves that the CPU has the instructions.
            unsafe {
                let mut groups = new.chunks_exact_mut(ROWS * to_row);
                for new in &mut groups {
                    along_rows::<ROWS>(&old[at * row..], row, blocks, new, to_row);
                    at += ROWS;
                }
                for new in groups.into_remainder().chunks_exact_mut(to_row) {
                    along_rows::<1>(&old[at * row..], row, blocks, new, to_row);
                    at += 1;
                }
            }
            true
        }

        #[inline(always)]
        fn down(self, old: &[u8], row: usize, weights: &[i32], new: &mut [u8]) {
            // Some stretches together, so that weights are put into vectors once for all of them.
            const TOGETHER: usize = 3;
            let columns = new.len();
            if columns < STRETCH {
                return Portable.down(old, row, weights, new);
            }
            let stretches = if columns < TOGETHER * STRETCH { 1 } else { TOGETHER };
            let length = stretches * STRETCH;
            let mut at = 0;
            while at < columns {
                // The last part may begin within the one before: it writes the same values again.
                at = at.min(columns - length);
                // SAFETY: `self` proves that the CPU has the instructions.
                unsafe {
                    match stretches {
                        1 => down_stretches::<1>(&old[at..], row, weights, &mut new[at..]),
                        _ => down_stretches::<TOGETHER>(&old[at..], row, weights, &mut new[at..]),
                    }
                }
                at += length;
            }
        }

        #[inline(always)]
        fn map(self, entries_of: &[u8; 256], old: &[u8], new: &mut [u8]) {
            let table = table(entries_of);
            let ((parts, rest), (new, new_rest)) = (old.as_chunks::<64>(), new.as_chunks_mut::<64>());
            for (old, new) in parts.iter().zip(new) {
                store(new, entries(table, load(old)));
            }
            Portable.map(entries_of, rest, new_rest);
        }

        #[inline(always)]
        fn map_three(self, tables: &[[u8; 256]; 3], old: &[u8], new: &mut [u8]) {
            const MASKS: [[u64; 2]; 3] = [
                [of_channel(0, 1), of_channel(0, 2)],
                [of_channel(1, 1), of_channel(1, 2)],
                [of_channel(2, 1), of_channel(2, 2)],
            ];
            let [r, g, b] = [table(&tables[0]), table(&tables[1]), table(&tables[2])];
            let ((groups, rest), (new, new_rest)) = (old.as_chunks::<192>(), new.as_chunks_mut::<192>());
            for (old, new) in groups.iter().zip(new) {
                let ((old, _), (new, _)) = (old.as_chunks::<64>(), new.as_chunks_mut::<64>());
                for part in 0..3 {
                    let places = load(&old[part]);
                    // SAFETY: `self` proves that the CPU has the instructions.
                    let mapped = unsafe {
                        let [second, third] = MASKS[part];
                        let mapped = _mm512_mask_mov_epi8(entries(r, places), second, entries(g, places));
                        _mm512_mask_mov_epi8(mapped, third, entries(b, places))
                    };
                    store(&mut new[part], mapped);
                }
            }
            Portable.map_three(tables, rest, new_rest);
        }
    }
}
