//! The options of `featurize` that tell where an output came from, and what they do while a run goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args as ClapArgs;
use pixelfeat::lineage::{DIGEST_KEY, Digest, End, Facts, Record, Recorder, RunEvents, Sender, Settings, Source};
use pixelfeat::quality::{CheckReport, Profile, Profiler};
use pixelfeat::{Error, FeatureSpec, ImageShape, Warnings, io};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::Job;
use crate::canonical::canonical;
use crate::quality::Quality;

#[derive(ClapArgs)]
#[command(next_help_heading = "Lineage")]
pub struct LineageArgs {
    /// Tell a file, the console (-) or a server what the run reads and writes, as OpenLineage events
    ///
    /// TARGET is a file, to which events are added as lines; - or console; or an address such as http://localhost:5000. Without it
    /// openlineage.yml and the variables OPENLINEAGE_URL and so on tell, as they tell OpenLineage's own clients. Also hashes the
    /// inputs. A server that does not answer is a warning.
    #[arg(long, value_name = "TARGET", hide_short_help = true)]
    pub lineage: Option<String>,
    /// What events call the job [default: featurize.NAME, by the name of the output]
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    lineage_job: Option<String>,
    /// Write nothing if the output is there already and was made of the same inputs with the same options
    ///
    /// The footer of the output tells: Parquet and Arrow IPC files have one. Inputs are compared by their hashes. Reports and the
    /// like are not written either.
    #[arg(long, hide_short_help = true)]
    pub if_changed: bool,
}

impl LineageArgs {
    /// The file that events are added to.
    pub fn file(&self) -> Option<PathBuf> {
        self.lineage
            .as_ref()
            .filter(|to| !matches!(to.as_str(), "-" | "console") && !to.contains("://"))
            .map(PathBuf::from)
    }

    /// What contradicts the other options.
    pub fn check(&self, job: &Job<'_>) -> Result<(), String> {
        if !self.if_changed {
            return Ok(());
        }
        if let Some(stream) = job.inputs.iter().find(|input| io::is_stream(input)) {
            return Err(format!(
                "--if-changed: {} is a stream, which cannot be compared with an earlier one",
                stream.display()
            ));
        }
        match job.has_footer {
            true => Ok(()),
            false => Err(format!("--if-changed: {} has no footer that tells what made it", job.output.display())),
        }
    }
}

/// What is known and told of a run, from its start to its end.
pub struct Lineage<'a> {
    job: Job<'a>,
    settings: Settings,
    warnings: Warnings,
    events: Option<(RunEvents, Sender)>,
    /// Set by Ctrl-C and SIGTERM.
    stopped: Arc<AtomicBool>,
    recorder: Option<Recorder>,
    /// Rows and bytes.
    pub written: Option<(u64, u64)>,
    pub digest: Option<Digest>,
    profile: Option<Profile>,
    checks: Option<CheckReport>,
}

impl<'a> Lineage<'a> {
    pub fn new(job: Job<'a>) -> Self {
        // Stdout is for the features if they go there.
        let stderr = job.output.as_os_str() == "-";
        let settings = Settings::of_environment(job.options.lineage.lineage.as_deref(), stderr);
        let warnings = Warnings::default();
        settings.warnings.iter().for_each(|warning| warnings.add(warning));
        Self {
            job,
            settings,
            warnings,
            events: None,
            stopped: Arc::default(),
            recorder: None,
            written: None,
            digest: None,
            profile: None,
            checks: None,
        }
    }

    /// A recorder of a run; `None` if the run is not needed, because the output is there already.
    pub fn begin(&mut self, spec: &FeatureSpec, shape: Option<ImageShape>) -> Result<Option<Recorder>, Error> {
        let job = self.job;
        let mut sources = job.inputs.iter().map(io::source).collect::<Result<Vec<_>, _>>()?;
        sources.extend(job.options.labels.as_deref().map(|labels| Source::of_option("labels", labels)));
        let recorder = Recorder::new(sources, spec, canonical(&job, shape));
        // The bytes of the output follow from the command line, and not from the environment.
        if job.options.lineage.lineage.is_some() || job.options.lineage.if_changed || job.options.digest {
            recorder.hash_inputs()?;
        }
        if job.options.lineage.if_changed && is_made_by(&job, &recorder) {
            return Ok(None);
        }
        self.recorder = Some(recorder.clone());
        self.start(&recorder)?;
        Ok(Some(recorder))
    }

    /// What must watch the batches; `None` if nobody is told what it sees.
    pub fn watcher(&self) -> Option<Recorder> {
        let is_told = self.events.is_some() || self.job.has_footer;
        self.recorder.clone().filter(|_| is_told)
    }

    /// Sends START, once.
    fn start(&mut self, recorder: &Recorder) -> Result<(), Error> {
        if self.events.is_some() || self.settings.transports.is_empty() {
            return Ok(());
        }
        if !self.job.inputs.iter().any(io::is_stream) {
            // A stream ends by a signal. Any other run is stopped, and says so; the second signal ends it at once.
            for signal in [SIGINT, SIGTERM] {
                let handled = flag::register_conditional_shutdown(signal, 130, self.stopped.clone())
                    .and_then(|_| flag::register(signal, self.stopped.clone()));
                handled.map_err(|source| Error::Io { action: "handle signals for", path: "lineage".into(), source })?;
            }
        }
        let stem = self.job.output.file_stem().map(|stem| stem.to_string_lossy()).filter(|stem| stem != "-");
        let job = stem.map_or_else(|| "featurize".to_owned(), |stem| format!("featurize.{stem}"));
        let job = self.job.options.lineage.lineage_job.as_ref().unwrap_or(&job);
        let output = self.job.output.display().to_string();
        let events = RunEvents::new(&self.settings.namespace, job, &recorder.sources(), &output);
        let sender = Sender::new(self.settings.transports.clone(), self.warnings.clone())?;
        sender.send(events.start());
        self.events = Some((events, sender));
        Ok(())
    }

    /// Keeps what is known of the rows for the last event.
    pub fn note(&mut self, quality: &Quality<'_>) {
        if self.events.is_some() {
            (self.profile, self.checks) = (quality.profiler.as_ref().map(Profiler::profile), quality.report());
        }
    }

    /// Whether a signal has come that is to stop the run.
    pub fn stopped(&self) -> Arc<AtomicBool> {
        self.stopped.clone()
    }

    /// Sends the last event and waits for it, and tells all warnings. `failed` is why the run failed, if it did.
    pub fn end(mut self, failed: Option<&str>, aborted: bool) {
        let events = self.events.take();
        if let Some(recorder) = &self.recorder {
            // Those of the hashes.
            recorder.inputs(&self.warnings);
        }
        if let Some((events, sender)) = events {
            let record = self.recorder.as_ref().map(Recorder::record);
            let (input, output) =
                self.recorder.as_ref().map(|of| (of.input_schema(), of.output_schema())).unwrap_or_default();
            let mut facts = Facts::default();
            facts.record = record.as_ref();
            (facts.input, facts.output) = (input.as_deref(), output.as_deref());
            let version = self.digest.map(|digest| digest.to_string());
            facts.version = version.as_deref();
            facts.written = self.written;
            (facts.profile, facts.checks) = (self.profile.as_ref(), self.checks.as_ref());
            let end = match failed {
                _ if aborted || self.stopped.load(Ordering::Relaxed) => End::Abort,
                Some(message) => End::Fail(message),
                None => End::Complete,
            };
            sender.send(events.end(end, &facts));
            sender.finish();
        }
        if !self.job.options.quiet {
            self.warnings.all().iter().for_each(|warning| eprintln!("warning: {warning}"));
        }
    }
}

/// Whether the output is there, and its footer tells all that this run would tell.
fn is_made_by(job: &Job<'_>, recorder: &Recorder) -> bool {
    let pairs = io::read_footer(job.output).unwrap_or_default();
    // What is damaged or of another version is written anew.
    let record = Record::of_footer(&pairs, "").ok().flatten();
    record.is_some_and(|record| record.id == recorder.id()) && (!job.options.digest || pairs.contains_key(DIGEST_KEY))
}
