//! Whether the values are right: labels and images.

use super::super::QualityReport;
use super::super::chart::{HEAT_CLASSES, heat_map};
use super::super::markup::{Cell, Figure};
use super::super::number::{count, part, percent};
use super::super::section::Section;
use super::super::verdict::Verdict;
use super::images::{name, place};
use crate::quality::dimension::Dimension;
use crate::quality::labels::{LabelReport, SuspiciousRow};

/// From this share of wrong labels on a person should look, and from this one on it is bad.
const NOISE: [f64; 2] = [0.01, 0.05];
/// Rows and pairs of classes that are listed, and rows whose images are shown.
const LISTED: usize = 100;
const PAIRS: usize = 12;
const SHOWN: usize = 24;

pub(super) fn section(report: &QualityReport) -> Section {
    let mut section = Section::new(
        Dimension::Accuracy,
        "Labels are judged by confident learning: a classifier on the features, which has not learnt from the row that it judges, \
         gives each row the probabilities of all classes. A row counts for another class than its own if that class is as probable as \
         it is for the rows that have it. A share of 1 % wrong labels is worth a look, and 5 % are bad. Images are judged by the \
         scores of CleanVision.",
    );
    match &report.labels {
        Some(labels) => self::labels(labels, report, &mut section),
        None => section.body.note("Label noise was not measured: that takes images, and --label COLUMN."),
    }
    match report.looked_at() {
        Some(issues) => {
            let all = issues.of(Dimension::Accuracy);
            section.body.heading("Images that stand out");
            let row = |(issue, found): &(crate::quality::Issue, &crate::quality::CheckResult)| {
                let images = found.elements - found.missing;
                vec![
                    Cell::text(name(*issue)),
                    Cell::count(found.unexpected),
                    Cell::Share(found.unexpected as f64 / images.max(1) as f64),
                    Cell::text(&found.expected),
                ]
            };
            let listed: Vec<Vec<Cell>> = all.iter().map(row).collect();
            section.body.table("Issues of images", &["Issue", "Images", "Share", "Expected"], &listed);
            issues.judge(&mut section, |name, images| format!("{name} in {images}"), "no image stands out");
        }
        None => section.body.note("Images were not looked at: there are none, or no issues were looked for."),
    }
    section.checks(report.checks.as_ref());
    if section.verdict() == Verdict::Open {
        section.judge(Verdict::Open, "neither labels nor images were judged");
    }
    section
}

fn labels(labels: &LabelReport, report: &QualityReport, section: &mut Section) {
    section.body.heading(&format!("Label noise of “{}”", labels.column));
    if labels.folds == 0 {
        section.body.paragraph("It is not known: fewer than two classes have enough rows.");
        return;
    }
    let noise = percent(labels.noise);
    let verdict = match labels.noise {
        noise if noise >= NOISE[1] => Verdict::Bad,
        noise if noise >= NOISE[0] => Verdict::Look,
        _ => Verdict::Good,
    };
    section.judge(verdict, format!("an estimated {noise} of the labels are wrong"));
    let sampled = part(labels.sampled, labels.rows, "rows with a label and features");
    section.body.paragraph(&format!(
        "Judged were {sampled}, in {} parts, each by a classifier that has learnt from the others. It predicts {} of the labels. {} \
         to be wrong.",
        labels.folds,
        percent(labels.accuracy),
        count(labels.suspicious, "label is likely", "labels are likely"),
    ));
    if labels.left_out > 0 {
        section.body.note(&format!("{} no label or no features.", count(labels.left_out, "row has", "rows have")));
    }
    if labels.rare > 0 {
        let rows = count(labels.rare, "row was", "rows were");
        section.body.note(&format!("{rows} not judged: their classes have fewer rows than there are parts."));
    }
    if labels.classes.len() <= HEAT_CLASSES {
        section.body.figure(&Figure {
            svg: heat_map(&labels.classes, &labels.joint, labels.sampled),
            title: "Given and likely classes".to_owned(),
            caption: "Confident learning's joint: the estimated number of rows of each given class (down) that are of each class \
                      (across). Right labels are on the diagonal."
                .to_owned(),
        });
    }
    let confusions = labels.confusions();
    let row = |&(given, likely, share): &(&str, &str, f64)| {
        let rows = (share * labels.sampled as f64).round() as u64;
        vec![Cell::text(given), Cell::text(likely), Cell::count(rows), Cell::Share(share)]
    };
    let listed: Vec<Vec<Cell>> = confusions.iter().take(PAIRS).map(row).collect();
    let caption = "Classes that are confused most, with estimated numbers of rows";
    section.body.table(caption, &["Given", "Likely", "Rows", "Share"], &listed);
    if let Some(issues) = &report.issues {
        let rows = labels.most_suspicious.iter().take(SHOWN).map(|of| {
            (of.file.as_deref(), of.row, vec![format!("given {}", of.given), format!("likely {}", of.likely)])
        });
        let caption = |shown| format!("The most suspicious labels: the first {shown} whose images were kept");
        issues.sheet_of_rows(rows, &mut section.body, caption);
    }
    let place = |of: &SuspiciousRow| match &report.issues {
        Some(issues) => issues.place_in(of.file.as_deref(), of.row),
        None => place(of.file.as_deref(), of.row),
    };
    let row = |of: &SuspiciousRow| {
        vec![Cell::text(place(of)), Cell::text(&of.given), Cell::text(&of.likely), Cell::Number(percent(of.confidence))]
    };
    let listed: Vec<Vec<Cell>> = labels.most_suspicious.iter().take(LISTED).map(row).collect();
    section.body.table(
        "The most suspicious rows, with the probability of their label",
        &["Row", "Given", "Likely", "Probability"],
        &listed,
    );
}
