//! Profiles as JSON: what people read beside the state that the profile is restored from.

use std::fmt::Write as _;
use std::io;

use serde_json::{Map, Value, json};

use super::classes::{Class, Classes};
use super::column::{ColumnProfile, ListValues, NumberValues, TextValues, Values};
use super::distinct::{Counts, Distinct, REGISTERS};
use super::exact::FloatSum;
use super::grid::Grid;
use super::images::{ImageProfile, MEASURES, PixelCounts};
use super::issue::{IssueCounts, IssueOptions};
use super::numbers::{Numbers, Page, Restored, histogram, quantiles};
use super::profile::Profile;
use super::tree::{Tree, exact, object};
use crate::base::error::{Error, Result};
use crate::base::shape::PixelType;
use crate::base::time::instant;

/// The version of the file. Files of other versions are refused.
const VERSION: u64 = 2;
/// The shares at which quantiles are told.
const SHARES: [(&str, f64); 7] =
    [("1%", 0.01), ("5%", 0.05), ("25%", 0.25), ("50%", 0.5), ("75%", 0.75), ("95%", 0.95), ("99%", 0.99)];
/// Steps of a histogram.
const STEPS: usize = 20;
/// How many of the most common values are told.
const MOST_COMMON: usize = 10;

impl Profile {
    /// The profile as JSON. Equal profiles give the same text.
    ///
    /// Beside `version` and `rows` it has `columns`, `features`, `images` and `classes`. What is under `state` restores the
    /// profile ([`Profile::from_json`]); all else is for people and other programs. Quantiles are those of NumPy's method
    /// `nearest`: exact if there are at most 1,000 different values, else within 0.4 % of the value or, if that is finer, within the
    /// width of a cell, of which there are up to 1,000 between the least and the largest value. `distinct` is exact up to
    /// 1,000 and an estimate with a standard error of 1.6 % beyond. `most_common` is null beyond 1,000 different values.
    pub fn to_json(&self) -> Value {
        self.tree().into_value()
    }

    /// Writes the text of [`Profile::to_json`], in less time and memory.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_json(&self, mut to: impl io::Write) -> io::Result<()> {
        self.tree().write(&mut to)?;
        to.flush()
    }

    fn tree(&self) -> Tree<'_> {
        object([
            ("version", VERSION.into()),
            ("rows", self.rows.into()),
            ("invalid", json!(self.invalid).into()),
            ("columns", Tree::Columns(&self.columns, column)),
            ("features", Tree::Columns(&self.features, column)),
            ("images", self.images.as_ref().map_or(Value::Null.into(), images)),
            ("classes", self.classes.as_ref().map_or(Value::Null, |of| classes(of, &self.features)).into()),
        ])
    }

    /// Restores a profile from its JSON. It is equal to the one that was written.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it is no profile of this version.
    pub fn from_json(value: &Value) -> Result<Self> {
        let refuse = |why: String| Error::InvalidOption { option: "profile", why };
        match value["version"].as_u64() {
            Some(VERSION) => {}
            Some(other) => return Err(refuse(format!("its version is {other}, not {VERSION}"))),
            None => return Err(refuse("it is not the JSON of a profile: it has no version".to_owned())),
        }
        let list = |name: &str| -> Result<Vec<ColumnProfile>> {
            let all = value[name].as_array().ok_or_else(|| refuse(format!("it has no list of {name}")))?;
            all.iter()
                .enumerate()
                .map(|(at, of)| {
                    let name = of["name"].as_str().map_or_else(|| at.to_string(), |name| format!("`{name}`"));
                    to_column(of).ok_or_else(|| refuse(format!("column {name} is damaged")))
                })
                .collect()
        };
        let invalid = value["invalid"].as_object().into_iter().flatten();
        Ok(Self {
            rows: value["rows"].as_u64().ok_or_else(|| refuse("it has no number of rows".to_owned()))?,
            invalid: invalid.filter_map(|(reason, rows)| Some((reason.clone(), rows.as_u64()?))).collect(),
            columns: list("columns")?,
            features: list("features")?,
            images: match &value["images"] {
                Value::Null => None,
                of => Some(to_images(of).ok_or_else(|| refuse("its images are damaged".to_owned()))?),
            },
            classes: match &value["classes"] {
                Value::Null => None,
                of => Some(to_classes(of).ok_or_else(|| refuse("its classes are damaged".to_owned()))?),
            },
        })
    }
}

fn to_exact(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

fn to_counts(value: &Value) -> Option<Vec<u64>> {
    value.as_array()?.iter().map(Value::as_u64).collect()
}

/// A finite number, or null.
fn number(value: Option<f64>) -> Value {
    value.filter(|value| value.is_finite()).map_or(Value::Null, Value::from)
}

/// Members of an object.
type Members<'a> = Vec<(&'static str, Tree<'a>)>;

fn summary<'a>(numbers: &Numbers, sorted: &[(f64, u64)]) -> Members<'a> {
    let found = quantiles(sorted, &SHARES.map(|(_, share)| share)).map(|values| {
        object(SHARES.iter().zip(values).map(|((name, _), value)| (*name, value.into())).collect::<Members<'_>>())
    });
    let range = numbers.min().zip(numbers.max());
    let steps = histogram(sorted, range, STEPS)
        .map(|(edges, counts)| object([("edges", Tree::Floats(edges)), ("counts", Tree::Counts(counts))]));
    vec![
        ("not_finite", numbers.not_finite().into()),
        ("min", number(numbers.min()).into()),
        ("max", number(numbers.max()).into()),
        ("mean", number(numbers.mean()).into()),
        ("std", number(numbers.std()).into()),
        ("quantiles", found.unwrap_or(Value::Null.into())),
        ("histogram", steps.unwrap_or(Value::Null.into())),
    ]
}

fn numbers_state<'a>(numbers: &Numbers) -> Tree<'a> {
    let page = |(of, page): (usize, &Page)| {
        let mut counts = Vec::with_capacity(2 * page.counts.len());
        let used = page.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        used.for_each(|(bin, &count)| counts.extend([bin as u64, count]));
        let sum = Value::from(page.sum.to_string());
        Tree::List(vec![of.into(), sum.into(), Tree::Counts(page.squares.into()), Tree::Counts(counts)])
    };
    object([
        ("nan", numbers.nan.into()),
        ("infinite", Tree::Counts(numbers.infinite.into())),
        ("range", json!(numbers.min().zip(numbers.max()).map(|(min, max)| [exact(min), exact(max)])).into()),
        ("pages", Tree::List(numbers.pages().map(page).collect())),
    ])
}

fn to_numbers(value: &Value) -> Option<Numbers> {
    let page = |value: &Value| {
        let mut page = Page { sum: value[1].as_str()?.parse().ok()?, ..Page::default() };
        page.squares = to_counts(&value[2])?.try_into().ok()?;
        let counts = to_counts(&value[3])?;
        for pair in counts.chunks(2) {
            *page.counts.get_mut(usize::try_from(pair[0]).ok()?)? = *pair.get(1)?;
        }
        Some((usize::try_from(value[0].as_u64()?).ok()?, page))
    };
    let pages = value["pages"].as_array()?.iter().map(page).collect::<Option<Vec<_>>>()?;
    let range = match &value["range"] {
        Value::Null => None,
        range => Some((to_exact(&range[0])?, to_exact(&range[1])?)),
    };
    let infinite = to_counts(&value["infinite"])?.try_into().ok()?;
    Numbers::restore(pages.into_iter(), &Restored { nan: value["nan"].as_u64()?, infinite, range })
}

/// More than the highest rank.
const RANKS: u8 = 62;

/// The character of a register: 0 to 9, a to z, A to Z.
#[inline]
fn digit(rank: u8) -> u8 {
    // Without branches the compiler makes vectors of it.
    let (letters, large) = (u8::from(rank > 9), u8::from(rank > 35));
    b'0' + rank + letters * (b'a' - b'9' - 1) - large * (b'z' + 1 - b'A')
}

fn distinct_state<'a>(distinct: &Distinct) -> Tree<'a> {
    // Most columns have few different values, so most registers are empty.
    let registers = distinct.registers();
    if distinct.used() * 4 > REGISTERS {
        let digits = registers.iter().map(|&rank| digit(rank)).collect();
        return Tree::Plain(String::from_utf8(digits).unwrap_or_default());
    }
    let used = registers.iter().enumerate().filter(|(_, rank)| **rank > 0);
    Tree::Counts(used.flat_map(|(at, &rank)| [at as u64, u64::from(rank)]).collect())
}

fn to_distinct(value: &Value) -> Option<Distinct> {
    let registers = match value {
        Value::String(text) => {
            text.bytes().map(|byte| (0..RANKS).find(|&rank| digit(rank) == byte)).collect::<Option<Vec<u8>>>()?
        }
        pairs => {
            let mut registers = vec![0; REGISTERS];
            for pair in to_counts(pairs)?.chunks(2) {
                *registers.get_mut(usize::try_from(pair[0]).ok()?)? = u8::try_from(*pair.get(1)?).ok()?;
            }
            registers
        }
    };
    Distinct::from_registers(registers)
}

fn grid_state<'a>(grid: &Grid, cells: Vec<(f64, u64)>) -> Tree<'a> {
    let (level, is_exact, widens) = grid.about();
    let cells = ("cells", Tree::Cells(cells));
    object([("level", level.into()), ("exact", is_exact.into()), ("widens", widens.into()), cells])
}

fn to_grid(value: &Value) -> Option<Grid> {
    let cell = |value: &Value| Some((to_exact(&value[0])?, value[1].as_u64()?));
    let cells = value["cells"].as_array()?.iter().map(cell).collect::<Option<_>>()?;
    let level = i32::try_from(value["level"].as_i64()?).ok()?;
    Some(Grid::restore(level, value["exact"].as_bool()?, value["widens"].as_bool()?, cells))
}

fn text_counts(counts: &Counts<String>) -> Value {
    counts.sorted().map_or(Value::Null, |counts| counts.into_iter().map(|(text, count)| json!([text, count])).collect())
}

fn to_text_counts(value: &Value) -> Option<Counts<String>> {
    if value.is_null() {
        return Some(Counts::from_sorted(None));
    }
    let pair = |value: &Value| Some((value[0].as_str()?.to_owned(), value[1].as_u64()?));
    Some(Counts::from_sorted(Some(value.as_array()?.iter().map(pair).collect::<Option<_>>()?)))
}

fn column(column: &ColumnProfile) -> Tree<'_> {
    let mut about: Members<'_> = vec![
        ("name", column.name.as_str().into()),
        ("type", column.data_type.as_str().into()),
        ("count", column.rows.into()),
        ("nulls", column.nulls.into()),
        ("distinct", column.distinct_count().into()),
    ];
    let (kind, state) = match &column.values {
        Values::Number(of) | Values::Time(of) => {
            let common = of.grid.most_common(MOST_COMMON);
            let pair = |(value, count)| json!([number(Some(value)), count]);
            let common = common.map_or(Value::Null, |common| common.into_iter().map(pair).collect());
            about.push(("most_common", common.into()));
            let cells = of.grid.cells();
            about.append(&mut summary(&of.numbers, &of.sorted_of(&cells)));
            let is_time = matches!(column.values, Values::Time(_));
            if is_time {
                let ends = [of.numbers.min(), of.numbers.max()].map(|end| end.map(instant));
                about.push(("range", json!(ends).into()));
            }
            let state = object([
                ("numbers", numbers_state(&of.numbers)),
                ("distinct", distinct_state(&of.distinct)),
                ("grid", grid_state(&of.grid, cells)),
            ]);
            (if is_time { "time" } else { "number" }, state)
        }
        Values::Text(of) => {
            let common = of.counts.most_common(MOST_COMMON);
            about.push(("most_common", common.map_or(Value::Null, |common| json!(common)).into()));
            about.push(("lengths", object(summary(&of.lengths, &of.lengths.bins()))));
            let state = object([
                ("lengths", numbers_state(&of.lengths)),
                ("distinct", distinct_state(&of.distinct)),
                ("counts", text_counts(&of.counts).into()),
            ]);
            ("text", state)
        }
        Values::List(of) => {
            let mut items = summary(&of.items, &of.items.bins());
            items.push(("nulls", of.null_items.into()));
            about.push(("lengths", object(summary(&of.lengths, &of.lengths.bins()))));
            about.push(("items", object(items)));
            let state = object([
                ("lengths", numbers_state(&of.lengths)),
                ("items", numbers_state(&of.items)),
                ("null_items", of.null_items.into()),
            ]);
            ("list", state)
        }
        Values::Other => ("other", Value::Null.into()),
    };
    about.extend([("kind", kind.into()), ("state", state)]);
    object(about)
}

fn to_column(value: &Value) -> Option<ColumnProfile> {
    let state = &value["state"];
    let numbers = || {
        Some(NumberValues {
            numbers: to_numbers(&state["numbers"])?,
            distinct: to_distinct(&state["distinct"])?,
            grid: to_grid(&state["grid"])?,
        })
    };
    let values = match value["kind"].as_str()? {
        "number" => Values::Number(numbers()?),
        "time" => Values::Time(numbers()?),
        "text" => Values::Text(TextValues {
            lengths: to_numbers(&state["lengths"])?,
            distinct: to_distinct(&state["distinct"])?,
            counts: to_text_counts(&state["counts"])?,
        }),
        "list" => Values::List(ListValues {
            lengths: to_numbers(&state["lengths"])?,
            items: to_numbers(&state["items"])?,
            null_items: state["null_items"].as_u64()?,
        }),
        "other" => Values::Other,
        _ => return None,
    };
    Some(ColumnProfile {
        name: value["name"].as_str()?.to_owned(),
        data_type: value["type"].as_str()?.to_owned(),
        rows: value["count"].as_u64()?,
        nulls: value["nulls"].as_u64()?,
        values,
    })
}

fn images(images: &ImageProfile) -> Tree<'_> {
    let channel = |counts: &PixelCounts| {
        let numbers = counts.numbers();
        let mut about = summary(&numbers, &counts.sorted());
        let state = match counts {
            // Runs of values from the first to the last that occurs.
            PixelCounts::Integers(counts) => {
                let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
                let end = counts.iter().rposition(|count| *count > 0).map_or(first, |last| last + 1);
                object([("first", first.into()), ("counts", Tree::Counts(counts[first..end].to_vec()))])
            }
            PixelCounts::Floats(numbers) => numbers_state(numbers),
        };
        about.extend([("count", numbers.count().into()), ("state", state)]);
        object(about)
    };
    let measures = MEASURES.iter().zip(&images.measures).map(|(name, numbers)| {
        let mut about = summary(numbers, &numbers.bins());
        about.push(("state", numbers_state(numbers)));
        (*name, object(about))
    });
    let issues = images.issues().map(|issues| {
        issues.into_iter().map(|(issue, images)| (issue.to_string(), json!(images))).collect::<Map<_, _>>()
    });
    let issues_state = images.issues.as_ref().map(|of| json!([of.options.thresholds.map(exact), of.counts]));
    object([
        ("count", images.count.into()),
        ("pixel_type", images.pixel_type.to_string().into()),
        ("shapes", json!(images.shapes.most_common(MOST_COMMON)).into()),
        ("channels", Tree::List(images.channels.iter().map(channel).collect())),
        ("measures", object(measures.collect::<Members<'_>>())),
        ("issues", json!(issues).into()),
        ("state", json!({ "shapes": text_counts(&images.shapes), "issues": issues_state }).into()),
    ])
}

fn to_images(value: &Value) -> Option<ImageProfile> {
    let pixel_type: PixelType = value["pixel_type"].as_str()?.parse().ok()?;
    let mut images = ImageProfile::new(pixel_type);
    images.count = value["count"].as_u64()?;
    images.shapes = to_text_counts(&value["state"]["shapes"])?;
    for channel in value["channels"].as_array()? {
        let state = &channel["state"];
        let counts = match PixelCounts::new(pixel_type) {
            PixelCounts::Integers(mut all) => {
                let (first, counts) = (usize::try_from(state["first"].as_u64()?).ok()?, to_counts(&state["counts"])?);
                all.get_mut(first..first.checked_add(counts.len())?)?.copy_from_slice(&counts);
                PixelCounts::Integers(all)
            }
            PixelCounts::Floats(_) => PixelCounts::Floats(to_numbers(state)?),
        };
        images.channels.push(counts);
    }
    if let Some(state) = value["state"]["issues"].as_array() {
        let thresholds: Option<Vec<f64>> = state.first()?.as_array()?.iter().map(to_exact).collect();
        let options = IssueOptions { thresholds: thresholds?.try_into().ok()?, ..IssueOptions::default() };
        images.issues = Some(IssueCounts { options, counts: to_counts(state.get(1)?)?.try_into().ok()? });
    }
    for (name, measure) in MEASURES.iter().zip(&mut images.measures) {
        *measure = to_numbers(&value["measures"][name]["state"])?;
    }
    Some(images)
}

fn classes(classes: &Classes, features: &[ColumnProfile]) -> Value {
    let class = |class: &Class| {
        let means: Map<String, Value> = features
            .iter()
            .zip(1..class.sums.len())
            .map(|(of, at)| (of.name.clone(), number(class.mean(at))))
            .collect();
        let sums: Vec<String> = class.sums.iter().map(|sum| hexadecimal(sum.limbs())).collect();
        json!({
            "rows": class.rows,
            "featurized": class.featurized,
            "brightness": number(class.mean(0)),
            "means": means,
            "state": sums,
        })
    };
    let all = classes.classes.as_ref();
    json!({
        "label": classes.label,
        "classes": all.map(|all| all.iter().map(|(name, of)| (name.clone(), class(of))).collect::<Map<_, _>>()),
    })
}

fn to_classes(value: &Value) -> Option<Classes> {
    let class = |value: &Value| {
        let sum = |value: &Value| FloatSum::from_limbs(&limbs(value.as_str()?)?);
        let sums = value["state"].as_array()?.iter().map(sum).collect::<Option<_>>()?;
        Some(Class { rows: value["rows"].as_u64()?, featurized: value["featurized"].as_u64()?, sums })
    };
    let classes = match &value["classes"] {
        Value::Null => None,
        all => Some(all.as_object()?.iter().map(|(name, of)| Some((name.clone(), class(of)?))).collect::<Option<_>>()?),
    };
    Some(Classes { label: value["label"].as_str()?.to_owned(), classes })
}

/// Limbs as digits, the lowest limb first, with a dot between limbs and nothing for limbs of zero.
fn hexadecimal(limbs: &[u64]) -> String {
    let mut text = String::new();
    for (at, limb) in limbs.iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        if *limb != 0 {
            let _ = write!(text, "{limb:x}");
        }
    }
    text
}

fn limbs(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|limb| if limb.is_empty() { Some(0) } else { u64::from_str_radix(limb, 16).ok() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk on which nothing more has room.
    struct Full;

    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::Error::other("the disk is full"))
        }
    }

    #[test]
    fn what_cannot_be_flushed_is_an_error() {
        assert!(Profile::default().write_json(Full).is_err());
    }

    #[test]
    fn limbs_lead_back() {
        for all in [vec![0, 1, u64::MAX, 0], vec![7, 0, 0, 0, 0, 1]] {
            assert_eq!(limbs(&hexadecimal(&all)), Some(all));
        }
    }
}
