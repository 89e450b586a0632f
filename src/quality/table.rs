//! How often each of some numbers of 64 bits occurs. Profiles look every number up, by a hash that they need anyway, so this is
//! faster than a general map.

use super::distinct::mixed;

/// The least slots of a table in use.
const LEAST: usize = 128;

/// Counts by number, in an open table.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// A number and its count. Where the count is 0, the slot is free. Their number is a power of two.
    slots: Vec<(u64, u64)>,
    used: usize,
}

impl Table {
    /// Adds a number so many times, at least once. Returns whether it is a new one.
    #[inline]
    pub fn add(&mut self, key: u64, times: u64) -> bool {
        self.add_hashed(key, mixed(key), times)
    }

    /// As [`Table::add`]. `hash` is that of [`mixed`].
    #[inline]
    pub fn add_hashed(&mut self, key: u64, hash: u64, times: u64) -> bool {
        let last = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & last;
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.1 == 0 {
                break;
            }
            if slot.0 == key {
                slot.1 += times;
                return false;
            }
            at = (at + 1) & last;
        }
        self.insert(at, key, hash, times);
        true
    }

    /// Adds a number that is not there. `at` is the free slot for it, if the table does not grow.
    #[cold]
    fn insert(&mut self, mut at: usize, key: u64, hash: u64, times: u64) {
        if (self.used + 1) * 3 > self.slots.len() * 2 {
            at = self.grow(hash);
        }
        self.slots[at] = (key, times);
        self.used += 1;
    }

    /// Makes the table four times as large. Returns the free slot for a hash.
    fn grow(&mut self, hash: u64) -> usize {
        let mut slots = Vec::new();
        // All are written at once. Where memory of the system is read before it is written, it must be mapped twice, and the second
        // time interrupts the other cores.
        slots.resize((self.slots.len() * 4).max(LEAST), (0, 0));
        for (key, count) in std::mem::replace(&mut self.slots, slots).into_iter().filter(|(_, count)| *count > 0) {
            let at = self.free(mixed(key));
            self.slots[at] = (key, count);
        }
        self.free(hash)
    }

    /// The first free slot from the place of a hash on.
    fn free(&self, hash: u64) -> usize {
        let last = self.slots.len() - 1;
        let mut at = hash as usize & last;
        while self.slots[at].1 > 0 {
            at = (at + 1) & last;
        }
        at
    }

    /// How many different numbers there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.used
    }

    /// The numbers and their counts, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.slots.iter().copied().filter(|(_, count)| *count > 0)
    }
}

impl FromIterator<(u64, u64)> for Table {
    fn from_iter<T: IntoIterator<Item = (u64, u64)>>(counts: T) -> Self {
        let mut table = Self::default();
        for (key, times) in counts.into_iter().filter(|(_, times)| *times > 0) {
            table.add(key, times);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn numbers_are_counted_while_the_table_grows() {
        // 0 and all ones, which a table might take for free slots, and numbers that differ in few bits.
        let keys = (0..3_000u64).map(|i| if i % 7 == 0 { u64::MAX } else { (i % 1_100) << 52 });
        let (mut table, mut expected) = (Table::default(), BTreeMap::new());
        for (at, key) in keys.enumerate() {
            let times = 1 + at as u64 % 3;
            *expected.entry(key).or_insert(0) += times;
            assert_eq!(table.add(key, times), expected[&key] == times, "{key}");
        }
        assert_eq!(table.len(), expected.len());
        assert_eq!(table.iter().collect::<BTreeMap<_, _>>(), expected);
        let again: Table = table.iter().collect();
        assert_eq!(again.iter().collect::<BTreeMap<_, _>>(), expected);
    }
}
