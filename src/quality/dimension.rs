//! What a finding says of the quality of data.

use crate::base::text::names;

/// The six dimensions of the quality of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// Whether all is there.
    Completeness,
    /// Whether all has the types, shapes and values that it should have.
    Consistency,
    /// Whether the values are right: labels and images.
    Accuracy,
    /// Whether the data are recent.
    Freshness,
    /// Whether they are distributed as those that they stand for.
    Representativeness,
    /// Whether each thing is there once.
    Uniqueness,
}

names!("dimension", Dimension {
    "completeness" => Completeness,
    "consistency" => Consistency,
    "accuracy" => Accuracy,
    "freshness" => Freshness,
    "representativeness" => Representativeness,
    "uniqueness" => Uniqueness,
});

impl Dimension {
    /// By the name that the Open Data Contract Standard has for it; `None` for others.
    pub(super) fn of_standard(name: &str) -> Option<Self> {
        Some(match name {
            "completeness" => Self::Completeness,
            "conformity" | "consistency" => Self::Consistency,
            "accuracy" => Self::Accuracy,
            "timeliness" => Self::Freshness,
            "coverage" => Self::Representativeness,
            "uniqueness" => Self::Uniqueness,
            _ => return None,
        })
    }
}
