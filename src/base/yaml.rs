//! YAML as a tree whose nodes know their lines.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

/// Contracts and settings are small. More nodes than this are neither.
const MAX_NODES: usize = 100_000;
const MAX_DEPTH: usize = 64;

/// A value, and the line on which it begins, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub line: usize,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    /// Keys and values in their order. No key is there twice.
    Map(Vec<(String, Node)>),
}

/// What is wrong, and on which line.
pub(crate) type Fault = (usize, String);

/// Reads the one document of `text`.
pub(crate) fn read(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0 };
    let fault = |line: usize, why: &str| Err((line, why.to_owned()));
    let mut document = None;
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => {}
            (Event::StreamEnd, line) => return document.map_or_else(|| fault(line, "there is no document"), Ok),
            (Event::DocumentStart(_), line) if document.is_some() => return fault(line, "there is a second document"),
            (Event::DocumentStart(_), _) => {
                let event = reader.next()?;
                document = Some(reader.node(event, 0)?);
            }
            (_, line) => return fault(line, "there is more than one value"),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, Span { start, .. }))) => Ok((event, start.line())),
            Some(Err(error)) => Err((error.marker().line(), format!("not YAML: {}", error.info()))),
            None => Ok((Event::StreamEnd, 1)),
        }
    }

    /// The value that begins with an event.
    fn node(&mut self, (event, line): (Event<'a>, usize), depth: usize) -> Result<Node, Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err((line, "it has too many values, or values that are nested too deep".to_owned()));
        }
        let kind = match event {
            Event::Scalar(text, style, _, tag) => scalar(&text, style, tag.as_deref()),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Kind::List(items),
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => self.map(depth)?,
            // A few lines with aliases can stand for gigabytes.
            Event::Alias(_) => return Err((line, "aliases (`*name`) are not read".to_owned())),
            _ => return Err((line, "a value is missing".to_owned())),
        };
        Ok(Node { line, kind })
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut members: Vec<(String, Node)> = Vec::new();
        loop {
            let (key, line) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Kind::Map(members)),
                (Event::Scalar(key, ..), line) => (key.into_owned(), line),
                (_, line) => return Err((line, "a key is not text".to_owned())),
            };
            if members.iter().any(|(known, _)| *known == key) {
                return Err((line, format!("`{key}` is there twice")));
            }
            let event = self.next()?;
            members.push((key, self.node(event, depth + 1)?));
        }
    }
}

/// A scalar by YAML 1.2's core schema, in which `yes` and `2024-01-01` are text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Kind {
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Kind::Text(text.to_owned());
    }
    let hexadecimal = || text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Flag(true),
        "false" | "False" | "FALSE" => Kind::Flag(false),
        _ => match (text.parse(), hexadecimal()) {
            // Rust also reads `nan` and `infinity`, which are text in YAML.
            (Ok(number), _) if text.contains(|c: char| c.is_ascii_digit()) => Kind::Number(number),
            (_, Some(number)) => Kind::Number(number as f64),
            _ => Kind::Text(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_types_of_the_core_schema_and_their_lines() {
        let node = read("a: [1, 'x', ~]\n# note\nb:\n  c: 1.5e2\n  d: yes\n  e: 2024-01-01\n  f: true\n").unwrap();
        let Kind::Map(members) = node.kind else { panic!() };
        let Kind::List(items) = &members[0].1.kind else { panic!() };
        let kinds: Vec<&Kind> = items.iter().map(|item| &item.kind).collect();
        assert_eq!(kinds, [&Kind::Number(1.0), &Kind::Text("x".to_owned()), &Kind::Null]);
        let Kind::Map(inner) = &members[1].1.kind else { panic!() };
        let kinds: Vec<(&str, usize, &Kind)> =
            inner.iter().map(|(key, node)| (key.as_str(), node.line, &node.kind)).collect();
        let text = |text: &str| Kind::Text(text.to_owned());
        assert_eq!(
            kinds,
            [
                ("c", 4, &Kind::Number(150.0)),
                ("d", 5, &text("yes")),
                ("e", 6, &text("2024-01-01")),
                ("f", 7, &Kind::Flag(true)),
            ]
        );
    }

    #[test]
    fn what_is_no_tree_of_bounded_size_is_refused_with_its_line() {
        for (text, line, told) in [
            ("a: 1\na: 2\n", 2, "`a` is there twice"),
            ("a: &x 1\nb: *x\n", 2, "aliases"),
            ("a: 1\n---\nb: 2\n", 2, "a second document"),
            ("a: [1\n", 2, "not YAML"),
            ("a: \"x\n", 1, "not YAML"),
            ("", 1, "no document"),
            ("? [a]\n: 1\n", 1, "a key is not text"),
        ] {
            let (at, why) = read(text).unwrap_err();
            assert!(why.contains(told) && at >= line, "{text:?}: line {at}: {why}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(read(&deep).unwrap_err().1.contains("nested too deep"));
        assert!(read(&format!("[{}1]", "1,".repeat(MAX_NODES))).unwrap_err().1.contains("too many"));
    }
}
