//! gzip, decompressed. Blocks of gzip, as `bgzip` writes them, are decompressed by several threads.
//!
//! A gzip file may have several members. Where a member ends is known only when it has been decompressed. In block gzip (BGZF)
//! each member tells its own length in its header, and holds at most 64 KiB of data.

use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::live::head;
use super::spare::Spare;
use crate::base::ordered::{self, Ordered};

/// The largest member of block gzip, and the most data in one.
const LARGEST: usize = 64 << 10;

/// About how many compressed bytes a thread takes at a time.
const PART: usize = 128 << 10;

/// The bytes of a header before its extra fields, and those of the field that tells the length.
const FIXED: usize = 12;
const FIELD: usize = 6;

/// Decompresses a stream that begins as gzip does. Block gzip is decompressed by `threads` threads, and anything else by the
/// thread that reads. Pauses of the input ([`WouldBlock`](io::ErrorKind::WouldBlock)) are passed on in their place.
///
/// # Errors
/// If the first bytes cannot be read, or a thread cannot be started.
pub fn decoder(mut input: impl Read + Send + 'static, threads: usize) -> io::Result<Box<dyn Read + Send>> {
    let has_no_fields = |head: &[u8]| head.get(3).is_some_and(|flags| flags & 4 == 0);
    let head = head(&mut input, FIXED + FIELD, has_no_fields)?;
    let begins_with_block = matches!(block(&head), Member::Block { .. });
    let input = Cursor::new(head).chain(input);
    if threads < 2 || !begins_with_block {
        return Ok(Box::new(plain(input)));
    }
    let spare = Spare::default();
    let mut source = Source::Blocks(Blocks { input: Box::new(input), bytes: Vec::new(), then: None });
    let (for_source, for_workers) = (spare.clone(), spare.clone());
    let jobs = move || source.next(&for_source).map(Ok);
    let parts = ordered::map(threads, threads, jobs, move || {
        let spare = for_workers.clone();
        move |job| {
            Ok(match job {
                Job::Inflate { blocks, size } => inflate(&blocks, size, spare.take()),
                Job::Done(result) => result,
            })
        }
    })?;
    Ok(Box::new(Parallel { parts: Some(parts), now: Vec::new(), at: 0, spare }))
}

fn plain<R: Read>(input: R) -> MultiGzDecoder<BufReader<R>> {
    MultiGzDecoder::new(BufReader::with_capacity(128 << 10, input))
}

/// What a member is by its first bytes.
#[derive(Debug, PartialEq, Eq)]
enum Member {
    /// One of block gzip, of so many bytes.
    Block { length: usize },
    /// More bytes are needed to tell.
    Unknown,
    /// Anything else.
    Other,
}

fn block(bytes: &[u8]) -> Member {
    let known = bytes.len().min(4);
    // Deflate, and extra fields but nothing else behind the header.
    if bytes[..known] != [0x1f, 0x8b, 8, 4][..known] {
        return Member::Other;
    }
    let Some(fields) = bytes.get(FIXED..) else { return Member::Unknown };
    let all = usize::from(u16::from_le_bytes([bytes[FIXED - 2], bytes[FIXED - 1]]));
    // The length stands in the first field, as all writers have it.
    match fields {
        _ if all < FIELD => Member::Other,
        [b'B', b'C', 2, 0, low, high, ..] => match usize::from(u16::from_le_bytes([*low, *high])) + 1 {
            // Not even a header and the sums at the end.
            length if length < FIXED + all + 8 => Member::Other,
            length => Member::Block { length },
        },
        _ if fields.len() >= FIELD => Member::Other,
        _ => Member::Unknown,
    }
}

/// What a thread is given.
enum Job {
    /// Whole members, which say that they hold so many bytes.
    Inflate {
        blocks: Vec<u8>,
        size: usize,
    },
    Done(io::Result<Vec<u8>>),
}

/// What is still to be read.
enum Source {
    Blocks(Blocks),
    /// Something that is not block gzip came: it is decompressed where it is read.
    Plain(Box<dyn Read + Send>),
    Ended,
}

struct Blocks {
    input: Box<dyn Read + Send>,
    /// Read, but not yet handed out.
    bytes: Vec<u8>,
    /// What comes behind the members that were handed out last.
    then: Option<io::Error>,
}

impl Source {
    fn next(&mut self, spare: &Spare) -> Option<Job> {
        loop {
            match self {
                Source::Blocks(blocks) => match blocks.next() {
                    Ok(Some(job)) => return Some(job),
                    Ok(None) => {
                        let Source::Blocks(Blocks { input, bytes, .. }) = std::mem::replace(self, Source::Ended) else {
                            return None;
                        };
                        if !bytes.is_empty() {
                            *self = Source::Plain(Box::new(plain(Cursor::new(bytes).chain(input))));
                        }
                    }
                    Err(error) => return self.fail(error),
                },
                Source::Plain(input) => {
                    let mut bytes = spare.take();
                    bytes.resize(2 * PART, 0);
                    match input.read(&mut bytes) {
                        Ok(0) => *self = Source::Ended,
                        Ok(read) => {
                            bytes.truncate(read);
                            return Some(Job::Done(Ok(bytes)));
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return self.fail(error),
                    }
                }
                Source::Ended => return None,
            }
        }
    }

    fn fail(&mut self, error: io::Error) -> Option<Job> {
        if error.kind() != io::ErrorKind::WouldBlock {
            *self = Source::Ended;
        }
        Some(Job::Done(Err(error)))
    }
}

impl Blocks {
    /// The next whole members; `None` if what is left is no block gzip, or nothing is left.
    fn next(&mut self) -> io::Result<Option<Job>> {
        if let Some(error) = self.then.take() {
            return Err(error);
        }
        let filled = self.bytes.len();
        self.bytes.resize(filled.max(PART + LARGEST), 0);
        let (mut filled, mut ended) = (filled, false);
        while filled < PART && !ended && self.then.is_none() {
            match self.input.read(&mut self.bytes[filled..]) {
                Ok(0) => ended = true,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.then = Some(error),
            }
        }
        self.bytes.truncate(filled);
        let (mut end, mut size) = (0, 0);
        while let Member::Block { length } = block(&self.bytes[end..])
            && let Some(member) = self.bytes.get(end..end + length)
        {
            let held = member.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
            size += held.min(LARGEST);
            end += length;
        }
        if end > 0 {
            let rest = self.bytes[end..].to_vec();
            let mut blocks = std::mem::replace(&mut self.bytes, rest);
            blocks.truncate(end);
            return Ok(Some(Job::Inflate { blocks, size }));
        }
        match self.then.take() {
            Some(error) => Err(error),
            // Either the members have another form here, or the last one breaks off. One thread finds out.
            None => Ok(None),
        }
    }
}

fn inflate(blocks: &[u8], size: usize, mut out: Vec<u8>) -> io::Result<Vec<u8>> {
    out.clear();
    out.reserve(size + 1);
    MultiGzDecoder::new(blocks).take(size as u64 + 1).read_to_end(&mut out)?;
    if out.len() > size {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a block holds more than its 64 KiB"));
    }
    Ok(out)
}

/// Decompressed data in its order.
struct Parallel {
    parts: Option<Ordered<io::Result<Vec<u8>>>>,
    now: Vec<u8>,
    at: usize,
    spare: Spare,
}

impl Read for Parallel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.now.len() {
            let Some(next) = self.parts.as_mut().and_then(Iterator::next) else { return Ok(0) };
            match next.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(bytes) => {
                    self.spare.put(std::mem::replace(&mut self.now, bytes));
                    self.at = 0;
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.parts = None;
                    }
                    return Err(error);
                }
            }
        }
        let read = buffer.len().min(self.now.len() - self.at);
        buffer[..read].copy_from_slice(&self.now[self.at..self.at + read]);
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    /// A member of block gzip.
    fn member(data: &[u8]) -> Vec<u8> {
        let extra = vec![b'B', b'C', 2, 0, 0, 0];
        let mut encoder = GzBuilder::new().extra(extra).write(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        let mut bytes = encoder.finish().unwrap();
        let length = u16::try_from(bytes.len() - 1).unwrap().to_le_bytes();
        bytes[FIXED + 4..FIXED + 6].copy_from_slice(&length);
        bytes
    }

    fn data() -> Vec<u8> {
        let mut state = 1u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 29) as u8 + b'a'
        };
        std::iter::repeat_with(next).take(1_000_000).collect()
    }

    /// `data` in blocks of some length, and the empty block at the end that bgzip writes.
    fn blocks(data: &[u8]) -> Vec<u8> {
        data.chunks(60_000).chain([&[][..]]).flat_map(member).collect()
    }

    /// Reads all, and counts the pauses.
    fn read(input: impl Read + Send + 'static) -> io::Result<(Vec<u8>, usize)> {
        let (mut input, mut all, mut pauses) = (decoder(input, 3)?, Vec::new(), 0);
        loop {
            match input.read_to_end(&mut all) {
                Ok(_) => return Ok((all, pauses)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pauses += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands out a few bytes at a time, and pauses after each of the places.
    struct Slow {
        bytes: Vec<u8>,
        at: usize,
        pauses: Vec<usize>,
    }

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.pauses.first() == Some(&self.at) {
                self.pauses.remove(0);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let end = self.pauses.first().copied().unwrap_or(self.bytes.len()).min(self.at + 1000);
            let read = buffer.len().min(end - self.at);
            buffer[..read].copy_from_slice(&self.bytes[self.at..self.at + read]);
            self.at += read;
            Ok(read)
        }
    }

    #[test]
    fn blocks_are_told_from_other_members() {
        let member = member(b"abc");
        assert_eq!(block(&member), Member::Block { length: member.len() });
        assert_eq!(block(&member[..FIXED + 5]), Member::Unknown);
        assert_eq!(block(&[]), Member::Unknown);
        let mut other = member.clone();
        other[3] = 0;
        assert_eq!(block(&other), Member::Other, "no extra fields");
        let mut other = member.clone();
        other[FIXED] = b'X';
        assert_eq!(block(&other), Member::Other, "another field");
        let mut short = member.clone();
        short[FIXED + 4..FIXED + 6].copy_from_slice(&[20, 0]);
        assert_eq!(block(&short), Member::Other, "shorter than its header");
    }

    #[test]
    fn blocks_give_their_data_in_order() {
        let data = data();
        let bytes = blocks(&data);
        assert!(bytes.len() > 2 * PART);
        assert_eq!(read(Cursor::new(bytes.clone())).unwrap(), (data.clone(), 0));
        // Whatever follows the blocks is read as any gzip file is.
        let mut encoder = GzBuilder::new().write(bytes, Compression::fast());
        encoder.write_all(&data).unwrap();
        let mixed = [encoder.finish().unwrap(), member(b"the end")].concat();
        assert_eq!(read(Cursor::new(mixed)).unwrap().0, [&data, &data, &b"the end"[..]].concat());
    }

    #[test]
    fn pauses_come_in_their_places() {
        let data = data();
        let bytes = blocks(&data);
        let first = member(&data[..60_000]).len();
        let pauses = vec![5, first, first + 100, bytes.len()];
        let mut input = decoder(Slow { bytes, at: 0, pauses }, 2).unwrap();
        // The head of the file waits for its bytes. Then what is complete is there before the pause that follows it.
        let mut all = Vec::new();
        for complete in [60_000, 60_000, data.len()] {
            let error = input.read_to_end(&mut all).unwrap_err();
            assert_eq!((error.kind(), all.len()), (io::ErrorKind::WouldBlock, complete));
        }
        input.read_to_end(&mut all).unwrap();
        assert!(all == data);
    }

    #[test]
    fn damage_is_an_error_behind_the_data_before_it() {
        let data = data();
        let bytes = blocks(&data);
        let cut = bytes[..bytes.len() / 2].to_vec();
        assert_eq!(read(Cursor::new(cut)).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x55;
        let mut input = decoder(Cursor::new(flipped), 2).unwrap();
        let mut all = Vec::new();
        assert!(input.read_to_end(&mut all).is_err());
        assert!(all.len() >= 60_000 && data.starts_with(&all));
        assert_eq!(input.read(&mut [0; 10]).unwrap(), 0, "nothing comes after an error");
        // A block that holds more than it may: its data is not all unpacked first.
        let bomb = [member(b"abc"), member(&vec![0; 10 << 20])].concat();
        assert_eq!(read(Cursor::new(bomb)).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
