//! What `delta log` prints.

use std::fmt::Write as _;

use arrow_array::temporal_conversions::timestamp_ms_to_datetime;
use pixelfeat::lineage::{DIGEST_KEY, Digest};
use pixelfeat_delta::Commit;
use serde_json::{Value, json};

/// A line for each version.
pub fn table(commits: &[Commit]) -> String {
    let mut lines = vec![["version", "time (UTC)", "operation", "rows", "digest"].map(str::to_owned)];
    lines.extend(commits.iter().map(|commit| {
        let time = commit.timestamp.and_then(timestamp_ms_to_datetime);
        let digest = commit.info.get(DIGEST_KEY).and_then(|digest| Digest::from_json(digest).ok());
        [
            commit.version.to_string(),
            time.map_or_else(|| "unknown".to_owned(), |time| time.format("%F %T").to_string()),
            commit.operation.to_lowercase(),
            commit.rows.map_or_else(|| "unknown".to_owned(), |rows| rows.to_string()),
            digest.map_or_else(|| "none".to_owned(), |digest| digest.to_string()),
        ]
    }));
    let widths: Vec<usize> =
        (0..lines[0].len()).map(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// A line of JSON for each version, with everything that the log says of it.
pub fn json(commits: &[Commit]) -> String {
    let line = |commit: &Commit| -> Value {
        json!({ "version": commit.version, "operation": commit.operation, "rows": commit.rows, "info": commit.info })
    };
    commits.iter().map(|commit| format!("{}\n", line(commit))).collect()
}
