//! The profile of images: their shapes, their pixels, and how bright, sharp and black they are.

use rayon::prelude::*;

use super::distinct::Counts;
use super::gray::{Byte, to_gray};
use super::issue::{Issue, IssueCounts, size, usual_sizes};
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
pub const MEASURES: [&str; 4] = ["brightness", "contrast", "black", "sharpness"];

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
            PixelSlice::U8(pixels) => self.add_pixels(shape, pixels, &places, scale, count_bytes),
            PixelSlice::U16(pixels) => self.add_pixels(shape, pixels, &places, scale, |counts, image, stride| {
                image.iter().step_by(stride).for_each(|&p| counts[usize::from(p)] += 1);
            }),
            PixelSlice::F32(pixels) => {
                let found = self.add_pixels(shape, pixels, &places, scale, |_, _, _| {});
                for (channel, counts) in self.channels.iter_mut().enumerate() {
                    let PixelCounts::Floats(numbers) = counts else { continue };
                    for &place in &places {
                        let image = &pixels[place * shape.values()..][..shape.values()];
                        image.iter().skip(channel).step_by(shape.channels()).for_each(|&p| numbers.add(f64::from(p)));
                    }
                }
                found
            }
        };
        self.count += places.len() as u64;
        self.shapes.add(shape.to_string().as_str(), places.len() as u64);
        for image in &measured {
            self.measures.iter_mut().zip(image).for_each(|(measure, &value)| measure.add(value));
        }
        measured
    }

    /// Counts pixels and measures images in parallel: counts are whole numbers, so the order does not matter.
    fn add_pixels<P: Byte>(
        &mut self,
        shape: ImageShape,
        pixels: &[P],
        places: &[usize],
        scale: f64,
        count: impl Fn(&mut [u32], &[P], usize) + Sync,
    ) -> Vec<[f64; MEASURES.len()]> {
        let channels = shape.channels();
        while self.channels.len() < channels {
            self.channels.push(PixelCounts::new(self.pixel_type));
        }
        let values = match &self.channels[0] {
            PixelCounts::Integers(counts) => counts.len(),
            PixelCounts::Floats(_) => 0,
        };
        // Counts of 32 bits must not overflow, and each part costs a table of them.
        let part = ((1 << 22) / shape.values()).max(1);
        let parts: Vec<(Vec<u32>, Vec<[f64; MEASURES.len()]>)> = places
            .par_chunks(part)
            .map(|places| {
                let (mut counts, mut buffer) = (vec![0; values * channels], Vec::new());
                let measured = places.iter().map(|&place| {
                    let image = &pixels[place * shape.values()..][..shape.values()];
                    for (channel, counts) in counts.chunks_exact_mut(values.max(1)).enumerate() {
                        count(counts, &image[channel..], channels);
                    }
                    buffer.clear();
                    to_gray(image, channels, scale, &mut buffer);
                    measure(&buffer, shape.width())
                });
                let measured = measured.collect();
                (counts, measured)
            })
            .collect();
        let mut all = Vec::with_capacity(places.len());
        for (counts, measured) in parts {
            for (own, counts) in self.channels.iter_mut().zip(counts.chunks_exact(values.max(1))) {
                if let PixelCounts::Integers(own) = own {
                    own.iter_mut().zip(counts).for_each(|(own, &more)| *own += u64::from(more));
                }
            }
            all.extend(measured);
        }
        all
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
        while self.channels.len() < other.channels.len() {
            self.channels.push(PixelCounts::new(self.pixel_type));
        }
        self.channels.iter_mut().zip(&other.channels).for_each(|(own, other)| own.merge(other));
        self.measures.iter_mut().zip(&other.measures).for_each(|(own, other)| own.merge(other));
        Ok(())
    }
}

fn other_issues() -> Error {
    let why = "images whose issues were told by other thresholds, or not at all, cannot be merged".to_owned();
    Error::InvalidOption { option: "profile", why }
}

/// Counts every `stride`-th byte.
fn count_bytes(counts: &mut [u32], bytes: &[u8], stride: usize) {
    if stride > 1 {
        bytes.iter().step_by(stride).for_each(|&byte| counts[usize::from(byte)] += 1);
        return;
    }
    let (words, rest) = bytes.as_chunks::<8>();
    // Background is often 0, and counting the same byte again waits for the count before.
    let mut black = 0;
    for word in words {
        match u64::from_le_bytes(*word) {
            0 => black += 8,
            _ => word.iter().for_each(|&byte| counts[usize::from(byte)] += 1),
        }
    }
    counts[0] += black;
    rest.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
}

/// [`MEASURES`] of a gray image.
fn measure(gray: &[u8], width: usize) -> [f64; MEASURES.len()] {
    let n = gray.len() as f64;
    let [sum, squares, black] = sums(gray);
    let contrast = deviation(gray.len(), sum, squares);
    [sum as f64 / n / 255.0, contrast / 255.0, black as f64 / n, edge_deviation(gray, width)]
}

/// The measure `contrast` of a gray image.
pub(super) fn contrast(gray: &[u8]) -> f64 {
    let [sum, squares, _] = sums(gray);
    deviation(gray.len(), sum, squares) / 255.0
}

/// The sums of bytes and of their squares, and how many are 0.
fn sums(gray: &[u8]) -> [u64; 3] {
    let mut all = [0; 3];
    for part in gray.chunks(1 << 14) {
        let (mut s, mut q, mut b) = (0u32, 0u32, 0u32);
        for &p in part {
            let p = u32::from(p);
            (s, q, b) = (s + p, q + p * p, b + u32::from(p == 0));
        }
        all.iter_mut().zip([s, q, b]).for_each(|(all, part)| *all += u64::from(part));
    }
    all
}

/// The population standard deviation, from exact sums.
pub(super) fn deviation(n: usize, sum: u64, squares: u64) -> f64 {
    let spread = n as u128 * u128::from(squares) - u128::from(sum) * u128::from(sum);
    (spread as f64).sqrt() / n as f64
}

/// The deviation of a filter that finds edges, as Pillow's `FIND_EDGES` does.
pub(super) fn edge_deviation(gray: &[u8], width: usize) -> f64 {
    let height = gray.len() / width;
    let row = |y: usize| &gray[y * width..][..width];
    let (mut sum, mut squares) = (0u64, 0u64);
    let mut take = |p: u8| {
        sum += u64::from(p);
        squares += u64::from(p) * u64::from(p);
    };
    if height < 3 || width < 3 {
        gray.iter().for_each(|&p| take(p));
        return deviation(gray.len(), sum, squares);
    }
    row(0).iter().chain(row(height - 1)).for_each(|&p| take(p));
    for y in 1..height - 1 {
        take(row(y)[0]);
        take(row(y)[width - 1]);
    }
    let inner = width - 2;
    let mut columns = vec![0i16; width];
    for y in 1..height - 1 {
        let three = row(y - 1).iter().zip(row(y)).zip(row(y + 1));
        for (column, ((&above, &here), &below)) in columns.iter_mut().zip(three) {
            *column = i16::from(above) + i16::from(here) + i16::from(below);
        }
        let around = columns[..inner].iter().zip(&columns[1..=inner]).zip(&columns[2..]);
        // A row has at most 65,536 pixels, whose squares fit 32 bits together.
        let (mut s, mut q) = (0u32, 0u32);
        for (&p, ((left, centre), right)) in row(y)[1..=inner].iter().zip(around) {
            let edge = (9 * i16::from(p) - left - centre - right).clamp(0, 255);
            s += edge as u32;
            q += u32::from(edge as u16) * u32::from(edge as u16);
        }
        (sum, squares) = (sum + u64::from(s), squares + u64::from(q));
    }
    deviation(gray.len(), sum, squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_found_as_by_the_plain_formula() {
        let (width, height) = (7, 5);
        let gray: Vec<u8> = (0..width * height).map(|i| ((i * 37 + i * i * 11) % 256) as u8).collect();
        let mut edges = gray.iter().map(|&p| i32::from(p)).collect::<Vec<_>>();
        for y in 1..height - 1 {
            for x in 1..width - 1 {
                let around = (0..9).map(|k| i32::from(gray[(y + k / 3 - 1) * width + x + k % 3 - 1])).sum::<i32>();
                edges[y * width + x] = (9 * i32::from(gray[y * width + x]) - around).clamp(0, 255);
            }
        }
        let mean = edges.iter().sum::<i32>() as f64 / 35.0;
        let variance = edges.iter().map(|&e| (f64::from(e) - mean).powi(2)).sum::<f64>() / 35.0;
        assert!((edge_deviation(&gray, width) - variance.sqrt()).abs() < 1e-9);
        assert_eq!(edge_deviation(&[0, 255], 2), 127.5);
    }

    #[test]
    fn measures_of_a_chequered_image() {
        let [brightness, contrast, black, _] = measure(&[0, 255, 255, 0], 2);
        assert_eq!((brightness, contrast, black), (0.5, 0.5, 0.5));
    }
}
