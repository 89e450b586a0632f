//! What a run tells: the report as JSON, and the lines at its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use indicatif::HumanCount;
use pixelfeat::lineage::Digest;
use pixelfeat::{Report, Spent, Times};
use serde_json::{Map, Value, json};

use crate::args::Options;

/// What the output can be known by: what `--digest` and `--md5` ask for.
pub struct Proof {
    pub digest: Option<Digest>,
    pub md5: Option<BTreeMap<PathBuf, String>>,
}

/// When a run had come how far, from its start.
pub struct Seconds {
    /// The input is open: its first rows have told what they had to tell.
    pub opened: Duration,
    /// All rows are in the output, which has no name yet.
    pub prepared: Duration,
    /// The end.
    pub elapsed: Duration,
    pub times: Times,
}

impl Seconds {
    /// Where the time of the whole run went. All parts together are `total`.
    fn of_run(&self) -> Value {
        let mut seconds = Map::new();
        let mut put = |name: &str, time: Duration| seconds.insert(name.to_owned(), rounded(time));
        put("total", self.elapsed);
        put("open", self.opened);
        for (activity, time) in self.times.waited.iter() {
            put(activity.name(), time);
        }
        put("encode", (self.prepared - self.opened).saturating_sub(self.times.waited.total()));
        put("finish", self.elapsed - self.prepared);
        seconds.into()
    }

    /// What each thread did.
    fn of_threads(&self) -> Value {
        let of = |spent: &Spent| -> Value {
            let parts = spent.iter().map(|(activity, time)| (activity.name().to_owned(), rounded(time)));
            Value::Object(parts.collect())
        };
        json!({ "reading": of(&self.times.reading), "computing": of(&self.times.computing) })
    }
}

/// Seconds with six digits behind the point.
fn rounded(time: Duration) -> Value {
    (time.as_micros() as f64 / 1e6).into()
}

/// What `--report` writes.
pub fn report_json(report: &Report, proof: &Proof, seconds: &Seconds) -> Value {
    let invalid: Map<_, _> =
        report.rows_invalid.iter().map(|(reason, rows)| (reason.name().to_owned(), (*rows).into())).collect();
    let mut json = json!({
        "rows_in": report.rows_in,
        "rows_featurized": report.rows_featurized,
        "rows_invalid": invalid,
        "other_sizes": report.other_sizes,
        "shape": report.shape.to_string(),
        "pixel_type": report.pixel_type.to_string(),
        "suggested_pixel_type": report.fits.map(|t| t.to_string()),
        "backend": report.backend(),
        "adapter": report.adapter,
        "backend_reason": report.backend_reason,
        "warnings": report.warnings,
        "seconds": seconds.of_run(),
        "threads": seconds.of_threads(),
    });
    if let Some(digest) = &proof.digest {
        json["digest"] = digest.to_json();
    }
    if let Some(md5) = &proof.md5 {
        let pairs = md5.iter().map(|(path, hash)| (path.display().to_string(), hash.clone().into()));
        json["md5"] = Value::Object(pairs.collect());
    }
    json
}

/// How much was written.
pub fn size(rows: u64, bytes: u64) -> String {
    format!("{} rows, {} bytes", HumanCount(rows), HumanCount(bytes))
}

/// What is printed at the end of a run; `written` says what is where.
pub fn summary(
    options: &Options,
    report: &Report,
    written: &str,
    proof: &Proof,
    elapsed: Duration,
    head: Option<&RecordBatch>,
) -> String {
    let seconds = elapsed.as_secs_f64();
    let rate = HumanCount((report.rows_in as f64 / seconds.max(1e-9)) as u64);
    let mut text = format!("{report}\n{written}; {seconds:.3} s, {rate} rows/s\n");
    if let Some(digest) = &proof.digest {
        let _ = writeln!(text, "digest {digest}");
    }
    for (path, hash) in proof.md5.iter().flatten() {
        let _ = writeln!(text, "md5 {hash}  {}", path.display());
    }
    if let (Some(path), true) = (&options.quarantine, report.invalid() > 0) {
        let _ = writeln!(text, "the invalid rows are in {}", path.display());
    }
    if let Some(head) = head.filter(|h| h.num_rows() > 0) {
        text.push('\n');
        text += &table(head);
    }
    text
}

/// The rows as text columns; long values and many columns are cut short.
fn table(batch: &RecordBatch) -> String {
    const COLUMNS: usize = 8;
    let format = FormatOptions::default().with_null("null");
    let mut columns = Vec::new();
    for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()).take(COLUMNS) {
        let values = ArrayFormatter::try_new(array, &format).ok();
        // A type that cannot be shown is no reason to fail.
        let shown = |row| values.as_ref().and_then(|values| values.value(row).try_to_string().ok());
        let mut cells = vec![shortened(field.name())];
        cells.extend((0..batch.num_rows()).map(|row| shortened(&shown(row).unwrap_or_else(|| "…".to_owned()))));
        columns.push(cells);
    }
    if batch.num_columns() > COLUMNS {
        let more = format!("… {} more", batch.num_columns() - COLUMNS);
        columns.push([more].into_iter().chain(std::iter::repeat_n("…".to_owned(), batch.num_rows())).collect());
    }
    let widths: Vec<usize> =
        columns.iter().map(|cells| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in 0..=batch.num_rows() {
        let cells: Vec<_> =
            columns.iter().zip(&widths).map(|(cells, &width)| format!("{:<width$}", cells[line])).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

fn shortened(cell: &str) -> String {
    const WIDTH: usize = 40;
    if cell.chars().count() <= WIDTH {
        return cell.to_owned();
    }
    let end = if cell.starts_with('[') { " …]" } else { "…" };
    cell.chars().take(WIDTH).collect::<String>() + end
}
