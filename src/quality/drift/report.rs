//! What a comparison is asked, and what it found: as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::base::error::{Error, Result};
use crate::base::text::Limit;

/// How much drift is allowed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DriftOptions {
    /// Thresholds of single columns, in place of 0.1 for a distance and 0.05 for a probability.
    pub thresholds: BTreeMap<String, f64>,
    /// How many columns may have drifted.
    pub max_drift: MaxDrift,
}

/// How many columns may have drifted. It is written as a number (`3`) or as a share (`10%`).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum MaxDrift {
    /// So many columns.
    Columns(u64),
    /// So many of a hundred columns: fewer must have drifted, as in Evidently, whose share is a half.
    Percent(f64),
}

impl Default for MaxDrift {
    fn default() -> Self {
        MaxDrift::Percent(50.0)
    }
}

impl fmt::Display for MaxDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxDrift::Columns(columns) => write!(f, "{columns}"),
            MaxDrift::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for MaxDrift {
    type Err = Error;

    /// Reads `N` or `N%`.
    fn from_str(text: &str) -> Result<Self> {
        Ok(match Limit::parse("max drift", "columns", text)? {
            Limit::Number(columns) => MaxDrift::Columns(columns),
            Limit::Percent(percent) => MaxDrift::Percent(percent),
        })
    }
}

/// How a column is judged: the tests that Evidently 0.7 takes by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriftTest {
    /// Numbers with more than five different values, up to 1,000 rows of reference: the probability of the Kolmogorov–Smirnov
    /// statistic, two-sided.
    KolmogorovSmirnov,
    /// Categories, up to 1,000 rows of reference: the probability of χ².
    ChiSquare,
    /// Two categories, up to 1,000 rows of reference: the probability of the difference of two shares.
    ZTest,
    /// Numbers with more than five different values, beyond 1,000 rows: the first Wasserstein distance ÷ max(σ, 0.001), where σ is
    /// the population standard deviation of the reference.
    Wasserstein,
    /// Categories, beyond 1,000 rows: the Jensen–Shannon distance, which is the root of the divergence in nats.
    JensenShannon,
}

impl DriftTest {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            DriftTest::KolmogorovSmirnov => "K-S p_value",
            DriftTest::ChiSquare => "chi-square p_value",
            DriftTest::ZTest => "Z-test p_value",
            DriftTest::Wasserstein => "Wasserstein distance (normed)",
            DriftTest::JensenShannon => "Jensen-Shannon distance",
        }
    }

    /// Whether low values tell of drift.
    pub(super) fn is_probability(self) -> bool {
        matches!(self, DriftTest::KolmogorovSmirnov | DriftTest::ChiSquare | DriftTest::ZTest)
    }

    pub(super) fn threshold(self) -> f64 {
        if self.is_probability() { 0.05 } else { 0.1 }
    }
}

/// How far one column has moved.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ColumnDrift {
    /// The column, feature, measure of the images (`image.brightness`) or channel (`pixels.0`).
    pub name: String,
    /// The test that judges it; `None` if the columns cannot be compared.
    pub test: Option<DriftTest>,
    /// What the test says: a distance or a probability.
    pub value: Option<f64>,
    /// The distance from which on, or the probability below which, it has drifted.
    pub threshold: Option<f64>,
    /// Whether it has.
    pub drifted: bool,
    /// The population stability index on the deciles of the reference (of categories: on these). Up to 0.1 is usual, and from 0.2
    /// on much.
    pub psi: Option<f64>,
    /// TFDV's Jensen–Shannon divergence, base 2.
    pub divergence: Option<f64>,
    /// TFDV's L∞: the largest difference of the share of a category.
    pub l_infinity: Option<f64>,
    /// The share of nulls in the reference and in the current data.
    pub nulls: [f64; 2],
    /// The first categories that the reference does not have.
    pub new: Vec<String>,
    /// The first categories that only the reference has.
    pub vanished: Vec<String>,
    /// What else there is to say, such as another type.
    pub note: Option<String>,
    /// Whether it is the label.
    pub is_label: bool,
}

impl ColumnDrift {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            test: None,
            value: None,
            threshold: None,
            drifted: false,
            psi: None,
            divergence: None,
            l_infinity: None,
            nulls: [0.0; 2],
            new: Vec::new(),
            vanished: Vec::new(),
            note: None,
            is_label: false,
        }
    }

    /// How far beyond its threshold it is; 1 is at it.
    pub(super) fn severity(&self) -> f64 {
        match (self.test, self.value, self.threshold) {
            (Some(test), Some(value), Some(threshold)) if test.is_probability() => {
                value.max(f64::MIN_POSITIVE).ln() / threshold.ln()
            }
            (_, Some(value), Some(threshold)) => value / threshold,
            _ => f64::from(u8::from(self.drifted)) * 1e9,
        }
    }
}

/// How far two data sets are apart.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DriftReport {
    /// The worst first.
    pub columns: Vec<ColumnDrift>,
    /// Whether more columns have drifted than may.
    pub drifted: bool,
    pub(super) max_drift: MaxDrift,
}

impl DriftReport {
    /// How many columns have drifted.
    pub fn drifted_columns(&self) -> usize {
        self.columns.iter().filter(|column| column.drifted).count()
    }

    /// As JSON: `drifted`, `drifted_columns`, `columns` and the list `results`, the worst first.
    pub fn to_json(&self) -> Value {
        let column = |of: &ColumnDrift| {
            let mut about = Map::new();
            let mut set = |name: &str, value: Value| drop(about.insert(name.to_owned(), value));
            set("column", of.name.clone().into());
            set("drifted", of.drifted.into());
            set("label", of.is_label.into());
            set("test", json!(of.test.map(DriftTest::name)));
            set("value", json!(of.value));
            set("threshold", json!(of.threshold));
            set("psi", json!(of.psi));
            set("js_divergence", json!(of.divergence));
            set("l_infinity", json!(of.l_infinity));
            set("nulls", json!(of.nulls));
            set("new", json!(of.new));
            set("vanished", json!(of.vanished));
            set("note", json!(of.note));
            Value::from(about)
        };
        json!({
            "drifted": self.drifted,
            "max_drift": self.max_drift.to_string(),
            "drifted_columns": self.drifted_columns(),
            "columns": self.columns.len(),
            "results": self.columns.iter().map(column).collect::<Vec<_>>(),
        })
    }

    /// Fails if more columns have drifted than may.
    ///
    /// # Errors
    /// [`Error::Drifted`].
    pub fn verdict(&self) -> Result<()> {
        if !self.drifted {
            return Ok(());
        }
        let names: Vec<&str> =
            self.columns.iter().filter(|column| column.drifted).take(5).map(|column| &column.name[..]).collect();
        let (drifted, columns) = (self.drifted_columns(), self.columns.len());
        let more = if drifted > names.len() { ", …" } else { "" };
        let message = format!(
            "{drifted} of {columns} columns have drifted from the reference, the limit is {}: {}{more}",
            self.max_drift,
            names.join(", ")
        );
        Err(Error::Drifted { columns: drifted, message })
    }
}

impl fmt::Display for DriftReport {
    /// A table of the columns that have drifted, the worst first, and of those that have not in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for of in self.columns.iter().filter(|column| column.drifted) {
            let label = if of.is_label { " (label)" } else { "" };
            write!(f, "drifted {}{label}:", of.name)?;
            if let (Some(test), Some(value), Some(threshold)) = (of.test, of.value, of.threshold) {
                write!(f, " {} {value:.4} (threshold {threshold})", test.name())?;
            }
            if let Some(psi) = of.psi {
                write!(f, ", PSI {psi:.4}")?;
            }
            for (what, names) in [("new", &of.new), ("vanished", &of.vanished)] {
                if !names.is_empty() {
                    write!(f, ", {what}: {}", names.join(", "))?;
                }
            }
            if let Some(note) = &of.note {
                write!(f, " {note}")?;
            }
            writeln!(f)?;
        }
        write!(f, "{} of {} columns have drifted", self.drifted_columns(), self.columns.len())
    }
}
