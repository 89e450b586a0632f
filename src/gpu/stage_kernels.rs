//! The pipelines of stages.

use std::sync::{Mutex, PoisonError};

use super::context::Context;
use super::fault::GpuError;
use super::layout::{DRAWS_BINDING, GROUP, INPUT_BINDING, OUTPUT_BINDING, PARAMS_BINDING, STAGE_ENTRY, StageParams};
use super::lru::Lru;
use super::shader::compose_stage;
use crate::base::shape::PixelType;
use crate::stages::DeviceStage;

/// Pipelines that are remembered.
const MAX_PIPELINES: usize = 32;

/// The kernels of stages on a device. All share one layout.
#[derive(Debug)]
pub(super) struct StageKernels {
    bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
    /// By their composed WGSL.
    pipelines: Mutex<Lru<String, Option<wgpu::ComputePipeline>>>,
}

impl StageKernels {
    pub(super) fn new(context: &Context) -> Result<Self, GpuError> {
        context.scoped(|| Ok(Self::create(&context.device)))
    }

    fn create(device: &wgpu::Device) -> Self {
        let entry = |binding, ty, min_binding_size| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size },
            count: None,
        };
        let read = wgpu::BufferBindingType::Storage { read_only: true };
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("pixelfeat stages"),
            entries: &[
                entry(
                    PARAMS_BINDING,
                    wgpu::BufferBindingType::Uniform,
                    wgpu::BufferSize::new(size_of::<StageParams>() as u64),
                ),
                entry(INPUT_BINDING, read, None),
                entry(OUTPUT_BINDING, wgpu::BufferBindingType::Storage { read_only: false }, None),
                entry(DRAWS_BINDING, read, None),
            ],
        });
        const { assert!(GROUP == 0, "the one layout below is that of group 0") };
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("pixelfeat stages"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { bindings, layout, pipelines: Mutex::new(Lru::new(MAX_PIPELINES)) }
    }

    /// The kernel of a stage, compiled now if need be. It checks the bounds of buffers, since a stage decides where it
    /// reads.
    pub(super) fn of(
        &self,
        context: &Context,
        stage: &DeviceStage,
        pixel_type: PixelType,
    ) -> Result<wgpu::ComputePipeline, GpuError> {
        let source = compose_stage(stage, pixel_type);
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pipelines.get_or_default(&source);
        if let Some(pipeline) = known {
            return Ok(pipeline.clone());
        }
        let pipeline = context.scoped(|| {
            let module = context.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(STAGE_ENTRY),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            });
            Ok(context.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(STAGE_ENTRY),
                layout: Some(&self.layout),
                module: &module,
                entry_point: Some(STAGE_ENTRY),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            }))
        })?;
        *known = Some(pipeline.clone());
        Ok(pipeline)
    }

    /// The bind group of a dispatch.
    pub(super) fn bind(
        &self,
        device: &wgpu::Device,
        params: wgpu::BindingResource<'_>,
        draws: wgpu::BindingResource<'_>,
        pixels: &wgpu::Buffer,
        results: &wgpu::Buffer,
    ) -> wgpu::BindGroup {
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("pixelfeat stages"),
            layout: &self.bindings,
            entries: &[
                wgpu::BindGroupEntry { binding: PARAMS_BINDING, resource: params },
                wgpu::BindGroupEntry { binding: INPUT_BINDING, resource: pixels.as_entire_binding() },
                wgpu::BindGroupEntry { binding: OUTPUT_BINDING, resource: results.as_entire_binding() },
                wgpu::BindGroupEntry { binding: DRAWS_BINDING, resource: draws },
            ],
        })
    }
}
