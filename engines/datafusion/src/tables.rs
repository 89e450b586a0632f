//! Tables that pixelfeat reads or draws, by streams.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Documentation, Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use pixelfeat::BoxedReader;
use pixelfeat::io::{self, LateMembers, ReadOptions, Rows};
use pixelfeat::synthetic::Digits;

use crate::arguments::{Arguments, Function, PATH, READING, ROWS, SEED};

/// Batches that may wait for the query. Readers read ahead on their own.
const WAITING: usize = 1;

static FILES: Function = Function::new(
    "pixelfeat",
    "A table of the rows of files of any format that pixelfeat reads.",
    "pixelfeat('digits.json.gz')",
    &[&PATH, &READING],
    1,
);
static DIGITS: Function = Function::new(
    "pixelfeat_digits",
    "A table of images that look like digits, and their labels.",
    "pixelfeat_digits(1000)",
    &[&ROWS, &SEED],
    1,
);

/// A function that makes a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableOf {
    /// `pixelfeat`: files.
    Files,
    /// `pixelfeat_digits`: images that are drawn.
    Digits,
}

impl TableOf {
    pub const ALL: [Self; 2] = [Self::Files, Self::Digits];

    pub fn name(self) -> &'static str {
        self.function().name
    }

    pub fn documentation(self) -> &'static Documentation {
        self.function().documentation()
    }

    fn function(self) -> &'static Function {
        match self {
            Self::Files => &FILES,
            Self::Digits => &DIGITS,
        }
    }
}

impl TableFunctionImpl for TableOf {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let arguments = Arguments::of_exprs(self.function(), args.exprs())?;
        let source = match self {
            Self::Files => files(&arguments)?,
            Self::Digits => {
                let rows = arguments.number(&ROWS)?.ok_or_else(|| arguments.refused(&ROWS, "is NULL"))?;
                Source::Digits { rows, seed: arguments.number(&SEED)?.unwrap_or(0) }
            }
        };
        let reader = source.open(None, Rows::All, args.session().config().batch_size(), 1);
        let schema = reader.map_err(|error| arguments.failed(error))?.schema();
        Ok(Arc::new(RowsTable { source, schema }))
    }
}

fn files(arguments: &Arguments<'_>) -> Result<Source> {
    let path = arguments.text(&PATH)?.ok_or_else(|| arguments.refused(&PATH, "is NULL"))?;
    if io::is_stream(path) {
        return Err(arguments.refused(&PATH, &format!("is the stream {path}, which can be read only once")));
    }
    let mut options = ReadOptions::default();
    arguments.options(&READING, |name, value| {
        match name {
            "image" => options.image = value.to_owned(),
            "pixel_type" => options.pixel_type = Some(value.parse().map_err(|e: pixelfeat::Error| e.to_string())?),
            "late_members" if value == "rest" => options.late_members = LateMembers::Rest,
            "late_members" => return Err(format!("late_members: `{value}` is not rest")),
            _ => return Err(format!("`{name}` is none of image, pixel_type and late_members")),
        }
        Ok(())
    })?;
    Ok(Source::Files { path: path.to_owned(), options })
}

/// Where rows come from. It is opened again for each query.
#[derive(Debug, Clone)]
enum Source {
    Files { path: String, options: ReadOptions },
    Digits { rows: u64, seed: u64 },
}

impl Source {
    fn open(
        &self,
        columns: Option<Vec<String>>,
        rows: Rows,
        batch_rows: usize,
        threads: usize,
    ) -> pixelfeat::Result<BoxedReader> {
        match self {
            Self::Files { path, options } => {
                let mut options = options.clone().with_rows(rows).with_batch_rows(batch_rows).with_threads(threads);
                options.columns = columns;
                Ok(Box::new(io::open(path, &options)?))
            }
            Self::Digits { rows: all, seed } => {
                let rows = if let Rows::First(first) = rows { first.min(*all) } else { *all };
                Ok(Box::new(Digits::new(rows, *seed, batch_rows)))
            }
        }
    }
}

/// A table whose rows are read when a query asks for them.
#[derive(Debug)]
struct RowsTable {
    source: Source,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for RowsTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(places) => Arc::new(self.schema.project(places)?),
            None => self.schema.clone(),
        };
        let part = Part { source: self.source.clone(), schema: schema.clone(), limit };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(part)], None, [], false, limit)?))
    }
}

/// The one partition of a table: some of its columns.
#[derive(Debug)]
struct Part {
    source: Source,
    schema: SchemaRef,
    limit: Option<usize>,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), WAITING);
        let (sender, schema, source) = (builder.tx(), self.schema.clone(), self.source.clone());
        let rows = self.limit.map_or(Rows::All, |limit| Rows::First(limit as u64));
        let config = context.session_config();
        let (batch_rows, threads) = (config.batch_size(), config.target_partitions());
        builder.spawn_blocking(move || {
            let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
            let reader = source.open(Some(columns), rows, batch_rows, threads).map_err(external)?;
            for batch in reader {
                let batch = batch.map_err(|error| external(error.into())).and_then(|batch| only(&schema, &batch));
                let is_last = batch.is_err();
                // Nobody waits for more rows once the query has ended.
                if sender.blocking_send(batch).is_err() || is_last {
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}

fn external(error: pixelfeat::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The columns of a schema, in its order. Readers give the images whether they were asked for or not.
fn only(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let places = schema.fields().iter().map(|field| batch.schema_ref().index_of(field.name()));
    let batch = batch.project(&places.collect::<Result<Vec<_>, _>>()?)?;
    Ok(batch.with_schema(schema.clone())?)
}
