//! Runs SQL with pixelfeat's functions and prints what comes out.

use std::io::{self, IsTerminal, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType;
use clap::{Parser, ValueHint};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::{DataFusionError, Result};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::DFParser;
use futures::StreamExt;
use pixelfeat::io::WriteOptions;

/// Runs SQL with pixelfeat's functions.
///
/// Tables are files: 'images.parquet' is read by DataFusion, pixelfeat('digits.json.gz') by pixelfeat, whatever its format.
/// pixelfeat_digits(1000) draws images that look like digits. COPY (SELECT …) TO 'file.parquet' writes a file by DataFusion,
/// --output by pixelfeat.
#[derive(Parser)]
#[command(name = "sql", after_help = EXAMPLES)]
struct Arguments {
    /// Statements with semicolons between; without any, those on standard input
    sql: Vec<String>,
    /// Writes the rows of the last statement to a file instead: .parquet, .arrow, .npy or .csv
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Into how many parts queries are cut, each computed by one thread; by default one a core
    #[arg(long, value_name = "N")]
    partitions: Option<NonZeroUsize>,
    /// How many rows of a result are printed
    #[arg(long, value_name = "N", default_value = "20")]
    rows: NonZeroUsize,
    /// Explains pixelfeat's functions
    #[arg(long)]
    functions: bool,
}

const EXAMPLES: &str = "Examples:
  sql \"SELECT label, pixel_mean(image, '28x28') AS mean FROM pixelfeat_digits(5)\"
  sql \"SELECT label, pixel_features(image, '28x28') AS features FROM pixelfeat('digits.json.gz')\" -o features.parquet";

/// So many characters of a value are printed, unless it is text or the only one.
const WIDTH: usize = 60;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(DataFusionError::IoError(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.strip_backtrace());
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    if arguments.functions {
        return explain();
    }
    let mut config = SessionConfig::new().with_information_schema(true);
    if let Some(partitions) = arguments.partitions {
        config = config.with_target_partitions(partitions.get());
    }
    let context = SessionContext::new_with_config(config).enable_url_table();
    pixelfeat_datafusion::register_all(&context);
    let mut texts = arguments.sql;
    if texts.is_empty() {
        if io::stdin().is_terminal() {
            return Err(DataFusionError::Plan("no SQL; give it in quotes. --help has examples".to_owned()));
        }
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        texts.push(text);
    }
    let mut statements = Vec::new();
    for text in &texts {
        statements.extend(DFParser::parse_sql(text)?);
    }
    let last = statements.len();
    for (at, statement) in statements.into_iter().enumerate() {
        let plan = context.state().statement_to_plan(statement).await?;
        let result = context.execute_logical_plan(plan).await?;
        match &arguments.output {
            Some(path) if at + 1 == last => {
                let written = pixelfeat_datafusion::write(result, path, &WriteOptions::default()).await?;
                writeln!(io::stdout(), "{} rows, {} bytes in {}", written.rows, written.bytes, path.display())?;
            }
            _ => print(result, arguments.rows.get()).await?,
        }
    }
    Ok(())
}

fn explain() -> Result<()> {
    let mut out = io::stdout().lock();
    for text in pixelfeat_datafusion::documentation() {
        writeln!(out, "{}\n    {}", text.syntax_example, text.description)?;
        for (name, about) in text.arguments.iter().flatten() {
            writeln!(out, "    - {name}: {about}")?;
        }
    }
    Ok(())
}

/// Prints the first rows of a result. The query ends there.
async fn print(result: DataFrame, most: usize) -> Result<()> {
    let mut stream = result.execute_stream().await?;
    let (mut batches, mut rows) = (Vec::new(), 0);
    while rows <= most
        && let Some(batch) = stream.next().await.transpose()?
    {
        rows += batch.num_rows();
        batches.push(batch);
    }
    let all = concat_batches(&stream.schema(), &batches)?;
    let shown = all.slice(0, rows.min(most));
    let mut out = io::stdout().lock();
    match (shown.num_columns(), shown.num_rows()) {
        // A statement without a result, such as SET.
        (0, _) => {}
        (1, 1) => writeln!(out, "{}", texts(shown.column(0))?.value(0))?,
        _ => writeln!(out, "{}", pretty_format_batches(&[shortened(&shown)?])?)?,
    }
    if rows > most {
        writeln!(out, "These are the first {most} rows. --rows N prints more; --output FILE writes all.")?;
    }
    Ok(())
}

/// The values of a column as text.
fn texts(column: &ArrayRef) -> Result<StringArray> {
    let format = FormatOptions::default().with_null("NULL");
    let texts = ArrayFormatter::try_new(column, &format)?;
    Ok((0..column.len()).map(|row| Some(texts.value(row).to_string())).collect())
}

fn shortened(rows: &RecordBatch) -> Result<RecordBatch> {
    let shorten = |text: Option<&str>| {
        let text = text.unwrap_or_default();
        match text.char_indices().nth(WIDTH) {
            Some((end, _)) => Some(format!("{}…", &text[..end])),
            None => Some(text.to_owned()),
        }
    };
    let names = rows.schema_ref().fields().iter().map(|field| field.name().clone());
    let columns = rows.columns().iter().map(|column| {
        let whole = texts(column)?;
        let shown = match column.data_type() {
            DataType::Utf8 | DataType::Utf8View => whole,
            _ => whole.iter().map(shorten).collect(),
        };
        Ok(Arc::new(shown) as ArrayRef)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_from_iter(names.zip(columns))?)
}
