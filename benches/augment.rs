//! Augmentation on one thread and on all: ns an image for the cases that `benches/peers/augment.py` measures with other
//! programs. Every case is first checked: the fastest SIMD level must give the bytes of the plain code.
//!
//! `cargo bench --bench augment` prints one line a case: shape, case, threads, ns an image. `-- --quick` takes a first look;
//! `-- --only hflip` runs one of the cases, `-- --threads 1` runs them on so many threads alone. On Linux the time of one thread is its CPU time, because machines are shared.

use std::hint::black_box;
use std::time::Instant;

use pixelfeat::cpu::Level;
use pixelfeat::stages::{MIX_WINDOW, Mixer, Mixing, Pipeline};
use pixelfeat::synthetic::Random;
use pixelfeat::{ImageShape, PixelType};
use rayon::ThreadPoolBuilder;

const SEED: u64 = 7;

/// Names, and the chains that they stand for.
const SMALL: &[(&str, &str)] = &[
    ("copy", ""),
    ("hflip", "hflip"),
    ("crop", "crop(pad=4)"),
    ("jitter", "jitter(0.4,0.4)"),
    ("erase", "erase(area=0.25,ratio=1)"),
    ("randaugment", "randaugment(2,9)"),
    ("classic", "crop(pad=4),hflip(0.5),randaugment(2,9)"),
];
const LARGE: &[(&str, &str)] = &[
    ("copy", ""),
    ("hflip", "hflip"),
    ("resized_crop", "resized_crop(224x224)"),
    ("jitter", "jitter(0.4,0.4,0.4)"),
    ("erase", "erase(area=0.25,ratio=1)"),
    ("randaugment", "randaugment(2,9)"),
    ("affine", "affine(rotate=30)"),
    ("bilinear", "affine(rotate=30,filter=bilinear)"),
    ("saturation", "jitter(saturation=0.4)"),
    ("hue", "jitter(hue=0.1)"),
    ("sharpness", "sharpness(0.9)"),
    ("equalize", "equalize"),
    ("autocontrast", "autocontrast"),
    ("blur", "blur(1)"),
    ("noise", "noise(8)"),
];

struct Args {
    seconds: f64,
    repeats: usize,
    only: Option<String>,
    threads: Option<usize>,
}

fn main() {
    let mut args = Args { seconds: 0.2, repeats: 5, only: None, threads: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => (args.seconds, args.repeats) = (0.02, 2),
            "--only" => args.only = words.next(),
            "--threads" => args.threads = words.next().and_then(|word| word.parse().ok()),
            // Cargo adds this.
            _ => {}
        }
    }
    let mut threads = args.threads.map_or_else(|| vec![1, rayon::current_num_threads()], |threads| vec![threads]);
    threads.dedup();
    for threads in threads {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        pool.install(|| {
            all("28x28", 256, SMALL, threads, &args);
            all("224x224x3", 32, LARGE, threads, &args);
        });
    }
}

fn all(shape: &str, images: usize, cases: &[(&str, &str)], threads: usize, args: &Args) {
    let wanted = |case: &str| args.only.as_deref().is_none_or(|only| only == case);
    let shape: ImageShape = shape.parse().expect("a shape");
    let pixels = smooth(shape, images);
    let ids: Vec<u64> = (0..images as u64).collect();
    for (case, chain) in cases.iter().filter(|(case, _)| wanted(case)) {
        let chain = chain.parse().expect("a chain");
        let pipeline = Pipeline::new(chain, SEED, shape, PixelType::U8).expect("a pipeline");
        let mut out = vec![0; images * pipeline.shape().values()];
        let mut plain = out.clone();
        pipeline.apply(&ids, 0, &pixels, &mut out).expect("augmented images");
        pipeline.clone().at_level(Level::Portable).apply(&ids, 0, &pixels, &mut plain).expect("augmented images");
        assert!(out == plain, "{case}: the levels differ");
        let mut epoch = 0;
        let run = || {
            epoch += 1;
            pipeline.apply(&ids, epoch, black_box(&pixels), &mut out).expect("augmented images");
        };
        report(shape, case, threads, measure(run, images, threads, args));
    }
    for (case, mixup, cutmix) in [("mixup", Some(0.2), None), ("cutmix", None, Some(1.0))] {
        if wanted(case) && threads == 1 {
            mixed(shape, case, Mixing::new(mixup, cutmix).expect("a mixing"), args);
        }
    }
    if wanted("draws") && threads == 1 {
        let chain = "crop(pad=4),hflip(0.5),randaugment(2,9)".parse().expect("a chain");
        let pipeline = Pipeline::new(chain, SEED, shape, PixelType::U8).expect("a pipeline");
        let ids: Vec<u64> = (0..1 << 12).collect();
        let run = || drop(black_box(pipeline.records(black_box(&ids), 3)));
        report(shape, "draws", threads, measure(run, ids.len(), threads, args));
    }
}

/// Images mixed with their partners, and their labels with those of the partners.
fn mixed(shape: ImageShape, case: &str, mixing: Mixing, args: &Args) {
    let pixels = smooth(shape, MIX_WINDOW);
    let values = shape.values();
    let image = |at: usize| &pixels[at * values..][..values];
    let ids: Vec<u64> = (0..MIX_WINDOW as u64).collect();
    let labels: Vec<i64> = ids.iter().map(|id| (id % 10) as i64).collect();
    let mixer = Mixer::new(mixing, SEED, shape);
    let mut out = vec![0u8; pixels.len()];
    let mut told = vec![(0, 0, 0.0f32); MIX_WINDOW];
    let mut epoch = 0;
    let mut run = || {
        epoch += 1;
        let mixes = mixer.draw(epoch, &ids);
        for (((at, mix), out), told) in mixes.iter().enumerate().zip(out.chunks_exact_mut(values)).zip(&mut told) {
            mixer.apply(mix, black_box(image(at)), image(mix.partner), out);
            *told = (labels[at], labels[mix.partner], mix.lambda as f32 / 65_536.0);
        }
        mixes
    };
    let mixes = run();
    let time = measure(|| drop(run()), MIX_WINDOW, 1, args);
    for (at, mix) in mixes.iter().enumerate() {
        let mut got = vec![0; values];
        mixer.apply(mix, image(at), image(mix.partner), &mut got);
        for (place, got) in got.iter().enumerate() {
            let (own, other) = (i64::from(image(at)[place]), i64::from(image(mix.partner)[place]));
            let (y, x) = (place / shape.row_values(), place % shape.row_values() / shape.channels());
            let want = match mix.cut {
                Some([top, left, height, width]) => {
                    let inside = (top..top + height).contains(&y) && (left..left + width).contains(&x);
                    if inside { other } else { own }
                }
                None => (i64::from(mix.lambda) * own + (65_536 - i64::from(mix.lambda)) * other + 32_768) >> 16,
            };
            assert_eq!(i64::from(*got), want, "{case}, value {place}");
        }
    }
    report(shape, case, 1, time);
}

fn report(shape: ImageShape, case: &str, threads: usize, ns: f64) {
    println!("pixelfeat        {shape:10} {case:12} {threads}  {ns:12.0} ns");
}

/// The least time for an image, in ns.
fn measure(mut run: impl FnMut(), images: usize, threads: usize, args: &Args) -> f64 {
    run();
    let mut best = f64::INFINITY;
    for _ in 0..args.repeats {
        let (start, clock) = (Instant::now(), cpu_time(threads));
        let mut done = 0;
        while start.elapsed().as_secs_f64() < args.seconds {
            run();
            done += images;
        }
        let ns = match (clock, cpu_time(threads)) {
            (Some(start), Some(end)) => end - start,
            _ => start.elapsed().as_nanos() as f64,
        };
        best = best.min(ns / done as f64);
    }
    best
}

/// The CPU time of this thread in ns, if it is the only one that works and the system tells.
fn cpu_time(threads: usize) -> Option<f64> {
    if threads > 1 {
        return None;
    }
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// Waves and a little noise.
fn smooth(shape: ImageShape, images: usize) -> Vec<u8> {
    let mut random = Random::new(SEED, 0);
    let mut pixels = Vec::with_capacity(images * shape.values());
    for _ in 0..images {
        let [a, b, c] = [random.between(1.0, 6.0), random.between(1.0, 6.0), random.between(0.0, 6.0)];
        for y in 0..shape.height() {
            for x in 0..shape.width() {
                for channel in 0..shape.channels() {
                    let (y, x) = (y as f64 / shape.height() as f64, x as f64 / shape.width() as f64);
                    let wave = (3.0 * (a * x + b * y) + c + channel as f64).sin();
                    pixels.push((127.0 + 90.0 * wave + random.between(-20.0, 20.0)) as u8);
                }
            }
        }
    }
    pixels
}
