//! Images on the device through a chain of stages, and back to the host.

use std::ops::Range;

use arrow_buffer::{Buffer, MutableBuffer, ScalarBuffer};

use super::command::{Command, Dispatch, read_mapped, run, submit};
use super::context::{Context, HEAD_BYTES};
use super::fault::GpuError;
use super::layout::{StageParams, VECTOR_BYTES, WORKGROUP_SIZE};
use super::plan::{bands, with_halo};
use super::resident::{Held, Images};
use super::ring::Ring;
use crate::base::pixels::Pixels;
use crate::base::shape::{ImageShape, PixelType};
use crate::stages::{Chain, Pipeline};
use crate::steps::RECORD_WORDS;

const WORD: usize = size_of::<u32>();
/// Bytes of pixels that a dispatch of a stage writes, about.
const BATCH_BYTES: usize = 64 << 20;
/// Draws of all stages for the images of a batch, about: 4 MiB.
const BATCH_DRAWS: usize = 256 << 10;
/// The images of a batch are a multiple of this, so that the first value of every batch begins a word.
const BATCH_MULTIPLE: usize = WORD;

/// A stage on its way over images of one shape.
struct StageStep {
    pipeline: wgpu::ComputePipeline,
    from: ImageShape,
    to: ImageShape,
}

/// Images of one part that go through all stages in one submission.
struct Batch<'a> {
    pixels: &'a wgpu::Buffer,
    results: &'a wgpu::Buffer,
    /// Counted from the start of the part.
    images: Range<usize>,
    /// For each stage, the first four words of the record of what it drew for each image.
    draws: Vec<[u32; 4]>,
}

impl Images {
    /// Applies a chain of stages on the device and gives the new images, which stay there. Image `i` is the one of row
    /// `first_row + i`: the stages draw for it what they draw for that row of a run with this seed, and its values are the
    /// same as on the CPU. These images stay as they are. A chain of no stages gives images in the same buffers. Returns
    /// without waiting: what is submitted to the same queue comes after.
    ///
    /// # Errors
    /// [`GpuError::NoDeviceForm`] if a stage cannot run on the device for these pixels. [`GpuError::Shape`] if a stage
    /// gives images of this shape none. [`GpuError::TooLarge`] if one image, or one buffer of images, is larger before or
    /// after a stage than a buffer can be. None of these harms the device. Any other error is the device's last.
    pub fn apply(&self, chain: &Chain, seed: u64, first_row: u64) -> Result<Self, GpuError> {
        let gpu = &*self.gpu;
        let ring = gpu.ring()?;
        let shapes = self.shapes(chain)?;
        let pixel_type = self.pixel_type;
        let new = |held, parts| {
            let shape = shapes.last().copied().unwrap_or(self.shape);
            Self { gpu: self.gpu.clone(), pixel_type, shape, images: self.images, held, parts }
        };
        if chain.is_empty() {
            return Ok(new(self.held, self.parts.clone()));
        }
        let part_images = self.part_images(ring, &shapes)?;
        let parts = self.steps(ring, chain, &shapes).and_then(|steps| {
            let pipeline = Pipeline::new(chain.clone(), seed, self.shape, pixel_type);
            let pipeline = pipeline.map_err(|error| GpuError::Shape(error.to_string()))?;
            ring.context.scoped(|| self.run_steps(ring, &pipeline, &steps, first_row, part_images))
        });
        Ok(new(Held::Images(part_images), parts.map_err(|error| gpu.failed(error))?))
    }

    /// The shape of the images, and that after each stage.
    fn shapes(&self, chain: &Chain) -> Result<Vec<ImageShape>, GpuError> {
        let mut shapes = vec![self.shape];
        for stage in chain.stages() {
            let shape = stage.shape(shapes[shapes.len() - 1]);
            shapes.push(shape.map_err(|error| GpuError::Shape(error.to_string()))?);
        }
        Ok(shapes)
    }

    fn image_bytes(&self, shape: ImageShape) -> usize {
        shape.values() * self.pixel_type.bytes()
    }

    /// How many images each part has, if so many of every shape fit a buffer.
    fn part_images(&self, ring: &Ring, shapes: &[ImageShape]) -> Result<usize, GpuError> {
        let limits = &ring.context.limits;
        // Kernels count bytes in 32 bits.
        let max = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(u64::from(u32::MAX));
        let largest = shapes.iter().map(|&shape| self.image_bytes(shape)).max().unwrap_or(0);
        let one = self.gpu.part_bytes(&ring.context) as u64;
        let Held::Images(images) = self.held else {
            return Err(GpuError::TooLarge { bytes: largest as u64, max: one });
        };
        let bytes = (images.min(self.images) as u64).saturating_mul(largest as u64);
        if largest as u64 > one {
            Err(GpuError::TooLarge { bytes: largest as u64, max: one })
        } else if bytes.next_multiple_of(VECTOR_BYTES as u64) > max {
            Err(GpuError::TooLarge { bytes, max })
        } else {
            Ok(images)
        }
    }

    fn steps(&self, ring: &Ring, chain: &Chain, shapes: &[ImageShape]) -> Result<Vec<StageStep>, GpuError> {
        let pixel_type = self.pixel_type;
        let forms = chain.stages().iter().map(|stage| {
            stage
                .device(pixel_type)
                .filter(|_| stage.slots() == 1)
                .ok_or(GpuError::NoDeviceForm { stage: stage.name(), pixel_type })
        });
        // Nothing is compiled for a chain that cannot run.
        let forms = forms.collect::<Result<Vec<_>, _>>()?;
        let steps = forms.iter().zip(shapes.windows(2)).map(|(form, shapes)| {
            Ok(StageStep { pipeline: ring.stages.of(&ring.context, form, pixel_type)?, from: shapes[0], to: shapes[1] })
        });
        steps.collect()
    }

    /// Applies the steps part by part, and batch by batch. Between stages the images of a batch are in two buffers that
    /// alternate.
    fn run_steps(
        &self,
        ring: &Ring,
        pipeline: &Pipeline,
        steps: &[StageStep],
        first_row: u64,
        part_images: usize,
    ) -> Result<Vec<wgpu::Buffer>, GpuError> {
        use wgpu::BufferUsages as Use;
        let context = &ring.context;
        let buffer = |label, images: usize, image_bytes: usize, usage| {
            let bytes = (images * image_bytes).next_multiple_of(VECTOR_BYTES);
            context.buffer(label, bytes as u64, usage, false)
        };
        let Some((last, inner)) = steps.split_last() else { return Ok(Vec::new()) };
        let largest = steps.iter().flat_map(|step| [step.from, step.to]).map(|shape| self.image_bytes(shape)).max();
        let batch_bytes = BATCH_BYTES.min(self.gpu.part_bytes(context));
        let batch_images = (batch_bytes / largest.unwrap_or(1)).min(BATCH_DRAWS / steps.len()).max(1);
        let batch_images = batch_images.next_multiple_of(BATCH_MULTIPLE);
        // As large as the largest image that each of the two holds.
        let between = (0..inner.len().min(2)).map(|first| {
            let images = batch_images.min(part_images).min(self.images);
            let bytes = inner.iter().skip(first).step_by(2).map(|step| self.image_bytes(step.to)).max();
            buffer("between stages", images, bytes.unwrap_or(0), Use::STORAGE)
        });
        let between: Vec<_> = between.collect();
        let mut parts = Vec::with_capacity(self.parts.len());
        for (number, pixels) in self.parts.iter().enumerate() {
            let start = number * part_images;
            let images = part_images.min(self.images - start);
            let results = buffer("images", images, self.image_bytes(last.to), Use::STORAGE | Use::COPY_SRC);
            for first in (0..images).step_by(batch_images) {
                let range = first..images.min(first + batch_images);
                let rows = start + range.start..start + range.end;
                let records: Vec<_> =
                    rows.map(|row| pipeline.parameters(first_row.wrapping_add(row as u64), 0).records()).collect();
                let first = |record: &[u32; RECORD_WORDS]| [record[0], record[1], record[2], record[3]];
                let of_stage = |stage: usize| records.iter().map(move |records| first(&records[stage]));
                let draws = (0..steps.len()).flat_map(of_stage).collect();
                let batch = Batch { pixels, results: &results, images: range, draws };
                self.run_batch(ring, steps, &between, &batch)?;
            }
            parts.push(results);
        }
        Ok(parts)
    }

    fn run_batch(
        &self,
        ring: &Ring,
        steps: &[StageStep],
        between: &[wgpu::Buffer],
        batch: &Batch<'_>,
    ) -> Result<(), GpuError> {
        use wgpu::BufferUsages as Use;
        let (context, images) = (&ring.context, batch.images.len());
        let words = |images: usize, shape| (images * self.image_bytes(shape)).div_ceil(WORD);
        let last = steps.len() - 1;
        let params: Vec<_> = steps
            .iter()
            .enumerate()
            .map(|(at, step)| StageParams {
                first: if at == 0 { batch.images.start as u32 } else { 0 },
                images: images as u32,
                height: step.from.height() as u32,
                width: step.from.width() as u32,
                channels: step.from.channels() as u32,
                to_height: step.to.height() as u32,
                to_width: step.to.width() as u32,
                to_channels: step.to.channels() as u32,
                first_draw: (at * images) as u32,
                first_word: if at == last { words(batch.images.start, step.to) as u32 } else { 0 },
            })
            .collect();
        // The params of each stage have a head of their own, and the draws follow the heads.
        let heads = steps.len() as u64 * HEAD_BYTES;
        let draw_bytes: &[u8] = bytemuck::cast_slice(&batch.draws);
        let told = context.buffer("stages", heads + draw_bytes.len() as u64, Use::UNIFORM | Use::STORAGE, true);
        let part = |offset, bytes| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &told,
                offset,
                size: wgpu::BufferSize::new(bytes),
            })
        };
        let bindings: Vec<_> = (0..steps.len())
            .map(|at| {
                let pixels = if at == 0 { batch.pixels } else { &between[(at - 1) % 2] };
                let results = if at == last { batch.results } else { &between[at % 2] };
                let (params, draws) = (part(at as u64 * HEAD_BYTES, HEAD_BYTES), part(heads, draw_bytes.len() as u64));
                ring.stages.bind(&context.device, params, draws, pixels, results)
            })
            .collect();
        let heads_at =
            params.iter().enumerate().map(|(at, params)| (at as u64 * HEAD_BYTES, bytemuck::bytes_of(params)));
        let pieces = heads_at.chain([(heads, draw_bytes)]).collect();
        let dispatches = steps.iter().zip(&bindings).map(|(step, bindings)| Dispatch {
            pipeline: &step.pipeline,
            bindings,
            groups: words(images, step.to).div_ceil(WORKGROUP_SIZE as usize),
        });
        let compute = Command::Compute { dispatches: dispatches.collect(), timestamps: None };
        submit(context, &[Command::Upload { to: &told, pieces, threads: 1 }, compute])?;
        Ok(())
    }

    /// Copies the images back to the host: the values of all of them, image after image, in their type. Waits until they
    /// are there.
    ///
    /// # Errors
    /// [`GpuError::Buffer`] if the images are in an application's buffer without the usage `COPY_SRC`, which does the
    /// device no harm. Any other error is the device's last.
    pub fn read_back(&self) -> Result<Pixels, GpuError> {
        let gpu = &*self.gpu;
        let context = &gpu.ring()?.context;
        if self.parts.iter().any(|part| !part.usage().contains(wgpu::BufferUsages::COPY_SRC)) {
            return Err(GpuError::Buffer("its usage lacks COPY_SRC".into()));
        }
        let mut values = MutableBuffer::with_capacity(self.images * self.image_bytes(self.shape));
        let mut parts = self.parts.iter().zip(self.part_bytes());
        parts.try_for_each(|(part, bytes)| copy_back(context, part, &bytes, &mut values)).map_err(|e| gpu.failed(e))?;
        let (values, len) = (Buffer::from(values), self.images * self.shape.values());
        Ok(match self.pixel_type {
            PixelType::U8 => Pixels::U8(ScalarBuffer::new(values, 0, len)),
            PixelType::U16 => Pixels::U16(ScalarBuffer::new(values, 0, len)),
            PixelType::F32 => Pixels::F32(ScalarBuffer::new(values, 0, len)),
        })
    }

    /// Where the pixels of the images, or of the band, are in each part.
    fn part_bytes(&self) -> Vec<Range<usize>> {
        match self.held {
            Held::Images(images) => {
                let parts = bands(self.images, images);
                parts.map(|images| 0..images.len() * self.image_bytes(self.shape)).collect()
            }
            Held::Rows(rows) => {
                let (height, row_bytes) = (self.shape.height(), self.shape.row_values() * self.pixel_type.bytes());
                let of_an_image = bands(height, rows).map(|band| {
                    let above = band.start - with_halo(&band, height).start;
                    above * row_bytes..(above + band.len()) * row_bytes
                });
                (0..self.images).flat_map(|_| of_an_image.clone()).collect()
            }
        }
    }
}

/// Appends some bytes of a buffer on the device to `to`.
fn copy_back(
    context: &Context,
    from: &wgpu::Buffer,
    bytes: &Range<usize>,
    to: &mut MutableBuffer,
) -> Result<(), GpuError> {
    use wgpu::BufferUsages as Use;
    let padded = bytes.end.next_multiple_of(VECTOR_BYTES) as u64;
    let readback = context.scoped(|| Ok(context.buffer("readback", padded, Use::MAP_READ | Use::COPY_DST, false)))?;
    let copy = Command::Copy { from, to: &readback, bytes: padded };
    run(context, &[copy, Command::Download { from: &readback, bytes: padded }])?;
    read_mapped(&readback, padded, |copied| to.extend_from_slice(&copied[bytes.clone()]))
}
