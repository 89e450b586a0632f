//! The kernel for bytes on x86, written once over the few vector operations in which AVX2 and AVX-512 differ.
//!
//! A block is as many pixels as a vector has bytes. Its channels are brought apart on loading, one vector each; from
//! there every channel is a gray image: sums of absolute differences from zero give row sums, even and odd bytes as
//! 16-bit lanes give column sums and, multiplied pairwise, Σp².

use std::mem::MaybeUninit;

use super::sums::Sums;

/// Rows that a 16-bit lane can sum: 257 · 255 < 2¹⁶; the largest multiple of four.
const TILE_ROWS: usize = 256;
/// Blocks in a row of a tile. A 32-bit lane holds four squares a block: 4 · 64 · 256 · 255² < 2³².
const TILE_BLOCKS: usize = 64;

/// Vector operations on bytes.
///
/// # Safety
/// Every function needs a CPU with the implementor's instructions.
pub(super) trait Vector: Copy {
    /// Bytes of a vector.
    const LANES: usize;

    unsafe fn zero() -> Self;

    /// `LANES` pixels of `C` interleaved channels from `from`, one vector a channel.
    ///
    /// # Safety
    /// `LANES · C` bytes must be readable.
    unsafe fn load<const C: usize>(from: *const u8) -> [Self; C];

    /// As [`Vector::load`], but of the first `pixels` ≤ `LANES` pixels alone; the other lanes are zero.
    ///
    /// # Safety
    /// `readable` ≥ `pixels · C` bytes must be readable.
    unsafe fn load_part<const C: usize>(from: *const u8, pixels: usize, readable: usize) -> [Self; C];

    /// Sums of eight neighbouring bytes, in 64-bit lanes.
    unsafe fn sums(self) -> Self;

    /// The even bytes and the odd bytes, in 16-bit lanes.
    unsafe fn halves(self) -> [Self; 2];

    /// Sums of 16-bit lanes.
    unsafe fn add16(self, other: Self) -> Self;

    /// Sums of 32-bit lanes.
    unsafe fn add32(self, other: Self) -> Self;

    /// Adds the squares of the 16-bit lanes of `halves`, each below 256, to the 32-bit lanes of `self`.
    unsafe fn add_squares(self, halves: [Self; 2]) -> Self;

    /// The sum of the 32-bit lanes.
    unsafe fn total32(self) -> u64;

    /// The sums over the 64-bit lanes of each vector, all below 2³².
    unsafe fn totals(of: [Self; 4]) -> [u32; 4];

    /// Adds column sums, as [`Vector::halves`] orders them, to the `pixels` ≤ `LANES` sums at `cols`.
    ///
    /// # Safety
    /// `pixels` sums must be readable and writable at `cols`.
    unsafe fn add_columns(halves: [Self; 2], cols: *mut u32, pixels: usize);
}

/// Overwrites `into` with the sums of one image.
///
/// # Safety
/// The CPU must have the instructions of `V`, and `pixels` must be as long as the shape of `into` says.
#[inline(always)]
pub(super) unsafe fn image<V: Vector>(pixels: &[u8], into: &mut Sums<u8>) {
    let narrow = into.shape().width() < V::LANES;
    // SAFETY: the caller's promises.
    unsafe {
        match (into.shape().channels(), narrow) {
            (1, true) => tiles::<V, 1, 1>(pixels, into),
            (1, false) => tiles::<V, 1, TILE_BLOCKS>(pixels, into),
            (2, _) => tiles::<V, 2, TILE_BLOCKS>(pixels, into),
            (3, true) => tiles::<V, 3, 1>(pixels, into),
            (3, false) => tiles::<V, 3, TILE_BLOCKS>(pixels, into),
            (_, _) => tiles::<V, 4, TILE_BLOCKS>(pixels, into),
        }
    }
}

/// Where a tile lies in its image.
#[derive(Clone, Copy)]
struct Tile<'a> {
    pixels: &'a [u8],
    image_width: usize,
    image_height: usize,
    x: usize,
    width: usize,
    y: usize,
    height: usize,
}

/// # Safety
/// As [`image`]; `C` must be the number of channels, and `B` must be [`TILE_BLOCKS`], or 1 if a row is shorter than a
/// vector.
#[inline(always)]
unsafe fn tiles<V: Vector, const C: usize, const B: usize>(pixels: &[u8], into: &mut Sums<u8>) {
    let (image_height, image_width) = (into.shape().height(), into.shape().width());
    let (rows, cols, sum_sq) = into.parts_mut();
    rows.fill(0);
    cols.fill(0);
    sum_sq.fill(0);
    for x in (0..image_width).step_by(B * V::LANES) {
        for y in (0..image_height).step_by(TILE_ROWS) {
            let width = (image_width - x).min(B * V::LANES);
            let height = (image_height - y).min(TILE_ROWS);
            let tile = Tile { pixels, image_width, image_height, x, width, y, height };
            // SAFETY: the tile lies in the image; the rest is the caller's promise.
            unsafe { add_tile::<V, C, B>(tile, rows, cols, sum_sq) };
        }
    }
}

/// # Safety
/// As [`tiles`]; the tile must lie in the image.
#[inline(always)]
unsafe fn add_tile<V: Vector, const C: usize, const B: usize>(
    tile: Tile<'_>,
    rows: &mut [u32],
    cols: &mut [u32],
    sum_sq: &mut [u64],
) {
    // SAFETY: the CPU has the instructions. Of `columns` the first `blocks` are set before anything reads them. The
    // columns that a block is added to are those of its pixels, in the image by the caller's promise.
    unsafe {
        let blocks = tile.width.div_ceil(V::LANES);
        let mut columns = [MaybeUninit::<[[V; 2]; C]>::uninit(); B];
        columns[..blocks].fill(MaybeUninit::new([[V::zero(); 2]; C]));
        let mut squares = [V::zero(); C];
        let fours = tile.height / 4 * 4;
        for y in (0..fours).step_by(4) {
            add_rows::<V, C, B, 4>(tile, y, rows, &mut columns, &mut squares);
        }
        for y in fours..tile.height {
            add_rows::<V, C, B, 1>(tile, y, rows, &mut columns, &mut squares);
        }
        for c in 0..C {
            sum_sq[c] += squares[c].total32();
            let cols = &mut cols[c * tile.image_width + tile.x..][..tile.width];
            for (part, columns) in cols.chunks_mut(V::LANES).zip(&columns) {
                V::add_columns(columns.assume_init()[c], part.as_mut_ptr(), part.len());
            }
        }
    }
}

/// Adds `R` ≤ 4 rows from row `y` of a tile.
///
/// # Safety
/// As [`add_tile`]; the rows must lie in the tile, and `columns` must be set for each of its blocks.
#[inline(always)]
unsafe fn add_rows<V: Vector, const C: usize, const B: usize, const R: usize>(
    tile: Tile<'_>,
    y: usize,
    rows: &mut [u32],
    columns: &mut [MaybeUninit<[[V; 2]; C]>; B],
    squares: &mut [V; C],
) {
    let y = tile.y + y;
    let start = (y * tile.image_width + tile.x) * C;
    let full = if B == 1 { 0 } else { tile.width / V::LANES };
    let rest = tile.width - full * V::LANES;
    // SAFETY: the CPU has the instructions; rows and blocks lie in the image, so what is loaded lies in `pixels`, of
    // which `readable` bytes follow; `columns` is set by the caller's promise.
    unsafe {
        let mut sums = [[V::zero(); 4]; C];
        for (block, columns) in columns[..full].iter_mut().enumerate() {
            let mut kept = columns.assume_init();
            for r in 0..R {
                let at = start + (r * tile.image_width + block * V::LANES) * C;
                let pixels = V::load::<C>(tile.pixels.as_ptr().add(at));
                add_block(r, pixels, &mut sums, squares, &mut kept);
            }
            columns.write(kept);
        }
        if rest > 0 {
            let mut kept = columns[full].assume_init();
            for r in 0..R {
                let at = start + (r * tile.image_width + full * V::LANES) * C;
                let readable = tile.pixels.len() - at;
                let pixels = V::load_part::<C>(tile.pixels.as_ptr().add(at), rest, readable);
                add_block(r, pixels, &mut sums, squares, &mut kept);
            }
            columns[full].write(kept);
        }
        for c in 0..C {
            let rows = &mut rows[c * tile.image_height + y..][..R];
            for (row, sum) in rows.iter_mut().zip(V::totals(sums[c])) {
                *row += sum;
            }
        }
    }
}

/// Adds a block of row `r` of several.
///
/// # Safety
/// The CPU must have the instructions of `V`.
#[inline(always)]
unsafe fn add_block<V: Vector, const C: usize>(
    r: usize,
    pixels: [V; C],
    sums: &mut [[V; 4]; C],
    squares: &mut [V; C],
    columns: &mut [[V; 2]; C],
) {
    for c in 0..C {
        // SAFETY: the caller's promise.
        unsafe {
            let halves = pixels[c].halves();
            sums[c][r] = sums[c][r].add32(pixels[c].sums());
            squares[c] = squares[c].add_squares(halves);
            columns[c] = [columns[c][0].add16(halves[0]), columns[c][1].add16(halves[1])];
        }
    }
}
