//! A GPU that fails, and engines that share or lose one: every run ends, with all features, and says what happened.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use crate::gpu::Fault;
use crate::{Backend, Engine, EngineOptions, FeatureSpec, Featurizer, ImageShape, PixelType, synthetic};
use arrow_array::ArrayRef;
use support::{Content, Expected, breakable, column, device, expected, first_difference, values};

/// Enough for several chunks.
const IMAGES: usize = 12_000;

struct Work {
    shape: ImageShape,
    images: ArrayRef,
    expected: Vec<Expected>,
}

impl Work {
    fn new(pixel_type: PixelType) -> Self {
        let shape = ImageShape::gray(28, 28).unwrap();
        let values = values(Content::Random(1), pixel_type, IMAGES * shape.values());
        let expected = expected(&values, pixel_type, shape);
        Self { shape, images: column(&values, pixel_type, shape.values()), expected }
    }

    #[track_caller]
    fn check(&self, engine: &Engine, what: &str) {
        let features = Featurizer::new(engine.clone(), FeatureSpec::new(self.shape)).featurize(&self.images).unwrap();
        assert_eq!(first_difference(&features, &self.expected), None, "{what}");
    }
}

#[test]
fn whatever_fails_and_whenever_the_output_is_complete_and_the_reason_told() {
    let work = Work::new(PixelType::U8);
    let faults = [
        (Fault::OutOfMemory, "out of memory"),
        (Fault::Lost, "device is lost"),
        (Fault::Hung(Duration::from_millis(200)), "gave no answer for 0.2 s"),
    ];
    for backend in [Backend::Gpu, Backend::Hybrid] {
        for (fault, told) in faults {
            for chunks in [0, 1, 3] {
                let Some(engine) = breakable(backend) else { return };
                engine.provoke(fault, chunks);
                let what = format!("{backend}, {fault:?} after {chunks}");
                // With the CPU beside it, a GPU may not get as far in one batch.
                for _ in 0..20 {
                    work.check(&engine, &what);
                    if engine.info().backend == Backend::Cpu {
                        break;
                    }
                }
                let info = engine.info();
                assert_eq!(info.backend, Backend::Cpu, "{what}: {info}");
                assert!(info.reason.contains(told) && info.reason.contains("CPU went on"), "{what}: {info}");
                assert!(info.adapter.is_some(), "{what}");
                work.check(&engine, "afterwards");
                assert!(engine.gpu().is_err(), "{what}");
            }
        }
    }
}

#[test]
fn no_batch_of_floats_is_partly_the_gpus() {
    let work = Work::new(PixelType::F32);
    let spec = || FeatureSpec::new(work.shape);
    let on_cpu = Featurizer::new(Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap(), spec())
        .featurize(&work.images)
        .unwrap();
    let Some(engine) = breakable(Backend::Gpu) else { return };
    engine.provoke(Fault::Lost, 2);
    let got = Featurizer::new(engine.clone(), spec()).featurize(&work.images).unwrap();
    assert_eq!(engine.info().backend, Backend::Cpu);
    assert!(support::rows(&got) == support::rows(&on_cpu), "the CPU computes the whole batch");
    let hybrid = Engine::new(EngineOptions::backend(Backend::Hybrid)).unwrap();
    let got = Featurizer::new(hybrid.clone(), spec()).featurize(&work.images).unwrap();
    assert!(support::rows(&got) == support::rows(&on_cpu));
    assert!(hybrid.info().reason.contains("float pixels are left to the CPU"), "{}", hybrid.info());
}

#[test]
fn an_adapter_below_the_limits_leaves_the_work_to_the_cpu() {
    let work = Work::new(PixelType::U8);
    type Lower = fn(&mut wgpu::Limits);
    let limits: [(&str, Lower); 3] = [
        ("max_compute_invocations_per_workgroup", |limits| {
            limits.max_compute_invocations_per_workgroup = 64;
            limits.max_compute_workgroup_size_x = 64;
            limits.max_compute_workgroup_size_y = 64;
        }),
        ("max_storage_buffer_binding_size", |limits| limits.max_storage_buffer_binding_size = 1 << 20),
        ("max_compute_workgroup_storage_size", |limits| limits.max_compute_workgroup_storage_size = 8 << 10),
    ];
    for (name, limit) in limits {
        let Some((device, queue)) = device(limit) else { return };
        let engine = Engine::with_device(EngineOptions::backend(Backend::Gpu), device, queue).unwrap();
        work.check(&engine, name);
        let info = engine.info();
        assert_eq!(info.backend, Backend::Cpu);
        assert!(info.reason.contains(name) && info.reason.contains("the CPU does the work"), "{info}");
    }
}

#[test]
fn an_application_s_device_is_used_and_stays_its_own() {
    let Some((device, queue)) = device(|_| ()) else { return };
    let work = Work::new(PixelType::U16);
    let engine = Engine::with_device(EngineOptions::backend(Backend::Gpu), device.clone(), queue.clone()).unwrap();
    work.check(&engine, "on the application's device");
    assert_eq!(engine.info().backend, Backend::Gpu);
    drop(engine);
    // It still works for its owner.
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 16,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    queue.write_buffer(&buffer, 0, &[7; 16]);
    queue.submit([]);
    buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert_eq!(buffer.get_mapped_range(..).unwrap()[..], [7; 16]);
}

#[test]
fn engines_and_threads_share_a_gpu_without_waiting_for_one_another_for_ever() {
    let Some(one) = support::gpu() else { return };
    let other = Engine::new(EngineOptions::backend(Backend::Hybrid)).unwrap();
    let work = Work::new(PixelType::U8);
    std::thread::scope(|scope| {
        for engine in [&one, &other, &one, &other] {
            scope.spawn(|| (0..3).for_each(|_| work.check(engine, "shared")));
        }
        // Threads of a pool that engines use as well.
        scope.spawn(|| {
            rayon::scope(|pool| {
                for engine in [&one, &other, &one, &other, &one, &other] {
                    let work = &work;
                    pool.spawn(move |_| work.check(engine, "from the pool"));
                }
            });
        });
    });
}

#[test]
fn an_engine_dropped_mid_stream_ends_its_threads() {
    for backend in [Backend::Gpu, Backend::Hybrid] {
        let Some(engine) = breakable(backend) else { return };
        let gpu = engine.gpu().unwrap();
        let mut stream =
            Featurizer::new(engine, FeatureSpec::default()).stream(synthetic::Digits::new(100_000, 1, 2_000)).unwrap();
        stream.next().unwrap().unwrap();
        drop(stream);
        // The stream's threads hold the engine, and it the device, until they end.
        for _ in 0..500 {
            if std::sync::Arc::strong_count(&gpu) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(std::sync::Arc::strong_count(&gpu), 1, "{backend}");
    }
}
