//! Processes of the program, and what they say.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::{TempDir, tempdir};

/// Longer than anything takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pixelfeat-ballista"))
}

/// A process that ends with the test, however that ends.
pub struct Process {
    child: Child,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = program().args(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Said::default());
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lines.lock().unwrap().push(line);
                heard.more.notify_all();
            }
        });
        Self { child, said }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the lines that the process has written on stderr are as wanted.
    pub fn wait<T>(&self, wanted: impl Fn(&[String]) -> Option<T>) -> T {
        let lines = self.said.lines.lock().unwrap();
        let waited = self.said.more.wait_timeout_while(lines, PATIENCE, |lines| wanted(lines).is_none()).unwrap();
        wanted(&waited.0).unwrap_or_else(|| panic!("said only\n{}", waited.0.join("\n")))
    }

    /// Looks at the lines that the process has written on stderr.
    pub fn said<T>(&self, look: impl Fn(&[String]) -> T) -> T {
        look(&self.said.lines.lock().unwrap())
    }

    /// How many of its lines have a text.
    pub fn count(&self, text: &str) -> usize {
        self.said(|lines| count(lines, text))
    }

    /// As `kill -9` does. Nothing more is heard of it afterwards.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn count(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}

/// A scheduler, and executors of one slot each.
pub struct Cluster {
    // Dropped first, while there is a scheduler.
    pub executors: Vec<Process>,
    pub address: String,
    _scheduler: Process,
    // A killed executor leaves its folder.
    _work: TempDir,
}

impl Cluster {
    pub fn start(executors: usize) -> Self {
        let scheduler = Process::start(&["scheduler", "--port", "0", "--executor-timeout", "3"]);
        let address =
            scheduler.wait(|lines| lines.iter().find_map(|line| line.strip_prefix("scheduler at ")).map(str::to_owned));
        let work = tempdir().unwrap();
        let executor = |number: usize| {
            let folder = work.path().join(number.to_string());
            let options = ["executor", "--scheduler", &address, "--vcores", "1", "--heartbeat", "1", "--log", "info"];
            Process::start(&[&options[..], &["--work-dir", folder.to_str().unwrap()]].concat())
        };
        let executors: Vec<Process> = (0..executors).map(executor).collect();
        for executor in &executors {
            executor.wait(|lines| (count(lines, "known to") > 0).then_some(()));
        }
        Self { executors, address, _scheduler: scheduler, _work: work }
    }

    pub fn client(&self, tables: &[(&str, &Path)], sql: &str) -> Client {
        client(&self.address, tables, sql, &["--wait", "60"])
    }

    /// The table that a query prints.
    pub fn rows(&self, tables: &[(&str, &Path)], sql: &str) -> Vec<Vec<String>> {
        self.client(tables, sql).rows()
    }

    /// What is said about a query that fails.
    pub fn error(&self, tables: &[(&str, &Path)], sql: &str) -> String {
        self.client(tables, sql).end().unwrap_err()
    }
}

/// Starts a client.
pub fn client(scheduler: &str, tables: &[(&str, &Path)], sql: &str, options: &[&str]) -> Client {
    let mut command = client_of(tables);
    command.args(["--scheduler", scheduler]).args(options).arg(sql).stdin(Stdio::null());
    Client(command.spawn().unwrap())
}

/// Starts a client with a cluster in its own process, which reads the statements from stdin.
pub fn standalone(tables: &[(&str, &Path)], sql: &str) -> Client {
    let mut child = client_of(tables).arg("--standalone").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    Client(child)
}

fn client_of(tables: &[(&str, &Path)]) -> Command {
    let tables = tables.iter().map(|(name, path)| format!("--table={name}={}", path.display()));
    let mut command = program();
    command.arg("client").args(tables).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A client that runs.
pub struct Client(Child);

impl Client {
    /// Its stdout if all went well. Otherwise its one line on stderr.
    pub fn end(self) -> Result<String, String> {
        let output = self.0.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        match output.status.code() {
            Some(0) => {
                assert_eq!(err, "");
                Ok(out)
            }
            Some(1) => {
                assert!(err.starts_with("error: ") && err.lines().count() == 1, "{err}");
                Err(err)
            }
            code => panic!("{code:?}: {err}"),
        }
    }

    pub fn rows(self) -> Vec<Vec<String>> {
        let text = self.end().unwrap();
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        // The first line is that of the names.
        text.lines().filter(|line| line.starts_with('|')).skip(1).map(cells).collect()
    }
}
