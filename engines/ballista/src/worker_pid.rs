//! Which process computed a row.

use std::process;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;

/// `worker_pid()`: the id of the process that computed the row. Grouping by it shows how executors shared the rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct WorkerPid {
    signature: Signature,
}

impl WorkerPid {
    pub fn new() -> Self {
        // Volatile: otherwise the plan would hold the scheduler's id as a constant.
        Self { signature: Signature::nullary(Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for WorkerPid {
    fn name(&self) -> &str {
        "worker_pid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt32)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::UInt32(Some(process::id()))))
    }
}
