//! Streams of batches: files that are read, and rows that become features meanwhile.

use std::sync::{Mutex, PoisonError};

use arrow_array::RecordBatchReader;
use arrow_schema::SchemaRef;
use pixelfeat::{FeatureStream, Report, ReportHandle};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use pyo3_arrow::ffi::{to_schema_pycapsule, to_stream_pycapsule};

use crate::error::{raised, refused};
use crate::input::{AsStructs, Source};
use crate::output::Batch;

/// A stream of batches, which can be read once: by iterating, by handing it to anything that speaks Arrow
/// (``pyarrow.table(x)``, ``polars.DataFrame(x)``), or by ``write``. Memory holds a few batches.
///
/// Errors are ``pixelfeat.Error`` if it is iterated or given to a function of this package. Other libraries raise exceptions of
/// their own, with the same message.
#[pyclass(module = "pixelfeat", frozen)]
pub struct Stream {
    schema: SchemaRef,
    source: Mutex<Option<Source>>,
    report: Option<ReportHandle>,
}

impl Stream {
    /// Batches as they are.
    pub fn new(source: Source) -> Self {
        Self { schema: source.reader.schema(), source: Mutex::new(Some(source)), report: None }
    }

    /// Batches of a run. `may_need_python` is that of its input.
    pub fn of_run(stream: FeatureStream, may_need_python: bool) -> Self {
        let report = Some(stream.report_handle());
        Self { report, ..Self::new(Source::run(stream, may_need_python)) }
    }

    /// Other batches made of its own, with the same report.
    pub fn with_source(self, change: impl FnOnce(Source) -> PyResult<Source>) -> PyResult<Self> {
        let report = self.report.clone();
        Ok(Self { report, ..Self::new(change(self.take()?)?) })
    }

    /// Takes the batches that are left.
    pub fn take(&self) -> PyResult<Source> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.take().ok_or_else(|| refused("stream", "it has been read, and a stream can be read once"))
    }
}

#[pymethods]
impl Stream {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_stream_pycapsule(py, Box::new(AsStructs::new(self.take()?)), requested_schema)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.schema.as_ref())?)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        py.detach(|| {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(reader) = source.as_mut().map(|source| &mut source.reader) else { return Ok(None) };
            // A batch without rows says that the input pauses.
            match reader.by_ref().find(|batch| batch.as_ref().map_or(true, |batch| batch.num_rows() > 0)) {
                Some(Ok(batch)) => Ok(Some(Batch(batch))),
                end => {
                    *source = None;
                    end.transpose().map(|_| None).map_err(|error| raised(error.into()))
                }
            }
        })
    }

    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The account of the rows so far: a dict of ``rows``, ``featurized``, ``invalid`` (rows by reason), ``shape``,
    /// ``pixel_type``, ``backend`` and ``warnings``. None if the stream makes no features.
    #[getter]
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.report.as_ref().map(|report| to_dict(py, &report.get())).transpose()
    }

    fn __repr__(&self) -> String {
        format!("<pixelfeat.Stream of {}>", self.column_names().join(", "))
    }
}

fn to_dict<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let (about, invalid) = (PyDict::new(py), PyDict::new(py));
    for (reason, rows) in &report.rows_invalid {
        invalid.set_item(reason.name(), rows)?;
    }
    about.set_item("rows", report.rows_in)?;
    about.set_item("featurized", report.rows_featurized)?;
    about.set_item("invalid", invalid)?;
    about.set_item("shape", report.shape.to_string())?;
    about.set_item("pixel_type", report.pixel_type.to_string())?;
    about.set_item("backend", report.backend())?;
    about.set_item("warnings", &report.warnings)?;
    Ok(about)
}
