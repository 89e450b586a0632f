//! `pixel_profile`: the profile of images and their features, an aggregate.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, internal_err, plan_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Documentation, Expr, ExprSchemable, Signature};
use datafusion::physical_expr::expressions::Literal;
use pixelfeat::quality::Profile;
use pixelfeat::{Observed, Observer, describe_column};

use crate::arguments::{Arguments, FEATURES, Function, IMAGE, OPTIONS, SHAPE};
use crate::images::Images;

const NAME: &str = "pixel_profile";
static FUNCTION: Function = Function::new(
    NAME,
    "The profile of images and their features as JSON, which pixelfeat's tools read. An aggregate.",
    "pixel_profile(image, '28x28')",
    &[&IMAGE, &SHAPE, &FEATURES, &OPTIONS],
    2,
);
/// Profiles of many groups can be more text than the offsets of a `Utf8` array reach.
const TEXT: DataType = DataType::LargeUtf8;
/// About the memory that the numbers of a feature take. It grows with their magnitudes, not with the rows.
const BYTES_PER_FEATURE: usize = 16 << 10;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PixelProfile {
    signature: Signature,
}

impl Default for PixelProfile {
    fn default() -> Self {
        Self { signature: FUNCTION.signature() }
    }
}

fn refuse_distinct(is_distinct: bool) -> Result<()> {
    match is_distinct {
        true => plan_err!("{NAME} takes no DISTINCT: every row counts"),
        false => Ok(()),
    }
}

impl AggregateUDFImpl for PixelProfile {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(TEXT)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        FUNCTION.coerced(types)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        let arguments = Arguments::new(&FUNCTION, fields.iter().map(|_| None))?;
        describe_column(&fields[0]).map_err(|error| arguments.failed(error))?;
        Ok(Arc::new(Field::new(NAME, TEXT, true)))
    }

    /// Changes nothing. It is the only place where an aggregate sees its literals before the query runs.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(|function: AggregateFunction, context: &SimplifyContext| {
            let args = &function.params.args;
            let arguments = Arguments::of_exprs(&FUNCTION, args)?;
            let (_, field) = args[0].to_field(context.schema().as_ref())?;
            Images::new(&arguments, &field)?.check(&arguments)?;
            refuse_distinct(function.params.distinct)?;
            Ok(Expr::AggregateFunction(function))
        }))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(args.is_distinct)?;
        let literals = args.exprs.iter().map(|expr| expr.downcast_ref::<Literal>().map(Literal::value));
        let arguments = Arguments::new(&FUNCTION, literals)?;
        let images = Images::new(&arguments, &args.expr_fields[0])?;
        images.check(&arguments)?;
        Ok(Box::new(Profiling { images, profile: Profile::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "profile"), TEXT, true))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(FUNCTION.documentation())
    }
}

/// The profile of the rows of one group so far.
#[derive(Debug)]
struct Profiling {
    images: Images,
    profile: Profile,
}

/// Adds the batches of a run to a profile.
struct Adding<'a>(&'a mut Profile);

impl Observer for Adding<'_> {
    fn observe(&mut self, batch: &Observed<'_>) -> pixelfeat::Result<()> {
        self.0.add(batch, None)
    }
}

impl Profiling {
    fn text(&self) -> Result<ScalarValue> {
        let mut text = Vec::new();
        self.profile.write_json(&mut text)?;
        match String::from_utf8(text) {
            Ok(text) => Ok(ScalarValue::LargeUtf8(Some(text))),
            Err(error) => internal_err!("a profile is not UTF-8: {error}"),
        }
    }
}

impl Accumulator for Profiling {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(images) = values.first().filter(|images| !images.is_empty()) else { return Ok(()) };
        let schema = Arc::new(Schema::new(vec![self.images.field.clone()]));
        let batch = RecordBatch::try_new(schema, vec![images.clone()])?;
        self.images
            .featurizer()?
            .featurize_batch(&batch, Some(&mut Adding(&mut self.profile)))
            .map_err(|error| exec_datafusion_err!("{NAME}: {error}"))?;
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first().and_then(|states| states.as_string_opt::<i64>()) else {
            return exec_err!("{NAME}: the state of a partition is no text");
        };
        for text in states.iter().flatten() {
            let damaged = |why: String| exec_datafusion_err!("{NAME}: the state of a partition is damaged: {why}");
            let json = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
            let other = Profile::from_json(&json).map_err(|error| damaged(error.to_string()))?;
            self.profile.merge(&other).map_err(|error| damaged(error.to_string()))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.text()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.text()
    }

    fn size(&self) -> usize {
        size_of_val(self) + (1 + self.profile.features().len()) * BYTES_PER_FEATURE
    }
}
