//! Arrow column → images: every row checked, pixels borrowed where the layout allows.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, ByteArrayType, Float16Type, Float32Type, Float64Type};
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, GenericByteArray, GenericListArray, OffsetSizeTrait, PrimitiveArray, UInt8Array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use half::f16;

use crate::defect::Defect;
use crate::error::{Error, Result};
use crate::moments::Pixel;
use crate::reason::Reason;
use crate::shape::{ImageShape, PixelType};

/// The pixels of a batch, image after image, in the type they are computed in.
#[derive(Debug, Clone)]
pub enum Pixels {
    /// 8-bit pixels.
    U8(ScalarBuffer<u8>),
    /// 16-bit pixels.
    U16(ScalarBuffer<u16>),
    /// Finite floats (in rows that are not defective).
    F32(ScalarBuffer<f32>),
}

/// The images of one Arrow array, checked row by row.
///
/// Where the array already holds pixels of the wanted type side by side, they are borrowed (reference-counted, nothing
/// is copied); otherwise the valid rows are copied and narrowed. Rows that cannot be featurized are listed as
/// [`Defect`]s.
#[derive(Debug, Clone)]
pub struct ImageBatch {
    shape: ImageShape,
    rows: usize,
    pixels: Pixels,
    /// Whether `pixels` has a place for every row, or only for the valid ones.
    every_row: bool,
    defects: Vec<Defect>,
}

impl ImageBatch {
    /// Reads an image column: `List`, `LargeList` or `FixedSizeList` of any integer or float type, flat (H·W·C values)
    /// or nested H×W (rows of W·C values) or H×W×C; or `Binary`, `LargeBinary`, `FixedSizeBinary` of raw u8; or `Null`.
    ///
    /// Integers are narrowed only if they fit, floats become integers only if they are ones; integers become f32 only
    /// if f32 holds them exactly, f64 is rounded to the nearest f32. What fails makes its row a defect. An empty array
    /// gives an empty batch; a null row is a defect of [`Reason::NullImage`].
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`] if the type is none of those, is nested to a depth that `shape` does not have, or
    /// is raw bytes and `pixel_type` is not u8. `name` is the column's name in such errors.
    pub fn from_array(array: &dyn Array, name: &str, shape: ImageShape, pixel_type: PixelType) -> Result<Self> {
        let view = View::of(array, name)?;
        view.check_pixel_type(pixel_type)?;
        match pixel_type {
            PixelType::U8 => view.read::<u8>(shape, Pixels::U8),
            PixelType::U16 => view.read::<u16>(shape, Pixels::U16),
            PixelType::F32 => view.read::<f32>(shape, Pixels::F32),
        }
    }

    /// The shape of every image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Rows of the array it was read from, defective ones included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Images in [`ImageBatch::pixels`]: all rows, or only the valid ones where these had to be copied.
    pub fn images(&self) -> usize {
        if self.every_row { self.rows } else { self.rows - self.defects.len() }
    }

    /// The pixels, `images() · shape().values()` of them.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The rows that cannot be featurized, in order.
    pub fn defects(&self) -> &[Defect] {
        &self.defects
    }

    /// Gives the rows that a reader had to leave null the reasons it had for it; `known` is in row order.
    pub(crate) fn explain(&mut self, known: Vec<Defect>) {
        let mut known = known.into_iter().peekable();
        for defect in &mut self.defects {
            while known.peek().is_some_and(|k| k.row < defect.row) {
                known.next();
            }
            if known.peek().is_some_and(|k| k.row == defect.row) {
                *defect = known.next().unwrap_or_else(|| defect.clone());
            }
        }
    }

    /// Adds what only computing with a row could show.
    pub(crate) fn add_defects(&mut self, defects: impl IntoIterator<Item = Defect>) {
        self.defects.extend(defects);
        self.defects.sort_by_key(|defect| defect.row);
    }

    pub(crate) fn into_defects(self) -> Vec<Defect> {
        self.defects
    }

    /// Whether image `i` of the pixels is row `i`.
    pub(crate) fn every_row(&self) -> bool {
        self.every_row
    }
}

/// The pixel type that a column is read as unless a run declares one: u16 for 16-bit unsigned, f32 for floats, u8 for
/// all else.
pub fn default_pixel_type(column: &DataType) -> PixelType {
    match column {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            default_pixel_type(item.data_type())
        }
        DataType::UInt16 => PixelType::U16,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => PixelType::F32,
        _ => PixelType::U8,
    }
}

/// The shape of the images in a column, from its nesting or a perfect-square length; the most common one where the type
/// leaves it open. `None` if no row tells (all null, or no rows at all).
///
/// # Errors
/// [`Error::UnknownShape`] if the lengths there are make no image, [`Error::UnsupportedColumn`] as
/// [`ImageBatch::from_array`].
pub fn infer_shape(array: &dyn Array, name: &str) -> Result<Option<ImageShape>> {
    let mut votes = ShapeVotes::default();
    votes.count(array, name)?;
    votes.winner(name)
}

/// The shapes that the rows of a column have, over any number of arrays.
#[derive(Debug, Default)]
pub(crate) struct ShapeVotes(HashMap<Vec<usize>, usize>);

impl ShapeVotes {
    pub fn count(&mut self, array: &dyn Array, name: &str) -> Result<()> {
        let view = View::of(array, name)?;
        if view.levels.is_empty() {
            return Ok(());
        }
        if view.levels.iter().all(Level::is_fixed) {
            // The type tells, whatever the rows.
            self.0.insert(view.levels.iter().map(|level| level.range(0).1).collect(), usize::MAX);
            return Ok(());
        }
        for dims in (0..view.rows).filter_map(|row| view.row_dims(row)) {
            *self.0.entry(dims).or_default() += 1;
        }
        Ok(())
    }

    /// The shape with the most votes.
    pub fn winner(&self, name: &str) -> Result<Option<ImageShape>> {
        let unknown = |why: String| Error::UnknownShape { column: name.to_owned(), why };
        let shape = |dims: &[usize]| match *dims {
            [len] => ImageShape::square(len)
                .ok_or_else(|| unknown(format!("its images hold {len} values, which is not a perfect square"))),
            [h, w] => ImageShape::gray(h, w).map_err(|e| unknown(e.to_string())),
            [h, w, c] => ImageShape::new(h, w, c).map_err(|e| unknown(e.to_string())),
            _ => Err(unknown("it has no lists of values".to_owned())),
        };
        // Among equals one that makes an image, and of those the smaller.
        let rank = |dims: &[usize], votes: usize| (votes, shape(dims).is_ok(), std::cmp::Reverse(dims.to_vec()));
        let winner = self.0.iter().max_by_key(|(dims, votes)| rank(dims, **votes));
        winner.map(|(dims, _)| shape(dims)).transpose()
    }
}

/// One level of lists: where the items of entry `i` begin and end.
enum Level {
    Fixed { size: usize, nulls: Option<NullBuffer> },
    Offsets32 { ends: ScalarBuffer<i32>, nulls: Option<NullBuffer> },
    Offsets64 { ends: ScalarBuffer<i64>, nulls: Option<NullBuffer> },
}

impl Level {
    fn list<O: OffsetSizeTrait>(
        list: &GenericListArray<O>,
        of: impl Fn(ScalarBuffer<O>, Option<NullBuffer>) -> Self,
    ) -> Self {
        of(list.offsets().inner().clone(), list.nulls().cloned())
    }

    fn bytes<B: ByteArrayType>(
        bytes: &GenericByteArray<B>,
        of: impl Fn(ScalarBuffer<B::Offset>, Option<NullBuffer>) -> Self,
    ) -> Self {
        of(bytes.offsets().inner().clone(), bytes.nulls().cloned())
    }

    fn range(&self, i: usize) -> (usize, usize) {
        match self {
            Level::Fixed { size, .. } => (i * size, (i + 1) * size),
            Level::Offsets32 { ends, .. } => (ends[i] as usize, ends[i + 1] as usize),
            Level::Offsets64 { ends, .. } => (ends[i] as usize, ends[i + 1] as usize),
        }
    }

    fn is_null(&self, i: usize) -> bool {
        let (Level::Fixed { nulls, .. } | Level::Offsets32 { nulls, .. } | Level::Offsets64 { nulls, .. }) = self;
        nulls.as_ref().is_some_and(|n| n.is_null(i))
    }

    fn is_fixed(&self) -> bool {
        matches!(self, Level::Fixed { .. })
    }
}

/// An image column taken apart: levels of lists over flat values.
struct View<'a> {
    name: &'a str,
    data_type: &'a DataType,
    rows: usize,
    levels: Vec<Level>,
    leaf: ArrayRef,
    raw_bytes: bool,
}

impl<'a> View<'a> {
    fn of(array: &'a dyn Array, name: &'a str) -> Result<Self> {
        let mut view = Self {
            name,
            data_type: array.data_type(),
            rows: array.len(),
            levels: Vec::new(),
            leaf: array.slice(0, array.len()),
            raw_bytes: false,
        };
        while let Some((level, below)) = View::descend(&view.leaf) {
            view.raw_bytes |= !matches!(
                view.leaf.data_type(),
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
            );
            view.levels.push(level);
            view.leaf = below;
        }
        let leaf = view.leaf.data_type();
        let is_number = leaf.is_integer() || leaf.is_floating();
        let depth = view.levels.len();
        if (is_number && (1..=3).contains(&depth) && (!view.raw_bytes || depth == 1)) || *leaf == DataType::Null {
            Ok(view)
        } else {
            Err(view.unsupported(
                "images are lists of numbers, flat or nested to H×W or H×W×C, or raw bytes in a binary column"
                    .to_owned(),
            ))
        }
    }

    fn descend(array: &ArrayRef) -> Option<(Level, ArrayRef)> {
        let raw = |values: &arrow_buffer::Buffer| -> ArrayRef {
            Arc::new(UInt8Array::new(ScalarBuffer::from(values.clone()), None))
        };
        Some(match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (Level::list(list, |ends, nulls| Level::Offsets32 { ends, nulls }), list.values().clone())
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                (Level::list(list, |ends, nulls| Level::Offsets64 { ends, nulls }), list.values().clone())
            }
            DataType::FixedSizeList(_, size) => {
                let list = array.as_fixed_size_list();
                (Level::Fixed { size: *size as usize, nulls: list.nulls().cloned() }, list.values().clone())
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                (Level::bytes(bytes, |ends, nulls| Level::Offsets32 { ends, nulls }), raw(bytes.values()))
            }
            DataType::LargeBinary => {
                let bytes = array.as_binary::<i64>();
                (Level::bytes(bytes, |ends, nulls| Level::Offsets64 { ends, nulls }), raw(bytes.values()))
            }
            DataType::FixedSizeBinary(size) => {
                let bytes = array.as_fixed_size_binary();
                (Level::Fixed { size: *size as usize, nulls: bytes.nulls().cloned() }, raw(bytes.values()))
            }
            _ => return None,
        })
    }

    fn unsupported(&self, why: String) -> Error {
        Error::UnsupportedColumn { column: self.name.to_owned(), data_type: self.data_type.clone(), why }
    }

    fn check_pixel_type(&self, pixel_type: PixelType) -> Result<()> {
        if self.raw_bytes && pixel_type != PixelType::U8 {
            return Err(self.unsupported(format!("raw bytes are u8 pixels, not {pixel_type}")));
        }
        Ok(())
    }

    /// The lengths that a valid row has at each level.
    fn wanted(&self, shape: ImageShape) -> Result<Vec<usize>> {
        match self.levels.len() {
            0 | 1 => Ok(vec![shape.values()]),
            2 => Ok(vec![shape.height(), shape.row_values()]),
            _ => Ok(vec![shape.height(), shape.width(), shape.channels()]),
        }
    }

    /// The lengths of a row at each level, by its first items.
    fn row_dims(&self, row: usize) -> Option<Vec<usize>> {
        let mut at = row;
        let mut dims = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            if level.is_null(at) {
                return None;
            }
            let (start, end) = level.range(at);
            dims.push(end - start);
            if start == end && dims.len() < self.levels.len() {
                return None;
            }
            at = start;
        }
        Some(dims)
    }

    /// Where the values of `row` begin in the leaf, if every level has the wanted lengths and no nulls.
    fn locate(&self, row: usize, wanted: &[usize], shape: ImageShape) -> Result<usize, Defect> {
        let Some(first) = self.levels.first() else { return Err(Defect::new(row, Reason::NullImage, "null")) };
        if first.is_null(row) {
            return Err(Defect::new(row, Reason::NullImage, "null"));
        }
        let (mut start, mut end) = (row, row + 1);
        for (depth, (level, &length)) in self.levels.iter().zip(wanted).enumerate() {
            for i in start..end {
                if depth > 0 && level.is_null(i) {
                    return Err(Defect::new(row, Reason::NullPixel, format!("row {} of pixels is null", i - start)));
                }
                let (from, to) = level.range(i);
                if to - from != length {
                    let found = to - from;
                    let detail = match (depth, self.levels.len()) {
                        (0, 1) => format!("{found} values, {shape} needs {length}"),
                        (0, _) => format!("{found} rows of pixels, {shape} needs {length}"),
                        (1, _) => format!("row {} of pixels has {found} values, {shape} needs {length}", i - start),
                        _ => format!("pixel {} has {found} channels, {shape} needs {length}", i - start),
                    };
                    return Err(Defect::new(row, Reason::WrongLength, detail));
                }
            }
            if start < end {
                (start, end) = (level.range(start).0, level.range(end - 1).1);
            }
        }
        Ok(start)
    }

    fn read<T: Target>(&self, shape: ImageShape, wrap: fn(ScalarBuffer<T>) -> Pixels) -> Result<ImageBatch> {
        macro_rules! by_leaf_type {
            ($($kind:ident => $t:ty),*) => {
                match self.leaf.data_type() {
                    $(DataType::$kind => self.read_values::<$t, T>(self.leaf.as_primitive(), shape)?,)*
                    // A column of nulls has no values to read.
                    _ => {
                        let none = UInt8Array::new(ScalarBuffer::from(Vec::new()), None);
                        self.read_values::<UInt8Type, T>(&none, shape)?
                    }
                }
            };
        }
        let (pixels, every_row, defects) = by_leaf_type!(
            Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
            UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type,
            Float16 => Float16Type, Float32 => Float32Type, Float64 => Float64Type
        );
        Ok(ImageBatch { shape, rows: self.rows, pixels: wrap(pixels), every_row, defects })
    }

    fn read_values<A, T>(
        &self,
        leaf: &PrimitiveArray<A>,
        shape: ImageShape,
    ) -> Result<(ScalarBuffer<T>, bool, Vec<Defect>)>
    where
        A: ArrowPrimitiveType<Native: Value>,
        T: Target,
    {
        let wanted = self.wanted(shape)?;
        let len = shape.values();
        let nulls = leaf.nulls().filter(|n| n.null_count() > 0);
        let mut starts = Vec::with_capacity(self.rows);
        let mut defects = Vec::new();
        for row in 0..self.rows {
            match self.locate(row, &wanted, shape).and_then(|start| check::<A, T>(row, leaf, nulls, start, len)) {
                Ok(start) => starts.push(start),
                Err(defect) => defects.push(defect),
            }
        }
        let side_by_side = starts.iter().enumerate().all(|(k, &start)| start == starts[0] + k * len);
        let own_type = (leaf as &dyn Array).as_primitive_opt::<T::Arrow>();
        if let Some(own) = own_type.filter(|_| side_by_side) {
            let first = starts.first().copied().unwrap_or(0);
            return Ok((own.values().slice(first, starts.len() * len), false, defects));
        }
        // Not where a value may be no number: nothing should have to compute with it.
        let in_place = self.levels.iter().all(Level::is_fixed) && T::TYPE != PixelType::F32;
        if let Some(own) = own_type.filter(|own| in_place && self.rows * len == own.len()) {
            return Ok((own.values().clone(), true, defects));
        }
        let values = leaf.values();
        let mut pixels: Vec<T> = Vec::with_capacity(starts.len() * len);
        for &start in &starts {
            pixels.extend(values[start..start + len].iter().map(|&v| T::narrow(v)));
        }
        Ok((ScalarBuffer::from(pixels), false, defects))
    }
}

/// Whether the `len` values from `start` are non-null and fit the pixel type.
fn check<A, T>(
    row: usize,
    leaf: &PrimitiveArray<A>,
    nulls: Option<&NullBuffer>,
    start: usize,
    len: usize,
) -> Result<usize, Defect>
where
    A: ArrowPrimitiveType<Native: Value>,
    T: Target,
{
    if let Some(nulls) = nulls
        && let Some(pixel) = (0..len).find(|&i| nulls.is_null(start + i))
    {
        return Err(Defect::new(row, Reason::NullPixel, format!("pixel {pixel} is null")));
    }
    let Some(values) = leaf.values().get(start..start + len) else {
        // A list of the Null type has lengths but no values.
        return Err(Defect::new(row, Reason::NullPixel, "pixel 0 is null"));
    };
    if T::takes_all(values) {
        return Ok(start);
    }
    let (pixel, value) = values.iter().enumerate().find(|(_, v)| !T::takes_all(&[**v])).unwrap_or((0, &values[0]));
    Err(Defect::new(row, value.misfit(), format!("pixel {pixel} is {value}")).fits(wider(T::TYPE, values)))
}

/// The narrowest pixel type, wider than `declared`, that takes all of `values`.
fn wider<V: Value>(declared: PixelType, values: &[V]) -> Option<PixelType> {
    match declared {
        PixelType::U8 if V::fit_u16(values) => Some(PixelType::U16),
        PixelType::U8 | PixelType::U16 if V::fit_f32(values) => Some(PixelType::F32),
        _ => None,
    }
}

/// A pixel type as the target of narrowing.
trait Target: Pixel + arrow_buffer::ArrowNativeType {
    type Arrow: ArrowPrimitiveType<Native = Self>;
    fn takes_all<V: Value>(values: &[V]) -> bool;
    /// Only for values that [`Target::takes_all`] accepts.
    fn narrow<V: Value>(value: V) -> Self;
}

macro_rules! target {
    ($t:ty, $arrow:ty, $fits:ident, $to:ident) => {
        impl Target for $t {
            type Arrow = $arrow;
            fn takes_all<V: Value>(values: &[V]) -> bool {
                V::$fits(values)
            }
            fn narrow<V: Value>(value: V) -> Self {
                value.$to()
            }
        }
    };
}
target!(u8, UInt8Type, fit_u8, to_u8);
target!(u16, UInt16Type, fit_u16, to_u16);
target!(f32, Float32Type, fit_f32, to_f32);

/// A type that pixels come in. The `fit_…` functions look at every value without an early exit, which the compiler turns
/// into vector code.
trait Value: Copy + Display {
    fn fit_u8(values: &[Self]) -> bool;
    fn fit_u16(values: &[Self]) -> bool;
    fn fit_f32(values: &[Self]) -> bool;
    fn to_u8(self) -> u8;
    fn to_u16(self) -> u16;
    fn to_f32(self) -> f32;
    /// Why a value that does not fit does not.
    fn misfit(self) -> Reason;
}

macro_rules! integer_value {
    ($($t:ty),*) => {$(
        impl Value for $t {
            // A negative number sign-extends to a huge one, so one OR tells for the whole row.
            fn fit_u8(values: &[Self]) -> bool {
                values.iter().fold(0, |all, &v| all | v as u64) <= u64::from(u8::MAX)
            }
            fn fit_u16(values: &[Self]) -> bool {
                values.iter().fold(0, |all, &v| all | v as u64) <= u64::from(u16::MAX)
            }
            fn fit_f32(values: &[Self]) -> bool {
                values.iter().fold(true, |all, &v| {
                    let size = i128::from(v).unsigned_abs() as u64;
                    all & (size >> (size.trailing_zeros() & 63) < 1 << 24)
                })
            }
            fn to_u8(self) -> u8 {
                self as u8
            }
            fn to_u16(self) -> u16 {
                self as u16
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn misfit(self) -> Reason {
                Reason::OutOfRange
            }
        }
    )*};
}
integer_value!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! float_value {
    ($t:ty) => {
        impl Value for $t {
            // A float-to-integer cast saturates and makes NaN 0, so only an integer in range survives the way back.
            fn fit_u8(values: &[Self]) -> bool {
                values.iter().fold(true, |all, &v| all & (<$t>::from(v as u8) == v))
            }
            fn fit_u16(values: &[Self]) -> bool {
                values.iter().fold(true, |all, &v| all & (<$t>::from(v as u16) == v))
            }
            fn fit_f32(values: &[Self]) -> bool {
                values.iter().fold(true, |all, &v| all & (v as f32).is_finite())
            }
            fn to_u8(self) -> u8 {
                self as u8
            }
            fn to_u16(self) -> u16 {
                self as u16
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn misfit(self) -> Reason {
                if !self.is_finite() {
                    Reason::NotFinite
                } else if self.fract() != 0.0 {
                    Reason::NotAnInteger
                } else {
                    Reason::OutOfRange
                }
            }
        }
    };
}
float_value!(f32);
float_value!(f64);

impl Value for f16 {
    fn fit_u8(values: &[Self]) -> bool {
        values.iter().all(|v| f32::fit_u8(&[v.to_f32()]))
    }
    fn fit_u16(values: &[Self]) -> bool {
        values.iter().all(|v| f32::fit_u16(&[v.to_f32()]))
    }
    fn fit_f32(values: &[Self]) -> bool {
        values.iter().all(|v| v.is_finite())
    }
    fn to_u8(self) -> u8 {
        f16::to_f32(self) as u8
    }
    fn to_u16(self) -> u16 {
        f16::to_f32(self) as u16
    }
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    fn misfit(self) -> Reason {
        f16::to_f32(self).misfit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::{FixedSizeListBuilder, Int64Builder, ListBuilder};
    use arrow_array::{
        BinaryArray, FixedSizeBinaryArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array, Int8Array,
        Int64Array, LargeBinaryArray, LargeListArray, ListArray, NullArray, UInt16Array, UInt64Array,
    };
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::Field;

    fn gray(h: usize, w: usize) -> ImageShape {
        ImageShape::gray(h, w).unwrap()
    }

    fn list(values: ArrayRef, lengths: &[usize], nulls: Option<Vec<bool>>) -> ListArray {
        let item = Arc::new(Field::new("item", values.data_type().clone(), true));
        ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), values, nulls.map(NullBuffer::from))
    }

    fn fixed(values: ArrayRef, size: i32, nulls: Option<Vec<bool>>) -> FixedSizeListArray {
        let item = Arc::new(Field::new("item", values.data_type().clone(), true));
        FixedSizeListArray::new(item, size, values, nulls.map(NullBuffer::from))
    }

    fn u8s(batch: &ImageBatch) -> &[u8] {
        match batch.pixels() {
            Pixels::U8(pixels) => pixels,
            other => panic!("not u8: {other:?}"),
        }
    }

    fn reasons(batch: &ImageBatch) -> Vec<(usize, Reason, &str)> {
        batch.defects().iter().map(|d| (d.row, d.reason, d.detail.as_str())).collect()
    }

    fn read(array: &dyn Array, shape: ImageShape, pixel_type: PixelType) -> ImageBatch {
        ImageBatch::from_array(array, "image", shape, pixel_type).unwrap()
    }

    #[test]
    fn every_flat_layout_gives_the_same_pixels() {
        let pixels = || -> Vec<u8> { (0..12).collect() };
        let item = Arc::new(Field::new("item", DataType::UInt8, true));
        let large = LargeListArray::new(
            item,
            OffsetBuffer::from_lengths([4, 4, 4]),
            Arc::new(UInt8Array::from(pixels())),
            None,
        );
        let rows: Vec<&[u8]> = vec![&[0, 1, 2, 3], &[4, 5, 6, 7], &[8, 9, 10, 11]];
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(list(Arc::new(UInt8Array::from(pixels())), &[4, 4, 4], None)),
            Arc::new(large),
            Arc::new(fixed(Arc::new(UInt8Array::from(pixels())), 4, None)),
            Arc::new(fixed(Arc::new(Int64Array::from_iter_values(0..12)), 4, None)),
            Arc::new(list(Arc::new(Int8Array::from_iter_values(0..12)), &[4, 4, 4], None)),
            Arc::new(list(Arc::new(UInt64Array::from_iter_values(0..12)), &[4, 4, 4], None)),
            Arc::new(fixed(Arc::new(Float64Array::from_iter_values((0..12).map(f64::from))), 4, None)),
            Arc::new(fixed(Arc::new(Float16Array::from_iter_values((0..12u8).map(f16::from))), 4, None)),
            Arc::new(BinaryArray::from(rows.clone())),
            Arc::new(LargeBinaryArray::from(rows.clone())),
            Arc::new(FixedSizeBinaryArray::try_from_iter(rows.into_iter()).unwrap()),
        ];
        for array in arrays {
            let batch = read(&array, gray(2, 2), PixelType::U8);
            assert_eq!(u8s(&batch), pixels(), "{}", array.data_type());
            assert_eq!((batch.rows(), batch.images(), batch.defects().len()), (3, 3, 0));
            // A slice starts in the middle of its buffers.
            let slice = array.slice(1, 2);
            assert_eq!(u8s(&read(&slice, gray(2, 2), PixelType::U8)), &pixels()[4..], "{}", array.data_type());
            assert_eq!(read(&array.slice(1, 0), gray(2, 2), PixelType::U8).images(), 0);
        }
    }

    #[test]
    fn pixels_of_the_right_type_are_borrowed() {
        let values = UInt8Array::from_iter_values(0..12);
        let address = values.values().as_ptr();
        let values: ArrayRef = Arc::new(values);
        let whole = fixed(values.clone(), 4, None);
        assert_eq!(u8s(&read(&whole, gray(2, 2), PixelType::U8)).as_ptr(), address);
        let with_null = fixed(values.clone(), 4, Some(vec![true, false, true]));
        let batch = read(&with_null, gray(2, 2), PixelType::U8);
        assert_eq!((u8s(&batch).as_ptr(), batch.images(), batch.every_row()), (address, 3, true));
        assert_eq!(reasons(&batch), [(1, Reason::NullImage, "null")]);
        let listed = list(values, &[4, 0, 4, 4], Some(vec![true, false, true, true]));
        let batch = read(&listed, gray(2, 2), PixelType::U8);
        assert_eq!((u8s(&batch).as_ptr(), batch.images(), batch.every_row()), (address, 3, false));
    }

    #[test]
    fn nested_lists_are_rows_of_pixels() {
        let flat: ArrayRef = Arc::new(Int64Array::from_iter_values(0..12));
        let rows: ArrayRef = Arc::new(list(flat.clone(), &[3, 3, 3, 3], None));
        let images = list(rows, &[2, 2], None);
        assert_eq!(u8s(&read(&images, gray(2, 3), PixelType::U8)), (0..12).collect::<Vec<u8>>());
        assert_eq!(infer_shape(&images, "image").unwrap(), Some(gray(2, 3)));

        let pixels: ArrayRef = Arc::new(fixed(flat, 3, None));
        let rows: ArrayRef = Arc::new(fixed(pixels, 2, None));
        let images = fixed(rows, 1, None);
        let shape = ImageShape::new(1, 2, 3).unwrap();
        assert_eq!(u8s(&read(&images, shape, PixelType::U8)).len(), 12);
        assert_eq!(infer_shape(&images, "image").unwrap(), Some(shape));
        assert_eq!(u8s(&read(&images.slice(1, 1), shape, PixelType::U8)), [6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn ragged_and_null_rows_of_pixels_are_named() {
        let flat: ArrayRef = Arc::new(UInt8Array::from_iter_values(0..11));
        let rows: ArrayRef =
            Arc::new(list(flat, &[2, 2, 2, 1, 2, 0, 2], Some(vec![true, true, true, true, true, false, true])));
        let images = list(rows, &[2, 2, 2, 1], None);
        let batch = read(&images, gray(2, 2), PixelType::U8);
        assert_eq!(u8s(&batch), [0, 1, 2, 3]);
        assert_eq!(
            reasons(&batch),
            [
                (1, Reason::WrongLength, "row 1 of pixels has 1 values, 2x2 needs 2"),
                (2, Reason::NullPixel, "row 1 of pixels is null"),
                (3, Reason::WrongLength, "1 rows of pixels, 2x2 needs 2"),
            ]
        );
    }

    #[test]
    fn every_way_a_row_can_be_bad_has_its_reason() {
        let mut builder = ListBuilder::new(Int64Builder::new());
        let rows: [Option<Vec<Option<i64>>>; 7] = [
            Some(vec![Some(1), Some(2)]),
            None,
            Some(vec![Some(1)]),
            Some(vec![Some(1), None]),
            Some(vec![Some(3), Some(256)]),
            Some(vec![Some(-1), Some(70_000)]),
            Some(vec![Some(254), Some(255)]),
        ];
        for row in &rows {
            builder.append_option(row.clone());
        }
        let column = builder.finish();
        let batch = read(&column, gray(1, 2), PixelType::U8);
        assert_eq!(u8s(&batch), [1, 2, 254, 255]);
        assert_eq!(
            reasons(&batch),
            [
                (1, Reason::NullImage, "null"),
                (2, Reason::WrongLength, "1 values, 1x2 needs 2"),
                (3, Reason::NullPixel, "pixel 1 is null"),
                (4, Reason::OutOfRange, "pixel 1 is 256"),
                (5, Reason::OutOfRange, "pixel 0 is -1"),
            ]
        );
        assert_eq!(batch.defects()[3].fits, Some(PixelType::U16));
        assert_eq!(batch.defects()[4].fits, Some(PixelType::F32));
        assert_eq!(read(&column, gray(1, 2), PixelType::U16).defects().len(), 4);
        assert_eq!(read(&column, gray(1, 2), PixelType::F32).defects().len(), 3);
    }

    #[test]
    fn floats_become_integers_only_if_they_are() {
        let values = vec![1.0, -0.0, 3.5, 1.0, 1.0, f64::NAN, f64::INFINITY, 0.0, 256.0, 0.0, 1e300, 1.0];
        let column = fixed(Arc::new(Float64Array::from(values)), 2, None);
        let batch = read(&column, gray(1, 2), PixelType::U8);
        assert_eq!(u8s(&batch), [1, 0]);
        let found: Vec<_> = batch.defects().iter().map(|d| (d.row, d.reason, d.fits)).collect();
        assert_eq!(
            found,
            [
                (1, Reason::NotAnInteger, Some(PixelType::F32)),
                (2, Reason::NotFinite, None),
                (3, Reason::NotFinite, None),
                (4, Reason::OutOfRange, Some(PixelType::U16)),
                (5, Reason::OutOfRange, None),
            ]
        );
        let floats = read(&column, gray(1, 2), PixelType::F32);
        assert_eq!(floats.defects().iter().map(|d| d.row).collect::<Vec<_>>(), [2, 3, 5]);
        let in_place = fixed(Arc::new(Float32Array::from(vec![1.0, f32::NAN, 2.0, 3.0])), 2, None);
        let batch = read(&in_place, gray(1, 2), PixelType::F32);
        assert_eq!(reasons(&batch), [(0, Reason::NotFinite, "pixel 1 is NaN")]);
    }

    #[test]
    fn integers_become_f32_only_if_it_holds_them() {
        let edge = 1i64 << 24;
        let column = fixed(Arc::new(Int64Array::from(vec![edge, edge + 1, edge + 2, i64::MIN, i64::MAX, 0])), 1, None);
        let batch = read(&column, gray(1, 1), PixelType::F32);
        assert_eq!(batch.defects().iter().map(|d| d.row).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn the_common_length_wins_and_says_what_is_missing() {
        let values: ArrayRef = Arc::new(UInt8Array::from(vec![0; 13]));
        let column = list(values.clone(), &[1, 4, 4, 4], None);
        assert_eq!(infer_shape(&column, "image").unwrap(), Some(gray(2, 2)));
        let error = infer_shape(&list(values, &[6, 1, 6], None), "img").unwrap_err().to_string();
        assert_eq!(
            error,
            "column `img`: its images hold 6 values, which is not a perfect square; give the shape, as in 28x28 or 64x64x3"
        );
        let nulls = fixed(Arc::new(UInt8Array::from(vec![0; 8])), 4, Some(vec![false, false]));
        assert_eq!(infer_shape(&nulls, "image").unwrap(), Some(gray(2, 2)));
        // Among as many of each, the one that makes an image.
        let tie = list(Arc::new(UInt8Array::from(vec![0; 7])), &[4, 3], None);
        assert_eq!(infer_shape(&tie, "image").unwrap(), Some(gray(2, 2)));
        let nothing = list(Arc::new(UInt8Array::from(Vec::<u8>::new())), &[0, 0], Some(vec![false, false]));
        assert_eq!(infer_shape(&nothing, "image").unwrap(), None);
    }

    #[test]
    fn columns_that_hold_no_images_are_refused() {
        let strings = arrow_array::StringArray::from(vec!["x"]);
        let error = ImageBatch::from_array(&strings, "image", gray(1, 1), PixelType::U8).unwrap_err();
        assert!(error.to_string().starts_with("column `image` is Utf8: images are lists of numbers"), "{error}");
        let number = UInt8Array::from(vec![1]);
        assert!(ImageBatch::from_array(&number, "image", gray(1, 1), PixelType::U8).is_err());
        let bytes = BinaryArray::from(vec![b"ab".as_slice()]);
        let error = ImageBatch::from_array(&bytes, "image", gray(1, 1), PixelType::U16).unwrap_err();
        assert_eq!(error.to_string(), "column `image` is Binary: raw bytes are u8 pixels, not u16");
        let nulls = read(&NullArray::new(2), gray(1, 1), PixelType::U8);
        assert_eq!((nulls.images(), nulls.defects().len()), (0, 2));
        let null_pixels = list(Arc::new(NullArray::new(4)), &[2, 2], None);
        let batch = read(&null_pixels, gray(1, 2), PixelType::U8);
        assert_eq!(
            reasons(&batch),
            [(0, Reason::NullPixel, "pixel 0 is null"), (1, Reason::NullPixel, "pixel 0 is null")]
        );
    }

    #[test]
    fn the_pixel_type_follows_the_column() {
        let wide = fixed(Arc::new(UInt16Array::from(vec![1, 65_535])), 1, None);
        assert_eq!(default_pixel_type(wide.data_type()), PixelType::U16);
        assert!(matches!(read(&wide, gray(1, 1), PixelType::U16).pixels(), Pixels::U16(p) if p[..] == [1, 65_535]));
        let mut builder = FixedSizeListBuilder::new(Int64Builder::new(), 1);
        builder.values().append_value(1);
        builder.append(true);
        assert_eq!(default_pixel_type(builder.finish().data_type()), PixelType::U8);
        assert_eq!(default_pixel_type(&DataType::Binary), PixelType::U8);
        assert_eq!(default_pixel_type(&DataType::new_list(DataType::Float16, true)), PixelType::F32);
    }

    #[test]
    fn readers_reasons_replace_the_nulls_they_left() {
        let column = list(Arc::new(UInt8Array::from(vec![1, 2])), &[1, 0, 0, 1], Some(vec![true, false, false, true]));
        let mut batch = read(&column, gray(1, 1), PixelType::U8);
        batch.explain(vec![Defect::new(2, Reason::OutOfRange, "pixel 0 is 300")]);
        assert_eq!(reasons(&batch), [(1, Reason::NullImage, "null"), (2, Reason::OutOfRange, "pixel 0 is 300")]);
    }
}
