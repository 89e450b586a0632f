//! Written bytes on their way to the disk while more are being made.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Has what was written synced on a thread of its own, so that the sync at the end finds little to do.
#[derive(Debug, Default)]
pub(super) struct WriteBack {
    /// Bytes written since the last sync was asked for.
    bytes: usize,
    /// Whom to ask, and whom to wait for. Without one, the sync at the end does it all.
    syncing: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
    tried: bool,
}

impl WriteBack {
    /// Bytes that are worth a sync; more often, and writing waits for the disk.
    const WORTH: usize = 16 << 20;

    /// Takes note of bytes written to `file`.
    pub(super) fn note(&mut self, file: &File, written: usize) {
        self.bytes += written;
        if self.bytes < Self::WORTH {
            return;
        }
        self.bytes = 0;
        if !std::mem::replace(&mut self.tried, true) {
            self.syncing = Self::start(file).ok();
        }
        if let Some((ask, _)) = &self.syncing {
            // If one still waits to be done it will include this.
            let _ = ask.try_send(());
        }
    }

    fn start(file: &File) -> io::Result<(SyncSender<()>, JoinHandle<io::Result<()>>)> {
        let file = file.try_clone()?;
        let (ask, asked) = sync_channel(1);
        let syncing = thread::Builder::new().name("pixelfeat-sync".to_owned());
        Ok((ask, syncing.spawn(move || asked.iter().try_for_each(|()| file.sync_data()))?))
    }

    /// Waits for the syncs that were asked for. A failed write is told of only once, so perhaps here.
    pub(super) fn finish(self) -> io::Result<()> {
        let Some((ask, syncing)) = self.syncing else { return Ok(()) };
        drop(ask);
        // A panic has synced nothing, which the sync at the end makes up for.
        syncing.join().unwrap_or(Ok(()))
    }
}
