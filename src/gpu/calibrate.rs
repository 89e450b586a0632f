//! What an adapter does in practice, where its kind does not tell.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::Gpu;
use super::context::{AdapterInfo, Context};
use super::fault::GpuError;
use super::plan::Plan;
use super::resident::{fill, settle};
use super::ring::{self, PATIENCE, Ring, Source, Way, await_answers};
use crate::base::shape::ImageShape;

/// Bytes that a way up is timed with.
const TRIAL_BYTES: usize = 8 << 20;
/// How often a thing is timed; the best counts. The first time also pays for what is made only once.
const TRIALS: usize = 4;

/// The way of an adapter, timed the first time that the process meets it, where several are open to it.
pub(super) fn way(ring: &Ring, adapter: &AdapterInfo) -> Result<Way, GpuError> {
    static KNOWN: Mutex<Vec<(AdapterInfo, Way)>> = Mutex::new(Vec::new());
    if !ring.context.device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS) {
        return Ok(Way::Copied);
    }
    match adapter.kind.as_str() {
        // One memory: whatever is copied is copied for nothing.
        "software" | "integrated" => return Ok(Way::Shared),
        _ => {}
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, way)) = known.iter().find(|(known, _)| known == adapter) {
        return Ok(*way);
    }
    let copied = time_way(ring, Way::Copied)?;
    let written = time_way(ring, Way::Written)?;
    let way = if written < copied { Way::Written } else { Way::Copied };
    tracing::debug!(%adapter, ?copied, ?written, ?way, "timed the ways to the GPU");
    known.push((adapter.clone(), way));
    Ok(way)
}

/// How long a chunk takes from the CPU's memory to its records there.
pub(super) fn time_way(ring: &Ring, way: Way) -> Result<Duration, GpuError> {
    let side = TRIAL_BYTES.isqrt();
    let shape = ImageShape::gray(side, side).map_err(|error| GpuError::Validation(error.to_string()))?;
    let plan = Plan::of::<u8>(shape);
    let pixels = vec![1u8; shape.values()];
    best(|| {
        let flight = ring.send(ring.lend()?, way, &plan, plan.chunk(1, side), Source::Host(&pixels))?;
        flight.land(|_| Ok(())).map(drop)
    })
}

fn best(mut run: impl FnMut() -> Result<(), GpuError>) -> Result<Duration, GpuError> {
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

impl Gpu {
    /// How images reach the kernels on this device. Timed at the first call, where the adapter's kind leaves it open.
    ///
    /// # Errors
    /// The device's failure, if it has failed or does now.
    pub fn way(&self) -> Result<Way, GpuError> {
        if let Some(way) = self.way.get() {
            return Ok(*way);
        }
        let way = way(self.ring()?, &self.adapter).map_err(|error| self.failed(error))?;
        Ok(*self.way.get_or_init(|| way))
    }

    /// Times the device on `bytes` of 8-bit images of `shape`, at least one image and no more than a buffer holds.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] if one image is larger than a buffer can be. Any other error is the device's last.
    pub fn rates(self: &Arc<Self>, shape: ImageShape, bytes: usize) -> Result<DeviceRates, GpuError> {
        let context = &self.ring()?.context;
        let most = context.buffer_bytes();
        if shape.values() > most {
            return Err(GpuError::TooLarge { bytes: shape.values() as u64, most: most as u64 });
        }
        let images = (bytes.min(most) / shape.values()).max(1);
        self.rates_of(context, shape, images).map_err(|error| self.failed(error))
    }

    fn rates_of(&self, context: &Context, shape: ImageShape, images: usize) -> Result<DeviceRates, GpuError> {
        use wgpu::BufferUsages as Use;
        let pixels = vec![1u8; images * shape.values()];
        let size = pixels.len().next_multiple_of(16) as u64;
        let buffer = |label, usage, mapped_at_creation| {
            context.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation,
            })
        };
        let [upload, here, there, readback] = context.scoped(|| {
            Ok([
                buffer("upload", Use::MAP_WRITE | Use::COPY_SRC, true),
                buffer("here", Use::STORAGE | Use::COPY_DST | Use::COPY_SRC, false),
                buffer("there", Use::COPY_DST | Use::COPY_SRC, false),
                buffer("readback", Use::MAP_READ | Use::COPY_DST, false),
            ])
        })?;
        let copy = |from: &wgpu::Buffer, to: &wgpu::Buffer| {
            let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
            encoder.copy_buffer_to_buffer(from, 0, to, 0, size);
            context.queue.submit([encoder.finish()]);
        };
        let map = |buffer: &wgpu::Buffer, mode| {
            let (told, answers) = mpsc::channel();
            buffer.map_async(mode, .., move |answer| drop(told.send(answer)));
            await_answers(context, &answers, 1, PATIENCE)
        };
        let up = best(|| {
            context.scoped(|| {
                fill(&upload, &pixels)?;
                upload.unmap();
                copy(&upload, &here);
                map(&upload, wgpu::MapMode::Write)
            })
        })?;
        let moved = best(|| {
            context.scoped(|| {
                copy(&here, &there);
                settle(context)
            })
        })?;
        let mut sink = vec![0u8; pixels.len()];
        let down = best(|| {
            context.scoped(|| {
                copy(&here, &readback);
                map(&readback, wgpu::MapMode::Read)?;
                let view = readback.get_mapped_range(..).map_err(ring::unmappable)?;
                sink.copy_from_slice(&view[..pixels.len()]);
                drop(view);
                readback.unmap();
                Ok(())
            })
        })?;
        let (kernel, kernel_by_timestamps) = self.time_kernel(&here, shape, images)?;
        let rate = |took: Duration| pixels.len() as f64 / took.as_secs_f64().max(1e-9) / 1e9;
        let (up, kernel, down, copy) = (rate(up), rate(kernel), rate(down), rate(moved));
        Ok(DeviceRates { up, kernel, kernel_by_timestamps, down, copy })
    }

    /// How long the kernels take over images that are on the device.
    fn time_kernel(
        &self,
        pixels: &wgpu::Buffer,
        shape: ImageShape,
        images: usize,
    ) -> Result<(Duration, bool), GpuError> {
        use wgpu::BufferUsages as Use;
        let ring = self.ring()?;
        let context = &ring.context;
        let plan = Plan::of::<u8>(shape);
        let kernel = ring.kernels.of(context, &plan)?;
        let chunk = plan.chunk(images, shape.height());
        let stamped = context.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let mut measured = Duration::MAX;
        let elapsed = best(|| {
            context.scoped(|| {
                let buffer = |words: usize, usage| {
                    let size = (words.max(4) * 4) as u64;
                    context.device.create_buffer(&wgpu::BufferDescriptor {
                        label: Some("trial"),
                        size,
                        usage,
                        mapped_at_creation: false,
                    })
                };
                let params = super::layout::Params { first: 0, images: images as u32, height: shape.height() as u32 };
                let head = buffer(4, Use::UNIFORM | Use::COPY_DST);
                context.queue.write_buffer(&head, 0, bytemuck::bytes_of(&params));
                let records = buffer(chunk.record_words, Use::STORAGE);
                let results = buffer(chunk.result_words, Use::STORAGE);
                let bind = |input: &wgpu::Buffer, output: &wgpu::Buffer| {
                    let [head, input, output] = [&head, input, output].map(|buffer| buffer.as_entire_binding());
                    ring.kernels.bind(&context.device, head, input, output)
                };
                let queries = stamped.then(|| {
                    context.device.create_query_set(&wgpu::QuerySetDescriptor {
                        label: Some("trial"),
                        ty: wgpu::QueryType::Timestamp,
                        count: 2,
                    })
                });
                let mut encoder =
                    context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
                {
                    let timestamp_writes = queries.as_ref().map(|queries| wgpu::ComputePassTimestampWrites {
                        query_set: queries,
                        beginning_of_pass_write_index: Some(0),
                        end_of_pass_write_index: Some(1),
                    });
                    let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                    let mut pass = encoder.begin_compute_pass(&descriptor);
                    if let Some(merge) = &kernel.merge {
                        ring::run(context, &mut pass, &kernel.blocks, &bind(pixels, &records), chunk.groups);
                        ring::run(context, &mut pass, merge, &bind(&records, &results), chunk.merge_groups);
                    } else {
                        ring::run(context, &mut pass, &kernel.blocks, &bind(pixels, &results), chunk.groups);
                    }
                }
                let Some(queries) = queries else {
                    context.queue.submit([encoder.finish()]);
                    return settle(context);
                };
                let stamps = buffer(4, Use::QUERY_RESOLVE | Use::COPY_SRC);
                let readback = buffer(4, Use::MAP_READ | Use::COPY_DST);
                encoder.resolve_query_set(&queries, 0..2, &stamps, 0);
                encoder.copy_buffer_to_buffer(&stamps, 0, &readback, 0, 16);
                context.queue.submit([encoder.finish()]);
                let (told, answers) = mpsc::channel();
                readback.map_async(wgpu::MapMode::Read, .., move |answer| drop(told.send(answer)));
                await_answers(context, &answers, 1, PATIENCE)?;
                let view = readback.get_mapped_range(..).map_err(ring::unmappable)?;
                let ticks: [u64; 2] = bytemuck::pod_read_unaligned(&view[..16]);
                let nanos = ticks[1].saturating_sub(ticks[0]) as f64 * f64::from(context.queue.get_timestamp_period());
                measured = measured.min(Duration::from_secs_f64(nanos / 1e9));
                Ok(())
            })
        })?;
        // A device whose clock stands still tells nothing.
        Ok(if stamped && measured > Duration::ZERO && measured < Duration::MAX {
            (measured, true)
        } else {
            (elapsed, false)
        })
    }
}
