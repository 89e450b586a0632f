//! Why a query failed, where Ballista does not say it.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::functions;

/// What Ballista says if an executor cannot read the plan of a task.
const REFUSED: &str = "could not be prepared or was rejected by executor";
/// The message for a query that failed while it ran.
pub fn told(error: &DataFusionError, plan: &LogicalPlan) -> String {
    let message = plain(&error.strip_backtrace());
    // The logical plan is read by the scheduler, the physical one by executors.
    let who = if message.contains("LogicalExtensionCodec is not provided for") {
        "The scheduler"
    } else if message.contains(REFUSED) {
        "An executor"
    } else {
        return message;
    };
    let called = called(plan).unwrap_or_default();
    if called.is_empty() {
        return format!("{message}. {who} could not read the plan: is it of another version?");
    }
    let called = Vec::from_iter(called).join(", ");
    format!(
        "{message}. {who} does not know all functions of the query, or is of another version. The query calls {called}. \
         `pixelfeat-ballista scheduler` and `pixelfeat-ballista executor` of this version know them. A program of your \
         own registers them by `pixelfeat_datafusion::register_functions`, an executor for its \
         `ExecutorProcessConfig::override_function_registry`"
    )
}

/// The message of an answer that Ballista gives with all that surrounds it.
fn plain(message: &str) -> String {
    let told = message.split_once("Status { code: ").and_then(|(_, status)| status.split_once(", message: \""));
    match told.and_then(|(_, told)| told.split_once("\", metadata: ")) {
        Some((told, _)) => told.replace('\\', ""),
        None => message.to_owned(),
    }
}

/// Which of the functions that the cluster adds to DataFusion's the plan calls.
fn called(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut called = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                match part {
                    Expr::ScalarFunction(function) => called.insert(function.name().to_owned()),
                    Expr::AggregateFunction(function) => called.insert(function.func.name().to_owned()),
                    _ => false,
                };
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let ours = functions::names()?;
    Ok(called.intersection(&ours).cloned().collect())
}
