//! How long a row of a stream waits: from the write of its line to its features, when the input pauses.
//!
//! Rows go through an operating system's pipe one by one, as NDJSON, with pauses between them. The features come out of the
//! stream that a program reads, and once more out of a second pipe as Arrow IPC, as `featurize - -o -` writes them.

use std::error::Error;
use std::io::{self, PipeReader, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_ipc::reader::StreamReader;
use clap::Parser;
use pixelfeat::io::{FeatureFiles, OutputFormat, ReadOptions, WriteOptions, write_to};
use pixelfeat::synthetic::Random;
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, FeatureStream, Featurizer};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measure how long rows of a stream wait.
#[derive(Parser)]
struct Args {
    /// Rows of each measurement.
    #[arg(long, value_name = "N", default_value_t = 500)]
    rows: usize,
    /// Milliseconds between two rows.
    #[arg(long, value_name = "MS", default_value_t = 20)]
    pause: u64,
    /// How long a row may wait for the next ones, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5)]
    max_delay: u64,
    /// A quick look: 40 rows.
    #[arg(long)]
    quick: bool,
    /// What `cargo bench` passes on.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let rows = if args.quick { 40 } else { args.rows };
    println!("{rows} rows of 28x28, {} ms apart, maximum delay {} ms", args.pause, args.max_delay);
    for (name, through_ipc) in [("to the stream", false), ("to an IPC pipe", true)] {
        let mut delays = measure(rows, &args, through_ipc)?;
        delays.sort();
        let at = |share: f64| delays[((delays.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
        println!("{name}: median {:.2} ms, 99 % within {:.2} ms, largest {:.2} ms", at(0.5), at(0.99), at(1.0));
    }
    Ok(())
}

/// The delay of each row. The first ones, which also open the stream, do not count.
fn measure(rows: usize, args: &Args, through_ipc: bool) -> Result<Vec<Duration>> {
    const FIRST: usize = 5;
    let (from, mut to) = io::pipe()?;
    let (seen, out) = channel();
    let max_delay = Duration::from_millis(args.max_delay);
    let reader = thread::spawn(move || read(from, max_delay, through_ipc, &seen));
    let mut random = Random::new(7, 0);
    let mut delays = Vec::new();
    for label in 0..rows + FIRST {
        let pixels: Vec<u8> = (0..784).map(|_| random.bits() as u8).collect();
        let mean = pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / 784.0;
        let line = format!("{{\"image\": {pixels:?}, \"label\": {label}}}\n");
        let start = Instant::now();
        to.write_all(line.as_bytes())?;
        let (got, got_mean, arrived) = next(&out)?;
        if got != label as i64 || (f64::from(got_mean) - mean).abs() > 1e-3 {
            return Err(format!("row {label} came out as {got} with mean {got_mean}, not {mean}").into());
        }
        if label >= FIRST {
            delays.push(arrived - start);
        }
        thread::sleep(Duration::from_millis(args.pause));
    }
    drop(to);
    reader.join().map_err(|_| "the reader panicked")??;
    Ok(delays)
}

type Row = (i64, f32, Instant);

fn next(out: &Receiver<Row>) -> Result<Row> {
    Ok(out.recv_timeout(Duration::from_secs(60))?)
}

fn open(from: PipeReader, max_delay: Duration) -> Result<FeatureStream> {
    let featurizer = Featurizer::new(Engine::new(EngineOptions::backend(Backend::Cpu))?, FeatureSpec::default());
    let options = ReadOptions::default().with_max_delay(max_delay);
    Ok(FeatureFiles::new(&featurizer).with_read_options(options).read(from, "pipe")?.0)
}

fn read(from: PipeReader, max_delay: Duration, through_ipc: bool, seen: &Sender<Row>) -> Result<()> {
    let stream = open(from, max_delay)?;
    if !through_ipc {
        return stream.map(|batch| Ok(batch?)).try_for_each(|batch: Result<RecordBatch>| tell(&batch?, seen));
    }
    let (from, to) = io::pipe()?;
    let writer = thread::spawn(move || write_to(to, OutputFormat::ArrowStream, stream, &WriteOptions::default()));
    for batch in StreamReader::try_new(from, None)? {
        tell(&batch?, seen)?;
    }
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(())
}

fn tell(batch: &RecordBatch, seen: &Sender<Row>) -> Result<()> {
    let arrived = Instant::now();
    let labels = batch.column_by_name("label").ok_or("no labels")?.as_primitive::<Int64Type>();
    let means = batch.column_by_name("pixel_mean").ok_or("no means")?.as_primitive::<Float32Type>();
    for (&label, &mean) in labels.values().iter().zip(means.values()) {
        seen.send((label, mean, arrived))?;
    }
    Ok(())
}
