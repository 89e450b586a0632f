//! Images → values, a place for every row, and the columns they make.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, ListArray, UInt32Array};
use arrow_buffer::{NullBuffer, OffsetBuffer};

use crate::base::error::{Error, Result};
use crate::base::reason::Reason;
use crate::base::shape::ImageShape;
use crate::engine::{Engine, Shares};
use crate::features::{Finisher, Layout, Output, item_field};
use crate::images::defect::{Defect, explain};
use crate::images::{ImageBatch, Pixels, Ragged};

/// The images of some rows, ready for the engine.
pub(crate) enum Images {
    /// All of one shape.
    Uniform(ImageBatch),
    /// So many rows, with shapes of their own.
    Ragged(usize, Ragged),
}

impl Images {
    pub fn defects(&self) -> &[Defect] {
        match self {
            Images::Uniform(batch) => batch.defects(),
            Images::Ragged(_, ragged) => &ragged.defects,
        }
    }

    pub fn into_defects(self) -> Vec<Defect> {
        match self {
            Images::Uniform(batch) => batch.into_defects(),
            Images::Ragged(_, ragged) => ragged.defects,
        }
    }

    /// Gives the rows that a reader had to leave null the reasons it had for it.
    pub fn explain(&mut self, known: Vec<Defect>) {
        match self {
            Images::Uniform(batch) => batch.explain(known),
            Images::Ragged(_, ragged) => explain(&mut ragged.defects, known),
        }
    }
}

/// The computed values of some rows; of defective ones zeros, or nothing where rows differ in length.
pub(crate) struct Computed {
    pub features: Vec<f32>,
    pub means: Vec<f32>,
    pub stds: Vec<f32>,
    /// The values of each row, where rows differ.
    lengths: Option<Vec<usize>>,
}

impl Computed {
    /// Of no rows.
    pub fn empty() -> Self {
        Self { features: Vec::new(), means: Vec::new(), stds: Vec::new(), lengths: None }
    }

    /// Computes all images; what shows only then is added to their defects. `finisher` is that of the run; of ragged
    /// images only its scale matters.
    pub fn of(engine: &Engine, images: &mut Images, finisher: &Finisher) -> Result<(Self, Shares)> {
        match images {
            Images::Uniform(batch) => Self::uniform(engine, batch, finisher),
            Images::Ragged(rows, ragged) => Self::ragged(engine, *rows, ragged, finisher.scale()),
        }
    }

    fn uniform(engine: &Engine, images: &mut ImageBatch, finisher: &Finisher) -> Result<(Self, Shares)> {
        let width = images.shape().features();
        let (rows, count) = (images.rows(), images.images());
        let mut values = Self { features: vec![0.0; rows * width], ..Self::empty() };
        (values.means, values.stds) = (vec![0.0; rows], vec![0.0; rows]);
        let out = Output {
            features: &mut values.features[..count * width],
            means: &mut values.means[..count],
            stds: &mut values.stds[..count],
        };
        let shares = engine.featurize(images, finisher, out)?;
        if !images.every_row() {
            spread(&mut values.features, width, images.defects());
            spread(&mut values.means, 1, images.defects());
            spread(&mut values.stds, 1, images.defects());
        }
        if matches!(images.pixels(), Pixels::F32(_)) {
            let beyond = values.beyond_f32(width, images.defects());
            images.add_defects(beyond);
        }
        // A null keeps no trace of what stood in its place.
        for defect in images.defects() {
            values.features[defect.row * width..][..width].fill(0.0);
            values.means[defect.row] = 0.0;
            values.stds[defect.row] = 0.0;
        }
        Ok((values, shares))
    }

    /// One call of the engine for each shape there is.
    fn ragged(engine: &Engine, rows: usize, images: &mut Ragged, scale: f64) -> Result<(Self, Shares)> {
        let mut all = Self { lengths: Some(vec![0; rows]), ..Self::empty() };
        (all.means, all.stds) = (vec![0.0; rows], vec![0.0; rows]);
        let lengths = all.lengths.get_or_insert_default();
        let (mut all_shares, mut parts) = (Shares::default(), vec![(0, 0); rows]);
        let mut computed = Vec::new();
        for (of, batch) in &mut images.groups {
            let width = batch.shape().features();
            let (values, shares) = Self::uniform(engine, batch, &Finisher::new(batch.shape(), scale)?)?;
            all_shares.cpu += shares.cpu;
            all_shares.gpu += shares.gpu;
            images.defects.extend(batch.defects().iter().map(|d| Defect { row: of[d.row], ..d.clone() }));
            for (place, &row) in of.iter().enumerate() {
                parts[row] = (computed.len(), place * width);
                (all.means[row], all.stds[row], lengths[row]) = (values.means[place], values.stds[place], width);
            }
            computed.push(values.features);
        }
        images.defects.sort_by_key(|defect| defect.row);
        for defect in &images.defects {
            lengths[defect.row] = 0;
        }
        all.features.reserve_exact(lengths.iter().sum());
        for (&(group, start), &length) in parts.iter().zip(lengths.iter()).filter(|(_, length)| **length > 0) {
            all.features.extend_from_slice(&computed[group][start..start + length]);
        }
        Ok((all, all_shares))
    }

    /// Puts the values of further rows behind these; for rows that do not differ in length.
    pub fn append(&mut self, more: Self) {
        self.features.extend(more.features);
        self.means.extend(more.means);
        self.stds.extend(more.stds);
    }

    /// The columns of [`feature_fields`](crate::features::feature_fields), or of
    /// [`ragged_fields`](crate::features::ragged_fields) where rows differ.
    pub fn into_columns(
        self,
        layout: Layout,
        shape: ImageShape,
        images: &Images,
        valid: Option<NullBuffer>,
    ) -> Result<Vec<ArrayRef>> {
        let column = |values: Vec<f32>| Arc::new(Float32Array::new(values.into(), valid.clone())) as ArrayRef;
        let mut columns = vec![column(self.means), column(self.stds)];
        match (images, layout) {
            (Images::Ragged(rows, ragged), _) => {
                columns.extend(sides(*rows, ragged, valid.as_ref()));
                let ends = OffsetBuffer::from_lengths(self.lengths.unwrap_or_default());
                let values = Arc::new(Float32Array::from(self.features));
                let lists = ListArray::try_new(item_field(Layout::List), ends, values, valid).map_err(Error::from)?;
                columns.push(Arc::new(lists));
            }
            (_, Layout::Columns) => columns.extend(transpose(&self.features, shape.features()).into_iter().map(column)),
            (_, Layout::List | Layout::Tensor) => {
                let values = Arc::new(Float32Array::from(self.features));
                let lists = FixedSizeListArray::try_new(item_field(layout), shape.features() as i32, values, valid);
                columns.push(Arc::new(lists.map_err(Error::from)?));
            }
        }
        Ok(columns)
    }

    /// Rows of finite pixels whose sums are not.
    fn beyond_f32(&self, width: usize, defects: &[Defect]) -> Vec<Defect> {
        let finite = |row: usize| self.features[row * width..][..width].iter().all(|value| value.is_finite());
        let known = |row: usize| defects.binary_search_by_key(&row, |defect| defect.row).is_ok();
        (0..self.means.len())
            .filter(|&row| !(finite(row) && self.means[row].is_finite() && self.stds[row].is_finite() || known(row)))
            .map(|row| Defect::new(row, Reason::NotFinite, "its features are beyond 32-bit floats"))
            .collect()
    }
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
    (0..width).map(|column| values.iter().skip(column).step_by(width).copied().collect()).collect()
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
