//! Features of images as SQL functions of DataFusion.

mod arguments;
mod columnar;
mod documentation;
mod engine;
mod images;
mod measure;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

pub use engine::BACKEND;

/// Registers all functions, those that make tables as well.
pub fn register_all(context: &SessionContext) {
    for function in scalar_functions() {
        context.register_udf(ScalarUDF::clone(&function));
    }
    for function in aggregate_functions() {
        context.register_udaf(AggregateUDF::clone(&function));
    }
}

/// Registers the scalar and the aggregate functions, in a session's state or in the registry of an executor.
///
/// # Errors
/// If the registry takes no functions.
pub fn register_functions(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in scalar_functions() {
        registry.register_udf(function)?;
    }
    for function in aggregate_functions() {
        registry.register_udaf(function)?;
    }
    Ok(())
}

/// The scalar functions.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    measure::Told::ALL.into_iter().map(|told| Arc::new(ScalarUDF::from(measure::Measure::new(told)))).collect()
}

/// The aggregate functions.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    Vec::new()
}
