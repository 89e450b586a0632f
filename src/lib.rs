//! Columns of pixel arrays into model-ready features, exactly, on any GPU or none.

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
#[cfg(feature = "json")]
mod ordered;
mod pipeline;
#[doc(hidden)]
pub mod reference;
mod report;
mod shape;
pub mod synthetic;

pub use batch::{ImageBatch, Pixels, default_pixel_type, infer_shape};
pub use defect::{DEFECTS_OF, Defect, Reason, defects_array, defects_field};
pub use engine::{Backend, Engine, EngineInfo, EngineOptions};
pub use error::{Error, Result};
pub use features::{Finisher, Layout, Output};
pub use featurizer::{FeatureSpec, Features, Featurizer, OnInvalid};
pub use moments::{Moments, Pixel};
pub use pipeline::{FeatureStream, InvalidRow, OnInvalidRow, ReportHandle, Sources, StreamOptions};
pub use report::Report;
pub use shape::{ImageShape, PixelType};
