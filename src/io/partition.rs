//! Hive-style partitions: columns whose values are in the names of folders, as in `label=3/part-0.parquet`.

use std::borrow::Cow;
use std::path::{Component, Path};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use arrow_schema::DataType;

/// The value that means null, in Hive and all systems that follow it.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The columns and values in the names of the folders of a path, outermost first.
pub fn of(path: &Path) -> Vec<(String, Option<String>)> {
    let folders = path.parent().into_iter().flat_map(Path::components);
    let pair = |folder: Component<'_>| match folder {
        Component::Normal(name) => {
            let (column, value) = name.to_str()?.split_once('=').filter(|(column, _)| !column.is_empty())?;
            Some((unescaped(column), (value != NULL).then(|| unescaped(value))))
        }
        _ => None,
    };
    folders.filter_map(pair).collect()
}

/// The name of the folder of a value.
#[cfg(feature = "parquet")]
pub fn folder(column: &str, value: Option<&str>) -> String {
    format!("{}={}", escaped(column), value.map_or(NULL.to_owned(), escaped))
}

/// The type of the column that has these values: integers if all of them are, else strings. `007` counts as a string: as an
/// integer it would become 7.
pub fn type_of<'a>(mut values: impl Iterator<Item = Option<&'a str>>) -> DataType {
    let integral = |value: &str| value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    if values.all(|value| value.is_none_or(integral)) { DataType::Int64 } else { DataType::Utf8 }
}

/// A column of such values, of the type that [`type_of`] found for them.
pub fn column<'a>(values: impl Iterator<Item = Option<&'a str>>, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::Int64 => {
            Arc::new(values.map(|value| value.and_then(|number| number.parse().ok())).collect::<Int64Array>())
        }
        _ => Arc::new(values.collect::<StringArray>()),
    }
}

/// Percent-encodes everything that is special in a file system, in Hive or in a URL.
#[cfg(any(feature = "parquet", feature = "arrays"))]
pub fn escaped(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.~ ".contains(c);
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if plain(c) {
            escaped.push(c);
        } else {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escaped += &format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Decodes percent-encoded text. What looks like an escape but is none stays as it is.
fn unescaped(text: &str) -> String {
    let (bytes, mut at) = (text.as_bytes(), 0);
    let mut plain = Vec::with_capacity(bytes.len());
    while at < bytes.len() {
        let code = match bytes[at] {
            b'%' => text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        plain.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    match String::from_utf8_lossy(&plain) {
        Cow::Owned(_) => text.to_owned(),
        Cow::Borrowed(plain) => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_tell_columns() {
        let found = of(Path::new("data/year=2024/label=a%2Fb%20c/=5/x=1.parquet"));
        let expected = [("year", "2024"), ("label", "a/b c")];
        assert_eq!(found, expected.map(|(column, value)| (column.to_owned(), Some(value.to_owned()))));
        assert_eq!(of(Path::new("a=__HIVE_DEFAULT_PARTITION__/x")), [("a".to_owned(), None)]);
        assert_eq!(
            of(Path::new("a=%/b=%zz/c=%ff/x")).into_iter().filter_map(|(_, v)| v).collect::<Vec<_>>(),
            ["%", "%zz", "%ff"]
        );
    }

    #[test]
    fn values_are_integers_where_all_are() {
        assert_eq!(type_of([Some("3"), None, Some("-12")].into_iter()), DataType::Int64);
        for odd in ["", "007", "+1", "1.0", "a", "99999999999999999999"] {
            assert_eq!(type_of([Some("3"), Some(odd)].into_iter()), DataType::Utf8, "{odd}");
        }
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn every_name_leads_back_to_its_value() {
        for value in [Some("3"), Some("a/b=c%20\u{e9}\"\\:"), Some(""), Some(".."), None] {
            let path = format!("{}/part-0.parquet", folder("a b/=", value));
            assert_eq!(of(Path::new(&path)), [("a b/=".to_owned(), value.map(str::to_owned))]);
            assert_eq!(Path::new(&path).components().count(), 2);
        }
    }
}
