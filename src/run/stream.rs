//! `RecordBatchReader` → `RecordBatchReader`: ordered, bounded, reading and computing on threads of their own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::base::clock::{Activity, Spent, during};
use crate::base::error::{Error, Result, panic_text};
use crate::base::guard::guarded;
use crate::base::reason::Reason;
use crate::base::warnings::Warnings;
use crate::engine::Engine;
use crate::images::defect::Defect;
use crate::run::featurizer::Featurizer;
use crate::run::gate::Gate;
use crate::run::observe::Observer;
use crate::run::origins::RowOrigins;
use crate::run::plan::{FeaturizedBatch, RunPlan};
use crate::run::report::Report;
use crate::run::samples::{Windows, epoch_of};
use crate::run::spec::OnInvalid;
use crate::run::times::{Clocks, Times};

/// How many computed batches may wait for the consumer. Only one batch of images waits to be computed: pixels take most of
/// the memory, and readers that gain from it read ahead on their own.
const WAITING: usize = 2;

/// A row that could not be featurized, as it is passed to a quarantine.
#[derive(Debug)]
#[non_exhaustive]
pub struct InvalidRow<'a> {
    /// The file it came from, where the reader names one.
    pub file: Option<Arc<str>>,
    /// Its number in that file, from 0.
    pub row: u64,
    /// Why, and what stood there.
    pub defect: &'a Defect,
    /// The input batch; the row is row `defect.row` of it.
    pub batch: &'a RecordBatch,
}

/// A function that is called with every row that cannot be featurized, in order.
pub type OnInvalidRow = Box<dyn FnMut(&InvalidRow<'_>) -> Result<()> + Send>;

/// What a stream needs beyond its reader.
#[derive(Default)]
#[non_exhaustive]
pub struct StreamOptions {
    /// Names the files of the rows, for errors and the quarantine.
    pub origins: RowOrigins,
    /// Takes the rows that cannot be featurized.
    pub quarantine: Option<OnInvalidRow>,
    /// What the reader has to say, for the report.
    pub warnings: Warnings,
    /// Whether a batch without rows says that the input pauses. What the first rows are to tell is then settled by the
    /// rows that have come so far, if any has. Empty batches are not passed on.
    pub empty_is_pause: bool,
    /// Watch the batches, one after another.
    pub observers: Vec<Box<dyn Observer>>,
}

impl StreamOptions {
    /// Adds an observer to [`observers`](StreamOptions::observers).
    #[must_use]
    pub fn with_observer(mut self, observer: Box<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Sets [`origins`](StreamOptions::origins).
    #[must_use]
    pub fn with_origins(self, origins: RowOrigins) -> Self {
        Self { origins, ..self }
    }

    /// Sets [`warnings`](StreamOptions::warnings).
    #[must_use]
    pub fn with_warnings(self, warnings: Warnings) -> Self {
        Self { warnings, ..self }
    }

    /// Sets [`empty_is_pause`](StreamOptions::empty_is_pause).
    #[must_use]
    pub fn with_empty_is_pause(self, empty_is_pause: bool) -> Self {
        Self { empty_is_pause, ..self }
    }

    fn is_pause(&self, batch: &RecordBatch) -> bool {
        self.empty_is_pause && batch.num_rows() == 0
    }

    /// Sets [`quarantine`](StreamOptions::quarantine).
    #[must_use]
    pub fn with_quarantine(self, quarantine: OnInvalidRow) -> Self {
        Self { quarantine: Some(quarantine), ..self }
    }
}

impl fmt::Debug for StreamOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quarantine = self.quarantine.as_ref().map(|_| "…");
        f.debug_struct("StreamOptions")
            .field("origins", &self.origins)
            .field("quarantine", &quarantine)
            .field("warnings", &self.warnings)
            .field("empty_is_pause", &self.empty_is_pause)
            .field("observers", &self.observers.len())
            .finish()
    }
}

/// A run: a reader of the input's batches with their features.
///
/// Batches come in the input's order: one for each batch of the input, or several if its images decode to more than some
/// 16 MB, or 64 MB if images are large. Reading and computing run on threads of their own, a few batches ahead of the
/// consumer. An error is yielded once and ends the stream. Dropping the stream stops the threads.
pub struct FeatureStream {
    schema: SchemaRef,
    batches: Option<Receiver<Result<RecordBatch>>>,
    report: ReportHandle,
}

impl fmt::Debug for FeatureStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeatureStream").field("schema", &self.schema).field("report", &self.report()).finish()
    }
}

/// The running account of a stream, readable from any thread while it runs and after.
#[derive(Debug, Clone)]
pub struct ReportHandle {
    report: Arc<Mutex<Report>>,
    warnings: Warnings,
    clocks: Clocks,
    waited: Arc<Mutex<Spent>>,
}

impl ReportHandle {
    /// The account so far.
    pub fn get(&self) -> Report {
        Report { warnings: self.warnings.all(), ..self.lock().clone() }
    }

    /// Where the time went so far.
    pub fn times(&self) -> Times {
        Times { waited: *self.waited(), reading: self.clocks.reading.spent(), computing: self.clocks.computing.spent() }
    }

    fn waited(&self) -> MutexGuard<'_, Spent> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Featurizer {
    /// Featurizes everything that `reader` yields. It reads ahead only if the shape, the order of a tensor's dimensions, or
    /// the encoding of bytes is neither declared nor in the schema. Then the first 1,000 rows decide, whatever batches they
    /// come in.
    ///
    /// # Errors
    /// - [`Error::NoSuchColumn`], [`Error::UnsupportedColumn`], [`Error::ColumnTaken`] if the schema does not suit.
    /// - [`Error::UnknownShape`] if the spec leaves the shape open and the data does not tell it.
    /// - [`Error::InvalidOption`] if the scale is not a positive number, or options contradict each other.
    /// - Errors of the reader in those first batches. Later ones, and [`Error::InvalidRow`], come from the stream.
    ///
    /// # Examples
    /// ```
    /// use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, synthetic};
    ///
    /// # fn main() -> pixelfeat::Result<()> {
    /// let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, FeatureSpec::default());
    /// let mut stream = featurizer.stream(synthetic::Digits::new(1_000, 1, 100))?;
    /// let rows: usize = (&mut stream).map(|batch| batch.map_or(0, |batch| batch.num_rows())).sum();
    /// assert_eq!((rows, stream.report().rows_featurized), (1_000, 1_000));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(&self, reader: impl RecordBatchReader + Send + 'static) -> Result<FeatureStream> {
        self.stream_with(reader, StreamOptions::default())
    }

    /// As [`Featurizer::stream`], with the files of rows and a quarantine for those that cannot be featurized.
    ///
    /// # Errors
    /// As [`Featurizer::stream`].
    pub fn stream_with(
        &self,
        mut reader: impl RecordBatchReader + Send + 'static,
        options: StreamOptions,
    ) -> Result<FeatureStream> {
        let input = reader.schema();
        let mut ahead = VecDeque::new();
        let mut survey = RunPlan::survey(self.spec(), &input)?;
        while survey.needs_rows()
            && let Some(batch) = reader.next()
        {
            let batch = batch.map_err(Error::from)?;
            if options.is_pause(&batch) {
                if ahead.is_empty() {
                    continue;
                }
                break;
            }
            if let Some(images) = batch.column_by_name(&self.spec().image) {
                survey.count(images)?;
            }
            ahead.push_back(batch);
        }
        let plan = RunPlan::new(self.spec().clone(), &input, survey.into_reader()?)?;
        let (schema, mixes) = (with_added(&plan.schema(), &options.observers)?, plan.mixes());
        let report = ReportHandle {
            report: Arc::new(Mutex::new(Report::new(plan.shape(), plan.pixel_type()))),
            warnings: options.warnings.clone(),
            clocks: Clocks::default(),
            waited: Arc::default(),
        };
        let Clocks { reading, computing: clock } = report.clocks.clone();
        let gate = Gate::new(self.spec().max_invalid);
        let computing = Computing {
            plan,
            schema: schema.clone(),
            engine: self.engine().clone(),
            options,
            gate,
            report: report.clone(),
        };

        let (to_compute, read) = sync_channel(1);
        let (to_consumer, batches) = sync_channel(WAITING);
        let ahead = RecordBatchIterator::new(ahead.into_iter().map(Ok).chain(reader), input);
        let mut reader: Box<dyn RecordBatchReader + Send> =
            if mixes { Box::new(Windows::new(ahead)) } else { Box::new(ahead) };
        spawn("pixelfeat-read", to_compute, move |out| {
            let _measured = reading.start();
            while let Some(batch) = during(Activity::Decode, || reader.next()) {
                let failed = batch.is_err();
                if out.send(batch.map_err(Error::from)).is_err() || failed {
                    return;
                }
            }
        })?;
        spawn("pixelfeat-compute", to_consumer, move |out| {
            let _measured = clock.start();
            computing.run(&read, out);
        })?;
        Ok(FeatureStream { schema, batches: Some(batches), report })
    }
}

/// The schema of a plan's output with the columns of observers behind it.
fn with_added(schema: &SchemaRef, observers: &[Box<dyn Observer>]) -> Result<SchemaRef> {
    let mut fields = schema.fields().to_vec();
    for field in observers.iter().flat_map(|observer| observer.fields()) {
        if fields.iter().any(|known| known.name() == field.name()) {
            return Err(Error::ColumnTaken { column: field.name().clone() });
        }
        fields.push(Arc::new(field));
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// Starts a thread. A panic in it becomes an error of the stream.
fn spawn<T: Send + 'static>(
    name: &'static str,
    out: SyncSender<Result<T>>,
    work: impl FnOnce(&SyncSender<Result<T>>) + Send + 'static,
) -> Result<()> {
    let body = move || {
        if let Err(panic) = guarded(|| work(&out)) {
            // Nobody left to tell if the consumer is gone.
            let _ = out.send(Err(Error::Internal(format!("{name}: {}", panic_text(&*panic)))));
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|e| Error::Internal(format!("{name}: {e}")))?;
    Ok(())
}

/// The computing thread's part of a stream.
struct Computing {
    plan: RunPlan,
    /// That of the output.
    schema: SchemaRef,
    engine: Engine,
    options: StreamOptions,
    gate: Gate,
    report: ReportHandle,
}

impl Computing {
    fn run(mut self, read: &Receiver<Result<RecordBatch>>, out: &SyncSender<Result<RecordBatch>>) {
        let mut row = 0;
        // In every epoch the same rows come again.
        let (mut epoch, mut again) = (None, false);
        self.note_engine();
        for batch in read {
            if batch.as_ref().is_ok_and(|batch| self.options.is_pause(batch)) {
                continue;
            }
            let parts = batch
                .and_then(|batch| during(Activity::Images, || self.plan.parts(&batch)).map(|parts| (batch, parts)));
            let (batch, parts) = match parts {
                Ok(parts) => parts,
                Err(error) => {
                    // Nobody left to tell if the consumer is gone.
                    let _ = out.send(Err(error));
                    return;
                }
            };
            let of_batch = epoch_of(&batch);
            if epoch.is_some() && of_batch != epoch {
                (row, again) = (0, true);
            }
            epoch = of_batch;
            for part in parts {
                let slice = batch.slice(part.start, part.len());
                let result = during(Activity::Features, || self.featurize(row, slice, again));
                row += part.len() as u64;
                let failed = result.is_err();
                if out.send(result).is_err() || failed {
                    return;
                }
            }
        }
        let judged = self.gate.finish(&self.report.get(), self.plan.original_shape());
        let observers = &mut self.options.observers;
        let finish = || observers.iter_mut().try_for_each(|observer| observer.finish());
        let finished = judged.and_then(|()| during(Activity::Observe, || self.engine.install(finish)));
        if let Err(error) = finished {
            // As above.
            let _ = out.send(Err(error));
        }
    }

    fn featurize(&mut self, first_row: u64, batch: RecordBatch, again: bool) -> Result<RecordBatch> {
        let mut done = self.plan.apply(&self.engine, first_row, batch)?;
        if !again {
            self.set_aside(first_row, &done)?;
        }
        self.count(&done);
        let StreamOptions { origins, observers, .. } = &mut self.options;
        let observed = self.plan.observed(first_row, &done, origins);
        let mut columns = done.batch.columns().to_vec();
        for observer in observers {
            let watch = || observer.observe(&observed).and_then(|()| observer.columns(&observed));
            columns.extend(during(Activity::Observe, || self.engine.install(watch))?);
        }
        done.batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::from)?;
        self.gate.check(&self.report.lock(), self.plan.original_shape())?;
        self.plan.keep(done)
    }

    fn set_aside(&mut self, first_row: u64, done: &FeaturizedBatch) -> Result<()> {
        for defect in done.images.defects() {
            let (file, row) = self.options.origins.locate(first_row + defect.row as u64);
            self.gate.note(defect, || defect.place(file.as_deref(), row));
            if let Some(quarantine) = &mut self.options.quarantine {
                quarantine(&InvalidRow { file: file.clone(), row, defect, batch: &done.input })?;
            }
            if self.plan.spec().on_invalid == OnInvalid::Error {
                return Err(defect.error(file.as_deref(), row, &self.plan.spec().image));
            }
        }
        Ok(())
    }

    fn count(&self, done: &FeaturizedBatch) {
        let mut report = self.report.lock();
        let defects = done.images.defects();
        report.count(done.input.num_rows(), defects);
        report.other_sizes |=
            self.plan.could_take_other_sizes() && defects.iter().any(|defect| defect.reason == Reason::WrongLength);
        let computed = done.input.num_rows() - defects.len();
        // Defective rows may have been computed too. They count for neither processor.
        let on_gpu = computed.min(done.shares.gpu);
        report.rows_on_gpu += on_gpu as u64;
        report.rows_on_cpu += (computed - on_gpu) as u64;
        drop(report);
        self.note_engine();
    }

    fn note_engine(&self) {
        let info = self.engine.info();
        let mut report = self.report.lock();
        report.adapter = info.adapter;
        report.backend_reason = info.reason;
    }
}

impl FeatureStream {
    /// The account of the rows so far; final once the stream has ended.
    pub fn report(&self) -> Report {
        self.report.get()
    }

    /// Where the time went so far.
    pub fn times(&self) -> Times {
        self.report.times()
    }

    /// A handle to the account that outlives the stream.
    pub fn report_handle(&self) -> ReportHandle {
        self.report.clone()
    }
}

impl Iterator for FeatureStream {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batches = self.batches.as_ref()?;
        let received = match batches.try_recv() {
            Err(TryRecvError::Empty) => {
                let (received, waited) = self.report.clocks.waiting(|| batches.recv().ok());
                self.report.waited().add_all(&waited);
                received
            }
            received => received.ok(),
        };
        if !matches!(received, Some(Ok(_))) {
            self.batches = None;
        }
        received.map(|batch| batch.map_err(ArrowError::from))
    }
}

impl RecordBatchReader for FeatureStream {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl RecordBatchReader for &mut FeatureStream {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
