//! Key-value pairs at the end of a file: what is known of it only when all of its rows are written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

use crate::base::error::Result;
use crate::base::keys::FOOTER_KEYS;

type Pairs = dyn Fn() -> Result<Vec<(String, String)>> + Send + Sync;

/// What [`WriteOptions::with_footer`](super::WriteOptions::with_footer) adds to the end of a file. Two are equal if they call the
/// same functions.
#[derive(Clone, Default)]
pub struct Footer {
    parts: Vec<Arc<Pairs>>,
}

impl Footer {
    /// Adds pairs that `pairs` tells when it is called, once, after the last batch has been pulled.
    pub fn add(&mut self, pairs: impl Fn() -> Result<Vec<(String, String)>> + Send + Sync + 'static) {
        self.parts.push(Arc::new(pairs));
    }

    /// All pairs, in the order of their keys. Of several with the same key the last counts. To be called when the last batch has
    /// been pulled.
    ///
    /// # Errors
    /// Those of the functions that tell the pairs.
    pub fn pairs(&self) -> Result<BTreeMap<String, String>> {
        let parts = self.parts.iter().map(|part| part()).collect::<Result<Vec<_>>>()?;
        Ok(parts.into_iter().flatten().collect())
    }
}

impl fmt::Debug for Footer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Footer({})", self.parts.len())
    }
}

impl PartialEq for Footer {
    fn eq(&self, other: &Self) -> bool {
        self.parts.len() == other.parts.len() && self.parts.iter().zip(&other.parts).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

impl Eq for Footer {}

/// The schema without the keys that tell of one file alone.
pub(super) fn without_own_keys(schema: &SchemaRef) -> SchemaRef {
    let is_own = |key: &String| FOOTER_KEYS.contains(&key.as_str());
    if !schema.metadata().keys().any(is_own) {
        return schema.clone();
    }
    let mut about = schema.metadata().clone();
    about.retain(|key, _| !is_own(key));
    Arc::new(Schema::new_with_metadata(schema.fields().clone(), about))
}
