//! Which backend an engine ends with, and that nobody can tell from the output.

use super::*;
use crate::base::shape::{ImageShape, PixelType};
use crate::features::FeatureSet;
use arrow_array::{FixedSizeListArray, UInt8Array};
use arrow_schema::{DataType, Field};

fn images() -> ImageBatch {
    let item = Arc::new(Field::new("item", DataType::UInt8, false));
    let pixels = Arc::new(UInt8Array::from_iter_values((0..40_000u32).map(|i| (i % 251) as u8)));
    let column = FixedSizeListArray::new(item, 16, pixels, None);
    ImageBatch::from_array(&column, "image", ImageShape::gray(4, 4).unwrap(), PixelType::U8).unwrap()
}

fn layout() -> FeatureLayout {
    FeatureSet::default().layout(images().shape(), 255.0).unwrap()
}

fn run(engine: &Engine) -> (Shares, Vec<f32>) {
    let (images, layout) = (images(), layout());
    let mut values = vec![f32::NAN; images.images() * layout.stride()];
    let out = FeaturesMut::new(&mut values, layout.stride()).unwrap();
    let shares = engine.featurize(&images, &layout, out).unwrap();
    (shares, values)
}

#[test]
fn auto_leaves_gpus_alone_while_there_is_little_work() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    assert_eq!(run(&engine).0, Shares { cpu: 2_500, gpu: 0 });
    let info = engine.info();
    assert_eq!((info.backend, info.adapter), (Backend::Cpu, None));
    #[cfg(feature = "gpu")]
    assert_eq!(info.reason, "auto: a GPU is looked for from 512 MB of pixels on");
}

#[test]
fn places_that_do_not_fit_are_refused() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let (images, layout) = (images(), layout());
    let mut few = vec![0.0; layout.stride()];
    let out = FeaturesMut::new(&mut few, layout.stride()).unwrap();
    assert!(matches!(engine.featurize(&images, &layout, out), Err(Error::InvalidOption { .. })));
    let other = FeatureSet::default().layout(ImageShape::gray(2, 8).unwrap(), 255.0).unwrap();
    let mut values = vec![0.0; images.images() * other.stride()];
    let out = FeaturesMut::new(&mut values, other.stride()).unwrap();
    assert!(matches!(engine.featurize(&images, &other, out), Err(Error::InvalidOption { .. })));
}

#[cfg(feature = "gpu")]
mod with_gpu {
    use super::*;
    use crate::engine::auto::{Rates, Rules};
    use crate::features::queue::Queue;
    use crate::gpu::Gpu;

    /// An engine whose `Auto` looks for a GPU at once, takes software, and goes by these rules.
    fn auto(gpu: Arc<Gpu>, rules: Rules) -> Engine {
        let rules = Rules { from_bytes: 1, sample_bytes: 1, allow_software: true, ..rules };
        Engine::with(EngineOptions::default(), GpuSide::with(Backend::Auto, Some(Ok(gpu)), rules)).unwrap()
    }

    #[test]
    fn auto_takes_the_gpu_or_both_where_they_are_faster() {
        let Some(gpu) = crate::gpu::tests::gpu().map(Arc::new) else { return };
        let (_, expected) = run(&Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap());
        let fast = |gpu, both| Rates { cpu: 1.0, gpu, both };
        for (rates, backend) in
            [(fast(9.0, 2.0), Backend::Gpu), (fast(2.0, 9.0), Backend::Hybrid), (fast(0.5, 0.5), Backend::Cpu)]
        {
            let engine = auto(gpu.clone(), Rules { rates: Some(rates), ..Rules::default() });
            // The first batch is measured, and its rows are the CPU's.
            assert_eq!(run(&engine), (Shares { cpu: 2_500, gpu: 0 }, expected.clone()));
            let info = engine.info();
            assert_eq!(info.backend, backend, "{info}");
            assert!(info.reason.starts_with("auto: measured 1.0 GB/s on the CPU"), "{}", info.reason);
            let (shares, values) = run(&engine);
            assert!(values == expected, "{info}");
            match backend {
                Backend::Gpu => assert_eq!(shares, Shares { cpu: 0, gpu: 2_500 }),
                Backend::Cpu => assert_eq!(shares, Shares { cpu: 2_500, gpu: 0 }),
                // Either side may be done before the other begins.
                _ => assert_eq!(shares.cpu + shares.gpu, 2_500),
            }
        }
    }

    #[test]
    fn auto_measures_as_much_as_it_is_told_before_it_decides() {
        let Some(gpu) = crate::gpu::tests::gpu().map(Arc::new) else { return };
        let rules = Rules { rates: Some(Rates { cpu: 1.0, gpu: 9.0, both: 2.0 }), ..Rules::default() };
        let rules = Rules { from_bytes: 50_000, sample_bytes: 100_000, allow_software: true, ..rules };
        let gpu = GpuSide::with(Backend::Auto, Some(Ok(gpu)), rules);
        let engine = Engine::with(EngineOptions::default(), gpu).unwrap();
        // A batch has 40,000 bytes: one before the threshold, three that are measured.
        for _ in 0..4 {
            assert_eq!((engine.info().backend, run(&engine).0.gpu), (Backend::Cpu, 0));
        }
        assert_eq!(engine.info().backend, Backend::Gpu);
        assert_eq!(run(&engine).0.cpu, 0);
    }

    #[test]
    fn an_adapter_with_other_results_is_not_used() {
        let Some(gpu) = crate::gpu::tests::gpu().map(Arc::new) else { return };
        let adapter = gpu.adapter().to_string();
        let engine = auto(gpu, Rules { same: |_, _| false, ..Rules::default() });
        let (_, expected) = run(&Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap());
        assert!(run(&engine).1 == expected);
        let info = engine.info();
        assert_eq!((info.backend, info.adapter), (Backend::Cpu, Some(adapter)));
        assert_eq!(info.reason, "auto: the adapter's results are not the exact ones");
        assert_eq!(run(&engine).0, Shares { cpu: 2_500, gpu: 0 });
    }

    #[test]
    fn auto_never_takes_software_on_its_own() {
        let rules = Rules { from_bytes: 1, sample_bytes: 1, ..Rules::default() };
        let gpu = GpuSide::with(Backend::Auto, None, rules);
        let engine = Engine::with(EngineOptions::default(), gpu).unwrap();
        let (_, expected) = run(&Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap());
        assert!(run(&engine).1 == expected && run(&engine).1 == expected);
        let info = engine.info();
        println!("auto took {info}");
        assert!(info.reason.starts_with("auto: ") && !info.reason.contains("is looked for"), "{}", info.reason);
        if info.backend != Backend::Cpu {
            assert!(!engine.gpu().unwrap().adapter().software);
        }
    }

    #[test]
    fn any_split_between_cpu_and_gpu_gives_the_same_bytes() {
        let engine = Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap();
        let cpu = &engine.inner.cpu;
        let Some(gpu) = crate::gpu::tests::gpu() else { return };
        let gpu = gpu.with_chunk_bytes(700);
        let (images, layout, (_, expected)) = (images(), layout(), run(&engine));
        let rows = images.images();
        let compute = |work: &dyn Fn(&Queue<'_>)| {
            let mut values = vec![f32::NAN; rows * layout.stride()];
            let out = FeaturesMut::new(&mut values, layout.stride()).unwrap();
            work(&Queue::new(images.shape(), images.pixels().as_slice(), out));
            values
        };
        for on_gpu in [0, 1, 17, rows / 2, rows - 1, rows] {
            let split = compute(&|queue| {
                if on_gpu > 0
                    && let Some(piece) = queue.take(on_gpu)
                {
                    let part = Queue::new(images.shape(), piece.pixels, piece.out);
                    let (done, result) = gpu.drain(&part, &layout, 2);
                    assert_eq!((done, result.is_ok()), (on_gpu, true));
                }
                cpu.drain(queue, &layout);
            });
            assert!(split == expected, "{on_gpu} of {rows} on the GPU");
        }
        // And as it falls out, with both at it.
        let both = compute(&|queue| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| gpu.drain(queue, &layout, 2));
                while let Some(piece) = queue.take(5) {
                    cpu.featurize(&layout, piece.pixels, piece.out);
                }
                other.join().unwrap().1.unwrap();
            });
        });
        assert!(both == expected);
    }
}
