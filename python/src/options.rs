//! The options that featurizing functions share, from keywords.

use std::fmt::Display;
use std::str::FromStr;

use pixelfeat::stages::{Gray, Resize};
use pixelfeat::{Backend, Chain, Error, FeatureSpec, Featurizer, ImageShape, MaxInvalid, Stage};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::engines;
use crate::error::{raised, refused};

/// Every keyword that [`Options`] takes.
const NAMES: &[&str] = &[
    "shape",
    "column",
    "features",
    "stages",
    "gray",
    "resize",
    "seed",
    "encoding",
    "order",
    "pixel_type",
    "scale",
    "layout",
    "ragged",
    "keep_image",
    "on_invalid",
    "max_invalid",
    "backend",
    "threads",
];

/// What to compute, and with what. `None` for a keyword is its default.
pub struct Options {
    pub spec: FeatureSpec,
    pub backend: Backend,
    pub threads: usize,
    given: Vec<String>,
}

impl Options {
    pub fn new(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut options = Self { spec: FeatureSpec::default(), backend: Backend::Cpu, threads: 0, given: Vec::new() };
        let (mut gray, mut resize) = (false, None::<Resize>);
        for (key, value) in keywords.into_iter().flatten() {
            let key: String = key.extract()?;
            if !NAMES.contains(&key.as_str()) {
                let known = NAMES.join(", ");
                return Err(PyTypeError::new_err(format!("unexpected option `{key}`; there are {known}")));
            }
            if value.is_none() {
                continue;
            }
            let spec = &mut options.spec;
            match key.as_str() {
                "shape" => spec.shape = Some(read_sides::<ImageShape>("shape", &value)?),
                "column" => spec.image = plain("column", &value)?,
                "features" => spec.features = read_list("features", &value)?,
                "stages" => spec.stages = read_list("stages", &value)?,
                "gray" => gray = plain("gray", &value)?,
                "resize" => resize = Some(read_sides("resize", &value)?),
                "seed" => spec.seed = plain("seed", &value)?,
                "encoding" => spec.encoding = Some(read("encoding", &value)?),
                "order" => spec.order = Some(read("order", &value)?),
                "pixel_type" => spec.pixel_type = Some(read("pixel_type", &value)?),
                "scale" => spec.scale = Some(plain("scale", &value)?),
                "layout" => spec.layout = read("layout", &value)?,
                "ragged" => spec.ragged = plain("ragged", &value)?,
                "keep_image" => spec.keep_image = read("keep_image", &value)?,
                "on_invalid" => spec.on_invalid = read("on_invalid", &value)?,
                "max_invalid" => {
                    spec.max_invalid = match value.extract() {
                        Ok(rows) => MaxInvalid::Rows(rows),
                        Err(_) => read("max_invalid", &value)?,
                    }
                }
                "backend" => options.backend = read("backend", &value)?,
                _ => options.threads = plain("threads", &value)?,
            }
            options.given.push(key);
        }
        if (gray || resize.is_some()) && !options.spec.stages.is_empty() {
            return Err(refused(
                "stages",
                "gray and resize are short for stages of these names: give one or the other",
            ));
        }
        let short = gray.then_some(Stage::Gray(Gray(None))).into_iter().chain(resize.map(Stage::Resize));
        options.spec.stages = short.fold(options.spec.stages, Chain::with);
        Ok(options)
    }

    /// Whether a keyword was given, and not as `None`.
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|given| given == name)
    }

    /// The keywords that were given, but for some.
    pub fn given_beside(&self, names: &[&str]) -> Option<&str> {
        self.given.iter().map(String::as_str).find(|given| !names.contains(given))
    }

    /// Computes what the options say.
    pub fn featurizer(&self) -> PyResult<Featurizer> {
        let engine = engines::engine(self.backend, self.threads).map_err(raised)?;
        Ok(Featurizer::new(engine, self.spec.clone()))
    }
}

/// A value of a type that Python knows.
fn plain<'py, T: FromPyObjectOwned<'py>>(option: &str, value: &Bound<'py, PyAny>) -> PyResult<T> {
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        PyTypeError::new_err(format!("{option}: {}", error.value(value.py())))
    })
}

/// A value that is written as text.
pub fn read<T: FromStr<Err = Error>>(option: &'static str, value: &Bound<'_, PyAny>) -> PyResult<T> {
    plain::<String>(option, value)?.parse().map_err(|error| match error {
        Error::InvalidOption { why, .. } => refused(option, why),
        other => raised(other),
    })
}

/// Text, or the sides as a tuple or list of numbers.
pub fn read_sides<T: FromStr<Err = Error>>(option: &'static str, value: &Bound<'_, PyAny>) -> PyResult<T> {
    match value.extract::<Vec<usize>>() {
        Ok(sides) => read(option, joined(&sides, "x", value.py()).as_any()),
        Err(_) => read(option, value),
    }
}

/// Text, or a list of the parts that the text has between its commas.
pub fn read_list<T: FromStr<Err = Error>>(option: &'static str, value: &Bound<'_, PyAny>) -> PyResult<T> {
    match value.extract::<Vec<String>>() {
        Ok(parts) => read(option, joined(&parts, ",", value.py()).as_any()),
        Err(_) => read(option, value),
    }
}

fn joined<'py>(parts: &[impl Display], between: &str, py: Python<'py>) -> Bound<'py, PyString> {
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    PyString::new(py, &parts.join(between))
}
