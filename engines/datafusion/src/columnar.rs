//! Values that are arrays or constants.

use arrow_array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// Computes something of all rows of a call, or of one row if all arguments are constants. `compute` is given the number.
pub fn of_rows(args: &ScalarFunctionArgs, compute: impl FnOnce(usize) -> Result<ArrayRef>) -> Result<ColumnarValue> {
    if args.args.iter().any(|value| matches!(value, ColumnarValue::Array(_))) {
        return compute(args.number_rows).map(ColumnarValue::Array);
    }
    ScalarValue::try_from_array(&compute(1)?, 0).map(ColumnarValue::Scalar)
}
