//! Stages as text: `crop(28x28,pad=4),hflip(0.5),one_of(invert,blur(0.5..2),p=0.3)`.
//!
//! A stage is its name, and its arguments in parentheses if it has any. Arguments stand in the order of the stage's
//! documentation or behind their names, as in Python. An error names the stage and the character at which it is wrong,
//! counted from 1.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use crate::base::error::{Error, Result};
use crate::base::philox::Chance;
use crate::base::shape::ImageShape;

/// A part of a text, and where it begins in the whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub text: &'a str,
    /// The bytes before it.
    pub at: usize,
}

impl<'a> Part<'a> {
    /// The whole text.
    pub fn of(text: &'a str) -> Self {
        Self { text, at: 0 }.trimmed()
    }

    fn trimmed(self) -> Self {
        let text = self.text.trim_start();
        Self { text: text.trim_end(), at: self.at + self.text.len() - text.len() }
    }

    fn range(self, range: Range<usize>) -> Self {
        Self { text: &self.text[range.clone()], at: self.at + range.start }.trimmed()
    }

    /// The parts between the commas that are not in parentheses; none of an empty text.
    pub fn split(self) -> Result<Vec<Part<'a>>> {
        if self.text.is_empty() {
            return Ok(Vec::new());
        }
        let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
        for (at, byte) in self.text.bytes().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' if depth == 0 => return Err(wrong(self.at + at, "`)` closes nothing")),
                b')' => depth -= 1,
                b',' if depth == 0 => {
                    parts.push(self.range(start..at));
                    start = at + 1;
                }
                _ => {}
            }
        }
        if depth > 0 {
            return Err(wrong(self.at + self.text.len(), "a `)` is missing"));
        }
        parts.push(self.range(start..self.text.len()));
        Ok(parts)
    }

    /// The name of a stage and its arguments.
    pub fn call(self) -> Result<(&'a str, Arguments<'a>)> {
        let (name, inner) = match self.text.split_once('(') {
            None => (self.text, None),
            Some((name, rest)) if rest.ends_with(')') => (name, Some(self.range(name.len() + 1..self.text.len() - 1))),
            Some(_) => return Err(wrong(self.at, format!("`{}` does not end with `)`", self.text))),
        };
        let (mut positional, mut named) = (Vec::new(), Vec::new());
        for part in inner.map(Part::split).transpose()?.unwrap_or_default() {
            match part.text.split_once('=') {
                Some((key, _)) if !key.contains('(') => {
                    named.push((key.trim(), part.range(key.len() + 1..part.text.len())));
                }
                _ if named.is_empty() => positional.push(part),
                _ => {
                    return Err(wrong(
                        part.at,
                        format!("{name}: `{}` stands behind an argument with a name", part.text),
                    ));
                }
            }
        }
        positional.reverse();
        Ok((name.trim_end(), Arguments { name, at: self.at, positional, named }))
    }
}

/// What is wrong, and behind how many bytes.
pub(super) fn wrong(at: usize, why: impl Display) -> Error {
    Error::InvalidOption { option: "stages", why: format!("at character {}: {why}", at + 1) }
}

/// The arguments of a stage that have not been taken yet.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    name: &'a str,
    at: usize,
    /// The next one last.
    positional: Vec<Part<'a>>,
    named: Vec<(&'a str, Part<'a>)>,
}

impl<'a> Arguments<'a> {
    /// An error at the stage's name.
    pub fn refuse(&self, why: impl Display) -> Error {
        wrong(self.at, format!("{}: {why}", self.name))
    }

    /// The argument of this name, or else the next one without a name.
    fn take(&mut self, key: &str) -> Result<Option<Part<'a>>> {
        let named = self.named.iter().position(|(name, _)| *name == key).map(|at| self.named.remove(at).1);
        match (self.positional.is_empty(), named) {
            (false, Some(part)) => Err(wrong(part.at, format!("{}: `{key}` is given twice", self.name))),
            (true, named) => Ok(named),
            (false, None) => Ok(self.positional.pop()),
        }
    }

    fn read<T>(&mut self, key: &str, wanted: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(part) = self.take(key)? else { return Ok(None) };
        let wrong = || wrong(part.at, format!("{}: {key} is `{}`, not {wanted}", self.name, part.text));
        read(part.text).ok_or_else(wrong).map(Some)
    }

    /// An argument of the kind that `read` reads, only if the next one is such an argument.
    pub fn next_if<T>(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = read(self.positional.last()?.text)?;
        self.positional.pop();
        Some(value)
    }

    /// A number within a range.
    pub fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        self.read(key, &wanted, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// A whole number within a range.
    pub fn whole(&mut self, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, &wanted, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// `LOW..HIGH`, or one number that is both, within a range.
    pub fn range(&mut self, key: &str, range: RangeInclusive<f64>) -> Result<Option<Span>> {
        let wanted = format!("a number from {} to {}, or two with `..` between", range.start(), range.end());
        self.read(key, &wanted, |text| {
            let (low, high) = text.split_once("..").unwrap_or((text, text));
            let span = Span { low: low.trim().parse().ok()?, high: high.trim().parse().ok()? };
            (range.contains(&span.low) && range.contains(&span.high) && span.low <= span.high).then_some(span)
        })
    }

    /// The probability `p`; 1 if there is none.
    pub fn chance(&mut self) -> Result<Chance> {
        let p = self.number("p", 0.0..=1.0)?;
        p.map_or(Ok(Chance::ALWAYS), Chance::new)
    }

    /// Numbers with slashes between.
    pub fn numbers(&mut self, key: &str) -> Result<Option<Vec<f64>>> {
        self.read(key, "numbers with `/` between, one for each channel", |text| {
            text.split('/').map(|number| number.trim().parse().ok().filter(|n: &f64| n.is_finite())).collect()
        })
    }

    /// `HxW`.
    pub fn size(&mut self, key: &str) -> Result<Option<(usize, usize)>> {
        self.read(key, "HxW, as in 28x28", size)
    }

    /// Any text.
    pub fn text<T>(&mut self, key: &str, wanted: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
        self.read(key, wanted, read)
    }

    /// All arguments without a name.
    pub fn rest(&mut self) -> Vec<Part<'a>> {
        let mut rest = std::mem::take(&mut self.positional);
        rest.reverse();
        rest
    }

    /// Fails if an argument was not taken.
    pub fn finish(self) -> Result<()> {
        let left = self.positional.last().map(|part| (part.at, part.text));
        match left.or(self.named.first().map(|(key, part)| (part.at, *key))) {
            Some((at, text)) => Err(wrong(at, format!("{}: it takes no argument `{text}`", self.name))),
            None => Ok(()),
        }
    }
}

/// Reads `HxW`.
pub(super) fn size(text: &str) -> Option<(usize, usize)> {
    let shape: ImageShape = text.parse().ok().filter(|shape: &ImageShape| shape.channels() == 1)?;
    // `28x28x1` is a shape, not a size.
    (text.matches(['x', 'X']).count() == 1).then(|| (shape.height(), shape.width()))
}

/// The numbers from `low` to `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The least.
    pub low: f64,
    /// The largest; not below `low`.
    pub high: f64,
}

impl Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.low == self.high { self.low.fmt(f) } else { write!(f, "{}..{}", self.low, self.high) }
    }
}

/// The arguments of a stage on their way into text.
#[derive(Debug, Default)]
pub(crate) struct Written(Vec<String>);

impl Written {
    /// An argument without its name.
    pub fn value(&mut self, value: impl Display) -> &mut Self {
        self.0.push(value.to_string());
        self
    }

    /// An argument with its name, if it is not the one that stands for none.
    pub fn named<T: Display + PartialEq>(&mut self, key: &str, value: T, default: T) -> &mut Self {
        if value != default {
            self.0.push(format!("{key}={value}"));
        }
        self
    }

    /// The probability.
    pub fn chance(&mut self, chance: Chance) -> &mut Self {
        self.named("p", chance, Chance::ALWAYS)
    }

    /// All arguments with commas between; nothing if there are none.
    pub fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(","))
    }
}
