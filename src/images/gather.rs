//! Rows that cannot be used where they lie: each read, changed and put in its place, in parallel.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow_array::Array;
use rayon::prelude::*;

use super::rows::{Rows, same};
use super::survey::Reading;
use super::values::Target;
use super::{ImageBatch, Pixels};
use crate::base::error::Result;
use crate::base::reason::Reason;
use crate::base::shape::{ImageShape, PixelType};
use crate::images::defect::Defect;

/// What is done to every image on its way into a batch.
pub(crate) trait Change<T>: Sync {
    /// What a thread keeps from one image to the next.
    type Scratch: Default;

    /// The shape that an image of shape `found` will have.
    fn shape(&self, found: ImageShape) -> ImageShape;

    /// Changes an image of shape `found`.
    fn apply(&self, found: ImageShape, pixels: &mut Vec<T>, scratch: &mut Self::Scratch) -> Result<(), String>;
}

/// Images stay as they are.
impl<T> Change<T> for () {
    type Scratch = ();

    fn shape(&self, found: ImageShape) -> ImageShape {
        found
    }

    fn apply(&self, _: ImageShape, _: &mut Vec<T>, (): &mut ()) -> Result<(), String> {
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
struct Group<T> {
    shape: ImageShape,
    rows: Vec<usize>,
    pixels: Vec<T>,
}

/// Bytes of pixels that are made of a part of a batch at once.
const PART_BYTES: usize = 64 << 20;

impl Reading {
    /// Reads an array as it is.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`](crate::Error::UnsupportedColumn) if the array is of another type than the column.
    pub fn read(&self, array: &dyn Array) -> Result<ImageBatch> {
        let rows = Rows::of(&self.column, array)?;
        Ok(if rows.is_interleaved() {
            match self.pixel_type {
                PixelType::U8 => rows.read_in_place::<u8>(self, Pixels::U8),
                PixelType::U16 => rows.read_in_place::<u16>(self, Pixels::U16),
                PixelType::F32 => rows.read_in_place::<f32>(self, Pixels::F32),
            }
        } else {
            self.gather_any(&rows, &(), self.shape)
        })
    }

    /// Reads an array of images that all have the shape `shape` once they are changed; others are defects.
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub fn read_changed<C>(&self, array: &dyn Array, change: &C, shape: ImageShape) -> Result<ImageBatch>
    where
        C: Change<u8> + Change<u16> + Change<f32>,
    {
        Ok(self.gather_any(&Rows::of(&self.column, array)?, change, shape))
    }

    /// Reads an array of images of any height and width that have `channels` channels once they are changed.
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub fn read_ragged<C>(&self, array: &dyn Array, change: &C, channels: usize) -> Result<Ragged>
    where
        C: Change<u8> + Change<u16> + Change<f32>,
    {
        let rows = Rows::of(&self.column, array)?;
        Ok(match self.pixel_type {
            PixelType::U8 => self.group::<u8, C>(&rows, change, channels, |pixels| Pixels::U8(pixels.into())),
            PixelType::U16 => self.group::<u16, C>(&rows, change, channels, |pixels| Pixels::U16(pixels.into())),
            PixelType::F32 => self.group::<f32, C>(&rows, change, channels, |pixels| Pixels::F32(pixels.into())),
        })
    }

    /// Ranges of rows to read at once, so that no more than some 64 MB of pixels are made of a few bytes: all rows where
    /// the column holds its pixels as they will be. `shape` is the one that all images get, if they get one.
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub fn parts(&self, array: &dyn Array, shape: Option<ImageShape>) -> Result<Vec<Range<usize>>> {
        if !self.column.expands() && shape.is_none_or(|shape| shape == self.shape) {
            return Ok(std::iter::once(0..array.len()).collect());
        }
        let rows = Rows::of(&self.column, array)?;
        let bytes = |row| match shape {
            Some(shape) => shape.values() * self.pixel_type.bytes(),
            None => rows.pixel_bytes(row, self),
        };
        let (mut parts, mut start, mut taken) = (Vec::new(), 0, 0);
        for row in 0..rows.len() {
            let more = bytes(row);
            if row > start && taken + more > PART_BYTES {
                parts.push(start..row);
                (start, taken) = (row, 0);
            }
            taken += more;
        }
        parts.push(start..rows.len());
        Ok(parts)
    }

    fn gather_any<C>(&self, rows: &Rows, change: &C, shape: ImageShape) -> ImageBatch
    where
        C: Change<u8> + Change<u16> + Change<f32>,
    {
        let (pixels, defects) = match self.pixel_type {
            PixelType::U8 => {
                let (pixels, defects) = self.gather::<u8, C>(rows, change, shape);
                (Pixels::U8(pixels.into()), defects)
            }
            PixelType::U16 => {
                let (pixels, defects) = self.gather::<u16, C>(rows, change, shape);
                (Pixels::U16(pixels.into()), defects)
            }
            PixelType::F32 => {
                let (pixels, defects) = self.gather::<f32, C>(rows, change, shape);
                (Pixels::F32(pixels.into()), defects)
            }
        };
        ImageBatch::new(shape, rows.len(), pixels, true, defects)
    }

    /// A place for every row; those of defects are zero.
    fn gather<T: Target, C: Change<T>>(&self, rows: &Rows, change: &C, shape: ImageShape) -> (Vec<T>, Vec<Defect>) {
        let accept = |found: ImageShape| same(change.shape(found), shape);
        let mut all = vec![T::default(); rows.len() * shape.values()];
        let places = all.par_chunks_exact_mut(shape.values()).enumerate();
        let defects = places.map_init(Default::default, |(pixels, scratch), (row, place)| {
            self.load(rows, row, change, &accept, pixels, scratch)?;
            place.copy_from_slice(pixels);
            Ok(())
        });
        let defects = defects.filter_map(Result::err).collect();
        (all, defects)
    }

    fn group<T: Target, C: Change<T>>(
        &self,
        rows: &Rows,
        change: &C,
        channels: usize,
        wrap: fn(Vec<T>) -> Pixels,
    ) -> Ragged {
        let accept = |found: ImageShape| match change.shape(found).channels() {
            own if own == channels => Ok(()),
            own => Err(format!("{own} channels, {channels} are needed")),
        };
        let images = (0..rows.len()).into_par_iter().map_init(Default::default, |scratch, row| {
            let mut pixels = Vec::new();
            let shape = self.load(rows, row, change, &accept, &mut pixels, scratch)?;
            Ok((shape, pixels))
        });
        let images: Vec<Result<(ImageShape, Vec<T>), Defect>> = images.collect();
        let mut defects = Vec::new();
        // In the order of their sizes, so that the same rows make the same groups in the same order.
        let mut groups: BTreeMap<(usize, usize), Group<T>> = BTreeMap::new();
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
        let batch = |group: Group<T>| {
            let batch = ImageBatch::new(group.shape, group.rows.len(), wrap(group.pixels), true, Vec::new());
            (group.rows, batch)
        };
        Ragged { groups: groups.into_values().map(batch).collect(), defects }
    }

    /// Reads one row and changes it; returns the shape that it has then.
    fn load<T: Target, C: Change<T>>(
        &self,
        rows: &Rows,
        row: usize,
        change: &C,
        accept: &dyn Fn(ImageShape) -> Result<(), String>,
        pixels: &mut Vec<T>,
        scratch: &mut C::Scratch,
    ) -> Result<ImageShape, Defect> {
        let found = rows.load(row, self, accept, pixels)?;
        change.apply(found, pixels, scratch).map_err(|why| Defect::new(row, Reason::WrongLength, why))?;
        Ok(change.shape(found))
    }
}
