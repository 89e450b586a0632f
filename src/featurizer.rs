//! One array or one batch in, its features out: what a run computes, and how rows that cannot be are treated.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, RecordBatch, new_empty_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;

use crate::batch::{ImageBatch, Pixels, default_pixel_type, infer_shape};
use crate::defect::{Defect, is_defects, take_defects};
use crate::engine::{Engine, Shares};
use crate::error::{Error, Result, choose};
use crate::features::{Finisher, Layout, Output, feature_fields, item_field, metadata};
use crate::reason::Reason;
use crate::shape::{ImageShape, PixelType};

/// What becomes of a row that cannot be featurized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// It stays, its features are null.
    #[default]
    Null,
    /// It is left out of the output.
    Drop,
    /// The run ends with [`Error::InvalidRow`].
    Error,
}

impl FromStr for OnInvalid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choose("on invalid", text, &[("null", OnInvalid::Null), ("drop", OnInvalid::Drop), ("error", OnInvalid::Error)])
    }
}

/// What to compute: plain data, with a public field for each choice.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSpec {
    /// The column that holds the images.
    pub image: String,
    /// The shape of the images; `None` to read it from the data ([`infer_shape`]).
    pub shape: Option<ImageShape>,
    /// The type to compute in; `None` for the column's own ([`default_pixel_type`]).
    pub pixel_type: Option<PixelType>,
    /// What sums, means and deviations are divided by; `None` for [`PixelType::default_scale`].
    pub scale: Option<f64>,
    /// How the features stand in the output.
    pub layout: Layout,
    /// Whether the image column is passed through as well.
    pub keep_image: bool,
    /// What becomes of a row that cannot be featurized.
    pub on_invalid: OnInvalid,
}

impl FeatureSpec {
    /// Features of images of `shape` in column `image`, everything else by default.
    pub fn new(shape: ImageShape) -> Self {
        Self { shape: Some(shape), ..Self::infer() }
    }

    /// As [`FeatureSpec::new`], with the shape read from the data.
    pub fn infer() -> Self {
        Self {
            image: "image".to_owned(),
            shape: None,
            pixel_type: None,
            scale: None,
            layout: Layout::List,
            keep_image: false,
            on_invalid: OnInvalid::Null,
        }
    }
}

/// The features of one array, row for row.
#[derive(Debug, Clone)]
pub struct Features {
    /// `FixedSizeList<Float32>` of [`ImageShape::features`] values; null where a row could not be featurized.
    pub features: FixedSizeListArray,
    /// The mean of each image's values, raw units.
    pub pixel_mean: Float32Array,
    /// The population standard deviation of each image's values, raw units.
    pub pixel_std: Float32Array,
    /// The rows that could not be featurized, in order.
    pub defects: Vec<Defect>,
}

/// Turns image columns into features with an engine, as a spec says.
#[derive(Debug, Clone)]
pub struct Featurizer {
    engine: Engine,
    spec: FeatureSpec,
}

impl Featurizer {
    /// Puts the two together; the spec is checked against the data at first use.
    pub fn new(engine: Engine, spec: FeatureSpec) -> Self {
        Self { engine, spec }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What is computed.
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// One image array in, its features out, as many rows. An empty array gives empty features. Rows that cannot be
    /// featurized are null, whether the spec says `Null` or `Drop`.
    ///
    /// # Errors
    /// - [`Error::UnknownShape`] if the spec leaves the shape open and the array does not tell it.
    /// - [`Error::UnsupportedColumn`] if the array cannot hold images ([`ImageBatch::from_array`]).
    /// - [`Error::InvalidOption`] if the scale is out of its range ([`Finisher::new`]).
    /// - [`Error::InvalidRow`] if a row is invalid and the spec says [`OnInvalid::Error`].
    pub fn featurize(&self, images: &dyn Array) -> Result<Features> {
        let spec = &self.spec;
        let shape = match spec.shape {
            Some(shape) => shape,
            None => infer_shape(images, &spec.image)?.ok_or_else(|| no_row_tells(&spec.image, images.len() as u64))?,
        };
        let pixel_type = spec.pixel_type.unwrap_or_else(|| default_pixel_type(images.data_type()));
        let finisher = Finisher::new(shape, spec.scale.unwrap_or(pixel_type.default_scale()))?;
        let mut batch = ImageBatch::from_array(images, &spec.image, shape, pixel_type)?;
        let (values, _) = Values::compute(&self.engine, &mut batch, &finisher)?;
        if let (OnInvalid::Error, Some(defect)) = (spec.on_invalid, batch.defects().first()) {
            return Err(Error::InvalidRow {
                file: None,
                row: defect.row as u64,
                line: defect.line,
                column: spec.image.clone(),
                reason: defect.reason,
                detail: defect.detail.clone(),
            });
        }
        let valid = validity(batch.rows(), batch.defects());
        Ok(Features {
            features: list_array(values.features, shape, valid.clone())?,
            pixel_mean: Float32Array::new(values.means.into(), valid.clone()),
            pixel_std: Float32Array::new(values.stds.into(), valid),
            defects: batch.into_defects(),
        })
    }
}

/// A run's choices, settled against its input's schema.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    spec: FeatureSpec,
    finisher: Finisher,
    pixel_type: PixelType,
    schema: SchemaRef,
}

/// One batch, featurized.
pub(crate) struct Done {
    pub batch: RecordBatch,
    /// The input without the reader's defects column.
    pub input: RecordBatch,
    pub defects: Vec<Defect>,
    pub shares: Shares,
}

impl Plan {
    /// The shape that the spec or the schema alone tells, if they do.
    pub fn shape_from_schema(spec: &FeatureSpec, input: &Schema) -> Result<Option<ImageShape>> {
        let field = image_field(spec, input)?;
        match spec.shape {
            Some(shape) => Ok(Some(shape)),
            None => infer_shape(&new_empty_array(field.data_type()), &spec.image),
        }
    }

    pub fn new(spec: FeatureSpec, input: &Schema, shape: ImageShape) -> Result<Self> {
        let image = image_field(&spec, input)?.clone();
        let pixel_type = spec.pixel_type.unwrap_or_else(|| default_pixel_type(image.data_type()));
        let finisher = Finisher::new(shape, spec.scale.unwrap_or(pixel_type.default_scale()))?;
        // Also tells at once, before any data, that the column's type is none that holds images.
        ImageBatch::from_array(&new_empty_array(image.data_type()), &spec.image, shape, pixel_type)?;
        let image_at = input.index_of(&spec.image)?;
        let passes = |at: usize, field: &Field| !is_defects(field, &spec.image) && (spec.keep_image || at != image_at);
        let mut fields: Vec<_> =
            input.fields().iter().enumerate().filter(|(at, f)| passes(*at, f)).map(|(_, f)| f.clone()).collect();
        let taken: HashSet<String> = fields.iter().map(|f| f.name().clone()).collect();
        for field in feature_fields(shape, spec.layout) {
            if taken.contains(field.name()) {
                return Err(Error::ColumnTaken { column: field.name().clone() });
            }
            fields.push(Arc::new(field));
        }
        let mut about = input.metadata().clone();
        about.extend(metadata(&finisher, pixel_type));
        let schema = Arc::new(Schema::new_with_metadata(fields, about));
        Ok(Self { spec, finisher, pixel_type, schema })
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub fn shape(&self) -> ImageShape {
        self.finisher.shape()
    }

    pub fn pixel_type(&self) -> PixelType {
        self.pixel_type
    }

    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Featurizes one batch. Under [`OnInvalid::Error`] a defective row is reported like any other: whoever knows the
    /// file and the row in it makes the error.
    pub fn apply(&self, engine: &Engine, input: RecordBatch) -> Result<Done> {
        let (input, known) = take_defects(input, &self.spec.image);
        let at = input.schema_ref().index_of(&self.spec.image).map_err(Error::from)?;
        let shape = self.shape();
        let mut images = ImageBatch::from_array(input.column(at), &self.spec.image, shape, self.pixel_type)?;
        images.explain(known);
        let (values, shares) = Values::compute(engine, &mut images, &self.finisher)?;
        let defects = images.into_defects();
        let valid = validity(input.num_rows(), &defects);
        let mut columns: Vec<ArrayRef> = input.columns().to_vec();
        if !self.spec.keep_image {
            columns.remove(at);
        }
        columns.push(Arc::new(Float32Array::new(values.means.into(), valid.clone())));
        columns.push(Arc::new(Float32Array::new(values.stds.into(), valid.clone())));
        match self.spec.layout {
            Layout::List => columns.push(Arc::new(list_array(values.features, shape, valid)?)),
            Layout::Columns => columns.extend(
                transpose(&values.features, shape.features())
                    .into_iter()
                    .map(|column| Arc::new(Float32Array::new(column.into(), valid.clone())) as ArrayRef),
            ),
        }
        let mut batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::from)?;
        if let Some(kept) = self.kept(input.num_rows(), &defects) {
            batch = filter_record_batch(&batch, &kept).map_err(Error::from)?;
        }
        Ok(Done { batch, input, defects, shares })
    }

    /// The rows that stay, if not all do. A broken line has no other columns, so it is never a row of the output.
    fn kept(&self, rows: usize, defects: &[Defect]) -> Option<BooleanArray> {
        let drop_all = self.spec.on_invalid == OnInvalid::Drop;
        let mut kept = vec![true; rows];
        for defect in defects.iter().filter(|d| drop_all || d.reason == Reason::BrokenLine) {
            kept[defect.row] = false;
        }
        (kept.contains(&false)).then(|| BooleanArray::from(kept))
    }
}

fn image_field<'a>(spec: &FeatureSpec, input: &'a Schema) -> Result<&'a Field> {
    input.field_with_name(&spec.image).map_err(|_| Error::NoSuchColumn {
        column: spec.image.clone(),
        available: input.fields().iter().filter(|f| !is_defects(f, &spec.image)).map(|f| f.name().clone()).collect(),
    })
}

/// What to say when the shape is left open and nothing tells it.
pub(crate) fn no_row_tells(column: &str, rows: u64) -> Error {
    let why = if rows == 0 {
        "there are no rows to read the image shape from".to_owned()
    } else {
        format!("none of the first {rows} rows has an image to read the shape from")
    };
    Error::UnknownShape { column: column.to_owned(), why }
}

/// The computed values, a place for every row.
struct Values {
    features: Vec<f32>,
    means: Vec<f32>,
    stds: Vec<f32>,
}

impl Values {
    fn compute(engine: &Engine, images: &mut ImageBatch, finisher: &Finisher) -> Result<(Self, Shares)> {
        let width = images.shape().features();
        let (rows, count) = (images.rows(), images.images());
        let mut values = Self { features: vec![0.0; rows * width], means: vec![0.0; rows], stds: vec![0.0; rows] };
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
}

impl Values {
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

fn validity(rows: usize, defects: &[Defect]) -> Option<NullBuffer> {
    if defects.is_empty() {
        return None;
    }
    let mut valid = vec![true; rows];
    for defect in defects {
        valid[defect.row] = false;
    }
    Some(NullBuffer::from(valid))
}

fn list_array(features: Vec<f32>, shape: ImageShape, valid: Option<NullBuffer>) -> Result<FixedSizeListArray> {
    let values = Arc::new(Float32Array::from(features));
    FixedSizeListArray::try_new(item_field(), shape.features() as i32, values, valid).map_err(Error::from)
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
