//! A contract that good data propose, from their profile.

use std::fmt::Write as _;

use arrow_schema::{DataType, Field};
use serde_json::{Value, json};

use super::Contract;
use crate::base::reason::Reason;
use crate::base::shape::PixelType;
use crate::base::time::now;
use crate::quality::classes::{Class, Classes};
use crate::quality::column::{ColumnProfile, Values, item_type};
use crate::quality::images::{ImageProfile, MEASURES};
use crate::quality::numbers::Numbers;
use crate::quality::profile::Profile;

/// A column with so few different values has no others.
const FEW: usize = 20;
/// A value that so many rows have is one that others of its kind will have as well.
const OFTEN: u64 = 50;
/// How far a mean may move, in standard deviations of the values.
const MEAN_SHIFT: f64 = 0.25;
/// Labels that explain less of the variance of brightness are not held to it.
const LEAST_EXPLAINED: f64 = 0.05;
/// Seconds.
const HOUR: f64 = 3_600.0;
const DAY: f64 = 24.0 * HOUR;

impl Contract {
    /// Proposes a contract for data like those of a profile, as YAML of the standard's version 3.1.0. `name` is the name of the
    /// table, and `image` is the image column.
    ///
    /// - Every column is there and of its type; it is `required` if it has no nulls, and `unique` if it has more than 20 values, all
    ///   different and counted one by one.
    /// - A column of up to 20 different values has no others, and all of them if each stands for 50 rows. Other numbers and text
    ///   lengths may go beyond what was seen by half of its range, but not below zero if nothing did. Unique numbers may be any.
    /// - The image column has the shape of all images. Brightness, contrast, share of black, sharpness and the share of vertical
    ///   edges keep their means within a quarter of a standard deviation, by rules of the engine `pixelfeat`, which other programs
    ///   pass over.
    /// - If the profile tells classes apart, their labels explain at least half as much of the variance of brightness as here. Labels
    ///   that belong to other rows do not. Labels that explain less than 5 % are not held to it.
    /// - The table has rows.
    /// - A column of times must be fresh if its newest time is at most a day old, or if its age is at most the span of all times. The
    ///   newest time of new data may then be twice that age, twice that span or two hours old, whichever is most.
    ///
    /// A proposal is a beginning: whoever knows the data should read it.
    pub fn propose(profile: &Profile, name: &str, image: &Field) -> String {
        let mut text = String::from("apiVersion: v3.1.0\nkind: DataContract\n");
        let table = quoted(name);
        let _ =
            write!(text, "id: {table}\nversion: 1.0.0\nstatus: draft\nschema:\n  - name: {table}\n    properties:\n");
        for column in profile.columns() {
            property(&mut text, column);
        }
        let images = profile.images().filter(|images| images.count() > 0);
        if let Some(images) = images {
            images_property(&mut text, image, profile, images);
        }
        text.push_str("    quality:\n      - {metric: rowCount, mustBeGreaterThan: 0}\n");
        for (column, values) in profile.columns().iter().filter_map(|column| Some((column, few_values(column)?))) {
            if values.iter().all(|(_, count)| *count >= OFTEN) {
                let values: Vec<&Value> = values.iter().map(|(value, _)| value).collect();
                own_rule(
                    &mut text,
                    &json!({ "rule": "distinct_contain_set", "column": column.name(), "values": values }),
                );
            }
        }
        for measure in MEASURES {
            if let Some(bounds) = images.and_then(|images| images.measure(measure)).and_then(mean_bounds) {
                let target = format!("image.{measure}");
                own_rule(&mut text, &json!({ "rule": "mean", "column": target, "min": bounds.0, "max": bounds.1 }));
            }
        }
        if let Some((label, least)) =
            profile.classes().zip(images).and_then(|(classes, images)| explained(classes, images))
        {
            let rule = "variance_explained";
            own_rule(&mut text, &json!({ "rule": rule, "column": "image.brightness", "by": label, "min": least }));
        }
        // A dot in a name would be taken for the one behind the table.
        let columns = profile.columns().iter().filter(|column| !column.name().contains('.'));
        let ages: Vec<(&str, f64)> = columns.filter_map(|column| Some((column.name(), freshness(column)?))).collect();
        if !ages.is_empty() {
            text.push_str("slaProperties:\n");
        }
        for (column, seconds) in ages {
            let (hours, element) = ((seconds / HOUR).ceil(), quoted(&format!("{name}.{column}")));
            let _ = writeln!(text, "  - {{property: freshness, value: {hours}, unit: h, element: {element}}}");
        }
        text
    }
}

/// The different values of a column in their order, and their counts, if they are few.
fn few_values(column: &ColumnProfile) -> Option<Vec<(Value, u64)>> {
    let is_flag = column.data_type == "Boolean";
    let mut found = match &column.values {
        Values::Number(of) if !is_flag => {
            let whole = |value: f64| if value.fract() == 0.0 { Value::from(value as i64) } else { Value::from(value) };
            let counts = of.grid.sorted()?.into_iter();
            counts.map(|(value, count)| (if is_integer(column) { whole(value) } else { value.into() }, count)).collect()
        }
        Values::Text(_) if !is_bytes(column) => column.counted_values()?,
        _ => return None,
    };
    if let Values::Text(_) = column.values {
        found.sort_by_key(|(value, _)| value.to_string());
    }
    Some(found).filter(|values| !values.is_empty() && values.len() <= FEW)
}

fn is_integer(column: &ColumnProfile) -> bool {
    column.data_type.starts_with("Int") || column.data_type.starts_with("UInt")
}

fn is_bytes(column: &ColumnProfile) -> bool {
    column.data_type.contains("Binary")
}

/// A check that only this crate enforces.
fn own_rule(text: &mut String, check: &Value) {
    let check = check.to_string().replace('\'', "''");
    let _ = write!(text, "      - type: custom\n        engine: pixelfeat\n        implementation: '{check}'\n");
}

fn property(text: &mut String, column: &ColumnProfile) {
    let _ = writeln!(text, "      - name: {}", quoted(column.name()));
    let mut line = |key: &str, value: String| *text += &format!("        {key}: {value}\n");
    if column.nulls() == 0 && column.rows() > 0 {
        line("required", "true".to_owned());
    }
    let few = few_values(column);
    let is_unique = column.nulls() == 0
        && column.counted_values().is_some_and(|values| values.len() > FEW && values.len() as u64 == column.rows());
    if is_unique {
        line("unique", "true".to_owned());
    }
    let is_integer = is_integer(column);
    match &column.values {
        Values::Number(_) if column.data_type == "Boolean" => line("logicalType", "boolean".to_owned()),
        Values::Number(of) => {
            line("logicalType", if is_integer { "integer" } else { "number" }.to_owned());
            // Numbers of rows, and the like, go on.
            let bounds = widened(&of.numbers, is_integer).filter(|_| few.is_none() && !is_unique);
            if let Some((min, max)) = bounds {
                line("logicalTypeOptions", format!("{{minimum: {min}, maximum: {max}}}"));
            }
        }
        Values::Time(_) => {
            let is_date = column.data_type.starts_with("Date");
            line("logicalType", if is_date { "date" } else { "timestamp" }.to_owned());
        }
        // Bytes have no logical type.
        Values::Text(_) if is_bytes(column) => {}
        Values::Text(of) => {
            line("logicalType", "string".to_owned());
            if let (None, Some((min, max))) = (&few, widened(&of.lengths, true)) {
                line("logicalTypeOptions", format!("{{minLength: {min}, maxLength: {max}}}"));
            }
        }
        Values::List(of) => {
            line("logicalType", "array".to_owned());
            if let (Some(min), Some(max)) = (of.lengths.min(), of.lengths.max()) {
                line("logicalTypeOptions", format!("{{minItems: {min}, maxItems: {max}}}"));
            }
            let is_integer = column.data_type.contains("Int");
            let options = widened(&of.items, is_integer).map_or(String::new(), |(min, max)| {
                format!(", logicalTypeOptions: {{minimum: {min}, maximum: {max}}}")
            });
            let logical = if is_integer { "integer" } else { "number" };
            line("items", format!("{{logicalType: {logical}{options}}}"));
        }
        Values::Other => {}
    }
    let Some(few) = few else { return };
    let values: Vec<String> = few.iter().map(|(value, _)| value.to_string()).collect();
    let _ = writeln!(
        text,
        "        quality:\n          - {{metric: invalidValues, arguments: {{validValues: [{}]}}, mustBe: 0}}",
        values.join(", ")
    );
}

/// The image column. Other layouts than lists, such as encoded images, have no logical type.
fn images_property(text: &mut String, image: &Field, profile: &Profile, images: &ImageProfile) {
    let _ = writeln!(text, "      - name: {}", quoted(image.name()));
    if !profile.invalid().contains_key(Reason::NullImage.name()) {
        text.push_str("        required: true\n");
    }
    let sides = match images.shapes.sorted().as_deref() {
        Some([(shape, _)]) => shape.split('x').map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if let Some(item) = item_type(image.data_type()) {
        text.push_str("        logicalType: array\n");
        let is_flat = item_type(item).is_none();
        let product: usize = sides.iter().filter_map(|side| side.parse::<usize>().ok()).product();
        let length = if is_flat { Some(product.to_string()) } else { sides.first().cloned() };
        if let Some(length) = length.filter(|_| !sides.is_empty()) {
            let _ = writeln!(text, "        logicalTypeOptions: {{minItems: {length}, maxItems: {length}}}");
        }
        let _ = writeln!(text, "        items: {}", items_of(item, images.pixel_type));
    }
    if !sides.is_empty() {
        let _ = writeln!(text, "        customProperties: [{{property: shape, value: [{}]}}]", sides.join(", "));
    }
}

/// What a contract says of the items of lists of pixels.
fn items_of(item: &DataType, pixel_type: PixelType) -> String {
    match item_type(item) {
        Some(inner) => format!("{{logicalType: array, items: {}}}", items_of(inner, pixel_type)),
        None if item.is_integer() => {
            let max = pixel_type.default_scale();
            format!("{{logicalType: integer, logicalTypeOptions: {{minimum: 0, maximum: {max}}}}}")
        }
        None => "{logicalType: number}".to_owned(),
    }
}

/// What was seen, and half of its range more on both sides.
fn widened(numbers: &Numbers, is_integer: bool) -> Option<(f64, f64)> {
    let (min, max) = (numbers.min()?, numbers.max()?);
    let more = if max > min { (max - min) / 2.0 } else { max.abs() / 2.0 };
    let low = if min >= 0.0 { (min - more).max(0.0) } else { min - more };
    let (low, high) = if is_integer { (low.floor(), (max + more).ceil()) } else { (low, max + more) };
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

/// The label column, and the least share of the variance of brightness that it should explain: half of what it explains here. `None`
/// if labels could explain as much by chance, or explain little.
fn explained<'a>(classes: &'a Classes, images: &ImageProfile) -> Option<(&'a str, f64)> {
    let brightness = images.measure(MEASURES[0])?;
    let (mean, std, all) = (brightness.mean()?, brightness.std()?, classes.classes.as_ref()?);
    let of_class = |class: &Class| Some(class.featurized as f64 * (class.mean(0)? - mean).powi(2));
    let between: f64 = all.values().filter_map(of_class).sum();
    let rows = brightness.count() as f64;
    let share = between / ((rows - 1.0) * std * std);
    // The mean of what labels at random explain.
    let by_chance = (all.len() as f64 - 1.0) / (rows - 1.0);
    (share.is_finite() && share > LEAST_EXPLAINED.max(5.0 * by_chance)).then(|| (classes.label(), share / 2.0))
}

/// How many seconds old the newest time of new data may be. `None` if the column has no times, or no recent ones.
fn freshness(column: &ColumnProfile) -> Option<f64> {
    let Values::Time(of) = &column.values else { return None };
    let (min, max) = (of.numbers.min()?, of.numbers.max()?);
    let (age, apart) = (now() - max, max - min);
    // Old data tell nothing of how often new ones come. Times in the future are not those at which rows were made.
    (-DAY..=apart.max(DAY)).contains(&age).then(|| 2.0 * age.max(apart).max(HOUR))
}

fn mean_bounds(numbers: &Numbers) -> Option<(f64, f64)> {
    let (mean, std) = (numbers.mean()?, numbers.std()?);
    // Where all values are one, rounding alone may tell two means apart.
    let shift = MEAN_SHIFT * std + 1e-9 * mean.abs();
    Some((mean - shift, mean + shift))
}

/// Text as a YAML scalar: JSON's quotes are YAML's as well.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
