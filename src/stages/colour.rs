//! Colours changed at random.

use crate::base::error::{Error, Result};
use crate::base::philox::{Chance, Stream};
use crate::base::shape::PixelType;
use crate::stages::grammar::Span;
use crate::stages::{Arguments, Format, Operation, Written, whole_numbers};
use crate::steps::{Step, colours};

/// One, as a factor of steps.
pub(super) const ONE: i32 = 1 << 15;

/// A factor as steps have it.
pub(super) fn factor(value: f64) -> i32 {
    (value * f64::from(ONE)).round() as i32
}

/// A factor between 1 − `reach`, but not below 0, and 1 + `reach`.
fn factor_about_one(reach: f64, stream: &mut Stream) -> i32 {
    stream.between(factor((1.0 - reach).max(0.0)), factor(1.0 + reach))
}

/// `jitter(brightness=B,contrast=C,saturation=S,hue=H,p=P)`: changes brightness, contrast, saturation and hue in a random
/// order, with probability P (1) all of them.
///
/// The first three are factors between 1 − B and 1 + B, and so on, but not below 0, as Pillow's `ImageEnhance` has them.
/// Hue is turned by up to H of the circle, at most 0.5. What is 0 or left out is not done. Images of one channel have
/// neither saturation nor hue. This is the rule of torchvision's `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    brightness: f64,
    contrast: f64,
    saturation: f64,
    hue: f64,
    chance: Chance,
}

impl Operation for Jitter {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let mut reach = |key, most| arguments.number(key, 0.0..=most).map(Option::unwrap_or_default);
        let (brightness, contrast, saturation) =
            (reach("brightness", 8.0)?, reach("contrast", 8.0)?, reach("saturation", 8.0)?);
        Ok(Self { brightness, contrast, saturation, hue: reach("hue", 0.5)?, chance: arguments.chance()? })
    }

    fn write(&self, out: &mut Written) {
        out.named("brightness", self.brightness, 0.0).named("contrast", self.contrast, 0.0);
        out.named("saturation", self.saturation, 0.0).named("hue", self.hue, 0.0).chance(self.chance);
    }

    fn check(&self, from: Format) -> Result<()> {
        whole_numbers("jitter", from)
    }

    fn slots(&self) -> usize {
        4
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if !stream.happens(self.chance) {
            return;
        }
        let coloured = colours(from.shape.channels()) == 3;
        // All are drawn, whether they are done or not, so that no argument changes another one's draws.
        let [brightness, contrast, saturation] =
            [self.brightness, self.contrast, self.saturation].map(|reach| factor_about_one(reach, stream));
        let turn = (self.hue * 255.0) as i32;
        let turn = stream.between(-turn, turn) & 0xff;
        let mut order = [
            (self.brightness > 0.0).then_some(Step::Brightness { factor: brightness }),
            (self.contrast > 0.0).then_some(Step::Contrast { factor: contrast }),
            (self.saturation > 0.0 && coloured).then_some(Step::Saturation { factor: saturation }),
            (self.hue > 0.0 && coloured).then_some(Step::Hue { turn }),
        ];
        for last in (1..order.len()).rev() {
            order.swap(last, stream.below(last as u32 + 1) as usize);
        }
        steps.extend(order.into_iter().flatten());
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["0.4,0.4,0.4,0.1", "hue=0.5,p=0.5", "brightness=0.9"]
    }
}

/// `sharpness(REACH,p=P)`: makes an image sharper or softer by a factor between 1 − REACH and 1 + REACH, but not below 0,
/// with probability P (1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sharpness {
    reach: f64,
    chance: Chance,
}

impl Operation for Sharpness {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let reach = arguments.number("reach", 0.0..=8.0)?;
        let reach = reach.ok_or_else(|| arguments.refuse("it needs a reach, as in sharpness(0.9)"))?;
        Ok(Self { reach, chance: arguments.chance()? })
    }

    fn write(&self, out: &mut Written) {
        out.value(self.reach).chance(self.chance);
    }

    fn check(&self, from: Format) -> Result<()> {
        whole_numbers("sharpness", from)
    }

    fn draw(&self, _: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if stream.happens(self.chance) {
            steps.extend([Step::Sharpness { factor: factor_about_one(self.reach, stream) }]);
        }
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["0.9"]
    }
}

/// Stages that have no parameter but their probability.
macro_rules! plain {
    ($($(#[$about:meta])* $name:literal $Stage:ident => $step:expr;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Copy, PartialEq, Default)]
            pub struct $Stage(
                /// The probability of each image.
                pub Chance,
            );

            impl Operation for $Stage {
                fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
                    arguments.chance().map(Self)
                }

                fn write(&self, out: &mut Written) {
                    if self.0 != Chance::ALWAYS {
                        out.value(self.0);
                    }
                }

                fn check(&self, from: Format) -> Result<()> {
                    whole_numbers($name, from)
                }

                fn draw(&self, _: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
                    if stream.happens(self.0) {
                        steps.extend([$step]);
                    }
                }

                #[cfg(test)]
                fn examples() -> Vec<&'static str> {
                    vec!["", "0.5"]
                }
            }
        )*
    };
}

plain! {
    /// `autocontrast(P)`: stretches the values of each colour over the whole range, with probability P (1).
    "autocontrast" Autocontrast => Step::Autocontrast {};
    /// `equalize(P)`: makes the values of each colour equally frequent, with probability P (1). Of 16-bit values only the
    /// first eight bits count.
    "equalize" Equalize => Step::Equalize {};
    /// `invert(P)`: inverts colours, with probability P (1).
    "invert" Invert => Step::Invert {};
}

/// `posterize(BITS,p=P)`: keeps the first BITS bits of colours, with probability P (1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterize {
    bits: u32,
    chance: Chance,
}

impl Operation for Posterize {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let bits = arguments.whole("bits", 1..=16)?;
        let bits = bits.ok_or_else(|| arguments.refuse("it needs a number of bits, as in posterize(4)"))?;
        Ok(Self { bits, chance: arguments.chance()? })
    }

    fn write(&self, out: &mut Written) {
        out.value(self.bits).chance(self.chance);
    }

    fn check(&self, from: Format) -> Result<()> {
        whole_numbers("posterize", from)
    }

    fn draw(&self, _: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if stream.happens(self.chance) {
            steps.extend([Step::Posterize { bits: self.bits as i32 }]);
        }
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["3"]
    }
}

/// `solarize(THRESHOLD,p=P)`: inverts colours from THRESHOLD on, with probability P (1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solarize {
    threshold: u32,
    chance: Chance,
}

impl Operation for Solarize {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let threshold = arguments.whole("threshold", 0..=65_536)?;
        let threshold = threshold.ok_or_else(|| arguments.refuse("it needs a threshold, as in solarize(128)"))?;
        Ok(Self { threshold, chance: arguments.chance()? })
    }

    fn write(&self, out: &mut Written) {
        out.value(self.threshold).chance(self.chance);
    }

    fn check(&self, from: Format) -> Result<()> {
        whole_numbers("solarize", from)
    }

    fn draw(&self, _: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if stream.happens(self.chance) {
            steps.extend([Step::Solarize { threshold: self.threshold as i32 }]);
        }
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["100"]
    }
}

/// `noise(SIGMA,p=P)`: adds normal noise with the deviation SIGMA, in units of a pixel, to every colour, with probability
/// P (1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    sigma: f64,
    chance: Chance,
}

impl Operation for Noise {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let sigma = arguments.number("sigma", 0.0..=65_535.0)?;
        let sigma = sigma.ok_or_else(|| arguments.refuse("it needs a deviation, as in noise(8)"))?;
        Ok(Self { sigma, chance: arguments.chance()? })
    }

    fn write(&self, out: &mut Written) {
        out.value(self.sigma).chance(self.chance);
    }

    fn check(&self, from: Format) -> Result<()> {
        if from.pixel_type == PixelType::U8 && self.sigma > 255.0 {
            let why = format!("a deviation of {} is beyond 8-bit values", self.sigma);
            return Err(Error::InvalidOption { option: "noise", why });
        }
        whole_numbers("noise", from)
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if stream.happens(self.chance) {
            let range = if from.pixel_type == PixelType::U8 { 256.0 } else { 1.0 };
            let sigma = (self.sigma * range).round() as i32;
            steps.extend([Step::Noise { key_0: stream.bits() as i32, key_1: stream.bits() as i32, sigma }]);
        }
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["9.5", "255"]
    }
}

/// `blur(SIGMA,p=P)` or `blur(LOW..HIGH,p=P)`: blurs an image by a Gaussian whose deviation, in pixels, is uniform between
/// LOW and HIGH (0.1 to 2.3), with probability P (1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blur {
    sigma: Span,
    chance: Chance,
}

/// The farthest pixel that counts.
const RADIUS: usize = 7;

impl Operation for Blur {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let sigma = arguments.range("sigma", 0.1..=2.3)?;
        let sigma = sigma.ok_or_else(|| arguments.refuse("it needs a deviation, as in blur(0.1..2)"))?;
        Ok(Self { sigma, chance: arguments.chance()? })
    }

    fn write(&self, out: &mut Written) {
        out.value(self.sigma).chance(self.chance);
    }

    fn check(&self, from: Format) -> Result<()> {
        whole_numbers("blur", from)
    }

    fn draw(&self, _: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if stream.happens(self.chance) {
            steps.extend([gaussian(stream.uniform(self.sigma.low, self.sigma.high))]);
        }
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["0.1..2.3", "1"]
    }
}

/// The blur by a Gaussian of this deviation: as far as three deviations, and the weights add up to one.
fn gaussian(sigma: f64) -> Step {
    let radius = ((3.0 * sigma).ceil() as usize).clamp(1, RADIUS);
    let weights: [f64; RADIUS + 1] =
        std::array::from_fn(
            |far| {
                if far <= radius { libm::exp(-((far * far) as f64) / (2.0 * sigma * sigma)) } else { 0.0 }
            },
        );
    let total = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
    let mut whole = weights.map(|weight| factor(weight / total));
    whole[0] = ONE - 2 * whole[1..].iter().sum::<i32>();
    let pair = |at: usize| whole[at] | whole[at + 1] << 16;
    Step::Blur { radius: radius as i32, w01: pair(0), w23: pair(2), w45: pair(4), w67: pair(6) }
}
