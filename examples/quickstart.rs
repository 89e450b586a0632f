//! The library in some twenty lines: an Arrow array in memory, then a whole file.

use arrow_array::Array;
use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, ImageShape, io, synthetic};

fn main() -> Result<(), pixelfeat::Error> {
    let engine = Engine::new(EngineOptions::default())?;
    let featurizer = Featurizer::new(engine, FeatureSpec::new(ImageShape::gray(28, 28)?));

    // One Arrow array in, its features out.
    for batch in synthetic::Digits::new(1_000, 1, 1_000) {
        let features = featurizer.featurize(batch?.column(0))?;
        println!("{} images, {} features each", features.features.len(), features.features.value_length());
    }

    // A reader in, a reader out: `io::open("digits.json.gz", &io::ReadOptions::default())?` would do as well.
    let mut stream = featurizer.stream(synthetic::Digits::new(10_000, 1, 8_192))?;
    let path = std::env::temp_dir().join("quickstart.parquet");
    let written = io::write(&path, &mut stream, &io::WriteOptions::default())?;
    println!("{} rows, {} bytes in {}", written.rows, written.bytes, path.display());
    println!("{}", stream.report());
    Ok(())
}
