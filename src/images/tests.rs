//! Every layout of an image column, read.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Int64Builder, ListBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array,
    Int8Array, Int64Array, LargeBinaryArray, LargeListArray, ListArray, NullArray, UInt8Array, UInt16Array,
    UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};
use half::f16;

use crate::base::reason::Reason;
use crate::base::shape::{ImageShape, PixelType};
use crate::images::defect::Defect;
use crate::images::{Declared, ImageBatch, ImageColumn, Pixels, Survey, default_pixel_type, infer_shape};

fn gray(h: usize, w: usize) -> ImageShape {
    ImageShape::gray(h, w).unwrap()
}

fn list(values: ArrayRef, lengths: &[usize], nulls: Option<Vec<bool>>) -> ListArray {
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), values, nulls.map(NullBuffer::from))
}

fn fixed(values: ArrayRef, size: i32, nulls: Option<Vec<bool>>) -> FixedSizeListArray {
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    FixedSizeListArray::new(item, size, values, nulls.map(NullBuffer::from))
}

fn u8s(batch: &ImageBatch) -> &[u8] {
    match batch.pixels() {
        Pixels::U8(pixels) => pixels,
        other => panic!("not u8: {other:?}"),
    }
}

fn reasons(batch: &ImageBatch) -> Vec<(usize, Reason, &str)> {
    batch.defects().iter().map(|d| (d.row, d.reason, d.detail.as_str())).collect()
}

fn read(array: &dyn Array, shape: ImageShape, pixel_type: PixelType) -> ImageBatch {
    ImageBatch::from_array(array, "image", shape, pixel_type).unwrap()
}

#[test]
fn every_flat_layout_gives_the_same_pixels() {
    let pixels = || -> Vec<u8> { (0..12).collect() };
    let item = Arc::new(Field::new("item", DataType::UInt8, true));
    let large =
        LargeListArray::new(item, OffsetBuffer::from_lengths([4, 4, 4]), Arc::new(UInt8Array::from(pixels())), None);
    let rows: Vec<&[u8]> = vec![&[0, 1, 2, 3], &[4, 5, 6, 7], &[8, 9, 10, 11]];
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(list(Arc::new(UInt8Array::from(pixels())), &[4, 4, 4], None)),
        Arc::new(large),
        Arc::new(fixed(Arc::new(UInt8Array::from(pixels())), 4, None)),
        Arc::new(fixed(Arc::new(Int64Array::from_iter_values(0..12)), 4, None)),
        Arc::new(list(Arc::new(Int8Array::from_iter_values(0..12)), &[4, 4, 4], None)),
        Arc::new(list(Arc::new(UInt64Array::from_iter_values(0..12)), &[4, 4, 4], None)),
        Arc::new(fixed(Arc::new(Float64Array::from_iter_values((0..12).map(f64::from))), 4, None)),
        Arc::new(fixed(Arc::new(Float16Array::from_iter_values((0..12u8).map(f16::from))), 4, None)),
        Arc::new(BinaryArray::from(rows.clone())),
        Arc::new(LargeBinaryArray::from(rows.clone())),
        Arc::new(FixedSizeBinaryArray::try_from_iter(rows.into_iter()).unwrap()),
    ];
    for array in arrays {
        let batch = read(&array, gray(2, 2), PixelType::U8);
        assert_eq!(u8s(&batch), pixels(), "{}", array.data_type());
        assert_eq!((batch.rows(), batch.images(), batch.defects().len()), (3, 3, 0));
        // A slice starts in the middle of its buffers.
        let slice = array.slice(1, 2);
        assert_eq!(u8s(&read(&slice, gray(2, 2), PixelType::U8)), &pixels()[4..], "{}", array.data_type());
        assert_eq!(read(&array.slice(1, 0), gray(2, 2), PixelType::U8).images(), 0);
    }
}

#[test]
fn pixels_of_the_right_type_are_borrowed() {
    let values = UInt8Array::from_iter_values(0..12);
    let address = values.values().as_ptr();
    let values: ArrayRef = Arc::new(values);
    let whole = fixed(values.clone(), 4, None);
    assert_eq!(u8s(&read(&whole, gray(2, 2), PixelType::U8)).as_ptr(), address);
    let with_null = fixed(values.clone(), 4, Some(vec![true, false, true]));
    let batch = read(&with_null, gray(2, 2), PixelType::U8);
    assert_eq!((u8s(&batch).as_ptr(), batch.images(), batch.every_row()), (address, 3, true));
    assert_eq!(reasons(&batch), [(1, Reason::NullImage, "null")]);
    let listed = list(values, &[4, 0, 4, 4], Some(vec![true, false, true, true]));
    let batch = read(&listed, gray(2, 2), PixelType::U8);
    assert_eq!((u8s(&batch).as_ptr(), batch.images(), batch.every_row()), (address, 3, false));
}

#[test]
fn nested_lists_are_rows_of_pixels() {
    let flat: ArrayRef = Arc::new(Int64Array::from_iter_values(0..12));
    let rows: ArrayRef = Arc::new(list(flat.clone(), &[3, 3, 3, 3], None));
    let images = list(rows, &[2, 2], None);
    assert_eq!(u8s(&read(&images, gray(2, 3), PixelType::U8)), (0..12).collect::<Vec<u8>>());
    assert_eq!(infer_shape(&images, "image").unwrap(), Some(gray(2, 3)));

    let pixels: ArrayRef = Arc::new(fixed(flat, 3, None));
    let rows: ArrayRef = Arc::new(fixed(pixels, 2, None));
    let images = fixed(rows, 1, None);
    let shape = ImageShape::new(1, 2, 3).unwrap();
    assert_eq!(u8s(&read(&images, shape, PixelType::U8)).len(), 12);
    assert_eq!(infer_shape(&images, "image").unwrap(), Some(shape));
    assert_eq!(u8s(&read(&images.slice(1, 1), shape, PixelType::U8)), [6, 7, 8, 9, 10, 11]);
}

#[test]
fn ragged_and_null_rows_of_pixels_are_named() {
    let flat: ArrayRef = Arc::new(UInt8Array::from_iter_values(0..11));
    let rows: ArrayRef =
        Arc::new(list(flat, &[2, 2, 2, 1, 2, 0, 2], Some(vec![true, true, true, true, true, false, true])));
    let images = list(rows, &[2, 2, 2, 1], None);
    let batch = read(&images, gray(2, 2), PixelType::U8);
    assert_eq!(u8s(&batch), [0, 1, 2, 3]);
    assert_eq!(
        reasons(&batch),
        [
            (1, Reason::WrongLength, "row 1 of pixels has 1 values, 2x2 needs 2"),
            (2, Reason::NullPixel, "row 1 of pixels is null"),
            (3, Reason::WrongLength, "1 rows of pixels, 2x2 needs 2"),
        ]
    );
}

#[test]
fn every_way_a_row_can_be_bad_has_its_reason() {
    let mut builder = ListBuilder::new(Int64Builder::new());
    let rows: [Option<Vec<Option<i64>>>; 7] = [
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![Some(1)]),
        Some(vec![Some(1), None]),
        Some(vec![Some(3), Some(256)]),
        Some(vec![Some(-1), Some(70_000)]),
        Some(vec![Some(254), Some(255)]),
    ];
    for row in &rows {
        builder.append_option(row.clone());
    }
    let column = builder.finish();
    let batch = read(&column, gray(1, 2), PixelType::U8);
    assert_eq!(u8s(&batch), [1, 2, 254, 255]);
    assert_eq!(
        reasons(&batch),
        [
            (1, Reason::NullImage, "null"),
            (2, Reason::WrongLength, "1 values, 1x2 needs 2"),
            (3, Reason::NullPixel, "pixel 1 is null"),
            (4, Reason::OutOfRange, "pixel 1 is 256"),
            (5, Reason::OutOfRange, "pixel 0 is -1"),
        ]
    );
    assert_eq!(batch.defects()[3].fits, Some(PixelType::U16));
    assert_eq!(batch.defects()[4].fits, Some(PixelType::F32));
    assert_eq!(read(&column, gray(1, 2), PixelType::U16).defects().len(), 4);
    assert_eq!(read(&column, gray(1, 2), PixelType::F32).defects().len(), 3);
}

#[test]
fn floats_become_integers_only_if_they_are() {
    let values = vec![1.0, -0.0, 3.5, 1.0, 1.0, f64::NAN, f64::INFINITY, 0.0, 256.0, 0.0, 1e300, 1.0];
    let column = fixed(Arc::new(Float64Array::from(values)), 2, None);
    let batch = read(&column, gray(1, 2), PixelType::U8);
    assert_eq!(u8s(&batch), [1, 0]);
    let found: Vec<_> = batch.defects().iter().map(|d| (d.row, d.reason, d.fits)).collect();
    assert_eq!(
        found,
        [
            (1, Reason::NotAnInteger, Some(PixelType::F32)),
            (2, Reason::NotFinite, None),
            (3, Reason::NotFinite, None),
            (4, Reason::OutOfRange, Some(PixelType::U16)),
            (5, Reason::OutOfRange, None),
        ]
    );
    let floats = read(&column, gray(1, 2), PixelType::F32);
    assert_eq!(floats.defects().iter().map(|d| d.row).collect::<Vec<_>>(), [2, 3, 5]);
    let in_place = fixed(Arc::new(Float32Array::from(vec![1.0, f32::NAN, 2.0, 3.0])), 2, None);
    let batch = read(&in_place, gray(1, 2), PixelType::F32);
    assert_eq!(reasons(&batch), [(0, Reason::NotFinite, "pixel 1 is NaN")]);
}

#[test]
fn integers_become_f32_only_if_it_holds_them() {
    let edge = 1i64 << 24;
    let column = fixed(Arc::new(Int64Array::from(vec![edge, edge + 1, edge + 2, i64::MIN, i64::MAX, 0])), 1, None);
    let batch = read(&column, gray(1, 1), PixelType::F32);
    assert_eq!(batch.defects().iter().map(|d| d.row).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn the_common_length_wins_and_says_what_is_missing() {
    let values: ArrayRef = Arc::new(UInt8Array::from(vec![0; 13]));
    let column = list(values.clone(), &[1, 4, 4, 4], None);
    assert_eq!(infer_shape(&column, "image").unwrap(), Some(gray(2, 2)));
    let error = infer_shape(&list(values, &[6, 1, 6], None), "img").unwrap_err().to_string();
    assert_eq!(
        error,
        "column `img`: its images hold 6 values, which is not a perfect square; give the shape, as in 28x28 or 64x64x3"
    );
    let nulls = fixed(Arc::new(UInt8Array::from(vec![0; 8])), 4, Some(vec![false, false]));
    assert_eq!(infer_shape(&nulls, "image").unwrap(), Some(gray(2, 2)));
    // Among as many of each, the one that makes an image.
    let tie = list(Arc::new(UInt8Array::from(vec![0; 7])), &[4, 3], None);
    assert_eq!(infer_shape(&tie, "image").unwrap(), Some(gray(2, 2)));
    let nothing = list(Arc::new(UInt8Array::from(Vec::<u8>::new())), &[0, 0], Some(vec![false, false]));
    assert_eq!(infer_shape(&nothing, "image").unwrap(), None);
}

#[test]
fn columns_that_hold_no_images_are_refused() {
    let strings = arrow_array::StringArray::from(vec!["x"]);
    let error = ImageBatch::from_array(&strings, "image", gray(1, 1), PixelType::U8).unwrap_err();
    assert!(error.to_string().starts_with("column `image` is Utf8: images are lists of numbers"), "{error}");
    let number = UInt8Array::from(vec![1]);
    assert!(ImageBatch::from_array(&number, "image", gray(1, 1), PixelType::U8).is_err());
    let bytes = BinaryArray::from(vec![b"ab".as_slice()]);
    let error = ImageBatch::from_array(&bytes, "image", gray(1, 1), PixelType::U16).unwrap_err();
    assert_eq!(error.to_string(), "column `image` is Binary: raw bytes are u8 pixels, not u16");
    let nulls = read(&NullArray::new(2), gray(1, 1), PixelType::U8);
    assert_eq!((nulls.images(), nulls.defects().len()), (0, 2));
    let null_pixels = list(Arc::new(NullArray::new(4)), &[2, 2], None);
    let batch = read(&null_pixels, gray(1, 2), PixelType::U8);
    assert_eq!(reasons(&batch), [(0, Reason::NullPixel, "pixel 0 is null"), (1, Reason::NullPixel, "pixel 0 is null")]);
}

#[test]
fn the_pixel_type_follows_the_column() {
    let wide = fixed(Arc::new(UInt16Array::from(vec![1, 65_535])), 1, None);
    assert_eq!(default_pixel_type(wide.data_type()), PixelType::U16);
    assert!(matches!(read(&wide, gray(1, 1), PixelType::U16).pixels(), Pixels::U16(p) if p[..] == [1, 65_535]));
    let mut builder = FixedSizeListBuilder::new(Int64Builder::new(), 1);
    builder.values().append_value(1);
    builder.append(true);
    assert_eq!(default_pixel_type(builder.finish().data_type()), PixelType::U8);
    assert_eq!(default_pixel_type(&DataType::Binary), PixelType::U8);
    assert_eq!(default_pixel_type(&DataType::new_list(DataType::Float16, true)), PixelType::F32);
}

#[test]
fn readers_reasons_replace_the_nulls_they_left() {
    let column = list(Arc::new(UInt8Array::from(vec![1, 2])), &[1, 0, 0, 1], Some(vec![true, false, false, true]));
    let mut batch = read(&column, gray(1, 1), PixelType::U8);
    batch.explain(vec![Defect::new(2, Reason::OutOfRange, "pixel 0 is 300")]);
    assert_eq!(reasons(&batch), [(1, Reason::NullImage, "null"), (2, Reason::OutOfRange, "pixel 0 is 300")]);
}

#[test]
fn a_part_has_so_many_bytes_or_so_many_images() {
    let none = fixed(Arc::new(UInt8Array::from(vec![0; 400])), 4, None);
    let field = Field::new("image", none.data_type().clone(), true);
    let declared = Declared { shape: Some(gray(2, 2)), ..Declared::default() };
    let reader = Survey::new(ImageColumn::of(&field).unwrap(), declared).unwrap().into_reader().unwrap();
    // 100 images become as many of 256 KB, 1 MB, 4 MB or 100 MB.
    for (side, expected) in [(512, 64), (1024, 32), (2048, 16), (10_240, 1)] {
        let parts = reader.parts(&none, Some(gray(side, side))).unwrap();
        assert_eq!((parts[0].len(), parts.iter().map(|part| part.len()).sum()), (expected, 100), "{side}");
    }
    assert_eq!(reader.parts(&none, Some(gray(2, 2))).unwrap().len(), 1);
}
