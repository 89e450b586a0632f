//! Whether all is there: nulls, and rows without features.

use super::super::QualityReport;
use super::super::markup::Cell;
use super::super::number::{count, part};
use super::super::section::Section;
use super::super::verdict::Verdict;
use crate::quality::dimension::Dimension;

/// More rows without features than this share are bad.
const MANY: f64 = 0.05;

pub(super) fn section(report: &QualityReport) -> Section {
    let profile = &report.profile;
    let mut section = Section::new(
        Dimension::Completeness,
        "Every row was counted. A value is missing if its cell is null. A row has no features if its image is missing or cannot be \
         used; the reason is the first thing that is wrong with it. More than 5 % of such rows are bad.",
    );
    let rows = profile.rows();
    if rows == 0 {
        section.judge(Verdict::Bad, "there are no rows");
    }
    let columns = profile.columns();
    let with_nulls: Vec<_> = columns.iter().filter(|column| column.nulls() > 0).collect();
    if let Some(worst) = with_nulls.iter().max_by_key(|column| column.nulls()) {
        let nulls = part(worst.nulls(), worst.rows(), "values");
        let columns = count(with_nulls.len() as u64, "column has nulls", "columns have nulls");
        section.judge(Verdict::Look, format!("{columns}; of “{}” {nulls} are missing", worst.name()));
    }
    let invalid: u64 = profile.invalid().values().sum();
    if invalid > 0 {
        let share = invalid as f64 / rows.max(1) as f64;
        let verdict = if share > MANY { Verdict::Bad } else { Verdict::Look };
        section.judge(verdict, format!("{} have no features", part(invalid, rows, "rows")));
    }
    if rows > 0 && with_nulls.is_empty() && invalid == 0 {
        let columns = count(columns.len() as u64, "column", "columns");
        let images = if profile.images().is_some() { ", and every row has features" } else { "" };
        section.judge(Verdict::Good, format!("no value is missing in {columns}{images}"));
    }
    let row = |column: &&crate::quality::ColumnProfile| {
        let share = column.nulls() as f64 / column.rows().max(1) as f64;
        vec![Cell::text(column.name()), Cell::count(column.nulls()), Cell::Share(share)]
    };
    let listed: Vec<Vec<Cell>> = with_nulls.iter().map(row).collect();
    section.body.table("Columns with nulls", &["Column", "Nulls", "Share"], &listed);
    let full = columns.len() - with_nulls.len();
    if full > 0 && !with_nulls.is_empty() {
        section.body.note(&format!("{} no nulls.", count(full as u64, "other column has", "other columns have")));
    }
    let row = |(reason, &number): (&String, &u64)| {
        let share = number as f64 / rows.max(1) as f64;
        vec![Cell::text(reason.replace('_', " ")), Cell::count(number), Cell::Share(share)]
    };
    let listed: Vec<Vec<Cell>> = profile.invalid().iter().map(row).collect();
    section.body.table("Rows without features", &["Reason", "Rows", "Share"], &listed);
    section.checks(report.checks.as_ref());
    if report.checks.is_none() {
        section.body.note("No check was asked for. --check and --contract hold columns to what must be there.");
    }
    section
}
