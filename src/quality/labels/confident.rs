//! Confident learning from probabilities, with the definitions of cleanlab 2.9.

/// By so much a probability may be below a threshold and still reach it, and a label's below the largest one and still be it.
const MARGIN: f64 = 1e-6;
/// No threshold is lower.
const LEAST_THRESHOLD: f64 = 2e-6;

/// What probabilities tell of labels. Matrices have a row for each given class and a column for each likely one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConfidentLabels {
    /// The mean probability of a class over the rows that were given it.
    pub thresholds: Vec<f64>,
    /// How many rows reach the threshold of a class (of several: that of the most probable class), with at least 1 on the diagonal:
    /// cleanlab's `compute_confident_joint(calibrate=False)`.
    pub confident: Vec<Vec<u64>>,
    /// `confident` scaled so that each row sums to the rows that were given this class, and all to 1: `estimate_joint`.
    pub joint: Vec<Vec<f64>>,
    /// The rows whose label is probably wrong, the least probable label first:
    /// `find_label_issues(filter_by="prune_by_noise_rate", return_indices_ranked_by="self_confidence")`, which are its defaults
    /// but for the ranking. Of rows that are equal in this the first come first.
    pub issues: Vec<usize>,
}

/// The place of the largest value, the first of several.
pub(super) fn largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

impl ConfidentLabels {
    /// `probabilities` has a value for each class, row after row; `given` has the class of each row, and every class has rows.
    pub fn of(probabilities: &[f64], given: &[usize], classes: usize) -> Self {
        let rows = || probabilities.chunks_exact(classes).zip(given.iter().copied());
        let mut counts = vec![0u64; classes];
        let mut thresholds = vec![0.0; classes];
        for (row, label) in rows() {
            counts[label] += 1;
            thresholds[label] += row[label];
        }
        for (threshold, &count) in thresholds.iter_mut().zip(&counts) {
            *threshold = (*threshold / count.max(1) as f64).max(LEAST_THRESHOLD);
        }
        let mut confident = vec![vec![0; classes]; classes];
        for (row, label) in rows() {
            let mut reached = (0..classes).filter(|&class| row[class] >= thresholds[class] - MARGIN);
            if let Some(first) = reached.next() {
                let likely = if reached.next().is_some() { largest(row) } else { first };
                confident[label][likely] += 1;
            }
        }
        for (class, row) in confident.iter_mut().enumerate() {
            row[class] = row[class].max(1);
        }
        let calibrated = calibrated(&confident, &counts);
        let all = calibrated.iter().flatten().sum::<u64>().max(1) as f64;
        let joint = calibrated.iter().map(|row| row.iter().map(|&count| count as f64 / all).collect()).collect();
        let issues = issues(probabilities, given, &calibrated);
        Self { thresholds, confident, joint, issues }
    }

    /// The share of wrong labels: what is off the diagonal of `joint`.
    pub fn noise(&self) -> f64 {
        let off = |(given, row): (usize, &Vec<f64>)| row.iter().sum::<f64>() - row[given];
        self.joint.iter().enumerate().map(off).sum()
    }
}

/// Scales each row of counts to a sum, in whole numbers.
fn calibrated(confident: &[Vec<u64>], counts: &[u64]) -> Vec<Vec<u64>> {
    let scaled = confident.iter().zip(counts).map(|(row, &count)| {
        let sum = row.iter().sum::<u64>() as f64;
        row.iter().map(|&value| value as f64 / sum * count as f64).collect()
    });
    let scaled: Vec<Vec<f64>> = scaled.collect();
    let (sum, all) = (scaled.iter().flatten().sum::<f64>(), counts.iter().sum::<u64>() as f64);
    scaled.iter().map(|row| rounded(&row.iter().map(|value| value / sum * all).collect::<Vec<_>>())).collect()
}

/// Whole numbers with the sum of some numbers. Those change that rounding has moved farthest.
fn rounded(numbers: &[f64]) -> Vec<u64> {
    let mut whole: Vec<f64> = numbers.iter().map(|number| number.round_ties_even()).collect();
    let wanted = numbers.iter().sum::<f64>().round_ties_even();
    loop {
        let missing = wanted - whole.iter().sum::<f64>();
        if missing == 0.0 {
            return whole.into_iter().map(|number| number as u64).collect();
        }
        let mut places: Vec<usize> = (0..whole.len()).collect();
        places.sort_by(|&a, &b| (numbers[a] - whole[a]).total_cmp(&(numbers[b] - whole[b])));
        if missing > 0.0 {
            places.reverse();
        }
        for &place in places.iter().take(missing.abs() as usize) {
            whole[place] += missing.signum();
        }
    }
}

/// How many rows of each given class belong to each likely one, with at least one that is what it was given.
fn to_take(calibrated: &[Vec<u64>]) -> Vec<Vec<u64>> {
    let of_class = |(class, row): (usize, &Vec<u64>)| {
        let lacking = 1u64.saturating_sub(row[class]) as f64;
        let noisy = row.iter().filter(|count| **count > 0).count().saturating_sub(1).max(1) as f64;
        let mut take: Vec<u64> = row.iter().map(|&count| (count as f64 - lacking / noisy).max(0.0) as u64).collect();
        take[class] = row[class].max(1);
        take
    };
    calibrated.iter().enumerate().map(of_class).collect()
}

fn issues(probabilities: &[f64], given: &[usize], calibrated: &[Vec<u64>]) -> Vec<usize> {
    let classes = calibrated.len();
    let row_of = |row: usize| &probabilities[row * classes..][..classes];
    let mut rows_of = vec![Vec::new(); classes];
    given.iter().enumerate().for_each(|(row, &label)| rows_of[label].push(row));
    let mut is_issue = vec![false; given.len()];
    for ((label, rows), counts) in rows_of.iter().enumerate().zip(to_take(calibrated)) {
        if rows.len() < 2 {
            continue;
        }
        for (likely, &count) in counts.iter().enumerate().filter(|(likely, count)| *likely != label && **count > 0) {
            let margin = |row: usize| row_of(row)[likely] - row_of(row)[label];
            let mut order = rows.clone();
            order.sort_by(|&a, &b| margin(b).total_cmp(&margin(a)));
            order.iter().take(count as usize).for_each(|&row| is_issue[row] = true);
        }
    }
    let is_other_than_predicted = |row: usize| {
        let mut of_row = row_of(row).to_vec();
        of_row[given[row]] += MARGIN;
        largest(&of_row) != given[row]
    };
    let mut found: Vec<usize> = (0..given.len()).filter(|&row| is_issue[row] && is_other_than_predicted(row)).collect();
    found.sort_by(|&a, &b| row_of(a)[given[a]].total_cmp(&row_of(b)[given[b]]));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn numbers(of: &Value) -> Vec<f64> {
        of.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    fn counts(of: &Value) -> Vec<Vec<u64>> {
        of.as_array().unwrap().iter().map(|row| numbers(row).iter().map(|number| *number as u64).collect()).collect()
    }

    /// What `tests/fixtures/make_labels.py` wrote.
    fn fixture() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/quality/labels.json")).unwrap()
    }

    #[test]
    fn all_is_as_cleanlab_has_it() {
        let near = |found: &[f64], expected: &Value| {
            let expected = numbers(expected);
            assert_eq!(found.len(), expected.len());
            let far = found.iter().zip(&expected).find(|(found, expected)| (*found - *expected).abs() > 1e-12);
            assert!(far.is_none(), "{far:?}");
        };
        let fixture = fixture();
        let cases = fixture["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 5);
        for case in cases {
            let given: Vec<usize> = numbers(&case["labels"]).iter().map(|label| *label as usize).collect();
            let probabilities: Vec<f64> = case["probabilities"].as_array().unwrap().iter().flat_map(numbers).collect();
            let found = ConfidentLabels::of(&probabilities, &given, probabilities.len() / given.len());
            near(&found.thresholds, &case["thresholds"]);
            assert_eq!(found.confident, counts(&case["confident"]));
            for (found, expected) in found.joint.iter().zip(case["joint"].as_array().unwrap()) {
                near(found, expected);
            }
            let issues: Vec<f64> = found.issues.iter().map(|row| *row as f64).collect();
            assert_eq!(issues, numbers(&case["issues"]));
        }
        assert_eq!(to_take(&counts(&fixture["counts"])), counts(&fixture["taken"]));
    }

    #[test]
    fn rounded_numbers_keep_their_sum() {
        assert_eq!(rounded(&[0.45, 0.35, 0.2, 3.0]), [1, 0, 0, 3]);
        assert_eq!(rounded(&[0.6, 0.7, 0.7]), [0, 1, 1]);
    }
}
