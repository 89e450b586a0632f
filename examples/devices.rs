//! The adapters of this machine: what they are, what they do in a second, and what `--backend auto` would take.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use pixelfeat::gpu::{AdapterInfo, Gpu, GpuError, wgpu};
use pixelfeat::{Engine, EngineOptions, Error, ImageShape};

/// List GPU adapters with their limits, features and measured rates, and say what `auto` would take for some images.
#[derive(Parser)]
#[command(name = "devices", version, max_term_width = 110)]
struct Args {
    /// The image shape.
    #[arg(long, value_name = "HxW[xC]", default_value = "28x28")]
    shape: ImageShape,
    /// How many such images there are.
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    images: usize,
    /// Megabytes that rates are measured with.
    #[arg(long, value_name = "MB", default_value_t = 64)]
    megabytes: usize,
}

/// Rows in a batch, as `featurize` reads them.
const BATCH: usize = 8192;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Error> {
    let engine = Engine::new(EngineOptions::default())?;
    let cpu = engine.info();
    println!("cpu: {}, {} threads", cpu.level, cpu.threads);
    let adapters = match Gpu::all() {
        Ok(adapters) => adapters,
        Err(error) => {
            println!("{error}");
            Vec::new()
        }
    };
    if adapters.is_empty() {
        println!("no adapters; auto takes the CPU");
    }
    for (adapter, gpu) in adapters {
        println!("\n{adapter}\n  kind      {}\n  driver    {}", adapter.kind, adapter.driver);
        match gpu.map(Arc::new) {
            Ok(gpu) => match describe(&gpu, args) {
                Ok(text) => {
                    print!("{text}");
                    let forecast = engine.forecast(&gpu, args.shape, args.images, BATCH)?;
                    println!(
                        "  auto      {} for {} images of {}: {}",
                        forecast.backend, args.images, args.shape, forecast.reason
                    );
                }
                Err(error) => failed(&adapter, &error),
            },
            Err(error) => failed(&adapter, &error),
        }
    }
    Ok(())
}

fn failed(adapter: &AdapterInfo, error: &GpuError) {
    println!("  not used  {error}\n  auto      cpu, without {}", adapter.name);
}

fn describe(gpu: &Arc<Gpu>, args: &Args) -> Result<String, GpuError> {
    let (device, _) = gpu.device()?;
    let (limits, features) = (device.limits(), device.features());
    let has = |feature| if features.contains(feature) { "yes" } else { "no" };
    let rates = gpu.rates(args.shape, args.megabytes << 20)?;
    Ok(format!(
        "  limits    {} MB a binding, {} MB a buffer, {} groups a dimension, {} KB a workgroup\n\
         \x20 features  mappable buffers {}, timestamps {}, pipeline cache {}\n\
         \x20 way       {}\n\
         \x20 rates     {:.1} GB/s up, {:.1} down, {:.1} through the kernels{}, {:.1} copied\n",
        limits.max_storage_buffer_binding_size >> 20,
        limits.max_buffer_size >> 20,
        limits.max_compute_workgroups_per_dimension,
        limits.max_compute_workgroup_storage_size >> 10,
        has(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
        has(wgpu::Features::TIMESTAMP_QUERY),
        has(wgpu::Features::PIPELINE_CACHE),
        gpu.transfer_mode()?,
        rates.up,
        rates.down,
        rates.kernel,
        if rates.kernel_by_timestamps { "" } else { " (by the wall clock)" },
        rates.copy,
    ))
}
