//! What checks found, as text, JSON and JUnit XML.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::rule::Severity;
use crate::base::error::{Error, Result};
use crate::base::text::escaped;
use crate::quality::dimension::Dimension;

/// A row that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedRow {
    /// The file, where the reader names one.
    pub file: Option<String>,
    /// The row in that file, from 0.
    pub row: u64,
    /// The value, shortened.
    pub value: String,
}

/// What a check found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckResult {
    /// The name of the check.
    pub check: String,
    /// The column, feature or measure.
    pub target: Option<String>,
    /// How bad it is if it fails.
    pub severity: Severity,
    /// What it says of the data.
    pub dimension: Dimension,
    /// Whether it holds.
    pub passed: bool,
    /// The number, values or names that were observed.
    pub observed: Value,
    /// What was expected, in words.
    pub expected: String,
    /// Rows that were looked at, for checks of rows.
    pub elements: u64,
    /// Rows without a value.
    pub missing: u64,
    /// Rows that are not as expected. Of duplicates every copy counts.
    pub unexpected: u64,
    /// The first of these; of duplicates the first copies behind a value's first occurrence.
    pub rows: Vec<FailedRow>,
}

/// What all checks found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// In the order of the checks.
    pub results: Vec<CheckResult>,
}

impl CheckResult {
    /// Its name, and what was observed where something else was expected.
    fn sentence(&self) -> String {
        let observed = match &self.observed {
            Value::Null => "nothing".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let expected = if self.expected.is_empty() { String::new() } else { format!(", expected {}", self.expected) };
        format!("{}: observed {observed}{expected}", self.check)
    }

    pub(in crate::quality) fn word(&self) -> &'static str {
        match (self.passed, self.severity) {
            (true, _) => "passed",
            (false, Severity::Warning) => "warning",
            (false, Severity::Error) => "failed",
        }
    }
}

impl CheckReport {
    /// The checks of a severity that failed.
    pub fn failed(&self, severity: Severity) -> impl Iterator<Item = &CheckResult> {
        self.results.iter().filter(move |result| !result.passed && result.severity == severity)
    }

    /// Fails if a check of severity error does.
    ///
    /// # Errors
    /// [`Error::ChecksFailed`].
    pub fn verdict(&self) -> Result<()> {
        let failed: Vec<&CheckResult> = self.failed(Severity::Error).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let told: Vec<String> = failed.iter().take(3).map(|result| result.sentence()).collect();
        let more = if failed.len() > 3 { "; …" } else { "" };
        let message = format!("{} of {} checks failed: {}{more}", failed.len(), self.results.len(), told.join("; "));
        Err(Error::ChecksFailed { failed: failed.len(), message })
    }

    /// As JSON: `success`, `checks`, `failed`, `warnings` and `results`. The results have a `dimension`, and the keys of Great
    /// Expectations where it has one: `success`, `observed_value`, `element_count`, `missing_count`, `unexpected_count`,
    /// `unexpected_percent` (of the rows that are not null), `partial_unexpected_list`, `unexpected_index_list`.
    pub fn to_json(&self) -> Value {
        let result = |of: &CheckResult| {
            let present = of.elements - of.missing;
            let percent = (present > 0).then(|| 100.0 * of.unexpected as f64 / present as f64);
            let index: Vec<Value> = of.rows.iter().map(|row| json!({ "file": row.file, "row": row.row })).collect();
            json!({
                "check": of.check,
                "target": of.target,
                "severity": of.severity.to_string(),
                "dimension": of.dimension.to_string(),
                "success": of.passed,
                "observed_value": of.observed,
                "expected": of.expected,
                "element_count": of.elements,
                "missing_count": of.missing,
                "unexpected_count": of.unexpected,
                "unexpected_percent": percent,
                "partial_unexpected_list": of.rows.iter().map(|row| &row.value).collect::<Vec<_>>(),
                "unexpected_index_list": index,
            })
        };
        json!({
            "success": self.failed(Severity::Error).next().is_none(),
            "checks": self.results.len(),
            "failed": self.failed(Severity::Error).count(),
            "warnings": self.failed(Severity::Warning).count(),
            "results": self.results.iter().map(result).collect::<Vec<_>>(),
        })
    }

    /// As JUnit XML, for programs that show the results of tests. A warning is a test that passes and says something.
    pub fn to_junit(&self) -> String {
        let failures = self.failed(Severity::Error).count();
        let count = self.results.len();
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"checks\" tests=\"{count}\" \
             failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n"
        );
        for of in &self.results {
            let target = escaped(of.target.as_deref().unwrap_or("table"));
            let _ = write!(xml, "<testcase classname=\"{target}\" name=\"{}\"", escaped(&of.check));
            let rows: String = of.rows.iter().map(|row| format!("{row}\n")).collect();
            let _ = match of.word() {
                "failed" => writeln!(
                    xml,
                    ">\n<failure message=\"{}\">{}</failure>\n</testcase>",
                    escaped(&of.sentence()),
                    escaped(&rows)
                ),
                "warning" => {
                    writeln!(
                        xml,
                        ">\n<system-out>{}</system-out>\n</testcase>",
                        escaped(&format!("{}\n{rows}", of.sentence()))
                    )
                }
                _ => writeln!(xml, "/>"),
            };
        }
        xml + "</testsuite>\n</testsuites>\n"
    }
}

impl fmt::Display for FailedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        write!(f, "row {}: {}", self.row, self.value)
    }
}

impl fmt::Display for CheckReport {
    /// A line for each check, and below it the rows to blame.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for of in &self.results {
            match of.passed {
                true => writeln!(f, "{:8}{}", of.word(), of.check)?,
                false => writeln!(f, "{:8}{}", of.word(), of.sentence())?,
            }
            if !of.passed {
                of.rows.iter().try_for_each(|row| writeln!(f, "          {row}"))?;
                let more = of.unexpected.saturating_sub(of.rows.len() as u64);
                if more > 0 && !of.rows.is_empty() {
                    writeln!(f, "          and {more} more")?;
                }
            }
        }
        let (failed, warnings) = (self.failed(Severity::Error).count(), self.failed(Severity::Warning).count());
        write!(f, "{} checks, {failed} failed, {warnings} warnings", self.results.len())
    }
}
