//! The adapter and the device on it.

use std::fmt;
use std::sync::Arc;

use super::fault::{Faults, GpuError, Health, one_line, unpanicked};
use super::layout::{WORKGROUP_BYTES, WORKGROUP_SIZE};

/// The most that a buffer of pixels or of results takes: what one dispatch works on, far below the time after which
/// drivers reset a device.
pub(super) const MAX_BUFFER_BYTES: usize = 256 << 20;
/// The least that an adapter must bind: room for the longest row with its results, with a margin.
const MIN_BUFFER_BYTES: u64 = 8 << 20;
/// Groups a dimension that suffice to dispatch, in two dimensions, over every result of the largest buffer.
const MIN_GROUPS: u32 = 1 << 10;
const _: () = assert!(MIN_GROUPS as usize * MIN_GROUPS as usize * WORKGROUP_SIZE as usize > MAX_BUFFER_BYTES / 4);
/// Where pixels begin in a buffer whose head is the params: what every adapter can bind at.
pub(super) const HEAD_BYTES: u64 = 256;

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

/// A device, its queue and its state of health.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: wgpu::AdapterInfo,
    pub(super) limits: wgpu::Limits,
    pub(super) health: Health,
    pub(super) faults: Faults,
}

impl Context {
    /// Opens the first adapter that gives a device, real GPUs before software ones.
    pub(super) fn open(allow_software: bool) -> Result<Self, GpuError> {
        let mut failure = None;
        for adapter in adapters(allow_software)? {
            match Self::on(&adapter) {
                Ok(context) => return Ok(context),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| {
            GpuError::NoAdapter(if allow_software { "none found" } else { "no hardware adapter found" }.into())
        }))
    }

    pub(super) fn on(adapter: &wgpu::Adapter) -> Result<Self, GpuError> {
        let limits = adapter.limits();
        check_limits(&limits)?;
        let wanted =
            wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::PIPELINE_CACHE | wgpu::Features::TIMESTAMP_QUERY;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("pixelfeat"),
            required_features: adapter.features() & wanted,
            required_limits: limits,
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|error| GpuError::NoAdapter(one_line(&error.to_string())))?;
        let context = Self::with(device, queue)?;
        // Without these two, wgpu panics on whatever thread it happens to be on, or says nothing.
        let (on_error, on_loss) = (context.health.clone(), context.health.clone());
        context.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.fail(error.into());
        }));
        context.device.set_device_lost_callback(move |reason, message| {
            on_loss.fail(GpuError::Lost(one_line(&format!("{reason:?} {message}"))));
        });
        Ok(context)
    }

    /// Of somebody else's device, whose handlers of errors and of loss stay theirs.
    pub(super) fn with(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self, GpuError> {
        let limits = device.limits();
        check_limits(&limits)?;
        let info = device.adapter_info();
        Ok(Self { device, queue, info, limits, health: Health::default(), faults: Faults::default() })
    }

    /// The most that a buffer may take.
    pub(super) fn buffer_bytes(&self) -> usize {
        let max = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size - HEAD_BYTES);
        MAX_BUFFER_BYTES.min(usize::try_from(max & !15).unwrap_or(usize::MAX))
    }

    pub(super) fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages, mapped: bool) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: mapped,
        })
    }

    /// The grid of a dispatch of so many groups: two dimensions where one does not hold them.
    pub(super) fn grid(&self, groups: usize) -> [u32; 2] {
        let groups = groups as u32;
        let across = groups.min(self.limits.max_compute_workgroups_per_dimension);
        [across, groups.div_ceil(across)]
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
        let done = caught.into_iter().next().map_or(done, Err);
        done.map_err(|error| match error {
            // What is asked of a device that is gone is refused as invalid, and who owns the device hears of the loss.
            GpuError::Validation(text) if self.is_gone() => GpuError::Lost(text),
            error => error,
        })
    }

    /// Whether the device no longer does even the least.
    fn is_gone(&self) -> bool {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let mapped = unpanicked(|| {
            let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("sign of life"),
                size: 16,
                usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: true,
            });
            buffer.get_mapped_range_mut(..).map(drop).map_err(|error| GpuError::Lost(error.to_string()))
        });
        pollster::block_on(scope.pop()).is_some() || mapped.is_err()
    }
}

/// The adapters that may be used, best first. `WGPU_BACKEND` narrows them by API; `WGPU_ADAPTER_NAME`, a part of a name
/// in any case, narrows them further.
pub(super) fn adapters(allow_software: bool) -> Result<Vec<wgpu::Adapter>, GpuError> {
    if wgpu::Instance::enabled_backend_features().is_empty() {
        return Err(GpuError::NoAdapter("this platform has no API that the crate was built for".into()));
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
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
        ("max_storage_buffer_binding_size", MIN_BUFFER_BYTES, limits.max_storage_buffer_binding_size),
        ("max_buffer_size", MIN_BUFFER_BYTES + HEAD_BYTES, limits.max_buffer_size),
        ("max_storage_buffers_per_shader_stage", 4, limits.max_storage_buffers_per_shader_stage.into()),
        (
            "max_compute_workgroup_storage_size",
            WORKGROUP_BYTES as u64,
            limits.max_compute_workgroup_storage_size.into(),
        ),
        ("max_compute_invocations_per_workgroup", group, limits.max_compute_invocations_per_workgroup.into()),
        ("max_compute_workgroup_size_x", group, limits.max_compute_workgroup_size_x.into()),
        ("max_compute_workgroups_per_dimension", MIN_GROUPS.into(), limits.max_compute_workgroups_per_dimension.into()),
    ];
    needed
        .into_iter()
        .find(|(_, needs, has)| has < needs)
        .map_or(Ok(()), |(limit, needs, has)| Err(GpuError::Limits { limit, needs, has }))
}

pub(super) fn describe(info: &wgpu::AdapterInfo) -> AdapterInfo {
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
    fn limits_too_small_are_named() {
        assert!(check_limits(&wgpu::Limits::default()).is_ok());
        let small = wgpu::Limits { max_compute_invocations_per_workgroup: 32, ..Default::default() };
        let error = check_limits(&small).unwrap_err();
        assert_eq!(error.to_string(), "the adapter's max_compute_invocations_per_workgroup is 32, 128 is needed");
    }
}
