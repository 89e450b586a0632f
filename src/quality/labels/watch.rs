//! Collects features and labels while a run goes on.

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::confident::{ConfidentLabels, largest};
use super::cross::{FOLDS, probabilities};
use super::report::{LISTED, LabelReport, SuspiciousRow};
use crate::base::error::{Error, Result};
use crate::base::random::Random;
use crate::base::text::grouped;
use crate::quality::classes::Labels;
use crate::quality::features::{FeatureValues, valid_rows};
use crate::run::observe::{Observed, Observer};
use crate::run::origins::RowOrigins;

/// So many rows are kept by default.
const ROWS: usize = 20_000;
/// So many features of all rows are kept at most: 64 MB.
const VALUES: usize = 1 << 24;
/// More classes than these are not told apart.
const CLASSES: usize = 1_000;
/// So many weights may a model have.
const WEIGHTS: usize = 1 << 20;
/// Chooses the rows that are kept.
const SEED: u64 = 0x006e_6f69_7365;

/// Estimates how many labels are wrong, and finds them, by confident learning (C. Northcutt, L. Jiang, I. Chuang, *Confident
/// Learning: Estimating Uncertainty in Dataset Labels*, JAIR 70, 2021). Clones share what they have seen.
///
/// While a run goes on it keeps the features and labels of up to 20,000 rows, chosen by a hash of their numbers, and fewer if there
/// are more than 838 features. Then a multinomial logistic regression on standardised features learns from four fifths of them and
/// judges the other fifth, five times, so that each row has the probabilities of a model that has not seen it. From these follow the
/// estimates as in cleanlab 2.9 ([`LabelReport`]). The result does not depend on batches, threads or the CPU.
///
/// It can only find what its features tell apart. A row is suspicious as well if it is hard, or unlike the others of its class.
///
/// In a second epoch the same rows come again, so it is for runs of one.
///
/// ```
/// use pixelfeat::quality::LabelWatch;
/// use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, StreamOptions, synthetic};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let watch = LabelWatch::new("label");
/// let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, FeatureSpec::default());
/// let options = StreamOptions::default().with_observer(Box::new(watch.clone()));
/// for batch in featurizer.stream_with(synthetic::Digits::new(500, 1, 500), options)? {
///     let _ = batch?;
/// }
/// let report = watch.report()?;
/// assert_eq!((report.sampled, report.classes.len()), (500, 10));
/// assert!(report.noise < 0.1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LabelWatch {
    column: String,
    rows: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Rows with a label and features.
    rows: u64,
    left_out: u64,
    /// Features of a row, once a row has come.
    width: usize,
    /// The classes by their text, numbered as they come.
    classes: BTreeMap<String, usize>,
    /// The hashes of the rows that are kept, their numbers and places; the largest is on top.
    kept: BinaryHeap<(u64, u64, usize)>,
    /// By place.
    features: Vec<f32>,
    labels: Vec<usize>,
    origins: RowOrigins,
    /// What was found in the rows so far.
    report: Option<LabelReport>,
}

impl State {
    /// The number of a class.
    fn class(&mut self, name: &str, column: &str) -> Result<usize> {
        if let Some(class) = self.classes.get(name) {
            return Ok(*class);
        }
        let (class, most) = (self.classes.len(), CLASSES.min(WEIGHTS / (self.width + 1)));
        if class >= most {
            let (most, width) = (grouped(most as u64), grouped(self.width as u64));
            let why = format!("`{column}` has more than {most} classes, too many to tell apart by {width} features");
            return Err(Error::InvalidOption { option: "label noise", why });
        }
        self.classes.insert(name.to_owned(), class);
        Ok(class)
    }

    /// Keeps a row if its hash is among the smallest.
    fn keep(&mut self, row: u64, class: usize, features: &[f32], rows: usize) {
        let hash = Random::new(SEED, row).bits();
        let place = self.labels.len();
        if place < rows {
            self.kept.push((hash, row, place));
            self.labels.push(class);
            self.features.extend_from_slice(features);
        } else if let Some(mut top) = self.kept.peek_mut().filter(|top| (hash, row) < (top.0, top.1)) {
            let place = top.2;
            *top = (hash, row, place);
            self.labels[place] = class;
            self.features[place * self.width..][..self.width].copy_from_slice(features);
        }
    }

    /// The classes that have enough rows, in order, with their numbers.
    fn judged_classes(&self) -> Vec<(&str, usize)> {
        let mut counts = vec![0; self.classes.len()];
        self.labels.iter().for_each(|&label| counts[label] += 1);
        let judged = self.classes.iter().filter(|(_, class)| counts[**class] >= FOLDS);
        let mut judged: Vec<(&str, usize)> = judged.map(|(name, class)| (&name[..], *class)).collect();
        let numbers: Option<Vec<f64>> = judged.iter().map(|(name, _)| name.parse().ok()).collect();
        if numbers.is_some() {
            let number = |name: &str| name.parse().unwrap_or(f64::NAN);
            judged.sort_by(|a, b| number(a.0).total_cmp(&number(b.0)));
        }
        judged
    }

    fn judge(&self, column: &str) -> Result<LabelReport> {
        let judged = self.judged_classes();
        let names: Vec<String> = judged.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut class_of = vec![None; self.classes.len()];
        judged.iter().enumerate().for_each(|(at, (_, class))| class_of[*class] = Some(at));
        let mut places: Vec<(u64, usize)> = self.kept.iter().map(|(_, row, place)| (*row, *place)).collect();
        places.sort_unstable();
        places.retain(|(_, place)| class_of[self.labels[*place]].is_some());
        let mut report = LabelReport {
            column: column.to_owned(),
            classes: names,
            rows: self.rows,
            left_out: self.left_out,
            sampled: places.len() as u64,
            rare: (self.labels.len() - places.len()) as u64,
            folds: 0,
            accuracy: f64::NAN,
            confident: Vec::new(),
            joint: Vec::new(),
            noise: f64::NAN,
            suspicious: 0,
            most_suspicious: Vec::new(),
        };
        let classes = report.classes.len();
        if classes < 2 || self.width == 0 {
            return Ok(report);
        }
        let labels: Vec<usize> = places.iter().filter_map(|(_, place)| class_of[self.labels[*place]]).collect();
        let row_of = |place: usize| &self.features[place * self.width..][..self.width];
        let features: Vec<f32> = places.iter().flat_map(|(_, place)| row_of(*place)).copied().collect();
        let probabilities = probabilities(self.width, &features, &labels, classes)?;
        let found = ConfidentLabels::of(&probabilities, &labels, classes);
        let of_row = |at: usize| &probabilities[at * classes..][..classes];
        let right = (0..labels.len()).filter(|&at| largest(of_row(at)) == labels[at]).count();
        report.folds = FOLDS;
        report.accuracy = right as f64 / labels.len() as f64;
        report.noise = found.noise();
        report.suspicious = found.issues.len() as u64;
        let suspicious = |&at: &usize| {
            let (file, row) = self.origins.locate(places[at].0);
            let name = |class: usize| report.classes[class].clone();
            let (given, likely) = (name(labels[at]), name(largest(of_row(at))));
            SuspiciousRow {
                file: file.as_deref().map(str::to_owned),
                row,
                given,
                likely,
                confidence: of_row(at)[labels[at]],
            }
        };
        report.most_suspicious = found.issues.iter().take(LISTED).map(suspicious).collect();
        (report.confident, report.joint) = (found.confident, found.joint);
        Ok(report)
    }
}

impl LabelWatch {
    /// Watches the labels in this column: text, integers or booleans, also as a dictionary.
    pub fn new(column: impl Into<String>) -> Self {
        Self { column: column.into(), rows: ROWS, state: Arc::default() }
    }

    /// Keeps up to this many rows instead of 20,000.
    #[must_use]
    pub fn with_rows(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the rows so far tell. It learns from them, on Rayon's threads, if nobody has asked since the last row; at the end of a
    /// stream that is done already.
    ///
    /// # Errors
    /// None that is known: features that are not finite are left out.
    pub fn report(&self) -> Result<LabelReport> {
        let state = self.lock();
        if let Some(report) = &state.report {
            return Ok(report.clone());
        }
        // Nobody waits while the model learns, least of all another task of the same pool of threads.
        let seen = state.clone();
        drop(state);
        let report = seen.judge(&self.column)?;
        let mut state = self.lock();
        if (state.rows, state.left_out) == (seen.rows, seen.left_out) {
            state.report = Some(report.clone());
        }
        Ok(report)
    }
}

impl Observer for LabelWatch {
    /// # Errors
    /// [`Error::NoSuchColumn`] and [`Error::UnsupportedColumn`] for the label column; [`Error::InvalidOption`] if there are more
    /// than 1,000 classes, or so many that a model of all features would have more than 2²⁰ weights.
    fn observe(&mut self, batch: &Observed<'_>) -> Result<()> {
        let labels = Labels::of(batch, &self.column)?;
        let features = FeatureValues::of(batch)?;
        let state = &mut *self.lock();
        state.origins = batch.origins.clone();
        state.report = None;
        let width = batch.layout.stride();
        if !state.labels.is_empty() && state.width != width {
            let why = format!("a row has {width} features, others have {}", state.width);
            return Err(Error::InvalidOption { option: "label noise", why });
        }
        state.width = width;
        let rows = self.rows.min(VALUES / width.max(1));
        let before = state.rows;
        let mut values = Vec::new();
        for row in valid_rows(batch) {
            if !features.is_usual(row) {
                continue;
            }
            values.clear();
            features.row(row, &mut values);
            if values.len() != width || values.iter().any(|value| !value.is_finite()) {
                continue;
            }
            let class = labels.with(row, |name| name.map(|name| state.class(name, &self.column)).transpose())?;
            if let Some(class) = class {
                state.rows += 1;
                state.keep(batch.first_row + row as u64, class, &values, rows);
            }
        }
        state.left_out += batch.input.num_rows() as u64 - (state.rows - before);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.report().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_that_are_kept_do_not_depend_on_their_order() {
        let kept = |rows: &mut dyn Iterator<Item = u64>| {
            let mut state = State { width: 1, ..State::default() };
            rows.for_each(|row| state.keep(row, row as usize % 7, &[row as f32], 100));
            let mut kept: Vec<(u64, usize)> = state.kept.iter().map(|(_, row, place)| (*row, *place)).collect();
            kept.sort_unstable();
            for &(row, place) in &kept {
                assert_eq!((state.labels[place], state.features[place]), (row as usize % 7, row as f32));
            }
            kept.into_iter().map(|(row, _)| row).collect::<Vec<_>>()
        };
        let forwards = kept(&mut (0..1_000));
        assert_eq!(forwards, kept(&mut (0..1_000).rev()));
        assert_eq!(forwards.len(), 100);
        // From everywhere.
        let of_first_half = forwards.iter().filter(|row| **row < 500).count();
        assert!((30..70).contains(&of_first_half), "{of_first_half}");
    }
}
