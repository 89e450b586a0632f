//! What host and shaders must agree on. `tests/shaders.rs` holds every shader against it.

use bytemuck::{Pod, Zeroable};

/// Invocations of a workgroup, in one dimension.
pub const WORKGROUP_SIZE: u32 = 64;

/// The bind group that holds all bindings.
pub const GROUP: u32 = 0;
/// The uniform [`Params`].
pub const PARAMS_BINDING: u32 = 0;
/// The pixels of a chunk, packed as they lie in the column.
pub const PIXELS_BINDING: u32 = 1;
/// The sums of a chunk: a record for each row, then a word for each column.
pub const RESULTS_BINDING: u32 = 2;

/// The entry point that takes one row of one channel an invocation.
pub const ROWS_ENTRY: &str = "rows";
/// The entry point that takes one column of one channel an invocation.
pub const COLS_ENTRY: &str = "cols";

/// The WGSL of the kernels of `u8` pixels.
pub const SHADER_U8: &str = include_str!("../../shaders/moments_u8.wgsl");
/// The WGSL of the kernels of `u16` pixels.
pub const SHADER_U16: &str = include_str!("../../shaders/moments_u16.wgsl");
/// The WGSL of the kernels of `f32` pixels.
pub const SHADER_F32: &str = include_str!("../../shaders/moments_f32.wgsl");

/// What a dispatch is told of its chunk: the twin of the shaders' `Params`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct Params {
    /// Rows of each image, or of the one band.
    pub height: u32,
    /// Pixels in a row.
    pub width: u32,
    /// Values per pixel.
    pub channels: u32,
    /// Images · rows · channels.
    pub row_tasks: u32,
    /// Images · columns · channels.
    pub col_tasks: u32,
    /// The first word of the column sums in the results.
    pub cols_at: u32,
}

const _: () = assert!(size_of::<Params>() == 24);
const _: () = assert!(align_of::<Params>() == 4);
// Params travel in front of the pixels, whose copy must start at a multiple of four bytes.
const _: () = assert!(size_of::<Params>().is_multiple_of(4));
