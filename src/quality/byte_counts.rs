//! How often each byte occurs among those of images, with the fastest instructions of the CPU.

use crate::base::simd::{Level, MAX_LANES, Simd, SimdKernel, run_simd};

/// So many bytes are looked at, and so many that are not 0 are counted, at a time.
const PART: usize = 1 << 12;
/// How many tables bytes are counted in.
const TABLES: usize = 4;

/// Counts of bytes, in several tables: who counts the same byte again in one table waits for the count before.
pub(super) struct ByteCounts {
    tables: [[u32; 256]; TABLES],
    channels: usize,
    waiting: Waiting,
}

/// Bytes of one channel that are not 0. They wait until there are many of them, because the CPU cannot predict how many one image
/// has.
struct Waiting {
    bytes: [u8; 2 * PART + MAX_LANES],
    count: usize,
}

impl Default for ByteCounts {
    fn default() -> Self {
        Self::new(1)
    }
}

impl ByteCounts {
    pub fn new(channels: usize) -> Self {
        let waiting = Waiting { bytes: [0; 2 * PART + MAX_LANES], count: 0 };
        Self { tables: [[0; 256]; TABLES], channels, waiting }
    }

    /// How often each byte occurs in each channel of one image, of which there are at most three. What was counted before is
    /// forgotten.
    pub fn of_image(&mut self, bytes: &[u8], channels: usize) -> [[u32; 256]; 3] {
        (self.channels, self.waiting.count) = (channels, 0);
        self.tables.iter_mut().for_each(|table| table.fill(0));
        self.add(bytes);
        let mut counts = [[0; 256]; 3];
        for (channel, table) in self.tables() {
            counts[channel].iter_mut().zip(table).for_each(|(count, more)| *count += more);
        }
        counts
    }

    /// Adds the bytes of an image. There may be no more than 2³² in all.
    pub fn add(&mut self, bytes: &[u8]) {
        let tables = &mut self.tables;
        if self.channels == 3 {
            let (pixels, _) = bytes.as_chunks::<3>();
            for [r, g, b] in pixels.iter().map(|pixel| pixel.map(usize::from)) {
                (tables[0][r], tables[1][g], tables[2][b]) = (tables[0][r] + 1, tables[1][g] + 1, tables[2][b] + 1);
            }
            return;
        }
        if self.channels == 1 {
            return run_simd(Level::detect(), CountBytes { bytes, tables, waiting: &mut self.waiting });
        }
        count(bytes, tables);
    }

    /// The tables, with the channel that each belongs to. A channel may have several.
    pub fn tables(&mut self) -> impl Iterator<Item = (usize, &[u32; 256])> {
        self.waiting.count_in(&mut self.tables);
        // Three channels use three tables, and the numbers of other channels divide four.
        self.tables.iter().enumerate().map(|(at, table)| (at % self.channels, table))
    }
}

impl Waiting {
    #[inline(always)]
    fn count_in(&mut self, tables: &mut [[u32; 256]; TABLES]) {
        count(&self.bytes[..self.count], tables);
        self.count = 0;
    }
}

/// Counts bytes. The background of images is often 0, so zeros are not counted one by one.
struct CountBytes<'a> {
    bytes: &'a [u8],
    tables: &'a mut [[u32; 256]; TABLES],
    waiting: &'a mut Waiting,
}

impl SimdKernel for CountBytes<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { bytes, tables, waiting } = self;
        for part in bytes.chunks(PART) {
            let (vectors, before) = (part.chunks_exact(S::LANES), waiting.count);
            let (mut last, rest) = ([0; MAX_LANES], vectors.remainder());
            last[..rest.len()].copy_from_slice(rest);
            let mut found = before + simd.store_not_zero(simd.load(&last), &mut waiting.bytes[before..]);
            for vector in vectors {
                found += simd.store_not_zero(simd.load(vector), &mut waiting.bytes[found..]);
            }
            waiting.count = found;
            tables[0][0] += (part.len() - (found - before)) as u32;
            if found > PART {
                waiting.count_in(tables);
            }
        }
    }
}

#[inline(always)]
fn count(bytes: &[u8], tables: &mut [[u32; 256]; TABLES]) {
    let (groups, rest) = bytes.as_chunks::<TABLES>();
    for group in groups {
        for (table, &byte) in tables.iter_mut().zip(group) {
            table[usize::from(byte)] += 1;
        }
    }
    for (table, &byte) in tables.iter_mut().zip(rest) {
        table[usize::from(byte)] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_in_the_tables_of_their_channels() {
        for channels in 1..=4 {
            // Words of zeros among others, and a rest.
            let bytes: Vec<u8> =
                (0..channels * 1_003).map(|i| if i / 24 % 3 == 0 { 0 } else { (i * i) as u8 }).collect();
            let mut counts = ByteCounts::new(channels);
            counts.add(&bytes);
            for channel in 0..channels {
                for value in 0..=255 {
                    let tables = counts.tables().filter(|(of, _)| *of == channel);
                    let found: u32 = tables.map(|(_, table)| table[usize::from(value)]).sum();
                    let all = bytes.iter().skip(channel).step_by(channels);
                    assert_eq!(found as usize, all.filter(|byte| **byte == value).count(), "{channel} of {channels}");
                }
            }
        }
    }

    #[test]
    fn bytes_are_counted_at_every_level() {
        // Every choice of eight neighbours, vectors of zeros and of none, several parts, and a rest.
        let choices = (0..=255u8).flat_map(|choice| (0..8).map(move |bit| (choice >> bit & 1) * (choice | 1)));
        let bytes: Vec<u8> = choices.chain([0; 300]).chain((0..9_333).map(|i| (i % 255 + 1) as u8)).collect();
        let mut expected = [0; 256];
        bytes.iter().for_each(|&byte| expected[usize::from(byte)] += 1);
        for level in Level::ALL {
            let mut counts = ByteCounts::new(1);
            let ByteCounts { tables, waiting, .. } = &mut counts;
            // Several images together, and in one that is longer than a part.
            for bytes in bytes.chunks(800).chain([&bytes[..], &bytes]) {
                run_simd(level, CountBytes { bytes, tables, waiting });
            }
            let found: [u32; 256] = std::array::from_fn(|byte| counts.tables().map(|(_, table)| table[byte]).sum());
            assert_eq!(found, expected.map(|count: u32| 3 * count), "{level}");
        }
    }
}
