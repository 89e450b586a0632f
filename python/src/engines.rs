//! The engines of the process: one for each backend and number of threads.

use std::process;
use std::sync::{Mutex, PoisonError};
use std::thread;

use pixelfeat::{Backend, Engine, EngineOptions, Result};

struct Known {
    process: u32,
    backend: Backend,
    threads: usize,
    engine: Engine,
}

static ENGINES: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// The engine for a backend and a number of threads, 0 being one a core. It is set up at its first use.
///
/// Each has threads of its own, and each process its own engines: a process that was forked has none of the threads of its
/// parent, so that an engine of the parent, or a pool that all share, would wait for ever.
pub fn engine(backend: Backend, threads: usize) -> Result<Engine> {
    let threads = if threads > 0 { threads } else { thread::available_parallelism().map_or(1, usize::from) };
    let mut engines = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let process = process::id();
    if engines.iter().any(|known| known.process != process) {
        // Without their threads they cannot be dropped either.
        std::mem::forget(std::mem::take(&mut *engines));
    }
    if let Some(known) = engines.iter().find(|known| known.backend == backend && known.threads == threads) {
        return Ok(known.engine.clone());
    }
    let engine = Engine::new(EngineOptions::backend(backend).with_threads(threads))?;
    engines.push(Known { process, backend, threads, engine: engine.clone() });
    Ok(engine)
}
