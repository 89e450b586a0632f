//! Which transfer mode an adapter is used with.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Gpu;
use super::context::AdapterInfo;
use super::fault::GpuError;
use super::plan::BlockPlan;
use super::rates::best_of_trials;
use super::ring::Ring;
use super::slot::{PixelOrigin, TransferMode};
use crate::base::shape::{ImageShape, PixelType};
use crate::features::FeatureSet;

/// Bytes that a mode is timed with.
const TRIAL_BYTES: usize = 8 << 20;

impl Gpu {
    /// How images reach the kernels on this device. Where the adapter's kind leaves it open, the first call times the
    /// modes.
    ///
    /// # Errors
    /// The device's failure, if it has failed or does now.
    pub fn transfer_mode(&self) -> Result<TransferMode, GpuError> {
        if let Some(mode) = self.transfer_mode.get() {
            return Ok(*mode);
        }
        let mode = choose(self.ring()?, &self.adapter).map_err(|error| self.failed(error))?;
        Ok(*self.transfer_mode.get_or_init(|| mode))
    }
}

/// The mode for an adapter. Where several are possible, they are timed the first time that the process meets the adapter.
fn choose(ring: &Ring, adapter: &AdapterInfo) -> Result<TransferMode, GpuError> {
    static KNOWN: Mutex<Vec<(AdapterInfo, TransferMode)>> = Mutex::new(Vec::new());
    if !ring.context.device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS) {
        return Ok(TransferMode::Copied);
    }
    match adapter.kind.as_str() {
        // One memory: a copy would gain nothing.
        "software" | "integrated" => return Ok(TransferMode::Shared),
        _ => {}
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, mode)) = known.iter().find(|(known, _)| known == adapter) {
        return Ok(*mode);
    }
    let copied = time_mode(ring, TransferMode::Copied)?;
    let written = time_mode(ring, TransferMode::Written)?;
    let mode = if written < copied { TransferMode::Written } else { TransferMode::Copied };
    tracing::debug!(%adapter, ?copied, ?written, ?mode, "timed the transfer modes of the GPU");
    known.push((adapter.clone(), mode));
    Ok(mode)
}

/// How long a chunk takes from the CPU's memory until its records are back there.
pub(super) fn time_mode(ring: &Ring, mode: TransferMode) -> Result<Duration, GpuError> {
    let side = TRIAL_BYTES.isqrt();
    let shape = ImageShape::gray(side, side).map_err(|error| GpuError::Validation(error.to_string()))?;
    let plan = BlockPlan::new(&FeatureSet::default(), shape, PixelType::U8)
        .ok_or_else(|| GpuError::Validation("no plan for the trial".into()))?;
    let kernel = ring.kernels.of(&ring.context, &plan, TRIAL_BYTES)?;
    let pixels = vec![1u8; shape.values()];
    best_of_trials(|| {
        let flight =
            ring.send(ring.lend()?, mode, &plan, &kernel, plan.chunk(1, side, 1.0), PixelOrigin::Host(&pixels))?;
        flight.land(|_| Ok(())).map(drop)
    })
}
