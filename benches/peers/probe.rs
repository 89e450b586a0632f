//! The parts of `run` that are measured inside one Rust process; prints seconds as JSON. Modes:
//!
//! - `digits FILE.json.gz ROWS`: writes synthetic digits, measures nothing
//! - `gunzip FILE`: decompresses a file, as the JSON reader does but alone
//! - `codecs INPUT OUTPUT`: decompresses the images of one Parquet file and compresses the pages of another one
//! - `kernels DIR CASE…`: features of the pixels in DIR/CASE.pixels, CASE as in `28x28-u8`, into DIR/CASE.pixelfeat; by case the
//!   seconds of these and of reading and writing alone
//! - `gradients DIR`: on one thread, features of the digits in DIR/28x28-u8.pixels and of drawn large images, by name the
//!   seconds that an image takes; the gradients of the digits into DIR/28x28-u8.gradients
//! - `array DIR`: features of the digits in DIR/28x28-u8.pixels as one Arrow array
//! - `one`: one image through the library

#[path = "codecs.rs"]
mod codecs;
#[path = "floor.rs"]
mod floor;

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, FixedSizeListArray, UInt8Array};
use arrow_schema::{DataType, Field};
use pixelfeat::cpu::{self, Level};
use pixelfeat::{
    Backend, Engine, EngineOptions, FeatureLayout, FeatureSet, FeatureSpec, FeaturesMut, Featurizer, ImageShape, Pixel,
    PixelType, synthetic,
};
use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["digits", path, rows] => digits(path, rows.parse()?),
        ["gunzip", path] => print(&json!({ "seconds": gunzip(path)? })),
        ["codecs", input, output] => print(&json!({ "seconds": codecs::codecs(input, output)? })),
        ["kernels", dir, ref cases @ ..] => print(&kernels(Path::new(dir), cases)?),
        ["gradients", dir] => print(&gradients(Path::new(dir))?),
        ["array", dir] => print(&json!({ "seconds": array(Path::new(dir))? })),
        ["one"] => print(&json!({ "seconds": one_image()? })),
        // As a bench target it is started by `cargo bench` too, which has nothing to ask of it.
        _ => Ok(()),
    }
}

fn print(value: &Value) -> Result<()> {
    println!("{value}");
    Ok(())
}

fn digits(path: &str, rows: u64) -> Result<()> {
    let gzip = flate2::write::GzEncoder::new(File::create(path)?, flate2::Compression::default());
    let mut out = BufWriter::new(gzip);
    for row in 0..rows {
        let mut image = [0; synthetic::SIDE * synthetic::SIDE];
        let label = synthetic::digit(1, row, &mut image);
        writeln!(out, "{{\"image\": {image:?}, \"label\": {label}}}")?;
    }
    out.into_inner()?.finish()?;
    Ok(())
}

fn gunzip(path: &str) -> Result<f64> {
    let start = Instant::now();
    let mut text = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(1 << 20, File::open(path)?));
    let mut buffer = vec![0; 1 << 20];
    while text.read(&mut buffer)? > 0 {}
    Ok(start.elapsed().as_secs_f64())
}

fn kernels(dir: &Path, cases: &[&str]) -> Result<Value> {
    let mut seconds = Map::new();
    for case in cases {
        let (shape, pixel_type) = case.split_once('-').ok_or("a case is SHAPE-TYPE")?;
        let bytes = fs::read(dir.join(format!("{case}.pixels")))?;
        let shape = shape.parse()?;
        let (features, floor, results) = match pixel_type.parse()? {
            PixelType::U8 => kernel(&bytes, shape),
            PixelType::U16 => {
                let pixels: Vec<_> = bytes.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b)).collect();
                kernel(&pixels, shape)
            }
            PixelType::F32 => {
                let pixels: Vec<_> = bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
                kernel(&pixels, shape)
            }
        }?;
        let result_bytes: Vec<u8> = results.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(dir.join(format!("{case}.pixelfeat")), result_bytes)?;
        seconds.insert((*case).to_owned(), json!({ "features": features, "floor": floor }));
    }
    Ok(Value::Object(seconds))
}

fn layout(shape: ImageShape, pixel_type: PixelType) -> Result<FeatureLayout> {
    Ok(FeatureSet::default().layout(shape, pixel_type.default_scale())?)
}

/// Seconds, seconds of reading and writing alone, and all features, then all means, then all standard deviations.
fn kernel<P: Pixel>(pixels: &[P], shape: ImageShape) -> Result<(f64, f64, Vec<f32>)> {
    let images = pixels.len() / shape.values();
    let layout = layout(shape, P::TYPE)?;
    let mut results = vec![f32::NAN; images * layout.stride()];
    FeaturesMut::new(&mut results, layout.stride())?;
    let seconds = median(|| {
        if let Ok(out) = FeaturesMut::new(&mut results, layout.stride()) {
            cpu::featurize(Level::detect(), &layout, P::slice(black_box(pixels)), out);
        }
    });
    let list = layout.list_values();
    let (columns, stride) = (list..layout.stride(), layout.stride());
    let mut written = vec![0.0; results.len()];
    let floor = median(|| {
        black_box(floor::floor(black_box(pixels), &mut written, &layout));
    });
    let mut sorted: Vec<f32> = results.chunks_exact(stride).flat_map(|row| &row[..list]).copied().collect();
    for column in columns {
        sorted.extend(results.chunks_exact(stride).map(|row| row[column]));
    }
    Ok((seconds, floor, sorted))
}

fn gradients(dir: &Path) -> Result<Value> {
    const DIGITS: usize = 10_000;
    const LARGE: usize = 8;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let (digit, large): (ImageShape, ImageShape) = ("28x28".parse()?, "1024x1024".parse()?);
    let digits = fs::read(dir.join("28x28-u8.pixels"))?;
    let digits = &digits[..digits.len().min(DIGITS * digit.values())];
    let mut random = synthetic::Random::new(1, 0);
    let drawn: Vec<u8> = (0..LARGE * large.values()).map(|_| random.bits() as u8).collect();
    let mut seconds = Map::new();
    let cases = [
        ("profiles", "profiles", digit, digits),
        ("texture", "texture", digit, digits),
        ("profiles,gradients,texture", "profiles,gradients,texture", digit, digits),
        ("large", "gradients", large, &drawn),
        ("gradients", "gradients", digit, digits),
    ];
    for (name, set, shape, pixels) in cases {
        let layout = set.parse::<FeatureSet>()?.layout(shape, 255.0)?;
        let images = pixels.len() / shape.values();
        let mut results = vec![f32::NAN; images * layout.stride()];
        let all = pool.install(|| {
            median(|| {
                if let Ok(out) = FeaturesMut::new(&mut results, layout.stride()) {
                    cpu::featurize(Level::detect(), &layout, black_box(pixels), out);
                }
            })
        });
        for (image, row) in pixels.chunks(shape.values()).zip(results.chunks(layout.stride())).take(100) {
            if pixelfeat::reference::features(&layout, image) != row {
                return Err(format!("{set} of {shape} images are not those of the oracle").into());
            }
        }
        seconds.insert(name.to_owned(), (all / images as f64).into());
        if name == "gradients" {
            let result_bytes: Vec<u8> = results.iter().flat_map(|value| value.to_le_bytes()).collect();
            fs::write(dir.join("28x28-u8.gradients"), result_bytes)?;
            let least = pool.install(|| {
                median(|| {
                    black_box(floor::floor(black_box(pixels), &mut results, &layout));
                })
            });
            seconds.insert("floor".to_owned(), (least / images as f64).into());
        }
    }
    Ok(Value::Object(seconds))
}

/// The middle one of eleven runs, after one that warms up.
fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut seconds: Vec<f64> = (0..11).map(|_| timed(&mut run)).collect();
    seconds.sort_by(f64::total_cmp);
    seconds[5]
}

fn timed(run: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn array(dir: &Path) -> Result<f64> {
    let shape = ImageShape::gray(synthetic::SIDE, synthetic::SIDE)?;
    let (images, featurizer) = in_array(fs::read(dir.join("28x28-u8.pixels"))?, shape)?;
    featurizer.featurize(&images)?;
    Ok(median(|| {
        let _ = black_box(featurizer.featurize(black_box(&images)));
    }))
}

/// Images as an Arrow array, and what featurizes them on the CPU.
fn in_array(pixels: Vec<u8>, shape: ImageShape) -> Result<(ArrayRef, Featurizer)> {
    let item = Arc::new(Field::new("item", DataType::UInt8, false));
    let values = Arc::new(UInt8Array::from(pixels));
    let images = FixedSizeListArray::try_new(item, shape.values() as i32, values, None)?;
    let engine = Engine::new(EngineOptions::backend(Backend::Cpu))?;
    Ok((Arc::new(images), Featurizer::new(engine, FeatureSpec::new(shape))))
}

fn one_image() -> Result<f64> {
    const TIMES: usize = 10_000;
    let shape = ImageShape::gray(synthetic::SIDE, synthetic::SIDE)?;
    let mut pixels = [0; synthetic::SIDE * synthetic::SIDE];
    synthetic::digit(1, 0, &mut pixels);
    let (image, featurizer) = in_array(pixels.to_vec(), shape)?;
    featurizer.featurize(&image)?;
    let all = median(|| {
        for _ in 0..TIMES {
            // One that worked once does not fail later.
            let _ = black_box(featurizer.featurize(black_box(&image)));
        }
    });
    Ok(all / TIMES as f64)
}
