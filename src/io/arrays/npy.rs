//! The head of an NPY file, as NumPy's `numpy.lib.format` describes it: a magic number, a version, a length, and a Python
//! dictionary in text that names the type, the order and the shape.

use std::io::Read;

use super::element::Element;
use super::{ArrayHeader, read_error};
use crate::base::error::{Error, Result};

pub const MAGIC: &[u8] = b"\x93NUMPY";
/// The maximum length of the dictionary. NumPy itself refuses to read more than 10,000 bytes.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Reads the header; also returns its length in bytes.
pub fn header(input: &mut impl Read, name: &str) -> Result<(ArrayHeader, u64)> {
    let mut fixed = [0; 8];
    input.read_exact(&mut fixed).map_err(|e| read_error(e, name))?;
    if !fixed.starts_with(MAGIC) {
        return Err(Error::format(name, "is not an NPY file"));
    }
    let wide = match fixed[6] {
        1 => false,
        2 | 3 => true,
        other => return Err(Error::format(name, format!("NPY of version {other} is not known"))),
    };
    let mut length = [0; 4];
    let width = if wide { 4 } else { 2 };
    input.read_exact(&mut length[..width]).map_err(|e| read_error(e, name))?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > MAX_HEADER_BYTES {
        return Err(Error::format(name, format!("its NPY header is {length} bytes long")));
    }
    let mut text = Vec::new();
    input.take(length).read_to_end(&mut text).map_err(|e| read_error(e, name))?;
    let text = String::from_utf8(text).ok().filter(|text| text.len() as u64 == length);
    let text = text.ok_or_else(|| Error::format(name, "its NPY header breaks off"))?;
    let header = parse(&text).map_err(|why| Error::format(name, format!("NPY header: {why}")))?;
    Ok((header, (fixed.len() + width) as u64 + length))
}

fn parse(text: &str) -> Result<ArrayHeader, String> {
    let mut literal = Literal { rest: text };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    literal.expect('{')?;
    while !literal.eats('}') {
        let key = literal.string()?;
        literal.expect(':')?;
        match key {
            "descr" => descr = Some(literal.string().map_err(|_| "rows of several fields cannot be read".to_owned())?),
            "fortran_order" => fortran = Some(literal.boolean()?),
            "shape" => shape = Some(literal.tuple()?),
            other => return Err(format!("`{other}` is not known")),
        }
        if !literal.eats(',') {
            literal.expect('}')?;
            break;
        }
    }
    let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
        return Err("`descr`, `fortran_order` or `shape` is missing".to_owned());
    };
    let (element, big_endian) = element(descr).ok_or_else(|| format!("type `{descr}` cannot be read"))?;
    Ok(ArrayHeader { element, big_endian, fortran, shape })
}

/// What a type such as `<f4` stands for, and whether it is big-endian.
fn element(descr: &str) -> Option<(Element, bool)> {
    let (order, kind) = descr.split_at_checked(1)?;
    let big_endian = match order {
        "<" | "|" => false,
        ">" => true,
        "=" => cfg!(target_endian = "big"),
        _ => return None,
    };
    let element = match kind {
        // A truth value is a byte, 0 or 1.
        "u1" | "b1" => Element::U8,
        "i1" => Element::I8,
        "u2" => Element::U16,
        "i2" => Element::I16,
        "u4" => Element::U32,
        "i4" => Element::I32,
        "u8" => Element::U64,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        _ => match kind.strip_prefix('U')?.parse().ok()? {
            characters @ 1..=65_536 => Element::Text(characters),
            _ => return None,
        },
    };
    Some((element, big_endian))
}

/// The few Python literals that a header is made of.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    /// Skips blanks, and then a character if it comes next.
    fn eats(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.eats(wanted) { Ok(()) } else { Err(format!("`{wanted}` is missing")) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.eats('\'') { '\'' } else { self.expect('"').map(|()| '"')? };
        let (string, rest) = self.rest.split_once(quote).ok_or("a string has no end")?;
        self.rest = rest;
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.rest = self.rest.trim_start();
        for (text, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("`fortran_order` is neither True nor False".to_owned())
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut numbers = Vec::new();
        self.expect('(')?;
        while !self.eats(')') {
            self.rest = self.rest.trim_start();
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            numbers.push(digits.parse().map_err(|_| format!("`{digits}` is no dimension"))?);
            // As Python 2 wrote them.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.eats(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(numbers)
    }
}

/// The header of a file of this type and shape in C order: 128 bytes, or a larger multiple of 64.
pub fn head(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    // Python's tuple of one has a comma, and of several may have.
    let sides = if shape.len() == 1 { sides.trim_end() } else { sides.trim_end_matches(", ") };
    let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}");
    const FIXED: usize = MAGIC.len() + 4;
    let length = (FIXED + dictionary.len() + 1).next_multiple_of(64).max(128) - FIXED;
    let mut head = MAGIC.to_vec();
    head.extend([1, 0]);
    // Shapes have few dimensions, so the text is far from 64 KiB.
    head.extend((length as u16).to_le_bytes());
    head.extend(format!("{dictionary:<width$}\n", width = length - 1).bytes());
    head
}
