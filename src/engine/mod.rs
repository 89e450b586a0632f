//! Which backend computes, and why; what happens when it cannot.

#[cfg(feature = "gpu")]
mod auto;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "gpu")]
use self::auto::GPU_WORTH_BYTES;
#[cfg(feature = "gpu")]
pub use self::auto::{Forecast, Rates};
use crate::base::error::{Error, Result, choose};
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::cpu::{self, Level};
use crate::features::moments::Pixel;
#[cfg(feature = "gpu")]
use crate::features::queue::Queue;
use crate::features::{Finisher, Output};
#[cfg(feature = "gpu")]
use crate::gpu::{Fault, Gpu, GpuError, GpuPixel, wgpu};
use crate::images::{ImageBatch, Pixels};

/// What the CPU takes from a shared queue at a time, for each of its threads: small enough that all are done together.
#[cfg(feature = "gpu")]
const CPU_PIECE_BYTES: usize = 512 << 10;

/// Which processor computes the features. Integer results do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// The CPU, until there was enough work that a GPU may pay; then the fastest of CPU, GPU and both as measured on the
    /// data. Never a software adapter, and never a GPU for float pixels, whose sums are more exact on the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The best adapter there is, a software one if need be; the CPU where there is none or it fails.
    Gpu,
    /// CPU and GPU at once: both take pieces of each batch until none is left. Float pixels are the CPU's alone, since no
    /// output is to mix its f64 sums with a GPU's f32 ones; as is everything where there is no GPU or it fails.
    Hybrid,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Auto => "auto",
            Backend::Cpu => "cpu",
            Backend::Gpu => "gpu",
            Backend::Hybrid => "hybrid",
        })
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Backend::Auto, Backend::Cpu, Backend::Gpu, Backend::Hybrid];
        choose("backend", text, &[("auto", all[0]), ("cpu", all[1]), ("gpu", all[2]), ("hybrid", all[3])])
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
    /// The application's device, or why it will not do.
    #[cfg(feature = "gpu")]
    joined: Option<Result<Arc<Gpu>, GpuError>>,
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
    /// What is to go wrong with the device once there is one.
    #[cfg(feature = "gpu")]
    fault: Option<(Fault, usize)>,
}

#[derive(Debug, Clone)]
enum Choice {
    /// The CPU for now; a GPU may be looked for.
    #[cfg(feature = "gpu")]
    Open(String),
    /// The CPU for good; the adapter that failed, if one did.
    Cpu { reason: String, failed: Option<String> },
    /// The GPU, with the CPU beside it if `both`.
    #[cfg(feature = "gpu")]
    Gpu { gpu: Arc<Gpu>, both: bool, reason: String },
}

impl Engine {
    /// Sets up an engine.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the SIMD level is not available or the threads cannot be started. A missing GPU is no
    /// error: the CPU does the work, and [`Engine::info`] says so.
    pub fn new(options: EngineOptions) -> Result<Self> {
        Self::build(
            options,
            #[cfg(feature = "gpu")]
            None,
        )
    }

    /// As [`Engine::new`], but if a GPU computes it is this device of the application's own. Its handlers of errors and of
    /// loss stay the application's; callbacks that it waits for may be called on this crate's threads. A device whose
    /// limits are too low is not used, and [`Engine::info`] says so.
    ///
    /// # Errors
    /// As [`Engine::new`].
    #[cfg(feature = "gpu")]
    pub fn with_device(options: EngineOptions, device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::build(options, Some(Gpu::with_device(device, queue).map(Arc::new)))
    }

    fn build(
        options: EngineOptions,
        #[cfg(feature = "gpu")] joined: Option<Result<Arc<Gpu>, GpuError>>,
    ) -> Result<Self> {
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
            asked @ (Backend::Gpu | Backend::Hybrid) => {
                let floats = if asked == Backend::Hybrid { "; float pixels are left to the CPU" } else { "" };
                Choice::Open(format!("{asked} was asked for; there was no work for it yet{floats}"))
            }
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
            #[cfg(feature = "gpu")]
            fault: None,
        });
        Ok(Self {
            inner: Arc::new(Inner {
                #[cfg(feature = "gpu")]
                backend: options.backend,
                #[cfg(feature = "gpu")]
                joined,
                level,
                pool,
                state,
            }),
        })
    }

    /// What computes at the moment, and why. `Auto`, and the others before their first work, may still change.
    pub fn info(&self) -> EngineInfo {
        let (backend, adapter, reason) = match &self.state().choice {
            #[cfg(feature = "gpu")]
            Choice::Open(reason) => (Backend::Cpu, None, reason.clone()),
            Choice::Cpu { reason, failed } => (Backend::Cpu, failed.clone(), reason.clone()),
            #[cfg(feature = "gpu")]
            Choice::Gpu { gpu, both, reason } => {
                let backend = if *both { Backend::Hybrid } else { Backend::Gpu };
                (backend, Some(gpu.adapter().to_string()), reason.clone())
            }
        };
        EngineInfo { backend, adapter, reason, level: self.inner.level, threads: self.threads() }
    }

    fn threads(&self) -> usize {
        self.inner.pool.as_ref().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads())
    }

    /// Computes the features of all images of a batch into `out`, which has a place for each of
    /// [`ImageBatch::images`]; what it holds for defective rows means nothing. Returns who did how much of it.
    ///
    /// Callable from many threads at once.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `out` has not exactly the places needed or `finisher` is for another shape.
    pub fn featurize(&self, images: &ImageBatch, finisher: &Finisher, out: Output<'_>) -> Result<Shares> {
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

    /// Runs work of several threads on the engine's.
    pub(crate) fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.inner.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_cpu<P: Pixel>(&self, pixels: &[P], finisher: &Finisher, out: Output<'_>) -> Shares {
        let cpu = out.images();
        match &self.inner.pool {
            // Handing work to another thread costs more than a little work itself.
            Some(pool) if size_of_val(pixels) >= cpu::PARALLEL_BYTES => {
                pool.install(|| cpu::featurize(self.inner.level, finisher, pixels, out));
            }
            _ => cpu::featurize(self.inner.level, finisher, pixels, out),
        }
        Shares { cpu, gpu: 0 }
    }

    #[cfg(not(feature = "gpu"))]
    fn run<P: Pixel>(&self, pixels: &[P], finisher: &Finisher, out: Output<'_>) -> Shares {
        self.run_cpu(pixels, finisher, out)
    }

    #[cfg(feature = "gpu")]
    fn run<P: GpuPixel>(&self, pixels: &[P], finisher: &Finisher, mut out: Output<'_>) -> Shares {
        let Some((gpu, both)) = self.gpu_for(pixels, finisher) else { return self.run_cpu(pixels, finisher, out) };
        let (shares, done) = self.run_gpu(&gpu, both, pixels, finisher, out.reborrow());
        match done {
            Ok(()) => return shares,
            // A sum beyond f32: the CPU has f64, and nothing is wrong with the device.
            Err(GpuError::Range) => {}
            Err(error) => self.abandon(&gpu, &error),
        }
        // What integers come from does not show; but no batch of floats is partly in f64 and partly in f32.
        if P::TYPE == PixelType::F32 { self.run_cpu(pixels, finisher, out) } else { shares }
    }

    /// Computes with the GPU, with the CPU beside it if `both`. What a failing device leaves of integer pixels is computed
    /// on the CPU, so that the output is complete either way.
    #[cfg(feature = "gpu")]
    fn run_gpu<P: GpuPixel>(
        &self,
        gpu: &Gpu,
        both: bool,
        pixels: &[P],
        finisher: &Finisher,
        out: Output<'_>,
    ) -> (Shares, Result<(), GpuError>) {
        let images = out.images();
        let queue = Queue::new(finisher.shape(), pixels, out);
        let drain = || gpu.drain(&queue, finisher, self.threads());
        let (on_gpu, done) = if both {
            std::thread::scope(|scope| {
                let other = std::thread::Builder::new().name("pixelfeat-gpu".into()).spawn_scoped(scope, drain);
                self.drain_cpu(&queue, finisher);
                match other.map(|thread| thread.join()) {
                    Ok(joined) => joined.unwrap_or_else(|_| (0, Err(GpuError::Lost("its thread panicked".into())))),
                    // Without a thread for it, the CPU has done it all.
                    Err(_) => (0, Ok(())),
                }
            })
        } else {
            drain()
        };
        if P::TYPE != PixelType::F32 {
            self.drain_cpu(&queue, finisher);
        }
        (Shares { cpu: images - on_gpu, gpu: on_gpu }, done)
    }

    /// Computes what is in the queue on the CPU, piece by piece.
    #[cfg(feature = "gpu")]
    fn drain_cpu<P: Pixel>(&self, queue: &Queue<'_, P>, finisher: &Finisher) {
        let most = self.threads() * CPU_PIECE_BYTES / (finisher.shape().values() * size_of::<P>());
        while let Some(piece) = queue.take(most) {
            self.run_cpu(piece.pixels, finisher, piece.out);
        }
    }

    /// The GPU to compute these pixels with, if it is to be one, and whether the CPU helps.
    #[cfg(feature = "gpu")]
    fn gpu_for<P: GpuPixel>(&self, pixels: &[P], finisher: &Finisher) -> Option<(Arc<Gpu>, bool)> {
        let floats_allowed = self.inner.backend == Backend::Gpu;
        if pixels.is_empty() || self.inner.backend == Backend::Cpu || P::TYPE == PixelType::F32 && !floats_allowed {
            return None;
        }
        let mut state = self.state();
        state.seen += size_of_val(pixels) as u64;
        if let Choice::Open(_) = state.choice {
            match self.inner.backend {
                Backend::Auto if state.seen < GPU_WORTH_BYTES || state.measuring => return None,
                Backend::Auto => {
                    state.measuring = true;
                    // Not under the lock: a thread that waits for its part of the work may take up another call's.
                    drop(state);
                    let choice = self.measure(pixels, finisher);
                    state = self.state();
                    state.choice = choice;
                    state.measuring = false;
                }
                asked => state.choice = self.open_asked(asked),
            }
            if let (Choice::Gpu { gpu, .. }, Some((fault, chunks))) = (&state.choice, state.fault) {
                gpu.provoke(fault, chunks);
            }
        }
        match &state.choice {
            Choice::Gpu { gpu, both, .. } => Some((gpu.clone(), *both)),
            _ => None,
        }
    }

    #[cfg(feature = "gpu")]
    fn open_asked(&self, asked: Backend) -> Choice {
        match self.open(true) {
            Ok(gpu) => Choice::Gpu { gpu, both: asked == Backend::Hybrid, reason: format!("{asked} was asked for") },
            Err(error) => Choice::Cpu {
                reason: format!("{asked} was asked for, but {error}; the CPU does the work"),
                failed: None,
            },
        }
    }

    /// The application's device, or the process's.
    #[cfg(feature = "gpu")]
    fn open(&self, allow_software: bool) -> Result<Arc<Gpu>, GpuError> {
        self.inner.joined.clone().unwrap_or_else(|| Gpu::shared(allow_software))
    }

    /// The GPU of this engine, opened now if it was not, for what goes beyond single batches: images that stay on the
    /// device. Whatever backend was asked for, and a software adapter if there is no other.
    ///
    /// # Errors
    /// As [`Gpu::open`], and a device's failure if it has failed.
    #[cfg(feature = "gpu")]
    pub fn gpu(&self) -> Result<Arc<Gpu>, GpuError> {
        let used = match &self.state().choice {
            Choice::Gpu { gpu, .. } => Some(gpu.clone()),
            _ => None,
        };
        let gpu = used.map_or_else(|| self.open(true), Ok)?;
        gpu.error().map_or(Ok(gpu), Err)
    }

    /// Goes on with the CPU after `gpu` failed.
    #[cfg(feature = "gpu")]
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

    /// Destroys the GPU device, if one is in use: what a driver crash looks like to the engine. For tests.
    #[cfg(feature = "gpu")]
    #[doc(hidden)]
    pub fn destroy_device(&self) {
        if let Choice::Gpu { gpu, .. } = &self.state().choice {
            gpu.destroy();
        }
    }

    /// Makes the GPU fail after `chunks` chunks. For tests; use an engine with a device of its own, since others share
    /// theirs.
    #[cfg(feature = "gpu")]
    #[doc(hidden)]
    pub fn provoke(&self, fault: Fault, chunks: usize) {
        let mut state = self.state();
        state.fault = Some((fault, chunks));
        if let Choice::Gpu { gpu, .. } = &state.choice {
            gpu.provoke(fault, chunks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::shape::{ImageShape, PixelType};
    use crate::features::Finisher;
    use arrow_array::{FixedSizeListArray, UInt8Array};
    use arrow_schema::{DataType, Field};

    fn images() -> ImageBatch {
        let item = Arc::new(Field::new("item", DataType::UInt8, false));
        let pixels = Arc::new(UInt8Array::from_iter_values((0..40_000u32).map(|i| (i % 251) as u8)));
        let column = FixedSizeListArray::new(item, 16, pixels, None);
        ImageBatch::from_array(&column, "image", ImageShape::gray(4, 4).unwrap(), PixelType::U8).unwrap()
    }

    fn run(engine: &Engine) -> (Shares, Vec<f32>) {
        let images = images();
        let finisher = Finisher::new(images.shape(), 255.0).unwrap();
        let rows = images.images();
        let (mut features, mut means, mut stds) =
            (vec![f32::NAN; rows * 12], vec![f32::NAN; rows], vec![f32::NAN; rows]);
        let out = Output { features: &mut features, means: &mut means, stds: &mut stds };
        let shares = engine.featurize(&images, &finisher, out).unwrap();
        (shares, features)
    }

    #[test]
    fn auto_leaves_gpus_alone_while_there_is_little_work() {
        let engine = Engine::new(EngineOptions::default()).unwrap();
        assert_eq!(run(&engine).0, Shares { cpu: 2_500, gpu: 0 });
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

    #[cfg(feature = "gpu")]
    #[test]
    fn any_split_between_cpu_and_gpu_gives_the_same_bytes() {
        let engine = Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap();
        let Some(gpu) = crate::gpu::tests::gpu() else { return };
        let gpu = gpu.with_chunk_bytes(700);
        let (images, (_, expected)) = (images(), run(&engine));
        let Pixels::U8(pixels) = images.pixels() else { panic!("they are u8") };
        let finisher = Finisher::new(images.shape(), 255.0).unwrap();
        let rows = images.images();
        let compute = |work: &dyn Fn(&Queue<'_, u8>)| {
            let (mut features, mut means, mut stds) =
                (vec![f32::NAN; rows * 12], vec![f32::NAN; rows], vec![f32::NAN; rows]);
            let out = Output { features: &mut features, means: &mut means, stds: &mut stds };
            work(&Queue::new(images.shape(), pixels, out));
            features
        };
        for on_gpu in [0, 1, 17, rows / 2, rows - 1, rows] {
            let split = compute(&|queue| {
                if on_gpu > 0
                    && let Some(piece) = queue.take(on_gpu)
                {
                    let part = Queue::new(images.shape(), piece.pixels, piece.out);
                    let (done, result) = gpu.drain(&part, &finisher, 2);
                    assert_eq!((done, result.is_ok()), (on_gpu, true));
                }
                engine.drain_cpu(queue, &finisher);
            });
            assert!(split == expected, "{on_gpu} of {rows} on the GPU");
        }
        // And as it falls out, with both at it.
        let both = compute(&|queue| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| gpu.drain(queue, &finisher, 2));
                while let Some(piece) = queue.take(5) {
                    engine.run_cpu(piece.pixels, &finisher, piece.out);
                }
                other.join().unwrap().1.unwrap();
            });
        });
        assert!(both == expected);
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
