//! Sheets of images that were flagged.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::Issues;
use super::super::markup::Html;
use super::super::number::part;
use super::super::picture::Shown;
use crate::base::text::grouped;
use crate::quality::checks::{CheckResult, FailedRow};
use crate::quality::issue::Issue;
use crate::quality::pictures::{Flagged, Picture};

impl Issues {
    /// An issue and what was found of it.
    pub(super) fn all(&self) -> impl Iterator<Item = (Issue, &CheckResult)> {
        Issue::NAMES.iter().map(|(_, issue)| *issue).zip(&self.report.results)
    }

    /// Adds the first images with an issue.
    pub(super) fn sheet(&self, issue: Issue, found: &CheckResult, to: &mut Html) {
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
            return self.sheet_of_rows(&found.rows, to, caption);
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
    pub(super) fn sheet_of_rows(&self, rows: &[FailedRow], to: &mut Html, caption: impl Fn(usize) -> String) {
        let kept = self.by_place();
        let shown = |row: &FailedRow| {
            let picture = kept.get(row.file.as_deref(), row.row)?;
            let lines = vec![self.place_in(row.file.as_deref(), row.row), row.value.clone()];
            Some(Shown { picture: Some(picture), first: None, lines })
        };
        to.sheet(&rows.iter().filter_map(shown).collect::<Vec<_>>(), caption);
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

    /// The pictures by file and row.
    pub(super) fn by_place(&self) -> ByPlace<'_> {
        let pictures = self.gallery.pictures().iter();
        ByPlace(pictures.map(|(&row, picture)| (self.origins.locate(row), &**picture)).collect())
    }
}

/// Pictures by file and row.
pub(super) struct ByPlace<'a>(HashMap<(Option<Arc<str>>, u64), &'a Picture>);

impl<'a> ByPlace<'a> {
    pub fn get(&self, file: Option<&str>, row: u64) -> Option<&'a Picture> {
        self.0.get(&(file.map(Arc::from), row)).copied()
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
