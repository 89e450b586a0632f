//! The program, run as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

use pixelfeat::io::{self, WriteOptions};
use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, Layout, synthetic};

fn classify(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_classify")).args(args).current_dir(folder).output().unwrap()
}

#[test]
fn classify_learns_from_either_layout() {
    let folder = tempfile::tempdir().unwrap();
    for layout in [Layout::List, Layout::Columns] {
        let spec = FeatureSpec::default().with_layout(layout);
        let featurizer = Featurizer::new(Engine::new(EngineOptions::default()).unwrap(), spec);
        let features = featurizer.stream(synthetic::Digits::new(2_000, 1, 2_000)).unwrap();
        io::write(folder.path().join("features.parquet"), features, &WriteOptions::default()).unwrap();
        let output = classify(folder.path(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("trained on 1600 rows, tested on 400"), "{shown}");
        let accuracy = shown.lines().find_map(|line| line.strip_prefix("accuracy ")).unwrap();
        assert!(accuracy.parse::<f64>().unwrap() > 0.9, "{shown}");
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let output = classify(Path::new("."), &["nowhere.parquet"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: cannot open nowhere.parquet"), "{error}");
}
