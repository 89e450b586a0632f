//! The Arrow fields of features, and what the schema says of how they were made.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use arrow_schema::{DataType, Field};

use super::{FeatureLayout, FeatureSet};
use crate::base::shape::PixelType;
use crate::base::text::names;

/// How the features of an image stand in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Layout {
    /// One `features` column of `FixedSizeList<Float32>`.
    #[default]
    List,
    /// One `Float32` column for each value, named as [`FeatureLayout::list_names`] says.
    Columns,
    /// One `features` column as in [`Layout::List`], which its field calls an `arrow.fixed_shape_tensor` of one dimension.
    Tensor,
}

names!("layout", Layout { "list" => List, "columns" => Columns, "tensor" => Tensor });

/// The name of the list column.
pub const FEATURES: &str = "features";
/// The key of the schema's metadata whose value lists the names of the values in the feature list, separated by commas.
pub const FEATURE_NAMES_KEY: &str = "pixelfeat.feature_names";
/// The name of the column with each image's rows of pixels, where these differ.
pub const HEIGHT: &str = "height";
/// The name of the column with the pixels in a row of each image, where these differ.
pub const WIDTH: &str = "width";

/// The fields that a run adds to its input's: the columns of their own (`pixel_mean`, `pixel_std`), then the features. All
/// are nullable: a row that could not be featurized is null in each.
pub fn feature_fields(features: &FeatureLayout, layout: Layout) -> Vec<Field> {
    let mut fields: Vec<Field> =
        features.columns().map(|(name, _)| Field::new(name, DataType::Float32, true)).collect();
    let values = features.list_values();
    match layout {
        // A set may consist of columns alone.
        _ if values == 0 => {}
        Layout::List => fields.push(Field::new(FEATURES, list_type(values, layout), true)),
        Layout::Tensor => {
            fields.push(as_tensor(Field::new(FEATURES, list_type(values, layout), true), &[("feature", values)]));
        }
        Layout::Columns => {
            fields.extend(features.list_names().iter().map(|name| Field::new(name, DataType::Float32, true)));
        }
    }
    fields
}

/// The fields that a run of images of different sizes adds to its input's: the columns of their own, `height`, `width`
/// and `features`, a list of as many values as [`FeatureLayout::list_values`] says for an image of that size.
pub fn ragged_fields(set: &FeatureSet) -> Vec<Field> {
    let mut fields: Vec<Field> = set.columns().map(|name| Field::new(name, DataType::Float32, true)).collect();
    fields.extend([
        Field::new(HEIGHT, DataType::UInt32, true),
        Field::new(WIDTH, DataType::UInt32, true),
        Field::new(FEATURES, DataType::List(item_field(Layout::List)), true),
    ]);
    fields
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

fn list_type(values: usize, layout: Layout) -> DataType {
    DataType::FixedSizeList(item_field(layout), values as i32)
}

/// What the output schema says of how it was made: `pixelfeat.version`, `.features` (the feature set), `.shape`,
/// `.pixel_type`, `.scale` and `.feature_names` (those of the feature list, comma-separated, in order).
pub fn metadata(features: &FeatureLayout, pixel_type: PixelType) -> HashMap<String, String> {
    let entry = |key: &str, value: String| (key.to_owned(), value);
    HashMap::from([
        entry("pixelfeat.version", env!("CARGO_PKG_VERSION").to_owned()),
        entry("pixelfeat.features", features.set().to_string()),
        entry("pixelfeat.shape", features.shape().to_string()),
        entry("pixelfeat.pixel_type", pixel_type.to_string()),
        entry("pixelfeat.scale", features.scale().to_string()),
        entry(FEATURE_NAMES_KEY, features.list_names().join(",")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::shape::ImageShape;

    #[test]
    fn a_layout_is_named_as_it_is_read() {
        for layout in [Layout::List, Layout::Columns, Layout::Tensor] {
            assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout);
        }
    }

    #[test]
    fn names_and_fields_count_as_the_layout_says() {
        for shape in ["28x28", "3x5x2", "1x1x4"].map(|s| s.parse::<ImageShape>().unwrap()) {
            let features = FeatureSet::default().layout(shape, 255.0).unwrap();
            let values = features.list_values();
            assert_eq!(values, shape.channels() * (shape.height() + shape.width() + 4));
            let names = features.list_names();
            assert_eq!(names.len(), values);
            assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len());
            assert_eq!(feature_fields(&features, Layout::Columns).len(), 2 + values);
            assert_eq!(feature_fields(&features, Layout::List).len(), 3);
            let tensor = &feature_fields(&features, Layout::Tensor)[2];
            assert!(matches!(tensor.data_type(), DataType::FixedSizeList(item, _) if item.is_nullable()));
            let about = format!(r#"{{"dim_names":["feature"],"shape":[{values}]}}"#);
            assert_eq!(tensor.extension_type_metadata(), Some(about.as_str()));
        }
        let features = FeatureSet::default().layout("2x1".parse().unwrap(), 1.0).unwrap();
        assert_eq!(features.list_names()[..3], ["row_sum_0", "row_sum_1", "col_sum_0"]);
    }
}
