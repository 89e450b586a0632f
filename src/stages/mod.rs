//! What becomes of images between their column and the engine: colours to gray, then one size.
//!
//! It is done once, on the host, so that it is the same whatever computes the features.

mod gray;
mod resize;

use arrow_array::Array;

use self::gray::Luma;
use self::resize::{Resample, Resampler};
use crate::base::error::Result;
use crate::base::shape::ImageShape;
use crate::images::{Change, ImageBatch, Ragged, Reading};

pub use self::resize::{Filter, Resize};

/// The stages of a run, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stages {
    pub gray: bool,
    pub resize: Option<Resize>,
}

impl Stages {
    /// The shape that an image of shape `found` comes out with.
    pub fn shape(&self, found: ImageShape) -> Result<ImageShape> {
        let channels = if self.gray { 1 } else { found.channels() };
        match self.resize {
            Some(to) => ImageShape::new(to.height(), to.width(), channels),
            None => ImageShape::new(found.height(), found.width(), channels),
        }
    }

    /// Images of one shape, which is that of the stages' output; those that have another are defects.
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub fn prepare(&self, reading: &Reading, array: &dyn Array, shape: ImageShape) -> Result<ImageBatch> {
        if *self == Self::default() { reading.read(array) } else { reading.read_changed(array, self, shape) }
    }

    /// Images of any height and width, with so many channels after the stages.
    ///
    /// # Errors
    /// As [`Reading::read`].
    pub fn prepare_ragged(&self, reading: &Reading, array: &dyn Array, channels: usize) -> Result<Ragged> {
        reading.read_ragged(array, self, channels)
    }
}

impl<T: Luma + Resample> Change<T> for Stages {
    type Scratch = Resampler;

    fn shape(&self, found: ImageShape) -> ImageShape {
        // A smaller image, or one of sides that were checked before: always a shape.
        Stages::shape(self, found).unwrap_or(found)
    }

    fn apply(&self, found: ImageShape, pixels: &mut Vec<T>, resampler: &mut Resampler) -> Result<(), String> {
        let mut shape = found;
        if self.gray && shape.channels() > 1 {
            gray::convert(pixels, shape.channels());
            shape = ImageShape::gray(shape.height(), shape.width()).map_err(|e| e.to_string())?;
        }
        match self.resize {
            Some(to) => resampler.resize(pixels, shape, to),
            None => Ok(()),
        }
    }
}
