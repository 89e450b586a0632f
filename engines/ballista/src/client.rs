//! The client.

use std::collections::VecDeque;
use std::io::{Read, Write, stdin, stdout};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ballista::extension::{SessionConfigExt, SessionContextExt};
use clap::Args;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement};
use log::LevelFilter;

use crate::cluster::Address;
use crate::copies::Target;
use crate::{Result, cluster, executor, failures, functions, messages, scheduler};

#[derive(Args)]
pub struct Options {
    /// Statements, separated by semicolons [default: they are read from stdin]
    #[arg(value_name = "SQL")]
    sql: Vec<String>,
    /// Where the scheduler is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    scheduler: Address,
    /// Compute in this process, with a scheduler and an executor of its own
    #[arg(long, conflicts_with = "scheduler")]
    standalone: bool,
    /// A Parquet file or a folder of them, at the same path on all machines; may be repeated
    #[arg(long, value_name = "NAME=PATH")]
    table: Vec<Table>,
    /// Begin when the cluster has so many executors
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "standalone")]
    executors: usize,
    /// Wait this long for scheduler and executors
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
    /// Show Ballista's messages: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", value_parser = messages::level, default_value = "off")]
    log: LevelFilter,
}

#[derive(Clone)]
struct Table {
    name: String,
    path: String,
}

impl FromStr for Table {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(Self { name: name.to_owned(), path: path.to_owned() })
            }
            _ => Err("NAME=PATH is expected"),
        }
    }
}

/// Runs all statements and prints their tables.
///
/// # Errors
/// A statement is wrong or has failed; those before it have been run.
pub async fn run(options: Options) -> Result<()> {
    messages::show(options.log);
    let statements = DFParser::parse_sql(&text(&options.sql)?)?;
    if statements.is_empty() {
        return Err("there is no SQL, neither as an argument nor on stdin".into());
    }
    if !options.standalone {
        return execute(statements, options).await;
    }
    let (scheduler, cluster) = standalone().await?;
    tokio::select! {
        done = execute(statements, Options { scheduler, ..options }) => done,
        error = cluster => error,
        // The executor hears it as well, but computes its tasks first.
        () = executor::signal(|| ()) => Err("told to end".into()),
    }
}

async fn execute(statements: VecDeque<Statement>, options: Options) -> Result<()> {
    let Options { scheduler, executors, wait, table: tables, .. } = options;
    let config = SessionConfig::new_with_ballista()
        // Metadata of columns tells how tensors are laid out.
        .set_bool("datafusion.execution.parquet.skip_metadata", false)
        // A query whose plan adapts waits for ever if an executor is lost after the first stage
        // (https://github.com/apache/datafusion-ballista/issues/1986).
        .with_ballista_adaptive_query_planner(false);
    let state = functions::session_state(config)?;
    cluster::wait_for_executors(&scheduler, executors, Duration::from_secs(wait)).await?;
    let mut context = SessionContext::remote_with_state(&format!("df://{scheduler}"), state).await?;
    // Ballista has replaced the functions of the state by its own.
    functions::register(&mut context)?;
    for Table { name, path } in tables {
        let read = context.register_parquet(&name, &path, ParquetReadOptions::default()).await;
        read.map_err(|error| format!("table {name}, {path}: {}", error.strip_backtrace()))?;
    }
    for statement in statements {
        show(&context, statement).await?;
    }
    Ok(())
}

/// Starts a cluster in this process. The future tells why it ended.
async fn standalone() -> Result<(Address, impl Future<Output = Result<()>> + Send)> {
    let (address, serving) = scheduler::start(scheduler::Options::local()).await?;
    let serving = tokio::spawn(serving);
    let computing = tokio::spawn(executor::compute(executor::Options::local(address.clone()), drop));
    let cluster = async {
        tokio::select! {
            ended = serving => ended??,
            ended = computing => ended??,
        }
        Err("the cluster in this process has ended".into())
    };
    Ok((address, cluster))
}

fn text(arguments: &[String]) -> Result<String> {
    if !arguments.is_empty() {
        return Ok(arguments.join(";\n"));
    }
    let mut text = String::new();
    stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Runs a statement and prints its table, if it has one.
async fn show(context: &SessionContext, statement: Statement) -> Result<()> {
    let mut plan = context.state().statement_to_plan(statement).await?;
    let target = Target::of(&mut plan)?;
    let frame = context.execute_logical_plan(plan.clone()).await?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let rows = frame.collect().await.map_err(|error| failures::message(&error, &plan))?;
    target.map_or(Ok(()), Target::check)?;
    if schema.fields().is_empty() {
        return Ok(());
    }
    let table = pretty_format_batches_with_schema(schema, &rows)?;
    // That nobody listens, as behind `| head`, is no error.
    let _ = writeln!(stdout(), "{table}");
    Ok(())
}
