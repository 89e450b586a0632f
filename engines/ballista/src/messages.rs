//! What the program says on stderr.

use std::io::{Write, stderr};

use log::{LevelFilter, Log, Metadata, Record};

/// Writes a line. That nobody listens is no error.
pub fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Reads the name of a level.
pub fn level(name: &str) -> Result<LevelFilter, &'static str> {
    name.parse().map_err(|_| "it is none of off, error, warn, info, debug and trace")
}

/// Shows messages of Ballista from this level on.
pub fn show(level: LevelFilter) {
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(level);
    }
}

/// A message without line breaks.
pub fn one_line(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        say(&format!("{} {}: {}", record.level(), record.target(), record.args()));
    }

    fn flush(&self) {}
}
