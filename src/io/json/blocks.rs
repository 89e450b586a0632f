//! A stream of bytes becomes blocks of whole documents: decompression and splitting.

use std::io::{self, BufReader, Cursor, Read};
use std::path::PathBuf;

use memchr::{memchr_iter, memrchr};

use crate::base::error::{Error, Result};
use crate::io::gzip;
use crate::io::live::{head, is_stopped};
use crate::io::spare::Spare;

/// How the input is cut. The defaults are for use; tests cut finer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuning {
    /// The least that is asked of a block, whatever the length of the documents.
    pub(super) smallest: usize,
    /// The size of the first blocks; later ones grow with the input, so that a long input makes large batches and a
    /// short one still keeps every thread busy.
    pub(super) first: usize,
    /// The most that is put into a block of more than one document.
    pub(super) largest: usize,
    /// The longest document, in bytes.
    pub(super) longest: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { smallest: 128 << 10, first: 256 << 10, largest: 512 << 10, longest: 1 << 30 }
    }
}

/// How documents lie in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockLayout {
    /// One on a line.
    Lines,
    /// Elements of an array, each followed by a comma but the last of the array.
    Elements {
        /// Nothing of the array came before.
        first: bool,
        /// The array ends here.
        last: bool,
    },
}

/// A stretch of the input that holds whole documents.
pub(super) struct TextBlock {
    bytes: Vec<u8>,
    len: usize,
    pub(super) layout: BlockLayout,
    /// The line of its first byte, from 1.
    pub(super) line: u64,
    /// The bytes of that line that lie before the block.
    column: u64,
    /// The input pauses after it.
    pub(super) paused: bool,
    spare: Spare,
}

impl TextBlock {
    pub(super) fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The line and column, from 1, of the byte at `at`.
    pub(super) fn position(&self, at: usize) -> (u64, u64) {
        let (line, before) = past((self.line, self.column), &self.text()[..at]);
        (line, before + 1)
    }
}

impl Drop for TextBlock {
    fn drop(&mut self) {
        self.spare.put(std::mem::take(&mut self.bytes));
    }
}

/// Moves a position, given as the line from 1 and the bytes before it in that line, past `passed`.
fn past((line, column): (u64, u64), passed: &[u8]) -> (u64, u64) {
    match memrchr(b'\n', passed) {
        None => (line, column + passed.len() as u64),
        Some(last) => (line + memchr_iter(b'\n', &passed[..=last]).count() as u64, (passed.len() - last - 1) as u64),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextEncoding {
    Plain,
    Gzip,
    Zstd,
}

/// Marks what the underlying stream reports, so that it is told apart from what a decompressor finds wrong.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Unreadable(io::Error);

struct Marked<R>(R);

impl<R: Read> Read for Marked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // No fault of the input: see LiveReader.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_stopped(&error) => return Err(error),
                Err(error) => return Err(io::Error::new(error.kind(), Unreadable(error))),
                read => return read,
            }
        }
    }
}

fn read_error(error: io::Error, name: &str, encoding: TextEncoding) -> Error {
    let format = match encoding {
        TextEncoding::Plain => None,
        TextEncoding::Gzip => Some("gzip"),
        TextEncoding::Zstd => Some("zstd"),
    };
    let kind = error.kind();
    let source = match error.downcast::<Unreadable>() {
        Ok(Unreadable(source)) => source,
        Err(other) => match format {
            Some(format) => {
                let message = match kind {
                    io::ErrorKind::UnexpectedEof => format!("the {format} data ends early"),
                    _ => format!("the {format} data is damaged: {other}"),
                };
                return Error::Format { file: name.to_owned(), message };
            }
            None => other,
        },
    };
    Error::Io { action: "read", path: PathBuf::from(name), source }
}

/// Cuts an input into blocks, decompressing it on the way.
pub(super) struct BlockReader {
    input: Box<dyn Read + Send>,
    encoding: TextEncoding,
    name: String,
    tuning: Tuning,
    batch_rows: usize,
    /// `buffer[..filled]` has been read and not yet been cut off.
    buffer: Vec<u8>,
    filled: usize,
    ended: bool,
    /// The input has paused since the last read began.
    paused: bool,
    /// The reading was stopped: what is not complete does not count.
    stopped: bool,
    /// Bytes of the buffer in which there is nothing to cut at.
    searched: usize,
    stage: Stage,
    /// Where the buffer starts: the line, from 1, and the bytes of it before the buffer.
    start: (u64, u64),
    bytes_cut: u64,
    documents_cut: u64,
    spare: Spare,
}

enum Stage {
    /// Nothing but whitespace so far.
    Blank,
    Lines,
    Elements {
        boundaries: Boundaries,
        first: bool,
        /// Just behind the last comma between elements that has been found.
        cut: usize,
    },
    Done(Option<Error>),
}

impl BlockReader {
    pub(super) fn new(
        input: Box<dyn Read + Send>,
        name: &str,
        batch_rows: usize,
        threads: usize,
        tuning: Tuning,
    ) -> Result<Self> {
        let mut input = Marked(input);
        let magic = head(&mut input, 4, |_| false).map_err(|e| read_error(e, name, TextEncoding::Plain))?;
        let encoding = match magic[..] {
            [0x1f, 0x8b, ..] => TextEncoding::Gzip,
            // A frame, or a skippable frame, with which some compressors begin.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => TextEncoding::Zstd,
            _ => TextEncoding::Plain,
        };
        let whole = Cursor::new(magic).chain(input);
        let input: Box<dyn Read + Send> = match encoding {
            TextEncoding::Plain => Box::new(whole),
            TextEncoding::Gzip => gzip::decoder(whole, threads).map_err(|e| read_error(e, name, TextEncoding::Gzip))?,
            TextEncoding::Zstd => Box::new(
                zstd::Decoder::with_buffer(BufReader::with_capacity(128 << 10, whole))
                    .map_err(|e| read_error(e, name, TextEncoding::Zstd))?,
            ),
        };
        let mut source = Self {
            input,
            encoding,
            name: name.to_owned(),
            tuning,
            batch_rows,
            buffer: Vec::new(),
            filled: 0,
            ended: false,
            paused: false,
            stopped: false,
            searched: 0,
            stage: Stage::Blank,
            start: (1, 0),
            bytes_cut: 0,
            documents_cut: 0,
            spare: Spare::default(),
        };
        while source.filled < 3 && !source.ended {
            source.fill(3)?;
        }
        if source.buffer[..source.filled].starts_with(b"\xEF\xBB\xBF") {
            source.filled = 0;
        }
        Ok(source)
    }

    /// The next block; `None` at the end. After an error there is nothing more.
    pub(super) fn next_block(&mut self) -> Option<Result<TextBlock>> {
        match self.pull() {
            Ok(block) => block.map(Ok),
            Err(error) => {
                self.stage = Stage::Done(None);
                Some(Err(error))
            }
        }
    }

    /// The documents in the blocks so far, blank lines among them.
    pub(super) fn documents(&self) -> u64 {
        self.documents_cut
    }

    fn pull(&mut self) -> Result<Option<TextBlock>> {
        let mut goal = self.goal().max(self.filled);
        loop {
            if !matches!(self.stage, Stage::Done(_)) {
                self.fill(goal)?;
            }
            if matches!(self.stage, Stage::Blank) {
                self.find_layout();
            }
            let block = match &mut self.stage {
                Stage::Blank | Stage::Lines => self.cut_lines(),
                Stage::Elements { .. } => self.cut_elements()?,
                Stage::Done(error) => return error.take().map_or(Ok(None), Err),
            };
            if block.is_some() || matches!(self.stage, Stage::Done(_)) {
                if let Some(mut block) = block {
                    block.paused = self.paused;
                    return Ok(Some(block));
                }
                continue;
            }
            if self.paused {
                continue;
            }
            if self.filled >= self.tuning.longest {
                let (line, _) = self.start;
                let message = format!("line {line}: a document is longer than {} bytes", self.tuning.longest);
                return Err(Error::Format { file: self.name.clone(), message });
            }
            goal = (self.filled * 2).clamp(1, self.tuning.longest);
        }
    }

    /// The bytes to read before cutting: about `batch_rows` documents, within bounds.
    fn goal(&self) -> usize {
        let Tuning { smallest, first, largest, .. } = self.tuning;
        let grown = usize::try_from(self.bytes_cut / 16).unwrap_or(largest).clamp(first, largest.max(first));
        if self.documents_cut == 0 {
            return grown;
        }
        let mean = usize::try_from(self.bytes_cut / self.documents_cut).unwrap_or(largest) + 1;
        mean.saturating_mul(self.batch_rows).clamp(smallest.min(grown), grown)
    }

    fn fill(&mut self, upto: usize) -> Result<()> {
        if self.buffer.len() < upto {
            self.buffer.resize(upto, 0);
        }
        self.paused = false;
        while self.filled < upto && !self.ended && !self.paused {
            match self.input.read(&mut self.buffer[self.filled..upto]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.paused = true,
                Err(error) if is_stopped(&error) => (self.ended, self.stopped) = (true, true),
                Err(error) => return Err(read_error(error, &self.name, self.encoding)),
            }
        }
        Ok(())
    }

    /// Decides by the first byte that is not whitespace whether the input is an array.
    fn find_layout(&mut self) {
        let Some(at) = self.buffer[..self.filled].iter().position(|b| !b" \t\r\n".contains(b)) else { return };
        if self.buffer[at] != b'[' {
            self.stage = Stage::Lines;
            return;
        }
        self.start = past(self.start, &self.buffer[..=at]);
        self.buffer.copy_within(at + 1..self.filled, 0);
        self.filled -= at + 1;
        self.searched = 0;
        self.stage = Stage::Elements { boundaries: Boundaries::default(), first: true, cut: 0 };
    }

    fn cut_lines(&mut self) -> Option<TextBlock> {
        if self.ended {
            self.stage = Stage::Done(None);
            let end = match self.stopped {
                true => memrchr(b'\n', &self.buffer[..self.filled]).map_or(0, |last| last + 1),
                false => self.filled,
            };
            return (end > 0).then(|| self.cut(end, BlockLayout::Lines));
        }
        match memrchr(b'\n', &self.buffer[self.searched..self.filled]) {
            Some(last) => {
                let block = self.cut(self.searched + last + 1, BlockLayout::Lines);
                // What is left holds no line end.
                self.searched = self.filled;
                Some(block)
            }
            None => {
                self.searched = self.filled;
                None
            }
        }
    }

    fn cut_elements(&mut self) -> Result<Option<TextBlock>> {
        let Stage::Elements { boundaries, first, cut } = &mut self.stage else { return Ok(None) };
        loop {
            match boundaries.next(&self.buffer[..self.filled], &mut self.searched) {
                Some(Boundary::Comma(at)) => {
                    *cut = at + 1;
                    self.documents_cut += 1;
                }
                Some(Boundary::Close(at)) => {
                    let layout = BlockLayout::Elements { first: *first, last: true };
                    let after = at + 1;
                    let rest = self.after_the_array(after);
                    let block = self.cut(at, layout);
                    self.stage = Stage::Done(rest.err());
                    return Ok(Some(block));
                }
                Some(Boundary::Mismatch(at)) => {
                    let found = char::from(self.buffer[at]);
                    return Err(self.syntax(at, format!("`{found}` closes what it did not open")));
                }
                None => break,
            }
        }
        if *cut > 0 {
            let (at, layout) = (*cut, BlockLayout::Elements { first: *first, last: false });
            (*cut, *first) = (0, false);
            let block = self.cut(at, layout);
            self.searched -= at;
            return Ok(Some(block));
        }
        if self.stopped {
            self.stage = Stage::Done(None);
        } else if self.ended {
            return Err(self.syntax(self.filled, "the input ends before the array does".to_owned()));
        }
        Ok(None)
    }

    /// Checks that only whitespace follows the array, whose end lies just before `at`.
    fn after_the_array(&mut self, at: usize) -> Result<()> {
        let mut at = at;
        loop {
            if let Some(more) = self.buffer[at..self.filled].iter().position(|b| !b" \t\r\n".contains(b)) {
                return Err(self.syntax(at + more, "something follows the array".to_owned()));
            }
            if self.ended {
                return Ok(());
            }
            at = self.filled;
            if self.filled >= self.tuning.longest {
                let message = format!("more than {} bytes of whitespace follow the array", self.tuning.longest);
                return Err(Error::Format { file: self.name.clone(), message });
            }
            self.fill((self.filled + 4096).min(self.tuning.longest))?;
        }
    }

    /// Cuts `buffer[..at]` off as a block and keeps the rest for the next.
    fn cut(&mut self, at: usize, layout: BlockLayout) -> TextBlock {
        let mut next = self.spare.take();
        let rest = self.filled - at;
        if next.len() < rest {
            next.resize(rest, 0);
        }
        next[..rest].copy_from_slice(&self.buffer[at..self.filled]);
        let bytes = std::mem::replace(&mut self.buffer, next);
        self.filled = rest;
        let (line, column) = self.start;
        self.start = past(self.start, &bytes[..at]);
        self.bytes_cut += at as u64;
        if layout == BlockLayout::Lines {
            self.documents_cut += self.start.0 - line;
            self.searched = 0;
        }
        TextBlock { bytes, len: at, layout, line, column, paused: false, spare: self.spare.clone() }
    }

    fn syntax(&self, at: usize, message: String) -> Error {
        let (line, before) = past(self.start, &self.buffer[..at]);
        Error::Syntax { file: self.name.clone(), line, column: before + 1, message }
    }
}

/// Where one element of an array ends, found without looking at more than strings and brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boundary {
    /// A comma between two elements.
    Comma(usize),
    /// The end of the array.
    Close(usize),
    /// A bracket that closes one of the other kind.
    Mismatch(usize),
}

/// Looks for the boundaries of elements, in pieces of text as they come.
#[derive(Default)]
pub(super) struct Boundaries {
    /// What is open inside the array.
    open: Vec<u8>,
    string: bool,
    escaped: bool,
}

/// Which bytes end a stretch in which there is nothing to see: inside an element, and (with the comma) between them.
const NOTABLE: [[bool; 256]; 2] = {
    let mut table = [[false; 256]; 2];
    let mut level = 0;
    while level < 2 {
        let bytes = b"\"[]{}";
        let mut index = 0;
        while index < bytes.len() {
            table[level][bytes[index] as usize] = true;
            index += 1;
        }
        level += 1;
    }
    table[1][b',' as usize] = true;
    table
};

impl Boundaries {
    /// The next boundary in `text` from `at` on, which moves on past it; `None` once the text is used up.
    pub(super) fn next(&mut self, text: &[u8], at: &mut usize) -> Option<Boundary> {
        while *at < text.len() {
            if self.string {
                self.skip_string(text, at);
                continue;
            }
            let notable = &NOTABLE[usize::from(self.open.is_empty())];
            let Some(skip) = text[*at..].iter().position(|&b| notable[usize::from(b)]) else {
                *at = text.len();
                return None;
            };
            let here = *at + skip;
            *at = here + 1;
            match text[here] {
                b'"' => self.string = true,
                open @ (b'[' | b'{') => self.open.push(open),
                b',' => return Some(Boundary::Comma(here)),
                close => match (self.open.pop(), close) {
                    (Some(b'['), b']') | (Some(b'{'), b'}') => {}
                    (None, b']') => return Some(Boundary::Close(here)),
                    _ => return Some(Boundary::Mismatch(here)),
                },
            }
        }
        None
    }

    fn skip_string(&mut self, text: &[u8], at: &mut usize) {
        if self.escaped {
            self.escaped = false;
            *at += 1;
            return;
        }
        match memchr::memchr2(b'"', b'\\', &text[*at..]) {
            None => *at = text.len(),
            Some(skip) => {
                self.string = text[*at + skip] == b'\\';
                self.escaped = self.string;
                *at += skip + 1;
            }
        }
    }
}
