//! The pipelines, compiled for a plan when it is first met.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::command::Dispatch;
use super::context::Context;
use super::fault::GpuError;
use super::layout::{
    FINISH_ENTRY, GROUP, INPUT_BINDING, MERGE_ENTRY, OUTPUT_BINDING, PARAMS_BINDING, PARTS_ENTRY, Params, SHADER_F32,
    SHADER_FINISH, SHADER_U8, SHADER_U16, WHOLE_ENTRY,
};
use super::plan::{BlockPlan, Chunk};
use crate::base::shape::PixelType;

/// Plans whose pipelines are kept. A process seldom meets more than a few shapes.
const MOST_KEPT: usize = 64;

/// The kernels of a plan.
#[derive(Debug)]
pub(super) struct Kernel {
    /// From pixels to the records of blocks.
    pub(super) blocks: wgpu::ComputePipeline,
    /// From those of rectangles to those of images.
    pub(super) merge: Option<wgpu::ComputePipeline>,
}

/// The bind groups of a kernel's dispatches, as many as it has pipelines.
#[derive(Debug, Clone)]
pub(super) struct KernelBindings {
    pub(super) blocks: wgpu::BindGroup,
    pub(super) merge: Option<wgpu::BindGroup>,
}

impl Kernel {
    /// What makes the records of a chunk's images from its pixels.
    pub(super) fn dispatches<'a>(
        &'a self,
        chunk: &Chunk,
        bindings: &'a KernelBindings,
    ) -> Result<Vec<Dispatch<'a>>, GpuError> {
        let blocks = Dispatch { pipeline: &self.blocks, bindings: &bindings.blocks, groups: chunk.groups };
        match (&self.merge, &bindings.merge) {
            (None, None) => Ok(vec![blocks]),
            (Some(pipeline), Some(bindings)) => {
                Ok(vec![blocks, Dispatch { pipeline, bindings, groups: chunk.merge_groups }])
            }
            _ => Err(GpuError::Validation("the bind groups are not those of the kernel".into())),
        }
    }
}

/// The kernels of a device. All share one layout.
#[derive(Debug)]
pub(super) struct Kernels {
    checked: bool,
    bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
    /// What drivers keep of compiled pipelines, where the adapter hands it out.
    cache: Option<wgpu::PipelineCache>,
    compiled: Mutex<Compiled>,
}

#[derive(Debug, Default)]
struct Compiled {
    /// By [`PixelType`].
    modules: [Option<wgpu::ShaderModule>; 3],
    kernels: HashMap<BlockPlan, Arc<Kernel>>,
    /// By plan, rows of an image and the bits of the scale.
    finishers: HashMap<(BlockPlan, usize, u64), wgpu::ComputePipeline>,
}

impl Kernels {
    /// `checked`: with the bounds checks that the shaders do without in a release build.
    pub(super) fn new(context: &Context, checked: bool) -> Result<Self, GpuError> {
        context.scoped(|| Ok(Self::create(&context.device, checked)))
    }

    fn create(device: &wgpu::Device, checked: bool) -> Self {
        let entry = |binding, ty, min_binding_size| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size },
            count: None,
        };
        let params_bytes = wgpu::BufferSize::new(size_of::<Params>() as u64);
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("moments"),
            entries: &[
                entry(PARAMS_BINDING, wgpu::BufferBindingType::Uniform, params_bytes),
                entry(INPUT_BINDING, wgpu::BufferBindingType::Storage { read_only: true }, None),
                entry(OUTPUT_BINDING, wgpu::BufferBindingType::Storage { read_only: false }, None),
            ],
        });
        const { assert!(GROUP == 0, "the one layout below is that of group 0") };
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("moments"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let cache = device.features().contains(wgpu::Features::PIPELINE_CACHE).then(|| {
            let descriptor = wgpu::PipelineCacheDescriptor { label: Some("moments"), data: None, fallback: true };
            // SAFETY: it begins empty, so there is no data to vouch for.
            unsafe { device.create_pipeline_cache(&descriptor) }
        });
        Self { checked, bindings, layout, cache, compiled: Mutex::default() }
    }

    /// The bind groups of `kernel`; records of tiles go through `records`.
    pub(super) fn bind_kernel<'b>(
        &self,
        device: &wgpu::Device,
        params: &wgpu::BindingResource<'b>,
        pixels: wgpu::BindingResource<'b>,
        records: Option<&'b wgpu::Buffer>,
        results: &'b wgpu::Buffer,
    ) -> KernelBindings {
        let bind =
            |input, output: &'b wgpu::Buffer| self.bind(device, params.clone(), input, output.as_entire_binding());
        KernelBindings {
            blocks: bind(pixels, records.unwrap_or(results)),
            merge: records.map(|records| bind(records.as_entire_binding(), results)),
        }
    }

    /// A bind group of any kernel.
    pub(super) fn bind(
        &self,
        device: &wgpu::Device,
        params: wgpu::BindingResource<'_>,
        input: wgpu::BindingResource<'_>,
        output: wgpu::BindingResource<'_>,
    ) -> wgpu::BindGroup {
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("moments"),
            layout: &self.bindings,
            entries: &[
                wgpu::BindGroupEntry { binding: PARAMS_BINDING, resource: params },
                wgpu::BindGroupEntry { binding: INPUT_BINDING, resource: input },
                wgpu::BindGroupEntry { binding: OUTPUT_BINDING, resource: output },
            ],
        })
    }

    /// The kernels of `plan`, compiled now if they are met for the first time.
    pub(super) fn of(&self, context: &Context, plan: &BlockPlan) -> Result<Arc<Kernel>, GpuError> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = compiled.kernels.get(plan) {
            return Ok(kernel.clone());
        }
        if compiled.kernels.len() == MOST_KEPT {
            compiled.kernels.clear();
        }
        let kernel = context.scoped(|| {
            let module = compiled.modules[plan.pixel_type as usize]
                .get_or_insert_with(|| self.module(&context.device, source(plan.pixel_type)));
            let constants = constants(plan);
            let pipeline = |entry| self.pipeline(&context.device, module, entry, &constants);
            Ok(Arc::new(if plan.is_parts() {
                Kernel { blocks: pipeline(PARTS_ENTRY), merge: Some(pipeline(MERGE_ENTRY)) }
            } else {
                Kernel { blocks: pipeline(WHOLE_ENTRY), merge: None }
            }))
        })?;
        compiled.kernels.insert(*plan, kernel.clone());
        Ok(kernel)
    }

    /// The kernel that makes features from the records of images of `height` rows.
    pub(super) fn finish(
        &self,
        context: &Context,
        plan: &BlockPlan,
        height: usize,
        scale: f64,
    ) -> Result<wgpu::ComputePipeline, GpuError> {
        let key = (*plan, height, scale.to_bits());
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(finish) = compiled.finishers.get(&key) {
            return Ok(finish.clone());
        }
        if compiled.finishers.len() == MOST_KEPT {
            compiled.finishers.clear();
        }
        let record = plan.record(height);
        let constants = [
            ("WIDTH", plan.width as f64),
            ("CHANNELS", plan.channels as f64),
            ("A_WORD", record.a_word as f64),
            ("SUM_WORDS", record.sum_words as f64),
            ("BANDS", record.bands as f64),
            ("SECOND_WORDS", record.second_words as f64),
            ("SCALE", scale),
        ];
        let finish = context.scoped(|| {
            let module = self.module(&context.device, SHADER_FINISH);
            Ok(self.pipeline(&context.device, &module, FINISH_ENTRY, &constants))
        })?;
        compiled.finishers.insert(key, finish.clone());
        Ok(finish)
    }

    fn module(&self, device: &wgpu::Device, source: &'static str) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some("moments"),
            source: wgpu::ShaderSource::Wgsl(Cow::Borrowed(source)),
        };
        if self.checked {
            return device.create_shader_module(descriptor);
        }
        // SAFETY: the shaders are the crate's own. Every index follows from the plan, the params and the invocation's
        // number, which is checked against the tasks; `BlockPlan` sizes the workgroup's memory and `Chunk` the buffers, whose
        // sizes are checked before a dispatch. Loops run a counted number of times and no divisor is zero, since no side
        // of a shape is.
        unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    }

    fn pipeline(
        &self,
        device: &wgpu::Device,
        module: &wgpu::ShaderModule,
        entry: &str,
        constants: &[(&str, f64)],
    ) -> wgpu::ComputePipeline {
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: Some(&self.layout),
            module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                // The kernels write what they read there.
                zero_initialize_workgroup_memory: self.checked,
            },
            cache: self.cache.as_ref(),
        })
    }
}

fn source(pixel_type: PixelType) -> &'static str {
    match pixel_type {
        PixelType::U8 => SHADER_U8,
        PixelType::U16 => SHADER_U16,
        PixelType::F32 => SHADER_F32,
    }
}

/// The values of the shaders' overrides.
fn constants(plan: &BlockPlan) -> Vec<(&'static str, f64)> {
    let mut constants = vec![
        ("WIDTH", plan.width),
        ("CHANNELS", plan.channels),
        ("BLOCK_IMAGES", plan.block_images),
        ("BLOCK_ROWS", plan.block_rows),
        ("BLOCK_PIXELS", plan.block_pixels),
        ("PITCH", plan.pitch),
        ("ALIGNED", plan.aligned.into()),
        ("BLOCK_WORDS", plan.block_words()),
        ("RECORD_WORDS", plan.record_words()),
        ("RECORDS_WORDS", plan.records_words()),
    ];
    if plan.pixel_type != PixelType::F32 {
        constants.extend([
            ("SUMS_A_WORD", plan.sums_a_word),
            ("MERGED_A_WORD", plan.merged_a_word),
            ("SUM_WORDS", plan.sum_words()),
        ]);
    }
    constants.into_iter().map(|(name, value)| (name, value as f64)).collect()
}
