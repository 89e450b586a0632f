//! Trains a classifier on a features file and says how good it is: multinomial logistic regression on standardised
//! features, four fifths of the rows for training, one fifth for testing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType};
use clap::Parser;
use linfa::prelude::*;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2, Axis};
use pixelfeat::{Error, io, synthetic::Random};

/// Train a multinomial logistic regression on a features file; print its accuracy and confusion matrix.
#[derive(Parser)]
#[command(name = "classify", version)]
struct Args {
    /// A file that featurize wrote, .parquet or .arrow, in either layout.
    #[arg(default_value = "features.parquet")]
    features: PathBuf,
    /// The column with the classes.
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    label: String,
    /// Seed of the split into training and test rows.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Strength of the L2 penalty.
    #[arg(long, default_value_t = 1.0)]
    alpha: f64,
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
    let rows = Rows::read(args)?;
    let classes = rows.classes();
    let (train, test) = rows.split(args.seed, &classes)?;
    let mean = train.records().mean_axis(Axis(0)).ok_or("no rows to train on")?;
    let spread = train.records().std_axis(Axis(0), 0.0).mapv(|s| if s > 0.0 { s } else { 1.0 });
    let standardised = |records: &Array2<f64>| (records - &mean) / &spread;
    let inputs = standardised(train.records());
    let train = Dataset::new(inputs, train.targets().clone());
    let model = MultiLogisticRegression::default().alpha(args.alpha).max_iterations(200).fit(&train)?;
    let predicted = model.predict(&standardised(test.records()));
    report(&classes, test.targets(), &predicted, train.nsamples());
    Ok(())
}

fn report(classes: &[String], actual: &Array1<usize>, predicted: &Array1<usize>, trained_on: usize) {
    let mut counts = vec![vec![0usize; classes.len()]; classes.len()];
    for (&actual, &predicted) in actual.iter().zip(predicted) {
        counts[actual][predicted] += 1;
    }
    let right: usize = (0..classes.len()).map(|class| counts[class][class]).sum();
    println!("trained on {trained_on} rows, tested on {}", actual.len());
    println!("accuracy {:.4}\n", right as f64 / actual.len().max(1) as f64);
    let width = classes.iter().map(String::len).max().unwrap_or(0).max(5);
    let line = |name: &str, cells: Vec<String>| {
        println!("{name:>width$} {}", cells.iter().map(|cell| format!("{cell:>width$}")).collect::<String>());
    };
    println!("confusion matrix: a row for each actual class, a column for each predicted one");
    line("", classes.to_vec());
    for (class, row) in classes.iter().zip(&counts) {
        line(class, row.iter().map(usize::to_string).collect());
    }
}

/// The labelled rows of a file; those without a label or features are left out.
#[derive(Default)]
struct Rows {
    labels: Vec<String>,
    features: Vec<f64>,
    width: usize,
}

impl Rows {
    fn read(args: &Args) -> Result<Self, Error> {
        let reader = io::open(&args.features, &io::ReadOptions::default())?;
        let names = reader.schema().metadata().get("pixelfeat.feature_names").cloned().unwrap_or_default();
        let names: Vec<&str> = names.split(',').collect();
        let mut rows = Rows::default();
        for batch in reader {
            rows.add(&batch.map_err(Error::from)?, &args.label, &names).map_err(Error::from)?;
        }
        Ok(rows)
    }

    fn add(&mut self, batch: &RecordBatch, label: &str, names: &[&str]) -> Result<(), ArrowError> {
        let format = FormatOptions::default();
        let labels = batch.column(batch.schema_ref().index_of(label)?);
        let text = ArrayFormatter::try_new(labels, &format)?;
        let columns = feature_columns(batch, names)?;
        for row in 0..batch.num_rows() {
            if labels.is_null(row) || columns.iter().any(|column| column.is_null(row)) {
                continue;
            }
            self.labels.push(text.value(row).try_to_string()?);
            let before = self.features.len();
            for column in &columns {
                match column.data_type() {
                    DataType::FixedSizeList(..) => {
                        let values = column.as_fixed_size_list().value(row);
                        self.features
                            .extend(values.as_primitive::<Float32Type>().values().iter().map(|&v| f64::from(v)));
                    }
                    _ => self.features.push(f64::from(column.as_primitive::<Float32Type>().value(row))),
                }
            }
            self.width = self.features.len() - before;
        }
        Ok(())
    }

    /// The distinct labels, in order: numbers by value.
    fn classes(&self) -> Vec<String> {
        let distinct: BTreeSet<&String> = self.labels.iter().collect();
        let mut classes: Vec<String> = distinct.into_iter().cloned().collect();
        let numbers: Option<Vec<f64>> = classes.iter().map(|class| class.parse().ok()).collect();
        if numbers.is_some() {
            let number = |class: &String| class.parse().unwrap_or(f64::NAN);
            classes.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        classes
    }

    fn split(&self, seed: u64, classes: &[String]) -> Result<(Labelled, Labelled), Box<dyn std::error::Error>> {
        let count = self.labels.len();
        if count < 10 || classes.len() < 2 {
            return Err(format!("{count} rows of {} classes are too few to learn from", classes.len()).into());
        }
        let mut order: Vec<usize> = (0..count).collect();
        let mut random = Random::new(seed, 0);
        for i in (1..count).rev() {
            order.swap(i, (random.unit() * (i + 1) as f64) as usize);
        }
        let (test, train) = order.split_at(count / 5);
        Ok((self.take(train, classes)?, self.take(test, classes)?))
    }

    fn take(&self, rows: &[usize], classes: &[String]) -> Result<Labelled, Box<dyn std::error::Error>> {
        let values = rows.iter().flat_map(|&row| &self.features[row * self.width..][..self.width]).copied().collect();
        let records = Array2::from_shape_vec((rows.len(), self.width), values)?;
        let class = |label: &String| classes.iter().position(|class| class == label).unwrap_or(0);
        let targets = rows.iter().map(|&row| class(&self.labels[row])).collect();
        Ok(Dataset::new(records, targets))
    }
}

type Labelled = Dataset<f64, usize, ndarray::Ix1>;

/// The features: the list column, or the columns that the file's metadata names.
fn feature_columns<'a>(batch: &'a RecordBatch, names: &[&str]) -> Result<Vec<&'a dyn Array>, ArrowError> {
    if let Some(list) = batch.column_by_name("features") {
        // With null rows in it, the column comes back from Parquet as a plain list.
        if let DataType::FixedSizeList(item, _) | DataType::List(item) = list.data_type()
            && *item.data_type() == DataType::Float32
        {
            return Ok(vec![list.as_ref()]);
        }
    }
    let schema = batch.schema_ref();
    names
        .iter()
        .map(|name| {
            let at = schema.index_of(name).map_err(|_| {
                ArrowError::SchemaError("no column `features` and none that the file's metadata names".to_owned())
            })?;
            let column = batch.column(at);
            match column.data_type() {
                DataType::Float32 => Ok(column.as_ref()),
                other => Err(ArrowError::SchemaError(format!("column `{name}` is {other}, not Float32"))),
            }
        })
        .collect()
}
