//! What is done to images between their column and the engine: a chain of stages.
//!
//! A stage is one file, or a few like ones in a file, and one line of the table below. For each image it draws
//! [`Step`]s, which are operations with whole numbers as their parameters; `steps/` applies them. The draws depend on the
//! seed of the run, the epoch, the number of the sample, the name of the stage and how many stages of this name stand
//! before it, and on nothing else. So a sample gives the same image in any batch, in any order and on any processor.

mod affine;
mod beta;
mod chain;
mod colour;
mod crop;
mod erase;
mod flip;
mod grammar;
mod gray;
mod mix;
mod normalize;
mod pipeline;
mod policy;
mod resize;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::base::error::{Error, Result};
use crate::base::philox::Stream;
use crate::base::shape::{ImageShape, PixelType};
use crate::base::text::listed;
use crate::images::decode::Wanted;
use crate::steps::Step;

pub use self::chain::Chain;
pub(crate) use self::chain::{Samples, StepLog};
pub use self::grammar::Span;
pub(crate) use self::grammar::{Arguments, Written};
use self::grammar::{Part, wrong};
pub use self::mix::{MIX_WINDOW, Mix, Mixer, Mixing};
pub(crate) use self::pipeline::normalize;
pub use self::pipeline::{Parameters, Pipeline};
pub use crate::base::philox::Chance;
pub use crate::steps::Filter;

/// The version of what stages draw and steps compute. It changes when a chain of the same text gives other pixels.
pub const ALGORITHM: &str = "philox4x32-10/1";

/// What an image is before a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub shape: ImageShape,
    pub pixel_type: PixelType,
}

/// What a stage does.
pub(crate) trait Operation: Sized {
    /// Takes the stage's arguments. What it leaves is an error.
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self>;

    /// Writes the arguments that [`Operation::parse`] takes.
    fn write(&self, out: &mut Written);

    /// The shape that an image of shape `from` will have.
    ///
    /// # Errors
    /// If it has none.
    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        Ok(from)
    }

    /// Fails if the stage cannot work on such images, which have a shape for it.
    fn check(&self, _from: Format) -> Result<()> {
        Ok(())
    }

    /// Whether all images have one height and width afterwards, whatever they had before.
    fn sets_size(&self) -> bool {
        false
    }

    /// The channels in which it takes encoded images, if it is the first stage.
    fn wanted(&self) -> Wanted {
        Wanted::Stored
    }

    /// The most steps that the stage draws for an image.
    fn slots(&self) -> usize {
        1
    }

    /// Draws the steps of an image and adds them to `steps`.
    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>);

    /// Whether a device can apply the steps that the stage draws to pixels of this type. Steps on whole numbers have a
    /// form for devices; of those on floats only the ones that move values do.
    #[cfg(feature = "gpu")]
    fn on_device(&self, pixel_type: PixelType) -> bool {
        pixel_type != PixelType::F32
    }

    /// A key and a value for the metadata of the output's schema, beside the text of the whole chain.
    fn metadata(&self) -> Option<(&'static str, String)> {
        None
    }

    /// The arguments of stages of this kind that tests run over.
    #[cfg(test)]
    fn examples() -> Vec<&'static str>;
}

macro_rules! stages {
    ($($(#[$about:meta])* $name:literal => $module:ident::$Stage:ident,)*) => {
        $(pub use self::$module::$Stage;)*

        /// One step of a [`Chain`]. Its text is its name, followed by its arguments in parentheses if it has any.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Stage {
            $($(#[$about])* $Stage($Stage),)*
        }

        $(impl From<$Stage> for Stage {
            fn from(stage: $Stage) -> Self {
                Stage::$Stage(stage)
            }
        })*

        /// How the arguments of a stage are read.
        type Parser = fn(&mut Arguments<'_>) -> Result<Stage>;

        /// The stages by name, and how their arguments are read.
        const PARSERS: &[(&str, Parser)] = &[$(($name, |arguments| $Stage::parse(arguments).map(Stage::$Stage)),)*];

        impl Stage {
            /// The name that texts use, such as `gray`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Stage::$Stage(_) => $name,)*
                }
            }

            /// The shape that an image of shape `from` will have.
            ///
            /// # Errors
            /// [`Error::InvalidShape`] or [`Error::InvalidOption`] if it has none.
            pub fn shape(&self, from: ImageShape) -> Result<ImageShape> {
                match self {
                    $(Stage::$Stage(stage) => Operation::shape(stage, from),)*
                }
            }

            fn write(&self, out: &mut Written) {
                match self {
                    $(Stage::$Stage(stage) => stage.write(out),)*
                }
            }

            fn check(&self, from: Format) -> Result<()> {
                match self {
                    $(Stage::$Stage(stage) => Operation::check(stage, from),)*
                }
            }

            fn sets_size(&self) -> bool {
                match self {
                    $(Stage::$Stage(stage) => stage.sets_size(),)*
                }
            }

            fn wanted(&self) -> Wanted {
                match self {
                    $(Stage::$Stage(stage) => stage.wanted(),)*
                }
            }

            /// The most steps that the stage draws for an image.
            pub(crate) fn slots(&self) -> usize {
                match self {
                    $(Stage::$Stage(stage) => stage.slots(),)*
                }
            }

            #[inline]
            fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
                match self {
                    $(Stage::$Stage(stage) => stage.draw(from, stream, steps),)*
                }
            }

            fn metadata(&self) -> Option<(&'static str, String)> {
                match self {
                    $(Stage::$Stage(stage) => stage.metadata(),)*
                }
            }

            /// As [`Operation::on_device`].
            #[cfg(feature = "gpu")]
            pub(crate) fn on_device(&self, pixel_type: PixelType) -> bool {
                match self {
                    $(Stage::$Stage(stage) => stage.on_device(pixel_type),)*
                }
            }

            /// Stages of every kind that tests run over.
            #[cfg(test)]
            pub(crate) fn examples() -> Vec<Self> {
                let mut all: Vec<(&str, &str)> = Vec::new();
                $(all.extend(<$Stage as Operation>::examples().into_iter().map(|arguments| ($name, arguments)));)*
                let texts = all.into_iter().map(|(name, arguments)| format!("{name}({arguments})"));
                texts.map(|text| text.parse().unwrap()).collect()
            }
        }
    };
}

// The table of stages: a stage's name in texts, its file and its type.
stages! {
    /// Colours become gray.
    "gray" => gray::Gray,
    /// All images get one height and width.
    "resize" => resize::Resize,
    /// A window at a random place.
    "crop" => crop::Crop,
    /// A random window, brought to a size.
    "resized_crop" => crop::ResizedCrop,
    /// Left becomes right.
    "hflip" => flip::HFlip,
    /// Top becomes bottom.
    "vflip" => flip::VFlip,
    /// Turned, sheared, moved and scaled.
    "affine" => affine::Affine,
    /// Brightness, contrast, saturation and hue in a random order.
    "jitter" => colour::Jitter,
    /// Sharper or softer.
    "sharpness" => colour::Sharpness,
    /// The values of each colour over the whole range.
    "autocontrast" => colour::Autocontrast,
    /// The values of each colour equally frequent.
    "equalize" => colour::Equalize,
    /// Fewer bits.
    "posterize" => colour::Posterize,
    /// Bright colours inverted.
    "solarize" => colour::Solarize,
    /// Colours inverted.
    "invert" => colour::Invert,
    /// Normal noise.
    "noise" => colour::Noise,
    /// Blurred.
    "blur" => colour::Blur,
    /// A rectangle covered.
    "erase" => erase::Erase,
    /// Some operations of one magnitude.
    "randaugment" => policy::RandAugment,
    /// One operation of any magnitude.
    "trivial" => policy::Trivial,
    /// One of some stages.
    "one_of" => policy::OneOf,
    /// Floats of mean zero and deviation one.
    "normalize" => normalize::Normalize,
}

impl Stage {
    /// Reads a stage.
    fn read(part: Part<'_>) -> Result<Self> {
        let (name, mut arguments) = part.call()?;
        let Some((_, parse)) = PARSERS.iter().find(|(known, _)| *known == name) else {
            let names = listed(PARSERS.iter().map(|(name, _)| *name), "or");
            return Err(wrong(part.at, format!("`{name}` is not {names}")));
        };
        let stage = parse(&mut arguments)?;
        arguments.finish()?;
        Ok(stage)
    }

    /// Whether no stage can follow.
    fn is_last(&self) -> bool {
        matches!(self, Stage::Normalize(_))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arguments = Written::default();
        self.write(&mut arguments);
        match arguments.text() {
            Some(text) => write!(f, "{}({text})", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

impl std::str::FromStr for Stage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::read(Part::of(text))
    }
}

/// Fails if pixels are floats.
fn whole_numbers(stage: &'static str, format: Format) -> Result<()> {
    match format.pixel_type {
        PixelType::F32 => {
            Err(Error::InvalidOption { option: stage, why: "it is for 8 and 16-bit pixels, not for floats".to_owned() })
        }
        _ => Ok(()),
    }
}
