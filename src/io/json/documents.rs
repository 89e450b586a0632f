//! The documents of a block one after another, whether they are lines or elements of an array.

use memchr::{memchr, memchr_iter};

use super::blocks::{BlockLayout, Boundaries, Boundary, TextBlock};
use super::scan::{Scan, Scanner, SyntaxFault};

use crate::base::error::{Error, Result};

/// Where in its block a document's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The line it begins on, from 1.
    pub(super) line: u64,
}

/// What documents are handed to.
pub(super) trait Visitor {
    /// Reads the document at the scanner's place. After a fault [`Visitor::undo`] is called.
    fn read(&mut self, scanner: &mut Scanner<'_>) -> Scan<()>;

    /// Forgets what the last [`Visitor::read`] took in.
    fn undo(&mut self);

    /// Keeps what the last [`Visitor::read`] took in as a row or, where there is a message, a row that is broken in the
    /// way it says.
    fn keep(&mut self, row: Row, broken: Option<String>) -> Result<()>;
}

/// The documents of one block.
pub(super) struct Documents<'a> {
    block: &'a TextBlock,
    file: &'a str,
    keep_broken: bool,
}

impl<'a> Documents<'a> {
    pub(super) fn new(block: &'a TextBlock, file: &'a str, keep_broken: bool) -> Self {
        Self { block, file, keep_broken }
    }

    /// Hands every document to `visitor`.
    ///
    /// # Errors
    /// Where the text is not what it should be and broken documents are not kept, or no end of one can be found.
    pub(super) fn read(&self, visitor: &mut impl Visitor) -> Result<()> {
        match self.block.layout {
            BlockLayout::Lines => self.lines(visitor),
            BlockLayout::Elements { first, last } => self.elements(visitor, first, last),
        }
    }

    fn lines(&self, visitor: &mut impl Visitor) -> Result<()> {
        let text = self.block.text();
        let (mut start, mut line) = (0, self.block.line);
        while start < text.len() {
            let end = memchr(b'\n', &text[start..]).map_or(text.len(), |len| start + len);
            let mut scanner = Scanner::new(&text[..end], start);
            scanner.skip_whitespace();
            if scanner.at < end {
                let begin = scanner.at;
                let outcome = visitor.read(&mut scanner).and_then(|()| {
                    scanner.skip_whitespace();
                    if scanner.at < end { scanner.expected("the end of the line") } else { Ok(()) }
                });
                self.hand_over(
                    visitor,
                    Row { start: begin, end: begin + text[begin..end].trim_ascii_end().len(), line },
                    outcome,
                )?;
            }
            start = end + 1;
            line += 1;
        }
        Ok(())
    }

    fn elements(&self, visitor: &mut impl Visitor, first: bool, last: bool) -> Result<()> {
        let text = self.block.text();
        let mut scanner = Scanner::new(text, 0);
        let (mut counted, mut line) = (0, self.block.line);
        scanner.skip_whitespace();
        if first && last && scanner.at == text.len() {
            return Ok(());
        }
        loop {
            let begin = scanner.at;
            line += memchr_iter(b'\n', &text[counted..begin]).count() as u64;
            counted = begin;
            let mut outcome = visitor.read(&mut scanner);
            let mut end = scanner.at;
            if outcome.is_ok() {
                scanner.skip_whitespace();
                if scanner.at < text.len() && scanner.peek() != Some(b',') {
                    outcome = scanner.expected("`,` or `]`");
                }
            }
            if outcome.is_err() && self.keep_broken {
                let mut at = begin;
                scanner.at = match Boundaries::default().next(text, &mut at) {
                    Some(Boundary::Comma(at)) => at,
                    _ => text.len(),
                };
                end = begin + text[begin..scanner.at].trim_ascii_end().len();
            }
            self.hand_over(visitor, Row { start: begin, end, line }, outcome)?;
            if scanner.at == text.len() {
                return Ok(());
            }
            scanner.at += 1;
            scanner.skip_whitespace();
            if scanner.at == text.len() && !last {
                return Ok(());
            }
        }
    }

    /// Tells the visitor what became of a document.
    fn hand_over(&self, visitor: &mut impl Visitor, row: Row, outcome: Scan<()>) -> Result<()> {
        let Err(SyntaxFault { at, message }) = outcome else { return visitor.keep(row, None) };
        visitor.undo();
        if self.keep_broken {
            return visitor.keep(row, Some(message));
        }
        let (line, column) = self.block.position(at);
        Err(Error::Syntax { file: self.file.to_owned(), line, column, message })
    }
}
