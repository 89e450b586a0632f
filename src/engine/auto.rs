//! What `Auto` decides, and from what.

use std::time::Instant;

use super::{Backend, Choice, Engine, EngineOptions};
use crate::error::Result;
use crate::features::{Finisher, Output};
use crate::gpu::{GpuError, GpuPixel};
use crate::shape::{ImageShape, PixelType};
use crate::synthetic::Random;

/// From how many bytes of pixels on `Auto` looks for a GPU: opening a driver and compiling kernels costs about as much as
/// the CPU needs for this many.
pub(super) const GPU_WORTH_BYTES: u64 = 512 << 20;
/// Bytes of pixels that a forecast is measured on, at most: many times what is in flight at once.
const FORECAST_BYTES: usize = 256 << 20;
/// By how much a GPU must beat the CPU alone: less is within the noise, and not worth waking it.
const MARGIN: f64 = 1.05;

/// What `Auto` would take for some work.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// `Cpu`, `Gpu` or `Hybrid`.
    pub backend: Backend,
    /// Why.
    pub reason: String,
    /// What was measured, if it was.
    pub rates: Option<Rates>,
}

/// Gigabytes of pixels a second, from the CPU's memory to features there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The CPU alone.
    pub cpu: f64,
    /// The GPU alone.
    pub gpu: f64,
    /// Both at once.
    pub both: f64,
}

impl Rates {
    /// Who is the fastest, and how that is known.
    fn decide(&self) -> (Backend, String) {
        let Self { cpu, gpu, both } = *self;
        let backend = match () {
            _ if cpu * MARGIN >= gpu.max(both) => Backend::Cpu,
            _ if gpu >= both => Backend::Gpu,
            _ => Backend::Hybrid,
        };
        (backend, format!("auto: measured {cpu:.1} GB/s on the CPU, {gpu:.1} on the GPU, {both:.1} on both"))
    }
}

impl Engine {
    /// Looks for a hardware adapter and times it against the CPU, and with it, on these pixels. The bytes must agree as
    /// well: a driver that computes something else is not used.
    pub(super) fn measure<P: GpuPixel>(&self, pixels: &[P], finisher: &Finisher) -> Choice {
        let for_good = |reason: String, failed: Option<String>| Choice::Cpu { reason, failed };
        let gpu = match self.open(false) {
            Ok(gpu) => gpu,
            Err(error) => return for_good(format!("auto: {error}"), None),
        };
        let adapter = gpu.adapter().to_string();
        let images = pixels.len() / finisher.shape().values();
        let mut on_cpu = Scratch::new(images, finisher);
        let mut on_gpu = Scratch::new(images, finisher);
        // The first run of each pays for compilation and fresh memory.
        let timed = |run: &mut dyn FnMut() -> Result<(), GpuError>| -> Result<f64, GpuError> {
            run()?;
            let start = Instant::now();
            run()?;
            Ok(size_of_val(pixels) as f64 / start.elapsed().as_secs_f64() / 1e9)
        };
        let mut rates = || -> Result<Rates, GpuError> {
            Ok(Rates {
                gpu: timed(&mut || self.run_gpu(&gpu, false, pixels, finisher, on_gpu.output()).1)?,
                cpu: timed(&mut || {
                    self.run_cpu(pixels, finisher, on_cpu.output());
                    Ok(())
                })?,
                both: timed(&mut || self.run_gpu(&gpu, true, pixels, finisher, Scratch::new(images, finisher).output()).1)?,
            })
        };
        match rates() {
            Ok(_) if on_cpu != on_gpu => {
                for_good("auto: the adapter's results are not the exact ones".to_owned(), Some(adapter))
            }
            Ok(rates) => match rates.decide() {
                (Backend::Cpu, reason) => for_good(format!("{reason} ({adapter})"), None),
                (backend, reason) => Choice::Gpu { gpu, both: backend == Backend::Hybrid, reason },
            },
            Err(error) => for_good(format!("auto: {error}"), Some(adapter)),
        }
    }
}

/// The features of a trial.
#[derive(PartialEq)]
struct Scratch {
    features: Vec<f32>,
    means: Vec<f32>,
    stds: Vec<f32>,
}

impl Scratch {
    fn new(images: usize, finisher: &Finisher) -> Self {
        Self {
            features: vec![0.0; images * finisher.shape().features()],
            means: vec![0.0; images],
            stds: vec![0.0; images],
        }
    }

    fn output(&mut self) -> Output<'_> {
        Output { features: &mut self.features, means: &mut self.means, stds: &mut self.stds }
    }
}
