//! What a run did with its rows.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::reason::Reason;
use crate::base::shape::{ImageShape, PixelType};
use crate::images::defect::Defect;

/// What became of the rows of a run: each is featurized or counted under a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Rows read.
    pub rows_in: u64,
    /// Rows with features.
    pub rows_featurized: u64,
    /// Rows without features, by reason; only reasons that occurred.
    pub rows_invalid: BTreeMap<Reason, u64>,
    /// The narrowest pixel type that would hold the values that did not fit, if there is one.
    pub fits: Option<PixelType>,
    /// Whether rows were invalid only because of their size, and resizing or a ragged run would take them.
    pub other_sizes: bool,
    /// The shape of the images as featurized; the most common one where each has its own.
    pub shape: ImageShape,
    /// The type they were computed in.
    pub pixel_type: PixelType,
    /// Rows computed on the CPU.
    pub rows_on_cpu: u64,
    /// Rows computed on a GPU.
    pub rows_on_gpu: u64,
    /// The adapter, if a GPU computed or should have.
    pub adapter: Option<String>,
    /// Why this backend.
    pub backend_reason: String,
    /// What the reader has to say.
    pub warnings: Vec<String>,
}

impl Report {
    pub(crate) fn new(shape: ImageShape, pixel_type: PixelType) -> Self {
        Self {
            rows_in: 0,
            rows_featurized: 0,
            rows_invalid: BTreeMap::new(),
            fits: None,
            other_sizes: false,
            shape,
            pixel_type,
            rows_on_cpu: 0,
            rows_on_gpu: 0,
            adapter: None,
            backend_reason: String::new(),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn count(&mut self, rows: usize, defects: &[Defect]) {
        self.rows_in += rows as u64;
        self.rows_featurized += (rows - defects.len()) as u64;
        for defect in defects {
            *self.rows_invalid.entry(defect.reason).or_default() += 1;
            // A float run takes what an integer one would.
            self.fits = match (self.fits, defect.fits) {
                (Some(PixelType::F32), _) | (_, Some(PixelType::F32)) => Some(PixelType::F32),
                (known, new) => new.or(known),
            };
        }
    }

    /// Rows without features.
    pub fn invalid(&self) -> u64 {
        self.rows_invalid.values().sum()
    }

    /// Which processor computed: `cpu`, `gpu`, or `cpu+gpu` if both did.
    pub fn backend(&self) -> &'static str {
        match (self.rows_on_cpu, self.rows_on_gpu) {
            (_, 0) => "cpu",
            (0, _) => "gpu",
            _ => "cpu+gpu",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} rows featurized, {} {} images",
            self.rows_featurized, self.rows_in, self.shape, self.pixel_type
        )?;
        if self.invalid() > 0 {
            let reasons: Vec<_> = self.rows_invalid.iter().map(|(reason, rows)| format!("{rows} {reason}")).collect();
            write!(f, "\n{} rows invalid: {}", self.invalid(), reasons.join(", "))?;
        }
        if let Some(fits) = self.fits {
            write!(f, "\nsome values do not fit {}; pixel type {fits} would take them", self.pixel_type)?;
        }
        if self.other_sizes {
            write!(
                f,
                "\nsome images are not {}: resize brings all to one size, ragged takes each as it is",
                self.shape
            )?;
        }
        for warning in &self.warnings {
            write!(f, "\nwarning: {warning}")?;
        }
        write!(f, "\ncomputed on {}", self.backend())?;
        if let Some(adapter) = &self.adapter {
            write!(f, " ({adapter})")?;
        }
        write!(f, ": {}", self.backend_reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_and_the_widest_need_wins() {
        let mut report = Report::new(ImageShape::gray(1, 1).unwrap(), PixelType::U8);
        let bad = |row, fits| Defect::new(row, Reason::OutOfRange, "").with_fits(fits);
        report.count(10, &[bad(1, Some(PixelType::U16))]);
        assert_eq!(report.fits, Some(PixelType::U16));
        report.count(5, &[bad(0, Some(PixelType::F32)), bad(2, None), Defect::new(3, Reason::NullImage, "")]);
        report.count(1, &[bad(0, Some(PixelType::U16))]);
        assert_eq!((report.rows_in, report.rows_featurized, report.invalid()), (16, 11, 5));
        assert_eq!(report.fits, Some(PixelType::F32));
        let text = report.to_string();
        assert!(text.contains("5 rows invalid: 1 null image, 4 out of range"), "{text}");
        assert!(text.contains("pixel type f32 would take them"), "{text}");
    }
}
