//! What is known of the quality of a data set, as one page for people.

mod chart;
mod markup;
mod number;
mod page;
mod picture;
mod section;
mod sections;
#[cfg(test)]
mod tests;
mod verdict;

use std::time::SystemTime;

use self::page::Page;
use super::checks::CheckReport;
use super::drift::DriftReport;
use super::issues::IssueWatch;
use super::labels::LabelReport;
use super::pictures::Gallery;
use super::profile::Profile;
use crate::run::origins::RowOrigins;

/// What is known of the quality of a data set, put together to one HTML page.
///
/// The page tells of completeness, consistency, accuracy, freshness, representativeness and uniqueness
/// ([`Dimension`](super::Dimension)) what was measured and how, with a verdict for each. What was not measured is said. It is one file
/// without scripts and without any other resource: histograms are drawn as SVG, and images are small PNG files in the page. Its size
/// stays below some 2 MB, whatever the number of rows and columns: of long lists it has the first entries.
///
/// ```
/// use arrow_array::RecordBatch;
/// use pixelfeat::quality::{Profile, QualityReport};
/// use pixelfeat::synthetic;
///
/// # fn main() -> pixelfeat::Result<()> {
/// let mut profile = Profile::default();
/// profile.add_table(&synthetic::Digits::new(100, 1, 100).next().unwrap()?)?;
/// let html = QualityReport::new("digits", profile).to_html();
/// assert!(html.starts_with("<!DOCTYPE html>") && html.contains("100 rows"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct QualityReport {
    name: String,
    profile: Profile,
    /// Seconds since 1970.
    time: Option<f64>,
    details: Vec<(String, String)>,
    checks: Option<CheckReport>,
    not_enforced: Vec<String>,
    leaks: Option<CheckReport>,
    drift: Option<(DriftReport, Profile)>,
    labels: Option<LabelReport>,
    issues: Option<Issues>,
}

/// What an [`IssueWatch`] has found.
#[derive(Debug, Clone)]
struct Issues {
    report: CheckReport,
    gallery: Gallery,
    origins: RowOrigins,
}

impl QualityReport {
    /// A report on the rows of a profile. `name` is what the page calls them.
    pub fn new(name: impl Into<String>, profile: Profile) -> Self {
        Self {
            name: name.into(),
            profile,
            time: None,
            details: Vec::new(),
            checks: None,
            not_enforced: Vec::new(),
            leaks: None,
            drift: None,
            labels: None,
            issues: None,
        }
    }

    /// When the report is made. The age of times is that on this date; without a date there is none.
    #[must_use]
    pub fn with_time(self, time: SystemTime) -> Self {
        let time = time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs() as f64);
        Self { time, ..self }
    }

    /// Adds something to say at the top, such as an option of the run and its value.
    #[must_use]
    pub fn with_detail(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.details.push((name.into(), value.into()));
        self
    }

    /// What checks found, those of a contract among them.
    #[must_use]
    pub fn with_checks(self, checks: CheckReport) -> Self {
        Self { checks: Some(checks), ..self }
    }

    /// What a contract asks for and no check enforces ([`Contract::not_enforced`](super::Contract::not_enforced)).
    #[must_use]
    pub fn with_not_enforced(self, what: &[String]) -> Self {
        Self { not_enforced: what.to_vec(), ..self }
    }

    /// The issues that a watch has found so far, with its pictures ([`IssueWatch::with_pictures`]).
    #[must_use]
    pub fn with_issues(self, watch: &IssueWatch) -> Self {
        let (gallery, origins) = watch.gallery();
        Self { issues: Some(Issues { report: watch.report(), gallery, origins }), ..self }
    }

    /// The images that another data set has as well ([`ImageSet::leaks`](super::ImageSet::leaks)).
    #[must_use]
    pub fn with_leaks(self, leaks: CheckReport) -> Self {
        Self { leaks: Some(leaks), ..self }
    }

    /// How far the rows are from those of a reference.
    #[must_use]
    pub fn with_drift(self, drift: DriftReport, reference: Profile) -> Self {
        Self { drift: Some((drift, reference)), ..self }
    }

    /// The noise of the labels.
    #[must_use]
    pub fn with_labels(self, labels: LabelReport) -> Self {
        Self { labels: Some(labels), ..self }
    }

    /// The page.
    pub fn to_html(&self) -> String {
        let mut page = Page::new(&self.name, self.profile.rows(), self.time);
        self.details.iter().for_each(|(name, value)| page.detail(name, value));
        page.finish(&sections::all(self))
    }
}
