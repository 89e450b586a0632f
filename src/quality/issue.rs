//! What can be wrong with an image, from when on it is, and how many images have it.

use super::dimension::Dimension;
use crate::base::error::{Error, Result};
use crate::base::shape::ImageShape;
use crate::base::text::names;

/// What can be wrong with an image: the issues of CleanVision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Issue {
    /// Nearly all of it is dark.
    Dark,
    /// Nearly all of it is light.
    Light,
    /// Its values are few, or most of them are the same.
    LowInformation,
    /// It has no sharp edges.
    Blurry,
    /// It is much longer in one direction.
    OddAspectRatio,
    /// It is far smaller or larger than most others.
    OddSize,
    /// It has the shape, the pixel type and the pixels of an image before it.
    ExactDuplicate,
    /// It is no exact duplicate, but has the perceptual hash of an image before it.
    NearDuplicate,
}

// In the order of [`ImageScores::all`](super::scores::ImageScores), then those that more than one image tells.
names!("issue", Issue {
    "dark" => Dark,
    "light" => Light,
    "low_information" => LowInformation,
    "blurry" => Blurry,
    "odd_aspect_ratio" => OddAspectRatio,
    "odd_size" => OddSize,
    "exact_duplicate" => ExactDuplicate,
    "near_duplicate" => NearDuplicate,
});

impl Issue {
    /// What it says of the data.
    pub fn dimension(self) -> Dimension {
        match self {
            Issue::ExactDuplicate | Issue::NearDuplicate => Dimension::Uniqueness,
            _ => Dimension::Accuracy,
        }
    }
}

/// Issues that an image has on its own.
pub(super) const SINGLE: usize = 5;

/// From when on an image has an issue.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct IssueOptions {
    /// The scores below which an image has each of the first issues, then the factor of odd sizes.
    pub(super) thresholds: [f64; SINGLE + 1],
    /// So many different images are remembered to find duplicates of them; by default 10,000,000. Later images are compared with
    /// these alone, and the report says so. Each takes 24 bytes, and 11 to 22 more in tables.
    pub remembered: usize,
}

impl Default for IssueOptions {
    /// The thresholds of CleanVision 0.3.7.
    fn default() -> Self {
        Self { thresholds: [0.32, 0.05, 0.3, 0.29, 0.35, 3.0], remembered: 10_000_000 }
    }
}

impl IssueOptions {
    /// The score below which an image has an issue ([`ImageScores`](super::ImageScores)). For [`Issue::OddSize`] it is a factor: the
    /// size √(H·W) is odd if it is more than so many times the distance of the quartiles beyond them. 0 for duplicates.
    pub fn threshold(&self, issue: Issue) -> f64 {
        self.thresholds.get(issue as usize).copied().unwrap_or(0.0)
    }

    /// Sets a threshold.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it is not a number from 0 on, or if the issue has none because it is about duplicates.
    pub fn with_threshold(mut self, issue: Issue, threshold: f64) -> Result<Self> {
        let refuse = |why: String| Error::InvalidOption { option: "issue threshold", why };
        let own = self.thresholds.get_mut(issue as usize).ok_or_else(|| refuse(format!("{issue} has none")))?;
        if !(threshold >= 0.0 && threshold.is_finite()) {
            return Err(refuse(format!("{threshold} is not a number from 0 on")));
        }
        *own = threshold;
        Ok(self)
    }

    /// Sets [`remembered`](IssueOptions::remembered).
    #[must_use]
    pub fn with_remembered(self, remembered: usize) -> Self {
        Self { remembered, ..self }
    }
}

/// How many images have each of the first issues.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IssueCounts {
    pub options: IssueOptions,
    pub counts: [u64; SINGLE],
}

/// A percentile of `count` values as NumPy interpolates it by default. `ranked` gives the value of a rank from 0.
pub(super) fn percentile(count: u64, share: f64, mut ranked: impl FnMut(u64) -> f64) -> f64 {
    let last = count.saturating_sub(1);
    let at = share * last as f64;
    let (rank, part) = (at.floor() as u64, at - at.floor());
    let (low, high) = (ranked(rank), ranked((rank + 1).min(last)));
    if part < 0.5 { low + (high - low) * part } else { high - (high - low) * (1.0 - part) }
}

/// The sizes beyond which an image is odd: `factor` times the distance of the quartiles below the lower and above the upper one.
/// `sizes` are sizes and how often they occur, in order.
pub(super) fn usual_sizes(sizes: &[(f64, u64)], factor: f64) -> (f64, f64) {
    let count = sizes.iter().map(|(_, count)| count).sum();
    let ranked = |rank: u64| {
        let mut below = 0;
        let found = sizes.iter().find(|(_, count)| {
            below += count;
            below > rank
        });
        found.map_or(0.0, |(size, _)| *size)
    };
    let [low, high] = [0.25, 0.75].map(|share| percentile(count, share, ranked));
    (low - factor * (high - low), high + factor * (high - low))
}

/// The root of the number of pixels, as CleanVision rounds it.
pub(super) fn size(shape: ImageShape) -> f64 {
    (shape.width() as f64).sqrt() * (shape.height() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_their_ranks() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        let at = |share| percentile(5, share, |rank| values[rank as usize]);
        assert_eq!([0.0, 0.25, 0.5, 0.6, 0.9, 1.0].map(at), [1.0, 2.0, 4.0, 5.6, 12.8, 16.0]);
        assert_eq!(percentile(1, 0.99, |rank| rank as f64 + 7.0), 7.0);
    }

    #[test]
    fn sizes_are_odd_beyond_the_quartiles() {
        // NumPy has 2.5 and 5.5 for the quartiles of 1, 2, 3, 4, 5, 6, 7 where the last occurs once.
        let sizes: Vec<(f64, u64)> = (1..8).map(|size| (f64::from(size), 1)).collect();
        assert_eq!(usual_sizes(&sizes, 3.0), (2.5 - 9.0, 5.5 + 9.0));
        assert_eq!(usual_sizes(&[(1.0, 1), (4.0, 9)], 3.0), (4.0, 4.0));
        assert_eq!(size("9x16".parse().unwrap()), 12.0);
    }

    #[test]
    fn thresholds_are_set_where_there_are_any() {
        let options = IssueOptions::default().with_threshold(Issue::Blurry, 0.5).unwrap();
        assert_eq!((options.threshold(Issue::Blurry), options.threshold(Issue::OddSize)), (0.5, 3.0));
        for (issue, threshold) in [(Issue::ExactDuplicate, 0.5), (Issue::Dark, -1.0), (Issue::Dark, f64::NAN)] {
            assert!(options.with_threshold(issue, threshold).is_err(), "{issue} {threshold}");
        }
        assert_eq!("odd_size".parse::<Issue>().unwrap(), Issue::OddSize);
    }
}
