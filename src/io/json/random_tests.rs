//! Random texts, against serde_json and the definitions.

use proptest::prelude::*;
use serde_json::Value;

use super::tests::{keeping, options, read_with};
use super::*;
use crate::base::reason::Reason;

/// A JSON document as text, in some way of writing it: random whitespace, escapes and notations.
fn any_text(depth: u32) -> BoxedStrategy<String> {
    let scalar = prop_oneof![any_number(), Just("null".to_owned()), Just("true".to_owned()), any_string(),];
    scalar
        .prop_recursive(depth, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec((space(), inner.clone(), space()), 0..5).prop_map(|items| {
                    format!("[{}]", items.iter().map(|(a, v, b)| format!("{a}{v}{b}")).collect::<Vec<_>>().join(","))
                }),
                proptest::collection::vec((any_string(), space(), inner), 0..4).prop_map(|items| {
                    format!(
                        "{{{}}}",
                        items.iter().map(|(k, s, v)| format!("{s}{k}{s}:{v}")).collect::<Vec<_>>().join(",")
                    )
                }),
            ]
        })
        .boxed()
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 4 => Just(" ".to_owned()), 1 => "[ \t\r]{0,3}"]
}

fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0u32..256).prop_map(|n| n.to_string()),
        1 => (0u32..70_000).prop_map(|n| n.to_string()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        1 => (0u32..256).prop_map(|n| format!("{n}.0")),
        1 => (0u32..25).prop_map(|n| format!("{n}e1")),
    ]
}

fn any_string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c\\[\\]{},: é☃]{0,6}".prop_map(|s| format!("\"{s}\"")),
        "(\\\\[\"\\\\/bfnrt]|\\\\u00[46][0-9a-f]|\\\\ud83d\\\\ude00|x){0,4}".prop_map(|s| format!("\"{s}\"")),
        Just("\"im\\u0061ge\"".to_owned()),
    ]
}

fn any_image() -> impl Strategy<Value = String> {
    let flat = proptest::collection::vec((space(), any_number(), space()), 0..30).prop_map(|items| {
        format!("[{}]", items.iter().map(|(a, v, b)| format!("{a}{v}{b}")).collect::<Vec<_>>().join(","))
    });
    prop_oneof![5 => flat, 2 => any_text(3)]
}

/// What a flat image should come to, by serde_json's reading of its text and the definitions.
fn oracle(value: &Value, highest: f64) -> std::result::Result<Vec<f64>, Reason> {
    let items = match value {
        Value::Null => return Err(Reason::NullImage),
        Value::Array(items) => items,
        _ => return Err(Reason::Unparsable),
    };
    items
        .iter()
        .map(|item| match item {
            Value::Null => Err(Reason::NullPixel),
            Value::Number(n) => {
                let n = n.as_f64().unwrap();
                match highest {
                    f64::INFINITY if (n as f32).is_infinite() => Err(Reason::OutOfRange),
                    f64::INFINITY => Ok(f64::from(n as f32)),
                    _ if n.fract() != 0.0 => Err(Reason::NotAnInteger),
                    _ if n < 0.0 || n > highest => Err(Reason::OutOfRange),
                    _ => Ok(n),
                }
            }
            _ => Err(Reason::Unparsable),
        })
        .collect()
}

fn agrees_with_the_oracle<T: JsonPixel>(images: &[String], highest: f64, as_f64: fn(T) -> f64) {
    let mut text = "{\"image\": [0, 1, 2]}\n".repeat(images.len() + 1);
    for image in images {
        text += &format!("{{ \"image\" :{image}}}\n");
    }
    let found = read_with(&text, &options(T::TYPE));
    assert_eq!(found.error, None, "{text}");
    let pixels = found.pixels::<T::Arrow>();
    let mut defects = found.defects.iter();
    for (index, image) in images.iter().enumerate() {
        let row = images.len() + 1 + index;
        match oracle(&serde_json::from_str(image).unwrap(), highest) {
            Ok(expected) => {
                let found: Vec<f64> = pixels[row].as_ref().expect(image).iter().map(|&p| as_f64(p)).collect();
                assert_eq!(found, expected, "{image}");
            }
            Err(reason) => {
                let defect = defects.next().expect(image);
                assert_eq!((defect.row, defect.reason, defect.line), (row, reason, Some(row as u64 + 1)), "{image}");
                assert_eq!(defect.raw.as_deref(), Some(image.as_str()));
            }
        }
    }
    assert!(defects.next().is_none());
}

/// Whether the scanner takes the text for a document, and what serde_json says of it.
fn accepted(text: &[u8]) -> (bool, bool) {
    struct Nothing;
    impl scan::Members for Nothing {
        fn image(&mut self, scanner: &mut scan::Scanner<'_>) -> scan::Scan<()> {
            pixels::PixelLists::<u8>::new(1).image(scanner).map(drop)
        }
        fn other(&mut self, _: scan::Member<'_>) {}
    }
    let mut scanner = scan::Scanner::new(text, 0);
    scanner.skip_whitespace();
    let read = scanner.document("image", &mut Nothing);
    scanner.skip_whitespace();
    let found = read.is_ok() && scanner.at == text.len();
    (found, serde_json::from_slice::<serde_json::Map<String, Value>>(text).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pixels_and_reasons_are_what_the_definitions_say(images in proptest::collection::vec(any_image(), 1..8)) {
        agrees_with_the_oracle::<u8>(&images, 255.0, f64::from);
        agrees_with_the_oracle::<u16>(&images, 65_535.0, f64::from);
        agrees_with_the_oracle::<f32>(&images, f64::INFINITY, f64::from);
    }

    #[test]
    fn documents_are_accepted_exactly_when_serde_json_accepts_them(
        members in proptest::collection::vec((any_string(), space(), any_text(4)), 0..4),
        image in any_image(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..3),
    ) {
        let members = members.iter().map(|(k, s, v)| format!("{k}{s}:{s}{v},")).collect::<String>();
        let mut text = format!("{{{members}\"image\":{image}}}").into_bytes();
        let (found, expected) = accepted(&text);
        prop_assert!(found && expected, "{}", String::from_utf8_lossy(&text));
        for (at, byte, edit) in edits {
            let at = at.index(text.len());
            match edit {
                0 => text[at] = byte,
                1 => text.insert(at, b"0123456789-+.eE,:[]{}\"\\ \n"[usize::from(byte) % 25]),
                2 if text.len() > 1 => drop(text.remove(at)),
                _ => text[at] ^= 1 << (byte % 8),
            }
        }
        let (found, expected) = accepted(&text);
        // Numbers that no f64 holds are sound JSON to the scanner and not to serde_json.
        let overflow = serde_json::from_slice::<Value>(&text).is_err_and(|e| e.to_string().contains("out of range"));
        prop_assert!(found == expected || overflow && found, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn no_bytes_make_it_panic_and_no_line_is_lost(
        bytes in proptest::collection::vec(prop_oneof![
            3 => proptest::sample::select(b"{}[]\":,\\0123456789-.e \n".to_vec()),
            1 => any::<u8>(),
        ], 0..80),
    ) {
        let mut text = b"{\"image\": [1]}\n".to_vec();
        text.extend(&bytes);
        let found = read_with(&text, &keeping());
        prop_assert_eq!(&found.error, &None);
        let blank = |line: &[u8]| line.iter().all(|b| b" \t\r".contains(b));
        prop_assert_eq!(found.rows(), text.split(|&b| b == b'\n').filter(|line| !blank(line)).count());
    }
}
