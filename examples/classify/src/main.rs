//! Trains a classifier on a features file and says how good it is: multinomial logistic regression on standardised
//! features, four fifths of the rows for training, one fifth for testing; or another file for testing.

#[path = "../../inspect/canvas.rs"]
mod canvas;
mod numpy;
mod picture;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use picture::Miss;
use pixelfeat::io;
use pixelfeat::quality::LogisticRegression;
use rows::{Rows, Source};

/// Train a multinomial logistic regression on a features file; print its accuracy, the recall of each class and the
/// confusion matrix.
///
/// The split is that of scikit-learn's train_test_split(test_size=0.2, random_state=seed), and the model that of its
/// LogisticRegression(C=1/alpha) on features that are standardised by the training rows.
#[derive(Parser)]
#[command(name = "classify", version)]
struct Args {
    /// A file that featurize wrote, .parquet or .arrow, in either layout.
    #[arg(default_value = "features.parquet")]
    features: PathBuf,
    /// Test on the rows of this file, and train on all rows of the first one.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    test: Option<PathBuf>,
    /// The column with the classes.
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    label: String,
    /// Seeds of the split into training and test rows, with commas between. With several, the mean is printed, and the
    /// matrix counts the test rows of all.
    #[arg(long, value_name = "SEEDS", value_delimiter = ',', default_value = "0")]
    seeds: Vec<u32>,
    /// Strength of the L2 penalty.
    #[arg(long, default_value_t = 1.0)]
    alpha: f64,
    /// Draw the confusion matrix, and the test images that were taken for another class most firmly, into this PNG file.
    /// The images are there if featurize ran with --keep-image.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// The column with the images, for the picture.
    #[arg(long, value_name = "COLUMN", default_value = "image")]
    image: String,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let image = args.picture.as_ref().map(|_| args.image.as_str());
    let read = |path| Rows::read(&Source { path, label: &args.label, image });
    let rows = read(&args.features)?;
    let other = args.test.as_deref().map(read).transpose()?;
    let tested = other.as_ref().unwrap_or(&rows);
    if tested.width() != rows.width() {
        return Err(format!("trained on {} features, a row to test has {}", rows.width(), tested.width()).into());
    }
    let classes = rows::classes(&[&rows, tested]);
    if rows.len() < 10 || classes.len() < 2 {
        return Err(format!("{} rows of {} classes are too few to learn from", rows.len(), classes.len()).into());
    }
    let mut counts = vec![vec![0usize; classes.len()]; classes.len()];
    let (mut accuracies, mut misses) = (Vec::new(), Vec::new());
    for &seed in &args.seeds {
        let (train_rows, test_rows) = match &other {
            Some(other) => ((0..rows.len()).collect(), (0..other.len()).collect()),
            None => numpy::split(seed, rows.len()),
        };
        let test = tested.take(&test_rows, &classes)?;
        let model = LogisticRegression::fit(rows.take(&train_rows, &classes)?, args.alpha)?;
        let mut right = 0;
        for ((features, &actual), &row) in test.rows().zip(test.labels()).zip(&test_rows) {
            let probabilities = model.probabilities(features)?;
            let predicted =
                (0..classes.len()).fold(0, |best, c| if probabilities[c] > probabilities[best] { c } else { best });
            counts[actual][predicted] += 1;
            right += usize::from(predicted == actual);
            if predicted != actual {
                misses.push(Miss { row, actual, predicted, probability: probabilities[actual] });
            }
        }
        if accuracies.is_empty() {
            println!("trained on {} rows, tested on {}; {} features", train_rows.len(), test_rows.len(), rows.width());
        }
        let accuracy = right as f64 / test_rows.len() as f64;
        if args.seeds.len() > 1 {
            println!("seed {seed}: accuracy {accuracy:.4}");
        }
        accuracies.push(accuracy);
    }
    let accuracy = accuracies.iter().sum::<f64>() / accuracies.len().max(1) as f64;
    println!("accuracy {accuracy:.4}{}\n", if accuracies.len() > 1 { ", the mean of the seeds" } else { "" });
    report(&classes, &counts);
    if let Some(path) = &args.picture {
        // A row may be a test row of several seeds.
        misses.sort_by(|a, b| a.row.cmp(&b.row).then(a.probability.total_cmp(&b.probability)));
        misses.dedup_by_key(|miss| miss.row);
        misses.sort_by(|a, b| a.probability.total_cmp(&b.probability));
        let drawn = picture::draw(&classes, &counts, &misses, tested.images.as_ref());
        let mut file = io::OutputFile::create(path)?;
        std::io::Write::write_all(&mut file, &drawn.png()?)?;
        file.finish()?;
        let without = if tested.images.is_none() { "; there is no column of images to draw" } else { "" };
        println!("\ndrawn in {}{without}", path.display());
    }
    Ok(())
}

/// Prints the matrix with the recall of each class: how many of its rows were found.
fn report(classes: &[String], counts: &[Vec<usize>]) {
    let largest = counts.iter().flatten().max().map_or(0, |count| count.to_string().len());
    let width = classes.iter().map(String::len).max().unwrap_or(0).max(largest).max(4) + 1;
    println!("confusion matrix: a row for each actual class, a column for each predicted one, and the recall");
    let names: String = classes.iter().map(|class| format!("{class:>width$}")).collect();
    println!("{:>width$}{names}  recall", "");
    for (at, (class, row)) in classes.iter().zip(counts).enumerate() {
        let cells: String = row.iter().map(|count| format!("{count:>width$}")).collect();
        let recall = row[at] as f64 / row.iter().sum::<usize>().max(1) as f64;
        println!("{class:>width$}{cells}  {recall:.4}");
    }
}
