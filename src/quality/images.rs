//! The profile of images: their shapes, their pixels, and how bright, sharp and black they are.

use rayon::prelude::*;

use super::byte_counts::ByteCounts;
use super::distinct::Counts;
use super::gray::{Byte, to_gray};
use super::issue::{Issue, IssueCounts, size, usual_sizes};
use super::measure::Measurer;
use super::numbers::Numbers;
use crate::base::error::{Error, Result};
use crate::base::pixels::PixelSlice;
use crate::base::shape::{ImageShape, PixelType};
use crate::images::ImageBatch;

/// What is known of the images of a run, as they are featurized.
#[derive(Debug, Clone)]
pub struct ImageProfile {
    pub(super) pixel_type: PixelType,
    pub(super) count: u64,
    pub(super) shapes: Counts<String>,
    pub(super) channels: Vec<PixelCounts>,
    pub(super) measures: [Numbers; MEASURES.len()],
    pub(super) issues: Option<IssueCounts>,
}

/// What is measured of each image, from its gray in 8 bits.
///
/// Gray is BT.601, as of the stage `gray`; 16-bit pixels are divided by 256, and floats by the scale of the run.
/// - `brightness`: the mean, 0 to 1.
/// - `contrast`: the population standard deviation, 0 to 1.
/// - `black`: the share of pixels that are 0.
/// - `sharpness`: the population standard deviation of `clip(8·p − sum of the 8 neighbours, 0, 255)`, 0 to 255; pixels at the
///   border count as they are.
/// - `vertical_edges`: how much neighbours in a row of pixels differ, as a share of that and how much neighbours in a column do,
///   0 to 1. It is 0.5 where all pixels are equal. Images that are transposed have one minus it.
pub const MEASURES: [&str; 5] = ["brightness", "contrast", "black", "sharpness", "vertical_edges"];

/// How often each pixel value occurs.
#[derive(Debug, Clone)]
pub(super) enum PixelCounts {
    /// Of 8 or 16 bits: a count for each value.
    Integers(Vec<u64>),
    Floats(Numbers),
}

impl PixelCounts {
    pub fn new(pixel_type: PixelType) -> Self {
        match pixel_type {
            PixelType::U8 => Self::Integers(vec![0; 1 << 8]),
            PixelType::U16 => Self::Integers(vec![0; 1 << 16]),
            PixelType::F32 => Self::Floats(Numbers::default()),
        }
    }

    /// Adds counts of whole numbers, from 0 on.
    fn add(&mut self, counts: &[u32]) {
        if let Self::Integers(own) = self {
            own.iter_mut().zip(counts).for_each(|(own, &more)| *own += u64::from(more));
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Integers(own), Self::Integers(other)) => {
                own.iter_mut().zip(other).for_each(|(own, more)| *own += more)
            }
            (Self::Floats(own), Self::Floats(other)) => own.merge(other),
            // The pixel type tells the kind.
            _ => {}
        }
    }

    /// The numbers that the counts stand for.
    pub fn numbers(&self) -> Numbers {
        match self {
            Self::Integers(counts) => {
                let mut numbers = Numbers::default();
                counts.iter().enumerate().for_each(|(value, &count)| numbers.add_times(value as f64, count));
                numbers
            }
            Self::Floats(numbers) => numbers.clone(),
        }
    }

    /// Values in their order and their counts: exact for integers, bins for floats.
    pub fn sorted(&self) -> Vec<(f64, u64)> {
        match self {
            Self::Integers(counts) => {
                let counts = counts.iter().enumerate().filter(|(_, count)| **count > 0);
                counts.map(|(value, &count)| (value as f64, count)).collect()
            }
            Self::Floats(numbers) => numbers.bins(),
        }
    }
}

impl ImageProfile {
    /// The profile of no images of a pixel type.
    pub fn new(pixel_type: PixelType) -> Self {
        Self {
            pixel_type,
            count: 0,
            shapes: Counts::default(),
            channels: Vec::new(),
            measures: std::array::from_fn(|_| Numbers::default()),
            issues: None,
        }
    }

    /// Images.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// One of [`MEASURES`] of all images.
    pub fn measure(&self, name: &str) -> Option<&Numbers> {
        MEASURES.iter().position(|measure| *measure == name).map(|at| &self.measures[at])
    }

    /// How many images have an [`Issue`], if a run looked for them; of odd sizes `None` beyond 1,000 different shapes. Duplicates
    /// are not counted here: two profiles do not tell which images they have in common.
    pub fn issues(&self) -> Option<Vec<(Issue, Option<u64>)>> {
        let IssueCounts { options, counts } = self.issues.as_ref()?;
        let shapes = self.shapes.sorted().map(|shapes| {
            let shape = |(text, count): &(String, u64)| Some((size(text.parse().ok()?), *count));
            let mut sizes: Vec<(f64, u64)> = shapes.iter().filter_map(shape).collect();
            sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (low, high) = usual_sizes(&sizes, options.threshold(Issue::OddSize));
            sizes.iter().filter(|(size, _)| *size < low || *size > high).map(|(_, count)| count).sum()
        });
        let counts = counts.iter().map(|&count| Some(count)).chain([shapes]);
        Some(Issue::NAMES.iter().map(|(_, issue)| *issue).zip(counts).collect())
    }

    /// The pixels of each channel.
    pub fn pixels(&self) -> Vec<Numbers> {
        self.channels.iter().map(PixelCounts::numbers).collect()
    }

    /// Adds the valid images of a batch. `scale` is what floats are divided by. Returns the measures of each of them, in order.
    pub(super) fn add(&mut self, batch: &ImageBatch, scale: f64) -> Vec<[f64; MEASURES.len()]> {
        let (shape, places) = (batch.shape(), batch.places().flatten().collect::<Vec<usize>>());
        let measured = match batch.pixels().as_slice() {
            PixelSlice::U8(pixels) => {
                let new = || ByteCounts::new(shape.channels());
                let (mut parts, measured) = look(shape, pixels, &places, scale, new, ByteCounts::add);
                let channels = self.channels(shape.channels());
                for (at, table) in parts.iter_mut().flat_map(ByteCounts::tables) {
                    channels[at].add(table);
                }
                measured
            }
            PixelSlice::U16(pixels) => {
                let new = || vec![vec![0u32; 1 << 16]; shape.channels()];
                let (parts, measured) = look(shape, pixels, &places, scale, new, |tables, image| {
                    for pixel in image.chunks_exact(tables.len()) {
                        tables.iter_mut().zip(pixel).for_each(|(table, &p)| table[usize::from(p)] += 1);
                    }
                });
                let channels = self.channels(shape.channels());
                for tables in parts {
                    channels.iter_mut().zip(tables).for_each(|(channel, table)| channel.add(&table));
                }
                measured
            }
            PixelSlice::F32(pixels) => {
                let (_, measured) = look(shape, pixels, &places, scale, || (), |(), _| {});
                for (at, channel) in self.channels(shape.channels()).iter_mut().enumerate() {
                    let PixelCounts::Floats(numbers) = channel else { continue };
                    for &place in &places {
                        let image = &pixels[place * shape.values()..][..shape.values()];
                        numbers.extend(image.iter().skip(at).step_by(shape.channels()).map(|&p| f64::from(p)));
                    }
                }
                measured
            }
        };
        self.count += places.len() as u64;
        self.shapes.add(shape.to_string().as_str(), places.len() as u64);
        for (at, measure) in self.measures.iter_mut().enumerate() {
            measure.extend(measured.iter().map(|image| image[at]));
        }
        measured
    }

    /// The counts of so many channels, and of those that other images had beside them.
    fn channels(&mut self, channels: usize) -> &mut [PixelCounts] {
        while self.channels.len() < channels {
            self.channels.push(PixelCounts::new(self.pixel_type));
        }
        &mut self.channels
    }

    /// Adds issues of images.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if those that are known were told by other thresholds.
    pub(super) fn add_issues(&mut self, more: IssueCounts) -> Result<()> {
        match &mut self.issues {
            Some(own) if own.options.thresholds != more.options.thresholds => return Err(other_issues()),
            Some(own) => own.counts.iter_mut().zip(more.counts).for_each(|(own, more)| *own += more),
            None => self.issues = Some(more),
        }
        Ok(())
    }

    /// Adds the images of the other.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if these have another pixel type, or their issues were told in another way.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.pixel_type != other.pixel_type {
            let why = format!("images of {} cannot be merged with images of {}", self.pixel_type, other.pixel_type);
            return Err(Error::InvalidOption { option: "profile", why });
        }
        match (&self.issues, &other.issues) {
            (_, Some(issues)) if self.issues.is_some() || self.count == 0 => self.add_issues(issues.clone())?,
            (None, None) => {}
            _ => return Err(other_issues()),
        }
        self.count += other.count;
        self.shapes.merge(&other.shapes);
        self.channels(other.channels.len()).iter_mut().zip(&other.channels).for_each(|(own, other)| own.merge(other));
        self.measures.iter_mut().zip(&other.measures).for_each(|(own, other)| own.merge(other));
        Ok(())
    }
}

fn other_issues() -> Error {
    let why = "images whose issues were told by other thresholds, or not at all, cannot be merged".to_owned();
    Error::InvalidOption { option: "profile", why }
}

/// Looks at images in parallel: counts the pixels of some of them together, from `new` on, and measures each. Counts are whole
/// numbers, so their order does not matter.
fn look<P: Byte, C: Send>(
    shape: ImageShape,
    pixels: &[P],
    places: &[usize],
    scale: f64,
    new: impl Fn() -> C + Sync,
    count: impl Fn(&mut C, &[P]) + Sync,
) -> (Vec<C>, Vec<[f64; MEASURES.len()]>) {
    // Counts of 32 bits must not overflow, and each part costs tables of them.
    let part = ((1 << 22) / shape.values()).max(1);
    let look = |places: &[usize]| {
        let (mut counts, mut gray, mut measurer) = (new(), Vec::new(), Measurer::default());
        let measured = places.iter().map(|&place| {
            let image = &pixels[place * shape.values()..][..shape.values()];
            count(&mut counts, image);
            let gray = match P::bytes(image).filter(|_| shape.channels() == 1) {
                Some(gray) => gray,
                None => {
                    gray.clear();
                    to_gray(image, shape.channels(), scale, &mut gray);
                    &gray
                }
            };
            measurer.measure(gray, shape.width())
        });
        let measured: Vec<_> = measured.collect();
        (counts, measured)
    };
    if places.len() <= part {
        // Waking a thread takes longer than a small batch.
        let (counts, measured) = look(places);
        return (vec![counts], measured);
    }
    let (counts, measured): (Vec<C>, Vec<Vec<_>>) = places.par_chunks(part).map(look).unzip();
    (counts, measured.concat())
}
