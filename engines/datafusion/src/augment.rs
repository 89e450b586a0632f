//! `pixel_augment`: the version that each image has in an epoch.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, new_empty_array};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use pixelfeat::{Chain, EPOCH as EPOCH_COLUMN, Featurizer, KeepImage, SAMPLE_ID};

use crate::arguments::{Arguments, EPOCH, Function, ID, IMAGE, OPTIONS, PIPELINE, SEED, SHAPE};
use crate::columnar::of_rows;
use crate::images::Images;

const NAME: &str = "pixel_augment";
static FUNCTION: Function = Function::new(
    NAME,
    "The version that each image has in an epoch: its pixels, one after another, as pixel_features takes them. It depends on \
     the pipeline, the seed, the id and the epoch alone. NULL where there is no image.",
    "pixel_augment(image, '28x28', 'crop(pad=4),hflip(0.5)', id, 0)",
    &[&IMAGE, &SHAPE, &PIPELINE, &ID, &EPOCH, &SEED, &OPTIONS],
    5,
);

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Augment {
    signature: Signature,
}

impl Default for Augment {
    fn default() -> Self {
        Self { signature: FUNCTION.signature() }
    }
}

fn images(arguments: &Arguments<'_>, field: &Field) -> Result<Images> {
    let mut images = Images::new(arguments, field)?;
    if images.spec.scale.is_some() {
        return Err(arguments.refused(&OPTIONS, "is wrong: scale is for features"));
    }
    images.spec.stages = arguments.require::<Chain>(&PIPELINE)?;
    images.spec.seed = arguments.number(&SEED)?.unwrap_or(0);
    images.spec.keep_image = KeepImage::Tensor;
    Ok(images)
}

/// The images after all stages.
fn augmented(
    featurizer: &Featurizer,
    field: &FieldRef,
    images: ArrayRef,
    ids: ArrayRef,
    epochs: ArrayRef,
) -> Result<ArrayRef, pixelfeat::Error> {
    let numbers = |name: &str, of: &ArrayRef| Arc::new(Field::new(name, of.data_type().clone(), true));
    let fields = vec![field.clone(), numbers(SAMPLE_ID, &ids), numbers(EPOCH_COLUMN, &epochs)];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![images, ids, epochs])?;
    let mut rows = featurizer.featurize_batch(&batch, None)?;
    let place = rows.schema_ref().index_of(field.name())?;
    Ok(rows.remove_column(place))
}

fn epochs_of(array: &dyn Array) -> Result<ArrayRef> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, &DataType::UInt32, &exact)
        .map_err(|error| exec_datafusion_err!("{NAME}: the argument epoch: {error}"))
}

impl ScalarUDFImpl for Augment {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of {NAME} depends on its literals")
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        FUNCTION.coerced(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let arguments = Arguments::new(&FUNCTION, args.scalar_arguments.iter().copied())?;
        let images = images(&arguments, &args.arg_fields[0])?;
        images.check(&arguments)?;
        for (parameter, field) in [&ID, &EPOCH].into_iter().zip(&args.arg_fields[3..]) {
            if !field.data_type().is_integer() {
                return Err(arguments.refused(parameter, &format!("is {}", field.data_type())));
            }
        }
        let none = new_empty_array(&DataType::UInt32);
        let array = new_empty_array(images.field.data_type());
        let array = augmented(&images.featurizer()?, &images.field, array, none.clone(), none)
            .map_err(|error| arguments.failed(error))?;
        Ok(Arc::new(Field::new(NAME, array.data_type().clone(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = Arguments::of_values(&FUNCTION, &args.args)?;
        let images = images(&arguments, &args.arg_fields[0])?;
        of_rows(&args, |rows| {
            let [array, ids, epochs] = [0, 3, 4].map(|place| args.args[place].to_array(rows));
            let (ids, epochs) = (ids?, epochs_of(&epochs?)?);
            for (numbers, name) in [(&ids, ID.name), (&epochs, EPOCH.name)] {
                if numbers.null_count() > 0 {
                    return exec_err!("{NAME}: the argument {name} is NULL in some rows");
                }
            }
            augmented(&images.featurizer()?, &images.field, array?, ids, epochs)
                .map_err(|error| exec_datafusion_err!("{NAME}: {error}"))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(FUNCTION.documentation())
    }
}
