//! Images of a batch mixed with each other, and their labels.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StructArray, UInt32Array, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields, Schema};
use rayon::prelude::*;

use crate::base::error::{Error, Result};
use crate::base::pixels::{Pixel, Pixels};
use crate::base::reason::Reason;
use crate::base::select::take;
use crate::base::shape::ImageShape;
use crate::features::{Layout, item_field};
use crate::images::defect::Defect;
use crate::images::{ImageBatch, PixelValue};
use crate::run::samples::whole_numbers;
use crate::run::spec::{FeatureSpec, MixedLabels};
use crate::stages::{Chain, MIX_WINDOW, Mix, Mixer, Samples};

/// What a run adds to its output where images are augmented.
#[derive(Debug, Clone)]
pub(crate) struct Mixed {
    mixer: Option<Mixer>,
    labels: MixedLabels,
    log: Option<Fields>,
}

/// For each row of a batch its mix, whose partner is a row of the batch; `None` without an image.
pub(crate) type RowMixes = Vec<Option<Mix>>;

impl Mixed {
    /// Checks that the input has the labels.
    pub fn new(spec: &FeatureSpec, input: &Schema, shape: ImageShape) -> Result<Self> {
        let refuse = |why: &str| Err(Error::InvalidOption { option: "mixing", why: why.to_owned() });
        let mixes = !spec.mixing.is_empty();
        if mixes && spec.ragged {
            return refuse("images of different sizes cannot be mixed");
        }
        if mixes {
            let column = spec.labels.column();
            let Some((_, field)) = input.column_with_name(column) else {
                return refuse(&format!("{} mixes labels, but there is no column `{column}`", spec.mixing));
            };
            if matches!(spec.labels, MixedLabels::Soft(..)) && !field.data_type().is_integer() {
                return refuse(&format!("soft labels are made of integers, but `{column}` is {}", field.data_type()));
            }
        }
        let text = |name: String| Field::new(name, DataType::Utf8, true);
        let log = spec.augment_log.then(|| {
            let names = spec.stages.names().into_iter().chain(mixes.then(|| "mix".to_owned()));
            names.map(text).collect()
        });
        let mixer = mixes.then(|| Mixer::new(spec.mixing, spec.seed, shape));
        Ok(Self { mixer, labels: spec.labels.clone(), log })
    }

    /// Whether images are mixed.
    pub fn mixes(&self) -> bool {
        self.mixer.is_some()
    }

    /// Whether it must be known what is done to each row.
    pub fn logs(&self) -> bool {
        self.log.is_some()
    }

    /// The columns that are added.
    pub fn fields(&self, input: &Schema) -> Vec<Field> {
        let mut fields = Vec::new();
        if self.mixer.is_some() {
            match &self.labels {
                MixedLabels::Pair(column) => {
                    let label = input.field_with_name(column).map_or(DataType::Null, |field| field.data_type().clone());
                    fields.push(Field::new("label_b", label, true));
                    fields.push(Field::new("lambda", DataType::Float32, true));
                }
                MixedLabels::Soft(_, classes) => {
                    let list = DataType::FixedSizeList(item_field(Layout::List), *classes as i32);
                    fields.push(Field::new("soft_label", list, true));
                }
            }
            fields.push(Field::new("sample_id_b", DataType::UInt64, true));
        }
        if let Some(log) = &self.log {
            fields.push(Field::new("augment_log", DataType::Struct(log.clone()), false));
        }
        fields
    }

    /// Rows of a batch to take at once: whole windows of about `bytes` bytes of images.
    pub fn parts(rows: usize, image_bytes: usize, bytes: usize) -> Vec<Range<usize>> {
        let windows = (bytes / image_bytes.max(1) / MIX_WINDOW).max(1);
        let step = windows * MIX_WINDOW;
        (0..rows.max(1)).step_by(step).map(|at| at..rows.min(at + step)).collect()
    }

    /// Mixes the images of a batch that begins where a window does.
    pub fn mix(&self, images: &mut ImageBatch, samples: &Samples) -> RowMixes {
        let Some(mixer) = &self.mixer else { return Vec::new() };
        let places: Vec<Option<usize>> = images.places().collect();
        let mut mixes: RowMixes = vec![None; places.len()];
        for start in (0..places.len()).step_by(MIX_WINDOW) {
            let end = places.len().min(start + MIX_WINDOW);
            let rows: Vec<usize> = (start..end).filter(|&row| places[row].is_some()).collect();
            let ids: Vec<u64> = rows.iter().map(|&row| samples.id(row)).collect();
            for (&row, mix) in rows.iter().zip(mixer.draw(samples.epoch(start), &ids)) {
                mixes[row] = Some(Mix { partner: rows[mix.partner], ..mix });
            }
        }
        *images = mixed(mixer, &mixes, images);
        mixes
    }

    /// The columns of [`Mixed::fields`].
    pub fn columns(
        &self,
        input: &RecordBatch,
        mixes: &RowMixes,
        samples: &Samples,
        chain: &Chain,
    ) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        if self.mixer.is_some() {
            let partners: UInt32Array = mixes.iter().map(|mix| mix.map(|mix| mix.partner as u32)).collect();
            let label = input.column_by_name(self.labels.column());
            let label = label.ok_or_else(|| Error::Internal("the column of labels is gone".to_owned()))?;
            match &self.labels {
                MixedLabels::Pair(_) => {
                    columns.push(take(label, &partners).map_err(Error::from)?);
                    let shares = mixes.iter().map(|mix| mix.map(share));
                    columns.push(Arc::new(shares.collect::<Float32Array>()));
                }
                MixedLabels::Soft(column, classes) => columns.push(soft(column, label, *classes, mixes)?),
            }
            let partner = |mix: &Option<Mix>| mix.map(|mix| samples.id(mix.partner));
            columns.push(Arc::new(mixes.iter().map(partner).collect::<UInt64Array>()));
        }
        if let Some(fields) = &self.log {
            columns.push(self.log(fields, input.num_rows(), mixes, samples, chain)?);
        }
        Ok(columns)
    }

    fn log(
        &self,
        fields: &Fields,
        rows: usize,
        mixes: &RowMixes,
        samples: &Samples,
        chain: &Chain,
    ) -> Result<ArrayRef> {
        let mut texts: Vec<StringBuilder> = fields.iter().map(|_| StringBuilder::new()).collect();
        for row in 0..rows {
            let stages = samples.log.as_ref().map(|log| log.of(row)).unwrap_or_default();
            for (at, text) in texts.iter_mut().enumerate() {
                let told = match stages.get(at) {
                    Some(steps) => Some(steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
                    None if at < chain.stages().len() => None,
                    None => mixes.get(row).copied().flatten().map(|mix| told(&mix)),
                };
                text.append_option(told);
            }
        }
        let columns = texts.iter_mut().map(|text| Arc::new(text.finish()) as ArrayRef).collect();
        if fields.is_empty() {
            return Ok(Arc::new(StructArray::new_empty_fields(rows, None)));
        }
        Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None).map_err(Error::from)?))
    }
}

/// Images mixed, with a place for every row. A row without a mix keeps its image. One whose partner has none has none
/// either.
pub(crate) fn mixed(mixer: &Mixer, mixes: &RowMixes, images: &ImageBatch) -> ImageBatch {
    let places: Vec<Option<usize>> = images.places().collect();
    let pixels = match images.pixels() {
        Pixels::U8(pixels) => mixed_pixels(mixer, mixes, &places, images.shape(), pixels),
        Pixels::U16(pixels) => mixed_pixels(mixer, mixes, &places, images.shape(), pixels),
        Pixels::F32(pixels) => mixed_pixels(mixer, mixes, &places, images.shape(), pixels),
    };
    let mut batch = ImageBatch::new(images.shape(), images.rows(), pixels, true, images.defects().to_vec());
    let alone = |row: &usize| mixes[*row].is_some_and(|mix| places[*row].is_some() && places[mix.partner].is_none());
    let alone = (0..mixes.len()).filter(alone);
    batch.add_defects(alone.map(|row| Defect::new(row, Reason::NullImage, "its partner is null")));
    batch
}

/// The pixels of all rows.
fn mixed_pixels<P: Pixel + PixelValue>(
    mixer: &Mixer,
    mixes: &RowMixes,
    places: &[Option<usize>],
    shape: ImageShape,
    pixels: &[P],
) -> Pixels {
    let values = shape.values();
    let image = |row: usize| places[row].map(|place| &pixels[place * values..][..values]);
    let mut out = vec![P::default(); mixes.len() * values];
    out.par_chunks_exact_mut(values).zip(mixes).enumerate().for_each(|(row, (out, mix))| {
        let Some(own) = image(row) else { return };
        match mix.as_ref().and_then(|mix| Some((mix, image(mix.partner)?))) {
            Some((mix, partner)) => mixer.apply(mix, own, partner, out),
            None => out.copy_from_slice(own),
        }
    });
    P::wrap(out.into())
}

/// The share of the row's own label.
fn share(mix: Mix) -> f32 {
    mix.lambda as f32 / 65_536.0
}

fn told(mix: &Mix) -> String {
    match mix.cut {
        Some([y, x, height, width]) => format!("cut(y={y},x={x},height={height},width={width})"),
        None => format!("mix(lambda={})", mix.lambda),
    }
}

/// λ at the row's own label, and 1 − λ at its partner's; null without an image or a label.
fn soft(column: &str, labels: &dyn Array, classes: usize, mixes: &RowMixes) -> Result<ArrayRef> {
    let valid: Vec<bool> = (0..labels.len()).map(|row| mixes[row].is_some() && labels.is_valid(row)).collect();
    let refuse = |label: u64| {
        let why = format!("`{column}` has the label {}, which is none of {classes} classes", label as i64);
        Err(Error::InvalidOption { option: "soft labels", why })
    };
    let numbers = whole_numbers("soft labels", labels)?;
    if let Some(label) = numbers.iter().find(|label| **label >= classes as u64) {
        return refuse(*label);
    }
    let mut shares = vec![0.0f32; labels.len() * classes];
    for ((row, mix), shares) in mixes.iter().enumerate().zip(shares.chunks_exact_mut(classes)) {
        if let Some(mix) = mix {
            shares[numbers[row] as usize] += share(*mix);
            shares[numbers[mix.partner] as usize] += 1.0 - share(*mix);
        }
    }
    let list = FixedSizeListArray::try_new(
        item_field(Layout::List),
        classes as i32,
        Arc::new(Float32Array::from(shares)),
        Some(NullBuffer::from(valid)),
    );
    Ok(Arc::new(list.map_err(Error::from)?))
}
