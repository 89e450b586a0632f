//! The options of `featurize` but for its inputs and outputs. Programs that write features elsewhere have them as well.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::ValueHint;
use pixelfeat::stages::{Gray, Resize};
use pixelfeat::{
    Backend, Chain, DimensionOrder, Encoding, FeatureSet, ImageShape, KeepImage, Layout, OnInvalid, PixelType, Stage,
    io,
};

use crate::lineage::LineageArgs;
use crate::quality::QualityArgs;

/// The options that look at each image once, as it is.
const OF_ONE_EPOCH: [&str; 3] = ["issues", "label_report", "quality_report"];

/// How images are read, and what is computed of them.
#[derive(clap::Args)]
pub struct Options {
    /// The column that holds the images
    ///
    /// In JSON also the way to a nested key, as data.pixels; in NPZ an array's name.
    #[arg(long, value_name = "COLUMN", default_value = "image", help_heading = INPUT)]
    pub image: String,
    /// The image shape, as 28x28 or 32x32x3
    ///
    /// By default it is read from nested lists, or from a length that is a perfect square.
    #[arg(long, value_name = "HxW[xC]", help_heading = INPUT)]
    pub shape: Option<ImageShape>,
    /// The type of the pixels: u8, u16 or f32
    ///
    /// By default it is the column's own, and u8 for JSON.
    #[arg(long, value_name = "TYPE", help_heading = INPUT, hide_short_help = true)]
    pub pixel_type: Option<PixelType>,
    /// What the bytes of a column hold: raw (pixels) or encoded (images)
    ///
    /// By default most of the first rows tell.
    #[arg(long, value_name = "ENCODING", help_heading = INPUT, hide_short_help = true)]
    pub encoding: Option<Encoding>,
    /// The order in which the dimensions of an image are stored: hw, hwc or chw
    ///
    /// By default metadata or the first rows tell.
    #[arg(long, value_name = "ORDER", help_heading = INPUT, hide_short_help = true)]
    pub order: Option<DimensionOrder>,
    /// The file with the labels of an IDX or NPY file of images
    ///
    /// By default these are the labels beside an IDX file by MNIST's naming.
    #[arg(long, value_name = "FILE", help_heading = INPUT, hide_short_help = true, value_hint = ValueHint::FilePath)]
    pub labels: Option<PathBuf>,
    /// The columns to pass through, with commas between them [default: all]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = INPUT)]
    pub columns: Option<Vec<String>>,
    /// Read the first N rows only
    #[arg(long, value_name = "N", conflicts_with = "sample", help_heading = INPUT, hide_short_help = true)]
    pub limit: Option<u64>,
    /// Read N rows drawn at random, in their order
    ///
    /// Memory holds up to twice as many.
    #[arg(long, value_name = "N", help_heading = INPUT, hide_short_help = true)]
    pub sample: Option<usize>,
    /// How long a row of a stream may wait for the next ones, if these do not come
    #[arg(long, value_name = "MS", default_value_t = 5, help_heading = INPUT, hide_short_help = true)]
    pub max_delay: u64,

    /// Make colours gray (BT.601) and leave alpha out
    #[arg(long, help_heading = IMAGES)]
    pub gray: bool,
    /// Bring all images to one size, after --gray
    ///
    /// The filter is bilinear (the default) or area.
    #[arg(long, value_name = "HxW[:FILTER]", help_heading = IMAGES)]
    pub resize: Option<Resize>,
    /// Stages that change each image, as gray,resize(28x28),hflip(0.5)
    ///
    /// What is done to each image before its features are computed, in this order, with commas between the stages. --gray
    /// and --resize are short for the most common ones.
    #[arg(long, value_name = "STAGES", conflicts_with_all = ["gray", "resize"], help_heading = IMAGES)]
    pub stages: Option<Chain>,
    /// What decides which rows --sample draws, and what random stages do
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = IMAGES, hide_short_help = true)]
    pub seed: u64,
    /// Take images of different sizes as they are
    ///
    /// The features are lists of as many values as each image has, with its height and width.
    #[arg(long, conflicts_with = "resize", help_heading = IMAGES, hide_short_help = true)]
    pub ragged: bool,

    /// Change each image at random, as crop(pad=4),hflip(0.5),randaugment(2,9)
    ///
    /// The stages come after those of --stages, with commas between. Adds the columns sample_id and epoch. --keep-image
    /// writes the images.
    #[arg(long, value_name = "STAGES", conflicts_with_all = OF_ONE_EPOCH, help_heading = IMAGES)]
    pub augment: Option<Chain>,
    /// The epochs to write, as 0..3 or 7
    ///
    /// Each has draws of its own; epoch 2 is the same in 2 and in 0..3.
    #[arg(long, value_name = "EPOCHS", value_parser = epochs, conflicts_with_all = OF_ONE_EPOCH, help_heading = IMAGES, hide_short_help = true)]
    pub epochs: Option<Range<u32>>,
    /// Mix each image with another one (MixUp), λ being of Beta(ALPHA, ALPHA)
    ///
    /// Adds label_b, lambda and sample_id_b.
    #[arg(long, value_name = "ALPHA", conflicts_with_all = OF_ONE_EPOCH, help_heading = IMAGES, hide_short_help = true)]
    pub mixup: Option<f64>,
    /// Paste a rectangle of another image into each (CutMix)
    ///
    /// With --mixup as well each image gets one of the two.
    #[arg(long, value_name = "ALPHA", conflicts_with_all = OF_ONE_EPOCH, help_heading = IMAGES, hide_short_help = true)]
    pub cutmix: Option<f64>,
    /// Write one column soft_label of N shares instead of label_b and lambda; labels are integers below N
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = IMAGES, hide_short_help = true)]
    pub soft_labels: Option<usize>,
    /// A column of masks that move with the images
    #[arg(long, value_name = "COLUMN", help_heading = IMAGES, hide_short_help = true)]
    pub mask: Option<String>,
    /// A column of lists of boxes that move with the images: left, top, right and bottom in pixels
    #[arg(long, value_name = "COLUMN", help_heading = IMAGES, hide_short_help = true)]
    pub boxes: Option<String>,
    /// Add a column that says what each stage did to the image
    #[arg(long, help_heading = IMAGES, hide_short_help = true)]
    pub augment_log: bool,

    /// What to compute of each image, as profiles,gradients
    ///
    /// The features, separated by commas: profiles (sums of rows and columns, centroid, mean, std), gradients (directions of
    /// brightness in 4x4 windows), zones:RxC (the mean of each cell of a grid), texture (a histogram and local binary
    /// patterns), moments (central moments and Hu's invariants) and histogram:N (the share of pixels in each of N parts of
    /// their range).
    #[arg(long, value_name = "SET", default_value_t, help_heading = FEATURES)]
    pub features: FeatureSet,
    /// The form of the features: list, columns or tensor
    ///
    /// One list column `features`, one column for each value, or an arrow.fixed_shape_tensor.
    #[arg(long, default_value = "list", help_heading = FEATURES)]
    pub layout: Layout,
    /// Add the columns ahash, dhash and phash: 64-bit hashes of the image, as imagehash has them
    #[arg(long, help_heading = FEATURES, hide_short_help = true)]
    pub hashes: bool,
    /// What sums, mean and std are divided by [default: 255 for u8, 65535 for u16, 1 for f32]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = FEATURES, hide_short_help = true)]
    pub scale: Option<f64>,
    /// Write the image as well: tensor, bytes or original
    ///
    /// tensor and bytes are the pixels that the features are of: decoded, gray and resized. original is the input's column.
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_value = "no", default_missing_value = "tensor", hide_default_value = true, help_heading = FEATURES)]
    pub keep_image: KeepImage,

    /// What becomes of a row without features: null, drop or error
    #[arg(long, value_name = "POLICY", default_value = "null", help_heading = OUTPUT)]
    pub on_invalid: OnInvalid,
    /// Write the rows without features to this file, as NDJSON
    ///
    /// Lines that are not JSON go there too.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath)]
    pub quarantine: Option<PathBuf>,
    /// Write a report of the run to this file, as JSON: what became of the rows, and where the time went
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// How to compress the output: zstd, snappy, gzip or none
    ///
    /// By default zstd for Parquet, none for all else.
    #[arg(long, value_name = "CODEC", help_heading = OUTPUT, hide_short_help = true)]
    pub compression: Option<io::Compression>,

    /// Add a digest of the rows to the report and to the footer of the output
    ///
    /// It tells what the rows hold, whatever format, row groups or order of columns they are stored in: check --same compares
    /// them. The footers of Parquet and Arrow IPC files hold it under pixelfeat.digest.
    #[arg(long, help_heading = OUTPUT, hide_short_help = true)]
    pub digest: bool,
    /// Add the MD5 of the output to the report, as DVC notes it of files and folders
    #[arg(long, help_heading = OUTPUT, hide_short_help = true)]
    pub md5: bool,

    #[command(flatten)]
    pub quality: QualityArgs,

    #[command(flatten)]
    pub lineage: LineageArgs,

    /// What computes: auto, cpu, gpu or hybrid (CPU and GPU at once)
    #[arg(long, default_value = "auto", help_heading = RUN)]
    pub backend: Backend,
    /// Threads to decode and compute with [default: one a core]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = RUN, hide_short_help = true)]
    pub threads: Option<usize>,
    /// Rows in a batch, at most
    #[arg(long, value_name = "ROWS", default_value_t = 8192, value_parser = at_least_one, help_heading = RUN, hide_short_help = true)]
    pub batch_size: usize,
    /// Print nothing but errors
    #[arg(short, long, help_heading = RUN)]
    pub quiet: bool,
}

/// A run as its command line tells it.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    pub options: &'a Options,
    /// The files that are read; none if digits are drawn.
    pub inputs: &'a [PathBuf],
    /// A file, or what else has the features.
    pub output: &'a Path,
    pub partition_by: Option<&'a str>,
    /// Whether the output keeps the record of what made it.
    pub has_footer: bool,
}

impl Options {
    /// The stages that the options name: those of --stages, or --gray and then --resize; then those of --augment.
    pub fn stages(&self) -> Chain {
        self.own_stages().then(self.augment.as_ref().unwrap_or(&Chain::new()))
    }

    /// The same without those of --augment.
    pub fn own_stages(&self) -> Chain {
        let short = || {
            let gray = self.gray.then_some(Stage::Gray(Gray(None)));
            gray.into_iter().chain(self.resize.map(Stage::Resize)).collect()
        };
        self.stages.clone().unwrap_or_else(short)
    }

    /// No file is written twice, and an input is replaced by the output at most.
    pub fn distinct(&self, inputs: &[PathBuf], output: &Path) -> Result<(), String> {
        let mut used: Vec<(&str, &Path)> = inputs.iter().map(|path| ("an input", path.as_path())).collect();
        used.push(("the output", output));
        let written = [("--quarantine", self.quarantine.as_ref()), ("--report", self.report.as_ref())];
        let events = self.lineage.file();
        let written = written.into_iter().chain([("--lineage", events.as_ref())]);
        for (option, path) in written.chain(self.quality.written()) {
            let Some(path) = path else { continue };
            if let Some((other, _)) = used.iter().find(|(_, with)| io::is_same_file(path, with)) {
                return Err(format!("{option} {} is {other} as well", path.display()));
            }
            used.push((option, path));
        }
        Ok(())
    }
}

const INPUT: &str = "Input";
const IMAGES: &str = "Images";
const FEATURES: &str = "Features";
pub const OUTPUT: &str = "Output";
pub const RUN: &str = "Run";

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0).ok_or_else(|| "not a positive number".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "not a whole number from 1 on".to_owned())
}

/// `0..3`, or `7` for one epoch.
fn epochs(text: &str) -> Result<Range<u32>, String> {
    let range = match text.split_once("..") {
        Some((start, end)) => start.parse().ok().zip(end.parse().ok()).map(|(start, end)| start..end),
        None => text.parse().ok().and_then(|epoch: u32| Some(epoch..epoch.checked_add(1)?)),
    };
    range.filter(|range| !range.is_empty()).ok_or_else(|| "not a range of epochs such as 0..3, nor an epoch".to_owned())
}
