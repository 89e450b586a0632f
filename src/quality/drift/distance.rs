//! Distances between two distributions over the same values.

/// A value, and how often it occurs in the reference and in the current data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub value: f64,
    pub reference: u64,
    pub current: u64,
}

fn totals(pairs: &[Pair]) -> [f64; 2] {
    let sum = |of: fn(&Pair) -> u64| pairs.iter().map(of).sum::<u64>() as f64;
    [sum(|pair| pair.reference), sum(|pair| pair.current)]
}

/// The largest difference of the cumulated shares, of pairs in the order of their values.
pub(super) fn kolmogorov_smirnov(pairs: &[Pair]) -> f64 {
    let [r, c] = totals(pairs);
    let (mut reference, mut current, mut largest) = (0u64, 0u64, 0.0f64);
    for pair in pairs {
        (reference, current) = (reference + pair.reference, current + pair.current);
        largest = largest.max((reference as f64 / r - current as f64 / c).abs());
    }
    largest
}

/// The first Wasserstein distance: the area between the cumulated shares, of pairs in the order of their values.
pub(super) fn wasserstein(pairs: &[Pair]) -> f64 {
    let [r, c] = totals(pairs);
    let (mut reference, mut current, mut area) = (0u64, 0u64, 0.0);
    for two in pairs.windows(2) {
        (reference, current) = (reference + two[0].reference, current + two[0].current);
        area += (reference as f64 / r - current as f64 / c).abs() * (two[1].value - two[0].value);
    }
    area
}

/// The Jensen–Shannon divergence in nats of two lists of shares.
pub(super) fn jensen_shannon(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    let part = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).ln() } else { 0.0 };
    let divergence = |(p, q): (f64, f64)| (part(p, (p + q) / 2.0) + part(q, (p + q) / 2.0)) / 2.0;
    shares.map(divergence).sum::<f64>().max(0.0)
}

/// The shares of each value.
pub(super) fn shares(pairs: &[Pair]) -> impl Iterator<Item = (f64, f64)> {
    let [r, c] = totals(pairs);
    pairs.iter().map(move |pair| (pair.reference as f64 / r, pair.current as f64 / c))
}

/// The largest difference of the share of a value: TFDV's L∞.
pub(super) fn largest_difference(pairs: &[Pair]) -> f64 {
    shares(pairs).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)
}

/// The population stability index Σ(c − r)·ln(c/r). A share of nothing counts as 1e-4.
pub(super) fn stability(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    shares.map(|(r, c)| (r.max(1e-4), c.max(1e-4))).map(|(r, c)| (c - r) * (c / r).ln()).sum()
}

/// The shares of values between the deciles of the reference, of pairs in the order of their values. A value that is a decile
/// belongs to the part that it ends.
pub(super) fn decile_shares(pairs: &[Pair]) -> Vec<(f64, f64)> {
    let [r, c] = totals(pairs);
    let reference: Vec<(f64, u64)> = pairs.iter().map(|pair| (pair.value, pair.reference)).collect();
    let tenths: Vec<f64> = (1..10).map(|tenth| f64::from(tenth) / 10.0).collect();
    let mut edges = crate::quality::numbers::quantiles(&reference, &tenths).unwrap_or_default();
    edges.dedup();
    let mut parts = vec![(0.0, 0.0); edges.len() + 1];
    for pair in pairs {
        let part = &mut parts[edges.partition_point(|edge| *edge < pair.value)];
        part.0 += pair.reference as f64 / r;
        part.1 += pair.current as f64 / c;
    }
    parts
}

/// TFDV's Jensen–Shannon divergence of numbers, base 2: each side has a histogram of ten equal steps over its own range, and
/// where edges of the other side cut a step its count is split evenly over its width.
pub(super) fn histogram_divergence(pairs: &[Pair], ranges: [Option<(f64, f64)>; 2]) -> Option<f64> {
    const STEPS: usize = 10;
    let side = |of: fn(&Pair) -> u64, range| {
        let values: Vec<(f64, u64)> =
            pairs.iter().map(|pair| (pair.value, of(pair))).filter(|(_, count)| *count > 0).collect();
        crate::quality::numbers::histogram(&values, range, STEPS)
    };
    let (reference, current) = (side(|pair| pair.reference, ranges[0])?, side(|pair| pair.current, ranges[1])?);
    let mut edges: Vec<f64> = reference.0.iter().chain(&current.0).copied().collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    if edges.len() == 1 {
        return Some(0.0);
    }
    let split = |(own, counts): &(Vec<f64>, Vec<u64>)| {
        let total: u64 = counts.iter().sum();
        let share = |low: f64, high: f64| {
            let steps = own.windows(2).zip(counts);
            steps
                .map(|(step, &count)| {
                    let width = step[1] - step[0];
                    let inside = if width == 0.0 {
                        // One value alone lies in the step that it begins, or in the last.
                        let is_last = high == edges[edges.len() - 1] && step[0] == high;
                        f64::from(u8::from(low <= step[0] && step[0] < high || is_last))
                    } else {
                        ((step[1].min(high) - step[0].max(low)) / width).max(0.0)
                    };
                    inside * count as f64 / total as f64
                })
                .sum::<f64>()
        };
        edges.windows(2).map(|two| share(two[0], two[1])).collect::<Vec<f64>>()
    };
    let (p, q) = (split(&reference), split(&current));
    Some(jensen_shannon(p.into_iter().zip(q)) / std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(f64, u64, u64)]) -> Vec<Pair> {
        all.iter().map(|&(value, reference, current)| Pair { value, reference, current }).collect()
    }

    #[test]
    fn equal_distributions_have_no_distance() {
        let same = pairs(&[(0.0, 1, 3), (1.0, 2, 6), (5.0, 7, 21)]);
        assert_eq!((kolmogorov_smirnov(&same), wasserstein(&same), largest_difference(&same)), (0.0, 0.0, 0.0));
        assert_eq!((jensen_shannon(shares(&same)), stability(shares(&same))), (0.0, 0.0));
        assert_eq!(histogram_divergence(&same, [None; 2]), Some(0.0));
    }

    #[test]
    fn separate_distributions_have_the_largest() {
        let apart = pairs(&[(0.0, 4, 0), (2.0, 4, 0), (10.0, 0, 5), (14.0, 0, 5)]);
        assert_eq!((kolmogorov_smirnov(&apart), wasserstein(&apart), largest_difference(&apart)), (1.0, 11.0, 0.5));
        assert!((jensen_shannon(shares(&apart)) - std::f64::consts::LN_2).abs() < 1e-15);
        assert!((histogram_divergence(&apart, [None; 2]).unwrap() - 1.0).abs() < 1e-12);
    }
}
