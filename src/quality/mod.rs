//! What a run knows of its data: a profile that is made in the same pass as the features.
//!
//! - [`Profiler`] watches a run ([`StreamOptions::with_observer`](crate::StreamOptions::with_observer),
//!   [`FeatureFiles::with_observer`](crate::io::FeatureFiles::with_observer)) and makes a [`Profile`] of it.
//! - A [`Profile`] holds counts and exact sums alone. So it does not depend on batches, threads or the order of rows, profiles
//!   of parts can be merged, and it is written as JSON and read again without loss.
//! - [`Profile::drift_from`] tells how far a data set is from a reference, from their profiles alone.
//! - A [`Contract`] is such checks in the words of the Open Data Contract Standard.
//! - An [`IssueWatch`] finds images that are dark, blurred, repeated and so on, and an [`ImageSet`] those that two data sets share.
//! - A [`LabelWatch`] estimates how many labels are wrong, and lists the most suspicious rows.
//! - A [`QualityReport`] puts all of it together to one HTML page, by the [`Dimension`] that it is about.
//! - A [`Checker`] holds the rows to [`Checks`] and tells what was observed, and which rows are to blame.

mod byte_counts;
mod cells;
mod checks;
mod classes;
mod column;
mod contract;
mod dimension;
mod distinct;
mod drift;
mod duplicates;
mod exact;
mod features;
mod gray;
mod grid;
mod hashes;
mod html;
mod images;
mod issue;
mod issues;
mod json;
mod labels;
mod measure;
mod numbers;
mod pictures;
mod profile;
mod scores;
mod seen;
mod table;
mod tree;

pub use checks::{Check, CheckReport, CheckResult, Checker, Checks, FailedRow, RULES, RuleNames, Severity};
pub use classes::Classes;
pub use column::ColumnProfile;
pub use contract::Contract;
pub use dimension::Dimension;
pub use distinct::Distinct;
pub use drift::{ColumnDrift, DriftOptions, DriftReport, DriftTest, DriftWatch, MaxDrift};
pub use duplicates::ImageSet;
pub use hashes::{HashColumns, ImageHashes};
pub use html::QualityReport;
pub use images::{ImageProfile, MEASURES};
pub use issue::{Issue, IssueOptions};
pub use issues::IssueWatch;
pub use labels::{LabelReport, LabelWatch, LabelledRows, LogisticRegression, SuspiciousRow};
pub use numbers::Numbers;
pub use profile::{Profile, Profiler};
pub use scores::ImageScores;
