//! What several test files share: engines to test, columns to test them on, and the comparison.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, UInt8Array, UInt16Array};
use arrow_schema::{DataType, Field};
use pixelfeat::cpu::Level;
use pixelfeat::reference;
use pixelfeat::synthetic::Random;
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSet, FeatureSpec, Features, Featurizer, ImageShape, PixelType};

/// Every way to compute on this machine: each SIMD level on one, two and three threads, and if there is a GPU, that and
/// both at once.
pub fn engines() -> Vec<(String, Engine)> {
    let mut engines = Vec::new();
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        for threads in [1, 2, 3] {
            let options = EngineOptions::backend(Backend::Cpu).with_threads(threads).with_level(level);
            engines.push((format!("cpu {level} x{threads}"), Engine::new(options).unwrap()));
        }
    }
    if let Some(gpu) = gpu() {
        engines.push(("gpu".to_owned(), gpu));
        engines.push(("hybrid".to_owned(), Engine::new(EngineOptions::backend(Backend::Hybrid)).unwrap()));
    }
    engines
}

/// An engine that computes on a GPU, or a word that there is none. `PIXELFEAT_REQUIRE_GPU=1` makes that a failure.
pub fn gpu() -> Option<Engine> {
    let engine = Engine::new(EngineOptions::backend(Backend::Gpu)).unwrap();
    let one = FeatureSpec::new(ImageShape::gray(1, 1).unwrap());
    Featurizer::new(engine.clone(), one).featurize(&column(&[1], PixelType::U8, 1)).unwrap();
    let info = engine.info();
    if info.backend == Backend::Gpu {
        say(format_args!("GPU tests run on {}", info.adapter.unwrap_or_default()));
        return Some(engine);
    }
    say(format_args!("GPU tests have nothing to run on: {}", info.reason));
    assert!(std::env::var_os("PIXELFEAT_REQUIRE_GPU").is_none_or(|v| v != "1"), "a GPU is required: {}", info.reason);
    None
}

/// An example that `cargo test` has built beside this test.
pub fn example(name: &str) -> Command {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    let program = folder.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is missing: run `cargo build --examples` first", program.display());
    let changed = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).unwrap();
    // Cargo lists beside a program the files that it was built from, with a backslash before each space of a path.
    let list = fs::read_to_string(program.with_extension("d")).unwrap().replace("\\ ", "\0");
    let (_, sources) = list.split_once(": ").unwrap();
    for source in sources.split_whitespace().map(|path| PathBuf::from(path.replace('\0', " "))) {
        let is_old = changed(&source) > changed(&program);
        assert!(!is_old, "{} is newer than the program: run `cargo build --examples` first", source.display());
    }
    Command::new(program)
}

/// Says something once, past the test harness, which shows only what failing tests print.
fn say(what: std::fmt::Arguments<'_>) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| drop(writeln!(stderr(), "{what}")));
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
    expected_of(&FeatureSet::default(), values, pixel_type, shape)
}

/// The row of an image.
pub type Expected = Vec<f32>;

/// As [`expected`], of any feature set.
pub fn expected_of(set: &FeatureSet, values: &[u32], pixel_type: PixelType, shape: ImageShape) -> Vec<Expected> {
    let layout = set.layout(shape, pixel_type.default_scale()).unwrap();
    values
        .chunks_exact(shape.values())
        .map(|image| match pixel_type {
            PixelType::U8 => reference::features(&layout, &image.iter().map(|&v| v as u8).collect::<Vec<_>>()),
            PixelType::U16 => reference::features(&layout, &image.iter().map(|&v| v as u16).collect::<Vec<_>>()),
            _ => reference::features(&layout, &image.iter().map(|&v| float(v)).collect::<Vec<_>>()),
        })
        .collect()
}

/// The values of each row, in the order of the layout.
pub fn rows(features: &Features) -> Vec<Vec<f32>> {
    let (layout, blocks) = (features.layout(), features.layout().blocks());
    let mut list = features.list_values().chunks(layout.list_values().max(1));
    let row = |row: usize| {
        let mut list = list.next().unwrap_or_default().iter().copied();
        let mut values = Vec::with_capacity(layout.stride());
        for block in &blocks {
            match block.is_column {
                true => values.push(features.column(&block.name).unwrap().value(row)),
                false => values.extend(list.by_ref().take(block.range.len())),
            }
        }
        values
    };
    (0..features.list().len()).map(row).collect()
}

/// The first place where features are not bit for bit the expected ones.
pub fn first_difference(got: &Features, expected: &[Expected]) -> Option<String> {
    compare(got, expected, |got, want| got.to_bits() == want.to_bits())
}

/// As [`first_difference`], allowing what `close` allows.
pub fn compare(got: &Features, expected: &[Expected], close: impl Fn(f32, f32) -> bool) -> Option<String> {
    compare_at(got, expected, |_, got, want| close(got, want))
}

/// As [`compare`], where what is close depends on the place in the row.
pub fn compare_at(got: &Features, expected: &[Expected], close: impl Fn(usize, f32, f32) -> bool) -> Option<String> {
    let rows = rows(got);
    if rows.len() != expected.len() {
        return Some(format!("{} rows, not {}", rows.len(), expected.len()));
    }
    for (row, (values, want)) in rows.iter().zip(expected).enumerate() {
        if values.len() != want.len() {
            return Some(format!("row {row} has {} values, not {}", values.len(), want.len()));
        }
        for (place, (&got, &want)) in values.iter().zip(want).enumerate() {
            if !close(place, got, want) {
                return Some(format!("row {row}, value {place}: {got:?} is not {want:?}"));
            }
        }
    }
    None
}
