//! The CPU's part: the engine's threads and the SIMD level of their kernels.

use crate::base::error::{Error, Result};
use crate::base::pixels::PixelSlice;
use crate::cpu::{self, Level};
#[cfg(feature = "gpu")]
use crate::features::queue::Queue;
use crate::features::{FeatureLayout, FeaturesMut};

/// Bytes of pixels that the CPU takes from a shared queue at a time, for each of its threads: few enough that all threads
/// finish together.
#[cfg(feature = "gpu")]
const PIECE_BYTES: usize = 512 << 10;

/// The threads that compute, and their kernels.
#[derive(Debug)]
pub(super) struct Cpu {
    level: Level,
    /// Threads of the engine's own; without them rayon's global pool computes.
    pool: Option<rayon::ThreadPool>,
}

impl Cpu {
    pub fn new(threads: usize, level: Option<Level>) -> Result<Self> {
        let level = level.unwrap_or_else(Level::detect);
        if !level.is_available() {
            return Err(Error::InvalidOption { option: "level", why: format!("this machine has no {level}") });
        }
        let pool = match threads {
            0 => None,
            threads => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|i| format!("pixelfeat-{i}"))
                    .build()
                    .map_err(|e| Error::InvalidOption { option: "threads", why: e.to_string() })?,
            ),
        };
        Ok(Self { level, pool })
    }

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads())
    }

    /// Runs work of several threads on the engine's.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    pub fn featurize(&self, layout: &FeatureLayout, pixels: PixelSlice<'_>, out: FeaturesMut<'_>) {
        match &self.pool {
            // Handing work to another thread costs more than a little work itself.
            Some(pool) if pixels.size() >= cpu::PARALLEL_BYTES => {
                pool.install(|| cpu::featurize(self.level, layout, pixels, out));
            }
            _ => cpu::featurize(self.level, layout, pixels, out),
        }
    }

    /// Computes what is in the queue, piece by piece.
    #[cfg(feature = "gpu")]
    pub fn drain(&self, queue: &Queue<'_>, layout: &FeatureLayout) {
        let image_bytes = (queue.bytes() / queue.images().max(1)).max(1);
        let max = self.threads() * PIECE_BYTES / image_bytes;
        while let Some(piece) = queue.take(max) {
            self.featurize(layout, piece.pixels, piece.out);
        }
    }
}
