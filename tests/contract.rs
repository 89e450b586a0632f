//! Data contracts: read, enforced, proposed, and what they catch.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc"))]

use std::fs;

use pixelfeat::quality::Contract;
use pixelfeat::synthetic::{self, SIDE};
use serde_json::{Value, json};

use crate::cli::{Place, text};
use crate::support::example;

/// A contract with these properties of the table `digits`, and what follows them.
fn contract(properties: &str, rest: &str) -> String {
    format!(
        "apiVersion: v3.1.0\nkind: DataContract\nid: digits\nversion: 1.0.0\nstatus: active\nschema:\n  - name: digits\n    \
         properties:\n{properties}{rest}"
    )
}

/// The checks that fail, by their names, if rows are held to a contract; the exit code is 3 if there are any.
fn failing(place: &Place, rows: &str, contract: &str) -> Vec<String> {
    place.file("rows.ndjson", rows);
    place.file("contract.yaml", contract);
    let output = example("check")
        .args(["rows.ndjson", "--contract", "contract.yaml", "--check-report", "found.json", "-q"])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let found = place.report("found.json");
    let results = found["results"].as_array().unwrap().iter();
    let failed: Vec<String> = results
        .filter(|result| result["success"] == json!(false))
        .map(|result| result["check"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(output.status.code(), Some(if failed.is_empty() { 0 } else { 3 }), "{}", text(&output.stderr));
    failed
}

#[test]
fn every_part_of_a_contract_is_enforced() {
    let place = Place::new();
    let good = r#"{"image": [[1, 2], [3, 4]], "label": 1, "name": "ant", "score": 0.5, "tags": [1, 2]}
{"image": [[5, 6], [7, 8]], "label": 2, "name": "bee", "score": 0.75, "tags": [3]}
"#;
    // What a property asks for, what of the good rows is replaced by what, and the check that must fail.
    let cases = [
        ("{name: label, logicalType: integer}", "\"label\": 1", "\"label\": \"1\"", "label: type"),
        ("{name: score, logicalType: number}", "\"score\": 0.5", "\"score\": \"x\"", "score: type"),
        ("{name: label, required: true}", "\"label\": 1", "\"label\": null", "label: required"),
        ("{name: label, primaryKey: true}", "\"label\": 2", "\"label\": 1", "label: unique"),
        ("{name: name, unique: true}", "\"bee\"", "\"ant\"", "name: unique"),
        (
            "{name: label, logicalType: integer, logicalTypeOptions: {minimum: 0, maximum: 9}}",
            "\"label\": 2",
            "\"label\": 10",
            "label: bounds",
        ),
        (
            "{name: score, logicalType: number, logicalTypeOptions: {exclusiveMaximum: 0.8}}",
            "0.75",
            "0.8",
            "score: bounds",
        ),
        (
            "{name: name, logicalType: string, logicalTypeOptions: {minLength: 3, maxLength: 3}}",
            "\"bee\"",
            "\"wasp\"",
            "name: length",
        ),
        (
            "{name: name, logicalType: string, logicalTypeOptions: {pattern: '^[a-z]+$'}}",
            "\"bee\"",
            "\"Bee\"",
            "name: pattern",
        ),
        ("{name: name, enum: [{value: ant}, {value: bee}]}", "\"bee\"", "\"fly\"", "name: enum"),
        (
            "{name: tags, logicalType: array, logicalTypeOptions: {minItems: 1, maxItems: 2}}",
            "[3]",
            "[3, 4, 5]",
            "tags: number of items",
        ),
        (
            "{name: tags, logicalType: array, items: {logicalType: integer, logicalTypeOptions: {maximum: 5}}}",
            "[3]",
            "[6]",
            "tags: bounds of items",
        ),
        ("{name: tags, logicalType: array, items: {logicalType: integer}}", "[3]", "[3.5]", "tags: type of items"),
        (
            "{name: image, customProperties: [{property: shape, value: [2, 2]}]}",
            "[7, 8]",
            "[7]",
            "image: images are whole",
        ),
        (
            "{name: label, quality: [{metric: invalidValues, arguments: {validValues: [1, 2]}, mustBe: 0}]}",
            "\"label\": 2",
            "\"label\": 3",
            "label: invalidValues",
        ),
        (
            "{name: label, quality: [{rule: duplicateCount, mustBeLessThan: 1, unit: rows, name: no copies}]}",
            "\"label\": 2",
            "\"label\": 1",
            "no copies",
        ),
        (
            "{name: score, quality: [{type: custom, engine: pixelfeat, implementation: {rule: max, column: score, max: 1}}]}",
            "0.75",
            "1.5",
            "score: max",
        ),
        ("{name: weight}", "", "", "weight: is there"),
    ];
    for (property, from, to, fails) in cases {
        let contract = contract(&format!("      - {property}\n"), "");
        if !from.is_empty() {
            assert_eq!(failing(&place, good, &contract), [""; 0], "{property}");
        }
        let bad = good.replacen(from, to, 1);
        assert_eq!(failing(&place, &bad, &contract), [fails], "{property}");
    }
    let properties = "      - {name: label}\n";
    let counted = contract(properties, "    quality:\n      - {metric: rowCount, mustBe: 3, severity: warning}\n");
    place.file("counted.yaml", counted.clone());
    let told = place.done(&["rows.ndjson", "--contract", "counted.yaml"]);
    assert!(told.contains("warning rowCount: observed 2.0, expected = 3"), "{told}");
    let pair = "    quality:\n      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [label, name]}}\n";
    let same = good.replace("\"label\": 2, \"name\": \"bee\"", "\"label\": 1, \"name\": \"ant\"");
    assert_eq!(failing(&place, good, &contract(properties, pair)), [""; 0]);
    assert_eq!(failing(&place, &same, &contract(properties, pair)), ["duplicateValues"]);
}

/// Writes a table whose column `at` has times of so many hours ago.
fn write_times(place: &Place, name: &str, hours: &[i64]) {
    use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator, TimestampSecondArray};
    use std::sync::Arc;
    use std::time::SystemTime;

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let times: Vec<i64> = hours.iter().map(|hours| now - 3_600 * hours).collect();
    let times: ArrayRef = Arc::new(TimestampSecondArray::from(times));
    let batch = RecordBatch::try_from_iter([("at", times)]).unwrap();
    let schema = batch.schema();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    pixelfeat::io::write(place.path(name), reader, &Default::default()).unwrap();
}

#[test]
fn times_must_be_fresh_and_within_the_retention() {
    let place = Place::new();
    write_times(&place, "times.parquet", &[40 * 24, 2]);
    for (level, holds) in [
        ("{property: freshness, value: 3, unit: h, element: digits.at}", true),
        ("{property: latency, value: 1, unit: h, element: digits.at}", false),
        ("{property: retention, value: 41, unit: d, element: digits.at}", true),
        ("{property: retention, value: 1, unit: month, element: digits.at}", false),
    ] {
        let properties = "      - {name: at, logicalType: timestamp}\n";
        place.file("contract.yaml", contract(properties, &format!("slaProperties:\n  - {level}\n")));
        let output = example("check")
            .args(["times.parquet", "--contract", "contract.yaml"])
            .current_dir(place.path(""))
            .output()
            .unwrap();
        assert_eq!(output.status.success(), holds, "{level}: {}", text(&output.stdout));
    }
}

#[test]
fn what_is_no_contract_is_refused_with_its_line() {
    let one = "      - {name: label}\n";
    for (text, told) in [
        ("a: [1".to_owned(), "not YAML"),
        ("a: 1\n".to_owned(), "line 1: `a` is not known here"),
        (contract(one, "").replace("v3.1.0", "v2.2.2"), "line 1: the apiVersion is not one of 3.0, 3.1 and 3.2"),
        (contract(one, "").replace("kind: DataContract\n", ""), "`kind` is missing"),
        (contract(one, "").replace("schema:", "server: x\nschema:"), "line 6: `server` is not known here"),
        (contract("      - {logicalType: string}\n", ""), "line 9: `name` is missing"),
        (contract("      - {name: a, requird: true}\n", ""), "line 9: `requird` is not known here"),
        (contract("      - {name: a, required: yes}\n", ""), "line 9: `required` is not true or false"),
        (contract("      - {name: a, logicalType: text}\n", ""), "`text` is not string, date"),
        (
            contract("      - {name: a, logicalType: integer, logicalTypeOptions: {minLength: 1}}\n", ""),
            "`minLength` is not known here",
        ),
        (contract("      - {name: a, quality: [{metric: nulls, mustBe: 0}]}\n", ""), "the metric `nulls` is not known"),
        (
            contract("      - {name: a, quality: [{metric: nullValues, mustBeLes: 1}]}\n", ""),
            "line 9: `mustBeLes` is not known here",
        ),
        (
            contract("      - {name: a, customProperties: [{property: shape, value: [0, 28]}]}\n", ""),
            "`shape` is not height, width and channels",
        ),
        (contract(one, "  - name: other\n"), "it describes several tables, digits and other: name one"),
        (contract("", "").replace("    properties:\n", "").replace("  - name: digits\n", ""), "describes no table"),
    ] {
        let error = text.parse::<Contract>().unwrap_err().to_string();
        assert!(error.starts_with("contract: line ") && error.contains(told), "{text}\n{error}");
    }
    let two = contract(one, "  - name: other\n    properties:\n      - {name: a}\n");
    assert_eq!(Contract::of_table(&two, "other").unwrap().checks().all().len(), 1);
    assert!(Contract::of_table(&two, "third").unwrap_err().to_string().contains("but digits and other"));
    let place = Place::new();
    place.file("rows.ndjson", "{\"image\": [1]}\n");
    place.file("bad.yaml", "a: 1\n");
    let message = place.failed(&["rows.ndjson", "--contract", "bad.yaml"]);
    assert_eq!(message, "contract: bad.yaml: line 1: `a` is not known here");
}

#[test]
fn names_of_any_characters_are_proposed() {
    let place = Place::new();
    let row = |id: usize| {
        format!(
            "{}\n",
            json!({ "it's: a \"name\" #1": (if id.is_multiple_of(2) { "x" } else { "y's" }), "image": [1, 2, 3, 4] })
        )
    };
    place.file("rows.ndjson", (0..200).map(row).collect::<String>());
    let run = |args: &[&str]| example("check").args(args).current_dir(place.path("")).output().unwrap();
    let output = run(&["rows.ndjson", "--write-contract", "c.yaml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = run(&["rows.ndjson", "--contract", "c.yaml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(fs::read_to_string(place.path("c.yaml")).unwrap().contains("distinct_contain_set"));
}

#[test]
fn what_is_not_enforced_is_said() {
    let properties = "      - name: at\n        logicalType: date\n        logicalTypeOptions: {format: yyyy-MM-dd}\n        \
                      quality:\n          - {type: sql, query: SELECT 1, mustBe: 1}\n      - name: label\n        \
                      relationships: [{to: other.label}]\n      - name: tags\n        items: {required: true, \
                      logicalType: array, logicalTypeOptions: {maxItems: 3}, items: {logicalType: integer}}\n";
    let sla = "slaProperties:\n  - {property: availability, value: 99}\n  - {property: freshness, value: 1}\n";
    let contract: Contract = contract(properties, sla).parse().unwrap();
    let told = contract.not_enforced();
    let expected = [
        "line 11: `format` of `at`",
        "line 13: a quality rule of `at` of the type `sql`",
        "line 15: `relationships` of `label`",
        "line 17: `required` of the items of `tags`",
        "line 17: `logicalTypeOptions` of the items of `tags`",
        "line 19: the service level `availability`",
        "line 20: the service level `freshness`: `element` does not name a column as table.column",
    ];
    assert_eq!(told, expected);
}

/// Digits as they should come: 800 rows, ten classes, two sources, weights in grams.
fn good_rows(seed: u64) -> Vec<Value> {
    let row = |id: u64| {
        let mut pixels = [0; SIDE * SIDE];
        let label = synthetic::digit(seed, id, &mut pixels);
        let weight = 0.5 + ((id * 37 + seed * 11) % 100) as f64 / 100.0;
        let source = ["scanner-1", "scanner-2"][(id % 2) as usize];
        let id = id + 10_000 * seed;
        json!({ "id": id, "image": pixels.to_vec(), "label": label, "source": source, "weight": weight })
    };
    (0..800).map(row).collect()
}

fn ndjson(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Rows with the pixels of each image changed.
fn with_pixels(rows: &[Value], change: impl Fn(&[u8]) -> Value) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        let pixels: Vec<u8> = row["image"].as_array().unwrap().iter().map(|p| p.as_u64().unwrap() as u8).collect();
        row["image"] = change(&pixels);
    }
    rows
}

/// Rows with a column changed.
fn with(rows: &[Value], column: &str, change: impl Fn(usize, &Value) -> Value) -> Vec<Value> {
    let mut rows = rows.to_vec();
    rows.iter_mut().enumerate().for_each(|(at, row)| row[column] = change(at, &row[column]));
    rows
}

/// The ways in which data go bad upstream, by name: other good rows, made bad.
fn corrupted(rows: &[Value]) -> Vec<(&'static str, String)> {
    let number = |value: &Value| value.as_f64().unwrap();
    let without = |column: &str| {
        let mut rows = rows.to_vec();
        rows.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove(column)));
        rows
    };
    let renamed = |from: &str, to: &str| {
        let mut rows = rows.to_vec();
        for row in &mut rows {
            let row = row.as_object_mut().unwrap();
            let value = row.remove(from).unwrap();
            row.insert(to.to_owned(), value);
        }
        rows
    };
    let blurred = |p: &[u8]| {
        let at = |i: usize| u32::from(p[i % p.len()]);
        let around = |i: usize| (0..9).map(|k| at(i + p.len() + k % 3 + SIDE * (k / 3) - SIDE - 1)).sum::<u32>() / 9;
        (0..p.len()).map(around).collect::<Value>()
    };
    let twice: Vec<Value> = rows.iter().chain(&rows[..1]).cloned().collect();
    let swapped = {
        let mut rows = rows.to_vec();
        for row in &mut rows {
            let (label, weight) = (row["label"].clone(), row["weight"].clone());
            (row["label"], row["weight"]) = (weight, label);
        }
        rows
    };
    let labels: Vec<Value> = rows.iter().map(|row| row["label"].clone()).collect();
    let cut = ndjson(rows);
    let of = |rows: Vec<Value>| ndjson(&rows);
    vec![
        ("labels become text", of(with(rows, "label", |_, v| json!(v.to_string())))),
        ("weights in milligrams", of(with(rows, "weight", |_, v| json!(1000.0 * number(v))))),
        ("weights have lost their sign", of(with(rows, "weight", |_, v| json!(-number(v))))),
        ("a weight is missing", of(with(rows, "weight", |at, v| if at == 77 { Value::Null } else { v.clone() }))),
        ("labels count from 1", of(with(rows, "label", |_, v| json!(number(v) as u64 + 1)))),
        ("a new class", of(with(rows, "label", |at, v| if at == 300 { json!(12) } else { v.clone() }))),
        ("one class is left out", of(rows.iter().filter(|row| row["label"] != json!(3)).cloned().collect())),
        ("a source is empty", of(with(rows, "source", |at, v| if at < 9 { json!("") } else { v.clone() }))),
        ("a row comes twice", of(twice)),
        ("a column is gone", of(without("weight"))),
        ("a column has another name", of(renamed("source", "src"))),
        ("two columns are exchanged", of(swapped)),
        ("the file is empty", String::new()),
        ("the file is cut off", cut[..cut.len() - 100].to_owned()),
        ("images have lost a row of pixels", of(with_pixels(rows, |p| json!(p[SIDE..])))),
        ("pixels are from 0 to 1", of(with_pixels(rows, |p| p.iter().map(|&p| f64::from(p) / 255.0).collect()))),
        ("images are inverted", of(with_pixels(rows, |p| p.iter().map(|&p| 255 - p).collect()))),
        ("images are black", of(with_pixels(rows, |p| json!(vec![0; p.len()])))),
        ("images are dark", of(with_pixels(rows, |p| p.iter().map(|&p| p / 2).collect()))),
        ("images are blurred", of(with_pixels(rows, blurred))),
        (
            "images are transposed",
            of(with_pixels(rows, |p| (0..p.len()).map(|i| p[i % SIDE * SIDE + i / SIDE]).collect())),
        ),
        ("labels are of the next row", of(with(rows, "label", |at, _| labels[(at + 1) % labels.len()].clone()))),
    ]
}

#[test]
fn a_proposed_contract_takes_good_data_and_catches_what_goes_bad() {
    let place = Place::new();
    let good = good_rows(1);
    place.file("digits.ndjson", ndjson(&good));
    let run =
        |file: &str, more: &[&str]| example("check").arg(file).args(more).current_dir(place.path("")).output().unwrap();
    let proposed = run("digits.ndjson", &["--write-contract", "digits.yaml", "--label", "label", "-q"]);
    assert!(proposed.status.success(), "{}", text(&proposed.stderr));
    let contract: Contract = fs::read_to_string(place.path("digits.yaml")).unwrap().parse().unwrap();
    assert!(contract.not_enforced().is_empty() && contract.shape().unwrap().to_string() == "28x28");
    let held = |rows: &str| {
        place.file("new.ndjson", rows);
        run("new.ndjson", &["--contract", "digits.yaml"])
    };
    // The data themselves, and others of their kind.
    for seed in [1, 2, 3] {
        let output = held(&ndjson(&good_rows(seed)));
        assert!(output.status.success(), "seed {seed}: {}{}", text(&output.stdout), text(&output.stderr));
    }
    let mut missed = Vec::new();
    let all = corrupted(&good_rows(2));
    for (what, rows) in &all {
        if held(rows).status.success() {
            missed.push(*what);
        }
    }
    // Data of other kinds: good ones, others of their kind, and what is made of these.
    write_times(&place, "times.parquet", &[30, 20, 10, 3]);
    write_times(&place, "new-times.parquet", &[28, 15, 5]);
    write_times(&place, "bad-times.parquet", &[30 * 24, 29 * 24 + 10]);
    let colours = |seed: u32, is_exchanged: bool| {
        let row = |row: u32| {
            let pixel = |at: u32| [90 + (at * 7 + row * (seed + 5)) % 120, 60 + (at + row) % 70, (at * row) % 60];
            let image: Vec<u32> = (0..64)
                .flat_map(|at| {
                    let [r, g, b] = pixel(at);
                    if is_exchanged { [b, g, r] } else { [r, g, b] }
                })
                .collect();
            json!({ "image": image })
        };
        ndjson(&(0..400).map(row).collect::<Vec<_>>())
    };
    place.file("colours.ndjson", colours(1, false));
    place.file("new-colours.ndjson", colours(2, false));
    place.file("bad-colours.ndjson", colours(2, true));
    let others = [
        ("a partition is stale", "times.parquet", &[][..]),
        ("two channels are exchanged", "colours.ndjson", &["--shape", "8x8x3"]),
    ];
    for (what, good, options) in others {
        let proposed = run(good, &[options, &["--write-contract", "other.yaml", "-q"]].concat());
        assert!(proposed.status.success(), "{what}: {}", text(&proposed.stderr));
        let is_held = |file: &str| run(file, &["--contract", "other.yaml"]).status.success();
        assert!(is_held(good) && is_held(&format!("new-{good}")), "{what}");
        if is_held(&format!("bad-{good}")) {
            missed.push(what);
        }
    }
    let all = all.len() + others.len();
    println!("{} of {all} ways in which data go bad are caught; not: [{}]", all - missed.len(), missed.join(", "));
    assert_eq!(missed, [""; 0]);
}
