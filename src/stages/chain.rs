//! Stages one after another.

use std::fmt;
use std::str::FromStr;

use arrow_array::Array;

use crate::base::error::{Error, Result};
use crate::base::random::Random;
use crate::base::shape::ImageShape;
use crate::base::text::write_list;
use crate::images::{ColumnReader, ImageBatch, ImageBuffer, PixelValue, Ragged, Transform};
use crate::stages::{Stage, StageDraw, Workspace};

/// The stages that every image goes through, in their order; by default none.
///
/// Its text is that of its stages with commas between, such as `gray,resize:28x28:area`.
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
    /// [`Error::InvalidShape`] if a stage gives it none.
    pub fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        self.0.iter().try_fold(from, |shape, stage| stage.shape(shape))
    }

    /// Whether all images have one height and width afterwards, whatever they had before.
    pub(crate) fn sets_size(&self) -> bool {
        self.0.iter().any(Stage::sets_size)
    }

    /// What the metadata of the output's schema says of the chain.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = (String, String)> {
        let chain = (!self.is_empty()).then(|| ("pixelfeat.stages".to_owned(), self.to_string()));
        let stages = self.0.iter().filter_map(Stage::metadata);
        chain.into_iter().chain(stages.map(|(key, value)| (key.to_owned(), value)))
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
        draws: Draws,
        shape: ImageShape,
    ) -> Result<ImageBatch> {
        if self.is_empty() {
            reader.read(array)
        } else {
            reader.read_transformed(array, &Applied { chain: self, draws }, shape)
        }
    }

    /// The values of one image after all stages, as [`Chain::read`] makes them: for tests of other forms.
    #[cfg(all(test, feature = "gpu"))]
    pub(crate) fn image<P: PixelValue>(&self, draws: Draws, row: usize, shape: ImageShape, pixels: &[P]) -> Vec<P> {
        let mut image = ImageBuffer::of(shape, pixels.to_vec());
        Applied { chain: self, draws }.apply(row, &mut image, &mut Workspace::default()).unwrap();
        assert_eq!(image.shape(), self.shape(shape).unwrap());
        image.pixels().to_vec()
    }

    /// As [`Chain::read`], for images of any height and width that have `channels` channels afterwards.
    ///
    /// # Errors
    /// As [`ColumnReader::read`].
    pub(crate) fn read_ragged(
        &self,
        reader: &ColumnReader,
        array: &dyn Array,
        draws: Draws,
        channels: usize,
    ) -> Result<Ragged> {
        reader.read_ragged(array, &Applied { chain: self, draws }, channels)
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
        match text.trim() {
            "" => Ok(Self::new()),
            text => text.split(',').map(|stage| stage.trim().parse::<Stage>()).collect(),
        }
    }
}

/// What decides the parameters that stages draw for the rows of an array.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draws {
    /// The seed of the run.
    pub seed: u64,
    /// The number of the array's first row, counted over the whole input.
    pub first_row: u64,
}

impl Draws {
    /// The generator of the stage at `position` of the chain for a row of the array.
    fn random(self, position: usize, row: usize) -> Random {
        let stage = Random::new(self.seed, position as u64).bits();
        Random::new(stage, self.first_row.wrapping_add(row as u64))
    }

    /// The parameters of the stage at `position` of the chain for a row of the array.
    pub fn draw(self, stage: &Stage, position: usize, row: usize) -> StageDraw {
        stage.draw(&mut self.random(position, row))
    }
}

/// A chain on its way over the rows of an array.
struct Applied<'a> {
    chain: &'a Chain,
    draws: Draws,
}

impl Transform for Applied<'_> {
    type Workspace = Workspace;

    fn shape(&self, from: ImageShape) -> Result<ImageShape, String> {
        self.chain.shape(from).map_err(|e| e.to_string())
    }

    fn apply<P: PixelValue>(
        &self,
        row: usize,
        image: &mut ImageBuffer<P>,
        workspace: &mut Workspace,
    ) -> Result<(), String> {
        for (position, stage) in self.chain.0.iter().enumerate() {
            stage.apply(self.draws.draw(stage, position, row), image, workspace)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::stages::Gray;

    #[test]
    fn texts_and_chains_agree() {
        assert_eq!("".parse::<Chain>().unwrap(), Chain::new());
        assert_eq!(Chain::new().to_string(), "");
        assert_eq!(" gray , gray".parse::<Chain>().unwrap(), [Gray, Gray].into_iter().collect());
        assert_eq!(Chain::new().with(Gray).to_string(), "gray");
        for (text, why) in [
            ("blur", "stage: `blur` is not gray, flip or resize"),
            ("gray,", "stage: `` is not gray, flip or resize"),
            ("gray:2", "gray: it has no arguments"),
        ] {
            assert_eq!(text.parse::<Chain>().unwrap_err().to_string(), why);
        }
        assert!("resize".parse::<Chain>().is_err());
    }

    #[cfg(feature = "image")]
    #[test]
    fn shapes_go_through_the_chain() {
        let chain: Chain = "gray,resize:28x30:area,resize:2x3".parse().unwrap();
        assert_eq!(chain.to_string(), "gray,resize:28x30:area,resize:2x3");
        assert_eq!(chain.shape("64x65x3".parse().unwrap()).unwrap(), "2x3".parse().unwrap());
        assert!(chain.sets_size() && !Chain::new().with(Gray).sets_size());
        let about: Vec<_> = chain.metadata().collect();
        let known = |key: &str| about.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        assert_eq!(known("pixelfeat.stages"), Some("gray,resize:28x30:area,resize:2x3"));
        assert_eq!((known("pixelfeat.gray"), known("pixelfeat.resize")), (Some("bt601"), Some("2x3")));
    }

    #[test]
    fn draws_depend_on_seed_position_and_row_alone() {
        let bits = |seed, position, first_row, row| Draws { seed, first_row }.random(position, row).bits();
        assert_eq!(bits(1, 2, 30, 4), bits(1, 2, 0, 34));
        let mut seen = HashSet::new();
        for seed in 0..10 {
            for position in 0..10 {
                for row in 0..10 {
                    assert!(seen.insert(bits(seed, position, 0, row)), "{seed} {position} {row}");
                }
            }
        }
    }
}
