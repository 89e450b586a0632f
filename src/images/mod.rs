//! Arrow column → images: every row checked, pixels borrowed where the layout allows.

mod batch;
mod column;
pub(crate) mod decode;
pub(crate) mod defect;
mod gather;
mod lists;
mod rows;
mod survey;
mod tensor;
#[cfg(test)]
mod tests;
mod values;

pub use batch::{ImageBatch, Pixels};
pub(crate) use column::{ImageColumn, SHAPE_KEY};
pub use column::{default_pixel_type, describe_layout};
pub(crate) use gather::{ImageBuffer, Ragged, Transform};
pub use survey::infer_shape;
pub(crate) use survey::{Reading, Survey};
pub(crate) use values::PixelValue;
