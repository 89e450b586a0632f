//! The moments by their definition.

use crate::base::pixels::PixelSlice;
use crate::features::family::ImageSpec;

/// The values of every channel.
pub(super) fn expected(of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
    let sums = |channel: usize| {
        let at = |i: usize| i * of.shape.channels() + channel;
        let pixels = 0..of.shape.pixels();
        match image {
            PixelSlice::U8(image) => integers(of, &pixels.map(|i| i128::from(image[at(i)])).collect::<Vec<_>>()),
            PixelSlice::U16(image) => integers(of, &pixels.map(|i| i128::from(image[at(i)])).collect::<Vec<_>>()),
            PixelSlice::F32(image) => floats(of, &pixels.map(|i| f64::from(image[at(i)])).collect::<Vec<_>>()),
        }
    };
    (0..of.shape.channels()).flat_map(|channel| values(sums(channel), of.scale)).collect()
}

/// Σ (y − cy)ʲ·(x − cx)ᵏ·p, at `[j][k]`, about the pixel (cy, cx) that is nearest to the centroid.
fn integers(of: ImageSpec, pixels: &[i128]) -> [[f64; 4]; 4] {
    let (mut mass, mut by_y, mut by_x) = (0, 0, 0);
    for (y, row) in pixels.chunks(of.shape.width()).enumerate() {
        for (x, p) in row.iter().enumerate() {
            mass += p;
            by_y += y as i128 * p;
            by_x += x as i128 * p;
        }
    }
    let nearest = |sum: i128| if mass == 0 { 0 } else { (2 * sum + mass) / (2 * mass) };
    let mut sums = [[0i128; 4]; 4];
    for (y, row) in pixels.chunks(of.shape.width()).enumerate() {
        // Σ (x − cx)ᵏ·p of the row.
        let mut of_row = [0i128; 4];
        for (x, p) in row.iter().enumerate() {
            let dx = x as i128 - nearest(by_x);
            let terms = [*p, dx * p, dx * dx * p, dx * dx * dx * p];
            of_row.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
        let dy = y as i128 - nearest(by_y);
        for (sums, power) in sums.iter_mut().zip([1, dy, dy * dy, dy * dy * dy]) {
            sums.iter_mut().zip(of_row).for_each(|(sum, of_row)| *sum += power * of_row);
        }
    }
    sums.map(|sums| sums.map(|sum| sum as f64))
}

/// The same about the centroid itself.
fn floats(of: ImageSpec, pixels: &[f64]) -> [[f64; 4]; 4] {
    let width = of.shape.width();
    let mass: f64 = pixels.iter().sum();
    let cy = pixels.iter().enumerate().map(|(i, p)| (i / width) as f64 * p).sum::<f64>() / mass;
    let cx = pixels.iter().enumerate().map(|(i, p)| (i % width) as f64 * p).sum::<f64>() / mass;
    let mut sums = [[0.0; 4]; 4];
    for (i, p) in pixels.iter().enumerate() {
        let (dy, dx) = ((i / width) as f64 - cy, (i % width) as f64 - cx);
        for (sums, by_y) in sums.iter_mut().zip([1.0, dy, dy * dy, dy * dy * dy]) {
            for (sum, by_x) in sums.iter_mut().zip([1.0, dx, dx * dx, dx * dx * dx]) {
                *sum += by_y * by_x * p;
            }
        }
    }
    sums
}

/// From such sums to the values, step by step as the definition has them.
fn values(sums: [[f64; 4]; 4], scale: f64) -> [f32; 14] {
    let [[m00, m10, m20, m30], [m01, m11, m21, _], [m02, m12, ..], [m03, ..]] = sums;
    if m00.is_nan() || m00 <= 0.0 {
        return [0.0; 14];
    }
    let (dx, dy) = (m10 / m00, m01 / m00);
    let mu20 = m20 - dx * m10;
    let mu11 = m11 - dx * m01;
    let mu02 = m02 - dy * m01;
    let mu30 = m30 - 3.0 * dx * m20 + 2.0 * dx * dx * m10;
    let mu21 = m21 - 2.0 * dx * m11 - dy * m20 + 2.0 * dx * dx * m01;
    let mu12 = m12 - 2.0 * dy * m11 - dx * m02 + 2.0 * dy * dy * m10;
    let mu03 = m03 - 3.0 * dy * m02 + 2.0 * dy * dy * m01;
    // Pixels are divided by the scale: μ₀₀ is, and so is each μ.
    let mass = m00 / scale;
    let by_second = |mu: f64| mu / (scale * (mass * mass));
    let by_third = |mu: f64| mu / (scale * (mass * mass) * mass.sqrt());
    let [n20, n11, n02] = [mu20, mu11, mu02].map(by_second);
    let [n30, n21, n12, n03] = [mu30, mu21, mu12, mu03].map(by_third);
    // As Hu wrote them.
    let (a, b, c, d) = (n30 + n12, n21 + n03, n30 - 3.0 * n12, 3.0 * n21 - n03);
    let e = a * (a * a - 3.0 * (b * b));
    let f = b * (3.0 * (a * a) - b * b);
    let all = [
        n20,
        n11,
        n02,
        n30,
        n21,
        n12,
        n03,
        n20 + n02,
        (n20 - n02) * (n20 - n02) + 4.0 * n11 * n11,
        c * c + d * d,
        a * a + b * b,
        c * e + d * f,
        (n20 - n02) * (a * a - b * b) + 4.0 * n11 * a * b,
        d * e - c * f,
    ];
    all.map(|value| (value as f32).clamp(-f32::MAX, f32::MAX))
}
