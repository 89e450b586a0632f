//! Columns of pixel arrays into model-ready features: files or streams in, a file or a stream out.

use std::io::{ErrorKind, IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use clap::{CommandFactory, Parser};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use pixelfeat::quality::HashColumns;
use pixelfeat::stages::Mixing;
use pixelfeat::{
    Engine, EngineOptions, Epochs, Error, FeatureSpec, FeatureStream, Featurizer, MixedLabels, Observer, ReportHandle,
    StreamOptions, io, synthetic,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

mod args;
mod quality;
mod tell;

use args::Args;
use quality::Quality;
use tell::{Seconds, report_json, summary};

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(shell) = args.completions {
        clap_complete::generate(shell, &mut Args::command(), "featurize", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let mut options = io::WriteOptions::default();
    options.compression = args.compression;
    options.partition_by = args.partition_by.clone();
    let usable = io::check(&args.output, &options).map_err(|e| e.to_string()).and_then(|()| args.distinct());
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

fn run(args: &Args, options: &io::WriteOptions, late_members: io::LateMembers) -> Result<(), Error> {
    let start = Instant::now();
    let quarantine = args.quarantine.as_ref().map(io::Quarantine::create).transpose()?;
    let report_file = args.report.as_ref().map(io::OutputFile::create).transpose()?;
    let mut quality = Quality::new(&args.quality, quarantine.as_ref(), &args.image)?;
    let drawn = ["10,000 drawn digits".into()];
    quality.describe(if args.inputs.is_empty() { &drawn } else { &args.inputs }, details(args));
    let (stream, progress) = open(args, late_members, quarantine.as_ref(), &quality)?;
    let opened = start.elapsed();
    let report = stream.report_handle();
    let bar = if args.quiet { ProgressBar::hidden() } else { bar(progress.as_ref().and_then(|p| p.bytes_total())) };
    let mut watched = Watched { stream, report: report.clone(), progress, bar, head: None };
    let output = io::prepare(&args.output, &mut watched, options);
    let prepared = start.elapsed();
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
    let (report, times, elapsed) = (report.get(), report.times(), start.elapsed());
    if let (Some(mut file), Some(path)) = (report_file, &args.report) {
        let failed = |source| Error::Io { action: "write", path: path.clone(), source };
        writeln!(file, "{:#}", report_json(&report, &Seconds { opened, prepared, elapsed, times })).map_err(failed)?;
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
        .with_shape(args.shape.or(quality.shape()))
        .with_pixel_type(args.pixel_type)
        .with_encoding(args.encoding)
        .with_order(args.order)
        .with_features(args.features.clone())
        .with_scale(args.scale)
        .with_layout(args.layout)
        .with_stages(args.stages())
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
        options.observers = observers(args, quality);
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
    for observer in observers(args, quality) {
        files = files.with_observer(observer);
    }
    let (stream, progress) = files.open(&args.inputs)?;
    Ok((stream, Some(progress)))
}

/// What watches the run, and what adds columns to its output.
fn observers(args: &Args, quality: &Quality) -> Vec<Box<dyn Observer>> {
    let hashes = args.hashes.then(|| Box::<HashColumns>::default() as Box<dyn Observer>);
    hashes.into_iter().chain(quality.observers()).collect()
}

/// What a page on the quality of the data says of the run.
fn details(args: &Args) -> Vec<(&'static str, String)> {
    let some = |name, value: Option<String>| value.filter(|value| !value.is_empty()).map(|value| (name, value));
    [
        some("Features", Some(args.features.to_string())),
        some("Stages", Some(args.stages().to_string())),
        some("Rows read", args.limit.map(|rows| format!("the first {rows}"))),
        some("Rows read", args.sample.map(|rows| format!("{rows} at random, seed {}", args.seed))),
    ]
    .into_iter()
    .flatten()
    .collect()
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
            self.bar.set_message(format!("{} rows, {} rows/s", HumanCount(rows), HumanCount(rate as u64)));
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
