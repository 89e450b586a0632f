//! Looks for the issues of images while a run goes over them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::ArrayRef;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_schema::{DataType, Field};
use serde_json::json;

use super::checks::{CheckReport, CheckResult, FailedRow, Severity, TOLD};
use super::duplicates::{Firsts, NO_HASH, Print, Prints, by_content, by_phash};
use super::gray::EightBit;
use super::hashes::each_image;
use super::issue::{Issue, IssueCounts, IssueOptions, SINGLE, size, usual_sizes};
use super::pictures::{Flagged, Gallery};
use super::profile::Profiler;
use super::scores::{ImageScores, Work};
use crate::base::error::Result;
use crate::base::shape::ImageShape;
use crate::base::text::grouped;
use crate::run::observe::{Observed, Observer};
use crate::run::origins::RowOrigins;

/// So many different shapes are told apart. Sizes beyond them are not judged.
const SHAPES: usize = 1 << 16;

/// Finds the issues of images in one pass, after all stages: those of CleanVision, with its scores and thresholds. Clones share
/// their findings.
///
/// It adds a column `issues` to the output, a list of the names of each row's issues ([`Issue`]), which is empty where there are
/// none and null where there is no image. As rows stream by, an image is a duplicate if the image before it came earlier in the
/// input: the first of several that are the same has no issue. Near duplicates have the same
/// [`phash`](super::ImageHashes::phash) and a contrast of 0.01 or more. Which sizes are odd shows only at the end. So odd sizes are
/// in the report, and not in the column.
///
/// In a second epoch every image is a duplicate, so it is for runs of one.
///
/// CleanVision counts the first of several duplicates as well, and calls flat images near duplicates of each other. It counts alpha
/// among the values of low information.
#[derive(Debug, Clone)]
pub struct IssueWatch {
    options: IssueOptions,
    state: Arc<Mutex<State>>,
    profiler: Option<Profiler>,
    has_column: bool,
}

#[derive(Debug, Default)]
struct State {
    rows: u64,
    images: u64,
    found: [Found; Issue::NAMES.len()],
    prints: Prints,
    contents: Firsts,
    phashes: Firsts,
    /// Whether an image was not remembered.
    is_full: bool,
    /// How many images have each shape, and the first rows of these.
    shapes: BTreeMap<[usize; 3], (u64, Vec<u64>)>,
    /// Images of further shapes.
    other_shapes: u64,
    origins: RowOrigins,
    /// The issues of the last batch, a bit for each.
    last: Vec<Option<u16>>,
    /// The number of the first row of the batch.
    first_row: u64,
    gallery: Option<Gallery>,
}

/// The images with one issue.
#[derive(Debug, Default)]
struct Found {
    images: u64,
    rows: Vec<FailedRow>,
}

impl State {
    /// Counts a row with an issue. `first` is the row that it repeats.
    fn note(&mut self, issue: Issue, row: u64, first: Option<u64>, value: impl Fn(&Self) -> String) {
        if let Some(mut gallery) = self.gallery.take() {
            gallery.flag((row - self.first_row) as usize, issue, || Flagged { row, value: value(self), first });
            self.gallery = Some(gallery);
        }
        let told = (self.found[issue as usize].rows.len() < TOLD).then(|| self.failed(row, value(self)));
        let found = &mut self.found[issue as usize];
        found.images += 1;
        found.rows.extend(told);
    }

    fn failed(&self, row: u64, value: String) -> FailedRow {
        let (file, row) = self.origins.locate(row);
        FailedRow { file: file.as_deref().map(str::to_owned), row, value }
    }

    /// The issues of a row that its image alone tells.
    fn note_scores(&mut self, options: &IssueOptions, row: u64, scores: &ImageScores) -> u16 {
        let mut flags = 0;
        for ((_, issue), score) in Issue::NAMES.iter().zip(scores.all()) {
            if score < options.threshold(*issue) {
                self.note(*issue, row, None, |_| format!("{score:.4}"));
                flags |= 1 << *issue as u16;
            }
        }
        flags
    }

    /// Whether a row repeats an image before it.
    fn note_duplicates(&mut self, options: &IssueOptions, row: u64, print: Print) -> Result<u16> {
        let remember = self.prints.len() < options.remembered;
        let image = self.prints.add(row, print)?;
        let same = self.contents.first_or(image, remember, by_content(&self.prints));
        let near = match same {
            None if print.phash != NO_HASH => self.phashes.first_or(image, remember, by_phash(&self.prints)),
            _ => None,
        };
        if same.is_some() || !remember {
            self.prints.pop();
            self.is_full |= same.is_none();
        }
        let (issue, first) = match (same, near) {
            (Some(first), _) => (Issue::ExactDuplicate, first),
            (None, Some(first)) => (Issue::NearDuplicate, first),
            (None, None) => return Ok(0),
        };
        let first = self.prints.row(first);
        self.note(issue, row, Some(first), |state| {
            let (file, row) = state.origins.locate(first);
            let how = if issue == Issue::ExactDuplicate { "the same as" } else { "near" };
            format!("{how} {}row {row}", file.map(|file| format!("{file}: ")).unwrap_or_default())
        });
        Ok(1 << issue as u16)
    }

    fn note_shape(&mut self, row: u64, shape: ImageShape) {
        let key = [shape.height(), shape.width(), shape.channels()];
        if self.shapes.len() >= SHAPES && !self.shapes.contains_key(&key) {
            self.other_shapes += 1;
            return;
        }
        let (images, rows) = self.shapes.entry(key).or_default();
        *images += 1;
        if rows.len() < TOLD {
            rows.push(row);
        }
    }

    /// The images of odd sizes, and the sizes that are not odd.
    fn odd_sizes(&self, factor: f64) -> (Found, (f64, f64)) {
        let shapes = self.shapes.iter().filter_map(|(&[height, width, channels], of)| {
            let shape = ImageShape::new(height, width, channels).ok()?;
            Some((size(shape), shape, of))
        });
        let mut shapes: Vec<_> = shapes.collect();
        shapes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let sizes: Vec<(f64, u64)> = shapes.iter().map(|(size, _, (images, _))| (*size, *images)).collect();
        let (low, high) = usual_sizes(&sizes, factor);
        let mut found = Found::default();
        let mut rows = Vec::new();
        for (_, shape, (images, first)) in shapes.iter().filter(|(size, ..)| *size < low || *size > high) {
            found.images += images;
            rows.extend(first.iter().map(|row| (*row, shape.to_string())));
        }
        rows.sort();
        found.rows = rows.into_iter().take(TOLD).map(|(row, shape)| self.failed(row, shape)).collect();
        (found, (low, high))
    }
}

impl IssueWatch {
    /// Watches with these thresholds.
    pub fn new(options: IssueOptions) -> Self {
        Self { options, state: Arc::default(), profiler: None, has_column: true }
    }

    /// Counts the issues in the profile of a profiler that watches the same run. A profile can be merged with others of the same
    /// thresholds. It does not count duplicates.
    #[must_use]
    pub fn with_profiler(self, profiler: Profiler) -> Self {
        Self { profiler: Some(profiler), ..self }
    }

    /// Adds no column to the output.
    #[must_use]
    pub fn without_column(self) -> Self {
        Self { has_column: false, ..self }
    }

    /// Keeps small copies of the first images with each issue, so many of each, for a [`QualityReport`](super::QualityReport). Their
    /// longest side has at most 96 pixels. Up to 32 MB of small copies of the first images are kept as well, for those that later
    /// ones repeat and for rows whose labels are suspicious.
    #[must_use]
    pub fn with_pictures(self, of_each: usize) -> Self {
        self.lock().gallery = Some(Gallery::new(of_each));
        self
    }

    /// What was kept of images, and where their rows are.
    pub(super) fn gallery(&self) -> (Gallery, RowOrigins) {
        let state = self.lock();
        (state.gallery.clone().unwrap_or_default(), state.origins.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found so far, as a check of severity warning for each issue. Its rows are the first ones with the issue.
    pub fn report(&self) -> CheckReport {
        let state = self.lock();
        let result = |&(name, issue): &(&str, Issue)| {
            let threshold = self.options.threshold(issue);
            let odd_sizes = (issue == Issue::OddSize).then(|| state.odd_sizes(threshold));
            let mut check = name.to_owned();
            let expected = match (&odd_sizes, issue) {
                (Some((_, (low, high))), _) => {
                    if state.other_shapes > 0 {
                        check += &format!(" (without {} images of rare shapes)", grouped(state.other_shapes));
                    }
                    format!("no size outside of {low:.1} to {high:.1}")
                }
                (None, Issue::ExactDuplicate | Issue::NearDuplicate) => {
                    if state.is_full {
                        check += &format!(" (of the first {} images)", grouped(self.options.remembered as u64));
                    }
                    "none".to_owned()
                }
                (None, _) => format!("no score below {threshold}"),
            };
            let found = odd_sizes.as_ref().map_or(&state.found[issue as usize], |(found, _)| found);
            CheckResult {
                check,
                target: Some("image".to_owned()),
                severity: Severity::Warning,
                dimension: issue.dimension(),
                passed: found.images == 0,
                observed: json!(found.images),
                expected,
                elements: state.rows,
                missing: state.rows - state.images,
                unexpected: found.images,
                rows: found.rows.clone(),
            }
        };
        CheckReport { results: Issue::NAMES.iter().map(result).collect() }
    }
}

impl Observer for IssueWatch {
    fn fields(&self) -> Vec<Field> {
        let field = || {
            let item = Field::new_list_field(DataType::Utf8, true);
            Field::new("issues", DataType::List(Arc::new(item)), true)
        };
        self.has_column.then(field).into_iter().collect()
    }

    fn observe(&mut self, batch: &Observed<'_>) -> Result<()> {
        let scale = batch.layout.scale();
        type Buffers = (EightBit, Work, Vec<u8>);
        let looked = each_image(batch, |(image, work, small): &mut Buffers, shape, pixels| {
            image.take(shape, pixels, scale);
            (shape, ImageScores::of_image(image, work), Print::of(image, shape, pixels, small))
        });
        let mut counts = IssueCounts { options: self.options, counts: [0; SINGLE] };
        let state = &mut *self.lock();
        state.origins = batch.origins.clone();
        state.rows += looked.len() as u64;
        state.last.clear();
        state.first_row = batch.first_row;
        if let Some(gallery) = &mut state.gallery {
            gallery.begin_batch(looked.len());
        }
        for (row, looked) in (batch.first_row..).zip(looked) {
            let Some((shape, scores, print)) = looked else {
                state.last.push(None);
                continue;
            };
            state.images += 1;
            if let Some(gallery) = &mut state.gallery {
                gallery.see((row - batch.first_row) as usize, shape);
            }
            state.note_shape(row, shape);
            let flags = state.note_scores(&self.options, row, &scores);
            counts.counts.iter_mut().enumerate().for_each(|(at, count)| *count += u64::from(flags >> at & 1));
            let flags = flags | state.note_duplicates(&self.options, row, print)?;
            state.last.push(Some(flags));
        }
        if let Some(gallery) = &mut state.gallery {
            gallery.end_batch(batch);
        }
        if let Some(profiler) = &self.profiler {
            profiler.add_issues(batch.pixel_type, counts)?;
        }
        Ok(())
    }

    fn columns(&mut self, _: &Observed<'_>) -> Result<Vec<ArrayRef>> {
        if !self.has_column {
            return Ok(Vec::new());
        }
        let mut lists = ListBuilder::new(StringBuilder::new());
        for flags in &self.lock().last {
            for (name, issue) in Issue::NAMES {
                if flags.is_some_and(|flags| flags >> *issue as u16 & 1 == 1) {
                    lists.values().append_value(name);
                }
            }
            lists.append(flags.is_some());
        }
        Ok(vec![Arc::new(lists.finish())])
    }
}
