//! Where events go: a file, the console or a server.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::http::Http;
use crate::base::time::{instant, now};

/// A place that events go to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Transport {
    /// Each event is a line on stdout, or on stderr.
    Console {
        /// Whether that is stderr.
        stderr: bool,
    },
    /// A file.
    File {
        /// Its name.
        path: PathBuf,
        /// Whether each event is a line that is added to the file. If not, each is a file of its own: `PATH-TIME.json`.
        append: bool,
    },
    /// A server.
    Http(Http),
}

impl Transport {
    /// Delivers an event, or says why it cannot.
    pub(super) fn deliver(&self, event: &Value) -> Result<(), String> {
        let mut line = event.to_string();
        line.push('\n');
        let written = match self {
            Transport::Console { stderr: true } => io::stderr().write_all(line.as_bytes()),
            Transport::Console { stderr: false } => io::stdout().write_all(line.as_bytes()),
            Transport::File { path, append: true } => append(path, &line),
            Transport::File { path, append: false } => {
                let time = instant(now()).replace([':', 'Z'], "");
                std::fs::write(format!("{}-{time}.json", path.display()), line)
            }
            Transport::Http(http) => return http.post(&line),
        };
        written.map_err(|e| e.to_string())
    }

    /// How long a run waits for it at its end, at most.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Transport::Http(http) => http.timeout,
            _ => Duration::from_secs(5),
        }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        match self {
            Transport::Console { .. } => "the console".to_owned(),
            Transport::File { path, .. } => path.display().to_string(),
            Transport::Http(http) => http.shown(),
        }
    }
}

/// Adds a line to a file. If its last line was cut, the line begins anew, so that the damage stays in one line.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let ends_within_line = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() || file.seek(SeekFrom::End(0))? == 0 {
            return Ok(false);
        }
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    };
    let start = if ends_within_line().unwrap_or(false) { "\n" } else { "" };
    // One call, so that lines of several programs do not mix.
    file.write_all(format!("{start}{line}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let file = Transport::File { path: path.clone(), append: true };
        file.deliver(&serde_json::json!({ "a": 1 })).unwrap();
        std::fs::write(&path, "{\"a\":1}\n{\"cut").unwrap();
        file.deliver(&serde_json::json!({ "b": 2 })).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"cut\n{\"b\":2}\n");
        let single = Transport::File { path: folder.path().join("event"), append: false };
        single.deliver(&serde_json::json!(1)).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let missing = Transport::File { path: folder.path().join("no/where"), append: true };
        assert!(missing.deliver(&serde_json::json!(1)).is_err());
    }
}
