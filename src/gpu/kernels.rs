//! The pipelines: specialised ones for plans with much work, general ones for all others.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::command::Dispatch;
use super::context::{Context, HEAD_BYTES};
use super::fault::GpuError;
use super::layout::{
    FINISH_ENTRY, GROUP, INPUT_BINDING, MERGE_ENTRY, OUTPUT_BINDING, PARAMS_BINDING, Params, TILES_ENTRY, WHOLE_ENTRY,
};
use super::lru::Lru;
use super::plan::{BlockPlan, Chunk};
use super::shader::{Numbers, compose, constant};
use crate::base::shape::PixelType;
use crate::features::FeatureSet;

/// Plans that are remembered, with their pipelines. A process seldom meets more than a few; ragged images may bring
/// thousands.
const MAX_PLANS: usize = 256;
/// Bytes of pixels after which a plan gets pipelines of its own. Compiling them takes tens of milliseconds; general
/// kernels are about as fast as pixels arrive.
pub(super) const SPECIALIZE_BYTES: usize = 64 << 20;

/// The pipelines of a plan, or of all plans of one kind.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    /// From pixels to the records of blocks.
    pub(super) blocks: wgpu::ComputePipeline,
    /// From those of tiles to those of images.
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
    specialize_bytes: usize,
    bindings: wgpu::BindGroupLayout,
    layout: wgpu::PipelineLayout,
    /// What drivers keep of compiled pipelines, where the adapter hands it out.
    cache: Option<wgpu::PipelineCache>,
    compiled: Mutex<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    modules: HashMap<(FeatureSet, PixelType, Numbers), wgpu::ShaderModule>,
    plans: Lru<BlockPlan, Seen>,
    /// Kernels for any plan of a feature set and a pixel type, with tiles or without.
    general: HashMap<(FeatureSet, PixelType, bool), Arc<Kernel>>,
    finish: HashMap<(FeatureSet, PixelType), wgpu::ComputePipeline>,
    /// How many pipelines were compiled so far.
    pipelines: usize,
}

/// What is known of a plan.
#[derive(Debug, Default)]
struct Seen {
    /// Pixels so far.
    bytes: usize,
    specialized: Option<Arc<Kernel>>,
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
            label: Some("pixelfeat"),
            entries: &[
                entry(PARAMS_BINDING, wgpu::BufferBindingType::Uniform, params_bytes),
                entry(INPUT_BINDING, wgpu::BufferBindingType::Storage { read_only: true }, None),
                entry(OUTPUT_BINDING, wgpu::BufferBindingType::Storage { read_only: false }, None),
            ],
        });
        const { assert!(GROUP == 0, "the one layout below is that of group 0") };
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("pixelfeat"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let cache = device.features().contains(wgpu::Features::PIPELINE_CACHE).then(|| {
            let descriptor = wgpu::PipelineCacheDescriptor { label: Some("pixelfeat"), data: None, fallback: true };
            // SAFETY: it begins empty, so there is no data to vouch for.
            unsafe { device.create_pipeline_cache(&descriptor) }
        });
        let compiled = Compiled {
            modules: HashMap::new(),
            plans: Lru::new(MAX_PLANS),
            general: HashMap::new(),
            finish: HashMap::new(),
            pipelines: 0,
        };
        let specialize_bytes = SPECIALIZE_BYTES;
        Self { checked, specialize_bytes, bindings, layout, cache, compiled: Mutex::new(compiled) }
    }

    /// The bind groups of a kernel: of one for tiles if there is a buffer for their records.
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
            label: Some("pixelfeat"),
            layout: &self.bindings,
            entries: &[
                wgpu::BindGroupEntry { binding: PARAMS_BINDING, resource: params },
                wgpu::BindGroupEntry { binding: INPUT_BINDING, resource: input },
                wgpu::BindGroupEntry { binding: OUTPUT_BINDING, resource: output },
            ],
        })
    }

    /// Whether `pixels` can be bound to a kernel, for wgpu to tell.
    pub(super) fn try_bind(&self, context: &Context, pixels: &wgpu::Buffer) -> Result<(), GpuError> {
        let params = context.buffer("params", HEAD_BYTES, wgpu::BufferUsages::UNIFORM, false);
        let output = context.buffer("results", HEAD_BYTES, wgpu::BufferUsages::STORAGE, false);
        let [params, input, output] = [&params, pixels, &output].map(wgpu::Buffer::as_entire_binding);
        drop(self.bind(&context.device, params, input, output));
        Ok(())
    }

    /// The kernel for `bytes` more of pixels of `plan`, compiled now if need be.
    pub(super) fn of(&self, context: &Context, plan: &BlockPlan, bytes: usize) -> Result<Arc<Kernel>, GpuError> {
        let compiled = &mut *self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = compiled.plans.get_or_default(plan);
        if let Some(kernel) = &seen.specialized {
            return Ok(kernel.clone());
        }
        seen.bytes = seen.bytes.saturating_add(bytes);
        if seen.bytes >= self.specialize_bytes {
            let kernel = Arc::new(self.compile(context, compiled, plan, Numbers::Constants)?);
            compiled.plans.get_or_default(plan).specialized = Some(kernel.clone());
            return Ok(kernel);
        }
        let kind = (plan.set.clone(), plan.geometry.pixel_type, plan.is_tiled());
        if let Some(kernel) = compiled.general.get(&kind) {
            return Ok(kernel.clone());
        }
        let kernel = Arc::new(self.compile(context, compiled, plan, Numbers::Params)?);
        compiled.general.insert(kind, kernel.clone());
        Ok(kernel)
    }

    fn compile(
        &self,
        context: &Context,
        compiled: &mut Compiled,
        plan: &BlockPlan,
        numbers: Numbers,
    ) -> Result<Kernel, GpuError> {
        let constants: Vec<_> = match numbers {
            Numbers::Constants => {
                let names = BlockPlan::number_names(&plan.set, plan.geometry.pixel_type);
                names.iter().map(|name| constant(name)).zip(plan.numbers(1).into_iter().map(f64::from)).collect()
            }
            Numbers::Params => Vec::new(),
        };
        let mut pipeline =
            |entry| self.pipeline(context, compiled, (&plan.set, plan.geometry.pixel_type, numbers), entry, &constants);
        Ok(if plan.is_tiled() {
            Kernel { blocks: pipeline(TILES_ENTRY)?, merge: Some(pipeline(MERGE_ENTRY)?) }
        } else {
            Kernel { blocks: pipeline(WHOLE_ENTRY)?, merge: None }
        })
    }

    /// The kernel that makes features from the records of images, of any plan and at any scale.
    pub(super) fn finish(&self, context: &Context, plan: &BlockPlan) -> Result<wgpu::ComputePipeline, GpuError> {
        let kind = (plan.set.clone(), plan.geometry.pixel_type);
        let compiled = &mut *self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(finish) = compiled.finish.get(&kind) {
            return Ok(finish.clone());
        }
        let finish = self.pipeline(context, compiled, (&kind.0, kind.1, Numbers::Params), FINISH_ENTRY, &[])?;
        compiled.finish.insert(kind, finish.clone());
        Ok(finish)
    }

    fn module(&self, device: &wgpu::Device, source: String) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some("pixelfeat"),
            source: wgpu::ShaderSource::Wgsl(Cow::Owned(source)),
        };
        if self.checked {
            return device.create_shader_module(descriptor);
        }
        // SAFETY: the shaders are the crate's own. Every index follows from the plan, the params and the invocation's
        // number, which is checked against the tasks; `BlockPlan` sizes the workgroup's memory and `Chunk` the buffers,
        // whose sizes are checked before a dispatch. Loops run a counted number of times and no divisor is zero, since no
        // side of a shape is.
        unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
    }

    fn pipeline(
        &self,
        context: &Context,
        compiled: &mut Compiled,
        (set, pixel_type, numbers): (&FeatureSet, PixelType, Numbers),
        entry: &str,
        constants: &[(String, f64)],
    ) -> Result<wgpu::ComputePipeline, GpuError> {
        let constants: Vec<_> = constants.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let pipeline = context.scoped(|| {
            let module = compiled
                .modules
                .entry((set.clone(), pixel_type, numbers))
                .or_insert_with(|| self.module(&context.device, compose(set, pixel_type, numbers)));
            Ok(context.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry),
                layout: Some(&self.layout),
                module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // The kernels write what they read there.
                    zero_initialize_workgroup_memory: self.checked,
                },
                cache: self.cache.as_ref(),
            }))
        })?;
        compiled.pipelines += 1;
        Ok(pipeline)
    }
}

#[cfg(test)]
impl Kernels {
    /// With pipelines of its own for every plan that has so many bytes.
    pub(super) fn specialize_from(&mut self, bytes: usize) {
        self.specialize_bytes = bytes;
    }

    /// How many pipelines were compiled.
    pub(super) fn pipelines(&self) -> usize {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).pipelines
    }
}
