//! What a run is asked to compute.

use std::str::FromStr;

use crate::base::error::{Error, Result, choose};
use crate::base::shape::{ImageShape, PixelType};
use crate::features::Layout;
use crate::run::keep::KeepImage;
use crate::stages::Resize;

/// What becomes of a row that cannot be featurized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// It stays, its features are null.
    #[default]
    Null,
    /// It is left out of the output.
    Drop,
    /// The run ends with [`Error::InvalidRow`].
    Error,
}

impl FromStr for OnInvalid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choose("on invalid", text, &[("null", OnInvalid::Null), ("drop", OnInvalid::Drop), ("error", OnInvalid::Error)])
    }
}

/// What to compute: plain data, with a public field for each choice.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSpec {
    /// The column that holds the images.
    pub image: String,
    /// The shape of the images as they are in the column; `None` to read it from the data
    /// ([`infer_shape`](crate::infer_shape)).
    pub shape: Option<ImageShape>,
    /// The type to compute in; `None` for the column's own ([`default_pixel_type`](crate::default_pixel_type)), of encoded
    /// images that of most among the first 1,000 rows.
    pub pixel_type: Option<PixelType>,
    /// What sums, means and deviations are divided by; `None` for [`PixelType::default_scale`].
    pub scale: Option<f64>,
    /// How the features stand in the output.
    pub layout: Layout,
    /// Whether colours become gray before anything else: ITU-R BT.601 in whole numbers,
    /// (19595 R + 38470 G + 7471 B + 32768) ÷ 65536 rounded down, as Pillow's `convert("L")`; of floats
    /// 0.299 R + 0.587 G + 0.114 B. Alpha is left out.
    pub gray: bool,
    /// The size that all images are brought to, after [`gray`](FeatureSpec::gray); `None` to leave them as they are.
    pub resize: Option<Resize>,
    /// Whether images keep the size that each row tells: features are then lists of as many values as the image has,
    /// beside a `height` and a `width` column.
    pub ragged: bool,
    /// Whether and how the image is in the output as well.
    pub keep_image: KeepImage,
    /// What becomes of a row that cannot be featurized.
    pub on_invalid: OnInvalid,
}

impl FeatureSpec {
    /// Features of images of `shape` in column `image`, everything else by default.
    pub fn new(shape: ImageShape) -> Self {
        Self { shape: Some(shape), ..Self::infer() }
    }

    /// As [`FeatureSpec::new`], with the shape read from the data.
    pub fn infer() -> Self {
        Self {
            image: "image".to_owned(),
            shape: None,
            pixel_type: None,
            scale: None,
            layout: Layout::List,
            gray: false,
            resize: None,
            ragged: false,
            keep_image: KeepImage::No,
            on_invalid: OnInvalid::Null,
        }
    }
}
