//! Draws of the symmetric beta distribution, from a table of its quantiles.

/// Cells of the table.
const CELLS: usize = 4096;

/// Quantiles of Beta(α, α) in 65,536ths. One draw of 32 bits is interpolated between two of them, so that every sample
/// takes as many draws as any other. The distribution differs from the exact one by less than 2·10⁻⁴.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beta(Vec<u32>);

impl Beta {
    /// The distribution for an `alpha` from 0.01 to 100.
    pub fn new(alpha: f64) -> Self {
        let mut table = vec![0; CELLS + 1];
        let mut last = f64::MIN;
        for (at, entry) in table.iter_mut().enumerate().take(CELLS / 2 + 1) {
            // The ends stand for the means of the outermost 65,536ths.
            let share = (at as f64 / CELLS as f64).max(1.0 / 131_072.0);
            let (quantile, logarithm) = quantile(alpha, share, last);
            last = logarithm;
            *entry = (quantile * 65_536.0).round() as u32;
        }
        for at in 0..CELLS / 2 {
            table[CELLS - at] = 65_536 - table[at];
        }
        Self(table)
    }

    /// The quantile of a draw, from 0 to 65,536.
    #[inline]
    pub fn of(&self, bits: u32) -> u32 {
        let (cell, part) = ((bits >> 20) as usize, (bits >> 4) & 0xffff);
        let (low, high) = (self.0[cell], self.0[cell + 1]);
        low + ((u64::from(high - low) * u64::from(part)) >> 16) as u32
    }
}

/// The place up to which a share of at most one half of Beta(α, α) lies, and its logarithm, which is above `low`.
fn quantile(alpha: f64, share: f64, low: f64) -> (f64, f64) {
    let log_beta = 2.0 * libm::lgamma(alpha) - libm::lgamma(2.0 * alpha);
    // Near 0 the share is x^α ÷ (α·B).
    let start = (libm::log(share * alpha) + log_beta) / alpha;
    let (mut low, mut high) = (low.max(-700.0), libm::log(0.5));
    let mut at = if start > low && start < high { start } else { (low + high) / 2.0 };
    for _ in 0..60 {
        let x = libm::exp(at);
        let over = cumulative(alpha, x, log_beta) - share;
        if over > 0.0 {
            high = at;
        } else {
            low = at;
        }
        // Newton's step in the logarithm, unless it leaves the bracket.
        let slope = libm::exp(alpha * at + (alpha - 1.0) * libm::log1p(-x) - log_beta);
        let next = at - over / slope;
        let next = if next > low && next < high { next } else { (low + high) / 2.0 };
        if (next - at).abs() < 1e-10 {
            break;
        }
        at = next;
    }
    (libm::exp(at), at)
}

/// The share of Beta(α, α) below `x`, up to one half, by the continued fraction of the incomplete beta function (Lentz's
/// method; NIST Digital Library of Mathematical Functions, 8.17.22).
fn cumulative(alpha: f64, x: f64, log_beta: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - 2.0 * alpha * x / (alpha + 1.0)));
    let mut fraction = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (alpha - m) * x / ((alpha + 2.0 * m - 1.0) * (alpha + 2.0 * m));
        let odd = -(alpha + m) * (2.0 * alpha + m) * x / ((alpha + 2.0 * m) * (alpha + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-13 {
            break;
        }
    }
    libm::exp(alpha * libm::log(x) + alpha * libm::log1p(-x) - log_beta) / alpha * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_the_closed_forms_that_there_are() {
        // Beta(1, 1) is uniform, Beta(½, ½) is the arcsine law, Beta(2, 2) has 3x² − 2x³.
        let (uniform, arcsine, smooth) = (Beta::new(1.0), Beta::new(0.5), Beta::new(2.0));
        for at in 0..=CELLS {
            let share = at as f64 / CELLS as f64;
            let near =
                |got: u32, want: f64| assert!((f64::from(got) / 65_536.0 - want).abs() < 2e-5, "{at}: {got} {want}");
            near(uniform.0[at], share);
            near(arcsine.0[at], (std::f64::consts::FRAC_PI_2 * share).sin().powi(2));
            let x = f64::from(smooth.0[at]) / 65_536.0;
            assert!((3.0 * x * x - 2.0 * x * x * x - share).abs() < 3e-5, "{at}: {x}");
        }
    }

    #[test]
    fn draws_have_the_moments_of_the_distribution() {
        for alpha in [0.05, 0.2, 0.4, 1.0, 8.0, 100.0] {
            let beta = Beta::new(alpha);
            assert!(beta.0.is_sorted() && beta.0[CELLS] <= 65_536, "{alpha}");
            let draws: Vec<f64> = (0..1u32 << 18).map(|at| f64::from(beta.of(at << 14)) / 65_536.0).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / draws.len() as f64;
            let want = 0.25 / (2.0 * alpha + 1.0);
            assert!(
                (mean - 0.5).abs() < 1e-4 && (variance / want - 1.0).abs() < 1e-2,
                "{alpha}: {mean} {variance} {want}"
            );
        }
    }
}
