//! Looks at the rows of files without writing features: a profile, checks, issues of images, images that are in other files as
//! well, whether two files hold the same rows. Exit code 3 if a check fails.

use std::path::PathBuf;
use std::process::ExitCode;

use arrow_array::RecordBatchReader;
use arrow_schema::{DataType, Field};
use clap::Parser;
use pixelfeat::quality::{CheckReport, Contract, ImageSet, Profiler, Severity};
use pixelfeat::{
    Engine, EngineOptions, Error, FeatureSet, FeatureSpec, Featurizer, ImageShape, Observer, StreamOptions, io,
};

#[path = "../featurize/quality.rs"]
mod quality;
mod same;

use quality::{FOUND, Quality, QualityArgs};

/// Look at the rows of files: profile them, hold them to checks, find bad and repeated images.
///
/// The exit code is 0 if all is well, 3 if a check of severity error fails, too much has drifted, an image is in --against as
/// well or the rows of --same differ, 2 if the options are wrong and 1 if the files cannot be read.
#[derive(Parser)]
#[command(name = "check", version, max_term_width = 110)]
struct Args {
    /// Files to read, their folders, patterns such as 'data/**/*.parquet', or - for stdin.
    #[arg(value_name = "INPUT", required_unless_present = "same")]
    inputs: Vec<PathBuf>,
    /// Tell whether two files or folders hold the same rows, with their digests and the first rows that differ.
    ///
    /// Formats, row groups, the order of columns and layouts of the same values do not matter. Other options of this program that
    /// look at data do not go with it.
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["inputs", "against", "quarantine", "write_contract", FOUND])]
    same: Option<Vec<PathBuf>>,
    /// The column that holds images. A table without it has no images, and all its columns are ordinary ones.
    #[arg(long, value_name = "COLUMN", default_value = "image")]
    image: String,
    /// The image shape; by default the rows tell.
    #[arg(long, value_name = "HxW[xC]")]
    shape: Option<ImageShape>,
    /// Take images of different sizes as they are.
    #[arg(long)]
    ragged: bool,
    /// The features that the profile, the checks and --label-report see, such as gradients.
    #[arg(long, value_name = "SET", default_value_t)]
    features: FeatureSet,
    /// Find images that are in this file as well, such as those of the test set in the training set.
    ///
    /// May be repeated. Two images are the same if their shapes, pixel types and pixels are. If there is one, the exit code is 3.
    /// Those that are near one in it are told as a warning. Takes 24 bytes of memory for each image of both.
    #[arg(long, value_name = "TEST", group = FOUND)]
    against: Vec<PathBuf>,
    /// In how many of 64 bits the perceptual hashes of images that are near may differ, 0 to 16.
    #[arg(long, value_name = "BITS", default_value_t = 0, requires = "against", value_parser = clap::value_parser!(u32).range(..=i64::from(ImageSet::MAX_DISTANCE)))]
    near_distance: u32,
    /// Let an image that is near one in --against fail the check as well.
    #[arg(long, requires = "against")]
    near_fails: bool,
    /// Write rows to blame to this file, as NDJSON.
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Propose a data contract for rows like these, and write it to this file, as YAML.
    ///
    /// With --label it also asks that the labels belong to the images.
    #[arg(long, value_name = "FILE")]
    write_contract: Option<PathBuf>,
    #[command(flatten)]
    quality: QualityArgs,
    /// Threads to decode and compute with [default: one a core].
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Print nothing but errors.
    #[arg(short, long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.same.as_deref() {
        Some([a, b]) => compared(&args, [a, b]),
        _ => run(&args).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", error.to_string().replace('\n', " "));
            ExitCode::from(if matches!(error, Error::ChecksFailed { .. } | Error::Drifted { .. }) { 3 } else { 1 })
        }
    }
}

fn run(args: &Args) -> Result<(), Error> {
    let written = [("--quarantine", args.quarantine.as_ref()), ("--write-contract", args.write_contract.as_ref())];
    for (option, path) in written.into_iter().chain(args.quality.written()) {
        let mut inputs = args.inputs.iter().chain(&args.against);
        if let Some(path) = path.filter(|path| inputs.any(|input| io::is_same_file(input, path))) {
            return Err(Error::InvalidOption { option, why: format!("{} is an input as well", path.display()) });
        }
    }
    let quarantine = args.quarantine.as_ref().map(io::Quarantine::create).transpose()?;
    let proposal = args.write_contract.as_ref().map(io::OutputFile::create).transpose()?;
    let mut quality = Quality::new(&args.quality, quarantine.as_ref(), &args.image)?;
    if proposal.is_some() {
        quality.profiler.get_or_insert_with(|| Profiler::new(args.quality.label.as_deref()));
    }
    let against = args.against.iter().map(|path| ("Compared with", path.display().to_string()));
    quality.describe(&args.inputs, against.chain([("Features", args.features.to_string())]).collect());
    let own = (!args.against.is_empty()).then(|| ImageSet::new("the input"));
    let reader = open(args, &args.inputs)?;
    let image = Field::new(&args.image, DataType::Null, true);
    let image = reader.schema().field_with_name(&args.image).cloned().unwrap_or(image);
    let result = look(args, &quality, reader, own.as_ref(), quarantine.as_ref());
    if let Some(quarantine) = &quarantine {
        quarantine.finish()?;
    }
    if let Err(error) = &result
        && !matches!(error, Error::ChecksFailed { .. } | Error::Drifted { .. })
    {
        return result;
    }
    if let Some(own) = own {
        quality.leaks = Some(compare(args, &own)?);
    }
    if let Some(told) = quality.told()?.filter(|_| !args.quiet) {
        println!("{told}");
    }
    quality.finish_reports()?;
    quality.report().map_or(Ok(()), |report| report.verdict())?;
    result?;
    if let (Some(file), Some(path), Some(profiler)) = (proposal, &args.write_contract, &quality.profiler) {
        let stem = args.inputs[0].file_name().map_or_else(|| "table".into(), |name| name.to_string_lossy());
        let table = stem.split('.').next().unwrap_or("table");
        quality::write(file, path, &profiler.look(|profile| Contract::propose(profile, table, &image)))?;
    }
    quality.finish()
}

/// Tells whether two inputs hold the same rows.
fn compared(args: &Args, inputs: [&PathBuf; 2]) -> Result<ExitCode, Error> {
    let options = io::ReadOptions::image(&args.image).with_threads(args.threads);
    let (same, told) = same::compare(inputs, &options)?;
    if !args.quiet {
        print!("{told}");
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// What `own` shares with the images of --against.
fn compare(args: &Args, own: &ImageSet) -> Result<CheckReport, Error> {
    let names: Vec<String> = args.against.iter().map(|path| path.display().to_string()).collect();
    let other = ImageSet::new(names.join(", "));
    watch(args, open(args, &args.against)?, args.shape, vec![Box::new(other.clone())], None)?;
    for set in [own, &other] {
        let (rows, images) = (set.rows(), set.len() as u64);
        if images < rows && !args.quiet {
            eprintln!("warning: {} of {rows} rows of {} have no image to compare", rows - images, set.name());
        }
    }
    let mut leaks = own.leaks(&other, args.near_distance)?;
    if args.near_fails {
        leaks.results.iter_mut().for_each(|result| result.severity = Severity::Error);
    }
    Ok(leaks)
}

/// Looks at the inputs. The images of `own` are remembered.
fn look(
    args: &Args,
    quality: &Quality,
    reader: io::Reader,
    own: Option<&ImageSet>,
    quarantine: Option<&io::Quarantine>,
) -> Result<(), Error> {
    let needs_images = own.is_some() || args.quality.issues || args.quality.label_report.is_some();
    if needs_images || reader.schema().column_with_name(&args.image).is_some() {
        let own = own.map(|own| Box::new(own.clone()) as Box<dyn Observer>);
        let shape = args.shape.or(quality.shape());
        return watch(args, reader, shape, own.into_iter().chain(quality.observers()).collect(), quarantine);
    }
    let (origins, mut row) = (reader.origins(), 0);
    for batch in reader {
        let batch = batch.map_err(Error::from)?;
        let check = || quality.checker.as_ref().map_or(Ok(()), |checker| checker.check_table(&batch, row, &origins));
        let (profiled, checked) = match &quality.profiler {
            Some(profiler) => profiler.add_table_beside(&batch, check),
            None => (Ok(()), check()),
        };
        profiled.and(checked)?;
        row += batch.num_rows() as u64;
    }
    // What a stream would say at its end.
    quality.checker.as_ref().map_or(Ok(()), |checker| checker.verdict())?;
    quality.drift.as_ref().map_or(Ok(()), |drift| drift.report()?.verdict())
}

fn open(args: &Args, inputs: &[PathBuf]) -> Result<io::Reader, Error> {
    io::open_all(inputs, &io::ReadOptions::image(&args.image).with_threads(args.threads))
}

/// Lets observers see the images of some files.
fn watch(
    args: &Args,
    reader: io::Reader,
    shape: Option<ImageShape>,
    observers: Vec<Box<dyn Observer>>,
    quarantine: Option<&io::Quarantine>,
) -> Result<(), Error> {
    let engine = Engine::new(EngineOptions::default().with_threads(args.threads))?;
    let spec = FeatureSpec::default()
        .with_image(&args.image)
        .with_shape(shape)
        .with_ragged(args.ragged)
        .with_features(args.features.clone())
        .with_max_invalid(args.quality.max_invalid.unwrap_or_default());
    let featurizer = Featurizer::new(engine, spec);
    let mut options = StreamOptions::default().with_origins(reader.origins()).with_warnings(reader.warnings());
    options.quarantine = quarantine.map(|quarantine| quarantine.sink(&args.image));
    options.observers = observers;
    let stream = featurizer.stream_with(reader, options)?;
    stream.into_iter().try_for_each(|batch| batch.map(drop)).map_err(Error::from)
}
