//! The ring: slots of buffers that chunks go round in, up, through the kernels and back.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::command::{PATIENCE, Submission, submit};
use super::context::Context;
use super::fault::{Fault, GpuError, unpanicked};
use super::kernels::{Kernel, Kernels};
use super::plan::{BlockPlan, Chunk};
use super::slot::{Buffers, Needs, PixelOrigin, TransferMode};
use super::step_kernels::StepKernels;

/// Slots at most: two for each of the most threads that feed them.
pub(super) const MAX_SLOTS: usize = 16;
/// The slots and what it takes to use them.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) context: Context,
    pub(super) kernels: Kernels,
    pub(super) steps: StepKernels,
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
        let steps = StepKernels::new(&context)?;
        Ok(Self { context, kernels, steps, pool: Mutex::default(), returned: Condvar::new() })
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

    /// Sends a chunk: its pixels up, through the kernel of `plan`, and its records on their way back.
    pub(super) fn send<'r>(
        &'r self,
        mut lent: Lent<'r>,
        mode: TransferMode,
        plan: &BlockPlan,
        kernel: &Kernel,
        chunk: Chunk,
        origin: PixelOrigin<'_>,
    ) -> Result<Flight<'r>, GpuError> {
        lent.sound = false;
        self.context.health.check()?;
        let fault = self.context.faults.next();
        if fault == Some(Fault::OutOfMemory) {
            return Err(GpuError::OutOfMemory);
        }
        let mut submission = self.context.scoped(|| {
            let needs = Needs::of(&chunk, origin);
            let outgrown = lent.slot.buffers.take_if(|buffers| !buffers.serve(mode, &needs));
            let needs = outgrown.map_or(needs, |outgrown| needs.or(&outgrown));
            let buffers = lent
                .slot
                .buffers
                .get_or_insert_with(|| Buffers::new(&self.context, &self.kernels, mode, needs.roomy()));
            let first = if let PixelOrigin::Device { first, .. } = origin { first } else { 0 };
            let params = plan.params(first, &chunk);
            let bindings = buffers.bindings(&self.context, &self.kernels, kernel, origin)?;
            submit(&self.context, &buffers.commands(kernel, &bindings, &params, &chunk, origin)?)
        })?;
        let mut patience = PATIENCE;
        match fault {
            Some(Fault::Lost) => self.context.device.destroy(),
            Some(Fault::Hung(short)) => (submission, patience) = (Submission::unanswered(), short),
            _ => {}
        }
        Ok(Flight { lent, chunk, submission, patience })
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

/// A chunk on the device.
#[derive(Debug)]
pub(super) struct Flight<'r> {
    lent: Lent<'r>,
    chunk: Chunk,
    submission: Submission,
    patience: Duration,
}

impl<'r> Flight<'r> {
    /// Waits for the chunk, hands its records to `read` and gives the slot back, ready for another.
    pub(super) fn land<T>(
        mut self,
        read: impl FnOnce(&[u32]) -> Result<T, GpuError>,
    ) -> Result<(T, Lent<'r>), GpuError> {
        self.submission.wait(&self.lent.ring.context, self.patience)?;
        let done = unpanicked(|| {
            let buffers = self.lent.slot.buffers.as_ref().ok_or_else(|| GpuError::Lost("no buffers".into()))?;
            buffers.read(&self.chunk, read)
        })?;
        // What `read` makes of the records does no harm to the slot.
        self.lent.sound = true;
        done.map(|done| (done, self.lent))
    }
}

#[derive(Debug, Default)]
struct Slot {
    buffers: Option<Buffers>,
}
