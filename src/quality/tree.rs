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
        match self {
            Self::Value(value) => Ok(serde_json::to_writer(to, value)?),
            Self::Plain(text) => {
                to.write_all(b"\"")?;
                to.write_all(text.as_bytes())?;
                to.write_all(b"\"")
            }
            Self::Counts(counts) => list(to, counts, |to, &count| to.write_all(whole(&mut [0; DIGITS], count))),
            Self::Floats(floats) => list(to, floats, |to, value| Ok(serde_json::to_writer(to, value)?)),
            Self::Cells(cells) => list(to, cells, |to, &cell| write_cell(to, cell)),
            Self::List(items) => list(to, items, |to, item| item.write(to)),
            Self::Object(members) => {
                to.write_all(b"{")?;
                for (at, (name, tree)) in members.iter().enumerate() {
                    to.write_all(if at > 0 { b",\"" } else { b"\"" })?;
                    to.write_all(name.as_bytes())?;
                    to.write_all(b"\":")?;
                    tree.write(to)?;
                }
                to.write_all(b"}")
            }
            Self::Columns(columns, make) => list(to, columns, |to, column| make(column).write(to)),
        }
    }
}

fn list<'a, W: Write, T>(to: &mut W, items: &'a [T], mut item: impl FnMut(&mut W, &'a T) -> Result<()>) -> Result<()> {
    to.write_all(b"[")?;
    for (at, of) in items.iter().enumerate() {
        if at > 0 {
            to.write_all(b",")?;
        }
        item(to, of)?;
    }
    to.write_all(b"]")
}

/// Writes a float as its text, and a count.
fn write_cell(to: &mut impl Write, (value, count): (f64, u64)) -> Result<()> {
    to.write_all(b"[\"")?;
    write_exact(to, value)?;
    to.write_all(b"\",")?;
    to.write_all(whole(&mut [0; DIGITS], count))?;
    to.write_all(b"]")
}

/// The most digits of a number of 64 bits.
const DIGITS: usize = 20;

/// A whole number as text. Most are small, and the general way to write numbers takes three times as long.
fn whole(digits: &mut [u8; DIGITS], number: u64) -> &[u8] {
    let (mut first, mut rest) = (DIGITS, number);
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &digits[first..];
        }
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
        let counts = vec![0, 9, 10, 99, 100, u64::MAX];
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
