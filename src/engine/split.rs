//! One batch on the GPU, or on CPU and GPU together.

use super::backend::Shares;
use super::cpu_side::Cpu;
use crate::base::pixels::PixelSlice;
use crate::base::shape::PixelType;
use crate::features::queue::Queue;
use crate::features::{FeatureLayout, FeaturesMut};
use crate::gpu::{Gpu, GpuError};

/// Computes with the GPU, with the CPU beside it if `both`. What a failing device leaves of integer pixels is computed on
/// the CPU, so that the output is complete either way.
pub(super) fn run(
    cpu: &Cpu,
    gpu: &Gpu,
    both: bool,
    layout: &FeatureLayout,
    pixels: PixelSlice<'_>,
    out: FeaturesMut<'_>,
) -> (Shares, Result<(), GpuError>) {
    let images = out.images();
    let queue = Queue::new(layout.shape(), pixels, out);
    let drain = || gpu.drain(&queue, layout, cpu.threads());
    let (on_gpu, done) = if both {
        std::thread::scope(|scope| {
            let other = std::thread::Builder::new().name("pixelfeat-gpu".into()).spawn_scoped(scope, drain);
            cpu.drain(&queue, layout);
            match other.map(|thread| thread.join()) {
                Ok(joined) => joined.unwrap_or_else(|_| (0, Err(GpuError::Lost("its thread panicked".into())))),
                // Without a thread for it, the CPU has done it all.
                Err(_) => (0, Ok(())),
            }
        })
    } else {
        drain()
    };
    if pixels.pixel_type() != PixelType::F32 {
        cpu.drain(&queue, layout);
    }
    (Shares { cpu: images - on_gpu, gpu: on_gpu }, done)
}
