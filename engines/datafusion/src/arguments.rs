//! The arguments of a call: literals that are checked when a query is planned.

use std::str::FromStr;
use std::sync::OnceLock;

use arrow_schema::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, DocSection, Documentation, Expr, Signature, Volatility};

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
pub const PIPELINE: Parameter = Parameter {
    name: "pipeline",
    about: "What is done to each image, a literal such as 'crop(pad=4),hflip(0.5),randaugment(2,9)'.",
};
pub const ID: Parameter = Parameter { name: "id", about: "The numbers of the samples, integers without NULL." };
pub const EPOCH: Parameter = Parameter { name: "epoch", about: "The epoch, integers from 0 on without NULL." };
pub const SEED: Parameter =
    Parameter { name: "seed", about: "What decides all that is random, a literal whole number from 0 on. NULL is 0." };
pub const PATH: Parameter = Parameter {
    name: "path",
    about: "A file, a folder or a pattern, a literal such as 'digits.json.gz' or 'data/**/*.parquet'.",
};
pub const READING: Parameter = Parameter {
    name: "options",
    about: "How to read files of JSON, a literal such as 'image=data.pixels, pixel_type=u16, late_members=rest'.",
};
pub const ROWS: Parameter = Parameter { name: "rows", about: "How many images, a literal whole number from 0 on." };

/// What a function is called, what it does, and which arguments it takes.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    does: &'static str,
    /// A call as an example.
    call: &'static str,
    parameters: &'static [&'static Parameter],
    /// How many of them cannot be left out.
    required: usize,
    documentation: OnceLock<Documentation>,
}

impl Function {
    pub const fn new(
        name: &'static str,
        does: &'static str,
        call: &'static str,
        parameters: &'static [&'static Parameter],
        required: usize,
    ) -> Self {
        Self { name, does, call, parameters, required, documentation: OnceLock::new() }
    }

    /// What DataFusion tells of it.
    pub fn documentation(&self) -> &Documentation {
        const SECTION: DocSection = DocSection { include: true, label: "Image Functions", description: None };
        self.documentation.get_or_init(|| {
            let text = Documentation::builder(SECTION, self.does, self.call);
            let parameters = self.parameters.iter();
            parameters.fold(text, |text, parameter| text.with_argument(parameter.name, parameter.about)).build()
        })
    }

    /// A signature of which [`Function::coerced`] checks the arguments.
    pub fn signature(&self) -> Signature {
        let mut signature = Signature::user_defined(Volatility::Immutable);
        signature.parameter_names = Some(self.parameters.iter().map(|parameter| parameter.name.to_owned()).collect());
        signature
    }

    /// The types of the arguments as they are: what they must be depends on more than their types.
    ///
    /// # Errors
    /// If there are too few or too many.
    pub fn coerced(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.count(types.len()).map(|()| types.to_vec())
    }

    fn count(&self, given: usize) -> Result<()> {
        if (self.required..=self.parameters.len()).contains(&given) {
            return Ok(());
        }
        let names = self.parameters.iter().enumerate().map(|(at, parameter)| match at < self.required {
            true => parameter.name.to_owned(),
            false => format!("[{}]", parameter.name),
        });
        plan_err!("{} takes {}, not {given} arguments", self.name, names.collect::<Vec<_>>().join(", "))
    }
}

/// The arguments of one call. Those that are no literals are `None`.
pub struct Arguments<'a> {
    function: &'static Function,
    literals: Vec<Option<&'a ScalarValue>>,
}

impl<'a> Arguments<'a> {
    /// The arguments of a call.
    ///
    /// # Errors
    /// If there are too few or too many.
    pub fn new(
        function: &'static Function,
        literals: impl IntoIterator<Item = Option<&'a ScalarValue>>,
    ) -> Result<Self> {
        let literals: Vec<_> = literals.into_iter().collect();
        function.count(literals.len())?;
        Ok(Self { function, literals })
    }

    /// Those of a call that is planned.
    ///
    /// # Errors
    /// As [`Arguments::new`].
    pub fn of_exprs(function: &'static Function, exprs: &'a [Expr]) -> Result<Self> {
        let literal = |expr: &'a Expr| match expr {
            Expr::Literal(literal, _) => Some(literal),
            _ => None,
        };
        Self::new(function, exprs.iter().map(literal))
    }

    /// Those of a call that is computed.
    ///
    /// # Errors
    /// As [`Arguments::new`].
    pub fn of_values(function: &'static Function, values: &'a [ColumnarValue]) -> Result<Self> {
        let literal = |value: &'a ColumnarValue| match value {
            ColumnarValue::Scalar(literal) => Some(literal),
            ColumnarValue::Array(_) => None,
        };
        Self::new(function, values.iter().map(literal))
    }

    /// The value of an argument; `None` if it was left out or is NULL.
    ///
    /// # Errors
    /// If the argument is no literal.
    pub fn literal(&self, parameter: &Parameter) -> Result<Option<&'a ScalarValue>> {
        let place = self.function.parameters.iter().position(|known| known.name == parameter.name);
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

    /// The names and values of an argument such as `encoding=encoded, order=chw`.
    ///
    /// # Errors
    /// As [`Arguments::text`]; also if a part has no `=`, or `set` takes no such name or value.
    pub fn options(&self, parameter: &Parameter, mut set: impl FnMut(&str, &str) -> Result<(), String>) -> Result<()> {
        let text = self.text(parameter)?.unwrap_or_default();
        for option in text.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            let pair = option.split_once('=').ok_or_else(|| format!("`{option}` is no name with = and a value"));
            pair.and_then(|(name, value)| set(name.trim(), value.trim()))
                .map_err(|why| self.refused(parameter, &format!("is wrong: {why}")))?;
        }
        Ok(())
    }

    /// The error of an argument that cannot be taken.
    pub fn refused(&self, parameter: &Parameter, why: &str) -> DataFusionError {
        let Parameter { name, about } = parameter;
        plan_datafusion_err!("{}: the argument {name} {why}. It is: {about}", self.function.name)
    }

    /// The name of the function.
    pub fn function(&self) -> &'static str {
        self.function.name
    }

    /// The error of a call that pixelfeat cannot plan.
    pub fn failed(&self, error: pixelfeat::Error) -> DataFusionError {
        match error {
            pixelfeat::Error::UnsupportedColumn { data_type, why, .. } => {
                plan_datafusion_err!("{}: the argument image is {data_type}: {why}", self.function.name)
            }
            other => plan_datafusion_err!("{}: {other}", self.function.name),
        }
    }
}
