//! What a run is asked to compute.

use crate::base::shape::{ImageShape, PixelType};
use crate::base::text::names;
use crate::features::{FeatureSet, Layout};
use crate::images::{Declared, DimensionOrder, Encoding};
use crate::run::gate::MaxInvalid;
use crate::run::keep::KeepImage;
use crate::stages::{Chain, Mixing, Stage};

/// What becomes of a row that cannot be featurized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnInvalid {
    /// It stays, its features are null.
    #[default]
    Null,
    /// It is left out of the output.
    Drop,
    /// The run ends with [`Error::InvalidRow`](crate::Error::InvalidRow).
    Error,
}

names!("on invalid", OnInvalid { "null" => Null, "drop" => Drop, "error" => Error });

/// What becomes of the labels of images that are mixed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MixedLabels {
    /// This column stays, `label_b` has the label of the partner, and `lambda`, f32, the share of the row's own label.
    Pair(String),
    /// A list of so many shares, f32, in a column `soft_label`: λ at the row's own label, and 1 − λ at that of the partner.
    /// The labels of the column are integers from 0 on.
    Soft(String, usize),
}

impl Default for MixedLabels {
    /// The column `label`, in pairs.
    fn default() -> Self {
        MixedLabels::Pair("label".to_owned())
    }
}

impl MixedLabels {
    /// The column that holds the labels.
    pub(crate) fn column(&self) -> &str {
        match self {
            MixedLabels::Pair(column) | MixedLabels::Soft(column, _) => column,
        }
    }
}

/// What to compute: plain data, with a public field for each choice. [`Default`] is the usual choice of everything.
///
/// ```
/// use pixelfeat::stages::Gray;
/// use pixelfeat::{FeatureSpec, OnInvalid};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let spec = FeatureSpec::new("64x64x3".parse()?).with_stage(Gray::default()).with_on_invalid(OnInvalid::Drop);
/// assert_eq!(spec.stages.to_string(), "gray");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FeatureSpec {
    /// The column that holds the images; `image` by default.
    pub image: String,
    /// The shape of the images as they are in the column; `None` to read it from the data
    /// ([`infer_shape`](crate::infer_shape)).
    pub shape: Option<ImageShape>,
    /// The type to compute in; `None` for the column's own ([`default_pixel_type`](crate::default_pixel_type)). Of a
    /// column of encoded images that is the type of most among the first 1,000 rows.
    pub pixel_type: Option<PixelType>,
    /// Whether the bytes of a column are raw pixels or encoded images; `None` to read it from the data.
    pub encoding: Option<Encoding>,
    /// The order in which the dimensions of an image are stored; `None` for what the column's metadata says, else what
    /// the data tells. A flat list of pixels is `hw` or `hwc` unless declared otherwise.
    ///
    /// If shape, pixel type, encoding and order are declared, a run reads no rows ahead, and no row's result depends on
    /// any other row.
    pub order: Option<DimensionOrder>,
    /// What is computed of each image.
    pub features: FeatureSet,
    /// What sums, means and deviations are divided by; `None` for [`PixelType::default_scale`].
    pub scale: Option<f64>,
    /// How the features stand in the output.
    pub layout: Layout,
    /// What is done to each image before its features are computed; nothing by default.
    pub stages: Chain,
    /// What decides the random parameters of stages, together with the stage's name and occurrence in the chain, the
    /// epoch and the number of the sample. 0 by default. Without columns `sample_id` and `epoch` ([`Epochs`](crate::Epochs)
    /// adds them) a sample's number is that of its row in the input, and the epoch is 0.
    pub seed: u64,
    /// How images are mixed with others; by default not. The output then has the number of each row's partner
    /// (`sample_id_b`) and what [`labels`](FeatureSpec::labels) says. Images must be of one size.
    pub mixing: Mixing,
    /// What becomes of labels where images are mixed.
    pub labels: MixedLabels,
    /// Whether the output has a struct column `augment_log` with what each stage did to the row's image, as text.
    pub augment_log: bool,
    /// A column of masks, u8 and as high and wide as the images in their column: what moves the pixels of an image moves
    /// those of its mask, which are not interpolated. The column stays, as an `arrow.fixed_shape_tensor`; null where the row
    /// has no image. CutMix cuts masks as their images; a row whose partner has no mask has none either. MixUp is refused.
    pub mask: Option<String>,
    /// A column of lists of boxes: fixed-size lists of 4 f32, which are left, top, right and bottom in pixels. They move
    /// with the image and are clipped to it. A box of which nothing is left is dropped: a column `NAME_kept` lists the places
    /// of those that stay, and `NAME_dropped` counts the others. A box in an image that is turned becomes the one around it.
    /// Mixing is refused.
    pub boxes: Option<String>,
    /// Whether images keep the size that each row tells: features are then lists of as many values as the image has,
    /// beside a `height` and a `width` column.
    pub ragged: bool,
    /// Whether and how the image is in the output as well.
    pub keep_image: KeepImage,
    /// What becomes of a row that cannot be featurized.
    pub on_invalid: OnInvalid,
    /// How many rows of a stream may be so. More of them end it with
    /// [`Error::TooManyInvalid`](crate::Error::TooManyInvalid): at the end of the input, or at the first row beyond a
    /// number of rows. So a file that is written from the stream does not appear. Who reads the batches has got all before
    /// the error. By default a stream with rows fails if none could be featurized.
    pub max_invalid: MaxInvalid,
}

impl Default for FeatureSpec {
    /// Images in a column `image`, whose shape and pixel type are read from the data, as they are.
    fn default() -> Self {
        Self {
            image: "image".to_owned(),
            shape: None,
            pixel_type: None,
            encoding: None,
            order: None,
            features: FeatureSet::default(),
            scale: None,
            layout: Layout::List,
            stages: Chain::new(),
            seed: 0,
            mixing: Mixing::default(),
            labels: MixedLabels::default(),
            augment_log: false,
            mask: None,
            boxes: None,
            ragged: false,
            keep_image: KeepImage::No,
            on_invalid: OnInvalid::Null,
            max_invalid: MaxInvalid::AllButOne,
        }
    }
}

/// Each setter replaces a field and leaves the others. Where a field is an `Option`, the setter takes a value as well.
impl FeatureSpec {
    /// The default, for images of `shape`.
    pub fn new(shape: ImageShape) -> Self {
        Self::default().with_shape(shape)
    }

    /// Sets [`image`](FeatureSpec::image).
    #[must_use]
    pub fn with_image(self, image: impl Into<String>) -> Self {
        Self { image: image.into(), ..self }
    }

    /// Sets [`shape`](FeatureSpec::shape).
    #[must_use]
    pub fn with_shape(self, shape: impl Into<Option<ImageShape>>) -> Self {
        Self { shape: shape.into(), ..self }
    }

    /// Sets [`pixel_type`](FeatureSpec::pixel_type).
    #[must_use]
    pub fn with_pixel_type(self, pixel_type: impl Into<Option<PixelType>>) -> Self {
        Self { pixel_type: pixel_type.into(), ..self }
    }

    /// Sets [`encoding`](FeatureSpec::encoding).
    #[must_use]
    pub fn with_encoding(self, encoding: impl Into<Option<Encoding>>) -> Self {
        Self { encoding: encoding.into(), ..self }
    }

    /// Sets [`order`](FeatureSpec::order).
    #[must_use]
    pub fn with_order(self, order: impl Into<Option<DimensionOrder>>) -> Self {
        Self { order: order.into(), ..self }
    }

    /// Sets [`features`](FeatureSpec::features).
    #[must_use]
    pub fn with_features(self, features: FeatureSet) -> Self {
        Self { features, ..self }
    }

    /// Sets [`scale`](FeatureSpec::scale).
    #[must_use]
    pub fn with_scale(self, scale: impl Into<Option<f64>>) -> Self {
        Self { scale: scale.into(), ..self }
    }

    /// Sets [`layout`](FeatureSpec::layout).
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Sets [`stages`](FeatureSpec::stages).
    #[must_use]
    pub fn with_stages(self, stages: Chain) -> Self {
        Self { stages, ..self }
    }

    /// Adds a stage behind those there are.
    #[must_use]
    pub fn with_stage(self, stage: impl Into<Stage>) -> Self {
        Self { stages: self.stages.with(stage), ..self }
    }

    /// Sets [`seed`](FeatureSpec::seed).
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets [`mixing`](FeatureSpec::mixing).
    #[must_use]
    pub fn with_mixing(self, mixing: Mixing) -> Self {
        Self { mixing, ..self }
    }

    /// Sets [`labels`](FeatureSpec::labels).
    #[must_use]
    pub fn with_labels(self, labels: MixedLabels) -> Self {
        Self { labels, ..self }
    }

    /// Sets [`augment_log`](FeatureSpec::augment_log).
    #[must_use]
    pub fn with_augment_log(self, augment_log: bool) -> Self {
        Self { augment_log, ..self }
    }

    /// Sets [`mask`](FeatureSpec::mask).
    #[must_use]
    pub fn with_mask(self, mask: impl Into<Option<String>>) -> Self {
        Self { mask: mask.into(), ..self }
    }

    /// Sets [`boxes`](FeatureSpec::boxes).
    #[must_use]
    pub fn with_boxes(self, boxes: impl Into<Option<String>>) -> Self {
        Self { boxes: boxes.into(), ..self }
    }

    /// Sets [`ragged`](FeatureSpec::ragged).
    #[must_use]
    pub fn with_ragged(self, ragged: bool) -> Self {
        Self { ragged, ..self }
    }

    /// Sets [`keep_image`](FeatureSpec::keep_image).
    #[must_use]
    pub fn with_keep_image(self, keep_image: KeepImage) -> Self {
        Self { keep_image, ..self }
    }

    /// Sets [`on_invalid`](FeatureSpec::on_invalid).
    #[must_use]
    pub fn with_on_invalid(self, on_invalid: OnInvalid) -> Self {
        Self { on_invalid, ..self }
    }

    /// Sets [`max_invalid`](FeatureSpec::max_invalid).
    #[must_use]
    pub fn with_max_invalid(self, max_invalid: MaxInvalid) -> Self {
        Self { max_invalid, ..self }
    }

    /// What it says of the image column.
    pub(crate) fn declared(&self) -> Declared {
        Declared { shape: self.shape, pixel_type: self.pixel_type, encoding: self.encoding, order: self.order }
    }
}
