//! The library in some twenty lines, as the README opens with them.

use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, io, synthetic};

fn main() -> pixelfeat::Result<()> {
    let engine = Engine::new(EngineOptions::default())?;
    let featurizer = Featurizer::new(engine, FeatureSpec::default());

    // One Arrow array of images in, one of features out.
    for batch in synthetic::Digits::new(2, 1, 1) {
        let features = featurizer.featurize(batch?.column(0))?;
        println!("{:?}", features.list().value(0));
    }

    // A reader in, a reader out. `io::open("digits.json.gz", &io::ReadOptions::image("image"))?` opens a file.
    let mut stream = featurizer.stream(synthetic::Digits::new(10_000, 1, 1_000))?;
    io::write("quickstart.parquet", &mut stream, &io::WriteOptions::default())?;
    println!("{}", stream.report());
    Ok(())
}
