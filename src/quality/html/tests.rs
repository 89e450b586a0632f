use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{ArrayRef, FixedSizeListArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow_array::{RecordBatchIterator, TimestampSecondArray};
use arrow_schema::{DataType, Field, Schema};

use super::QualityReport;
use crate::base::random::Random;
use crate::engine::{Engine, EngineOptions};
use crate::quality::{
    Checker, Checks, DriftOptions, IssueOptions, IssueWatch, LabelReport, Profile, Profiler, SuspiciousRow,
};
use crate::{FeatureSpec, Featurizer, StreamOptions};

fn table(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn profile(columns: Vec<(String, ArrayRef)>) -> Profile {
    let mut profile = Profile::default();
    profile.add_table(&table(columns)).unwrap();
    profile
}

/// A column of numbers, and one of text with nulls.
fn small() -> Profile {
    let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values((0..100).map(|i| f64::from(i * i))));
    let texts: ArrayRef =
        Arc::new((0..100).map(|i| (i % 4 > 0).then(|| format!("<b>{}", i % 3))).collect::<StringArray>());
    profile(vec![("<script>\"&".to_owned(), numbers), ("word".to_owned(), texts)])
}

/// The verdicts of the summary, by dimension.
fn verdicts(html: &str) -> BTreeMap<String, String> {
    let cards = html.split("<li><a href=\"#").skip(1);
    let verdict = |card: &str| {
        let name = card.split('"').next().unwrap().to_owned();
        (name, card.split("badge ").nth(1).unwrap().split('"').next().unwrap().to_owned())
    };
    cards.map(verdict).collect()
}

/// Fails if the page asks for anything but itself.
fn assert_alone(html: &str) {
    for attribute in [" src=\"", " href=\"", "url("] {
        for value in html.split(attribute).skip(1) {
            assert!(value.starts_with("data:image/png;base64,") || value.starts_with('#'), "{attribute}{:.60}", value);
        }
    }
    for word in ["@import", "<script", "<link", "<iframe", "http:", "https:", "NaN", "srcset"] {
        assert!(!html.contains(word), "{word}");
    }
}

#[test]
fn what_was_not_measured_is_said_and_text_stays_text() {
    let html = QualityReport::new("<script>alert(1)</script>", small())
        .with_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_753_400))
        .with_detail("Path", "a\"><img src=x>")
        .to_html();
    assert_alone(&html);
    assert!(html.contains("<h1>Data quality of &lt;script&gt;alert(1)&lt;/script&gt;</h1>"));
    assert!(
        html.contains("<th scope=\"row\">&lt;script&gt;&quot;&amp;</th>") && html.contains("2025-11-21 19:30:00 UTC")
    );
    let at = |name: &str| html.find(&format!("-heading\">{name} ")).unwrap_or_else(|| panic!("{name}"));
    let six = ["Completeness", "Consistency", "Accuracy", "Freshness", "Representativeness", "Uniqueness"].map(at);
    assert!(six.is_sorted());
    let expected = [("completeness", "look"), ("consistency", "open"), ("accuracy", "open"), ("freshness", "open")];
    let expected = expected.into_iter().chain([("representativeness", "open"), ("uniqueness", "open")]);
    assert_eq!(verdicts(&html), expected.map(|(name, of)| (name.to_owned(), of.to_owned())).collect());
    for option in ["--check", "--contract", "--label", "--reference", "--against"] {
        assert!(html.contains(option), "{option}");
    }
    assert!(html.contains("1 column has nulls; of “word” 25 of 100 values (25\u{a0}%) are missing"), "{html}");
    let empty = QualityReport::new("nothing", Profile::default()).to_html();
    assert_eq!(verdicts(&empty)["completeness"], "bad");
    assert_alone(&empty);
}

#[test]
fn checks_stand_under_their_dimension_and_make_its_verdict() {
    let times: ArrayRef = Arc::new(TimestampSecondArray::from_iter_values([1_700_000_000, 1_700_086_400]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![7, 7]));
    let batch = table(vec![("at".to_owned(), times), ("id".to_owned(), ids)]);
    let checks: Checks = r#"{"checks": [
        {"rule": "not_null", "column": "id"},
        {"rule": "between", "column": "id", "min": 8, "severity": "warning"},
        {"rule": "mean", "column": "id", "min": 7, "max": 7},
        {"rule": "unique", "column": "id", "name": "<i>"}
    ]}"#
    .parse()
    .unwrap();
    let checker = Checker::new(checks);
    checker.check_table(&batch, 0, &Default::default()).unwrap();
    let mut profile = Profile::default();
    profile.add_table(&batch).unwrap();
    // Ten days earlier its times are in the future.
    let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_086_400 - 10 * 86_400);
    assert_eq!(verdicts(&QualityReport::new("x", profile.clone()).with_time(early).to_html())["freshness"], "look");
    let html = QualityReport::new("x", profile)
        .with_checks(checker.report())
        .with_not_enforced(&["line 7: <u>".to_owned()])
        .with_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_086_400 + 3 * 86_400))
        .to_html();
    assert_alone(&html);
    let expected = [
        ("completeness", "good"),
        ("consistency", "look"),
        ("accuracy", "open"),
        ("freshness", "open"),
        ("representativeness", "good"),
        ("uniqueness", "bad"),
    ];
    assert_eq!(verdicts(&html), expected.map(|(name, of)| (name.to_owned(), of.to_owned())).into());
    assert!(html.contains("1 of 1 checks fail, the first is “&lt;i&gt;”") && html.contains("line 7: &lt;u&gt;"));
    assert!(html.contains("<td>2023-11-15 22:13:20 UTC</td><td>3 days</td>"), "{html}");
}

#[test]
fn drift_is_drawn_and_judged() {
    let of = |shift: f64| {
        let mut random = Random::new(3, 0);
        let numbers = Float64Array::from_iter_values((0..2_000).map(|_| random.between(0.0, 1.0) + shift));
        let same = Int64Array::from_iter_values((0..2_000).map(|i| i % 5));
        let more = Int64Array::from_iter_values((0..2_000).map(|i| i % 7));
        let columns: [(&str, ArrayRef); 3] =
            [("moved", Arc::new(numbers)), ("same", Arc::new(same)), ("more", Arc::new(more))];
        profile(columns.map(|(name, array)| (name.to_owned(), array)).into())
    };
    let page = |shift| {
        let (own, reference) = (of(shift), of(0.0));
        let drift = own.drift_from(&reference, &DriftOptions::default()).unwrap();
        QualityReport::new("x", own).with_drift(drift, reference).to_html()
    };
    let (moved, still) = (page(0.5), page(0.0));
    assert_eq!([&moved, &still].map(|html| verdicts(html)["representativeness"].clone()), ["look", "good"]);
    assert!(moved.contains("1 of 3 columns, features and measures have drifted"));
    // The worst comes first, and lies over the reference.
    let figures: Vec<&str> = moved.split("<figcaption><b>").skip(1).map(|of| of.split('<').next().unwrap()).collect();
    assert_eq!(figures[0], "moved");
    assert!(moved.contains("Histogram of moved from") && moved.contains("class=\"ref\""));
}

#[test]
fn label_noise_is_shown_with_its_limits() {
    let page = |noise: f64| {
        let suspicious = SuspiciousRow {
            file: Some("/data/<b>.json".to_owned()),
            row: 12,
            given: "cat".to_owned(),
            likely: "<dog>".to_owned(),
            confidence: 0.012,
        };
        let labels = LabelReport {
            column: "kind".to_owned(),
            classes: vec!["cat".to_owned(), "<dog>".to_owned()],
            rows: 1_000,
            left_out: 3,
            sampled: 500,
            rare: 0,
            folds: 5,
            accuracy: 0.93,
            confident: vec![vec![240, 10], vec![0, 250]],
            joint: vec![vec![0.5 - noise, noise], vec![0.0, 0.5]],
            noise,
            suspicious: 10,
            most_suspicious: vec![suspicious],
        };
        QualityReport::new("x", small()).with_labels(labels).to_html().replace('\u{a0}', " ")
    };
    let verdict = |noise: f64| verdicts(&page(noise))["accuracy"].clone();
    assert_eq!([0.0, 0.009, 0.01, 0.049, 0.05].map(verdict), ["good", "good", "look", "look", "bad"]);
    let html = page(0.02);
    assert_alone(&html);
    assert!(html.contains("An estimated 2 % of the labels are wrong."), "{html}");
    assert!(
        html.contains("500 of 1,000 rows with a label and features (50 %)") && html.contains("3 rows have no label")
    );
    assert!(
        html.contains("&lt;b&gt;.json: row 12</th><td>cat</td><td>&lt;dog&gt;</td><td class=\"n\">1.2 %"),
        "{html}"
    );
    // The cell of cats that are dogs: 2 % of 500 rows.
    assert!(html.contains("Heat map of given and likely classes, 2 by 2") && html.contains(">10</text>"));
}

/// A page on images, of which `pixels` gives the bytes of each.
fn page_of_images(side: usize, images: usize, pixels: impl Fn(usize) -> Vec<u8>) -> String {
    let values: Vec<u8> = (0..images).flat_map(pixels).collect();
    let item = Arc::new(Field::new_list_field(DataType::UInt8, false));
    let list = FixedSizeListArray::new(item, (values.len() / images) as i32, Arc::new(UInt8Array::from(values)), None);
    let batch = table(vec![("image".to_owned(), Arc::new(list))]);
    let schema: Arc<Schema> = batch.schema();
    let (profiler, watch) =
        (Profiler::default(), IssueWatch::new(IssueOptions::default()).with_pictures(24).without_column());
    let channels = batch.column(0).to_data().child_data()[0].len() / images / (side * side);
    let spec = FeatureSpec::default().with_shape(Some(format!("{side}x{side}x{channels}").parse().unwrap()));
    let options =
        StreamOptions::default().with_observer(Box::new(watch.clone())).with_observer(Box::new(profiler.clone()));
    let featurizer = Featurizer::new(Engine::new(EngineOptions::default()).unwrap(), spec);
    let stream = featurizer.stream_with(RecordBatchIterator::new([Ok(batch)], schema), options).unwrap();
    for batch in stream {
        assert!(batch.unwrap().column_by_name("issues").is_none());
    }
    QualityReport::new("images", profiler.profile()).with_issues(&watch).to_html().replace('\u{a0}', " ")
}

#[test]
fn flagged_images_are_shown_beside_those_that_they_repeat() {
    let mut random = Random::new(5, 0);
    let noise: Vec<Vec<u8>> = (0..4).map(|_| (0..256).map(|_| random.bits() as u8).collect()).collect();
    // The last is near the second, the one before is the same as the first.
    let html = page_of_images(16, 7, |row| match row {
        4 => vec![3; 256],
        5 => noise[0].clone(),
        6 => noise[1].iter().enumerate().map(|(at, &p)| if at == 9 { p ^ 1 } else { p }).collect(),
        row => noise[row].clone(),
    });
    assert_alone(&html);
    let sheet = |name: &str| {
        let start = html.find(&format!("<figcaption>{name}: ")).unwrap_or_else(|| panic!("{name}: {html}"));
        html[start..].split("</figure>").next().unwrap().to_owned()
    };
    assert!(sheet("dark").contains("dark: 1 of 7 images (14.3 %)") && sheet("dark").contains("row 4<br>score 0.0"));
    assert!(sheet("exact duplicate").contains("row 5<br>the same as row 0"));
    let near = sheet("near duplicate");
    assert!(near.contains("row 6<br>near row 1"), "{near}");
    let files: Vec<&str> = near.split("src=\"").skip(1).map(|of| of.split('"').next().unwrap()).collect();
    assert!(files.len() == 2 && files[0] != files[1]);
    let of_verdicts = verdicts(&html);
    assert_eq!((&of_verdicts["accuracy"][..], &of_verdicts["uniqueness"][..]), ("look", "look"));
}

#[test]
fn the_page_stays_small_with_many_columns_and_large_images() {
    let mut random = Random::new(1, 0);
    let column = |at: usize| -> (String, ArrayRef) {
        let name = format!("column {at} with a rather long name, as machines make them");
        match at % 3 {
            0 => (name, Arc::new(Float64Array::from_iter_values((0..1_100).map(|_| random.between(-1.0, 1.0) * 1e-5)))),
            1 => (
                name,
                Arc::new((0..1_100).map(|i| (i % 9 > 0).then(|| "long text ".repeat(20))).collect::<StringArray>()),
            ),
            _ => (name, Arc::new(Int64Array::from_iter_values(0..1_100))),
        }
    };
    let all = profile((0..400).map(column).collect());
    let drift = all.drift_from(&all, &DriftOptions::default()).unwrap();
    let html = QualityReport::new("wide", all.clone()).with_drift(drift, all).to_html();
    assert!(html.len() < 1_000_000, "{}", html.len());
    assert!(html.contains("Drawn are 24 of 400 columns"));
    // Large colour images with several issues each.
    let html = page_of_images(200, 60, |row| vec![row as u8 / 2; 200 * 200 * 3]);
    assert!(html.len() < 1_500_000 && html.matches("<img ").count() > 40, "{}", html.len());
}
