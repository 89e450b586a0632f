//! The GPU's part: the device in use and why, and what happens when it fails.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::auto::{Rules, Trial, Verdict};
use super::backend::{Backend, EngineOptions, Shares};
use super::cpu_side::Cpu;
use super::{Engine, Inner, split};
use crate::base::error::Result;
use crate::base::pixels::PixelSlice;
use crate::base::shape::PixelType;
use crate::features::{FeatureLayout, FeaturesMut};
use crate::gpu::{Fault, Gpu, GpuError, wgpu};

/// The GPU of an engine, as far as there is one.
#[derive(Debug)]
pub(super) struct GpuSide {
    asked: Backend,
    /// The application's device, or why it will not do.
    joined: Option<Result<Arc<Gpu>, GpuError>>,
    pub(super) rules: Rules,
    state: Mutex<State>,
    /// Held by the thread that opens the device. Others wait for it without blocking [`GpuSide::info`].
    opening: Mutex<()>,
}

#[derive(Debug)]
struct State {
    choice: Choice,
    /// Bytes of pixels computed so far.
    seen: u64,
    /// What `Auto` measured so far, unless a thread is measuring now.
    trial: Option<Trial>,
    /// What is to go wrong with the device once there is one.
    fault: Option<(Fault, usize)>,
}

#[derive(Debug, Clone)]
pub(super) enum Choice {
    /// The CPU for now; a GPU may be looked for.
    Open(String),
    /// The CPU for good; the adapter that failed, if one did.
    Cpu { reason: String, failed: Option<String> },
    /// The GPU, with the CPU beside it if `both`.
    Gpu { gpu: Arc<Gpu>, both: bool, reason: String },
}

/// What is done with one batch.
enum BatchStep {
    Cpu,
    Gpu(Arc<Gpu>, bool),
    Measure(Arc<Gpu>, Trial),
}

impl GpuSide {
    pub fn new(asked: Backend) -> Self {
        Self::with(asked, None, Rules::default())
    }

    pub(super) fn with(asked: Backend, joined: Option<Result<Arc<Gpu>, GpuError>>, rules: Rules) -> Self {
        let choice = match asked {
            Backend::Cpu => Choice::Cpu { reason: "cpu was asked for".to_owned(), failed: None },
            Backend::Gpu | Backend::Hybrid => {
                let floats = if asked == Backend::Hybrid { "; float pixels are left to the CPU" } else { "" };
                Choice::Open(format!("{asked} was asked for; there was no work for it yet{floats}"))
            }
            Backend::Auto => {
                Choice::Open(format!("auto: a GPU is looked for from {} MB of pixels on", rules.from_bytes >> 20))
            }
        };
        let state = State { choice, seen: 0, trial: Some(Trial::default()), fault: None };
        Self { asked, joined, rules, state: Mutex::new(state), opening: Mutex::new(()) }
    }

    pub fn info(&self) -> (Backend, Option<String>, String) {
        match &self.state().choice {
            Choice::Open(reason) => (Backend::Cpu, None, reason.clone()),
            Choice::Cpu { reason, failed } => (Backend::Cpu, failed.clone(), reason.clone()),
            Choice::Gpu { gpu, both, reason } => {
                let backend = if *both { Backend::Hybrid } else { Backend::Gpu };
                (backend, Some(gpu.adapter().to_string()), reason.clone())
            }
        }
    }

    /// Computes the rows of a batch with the GPU's help and tells who did how much; `None` if the CPU is to do it all.
    pub fn featurize(
        &self,
        cpu: &Cpu,
        layout: &FeatureLayout,
        pixels: PixelSlice<'_>,
        mut out: FeaturesMut<'_>,
    ) -> Option<Shares> {
        match self.step(pixels) {
            BatchStep::Cpu => None,
            BatchStep::Measure(gpu, mut trial) => {
                let cpu_share = Shares { cpu: out.images(), gpu: 0 };
                let verdict = trial.run(&self.rules, cpu, &gpu, layout, pixels, out);
                let mut state = self.state();
                if let Some(choice) = verdict.map(|verdict| verdict.into_choice(&gpu)) {
                    Self::begin(&mut state, choice);
                }
                state.trial = Some(trial);
                Some(cpu_share)
            }
            BatchStep::Gpu(gpu, both) => {
                let (shares, done) = split::run(cpu, &gpu, both, layout, pixels, out.reborrow());
                match done {
                    Ok(()) => return Some(shares),
                    // A sum beyond f32, or values too large for the kernels: nothing is wrong with the device.
                    Err(GpuError::Range | GpuError::Unsupported) => {}
                    Err(error) => self.abandon(&gpu, &error),
                }
                // Where integers were computed does not show. But no batch of floats is partly in f64 and partly in f32.
                (pixels.pixel_type() != PixelType::F32).then_some(shares)
            }
        }
    }

    /// What is to be done with a batch. Opens the device when it is needed for the first time.
    fn step(&self, pixels: PixelSlice<'_>) -> BatchStep {
        let floats_allowed = self.asked == Backend::Gpu;
        let is_float = pixels.pixel_type() == PixelType::F32;
        if pixels.is_empty() || self.asked == Backend::Cpu || is_float && !floats_allowed {
            return BatchStep::Cpu;
        }
        let mut state = self.state();
        state.seen += pixels.size() as u64;
        if matches!(state.choice, Choice::Open(_)) && self.asked == Backend::Auto {
            if state.seen < self.rules.from_bytes {
                return BatchStep::Cpu;
            }
            // While one thread measures, the CPU computes for the others.
            let Some(trial) = state.trial.take() else { return BatchStep::Cpu };
            drop(state);
            return match self.open(self.rules.allow_software) {
                Ok(gpu) => BatchStep::Measure(gpu, trial),
                Err(error) => {
                    let choice = Choice::Cpu { reason: format!("auto: {error}"), failed: None };
                    Self::begin(&mut self.state(), choice);
                    BatchStep::Cpu
                }
            };
        }
        if let Choice::Open(_) = state.choice {
            drop(state);
            let _first = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
            state = self.state();
            if let Choice::Open(_) = state.choice {
                drop(state);
                let choice = self.open_asked();
                state = self.state();
                Self::begin(&mut state, choice);
            }
        }
        match &state.choice {
            Choice::Gpu { gpu, both, .. } => BatchStep::Gpu(gpu.clone(), *both),
            _ => BatchStep::Cpu,
        }
    }

    fn begin(state: &mut State, choice: Choice) {
        if let (Choice::Gpu { gpu, .. }, Some((fault, chunks))) = (&choice, state.fault) {
            gpu.provoke(fault, chunks);
        }
        state.choice = choice;
    }

    fn open_asked(&self) -> Choice {
        let asked = self.asked;
        match self.open(true) {
            Ok(gpu) => Choice::Gpu { gpu, both: asked == Backend::Hybrid, reason: format!("{asked} was asked for") },
            Err(error) => Choice::Cpu {
                reason: format!("{asked} was asked for, but {error}; the CPU does the work"),
                failed: None,
            },
        }
    }

    /// The application's device, or the process's.
    fn open(&self, allow_software: bool) -> Result<Arc<Gpu>, GpuError> {
        self.joined.clone().unwrap_or_else(|| Gpu::shared(allow_software))
    }

    /// Goes on with the CPU after `gpu` failed.
    fn abandon(&self, gpu: &Arc<Gpu>, error: &GpuError) {
        tracing::warn!(adapter = %gpu.adapter(), %error, "the GPU failed; the CPU goes on");
        let mut state = self.state();
        // Another thread may have noticed first.
        if let Choice::Gpu { gpu: current, reason, .. } = &state.choice
            && Arc::ptr_eq(current, gpu)
        {
            state.choice = Choice::Cpu {
                reason: format!("{reason}, but {error}; the CPU went on from there"),
                failed: Some(gpu.adapter().to_string()),
            };
        }
    }

    fn used(&self) -> Option<Arc<Gpu>> {
        match &self.state().choice {
            Choice::Gpu { gpu, .. } => Some(gpu.clone()),
            _ => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// As [`Engine::new`], but if a GPU computes, it is this device of the application's own. Its handlers of errors and of
    /// loss stay the application's; callbacks that it waits for may be called on this crate's threads. A device whose
    /// limits are too low is not used, and [`Engine::info`] says so.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with_device(options: EngineOptions, device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let joined = Gpu::with_device(device, queue).map(Arc::new);
        let gpu = GpuSide::with(options.backend, Some(joined), Rules::default());
        Self::with(options, gpu)
    }

    /// The GPU of this engine, opened now if it was not, for what goes beyond single batches: images that stay on the
    /// device. It does not matter which backend was asked for. A software adapter is taken if there is no other.
    ///
    /// # Errors
    /// As [`Gpu::open`], and a device's failure if it has failed.
    pub fn gpu(&self) -> Result<Arc<Gpu>, GpuError> {
        let Inner { gpu: side, .. } = &*self.inner;
        let gpu = side.used().map_or_else(|| side.open(true), Ok)?;
        gpu.error().map_or(Ok(gpu), Err)
    }

    /// Makes the GPU fail after `chunks` chunks. For tests; use an engine with a device of its own, since others share
    /// theirs.
    #[cfg(test)]
    pub(crate) fn provoke(&self, fault: Fault, chunks: usize) {
        let mut state = self.inner.gpu.state();
        state.fault = Some((fault, chunks));
        if let Choice::Gpu { gpu, .. } = &state.choice {
            gpu.provoke(fault, chunks);
        }
    }
}

impl Verdict {
    fn into_choice(self, gpu: &Arc<Gpu>) -> Choice {
        match self {
            Verdict::Cpu { reason, failed } => {
                Choice::Cpu { reason, failed: failed.then(|| gpu.adapter().to_string()) }
            }
            Verdict::Gpu { both, reason } => Choice::Gpu { gpu: gpu.clone(), both, reason },
        }
    }
}
