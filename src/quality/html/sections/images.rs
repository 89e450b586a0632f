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
        let shown: Vec<Shown<'_>> = if issue == Issue::OddSize {
            // Which sizes are odd was not known when the images came by.
            let kept = self.by_place();
            let shown = |row: &FailedRow| Shown {
                picture: kept.get(row.file.as_deref(), row.row),
                first: None,
                lines: vec![place(row.file.as_deref(), row.row), row.value.clone()],
            };
            found.rows.iter().map(shown).collect()
        } else {
            let shown = |of: &Flagged| {
                let (file, row) = self.origins.locate(of.row);
                let is_near = issue == Issue::NearDuplicate;
                Shown {
                    picture: picture(of.row),
                    // Of exact duplicates both look the same.
                    first: of.first.filter(|_| is_near).map(picture),
                    lines: vec![place(file.as_deref(), row), of.value.clone()],
                }
            };
            flagged.iter().map(shown).collect()
        };
        let name = issue.to_string().replace('_', " ");
        to.sheet(&shown, |shown| {
            let which = if shown as u64 == found.unexpected {
                String::new()
            } else {
                format!("; the first {}", grouped(shown as u64))
            };
            let all = part(found.unexpected, images, "images");
            format!("{name}: {all}, expected {}{which}", found.expected)
        });
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
