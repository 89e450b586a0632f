//! Checks as JSON, in the words of the Open Data Contract Standard and of Great Expectations.

use serde_json::{Map, Value};

use super::rule::{Bounds, Check, Condition, Require, RowRule, Rule, Set, SetRule, Severity, Statistic};
use crate::base::error::{Error, Result};
use crate::quality::column::WHOLE;

/// The names of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleNames {
    /// Its name here, as the value of `rule`.
    pub name: &'static str,
    /// The metric of the Open Data Contract Standard, as the value of `metric`, if there is one.
    pub odcs: Option<&'static str>,
    /// Its name in Great Expectations, without `expect_`, as the value of `expect`, if there is one.
    pub expectation: Option<&'static str>,
}

macro_rules! rules {
    ($($name:literal, $odcs:expr, $expectation:expr;)+) => {
        /// All rules.
        pub const RULES: &[RuleNames] = &[$(RuleNames { name: $name, odcs: $odcs, expectation: $expectation }),+];
    };
}

rules! {
    "not_null", Some("nullValues"), Some("column_values_to_not_be_null");
    "not_missing", Some("missingValues"), None;
    "between", None, Some("column_values_to_be_between");
    "in_set", Some("invalidValues"), Some("column_values_to_be_in_set");
    "not_in_set", None, Some("column_values_to_not_be_in_set");
    "match_regex", Some("invalidValues"), Some("column_values_to_match_regex");
    "not_match_regex", None, Some("column_values_to_not_match_regex");
    "length_between", None, Some("column_value_lengths_to_be_between");
    "unique", Some("duplicateValues"), Some("column_values_to_be_unique");
    "compound_unique", Some("duplicateValues"), Some("compound_columns_to_be_unique");
    "mean", None, Some("column_mean_to_be_between");
    "std", None, Some("column_stdev_to_be_between");
    "min", None, Some("column_min_to_be_between");
    "max", None, Some("column_max_to_be_between");
    "median", None, Some("column_median_to_be_between");
    "quantile", None, None;
    "sum", None, Some("column_sum_to_be_between");
    "variance_explained", None, None;
    "distinct_count", None, Some("column_unique_value_count_to_be_between");
    "distinct_share", None, Some("column_proportion_of_unique_values_to_be_between");
    "distinct_in_set", None, Some("column_distinct_values_to_be_in_set");
    "distinct_contain_set", None, Some("column_distinct_values_to_contain_set");
    "distinct_equal_set", None, Some("column_distinct_values_to_equal_set");
    "most_common_in_set", None, Some("column_most_common_value_to_be_in_set");
    "row_count", Some("rowCount"), Some("table_row_count_to_be_between");
    "column_count", None, Some("table_column_count_to_be_between");
    "columns_match_set", None, Some("table_columns_to_match_set");
}

/// Some checks, as a file has them.
///
/// ```
/// use pixelfeat::quality::Checks;
///
/// # fn main() -> pixelfeat::Result<()> {
/// let checks: Checks = r#"{"checks": [
///     {"rule": "between", "column": "label", "min": 0, "max": 9},
///     {"metric": "nullValues", "column": "image", "mustBeLessThan": 1, "unit": "percent"},
///     {"expect": "column_mean_to_be_between", "column": "image.brightness", "min_value": 0.1, "max_value": 0.2,
///      "severity": "warning"}
/// ]}"#.parse()?;
/// assert_eq!(checks.all().len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Checks(pub(in crate::quality) Vec<Check>);

impl Checks {
    /// The checks, in their order.
    pub fn all(&self) -> &[Check] {
        &self.0
    }

    /// These checks, then the others.
    #[must_use]
    pub fn and(mut self, others: &Checks) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// Whether the profile of the rows is needed, because a check is about a number that it tells or about images.
    pub fn need_profile(&self) -> bool {
        let is_image = |check: &Check| check.target.as_deref().is_some_and(is_of_images);
        let is_of_rows = |rule: &Rule| {
            matches!(
                rule,
                Rule::Row(_)
                    | Rule::Duplicates(_)
                    | Rule::Explained(_)
                    | Rule::Present
                    | Rule::Type(_)
                    | Rule::ItemType(_)
                    | Rule::Columns(_)
            )
        };
        self.0.iter().any(|check| !is_of_rows(&check.rule) || is_image(check))
    }

    /// Reads `{"checks": [...]}`. Each check is an object with one of `rule`, `metric` and `expect`, whose values
    /// [`RULES`] lists, and:
    ///
    /// - `column`: a column, a feature, a measure of the images such as `image.brightness`, or `pixels` and `pixels.0` for the
    ///   values of all channels or of one.
    /// - What the rule needs: `min` and `max` (`min_value`, `max_value`) with `strict_min` and `strict_max`; `values`
    ///   (`value_set`, `validValues`, `missingValues`); `pattern` (`regex`); `columns` (`column_list`, `column_set`);
    ///   `quantile`; `by`, the column whose values explain the variance.
    /// - How many rows may be otherwise: `mostly`, a share of the rows that are not null; or one of `mustBe`, `mustNotBe`,
    ///   `mustBeGreaterThan`, `mustBeGreaterOrEqualTo`, `mustBeLessThan`, `mustBeLessOrEqualTo`, `mustBeBetween` and
    ///   `mustNotBeBetween`, for the number of unexpected rows, or their share of all rows with `"unit": "percent"`. The ends
    ///   that `Between` names do not belong to the range, as the standard says. Without any of them, no row may be otherwise.
    ///   Rules about one number take these operators for it, in place of `min` and `max`.
    /// - `name` and `severity` (`error` or `warning`).
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if a rule or a key is unknown, missing or of the wrong kind. It names the check.
    pub fn from_json(value: &Value) -> Result<Self> {
        let refuse = |why: String| Error::InvalidOption { option: "checks", why };
        let all = value["checks"].as_array().ok_or_else(|| refuse("there is no list `checks`".to_owned()))?;
        if let Some(key) = value.as_object().and_then(|object| object.keys().find(|key| *key != "checks")) {
            return Err(refuse(format!("`{key}` is not known beside `checks`")));
        }
        let read =
            |(at, value): (usize, &Value)| check(value).map_err(|why| refuse(format!("check {}: {why}", at + 1)));
        all.iter().enumerate().map(read).collect::<Result<_>>().map(Self)
    }
}

impl std::str::FromStr for Checks {
    type Err = Error;

    /// Reads the JSON text that [`Checks::from_json`] describes.
    fn from_str(text: &str) -> Result<Self> {
        let value = serde_json::from_str(text)
            .map_err(|e| Error::InvalidOption { option: "checks", why: format!("not JSON: {e}") })?;
        Self::from_json(&value)
    }
}

/// Whether a target is told by the images themselves.
pub(super) fn is_of_images(target: &str) -> bool {
    target.starts_with("image.") || target == "pixels" || target.starts_with("pixels.")
}

/// The members of a check, of which each must be used.
struct Members<'a> {
    all: &'a Map<String, Value>,
    used: std::cell::RefCell<Vec<&'static str>>,
}

impl<'a> Members<'a> {
    /// The member with one of these names.
    fn get(&self, names: &[&'static str]) -> Option<&'a Value> {
        self.used.borrow_mut().extend(names);
        names.iter().find_map(|name| self.all.get(*name)).filter(|value| !value.is_null())
    }

    fn number(&self, names: &[&'static str]) -> Result<Option<f64>, String> {
        let read = |value: &Value| value.as_f64().ok_or_else(|| format!("`{}` is not a number", names[0]));
        self.get(names).map(read).transpose()
    }

    fn flag(&self, name: &'static str) -> Result<bool, String> {
        let read = |value: &Value| value.as_bool().ok_or_else(|| format!("`{name}` is not true or false"));
        self.get(&[name]).map_or(Ok(false), read)
    }

    fn text(&self, names: &[&'static str]) -> Result<Option<&'a str>, String> {
        let read = |value: &'a Value| value.as_str().ok_or_else(|| format!("`{}` is not text", names[0]));
        self.get(names).map(read).transpose()
    }

    fn list(&self, names: &[&'static str]) -> Result<Option<&'a Vec<Value>>, String> {
        let read = |value: &'a Value| value.as_array().ok_or_else(|| format!("`{}` is not a list", names[0]));
        self.get(names).map(read).transpose()
    }

    fn set(&self, names: &[&'static str]) -> Result<Set, String> {
        let mut set = Set::default();
        for value in self.list(names)?.ok_or_else(|| format!("`{}` is missing", names[0]))? {
            match value {
                Value::String(text) => drop(set.texts.insert(text.clone())),
                Value::Bool(flag) => set.numbers.push(f64::from(u8::from(*flag))),
                value => {
                    let number = value.as_f64().ok_or_else(|| format!("{value} is neither text nor number"))? + 0.0;
                    set.numbers.push(number);
                    if number.abs() >= WHOLE {
                        set.large.insert(if value.is_f64() { format!("{number:.0}") } else { value.to_string() });
                    }
                }
            }
        }
        set.numbers.sort_by(f64::total_cmp);
        Ok(set)
    }

    fn names(&self, names: &[&'static str]) -> Result<Vec<String>, String> {
        let all = self.list(names)?.ok_or_else(|| format!("`{}` is missing", names[0]))?;
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is not a name"));
        all.iter().map(text).collect()
    }

    fn bounds(&self) -> Result<Bounds, String> {
        Ok(Bounds {
            min: self.number(&["min", "min_value"])?,
            max: self.number(&["max", "max_value"])?,
            strict_min: self.flag("strict_min")?,
            strict_max: self.flag("strict_max")?,
        })
    }

    fn needed_bounds(&self) -> Result<Bounds, String> {
        let bounds = self.bounds()?;
        if bounds.min.is_none() && bounds.max.is_none() {
            return Err("`min` or `max` is missing".to_owned());
        }
        Ok(bounds)
    }

    /// The operators that the check has.
    fn conditions(&self) -> Result<Vec<Condition>, String> {
        let above = |min, strict_min| Condition::Within(Bounds { min: Some(min), strict_min, ..Bounds::default() });
        let below = |max, strict_max| Condition::Within(Bounds { max: Some(max), strict_max, ..Bounds::default() });
        let mut found = Vec::new();
        found.extend(self.number(&["mustBe"])?.map(Condition::Be));
        found.extend(self.number(&["mustNotBe"])?.map(Condition::NotBe));
        found.extend(self.number(&["mustBeGreaterThan"])?.map(|value| above(value, true)));
        found.extend(self.number(&["mustBeGreaterOrEqualTo"])?.map(|value| above(value, false)));
        found.extend(self.number(&["mustBeLessThan"])?.map(|value| below(value, true)));
        found.extend(self.number(&["mustBeLessOrEqualTo"])?.map(|value| below(value, false)));
        for (name, is_within) in [("mustBeBetween", true), ("mustNotBeBetween", false)] {
            let Some(ends) = self.list(&[name])? else { continue };
            let [Some(min), Some(max)] = [0, 1].map(|at| ends.get(at).and_then(Value::as_f64)) else {
                return Err(format!("`{name}` is not a list of two numbers"));
            };
            let bounds = Bounds { min: Some(min), max: Some(max), strict_min: true, strict_max: true };
            found.push(if is_within { Condition::Within(bounds) } else { Condition::NotWithin(bounds) });
        }
        match found.len() {
            0 | 1 => Ok(found),
            _ => Err("it has more than one operator".to_owned()),
        }
    }

    fn unused(&self) -> Option<&'a str> {
        let used = self.used.borrow();
        self.all.keys().map(String::as_str).find(|key| !used.contains(key))
    }
}

/// Which rule a check names, and by which word.
fn named<'a>(members: &Members<'a>) -> Result<(&'static RuleNames, &'a str), String> {
    let words: Vec<_> =
        ["rule", "metric", "expect"].into_iter().filter_map(|word| Some((word, members.get(&[word])?))).collect();
    let [(word, value)] = words[..] else { return Err("it needs one of `rule`, `metric` and `expect`".to_owned()) };
    let value = value.as_str().ok_or_else(|| format!("`{word}` is not text"))?;
    let short = value.strip_prefix("expect_").unwrap_or(value);
    // A metric may be several rules, which its arguments tell apart.
    let has_columns = members.all.contains_key("columns");
    let has_pattern = members.all.contains_key("pattern");
    let is_it = |rule: &&RuleNames| match word {
        "rule" => rule.name == value,
        "metric" => {
            let other = matches!(rule.name, "compound_unique") != has_columns && rule.odcs == Some("duplicateValues")
                || matches!(rule.name, "match_regex") != has_pattern && rule.odcs == Some("invalidValues");
            rule.odcs == Some(value) && !other
        }
        _ if short == "table_row_count_to_equal" => rule.name == "row_count",
        _ => rule.expectation == Some(short),
    };
    RULES.iter().find(is_it).map(|rule| (rule, value)).ok_or_else(|| format!("the {word} `{value}` is not known"))
}

/// Reads one check.
pub(in crate::quality) fn check(value: &Value) -> Result<Check, String> {
    let all = value.as_object().ok_or("it is not an object")?;
    let members = Members { all, used: std::cell::RefCell::default() };
    let (names, word) = named(&members)?;
    let name = members.text(&["name"])?.map(str::to_owned);
    let severity = members.text(&["severity"])?.map_or(Ok(Severity::Error), |text| match text {
        "info" | "low" | "minor" => Ok(Severity::Warning),
        text => text.parse().map_err(|e: Error| e.to_string()),
    })?;
    let target = members.text(&["column", "field"])?.map(str::to_owned);
    let rule = rule(names.name, &members)?;
    let needs_target = !matches!(
        rule,
        Rule::Duplicates(ref columns) if !columns.is_empty()
    ) && !matches!(rule, Rule::Number(Statistic::Rows | Statistic::Columns) | Rule::Columns(_));
    match (needs_target, &target) {
        (true, None) => return Err("`column` is missing".to_owned()),
        (false, Some(_)) => return Err(format!("`{word}` is about the table, not about a column")),
        _ => {}
    }
    let rule = match (rule, &target) {
        (Rule::Duplicates(columns), Some(column)) if columns.is_empty() => Rule::Duplicates(vec![column.clone()]),
        (rule, _) => rule,
    };
    let require = require(names.name, &rule, &members)?;
    if let Some(unknown) = members.unused() {
        return Err(format!("`{unknown}` is not known, or not of use to `{word}`"));
    }
    let name = name.unwrap_or_else(|| match &target {
        Some(target) => format!("{target}: {word}"),
        None => word.to_owned(),
    });
    Ok(Check { name, target, severity, dimension: None, rule, require })
}

fn rule(name: &str, members: &Members<'_>) -> Result<Rule, String> {
    const VALUES: &[&str] = &["values", "value_set", "validValues", "missingValues"];
    let pattern = |must_match| {
        let text = members.text(&["pattern", "regex"])?.ok_or("`pattern` is missing")?;
        let regex = regex_lite::Regex::new(text).map_err(|e| format!("`{text}` is no pattern: {e}"))?;
        Ok::<_, String>(Rule::Row(RowRule::Pattern(must_match, regex)))
    };
    Ok(match name {
        "not_null" => Rule::Row(RowRule::Null),
        "not_missing" => Rule::Row(RowRule::Missing(members.set(VALUES)?)),
        "between" => Rule::Row(RowRule::Outside(members.needed_bounds()?)),
        "in_set" => Rule::Row(RowRule::NotIn(members.set(VALUES)?)),
        "not_in_set" => Rule::Row(RowRule::In(members.set(VALUES)?)),
        "match_regex" => pattern(true)?,
        "not_match_regex" => pattern(false)?,
        "length_between" => Rule::Row(RowRule::Length(members.needed_bounds()?)),
        "unique" => Rule::Duplicates(Vec::new()),
        "compound_unique" => match members.names(&["columns", "column_list"])? {
            columns if columns.is_empty() => return Err("`columns` is empty".to_owned()),
            columns => Rule::Duplicates(columns),
        },
        "mean" => Rule::Number(Statistic::Mean),
        "std" => Rule::Number(Statistic::Std),
        "min" => Rule::Number(Statistic::Min),
        "max" => Rule::Number(Statistic::Max),
        "median" => Rule::Number(Statistic::Median),
        "quantile" => match members.number(&["quantile"])? {
            Some(share) if (0.0..=1.0).contains(&share) => Rule::Number(Statistic::Quantile(share)),
            _ => return Err("`quantile` is not a number from 0 to 1".to_owned()),
        },
        "sum" => Rule::Number(Statistic::Sum),
        "variance_explained" => Rule::Explained(members.text(&["by"])?.ok_or("`by` is missing")?.to_owned()),
        "distinct_count" => Rule::Number(Statistic::Distinct),
        "distinct_share" => Rule::Number(Statistic::DistinctShare),
        "distinct_in_set" => Rule::Values(SetRule::Within, members.set(VALUES)?),
        "distinct_contain_set" => Rule::Values(SetRule::Contain, members.set(VALUES)?),
        "distinct_equal_set" => Rule::Values(SetRule::Equal, members.set(VALUES)?),
        "most_common_in_set" => Rule::Values(SetRule::MostCommonWithin, members.set(VALUES)?),
        "row_count" => Rule::Number(Statistic::Rows),
        "column_count" => Rule::Number(Statistic::Columns),
        _ => Rule::Columns(members.names(&["columns", "column_set"])?.into_iter().collect()),
    })
}

fn require(name: &str, rule: &Rule, members: &Members<'_>) -> Result<Require, String> {
    let conditions = members.conditions()?;
    match rule {
        Rule::Row(_) | Rule::Duplicates(_) => {
            let is_percent = match members.text(&["unit"])? {
                None | Some("rows") => false,
                Some("percent") => true,
                Some(other) => return Err(format!("the unit `{other}` is neither rows nor percent")),
            };
            match (members.number(&["mostly"])?, conditions.is_empty()) {
                (Some(_), false) => Err("it has `mostly` and an operator".to_owned()),
                (Some(share), true) if !(0.0..=1.0).contains(&share) => Err("`mostly` is not from 0 to 1".to_owned()),
                (Some(share), true) => Ok(Require::Mostly(share)),
                (None, true) => Ok(Require::Unexpected(vec![Condition::Be(0.0)], false)),
                (None, false) => Ok(Require::Unexpected(conditions, is_percent)),
            }
        }
        Rule::Number(_) | Rule::Explained(_) => {
            let exact = members.number(&["value"])?;
            match (exact, conditions.is_empty()) {
                (Some(value), true) => Ok(Require::Number(vec![Condition::Be(value)])),
                (Some(_), false) => Err("it has `value` and an operator".to_owned()),
                (None, false) => Ok(Require::Number(conditions)),
                (None, true) => {
                    let bounds =
                        members.needed_bounds().map_err(|_| format!("`{name}` needs `min`, `max` or an operator"))?;
                    Ok(Require::Number(vec![Condition::Within(bounds)]))
                }
            }
        }
        _ if conditions.is_empty() => Ok(Require::Holds),
        _ => Err("it takes no operator".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(check: &str) -> String {
        let text = format!("{{\"checks\": [{check}]}}");
        text.parse::<Checks>().unwrap_err().to_string().replace("checks: check 1: ", "")
    }

    #[test]
    fn every_rule_is_read_under_all_its_names() {
        for rule in RULES {
            let needed = match rule.name {
                "not_missing" | "in_set" | "not_in_set" => r#", "values": [1, "a"]"#,
                name if name.starts_with("distinct_") && name.ends_with("_set") => r#", "values": [1]"#,
                "most_common_in_set" => r#", "values": [1]"#,
                "match_regex" | "not_match_regex" => r#", "pattern": "^a+$""#,
                "not_null" | "unique" => "",
                "compound_unique" | "columns_match_set" => r#", "columns": ["a", "b"]"#,
                "quantile" => r#", "quantile": 0.9, "max": 3"#,
                "variance_explained" => r#", "by": "b", "min": 0.5"#,
                _ => r#", "min": 1"#,
            };
            let table = matches!(rule.name, "row_count" | "column_count" | "columns_match_set" | "compound_unique");
            let column = if table { "" } else { r#", "column": "a""# };
            let words = [("rule", Some(rule.name)), ("metric", rule.odcs), ("expect", rule.expectation)];
            for (word, name) in words.into_iter().filter_map(|(word, name)| Some((word, name?))) {
                let text = format!("{{\"checks\": [{{\"{word}\": \"{name}\"{needed}{column}}}]}}");
                let checks: Checks = text.parse().unwrap();
                let by_rule = format!("{{\"checks\": [{{\"rule\": \"{}\"{needed}{column}}}]}}", rule.name);
                let by_rule: Checks = by_rule.parse().unwrap();
                assert_eq!(format!("{:?}", checks.0[0].rule), format!("{:?}", by_rule.0[0].rule), "{text}");
            }
        }
    }

    #[test]
    fn what_is_unknown_missing_or_twice_is_named() {
        for (check, told) in [
            (r#"{"rule": "betwen", "column": "a"}"#, "the rule `betwen` is not known"),
            (r#"{"column": "a"}"#, "it needs one of `rule`, `metric` and `expect`"),
            (r#"{"rule": "not_null"}"#, "`column` is missing"),
            (r#"{"rule": "row_count", "column": "a", "min": 1}"#, "`row_count` is about the table, not about a column"),
            (r#"{"rule": "between", "column": "a"}"#, "`min` or `max` is missing"),
            (r#"{"rule": "between", "column": "a", "min": "1"}"#, "`min` is not a number"),
            (
                r#"{"rule": "not_null", "column": "a", "mostley": 1}"#,
                "`mostley` is not known, or not of use to `not_null`",
            ),
            (r#"{"rule": "not_null", "column": "a", "mostly": 1.1}"#, "`mostly` is not from 0 to 1"),
            (r#"{"rule": "mean", "column": "a", "mustBe": 1, "mustNotBe": 2}"#, "it has more than one operator"),
            (r#"{"rule": "not_null", "column": "a", "severity": "bad"}"#, "severity: `bad` is not warning or error"),
            (r#"{"metric": "nullValues", "column": "a", "unit": "kg"}"#, "the unit `kg` is neither rows nor percent"),
            (r#"{"rule": "match_regex", "column": "a", "pattern": "("}"#, "`(` is no pattern"),
            ("3", "it is not an object"),
        ] {
            assert!(refused(check).starts_with(told), "{check}: {}", refused(check));
        }
        assert!("[1".parse::<Checks>().unwrap_err().to_string().starts_with("checks: not JSON"));
        assert!("{}".parse::<Checks>().unwrap_err().to_string().contains("no list `checks`"));
    }
}
