//! What a model learns from.

use crate::base::error::{Error, Result};

/// Rows of features of one width, and the class of each.
#[derive(Debug, Clone)]
pub struct LabelledRows {
    width: usize,
    pub(super) features: Vec<f64>,
    pub(super) labels: Vec<usize>,
    classes: usize,
}

impl LabelledRows {
    /// `features` are `width` values for each row, row after row. `labels` tell the class of each row, from 0 to below `classes`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if there are no rows, if a label or the number of features does not fit, or if a feature is
    /// infinite or not a number.
    pub fn new(width: usize, features: Vec<f64>, labels: Vec<usize>, classes: usize) -> Result<Self> {
        let why = if labels.is_empty() || width == 0 {
            "there are no rows of features to learn from".to_owned()
        } else if labels.len().checked_mul(width) != Some(features.len()) {
            format!("{} rows of {width} values are not {} values", labels.len(), features.len())
        } else if let Some(label) = labels.iter().find(|label| **label >= classes) {
            format!("there is no class {label} among {classes}")
        } else if let Some(value) = features.iter().find(|value| !value.is_finite()) {
            format!("a model cannot learn from {value}")
        } else {
            return Ok(Self { width, features, labels, classes });
        };
        Err(Error::InvalidOption { option: "features", why })
    }

    /// The features of each row.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.features.chunks_exact(self.width)
    }

    /// The class of each row.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Features of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }
}
