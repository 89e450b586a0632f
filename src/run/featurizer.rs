//! One array or one batch in, its features out: what a run computes, and how rows that cannot be are treated.

use std::collections::HashSet;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;

use crate::base::error::{Error, Result, choose};
use crate::base::reason::Reason;
use crate::base::shape::{ImageShape, PixelType};
use crate::engine::{Engine, Shares};
use crate::features::{Finisher, Layout, feature_fields, item_field, metadata, ragged_fields};
use crate::images::defect::{Defect, is_defects, take_defects};
use crate::images::{ImageColumn, Reading, Survey};
use crate::run::compute::{Computed, Images, validity};
use crate::run::keep::{KeepImage, kept_array, kept_field};
use crate::stages::{Resize, Stages};

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
    /// The shape of the images as they are in the column; `None` to read it from the data
    /// ([`infer_shape`](crate::infer_shape)).
    pub shape: Option<ImageShape>,
    /// The type to compute in; `None` for the column's own ([`default_pixel_type`](crate::default_pixel_type)), of encoded
    /// images that of most among the first 1,000 rows.
    pub pixel_type: Option<PixelType>,
    /// What sums, means and deviations are divided by; `None` for [`PixelType::default_scale`].
    pub scale: Option<f64>,
    /// How the features stand in the output.
    pub layout: Layout,
    /// Whether colours become gray before anything else: ITU-R BT.601 in whole numbers,
    /// (19595 R + 38470 G + 7471 B + 32768) ÷ 65536 rounded down, as Pillow's `convert("L")`; of floats
    /// 0.299 R + 0.587 G + 0.114 B. Alpha is left out.
    pub gray: bool,
    /// The size that all images are brought to, after [`gray`](FeatureSpec::gray); `None` to leave them as they are.
    pub resize: Option<Resize>,
    /// Whether images keep the size that each row tells: features are then lists of as many values as the image has,
    /// beside a `height` and a `width` column.
    pub ragged: bool,
    /// Whether and how the image is in the output as well.
    pub keep_image: KeepImage,
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
            gray: false,
            resize: None,
            ragged: false,
            keep_image: KeepImage::No,
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
    /// - [`Error::UnsupportedColumn`] if the array cannot hold images
    ///   ([`ImageBatch::from_array`](crate::ImageBatch::from_array)).
    /// - [`Error::InvalidOption`] if the scale is out of its range ([`Finisher::new`]), or the features are to be ragged,
    ///   which only a stream's can be.
    /// - [`Error::InvalidRow`] if a row is invalid and the spec says [`OnInvalid::Error`].
    pub fn featurize(&self, images: &dyn Array) -> Result<Features> {
        self.featurize_column(&Field::new(&self.spec.image, images.data_type().clone(), true), images)
    }

    /// As [`Featurizer::featurize`], with the array's field, whose metadata tells of extension types.
    ///
    /// # Errors
    /// As [`Featurizer::featurize`]; [`Error::UnsupportedColumn`] also if the metadata contradicts the type.
    pub fn featurize_column(&self, field: &Field, images: &dyn Array) -> Result<Features> {
        let spec = &self.spec;
        if spec.ragged {
            let why = "the features of one array are of one length; a stream's can be ragged".to_owned();
            return Err(Error::InvalidOption { option: "ragged", why });
        }
        let mut survey = Survey::new(ImageColumn::of(field)?, spec.shape, spec.pixel_type);
        survey.count(images)?;
        let source = Source::new(spec, survey.settle()?)?;
        let (mut all, mut defects) = (Computed::empty(), Vec::new());
        for part in source.parts(images)? {
            let mut images = source.prepare(&self.engine, &images.slice(part.start, part.len()))?;
            let (values, _) = Computed::of(&self.engine, &mut images, &source.finisher)?;
            all.append(values);
            let found = images.into_defects().into_iter();
            defects.extend(found.map(|defect| Defect { row: part.start + defect.row, ..defect }));
        }
        if let (OnInvalid::Error, Some(defect)) = (spec.on_invalid, defects.first()) {
            return Err(Error::InvalidRow {
                file: None,
                row: defect.row as u64,
                line: defect.line,
                column: spec.image.clone(),
                reason: defect.reason,
                detail: defect.detail.clone(),
            });
        }
        let valid = validity(images.len(), &defects);
        let values = Arc::new(Float32Array::from(all.features));
        let length = source.finisher.shape().features() as i32;
        Ok(Features {
            features: FixedSizeListArray::try_new(item_field(Layout::List), length, values, valid.clone())
                .map_err(Error::from)?,
            pixel_mean: Float32Array::new(all.means.into(), valid.clone()),
            pixel_std: Float32Array::new(all.stds.into(), valid),
            defects,
        })
    }
}

/// The way from the image column to the engine, settled for a run.
#[derive(Debug, Clone)]
struct Source {
    reading: Reading,
    stages: Stages,
    ragged: bool,
    finisher: Finisher,
}

impl Source {
    fn new(spec: &FeatureSpec, reading: Reading) -> Result<Self> {
        let refuse = |option, why: &str| Err(Error::InvalidOption { option, why: why.to_owned() });
        if spec.ragged && spec.resize.is_some() {
            return refuse("ragged", "images that are resized all have one size");
        }
        if spec.ragged && spec.layout != Layout::List {
            return refuse("ragged", "features of different lengths are lists, not columns or tensors");
        }
        let stages = Stages { gray: spec.gray, resize: spec.resize };
        let scale = spec.scale.unwrap_or(reading.pixel_type().default_scale());
        let finisher = Finisher::new(stages.shape(reading.shape())?, scale)?;
        Ok(Self { reading, stages, ragged: spec.ragged, finisher })
    }

    /// Rows to take at once, so that what they decode to stays bounded.
    fn parts(&self, images: &dyn Array) -> Result<Vec<Range<usize>>> {
        self.reading.parts(images, (!self.ragged).then_some(self.finisher.shape()))
    }

    fn prepare(&self, engine: &Engine, images: &dyn Array) -> Result<Images> {
        let shape = self.finisher.shape();
        engine.install(|| {
            if self.ragged {
                let ragged = self.stages.prepare_ragged(&self.reading, images, shape.channels());
                ragged.map(|ragged| Images::Ragged(images.len(), ragged))
            } else {
                self.stages.prepare(&self.reading, images, shape).map(Images::Uniform)
            }
        })
    }
}

/// A run's choices, settled against its input's schema and first rows.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    spec: FeatureSpec,
    source: Source,
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
    /// What is to be found out before there can be a plan.
    pub fn survey(spec: &FeatureSpec, input: &Schema) -> Result<Survey> {
        let field = image_field(spec, input)?;
        let mut survey = Survey::new(ImageColumn::of(field)?, spec.shape, spec.pixel_type);
        // The type alone may tell.
        survey.count(&arrow_array::new_empty_array(field.data_type()))?;
        Ok(survey)
    }

    pub fn new(spec: FeatureSpec, input: &Schema, reading: Reading) -> Result<Self> {
        let image_at = input.index_of(&spec.image)?;
        let source = Source::new(&spec, reading)?;
        let (shape, pixel_type) = (source.finisher.shape(), source.reading.pixel_type());
        let mut fields: Vec<Arc<Field>> = Vec::new();
        for (at, field) in input.fields().iter().enumerate().filter(|(_, f)| !is_defects(f, &spec.image)) {
            match (at == image_at, spec.keep_image) {
                (false, _) | (true, KeepImage::Original) => fields.push(field.clone()),
                (true, KeepImage::No) => {}
                (true, form) => {
                    fields.push(Arc::new(kept_field(&spec.image, form, shape, pixel_type, spec.ragged)?));
                }
            }
        }
        let taken: HashSet<String> = fields.iter().map(|f| f.name().clone()).collect();
        let added = if spec.ragged { ragged_fields() } else { feature_fields(shape, spec.layout) };
        for field in added {
            if taken.contains(field.name()) {
                return Err(Error::ColumnTaken { column: field.name().clone() });
            }
            fields.push(Arc::new(field));
        }
        let mut about = input.metadata().clone();
        about.extend(metadata(&source.finisher, pixel_type));
        if spec.gray {
            about.insert("pixelfeat.gray".to_owned(), "bt601".to_owned());
        }
        if let Some(resize) = spec.resize {
            about.insert("pixelfeat.resize".to_owned(), resize.to_string());
        }
        if spec.ragged {
            about.remove("pixelfeat.feature_names");
            about.insert("pixelfeat.shape".to_owned(), format!("HxWx{}", shape.channels()));
        }
        let schema = Arc::new(Schema::new_with_metadata(fields, about));
        Ok(Self { spec, source, schema })
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The shape that the features are of; of ragged ones that of the most common.
    pub fn shape(&self) -> ImageShape {
        self.source.finisher.shape()
    }

    pub fn pixel_type(&self) -> PixelType {
        self.source.reading.pixel_type()
    }

    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Whether a row of another size could be featurized if it were resized or the run ragged.
    pub fn could_take_other_sizes(&self) -> bool {
        self.source.reading.column().is_sized() && !self.spec.ragged && self.spec.resize.is_none()
    }

    /// Rows of a batch to featurize at once, so that what they decode to stays bounded.
    pub fn parts(&self, input: &RecordBatch) -> Result<Vec<Range<usize>>> {
        match input.column_by_name(&self.spec.image) {
            Some(images) => self.source.parts(images),
            None => Ok(std::iter::once(0..input.num_rows()).collect()),
        }
    }

    /// Featurizes one batch. Under [`OnInvalid::Error`] a defective row is reported like any other: whoever knows the
    /// file and the row in it makes the error.
    pub fn apply(&self, engine: &Engine, input: RecordBatch) -> Result<Done> {
        let (input, known) = take_defects(input, &self.spec.image);
        let at = input.schema_ref().index_of(&self.spec.image).map_err(Error::from)?;
        let mut images = self.source.prepare(engine, input.column(at))?;
        images.explain(known);
        let (computed, shares) = Computed::of(engine, &mut images, &self.source.finisher)?;
        let valid = validity(input.num_rows(), images.defects());
        let mut columns: Vec<ArrayRef> = input.columns().to_vec();
        match self.spec.keep_image {
            KeepImage::No => drop(columns.remove(at)),
            KeepImage::Original => {}
            form => columns[at] = kept_array(&images, form, self.shape(), self.pixel_type())?,
        }
        columns.extend(computed.into_columns(self.spec.layout, self.shape(), &images, valid)?);
        let defects = images.into_defects();
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
