//! The confusion matrix, and the images that were classified worst.

use crate::canvas::{Canvas, Colour, TEXT, blend};
use crate::rows::Images;

const RIGHT: Colour = [86, 190, 220];
const WRONG: Colour = [255, 72, 96];
const CELL: Colour = [30, 34, 43];
const BRIGHT: Colour = [235, 238, 243];
const MARGIN: usize = 16;
/// The side of a cell of the matrix, and the longer side of an image, about.
const SIDE: usize = 44;
const IMAGE: usize = 84;
const HEAD: usize = 14;
const IMAGES_IN_LINE: usize = 8;
const LINES: usize = 4;

/// A test row that was taken for another class.
pub struct Miss {
    pub row: usize,
    pub actual: usize,
    pub predicted: usize,
    /// Of the actual class.
    pub probability: f64,
}

/// Draws the matrix, and beside it the images of the first of `misses`: above each its class and the one that it was taken
/// for. Classes that are no numbers are told by their places.
pub fn draw(classes: &[String], counts: &[Vec<usize>], misses: &[Miss], images: Option<&Images>) -> Canvas {
    let name = |class: usize| classes[class].parse().unwrap_or(class as u64);
    let matrix = MARGIN + 20 + classes.len() * SIDE;
    let shown = images.map(|images| (images, &misses[..misses.len().min(IMAGES_IN_LINE * LINES)]));
    let size = |images: &Images| {
        let (height, width) = (images.shape.height(), images.shape.width());
        let longer = height.max(width);
        if longer <= IMAGE {
            (height * (IMAGE / longer), width * (IMAGE / longer))
        } else {
            ((height * IMAGE / longer).max(1), (width * IMAGE / longer).max(1))
        }
    };
    let beside = shown.map_or(0, |(images, _)| IMAGES_IN_LINE * (size(images).1.max(40) + MARGIN) + MARGIN);
    let below = shown.map_or(0, |(images, _)| LINES * (HEAD + size(images).0 + MARGIN) + MARGIN);
    let mut canvas = Canvas::new((matrix + MARGIN).max(below), matrix + MARGIN + beside);
    for (actual, row) in counts.iter().enumerate() {
        let all = row.iter().sum::<usize>().max(1) as f64;
        let top = MARGIN + 20 + actual * SIDE;
        centred(&mut canvas, name(actual), (top, MARGIN), (SIDE, 20), RIGHT);
        centred(&mut canvas, name(actual), (MARGIN, MARGIN + 20 + actual * SIDE), (20, SIDE), TEXT);
        for (predicted, &count) in row.iter().enumerate() {
            let left = MARGIN + 20 + predicted * SIDE;
            let is_right = predicted == actual;
            let part = count as f64 / all;
            // A few in a hundred shall be seen.
            let part = if is_right { 0.75 * part } else { (4.0 * part).powf(0.6) };
            let colour = blend(CELL, if is_right { RIGHT } else { WRONG }, part);
            canvas.fill((top + 1, left + 1), (SIDE - 2, SIDE - 2), colour);
            if count > 0 {
                centred(&mut canvas, count as u64, (top, left), (SIDE, SIDE), BRIGHT);
            }
        }
    }
    if let Some((images, misses)) = shown {
        let (high, wide) = size(images);
        for (at, miss) in misses.iter().enumerate() {
            let top = MARGIN + at / IMAGES_IN_LINE * (HEAD + high + MARGIN);
            let left = matrix + 2 * MARGIN + at % IMAGES_IN_LINE * (wide.max(40) + MARGIN);
            let after = canvas.number(name(miss.actual), (top, left), RIGHT);
            canvas.number(name(miss.predicted), (top, after + 8), WRONG);
            image(&mut canvas, images, miss.row, (top + HEAD, left), (high, wide));
        }
    }
    canvas
}

/// Draws a number in the middle of a box.
fn centred(canvas: &mut Canvas, number: u64, corner: (usize, usize), size: (usize, usize), colour: Colour) {
    let wide = 8 * number.to_string().len() - 2;
    let at = (corner.0 + size.0.saturating_sub(10) / 2, corner.1 + size.1.saturating_sub(wide) / 2);
    canvas.number(number, at, colour);
}

fn image(canvas: &mut Canvas, images: &Images, row: usize, corner: (usize, usize), (high, wide): (usize, usize)) {
    let (height, width, channels) = (images.shape.height(), images.shape.width(), images.shape.channels());
    let values = &images.values[row * images.shape.values()..][..images.shape.values()];
    for (y, x) in (0..high).flat_map(|y| (0..wide).map(move |x| (y, x))) {
        let at = ((y * height / high) * width + x * width / wide) * channels;
        let colour = if channels < 3 { [values[at]; 3] } else { [values[at], values[at + 1], values[at + 2]] };
        canvas.dot(corner.0 + y, corner.1 + x, colour);
    }
}
