//! Masks and boxes beside the images, to which the same is done.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, FixedSizeListArray, ListArray, RecordBatch, UInt32Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Schema};

use crate::base::error::{Error, Result};
use crate::base::shape::{ImageShape, PixelType};
use crate::images::{ColumnReader, Declared, ImageBuffer, ImageColumn, PixelValue, Survey, Transform};
use crate::run::compute::BatchImages;
use crate::run::keep::{KeepImage, kept_array, kept_field};
use crate::run::mixed::{RowMixes, mixed};
use crate::run::spec::FeatureSpec;
use crate::stages::{Mixer, StepLog};
use crate::steps::Workspace;

/// The columns of masks and boxes of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Companions {
    mask: Option<Mask>,
    boxes: Option<String>,
    /// The shape of the images in their column.
    from: Option<ImageShape>,
}

#[derive(Debug, Clone)]
struct Mask {
    column: String,
    reader: ColumnReader,
    shape: ImageShape,
    /// What cuts masks as their images are cut.
    mixer: Option<Mixer>,
}

impl Companions {
    /// Checks that the columns are there and can be what they are to be. `from` and `to` are the shapes of images before
    /// and after the stages.
    pub fn new(spec: &FeatureSpec, input: &Schema, from: ImageShape, to: ImageShape) -> Result<Self> {
        let field = |column: &str| {
            input.field_with_name(column).map_err(|_| Error::NoSuchColumn {
                column: column.to_owned(),
                available: input.fields().iter().map(|field| field.name().clone()).collect(),
            })
        };
        let refuse = |option, why: &str| Err(Error::InvalidOption { option, why: why.to_owned() });
        if spec.mask.is_none() && spec.boxes.is_none() {
            return Ok(Self::default());
        }
        let option = if spec.mask.is_some() { "mask" } else { "boxes" };
        if spec.ragged {
            return refuse(option, "it needs images of one size");
        }
        if spec.mixing.blends() {
            return refuse(option, "MixUp blends images, which it cannot be; CutMix cuts masks with their images");
        }
        if spec.boxes.is_some() && !spec.mixing.is_empty() {
            return refuse("boxes", "what CutMix leaves of a box need not be a box");
        }
        let mask = spec.mask.as_ref().map(|column| {
            let declared = Declared {
                shape: Some(ImageShape::gray(from.height(), from.width())?),
                pixel_type: Some(PixelType::U8),
                ..Declared::default()
            };
            let field = field(column)?;
            let mut survey = Survey::new(ImageColumn::of(field)?, declared)?;
            survey.count(&arrow_array::new_empty_array(field.data_type()))?;
            let shape = ImageShape::gray(to.height(), to.width())?;
            let mixer = (!spec.mixing.is_empty()).then(|| Mixer::new(spec.mixing, spec.seed, shape));
            Ok::<_, Error>(Mask { column: column.clone(), reader: survey.into_reader()?, shape, mixer })
        });
        let mask = mask.transpose()?;
        if let Some(column) = &spec.boxes {
            let found = field(column)?.data_type();
            if !matches!(found, DataType::List(item) if is_box(item.data_type())) {
                let why = format!("`{column}` is {found}, not lists of boxes, which are fixed-size lists of 4 f32");
                return refuse("boxes", &why);
            }
        }
        Ok(Self { mask, boxes: spec.boxes.clone(), from: Some(from) })
    }

    /// Whether it must be known what is done to each row.
    pub fn any(&self) -> bool {
        self.mask.is_some() || self.boxes.is_some()
    }

    /// The field of a column of the input in the output.
    pub fn field(&self, field: &Field) -> Result<Option<Field>> {
        match &self.mask {
            Some(mask) if mask.column == *field.name() => {
                kept_field(&mask.column, KeepImage::Tensor, mask.shape, PixelType::U8, false).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The columns that are added.
    pub fn fields(&self) -> Vec<Field> {
        let Some(boxes) = &self.boxes else { return Vec::new() };
        let kept = DataType::new_list(DataType::UInt32, true);
        vec![
            Field::new(format!("{boxes}_kept"), kept, true),
            Field::new(format!("{boxes}_dropped"), DataType::UInt32, true),
        ]
    }

    /// Replaces the columns of masks and boxes in `columns`, which are those of the input, and gives those of
    /// [`Companions::fields`].
    pub fn apply(
        &self,
        input: &RecordBatch,
        columns: &mut [ArrayRef],
        log: &StepLog,
        mixes: &RowMixes,
    ) -> Result<Vec<ArrayRef>> {
        let (schema, mut added) = (input.schema(), Vec::new());
        if let Some(mask) = &self.mask {
            let at = schema.index_of(&mask.column).map_err(Error::from)?;
            let masks = mask.reader.read_transformed(&columns[at], &Masks { log, shape: mask.shape }, mask.shape)?;
            let masks = mask.mixer.iter().fold(masks, |masks, mixer| mixed(mixer, mixes, &masks));
            columns[at] = kept_array(&BatchImages::Uniform(masks), KeepImage::Tensor, mask.shape, PixelType::U8)?;
        }
        if let (Some(boxes), Some(from)) = (&self.boxes, self.from) {
            let at = schema.index_of(boxes).map_err(Error::from)?;
            let (moved, kept, dropped) = moved_boxes(columns[at].as_list(), from, log)?;
            columns[at] = moved;
            added.extend([kept, dropped]);
        }
        Ok(added)
    }
}

fn is_box(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeList(item, 4) if *item.data_type() == DataType::Float32)
}

/// Does to each mask what was done to the image of its row.
struct Masks<'a> {
    log: &'a StepLog,
    shape: ImageShape,
}

impl Transform for Masks<'_> {
    type Workspace = Workspace;

    fn shape(&self, _: ImageShape) -> Result<ImageShape, String> {
        Ok(self.shape)
    }

    fn apply<P: PixelValue>(&self, row: usize, image: &mut ImageBuffer<P>, work: &mut Workspace) -> Result<(), String> {
        let mut from = image.shape();
        for step in self.log.of(row).into_iter().flatten() {
            if let Some(step) = step.for_mask(from) {
                image.replace(step.shape(from), |old, new| step.apply(from, old, new, work));
                from = image.shape();
            }
        }
        // The row may have no image.
        if from == self.shape { Ok(()) } else { Err(format!("it is {from}, not {}", self.shape)) }
    }
}

/// The boxes that are left, their places among those before, and how many are gone.
fn moved_boxes(boxes: &ListArray, from: ImageShape, log: &StepLog) -> Result<(ArrayRef, ArrayRef, ArrayRef)> {
    let sides = boxes.values().as_fixed_size_list().values().as_primitive::<Float32Type>();
    let item = match boxes.data_type() {
        DataType::List(item) => item.clone(),
        other => return Err(Error::Internal(format!("boxes are {other}"))),
    };
    let corner = match item.data_type() {
        DataType::FixedSizeList(corner, _) => corner.clone(),
        other => return Err(Error::Internal(format!("boxes are {other}"))),
    };
    let (mut all, mut lengths) = (Float32Builder::new(), Vec::with_capacity(boxes.len()));
    let mut kept = ListBuilder::new(UInt32Builder::new());
    let mut dropped = Vec::with_capacity(boxes.len());
    for row in 0..boxes.len() {
        if boxes.is_null(row) {
            lengths.push(0);
            kept.append_null();
            dropped.push(None);
            continue;
        }
        let (start, end) = (boxes.value_offsets()[row] as usize, boxes.value_offsets()[row + 1] as usize);
        let steps: Vec<_> = log.of(row).into_iter().flatten().collect();
        let mut left = 0;
        for (place, at) in (start..end).enumerate() {
            let before: [f64; 4] = std::array::from_fn(|side| f64::from(sides.value(4 * at + side)));
            let mut shape = from;
            let moved = steps.iter().try_fold(before, |rect, step| {
                let moved = step.for_box(shape, rect);
                shape = step.shape(shape);
                moved
            });
            if let Some(moved) = moved {
                moved.iter().for_each(|side| all.append_value(*side as f32));
                kept.values().append_value(place as u32);
                left += 1;
            }
        }
        kept.append(true);
        lengths.push(left);
        dropped.push(Some((end - start - left) as u32));
    }
    let values = FixedSizeListArray::try_new(corner, 4, Arc::new(all.finish()), None).map_err(Error::from)?;
    let moved = ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), Arc::new(values), boxes.nulls().cloned());
    Ok((Arc::new(moved.map_err(Error::from)?), Arc::new(kept.finish()), Arc::new(UInt32Array::from(dropped))))
}
