//! What host and shaders must agree on. `tests/shaders.rs` holds every shader against it.

use bytemuck::{Pod, Zeroable};

/// Invocations of a workgroup, in one dimension.
pub const WORKGROUP_SIZE: u32 = 128;
/// The most bytes that a workgroup's memory takes: what every adapter has.
pub const WORKGROUP_BYTES: usize = 16 << 10;
/// Bytes of a vector: pixels are loaded by the vector, so their buffer must hold whole ones.
pub const VECTOR_BYTES: usize = 16;

/// The bind group that holds all bindings.
pub const GROUP: u32 = 0;
/// The uniform [`Params`].
pub const PARAMS_BINDING: u32 = 0;
/// What is read: the pixels, packed as they lie in the column, or the records of blocks.
pub const INPUT_BINDING: u32 = 1;
/// What is written: records.
pub const OUTPUT_BINDING: u32 = 2;

/// The entry point that makes the records of whole images, some a workgroup.
pub const WHOLE_ENTRY: &str = "whole";
/// The entry point that makes the records of rectangles, one a workgroup.
pub const PARTS_ENTRY: &str = "parts";
/// The entry point that makes records of images from those of their rectangles.
pub const MERGE_ENTRY: &str = "merge";

/// The entry point that makes features from the records of images.
pub const FINISH_ENTRY: &str = "finish";

/// The WGSL of the kernels of `u8` pixels.
pub const SHADER_U8: &str = concat!(
    include_str!("../../shaders/blocks.wgsl"),
    include_str!("../../shaders/integers.wgsl"),
    include_str!("../../shaders/moments_u8.wgsl")
);
/// The WGSL of the kernels of `u16` pixels.
pub const SHADER_U16: &str = concat!(
    include_str!("../../shaders/blocks.wgsl"),
    include_str!("../../shaders/integers.wgsl"),
    include_str!("../../shaders/moments_u16.wgsl")
);
/// The WGSL of the kernels of `f32` pixels.
pub const SHADER_F32: &str =
    concat!(include_str!("../../shaders/blocks.wgsl"), include_str!("../../shaders/moments_f32.wgsl"));

/// The WGSL that makes features on the device.
pub const SHADER_FINISH: &str = include_str!("../../shaders/finish.wgsl");

/// What a dispatch is told: the twin of the shaders' `Params`. All else is compiled in.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct Params {
    /// The first image, counted from the start of the pixels.
    pub first: u32,
    /// Images from there on.
    pub images: u32,
    /// Rows of each, or of the one band of an image.
    pub height: u32,
}

const _: () = assert!(size_of::<Params>() == 12);
const _: () = assert!(align_of::<Params>() == 4);
