//! The rows of one array of an image column: the shape and the pixels of each.

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, BinaryArray, BinaryViewArray, LargeBinaryArray, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use arrow_schema::DataType;

use super::batch::ImageBatch;
use super::column::{Form, ImageColumn};
use super::lists::{NestedLists, by_leaf};
use super::tensor::{AxisOrder, DimensionOrder};
use super::values::{PixelValue, Value, check};
use crate::base::error::Result;
use crate::base::reason::Reason;
use crate::base::shape::{ImageShape, PixelType};
use crate::images::decode::{self, Wanted};
use crate::images::defect::Defect;

/// The lengths of an image's dimensions, as they are stored.
pub(super) type Dims = Vec<usize>;

/// The rows of one array of an image column.
pub(crate) struct ColumnRows {
    rows: usize,
    /// Of a dictionary: which of its values each row is.
    keys: Option<Vec<Option<usize>>>,
    /// Of a struct: its own nulls.
    nulls: Option<NullBuffer>,
    storage: Storage,
}

enum Storage {
    Lists(NestedLists, ShapeSource),
    Encoded(EncodedColumn),
}

/// Where the shape of a row comes from.
enum ShapeSource {
    /// By the nesting of its lists; flat ones have the run's.
    Nesting,
    /// By the column.
    All { dims: Dims, order: AxisOrder },
    /// By a list beside the values.
    Each { shapes: NestedLists, lengths: Vec<Option<i64>>, order: AxisOrder },
    /// By numbers beside the values.
    Sides { height: Vec<Option<i64>>, width: Vec<Option<i64>>, channels: Option<Vec<Option<i64>>> },
}

/// Encoded images.
enum EncodedColumn {
    Offsets32(BinaryArray),
    Offsets64(LargeBinaryArray),
    Views(BinaryViewArray),
}

impl EncodedColumn {
    fn of(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Binary => Self::Offsets32(array.as_binary().clone()),
            DataType::LargeBinary => Self::Offsets64(array.as_binary().clone()),
            DataType::BinaryView => Self::Views(array.as_binary_view().clone()),
            _ => return None,
        })
    }

    fn value(&self, i: usize) -> Option<&[u8]> {
        match self {
            EncodedColumn::Offsets32(array) => array.is_valid(i).then(|| array.value(i)),
            EncodedColumn::Offsets64(array) => array.is_valid(i).then(|| array.value(i)),
            EncodedColumn::Views(array) => array.is_valid(i).then(|| array.value(i)),
        }
    }
}

/// Where the pixels of an image are among the values: its shape, and the strides where pixels are not interleaved.
struct Placement {
    shape: ImageShape,
    strides: Option<[usize; 3]>,
}

impl ColumnRows {
    /// Opens an array of the column.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`](crate::Error::UnsupportedColumn) if the array is of another type than the column,
    /// or its lists overlap.
    pub fn of(column: &ImageColumn, array: &dyn Array) -> Result<Self> {
        if !array.data_type().equals_datatype(&column.data_type) {
            return Err(column.unsupported(format!("a batch has it as {}", array.data_type())));
        }
        let rows = array.len();
        let array = array.slice(0, rows);
        let (array, keys) = match array.as_any_dictionary_opt() {
            Some(dictionary) => {
                let keys = match dictionary.values().is_empty() {
                    true => vec![None; rows],
                    false => {
                        let keys = dictionary.normalized_keys().into_iter().enumerate();
                        keys.map(|(row, key)| dictionary.is_valid(row).then_some(key)).collect()
                    }
                };
                (dictionary.values().clone(), Some(keys))
            }
            None => (array, None),
        };
        let open = || -> Result<(Storage, Option<NullBuffer>), String> {
            let child = |at: usize| array.as_struct().column(at);
            let lists = |array: &ArrayRef, sizes| NestedLists::of(array).map(|lists| Storage::Lists(lists, sizes));
            let nulls = array.nulls().filter(|_| matches!(array.data_type(), DataType::Struct(_))).cloned();
            let encoded = |array| EncodedColumn::of(array).map(Storage::Encoded).ok_or_else(|| "no bytes".to_owned());
            let storage = match &column.form {
                Form::Lists => lists(&array, ShapeSource::Nesting)?,
                Form::Tensor { dims, order } => {
                    lists(&array, ShapeSource::All { dims: dims.clone(), order: order.clone() })?
                }
                Form::Tensors { data, shape, order } => {
                    let shapes = NestedLists::of(child(*shape))?;
                    let lengths = integers(shapes.leaf());
                    lists(child(*data), ShapeSource::Each { shapes, lengths, order: order.clone() })?
                }
                Form::Sides { data, height, width, channels } => {
                    let (height, width) = (integers(child(*height)), integers(child(*width)));
                    let channels = channels.map(|at| integers(child(at)));
                    lists(child(*data), ShapeSource::Sides { height, width, channels })?
                }
                Form::Bytes | Form::Encoded(None) => encoded(&array)?,
                Form::Encoded(Some(at)) => encoded(child(*at))?,
            };
            Ok((storage, nulls))
        };
        let (storage, nulls) = open().map_err(|why| column.unsupported(why))?;
        Ok(Self { rows, keys, nulls, storage })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// The place of a row among the images, if it has one.
    fn place(&self, row: usize) -> Option<usize> {
        let place = match &self.keys {
            Some(keys) => keys[row]?,
            None => row,
        };
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(place)).then_some(place)
    }

    /// What the bytes of a row are, in a column of bytes.
    pub(super) fn bytes(&self, row: usize) -> Option<&[u8]> {
        match &self.storage {
            Storage::Encoded(encoded) => encoded.value(self.place(row)?),
            Storage::Lists(..) => None,
        }
    }

    /// The length at each level of lists, if the type fixes all of them.
    pub(super) fn fixed_dims(&self) -> Option<Dims> {
        match &self.storage {
            Storage::Lists(lists, ShapeSource::Nesting) => lists.fixed_dims(),
            _ => None,
        }
    }

    /// The dimensions that a row states; those of nested lists are those of their first items.
    pub(super) fn dims(&self, row: usize) -> Option<Dims> {
        let place = self.place(row)?;
        match &self.storage {
            Storage::Lists(lists, sizes) => sizes.dims(lists, place)?.ok(),
            Storage::Encoded(_) => None,
        }
    }

    /// The shape of a row's image, so far as it can be told before the row is read; `run` is the run's shape.
    pub fn shape(&self, row: usize, run: ImageShape) -> Option<ImageShape> {
        match &self.storage {
            Storage::Encoded(_) => decode::open(self.bytes(row)?, Wanted::Stored).ok().map(|image| image.shape()),
            Storage::Lists(lists, sizes) => {
                sizes.placement(lists, self.place(row)?, run).ok().map(|placement| placement.shape)
            }
        }
    }

    /// Reads the image of a row into `pixels`, interleaved, and returns its shape. Before that, `accept` may refuse the
    /// shape. `wanted` is for encoded images.
    pub fn load<T: PixelValue>(
        &self,
        row: usize,
        run: ImageShape,
        wanted: Wanted,
        accept: &dyn Fn(ImageShape) -> Result<(), String>,
        pixels: &mut Vec<T>,
    ) -> Result<ImageShape, Defect> {
        pixels.clear();
        let null = |why: &str| Defect::new(row, Reason::NullImage, why);
        let wrong_length = |why| Defect::new(row, Reason::WrongLength, why);
        let place = self.place(row).ok_or_else(|| null("null"))?;
        match &self.storage {
            Storage::Lists(lists, sizes) => {
                // Before any shape: a null has none.
                lists.range(place).ok_or_else(|| null("null"))?;
                let placement = sizes.placement(lists, place, run).map_err(wrong_length)?;
                accept(placement.shape).map_err(wrong_length)?;
                let start = lists.locate(place, row, &lists.wanted(placement.shape), placement.shape)?;
                by_leaf!(lists.leaf(), values => copy(values, row, start, &placement, pixels))?;
                Ok(placement.shape)
            }
            Storage::Encoded(encoded) => {
                let bytes = encoded.value(place).ok_or_else(|| null("null"))?;
                let undecodable = |why| Defect::new(row, Reason::Undecodable, why);
                let image = decode::open(bytes, wanted).map_err(undecodable)?;
                if image.pixel_type() != T::TYPE {
                    let detail = format!("{} pixels, the run's are {}", image.pixel_type(), T::TYPE);
                    let fits = (image.pixel_type() == PixelType::U16).then_some(PixelType::U16);
                    return Err(Defect::new(row, Reason::WrongDepth, detail).with_fits(fits));
                }
                let shape = image.shape();
                accept(shape).map_err(wrong_length)?;
                image.read(pixels).map_err(undecodable)?;
                Ok(shape)
            }
        }
    }

    /// The rows as interleaved pixels of the run's shape, if the column has them so: such rows can be read in place.
    pub fn interleaved(&self) -> Option<Interleaved<'_>> {
        let Storage::Lists(lists, sizes) = &self.storage else { return None };
        let interleaved = match sizes {
            ShapeSource::Nesting | ShapeSource::Sides { .. } => true,
            ShapeSource::All { dims, order } => order.axes(dims).is_ok_and(|axes| axes.strides(dims).is_none()),
            ShapeSource::Each { order, .. } => matches!(order, AxisOrder::Known(axes) if axes.is_interleaved()),
        };
        interleaved.then_some(Interleaved { rows: self, lists, sizes })
    }
}

/// Rows whose pixels are interleaved.
pub(crate) struct Interleaved<'a> {
    rows: &'a ColumnRows,
    lists: &'a NestedLists,
    sizes: &'a ShapeSource,
}

impl Interleaved<'_> {
    /// Reads all rows. Pixels are borrowed where they already lie side by side in the right type; else those of the
    /// valid rows are copied.
    pub fn read<T: PixelValue>(&self, shape: ImageShape) -> ImageBatch {
        let (pixels, every_row, defects) =
            by_leaf!(self.lists.leaf(), values => self.read_values::<_, T>(values, shape));
        ImageBatch::new(shape, self.rows.len(), T::wrap(pixels), every_row, defects)
    }

    fn read_values<A, T>(&self, leaf: &PrimitiveArray<A>, shape: ImageShape) -> (ScalarBuffer<T>, bool, Vec<Defect>)
    where
        A: ArrowPrimitiveType<Native: Value>,
        T: PixelValue,
    {
        let (rows, lists) = (self.rows, self.lists);
        let wanted = lists.wanted(shape);
        let len = shape.values();
        let nulls = leaf.nulls().filter(|n| n.null_count() > 0);
        let own_type = (leaf as &dyn Array).as_primitive_opt::<T::Arrow>();
        let values = leaf.values();
        let mut starts = Vec::with_capacity(rows.rows);
        let mut defects = Vec::new();
        let most = if own_type.is_none() { rows.rows.saturating_mul(len).min(values.len()) } else { 0 };
        let mut pixels: Vec<T> = Vec::with_capacity(most);
        for row in 0..rows.rows {
            let place = rows.place(row).filter(|&place| lists.range(place).is_some());
            let place = place.ok_or_else(|| Defect::new(row, Reason::NullImage, "null"));
            let placed = place.and_then(|place| self.sizes.check(lists, place, row, shape).map(|()| place));
            let start = placed.and_then(|place| lists.locate(place, row, &wanted, shape));
            match start.and_then(|start| check::<A, T>(row, leaf, nulls, start, len)) {
                Ok(start) => {
                    starts.push(start);
                    if own_type.is_none() {
                        // The check has just brought them into the cache.
                        pixels.extend(values[start..start + len].iter().map(|&v| T::narrow(v)));
                    }
                }
                Err(defect) => defects.push(defect),
            }
        }
        let Some(own) = own_type else { return (ScalarBuffer::from(pixels), false, defects) };
        let side_by_side = starts.iter().enumerate().all(|(k, &start)| start == starts[0] + k * len);
        if side_by_side {
            let first = starts.first().copied().unwrap_or(0);
            return (own.values().slice(first, starts.len() * len), false, defects);
        }
        // Not where a value may be no number: nothing should have to compute with it.
        let in_place = rows.keys.is_none() && lists.fixed_dims().is_some() && T::TYPE != PixelType::F32;
        if in_place && rows.rows * len == own.len() {
            return (own.values().clone(), true, defects);
        }
        pixels.reserve_exact(starts.len() * len);
        for &start in &starts {
            pixels.extend_from_slice(&own.values()[start..start + len]);
        }
        (ScalarBuffer::from(pixels), false, defects)
    }
}

impl ShapeSource {
    /// The stored dimensions of the image at `place`; `None` where it has none.
    fn dims(&self, lists: &NestedLists, place: usize) -> Option<Result<Dims, String>> {
        let side = |name: &str, lengths: &[Option<i64>], at: usize| {
            let length = lengths.get(at).copied().flatten().ok_or_else(|| format!("its {name} is null"))?;
            usize::try_from(length).map_err(|_| format!("its {name} is {length}"))
        };
        match self {
            ShapeSource::Nesting => lists.dims(place).map(Ok),
            ShapeSource::All { dims, .. } => Some(Ok(dims.clone())),
            ShapeSource::Each { shapes, lengths, .. } => {
                let Some((start, end)) = shapes.range(place) else { return Some(Err("its shape is null".to_owned())) };
                if end - start > 3 {
                    return Some(Err(format!("its shape has {} dimensions", end - start)));
                }
                Some((start..end).map(|at| side("shape", lengths, at)).collect())
            }
            ShapeSource::Sides { height, width, channels } => Some((|| {
                let channels = channels.as_ref().map_or(Ok(1), |channels| side("channel", channels, place))?;
                Ok(vec![side("height", height, place)?, side("width", width, place)?, channels])
            })()),
        }
    }

    /// The shape and strides of the image at `place`. `run` is the run's shape, for rows that have none of their own.
    fn placement(&self, lists: &NestedLists, place: usize, run: ImageShape) -> Result<Placement, String> {
        let order = match self {
            ShapeSource::Nesting => return lists.own_shape(place, run).map(|shape| Placement { shape, strides: None }),
            ShapeSource::All { order, .. } | ShapeSource::Each { order, .. } => order,
            ShapeSource::Sides { .. } => &AxisOrder::Known(DimensionOrder::HWC),
        };
        let dims = self.dims(lists, place).unwrap_or_else(|| Err("null".to_owned()))?;
        // A flat one is like any flat list.
        if dims.len() == 1 {
            return Ok(Placement { shape: run, strides: None });
        }
        let axes = order.axes(&dims)?;
        Ok(Placement { shape: axes.shape(&dims)?, strides: axes.strides(&dims) })
    }

    /// Fails if the image at `place` states a shape beside its values and it is not the run's.
    fn check(&self, lists: &NestedLists, place: usize, row: usize, run: ImageShape) -> Result<(), Defect> {
        if matches!(self, ShapeSource::Nesting) {
            return Ok(());
        }
        let found = self.placement(lists, place, run).and_then(|placement| check_same_shape(placement.shape, run));
        found.map_err(|why| Defect::new(row, Reason::WrongLength, why))
    }
}

/// Fails if an image does not have the shape that is wanted.
pub(crate) fn check_same_shape(found: ImageShape, wanted: ImageShape) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("a {found} image, {wanted} is needed")) }
}

/// Copies one image, checked and interleaved.
fn copy<A, T>(
    leaf: &PrimitiveArray<A>,
    row: usize,
    start: usize,
    placement: &Placement,
    pixels: &mut Vec<T>,
) -> Result<(), Defect>
where
    A: ArrowPrimitiveType<Native: Value>,
    T: PixelValue,
{
    let len = placement.shape.values();
    check::<A, T>(row, leaf, leaf.nulls().filter(|n| n.null_count() > 0), start, len)?;
    let values = &leaf.values()[start..start + len];
    let Some([down, right, deeper]) = placement.strides else {
        pixels.extend(values.iter().map(|&v| T::narrow(v)));
        return Ok(());
    };
    for y in 0..placement.shape.height() {
        for x in 0..placement.shape.width() {
            let at = y * down + x * right;
            pixels.extend((0..placement.shape.channels()).map(|c| T::narrow(values[at + c * deeper])));
        }
    }
    Ok(())
}

/// An array of integers of any type. A number beyond i64 is taken as null.
fn integers(array: &ArrayRef) -> Vec<Option<i64>> {
    by_leaf!(array, values => values.iter().map(|value| value.and_then(|value| value.to_i64())).collect())
}
