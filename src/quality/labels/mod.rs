//! Label noise, estimated by confident learning from the probabilities of a cross-validated classifier.

mod confident;
mod cross;
mod logistic;
mod report;
mod rows;
mod slope;
mod watch;

pub use logistic::LogisticRegression;
pub use report::{LabelReport, SuspiciousRow};
pub use rows::LabelledRows;
pub use watch::LabelWatch;
