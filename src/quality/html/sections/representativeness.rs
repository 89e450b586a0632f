//! Whether the rows are distributed as those that they stand for.

use super::super::QualityReport;
use super::super::chart::{Bar, bars};
use super::super::markup::{Cell, Figure};
use super::super::number::{compact, percent};
use super::super::section::Section;
use super::super::verdict::Verdict;
use super::distribution::{figure, summary};
use crate::quality::column::ColumnProfile;
use crate::quality::dimension::Dimension;
use crate::quality::drift::{ColumnDrift, DriftReport, all_columns};

/// If the largest class has more than so many times the rows of the smallest, a person should look.
const IMBALANCE: u64 = 10;
/// Classes, columns, drawings of columns, of images and of features.
const CLASSES: usize = 40;
const LISTED: usize = 100;
const COLUMNS: usize = 24;
const IMAGES: usize = 8;
const FEATURES: usize = 12;

pub(super) fn section(report: &QualityReport) -> Section {
    let mut section = Section::new(
        Dimension::Representativeness,
        "The rows are compared with those of a reference, column by column: by Kolmogorov–Smirnov, χ² or z up to 1,000 rows of \
         reference, and by the Wasserstein distance or, for categories, the Jensen–Shannon distance beyond. If half of the columns or \
         more have drifted, that is bad. Classes are worth a look if the largest has more than ten times the rows of the smallest.",
    );
    let drift = report.drift.as_ref();
    classes(report, &mut section);
    match drift {
        Some((drift, _)) => self::drift(drift, &mut section),
        None => section.body.note(
            "Drift was not measured. --reference PROFILE compares with the profile of other rows, which --profile writes.",
        ),
    }
    section.checks(report.checks.as_ref());
    figures(report, &mut section);
    if section.verdict() == Verdict::Open {
        section.judge(
            Verdict::Open,
            "there is no reference, and no classes are known, to compare the distributions below with",
        );
    }
    section
}

fn classes(report: &QualityReport, section: &mut Section) {
    let Some(classes) = report.profile.classes() else {
        section.body.note("The balance of classes was not measured: that takes images, and --label COLUMN.");
        return;
    };
    let Some(balance) = classes.balance() else {
        section.judge(Verdict::Look, format!("“{}” has too many classes to tell them apart", classes.label()));
        return;
    };
    let rows = |balance: &[(&str, u64, Option<f64>)], least: bool| {
        let rows = balance.iter().filter(|(name, ..)| !name.is_empty()).map(|(_, rows, _)| *rows);
        if least { rows.min() } else { rows.max() }.unwrap_or(0)
    };
    let (least, most) = (rows(&balance, true), rows(&balance, false));
    let told = format!("the {} classes have {} to {} rows", balance.len(), compact(least as f64), compact(most as f64));
    let is_even = most <= IMBALANCE.saturating_mul(least);
    section.judge(if is_even { Verdict::Good } else { Verdict::Look }, told);
    let reference = report.drift.as_ref().and_then(|(_, reference)| reference.classes()?.balance());
    let theirs = reference.map(|balance| by_value(&balance));
    let all = Bar::all(&by_value(&balance), theirs.as_deref());
    let shown = &all[..all.len().min(CLASSES)];
    let more = if all.len() > CLASSES { format!(", the first {CLASSES}") } else { String::new() };
    let compared = if theirs.is_some() { "; a line is the share of the reference" } else { "" };
    section.body.heading("Classes");
    section.body.figures(&[Figure {
        svg: bars(classes.label(), shown),
        title: classes.label().to_owned(),
        caption: format!("rows of each class{more}{compared}"),
    }]);
}

/// Classes and their rows: numbers by their value, then text.
fn by_value(balance: &[(&str, u64, Option<f64>)]) -> Vec<(String, u64)> {
    let mut sorted: Vec<(String, u64)> = balance.iter().map(|(name, rows, _)| ((*name).to_owned(), *rows)).collect();
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::INFINITY);
    sorted.sort_by(|a, b| number(&a.0).total_cmp(&number(&b.0)).then_with(|| a.0.cmp(&b.0)));
    sorted
}

fn drift(drift: &DriftReport, section: &mut Section) {
    let (drifted, all) = (drift.drifted_columns(), drift.columns.len());
    let told = format!("{drifted} of {all} columns, features and measures have drifted from the reference");
    let verdict = match drifted {
        0 => Verdict::Good,
        some if drift.drifted || 2 * some >= all => Verdict::Bad,
        _ => Verdict::Look,
    };
    section.judge(verdict, told);
    section.body.heading("Drift");
    let number = |value: Option<f64>| Cell::Number(value.map_or_else(|| "–".to_owned(), compact));
    let row = |of: &ColumnDrift| {
        let mut notes: Vec<String> = of.note.iter().cloned().collect();
        if of.nulls[0] != of.nulls[1] {
            notes.push(format!("nulls {} → {}", percent(of.nulls[0]), percent(of.nulls[1])));
        }
        for (what, names) in [("new", &of.new), ("vanished", &of.vanished)] {
            if !names.is_empty() {
                notes.push(format!("{what}: {}", names.join(", ")));
            }
        }
        vec![
            Cell::text(&of.name),
            if of.drifted { Cell::Mark(Verdict::Look, "drifted") } else { Cell::Mark(Verdict::Good, "as before") },
            Cell::text(of.test.map_or("–", |test| test.name())),
            number(of.value),
            number(of.threshold),
            number(of.psi),
            Cell::text(notes.join("; ")),
        ]
    };
    let listed: Vec<Vec<Cell>> = drift.columns.iter().take(LISTED).map(row).collect();
    let head = ["Column", "Verdict", "Test", "Value", "Threshold", "PSI", "Notes"];
    section.body.table("Drift from the reference, the worst first", &head, &listed);
    if all > LISTED {
        section.body.note(&format!("The other {} columns are in the drift report (--drift-report).", all - LISTED));
    }
}

/// Draws distributions: those with the most drift or, without a reference, the first ones.
fn figures(report: &QualityReport, section: &mut Section) {
    let own = all_columns(&report.profile);
    let theirs = report.drift.as_ref().map(|(_, reference)| all_columns(reference)).unwrap_or_default();
    let drift = report.drift.as_ref().map(|(drift, _)| drift);
    let place = |column: &ColumnProfile| {
        drift.and_then(|drift| drift.columns.iter().position(|of| of.name == column.name())).unwrap_or(usize::MAX)
    };
    let [columns, features] = [report.profile.columns().len(), report.profile.features().len()];
    let groups = [
        ("Columns", "columns", &own[..columns], COLUMNS),
        ("Images and pixels", "measures", &own[columns + features..], IMAGES),
        ("Features", "features", &own[columns..columns + features], FEATURES),
    ];
    for (heading, what, group, limit) in groups {
        // The classes have a drawing of their own.
        let label = report.profile.classes().map(|classes| classes.label());
        let mut sorted: Vec<&ColumnProfile> = group.iter().filter(|column| Some(column.name()) != label).collect();
        sorted.sort_by_key(|column| place(column));
        let draw = |column: &&ColumnProfile| {
            let reference = theirs.iter().find(|of| of.name() == column.name());
            let of = drift.and_then(|drift| drift.columns.iter().find(|of| of.name == column.name()));
            figure(column, reference, caption(column, of))
        };
        let figures: Vec<Figure> = sorted.iter().filter_map(draw).take(limit).collect();
        if figures.is_empty() {
            continue;
        }
        section.body.heading(heading);
        if drift.is_some() {
            section.body.note("Bars are these rows, and lines are the reference, each as shares of its own rows.");
        }
        section.body.figures(&figures);
        if sorted.len() > limit {
            let which = if drift.is_some() { "those with the most drift" } else { "the first ones" };
            let told = format!(
                "Drawn are {} of {} {what}: {which}. All are in the profile (--profile).",
                figures.len(),
                group.len()
            );
            section.body.note(&told);
        }
    }
}

fn caption(column: &ColumnProfile, drift: Option<&ColumnDrift>) -> String {
    let mut parts = vec![summary(column)];
    if let Some((of, (test, value))) = drift.and_then(|of| Some((of, of.test.zip(of.value)?))) {
        let verdict = if of.drifted { "drifted" } else { "as before" };
        parts.push(format!("{verdict}: {} {}", test.name(), compact(value)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}
