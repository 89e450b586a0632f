//! What a run settles against its input's schema and first rows, and what it does with each batch.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use rayon::prelude::*;

use crate::base::clock::{Activity, during};
use crate::base::error::{Error, Result};
use crate::base::pixels::Pixel;
use crate::base::reason::Reason;
use crate::base::select::filter_batch;
use crate::base::shape::{ImageShape, PixelType};
use crate::engine::{Engine, Shares};
use crate::features::{FEATURE_NAMES_KEY, FeatureLayout, Layout, feature_fields, metadata, ragged_fields};
use crate::images::defect::{Defect, is_defects, take_defects};
use crate::images::{ColumnReader, ImageBatch, ImageColumn, PART_BYTES, Pixels, Survey};
use crate::run::companions::Companions;
use crate::run::compute::{BatchImages, Computed, validity};
use crate::run::keep::{KeepImage, kept_array, kept_field};
use crate::run::mixed::Mixed;
use crate::run::observe::Observed;
use crate::run::origins::RowOrigins;
use crate::run::samples::{check_numbers, samples};
use crate::run::spec::{FeatureSpec, OnInvalid};
use crate::stages::{Chain, Format, Samples, StepLog, normalize};

/// How a run turns arrays of its image column into images for the engine.
#[derive(Debug, Clone)]
pub(crate) struct ImagePlan {
    reader: ColumnReader,
    stages: Chain,
    seed: u64,
    ragged: bool,
    layout: FeatureLayout,
    /// What an image is after the stages and before `normalize`.
    drawn: Format,
}

impl ImagePlan {
    pub fn new(spec: &FeatureSpec, reader: ColumnReader) -> Result<Self> {
        let refuse = |option, why: &str| Err(Error::InvalidOption { option, why: why.to_owned() });
        if spec.ragged && spec.stages.sets_size() {
            return refuse("ragged", "images that are resized all have one size");
        }
        if spec.ragged && spec.layout != Layout::List {
            return refuse("ragged", "features of different lengths are lists, not columns or tensors");
        }
        let formats = spec.stages.formats(Format { shape: reader.shape(), pixel_type: reader.pixel_type() })?;
        let last = formats[formats.len() - 1];
        let scale = spec.scale.unwrap_or(last.pixel_type.default_scale());
        let layout = spec.features.layout(last.shape, scale)?;
        let drawn = Format { shape: last.shape, pixel_type: reader.pixel_type() };
        Ok(Self { reader, stages: spec.stages.clone(), seed: spec.seed, ragged: spec.ragged, layout, drawn })
    }

    /// The values that images get; of ragged ones those of the most common shape.
    pub fn layout(&self) -> &FeatureLayout {
        &self.layout
    }

    /// Ranges of rows to take at once, so that the pixels they decode to stay bounded.
    pub fn parts(&self, images: &dyn Array) -> Result<Vec<Range<usize>>> {
        self.reader.parts(images, (!self.ragged).then_some(self.layout.shape()))
    }

    /// The type of the pixels that the engine gets.
    pub fn pixel_type(&self) -> PixelType {
        self.stages.pixel_type(self.reader.pixel_type())
    }

    /// The samples of rows that say nothing of themselves. `first_row` is the number of the first one in the whole input.
    pub fn samples(&self, first_row: u64) -> Samples {
        Samples { seed: self.seed, first_row, ..Samples::default() }
    }

    /// Makes floats of the images if the stages end so.
    pub fn normalize(&self, engine: &Engine, images: &mut BatchImages) {
        let Some(normalize) = self.stages.normalize() else { return };
        let constants = normalize.constants(self.drawn);
        engine.install(|| match images {
            BatchImages::Uniform(batch) => normalize_batch(batch, &constants),
            BatchImages::Ragged(_, ragged) => {
                ragged.groups.iter_mut().for_each(|(_, batch)| normalize_batch(batch, &constants));
            }
        });
    }

    /// The images of an array after all stages but `normalize`.
    pub fn prepare(&self, engine: &Engine, images: &dyn Array, samples: &Samples) -> Result<BatchImages> {
        let shape = self.layout.shape();
        engine.install(|| {
            if self.ragged {
                let ragged = self.stages.read_ragged(&self.reader, images, samples, shape.channels());
                ragged.map(|ragged| BatchImages::Ragged(images.len(), ragged))
            } else {
                self.stages.read(&self.reader, images, samples, shape).map(BatchImages::Uniform)
            }
        })
    }
}

/// A run's choices, settled against its input's schema and first rows.
#[derive(Debug, Clone)]
pub(crate) struct RunPlan {
    spec: FeatureSpec,
    images: ImagePlan,
    mixed: Mixed,
    companions: Companions,
    schema: SchemaRef,
    feature_columns: usize,
}

/// One batch, featurized.
pub(crate) struct FeaturizedBatch {
    /// All rows, also those that are to be dropped.
    pub batch: RecordBatch,
    /// The input without the reader's defects column.
    pub input: RecordBatch,
    pub images: BatchImages,
    pub shares: Shares,
}

impl RunPlan {
    /// The survey of the image column that a plan needs first.
    pub fn survey(spec: &FeatureSpec, input: &Schema) -> Result<Survey> {
        let field = image_field(spec, input)?;
        let mut survey = Survey::new(ImageColumn::of(field)?, spec.declared())?;
        // The type alone may tell.
        survey.count(&arrow_array::new_empty_array(field.data_type()))?;
        Ok(survey)
    }

    pub fn new(spec: FeatureSpec, input: &Schema, reader: ColumnReader) -> Result<Self> {
        let image_at = input.index_of(&spec.image)?;
        let images = ImagePlan::new(&spec, reader)?;
        let (shape, pixel_type) = (images.layout.shape(), images.pixel_type());
        let companions = Companions::new(&spec, input, images.reader.shape(), shape)?;
        let mut fields: Vec<Arc<Field>> = Vec::new();
        for (at, field) in input.fields().iter().enumerate().filter(|(_, f)| !is_defects(f, &spec.image)) {
            match (at == image_at, spec.keep_image) {
                (false, _) => fields.push(companions.field(field)?.map_or_else(|| field.clone(), Arc::new)),
                (true, KeepImage::Original) => fields.push(field.clone()),
                (true, KeepImage::No) => {}
                (true, form) => {
                    fields.push(Arc::new(kept_field(&spec.image, form, shape, pixel_type, spec.ragged)?));
                }
            }
        }
        check_numbers(input)?;
        let mixed = Mixed::new(&spec, input, shape)?;
        let taken: HashSet<String> = fields.iter().map(|f| f.name().clone()).collect();
        let added =
            if spec.ragged { ragged_fields(&spec.features) } else { feature_fields(&images.layout, spec.layout) };
        let feature_columns = added.len();
        for field in companions.fields().into_iter().chain(mixed.fields(input)).chain(added) {
            if taken.contains(field.name()) {
                return Err(Error::ColumnTaken { column: field.name().clone() });
            }
            fields.push(Arc::new(field));
        }
        let mut about = input.metadata().clone();
        about.extend(metadata(&images.layout, pixel_type));
        about.extend(spec.stages.metadata(spec.seed));
        if !spec.mixing.is_empty() {
            about.insert("pixelfeat.mixing".to_owned(), spec.mixing.to_string());
        }
        if spec.ragged {
            about.remove(FEATURE_NAMES_KEY);
            about.insert("pixelfeat.shape".to_owned(), format!("HxWx{}", shape.channels()));
        }
        let schema = Arc::new(Schema::new_with_metadata(fields, about));
        Ok(Self { spec, images, mixed, companions, schema, feature_columns })
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The shape of the images as featurized; in a ragged run the most common one.
    pub fn shape(&self) -> ImageShape {
        self.images.layout.shape()
    }

    /// The shape of the images as they are in the column.
    pub fn original_shape(&self) -> ImageShape {
        self.images.reader.shape()
    }

    pub fn pixel_type(&self) -> PixelType {
        self.images.pixel_type()
    }

    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Whether batches must be cut between windows of rows that are mixed.
    pub fn mixes(&self) -> bool {
        self.mixed.mixes()
    }

    /// Whether rows of other sizes could be featurized if images were resized or the run were ragged.
    pub fn could_take_other_sizes(&self) -> bool {
        self.images.reader.column().is_sized() && !self.spec.ragged && !self.spec.stages.sets_size()
    }

    /// Ranges of rows of a batch to featurize at once, so that the pixels they decode to stay bounded.
    pub fn parts(&self, input: &RecordBatch) -> Result<Vec<Range<usize>>> {
        match input.column_by_name(&self.spec.image) {
            Some(images) if self.mixed.mixes() => {
                let image_bytes = self.shape().values() * self.pixel_type().bytes();
                Ok(Mixed::parts(images.len(), image_bytes, PART_BYTES))
            }
            Some(images) => self.images.parts(images),
            None => Ok(std::iter::once(0..input.num_rows()).collect()),
        }
    }

    /// Featurizes one batch, whose first row is number `first_row` of the whole input. Under [`OnInvalid::Error`] a
    /// defective row is reported like any other; the caller, who knows its file, makes the error.
    pub fn apply(&self, engine: &Engine, first_row: u64, input: RecordBatch) -> Result<FeaturizedBatch> {
        let (input, known) = take_defects(input, &self.spec.image);
        let at = input.schema_ref().index_of(&self.spec.image).map_err(Error::from)?;
        let mut samples = samples(&input, self.spec.seed, first_row)?;
        if self.mixed.logs() || self.companions.any() {
            samples.log = Some(Arc::new(StepLog::new(input.num_rows())));
        }
        let mut images = during(Activity::Images, || self.images.prepare(engine, input.column(at), &samples))?;
        images.explain(known);
        let mixes = match &mut images {
            BatchImages::Uniform(batch) => engine.install(|| self.mixed.mix(batch, &samples)),
            BatchImages::Ragged(..) => Vec::new(),
        };
        self.images.normalize(engine, &mut images);
        let (computed, shares) = Computed::of(engine, &mut images, &self.images.layout)?;
        let valid = validity(input.num_rows(), images.defects());
        let mut columns: Vec<ArrayRef> = input.columns().to_vec();
        let moved = match &samples.log {
            Some(log) => engine.install(|| self.companions.apply(&input, &mut columns, log, &mixes))?,
            None => Vec::new(),
        };
        match self.spec.keep_image {
            KeepImage::No => drop(columns.remove(at)),
            KeepImage::Original => {}
            form => columns[at] = kept_array(&images, form, self.shape(), self.pixel_type())?,
        }
        columns.extend(moved);
        columns.extend(self.mixed.columns(&input, &mixes, &samples, &self.spec.stages)?);
        columns.extend(computed.into_columns(self.spec.layout, &self.images.layout, images.ragged(), valid)?);
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::from)?;
        Ok(FeaturizedBatch { batch, input, images, shares })
    }

    /// The rows of the output that stay.
    pub fn keep(&self, done: FeaturizedBatch) -> Result<RecordBatch> {
        match self.kept(done.input.num_rows(), done.images.defects()) {
            Some(kept) => filter_batch(&done.batch, &kept).map_err(Error::from),
            None => Ok(done.batch),
        }
    }

    /// How an observer sees a batch.
    pub fn observed<'a>(&'a self, first_row: u64, done: &'a FeaturizedBatch, origins: &'a RowOrigins) -> Observed<'a> {
        Observed {
            first_row,
            input: &done.input,
            output: &done.batch,
            feature_columns: self.feature_columns,
            defects: done.images.defects(),
            layout: &self.images.layout,
            ragged: self.spec.ragged,
            pixel_type: self.pixel_type(),
            image: &self.spec.image,
            origins,
            images: &done.images,
        }
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

/// Makes normalized floats of the pixels of a batch.
fn normalize_batch(batch: &mut ImageBatch, constants: &[[f32; 2]]) {
    fn of<P: Pixel>(pixels: &[P], values: usize, constants: &[[f32; 2]]) -> Pixels {
        let mut out = vec![0.0; pixels.len()];
        let images = out.par_chunks_exact_mut(values).zip(pixels.par_chunks_exact(values));
        images.for_each(|(out, image)| normalize(image, constants, out));
        Pixels::F32(out.into())
    }
    let values = batch.shape().values();
    let pixels = match batch.pixels() {
        Pixels::U8(pixels) => of::<u8>(pixels, values, constants),
        Pixels::U16(pixels) => of::<u16>(pixels, values, constants),
        Pixels::F32(pixels) => of::<f32>(pixels, values, constants),
    };
    batch.replace_pixels(pixels);
}

fn image_field<'a>(spec: &FeatureSpec, input: &'a Schema) -> Result<&'a Field> {
    input.field_with_name(&spec.image).map_err(|_| Error::NoSuchColumn {
        column: spec.image.clone(),
        available: input.fields().iter().filter(|f| !is_defects(f, &spec.image)).map(|f| f.name().clone()).collect(),
    })
}
