//! A contact sheet of augmentation: for each image and each stage the original and eight versions, named by the stage.

mod sheet;

use std::path::PathBuf;
use std::process::ExitCode;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, RecordBatchReader};
use clap::Parser;
use pixelfeat::stages::Pipeline;
use pixelfeat::{
    Chain, Engine, EngineOptions, Error, FeatureSpec, Featurizer, ImageShape, KeepImage, PixelType, io, synthetic,
};
use sheet::{Image, Sheet};

/// Draw what stages make of images: a PNG file with a line for each stage, which begins with the original.
#[derive(Parser)]
#[command(name = "augment", version, max_term_width = 110)]
struct Args {
    /// A file of images, as for featurize, or images. Without any, a scene and a digit are drawn.
    input: Option<PathBuf>,
    /// The PNG file to write.
    #[arg(short, long, default_value = "augment.png")]
    output: PathBuf,
    /// A chain to draw; it can be given several times. Without any, one line of each kind is drawn.
    #[arg(long, value_name = "STAGES")]
    augment: Vec<Chain>,
    /// The column that holds the images.
    #[arg(long, value_name = "COLUMN", default_value = "image")]
    image: String,
    /// How many images of the file to draw.
    #[arg(long, value_name = "N", default_value_t = 1)]
    images: usize,
    /// What decides the draws. The versions are those of the epochs 0 to 7.
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
}

/// One line of the sheet each.
const LINES: &[&str] = &[
    "crop(pad=16)",
    "resized_crop(96x96)",
    "hflip(0.5)",
    "vflip(0.5)",
    "affine(rotate=30)",
    "affine(shear=20)",
    "affine(translate=0.2)",
    "affine(scale=0.5..1.5)",
    "affine(rotate=30,filter=bilinear)",
    "jitter(brightness=0.6)",
    "jitter(contrast=0.8)",
    "jitter(saturation=0.9)",
    "jitter(hue=0.5)",
    "jitter(0.4,0.4,0.4,0.1)",
    "gray(0.5)",
    "sharpness(0.9)",
    "autocontrast(0.5)",
    "equalize(0.5)",
    "posterize(2)",
    "solarize(128)",
    "invert(0.5)",
    "noise(20)",
    "blur(0.5..2.3)",
    "erase",
    "randaugment(2,9)",
    "trivial",
    "one_of(invert,hflip,blur(2),posterize(1))",
];
/// Images that come from a file are brought to this size.
const SIDE: usize = 96;
const VERSIONS: u32 = 8;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<String, Box<dyn std::error::Error>> {
    let images = match &args.input {
        Some(path) => from_file(path, args)?,
        None => vec![(ImageShape::new(SIDE, SIDE, 3)?, scene()), (ImageShape::gray(28, 28)?, digit())],
    };
    let default = || LINES.iter().map(|text| text.parse()).collect::<Result<Vec<Chain>, Error>>();
    let chains = if args.augment.is_empty() { default()? } else { args.augment.clone() };
    let mut sheet = Sheet::new(SIDE, 1 + VERSIONS as usize);
    for (sample, (shape, pixels)) in images.iter().enumerate() {
        for chain in &chains {
            let pipeline = match Pipeline::new(chain.clone(), args.seed, *shape, PixelType::U8) {
                Ok(pipeline) => pipeline,
                // Not every line suits every shape.
                Err(_) if args.augment.is_empty() => continue,
                Err(error) => return Err(error.into()),
            };
            let mut line = vec![(*shape, pixels.clone())];
            for epoch in 0..VERSIONS {
                let mut version = vec![0; pipeline.shape().values()];
                pipeline.apply(&[sample as u64], epoch, pixels, &mut version)?;
                line.push((pipeline.shape(), version));
            }
            sheet.add(&chain.to_string(), line);
        }
    }
    std::fs::write(&args.output, sheet.png()?)?;
    Ok(format!("{} lines in {}", sheet.lines(), args.output.display()))
}

/// The first images of a file, at the size of the sheet.
fn from_file(path: &PathBuf, args: &Args) -> Result<Vec<Image>, Error> {
    let spec = FeatureSpec::default()
        .with_image(&args.image)
        .with_pixel_type(PixelType::U8)
        .with_stages(format!("resize({SIDE}x{SIDE})").parse()?)
        .with_keep_image(KeepImage::Tensor);
    let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, spec);
    let read = io::ReadOptions::default().with_rows(io::Rows::First(args.images as u64));
    let (stream, _) = io::FeatureFiles::new(&featurizer).with_read_options(read).open([path])?;
    let shape: ImageShape = stream.schema().metadata()["pixelfeat.shape"].parse()?;
    let mut images = Vec::new();
    for batch in stream {
        let batch = batch.map_err(Error::from)?;
        let column = batch[args.image.as_str()].as_fixed_size_list().clone();
        for row in (0..column.len()).filter(|&row| column.is_valid(row)) {
            images.push((shape, column.value(row).as_primitive::<UInt8Type>().values().to_vec()));
        }
    }
    Ok(images)
}

/// A sky, a sun, a hill and a house: colours, edges, and a left that differs from the right.
fn scene() -> Vec<u8> {
    let mut pixels = Vec::with_capacity(3 * SIDE * SIDE);
    for y in 0..SIDE as i32 {
        for x in 0..SIDE as i32 {
            let hill = 66 - (x - 70) * (x - 70) / 120;
            let colour = if (x - 22).pow(2) + (y - 22).pow(2) < 100 {
                [250, 214, 80]
            } else if (52..80).contains(&x) && (44..70).contains(&y) {
                let window = (58..66).contains(&x) && (50..58).contains(&y);
                if window { [90, 150, 220] } else { [190, 80, 60] }
            } else if y < 44 && y > 30 && (x - 66).abs() < y - 28 {
                [110, 50, 40]
            } else if y > hill {
                [60 + (x % 7 * 4) as u8, 140 + (y % 5 * 8) as u8, 60]
            } else {
                [110 + y as u8, 170 + (y / 2) as u8, 235]
            };
            pixels.extend(colour);
        }
    }
    pixels
}

fn digit() -> Vec<u8> {
    let mut pixels = [0; synthetic::SIDE * synthetic::SIDE];
    synthetic::digit(1, 3, &mut pixels);
    pixels.to_vec()
}
