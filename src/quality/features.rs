//! The features of a batch, wherever its layout puts them.

use std::ops::Range;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_buffer::ScalarBuffer;
use arrow_schema::DataType;

use crate::base::error::Result;
use crate::features::{Block, FeatureLayout};
use crate::run::observe::Observed;

/// So many values of a feature list get a profile of their own each. Of longer lists each block gets one, such as `row_sums`.
const SINGLE_VALUES: usize = 256;

/// Values of features that share a profile.
#[derive(Debug)]
pub(super) enum Unit {
    /// A column of the output.
    Column(usize),
    /// Places of the list.
    Places(Range<usize>),
    /// Several columns of the output.
    Columns(Range<usize>),
    /// A block of lists of different lengths, by its place among the blocks.
    Block(usize),
}

/// The features of a batch.
#[derive(Debug)]
pub(super) struct FeatureValues {
    pub units: Vec<Unit>,
    /// Whether features of different images stand in one unit.
    pub is_by_block: bool,
    columns: Vec<ScalarBuffer<f32>>,
    list: ScalarBuffer<f32>,
    /// Values in each list.
    stride: usize,
    /// For each row of lists of different lengths: where its list begins, and the layout of its blocks.
    ragged: Vec<Option<(usize, usize)>>,
    layouts: Vec<Vec<Range<usize>>>,
    /// That of the most common shape.
    usual: Vec<Range<usize>>,
}

/// The blocks of a list, and where each is in it.
fn list_blocks(layout: &FeatureLayout) -> impl Iterator<Item = (Block, Range<usize>)> {
    let mut start = 0;
    layout.blocks().into_iter().filter(|block| !block.is_column).map(move |block| {
        let range = start..start + block.range.len();
        start = range.end;
        (block, range)
    })
}

/// Whether features of different images stand in one unit.
fn is_by_block(batch: &Observed<'_>) -> bool {
    batch.ragged || batch.layout.list_values() > SINGLE_VALUES
}

fn list_ranges(layout: &FeatureLayout) -> Vec<Range<usize>> {
    list_blocks(layout).map(|(_, range)| range).collect()
}

impl Unit {
    /// How many values a row has; of lists of different lengths about as many.
    pub fn width(&self) -> usize {
        match self {
            Unit::Column(_) => 1,
            Unit::Places(range) | Unit::Columns(range) => range.len(),
            Unit::Block(_) => SINGLE_VALUES,
        }
    }
}

impl FeatureValues {
    pub fn of(batch: &Observed<'_>) -> Result<Self> {
        let from = batch.output.num_columns() - batch.feature_columns;
        let columns = &batch.output.columns()[from..];
        let mut own = Self {
            units: Vec::new(),
            is_by_block: is_by_block(batch),
            columns: Vec::new(),
            list: ScalarBuffer::default(),
            stride: 0,
            ragged: Vec::new(),
            layouts: Vec::new(),
            usual: Vec::new(),
        };
        let singles = batch.layout.columns().count();
        for (at, column) in columns.iter().enumerate() {
            match column.data_type() {
                DataType::Float32 => {
                    own.columns.push(column.as_primitive::<Float32Type>().values().clone());
                    if at < singles {
                        own.units.push(Unit::Column(at));
                    }
                }
                DataType::FixedSizeList(_, length) => {
                    own.stride = *length as usize;
                    own.list = column.as_fixed_size_list().values().as_primitive::<Float32Type>().values().clone();
                }
                DataType::List(_) => {
                    let lists = column.as_list::<i32>();
                    own.list = lists.values().as_primitive::<Float32Type>().values().clone();
                    own.ragged =
                        lists.offsets().iter().take(lists.len()).map(|&start| Some((start as usize, 0))).collect();
                }
                // Heights and widths stand in the profile of images.
                _ => {}
            }
        }
        if batch.ragged {
            own.lay_out_ragged(batch)?;
        } else {
            own.lay_out(batch.layout, singles);
        }
        Ok(own)
    }

    fn lay_out(&mut self, layout: &FeatureLayout, singles: usize) {
        let is_list = self.stride > 0;
        let unit = |range: Range<usize>| match is_list {
            true => Unit::Places(range),
            false => Unit::Columns(singles + range.start..singles + range.end),
        };
        if self.is_by_block {
            self.units.extend(list_ranges(layout).into_iter().map(unit));
        } else {
            self.units.extend((0..layout.list_values()).map(|at| unit(at..at + 1)));
        }
    }

    /// The names of the units, in their order.
    pub fn unit_names(batch: &Observed<'_>) -> Vec<String> {
        let singles = batch.layout.columns().map(|(name, _)| name.to_owned());
        let blocks = list_blocks(batch.layout);
        if is_by_block(batch) {
            singles.chain(blocks.map(|(block, _)| block.name)).collect()
        } else {
            singles.chain(blocks.flat_map(|(block, _)| block.values)).collect()
        }
    }

    fn lay_out_ragged(&mut self, batch: &Observed<'_>) -> Result<()> {
        for (number, (rows, images)) in batch.images().into_iter().enumerate() {
            let layout = batch.layout.set().layout(images.shape(), batch.layout.scale())?;
            self.layouts.push(list_ranges(&layout));
            for &row in rows.unwrap_or_default() {
                if let Some(Some((_, layout))) = self.ragged.get_mut(row) {
                    *layout = number;
                }
            }
        }
        self.usual = list_ranges(batch.layout);
        self.units.extend((0..self.usual.len()).map(Unit::Block));
        Ok(())
    }

    /// Appends the values of a unit in these rows.
    pub fn of_unit(&self, unit: &Unit, rows: &[usize], to: &mut Vec<f32>) {
        match unit {
            Unit::Column(at) => append_each(&self.columns[*at], 1, rows, to),
            Unit::Columns(range) => {
                let columns = &self.columns[range.clone()];
                rows.iter().for_each(|&row| to.extend(columns.iter().map(|column| column[row])));
            }
            Unit::Places(range) if range.len() == 1 => append_each(&self.list[range.start..], self.stride, rows, to),
            Unit::Places(range) => {
                rows.iter().for_each(|&row| to.extend_from_slice(&self.list[row * self.stride..][range.clone()]));
            }
            Unit::Block(at) => {
                for (start, layout) in rows.iter().filter_map(|&row| self.ragged[row]) {
                    to.extend_from_slice(&self.list[start..][self.layouts[layout][*at].clone()]);
                }
            }
        }
    }

    /// The values of a row, if all rows have as many.
    pub fn width(&self) -> Option<usize> {
        self.ragged.is_empty().then_some(self.columns.len() + self.stride)
    }

    /// Whether the blocks of a row are as long as those of the most common shape.
    pub fn is_usual(&self, row: usize) -> bool {
        self.ragged.get(row).copied().flatten().is_none_or(|(_, layout)| self.layouts.get(layout) == Some(&self.usual))
    }

    /// Appends all values of a row.
    pub fn row(&self, row: usize, to: &mut Vec<f32>) {
        match self.width() {
            Some(_) => {
                to.extend(self.columns.iter().map(|column| column[row]));
                to.extend_from_slice(&self.list[row * self.stride..][..self.stride]);
            }
            None => self.units.iter().for_each(|unit| self.of_unit(unit, &[row], to)),
        }
    }
}

/// Appends the values of some rows, which lie `stride` apart.
fn append_each(values: &[f32], stride: usize, rows: &[usize], to: &mut Vec<f32>) {
    // Mostly every row is valid.
    if rows.last().is_some_and(|last| last + 1 == rows.len()) {
        let start = to.len();
        to.resize(start + rows.len(), 0.0);
        to[start..].iter_mut().zip((0..).step_by(stride)).for_each(|(to, at)| *to = values[at]);
    } else {
        to.extend(rows.iter().map(|row| values[row * stride]));
    }
}

/// The rows with features.
pub(super) fn valid_rows(batch: &Observed<'_>) -> Vec<usize> {
    let mut defects = batch.defects.iter().map(|defect| defect.row).peekable();
    (0..batch.input.num_rows()).filter(|row| defects.next_if_eq(row).is_none()).collect()
}
