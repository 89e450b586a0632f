//! Work shared out to threads and handed back in the order it came in, with a bound on what is in flight.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::base::clock::{Activity, during};
use crate::base::error::{Error, Result, panic_text};
use crate::base::guard::guarded;

/// The results of [`map`], in the order of its jobs. After the first error there is nothing more.
///
/// Dropping it lets the threads end: each finishes the job it has in hand, or the read it waits in, and stops. They are
/// not waited for, since a source may be a pipe on which nothing ever comes.
pub(crate) struct Ordered<R> {
    slots: Option<Receiver<Turn<R>>>,
    stop: Arc<AtomicBool>,
}

/// A job and where its result is awaited.
type Task<J, R> = (J, SyncSender<Result<R>>);

enum Turn<R> {
    Promised(Receiver<Result<R>>),
    Failed(Error),
}

/// Runs `source` on a thread of its own and what it yields through `threads` workers, at most `in_flight` jobs ahead of
/// the consumer. `worker` is called once on each worker's thread, so that a worker can keep state.
///
/// Plain threads rather than a rayon pool: the caller may itself be a task of such a pool, and a pool whose every
/// thread waits for a reader would never get to run the reader's work.
///
/// # Errors
/// If a thread cannot be started.
pub(crate) fn map<J, R, S, W, F>(threads: usize, in_flight: usize, source: S, worker: W) -> io::Result<Ordered<R>>
where
    J: Send + 'static,
    R: Send + 'static,
    S: FnMut() -> Option<Result<J>> + Send + 'static,
    W: Fn() -> F + Clone + Send + 'static,
    F: FnMut(J) -> Result<R>,
{
    let stop = Arc::new(AtomicBool::new(false));
    let (slot_sender, slots) = sync_channel(in_flight.max(1));
    let (job_sender, jobs) = sync_channel::<Task<J, R>>(in_flight.max(1));
    let jobs = Arc::new(Mutex::new(jobs));
    let ordered = Ordered { slots: Some(slots), stop: stop.clone() };
    for _ in 0..threads.max(1) {
        let (jobs, worker, stop) = (jobs.clone(), worker.clone(), stop.clone());
        thread::Builder::new().name("pixelfeat-parse".into()).spawn(move || work(&jobs, &worker, &stop))?;
    }
    thread::Builder::new()
        .name("pixelfeat-read".into())
        .spawn(move || supply(source, &slot_sender, &job_sender, &stop))?;
    Ok(ordered)
}

fn supply<J, R>(
    mut source: impl FnMut() -> Option<Result<J>>,
    slots: &SyncSender<Turn<R>>,
    jobs: &SyncSender<Task<J, R>>,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        let next =
            guarded(&mut source).unwrap_or_else(|panic| Some(Err(Error::Internal(panic_text(&*panic).to_owned()))));
        let sent = match next {
            None => return,
            Some(Err(error)) => {
                // The consumer may be gone; then nobody wants the error.
                let _ = slots.send(Turn::Failed(error));
                return;
            }
            Some(Ok(job)) => {
                let (done, promised) = sync_channel(1);
                // The slot goes first: its queue is what bounds the jobs in flight.
                slots.send(Turn::Promised(promised)).is_ok() && jobs.send((job, done)).is_ok()
            }
        };
        if !sent {
            return;
        }
    }
}

fn work<J, R, F: FnMut(J) -> Result<R>>(
    jobs: &Mutex<Receiver<Task<J, R>>>,
    worker: &impl Fn() -> F,
    stop: &AtomicBool,
) {
    let mut run = worker();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, done)) = next else { return };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let result = guarded(|| run(job)).unwrap_or_else(|panic| {
            // What the panic left behind is not to be relied on.
            run = worker();
            Err(Error::Internal(panic_text(&*panic).to_owned()))
        });
        // The consumer may be gone; then nobody wants the result.
        let _ = done.send(result);
    }
}

impl<R> Iterator for Ordered<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        let slots = self.slots.as_ref()?;
        let result = match during(Activity::Read, || slots.recv()) {
            Ok(Turn::Promised(promised)) => during(Activity::Decode, || promised.recv())
                .unwrap_or_else(|_| Err(Error::Internal("a worker ended early".to_owned()))),
            Ok(Turn::Failed(error)) => Err(error),
            Err(_) => {
                self.slots = None;
                return None;
            }
        };
        if result.is_err() {
            self.slots = None;
            self.stop.store(true, Ordering::Relaxed);
        }
        Some(result)
    }
}

impl<R> Drop for Ordered<R> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    fn squares(threads: usize, until: usize) -> Ordered<usize> {
        let mut next = 0..until;
        map(threads, threads + 2, move || next.next().map(Ok), || |n: usize| Ok(n * n)).unwrap()
    }

    #[test]
    fn results_keep_the_order_of_jobs() {
        for threads in [1, 2, 7] {
            let found: Vec<usize> = squares(threads, 500).map(Result::unwrap).collect();
            assert_eq!(found, (0..500).map(|n| n * n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_is_an_error_and_the_last_thing() {
        let mut next = 0..100;
        let work = |n: usize| if n == 7 { panic!("seven") } else { Ok(n) };
        let mut ordered = map(2, 4, move || next.next().map(Ok), move || work).unwrap();
        assert_eq!(ordered.by_ref().take(7).map(Result::unwrap).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
        assert!(matches!(ordered.next(), Some(Err(Error::Internal(text))) if text == "seven"));
        assert!(ordered.next().is_none());

        let mut source = map(2, 4, || panic!("no source"), || |n: usize| Ok(n)).unwrap();
        assert!(matches!(source.next(), Some(Err(Error::Internal(text))) if text == "no source"));
        assert!(source.next().is_none());
    }

    #[test]
    fn the_source_stays_within_its_lead_and_stops_when_nobody_listens() {
        struct Alive(Arc<AtomicBool>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.store(false, Ordering::SeqCst);
            }
        }
        let (alive, pulled) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (guard, counter) = (Alive(alive.clone()), pulled.clone());
        let endless = move || {
            let _kept = &guard;
            Some(Ok(counter.fetch_add(1, Ordering::SeqCst)))
        };
        let mut ordered = map(2, 4, endless, || |n: usize| Ok(n)).unwrap();
        assert_eq!(ordered.next().unwrap().unwrap(), 0);
        thread::sleep(Duration::from_millis(50));
        assert!(pulled.load(Ordering::SeqCst) <= 8, "{}", pulled.load(Ordering::SeqCst));
        drop(ordered);
        let start = Instant::now();
        while alive.load(Ordering::SeqCst) {
            assert!(start.elapsed() < Duration::from_secs(10), "the source is still running");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
