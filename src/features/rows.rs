//! The rows that a backend fills: one view for all of them.

use std::ops::Range;

use crate::base::error::{Error, Result};

/// The rows of some images, for a backend to fill: `stride` values an image.
#[derive(Debug)]
pub struct FeaturesMut<'a> {
    values: &'a mut [f32],
    stride: usize,
}

impl<'a> FeaturesMut<'a> {
    /// Rows of `stride` values ([`FeatureLayout::stride`](crate::FeatureLayout::stride)).
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `values` are not whole rows.
    pub fn new(values: &'a mut [f32], stride: usize) -> Result<Self> {
        if stride == 0 || !values.len().is_multiple_of(stride) {
            let why = format!("{} values are not whole rows of {stride}", values.len());
            return Err(Error::InvalidOption { option: "out", why });
        }
        Ok(Self { values, stride })
    }

    /// How many images it has a row for.
    #[inline]
    pub fn images(&self) -> usize {
        self.values.len() / self.stride
    }

    /// Values in a row.
    #[inline]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The rows, one after another.
    #[inline(always)]
    pub fn rows_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.stride)
    }

    /// All values, row after row.
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.values
    }

    /// The rows of the first `images` images and those of the rest, to be filled independently.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn split_at(self, images: usize) -> (FeaturesMut<'a>, FeaturesMut<'a>) {
        let (values, rest) = self.values.split_at_mut(images * self.stride);
        (FeaturesMut { values, stride: self.stride }, FeaturesMut { values: rest, stride: self.stride })
    }

    /// A shorter-lived view of the same rows.
    #[inline]
    pub fn reborrow(&mut self) -> FeaturesMut<'_> {
        FeaturesMut { values: self.values, stride: self.stride }
    }
}

/// The part of some rows of values that belongs to one family.
#[derive(Debug)]
pub(crate) struct RowsMut<'a> {
    rows: FeaturesMut<'a>,
    range: Range<usize>,
}

impl<'a> RowsMut<'a> {
    pub fn new(rows: FeaturesMut<'a>, range: Range<usize>) -> Self {
        Self { rows, range }
    }

    /// The values of each row, row by row.
    #[inline(always)]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let Range { start, end } = self.range;
        self.rows.rows_mut().map(move |row| &mut row[start..end])
    }
}
