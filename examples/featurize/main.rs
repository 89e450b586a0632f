//! Columns of pixel arrays into model-ready features: files or streams in, a file or a stream out.

use std::path::PathBuf;
use std::process::ExitCode;

use arrow_array::RecordBatchReader;
use clap::{CommandFactory, Parser, ValueHint};
use clap_complete::Shell;
use pixelfeat::{Error, io};

mod args;
mod canonical;
mod lineage;
mod quality;
mod run;
mod tell;

use args::{Job, Options};
use lineage::Lineage;
use run::{Input, Run};
use tell::Proof;

/// Turn columns of pixel arrays into model-ready features.
///
/// Reads images as arrays of numbers, raw bytes or encoded files, and writes the features of each row next to all other
/// columns: by default row sums, column sums, centroid, mean and standard deviation.
#[derive(Parser)]
#[command(name = "featurize", version, max_term_width = 110)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Files, folders, patterns, or - for stdin [default: 10,000 digit-like images are drawn]
    ///
    /// Files to read, their folders, patterns such as 'data/**/*.parquet', or - for stdin: NDJSON or a JSON array (plain,
    /// .gz, .zst), Parquet, Arrow IPC, IDX and NPY (plain, .gz), NPZ, images. Without any, 10,000 digit-like images are
    /// drawn.
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub inputs: Vec<PathBuf>,
    /// NAME.parquet, .arrow, .npy or .csv; - for Arrow IPC on stdout
    ///
    /// Where to write: NAME.parquet, NAME.arrow, NAME.npy (with NAME.COLUMN.npy beside it), NAME.csv, or - for an Arrow
    /// IPC stream on stdout.
    #[arg(short, long, value_name = "FILE", default_value = "features.parquet", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Write a folder of Parquet files, one for each value of this column
    ///
    /// The files have names such as features/label=3/part-0.parquet.
    #[arg(long, value_name = "COLUMN", help_heading = args::OUTPUT, hide_short_help = true)]
    pub partition_by: Option<String>,
    #[command(flatten)]
    pub options: Options,
    /// Print a script that completes these options in a shell, and end
    ///
    /// For bash: featurize --completions bash > ~/.local/share/bash-completion/completions/featurize
    #[arg(long, value_name = "SHELL", help_heading = args::RUN, hide_short_help = true)]
    pub completions: Option<Shell>,
}

const EXAMPLES: &str = "\
Examples:
  featurize digits.json.gz -o features.parquet
  featurize 'data/**/*.parquet' --shape 28x28 --on-invalid drop --quarantine odd-rows.ndjson
  featurize photos --gray --resize 28x28:area --keep-image -o photos.arrow
  tail -F rows.ndjson | featurize - -o - | other-program

Exit codes:
  0  the output is complete
  1  the run failed; the output does not appear
  2  the command line is wrong
  3  a check failed, or too many columns drifted; the output does not appear";

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(shell) = args.completions {
        clap_complete::generate(shell, &mut Args::command(), "featurize", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let mut options = io::WriteOptions::default();
    options.compression = args.options.compression;
    options.partition_by = args.partition_by.clone();
    let job = Job {
        options: &args.options,
        inputs: &args.inputs,
        output: &args.output,
        partition_by: args.partition_by.as_deref(),
        has_footer: io::has_footer(&args.output, &options),
    };
    let usable = io::check(&args.output, &options).map_err(|e| e.to_string());
    let usable = usable.and_then(|()| args.options.distinct(&args.inputs, &args.output));
    if let Err(message) = usable.and_then(|()| args.options.lineage.check(&job)) {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    let input = if args.inputs.is_empty() { Input::digits() } else { Input::Files(&args.inputs) };
    run::complete(job, &input, |late, lineage| featurize(job, &input, &options, late, lineage))
}

fn featurize(
    job: Job<'_>,
    input: &Input<'_>,
    options: &io::WriteOptions,
    late_members: io::LateMembers,
    lineage: &mut Lineage<'_>,
) -> Result<(), Error> {
    let Some(mut run) = Run::start(job, input, late_members, lineage)? else { return Ok(()) };
    let prepare =
        |rows: Box<dyn RecordBatchReader + '_>, options: &io::WriteOptions| io::prepare(job.output, rows, options);
    let (mut output, digest) = match run.write(options, job.options.digest, prepare) {
        Err(error) => return Err(run.failed(error, lineage)),
        Ok(written) => written,
    };
    let md5 = job.options.md5.then(|| output.md5()).transpose()?;
    let proof = Proof { digest: digest.map(|digest| digest.get()), md5 };
    // The output comes last: as long as it is not there, the run was no success.
    let done = run.finish(proof, lineage)?;
    let written = output.finish()?;
    let is_stdout = job.output.as_os_str() == "-";
    let place = if is_stdout { "stdout".to_owned() } else { job.output.display().to_string() };
    done.tell(&place, (written.rows, written.bytes), is_stdout, lineage);
    Ok(())
}
