//! What watches a run beside its flow: a profile, checks, the issues of images.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Field;

use crate::base::error::Result;
use crate::base::shape::PixelType;
use crate::features::FeatureLayout;
use crate::images::ImageBatch;
use crate::images::defect::Defect;
use crate::run::compute::BatchImages;
use crate::run::origins::RowOrigins;

/// Watches the batches of a stream, in their order, on the thread that computes. Rayon's parallel iterators use the
/// threads of the engine there.
pub trait Observer: Send {
    /// Sees a batch before the consumer of the stream gets it.
    ///
    /// # Errors
    /// Whatever should end the stream.
    fn observe(&mut self, batch: &Observed<'_>) -> Result<()>;

    /// The columns that it adds to the output, behind the features. By default none.
    fn fields(&self) -> Vec<Field> {
        Vec::new()
    }

    /// The columns of [`Observer::fields`] for a batch that it has just observed, with a value for each row.
    ///
    /// # Errors
    /// Whatever should end the stream.
    fn columns(&mut self, batch: &Observed<'_>) -> Result<Vec<ArrayRef>> {
        let _ = batch;
        Ok(Vec::new())
    }

    /// Is called once after the last batch, if no error ended the stream.
    ///
    /// # Errors
    /// Whatever should be the last item of the stream.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// One batch of a stream, as an [`Observer`] sees it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Observed<'a> {
    /// The number of its first row in the whole input, from 0.
    pub first_row: u64,
    /// The input, without the defects that its reader tells.
    pub input: &'a RecordBatch,
    /// The output for every row of the input, also for those that are to be dropped: the other columns, then the features.
    /// Columns of observers come later.
    pub output: &'a RecordBatch,
    /// How many of the last columns of `output` are features.
    pub feature_columns: usize,
    /// The rows without features, in order.
    pub defects: &'a [Defect],
    /// The values of an image; in a ragged run those of the most common shape.
    pub layout: &'a FeatureLayout,
    /// Whether each row has a shape, and so a number of features, of its own.
    pub ragged: bool,
    /// The type of the pixels.
    pub pixel_type: PixelType,
    /// The name of the image column.
    pub image: &'a str,
    /// Names the files of rows.
    pub origins: &'a RowOrigins,
    pub(super) images: &'a BatchImages,
}

impl<'a> Observed<'a> {
    /// The images as they are featurized, after all stages: batches of images of one shape, and which rows of this batch
    /// are theirs, or `None` if all are.
    pub fn images(&self) -> Vec<(Option<&'a [usize]>, &'a ImageBatch)> {
        match self.images {
            BatchImages::Uniform(batch) => vec![(None, batch)],
            BatchImages::Ragged(_, ragged) => {
                ragged.groups.iter().map(|(rows, batch)| (Some(&rows[..]), batch)).collect()
            }
        }
    }
}
