//! What host and shaders must agree on. `tests/shaders.rs` holds every shader against it.

use bytemuck::{Pod, Zeroable};

/// Invocations of a workgroup, in one dimension.
pub const WORKGROUP_SIZE: u32 = 128;
/// The largest size in bytes of a workgroup's memory: what every adapter has.
pub const WORKGROUP_BYTES: usize = 16 << 10;
/// Bytes of a vector: pixels are loaded by the vector, so their buffer must hold whole ones.
pub const VECTOR_BYTES: usize = 16;

/// The bind group that holds all bindings.
pub const GROUP: u32 = 0;
/// The uniform [`Params`].
pub const PARAMS_BINDING: u32 = 0;
/// What is read: the pixels, packed as they lie in the column, or the records of blocks.
pub const INPUT_BINDING: u32 = 1;
/// What is written: records, or features.
pub const OUTPUT_BINDING: u32 = 2;

/// For steps: shapes, records and tables.
pub const TOLD_BINDING: u32 = 3;
/// For steps on images of any size: what was measured over each image.
pub const MEASURES_BINDING: u32 = 4;

/// The entry point that makes the records of whole images, some a workgroup.
pub const WHOLE_ENTRY: &str = "whole";
/// The entry point that makes the records of tiles, one a workgroup.
pub const TILES_ENTRY: &str = "tiles";
/// The entry point that makes records of images from those of their tiles.
pub const MERGE_ENTRY: &str = "merge";
/// The entry point that makes features from the records of images.
pub const FINISH_ENTRY: &str = "finish";
/// The entry point that applies one slot of steps to images of any size.
pub const APPLY_ENTRY: &str = "apply";
/// The entry points that measure images before that: to set the measures to 0, to count, and to make of the counts what
/// steps need.
pub const MEASURE_ENTRIES: [&str; 3] = ["clear", "measure", "prepare"];
/// The entry point that applies all slots to small images, one a workgroup.
pub const WHOLE_STEPS_ENTRY: &str = "whole";

/// The numbers of a plan that every kernel has, as the shaders name them and in the order of [`Params::numbers`]. Those of
/// the feature families follow them.
pub const NUMBERS: [&str; 11] = [
    // The image: pixels in a row, values in a pixel.
    "width",
    "channels",
    // The block: 1 if it is a tile; else its images; the rows of each, or of the tile; the pixels of a row.
    "tiled",
    "block_images",
    "block_rows",
    "block_pixels",
    // Bytes from row to row in workgroup memory, and 1 if every row begins on a word.
    "pitch",
    "aligned",
    // Words that a block takes in workgroup memory, that its record takes for each image, and all of its records.
    "block_words",
    "record_words",
    "records_words",
];
/// How many numbers there can be: as many as fit the head of a buffer.
pub const MAX_NUMBERS: usize = 56;
/// Rows of pixels above and below a band of an image that its chunk has as well, if the image has them: families look at
/// the neighbours of a pixel.
pub const HALO_ROWS: usize = 1;

/// What a dispatch is told: the twin of the shaders' `Params`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct Params {
    /// The first image, counted from the start of the pixels, or of the features.
    pub first: u32,
    /// Images from there on.
    pub images: u32,
    /// Rows of each, or of the one band of an image.
    pub height: u32,
    /// Rows of the image that the band is of; `height` where there are no bands.
    pub image_height: u32,
    /// Where the band begins in its image.
    pub first_row: u32,
    /// Rows of pixels above the band's first that its chunk has.
    pub rows_above: u32,
    /// Features from image to image.
    pub stride: u32,
    /// What sums are divided by in features.
    pub scale: f32,
    /// The plan's numbers, for kernels that have them from here; zeros behind the last.
    pub numbers: [u32; MAX_NUMBERS],
}

/// Words of workgroup memory that a small image takes in a kernel that applies all steps to it; it lies there twice, and
/// the measures take what is left.
pub const HALF_WORDS: usize = 1600;
/// Words that the measures of an image take.
pub const MEASURES: usize = 776;
/// What is left takes the measures and what prepares them.
const _: () = assert!(2 * HALF_WORDS + MEASURES + 2 * 48 <= WORKGROUP_BYTES / 4);
/// Words of an image that a workgroup writes.
pub const PART_WORDS: usize = 8 * WORKGROUP_SIZE as usize;
/// Pixels of an image that a workgroup measures.
pub const MEASURED_PIXELS: usize = 8192;

/// What a dispatch of steps is told: the twin of the shaders' `StepParams`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
pub struct StepParams {
    /// Images.
    pub images: u32,
    /// The first image that is read, counted from the start of the pixels.
    pub first: u32,
    /// Values from image to image there.
    pub stride: u32,
    /// The first image that is written, counted from the start of the results.
    pub to_first: u32,
    /// Values from image to image there.
    pub to_stride: u32,
    /// 1 if neighbouring images share words there.
    pub gapless: u32,
    /// The slot that is applied, unless all are.
    pub slot: u32,
    /// Slots of an image.
    pub slots: u32,
    /// Where the records begin in what is told, in words.
    pub records: u32,
    /// Where the tables begin in what is told, in words.
    pub tables: u32,
}

impl StepParams {
    /// The names of the members, in their order; all are `u32`.
    pub const NAMES: [&str; 10] =
        ["images", "first", "stride", "to_first", "to_stride", "gapless", "slot", "slots", "records", "tables"];
}

const _: () = assert!(size_of::<StepParams>() == 4 * StepParams::NAMES.len());
const _: () = assert!(size_of::<Params>() == 4 * (8 + MAX_NUMBERS));
const _: () = assert!(align_of::<Params>() == 4);
