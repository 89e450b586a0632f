//! What several test files share: engines to test, columns to test them on, and the comparison.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, UInt8Array, UInt16Array};
use arrow_schema::{DataType, Field};
use pixelfeat::cpu::Level;
use pixelfeat::reference::{self, Expected};
use pixelfeat::synthetic::Random;
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, Features, Featurizer, ImageShape, PixelType};

/// Every way to compute on this machine: each SIMD level on one, two and three threads, and if there is a GPU, that and
/// both at once.
pub fn engines() -> Vec<(String, Engine)> {
    let mut engines = Vec::new();
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        for threads in [1, 2, 3] {
            let options = EngineOptions { backend: Backend::Cpu, threads, level: Some(level) };
            engines.push((format!("cpu {level} x{threads}"), Engine::new(options).unwrap()));
        }
    }
    if let Some(gpu) = gpu() {
        engines.push(("gpu".to_owned(), gpu));
        engines.push(("hybrid".to_owned(), Engine::new(EngineOptions::backend(Backend::Hybrid)).unwrap()));
    }
    println!("backends: {}", engines.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "));
    engines
}

/// An engine that computes on a GPU, or a word that there is none. `PIXELFEAT_REQUIRE_GPU=1` makes that a failure.
pub fn gpu() -> Option<Engine> {
    let engine = Engine::new(EngineOptions::backend(Backend::Gpu)).unwrap();
    let one = FeatureSpec::new(ImageShape::gray(1, 1).unwrap());
    Featurizer::new(engine.clone(), one).featurize(&column(&[1], PixelType::U8, 1)).unwrap();
    let info = engine.info();
    if info.backend == Backend::Gpu {
        println!("GPU tests run on {}", info.adapter.unwrap_or_default());
        return Some(engine);
    }
    println!("GPU tests have nothing to run on: {}", info.reason);
    assert!(std::env::var_os("PIXELFEAT_REQUIRE_GPU").is_none_or(|v| v != "1"), "a GPU is required: {}", info.reason);
    None
}

/// A device of the test's own, as an application would have it, with the adapter's limits changed by `limit`.
#[cfg(feature = "gpu")]
pub fn device(limit: impl Fn(&mut wgpu::Limits)) -> Option<(wgpu::Device, wgpu::Queue)> {
    // Says, or demands, as for every other test.
    gpu()?;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let wanted = std::env::var("WGPU_ADAPTER_NAME").unwrap_or_default().to_lowercase();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|a| a.get_info().name.to_lowercase().contains(&wanted)).unwrap();
    let mut limits = adapter.limits();
    limit(&mut limits);
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    Some(pollster::block_on(adapter.request_device(&descriptor)).unwrap())
}

/// An engine with a device that nobody else has, so that a test may break it.
#[cfg(feature = "gpu")]
pub fn breakable(backend: Backend) -> Option<Engine> {
    let (device, queue) = device(|_| ())?;
    Some(Engine::with_device(EngineOptions::backend(backend), device, queue).unwrap())
}

/// What the pixels of a test image look like.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    Zero,
    Max,
    /// A prime cycle, which shows where blocks are swapped.
    Cycle,
    Random(u64),
}

/// `len` pixel values of a type, as numbers.
pub fn values(content: Content, pixel_type: PixelType, len: usize) -> Vec<u32> {
    let max = match pixel_type {
        PixelType::U8 => 255,
        _ => 65_535,
    };
    let mut random = Random::new(if let Content::Random(seed) = content { seed } else { 0 }, 0);
    (0..len)
        .map(|i| match content {
            Content::Zero => 0,
            Content::Max => max,
            Content::Cycle => (i % 251) as u32 * (max / 255),
            Content::Random(_) => (random.bits() % u64::from(max + 1)) as u32,
        })
        .collect()
}

/// A FixedSizeList column of the values. Floats become sixteenths around zero.
pub fn column(values: &[u32], pixel_type: PixelType, len: usize) -> ArrayRef {
    let (item, flat): (DataType, ArrayRef) = match pixel_type {
        PixelType::U8 => (DataType::UInt8, Arc::new(UInt8Array::from_iter_values(values.iter().map(|&v| v as u8)))),
        PixelType::U16 => (DataType::UInt16, Arc::new(UInt16Array::from_iter_values(values.iter().map(|&v| v as u16)))),
        PixelType::F32 => {
            (DataType::Float32, Arc::new(Float32Array::from_iter_values(values.iter().map(|&v| float(v)))))
        }
    };
    let field = Arc::new(Field::new("item", item, false));
    Arc::new(FixedSizeListArray::new(field, len as i32, flat, None))
}

fn float(value: u32) -> f32 {
    (value as f32 - 30_000.0) / 16.0
}

/// What the oracle makes of them.
pub fn expected(values: &[u32], pixel_type: PixelType, shape: ImageShape) -> Vec<Expected> {
    values
        .chunks_exact(shape.values())
        .map(|image| match pixel_type {
            PixelType::F32 => {
                let floats: Vec<f32> = image.iter().map(|&v| float(v)).collect();
                reference::float(&floats, shape, pixel_type.default_scale())
            }
            _ => reference::integer(|i| u64::from(image[i]), shape, pixel_type.default_scale()),
        })
        .collect()
}

/// The first place where features are not bit for bit the expected ones.
pub fn first_difference(got: &Features, expected: &[Expected]) -> Option<String> {
    compare(got, expected, |got, want| got.to_bits() == want.to_bits())
}

/// As [`first_difference`], allowing what `close` allows.
pub fn compare(got: &Features, expected: &[Expected], close: impl Fn(f32, f32) -> bool) -> Option<String> {
    if got.pixel_mean.len() != expected.len() {
        return Some(format!("{} rows, not {}", got.pixel_mean.len(), expected.len()));
    }
    let values = got.features.values();
    let values = values.as_any().downcast_ref::<Float32Array>().unwrap().values();
    let width = got.features.value_length() as usize;
    for (row, want) in expected.iter().enumerate() {
        let features = &values[row * width..][..width];
        let all = features.iter().chain([&got.pixel_mean.values()[row], &got.pixel_std.values()[row]]);
        let wanted = want.features.iter().chain([&want.pixel_mean, &want.pixel_std]);
        if width != want.features.len() {
            return Some(format!("row {row} has {width} features, not {}", want.features.len()));
        }
        for (place, (&got, &want)) in all.zip(wanted).enumerate() {
            if !close(got, want) {
                return Some(format!("row {row}, value {place}: {got:?} is not {want:?}"));
            }
        }
    }
    None
}
