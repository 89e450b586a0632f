//! CPU, GPU and both on images in memory, and the stages of the GPU apart: up, kernels, down, and images that stay on the
//! device. One executable that needs a Vulkan loader (or Metal, or DX12) and nothing else; everything it times is
//! compared with the oracle or with what was.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arrow_array::{ArrayRef, FixedSizeListArray, UInt8Array};
use arrow_schema::{DataType, Field};
use clap::Parser;
use pixelfeat::gpu::{Gpu, GpuError, wgpu};
use pixelfeat::stages::Pipeline;
use pixelfeat::synthetic::Random;
use pixelfeat::{
    Backend, Engine, EngineOptions, FeatureLayout, FeatureSet, FeaturesMut, ImageBatch, ImageShape, PixelType,
    reference,
};
use serde_json::{Value, json};

/// Chains of stages on images that stay on the device.
const AUGMENTED: [(&str, &str); 5] = [
    ("28x28", "crop(pad=4),hflip(0.5)"),
    ("28x28", "randaugment(2,9)"),
    ("32x32x3", "crop(pad=4),hflip(0.5),randaugment(2,9)"),
    ("224x224x3", "hflip(0.5),jitter(0.4,0.4,0.4,0.1)"),
    ("224x224x3", "resized_crop(224x224),hflip(0.5),randaugment(2,9)"),
];
/// Megabytes of pixels of each of them at most: so many and as many new ones are on the device at once.
const AUGMENTED_MEGABYTES: usize = 256;
const SHAPES: [(&str, &str); 3] = [("small", "28x28"), ("colour", "64x64x3"), ("large", "4096x4096")];
/// Images of each case that the oracle checks.
const CHECKED: usize = 50;

/// Measure CPU, GPU and both, and the GPU's stages.
#[derive(Parser)]
#[command(name = "gpu", max_term_width = 110)]
struct Args {
    /// Where to write the raw result; by default results/DATE-gpu-ADAPTER.json, and nothing with --quick.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Megabytes of pixels of each case.
    #[arg(long, value_name = "MB", default_value_t = 1024)]
    megabytes: usize,
    /// Times that each thing is run after the first; the best counts.
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// CPU threads [default: one a core].
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// A few megabytes and one run: whether it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Given by cargo to all benches alike, to choose among criterion's.
    #[arg(hide = true)]
    filter: Option<String>,
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    if args.quick {
        (args.megabytes, args.runs) = (16, 1);
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(args: &Args) -> Result<(), Failure> {
    let gpu = match Gpu::shared(true) {
        Ok(gpu) => gpu,
        Err(error @ GpuError::NoAdapter(_)) => {
            println!("{error}: nothing to measure");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let engine = |backend| Engine::new(EngineOptions::backend(backend).with_threads(args.threads));
    let engines = [engine(Backend::Cpu)?, engine(Backend::Gpu)?, engine(Backend::Hybrid)?];
    let cpu = engines[0].info();
    let adapter = gpu.adapter();
    println!(
        "{adapter} ({}, {}), {}; CPU {} on {} threads",
        adapter.kind,
        adapter.driver,
        gpu.transfer_mode()?,
        cpu.level,
        cpu.threads
    );
    if adapter.software {
        println!("A software adapter: these figures show that the results are right, and nothing of a GPU's speed.");
    }
    println!(
        "GB/s of pixels; M/s: million images a second\n{:<18}{:>7}{:>8}{:>7}{:>7} |{:>8}{:>7}{:>8} |{:>9}{:>10} |{:>9}{:>9}{:>9}",
        "images",
        "up",
        "kernel",
        "down",
        "copy",
        "cpu",
        "gpu",
        "hybrid",
        "resident",
        "on device",
        "cpu M/s",
        "gpu M/s",
        "hyb M/s"
    );
    let mut cases = Vec::new();
    for (name, shape) in SHAPES {
        cases.push(case(args, name, shape.parse()?, &gpu, &engines)?);
    }
    println!("\n{:<76}{:>9}{:>9}{:>9}", "million images a second, resident", "copy", "cpu", "device");
    let mut augmented = Vec::new();
    for (shape, chain) in AUGMENTED {
        augmented.push(augment(args, shape.parse()?, chain, &gpu)?);
    }
    let result = json!({
        "date": date(),
        "adapter": adapter.name, "kind": adapter.kind, "api": adapter.api, "driver": adapter.driver,
        "software": adapter.software, "transfer_mode": gpu.transfer_mode()?.to_string(),
        "cpu": { "model": cpu_model(), "level": cpu.level.name(), "threads": cpu.threads },
        "megabytes": args.megabytes, "runs": args.runs,
        "unit": "GB/s of pixels, best of the runs", "cases": cases,
        "augmented_unit": "million images a second, best of the runs", "augmented": augmented,
    });
    let out = args.out.clone().or_else(|| {
        let name: String = adapter
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        // Cargo runs a bench in the folder of its package.
        let folder = PathBuf::from("results");
        (!args.quick).then(|| folder.join(format!("{}-gpu-{}.json", date(), name.trim_matches('-'))))
    });
    if let Some(out) = out {
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&out, format!("{result:#}\n"))?;
        println!("{}", out.display());
    }
    Ok(())
}

/// Rows of results, not a number until a kernel has written them.
#[derive(PartialEq)]
struct Results {
    values: Vec<f32>,
    stride: usize,
}

impl Results {
    fn new(images: usize, layout: &FeatureLayout) -> Self {
        Self { values: vec![f32::NAN; images * layout.stride()], stride: layout.stride() }
    }

    fn output(&mut self) -> FeaturesMut<'_> {
        FeaturesMut::new(&mut self.values, self.stride).expect("whole rows")
    }

    fn clear(&mut self) {
        self.values.fill(f32::NAN);
    }
}

fn case(args: &Args, name: &str, shape: ImageShape, gpu: &Arc<Gpu>, engines: &[Engine; 3]) -> Result<Value, Failure> {
    let images = ((args.megabytes << 20) / shape.values()).max(1);
    let mut random = Random::new(1, 0);
    let pixels: Vec<u8> =
        std::iter::repeat_with(|| random.bits().to_le_bytes()).flatten().take(images * shape.values()).collect();
    let item = Arc::new(Field::new("item", DataType::UInt8, false));
    let flat = Arc::new(UInt8Array::from(pixels));
    let column: ArrayRef = Arc::new(FixedSizeListArray::try_new(item, shape.values() as i32, flat.clone(), None)?);
    let batch = ImageBatch::from_array(&column, "image", shape, PixelType::U8)?;
    let pixels: &[u8] = flat.values();
    let layout = FeatureSet::default().layout(shape, 255.0)?;
    let rates = gpu.rates(shape, pixels.len().min(256 << 20))?;

    let mut wanted = Results::new(images, &layout);
    engines[0].featurize(&batch, &layout, wanted.output())?;
    check_with_oracle(&wanted, pixels, &layout)?;
    let rate = |took: Duration| pixels.len() as f64 / took.as_secs_f64() / 1e9;
    let mut got = Results::new(images, &layout);
    let mut streams = [0.0; 3];
    for (engine, stream) in engines.iter().zip(&mut streams) {
        got.clear();
        let took = best(args.runs, || Ok(engine.featurize(&batch, &layout, got.output()).map(drop)?))?;
        if got != wanted {
            return Err(format!("{name}: {} computes something else", engine.info()).into());
        }
        *stream = rate(took);
    }
    if engines[1].info().backend != Backend::Gpu {
        return Err(format!("{name}: {}", engines[1].info()).into());
    }

    let there = gpu.upload(shape, pixels)?;
    got.clear();
    let took = best(args.runs, || Ok(there.featurize(&layout, 0..images, got.output())?))?;
    if got != wanted {
        return Err(format!("{name}: resident images give something else").into());
    }
    let resident = rate(took);
    // Features that stay are checked by the tests; here they are waited for.
    let (device, _) = gpu.device()?;
    let took = best(args.runs, || {
        let features = there.features(&layout, 0..images)?;
        device.poll(gpu_wait())?;
        assert_eq!(features.images, images);
        Ok(())
    })?;
    let on_device = rate(took);
    let [cpu, gpu_rate, hybrid] = streams;
    let millions = |rate: f64| rate * 1e3 / shape.values() as f64;
    println!(
        "{:<18}{:>7.1}{:>8.1}{:>7.1}{:>7.1} |{:>8.1}{:>7.1}{:>8.1} |{:>9.1}{:>10.1} |{:>9.2}{:>9.2}{:>9.2}{}",
        format!("{name} {shape}"),
        rates.up,
        rates.kernel,
        rates.down,
        rates.copy,
        cpu,
        gpu_rate,
        hybrid,
        resident,
        on_device,
        millions(cpu),
        millions(gpu_rate),
        millions(hybrid),
        if rates.kernel_by_timestamps { "" } else { "  (kernel by the wall clock)" },
    );
    Ok(json!({
        "name": name, "shape": shape.to_string(), "images": images, "bytes": pixels.len(),
        "up": rates.up, "kernel": rates.kernel, "kernel_by_timestamps": rates.kernel_by_timestamps, "down": rates.down,
        "copy": rates.copy, "cpu": cpu, "gpu": gpu_rate, "hybrid": hybrid, "resident": resident, "on_device": on_device,
        "checked": "all against the CPU's bytes, the first against the oracle",
    }))
}

/// An epoch of a chain of stages over resident images, beside a copy of them on the device and the chain on the CPU.
fn augment(args: &Args, shape: ImageShape, text: &str, gpu: &Arc<Gpu>) -> Result<Value, Failure> {
    let megabytes = if args.quick { 1 } else { args.megabytes.min(AUGMENTED_MEGABYTES) };
    let images = ((megabytes << 20) / shape.values()).max(1);
    let mut random = Random::new(2, 0);
    let pixels: Vec<u8> =
        std::iter::repeat_with(|| random.bits().to_le_bytes()).flatten().take(images * shape.values()).collect();
    let pipeline = Pipeline::new(text.parse()?, 1, shape, PixelType::U8)?;
    let ids: Vec<u64> = (0..images as u64).collect();
    let mut wanted = vec![0; images * pipeline.shape().values()];
    let on_cpu = best(args.runs, || Ok(pipeline.apply(&ids, 3, &pixels, &mut wanted)?))?;
    let there = gpu.upload(shape, &pixels)?;
    if there.apply(&pipeline, &ids, 3)?.read_back()?.as_slice() != wanted.as_slice().into() {
        return Err(format!("{text}: the device gives other images than the CPU").into());
    }
    let (device, queue) = gpu.device()?;
    let on_device = best(args.runs, || {
        let new = there.apply(&pipeline, &ids, 3)?;
        device.poll(gpu_wait())?;
        assert_eq!(new.len(), images);
        Ok(())
    })?;
    let bytes = pixels.len().next_multiple_of(16) as u64;
    let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let buffer =
        || device.create_buffer(&wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false });
    let (from, to) = (buffer(), buffer());
    let copied = best(args.runs, || {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
        queue.submit([encoder.finish()]);
        device.poll(gpu_wait())?;
        Ok(())
    })?;
    let rate = |took: Duration| images as f64 / took.as_secs_f64() / 1e6;
    let [copy, cpu, device] = [copied, on_cpu, on_device].map(rate);
    println!("{:<76}{copy:>9.3}{cpu:>9.3}{device:>9.3}", format!("{shape} {text}"));
    Ok(json!({
        "shape": shape.to_string(), "stages": text, "images": images, "copy": copy, "cpu": cpu, "device": device,
        "checked": "all against the CPU's bytes",
    }))
}

fn gpu_wait() -> wgpu::PollType {
    wgpu::PollType::wait_indefinitely()
}

/// The first run pays for compilation and fresh memory, and does not count.
fn best(runs: usize, mut run: impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    run()?;
    let mut best = Duration::MAX;
    for _ in 0..runs.max(1) {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn check_with_oracle(got: &Results, pixels: &[u8], layout: &FeatureLayout) -> Result<(), Failure> {
    let shape = layout.shape();
    for (row, image) in
        pixels.chunks_exact(shape.values()).take(CHECKED.min(1 + (64 << 20) / shape.values())).enumerate()
    {
        if got.values[row * got.stride..][..got.stride] != reference::features(layout, image) {
            return Err(format!("{shape}: image {row} is not the oracle's").into());
        }
    }
    Ok(())
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()))
}

/// Today, in UTC, as 2026-01-31: days since 1970 turned into a civil date.
fn date() -> String {
    let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}
