//! The plain formulas, step by step as the documentation of [`Gradients`](super::Gradients) has them: the oracle of the
//! tests.

use crate::base::pixels::PixelSlice;
use crate::features::family::ImageSpec;

/// The row of an image.
pub(super) fn expected(of: ImageSpec, image: PixelSlice<'_>) -> Vec<f32> {
    // Differences and sums of 8 and 16-bit pixels are exact in f64.
    let value = |i: usize| match image {
        PixelSlice::U8(pixels) => f64::from(pixels[i]),
        PixelSlice::U16(pixels) => f64::from(pixels[i]),
        PixelSlice::F32(pixels) => f64::from(pixels[i]),
    };
    let (h, w, channels) = (of.shape.height(), of.shape.width(), of.shape.channels());
    (0..channels).flat_map(|c| channel(h, w, of.scale, |y, x| value((y * w + x) * channels + c))).collect()
}

/// The 128 values of one channel.
fn channel(h: usize, w: usize, scale: f64, at: impl Fn(usize, usize) -> f64) -> Vec<f32> {
    let less = |a: f64, b: f64| (a - b).max(0.0);
    let mut cells = [[[0.0; 8]; 10]; 10];
    let (mut rows, mut columns) = ([0.0; 10], [0.0; 10]);
    for y in 0..h {
        for x in 0..w {
            let (left, right) = (at(y, x.max(1) - 1), at(y, (x + 1).min(w - 1)));
            let (up, down) = (at(y.max(1) - 1, x), at((y + 1).min(h - 1), x));
            let (xp, xn) = (less(right, left), less(left, right));
            let (yp, yn) = (less(down, up), less(up, down));
            let (a, b) = (xp + xn, yp + yn);
            let directions =
                [less(xp, b), xp.min(yp), less(yp, a), xn.min(yp), less(xn, b), xn.min(yn), less(yn, a), xp.min(yn)];
            for (sum, direction) in cells[10 * y / h][10 * x / w].iter_mut().zip(directions) {
                *sum += direction;
            }
        }
    }
    (0..h).for_each(|y| rows[10 * y / h] += 1.0);
    (0..w).for_each(|x| columns[10 * x / w] += 1.0);
    let weights = [1.0, 3.0, 3.0, 1.0];
    let mut values = Vec::new();
    for i in 0..4 {
        for j in 0..4 {
            let area =
                |counts: [f64; 10], first: usize| -> f64 { (0..4).map(|u| weights[u] * counts[first + u]).sum() };
            let area = area(rows, 2 * i) * area(columns, 2 * j);
            values.extend((0..8).map(|k| {
                let mut sum = 0.0;
                for u in 0..4 {
                    for v in 0..4 {
                        sum += weights[u] * weights[v] * cells[2 * i + u][2 * j + v][k];
                    }
                }
                if area == 0.0 { 0.0 } else { (sum / (scale * area)).sqrt() as f32 }
            }));
        }
    }
    values
}
