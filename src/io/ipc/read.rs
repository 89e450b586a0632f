//! Arrow IPC files and streams → batches.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::{Block, root_as_footer};
use arrow_schema::SchemaRef;

use super::message::{Messages, damaged};
use crate::base::error::{Error, Result};
use crate::io::batches::{Batches, made};
use crate::io::options::ReadOptions;

const MAGIC: &[u8; 6] = b"ARROW1";
/// Before the length of a message since version 0.15 of Arrow.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// The maximum bytes of a message's header.
const MAX_HEADER_BYTES: usize = 64 << 20;

pub fn open_file(file: File, name: &str, options: &ReadOptions) -> Result<Batches> {
    let mut messages = FileMessages::open(file, name)?;
    let schema = messages.messages.schema()?;
    Ok(cut(schema, options.batch_rows, move || messages.next_batch()))
}

pub fn open_stream(input: Box<dyn Read + Send>, name: &str, options: &ReadOptions) -> Result<Batches> {
    let mut messages = StreamMessages::open(input, name)?;
    let schema = messages.messages.schema()?;
    Ok(cut(schema, options.batch_rows, move || messages.next_batch()))
}

/// Cuts the batches of an input, which may have any size, into batches of at most so many rows.
fn cut(
    schema: SchemaRef,
    rows: usize,
    mut next: impl FnMut() -> Result<Option<RecordBatch>> + Send + 'static,
) -> Batches {
    let mut rest: Option<RecordBatch> = None;
    let cut = std::iter::from_fn(move || {
        let batch = match rest.take() {
            Some(batch) => batch,
            None => match next().transpose()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error.into())),
            },
        };
        if batch.num_rows() <= rows {
            return Some(Ok(batch));
        }
        rest = Some(batch.slice(rows, batch.num_rows() - rows));
        Some(Ok(batch.slice(0, rows)))
    });
    made(schema, cut)
}

/// A stream of bytes that waits for the rest of a message, however long it takes. Only between messages is a pause of the
/// stream, a read that fails with `WouldBlock`, of interest.
struct Patient {
    input: Box<dyn Read + Send>,
    within_message: bool,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.within_message => {}
                result => return result,
            }
        }
    }
}

/// What comes next in a stream.
enum Next {
    Message(Vec<u8>, Buffer),
    Pause,
    End,
}

/// Messages one after another.
struct StreamMessages {
    input: BufReader<Patient>,
    name: String,
    messages: Messages,
    ended: bool,
}

impl StreamMessages {
    fn open(input: Box<dyn Read + Send>, name: &str) -> Result<Self> {
        let input = BufReader::with_capacity(128 << 10, Patient { input, within_message: true });
        let mut stream = Self { input, name: name.to_owned(), messages: Messages::new(name), ended: false };
        while !stream.messages.has_schema() {
            match stream.next()? {
                Next::Message(header, body) if stream.messages.take(&header, &body)?.is_none() => {}
                Next::Message(..) => return Err(damaged(name, "a batch comes before the schema")),
                Next::Pause => {}
                Next::End => return Err(damaged(name, "it has no schema")),
            }
        }
        Ok(stream)
    }

    fn failed(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(&self.name, "it ends within a message"),
            _ => Error::io("read", &self.name, error),
        }
    }

    /// The header and body of the next message, or why there is none.
    ///
    /// The format allows a writer to stop without the mark at the end, a message of length 0. But then a stream of a writer
    /// that died looks complete, so a stream without the mark is an error.
    fn next(&mut self) -> Result<Next> {
        self.input.get_mut().within_message = false;
        let is_empty = match self.input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Pause),
            filled => filled.map_err(|e| Error::io("read", &self.name, e))?.is_empty(),
        };
        if is_empty {
            return Err(Error::format(&self.name, "the stream breaks off: its end-of-stream mark is missing"));
        }
        self.input.get_mut().within_message = true;
        let mut len = [0; 4];
        self.input.read_exact(&mut len).map_err(|e| self.failed(e))?;
        if len == CONTINUATION {
            self.input.read_exact(&mut len).map_err(|e| self.failed(e))?;
        }
        let len = u32::from_le_bytes(len) as usize;
        if len == 0 {
            return Ok(Next::End);
        }
        if len > MAX_HEADER_BYTES {
            return Err(damaged(&self.name, format!("a message claims a header of {len} bytes")));
        }
        let mut header = Vec::new();
        let read = self.input.by_ref().take(len as u64).read_to_end(&mut header).map_err(|e| self.failed(e))?;
        if read < len {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        let body = arrow_ipc::root_as_message(&header).map_err(|e| damaged(&self.name, e))?.bodyLength();
        let body = usize::try_from(body).map_err(|_| damaged(&self.name, format!("a body claims {body} bytes")))?;
        let body = self.body(body).map_err(|e| self.failed(e))?;
        Ok(Next::Message(header, body))
    }

    /// Reads a body, whose memory grows with the bytes that arrive.
    fn body(&mut self, len: usize) -> io::Result<Buffer> {
        const FIRST_BYTES: usize = 16 << 20;
        let mut body = MutableBuffer::from_len_zeroed(len.min(FIRST_BYTES));
        let mut filled = 0;
        while filled < len {
            self.input.read_exact(&mut body.as_slice_mut()[filled..])?;
            filled = body.len();
            body.resize(len.min(filled.saturating_mul(2)), 0);
        }
        Ok(body.into())
    }

    /// The next batch, without rows where the stream pauses; `None` at the end. After an error it is not called again.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while !self.ended {
            match self.next()? {
                Next::End => self.ended = true,
                Next::Pause => return Ok(Some(RecordBatch::new_empty(self.messages.schema()?))),
                Next::Message(header, body) => {
                    if let Some(batch) = self.messages.take(&header, &body)? {
                        return Ok(Some(batch));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// The custom metadata in the footer of a file.
pub fn footer(mut file: File, name: &str) -> Result<BTreeMap<String, String>> {
    let (footer, _) = footer_bytes(&mut file, name)?;
    let footer = root_as_footer(&footer).map_err(|e| damaged(name, e))?;
    let pairs = footer.custom_metadata().into_iter().flatten();
    Ok(pairs.filter_map(|pair| Some((pair.key()?.to_owned(), pair.value().unwrap_or_default().to_owned()))).collect())
}

/// The footer of a file, and the bytes of the whole file.
fn footer_bytes(file: &mut File, name: &str) -> Result<(Vec<u8>, u64)> {
    let failed = |e| Error::io("read", name, e);
    let len = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut end = [0; 10];
    let has_end = len >= 2 * end.len() as u64;
    if has_end {
        file.seek(SeekFrom::End(-(end.len() as i64))).map_err(failed)?;
        file.read_exact(&mut end).map_err(failed)?;
    }
    if !has_end || &end[4..] != MAGIC {
        return Err(damaged(name, "it does not end as such files do"));
    }
    let footer_len = i32::from_le_bytes([end[0], end[1], end[2], end[3]]);
    let start = u64::try_from(footer_len).ok().and_then(|footer| (len - end.len() as u64).checked_sub(footer));
    let start = start.ok_or_else(|| damaged(name, format!("it claims a footer of {footer_len} bytes")))?;
    let mut footer = vec![0; footer_len as usize];
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    file.read_exact(&mut footer).map_err(failed)?;
    Ok((footer, len))
}

/// Messages where the footer of a file says they are.
struct FileMessages {
    file: File,
    len: u64,
    name: String,
    messages: Messages,
    batches: std::vec::IntoIter<Block>,
}

impl FileMessages {
    fn open(mut file: File, name: &str) -> Result<Self> {
        let (footer, len) = footer_bytes(&mut file, name)?;
        let footer = root_as_footer(&footer).map_err(|e| damaged(name, e))?;
        let mut messages = Messages::new(name);
        messages.set_schema(footer.schema().ok_or_else(|| damaged(name, "it has no schema"))?)?;
        let dictionaries: Vec<Block> = footer.dictionaries().into_iter().flatten().copied().collect();
        let batches: Vec<Block> = footer.recordBatches().into_iter().flatten().copied().collect();
        let mut file = Self { file, len, name: name.to_owned(), messages, batches: batches.into_iter() };
        for block in dictionaries {
            file.message(block)?;
        }
        Ok(file)
    }

    /// The batch in a block, if it has one.
    fn message(&mut self, block: Block) -> Result<Option<RecordBatch>> {
        let outside = || damaged(&self.name, "a block lies outside the file");
        let header = usize::try_from(block.metaDataLength()).map_err(|_| outside())?;
        let body = usize::try_from(block.bodyLength()).map_err(|_| outside())?;
        let start = u64::try_from(block.offset()).map_err(|_| outside())?;
        let end = start.checked_add(header as u64).and_then(|end| end.checked_add(body as u64));
        if end.is_none_or(|end| end > self.len) || header > MAX_HEADER_BYTES {
            return Err(outside());
        }
        let mut prefixed = vec![0; header];
        let mut bytes = MutableBuffer::from_len_zeroed(body);
        self.file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(&mut prefixed))
            .and_then(|()| self.file.read_exact(bytes.as_slice_mut()))
            .map_err(|e| Error::io("read", &self.name, e))?;
        // The length of the header, which the footer tells as well.
        let skip = if prefixed.starts_with(&CONTINUATION) { 8 } else { 4 };
        let header = prefixed.get(skip..).unwrap_or_default();
        self.messages.take(header, &bytes.into())
    }

    /// The next batch; `None` at the end. After an error it is not called again.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(block) = self.batches.next() {
            if let Some(batch) = self.message(block)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}
