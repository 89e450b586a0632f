//! Stages that choose among operations.

use crate::base::error::{Error, Result};
use crate::base::philox::{Chance, Stream};
use crate::base::shape::{ImageShape, PixelType};
use crate::stages::affine::{Map, fits, radians};
use crate::stages::colour::{ONE, factor};
use crate::stages::{Arguments, Format, Operation, Stage, Written, whole_numbers};
use crate::steps::{Step, colours};

/// Magnitudes count from 0 to this.
const BINS: u32 = 30;
/// How many operations [`operation`] knows.
const OPERATIONS: u32 = 14;

/// The largest magnitudes of a policy.
struct Reach {
    shear: f64,
    /// Pixels of a side that an image moves by at a magnitude.
    translate: fn(side: usize, magnitude: u32) -> i32,
    rotate: f64,
    factor: f64,
    /// Bits that posterizing takes away.
    posterize: u32,
}

const RANDAUGMENT: Reach = Reach {
    shear: 0.3,
    translate: |side, magnitude| (150 * side as u64 * u64::from(magnitude) / (331 * u64::from(BINS))) as i32,
    rotate: 30.0,
    factor: 0.9,
    posterize: 4,
};

const TRIVIAL: Reach = Reach {
    shear: 0.99,
    translate: |_, magnitude| (32 * magnitude / BINS) as i32,
    rotate: 135.0,
    factor: 0.99,
    posterize: 6,
};

/// What a magnitude of a policy means for its operations.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Magnitude {
    bin: u32,
    shear: f64,
    /// Sine and cosine of the turn counter-clockwise.
    turn: [f64; 2],
    factor: i32,
    bits: i32,
}

impl Magnitude {
    fn new(bin: u32, reach: &Reach) -> Self {
        let share = f64::from(bin) / f64::from(BINS);
        // Pillow rounds to 15 digits, so that a right angle has a cosine of 0.
        let rounded = |value: f64| (value * 1e15).round_ties_even() / 1e15;
        let angle = radians(reach.rotate * share);
        Self {
            bin,
            shear: reach.shear * share,
            turn: [libm::sin(angle), libm::cos(angle)].map(rounded),
            factor: factor(reach.factor * share),
            bits: 8 - (f64::from(reach.posterize) * share).round() as i32,
        }
    }
}

/// One of the operations of both policies at a magnitude. Those with two directions have the sign of `sign`.
fn operation(number: u32, magnitude: &Magnitude, sign: i32, reach: &Reach, from: Format) -> Option<Step> {
    let shape = from.shape;
    let signed = f64::from(sign);
    let around = || ONE + sign * magnitude.factor;
    let coloured = colours(shape.channels()) == 3;
    let moved = |right: i32, down: i32| Step::Crop {
        y: -down,
        x: -right,
        height: shape.height() as i32,
        width: shape.width() as i32,
    };
    let corner = |linear| Some(Map::about(linear, [0.0; 2], [0.0; 2]).nearest());
    match number {
        0 => None,
        1 => corner([1.0, signed * magnitude.shear, 0.0, 1.0]),
        2 => corner([1.0, 0.0, signed * magnitude.shear, 1.0]),
        3 => Some(moved(sign * (reach.translate)(shape.width(), magnitude.bin), 0)),
        4 => Some(moved(0, sign * (reach.translate)(shape.height(), magnitude.bin))),
        5 => {
            let ([sin, cos], centre) = (magnitude.turn, [shape.width() as f64 / 2.0, shape.height() as f64 / 2.0]);
            Some(Map::about([cos, -signed * sin, signed * sin, cos], centre, [0.0; 2]).nearest())
        }
        6 => Some(Step::Brightness { factor: around() }),
        7 => coloured.then(|| Step::Saturation { factor: around() }),
        8 => Some(Step::Contrast { factor: around() }),
        9 => Some(Step::Sharpness { factor: around() }),
        10 => Some(Step::Posterize { bits: magnitude.bits }),
        11 => {
            let most = if from.pixel_type == PixelType::U8 { 255 } else { 65_535 };
            Some(Step::Solarize { threshold: (most * (BINS - magnitude.bin)).div_ceil(BINS) as i32 })
        }
        12 => Some(Step::Autocontrast {}),
        _ => Some(Step::Equalize {}),
    }
}

/// `randaugment(N,M,p=P)`: N (2) operations of magnitude M (9) of 0 to 30, each drawn from 14, with probability P (1).
///
/// The operations are: none, shear along x and y, move along x and y, rotate, brightness, saturation, contrast, sharpness,
/// posterize, solarize, autocontrast and equalize. Each of those with two directions goes either way. Their parameters
/// are those of torchvision's `RandAugment` on Pillow images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandAugment {
    operations: u32,
    magnitude: Magnitude,
    chance: Chance,
}

impl Operation for RandAugment {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        Ok(Self {
            operations: arguments.whole("n", 1..=16)?.unwrap_or(2),
            magnitude: Magnitude::new(arguments.whole("m", 0..=BINS)?.unwrap_or(9), &RANDAUGMENT),
            chance: arguments.chance()?,
        })
    }

    fn write(&self, out: &mut Written) {
        out.value(self.operations).value(self.magnitude.bin).chance(self.chance);
    }

    fn check(&self, from: Format) -> Result<()> {
        whole_numbers("randaugment", from)?;
        fits("randaugment", from.shape, 1.0)
    }

    fn slots(&self) -> usize {
        self.operations as usize
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if !stream.happens(self.chance) {
            return;
        }
        for _ in 0..self.operations {
            let number = stream.below(OPERATIONS);
            let sign = sign(stream);
            steps.extend(operation(number, &self.magnitude, sign, &RANDAUGMENT, from));
        }
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["2,9", "3,30,p=0.9"]
    }
}

fn sign(stream: &mut Stream) -> i32 {
    if stream.below(2) == 0 { -1 } else { 1 }
}

/// `trivial(P)`: one operation of those of [`RandAugment`] with a magnitude drawn from all, with probability P (1). The
/// magnitudes reach farther, as those of torchvision's `TrivialAugmentWide`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trivial(
    /// The probability of each image.
    pub Chance,
);

impl Operation for Trivial {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        arguments.chance().map(Self)
    }

    fn write(&self, out: &mut Written) {
        if self.0 != Chance::ALWAYS {
            out.value(self.0);
        }
    }

    fn check(&self, from: Format) -> Result<()> {
        whole_numbers("trivial", from)?;
        fits("trivial", from.shape, 1.0)
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if stream.happens(self.0) {
            let (number, magnitude) = (stream.below(OPERATIONS), stream.below(BINS + 1));
            let sign = sign(stream);
            steps.extend(operation(number, &Magnitude::new(magnitude, &TRIVIAL), sign, &TRIVIAL, from));
        }
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["", "0.8"]
    }
}

/// `one_of(STAGE,STAGE,…,p=P)`: one of the stages, all alike, with probability P (1). None of them may change the shape.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOf {
    stages: Vec<Stage>,
    chance: Chance,
}

impl Operation for OneOf {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let stages = arguments.rest().into_iter().map(Stage::read).collect::<Result<Vec<_>>>()?;
        if stages.is_empty() {
            return Err(arguments.refuse("it needs stages, as in one_of(invert,hflip)"));
        }
        if stages.iter().any(Stage::is_last) {
            return Err(arguments.refuse("normalize can only be the last stage of all"));
        }
        Ok(Self { stages, chance: arguments.chance()? })
    }

    fn write(&self, out: &mut Written) {
        self.stages.iter().for_each(|stage| {
            out.value(stage);
        });
        out.chance(self.chance);
    }

    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        for stage in &self.stages {
            if stage.shape(from)? != from {
                let why = format!("{stage} gives images another shape");
                return Err(Error::InvalidOption { option: "one_of", why });
            }
        }
        Ok(from)
    }

    fn check(&self, from: Format) -> Result<()> {
        self.stages.iter().try_for_each(|stage| stage.check(from))
    }

    fn slots(&self) -> usize {
        self.stages.iter().map(Stage::slots).max().unwrap_or(0)
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if stream.happens(self.chance) {
            let chosen = stream.below(self.stages.len() as u32) as usize;
            self.stages[chosen].draw(from, stream, steps);
        }
    }

    #[cfg(feature = "gpu")]
    fn on_device(&self, pixel_type: PixelType) -> bool {
        self.stages.iter().all(|stage| stage.on_device(pixel_type))
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["hflip,blur(0.5..1),jitter(brightness=0.5,contrast=0.5),p=0.9"]
    }
}
