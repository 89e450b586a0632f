//! What a check asks.

use std::collections::BTreeSet;
use std::fmt;

use arrow_schema::DataType;

use crate::base::text::names;
use crate::quality::dimension::Dimension;

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
    /// What it says of the data, where that is told; else its rule tells.
    pub(in crate::quality) dimension: Option<Dimension>,
    pub(in crate::quality) rule: Rule,
    pub(in crate::quality) require: Require,
}

/// What is looked at.
#[derive(Debug, Clone)]
pub(in crate::quality) enum Rule {
    /// Each row.
    Row(RowRule),
    /// Values that occur more than once.
    Duplicates(Vec<String>),
    /// A number that the profile tells.
    Number(Statistic),
    /// The share of the variance of a column that the values of this one explain.
    Explained(String),
    /// The different values.
    Values(SetRule, Set),
    /// The names of the columns.
    Columns(BTreeSet<String>),
    /// The column is there.
    Present,
    /// The type of the column.
    Type(LogicalType),
    /// The type of the items of its lists, of the innermost if lists are nested.
    ItemType(LogicalType),
}

impl Check {
    /// What it says of the data.
    pub fn dimension(&self) -> Dimension {
        self.dimension.unwrap_or_else(|| self.rule.dimension())
    }
}

impl Rule {
    fn dimension(&self) -> Dimension {
        match self {
            Rule::Row(RowRule::Null | RowRule::Missing(_)) | Rule::Present | Rule::Number(Statistic::Rows) => {
                Dimension::Completeness
            }
            Rule::Duplicates(_) | Rule::Number(Statistic::Distinct | Statistic::DistinctShare) => Dimension::Uniqueness,
            Rule::Number(Statistic::Newest | Statistic::Oldest) => Dimension::Freshness,
            Rule::Explained(_) => Dimension::Accuracy,
            Rule::Number(
                Statistic::Mean | Statistic::Median | Statistic::Std | Statistic::Sum | Statistic::Quantile(_),
            )
            | Rule::Values(SetRule::Equal | SetRule::Contain | SetRule::MostCommonWithin, _) => {
                Dimension::Representativeness
            }
            Rule::Row(_)
            | Rule::Number(Statistic::Columns | Statistic::Min | Statistic::Max)
            | Rule::Values(SetRule::Within, _)
            | Rule::Columns(_)
            | Rule::Type(_)
            | Rule::ItemType(_) => Dimension::Consistency,
        }
    }
}

/// What makes a row unexpected.
#[derive(Debug, Clone)]
pub(in crate::quality) enum RowRule {
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
    /// The items of a list, of all levels if lists are nested.
    Items(Bounds),
    /// The image cannot be featurized, though it is there.
    Image,
}

/// The types of the Open Data Contract Standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::quality) enum LogicalType {
    Text,
    Date,
    Timestamp,
    Time,
    Number,
    Integer,
    Object,
    Array,
    Boolean,
    Map,
    Vector,
}

names!("logicalType", LogicalType {
    "string" => Text,
    "date" => Date,
    "timestamp" => Timestamp,
    "time" => Time,
    "number" => Number,
    "integer" => Integer,
    "object" => Object,
    "array" => Array,
    "boolean" => Boolean,
    "map" => Map,
    "vector" => Vector,
});

impl LogicalType {
    /// Whether a column of an Arrow type has values of this type. JSON has no times, so text may stand for them.
    pub fn takes(self, data_type: &DataType) -> bool {
        let is_text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let is_list = matches!(
            data_type,
            DataType::List(_)
                | DataType::LargeList(_)
                | DataType::FixedSizeList(..)
                | DataType::ListView(_)
                | DataType::LargeListView(_)
        );
        let is_decimal = matches!(
            data_type,
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..)
        );
        match (self, data_type) {
            // All values are null.
            (_, DataType::Null) => true,
            (of, DataType::Dictionary(_, values)) => of.takes(values),
            (LogicalType::Text, _) => is_text,
            (LogicalType::Date, of) => is_text || matches!(of, DataType::Date32 | DataType::Date64),
            (LogicalType::Timestamp, of) => is_text || matches!(of, DataType::Timestamp(..) | DataType::Date64),
            (LogicalType::Time, of) => is_text || matches!(of, DataType::Time32(_) | DataType::Time64(_)),
            (LogicalType::Number, of) => of.is_integer() || of.is_floating() || is_decimal,
            (LogicalType::Integer, of) => of.is_integer(),
            (LogicalType::Object, of) => matches!(of, DataType::Struct(_) | DataType::Map(..)),
            (LogicalType::Array | LogicalType::Vector, _) => is_list,
            (LogicalType::Boolean, of) => *of == DataType::Boolean,
            (LogicalType::Map, of) => matches!(of, DataType::Map(..) | DataType::Struct(_)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(in crate::quality) enum SetRule {
    Equal,
    Within,
    Contain,
    MostCommonWithin,
}

/// Numbers of a profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::quality) enum Statistic {
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
    Median,
    /// Seconds from the newest time until now.
    Newest,
    /// Seconds from the oldest time until now.
    Oldest,
}

/// Numbers and texts.
#[derive(Debug, Clone, Default)]
pub(in crate::quality) struct Set {
    /// Sorted.
    pub numbers: Vec<f64>,
    /// Whole numbers from 2^53 on, as text: several of them are one as floats.
    pub large: BTreeSet<String>,
    pub texts: BTreeSet<String>,
}

impl Set {
    pub fn has_number(&self, value: f64) -> bool {
        self.numbers.binary_search_by(|known| known.total_cmp(&(value + 0.0))).is_ok()
    }
}

/// A range whose ends belong to it or not.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::quality) struct Bounds {
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
pub(in crate::quality) enum Require {
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
pub(in crate::quality) enum Condition {
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
    fn logical_types_take_the_arrow_types_that_hold_their_values() {
        let list = DataType::new_list(DataType::UInt8, true);
        let coded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let types =
            [DataType::Int64, DataType::Float32, DataType::Utf8, coded, DataType::Date32, DataType::Boolean, list];
        let taken = |logical: LogicalType| types.iter().map(|of| u8::from(logical.takes(of))).collect::<Vec<u8>>();
        assert_eq!(taken(LogicalType::Integer), [1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(taken(LogicalType::Number), [1, 1, 0, 0, 0, 0, 0]);
        assert_eq!(taken(LogicalType::Text), [0, 0, 1, 1, 0, 0, 0]);
        assert_eq!(taken(LogicalType::Date), [0, 0, 1, 1, 1, 0, 0]);
        assert_eq!(taken(LogicalType::Boolean), [0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(taken(LogicalType::Array), [0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn both_zeros_are_one_value_of_a_set() {
        let set = Set { numbers: vec![0.0, 2.0], ..Set::default() };
        assert!(set.has_number(-0.0) && set.has_number(2.0) && !set.has_number(f64::NAN));
    }
}
