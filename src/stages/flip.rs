//! Images mirrored, each with a probability.

use crate::base::error::Result;
use crate::base::philox::{Chance, Stream};
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::stages::{Arguments, Format, Operation, Written};
use crate::steps::Step;

macro_rules! flips {
    ($($(#[$about:meta])* $Flip:ident, $step:expr;)*) => {
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

                fn draw(&self, _: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
                    if stream.happens(self.0) {
                        steps.extend([$step]);
                    }
                }

                /// Values only change their places.
                #[cfg(feature = "gpu")]
                fn on_device(&self, _: PixelType) -> bool {
                    true
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
    HFlip, Step::FlipX {};
    /// `vflip(P)`: mirrors an image, top becomes bottom, with probability P (1).
    VFlip, Step::FlipY {};
}
