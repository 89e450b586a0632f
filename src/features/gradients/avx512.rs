//! The kernel for 8 and 16-bit pixels with AVX-512.
//!
//! A strip is some whole cells side by side, or a part of a wide one, as much as a vector takes. On loading, permutes give
//! each channel of each cell as many whole 32-bit lanes as its pixels need, and put every pixel's neighbours in the same
//! place of another vector; so the border needs no branch, and neither do channels or cells of different widths. A dot product adds neighbouring
//! directions to 32-bit lanes, all of one cell.

use std::arch::x86_64::*;
use std::ops::Range;

use super::cells::{Arithmetic, CELLS, DIRECTIONS, Grid, Sums, WINDOWS, Windows};
use super::{Kernel, LevelKernels};
use crate::base::simd::Avx512;

/// 32-bit lanes of a vector.
const SUMS: usize = 16;

impl LevelKernels for Avx512 {
    #[inline(always)]
    fn bytes(self, grid: &Grid) -> impl Kernel<u8> {
        Strips::<Bytes>::new(self, grid)
    }

    #[inline(always)]
    fn words(self, grid: &Grid) -> impl Kernel<u16> {
        Strips::<Words>::new(self, grid)
    }
}

/// Vectors of pixels.
///
/// # Safety
/// Every function needs a CPU with AVX-512 as [`Avx512`] says.
trait Vector {
    type Pixel: Arithmetic<Total = u64>;
    /// Pixels of a vector.
    const LANES: usize;
    /// The highest value of a pixel.
    const MAX: usize;

    /// # Safety
    /// [`Vector::LANES`] pixels must be readable.
    unsafe fn load(from: *const Self::Pixel) -> __m512i;
    /// The first `count` ≤ [`Vector::LANES`] pixels.
    ///
    /// # Safety
    /// They must be readable.
    unsafe fn load_part(from: *const Self::Pixel, count: usize) -> __m512i;
    /// The lanes that `order` names, in the lanes that `keep` has; zero in all others.
    unsafe fn permute(keep: u64, order: __m512i, lanes: __m512i) -> __m512i;
    /// a − b, and zero where that is negative.
    unsafe fn less(a: __m512i, b: __m512i) -> __m512i;
    unsafe fn min(a: __m512i, b: __m512i) -> __m512i;
    /// Adds the lanes to the 32-bit lanes of `sums` that they are in.
    unsafe fn add(sums: __m512i, lanes: __m512i) -> __m512i;
    /// Lane numbers as [`Vector::permute`] takes them.
    fn order(lanes: [u8; 64]) -> Order;
}

#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
struct Order([u8; 64]);

struct Bytes;
struct Words;

// SAFETY, for every block here: the CPU has the instructions and the memory is readable, as the trait demands.
impl Vector for Bytes {
    type Pixel = u8;
    const LANES: usize = 64;
    const MAX: usize = u8::MAX as usize;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const u8, count: usize) -> __m512i {
        // SAFETY: above; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_epi8(first(count), from.cast()) }
    }

    #[inline(always)]
    unsafe fn permute(keep: u64, order: __m512i, lanes: __m512i) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_maskz_permutexvar_epi8(keep, order, lanes) }
    }

    #[inline(always)]
    unsafe fn less(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_subs_epu8(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_min_epu8(a, b) }
    }

    #[inline(always)]
    unsafe fn add(sums: __m512i, lanes: __m512i) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_dpbusd_epi32(sums, lanes, _mm512_set1_epi8(1)) }
    }

    fn order(lanes: [u8; 64]) -> Order {
        Order(lanes)
    }
}

// SAFETY, for every block here: as above.
impl Vector for Words {
    type Pixel = u16;
    const LANES: usize = 32;
    const MAX: usize = u16::MAX as usize;

    #[inline(always)]
    unsafe fn load(from: *const u16) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const u16, count: usize) -> __m512i {
        // SAFETY: above; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_epi16(first(count) as u32, from.cast()) }
    }

    #[inline(always)]
    unsafe fn permute(keep: u64, order: __m512i, lanes: __m512i) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_maskz_permutexvar_epi16(keep as u32, order, lanes) }
    }

    #[inline(always)]
    unsafe fn less(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_subs_epu16(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: above.
        unsafe { _mm512_min_epu16(a, b) }
    }

    #[inline(always)]
    unsafe fn add(sums: __m512i, lanes: __m512i) -> __m512i {
        // SAFETY: above.
        unsafe {
            let low = _mm512_and_si512(lanes, _mm512_set1_epi32(0xffff));
            _mm512_add_epi32(sums, _mm512_add_epi32(low, _mm512_srli_epi32::<16>(lanes)))
        }
    }

    fn order(lanes: [u8; 64]) -> Order {
        let words: [u16; 32] = std::array::from_fn(|lane| u16::from(lanes[lane]));
        Order(bytemuck::cast(words))
    }
}

/// A mask of the first `n` lanes.
#[inline(always)]
fn first(n: usize) -> u64 {
    if n >= 64 { !0 } else { (1 << n) - 1 }
}

/// How the pixels of a piece and their neighbours come into the lanes of their cells.
struct Table {
    middle: Order,
    left: Order,
    right: Order,
    /// The lanes that hold a pixel.
    keep: u64,
}

/// Neighbouring pixels of every row. Places count values from the start of the row.
struct Piece {
    middle: usize,
    left: usize,
    right: usize,
    values: usize,
    table: usize,
}

/// Cells side by side whose sums are in one vector: of channel after channel cell after cell, `span` lanes each.
struct Strip {
    cells: Range<usize>,
    span: usize,
    pieces: Range<usize>,
}

/// The kernel for one shape.
struct Strips<V: Vector> {
    _avx512: Avx512,
    strips: Vec<Strip>,
    pieces: Vec<Piece>,
    tables: Vec<Table>,
    /// Rows whose weighed sums fit 32 bits.
    max_rows: usize,
    /// For each strip the sums of each row of cells.
    sums: Vec<[[__m512i; DIRECTIONS]; CELLS]>,
    vector: std::marker::PhantomData<V>,
}

impl<V: Vector> Strips<V> {
    fn new(avx512: Avx512, grid: &Grid) -> Self {
        let (channels, ends) = (grid.channels, &grid.columns);
        let widest = ends.windows(2).map(|cell| cell[1] - cell[0]).max().unwrap_or(1);
        let max_rows = u32::MAX as usize / (3 * V::MAX * widest);
        let mut all = Self {
            _avx512: avx512,
            strips: Vec::new(),
            pieces: Vec::new(),
            tables: Vec::new(),
            max_rows,
            sums: Vec::new(),
            vector: std::marker::PhantomData,
        };
        let a_sum = V::LANES / SUMS;
        let span = |cells: &Range<usize>| {
            let widths = cells.clone().map(|cell| ends[cell + 1] - ends[cell]);
            widths.max().unwrap_or(0).div_ceil(a_sum).max(1)
        };
        let fits = |cells: &Range<usize>| {
            let pixels = ends[cells.end] - ends[cells.start];
            cells.len() * channels * span(cells) <= SUMS && pixels * channels <= V::LANES
        };
        // For pieces of a wide cell: their pixels, whether they begin or end a row, and their table.
        let mut known: Vec<((usize, bool, bool), usize)> = Vec::new();
        let mut start = 0;
        while start < CELLS {
            let first_piece = all.pieces.len();
            let end = (start + 1..=CELLS).take_while(|&end| fits(&(start..end))).last();
            let (cells, span) = match end {
                Some(end) => {
                    let cells = start..end;
                    let span = span(&cells);
                    if ends[start] < ends[end] {
                        all.tables.push(table::<V>(grid, &cells, span, ends[start]..ends[end]));
                        all.pieces.push(piece(grid, ends[start]..ends[end], all.tables.len() - 1));
                    }
                    (cells, span)
                }
                None => {
                    let (cells, span) = (start..start + 1, SUMS / channels);
                    let pixels = (span * a_sum).min(V::LANES / channels);
                    for x in (ends[start]..ends[start + 1]).step_by(pixels) {
                        let xs = x..ends[start + 1].min(x + pixels);
                        let key = (xs.len(), xs.start == 0, xs.end == grid.width());
                        let number = known.iter().find(|(other, _)| *other == key).map(|&(_, number)| number);
                        let number = number.unwrap_or_else(|| {
                            all.tables.push(table::<V>(grid, &cells, span, xs.clone()));
                            known.push((key, all.tables.len() - 1));
                            all.tables.len() - 1
                        });
                        all.pieces.push(piece(grid, xs, number));
                    }
                    (cells, span)
                }
            };
            start = cells.end;
            all.strips.push(Strip { cells, span, pieces: first_piece..all.pieces.len() });
        }
        // SAFETY: any bits are a vector.
        all.sums = vec![unsafe { std::mem::zeroed() }; all.strips.len()];
        all
    }
}

/// The columns from which the left and the right neighbours of some columns are loaded.
fn neighbours(grid: &Grid, xs: &Range<usize>) -> (usize, usize) {
    (xs.start.saturating_sub(1), (xs.start + 1).min(grid.width() - 1))
}

fn piece(grid: &Grid, xs: Range<usize>, table: usize) -> Piece {
    let (left, right) = neighbours(grid, &xs);
    let channels = grid.channels;
    Piece {
        middle: xs.start * channels,
        left: left * channels,
        right: right * channels,
        values: xs.len() * channels,
        table,
    }
}

/// The table of a piece with the columns `xs`, all of whose cells are `cells`, or which are a part of the one cell.
fn table<V: Vector>(grid: &Grid, cells: &Range<usize>, span: usize, xs: Range<usize>) -> Table {
    let (channels, slot_lanes) = (grid.channels, span * V::LANES / SUMS);
    let (left_start, right_start) = neighbours(grid, &xs);
    let [mut middle, mut left, mut right] = [[0; 64]; 3];
    let mut keep = 0;
    for channel in 0..channels {
        for cell in cells.clone() {
            let slot = channel * cells.len() + cell - cells.start;
            let columns = grid.columns[cell].max(xs.start)..grid.columns[cell + 1].min(xs.end);
            for (at, x) in columns.enumerate() {
                let lane = slot * slot_lanes + at;
                let place = |from: usize, x: usize| ((x - from) * channels + channel) as u8;
                middle[lane] = place(xs.start, x);
                left[lane] = place(left_start, x.saturating_sub(1));
                right[lane] = place(right_start, (x + 1).min(grid.width() - 1));
                keep |= 1 << lane;
            }
        }
    }
    Table { middle: V::order(middle), left: V::order(left), right: V::order(right), keep }
}

impl<V: Vector> Kernel<V::Pixel> for Strips<V> {
    #[inline(always)]
    fn add(&mut self, grid: &Grid, image: &[V::Pixel], band: &Range<usize>, sums: &mut Sums<u64>) {
        assert_eq!(image.len(), grid.height() * grid.width() * grid.channels);
        for start in band.clone().step_by(self.max_rows) {
            let rows = start..band.end.min(start + self.max_rows);
            // SAFETY: `_avx512` proves that the CPU has the instructions, and the image is of the grid's shape.
            unsafe {
                self.add_rows(grid, image, &rows);
                self.weigh(sums);
            }
        }
    }

    #[inline(always)]
    fn finish(&self, grid: &Grid, sums: &Sums<u64>, _: &mut Windows<u64>, row: &mut [f32]) {
        let (values, _) = row.as_chunks_mut::<DIRECTIONS>();
        for (sums, values) in sums.0.iter().zip(values.chunks_exact_mut(WINDOWS * WINDOWS)) {
            for ((at, values), &divisor) in values.iter_mut().enumerate().zip(&grid.divisors) {
                let cells = &sums[at / WINDOWS][2 * (at % WINDOWS)..][..4];
                // SAFETY: `_avx512` proves that the CPU has the instructions; a vector is eight sums or values.
                unsafe {
                    let outer = _mm512_add_epi64(eight(&cells[0]), eight(&cells[3]));
                    let inner = _mm512_add_epi64(eight(&cells[1]), eight(&cells[2]));
                    let sum = _mm512_add_epi64(_mm512_add_epi64(outer, inner), _mm512_add_epi64(inner, inner));
                    let share = _mm512_div_pd(_mm512_cvtepu64_pd(sum), _mm512_set1_pd(divisor));
                    _mm256_storeu_ps(values.as_mut_ptr(), _mm512_cvtpd_ps(_mm512_sqrt_pd(share)));
                }
            }
        }
    }
}

/// The sums of a cell.
///
/// # Safety
/// The CPU must have the instructions.
#[inline(always)]
unsafe fn eight(sums: &[u64; DIRECTIONS]) -> __m512i {
    // SAFETY: the caller's promise; there are eight.
    unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) }
}

impl<V: Vector> Strips<V> {
    /// Overwrites the sums of all strips by those of some rows.
    ///
    /// # Safety
    /// The CPU must have the instructions, `image` must have the grid's shape, and `rows` must be some of it.
    #[inline(always)]
    unsafe fn add_rows(&mut self, grid: &Grid, image: &[V::Pixel], rows: &Range<usize>) {
        for cell in 0..CELLS {
            let rows = grid.cell_rows(cell, rows);
            for (strip, sums) in self.strips.iter().zip(&mut self.sums) {
                let pieces = &self.pieces[strip.pieces.clone()];
                // SAFETY: the caller's promises.
                unsafe {
                    let mut lanes = [_mm512_setzero_si512(); DIRECTIONS];
                    for y in rows.clone() {
                        for piece in pieces {
                            add_piece::<V>(grid, image, y, piece, &self.tables[piece.table], &mut lanes);
                        }
                    }
                    if strip.span > 1 {
                        for lanes in &mut lanes {
                            *lanes = add_spans(*lanes, strip.span);
                        }
                    }
                    sums[cell] = lanes;
                }
            }
        }
    }

    /// Adds the sums of all strips to those of windows.
    ///
    /// # Safety
    /// The CPU must have the instructions.
    #[inline(always)]
    unsafe fn weigh(&self, to: &mut Sums<u64>) {
        for (strip, cells) in self.strips.iter().zip(&self.sums) {
            for i in 0..WINDOWS {
                // SAFETY: the CPU has the instructions; there are 16 sums in four vectors of both halves.
                unsafe {
                    let mut window = [_mm512_setzero_si512(); DIRECTIONS];
                    for (k, window) in window.iter_mut().enumerate() {
                        let outer = _mm512_add_epi32(cells[2 * i][k], cells[2 * i + 3][k]);
                        let inner = _mm512_add_epi32(cells[2 * i + 1][k], cells[2 * i + 2][k]);
                        *window = _mm512_add_epi32(_mm512_add_epi32(outer, inner), _mm512_add_epi32(inner, inner));
                    }
                    let (low, high) = (transposed(&window[..4]), transposed(&window[4..]));
                    for (channel, to) in to.0.iter_mut().enumerate() {
                        for (at, cell) in strip.cells.clone().enumerate() {
                            let slot = channel * strip.cells.len() + at;
                            let from = 4 * (slot / 4) as isize;
                            let sums = to[i][cell].as_mut_ptr();
                            for (half, at) in [(&low, 0), (&high, 4)] {
                                let four = half[slot % 4].0.as_ptr().offset(from);
                                let four = _mm256_cvtepu32_epi64(_mm_loadu_si128(four.cast()));
                                let to = sums.add(at).cast();
                                _mm256_storeu_si256(to, _mm256_add_epi64(_mm256_loadu_si256(to), four));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adds the directions of a piece of row `y`.
///
/// # Safety
/// The CPU must have the instructions, `image` must have the grid's shape, and the piece must lie in it.
#[inline(always)]
unsafe fn add_piece<V: Vector>(
    grid: &Grid,
    image: &[V::Pixel],
    y: usize,
    piece: &Piece,
    table: &Table,
    sums: &mut [__m512i; DIRECTIONS],
) {
    let row_values = grid.width() * grid.channels;
    let (row, up) = (y * row_values, y.saturating_sub(1) * row_values);
    let down = (y + 1).min(grid.height() - 1) * row_values;
    let from = image.as_ptr();
    // SAFETY: the CPU has the instructions. `values` pixels from each place are in the image; whole vectors are loaded if
    // the last of the four is, which is the one of the lower row, or the right one in the last row.
    unsafe {
        let places = [row + piece.left, row + piece.right, up + piece.middle, down + piece.middle];
        let whole = down + piece.right + V::LANES <= image.len();
        let orders = [&table.left, &table.right, &table.middle, &table.middle];
        let mut neighbours = [_mm512_setzero_si512(); 4];
        for i in 0..4 {
            let lanes = if whole {
                V::load(from.add(places[i]))
            } else {
                V::load_part(from.add(places[i]), piece.values.min(image.len() - places[i]))
            };
            neighbours[i] = V::permute(table.keep, _mm512_load_si512(orders[i].0.as_ptr().cast()), lanes);
        }
        let [left, right, up, down] = neighbours;
        let (xp, xn, yp, yn) = (V::less(right, left), V::less(left, right), V::less(down, up), V::less(up, down));
        let (a, b) = (_mm512_or_si512(xp, xn), _mm512_or_si512(yp, yn));
        let directions = [
            V::less(xp, b),
            V::min(xp, yp),
            V::less(yp, a),
            V::min(xn, yp),
            V::less(xn, b),
            V::min(xn, yn),
            V::less(yn, a),
            V::min(xp, yn),
        ];
        for k in 0..DIRECTIONS {
            sums[k] = V::add(sums[k], directions[k]);
        }
    }
}

/// The sums of `span` neighbouring lanes each, in the first lanes.
///
/// # Safety
/// The CPU must have the instructions.
#[inline(always)]
unsafe fn add_spans(lanes: __m512i, span: usize) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let firsts = _mm512_mullo_epi32(count, _mm512_set1_epi32(span as i32));
        let mut sums = _mm512_setzero_si512();
        for at in 0..span {
            let order = _mm512_add_epi32(firsts, _mm512_set1_epi32(at as i32));
            sums = _mm512_add_epi32(sums, _mm512_permutexvar_epi32(order, lanes));
        }
        sums
    }
}

#[repr(C, align(64))]
struct Sixteen([u32; SUMS]);

/// Four vectors as columns: the four lanes of column 4·q + m are those from 4·q on in result m.
///
/// # Safety
/// The CPU must have the instructions, and there must be four vectors.
#[inline(always)]
unsafe fn transposed(of: &[__m512i]) -> [Sixteen; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let (a, b) = (_mm512_unpacklo_epi32(of[0], of[1]), _mm512_unpackhi_epi32(of[0], of[1]));
        let (c, d) = (_mm512_unpacklo_epi32(of[2], of[3]), _mm512_unpackhi_epi32(of[2], of[3]));
        let columns = [
            _mm512_unpacklo_epi64(a, c),
            _mm512_unpackhi_epi64(a, c),
            _mm512_unpacklo_epi64(b, d),
            _mm512_unpackhi_epi64(b, d),
        ];
        let mut stored = [const { Sixteen([0; SUMS]) }; 4];
        for m in 0..4 {
            _mm512_store_si512(stored[m].0.as_mut_ptr().cast(), columns[m]);
        }
        stored
    }
}
