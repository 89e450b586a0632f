//! An image inside an object: the walk to it, and the rest of the object.

use super::scan::{Numbers, Scan, Scanner};

/// Where in a document the image is: a key of the document, and keys of the objects below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPath {
    pub(super) key: String,
    pub(super) below: Vec<String>,
}

impl KeyPath {
    /// The key of that very name.
    pub(super) fn plain(name: &str) -> Self {
        Self { key: name.to_owned(), below: Vec::new() }
    }

    /// The keys that the dots separate in a name; `None` if there is no dot, or there are too many.
    pub(super) fn nested(name: &str) -> Option<Self> {
        const MAX: usize = 16;
        let mut keys = name.split('.').map(str::to_owned);
        let place = Self { key: keys.next()?, below: keys.collect() };
        (1..MAX).contains(&place.below.len()).then_some(place)
    }
}

/// Walks over the value at the scanner's place and calls `image` at the value that the keys lead to. Appends the rest of the
/// value to `rest`. The value is inside `depth` arrays and objects. Returns which numbers the rest has.
pub(super) fn walk(
    scanner: &mut Scanner<'_>,
    keys: &[String],
    depth: usize,
    rest: &mut Vec<u8>,
    image: &mut impl FnMut(&mut Scanner<'_>) -> Scan<()>,
) -> Scan<Numbers> {
    let (Some((key, below)), Some(b'{')) = (keys.split_first(), scanner.peek()) else {
        let start = scanner.at;
        let numbers = scanner.member(depth)?;
        rest.extend_from_slice(&scanner.text()[start..scanner.at]);
        return Ok(numbers);
    };
    let mut numbers = Numbers::default();
    let start = rest.len();
    let separator = |rest: &Vec<u8>| if rest.len() == start { b'{' } else { b',' };
    scanner.at += 1;
    scanner.skip_whitespace();
    let mut ended = scanner.peek() == Some(b'}');
    scanner.at += usize::from(ended);
    while !ended {
        let (member, mark) = (scanner.at, rest.len());
        let found = scanner.key()?;
        if !found.is(key) {
            numbers |= scanner.member(depth + 1)?;
            rest.push(separator(rest));
            rest.extend_from_slice(&scanner.text()[member..scanner.at]);
        } else if below.is_empty() {
            image(scanner)?;
        } else {
            rest.push(separator(rest));
            rest.extend_from_slice(&scanner.text()[member..scanner.at]);
            let value = rest.len();
            numbers |= walk(scanner, below, depth + 1, rest, image)?;
            if is_empty(&rest[value..]) {
                rest.truncate(mark);
            }
        }
        ended = scanner.ends(b'}', "`,` or `}`")?;
    }
    if rest.len() == start {
        rest.push(b'{');
    }
    rest.push(b'}');
    Ok(numbers)
}

/// Whether the rest of a value is an object with nothing in it.
pub(super) fn is_empty(rest: &[u8]) -> bool {
    rest == b"{}"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a text, and the images in it.
    fn walked(text: &str, name: &str) -> (String, Vec<String>) {
        let place = KeyPath::nested(name).unwrap();
        let mut scanner = Scanner::new(text.as_bytes(), 0);
        let (mut rest, mut images) = (Vec::new(), Vec::new());
        walk(&mut scanner, &place.below, 1, &mut rest, &mut |scanner| {
            let start = scanner.at;
            scanner.member(1)?;
            images.push(text[start..scanner.at].to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(scanner.at, text.len());
        (String::from_utf8(rest).unwrap(), images)
    }

    #[test]
    fn the_image_is_taken_out_of_what_lies_around_it() {
        for (text, rest, images) in [
            (r#"{"p": [1, 2], "a": 1.5}"#, r#"{"a": 1.5}"#, &["[1, 2]"][..]),
            (r#"{"a": {"p": 3}, "p": [1], "b": null}"#, r#"{"a": {"p": 3},"b": null}"#, &["[1]"]),
            (r#"{ "p" : null }"#, "{}", &["null"]),
            (r#"{"p": 1, "p": 2}"#, "{}", &["1", "2"]),
            ("{}", "{}", &[]),
            ("[1, {\"p\": 2}]", "[1, {\"p\": 2}]", &[]),
            ("null", "null", &[]),
        ] {
            assert_eq!(walked(text, "d.p"), (rest.to_owned(), images.iter().map(|s| (*s).to_owned()).collect()));
        }
        assert_eq!(walked(r#"{"x": 1, "q": {"p": [5]}, "y": 2}"#, "d.q.p").0, r#"{"x": 1,"y": 2}"#);
        assert_eq!(walked(r#"{"q": {"z": 1, "p": [5]}}"#, "d.q.p").0, r#"{"q": {"z": 1}}"#);
        assert_eq!(walked(r#"{"q": 7}"#, "d.q.p"), (r#"{"q": 7}"#.to_owned(), Vec::new()));
    }

    #[test]
    fn a_name_without_dots_or_with_too_many_is_no_path() {
        assert_eq!(KeyPath::nested("pixels"), None);
        assert_eq!(KeyPath::nested(&"a.".repeat(200)), None);
    }
}
