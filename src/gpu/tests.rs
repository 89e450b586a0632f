//! The backend against the oracle, on whatever adapter there is.

use std::fmt::Debug;

use std::sync::Arc;
use std::time::Duration;

use super::{Gpu, GpuError, Images, TransferMode};
use crate::base::pixels::Pixel;
use crate::base::random::Random;
use crate::base::shape::{ImageShape, PixelType};
use crate::features::family::DeviceForm;
use crate::features::{FeatureLayout, FeatureSet, FeaturesMut};
use crate::reference;

/// The GPU to test on, or `None` where there is none; `PIXELFEAT_REQUIRE_GPU=1` makes that a failure.
pub(crate) fn gpu() -> Option<Gpu> {
    match Gpu::open(true) {
        Ok(gpu) => {
            let adapter = gpu.adapter();
            eprintln!("GPU adapter: {} ({}, {}, {})", adapter.name, adapter.api, adapter.kind, adapter.driver);
            // Tests have few pixels, and the kernels of one shape have more to get wrong than the general ones.
            Some(gpu.with_specialize_bytes(0))
        }
        Err(error) => {
            assert!(std::env::var("PIXELFEAT_REQUIRE_GPU").as_deref() != Ok("1"), "a GPU is required: {error}");
            eprintln!("no GPU adapter: skipped");
            None
        }
    }
}

pub(super) fn layout(shape: ImageShape, scale: f64) -> FeatureLayout {
    FeatureSet::default().layout(shape, scale).unwrap()
}

/// Rows of some images, NaN until something is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Got {
    values: Vec<f32>,
    stride: usize,
}

impl Got {
    pub(super) fn new(images: usize, layout: &FeatureLayout) -> Self {
        Self { values: vec![f32::NAN; images * layout.stride()], stride: layout.stride() }
    }

    pub(super) fn out(&mut self) -> FeaturesMut<'_> {
        FeaturesMut::new(&mut self.values, self.stride).unwrap()
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.stride)
    }

    pub(super) fn bits(&self) -> Vec<u32> {
        self.values.iter().map(|value| value.to_bits()).collect()
    }
}

/// What [`Gpu::featurize`] gives for `pixels`.
fn featurize<P: Pixel>(gpu: &Gpu, shape: ImageShape, scale: f64, pixels: &[P]) -> Result<Got, GpuError> {
    featurize_to(gpu, &layout(shape, scale), pixels)
}

pub(super) fn featurize_to<P: Pixel>(gpu: &Gpu, layout: &FeatureLayout, pixels: &[P]) -> Result<Got, GpuError> {
    let mut got = Got::new(pixels.len() / layout.shape().values(), layout);
    gpu.featurize(layout, P::slice(pixels), got.out())?;
    Ok(got)
}

pub(super) trait Integer: Pixel + Debug {
    const MAX: Self;
    const SCALE: f64;
    fn truncated(bits: u64) -> Self;
}

impl Integer for u8 {
    const MAX: u8 = u8::MAX;
    const SCALE: f64 = 255.0;
    fn truncated(bits: u64) -> u8 {
        bits as u8
    }
}

impl Integer for u16 {
    const MAX: u16 = u16::MAX;
    const SCALE: f64 = 65_535.0;
    fn truncated(bits: u64) -> u16 {
        bits as u16
    }
}

fn expected<P: Integer>(shape: ImageShape, pixels: &[P]) -> Got {
    oracle(shape, P::SCALE, pixels)
}

fn oracle<P: Pixel>(shape: ImageShape, scale: f64, pixels: &[P]) -> Got {
    oracle_of(&layout(shape, scale), pixels)
}

pub(super) fn oracle_of<P: Pixel>(layout: &FeatureLayout, pixels: &[P]) -> Got {
    let images = pixels.chunks(layout.shape().values());
    let rows = images.flat_map(|image| reference::features(layout, P::slice(image)));
    Got { values: rows.collect(), stride: layout.stride() }
}

#[track_caller]
fn assert_exact<P: Integer>(gpu: &Gpu, shape: ImageShape, pixels: &[P], what: &str) {
    // All families at once. Whether each does alone, `every_family_alone_gives_the_oracles_features` tells.
    assert_exact_of(gpu, &FeatureSet::examples()[FeatureSet::examples().len() - 1], shape, pixels, what);
}

#[track_caller]
fn assert_exact_of<P: Integer>(gpu: &Gpu, set: &FeatureSet, shape: ImageShape, pixels: &[P], what: &str) {
    let layout = set.layout(shape, P::SCALE).unwrap();
    let got = featurize_to(gpu, &layout, pixels).unwrap();
    assert!(got.bits() == oracle_of(&layout, pixels).bits(), "{set}, {} {shape} {what}", P::TYPE);
}

pub(super) fn random<P: Integer>(len: usize, seed: u64) -> Vec<P> {
    let mut random = Random::new(seed, 0);
    (0..len).map(|_| P::truncated(random.bits() >> 20)).collect()
}

/// A period that shares no factor with a row or a workgroup shows blocks that change places.
fn cycle<P: Integer>(len: usize) -> Vec<P> {
    (0..len).map(|i| P::truncated(i as u64 % 251)).collect()
}

pub(super) fn shape(text: &str) -> ImageShape {
    text.parse().unwrap()
}

const SHAPES: [&str; 15] = [
    "1x1", "1x5", "1x131", "6x1", "127x1", "3x5", "7x7", "8x8", "27x27", "28x28", "29x29", "37x53", "31x33x2",
    "64x64x3", "17x19x4",
];

#[test]
fn every_family_alone_gives_the_oracles_features() {
    let Some(gpu) = gpu() else { return };
    for set in FeatureSet::examples() {
        for shape in ["1x1", "7x7", "28x28", "31x33x2", "17x19x4", "200x131x3", "1x3000", "3000x1"].map(shape) {
            assert_exact_of(&gpu, &set, shape, &random::<u8>(3 * shape.values(), 40), "random");
            assert_exact_of(&gpu, &set, shape, &random::<u16>(3 * shape.values(), 41), "random");
        }
    }
    let gpu = Arc::new(gpu.with_chunk_bytes(3_000));
    for set in FeatureSet::examples().into_iter().chain([FeatureSet::finished_examples()]) {
        let (shape, pixels) = (shape("7x9x2"), random::<u8>(5 * 7 * 9 * 2, 43));
        let layout = set.layout(shape, 255.0).unwrap();
        let features = gpu.upload(shape, &pixels).unwrap().features(&layout, 0..5);
        if set.device_form(PixelType::U8) != DeviceForm::Features {
            assert!(matches!(features, Err(GpuError::Unsupported)), "{set}");
            continue;
        }
        let features = features.unwrap();
        let (got, want) = (download(&gpu, &features.buffer), oracle_of(&layout, &pixels));
        let close = got.iter().zip(&want.values).all(|(&got, &want)| ulps(got, want) <= 16);
        assert!(close, "{set}, finished on the device");
    }
    for set in FeatureSet::examples() {
        assert_exact_of(&gpu, &set, shape("200x131x3"), &random::<u8>(2 * 200 * 131 * 3, 42), "in bands");
    }
}

fn shapes_and_contents<P: Integer>(gpu: &Gpu) {
    for shape in SHAPES.map(shape) {
        for images in [1, 2, 5] {
            let len = images * shape.values();
            assert_exact(gpu, shape, &random::<P>(len, 1), "random");
            assert_exact(gpu, shape, &cycle::<P>(len), "cycle");
            assert_exact(gpu, shape, &vec![P::MAX; len], "max");
            assert_exact(gpu, shape, &vec![P::default(); len], "zero");
        }
    }
}

fn counts<P: Integer>(gpu: &Gpu) {
    for shape in ["1x1", "3x5", "8x8", "28x28", "5x3x3"].map(shape) {
        for images in [0, 1, 2, 65, 1_000] {
            assert_exact(gpu, shape, &random::<P>(images * shape.values(), 2), &format!("{images} images"));
        }
    }
}

fn extremes<P: Integer>(gpu: &Gpu) {
    for shape in ["257x3", "258x3", "65536x1", "1x65536", "1x65536x4", "65536x2x2"].map(shape) {
        assert_exact(gpu, shape, &vec![P::MAX; 2 * shape.values()], "max");
        assert_exact(gpu, shape, &random::<P>(shape.values(), 3), "random");
    }
}

/// More rows in one chunk than 65,535 workgroups, the usual most in one dimension, can take.
fn wide_dispatch<P: Integer>(gpu: &Gpu) {
    let shape = shape("65536x1");
    assert_exact(gpu, shape, &random::<P>(70 * shape.values(), 14), "in one chunk");
}

fn chunks<P: Integer>(mut gpu: Gpu) {
    // From several images a chunk to bands of several rows and of one.
    for bytes in [20_000, 5_000, 1_000, 100, 0] {
        gpu = gpu.with_chunk_bytes(bytes);
        for shape in ["1x1", "3x5", "28x28", "37x53", "31x33x2", "17x19x4", "300x1", "1x300"].map(shape) {
            assert_exact(&gpu, shape, &random::<P>(7 * shape.values(), 4), &format!("in chunks of {bytes} bytes"));
        }
    }
}

#[test]
fn u8_features_are_those_of_the_oracle() {
    let Some(gpu) = gpu() else { return };
    shapes_and_contents::<u8>(&gpu);
    counts::<u8>(&gpu);
    extremes::<u8>(&gpu);
    wide_dispatch::<u8>(&gpu);
    chunks::<u8>(gpu);
}

#[test]
fn u16_features_are_those_of_the_oracle() {
    let Some(gpu) = gpu() else { return };
    shapes_and_contents::<u16>(&gpu);
    counts::<u16>(&gpu);
    extremes::<u16>(&gpu);
    wide_dispatch::<u16>(&gpu);
    chunks::<u16>(gpu);
}

#[test]
fn general_kernels_give_the_oracles_features() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_specialize_bytes(usize::MAX);
    shapes_and_contents::<u8>(&gpu);
    shapes_and_contents::<u16>(&gpu);
    counts::<u8>(&gpu);
    extremes::<u8>(&gpu);
    extremes::<u16>(&gpu);
    assert_eq!(gpu.pipelines(), 6, "whole, tiles and merge for each pixel type");
    let gpu = Arc::new(gpu);
    for shape in ["1x1", "28x28", "64x64x3", "200x131x3"].map(shape) {
        resident::<u8>(&gpu, shape, 9);
        resident::<u16>(&gpu, shape, 9);
    }
    // The profiles alone are another set than all families together, and have kernels of their own.
    assert_eq!(gpu.pipelines(), 6 + 6 + 2, "and one that finishes for each type");
}

#[test]
fn many_sizes_share_their_pipelines() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_specialize_bytes(super::kernels::SPECIALIZE_BYTES);
    for i in 0..300 {
        let shape = ImageShape::new(1 + i % 83, 1 + i * 7 % 131, 1 + i % 4).unwrap();
        assert_exact(&gpu, shape, &random::<u8>(2 * shape.values(), 30), "ragged");
    }
    assert!(gpu.pipelines() <= 3, "{}", gpu.pipelines());
}

#[test]
fn a_shape_with_many_pixels_gets_pipelines_of_its_own_once() {
    let Some(gpu) = gpu() else { return };
    let shape = shape("28x28");
    let pixels = random::<u8>(4 * shape.values(), 31);
    let gpu = gpu.with_specialize_bytes(3 * pixels.len());
    let pipelines: Vec<_> = (0..5)
        .map(|_| {
            assert_exact(&gpu, shape, &pixels, "again");
            gpu.pipelines()
        })
        .collect();
    assert_eq!(pipelines, [1, 1, 2, 2, 2]);
}

#[test]
fn general_and_specialised_kernels_give_floats_within_their_bounds() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_specialize_bytes(usize::MAX);
    for shape in ["1x1", "3x5", "28x28", "37x53", "31x33x2", "2x1000"].map(shape) {
        let pixels = floats(3 * shape.values(), 32, |unit| unit - 0.3);
        let got = featurize(&gpu, shape, 1.0, &pixels).unwrap();
        for (image, row) in pixels.chunks(shape.values()).zip(got.rows()) {
            assert_within(shape, image, row, 1e-6);
        }
    }
}

#[test]
fn kernels_with_and_without_bounds_checks_give_the_oracles_features() {
    if gpu().is_none() {
        return;
    }
    for checked in [true, false] {
        let gpu = Gpu::open_checked(checked).unwrap().with_specialize_bytes(0);
        shapes_and_contents::<u8>(&gpu);
        shapes_and_contents::<u16>(&gpu);
        extremes::<u8>(&gpu);
        extremes::<u16>(&gpu);
        chunks::<u8>(gpu);
    }
}

#[test]
fn every_transfer_mode_gives_the_oracles_features() {
    for mode in [TransferMode::Copied, TransferMode::Written, TransferMode::Shared] {
        let Some(gpu) = gpu() else { return };
        let gpu = gpu.with_transfer_mode(mode).with_chunk_bytes(10_000);
        for shape in ["28x28", "37x53", "200x200", "17x19x4"].map(shape) {
            assert_exact(&gpu, shape, &random::<u8>(30 * shape.values(), 20), &format!("{mode:?}"));
            assert_exact(&gpu, shape, &random::<u16>(30 * shape.values(), 21), &format!("{mode:?}"));
        }
    }
}

#[test]
fn the_transfer_modes_can_be_timed() {
    let Some(gpu) = gpu() else { return };
    let ring = gpu.ring().unwrap();
    for mode in [TransferMode::Copied, TransferMode::Written] {
        // 8 MB that take no time at all were not moved; an answer is waited for a minute at most.
        let took = super::transfer::time_mode(ring, mode).unwrap();
        assert!(took > Duration::from_micros(1) && took < Duration::from_secs(60), "{mode}: {took:?}");
    }
    assert_eq!(gpu.transfer_mode().unwrap(), gpu.transfer_mode().unwrap());
}

#[test]
fn the_same_work_again_takes_no_more_slots_and_all_come_back() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_chunk_bytes(20_000);
    let shape = shape("28x28");
    let pixels = random::<u8>(500 * shape.values(), 22);
    let mut slots = Vec::new();
    for _ in 0..4 {
        featurize(&gpu, shape, 255.0, &pixels).unwrap();
        slots.push(gpu.idle_slots());
    }
    assert!(slots[0] >= 2 && slots.iter().all(|&n| n == slots[0]), "{slots:?}");
    gpu.destroy();
    featurize(&gpu, shape, 255.0, &pixels).unwrap_err();
    assert_eq!(gpu.idle_slots(), 0);
}

#[test]
fn more_threads_than_slots_all_get_their_turn() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_chunk_bytes(5_000);
    let shape = shape("28x28");
    let pixels = random::<u8>(60 * shape.values(), 23);
    let want = expected(shape, &pixels).bits();
    std::thread::scope(|threads| {
        for _ in 0..super::ring::MAX_SLOTS + 4 {
            threads.spawn(|| assert_eq!(featurize(&gpu, shape, 255.0, &pixels).unwrap().bits(), want));
        }
    });
    assert!(gpu.idle_slots() <= super::ring::MAX_SLOTS);
}

#[test]
fn the_process_shares_one_device_until_it_fails() {
    if gpu().is_none() {
        return;
    }
    // The one that this test gets may be that of engines in other tests, so it is left whole.
    let (one, other) = (Gpu::shared(true).unwrap(), Gpu::shared(true).unwrap());
    assert!(Arc::ptr_eq(&one, &other));
}

fn resident<P: Integer>(gpu: &Arc<Gpu>, shape: ImageShape, images: usize) {
    let pixels = random::<P>(images * shape.values(), 24);
    let layout = layout(shape, P::SCALE);
    let there = gpu.upload(shape, P::slice(&pixels)).unwrap();
    assert_eq!((there.len(), there.shape()), (images, shape));
    for range in [0..images, 0..0, images..images, images / 3..images, images / 2..images / 2 + 1, 0..images] {
        let want = expected(shape, &pixels[range.start * shape.values()..range.end * shape.values()]);
        let n = range.len();
        let mut got = Got::new(n, &layout);
        there.featurize(&layout, range.clone(), got.out()).unwrap();
        assert!(got.bits() == want.bits(), "{} {shape} {range:?}", P::TYPE);
        let Ok(features) = there.features(&layout, range.clone()) else {
            // Only an image in bands has no features on the device.
            assert!(matches!(there.features(&layout, range), Err(GpuError::TooLarge { .. })), "{shape}");
            continue;
        };
        assert_eq!((features.images, features.stride), (n, layout.stride()));
        let values = download(gpu, &features.buffer);
        for (i, (got, want)) in values.chunks(features.stride).zip(want.rows()).enumerate() {
            let side = shape.height() + shape.width();
            for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
                let is_sum = at < layout.list_values() && at % (side + 4) < side;
                let max = if is_sum { 4 } else { 16 };
                assert!(ulps(got, want) <= max, "{} {shape} image {i} value {at}: {got}, {want}", P::TYPE);
            }
        }
    }
}

/// Representable numbers between two that are not negative.
fn ulps(a: f32, b: f32) -> u32 {
    a.to_bits().abs_diff(b.to_bits())
}

/// What a buffer on the device holds, copied as an application would.
fn download(gpu: &Gpu, buffer: &wgpu::Buffer) -> Vec<f32> {
    let context = &gpu.ring().unwrap().context;
    let readback = context.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: buffer.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None });
    encoder.copy_buffer_to_buffer(buffer, 0, &readback, 0, buffer.size());
    context.queue.submit([encoder.finish()]);
    readback.map_async(wgpu::MapMode::Read, .., |_| ());
    context.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    bytemuck::pod_collect_to_vec(&readback.get_mapped_range(..).unwrap())
}

#[test]
fn resident_images_are_featurized_again_and_in_part() {
    let Some(gpu) = gpu() else { return };
    let gpu = Arc::new(gpu);
    for shape in ["1x1", "7x7", "28x28", "37x53", "17x19x4", "64x64x3", "200x131x3", "1x3000", "3000x1"].map(shape) {
        resident::<u8>(&gpu, shape, 9);
        resident::<u16>(&gpu, shape, 9);
    }
    resident::<u8>(&gpu, shape("28x28"), 3_000);
    let empty = gpu.upload(shape("2x2"), &Vec::<u8>::new()).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn resident_images_in_several_buffers_and_in_bands() {
    let Some(gpu) = gpu() else { return };
    // Buffers of three digits, and large images in bands.
    let gpu = Arc::new(gpu.with_chunk_bytes(3 * 784));
    resident::<u8>(&gpu, shape("28x28"), 10);
    resident::<u8>(&gpu, shape("300x301"), 3);
    resident::<u16>(&gpu, shape("200x131x3"), 2);
}

#[test]
fn resident_floats_are_those_of_the_stream() {
    let Some(gpu) = gpu() else { return };
    let gpu = Arc::new(gpu);
    let shape = shape("37x53x3");
    let pixels = floats(5 * shape.values(), 25, |unit| unit - 0.3);
    let want = featurize(&gpu, shape, 1.0, &pixels).unwrap();
    let layout = layout(shape, 1.0);
    let mut got = Got::new(5, &layout);
    let there = gpu.upload(shape, &pixels).unwrap();
    there.featurize(&layout, 0..5, got.out()).unwrap();
    assert_eq!(got.bits(), want.bits());
    assert!(matches!(there.features(&layout, 0..5), Err(GpuError::Floats)));
    assert_eq!(featurize(&gpu, shape, 1.0, &pixels).unwrap().bits(), want.bits());
}

/// A buffer as an application makes one.
pub(super) fn application_buffer(gpu: &Gpu, size: usize, usage: wgpu::BufferUsages, bytes: &[u8]) -> wgpu::Buffer {
    let (device, queue) = gpu.device().unwrap();
    let usage = usage | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size: size as u64, usage, mapped_at_creation: false };
    let buffer = device.create_buffer(&descriptor);
    queue.write_buffer(&buffer, 0, bytes);
    buffer
}

fn from_buffer<P: Integer>(gpu: &Arc<Gpu>, shape: ImageShape, images: usize) {
    let mut pixels = random::<P>(images * shape.values(), 34);
    pixels.resize(pixels.len().next_multiple_of(16), P::default());
    let bytes = bytemuck::cast_slice(&pixels);
    let buffer = application_buffer(gpu, bytes.len(), wgpu::BufferUsages::STORAGE, bytes);
    let there = Images::from_buffer(gpu, shape, P::TYPE, images, buffer).unwrap();
    let want = expected(shape, &pixels[..images * shape.values()]);
    let layout = layout(shape, P::SCALE);
    let mut got = Got::new(images, &layout);
    there.featurize(&layout, 0..images, got.out()).unwrap();
    assert!(got.bits() == want.bits(), "{} {shape}", P::TYPE);
}

#[test]
fn images_in_an_applications_buffer_have_the_oracles_features() {
    let Some(gpu) = gpu() else { return };
    let gpu = Arc::new(gpu);
    for (shape, images) in [("1x1", 5), ("28x28", 0), ("28x28", 100), ("37x53", 7), ("200x131x3", 2)] {
        from_buffer::<u8>(&gpu, shape.parse().unwrap(), images);
        from_buffer::<u16>(&gpu, shape.parse().unwrap(), images);
    }
}

#[test]
fn buffers_that_are_no_images_are_refused_and_the_gpu_goes_on() {
    use wgpu::BufferUsages as Use;
    let Some(gpu) = gpu() else { return };
    let (gpu, shape) = (Arc::new(gpu), shape("4x4"));
    let buffer = |gpu: &Gpu, size, usage| application_buffer(gpu, size, usage, &[]);
    let images = |images, buffer| Images::from_buffer(&gpu, shape, PixelType::U8, images, buffer).map(drop);
    for (count, buffer) in [
        (4, buffer(&gpu, 48, Use::STORAGE)),
        (usize::MAX, buffer(&gpu, 48, Use::STORAGE)),
        (3, buffer(&gpu, 48, Use::COPY_SRC)),
    ] {
        let refused = images(count, buffer);
        assert!(matches!(refused, Err(GpuError::Buffer(_))), "{count}: {refused:?}");
    }
    // A row of 16 bytes that the last vector reaches beyond.
    let uneven = Images::from_buffer(&gpu, "3x3".parse().unwrap(), PixelType::U8, 2, buffer(&gpu, 20, Use::STORAGE));
    assert!(matches!(uneven, Err(GpuError::Buffer(_))));
    images(3, buffer(&gpu, 48, Use::STORAGE)).unwrap();
    assert_exact(&gpu, shape, &random::<u8>(16, 35), "after refusals");
    let error = crate::Error::from(GpuError::Buffer("too small".into()));
    assert_eq!(error.to_string(), "the buffer cannot be used as images: too small");
}

#[test]
fn what_is_not_resident_is_refused_and_the_gpu_goes_on() {
    let Some(gpu) = gpu() else { return };
    let gpu = Arc::new(gpu);
    let shape = shape("4x4");
    let layout = |shape| layout(shape, 255.0);
    let (other, layout) = (layout("4x5".parse().unwrap()), layout(shape));
    let there = gpu.upload(shape, &random::<u8>(3 * 16, 26)).unwrap();
    let nothing = || FeaturesMut::new(&mut [], layout.stride()).unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    for range in [0..4, 4..4, 2..1] {
        assert!(matches!(there.featurize(&layout, range.clone(), nothing()), Err(GpuError::NotThere { .. })));
        assert!(matches!(there.features(&layout, range), Err(GpuError::NotThere { .. })));
    }
    assert!(matches!(there.features(&other, 0..1), Err(GpuError::NotThere { .. })));
    assert!(matches!(there.featurize(&layout, 0..2, nothing()), Err(GpuError::Lengths { .. })));
    assert!(matches!(gpu.upload(shape, &vec![0u8; 17]), Err(GpuError::Lengths { .. })));
    assert_exact(&gpu, shape, &random::<u8>(16, 27), "after refusals");
}

#[test]
fn resident_images_of_a_lost_device_are_an_error() {
    let Some(gpu) = gpu() else { return };
    let gpu = Arc::new(gpu);
    let shape = shape("28x28");
    let layout = layout(shape, 255.0);
    let there = gpu.upload(shape, &random::<u8>(3 * 784, 28)).unwrap();
    gpu.destroy();
    for _ in 0..2 {
        assert!(matches!(there.features(&layout, 0..3), Err(GpuError::Lost(_))));
        assert!(matches!(gpu.upload(shape, &vec![1u8; 784]), Err(GpuError::Lost(_))));
    }
}

#[test]
fn images_come_back_as_they_are() {
    let (shape, pixels) = (shape("5x7x3"), floats(10 * 105, 42, |unit| unit - 0.5));
    // Whole, in buffers of some images, and in bands.
    for bytes in [usize::MAX, 3 * 420, 200] {
        let Some(gpu) = gpu() else { return };
        let gpu = Arc::new(gpu.with_chunk_bytes(bytes));
        let there = gpu.upload(shape, &pixels).unwrap();
        assert!(there.read_back().unwrap().as_slice() == f32::slice(&pixels), "{bytes}");
    }
}

#[test]
fn a_device_can_be_timed() {
    let Some(gpu) = gpu() else { return };
    let gpu = Arc::new(gpu);
    for shape in ["28x28", "1000x900"].map(shape) {
        // The rates are clamped, so the times that they are made of are looked at.
        let trial = gpu.trial(shape, 2 << 20).unwrap();
        assert_eq!(trial.bytes, (2 << 20) / shape.values() * shape.values());
        for took in [trial.up, trial.kernel, trial.down, trial.copy] {
            assert!(took > Duration::ZERO && took < Duration::from_secs(60), "{shape}: {trial:?}");
        }
        let rates = gpu.rates(shape, 2 << 20).unwrap();
        eprintln!("{shape}: {rates:?}");
    }
}

#[test]
fn the_comparison_can_fail() {
    let Some(gpu) = gpu() else { return };
    let shape = shape("28x28");
    let mut pixels = random::<u8>(3 * shape.values(), 5);
    let got = featurize(&gpu, shape, 255.0, &pixels).unwrap();
    assert_eq!(got.bits(), expected(shape, &pixels).bits());
    pixels[1_000] ^= 1;
    assert_ne!(got.bits(), expected(shape, &pixels).bits());
}

#[test]
fn one_gpu_serves_every_pixel_type_and_size_in_turn() {
    let Some(gpu) = gpu() else { return };
    for round in 0..3 {
        for shape in ["64x64x3", "1x1", "28x28"].map(shape) {
            assert_exact(&gpu, shape, &random::<u8>((round + 1) * shape.values(), 6), "in turn");
            assert_exact(&gpu, shape, &random::<u16>((round + 1) * shape.values(), 7), "in turn");
        }
    }
}

/// Σ|terms| times the bound that [`Gpu::featurize`] states for `n` terms, and half a unit for rounding to f32.
fn bound(n: usize, magnitude: f64) -> f64 {
    let u = 2f64.powi(-24);
    let k = n.min(512) as f64;
    k * u / (1.0 - k * u) * magnitude + u * magnitude + n as f64 * f64::from(f32::MIN_POSITIVE)
}

/// Holds one image's features at scale 1 against the oracle's.
#[track_caller]
fn assert_within(shape: ImageShape, pixels: &[f32], got: &[f32], std_tolerance: f64) {
    assert_eq!(beyond(shape, pixels, got, std_tolerance), None);
}

/// The first of one image's features at scale 1 that is further from the oracle's than it may be.
fn beyond(shape: ImageShape, pixels: &[f32], got: &[f32], std_tolerance: f64) -> Option<String> {
    let (h, w, channels) = (shape.height(), shape.width(), shape.channels());
    let want = reference::features(&layout(shape, 1.0), pixels);
    let at = |y: usize, x: usize, c: usize| f64::from(pixels[(y * w + x) * channels + c]);
    for c in 0..channels {
        let offset = c * (h + w + 4);
        let difference = |i: usize| (f64::from(got[offset + i]) - f64::from(want[offset + i])).abs();
        for y in 0..h {
            let mean = (0..w).map(|x| at(y, x, c)).sum::<f64>() / w as f64;
            let about_mean = (0..w).map(|x| (at(y, x, c) - mean).abs()).sum::<f64>();
            let sum = (0..w).map(|x| at(y, x, c).abs()).sum::<f64>();
            // Of Σ|p − m| with m near the mean; a thousandth of Σ|p| allows for how near.
            let allowed = bound(w, about_mean + 1e-3 * sum) + 2f64.powi(-23) * sum;
            if difference(y) > allowed || got[offset + y].is_nan() {
                return Some(format!("{shape} row {y}: {} > {allowed}", difference(y)));
            }
        }
        for x in 0..w {
            let allowed = bound(h, (0..h).map(|y| at(y, x, c).abs()).sum());
            if difference(h + x) > allowed || got[offset + h + x].is_nan() {
                return Some(format!("{shape} column {x}: {} > {allowed}", difference(h + x)));
            }
        }
        let (std, wanted) = (got[offset + h + w + 3], want[offset + h + w + 3]);
        if difference(h + w + 3) > std_tolerance || std.is_nan() {
            return Some(format!("{shape} std {std}, not {wanted}"));
        }
    }
    None
}

#[test]
fn the_comparison_of_floats_can_fail() {
    let Some(gpu) = gpu() else { return };
    let shape = shape("28x28");
    let mut pixels = floats(shape.values(), 33, |unit| unit);
    let got = featurize(&gpu, shape, 1.0, &pixels).unwrap().values;
    assert_within(shape, &pixels, &got, 1e-6);
    // A row, a column and the deviation, each off by a little more than its bound; and what was never written.
    for (at, off) in [(5, 1e-3), (28 + 7, 1e-3), (28 + 28 + 3, 1e-5), (0, f32::NAN), (28 + 28 + 3, f32::NAN)] {
        let mut wrong = got.clone();
        wrong[at] += off;
        assert!(beyond(shape, &pixels, &wrong, 1e-6).is_some(), "feature {at} off by {off}");
    }
    pixels[400] += 1e-3;
    assert!(beyond(shape, &pixels, &got, 1e-6).is_some(), "another pixel");
}

pub(super) fn floats(len: usize, seed: u64, value: impl Fn(f64) -> f64) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    (0..len).map(|_| value(random.unit()) as f32).collect()
}

#[test]
fn float_features_are_within_their_bounds() {
    let Some(mut gpu) = gpu() else { return };
    for bytes in [usize::MAX, 3_000, 200] {
        gpu = gpu.with_chunk_bytes(bytes);
        for shape in ["1x1", "1x7", "7x1", "3x5", "28x28", "37x53", "31x33x2", "17x19x4", "300x2", "2x1000"].map(shape)
        {
            for images in [1, 9] {
                for (value, std_tolerance) in [
                    (&(|unit| unit) as &dyn Fn(f64) -> f64, 1e-6),
                    (&|unit| 2.0 * unit - 1.0, 1e-6),
                    // A mean large against the spread, where Σp² − (Σp)² would have nothing left.
                    (&|unit| 10_000.0 + unit, 1e-3),
                ] {
                    let pixels = floats(images * shape.values(), 8, value);
                    let got = featurize(&gpu, shape, 1.0, &pixels).unwrap();
                    for (image, row) in pixels.chunks(shape.values()).zip(got.rows()) {
                        assert_within(shape, image, row, std_tolerance);
                    }
                    let (want, columns) = (oracle(shape, 1.0, &pixels), layout(shape, 1.0).list_values());
                    let columns =
                        got.rows().zip(want.rows()).flat_map(|(got, want)| got.iter().zip(want).skip(columns));
                    for (got, want) in columns {
                        assert!(
                            (got - want).abs() <= 1e-6 * want.abs() + std_tolerance as f32,
                            "{shape}: {got}, {want}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn long_float_sums_stay_within_their_bounds() {
    let Some(gpu) = gpu() else { return };
    for shape in ["65536x1", "1x65536", "65536x1x2"].map(shape) {
        // Equal values make every rounding go the same way.
        let equal = vec![0.1; shape.values()];
        assert_within(shape, &equal, &featurize(&gpu, shape, 1.0, &equal).unwrap().values, 1e-6);
        let mixed = floats(shape.values(), 9, |unit| unit - 0.5);
        assert_within(shape, &mixed, &featurize(&gpu, shape, 1.0, &mixed).unwrap().values, 1e-6);
    }
}

#[test]
fn float_sums_out_of_range_are_refused_and_the_gpu_goes_on() {
    let Some(gpu) = gpu() else { return };
    let shape = shape("4x4");
    for bad in [f32::MAX, f32::INFINITY, f32::NAN] {
        let mut pixels = vec![1.0f32; 3 * 16];
        pixels[17] = bad;
        pixels[18] = bad;
        assert!(matches!(featurize(&gpu, shape, 1.0, &pixels), Err(GpuError::Range)), "{bad}");
    }
    assert_exact(&gpu, shape, &random::<u8>(16, 10), "after a refusal");
}

#[test]
fn lengths_that_do_not_agree_are_refused_and_the_gpu_goes_on() {
    let Some(gpu) = gpu() else { return };
    let shape = shape("2x2");
    let layout = layout(shape, 255.0);
    let stride = layout.stride();
    for (pixels, values, stride) in [(7, 2 * stride, stride), (8, stride, stride), (8, 2 * (stride - 1), stride - 1)] {
        let mut values = vec![0.0; values];
        let out = FeaturesMut::new(&mut values, stride).unwrap();
        assert!(matches!(gpu.featurize(&layout, &vec![0u8; pixels], out), Err(GpuError::Lengths { .. })));
    }
    assert_exact(&gpu, shape, &[1u8, 2, 3, 4], "after a refusal");
}

#[test]
fn a_lost_device_is_an_error_again_and_again() {
    let Some(gpu) = gpu() else { return };
    let shape = shape("28x28");
    let pixels = random::<u8>(10 * shape.values(), 11);
    assert_exact(&gpu, shape, &pixels, "before the loss");
    gpu.destroy();
    for _ in 0..3 {
        let error = featurize(&gpu, shape, 255.0, &pixels).unwrap_err();
        assert!(matches!(error, GpuError::Lost(_)), "{error:?}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    gpu.destroy();
}

#[test]
fn a_device_lost_before_its_first_use_is_an_error() {
    let Some(gpu) = gpu() else { return };
    gpu.destroy();
    for _ in 0..2 {
        let error = featurize(&gpu, shape("3x3"), 1.0, &[1.0f32; 9]).unwrap_err();
        assert!(matches!(error, GpuError::Lost(_)), "{error:?}");
    }
}

#[test]
fn a_device_lost_under_way_gives_the_right_features_or_an_error() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_chunk_bytes(2_000);
    let shape = shape("28x28");
    let pixels = random::<u8>(100 * shape.values(), 12);
    let want = expected(shape, &pixels).bits();
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while let Ok(got) = featurize(&gpu, shape, 255.0, &pixels) {
                    assert_eq!(got.bits(), want);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        gpu.destroy();
    });
    assert!(featurize(&gpu, shape, 255.0, &pixels).is_err());
}

#[test]
fn several_threads_share_one_gpu() {
    let Some(gpu) = gpu() else { return };
    let gpu = gpu.with_chunk_bytes(30_000);
    std::thread::scope(|threads| {
        for seed in 0..4 {
            let gpu = &gpu;
            threads.spawn(move || {
                for shape in ["28x28", "37x53", "200x200"].map(shape) {
                    assert_exact(gpu, shape, &random::<u8>(20 * shape.values(), seed), "shared");
                    assert_exact(gpu, shape, &random::<u16>(20 * shape.values(), seed), "shared");
                }
            });
        }
    });
}

#[test]
fn two_gpus_work_side_by_side() {
    let (Some(one), Some(other)) = (gpu(), gpu()) else { return };
    let shape = shape("28x28");
    let pixels = random::<u8>(50 * shape.values(), 13);
    std::thread::scope(|threads| {
        for gpu in [&one, &other] {
            threads.spawn(|| assert_exact(gpu, shape, &pixels, "side by side"));
        }
    });
    one.destroy();
    assert!(featurize(&one, shape, 255.0, &pixels).is_err());
    assert_exact(&other, shape, &pixels, "alone");
}

#[test]
fn software_is_opened_only_if_allowed() {
    match Gpu::open(false) {
        Ok(gpu) => assert!(!gpu.adapter().software, "{:?}", gpu.adapter()),
        Err(error) => assert!(matches!(error, GpuError::NoAdapter(_)), "{error:?}"),
    }
}

#[test]
fn a_gpu_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Gpu>();
}
