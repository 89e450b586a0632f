//! Whether each thing is there once.

use super::super::QualityReport;
use super::super::markup::Cell;
use super::super::number::count;
use super::super::section::Section;
use super::super::verdict::Verdict;
use crate::base::text::grouped;
use crate::quality::column::ColumnProfile;
use crate::quality::dimension::Dimension;

/// Up to so many different values are counted one by one.
const EXACT: u64 = 1_000;

pub(super) fn section(report: &QualityReport) -> Section {
    let mut section = Section::new(
        Dimension::Uniqueness,
        "Images are exact duplicates if shape, pixel type and all pixels are the same, and near ones if they have the same perceptual \
         hash of 64 bits. The first of several is no duplicate. Different values are counted exactly up to 1,000 and estimated beyond, \
         within some 1.6 %.",
    );
    match report.looked_at() {
        Some(issues) => {
            issues.judge(&mut section, |name, images| format!("{name}s: {images}"), "no image repeats another one");
        }
        None => section.body.note("Images were not compared: there are none, or no issues were looked for."),
    }
    match &report.leaks {
        Some(leaks) => {
            section.body.heading("Images of other data sets");
            section.checks(Some(leaks));
            for found in leaks.results.iter().filter(|found| !found.passed) {
                let Some(issues) = &report.issues else { break };
                issues.sheet_of_failed(&found.rows, &mut section.body, |shown| {
                    let all = count(found.unexpected, "image", "images");
                    format!("{}: {all}; the first {shown} that were kept", found.check)
                });
            }
        }
        None => section
            .body
            .note("No other data set was compared. check --against TEST finds images that are in TEST as well."),
    }
    section.checks(report.checks.as_ref());
    let columns = report.profile.columns();
    let row = |column: &ColumnProfile| {
        let values = column.rows() - column.nulls();
        let distinct = column.distinct_count()?;
        let about = if distinct > EXACT { "about " } else { "" };
        Some(vec![
            Cell::text(column.name()),
            Cell::Number(format!("{about}{}", grouped(distinct.min(values)))),
            Cell::Share(distinct as f64 / values.max(1) as f64),
        ])
    };
    let listed: Vec<Vec<Cell>> = columns.iter().filter_map(row).collect();
    section.body.table("Different values", &["Column", "Different", "Share"], &listed);
    if section.verdict() == Verdict::Open {
        let columns = count(listed.len() as u64, "column", "columns");
        section.judge(
            Verdict::Open,
            format!("different values were counted in {columns}, and nothing says which must be unique"),
        );
    }
    section
}
