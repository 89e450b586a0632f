//! Buffers that are used again: fresh ones cost a page fault every 4 KiB.

use std::sync::{Arc, Mutex, PoisonError};

/// A few buffers of bytes. Clones share them.
#[derive(Clone, Default)]
pub struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    const KEPT: usize = 4;
    const MAX_BYTES: usize = 16 << 20;

    /// A buffer, which may hold old data.
    pub fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer for later, unless it is large or there are enough.
    pub fn put(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < Self::KEPT && buffer.len() <= Self::MAX_BYTES {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_few_buffers_are_kept() {
        let spare = Spare::default();
        for _ in 0..100 {
            spare.put(vec![1; 10]);
        }
        assert_eq!((0..100).filter(|_| !spare.take().is_empty()).count(), Spare::KEPT);
        spare.put(vec![1; Spare::MAX_BYTES + 1]);
        assert!(spare.take().is_empty());
    }
}
