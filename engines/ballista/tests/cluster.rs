//! Processes of the program, and what they say.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

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
    // Until the process has ended.
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Said::default());
        let heard = Arc::clone(&said);
        let reader = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lines.lock().unwrap().push(line);
                heard.more.notify_all();
            }
        });
        Self { child, said, reader: Some(reader) }
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

    /// As `kill -9` does. Afterwards all that it has said is known.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        assert!(Command::new("sh").args(["-c", &format!("kill {}", self.pid())]).status().unwrap().success());
    }

    /// Waits until it ends by itself. Tells its exit code and what it has said.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "it does not end, and said\n{}", self.said(|lines| lines.join("\n")));
            sleep(Duration::from_millis(10));
        }
        let code = self.child.wait().unwrap().code();
        self.kill();
        (code, self.said(|lines| lines.join("\n")))
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
    pub scheduler: Process,
    // A killed executor leaves its folder.
    _work: TempDir,
}

impl Cluster {
    pub fn start(executors: usize) -> Self {
        Self::start_with(executors, &[])
    }

    /// Starts a cluster that gives an executor up soon. On a busy machine, that may be one that is only slow.
    pub fn start_impatient(executors: usize) -> Self {
        Self::start_with(executors, &["--executor-timeout", "5"])
    }

    fn start_with(executors: usize, options: &[&str]) -> Self {
        let scheduler = Process::start(program().args(["scheduler", "--port", "0"]).args(options));
        let address =
            scheduler.wait(|lines| lines.iter().find_map(|line| line.strip_prefix("scheduler at ")).map(str::to_owned));
        let work = tempdir().unwrap();
        let executor = |number: usize| {
            let mut command = program();
            command.args(["executor", "--scheduler", &address, "--vcores", "1", "--heartbeat", "1", "--log", "info"]);
            Process::start(command.arg("--work-dir").arg(work.path().join(number.to_string())))
        };
        let executors: Vec<Process> = (0..executors).map(executor).collect();
        for executor in &executors {
            executor.wait(|lines| (count(lines, "known to") > 0).then_some(()));
        }
        Self { executors, address, scheduler, _work: work }
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
    command.args(["--scheduler", scheduler]).args(options).arg(sql);
    Client::start(&mut command, "")
}

/// Starts a client with a cluster in its own process, which reads the statements from stdin.
pub fn standalone(tables: &[(&str, &Path)], sql: &str, variables: &[(&str, &str)]) -> Client {
    Client::start(client_of(tables).arg("--standalone").envs(variables.iter().copied()), sql)
}

fn client_of(tables: &[(&str, &Path)]) -> Command {
    let tables = tables.iter().map(|(name, path)| format!("--table={name}={}", path.display()));
    let mut command = program();
    command.arg("client").args(tables);
    command
}

/// A client that runs.
pub struct Client {
    process: Process,
    stdout: JoinHandle<String>,
}

impl Client {
    fn start(command: &mut Command, stdin: &str) -> Self {
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        process.child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let stdout = process.child.stdout.take().unwrap();
        Self { process, stdout: thread::spawn(|| io::read_to_string(stdout).unwrap()) }
    }

    /// Its stdout if all went well. Otherwise its one line on stderr.
    pub fn end(mut self) -> Result<String, String> {
        match self.process.end() {
            (Some(0), said) => {
                assert_eq!(said, "");
                Ok(self.stdout.join().unwrap())
            }
            (Some(1), said) => {
                assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
                Err(said)
            }
            (code, said) => panic!("{code:?}: {said}"),
        }
    }

    pub fn rows(self) -> Vec<Vec<String>> {
        let text = self.end().unwrap();
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        // The first line is that of the names.
        text.lines().filter(|line| line.starts_with('|')).skip(1).map(cells).collect()
    }
}
