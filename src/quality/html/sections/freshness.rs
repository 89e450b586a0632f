//! Whether the data are recent.

use super::super::QualityReport;
use super::super::markup::Cell;
use super::super::number::{date, span};
use super::super::section::Section;
use super::super::verdict::Verdict;
use super::distribution;
use crate::quality::column::{ColumnProfile, Values};
use crate::quality::dimension::Dimension;

/// Columns that are drawn.
const DRAWN: usize = 6;

pub(super) fn section(report: &QualityReport) -> Section {
    let mut section = Section::new(
        Dimension::Freshness,
        "Every column of dates or timestamps was measured from its oldest to its newest value. Age is the time from the newest value \
         to the date of this report. Whether that is fresh enough is for a contract's freshness and retention to say.",
    );
    let is_time = |column: &&ColumnProfile| matches!(column.values, Values::Time(_));
    let times: Vec<&ColumnProfile> = report.profile.columns().iter().filter(is_time).collect();
    section.checks(report.checks.as_ref());
    let mut listed = Vec::new();
    for column in &times {
        let Some((oldest, newest)) = column.numbers().and_then(|numbers| numbers.min().zip(numbers.max())) else {
            continue;
        };
        let age = report.time.map(|now| now - newest);
        if age.is_some_and(|age| age < -86_400.0) {
            section.judge(Verdict::Look, format!("the newest value of “{}” is in the future", column.name()));
        }
        let told = |age: f64| if age < 0.0 { format!("{} ahead", span(-age)) } else { span(age) };
        listed.push(vec![
            Cell::text(column.name()),
            Cell::text(date(oldest)),
            Cell::text(date(newest)),
            Cell::text(age.map_or_else(|| "–".to_owned(), told)),
        ]);
    }
    match (times.first(), listed.len()) {
        (None, _) => section.judge(Verdict::Open, "there is no column of dates or timestamps"),
        (Some(_), 0) => section.judge(Verdict::Look, "no column of times has a value"),
        (Some(first), _) => {
            let newest = first.numbers().and_then(|numbers| numbers.max()).map(date).unwrap_or_default();
            let why =
                format!("the newest value of “{}” is {newest}, and nothing says how new it must be", first.name());
            section.judge(Verdict::Open, why);
        }
    }
    section.body.table("Times", &["Column", "Oldest", "Newest", "Age"], &listed);
    let reference = report.drift.as_ref().map(|(_, reference)| reference);
    let figures: Vec<_> = times
        .iter()
        .take(DRAWN)
        .filter_map(|column| {
            distribution::figure(column, reference.and_then(|of| of.column(column.name())), String::new())
        })
        .collect();
    section.body.figures(&figures);
    if times.len() > DRAWN {
        section.body.note(&format!("Drawn are the first {DRAWN} of {} columns of times.", times.len()));
    }
    if section.verdict() == Verdict::Open {
        section.body.note(
            "A contract's service levels freshness and retention would judge the age of times (--contract FILE).",
        );
    }
    section
}
