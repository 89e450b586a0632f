//! Stages one after another.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::Array;

use crate::base::error::{Error, Result};
use crate::base::philox::{Key, Stream, operation_key};
use crate::base::shape::{ImageShape, PixelType};
use crate::base::text::write_list;
use crate::images::decode::Wanted;
use crate::images::{ColumnReader, ImageBatch, ImageBuffer, PixelValue, Ragged, Transform};
use crate::stages::grammar::{Part, wrong};
use crate::stages::{ALGORITHM, Format, Normalize, Stage};
use crate::steps::{Step, Workspace};

/// The stages that every image goes through, in their order; by default none.
///
/// Its text is that of its stages with commas between, such as `crop(pad=4),hflip(0.5),randaugment(2,9)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chain(Vec<Stage>);

impl Chain {
    /// A chain of no stages: images stay as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// This chain with one more stage at its end.
    #[must_use]
    pub fn with(mut self, stage: impl Into<Stage>) -> Self {
        self.0.push(stage.into());
        self
    }

    /// This chain with all stages of another at its end.
    #[must_use]
    pub fn then(mut self, other: &Chain) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// The stages, the first one first.
    pub fn stages(&self) -> &[Stage] {
        &self.0
    }

    /// Whether it has no stages.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The shape that an image of shape `from` will have.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] or [`Error::InvalidOption`] if a stage gives it none.
    pub fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        let shapes = self.0.iter().enumerate();
        shapes
            .into_iter()
            .try_fold(from, |shape, (at, stage)| stage.shape(shape).map_err(|error| self.placed(at, error)))
    }

    /// The type of the pixels that images of `from` will have.
    pub fn pixel_type(&self, from: PixelType) -> PixelType {
        if self.normalize().is_some() { PixelType::F32 } else { from }
    }

    /// The stage that makes floats at the end, if there is one.
    pub(crate) fn normalize(&self) -> Option<&Normalize> {
        match self.0.last() {
            Some(Stage::Normalize(normalize)) => Some(normalize),
            _ => None,
        }
    }

    /// What an image is before each stage and after the last one.
    ///
    /// # Errors
    /// As [`Chain::shape`]; [`Error::InvalidOption`] also if a stage cannot work on such images.
    pub(crate) fn formats(&self, from: Format) -> Result<Vec<Format>> {
        let mut formats = vec![from];
        let mut format = from;
        for (at, stage) in self.0.iter().enumerate() {
            if stage.is_last() && at + 1 < self.0.len() {
                return Err(wrong(self.place(at), format!("{}: no stage can follow it", stage.name())));
            }
            let next = stage.shape(format.shape).and_then(|shape| stage.check(format).map(|()| shape));
            format.shape = next.map_err(|error| self.placed(at, error))?;
            if stage.is_last() {
                format.pixel_type = PixelType::F32;
            }
            formats.push(format);
        }
        Ok(formats)
    }

    /// Where the stage at a position begins in the text of the chain.
    fn place(&self, position: usize) -> usize {
        self.0[..position].iter().map(|stage| stage.to_string().len() + 1).sum()
    }

    /// An error of a stage, with its place in the text.
    fn placed(&self, position: usize, error: Error) -> Error {
        match error {
            Error::InvalidOption { option, why } => wrong(self.place(position), format!("{option}: {why}")),
            other => other,
        }
    }

    /// Whether all images have one height and width afterwards, whatever they had before.
    pub(crate) fn sets_size(&self) -> bool {
        self.0.iter().any(Stage::sets_size)
    }

    /// What the metadata of the output's schema says of the chain.
    pub(crate) fn metadata(&self, seed: u64) -> impl Iterator<Item = (String, String)> {
        let chain = [
            ("pixelfeat.stages", self.to_string()),
            ("pixelfeat.seed", seed.to_string()),
            ("pixelfeat.algorithm", ALGORITHM.to_owned()),
        ];
        let stages = self.0.iter().filter_map(Stage::metadata);
        let chain = chain.into_iter().filter(|_| !self.is_empty());
        chain.chain(stages).map(|(key, value)| (key.to_owned(), value))
    }

    /// A name of its own for each stage: its name, and the number of its occurrence from the second one on.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |at: usize| match self.occurrence(at) {
            0 => self.0[at].name().to_owned(),
            before => format!("{}_{}", self.0[at].name(), before + 1),
        };
        (0..self.0.len()).map(name).collect()
    }

    /// How many stages of the same name stand before a stage.
    fn occurrence(&self, position: usize) -> usize {
        self.0[..position].iter().filter(|stage| stage.name() == self.0[position].name()).count()
    }

    /// The keys of the stages in an epoch.
    pub(crate) fn keys(&self, seed: u64, epoch: u32) -> Vec<Key> {
        let stages = self.0.iter().enumerate();
        stages.map(|(at, stage)| operation_key(seed, epoch, stage.name(), self.occurrence(at) as u32)).collect()
    }

    /// Reads an array and applies the chain to its images, which all have the shape `shape` afterwards; others are
    /// defects.
    ///
    /// # Errors
    /// As [`ColumnReader::read`].
    pub(crate) fn read(
        &self,
        reader: &ColumnReader,
        array: &dyn Array,
        samples: &Samples,
        shape: ImageShape,
    ) -> Result<ImageBatch> {
        if self.is_empty() {
            reader.read(array)
        } else {
            reader.read_transformed(array, &Applied { chain: self, samples }, shape)
        }
    }

    /// As [`Chain::read`], for images of any height and width that have `channels` channels afterwards.
    ///
    /// # Errors
    /// As [`ColumnReader::read`].
    pub(crate) fn read_ragged(
        &self,
        reader: &ColumnReader,
        array: &dyn Array,
        samples: &Samples,
        channels: usize,
    ) -> Result<Ragged> {
        reader.read_ragged(array, &Applied { chain: self, samples }, channels)
    }
}

impl<S: Into<Stage>> FromIterator<S> for Chain {
    fn from_iter<I: IntoIterator<Item = S>>(stages: I) -> Self {
        Self(stages.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.0)
    }
}

impl FromStr for Chain {
    type Err = Error;

    /// Reads stages with commas between; an empty text is a chain of none.
    fn from_str(text: &str) -> Result<Self> {
        Part::of(text).split()?.into_iter().map(Stage::read).collect()
    }
}

/// Which samples the rows of an array are, and what decides what is drawn for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    /// The seed of the run.
    pub seed: u64,
    /// The number of the array's first row, counted over the whole input.
    pub first_row: u64,
    /// The number of each row's sample. Without these a sample's number is that of its row in the whole input.
    pub ids: Option<Arc<[u64]>>,
    /// The epoch of each row; without these all are of epoch 0.
    pub epochs: Option<Arc<[u32]>>,
    /// Takes what is done to each row, if somebody wants to know.
    pub log: Option<Arc<StepLog>>,
}

/// What was done to each row, stage by stage.
#[derive(Debug, Default)]
pub(crate) struct StepLog(Vec<Mutex<Vec<Vec<Step>>>>);

impl StepLog {
    /// For so many rows.
    pub fn new(rows: usize) -> Self {
        Self((0..rows).map(|_| Mutex::default()).collect())
    }

    fn set(&self, row: usize, steps: Vec<Vec<Step>>) {
        *self.0[row].lock().unwrap_or_else(PoisonError::into_inner) = steps;
    }

    /// The steps of each stage for a row; none if it has no image.
    pub fn of(&self, row: usize) -> Vec<Vec<Step>> {
        self.0[row].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Samples {
    /// The number of a row's sample.
    #[inline]
    pub fn id(&self, row: usize) -> u64 {
        self.ids.as_ref().map_or_else(|| self.first_row.wrapping_add(row as u64), |ids| ids[row])
    }

    /// The epoch of a row.
    #[inline]
    pub fn epoch(&self, row: usize) -> u32 {
        self.epochs.as_ref().map_or(0, |epochs| epochs[row])
    }
}

/// A chain on its way over the rows of an array.
struct Applied<'a> {
    chain: &'a Chain,
    samples: &'a Samples,
}

/// What a thread keeps from one image to the next.
#[derive(Default)]
pub(crate) struct Applying {
    /// The epoch of the last image, and the keys of the stages in it.
    keys: Option<(u32, Vec<Key>)>,
    steps: Vec<Step>,
    work: Workspace,
}

impl Transform for Applied<'_> {
    type Workspace = Applying;

    fn shape(&self, from: ImageShape) -> Result<ImageShape, String> {
        self.chain.shape(from).map_err(|e| e.to_string())
    }

    fn wanted(&self) -> Wanted {
        self.chain.0.first().map_or(Wanted::Stored, Stage::wanted)
    }

    fn apply<P: PixelValue>(
        &self,
        row: usize,
        image: &mut ImageBuffer<P>,
        workspace: &mut Applying,
    ) -> Result<(), String> {
        let (id, epoch) = (self.samples.id(row), self.samples.epoch(row));
        let Applying { keys, steps, work } = workspace;
        if keys.as_ref().is_none_or(|(known, _)| *known != epoch) {
            *keys = Some((epoch, self.chain.keys(self.samples.seed, epoch)));
        }
        let Some((_, keys)) = keys else { return Ok(()) };
        let mut log = self.samples.log.as_ref().map(|_| Vec::new());
        for (stage, key) in self.chain.0.iter().zip(keys) {
            steps.clear();
            stage.draw(Format { shape: image.shape(), pixel_type: P::TYPE }, &mut Stream::new(*key, id), steps);
            for step in &*steps {
                let from = image.shape();
                image.replace(step.shape(from), |old, new| step.apply(from, old, new, work));
            }
            if let Some(log) = &mut log {
                log.push(steps.clone());
            }
        }
        if let (Some(all), Some(log)) = (&self.samples.log, log) {
            all.set(row, log);
        }
        Ok(())
    }
}
