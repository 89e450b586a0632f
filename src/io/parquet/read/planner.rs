//! Cuts a file into jobs.
//!
//! A row group is read in one of four ways:
//! - **Lists**: the image column has lists of one length, so the number of levels in a page tells which rows the page holds. In
//!   a table without images another column of lists takes its place, if the row group is large or the only one.
//!   A job is a group of pages. A record may go on from the pages of one job to those of the next; the reader joins it.
//! - **Rows**: the image column is not nested, so the pages tell how many rows they hold. A job is a range of rows, read
//!   from the pages if all images are bytes of one length, else by an Arrow reader of its own.
//! - **Whole**: a small row group of any other kind is one job, if the file has several row groups.
//! - **Serial**: a large one, or one alone, is read by the planner's own thread.
//!
//! For lists and rows the planner's thread also reads the other columns, one range of rows after another. Only the levels
//! tell whether lists really are of one length: if they are not, the Arrow reader takes over at the first row that has not
//! been delivered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;

use super::arrow_reader::ArrowReader;
use super::context::FileContext;
use super::flat_images::{FlatGroup, FlatJob};
use super::image_column::{ImageKind, LeafColumn};
use super::list_images::{ListGroup, ListJob};
use super::other_columns::OtherColumns;
use crate::base::error::Result;

/// Decoded bytes up to which rows may be one job.
const WHOLE_BYTES: usize = 32 << 20;

/// Work for one thread.
pub enum ReadJob {
    Lists(ListJob),
    Rows(FlatJob),
    /// A row group.
    Whole(usize),
    /// Rows that the planner's thread has read.
    Ready(RecordBatch),
}

/// Hands out the jobs, row group after row group.
pub struct JobPlanner {
    context: Arc<FileContext>,
    next_group: usize,
    state: GroupState,
}

/// How the current row group is read.
enum GroupState {
    /// There is none.
    Between,
    Lists {
        lists: Arc<ListGroup>,
        next_page: usize,
        values: usize,
        others: OtherColumns,
    },
    Rows {
        flat: Arc<FlatGroup>,
        next_page: usize,
        others: OtherColumns,
    },
    Serial(ArrowReader),
}

impl JobPlanner {
    pub fn jobs(context: Arc<FileContext>) -> impl FnMut() -> Option<Result<ReadJob>> + Send + 'static {
        let mut planner = Self { context, next_group: 0, state: GroupState::Between };
        move || planner.next().transpose()
    }

    fn next(&mut self) -> Result<Option<ReadJob>> {
        loop {
            let job = match &mut self.state {
                GroupState::Between => {
                    if self.next_group == self.context.metadata.metadata().num_row_groups() {
                        return Ok(None);
                    }
                    self.next_group += 1;
                    match self.begin(self.next_group - 1)? {
                        None => continue,
                        job => job,
                    }
                }
                GroupState::Lists { lists, next_page, values, others } => {
                    next_lists(&self.context, lists, next_page, values, others)?
                }
                GroupState::Rows { flat, next_page, others } => next_rows(&self.context, flat, next_page, others)?,
                GroupState::Serial(reader) => {
                    reader.next().map(|b| self.context.whole_batch(b)).transpose()?.map(ReadJob::Ready)
                }
            };
            match job {
                Some(job) => return Ok(Some(job)),
                None => self.state = GroupState::Between,
            }
        }
    }

    /// Chooses how a row group is read; a small one may be a job at once.
    fn begin(&mut self, group: usize) -> Result<Option<ReadJob>> {
        let context = &self.context;
        let rows = usize::try_from(context.row_group(group).num_rows()).unwrap_or(0);
        // Threads share small row groups. One alone is read in parts, so that its first rows are used while others are read.
        let is_alone = context.metadata.metadata().num_row_groups() == 1;
        let small = !is_alone && fits_job(rows, context);
        match &context.paged {
            Some(column @ LeafColumn { kind: ImageKind::List { max_definition }, .. }) if column.is_image || !small => {
                // A job has whole pages. Those of short lists may have many rows, whose other columns are large together.
                let fits = |lists: &ListGroup| column.is_image || lists.page_rows().all(|rows| fits_job(rows, context));
                if let Some(lists) = ListGroup::find(context, column, *max_definition, group, rows).ok().filter(fits) {
                    let others = OtherColumns::open(context, column, group)?;
                    self.state = GroupState::Lists { lists: Arc::new(lists), next_page: 0, values: 0, others };
                    return Ok(None);
                }
            }
            Some(column) if !small || matches!(column.kind, ImageKind::Bytes { .. }) => {
                if let Some(flat) = FlatGroup::find(context, column, group, rows) {
                    let others = OtherColumns::open(context, column, group)?;
                    self.state = GroupState::Rows { flat: Arc::new(flat), next_page: 0, others };
                    return Ok(None);
                }
            }
            _ => {}
        }
        if small {
            return Ok(Some(ReadJob::Whole(group)));
        }
        self.state = GroupState::Serial(context.arrow_reader(group, ProjectionMask::all(), 0)?);
        Ok(None)
    }
}

/// Whether so many rows are small enough for one job.
fn fits_job(rows: usize, context: &FileContext) -> bool {
    rows.checked_mul(context.row_bytes).is_some_and(|bytes| bytes <= WHOLE_BYTES)
}

/// The next pages of a row group that make a batch, and with them at least one row.
fn next_lists(
    context: &FileContext,
    lists: &Arc<ListGroup>,
    next_page: &mut usize,
    values: &mut usize,
    others: &mut OtherColumns,
) -> Result<Option<ReadJob>> {
    // The reader reads the rest of the row group itself.
    if lists.given_up.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let (first_page, before) = (*next_page, *values);
    let first_row = before / lists.length;
    for page in &lists.pages.data[first_page..] {
        let rows = (*values + page.levels) / lists.length - first_row;
        if *values / lists.length > first_row && rows > context.batch_rows {
            break;
        }
        *values += page.levels;
        *next_page += 1;
    }
    if *next_page == first_page {
        return Ok(None);
    }
    let rows = first_row..*values / lists.length;
    Ok(Some(ReadJob::Lists(ListJob {
        lists: lists.clone(),
        pages: first_page..*next_page,
        begun: before % lists.length,
        values: *values - before,
        others: others.take(context, rows.len())?,
        rows,
    })))
}

/// The next pages of a row group that make a batch.
fn next_rows(
    context: &FileContext,
    flat: &Arc<FlatGroup>,
    next_page: &mut usize,
    others: &mut OtherColumns,
) -> Result<Option<ReadJob>> {
    let (first_page, first_row) = (*next_page, flat.starts[*next_page]);
    let ends = &flat.starts[first_page + 1..];
    if ends.is_empty() {
        return Ok(None);
    }
    let pages = ends.iter().take_while(|&&end| end - first_row <= context.batch_rows).count().max(1);
    *next_page += pages;
    let rows = first_row..ends[pages - 1];
    let others = others.take(context, rows.len())?;
    Ok(Some(ReadJob::Rows(FlatJob { flat: flat.clone(), pages: first_page..*next_page, rows, others })))
}
