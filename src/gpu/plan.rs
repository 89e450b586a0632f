//! How images are cut: into blocks that a workgroup's memory holds, and into chunks that a buffer holds.

use super::layout::{NUMBERS, Params, VECTOR_BYTES, WORKGROUP_BYTES, WORKGROUP_SIZE};
use crate::base::shape::{ImageShape, PixelType};

const WORD: usize = size_of::<u32>();
/// Bytes of a row that a tile takes, if the row has them: whole vectors and whole pixels of any type.
const TILE_ROW_BYTES: usize = 192;
/// Rows of a tile at most: the columns' sums of 8-bit pixels then fit 16 bits, as the rows' do.
const MAX_TILE_ROWS: usize = 256;
/// Bytes of a tile, about: four such workgroups fit side by side into the smallest memory of today's GPUs.
const TILE_BYTES: usize = 12 << 10;

/// What a workgroup takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Block {
    /// So many whole images.
    Images(usize),
    /// A rectangle of one image; the records of an image's tiles are merged.
    Tile,
}

/// How the images of a shape are cut into blocks. Equal plans share their pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BlockPlan {
    pub(super) pixel_type: PixelType,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) block: Block,
    /// Rows of a block: of each of its images, or of the tile.
    pub(super) block_rows: usize,
    /// Pixels in a row of a block.
    pub(super) block_pixels: usize,
    /// Bytes from row to row in a workgroup's memory.
    pub(super) pitch: usize,
    /// Whether every row begins on a word.
    pub(super) aligned: bool,
    /// Sums a word in the record of a block, and in that of an image.
    pub(super) sums_a_word: usize,
    pub(super) merged_a_word: usize,
}

impl BlockPlan {
    pub(super) fn new(shape: ImageShape, pixel_type: PixelType) -> Self {
        let row_bytes = shape.row_values() * pixel_type.bytes();
        // Two sums a word where each is below 2¹⁶.
        let a_word = |longest: usize| if pixel_type == PixelType::U8 && longest * 255 < 1 << 16 { 2 } else { 1 };
        let merged_a_word = a_word(shape.height().max(shape.width()));
        let whole = Self {
            pixel_type,
            width: shape.width(),
            channels: shape.channels(),
            block: Block::Images(1),
            block_rows: shape.height(),
            block_pixels: shape.width(),
            pitch: row_bytes,
            aligned: row_bytes.is_multiple_of(WORD),
            sums_a_word: merged_a_word,
            merged_a_word,
        };
        let memory = |plan: &Self| (plan.block_words() + plan.records_words()) * WORD;
        if memory(&whole) <= WORKGROUP_BYTES {
            let of = |images| Self { block: Block::Images(images), ..whole };
            let fitting = (1..).take_while(|&images| memory(&of(images)) <= WORKGROUP_BYTES);
            return of(fitting.last().unwrap_or(1));
        }
        let pixel_bytes = shape.channels() * pixel_type.bytes();
        let block_pixels = shape.width().min(TILE_ROW_BYTES / pixel_bytes);
        // A row that begins within a vector reaches into one more.
        let lead = if row_bytes.is_multiple_of(VECTOR_BYTES) { 0 } else { VECTOR_BYTES - 1 };
        let pitch = (lead + block_pixels * pixel_bytes).next_multiple_of(VECTOR_BYTES);
        let rows = (TILE_BYTES / pitch).min(MAX_TILE_ROWS).min(shape.height());
        let tile = |block_rows| Self {
            block: Block::Tile,
            block_rows,
            block_pixels,
            pitch,
            sums_a_word: a_word(MAX_TILE_ROWS),
            ..whole
        };
        tile((1..=rows).rev().find(|&rows| memory(&tile(rows)) <= WORKGROUP_BYTES).unwrap_or(1))
    }

    pub(super) fn is_tiled(&self) -> bool {
        self.block == Block::Tile
    }

    /// Images of a block, of which a tile is one.
    fn block_images(&self) -> usize {
        match self.block {
            Block::Images(images) => images,
            Block::Tile => 1,
        }
    }

    /// The numbers that kernels are compiled or called with, by their names in [`NUMBERS`].
    pub(super) fn numbers(&self) -> [u32; NUMBERS.len()] {
        [
            self.width,
            self.channels,
            self.is_tiled().into(),
            self.block_images(),
            self.block_rows,
            self.block_pixels,
            self.pitch,
            self.aligned.into(),
            self.block_words(),
            self.record_words(),
            self.records_words(),
            self.record_words(),
            self.sum_words(),
            self.sums_a_word,
            self.merged_a_word,
        ]
        .map(|number| number as u32)
    }

    /// What a dispatch over `images` images, or bands of one, of `height` rows is told.
    pub(super) fn params(&self, first: usize, images: usize, height: usize) -> Params {
        Params {
            first: first as u32,
            images: images as u32,
            height: height as u32,
            stride: 0,
            scale: 1.0,
            numbers: self.numbers(),
        }
    }

    /// Words of a block in a workgroup's memory: its bytes from any place within a vector on, the word after them, and
    /// the one in 33 that stays free.
    pub(super) fn block_words(&self) -> usize {
        let bytes = self.block_images() * self.block_rows * self.pitch + VECTOR_BYTES - 1;
        let words = bytes.next_multiple_of(VECTOR_BYTES) / WORD + 1;
        words + words / 32 + 1
    }

    /// Words of the sums in a record of a block.
    pub(super) fn sum_words(&self) -> usize {
        (self.channels * (self.block_rows + self.block_pixels)).div_ceil(self.sums_a_word)
    }

    /// Words of a record of a block.
    pub(super) fn record_words(&self) -> usize {
        match self.pixel_type {
            PixelType::U8 => self.sum_words() + self.channels,
            PixelType::U16 => self.sum_words() + 2 * self.channels,
            PixelType::F32 => self.channels * (3 * self.block_rows + self.block_pixels),
        }
    }

    /// Words of all records of a block.
    pub(super) fn records_words(&self) -> usize {
        self.block_images() * self.record_words()
    }

    fn bands(&self, height: usize) -> usize {
        height.div_ceil(self.block_rows)
    }

    fn across(&self) -> usize {
        self.width.div_ceil(self.block_pixels)
    }

    /// How the record of an image (or a band of one) of `height` rows is laid out.
    pub(super) fn record(&self, height: usize) -> Record {
        let sums = self.channels * (height + self.width);
        let (bands, sum_sq_words) = match self.pixel_type {
            PixelType::F32 => (0, 0),
            _ if self.is_tiled() => (self.bands(height), 2),
            PixelType::U8 => (1, 1),
            PixelType::U16 => (1, 2),
        };
        let sum_words = match self.pixel_type {
            PixelType::F32 => self.channels * (3 * height + self.width),
            _ => sums.div_ceil(self.merged_a_word),
        };
        Record {
            height,
            width: self.width,
            channels: self.channels,
            a_word: self.merged_a_word,
            sum_words,
            bands,
            sum_sq_words,
        }
    }

    /// What a chunk needs.
    pub(super) fn chunk(&self, images: usize, height: usize) -> Chunk {
        let value_bytes = self.pixel_type.bytes();
        let pixel_bytes = images * height * self.width * self.channels * value_bytes;
        let records = if self.is_tiled() { images * self.bands(height) * self.across() } else { 0 };
        let groups = if self.is_tiled() { records } else { images.div_ceil(self.block_images()) };
        let result_words = images * self.record(height).words();
        Chunk {
            images,
            height,
            pixel_bytes,
            record_words: records * self.record_words(),
            result_words,
            groups,
            merge_groups: if self.is_tiled() {
                self.merge_tasks(images, height).div_ceil(WORKGROUP_SIZE as usize)
            } else {
                0
            },
        }
    }

    fn merge_tasks(&self, images: usize, height: usize) -> usize {
        images
            * match self.pixel_type {
                PixelType::F32 => self.channels * (height + self.width),
                _ => self.record(height).words(),
            }
    }

    /// The largest chunk of images of `height` rows none of whose buffers is over `bytes`, or if one image is too large
    /// for that, of rows; at the least one block or one row.
    pub(super) fn cut(&self, height: usize, bytes: usize) -> Cut {
        let images = bytes / self.chunk(1, height).largest_bytes();
        if images > 0 || !self.is_tiled() {
            return Cut::Images(images.max(1));
        }
        let fits = |rows: usize| self.chunk(1, rows).largest_bytes() <= bytes;
        let bands = bytes / self.chunk(1, self.block_rows).largest_bytes();
        // The records of a chunk also hold its columns once, whatever its rows.
        match (1..=bands).rev().map(|bands| bands * self.block_rows).find(|&rows| fits(rows)) {
            Some(rows) => Cut::Rows(rows.min(height)),
            None => Cut::Rows((1..=self.block_rows).rev().find(|&rows| fits(rows)).unwrap_or(1)),
        }
    }
}

/// The numbers of a chunk's buffers and dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) images: usize,
    pub(super) height: usize,
    pub(super) pixel_bytes: usize,
    /// Words of the records of tiles.
    pub(super) record_words: usize,
    pub(super) result_words: usize,
    pub(super) groups: usize,
    pub(super) merge_groups: usize,
}

impl Chunk {
    /// Bytes of the largest of its buffers.
    pub(super) fn largest_bytes(&self) -> usize {
        self.pixel_bytes.max(self.record_words * WORD).max(self.result_words * WORD)
    }
}

/// What a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// So many whole images.
    Images(usize),
    /// So many rows of one image.
    Rows(usize),
}

/// The layout of an image's record in the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    /// Sums a word.
    pub(super) a_word: usize,
    /// Words of all sums, of floats those of the rows' three numbers and the columns' one.
    pub(super) sum_words: usize,
    /// Parts that Σp² of a channel comes in.
    pub(super) bands: usize,
    /// Words of each part.
    pub(super) sum_sq_words: usize,
}

impl Record {
    pub(super) fn words(&self) -> usize {
        self.sum_words + self.channels * self.bands * self.sum_sq_words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(shape: &str, pixel_type: PixelType) -> BlockPlan {
        BlockPlan::new(shape.parse().unwrap(), pixel_type)
    }

    fn cut(shape: &str, bytes: usize) -> Cut {
        let shape: ImageShape = shape.parse().unwrap();
        BlockPlan::new(shape, PixelType::U8).cut(shape.height(), bytes)
    }

    #[test]
    fn small_images_share_a_block_and_pack_their_records() {
        let digits = plan("28x28", PixelType::U8);
        assert!((14..=20).contains(&digits.block_images()), "{:?}", digits.block);
        // 56 sums in 28 words and one of Σp²: 116 bytes.
        assert_eq!(digits.record(28).words(), 29);
        assert_eq!(digits.records_words(), 29 * digits.block_images());
        assert!(digits.aligned);
        assert!(!plan("27x27", PixelType::U8).aligned);
        // 258 · 255 does not fit 16 bits.
        assert_eq!(plan("2x257", PixelType::U8).record(2).a_word, 2);
        assert_eq!(plan("2x258", PixelType::U8).record(2).a_word, 1);
        assert_eq!(plan("28x28", PixelType::U16).record(28).words(), 58);
    }

    #[test]
    fn every_block_fits_a_workgroups_memory() {
        for pixel_type in [PixelType::U8, PixelType::U16, PixelType::F32] {
            for (h, w) in [(1, 1), (28, 28), (64, 64), (100, 130), (1, 65_536), (65_536, 1), (4_096, 4_096), (511, 3)] {
                for channels in 1..=4 {
                    let plan = BlockPlan::new(ImageShape::new(h, w, channels).unwrap(), pixel_type);
                    assert!((plan.block_words() + plan.records_words()) * WORD <= WORKGROUP_BYTES, "{plan:?}");
                    assert!(!plan.is_tiled() || plan.pitch.is_multiple_of(VECTOR_BYTES), "{plan:?}");
                    // Loads of the last row's last vector stay within the block.
                    let whole = plan.block_images() * plan.block_rows * plan.pitch;
                    assert!(plan.block_words() > whole.div_ceil(WORD) + whole.div_ceil(WORD) / 32, "{plan:?}");
                }
            }
        }
    }

    #[test]
    fn chunks_hold_pixels_and_records_in_what_they_may_take() {
        assert_eq!(cut("28x28", 784), Cut::Images(1));
        assert_eq!(cut("28x28", 8 << 20), Cut::Images((8 << 20) / 784));
        // The record is larger than the pixel: two sums in one word, and one of Σp².
        assert_eq!(cut("1x1", 24), Cut::Images(3));
        assert_eq!(cut("28x28", 0), Cut::Images(1));
        let large = plan("4096x4096", PixelType::U8);
        assert_eq!(cut("4096x4096", 32 << 20), Cut::Images(2));
        let Cut::Rows(rows) = cut("4096x4096", 1 << 20) else { panic!("one image is larger") };
        assert!(rows.is_multiple_of(large.block_rows) && (192..=256).contains(&rows), "{rows}");
        assert_eq!(cut("65536x8191x4", 0), Cut::Rows(1));
    }
}
