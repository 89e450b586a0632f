//! Which hashes came before, in little more than the bytes of the hashes.

use std::hint::black_box;

/// The upper bits of a hash tell its segment. Segments grow on their own, so little is there twice when one does.
const SEGMENTS: u32 = 8;
/// The least slots of a segment in use.
const LEAST: usize = 64;

/// How often a hash has been added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    Twice,
    More,
}

/// Hashes, without their lowest bit: 10 to 13 bytes for each different one.
pub(super) struct Seen {
    segments: Vec<Segment>,
}

/// An open table.
#[derive(Clone, Default)]
struct Segment {
    /// Hashes whose lowest bit says that they were added again. 0 is free.
    slots: Vec<u64>,
    used: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { segments: vec![Segment::default(); 1 << SEGMENTS] }
    }
}

impl Seen {
    /// Brings what [`Seen::add`] will look at into the cache, for many hashes together: then they do not wait for memory one
    /// after another.
    pub fn fetch(&self, hashes: impl Iterator<Item = u64>) {
        let slot = |hash: u64| {
            let segment = &self.segments[segment_of(hash)];
            segment.slots.get(segment.start(hash)).copied().unwrap_or_default()
        };
        black_box(hashes.fold(0, |all, hash| all ^ slot(hash)));
    }

    /// Adds a hash, all of whose bits look random.
    pub fn add(&mut self, hash: u64) -> Times {
        let segment = &mut self.segments[segment_of(hash)];
        if segment.used * 5 >= segment.slots.len() * 4 {
            segment.grow();
        }
        let hash = (hash & !1).max(2);
        let at = segment.place(hash);
        let slot = &mut segment.slots[at];
        let times = match *slot {
            0 => Times::Once,
            slot if slot & 1 == 0 => Times::Twice,
            _ => Times::More,
        };
        segment.used += usize::from(times == Times::Once);
        *slot = hash | u64::from(times != Times::Once);
        times
    }
}

fn segment_of(hash: u64) -> usize {
    (hash >> (64 - SEGMENTS)) as usize
}

impl Segment {
    /// The first slot in which a hash may be.
    fn start(&self, hash: u64) -> usize {
        let share = u128::from(hash << SEGMENTS) * self.slots.len() as u128;
        (share >> 64) as usize
    }

    /// Where a hash is, or the free slot for it.
    fn place(&self, hash: u64) -> usize {
        let mut at = self.start(hash);
        while self.slots[at] != 0 && self.slots[at] & !1 != hash {
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
        at
    }

    fn grow(&mut self) {
        let slots = vec![0; (self.slots.len() / 4 * 5).max(LEAST)];
        for slot in std::mem::replace(&mut self.slots, slots).into_iter().filter(|slot| *slot != 0) {
            let at = self.place(slot & !1);
            self.slots[at] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::distinct::mixed;

    #[test]
    fn hashes_are_told_apart_as_the_table_grows() {
        let mut seen = Seen::default();
        let times = |seen: &mut Seen| (0..30_000).map(|value| seen.add(mixed(value / 2 * 2))).collect::<Vec<_>>();
        let first = times(&mut seen);
        assert!(first.chunks(2).all(|pair| pair == [Times::Once, Times::Twice]));
        assert!(times(&mut seen).iter().all(|times| *times == Times::More));
        assert_eq!(seen.segments.iter().map(|segment| segment.used).sum::<usize>(), 15_000);
        let slots: usize = seen.segments.iter().map(|segment| segment.slots.len()).sum();
        assert!(slots * 8 < 15_000 * 13, "{slots}");
        // The end of a segment, and the hash that stands for a free slot.
        assert_eq!([u64::MAX, u64::MAX - 2, 0, u64::MAX].map(|hash| seen.add(hash)), {
            [Times::Once, Times::Once, Times::Once, Times::Twice]
        });
    }
}
