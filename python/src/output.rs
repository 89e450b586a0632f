//! What functions return: arrays and batches, which anything that speaks Arrow takes.

use std::ffi::{CStr, c_int};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt8Type, UInt16Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch, StructArray};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field, FieldRef};
use pixelfeat::Defect;
use pyo3::exceptions::{PyBufferError, PyKeyError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use pyo3_arrow::ffi::{to_array_pycapsules, to_schema_pycapsule, to_stream_pycapsule};

use crate::buffer::Exported;
use crate::input::{AsStructs, Source};

/// An Arrow array of numbers, or of lists of them of one length.
///
/// Anything that speaks Arrow takes it (``pyarrow.array(x)``, ``polars.Series(x)``), and ``numpy.asarray(x)`` sees it without a
/// copy, with the dimensions of an item behind that of the rows. There a null is NaN, in a copy; integers with nulls are no
/// NumPy array.
#[pyclass(module = "pixelfeat", subclass, frozen)]
pub struct Array {
    array: ArrayRef,
    field: FieldRef,
    /// The dimensions of an item.
    sides: Vec<usize>,
}

impl Array {
    /// An array whose items are of these dimensions.
    pub fn new(array: ArrayRef, field: Field, sides: Vec<usize>) -> Self {
        Self { array, field: Arc::new(field), sides }
    }

    /// Numbers.
    pub fn plain(array: ArrayRef, name: &str) -> Self {
        let field = Field::new(name, array.data_type().clone(), true);
        Self::new(array, field, Vec::new())
    }

    fn exported(&self) -> PyResult<Exported> {
        let values = match self.array.as_fixed_size_list_opt() {
            Some(list) => list.values(),
            None => &self.array,
        };
        let shape: Vec<usize> = [&[self.array.len()], &self.sides[..]].concat();
        let has_nulls = self.array.null_count() > 0;
        let (bytes, format, item): (Buffer, &CStr, usize) = match values.data_type() {
            DataType::Float32 => {
                let values = values.as_primitive::<Float32Type>().values();
                match self.array.nulls().filter(|_| has_nulls) {
                    None => (values.inner().clone(), c"f", 4),
                    Some(nulls) => {
                        let mut values = values.to_vec();
                        let of_row = self.sides.iter().product::<usize>();
                        for (row, valid) in values.chunks_exact_mut(of_row.max(1)).zip(nulls) {
                            if !valid {
                                row.fill(f32::NAN);
                            }
                        }
                        (Buffer::from_vec(values), c"f", 4)
                    }
                }
            }
            _ if has_nulls => {
                let why = "a null integer has no place in a NumPy array: leave out the rows that are null, or convert by Arrow";
                return Err(PyBufferError::new_err(why));
            }
            DataType::UInt8 => (values.as_primitive::<UInt8Type>().values().inner().clone(), c"B", 1),
            DataType::UInt16 => (values.as_primitive::<UInt16Type>().values().inner().clone(), c"H", 2),
            other => return Err(PyBufferError::new_err(format!("NumPy has no form for {other}"))),
        };
        Ok(Exported::new(bytes, &shape, format, item))
    }
}

#[pymethods]
impl Array {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        Ok(to_array_pycapsules(py, self.field.clone(), &self.array, requested_schema)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.field.as_ref())?)
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let exported = slf.get().exported()?;
        // SAFETY: the interpreter passes a view to fill, and gives it to `__releasebuffer__`.
        unsafe { exported.fill(slf.into_any(), view, flags) }
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: the interpreter passes the views that `__getbuffer__` has filled.
        unsafe { Exported::release(view) }
    }

    fn __len__(&self) -> usize {
        self.array.len()
    }

    /// How many rows are null.
    #[getter]
    fn null_count(&self) -> usize {
        self.array.null_count()
    }

    fn __repr__(&self) -> String {
        format!(
            "<pixelfeat.Array of {} {}, {} null>",
            self.array.len(),
            self.array.data_type(),
            self.array.null_count()
        )
    }
}

/// The features of an array of images, row for row: an ``Array`` of ``FixedSizeList<Float32>``. A row is null if it could not be
/// featurized; ``invalid`` tells why.
#[pyclass(module = "pixelfeat", extends = Array, frozen)]
pub struct Features {
    columns: Vec<(String, ArrayRef)>,
    names: Vec<String>,
    defects: Vec<Defect>,
}

impl Features {
    pub fn new(
        py: Python<'_>,
        list: ArrayRef,
        columns: Vec<(String, ArrayRef)>,
        names: Vec<String>,
        defects: Vec<Defect>,
    ) -> PyResult<Py<Self>> {
        let field = Field::new(pixelfeat::features::FEATURES, list.data_type().clone(), true);
        let array = Array::new(list, field, vec![names.len()]);
        Py::new(py, PyClassInitializer::from(array).add_subclass(Self { columns, names, defects }))
    }
}

#[pymethods]
impl Features {
    /// The names of the values in the lists, in order.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// The names of the values that are columns of their own, such as ``pixel_mean``.
    #[getter]
    fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|(name, _)| name.clone()).collect()
    }

    /// A column of its own, as an ``Array`` of ``Float32``.
    ///
    /// Raises ``KeyError`` if the features have no such column.
    fn column(&self, name: &str) -> PyResult<Array> {
        let found = self.columns.iter().find(|(known, _)| known == name);
        let (name, column) = found.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
        Ok(Array::plain(column.clone(), name))
    }

    /// The rows that could not be featurized: for each a dict of ``row``, ``reason`` and ``detail``.
    #[getter]
    fn invalid<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let each = |defect: &Defect| {
            let about = PyDict::new(py);
            about.set_item("row", defect.row)?;
            about.set_item("reason", defect.reason.name())?;
            about.set_item("detail", &defect.detail)?;
            Ok(about)
        };
        self.defects.iter().map(each).collect()
    }

    fn __repr__(slf: PyRef<'_, Self>) -> String {
        let rows = slf.as_super().array.len();
        format!(
            "<pixelfeat.Features of {rows} rows, {} values each, {} rows invalid>",
            slf.names.len(),
            slf.defects.len()
        )
    }
}

/// Rows in columns: what a batch becomes, and what a stream consists of. Anything that speaks Arrow takes it
/// (``pyarrow.record_batch(x)``, ``pyarrow.table(x)``, ``polars.DataFrame(x)``).
#[pyclass(module = "pixelfeat", frozen)]
pub struct Batch(pub RecordBatch);

#[pymethods]
impl Batch {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let schema = self.0.schema();
        let field = Field::new_struct("", schema.fields().clone(), false).with_metadata(schema.metadata().clone());
        let rows = StructArray::from(self.0.clone());
        Ok(to_array_pycapsules(py, Arc::new(field), &rows, requested_schema)?)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let reader = AsStructs::new(Source::batch(self.0.clone()));
        Ok(to_stream_pycapsule(py, Box::new(reader), requested_schema)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        Ok(to_schema_pycapsule(py, self.0.schema_ref().as_ref())?)
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        self.0.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    }

    fn __repr__(&self) -> String {
        format!("<pixelfeat.Batch of {} rows: {}>", self.0.num_rows(), self.column_names().join(", "))
    }
}
