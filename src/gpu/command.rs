//! Work for the device as data: a list of commands, and the one function that submits it.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::context::Context;
use super::fault::{GpuError, unpanicked};
use super::layout::{GROUP, VECTOR_BYTES};

/// How long an answer is waited for. Drivers reset a device far sooner; a software adapter on a loaded machine may need
/// seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a wait spins before it sleeps between looks, and how long it then sleeps.
const SPIN: Duration = Duration::from_micros(50);
const NAP: Duration = Duration::from_micros(50);
/// The least that is worth a thread of its own when a buffer is filled.
const SHARE_BYTES: usize = 1 << 20;

/// One step. Steps run in their order, and each sees what the steps before it wrote.
#[derive(Debug)]
pub(super) enum Command<'a> {
    /// The CPU writes to a mapped buffer, each piece at its offset and padded with zeros to a whole vector, and unmaps
    /// the buffer. Up to `threads` threads share the work. All uploads come before any other command.
    Upload { to: &'a wgpu::Buffer, pieces: Vec<(u64, &'a [u8])>, threads: usize },
    /// The device copies from the start of one buffer to the start of another.
    Copy { from: &'a wgpu::Buffer, to: &'a wgpu::Buffer, bytes: u64 },
    /// Kernels run one after the other; `timestamps` takes the times of the start and of the end.
    Compute { dispatches: Vec<Dispatch<'a>>, timestamps: Option<&'a wgpu::QuerySet> },
    /// The two timestamps become 64-bit numbers in a buffer.
    ResolveTimestamps { from: &'a wgpu::QuerySet, to: &'a wgpu::Buffer },
    /// The buffer's first bytes become readable for the CPU. Gives an answer.
    Download { from: &'a wgpu::Buffer, bytes: u64 },
    /// The buffer becomes writable for the CPU again. Gives an answer.
    Reclaim { buffer: &'a wgpu::Buffer },
    /// Gives an answer once everything before is done.
    Notify,
}

/// One kernel over a number of workgroups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dispatch<'a> {
    pub(super) pipeline: &'a wgpu::ComputePipeline,
    pub(super) bindings: &'a wgpu::BindGroup,
    pub(super) groups: usize,
}

type Answer = Result<(), wgpu::BufferAsyncError>;

/// Commands on their way: the answers that they give.
#[derive(Debug)]
pub(super) struct Submission {
    answers: Receiver<Answer>,
    expected: usize,
}

/// Encodes and submits `commands` in one submission. Nothing is submitted if a command cannot be carried out.
///
/// wgpu reports some errors only to the caller's error scope ([`Context::scoped`]).
pub(super) fn submit(context: &Context, commands: &[Command<'_>]) -> Result<Submission, GpuError> {
    commands.iter().try_for_each(check)?;
    let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
    for command in commands {
        match command {
            Command::Upload { to, pieces, threads } => {
                pieces.iter().try_for_each(|&(at, bytes)| write(to, at, bytes, *threads))?;
                to.unmap();
            }
            Command::Copy { from, to, bytes } => encoder.copy_buffer_to_buffer(from, 0, to, 0, *bytes),
            Command::Compute { dispatches, timestamps } => {
                let timestamp_writes = timestamps.map(|query_set| wgpu::ComputePassTimestampWrites {
                    query_set,
                    beginning_of_pass_write_index: Some(0),
                    end_of_pass_write_index: Some(1),
                });
                let mut pass =
                    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
                for dispatch in dispatches {
                    pass.set_pipeline(dispatch.pipeline);
                    pass.set_bind_group(GROUP, dispatch.bindings, &[]);
                    let [across, down] = context.grid(dispatch.groups);
                    pass.dispatch_workgroups(across, down, 1);
                }
            }
            Command::ResolveTimestamps { from, to } => encoder.resolve_query_set(from, 0..2, to, 0),
            Command::Download { .. } | Command::Reclaim { .. } | Command::Notify => {}
        }
    }
    context.queue.submit([encoder.finish()]);
    let (sender, answers) = mpsc::channel();
    let mut expected = 0;
    for command in commands {
        let sender = sender.clone();
        // The receiver may have gone with an earlier failure.
        let answer = move |answer| drop(sender.send(answer));
        match command {
            Command::Download { from, bytes } => from.map_async(wgpu::MapMode::Read, ..*bytes, answer),
            Command::Reclaim { buffer } => buffer.map_async(wgpu::MapMode::Write, .., answer),
            Command::Notify => context.queue.on_submitted_work_done(move || answer(Ok(()))),
            _ => continue,
        }
        expected += 1;
    }
    Ok(Submission { answers, expected })
}

/// Refuses what wgpu or the kernels, which may run without bounds checks, would take and do wrong or not at all.
fn check(command: &Command<'_>) -> Result<(), GpuError> {
    let holds = |buffer: &wgpu::Buffer, end: u64| end <= buffer.size();
    let sound = match command {
        Command::Upload { to, pieces, .. } => {
            pieces.iter().all(|(at, bytes)| holds(to, at + bytes.len().next_multiple_of(VECTOR_BYTES) as u64))
        }
        Command::Copy { from, to, bytes } => *bytes > 0 && holds(from, *bytes) && holds(to, *bytes),
        Command::Compute { dispatches, .. } => {
            !dispatches.is_empty() && dispatches.iter().all(|dispatch| dispatch.groups > 0)
        }
        Command::ResolveTimestamps { to, .. } => holds(to, 16),
        Command::Download { from, bytes } => *bytes > 0 && holds(from, *bytes),
        Command::Reclaim { .. } | Command::Notify => true,
    };
    if sound {
        Ok(())
    } else {
        Err(GpuError::Validation(format!("a command is empty or beyond a buffer: {command:?}")))
    }
}

/// Copies `bytes` into a mapped buffer and zeros the rest of the last vector, with several threads if there is much.
fn write(to: &wgpu::Buffer, at: u64, bytes: &[u8], threads: usize) -> Result<(), GpuError> {
    let share = bytes.len().div_ceil(threads.max(1)).next_multiple_of(SHARE_BYTES);
    let copy = |(i, bytes): (usize, &[u8])| {
        let start = at + (i * share) as u64;
        let end = start + bytes.len().next_multiple_of(VECTOR_BYTES) as u64;
        let mut view = to.get_mapped_range_mut(start..end).map_err(unmappable)?;
        view.slice(..bytes.len()).copy_from_slice(bytes);
        view.slice(bytes.len()..).fill(0);
        Ok(())
    };
    if bytes.len() <= share {
        return if bytes.is_empty() { Ok(()) } else { copy((0, bytes)) };
    }
    thread::scope(|scope| {
        let mut shares = bytes.chunks(share).enumerate();
        let first = shares.next();
        let others: Vec<_> = shares.map(|share| scope.spawn(move || copy(share))).collect();
        let done = first.map_or(Ok(()), copy);
        let lost = || Err(GpuError::Lost("a thread that fills a buffer panicked".into()));
        others.into_iter().fold(done, |done, other| done.and(other.join().unwrap_or_else(|_| lost())))
    })
}

impl Submission {
    /// One whose answers never come, for tests of what happens then.
    pub(super) fn unanswered() -> Self {
        let (open, answers) = mpsc::channel();
        std::mem::forget(open);
        Self { answers, expected: 1 }
    }

    /// Polls the device until it has given all answers. It polls, and does not block in the driver: a device that hangs
    /// must not take a thread with it, and wgpu's own wait with a timeout must not meet another thread's.
    pub(super) fn wait(&self, context: &Context, patience: Duration) -> Result<(), GpuError> {
        let start = Instant::now();
        for _ in 0..self.expected {
            loop {
                unpanicked(|| context.device.poll(wgpu::PollType::Poll).map_err(unmappable))?;
                match self.answers.try_recv() {
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
}

/// Submits `commands` and waits for all their answers.
pub(super) fn run(context: &Context, commands: &[Command<'_>]) -> Result<(), GpuError> {
    context.scoped(|| submit(context, commands))?.wait(context, PATIENCE)
}

/// Hands the first bytes of a downloaded buffer to `read`, and unmaps the buffer.
pub(super) fn read_mapped<T>(buffer: &wgpu::Buffer, bytes: u64, read: impl FnOnce(&[u8]) -> T) -> Result<T, GpuError> {
    let view = buffer.get_mapped_range(..bytes).map_err(unmappable)?;
    let done = read(&view);
    drop(view);
    buffer.unmap();
    Ok(done)
}

/// A buffer that cannot be mapped although its use was valid is that of a device that is gone.
fn unmappable(error: impl std::fmt::Display) -> GpuError {
    GpuError::Lost(error.to_string())
}
