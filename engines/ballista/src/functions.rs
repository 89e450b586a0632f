//! The functions that client, scheduler and executors have to know by the same names.

use std::collections::BTreeSet;
use std::process;
use std::sync::Arc;

use ballista_core::utils::default_session_builder;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::execution::registry::MemoryFunctionRegistry;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;

/// Registers pixelfeat's functions and `worker_pid`.
pub fn register(registry: &mut dyn FunctionRegistry) -> Result<()> {
    pixelfeat_datafusion::register_functions(registry)?;
    registry.register_udf(Arc::new(ScalarUDF::from(WorkerPid::new())))?;
    Ok(())
}

/// The names of what [`register`] registers.
pub fn names() -> Result<BTreeSet<String>> {
    let mut registry = MemoryFunctionRegistry::new();
    register(&mut registry)?;
    Ok(registry.udfs().into_iter().chain(registry.udafs()).collect())
}

/// A state with the functions of DataFusion and ours.
pub fn session_state(config: SessionConfig) -> Result<SessionState> {
    let mut state = default_session_builder(config)?;
    register(&mut state)?;
    Ok(state)
}

/// Computes a small image, so that what is wrong with the backend is known before there is a query.
pub async fn try_out(state: &SessionState) -> Result<()> {
    let context = SessionContext::new_with_state(state.clone());
    context.sql("SELECT pixel_mean([0, 1, 2, 3], '2x2')").await?.collect().await?;
    Ok(())
}

/// `worker_pid()`: the id of the process that computed the row. Grouping by it shows how executors shared the rows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WorkerPid {
    signature: Signature,
}

impl WorkerPid {
    fn new() -> Self {
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
