//! The six sections, in the order of the page.

mod accuracy;
mod completeness;
mod consistency;
mod distribution;
mod freshness;
mod images;
mod representativeness;
mod uniqueness;

use super::QualityReport;
use super::section::Section;

/// All sections of a report.
pub(super) fn all(report: &QualityReport) -> Vec<Section> {
    vec![
        completeness::section(report),
        consistency::section(report),
        accuracy::section(report),
        freshness::section(report),
        representativeness::section(report),
        uniqueness::section(report),
    ]
}
