//! Why a row cannot be featurized.

use std::fmt;

/// Why a row cannot be featurized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// The image is null or its key is missing.
    NullImage,
    /// The image has another number of values, rows or columns than the shape asks for.
    WrongLength,
    /// A pixel, or a row of pixels, is null.
    NullPixel,
    /// A value does not fit the pixel type.
    OutOfRange,
    /// A value has a fraction and the pixel type is an integer.
    NotAnInteger,
    /// A value is infinite or not a number.
    NotFinite,
    /// The image is no array of numbers.
    Unparsable,
    /// An encoded image that does not decode, or is too large to be decoded.
    Undecodable,
    /// An encoded image has 8-bit pixels where the run's are 16-bit, or the other way round: one type of a run would
    /// give one number two meanings.
    WrongDepth,
    /// The whole line is not JSON, or its other columns are not of their types. Such a row has no place in the output:
    /// it is an error unless there is a quarantine to take it.
    BrokenLine,
    /// A check fails on the row. It is never counted in a run's report, since the row has its features: it tells a quarantine
    /// why it gets the row.
    FailedCheck,
}

impl Reason {
    /// Every reason, in the order of reports.
    pub const ALL: [Reason; 11] = [
        Reason::NullImage,
        Reason::WrongLength,
        Reason::NullPixel,
        Reason::OutOfRange,
        Reason::NotAnInteger,
        Reason::NotFinite,
        Reason::Unparsable,
        Reason::Undecodable,
        Reason::WrongDepth,
        Reason::BrokenLine,
        Reason::FailedCheck,
    ];

    /// The name that reports and quarantine files use, such as `out_of_range`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::NullImage => "null_image",
            Reason::WrongLength => "wrong_length",
            Reason::NullPixel => "null_pixel",
            Reason::OutOfRange => "out_of_range",
            Reason::NotAnInteger => "not_an_integer",
            Reason::NotFinite => "not_finite",
            Reason::Unparsable => "unparsable",
            Reason::Undecodable => "undecodable",
            Reason::WrongDepth => "wrong_depth",
            Reason::BrokenLine => "broken_line",
            Reason::FailedCheck => "failed_check",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NullImage => "null image",
            Reason::WrongLength => "wrong length",
            Reason::NullPixel => "null pixel",
            Reason::OutOfRange => "out of range",
            Reason::NotAnInteger => "not an integer",
            Reason::NotFinite => "not finite",
            Reason::Unparsable => "unparsable",
            Reason::Undecodable => "undecodable",
            Reason::WrongDepth => "wrong depth",
            Reason::BrokenLine => "broken line",
            Reason::FailedCheck => "failed check",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_reasons() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.name()), Some(reason));
        }
    }
}
