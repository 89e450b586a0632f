//! The pipelines, compiled when a pixel type is first met.

use super::layout::{COLS_ENTRY, GROUP, PARAMS_BINDING, PIXELS_BINDING, Params, RESULTS_BINDING, ROWS_ENTRY};
use super::pixel::GpuPixel;

/// The two kernels of a pixel type.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) rows: wgpu::ComputePipeline,
    pub(super) cols: wgpu::ComputePipeline,
}

/// The kernels of a device. All share one layout, so that one bind group serves them.
#[derive(Debug)]
pub(super) struct Kernels {
    bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
    /// By [`PixelType`](crate::PixelType).
    compiled: [Option<Kernel>; 3],
}

impl Kernels {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let entry = |binding, ty, min_binding_size| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size },
            count: None,
        };
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("moments"),
            entries: &[
                entry(
                    PARAMS_BINDING,
                    wgpu::BufferBindingType::Uniform,
                    wgpu::BufferSize::new(size_of::<Params>() as u64),
                ),
                entry(PIXELS_BINDING, wgpu::BufferBindingType::Storage { read_only: true }, None),
                entry(RESULTS_BINDING, wgpu::BufferBindingType::Storage { read_only: false }, None),
            ],
        });
        const { assert!(GROUP == 0, "the one layout below is that of group 0") };
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("moments"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { bindings, layout, compiled: [const { None }; 3] }
    }

    /// What a bind group of any kernel looks like.
    pub(super) fn bindings(&self) -> &wgpu::BindGroupLayout {
        &self.bindings
    }

    /// The kernels of `P`.
    pub(super) fn of<P: GpuPixel>(&mut self, device: &wgpu::Device) -> &Kernel {
        let layout = &self.layout;
        self.compiled[P::TYPE as usize].get_or_insert_with(|| compile::<P>(device, layout))
    }
}

fn compile<P: GpuPixel>(device: &wgpu::Device, layout: &wgpu::PipelineLayout) -> Kernel {
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some("moments"),
        source: wgpu::ShaderSource::Wgsl(std::borrow::Cow::Borrowed(P::SHADER)),
    };
    let module = if cfg!(debug_assertions) {
        device.create_shader_module(descriptor)
    } else {
        // SAFETY: the shaders are the crate's own. Every index follows from `Params` and the invocation's number, which
        // is checked against the tasks; `Slot` has bound a word for each pixel and each result before it dispatches.
        // Loops run a counted number of times and no divisor is zero, since no side of a shape is.
        unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    };
    let pipeline = |entry| {
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: Some(layout),
            module: &module,
            entry_point: Some(entry),
            compilation_options: Default::default(),
            cache: None,
        })
    };
    Kernel { rows: pipeline(ROWS_ENTRY), cols: pipeline(COLS_ENTRY) }
}
