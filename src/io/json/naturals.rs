//! Reads runs of small non-negative integers, which images consist of, many bytes of text at a time.

use std::sync::OnceLock;

use super::pixel::JsonPixel;

/// The instructions that read the text. All levels give the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextLevel {
    Portable,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx2,
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx512,
}

impl TextLevel {
    const ALL: [TextLevel; 3] = [TextLevel::Portable, TextLevel::Avx2, TextLevel::Avx512];

    fn is_available(self) -> bool {
        match self {
            TextLevel::Portable => true,
            #[cfg(target_arch = "x86_64")]
            TextLevel::Avx2 => x86::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            TextLevel::Avx512 => x86::Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            TextLevel::Avx2 | TextLevel::Avx512 => false,
        }
    }

    /// The best that this CPU supports.
    fn detect() -> TextLevel {
        static BEST: OnceLock<TextLevel> = OnceLock::new();
        *BEST.get_or_init(|| {
            TextLevel::ALL.into_iter().rfind(|level| level.is_available()).unwrap_or(TextLevel::Portable)
        })
    }
}

/// Reads plain non-negative integers, each with its comma, until something else comes. Returns where it stopped, which is
/// the start of an item. The last item of a list has no comma and is never read.
pub(super) fn read<T: JsonPixel>(text: &[u8], at: usize, pixels: &mut Vec<T>) -> usize {
    read_at(TextLevel::detect(), text, at, pixels)
}

fn read_at<T: JsonPixel>(level: TextLevel, text: &[u8], mut at: usize, pixels: &mut Vec<T>) -> usize {
    /// After so many items it is worth trying vectors again.
    const ITEMS: usize = 16;
    loop {
        let start = at;
        match level {
            TextLevel::Portable => {}
            #[cfg(target_arch = "x86_64")]
            TextLevel::Avx2 => {
                if let Some(avx2) = x86::Avx2::detect() {
                    at = in_vectors(text, at, pixels, |text, at, values| avx2.step(text, at, values));
                }
            }
            #[cfg(target_arch = "x86_64")]
            TextLevel::Avx512 => {
                if let Some(avx512) = x86::Avx512::detect() {
                    at = in_vectors(text, at, pixels, |text, at, values| avx512.step(text, at, values));
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            TextLevel::Avx2 | TextLevel::Avx512 => {}
        }
        at = one_by_one(text, at, pixels, ITEMS);
        // Whitespace other than one space.
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
            at += 1;
        }
        if at == start {
            return at;
        }
    }
}

/// Reads about `max` items, or a few more.
fn one_by_one<T: JsonPixel>(text: &[u8], mut at: usize, pixels: &mut Vec<T>, max: usize) -> usize {
    // Images have wide dark margins.
    const ZEROS: &[u8; 15] = b"0, 0, 0, 0, 0, ";
    const CLOSE_ZEROS: &[u8; 8] = b"0,0,0,0,";
    // At least nine digits, a comma and a space.
    const WINDOW: usize = 16;
    let zero = T::default();
    let full = pixels.len() + max;
    while pixels.len() < full
        && let Some(window) = text.get(at..).and_then(|rest| rest.first_chunk::<WINDOW>())
    {
        let mut value = u32::from(window[0].wrapping_sub(b'0'));
        if value > 9 {
            break;
        }
        let mut len = 1;
        if window[1] == b',' {
            if window.starts_with(ZEROS) {
                pixels.extend_from_slice(&[zero; 5]);
                at += ZEROS.len();
                continue;
            }
            if window.starts_with(CLOSE_ZEROS) {
                pixels.extend_from_slice(&[zero; 4]);
                at += CLOSE_ZEROS.len();
                continue;
            }
        } else {
            while len < 9 {
                let digit = u32::from(window[len].wrapping_sub(b'0'));
                if digit > 9 {
                    break;
                }
                value = value * 10 + digit;
                len += 1;
            }
            if window[len] != b',' || (len > 1 && window[0] == b'0') {
                break;
            }
        }
        let Some(pixel) = T::natural(value) else { break };
        pixels.push(pixel);
        at += len + 1 + usize::from(window[len + 1] == b' ');
    }
    at
}

/// The maximum of values in one step.
const LANES: usize = 64;

/// Reads one vector of text after another. A step writes the values to the front of its array and returns the bytes of text
/// that it read and the number of values, or `None` if the text is not plain enough for it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn in_vectors<T: JsonPixel>(
    text: &[u8],
    mut at: usize,
    pixels: &mut Vec<T>,
    step: impl Fn(&[u8], usize, &mut [u8; LANES]) -> Option<(usize, usize)>,
) -> usize {
    let mut values = [0; LANES];
    while let Some((bytes, found)) = step(text, at, &mut values) {
        pixels.reserve(LANES);
        // All lanes, whose number is known when this is compiled; what is too many is left out by the length.
        let Some(places) = pixels.spare_capacity_mut().first_chunk_mut::<LANES>() else { return at };
        for (place, value) in places.iter_mut().zip(values) {
            place.write(T::from(value));
        }
        // SAFETY: `found` is at most `LANES`, and as many places were reserved and written above.
        unsafe { pixels.set_len(pixels.len() + found.min(LANES)) };
        at += bytes;
    }
    at
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::LANES;

    /// Bytes that a step looks at before its place, to have the digits in front of every digit.
    const BEFORE: usize = 2;

    /// The text of a step as one bit a byte, the first byte lowest.
    struct Marks {
        digits: u64,
        zeros: u64,
        commas: u64,
        spaces: u64,
    }

    impl Marks {
        /// The commas behind the items that a step of up to `width` bytes takes: those before the first byte that is
        /// neither digit nor comma nor space, if the text up to the last of them is nothing but numbers of at most three
        /// digits without leading zeros, with at most one space behind each comma and before the first number.
        #[inline(always)]
        fn ends(&self, width: u32) -> Option<u64> {
            let Marks { digits, zeros, commas, spaces } = *self;
            let other = !(digits | commas | spaces);
            // The bits below the lowest that is set; all where none is.
            let plain = other.wrapping_sub(1) & !other & (u64::MAX >> (64 - width));
            let ends = commas & plain;
            if ends == 0 {
                return None;
            }
            let taken = u64::MAX >> ends.leading_zeros();
            let after_digit = digits << 1;
            let fourth = digits & after_digit & digits << 2 & digits << 3;
            let leading_zero = zeros & !after_digit & digits >> 1;
            let wrong = commas & !after_digit | spaces & !(commas << 1 | 1) | fourth | leading_zero;
            (wrong & taken == 0).then_some(ends)
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub(super) struct Avx512(());

    impl Avx512 {
        #[inline(always)]
        pub(super) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi2")).then_some(Self(()))
        }

        #[inline(always)]
        pub(super) fn step(self, text: &[u8], at: usize, values: &mut [u8; LANES]) -> Option<(usize, usize)> {
            let window = text.get(at.checked_sub(BEFORE)?..)?.first_chunk()?;
            // SAFETY: the CPU has the features, or `detect` had not made this value.
            unsafe { avx512(window, values) }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,lzcnt,popcnt")]
    fn avx512(window: &[u8; BEFORE + 64], values: &mut [u8; LANES]) -> Option<(usize, usize)> {
        let load = |before: usize| {
            // SAFETY: 64 bytes from `BEFORE - before` on, and `before` is at most `BEFORE`.
            unsafe { _mm512_loadu_si512(window.as_ptr().add(BEFORE - before).cast()) }
        };
        let zero = _mm512_set1_epi8(b'0' as i8);
        let text = load(0);
        let digit = _mm512_sub_epi8(text, zero);
        let digits = _mm512_cmplt_epu8_mask(digit, _mm512_set1_epi8(10));
        let marks = Marks {
            digits,
            zeros: _mm512_cmpeq_epi8_mask(text, zero),
            commas: _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(b',' as i8)),
            spaces: _mm512_cmpeq_epi8_mask(text, _mm512_set1_epi8(b' ' as i8)),
        };
        let ends = marks.ends(64)?;
        // At each byte the value of the number that ends there: its digit, the one before and the one before that.
        let tens = _mm512_maskz_sub_epi8(digits << 1, load(1), zero);
        let hundreds = _mm512_maskz_sub_epi8(digits << 1 & digits << 2, load(2), zero);
        let tens = _mm512_add_epi8(_mm512_slli_epi16::<1>(tens), _mm512_slli_epi16::<3>(tens));
        let low = _mm512_add_epi8(digit, tens);
        let table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 100, 200u8 as i8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        let high = _mm512_shuffle_epi8(table, hundreds);
        let value = _mm512_adds_epu8(low, high);
        let units = ends >> 1;
        let above = _mm512_mask_cmpgt_epu8_mask(units, hundreds, _mm512_set1_epi8(2))
            | _mm512_mask_cmpneq_epi8_mask(units, value, _mm512_add_epi8(low, high));
        if above != 0 {
            return None;
        }
        let packed = _mm512_maskz_compress_epi8(units, value);
        // SAFETY: 64 bytes, as many as `values` has.
        unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), packed) };
        Some((64 - ends.leading_zeros() as usize, ends.count_ones() as usize))
    }

    #[derive(Debug, Clone, Copy)]
    pub(super) struct Avx2(());

    impl Avx2 {
        #[inline(always)]
        pub(super) fn detect() -> Option<Self> {
            let all = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            all.then_some(Self(()))
        }

        #[inline(always)]
        pub(super) fn step(self, text: &[u8], at: usize, values: &mut [u8; LANES]) -> Option<(usize, usize)> {
            let window = text.get(at.checked_sub(BEFORE)?..)?.first_chunk()?;
            // SAFETY: the CPU has the features, or `detect` had not made this value.
            unsafe { avx2(window, values) }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,lzcnt,popcnt")]
    fn avx2(window: &[u8; BEFORE + 32], values: &mut [u8; LANES]) -> Option<(usize, usize)> {
        let load = |before: usize| {
            // SAFETY: 32 bytes from `BEFORE - before` on, and `before` is at most `BEFORE`.
            unsafe { _mm256_loadu_si256(window.as_ptr().add(BEFORE - before).cast()) }
        };
        let bits = |mask: __m256i| u64::from(_mm256_movemask_epi8(mask) as u32);
        let zero = _mm256_set1_epi8(b'0' as i8);
        let nine = _mm256_set1_epi8(9);
        let is_digit = |digit| _mm256_cmpeq_epi8(_mm256_min_epu8(digit, nine), digit);
        let [text, before, first] = [load(0), load(1), load(2)];
        let [digit, tens, hundreds] = [text, before, first].map(|text| _mm256_sub_epi8(text, zero));
        let marks = Marks {
            digits: bits(is_digit(digit)),
            zeros: bits(_mm256_cmpeq_epi8(text, zero)),
            commas: bits(_mm256_cmpeq_epi8(text, _mm256_set1_epi8(b',' as i8))),
            spaces: bits(_mm256_cmpeq_epi8(text, _mm256_set1_epi8(b' ' as i8))),
        };
        let ends = marks.ends(32)?;
        let (is_tens, is_hundreds) = (is_digit(tens), is_digit(hundreds));
        let tens = _mm256_and_si256(tens, is_tens);
        let hundreds = _mm256_and_si256(hundreds, _mm256_and_si256(is_tens, is_hundreds));
        let tens = _mm256_add_epi8(_mm256_slli_epi16::<1>(tens), _mm256_slli_epi16::<3>(tens));
        let low = _mm256_add_epi8(digit, tens);
        let table =
            _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 100, 200u8 as i8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        let high = _mm256_shuffle_epi8(table, hundreds);
        let value = _mm256_adds_epu8(low, high);
        let mut units = ends >> 1;
        let within = _mm256_and_si256(
            _mm256_cmpgt_epi8(_mm256_set1_epi8(3), hundreds),
            _mm256_cmpeq_epi8(value, _mm256_add_epi8(low, high)),
        );
        if units & !bits(within) != 0 {
            return None;
        }
        let found = ends.count_ones() as usize;
        let mut places = [0u8; 32];
        // SAFETY: 32 bytes, as many as `places` has.
        unsafe { _mm256_storeu_si256(places.as_mut_ptr().cast(), value) };
        // Images have wide dark margins: if every number is zero, nothing has to be picked.
        if units & !bits(_mm256_cmpeq_epi8(value, _mm256_setzero_si256())) == 0 {
            values[..32].fill(0);
            return Some((64 - ends.leading_zeros() as usize, found));
        }
        for place in values.iter_mut().take(found) {
            *place = places[units.trailing_zeros() as usize % 32];
            units &= units.wrapping_sub(1);
        }
        Some((64 - ends.leading_zeros() as usize, found))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_by<T: JsonPixel>(level: TextLevel, text: &[u8], at: usize) -> (usize, Vec<T>) {
        let mut pixels = vec![T::from(7)];
        let at = read_at(level, text, at, &mut pixels);
        (at, pixels)
    }

    fn levels_agree<T: JsonPixel + PartialEq + std::fmt::Debug>(text: &[u8], at: usize) {
        // Near its end a text leaves no room for a vector, or for what the portable code looks at: then each stops where
        // it must and leaves the rest to the grammar.
        let text = &[text, b"]", &[b' '; 80]].concat();
        let expected = read_by::<T>(TextLevel::Portable, text, at);
        for level in TextLevel::ALL.into_iter().filter(|level| level.is_available()) {
            assert_eq!(
                read_by::<T>(level, text, at),
                expected,
                "{level:?} from {at}: {}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn every_value_is_read_at_every_place() {
        let mut text = b"[".to_vec();
        for value in 0..=300 {
            text.extend(format!("{value},{}", if value % 3 == 0 { "" } else { " " }).bytes());
        }
        text.extend([b' '; 80]);
        for level in TextLevel::ALL.into_iter().filter(|level| level.is_available()) {
            for skip in 0..=255usize {
                // From the start of the item `skip` on.
                let at = 1 + (0..skip).map(|v| v.to_string().len() + 1 + usize::from(v % 3 != 0)).sum::<usize>();
                let (stopped, pixels) = read_by::<u8>(level, &text, at);
                let expected: Vec<u8> = [7].into_iter().chain(skip as u8..=255).collect();
                assert_eq!(pixels, expected, "{level:?} from {skip}");
                assert!(text[stopped..].starts_with(b"256,"), "{level:?}");
                let (_, pixels) = read_by::<u16>(level, &text, at);
                assert!(pixels[1..].iter().copied().eq(skip as u16..=300), "{level:?}");
            }
        }
    }

    #[test]
    fn what_is_not_plain_stops_it_at_every_place() {
        let odd = [
            "00,", "01,", "256,", "300,", "511,", "999,", "1000,", "-1,", "1.5,", "1e2,", "null,", "[", "]", "1 ,",
            " 1,", ",", "\n1,", "\"", "12", "1x,", "é,",
        ];
        for odd in odd {
            for before in 0..70 {
                let text = format!("[{}{odd}{}", "0, 12,255,".repeat(12).get(..before).unwrap_or(""), "0, ".repeat(50));
                levels_agree::<u8>(text.as_bytes(), 1);
                levels_agree::<u16>(text.as_bytes(), 1);
                levels_agree::<f32>(text.as_bytes(), 1);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn all_levels_read_the_same(
            items in proptest::collection::vec((0u32..300, 0..8usize), 0..120),
            edits in proptest::collection::vec(
                (any::<prop::sample::Index>(), proptest::sample::select(b"0129, \n]-.x".to_vec())), 0..3),
            start in 0..4usize,
        ) {
            let separators = [", ", ",", ", ", ",", ",  ", ",\n", " ,", ", "];
            let mut text = b"[[[".to_vec();
            for (value, separator) in items {
                // Mostly small, as images are.
                let value = value.saturating_sub(150);
                text.extend(format!("{value}{}", separators[separator]).bytes());
            }
            for (place, byte) in edits {
                // Not what comes before the first item.
                let place = 3.min(text.len() - 1) + place.index((text.len() - 3).max(1));
                let place = place.min(text.len() - 1);
                text[place] = byte;
            }
            levels_agree::<u8>(&text, start.min(text.len()));
            levels_agree::<u16>(&text, start.min(text.len()));
            levels_agree::<f32>(&text, start.min(text.len()));
        }
    }
}
