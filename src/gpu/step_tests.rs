//! Steps and stages on the device against the same ones on the CPU, byte for byte.

use std::sync::{Arc, OnceLock};

use super::layout::HALF_WORDS;
use super::shader::StepFrame;
use super::tests::{Got, Integer, application_buffer, featurize_to, floats, gpu, layout, oracle_of, random, shape};
use super::{Gpu, GpuError, Images};
use crate::base::pixels::Pixel;
use crate::base::random::Random;
use crate::base::shape::{ImageShape, PixelType};
use crate::stages::{Chain, Pipeline, Stage};
use crate::steps::{Step, Workspace};

/// One device for all tests here, whose kernels take longer to compile than to run.
fn shared() -> Option<Arc<Gpu>> {
    static SHARED: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    SHARED.get_or_init(|| gpu().map(|gpu| Arc::new(gpu.with_specialize_bytes(usize::MAX)))).clone()
}

/// The frames that images can go through: small ones through either.
fn frames(pixel_type: PixelType, shapes: &[ImageShape]) -> Vec<StepFrame> {
    let small = shapes.iter().all(|shape| shape.values() * pixel_type.bytes() <= 4 * HALF_WORDS);
    if small { vec![StepFrame::Wide, StepFrame::Whole] } else { vec![StepFrame::Wide] }
}

/// Images through steps on the device against the same steps on the CPU. Image `i` has the steps `steps[i]`; the shapes
/// are those before each of them and after the last one.
fn assert_steps<P: Pixel>(gpu: &Arc<Gpu>, shapes: &[ImageShape], steps: &[Vec<Step>], pixels: &[P]) {
    let there = gpu.upload(shapes[0], P::slice(pixels)).unwrap();
    let ids: Vec<u64> = (0..steps.len() as u64).collect();
    let mut work = Workspace::default();
    let want = steps.iter().zip(pixels.chunks(shapes[0].values())).map(|(steps, image)| {
        let mut image = image.to_vec();
        for (step, shapes) in steps.iter().zip(shapes.windows(2)) {
            assert_eq!(step.shape(shapes[0]), shapes[1], "{step}");
            let mut new = vec![P::default(); shapes[1].values()];
            step.apply(shapes[0], &image, &mut new, &mut work);
            image = new;
        }
        image
    });
    let want: Vec<Vec<P>> = want.collect();
    for frame in frames(P::TYPE, shapes) {
        let draw = |id: u64, drawn: &mut Vec<Step>| drawn.extend_from_slice(&steps[id as usize]);
        let got = there.apply_drawn(shapes, &ids, &draw, frame).unwrap().read_back().unwrap();
        let got: &[P] = bytemuck::cast_slice(got.as_slice().as_bytes());
        let values = shapes[shapes.len() - 1].values();
        let wrong = |(at, (got, want)): (usize, (&[P], &Vec<P>))| {
            let first = got.iter().zip(want).position(|(got, want)| got != want)?;
            let texts: Vec<String> = steps[at].iter().map(Step::to_string).collect();
            Some(format!("{}: value {first} is {:?}, not {:?}", texts.join(","), got[first], want[first]))
        };
        let wrong: Vec<String> = got.chunks(values).zip(&want).enumerate().filter_map(wrong).collect();
        let count = wrong.len();
        assert!(wrong.is_empty(), "{frame:?} {} {}: {count} wrong: {:#?}", P::TYPE, shapes[0], &wrong[..count.min(8)]);
    }
}

/// Steps of every kind that leave images of this shape in it.
fn steps(shape: ImageShape, pixel_type: PixelType) -> Vec<Step> {
    let (height, width) = (shape.height() as i32, shape.width() as i32);
    let mut random = Random::new(11, 0);
    let mut between = |low: i32, high: i32| low + (random.bits() % (high - low + 1) as u64) as i32;
    let mut steps = vec![Step::Identity {}, Step::FlipX {}, Step::FlipY {}];
    for (y, x) in [(0, 0), (1, -1), (-2, 3), (height, 0), (-40_000, 40_000)] {
        steps.push(Step::Crop { y, x, height, width });
    }
    let (y, x) = (height / 3, width / 2);
    steps.push(Step::Erase { y, x, height: height - y, width: width - x, fill: 200 });
    steps.push(Step::Erase { y, x: 0, height: 1, width, fill: 0 });
    let maps = [[1 << 16, 0, 1 << 15, 0, 1 << 16, 1 << 15], [1 << 16, 0, 70_000, 0, -65_536, (height << 16) - 1]];
    let turned = (0..4).map(|_| {
        let mut linear = || between(-100_000, 100_000);
        let [a, b, d, e] = [linear(), linear(), linear(), linear()];
        let (c, f) = (between(-65_536, width << 16), between(-65_536, height << 16));
        [a, b, c, d, e, f]
    });
    let maps: Vec<[i32; 6]> = maps.into_iter().chain(turned).collect();
    steps.extend(maps.iter().map(|&[a, b, c, d, e, f]| Step::Affine { a, b, c, d, e, f }));
    if pixel_type == PixelType::F32 {
        return steps;
    }
    steps.extend(maps.iter().map(|&[a, b, c, d, e, f]| Step::AffineBilinear { a, b, c, d, e, f }));
    steps.extend([Step::Luma {}, Step::Autocontrast {}, Step::Equalize {}, Step::Invert {}]);
    for factor in [0, 3_000, 32_768, 60_001, 9 << 15] {
        steps.extend([
            Step::Brightness { factor },
            Step::Contrast { factor },
            Step::Saturation { factor },
            Step::Sharpness { factor },
        ]);
    }
    steps.extend([0, 1, 43, 128, 255].map(|turn| Step::Hue { turn }));
    steps.extend([1, 5, 8].map(|bits| Step::Posterize { bits }));
    steps.extend([0, 100, 255, 30_000, 65_536].map(|threshold| Step::Solarize { threshold }));
    steps.extend([0, 700, 65_280].map(|sigma| Step::Noise { key_0: -7, key_1: 1 << 30, sigma }));
    let pair = |low: i32, high: i32| low | high << 16;
    steps.push(Step::Blur { radius: 1, w01: pair(16_384, 8_192), w23: 0, w45: 0, w67: 0 });
    let [w01, w23, w45, w67] = [pair(6_768, 4_000), pair(3_000, 2_500), pair(2_000, 1_000), pair(400, 100)];
    steps.push(Step::Blur { radius: 7, w01, w23, w45, w67 });
    steps
}

/// Images of noise, of a narrow range of values with a slope, and of one value, in turn; of a slope alone if `sloped`.
fn images<P: Integer>(shape: ImageShape, count: usize, sloped: bool) -> Vec<P> {
    let mut random = Random::new(12, 0);
    let mut pixels = Vec::with_capacity(count * shape.values());
    for image in 0..count {
        pixels.extend((0..shape.values()).map(|at| {
            let bits = random.bits() >> 20;
            let top = if P::TYPE == PixelType::U8 { 0 } else { 8 };
            let slope = (at / shape.channels() / 3 + 31 * (at % shape.channels())) as u64;
            P::truncated(match if sloped { 1 } else { image % 3 } {
                0 => bits,
                1 => (60 + slope % 90) << top | bits & 7,
                _ => 77 << top,
            })
        }));
    }
    pixels
}

/// Each step three times, for one image of each kind.
fn thrice(steps: &[Step]) -> Vec<Vec<Step>> {
    steps.iter().flat_map(|step| [vec![*step], vec![*step], vec![*step]]).collect()
}

fn each_step<P: Integer>(gpu: &Arc<Gpu>, shape: ImageShape) {
    let steps = steps(shape, P::TYPE);
    // Of large images one of each kind would take long.
    let large = shape.values() > 500;
    let each = if large { steps.iter().map(|step| vec![*step]).collect() } else { thrice(&steps) };
    assert_steps(gpu, &[shape; 2], &each, &images::<P>(shape, each.len(), large));
}

#[test]
fn every_step_gives_the_bytes_of_the_cpu() {
    let Some(gpu) = shared() else { return };
    for shape in ["1x1", "3x5", "28x28", "1x1x3", "3x5x3", "32x32x3", "7x5x4", "6x7x2"].map(shape) {
        each_step::<u8>(&gpu, shape);
        each_step::<u16>(&gpu, shape);
    }
    for shape in ["1x1", "5x7x3", "3x4x2"].map(shape) {
        let steps: Vec<Vec<Step>> = steps(shape, PixelType::F32).into_iter().map(|step| vec![step]).collect();
        let pixels = floats(steps.len() * shape.values(), 43, |unit| unit - 0.5);
        assert_steps(&gpu, &[shape; 2], &steps, &pixels);
    }
}

#[test]
fn steps_follow_each_other() {
    fn check<P: Integer>(gpu: &Arc<Gpu>, shape: ImageShape) {
        let steps = steps(shape, P::TYPE);
        let several = |at: usize| [at, 3 * at + 1, 5 * at + 2, 7 * at + 3].map(|at| steps[at % steps.len()]).to_vec();
        let all: Vec<Vec<Step>> = (0..3 * steps.len()).map(several).collect();
        assert_steps(gpu, &[shape; 5], &all, &images::<P>(shape, all.len(), false));
    }
    let Some(gpu) = shared() else { return };
    for shape in ["5x7", "9x6x3", "4x5x4"].map(shape) {
        check::<u8>(&gpu, shape);
        check::<u16>(&gpu, shape);
    }
}

#[test]
fn images_of_several_workgroups_are_measured_as_a_whole() {
    fn check<P: Integer>(gpu: &Arc<Gpu>, shape: ImageShape) {
        let kinds = |step: &Step| {
            matches!(step.name(), "contrast" | "autocontrast" | "equalize" | "blur" | "noise" | "affine" | "hue")
        };
        let steps: Vec<Step> = steps(shape, P::TYPE).into_iter().filter(kinds).collect();
        let chosen = [0, 6, 7, 9, 12, 15, 19].map(|at| steps[at]);
        assert_steps(gpu, &[shape; 2], &thrice(&chosen), &images::<P>(shape, 3 * chosen.len(), false));
    }
    let Some(gpu) = shared() else { return };
    check::<u8>(&gpu, shape("101x97x3"));
    check::<u16>(&gpu, shape("101x97"));
    // A sum of more than 32 bits.
    let shape = shape("260x300");
    let steps = [vec![Step::Contrast { factor: 0 }]];
    assert_steps(&gpu, &[shape; 2], &steps, &vec![65_535u16; shape.values()]);
}

#[test]
fn steps_change_the_shape_of_images() {
    fn check<P: Integer>(gpu: &Arc<Gpu>, from: ImageShape, changing: &[Step]) {
        let to = changing[0].shape(from);
        let before = [Step::FlipX {}, Step::Identity {}, Step::Invert {}];
        let after = [Step::Identity {}, Step::Equalize {}, Step::FlipY {}];
        let around = changing.iter().flat_map(|step| [0, 1, 2].map(|at| vec![before[at], *step, after[at]]));
        let steps: Vec<Vec<Step>> = around.collect();
        assert_steps(gpu, &[from, from, to, to], &steps, &images::<P>(from, steps.len(), false));
        assert_steps(gpu, &[from, to], &thrice(changing), &images::<P>(from, 3 * changing.len(), false));
    }
    let Some(gpu) = shared() else { return };
    for (from, [to_height, to_width]) in
        [("9x13", [5, 7]), ("23x14x3", [23, 9]), ("8x70x4", [9, 11]), ("1x1x2", [3, 2])]
    {
        let from = shape(from);
        let (height, width) = (from.height() as i32, from.width() as i32);
        let windows = [[0, 0, height, width], [height / 2, width / 3, height - height / 2, 1], [0, width - 1, 1, 1]];
        let resized =
            windows.map(|[y, x, height, width]| Step::CropResize { y, x, height, width, to_height, to_width });
        let crops = [(0, 0), (-2, 1), (3, -5)].map(|(y, x)| Step::Crop { y, x, height: to_height, width: to_width });
        check::<u8>(&gpu, from, &resized);
        check::<u16>(&gpu, from, &resized);
        let nearest =
            windows.map(|[y, x, height, width]| Step::CropResizeNearest { y, x, height, width, to_height, to_width });
        check::<u8>(&gpu, from, &nearest);
        check::<u16>(&gpu, from, &nearest);
        check::<u8>(&gpu, from, &crops);
        check::<u16>(&gpu, from, &crops);
        for area in [0, 1] {
            check::<u8>(&gpu, from, &[Step::Resize { height: to_height, width: to_width, area }]);
        }
        if from.channels() > 1 {
            check::<u8>(&gpu, from, &[Step::Gray {}]);
            check::<u16>(&gpu, from, &[Step::Gray {}]);
        }
    }
}

#[test]
fn a_batch_ends_where_there_are_too_many_tables() {
    let Some(gpu) = shared() else { return };
    let (from, to) = (shape("1x4096"), shape("1x2"));
    let window = |width| Step::CropResize { y: 0, x: 4, height: 1, width, to_height: 1, to_width: 2 };
    let steps: Vec<Vec<Step>> = (0..300).map(|at| vec![window(4000 + at % 90 - at / 90)]).collect();
    assert_steps(&gpu, &[from, to], &steps, &random::<u8>(300 * 4096, 44));
}

/// Images through a chain on the device against the same chain on the CPU: the shape and the values.
fn assert_chain<P: Pixel>(there: &Images, pixels: &[P], chain: &Chain) -> Option<(Images, Vec<P>)> {
    let shape = there.shape();
    let pipeline = Pipeline::new(chain.clone(), 9, shape, P::TYPE).ok()?;
    // Not in order, and with more than 32 bits.
    let ids: Vec<u64> = (0..there.len() as u64).map(|at| (at * 7) ^ (at << 33)).collect();
    let epoch = 3;
    let got = there.apply(&pipeline, &ids, epoch).unwrap();
    assert_eq!((got.len(), got.shape()), (there.len(), pipeline.shape()), "{chain}");
    let mut want = vec![P::default(); got.len() * got.shape().values()];
    pipeline.apply(&ids, epoch, pixels, &mut want).unwrap();
    assert!(got.read_back().unwrap().as_slice() == P::slice(&want), "{chain}, {} {shape}", P::TYPE);
    Some((got, want))
}

/// Chains that mix many stages.
const CHAINS: [&str; 6] = [
    "crop(pad=2),hflip(0.5),randaugment(2,9)",
    "randaugment(3,30,p=0.9),erase(0.5,fill=9),trivial",
    "jitter(0.4,0.4,0.4,0.1,p=0.8),gray(0.2),blur(0.1..2,p=0.3),noise(4,p=0.5)",
    "one_of(hflip,blur(0.5..1),jitter(brightness=0.5,contrast=0.5),p=0.9),affine(rotate=30,filter=bilinear),equalize(0.5)",
    "resized_crop(9x8),trivial,gray,autocontrast,crop(pad=1)",
    "vflip(0.5),resize(6x7),sharpness(0.9),posterize(3),solarize(100),invert(0.3)",
];

fn chains(pixel_type: PixelType) -> Vec<Chain> {
    let chains = CHAINS.iter().map(|text| text.parse::<Chain>().unwrap());
    chains.filter(|chain| chain.stages().iter().all(|stage| stage.on_device(pixel_type))).collect()
}

fn staged<P: Integer>(gpu: &Arc<Gpu>, shape: ImageShape, count: usize, chains: &[Chain]) -> usize {
    let pixels = random::<P>(count * shape.values(), 40);
    let there = gpu.upload(shape, P::slice(&pixels)).unwrap();
    let done = chains.iter().filter(|chain| assert_chain(&there, &pixels, chain).is_some()).count();
    assert!(there.read_back().unwrap().as_slice() == P::slice(&pixels), "what went through stages stays as it was");
    done
}

#[test]
fn chains_on_the_device_give_the_images_of_the_cpu() {
    let Some(gpu) = shared() else { return };
    for shape in ["28x28", "32x32x3", "11x13x4"].map(shape) {
        assert_eq!(staged::<u8>(&gpu, shape, 40, &chains(PixelType::U8)), CHAINS.len());
        assert_eq!(staged::<u16>(&gpu, shape, 40, &chains(PixelType::U16)), CHAINS.len() - 1);
    }
    assert!(staged::<u8>(&gpu, shape("1x1"), 9, &chains(PixelType::U8)) > 0);
    staged::<u8>(&gpu, shape("28x28"), 0, &chains(PixelType::U8));
    // Large images, the usual way.
    let usual = ["resized_crop(96x80),hflip(0.5),randaugment(2,9)", "jitter(0.4,0.4,0.4,0.1)"];
    staged::<u8>(&gpu, shape("224x224x3"), 3, &usual.map(|text| text.parse().unwrap()));
}

#[test]
fn every_stage_runs_on_the_device_or_is_refused() {
    fn check<P: Pixel>(gpu: &Arc<Gpu>, pixels: &[P]) -> Vec<&'static str> {
        let shape = shape("12x10x3");
        let there = gpu.upload(shape, P::slice(pixels)).unwrap();
        let mut refused = Vec::new();
        for stage in Stage::examples() {
            let chain = Chain::new().with(stage.clone());
            let Ok(pipeline) = Pipeline::new(chain.clone(), 9, shape, P::TYPE) else { continue };
            if stage.on_device(P::TYPE) {
                assert!(assert_chain(&there, pixels, &chain).is_some());
            } else {
                let ids = vec![0; there.len()];
                let error = there.apply(&pipeline, &ids, 0).unwrap_err();
                assert!(matches!(error, GpuError::NoDeviceForm { .. }), "{error}");
                refused.push(stage.name());
            }
        }
        refused.dedup();
        refused
    }
    let Some(gpu) = shared() else { return };
    assert_eq!(check(&gpu, &random::<u8>(12 * 360, 40)), ["normalize"]);
    assert_eq!(check(&gpu, &random::<u16>(12 * 360, 40)), ["resize", "normalize"]);
    let floats = floats(12 * 360, 40, |unit| unit - 0.5);
    assert_eq!(check(&gpu, &floats), ["gray", "resize", "resized_crop", "normalize"]);
}

#[test]
fn stages_take_images_in_several_buffers_and_in_several_batches() {
    fn check<P: Integer>(gpu: &Gpu, there: &Images, pixels: &[P]) {
        for chain in &chains(P::TYPE) {
            let (got, want) = assert_chain(there, pixels, chain).unwrap();
            let layout = layout(got.shape(), P::SCALE);
            let mut features = Got::new(got.len(), &layout);
            got.featurize(&layout, 0..got.len(), features.out()).unwrap();
            assert!(features.bits() == featurize_to(gpu, &layout, &want).unwrap().bits(), "{chain}");
            assert!(features.bits() == oracle_of(&layout, &want).bits(), "{chain}");
        }
    }
    let Some(gpu) = gpu() else { return };
    let shape = shape("9x11x3");
    // Buffers of three images, and batches of as many or fewer, whose images do not begin a word.
    let gpu = Arc::new(gpu.with_specialize_bytes(usize::MAX).with_chunk_bytes(3 * shape.values()));
    let pixels = random::<u8>(10 * shape.values(), 41);
    check(&gpu, &gpu.upload(shape, &pixels).unwrap(), &pixels);
    let mut pixels = random::<u8>(11 * shape.values(), 41);
    pixels.resize(pixels.len().next_multiple_of(16), 0);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let buffer = application_buffer(&gpu, pixels.len(), usage, &pixels);
    let there = Images::from_buffer(&gpu, shape, PixelType::U8, 11, buffer).unwrap();
    check(&gpu, &there, &pixels[..11 * shape.values()]);
}

#[test]
fn what_cannot_be_applied_is_refused_and_the_gpu_goes_on() {
    let Some(gpu) = shared() else { return };
    let size = shape("4x4x3");
    let pipeline = |text: &str, shape, pixel_type| Pipeline::new(text.parse().unwrap(), 0, shape, pixel_type).unwrap();
    let gray = pipeline("gray", size, PixelType::U8);
    let floats = gpu.upload(size, &[0.5f32; 48][..]).unwrap();
    let refused = floats.apply(&pipeline("hflip,gray", size, PixelType::F32), &[0], 0).unwrap_err();
    assert_eq!(refused.to_string(), "the stage `gray` cannot run on the device for f32 pixels");
    let refused = floats.apply(&gray, &[0], 0).unwrap_err();
    let why = "the pipeline is not for these images: it takes 4x4x3 u8 images, and these are 4x4x3 f32";
    assert_eq!(refused.to_string(), why);
    let bytes = gpu.upload(size, &[7u8; 48][..]).unwrap();
    let other = pipeline("gray", shape("4x5x3"), PixelType::U8);
    assert!(matches!(bytes.apply(&other, &[0], 0), Err(GpuError::OtherImages(_))));
    assert!(matches!(bytes.apply(&gray, &[0, 1], 0), Err(GpuError::NotThere { end: 2, images: 1, .. })));
    let buffer = application_buffer(&gpu, 48, wgpu::BufferUsages::STORAGE, &[7; 48]);
    let there = Images::from_buffer(&gpu, size, PixelType::U8, 1, buffer).unwrap();
    assert!(matches!(there.read_back(), Err(GpuError::Buffer(_))));
    assert!(there.apply(&gray, &[0], 0).unwrap().read_back().unwrap().as_slice() == u8::slice(&[7; 16]));
    // No stage, no change, whatever the pixels.
    let same = floats.apply(&pipeline("", size, PixelType::F32), &[0], 0).unwrap();
    assert!(same.shape() == size && same.read_back().unwrap().as_slice() == f32::slice(&[0.5; 48]));
    let Some(small) = self::gpu() else { return };
    let bands = Arc::new(small.with_chunk_bytes(20)).upload(size, &[7u8; 48][..]).unwrap();
    assert!(matches!(bands.apply(&gray, &[0], 0), Err(GpuError::TooLarge { .. })));
    assert!(bands.gpu().error().is_none() && gpu.error().is_none());
}
