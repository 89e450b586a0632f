//! What made a file, followed back to inputs that are still there; and what a file of events tells of runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use indicatif::HumanCount;
use pixelfeat::lineage::{DIGEST_KEY, Digest, EventLog, Input, LoggedRun, Record, Source};
use pixelfeat::{Error, Result, io};

use crate::quoted;

/// Records of inputs are followed so far.
const MAX_DEPTH: usize = 16;
/// So much of a file is looked at to tell whether it holds events.
const HEAD: u64 = 64 << 10;

/// What the footer of a file tells. Files without one tell nothing.
pub struct Footer {
    /// What made the file, or why its record cannot be read.
    pub record: Result<Option<Record>>,
    /// The digest of the rows, or why it cannot be read.
    pub digest: Option<String>,
}

/// Reads the footer of a file.
pub fn footer(path: &Path) -> Result<Footer> {
    let pairs = io::read_footer(path)?;
    let digest = pairs.get(DIGEST_KEY).and_then(|json| serde_json::from_str(json).ok());
    let told = |json| Digest::from_json(&json).map_or_else(|error| error.to_string(), |digest| digest.to_string());
    Ok(Footer { record: Record::of_footer(&pairs, &path.display().to_string()), digest: digest.map(told) })
}

/// The record and all that stands behind it, for people. `events` are those among which its runs are looked for.
pub fn told(path: &Path, record: &Record, digest: Option<&str>, events: Option<&EventLog>) -> String {
    let mut text = format!("{}: made by pixelfeat {}, run {}\n", path.display(), record.version, record.id);
    if let Some(digest) = digest {
        let _ = writeln!(text, "  digest     {digest}");
    }
    describe(&mut text, path, record, 1, &mut BTreeSet::new());
    for run in events.iter().flat_map(|log| &log.runs).filter(|run| run.record == Some(record.id)) {
        let _ = writeln!(text, "  event run  {}  {run}", run.id);
    }
    text
}

fn describe(text: &mut String, path: &Path, record: &Record, depth: usize, above: &mut BTreeSet<PathBuf>) {
    let margin = "  ".repeat(depth);
    above.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
    let options = if record.options.is_empty() { "none".to_owned() } else { record.options.join(" ") };
    let _ = writeln!(text, "{margin}options    {options}");
    let _ = writeln!(text, "{margin}rows       {} in, {} out", HumanCount(record.rows_in), HumanCount(record.rows_out));
    let blocks = |(name, values): &(String, usize)| format!("{name} ({values})");
    for column in &record.columns {
        let from = if column.from.is_empty() { "no column".to_owned() } else { column.from.join(", ") };
        let how = if column.is_copy { " as it is" } else { "" };
        let blocks: Vec<String> = column.blocks.iter().map(blocks).collect();
        let blocks = if blocks.is_empty() { String::new() } else { format!(": {}", blocks.join(", ")) };
        let _ = writeln!(text, "{margin}column     {} from {from}{how}{blocks}", column.name);
    }
    if record.inputs.is_empty() {
        let _ = writeln!(text, "{margin}input      none: images were drawn");
    }
    for input in &record.inputs {
        let bytes = input.bytes.map(|bytes| format!(", {} bytes", HumanCount(bytes))).unwrap_or_default();
        let rows = input.rows.map(|rows| format!(", {} rows", HumanCount(rows))).unwrap_or_default();
        let option = input.option.as_ref().map(|option| format!("--{option} ")).unwrap_or_default();
        let _ = writeln!(text, "{margin}input      {option}{}{bytes}{rows}", input.name);
        let place = place(path, input);
        let _ = writeln!(text, "{margin}           {}", state(input, place.as_ref().map(|(_, source)| source)));
        let Some((here, _)) = place.filter(|(here, _)| here.is_file() && depth < MAX_DEPTH) else { continue };
        // An input that its own output has replaced would lead in a circle.
        if above.contains(&fs::canonicalize(&here).unwrap_or_else(|_| here.clone())) {
            continue;
        }
        match footer(&here).and_then(|footer| footer.record) {
            Ok(Some(record)) => {
                let made = format!("made by pixelfeat {}, run {}", record.version, record.id);
                let _ = writeln!(text, "{margin}           {made}");
                describe(text, &here, &record, depth + 1, above);
            }
            Ok(None) => {}
            Err(error) => drop(writeln!(text, "{margin}           {error}")),
        }
    }
}

/// Where an input is, and its files: by its name from here, or from the folder of its output.
fn place(output: &Path, input: &Input) -> Option<(PathBuf, Source)> {
    if input.name == "-" {
        return None;
    }
    let beside = output.parent().map(|folder| folder.join(&input.name));
    let source_at = |path: PathBuf| {
        let source = io::source(&path).ok()?;
        source.files.iter().any(|file| file.exists()).then_some((path, source))
    };
    [Some(PathBuf::from(&input.name)), beside].into_iter().flatten().find_map(source_at)
}

/// Whether an input is still what it was.
fn state(input: &Input, source: Option<&Source>) -> String {
    let Some(source) = source else {
        return if input.name == "-" { "a stream, which is gone".to_owned() } else { "is gone".to_owned() };
    };
    let now = source.measured();
    let Some(before) = &input.blake3 else {
        return match (input.bytes, now.bytes) {
            (before, after) if before == after => "is there and has this size; it was not hashed".to_owned(),
            (Some(before), Some(after)) => format!("has changed: it had {before} bytes, and has {after}"),
            _ => "has changed".to_owned(),
        };
    };
    match source.hash() {
        Ok(Some(now)) if now == *before => format!("is unchanged: blake3 {now}"),
        Ok(Some(now)) => format!("has changed: it was blake3 {before}, and is {now}"),
        Ok(None) => "has become a stream".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The command that makes a file again, beside itself, as `NAME-rerun.ENDING`.
///
/// # Errors
/// If there is no record, or none that this version can read.
pub fn rerun(path: &Path) -> Result<String> {
    let pairs = io::read_footer(path)?;
    let Some(record) = Record::of_footer(&pairs, &path.display().to_string())? else {
        let message =
            "it has no record of what made it; featurize writes one into Parquet and Arrow IPC files".to_owned();
        return Err(Error::Format { file: path.display().to_string(), message });
    };
    if record.version != env!("CARGO_PKG_VERSION") {
        let here = env!("CARGO_PKG_VERSION");
        eprintln!("warning: pixelfeat {} made it; pixelfeat {here} may make other rows", record.version);
    }
    let has_stream = record.inputs.iter().any(|input| input.name == "-");
    if has_stream {
        eprintln!("warning: it was made of a stream, which must come to stdin again");
    }
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let output = path.with_file_name(format!("{stem}-rerun{ending}")).display().to_string();
    let mut words = record.arguments(&output);
    // The footer is to tell the same.
    if pairs.contains_key(DIGEST_KEY) {
        words.push("--digest".to_owned());
    } else if record.inputs.iter().any(|input| input.blake3.is_some()) && !has_stream {
        words.push("--if-changed".to_owned());
    }
    let words: Vec<String> = words.iter().map(|word| quoted(Path::new(word))).collect();
    Ok(format!("{} {}", crate::FEATURIZE, words.join(" ")))
}

/// The events in a file.
pub fn events(path: &Path) -> Result<EventLog> {
    let text = fs::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    Ok(EventLog::read(&String::from_utf8_lossy(&text)))
}

/// Whether a file holds events.
pub fn holds_events(path: &Path) -> bool {
    let mut head = Vec::new();
    let is_file = fs::metadata(path).is_ok_and(|about| about.is_file());
    // A file that cannot be read is told of later.
    let read = is_file && File::open(path).is_ok_and(|file| file.take(HEAD).read_to_end(&mut head).is_ok());
    read && EventLog::is_one(&String::from_utf8_lossy(&head))
}

/// What a file of events tells, for people.
pub fn told_events(path: &Path, log: &EventLog) -> String {
    let open = log.runs.iter().filter(|run| run.end.is_none()).count();
    let mut text = format!("{}: {} runs, of which {open} never ended\n\n", path.display(), log.runs.len());
    for run in &log.runs {
        let _ = writeln!(text, "{run}");
        let LoggedRun { id, outputs, record, .. } = run;
        let record = record.map(|record| format!(", record {record}")).unwrap_or_default();
        let _ = writeln!(text, "    run {id}{record}, writes {}", outputs.join(", "));
    }
    for (line, why) in &log.damaged {
        let _ = writeln!(text, "line {line} {why}: it was left out");
    }
    text
}
