//! Values that are arrays or constants.

use arrow_array::{Array, ArrayRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

/// Computes something of each image, or once if the image is a constant.
pub fn of_images(
    images: &ColumnarValue,
    compute: impl FnOnce(&dyn Array) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    match images {
        ColumnarValue::Array(array) => compute(array).map(ColumnarValue::Array),
        ColumnarValue::Scalar(constant) => {
            let computed = compute(&constant.to_array()?)?;
            ScalarValue::try_from_array(&computed, 0).map(ColumnarValue::Scalar)
        }
    }
}
