//! Which backend computes, and why; what happens when it cannot.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::{ImageBatch, Pixels};
use crate::cpu::{self, Level};
use crate::error::{Error, Result, choose};
use crate::features::{Finisher, Output};
#[cfg(feature = "gpu")]
use crate::gpu::{Gpu, GpuError, GpuPixel};
use crate::moments::Pixel;

/// From how many bytes of pixels on `Auto` looks for a GPU: opening a driver and compiling kernels costs about as much as
/// the CPU needs for this many.
#[cfg(feature = "gpu")]
const GPU_WORTH_BYTES: u64 = 512 << 20;

/// Which processor computes the features. Integer results do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// The CPU, until there was enough work that a GPU may pay; then the faster of the two as measured on the data.
    /// Never a software adapter, and never a GPU for float pixels, whose sums are more exact on the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The best adapter there is, a software one if need be; the CPU where there is none or it fails.
    Gpu,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Auto => "auto",
            Backend::Cpu => "cpu",
            Backend::Gpu => "gpu",
        })
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choose("backend", text, &[("auto", Backend::Auto), ("cpu", Backend::Cpu), ("gpu", Backend::Gpu)])
    }
}

/// How to set up an [`Engine`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
}

/// What an engine computes with at the moment, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `Cpu` or `Gpu`.
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
            _ => write!(f, "cpu ({}, {} threads): {}", self.level, self.threads, self.reason),
        }
    }
}

/// Computes features; cheap to clone, and shared by all clones. One engine a process is enough.
///
/// Nothing of a GPU is touched before there is work for it.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    #[cfg(feature = "gpu")]
    backend: Backend,
    level: Level,
    pool: Option<rayon::ThreadPool>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    choice: Choice,
    /// Bytes of pixels computed so far.
    #[cfg(feature = "gpu")]
    seen: u64,
    /// Whether a thread is timing the adapter against the CPU.
    #[cfg(feature = "gpu")]
    measuring: bool,
}

#[derive(Debug, Clone)]
enum Choice {
    /// The CPU for now; a GPU may be looked for.
    #[cfg(feature = "gpu")]
    Open(String),
    /// The CPU for good; the adapter that failed, if one did.
    Cpu { reason: String, failed: Option<String> },
    #[cfg(feature = "gpu")]
    Gpu { gpu: Arc<Gpu>, reason: String },
}

impl Engine {
    /// Sets up an engine.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the SIMD level is not available or the threads cannot be started. A missing GPU is no
    /// error: the CPU does the work, and [`Engine::info`] says so.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let level = options.level.unwrap_or_else(Level::detect);
        if !level.is_available() {
            return Err(Error::InvalidOption { option: "level", why: format!("this machine has no {level}") });
        }
        let pool = match options.threads {
            0 => None,
            threads => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|i| format!("pixelfeat-{i}"))
                    .build()
                    .map_err(|e| Error::InvalidOption { option: "threads", why: e.to_string() })?,
            ),
        };
        let choice = match options.backend {
            Backend::Cpu => Choice::Cpu { reason: "cpu was asked for".to_owned(), failed: None },
            #[cfg(feature = "gpu")]
            Backend::Gpu => Choice::Open("gpu was asked for; there was no work yet".to_owned()),
            #[cfg(feature = "gpu")]
            Backend::Auto => {
                Choice::Open(format!("auto: a GPU is looked for from {} MB of pixels on", GPU_WORTH_BYTES >> 20))
            }
            #[cfg(not(feature = "gpu"))]
            asked => Choice::Cpu { reason: format!("{asked} was asked for; built without GPU support"), failed: None },
        };
        let state = Mutex::new(State {
            choice,
            #[cfg(feature = "gpu")]
            seen: 0,
            #[cfg(feature = "gpu")]
            measuring: false,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                #[cfg(feature = "gpu")]
                backend: options.backend,
                level,
                pool,
                state,
            }),
        })
    }

    /// What computes at the moment, and why. `Auto`, and `Gpu` before its first work, may still change.
    pub fn info(&self) -> EngineInfo {
        let (backend, adapter, reason) = match &self.state().choice {
            #[cfg(feature = "gpu")]
            Choice::Open(reason) => (Backend::Cpu, None, reason.clone()),
            Choice::Cpu { reason, failed } => (Backend::Cpu, failed.clone(), reason.clone()),
            #[cfg(feature = "gpu")]
            Choice::Gpu { gpu, reason } => (Backend::Gpu, Some(gpu.adapter().to_string()), reason.clone()),
        };
        let threads = self.inner.pool.as_ref().map_or_else(rayon::current_num_threads, |p| p.current_num_threads());
        EngineInfo { backend, adapter, reason, level: self.inner.level, threads }
    }

    /// Computes the features of all images of a batch into `out`, which has a place for each of
    /// [`ImageBatch::images`]; what it holds for defective rows means nothing. Returns which backend did it.
    ///
    /// Callable from many threads at once.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `out` has not exactly the places needed or `finisher` is for another shape.
    pub fn featurize(&self, images: &ImageBatch, finisher: &Finisher, out: Output<'_>) -> Result<Backend> {
        if finisher.shape() != images.shape() || !out.holds(images.images(), images.shape()) {
            return Err(Error::InvalidOption {
                option: "out",
                why: format!("it must hold {} images of {}", images.images(), images.shape()),
            });
        }
        Ok(match images.pixels() {
            Pixels::U8(pixels) => self.run(pixels, finisher, out),
            Pixels::U16(pixels) => self.run(pixels, finisher, out),
            Pixels::F32(pixels) => self.run(pixels, finisher, out),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_cpu<P: Pixel>(&self, pixels: &[P], finisher: &Finisher, out: Output<'_>) -> Backend {
        match &self.inner.pool {
            // Handing work to another thread costs more than a little work itself.
            Some(pool) if size_of_val(pixels) >= cpu::PARALLEL_BYTES => {
                pool.install(|| cpu::featurize(self.inner.level, finisher, pixels, out));
            }
            _ => cpu::featurize(self.inner.level, finisher, pixels, out),
        }
        Backend::Cpu
    }

    #[cfg(not(feature = "gpu"))]
    fn run<P: Pixel>(&self, pixels: &[P], finisher: &Finisher, out: Output<'_>) -> Backend {
        self.run_cpu(pixels, finisher, out)
    }

    #[cfg(feature = "gpu")]
    fn run<P: GpuPixel>(&self, pixels: &[P], finisher: &Finisher, mut out: Output<'_>) -> Backend {
        let Some(gpu) = self.gpu_for(pixels, finisher) else { return self.run_cpu(pixels, finisher, out) };
        match gpu.featurize(finisher, pixels, out.reborrow()) {
            Ok(()) => Backend::Gpu,
            // A sum beyond f32: the CPU has f64, and nothing is wrong with the device.
            Err(GpuError::Range) => self.run_cpu(pixels, finisher, out),
            Err(error) => {
                self.abandon(&gpu, &error);
                self.run_cpu(pixels, finisher, out)
            }
        }
    }

    /// The GPU to compute these pixels with, if it is to be one.
    #[cfg(feature = "gpu")]
    fn gpu_for<P: GpuPixel>(&self, pixels: &[P], finisher: &Finisher) -> Option<Arc<Gpu>> {
        if pixels.is_empty() || self.inner.backend == Backend::Cpu {
            return None;
        }
        let mut state = self.state();
        state.seen += size_of_val(pixels) as u64;
        if let Choice::Open(_) = state.choice {
            match self.inner.backend {
                Backend::Auto if P::TYPE == crate::shape::PixelType::F32 || state.seen < GPU_WORTH_BYTES => {
                    return None;
                }
                Backend::Auto if state.measuring => return None,
                Backend::Auto => {
                    state.measuring = true;
                    // Not under the lock: a thread that waits for its part of the work may take up another call's.
                    drop(state);
                    let choice = self.measure(pixels, finisher);
                    state = self.state();
                    state.choice = choice;
                    state.measuring = false;
                }
                _ => state.choice = Self::open_asked(),
            }
        }
        match &state.choice {
            Choice::Gpu { gpu, .. }
                if self.inner.backend == Backend::Gpu || P::TYPE != crate::shape::PixelType::F32 =>
            {
                Some(gpu.clone())
            }
            _ => None,
        }
    }

    #[cfg(feature = "gpu")]
    fn open_asked() -> Choice {
        match Gpu::open(true) {
            Ok(gpu) => Choice::Gpu { gpu: Arc::new(gpu), reason: "gpu was asked for".to_owned() },
            Err(error) => {
                Choice::Cpu { reason: format!("gpu was asked for, but {error}; the CPU does the work"), failed: None }
            }
        }
    }

    /// Looks for a hardware adapter and times it against the CPU on these pixels. The bytes must agree as well: a driver
    /// that computes something else is not used.
    #[cfg(feature = "gpu")]
    fn measure<P: GpuPixel>(&self, pixels: &[P], finisher: &Finisher) -> Choice {
        let for_good = |reason: String, failed: Option<String>| Choice::Cpu { reason, failed };
        let gpu = match Gpu::open(false) {
            Ok(gpu) => gpu,
            Err(error) => return for_good(format!("auto: {error}"), None),
        };
        let images = pixels.len() / finisher.shape().values();
        let mut cpu_result = Scratch::new(images, finisher);
        let mut gpu_result = Scratch::new(images, finisher);
        // The first run of each pays for compilation and fresh memory.
        let timed = |run: &mut dyn FnMut() -> Result<(), GpuError>| -> Result<f64, GpuError> {
            run()?;
            let start = std::time::Instant::now();
            run()?;
            Ok(size_of_val(pixels) as f64 / start.elapsed().as_secs_f64() / 1e9)
        };
        let gpu_rate = timed(&mut || gpu.featurize(finisher, pixels, gpu_result.output()));
        let cpu_rate = timed(&mut || {
            self.run_cpu(pixels, finisher, cpu_result.output());
            Ok(())
        });
        let adapter = gpu.adapter().to_string();
        match (gpu_rate, cpu_rate) {
            (Ok(_), Ok(_)) if cpu_result != gpu_result => {
                for_good("auto: the adapter's results are not the exact ones".to_owned(), Some(adapter))
            }
            (Ok(gpu_rate), Ok(cpu_rate)) if gpu_rate > cpu_rate => Choice::Gpu {
                gpu: Arc::new(gpu),
                reason: format!("auto: measured {gpu_rate:.1} GB/s, the CPU {cpu_rate:.1} GB/s"),
            },
            (Ok(gpu_rate), Ok(cpu_rate)) => {
                for_good(format!("auto: measured {cpu_rate:.1} GB/s, {adapter} {gpu_rate:.1} GB/s"), None)
            }
            (Err(error), _) | (_, Err(error)) => for_good(format!("auto: {error}"), Some(adapter)),
        }
    }

    /// Goes on with the CPU after `gpu` failed.
    #[cfg(feature = "gpu")]
    fn abandon(&self, gpu: &Arc<Gpu>, error: &GpuError) {
        tracing::warn!(adapter = %gpu.adapter(), %error, "the GPU failed; the CPU goes on");
        let mut state = self.state();
        // Another thread may have noticed first.
        if let Choice::Gpu { gpu: current, reason } = &state.choice
            && Arc::ptr_eq(current, gpu)
        {
            state.choice = Choice::Cpu {
                reason: format!("{reason}, but {error}; the CPU went on from there"),
                failed: Some(gpu.adapter().to_string()),
            };
        }
    }

    /// Destroys the GPU device, if one is in use: what a driver crash looks like to the engine. For tests.
    #[cfg(feature = "gpu")]
    #[doc(hidden)]
    pub fn destroy_device(&self) {
        if let Choice::Gpu { gpu, .. } = &self.state().choice {
            gpu.destroy();
        }
    }
}

#[cfg(feature = "gpu")]
#[derive(PartialEq)]
struct Scratch {
    features: Vec<f32>,
    means: Vec<f32>,
    stds: Vec<f32>,
}

#[cfg(feature = "gpu")]
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
    use crate::features::Finisher;
    use crate::shape::{ImageShape, PixelType};
    use arrow_array::{FixedSizeListArray, UInt8Array};
    use arrow_schema::{DataType, Field};

    fn images() -> ImageBatch {
        let item = Arc::new(Field::new("item", DataType::UInt8, false));
        let pixels = Arc::new(UInt8Array::from_iter_values((0..40_000u32).map(|i| (i % 251) as u8)));
        let column = FixedSizeListArray::new(item, 16, pixels, None);
        ImageBatch::from_array(&column, "image", ImageShape::gray(4, 4).unwrap(), PixelType::U8).unwrap()
    }

    fn run(engine: &Engine) -> (Backend, Vec<f32>) {
        let images = images();
        let finisher = Finisher::new(images.shape(), 255.0).unwrap();
        let rows = images.images();
        let (mut features, mut means, mut stds) =
            (vec![f32::NAN; rows * 12], vec![f32::NAN; rows], vec![f32::NAN; rows]);
        let out = Output { features: &mut features, means: &mut means, stds: &mut stds };
        let backend = engine.featurize(&images, &finisher, out).unwrap();
        (backend, features)
    }

    #[test]
    fn auto_leaves_gpus_alone_while_there_is_little_work() {
        let engine = Engine::new(EngineOptions::default()).unwrap();
        assert_eq!(run(&engine).0, Backend::Cpu);
        let info = engine.info();
        assert_eq!((info.backend, info.adapter), (Backend::Cpu, None));
        #[cfg(feature = "gpu")]
        assert_eq!(info.reason, "auto: a GPU is looked for from 512 MB of pixels on");
    }

    #[cfg(feature = "gpu")]
    #[test]
    fn auto_decides_once_there_is_enough_and_never_for_software() {
        let engine = Engine::new(EngineOptions::default()).unwrap();
        let cpu = Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap();
        engine.state().seen = GPU_WORTH_BYTES;
        let (_, features) = run(&engine);
        assert!(features == run(&cpu).1);
        let info = engine.info();
        println!("auto took {info}");
        assert!(!matches!(engine.state().choice, Choice::Open(_)));
        assert!(info.reason.starts_with("auto: "), "{}", info.reason);
        if let Choice::Gpu { gpu, .. } = &engine.state().choice {
            assert!(!gpu.adapter().software);
        }
    }

    #[test]
    fn places_that_do_not_fit_are_refused() {
        let engine = Engine::new(EngineOptions::default()).unwrap();
        let images = images();
        let finisher = Finisher::new(images.shape(), 255.0).unwrap();
        let mut few = [0.0; 12];
        let out = Output { features: &mut few, means: &mut [], stds: &mut [] };
        assert!(matches!(engine.featurize(&images, &finisher, out), Err(Error::InvalidOption { .. })));
    }
}
