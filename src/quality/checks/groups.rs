//! How much of the variance of some numbers the groups that they belong to explain.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::quality::classes::CLASSES;
use crate::quality::distinct::Quick;

/// Sums of numbers, by the hash of what names their group.
#[derive(Default)]
pub(super) struct Groups {
    /// How many numbers a group has, and their sum.
    sums: HashMap<u64, (f64, f64), BuildHasherDefault<Quick>>,
    /// Sums are those of the differences to the first number, so that few digits are lost.
    first: Option<f64>,
    count: f64,
    sum: f64,
    squares: f64,
}

impl Groups {
    /// Adds a number of a group.
    pub fn add(&mut self, group: u64, number: f64) {
        let number = number - *self.first.get_or_insert(number);
        (self.count, self.sum, self.squares) = (self.count + 1.0, self.sum + number, self.squares + number * number);
        if self.sums.len() <= CLASSES {
            let (count, sum) = self.sums.entry(group).or_default();
            (*count, *sum) = (*count + 1.0, *sum + number);
        }
    }

    /// The correlation ratio η²: the sum of squares between the groups as a share of all, from 0 to 1. `None` without groups, or with
    /// more than 1,000 of them, or if all numbers are equal or one is not finite.
    pub fn explained(&self) -> Option<f64> {
        if self.sums.len() > CLASSES {
            return None;
        }
        let of_mean = self.sum * self.sum / self.count;
        // In an order that does not depend on the map.
        let mut groups: Vec<f64> = self.sums.values().map(|(count, sum)| sum * sum / count).collect();
        groups.sort_unstable_by(f64::total_cmp);
        let share = (groups.into_iter().sum::<f64>() - of_mean) / (self.squares - of_mean);
        share.is_finite().then(|| share.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_explain_what_differs_between_them() {
        let of = |numbers: &[(u64, f64)]| {
            let mut groups = Groups::default();
            numbers.iter().for_each(|&(group, number)| groups.add(group, number));
            groups.explained()
        };
        assert_eq!(of(&[(1, 5.0), (1, 5.0), (2, 7.0), (2, 7.0)]), Some(1.0));
        assert_eq!(of(&[(1, 5.0), (1, 7.0), (2, 5.0), (2, 7.0)]), Some(0.0));
        // Means 2 and 6 about 4, in groups of 2, against deviations of 3, 1, 1 and 3: 16 of 20.
        assert_eq!(of(&[(1, 1e9 + 1.0), (2, 1e9 + 5.0), (1, 1e9 + 3.0), (2, 1e9 + 7.0)]), Some(0.8));
        assert_eq!([of(&[]), of(&[(1, 2.0)]), of(&[(1, 2.0), (2, f64::NAN)])], [None; 3]);
        let many: Vec<(u64, f64)> = (0..1_001).map(|group| (group, group as f64)).collect();
        assert_eq!((of(&many), of(&many[1..])), (None, Some(1.0)));
    }
}
