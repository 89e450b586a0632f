//! What can go wrong on a device, and what becomes of it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::base::error::panic_text;
use crate::base::guard::guarded;
use crate::base::shape::PixelType;

/// Why the GPU could not do the work. The CPU can always do it instead.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// No adapter was found, or none that the environment and the caller accept.
    #[error("no GPU adapter: {0}")]
    NoAdapter(String),
    /// The adapter is too small for these kernels.
    #[error("the adapter's {limit} is {has}, {needs} is needed")]
    Limits {
        /// Which limit, as wgpu names it.
        limit: &'static str,
        /// The least that would do.
        needs: u64,
        /// What the adapter has.
        has: u64,
    },
    /// The device has no memory left.
    #[error("the GPU is out of memory")]
    OutOfMemory,
    /// The device is gone: removed, reset or destroyed, or its driver failed.
    #[error("the GPU device is lost: {0}")]
    Lost(String),
    /// The device has not answered for so long that it never will.
    #[error("the GPU gave no answer for {} s", .0.as_secs_f64())]
    Hung(Duration),
    /// The API refused what it was asked for: a fault of this crate or of the driver.
    #[error("the GPU refused a command: {0}")]
    Validation(String),
    /// Pixels, features, means and deviations do not belong to the same number of images. The device is unharmed.
    #[error("{pixels} pixels do not fill {images} images, or the features do not")]
    Lengths {
        /// Values given.
        pixels: usize,
        /// Images that there are places for.
        images: usize,
    },
    /// There are no such images, or they are of another shape than the features. The device is unharmed.
    #[error("images {start} to {end} of {images} are not there, or of another shape")]
    NotThere {
        /// The first image asked for.
        start: usize,
        /// The first that was not.
        end: usize,
        /// How many there are.
        images: usize,
    },
    /// What was to be in one buffer is too large for one. The device is unharmed.
    #[error("{bytes} bytes do not fit one buffer, which holds {max}")]
    TooLarge {
        /// Bytes that were needed.
        bytes: u64,
        /// The most that a buffer holds.
        max: u64,
    },
    /// A buffer of an application cannot be used as images. The device is unharmed.
    #[error("the buffer cannot be used as images: {0}")]
    Buffer(String),
    /// Features of float pixels cannot be finished on the device within a bound. The device is unharmed.
    #[error("features of float pixels are finished on the host only")]
    Floats,
    /// A stage has no form for the device that gives pixels of this type the same values as on the CPU. The device is
    /// unharmed.
    #[error("the stage `{stage}` cannot run on the device for {pixel_type} pixels")]
    NoDeviceForm {
        /// The name of the stage.
        stage: &'static str,
        /// The type of the pixels.
        pixel_type: PixelType,
    },
    /// A pipeline of stages is one for images of another shape or type. The device is unharmed.
    #[error("the pipeline is not for these images: {0}")]
    OtherImages(String),
    /// The features have no form for the device, or none for these pixels, or their values of one block of images do not
    /// fit a workgroup's memory. The device is unharmed.
    #[error("the device has no form of these features, or they do not fit the memory of a workgroup")]
    Unsupported,
    /// A sum of float pixels is not a finite f32. The device is unharmed.
    #[error("a sum of float pixels is not a finite 32-bit float")]
    Range,
}

impl From<wgpu::Error> for GpuError {
    fn from(error: wgpu::Error) -> Self {
        match error {
            wgpu::Error::OutOfMemory { .. } => Self::OutOfMemory,
            wgpu::Error::Validation { description, .. } => Self::Validation(one_line(&description)),
            wgpu::Error::Internal { description, .. } => Self::Lost(one_line(&description)),
        }
    }
}

impl From<GpuError> for crate::Error {
    fn from(error: GpuError) -> Self {
        crate::Error::Gpu(Box::new(error))
    }
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs `work`; a panic in it, which wgpu knows no other way out of when a driver fails, is an error like another.
pub(super) fn unpanicked<T>(work: impl FnOnce() -> Result<T, GpuError>) -> Result<T, GpuError> {
    // What `work` may leave half changed is dropped after any error.
    guarded(work).unwrap_or_else(|panic| Err(GpuError::Lost(one_line(panic_text(&*panic)))))
}

/// The first failure of a device; it stays failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Health(Arc<OnceLock<GpuError>>);

impl Health {
    /// Records `error` unless an earlier one stands, and returns the one that does.
    pub(super) fn fail(&self, error: GpuError) -> GpuError {
        self.0.get_or_init(|| error).clone()
    }

    pub(super) fn check(&self) -> Result<(), GpuError> {
        self.0.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

/// A failure that a test provokes, since no driver can be made to fail when asked.
#[cfg_attr(not(test), expect(dead_code, reason = "only tests provoke failures"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device has no memory for a chunk.
    OutOfMemory,
    /// The device goes away with a chunk on it.
    Lost,
    /// No answer to a chunk comes; it is waited for this long.
    Hung(Duration),
}

/// The fault that is to come, and after how many chunks.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Option<(Fault, usize)>>>);

impl Faults {
    pub(super) fn plan(&self, fault: Fault, chunks: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((fault, chunks));
    }

    /// Counts a chunk; the fault, if it is due.
    pub(super) fn next(&self) -> Option<Fault> {
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match planned.as_mut() {
            Some((_, chunks)) if *chunks > 0 => {
                *chunks -= 1;
                None
            }
            _ => planned.take().map(|(fault, _)| fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_first_failure_stays() {
        let error = unpanicked::<()>(|| panic!("wait\n  failed")).unwrap_err();
        assert_eq!(error.to_string(), "the GPU device is lost: wait failed");
        let health = Health::default();
        assert!(health.check().is_ok());
        assert!(matches!(health.fail(GpuError::OutOfMemory), GpuError::OutOfMemory));
        assert!(matches!(health.fail(error), GpuError::OutOfMemory));
        assert!(matches!(health.check(), Err(GpuError::OutOfMemory)));
    }
}
