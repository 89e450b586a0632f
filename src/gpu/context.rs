//! The adapter, the device on it, and what becomes of its failures.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use super::layout::WORKGROUP_SIZE;

/// The most that a chunk, or its results, may take: large enough to hide the cost of a submission, small enough to stay
/// far below the time after which drivers reset a device.
pub(super) const MAX_CHUNK_BYTES: usize = 64 << 20;
/// The least that an adapter must bind: room for the longest row with its results, with a margin.
const MIN_CHUNK_BYTES: u64 = 4 << 20;
/// Groups a dimension that suffice to dispatch, in two dimensions, over every result of the largest chunk.
const MIN_GROUPS: u32 = 1 << 10;
const _: () = assert!(MIN_GROUPS as usize * MIN_GROUPS as usize * WORKGROUP_SIZE as usize > MAX_CHUNK_BYTES / 4);

/// What is known of the adapter in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The adapter's own name.
    pub name: String,
    /// The graphics API that it is reached through: `Vulkan`, `Metal` or `Dx12`.
    pub api: String,
    /// The driver and its version, where the API tells them.
    pub driver: String,
    /// Whether it is a CPU that plays a GPU.
    pub software: bool,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
}

impl fmt::Display for AdapterInfo {
    /// `NAME, Vulkan`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.name, self.api)
    }
}

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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs `work`; a panic in it, which wgpu knows no other way out of when a driver fails, is an error like another.
pub(super) fn unpanicked<T>(work: impl FnOnce() -> Result<T, GpuError>) -> Result<T, GpuError> {
    // What `work` may leave half changed is dropped after any error.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(GpuError::Lost(panic_text(&*panic))))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    one_line(text.unwrap_or("wgpu panicked"))
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

/// A device, its queue and its state of health.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: wgpu::Limits,
    pub(super) health: Health,
}

impl Context {
    /// Opens the first adapter that gives a device, real GPUs before software ones.
    pub(super) fn open(allow_software: bool) -> Result<(Self, AdapterInfo), GpuError> {
        if wgpu::Instance::enabled_backend_features().is_empty() {
            return Err(GpuError::NoAdapter("this platform has no API that the crate was built for".into()));
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let mut failure = None;
        for adapter in candidates(&instance, allow_software)? {
            match Self::on(&adapter) {
                Ok(context) => return Ok((context, describe(&adapter.get_info()))),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| {
            GpuError::NoAdapter(if allow_software { "none found" } else { "no hardware adapter found" }.into())
        }))
    }

    fn on(adapter: &wgpu::Adapter) -> Result<Self, GpuError> {
        let limits = adapter.limits();
        check_limits(&limits)?;
        let descriptor =
            wgpu::DeviceDescriptor { label: Some("pixelfeat"), required_limits: limits.clone(), ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| GpuError::NoAdapter(one_line(&error.to_string())))?;
        let health = Health::default();
        // Without these two, wgpu panics on whatever thread it happens to be on, or says nothing.
        let (on_error, on_loss) = (health.clone(), health.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.fail(error.into());
        }));
        device.set_device_lost_callback(move |reason, message| {
            on_loss.fail(GpuError::Lost(one_line(&format!("{reason:?} {message}"))));
        });
        Ok(Self { device, queue, limits, health })
    }

    /// The most that a chunk or its results may take, and the buffers of either; params fit in beside them.
    pub(super) fn chunk_bytes(&self) -> usize {
        let most = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size / 2);
        MAX_CHUNK_BYTES.min(usize::try_from(most & !3).unwrap_or(usize::MAX))
    }

    /// Does `work` with every error that it provokes caught and returned.
    pub(super) fn scoped<T>(&self, work: impl FnOnce() -> Result<T, GpuError>) -> Result<T, GpuError> {
        let scopes = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory]
            .map(|filter| self.device.push_error_scope(filter));
        let done = unpanicked(work);
        let caught: Vec<_> =
            scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop())).map(GpuError::from).collect();
        // What wgpu says of a loss or a refusal explains the error that followed from it.
        self.health.check()?;
        caught.into_iter().next().map_or(done, Err)
    }
}

/// The adapters that may be used, best first. `WGPU_BACKEND` has already narrowed the instance; `WGPU_ADAPTER_NAME`, a
/// part of a name in any case, narrows them further.
fn candidates(instance: &wgpu::Instance, allow_software: bool) -> Result<Vec<wgpu::Adapter>, GpuError> {
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    if let Ok(wanted) = std::env::var("WGPU_ADAPTER_NAME") {
        adapters.retain(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted.to_lowercase()));
        if adapters.is_empty() {
            return Err(GpuError::NoAdapter(format!("none is named like WGPU_ADAPTER_NAME={wanted}")));
        }
    }
    adapters.retain(|adapter| allow_software || adapter.get_info().device_type != wgpu::DeviceType::Cpu);
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    Ok(adapters)
}

fn check_limits(limits: &wgpu::Limits) -> Result<(), GpuError> {
    let group = u64::from(WORKGROUP_SIZE);
    let needed = [
        ("max_storage_buffer_binding_size", MIN_CHUNK_BYTES, limits.max_storage_buffer_binding_size),
        ("max_buffer_size", 2 * MIN_CHUNK_BYTES, limits.max_buffer_size),
        ("max_storage_buffers_per_shader_stage", 2, limits.max_storage_buffers_per_shader_stage.into()),
        ("max_compute_invocations_per_workgroup", group, limits.max_compute_invocations_per_workgroup.into()),
        ("max_compute_workgroup_size_x", group, limits.max_compute_workgroup_size_x.into()),
        ("max_compute_workgroups_per_dimension", MIN_GROUPS.into(), limits.max_compute_workgroups_per_dimension.into()),
    ];
    needed
        .into_iter()
        .find(|(_, needs, has)| has < needs)
        .map_or(Ok(()), |(limit, needs, has)| Err(GpuError::Limits { limit, needs, has }))
}

fn describe(info: &wgpu::AdapterInfo) -> AdapterInfo {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    AdapterInfo {
        name: info.name.clone(),
        api: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        software: info.device_type == wgpu::DeviceType::Cpu,
        kind: kind.to_owned(),
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

    #[test]
    fn limits_too_small_are_named() {
        assert!(check_limits(&wgpu::Limits::default()).is_ok());
        let small = wgpu::Limits { max_compute_invocations_per_workgroup: 32, ..Default::default() };
        let error = check_limits(&small).unwrap_err();
        assert_eq!(error.to_string(), "the adapter's max_compute_invocations_per_workgroup is 32, 64 is needed");
    }
}
