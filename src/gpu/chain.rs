//! Images on the device through a chain of stages, and back to the host.

use std::ops::Range;

use arrow_buffer::{Buffer, MutableBuffer, ScalarBuffer};

use super::command::{Command, read_mapped, run};
use super::context::Context;
use super::fault::GpuError;
use super::layout::VECTOR_BYTES;
use super::plan::{bands, with_halo};
use super::resident::{Held, Images};
use super::ring::Ring;
use super::shader::StepFrame;
use super::step_batches::{Draw, Work};
use crate::base::pixels::Pixels;
use crate::base::shape::{ImageShape, PixelType};
use crate::stages::Pipeline;

impl Images {
    /// Applies a chain of stages on the device and gives the new images, which stay there. Image `i` is that of sample
    /// `ids[i]`: its values are the same as those of [`Pipeline::apply`]. The draws are made on the host, and these images
    /// stay as they are, so that the next epoch can begin with them. A chain of no stages gives images in the same buffers.
    /// Returns without waiting: what is submitted to the same queue comes after.
    ///
    /// # Errors
    /// [`GpuError::OtherImages`] if the pipeline is one for images of another shape or type. [`GpuError::NotThere`] if there
    /// are not as many images as numbers. [`GpuError::NoDeviceForm`] if a stage cannot run on the device for these pixels.
    /// [`GpuError::TooLarge`] if one image, or one buffer of images, is larger before or after a step than a buffer can be.
    /// None of these harms the device. Any other error is the device's last.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use pixelfeat::PixelType;
    /// use pixelfeat::gpu::{Gpu, GpuError};
    /// use pixelfeat::stages::Pipeline;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gpu = match Gpu::open(true) {
    ///     Ok(gpu) => Arc::new(gpu),
    ///     Err(GpuError::NoAdapter(_)) => return Ok(()),
    ///     Err(error) => return Err(error.into()),
    /// };
    /// let pipeline = Pipeline::new("crop(pad=1),hflip(0.5)".parse()?, 7, "4x4".parse()?, PixelType::U8)?;
    /// let digits = gpu.upload("4x4".parse()?, &vec![9u8; 2 * 16])?;
    /// for epoch in 0..3 {
    ///     // The samples 40 and 41.
    ///     let augmented = digits.apply(&pipeline, &[40, 41], epoch)?;
    ///     assert_eq!(augmented.len(), 2);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply(&self, pipeline: &Pipeline, ids: &[u64], epoch: u32) -> Result<Self, GpuError> {
        self.gpu.ring()?;
        let pixel_type = self.pixel_type;
        let (shapes, wanted) = pipeline.slots();
        if (shapes[0], wanted) != (self.shape, pixel_type) {
            let (shape, wanted_shape) = (self.shape, shapes[0]);
            return Err(GpuError::OtherImages(format!(
                "it takes {wanted_shape} {wanted} images, and these are {shape} {pixel_type}"
            )));
        }
        if ids.len() != self.images {
            return Err(GpuError::NotThere { start: 0, end: ids.len(), images: self.images });
        }
        if pipeline.chain().is_empty() {
            return Ok(Self { gpu: self.gpu.clone(), parts: self.parts.clone(), ..*self });
        }
        if let Some(stage) = pipeline.chain().stages().iter().find(|stage| !stage.on_device(pixel_type)) {
            return Err(GpuError::NoDeviceForm { stage: stage.name(), pixel_type });
        }
        self.apply_drawn(&shapes, ids, &pipeline.drawing(epoch), Work::frame(pixel_type, &shapes))
    }

    /// Applies what is drawn. The shapes are those of images before each slot, and after the last one.
    pub(super) fn apply_drawn(
        &self,
        shapes: &[ImageShape],
        ids: &[u64],
        draw: Draw<'_>,
        frame: StepFrame,
    ) -> Result<Self, GpuError> {
        let ring = self.gpu.ring()?;
        let part_images = self.part_images(ring, shapes)?;
        let work = Work { ring, images: self, shapes, frame, part_images };
        let parts = ring.context.scoped(|| work.run(ids, draw)).map_err(|error| self.gpu.failed(error))?;
        Ok(Self {
            gpu: self.gpu.clone(),
            pixel_type: self.pixel_type,
            shape: shapes[shapes.len() - 1],
            images: self.images,
            held: Held::Images(part_images),
            parts,
        })
    }

    pub(super) fn image_bytes(&self, shape: ImageShape) -> usize {
        shape.values() * self.pixel_type.bytes()
    }

    /// How many images each part has, if so many of every shape fit a buffer.
    fn part_images(&self, ring: &Ring, shapes: &[ImageShape]) -> Result<usize, GpuError> {
        let limits = &ring.context.limits;
        // Kernels count bytes in 32 bits, and look a word ahead.
        let max = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let max = max.min(u64::from(u32::MAX) - VECTOR_BYTES as u64);
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
