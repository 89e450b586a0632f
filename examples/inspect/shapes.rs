//! Lines and crosses on a picture.

use super::canvas::{Canvas, Colour, GROUND, blend};

/// Draws a line from one point (y, x) to another, `thick` dots thick. Where it crosses itself or others it is brighter.
pub fn line(canvas: &mut Canvas, start: (f64, f64), end: (f64, f64), thick: f64, colour: Colour, strength: f64) {
    let (dy, dx) = (end.0 - start.0, end.1 - start.1);
    let length = dy.hypot(dx).max(1e-9);
    let reach = thick / 2.0 + 1.0;
    let span = |a: f64, b: f64, side: usize| {
        let (low, high) = ((a.min(b) - reach).floor().max(0.0), (a.max(b) + reach).ceil().min(side as f64 - 1.0));
        low as usize..=(high.max(0.0) as usize)
    };
    for y in span(start.0, end.0, canvas.height()) {
        for x in span(start.1, end.1, canvas.width) {
            let (py, px) = (y as f64 + 0.5 - start.0, x as f64 + 0.5 - start.1);
            let along = ((py * dy + px * dx) / length).clamp(0.0, length);
            let beside = (py - along * dy / length).hypot(px - along * dx / length);
            // Soft edges.
            let cover = (thick / 2.0 + 0.5 - beside).clamp(0.0, 1.0);
            if cover > 0.0 {
                let dot = &mut canvas.dots[y * canvas.width + x];
                *dot = blend(*dot, colour, cover * strength);
            }
        }
    }
}

/// A cross with a dark edge, of which only what lies within the box is drawn.
pub fn cross(
    canvas: &mut Canvas,
    corner: (usize, usize),
    size: (usize, usize),
    centre: (usize, usize),
    colour: Colour,
) {
    const ARM: isize = 6;
    let mut within = |dy: isize, dx: isize, colour| {
        let (y, x) = (centre.0.checked_add_signed(dy), centre.1.checked_add_signed(dx));
        if let (Some(y), Some(x)) = (y.filter(|&y| y < size.0), x.filter(|&x| x < size.1)) {
            canvas.dot(corner.0 + y, corner.1 + x, colour);
        }
    };
    for edge in [true, false] {
        let (reach, thick) = if edge { (ARM + 1, 1) } else { (ARM, 0) };
        for along in -reach..=reach {
            for beside in -thick..=thick {
                let colour = if edge { GROUND } else { colour };
                within(along, beside, colour);
                within(beside, along, colour);
            }
        }
    }
}
