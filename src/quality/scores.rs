//! How dark, light, empty, blurred and elongated an image is: the scores of CleanVision.

use super::byte_counts::ByteCounts;
use super::gray::EightBit;
use super::issue::percentile;
use super::measure::{Measurer, deviation};
use crate::base::error::Result;
use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;

/// The scores that CleanVision 0.3.7 gives an image, from 0 to 1. Low scores are bad.
///
/// All look at the image in 8 bits without alpha: 16-bit pixels are divided by 256, and floats by a scale. The brightness of a
/// pixel is gray ÷ 255, and √(0.241 R² + 0.691 G² + 0.068 B²) ÷ 255 of colours. Percentiles are interpolated linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ImageScores {
    /// The 99th percentile of brightness.
    pub dark: f64,
    /// 1 − the 5th percentile of brightness.
    pub light: f64,
    /// A tenth of the entropy in bits, at most 1: that of the shares of all values of all colours.
    pub low_information: f64,
    /// min(1 − e^(−σ/100) + g, 1), of the image as gray, its longest side brought down to 64 as Pillow up to 12 does by default.
    /// σ is the population standard deviation of `clip(8·p − sum of the 8 neighbours, 0, 255)`, where pixels at the border count
    /// as they are. g is 1 − e^(−s/100) for the population standard deviation s of the 256 counts of gray values, and 0 if that
    /// is 0.18 or less.
    pub blurry: f64,
    /// The shorter side ÷ the longer one.
    pub odd_aspect_ratio: f64,
}

impl ImageScores {
    /// The scores of one image. `scale` is what floats are divided by to be from 0 to 1; other pixels have no use for it.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) if there are not as many pixels as the shape says.
    pub fn of(shape: ImageShape, pixels: PixelSlice<'_>, scale: f64) -> Result<Self> {
        Ok(Self::of_image(&mut EightBit::of(shape, pixels, scale)?, &mut Work::default()))
    }

    pub(super) fn of_image(image: &mut EightBit, work: &mut Work) -> Self {
        let (height, width, n) = (image.height, image.width, image.height * image.width);
        let [gray_counts, ..] = work.counts.of_image(image.gray(), 1);
        let [low, high] = match image.channels {
            1 => [0.05, 0.99].map(|share| percentile(n as u64, share, |rank| f64::from(ranked(&gray_counts, rank)))),
            _ => work.colour_percentiles(&image.colours, [0.05, 0.99]),
        };
        let entropy = match image.channels {
            1 => work.entropy.of(&[gray_counts]),
            _ => work.entropy.of(&work.counts.of_image(&image.colours, 3)),
        };
        let longest = height.max(width);
        let (edges, counts_deviation) = if longest <= LONGEST {
            (work.measurer.sharpness(image.gray(), width), deviation_of_counts(&gray_counts))
        } else {
            let side = |side: usize| (side * LONGEST / longest).max(1);
            image.shrunk([side(height), side(width)], &mut work.small);
            let gray = work.small.gray();
            let [counts, ..] = work.counts.of_image(gray, 1);
            (work.measurer.sharpness(gray, side(width)), deviation_of_counts(&counts))
        };
        let above = |value: f64| 1.0 - libm::exp(-0.01 * value);
        let spread = Some(above(counts_deviation)).filter(|spread| *spread > 0.18).unwrap_or(0.0);
        Self {
            dark: high / 255.0,
            light: 1.0 - low / 255.0,
            low_information: (0.1 * entropy).min(1.0),
            blurry: (above(edges) + spread).min(1.0),
            odd_aspect_ratio: height.min(width) as f64 / longest as f64,
        }
    }

    /// In the order of the issues that they tell of.
    pub(super) fn all(&self) -> [f64; 5] {
        [self.dark, self.light, self.low_information, self.blurry, self.odd_aspect_ratio]
    }
}

/// The longest side of the image that is looked at for blur.
const LONGEST: usize = 64;

/// Buffers that serve one image after another.
#[derive(Default)]
pub(super) struct Work {
    small: EightBit,
    brightness: Vec<u32>,
    measurer: Measurer,
    counts: ByteCounts,
    entropy: Entropy,
}

impl Work {
    /// Percentiles of √(0.241 R² + 0.691 G² + 0.068 B²).
    fn colour_percentiles(&mut self, colours: &[u8], shares: [f64; 2]) -> [f64; 2] {
        let pixels = colours.as_chunks::<3>().0;
        let squares = pixels.iter().map(|pixel| {
            let [r, g, b] = pixel.map(u32::from);
            241 * r * r + 691 * g * g + 68 * b * b
        });
        self.brightness.clear();
        self.brightness.extend(squares);
        let all = &mut self.brightness;
        shares.map(|share| {
            percentile(all.len() as u64, share, |rank| {
                let (_, square, _) = all.select_nth_unstable(rank as usize);
                (f64::from(*square) / 1_000.0).sqrt()
            })
        })
    }
}

/// Adds up the entropy of one image after another. Logarithms take time, and images of one size have the same ones again.
#[derive(Default)]
struct Entropy {
    /// How many values the last image had.
    values: u64,
    /// What each small count adds for images of so many values. It is no number where that is not known yet.
    terms: Vec<f64>,
}

impl Entropy {
    /// So many terms are kept.
    const KEPT: usize = 256;

    /// In bits: that of the shares of all values in all channels.
    fn of(&mut self, channels: &[[u32; 256]]) -> f64 {
        let values: u64 = channels.iter().flatten().map(|&count| u64::from(count)).sum();
        if self.values != values {
            self.values = values;
            self.terms.clear();
            self.terms.resize(Self::KEPT, f64::NAN);
        }
        let term = |count: u32| {
            let share = f64::from(count) / values as f64;
            share * libm::log2(share)
        };
        let mut entropy = 0.0;
        for &count in channels.iter().flatten().filter(|count| **count > 0) {
            entropy -= match self.terms.get_mut(count as usize) {
                Some(known) if known.is_nan() => {
                    *known = term(count);
                    *known
                }
                Some(known) => *known,
                None => term(count),
            };
        }
        entropy
    }
}

/// The byte of a rank, from 0.
fn ranked(counts: &[u32; 256], rank: u64) -> u8 {
    let mut below = 0;
    let is_at = |&count: &u32| {
        below += u64::from(count);
        below > rank
    };
    counts.iter().position(is_at).unwrap_or(255) as u8
}

/// The population standard deviation of the counts.
fn deviation_of_counts(counts: &[u32; 256]) -> f64 {
    let (sum, squares) = counts.iter().fold((0, 0), |(sum, squares), &count| {
        let count = u64::from(count);
        (sum + count, squares + count * count)
    });
    deviation(256, sum, squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shape: &str, pixels: &[u8]) -> ImageScores {
        ImageScores::of(shape.parse().unwrap(), PixelSlice::U8(pixels), 1.0).unwrap()
    }

    #[test]
    fn colours_that_are_gray_score_as_gray_does() {
        let gray: Vec<u8> = (0..20 * 15).map(|i| (i * 37 % 200) as u8).collect();
        let rgba: Vec<u8> = gray.iter().enumerate().flat_map(|(i, &p)| [p, p, p, i as u8]).collect();
        let (gray, colour) = (of("20x15", &gray), of("20x15x4", &rgba));
        // Each of the three colours has a third of all values.
        let entropy = (gray.low_information + 0.1 * 3f64.log2()).min(1.0);
        assert!((colour.low_information - entropy).abs() < 1e-12, "{colour:?}");
        for (one, other) in [(gray.dark, colour.dark), (gray.light, colour.light), (gray.blurry, colour.blurry)] {
            assert!((one - other).abs() < 1e-12, "{gray:?} {colour:?}");
        }
        assert_eq!(colour.odd_aspect_ratio, 0.75);
    }

    #[test]
    fn one_image_leaves_nothing_for_the_next() {
        let bytes: Vec<u8> = (0..20 * 15 * 3).map(|i| (i * i * 7 % 200) as u8).collect();
        let mut work = Work::default();
        for shape in ["4x4", "20x15x3", "4x4", "90x10", "10x90", "20x15", "20x15x3"] {
            let of_shape: ImageShape = shape.parse().unwrap();
            let pixels = PixelSlice::U8(&bytes[..of_shape.values()]);
            let mut image = EightBit::of(of_shape, pixels, 1.0).unwrap();
            assert_eq!(ImageScores::of_image(&mut image, &mut work), of(shape, &bytes[..of_shape.values()]), "{shape}");
        }
    }

    #[test]
    fn a_flat_image_has_no_information() {
        let black = of("4x4", &[0; 16]);
        assert_eq!((black.dark, black.light, black.low_information, black.blurry), (0.0, 1.0, 0.0, 0.0));
        let white = of("1x1", &[255]);
        assert_eq!((white.dark, white.light, white.odd_aspect_ratio), (1.0, 0.0, 1.0));
    }
}
