//! Whether all has the types, shapes and values that it should have.

use super::super::QualityReport;
use super::super::markup::Cell;
use super::super::number::{compact, count, date};
use super::super::section::Section;
use super::super::verdict::Verdict;
use crate::base::reason::Reason;
use crate::quality::column::{ColumnProfile, Values};
use crate::quality::dimension::Dimension;

/// Shapes that are listed.
const SHAPES: usize = 20;

pub(super) fn section(report: &QualityReport) -> Section {
    let profile = &report.profile;
    let mut section = Section::new(
        Dimension::Consistency,
        "The types are those of the columns as they were read, and ranges are those of all rows. Images are those that the features \
         are of, after all stages. Checks of this dimension are those of types, ranges, sets, patterns, lengths and shapes.",
    );
    section.checks(report.checks.as_ref());
    let missing = Reason::NullImage.name();
    let unfit: u64 = profile.invalid().iter().filter(|(reason, _)| *reason != missing).map(|(_, rows)| rows).sum();
    if unfit > 0 {
        let rows = count(unfit, "row has", "rows have");
        section.judge(Verdict::Look, format!("{rows} an image that does not fit; completeness tells why"));
    }
    if let Some(images) = profile.images() {
        let shapes = images.shapes.most_common(SHAPES);
        let row = |(shape, number): &(String, u64)| {
            let share = *number as f64 / images.count().max(1) as f64;
            vec![Cell::text(shape), Cell::count(*number), Cell::Share(share)]
        };
        let kinds = images.shapes.len();
        match kinds {
            Some(0) => {}
            Some(1) if unfit == 0 => section.judge(Verdict::Good, "all images have one shape"),
            Some(1) => {}
            Some(kinds) => section.judge(Verdict::Look, format!("images have {kinds} shapes")),
            None => section.judge(Verdict::Look, "images have more than 1,000 shapes"),
        }
        let listed: Vec<Vec<Cell>> = shapes.iter().flatten().map(row).collect();
        let more = match kinds {
            Some(kinds) if kinds <= SHAPES => String::new(),
            _ => format!(", the {SHAPES} most common ones"),
        };
        let caption = format!("Shapes of the {} images{more}", images.pixel_type);
        section.body.table(&caption, &["Shape", "Images", "Share"], &listed);
    }
    let row = |column: &ColumnProfile| {
        vec![Cell::text(column.name()), Cell::text(&column.data_type), Cell::text(range(column))]
    };
    let listed: Vec<Vec<Cell>> = profile.columns().iter().map(row).collect();
    section.body.table("Columns", &["Column", "Type", "Range"], &listed);
    if !report.not_enforced.is_empty() {
        section.body.folded("What the contract asks for and no check enforces", &report.not_enforced);
    }
    if report.checks.is_none() {
        section.body.note(
            "No rule was given. --check FILE and --contract FILE hold the rows to rules; check --write-contract proposes some.",
        );
    }
    section
}

/// The range of the values, in words.
fn range(column: &ColumnProfile) -> String {
    let between = |ends: Option<(f64, f64)>, told: fn(f64) -> String, what: &str| match ends {
        Some((min, max)) if min == max => format!("{what}{}", told(min)),
        Some((min, max)) => format!("{what}{} to {}", told(min), told(max)),
        None => "no values".to_owned(),
    };
    let ends = |numbers: &crate::quality::Numbers| numbers.min().zip(numbers.max());
    match &column.values {
        Values::Number(of) => between(ends(&of.numbers), compact, ""),
        Values::Time(of) => between(ends(&of.numbers), date, ""),
        Values::Text(of) => between(ends(&of.lengths), compact, "lengths "),
        Values::List(of) => {
            let lengths = between(ends(&of.lengths), compact, "lengths ");
            format!("{lengths}; {}", between(ends(&of.items), compact, "items "))
        }
        Values::Other => "not looked at".to_owned(),
    }
}
