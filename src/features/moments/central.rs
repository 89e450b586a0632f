//! From sums about a point near the centroid to normalised central moments and Hu's invariants.

use super::binomials::{PARTS, place};

/// Values of a channel.
pub(super) const VALUES: usize = 14;

/// The values of a channel from its Σ (y − cy)ʲ·(x − cx)ᵏ·p about any point (cy, cx) near the centroid.
pub(super) fn values(sums: &[f64; PARTS], scale: f64) -> [f32; VALUES] {
    let m = |x: usize, y: usize| sums[place(y, x)];
    let total = m(0, 0);
    if total.is_nan() || total <= 0.0 {
        return [0.0; VALUES];
    }
    // From the point to the centroid.
    let (x, y) = (m(1, 0) / total, m(0, 1) / total);
    let mu = [
        m(2, 0) - x * m(1, 0),
        m(1, 1) - x * m(0, 1),
        m(0, 2) - y * m(0, 1),
        m(3, 0) - 3.0 * x * m(2, 0) + 2.0 * x * x * m(1, 0),
        m(2, 1) - 2.0 * x * m(1, 1) - y * m(2, 0) + 2.0 * x * x * m(0, 1),
        m(1, 2) - 2.0 * y * m(1, 1) - x * m(0, 2) + 2.0 * y * y * m(1, 0),
        m(0, 3) - 3.0 * y * m(0, 2) + 2.0 * y * y * m(0, 1),
    ];
    let mass = total / scale;
    let second = scale * (mass * mass);
    let third = second * mass.sqrt();
    let nu: [f64; 7] = std::array::from_fn(|i| mu[i] / if i < 3 { second } else { third });
    let hu = invariants(nu);
    std::array::from_fn(|i| within_f32(if i < 7 { nu[i] } else { hu[i - 7] }))
}

/// Hu's seven, in the form that needs the fewest products.
fn invariants([nu20, nu11, nu02, nu30, nu21, nu12, nu03]: [f64; 7]) -> [f64; 7] {
    let (apart, twice) = (nu20 - nu02, 4.0 * nu11);
    let (a, b) = (nu30 + nu12, nu21 + nu03);
    let (aa, bb) = (a * a, b * b);
    let (c, d) = (nu30 - 3.0 * nu12, 3.0 * nu21 - nu03);
    let (e, f) = (a * (aa - 3.0 * bb), b * (3.0 * aa - bb));
    [
        nu20 + nu02,
        apart * apart + twice * nu11,
        c * c + d * d,
        aa + bb,
        c * e + d * f,
        apart * (aa - bb) + twice * a * b,
        d * e - c * f,
    ]
}

/// Rounded to f32; what is beyond its range becomes its largest.
fn within_f32(value: f64) -> f32 {
    (value as f32).clamp(-f32::MAX, f32::MAX)
}
