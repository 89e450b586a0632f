//! The walk over one document: the whole JSON grammar, held to what RFC 8259 says and no more.

use std::borrow::Cow;
use std::ops::BitOrAssign;

/// The deepest that arrays and objects may lie in one another, the limit that serde_json has as well.
const DEEPEST: usize = 127;

/// Where in the text the grammar is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxFault {
    pub(super) at: usize,
    pub(super) message: String,
}

/// The result of reading a piece of the grammar.
pub(super) type Scan<T> = Result<T, SyntaxFault>;

/// The key of a member, as it stands in the text without its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Key<'a> {
    /// A key without escapes.
    pub(super) fn plain(name: &'a str) -> Self {
        Self { raw: name.as_bytes(), escaped: false }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        if self.escaped { self.name() == name } else { self.raw == name.as_bytes() }
    }

    /// The key with its escapes resolved.
    pub(super) fn name(&self) -> Cow<'a, str> {
        let plain = String::from_utf8_lossy(self.raw);
        if !self.escaped {
            return plain;
        }
        // A key with quotes around it is a JSON string, which the scanner has already checked.
        serde_json::from_str::<String>(&format!("\"{plain}\"")).map_or(plain, Cow::Owned)
    }
}

/// A number as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'a> {
    pub(super) text: &'a str,
    /// It has neither fraction nor exponent.
    pub(super) integral: bool,
}

impl Number<'_> {
    /// The nearest f64, infinite where the number is out of its range.
    pub(super) fn as_f64(&self) -> f64 {
        // What the grammar lets through is a subset of what Rust parses.
        self.text.parse().unwrap_or(f64::NAN)
    }

    /// Whether neither i64 nor f64 holds it: an integer beyond i64, or a number beyond f64.
    fn is_huge(&self) -> bool {
        const FITS_I64: usize = 18;
        const FITS_F64: usize = 300;
        match self.integral {
            true => self.text.len() > FITS_I64 && self.text.parse::<i64>().is_err(),
            // Without an exponent only a very long number is so large.
            false => (self.text.len() > FITS_F64 || self.text.contains(['e', 'E'])) && self.as_f64().is_infinite(),
        }
    }
}

/// Which numbers a value has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    /// One has a fraction or exponent.
    pub(super) fractional: bool,
    /// Neither i64 nor f64 holds one.
    pub(super) huge: bool,
}

impl BitOrAssign for Numbers {
    fn bitor_assign(&mut self, other: Self) {
        self.fractional |= other.fractional;
        self.huge |= other.huge;
    }
}

/// A member of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) key: Key<'a>,
    /// Its key and value as they stand.
    pub(super) text: &'a [u8],
    /// Where in the text the value begins.
    pub(super) value_at: usize,
    pub(super) numbers: Numbers,
}

impl<'a> Member<'a> {
    pub(super) fn value(&self) -> &'a [u8] {
        &self.text[self.value_at..]
    }
}

/// What the members of a document go into.
pub(super) trait Members {
    /// Reads the value of the image's key; the scanner stands at its first byte.
    fn image(&mut self, scanner: &mut Scanner<'_>) -> Scan<()>;

    /// Takes another member.
    fn other(&mut self, member: Member<'_>);
}

/// A place in a text, and the grammar's rules to move on from it.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    pub(super) at: usize,
    /// What numbers have been passed.
    numbers: Numbers,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at, numbers: Numbers::default() }
    }

    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// A fault at this place.
    pub(super) fn fault<T>(&self, message: impl Into<String>) -> Scan<T> {
        Err(SyntaxFault { at: self.at, message: message.into() })
    }

    /// A fault at this place, where `what` should be.
    pub(super) fn expected<T>(&self, what: &str) -> Scan<T> {
        match self.peek() {
            None => self.fault(format!("the text ends where {what} should be")),
            Some(byte) if byte.is_ascii_graphic() => {
                self.fault(format!("expected {what}, found `{}`", char::from(byte)))
            }
            Some(byte) => self.fault(format!("expected {what}, found byte 0x{byte:02x}")),
        }
    }

    /// Walks over the object at this place, in which `image` is the image's key.
    pub(super) fn document(&mut self, image: &str, members: &mut impl Members) -> Scan<()> {
        self.object(Some(image), members)
    }

    fn object(&mut self, image: Option<&str>, members: &mut impl Members) -> Scan<()> {
        if self.peek() != Some(b'{') {
            return self.expected("an object");
        }
        self.at += 1;
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let start = self.at;
            let key = self.key()?;
            if image.is_some_and(|image| key.is(image)) {
                members.image(self)?;
            } else {
                let value_at = self.at - start;
                let numbers = self.member(1)?;
                members.other(Member { key, text: &self.text[start..self.at], value_at, numbers });
            }
            if self.ends(b'}', "`,` or `}`")? {
                return Ok(());
            }
        }
    }

    /// Walks over the value of a member, around which lie `depth` arrays and objects; says which numbers are in it.
    pub(super) fn member(&mut self, depth: usize) -> Scan<Numbers> {
        self.numbers = Numbers::default();
        self.value(depth)?;
        Ok(self.numbers)
    }

    /// Walks over the object at this place, and calls `each` with its members.
    pub(super) fn members(&mut self, mut each: impl FnMut(Member<'_>)) -> Scan<()> {
        struct All<F>(F);
        impl<F: FnMut(Member<'_>)> Members for All<F> {
            fn image(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
                scanner.expected("no image")
            }

            fn other(&mut self, member: Member<'_>) {
                self.0(member);
            }
        }
        self.object(None, &mut All(&mut each))
    }

    /// Reads a key, its colon and the whitespace on both sides of it.
    pub(super) fn key(&mut self) -> Scan<Key<'a>> {
        if self.peek() != Some(b'"') {
            return self.expected("a key");
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let key = Key { raw: &self.text[start..self.at - 1], escaped };
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return self.expected("`:`");
        }
        self.at += 1;
        self.skip_whitespace();
        Ok(key)
    }

    /// Behind an item: reads `close`, which is the end, or a comma and the whitespace behind it.
    pub(super) fn ends(&mut self, close: u8, either: &str) -> Scan<bool> {
        self.skip_whitespace();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.skip_whitespace();
                Ok(false)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            _ => self.expected(either),
        }
    }

    /// Reads any value; `depth` arrays and objects lie around it.
    pub(super) fn value(&mut self, depth: usize) -> Scan<()> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.number()?;
                self.numbers |= Numbers { fractional: !number.integral, huge: number.is_huge() };
                Ok(())
            }
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(open @ (b'[' | b'{')) => {
                if depth == DEEPEST {
                    return self.fault(format!("more than {DEEPEST} arrays and objects lie in one another"));
                }
                self.at += 1;
                self.skip_whitespace();
                let (close, either) = if open == b'[' { (b']', "`,` or `]`") } else { (b'}', "`,` or `}`") };
                if self.peek() == Some(close) {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    if open == b'{' {
                        self.key()?;
                    }
                    self.value(depth + 1)?;
                    if self.ends(close, either)? {
                        return Ok(());
                    }
                }
            }
            _ => self.expected("a value"),
        }
    }

    pub(super) fn literal(&mut self, literal: &str) -> Scan<()> {
        if !self.text[self.at..].starts_with(literal.as_bytes()) {
            return self.fault(format!("expected a value, found what is not quite `{literal}`"));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Reads a number; the place is at its first byte.
    pub(super) fn number(&mut self) -> Scan<Number<'a>> {
        let start = self.at;
        let mut integral = true;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if let Some(b'0'..=b'9') = self.peek() {
                return self.fault("a number has a leading zero");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            integral = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integral = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        match std::str::from_utf8(&self.text[start..self.at]) {
            Ok(text) => Ok(Number { text, integral }),
            Err(_) => self.fault("a number is not ASCII"),
        }
    }

    fn digits(&mut self) -> Scan<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.expected("a digit") } else { Ok(()) }
    }

    /// Reads a string; the place is at its opening quote. Says whether there are escapes in it.
    pub(super) fn string(&mut self) -> Scan<bool> {
        self.at += 1;
        let start = self.at;
        let (mut escaped, mut ascii) = (false, true);
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..0x20) => return self.expected("no control character in a string"),
                Some(byte) => {
                    ascii &= byte.is_ascii();
                    self.at += 1;
                }
                None => return self.expected("the end of a string"),
            }
        }
        if !ascii && let Err(error) = std::str::from_utf8(&self.text[start..self.at]) {
            self.at = start + error.valid_up_to();
            return self.fault("a string is not UTF-8");
        }
        self.at += 1;
        Ok(escaped)
    }

    /// Reads an escape; the place is at its backslash.
    fn escape(&mut self) -> Scan<()> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                let start = self.at - 1;
                self.at += 1;
                let lone = |at| Err(SyntaxFault { at, message: "half a surrogate pair is escaped".to_owned() });
                match self.hex()? {
                    0xDC00..=0xDFFF => lone(start),
                    0xD800..=0xDBFF => {
                        if !self.text[self.at..].starts_with(b"\\u") {
                            return lone(start);
                        }
                        self.at += 2;
                        match self.hex()? {
                            0xDC00..=0xDFFF => Ok(()),
                            _ => lone(start),
                        }
                    }
                    _ => Ok(()),
                }
            }
            _ => self.expected("an escape"),
        }
    }

    fn hex(&mut self) -> Scan<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.expected("a hexadecimal digit");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}
