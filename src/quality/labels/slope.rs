//! The loss of a multinomial logistic regression and its gradient, which are all that takes time in a fit.
//!
//! Each sum has one order of its terms, whatever the instructions and the threads. So they do not show in the result.

use rayon::prelude::*;

use super::rows::LabelledRows;
use crate::base::simd::{Level, Simd, SimdKernel, run_simd};

/// Classes that are handled at once. The classes of weights are filled up to a multiple of it with zeros.
const LANES: usize = 4;
/// Rows whose scores, and features whose slopes, are held in registers.
const TILE: usize = 4;
/// Rows that stay in the cache between scores and slopes.
const BLOCK: usize = 64;
/// Parts of the rows whose sums are added up in order, so that the number of threads does not show.
const PARTS: usize = 16;

type Lanes = [f64; LANES];

/// The weights of each feature for each class, feature by feature, then what is added for each class.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    classes: usize,
    values: Vec<f64>,
}

impl Weights {
    pub fn zero(width: usize, classes: usize) -> Self {
        Self { classes, values: vec![0.0; (width + 1) * classes.next_multiple_of(LANES)] }
    }

    /// These weights plus `length` times `direction`.
    pub fn moved(&self, length: f64, direction: &[f64]) -> Self {
        let values = self.values.iter().zip(direction).map(|(w, d)| w + length * d).collect();
        Self { classes: self.classes, values }
    }

    pub fn minus(&self, other: &Self) -> Vec<f64> {
        self.values.iter().zip(&other.values).map(|(to, from)| to - from).collect()
    }

    /// The probability of each class for a row of as many features as there are weights.
    pub fn probabilities(&self, row: &[f64]) -> Vec<f64> {
        let groups = self.classes.div_ceil(LANES);
        let mut scores = vec![0.0; groups * LANES];
        scores_of([row], self.values.as_chunks().0, scores.as_chunks_mut().0);
        scores.truncate(self.classes);
        to_probabilities(&mut scores);
        scores
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `to` plus `factor` times `more`.
pub(super) fn add(to: &mut [f64], factor: f64, more: &[f64]) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to += factor * more);
}

/// The loss and its gradient: the mean of −log(probability of the right class), plus penalty ÷ 2 · Σ weights².
pub(super) fn loss_and_slope(train: &LabelledRows, penalty: f64, weights: &Weights) -> (f64, Vec<f64>) {
    let rows = train.labels().len();
    let part_rows = rows.div_ceil(PARTS).max(1);
    let features = train.features.par_chunks(part_rows * train.width());
    let parts: Vec<(f64, Vec<f64>)> = features
        .zip(train.labels.par_chunks(part_rows))
        .map(|(features, labels)| {
            let mut sums = (0.0, vec![0.0; weights.values.len()]);
            run_simd(Level::detect(), Part { width: train.width(), features, labels, weights, sums: &mut sums });
            sums
        })
        .collect();
    let (mut loss, mut slope) = (0.0, vec![0.0; weights.values.len()]);
    for (of_part, slope_of_part) in &parts {
        loss += of_part / rows as f64;
        add(&mut slope, 1.0 / rows as f64, slope_of_part);
    }
    let penalised = train.width() * weights.classes.next_multiple_of(LANES);
    loss += 0.5 * penalty * dot(&weights.values[..penalised], &weights.values[..penalised]);
    add(&mut slope[..penalised], penalty, &weights.values[..penalised]);
    (loss, slope)
}

/// Some of the rows.
struct Part<'a> {
    width: usize,
    features: &'a [f64],
    labels: &'a [usize],
    weights: &'a Weights,
    /// The loss and the slope.
    sums: &'a mut (f64, Vec<f64>),
}

impl SimdKernel for Part<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (width, classes) = (self.width, self.weights.classes);
        let groups = classes.div_ceil(LANES);
        let weights = self.weights.values.as_chunks::<LANES>().0;
        let (loss, slope) = self.sums;
        let slope = slope.as_chunks_mut::<LANES>().0;
        let mut scores = vec![[0.0; LANES]; BLOCK * groups];
        for (features, labels) in self.features.chunks(BLOCK * width).zip(self.labels.chunks(BLOCK)) {
            let mut rows = features.chunks_exact(TILE * width);
            let mut places = scores.chunks_exact_mut(TILE * groups);
            for (rows, scores) in rows.by_ref().zip(places.by_ref()) {
                let row = |at: usize| &rows[at * width..][..width];
                scores_of([row(0), row(1), row(2), row(3)], weights, scores);
            }
            let first = labels.len() / TILE * TILE;
            let places = scores[first * groups..].chunks_exact_mut(groups);
            for (row, scores) in rows.remainder().chunks_exact(width).zip(places) {
                scores_of([row], weights, scores);
            }
            for (&label, scores) in labels.iter().zip(scores.chunks_exact_mut(groups)) {
                let scores = &mut scores.as_flattened_mut()[..classes];
                to_probabilities(scores);
                *loss -= libm::log(scores[label].max(f64::MIN_POSITIVE));
                scores[label] -= 1.0;
            }
            let scores = &scores[..labels.len() * groups];
            let tiled = width / TILE * TILE;
            for feature in (0..tiled).step_by(TILE) {
                add_slopes::<TILE>(feature, width, features, scores, groups, slope);
            }
            for feature in tiled..width {
                add_slopes::<1>(feature, width, features, scores, groups, slope);
            }
            for scores in scores.chunks_exact(groups) {
                for (slope, score) in slope[width * groups..].iter_mut().zip(scores) {
                    add_lanes(slope, 1.0, score);
                }
            }
        }
    }
}

/// `to` plus `factor` times `more`.
#[inline(always)]
fn add_lanes(to: &mut Lanes, factor: f64, more: &Lanes) {
    for lane in 0..LANES {
        to[lane] += factor * more[lane];
    }
}

/// The scores of some rows before they become probabilities, row by row.
#[inline(always)]
fn scores_of<const ROWS: usize>(rows: [&[f64]; ROWS], weights: &[Lanes], scores: &mut [Lanes]) {
    let groups = scores.len() / ROWS;
    let width = rows[0].len();
    for group in 0..groups {
        let mut sums = [weights[width * groups + group]; ROWS];
        for feature in 0..width {
            let weights = &weights[feature * groups + group];
            for row in 0..ROWS {
                add_lanes(&mut sums[row], rows[row][feature], weights);
            }
        }
        for row in 0..ROWS {
            scores[row * groups + group] = sums[row];
        }
    }
}

/// Adds what some rows say of the slopes of `FEATURES` features.
#[inline(always)]
fn add_slopes<const FEATURES: usize>(
    feature: usize,
    width: usize,
    features: &[f64],
    scores: &[Lanes],
    groups: usize,
    slope: &mut [Lanes],
) {
    for group in 0..groups {
        let mut sums = [[0.0; LANES]; FEATURES];
        for at in 0..FEATURES {
            sums[at] = slope[(feature + at) * groups + group];
        }
        for (row, scores) in features.chunks_exact(width).zip(scores.chunks_exact(groups)) {
            let (row, scores) = (&row[feature..feature + FEATURES], &scores[group]);
            for at in 0..FEATURES {
                add_lanes(&mut sums[at], row[at], scores);
            }
        }
        for at in 0..FEATURES {
            slope[(feature + at) * groups + group] = sums[at];
        }
    }
}

/// Scores become probabilities.
#[inline(always)]
fn to_probabilities(scores: &mut [f64]) {
    let mut highest = f64::NEG_INFINITY;
    for score in &*scores {
        highest = highest.max(*score);
    }
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = libm::exp(*score - highest);
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seven features and five classes: more than a tile, and not whole tiles.
    fn rows(count: usize) -> LabelledRows {
        let features = (0..count * 7).map(|i| (i * 37 % 101) as f64 / 50.0 - 1.0).collect();
        LabelledRows::new(7, features, (0..count).map(|i| i * 3 % 5).collect(), 5).unwrap()
    }

    #[test]
    fn the_slope_is_that_of_the_loss() {
        let train = rows(1_100);
        let mut weights = Weights::zero(7, 5);
        for (at, weight) in weights.values.iter_mut().enumerate().filter(|(at, _)| at % 8 < 5) {
            *weight = (at * 7 % 5) as f64 / 3.0 - 0.5;
        }
        let (loss, slope) = loss_and_slope(&train, 0.4, &weights);
        let plain: f64 = train.rows().zip(train.labels()).map(|(row, &l)| -weights.probabilities(row)[l].ln()).sum();
        let squares: f64 = weights.values[..7 * 8].iter().map(|weight| weight * weight).sum();
        assert!((loss - plain / 1_100.0 - 0.2 * squares).abs() < 1e-12, "{loss}");
        for (i, slope) in slope.into_iter().enumerate() {
            let at = |by: f64| {
                let mut weights = weights.clone();
                weights.values[i] += by;
                loss_and_slope(&train, 0.4, &weights).0
            };
            // What fills the classes up to whole lanes has no influence, but for the penalty.
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((numeric - slope).abs() < 1e-8, "{i}: {numeric} {slope}");
        }
    }

    #[test]
    fn levels_and_threads_do_not_show() {
        let train = rows(300);
        let weights = Weights::zero(7, 5).moved(1.0, &[0.3, -0.2, 0.1, 0.7, -0.4, 0.0, 0.0, 0.0].repeat(8));
        let sums = |level| {
            let mut sums = (0.0, vec![0.0; weights.values.len()]);
            let (features, labels) = (&train.features[..], &train.labels[..]);
            run_simd(level, Part { width: 7, features, labels, weights: &weights, sums: &mut sums });
            sums
        };
        let plain = sums(Level::Portable);
        assert!(Level::ALL.into_iter().all(|level| sums(level) == plain));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| loss_and_slope(&train, 0.1, &weights))
        };
        assert_eq!(on(1), on(3));
    }
}
