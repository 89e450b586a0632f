//! The buffers and bind groups of a slot, made once, and what a chunk does with them.

use std::fmt;

use super::command::{Command, read_mapped};
use super::context::{Context, HEAD_BYTES};
use super::fault::GpuError;
use super::kernels::{Kernel, KernelBindings, Kernels};
use super::layout::{Params, VECTOR_BYTES};
use super::plan::Chunk;

const WORD: usize = size_of::<u32>();

/// How pixels get to the kernels and results back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransferMode {
    /// The device copies both from and to buffers that the CPU maps.
    Copied,
    /// The CPU writes where the kernels read; results are copied back.
    Written,
    /// CPU and kernels share both buffers: one memory, nothing is copied.
    Shared,
}

impl fmt::Display for TransferMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransferMode::Copied => "copied both ways",
            TransferMode::Written => "written in place, results copied",
            TransferMode::Shared => "shared memory, nothing copied",
        })
    }
}

/// Where the pixels of a chunk are.
#[derive(Debug, Clone, Copy)]
pub(super) enum PixelOrigin<'p> {
    /// In the CPU's memory.
    Host(&'p [u8]),
    /// On the device, from this image on.
    Device { pixels: &'p wgpu::Buffer, first: usize },
}

/// What a slot must hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    pixels: u64,
    records: u64,
    results: u64,
}

impl Needs {
    pub(super) fn of(chunk: &Chunk, origin: PixelOrigin<'_>) -> Self {
        let pixels = match origin {
            PixelOrigin::Host(pixels) => pixels.len().next_multiple_of(VECTOR_BYTES),
            // Bound, though not read.
            PixelOrigin::Device { .. } => VECTOR_BYTES,
        };
        Self {
            pixels: HEAD_BYTES + pixels as u64,
            records: (chunk.record_words * WORD) as u64,
            results: (chunk.result_words * WORD) as u64,
        }
    }

    /// As much of everything as either: shapes that take turns do not each bring new buffers.
    pub(super) fn or(self, buffers: &Buffers) -> Self {
        let records = buffers.records.as_ref().map_or(0, |records| records.size());
        Self {
            pixels: self.pixels.max(buffers.pixels.size()),
            records: self.records.max(records),
            results: self.results.max(buffers.results.size()),
        }
    }

    /// Powers of two: batches that grow little by little do not each bring new buffers.
    pub(super) fn roomy(self) -> Self {
        let roomy = |bytes: u64| if bytes == 0 { 0 } else { bytes.next_power_of_two() };
        Self {
            pixels: HEAD_BYTES + roomy(self.pixels - HEAD_BYTES),
            records: roomy(self.records),
            results: roomy(self.results),
        }
    }
}

/// The buffers of a slot. Between chunks the one that the CPU writes is mapped.
#[derive(Debug)]
pub(super) struct Buffers {
    mode: TransferMode,
    /// Params at the head, then the pixels.
    pixels: wgpu::Buffer,
    /// What the CPU writes in its place, where it is copied.
    upload: Option<wgpu::Buffer>,
    /// The records of tiles, if there are any.
    records: Option<wgpu::Buffer>,
    results: wgpu::Buffer,
    /// What the CPU reads in place of the results, where they are copied.
    readback: Option<wgpu::Buffer>,
    /// For kernels of whole images.
    whole: KernelBindings,
    /// For kernels of tiles.
    tiled: Option<KernelBindings>,
}

impl Buffers {
    pub(super) fn new(context: &Context, kernels: &Kernels, mode: TransferMode, needs: Needs) -> Self {
        use wgpu::BufferUsages as Use;
        let device = &context.device;
        let max = context.buffer_bytes() as u64;
        let buffer = |label, size, usage, mapped_at_creation| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation })
        };
        let pixel_size = needs.pixels.min(HEAD_BYTES + max);
        let result_size = needs.results.min(max);
        let (pixels, upload) = match mode {
            TransferMode::Copied => (
                buffer("pixels", pixel_size, Use::STORAGE | Use::UNIFORM | Use::COPY_DST, false),
                Some(buffer("upload", pixel_size, Use::MAP_WRITE | Use::COPY_SRC, true)),
            ),
            _ => (buffer("pixels", pixel_size, Use::STORAGE | Use::UNIFORM | Use::MAP_WRITE, true), None),
        };
        let (results, readback) = match mode {
            TransferMode::Shared => (buffer("results", result_size, Use::STORAGE | Use::MAP_READ, false), None),
            _ => (
                buffer("results", result_size, Use::STORAGE | Use::COPY_SRC, false),
                Some(buffer("readback", result_size, Use::MAP_READ | Use::COPY_DST, false)),
            ),
        };
        let record_size = needs.records.min(max);
        let records = (record_size > 0).then(|| buffer("records", record_size, Use::STORAGE, false));
        let body =
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &pixels, offset: HEAD_BYTES, size: None });
        let bind = |records| kernels.bind_kernel(device, &params_binding(&pixels), body.clone(), records, &results);
        let whole = bind(None);
        let tiled = records.as_ref().map(|records| bind(Some(records)));
        Self { mode, pixels, upload, records, results, readback, whole, tiled }
    }

    /// Whether they are of the mode and large enough. The kernels rely on it.
    pub(super) fn serve(&self, mode: TransferMode, needs: &Needs) -> bool {
        let records = self.records.as_ref().map_or(0, |records| records.size());
        self.mode == mode
            && needs.pixels <= self.pixels.size()
            && needs.records <= records
            && needs.results <= self.results.size()
    }

    /// What the CPU writes.
    fn up(&self) -> &wgpu::Buffer {
        self.upload.as_ref().unwrap_or(&self.pixels)
    }

    /// What the CPU reads.
    fn back(&self) -> &wgpu::Buffer {
        self.readback.as_ref().unwrap_or(&self.results)
    }

    /// The bind groups for `kernel`. Pixels that are on the device already are bound for the occasion.
    pub(super) fn bindings(
        &self,
        context: &Context,
        kernels: &Kernels,
        kernel: &Kernel,
        origin: PixelOrigin<'_>,
    ) -> Result<KernelBindings, GpuError> {
        let own = if kernel.merge.is_some() { self.tiled.as_ref() } else { Some(&self.whole) };
        let own = own.ok_or_else(|| GpuError::Validation("the slot has no buffer for the records of tiles".into()))?;
        let PixelOrigin::Device { pixels, .. } = origin else { return Ok(own.clone()) };
        let output = self.records.as_ref().filter(|_| kernel.merge.is_some()).unwrap_or(&self.results);
        let (params, input, output) =
            (params_binding(&self.pixels), pixels.as_entire_binding(), output.as_entire_binding());
        let blocks = kernels.bind(&context.device, params, input, output);
        Ok(KernelBindings { blocks, merge: own.merge.clone() })
    }

    /// A chunk's way: up, through the kernels, and its records down; then the slot is ready for the next.
    pub(super) fn commands<'a>(
        &'a self,
        kernel: &'a Kernel,
        bindings: &'a KernelBindings,
        params: &'a Params,
        chunk: &Chunk,
        origin: PixelOrigin<'a>,
    ) -> Result<Vec<Command<'a>>, GpuError> {
        let needs = Needs::of(chunk, origin);
        let mut pieces = vec![(0, bytemuck::bytes_of(params))];
        if let PixelOrigin::Host(pixels) = origin {
            if pixels.len() != chunk.pixel_bytes {
                return Err(GpuError::Validation(format!("{} bytes of pixels are not those of a chunk", pixels.len())));
            }
            pieces.push((HEAD_BYTES, pixels));
        }
        if !self.serve(self.mode, &needs) {
            return Err(GpuError::Validation("a chunk does not fit its slot".into()));
        }
        // One thread: others fill their own slots at the same time.
        let mut commands = vec![Command::Upload { to: self.up(), pieces, threads: 1 }];
        if let Some(upload) = &self.upload {
            commands.push(Command::Copy { from: upload, to: &self.pixels, bytes: needs.pixels });
        }
        commands.push(Command::Compute { dispatches: kernel.dispatches(chunk, bindings)?, timestamps: None });
        if let Some(readback) = &self.readback {
            commands.push(Command::Copy { from: &self.results, to: readback, bytes: needs.results });
        }
        commands.push(Command::Download { from: self.back(), bytes: needs.results });
        commands.push(Command::Reclaim { buffer: self.up() });
        Ok(commands)
    }

    /// Hands the chunk's records to `read`.
    pub(super) fn read<T>(&self, chunk: &Chunk, read: impl FnOnce(&[u32]) -> T) -> Result<T, GpuError> {
        read_mapped(self.back(), (chunk.result_words * WORD) as u64, |bytes| {
            bytemuck::try_cast_slice(bytes).map(read).map_err(|error| GpuError::Validation(error.to_string()))
        })?
    }
}

/// The params at the head of a buffer.
fn params_binding(buffer: &wgpu::Buffer) -> wgpu::BindingResource<'_> {
    let size = wgpu::BufferSize::new(size_of::<Params>() as u64);
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size })
}
