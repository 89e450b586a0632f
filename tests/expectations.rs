//! Checks beside what Great Expectations says of the same tables.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc"))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pixelfeat::io::{self, ReadOptions};
use pixelfeat::quality::{Checker, RULES};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quality").join(name)
}

/// What the checks find in a table that comes in several batches.
fn results(table: &str, checks: &[&Value]) -> Vec<Value> {
    let checker = Checker::new(json!({ "checks": checks }).to_string().parse().unwrap());
    let options = ReadOptions::default().with_batch_rows(if table == "few" { 3 } else { 400 });
    let reader = io::open(fixture(&format!("{table}.parquet")), &options).unwrap();
    let (origins, mut row) = (reader.origins(), 0);
    for batch in reader {
        let batch = batch.unwrap();
        checker.check_table(&batch, row, &origins).unwrap();
        row += batch.num_rows() as u64;
    }
    checker.report().to_json()["results"].as_array().unwrap().clone()
}

/// The name of an expectation, without what all names begin with.
fn name(check: &Value) -> &str {
    check["expect"].as_str().unwrap_or("").trim_start_matches("expect_").trim_start_matches("column_")
}

/// How far an observed number may be from that of Great Expectations, as a share of it.
fn tolerance(check: &Value) -> f64 {
    let column = check["column"].as_str().unwrap_or("");
    let has_many = ["normal", "far", "wide", "id"].contains(&column);
    match name(check) {
        // Of more than 1,000 different values, quantiles come from bins and counts from a sketch.
        "" | "median_to_be_between" if has_many => 0.004,
        "unique_value_count_to_be_between" | "proportion_of_unique_values_to_be_between" if has_many => 0.05,
        // Pandas adds up 32-bit floats as such.
        "mean_to_be_between" | "sum_to_be_between" | "stdev_to_be_between" if column == "wide" => 1e-6,
        // It rounds the mean, which shows where values differ in their last digits only.
        "stdev_to_be_between" if column == "far" => 1e-6,
        _ => 1e-14,
    }
}

/// The same value: numbers within a tolerance, lists item by item, all else as it is.
fn same(value: &Value, expected: &Value, tolerance: f64) -> bool {
    if let (Some(value), Some(expected)) = (value.as_f64(), expected.as_f64()) {
        return (value - expected).abs() <= tolerance * expected.abs();
    }
    match (value, expected) {
        (Value::Array(of), Value::Array(expected)) => {
            of.len() == expected.len()
                && of.iter().zip(expected).all(|(value, expected)| same(value, expected, tolerance))
        }
        _ => value == expected,
    }
}

/// In the order of their JSON, and with flags as the numbers that they are in profiles.
fn sorted(values: &Value) -> Value {
    let number = |value: &Value| value.as_bool().map_or(value.clone(), |flag| json!(u8::from(flag)));
    let number = |value: &Value| number(value).as_f64().map_or(value.clone(), Value::from);
    let mut values: Vec<Value> = values.as_array().into_iter().flatten().map(number).collect();
    values.sort_by_key(Value::to_string);
    json!(values)
}

/// What both programs say of a check, key by key, in one form: found here, and by Great Expectations.
fn fields(check: &Value, found: &Value, expected: &Value) -> Vec<(&'static str, Value, Value)> {
    let mut fields = vec![("success", found["success"].clone(), expected["success"].clone())];
    let observed = &found["observed_value"];
    match name(check) {
        "distinct_values_to_be_in_set" | "distinct_values_to_equal_set" => {
            let strangers = observed["unexpected"].as_array().unwrap().iter().map(|of| of[0].clone()).collect();
            fields.push(("unexpected values", sorted(&strangers), sorted(&expected["unexpected"])));
        }
        "distinct_values_to_contain_set" => {
            let missing = observed["of"].as_u64().unwrap() - observed["known"].as_u64().unwrap();
            fields.push(("missing values", json!(missing), expected["missing_count"].clone()));
        }
        "most_common_value_to_be_in_set" | "table_columns_to_match_set" => {
            fields.push(("observed_value", sorted(observed), sorted(&expected["observed_value"])));
        }
        _ => {}
    }
    if expected["element_count"].is_null() {
        if expected["observed_value"].is_number() || observed.is_number() {
            fields.push(("observed_value", observed.clone(), expected["observed_value"].clone()));
        }
        return fields;
    }
    for key in ["element_count", "missing_count", "unexpected_count", "unexpected_percent"] {
        if let Some(expected) = expected.get(key) {
            fields.push((key, found[key].clone(), expected.clone()));
        }
    }
    if let Some(rows) = expected["rows"].as_array() {
        let told: Vec<Value> =
            found["unexpected_index_list"].as_array().unwrap().iter().map(|of| of["row"].clone()).collect();
        fields.push(("unexpected_index_list", json!(told), rows.iter().map(|row| row[0].clone()).collect()));
        // Several columns are told with commas between them.
        let columns: Vec<&str> =
            check["column_list"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        let read = |text: &Value| match (text.as_str().unwrap(), columns.len()) {
            (text, 0) => sorted(&json!([read(text)])),
            (text, _) => text.split(", ").map(|text| sorted(&json!([read(text)]))).collect(),
        };
        let expected = |row: &Value| match columns.len() {
            0 => sorted(&json!([row[1]])),
            _ => columns.iter().map(|column| sorted(&json!([row[1][column]]))).collect(),
        };
        let values = found["partial_unexpected_list"].as_array().unwrap().iter().map(read).collect();
        fields.push(("partial_unexpected_list", values, rows.iter().map(expected).collect()));
    }
    fields
}

/// Where Great Expectations deliberately is not followed, by expectation and column of the table `few`. QUALITY.md says why.
const OTHERWISE: &[(&str, &str)] = &[
    ("most_common_value_to_be_in_set", "number"),
    ("most_common_value_to_be_in_set", "text"),
    ("proportion_of_unique_values_to_be_between", "empty"),
    ("values_to_be_between", "nan"),
    ("values_to_be_unique", "nan"),
    ("values_to_not_be_null", "nan"),
];

#[test]
fn checks_find_what_great_expectations_finds() {
    let cases: Value = serde_json::from_slice(&fs::read(fixture("expectations.json")).unwrap()).unwrap();
    let mut otherwise = BTreeSet::new();
    for table in ["table", "few"] {
        let cases: Vec<&Value> = cases.as_array().unwrap().iter().filter(|case| case["table"] == table).collect();
        let checks: Vec<&Value> = cases.iter().map(|case| &case["check"]).collect();
        for (case, found) in cases.iter().zip(results(table, &checks)) {
            let (check, expected) = (&case["check"], &case["found"]);
            let about = (name(check), check["column"].as_str().unwrap_or(""));
            for (key, value, expected) in fields(check, &found, expected) {
                if !same(&value, &expected, tolerance(check)) {
                    let is_known = table == "few" && OTHERWISE.contains(&about);
                    assert!(is_known, "{table} {check} {key}: {value}, Great Expectations has {expected}");
                    otherwise.insert(about);
                }
            }
        }
    }
    assert_eq!(otherwise.into_iter().collect::<Vec<_>>(), OTHERWISE);
    // Every rule that Great Expectations knows was compared.
    let asked: BTreeSet<&str> =
        cases.as_array().unwrap().iter().filter_map(|case| case["check"]["expect"].as_str()).collect();
    for expectation in RULES.iter().filter_map(|rule| rule.expectation) {
        assert!(asked.contains(&*format!("expect_{expectation}")), "{expectation}");
    }
}

#[test]
fn where_great_expectations_is_not_followed_the_readme_is() {
    let expect = |name: &str, column: &str, more: Value| {
        let mut check = json!({ "expect": name, "column": column });
        check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check
    };
    let most_common =
        |values: Value| expect("column_most_common_value_to_be_in_set", "text", json!({"value_set": values}));
    let share = "column_proportion_of_unique_values_to_be_between";
    // A check, whether it holds, how many rows have no value and how many are unexpected.
    let cases = [
        // NaN is no null, but a number that lies in no range and equals itself.
        (expect("column_values_to_not_be_null", "nan", json!({})), false, 0, 1),
        (expect("column_values_to_be_between", "nan", json!({"min_value": 0})), false, 1, 3),
        (expect("column_values_to_be_unique", "nan", json!({})), false, 1, 4),
        // "a" and "b" are as common.
        (most_common(json!(["a", "b"])), true, 0, 0),
        (most_common(json!(["a"])), false, 0, 0),
        // Nothing has no share.
        (expect(share, "empty", json!({"min_value": 0})), false, 0, 0),
    ];
    let checks: Vec<&Value> = cases.iter().map(|(check, ..)| check).collect();
    for ((check, holds, missing, unexpected), found) in cases.iter().zip(results("few", &checks)) {
        let counts = (&found["success"], &found["missing_count"], &found["unexpected_count"]);
        assert_eq!(counts, (&json!(holds), &json!(missing), &json!(unexpected)), "{check}");
    }
}
