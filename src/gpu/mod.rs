//! The GPU backend: sums by compute shaders through wgpu, features finished on the host.
//!
//! Pixels travel packed, as they are; sums come back, exact for integers, and every division and root is done on the
//! host, so that no GPU's rounding shows in a feature.

mod chain;
mod command;
mod context;
mod fault;
mod kernels;
mod layout;
mod lru;
mod plan;
mod rates;
mod resident;
mod ring;
mod shader;
#[cfg(test)]
mod shader_tests;
mod slot;
mod step_batches;
mod step_kernels;
#[cfg(test)]
mod step_tests;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;

/// The graphics API that devices and buffers are those of.
pub use wgpu;

pub use self::context::AdapterInfo;
use self::context::{Context, adapters, describe};
pub(crate) use self::fault::Fault;
pub use self::fault::GpuError;
use self::fault::unpanicked;
use self::plan::BlockPlan;
pub use self::rates::DeviceRates;
pub use self::resident::{DeviceFeatures, Images};
use self::ring::Ring;
pub use self::slot::TransferMode;
use self::stream::Stream;
use crate::base::pixels::PixelSlice;
use crate::features::queue::Queue;
use crate::features::{FeatureLayout, FeaturesMut};

/// An adapter, and the device on it or why there is none.
pub type Candidate = (AdapterInfo, Result<Gpu, GpuError>);

/// One GPU, opened. It can be shared by any number of threads; the slots of its ring go round among them.
///
/// The first failure of the device is final: its memory is given back, and every later call returns the same error at
/// once.
#[derive(Debug)]
pub struct Gpu {
    adapter: AdapterInfo,
    /// Timed when it is first needed.
    transfer_mode: OnceLock<TransferMode>,
    chunk_bytes: Option<usize>,
    /// `None` only while it is dropped.
    ring: Option<Ring>,
}

impl Gpu {
    /// Opens the best adapter: discrete, integrated, virtual, other, and a software one last and only if
    /// `allow_software`. The environment narrows the choice: `WGPU_BACKEND` by API, `WGPU_ADAPTER_NAME` by a part of the
    /// name.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`] if there is none, [`GpuError::Limits`] if it is too small, another if it gives no device.
    pub fn open(allow_software: bool) -> Result<Self, GpuError> {
        unpanicked(|| Self::on(Context::open(allow_software)?, cfg!(debug_assertions)))
    }

    /// Every adapter that the environment leaves, software ones too, best first: what it is, and opened, or why it cannot
    /// be.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`] if the crate was built for no API of this platform, or the environment names an adapter
    /// that is not there.
    pub fn all() -> Result<Vec<Candidate>, GpuError> {
        unpanicked(|| {
            let open = |adapter: &wgpu::Adapter| Self::on(Context::on(adapter)?, cfg!(debug_assertions));
            let described = |adapter| (describe(&wgpu::Adapter::get_info(adapter)), unpanicked(|| open(adapter)));
            Ok(adapters(true)?.iter().map(described).collect())
        })
    }

    /// As [`Gpu::open`], but the process has one such device at a time, whoever asks: pipelines are compiled once. It is
    /// closed when nobody holds it any more, and once it has failed the next to ask opens another.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn shared(allow_software: bool) -> Result<Arc<Self>, GpuError> {
        static SHARED: Mutex<Weak<Gpu>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let open = shared.upgrade().filter(|gpu| gpu.error().is_none());
        // What serves those who take software may be no use to those who do not.
        if let Some(gpu) = open.filter(|gpu| allow_software || !gpu.adapter.software) {
            return Ok(gpu);
        }
        let gpu = Arc::new(Self::open(allow_software)?);
        *shared = Arc::downgrade(&gpu);
        Ok(gpu)
    }

    /// Joins an application's own device. Its handlers of errors and of loss stay the application's; callbacks that it
    /// waits for may be called on this crate's threads.
    ///
    /// # Errors
    /// [`GpuError::Limits`] if the device was asked for with limits that are too low.
    pub fn with_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self, GpuError> {
        unpanicked(|| Self::on(Context::with(device, queue)?, cfg!(debug_assertions)))
    }

    fn on(context: Context, checked: bool) -> Result<Self, GpuError> {
        let adapter = describe(&context.info);
        Ok(Self {
            adapter,
            transfer_mode: OnceLock::new(),
            chunk_bytes: None,
            ring: Some(Ring::new(context, checked)?),
        })
    }

    /// What is known of the adapter.
    pub fn adapter(&self) -> &AdapterInfo {
        &self.adapter
    }

    /// The device and its queue, for an application's own work with what stays there.
    ///
    /// # Errors
    /// The device's failure, if it has failed.
    pub fn device(&self) -> Result<(&wgpu::Device, &wgpu::Queue), GpuError> {
        self.ring().map(|ring| (&ring.context.device, &ring.context.queue))
    }

    /// Computes the rows of `pixels`, image after image, on the calling thread and a few more.
    ///
    /// For `u8` and `u16` pixels the values are the same to the last bit as on any backend. For `f32` sums are made in
    /// f32: with k = min(n, 512) and γ = k·2⁻²⁴ ÷ (1 − k·2⁻²⁴), the sum of a column of n values is within γ·Σ|p| of the
    /// true one, and that of a row within γ·Σ|p − m| for an m near the row's mean. Values and sums below 2⁻¹²⁶ may count
    /// as zero, and squared deviations below it do.
    ///
    /// # Errors
    /// [`GpuError::Lengths`] if `pixels` and `out` are not of the same number of images of the layout.
    /// [`GpuError::Unsupported`] if the values of one block of such images do not fit a workgroup's memory, or a feature of
    /// the set has no form on a device for these pixels: the floats of `zones`, `texture` and `moments`.
    /// [`GpuError::Range`] if a float pixel, or a sum of them or of their squared deviations, is not a finite f32. Any
    /// other error is the device's last. The contents of `out` are then unspecified.
    pub fn featurize<'a>(
        &self,
        layout: &FeatureLayout,
        pixels: impl Into<PixelSlice<'a>>,
        out: FeaturesMut<'_>,
    ) -> Result<(), GpuError> {
        let pixels = pixels.into();
        let (shape, images) = (layout.shape(), out.images());
        if pixels.len() != images * shape.values() || out.stride() != layout.stride() {
            return Err(GpuError::Lengths { pixels: pixels.len(), images });
        }
        let threads = thread::available_parallelism().map_or(1, usize::from);
        self.drain(&Queue::new(shape, pixels, out), layout, threads).1
    }

    /// Computes what is in the queue until it is empty, with up to `threads` threads, and returns how many images that
    /// were. After an error what was not done is in the queue again.
    pub(crate) fn drain(
        &self,
        queue: &Queue<'_>,
        layout: &FeatureLayout,
        threads: usize,
    ) -> (usize, Result<(), GpuError>) {
        let Some(pixel_type) = queue.pixel_type() else { return (0, Ok(())) };
        let ready = self.ring().and_then(|ring| {
            let plan = BlockPlan::new(layout.set(), layout.shape(), pixel_type).ok_or(GpuError::Unsupported)?;
            let kernel = ring.kernels.of(&ring.context, &plan, queue.bytes()).map_err(|error| self.failed(error))?;
            Ok((ring, plan, self.transfer_mode()?, kernel))
        });
        let (ring, plan, transfer_mode, kernel) = match ready {
            Ok(ready) => ready,
            Err(error) => return (0, Err(error)),
        };
        let chunk_bytes = self.chunk_bytes;
        let stream = Stream { ring, layout, plan: &plan, kernel: &kernel, transfer_mode, chunk_bytes };
        let (images, done) = stream.drain(queue, threads);
        (images, done.map_err(|error| self.failed(error)))
    }

    /// The device's failure, if it has failed.
    pub fn error(&self) -> Option<GpuError> {
        self.ring().err()
    }

    fn ring(&self) -> Result<&Ring, GpuError> {
        let ring = self.ring.as_ref().ok_or_else(|| GpuError::Lost("closed".into()))?;
        ring.context.health.check()?;
        Ok(ring)
    }

    /// Makes an error the device's last one, unless it does the device no harm.
    fn failed(&self, error: GpuError) -> GpuError {
        let harmless = matches!(
            error,
            GpuError::Range
                | GpuError::Lengths { .. }
                | GpuError::NotThere { .. }
                | GpuError::TooLarge { .. }
                | GpuError::Buffer(_)
                | GpuError::Floats
                | GpuError::NoDeviceForm { .. }
                | GpuError::OtherImages(_)
                | GpuError::Unsupported
        );
        let Some(ring) = self.ring.as_ref().filter(|_| !harmless) else { return error };
        let first = ring.context.health.fail(error);
        ring.clear();
        first
    }

    /// The largest size of a buffer of images.
    fn part_bytes(&self, context: &Context) -> usize {
        self.chunk_bytes.unwrap_or(usize::MAX).min(context.buffer_bytes())
    }

    /// Gives the device up, as if it were lost: for tests of what happens then.
    #[cfg(test)]
    pub(crate) fn destroy(&self) {
        if let Some(ring) = &self.ring {
            ring.context.device.destroy();
        }
    }

    /// Makes the device fail after `chunks` more: for tests of what happens then.
    pub(crate) fn provoke(&self, fault: Fault, chunks: usize) {
        if let Some(ring) = &self.ring {
            ring.context.faults.plan(fault, chunks);
        }
    }
}

#[cfg(test)]
impl Gpu {
    /// With chunks of at most so many bytes.
    pub(crate) fn with_chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = Some(bytes);
        self
    }

    pub(crate) fn with_transfer_mode(mut self, mode: TransferMode) -> Self {
        self.transfer_mode = OnceLock::from(mode);
        self
    }

    /// With pipelines of its own for every shape that has so many bytes of pixels.
    pub(crate) fn with_specialize_bytes(mut self, bytes: usize) -> Self {
        if let Some(ring) = &mut self.ring {
            ring.kernels.specialize_from(bytes);
        }
        self
    }

    /// How many pipelines were compiled.
    pub(crate) fn pipelines(&self) -> usize {
        self.ring.as_ref().map_or(0, |ring| ring.kernels.pipelines())
    }

    /// With the bounds checks that a release build's kernels do without, or without them.
    pub(crate) fn open_checked(checked: bool) -> Result<Self, GpuError> {
        unpanicked(|| Self::on(Context::open(true)?, checked))
    }

    /// Slots that wait for chunks.
    pub(crate) fn idle_slots(&self) -> usize {
        self.ring.as_ref().map_or(0, Ring::idle_slots)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        let Some(ring) = self.ring.take() else { return };
        if let Err(GpuError::Hung(_)) = ring.context.health.check() {
            // Closing it would wait for what is under way, perhaps for ever. On another thread it could still be at it when
            // the process ends, which crashes drivers. What the device holds goes with the process.
            std::mem::forget(ring);
            return;
        }
        // wgpu may panic as it drops what belongs to a failed device, which is given up either way.
        let _ = unpanicked(|| {
            drop(ring);
            Ok(())
        });
    }
}
