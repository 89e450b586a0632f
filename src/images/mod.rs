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

pub use crate::base::pixels::Pixels;
pub use batch::ImageBatch;
pub use column::{Encoding, default_pixel_type, describe_column};
pub(crate) use column::{ImageColumn, SHAPE_KEY};
pub(crate) use gather::{ImageBuffer, PART_BYTES, Ragged, Transform};
pub use survey::infer_shape;
pub(crate) use survey::{ColumnReader, Declared, Survey};
pub use tensor::DimensionOrder;
pub(crate) use values::PixelValue;
