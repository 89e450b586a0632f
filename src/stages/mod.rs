//! What is done to images between their column and the engine: a chain of stages.
//!
//! A stage is one file and one line of the table below. It draws the parameters of an image apart from applying them,
//! from the seed of the run, its position in the chain and the number of the image's row. So a row gives the same image
//! whatever batch it comes in and whatever applies the stage.
//!
//! A stage can have a form for the device beside the one for the CPU: a shader of its name, which gives the same values.

mod chain;
mod flip;
mod gray;
mod resample;
mod resize;

use std::fmt;
use std::str::FromStr;

use crate::base::error::{Error, Result};
use crate::base::random::Random;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::text::{choose, name_and_arguments};
use crate::images::{ImageBuffer, PixelValue};

pub use self::chain::Chain;
pub(crate) use self::chain::Draws;
pub use self::flip::Axis;
pub use self::resample::Filter;

/// The parameters of a stage for one image: four words, whose meaning is the stage's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StageDraw(pub [u32; 4]);

/// The form of a stage that runs on the device, as data.
#[cfg(feature = "gpu")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceStage {
    /// The WGSL of the stage's function. `shaders/stage.wgsl` says which it is and what it can call.
    pub wgsl: &'static str,
    /// Constants that the WGSL uses, by their names.
    pub constants: Vec<(&'static str, u32)>,
}

/// What a stage does.
pub(crate) trait Operation: Sized {
    /// What a thread keeps from one image to the next.
    type Workspace: Default;

    /// Reads what stands behind the stage's name and a colon, if anything does.
    fn parse(arguments: Option<&str>) -> Result<Self>;

    /// The text that [`Operation::parse`] reads.
    fn arguments(&self) -> Option<String>;

    /// The shape that an image of shape `from` will have.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] if it has none.
    fn shape(&self, from: ImageShape) -> Result<ImageShape>;

    /// Whether all images have one height and width afterwards, whatever they had before.
    fn sets_size(&self) -> bool {
        false
    }

    /// Draws the parameters of an image. `random` depends on the run's seed, the stage's position and the row alone.
    fn draw(&self, _random: &mut Random) -> StageDraw {
        StageDraw::default()
    }

    /// Applies the stage to an image, which then has the shape that [`Operation::shape`] tells.
    fn apply<P: PixelValue>(
        &self,
        params: StageDraw,
        image: &mut ImageBuffer<P>,
        workspace: &mut Self::Workspace,
    ) -> Result<(), String>;

    /// The form that runs on the device, if there is one that gives the same values as [`Operation::apply`] for pixels of
    /// this type.
    #[cfg(feature = "gpu")]
    fn device(&self, _pixel_type: PixelType) -> Option<DeviceStage> {
        None
    }

    /// A key and a value for the metadata of the output's schema, beside the text of the whole chain.
    fn metadata(&self) -> Option<(&'static str, String)> {
        None
    }

    /// Stages of this kind that tests run over: by default the one without arguments, if there is one.
    #[cfg(all(test, feature = "gpu"))]
    fn examples() -> Vec<Self> {
        Self::parse(None).into_iter().collect()
    }
}

macro_rules! stages {
    ($($(#[$about:meta])* $name:literal => $module:ident::$Stage:ident,)*) => {
        $(pub use self::$module::$Stage;)*

        /// One step of a [`Chain`]. Its text is its name, followed by a colon and its arguments if it has any.
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[non_exhaustive]
        pub enum Stage {
            $($(#[$about])* $Stage($Stage),)*
        }

        $(impl From<$Stage> for Stage {
            fn from(stage: $Stage) -> Self {
                Stage::$Stage(stage)
            }
        })*

        /// What a thread keeps of each kind of stage from one image to the next.
        #[derive(Default)]
        pub(crate) struct Workspace {
            $($module: <$Stage as Operation>::Workspace,)*
        }

        /// The stages by name, and how their arguments are read.
        const PARSERS: &[(&str, fn(Option<&str>) -> Result<Stage>)] =
            &[$(($name, |arguments| $Stage::parse(arguments).map(Stage::$Stage)),)*];

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
            /// [`Error::InvalidShape`] if it would be none.
            pub fn shape(&self, from: ImageShape) -> Result<ImageShape> {
                match self {
                    $(Stage::$Stage(stage) => Operation::shape(stage, from),)*
                }
            }

            fn arguments(&self) -> Option<String> {
                match self {
                    $(Stage::$Stage(stage) => stage.arguments(),)*
                }
            }

            fn sets_size(&self) -> bool {
                match self {
                    $(Stage::$Stage(stage) => stage.sets_size(),)*
                }
            }

            fn metadata(&self) -> Option<(&'static str, String)> {
                match self {
                    $(Stage::$Stage(stage) => stage.metadata(),)*
                }
            }

            fn draw(&self, random: &mut Random) -> StageDraw {
                match self {
                    $(Stage::$Stage(stage) => stage.draw(random),)*
                }
            }

            /// As [`Operation::device`].
            #[cfg(feature = "gpu")]
            pub(crate) fn device(&self, pixel_type: PixelType) -> Option<DeviceStage> {
                match self {
                    $(Stage::$Stage(stage) => stage.device(pixel_type),)*
                }
            }

            /// Stages of every kind that tests run over.
            #[cfg(all(test, feature = "gpu"))]
            pub(crate) fn examples() -> Vec<Self> {
                let mut all = Vec::new();
                $(all.extend(<$Stage as Operation>::examples().into_iter().map(Stage::$Stage));)*
                all
            }

            fn apply<P: PixelValue>(
                &self,
                params: StageDraw,
                image: &mut ImageBuffer<P>,
                workspace: &mut Workspace,
            ) -> Result<(), String> {
                match self {
                    $(Stage::$Stage(stage) => stage.apply(params, image, &mut workspace.$module),)*
                }
            }
        }
    };
}

// The table of stages: a stage's name in texts, its file and its type.
stages! {
    /// Colours become gray.
    "gray" => gray::Gray,
    /// Images are mirrored, each with a probability.
    "flip" => flip::Flip,
    /// All images get one height and width.
    "resize" => resize::Resize,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.arguments().map_or(Ok(()), |arguments| write!(f, ":{arguments}"))
    }
}

impl FromStr for Stage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, arguments) = name_and_arguments(text);
        choose("stage", name, PARSERS)?(arguments)
    }
}
