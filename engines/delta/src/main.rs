//! `delta`: features into a Delta table, its versions, and one of them back as a file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use arrow_array::RecordBatchReader as _;
use clap::{Args, Parser, Subcommand, ValueHint};
use pixelfeat::lineage::Digesting;
use pixelfeat::{Error, io};
use pixelfeat_delta::{Mode, Table, TableOptions, history, prepare};

// The program has the options of `featurize`, and they do the same.
#[path = "../../../examples/featurize/args.rs"]
mod args;
#[path = "../../../examples/featurize/canonical.rs"]
mod canonical;
#[path = "../../../examples/featurize/lineage.rs"]
mod lineage;
#[path = "../../../examples/featurize/quality.rs"]
mod quality;
#[path = "../../../examples/featurize/run.rs"]
mod run;
mod show;
#[path = "../../../examples/featurize/tell.rs"]
mod tell;

use args::{Job, Options};
use run::{Input, Opened, Run};
use tell::Proof;

/// Features of images in Delta tables.
#[derive(Parser)]
#[command(name = "delta", version, max_term_width = 110, after_long_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add the features of the inputs to a table, or make one of them
    Append(Write),
    /// Replace the rows of a table by the features of the inputs; its old versions stay
    Overwrite(Write),
    /// Show the versions of a table, newest first
    Log(Log),
    /// Write a version of a table to a file, as featurize would have written it
    Read(Read),
}

#[derive(Args)]
struct Write {
    /// Files, folders, patterns, or - for stdin [default: 10,000 digit-like images are drawn]
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// The folder of the table; it is made if it is not there
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    table: PathBuf,
    /// Take the images from a table instead of files
    #[arg(long, value_name = "PATH", conflicts_with = "inputs", value_hint = ValueHint::DirPath)]
    from_table: Option<PathBuf>,
    /// Which version of --from-table [default: the latest]
    #[arg(long, value_name = "N", requires = "from_table")]
    from_version: Option<u64>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct Log {
    /// The folder of the table
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    table: PathBuf,
    /// Print everything that is known of each version, as a line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Read {
    /// The folder of the table
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    table: PathBuf,
    /// Which version [default: the latest]
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// NAME.parquet, .arrow, .npy or .csv; - for Arrow IPC on stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: PathBuf,
    /// How to compress the output: zstd, snappy, gzip or none
    #[arg(long, value_name = "CODEC")]
    compression: Option<io::Compression>,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  delta append digits.json.gz --table digits
  delta overwrite digits.json.gz --table digits --features gradients
  delta log --table digits
  delta read --table digits --version 0 -o old.parquet
  delta append --table small --from-table photos --from-version 3 --resize 28x28:area

Exit codes:
  0  all is written
  1  the run failed; nothing of it is in the table
  2  the command line is wrong
  3  a check failed, or too many columns drifted; nothing of the run is in the table";

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Append(write) => return to_table(&write, Mode::Append),
        Command::Overwrite(write) => return to_table(&write, Mode::Overwrite),
        Command::Log(log) => show(&log),
        Command::Read(read) => from_table(&read),
    };
    result.map_or_else(|error| run::failure(&error), |()| ExitCode::SUCCESS)
}

fn to_table(write: &Write, mode: Mode) -> ExitCode {
    let options = &write.options;
    let of_files = options.md5 || options.lineage.if_changed;
    let own = if of_files { Err("--md5 and --if-changed are for files, not for tables".to_owned()) } else { Ok(()) };
    let job = Job { options, inputs: &write.inputs, output: &write.table, partition_by: None, has_footer: true };
    let output = io::WriteOptions::default().with_compression(options.compression);
    let usable = own.and_then(|()| options.distinct(&write.inputs, &write.table));
    if let Err(why) = usable.and_then(|()| options.lineage.check(&job)) {
        eprintln!("error: {why}");
        return ExitCode::from(2);
    }
    let files =
        write.from_table.as_ref().map(|path| Table::open(path, write.from_version).and_then(|table| table.files()));
    let files = match files.transpose() {
        Ok(files) => files.unwrap_or_default(),
        Err(error) => return run::failure(&plain(error)),
    };
    let inputs = if write.from_table.is_some() { &files } else { &write.inputs };
    let job = Job { inputs, ..job };
    let input = match &write.from_table {
        None if write.inputs.is_empty() => Input::digits(),
        None => Input::Files(&write.inputs),
        Some(path) => version(path.clone(), write.from_version),
    };
    run::complete(job, &input, |late_members, lineage| {
        let Some(mut run) = Run::start(job, &input, late_members, lineage)? else { return Ok(()) };
        // A commit always has the digest of its rows.
        let written = run.write(&output, true, |rows, output| {
            prepare(&write.table, rows, &TableOptions::new(mode).with_write(output.clone())).map_err(plain)
        });
        let (prepared, digest) = match written {
            Ok(written) => written,
            Err(error) => return Err(run.failed(error, lineage)),
        };
        // The rows appear last: as long as they are not there, the run was no success.
        let proof = Proof { digest: digest.map(|digest| digest.get()), md5: None };
        let done = run.finish(proof, lineage)?;
        let written = prepared.commit().map_err(plain)?;
        let place = format!("version {} of {}", written.version, write.table.display());
        done.tell(&place, (written.rows, written.bytes), false, lineage);
        Ok(())
    })
}

/// A version of a table as an input.
fn version(path: PathBuf, version: Option<u64>) -> Input<'static> {
    let name = match version {
        Some(version) => format!("version {version} of {}", path.display()),
        None => path.display().to_string(),
    };
    let open = move |options: &io::ReadOptions| {
        let reader = Table::open(&path, version).and_then(|table| table.read(options)).map_err(plain)?;
        let (beside, progress) = (reader.stream_options(), reader.progress());
        Ok(Opened(Box::new(reader), beside, progress))
    };
    Input::Reader(name, Arc::new(open))
}

fn from_table(read: &Read) -> Result<(), Error> {
    let options = io::WriteOptions::default().with_compression(read.compression);
    io::check(&read.output, &options)?;
    let table = Table::open(&read.table, read.version).map_err(plain)?;
    let rows = table.read(&io::ReadOptions::default()).map_err(plain)?;
    let rows = Digesting::new(rows)?;
    let (digest, schema) = (rows.handle(), rows.schema());
    let footer = digest.clone();
    let written = io::write(&read.output, rows, &options.with_footer(move || Ok(vec![footer.pair()])))?;
    if !read.quiet {
        let text = format!(
            "version {} of {}: {} columns, {} in {}\ndigest {}",
            table.version(),
            read.table.display(),
            schema.fields().len(),
            tell::size(written.rows, written.bytes),
            read.output.display(),
            digest.get()
        );
        if read.output.as_os_str() == "-" { eprintln!("{text}") } else { println!("{text}") }
    }
    Ok(())
}

fn show(log: &Log) -> Result<(), Error> {
    let commits = history(&log.table).map_err(plain)?;
    let text = if log.json { show::json(&commits) } else { show::table(&commits) };
    // That nobody listens, as behind `| head`, is no error.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    Ok(())
}

/// The error as the rest of the program has them.
fn plain(error: pixelfeat_delta::Error) -> Error {
    match error {
        pixelfeat_delta::Error::Features(error) => error,
        other => Error::Arrow(other.into()),
    }
}
