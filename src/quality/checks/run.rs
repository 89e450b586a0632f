//! Checks at work: batch after batch, and the verdict at the end.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use serde_json::{Value, json};

use super::groups::Groups;
use super::parse::{Checks, is_of_images};
use super::report::{CheckReport, CheckResult, FailedRow};
use super::rule::{Bounds, Check, Condition, Require, RowRule, Rule, Set, SetRule, Statistic};
use crate::base::error::Result;
use crate::base::reason::Reason;
use crate::base::text::listed;
use crate::base::time::now;
use crate::images::defect::Defect;
use crate::quality::cells::{Cells, KnownCells, Rows};
use crate::quality::column::item_type;
use crate::quality::distinct::mixed;
use crate::quality::numbers::{Numbers, median, quantiles};
use crate::quality::profile::{Profile, Profiler};
use crate::quality::seen::{Seen, Times};
use crate::run::observe::{Observed, Observer};
use crate::run::origins::RowOrigins;
use crate::run::stream::{InvalidRow, OnInvalidRow};

/// How many rows to blame are told for each check.
pub const TOLD: usize = 10;

/// Checks the rows of a run while it runs, or those of a table. Clones share their findings.
///
/// Rows are counted and told as they come; numbers come from the profile of all rows. A check for duplicates keeps 10 to 13 bytes for
/// each different value, all others need memory that does not depend on the number of rows. If a check of severity error fails,
/// the run ends with [`Error::ChecksFailed`](crate::Error::ChecksFailed) behind its last batch, so a file that is written from it does not appear.
#[derive(Clone)]
pub struct Checker {
    state: Arc<Mutex<State>>,
    profiler: Profiler,
    /// Whether this checker has to feed the profiler.
    is_own: bool,
}

struct State {
    checks: Vec<Check>,
    counts: Vec<RowCounts>,
    /// Columns whose absence is a finding of its own. Other checks pass them over if they are not there.
    asked_for: BTreeSet<String>,
    /// The names of the input's columns, once a batch has come.
    columns: Option<Vec<String>>,
    quarantine: Option<OnInvalidRow>,
}

/// What the rows said so far.
#[derive(Default)]
struct RowCounts {
    elements: u64,
    missing: u64,
    unexpected: u64,
    told: Vec<FailedRow>,
    /// The type of the column, of checks about columns.
    data_type: Option<DataType>,
    /// The hashes of values, of checks for duplicates.
    seen: Option<Seen>,
    /// Numbers by the values of another column.
    groups: Groups,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").field("checks", &self.lock().checks).finish_non_exhaustive()
    }
}

impl Checker {
    /// A checker that makes the profile it needs itself.
    pub fn new(checks: Checks) -> Self {
        let is_own = checks.need_profile();
        Self { is_own, ..Self::with_profiler(checks, Profiler::default()) }
    }

    /// A checker that takes numbers from a profiler, which must watch the same run before it.
    pub fn with_profiler(checks: Checks, profiler: Profiler) -> Self {
        let checks = checks.all().to_vec();
        let counts = checks.iter().map(|_| RowCounts::default()).collect();
        let is_asked_for = |check: &&Check| matches!(check.rule, Rule::Present);
        let asked_for = checks.iter().filter(is_asked_for).filter_map(|check| check.target.clone()).collect();
        let state = State { checks, counts, asked_for, columns: None, quarantine: None };
        Self { state: Arc::new(Mutex::new(state)), profiler, is_own: false }
    }

    /// Passes every row to blame on, once for each batch. Its defect has [`Reason::FailedCheck`] and names the checks.
    #[must_use]
    pub fn with_quarantine(self, quarantine: OnInvalidRow) -> Self {
        self.lock().quarantine = Some(quarantine);
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks some rows of a table without images. `first_row` is the number of its first row.
    ///
    /// # Errors
    /// - [`Error::NoSuchColumn`](crate::Error::NoSuchColumn) if a check names a column that is not there.
    /// - [`Error::UnsupportedColumn`](crate::Error::UnsupportedColumn) if a column has no values that a check could be about.
    /// - As [`Profile::add_table`], and what the quarantine says.
    pub fn check_table(&self, batch: &RecordBatch, first_row: u64, origins: &RowOrigins) -> Result<()> {
        let check = || self.check_rows(&Rows { input: batch, observed: None, measures: &[] }, first_row, origins);
        if self.is_own {
            let (added, checked) = self.profiler.add_table_beside(batch, check);
            return added.and(checked);
        }
        check()
    }

    fn check_rows(&self, rows: &Rows<'_>, first_row: u64, origins: &RowOrigins) -> Result<()> {
        let State { checks, counts, asked_for, columns, quarantine } = &mut *self.lock();
        columns.get_or_insert_with(|| rows.column_names());
        let known = KnownCells::new(rows);
        let mut blamed: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        asked_for.retain(|name| rows.data_type(name).is_none());
        let is_missing = |check: &Check| {
            let targets = match &check.rule {
                Rule::Duplicates(columns) => columns.as_slice(),
                _ => check.target.as_slice(),
            };
            let by = if let Rule::Explained(by) = &check.rule { Some(by) } else { None };
            targets.iter().chain(by).any(|target| asked_for.contains(target))
        };
        for (check, counts) in checks.iter().zip(counts).filter(|(check, _)| !is_missing(check)) {
            let mut blame = |row: usize, told: &dyn Fn() -> String| {
                let is_told = counts.told.len() < TOLD;
                if !is_told && quarantine.is_none() {
                    return;
                }
                let value = told();
                if quarantine.is_some() {
                    blamed.entry(row).or_default().push(format!("{}: {value}", check.name));
                }
                if is_told {
                    let (file, row) = origins.locate(first_row + row as u64);
                    counts.told.push(FailedRow { file: file.as_deref().map(str::to_owned), row, value });
                }
            };
            match (&check.rule, &check.target) {
                (Rule::Row(RowRule::Image), _) => {
                    counts.elements += rows.len() as u64;
                    for defect in rows.observed.map_or(&[][..], |of| of.defects) {
                        if defect.reason == Reason::NullImage {
                            counts.missing += 1;
                        } else {
                            counts.unexpected += 1;
                            blame(defect.row, &|| format!("{}: {}", defect.reason, defect.detail));
                        }
                    }
                }
                (Rule::Present | Rule::Type(_) | Rule::ItemType(_), Some(target)) => {
                    counts.data_type = rows.data_type(target)
                }
                (Rule::Row(rule), Some(target)) => {
                    let cells = known.get(target)?;
                    counts.elements += rows.len() as u64;
                    // Most batches hold nothing to blame, which is seen faster of all their rows at once.
                    let nulls = cells.null_count();
                    let within = |bounds: &Bounds, range: Option<(f64, f64)>| {
                        (range.is_some_and(|(min, max)| bounds.hold(min) && bounds.hold(max)), nulls)
                    };
                    let (is_fine, missing) = match rule {
                        RowRule::Null => (nulls == 0, 0),
                        RowRule::Items(bounds) if cells.has_bytes() && bounds.hold(0.0) && bounds.hold(255.0) => {
                            (true, nulls)
                        }
                        RowRule::Items(bounds) => within(bounds, cells.item_range()),
                        RowRule::Length(bounds) => within(bounds, cells.list_length_range()),
                        RowRule::Outside(bounds) => within(bounds, cells.range()),
                        RowRule::NotIn(set) => (cells.are_numbers(|value| set.has_number(value)), 0),
                        _ => (false, 0),
                    };
                    if is_fine {
                        counts.missing += missing as u64;
                        continue;
                    }
                    for row in 0..rows.len() {
                        match judge(rule, &cells, row, target)? {
                            Verdict::Missing => counts.missing += 1,
                            Verdict::Expected => {}
                            Verdict::Unexpected => {
                                counts.unexpected += 1;
                                blame(row, &|| cells.told(row));
                            }
                        }
                    }
                }
                (Rule::Duplicates(columns), _) => {
                    let cells = columns.iter().map(|name| known.get(name)).collect::<Result<Vec<_>>>()?;
                    counts.elements += rows.len() as u64;
                    let hash = |row| {
                        let is_there = cells.iter().any(|cells| !cells.is_null(row));
                        is_there.then(|| cells.iter().fold(0, |all, cells| mixed(all ^ cells.hash(row))))
                    };
                    let hashes: Vec<Option<u64>> = (0..rows.len()).map(hash).collect();
                    let seen = counts.seen.get_or_insert_default();
                    seen.fetch(hashes.iter().copied().flatten());
                    for (row, hash) in hashes.into_iter().enumerate() {
                        let Some(hash) = hash else {
                            counts.missing += 1;
                            continue;
                        };
                        // The second tells on the first as well: every copy counts.
                        counts.unexpected += match seen.add(hash) {
                            Times::Once => continue,
                            Times::Twice => 2,
                            Times::More => 1,
                        };
                        let told = || cells.iter().map(|cells| cells.told(row)).collect::<Vec<_>>().join(", ");
                        blame(row, &told);
                    }
                }
                (Rule::Explained(by), Some(target)) => {
                    let (numbers, values) = (known.get(target)?, known.get(by)?);
                    counts.elements += rows.len() as u64;
                    for row in 0..rows.len() {
                        if numbers.is_null(row) || values.is_null(row) {
                            counts.missing += 1;
                            continue;
                        }
                        let number = numbers.number(row).ok_or_else(|| numbers.unsupported(target, "numbers"))?;
                        counts.groups.add(values.hash(row), number);
                    }
                }
                (_, Some(target)) if !is_of_images(target) => drop(known.get(target)?),
                _ => {}
            }
        }
        let Some(quarantine) = quarantine else { return Ok(()) };
        for (row, checks) in blamed {
            let (file, number) = origins.locate(first_row + row as u64);
            let defect = Defect::new(row, Reason::FailedCheck, checks.join("; "));
            quarantine(&InvalidRow { file, row: number, defect: &defect, batch: rows.input })?;
        }
        Ok(())
    }

    /// What the checks found in the rows so far.
    pub fn report(&self) -> CheckReport {
        let state = self.lock();
        let checks = state.checks.iter().zip(&state.counts);
        self.profiler.look(|profile| CheckReport {
            results: checks.map(|(check, counts)| result(check, counts, profile, &state.columns)).collect(),
        })
    }

    /// Fails if a check of severity error does.
    ///
    /// # Errors
    /// [`Error::ChecksFailed`](crate::Error::ChecksFailed).
    pub fn verdict(&self) -> Result<()> {
        self.report().verdict()
    }
}

impl Observer for Checker {
    fn observe(&mut self, batch: &Observed<'_>) -> Result<()> {
        if self.is_own {
            self.profiler.observe(batch)?;
        }
        let measures = self.profiler.measures();
        let rows = Rows { input: batch.input, observed: Some(batch), measures: &measures };
        self.check_rows(&rows, batch.first_row, batch.origins)
    }

    fn finish(&mut self) -> Result<()> {
        self.verdict()
    }
}

enum Verdict {
    Missing,
    Expected,
    Unexpected,
}

fn judge(rule: &RowRule, cells: &Cells<'_>, row: usize, target: &str) -> Result<Verdict> {
    let is_null = cells.is_null(row);
    let within = |set: &Set| match cells.number(row) {
        Some(value) => Ok(cells.large(row).map_or_else(|| set.has_number(value), |text| set.large.contains(&text))),
        None => match cells.text(row) {
            Some(text) => Ok(set.texts.contains(&*text)),
            None => Err(cells.unsupported(target, "numbers or text")),
        },
    };
    let expected = match rule {
        RowRule::Null => !is_null,
        RowRule::Missing(set) => !is_null && !within(set)?,
        _ if is_null => return Ok(Verdict::Missing),
        RowRule::Outside(bounds) => bounds.hold(cells.number(row).ok_or_else(|| cells.unsupported(target, "numbers"))?),
        RowRule::NotIn(set) => within(set)?,
        RowRule::In(set) => !within(set)?,
        RowRule::Pattern(must_match, regex) => {
            let text = cells.text(row).ok_or_else(|| cells.unsupported(target, "text"))?;
            regex.is_match(&text) == *must_match
        }
        RowRule::Length(bounds) => {
            let length = cells.length(row).ok_or_else(|| cells.unsupported(target, "text or lists"))?;
            bounds.hold(length as f64)
        }
        RowRule::Items(bounds) => {
            let items = cells.leaves(row).ok_or_else(|| cells.unsupported(target, "lists of numbers"))?;
            items.into_iter().flatten().all(|item| bounds.hold(item))
        }
        // It is told by the run, not by a cell.
        RowRule::Image => true,
    };
    Ok(if expected { Verdict::Expected } else { Verdict::Unexpected })
}

fn result(check: &Check, counts: &RowCounts, profile: &Profile, columns: &Option<Vec<String>>) -> CheckResult {
    let mut result = CheckResult {
        check: check.name.clone(),
        target: check.target.clone(),
        severity: check.severity,
        dimension: check.dimension(),
        passed: true,
        observed: Value::Null,
        expected: String::new(),
        elements: counts.elements,
        missing: counts.missing,
        unexpected: counts.unexpected,
        rows: counts.told.clone(),
    };
    match (&check.rule, &check.require) {
        (Rule::Row(rule), Require::Mostly(share)) => {
            let considered = if matches!(rule, RowRule::Null | RowRule::Missing(_)) {
                counts.elements
            } else {
                counts.elements - counts.missing
            };
            mostly(&mut result, considered, *share);
        }
        (Rule::Duplicates(_), Require::Mostly(share)) => mostly(&mut result, counts.elements - counts.missing, *share),
        (Rule::Row(_) | Rule::Duplicates(_), Require::Unexpected(conditions, is_percent)) => {
            let percent = 100.0 * counts.unexpected as f64 / counts.elements.max(1) as f64;
            let observed = if *is_percent { percent } else { counts.unexpected as f64 };
            result.observed = json!(observed);
            result.expected = told(conditions, if *is_percent { "percent unexpected" } else { "unexpected rows" });
            result.passed = conditions.iter().all(|condition| condition.holds(observed));
        }
        (rule, Require::Number(conditions)) => {
            let observed = match rule {
                Rule::Number(statistic) => observed_number(*statistic, check.target.as_deref(), profile, columns),
                _ => counts.groups.explained(),
            };
            result.observed = json!(observed);
            result.expected = told(conditions, "");
            result.passed = observed.is_some_and(|value| conditions.iter().all(|condition| condition.holds(value)));
        }
        (Rule::Values(rule, set), _) => values(&mut result, *rule, set, profile),
        (Rule::Columns(expected), _) => {
            let columns: Vec<String> = columns.iter().flatten().cloned().collect();
            result.passed = columns.len() == expected.len() && columns.iter().all(|name| expected.contains(name));
            result.observed = json!(columns);
            result.expected = json!(expected).to_string();
        }
        (Rule::Present, _) => {
            // Without any rows nobody knows.
            result.passed = counts.data_type.is_some() || columns.is_none();
            let names: Vec<&str> = columns.iter().flatten().map(String::as_str).collect();
            result.observed = json!(format!("the columns {}", listed(names.into_iter(), "and")));
            result.expected = "a column of this name".to_owned();
        }
        (Rule::Type(logical) | Rule::ItemType(logical), _) => {
            let is_of_items = matches!(check.rule, Rule::ItemType(_));
            let judged = counts.data_type.as_ref().map(|of| if is_of_items { innermost(of) } else { of });
            result.passed = judged.is_none_or(|data_type| logical.takes(data_type));
            result.observed = json!(counts.data_type.as_ref().map(DataType::to_string));
            result.expected = format!("values of the type {logical}");
        }
        // A rule has no other requirement.
        _ => {}
    }
    result
}

fn mostly(result: &mut CheckResult, considered: u64, share: f64) {
    let held = considered - result.unexpected;
    let observed = if considered == 0 { 1.0 } else { held as f64 / considered as f64 };
    result.observed = json!(observed);
    result.expected = format!("a share of {share} or more as expected");
    result.passed = observed >= share;
}

fn told(conditions: &[Condition], what: &str) -> String {
    let conditions: Vec<String> = conditions.iter().map(Condition::to_string).collect();
    format!("{} {what}", conditions.join(" and ")).trim().to_owned()
}

/// The numbers of a target.
fn numbers<'a>(target: &str, profile: &'a Profile) -> Option<Cow<'a, Numbers>> {
    if let Some(measure) = target.strip_prefix("image.") {
        return profile.images()?.measure(measure).map(Cow::Borrowed);
    }
    if is_of_images(target) {
        let channels = profile.images()?.pixels();
        let numbers = match target.strip_prefix("pixels.") {
            Some(channel) => channels.get(channel.parse::<usize>().ok()?)?.clone(),
            None => channels.into_iter().reduce(|mut all, more| {
                all.merge(&more);
                all
            })?,
        };
        return Some(Cow::Owned(numbers));
    }
    profile.column(target)?.numbers().map(Cow::Borrowed)
}

/// The values of a target in order, with counts.
fn sorted(target: &str, numbers: &Numbers, profile: &Profile) -> Option<Vec<(f64, u64)>> {
    match profile.column(target) {
        Some(column) if !is_of_images(target) => column.sorted_numbers(),
        _ => Some(numbers.bins()),
    }
}

fn observed_number(
    statistic: Statistic,
    target: Option<&str>,
    profile: &Profile,
    columns: &Option<Vec<String>>,
) -> Option<f64> {
    match (statistic, target) {
        (Statistic::Rows, _) => Some(profile.rows() as f64),
        (Statistic::Columns, _) => Some(columns.as_ref().map_or(0, Vec::len) as f64),
        (Statistic::Distinct, Some(target)) => profile.column(target)?.distinct_count().map(|count| count as f64),
        (Statistic::DistinctShare, Some(target)) => {
            let column = profile.column(target)?;
            let values = column.rows() - column.nulls();
            column.distinct_count().filter(|_| values > 0).map(|count| count as f64 / values as f64)
        }
        (statistic, Some(target)) => {
            let numbers = numbers(target, profile)?;
            let sorted = || sorted(target, &numbers, profile);
            match statistic {
                Statistic::Mean => numbers.mean(),
                Statistic::Std => numbers.std(),
                Statistic::Min => numbers.min(),
                Statistic::Max => numbers.max(),
                Statistic::Sum => Some(numbers.sum()),
                Statistic::Newest => Some(now() - numbers.max()?),
                Statistic::Oldest => Some(now() - numbers.min()?),
                Statistic::Median => median(&sorted()?),
                Statistic::Quantile(share) => quantiles(&sorted()?, &[share]).map(|found| found[0]),
                Statistic::Rows | Statistic::Columns | Statistic::Distinct | Statistic::DistinctShare => None,
            }
        }
        (_, None) => None,
    }
}

/// The type of what the lists of a column hold at last.
fn innermost(data_type: &DataType) -> &DataType {
    item_type(data_type).map_or(data_type, innermost)
}

fn values(result: &mut CheckResult, rule: SetRule, set: &Set, profile: &Profile) {
    let column = result.target.as_deref().and_then(|target| profile.column(target));
    let Some(found) = column.and_then(|column| column.counted_values()) else {
        result.observed = json!("more than 1,000 different values, or none that can be counted");
        result.passed = false;
        return;
    };
    let is_known = |value: &Value| match value {
        Value::String(text) => set.texts.contains(text),
        value => value.as_f64().is_some_and(|value| set.has_number(value)),
    };
    let all = set.numbers.len() + set.texts.len();
    let known = found.iter().filter(|(value, _)| is_known(value)).count();
    // Several values may be as common.
    let times = found.first().map(|(_, count)| *count);
    let common: Vec<&Value> =
        found.iter().take_while(|(_, count)| Some(*count) == times).map(|(value, _)| value).collect();
    (result.passed, result.expected) = match rule {
        SetRule::Within => (known == found.len(), "no value outside the set".to_owned()),
        SetRule::Contain => (known == all, "every value of the set".to_owned()),
        SetRule::Equal => (known == all && known == found.len(), "the values of the set".to_owned()),
        SetRule::MostCommonWithin => {
            let holds = !common.is_empty() && common.iter().all(|value| is_known(value));
            (holds, "the most common values in the set".to_owned())
        }
    };
    let strangers = found.iter().filter(|(value, _)| !is_known(value));
    result.observed = match rule {
        SetRule::MostCommonWithin => json!(common.iter().take(TOLD).collect::<Vec<_>>()),
        SetRule::Contain => json!({ "known": known, "of": all }),
        _ => json!({ "values": found.len(), "unexpected": strangers.take(TOLD).collect::<Vec<_>>() }),
    };
}
