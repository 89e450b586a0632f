//! A run: what is computed, one batch in and one batch out, the stream over a reader, and the account of it.

pub(crate) mod companions;
pub(crate) mod compute;
pub(crate) mod epochs;
#[cfg(all(test, feature = "gpu"))]
mod fault_tests;
pub(crate) mod featurizer;
pub(crate) mod gate;
pub(crate) mod keep;
pub(crate) mod mixed;
pub(crate) mod observe;
pub(crate) mod origins;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod samples;
pub(crate) mod spec;
pub(crate) mod stream;
pub(crate) mod times;
