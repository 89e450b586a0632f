//! The arguments of a call: literals that are checked when a query is planned.

use std::str::FromStr;

use arrow_schema::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, Signature, TypeSignature, Volatility};

/// An argument of a function.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    /// What it can be, in words.
    pub about: &'static str,
}

pub const IMAGE: Parameter = Parameter {
    name: "image",
    about: "The images: lists of numbers, tensors, bytes (raw pixels, or encoded images if the options say so) or structs of them.",
};
pub const SHAPE: Parameter =
    Parameter { name: "shape", about: "The shape of the images, a literal such as '28x28' or '64x64x3'." };
pub const FEATURES: Parameter = Parameter {
    name: "features",
    about: "The features to compute, a literal such as 'profiles,gradients'. NULL is the default, 'profiles'.",
};
pub const OPTIONS: Parameter = Parameter {
    name: "options",
    about: "What else is known of the images, a literal such as 'encoding=encoded, order=chw, pixel_type=u16, scale=1'.",
};

/// A signature of `required` arguments or more, whose types the function checks itself.
pub fn signature(parameters: &[&Parameter], required: usize) -> Signature {
    let counts = (required..=parameters.len()).map(TypeSignature::Any).collect();
    let names = parameters.iter().map(|parameter| parameter.name.to_owned()).collect();
    let mut signature = Signature::one_of(counts, Volatility::Immutable);
    // `with_parameter_names` only compares the counts, which are those of one list here.
    signature.parameter_names = Some(names);
    signature
}

/// The arguments of one call. Those that are no literals are `None`.
pub struct Arguments<'a> {
    pub function: &'static str,
    pub parameters: &'a [&'static Parameter],
    pub literals: Vec<Option<&'a ScalarValue>>,
}

impl<'a> Arguments<'a> {
    /// Those of a call that is computed.
    pub fn of_values(
        function: &'static str,
        parameters: &'a [&'static Parameter],
        values: &'a [ColumnarValue],
    ) -> Self {
        let literal = |value: &'a ColumnarValue| match value {
            ColumnarValue::Scalar(literal) => Some(literal),
            ColumnarValue::Array(_) => None,
        };
        Self { function, parameters, literals: values.iter().map(literal).collect() }
    }

    /// The value of an argument; `None` if it was left out or is NULL.
    ///
    /// # Errors
    /// If the argument is no literal.
    pub fn literal(&self, parameter: &Parameter) -> Result<Option<&'a ScalarValue>> {
        let place = self.parameters.iter().position(|known| known.name == parameter.name);
        match place.and_then(|place| self.literals.get(place)) {
            Some(Some(literal)) => Ok(Some(*literal).filter(|literal| !literal.is_null())),
            Some(None) => Err(self.refused(parameter, "is not a literal")),
            None => Ok(None),
        }
    }

    /// The text of an argument, read as what it stands for.
    ///
    /// # Errors
    /// If the argument is no literal, is not text, or does not stand for such a thing.
    pub fn read<T: FromStr<Err = pixelfeat::Error>>(&self, parameter: &Parameter) -> Result<Option<T>> {
        let Some(text) = self.text(parameter)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| match error {
            pixelfeat::Error::InvalidOption { why, .. } => self.refused(parameter, &format!("is wrong: {why}")),
            other => self.refused(parameter, &format!("is wrong: {other}")),
        })
    }

    /// As [`Arguments::read`], of an argument that is required.
    ///
    /// # Errors
    /// As [`Arguments::read`]; also if it is NULL.
    pub fn require<T: FromStr<Err = pixelfeat::Error>>(&self, parameter: &Parameter) -> Result<T> {
        self.read(parameter)?.ok_or_else(|| self.refused(parameter, "is NULL"))
    }

    /// The text of an argument.
    ///
    /// # Errors
    /// If the argument is no literal or not text.
    pub fn text(&self, parameter: &Parameter) -> Result<Option<&'a str>> {
        let Some(literal) = self.literal(parameter)? else { return Ok(None) };
        match literal.try_as_str() {
            Some(text) => Ok(text),
            None => Err(self.refused(parameter, &format!("is {}, not text", literal.data_type()))),
        }
    }

    /// The whole number of an argument.
    ///
    /// # Errors
    /// If the argument is no literal, or no whole number from 0 on.
    pub fn number(&self, parameter: &Parameter) -> Result<Option<u64>> {
        let Some(literal) = self.literal(parameter)? else { return Ok(None) };
        match literal.cast_to(&DataType::UInt64) {
            Ok(ScalarValue::UInt64(Some(number))) if literal.data_type().is_integer() => Ok(Some(number)),
            _ => Err(self.refused(parameter, &format!("is {literal}, not a whole number from 0 on"))),
        }
    }

    /// The error of an argument that cannot be taken.
    pub fn refused(&self, parameter: &Parameter, why: &str) -> DataFusionError {
        let Parameter { name, about } = parameter;
        plan_datafusion_err!("{}: the argument {name} {why}. It is: {about}", self.function)
    }

    /// The error of a call that pixelfeat cannot plan.
    pub fn failed(&self, error: pixelfeat::Error) -> DataFusionError {
        match error {
            pixelfeat::Error::UnsupportedColumn { data_type, why, .. } => {
                plan_datafusion_err!("{}: the argument image is {data_type}: {why}", self.function)
            }
            other => plan_datafusion_err!("{}: {other}", self.function),
        }
    }

    /// Fails if there are too few arguments. The signature has checked it already where SQL was planned.
    ///
    /// # Errors
    /// If there are fewer than `required`.
    pub fn at_least(&self, required: usize) -> Result<()> {
        if self.literals.len() < required {
            let names: Vec<_> = self.parameters.iter().map(|parameter| parameter.name).collect();
            return plan_err!("{} takes the arguments {}", self.function, names.join(", "));
        }
        Ok(())
    }
}
