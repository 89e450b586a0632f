//! The section of one dimension: its verdict, what was measured and how.

use super::markup::{Cell, Html};
use super::number::compact;
use super::verdict::Verdict;
use crate::base::text::cut;
use crate::quality::checks::{CheckReport, CheckResult, Severity};
use crate::quality::dimension::Dimension;

/// Failed checks whose rows are listed.
const BLAMED: usize = 20;

/// What the page says of one dimension.
#[derive(Debug)]
pub(super) struct Section {
    pub dimension: Dimension,
    /// The definition of what is measured.
    pub how: &'static str,
    pub body: Html,
    reasons: Vec<(Verdict, String)>,
}

impl Section {
    pub fn new(dimension: Dimension, how: &'static str) -> Self {
        Self { dimension, how, body: Html::default(), reasons: Vec::new() }
    }

    /// Adds a reason for a verdict. The worst one counts.
    pub fn judge(&mut self, verdict: Verdict, why: impl Into<String>) {
        self.reasons.push((verdict, why.into()));
    }

    pub fn verdict(&self) -> Verdict {
        self.reasons.iter().map(|(verdict, _)| *verdict).max().unwrap_or(Verdict::Open)
    }

    /// The reasons of the verdict in one sentence, the worst first. What is good is not among them if something is not.
    pub fn sentence(&self) -> String {
        let is_told =
            |of: Verdict| if self.verdict() > Verdict::Good { of > Verdict::Good } else { of == self.verdict() };
        let mut reasons: Vec<&(Verdict, String)> = self.reasons.iter().filter(|(of, _)| is_told(*of)).collect();
        reasons.sort_by_key(|(of, _)| std::cmp::Reverse(*of));
        let mut sentence = reasons.into_iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
        sentence.push('.');
        if let Some(first) = sentence.get(..1).map(str::to_uppercase) {
            sentence.replace_range(..1, &first);
        }
        sentence
    }

    /// Judges by the checks of this dimension, and lists them.
    pub fn checks(&mut self, report: Option<&CheckReport>) {
        let all = report.iter().flat_map(|report| &report.results);
        let mut own: Vec<&CheckResult> = all.filter(|result| result.dimension == self.dimension).collect();
        if own.is_empty() {
            return;
        }
        own.sort_by_key(|result| std::cmp::Reverse(verdict_of(result)));
        for (verdict, severity) in [(Verdict::Bad, "fail"), (Verdict::Look, "warn")] {
            let failed: Vec<&str> =
                own.iter().filter(|of| verdict_of(of) == verdict).map(|of| of.check.as_str()).collect();
            if let Some(first) = failed.first() {
                let of = format!("{} of {} checks {severity}", failed.len(), own.len());
                self.judge(verdict, format!("{of}, the first is “{first}”"));
            }
        }
        if own.iter().all(|result| result.passed) {
            let holds =
                if own.len() == 1 { "its check holds".to_owned() } else { format!("all {} checks hold", own.len()) };
            self.judge(Verdict::Good, holds);
        }
        let row = |of: &&CheckResult| {
            vec![
                Cell::text(&of.check),
                Cell::Mark(verdict_of(of), of.word()),
                Cell::text(observed(of)),
                Cell::text(&of.expected),
            ]
        };
        let rows: Vec<Vec<Cell>> = own.iter().map(row).collect();
        self.body.table("Checks", &["Check", "Result", "Observed", "Expected"], &rows);
        for of in own.iter().filter(|of| !of.passed && !of.rows.is_empty()).take(BLAMED) {
            let rows: Vec<String> = of.rows.iter().map(ToString::to_string).collect();
            self.body.folded(&format!("{}: the first rows to blame", of.check), &rows);
        }
    }
}

fn verdict_of(result: &CheckResult) -> Verdict {
    match (result.passed, result.severity) {
        (true, _) => Verdict::Good,
        (false, Severity::Warning) => Verdict::Look,
        (false, Severity::Error) => Verdict::Bad,
    }
}

fn observed(result: &CheckResult) -> String {
    match &result.observed {
        serde_json::Value::Null => "–".to_owned(),
        serde_json::Value::String(text) => cut(text, 40),
        value => value.as_f64().map_or_else(|| cut(&value.to_string(), 80), compact),
    }
}
