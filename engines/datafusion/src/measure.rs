//! `pixel_features`, `pixel_mean`, `pixel_std` and `pixel_defect`: something of each image, or why there is nothing.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float32Array, StringArray};
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use pixelfeat::Features;

use crate::arguments::{Arguments, FEATURES, Function, IMAGE, OPTIONS, Parameter, SHAPE};
use crate::columnar::of_rows;
use crate::images::Images;

const OF_FEATURES: &[&Parameter] = &[&IMAGE, &SHAPE, &FEATURES, &OPTIONS];
/// Mean and deviation are columns of the default features.
const OF_PIXELS: &[&Parameter] = &[&IMAGE, &SHAPE, &OPTIONS];

static PIXEL_FEATURES: Function = Function::new(
    "pixel_features",
    "The features of each image, a list of Float32 values. NULL where they cannot be computed.",
    "pixel_features(image, '28x28', 'profiles')",
    OF_FEATURES,
    2,
);
static PIXEL_MEAN: Function = Function::new(
    "pixel_mean",
    "The mean of the pixels of each image. NULL where pixel_features is.",
    "pixel_mean(image, '28x28')",
    OF_PIXELS,
    2,
);
static PIXEL_STD: Function = Function::new(
    "pixel_std",
    "The standard deviation of the pixels of each image. NULL where pixel_features is.",
    "pixel_std(image, '28x28')",
    OF_PIXELS,
    2,
);
static PIXEL_DEFECT: Function = Function::new(
    "pixel_defect",
    "Why the features of an image cannot be computed: a reason such as out_of_range, and what is at fault. NULL where they can.",
    "pixel_defect(image, '28x28')",
    OF_FEATURES,
    2,
);

/// What a function measures of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measurement {
    Features,
    Mean,
    Std,
    Defect,
}

impl Measurement {
    pub const ALL: [Self; 4] = [Self::Features, Self::Mean, Self::Std, Self::Defect];

    fn function(self) -> &'static Function {
        match self {
            Self::Features => &PIXEL_FEATURES,
            Self::Mean => &PIXEL_MEAN,
            Self::Std => &PIXEL_STD,
            Self::Defect => &PIXEL_DEFECT,
        }
    }

    fn of(self, features: &Features, rows: usize) -> Result<ArrayRef> {
        let column = |name| -> Result<ArrayRef> {
            match features.column(name) {
                Some(column) => Ok(Arc::new(Float32Array::clone(column))),
                None => internal_err!("the default features have no {name}"),
            }
        };
        match self {
            Self::Features => Ok(Arc::new(features.list().clone())),
            Self::Mean => column("pixel_mean"),
            Self::Std => column("pixel_std"),
            Self::Defect => {
                let mut reasons = vec![None; rows];
                for defect in features.defects() {
                    reasons[defect.row] = Some(format!("{}: {}", defect.reason.name(), defect.detail));
                }
                Ok(Arc::new(StringArray::from(reasons)))
            }
        }
    }
}

/// A function of images.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    measurement: Measurement,
    signature: Signature,
}

impl Measure {
    pub fn new(measurement: Measurement) -> Self {
        Self { measurement, signature: measurement.function().signature() }
    }
}

impl ScalarUDFImpl for Measure {
    fn name(&self) -> &str {
        self.measurement.function().name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of {} depends on its literals", self.name())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.measurement.function().coerced(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let arguments = Arguments::new(self.measurement.function(), args.scalar_arguments.iter().copied())?;
        let features = Images::new(&arguments, &args.arg_fields[0])?.check(&arguments)?;
        let data_type = self.measurement.of(&features, 0)?.data_type().clone();
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = Arguments::of_values(self.measurement.function(), &args.args)?;
        let images = Images::new(&arguments, &args.arg_fields[0])?;
        let featurizer = images.featurizer()?;
        of_rows(&args, |rows| {
            let features = featurizer
                .featurize_column(&images.field, &args.args[0].to_array(rows)?)
                .map_err(|error| exec_datafusion_err!("{}: {error}", self.name()))?;
            self.measurement.of(&features, rows)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(self.measurement.function().documentation())
    }
}
