//! Where the values of a feature set are in a row.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::family::ImageSpec;
use super::{Feature, FeatureSet};
use crate::base::error::{Error, Result};
use crate::base::shape::ImageShape;

/// A feature set for images of one shape: which values a row has, in which order.
///
/// A row holds the values of each feature, in the order of the set: first its blocks, which go into the feature list,
/// then those that are columns of their own (`pixel_mean`, `pixel_std`).
#[derive(Debug, Clone)]
pub struct FeatureLayout {
    set: FeatureSet,
    shape: ImageShape,
    scale: f64,
    /// The values of each feature of the set.
    ranges: Arc<[Range<usize>]>,
    /// The names of the values of the feature list, once they have been asked for.
    list_names: Arc<OnceLock<Vec<String>>>,
}

impl PartialEq for FeatureLayout {
    fn eq(&self, other: &Self) -> bool {
        // All else follows from these.
        (&self.set, self.shape, self.scale) == (&other.set, other.shape, other.scale)
    }
}

/// Values of a feature that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// The feature that it is a part of.
    pub feature: Feature,
    /// Its name, such as `row_sums`, or `c1_row_sums` where images have several channels.
    pub name: String,
    /// Where its values are in a row.
    pub range: Range<usize>,
    /// The name of each value.
    pub values: Vec<String>,
    /// Whether its one value is a column of its own. All other values make the feature list.
    pub is_column: bool,
}

impl FeatureLayout {
    pub(super) fn new(set: FeatureSet, shape: ImageShape, scale: f64) -> Result<Self> {
        if !(1e-18..=1e18).contains(&scale) {
            return Err(Error::InvalidOption { option: "scale", why: format!("{scale} is not within 1e-18 to 1e18") });
        }
        let mut start = 0;
        let mut ranges = Vec::new();
        for feature in set.features() {
            let end = start + feature.family().block_values(shape) + feature.family().columns().len();
            ranges.push(start..end);
            start = end;
        }
        if start > i32::MAX as usize {
            let why = format!("`{set}` of {shape} images has {start} values, more than a list can hold");
            return Err(Error::InvalidOption { option: "features", why });
        }
        Ok(Self { set, shape, scale, ranges: ranges.into(), list_names: Arc::default() })
    }

    /// The feature set.
    pub fn set(&self) -> &FeatureSet {
        &self.set
    }

    /// The shape of the images.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// What sums, means and deviations are divided by.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Values in a row, those of columns of their own included.
    #[inline]
    pub fn stride(&self) -> usize {
        self.ranges.last().map_or(0, |range| range.end)
    }

    /// Values in the feature list of an image.
    pub fn list_values(&self) -> usize {
        self.stride() - self.set.features().iter().map(|feature| feature.family().columns().len()).sum::<usize>()
    }

    /// The blocks of a row, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        for (&feature, range) in self.set.features().iter().zip(&*self.ranges) {
            let mut start = range.start;
            let mut push = |name: String, values: Vec<String>, is_column| {
                let range = start..start + values.len();
                start = range.end;
                blocks.push(Block { feature, name, range, values, is_column });
            };
            for block in feature.family().blocks(self.shape) {
                push(block.block, block.values, false);
            }
            for &column in feature.family().columns() {
                push(column.to_owned(), vec![column.to_owned()], true);
            }
        }
        blocks
    }

    /// The names of the values in the feature list, in order.
    pub fn list_names(&self) -> &[String] {
        let names =
            || self.blocks().into_iter().filter(|block| !block.is_column).flat_map(|block| block.values).collect();
        self.list_names.get_or_init(names)
    }

    /// The columns that hold one value of a row each: their names and places.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.set.features().iter().zip(&*self.ranges).flat_map(|(feature, range)| {
            let names = feature.family().columns();
            names.iter().copied().zip(range.end - names.len()..)
        })
    }

    /// Where the values of the feature list are in a row.
    pub(crate) fn list_ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.features().map(|(feature, range)| range.start..range.end - feature.family().columns().len())
    }

    /// The features, and where the values of each are in a row.
    pub(crate) fn features(&self) -> impl ExactSizeIterator<Item = (Feature, Range<usize>)> {
        self.set.features().iter().copied().zip(self.ranges.iter().cloned())
    }

    pub(crate) fn images(&self) -> ImageSpec {
        ImageSpec { shape: self.shape, scale: self.scale }
    }
}
