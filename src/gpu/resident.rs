//! Images that stay on the device: uploaded once, featurized as often as wanted.

use std::ops::Range;
use std::sync::Arc;

use super::Gpu;
use super::command::{Command, Dispatch, PATIENCE, submit};
use super::context::{Context, HEAD_BYTES};
use super::fault::GpuError;
use super::layout::{HALO_ROWS, Params, VECTOR_BYTES};
use super::plan::{BlockPlan, Cut, bands, with_halo};
use super::ring::Ring;
use super::slot::PixelOrigin;
use super::stream::{ChunkJob, JobPixels, Stream};
use crate::base::pixels::PixelSlice;
use crate::base::shape::{ImageShape, PixelType};
use crate::features::family::DeviceForm;
use crate::features::{FeatureLayout, FeaturesMut};

const WORD: usize = size_of::<u32>();
/// Bytes of pixels that one dispatch takes: as much as hides its cost and keeps several threads busy with its results.
const CHUNK_BYTES: usize = 16 << 20;
/// Threads that fill a buffer.
const FILLERS: usize = 8;

/// Images of one shape on a device, in its own memory; freed when dropped.
#[derive(Debug)]
pub struct Images {
    pub(super) gpu: Arc<Gpu>,
    pub(super) pixel_type: PixelType,
    pub(super) shape: ImageShape,
    pub(super) images: usize,
    pub(super) held: Held,
    /// As `held` says: so many images each, or image by image so many rows each.
    pub(super) parts: Vec<wgpu::Buffer>,
}

/// What each buffer holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held {
    /// So many whole images.
    Images(usize),
    /// So many rows of one image, with the rows around them ([`with_halo`]).
    Rows(usize),
}

impl Held {
    /// As much as a buffer takes.
    fn of(shape: ImageShape, pixel_type: PixelType, max_bytes: usize) -> Self {
        match max_bytes / (shape.values() * pixel_type.bytes()) {
            0 => {
                let rows = max_bytes / (shape.row_values() * pixel_type.bytes());
                Held::Rows(rows.saturating_sub(2 * HALO_ROWS).max(1))
            }
            images => Held::Images(images),
        }
    }
}

/// Features on a device, for an application's own kernels.
#[derive(Debug, Clone)]
pub struct DeviceFeatures {
    /// For each image [`DeviceFeatures::stride`] `f32` values, as the [`FeatureLayout`] says. Can be bound as storage,
    /// copied from and copied to.
    pub buffer: wgpu::Buffer,
    /// How many images.
    pub images: usize,
    /// Values from image to image: [`FeatureLayout::stride`].
    pub stride: usize,
}

impl Gpu {
    /// Copies images into the device's memory, and returns when they are there. No images are fine.
    ///
    /// # Errors
    /// [`GpuError::Lengths`] if `pixels` are not whole images of `shape`. [`GpuError::OutOfMemory`] if there is no room;
    /// this and any other error is the device's last.
    pub fn upload<'a>(
        self: &Arc<Self>,
        shape: ImageShape,
        pixels: impl Into<PixelSlice<'a>>,
    ) -> Result<Images, GpuError> {
        let pixels = pixels.into();
        let images = pixels.len() / shape.values();
        if !pixels.len().is_multiple_of(shape.values()) {
            return Err(GpuError::Lengths { pixels: pixels.len(), images });
        }
        let ring = self.ring()?;
        let pixel_type = pixels.pixel_type();
        let held = Held::of(shape, pixel_type, self.part_bytes(&ring.context));
        let parts = match held {
            Held::Images(images) => load(&ring.context, pixels.chunks(images * shape.values())),
            Held::Rows(rows) => {
                let around = bands(shape.height(), rows).map(|band| with_halo(&band, shape.height()));
                let part = |image: PixelSlice<'a>, rows: Range<usize>| {
                    image.range(rows.start * shape.row_values()..rows.end * shape.row_values())
                };
                let parts = pixels.chunks(shape.values());
                load(&ring.context, parts.flat_map(|image| around.clone().map(move |rows| part(image, rows))))
            }
        };
        let parts = parts.map_err(|error| self.failed(error))?;
        Ok(Images { gpu: self.clone(), pixel_type, shape, images, held, parts })
    }
}

impl Images {
    /// Images that a buffer of an application holds, from its start on: pixels of this type, packed as in a column, image after image,
    /// without gaps. Nothing is copied. The buffer must belong to the same device ([`Gpu::with_device`] or
    /// [`Gpu::device`]), have the usage `STORAGE` and not be mapped while these images are in use; its size must be at
    /// least that of the images, rounded up to 16 bytes. What is written to it before a call is what that call sees. No
    /// images are fine.
    ///
    /// # Errors
    /// [`GpuError::Buffer`] if the buffer lacks the usage or is too small. [`GpuError::TooLarge`] if it is larger than the
    /// device can bind, or one image is larger than one dispatch takes. Neither harms the device. Any other error is the
    /// device's last, such as that of a buffer of another device.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use pixelfeat::PixelType;
    /// use pixelfeat::gpu::{Gpu, GpuError, Images, wgpu};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gpu = match Gpu::open(true) {
    ///     Ok(gpu) => Arc::new(gpu),
    ///     Err(GpuError::NoAdapter(_)) => return Ok(()),
    ///     Err(error) => return Err(error.into()),
    /// };
    /// let (device, queue) = gpu.device()?;
    /// let buffer = device.create_buffer(&wgpu::BufferDescriptor {
    ///     label: None,
    ///     size: 3 * 784,
    ///     usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
    ///     mapped_at_creation: false,
    /// });
    /// queue.write_buffer(&buffer, 0, &[7; 3 * 784]);
    /// let images = Images::from_buffer(&gpu, "28x28".parse()?, PixelType::U8, 3, buffer)?;
    /// assert_eq!(images.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_buffer(
        gpu: &Arc<Gpu>,
        shape: ImageShape,
        pixel_type: PixelType,
        images: usize,
        buffer: wgpu::Buffer,
    ) -> Result<Self, GpuError> {
        let context = &gpu.ring()?.context;
        let refused = |why: String| Err(GpuError::Buffer(why));
        let image_bytes = shape.values() * pixel_type.bytes();
        if image_bytes > gpu.part_bytes(context) {
            return Err(GpuError::TooLarge { bytes: image_bytes as u64, max: gpu.part_bytes(context) as u64 });
        }
        // Kernels count bytes in 32 bits.
        let max = context.limits.max_storage_buffer_binding_size.min(u64::from(u32::MAX));
        if buffer.size() > max {
            return Err(GpuError::TooLarge { bytes: buffer.size(), max });
        }
        let needed = images.checked_mul(image_bytes).and_then(|bytes| bytes.checked_next_multiple_of(VECTOR_BYTES));
        if needed.is_none_or(|needed| needed as u64 > buffer.size()) {
            return refused(format!("{} bytes do not hold {images} images of {shape}", buffer.size()));
        }
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return refused("its usage lacks STORAGE".into());
        }
        if images > 0 {
            // wgpu knows what else a buffer may lack.
            let bound = context.scoped(|| gpu.ring()?.kernels.try_bind(context, &buffer));
            match bound {
                Err(GpuError::Validation(why)) => return refused(why),
                bound => bound.map_err(|error| gpu.failed(error))?,
            }
        }
        let parts = if images > 0 { vec![buffer] } else { Vec::new() };
        let held = Held::Images(images.max(1));
        Ok(Self { gpu: gpu.clone(), pixel_type, shape, images, held, parts })
    }
}

/// Uploads each part into a buffer of its own.
fn load<'p>(context: &Context, parts: impl Iterator<Item = PixelSlice<'p>>) -> Result<Vec<wgpu::Buffer>, GpuError> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let (buffers, submission) = context.scoped(|| {
        let parts: Vec<&[u8]> = parts.map(PixelSlice::as_bytes).collect();
        let size = |bytes: &[u8]| bytes.len().next_multiple_of(VECTOR_BYTES) as u64;
        let buffers: Vec<_> = parts.iter().map(|bytes| context.buffer("images", size(bytes), usage, true)).collect();
        let upload = |(to, bytes)| Command::Upload { to, pieces: vec![(0, bytes)], threads: FILLERS };
        let uploads = buffers.iter().zip(parts).map(upload);
        let commands: Vec<_> = uploads.chain([Command::Notify]).collect();
        let submission = submit(context, &commands)?;
        Ok((buffers, submission))
    })?;
    submission.wait(context, PATIENCE)?;
    Ok(buffers)
}

impl Images {
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
    pub fn featurize(&self, layout: &FeatureLayout, range: Range<usize>, out: FeaturesMut<'_>) -> Result<(), GpuError> {
        self.check(layout, &range)?;
        if out.images() != range.len() || out.stride() != layout.stride() {
            return Err(GpuError::Lengths { pixels: range.len() * self.shape.values(), images: out.images() });
        }
        let gpu = &*self.gpu;
        let (ring, transfer_mode, plan) = (gpu.ring()?, gpu.transfer_mode()?, self.plan(layout)?);
        let kernel = ring.kernels.of(&ring.context, &plan, self.bytes(&range)).map_err(|error| gpu.failed(error))?;
        let stream = Stream { ring, layout, plan: &plan, kernel: &kernel, transfer_mode, chunk_bytes: None };
        let done = match self.held {
            Held::Images(images) => stream.drain_jobs(self.jobs(&plan, images, range, out)),
            Held::Rows(rows) => {
                let bands = self.shape.height().div_ceil(rows);
                let mut out = Some(out);
                range.into_iter().try_for_each(|image| {
                    let Some((now, later)) = out.take().map(|out| out.split_at(1)) else { return Ok(()) };
                    out = Some(later);
                    let parts = self.parts[image * bands..][..bands].iter();
                    let parts = parts.map(|pixels| PixelOrigin::Device { pixels, first: 0 });
                    stream.image_of_bands(parts, rows, now)
                })
            }
        };
        done.map_err(|error| gpu.failed(error))
    }

    /// The images of a range, chunk by chunk, with their places.
    fn jobs<'s>(
        &'s self,
        plan: &BlockPlan,
        images: usize,
        range: Range<usize>,
        out: FeaturesMut<'s>,
    ) -> Vec<ChunkJob<'s>> {
        let max = match plan.cut(self.shape.height(), CHUNK_BYTES) {
            Cut::Images(max) => max,
            Cut::Rows(_) => 1,
        };
        let mut jobs = Vec::new();
        let mut rest = out;
        let mut at = range.start;
        while at < range.end {
            // Up to the end of the part that it is in.
            let end = range.end.min(at + max).min((at / images + 1) * images);
            let (out, later) = rest.split_at(end - at);
            let pixels = JobPixels::Device { pixels: &self.parts[at / images], first: at % images };
            jobs.push(ChunkJob { pixels, out });
            (rest, at) = (later, end);
        }
        jobs
    }

    /// Bytes of the pixels of a range.
    fn bytes(&self, range: &Range<usize>) -> usize {
        range.len() * self.shape.values() * self.pixel_type.bytes()
    }

    /// How the images are cut for the values of a layout.
    fn plan(&self, layout: &FeatureLayout) -> Result<BlockPlan, GpuError> {
        BlockPlan::new(layout.set(), self.shape, self.pixel_type).ok_or(GpuError::Unsupported)
    }

    fn check(&self, layout: &FeatureLayout, range: &Range<usize>) -> Result<(), GpuError> {
        if layout.shape() != self.shape || range.start > range.end || range.end > self.images {
            return Err(GpuError::NotThere { start: range.start, end: range.end, images: self.images });
        }
        Ok(())
    }

    /// Computes the features of images `range` into a buffer on the device, finished there in f32: every value is within
    /// 16 ULP of the one that [`Images::featurize`] gives (sums within 4), as far as the driver keeps to WGSL's accuracy
    /// of divisions and roots. Returns without waiting: what the application submits to the same queue comes after.
    ///
    /// Float pixels have no such bound, since their sums are rounded before.
    ///
    /// # Errors
    /// [`GpuError::NotThere`] if there are no such images, [`GpuError::Floats`] if their pixels are floats,
    /// [`GpuError::Unsupported`] if a feature of the set has no such form (`moments`) or the values do not fit a workgroup,
    /// [`GpuError::TooLarge`] if an image or the features are larger than a buffer can be. Any other error is the device's last.
    pub fn features(&self, layout: &FeatureLayout, range: Range<usize>) -> Result<DeviceFeatures, GpuError> {
        self.check(layout, &range)?;
        match layout.set().device_form(self.pixel_type) {
            _ if self.pixel_type == PixelType::F32 => return Err(GpuError::Floats),
            DeviceForm::Features => {}
            DeviceForm::Records | DeviceForm::No => return Err(GpuError::Unsupported),
        }
        let gpu = &*self.gpu;
        let ring = gpu.ring()?;
        let stride = layout.stride();
        let bytes = range.len() * stride * WORD;
        let max = ring.context.limits.max_storage_buffer_binding_size.min(ring.context.limits.max_buffer_size);
        let Held::Images(images) = self.held else {
            let bytes = (self.shape.values() * self.pixel_type.bytes()) as u64;
            return Err(GpuError::TooLarge { bytes, max });
        };
        if bytes as u64 > max {
            return Err(GpuError::TooLarge { bytes: bytes as u64, max });
        }
        let buffer = self.finish(ring, layout, range.clone(), images).map_err(|error| gpu.failed(error))?;
        Ok(DeviceFeatures { buffer, images: range.len(), stride })
    }

    fn finish(
        &self,
        ring: &Ring,
        layout: &FeatureLayout,
        range: Range<usize>,
        images: usize,
    ) -> Result<wgpu::Buffer, GpuError> {
        use wgpu::BufferUsages as Use;
        let context = &ring.context;
        let (plan, height, stride) = (&self.plan(layout)?, self.shape.height(), layout.stride());
        let kernel = ring.kernels.of(context, plan, self.bytes(&range))?;
        let finish = ring.kernels.finish(context, plan)?;
        context.scoped(|| {
            let buffer = |label, bytes: usize, usage| context.buffer(label, bytes.max(WORD) as u64, usage, false);
            let features =
                buffer("features", range.len() * stride * WORD, Use::STORAGE | Use::COPY_SRC | Use::COPY_DST);
            // An application's buffer may hold more than one dispatch takes.
            let max = match plan.cut(height, context.buffer_bytes()) {
                Cut::Images(max) => max,
                Cut::Rows(_) => 1,
            };
            let mut at = range.start;
            while at < range.end {
                let end = range.end.min((at / images + 1) * images).min(at + max);
                let chunk = plan.chunk(end - at, height, layout.scale());
                let params = [at % images, at - range.start]
                    .map(|first| Params { stride: stride as u32, ..plan.params(first, &chunk) });
                let heads = params.map(|_| context.buffer("params", HEAD_BYTES, Use::UNIFORM, true));
                let uploads = heads.iter().zip(&params).map(|(to, params)| Command::Upload {
                    to,
                    pieces: vec![(0, bytemuck::bytes_of(params))],
                    threads: 1,
                });
                let [from, to] = heads.each_ref().map(wgpu::Buffer::as_entire_binding);
                let results = buffer("results", chunk.result_words * WORD, Use::STORAGE);
                let records =
                    kernel.merge.is_some().then(|| buffer("records", chunk.record_words * WORD, Use::STORAGE));
                let device = &context.device;
                let pixels = self.parts[at / images].as_entire_binding();
                let sums = ring.kernels.bind_kernel(device, &from, pixels, records.as_ref(), &results);
                let last = ring.kernels.bind(device, to, results.as_entire_binding(), features.as_entire_binding());
                let mut dispatches = kernel.dispatches(&chunk, &sums)?;
                dispatches.push(Dispatch { pipeline: &finish, bindings: &last, groups: end - at });
                let compute = Command::Compute { dispatches, timestamps: None };
                submit(context, &uploads.chain([compute]).collect::<Vec<_>>())?;
                at = end;
            }
            Ok(features)
        })
    }
}
