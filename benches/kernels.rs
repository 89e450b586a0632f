//! The CPU kernels on pixels in memory: each SIMD level, on one thread and on all. What is timed is first compared with
//! the oracle. `floor` reads the same pixels and writes as many results, and computes nothing.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, UInt8Array};
use arrow_schema::{DataType, Field};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pixelfeat::cpu::{self, Level};
use pixelfeat::synthetic::Random;
use pixelfeat::{
    Backend, Engine, EngineOptions, FeatureLayout, FeatureSet, FeatureSpec, FeaturesMut, Featurizer, ImageShape, Pixel,
    reference,
};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

#[path = "peers/floor.rs"]
mod floor;

/// Pixels of a case: more than a core's own cache, little enough for the oracle.
const BYTES: usize = 16 << 20;

trait Sample: Pixel {
    fn draw(bits: u64) -> Self;
    fn agrees(got: f32, want: f32) -> bool {
        got.to_bits() == want.to_bits()
    }
}

impl Sample for u8 {
    fn draw(bits: u64) -> Self {
        bits as u8
    }
}

impl Sample for u16 {
    fn draw(bits: u64) -> Self {
        bits as u16
    }
}

impl Sample for f32 {
    fn draw(bits: u64) -> Self {
        (bits >> 40) as f32 / (1 << 24) as f32
    }
    // The oracle adds in another order.
    fn agrees(got: f32, want: f32) -> bool {
        (got - want).abs() <= 1e-6 * want.abs().max(1.0)
    }
}

fn draw<P: Sample>(values: usize) -> Vec<P> {
    let mut random = Random::new(1, 0);
    (0..values).map(|_| P::draw(random.bits())).collect()
}

/// Rows of results, not a number until a kernel has written them.
struct Results {
    values: Vec<f32>,
    stride: usize,
}

impl Results {
    fn new(images: usize, layout: &FeatureLayout) -> Self {
        Self { values: vec![f32::NAN; images * layout.stride()], stride: layout.stride() }
    }

    fn output(&mut self) -> FeaturesMut<'_> {
        FeaturesMut::new(&mut self.values, self.stride).expect("whole rows")
    }

    fn check<P: Sample>(&self, expected: &[Vec<f32>]) {
        for (row, (got, want)) in self.values.chunks(self.stride).zip(expected).enumerate() {
            for (place, (&want, &got)) in want.iter().zip(got).enumerate() {
                assert!(P::agrees(got, want), "row {row}, value {place}: {got:?} is not {want:?}");
            }
        }
    }
}

/// One thread, and as many as there are cores.
fn pools() -> Vec<ThreadPool> {
    let mut threads = vec![1, rayon::current_num_threads()];
    threads.dedup();
    threads.into_iter().map(|n| ThreadPoolBuilder::new().num_threads(n).build().unwrap()).collect()
}

fn features<P: Sample>(c: &mut Criterion, set: &str, shape: &str) {
    let set: FeatureSet = set.parse().unwrap();
    let shape: ImageShape = shape.parse().unwrap();
    let images = BYTES / (shape.values() * size_of::<P>());
    let pixels: Vec<P> = draw(images * shape.values());
    let layout = set.layout(shape, P::TYPE.default_scale()).unwrap();
    let oracle = |image: &[P]| reference::features(&layout, P::slice(image));
    let expected: Vec<_> = pixels.par_chunks_exact(shape.values()).map(oracle).collect();
    // The default has no name of its own.
    let name = if set == FeatureSet::default() { "features".to_owned() } else { set.to_string() };
    let mut group = c.benchmark_group(format!("{name} {shape} {}", P::TYPE));
    group.throughput(Throughput::Bytes(size_of_val(&pixels[..]) as u64));
    for pool in pools() {
        let threads = format!("threads {}", pool.current_num_threads());
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            let mut results = Results::new(images, &layout);
            pool.install(|| cpu::featurize(level, &layout, P::slice(&pixels), results.output()));
            results.check::<P>(&expected);
            group.bench_function(BenchmarkId::new(level.name(), &threads), |b| {
                pool.install(|| {
                    b.iter(|| cpu::featurize(level, &layout, P::slice(black_box(&pixels)), results.output()))
                });
            });
        }
        let mut results = vec![0.0; images * layout.stride()];
        group.bench_function(BenchmarkId::new("floor", &threads), |b| {
            pool.install(|| b.iter(|| floor::floor(black_box(&pixels), &mut results, &layout)));
        });
    }
    group.finish();
}

fn every_shape(c: &mut Criterion) {
    features::<u8>(c, "profiles", "28x28");
    features::<u8>(c, "profiles", "64x64x3");
    features::<u8>(c, "profiles", "512x512");
    features::<u8>(c, "profiles", "37x53");
    features::<u16>(c, "profiles", "28x28");
    features::<f32>(c, "profiles", "28x28");
}

/// Every other family: on digits and on large images, and on wide pixels.
fn every_family(c: &mut Criterion) {
    for set in ["histogram:16", "gradients", "zones:7x7", "texture", "moments"] {
        features::<u8>(c, set, "28x28");
        features::<u8>(c, set, "1024x1024");
        features::<u16>(c, set, "28x28");
    }
    features::<u8>(c, "gradients", "64x64x3");
    features::<f32>(c, "gradients", "28x28");
    features::<u8>(c, "profiles,gradients", "28x28");
    features::<u8>(c, "profiles,zones:7x7,texture,moments", "28x28");
}

/// What a caller with a single image waits for, the engine being there.
fn one_image(c: &mut Criterion) {
    let shape = ImageShape::gray(28, 28).unwrap();
    let item = Arc::new(Field::new("item", DataType::UInt8, false));
    let pixels = Arc::new(UInt8Array::from(draw::<u8>(shape.values())));
    let image: ArrayRef = Arc::new(FixedSizeListArray::new(item, shape.values() as i32, pixels, None));
    let engine = Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap();
    let featurizer = Featurizer::new(engine, FeatureSpec::new(shape));
    c.bench_function("one 28x28 u8 image through Featurizer", |b| b.iter(|| featurizer.featurize(&image).unwrap()));
}

criterion_group!(benches, every_shape, every_family, one_image);
criterion_main!(benches);
