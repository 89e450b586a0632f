//! The pipelines that apply steps.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::context::Context;
use super::fault::GpuError;
use super::layout::{GROUP, INPUT_BINDING, MEASURES_BINDING, OUTPUT_BINDING, PARAMS_BINDING, StepParams, TOLD_BINDING};
use super::shader::{StepFrame, compose_steps};
use crate::base::shape::PixelType;

/// The kernels of steps on a device. They serve every chain; those of a pixel type are compiled when they are first
/// needed.
#[derive(Debug)]
pub(super) struct StepKernels {
    /// For images of any size, and for small ones.
    layouts: [Layout; 2],
    compiled: Mutex<Compiled>,
}

#[derive(Debug)]
struct Layout {
    bindings: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

#[derive(Debug, Default)]
struct Compiled {
    modules: HashMap<(StepFrame, PixelType), wgpu::ShaderModule>,
    pipelines: HashMap<(StepFrame, PixelType, &'static str), wgpu::ComputePipeline>,
}

/// What a dispatch reads and writes. Kernels for small images have no measures.
pub(super) struct StepBindings<'a> {
    pub(super) params: wgpu::BindingResource<'a>,
    pub(super) pixels: &'a wgpu::Buffer,
    pub(super) results: &'a wgpu::Buffer,
    pub(super) told: wgpu::BindingResource<'a>,
    pub(super) measures: Option<&'a wgpu::Buffer>,
}

impl StepKernels {
    pub(super) fn new(context: &Context) -> Result<Self, GpuError> {
        let device = &context.device;
        context.scoped(|| {
            let layouts = [layout(device, true), layout(device, false)];
            Ok(Self { layouts, compiled: Mutex::default() })
        })
    }

    fn layout(&self, frame: StepFrame) -> &Layout {
        match frame {
            StepFrame::Wide => &self.layouts[0],
            StepFrame::Whole => &self.layouts[1],
        }
    }

    /// A kernel, compiled now if need be. It checks the bounds of buffers, since steps decide where they read.
    pub(super) fn of(
        &self,
        context: &Context,
        frame: StepFrame,
        pixel_type: PixelType,
        entry: &'static str,
    ) -> Result<wgpu::ComputePipeline, GpuError> {
        let Compiled { modules, pipelines } = &mut *self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&(frame, pixel_type, entry)) {
            return Ok(pipeline.clone());
        }
        let pipeline = context.scoped(|| {
            let module = modules.entry((frame, pixel_type)).or_insert_with(|| {
                context.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                    label: Some("pixelfeat steps"),
                    source: wgpu::ShaderSource::Wgsl(compose_steps(frame, pixel_type).into()),
                })
            });
            Ok(context.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry),
                layout: Some(&self.layout(frame).pipeline),
                module,
                entry_point: Some(entry),
                // The kernels write what they read there.
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            }))
        })?;
        pipelines.insert((frame, pixel_type, entry), pipeline.clone());
        Ok(pipeline)
    }

    /// The bind group of a dispatch.
    pub(super) fn bind(&self, device: &wgpu::Device, bindings: StepBindings<'_>) -> wgpu::BindGroup {
        let StepBindings { params, pixels, results, told, measures } = bindings;
        let frame = if measures.is_some() { StepFrame::Wide } else { StepFrame::Whole };
        let mut entries = vec![
            wgpu::BindGroupEntry { binding: PARAMS_BINDING, resource: params },
            wgpu::BindGroupEntry { binding: INPUT_BINDING, resource: pixels.as_entire_binding() },
            wgpu::BindGroupEntry { binding: OUTPUT_BINDING, resource: results.as_entire_binding() },
            wgpu::BindGroupEntry { binding: TOLD_BINDING, resource: told },
        ];
        entries.extend(measures.map(|measures| wgpu::BindGroupEntry {
            binding: MEASURES_BINDING,
            resource: measures.as_entire_binding(),
        }));
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("pixelfeat steps"),
            layout: &self.layout(frame).bindings,
            entries: &entries,
        })
    }
}

fn layout(device: &wgpu::Device, measures: bool) -> Layout {
    let entry = |binding, ty, min_binding_size| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size },
        count: None,
    };
    let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
    let params_bytes = wgpu::BufferSize::new(size_of::<StepParams>() as u64);
    let mut entries = vec![
        entry(PARAMS_BINDING, wgpu::BufferBindingType::Uniform, params_bytes),
        entry(INPUT_BINDING, storage(true), None),
        entry(OUTPUT_BINDING, storage(false), None),
        entry(TOLD_BINDING, storage(true), None),
    ];
    entries.extend(measures.then(|| entry(MEASURES_BINDING, storage(false), None)));
    let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("pixelfeat steps"),
        entries: &entries,
    });
    const { assert!(GROUP == 0, "the one layout below is that of group 0") };
    let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("pixelfeat steps"),
        bind_group_layouts: &[Some(&bindings)],
        immediate_size: 0,
    });
    Layout { bindings, pipeline }
}
