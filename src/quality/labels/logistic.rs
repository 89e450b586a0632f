//! Multinomial logistic regression: the model that scikit-learn's `LogisticRegression(C=1/alpha)` fits on features that its
//! `StandardScaler` has scaled, found with L-BFGS (J. Nocedal, *Updating quasi-Newton matrices with limited storage*, Math.
//! Comp. 35, 1980).

use std::collections::VecDeque;

use super::rows::LabelledRows;
use super::slope::{Weights, add, dot, loss_and_slope};
use crate::base::error::{Error, Result};

/// The mean of each feature, and its population standard deviation; 1 where it does not vary.
#[derive(Debug, Clone)]
struct Scale {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Scale {
    fn of(rows: &LabelledRows) -> Self {
        let n = rows.labels.len() as f64;
        let mut mean = vec![0.0; rows.width()];
        rows.rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / n));
        let mut variance = vec![0.0; rows.width()];
        for row in rows.rows() {
            for ((variance, mean), value) in variance.iter_mut().zip(&mean).zip(row) {
                *variance += (value - mean).powi(2) / n;
            }
        }
        let deviation = |variance: f64| if variance > 0.0 { variance.sqrt() } else { 1.0 };
        Self { mean, deviation: variance.into_iter().map(deviation).collect() }
    }

    fn apply(&self, row: &mut [f64]) {
        for ((value, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
            *value = (*value - mean) / deviation;
        }
    }
}

/// A multinomial logistic regression with an L2 penalty, on features that are standardised by the rows it learns from.
///
/// It does not depend on the number of threads, nor on the CPU.
///
/// ```
/// use pixelfeat::quality::{LabelledRows, LogisticRegression};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let rows = LabelledRows::new(1, vec![0.0, 1.0, 4.0, 5.0], vec![0, 0, 1, 1], 2)?;
/// let model = LogisticRegression::fit(rows, 1.0)?;
/// assert!(model.probabilities(&[4.5])?[1] > 0.8);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    scale: Scale,
    weights: Weights,
}

/// The largest part of the gradient at which the fit is done, and the steps after which it is done anyway.
const TOLERANCE: f64 = 1e-5;
const MAX_STEPS: usize = 1_000;
/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;

impl LogisticRegression {
    /// Minimises the mean of −log(probability of the right class), plus alpha ÷ (2·rows) · Σ weights². It uses Rayon's threads.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `alpha` is negative or not finite.
    pub fn fit(rows: LabelledRows, alpha: f64) -> Result<Self> {
        Self::fit_to(rows, alpha, TOLERANCE)
    }

    /// As [`LogisticRegression::fit`]; ends when no part of the gradient is larger than `tolerance`.
    pub(super) fn fit_to(mut rows: LabelledRows, alpha: f64, tolerance: f64) -> Result<Self> {
        if !(0.0..f64::INFINITY).contains(&alpha) {
            return Err(Error::InvalidOption { option: "alpha", why: format!("{alpha} is not a number from 0 on") });
        }
        let scale = Scale::of(&rows);
        let width = rows.width();
        rows.features.chunks_exact_mut(width).for_each(|row| scale.apply(row));
        let penalty = alpha / rows.labels.len() as f64;
        Ok(Self { scale, weights: minimise(&rows, penalty, tolerance) })
    }

    /// The probability of each class for a row.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the row has another number of features than the rows that the model learnt from.
    pub fn probabilities(&self, row: &[f64]) -> Result<Vec<f64>> {
        let learnt = self.scale.mean.len();
        if row.len() != learnt {
            let why = format!("the model learnt from rows of {learnt} values, and this one has {}", row.len());
            return Err(Error::InvalidOption { option: "features", why });
        }
        let mut row = row.to_vec();
        self.scale.apply(&mut row);
        Ok(self.weights.probabilities(&row))
    }
}

fn minimise(rows: &LabelledRows, penalty: f64, tolerance: f64) -> Weights {
    let mut weights = Weights::zero(rows.width(), rows.classes());
    let (mut loss, mut slope) = loss_and_slope(rows, penalty, &weights);
    let mut steps: VecDeque<Step> = VecDeque::new();
    for _ in 0..MAX_STEPS {
        if slope.iter().all(|part| part.abs() <= tolerance) {
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
            let to = weights.moved(length, &direction);
            let (lower, slope) = loss_and_slope(rows, penalty, &to);
            // Armijo's condition. The loss is convex, so halving comes to such a step.
            let enough = lower <= loss + 1e-4 * length * descent;
            length /= 2.0;
            enough.then_some((to, lower, slope))
        });
        let Some((to, lower, new_slope)) = found else { break };
        let by = to.minus(&weights);
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
    weights
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_scikit_learn() {
        // scikit-learn 1.9.1: s = StandardScaler().fit(x);
        // LogisticRegression(C=1, tol=1e-10).fit(s.transform(x), y).predict_proba(s.transform([[0.5, 0.5]]))
        let features = vec![0.3, -1.0, 2.0, 0.5, -0.7, 0.1, 1.1, 1.2, -2.0, 0.4, 0.2, 0.9];
        let train = LabelledRows::new(2, features, vec![0, 2, 1, 2, 1, 0], 3).unwrap();
        let model = LogisticRegression::fit(train, 1.0).unwrap();
        let want = [0.38044802, 0.24091709, 0.37863489];
        let got = model.probabilities(&[0.5, 0.5]).unwrap();
        assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-4), "{got:?}");
        let error = model.probabilities(&[0.5]).unwrap_err().to_string();
        assert_eq!(error, "features: the model learnt from rows of 2 values, and this one has 1");
    }

    #[test]
    fn what_cannot_be_learnt_from_is_refused() {
        let told = |rows: Result<LabelledRows>| rows.and_then(|rows| LogisticRegression::fit(rows, -1.0)).unwrap_err();
        let new = |features: &[f64], labels: &[usize]| LabelledRows::new(2, features.to_vec(), labels.to_vec(), 2);
        for (rows, why) in [
            (new(&[], &[]), "features: there are no rows of features to learn from"),
            (new(&[1.0], &[0]), "features: 1 rows of 2 values are not 1 values"),
            (new(&[1.0, 2.0], &[2]), "features: there is no class 2 among 2"),
            (new(&[1.0, f64::NAN], &[1]), "features: a model cannot learn from NaN"),
            (new(&[1.0, 2.0], &[1]), "alpha: -1 is not a number from 0 on"),
        ] {
            assert_eq!(told(rows).to_string(), why);
        }
    }
}
