//! Every step against Pillow, where it is exact, and against plain definitions where it is a contract of its own; and at
//! every SIMD level.

use std::collections::BTreeMap;

use super::*;
use crate::base::random::Random;

/// What Pillow makes of small images: `tests/fixtures/make_augment.py` wrote it.
const PILLOW: &str = include_str!("../../tests/fixtures/augment.txt");

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Noise on even seeds; smooth waves with some noise, in a narrow range, on odd ones. As `make_augment.py` draws them.
fn image(shape: ImageShape, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed, 77);
    let mut values = Vec::with_capacity(shape.values());
    for y in 0..shape.height() {
        for x in 0..shape.width() {
            for channel in 0..shape.channels() {
                let bits = random.bits();
                let wave = 40 + (y * 5 + x * 3 + channel * 31) % 120;
                values.push(if seed.is_multiple_of(2) { bits as u8 } else { (wave + (bits as usize & 15)) as u8 });
            }
        }
    }
    values
}

/// The step that a text such as `crop(y=1,x=2,height=3,width=4)` stands for.
fn step(text: &str) -> Step {
    let (name, arguments) = text.split_once('(').unwrap_or((text, ")"));
    let arguments = arguments.strip_suffix(')').unwrap().split(',').filter(|text| !text.is_empty());
    let values: Vec<i32> = arguments.map(|text| text.split_once('=').unwrap().1.parse().unwrap()).collect();
    Step::of(name, &values)
}

fn applied<P: Pixel>(step: Step, level: Level, shape: ImageShape, old: &[P]) -> Vec<P> {
    let mut new = vec![P::default(); step.shape(shape).values()];
    step.apply(shape, old, &mut new, &mut Workspace::at(level));
    new
}

/// Factors far beyond those of the fixtures, and every length that vectors leave over.
#[test]
fn bytes_are_alike_at_every_level() {
    for (width, channels) in (1..=70).flat_map(|width| [1, 2, 3, 4].map(|channels| (width, channels))) {
        let shape = ImageShape::new(3, width, channels).unwrap();
        let old = image(shape, 2 * width as u64);
        let factors = [0, 1, 32_767, 32_768, 70_000, 8 * 32_768 + 31_111, 9 * 32_768];
        let blends = factors.into_iter().flat_map(|factor| [Step::Saturation { factor }, Step::Contrast { factor }]);
        for step in blends.chain([Step::FlipX {}]) {
            let plain = applied(step, Level::Portable, shape, &old);
            for level in levels() {
                assert!(applied(step, level, shape, &old) == plain, "{shape} {step} {level}");
            }
        }
    }
}

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_available())
}

#[test]
fn pillow_gives_the_same_bytes() {
    let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in PILLOW.lines().skip(1) {
        let [shape, seed, text, hash] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (height, rest) = shape.split_once('x').unwrap();
        let (width, channels) = rest.split_once('x').unwrap();
        let [height, width, channels] = [height, width, channels].map(|side| side.parse().unwrap());
        let (shape, step) = (ImageShape::new(height, width, channels).unwrap(), step(text));
        assert_eq!(step.to_string(), text);
        let old = image(shape, seed.parse().unwrap());
        for level in levels() {
            if format!("{:016x}", fnv(&applied(step, level, shape, &old))) != hash {
                wrong.push(format!("{shape} {seed} {text} {level}"));
            }
        }
        *cases.entry(step.name()).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{} cases: {:#?}", wrong.len(), &wrong[..wrong.len().min(40)]);
    // The file holds what it should.
    let exact = [
        "affine",
        "autocontrast",
        "brightness",
        "contrast",
        "crop",
        "crop_resize",
        "equalize",
        "flip_x",
        "flip_y",
        "gray",
        "hue",
        "invert",
        "posterize",
        "saturation",
        "sharpness",
        "solarize",
    ];
    assert!(exact.into_iter().eq(cases.keys().copied()), "{cases:?}");
}
