//! One chunk through the device: upload, dispatch, read back; and how a run is cut into chunks.

use std::sync::mpsc;

use super::context::{Context, GpuError};
use super::kernels::{Kernel, Kernels};
use super::layout::{GROUP, PARAMS_BINDING, PIXELS_BINDING, Params, RESULTS_BINDING, WORKGROUP_SIZE};
use super::pixel::GpuPixel;
use crate::shape::ImageShape;

const WORD: usize = size_of::<u32>();
const PARAMS_BYTES: usize = size_of::<Params>();

/// What a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// So many whole images.
    Images(usize),
    /// So many rows of one image.
    Rows(usize),
}

impl Cut {
    /// The largest chunk of which neither pixels nor results are over `bytes`; at the least one row.
    pub(super) fn of<P: GpuPixel>(shape: ImageShape, bytes: usize) -> Self {
        let row = shape.row_values() * size_of::<P>();
        let row_results = shape.channels() * P::ROW_WORDS * WORD;
        let col_results = shape.row_values() * WORD;
        let images = bytes / (shape.height() * row).max(shape.height() * row_results + col_results);
        if images > 0 {
            return Self::Images(images);
        }
        let rows = (bytes / row).min(bytes.saturating_sub(col_results) / row_results);
        Self::Rows(rows.clamp(1, shape.height()))
    }
}

impl Params {
    /// Of `images` images of `height` rows, otherwise like `shape`.
    pub(super) fn of<P: GpuPixel>(shape: ImageShape, images: usize, height: usize) -> Self {
        let row_tasks = images * height * shape.channels();
        Self {
            height: height as u32,
            width: shape.width() as u32,
            channels: shape.channels() as u32,
            row_tasks: row_tasks as u32,
            col_tasks: (images * shape.row_values()) as u32,
            cols_at: (row_tasks * P::ROW_WORDS) as u32,
        }
    }

    fn result_words(&self) -> usize {
        (self.cols_at + self.col_tasks) as usize
    }
}

/// All that belongs to a device, dropped with it.
#[derive(Debug)]
pub(super) struct Session {
    slot: Option<Slot>,
    kernels: Kernels,
    context: Context,
}

impl Session {
    pub(super) fn new(context: Context) -> Result<Self, GpuError> {
        let mut kernels = None;
        context.scoped(|| {
            kernels = Some(Kernels::new(&context.device));
            Ok(())
        })?;
        let kernels = kernels.ok_or_else(|| GpuError::Lost("no kernel layout was made".into()))?;
        Ok(Self { slot: None, kernels, context })
    }

    /// Computes one chunk of `pixels` into `results`.
    pub(super) fn chunk<P: GpuPixel>(
        &mut self,
        params: Params,
        pixels: &[P],
        results: &mut Vec<u32>,
    ) -> Result<(), GpuError> {
        let Self { slot, kernels, context } = self;
        context.scoped(|| {
            let pixels = bytemuck::cast_slice(pixels);
            let fitting = slot.take().filter(|slot| slot.fits(pixels.len(), params.result_words()));
            let slot = slot
                .insert(fitting.unwrap_or_else(|| Slot::new(context, kernels, pixels.len(), params.result_words())));
            slot.run(context, kernels.of::<P>(&context.device), params, pixels, results)
        })
    }

    /// Gives the device up, as if it were lost.
    pub(super) fn destroy(&self) {
        self.context.device.destroy();
    }
}

/// The buffers of one chunk in flight. Between chunks the upload buffer is mapped.
#[derive(Debug)]
struct Slot {
    /// Params, then pixels.
    upload: wgpu::Buffer,
    params: wgpu::Buffer,
    pixels: wgpu::Buffer,
    results: wgpu::Buffer,
    readback: wgpu::Buffer,
    bindings: wgpu::BindGroup,
}

impl Slot {
    fn new(context: &Context, kernels: &Kernels, pixel_bytes: usize, result_words: usize) -> Self {
        // Powers of two: batches that grow little by little do not each bring new buffers.
        let roomy = |bytes: usize| bytes.next_power_of_two().clamp(PARAMS_BYTES, context.chunk_bytes()) as u64;
        let (pixel_bytes, result_bytes) = (roomy(pixel_bytes), roomy(result_words * WORD));
        let buffer = |label, size, usage, mapped_at_creation| {
            context.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation,
            })
        };
        use wgpu::BufferUsages as Use;
        let upload = buffer("upload", PARAMS_BYTES as u64 + pixel_bytes, Use::MAP_WRITE | Use::COPY_SRC, true);
        let params = buffer("params", PARAMS_BYTES as u64, Use::UNIFORM | Use::COPY_DST, false);
        let pixels = buffer("pixels", pixel_bytes, Use::STORAGE | Use::COPY_DST, false);
        let results = buffer("results", result_bytes, Use::STORAGE | Use::COPY_SRC, false);
        let readback = buffer("readback", result_bytes, Use::MAP_READ | Use::COPY_DST, false);
        let bindings = context.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("moments"),
            layout: kernels.bindings(),
            entries: &[
                wgpu::BindGroupEntry { binding: PARAMS_BINDING, resource: params.as_entire_binding() },
                wgpu::BindGroupEntry { binding: PIXELS_BINDING, resource: pixels.as_entire_binding() },
                wgpu::BindGroupEntry { binding: RESULTS_BINDING, resource: results.as_entire_binding() },
            ],
        });
        Self { upload, params, pixels, results, readback, bindings }
    }

    fn fits(&self, pixel_bytes: usize, result_words: usize) -> bool {
        pixel_bytes as u64 <= self.pixels.size() && (result_words * WORD) as u64 <= self.results.size()
    }

    fn run(
        &self,
        context: &Context,
        kernel: &Kernel,
        params: Params,
        pixels: &[u8],
        results: &mut Vec<u32>,
    ) -> Result<(), GpuError> {
        let pixel_bytes = pixels.len().next_multiple_of(WORD);
        let result_bytes = (params.result_words() * WORD) as u64;

        let mut view = self.upload.get_mapped_range_mut(..(PARAMS_BYTES + pixel_bytes) as u64).map_err(unmappable)?;
        view.slice(..PARAMS_BYTES).copy_from_slice(bytemuck::bytes_of(&params));
        view.slice(PARAMS_BYTES..PARAMS_BYTES + pixels.len()).copy_from_slice(pixels);
        view.slice(PARAMS_BYTES + pixels.len()..).fill(0);
        drop(view);
        self.upload.unmap();

        let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        encoder.copy_buffer_to_buffer(&self.upload, 0, &self.params, 0, PARAMS_BYTES as u64);
        encoder.copy_buffer_to_buffer(&self.upload, PARAMS_BYTES as u64, &self.pixels, 0, pixel_bytes as u64);
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_bind_group(GROUP, &self.bindings, &[]);
            for (pipeline, tasks) in [(&kernel.rows, params.row_tasks), (&kernel.cols, params.col_tasks)] {
                let groups = tasks.div_ceil(WORKGROUP_SIZE);
                let across = groups.min(context.limits.max_compute_workgroups_per_dimension);
                pass.set_pipeline(pipeline);
                pass.dispatch_workgroups(across, groups.div_ceil(across), 1);
            }
        }
        encoder.copy_buffer_to_buffer(&self.results, 0, &self.readback, 0, result_bytes);
        context.queue.submit([encoder.finish()]);

        let (told, answers) = mpsc::channel();
        let tell = || {
            let told = told.clone();
            // The receiver may have gone with an earlier failure.
            move |answer| drop(told.send(answer))
        };
        self.readback.map_async(wgpu::MapMode::Read, ..result_bytes, tell());
        self.upload.map_async(wgpu::MapMode::Write, .., tell());
        context.device.poll(wgpu::PollType::wait_indefinitely()).map_err(unmappable)?;
        // Both answers have come by now; one that has not belongs to a lost device.
        for _ in 0..2 {
            answers.try_recv().map_err(unmappable)?.map_err(unmappable)?;
        }

        let view = self.readback.get_mapped_range(..result_bytes).map_err(unmappable)?;
        results.resize(params.result_words(), 0);
        bytemuck::cast_slice_mut::<u32, u8>(results).copy_from_slice(&view);
        drop(view);
        self.readback.unmap();
        Ok(())
    }
}

/// A buffer that cannot be mapped although its use was valid is that of a device that is gone.
fn unmappable(error: impl std::fmt::Display) -> GpuError {
    GpuError::Lost(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(shape: &str, bytes: usize) -> Cut {
        Cut::of::<u8>(shape.parse().unwrap(), bytes)
    }

    #[test]
    fn chunks_hold_pixels_and_results_in_what_they_may_take() {
        // 784 bytes of pixels, 28·8 + 28·4 = 336 of results an image.
        assert_eq!(cut("28x28", 784), Cut::Images(1));
        assert_eq!(cut("28x28", 64 << 20), Cut::Images((64 << 20) / 784));
        assert_eq!(cut("28x28", 783), Cut::Rows(27));
        // The results are larger than the pixels: 8·1 + 4·1 = 12.
        assert_eq!(cut("1x1", 24), Cut::Images(2));
        assert_eq!(cut("28x28", 0), Cut::Rows(1));
        assert_eq!(cut("65536x8191x4", 64 << 20), Cut::Rows((64 << 20) / (8_191 * 4)));
        assert_eq!(cut("1x65536x4", 0), Cut::Rows(1));
    }
}
