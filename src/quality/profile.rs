//! The profile of a data set: a value that grows batch by batch, and that can be merged with others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use rayon::prelude::*;

use super::classes::{Classes, Labels};
use super::column::{AT_ONCE, ColumnProfile, Values};
use super::features::{FeatureValues, Unit, valid_rows};
use super::images::{ImageProfile, MEASURES};
use super::issue::IssueCounts;
use crate::base::error::{Error, Result};
use crate::base::shape::PixelType;
use crate::base::simd::{Level, copy_not_zero};
use crate::run::observe::{Observed, Observer};

/// What is known of the rows of a data set: each column, the features, the images, and each class.
///
/// It does not depend on the order of the rows, on how they are cut into batches, or on threads. Profiles of parts that are
/// merged in any order equal the profile of the whole, and their files have the same bytes. Its size has a bound that does not
/// depend on the number of rows.
///
/// ```
/// use pixelfeat::quality::Profile;
/// use pixelfeat::synthetic;
///
/// # fn main() -> pixelfeat::Result<()> {
/// let mut batches = synthetic::Digits::new(200, 1, 100);
/// let (first, second) = (batches.next().unwrap()?, batches.next().unwrap()?);
/// let mut profile = Profile::default();
/// profile.add_table(&first)?;
/// let mut other = Profile::default();
/// other.add_table(&second)?;
/// profile.merge(&other)?;
/// assert_eq!((profile.rows(), profile.column("label").and_then(|label| label.distinct_count())), (200, Some(10)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Profile {
    pub(super) rows: u64,
    pub(super) invalid: BTreeMap<String, u64>,
    pub(super) columns: Vec<ColumnProfile>,
    pub(super) features: Vec<ColumnProfile>,
    pub(super) images: Option<ImageProfile>,
    pub(super) classes: Option<Classes>,
}

impl Profile {
    /// Rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows without features, by the name of the reason.
    pub fn invalid(&self) -> &BTreeMap<String, u64> {
        &self.invalid
    }

    /// All columns but the images and the features, in their order.
    pub fn columns(&self) -> &[ColumnProfile] {
        &self.columns
    }

    /// A column or a feature by its name.
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().chain(&self.features).find(|column| column.name() == name)
    }

    /// The features: the columns of their own such as `pixel_mean`, then the values of the feature list. If the list has more
    /// than 256 values, or images have different shapes, each block of values is one, such as `row_sums`.
    pub fn features(&self) -> &[ColumnProfile] {
        &self.features
    }

    /// The images.
    pub fn images(&self) -> Option<&ImageProfile> {
        self.images.as_ref()
    }

    /// The classes, if a label column was named.
    pub fn classes(&self) -> Option<&Classes> {
        self.classes.as_ref()
    }

    /// Adds the rows of a table. All its columns are ordinary ones.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if its columns are not those of the profile.
    pub fn add_table(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns: Vec<usize> = (0..batch.num_columns()).collect();
        self.add_columns(batch, &columns)
    }

    fn add_columns(&mut self, batch: &RecordBatch, places: &[usize]) -> Result<()> {
        if self.rows == 0 && self.columns.is_empty() {
            self.columns = places.iter().map(|&at| of_field(batch.schema_ref(), at)).collect();
        }
        let fits = self.columns.len() == places.len()
            && self
                .columns
                .iter()
                .zip(places)
                .all(|(column, &at)| column.name() == batch.schema_ref().field(at).name());
        if !fits {
            let why = "the columns of a batch are not those of the batches before".to_owned();
            return Err(Error::InvalidOption { option: "profile", why });
        }
        self.rows += batch.num_rows() as u64;
        let add = |(column, &at): (&mut ColumnProfile, &usize)| column.add(batch.column(at));
        // Waking a thread takes longer than few values do.
        if batch.num_rows() * places.len() < AT_ONCE {
            return self.columns.iter_mut().zip(places).try_for_each(add);
        }
        self.columns.par_iter_mut().zip(places).try_for_each(add)
    }

    /// Adds a batch of a run.
    ///
    /// # Errors
    /// As [`Profile::add_table`].
    pub fn add(&mut self, batch: &Observed<'_>, label: Option<&str>) -> Result<()> {
        let mut pending = Pending::default();
        self.add_observed(batch, label, &mut pending)?;
        self.add_pending(&mut pending);
        Ok(())
    }

    /// As [`Profile::add`], but some values of features may stay pending. Returns the measures of the image of each row, which are
    /// no numbers where there is none.
    fn add_observed(
        &mut self,
        batch: &Observed<'_>,
        label: Option<&str>,
        pending: &mut Pending,
    ) -> Result<Vec<[f64; MEASURES.len()]>> {
        let input = batch.input;
        let is_image = |at: &usize| input.schema_ref().field(*at).name() == batch.image;
        let columns: Vec<usize> = (0..input.num_columns()).filter(|at| !is_image(at)).collect();
        self.add_columns(input, &columns)?;
        for defect in batch.defects {
            *self.invalid.entry(defect.reason.name().to_owned()).or_default() += 1;
        }
        let features = FeatureValues::of(batch)?;
        let valid = valid_rows(batch);
        if self.features.is_empty() {
            let names = FeatureValues::unit_names(batch);
            self.features = names.iter().map(|name| ColumnProfile::of_numbers(name, "Float32")).collect();
        }
        for profile in &mut self.features {
            profile.rows += input.num_rows() as u64;
            profile.nulls += (input.num_rows() - valid.len()) as u64;
        }
        let images = self.images.get_or_insert_with(|| ImageProfile::new(batch.pixel_type));
        let (mut measures, none) = (Vec::new(), [f64::NAN; MEASURES.len()]);
        for (rows, of_shape) in batch.images() {
            let measured = images.add(of_shape, batch.layout.scale());
            // Mostly every row is valid.
            if rows.is_none() && measured.len() == input.num_rows() {
                measures = measured;
                continue;
            }
            measures.resize(input.num_rows(), none);
            let places = of_shape.places().enumerate().filter(|(_, place)| place.is_some());
            for ((row, _), measured) in places.zip(measured) {
                measures[rows.map_or(row, |rows| rows[row])] = measured;
            }
        }
        measures.resize(input.num_rows(), none);
        if let Some(label) = label {
            let classes = self.classes.get_or_insert_with(|| Classes::new(label));
            let names = Labels::of(batch, label)?;
            let mut values = Vec::new();
            let mut valid = valid.iter().copied().peekable();
            for (row, measured) in measures.iter().enumerate() {
                let is_valid = valid.next_if_eq(&row).is_some();
                values.clear();
                values.push(measured[0] as f32);
                // Means of lists of different lengths mean nothing.
                if is_valid && !features.is_by_block {
                    features.row(row, &mut values);
                }
                names.with(row, |name| classes.add(name.unwrap_or_default(), is_valid.then_some(&values[..])));
            }
        }
        self.add_features(&features, &valid, pending);
        Ok(measures)
    }

    /// Adds the features of some rows of a batch. Those of small batches stay pending.
    fn add_features(&mut self, features: &FeatureValues, rows: &[usize], pending: &mut Pending) {
        if rows.is_empty() {
            return;
        }
        if let Some(width) = features.width().filter(|width| width * rows.len() < PENDING) {
            if !pending.fits(features) {
                self.add_pending(pending);
                *pending = Pending::of_units(features, PENDING / width.max(1));
            }
            let Pending { part, values, units } = pending;
            for ((profile, unit), waiting) in self.features.iter_mut().zip(&features.units).zip(units) {
                part.clear();
                features.of_unit(unit, rows, part);
                waiting.take(part, values, profile);
            }
            return;
        }
        let units = self.features.par_iter_mut().zip(&features.units);
        let few = 1 + AT_ONCE / (1 + rows.len());
        units.with_min_len(few).for_each_init(<(Vec<_>, Vec<_>)>::default, |(part, not_zero), (profile, unit)| {
            for rows in rows.chunks((AT_ONCE / unit.width().max(1)).max(1)) {
                part.clear();
                features.of_unit(unit, rows, part);
                not_zero.resize(part.len(), 0.0);
                let count = copy_not_zero(Level::detect(), part, not_zero);
                add_values(profile, &not_zero[..count], (part.len() - count) as u64);
            }
        });
    }

    /// Adds the features that are pending.
    fn add_pending(&mut self, pending: &mut Pending) {
        let few = 1 + AT_ONCE / (1 + pending.units.iter().map(|waiting| waiting.count).max().unwrap_or(0));
        let units = self.features.par_iter_mut().zip(&mut pending.units).with_min_len(few);
        units.for_each(|(profile, waiting)| waiting.add_to(profile, &pending.values));
    }

    /// Adds the rows of another profile.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it has other columns, features, pixels or classes.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.rows == 0 {
            return Ok(());
        }
        if self.rows == 0 {
            *self = other.clone();
            return Ok(());
        }
        let refuse = |why: &str| Err(Error::InvalidOption { option: "profile", why: why.to_owned() });
        let sizes = |profile: &Self| (profile.columns.len(), profile.features.len());
        if sizes(self) != sizes(other) {
            return refuse("profiles of other columns or features cannot be merged");
        }
        let columns = self.columns.iter_mut().chain(&mut self.features);
        columns.zip(other.columns.iter().chain(&other.features)).try_for_each(|(own, other)| own.merge(other))?;
        match (&mut self.images, &other.images) {
            (Some(own), Some(other)) => own.merge(other)?,
            (None, None) => {}
            _ => return refuse("a profile with images cannot be merged with one without"),
        }
        match (&mut self.classes, &other.classes) {
            (Some(own), Some(other)) => own.merge(other)?,
            (None, None) => {}
            _ => return refuse("a profile with classes cannot be merged with one without"),
        }
        self.rows += other.rows;
        for (reason, rows) in &other.invalid {
            *self.invalid.entry(reason.clone()).or_default() += rows;
        }
        Ok(())
    }
}

fn of_field(schema: &Schema, at: usize) -> ColumnProfile {
    ColumnProfile::new(schema.field(at).name(), schema.field(at).data_type())
}

/// So many values of features are added together.
const PENDING: usize = 3 << 16;

/// Values of features before they are in their profiles. They wait until there are many of them, because what a profile knows of
/// one feature fills the fastest cache.
#[derive(Debug, Default)]
struct Pending {
    /// Those of each unit that are not zero, at its own place.
    values: Vec<f32>,
    units: Vec<Waiting>,
    /// Those of a unit in the rows of one batch, on their way.
    part: Vec<f32>,
}

/// The values of a unit that are pending.
#[derive(Debug)]
struct Waiting {
    /// How many a row has.
    width: usize,
    /// Where they begin, and how many have room.
    start: usize,
    room: usize,
    /// With more values they are added.
    most: usize,
    count: usize,
    /// Features of the margins of images are often zero.
    zeros: u64,
}

impl Pending {
    /// Room for the values of so many rows.
    fn of_units(features: &FeatureValues, rows: usize) -> Self {
        let (units, mut end) = (features.units.len(), 0);
        let waiting = |(at, unit): (usize, &Unit)| {
            let (width, start, room) = (unit.width(), end, unit.width() * rows);
            end += room;
            // Units have their turns in different batches, so that no batch takes much longer than others.
            Waiting { width, start, room, most: room - room / 3 * (units - 1 - at) / units, count: 0, zeros: 0 }
        };
        let units = features.units.iter().enumerate().map(waiting).collect();
        Self { values: vec![0.0; end], units, part: Vec::new() }
    }

    /// Whether there is room for these units.
    fn fits(&self, features: &FeatureValues) -> bool {
        let widths = self.units.iter().map(|waiting| waiting.width);
        features.units.iter().map(Unit::width).eq(widths)
    }
}

impl Waiting {
    /// Takes values, among all that are pending. Those before are added if there is no room for more.
    fn take(&mut self, values: &[f32], pending: &mut [f32], profile: &mut ColumnProfile) {
        if self.count + values.len() > self.most {
            self.add_to(profile, pending);
            self.most = self.room;
        }
        let count = copy_not_zero(Level::detect(), values, &mut pending[self.start..][self.count..self.room]);
        self.count += count;
        self.zeros += (values.len() - count) as u64;
    }

    fn add_to(&mut self, profile: &mut ColumnProfile, pending: &[f32]) {
        add_values(profile, &pending[self.start..][..self.count], self.zeros);
        (self.count, self.zeros) = (0, 0);
    }
}

/// Adds values that are not zero, and zeros.
fn add_values(profile: &mut ColumnProfile, values: &[f32], zeros: u64) {
    if let Values::Number(to) = &mut profile.values {
        to.add_times(0.0, zeros);
        to.extend_f32(values);
    }
}

/// A profile that grows.
#[derive(Debug, Default)]
struct Growing {
    profile: Profile,
    pending: Pending,
}

/// Makes a profile of a run while it runs. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Profiler {
    growing: Arc<Mutex<Growing>>,
    /// The measures of the images of the last batch.
    measures: Arc<Mutex<Arc<Vec<[f64; MEASURES.len()]>>>>,
    label: Option<String>,
}

impl Profiler {
    /// A profiler that tells the classes of `label` apart, if that is named.
    pub fn new(label: Option<&str>) -> Self {
        Self { label: label.map(str::to_owned), ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Growing> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the rows of a table ([`Profile::add_table`]).
    ///
    /// # Errors
    /// As [`Profile::add_table`].
    pub fn add_table(&self, batch: &RecordBatch) -> Result<()> {
        self.lock().profile.add_table(batch)
    }

    /// As [`Profiler::add_table`], while another thread runs `other`. That must not use this profiler, or it would wait forever.
    pub fn add_table_beside<T: Send>(&self, batch: &RecordBatch, other: impl FnOnce() -> T + Send) -> (Result<()>, T) {
        // A thread of rayon must not lock it: while it waits for others it may begin work that waits for the lock.
        let profile = &mut self.lock().profile;
        rayon::join(|| profile.add_table(batch), other)
    }

    /// Adds the issues of images of a batch.
    ///
    /// # Errors
    /// As [`ImageProfile::merge`].
    pub(super) fn add_issues(&self, pixel_type: PixelType, issues: IssueCounts) -> Result<()> {
        let images = &mut self.lock().profile.images;
        images.get_or_insert_with(|| ImageProfile::new(pixel_type)).add_issues(issues)
    }

    /// The measures of the images of the last batch, for each row.
    pub(super) fn measures(&self) -> Arc<Vec<[f64; MEASURES.len()]>> {
        self.measures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The profile of all batches so far.
    pub fn profile(&self) -> Profile {
        self.look(Profile::clone)
    }

    /// Looks at the profile of all batches so far, without a copy of it. No batch can be added meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Profile) -> T) -> T {
        let Growing { profile, pending } = &mut *self.lock();
        profile.add_pending(pending);
        look(profile)
    }
}

impl Observer for Profiler {
    fn observe(&mut self, batch: &Observed<'_>) -> Result<()> {
        let Growing { profile, pending } = &mut *self.lock();
        let measures = profile.add_observed(batch, self.label.as_deref(), pending)?;
        *self.measures.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(measures);
        Ok(())
    }
}
