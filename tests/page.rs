//! The page on the quality of data, as the programs write it.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc"))]

use std::fs;

use base64::Engine as _;
use pixelfeat::synthetic::Random;
use serde_json::json;

use crate::cli::{Place, read, text};
use crate::support::example;

/// Images of 8×8 pixels that brighten to the right or downwards, as their label says; `other` gives pixels for some rows instead.
fn rows(count: u64, other: impl Fn(u64) -> Option<Vec<u8>>) -> String {
    let line = |row: u64| {
        let (label, mut random) = (row % 2, Random::new(7, row));
        let ramp = |at: u64| (if label == 0 { at % 8 } else { at / 8 }) * 24 + random.bits() % 60;
        let pixels = other(row).unwrap_or_else(|| (0..64).map(ramp).map(|p| p as u8).collect());
        let side = if label == 0 { "across" } else { "<down>" };
        json!({ "image": pixels, "label": side, "size": row }).to_string() + "\n"
    };
    (0..count).map(line).collect()
}

/// Fails if the page asks for anything but itself.
fn assert_alone(html: &str) {
    for attribute in [" src=\"", " href=\"", "url("] {
        for value in html.split(attribute).skip(1) {
            assert!(value.starts_with("data:image/png;base64,") || value.starts_with('#'), "{attribute}{value:.60}");
        }
    }
    for word in ["@import", "<script", "<link", "http:", "https:"] {
        assert!(!html.contains(word), "{word}");
    }
}

fn page(place: &Place) -> String {
    text(&fs::read(place.path("page.html")).unwrap())
}

/// The verdict of a dimension in the summary.
fn verdict<'a>(html: &'a str, dimension: &str) -> &'a str {
    let card = html.split(&format!("<a href=\"#{dimension}\">")).nth(1).unwrap();
    card.split("badge ").nth(1).unwrap().split('"').next().unwrap()
}

/// The images of the sheet of an issue.
fn images(html: &str, issue: &str) -> Vec<Vec<u8>> {
    let sheet = html.split(&format!("<figcaption>{issue}: ")).nth(1).unwrap().split("</figure>").next().unwrap();
    let files = sheet.split("src=\"data:image/png;base64,").skip(1).map(|of| of.split('"').next().unwrap());
    let image = |file: &str| {
        let file = base64::engine::general_purpose::STANDARD.decode(file).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    };
    files.map(image).collect()
}

#[test]
fn a_page_tells_of_six_dimensions_and_changes_nothing_else() {
    let place = Place::new();
    place.file("good.ndjson", rows(60, |_| None));
    place.done(&["good.ndjson", "--profile", "reference.json", "--label", "label", "-q"]);
    let noise: Vec<u8> = (0..64).map(|at| Random::new(1, at).bits() as u8).collect();
    place.file(
        "bad.ndjson",
        rows(60, |row| match row {
            3 => Some(vec![1; 64]),
            10 | 20 => Some(noise.clone()),
            30 => Some(vec![9; 63]),
            _ => None,
        }),
    );
    place.file(
        "checks.json",
        r#"{"checks": [{"rule": "between", "column": "size", "max": 58, "severity": "warning"}]}"#,
    );
    let args =
        ["bad.ndjson", "--shape", "8x8", "--label", "label", "--reference", "reference.json", "--check", "checks.json"];
    let plain = place.done(&[&args[..], &["-o", "plain.parquet", "--profile", "plain.json"]].concat());
    let told = place
        .done(&[&args[..], &["-o", "out.parquet", "--profile", "with.json", "--quality-report", "page.html"]].concat());
    let html = page(&place);
    assert_alone(&html);
    let at = |name: &str| html.find(&format!("-heading\">{name} <")).unwrap_or_else(|| panic!("{name}"));
    let six = ["Completeness", "Consistency", "Accuracy", "Freshness", "Representativeness", "Uniqueness"].map(at);
    assert!(six.is_sorted());
    assert_eq!(images(&html, "dark"), [vec![1; 64]]);
    assert_eq!(images(&html, "exact duplicate"), [noise]);
    assert!(html.contains("row 20<br>the same as row 10"));
    for words in [
        "Data quality of bad.ndjson",
        "<dd>60 rows</dd>",
        "<th scope=\"row\">wrong length</th><td class=\"n\">1</td>",
        "1 of 1 checks warn, the first is “size: between”",
        "Label noise of “label”",
        "&lt;down&gt;",
        "columns, features and measures have drifted from the reference",
        "there is no column of dates or timestamps",
    ] {
        assert!(html.to_lowercase().contains(&words.to_lowercase()), "{words}");
    }
    // What the page alone needs shows nowhere else.
    assert_eq!(fs::read(place.path("plain.json")).unwrap(), fs::read(place.path("with.json")).unwrap());
    assert_eq!(read(&place.path("plain.parquet")), read(&place.path("out.parquet")));
    assert!(
        !told.contains("dark") && !told.contains("label noise") && plain.contains("1 checks, 0 failed, 1 warnings"),
        "{told}"
    );
    // It does if it is asked for.
    let args = ["bad.ndjson", "--shape", "8x8", "--issues", "--quality-report", "page.html", "-q"];
    place.done(&args);
    assert!(read(&place.path("features.parquet")).column_by_name("issues").is_some());
    // A threshold is one of the page as well.
    place.done(&["bad.ndjson", "--shape", "8x8", "--quality-report", "page.html", "--issue-threshold", "dark=0", "-q"]);
    assert!(!page(&place).contains("<figcaption>dark: ") && page(&place).contains("<dd>dark=0</dd>"));
}

#[test]
fn the_page_appears_if_a_check_fails_and_not_if_the_run_does() {
    let place = Place::new();
    place.file("in.ndjson", rows(12, |_| None));
    place.file("checks.json", r#"{"checks": [{"rule": "unique", "column": "label"}]}"#);
    let output = place.run(&["in.ndjson", "--check", "checks.json", "--quality-report", "page.html"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let html = page(&place);
    assert_eq!((verdict(&html, "uniqueness"), verdict(&html, "completeness")), ("bad", "good"));
    assert!(html.contains("in.ndjson: row 2: &quot;across&quot;") && !place.path("features.parquet").exists());
    fs::remove_file(place.path("page.html")).unwrap();
    place.failed(&["in.ndjson", "--shape", "3x3", "--quality-report", "page.html"]);
    assert!(!place.path("page.html").exists());
    // In a second epoch every image is a duplicate.
    let output = place.run(&["in.ndjson", "--epochs", "0..2", "--quality-report", "page.html"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn check_writes_a_page_on_tables_and_on_images_of_other_data_sets() {
    let place = Place::new();
    let check = |args: &[&str]| example("check").args(args).current_dir(place.path("")).output().unwrap();
    place.file("train.ndjson", rows(20, |_| None));
    place.file("test.ndjson", rows(30, |row| (row < 12).then(|| vec![row as u8 * 5; 64])));
    let output = check(&["train.ndjson", "--against", "test.ndjson", "--quality-report", "page.html"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let html = page(&place);
    assert_alone(&html);
    assert_eq!(verdict(&html, "uniqueness"), "bad");
    assert!(html.contains("row 12: the same as test.ndjson: row 12"), "{html}");
    assert_eq!(images(&html, "images that are in test.ndjson as well").len(), 8);

    place.done(&["train.ndjson", "-o", "table.parquet", "-q"]);
    let output = check(&["table.parquet", "--label", "label", "--quality-report", "page.html"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let html = page(&place);
    assert!(html.contains("Images were not compared") && html.contains("<dd>20 rows</dd>"), "{html}");
    assert_eq!((verdict(&html, "completeness"), verdict(&html, "accuracy")), ("good", "open"));
}
