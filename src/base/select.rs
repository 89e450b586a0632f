//! Rows of arrays: taken in any order, filtered, one array after another. `arrow-select` does the same, but its optimised build takes
//! long, and it copies lists item by item.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{
    Array, ArrayRef, BooleanArray, NullArray, PrimitiveArray, RecordBatch, RecordBatchOptions, StructArray,
    UInt64Array, downcast_integer_array, make_array, new_null_array,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, BooleanBufferBuilder, Buffer, MutableBuffer, NullBuffer};
use arrow_data::transform::{Capacities, MutableArrayData};
use arrow_data::{ArrayData, ByteView};
use arrow_schema::{ArrowError, DataType, SchemaRef};

/// The rows of an array that indices name; a null index gives a null.
///
/// # Errors
/// If an index is not of a row.
pub fn take(array: &ArrayRef, indices: &dyn Array) -> Result<ArrayRef, ArrowError> {
    take_rows(array, &Rows::of(indices, array.len())?)
}

/// The rows of an array in ranges, one range after another.
///
/// # Errors
/// If a range is not of rows.
pub fn take_ranges(array: &ArrayRef, ranges: Vec<Range<usize>>) -> Result<ArrayRef, ArrowError> {
    if let Some(range) = ranges.iter().find(|range| range.start > range.end || range.end > array.len()) {
        return Err(no_row(range.end, array.len()));
    }
    if is_copied(array.data_type()) {
        let pieces: Vec<_> = ranges.into_iter().map(|range| Piece::Rows(0, range)).collect();
        return copied(&[&array.to_data()], &pieces);
    }
    take_rows(array, &Rows { at: ranges.into_iter().flatten().collect(), nulls: None })
}

/// The rows of a batch that indices name.
///
/// # Errors
/// If an index is not of a row.
pub fn take_batch(batch: &RecordBatch, indices: &dyn Array) -> Result<RecordBatch, ArrowError> {
    take_rows_of_batch(batch, &Rows::of(indices, batch.num_rows())?)
}

/// The rows of a batch that a filter holds true.
///
/// # Errors
/// If the filter is of another length.
pub fn filter_batch(batch: &RecordBatch, filter: &BooleanArray) -> Result<RecordBatch, ArrowError> {
    if filter.len() != batch.num_rows() {
        return Err(ArrowError::InvalidArgumentError("the filter is not as long as the batch".to_owned()));
    }
    let stays = |row: &usize| filter.is_valid(*row) && filter.value(*row);
    take_rows_of_batch(batch, &Rows { at: (0..filter.len()).filter(stays).collect(), nulls: None })
}

/// The rows of all batches, one batch after another.
///
/// # Errors
/// If the batches are not of the schema.
pub fn concat_batches<'a>(
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = &'a RecordBatch>,
) -> Result<RecordBatch, ArrowError> {
    let batches: Vec<_> = batches.into_iter().collect();
    if batches.is_empty() {
        return Ok(RecordBatch::new_empty(schema.clone()));
    }
    if batches.iter().any(|batch| batch.num_columns() < schema.fields().len()) {
        return Err(ArrowError::InvalidArgumentError("a batch has fewer columns than the schema".to_owned()));
    }
    let column = |at: usize| concat(&batches.iter().map(|batch| batch.column(at)).collect::<Vec<_>>());
    let columns = (0..schema.fields().len()).map(column).collect::<Result<_, _>>()?;
    let rows = batches.iter().map(|batch| batch.num_rows()).sum();
    RecordBatch::try_new_with_options(schema.clone(), columns, &of_rows(rows))
}

/// A batch without columns still has rows.
fn of_rows(rows: usize) -> RecordBatchOptions {
    RecordBatchOptions::new().with_row_count(Some(rows))
}

/// Rows of an array by their numbers.
struct Rows {
    /// All are rows of the array; 0 in the place of a null.
    at: Vec<usize>,
    nulls: Option<NullBuffer>,
}

impl Rows {
    fn of(indices: &dyn Array, len: usize) -> Result<Self, ArrowError> {
        fn at<T: ArrowPrimitiveType>(indices: &PrimitiveArray<T>) -> Vec<usize> {
            match indices.nulls() {
                None => indices.values().iter().map(|index| index.as_usize()).collect(),
                // What stands in the place of a null may be anything.
                Some(nulls) => std::iter::zip(indices.values(), nulls)
                    .map(|(index, valid)| if valid { index.as_usize() } else { 0 })
                    .collect(),
            }
        }
        let at = downcast_integer_array!(
            indices => at(indices),
            other => return Err(ArrowError::InvalidArgumentError(format!("rows are named by integers, not by {other}")))
        );
        let nulls = indices.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        // An array without rows has none in the place of a null either.
        let all_null = nulls.as_ref().is_some_and(|nulls| nulls.null_count() == nulls.len());
        match at.iter().find(|&&row| row >= len) {
            Some(&row) if !all_null => Err(no_row(row, len)),
            _ => Ok(Self { at, nulls }),
        }
    }

    /// The nulls among the rows of an array.
    fn nulls_of(&self, nulls: Option<&NullBuffer>) -> Option<NullBuffer> {
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return self.nulls.clone() };
        let own = NullBuffer::new(BooleanBuffer::collect_bool(self.at.len(), |i| nulls.is_valid(self.at[i])));
        NullBuffer::union(Some(&own), self.nulls.as_ref()).filter(|nulls| nulls.null_count() > 0)
    }

    /// Rows one after another as one piece.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (i, &row) in self.at.iter().enumerate() {
            let null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(i));
            match pieces.last_mut() {
                Some(Piece::Nulls(count)) if null => *count += 1,
                Some(Piece::Rows(_, rows)) if !null && rows.end == row => rows.end += 1,
                _ if null => pieces.push(Piece::Nulls(1)),
                _ => pieces.push(Piece::Rows(0, row..row + 1)),
            }
        }
        pieces
    }
}

fn no_row(row: usize, len: usize) -> ArrowError {
    ArrowError::ComputeError(format!("there is no row {row} in {len} rows"))
}

fn take_rows_of_batch(batch: &RecordBatch, rows: &Rows) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| take_rows(column, rows)).collect::<Result<_, _>>()?;
    RecordBatch::try_new_with_options(batch.schema(), columns, &of_rows(rows.at.len()))
}

fn take_rows(array: &ArrayRef, rows: &Rows) -> Result<ArrayRef, ArrowError> {
    let data_type = array.data_type();
    if array.is_empty() {
        return Ok(new_null_array(data_type, rows.at.len()));
    }
    let gather = match width(data_type) {
        Some(1) => gather::<1>,
        Some(2) => gather::<2>,
        Some(4) => gather::<4>,
        Some(8) => gather::<8>,
        Some(16) => gather::<16>,
        Some(32) => gather::<32>,
        _ => return take_other(array, rows),
    };
    let data = array.to_data();
    let mut buffers = data.buffers().to_vec();
    buffers[0] = gather(&buffers[0], data.offset(), data.len(), &rows.at);
    Ok(same_values(&data, rows.at.len(), buffers, rows.nulls_of(data.nulls())))
}

/// The bytes of a row in the first buffer, where a row is those bytes and what stands elsewhere is the same for all rows.
fn width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Dictionary(keys, _) => keys.primitive_width(),
        DataType::Utf8View | DataType::BinaryView => Some(size_of::<u128>()),
        other => other.primitive_width(),
    }
}

fn gather<const N: usize>(values: &Buffer, offset: usize, len: usize, at: &[usize]) -> Buffer
where
    [u8; N]: bytemuck::Pod,
{
    let values: &[[u8; N]] = bytemuck::cast_slice(&values[offset * N..][..len * N]);
    // Aligned for values of any type.
    let mut taken = MutableBuffer::from_len_zeroed(at.len() * N);
    for (to, &row) in bytemuck::cast_slice_mut::<u8, [u8; N]>(&mut taken).iter_mut().zip(at) {
        *to = values[row];
    }
    taken.into()
}

fn take_other(array: &ArrayRef, rows: &Rows) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Null => Arc::new(NullArray::new(rows.at.len())),
        DataType::Boolean => {
            let booleans = array.as_boolean();
            let values = BooleanBuffer::collect_bool(rows.at.len(), |i| booleans.value(rows.at[i]));
            Arc::new(BooleanArray::new(values, rows.nulls_of(booleans.nulls())))
        }
        DataType::Utf8 | DataType::Binary => take_bytes::<i32>(&array.to_data(), rows)?,
        DataType::LargeUtf8 | DataType::LargeBinary => take_bytes::<i64>(&array.to_data(), rows)?,
        DataType::Struct(fields) => {
            let of = array.as_struct();
            let never_null = Rows { at: rows.at.clone(), nulls: None };
            let columns = std::iter::zip(fields, of.columns())
                .map(|(field, column)| take_rows(column, if field.is_nullable() { rows } else { &never_null }))
                .collect::<Result<_, _>>()?;
            let nulls = rows.nulls_of(of.nulls());
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows.at.len())?)
        }
        other if is_copied(other) => copied(&[&array.to_data()], &rows.pieces())?,
        _ => {
            let indices = rows.at.iter().map(|&row| row as u64).collect::<Vec<_>>();
            arrow_select::take::take(array, &UInt64Array::new(indices.into(), rows.nulls.clone()), None)?
        }
    })
}

fn take_bytes<O: ArrowNativeType>(data: &ArrayData, rows: &Rows) -> Result<ArrayRef, ArrowError> {
    let (offsets, bytes) = (data.buffer::<O>(0), data.buffers()[1].as_slice());
    let nulls = rows.nulls_of(data.nulls());
    let range = |i: usize| match nulls.as_ref().is_some_and(|nulls| nulls.is_null(i)) {
        true => 0..0,
        false => offsets[rows.at[i]].as_usize()..offsets[rows.at[i] + 1].as_usize(),
    };
    let all = (0..rows.at.len()).map(|i| range(i).len()).sum();
    if O::from_usize(all).is_none() {
        return Err(ArrowError::OffsetOverflowError(all));
    }
    let mut taken = Vec::with_capacity(all);
    let mut ends = Vec::with_capacity(rows.at.len() + 1);
    ends.push(O::usize_as(0));
    for i in 0..rows.at.len() {
        taken.extend_from_slice(&bytes[range(i)]);
        ends.push(O::usize_as(taken.len()));
    }
    Ok(same_values(data, rows.at.len(), vec![Buffer::from_vec(ends), Buffer::from_vec(taken)], nulls))
}

/// An array of the same type and children whose rows are other rows of it.
fn same_values(data: &ArrayData, len: usize, buffers: Vec<Buffer>, nulls: Option<NullBuffer>) -> ArrayRef {
    let new = ArrayData::builder(data.data_type().clone()).len(len).buffers(buffers).nulls(nulls);
    // SAFETY: each row is a whole row of an array that was valid, so text, keys and views are. Checking them again would take
    // longer than copying them.
    make_array(unsafe { new.child_data(data.child_data().to_vec()).build_unchecked() })
}

fn concat(arrays: &[&ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let [first, others @ ..] = arrays else { return Err(ArrowError::ComputeError("there are no arrays".to_owned())) };
    if others.is_empty() {
        return Ok(ArrayRef::clone(first));
    }
    let data_type = first.data_type();
    let len = arrays.iter().map(|array| array.len()).sum();
    let data = || arrays.iter().map(|array| array.to_data()).collect::<Vec<_>>();
    match data_type {
        // Says which types there are.
        _ if others.iter().any(|other| other.data_type() != data_type) => {}
        DataType::Struct(fields) => {
            let column = |at: usize| concat(&arrays.iter().map(|of| of.as_struct().column(at)).collect::<Vec<_>>());
            let columns = (0..fields.len()).map(column).collect::<Result<_, _>>()?;
            return Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls_of(arrays), len)?));
        }
        DataType::Utf8View | DataType::BinaryView => {
            if let Some((views, texts)) = concat_views(&data()) {
                let buffers = std::iter::once(Buffer::from_vec(views)).chain(texts).collect();
                return Ok(same_values(&first.to_data(), len, buffers, nulls_of(arrays)));
            }
        }
        DataType::Dictionary(..) => {
            let data = data();
            // The parts of one dictionary keep it.
            if data.windows(2).all(|pair| pair[0].child_data()[0].ptr_eq(&pair[1].child_data()[0])) {
                let keys = arrays.iter().map(|array| make_array(array.as_any_dictionary().keys().to_data()));
                let keys = concat(&keys.collect::<Vec<_>>().iter().collect::<Vec<_>>())?.to_data();
                return Ok(same_values(&data[0], len, keys.buffers().to_vec(), keys.nulls().cloned()));
            }
        }
        other if is_copied(other) => {
            let pieces: Vec<_> = arrays.iter().enumerate().map(|(of, array)| Piece::Rows(of, 0..array.len())).collect();
            return copied(&data().iter().collect::<Vec<_>>(), &pieces);
        }
        _ => {}
    }
    arrow_select::concat::concat(&arrays.iter().map(|array| array.as_ref()).collect::<Vec<_>>())
}

fn nulls_of(arrays: &[&ArrayRef]) -> Option<NullBuffer> {
    if arrays.iter().all(|array| array.null_count() == 0) {
        return None;
    }
    let mut valid = BooleanBufferBuilder::new(arrays.iter().map(|array| array.len()).sum());
    for array in arrays {
        match array.nulls() {
            Some(nulls) => valid.append_buffer(nulls.inner()),
            None => valid.append_n(array.len(), true),
        }
    }
    Some(NullBuffer::new(valid.finish()))
}

/// The views of all arrays, and the buffers that they look into. None if those are too many to be counted.
fn concat_views(arrays: &[ArrayData]) -> Option<(Vec<u128>, Vec<Buffer>)> {
    const LONGEST_INLINE: u32 = 12;
    let (mut views, mut texts) = (Vec::with_capacity(arrays.iter().map(ArrayData::len).sum()), Vec::new());
    for array in arrays {
        let before = u32::try_from(texts.len()).ok()?;
        texts.extend_from_slice(&array.buffers()[1..]);
        views.extend(array.buffer::<u128>(0)[..array.len()].iter().map(|&view| match ByteView::from(view) {
            inline if inline.length <= LONGEST_INLINE => view,
            // What stands in the place of a null may be anything.
            view => ByteView { buffer_index: view.buffer_index.wrapping_add(before), ..view }.into(),
        }));
    }
    u32::try_from(texts.len()).ok().map(|_| (views, texts))
}

/// Rows of one of several arrays, or nulls.
enum Piece {
    Rows(usize, Range<usize>),
    Nulls(usize),
}

/// Whether [`copied`] can copy rows of a type. Not views and dictionaries, because arrow-data panics for keys or buffers that it
/// cannot count.
fn is_copied(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null | DataType::Boolean | DataType::FixedSizeBinary(_) => true,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => is_copied(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_copied(field.data_type())),
        other => other.primitive_width().is_some(),
    }
}

/// Pieces of arrays of one type, one after another.
fn copied(arrays: &[&ArrayData], pieces: &[Piece]) -> Result<ArrayRef, ArrowError> {
    let has_nulls = pieces.iter().any(|piece| matches!(piece, Piece::Nulls(_)));
    let rows = pieces.iter().map(|piece| match piece {
        Piece::Rows(of, rows) => (arrays[*of], rows.clone()),
        Piece::Nulls(_) => (arrays[0], 0..0),
    });
    let mut new = MutableArrayData::with_capacities(arrays.to_vec(), has_nulls, room(arrays[0].data_type(), rows));
    for piece in pieces {
        match piece {
            Piece::Rows(of, rows) => new.try_extend(*of, rows.start, rows.end)?,
            Piece::Nulls(count) => new.try_extend_nulls(*count)?,
        }
    }
    Ok(make_array(new.freeze()))
}

/// The room that rows take, so that none is copied again when there is too little.
fn room<'a>(data_type: &DataType, rows: impl Iterator<Item = (&'a ArrayData, Range<usize>)>) -> Capacities {
    let rows: Vec<_> = rows.collect();
    let count = rows.iter().map(|(_, rows)| rows.len()).sum();
    fn span<O: ArrowNativeType>(array: &ArrayData, rows: &Range<usize>) -> Range<usize> {
        let offsets = array.buffer::<O>(0);
        if rows.is_empty() { 0..0 } else { offsets[rows.start].as_usize()..offsets[rows.end].as_usize() }
    }
    let spans =
        |of: fn(&ArrayData, &Range<usize>) -> Range<usize>| rows.iter().map(move |(array, rows)| of(array, rows));
    let bytes = |of| Capacities::Binary(count, Some(spans(of).map(|span| span.len()).sum()));
    let items = |item: &DataType, of| {
        let items = std::iter::zip(&rows, spans(of)).map(|((array, _), span)| (&array.child_data()[0], span));
        // Without the box the type of the iterator would be longer at each level.
        let items: Box<dyn Iterator<Item = _>> = Box::new(items);
        Capacities::List(count, Some(Box::new(room(item, items))))
    };
    match data_type {
        DataType::Utf8 | DataType::Binary => bytes(span::<i32>),
        DataType::LargeUtf8 | DataType::LargeBinary => bytes(span::<i64>),
        DataType::List(item) => items(item.data_type(), span::<i32>),
        DataType::LargeList(item) => items(item.data_type(), span::<i64>),
        _ => Capacities::Array(count),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::{Int8Type, UInt8Type};
    use arrow_array::{
        BinaryArray, BinaryViewArray, DictionaryArray, FixedSizeListArray, Int8Array, Int32Array, LargeListArray,
        LargeStringArray, ListArray, ListViewArray, MapArray, RunArray, StringArray, StringViewArray, UInt32Array,
        UnionArray,
    };
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::{Field, FieldRef, Fields, IntervalUnit, Schema, TimeUnit, UnionFields, UnionMode};

    use super::*;
    use crate::base::random::Random;

    struct Source(Random);

    impl Source {
        fn below(&mut self, end: usize) -> usize {
            (self.0.bits() % end as u64) as usize
        }

        fn nulls(&mut self, rows: usize, nullable: bool) -> Option<NullBuffer> {
            nullable.then(|| (0..rows).map(|_| self.below(4) > 0).collect())
        }

        fn offsets(&mut self, rows: usize) -> Vec<usize> {
            let first = self.below(3);
            let step = |end: &mut usize, _| {
                *end += self.below(4);
                Some(*end)
            };
            std::iter::once(first).chain((0..rows).scan(first, step)).collect()
        }

        fn text(&mut self) -> String {
            // Shorter and longer than what a view holds itself.
            (0..self.below(30)).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
        }

        fn array(&mut self, data_type: &DataType, rows: usize, nullable: bool) -> ArrayRef {
            // A part of a longer array, so that offsets and bits do not begin at 0.
            let (before, all) = (self.below(11), rows + 20);
            self.whole(data_type, all, nullable).slice(before, rows)
        }

        fn whole(&mut self, data_type: &DataType, rows: usize, nullable: bool) -> ArrayRef {
            let nulls = self.nulls(rows, nullable);
            let texts = |of: &mut Self| {
                let texts = (0..rows).map(|i| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i)).then(|| of.text()));
                texts.collect::<Vec<_>>()
            };
            match data_type {
                DataType::Null => Arc::new(NullArray::new(rows)),
                DataType::Boolean => {
                    Arc::new(BooleanArray::new((0..rows).map(|_| self.below(2) == 1).collect(), nulls))
                }
                DataType::Utf8 => Arc::new(StringArray::from(texts(self))),
                DataType::LargeUtf8 => Arc::new(LargeStringArray::from(texts(self))),
                DataType::Binary => Arc::new(texts(self).iter().map(Option::as_ref).collect::<BinaryArray>()),
                DataType::Utf8View => Arc::new(StringViewArray::from_iter(texts(self))),
                DataType::BinaryView => Arc::new(texts(self).iter().map(Option::as_ref).collect::<BinaryViewArray>()),
                DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => {
                    let ends = self.offsets(rows);
                    let items = self.array(item.data_type(), ends[rows] + 2, item.is_nullable());
                    let item = item.clone();
                    let ends = ends.into_iter().map(|end| end as i32).collect::<Vec<_>>();
                    match data_type {
                        DataType::List(_) => {
                            Arc::new(ListArray::new(item, OffsetBuffer::new(ends.into()), items, nulls))
                        }
                        DataType::LargeList(_) => {
                            let ends = ends.into_iter().map(i64::from).collect::<Vec<_>>();
                            Arc::new(LargeListArray::new(item, OffsetBuffer::new(ends.into()), items, nulls))
                        }
                        _ => {
                            let ends = OffsetBuffer::new(ends.into());
                            Arc::new(MapArray::new(item, ends, items.as_struct().clone(), nulls, false))
                        }
                    }
                }
                DataType::ListView(item) => {
                    let items = self.array(item.data_type(), 9, item.is_nullable());
                    let starts: Vec<_> = (0..rows).map(|_| self.below(5) as i32).collect();
                    let sizes: Vec<_> = (0..rows).map(|_| self.below(5) as i32).collect();
                    Arc::new(ListViewArray::new(item.clone(), starts.into(), sizes.into(), items, nulls))
                }
                DataType::FixedSizeList(item, size) => {
                    let items = self.array(item.data_type(), rows * *size as usize, item.is_nullable());
                    Arc::new(FixedSizeListArray::try_new_with_length(item.clone(), *size, items, nulls, rows).unwrap())
                }
                DataType::Struct(fields) => {
                    let column = |field: &FieldRef| self.array(field.data_type(), rows, field.is_nullable());
                    let columns = fields.iter().map(column).collect();
                    Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows).unwrap())
                }
                DataType::Dictionary(_, values) => {
                    let keys = (0..rows).map(|i| match nulls.as_ref().is_none_or(|nulls| nulls.is_valid(i)) {
                        true => self.below(5) as i8,
                        // What stands in the place of a null need not be a key.
                        false => -77,
                    });
                    let keys = Int8Array::new(keys.collect::<Vec<_>>().into(), nulls.clone());
                    Arc::new(DictionaryArray::new(keys, self.array(values, 5, nullable)))
                }
                DataType::RunEndEncoded(_, values) => {
                    let ends =
                        Int32Array::from_iter_values((1..=rows.div_ceil(3)).map(|run| (run * 3).min(rows) as i32));
                    let values = self.array(values.data_type(), ends.len(), true);
                    Arc::new(RunArray::try_new(&ends, &values).unwrap())
                }
                DataType::Union(fields, UnionMode::Sparse) => {
                    let ids: Vec<_> = (0..rows).map(|_| self.below(fields.len()) as i8).collect();
                    let children = fields.iter().map(|(_, field)| self.array(field.data_type(), rows, true)).collect();
                    Arc::new(UnionArray::try_new(fields.clone(), ids.into(), None, children).unwrap())
                }
                fixed => {
                    let width = match fixed {
                        DataType::FixedSizeBinary(width) => *width as usize,
                        other => other.primitive_width().unwrap(),
                    };
                    // Decimals of a few digits, so that none is out of range.
                    let bytes = (0..rows * width).map(|at| if at % width == 0 { self.below(99) as u8 } else { 0 });
                    let values = Buffer::from(bytes.collect::<MutableBuffer>());
                    make_array(
                        ArrayData::builder(fixed.clone()).len(rows).add_buffer(values).nulls(nulls).build().unwrap(),
                    )
                }
            }
        }
    }

    fn item(data_type: DataType) -> FieldRef {
        Arc::new(Field::new("item", data_type, true))
    }

    fn types() -> Vec<DataType> {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let run_ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
        let entries = vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Int16, true)];
        let entries = Arc::new(Field::new("entries", DataType::Struct(entries.into()), false));
        let fields = vec![
            Field::new("always", DataType::Int32, false),
            Field::new("text", DataType::Utf8View, true),
            Field::new("class", dictionary.clone(), true),
        ];
        let plain = vec![Field::new("always", DataType::Float32, false), Field::new("bit", DataType::Boolean, true)];
        let union = [(0, item(DataType::Int8)), (1, Arc::new(Field::new("text", DataType::Utf8, true)))];
        vec![
            DataType::Null,
            DataType::Boolean,
            DataType::UInt8,
            DataType::Float16,
            DataType::Float32,
            DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Decimal128(20, 3),
            DataType::Decimal256(50, 3),
            DataType::FixedSizeBinary(3),
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Binary,
            DataType::Utf8View,
            DataType::BinaryView,
            dictionary.clone(),
            DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Float64)),
            DataType::List(item(DataType::UInt8)),
            DataType::List(item(DataType::List(item(DataType::Float32)))),
            DataType::List(item(DataType::Struct(plain.clone().into()))),
            DataType::List(item(dictionary.clone())),
            DataType::List(item(DataType::Utf8View)),
            DataType::LargeList(item(DataType::Utf8)),
            DataType::FixedSizeList(item(DataType::UInt8), 5),
            DataType::FixedSizeList(item(DataType::Boolean), 3),
            DataType::FixedSizeList(item(DataType::FixedSizeList(item(DataType::Binary), 2)), 3),
            DataType::FixedSizeList(item(DataType::Null), 4),
            DataType::ListView(item(DataType::UInt16)),
            DataType::Map(entries, false),
            DataType::Struct(fields.into()),
            DataType::Struct(plain.into()),
            DataType::Struct(Fields::empty()),
            DataType::RunEndEncoded(run_ends, Arc::new(Field::new("values", DataType::Int64, true))),
            DataType::Union(union.into_iter().collect::<UnionFields>(), UnionMode::Sparse),
        ]
    }

    /// Rows scattered, one after another, again and again, and none.
    fn indices(source: &mut Source, rows: usize) -> Vec<UInt32Array> {
        let scattered: Vec<_> = (0..40).map(|_| source.below(rows) as u32).collect();
        let nulls = source.nulls(40, true);
        vec![
            UInt32Array::new(scattered.clone().into(), None),
            UInt32Array::new(scattered.into(), nulls.clone()),
            UInt32Array::new((0..40).map(|i| i / 9 * 3 + i % 9).collect::<Vec<_>>().into(), nulls),
            (3..rows as u32).collect(),
            UInt32Array::from(vec![rows as u32 - 1; 70]),
            UInt32Array::from(vec![None; 9]),
            UInt32Array::from(Vec::<u32>::new()),
        ]
    }

    fn each_type(test: impl Fn(&DataType, bool, &mut Source)) {
        for (at, data_type) in types().iter().enumerate() {
            for nullable in [false, true] {
                for seed in 0..10 {
                    test(data_type, nullable, &mut Source(Random::new(seed, at as u64)));
                }
            }
        }
    }

    #[test]
    fn taken_rows_are_those_of_arrow_select() {
        // Catches offsets of slices that are forgotten, nulls that move, widths that are mixed up, runs that are cut wrongly.
        each_type(|data_type, nullable, source| {
            let array = source.array(data_type, 30, nullable);
            // Unions and runs have no nulls of their own that an index could make.
            let no_nulls = matches!(data_type, DataType::Union(..) | DataType::RunEndEncoded(..));
            for indices in indices(source, 30) {
                if no_nulls && indices.null_count() > 0 {
                    continue;
                }
                let expected = arrow_select::take::take(&array, &indices, None).unwrap();
                let taken = take(&array, &indices).unwrap();
                taken.to_data().validate_full().unwrap();
                assert_eq!(&taken, &expected, "{data_type} {indices:?} of {array:?}");
            }
        });
    }

    #[test]
    fn filtered_rows_are_those_of_arrow_select() {
        // Catches a filter whose nulls count as true, and columns that stay longer than the filter says.
        each_type(|data_type, nullable, source| {
            let array = source.array(data_type, 30, nullable);
            let schema = Arc::new(Schema::new(vec![Field::new("a", data_type.clone(), true)]));
            let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
            let filter = source.array(&DataType::Boolean, 30, nullable);
            let filter = filter.as_boolean();
            let rows: UInt32Array =
                (0..30).filter(|&row| filter.iter().nth(row as usize) == Some(Some(true))).collect();
            // Not arrow-select's filter, which refuses structs without fields.
            let expected = arrow_select::take::take_record_batch(&batch, &rows).unwrap();
            assert_eq!(filter_batch(&batch, filter).unwrap(), expected, "{data_type}");
        });
    }

    #[test]
    fn arrays_after_one_another_are_those_of_arrow_select() {
        // Catches nulls of an array that counts as one without, buffers of views that are numbered wrongly, keys into the
        // dictionary of another array, and empty arrays that end the others.
        each_type(|data_type, nullable, source| {
            let lens = [7, 0, source.below(80), 1];
            let arrays: Vec<_> =
                lens.iter().enumerate().map(|(at, &len)| source.array(data_type, len, nullable && at != 2)).collect();
            let parts = [arrays[2].slice(0, lens[2] / 2), arrays[2].slice(lens[2] / 2, lens[2] - lens[2] / 2)];
            for arrays in [&arrays[..], &parts, &arrays[..1]] {
                let expected = arrow_select::concat::concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>());
                let all = concat(&arrays.iter().collect::<Vec<_>>()).unwrap();
                all.to_data().validate_full().unwrap();
                assert_eq!(&all, &expected.unwrap(), "{data_type}");
            }
        });
    }

    #[test]
    fn ranges_are_their_rows() {
        // Catches a range whose end is left out, and one beyond the rows that panics.
        each_type(|data_type, nullable, source| {
            let array = source.array(data_type, 30, nullable);
            let taken = take_ranges(&array, vec![4..9, 2..2, 0..30, 29..30]).unwrap();
            let rows = (4..9).chain(0..30).chain(29..30).map(|row| row as u32).collect::<UInt32Array>();
            assert_eq!(&taken, &arrow_select::take::take(&array, &rows, None).unwrap(), "{data_type}");
            take_ranges(&array, vec![0..1, 4..31]).unwrap_err();
        });
    }

    #[test]
    fn a_row_that_is_not_there_is_an_error() {
        // Catches a panic, and a check that looks at what stands in the place of a null.
        each_type(|data_type, nullable, source| {
            let array = source.array(data_type, 3, nullable);
            take(&array, &UInt32Array::from(vec![0, 3])).unwrap_err();
            take(&array, &Int8Array::from(vec![-1])).unwrap_err();
            let garbage = Int8Array::new(vec![1, -1, 99].into(), Some(vec![true, false, false].into()));
            let taken = take(&array, &garbage).unwrap();
            let clean = Int8Array::from(vec![Some(1), None, None]);
            assert_eq!(&taken, &arrow_select::take::take(&array, &clean, None).unwrap(), "{data_type}");
            let none = array.slice(0, 0);
            take(&none, &UInt32Array::from(vec![Some(0), None])).unwrap_err();
            assert_eq!(take(&none, &UInt32Array::from(vec![None, None])).unwrap().len(), 2, "{data_type}");
        });
    }

    #[test]
    fn rows_without_columns_are_counted() {
        // Catches a batch that loses its rows with its last column.
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &of_rows(4)).unwrap();
        assert_eq!(take_batch(&batch, &UInt32Array::from(vec![3, 3, 1])).unwrap().num_rows(), 3);
        assert_eq!(concat_batches(batch.schema_ref(), [&batch, &batch]).unwrap().num_rows(), 8);
        let filter = BooleanArray::from(vec![true, false, false, true]);
        assert_eq!(filter_batch(&batch, &filter).unwrap().num_rows(), 2);
        filter_batch(&batch, &filter.slice(0, 3)).unwrap_err();
    }

    #[test]
    fn parts_of_a_dictionary_keep_it() {
        // Catches a dictionary that grows with each part, until its keys cannot count it.
        let dictionary: DictionaryArray<Int8Type> =
            (0..100).map(|i| (i % 100).to_string()).collect::<Vec<_>>().iter().map(String::as_str).collect();
        let parts: Vec<ArrayRef> = (0..10).map(|at| Arc::new(dictionary.slice(at * 10, 10)) as ArrayRef).collect();
        let all = concat(&parts.iter().collect::<Vec<_>>()).unwrap();
        assert!(all.as_dictionary::<Int8Type>().values().to_data().ptr_eq(&dictionary.values().to_data()));
        assert_eq!(all.as_dictionary::<Int8Type>(), &dictionary);
    }

    #[test]
    fn more_values_than_keys_can_count_are_no_panic() {
        // Catches arrow-data's panic for such a dictionary, which a file may hold.
        let keys = arrow_array::UInt8Array::from(vec![0, 255, 7]);
        let values = Int32Array::from_iter_values(0..1000);
        let array: ArrayRef = Arc::new(DictionaryArray::<UInt8Type>::new(keys, Arc::new(values)));
        let taken = take(&array, &UInt32Array::from(vec![1, 1, 0])).unwrap();
        assert_eq!(taken.as_dictionary::<UInt8Type>().keys().values(), &[255, 255, 0]);
        assert_eq!(concat(&[&array, &array]).unwrap().len(), 6);
    }

    #[test]
    fn lists_of_nothing_keep_their_rows() {
        // Catches rows that are counted by their items, of which there are none: arrow-select's take returns no row.
        let nulls = Some(vec![true, false, true].into());
        let items = Arc::new(Int8Array::from(Vec::<i8>::new()));
        let lists = FixedSizeListArray::try_new_with_length(item(DataType::Int8), 0, items, nulls, 3).unwrap();
        let lists: ArrayRef = Arc::new(lists);
        let taken = take(&lists, &UInt32Array::from(vec![Some(2), Some(1), None, Some(0)])).unwrap();
        assert_eq!((0..4).map(|i| taken.is_valid(i)).collect::<Vec<_>>(), [true, false, false, true]);
        assert_eq!(concat(&[&lists, &taken]).unwrap().len(), 7);
    }

    #[test]
    fn text_beyond_its_offsets_is_an_error() {
        // Catches offsets that wrap, and memory that is taken before the error is seen.
        let long: ArrayRef = Arc::new(StringArray::from(vec![" ".repeat(1 << 20)]));
        take(&long, &UInt32Array::from(vec![0; 2048])).unwrap_err();
    }

    #[test]
    fn arrays_of_other_types_are_an_error() {
        // Catches a panic of arrow-data, and bytes that are read as another type.
        let (a, b): (ArrayRef, ArrayRef) = (Arc::new(Int8Array::from(vec![1])), Arc::new(Int32Array::from(vec![1])));
        assert!(concat(&[&a, &b]).unwrap_err().to_string().contains("different data types"));
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int8, true)]));
        let none = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &of_rows(1)).unwrap();
        concat_batches(&schema, [&none]).unwrap_err();
    }
}
