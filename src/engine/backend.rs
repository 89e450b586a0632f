//! Which processor computes: what a caller asks for, and what an engine tells of itself.

use std::fmt;

use crate::base::simd::Level;
use crate::base::text::names;

/// Which processor computes the features. Integer results do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Backend {
    /// The CPU until there was enough work for a GPU to pay; then the fastest of CPU, GPU and both, as measured on the
    /// data. It never takes a software adapter. It leaves float pixels to the CPU, whose sums are more exact.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The best adapter there is, even if it is a software one. If there is none, or if it fails, the CPU.
    Gpu,
    /// CPU and GPU at once: both take pieces of each batch until none is left. The CPU computes float pixels alone, so that
    /// no output mixes its f64 sums with a GPU's f32 sums. It computes everything if there is no GPU, or if it fails.
    Hybrid,
}

names!("backend", Backend { "auto" => Auto, "cpu" => Cpu, "gpu" => Gpu, "hybrid" => Hybrid });

/// How to set up an [`Engine`](crate::Engine).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Which processor computes.
    pub backend: Backend,
    /// CPU threads; 0 for one a core (rayon's global pool).
    pub threads: usize,
    /// The SIMD level of the CPU kernels; `None` for the best that this machine has.
    pub level: Option<Level>,
}

impl EngineOptions {
    /// The default options with this backend.
    pub fn backend(backend: Backend) -> Self {
        Self { backend, ..Self::default() }
    }

    /// With this number of CPU threads; 0 for one a core.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// With the CPU kernels of this SIMD level.
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }
}

/// What an engine computes with at the moment, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineInfo {
    /// `Cpu`, `Gpu` or `Hybrid`.
    pub backend: Backend,
    /// The adapter, where a GPU computes or did.
    pub adapter: Option<String>,
    /// Why this backend.
    pub reason: String,
    /// The SIMD level of the CPU kernels.
    pub level: Level,
    /// CPU threads.
    pub threads: usize,
}

impl fmt::Display for EngineInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.backend, &self.adapter) {
            (Backend::Gpu, Some(adapter)) => write!(f, "gpu ({adapter}): {}", self.reason),
            (Backend::Hybrid, Some(adapter)) => {
                write!(f, "cpu ({}, {} threads) and gpu ({adapter}): {}", self.level, self.threads, self.reason)
            }
            _ => write!(f, "cpu ({}, {} threads): {}", self.level, self.threads, self.reason),
        }
    }
}

/// How many images of a batch each side computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shares {
    /// Images computed on the CPU.
    pub cpu: usize,
    /// Images computed on a GPU.
    pub gpu: usize,
}
