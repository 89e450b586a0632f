//! Reads arrays of an image column: in place where it can, else row by row in parallel, with a transformation.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow_array::Array;
use arrow_schema::Field;
use rayon::prelude::*;

use crate::base::error::Result;
use crate::base::reason::Reason;
use crate::base::shape::{ImageShape, PixelType};
use crate::images::batch::ImageBatch;
use crate::images::column::ImageColumn;
use crate::images::decode::Wanted;
use crate::images::defect::Defect;
use crate::images::rows::{ColumnRows, check_same_shape};
use crate::images::survey::{ColumnReader, Declared, Survey};
use crate::images::values::{PixelValue, with_pixel_type};

/// One image on its way into a batch. A thread uses the same buffer for one image after another.
pub(crate) struct ImageBuffer<P> {
    shape: ImageShape,
    pixels: Vec<P>,
    /// Takes what a transformation makes of `pixels`; the two are then exchanged.
    spare: Vec<P>,
}

impl<P: PixelValue> ImageBuffer<P> {
    fn new(shape: ImageShape) -> Self {
        Self { shape, pixels: Vec::new(), spare: Vec::new() }
    }

    /// The shape of the image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Replaces the image by one of shape `to`. `write` gets the old values and a place for the new ones, which it must
    /// write in full.
    pub fn replace(&mut self, to: ImageShape, write: impl FnOnce(&[P], &mut [P])) {
        self.spare.resize(to.values(), P::default());
        write(&self.pixels, &mut self.spare);
        std::mem::swap(&mut self.pixels, &mut self.spare);
        self.shape = to;
    }
}

/// What is done to every image on its way into a batch.
pub(crate) trait Transform: Sync {
    /// What a thread keeps from one image to the next.
    type Workspace: Default;

    /// The shape that an image of shape `from` will have; fails with what is wrong with it.
    fn shape(&self, from: ImageShape) -> Result<ImageShape, String>;

    /// The channels in which it takes encoded images.
    fn wanted(&self) -> Wanted {
        Wanted::Stored
    }

    /// Transforms the image of a row of the array.
    fn apply<P: PixelValue>(
        &self,
        row: usize,
        image: &mut ImageBuffer<P>,
        workspace: &mut Self::Workspace,
    ) -> Result<(), String>;
}

/// Images stay as they are.
impl Transform for () {
    type Workspace = ();

    fn shape(&self, from: ImageShape) -> Result<ImageShape, String> {
        Ok(from)
    }

    fn apply<P: PixelValue>(&self, _: usize, _: &mut ImageBuffer<P>, (): &mut ()) -> Result<(), String> {
        Ok(())
    }
}

/// Images of several shapes.
pub(crate) struct Ragged {
    /// Rows that have the same shape, and their images, one for each.
    pub groups: Vec<(Vec<usize>, ImageBatch)>,
    /// The rows that cannot be featurized, in order.
    pub defects: Vec<Defect>,
}

/// Rows of one shape, and their images one after another.
struct Group<P> {
    shape: ImageShape,
    rows: Vec<usize>,
    pixels: Vec<P>,
}

/// Bytes of pixels that are made of a part of a batch at once, so that a few parts on their way take little memory.
pub(crate) const PART_BYTES: usize = 16 << 20;
/// Images in a part, at least, so that all threads have some to decode; unless they take [`MAX_PART_BYTES`].
const PART_IMAGES: usize = 32;
const MAX_PART_BYTES: usize = 64 << 20;

impl ColumnReader {
    /// Reads an array as it is.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`](crate::Error::UnsupportedColumn) if the array is of another type than the column.
    pub fn read(&self, array: &dyn Array) -> Result<ImageBatch> {
        let rows = ColumnRows::of(&self.column, array)?;
        Ok(match rows.interleaved() {
            Some(rows) => with_pixel_type!(self.pixel_type, P => rows.read::<P>(self.shape)),
            None => self.gather_any(&rows, &(), self.shape),
        })
    }

    /// Reads an array of images that all have the shape `shape` once they are transformed; others are defects.
    ///
    /// # Errors
    /// As [`ColumnReader::read`].
    pub fn read_transformed<T: Transform>(
        &self,
        array: &dyn Array,
        transform: &T,
        shape: ImageShape,
    ) -> Result<ImageBatch> {
        Ok(self.gather_any(&ColumnRows::of(&self.column, array)?, transform, shape))
    }

    /// Reads an array of images of any height and width that have `channels` channels once they are transformed.
    ///
    /// # Errors
    /// As [`ColumnReader::read`].
    pub fn read_ragged<T: Transform>(&self, array: &dyn Array, transform: &T, channels: usize) -> Result<Ragged> {
        let rows = ColumnRows::of(&self.column, array)?;
        Ok(with_pixel_type!(self.pixel_type, P => self.group::<P, T>(&rows, transform, channels)))
    }

    /// Ranges of rows to read at once, so that no range takes more than some 16 MB of pixels, or 64 MB if images are large.
    /// It is one range if the column already holds as many pixels as will be made. `shape` is the shape that all images get,
    /// if they get one.
    ///
    /// # Errors
    /// As [`ColumnReader::read`].
    pub fn parts(&self, array: &dyn Array, shape: Option<ImageShape>) -> Result<Vec<Range<usize>>> {
        if !self.column.expands() && shape.is_none_or(|shape| shape == self.shape) {
            return Ok(std::iter::once(0..array.len()).collect());
        }
        let rows = ColumnRows::of(&self.column, array)?;
        let bytes = |row| {
            let shape = shape.or_else(|| rows.shape(row, self.shape));
            shape.map_or(0, |shape| shape.values() * self.pixel_type.bytes())
        };
        let (mut parts, mut start, mut taken) = (Vec::new(), 0, 0);
        for row in 0..rows.len() {
            let more = bytes(row);
            let most = if row - start < PART_IMAGES { MAX_PART_BYTES } else { PART_BYTES };
            if row > start && taken + more > most {
                parts.push(start..row);
                (start, taken) = (row, 0);
            }
            taken += more;
        }
        parts.push(start..rows.len());
        Ok(parts)
    }

    fn gather_any<T: Transform>(&self, rows: &ColumnRows, transform: &T, shape: ImageShape) -> ImageBatch {
        with_pixel_type!(self.pixel_type, P => self.gather::<P, T>(rows, transform, shape))
    }

    /// Reads and transforms rows in parallel. Every row has a place; those of defects are zero.
    fn gather<P: PixelValue, T: Transform>(&self, rows: &ColumnRows, transform: &T, shape: ImageShape) -> ImageBatch {
        let accept = |found: ImageShape| check_same_shape(transform.shape(found)?, shape);
        let mut all = vec![P::default(); rows.len() * shape.values()];
        let places = all.par_chunks_exact_mut(shape.values()).enumerate();
        let defects = places.map_init(
            || (ImageBuffer::<P>::new(shape), T::Workspace::default()),
            |(image, workspace), (row, place)| {
                self.load(rows, row, transform, &accept, image, workspace)?;
                place.copy_from_slice(&image.pixels);
                Ok(())
            },
        );
        let defects = defects.filter_map(Result::err).collect();
        ImageBatch::new(shape, rows.len(), P::wrap(all.into()), true, defects)
    }

    fn group<P: PixelValue, T: Transform>(&self, rows: &ColumnRows, transform: &T, channels: usize) -> Ragged {
        let accept = |found: ImageShape| match transform.shape(found)?.channels() {
            own if own == channels => Ok(()),
            own => Err(format!("{own} channels, {channels} are needed")),
        };
        let images = (0..rows.len()).into_par_iter().map_init(
            || (ImageBuffer::<P>::new(self.shape), T::Workspace::default()),
            |(image, workspace), row| {
                self.load(rows, row, transform, &accept, image, workspace)?;
                Ok((image.shape, std::mem::take(&mut image.pixels)))
            },
        );
        let images: Vec<Result<(ImageShape, Vec<P>), Defect>> = images.collect();
        let mut defects = Vec::new();
        // In the order of their sizes, so that the same rows make the same groups in the same order.
        let mut groups: BTreeMap<(usize, usize), Group<P>> = BTreeMap::new();
        for (row, image) in images.into_iter().enumerate() {
            match image {
                Ok((shape, pixels)) => {
                    let group = groups.entry((shape.height(), shape.width()));
                    let group = group.or_insert_with(|| Group { shape, rows: Vec::new(), pixels: Vec::new() });
                    group.rows.push(row);
                    group.pixels.extend_from_slice(&pixels);
                }
                Err(defect) => defects.push(defect),
            }
        }
        let batch = |group: Group<P>| {
            let pixels = P::wrap(group.pixels.into());
            let batch = ImageBatch::new(group.shape, group.rows.len(), pixels, true, Vec::new());
            (group.rows, batch)
        };
        Ragged { groups: groups.into_values().map(batch).collect(), defects }
    }

    /// Reads the image of one row and transforms it.
    fn load<P: PixelValue, T: Transform>(
        &self,
        rows: &ColumnRows,
        row: usize,
        transform: &T,
        accept: &dyn Fn(ImageShape) -> Result<(), String>,
        image: &mut ImageBuffer<P>,
        workspace: &mut T::Workspace,
    ) -> Result<(), Defect> {
        image.shape = rows.load(row, self.shape, transform.wanted(), accept, &mut image.pixels)?;
        transform.apply(row, image, workspace).map_err(|why| Defect::new(row, Reason::WrongLength, why))
    }
}

impl ImageBatch {
    /// Reads an image column in any of the layouts of the [crate's list](crate#layouts). Only the type counts: for
    /// extension types, which are in the metadata of a field, see
    /// [`Featurizer::featurize_column`](crate::Featurizer::featurize_column).
    ///
    /// Integers are narrowed if they fit. Floats become integers if they have no fraction. Integers become f32 if f32
    /// holds them exactly; f64 is rounded to the nearest f32. A row with any other value is a defect. A null row is a
    /// defect of [`Reason::NullImage`](crate::Reason::NullImage), a row of another size one of
    /// [`Reason::WrongLength`](crate::Reason::WrongLength). An empty array gives an empty batch.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`](crate::Error::UnsupportedColumn) if the type is none of those, or holds raw bytes
    /// and `pixel_type` is not u8, or encoded images and it is f32. `name` is the column's name in such errors.
    pub fn from_array(array: &dyn Array, name: &str, shape: ImageShape, pixel_type: PixelType) -> Result<Self> {
        let column = ImageColumn::of(&Field::new(name, array.data_type().clone(), true))?;
        let declared = Declared { shape: Some(shape), pixel_type: Some(pixel_type), ..Declared::default() };
        let mut survey = Survey::new(column, declared)?;
        survey.count(array)?;
        survey.into_reader()?.read(array)
    }
}
