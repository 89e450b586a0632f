//! Takes events to their places on threads, so that a run does not wait for them.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::transport::Transport;
use crate::base::error::{Error, Result};
use crate::base::warnings::Warnings;

/// Sends events, in their order, to some places, each from a thread of its own. A place that does not take one is a warning
/// and never an error.
#[derive(Debug)]
pub struct Sender {
    lines: Vec<Line>,
    warnings: Warnings,
}

/// The way to one place.
#[derive(Debug)]
struct Line {
    name: String,
    patience: Duration,
    events: mpsc::Sender<Arc<Value>>,
    /// Says nothing, but is closed when all events have gone.
    done: Receiver<()>,
}

impl Sender {
    /// Starts a thread for each place.
    ///
    /// # Errors
    /// [`Error::Internal`] if there can be no thread.
    pub fn new(places: Vec<Transport>, warnings: Warnings) -> Result<Self> {
        let line = |place: Transport| {
            let (events, queue) = mpsc::channel::<Arc<Value>>();
            let (closed_at_end, done) = mpsc::channel();
            let (name, patience) = (place.name(), place.patience());
            let warnings = warnings.clone();
            let work = move || {
                let _closed_at_end = closed_at_end;
                for event in queue {
                    if let Err(why) = place.deliver(&event) {
                        warnings.add(format!(
                            "the lineage event {} did not reach {}: {why}",
                            kind(&event),
                            place.name()
                        ));
                    }
                }
            };
            let started = thread::Builder::new().name("pixelfeat-lineage".to_owned()).spawn(work);
            started.map_err(|e| Error::Internal(format!("pixelfeat-lineage: {e}")))?;
            Ok(Line { name, patience, events, done })
        };
        Ok(Self { lines: places.into_iter().map(line).collect::<Result<_>>()?, warnings })
    }

    /// Hands an event to the threads.
    pub fn send(&self, event: Value) {
        let event = Arc::new(event);
        // A thread that is gone has left its panic behind.
        self.lines.iter().for_each(|line| drop(line.events.send(event.clone())));
    }

    /// Waits until all events have gone, at most as long as each place's timeout from now on.
    pub fn finish(self) {
        let start = Instant::now();
        let waiting: Vec<_> =
            self.lines.into_iter().map(|Line { name, patience, done, .. }| (name, patience, done)).collect();
        for (name, patience, done) in waiting {
            if let Err(mpsc::RecvTimeoutError::Timeout) = done.recv_timeout(patience.saturating_sub(start.elapsed())) {
                let waited = patience.as_secs_f64();
                self.warnings.add(format!("{name} did not take all lineage events within {waited} s of the run's end"));
            }
        }
    }
}

fn kind(event: &Value) -> &str {
    event["eventType"].as_str().unwrap_or_default()
}
