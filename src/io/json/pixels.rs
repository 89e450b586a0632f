//! The text of an image becomes pixels in an Arrow list.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, ListArray, PrimitiveArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine, alphabet};

use super::naturals;
use super::pixel::JsonPixel;
use super::scan::{Number, Scan, Scanner, SyntaxFault};
use crate::base::error::Result;
use crate::base::reason::Reason;
use crate::base::shape::PixelType;
use crate::io::magic::is_image;

/// The maximum nesting of an image: rows, pixels, channels.
pub(super) const MAX_DEPTH: usize = 3;

/// The nesting of an image that is no list: the bytes of an encoded image, as base64 in a string.
pub(super) const ENCODED: usize = 0;

/// What became of the value of an image's key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ImageValue {
    /// Its pixels are in the lists.
    Pixels,
    /// It is null.
    Null,
    /// It cannot be held; nothing of it is in the lists.
    Refused { reason: Reason, detail: String, fits: Option<PixelType> },
}

/// Why the reading of pixels stopped: the text is not JSON, or it is, but no image of the column.
enum Stop {
    Fault(SyntaxFault),
    Refused(Reason, String),
}

impl From<SyntaxFault> for Stop {
    fn from(fault: SyntaxFault) -> Self {
        Stop::Fault(fault)
    }
}

/// The images of a batch: `depth` levels of lists and the pixels in the innermost.
pub(super) struct PixelLists<T> {
    depth: usize,
    pixels: Vec<T>,
    /// For each level of lists inside an image, outermost first, where each ends among the items of the next level.
    inner: [Vec<i32>; MAX_DEPTH - 1],
}

/// The length of [`PixelLists`] at some time, to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pixels: usize,
    inner: [usize; MAX_DEPTH - 1],
}

impl<T: JsonPixel> PixelLists<T> {
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, pixels: Vec::new(), inner: Default::default() }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { pixels: self.pixels.len(), inner: self.inner.each_ref().map(Vec::len) }
    }

    pub(super) fn rewind(&mut self, mark: Mark) {
        self.pixels.truncate(mark.pixels);
        for (ends, len) in self.inner.iter_mut().zip(mark.inner) {
            ends.truncate(len);
        }
    }

    pub(super) fn pixel_bytes(&self) -> usize {
        size_of_val(self.pixels.as_slice())
    }

    /// The items of the outermost level so far: the end of the image that was read last.
    pub(super) fn end(&self) -> i32 {
        // A document has at most 2³⁰ bytes and a batch is closed at 2²⁴ bytes of pixels, so no count reaches 2³¹.
        if self.depth <= 1 { self.pixels.len() as i32 } else { self.inner[0].len() as i32 }
    }

    /// The Arrow column of what was read, and the lists empty again. `ends` holds [`PixelLists::end`] of every row.
    pub(super) fn finish(&mut self, ends: Vec<i32>, valid: Option<NullBuffer>) -> Result<ArrayRef> {
        // The next batch is likely to be as long as this one.
        let room = self.pixels.len();
        let pixels = std::mem::replace(&mut self.pixels, Vec::with_capacity(room));
        if self.depth == ENCODED {
            let bytes = ScalarBuffer::from(pixels).into_inner();
            return Ok(Arc::new(BinaryArray::try_new(offsets(ends), bytes, valid)?));
        }
        let mut items: ArrayRef = Arc::new(PrimitiveArray::<T::Arrow>::new(ScalarBuffer::from(pixels), None));
        for level in (0..self.depth - 1).rev() {
            let ends = std::mem::take(&mut self.inner[level]);
            items = Arc::new(list_of(items, ends, None)?);
        }
        Ok(Arc::new(list_of(items, ends, valid)?))
    }

    /// Reads the value at the scanner's place as an image of this column.
    ///
    /// # Errors
    /// Where it is not JSON; the lists may then hold a part of it.
    pub(super) fn image(&mut self, scanner: &mut Scanner<'_>) -> Scan<ImageValue> {
        let refused =
            |what: &str| Ok(ImageValue::Refused { reason: Reason::Unparsable, detail: what.to_owned(), fits: None });
        match scanner.peek() {
            Some(b'"') if self.depth == ENCODED => return self.encoded(scanner),
            Some(b'[') if self.depth > ENCODED => {}
            Some(b'n') => return scanner.literal("null").map(|()| ImageValue::Null),
            Some(byte) => {
                scanner.value(1)?;
                return refused(kind(byte));
            }
            None => return scanner.expected("a value"),
        }
        let (start, mark) = (scanner.at, self.mark());
        match self.list(scanner, 1, &mut [0; MAX_DEPTH], mark.pixels) {
            Ok(()) => Ok(ImageValue::Pixels),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::Refused(reason, detail)) => {
                self.rewind(mark);
                scanner.at = start;
                scanner.value(1)?;
                let fits = match reason {
                    Reason::OutOfRange | Reason::NotAnInteger | Reason::NotFinite => {
                        wider(T::TYPE, self.depth, scanner.text(), start)
                    }
                    _ => None,
                };
                Ok(ImageValue::Refused { reason, detail, fits })
            }
        }
    }

    /// Reads the string at the scanner's place as the bytes of an encoded image.
    fn encoded(&mut self, scanner: &mut Scanner<'_>) -> Scan<ImageValue> {
        match decoded(scanner)? {
            Ok(bytes) => {
                self.pixels.extend(bytes.into_iter().filter_map(|byte| T::natural(u32::from(byte))));
                Ok(ImageValue::Pixels)
            }
            Err(why) => {
                let detail = format!("a string that is no base64: {why}");
                Ok(ImageValue::Refused { reason: Reason::Unparsable, detail, fits: None })
            }
        }
    }

    /// Reads the list at the scanner's place, of the given level from 1; `path` counts the lists around it and `start`
    /// is where the image's pixels begin.
    fn list(
        &mut self,
        scanner: &mut Scanner<'_>,
        level: usize,
        path: &mut [usize; MAX_DEPTH],
        start: usize,
    ) -> Result<(), Stop> {
        scanner.at += 1;
        if level == self.depth {
            return self.numbers(scanner, start);
        }
        scanner.skip_whitespace();
        if scanner.peek() == Some(b']') {
            scanner.at += 1;
            return Ok(());
        }
        path[level] = 0;
        loop {
            match scanner.peek() {
                Some(b'[') => self.list(scanner, level + 1, path, start)?,
                Some(b'n') => return Err(Stop::Refused(Reason::NullPixel, format!("{} is null", place(path, level)))),
                Some(byte @ (b'"' | b'{' | b't' | b'f' | b'-' | b'0'..=b'9')) => {
                    let detail = format!("{} is {}, not an array", place(path, level), kind(byte));
                    return Err(Stop::Refused(Reason::Unparsable, detail));
                }
                _ => return Ok(scanner.expected("a value")?),
            }
            let end = if level + 1 == self.depth { self.pixels.len() } else { self.inner[level].len() };
            // Within i32 for the same reason as in `end`.
            self.inner[level - 1].push(end as i32);
            path[level] += 1;
            if scanner.ends(b']', "`,` or `]`")? {
                return Ok(());
            }
        }
    }

    /// Reads the numbers of an innermost list, from behind its bracket to behind its end.
    fn numbers(&mut self, scanner: &mut Scanner<'_>, start: usize) -> Result<(), Stop> {
        scanner.skip_whitespace();
        if scanner.peek() == Some(b']') {
            scanner.at += 1;
            return Ok(());
        }
        loop {
            scanner.at = naturals::read(scanner.text(), scanner.at, &mut self.pixels);
            let index = self.pixels.len() - start;
            match scanner.peek() {
                Some(b'-' | b'0'..=b'9') => {
                    let number = scanner.number()?;
                    self.pixels.push(pixel(number).map_err(|reason| {
                        Stop::Refused(reason, format!("pixel {index} is {}", shortened(number.text)))
                    })?);
                }
                Some(b'n') => return Err(Stop::Refused(Reason::NullPixel, format!("pixel {index} is null"))),
                Some(byte @ (b'"' | b'{' | b'[' | b't' | b'f')) => {
                    return Err(Stop::Refused(Reason::Unparsable, format!("pixel {index} is {}", kind(byte))));
                }
                _ => return Ok(scanner.expected("a value")?),
            }
            if scanner.ends(b']', "`,` or `]`")? {
                return Ok(());
            }
        }
    }
}

fn offsets(ends: Vec<i32>) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend(ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}

fn list_of(items: ArrayRef, ends: Vec<i32>, valid: Option<NullBuffer>) -> Result<ListArray> {
    let item = Arc::new(Field::new_list_field(items.data_type().clone(), false));
    Ok(ListArray::try_new(item, offsets(ends), items, valid)?)
}

/// Reads the string at the scanner's place: the bytes that it is the base64 of, with or without the head of a data
/// address (`data:image/png;base64,`) and padding, or why it is none.
fn decoded(scanner: &mut Scanner<'_>) -> Scan<Result<Vec<u8>, DecodeError>> {
    const ANY_PADDING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
    let start = scanner.at;
    let escaped = scanner.string()?;
    let text = &scanner.text()[start..scanner.at];
    let mut plain = Cow::Borrowed(&text[1..text.len() - 1]);
    if escaped && let Ok(unescaped) = serde_json::from_slice::<String>(text) {
        // Some writers escape `/`, some break lines.
        plain = unescaped.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>().into();
    }
    let head = match plain.starts_with(b"data:") {
        true => plain.iter().position(|&byte| byte == b',').map_or(0, |comma| comma + 1),
        false => 0,
    };
    Ok(BASE64.decode(&plain[head..]))
}

/// The type of an image column of `depth` levels of lists.
pub(super) fn column_type(pixel_type: PixelType, depth: usize) -> DataType {
    let pixel = match pixel_type {
        PixelType::U8 => DataType::UInt8,
        PixelType::U16 => DataType::UInt16,
        PixelType::F32 => DataType::Float32,
    };
    if depth == ENCODED {
        return DataType::Binary;
    }
    (0..depth).fold(pixel, |inner, _| DataType::List(FieldRef::new(Field::new_list_field(inner, false))))
}

/// Reads the value at the scanner's place: the nesting of the image that it is, if it is one and has a number, or is of
/// a known encoding.
pub(super) fn depth(scanner: &mut Scanner<'_>) -> Scan<Option<usize>> {
    if scanner.peek() == Some(b'"') {
        return Ok(decoded(scanner)?.ok().filter(|bytes| is_image(bytes)).map(|_| ENCODED));
    }
    let mut ahead = Scanner::new(scanner.text(), scanner.at);
    let mut depth = 0;
    while ahead.peek() == Some(b'[') {
        depth += 1;
        ahead.at += 1;
        ahead.skip_whitespace();
    }
    if !(1..=MAX_DEPTH).contains(&depth) || !matches!(ahead.peek(), Some(b'-' | b'0'..=b'9')) {
        return scanner.value(1).map(|()| None);
    }
    Ok(match PixelLists::<f32>::new(depth).image(scanner)? {
        ImageValue::Refused { reason: Reason::Unparsable, .. } => None,
        _ => Some(depth),
    })
}

/// The narrowest type wider than `narrow` that takes all pixels of the image at `at`.
fn wider(narrow: PixelType, depth: usize, text: &[u8], at: usize) -> Option<PixelType> {
    fn takes<T: JsonPixel>(depth: usize, text: &[u8], at: usize) -> bool {
        let mut lists = PixelLists::<T>::new(depth);
        lists.list(&mut Scanner::new(text, at), 1, &mut [0; MAX_DEPTH], 0).is_ok()
    }
    match narrow {
        PixelType::U8 if takes::<u16>(depth, text, at) => Some(PixelType::U16),
        PixelType::U8 | PixelType::U16 if takes::<f32>(depth, text, at) => Some(PixelType::F32),
        _ => None,
    }
}

fn pixel<T: JsonPixel>(number: Number<'_>) -> Result<T, Reason> {
    T::number(number.as_f64())
}

/// What a value is, by its first byte.
fn kind(first: u8) -> &'static str {
    match first {
        b'"' => "a string",
        b'{' => "an object",
        b'[' => "an array",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

/// Where among the lists of an image an item of the given level lies.
fn place(path: &[usize; MAX_DEPTH], level: usize) -> String {
    if level == 1 { format!("row {}", path[1]) } else { format!("row {}, column {}", path[1], path[2]) }
}

/// A number's text for a message: numbers may have any number of digits.
fn shortened(number: &str) -> String {
    const SHOWN: usize = 40;
    if number.len() <= SHOWN { number.to_owned() } else { format!("{}… ({} bytes)", &number[..SHOWN], number.len()) }
}
