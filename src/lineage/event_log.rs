//! A file of events, and what it tells of runs.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::run_id::RunId;
use crate::base::text::grouped;
use crate::base::time::seconds;

/// What the events in a file tell of runs: one event on each line, as [`Transport::File`](super::Transport::File) adds them.
/// Events of other programs count as well.
///
/// ```
/// use pixelfeat::lineage::{EventLog, RunEvents};
///
/// let start = RunEvents::new("default", "digits", &[], "features.parquet").start();
/// let log = EventLog::read(&format!("{start}\n{{\"eventTime"));
/// assert!(log.runs[0].end.is_none());
/// assert_eq!(log.damaged[0].0, 2);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EventLog {
    /// The runs, in the order of their first events.
    pub runs: Vec<LoggedRun>,
    /// Lines that are no events, from 1, and what is wrong with them.
    pub damaged: Vec<(usize, String)>,
}

/// A run, as its events tell.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LoggedRun {
    /// Its id in the events.
    pub id: String,
    /// The job, with its namespace: `default/digits`.
    pub job: String,
    /// When it started.
    pub start: Option<String>,
    /// How it ended (`COMPLETE`, `FAIL` or `ABORT`) and when; `None` if there is no such event.
    pub end: Option<(String, String)>,
    /// Why it failed.
    pub message: Option<String>,
    /// Rows that were written.
    pub rows: Option<u64>,
    /// The data sets that it wrote.
    pub outputs: Vec<String>,
    /// The id of the record in its output.
    pub record: Option<RunId>,
}

impl EventLog {
    /// Whether text begins as a file of events does. A first line that was cut counts as well.
    pub fn is_one(text: &str) -> bool {
        let first = text.trim_start().lines().next().unwrap_or_default();
        match serde_json::from_str::<Value>(first) {
            Ok(event) => event["run"]["runId"].is_string() && event["eventTime"].is_string(),
            Err(error) => error.is_eof() && first.starts_with('{') && first.contains("\"eventTime\""),
        }
    }

    /// Reads the lines of a file.
    pub fn read(text: &str) -> Self {
        let mut log = Self::default();
        let mut places = BTreeMap::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let event = match serde_json::from_str::<Value>(line) {
                Ok(event) => event,
                Err(error) if error.is_eof() => {
                    log.damaged.push((at + 1, "is cut off in the middle of an event".to_owned()));
                    continue;
                }
                Err(error) => {
                    log.damaged.push((at + 1, format!("is not JSON: {error}")));
                    continue;
                }
            };
            let Some(id) = event["run"]["runId"].as_str() else {
                log.damaged.push((at + 1, "is no event of a run".to_owned()));
                continue;
            };
            let place = *places.entry(id.to_owned()).or_insert_with(|| {
                log.runs.push(LoggedRun { id: id.to_owned(), ..LoggedRun::default() });
                log.runs.len() - 1
            });
            log.runs[place].add(&event);
        }
        log
    }
}

impl LoggedRun {
    fn add(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.job = format!("{}/{}", text(&event["job"]["namespace"]), text(&event["job"]["name"]));
        let time = text(&event["eventTime"]);
        match event["eventType"].as_str() {
            Some("START") => self.start = Some(time),
            Some(kind @ ("COMPLETE" | "FAIL" | "ABORT")) => self.end = Some((kind.to_owned(), time)),
            _ => {}
        }
        let facets = &event["run"]["facets"];
        if let Some(message) = facets["errorMessage"]["message"].as_str() {
            self.message = Some(message.to_owned());
        }
        if let Some(id) = facets["pixelfeat_record"]["id"].as_str() {
            self.record = id.parse().ok();
        }
        let outputs = event["outputs"].as_array().map_or(&[][..], Vec::as_slice);
        if !outputs.is_empty() {
            self.outputs = outputs.iter().map(|output| text(&output["name"])).collect();
        }
        let rows = outputs.iter().filter_map(|output| output["outputFacets"]["outputStatistics"]["rowCount"].as_u64());
        self.rows = rows.reduce(|all, more| all + more).or(self.rows);
    }
}

impl fmt::Display for LoggedRun {
    /// One line: when and what, how it ended and after how long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start.as_deref();
        write!(f, "{}  {}  ", start.unwrap_or("no START"), self.job)?;
        let Some((kind, time)) = &self.end else {
            return f.write_str("started and never ended: it was killed, or it is still running");
        };
        f.write_str(match kind.as_str() {
            "COMPLETE" => "complete",
            "FAIL" => "failed",
            _ => "aborted",
        })?;
        if let (Some(start), Some(end)) = (start.and_then(seconds), seconds(time)) {
            write!(f, " after {:.3} s", end - start)?;
        }
        if let Some(rows) = self.rows {
            write!(f, ", {} rows", grouped(rows))?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::{End, Facts, RunEvents};

    #[test]
    fn runs_are_told_by_their_events() {
        let events: Vec<RunEvents> = ["a", "b", "c"].map(|job| RunEvents::new("ns", job, &[], "out")).into();
        let facts = Facts { written: Some((1234, 5)), ..Facts::default() };
        let lines = [
            events[0].start(),
            events[1].start(),
            events[0].end(End::Complete, &facts),
            events[2].start(),
            events[2].end(End::Fail("no disk"), &Facts::default()),
        ];
        let text = lines.map(|line| line.to_string()).join("\n") + "\nnonsense\n{\"a\": 1}\n{\"eventTime";
        assert!(EventLog::is_one(&text) && EventLog::is_one("{\"eventTime\":\"20"));
        assert!(!EventLog::is_one("{\"image\": [1]}") && !EventLog::is_one("PAR1"));
        let log = EventLog::read(&text);
        let told: Vec<String> = log.runs.iter().map(LoggedRun::to_string).collect();
        assert!(told[0].contains("ns/a  complete after ") && told[0].ends_with("s, 1,234 rows"), "{told:?}");
        assert!(told[1].ends_with("ns/b  started and never ended: it was killed, or it is still running"), "{told:?}");
        assert!(told[2].contains("ns/c  failed after ") && told[2].ends_with("s: no disk"), "{told:?}");
        let damaged: Vec<&str> = log.damaged.iter().map(|(_, why)| why.as_str()).collect();
        assert!(damaged[0].starts_with("is not JSON"), "{damaged:?}");
        assert_eq!(damaged[1..], ["is no event of a run", "is cut off in the middle of an event"]);
        assert_eq!(log.damaged.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [6, 7, 8]);
    }
}
