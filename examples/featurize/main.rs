//! Columns of pixel arrays into model-ready features: files or streams in, a file or a stream out.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, SchemaRef};
use clap::{CommandFactory, Parser, ValueHint};
use clap_complete::Shell;
use indicatif::{ProgressBar, ProgressStyle};
use pixelfeat::stages::{Gray, Mixing, Resize};
use pixelfeat::{
    Backend, Chain, DimensionOrder, Encoding, Engine, EngineOptions, Epochs, Error, FeatureSet, FeatureSpec,
    FeatureStream, Featurizer, ImageShape, KeepImage, Layout, MixedLabels, OnInvalid, PixelType, Report, ReportHandle,
    Stage, StreamOptions, io, synthetic,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

mod quality;

use quality::{Quality, QualityArgs};

/// Turn columns of pixel arrays into model-ready features.
///
/// Reads images as arrays of numbers, raw bytes or encoded files, and writes the features of each row next to all other
/// columns: by default row sums, column sums, centroid, mean and standard deviation.
#[derive(Parser)]
#[command(name = "featurize", version, max_term_width = 110)]
#[command(after_long_help = EXAMPLES)]
struct Args {
    /// Files, folders, patterns, or - for stdin [default: 10,000 digit-like images are drawn]
    ///
    /// Files to read, their folders, patterns such as 'data/**/*.parquet', or - for stdin: NDJSON or a JSON array (plain,
    /// .gz, .zst), Parquet, Arrow IPC, IDX and NPY (plain, .gz), NPZ, images. Without any, 10,000 digit-like images are
    /// drawn.
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    inputs: Vec<PathBuf>,
    /// NAME.parquet, .arrow, .npy or .csv; - for Arrow IPC on stdout
    ///
    /// Where to write: NAME.parquet, NAME.arrow, NAME.npy (with NAME.COLUMN.npy beside it), NAME.csv, or - for an Arrow
    /// IPC stream on stdout.
    #[arg(short, long, value_name = "FILE", default_value = "features.parquet", value_hint = ValueHint::FilePath)]
    output: PathBuf,

    /// The column that holds the images
    ///
    /// In JSON also the way to a nested key, as data.pixels; in NPZ an array's name.
    #[arg(long, value_name = "COLUMN", default_value = "image", help_heading = INPUT)]
    image: String,
    /// The image shape, as 28x28 or 32x32x3
    ///
    /// By default it is read from nested lists, or from a length that is a perfect square.
    #[arg(long, value_name = "HxW[xC]", help_heading = INPUT)]
    shape: Option<ImageShape>,
    /// The type of the pixels: u8, u16 or f32
    ///
    /// By default it is the column's own, and u8 for JSON.
    #[arg(long, value_name = "TYPE", help_heading = INPUT, hide_short_help = true)]
    pixel_type: Option<PixelType>,
    /// What the bytes of a column hold: raw (pixels) or encoded (images)
    ///
    /// By default most of the first rows tell.
    #[arg(long, value_name = "ENCODING", help_heading = INPUT, hide_short_help = true)]
    encoding: Option<Encoding>,
    /// The order in which the dimensions of an image are stored: hw, hwc or chw
    ///
    /// By default metadata or the first rows tell.
    #[arg(long, value_name = "ORDER", help_heading = INPUT, hide_short_help = true)]
    order: Option<DimensionOrder>,
    /// The file with the labels of an IDX or NPY file of images
    ///
    /// By default these are the labels beside an IDX file by MNIST's naming.
    #[arg(long, value_name = "FILE", help_heading = INPUT, hide_short_help = true, value_hint = ValueHint::FilePath)]
    labels: Option<PathBuf>,
    /// The columns to pass through, with commas between them [default: all]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = INPUT)]
    columns: Option<Vec<String>>,
    /// Read the first N rows only
    #[arg(long, value_name = "N", conflicts_with = "sample", help_heading = INPUT, hide_short_help = true)]
    limit: Option<u64>,
    /// Read N rows drawn at random, in their order
    ///
    /// Memory holds up to twice as many.
    #[arg(long, value_name = "N", help_heading = INPUT, hide_short_help = true)]
    sample: Option<usize>,
    /// How long a row of a stream may wait for the next ones, if these do not come
    #[arg(long, value_name = "MS", default_value_t = 5, help_heading = INPUT, hide_short_help = true)]
    max_delay: u64,

    /// Make colours gray (BT.601) and leave alpha out
    #[arg(long, help_heading = IMAGES)]
    gray: bool,
    /// Bring all images to one size, after --gray
    ///
    /// The filter is bilinear (the default) or area.
    #[arg(long, value_name = "HxW[:FILTER]", help_heading = IMAGES)]
    resize: Option<Resize>,
    /// Stages that change each image, as gray,resize(28x28),hflip(0.5)
    ///
    /// What is done to each image before its features are computed, in this order, with commas between the stages. --gray
    /// and --resize are short for the most common ones.
    #[arg(long, value_name = "STAGES", conflicts_with_all = ["gray", "resize"], help_heading = IMAGES)]
    stages: Option<Chain>,
    /// What decides which rows --sample draws, and what random stages do
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = IMAGES, hide_short_help = true)]
    seed: u64,
    /// Take images of different sizes as they are
    ///
    /// The features are lists of as many values as each image has, with its height and width.
    #[arg(long, conflicts_with = "resize", help_heading = IMAGES, hide_short_help = true)]
    ragged: bool,

    /// Change each image at random, as crop(pad=4),hflip(0.5),randaugment(2,9)
    ///
    /// The stages come after those of --stages, with commas between. Adds the columns sample_id and epoch. --keep-image
    /// writes the images.
    #[arg(long, value_name = "STAGES", help_heading = IMAGES)]
    augment: Option<Chain>,
    /// The epochs to write, as 0..3 or 7
    ///
    /// Each has draws of its own; epoch 2 is the same in 2 and in 0..3.
    #[arg(long, value_name = "EPOCHS", value_parser = epochs, help_heading = IMAGES, hide_short_help = true)]
    epochs: Option<Range<u32>>,
    /// Mix each image with another one (MixUp), λ being of Beta(ALPHA, ALPHA)
    ///
    /// Adds label_b, lambda and sample_id_b.
    #[arg(long, value_name = "ALPHA", help_heading = IMAGES, hide_short_help = true)]
    mixup: Option<f64>,
    /// Paste a rectangle of another image into each (CutMix)
    ///
    /// With --mixup as well each image gets one of the two.
    #[arg(long, value_name = "ALPHA", help_heading = IMAGES, hide_short_help = true)]
    cutmix: Option<f64>,
    /// Write one column soft_label of N shares instead of label_b and lambda; labels are integers below N
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = IMAGES, hide_short_help = true)]
    soft_labels: Option<usize>,
    /// A column of masks that move with the images
    #[arg(long, value_name = "COLUMN", help_heading = IMAGES, hide_short_help = true)]
    mask: Option<String>,
    /// A column of lists of boxes that move with the images: left, top, right and bottom in pixels
    #[arg(long, value_name = "COLUMN", help_heading = IMAGES, hide_short_help = true)]
    boxes: Option<String>,
    /// Add a column that says what each stage did to the image
    #[arg(long, help_heading = IMAGES, hide_short_help = true)]
    augment_log: bool,

    /// What to compute of each image, as profiles,gradients
    ///
    /// The features, separated by commas: profiles (sums of rows and columns, centroid, mean, std), gradients (directions of
    /// brightness in 4x4 windows), zones:RxC (the mean of each cell of a grid), texture (a histogram and local binary
    /// patterns), moments (central moments and Hu's invariants) and histogram:N (the share of pixels in each of N parts of
    /// their range).
    #[arg(long, value_name = "SET", default_value_t, help_heading = FEATURES)]
    features: FeatureSet,
    /// The form of the features: list, columns or tensor
    ///
    /// One list column `features`, one column for each value, or an arrow.fixed_shape_tensor.
    #[arg(long, default_value = "list", help_heading = FEATURES)]
    layout: Layout,
    /// What sums, mean and std are divided by [default: 255 for u8, 65535 for u16, 1 for f32]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = FEATURES, hide_short_help = true)]
    scale: Option<f64>,
    /// Write the image as well: tensor, bytes or original
    ///
    /// tensor and bytes are the pixels that the features are of: decoded, gray and resized. original is the input's column.
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_value = "no", default_missing_value = "tensor", hide_default_value = true, help_heading = FEATURES)]
    keep_image: KeepImage,

    /// What becomes of a row without features: null, drop or error
    #[arg(long, value_name = "POLICY", default_value = "null", help_heading = OUTPUT)]
    on_invalid: OnInvalid,
    /// Write the rows without features to this file, as NDJSON
    ///
    /// Lines that are not JSON go there too.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath)]
    quarantine: Option<PathBuf>,
    /// Write a report of the run to this file, as JSON
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath)]
    report: Option<PathBuf>,
    /// How to compress the output: zstd, snappy, gzip or none
    ///
    /// By default zstd for Parquet, none for all else.
    #[arg(long, value_name = "CODEC", help_heading = OUTPUT, hide_short_help = true)]
    compression: Option<io::Compression>,
    /// Write a folder of Parquet files, one for each value of this column
    ///
    /// The files have names such as features/label=3/part-0.parquet.
    #[arg(long, value_name = "COLUMN", help_heading = OUTPUT, hide_short_help = true)]
    partition_by: Option<String>,

    #[command(flatten)]
    quality: QualityArgs,

    /// What computes: auto, cpu, gpu or hybrid (CPU and GPU at once)
    #[arg(long, default_value = "auto", help_heading = RUN)]
    backend: Backend,
    /// Threads to decode and compute with [default: one a core]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = RUN, hide_short_help = true)]
    threads: Option<usize>,
    /// Rows in a batch, at most
    #[arg(long, value_name = "ROWS", default_value_t = 8192, value_parser = at_least_one, help_heading = RUN, hide_short_help = true)]
    batch_size: usize,
    /// Print nothing but errors
    #[arg(short, long, help_heading = RUN)]
    quiet: bool,
    /// Print a script that completes these options in a shell, and end
    ///
    /// For bash: featurize --completions bash > ~/.local/share/bash-completion/completions/featurize
    #[arg(long, value_name = "SHELL", help_heading = RUN, hide_short_help = true)]
    completions: Option<Shell>,
}

const INPUT: &str = "Input";
const IMAGES: &str = "Images";
const FEATURES: &str = "Features";
const OUTPUT: &str = "Output";
const RUN: &str = "Run";

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

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0).ok_or_else(|| "not a positive number".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "not a whole number from 1 on".to_owned())
}

/// `0..3`, or `7` for one epoch.
fn epochs(text: &str) -> Result<Range<u32>, String> {
    let range = match text.split_once("..") {
        Some((start, end)) => start.parse().ok().zip(end.parse().ok()).map(|(start, end)| start..end),
        None => text.parse().ok().and_then(|epoch: u32| Some(epoch..epoch.checked_add(1)?)),
    };
    range.filter(|range| !range.is_empty()).ok_or_else(|| "not a range of epochs such as 0..3, nor an epoch".to_owned())
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(shell) = args.completions {
        clap_complete::generate(shell, &mut Args::command(), "featurize", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let mut options = io::WriteOptions::default();
    options.compression = args.compression;
    options.partition_by = args.partition_by.clone();
    let usable = io::check(&args.output, &options).map_err(|e| e.to_string()).and_then(|()| distinct(&args));
    if let Err(message) = usable {
        eprintln!("error: {message}");
        return ExitCode::from(2);
    }
    let mut result = run(&args, &options, late_members(&args));
    if let Err(Error::LateMember { .. }) = result {
        // Files can be read again, now with a place for what comes late. No output has appeared yet.
        result = run(&args, &options, io::LateMembers::Rest);
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads stdout has had enough.
        Err(Error::Io { source, .. }) if args.output.as_os_str() == "-" && source.kind() == ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", error.to_string().replace('\n', " "));
            if matches!(error, Error::ChecksFailed { .. } | Error::Drifted { .. }) {
                ExitCode::from(3)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// A stream cannot be read again, so it has a column for members that come late from the start.
fn late_members(args: &Args) -> io::LateMembers {
    if args.inputs.iter().any(io::is_stream) { io::LateMembers::Rest } else { io::LateMembers::Fail }
}

/// Lets Ctrl-C and SIGTERM end streams with what has come in whole. The second signal ends the program at once.
fn stop_by_signals(args: &Args) -> Result<io::StopHandle, Error> {
    let stop = io::StopHandle::default();
    if args.inputs.iter().any(io::is_stream) {
        for signal in [SIGINT, SIGTERM] {
            let handled = flag::register_conditional_shutdown(signal, 130, stop.flag())
                .and_then(|_| flag::register(signal, stop.flag()));
            handled.map_err(|source| Error::Io { action: "handle signals for", path: "stdin".into(), source })?;
        }
    }
    Ok(stop)
}

/// No file is written twice, and an input is replaced by the output at most.
fn distinct(args: &Args) -> Result<(), String> {
    let mut used: Vec<(&str, &PathBuf)> = args.inputs.iter().map(|path| ("an input", path)).collect();
    used.push(("the output", &args.output));
    let written = [("--quarantine", args.quarantine.as_ref()), ("--report", args.report.as_ref())];
    for (option, path) in written.into_iter().chain(args.quality.written()) {
        let Some(path) = path else { continue };
        if let Some((other, _)) = used.iter().find(|(_, with)| io::is_same_file(path, with)) {
            return Err(format!("{option} {} is {other} as well", path.display()));
        }
        used.push((option, path));
    }
    Ok(())
}

fn run(args: &Args, options: &io::WriteOptions, late_members: io::LateMembers) -> Result<(), Error> {
    let start = Instant::now();
    let quarantine = args.quarantine.as_ref().map(io::Quarantine::create).transpose()?;
    let report_file = args.report.as_ref().map(io::OutputFile::create).transpose()?;
    let mut quality = Quality::new(&args.quality, quarantine.as_ref(), &args.image)?;
    let (stream, progress) = open(args, late_members, quarantine.as_ref(), &quality)?;
    let report = stream.report_handle();
    let bar = if args.quiet { ProgressBar::hidden() } else { bar(progress.as_ref().and_then(|p| p.bytes_total())) };
    let mut watched = Watched { stream, report: report.clone(), progress, bar, head: None };
    let output = io::prepare(&args.output, &mut watched, options);
    watched.bar.finish_and_clear();
    let output = match output {
        Err(error @ (Error::TooManyInvalid { .. } | Error::ChecksFailed { .. } | Error::Drifted { .. })) => {
            // There is no output, but the rows that are to blame.
            if let Some(quarantine) = &quarantine {
                quarantine.finish()?;
            }
            if !matches!(error, Error::TooManyInvalid { .. }) {
                quality.finish_reports()?;
                quality.told()?.into_iter().for_each(|told| eprintln!("{told}"));
            }
            return Err(error);
        }
        output => output?,
    };
    // The output comes last: as long as it is not there, the run was no success.
    if let Some(quarantine) = &quarantine {
        quarantine.finish()?;
    }
    let told = quality.told()?;
    quality.finish()?;
    let (report, elapsed) = (report.get(), start.elapsed());
    if let (Some(mut file), Some(path)) = (report_file, &args.report) {
        let failed = |source| Error::Io { action: "write", path: path.clone(), source };
        writeln!(file, "{:#}", report_json(&report, elapsed)).map_err(failed)?;
        file.finish()?;
    }
    let written = output.finish()?;
    if !args.quiet {
        let told = told.map(|told| told + "\n").unwrap_or_default();
        let text = told + &summary(args, &report, &written, elapsed, watched.head.as_ref());
        // Stdout may carry the features. That nobody listens does not undo the run.
        let _ = if args.output.as_os_str() == "-" {
            std::io::stderr().write_all(text.as_bytes())
        } else {
            std::io::stdout().write_all(text.as_bytes())
        };
    }
    Ok(())
}

fn open(
    args: &Args,
    late_members: io::LateMembers,
    quarantine: Option<&io::Quarantine>,
    quality: &Quality,
) -> Result<(FeatureStream, Option<io::Progress>), Error> {
    let threads = args.threads.unwrap_or(0);
    let engine = Engine::new(EngineOptions::backend(args.backend).with_threads(threads))?;
    let label = args.quality.label.clone().unwrap_or_else(|| "label".to_owned());
    let spec = FeatureSpec::default()
        .with_image(&args.image)
        .with_shape(args.shape)
        .with_pixel_type(args.pixel_type)
        .with_encoding(args.encoding)
        .with_order(args.order)
        .with_features(args.features.clone())
        .with_scale(args.scale)
        .with_layout(args.layout)
        .with_stages(stages(args))
        .with_seed(args.seed)
        .with_mixing(Mixing::new(args.mixup, args.cutmix)?)
        .with_labels(match args.soft_labels {
            Some(classes) => MixedLabels::Soft(label, classes),
            None => MixedLabels::Pair(label),
        })
        .with_augment_log(args.augment_log)
        .with_mask(args.mask.clone())
        .with_boxes(args.boxes.clone())
        .with_ragged(args.ragged)
        .with_keep_image(args.keep_image)
        .with_on_invalid(args.on_invalid)
        .with_max_invalid(args.quality.max_invalid.unwrap_or_default());
    let featurizer = Featurizer::new(engine, spec);
    let augments = args.augment.is_some() || args.mixup.is_some() || args.cutmix.is_some();
    let epochs = args.epochs.clone().or(augments.then_some(0..1));
    if args.inputs.is_empty() {
        let batch_size = args.batch_size;
        let digits = move || synthetic::Digits::new(10_000, 1, batch_size);
        let mut options = StreamOptions::default();
        options.quarantine = quarantine.map(|q| q.sink(&args.image));
        options.observers = quality.observers();
        let stream = match epochs {
            Some(epochs) => {
                let epochs = Epochs::new(epochs, move |_| Ok(Box::new(digits())))?;
                featurizer.stream_with(epochs, options)?
            }
            None => featurizer.stream_with(digits(), options)?,
        };
        return Ok((stream, None));
    }
    let mut read = io::ReadOptions::default()
        .with_batch_rows(args.batch_size)
        .with_threads(threads)
        .with_late_members(late_members)
        .with_max_delay(Duration::from_millis(args.max_delay))
        .with_stop(stop_by_signals(args)?);
    read.columns = args.columns.clone();
    read.labels = args.labels.clone();
    read.rows = match (args.limit, args.sample) {
        (Some(rows), _) => io::Rows::First(rows),
        (None, Some(rows)) => io::Rows::Sample { rows, seed: args.seed },
        (None, None) => io::Rows::All,
    };
    let mut files = io::FeatureFiles::new(&featurizer).with_read_options(read);
    if let Some(epochs) = epochs {
        files = files.with_epochs(epochs);
    }
    if let Some(quarantine) = quarantine {
        files = files.with_quarantine(quarantine);
    }
    for observer in quality.observers() {
        files = files.with_observer(observer);
    }
    let (stream, progress) = files.open(&args.inputs)?;
    Ok((stream, Some(progress)))
}

/// The stages that the options name: those of --stages, or --gray and then --resize; then those of --augment.
fn stages(args: &Args) -> Chain {
    let short = || {
        let gray = args.gray.then_some(Stage::Gray(Gray(None)));
        gray.into_iter().chain(args.resize.map(Stage::Resize)).collect()
    };
    let stages = args.stages.clone().unwrap_or_else(short);
    stages.then(args.augment.as_ref().unwrap_or(&Chain::new()))
}

fn bar(bytes: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(total) => (ProgressBar::new(total), "{bar:30} {bytes}/{total_bytes}  {msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {elapsed}  {bytes}  {msg}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The stream on its way to the writer: moves the progress bar and remembers the first rows.
struct Watched {
    stream: FeatureStream,
    report: ReportHandle,
    progress: Option<io::Progress>,
    bar: ProgressBar,
    head: Option<RecordBatch>,
}

impl Iterator for Watched {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.stream.next()?;
        if let (Ok(batch), None) = (&batch, &self.head) {
            self.head = Some(batch.slice(0, batch.num_rows().min(5)));
        }
        if !self.bar.is_hidden() {
            let rows = self.report.get().rows_in;
            let rate = rows as f64 / self.bar.elapsed().as_secs_f64().max(1e-3);
            self.bar.set_message(format!("{} rows, {} rows/s", grouped(rows), grouped(rate as u64)));
            if let Some(progress) = &self.progress {
                self.bar.set_position(progress.bytes_read());
            }
        }
        Some(batch)
    }
}

impl RecordBatchReader for Watched {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

impl RecordBatchReader for &mut Watched {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

fn report_json(report: &Report, elapsed: Duration) -> serde_json::Value {
    let invalid: serde_json::Map<_, _> =
        report.rows_invalid.iter().map(|(reason, rows)| (reason.name().to_owned(), (*rows).into())).collect();
    serde_json::json!({
        "rows_in": report.rows_in,
        "rows_featurized": report.rows_featurized,
        "rows_invalid": invalid,
        "other_sizes": report.other_sizes,
        "shape": report.shape.to_string(),
        "pixel_type": report.pixel_type.to_string(),
        "suggested_pixel_type": report.fits.map(|t| t.to_string()),
        "backend": report.backend(),
        "adapter": report.adapter,
        "backend_reason": report.backend_reason,
        "warnings": report.warnings,
        "seconds": { "total": elapsed.as_secs_f64() },
    })
}

fn summary(
    args: &Args,
    report: &Report,
    written: &io::Written,
    elapsed: Duration,
    head: Option<&RecordBatch>,
) -> String {
    let seconds = elapsed.as_secs_f64();
    let rate = grouped((report.rows_in as f64 / seconds.max(1e-9)) as u64);
    let output = if args.output.as_os_str() == "-" { "stdout".to_owned() } else { args.output.display().to_string() };
    let mut text = format!("{report}\n");
    let _ = writeln!(
        text,
        "{} rows, {} bytes in {output}; {seconds:.3} s, {rate} rows/s",
        grouped(written.rows),
        grouped(written.bytes)
    );
    if let (Some(path), true) = (&args.quarantine, report.invalid() > 0) {
        let _ = writeln!(text, "the invalid rows are in {}", path.display());
    }
    if let Some(head) = head.filter(|h| h.num_rows() > 0) {
        text.push('\n');
        text += &table(head);
    }
    text
}

/// The rows as text columns; long values and many columns are cut short.
fn table(batch: &RecordBatch) -> String {
    const COLUMNS: usize = 8;
    let format = FormatOptions::default().with_null("null");
    let mut columns = Vec::new();
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()).take(COLUMNS) {
        let values = ArrayFormatter::try_new(array, &format).ok();
        // A type that cannot be shown is no reason to fail.
        let shown = |row| values.as_ref().and_then(|values| values.value(row).try_to_string().ok());
        let mut cells = vec![shortened(field.name())];
        cells.extend((0..batch.num_rows()).map(|row| shortened(&shown(row).unwrap_or_else(|| "…".to_owned()))));
        columns.push(cells);
    }
    if batch.num_columns() > COLUMNS {
        let more = format!("… {} more", batch.num_columns() - COLUMNS);
        columns.push([more].into_iter().chain(std::iter::repeat_n("…".to_owned(), batch.num_rows())).collect());
    }
    let widths: Vec<usize> =
        columns.iter().map(|cells| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in 0..=batch.num_rows() {
        let cells: Vec<_> =
            columns.iter().zip(&widths).map(|(cells, &width)| format!("{:<width$}", cells[line])).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn shortened(cell: &str) -> String {
    const WIDTH: usize = 40;
    if cell.chars().count() <= WIDTH {
        return cell.to_owned();
    }
    let end = if cell.starts_with('[') { " …]" } else { "…" };
    cell.chars().take(WIDTH).collect::<String>() + end
}

/// 1234567 → 1,234,567
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
