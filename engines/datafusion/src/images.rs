//! The images of a call: what its arguments and the type of its column say of them.

use std::sync::Arc;

use arrow_array::new_empty_array;
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_err};
use pixelfeat::{Encoding, FeatureSpec, Features, Featurizer, ImageShape, default_pixel_type};

use crate::arguments::{Arguments, FEATURES, IMAGE, OPTIONS, SHAPE};
use crate::engine::engine;

/// The images of one call, and what is computed of them.
#[derive(Debug, Clone)]
pub struct Images {
    /// The field of the images, named `image` whatever the column's name is.
    pub field: FieldRef,
    /// Nothing in it is left to the rows.
    pub spec: FeatureSpec,
    pub shape: ImageShape,
}

impl Images {
    /// Reads the arguments of a call whose images are of `field`.
    ///
    /// # Errors
    /// If an argument is no literal or wrong.
    pub fn new(arguments: &Arguments<'_>, field: &Field) -> Result<Self> {
        let shape = arguments.require::<ImageShape>(&SHAPE)?;
        let features = arguments.read(&FEATURES)?.unwrap_or_default();
        let mut spec = FeatureSpec::new(shape).with_features(features);
        arguments.options(&OPTIONS, |name, value| set(&mut spec, name, value))?;
        // The first rows would tell otherwise, and which rows come first depends on partitions.
        if is_bytes(field.data_type()) && spec.encoding.is_none() {
            spec.encoding = Some(Encoding::Raw);
        }
        spec.pixel_type.get_or_insert(default_pixel_type(field.data_type()));
        let field = Arc::new(field.clone().with_name(&spec.image).with_nullable(true));
        Ok(Self { field, spec, shape })
    }

    /// Computes the features of such images.
    pub fn featurizer(&self) -> Result<Featurizer> {
        Ok(Featurizer::new(engine()?, self.spec.clone()))
    }

    /// Checks that columns of this type can hold such images. The features of no images tell the types of the result.
    ///
    /// # Errors
    /// If they cannot, or if only rows could tell how they do.
    pub fn check(&self, arguments: &Arguments<'_>) -> Result<Features> {
        let featurizer = self.featurizer()?;
        let data_type = self.field.data_type();
        if featurizer.needs_rows(&self.field).map_err(|error| arguments.failed(error))? {
            let why =
                format!("is {data_type}, which does not tell the order of its dimensions: name it, as in 'order=hwc'");
            return Err(arguments.refused(&IMAGE, &format!("{why}, in the argument options")));
        }
        if let Some(values) = fixed_values(data_type).filter(|values| *values != self.shape.values()) {
            let (function, shape) = (arguments.function(), self.shape);
            return plan_err!("{function}: the argument image is {data_type}: {values} values are no image of {shape}");
        }
        featurizer.featurize_column(&self.field, &new_empty_array(data_type)).map_err(|error| arguments.failed(error))
    }
}

fn set(spec: &mut FeatureSpec, name: &str, value: &str) -> Result<(), String> {
    let why = |error: pixelfeat::Error| error.to_string();
    match name {
        "encoding" => spec.encoding = Some(value.parse().map_err(why)?),
        "order" => spec.order = Some(value.parse().map_err(why)?),
        "pixel_type" => spec.pixel_type = Some(value.parse().map_err(why)?),
        "scale" => spec.scale = Some(value.parse().map_err(|_| format!("scale: `{value}` is not a number"))?),
        _ => return Err(format!("`{name}` is none of encoding, order, pixel_type and scale")),
    }
    Ok(())
}

/// Whether a column can hold raw pixels as well as encoded images.
fn is_bytes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_bytes(values),
        other => matches!(other, DataType::Binary | DataType::LargeBinary | DataType::BinaryView),
    }
}

/// How many values each image has, where the type tells it.
fn fixed_values(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Dictionary(_, values) => fixed_values(values),
        DataType::FixedSizeBinary(bytes) => usize::try_from(*bytes).ok(),
        DataType::FixedSizeList(item, length) => {
            let inner = if item.data_type().is_numeric() { Some(1) } else { fixed_values(item.data_type()) };
            inner?.checked_mul(usize::try_from(*length).ok()?)
        }
        _ => None,
    }
}
