//! pixelfeat for Python: images from anything that speaks Arrow or the buffer protocol, features as Arrow again.
//!
//! The functions take their options as keywords (`options.rs`), turn what they are given into an `Input` (`input.rs`), let go
//! of the interpreter while the crate works, and return the classes of `output.rs`.

mod augment;
mod buffer;
mod engines;
mod error;
mod featurize;
mod files;
mod input;
mod inspect;
mod options;
mod output;
mod stream;

use pyo3::prelude::*;

/// The compiled part of the package `pixelfeat`.
#[pymodule]
mod _pixelfeat {
    use super::*;

    #[pymodule_export]
    use super::augment::augment;
    #[pymodule_export]
    use super::error::Error;
    #[pymodule_export]
    use super::featurize::{feature_names, featurize};
    #[pymodule_export]
    use super::files::{open, write};
    #[pymodule_export]
    use super::inspect::inspect;
    #[pymodule_export]
    use super::output::{Array, Batch, Features};
    #[pymodule_export]
    use super::stream::Stream;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
