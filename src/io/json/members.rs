//! The members of a document beside the image, as JSON text for arrow-json.

use serde_json::Value;

use super::nested::{self, KeyPath};
use super::scan::{Key, Member, Members, Numbers, Scan, Scanner};

/// The rest of an object that has the image in it.
pub(super) struct Around {
    text: Vec<u8>,
    numbers: Numbers,
}

/// Walks over the value of the path's first key, and calls `image` at the image in it.
pub(super) fn around(
    scanner: &mut Scanner<'_>,
    place: &KeyPath,
    image: &mut impl FnMut(&mut Scanner<'_>) -> Scan<()>,
) -> Scan<Around> {
    let mut text = Vec::new();
    let numbers = nested::walk(scanner, &place.below, 1, &mut text, image)?;
    Ok(Around { text, numbers })
}

impl Around {
    /// Hands the rest on as a member of the document, unless it is empty.
    pub(super) fn hand_to(self, place: &KeyPath, members: &mut impl Members) {
        if !nested::is_empty(&self.text) {
            let key = Value::from(place.key.as_str());
            let key = [key.to_string().as_bytes(), b":"].concat();
            let text = [&key[..], &self.text].concat();
            let member =
                Member { key: Key::plain(&place.key), text: &text, value_at: key.len(), numbers: self.numbers };
            members.other(member);
        }
    }
}

/// Adds a member to the object that begins at `start` of `out`.
pub(super) fn append_member(out: &mut Vec<u8>, start: usize, text: &[u8]) {
    out.push(if out.len() == start { b'{' } else { b',' });
    out.extend_from_slice(text);
}

/// Ends the object that begins at `start` of `out`.
pub(super) fn close_members(out: &mut Vec<u8>, start: usize) {
    if out.len() == start {
        out.push(b'{');
    }
    out.extend_from_slice(b"}\n");
}
