//! Every random parameter of augmentation against its definition: 10⁵ draws of each, of one seed.
//!
//! A row of the table is a parameter: what it is, its draws, and the law that its definition gives. Numbers are compared by
//! the test of Kolmogorov and Smirnov, whole numbers by that of χ². Each row is its own control: the same test must tell
//! the draws from those of a law that is bent a little.

use std::f64::consts::{FRAC_PI_2, SQRT_2};

use pixelfeat::stages::{Mix, Mixer, Mixing, Pipeline};
use pixelfeat::steps::Step;
use pixelfeat::{PixelType, permutation};

const DRAWS: usize = 100_000;
const SEED: u64 = 7;
/// The share below a value to this power: that of the law which must not pass.
const BENT: f64 = 1.05;
/// An image in which whole pixels do not show.
const LARGE: &str = "20000x20000";

/// How a parameter is distributed.
enum Law {
    /// Numbers, by the share below each.
    Below(Box<dyn Fn(f64) -> f64>),
    /// Whole numbers from 0 on, by the share of each.
    Shares(Vec<f64>),
}

type Row = (&'static str, Vec<f64>, Law);

fn below(share: impl Fn(f64) -> f64 + 'static) -> Law {
    Law::Below(Box::new(share))
}

fn uniform(low: f64, high: f64) -> Law {
    below(move |value| (value - low) / (high - low))
}

fn equal(n: usize) -> Law {
    Law::Shares(vec![1.0 / n as f64; n])
}

impl Law {
    /// How far the draws are from the law whose shares below each value are raised to `power`, as a part of what comes once
    /// in ten thousand times.
    fn distance(&self, draws: &[f64], power: f64) -> f64 {
        let n = draws.len() as f64;
        match self {
            Law::Below(share) => {
                let mut sorted = draws.to_vec();
                sorted.sort_by(f64::total_cmp);
                let far = |(at, value): (usize, &f64)| {
                    let share = share(*value).clamp(0.0, 1.0).powf(power);
                    (share - at as f64 / n).abs().max((share - (at + 1) as f64 / n).abs())
                };
                sorted.iter().enumerate().map(far).fold(0.0, f64::max) * n.sqrt() / 2.225
            }
            Law::Shares(shares) => {
                let mut counts = vec![0u32; shares.len()];
                draws.iter().for_each(|value| counts[*value as usize] += 1);
                let (mut before, mut sum) = (0.0f64, 0.0);
                for (count, share) in counts.into_iter().zip(shares) {
                    let after = (before + share).min(1.0);
                    let expected = n * (after.powf(power) - before.powf(power));
                    sum += (f64::from(count) - expected).powi(2) / expected;
                    before = after;
                }
                // Wilson and Hilferty: the third root of χ² by its degrees of freedom is nearly normal.
                let part = 2.0 / (9.0 * (shares.len() - 1) as f64);
                sum / ((shares.len() - 1) as f64 * (1.0 - part + 3.719 * part.sqrt()).powi(3))
            }
        }
    }
}

/// What `value` makes of the steps that a stage draws, for the first samples for which it makes something.
fn drawn(stage: &str, shape: &str, value: impl Fn(&[Step]) -> Option<f64>) -> Vec<f64> {
    let pipeline = Pipeline::new(stage.parse().unwrap(), SEED, shape.parse().unwrap(), PixelType::U8).unwrap();
    let values = (0..20 * DRAWS as u64).filter_map(|id| value(pipeline.parameters(id, 3).steps()));
    let values: Vec<f64> = values.take(DRAWS).collect();
    assert_eq!(values.len(), DRAWS, "{stage}");
    values
}

/// The same from the first step.
fn first(stage: &str, shape: &str, value: impl Fn(Step) -> Option<f64>) -> Vec<f64> {
    drawn(stage, shape, |steps| steps.first().and_then(|step| value(*step)))
}

/// The parameter of a name, of the step of a name.
fn parameter(stage: &str, shape: &str, step: &str, name: &str) -> Vec<f64> {
    drawn(stage, shape, |steps| {
        let mut parameters = steps.iter().find(|drawn| drawn.name() == step)?.parameters();
        parameters.find(|(known, _)| *known == name).map(|(_, value)| f64::from(value))
    })
}

fn each(values: Vec<f64>, f: impl Fn(f64) -> f64) -> Vec<f64> {
    values.into_iter().map(f).collect()
}

/// The number of a permutation among those of its length.
fn rank<T: Ord>(order: &[T]) -> f64 {
    let later = |at: usize| order[at + 1..].iter().filter(|other| **other < order[at]).count();
    (0..order.len()).fold(0, |rank, at| rank * (order.len() - at) + later(at)) as f64
}

fn check(rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for (what, draws, law) in rows {
        let (right, bent) = (law.distance(&draws, 1.0), law.distance(&draws, BENT));
        if right >= 1.0 || bent <= 1.0 {
            wrong.push(format!("{what}: {right:.2}, its control {bent:.2}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn stages_happen_as_often_as_they_should() {
    let stages = [
        ("hflip(0.3)", 1.0),
        ("vflip(0.3)", 1.0),
        ("gray(0.3)", 1.0),
        ("affine(rotate=30,p=0.3)", 1.0),
        ("jitter(brightness=0.4,p=0.3)", 1.0),
        ("sharpness(0.9,p=0.3)", 1.0),
        ("autocontrast(0.3)", 1.0),
        ("equalize(0.3)", 1.0),
        ("invert(0.3)", 1.0),
        ("posterize(3,p=0.3)", 1.0),
        ("solarize(99,p=0.3)", 1.0),
        ("noise(8,p=0.3)", 1.0),
        ("blur(1,p=0.3)", 1.0),
        ("erase(0.3,area=0.1,ratio=1)", 1.0),
        // One operation of 14 does nothing.
        ("randaugment(1,9,p=0.3)", 13.0 / 14.0),
        ("trivial(0.3)", 13.0 / 14.0),
        ("one_of(hflip,invert,p=0.3)", 1.0),
    ];
    let row = |(stage, does): (&'static str, f64)| {
        let happened = drawn(stage, "28x28x3", |steps| Some(f64::from(u8::from(!steps.is_empty()))));
        (stage, happened, Law::Shares(vec![1.0 - 0.3 * does, 0.3 * does]))
    };
    check(stages.into_iter().map(row).collect());
}

#[test]
fn places_and_sizes_are_drawn_as_they_are_defined() {
    let window = |step: Step| match step {
        Step::CropResize { y, x, height, width, .. } | Step::Erase { y, x, height, width, .. } => {
            Some([y, x, height, width].map(f64::from))
        }
        _ => None,
    };
    let place = move |step| window(step).map(|[y, x, ..]| 21.0 * y + x);
    let area = move |step| window(step).map(|[.., height, width]| height * width / 4e8);
    let log_ratio = move |step| window(step).map(|[.., height, width]| (width / height).ln());
    let reach = (4.0f64 / 3.0).ln();
    // A window of more than three quarters of the image fits only if it is as nearly square as its area asks for. Such are
    // drawn again.
    let fitting = move |area: f64| {
        let beyond = |area: f64| area - area * area.ln();
        reach * (area.min(0.75) - 0.08) + beyond(area.max(0.75)) - beyond(0.75)
    };
    check(vec![
        (
            "crop: both places",
            first("crop(pad=4)", "28x28", |step| match step {
                Step::Crop { y, x, .. } => Some(f64::from(9 * (y + 4) + x + 4)),
                _ => None,
            }),
            equal(81),
        ),
        (
            "crop: both places of a smaller window",
            first("crop(24x20)", "28x28", |step| match step {
                Step::Crop { y, x, .. } => Some(f64::from(9 * y + x)),
                _ => None,
            }),
            equal(45),
        ),
        ("resized_crop: area", first("resized_crop(9x9)", LARGE, area), below(move |a| fitting(a) / fitting(1.0))),
        ("resized_crop: ratio", first("resized_crop(9x9,scale=0.08..0.75)", LARGE, log_ratio), uniform(-reach, reach)),
        ("resized_crop: both places", first("resized_crop(9x9,scale=0.25,ratio=1)", "40x40", place), equal(441)),
        ("erase: area", first("erase(area=0.02..0.3)", LARGE, area), uniform(0.02, 0.3)),
        ("erase: ratio", first("erase(area=0.02..0.3)", LARGE, log_ratio), uniform(-(3.3f64.ln()), -(0.3f64.ln()))),
        ("erase: both places", first("erase(area=0.25,ratio=1)", "40x40", place), equal(441)),
    ]);
}

#[test]
fn angles_shifts_and_scales_are_drawn_as_they_are_defined() {
    let degrees = |tangent: f64| (tangent / 65_536.0).atan().to_degrees();
    let turned = first("affine(rotate=30)", "28x28", |step| match step {
        Step::Affine { a, d, .. } => Some(f64::from(d).atan2(f64::from(a)).to_degrees()),
        _ => None,
    });
    // Up to 5.6 pixels either way, rounded: six pixels are rare.
    let shares = |shift: usize| if shift == 0 || shift == 12 { 0.1 / 11.2 } else { 1.0 / 11.2 };
    let both = (0..169).map(|cell| shares(cell / 13) * shares(cell % 13)).collect();
    let moved = first("affine(translate=0.2)", "28x28", |step| match step {
        Step::Affine { c, f, .. } => Some(f64::from((f >> 16) * 13 + (c >> 16) + 84)),
        _ => None,
    });
    check(vec![
        ("affine: rotate", turned, uniform(-30.0, 30.0)),
        ("affine: shear x", each(parameter("affine(shear=20)", "28x28", "affine", "b"), degrees), uniform(-20.0, 20.0)),
        ("affine: shear y", each(parameter("affine(shear=20)", "28x28", "affine", "d"), degrees), uniform(-20.0, 20.0)),
        ("affine: translate", moved, Law::Shares(both)),
        (
            "affine: scale",
            each(parameter("affine(scale=0.5..2)", "28x28", "affine", "a"), |a| 65_536.0 / a),
            uniform(0.5, 2.0),
        ),
    ]);
}

#[test]
fn colours_are_drawn_as_they_are_defined() {
    const JITTER: &str = "jitter(0.4,0.3,0.2,0.1)";
    let factor = |stage, step| each(parameter(stage, "4x4x3", step, "factor"), |factor| factor / 32_768.0);
    let order = drawn(JITTER, "4x4x3", |steps| Some(rank(&steps.iter().map(Step::name).collect::<Vec<_>>())));
    // In cells of a tenth of their ranges.
    let cell = |value: f64, low: f64, high: f64| ((value - low) / (high - low) * 10.0).clamp(0.0, 9.0).floor();
    let (brightness, contrast) = (factor(JITTER, "brightness"), factor(JITTER, "contrast"));
    let both = brightness.iter().zip(&contrast).map(|(b, c)| 10.0 * cell(*b, 0.6, 1.4) + cell(*c, 0.7, 1.3)).collect();
    // In 256ths of the circle: 25 of them either way.
    let hue = each(parameter(JITTER, "4x4x3", "hue", "turn"), |turn| f64::from(turn as u8 as i8) + 25.0);
    let sigma = first("blur(0.4..0.8)", "28x28", |step| match step {
        // The weights of the pixel itself and of its neighbour.
        Step::Blur { w01, .. } => Some((-0.5 / (f64::from(w01 >> 16) / f64::from(w01 & 0xffff)).ln()).sqrt()),
        _ => None,
    });
    let key = |name| each(parameter("noise(8)", "4x4", "noise", name), |key| f64::from(key as i32 as u32));
    // The noise on images of one pixel, each a sample of its own.
    let pipeline = Pipeline::new("noise(4000)".parse().unwrap(), SEED, "1x1".parse().unwrap(), PixelType::U16).unwrap();
    let ids: Vec<u64> = (0..DRAWS as u64).collect();
    let mut noisy = vec![0u16; DRAWS];
    pipeline.apply(&ids, 0, &[32_768; DRAWS], &mut noisy).unwrap();
    let noise = noisy.iter().map(|value| (f64::from(*value) - 32_768.0) / 4000.0).collect();
    check(vec![
        ("jitter: brightness", brightness, uniform(0.6, 1.4)),
        ("jitter: contrast", contrast, uniform(0.7, 1.3)),
        ("jitter: both of them", both, equal(100)),
        ("jitter: saturation", factor(JITTER, "saturation"), uniform(0.8, 1.2)),
        ("jitter: hue", hue, equal(51)),
        ("jitter: order", order, equal(24)),
        ("jitter: not below 0", factor("jitter(brightness=1.5)", "brightness"), uniform(0.0, 2.5)),
        ("sharpness", factor("sharpness(0.9)", "sharpness"), uniform(0.1, 1.9)),
        ("blur: sigma", sigma, uniform(0.4, 0.8)),
        ("noise: first word of the key", key("key_0"), uniform(0.0, 4_294_967_296.0)),
        ("noise: second word of the key", key("key_1"), uniform(0.0, 4_294_967_296.0)),
        ("noise: values", noise, below(|z| 0.5 * libm::erfc(-z / SQRT_2))),
    ]);
}

#[test]
fn policies_choose_as_they_are_defined() {
    // A number for each operation, and for each direction of those that have two.
    let kind = |step: Option<&Step>| match step.copied() {
        None => 0,
        Some(Step::Affine { b, d: 0, .. }) => 1 + usize::from(b > 0),
        Some(Step::Affine { b: 0, d, .. }) => 3 + usize::from(d > 0),
        Some(Step::Affine { b, .. }) => 5 + usize::from(b > 0),
        Some(Step::Crop { x, y: 0, .. }) => 7 + usize::from(x > 0),
        Some(Step::Crop { y, .. }) => 9 + usize::from(y > 0),
        Some(Step::Brightness { factor }) => 11 + usize::from(factor > 32_768),
        Some(Step::Saturation { factor }) => 13 + usize::from(factor > 32_768),
        Some(Step::Contrast { factor }) => 15 + usize::from(factor > 32_768),
        Some(Step::Sharpness { factor }) => 17 + usize::from(factor > 32_768),
        Some(Step::Posterize { .. }) => 19,
        Some(Step::Solarize { .. }) => 20,
        Some(Step::Autocontrast {}) => 21,
        Some(Step::Equalize {}) => 22,
        Some(step) => panic!("{step}"),
    };
    let shares = |kind| if matches!(kind, 1..19) { 1.0 / 28.0 } else { 1.0 / 14.0 };
    let how_many = [1.0, 2.0 * 13.0, 13.0 * 13.0].map(|ways| ways / 196.0).to_vec();
    // In thirtieths of 0.99 on both sides of 1; 0 has both signs.
    let magnitudes = (0..=60).map(|cell| if cell == 30 { 2.0 / 62.0 } else { 1.0 / 62.0 }).collect();
    let magnitude = |factor: f64| ((factor / 32_768.0 - 1.0) / 0.99 * 30.0).round() + 30.0;
    let chosen = first("one_of(hflip,vflip,invert)", "4x4", |step| match step {
        Step::FlipX {} => Some(0.0),
        Step::FlipY {} => Some(1.0),
        _ => Some(2.0),
    });
    // A step does not tell a shear by 0 from a turn by 0.
    let names = [
        "affine",
        "crop",
        "brightness",
        "saturation",
        "contrast",
        "sharpness",
        "posterize",
        "solarize",
        "autocontrast",
        "equalize",
    ];
    let named = |steps: &[Step]| match steps.first() {
        None => 0.0,
        Some(step) => (1 + names.iter().position(|name| *name == step.name()).unwrap()) as f64,
    };
    let of_names = [[1.0, 3.0, 2.0].to_vec(), vec![1.0; 8]].concat().into_iter().map(|n| n / 14.0).collect();
    check(vec![
        (
            "randaugment: operation and sign",
            drawn("randaugment(1,9)", "28x28x3", |steps| Some(kind(steps.first()) as f64)),
            Law::Shares((0..23).map(shares).collect()),
        ),
        (
            "randaugment: operations of two that do something",
            drawn("randaugment(2,9)", "28x28x3", |steps| Some(steps.len() as f64)),
            Law::Shares(how_many),
        ),
        ("trivial: operation", drawn("trivial", "28x28x3", |steps| Some(named(steps))), Law::Shares(of_names)),
        (
            "trivial: magnitude and sign",
            each(parameter("trivial", "28x28x3", "brightness", "factor"), magnitude),
            Law::Shares(magnitudes),
        ),
        ("one_of: stage", chosen, equal(3)),
    ]);
}

#[test]
fn images_are_mixed_and_shuffled_as_it_is_defined() {
    /// What `value` makes of windows of four samples.
    fn windows(mixing: (Option<f64>, Option<f64>), value: impl Fn(&[Mix]) -> Vec<f64>) -> Vec<f64> {
        let mixer = Mixer::new(Mixing::new(mixing.0, mixing.1).unwrap(), SEED, LARGE.parse().unwrap());
        let window = |at: u64| value(&mixer.draw(3, &[4 * at, 4 * at + 1, 4 * at + 2, 4 * at + 3]));
        (0..).flat_map(window).take(DRAWS).collect()
    }
    fn mixes(mixing: (Option<f64>, Option<f64>), value: impl Fn(&Mix) -> Option<f64>) -> Vec<f64> {
        windows(mixing, |mixes| mixes.iter().filter_map(&value).collect())
    }
    let lambda = |alpha| mixes((Some(alpha), None), |mix| Some(f64::from(mix.lambda) / 65_536.0));
    // Side and middle of rectangles whose height no edge clips, as parts of the image's height.
    let heights = |value: fn(f64, f64) -> f64| {
        mixes((None, Some(1.0)), |mix| {
            let [y, _, height, _] = mix.cut?.map(|side| side as f64 / 20_000.0);
            (y > 0.0 && y + height < 1.0).then(|| value(y, height))
        })
    };
    let circle = windows((Some(1.0), None), |mixes| {
        let second = mixes[0].partner;
        let third = mixes[second].partner;
        // Three can be the next of the first, and two of the others the next after that.
        vec![(2 * (second - 1) + usize::from(third != (1..4).find(|other| *other != second).unwrap_or(0))) as f64]
    });
    let orders = (0..DRAWS as u64).map(|block| rank(&permutation(SEED, 3, block, 4))).collect();
    check(vec![
        ("mixup: λ of Beta(½, ½)", lambda(0.5), below(|x| x.sqrt().asin() / FRAC_PI_2)),
        ("mixup: λ of Beta(2, 2)", lambda(2.0), below(|x| (3.0 - 2.0 * x) * x * x)),
        // The side is √(1 − λ), of density 2s; 1 − s of all places do not clip it.
        ("cutmix: height", heights(|_, height| height), below(|s| (3.0 - 2.0 * s) * s * s)),
        // About a middle at c, sides below 2c and 2 − 2c are not clipped.
        (
            "cutmix: middle",
            heights(|y, height| y + height / 2.0),
            below(|c| if c < 0.5 { 4.0 * c.powi(3) } else { 1.0 - 4.0 * (1.0 - c).powi(3) }),
        ),
        (
            "mixup or cutmix",
            mixes((Some(1.0), Some(1.0)), |mix| Some(f64::from(u8::from(mix.cut.is_some())))),
            equal(2),
        ),
        ("partners: circles of four", circle, equal(6)),
        ("shuffle: orders of four", orders, equal(24)),
    ]);
}
