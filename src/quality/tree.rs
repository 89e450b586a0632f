//! JSON with long lists of numbers: these take 8 bytes a number here, and a quarter of the time to write.

use std::collections::BTreeMap;
use std::io::{Result, Write};

use rayon::prelude::*;
use serde_json::{Map, Value};

/// JSON.
pub(super) enum Tree {
    Value(Value),
    /// A text without characters that JSON escapes.
    Plain(String),
    /// A list of whole numbers.
    Counts(Vec<u64>),
    /// A list of pairs: a float as text that leads back to the same bits, and a count.
    Cells(Vec<(f64, u64)>),
    List(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

impl<T: Into<Value>> From<T> for Tree {
    fn from(value: T) -> Self {
        Self::Value(value.into())
    }
}

/// An object of these members.
pub(super) fn object<const N: usize>(members: [(&str, Tree); N]) -> Tree {
    Tree::Object(members.into_iter().map(|(name, tree)| (name.to_owned(), tree)).collect())
}

/// An object of these members, and `state`.
pub(super) fn with_state(about: Map<String, Value>, state: Tree) -> Tree {
    let members = about.into_iter().map(|(name, value)| (name, value.into()));
    Tree::Object(members.chain([("state".to_owned(), state)]).collect())
}

/// A float as text that leads back to the same bits; serde_json may round when it reads numbers.
pub(super) fn exact(value: f64) -> Value {
    Value::from(format!("{value:?}"))
}

impl Tree {
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Plain(text) => text.into(),
            Self::Counts(counts) => counts.into(),
            Self::Cells(cells) => {
                cells.into_iter().map(|(value, count)| Value::from(vec![exact(value), count.into()])).collect()
            }
            Self::List(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Object(members) => members.into_iter().map(|(name, tree)| (name, tree.into_value())).collect(),
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
            Self::Counts(counts) => list(to, counts, |to, &count| whole(to, count)),
            Self::Cells(cells) => list(to, cells, |to, (value, count)| write!(to, "[\"{value:?}\",{count}]")),
            // Columns, each of which takes its time.
            Self::List(items) if matches!(items.first(), Some(Self::Object(_))) => {
                let texts = items.par_iter().map(Self::text).collect::<Result<Vec<_>>>()?;
                list(to, &texts, |to, text| to.write_all(text))
            }
            Self::List(items) => list(to, items, |to, item| item.write(to)),
            Self::Object(members) => {
                to.write_all(b"{")?;
                for (at, (name, tree)) in members.iter().enumerate() {
                    to.write_all(if at > 0 { b"," } else { b"" })?;
                    serde_json::to_writer(&mut *to, name)?;
                    to.write_all(b":")?;
                    tree.write(to)?;
                }
                to.write_all(b"}")
            }
        }
    }

    fn text(&self) -> Result<Vec<u8>> {
        // Most columns take somewhat less.
        let mut text = Vec::with_capacity(1 << 14);
        self.write(&mut text)?;
        Ok(text)
    }
}

fn list<W: Write, T>(to: &mut W, items: &[T], mut item: impl FnMut(&mut W, &T) -> Result<()>) -> Result<()> {
    to.write_all(b"[")?;
    for (at, of) in items.iter().enumerate() {
        if at > 0 {
            to.write_all(b",")?;
        }
        item(to, of)?;
    }
    to.write_all(b"]")
}

/// Writes a whole number. Most are small, and the general way to write numbers takes three times as long.
fn whole(to: &mut impl Write, number: u64) -> Result<()> {
    let (mut digits, mut first, mut rest) = ([0; 20], 20, number);
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return to.write_all(&digits[first..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_that_of_the_value() {
        let about = json!({ "z": null, "a \"b\"": [1.5, "é"] }).as_object().unwrap().clone();
        let cells = vec![(0.1, 3), (-1e300, u64::MAX), (f64::NAN, 0)];
        let counts = vec![0, 9, 10, 99, 100, u64::MAX];
        let plain = Tree::Plain("09azAZ-_".to_owned());
        let parts = [Tree::Cells(cells), Tree::Counts(counts), Tree::Counts(Vec::new()), plain, about.clone().into()];
        let tree = with_state(about, object([("list", Tree::List(parts.into())), ("b", json!(-1).into())]));
        assert_eq!(String::from_utf8(tree.text().unwrap()).unwrap(), tree.into_value().to_string());
    }
}
