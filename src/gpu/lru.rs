//! A map that forgets what was used least recently.

use std::collections::HashMap;
use std::hash::Hash;

/// At most `max` entries, each with the time of its last use.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    entries: HashMap<K, (u64, V)>,
    now: u64,
    max: usize,
}

impl<K: Clone + Eq + Hash, V: Default> Lru<K, V> {
    pub(super) fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), now: 0, max }
    }

    /// The entry of `key`, which is now the one used last; made if there is none, in place of the one used least
    /// recently if there are too many.
    pub(super) fn get_or_default(&mut self, key: &K) -> &mut V {
        self.now += 1;
        if self.entries.len() >= self.max && !self.entries.contains_key(key) {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.entries.remove(&oldest));
        }
        let (used, value) = self.entries.entry(key.clone()).or_default();
        *used = self.now;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let mut lru = Lru::new(2);
        *lru.get_or_default(&1) = 10;
        *lru.get_or_default(&2) = 20;
        assert_eq!(*lru.get_or_default(&1), 10);
        *lru.get_or_default(&3) = 30;
        assert_eq!([*lru.get_or_default(&1), *lru.get_or_default(&3)], [10, 30]);
        assert_eq!(*lru.get_or_default(&2), 0, "forgotten");
    }
}
