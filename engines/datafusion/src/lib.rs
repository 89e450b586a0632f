//! Features of images as SQL functions of DataFusion.

mod arguments;
mod augment;
mod columnar;
mod documentation;
mod engine;
mod images;
mod measure;
mod profile;
mod tables;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

use crate::augment::Augment;
use crate::measure::{Measure, Told};
use crate::profile::PixelProfile;
use crate::tables::TableOf;

pub use engine::BACKEND;

/// Registers all functions, those that make tables as well.
pub fn register_all(context: &SessionContext) {
    for function in scalar_functions() {
        context.register_udf(ScalarUDF::clone(&function));
    }
    for function in aggregate_functions() {
        context.register_udaf(AggregateUDF::clone(&function));
    }
    for table in TableOf::ALL {
        context.register_udtf(table.name(), Arc::new(table));
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
    let measures = Told::ALL.into_iter().map(|told| ScalarUDF::from(Measure::new(told)));
    measures.chain([ScalarUDF::from(Augment::default())]).map(Arc::new).collect()
}

/// The aggregate functions.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::from(PixelProfile::default()))]
}
