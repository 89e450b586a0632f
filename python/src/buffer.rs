//! The buffer protocol: NumPy arrays and the like as images, and arrays of images or features as NumPy sees them.

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, FixedSizeListArray, PrimitiveArray};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_schema::Field;
use pixelfeat::ImageShape;
use pyo3::buffer::{Element, PyBuffer, PyUntypedBuffer};
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::error::refused;

/// The images of an object with the buffer protocol: N×L, N×H×W, or N×H×W×C or N×C×H×W. They are not copied if they lie side
/// by side in C order. Of three and four dimensions the field says that they are tensors, so that the crate settles their
/// order as that of any tensor. `None` if the object has no buffer.
///
/// If all images are of another size than was declared, that is a mistake of the caller and not of the rows.
pub fn images(
    data: &Bound<'_, PyAny>,
    column: &str,
    declared: Option<ImageShape>,
) -> PyResult<Option<(ArrayRef, Field)>> {
    let Ok(buffer) = PyUntypedBuffer::get(data) else { return Ok(None) };
    let shape = buffer.shape().to_vec();
    let [rows, sides @ ..] = &shape[..] else {
        return Err(refused("data", "an array without dimensions holds no images"));
    };
    if sides.is_empty() || sides.len() > 3 {
        let why = format!("an array of shape {shape:?} is not N×L, N×H×W or N×H×W×C");
        return Err(refused("data", why));
    }
    let length = sides.iter().product::<usize>();
    if length == 0 || i32::try_from(length).is_err() {
        return Err(refused("data", format!("an array of shape {shape:?} has no images that a list can hold")));
    }
    if let Some(declared) = declared.filter(|declared| declared.values() != length) {
        return Err(refused("shape", format!("an array of shape {shape:?} holds no images of {declared}")));
    }
    let values = values(data.py(), buffer)?;
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let list = FixedSizeListArray::try_new_with_length(item, length as i32, values, None, *rows);
    let list: ArrayRef = Arc::new(list.map_err(|error| refused("data", error.to_string()))?);
    let mut field = Field::new(column, list.data_type().clone(), true);
    if sides.len() > 1 {
        field.set_metadata(HashMap::from([
            ("ARROW:extension:name".to_owned(), "arrow.fixed_shape_tensor".to_owned()),
            ("ARROW:extension:metadata".to_owned(), format!("{{\"shape\":{sides:?}}}")),
        ]));
    }
    Ok(Some((list, field)))
}

/// The numbers of an object with the buffer protocol and one dimension; `None` if it has none.
pub fn numbers(data: &Bound<'_, PyAny>) -> PyResult<Option<ArrayRef>> {
    match PyUntypedBuffer::get(data) {
        Ok(buffer) if buffer.dimensions() == 1 => values(data.py(), buffer).map(Some),
        _ => Ok(None),
    }
}

/// All values of a buffer in C order, as an array of their type.
fn values(py: Python<'_>, buffer: PyUntypedBuffer) -> PyResult<ArrayRef> {
    macro_rules! of_types {
        ($($Type:ty),*) => {
            $(if buffer.as_typed::<<$Type as ArrowPrimitiveType>::Native>().is_ok() {
                return typed::<$Type>(py, buffer.into_typed()?);
            })*
        };
    }
    // PyO3 0.30 takes `>` for the order of a little-endian machine.
    let is_swapped = cfg!(target_endian = "little") && matches!(buffer.format().to_bytes(), [b'>' | b'!', ..]);
    if !is_swapped || buffer.item_size() == 1 {
        of_types!(
            UInt8Type,
            UInt16Type,
            Float32Type,
            Int8Type,
            Int16Type,
            Int32Type,
            Int64Type,
            UInt32Type,
            UInt64Type,
            Float64Type
        );
    }
    let format = buffer.format().to_string_lossy().into_owned();
    let known = "integers of 8 to 64 bits or floats of 32 or 64 bits, in the machine's byte order and aligned";
    Err(PyTypeError::new_err(format!("an array of format `{format}` is not one of {known}: use astype")))
}

fn typed<T: ArrowPrimitiveType>(py: Python<'_>, buffer: PyBuffer<T::Native>) -> PyResult<ArrayRef>
where
    T::Native: Element,
{
    let values = match buffer.as_slice_ptr().filter(|_| buffer.is_c_contiguous()) {
        Some(values) if !values.is_empty() => {
            let bytes = values.len() * size_of::<T::Native>();
            // SAFETY: the bytes are there, initialised and where they are until the buffer is released, which is when Arrow
            // drops what owns them. As for all users of the protocol, nobody may change them meanwhile.
            let shared = unsafe { Buffer::from_custom_allocation(values.cast::<u8>(), bytes, Arc::new(Held(buffer))) };
            ScalarBuffer::new(shared, 0, bytes / size_of::<T::Native>())
        }
        _ => ScalarBuffer::from(buffer.to_vec(py)?),
    };
    Ok(Arc::new(PrimitiveArray::<T>::new(values, None)))
}

/// Keeps a buffer until Arrow no longer needs it.
struct Held<T: Element>(#[expect(dead_code, reason = "held, not read")] PyBuffer<T>);

// A panic cannot leave it in a broken state: nothing of it is changed.
impl<T: Element> std::panic::RefUnwindSafe for Held<T> {}

/// Values as others see them through the buffer protocol: read-only, in C order.
pub struct Exported {
    values: Buffer,
    shape: Vec<isize>,
    strides: Vec<isize>,
    format: &'static CStr,
    item: usize,
}

impl Exported {
    /// `values` are items of `item` bytes, of a struct-module format.
    pub fn new(values: Buffer, shape: &[usize], format: &'static CStr, item: usize) -> Self {
        let shape: Vec<isize> = shape.iter().map(|side| *side as isize).collect();
        let mut strides = vec![item as isize; shape.len()];
        for at in (1..shape.len()).rev() {
            strides[at - 1] = strides[at] * shape[at];
        }
        Self { values, shape, strides, format, item }
    }

    /// Fills a view for `owner`. It is given back by [`Exported::release`].
    ///
    /// # Safety
    /// `view` is null or can be written.
    pub unsafe fn fill(self, owner: Bound<'_, PyAny>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let Some(mut view) = NonNull::new(view) else { return Err(PyBufferError::new_err("there is no view to fill")) };
        // SAFETY: it is not null, and the caller says that it can be written.
        let view = unsafe { view.as_mut() };
        view.obj = std::ptr::null_mut();
        if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("Arrow's values cannot be changed"));
        }
        let asked = |flag: c_int| flags & flag == flag;
        let this = Box::new(self);
        view.buf = this.values.as_ptr().cast_mut().cast::<c_void>();
        view.len = this.shape.iter().product::<isize>() * this.item as isize;
        view.readonly = 1;
        view.itemsize = this.item as isize;
        view.format = if asked(ffi::PyBUF_FORMAT) { this.format.as_ptr().cast_mut() } else { std::ptr::null_mut() };
        view.ndim = this.shape.len() as c_int;
        view.shape = if asked(ffi::PyBUF_ND) { this.shape.as_ptr().cast_mut() } else { std::ptr::null_mut() };
        view.strides = if asked(ffi::PyBUF_STRIDES) { this.strides.as_ptr().cast_mut() } else { std::ptr::null_mut() };
        view.suboffsets = std::ptr::null_mut();
        view.internal = Box::into_raw(this).cast::<c_void>();
        view.obj = owner.into_ptr();
        Ok(())
    }

    /// Takes back what [`Exported::fill`] put into a view.
    ///
    /// # Safety
    /// `view` was filled by [`Exported::fill`] and is not used any more.
    pub unsafe fn release(view: *mut ffi::Py_buffer) {
        // SAFETY: `internal` is the box that `fill` made, and the interpreter releases a view once.
        drop(unsafe { Box::from_raw((*view).internal.cast::<Self>()) });
    }
}
