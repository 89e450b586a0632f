//! What `Auto` decides, and from what.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::cpu_side::Cpu;
use super::{Engine, split};
use crate::base::error::Result;
use crate::base::pixels::PixelSlice;
use crate::base::random::Random;
use crate::base::shape::ImageShape;
use crate::features::{FeatureLayout, FeatureSet, FeaturesMut};
use crate::gpu::{Gpu, GpuError};

/// What `Auto` goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// From how many bytes of pixels on it looks for a GPU: opening a driver and compiling kernels costs about as much as
    /// the CPU needs for this many.
    pub from_bytes: u64,
    /// Bytes of pixels that it measures on before it decides, in the batches that they come in.
    pub sample_bytes: u64,
    /// By how much a GPU must beat the CPU alone: less is within the noise, and not worth waking it.
    pub margin: f64,
    /// Whether a software adapter will do. Only tests say yes.
    pub allow_software: bool,
    /// Whether the rows of two backends are the same. Only tests have another answer than equality of bits.
    pub same: fn(&[f32], &[f32]) -> bool,
    /// The rates to decide by instead of the measured ones. Only tests have them.
    pub rates: Option<Rates>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            from_bytes: 512 << 20,
            sample_bytes: 64 << 20,
            margin: 1.05,
            allow_software: false,
            same: |a, b| a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits())),
            rates: None,
        }
    }
}

/// What `Auto` would take for some work.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
    /// Which is the fastest, and how that is known.
    fn decide(&self, margin: f64) -> (Backend, String) {
        let Self { cpu, gpu, both } = *self;
        let backend = match () {
            _ if cpu * margin >= gpu.max(both) => Backend::Cpu,
            _ if gpu >= both => Backend::Gpu,
            _ => Backend::Hybrid,
        };
        (backend, format!("auto: measured {cpu:.1} GB/s on the CPU, {gpu:.1} on the GPU, {both:.1} on both"))
    }
}

/// What came out of a trial.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The CPU, for good; whether the adapter failed.
    Cpu { reason: String, failed: bool },
    /// The GPU, with the CPU beside it if `both`.
    Gpu { both: bool, reason: String },
}

/// The same batches computed by CPU, GPU and both, and how long each took.
#[derive(Debug, Default)]
pub(super) struct Trial {
    bytes: u64,
    cpu: Duration,
    gpu: Duration,
    both: Duration,
    /// Whether what is done only once has been done: compiling kernels, touching fresh memory.
    warm: bool,
}

impl Trial {
    /// Computes a batch into `out` on the CPU, and beside it on the GPU and on both. The rows must be the same: a driver
    /// that computes something else is not used. There is a verdict once enough was measured, or if the GPU will not do.
    pub fn run(
        &mut self,
        rules: &Rules,
        cpu: &Cpu,
        gpu: &Gpu,
        layout: &FeatureLayout,
        pixels: PixelSlice<'_>,
        mut out: FeaturesMut<'_>,
    ) -> Option<Verdict> {
        let mut results = [vec![0.0; out.values_mut().len()], vec![0.0; out.values_mut().len()]];
        let run = |both: bool, out: FeaturesMut<'_>| split::run(cpu, gpu, both, layout, pixels, out).1;
        let mut measured = || -> Result<[Duration; 3], GpuError> {
            if !self.warm {
                for (both, values) in [false, true].into_iter().zip(&mut results) {
                    run(both, rows(values, layout))?;
                }
                cpu.featurize(layout, pixels, out.reborrow());
                self.warm = true;
            }
            let start = Instant::now();
            cpu.featurize(layout, pixels, out.reborrow());
            let on_cpu = start.elapsed();
            let mut took = [on_cpu; 3];
            for (both, (values, took)) in [false, true].into_iter().zip(results.iter_mut().zip(&mut took[1..])) {
                let start = Instant::now();
                run(both, rows(values, layout))?;
                *took = start.elapsed();
            }
            Ok(took)
        };
        let measured = measured();
        match measured {
            Err(error) => {
                // What the CPU had not computed yet.
                cpu.featurize(layout, pixels, out);
                return Some(Verdict::Cpu { reason: format!("auto: {error}"), failed: true });
            }
            Ok([on_cpu, on_gpu, on_both]) => {
                if results.iter().any(|values| !(rules.same)(values, out.values_mut())) {
                    let reason = "auto: the adapter's results are not the exact ones".to_owned();
                    return Some(Verdict::Cpu { reason, failed: true });
                }
                self.bytes += pixels.size() as u64;
                self.cpu += on_cpu;
                self.gpu += on_gpu;
                self.both += on_both;
            }
        }
        (self.bytes >= rules.sample_bytes).then(|| self.verdict(rules, gpu))
    }

    fn verdict(&self, rules: &Rules, gpu: &Gpu) -> Verdict {
        match rules.rates.unwrap_or_else(|| self.rates()).decide(rules.margin) {
            (Backend::Cpu, reason) => Verdict::Cpu { reason: format!("{reason} ({})", gpu.adapter()), failed: false },
            (backend, reason) => Verdict::Gpu { both: backend == Backend::Hybrid, reason },
        }
    }

    fn rates(&self) -> Rates {
        let rate = |took: Duration| self.bytes as f64 / took.as_secs_f64().max(1e-9) / 1e9;
        Rates { cpu: rate(self.cpu), gpu: rate(self.gpu), both: rate(self.both) }
    }
}

/// `values` as rows of a layout that they were made for.
fn rows<'a>(values: &'a mut [f32], layout: &FeatureLayout) -> FeaturesMut<'a> {
    FeaturesMut::new(values, layout.stride()).expect("they are whole rows")
}

impl Engine {
    /// What `Auto` would take for `images` 8-bit images of `shape` that come in batches of `batch`, and why. It is measured
    /// as a run would measure it: on random images of this kind, in such batches, on this engine's CPU threads and on
    /// `gpu`, whatever backend the engine has.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) if an image has more values than an Arrow list can hold.
    pub fn forecast(&self, gpu: &Arc<Gpu>, shape: ImageShape, images: usize, batch: usize) -> Result<Forecast> {
        let rules = self.inner.gpu.rules;
        let bytes = images as u64 * shape.values() as u64;
        let layout = FeatureSet::default().layout(shape, 255.0)?;
        if bytes < rules.from_bytes {
            let reason = format!("auto: {} MB; a GPU is looked for from {} on", bytes >> 20, rules.from_bytes >> 20);
            return Ok(Forecast { backend: Backend::Cpu, reason, rates: None });
        }
        let batch = batch.clamp(1, images.max(1));
        let mut random = Random::new(1, 0);
        let pixels: Vec<u8> = (0..batch * shape.values()).map(|_| random.bits() as u8).collect();
        let mut values = vec![0.0; batch * layout.stride()];
        let mut trial = Trial::default();
        let verdict = loop {
            let out = rows(&mut values, &layout);
            if let Some(verdict) = trial.run(&rules, &self.inner.cpu, gpu, &layout, (&pixels).into(), out) {
                break verdict;
            }
        };
        let rates = (trial.bytes > 0).then(|| trial.rates());
        let (backend, reason) = match verdict {
            Verdict::Cpu { reason, .. } => (Backend::Cpu, reason),
            Verdict::Gpu { both, reason } => (if both { Backend::Hybrid } else { Backend::Gpu }, reason),
        };
        if gpu.adapter().software {
            let reason = format!("auto: never a software adapter; {}", reason.trim_start_matches("auto: "));
            return Ok(Forecast { backend: Backend::Cpu, reason, rates });
        }
        Ok(Forecast { backend, reason, rates })
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
            let (backend, reason) = Rates { cpu, gpu, both }.decide(Rules::default().margin);
            assert_eq!(backend, wanted, "{cpu} {gpu} {both}");
            assert!(reason.contains(&format!("{cpu:.1} GB/s on the CPU")), "{reason}");
        }
    }
}
