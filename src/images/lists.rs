//! Levels of lists over flat values: where the values of a row are.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{
    Array, ArrayRef, GenericByteArray, GenericListArray, GenericListViewArray, LargeBinaryArray, OffsetSizeTrait,
    UInt8Array,
};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::base::reason::Reason;
use crate::base::select::take_ranges;
use crate::base::shape::ImageShape;
use crate::images::defect::Defect;

/// Runs a body with the leaf as a primitive array of its own type. A column of nulls is taken as one without values.
macro_rules! by_leaf {
    ($leaf:expr, $values:ident => $body:expr) => {
        by_leaf!(@ $leaf, $values => $body;
            Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
            UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type,
            Float16 => Float16Type, Float32 => Float32Type, Float64 => Float64Type)
    };
    (@ $leaf:expr, $values:ident => $body:expr; $($kind:ident => $t:ident),*) => {
        match arrow_array::Array::data_type($leaf) {
            $(arrow_schema::DataType::$kind => {
                let $values = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::$t>($leaf);
                $body
            })*
            _ => {
                let $values = &arrow_array::UInt8Array::new(Vec::new().into(), None);
                $body
            }
        }
    };
}
pub(super) use by_leaf;

/// One level of lists: where the items of entry `i` begin and end.
enum ListLevel {
    Fixed { size: usize, nulls: Option<NullBuffer> },
    Offsets32 { ends: ScalarBuffer<i32>, nulls: Option<NullBuffer> },
    Offsets64 { ends: ScalarBuffer<i64>, nulls: Option<NullBuffer> },
    Views { ranges: Vec<(usize, usize)>, nulls: Option<NullBuffer> },
}

impl ListLevel {
    fn list<O: OffsetSizeTrait>(
        list: &GenericListArray<O>,
        of: impl Fn(ScalarBuffer<O>, Option<NullBuffer>) -> Self,
    ) -> Self {
        of(list.offsets().inner().clone(), list.nulls().cloned())
    }

    fn bytes<B: ByteArrayType>(
        bytes: &GenericByteArray<B>,
        of: impl Fn(ScalarBuffer<B::Offset>, Option<NullBuffer>) -> Self,
    ) -> Self {
        of(bytes.offsets().inner().clone(), bytes.nulls().cloned())
    }

    fn views<O: OffsetSizeTrait>(list: &GenericListViewArray<O>) -> Self {
        let ranges = list.value_offsets().iter().zip(list.value_sizes());
        let ranges = ranges.map(|(start, size)| (start.as_usize(), start.as_usize() + size.as_usize()));
        Self::Views { ranges: ranges.collect(), nulls: list.nulls().cloned() }
    }

    /// The same level with its items one after another. Those of list views may be anywhere.
    fn in_order(self, items: ArrayRef) -> Result<(Self, ArrayRef), String> {
        let ListLevel::Views { ranges, nulls } = self else { return Ok((self, items)) };
        let mut ends = Vec::with_capacity(ranges.len() + 1);
        if ranges.windows(2).all(|pair| pair[0].1 == pair[1].0) {
            ends.push(ranges.first().map_or(0, |range| range.0 as i64));
            ends.extend(ranges.iter().map(|range| range.1 as i64));
            return Ok((Self::Offsets64 { ends: ends.into(), nulls }, items));
        }
        let is_valid = |i: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i));
        ends.push(0);
        let (mut order, mut count) = (Vec::new(), 0);
        for (i, &(start, end)) in ranges.iter().enumerate().filter(|(i, _)| is_valid(*i)) {
            // Views of the same items again and again would take memory without bound.
            if count + (end - start) > items.len() {
                return Err("the views in its lists overlap".to_owned());
            }
            order.push(start..end);
            count += end - start;
            ends.resize(i + 1, ends.last().copied().unwrap_or(0));
            ends.push(count as i64);
        }
        ends.resize(ranges.len() + 1, count as i64);
        let items = take_ranges(&items, order).map_err(|e| e.to_string())?;
        Ok((Self::Offsets64 { ends: ends.into(), nulls }, items))
    }

    fn range(&self, i: usize) -> (usize, usize) {
        match self {
            ListLevel::Fixed { size, .. } => (i * size, (i + 1) * size),
            ListLevel::Offsets32 { ends, .. } => (ends[i] as usize, ends[i + 1] as usize),
            ListLevel::Offsets64 { ends, .. } => (ends[i] as usize, ends[i + 1] as usize),
            ListLevel::Views { ranges, .. } => ranges[i],
        }
    }

    fn is_null(&self, i: usize) -> bool {
        let (ListLevel::Fixed { nulls, .. }
        | ListLevel::Offsets32 { nulls, .. }
        | ListLevel::Offsets64 { nulls, .. }
        | ListLevel::Views { nulls, .. }) = self;
        nulls.as_ref().is_some_and(|n| n.is_null(i))
    }
}

/// The kind of a column of lists, by its type alone.
pub(super) struct ListKind<'a> {
    pub depth: usize,
    pub leaf: &'a DataType,
    pub raw_bytes: bool,
}

impl<'a> ListKind<'a> {
    pub fn of(data_type: &'a DataType) -> Self {
        match data_type {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item) => {
                let inner = Self::of(item.data_type());
                Self { depth: inner.depth + 1, ..inner }
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self { depth: 1, leaf: &DataType::UInt8, raw_bytes: true }
            }
            leaf => Self { depth: 0, leaf, raw_bytes: false },
        }
    }

    /// Whether a list's items can be pixels.
    pub fn is_number(item: &DataType) -> bool {
        item.is_integer() || item.is_floating()
    }

    /// Lists of numbers of at most three levels, raw bytes, or nothing but nulls.
    pub fn holds_images(&self) -> bool {
        Self::is_number(self.leaf) && (1..=3).contains(&self.depth) && (!self.raw_bytes || self.depth == 1)
            || *self.leaf == DataType::Null
    }
}

/// An array of lists taken apart.
pub(super) struct NestedLists {
    levels: Vec<ListLevel>,
    leaf: ArrayRef,
}

impl NestedLists {
    /// Fails if inner lists are views that overlap.
    pub fn of(array: &ArrayRef) -> Result<Self, String> {
        let mut lists = Self { levels: Vec::new(), leaf: array.clone() };
        while let Some((level, below)) = NestedLists::descend(&lists.leaf) {
            let (level, below) = if lists.levels.is_empty() { (level, below) } else { level.in_order(below)? };
            lists.levels.push(level);
            lists.leaf = below;
        }
        Ok(lists)
    }

    fn descend(array: &ArrayRef) -> Option<(ListLevel, ArrayRef)> {
        let raw = |values: &arrow_buffer::Buffer| -> ArrayRef {
            Arc::new(UInt8Array::new(ScalarBuffer::from(values.clone()), None))
        };
        Some(match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (ListLevel::list(list, |ends, nulls| ListLevel::Offsets32 { ends, nulls }), list.values().clone())
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                (ListLevel::list(list, |ends, nulls| ListLevel::Offsets64 { ends, nulls }), list.values().clone())
            }
            DataType::FixedSizeList(_, size) => {
                let list = array.as_fixed_size_list();
                (ListLevel::Fixed { size: *size as usize, nulls: list.nulls().cloned() }, list.values().clone())
            }
            DataType::ListView(_) => {
                let list = array.as_list_view::<i32>();
                (ListLevel::views(list), list.values().clone())
            }
            DataType::LargeListView(_) => {
                let list = array.as_list_view::<i64>();
                (ListLevel::views(list), list.values().clone())
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>();
                (ListLevel::bytes(bytes, |ends, nulls| ListLevel::Offsets32 { ends, nulls }), raw(bytes.values()))
            }
            DataType::LargeBinary => {
                let bytes = array.as_binary::<i64>();
                (ListLevel::bytes(bytes, |ends, nulls| ListLevel::Offsets64 { ends, nulls }), raw(bytes.values()))
            }
            DataType::BinaryView => {
                let together = LargeBinaryArray::from_iter(array.as_binary_view().iter());
                (
                    ListLevel::bytes(&together, |ends, nulls| ListLevel::Offsets64 { ends, nulls }),
                    raw(together.values()),
                )
            }
            DataType::FixedSizeBinary(size) => {
                let bytes = array.as_fixed_size_binary();
                (ListLevel::Fixed { size: *size as usize, nulls: bytes.nulls().cloned() }, raw(bytes.values()))
            }
            _ => return None,
        })
    }

    /// The values of all rows.
    pub fn leaf(&self) -> &ArrayRef {
        &self.leaf
    }

    /// The length at each level, if the type fixes all of them.
    pub fn fixed_dims(&self) -> Option<Vec<usize>> {
        let dims = self.levels.iter().map(|level| match level {
            ListLevel::Fixed { size, .. } => Some(*size),
            _ => None,
        });
        dims.collect::<Option<Vec<_>>>().filter(|dims| !dims.is_empty())
    }

    /// Where the items of entry `i` of the outermost level are, if it is not null.
    pub fn range(&self, i: usize) -> Option<(usize, usize)> {
        let level = self.levels.first()?;
        (!level.is_null(i)).then(|| level.range(i))
    }

    /// The lengths of entry `i` at each level, by its first items.
    pub fn dims(&self, i: usize) -> Option<Vec<usize>> {
        let mut at = i;
        let mut dims = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            if level.is_null(at) {
                return None;
            }
            let (start, end) = level.range(at);
            dims.push(end - start);
            if start == end && dims.len() < self.levels.len() {
                return None;
            }
            at = start;
        }
        Some(dims).filter(|dims| !dims.is_empty())
    }

    /// The lengths that an image of `shape` has at each level.
    pub fn wanted(&self, shape: ImageShape) -> Vec<usize> {
        match self.levels.len() {
            0 | 1 => vec![shape.values()],
            2 => vec![shape.height(), shape.row_values()],
            _ => vec![shape.height(), shape.width(), shape.channels()],
        }
    }

    /// The shape of entry `i` by the lengths of its first items. `run` is the shape of flat lists, and gives the channels
    /// of lists of two levels.
    pub fn own_shape(&self, i: usize, run: ImageShape) -> Result<ImageShape, String> {
        let shape = match self.dims(i).as_deref() {
            Some(&[height, row]) if row % run.channels() == 0 => {
                ImageShape::new(height, row / run.channels(), run.channels())
            }
            Some(&[_, row]) => return Err(format!("row 0 of pixels has {row} values, pixels have {}", run.channels())),
            Some(&[height, width, channels]) => ImageShape::new(height, width, channels),
            _ => return Ok(run),
        };
        shape.map_err(|e| e.to_string())
    }

    /// Where the values of entry `i` begin in the leaf. If a level has a null or a length other than `wanted` (see
    /// [`NestedLists::wanted`]), the defect of row `row`.
    pub fn locate(&self, i: usize, row: usize, wanted: &[usize], shape: ImageShape) -> Result<usize, Defect> {
        if self.levels.first().is_none_or(|first| first.is_null(i)) {
            return Err(Defect::new(row, Reason::NullImage, "null"));
        }
        let (mut start, mut end) = (i, i + 1);
        for (depth, (level, &length)) in self.levels.iter().zip(wanted).enumerate() {
            for at in start..end {
                if depth > 0 && level.is_null(at) {
                    return Err(Defect::new(row, Reason::NullPixel, format!("row {} of pixels is null", at - start)));
                }
                let (from, to) = level.range(at);
                if to - from != length {
                    let found = to - from;
                    let detail = match (depth, self.levels.len()) {
                        (0, 1) => format!("{found} values, {shape} needs {length}"),
                        (0, _) => format!("{found} rows of pixels, {shape} needs {length}"),
                        (1, _) => format!("row {} of pixels has {found} values, {shape} needs {length}", at - start),
                        _ => format!("pixel {} has {found} channels, {shape} needs {length}", at - start),
                    };
                    let values = (self.levels.len() == 1).then_some(found);
                    return Err(Defect::new(row, Reason::WrongLength, detail).with_values(values));
                }
            }
            if start < end {
                (start, end) = (level.range(start).0, level.range(end - 1).1);
            }
        }
        Ok(start)
    }
}
