//! The events of a run, by OpenLineage 2-0-2.

use arrow_schema::Schema;
use serde_json::{Value, json};

use super::facets::{self, Facets, PRODUCER, SPEC, absolute};
use super::input::Input;
use super::record::Record;
use super::run_id::RunId;
use crate::base::time::{instant, now};
use crate::quality::{CheckReport, Profile};

/// The namespace of files.
const FILES: &str = "file";

/// The events of one run: `START`, and one of `COMPLETE`, `FAIL` and `ABORT`. Data sets are files by their absolute paths.
///
/// ```
/// use pixelfeat::lineage::{End, Facts, RunEvents};
///
/// let events = RunEvents::new("default", "digits", &[], "features.parquet");
/// assert_eq!(events.start()["eventType"], "START");
/// let end = events.end(End::Fail("the disk is full"), &Facts::default());
/// assert_eq!(end["run"]["facets"]["errorMessage"]["message"], "the disk is full");
/// ```
#[derive(Debug, Clone)]
pub struct RunEvents {
    id: RunId,
    namespace: String,
    job: String,
    inputs: Vec<Input>,
    output: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End<'a> {
    /// The output is complete.
    Complete,
    /// It failed, and why.
    Fail(&'a str),
    /// It was told to stop.
    Abort,
}

/// What is known when a run ends. What is not known is not told.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Facts<'a> {
    /// The record of the output. Its inputs are told instead of those at the start.
    pub record: Option<&'a Record>,
    /// The columns of the input.
    pub input: Option<&'a Schema>,
    /// The columns of the output.
    pub output: Option<&'a Schema>,
    /// Rows and bytes that were written.
    pub written: Option<(u64, u64)>,
    /// What tells the content of the output from another: its digest.
    pub version: Option<&'a str>,
    /// What is known of the columns of the inputs and of the features.
    pub profile: Option<&'a Profile>,
    /// What checks found.
    pub checks: Option<&'a CheckReport>,
}

impl RunEvents {
    /// A new run of a job. `output` is the name of the file that it writes; `-` is stdout.
    pub fn new(namespace: &str, job: &str, inputs: &[Input], output: &str) -> Self {
        Self {
            id: RunId::now(),
            namespace: namespace.to_owned(),
            job: job.to_owned(),
            inputs: inputs.to_vec(),
            output: if output == "-" { "/dev/stdout".to_owned() } else { absolute(output) },
        }
    }

    /// The id of the run in its events: a UUID of version 7. It is not that of its [`Record`].
    pub fn id(&self) -> RunId {
        self.id
    }

    /// `START`.
    pub fn start(&self) -> Value {
        self.event("START", Facets::new(), &Facts::default())
    }

    /// The last event.
    pub fn end(&self, end: End<'_>, facts: &Facts<'_>) -> Value {
        let mut of_run = Facets::new();
        let kind = match end {
            End::Complete => "COMPLETE",
            End::Fail(message) => {
                of_run.insert("errorMessage".to_owned(), facets::error_message(message));
                "FAIL"
            }
            End::Abort => "ABORT",
        };
        if let Some(record) = facts.record {
            of_run.insert("pixelfeat_record".to_owned(), facets::record(record));
        }
        self.event(kind, of_run, facts)
    }

    fn event(&self, kind: &str, mut of_run: Facets, facts: &Facts<'_>) -> Value {
        of_run.insert("processing_engine".to_owned(), facets::processing_engine());
        let inputs = facts.record.map_or(&self.inputs, |record| &record.inputs);
        json!({
            "eventTime": instant(now()),
            "eventType": kind,
            "producer": PRODUCER,
            "schemaURL": format!("{SPEC}#/$defs/RunEvent"),
            "run": { "runId": self.id.to_string(), "facets": of_run },
            "job": { "namespace": self.namespace, "name": self.job, "facets": {} },
            "inputs": inputs.iter().map(|input| self.input(input, inputs, facts)).collect::<Vec<_>>(),
            "outputs": [self.output(inputs, facts)],
        })
    }

    fn input(&self, input: &Input, all: &[Input], facts: &Facts<'_>) -> Value {
        let path = path_of(input);
        let mut facets = Facets::from_iter([("dataSource".to_owned(), facets::data_source(&path))]);
        if let Some(hash) = &input.blake3 {
            facets.insert("version".to_owned(), facets::version(&format!("blake3:{hash}")));
        }
        let mut of_input = Facets::from_iter([("inputStatistics".to_owned(), facets::input_statistics(input))]);
        // Rows are read from it.
        if input.option.is_none() {
            if let Some(schema) = facts.input {
                facets.insert("schema".to_owned(), facets::schema(schema, &[]));
            }
            if is_only(all) {
                let metrics = facts.profile.map(|profile| facets::input_metrics(profile, input.bytes));
                of_input.extend(metrics.map(|facet| ("dataQualityMetrics".to_owned(), facet)));
                let assertions = facts.checks.map(facets::assertions);
                of_input.extend(assertions.map(|facet| ("dataQualityAssertions".to_owned(), facet)));
            }
        }
        json!({ "namespace": FILES, "name": path, "facets": facets, "inputFacets": of_input })
    }

    fn output(&self, inputs: &[Input], facts: &Facts<'_>) -> Value {
        let mut facets = Facets::from_iter([("dataSource".to_owned(), facets::data_source(&self.output))]);
        let mut add = |name: &str, facet: Option<Value>| facets.extend(facet.map(|facet| (name.to_owned(), facet)));
        let columns = facts.record.map_or(&[][..], |record| &record.columns);
        add("schema", facts.output.map(|schema| facets::schema(schema, columns)));
        add("version", facts.version.map(facets::version));
        let read: Vec<String> = inputs.iter().filter(|input| input.option.is_none()).map(path_of).collect();
        add("columnLineage", facts.record.map(|record| facets::column_lineage(record, FILES, &read)));
        // What is known of the rows of several inputs is true of none of them.
        let of_several = !is_only(inputs);
        add("dataQualityMetrics", facts.profile.map(|profile| facets::output_metrics(profile, of_several)));
        add("dataQualityAssertions", facts.checks.filter(|_| of_several).map(facets::assertions));
        let mut of_output = Facets::new();
        if let Some((rows, bytes)) = facts.written {
            of_output.insert("outputStatistics".to_owned(), facets::output_statistics(rows, bytes));
        }
        json!({ "namespace": FILES, "name": self.output, "facets": facets, "outputFacets": of_output })
    }
}

/// Whether rows are read from one input only.
fn is_only(inputs: &[Input]) -> bool {
    inputs.iter().filter(|input| input.option.is_none()).count() == 1
}

fn path_of(input: &Input) -> String {
    if input.name == "-" { "/dev/stdin".to_owned() } else { absolute(&input.name) }
}
