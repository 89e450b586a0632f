//! Checks of a data set while a run goes over it: what must hold, what was observed, and which rows are to blame.

mod groups;
pub(super) mod parse;
mod report;
pub(super) mod rule;
mod run;

pub use parse::{Checks, RULES, RuleNames};
pub use report::{CheckReport, CheckResult, FailedRow};
pub use rule::{Check, Severity};
pub use run::Checker;
pub(super) use run::TOLD;
