//! The program, run as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

use pixelfeat::io::{self, WriteOptions};
use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, Layout, synthetic};

/// Writes the features of some digits.
fn features(folder: &Path, name: &str, digits: synthetic::Digits, spec: FeatureSpec) {
    let featurizer = Featurizer::new(Engine::new(EngineOptions::default()).unwrap(), spec);
    io::write(folder.join(name), featurizer.stream(digits).unwrap(), &WriteOptions::default()).unwrap();
}

fn classify(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_classify")).args(args).current_dir(folder).output().unwrap()
}

#[test]
fn classify_learns_from_either_layout() {
    let folder = tempfile::tempdir().unwrap();
    for layout in [Layout::List, Layout::Columns] {
        let digits = synthetic::Digits::new(2_000, 1, 2_000);
        features(folder.path(), "features.parquet", digits, FeatureSpec::default().with_layout(layout));
        let output = classify(folder.path(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("trained on 1600 rows, tested on 400"), "{shown}");
        let accuracy = shown.lines().find_map(|line| line.strip_prefix("accuracy ")).unwrap();
        assert!(accuracy.parse::<f64>().unwrap() > 0.9, "{shown}");
    }
}

#[test]
fn another_file_is_tested() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    features(folder, "train.parquet", synthetic::Digits::new(500, 1, 500), FeatureSpec::default());
    features(folder, "test.parquet", synthetic::Digits::new(300, 2, 300), FeatureSpec::default());
    let output = classify(folder, &["train.parquet", "--test", "test.parquet"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("trained on 500 rows, tested on 300"), "{shown}");
    let accuracy: f64 = shown.lines().find_map(|line| line.strip_prefix("accuracy ")?.parse().ok()).unwrap();
    // The model has not seen them.
    assert!((0.8..1.0).contains(&accuracy), "{shown}");
    let narrow = FeatureSpec::default().with_features("histogram:4".parse().unwrap());
    features(folder, "narrow.parquet", synthetic::Digits::new(30, 2, 30), narrow);
    let output = classify(folder, &["train.parquet", "--test", "narrow.parquet"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "error: trained on 60 features, a row to test has 4\n");
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let output = classify(Path::new("."), &["nowhere.parquet"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: cannot open nowhere.parquet"), "{error}");
}
