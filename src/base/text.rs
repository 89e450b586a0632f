//! Options as text: names, lists, and what follows a name.

use std::fmt::{self, Display};

use super::error::{Error, Result};

/// Gives each value of an option its name: `Display` writes the names and `FromStr` reads them.
macro_rules! names {
    ($option:literal, $Type:ident { $($name:literal => $Value:ident),+ $(,)? }) => {
        impl $Type {
            /// All values and their names.
            pub(crate) const NAMES: &'static [(&'static str, Self)] = &[$(($name, Self::$Value)),+];
        }

        impl std::fmt::Display for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self {
                    $(Self::$Value => $name,)+
                })
            }
        }

        impl std::str::FromStr for $Type {
            type Err = crate::base::error::Error;

            fn from_str(text: &str) -> crate::base::error::Result<Self> {
                crate::base::text::choose($option, text, Self::NAMES)
            }
        }
    };
}
pub(crate) use names;

/// The value that `text` names. `values` are all that the option can have.
pub(crate) fn choose<T: Copy>(option: &'static str, text: &str, values: &[(&str, T)]) -> Result<T> {
    values.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names = listed(values.iter().map(|(name, _)| *name), "or");
        Error::InvalidOption { option, why: format!("`{text}` is not {names}") }
    })
}

/// A list for messages: `a, b or c`, with `last` before the last name.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>, last: &str) -> String {
    let names: Vec<&str> = names.collect();
    match names.split_last() {
        Some((end, others)) if !others.is_empty() => format!("{} {last} {end}", others.join(", ")),
        _ => names.concat(),
    }
}

/// A name and the arguments behind its first colon, if it has a colon.
pub(crate) fn name_and_arguments(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(name, arguments)| (name, Some(arguments)))
}

/// Writes items with commas between.
pub(crate) fn write_list(f: &mut fmt::Formatter<'_>, items: &[impl Display]) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

/// A limit: a number, or a share from 0% to 100%.
pub(crate) enum Limit {
    Number(u64),
    Percent(f64),
}

impl Limit {
    /// Reads `N` or `N%`, where N counts `what`.
    pub fn parse(option: &'static str, what: &str, text: &str) -> Result<Self> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| (0.0..=100.0).contains(p)).map(Limit::Percent),
            None => text.parse().ok().map(Limit::Number),
        };
        let why = || format!("`{text}` is neither a number of {what} nor a share from 0% to 100%");
        parsed.ok_or_else(|| Error::InvalidOption { option, why: why() })
    }
}

/// 1234567 → 1,234,567
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first characters of a text, with an ellipsis if there are more.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Text for XML 1.0 and HTML, also between double quotes. XML has no form for control characters.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!((cut("añb", 2), cut("añb", 3)), ("añ…".to_owned(), "añb".to_owned()));
    }

    #[test]
    fn xml_holds_any_text() {
        assert_eq!(escaped("<a href=\"x\">&\u{1}é"), "&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd}é");
    }
}
