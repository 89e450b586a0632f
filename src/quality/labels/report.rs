//! What is known of the noise of labels: as JSON, and as a table for people.

use std::fmt;

use serde_json::{Value, json};

use crate::base::text::grouped;

/// So many suspicious rows are listed at most.
pub(super) const LISTED: usize = 100;
/// So many pairs of classes, and so many rows, are shown to people.
const SHOWN: usize = 5;

/// How many labels are probably wrong, and which.
///
/// The rows and columns of the matrices are those of [`LabelReport::classes`]: the class that a row was given, then the class
/// that it likely has. If fewer than two classes have five rows, nothing can be estimated: then `folds` is 0,
/// the matrices and the list are empty, and `accuracy` and `noise` are not numbers (null in JSON).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LabelReport {
    /// The label column.
    pub column: String,
    /// The classes that are told apart, in order: numbers by value, else by their text.
    pub classes: Vec<String>,
    /// Rows with a label and features.
    pub rows: u64,
    /// Rows that lack one of them, or whose features are not finite or not as many as those of the first row.
    pub left_out: u64,
    /// Rows that were kept to learn from, and are judged. The matrices count these.
    pub sampled: u64,
    /// Rows that were kept, but whose class has fewer rows than there are folds. They are not judged.
    pub rare: u64,
    /// Parts into which the sample was cut. Each part is judged by a model of the others.
    pub folds: usize,
    /// How many of the sampled rows have the class that the classifier finds most probable, from 0 to 1.
    pub accuracy: f64,
    /// The confident joint: how many rows of a given class confidently belong to each class.
    pub confident: Vec<Vec<u64>>,
    /// The joint distribution of given and likely classes, estimated for all sampled rows. It sums to 1.
    pub joint: Vec<Vec<f64>>,
    /// The estimated share of wrong labels: what is off the diagonal of `joint`.
    pub noise: f64,
    /// Sampled rows whose label is probably wrong.
    pub suspicious: u64,
    /// The first 100 of these, the worst first.
    pub most_suspicious: Vec<SuspiciousRow>,
}

/// A row whose label is probably wrong.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SuspiciousRow {
    /// The file, where the reader names one.
    pub file: Option<String>,
    /// The row in that file, from 0.
    pub row: u64,
    /// Its label.
    pub given: String,
    /// The class that is most probable for a model that has not learnt from this row.
    pub likely: String,
    /// The probability that this model gives the label.
    pub confidence: f64,
}

impl LabelReport {
    /// The pairs of different classes with a share in the joint distribution: the given class, the likely one and the share,
    /// largest first.
    pub fn confusions(&self) -> Vec<(&str, &str, f64)> {
        let mut pairs = Vec::new();
        for (given, row) in self.classes.iter().zip(&self.joint) {
            let others = self.classes.iter().zip(row).filter(|(likely, share)| *likely != given && **share > 0.0);
            pairs.extend(others.map(|(likely, &share)| (&given[..], &likely[..], share)));
        }
        pairs.sort_by(|a, b| b.2.total_cmp(&a.2));
        pairs
    }

    /// As JSON: an object with the names of the fields.
    pub fn to_json(&self) -> Value {
        let row = |of: &SuspiciousRow| {
            json!({
                "file": of.file,
                "row": of.row,
                "given": of.given,
                "likely": of.likely,
                "confidence": of.confidence,
            })
        };
        json!({
            "column": self.column,
            "classes": self.classes,
            "rows": self.rows,
            "left_out": self.left_out,
            "sampled": self.sampled,
            "rare": self.rare,
            "folds": self.folds,
            "accuracy": self.accuracy,
            "confident": self.confident,
            "joint": self.joint,
            "noise": self.noise,
            "suspicious": self.suspicious,
            "most_suspicious": self.most_suspicious.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

/// The name of a class, with quotes if one would not see where it begins and ends.
fn told(name: &str) -> String {
    let is_plain = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_plain { name.to_owned() } else { format!("{name:?}") }
}

impl fmt::Display for SuspiciousRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        let (row, given, likely) = (self.row, told(&self.given), told(&self.likely));
        write!(f, "row {row}: given {given}, likely {likely}, probability of {given} {:.4}", self.confidence)
    }
}

impl fmt::Display for LabelReport {
    /// The noise, then the pairs of classes that are most confused, then the most suspicious rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, sampled, suspicious, folds, .. } = self;
        if *folds == 0 {
            return write!(f, "label noise of {column} is not known: fewer than two classes have enough rows");
        }
        let (noise, accuracy) = (100.0 * self.noise, 100.0 * self.accuracy);
        write!(
            f,
            "label noise of {column}: {noise:.2} % estimated; {} of {} rows are suspicious; a model of the others predicts \
             {accuracy:.2} % of the labels",
            grouped(*suspicious),
            grouped(*sampled)
        )?;
        for (given, likely, share) in self.confusions().into_iter().take(SHOWN) {
            let (given, likely) = (told(given), told(likely));
            write!(f, "\n          given {given}, likely {likely}: {:.2} %", 100.0 * share)?;
        }
        let shown = &self.most_suspicious[..self.most_suspicious.len().min(SHOWN)];
        shown.iter().try_for_each(|row| write!(f, "\n          {row}"))?;
        match suspicious.saturating_sub(shown.len() as u64) {
            0 => Ok(()),
            more => write!(f, "\n          and {} more", grouped(more)),
        }
    }
}
