//! Columns of pixel arrays into model-ready features, exactly, on any GPU or none.

mod batch;
mod defect;
mod error;
pub mod features;
pub mod io;
mod moments;
#[doc(hidden)]
pub mod reference;
mod shape;
pub mod synthetic;

pub use batch::{ImageBatch, Pixels, default_pixel_type, infer_shape};
pub use defect::{Defect, Reason};
pub use error::{Error, Result};
pub use features::{Finisher, Layout, Output};
pub use moments::{Moments, Pixel};
pub use shape::{ImageShape, PixelType};
