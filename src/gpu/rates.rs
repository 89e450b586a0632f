//! What a device does in a second, timed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Gpu;
use super::command::{Command, read_mapped, run, submit};
use super::context::{Context, HEAD_BYTES};
use super::fault::GpuError;
use super::layout::VECTOR_BYTES;
use super::plan::BlockPlan;
use crate::base::shape::{ImageShape, PixelType};
use crate::features::FeatureSet;

const WORD: usize = size_of::<u32>();
/// How often a thing is timed; the best counts. The first time also pays for what is made only once.
const TRIALS: usize = 4;
/// Threads that fill a buffer.
const FILLERS: usize = 8;

/// The shortest of some runs.
pub(super) fn best_of_trials(mut run: impl FnMut() -> Result<(), GpuError>) -> Result<Duration, GpuError> {
    let mut best = Duration::MAX;
    for _ in 0..TRIALS {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// What a device does in a second, in GB.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct DeviceRates {
    /// From the CPU's memory to the device's, filling the buffer included, by the wall clock.
    pub up: f64,
    /// Pixels through the kernels, the records' way back not included.
    pub kernel: f64,
    /// Whether the kernels were timed by the device itself; else it is the wall clock, with the cost of a submission.
    pub kernel_by_timestamps: bool,
    /// From the device's memory to the CPU's, by the wall clock.
    pub down: f64,
    /// From one place in the device's memory to another: what a copy moves, read once and written once.
    pub copy: f64,
}

/// How long each stage takes over some bytes.
#[derive(Debug)]
pub(super) struct RateTrial {
    pub(super) bytes: usize,
    pub(super) up: Duration,
    pub(super) kernel: Duration,
    pub(super) kernel_by_timestamps: bool,
    pub(super) down: Duration,
    pub(super) copy: Duration,
}

impl Gpu {
    /// Times the device on `bytes` of 8-bit images of `shape`, at least one image and no more than a buffer holds.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] if one image is larger than a buffer can be. Any other error is the device's last.
    pub fn rates(self: &Arc<Self>, shape: ImageShape, bytes: usize) -> Result<DeviceRates, GpuError> {
        let trial = self.trial(shape, bytes)?;
        let rate = |took: Duration| trial.bytes as f64 / took.as_secs_f64().max(1e-9) / 1e9;
        Ok(DeviceRates {
            up: rate(trial.up),
            kernel: rate(trial.kernel),
            kernel_by_timestamps: trial.kernel_by_timestamps,
            down: rate(trial.down),
            copy: rate(trial.copy),
        })
    }

    pub(super) fn trial(&self, shape: ImageShape, bytes: usize) -> Result<RateTrial, GpuError> {
        let context = &self.ring()?.context;
        let max = context.buffer_bytes();
        if shape.values() > max {
            return Err(GpuError::TooLarge { bytes: shape.values() as u64, max: max as u64 });
        }
        let images = (bytes.min(max) / shape.values()).max(1);
        self.trial_of(context, shape, images).map_err(|error| self.failed(error))
    }

    fn trial_of(&self, context: &Context, shape: ImageShape, images: usize) -> Result<RateTrial, GpuError> {
        use wgpu::BufferUsages as Use;
        let pixels: Vec<u8> = (0..images * shape.values()).map(|i| (i % 251) as u8).collect();
        let size = pixels.len().next_multiple_of(VECTOR_BYTES) as u64;
        let [upload, here, there, readback] = context.scoped(|| {
            Ok([
                context.buffer("upload", size, Use::MAP_WRITE | Use::COPY_SRC, true),
                context.buffer("here", size, Use::STORAGE | Use::COPY_DST | Use::COPY_SRC, false),
                context.buffer("there", size, Use::COPY_DST | Use::COPY_SRC, false),
                context.buffer("readback", size, Use::MAP_READ | Use::COPY_DST, false),
            ])
        })?;
        let up = best_of_trials(|| {
            run(
                context,
                &[
                    Command::Upload { to: &upload, pieces: vec![(0, &pixels)], threads: FILLERS },
                    Command::Copy { from: &upload, to: &here, bytes: size },
                    Command::Reclaim { buffer: &upload },
                ],
            )
        })?;
        let copy = best_of_trials(|| {
            run(context, &[Command::Copy { from: &here, to: &there, bytes: size }, Command::Notify])
        })?;
        let mut returned = vec![0u8; pixels.len()];
        let down = best_of_trials(|| {
            let commands = [
                Command::Copy { from: &here, to: &readback, bytes: size },
                Command::Download { from: &readback, bytes: size },
            ];
            run(context, &commands)?;
            context.scoped(|| read_mapped(&readback, size, |bytes| returned.copy_from_slice(&bytes[..pixels.len()])))
        })?;
        if returned != pixels {
            return Err(GpuError::Lost("it returned other bytes than it was sent".into()));
        }
        let (kernel, kernel_by_timestamps) = self.time_kernel(&here, shape, images)?;
        Ok(RateTrial { bytes: pixels.len(), up, kernel, kernel_by_timestamps, down, copy })
    }

    /// How long the kernels take over images that are on the device, and whether timestamps say so.
    fn time_kernel(
        &self,
        pixels: &wgpu::Buffer,
        shape: ImageShape,
        images: usize,
    ) -> Result<(Duration, bool), GpuError> {
        use wgpu::BufferUsages as Use;
        let ring = self.ring()?;
        let context = &ring.context;
        let plan = BlockPlan::new(&FeatureSet::default(), shape, PixelType::U8)
            .ok_or_else(|| GpuError::Validation("no plan for the trial".into()))?;
        // As it would be with much work.
        let kernel = ring.kernels.of(context, &plan, usize::MAX)?;
        let chunk = plan.chunk(images, shape.height(), 1.0);
        let params = plan.params(0, &chunk);
        let bindings = context.scoped(|| {
            let buffer = |bytes, usage| context.buffer("trial", bytes, usage, false);
            let results = buffer((chunk.result_words * WORD) as u64, Use::STORAGE);
            let records = kernel.merge.is_some().then(|| buffer((chunk.record_words * WORD) as u64, Use::STORAGE));
            let head = context.buffer("params", HEAD_BYTES, Use::UNIFORM, true);
            submit(
                context,
                &[Command::Upload { to: &head, pieces: vec![(0, bytemuck::bytes_of(&params))], threads: 1 }],
            )?;
            let (head, pixels) = (head.as_entire_binding(), pixels.as_entire_binding());
            Ok(ring.kernels.bind_kernel(&context.device, &head, pixels, records.as_ref(), &results))
        })?;
        let stamped = context.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let stamps = context.scoped(|| {
            Ok(stamped.then(|| {
                let descriptor =
                    wgpu::QuerySetDescriptor { label: Some("trial"), ty: wgpu::QueryType::Timestamp, count: 2 };
                let ticks = context.buffer("ticks", 16, Use::QUERY_RESOLVE | Use::COPY_SRC, false);
                let readback = context.buffer("ticks", 16, Use::MAP_READ | Use::COPY_DST, false);
                (context.device.create_query_set(&descriptor), ticks, readback)
            }))
        })?;
        let mut by_timestamps = Duration::MAX;
        let elapsed = best_of_trials(|| {
            let dispatches = kernel.dispatches(&chunk, &bindings)?;
            let Some((queries, ticks, readback)) = &stamps else {
                return run(context, &[Command::Compute { dispatches, timestamps: None }, Command::Notify]);
            };
            let commands = [
                Command::Compute { dispatches, timestamps: Some(queries) },
                Command::ResolveTimestamps { from: queries, to: ticks },
                Command::Copy { from: ticks, to: readback, bytes: 16 },
                Command::Download { from: readback, bytes: 16 },
            ];
            run(context, &commands)?;
            let [start, end]: [u64; 2] = context.scoped(|| read_mapped(readback, 16, bytemuck::pod_read_unaligned))?;
            let nanos = end.saturating_sub(start) as f64 * f64::from(context.queue.get_timestamp_period());
            by_timestamps = by_timestamps.min(Duration::from_secs_f64(nanos / 1e9));
            Ok(())
        })?;
        // A device whose clock stands still tells nothing.
        let told = by_timestamps > Duration::ZERO && by_timestamps < Duration::MAX;
        Ok((if told { by_timestamps } else { elapsed }, told))
    }
}
