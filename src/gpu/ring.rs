//! The ring: slots of buffers that chunks go round in, up, through the kernels and back.

use std::fmt;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::context::{Context, HEAD_BYTES};
use super::fault::{Fault, GpuError, unpanicked};
use super::kernels::{Kernel, Kernels};
use super::layout::{GROUP, Params, VECTOR_BYTES};
use super::plan::{Chunk, Plan};

const WORD: usize = size_of::<u32>();
/// Slots at most: two for each of the most threads that feed them.
pub(super) const MAX_SLOTS: usize = 16;
/// How long an answer is waited for. Drivers reset a device far sooner; a software adapter on a loaded machine may need
/// seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a wait spins before it sleeps between looks, and how long it then sleeps.
const SPIN: Duration = Duration::from_micros(50);
const NAP: Duration = Duration::from_micros(50);

/// How pixels get to the kernels and results back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The device copies both from and to buffers that the CPU maps.
    Copied,
    /// The CPU writes where the kernels read; results are copied back.
    Written,
    /// CPU and kernels share both buffers: one memory, nothing is copied.
    Shared,
}

/// Where the pixels of a chunk are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'p> {
    /// In the CPU's memory.
    Host(&'p [u8]),
    /// On the device, from this image on.
    Device { pixels: &'p wgpu::Buffer, first: usize },
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Copied => "copied both ways",
            Way::Written => "written in place, results copied",
            Way::Shared => "shared memory, nothing copied",
        })
    }
}

/// The slots and what it takes to use them.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) context: Context,
    pub(super) kernels: Kernels,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Slot>,
    /// Slots on loan.
    lent: usize,
}

impl Ring {
    pub(super) fn new(context: Context, checked: bool) -> Result<Self, GpuError> {
        let kernels = Kernels::new(&context, checked)?;
        Ok(Self { context, kernels, pool: Mutex::default(), returned: Condvar::new() })
    }

    /// A slot, if one is free.
    pub(super) fn try_lend(&self) -> Option<Lent<'_>> {
        Self::lend_from(&mut self.pool()).map(|slot| Lent { ring: self, slot, sound: true })
    }

    /// A slot, as soon as one is free. Only for who holds none: then nobody waits for himself.
    pub(super) fn lend(&self) -> Result<Lent<'_>, GpuError> {
        let mut pool = self.pool();
        loop {
            self.context.health.check()?;
            if let Some(slot) = Self::lend_from(&mut pool) {
                return Ok(Lent { ring: self, slot, sound: true });
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lend_from(pool: &mut Pool) -> Option<Slot> {
        if pool.idle.is_empty() && pool.lent >= MAX_SLOTS {
            return None;
        }
        pool.lent += 1;
        Some(pool.idle.pop().unwrap_or_default())
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees what idle slots hold; used once the device has failed.
    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut self.pool().idle);
        // The device is given up either way.
        let _ = unpanicked(|| {
            drop(idle);
            Ok(())
        });
    }

    #[cfg(test)]
    pub(super) fn idle_slots(&self) -> usize {
        self.pool().idle.len()
    }

    /// Sends a chunk: its pixels up, through the kernels of `plan`, and its records on their way back.
    pub(super) fn send<'r>(
        &'r self,
        mut lent: Lent<'r>,
        way: Way,
        plan: &Plan,
        chunk: Chunk,
        source: Source<'_>,
    ) -> Result<Flight<'r>, GpuError> {
        lent.sound = false;
        self.context.health.check()?;
        let fault = self.context.faults.next();
        if fault == Some(Fault::OutOfMemory) {
            return Err(GpuError::OutOfMemory);
        }
        let kernel = self.kernels.of(&self.context, plan)?;
        let answers = self.context.scoped(|| {
            let needs = Needs::of(&chunk, source);
            let outgrown = lent.slot.buffers.take_if(|buffers| buffers.way != way || !buffers.hold(&needs));
            let needs = outgrown.map_or(needs, |outgrown| needs.or(&outgrown));
            let buffers = lent.slot.buffers.get_or_insert_with(|| Buffers::new(self, way, needs.roomy()));
            buffers.fill(&chunk, source)?;
            buffers.submit(self, &kernel, &chunk, source);
            Ok(buffers.ask(&chunk))
        })?;
        let mut flight = Flight { lent, chunk, answers, patience: PATIENCE };
        match fault {
            Some(Fault::Lost) => self.context.device.destroy(),
            Some(Fault::Hung(patience)) => {
                // Nobody hears this channel's other end, and it stays open.
                let (open, answers) = mpsc::channel();
                std::mem::forget(open);
                (flight.answers, flight.patience) = (answers, patience);
            }
            _ => {}
        }
        Ok(flight)
    }
}

/// A slot on loan. It goes back when dropped; without its buffers if they are in an unknown state.
#[derive(Debug)]
pub(super) struct Lent<'r> {
    ring: &'r Ring,
    slot: Slot,
    sound: bool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut slot = std::mem::take(&mut self.slot);
        if !self.sound || self.ring.context.health.check().is_err() {
            let buffers = slot.buffers.take();
            // wgpu may panic as it drops what belongs to a failed device.
            let _ = unpanicked(|| {
                drop(buffers);
                Ok(())
            });
        }
        let mut pool = self.ring.pool();
        pool.lent -= 1;
        if slot.buffers.is_some() {
            pool.idle.push(slot);
        }
        drop(pool);
        self.ring.returned.notify_all();
    }
}

type Answer = Result<(), wgpu::BufferAsyncError>;

/// A chunk on the device.
#[derive(Debug)]
pub(super) struct Flight<'r> {
    lent: Lent<'r>,
    chunk: Chunk,
    answers: Receiver<Answer>,
    patience: Duration,
}

impl<'r> Flight<'r> {
    /// Waits for the chunk, hands its records to `read` and gives the slot back, ready for another.
    pub(super) fn land<T>(
        mut self,
        read: impl FnOnce(&[u32]) -> Result<T, GpuError>,
    ) -> Result<(T, Lent<'r>), GpuError> {
        let context = &self.lent.ring.context;
        await_answers(context, &self.answers, 2, self.patience)?;
        let done = unpanicked(|| {
            let buffers = self.lent.slot.buffers.as_ref().ok_or_else(|| GpuError::Lost("no buffers".into()))?;
            let back = buffers.back();
            let view = back.get_mapped_range(..(self.chunk.result_words * WORD) as u64).map_err(unmappable)?;
            let words = bytemuck::try_cast_slice(&view).map_err(|e| GpuError::Validation(e.to_string()))?;
            let done = read(words);
            drop(view);
            back.unmap();
            Ok(done)
        })?;
        // What `read` makes of the records does no harm to the slot.
        self.lent.sound = true;
        done.map(|done| (done, self.lent))
    }
}

/// Looks after the device until it has given `asked` answers. Looks, and does not block in the driver: a device that
/// hangs must not take a thread with it, and wgpu's own wait with a timeout must not meet another thread's.
pub(super) fn await_answers(
    context: &Context,
    answers: &Receiver<Answer>,
    asked: usize,
    patience: Duration,
) -> Result<(), GpuError> {
    let start = Instant::now();
    for _ in 0..asked {
        loop {
            unpanicked(|| context.device.poll(wgpu::PollType::Poll).map_err(unmappable))?;
            match answers.try_recv() {
                Ok(answer) => {
                    context.health.check()?;
                    answer.map_err(unmappable)?;
                    break;
                }
                Err(TryRecvError::Disconnected) => {
                    context.health.check()?;
                    return Err(GpuError::Lost("it dropped a callback".into()));
                }
                Err(TryRecvError::Empty) => context.health.check()?,
            }
            match start.elapsed() {
                waited if waited > patience => return Err(GpuError::Hung(patience)),
                waited if waited > SPIN => thread::sleep(NAP),
                _ => thread::yield_now(),
            }
        }
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Slot {
    buffers: Option<Buffers>,
}

/// What a slot must hold, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Needs {
    pixels: u64,
    records: u64,
    results: u64,
}

impl Needs {
    fn of(chunk: &Chunk, source: Source<'_>) -> Self {
        let pixels = match source {
            Source::Host(pixels) => pixels.len().next_multiple_of(VECTOR_BYTES),
            // Bound, though not read.
            Source::Device { .. } => VECTOR_BYTES,
        };
        Self {
            pixels: HEAD_BYTES + pixels as u64,
            records: (chunk.record_words * WORD) as u64,
            results: (chunk.result_words * WORD) as u64,
        }
    }

    /// As much of everything as either: shapes that take turns do not each bring new buffers.
    fn or(self, buffers: &Buffers) -> Self {
        let records = buffers.records.as_ref().map_or(0, |records| records.size());
        Self {
            pixels: self.pixels.max(buffers.pixels.size()),
            records: self.records.max(records),
            results: self.results.max(buffers.results.size()),
        }
    }

    /// Powers of two: batches that grow little by little do not each bring new buffers.
    fn roomy(self) -> Self {
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
struct Buffers {
    way: Way,
    /// Params at the head, then the pixels.
    pixels: wgpu::Buffer,
    /// What the CPU writes in its place, where it is copied.
    upload: Option<wgpu::Buffer>,
    /// The records of rectangles, if there are any.
    records: Option<wgpu::Buffer>,
    results: wgpu::Buffer,
    /// What the CPU reads in place of the results, where they are copied.
    readback: Option<wgpu::Buffer>,
    /// From the pixels to the results.
    whole: wgpu::BindGroup,
    /// From the pixels to the records, and from there to the results.
    parts: Option<[wgpu::BindGroup; 2]>,
}

impl Buffers {
    fn new(ring: &Ring, way: Way, needs: Needs) -> Self {
        use wgpu::BufferUsages as Use;
        let device = &ring.context.device;
        let most = ring.context.buffer_bytes() as u64;
        let buffer = |label, size, usage, mapped_at_creation| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation })
        };
        let pixel_size = needs.pixels.min(HEAD_BYTES + most);
        let result_size = needs.results.min(most);
        let (pixels, upload) = match way {
            Way::Copied => (
                buffer("pixels", pixel_size, Use::STORAGE | Use::UNIFORM | Use::COPY_DST, false),
                Some(buffer("upload", pixel_size, Use::MAP_WRITE | Use::COPY_SRC, true)),
            ),
            _ => (buffer("pixels", pixel_size, Use::STORAGE | Use::UNIFORM | Use::MAP_WRITE, true), None),
        };
        let (results, readback) = match way {
            Way::Shared => (buffer("results", result_size, Use::STORAGE | Use::MAP_READ, false), None),
            _ => (
                buffer("results", result_size, Use::STORAGE | Use::COPY_SRC, false),
                Some(buffer("readback", result_size, Use::MAP_READ | Use::COPY_DST, false)),
            ),
        };
        let record_size = needs.records.min(most);
        let records = (record_size > 0).then(|| buffer("records", record_size, Use::STORAGE, false));
        let body =
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &pixels, offset: HEAD_BYTES, size: None });
        let bind = |input, output: &wgpu::Buffer| {
            ring.kernels.bind(device, params(&pixels), input, output.as_entire_binding())
        };
        let whole = bind(body.clone(), &results);
        let parts = records.as_ref().map(|records| [bind(body, records), bind(records.as_entire_binding(), &results)]);
        Self { way, pixels, upload, records, results, readback, whole, parts }
    }

    /// Whether they are large enough. The kernels rely on it.
    fn hold(&self, needs: &Needs) -> bool {
        let records = self.records.as_ref().map_or(0, |records| records.size());
        needs.pixels <= self.pixels.size() && needs.records <= records && needs.results <= self.results.size()
    }

    /// What the CPU writes.
    fn up(&self) -> &wgpu::Buffer {
        self.upload.as_ref().unwrap_or(&self.pixels)
    }

    /// What the CPU reads.
    fn back(&self) -> &wgpu::Buffer {
        self.readback.as_ref().unwrap_or(&self.results)
    }

    fn fill(&self, chunk: &Chunk, source: Source<'_>) -> Result<(), GpuError> {
        let (pixels, first) = match source {
            Source::Host(pixels) => (pixels, 0),
            Source::Device { first, .. } => (&[][..], first),
        };
        let needs = Needs::of(chunk, source);
        let right = matches!(source, Source::Device { .. }) || pixels.len() == chunk.pixel_bytes;
        if !right || !self.hold(&needs) {
            return Err(GpuError::Validation(format!("{} bytes of pixels do not fit their slot", pixels.len())));
        }
        let params = Params { first: first as u32, images: chunk.images as u32, height: chunk.height as u32 };
        let mut view = self.up().get_mapped_range_mut(..needs.pixels).map_err(unmappable)?;
        let (mut head, mut body) = view.slice(..).split_at(HEAD_BYTES as usize);
        head.slice(..size_of::<Params>()).copy_from_slice(bytemuck::bytes_of(&params));
        body.slice(..pixels.len()).copy_from_slice(pixels);
        body.slice(pixels.len()..).fill(0);
        drop(view);
        self.up().unmap();
        Ok(())
    }

    fn submit(&self, ring: &Ring, kernel: &Kernel, chunk: &Chunk, source: Source<'_>) {
        let context = &ring.context;
        let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
        if let Some(upload) = &self.upload {
            encoder.copy_buffer_to_buffer(upload, 0, &self.pixels, 0, Needs::of(chunk, source).pixels);
        }
        // Pixels that are there already are bound for the occasion.
        let elsewhere = match source {
            Source::Host(_) => None,
            Source::Device { pixels, .. } => {
                let output = self.records.as_ref().filter(|_| kernel.merge.is_some()).unwrap_or(&self.results);
                let (input, output) = (pixels.as_entire_binding(), output.as_entire_binding());
                Some(ring.kernels.bind(&context.device, params(&self.pixels), input, output))
            }
        };
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            match (&kernel.merge, &self.parts) {
                (Some(merge), Some([blocks, merged])) => {
                    run(context, &mut pass, &kernel.blocks, elsewhere.as_ref().unwrap_or(blocks), chunk.groups);
                    run(context, &mut pass, merge, merged, chunk.merge_groups);
                }
                _ => run(context, &mut pass, &kernel.blocks, elsewhere.as_ref().unwrap_or(&self.whole), chunk.groups),
            }
        }
        if let Some(readback) = &self.readback {
            encoder.copy_buffer_to_buffer(&self.results, 0, readback, 0, (chunk.result_words * WORD) as u64);
        }
        context.queue.submit([encoder.finish()]);
    }

    /// Asks for the results, and for the place of the next chunk's pixels.
    fn ask(&self, chunk: &Chunk) -> Receiver<Answer> {
        let (told, answers) = mpsc::channel();
        let tell = || {
            let told = told.clone();
            // The receiver may have gone with an earlier failure.
            move |answer| drop(told.send(answer))
        };
        self.back().map_async(wgpu::MapMode::Read, ..(chunk.result_words * WORD) as u64, tell());
        self.up().map_async(wgpu::MapMode::Write, .., tell());
        answers
    }
}

/// The params at the head of a buffer.
pub(super) fn params(buffer: &wgpu::Buffer) -> wgpu::BindingResource<'_> {
    let size = wgpu::BufferSize::new(size_of::<Params>() as u64);
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size })
}

/// Encodes one kernel over so many groups.
pub(super) fn run(
    context: &Context,
    pass: &mut wgpu::ComputePass<'_>,
    pipeline: &wgpu::ComputePipeline,
    bindings: &wgpu::BindGroup,
    groups: usize,
) {
    pass.set_pipeline(pipeline);
    pass.set_bind_group(GROUP, bindings, &[]);
    context.dispatch(pass, groups);
}

/// A buffer that cannot be mapped although its use was valid is that of a device that is gone.
pub(super) fn unmappable(error: impl std::fmt::Display) -> GpuError {
    GpuError::Lost(error.to_string())
}
