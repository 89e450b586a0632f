//! A run: everything of `featurize` but its output.

use std::io::{ErrorKind, IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use pixelfeat::lineage::{DigestHandle, Digesting, Recorder};
use pixelfeat::quality::HashColumns;
use pixelfeat::stages::Mixing;
use pixelfeat::{
    BoxedReader, Engine, EngineOptions, Epochs, Error, FeatureSpec, FeatureStream, Featurizer, MixedLabels, Observer,
    Report, ReportHandle, StreamOptions, io, synthetic,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::{Job, Options};
use crate::lineage::Lineage;
use crate::quality::Quality;
use crate::tell::{Proof, Seconds, report_json, size, summary};

/// Where the images come from.
pub enum Input<'a> {
    /// Files, folders, patterns or stdin.
    Files(&'a [PathBuf]),
    /// Something of this name that can be read as often as needed.
    Reader(String, Arc<Open>),
}

pub type Open = dyn Fn(&io::ReadOptions) -> Result<Opened, Error> + Send + Sync;

/// A reader, what its stream is told of it, and how far it has got.
pub struct Opened(pub BoxedReader, pub StreamOptions, pub Option<io::Progress>);

impl Input<'_> {
    /// 10,000 drawn digits.
    pub fn digits() -> Self {
        let digits = |options: &io::ReadOptions| Box::new(synthetic::Digits::new(10_000, 1, options.batch_rows));
        let open = move |options: &io::ReadOptions| Ok(Opened(digits(options), StreamOptions::default(), None));
        Input::Reader("10,000 drawn digits".to_owned(), Arc::new(open))
    }

    fn names(&self) -> Vec<PathBuf> {
        match self {
            Input::Files(names) => names.to_vec(),
            Input::Reader(name, _) => vec![name.into()],
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self, Input::Files(names) if names.iter().any(io::is_stream))
    }

    /// Lets Ctrl-C and SIGTERM end streams with what has come in whole. The second signal ends the program at once.
    fn stop_by_signals(&self) -> Result<io::StopHandle, Error> {
        let stop = io::StopHandle::default();
        if self.is_stream() {
            for signal in [SIGINT, SIGTERM] {
                let handled = flag::register_conditional_shutdown(signal, 130, stop.flag())
                    .and_then(|_| flag::register(signal, stop.flag()));
                handled.map_err(|source| Error::Io { action: "handle signals for", path: "stdin".into(), source })?;
            }
        }
        Ok(stop)
    }
}

/// Does a run, once more with a place for members of JSON objects that come late, if there are such in files. Tells how it ended.
pub fn complete(
    job: Job<'_>,
    input: &Input<'_>,
    mut run: impl FnMut(io::LateMembers, &mut Lineage<'_>) -> Result<(), Error>,
) -> ExitCode {
    let mut lineage = Lineage::new(job);
    // A stream cannot be read again, so it has a column for members that come late from the start.
    let late_members = if input.is_stream() { io::LateMembers::Rest } else { io::LateMembers::Fail };
    let mut result = run(late_members, &mut lineage);
    if let Err(Error::LateMember { .. }) = result {
        // No output has appeared yet.
        result = run(io::LateMembers::Rest, &mut lineage);
    }
    let why = result.as_ref().err().map(message);
    // Who reads stdout has had enough.
    let has_enough = job.output.as_os_str() == "-"
        && matches!(&result, Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe);
    let is_stopped = matches!(&result, Err(Error::Io { source, .. }) if source.kind() == ErrorKind::Interrupted);
    lineage.end(why.as_deref(), has_enough || is_stopped);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if has_enough => ExitCode::SUCCESS,
        Err(error) if is_stopped => {
            eprintln!("error: {}", message(&error));
            ExitCode::from(130)
        }
        Err(error) => failure(&error),
    }
}

/// Prints why a run failed.
pub fn failure(error: &Error) -> ExitCode {
    eprintln!("error: {}", message(error));
    let judged = matches!(error, Error::ChecksFailed { .. } | Error::Drifted { .. });
    if judged { ExitCode::from(3) } else { ExitCode::FAILURE }
}

fn message(error: &Error) -> String {
    let text = match error {
        // One of a program that is no error of pixelfeat.
        Error::Arrow(ArrowError::ExternalError(other)) => other.to_string(),
        own => own.to_string(),
    };
    text.replace('\n', " ")
}

/// A run whose features are still to be written.
pub struct Run<'a> {
    options: &'a Options,
    start: Instant,
    quarantine: Option<io::Quarantine>,
    report_file: Option<io::OutputFile>,
    quality: Quality<'a>,
    recorder: Recorder,
    features: Watched,
    /// When the input was open and when all rows were written, from the start.
    opened: Duration,
    prepared: Duration,
}

impl<'a> Run<'a> {
    /// Opens what is read and creates what is written beside the output; `None` if the output is there already.
    pub fn start(
        job: Job<'a>,
        input: &Input<'_>,
        late_members: io::LateMembers,
        lineage: &mut Lineage<'_>,
    ) -> Result<Option<Self>, Error> {
        let (start, options) = (Instant::now(), job.options);
        let quarantine = options.quarantine.as_ref().map(io::Quarantine::create).transpose()?;
        let report_file = options.report.as_ref().map(io::OutputFile::create).transpose()?;
        let mut quality = Quality::new(&options.quality, quarantine.as_ref(), &options.image)?;
        quality.describe(&input.names(), details(options));
        let spec = spec(options, &quality)?;
        let Some(recorder) = lineage.begin(&spec, spec.shape)? else {
            if !options.quiet {
                println!(
                    "{} is there already, made of the same inputs and options: nothing was written",
                    job.output.display()
                );
            }
            return Ok(None);
        };
        let observers = observers(options, &quality, lineage.watcher());
        let (stream, progress) = open(options, input, late_members, quarantine.as_ref(), spec, observers)?;
        let bytes = progress.as_ref().filter(|_| !options.quiet).and_then(|progress| progress.bytes_total());
        let bar = if options.quiet { ProgressBar::hidden() } else { bar(bytes) };
        let (report, stopped) = (stream.report_handle(), lineage.stopped());
        let features = Watched { stream, report, progress, bar, head: None, stopped };
        let opened = start.elapsed();
        let prepared = opened;
        Ok(Some(Self { options, start, quarantine, report_file, quality, recorder, features, opened, prepared }))
    }

    /// Gives the features to a writer, with the options to write them by, and makes a digest of them if there is to be one.
    pub fn write<T>(
        &mut self,
        output: &io::WriteOptions,
        with_digest: bool,
        write: impl FnOnce(Box<dyn RecordBatchReader + '_>, &io::WriteOptions) -> Result<T, Error>,
    ) -> Result<(T, Option<DigestHandle>), Error> {
        let recorder = self.recorder.clone();
        let output = output.clone().with_footer(move || Ok(vec![recorder.footer()]));
        let rows = self.recorder.written(&mut self.features);
        let written = if with_digest {
            let rows = Digesting::new(rows)?;
            let digest = rows.handle();
            let told = digest.clone();
            let output = output.with_footer(move || Ok(vec![told.pair()]));
            write(Box::new(rows), &output).map(|written| (written, Some(digest)))
        } else {
            write(Box::new(rows), &output).map(|written| (written, None))
        };
        self.prepared = self.start.elapsed();
        written
    }

    /// Writes what a run without an output has to tell; returns the error to end with.
    pub fn failed(mut self, error: Error, lineage: &mut Lineage<'_>) -> Error {
        self.features.bar.finish_and_clear();
        lineage.note(&self.quality);
        let judged = matches!(error, Error::ChecksFailed { .. } | Error::Drifted { .. });
        if !judged && !matches!(error, Error::TooManyInvalid { .. }) {
            return error;
        }
        // There is no output, but the rows that are to blame.
        let mut told = || {
            if let Some(quarantine) = &self.quarantine {
                quarantine.finish()?;
            }
            if judged {
                self.quality.finish_reports()?;
                self.quality.told()?.into_iter().for_each(|told| eprintln!("{told}"));
            }
            Ok(())
        };
        told().err().unwrap_or(error)
    }

    /// Completes what is written beside the output, which should appear last: as long as it is not there, the run was no
    /// success.
    pub fn finish(self, proof: Proof, lineage: &mut Lineage<'_>) -> Result<Done<'a>, Error> {
        self.features.bar.finish_and_clear();
        lineage.note(&self.quality);
        if let Some(quarantine) = &self.quarantine {
            quarantine.finish()?;
        }
        let told = self.quality.told()?;
        self.quality.finish()?;
        let (report, times) = (self.features.report.get(), self.features.report.times());
        if let (Some(mut file), Some(path)) = (self.report_file, &self.options.report) {
            let failed = |source| Error::Io { action: "write", path: path.clone(), source };
            let (opened, prepared, elapsed) = (self.opened, self.prepared, self.start.elapsed());
            let seconds = Seconds { opened, prepared, elapsed, times };
            writeln!(file, "{:#}", report_json(&report, &proof, &seconds)).map_err(failed)?;
            file.finish()?;
        }
        Ok(Done { options: self.options, told, report, proof, start: self.start, head: self.features.head })
    }
}

/// A run that was a success.
pub struct Done<'a> {
    options: &'a Options,
    told: Option<String>,
    report: Report,
    proof: Proof,
    start: Instant,
    head: Option<RecordBatch>,
}

impl Done<'_> {
    /// Prints the account of the run; `written` says what is where. It goes to stderr if stdout carries the features.
    pub fn tell(self, written: &str, (rows, bytes): (u64, u64), to_stderr: bool, lineage: &mut Lineage<'_>) {
        (lineage.written, lineage.digest) = (Some((rows, bytes)), self.proof.digest);
        if self.options.quiet {
            return;
        }
        let told = self.told.map(|told| told + "\n").unwrap_or_default();
        let (elapsed, written) = (self.start.elapsed(), format!("{} in {written}", size(rows, bytes)));
        let text = told + &summary(self.options, &self.report, &written, &self.proof, elapsed, self.head.as_ref());
        // That nobody listens does not undo the run.
        let _ = if to_stderr {
            std::io::stderr().write_all(text.as_bytes())
        } else {
            std::io::stdout().write_all(text.as_bytes())
        };
    }
}

/// What is computed.
fn spec(options: &Options, quality: &Quality) -> Result<FeatureSpec, Error> {
    let label = options.quality.label.clone().unwrap_or_else(|| "label".to_owned());
    Ok(FeatureSpec::default()
        .with_image(&options.image)
        .with_shape(options.shape.or(quality.shape()))
        .with_pixel_type(options.pixel_type)
        .with_encoding(options.encoding)
        .with_order(options.order)
        .with_features(options.features.clone())
        .with_scale(options.scale)
        .with_layout(options.layout)
        .with_stages(options.stages())
        .with_seed(options.seed)
        .with_mixing(Mixing::new(options.mixup, options.cutmix)?)
        .with_labels(match options.soft_labels {
            Some(classes) => MixedLabels::Soft(label, classes),
            None => MixedLabels::Pair(label),
        })
        .with_augment_log(options.augment_log)
        .with_mask(options.mask.clone())
        .with_boxes(options.boxes.clone())
        .with_ragged(options.ragged)
        .with_keep_image(options.keep_image)
        .with_on_invalid(options.on_invalid)
        .with_max_invalid(options.quality.max_invalid.unwrap_or_default()))
}

fn open(
    options: &Options,
    input: &Input<'_>,
    late_members: io::LateMembers,
    quarantine: Option<&io::Quarantine>,
    spec: FeatureSpec,
    observers: Vec<Box<dyn Observer>>,
) -> Result<(FeatureStream, Option<io::Progress>), Error> {
    let threads = options.threads.unwrap_or(0);
    let engine = Engine::new(EngineOptions::backend(options.backend).with_threads(threads))?;
    let featurizer = Featurizer::new(engine, spec);
    let augments = options.augment.is_some() || options.mixup.is_some() || options.cutmix.is_some();
    let epochs = options.epochs.clone().or(augments.then_some(0..1));
    let mut read = io::ReadOptions::image(&options.image)
        .with_pixel_type(options.pixel_type)
        .with_batch_rows(options.batch_size)
        .with_threads(threads)
        .with_late_members(late_members)
        .with_max_delay(Duration::from_millis(options.max_delay))
        .with_stop(input.stop_by_signals()?);
    read.columns = options.columns.clone();
    read.labels = options.labels.clone();
    read.rows = match (options.limit, options.sample) {
        (Some(rows), _) => io::Rows::First(rows),
        (None, Some(rows)) => io::Rows::Sample { rows, seed: options.seed },
        (None, None) => io::Rows::All,
    };
    let names = match input {
        Input::Files(names) => *names,
        Input::Reader(_, open) => {
            let Opened(reader, mut beside, progress) = open(&read)?;
            beside.quarantine = quarantine.map(|quarantine| quarantine.sink(&options.image));
            beside.observers = observers;
            let stream = match epochs {
                Some(epochs) => {
                    let (open, mut first) = (open.clone(), Some(reader));
                    let open = move |_| first.take().map_or_else(|| open(&read).map(|Opened(reader, ..)| reader), Ok);
                    featurizer.stream_with(Epochs::new(epochs, open)?, beside)?
                }
                None => featurizer.stream_with(reader, beside)?,
            };
            return Ok((stream, progress));
        }
    };
    let mut files = io::FeatureFiles::new(&featurizer).with_read_options(read);
    if let Some(epochs) = epochs {
        files = files.with_epochs(epochs);
    }
    if let Some(quarantine) = quarantine {
        files = files.with_quarantine(quarantine);
    }
    for observer in observers {
        files = files.with_observer(observer);
    }
    let (stream, progress) = files.open(names)?;
    Ok((stream, Some(progress)))
}

/// What watches the run, and what adds columns to its output.
fn observers(options: &Options, quality: &Quality, lineage: Option<Recorder>) -> Vec<Box<dyn Observer>> {
    let hashes = options.hashes.then(|| Box::<HashColumns>::default() as Box<dyn Observer>);
    let lineage = lineage.map(|recorder| Box::new(recorder) as Box<dyn Observer>);
    hashes.into_iter().chain(quality.observers()).chain(lineage).collect()
}

/// What a page on the quality of the data says of the run.
fn details(options: &Options) -> Vec<(&'static str, String)> {
    let some = |name, value: Option<String>| value.filter(|value| !value.is_empty()).map(|value| (name, value));
    [
        some("Features", Some(options.features.to_string())),
        some("Stages", Some(options.stages().to_string())),
        some("Rows read", options.limit.map(|rows| format!("the first {rows}"))),
        some("Rows read", options.sample.map(|rows| format!("{rows} at random, seed {}", options.seed))),
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
pub struct Watched {
    stream: FeatureStream,
    report: ReportHandle,
    progress: Option<io::Progress>,
    bar: ProgressBar,
    head: Option<RecordBatch>,
    /// Set when the run is to stop.
    stopped: Arc<AtomicBool>,
}

impl Iterator for Watched {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped.load(Ordering::Relaxed) {
            let source = std::io::Error::new(ErrorKind::Interrupted, "a signal stopped the run");
            return Some(Err(Error::Io { action: "write", path: "the output".into(), source }.into()));
        }
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
