//! What a check asks.

use std::collections::BTreeSet;
use std::fmt;

use crate::base::text::names;

/// How bad it is if a check fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Severity {
    /// It is told.
    Warning,
    /// The run fails, and no output appears.
    #[default]
    Error,
}

names!("severity", Severity { "warning" => Warning, "error" => Error });

/// One thing that must hold.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Check {
    /// What reports call it.
    pub name: String,
    /// The column, feature or measure of the images, such as `label`, `pixel_mean` or `image.brightness`; `None` for the table.
    pub target: Option<String>,
    /// How bad it is if it fails.
    pub severity: Severity,
    pub(super) rule: Rule,
    pub(super) require: Require,
}

/// What is looked at.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Each row.
    Row(RowRule),
    /// Values that occur more than once.
    Duplicates(Vec<String>),
    /// A number that the profile tells.
    Number(Statistic),
    /// The different values.
    Values(SetRule, Set),
    /// The names of the columns.
    Columns(BTreeSet<String>),
}

/// What makes a row unexpected.
#[derive(Debug, Clone)]
pub(super) enum RowRule {
    Null,
    /// A null, or one of these.
    Missing(Set),
    Outside(Bounds),
    NotIn(Set),
    In(Set),
    /// Whether the text must match, and the pattern.
    Pattern(bool, regex_lite::Regex),
    /// The length of text in characters, or of a list.
    Length(Bounds),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum SetRule {
    Equal,
    Within,
    Contain,
    MostCommonWithin,
}

/// Numbers of a profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Statistic {
    Rows,
    Columns,
    Mean,
    Std,
    Min,
    Max,
    Sum,
    Quantile(f64),
    Distinct,
    DistinctShare,
}

/// Numbers and texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    /// Sorted.
    pub numbers: Vec<f64>,
    pub texts: BTreeSet<String>,
}

impl Set {
    pub fn has_number(&self, value: f64) -> bool {
        self.numbers.binary_search_by(|known| known.total_cmp(&(value + 0.0))).is_ok()
    }
}

/// A range whose ends belong to it or not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub strict_min: bool,
    pub strict_max: bool,
}

impl Bounds {
    pub fn hold(&self, value: f64) -> bool {
        let above = self.min.is_none_or(|min| value > min || !self.strict_min && value == min);
        let below = self.max.is_none_or(|max| value < max || !self.strict_max && value == max);
        above && below
    }
}

/// What must be so of the number that is observed.
#[derive(Debug, Clone)]
pub(super) enum Require {
    /// This share of the rows that are looked at must be as expected.
    Mostly(f64),
    /// The number of unexpected rows, or their share of all rows in percent.
    Unexpected(Vec<Condition>, bool),
    /// The observed number.
    Number(Vec<Condition>),
    /// That the rule holds is all.
    Holds,
}

/// A comparison of the observed number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition {
    Be(f64),
    NotBe(f64),
    Within(Bounds),
    NotWithin(Bounds),
}

impl Condition {
    pub fn holds(&self, observed: f64) -> bool {
        match self {
            Condition::Be(value) => observed == *value,
            Condition::NotBe(value) => observed != *value,
            Condition::Within(bounds) => bounds.hold(observed),
            Condition::NotWithin(bounds) => !bounds.hold(observed),
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.min.map(|min| format!("{} {min}", if self.strict_min { ">" } else { ">=" })),
            self.max.map(|max| format!("{} {max}", if self.strict_max { "<" } else { "<=" })),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Be(value) => write!(f, "= {value}"),
            Condition::NotBe(value) => write!(f, "not {value}"),
            Condition::Within(bounds) => write!(f, "{bounds}"),
            Condition::NotWithin(bounds) => write!(f, "not ({bounds})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_include_their_ends_unless_they_are_strict() {
        let bounds = Bounds { min: Some(1.0), max: Some(3.0), strict_min: false, strict_max: true };
        let held: Vec<bool> = [0.9, 1.0, 2.0, 3.0, f64::NAN].map(|value| bounds.hold(value)).to_vec();
        assert_eq!(held, [false, true, true, false, false]);
        assert!(!Condition::NotWithin(bounds).holds(2.0) && Condition::NotWithin(bounds).holds(3.0));
        assert_eq!(bounds.to_string(), ">= 1 and < 3");
    }

    #[test]
    fn both_zeros_are_one_value_of_a_set() {
        let set = Set { numbers: vec![0.0, 2.0], texts: BTreeSet::new() };
        assert!(set.has_number(-0.0) && set.has_number(2.0) && !set.has_number(f64::NAN));
    }
}
