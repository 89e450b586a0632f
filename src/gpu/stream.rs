//! Images from a queue through the ring, and their features from the records that come back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::fault::GpuError;
use super::kernels::Kernel;
use super::plan::{BlockPlan, Chunk, Cut, bands, with_halo};
use super::ring::{Flight, Lent, MAX_SLOTS, Ring};
use super::slot::PixelOrigin;
use super::slot::TransferMode;
use crate::base::pixels::PixelSlice;
use crate::features::family::{Band, BandSums};
use crate::features::queue::{Piece, Queue};
use crate::features::rows::RowsMut;
use crate::features::{FeatureLayout, FeaturesMut};

/// Threads that feed the device at most, two slots each. One alone copies slower than a wide bus takes.
const MAX_FEEDERS: usize = MAX_SLOTS / 2;
/// What is worth a thread of its own.
const FEEDER_BYTES: usize = 4 << 20;
/// Bytes of pixels in flight at most: cards that show the CPU little of their memory show 200 MB or more.
const RING_BYTES: usize = 128 << 20;
/// Bytes of a chunk: at most, which is enough to hide the cost of a submission; and at least, if there are so many.
const MAX_CHUNK_BYTES: usize = 32 << 20;
const MIN_CHUNK_BYTES: usize = 1 << 20;

/// Images of one chunk and the places of their features.
#[derive(Debug)]
pub(super) struct ChunkJob<'p> {
    pub(super) pixels: JobPixels<'p>,
    pub(super) out: FeaturesMut<'p>,
}

/// Where the pixels of a job are.
#[derive(Debug, Clone, Copy)]
pub(super) enum JobPixels<'p> {
    Host(PixelSlice<'p>),
    Device { pixels: &'p wgpu::Buffer, first: usize },
}

impl<'p> JobPixels<'p> {
    fn origin(self) -> PixelOrigin<'p> {
        match self {
            JobPixels::Host(pixels) => PixelOrigin::Host(pixels.as_bytes()),
            JobPixels::Device { pixels, first } => PixelOrigin::Device { pixels, first },
        }
    }
}

/// A stream of images of one shape through a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream<'a> {
    pub(super) ring: &'a Ring,
    pub(super) layout: &'a FeatureLayout,
    pub(super) plan: &'a BlockPlan,
    pub(super) kernel: &'a Kernel,
    pub(super) transfer_mode: TransferMode,
    /// Bytes of a chunk, if not as many as suit.
    pub(super) chunk_bytes: Option<usize>,
}

impl Stream<'_> {
    /// Computes what is in `queue` until it is empty, on the calling thread and up to `threads` − 1 more, and returns how
    /// many images that were. After an error, pieces that were not done are in the queue again.
    ///
    /// No rayon in here: one of its threads that waits for another would take up other work, which could want a slot that
    /// the thread itself holds.
    pub(super) fn drain(&self, queue: &Queue<'_>, threads: usize) -> (usize, Result<(), GpuError>) {
        let bytes = queue.bytes();
        let feeders = (bytes / FEEDER_BYTES).clamp(1, threads.clamp(1, MAX_FEEDERS));
        let chunk_bytes = self.chunk_bytes.unwrap_or_else(|| {
            (bytes / (2 * feeders)).clamp(MIN_CHUNK_BYTES, MAX_CHUNK_BYTES).min(RING_BYTES / (2 * feeders))
        });
        let chunk_bytes = chunk_bytes.min(self.ring.context.buffer_bytes());
        let stop = AtomicBool::new(false);
        on_threads(feeders, || {
            let mut images = 0;
            let done = self.feed(queue, chunk_bytes, &stop, &mut images);
            if done.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            (images, done)
        })
    }

    /// Does all jobs, on the calling thread and some more.
    pub(super) fn drain_jobs(&self, jobs: Vec<ChunkJob<'_>>) -> Result<(), GpuError> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let feeders = jobs.len().clamp(1, threads.min(MAX_FEEDERS));
        let jobs = Mutex::new(jobs.into_iter());
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
        on_threads(feeders, || {
            let mut images = 0;
            let done = self.feed_images(next, &mut images, drop);
            (images, done)
        })
        .1
    }

    fn feed<'p>(
        &self,
        queue: &Queue<'p>,
        chunk_bytes: usize,
        stop: &AtomicBool,
        images: &mut usize,
    ) -> Result<(), GpuError> {
        let stopped = || stop.load(Ordering::Relaxed);
        match self.plan.cut(queue.shape().height(), chunk_bytes) {
            Cut::Images(max) => {
                // Towards the end smaller pieces, so that whoever shares the queue is done at the same time.
                let share = || max.min(queue.images().div_ceil(4)).max(max.div_ceil(8));
                let next = || {
                    let Piece { pixels, out } = if stopped() { None } else { queue.take(share()) }?;
                    Some(ChunkJob { pixels: JobPixels::Host(pixels), out })
                };
                let put_back = |ChunkJob { pixels, out }: ChunkJob<'p>| {
                    if let JobPixels::Host(pixels) = pixels {
                        queue.put_back(Piece { pixels, out });
                    }
                };
                self.feed_images(next, images, put_back)
            }
            Cut::Rows(rows) => {
                while let (false, Some(mut piece)) = (stopped(), queue.take(1)) {
                    if let Err(error) = self.feed_rows(piece.pixels, rows, piece.out.reborrow()) {
                        queue.put_back(piece);
                        return Err(error);
                    }
                    *images += 1;
                }
                Ok(())
            }
        }
    }

    /// Chunks of whole images.
    fn feed_images<'p>(
        &self,
        mut next: impl FnMut() -> Option<ChunkJob<'p>>,
        images: &mut usize,
        put_back: impl FnMut(ChunkJob<'p>),
    ) -> Result<(), GpuError> {
        let height = self.layout.shape().height();
        let mut finish = self.finish_images();
        let next = || {
            let job = next()?;
            Some((self.chunk(job.out.images(), height), job.pixels.origin(), job))
        };
        let land = |job: &mut ChunkJob<'p>, words: &[u32]| {
            finish(&mut job.out, words)?;
            *images += job.out.images();
            Ok(())
        };
        self.pump(next, land, put_back)
    }

    fn chunk(&self, images: usize, height: usize) -> Chunk {
        self.plan.chunk(images, height, self.layout.scale())
    }

    /// What makes the rows of images from their records: family after family, each from its part of them.
    fn finish_images(&self) -> impl FnMut(&mut FeaturesMut<'_>, &[u32]) -> Result<(), GpuError> {
        let of = self.layout.images();
        let parts = self.plan.result_parts(of.shape.height());
        let record_words = self.plan.result_words(of.shape.height());
        move |out, words| {
            for ((feature, range), part) in self.layout.features().zip(&parts) {
                let mut records = words.chunks_exact(record_words).map(|record| &record[part.clone()]);
                let mut rows = RowsMut::new(out.reborrow(), range);
                if !feature.family().finish_records(of, &self.plan.geometry, &mut records, &mut rows) {
                    return Err(GpuError::Range);
                }
            }
            Ok(())
        }
    }

    /// One image in chunks of `rows` rows.
    fn feed_rows(&self, pixels: PixelSlice<'_>, rows: usize, out: FeaturesMut<'_>) -> Result<(), GpuError> {
        let shape = self.layout.shape();
        let bands = bands(shape.height(), rows).map(|band| {
            let around = with_halo(&band, shape.height());
            let pixels = pixels.range(around.start * shape.row_values()..around.end * shape.row_values());
            PixelOrigin::Host(pixels.as_bytes())
        });
        self.image_of_bands(bands, rows, out)
    }

    /// One image whose bands of `rows` rows (the last of fewer) are in `bands`, with the rows around each ([`with_halo`]).
    pub(super) fn image_of_bands<'p>(
        &self,
        bands: impl Iterator<Item = PixelOrigin<'p>>,
        rows: usize,
        mut out: FeaturesMut<'_>,
    ) -> Result<(), GpuError> {
        let of = self.layout.images();
        let height = of.shape.height();
        // Of each family the sums of each band, in order.
        let mut sums: Vec<Vec<BandSums>> = self.layout.features().map(|_| Vec::new()).collect();
        let mut bands = bands.enumerate();
        let next = || {
            let (band, origin) = bands.next()?;
            let band = Band { of, rows: band * rows..height.min((band + 1) * rows) };
            Some((self.plan.band_chunk(band.rows.clone(), height, of.scale), origin, band))
        };
        let land = |band: &mut Band, words: &[u32]| {
            let parts = self.plan.result_parts(band.rows.len());
            for ((sums, part), (feature, _)) in sums.iter_mut().zip(parts).zip(self.layout.features()) {
                let band = feature.family().record_sums(band, &self.plan.geometry, &words[part]);
                sums.push(band.ok_or(GpuError::Range)?);
            }
            Ok(())
        };
        self.pump(next, land, drop)?;
        for row in out.rows_mut() {
            for ((feature, range), sums) in self.layout.features().zip(std::mem::take(&mut sums)) {
                feature.family().finish_bands(of, sums, &mut row[range]);
            }
        }
        Ok(())
    }

    /// Sends chunk after chunk and hands the records of each to `land`, one behind: while one is on the device, the CPU
    /// finishes the one before it and fills the next. What had not landed when an error came goes to `put_back`.
    fn pump<'p, T>(
        &self,
        mut next: impl FnMut() -> Option<(Chunk, PixelOrigin<'p>, T)>,
        mut land: impl FnMut(&mut T, &[u32]) -> Result<(), GpuError>,
        mut put_back: impl FnMut(T),
    ) -> Result<(), GpuError> {
        let mut under_way: Option<(Flight<'_>, T)> = None;
        loop {
            let Some((chunk, origin, what)) = next() else {
                let Some((flight, what)) = under_way.take() else { return Ok(()) };
                return landed(flight, what, &mut land, &mut put_back).map(drop);
            };
            let lent = match (self.ring.try_lend(), under_way.take()) {
                (Some(lent), before) => {
                    under_way = before;
                    Ok(lent)
                }
                // Whoever has a chunk under way waits for that one, never for somebody else's slot.
                (None, Some((flight, what))) => landed(flight, what, &mut land, &mut put_back),
                (None, None) => self.ring.lend(),
            };
            let (before, error) = match lent
                .and_then(|lent| self.ring.send(lent, self.transfer_mode, self.plan, self.kernel, chunk, origin))
            {
                Ok(flight) => match under_way.replace((flight, what)) {
                    Some((flight, what)) => match landed(flight, what, &mut land, &mut put_back) {
                        Ok(_) => continue,
                        Err(error) => (None, error),
                    },
                    None => continue,
                },
                Err(error) => (Some(what), error),
            };
            before.into_iter().chain(under_way.map(|(_, what)| what)).for_each(put_back);
            return Err(error);
        }
    }
}

/// Runs `work` on the calling thread and on `threads` − 1 more, or as many as can be had, and adds up what they did.
fn on_threads(
    threads: usize,
    work: impl Fn() -> (usize, Result<(), GpuError>) + Sync,
) -> (usize, Result<(), GpuError>) {
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map_while(|_| thread::Builder::new().name("pixelfeat-gpu".into()).spawn_scoped(scope, &work).ok())
            .collect();
        let mut sum = work();
        for other in others {
            let (images, done) = other.join().unwrap_or((0, Err(GpuError::Lost("a feeder panicked".into()))));
            sum.0 += images;
            sum.1 = sum.1.and(done);
        }
        sum
    })
}

/// Waits for one chunk and hands over its records, or itself if none come.
fn landed<'r, T>(
    flight: Flight<'r>,
    mut what: T,
    land: &mut impl FnMut(&mut T, &[u32]) -> Result<(), GpuError>,
    put_back: &mut impl FnMut(T),
) -> Result<Lent<'r>, GpuError> {
    match flight.land(|words| land(&mut what, words)) {
        Ok(((), lent)) => Ok(lent),
        Err(error) => {
            put_back(what);
            Err(error)
        }
    }
}
