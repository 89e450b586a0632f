//! Damaged files of every format: whatever is wrong with them, it becomes rows, defects or an error. No panic, no abort, no
//! endless work, bounded memory.
//!
//! `PIXELFEAT_MUTATIONS=200000` runs so many cases instead of a few hundred, `PIXELFEAT_MUTATION_SEED` others.
#![cfg(all(
    unix,
    feature = "arrays",
    feature = "csv",
    feature = "image",
    feature = "ipc",
    feature = "json",
    feature = "parquet"
))]

use std::env;
use std::fs;
use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BinaryArray, DictionaryArray, NullArray, RecordBatch, RecordBatchIterator, StructArray};
use pixelfeat::io::{self, Compression, FeatureFiles, LateMembers, OutputFormat, ReadOptions, WriteOptions};
use pixelfeat::synthetic::{self, Random};
use pixelfeat::{Backend, Engine, EngineOptions, Error, FeatureSpec, Featurizer, ImageShape, KeepImage};

use crate::support::example;

const CASES: usize = 600;
/// Kilobytes of address space.
const MEMORY: &str = "6000000";
/// Longer than any case may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sound file: its name and bytes.
type Sound = (String, Vec<u8>);

/// The small files among the fixtures, and files of each format that is written here.
fn sound_files() -> Vec<Sound> {
    fn walk(folder: &Path, found: &mut Vec<Sound>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if fs::metadata(&path).unwrap().len() <= 40_000 {
                found.push((path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"), &mut found);
    found.retain(|(name, _)| ![".txt", ".py", ".md"].iter().any(|ending| name.ends_with(ending)));
    let digits = || synthetic::Digits::new(12, 1, 5);
    for (name, format, codec) in [
        ("digits.arrow", OutputFormat::ArrowFile, Compression::None),
        ("zstd.arrow", OutputFormat::ArrowFile, Compression::Zstd),
        ("stream.arrows", OutputFormat::ArrowStream, Compression::Zstd),
        ("digits.parquet", OutputFormat::Parquet, Compression::Zstd),
    ] {
        let mut bytes = Vec::new();
        let options = WriteOptions::default().with_compression(codec);
        io::write_to(&mut bytes, format, digits(), &options).unwrap();
        found.push((name.to_owned(), bytes));
    }
    // Types that messages describe in many ways.
    let images = digits().next().unwrap().unwrap().column(0).clone();
    let values = images.as_fixed_size_list().values().as_primitive::<arrow_array::types::UInt8Type>().clone();
    let rows = images.len();
    let words: DictionaryArray<Int32Type> = ["a", "b", "a", "c", "b"].into_iter().take(rows).collect();
    let inner: ArrayRef = Arc::new(NullArray::new(rows));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(values.values().chunks_exact(784)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("image", bytes),
        ("word", Arc::new(words)),
        ("nothing", inner.clone()),
        ("group", Arc::new(StructArray::try_from(vec![("inner", inner)]).unwrap())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    for (name, format) in [("types.arrow", OutputFormat::ArrowFile), ("types.arrows", OutputFormat::ArrowStream)] {
        let mut bytes = Vec::new();
        let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        io::write_to(&mut bytes, format, reader, &WriteOptions::default()).unwrap();
        found.push((name.to_owned(), bytes));
    }
    found.sort();
    found
}

/// Numbers that lengths and offsets should not be.
const EXTREMES: [i64; 12] =
    [0, 1, -1, i32::MAX as i64, i32::MIN as i64, u32::MAX as i64, i64::MAX, i64::MIN, 1 << 33, 1 << 40, 255, 65_536];

/// A sound file with some damage.
fn damaged(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let mut below = |n: usize| (random.bits() % n.max(1) as u64) as usize;
    for _ in 0..1 + below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = below(bytes.len());
        match below(8) {
            0 | 1 => bytes[at] ^= 1 << below(8),
            2 => bytes[at] = below(256) as u8,
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..(at + 1 + below(40)).min(bytes.len()))),
            5 => {
                let copy: Vec<u8> = bytes[at..].iter().copied().take(1 + below(40)).collect();
                let to = below(bytes.len());
                bytes.splice(to..to, copy);
            }
            kind => {
                let extreme = EXTREMES[below(EXTREMES.len())].to_le_bytes();
                let width = if kind == 6 { 4 } else { 8 };
                let at = at / 4 * 4;
                for (byte, new) in bytes.iter_mut().skip(at).zip(&extreme[..width]) {
                    *byte = *new;
                }
            }
        }
    }
    bytes
}

/// Reads a damaged file in one of several ways, and writes what comes out.
fn read(path: &Path, bytes: &[u8], way: u64) -> Result<(), Error> {
    let engine = Engine::new(EngineOptions::backend(Backend::Cpu))?;
    let mut spec = FeatureSpec::default();
    if way & 1 == 1 {
        spec = spec.with_shape(ImageShape::gray(28, 28)?).with_keep_image(KeepImage::Original);
    }
    let featurizer = Featurizer::new(engine, spec);
    let late = if way & 2 == 2 { LateMembers::Rest } else { LateMembers::BreakLine };
    let options = ReadOptions::default().with_late_members(late).with_threads(2);
    let files = FeatureFiles::new(&featurizer).with_read_options(options);
    let (stream, _) = match way & 4 {
        0 => files.open([path])?,
        _ => files.read(Cursor::new(bytes.to_vec()), "stream")?,
    };
    let format = [OutputFormat::ArrowStream, OutputFormat::Csv, OutputFormat::Parquet, OutputFormat::ArrowFile];
    let format = format[(way >> 3) as usize % format.len()];
    io::write_to(std::io::sink(), format, stream, &WriteOptions::default())?;
    Ok(())
}

/// The cases of the child process; does nothing in the test process itself.
#[test]
fn child() {
    let Ok(cases) = env::var("PIXELFEAT_MUTATION_CHILD") else { return };
    let mut words = cases.split(' ');
    let mut next = || words.next().unwrap();
    let (seed, from, to, folder) = (next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap(), next());
    let sound = sound_files();
    let mut progress = fs::File::create(Path::new(folder).join("progress")).unwrap();
    for case in from..to {
        let mut random = Random::new(seed, case);
        let (name, bytes) = &sound[(random.bits() % sound.len() as u64) as usize];
        let bytes = damaged(bytes.clone(), &mut random);
        let path = Path::new(folder).join(name);
        fs::write(&path, &bytes).unwrap();
        writeln!(progress, "{case} {name}").unwrap();
        let way = random.bits();
        let done = catch_unwind(AssertUnwindSafe(|| read(&path, &bytes, way)));
        match done {
            Err(_) => panic!("case {case} of seed {seed}, {name}: a panic reached the caller"),
            // Threads of the crate turn their panics into such errors; damaged input must not need that.
            Ok(Err(error @ Error::Internal(_))) => panic!("case {case} of seed {seed}, {name}: {error}"),
            Ok(_) => {}
        }
        fs::remove_file(&path).unwrap();
    }
}

/// Runs cases in a process with little memory; says what went wrong.
fn run(seed: u64, from: usize, to: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let child = format!("{seed} {from} {to} {}", folder.path().display());
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {MEMORY} && exec \"$@\""), "sh"])
        .arg(env::current_exe().unwrap())
        .args(["mutations::child", "--exact", "--nocapture"])
        .env("PIXELFEAT_MUTATION_CHILD", child)
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
        .spawn()
        .unwrap();
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let (mut seen, mut since) = (0, Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        thread::sleep(Duration::from_millis(20));
        let written = fs::metadata(folder.path().join("progress")).map_or(0, |about| about.len());
        if written != seen {
            (seen, since) = (written, Instant::now());
        } else if since.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err(format!("seed {seed}, case {:?} takes too long", text("progress").lines().last()));
        }
    };
    let (said, progress) = (text("stderr"), text("progress"));
    if status.success() && !said.contains("panicked") && progress.lines().count() == to - from {
        return Ok(());
    }
    Err(format!("seed {seed}, case {:?}: {status}\n{said}", progress.lines().last()))
}

/// How many cases to run, and the seed of what damages the files.
fn asked() -> (usize, u64) {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    (number("PIXELFEAT_MUTATIONS").unwrap_or(CASES), number("PIXELFEAT_MUTATION_SEED").unwrap_or(1) as u64)
}

/// Runs both halves of the cases at once: any machine has cores for two processes.
fn in_halves(cases: usize, run: impl Fn(usize, usize) -> Result<(), String> + Sync) {
    let halves = [(0, cases / 2), (cases / 2, cases)];
    let found: Vec<_> = thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = halves.iter().map(|&(from, to)| scope.spawn(move || run(from, to))).collect();
        running.into_iter().map(|half| half.join().unwrap()).collect()
    });
    assert_eq!(found, [Ok(()), Ok(())]);
}

#[test]
fn damaged_files_end_in_rows_or_errors() {
    let (cases, seed) = asked();
    in_halves(cases, |from, to| run(seed, from, to));
}

/// A tenth of the cases, since a process starts for each.
#[test]
fn the_program_says_one_line_about_a_damaged_file() {
    let (cases, seed) = asked();
    let sound = sound_files();
    let run = |from, to| {
        let folder = tempfile::tempdir().unwrap();
        let output: PathBuf = folder.path().join("out.arrow");
        for case in from..to {
            let mut random = Random::new(seed ^ 77, case as u64);
            let (name, bytes) = &sound[(random.bits() % sound.len() as u64) as usize];
            let path = folder.path().join(name);
            fs::write(&path, damaged(bytes.clone(), &mut random)).unwrap();
            let mut program = Command::new("sh");
            program.args(["-c", &format!("ulimit -v {MEMORY} && exec \"$@\""), "sh"]);
            program
                .arg(example("featurize").get_program())
                .arg(&path)
                .args(["-q", "--backend", "cpu", "-o"])
                .arg(&output);
            let done = program.output().unwrap();
            let error = String::from_utf8_lossy(&done.stderr);
            let is_sound = match done.status.code() {
                Some(0) => error.is_empty(),
                Some(1) => error.starts_with("error: ") && error.lines().count() == 1,
                _ => false,
            };
            if !is_sound {
                return Err(format!("seed {seed}, case {case}, {name}: {}: {error}", done.status));
            }
            fs::remove_file(&path).unwrap();
        }
        Ok(())
    };
    in_halves(cases / 10, run);
}
