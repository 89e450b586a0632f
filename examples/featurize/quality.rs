//! The options of `featurize` and `check` that look at the data: what they watch, and the files that they write.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::SystemTime;

use clap::{ArgGroup, Args};
use pixelfeat::quality::{
    CheckReport, Checker, Checks, Contract, DriftOptions, DriftWatch, Issue, IssueOptions, IssueWatch, LabelWatch,
    MaxDrift, Profile, Profiler, QualityReport, Severity,
};
use pixelfeat::{Error, ImageShape, MaxInvalid, Observed, Observer, io};

/// The options that find something for `--check-report` to tell.
pub const FOUND: &str = "found";
/// Those that look for issues of images.
const LOOKED: &str = "looked";

#[derive(Args)]
#[command(next_help_heading = "Quality", groups = [ArgGroup::new(FOUND).multiple(true), ArgGroup::new(LOOKED).multiple(true)])]
pub struct QualityArgs {
    /// How many rows may be without features, as 10 or 1% [default: all but one]
    ///
    /// With more of them the run fails and no output appears; what went to stdout cannot be taken back. 100% lets all pass.
    #[arg(long, value_name = "N|N%")]
    pub max_invalid: Option<MaxInvalid>,
    /// Write a profile of all columns, pixels and features to this file, as JSON
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    profile: Option<PathBuf>,
    /// The column of the labels
    ///
    /// The profile tells the sizes and means of its classes, --label-report and --quality-report how many labels may be wrong.
    /// --mixup and --cutmix mix it [default for these: label].
    #[arg(long, value_name = "COLUMN", hide_short_help = true)]
    pub label: Option<String>,
    /// Hold the rows to the checks in this file, as JSON
    ///
    /// If a check of severity error fails, no output appears and the exit code is 3.
    #[arg(long, value_name = "FILE", group = FOUND)]
    check: Option<PathBuf>,
    /// Hold the rows to the data contract in this file, in YAML of the Open Data Contract Standard
    ///
    /// Its custom property `shape` is the image shape unless --shape tells another one. FILE#TABLE names one of several tables.
    #[arg(long, value_name = "FILE[#TABLE]", group = FOUND, hide_short_help = true)]
    contract: Option<String>,
    /// Look for images that are dark, light, blurry, repeated and so on
    ///
    /// The issues are dark, light, low_information, blurry, odd_aspect_ratio, odd_size, exact_duplicate and near_duplicate. They
    /// are told at the end with the first rows, as warnings. featurize adds a column of lists of their names. Of several images
    /// that are the same, or nearly so, the first has no issue. Odd sizes show only at the end, so the column has none.
    #[arg(long, groups = [FOUND, LOOKED], hide_short_help = true)]
    pub issues: bool,
    /// The score below which an image has an issue, as dark=0.2; for odd_size a factor
    ///
    /// May be repeated. By default dark=0.32, light=0.05, low_information=0.3, blurry=0.29, odd_aspect_ratio=0.35, odd_size=3.
    #[arg(long, value_name = "ISSUE=N", value_parser = issue_threshold, requires = LOOKED, hide_short_help = true)]
    pub issue_threshold: Vec<(Issue, f64)>,
    /// Write what the checks, the contract and --issues found to this file
    ///
    /// It is JSON if its name ends in .json, JUnit XML if in .xml, else text.
    #[arg(long, value_name = "FILE", requires = FOUND, hide_short_help = true)]
    check_report: Option<PathBuf>,
    /// Write the rows that fail a check to the quarantine as well
    #[arg(long, requires_all = [FOUND, "quarantine"], hide_short_help = true)]
    quarantine_failed: bool,
    /// Tell how far the rows are from those of this profile, which --profile wrote
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    reference: Option<PathBuf>,
    /// How many columns may have drifted from --reference, as a number or a share
    ///
    /// With more of them no output appears and the exit code is 3.
    #[arg(long, value_name = "N|N%", requires = "reference", hide_short_help = true)]
    max_drift: Option<MaxDrift>,
    /// From which distance on (or below which probability) a column counts as drifted [default: 0.1 or 0.05]
    ///
    /// May be repeated.
    #[arg(long, value_name = "COLUMN=N", value_parser = threshold, requires = "reference", hide_short_help = true)]
    drift_threshold: Vec<(String, f64)>,
    /// Estimate how many labels are wrong, and write that and the most suspicious rows to this file, as JSON
    ///
    /// A logistic regression learns from four fifths of the rows and judges the others, five times; then as cleanlab does. Of more
    /// than 20,000 rows it takes so many at random. The end of the run tells the five most suspicious rows.
    #[arg(long, value_name = "FILE", requires = "label", hide_short_help = true)]
    pub label_report: Option<PathBuf>,
    /// Write how far each column is from --reference to this file, as JSON
    #[arg(long, value_name = "FILE", requires = "reference", hide_short_help = true)]
    drift_report: Option<PathBuf>,
    /// Write what is known of the quality of the data to this file, as one HTML page with pictures
    ///
    /// It tells of completeness, consistency, accuracy, freshness, representativeness and uniqueness what was measured and how. It
    /// makes a profile and looks for issues on its own, and has more to tell with --label, --reference, and --check or --contract.
    #[arg(long, value_name = "FILE", group = LOOKED, hide_short_help = true)]
    quality_report: Option<PathBuf>,
}

/// So many images of each issue are shown in the page.
const PICTURES: usize = 24;

impl QualityArgs {
    /// The files that are written, by their options.
    pub fn written(&self) -> impl Iterator<Item = (&'static str, Option<&PathBuf>)> {
        [
            ("--profile", self.profile.as_ref()),
            ("--check-report", self.check_report.as_ref()),
            ("--label-report", self.label_report.as_ref()),
            ("--drift-report", self.drift_report.as_ref()),
            ("--quality-report", self.quality_report.as_ref()),
        ]
        .into_iter()
    }
}

fn threshold(text: &str) -> Result<(String, f64), String> {
    let (column, value) = text.rsplit_once('=').ok_or("it is not NAME=N")?;
    let value = value.parse().ok().filter(|value: &f64| *value >= 0.0).ok_or("not a number from 0 on")?;
    Ok((column.to_owned(), value))
}

fn issue_threshold(text: &str) -> Result<(Issue, f64), String> {
    let (issue, value) = threshold(text)?;
    let issue: Issue = issue.parse().map_err(|error: Error| error.to_string())?;
    let known = IssueOptions::default().with_threshold(issue, value);
    known.map(|_| (issue, value)).map_err(|error| error.to_string())
}

/// What the options ask for, while a run goes on.
pub struct Quality<'a> {
    args: &'a QualityArgs,
    /// Those of --issues, or those that the page alone needs.
    issues: Option<IssueWatch>,
    pub profiler: Option<Profiler>,
    pub checker: Option<Checker>,
    pub drift: Option<DriftWatch>,
    pub labels: Option<LabelWatch>,
    contract: Option<Contract>,
    /// What was found in other data sets.
    pub leaks: Option<CheckReport>,
    profile: Option<ProfileFile>,
    check_report: Option<io::OutputFile>,
    label_report: Option<io::OutputFile>,
    drift_report: Option<io::OutputFile>,
    page: Option<io::OutputFile>,
    /// What the page calls the data, and what it says at its top beside the options here.
    data: String,
    details: Vec<(&'static str, String)>,
}

/// The file of the profile. A thread of its own writes it after the last batch, while the last features are written.
#[derive(Clone)]
struct ProfileFile {
    path: PathBuf,
    profiler: Profiler,
    state: Arc<Mutex<ProfileState>>,
}

enum ProfileState {
    Empty(io::OutputFile),
    Written(JoinHandle<Result<io::OutputFile, Error>>),
    Taken,
}

impl ProfileFile {
    fn lock(&self) -> MutexGuard<'_, ProfileState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> ProfileState {
        std::mem::replace(&mut self.lock(), ProfileState::Taken)
    }

    /// Starts the thread if it has not been.
    fn start(&self) -> Result<(), Error> {
        let mut file = match self.take() {
            ProfileState::Empty(file) => file,
            other => {
                *self.lock() = other;
                return Ok(());
            }
        };
        let (profiler, path) = (self.profiler.clone(), self.path.clone());
        let write = move || {
            let written = profiler.look(|profile| profile.write_json(&mut file)).and_then(|()| writeln!(file));
            written.map_err(|source| Error::Io { action: "write", path, source })?;
            file.sync()?;
            Ok(file)
        };
        let thread = Builder::new().name("profile".to_owned()).spawn(write).map_err(|e| self.failed(e))?;
        *self.lock() = ProfileState::Written(thread);
        Ok(())
    }

    /// Completes the file. It is written now if no batch was seen, as of tables without images.
    fn complete(&self) -> Result<(), Error> {
        self.start()?;
        let ProfileState::Written(thread) = self.take() else { return Ok(()) };
        let written = thread.join().map_err(|_| self.failed(std::io::Error::other("the profile has no text")))?;
        written?.finish().map(drop)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Io { action: "write", path: self.path.clone(), source }
    }
}

impl Observer for ProfileFile {
    fn observe(&mut self, _: &Observed<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.start()
    }
}

impl Drop for Quality<'_> {
    /// Waits for the thread that writes the profile of a run that failed, so that its file is removed.
    fn drop(&mut self) {
        if let Some(ProfileState::Written(thread)) = self.profile.as_ref().map(ProfileFile::take) {
            drop(thread.join());
        }
    }
}

impl<'a> Quality<'a> {
    /// Reads what is to be read and creates what is to be written, before any work is done.
    pub fn new(args: &'a QualityArgs, quarantine: Option<&io::Quarantine>, image: &str) -> Result<Self, Error> {
        let create = |path: &Option<PathBuf>| path.as_ref().map(io::OutputFile::create).transpose();
        let contract = args.contract.as_deref().map(contract_of).transpose()?;
        let checks: Option<Checks> = args.check.as_deref().map(|path| text_of(path)?.parse()).transpose()?;
        let checks = match &contract {
            Some(contract) => Some(checks.unwrap_or_default().and(contract.checks())),
            None => checks,
        };
        let reference = args.reference.as_deref().map(profile_of).transpose()?;
        let needs_profile = args.profile.is_some()
            || args.quality_report.is_some()
            || reference.is_some()
            || checks.as_ref().is_some_and(Checks::need_profile);
        let profiler = needs_profile.then(|| Profiler::new(args.label.as_deref()));
        let checker = checks.map(|checks| Checker::with_profiler(checks, profiler.clone().unwrap_or_default()));
        let quarantine = quarantine.filter(|_| args.quarantine_failed);
        let checker = checker.map(|checker| match quarantine {
            Some(quarantine) => checker.with_quarantine(quarantine.sink(image)),
            None => checker,
        });
        let mut options = DriftOptions::default();
        options.thresholds = args.drift_threshold.iter().cloned().collect();
        // Without a limit drift is told and stops nothing.
        options.max_drift = args.max_drift.unwrap_or(MaxDrift::Columns(u64::MAX));
        let profile = profiler.clone().unwrap_or_default();
        let drift = reference.map(|reference| DriftWatch::new(profile, reference, options));
        let set = |options: IssueOptions, &(issue, value): &(Issue, f64)| options.with_threshold(issue, value);
        let options = args.issue_threshold.iter().try_fold(IssueOptions::default(), set)?;
        let issues = (args.issues || args.quality_report.is_some()).then(|| {
            let watch = IssueWatch::new(options);
            let watch = if args.quality_report.is_some() { watch.with_pictures(PICTURES) } else { watch };
            match &profiler {
                // What the page alone needs shows nowhere else.
                _ if !args.issues => watch.without_column(),
                Some(profiler) => watch.with_profiler(profiler.clone()),
                None => watch,
            }
        });
        let profile = match (&args.profile, &profiler) {
            (Some(path), Some(profiler)) => {
                let state = Arc::new(Mutex::new(ProfileState::Empty(io::OutputFile::create(path)?)));
                Some(ProfileFile { path: path.clone(), profiler: profiler.clone(), state })
            }
            _ => None,
        };
        let judges_labels = args.label_report.is_some() || args.quality_report.is_some();
        let labels = args.label.as_ref().filter(|_| judges_labels).map(LabelWatch::new);
        Ok(Self {
            args,
            issues,
            profiler,
            checker,
            drift,
            labels,
            contract,
            leaks: None,
            profile,
            check_report: create(&args.check_report)?,
            label_report: create(&args.label_report)?,
            drift_report: create(&args.drift_report)?,
            page: create(&args.quality_report)?,
            data: String::new(),
            details: Vec::new(),
        })
    }

    /// Says for the page which files are read, and what else is of interest.
    pub fn describe(&mut self, inputs: &[PathBuf], details: Vec<(&'static str, String)>) {
        const NAMED: usize = 3;
        let mut names: Vec<String> = inputs.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        if inputs.len() > NAMED {
            names.push(format!("{} more", inputs.len() - NAMED));
        }
        (self.data, self.details) = (names.join(", "), details);
    }

    /// The shape that the contract gives the images.
    pub fn shape(&self) -> Option<ImageShape> {
        self.contract.as_ref().and_then(Contract::shape)
    }

    /// What watches the run.
    pub fn observers(&self) -> Vec<Box<dyn Observer>> {
        let issues = self.issues.iter().map(|issues| Box::new(issues.clone()) as Box<dyn Observer>);
        let profiler = self.profiler.iter().map(|profiler| Box::new(profiler.clone()) as Box<dyn Observer>);
        let checker = self.checker.iter().map(|checker| Box::new(checker.clone()) as Box<dyn Observer>);
        let drift = self.drift.iter().map(|drift| Box::new(drift.clone()) as Box<dyn Observer>);
        let labels = self.labels.iter().map(|labels| Box::new(labels.clone()) as Box<dyn Observer>);
        let file = self.profile.iter().map(|file| Box::new(file.clone()) as Box<dyn Observer>);
        issues.chain(profiler).chain(labels).chain(checker).chain(drift).chain(file).collect()
    }

    /// Completes the files of a run that has come to its end.
    pub fn finish(mut self) -> Result<(), Error> {
        if let Some(file) = &self.profile {
            file.complete()?;
        }
        self.finish_reports()
    }

    /// Completes the reports, which are written whether all is well or not.
    pub fn finish_reports(&mut self) -> Result<(), Error> {
        if let (Some(drift), Some(file), Some(path)) = (&self.drift, self.drift_report.take(), &self.args.drift_report)
        {
            write(file, path, &format!("{:#}", drift.report()?.to_json()))?;
        }
        let (labels, file) = (&self.labels, self.label_report.take());
        if let (Some(labels), Some(file), Some(path)) = (labels, file, &self.args.label_report) {
            write(file, path, &format!("{:#}", labels.report()?.to_json()))?;
        }
        if let (Some(file), Some(path)) = (self.page.take(), &self.args.quality_report) {
            write(file, path, &self.page()?.to_html())?;
        }
        let (Some(report), Some(file), Some(path)) = (self.report(), self.check_report.take(), &self.args.check_report)
        else {
            return Ok(());
        };
        let text = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => format!("{:#}", report.to_json()),
            Some("xml") => report.to_junit(),
            _ => report.to_string(),
        };
        write(file, path, &text)
    }

    /// What checks found: those of the user, the issues of images, and the images of other data sets.
    pub fn report(&self) -> Option<CheckReport> {
        let checks = self.checker.as_ref().map(Checker::report);
        let issues = self.issues.as_ref().filter(|_| self.args.issues).map(IssueWatch::report);
        checks.into_iter().chain(issues).chain(self.leaks.clone()).reduce(|mut all, more| {
            all.results.extend(more.results);
            all
        })
    }

    /// All that is known, for the page.
    fn page(&self) -> Result<QualityReport, Error> {
        let profile = self.profiler.as_ref().map(Profiler::profile).unwrap_or_default();
        // A table has no features to judge labels by.
        let has_images = profile.images().is_some();
        let mut page = QualityReport::new(&self.data, profile).with_time(SystemTime::now());
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let given = [
            ("Reference", path(&self.args.reference)),
            ("Checks", path(&self.args.check)),
            ("Contract", self.args.contract.clone()),
            ("Labels", self.args.label.clone()),
        ];
        let thresholds = self.args.issue_threshold.iter().map(|(issue, value)| format!("{issue}={value}"));
        let thresholds = Some(thresholds.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty());
        let given = given.into_iter().chain([("Issue thresholds", thresholds)]);
        let given = given.filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in self.details.iter().cloned().chain(given) {
            page = page.with_detail(name, value);
        }
        if let Some(checker) = &self.checker {
            page = page.with_checks(checker.report());
        }
        if let Some(contract) = &self.contract {
            page = page.with_not_enforced(contract.not_enforced());
        }
        if let Some(issues) = &self.issues {
            page = page.with_issues(issues);
        }
        if let Some(labels) = self.labels.as_ref().filter(|_| has_images) {
            page = page.with_labels(labels.report()?);
        }
        if let Some(leaks) = &self.leaks {
            page = page.with_leaks(leaks.clone());
        }
        if let Some(drift) = &self.drift {
            page = page.with_drift(drift.report()?, drift.reference().clone());
        }
        Ok(page)
    }

    /// What was found, for people.
    pub fn told(&self) -> Result<Option<String>, Error> {
        let checks = self.report().map(|report| {
            let is_fine = [Severity::Warning, Severity::Error].iter().all(|of| report.failed(*of).next().is_none());
            if is_fine { format!("all {} checks hold", report.results.len()) } else { report.to_string() }
        });
        let drift = self.drift.as_ref().map(|drift| drift.report().map(|report| report.to_string())).transpose()?;
        let skipped = self.contract.iter().flat_map(|contract| contract.not_enforced());
        let skipped = skipped.map(|what| format!("the contract's {what} is not enforced"));
        let labels = self.labels.as_ref().filter(|_| self.args.label_report.is_some());
        let labels = labels.map(|labels| labels.report().map(|report| report.to_string())).transpose()?;
        let told: Vec<String> = checks.into_iter().chain(skipped).chain(drift).chain(labels).collect();
        Ok((!told.is_empty()).then(|| told.join("\n")))
    }
}

/// The contract in FILE, or that of one table in FILE#TABLE.
fn contract_of(argument: &str) -> Result<Contract, Error> {
    let is_file = Path::new(argument).exists();
    let (path, table) = match argument.rsplit_once('#').filter(|_| !is_file) {
        Some((path, table)) => (path, Some(table)),
        None => (argument, None),
    };
    let text = text_of(Path::new(path))?;
    let contract = table.map_or_else(|| text.parse(), |table| Contract::of_table(&text, table));
    contract.map_err(|error| match error {
        Error::InvalidOption { option, why } => Error::InvalidOption { option, why: format!("{path}: {why}") },
        other => other,
    })
}

fn profile_of(path: &Path) -> Result<Profile, Error> {
    let value = serde_json::from_str(&text_of(path)?)
        .map_err(|e| Error::InvalidOption { option: "reference", why: format!("{}: not JSON: {e}", path.display()) })?;
    Profile::from_json(&value)
}

fn text_of(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })
}

/// Writes a file that appears when it is complete.
pub fn write(mut file: io::OutputFile, path: &Path, text: &str) -> Result<(), Error> {
    writeln!(file, "{}", text.trim_end()).map_err(|source| Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })?;
    file.finish().map(drop)
}
