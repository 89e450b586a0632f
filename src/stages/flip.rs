//! Images mirrored, each with a probability.

use crate::base::error::Result;
use crate::base::philox::{Chance, Stream};
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
#[cfg(feature = "gpu")]
use crate::stages::DeviceStage;
use crate::stages::{Arguments, Format, Operation, Written};
use crate::steps::Step;

macro_rules! flips {
    ($($(#[$about:meta])* $Flip:ident, $step:expr, $along_x:literal;)*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Copy, PartialEq, Default)]
            pub struct $Flip(
                /// The probability of each image.
                pub Chance,
            );

            impl Operation for $Flip {
                fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
                    arguments.chance().map(Self)
                }

                fn write(&self, out: &mut Written) {
                    if self.0 != Chance::ALWAYS {
                        out.value(self.0);
                    }
                }

                fn draw(&self, _: Format, stream: &mut Stream, steps: &mut Vec<Step>) {
                    if stream.happens(self.0) {
                        steps.push($step);
                    }
                }

                /// For pixels of any type: values only change their places.
                #[cfg(feature = "gpu")]
                fn device(&self, _: PixelType) -> Option<DeviceStage> {
                    let constants = vec![("ALONG_X", $along_x)];
                    Some(DeviceStage { wgsl: include_str!("../../shaders/flip.wgsl"), constants })
                }

                #[cfg(test)]
                fn examples() -> Vec<&'static str> {
                    vec!["", "0.5"]
                }
            }
        )*
    };
}

flips! {
    /// `hflip(P)`: mirrors an image, left becomes right, with probability P (1).
    HFlip, Step::FlipX {}, 1;
    /// `vflip(P)`: mirrors an image, top becomes bottom, with probability P (1).
    VFlip, Step::FlipY {}, 0;
}
