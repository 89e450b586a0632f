//! Images that stay on the device: uploaded once, featurized as often as wanted.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::thread;

use super::Gpu;
use super::context::Context;
use super::fault::GpuError;
use super::layout::{Params, VECTOR_BYTES};
use super::pixel::{ExactPixel, GpuPixel};
use super::plan::{Cut, Plan};
use super::ring::{self, PATIENCE, Ring, Source, await_answers};
use super::stream::{Job, Stream};
use crate::base::shape::ImageShape;
use crate::features::{Finisher, Output};

const WORD: usize = size_of::<u32>();
/// Bytes of pixels that one dispatch takes: as much as hides its cost and keeps several threads busy with its results.
const CHUNK_BYTES: usize = 16 << 20;
/// Threads that fill a buffer.
const FILLERS: usize = 8;

/// Images of one shape on a device, in its own memory; freed when dropped.
#[derive(Debug)]
pub struct Images<P> {
    gpu: Arc<Gpu>,
    plan: Plan,
    shape: ImageShape,
    images: usize,
    cut: Cut,
    /// As `cut` says: so many images each, or image by image so many rows each.
    parts: Vec<wgpu::Buffer>,
    pixels: PhantomData<P>,
}

/// Features on a device, for an application's own kernels.
#[derive(Debug, Clone)]
pub struct DeviceFeatures {
    /// For each image [`DeviceFeatures::stride`] `f32` values: its features in their order
    /// ([`Finisher`](crate::Finisher)), then its mean and its deviation in raw units. Can be bound as storage, copied from
    /// and copied to.
    pub buffer: wgpu::Buffer,
    /// How many images.
    pub images: usize,
    /// Values from image to image: [`ImageShape::features`] + 2.
    pub stride: usize,
}

impl Gpu {
    /// Copies images into the device's memory, and returns when they are there. No images are fine.
    ///
    /// # Errors
    /// [`GpuError::Lengths`] if `pixels` are not whole images of `shape`. [`GpuError::OutOfMemory`] if there is no room;
    /// this and any other error is the device's last.
    pub fn upload<P: GpuPixel>(self: &Arc<Self>, shape: ImageShape, pixels: &[P]) -> Result<Images<P>, GpuError> {
        let images = pixels.len() / shape.values();
        if !pixels.len().is_multiple_of(shape.values()) {
            return Err(GpuError::Lengths { pixels: pixels.len(), images });
        }
        let ring = self.ring()?;
        let plan = Plan::of::<P>(shape);
        let cut = plan.cut(shape.height(), self.part_bytes(&ring.context));
        let parts = match cut {
            Cut::Images(images) => load(&ring.context, pixels.chunks(images * shape.values())),
            Cut::Rows(rows) => load(
                &ring.context,
                pixels.chunks(shape.values()).flat_map(|image| image.chunks(rows * shape.row_values())),
            ),
        };
        let parts = parts.map_err(|error| self.failed(error))?;
        Ok(Images { gpu: self.clone(), plan, shape, images, cut, parts, pixels: PhantomData })
    }
}

/// Uploads each part into a buffer of its own.
fn load<'p, P: GpuPixel>(
    context: &Context,
    parts: impl Iterator<Item = &'p [P]>,
) -> Result<Vec<wgpu::Buffer>, GpuError> {
    let buffers = context.scoped(|| {
        parts
            .map(|pixels| {
                let bytes: &[u8] = bytemuck::cast_slice(pixels);
                let buffer = context.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("images"),
                    size: bytes.len().next_multiple_of(VECTOR_BYTES) as u64,
                    usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: true,
                });
                fill(&buffer, bytes)?;
                buffer.unmap();
                Ok(buffer)
            })
            .collect::<Result<Vec<_>, GpuError>>()
    })?;
    settle(context)?;
    Ok(buffers)
}

/// Copies `bytes` to the start of a mapped buffer and zeros the rest of the last vector, with several threads if there is
/// much.
pub(super) fn fill(buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<(), GpuError> {
    let share = bytes.len().div_ceil(FILLERS).next_multiple_of(1 << 20).max(1 << 20);
    let copy = |(i, bytes): (usize, &[u8])| {
        let start = (i * share) as u64;
        let end = start + bytes.len().next_multiple_of(VECTOR_BYTES) as u64;
        let mut view = buffer.get_mapped_range_mut(start..end).map_err(ring::unmappable)?;
        view.slice(..bytes.len()).copy_from_slice(bytes);
        view.slice(bytes.len()..).fill(0);
        Ok(())
    };
    thread::scope(|scope| {
        let mut shares = bytes.chunks(share).enumerate();
        let first = shares.next();
        let others: Vec<_> = shares.map(|share| scope.spawn(move || copy(share))).collect();
        let done = first.map_or(Ok(()), copy);
        let lost = || Err(GpuError::Lost("a thread that fills a buffer panicked".into()));
        others.into_iter().fold(done, |done, other| done.and(other.join().unwrap_or_else(|_| lost())))
    })
}

/// Waits until the device has done all that it was given.
pub(super) fn settle(context: &Context) -> Result<(), GpuError> {
    let (told, answers) = mpsc::channel();
    context.scoped(|| {
        context.queue.submit([]);
        context.queue.on_submitted_work_done(move || drop(told.send(Ok(()))));
        Ok(())
    })?;
    await_answers(context, &answers, 1, PATIENCE)
}

impl<P: GpuPixel> Images<P> {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.images
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// The shape of the images.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The device that they are on.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// Writes the features of images `range` to every place of `out`; the same bytes as [`Gpu::featurize`] gives, and
    /// nothing is uploaded.
    ///
    /// # Errors
    /// [`GpuError::NotThere`] if there are no such images. Otherwise as [`Gpu::featurize`].
    pub fn featurize(&self, finisher: &Finisher, range: Range<usize>, out: Output<'_>) -> Result<(), GpuError> {
        self.check(finisher, &range)?;
        if !out.holds(range.len(), self.shape) {
            return Err(GpuError::Lengths { pixels: range.len() * self.shape.values(), images: out.images() });
        }
        let gpu = &*self.gpu;
        let stream = Stream { ring: gpu.ring()?, finisher, plan: &self.plan, way: gpu.way()?, chunk_bytes: None };
        let done = match self.cut {
            Cut::Images(images) => stream.drain_jobs::<P>(self.jobs(images, range, out)),
            Cut::Rows(rows) => {
                let bands = self.shape.height().div_ceil(rows);
                let mut out = Some(out);
                range.into_iter().try_for_each(|image| {
                    let Some((now, later)) = out.take().map(|out| out.split_at(1)) else { return Ok(()) };
                    out = Some(later);
                    let parts = self.parts[image * bands..][..bands].iter();
                    let parts = parts.map(|pixels| Source::Device { pixels, first: 0 });
                    stream.image_of_bands::<P>(parts, rows, now)
                })
            }
        };
        done.map_err(|error| gpu.failed(error))
    }

    /// The images of a range, chunk by chunk, with their places.
    fn jobs<'s>(&'s self, images: usize, range: Range<usize>, out: Output<'s>) -> Vec<Job<'s>> {
        let most = match self.plan.cut(self.shape.height(), CHUNK_BYTES) {
            Cut::Images(most) => most,
            Cut::Rows(_) => 1,
        };
        let mut jobs = Vec::new();
        let mut rest = out;
        let mut at = range.start;
        while at < range.end {
            // Up to the end of the part that it is in.
            let end = range.end.min(at + most).min((at / images + 1) * images);
            let (out, later) = rest.split_at(end - at);
            let source = Source::Device { pixels: &self.parts[at / images], first: at % images };
            jobs.push(Job { source, out });
            (rest, at) = (later, end);
        }
        jobs
    }

    fn check(&self, finisher: &Finisher, range: &Range<usize>) -> Result<(), GpuError> {
        if finisher.shape() != self.shape || range.start > range.end || range.end > self.images {
            return Err(GpuError::NotThere { start: range.start, end: range.end, images: self.images });
        }
        Ok(())
    }
}

impl<P: ExactPixel> Images<P> {
    /// Computes the features of images `range` into a buffer on the device, finished there in f32: every value is within
    /// 16 ULP of the one that [`Images::featurize`] gives (sums within 4), as far as the driver keeps to WGSL's accuracy
    /// of divisions and roots. Returns without waiting: what the application submits to the same queue comes after.
    ///
    /// Float pixels have no such bound, since their sums are rounded before, and no such method.
    ///
    /// # Errors
    /// [`GpuError::NotThere`] if there are no such images, [`GpuError::TooLarge`] if an image or the features are larger
    /// than a buffer can be. Any other error is the device's last.
    pub fn features(&self, finisher: &Finisher, range: Range<usize>) -> Result<DeviceFeatures, GpuError> {
        self.check(finisher, &range)?;
        let gpu = &*self.gpu;
        let ring = gpu.ring()?;
        let stride = self.shape.features() + 2;
        let bytes = range.len() * stride * WORD;
        let most = ring.context.limits.max_storage_buffer_binding_size.min(ring.context.limits.max_buffer_size);
        let Cut::Images(images) = self.cut else {
            return Err(GpuError::TooLarge { bytes: (self.shape.values() * size_of::<P>()) as u64, most });
        };
        if bytes as u64 > most {
            return Err(GpuError::TooLarge { bytes: bytes as u64, most });
        }
        let buffer = self.finish(ring, finisher, range.clone(), images, bytes).map_err(|error| gpu.failed(error))?;
        Ok(DeviceFeatures { buffer, images: range.len(), stride })
    }

    fn finish(
        &self,
        ring: &Ring,
        finisher: &Finisher,
        range: Range<usize>,
        images: usize,
        bytes: usize,
    ) -> Result<wgpu::Buffer, GpuError> {
        use wgpu::BufferUsages as Use;
        let context = &ring.context;
        let (plan, height) = (&self.plan, self.shape.height());
        let kernel = ring.kernels.of(context, plan)?;
        let finish = ring.kernels.finish(context, plan, height, finisher.scale())?;
        context.scoped(|| {
            let buffer = |label, bytes: usize, usage, mapped_at_creation| {
                let size = bytes.max(WORD) as u64;
                context.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(label),
                    size,
                    usage,
                    mapped_at_creation,
                })
            };
            let params = |first: usize, images: usize| -> Result<wgpu::Buffer, GpuError> {
                let params = Params { first: first as u32, images: images as u32, height: height as u32 };
                let to = buffer("params", size_of::<Params>(), Use::UNIFORM, true);
                let mut view = to.get_mapped_range_mut(..).map_err(ring::unmappable)?;
                view.copy_from_slice(bytemuck::bytes_of(&params));
                drop(view);
                to.unmap();
                Ok(to)
            };
            let features = buffer("features", bytes, Use::STORAGE | Use::COPY_SRC | Use::COPY_DST, false);
            let mut at = range.start;
            while at < range.end {
                let end = range.end.min((at / images + 1) * images);
                let chunk = plan.chunk(end - at, height);
                let from = params(at % images, end - at)?;
                let to = params(at - range.start, end - at)?;
                let results = buffer("results", chunk.result_words * WORD, Use::STORAGE, false);
                let bind = |params: &wgpu::Buffer, input: &wgpu::Buffer, output: &wgpu::Buffer| {
                    let [params, input, output] = [params, input, output].map(|buffer| buffer.as_entire_binding());
                    ring.kernels.bind(&context.device, params, input, output)
                };
                let pixels = &self.parts[at / images];
                let mut encoder =
                    context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
                {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    if let Some(merge) = &kernel.merge {
                        let records = buffer("records", chunk.record_words * WORD, Use::STORAGE, false);
                        let [blocks, merged] = [bind(&from, pixels, &records), bind(&from, &records, &results)];
                        ring::run(context, &mut pass, &kernel.blocks, &blocks, chunk.groups);
                        ring::run(context, &mut pass, merge, &merged, chunk.merge_groups);
                    } else {
                        ring::run(context, &mut pass, &kernel.blocks, &bind(&from, pixels, &results), chunk.groups);
                    }
                    ring::run(context, &mut pass, &finish, &bind(&to, &results, &features), end - at);
                }
                context.queue.submit([encoder.finish()]);
                at = end;
            }
            Ok(features)
        })
    }
}
