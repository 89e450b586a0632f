//! What a run should say although it does not fail for it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The warnings of a run, each once. Any thread may add one; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<BTreeSet<String>>>);

impl Warnings {
    /// Adds a warning, unless it is there already.
    pub fn add(&self, warning: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(warning.into());
    }

    /// All warnings so far, in alphabetical order, so that it does not depend on threads.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
