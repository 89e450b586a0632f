//! What a file holds, before any run: columns, images, odd rows, and the command that featurizes it; and what made it.

mod canvas;
mod found;
mod lineage;
mod panels;
mod picture;
mod shapes;
mod values;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arrow_array::RecordBatchReader;
use clap::Parser;
use indicatif::HumanCount;
use pixelfeat::{Error, FeatureSet, ImageShape, PixelType, Result, io};

use found::{Found, Look, open, type_name};
use values::{ListBlock, list_blocks};

/// Tell what files of images hold, before any run.
///
/// Reads all rows once and prints columns, image layout, shape, pixel type, value range, nulls, odd rows, and the command
/// that featurizes them. Of an output of featurize it tells what made it, and whether the inputs are still the same. Of a file
/// of lineage events it tells the runs, and which of them never ended.
#[derive(Parser)]
#[command(name = "inspect", version, max_term_width = 110)]
struct Args {
    /// Files, folders or patterns, as featurize takes them.
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,
    /// The column that holds the images [default: image, else the first that can].
    #[arg(long, value_name = "COLUMN")]
    image: Option<String>,
    /// The image shape; by default read from the data.
    #[arg(long, value_name = "HxW[xC]")]
    shape: Option<ImageShape>,
    /// The type of the pixels, u8, u16 or f32; by default the column's own, and u8 for JSON.
    #[arg(long, value_name = "TYPE")]
    pixel_type: Option<PixelType>,
    /// The labels of an IDX or NPY file of images.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Read the first N rows only.
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// The features to tell of: names with parameters and commas between, such as profiles,zones:7x7.
    #[arg(long, value_name = "SET", default_value = "profiles")]
    features: FeatureSet,
    /// Draw the first images, and what the features see of each, into this PNG file.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Print only the command that makes this output of featurize again, beside it as NAME-rerun.ENDING.
    #[arg(long, conflicts_with = "picture")]
    rerun: bool,
    /// Look in this file of lineage events for the runs that made an output.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

/// How the program is called.
const FEATURIZE: &str = "cargo run --release --example featurize --";

impl Args {
    fn look(&self) -> Look {
        Look {
            inputs: self.inputs.clone(),
            image: self.image.clone(),
            shape: self.shape,
            pixel_type: self.pixel_type,
            labels: self.labels.clone(),
            rows: self.rows,
            features: self.features.clone(),
            draws: self.picture.is_some(),
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.to_string().replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if args.rerun {
        args.inputs.iter().try_for_each(|path| lineage::rerun(path).map(|command| println!("{command}")))?;
        return Ok(());
    }
    if let [path] = &args.inputs[..]
        && lineage::holds_events(path)
    {
        print!("{}", lineage::told_events(path, &lineage::events(path)?));
        return Ok(());
    }
    // Features are made of the inputs, and not again of an output.
    let (has_records, digest) = tell_lineage(args)?;
    if has_records && args.image.is_none() {
        return Ok(());
    }
    let look = args.look();
    let (image, reader) = open(&look)?;
    let schema = reader.schema();
    let bytes = reader.progress().bytes_total();
    let mut found = Found::new(&schema, &image, &look);
    let result = found.read(&look, reader);
    let mut text = String::new();
    let names: Vec<String> = args.inputs.iter().map(|path| path.display().to_string()).collect();
    let rows = found.report.as_ref().map(|report| format!("{} rows", HumanCount(report.rows_in)));
    let size: Vec<String> = rows.into_iter().chain(bytes.map(|bytes| format!("{} bytes", HumanCount(bytes)))).collect();
    let _ = writeln!(text, "{}: {}\n", names.join(" "), size.join(", "));
    if let Some(digest) = digest {
        let _ = writeln!(text, "digest {digest}\n");
    }
    columns(&found, &mut text);
    if result.is_ok() {
        images(&found, &mut text);
    }
    let _ = writeln!(text, "\n{}", command(args, &image, &found));
    print!("{text}");
    result?;
    if let (Some(path), Some(sheet)) = (&args.picture, &found.sheet) {
        let bytes = sheet.png().map_err(|why| Error::Format { file: path.display().to_string(), message: why })?;
        let mut file = io::OutputFile::create(path)?;
        std::io::Write::write_all(&mut file, &bytes).map_err(|source| Error::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
        file.finish()?;
        println!("{} images drawn in {}", sheet.images(), path.display());
    }
    Ok(())
}

/// Tells what made the files that have records. Returns whether there are some, and the digest of a single input.
fn tell_lineage(args: &Args) -> Result<(bool, Option<String>)> {
    let events = args.events.as_deref().map(lineage::events).transpose()?;
    let (mut has_records, mut digest) = (false, None);
    for path in args.inputs.iter().filter(|path| !io::is_stream(path)) {
        let record = lineage::footer(path).and_then(|footer| {
            digest = footer.digest;
            footer.record
        });
        match record {
            Ok(Some(record)) => {
                has_records = true;
                println!("{}", lineage::told(path, &record, digest.as_deref(), events.as_ref()));
            }
            Ok(None) => {}
            // Opening the file will tell.
            Err(Error::Io { .. }) => {}
            // The rows may be readable all the same.
            Err(error) => eprintln!("warning: {error}"),
        }
    }
    Ok((has_records, digest.filter(|_| args.inputs.len() == 1)))
}

fn columns(found: &Found, text: &mut String) {
    let rows: Vec<[String; 3]> = found
        .columns()
        .into_iter()
        .map(|(field, nulls)| {
            let nulls = if nulls > 0 { format!("{} null", HumanCount(nulls)) } else { String::new() };
            [field.name().clone(), type_name(field.data_type()), nulls]
        })
        .collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let (names, types) = (width(0), width(1));
    let _ = writeln!(text, "columns");
    for [name, data_type, nulls] in &rows {
        let _ = writeln!(text, "{}", format!("  {name:names$}  {data_type:types$}  {nulls}").trim_end());
    }
}

fn images(found: &Found, text: &mut String) {
    let Some(report) = &found.report else { return };
    let _ = writeln!(text, "\nimages in `{}`", found.image);
    let _ = writeln!(text, "  layout      {}", found.layout());
    let layout = found.features.layout(report.shape, 1.0);
    let features = layout.as_ref().map_or(0, |layout| layout.list_values());
    let _ = writeln!(text, "  shape       {}, {} features", report.shape, HumanCount(features as u64));
    let range = found.range.map(|(low, high)| format!(", values {low} to {high}")).unwrap_or_default();
    let _ = writeln!(text, "  pixel type  {}{range}", report.pixel_type);
    if let Some(fits) = report.fits {
        let _ = writeln!(text, "              some do not fit; {fits} would take them");
    }
    let _ = writeln!(text, "  good rows   {}", HumanCount(report.rows_featurized));
    for (reason, odd) in &*found.odd() {
        let _ = writeln!(text, "  odd rows    {} {reason}", HumanCount(odd.rows));
        for first in &odd.first {
            let _ = writeln!(text, "              {first}");
        }
        if odd.rows > odd.first.len() as u64 {
            let _ = writeln!(text, "              …");
        }
    }
    if let Ok(layout) = layout {
        let _ = writeln!(text, "\nfeatures of `{}`: blocks, their places in the list, their values", found.features);
        blocks(found, &list_blocks(&layout), text);
    }
}

/// A line for each block: its name, its places in the list, the names of its values, and their range.
fn blocks(found: &Found, blocks: &[ListBlock], text: &mut String) {
    let names = |block: &ListBlock| match block.range.len() {
        1 => block.first.clone(),
        _ => format!("{} … {}", block.first, block.last),
    };
    let width = |length: &dyn Fn(&ListBlock) -> usize| blocks.iter().map(length).max().unwrap_or(0);
    let (name_width, names_width) = (width(&|b| b.name.chars().count()), width(&|b| names(b).chars().count()));
    for block in blocks {
        let place = format!("{}..{}", block.range.start, block.range.end);
        let _ = write!(text, "  {:name_width$}  {place:9}  {:names_width$}", block.name, names(block));
        let _ = match found.ranges.of(block) {
            Some((low, high)) => writeln!(text, "  {low:.4} to {high:.4}"),
            None => writeln!(text),
        };
    }
}

/// The command that makes features of these files.
fn command(args: &Args, image: &str, found: &Found) -> String {
    let mut words = vec![FEATURIZE.to_owned()];
    words.extend(args.inputs.iter().map(|path| quoted(path)));
    if image != io::ReadOptions::default().image {
        words.push(format!("--image {}", quoted(Path::new(image))));
    }
    match (args.shape, &found.report) {
        (Some(shape), _) => words.push(format!("--shape {shape}")),
        // The data does not tell it.
        (None, None) => words.push("--shape HxW".to_owned()),
        (None, Some(_)) => {}
    }
    if let Some(report) = found.report.as_ref().filter(|report| report.other_sizes) {
        words.push(format!("--resize {}x{}", report.shape.height(), report.shape.width()));
    }
    if let Some(pixel_type) = found.report.as_ref().and_then(|report| report.fits).or(args.pixel_type) {
        words.push(format!("--pixel-type {pixel_type}"));
    }
    if let Some(labels) = &args.labels {
        words.push(format!("--labels {}", quoted(labels)));
    }
    if found.report.as_ref().is_some_and(|report| report.invalid() > 0) {
        words.push("--quarantine odd-rows.ndjson".to_owned());
    }
    if args.features != FeatureSet::default() {
        words.push(format!("--features {}", args.features));
    }
    words.push("-o features.parquet".to_owned());
    words.join(" ")
}

/// As a shell takes it for one word.
fn quoted(word: &Path) -> String {
    let word = word.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "-_./,:+=@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
