//! Multinomial logistic regression: the model that scikit-learn's `LogisticRegression(C=1/alpha)` fits, found with L-BFGS
//! (J. Nocedal, *Updating quasi-Newton matrices with limited storage*, Math. Comp. 35, 1980).

use std::collections::VecDeque;
use std::thread;

/// Rows of features of one width, and the class of each.
pub struct Labelled {
    pub width: usize,
    /// Row after row.
    pub features: Vec<f64>,
    pub classes: Vec<usize>,
}

impl Labelled {
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.features.chunks_exact(self.width)
    }

    /// The mean of each feature, and its deviation; 1 where it does not vary.
    pub fn mean_and_deviation(&self) -> (Vec<f64>, Vec<f64>) {
        let n = self.classes.len().max(1) as f64;
        let mut mean = vec![0.0; self.width];
        self.rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / n));
        let mut variance = vec![0.0; self.width];
        for row in self.rows() {
            for ((variance, mean), value) in variance.iter_mut().zip(&mean).zip(row) {
                *variance += (value - mean).powi(2) / n;
            }
        }
        let deviation = |variance: f64| if variance > 0.0 { variance.sqrt() } else { 1.0 };
        (mean, variance.into_iter().map(deviation).collect())
    }

    /// Subtracts `mean` from every row and divides by `deviation`.
    pub fn standardise(&mut self, mean: &[f64], deviation: &[f64]) {
        for row in self.features.chunks_exact_mut(self.width) {
            for ((value, mean), deviation) in row.iter_mut().zip(mean).zip(deviation) {
                *value = (*value - mean) / deviation;
            }
        }
    }
}

/// A fitted model: weights of each feature for each class, feature by feature, then what is added for each class.
pub struct Model {
    classes: usize,
    weights: Vec<f64>,
}

/// The largest part of the gradient at which the fit is done, and the steps after which it is done anyway.
const TOLERANCE: f64 = 1e-5;
const MAX_STEPS: usize = 1_000;
/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;
/// Parts of the rows whose sums are added up in order, so that the number of threads does not show.
const PARTS: usize = 16;

impl Model {
    /// Minimises the mean of −log(probability of the right class), plus alpha ÷ (2·rows) · Σ weights².
    pub fn fit(train: &Labelled, classes: usize, alpha: f64) -> Self {
        let penalty = alpha / train.classes.len() as f64;
        let mut weights = vec![0.0; (train.width + 1) * classes];
        let (mut loss, mut slope) = loss_and_slope(train, classes, penalty, &weights);
        let mut steps: VecDeque<Step> = VecDeque::new();
        for _ in 0..MAX_STEPS {
            if slope.iter().all(|part| part.abs() <= TOLERANCE) {
                break;
            }
            let mut direction = downhill(&slope, &steps);
            let mut descent = dot(&direction, &slope);
            if descent >= 0.0 {
                // What is remembered misleads.
                steps.clear();
                direction = slope.iter().map(|part| -part).collect();
                descent = dot(&direction, &slope);
            }
            // Nothing is known of the length of the first step.
            let mut length = if steps.is_empty() { 1.0 / dot(&slope, &slope).sqrt().max(1.0) } else { 1.0 };
            let found = (0..40).find_map(|_| {
                let to: Vec<f64> = weights.iter().zip(&direction).map(|(w, d)| w + length * d).collect();
                let (lower, slope) = loss_and_slope(train, classes, penalty, &to);
                // Armijo's condition. The loss is convex, so halving comes to such a step.
                let enough = lower <= loss + 1e-4 * length * descent;
                length /= 2.0;
                enough.then_some((to, lower, slope))
            });
            let Some((to, lower, new_slope)) = found else { break };
            let by: Vec<f64> = to.iter().zip(&weights).map(|(to, from)| to - from).collect();
            let change: Vec<f64> = new_slope.iter().zip(&slope).map(|(to, from)| to - from).collect();
            let product = dot(&by, &change);
            if product > 1e-12 * dot(&change, &change) {
                steps.push_back(Step { by, change, product });
                if steps.len() > MEMORY {
                    steps.pop_front();
                }
            }
            (weights, loss, slope) = (to, lower, new_slope);
        }
        Self { classes, weights }
    }

    /// The probability of each class for a row.
    pub fn probabilities(&self, row: &[f64]) -> Vec<f64> {
        let mut scores = vec![0.0; self.classes];
        probabilities(&self.weights, row, &mut scores);
        scores
    }
}

/// A step that was taken: by how much, and how much the slope changed.
struct Step {
    by: Vec<f64>,
    change: Vec<f64>,
    /// `by` · `change`.
    product: f64,
}

/// The direction of the next step: the slope, turned by what the last steps tell of the curvature.
fn downhill(slope: &[f64], steps: &VecDeque<Step>) -> Vec<f64> {
    let mut direction: Vec<f64> = slope.iter().map(|part| -part).collect();
    let mut factors = Vec::new();
    for step in steps.iter().rev() {
        let factor = dot(&step.by, &direction) / step.product;
        add(&mut direction, -factor, &step.change);
        factors.push(factor);
    }
    if let Some(last) = steps.back() {
        let scale = last.product / dot(&last.change, &last.change);
        direction.iter_mut().for_each(|part| *part *= scale);
    }
    for (step, factor) in steps.iter().zip(factors.into_iter().rev()) {
        let back = dot(&step.change, &direction) / step.product;
        add(&mut direction, factor - back, &step.by);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `to` plus `factor` times `more`.
fn add(to: &mut [f64], factor: f64, more: &[f64]) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to += factor * more);
}

/// Fills `scores` with the probability of each class.
fn probabilities(weights: &[f64], row: &[f64], scores: &mut [f64]) {
    let classes = scores.len();
    scores.copy_from_slice(&weights[row.len() * classes..]);
    for (&value, weights) in row.iter().zip(weights.chunks_exact(classes)) {
        add(scores, value, weights);
    }
    let highest = scores.iter().fold(f64::NEG_INFINITY, |highest, &score| highest.max(score));
    scores.iter_mut().for_each(|score| *score = (*score - highest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// The loss and its gradient, with the rows in parts that threads share.
fn loss_and_slope(train: &Labelled, classes: usize, penalty: f64, weights: &[f64]) -> (f64, Vec<f64>) {
    let rows = train.classes.len();
    let part_rows = rows.div_ceil(PARTS).max(1);
    let mut parts: Vec<(f64, Vec<f64>)> = vec![(0.0, Vec::new()); rows.div_ceil(part_rows)];
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = parts.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        for (thread, parts) in parts.chunks_mut(share).enumerate() {
            scope.spawn(move || {
                for (i, part) in parts.iter_mut().enumerate() {
                    let first = (thread * share + i) * part_rows;
                    *part = sums_of_rows(train, classes, weights, first..rows.min(first + part_rows));
                }
            });
        }
    });
    let (mut loss, mut slope) = (0.0, vec![0.0; weights.len()]);
    for (of_part, slope_of_part) in &parts {
        loss += of_part / rows as f64;
        add(&mut slope, 1.0 / rows as f64, slope_of_part);
    }
    let penalised = train.width * classes;
    loss += 0.5 * penalty * dot(&weights[..penalised], &weights[..penalised]);
    add(&mut slope[..penalised], penalty, &weights[..penalised]);
    (loss, slope)
}

fn sums_of_rows(train: &Labelled, classes: usize, weights: &[f64], rows: std::ops::Range<usize>) -> (f64, Vec<f64>) {
    let (mut loss, mut slope, mut scores) = (0.0, vec![0.0; weights.len()], vec![0.0; classes]);
    for at in rows {
        let (row, class) = (&train.features[at * train.width..][..train.width], train.classes[at]);
        probabilities(weights, row, &mut scores);
        loss -= scores[class].max(f64::MIN_POSITIVE).ln();
        scores[class] -= 1.0;
        for (&value, slope) in row.iter().zip(slope.chunks_exact_mut(classes)) {
            add(slope, value, &scores);
        }
        add(&mut slope[train.width * classes..], 1.0, &scores);
    }
    (loss, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_loss() {
        let train =
            Labelled { width: 2, features: vec![0.3, -1.0, 2.0, 0.5, -0.7, 0.1, 1.1, 1.2], classes: vec![0, 2, 1, 2] };
        let weights: Vec<f64> = (0..9).map(|i| f64::from(i * 7 % 5) / 3.0 - 0.5).collect();
        let (_, slope) = loss_and_slope(&train, 3, 0.4, &weights);
        for i in 0..9 {
            let at = |by: f64| {
                let mut weights = weights.clone();
                weights[i] += by;
                loss_and_slope(&train, 3, 0.4, &weights).0
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((numeric - slope[i]).abs() < 1e-8, "{i}: {numeric} {}", slope[i]);
        }
    }

    #[test]
    fn probabilities_are_those_of_scikit_learn() {
        // scikit-learn 1.9.1: LogisticRegression(C=1, tol=1e-10).fit(x, y).predict_proba([[0.5, 0.5]])
        let features = vec![0.3, -1.0, 2.0, 0.5, -0.7, 0.1, 1.1, 1.2, -2.0, 0.4, 0.2, 0.9];
        let train = Labelled { width: 2, features, classes: vec![0, 2, 1, 2, 1, 0] };
        let got = Model::fit(&train, 3, 1.0).probabilities(&[0.5, 0.5]);
        let want = [0.41649009, 0.20797021, 0.3755397];
        assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-4), "{got:?}");
    }
}
