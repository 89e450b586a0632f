//! What `Auto` decides, and from what.

use std::sync::Arc;
use std::time::Instant;

use super::{Backend, Choice, Engine};
use crate::base::error::Result;
use crate::base::random::Random;
use crate::base::shape::ImageShape;
use crate::features::{Finisher, Output};
use crate::gpu::{Gpu, GpuError, GpuPixel};

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
        match self.open(false) {
            Ok(gpu) => self.measure_on(&gpu, pixels, finisher).0,
            Err(error) => for_good(format!("auto: {error}"), None),
        }
    }

    /// As `measure`, on a given device; also what was measured.
    fn measure_on<P: GpuPixel>(&self, gpu: &Arc<Gpu>, pixels: &[P], finisher: &Finisher) -> (Choice, Option<Rates>) {
        let for_good = |reason: String, failed: Option<String>| Choice::Cpu { reason, failed };
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
            let gpu_rate = timed(&mut || self.run_gpu(gpu, false, pixels, finisher, on_gpu.output()).1)?;
            let cpu = timed(&mut || {
                self.run_cpu(pixels, finisher, on_cpu.output());
                Ok(())
            })?;
            let mut on_both = Scratch::new(images, finisher);
            let both = timed(&mut || self.run_gpu(gpu, true, pixels, finisher, on_both.output()).1)?;
            Ok(Rates { cpu, gpu: gpu_rate, both })
        };
        match rates() {
            Ok(rates) if on_cpu != on_gpu => {
                let reason = "auto: the adapter's results are not the exact ones".to_owned();
                (for_good(reason, Some(adapter)), Some(rates))
            }
            Ok(rates) => {
                let choice = match rates.decide() {
                    (Backend::Cpu, reason) => for_good(format!("{reason} ({adapter})"), None),
                    (backend, reason) => Choice::Gpu { gpu: gpu.clone(), both: backend == Backend::Hybrid, reason },
                };
                (choice, Some(rates))
            }
            Err(error) => (for_good(format!("auto: {error}"), Some(adapter)), None),
        }
    }

    /// What `Auto` would take for `images` 8-bit images of `shape`, handed over in one batch, and why: measured on as
    /// many random ones of them as 256 MB hold, on this engine's CPU threads and on `gpu`, whatever backend the engine
    /// has. It takes as long as it takes to compute them six times.
    ///
    /// # Errors
    /// As [`Finisher::new`], which does not happen.
    pub fn forecast(&self, gpu: &Arc<Gpu>, shape: ImageShape, images: usize) -> Result<Forecast> {
        let bytes = images as u64 * shape.values() as u64;
        let finisher = Finisher::new(shape, 255.0)?;
        if bytes < GPU_WORTH_BYTES {
            let reason = format!("auto: {} MB; a GPU is looked for from {} on", bytes >> 20, GPU_WORTH_BYTES >> 20);
            return Ok(Forecast { backend: Backend::Cpu, reason, rates: None });
        }
        let mut random = Random::new(1, 0);
        let sample = images.min((FORECAST_BYTES / shape.values()).max(1));
        let pixels: Vec<u8> = (0..sample * shape.values()).map(|_| random.bits() as u8).collect();
        let (choice, rates) = self.measure_on(gpu, &pixels, &finisher);
        let (backend, reason) = match choice {
            Choice::Gpu { both, reason, .. } => (if both { Backend::Hybrid } else { Backend::Gpu }, reason),
            Choice::Cpu { reason, .. } | Choice::Open(reason) => (Backend::Cpu, reason),
        };
        if gpu.adapter().software {
            let reason = format!("auto: never a software adapter; {}", reason.trim_start_matches("auto: "));
            return Ok(Forecast { backend: Backend::Cpu, reason, rates });
        }
        Ok(Forecast { backend, reason, rates })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_is_taken_and_a_tie_is_the_cpus() {
        for (cpu, gpu, both, wanted) in [
            (10.0, 5.0, 12.0, Backend::Hybrid),
            (10.0, 20.0, 12.0, Backend::Gpu),
            (10.0, 10.4, 10.4, Backend::Cpu),
            (30.0, 20.0, 25.0, Backend::Cpu),
            (1.0, 40.0, 40.0, Backend::Gpu),
        ] {
            let (backend, reason) = Rates { cpu, gpu, both }.decide();
            assert_eq!(backend, wanted, "{cpu} {gpu} {both}");
            assert!(reason.contains(&format!("{cpu:.1} GB/s on the CPU")), "{reason}");
        }
    }
}
