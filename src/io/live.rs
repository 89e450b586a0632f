//! Streams whose bytes may arrive at any time: a pipe, a FIFO, a socket.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Ends the reading of streams from outside, as at the end of the input. What has come in whole is still read. Clones are
/// one handle.
///
/// It has no effect on regular files.
#[derive(Debug, Clone, Default)]
pub struct StopHandle(Arc<AtomicBool>);

impl StopHandle {
    /// Ends the reading within a tenth of a second. May be called from a signal handler.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`StopHandle::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for libraries that handle signals.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl PartialEq for StopHandle {
    /// Whether they are one handle.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What a read fails with once the reading was stopped.
#[derive(Debug, thiserror::Error)]
#[error("the reading was stopped")]
pub struct Stopped;

/// Whether a read failed because the reading was stopped.
pub fn is_stopped(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Stopped>())
}

/// The first `len` bytes of a stream; fewer if it ends, is stopped, or pauses after bytes that are `enough`.
pub fn head(input: &mut impl Read, len: usize, enough: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    let mut head = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match input.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !enough(&head[..filled]) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_stopped(&error) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// Whether a [`LiveReader`] reports pauses. Clones are one switch.
#[derive(Debug, Clone)]
pub struct PauseSwitch {
    is_on: Arc<AtomicBool>,
    again: Arc<AtomicBool>,
}

impl PauseSwitch {
    /// Reads wait for bytes from now on, however long it takes.
    pub fn off(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }

    /// A pause is reported once more, even if it was reported already: the bytes before it are read again.
    pub fn again(&self) {
        self.again.store(true, Ordering::Relaxed);
    }
}

/// A stream that a thread reads ahead, so that a pause in it shows.
///
/// A read fails with [`io::ErrorKind::WouldBlock`] if nothing has come for so long that bytes handed out before would wait
/// longer than the maximum delay for what comes next. The first pause needs more, since the rows before it decide shape and
/// columns: 50 ms without bytes, or a second since the first of them. The read after a pause waits for bytes.
pub struct LiveReader {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    at: usize,
    /// When the first of the bytes came that may wait for more.
    since: Option<Instant>,
    /// When the last chunk came.
    last: Instant,
    max_delay: Duration,
    /// Whether it has reported a pause.
    has_paused: bool,
    pauses: PauseSwitch,
    stop: StopHandle,
}

impl LiveReader {
    /// Starts a thread that reads `input` ahead. The thread ends with the input, or after the next bytes if nobody reads
    /// any more.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn new(mut input: Box<dyn Read + Send>, max_delay: Duration, stop: StopHandle) -> io::Result<Self> {
        const CHUNK_BYTES: usize = 64 << 10;
        const CHUNKS: usize = 8;
        let (to_reader, chunks) = sync_channel(CHUNKS);
        let read_ahead = move || {
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = match input.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(read) => {
                        chunk.truncate(read);
                        Ok(chunk)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if to_reader.send(read).is_err() || failed {
                    return;
                }
            }
        };
        thread::Builder::new().name("pixelfeat-input".to_owned()).spawn(read_ahead)?;
        let pauses = PauseSwitch { is_on: Arc::new(AtomicBool::new(true)), again: Arc::default() };
        Ok(Self {
            chunks,
            chunk: Vec::new(),
            at: 0,
            since: None,
            last: Instant::now(),
            max_delay,
            has_paused: false,
            pauses,
            stop,
        })
    }

    /// The switch of its pauses, which are on at first.
    pub fn pauses(&self) -> PauseSwitch {
        self.pauses.clone()
    }

    /// Waits for the next chunk; `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        /// A thread that is late must not look like the first pause.
        const FIRST_DELAY: Duration = Duration::from_millis(50);
        const FIRST_DELAY_OF_A_SLOW_STREAM: Duration = Duration::from_secs(1);
        /// So often it is checked whether the reading was stopped.
        const TICK: Duration = Duration::from_millis(50);
        loop {
            match self.chunks.try_recv() {
                Ok(chunk) => return self.take(chunk),
                Err(TryRecvError::Disconnected) => return Ok(false),
                Err(TryRecvError::Empty) if self.stop.is_stopped() => return Err(io::Error::other(Stopped)),
                Err(TryRecvError::Empty) => {}
            }
            if self.since.is_none() && self.pauses.again.swap(false, Ordering::Relaxed) {
                self.last = Instant::now();
                self.since = Some(self.last);
            }
            let left = match self.since.filter(|_| self.pauses.is_on.load(Ordering::Relaxed)) {
                Some(since) if self.has_paused => self.max_delay.saturating_sub(since.elapsed()),
                Some(since) => {
                    let gap = self.max_delay.max(FIRST_DELAY).saturating_sub(self.last.elapsed());
                    gap.min(self.max_delay.max(FIRST_DELAY_OF_A_SLOW_STREAM).saturating_sub(since.elapsed()))
                }
                None => TICK,
            };
            if left.is_zero() {
                (self.since, self.has_paused) = (None, true);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match self.chunks.recv_timeout(left.min(TICK)) {
                Ok(chunk) => return self.take(chunk),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn take(&mut self, chunk: io::Result<Vec<u8>>) -> io::Result<bool> {
        (self.chunk, self.at) = (chunk?, 0);
        self.last = Instant::now();
        self.since = self.since.or(Some(self.last));
        Ok(true)
    }
}

impl Read for LiveReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || (self.at == self.chunk.len() && !self.advance()?) {
            return Ok(0);
        }
        let read = buffer.len().min(self.chunk.len() - self.at);
        buffer[..read].copy_from_slice(&self.chunk[self.at..][..read]);
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn live(delay: u64) -> (io::PipeWriter, LiveReader, StopHandle) {
        let (input, output) = io::pipe().unwrap();
        let stop = StopHandle::default();
        (output, LiveReader::new(Box::new(input), Duration::from_millis(delay), stop.clone()).unwrap(), stop)
    }

    #[test]
    fn a_pause_is_reported_once_after_the_delay() {
        let (mut to, mut from, _) = live(5);
        let mut buffer = [0; 8];
        to.write_all(b"abc").unwrap();
        assert_eq!(from.read(&mut buffer).unwrap(), 3);
        assert_eq!(from.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let later = thread::spawn(move || {
            thread::sleep(Duration::from_millis(60));
            to.write_all(b"de").unwrap();
        });
        assert_eq!(from.read(&mut buffer).unwrap(), 2, "it waits, however long it takes");
        later.join().unwrap();
        from.pauses().off();
        assert_eq!(from.read(&mut buffer).unwrap(), 0, "the end is no pause");
    }

    #[test]
    fn a_stream_that_flows_slowly_does_not_pause() {
        let (mut to, mut from, _) = live(300);
        let writer = thread::spawn(move || {
            for byte in 0..25 {
                to.write_all(&[byte]).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 25);
        writer.join().unwrap();
    }

    #[test]
    fn stopping_lets_what_has_come_through_first() {
        let (mut to, mut from, stop) = live(1000);
        to.write_all(b"abc").unwrap();
        let mut buffer = [0; 2];
        assert_eq!(from.read(&mut buffer).unwrap(), 2);
        stop.stop();
        assert_eq!(from.read(&mut buffer).unwrap(), 1);
        assert!(is_stopped(&from.read(&mut buffer).unwrap_err()));
    }
}
