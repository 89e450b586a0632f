//! How images are cut: into blocks that a workgroup's memory holds, and into chunks that a buffer holds.

use std::ops::Range;

use super::layout::{HALO_ROWS, MAX_NUMBERS, NUMBERS, Params, VECTOR_BYTES, WORKGROUP_BYTES, WORKGROUP_SIZE};
use crate::base::shape::{ImageShape, PixelType};
use crate::features::FeatureSet;
use crate::features::family::{BlockGeometry, DeviceForm, Family};

const WORD: usize = size_of::<u32>();
/// Bytes of a row that a tile takes, if the row has them: whole vectors and whole pixels of any type.
const TILE_ROW_BYTES: usize = 192;
/// Rows of a tile at most: the columns' sums of 8-bit pixels then fit 16 bits, as the rows' do.
const MAX_TILE_ROWS: usize = 256;
/// Bytes of a tile, about: four such workgroups fit side by side into the smallest memory of today's GPUs.
const TILE_BYTES: usize = 12 << 10;

/// What a workgroup takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum BlockKind {
    /// So many whole images.
    Images(usize),
    /// A rectangle of one image; the records of an image's tiles are merged.
    Tile,
}

/// How the images of a shape are cut into blocks, and what is computed of them. Equal plans share their pipelines.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct BlockPlan {
    pub(super) set: FeatureSet,
    pub(super) geometry: BlockGeometry,
    pub(super) block: BlockKind,
    /// Bytes from row to row in a workgroup's memory.
    pub(super) pitch: usize,
    /// Whether every row begins on a word.
    pub(super) aligned: bool,
}

impl BlockPlan {
    /// `None` if the set has no form for a device, or its records do not fit a workgroup's memory.
    pub(super) fn new(set: &FeatureSet, shape: ImageShape, pixel_type: PixelType) -> Option<Self> {
        if set.device_form(pixel_type) == DeviceForm::No {
            return None;
        }
        let row_bytes = shape.row_values() * pixel_type.bytes();
        let whole = Self {
            set: set.clone(),
            geometry: BlockGeometry {
                pixel_type,
                width: shape.width(),
                channels: shape.channels(),
                tiled: false,
                rows: shape.height(),
                pixels: shape.width(),
                short_sides: shape.height().max(shape.width()) * 255 < 1 << 16,
            },
            block: BlockKind::Images(1),
            pitch: row_bytes,
            aligned: row_bytes.is_multiple_of(WORD),
        };
        if whole.fits() {
            let of = |images| Self { block: BlockKind::Images(images), ..whole.clone() };
            let fitting = (1..).take_while(|&images| of(images).fits());
            return Some(of(fitting.last().unwrap_or(1)));
        }
        let pixel_bytes = shape.channels() * pixel_type.bytes();
        let pixels = shape.width().min(TILE_ROW_BYTES / pixel_bytes);
        // A row that begins within a vector reaches into one more.
        let lead = if row_bytes.is_multiple_of(VECTOR_BYTES) { 0 } else { VECTOR_BYTES - 1 };
        let pitch = (lead + pixels * pixel_bytes).next_multiple_of(VECTOR_BYTES);
        let max = (TILE_BYTES / pitch).min(MAX_TILE_ROWS).min(shape.height());
        let tile = |rows| Self {
            block: BlockKind::Tile,
            geometry: BlockGeometry { tiled: true, rows, pixels, ..whole.geometry },
            pitch,
            ..whole.clone()
        };
        (1..=max).rev().map(tile).find(Self::fits)
    }

    /// Whether a block and its records fit a workgroup's memory.
    fn fits(&self) -> bool {
        (self.block_words() + self.records_words()) * WORD <= WORKGROUP_BYTES
    }

    pub(super) fn is_tiled(&self) -> bool {
        self.geometry.tiled
    }

    fn families(&self) -> impl Iterator<Item = &dyn Family> {
        self.set.features().iter().map(|feature| feature.family())
    }

    /// Images of a block, of which a tile is one.
    fn block_images(&self) -> usize {
        match self.block {
            BlockKind::Images(images) => images,
            BlockKind::Tile => 1,
        }
    }

    /// The names of the numbers that the kernels of a feature set are compiled or called with.
    pub(super) fn number_names(set: &FeatureSet, pixel_type: PixelType) -> Vec<String> {
        // The names do not depend on the geometry.
        let geometry =
            BlockGeometry { pixel_type, width: 1, channels: 1, tiled: false, rows: 1, pixels: 1, short_sides: true };
        let mut names: Vec<String> = NUMBERS.map(str::to_owned).to_vec();
        for feature in set.features() {
            names.extend(["words", "first"].map(|number| format!("{}_{number}", feature.name())));
            names.extend(feature.family().shader_numbers(&geometry).into_iter().map(|(name, _)| name.to_owned()));
        }
        names
    }

    /// The numbers, in the order of their names. `height` is that of the images, for the places of their values.
    pub(super) fn numbers(&self, height: usize) -> Vec<u32> {
        let geometry = &self.geometry;
        let mut numbers = vec![
            geometry.width,
            geometry.channels,
            self.is_tiled().into(),
            self.block_images(),
            geometry.rows,
            geometry.pixels,
            self.pitch,
            self.aligned.into(),
            self.block_words(),
            self.record_words(),
            self.records_words(),
        ];
        let shape = ImageShape::new(height, geometry.width, geometry.channels);
        let mut first = 0;
        for family in self.families() {
            numbers.extend([family.record_words(geometry), first]);
            numbers.extend(family.shader_numbers(geometry).into_iter().map(|(_, number)| number));
            // A band of an image has a shape as well; nobody reads where its values would be.
            first += shape.as_ref().map_or(0, |&shape| family.block_values(shape)) + family.columns().len();
        }
        numbers.into_iter().map(|number| number as u32).collect()
    }

    /// What a dispatch over a chunk is told, whose first image is number `first`.
    pub(super) fn params(&self, first: usize, chunk: &Chunk) -> Params {
        let mut numbers = [0; MAX_NUMBERS];
        for (to, number) in numbers.iter_mut().zip(self.numbers(chunk.height)) {
            *to = number;
        }
        Params {
            first: first as u32,
            images: chunk.images as u32,
            height: chunk.height as u32,
            image_height: chunk.image_height as u32,
            first_row: chunk.first_row as u32,
            rows_above: chunk.rows_above as u32,
            stride: 0,
            scale: chunk.scale as f32,
            numbers,
        }
    }

    /// Words of a block in a workgroup's memory: its bytes from any place within a vector on, the word after them, and
    /// the one in 33 that stays free.
    pub(super) fn block_words(&self) -> usize {
        let bytes = self.block_images() * self.geometry.rows * self.pitch + VECTOR_BYTES - 1;
        let words = bytes.next_multiple_of(VECTOR_BYTES) / WORD + 1;
        words + words / 32 + 1
    }

    /// Words of the record of an image in a block, or of a tile.
    pub(super) fn record_words(&self) -> usize {
        self.families().map(|family| family.record_words(&self.geometry)).sum()
    }

    /// Where the parts of the families are in the record of an image, or band of one, of `height` rows.
    pub(super) fn result_parts(&self, height: usize) -> Vec<Range<usize>> {
        let mut end = 0;
        let part = |family: &dyn Family| {
            let start = end;
            end += if self.is_tiled() {
                family.merged_words(&self.geometry, height)
            } else {
                family.record_words(&self.geometry)
            };
            start..end
        };
        self.families().map(part).collect()
    }

    /// Words of such a record.
    pub(super) fn result_words(&self, height: usize) -> usize {
        self.result_parts(height).last().map_or(0, |part| part.end)
    }

    /// Words of all records of a block.
    pub(super) fn records_words(&self) -> usize {
        self.block_images() * self.record_words()
    }

    /// What a chunk of whole images needs.
    pub(super) fn chunk(&self, images: usize, height: usize, scale: f64) -> Chunk {
        let geometry = &self.geometry;
        let pixel_bytes = images * height * self.row_bytes();
        let tiles = if self.is_tiled() { images * geometry.bands(height) * geometry.across() } else { 0 };
        let merge_tasks: usize = self.families().map(|family| family.merge_tasks(geometry, height)).sum();
        Chunk {
            images,
            height,
            image_height: height,
            first_row: 0,
            rows_above: 0,
            pixel_bytes,
            record_words: tiles * self.record_words(),
            result_words: images * self.result_words(height),
            groups: if self.is_tiled() { tiles } else { images.div_ceil(self.block_images()) },
            merge_groups: if self.is_tiled() { (images * merge_tasks).div_ceil(WORKGROUP_SIZE as usize) } else { 0 },
            scale,
        }
    }

    /// What a chunk of a band of an image of `height` rows needs: with the rows of pixels around it ([`with_halo`]).
    pub(super) fn band_chunk(&self, rows: Range<usize>, height: usize, scale: f64) -> Chunk {
        let around = with_halo(&rows, height);
        Chunk {
            image_height: height,
            first_row: rows.start,
            rows_above: rows.start - around.start,
            pixel_bytes: around.len() * self.row_bytes(),
            ..self.chunk(1, rows.len(), scale)
        }
    }

    fn row_bytes(&self) -> usize {
        self.geometry.width * self.geometry.channels * self.geometry.pixel_type.bytes()
    }

    /// The largest chunk of images of `height` rows none of whose buffers is over `bytes`, or if one image is too large
    /// for that, of rows; at the least one block or one row.
    pub(super) fn cut(&self, height: usize, bytes: usize) -> Cut {
        let images = bytes / self.chunk(1, height, 1.0).largest_bytes();
        if images > 0 || !self.is_tiled() {
            return Cut::Images(images.max(1));
        }
        // A band that has rows above and below.
        let band = |rows: usize| self.band_chunk(HALO_ROWS..HALO_ROWS + rows, rows + 2 * HALO_ROWS, 1.0);
        let fits = |rows: usize| band(rows).largest_bytes() <= bytes;
        let bands = bytes / self.chunk(1, self.geometry.rows, 1.0).largest_bytes();
        // The records of a chunk also hold its columns once, whatever its rows.
        match (1..=bands).rev().map(|bands| bands * self.geometry.rows).find(|&rows| fits(rows)) {
            Some(rows) => Cut::Rows(rows.min(height)),
            None => Cut::Rows((1..=self.geometry.rows).rev().find(|&rows| fits(rows)).unwrap_or(1)),
        }
    }
}

/// The bands of `rows` rows of an image of `height` rows; the last may have fewer.
pub(super) fn bands(height: usize, rows: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    (0..height).step_by(rows).map(move |first| first..height.min(first + rows))
}

/// The rows of a band of an image of `height` rows, and the rows around it that its chunk has as well.
pub(super) fn with_halo(rows: &Range<usize>, height: usize) -> Range<usize> {
    rows.start.saturating_sub(HALO_ROWS)..height.min(rows.end + HALO_ROWS)
}

/// The numbers of a chunk's buffers and dispatches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chunk {
    pub(super) images: usize,
    /// Rows of each, or of the one band of an image.
    pub(super) height: usize,
    /// See [`Params`] for these three.
    pub(super) image_height: usize,
    pub(super) first_row: usize,
    pub(super) rows_above: usize,
    pub(super) pixel_bytes: usize,
    /// Words of the records of tiles.
    pub(super) record_words: usize,
    pub(super) result_words: usize,
    pub(super) groups: usize,
    pub(super) merge_groups: usize,
    /// What sums are divided by.
    pub(super) scale: f64,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(shape: &str, pixel_type: PixelType) -> BlockPlan {
        BlockPlan::new(&FeatureSet::default(), shape.parse().unwrap(), pixel_type).unwrap()
    }

    fn cut(shape: &str, bytes: usize) -> Cut {
        let shape: ImageShape = shape.parse().unwrap();
        BlockPlan::new(&FeatureSet::default(), shape, PixelType::U8).unwrap().cut(shape.height(), bytes)
    }

    #[test]
    fn small_images_share_a_block_and_pack_their_records() {
        let digits = plan("28x28", PixelType::U8);
        assert!((14..=20).contains(&digits.block_images()), "{:?}", digits.block);
        // 56 sums in 28 words and one of Σp²: 116 bytes.
        assert_eq!(digits.result_words(28), 29);
        assert_eq!(digits.records_words(), 29 * digits.block_images());
        assert!(digits.aligned);
        assert!(!plan("27x27", PixelType::U8).aligned);
        // 258 · 255 does not fit 16 bits.
        assert!(
            plan("2x257", PixelType::U8).geometry.short_sides && !plan("2x258", PixelType::U8).geometry.short_sides
        );
    }

    #[test]
    fn every_block_fits_a_workgroups_memory() {
        for pixel_type in [PixelType::U8, PixelType::U16, PixelType::F32] {
            for (h, w) in [(1, 1), (28, 28), (64, 64), (100, 130), (1, 65_536), (65_536, 1), (4_096, 4_096), (511, 3)] {
                for (channels, set) in (1..=4).flat_map(|c| FeatureSet::examples().into_iter().map(move |set| (c, set)))
                {
                    if set.device_form(pixel_type) == DeviceForm::No {
                        continue;
                    }
                    let plan = BlockPlan::new(&set, ImageShape::new(h, w, channels).unwrap(), pixel_type).unwrap();
                    assert!(plan.numbers(h).len() <= MAX_NUMBERS, "{set}");
                    assert_eq!(plan.numbers(h).len(), BlockPlan::number_names(&set, pixel_type).len(), "{set}");
                    assert!((plan.block_words() + plan.records_words()) * WORD <= WORKGROUP_BYTES, "{plan:?}");
                    assert!(!plan.is_tiled() || plan.pitch.is_multiple_of(VECTOR_BYTES), "{plan:?}");
                    // Loads of the last row's last vector stay within the block.
                    let whole = plan.block_images() * plan.geometry.rows * plan.pitch;
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
        assert!(rows.is_multiple_of(large.geometry.rows) && (192..=256).contains(&rows), "{rows}");
        assert_eq!(cut("65536x8191x4", 0), Cut::Rows(1));
    }
}
