//! Probabilities: of χ², of the normal distribution, and of the two-sample Kolmogorov–Smirnov statistic.

/// The logarithm of the gamma function for x > 0, by Lanczos's approximation with g = 7 and nine terms: 15 digits.
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let sum =
        TERMS.iter().enumerate().fold(0.999_999_999_999_809_9, |sum, (i, term)| sum + term / (x + i as f64 + 1.0));
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularized upper incomplete gamma function Q(a, x): by its series below a + 1, by Lentz's continued fraction above.
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return if x.is_nan() { f64::NAN } else { 1.0 };
    }
    if x.is_infinite() {
        return 0.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - scale * sum;
    }
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut fraction = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let step = -i * (i - a);
        b += 2.0;
        d = step * d + b;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = b + step / c;
        c = if c.abs() < TINY { TINY } else { c };
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    scale * fraction
}

/// The probability that χ² with so many degrees of freedom exceeds `statistic`.
pub(super) fn chi_square(statistic: f64, freedom: usize) -> f64 {
    if freedom == 0 { 1.0 } else { upper_gamma(freedom as f64 / 2.0, statistic / 2.0) }
}

/// The probability that a normal variable is farther from 0 than `z`.
pub(super) fn two_sided_normal(z: f64) -> f64 {
    upper_gamma(0.5, z * z / 2.0)
}

/// The probability that two samples of one distribution, of `m` and `n` values, differ by `d` or more: exact up to 10⁷ pairs
/// (by the recursion over lattice paths), Kolmogorov's limit beyond.
pub(super) fn kolmogorov(d: f64, m: u64, n: u64) -> f64 {
    if m == 0 || n == 0 {
        return 1.0;
    }
    if m.saturating_mul(n) > 10_000_000 {
        let (m, n) = (m as f64, n as f64);
        let x = -2.0 * d * d * m * n / (m + n);
        let term = |k: i32| f64::from(1 - k % 2 * 2) * -2.0 * (x * f64::from(k * k)).exp();
        return (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0);
    }
    let (m, n) = (m.min(n) as usize, m.max(n) as usize);
    // Distances are multiples of 1/(m·n), so that they are compared as integers.
    let at_most = (d * m as f64 * n as f64 - 0.5).ceil() as i64;
    let apart = |i: usize, j: usize| (i as i64 * n as i64 - j as i64 * m as i64).abs() >= at_most;
    // The share of paths to each point that have come too far from the diagonal: this keeps the digits of small probabilities.
    let mut outside: Vec<f64> = Vec::with_capacity(n + 1);
    for i in 0..=m {
        for j in 0..=n {
            let share = match (i, j) {
                _ if apart(i, j) => 1.0,
                (0, 0) => 0.0,
                (0, j) => outside[j - 1],
                (_, 0) => outside[0],
                (i, j) => {
                    let of = (i + j) as f64;
                    outside[j] * (i as f64 / of) + outside[j - 1] * (j as f64 / of)
                }
            };
            if i == 0 { outside.push(share) } else { outside[j] = share }
        }
    }
    outside[n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found}, SciPy has {expected}");
    }

    #[test]
    fn probabilities_are_scipys() {
        // chi2.sf, 2·norm.sf and ks_2samp of SciPy 1.17.
        close(chi_square(3.2, 4), 0.524_930_946_786_104_1);
        close(chi_square(250.0, 9), 9.976_151_469_298_895e-49);
        close(chi_square(30.0, 40), 0.875_218_784_967_475_1);
        close(chi_square(0.01, 1), 0.920_344_325_445_942);
        close(two_sided_normal(1.959_963_984_540_054), 0.05);
        close(two_sided_normal(-7.5), 6.381_783_345_821_769e-14);
        assert_eq!((chi_square(f64::INFINITY, 3), chi_square(0.0, 3), chi_square(1.0, 0)), (0.0, 1.0, 1.0));
        // Of 1, 2, 3 and 4, 5: one of ten orders is as extreme on each side.
        close(kolmogorov(1.0, 3, 2), 0.2);
        close(kolmogorov(0.0, 3, 2), 1.0);
        close(kolmogorov(0.5, 40, 25), 0.000_501_846_610_343_75);
        // Kolmogorov's limit is not yet that of so many values.
        assert!((kolmogorov(0.012_055, 40_000, 25_000) / 0.022_673_484_991_276_5 - 1.0).abs() < 0.01);
    }
}
