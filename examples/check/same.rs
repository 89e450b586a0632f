//! `check --same A B`: whether two inputs hold the same rows.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use indicatif::HumanCount;
use pixelfeat::lineage::{Comparison, Difference};
use pixelfeat::{Error, RowOrigins, io};

/// So many rows that differ are shown.
const SHOWN: usize = 5;
/// So many columns of each.
const COLUMNS: usize = 4;

/// Compares two inputs; returns whether they hold the same rows in the same order, and what is to be said of it.
pub fn compare(inputs: [&PathBuf; 2], options: &io::ReadOptions) -> Result<(bool, String), Error> {
    let [a, b] = [io::open(inputs[0], options)?, io::open(inputs[1], options)?];
    let origins = [a.origins(), b.origins()];
    let found = Comparison::of(a, b, SHOWN)?;
    let mut text = String::new();
    let rows = found.digests.map(|digest| digest.rows());
    let _ = match () {
        () if found.is_same() => writeln!(text, "the same {} rows", HumanCount(rows[0])),
        () if found.is_other_order() => writeln!(text, "the same {} rows in another order", HumanCount(rows[0])),
        () => writeln!(text, "not the same rows"),
    };
    let width = inputs.iter().map(|input| input.display().to_string().chars().count()).max().unwrap_or(0);
    for (input, digest) in inputs.iter().zip(found.digests) {
        let _ = writeln!(text, "{:<width$}  {digest}", input.display().to_string());
    }
    for (input, columns) in inputs.iter().zip(&found.only_in).filter(|(_, columns)| !columns.is_empty()) {
        let _ = writeln!(text, "only {} has the columns {}", input.display(), columns.join(", "));
    }
    if !found.first.is_empty() {
        let _ = writeln!(text, "{} rows differ in their places", HumanCount(found.different_rows));
    }
    for difference in &found.first {
        tell(difference, &inputs, &origins, &mut text);
    }
    Ok((found.is_same(), text))
}

/// A line for each value of a row that differs.
fn tell(difference: &Difference, inputs: &[&PathBuf; 2], origins: &[RowOrigins; 2], text: &mut String) {
    let place = |side: usize| {
        let (file, row) = origins[side].locate(difference.row);
        let file = file.unwrap_or_else(|| inputs[side].display().to_string().into());
        format!("{file} row {row}")
    };
    match &difference.values {
        [Some(a), Some(b)] => {
            let _ = writeln!(text, "{} and {}", place(0), place(1));
            for column in difference.columns.iter().take(COLUMNS) {
                let (a, b) = apart(&value(a, column), &value(b, column));
                let _ = writeln!(text, "  {column}: {a} and {b}");
            }
            if difference.columns.len() > COLUMNS {
                let _ = writeln!(text, "  … {} more columns", difference.columns.len() - COLUMNS);
            }
        }
        [a, _] => {
            let (here, there) = if a.is_some() { (0, 1) } else { (1, 0) };
            let _ = writeln!(text, "{} is behind the end of {}", place(here), Path::new(inputs[there]).display());
        }
    }
}

/// The value of a column of one row, as text.
fn value(row: &RecordBatch, column: &str) -> String {
    let format = FormatOptions::default().with_null("null");
    let shown = row.column_by_name(column).and_then(|array| {
        let values = ArrayFormatter::try_new(array, &format).ok()?;
        values.value(0).try_to_string().ok()
    });
    // A type that cannot be shown is no reason to fail.
    shown.unwrap_or_else(|| "…".to_owned())
}

/// Two values in short, from shortly before the place where they begin to differ.
fn apart(a: &str, b: &str) -> (String, String) {
    const BEFORE: usize = 12;
    const WIDTH: usize = 40;
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let short = |text: &str| {
        let count = text.chars().count();
        let start = if count <= WIDTH { 0 } else { same.saturating_sub(BEFORE) };
        let middle: String = text.chars().skip(start).take(WIDTH).collect();
        let (before, after) = (if start > 0 { "…" } else { "" }, if count > start + WIDTH { "…" } else { "" });
        format!("{before}{middle}{after}")
    };
    (short(a), short(b))
}
