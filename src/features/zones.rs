//! Zones: the mean of each cell of a grid over the image.

use std::fmt;
use std::iter::Sum;
use std::ops::{AddAssign, Range};

#[cfg(feature = "gpu")]
use super::family::BlockGeometry;
use super::family::{Band, BandSums, BlockNames, Family, ImageSpec, Parameters, channel_prefix, sums_of_bands};
use super::rows::RowsMut;
use crate::base::error::{Error, Result};
use crate::base::pixels::{Pixel, PixelSlice};
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::simd::{Level, Simd, SimdKernel, run_simd};

/// The feature `zones:RxC`, such as `zones:7x7`.
///
/// For each channel, one channel after another, a block `zones` of R·C values, row of cells by row of cells: the mean of the
/// channel's pixels in each cell of a grid of R rows and C columns, divided by the scale. The pixel at row y and column x of
/// an H×W image is in cell (⌊R·y ÷ H⌋, ⌊C·x ÷ W⌋). Where an image has fewer rows or columns than the grid, some cells have
/// no pixels; their value is 0.
///
/// The sums of integer pixels are exact, and Σp ÷ (pixels · scale) is rounded to f32 once. Float pixels are summed in f64,
/// on the CPU only: a value is within 2⁻²⁴ of itself and 10⁻¹² of the largest pixel of its cell ÷ scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zones {
    rows: u16,
    columns: u16,
}

impl Zones {
    /// The most rows, and the most columns, of a grid.
    pub const MAX_SIDE: usize = 1_024;

    /// A grid of `rows` rows and `columns` columns.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if a side is not 1 to [`Zones::MAX_SIDE`].
    pub fn new(rows: usize, columns: usize) -> Result<Self> {
        if [rows, columns].iter().all(|side| (1..=Self::MAX_SIDE).contains(side)) {
            return Ok(Self { rows: rows as u16, columns: columns as u16 });
        }
        let why = format!("`zones:{rows}x{columns}`: a side of the grid is 1 to {}", Self::MAX_SIDE);
        Err(Error::InvalidOption { option: "features", why })
    }

    /// Rows of the grid.
    pub fn grid_rows(self) -> usize {
        self.rows.into()
    }

    /// Columns of the grid.
    pub fn grid_columns(self) -> usize {
        self.columns.into()
    }

    /// Cells of all channels.
    fn cells(self, channels: usize) -> usize {
        channels * self.grid_rows() * self.grid_columns()
    }

    /// Writes the row of an image from the sums of its cells, [channel][row][column].
    fn finish(self, of: ImageSpec, sums: impl IntoIterator<Item = f64>, row: &mut [f32]) {
        let (height, width) = (of.shape.height(), of.shape.width());
        let rows: Vec<usize> = (0..self.grid_rows()).map(|r| part(height, self.grid_rows(), r).len()).collect();
        let columns: Vec<usize> = (0..self.grid_columns()).map(|c| part(width, self.grid_columns(), c).len()).collect();
        let pixels = rows.iter().flat_map(|rows| columns.iter().map(move |columns| (rows * columns) as f64));
        for ((value, sum), pixels) in row.iter_mut().zip(sums).zip(pixels.cycle()) {
            *value = if pixels > 0.0 { (sum / (pixels * of.scale)) as f32 } else { 0.0 };
        }
    }
}

impl Parameters for Zones {
    fn parse(parameters: Option<&str>) -> Result<Self> {
        let sides = parameters.and_then(|grid| grid.split_once('x'));
        match sides.and_then(|(rows, columns)| Some((rows.parse().ok()?, columns.parse().ok()?))) {
            Some((rows, columns)) => Self::new(rows, columns),
            None => {
                let why = "`zones` needs a grid of rows and columns, as in zones:7x7".to_owned();
                Err(Error::InvalidOption { option: "features", why })
            }
        }
    }

    fn fmt_parameters(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}x{}", self.rows, self.columns)
    }
}

/// The places of a side of `side` pixels that are in part `i` of `parts`.
fn part(side: usize, parts: usize, i: usize) -> Range<usize> {
    (i * side).div_ceil(parts)..((i + 1) * side).div_ceil(parts)
}

impl Family for Zones {
    fn blocks(&self, shape: ImageShape) -> Vec<BlockNames> {
        let block = |channel| {
            let prefix = channel_prefix(shape, channel);
            BlockNames::numbered(format!("{prefix}zones"), self.cells(1), |i| {
                format!("{prefix}zone_r{}c{}", i / self.grid_columns(), i % self.grid_columns())
            })
        };
        (0..shape.channels()).map(block).collect()
    }

    fn block_values(&self, shape: ImageShape) -> usize {
        self.cells(shape.channels())
    }

    fn compute(&self, level: Level, of: ImageSpec, pixels: PixelSlice<'_>, out: &mut RowsMut<'_>) {
        match pixels {
            PixelSlice::U8(pixels) => run_simd(level, ZonesOfRows { zones: *self, of, pixels, out }),
            PixelSlice::U16(pixels) => run_simd(level, ZonesOfRows { zones: *self, of, pixels, out }),
            PixelSlice::F32(pixels) => run_simd(level, ZonesOfRows { zones: *self, of, pixels, out }),
        }
    }

    fn sum_band(&self, level: Level, band: &Band, image: PixelSlice<'_>) -> BandSums {
        fn boxed<P: Summed>(zones: Zones, level: Level, band: &Band, pixels: &[P]) -> BandSums {
            let mut sums = vec![P::Cell::default(); zones.cells(band.of.shape.channels())];
            run_simd(level, ZonesOfBand { zones, band, pixels, sums: &mut sums });
            Box::new(sums.into_iter().map(P::Cell::into).collect::<Vec<Exact>>())
        }
        match band.pixels(image) {
            PixelSlice::U8(pixels) => boxed(*self, level, band, pixels),
            PixelSlice::U16(pixels) => boxed(*self, level, band, pixels),
            PixelSlice::F32(pixels) => boxed(*self, level, band, pixels),
        }
    }

    fn finish_bands(&self, of: ImageSpec, bands: Vec<BandSums>, row: &mut [f32]) {
        let mut sums: Vec<Exact> = Vec::new();
        for band in sums_of_bands::<Vec<Exact>>(bands) {
            if sums.is_empty() {
                sums = band;
            } else {
                sums.iter_mut().zip(band).for_each(|(sum, more)| *sum = sum.plus(more));
            }
        }
        self.finish(of, sums.into_iter().map(Exact::value), row);
    }

    #[cfg(feature = "gpu")]
    fn shaders(&self, _: PixelType) -> &'static [&'static str] {
        &[include_str!("../../shaders/zones.wgsl"), include_str!("../../shaders/zones_finish.wgsl")]
    }

    #[cfg(feature = "gpu")]
    fn shader_numbers(&self, _: &BlockGeometry) -> Vec<(&'static str, usize)> {
        vec![("zones_rows", self.grid_rows()), ("zones_columns", self.grid_columns())]
    }

    /// A word a cell: the sum of a block's values fits, since a block has fewer than 2¹⁶ of them.
    #[cfg(feature = "gpu")]
    fn record_words(&self, block: &BlockGeometry) -> usize {
        self.cells(block.channels)
    }

    /// Two words a cell.
    #[cfg(feature = "gpu")]
    fn merged_words(&self, block: &BlockGeometry, _: usize) -> usize {
        2 * self.record_words(block)
    }

    #[cfg(feature = "gpu")]
    fn finish_records(
        &self,
        of: ImageSpec,
        block: &BlockGeometry,
        records: &mut dyn Iterator<Item = &[u32]>,
        out: &mut RowsMut<'_>,
    ) -> bool {
        for (row, record) in out.iter_mut().zip(records) {
            self.finish(of, block.sums(record).map(|sum| sum as f64), row);
        }
        true
    }

    #[cfg(feature = "gpu")]
    fn record_sums(&self, _: &Band, block: &BlockGeometry, record: &[u32]) -> Option<BandSums> {
        Some(Box::new(block.sums(record).map(Exact::Integer).collect::<Vec<Exact>>()))
    }

    fn expected(&self, of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
        let (rows, columns, shape) = (self.grid_rows(), self.grid_columns(), of.shape);
        let mut cells = vec![(0.0f64, 0u64, 0u64); self.cells(shape.channels())];
        for i in 0..shape.values() {
            let (y, x, channel) =
                (i / shape.row_values(), i % shape.row_values() / shape.channels(), i % shape.channels());
            let at = (channel * rows + rows * y / shape.height()) * columns + columns * x / shape.width();
            let (floats, integers, pixels) = &mut cells[at];
            match image {
                PixelSlice::U8(image) => *integers += u64::from(image[i]),
                PixelSlice::U16(image) => *integers += u64::from(image[i]),
                PixelSlice::F32(image) => *floats += f64::from(image[i]),
            }
            *pixels += 1;
        }
        let mean = |(floats, integers, pixels): (f64, u64, u64)| match pixels {
            0 => 0.0,
            _ => ((floats + integers as f64) / (pixels as f64 * of.scale)) as f32,
        };
        cells.into_iter().map(mean).collect()
    }
}

/// The sum of a cell, of any pixel type.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Exact {
    Integer(u64),
    /// Of floats: in one order, but rounded.
    Float(f64),
}

impl From<u64> for Exact {
    fn from(sum: u64) -> Self {
        Exact::Integer(sum)
    }
}

impl From<f64> for Exact {
    fn from(sum: f64) -> Self {
        Exact::Float(sum)
    }
}

impl Exact {
    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Exact::Integer(a), Exact::Integer(b)) => Exact::Integer(a + b),
            (a, b) => Exact::Float(a.value() + b.value()),
        }
    }

    /// No sum of an image's integers needs more than the 53 bits that f64 has.
    fn value(self) -> f64 {
        match self {
            Exact::Integer(sum) => sum as f64,
            Exact::Float(sum) => sum,
        }
    }
}

/// A pixel type and what its sums are.
trait Summed: Pixel {
    /// Of a column of at most [`Summed::MAX_ROWS`] pixels.
    type Column: Copy + Default + AddAssign + Send;
    /// Of a cell.
    type Cell: Copy + Default + AddAssign + Sum<Self::Cell> + From<Self::Column> + Into<Exact> + Send;
    const MAX_ROWS: usize;

    fn widened(self) -> Self::Column;
    fn value(sum: Self::Cell) -> f64;
}

macro_rules! summed {
    ($pixel:ty, $column:ty, $cell:ty, $max_rows:expr) => {
        impl Summed for $pixel {
            type Column = $column;
            type Cell = $cell;
            const MAX_ROWS: usize = $max_rows;

            #[inline(always)]
            fn widened(self) -> $column {
                self.into()
            }

            #[inline(always)]
            fn value(sum: $cell) -> f64 {
                sum as f64
            }
        }
    };
}
// 257 · 255 < 2¹⁶, and 65,536 · 65,535 < 2³².
summed!(u8, u16, u64, 257);
summed!(u16, u32, u64, ImageShape::MAX_SIDE);
summed!(f32, f64, f64, ImageShape::MAX_SIDE);

/// The rows of image after image.
struct ZonesOfRows<'a, 'r, P> {
    zones: Zones,
    of: ImageSpec,
    pixels: &'a [P],
    out: &'a mut RowsMut<'r>,
}

impl<P: Summed> SimdKernel for ZonesOfRows<'_, '_, P> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let shape = self.of.shape;
        let mut adder = Adder::new(self.zones, shape);
        let mut sums = vec![P::Cell::default(); self.zones.cells(shape.channels())];
        for (image, row) in self.pixels.chunks_exact(shape.values()).zip(self.out.iter_mut()) {
            sums.fill(P::Cell::default());
            adder.add(0, image, &mut sums);
            self.zones.finish(self.of, sums.iter().map(|&sum| P::value(sum)), row);
        }
    }
}

/// The sums of a band.
struct ZonesOfBand<'a, P: Summed> {
    zones: Zones,
    band: &'a Band,
    pixels: &'a [P],
    sums: &'a mut [P::Cell],
}

impl<P: Summed> SimdKernel for ZonesOfBand<'_, P> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        Adder::new(self.zones, self.band.of.shape).add(self.band.rows.start, self.pixels, self.sums);
    }
}

/// Adds pixels to the sums of their cells: columns first, for which vectors serve, then the columns of each cell.
struct Adder<P: Summed> {
    zones: Zones,
    shape: ImageShape,
    /// Where each column of cells is in a row of values.
    places: Vec<Range<usize>>,
    columns: Vec<P::Column>,
}

impl<P: Summed> Adder<P> {
    fn new(zones: Zones, shape: ImageShape) -> Self {
        let place = |c| {
            let part = part(shape.width(), zones.grid_columns(), c);
            part.start * shape.channels()..part.end * shape.channels()
        };
        let places = (0..zones.grid_columns()).map(place).collect();
        Self { zones, shape, places, columns: vec![P::Column::default(); shape.row_values()] }
    }

    /// Adds rows of pixels from row `first` of an image on.
    #[inline(always)]
    fn add(&mut self, first: usize, pixels: &[P], sums: &mut [P::Cell]) {
        let (row_values, rows, columns) = (self.shape.row_values(), self.zones.grid_rows(), self.zones.grid_columns());
        let (mut y, end) = (first, first + pixels.len() / row_values);
        while y < end {
            let r = rows * y / self.shape.height();
            let stop = part(self.shape.height(), rows, r).end.min(end).min(y + P::MAX_ROWS);
            self.columns.fill(P::Column::default());
            for row in pixels[(y - first) * row_values..(stop - first) * row_values].chunks_exact(row_values) {
                for (sum, &pixel) in self.columns.iter_mut().zip(row) {
                    *sum += pixel.widened();
                }
            }
            for channel in 0..self.shape.channels() {
                let cells = &mut sums[(channel * rows + r) * columns..][..columns];
                for (sum, place) in cells.iter_mut().zip(&self.places) {
                    let of_cell = self.columns[place.clone()].iter().skip(channel).step_by(self.shape.channels());
                    *sum += of_cell.map(|&column| P::Cell::from(column)).sum::<P::Cell>();
                }
            }
            y = stop;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_read_and_refused() {
        assert_eq!(Zones::parse(Some("4x7")).unwrap(), Zones::new(4, 7).unwrap());
        for text in ["", "4", "4x", "x4", "0x4", "4x1025", "4x7x1", "-1x2", "axb"] {
            assert!(Zones::parse(Some(text)).is_err(), "{text}");
        }
        assert!(Zones::parse(None).is_err());
    }

    #[test]
    fn means_are_those_computed_by_hand() {
        let of = ImageSpec { shape: ImageShape::gray(2, 3).unwrap(), scale: 255.0 };
        let pixels = [51u8, 102, 153, 0, 51, 204];
        // ⌊2x ÷ 3⌋ is 0, 0, 1.
        let expected = Zones::new(1, 2).unwrap().expected(of, (&pixels[..]).into());
        assert_eq!(expected, [0.2, 0.7]);
        // Three rows of cells over two rows of pixels: the last has none.
        let expected = Zones::new(3, 1).unwrap().expected(of, (&pixels[..]).into());
        assert_eq!(expected, [0.4, 1.0 / 3.0, 0.0]);
    }

    #[test]
    fn names_tell_row_and_column() {
        let blocks = Zones::new(2, 3).unwrap().blocks("9x9x2".parse().unwrap());
        assert_eq!((blocks[1].block.as_str(), blocks[1].values[5].as_str()), ("c1_zones", "c1_zone_r1c2"));
    }
}
