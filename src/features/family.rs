//! What a family of features is: everything that the rest of the crate may know of one.

use std::any::Any;
use std::fmt::{self, Debug};
use std::ops::Range;

use super::rows::RowsMut;
use crate::base::error::{Error, Result};
use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::simd::Level;

/// A family of features with its parameters: what it sums exactly for each image, and what follows from the sums.
///
/// A row of values of a family holds the values of its blocks, then those of its columns.
pub(crate) trait Family: Debug + Send + Sync {
    /// The blocks that the feature list gets, in their order.
    fn blocks(&self, shape: ImageShape) -> Vec<BlockNames>;

    /// How many values all blocks have. As [`Family::blocks`] says, but without making names.
    fn block_values(&self, shape: ImageShape) -> usize;

    /// Values that become columns of their own, by the names of these columns.
    fn columns(&self) -> &'static [&'static str] {
        &[]
    }

    /// Computes the rows of `out` from the images in `pixels`, one image a row, on the calling thread.
    fn compute(&self, level: Level, of: ImageSpec, pixels: PixelSlice<'_>, out: &mut RowsMut<'_>);

    /// The sums of a band of `image`, all of whose pixels are at hand.
    fn sum_band(&self, level: Level, band: &Band, image: PixelSlice<'_>) -> BandSums;

    /// Computes the row of an image from the sums of its bands, which are in order.
    fn finish_bands(&self, of: ImageSpec, bands: Vec<BandSums>, row: &mut [f32]);

    /// What a device can do of the family for a pixel type: of float pixels nothing, unless the family says so.
    #[cfg(feature = "gpu")]
    fn device_form(&self, pixel_type: PixelType) -> DeviceForm {
        if pixel_type == PixelType::F32 { DeviceForm::No } else { DeviceForm::Features }
    }

    /// The WGSL of the family's functions for a pixel type that it has a form for, in parts. `shaders/frame.wgsl` says
    /// which functions a family has.
    #[cfg(feature = "gpu")]
    fn shaders(&self, pixel_type: PixelType) -> &'static [&'static str];

    /// The numbers that the WGSL calls by their names. All names begin with the family's.
    #[cfg(feature = "gpu")]
    fn shader_numbers(&self, _block: &BlockGeometry) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    /// Words of the family's part of the record of an image in a block, or of a tile.
    #[cfg(feature = "gpu")]
    fn record_words(&self, block: &BlockGeometry) -> usize;

    /// Words of the family's part of the record that is made of the tiles of an image of `height` rows: as many as a tile's,
    /// unless the family says otherwise.
    #[cfg(feature = "gpu")]
    fn merged_words(&self, block: &BlockGeometry, _height: usize) -> usize {
        self.record_words(block)
    }

    /// How many invocations make that part: one for each word of a tile's, unless the family says otherwise.
    #[cfg(feature = "gpu")]
    fn merge_tasks(&self, block: &BlockGeometry, _height: usize) -> usize {
        self.record_words(block)
    }

    /// Computes the rows of images from their records. `false` if a sum of float pixels is beyond f32.
    #[cfg(feature = "gpu")]
    fn finish_records(
        &self,
        of: ImageSpec,
        block: &BlockGeometry,
        records: &mut dyn Iterator<Item = &[u32]>,
        out: &mut RowsMut<'_>,
    ) -> bool;

    /// The sums in the record of a band, for [`Family::finish_bands`]; `None` if one of float pixels is beyond f32.
    #[cfg(feature = "gpu")]
    fn record_sums(&self, band: &Band, block: &BlockGeometry, record: &[u32]) -> Option<BandSums>;

    /// What the row of an image must be, by the plain formulas and nothing else: the oracle of the tests.
    fn expected(&self, of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32>;
}

/// What a device's workgroup takes of images at a time: whole small images, or a tile of a large one.
#[cfg(feature = "gpu")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BlockGeometry {
    /// The type of the pixels.
    pub pixel_type: PixelType,
    /// Pixels in a row of an image.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
    /// Whether a block is a tile, so that the records of an image's tiles are merged.
    pub tiled: bool,
    /// Rows of a block: of each of its images, or of the tile.
    pub rows: usize,
    /// Pixels in a row of a block.
    pub pixels: usize,
    /// Whether sums of a row or column of 8-bit pixels of the image fit 16 bits.
    pub short_sides: bool,
}

#[cfg(feature = "gpu")]
impl BlockGeometry {
    /// Rows of tiles in an image of `height` rows; 1 where blocks hold whole images.
    pub fn bands(&self, height: usize) -> usize {
        if self.tiled { height.div_ceil(self.rows) } else { 1 }
    }

    /// Tiles side by side.
    pub fn across(&self) -> usize {
        self.width.div_ceil(self.pixels)
    }

    /// The sums in a record that has a word for each, or two, low and high, if it is made of tiles.
    pub fn sums<'a>(&self, record: &'a [u32]) -> impl Iterator<Item = u64> + 'a {
        let words = if self.tiled { 2 } else { 1 };
        record.chunks_exact(words).map(|sum| sum.iter().rev().fold(0, |sum, &word| sum << 32 | u64::from(word)))
    }
}

/// What a device can do of a family. Of a set it can do as much as of each member.
#[cfg(feature = "gpu")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DeviceForm {
    /// Nothing: the CPU computes.
    No,
    /// Records, from which the host computes the values.
    Records,
    /// Records, and values in f32 that stay on the device.
    Features,
}

/// Some neighbouring rows of pixels of an image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Band {
    /// The image.
    pub of: ImageSpec,
    /// The rows.
    pub rows: Range<usize>,
}

impl Band {
    /// The band as an image of its own.
    pub fn own(&self) -> ImageSpec {
        let shape = ImageShape::new(self.rows.len(), self.of.shape.width(), self.of.shape.channels());
        ImageSpec { shape: shape.expect("part of a valid shape"), ..self.of }
    }

    /// Its pixels, of those of the image.
    pub fn pixels<'a>(&self, image: PixelSlice<'a>) -> PixelSlice<'a> {
        let values = self.of.shape.row_values();
        image.range(self.rows.start * values..self.rows.end * values)
    }
}

/// The exact sums of a band of an image. Only their family knows their type.
pub(crate) type BandSums = Box<dyn Any + Send + Sync>;

/// The sums of bands as the type `T` that their family gave them.
pub(crate) fn sums_of_bands<T: 'static>(bands: Vec<BandSums>) -> impl Iterator<Item = T> {
    bands.into_iter().map(|band| *band.downcast().expect("bands are made by this family"))
}

/// What follows the colon in the text of a feature, such as `16` in `histogram:16`.
pub(crate) trait Parameters: Sized {
    /// Reads the parameters; `None` if there is no colon.
    fn parse(parameters: Option<&str>) -> Result<Self>;

    /// Writes the colon and the parameters, if there are any.
    fn fmt_parameters(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// Gives the only value of a family that takes no parameters.
pub(crate) fn without_parameters<T: Default>(name: &str, parameters: Option<&str>) -> Result<T> {
    match parameters {
        None => Ok(T::default()),
        Some(_) => Err(Error::InvalidOption { option: "features", why: format!("`{name}` takes no parameters") }),
    }
}

/// The images that values are computed of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ImageSpec {
    /// The shape of each.
    pub shape: ImageShape,
    /// What sums, means and deviations are divided by.
    pub scale: f64,
}

/// The names of a block: values of a family that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockNames {
    /// The name of the block.
    pub block: String,
    /// The name of each value.
    pub values: Vec<String>,
}

impl BlockNames {
    /// A block of `len` values. `name` gives the name of the value at an index.
    pub fn numbered(block: impl Into<String>, len: usize, name: impl Fn(usize) -> String) -> Self {
        Self { block: block.into(), values: (0..len).map(name).collect() }
    }
}

/// The prefix of names where an image has several channels: `c0_`, `c1_`, …; nothing where it has one.
pub(crate) fn channel_prefix(shape: ImageShape, channel: usize) -> String {
    if shape.channels() > 1 { format!("c{channel}_") } else { String::new() }
}
