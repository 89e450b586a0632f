//! Runs the jobs on several threads and hands out their batches in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ProjectionMask;

use super::Irregular;
use super::arrow_reader::ArrowReader;
use super::buffers::PooledBuffer;
use super::context::FileContext;
use super::list_images::ListJob;
use super::planner::{JobPlanner, ReadJob};
use crate::base::error::{Error, Result};
use crate::base::ordered::{self, Ordered};

/// What became of a job.
enum JobOutput {
    /// The values of the pages, as [`ListJob::decode`] returns them.
    Lists(ListJob, Result<PooledBuffer, Irregular>),
    /// Batches, and how many of their rows were decoded from the pages.
    Batches(Vec<RecordBatch>, usize),
}

fn run(context: &FileContext, job: ReadJob) -> Result<JobOutput> {
    match job {
        ReadJob::Ready(batch) => Ok(JobOutput::Batches(vec![batch], 0)),
        ReadJob::Whole(group) => {
            let reader = context.arrow_reader(group, ProjectionMask::all(), 0)?;
            let batches = reader.map(|batch| context.whole_batch(batch)).collect::<Result<_>>()?;
            Ok(JobOutput::Batches(batches, 0))
        }
        ReadJob::Rows(job) => job.read(context).map(|(batches, fast_rows)| JobOutput::Batches(batches, fast_rows)),
        ReadJob::Lists(job) => {
            let values = job.decode(context);
            Ok(JobOutput::Lists(job, values))
        }
    }
}

/// The batches of a file.
pub struct ParquetReader {
    context: Arc<FileContext>,
    /// `None` after an error.
    outputs: Option<Ordered<JobOutput>>,
    ready: VecDeque<RecordBatch>,
    /// The values of a record that goes on in the pages of the next job.
    begun: Vec<u8>,
    /// Reads the rest of a row group whose lists turned out not to be of one length.
    serial: Option<ArrowReader>,
    /// Rows whose images were decoded from the pages.
    pub fast_rows: usize,
}

impl ParquetReader {
    /// Starts `threads` threads. At most `in_flight` jobs are being worked on or wait to be taken.
    pub fn start(context: Arc<FileContext>, threads: usize, in_flight: usize) -> Result<Self> {
        let (jobs, shared) = (JobPlanner::jobs(context.clone()), context.clone());
        let outputs = ordered::map(threads, in_flight, jobs, move || {
            let context = shared.clone();
            move |job| run(&context, job)
        });
        let outputs = outputs.map_err(|e| Error::Internal(format!("a reading thread: {e}")))?;
        Ok(Self {
            context,
            outputs: Some(outputs),
            ready: VecDeque::new(),
            begun: Vec::new(),
            serial: None,
            fast_rows: 0,
        })
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(reader) = &mut self.serial {
                match reader.next() {
                    Some(batch) => return self.context.whole_batch(batch).map(Some),
                    None => self.serial = None,
                }
            }
            let Some(outputs) = &mut self.outputs else { return Ok(None) };
            match outputs.next().transpose()? {
                None => return Ok(None),
                Some(JobOutput::Batches(batches, fast_rows)) => {
                    self.fast_rows += fast_rows;
                    self.ready.extend(batches);
                }
                Some(JobOutput::Lists(job, _)) if job.lists.given_up.load(Ordering::Relaxed) => {}
                Some(JobOutput::Lists(job, values)) => {
                    match values.and_then(|values| job.assemble(&self.context, values, &mut self.begun)) {
                        Ok(batches) => {
                            self.fast_rows += job.rows.len();
                            self.ready.extend(batches);
                        }
                        Err(Irregular) => {
                            job.lists.given_up.store(true, Ordering::Relaxed);
                            self.begun.clear();
                            let group = job.lists.group;
                            self.serial =
                                Some(self.context.arrow_reader(group, ProjectionMask::all(), job.rows.start)?);
                        }
                    }
                }
            }
        }
    }
}

impl Iterator for ParquetReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance();
        if result.is_err() {
            (self.outputs, self.serial) = (None, None);
            self.ready.clear();
        }
        result.map_err(ArrowError::from).transpose()
    }
}

impl RecordBatchReader for ParquetReader {
    fn schema(&self) -> SchemaRef {
        self.context.schema.clone()
    }
}
