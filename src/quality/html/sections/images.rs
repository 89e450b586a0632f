//! Sheets of images that were flagged.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::markup::Html;
use super::super::number::part;
use super::super::picture::Shown;
use super::super::section::Section;
use super::super::verdict::Verdict;
use super::super::{Issues, QualityReport};
use crate::base::text::grouped;
use crate::quality::checks::{CheckResult, FailedRow};
use crate::quality::dimension::Dimension;
use crate::quality::issue::Issue;
use crate::quality::pictures::{Flagged, Picture};

impl QualityReport {
    /// The issues, if there were images to look at.
    pub(super) fn looked_at(&self) -> Option<&Issues> {
        self.issues.as_ref().filter(|issues| issues.report.results.iter().any(|found| found.elements > found.missing))
    }
}

impl Issues {
    /// The issues of a dimension, and what was found of each.
    pub(super) fn of(&self, dimension: Dimension) -> Vec<(Issue, &CheckResult)> {
        let all = Issue::NAMES.iter().map(|(_, issue)| *issue).zip(&self.report.results);
        all.filter(|(issue, _)| issue.dimension() == dimension).collect()
    }

    /// Judges by the issues of the section's dimension, and shows the first images with each. `told` gets the name of an issue and
    /// how many images have it; `good` stands there if none has one.
    pub(super) fn judge(&self, section: &mut Section, told: impl Fn(String, String) -> String, good: &str) {
        let all = self.of(section.dimension);
        for (issue, found) in all.iter().filter(|(_, found)| found.unexpected > 0) {
            let images = part(found.unexpected, found.elements - found.missing, "images");
            section.judge(Verdict::Look, told(name(*issue), images));
            self.sheet(*issue, found, &mut section.body);
        }
        if all.iter().all(|(_, found)| found.unexpected == 0) {
            section.judge(Verdict::Good, good);
        }
    }

    /// Adds the first images with an issue.
    fn sheet(&self, issue: Issue, found: &CheckResult, to: &mut Html) {
        let picture = |row: u64| self.gallery.pictures().get(&row).map(|picture| &**picture);
        let images = found.elements - found.missing;
        let flagged = self.gallery.flagged(issue);
        let caption = |shown: usize| {
            let first = format!("; the first {}", grouped(shown as u64));
            let which = if shown as u64 == found.unexpected { "" } else { &first };
            let all = part(found.unexpected, images, "images");
            format!("{}: {all}, expected {}{which}", name(issue), found.expected)
        };
        if issue == Issue::OddSize {
            // Which sizes are odd was not known when the images came by.
            return self.sheet_of_failed(&found.rows, to, caption);
        }
        let shown = |of: &Flagged| {
            let is_near = issue == Issue::NearDuplicate;
            let what = match of.first {
                Some(first) if is_near => format!("near {}", self.place(first)),
                Some(first) => format!("the same as {}", self.place(first)),
                None => format!("score {}", of.value),
            };
            Shown {
                picture: picture(of.row),
                // Of exact duplicates both look the same.
                first: of.first.filter(|_| is_near).map(picture),
                lines: vec![self.place(of.row), what],
            }
        };
        to.sheet(&flagged.iter().map(shown).collect::<Vec<_>>(), caption);
    }

    /// Adds the images of these rows that were kept.
    pub(super) fn sheet_of_failed(&self, rows: &[FailedRow], to: &mut Html, caption: impl Fn(usize) -> String) {
        self.sheet_of_rows(rows.iter().map(|of| (of.file.as_deref(), of.row, vec![of.value.clone()])), to, caption);
    }

    /// The same of rows that are told as a file, a row of it and what stands below its image.
    pub(super) fn sheet_of_rows<'a>(
        &self,
        rows: impl Iterator<Item = (Option<&'a str>, u64, Vec<String>)>,
        to: &mut Html,
        caption: impl Fn(usize) -> String,
    ) {
        let pictures = self.gallery.pictures().iter();
        let kept: HashMap<(Option<Arc<str>>, u64), &Picture> =
            pictures.map(|(&row, picture)| (self.origins.locate(row), &**picture)).collect();
        let shown = rows.filter_map(|(file, row, words)| {
            let picture = *kept.get(&(file.map(Arc::from), row))?;
            let lines = std::iter::once(self.place_in(file, row)).chain(words).collect();
            Some(Shown { picture: Some(picture), first: None, lines })
        });
        to.sheet(&shown.collect::<Vec<_>>(), caption);
    }

    /// Where a row is: its number, with the last part of its file's name if there are several files.
    fn place(&self, row: u64) -> String {
        let (file, row) = self.origins.locate(row);
        self.place_in(file.as_deref(), row)
    }

    /// As [`Issues::place`], of a row of a file.
    pub(super) fn place_in(&self, file: Option<&str>, row: u64) -> String {
        let rows = self.report.results.first().map_or(0, |found| found.elements);
        let is_one = self.origins.locate(0).0 == self.origins.locate(rows.saturating_sub(1)).0;
        place(file.filter(|_| !is_one), row)
    }
}

/// A row and the last part of its file's name.
pub(super) fn place(file: Option<&str>, row: u64) -> String {
    let name = file.and_then(|file| file.rsplit(['/', '\\']).next());
    match name {
        Some(name) => format!("{name}: row {row}"),
        None => format!("row {row}"),
    }
}

/// The name of an issue in plain words.
pub(super) fn name(issue: Issue) -> String {
    issue.to_string().replace('_', " ")
}
