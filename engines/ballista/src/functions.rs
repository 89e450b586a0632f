//! The functions that client, scheduler and executors have to know by the same names.

use std::collections::BTreeSet;
use std::sync::Arc;

use ballista_core::utils::default_session_builder;
use datafusion::error::Result;
use datafusion::execution::registry::MemoryFunctionRegistry;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::worker_pid::WorkerPid;

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
