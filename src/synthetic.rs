//! Seeded images that the crate draws itself: the demo's, the tests' and the benches' data.
//!
//! The same seed and row give the same image on every machine, whatever the batch size: only additions,
//! multiplications, divisions and square roots are used, which IEEE 754 rounds the same everywhere.

use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch, RecordBatchReader, UInt8Array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use rayon::prelude::*;

pub use crate::base::random::Random;

/// Side of a digit image, in pixels.
pub const SIDE: usize = 28;
const PIXELS: usize = SIDE * SIDE;

type Point = (f64, f64);

/// The strokes of 0 to 9 as (x, y) polylines in a unit square, y downwards.
const STROKES: [&[&[Point]]; 10] = [
    &[&[
        (0.5, 0.1),
        (0.74, 0.22),
        (0.8, 0.5),
        (0.72, 0.8),
        (0.5, 0.9),
        (0.28, 0.8),
        (0.2, 0.5),
        (0.28, 0.2),
        (0.5, 0.1),
    ]],
    &[&[(0.36, 0.26), (0.54, 0.1), (0.52, 0.9)]],
    &[&[(0.24, 0.28), (0.4, 0.12), (0.64, 0.14), (0.74, 0.32), (0.62, 0.54), (0.22, 0.88), (0.8, 0.86)]],
    &[&[
        (0.26, 0.16),
        (0.56, 0.1),
        (0.72, 0.26),
        (0.62, 0.44),
        (0.44, 0.48),
        (0.7, 0.56),
        (0.76, 0.76),
        (0.54, 0.9),
        (0.24, 0.84),
    ]],
    &[&[(0.58, 0.1), (0.2, 0.62), (0.82, 0.6)], &[(0.64, 0.36), (0.62, 0.92)]],
    &[&[(0.74, 0.12), (0.34, 0.12), (0.3, 0.46), (0.58, 0.44), (0.76, 0.62), (0.66, 0.84), (0.42, 0.9), (0.24, 0.82)]],
    &[&[(0.66, 0.1), (0.38, 0.3), (0.26, 0.62), (0.38, 0.88), (0.62, 0.88), (0.74, 0.7), (0.6, 0.52), (0.3, 0.6)]],
    &[&[(0.22, 0.14), (0.78, 0.12), (0.58, 0.46), (0.42, 0.9)]],
    &[&[
        (0.5, 0.48),
        (0.28, 0.3),
        (0.4, 0.12),
        (0.62, 0.12),
        (0.72, 0.3),
        (0.5, 0.48),
        (0.26, 0.68),
        (0.36, 0.88),
        (0.64, 0.88),
        (0.74, 0.68),
        (0.5, 0.48),
    ]],
    &[&[(0.72, 0.4), (0.46, 0.48), (0.28, 0.3), (0.42, 0.12), (0.66, 0.14), (0.72, 0.4), (0.66, 0.66), (0.48, 0.9)]],
];

/// Draws row `row` of `seed`: a digit of strokes, moved, sheared, scaled and of varying thickness. Returns its label.
pub fn digit(seed: u64, row: u64, pixels: &mut [u8; PIXELS]) -> u8 {
    let mut random = Random::new(seed, row);
    let label = (random.bits() % 10) as u8;
    let size = random.between(15.0, 20.0);
    let stretch = random.between(0.75, 1.05);
    let (shear, turn) = (random.between(-0.25, 0.25), random.between(-0.12, 0.12));
    let (dx, dy) = (random.between(-1.5, 1.5), random.between(-1.5, 1.5));
    let half_width = random.between(0.8, 1.6);
    let middle = (SIDE - 1) as f64 / 2.0;
    let mut wobble = || random.between(-0.03, 0.03);
    let mut place = |&(x, y): &Point| -> Point {
        let (x, y) = (x - 0.5 + wobble(), y - 0.5 + wobble());
        (middle + dx + size * stretch * (x - shear * y), middle + dy + size * (y + turn * x))
    };
    let mut ink = [0.0f64; PIXELS];
    for stroke in STROKES[label as usize] {
        let points: Vec<Point> = stroke.iter().map(&mut place).collect();
        for ends in points.windows(2) {
            draw(&mut ink, ends[0], ends[1], half_width);
        }
    }
    for (pixel, ink) in pixels.iter_mut().zip(ink) {
        *pixel = (ink * 255.0) as u8;
    }
    label
}

/// Darkens the pixels near a line by how much of them it covers, at most 1.
fn draw(ink: &mut [f64; PIXELS], a: Point, b: Point, half_width: f64) {
    let reach = half_width + 1.0;
    let span = |p: f64, q: f64| {
        let low = (p.min(q) - reach).max(0.0) as usize;
        let high = ((p.max(q) + reach).max(-1.0) + 1.0) as usize;
        low..high.min(SIDE)
    };
    let (vx, vy) = (b.0 - a.0, b.1 - a.1);
    let length2 = vx * vx + vy * vy;
    for y in span(a.1, b.1) {
        for x in span(a.0, b.0) {
            let (px, py) = (x as f64 - a.0, y as f64 - a.1);
            let along = if length2 > 0.0 { ((px * vx + py * vy) / length2).clamp(0.0, 1.0) } else { 0.0 };
            let (ox, oy) = (px - along * vx, py - along * vy);
            let cover = (half_width + 0.5 - (ox * ox + oy * oy).sqrt()).clamp(0.0, 1.0);
            let pixel = &mut ink[y * SIDE + x];
            *pixel = pixel.max(cover);
        }
    }
}

/// A reader of digit images: `image`, `FixedSizeList<UInt8>` of 784, and `label`, `Int64`, neither with nulls.
#[derive(Debug)]
pub struct Digits {
    seed: u64,
    next: u64,
    rows: u64,
    batch_rows: usize,
    schema: SchemaRef,
}

impl Digits {
    /// `rows` images of `seed`, `batch_rows` (at least 1) a batch.
    pub fn new(rows: u64, seed: u64, batch_rows: usize) -> Self {
        let image = DataType::FixedSizeList(item(), PIXELS as i32);
        let fields = vec![Field::new("image", image, false), Field::new("label", DataType::Int64, false)];
        Self { seed, next: 0, rows, batch_rows: batch_rows.max(1), schema: Arc::new(Schema::new(fields)) }
    }
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::UInt8, false))
}

impl Iterator for Digits {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = (self.rows - self.next).min(self.batch_rows as u64) as usize;
        if rows == 0 {
            return None;
        }
        let mut pixels = vec![0u8; rows * PIXELS];
        let mut labels = vec![0i64; rows];
        let (images, _) = pixels.as_chunks_mut::<PIXELS>();
        images.par_iter_mut().zip(&mut labels).enumerate().for_each(|(i, (image, label))| {
            *label = i64::from(digit(self.seed, self.next + i as u64, image));
        });
        self.next += rows as u64;
        let batch = FixedSizeListArray::try_new(item(), PIXELS as i32, Arc::new(UInt8Array::from(pixels)), None)
            .and_then(|images| {
                let columns: Vec<ArrayRef> = vec![Arc::new(images), Arc::new(Int64Array::from(labels))];
                RecordBatch::try_new(self.schema.clone(), columns)
            });
        Some(batch)
    }
}

impl RecordBatchReader for Digits {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_does_not_depend_on_the_batch_size() {
        let all = |batch_rows| {
            let batches: Vec<_> = Digits::new(50, 7, batch_rows).map(|b| b.unwrap()).collect();
            arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
        };
        let one = all(50);
        assert_eq!(one.num_rows(), 50);
        assert_eq!(one, all(1));
        assert_eq!(one, all(7));
    }

    #[test]
    fn digits_have_ink_and_every_label_comes_up() {
        let mut seen = [false; 10];
        for row in 0..200 {
            let mut pixels = [0u8; PIXELS];
            seen[digit(1, row, &mut pixels) as usize] = true;
            let inked = pixels.iter().filter(|&&p| p > 0).count();
            assert!((30..500).contains(&inked), "row {row} has {inked} dark pixels");
        }
        assert_eq!(seen, [true; 10]);
    }
}
