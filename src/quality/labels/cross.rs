//! The probabilities of classes for rows that the model has not learnt from.

use super::logistic::LogisticRegression;
use super::rows::LabelledRows;
use crate::base::error::Result;
use crate::base::random::Random;

/// Parts into which the rows are cut: each is judged by a model of the others.
pub(super) const FOLDS: usize = 5;
/// Strength of the penalty, and the largest part of the gradient at which a fit is done: those of scikit-learn.
const ALPHA: f64 = 1.0;
const TOLERANCE: f64 = 1e-4;
/// Shuffles the rows of a class before they are dealt out to the folds.
const SEED: u64 = 0x6c61_6265_6c73;

/// The fold of each row. Each class is shuffled and dealt out, so that folds differ by at most a row of it.
pub(super) fn folds(labels: &[usize], classes: usize) -> Vec<usize> {
    let mut rows_of = vec![Vec::new(); classes];
    labels.iter().enumerate().for_each(|(row, &label)| rows_of[label].push(row));
    let mut folds = vec![0; labels.len()];
    // A class goes on where the one before has ended: so folds have the same size as well.
    let mut next = 0;
    for mut rows in rows_of {
        rows.sort_by_key(|&row| (Random::new(SEED, row as u64).bits(), row));
        for row in rows {
            folds[row] = next % FOLDS;
            next += 1;
        }
    }
    folds
}

/// The probability of each class for each row, from a model of the other folds. `features` are `width` values for each row.
///
/// # Errors
/// As [`LabelledRows::new`].
pub(super) fn probabilities(width: usize, features: &[f32], labels: &[usize], classes: usize) -> Result<Vec<f64>> {
    let folds = folds(labels, classes);
    let row_of = |row: usize| features[row * width..][..width].iter().map(|&value| f64::from(value));
    let mut all = vec![0.0; labels.len() * classes];
    for fold in 0..FOLDS {
        let (tested, learnt): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&row| folds[row] == fold);
        let features = learnt.iter().flat_map(|&row| row_of(row)).collect();
        let rows = LabelledRows::new(width, features, learnt.iter().map(|&row| labels[row]).collect(), classes)?;
        let model = LogisticRegression::fit_to(rows, ALPHA, TOLERANCE)?;
        for row in tested {
            let of_row = model.probabilities(&row_of(row).collect::<Vec<_>>())?;
            all[row * classes..][..classes].copy_from_slice(&of_row);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_have_the_same_share_of_each_class() {
        let labels: Vec<usize> = (0..103).map(|row| usize::from(row % 7 == 0) + usize::from(row % 3 == 0)).collect();
        let folds = folds(&labels, 3);
        for class in [Some(0), Some(1), Some(2), None] {
            let size = |fold| {
                let rows =
                    folds.iter().zip(&labels).filter(|(of, label)| **of == fold && class.is_none_or(|c| c == **label));
                rows.count()
            };
            let sizes: Vec<usize> = (0..FOLDS).map(size).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{class:?}: {sizes:?}");
        }
        // Shuffled: neighbours of one class are not in neighbouring folds.
        let of_first: Vec<usize> = (0..103).filter(|row| labels[*row] == 0).map(|row| folds[row]).collect();
        assert!(of_first.windows(2).any(|pair| (pair[0] + 1) % FOLDS != pair[1]), "{of_first:?}");
    }

    #[test]
    fn a_row_is_judged_by_a_model_that_has_not_seen_it() {
        // One feature tells the class of all rows but the last. A model that had learnt from that row alone could know it.
        let features: Vec<f32> = (0..40).flat_map(|row| [(row % 2) as f32, (row == 39) as u8 as f32 * 1e3]).collect();
        let mut labels: Vec<usize> = (0..40).map(|row| row % 2).collect();
        labels[39] = 0;
        let all = probabilities(2, &features, &labels, 2).unwrap();
        assert!(all[39 * 2] < 0.2, "{:?}", &all[39 * 2..]);
        assert!((0..39).all(|row| all[row * 2 + labels[row]] > 0.8), "{all:?}");
    }
}
