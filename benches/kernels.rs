//! The CPU kernels on pixels in memory: each SIMD level, on one thread and on all. What is timed is first compared with
//! the oracle. `floor` reads the same pixels and writes as many results, and computes nothing.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, UInt8Array};
use arrow_schema::{DataType, Field};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pixelfeat::cpu::{self, Level};
use pixelfeat::reference::{self, Expected};
use pixelfeat::synthetic::Random;
use pixelfeat::{
    Backend, Engine, EngineOptions, FeatureSpec, Featurizer, Finisher, ImageShape, Moments, Output, Pixel,
};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

#[path = "peers/floor.rs"]
mod floor;

/// Pixels of a case: more than a core's own cache, little enough for the oracle.
const BYTES: usize = 16 << 20;

trait Sample: Pixel {
    fn draw(bits: u64) -> Self;
    fn expected(image: &[Self], shape: ImageShape) -> Expected;
    fn agrees(got: f32, want: f32) -> bool {
        got.to_bits() == want.to_bits()
    }
}

impl Sample for u8 {
    fn draw(bits: u64) -> Self {
        bits as u8
    }
    fn expected(image: &[Self], shape: ImageShape) -> Expected {
        reference::integer(|i| u64::from(image[i]), shape, Self::TYPE.default_scale())
    }
}

impl Sample for u16 {
    fn draw(bits: u64) -> Self {
        bits as u16
    }
    fn expected(image: &[Self], shape: ImageShape) -> Expected {
        reference::integer(|i| u64::from(image[i]), shape, Self::TYPE.default_scale())
    }
}

impl Sample for f32 {
    fn draw(bits: u64) -> Self {
        (bits >> 40) as f32 / (1 << 24) as f32
    }
    fn expected(image: &[Self], shape: ImageShape) -> Expected {
        reference::float(image, shape, Self::TYPE.default_scale())
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

/// Memory for the results, not a number until a kernel has written them.
struct Results {
    features: Vec<f32>,
    means: Vec<f32>,
    stds: Vec<f32>,
}

impl Results {
    fn new(images: usize, shape: ImageShape) -> Self {
        let unset = |len| vec![f32::NAN; len];
        Self { features: unset(images * shape.features()), means: unset(images), stds: unset(images) }
    }

    fn output(&mut self) -> Output<'_> {
        Output { features: &mut self.features, means: &mut self.means, stds: &mut self.stds }
    }

    fn check<P: Sample>(&self, expected: &[Expected]) {
        for (row, want) in expected.iter().enumerate() {
            let features = &self.features[row * want.features.len()..][..want.features.len()];
            let got = features.iter().chain([&self.means[row], &self.stds[row]]);
            let want = want.features.iter().chain([&want.pixel_mean, &want.pixel_std]);
            for (place, (&want, &got)) in want.zip(got).enumerate() {
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

fn features<P: Sample>(c: &mut Criterion, shape: &str) {
    let shape: ImageShape = shape.parse().unwrap();
    let images = BYTES / (shape.values() * size_of::<P>());
    let pixels: Vec<P> = draw(images * shape.values());
    let expected: Vec<_> = pixels.par_chunks_exact(shape.values()).map(|image| P::expected(image, shape)).collect();
    let finisher = Finisher::new(shape, P::TYPE.default_scale()).unwrap();
    let mut group = c.benchmark_group(format!("features {shape} {}", P::TYPE));
    group.throughput(Throughput::Bytes(size_of_val(&pixels[..]) as u64));
    for pool in pools() {
        let threads = format!("threads {}", pool.current_num_threads());
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            let mut results = Results::new(images, shape);
            pool.install(|| cpu::featurize(level, &finisher, &pixels, results.output()));
            results.check::<P>(&expected);
            group.bench_function(BenchmarkId::new(level.name(), &threads), |b| {
                pool.install(|| b.iter(|| cpu::featurize(level, &finisher, black_box(&pixels), results.output())));
            });
        }
        let mut results = vec![0.0; images * (shape.features() + 2)];
        group.bench_function(BenchmarkId::new("floor", &threads), |b| {
            pool.install(|| b.iter(|| floor::floor(black_box(&pixels), &mut results, shape)));
        });
    }
    group.finish();
}

fn every_shape(c: &mut Criterion) {
    features::<u8>(c, "28x28");
    features::<u8>(c, "64x64x3");
    features::<u8>(c, "512x512");
    features::<u8>(c, "37x53");
    features::<u16>(c, "28x28");
    features::<f32>(c, "28x28");
}

/// The two halves of a kernel, on a thousand images that stay in the cache.
fn halves(c: &mut Criterion) {
    let shape = ImageShape::gray(28, 28).unwrap();
    let pixels: Vec<u8> = draw(1000 * shape.values());
    let finisher = Finisher::new(shape, u8::TYPE.default_scale()).unwrap();
    let mut moments = vec![Moments::<u8>::zeroed(shape); 1000];
    let mut results = Results::new(1000, shape);
    let sum = |moments: &mut [Moments<u8>]| {
        for (image, moments) in black_box(&pixels).chunks_exact(shape.values()).zip(moments) {
            cpu::moments(Level::detect(), image, moments);
        }
    };
    let finish = |moments: &[Moments<u8>], results: &mut Results| {
        let places = results.features.chunks_exact_mut(shape.features()).zip(&mut results.means).zip(&mut results.stds);
        for (moments, ((out, mean), std)) in moments.iter().zip(places) {
            (*mean, *std) = finisher.finish(moments, out);
        }
    };
    sum(&mut moments);
    finish(&moments, &mut results);
    results.check::<u8>(&pixels.chunks_exact(shape.values()).map(|i| u8::expected(i, shape)).collect::<Vec<_>>());
    let mut group = c.benchmark_group("halves of 28x28 u8");
    group.throughput(Throughput::Bytes(pixels.len() as u64));
    group.bench_function("moments", |b| b.iter(|| sum(black_box(&mut moments))));
    group.bench_function("finish", |b| b.iter(|| finish(black_box(&moments), black_box(&mut results))));
    group.finish();
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

criterion_group!(benches, every_shape, halves, one_image);
criterion_main!(benches);
