//! What a file holds, before any run: columns, images, odd rows, and the command that featurizes it.

mod canvas;
mod panels;
mod picture;
mod shapes;
mod values;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use clap::Parser;
use indicatif::HumanCount;
use pixelfeat::{
    Backend, Engine, EngineOptions, Error, FeatureSet, FeatureSpec, Featurizer, ImageBatch, ImageShape, KeepImage,
    MaxInvalid, PixelType, Pixels, Reason, Report, Result, StreamOptions, describe_column, io,
};

use picture::Sheet;
use values::{Ranges, list_blocks};

/// Tell what files of images hold, before any run.
///
/// Reads all rows once and prints columns, image layout, shape, pixel type, value range, nulls, odd rows, and the command
/// that featurizes them.
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
    let (image, reader) = open(args)?;
    let schema = reader.schema();
    let bytes = reader.progress().bytes_total();
    let mut found = Found::new(&schema, &image, args);
    let result = found.read(args, reader);
    let mut text = String::new();
    let names: Vec<String> = args.inputs.iter().map(|path| path.display().to_string()).collect();
    let rows = found.report.as_ref().map(|report| format!("{} rows", HumanCount(report.rows_in)));
    let size: Vec<String> = rows.into_iter().chain(bytes.map(|bytes| format!("{} bytes", HumanCount(bytes)))).collect();
    let _ = writeln!(text, "{}: {}\n", names.join(" "), size.join(", "));
    found.columns(&mut text);
    if result.is_ok() {
        found.images(&mut text);
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

fn reader(args: &Args, image: &str) -> Result<io::Reader> {
    let mut options = io::ReadOptions::image(image)
        .with_pixel_type(args.pixel_type)
        .with_keep_broken_lines(true)
        .with_rows(args.rows.map_or(io::Rows::All, io::Rows::First));
    options.labels = args.labels.clone();
    io::open_all(&args.inputs, &options)
}

/// The image column and the reader: the column that was named, or `image`, or the first that can hold images.
fn open(args: &Args) -> Result<(String, io::Reader)> {
    if let Some(image) = &args.image {
        return Ok((image.clone(), reader(args, image)?));
    }
    let usual = io::ReadOptions::default().image;
    let keys = match reader(args, &usual) {
        Ok(reader) if reader.schema().column_with_name(&usual).is_some() => return Ok((usual, reader)),
        Ok(reader) => reader.schema().fields().iter().map(|field| field.name().clone()).collect(),
        // JSON has to be told the key before it can tell its columns.
        Err(Error::NoSuchColumn { available, .. }) => available,
        Err(error) => return Err(error),
    };
    for key in &keys {
        let reader = self::reader(args, key)?;
        if let Some(image) = candidates(&reader.schema(), key).into_iter().next() {
            return Ok((image.clone(), self::reader(args, &image)?));
        }
    }
    Err(Error::NoSuchColumn { column: usual, available: keys })
}

/// The columns that can hold images, and members of structs by their path. What is called `asked` has the type that
/// was asked for rather than its own where the format leaves it open.
fn candidates(schema: &Schema, asked: &str) -> Vec<String> {
    let holds = |field: &Field| *field.data_type() != DataType::Null && describe_column(field).is_ok();
    let mut found = Vec::new();
    for field in schema.fields().iter().filter(|field| !field.metadata().contains_key(pixelfeat::DEFECTS_OF)) {
        match field.data_type() {
            _ if field.name() != asked && holds(field) => found.push(field.name().clone()),
            DataType::Struct(members) => {
                let members = members.iter().filter(|member| holds(member));
                found.extend(members.map(|member| format!("{}.{}", field.name(), member.name())));
            }
            _ => {}
        }
    }
    found
}

/// Rows of one reason.
#[derive(Default)]
struct Odd {
    rows: u64,
    first: Vec<String>,
}

/// What a pass over the rows found.
struct Found {
    image: String,
    schema: SchemaRef,
    /// Rows looked at.
    rows: u64,
    /// Nulls of each column.
    nulls: Vec<u64>,
    range: Option<(f64, f64)>,
    odd: Arc<Mutex<BTreeMap<Reason, Odd>>>,
    report: Option<Report>,
    features: FeatureSet,
    ranges: Ranges,
    sheet: Option<Sheet>,
}

impl Found {
    fn new(schema: &SchemaRef, image: &str, args: &Args) -> Self {
        Self {
            image: image.to_owned(),
            schema: schema.clone(),
            rows: 0,
            nulls: vec![0; schema.fields().len()],
            range: None,
            odd: Arc::default(),
            report: None,
            features: args.features.clone(),
            ranges: Ranges::default(),
            sheet: args.picture.is_some().then(Sheet::default),
        }
    }

    fn read(&mut self, args: &Args, reader: io::Reader) -> Result<()> {
        // The image is kept as decoded, so that the values can be looked at.
        let spec = FeatureSpec::default()
            .with_image(&self.image)
            .with_shape(args.shape)
            .with_pixel_type(args.pixel_type)
            .with_features(args.features.clone())
            .with_keep_image(KeepImage::Tensor)
            // Files of odd rows alone are what people look at.
            .with_max_invalid(MaxInvalid::Percent(100.0));
        let engine = Engine::new(EngineOptions::backend(Backend::Cpu))?;
        let options =
            StreamOptions::default().with_origins(reader.origins()).with_quarantine(self.sink(args.inputs.len() > 1));
        let mut stream = Featurizer::new(engine, spec).stream_with(reader, options)?;
        while let Some(batch) = stream.next() {
            let batch = batch.map_err(Error::from)?;
            let report = stream.report();
            self.count(&batch, &report)?;
        }
        self.report = Some(stream.report());
        Ok(())
    }

    /// Takes the odd rows.
    fn sink(&self, with_files: bool) -> pixelfeat::OnInvalidRow {
        const SHOWN: usize = 5;
        let odd = self.odd.clone();
        Box::new(move |row| {
            let mut odd = odd.lock().unwrap_or_else(PoisonError::into_inner);
            let reason = odd.entry(row.defect.reason).or_default();
            reason.rows += 1;
            if reason.first.len() < SHOWN {
                let file = row.file.as_ref().filter(|_| with_files).map(|file| format!("{file}: ")).unwrap_or_default();
                let line = row.defect.line.map(|line| format!(" (line {line})")).unwrap_or_default();
                reason.first.push(format!("{file}row {}{line}: {}", row.row, row.defect.detail));
            }
            Ok(())
        })
    }

    fn count(&mut self, batch: &RecordBatch, report: &Report) -> Result<()> {
        // The image column has become what was made of it.
        let others = self.schema.fields().iter().zip(&mut self.nulls).filter(|(field, _)| *field.name() != self.image);
        for (field, nulls) in others {
            *nulls += batch.column_by_name(field.name()).map_or(0, |column| column.null_count() as u64);
        }
        let Some(column) = batch.column_by_name(&self.image) else { return Ok(()) };
        let images = ImageBatch::from_array(column, &self.image, report.shape, report.pixel_type)?;
        let values = Values::of(&images);
        for image in 0..values.images() {
            for value in values.image(image) {
                let (low, high) = self.range.unwrap_or((value, value));
                self.range = Some((low.min(value), high.max(value)));
            }
        }
        // A set may have columns of their own alone.
        let Some(features) = batch.column_by_name("features").and_then(|column| column.as_fixed_size_list_opt()) else {
            self.rows += batch.num_rows() as u64;
            return Ok(());
        };
        let of_row = |row: usize| features.value(row).as_primitive::<arrow_array::types::Float32Type>().clone();
        for row in (0..batch.num_rows()).filter(|&row| features.is_valid(row)) {
            self.ranges.add(of_row(row).values());
        }
        if let Some(sheet) = &mut self.sheet {
            if sheet.images() == 0 {
                sheet.begin(report.shape, &list_blocks(&self.features.layout(report.shape, 1.0)?));
            }
            let labels = batch.column_by_name("label").cloned();
            for (place, row) in values.rows.iter().enumerate().take(sheet.room()) {
                if features.is_null(*row) {
                    continue;
                }
                let features = of_row(*row).values().to_vec();
                let label = labels.as_ref().and_then(|labels| label(labels, *row));
                sheet.add(self.rows + *row as u64, values.image(place).collect(), features, label);
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn columns(&self, text: &mut String) {
        let odd = self.odd.lock().unwrap_or_else(PoisonError::into_inner);
        let null_images = odd.get(&Reason::NullImage).map_or(0, |odd| odd.rows);
        let fields = self.schema.fields().iter().enumerate();
        let shown = fields.filter(|(_, field)| !field.metadata().contains_key(pixelfeat::DEFECTS_OF));
        let rows: Vec<[String; 3]> = shown
            .map(|(at, field)| {
                let nulls = match self.nulls[at] + if *field.name() == self.image { null_images } else { 0 } {
                    0 => String::new(),
                    n => format!("{} null", HumanCount(n)),
                };
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

    fn images(&self, text: &mut String) {
        let Some(report) = &self.report else { return };
        let layout = self.schema.field_with_name(&self.image).map_err(Error::from).and_then(describe_column);
        let layout = layout.unwrap_or_default();
        let _ = writeln!(text, "\nimages in `{}`", self.image);
        let _ = writeln!(text, "  layout      {layout}");
        let layout = self.features.layout(report.shape, 1.0);
        let features = layout.as_ref().map_or(0, |layout| layout.list_values());
        let _ = writeln!(text, "  shape       {}, {} features", report.shape, HumanCount(features as u64));
        let range = self.range.map(|(low, high)| format!(", values {low} to {high}")).unwrap_or_default();
        let _ = writeln!(text, "  pixel type  {}{range}", report.pixel_type);
        if let Some(fits) = report.fits {
            let _ = writeln!(text, "              some do not fit; {fits} would take them");
        }
        let _ = writeln!(text, "  good rows   {}", HumanCount(report.rows_featurized));
        for (reason, odd) in &*self.odd.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(text, "  odd rows    {} {reason}", HumanCount(odd.rows));
            for first in &odd.first {
                let _ = writeln!(text, "              {first}");
            }
            if odd.rows > odd.first.len() as u64 {
                let _ = writeln!(text, "              …");
            }
        }
        if let Ok(layout) = layout {
            let _ = writeln!(text, "\nfeatures of `{}`: blocks, their places in the list, their values", self.features);
            self.ranges.describe(&list_blocks(&layout), text);
        }
    }
}

/// The pixels of the rows that have some.
struct Values<'a> {
    pixels: &'a Pixels,
    length: usize,
    /// The rows, in order; their images stand at the places that `places` says.
    rows: Vec<usize>,
    places: Vec<usize>,
}

impl<'a> Values<'a> {
    fn of(images: &'a ImageBatch) -> Self {
        let mut defects = images.defects().iter().map(|defect| defect.row).peekable();
        let rows: Vec<usize> = (0..images.rows()).filter(|row| defects.next_if_eq(row).is_none()).collect();
        // Either every row has its place, or only those with an image.
        let places = if images.images() == images.rows() { rows.clone() } else { (0..rows.len()).collect() };
        Self { pixels: images.pixels(), length: images.shape().values(), rows, places }
    }

    fn images(&self) -> usize {
        self.rows.len()
    }

    fn image(&self, at: usize) -> Box<dyn Iterator<Item = f64> + '_> {
        let range = self.places[at] * self.length..(self.places[at] + 1) * self.length;
        match self.pixels {
            Pixels::U8(pixels) => Box::new(pixels[range].iter().map(|&p| f64::from(p))),
            Pixels::U16(pixels) => Box::new(pixels[range].iter().map(|&p| f64::from(p))),
            Pixels::F32(pixels) => Box::new(pixels[range].iter().map(|&p| f64::from(p))),
        }
    }
}

/// A label that is a number.
fn label(labels: &ArrayRef, row: usize) -> Option<u64> {
    let number = arrow_cast::cast(&labels.slice(row, 1), &DataType::UInt64).ok()?;
    let number = number.as_primitive::<arrow_array::types::UInt64Type>();
    number.is_valid(0).then(|| number.value(0))
}

/// A type in few words: `28×28 UInt8`, `list of Int64`.
fn type_name(data_type: &DataType) -> String {
    let (mut sides, mut leaf) = (Vec::new(), data_type);
    while let DataType::FixedSizeList(item, side) = leaf {
        sides.push(side.to_string());
        leaf = item.data_type();
    }
    match leaf {
        _ if !sides.is_empty() => format!("{} {}", sides.join("×"), type_name(leaf)),
        DataType::List(item) | DataType::LargeList(item) => format!("list of {}", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let members: Vec<_> =
                fields.iter().map(|f| format!("{}: {}", f.name(), type_name(f.data_type()))).collect();
            format!("struct of {}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// The command that makes features of these files.
fn command(args: &Args, image: &str, found: &Found) -> String {
    let mut words = vec!["cargo run --release --example featurize --".to_owned()];
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
