//! What is computed: feature sets, the families of features that they are made of, and the columns that they become.
//!
//! A [`FeatureSet`] is plain data, written as text: `profiles` is the default. From a set and the shape of the images
//! follows a [`FeatureLayout`]: which values an image has, their names and their places in a row.
//!
//! | feature | values of an image of H×W×C | source |
//! |---|---|---|
//! | `profiles` | for each channel H row sums, W column sums, centroid (y, x), mean, std; and `pixel_mean`, `pixel_std` | [`Profiles`] |
//! | `histogram:N` | for each channel the share of pixels in each of N parts of the range | [`Histogram`] |
//! | `gradients` | for each channel 4×4 windows of eight directions of the gradient | [`Gradients`] |
//! | `zones:RxC` | for each channel the mean of each cell of a grid | [`Zones`] |
//! | `texture` | for each channel a histogram of 16 parts and one of 10 local binary patterns | [`Texture`] |
//! | `moments` | for each channel 7 normalised central moments and Hu's 7 invariants | [`Moments`] |

pub(crate) mod family;
mod gradients;
mod histogram;
mod layout;
mod moments;
pub(crate) mod profiles;
#[cfg(feature = "gpu")]
pub(crate) mod queue;
pub(crate) mod rows;
mod schema;
mod set;
mod texture;
mod zones;

use std::fmt;

use self::family::{Family, Parameters};
pub use self::gradients::Gradients;
pub use self::histogram::Histogram;
pub use self::layout::{Block, FeatureLayout};
pub use self::moments::Moments;
pub use self::profiles::Profiles;
pub use self::rows::FeaturesMut;
pub use self::schema::{FEATURE_NAMES_KEY, FEATURES, HEIGHT, Layout, WIDTH, feature_fields, metadata, ragged_fields};
pub(crate) use self::schema::{as_tensor, item_field};
pub use self::set::FeatureSet;
pub use self::texture::Texture;
pub use self::zones::Zones;
use crate::base::error::Result;

/// Makes [`Feature`] from the list of families: the one place that names them all. Behind each stands an example
/// of its text, which the tests of all backends run over.
macro_rules! families {
    ($($(#[$doc:meta])* $name:literal => $family:ident, $example:literal;)+) => {
        /// One feature of a set: a family with its parameters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Feature {
            $($(#[$doc])* $family($family),)+
        }

        impl Feature {
            /// The names of all families.
            pub const NAMES: &[&str] = &[$($name),+];

            /// Reads a family's name and what follows its colon; `None` if no family has this name.
            fn parse(name: &str, parameters: Option<&str>) -> Option<Result<Self>> {
                match name {
                    $($name => Some($family::parse(parameters).map(Self::$family)),)+
                    _ => None,
                }
            }

            /// The name of the family.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$family(_) => $name,)+
                }
            }

            /// A feature of each family.
            #[cfg(test)]
            pub(crate) fn examples() -> Vec<Self> {
                vec![$($example.parse::<FeatureSet>().expect("an example").features()[0]),+]
            }

            pub(crate) fn family(&self) -> &dyn Family {
                match self {
                    $(Self::$family(family) => family,)+
                }
            }
        }

        impl fmt::Display for Feature {
            /// The text that a [`FeatureSet`] reads, such as `profiles`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())?;
                match self {
                    $(Self::$family(family) => family.fmt_parameters(f),)+
                }
            }
        }

        $(impl From<$family> for Feature {
            fn from(family: $family) -> Self {
                Self::$family(family)
            }
        })+
    };
}

families! {
    /// Row sums, column sums, centroid, mean and standard deviation.
    "profiles" => Profiles, "profiles";
    /// The share of pixels in each of N equal parts of the range of values.
    "histogram" => Histogram, "histogram:16";
    /// How strongly the brightness of each part of an image rises in each of eight directions.
    "gradients" => Gradients, "gradients";
    /// The mean of each cell of a grid.
    "zones" => Zones, "zones:3x4";
    /// A histogram of 16 parts, and one of local binary patterns.
    "texture" => Texture, "texture";
    /// Normalised central moments, and Hu's invariants.
    "moments" => Moments, "moments";
}
