//! Normal noise, from a counter-based generator and a table.

use std::sync::OnceLock;

use super::neighbours::restore_alpha;
use super::{View, Whole};
use crate::base::philox::philox;

/// Cells of the table.
const CELLS: usize = 4096;

/// Quantiles of the normal distribution in 4,096ths. A draw of 16 bits is interpolated between two of them.
pub(super) struct Normal(Box<[i32; CELLS + 1]>);

impl Normal {
    /// The one table.
    pub fn shared() -> &'static Self {
        static TABLE: OnceLock<Normal> = OnceLock::new();
        TABLE.get_or_init(Self::new)
    }

    fn new() -> Self {
        let mut table = Box::new([0; CELLS + 1]);
        for (at, entry) in table.iter_mut().enumerate() {
            // The ends stand for the means of the outermost 65,536ths.
            let p = (at as f64 / CELLS as f64).clamp(1.0 / 131_072.0, 1.0 - 1.0 / 131_072.0);
            *entry = (quantile(p) * 4096.0).round() as i32;
        }
        Self(table)
    }

    /// The table as a device reads it.
    #[cfg(feature = "gpu")]
    pub fn words(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|entry| *entry as u32)
    }

    /// The normal draw of 16 bits, in 4,096ths.
    #[inline(always)]
    fn of(&self, bits: u32) -> i32 {
        let (cell, part) = ((bits >> 4) as usize & (CELLS - 1), (bits & 15) as i32);
        let (low, high) = (self.0[cell], self.0[cell + 1]);
        low + (((high - low) * part + 8) >> 4)
    }

    /// Adds `sigma` 65,536ths of the range times a draw to every colour. The draws of eight neighbouring values are the
    /// halves of the four words for their counter, low halves first.
    #[inline(always)]
    pub fn add<P: Whole>(&self, old: View<'_, P>, key: [u32; 2], sigma: i32, new: &mut [P]) {
        let shift = 28 - P::BITS;
        let pairs = old.pixels.chunks(8).zip(new.chunks_mut(8)).enumerate();
        for (block, (old, new)) in pairs {
            let words = philox([block as u32, 0, 0, 0], key);
            for (i, (old, new)) in old.iter().zip(new).enumerate() {
                let draw = self.of((words[i / 2] >> (16 * (i % 2))) & 0xffff);
                let noise = (draw * sigma + (1 << (shift - 1))) >> shift;
                *new = P::put((old.get() + noise).clamp(0, P::MAX));
            }
        }
        restore_alpha(old, new);
    }
}

/// The quantile of the standard normal distribution, with a relative error below 1.2·10⁻⁹.
///
/// P. J. Acklam: An algorithm for computing the inverse normal cumulative distribution function, 2003.
fn quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 5] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0];
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * libm::log(p)).sqrt();
        polynomial(&C, q) / polynomial(&D, q)
    };
    if p < 0.02425 {
        tail(p)
    } else if p > 1.0 - 0.02425 {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        q * polynomial(&A, q * q) / polynomial(&B, q * q)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_published_ones() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.01, -2.326_347_874), (0.999, 3.090_232_306)] {
            assert!((quantile(p) - z).abs() < 1e-8, "{p}: {}", quantile(p));
        }
    }

    #[test]
    fn the_table_is_symmetric_and_rises() {
        let table = Normal::new();
        let entries = &table.0;
        assert!(entries.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((0..=CELLS).all(|at| entries[at] == -entries[CELLS - at]));
    }

    #[test]
    fn draws_of_all_bits_have_mean_zero_and_variance_one() {
        let table = Normal::new();
        let draws: Vec<f64> = (0..1 << 16).map(|bits| f64::from(table.of(bits)) / 4096.0).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|z| z * z).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-2, "{mean} {variance}");
    }
}
