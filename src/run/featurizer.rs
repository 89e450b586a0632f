//! One array in, its features out.

use std::collections::HashMap;
use std::sync::OnceLock;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, FixedSizeListArray, Float32Array, RecordBatch, new_empty_array};
use arrow_schema::{DataType, Field};

use crate::base::error::{Error, Result};
use crate::base::select::concat_batches;
use crate::engine::Engine;
use crate::features::{FeatureLayout, Layout, item_field};
use crate::images::defect::Defect;
use crate::images::{ImageColumn, Survey};
use crate::run::compute::{Computed, validity};
use crate::run::observe::Observer;
use crate::run::origins::RowOrigins;
use crate::run::plan::{ImagePlan, RunPlan};
use crate::run::spec::{FeatureSpec, OnInvalid};

/// The features of one array, row for row.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Features {
    layout: FeatureLayout,
    list: FixedSizeListArray,
    columns: Vec<Float32Array>,
    defects: Vec<Defect>,
}

impl Features {
    /// Which values there are, their names and their places.
    pub fn layout(&self) -> &FeatureLayout {
        &self.layout
    }

    /// `FixedSizeList<Float32>` of [`FeatureLayout::list_values`] values; null where a row could not be featurized.
    pub fn list(&self) -> &FixedSizeListArray {
        &self.list
    }

    /// The values of the feature list of each row, one row after another; zeros where a row could not be featurized.
    pub fn list_values(&self) -> &[f32] {
        self.list.values().as_primitive::<Float32Type>().values()
    }

    /// A column of its own, such as `pixel_mean`, if the feature set has it; null where a row could not be featurized.
    pub fn column(&self, name: &str) -> Option<&Float32Array> {
        let place = self.layout.set().columns().position(|column| column == name)?;
        self.columns.get(place)
    }

    /// The rows that could not be featurized, in order.
    pub fn defects(&self) -> &[Defect] {
        &self.defects
    }
}

/// Turns image columns into features with an engine, as a spec says.
///
/// ```
/// use arrow_array::builder::{FixedSizeListBuilder, UInt8Builder};
/// use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, ImageShape};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let mut images = FixedSizeListBuilder::new(UInt8Builder::new(), 4);
/// images.values().append_slice(&[0, 255, 255, 0]);
/// images.append(true);
/// images.values().append_nulls(4);
/// images.append(false);
/// let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, FeatureSpec::new(ImageShape::gray(2, 2)?));
/// let features = featurizer.featurize(&images.finish())?;
/// // Two row sums, two column sums, the centroid, the mean and the deviation.
/// assert_eq!(features.list_values()[..4], [1.0, 1.0, 1.0, 1.0]);
/// assert_eq!(features.column("pixel_mean").map(|mean| mean.value(0)), Some(127.5));
/// // The second image is null.
/// assert_eq!(features.defects()[0].row, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Featurizer {
    engine: Engine,
    spec: FeatureSpec,
    /// The plan for columns of a type, where the spec and the type leave nothing open. A caller with single images would
    /// wait for it each time.
    settled: OnceLock<(Field, ImagePlan)>,
}

impl Featurizer {
    /// Puts the two together; the spec is checked against the data at first use.
    pub fn new(engine: Engine, spec: FeatureSpec) -> Self {
        Self { engine, spec, settled: OnceLock::new() }
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
    /// - [`Error::InvalidOption`] if the scale is out of its range ([`FeatureSet::layout`](crate::FeatureSet::layout)), or
    ///   the features are to be ragged or the images mixed, which only a stream's can be.
    /// - [`Error::InvalidRow`] if a row is invalid and the spec says [`OnInvalid::Error`].
    pub fn featurize(&self, images: &dyn Array) -> Result<Features> {
        match self.settled(images.data_type(), None) {
            Some(plan) => self.compute(plan, images),
            None => self.featurize_column(&Field::new(&self.spec.image, images.data_type().clone(), true), images),
        }
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
        self.refuse_mixing()?;
        if let Some(plan) = self.settled(field.data_type(), Some(field.metadata())) {
            return self.compute(plan, images);
        }
        let mut survey = Survey::new(ImageColumn::of(field)?, spec.declared())?;
        let is_settled = !survey.needs_rows();
        survey.count(images)?;
        let plan = ImagePlan::new(spec, survey.into_reader()?)?;
        let features = self.compute(&plan, images);
        if is_settled {
            // Another thread may have been first, with the plan of this type or of another.
            let _ = self.settled.set((field.clone(), plan));
        }
        features
    }

    /// One batch of rows in, what a stream gives for it out: the other columns, then the features. Each row is the sample
    /// that its columns `sample_id` and `epoch` say, else that of its place in the batch. What the first rows of an input
    /// tell a stream, those of the batch tell here. `observer` sees the batch, in parts if it decodes to many pixels; the
    /// columns that it adds are left out. [`Observer::finish`] is not called: the caller does that after the last batch. All
    /// work is done on the threads of the engine and on this one.
    ///
    /// # Errors
    /// As [`Featurizer::featurize_column`], though features can be ragged; [`Error::NoSuchColumn`] if there is no image column;
    /// [`Error::ColumnTaken`] if a column has the name of another of the output; those of `observer`.
    pub fn featurize_batch(&self, batch: &RecordBatch, mut observer: Option<&mut dyn Observer>) -> Result<RecordBatch> {
        self.refuse_mixing()?;
        let mut survey = RunPlan::survey(&self.spec, batch.schema_ref())?;
        if let Some(images) = batch.column_by_name(&self.spec.image).filter(|_| survey.needs_rows()) {
            survey.count(images)?;
        }
        let plan = RunPlan::new(self.spec.clone(), batch.schema_ref(), survey.into_reader()?)?;
        let (mut parts, origins) = (Vec::new(), RowOrigins::default());
        for part in plan.parts(batch)? {
            let first = part.start as u64;
            let done = plan.apply(&self.engine, first, batch.slice(part.start, part.len()))?;
            if let (OnInvalid::Error, Some(defect)) = (self.spec.on_invalid, done.images.defects().first()) {
                return Err(defect.error(None, first + defect.row as u64, &self.spec.image));
            }
            if let Some(observer) = &mut observer {
                let observed = plan.observed(first, &done, &origins);
                self.engine.install(|| observer.observe(&observed))?;
            }
            parts.push(plan.keep(done)?);
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => concat_batches(&plan.schema(), &parts).map_err(Error::from),
        }
    }

    /// Whether the rows would have to tell what the spec and the field of a column leave open: the shape, the order of
    /// dimensions, whether bytes are encoded images, how deep these are. Where nothing is open, the features of a row do not
    /// depend on the other rows of its array.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`] if the column cannot hold images, or not as the spec declares.
    pub fn needs_rows(&self, field: &Field) -> Result<bool> {
        let mut survey = Survey::new(ImageColumn::of(field)?, self.spec.declared())?;
        survey.count(&new_empty_array(field.data_type()))?;
        Ok(survey.needs_rows())
    }

    fn refuse_mixing(&self) -> Result<()> {
        if self.spec.mixing.is_empty() {
            return Ok(());
        }
        let why = "labels are mixed as well, so it takes the rows of a stream".to_owned();
        Err(Error::InvalidOption { option: "mixing", why })
    }

    /// The plan for columns of a type with a field's metadata, if it is settled.
    fn settled(&self, data_type: &DataType, metadata: Option<&HashMap<String, String>>) -> Option<&ImagePlan> {
        let (field, plan) = self.settled.get()?;
        let same = field.data_type() == data_type
            && metadata.map_or(field.metadata().is_empty(), |metadata| field.metadata() == metadata);
        same.then_some(plan)
    }

    fn compute(&self, plan: &ImagePlan, images: &dyn Array) -> Result<Features> {
        let spec = &self.spec;
        let (mut all, mut defects) = (None::<Computed>, Vec::new());
        for part in plan.parts(images)? {
            let samples = plan.samples(part.start as u64);
            let mut images = plan.prepare(&self.engine, &images.slice(part.start, part.len()), &samples)?;
            plan.normalize(&self.engine, &mut images);
            let (values, _) = Computed::of(&self.engine, &mut images, plan.layout())?;
            match &mut all {
                Some(all) => all.append(values),
                None => all = Some(values),
            }
            let found = images.into_defects().into_iter();
            defects.extend(found.map(|defect| Defect { row: part.start + defect.row, ..defect }));
        }
        let all = all.unwrap_or_else(|| Computed::empty(&spec.features));
        if let (OnInvalid::Error, Some(defect)) = (spec.on_invalid, defects.first()) {
            return Err(defect.error(None, defect.row as u64, &spec.image));
        }
        let valid = validity(images.len(), &defects);
        let mut columns = all.into_columns(Layout::List, plan.layout(), None, valid)?;
        let list = match columns.pop_if(|_| plan.layout().list_values() > 0) {
            Some(list) => list.as_fixed_size_list().clone(),
            None => FixedSizeListArray::new_null(item_field(Layout::List), 0, images.len()),
        };
        let columns = columns.iter().map(|column| column.as_primitive::<Float32Type>().clone()).collect();
        Ok(Features { layout: plan.layout().clone(), list, columns, defects })
    }
}
