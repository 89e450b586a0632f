//! Which backend computes, and why; what happens when it cannot.

#[cfg(feature = "gpu")]
mod auto;
mod backend;
mod cpu_side;
#[cfg_attr(feature = "gpu", path = "gpu_side.rs")]
#[cfg_attr(not(feature = "gpu"), path = "no_gpu.rs")]
mod gpu_side;
#[cfg(feature = "gpu")]
mod split;
#[cfg(test)]
mod tests;

use std::sync::Arc;

#[cfg(feature = "gpu")]
pub use self::auto::{Forecast, Rates};
pub use self::backend::{Backend, EngineInfo, EngineOptions, Shares};
use self::cpu_side::Cpu;
use self::gpu_side::GpuSide;
use crate::base::error::{Error, Result};
use crate::features::{FeatureLayout, FeaturesMut};
use crate::images::ImageBatch;

/// Computes features. It is cheap to clone, and all clones share its threads and its GPU. One engine a process is enough.
///
/// Nothing of a GPU is touched before there is work for it.
///
/// ```
/// use pixelfeat::{Backend, Engine, EngineOptions};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let engine = Engine::new(EngineOptions::backend(Backend::Cpu).with_threads(1))?;
/// assert_eq!(engine.info().backend, Backend::Cpu);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cpu: Cpu,
    gpu: GpuSide,
}

impl Engine {
    /// Sets up an engine.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the SIMD level is not available or the threads cannot be started. A missing GPU is no
    /// error: the CPU does the work, and [`Engine::info`] says so.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let gpu = GpuSide::new(options.backend);
        Self::with(options, gpu)
    }

    fn with(options: EngineOptions, gpu: GpuSide) -> Result<Self> {
        let cpu = Cpu::new(options.threads, options.level)?;
        Ok(Self { inner: Arc::new(Inner { cpu, gpu }) })
    }

    /// What computes at the moment, and why. `Auto`, and the others before their first work, may still change.
    pub fn info(&self) -> EngineInfo {
        let (backend, adapter, reason) = self.inner.gpu.info();
        EngineInfo { backend, adapter, reason, level: self.inner.cpu.level(), threads: self.inner.cpu.threads() }
    }

    /// Computes the values of all images of a batch into `out`, which has a row for each of [`ImageBatch::images`]. Rows
    /// of defective images are filled as well, with values that mean nothing. Returns how many images CPU and GPU computed.
    ///
    /// Callable from many threads at once.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `out` has not exactly the rows needed or `layout` is for another shape.
    pub fn featurize(&self, images: &ImageBatch, layout: &FeatureLayout, mut out: FeaturesMut<'_>) -> Result<Shares> {
        let fits = out.images() == images.images() && out.stride() == layout.stride();
        if layout.shape() != images.shape() || !fits {
            return Err(Error::InvalidOption {
                option: "out",
                why: format!("it must hold {} images of {}", images.images(), images.shape()),
            });
        }
        let pixels = images.pixels().as_slice();
        if let Some(shares) = self.inner.gpu.featurize(&self.inner.cpu, layout, pixels, out.reborrow()) {
            return Ok(shares);
        }
        self.inner.cpu.featurize(layout, pixels, out);
        Ok(Shares { cpu: images.images(), gpu: 0 })
    }

    /// Runs work of several threads on the engine's.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.inner.cpu.install(work)
    }
}
