//! JSON with long lists of numbers: these take 8 bytes a number here, and much less time to write than as values.

use std::io::{Result, Write};

use serde_json::Value;

use super::column::ColumnProfile;

/// JSON.
pub(super) enum Tree<'a> {
    Value(Value),
    /// A text without characters that JSON escapes.
    Plain(String),
    /// A list of whole numbers.
    Counts(Vec<u64>),
    /// A list of numbers.
    Floats(Vec<f64>),
    /// A list of pairs: a float as text that leads back to the same bits, and a count.
    Cells(Vec<(f64, u64)>),
    List(Vec<Tree<'a>>),
    /// The members by their names. [`object`] puts them in order.
    Object(Vec<(&'static str, Tree<'a>)>),
    /// A list of columns. Each is made when it is written, so memory is used again for the next one.
    Columns(&'a [ColumnProfile], fn(&'a ColumnProfile) -> Tree<'a>),
}

impl<T: Into<Value>> From<T> for Tree<'_> {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

/// An object of these members.
pub(super) fn object<'a>(members: impl Into<Vec<(&'static str, Tree<'a>)>>) -> Tree<'a> {
    let mut members = members.into();
    members.sort_unstable_by_key(|(name, _)| *name);
    Tree::Object(members)
}

/// A float as text that leads back to the same bits; serde_json may round when it reads numbers.
pub(super) fn exact(value: f64) -> String {
    let mut text = Vec::new();
    // Nothing fails to be written into memory.
    let _ = write_exact(&mut text, value);
    String::from_utf8(text).unwrap_or_default()
}

fn write_exact(to: &mut impl Write, value: f64) -> Result<()> {
    // serde_json writes finite numbers in a fifth of the time.
    if value.is_finite() { Ok(serde_json::to_writer(to, &value)?) } else { write!(to, "{value}") }
}

impl Tree<'_> {
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Plain(text) => text.into(),
            Self::Counts(counts) => counts.into(),
            Self::Floats(floats) => floats.into(),
            Self::Cells(cells) => cells
                .into_iter()
                .map(|(value, count)| Value::from(vec![exact(value).into(), Value::from(count)]))
                .collect(),
            Self::List(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Object(members) => {
                members.into_iter().map(|(name, tree)| (name.to_owned(), tree.into_value())).collect()
            }
            Self::Columns(columns, make) => columns.iter().map(|column| make(column).into_value()).collect(),
        }
    }

    /// Writes it as text without spaces.
    pub fn write(&self, to: &mut impl Write) -> Result<()> {
        let mut text = Vec::with_capacity(2 * PART);
        self.append(&mut text, to)?;
        to.write_all(&text)
    }

    /// Appends it to `text`. Of long lists of columns the text before is written to `to` in parts.
    fn append(&self, text: &mut Vec<u8>, to: &mut impl Write) -> Result<()> {
        match self {
            Self::Value(value) => serde_json::to_writer(text, value)?,
            Self::Plain(plain) => {
                text.push(b'"');
                text.extend_from_slice(plain.as_bytes());
                text.push(b'"');
            }
            Self::Counts(counts) => list(text, counts, |text, &count| {
                append_whole(text, count);
                Ok(())
            })?,
            Self::Floats(floats) => list(text, floats, |text, value| Ok(serde_json::to_writer(text, value)?))?,
            Self::Cells(cells) => list(text, cells, |text, &cell| append_cell(text, cell))?,
            Self::List(items) => list(text, items, |text, item| item.append(text, to))?,
            Self::Object(members) => {
                text.push(b'{');
                for (at, (name, tree)) in members.iter().enumerate() {
                    text.extend_from_slice(if at > 0 { b",\"" } else { b"\"" });
                    text.extend_from_slice(name.as_bytes());
                    text.extend_from_slice(b"\":");
                    tree.append(text, to)?;
                }
                text.push(b'}');
            }
            Self::Columns(columns, make) => list(text, columns, |text, column| {
                make(column).append(text, to)?;
                if text.len() > PART {
                    to.write_all(text)?;
                    text.clear();
                }
                Ok(())
            })?,
        }
        Ok(())
    }
}

/// So much text is written at once.
const PART: usize = 1 << 16;

fn list<'a, T>(
    text: &mut Vec<u8>,
    items: &'a [T],
    mut append: impl FnMut(&mut Vec<u8>, &'a T) -> Result<()>,
) -> Result<()> {
    text.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        append(text, item)?;
    }
    text.push(b']');
    Ok(())
}

/// Appends a float as its text, and a count.
fn append_cell(text: &mut Vec<u8>, (value, count): (f64, u64)) -> Result<()> {
    text.extend_from_slice(b"[\"");
    write_exact(text, value)?;
    text.extend_from_slice(b"\",");
    append_whole(text, count);
    text.push(b']');
    Ok(())
}

/// The digits of each number below 1,000, one of them at least, with bytes of 0 behind.
static SMALL: [[u8; 3]; 1_000] = {
    let mut all = [[0; 3]; 1_000];
    let mut number = 0;
    while number < all.len() {
        let (mut place, mut unit) = (0, 100);
        while unit > 0 {
            if number >= unit || unit == 1 {
                all[number][place] = b'0' + (number / unit % 10) as u8;
                place += 1;
            }
            unit /= 10;
        }
        number += 1;
    }
    all
};

/// Appends a whole number as text. Most are small, and the general way to write numbers takes several times as long.
#[inline]
fn append_whole(text: &mut Vec<u8>, number: u64) {
    match SMALL.get(usize::try_from(number).unwrap_or(usize::MAX)) {
        Some(digits) => {
            text.extend_from_slice(digits);
            text.truncate(text.len() - usize::from(number < 100) - usize::from(number < 10));
        }
        // Nothing fails to be written into memory.
        None => drop(write!(text, "{number}")),
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use serde_json::json;

    use super::*;
    use crate::base::random::Random;

    #[test]
    fn the_text_is_that_of_the_value() {
        let columns = ["a", "b"].map(|name| ColumnProfile::new(name, &DataType::Utf8));
        let mut random = Random::new(3, 0);
        let floats = (0..2_000).map(|_| (f64::from_bits(random.bits()), random.bits() >> 40));
        let others = [0.1, 33.0, 2.501_960_754_394_531_2, -1e300, 5e-324, 0.0, -0.0, f64::NAN, f64::NEG_INFINITY];
        let cells: Vec<_> = floats.chain(others.map(|value| (value, u64::MAX))).collect();
        for &(value, _) in &cells {
            let back: f64 = exact(value).parse().unwrap();
            assert!(back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan(), "{value}");
        }
        let counts = [0, 9, 10, 99, 100, 101, 999, 1_000, 1_001, u64::MAX].into_iter().chain(0..1_100).collect();
        let parts = [
            Tree::Cells(cells),
            Tree::Counts(counts),
            Tree::Counts(Vec::new()),
            Tree::Floats(vec![0.1, 2.0, 1e300]),
            Tree::Plain("09azAZ-_".to_owned()),
            json!({ "z": null, "a \"b\"": [1.5, "é"] }).into(),
            Tree::Columns(&columns, |column| object([("name", column.name().into())])),
        ];
        let tree = object([("list", Tree::List(parts.into())), ("b", json!(-1).into())]);
        let mut text = Vec::new();
        tree.write(&mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), tree.into_value().to_string());
    }
}
