//! Columns of pixel arrays into model-ready features: exactly, and on any GPU or none.
//!
//! Images come as arrays of numbers in JSON, Parquet, Arrow or NumPy's files. A [`FeatureSet`] says what is computed of
//! each: by default its row sums, column sums, centroid, mean and standard deviation ([`features::Profiles`] has the
//! formulas). The features stand next to all other columns. For 8 and 16-bit pixels they are the same to the last bit on
//! every CPU, thread count, batch size and GPU.
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
//!     assert_eq!((features.list().len(), features.list().value_length()), (100, 60));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Featurizer`] turns an array into features ([`Featurizer::featurize`]), or any `RecordBatchReader` into another
//!   ([`Featurizer::stream`]).
//! - [`io`] opens files and stdin as such readers and writes their output.
//! - [`Engine`] decides which processor computes, and says why.
//! - [`quality`] knows the data of a run: profiles, checks and drift, in the same pass.
//! - `lineage` tells where a file came from: digests of its rows, the record in its footer, events.
//! - A row that cannot be featurized is a [`Defect`], counted in the [`Report`], and null, dropped or an error as the
//!   [`FeatureSpec`] says.
//!
//! # Layouts
//! What an image column can be, recognised by its field:
//!
//! - Lists of numbers of any kind (`List`, `LargeList`, `FixedSizeList`, `ListView`, `LargeListView`) and any integer or
//!   float type: flat, H·W·C values with the channels of a pixel side by side, or nested H×W (rows of W·C values) or
//!   H×W×C.
//! - `arrow.fixed_shape_tensor` and `arrow.variable_shape_tensor`. Which dimension is which is told by `dim_names`
//!   (`height`, `h`, `y`, `rows`, …), else by the logical dimensions, after `permutation`: H×W; H×W×C if the last is 1 to
//!   4, C×H×W if only the first is. Of variable shapes the most common decides for all.
//! - Structs of `data` and `shape` (Daft's tensors), of `data`, `height`, `width` and `channel` (Daft's images, H×W×C), and
//!   Daft's images of fixed shape.
//! - Encoded images (PNG, JPEG, WebP, BMP, TIFF) in `Binary`, `LargeBinary` or `BinaryView`, or in a struct as `bytes`
//!   (Hugging Face's images). A column of bytes holds encoded images if, of the first 1,000 rows, more begin as those
//!   formats do than not; a value that is as long as a declared shape asks counts as raw. A run has u16 pixels if most of
//!   those images are 16-bit, and u8 otherwise; an image of the other depth is a defect. Channels come as they are stored
//!   (gray; gray and alpha; RGB; RGBA; palettes as their colours), alpha as a channel like any other. Orientation and
//!   colour profiles are left alone. An image may decode to 256 MB; a larger one is a defect.
//! - Raw u8 pixels in `Binary`, `LargeBinary`, `BinaryView` or `FixedSizeBinary`.
//! - A dictionary of any of these, and `Null`.
//!
//! # Cargo features
//! All but `https` are on by default. `gpu`: Vulkan, Metal and DX12 through wgpu. `json`, `parquet`, `ipc`, `csv` and `arrays` (IDX,
//! NPY, NPZ): the formats of [`io`]. `image`: encoded images. `lineage`: digests of rows and files, records of what made a
//! file, and events. `https`: events to servers over HTTPS.

/// What integration tests share names the crate from outside; unit tests use it as well.
#[cfg(test)]
extern crate self as pixelfeat;

mod base;
pub mod cpu;
mod engine;
pub mod features;
#[cfg(feature = "gpu")]
pub mod gpu;
mod images;
pub mod io;
#[cfg(feature = "lineage")]
pub mod lineage;
pub mod quality;
pub mod reference;
mod run;
pub mod stages;
pub mod steps;
pub mod synthetic;

pub use base::clock::{Activity, Spent};
pub use base::error::{Error, Result};
pub use base::pixels::{Pixel, PixelSlice, Pixels};
pub use base::reason::Reason;
pub use base::shape::{ImageShape, PixelType};
pub use base::warnings::Warnings;
pub use engine::{Backend, Engine, EngineInfo, EngineOptions, Shares};
#[cfg(feature = "gpu")]
pub use engine::{Forecast, Rates};
pub use features::{Feature, FeatureLayout, FeatureSet, FeaturesMut, Layout};
pub use images::defect::{DEFECTS_OF, Defect, defects_array, defects_field};
pub use images::{DimensionOrder, Encoding, ImageBatch, default_pixel_type, describe_column, infer_shape};
pub use run::epochs::{BoxedReader, Epochs, permutation};
pub use run::featurizer::{Features, Featurizer};
pub use run::gate::MaxInvalid;
pub use run::keep::KeepImage;
pub use run::observe::{Observed, Observer};
pub use run::origins::RowOrigins;
pub use run::report::Report;
pub use run::samples::{EPOCH, SAMPLE_ID};
pub use run::spec::{FeatureSpec, MixedLabels, OnInvalid};
pub use run::stream::{FeatureStream, InvalidRow, OnInvalidRow, ReportHandle, StreamOptions};
pub use run::times::Times;
pub use stages::{Chain, Stage};

/// Compiles the README's code.
#[cfg(all(doctest, feature = "parquet"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
