//! What files hold, before any run, as the example `inspect` of the crate tells it. The pass over the rows and the contact sheet
//! are that example's own files.

#[path = "../../examples/inspect/canvas.rs"]
mod canvas;
#[path = "../../examples/inspect/found.rs"]
mod found;
#[path = "../../examples/inspect/panels.rs"]
mod panels;
#[path = "../../examples/inspect/picture.rs"]
mod picture;
#[path = "../../examples/inspect/shapes.rs"]
mod shapes;
#[path = "../../examples/inspect/values.rs"]
mod values;

use std::path::PathBuf;

use arrow_array::RecordBatchReader;
use pixelfeat::{Error, FeatureSet, Report};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use self::found::{Found, Look, type_name};
use self::values::list_blocks;
use crate::error::raised;
use crate::files::paths;
use crate::options::{read, read_list, read_sides};

/// Reads all rows once: a dict of what there is, and a PNG file of the first images, or None. The package makes one object of
/// the two.
#[pyfunction(signature = (path, *, column=None, shape=None, pixel_type=None, labels=None, limit=None, features=None, picture=true))]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn inspect<'py>(
    path: &Bound<'py, PyAny>,
    column: Option<String>,
    shape: Option<&Bound<'py, PyAny>>,
    pixel_type: Option<&Bound<'py, PyAny>>,
    labels: Option<PathBuf>,
    limit: Option<u64>,
    features: Option<&Bound<'py, PyAny>>,
    picture: bool,
) -> PyResult<(Bound<'py, PyDict>, Option<Bound<'py, PyBytes>>)> {
    let py = path.py();
    let look = Look {
        inputs: paths(path)?,
        image: column,
        shape: shape.map(|shape| read_sides("shape", shape)).transpose()?,
        pixel_type: pixel_type.map(|name| read("pixel_type", name)).transpose()?,
        labels,
        rows: limit,
        features: features.map_or_else(|| Ok(FeatureSet::default()), |set| read_list("features", set))?,
        draws: picture,
    };
    let look_at = || {
        let (image, reader) = found::open(&look)?;
        let mut found = Found::new(&reader.schema(), &image, &look);
        found.read(&look, reader)?;
        Ok::<_, Error>(found)
    };
    let found = py.detach(look_at).map_err(raised)?;
    let about = PyDict::new(py);
    about.set_item("column", &found.image)?;
    about.set_item("layout", found.layout())?;
    let report = found.report.as_ref();
    about.set_item("rows", report.map_or(0, |report| report.rows_in))?;
    about.set_item("valid", report.map_or(0, |report| report.rows_featurized))?;
    about.set_item("shape", report.map(|report| report.shape.to_string()))?;
    about.set_item("pixel_type", report.map(|report| report.pixel_type.to_string()))?;
    about.set_item("range", found.range)?;
    about.set_item("fits", report.and_then(|report| report.fits).map(|fits| fits.to_string()))?;
    about.set_item("columns", columns(py, &found)?)?;
    about.set_item("invalid", invalid(py, &found)?)?;
    about.set_item("features", report.map(|report| blocks(py, &found, report)).transpose()?)?;
    let sheet = found.sheet.as_ref().filter(|sheet| sheet.images() > 0);
    let png = sheet.and_then(|sheet| py.detach(|| sheet.png()).ok());
    Ok((about, png.map(|png| PyBytes::new(py, &png))))
}

fn columns<'py>(py: Python<'py>, found: &Found) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let each = |(field, nulls): (&arrow_schema::Field, u64)| {
        let about = PyDict::new(py);
        about.set_item("name", field.name())?;
        about.set_item("type", type_name(field.data_type()))?;
        about.set_item("nulls", nulls)?;
        Ok(about)
    };
    found.columns().into_iter().map(each).collect()
}

/// For each reason how many rows, and the first of them.
fn invalid<'py>(py: Python<'py>, found: &Found) -> PyResult<Bound<'py, PyDict>> {
    let by_reason = PyDict::new(py);
    for (reason, odd) in &*found.odd() {
        let about = PyDict::new(py);
        about.set_item("rows", odd.rows)?;
        about.set_item("first", &odd.first)?;
        by_reason.set_item(reason.name(), about)?;
    }
    Ok(by_reason)
}

/// The blocks of the feature list: their names, places and ranges, and the names of their first and last value.
fn blocks<'py>(py: Python<'py>, found: &Found, report: &Report) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let layout = found.features.layout(report.shape, 1.0).map_err(raised)?;
    let each = |block: values::ListBlock| {
        let about = PyDict::new(py);
        about.set_item("name", &block.name)?;
        about.set_item("start", block.range.start)?;
        about.set_item("stop", block.range.end)?;
        about.set_item("first", &block.first)?;
        about.set_item("last", &block.last)?;
        about.set_item("range", found.ranges.of(&block))?;
        Ok(about)
    };
    list_blocks(&layout).into_iter().map(each).collect()
}
