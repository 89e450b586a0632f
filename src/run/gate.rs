//! The gate at the end of a run: too many rows without features are an error, which says what they have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::base::error::{Error, Result};
use crate::base::reason::Reason;
use crate::base::shape::{ImageShape, PixelType};
use crate::base::text::{Limit, grouped};
use crate::images::defect::Defect;
use crate::run::report::Report;

/// How many rows of a run may be without features. It is written as a number of rows (`100`) or as a share (`1%`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum MaxInvalid {
    /// A run fails if it has rows and none of them could be featurized.
    #[default]
    AllButOne,
    /// So many rows. The run ends at the first row beyond them.
    Rows(u64),
    /// So many of a hundred rows, 0 to 100. This is judged at the end of the input. 100 lets every run pass.
    Percent(f64),
}

impl MaxInvalid {
    /// Whether a run that has ended has too many rows without features. A run without rows has not.
    fn is_exceeded(self, rows: u64, invalid: u64) -> bool {
        match self {
            MaxInvalid::AllButOne => rows > 0 && invalid == rows,
            MaxInvalid::Rows(allowed) => invalid > allowed,
            MaxInvalid::Percent(percent) => invalid as f64 * 100.0 > percent * rows as f64,
        }
    }
}

impl fmt::Display for MaxInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxInvalid::AllButOne => f.write_str("all but one"),
            MaxInvalid::Rows(rows) => write!(f, "{rows}"),
            MaxInvalid::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for MaxInvalid {
    type Err = Error;

    /// Reads `N` or `N%`.
    fn from_str(text: &str) -> Result<Self> {
        Ok(match Limit::parse("max invalid", "rows", text)? {
            Limit::Number(rows) => MaxInvalid::Rows(rows),
            Limit::Percent(percent) => MaxInvalid::Percent(percent),
        })
    }
}

/// So many kinds of defects are told apart. Further ones count under their reason alone.
const KINDS: usize = 64;

/// Watches the defects of a run.
pub(crate) struct Gate {
    allowed: MaxInvalid,
    /// Rows by their number of values, where that is what is wrong with them.
    lengths: BTreeMap<usize, u64>,
    /// Rows by what is at fault in words.
    details: BTreeMap<(Reason, String), u64>,
    /// The place of the first invalid row.
    first: Option<String>,
}

impl Gate {
    pub fn new(allowed: MaxInvalid) -> Self {
        Self { allowed, lengths: BTreeMap::new(), details: BTreeMap::new(), first: None }
    }

    /// Notes a row without features. `place` says where it is.
    pub fn note(&mut self, defect: &Defect, place: impl FnOnce() -> String) {
        if let Some(values) = defect.values
            && (self.lengths.len() < KINDS || self.lengths.contains_key(&values))
        {
            *self.lengths.entry(values).or_default() += 1;
        }
        let kind = (defect.reason, defect.detail.clone());
        if self.details.len() < KINDS || self.details.contains_key(&kind) {
            *self.details.entry(kind).or_default() += 1;
        }
        self.first.get_or_insert_with(place);
    }

    /// Fails as soon as no further row can make the run succeed.
    ///
    /// # Errors
    /// [`Error::TooManyInvalid`].
    pub fn check(&self, report: &Report, original: ImageShape) -> Result<()> {
        let is_over = matches!(self.allowed, MaxInvalid::Rows(allowed) if report.invalid() > allowed);
        if is_over { Err(self.error(report, original)) } else { Ok(()) }
    }

    /// Judges a run that has come to its end. `original` is the shape that images should have in their column.
    ///
    /// # Errors
    /// [`Error::TooManyInvalid`].
    pub fn finish(&self, report: &Report, original: ImageShape) -> Result<()> {
        let is_over = self.allowed.is_exceeded(report.rows_in, report.invalid());
        if is_over { Err(self.error(report, original)) } else { Ok(()) }
    }

    fn verdict(&self, rows: u64, invalid: u64) -> String {
        match rows {
            1 => "the only row could not be featurized".to_owned(),
            _ if invalid == rows => format!("none of {} rows could be featurized", grouped(rows)),
            _ => {
                let (invalid, rows) = (grouped(invalid), grouped(rows));
                format!("{invalid} of {rows} rows could not be featurized, more than {}", self.allowed)
            }
        }
    }

    fn error(&self, report: &Report, original: ImageShape) -> Error {
        let (rows, invalid) = (report.rows_in, report.invalid());
        let mut why = Vec::new();
        let most = self.lengths.iter().max_by_key(|(_, rows)| **rows).map(|(&values, &rows)| (values, rows));
        let wrong_lengths = report.rows_invalid.get(&Reason::WrongLength).copied().unwrap_or(0);
        if let Some((values, of)) = most.filter(|(_, of)| 2 * of > wrong_lengths) {
            why.push(format!("{} have {values} values", counted(of)));
            why.push(format!("{original} is {}", original.values()));
            if let Some(shape) = fitting(values, original) {
                why.push(format!("did you mean {shape}?"));
            }
        }
        for (&reason, &of) in &report.rows_invalid {
            if reason == Reason::WrongLength && most.is_some_and(|(_, most)| 2 * most > wrong_lengths) {
                continue;
            }
            let details = self.details.iter().filter(|((of, _), _)| *of == reason);
            let detail = details.max_by_key(|(_, rows)| **rows).map(|((_, detail), _)| detail.as_str());
            let detail = detail.filter(|detail| !detail.is_empty() && *detail != "null");
            why.push(format!("{} {reason}{}", counted(of), detail.map(|d| format!(" ({d})")).unwrap_or_default()));
        }
        if let Some(fits) = report.fits {
            why.push(match fits {
                PixelType::F32 => "pixel type f32 would take values that do not fit".to_owned(),
                fits => format!("pixel type {fits} would take most values that do not fit"),
            });
        }
        if report.other_sizes {
            why.push("resize or ragged would take images of other sizes".to_owned());
        }
        if let Some(first) = &self.first {
            why.push(format!("the first is {first}"));
        }
        let message = format!("{}: {}", self.verdict(rows, invalid), why.join("; "));
        Error::TooManyInvalid { rows, invalid, message }
    }
}

fn counted(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{} rows", grouped(rows)) }
}

/// A shape of so many values: one that shares channels and a side with `wanted`, or a square one.
fn fitting(values: usize, wanted: ImageShape) -> Option<ImageShape> {
    let channels = [wanted.channels(), 1, 3, 4].into_iter().filter(|channels| values.is_multiple_of(*channels));
    let square = channels.clone().find_map(|channels| {
        let side = ImageShape::square(values / channels)?.height();
        ImageShape::new(side, side, channels).ok()
    });
    square.or_else(|| {
        let pixels = values.is_multiple_of(wanted.channels()).then(|| values / wanted.channels())?;
        let shape = match (pixels % wanted.height(), pixels % wanted.width()) {
            (0, _) => ImageShape::new(wanted.height(), pixels / wanted.height(), wanted.channels()),
            (_, 0) => ImageShape::new(pixels / wanted.width(), wanted.width(), wanted.channels()),
            _ => return None,
        };
        shape.ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> ImageShape {
        text.parse().unwrap()
    }

    #[test]
    fn limits_are_read_as_they_are_written_and_hold_at_their_edges() {
        for text in ["0", "100", "0%", "1%", "2.5%", "100%"] {
            assert_eq!(text.parse::<MaxInvalid>().unwrap().to_string(), text);
        }
        for text in ["", "%", "-1", "101%", "x", "1.5", "NaN%"] {
            assert!(text.parse::<MaxInvalid>().is_err(), "{text}");
        }
        for (limit, rows, invalid, over) in [
            (MaxInvalid::AllButOne, 0, 0, false),
            (MaxInvalid::AllButOne, 2, 1, false),
            (MaxInvalid::AllButOne, 1, 1, true),
            (MaxInvalid::Rows(0), 9, 0, false),
            (MaxInvalid::Rows(0), 9, 1, true),
            (MaxInvalid::Percent(1.0), 100, 1, false),
            (MaxInvalid::Percent(1.0), 100, 2, true),
            (MaxInvalid::Percent(0.0), 0, 0, false),
            (MaxInvalid::Percent(100.0), 5, 5, false),
        ] {
            assert_eq!(limit.is_exceeded(rows, invalid), over, "{limit}, {invalid} of {rows}");
        }
    }

    #[test]
    fn a_shape_that_fits_is_named() {
        for (values, wanted, expected) in [
            (784, "28x27", Some("28x28")),
            (3072, "32x32", Some("32x32x3")),
            (3072, "32x31x3", Some("32x32x3")),
            (1024, "32x32x3", Some("32x32")),
            (60, "5x10", Some("5x12")),
            (60, "7x10", Some("6x10")),
            (61, "7x10", None),
            (0, "7x10", None),
        ] {
            let found = fitting(values, shape(wanted)).map(|shape| shape.to_string());
            assert_eq!(found.as_deref(), expected, "{values} for {wanted}");
        }
    }
}
