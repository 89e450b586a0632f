//! Why a query failed, where Ballista does not say it.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::functions;

/// What Ballista says if an executor cannot read the plan of a task.
const REFUSED: &str = "could not be prepared or was rejected by executor";

/// The message for a query that failed while it ran.
pub fn message(error: &DataFusionError, plan: &LogicalPlan) -> String {
    let message = plain(&error.strip_backtrace());
    // The logical plan is read by the scheduler, the physical one by executors.
    let who = if message.contains("LogicalExtensionCodec is not provided for") {
        "The scheduler"
    } else if message.contains(REFUSED) {
        "An executor"
    } else {
        return message;
    };
    let functions = functions_in(plan).unwrap_or_default();
    if functions.is_empty() {
        return format!("{message}. {who} could not read the plan: is it of another version?");
    }
    let functions = Vec::from_iter(functions).join(", ");
    format!(
        "{message}. {who} does not know all functions of the query, or is of another version. The query calls {functions}. \
         `pixelfeat-ballista scheduler` and `pixelfeat-ballista executor` of this version know them. A program of your \
         own registers them by `pixelfeat_datafusion::register_functions`, an executor for its \
         `ExecutorProcessConfig::override_function_registry`"
    )
}

/// The message of an answer that Ballista gives with all that surrounds it.
fn plain(message: &str) -> String {
    let status = message.split_once("Status { code: ").and_then(|(_, status)| status.split_once(", message: \""));
    status.map_or_else(|| message.to_owned(), |(_, text)| unquoted(text))
}

/// Undoes `{:?}` of a text: reads up to the closing quote.
fn unquoted(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => plain.extend(chars.next().map(|escaped| match escaped {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            })),
            _ => plain.push(char),
        }
    }
    plain
}

/// Which of the functions that the cluster adds to DataFusion's the plan calls.
fn functions_in(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A message can have quotes, backslashes and lines of its own.
    #[test]
    fn the_message_of_a_status_is_as_it_was_written() {
        let message = "a \"b\", metadata: C:\\new\n\tline";
        let status = format!("External error: Grpc(Status {{ code: Internal, message: {message:?}, source: None }})");
        assert_eq!(plain(&status), message);
        assert_eq!(plain(message), message);
    }
}
