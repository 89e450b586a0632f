//! Feature sets: lists of features, written as text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(feature = "gpu")]
use super::family::DeviceForm;
use super::{Feature, FeatureLayout, Profiles};
use crate::base::error::{Error, Result};
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::text::{name_and_arguments, write_list};

/// What to compute of each image: a list of features. Values stand in the output in the order of the list.
///
/// It is read from text and written as text: names with parameters, separated by commas.
///
/// ```
/// use pixelfeat::{FeatureSet, ImageShape};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let set: FeatureSet = "profiles".parse()?;
/// assert_eq!(set, FeatureSet::default());
/// let layout = set.layout(ImageShape::gray(28, 28)?, 255.0)?;
/// assert_eq!(layout.list_values(), 60);
/// assert_eq!(layout.blocks()[0].name, "row_sums");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FeatureSet(Arc<[Feature]>);

impl FeatureSet {
    /// A set of these features.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if there are none, or two of one family: their values would have the same names.
    pub fn new(features: impl IntoIterator<Item = Feature>) -> Result<Self> {
        let features: Vec<Feature> = features.into_iter().collect();
        let refuse = |why: String| Err(Error::InvalidOption { option: "features", why });
        if features.is_empty() {
            return refuse(format!("name at least one of {}", Feature::NAMES.join(", ")));
        }
        for (at, feature) in features.iter().enumerate() {
            if features[..at].iter().any(|other| other.name() == feature.name()) {
                return refuse(format!("`{}` is named twice", feature.name()));
            }
        }
        Ok(Self(features.into()))
    }

    /// The features, in order.
    pub fn features(&self) -> &[Feature] {
        &self.0
    }

    /// The layout of this set's values for images of `shape`. Sums, means and deviations are divided by `scale`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `scale` is not within 10⁻¹⁸ to 10¹⁸, where no sum of integers leaves the range of f32,
    /// or if an image would have more values than an Arrow list can hold.
    pub fn layout(&self, shape: ImageShape, scale: f64) -> Result<FeatureLayout> {
        FeatureLayout::new(self.clone(), shape, scale)
    }

    /// What a device can do of all features.
    #[cfg(feature = "gpu")]
    pub(crate) fn device_form(&self, pixel_type: PixelType) -> DeviceForm {
        let forms = self.0.iter().map(|feature| feature.family().device_form(pixel_type));
        forms.min().unwrap_or(DeviceForm::No)
    }

    /// The names of the values that are columns of their own.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().flat_map(|feature| feature.family().columns().iter().copied())
    }
}

#[cfg(test)]
impl FeatureSet {
    /// Sets that tests run over: every family alone, and all of them in one set.
    pub(crate) fn examples() -> Vec<Self> {
        let mut sets: Vec<Self> = Feature::examples().into_iter().map(|feature| Self([feature].into())).collect();
        if sets.len() > 1 {
            sets.push(Self(Feature::examples().into()));
        }
        sets
    }

    /// All families whose values can stay on the device.
    #[cfg(feature = "gpu")]
    pub(crate) fn finished_examples() -> Self {
        let finished = |feature: &Feature| feature.family().device_form(PixelType::U8) == DeviceForm::Features;
        Self(Feature::examples().into_iter().filter(finished).collect())
    }
}

impl Default for FeatureSet {
    /// `profiles`.
    fn default() -> Self {
        Self([Profiles.into()].into())
    }
}

impl fmt::Display for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

impl FromStr for FeatureSet {
    type Err = Error;

    /// Reads names with parameters, separated by commas.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] that names the part at fault, if no family has its name, if its parameters do not suit
    /// the family, or as [`FeatureSet::new`].
    fn from_str(text: &str) -> Result<Self> {
        let read = |part: &str| {
            let (name, parameters) = name_and_arguments(part);
            Feature::parse(name.trim(), parameters.map(str::trim)).unwrap_or_else(|| {
                let why = format!("`{}` is none of {}", name.trim(), Feature::NAMES.join(", "));
                Err(Error::InvalidOption { option: "features", why })
            })
        };
        let features = text.split(',').filter(|part| !part.trim().is_empty()).map(read);
        Self::new(features.collect::<Result<Vec<_>>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_set_agree() {
        assert_eq!(FeatureSet::default().to_string(), "profiles");
        assert_eq!(" profiles ".parse::<FeatureSet>().unwrap(), FeatureSet::default());
        for (text, why) in [
            ("", "name at least one of"),
            ("profile", "`profile` is none of"),
            ("profiles,profiles", "`profiles` is named twice"),
            ("profiles:3", "`profiles` takes no parameters"),
        ] {
            let error = text.parse::<FeatureSet>().unwrap_err().to_string();
            assert!(error.starts_with("features: ") && error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_scale_must_be_positive_and_finite() {
        let shape = ImageShape::gray(1, 1).unwrap();
        for scale in [0.0, -1.0, 1e-19, 1e19, f64::NAN, f64::INFINITY] {
            assert!(FeatureSet::default().layout(shape, scale).is_err(), "{scale}");
        }
    }
}
