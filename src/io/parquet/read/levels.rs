//! Repetition and definition levels: not decoded, only compared with those of lists of one length without a null.

use super::Irregular;

/// A run of Parquet's hybrid of run lengths and bit packing.
pub enum Run<'a> {
    /// One value, `length` times.
    Repeated { value: u32, length: usize },
    /// `length` values of the stream's width, least significant bits first.
    Packed { bytes: &'a [u8], length: usize },
}

/// The runs of a hybrid stream of a known number of values.
pub struct Runs<'a> {
    bytes: &'a [u8],
    width: usize,
    left: usize,
}

impl<'a> Runs<'a> {
    /// `width` is the bits of a value, at most 32.
    pub fn new(bytes: &'a [u8], width: usize, values: usize) -> Self {
        Self { bytes, width, left: values }
    }

    /// The next run; `None` once all values are there.
    #[inline]
    pub fn next(&mut self) -> Result<Option<Run<'a>>, Irregular> {
        if self.left == 0 {
            return Ok(None);
        }
        let header = self.header()?;
        let count = header >> 1;
        let run = if header & 1 == 1 {
            let length = count.checked_mul(8).ok_or(Irregular)?.min(self.left);
            // Never more than there is room for, since whole groups of eight have whole bytes.
            let bytes = self.take(count.checked_mul(self.width).ok_or(Irregular)?)?;
            self.left -= length;
            Run::Packed { bytes, length }
        } else {
            let length = count.min(self.left);
            let mut value = [0; 4];
            let bytes = self.take(self.width.div_ceil(8))?;
            value[..bytes.len()].copy_from_slice(bytes);
            self.left -= length;
            Run::Repeated { value: u32::from_le_bytes(value), length }
        };
        // An empty run could be repeated without an end.
        if count == 0 { Err(Irregular) } else { Ok(Some(run)) }
    }

    #[inline]
    fn header(&mut self) -> Result<usize, Irregular> {
        let mut header = 0;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or(Irregular)?;
            self.bytes = rest;
            header |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(header).map_err(|_| Irregular);
            }
        }
        Err(Irregular)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Irregular> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Irregular)?;
        self.bytes = rest;
        Ok(taken)
    }
}

/// Checks that all of `levels` definition levels are `max`: nothing is null, no list is empty.
pub fn check_present(bytes: &[u8], max: u8, levels: usize) -> Result<(), Irregular> {
    let (width, pattern) = match max {
        1 => (1, 0xff),
        2 => (2, 0b1010_1010),
        3 => (2, 0xff),
        // Deeper nesting than a list at the top has.
        _ => return Err(Irregular),
    };
    let mut runs = Runs::new(bytes, width, levels);
    while let Some(run) = runs.next()? {
        let all = match run {
            Run::Repeated { value, .. } => value == u32::from(max),
            Run::Packed { bytes, length } => {
                let bits = length * width;
                let (whole, rest) = bytes.split_at(bits / 8);
                let mask = (1 << (bits % 8)) - 1;
                whole.iter().all(|&byte| byte == pattern)
                    && rest.first().is_none_or(|&byte| byte & mask == pattern & mask)
            }
        };
        if !all {
            return Err(Irregular);
        }
    }
    Ok(())
}

/// Checks that the repetition levels begin a record at every `length`-th value, and nowhere else; `to_next` is how many
/// values are still those of a record that an earlier page began.
pub fn check_records(bytes: &[u8], mut to_next: usize, length: usize, levels: usize) -> Result<(), Irregular> {
    let mut runs = Runs::new(bytes, 1, levels);
    while let Some(run) = runs.next()? {
        match run {
            Run::Repeated { value: 1, length: run } if run <= to_next => to_next -= run,
            Run::Repeated { value: 0, length: 1 } if to_next == 0 => to_next = length - 1,
            // Each value a record of its own.
            Run::Repeated { value: 0, .. } if length == 1 => {}
            Run::Repeated { .. } => return Err(Irregular),
            Run::Packed { bytes, length: run } => {
                for (at, &byte) in bytes.iter().take(run.div_ceil(8)).enumerate() {
                    let bits = (run - 8 * at).min(8);
                    let mut expected = 0xff;
                    while to_next < bits {
                        expected &= !(1 << to_next);
                        to_next += length;
                    }
                    to_next -= bits;
                    if (byte ^ expected) as u16 & ((1u16 << bits) - 1) != 0 {
                        return Err(Irregular);
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut value: usize, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    /// The levels as one packed run, or as runs of equal values.
    fn encode(levels: &[u8], width: usize, packed: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if packed {
            let groups = levels.len().div_ceil(8);
            varint(groups << 1 | 1, &mut out);
            let mut bytes = vec![0; groups * width];
            for (at, &level) in levels.iter().enumerate() {
                for bit in 0..width {
                    bytes[(at * width + bit) / 8] |= (level >> bit & 1) << ((at * width + bit) % 8);
                }
            }
            // What pads the last group is anybody's choice.
            let used = levels.len() * width;
            if !used.is_multiple_of(8) {
                bytes[used / 8] |= 0xff << (used % 8);
            }
            out.extend(bytes);
        } else {
            for run in levels.chunk_by(|a, b| a == b) {
                varint(run.len() << 1, &mut out);
                out.push(run[0]);
            }
        }
        out
    }

    #[test]
    fn records_are_recognised_wherever_a_page_begins_and_however_it_is_encoded() {
        for length in [1, 2, 3, 7, 8, 9, 16, 50] {
            for start in 0..2 * length {
                for count in [1, 5, 8, 64, 131] {
                    let levels: Vec<u8> = (start..start + count).map(|at| u8::from(at % length > 0)).collect();
                    let to_next = (length - start % length) % length;
                    for packed in [false, true] {
                        let bytes = encode(&levels, 1, packed);
                        assert_eq!(check_records(&bytes, to_next, length, count), Ok(()));
                        for flipped in 0..count {
                            let mut bent = levels.clone();
                            bent[flipped] ^= 1;
                            let bytes = encode(&bent, 1, packed);
                            assert_eq!(check_records(&bytes, to_next, length, count), Err(Irregular));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_level_below_the_highest_is_noticed() {
        for max in 1..=3 {
            for count in [1, 4, 8, 13, 100] {
                for packed in [false, true] {
                    let width = if max == 1 { 1 } else { 2 };
                    let mut levels = vec![max; count];
                    assert_eq!(check_present(&encode(&levels, width, packed), max, count), Ok(()));
                    levels[count / 2] -= 1;
                    assert_eq!(check_present(&encode(&levels, width, packed), max, count), Err(Irregular));
                }
            }
        }
        assert_eq!(check_present(&[], 4, 0), Err(Irregular));
    }

    #[test]
    fn broken_runs_end() {
        // Empty runs, a run that is cut off, a header without an end, a length beyond all bounds.
        for bytes in [&[0, 0][..], &[1], &[3], &[2], &[0xff; 9], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert_eq!(check_present(bytes, 1, 100), Err(Irregular), "{bytes:?}");
            assert_eq!(check_records(bytes, 0, 4, 100), Err(Irregular), "{bytes:?}");
        }
    }
}
