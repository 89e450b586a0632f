//! Images → values, a place for every row, and the columns they make.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, ListArray, UInt32Array};
use arrow_buffer::{NullBuffer, OffsetBuffer};

use crate::base::error::{Error, Result};
use crate::base::reason::Reason;
use crate::base::shape::ImageShape;
use crate::engine::{Engine, Shares};
use crate::features::{FeatureLayout, FeatureSet, FeaturesMut, Layout, item_field};
use crate::images::defect::{Defect, explain};
use crate::images::{ImageBatch, Pixels, Ragged};

/// The images of some rows, ready for the engine.
pub(crate) enum BatchImages {
    /// All of one shape.
    Uniform(ImageBatch),
    /// So many rows, with shapes of their own.
    Ragged(usize, Ragged),
}

impl BatchImages {
    pub fn defects(&self) -> &[Defect] {
        match self {
            BatchImages::Uniform(batch) => batch.defects(),
            BatchImages::Ragged(_, ragged) => &ragged.defects,
        }
    }

    /// How many rows there are, and their images, if each has a shape of its own.
    pub fn ragged(&self) -> Option<(usize, &Ragged)> {
        match self {
            BatchImages::Uniform(_) => None,
            BatchImages::Ragged(rows, ragged) => Some((*rows, ragged)),
        }
    }

    pub fn into_defects(self) -> Vec<Defect> {
        match self {
            BatchImages::Uniform(batch) => batch.into_defects(),
            BatchImages::Ragged(_, ragged) => ragged.defects,
        }
    }

    /// Gives the rows that a reader had to leave null the reasons it had for it.
    pub fn explain(&mut self, known: Vec<Defect>) {
        match self {
            BatchImages::Uniform(batch) => batch.explain(known),
            BatchImages::Ragged(_, ragged) => explain(&mut ragged.defects, known),
        }
    }
}

/// The computed values of some rows; of defective ones zeros, or nothing where rows differ in length.
pub(crate) struct Computed {
    /// The values of the columns of their own, column by column, in the order of the feature set.
    columns: Vec<Vec<f32>>,
    /// The feature lists, row after row.
    lists: Vec<f32>,
    /// Values in the list of each row, where rows differ.
    lengths: Option<Vec<usize>>,
}

impl Computed {
    /// Of no rows.
    pub fn empty(set: &FeatureSet) -> Self {
        Self { columns: vec![Vec::new(); set.columns().count()], lists: Vec::new(), lengths: None }
    }

    /// Computes all images; what shows only then is added to their defects. `layout` is that of the run; of ragged
    /// images only its set and scale matter.
    pub fn of(engine: &Engine, images: &mut BatchImages, layout: &FeatureLayout) -> Result<(Self, Shares)> {
        match images {
            BatchImages::Uniform(batch) => Self::uniform(engine, batch, layout),
            BatchImages::Ragged(rows, ragged) => Self::ragged(engine, *rows, ragged, layout),
        }
    }

    fn uniform(engine: &Engine, images: &mut ImageBatch, layout: &FeatureLayout) -> Result<(Self, Shares)> {
        let stride = layout.stride();
        let (rows, count) = (images.rows(), images.images());
        let mut values = vec![0.0; rows * stride];
        let shares = engine.featurize(images, layout, FeaturesMut::new(&mut values[..count * stride], stride)?)?;
        if !images.every_row() {
            spread(&mut values, stride, images.defects());
        }
        if matches!(images.pixels(), Pixels::F32(_)) {
            let beyond = beyond_f32(&values, stride, images.defects());
            images.add_defects(beyond);
        }
        // A null keeps no trace of what stood in its place.
        for defect in images.defects() {
            values[defect.row * stride..][..stride].fill(0.0);
        }
        let columns = layout.columns().map(|(_, place)| column(&values, stride, place)).collect();
        Ok((Self { columns, lists: compact(values, stride, layout), lengths: None }, shares))
    }

    /// One call of the engine for each shape there is.
    fn ragged(engine: &Engine, rows: usize, images: &mut Ragged, run: &FeatureLayout) -> Result<(Self, Shares)> {
        let (mut lengths, mut parts) = (vec![0; rows], vec![(0, 0); rows]);
        let mut all = Self::empty(run.set());
        all.columns.iter_mut().for_each(|column| column.resize(rows, 0.0));
        let (mut all_shares, mut computed) = (Shares::default(), Vec::new());
        for (of, batch) in &mut images.groups {
            let layout = run.set().layout(batch.shape(), run.scale())?;
            let length = layout.list_values();
            let (values, shares) = Self::uniform(engine, batch, &layout)?;
            all_shares.cpu += shares.cpu;
            all_shares.gpu += shares.gpu;
            images.defects.extend(batch.defects().iter().map(|d| Defect { row: of[d.row], ..d.clone() }));
            for (place, &row) in of.iter().enumerate() {
                parts[row] = (computed.len(), place * length);
                lengths[row] = length;
                for (all, values) in all.columns.iter_mut().zip(&values.columns) {
                    all[row] = values[place];
                }
            }
            computed.push(values.lists);
        }
        images.defects.sort_by_key(|defect| defect.row);
        for defect in &images.defects {
            lengths[defect.row] = 0;
        }
        all.lists.reserve_exact(lengths.iter().sum());
        for (&(group, start), &length) in parts.iter().zip(lengths.iter()).filter(|(_, length)| **length > 0) {
            all.lists.extend_from_slice(&computed[group][start..start + length]);
        }
        all.lengths = Some(lengths);
        Ok((all, all_shares))
    }

    /// Puts the values of further rows behind these; for rows that do not differ in length.
    pub fn append(&mut self, more: Self) {
        self.lists.extend(more.lists);
        for (column, more) in self.columns.iter_mut().zip(more.columns) {
            column.extend(more);
        }
    }

    /// The columns of [`feature_fields`](crate::features::feature_fields), or of
    /// [`ragged_fields`](crate::features::ragged_fields) where rows differ.
    pub fn into_columns(
        self,
        output: Layout,
        layout: &FeatureLayout,
        images: Option<(usize, &Ragged)>,
        valid: Option<NullBuffer>,
    ) -> Result<Vec<ArrayRef>> {
        let column = |values: Vec<f32>| Arc::new(Float32Array::new(values.into(), valid.clone())) as ArrayRef;
        let mut columns: Vec<ArrayRef> = self.columns.into_iter().map(column).collect();
        let values = layout.list_values();
        match (images, output) {
            (Some((rows, ragged)), _) => {
                columns.extend(sides(rows, ragged, valid.as_ref()));
                let ends = OffsetBuffer::from_lengths(self.lengths.unwrap_or_default());
                let values = Arc::new(Float32Array::from(self.lists));
                let lists = ListArray::try_new(item_field(Layout::List), ends, values, valid).map_err(Error::from)?;
                columns.push(Arc::new(lists));
            }
            _ if values == 0 => {}
            (_, Layout::Columns) => columns.extend(transpose(&self.lists, values).into_iter().map(column)),
            (_, Layout::List | Layout::Tensor) => {
                let lists = Arc::new(Float32Array::from(self.lists));
                let lists = FixedSizeListArray::try_new(item_field(output), values as i32, lists, valid);
                columns.push(Arc::new(lists.map_err(Error::from)?));
            }
        }
        Ok(columns)
    }
}

/// Rows of finite pixels whose values are not.
fn beyond_f32(values: &[f32], stride: usize, defects: &[Defect]) -> Vec<Defect> {
    let known = |row: usize| defects.binary_search_by_key(&row, |defect| defect.row).is_ok();
    let rows = values.chunks_exact(stride).enumerate();
    rows.filter(|(row, values)| !values.iter().all(|value| value.is_finite()) && !known(*row))
        .map(|(row, _)| Defect::new(row, Reason::NotFinite, "its features are beyond 32-bit floats"))
        .collect()
}

/// The value at `place` of each row.
fn column(values: &[f32], stride: usize, place: usize) -> Vec<f32> {
    values.iter().skip(place).step_by(stride).copied().collect()
}

/// Rows of all values → the feature lists alone, in the same memory.
fn compact(mut values: Vec<f32>, stride: usize, layout: &FeatureLayout) -> Vec<f32> {
    let ranges: Vec<Range<usize>> = layout.list_ranges().collect();
    let mut end = 0;
    for row in (0..values.len()).step_by(stride) {
        for range in &ranges {
            values.copy_within(row + range.start..row + range.end, end);
            end += range.len();
        }
    }
    values.truncate(end);
    values
}

/// The height and width of each row.
fn sides(rows: usize, images: &Ragged, valid: Option<&NullBuffer>) -> [ArrayRef; 2] {
    let shapes: HashMap<usize, ImageShape> =
        images.groups.iter().flat_map(|(of, batch)| of.iter().map(|&row| (row, batch.shape()))).collect();
    let is_valid = |row: usize| valid.is_none_or(|valid| valid.is_valid(row));
    let column = |side: fn(&ImageShape) -> usize| -> ArrayRef {
        let values = (0..rows).map(|row| shapes.get(&row).filter(|_| is_valid(row)).map(|shape| side(shape) as u32));
        Arc::new(values.collect::<UInt32Array>())
    };
    [column(ImageShape::height), column(ImageShape::width)]
}

/// Moves the values of the valid rows, which stand side by side at the start, to the places of their rows.
fn spread(values: &mut [f32], width: usize, defects: &[Defect]) {
    let mut end = values.len() / width;
    for (before, defect) in defects.iter().enumerate().rev() {
        // The rows between this defect and the next one have `before + 1` defects before them.
        let rows = defect.row + 1..end;
        let from = (rows.start - before - 1) * width..(rows.end - before - 1) * width;
        values.copy_within(from, rows.start * width);
        end = defect.row;
    }
}

/// Which rows are not defective; `None` if all are.
pub(crate) fn validity(rows: usize, defects: &[Defect]) -> Option<NullBuffer> {
    if defects.is_empty() {
        return None;
    }
    let mut valid = vec![true; rows];
    for defect in defects {
        valid[defect.row] = false;
    }
    Some(NullBuffer::from(valid))
}

/// Rows of `width` values → a vector per column.
fn transpose(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    (0..width).map(|place| column(values, width, place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defects(rows: &[usize]) -> Vec<Defect> {
        rows.iter().map(|&row| Defect::new(row, Reason::NullImage, "null")).collect()
    }

    #[test]
    fn values_find_their_rows() {
        for bad in [&[][..], &[0], &[4], &[0, 1], &[3, 4], &[1, 3], &[0, 2, 4], &[0, 1, 2, 3, 4]] {
            let good: Vec<usize> = (0..5).filter(|row| !bad.contains(row)).collect();
            let mut values = vec![-1.0; 10];
            for (place, &row) in good.iter().enumerate() {
                values[2 * place] = row as f32;
                values[2 * place + 1] = row as f32 + 0.5;
            }
            spread(&mut values, 2, &defects(bad));
            for &row in &good {
                assert_eq!(values[2 * row..][..2], [row as f32, row as f32 + 0.5], "row {row} with {bad:?}");
            }
        }
    }

    #[test]
    fn columns_are_the_rows_turned() {
        assert_eq!(transpose(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
    }
}
