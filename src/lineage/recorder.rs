//! Watches a run and records what made its output.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use super::columns::{Made, columns};
use super::input::Input;
use super::record::Record;
use super::run_id::RunId;
use super::source::{Hashes, Source};
use crate::base::error::Result;
use crate::base::keys::LINEAGE_KEY;
use crate::base::warnings::Warnings;
use crate::run::observe::{Observed, Observer};
use crate::run::spec::FeatureSpec;

/// Watches a run and makes the [`Record`] of its output. Clones share it.
///
/// ```
/// # #[cfg(feature = "parquet")] {
/// use pixelfeat::lineage::Recorder;
/// use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, StreamOptions, io, synthetic};
///
/// let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, FeatureSpec::default());
/// // The inputs would be `vec![io::source("digits.json.gz")?]`.
/// let recorder = Recorder::new(Vec::new(), featurizer.spec(), vec!["--gray".to_owned()]);
/// let options = StreamOptions::default().with_observer(Box::new(recorder.clone()));
/// let stream = featurizer.stream_with(synthetic::Digits::new(100, 1, 100), options)?;
/// let path = tempfile::tempdir()?.keep().join("features.parquet");
/// let write = recorder.clone();
/// let options = io::WriteOptions::default().with_footer(move || Ok(vec![write.footer()]));
/// io::write(&path, recorder.written(stream), &options)?;
/// assert_eq!(recorder.record().rows_out, 100);
/// # std::fs::remove_dir_all(path.parent().unwrap())?;
/// # }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sources: Vec<Source>,
    options: Vec<String>,
    made: Made,
    hashes: Mutex<Option<Hashes>>,
    seen: Mutex<Seen>,
}

/// What has been seen of the rows so far.
#[derive(Debug, Default)]
struct Seen {
    /// The columns of the input.
    input: Option<SchemaRef>,
    output: Option<SchemaRef>,
    /// The blocks of features and how many values each has.
    blocks: Vec<(String, usize)>,
    features: BTreeSet<String>,
    /// Rows of each file, in the order of the files.
    of_files: Vec<(Arc<str>, u64)>,
    rows_in: u64,
    rows_out: u64,
}

impl Recorder {
    /// A recorder of a run with these inputs. `options` are those that decide the rows, as words of a command line.
    pub fn new(sources: Vec<Source>, spec: &FeatureSpec, options: Vec<String>) -> Self {
        let made = Made::by(spec);
        Self(Arc::new(Shared { sources, options, made, hashes: Mutex::default(), seen: Mutex::default() }))
    }

    /// Hashes the inputs, on a thread beside the run.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::Error::Internal) if there can be no thread.
    pub fn hash_inputs(&self) -> Result<()> {
        let mut hashes = self.0.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if hashes.is_none() {
            *hashes = Some(Hashes::start(&self.0.sources)?);
        }
        Ok(())
    }

    /// The inputs. If they are hashed, it waits for the hashes, and adds what is to be said of them to `warnings`.
    pub fn inputs(&self, warnings: &Warnings) -> Vec<Input> {
        let mut inputs = self.sources();
        if let Some(hashes) = &*self.0.hashes.lock().unwrap_or_else(PoisonError::into_inner) {
            let (hashes, told) = hashes.wait(&self.0.sources);
            told.into_iter().for_each(|told| warnings.add(told));
            inputs.iter_mut().zip(hashes).for_each(|(input, hash)| input.blake3 = hash);
        }
        let seen = self.seen();
        // The files of all inputs follow one another, and so do their rows. A file without rows is not among them.
        let mut of_files = seen.of_files.iter().peekable();
        for (input, source) in inputs.iter_mut().zip(&self.0.sources).filter(|(_, source)| source.option.is_none()) {
            let mut rows = 0;
            let mut take = |name: &str| {
                rows += of_files.next_if(|(file, _)| **file == *name).map_or(0, |(_, rows)| *rows);
            };
            match source.files.is_empty() {
                true => take("stdin"),
                false => source.files.iter().for_each(|file| take(&file.display().to_string())),
            }
            input.rows = (seen.rows_in > 0).then_some(rows);
        }
        inputs
    }

    /// The id that the run has: it does not depend on its rows. Waits for the hashes of the inputs if there are some.
    pub fn id(&self) -> RunId {
        RunId::of(env!("CARGO_PKG_VERSION"), &self.0.options, &self.inputs(&Warnings::default()))
    }

    /// The inputs before the run: names and sizes. Waits for nothing.
    pub fn sources(&self) -> Vec<Input> {
        self.0.sources.iter().map(Source::measured).collect()
    }

    /// What made the output. All that is told of rows is that of the rows so far. Waits for the hashes of the inputs if there are
    /// some.
    pub fn record(&self) -> Record {
        let inputs = self.inputs(&Warnings::default());
        let seen = self.seen();
        let empty = Arc::new(Schema::empty());
        let (input, output) = (seen.input.as_ref().unwrap_or(&empty), seen.output.as_ref().unwrap_or(&empty));
        Record {
            id: RunId::of(env!("CARGO_PKG_VERSION"), &self.0.options, &inputs),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            inputs,
            options: self.0.options.clone(),
            columns: columns(&self.0.made, input, output, &seen.features, &seen.blocks),
            rows_in: seen.rows_in,
            rows_out: seen.rows_out,
        }
    }

    /// The record as the key and the value for the footer of the output
    /// ([`WriteOptions::with_footer`](crate::io::WriteOptions::with_footer)).
    pub fn footer(&self) -> (String, String) {
        (LINEAGE_KEY.to_owned(), self.record().to_json().to_string())
    }

    /// Counts the rows that are written, and knows their columns.
    pub fn written<R: RecordBatchReader>(&self, reader: R) -> Written<R> {
        self.seen().output = Some(reader.schema());
        Written { reader, recorder: self.clone() }
    }

    /// The columns of the input, once a batch has come.
    pub fn input_schema(&self) -> Option<SchemaRef> {
        self.seen().input.clone()
    }

    /// The columns of the output, once its reader is known.
    pub fn output_schema(&self) -> Option<SchemaRef> {
        self.seen().output.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Recorder {
    fn observe(&mut self, batch: &Observed<'_>) -> Result<()> {
        let mut seen = self.seen();
        if seen.input.is_none() {
            seen.input = Some(batch.input.schema());
            let blocks = batch.layout.blocks().into_iter().filter(|block| !block.is_column);
            seen.blocks = blocks.map(|block| (block.name, block.values.len())).collect();
            let fields = batch.output.schema_ref().fields();
            let features = &fields[fields.len() - batch.feature_columns..];
            seen.features = features.iter().map(|field| field.name().clone()).collect();
        }
        let rows = batch.input.num_rows() as u64;
        // Rows count from 0 again in every epoch, and each epoch reads the same files.
        let is_first_epoch = batch.first_row == seen.rows_in;
        let mut row = if is_first_epoch { batch.first_row } else { batch.first_row + rows };
        while row < batch.first_row + rows {
            let (file, _) = batch.origins.locate(row);
            let end = batch.origins.next_file(row).unwrap_or(u64::MAX).min(batch.first_row + rows);
            let file = file.unwrap_or_default();
            match seen.of_files.last_mut() {
                Some((last, rows)) if *last == file => *rows += end - row,
                _ => seen.of_files.push((file, end - row)),
            }
            row = end;
        }
        seen.rows_in += rows;
        Ok(())
    }
}

/// A reader whose rows are counted as those of an output.
#[derive(Debug)]
pub struct Written<R> {
    reader: R,
    recorder: Recorder,
}

impl<R> Written<R> {
    /// The reader within.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }
}

impl<R: RecordBatchReader> Iterator for Written<R> {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        if let Ok(batch) = &batch {
            self.recorder.seen().rows_out += batch.num_rows() as u64;
        }
        Some(batch)
    }
}

impl<R: RecordBatchReader> RecordBatchReader for Written<R> {
    fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}
