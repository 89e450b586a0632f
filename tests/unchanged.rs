//! Every fixture and the MNIST file give the columns that they gave before, bit for bit, on CPU, GPU and both.
//!
//! `tests/fixtures/hashes.txt` was written before the redesign of feature sets. `PIXELFEAT_WRITE_HASHES=1` writes it
//! again, which is only right where a change of the output is intended.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc", feature = "arrays", feature = "image"))]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use pixelfeat::io::{self, ReadOptions};
use pixelfeat::{Backend, Engine, EngineOptions, FeatureSpec, Featurizer, KeepImage, Layout, MaxInvalid};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// FNV-1a, 64 bits: short, and the same everywhere.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Adds every value of every column, as text that tells each float from every other.
fn add(batch: &RecordBatch, hashes: &mut Vec<(String, Hash)>) {
    if hashes.is_empty() {
        for field in batch.schema().fields() {
            let mut hash = Hash::new();
            hash.add(&field.data_type().to_string());
            hashes.push((field.name().replace(' ', "_"), hash));
        }
    }
    let options = FormatOptions::default().with_null("null");
    for (column, (_, hash)) in batch.columns().iter().zip(hashes) {
        let values = ArrayFormatter::try_new(column, &options).unwrap();
        (0..batch.num_rows()).for_each(|row| hash.add(&values.value(row).to_string()));
    }
}

/// The columns of one input and their hashes, or a word that it cannot be featurized like this.
fn hashes(engine: &Engine, path: &Path, spec: &FeatureSpec) -> String {
    let run = || -> pixelfeat::Result<String> {
        let reader = io::open_all([path], &ReadOptions::image(&spec.image))?;
        let spec = spec.clone().with_max_invalid(MaxInvalid::Percent(100.0));
        let stream = Featurizer::new(engine.clone(), spec).stream(reader)?;
        let mut hashes = Vec::new();
        for batch in stream {
            add(&batch.map_err(pixelfeat::Error::from)?, &mut hashes);
        }
        // Where the files lie is not theirs.
        hashes.retain(|(name, _)| name != "path");
        let columns = hashes.into_iter().map(|(name, hash)| format!("{name}={:016x}", hash.0));
        Ok(columns.collect::<Vec<_>>().join(" "))
    };
    run().unwrap_or_else(|_| "error".to_owned())
}

/// Specs by a name that stands in the table.
fn specs() -> Vec<(&'static str, FeatureSpec)> {
    let default = FeatureSpec::default;
    vec![
        ("default", default()),
        ("4x5", FeatureSpec::new("4x5".parse().unwrap())),
        ("6x5", FeatureSpec::new("6x5".parse().unwrap())),
        ("columns", default().with_layout(Layout::Columns)),
        (
            "gray,resize",
            default()
                .with_stages("gray,resize(7x5)".parse().unwrap())
                .with_keep_image(KeepImage::Tensor)
                .with_layout(Layout::Tensor),
        ),
        ("ragged", default().with_ragged(true)),
    ]
}

/// Files below a folder, and the folders that are inputs as a whole.
fn inputs() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let fixtures = root().join("tests/fixtures");
    let mut found = Vec::new();
    for folder in ["files", "images", "layouts"] {
        walk(&fixtures.join(folder), &mut found);
    }
    found.extend(["hive-daft", "hive-pyarrow", "images", "kinds"].map(|name| fixtures.join("files").join(name)));
    found
}

/// The lines of the table that these engines' runs make; all engines must agree.
fn table(engines: &[(String, Engine)], inputs: &[(String, PathBuf)], only_default: bool) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for (input, path) in inputs {
        for (name, spec) in specs().into_iter().take(if only_default { 1 } else { usize::MAX }) {
            let mut all = engines.iter().map(|(engine, of)| (engine, hashes(of, path, &spec)));
            let (_, first) = all.next().unwrap();
            // Float pixels are within a bound on a GPU, not equal; the CPU's are what the table holds.
            let floats = ["f2", "f4", "f8", "f16", "f32", "half"].iter().any(|kind| input.contains(kind));
            for (engine, other) in all {
                assert!(
                    floats && engine == "gpu" || other == first,
                    "{input} ({name}) on {engine}: {other}, not {first}"
                );
            }
            lines.insert(format!("{input} {name}"), first);
        }
    }
    lines
}

fn engines() -> Vec<(String, Engine)> {
    let mut engines = vec![("cpu".to_owned(), Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap())];
    if let Some(gpu) = crate::support::gpu() {
        engines.push(("gpu".to_owned(), gpu));
        engines.push(("hybrid".to_owned(), Engine::new(EngineOptions::backend(Backend::Hybrid)).unwrap()));
    }
    engines
}

fn check(file: &str, lines: &BTreeMap<String, String>) {
    let path = root().join("tests/fixtures").join(file);
    if std::env::var_os("PIXELFEAT_WRITE_HASHES").is_some_and(|v| v == "1") {
        let text: String = lines.iter().map(|(key, hashes)| format!("{key}\t{hashes}\n")).collect();
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let known: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    assert_eq!(known.len(), lines.len(), "{file} has a line for each input and way to read it");
    for (key, hashes) in lines {
        assert_eq!(known.get(key.as_str()), Some(&hashes.as_str()), "{key}");
    }
}

#[test]
fn fixtures_give_the_columns_that_they_gave() {
    let fixtures = root().join("tests/fixtures");
    let inputs: Vec<_> =
        inputs().into_iter().map(|path| (path.strip_prefix(&fixtures).unwrap().display().to_string(), path)).collect();
    check("hashes.txt", &table(&engines(), &inputs, false));
}

#[test]
fn mnist_gives_the_columns_that_it_gave() {
    let path = root().join("../shared/data/mnist_handwritten_test.json.gz");
    if !path.is_file() {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "the MNIST file is not there: its hashes are compared with nothing");
        return;
    }
    check("hashes-mnist.txt", &table(&engines(), &[("mnist".to_owned(), path)], true));
}
