//! What functions are given: one array of images, several of them, a batch of rows, or a stream of batches.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema};
use pixelfeat::{BoxedReader, FeatureStream, ImageShape, RowOrigins, StreamOptions, Warnings, describe_column, io};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::ffi::ArrayReader;
use pyo3_arrow::input::AnyArray;

use crate::buffer;
use crate::error::{raised, refused};
use crate::stream::Stream;

/// What a function was given.
pub enum Input {
    /// One array of images.
    Images(ArrayRef, Field),
    /// Arrays of images, as batches of one column.
    Chunks(Source),
    /// Rows.
    Batch(RecordBatch),
    /// Batches of rows.
    Stream(Source),
}

/// Batches, and what is known of where they come from.
pub struct Source {
    pub reader: BoxedReader,
    /// Whether Python code may have to run for the next batch.
    pub may_need_python: bool,
    origins: RowOrigins,
    warnings: Warnings,
    is_live: bool,
}

impl Source {
    /// What another library hands over.
    pub fn foreign(reader: BoxedReader) -> Self {
        Self {
            reader,
            may_need_python: true,
            origins: RowOrigins::default(),
            warnings: Warnings::default(),
            is_live: false,
        }
    }

    /// Batches in memory, and others that the crate makes on its own.
    pub fn own(reader: BoxedReader) -> Self {
        Self { may_need_python: false, ..Self::foreign(reader) }
    }

    /// What a run yields. Its input may need Python.
    pub fn run(stream: FeatureStream, may_need_python: bool) -> Self {
        Self { may_need_python, ..Self::own(Box::new(stream)) }
    }

    /// One batch.
    pub fn batch(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        Self::own(Box::new(RecordBatchIterator::new([Ok(batch)], schema)))
    }

    /// Files.
    pub fn files(reader: io::Reader) -> Self {
        let (origins, warnings, is_live) = (reader.origins(), reader.warnings(), reader.is_live());
        Self { origins, warnings, is_live, ..Self::own(Box::new(reader)) }
    }

    /// Some of the columns, by their places.
    pub fn project(self, places: Vec<usize>) -> Result<Self, ArrowError> {
        let schema = Arc::new(self.reader.schema().project(&places)?);
        let batches = self.reader.map(move |batch| batch?.project(&places));
        Ok(Self { reader: Box::new(RecordBatchIterator::new(batches, schema)), ..self })
    }

    /// The reader, and what a run should know of it.
    pub fn into_parts(self) -> (BoxedReader, StreamOptions) {
        let options = StreamOptions::default()
            .with_origins(self.origins)
            .with_warnings(self.warnings)
            .with_empty_is_pause(self.is_live);
        (self.reader, options)
    }
}

impl Input {
    /// What `data` is. A struct is a batch of rows if it has a column `column`, or if it cannot be an image; Daft's tensors and
    /// images and those of Hugging Face are structs as well. `shape` is that of the images, if it is declared.
    pub fn new(data: &Bound<'_, PyAny>, column: &str, shape: Option<ImageShape>) -> PyResult<Self> {
        let py = data.py();
        if let Ok(stream) = data.cast::<Stream>() {
            return stream.get().take().map(Self::Stream);
        }
        if data.hasattr("__arrow_c_array__")? || data.hasattr("__arrow_c_stream__")? {
            return match data.extract()? {
                AnyArray::Array(array) => {
                    let (array, field) = array.into_inner();
                    Self::of_array(array, &field, column)
                }
                // The first batch may be made by Python code.
                AnyArray::Stream(stream) => {
                    let reader = stream.into_reader()?;
                    py.detach(|| Self::of_arrays(reader, column))
                }
            };
        }
        match buffer::images(data, column, shape)? {
            Some((images, field)) => Ok(Self::Images(images, field)),
            None => Err(PyTypeError::new_err(format!(
                "{} has neither `__arrow_c_array__` nor `__arrow_c_stream__` nor the buffer protocol",
                data.get_type().name()?
            ))),
        }
    }

    /// Rows alone, for functions that need columns.
    pub fn rows(data: &Bound<'_, PyAny>) -> PyResult<Source> {
        match Self::new(data, "", None)? {
            Input::Batch(batch) => Ok(Source::batch(batch)),
            Input::Stream(source) => Ok(source),
            _ => {
                Err(PyTypeError::new_err("one array has no columns: it takes a table, a batch or a stream of batches"))
            }
        }
    }

    fn of_array(array: ArrayRef, field: &Field, column: &str) -> PyResult<Self> {
        if is_table(field, column) {
            return to_batch(&array, field).map(Self::Batch).map_err(|error| raised(error.into()));
        }
        Ok(Self::Images(array, image_field(field, column)))
    }

    fn of_arrays(reader: Box<dyn ArrayReader + Send>, column: &str) -> PyResult<Self> {
        let field = reader.field();
        if is_table(&field, column) {
            let schema = Arc::new(schema_of(&field));
            let batches = reader.map(move |array| to_batch(&array?, &field));
            return Ok(Self::Stream(Source::foreign(Box::new(RecordBatchIterator::new(batches, schema)))));
        }
        let schema = Arc::new(Schema::new(vec![image_field(&field, column)]));
        let of_batch = schema.clone();
        let batches = reader.map(move |array| RecordBatch::try_new(of_batch.clone(), vec![array?]));
        Ok(Self::Chunks(Source::foreign(Box::new(RecordBatchIterator::new(batches, schema)))))
    }
}

fn is_table(field: &Field, column: &str) -> bool {
    match field.data_type() {
        DataType::Struct(columns) => {
            columns.iter().any(|known| known.name() == column) || describe_column(field).is_err()
        }
        _ => false,
    }
}

/// The field of images that are no column of a table.
fn image_field(field: &Field, column: &str) -> Field {
    field.clone().with_name(column).with_nullable(true)
}

/// A table's schema travels as a struct.
fn schema_of(field: &Field) -> Schema {
    let columns = match field.data_type() {
        DataType::Struct(columns) => columns.clone(),
        _ => Default::default(),
    };
    Schema::new_with_metadata(columns, field.metadata().clone())
}

fn to_batch(array: &ArrayRef, field: &Field) -> Result<RecordBatch, ArrowError> {
    let rows: &StructArray = array.as_struct();
    if rows.null_count() > 0 {
        return Err(ArrowError::InvalidArgumentError("a row of the table is null as a whole".to_owned()));
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(schema_of(field)), rows.columns().to_vec(), &options)
}

/// Batches as a struct array each, which is how streams of them travel.
pub struct AsStructs {
    reader: BoxedReader,
    field: FieldRef,
    may_need_python: bool,
}

impl AsStructs {
    pub fn new(source: Source) -> Self {
        let schema = source.reader.schema();
        let field = Field::new_struct("", schema.fields().clone(), false).with_metadata(schema.metadata().clone());
        Self { field: Arc::new(field), may_need_python: source.may_need_python, reader: source.into_parts().0 }
    }
}

impl Iterator for AsStructs {
    type Item = Result<ArrayRef, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Whoever asks may hold the interpreter, and a thread that reads for us may wait for it.
        let next = match self.may_need_python {
            true => Python::attach(|py| py.detach(|| self.reader.next())),
            false => self.reader.next(),
        };
        next.map(|batch| match batch {
            Ok(batch) => Ok(Arc::new(StructArray::from(batch)) as ArrayRef),
            // The message becomes a C string.
            Err(error) => Err(ArrowError::ExternalError(error.to_string().replace('\0', "\\0").into())),
        })
    }
}

impl ArrayReader for AsStructs {
    fn field(&self) -> FieldRef {
        self.field.clone()
    }
}

/// An array of integers, from Arrow, the buffer protocol or a list.
pub fn integers(option: &'static str, data: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    let array = if data.hasattr("__arrow_c_array__")? {
        data.extract::<pyo3_arrow::PyArray>()?.into_inner().0
    } else if let Some(numbers) = buffer::numbers(data)? {
        numbers
    } else {
        let numbers: Vec<u64> =
            data.extract().map_err(|_| refused(option, "it is not an array or list of integers"))?;
        Arc::new(arrow_array::UInt64Array::from(numbers))
    };
    match array.data_type().is_integer() {
        true => Ok(array),
        false => Err(refused(option, format!("it holds {}, not integers", array.data_type()))),
    }
}
