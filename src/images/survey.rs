//! What a run finds out from the first rows of its image column.

use std::collections::HashMap;

use arrow_array::Array;
use arrow_schema::Field;

use super::column::{Encoding, Form, ImageColumn, default_pixel_type, values_type};
use super::lists::ListKind;
use super::rows::{ColumnRows, Dims};
use super::tensor::{AxisOrder, DimensionOrder};
use crate::base::error::{Error, Result};
use crate::base::shape::{ImageShape, PixelType};
use crate::images::decode::{self, Wanted};

/// Reads arrays of an image column, once shape, pixel type, encoding and order of dimensions are known.
#[derive(Debug, Clone)]
pub(crate) struct ColumnReader {
    pub(super) column: ImageColumn,
    pub(super) shape: ImageShape,
    pub(super) pixel_type: PixelType,
}

impl ColumnReader {
    /// The shape of the images as they are in the column; the most common one where rows have their own.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The type of the pixels.
    pub fn pixel_type(&self) -> PixelType {
        self.pixel_type
    }

    /// The column.
    pub fn column(&self) -> &ImageColumn {
        &self.column
    }
}

/// What a run declares of its image column. If it declares everything, no rows are surveyed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Declared {
    pub shape: Option<ImageShape>,
    pub pixel_type: Option<PixelType>,
    pub encoding: Option<Encoding>,
    pub order: Option<DimensionOrder>,
}

/// A vote of the first rows on what the schema leaves open: the shape, whether bytes are encoded images, and how deep
/// their pixels are. The majority decides, whatever batches the rows come in.
#[derive(Debug)]
pub(crate) struct Survey {
    column: ImageColumn,
    shape: Option<ImageShape>,
    pixel_type: Option<PixelType>,
    order: Option<DimensionOrder>,
    rows: u64,
    shapes: HashMap<Dims, usize>,
    /// The shapes of encoded images in a column that may hold raw pixels as well.
    encoded_shapes: HashMap<Dims, usize>,
    encoded: usize,
    raw: usize,
    /// Encoded images of 16 bits.
    deep: usize,
    shallow: usize,
}

impl Survey {
    /// How many rows vote.
    pub const ROWS: usize = 1_000;

    /// A survey of a column for a run that declares some of it.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`] if the column cannot be as declared.
    pub fn new(mut column: ImageColumn, declared: Declared) -> Result<Self> {
        column.declare(declared.encoding, declared.order)?;
        Ok(Self {
            shape: declared.shape.or(column.hint),
            column,
            pixel_type: declared.pixel_type,
            order: declared.order,
            rows: 0,
            shapes: HashMap::new(),
            encoded_shapes: HashMap::new(),
            encoded: 0,
            raw: 0,
            deep: 0,
            shallow: 0,
        })
    }

    /// Whether rows could tell anything that is not known yet.
    pub fn needs_rows(&self) -> bool {
        self.rows < Self::ROWS as u64
            && match &self.column.form {
                Form::Tensor { .. } => false,
                Form::Lists => self.shape.is_none() && !self.shapes.values().any(|&votes| votes == usize::MAX),
                Form::Sides { .. } => self.shape.is_none(),
                Form::Tensors { order, .. } => self.shape.is_none() || !matches!(order, AxisOrder::Known(_)),
                Form::Bytes => true,
                Form::Encoded(_) => self.shape.is_none() || self.pixel_type.is_none(),
            }
    }

    /// Lets the rows of an array vote, until [`Survey::ROWS`] have. An array without rows still counts by its type.
    pub fn count(&mut self, array: &dyn Array) -> Result<()> {
        let voting = array.len().min(Self::ROWS - self.rows as usize);
        let rows = ColumnRows::of(&self.column, &array.slice(0, voting))?;
        self.rows += voting as u64;
        if let Some(dims) = rows.fixed_dims() {
            self.shapes.insert(dims, usize::MAX);
            return Ok(());
        }
        for row in 0..voting {
            let Some(bytes) = rows.bytes(row) else {
                if let Some(dims) = rows.dims(row) {
                    *self.shapes.entry(dims).or_default() += 1;
                }
                continue;
            };
            let is_raw = self.column.form == Form::Bytes
                && (!decode::is_encoded(bytes) || self.shape.is_some_and(|shape| bytes.len() == shape.values()));
            if is_raw {
                self.raw += 1;
                *self.shapes.entry(vec![bytes.len()]).or_default() += 1;
                continue;
            }
            self.encoded += 1;
            if let Ok(image) = decode::open(bytes, Wanted::Stored) {
                let shape = image.shape();
                let dims = vec![shape.height(), shape.width(), shape.channels()];
                *self.encoded_shapes.entry(dims).or_default() += 1;
                let depth = if image.pixel_type() == PixelType::U16 { &mut self.deep } else { &mut self.shallow };
                *depth += 1;
            }
        }
        Ok(())
    }

    /// Ends the survey.
    ///
    /// # Errors
    /// [`Error::UnknownShape`] if the shape remains unknown, [`Error::UnsupportedColumn`] if the column cannot have
    /// the pixel type.
    pub fn into_reader(mut self) -> Result<ColumnReader> {
        let Some(shape) = self.tell_shape()? else {
            let why = match self.rows {
                0 => "there are no rows to read the image shape from".to_owned(),
                rows => format!("none of the first {rows} rows has an image to read the shape from"),
            };
            return Err(self.unknown(why));
        };
        let encoded = matches!(self.column.form, Form::Encoded(_));
        let pixel_type = match self.pixel_type {
            Some(declared) => declared,
            None if encoded && self.deep > self.shallow => PixelType::U16,
            None => default_pixel_type(&self.column.data_type),
        };
        if encoded && pixel_type == PixelType::F32 {
            return Err(self.column.unsupported("encoded images are u8 or u16 pixels, not f32"));
        }
        let raw_bytes = !encoded && ListKind::of(values_type(&self.column.data_type)).raw_bytes;
        if raw_bytes && pixel_type != PixelType::U8 {
            return Err(self.column.unsupported(format!("raw bytes are u8 pixels, not {pixel_type}")));
        }
        self.order_flat(shape)?;
        Ok(ColumnReader { column: self.column, shape, pixel_type })
    }

    /// The shape, if it was declared or found. Decides what bytes hold and the order of dimensions as well.
    ///
    /// # Errors
    /// As [`Survey::into_reader`].
    pub fn tell_shape(&mut self) -> Result<Option<ImageShape>> {
        if self.column.form == Form::Bytes {
            self.column.form = if self.encoded > self.raw { Form::Encoded(None) } else { Form::Lists };
        }
        if matches!(self.column.form, Form::Encoded(_)) {
            self.shapes = std::mem::take(&mut self.encoded_shapes);
            if self.encoded > 0 && !cfg!(feature = "image") {
                return Err(self.column.unsupported("its images are encoded, and this build has no feature `image`"));
            }
        }
        let winner = self.winner();
        let told = match (&mut self.column.form, &winner) {
            (Form::Tensor { dims, order }, _) => order.axes(dims).and_then(|axes| axes.shape(dims)).map(Some),
            (Form::Tensors { order, .. }, Some(dims)) if dims.len() > 1 => order.axes(dims).and_then(|axes| {
                *order = AxisOrder::Known(axes);
                axes.shape(dims).map(Some)
            }),
            (_, Some(dims)) if self.shape.is_none() => shape_of(dims).map(Some),
            _ => Ok(None),
        };
        told.map(|told| self.shape.or(told)).map_err(|why| self.unknown(why))
    }

    /// Reads flat lists in a declared order as tensors, whose dimensions are those of the run's shape in that order.
    fn order_flat(&mut self, shape: ImageShape) -> Result<()> {
        let flat = self.column.form == Form::Lists && ListKind::of(values_type(&self.column.data_type)).depth <= 1;
        let Some(order) = self.order.filter(|_| flat) else { return Ok(()) };
        let dims = order.dims(shape);
        let dims =
            dims.ok_or_else(|| self.column.unsupported(format!("{shape} has channels, the order {order} none")))?;
        if !order.is_interleaved() {
            self.column.form = Form::Tensor { dims, order: AxisOrder::Known(order) };
        }
        Ok(())
    }

    fn unknown(&self, why: String) -> Error {
        Error::UnknownShape { column: self.column.name.clone(), why }
    }

    /// The dimensions with the most votes. If several have as many, those that make an image, then the smaller ones.
    fn winner(&self) -> Option<Dims> {
        let rank = |dims: &Dims, votes: usize| (votes, shape_of(dims).is_ok(), std::cmp::Reverse(dims.clone()));
        self.shapes.iter().max_by_key(|(dims, votes)| rank(dims, **votes)).map(|(dims, _)| dims.clone())
    }
}

/// The shape of the images in a column: from its type, its nesting, the sizes in its rows, or a length that is a perfect
/// square. Where the type leaves it open, it is the most common one among the first 1,000 rows. `None` if there are no
/// rows, or all are null.
///
/// # Errors
/// [`Error::UnknownShape`](crate::Error::UnknownShape) if the lengths of the rows make no image,
/// [`Error::UnsupportedColumn`](crate::Error::UnsupportedColumn) as [`ImageBatch::from_array`](crate::ImageBatch::from_array).
pub fn infer_shape(array: &dyn Array, name: &str) -> Result<Option<ImageShape>> {
    let column = ImageColumn::of(&Field::new(name, array.data_type().clone(), true))?;
    let mut survey = Survey::new(column, Declared::default())?;
    survey.count(array)?;
    survey.tell_shape()
}

fn shape_of(dims: &[usize]) -> Result<ImageShape, String> {
    match *dims {
        [len] => ImageShape::square(len)
            .ok_or_else(|| format!("its images hold {len} values, which is not a perfect square")),
        [h, w] => ImageShape::gray(h, w).map_err(|e| e.to_string()),
        [h, w, c] => ImageShape::new(h, w, c).map_err(|e| e.to_string()),
        _ => Err(format!("its images have {} dimensions", dims.len())),
    }
}
