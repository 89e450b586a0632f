//! Moments → features: the formulas, their names and their Arrow schema.

pub(crate) mod moments;
#[cfg(feature = "gpu")]
pub(crate) mod queue;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DataType, Field};

use crate::base::error::{Error, Result, choose};
use crate::base::shape::{ImageShape, PixelType};
use crate::features::moments::{Moments, Pixel};

/// Keeps the centroid of an all-zero image at 0 instead of 0/0; part of the reference's formula.
const CENTROID_EPSILON: f64 = 1e-6;

/// Turns the moments of one image into its features, rounding each to f32 once.
///
/// Per channel, one channel after another, C·(H + W + 4) values in all:
///
/// | values | formula |
/// |---|---|
/// | H | row sum ÷ scale |
/// | W | column sum ÷ scale |
/// | 1 | cy = Σy·p ÷ (Σp + 10⁻⁶) ÷ H |
/// | 1 | cx = Σx·p ÷ (Σp + 10⁻⁶) ÷ W |
/// | 1 | mean ÷ scale |
/// | 1 | std ÷ scale, the population's: √(N·Σp² − (Σp)²) ÷ N |
///
/// The formulas are those of the Daft tutorial pipeline's float32 NumPy code, evaluated from exact sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finisher {
    shape: ImageShape,
    scale: f64,
}

impl Finisher {
    /// Features of images of `shape`, divided by `scale`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `scale` is not within 10⁻¹⁸ to 10¹⁸, where no sum of integers leaves the range of f32.
    pub fn new(shape: ImageShape, scale: f64) -> Result<Self> {
        if (1e-18..=1e18).contains(&scale) {
            Ok(Self { shape, scale })
        } else {
            Err(Error::InvalidOption { option: "scale", why: format!("{scale} is not within 1e-18 to 1e18") })
        }
    }

    /// The shape of the images.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// What sums, means and deviations are divided by.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Writes the features of one image into `out`, which has [`ImageShape::features`] places, and returns the mean and
    /// the standard deviation of all its values, in raw units.
    #[inline(always)]
    pub fn finish<P: Pixel>(&self, moments: &Moments<P>, out: &mut [f32]) -> (f32, f32) {
        let (h, w, channels) = (self.shape.height(), self.shape.width(), self.shape.channels());
        let n = self.shape.pixels();
        let mut pool = [(P::Total::default(), P::Total::default()); ImageShape::MAX_CHANNELS];
        for (c, out) in out.chunks_exact_mut(h + w + 4).enumerate() {
            let rows = &moments.row_sums()[c * h..][..h];
            let cols = &moments.col_sums()[c * w..][..w];
            let second = moments.seconds()[c];
            let (total, weighted_y) = P::weigh(rows);
            let (_, weighted_x) = P::weigh(cols);
            pool[c] = (total, second);
            P::scale(rows, w, self.scale, &mut out[..h]);
            P::scale(cols, h, self.scale, &mut out[h..h + w]);
            let mass = P::as_f64(total) + CENTROID_EPSILON;
            out[h + w] = (P::as_f64(weighted_y) / mass / h as f64) as f32;
            out[h + w + 1] = (P::as_f64(weighted_x) / mass / w as f64) as f32;
            out[h + w + 2] = (P::as_f64(total) / n as f64 / self.scale) as f32;
            out[h + w + 3] = (P::std(n, total, second) / self.scale) as f32;
        }
        let (total, second) = if channels == 1 { pool[0] } else { P::pool(n, &pool[..channels]) };
        let all = n * channels;
        ((P::as_f64(total) / all as f64) as f32, P::std(all, total, second) as f32)
    }
}

/// Where the features of some images go: slices that a backend fills to the last place.
#[derive(Debug)]
pub struct Output<'a> {
    /// [`ImageShape::features`] values an image.
    pub features: &'a mut [f32],
    /// One mean an image, raw units.
    pub means: &'a mut [f32],
    /// One standard deviation an image, raw units.
    pub stds: &'a mut [f32],
}

impl<'a> Output<'a> {
    /// How many images it has places for.
    pub fn images(&self) -> usize {
        self.means.len()
    }

    /// Whether it has a place for every value of exactly `images` images of `shape`.
    pub(crate) fn holds(&self, images: usize, shape: ImageShape) -> bool {
        self.features.len() == images * shape.features() && self.means.len() == images && self.stds.len() == images
    }

    /// The places of the first `images` images and those of the rest, to be filled independently.
    pub fn split_at(self, images: usize) -> (Output<'a>, Output<'a>) {
        let width = if self.means.is_empty() { 0 } else { self.features.len() / self.means.len() };
        let (features, other_features) = self.features.split_at_mut(images * width);
        let (means, other_means) = self.means.split_at_mut(images);
        let (stds, other_stds) = self.stds.split_at_mut(images);
        (Output { features, means, stds }, Output { features: other_features, means: other_means, stds: other_stds })
    }

    /// A shorter-lived view of the same places.
    pub fn reborrow(&mut self) -> Output<'_> {
        Output { features: self.features, means: self.means, stds: self.stds }
    }
}

/// How the features of an image stand in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// One `features` column of `FixedSizeList<Float32>`.
    #[default]
    List,
    /// One `Float32` column for each feature, named by [`feature_names`].
    Columns,
    /// One `features` column as in [`Layout::List`], which its field calls an `arrow.fixed_shape_tensor` of one dimension.
    Tensor,
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choose("layout", text, &[("list", Layout::List), ("columns", Layout::Columns), ("tensor", Layout::Tensor)])
    }
}

/// The name of the list column.
pub const FEATURES: &str = "features";
/// The key of the schema's metadata whose value lists the names of the features, separated by commas.
pub const FEATURE_NAMES_KEY: &str = "pixelfeat.feature_names";
/// The name of the column with each image's mean, in raw units.
pub const PIXEL_MEAN: &str = "pixel_mean";
/// The name of the column with each image's population standard deviation, in raw units.
pub const PIXEL_STD: &str = "pixel_std";

/// The name of the column with each image's rows of pixels, where these differ.
pub const HEIGHT: &str = "height";
/// The name of the column with the pixels in a row of each image, where these differ.
pub const WIDTH: &str = "width";

/// The names of the features of one image, in order: `row_sum_0` …, `col_sum_0` …, `centroid_y`, `centroid_x`, `mean`,
/// `std`; with several channels each is prefixed by `c0_`, `c1_`, ….
pub fn feature_names(shape: ImageShape) -> Vec<String> {
    let mut names = Vec::with_capacity(shape.features());
    for c in 0..shape.channels() {
        let prefix = if shape.channels() > 1 { format!("c{c}_") } else { String::new() };
        names.extend((0..shape.height()).map(|y| format!("{prefix}row_sum_{y}")));
        names.extend((0..shape.width()).map(|x| format!("{prefix}col_sum_{x}")));
        names.extend(["centroid_y", "centroid_x", "mean", "std"].map(|name| format!("{prefix}{name}")));
    }
    names
}

/// The fields that a run adds to its input's: `pixel_mean`, `pixel_std`, then the features. All are nullable: a row that
/// could not be featurized is null in each.
pub fn feature_fields(shape: ImageShape, layout: Layout) -> Vec<Field> {
    let mut fields =
        vec![Field::new(PIXEL_MEAN, DataType::Float32, true), Field::new(PIXEL_STD, DataType::Float32, true)];
    match layout {
        Layout::List => fields.push(Field::new(FEATURES, list_type(shape, layout), true)),
        Layout::Tensor => {
            let tensor =
                as_tensor(Field::new(FEATURES, list_type(shape, layout), true), &[("feature", shape.features())]);
            fields.push(tensor);
        }
        Layout::Columns => {
            fields.extend(feature_names(shape).into_iter().map(|name| Field::new(name, DataType::Float32, true)));
        }
    }
    fields
}

/// The fields that a run of images of different sizes adds to its input's: `pixel_mean`, `pixel_std`, `height`, `width`
/// and `features`, a list of the values that [`Finisher`] tells for an image of that size.
pub fn ragged_fields() -> Vec<Field> {
    vec![
        Field::new(PIXEL_MEAN, DataType::Float32, true),
        Field::new(PIXEL_STD, DataType::Float32, true),
        Field::new(HEIGHT, DataType::UInt32, true),
        Field::new(WIDTH, DataType::UInt32, true),
        Field::new(FEATURES, DataType::List(item_field(Layout::List)), true),
    ]
}

/// A field of fixed-size lists as `arrow.fixed_shape_tensor` of these dimensions.
pub(crate) fn as_tensor(field: Field, dims: &[(&str, usize)]) -> Field {
    let shape: Vec<usize> = dims.iter().map(|(_, length)| *length).collect();
    let names: Vec<&str> = dims.iter().map(|(name, _)| *name).collect();
    let about = serde_json::json!({ "shape": shape, "dim_names": names });
    field.with_metadata(HashMap::from([
        (EXTENSION_TYPE_NAME_KEY.to_owned(), "arrow.fixed_shape_tensor".to_owned()),
        (EXTENSION_TYPE_METADATA_KEY.to_owned(), about.to_string()),
    ]))
}

/// The item field of the list column. A tensor's is nullable though no item is null: PyArrow does not recognise others
/// when it reads them from Parquet.
pub(crate) fn item_field(layout: Layout) -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, layout == Layout::Tensor))
}

fn list_type(shape: ImageShape, layout: Layout) -> DataType {
    DataType::FixedSizeList(item_field(layout), shape.features() as i32)
}

/// What the output schema says of how it was made: `pixelfeat.version`, `.shape`, `.pixel_type`, `.scale` and
/// `.feature_names` (comma-separated, in order).
pub fn metadata(finisher: &Finisher, pixel_type: PixelType) -> HashMap<String, String> {
    let entry = |key: &str, value: String| (format!("pixelfeat.{key}"), value);
    HashMap::from([
        entry("version", env!("CARGO_PKG_VERSION").to_owned()),
        entry("shape", finisher.shape().to_string()),
        entry("pixel_type", pixel_type.to_string()),
        entry("scale", finisher.scale().to_string()),
        entry("feature_names", feature_names(finisher.shape()).join(",")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_fields_count_as_the_shape_says() {
        for shape in ["28x28", "3x5x2", "1x1x4"].map(|s| s.parse::<ImageShape>().unwrap()) {
            let names = feature_names(shape);
            assert_eq!(names.len(), shape.features());
            assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len());
            assert_eq!(feature_fields(shape, Layout::Columns).len(), 2 + shape.features());
            assert_eq!(feature_fields(shape, Layout::List).len(), 3);
            let tensor = &feature_fields(shape, Layout::Tensor)[2];
            assert!(matches!(tensor.data_type(), DataType::FixedSizeList(item, _) if item.is_nullable()));
            let about = format!(r#"{{"dim_names":["feature"],"shape":[{}]}}"#, shape.features());
            assert_eq!(tensor.extension_type_metadata(), Some(about.as_str()));
        }
        assert_eq!(feature_names("2x1".parse().unwrap())[..3], ["row_sum_0", "row_sum_1", "col_sum_0"]);
    }

    #[test]
    fn a_scale_must_be_positive_and_finite() {
        let shape = ImageShape::gray(1, 1).unwrap();
        for scale in [0.0, -1.0, 1e-19, 1e19, f64::NAN, f64::INFINITY] {
            assert!(Finisher::new(shape, scale).is_err(), "{scale}");
        }
    }

    #[test]
    fn the_f32_shortcut_rounds_as_the_f64_quotient_does() {
        for scale in [255.0, 65_535.0, 3.0, 1.0, 100.0] {
            let sums: Vec<u32> = (0..1 << 24).step_by(97).chain((1 << 24) - 500..1 << 24).collect();
            let mut fast = vec![f32::NAN; sums.len()];
            scale_through::<u8>(&sums, scale, &mut fast);
            for (&sum, &got) in sums.iter().zip(&fast) {
                assert_eq!(got.to_bits(), ((f64::from(sum) / scale) as f32).to_bits(), "{sum} / {scale}");
            }
        }
    }

    fn scale_through<P: Pixel<Sum = u32>>(sums: &[u32], scale: f64, out: &mut [f32]) {
        P::scale(sums, 1, scale, out);
    }
}
