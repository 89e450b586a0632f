//! The images of a run as a column of its output.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, ListArray, StructArray, UInt8Array, UInt16Array,
    UInt32Array,
};
use arrow_buffer::{ArrowNativeType, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};

use crate::base::error::{Error, Result};
use crate::base::shape::{ImageShape, PixelType};
use crate::base::text::names;
use crate::features::as_tensor;
use crate::images::{ImageBatch, Pixels, Ragged, SHAPE_KEY};
use crate::run::compute::{BatchImages, validity};

/// Whether and how the image is in the output, under its name and in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeepImage {
    /// The image is left out.
    #[default]
    No,
    /// The input's column, as it is.
    Original,
    /// The pixels that the features are computed from, decoded and after all stages, as an `arrow.fixed_shape_tensor` of
    /// H×W or H×W×C. Those of a ragged run are a struct of `data`, `height`, `width` and `channel`. Null where the row
    /// could not be featurized.
    Tensor,
    /// The same pixels as a `FixedSizeBinary`, for u8 and images of one size. The field's metadata has the shape.
    Bytes,
}

names!("keep image", KeepImage { "no" => No, "original" => Original, "tensor" => Tensor, "bytes" => Bytes });

/// The field of kept images in another form than the original.
///
/// # Errors
/// [`Error::InvalidOption`] if bytes cannot hold them.
pub(crate) fn kept_field(
    name: &str,
    form: KeepImage,
    shape: ImageShape,
    pixel_type: PixelType,
    ragged: bool,
) -> Result<Field> {
    let of_shape = |field: Field| {
        let mut about = field.metadata().clone();
        about.insert(SHAPE_KEY.to_owned(), shape.to_string());
        field.with_metadata(about)
    };
    match form {
        KeepImage::Bytes if ragged || pixel_type != PixelType::U8 => Err(Error::InvalidOption {
            option: "keep image",
            why: "bytes hold u8 pixels of one size only; tensors hold all".to_owned(),
        }),
        KeepImage::Bytes => {
            let bytes = DataType::FixedSizeBinary(shape.values() as i32);
            Ok(of_shape(Field::new(name, bytes, true)))
        }
        _ if ragged => Ok(Field::new(name, DataType::Struct(ragged_fields(pixel_type)), true)),
        _ => {
            let lists = DataType::FixedSizeList(item(pixel_type), shape.values() as i32);
            let dims = [("H", shape.height()), ("W", shape.width()), ("C", shape.channels())];
            let dims = if shape.channels() == 1 { &dims[..2] } else { &dims };
            // The shape twice: tools that do not know the extension drop it, and then the other still tells it.
            Ok(of_shape(as_tensor(Field::new(name, lists, true), dims)))
        }
    }
}

/// The images in the form of [`kept_field`], a place for every row.
pub(crate) fn kept_array(
    images: &BatchImages,
    form: KeepImage,
    shape: ImageShape,
    pixel_type: PixelType,
) -> Result<ArrayRef> {
    let batch = match images {
        BatchImages::Uniform(batch) => batch,
        BatchImages::Ragged(rows, ragged) => return kept_ragged(*rows, ragged, pixel_type),
    };
    let valid = validity(batch.rows(), batch.defects());
    let length = shape.values() as i32;
    Ok(match (form, batch.pixels()) {
        (KeepImage::Bytes, Pixels::U8(pixels)) => {
            let bytes = in_rows(batch, pixels).into_inner();
            Arc::new(FixedSizeBinaryArray::try_new(length, bytes, valid).map_err(Error::from)?)
        }
        (_, pixels) => {
            let values = match pixels {
                Pixels::U8(pixels) => column(Pixels::U8(in_rows(batch, pixels))),
                Pixels::U16(pixels) => column(Pixels::U16(in_rows(batch, pixels))),
                Pixels::F32(pixels) => column(Pixels::F32(in_rows(batch, pixels))),
            };
            Arc::new(FixedSizeListArray::try_new(item(pixel_type), length, values, valid).map_err(Error::from)?)
        }
    })
}

/// The pixels of all rows. Those of defective rows are zero, so that no invalid value is left behind a null.
fn in_rows<T: ArrowNativeType>(batch: &ImageBatch, pixels: &ScalarBuffer<T>) -> ScalarBuffer<T> {
    if batch.defects().is_empty() {
        return pixels.clone();
    }
    let length = batch.shape().values();
    let mut all = vec![T::default(); batch.rows() * length];
    for (row, place) in all.chunks_exact_mut(length).zip(batch.places()) {
        if let Some(place) = place {
            row.copy_from_slice(&pixels[place * length..][..length]);
        }
    }
    all.into()
}

fn kept_ragged(rows: usize, images: &Ragged, pixel_type: PixelType) -> Result<ArrayRef> {
    let valid = validity(rows, &images.defects);
    let mut places = vec![None; rows];
    for (group, (of, _)) in images.groups.iter().enumerate() {
        for (place, &row) in of.iter().enumerate() {
            places[row] = Some((group, place)).filter(|_| valid.as_ref().is_none_or(|valid| valid.is_valid(row)));
        }
    }
    let shape = |row: usize| places[row].map(|(group, _)| images.groups[group].1.shape());
    let lengths = (0..rows).map(|row| shape(row).map_or(0, |shape| shape.values()));
    let ends = OffsetBuffer::from_lengths(lengths);
    macro_rules! together {
        ($kind:ident) => {{
            let mut all = Vec::new();
            for &(group, place) in places.iter().flatten() {
                let batch = &images.groups[group].1;
                if let Pixels::$kind(pixels) = batch.pixels() {
                    all.extend_from_slice(&pixels[place * batch.shape().values()..][..batch.shape().values()]);
                }
            }
            column(Pixels::$kind(all.into()))
        }};
    }
    let values = match pixel_type {
        PixelType::U8 => together!(U8),
        PixelType::U16 => together!(U16),
        PixelType::F32 => together!(F32),
    };
    let side = |of: fn(&ImageShape) -> usize| (0..rows).map(move |row| shape(row).map_or(0, |shape| of(&shape)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ListArray::try_new(item(pixel_type), ends, values, None).map_err(Error::from)?),
        Arc::new(side(ImageShape::height).map(|side| Some(side as u32)).collect::<UInt32Array>()),
        Arc::new(side(ImageShape::width).map(|side| Some(side as u32)).collect::<UInt32Array>()),
        Arc::new(side(ImageShape::channels).map(|side| Some(side as u16)).collect::<UInt16Array>()),
    ];
    Ok(Arc::new(StructArray::try_new(ragged_fields(pixel_type), columns, valid).map_err(Error::from)?))
}

fn ragged_fields(pixel_type: PixelType) -> Fields {
    Fields::from(vec![
        Field::new("data", DataType::List(item(pixel_type)), false),
        Field::new("height", DataType::UInt32, false),
        Field::new("width", DataType::UInt32, false),
        Field::new("channel", DataType::UInt16, false),
    ])
}

/// Nullable, as PyArrow expects of the items of tensors; no item is null.
fn item(pixel_type: PixelType) -> Arc<Field> {
    let item = match pixel_type {
        PixelType::U8 => DataType::UInt8,
        PixelType::U16 => DataType::UInt16,
        PixelType::F32 => DataType::Float32,
    };
    Arc::new(Field::new("item", item, true))
}

fn column(pixels: Pixels) -> ArrayRef {
    match pixels {
        Pixels::U8(values) => Arc::new(UInt8Array::new(values, None)),
        Pixels::U16(values) => Arc::new(UInt16Array::new(values, None)),
        Pixels::F32(values) => Arc::new(Float32Array::new(values, None)),
    }
}
