//! Columns of pixel arrays into model-ready features: exactly, and on any GPU or none.
//!
//! Images come as arrays of numbers in JSON, Parquet, Arrow or NumPy's files. Each becomes its row sums, column sums, centroid, mean and
//! standard deviation ([`Finisher`] has the formulas), next to all other columns. For 8 and 16-bit pixels the features
//! are the same to the last bit on every CPU, thread count, batch size and GPU.
//!
//! ```
//! use arrow_array::Array;
//! use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, ImageShape, synthetic};
//!
//! # fn main() -> pixelfeat::Result<()> {
//! let engine = Engine::new(EngineOptions::default())?;
//! let featurizer = Featurizer::new(engine, FeatureSpec::new(ImageShape::gray(28, 28)?));
//! for batch in synthetic::Digits::new(100, 1, 100) {
//!     let features = featurizer.featurize(batch?.column(0))?;
//!     assert_eq!((features.features.len(), features.features.value_length()), (100, 60));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Featurizer`] turns an array into features ([`Featurizer::featurize`]), or any `RecordBatchReader` into another
//!   ([`Featurizer::stream`]).
//! - [`io`] opens files and stdin as such readers and writes their output.
//! - [`Engine`] decides which processor computes, and says why.
//! - A row that cannot be featurized is a [`Defect`], counted in the [`Report`], and null, dropped or an error as the
//!   [`FeatureSpec`] says.
//!
//! # Cargo features
//! All are on by default. `gpu`: Vulkan, Metal and DX12 through wgpu. `json`, `parquet`, `ipc`, `csv` and `arrays` (IDX,
//! NPY, NPZ): the formats of [`io`].

mod batch;
pub mod cpu;
mod defect;
mod engine;
mod error;
pub mod features;
mod featurizer;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod io;
mod moments;
#[cfg(any(feature = "json", feature = "parquet"))]
mod ordered;
mod pipeline;
#[cfg(feature = "gpu")]
mod queue;
mod reason;
#[doc(hidden)]
pub mod reference;
mod report;
mod shape;
pub mod synthetic;

pub use batch::{ImageBatch, Pixels, default_pixel_type, infer_shape};
pub use defect::{DEFECTS_OF, Defect, defects_array, defects_field};
pub use engine::{Backend, Engine, EngineInfo, EngineOptions, Shares};
#[cfg(feature = "gpu")]
pub use engine::{Forecast, Rates};
pub use error::{Error, Result};
pub use features::{Finisher, Layout, Output};
pub use featurizer::{FeatureSpec, Features, Featurizer, OnInvalid};
pub use moments::{Moments, Parts, Pixel};
pub use pipeline::{FeatureStream, InvalidRow, OnInvalidRow, ReportHandle, Sources, StreamOptions};
pub use reason::Reason;
pub use report::Report;
pub use shape::{ImageShape, PixelType};

/// Compiles the README's code.
#[cfg(all(doctest, feature = "parquet"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
