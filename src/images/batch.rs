//! The images of one array: their pixels, and the rows that have none.

use crate::base::pixels::Pixels;
use crate::base::shape::ImageShape;
use crate::images::defect::{Defect, explain};

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
    /// The defective rows that have a place in `pixels` all the same, in order: what is wrong showed only in their
    /// features.
    late: Vec<usize>,
}

impl ImageBatch {
    /// Puts together what was read: `pixels` of all of `rows` if `every_row`, else of the valid ones.
    pub(crate) fn new(shape: ImageShape, rows: usize, pixels: Pixels, every_row: bool, defects: Vec<Defect>) -> Self {
        Self { shape, rows, pixels, every_row, defects, late: Vec::new() }
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
        if self.every_row { self.rows } else { self.rows + self.late.len() - self.defects.len() }
    }

    /// The pixels, `images() · shape().values()` of them.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The rows that cannot be featurized, in order.
    pub fn defects(&self) -> &[Defect] {
        &self.defects
    }

    /// Replaces the defects of rows that a reader left null by the reader's own; `known` is in row order.
    pub(crate) fn explain(&mut self, known: Vec<Defect>) {
        explain(&mut self.defects, known);
    }

    /// Adds defects that showed only in the features.
    pub(crate) fn add_defects(&mut self, defects: impl IntoIterator<Item = Defect>) {
        let before = self.defects.len();
        self.defects.extend(defects);
        self.late.extend(self.defects[before..].iter().map(|defect| defect.row));
        self.late.sort_unstable();
        self.defects.sort_by_key(|defect| defect.row);
    }

    /// For each row, which of the [images](ImageBatch::images) is its own; `None` for a row that cannot be featurized.
    /// Image `i` has the values from `i * shape().values()` on.
    pub fn places(&self) -> impl Iterator<Item = Option<usize>> {
        let mut defects = self.defects.iter().map(|defect| defect.row).peekable();
        let mut next = 0;
        (0..self.rows).map(move |row| {
            let is_defect = defects.next_if_eq(&row).is_some();
            let place = next;
            next += usize::from(!is_defect || self.every_row || self.late.binary_search(&row).is_ok());
            (!is_defect).then_some(place)
        })
    }

    /// Replaces the pixels by others of another type, a value for each.
    pub(crate) fn replace_pixels(&mut self, pixels: Pixels) {
        self.pixels = pixels;
    }

    pub(crate) fn into_defects(self) -> Vec<Defect> {
        self.defects
    }

    /// Whether image `i` of the pixels is row `i`.
    pub(crate) fn every_row(&self) -> bool {
        self.every_row
    }
}
