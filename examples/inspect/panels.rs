//! What is drawn of an image: one panel for itself, with its profiles and moments, and one for each other kind of feature.

use std::ops::Range;

use pixelfeat::{Feature, ImageShape};

use super::canvas::{Canvas, Colour, GROUND, blend};
use super::shapes::{cross, line};
use super::values::ListBlock;

const STRIP: Colour = [30, 34, 43];
const CENTRE: Colour = [255, 72, 96];
const ELLIPSE: Colour = [255, 196, 87];
const STROKE: Colour = [255, 170, 60];
/// Values of a gray image, and of the channels of others.
const COLOURS: [Colour; 5] = [[86, 190, 220], [240, 100, 100], [110, 210, 120], [100, 140, 250], [170, 170, 170]];

/// The room beside an image for its profiles, and between things.
pub const PROFILE: usize = 28;
pub const GAP: usize = 2;

/// An image and its values.
pub struct View<'a> {
    pub shape: ImageShape,
    /// The values that are black and white.
    pub range: (f64, f64),
    pub values: &'a [f64],
    pub features: &'a [f32],
}

/// A panel. Ranges are those of the values of each channel in the feature list.
#[derive(Debug, PartialEq)]
pub enum Panel {
    Image {
        /// Of rows, columns and centroid.
        profiles: Vec<[Range<usize>; 3]>,
        moments: Vec<Range<usize>>,
    },
    Zones {
        rows: usize,
        columns: usize,
        channels: Vec<Range<usize>>,
    },
    /// Windows with eight directions each, as `gradients` has them.
    Strokes(Vec<Range<usize>>),
    /// Histograms, one below another.
    Bars(Vec<Vec<Range<usize>>>),
}

/// The panels of a feature set.
pub fn panels(shape: ImageShape, blocks: &[ListBlock]) -> Vec<Panel> {
    let of = |name: &str| -> Vec<Range<usize>> {
        let prefixed = |channel: usize| match shape.channels() {
            1 => name.to_owned(),
            _ => format!("c{channel}_{name}"),
        };
        let found = |channel| blocks.iter().find(|block| block.name == prefixed(channel));
        (0..shape.channels()).filter_map(found).map(|block| block.range.clone()).collect()
    };
    let profiles = of("row_sums").into_iter().zip(of("col_sums")).zip(of("centroid"));
    let profiles = profiles.map(|((rows, columns), centroid)| [rows, columns, centroid]).collect();
    let mut panels = vec![Panel::Image { profiles, moments: of("central_moments") }];
    let grid = blocks.iter().find_map(|block| match block.feature {
        Feature::Zones(zones) => Some(zones),
        _ => None,
    });
    if let Some(zones) = grid {
        let (rows, columns) = (zones.grid_rows(), zones.grid_columns());
        panels.push(Panel::Zones { rows, columns, channels: of("zones") });
    }
    // One block for the whole image, or one for each channel.
    let whole = blocks.iter().find(|block| block.name == "gradients").map(|block| block.range.clone());
    let gradients = whole.map_or_else(|| of("gradients"), |range| vec![range]);
    if !gradients.is_empty() {
        panels.push(Panel::Strokes(gradients));
    }
    let bars: Vec<_> = ["histogram", "texture_histogram", "lbp"].iter().map(|name| of(name)).collect();
    let bars: Vec<_> = bars.into_iter().filter(|channels| !channels.is_empty()).collect();
    if !bars.is_empty() {
        panels.push(Panel::Bars(bars));
    }
    panels
}

impl Panel {
    /// What it needs beside and below the image.
    pub fn around(&self) -> usize {
        match self {
            Panel::Image { profiles, .. } if !profiles.is_empty() => GAP + PROFILE,
            _ => 0,
        }
    }

    pub fn draw(&self, view: &View<'_>, corner: (usize, usize), size: (usize, usize), canvas: &mut Canvas) {
        match self {
            Panel::Image { profiles, moments } => {
                view.image(corner, size, 1.0, canvas);
                for (channel, [rows, columns, centroid]) in profiles.iter().enumerate() {
                    view.profiles([rows, columns, centroid], channel, corner, size, canvas);
                }
                for (channel, moments) in moments.iter().enumerate() {
                    view.ellipse(&view.features[moments.clone()], channel, corner, size, canvas);
                }
            }
            Panel::Zones { rows, columns, channels } => view.zones((*rows, *columns), channels, corner, size, canvas),
            Panel::Strokes(channels) => {
                view.image(corner, size, 0.45, canvas);
                for (channel, range) in channels.iter().enumerate() {
                    let colour = if channels.len() == 1 { STROKE } else { COLOURS[1 + channel] };
                    strokes(&view.features[range.clone()], corner, size, colour, canvas);
                }
            }
            Panel::Bars(histograms) => {
                let high = (size.0 + GAP) / histograms.len() - GAP;
                for (at, channels) in histograms.iter().enumerate() {
                    let top = corner.0 + at * (high + GAP);
                    canvas.fill((top, corner.1), (high, size.1), STRIP);
                    for (channel, range) in channels.iter().enumerate() {
                        let colour = if channels.len() == 1 { COLOURS[0] } else { COLOURS[1 + channel] };
                        histogram(&view.features[range.clone()], (top, corner.1), (high, size.1), colour, canvas);
                    }
                }
            }
        }
    }
}

impl View<'_> {
    /// The image; `light` of 1 as it is, less to stand behind something.
    fn image(&self, corner: (usize, usize), (high, wide): (usize, usize), light: f64, canvas: &mut Canvas) {
        let (height, width, channels) = (self.shape.height(), self.shape.width(), self.shape.channels());
        let (low, highest) = self.range;
        for (y, x) in (0..high).flat_map(|y| (0..wide).map(move |x| (y, x))) {
            let at = ((y * height / high) * width + x * width / wide) * channels;
            let value = |c: usize| {
                let part = (self.values[at + c] - low) / (highest - low).max(1e-300);
                (255.0 * light * part).round() as u8
            };
            let colour = if channels < 3 { [value(0); 3] } else { [value(0), value(1), value(2)] };
            canvas.dot(corner.0 + y, corner.1 + x, colour);
        }
    }

    fn profiles(
        &self,
        [rows, columns, centroid]: [&Range<usize>; 3],
        channel: usize,
        (top, left): (usize, usize),
        (high, wide): (usize, usize),
        canvas: &mut Canvas,
    ) {
        let (alone, below, beside) = (self.shape.channels() == 1, top + high + GAP, left + wide + GAP);
        let colour = if alone { COLOURS[0] } else { COLOURS[1 + channel] };
        if channel == 0 {
            canvas.fill((top, beside), (high, PROFILE), STRIP);
            canvas.fill((below, left), (PROFILE, wide), STRIP);
        }
        for (y, length) in bars(&self.features[rows.clone()], high, PROFILE).enumerate() {
            // Lines where there are several channels, so that each is seen.
            match alone {
                true => canvas.fill((top + y, beside), (1, length), colour),
                false => canvas.dot(top + y, beside + length.saturating_sub(1), colour),
            }
        }
        for (x, length) in bars(&self.features[columns.clone()], wide, PROFILE).enumerate() {
            match alone {
                true => canvas.fill((below, left + x), (length, 1), colour),
                false => canvas.dot(below + length.saturating_sub(1), left + x, colour),
            }
        }
        // A centroid is that of the pixels' upper left corners, in sides.
        let at = |part: f32, side: usize, drawn: usize| {
            let middle = (f64::from(part) + 0.5 / side as f64) * drawn as f64;
            (middle.max(0.0) as usize).min(drawn - 1)
        };
        let (cy, cx) = (self.features[centroid.start], self.features[centroid.start + 1]);
        let (y, x) = (at(cy, self.shape.height(), high), at(cx, self.shape.width(), wide));
        cross(canvas, (top, left), (high, wide), (y, x), if alone { CENTRE } else { colour });
    }

    /// The ellipse that has the second moments of a channel, about its centroid. Both its mass and its centroid are those of
    /// the pixels: the moments are free of them.
    fn ellipse(
        &self,
        nu: &[f32],
        channel: usize,
        corner: (usize, usize),
        (high, wide): (usize, usize),
        canvas: &mut Canvas,
    ) {
        let (width, channels) = (self.shape.width(), self.shape.channels());
        let pixels = || self.values.iter().skip(channel).step_by(channels).enumerate();
        let mass: f64 = pixels().map(|(_, p)| p).sum();
        if mass <= 0.0 {
            return;
        }
        let y = pixels().map(|(i, p)| (i / width) as f64 * p).sum::<f64>() / mass + 0.5;
        let x = pixels().map(|(i, p)| (i % width) as f64 * p).sum::<f64>() / mass + 0.5;
        // Only the shape of the ellipse is that of ν: its size would need the scale, so that the second moment of y, of x
        // and of both are taken in their proportion and its area is that of the pixels' spread.
        let spread = pixels().map(|(i, p)| ((i % width) as f64 + 0.5 - x).powi(2) * p).sum::<f64>() / mass
            + pixels().map(|(i, p)| ((i / width) as f64 + 0.5 - y).powi(2) * p).sum::<f64>() / mass;
        let [xx, xy, yy] = [nu[0], nu[1], nu[2]].map(f64::from);
        let unit = spread / (xx + yy).max(1e-300);
        let turn = 0.5 * (2.0 * xy).atan2(xx - yy);
        let apart = ((xx - yy).powi(2) + 4.0 * xy * xy).sqrt();
        let axis = |sign: f64| 2.0 * ((xx + yy + sign * apart) / 2.0 * unit).max(0.0).sqrt();
        let (long, short) = (axis(1.0), axis(-1.0));
        let (by_y, by_x) = (high as f64 / self.shape.height() as f64, wide as f64 / width as f64);
        let within = |value: f64, side: usize| value.clamp(1.0, side as f64 - 1.0);
        let point = |step: usize| {
            let angle = step as f64 / 48.0 * std::f64::consts::TAU;
            let (u, v) = (long * angle.cos(), short * angle.sin());
            let (dy, dx) = (u * turn.sin() + v * turn.cos(), u * turn.cos() - v * turn.sin());
            (corner.0 as f64 + within((y + dy) * by_y, high), corner.1 as f64 + within((x + dx) * by_x, wide))
        };
        let colour = if channels == 1 { ELLIPSE } else { COLOURS[1 + channel] };
        (0..48).for_each(|step| line(canvas, point(step), point(step + 1), 1.5, colour, 0.9));
    }

    fn zones(
        &self,
        (rows, columns): (usize, usize),
        channels: &[Range<usize>],
        corner: (usize, usize),
        (high, wide): (usize, usize),
        canvas: &mut Canvas,
    ) {
        let all = channels.iter().flat_map(|range| &self.features[range.clone()]);
        let highest = all.fold(f32::MIN_POSITIVE, |highest, &value| highest.max(value));
        for (y, x) in (0..high).flat_map(|y| (0..wide).map(move |x| (y, x))) {
            let value = |channel: usize| {
                let at = channels[channel].start + (y * rows / high) * columns + x * columns / wide;
                f64::from((self.features[at] / highest).clamp(0.0, 1.0))
            };
            let colour = match channels.len() {
                1 | 2 => blend(STRIP, COLOURS[0], value(0)),
                _ => [0, 1, 2].map(|channel| (255.0 * value(channel)) as u8),
            };
            // The grid, where it does not hide the cells.
            let fine = |places: usize, parts: usize| places >= 4 * parts;
            let edge =
                |at: usize, places: usize, parts: usize| at > 0 && at * parts / places != (at - 1) * parts / places;
            let on_grid = fine(high, rows) && edge(y, high, rows) || fine(wide, columns) && edge(x, wide, columns);
            canvas.dot(corner.0 + y, corner.1 + x, if on_grid { GROUND } else { colour });
        }
    }
}

/// In each window a stroke for each of eight directions in which the brightness rises: as long as it rises.
fn strokes(values: &[f32], corner: (usize, usize), (high, wide): (usize, usize), colour: Colour, canvas: &mut Canvas) {
    let side = (values.len() / 8).isqrt();
    let highest = values.iter().fold(f32::MIN_POSITIVE, |highest, &value| highest.max(value));
    let reach = 0.8 * high.min(wide) as f64 / (side + 1) as f64;
    for (window, values) in values.chunks_exact(8).enumerate() {
        let place = |at: usize, places: usize| (at + 1) as f64 / (side + 1) as f64 * places as f64;
        let y = corner.0 as f64 + place(window / side.max(1), high);
        let x = corner.1 as f64 + place(window % side.max(1), wide);
        for (direction, &value) in values.iter().enumerate() {
            let part = f64::from((value / highest).clamp(0.0, 1.0));
            // From the right clockwise, for y grows downwards.
            let (sin, cos) = (direction as f64 * std::f64::consts::FRAC_PI_4).sin_cos();
            if part > 0.02 {
                line(canvas, (y, x), (y + reach * part * sin, x + reach * part * cos), 1.6, colour, 0.35 + 0.65 * part);
            }
        }
    }
}

/// Bars from below, the largest as long as there is room.
fn histogram(
    values: &[f32],
    corner: (usize, usize),
    (high, wide): (usize, usize),
    colour: Colour,
    canvas: &mut Canvas,
) {
    for (x, length) in bars(values, wide, high).enumerate() {
        let edge = x > 0 && x * values.len() / wide != (x - 1) * values.len() / wide && wide >= 3 * values.len();
        if !edge {
            canvas.fill((corner.0 + high - length, corner.1 + x), (length, 1), colour);
        }
    }
}

/// Values as the length of a bar for each of `places`, the largest as long as there is room.
fn bars(values: &[f32], places: usize, room: usize) -> impl Iterator<Item = usize> {
    let largest = values.iter().fold(0.0f32, |largest, &value| largest.max(value)).max(f32::MIN_POSITIVE);
    (0..places).map(move |at| {
        let value = values[at * values.len() / places].max(0.0) / largest;
        (value * room as f32).round() as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &str, range: Range<usize>) -> ListBlock {
        let feature = "profiles".parse::<pixelfeat::FeatureSet>().unwrap().features()[0];
        ListBlock { feature, name: name.to_owned(), range, first: String::new(), last: String::new() }
    }

    #[test]
    fn strokes_point_to_where_it_is_brighter() {
        let shape: ImageShape = "10x10".parse().unwrap();
        let panels = panels(shape, &[block("gradients", 0..128)]);
        assert!(matches!(&panels[1], Panel::Strokes(values) if values.len() == 1 && values[0] == (0..128)));
        // Only the window at row 1 and column 2 has a value, downwards.
        let mut features = [0.0f32; 128];
        features[(4 + 2) * 8 + 2] = 0.7;
        let mut canvas = Canvas::new(100, 100);
        let view = View { shape, range: (0.0, 1.0), values: &[0.0; 100], features: &features };
        panels[1].draw(&view, (0, 0), (100, 100), &mut canvas);
        let lit = |y: usize, x: usize| canvas.dots[y * 100 + x][0] > 100;
        assert!(lit(42, 60) && lit(54, 60), "from the window's centre at (40, 60) 16 dots downwards");
        assert!(!lit(58, 60) && !lit(36, 60) && !lit(50, 64) && !lit(42, 40));
    }

    #[test]
    fn every_kind_of_block_has_a_panel() {
        let shape: ImageShape = "28x28x3".parse().unwrap();
        let set: pixelfeat::FeatureSet = "profiles,histogram:16,zones:4x5,texture,moments".parse().unwrap();
        let layout = set.layout(shape, 255.0).unwrap();
        let blocks = super::super::values::list_blocks(&layout);
        let panels = panels(shape, &blocks);
        let [Panel::Image { profiles, moments }, Panel::Zones { rows: 4, columns: 5, channels }, Panel::Bars(bars)] =
            &panels[..]
        else {
            panic!("{panels:?}")
        };
        assert_eq!((profiles.len(), moments.len(), channels.len(), bars.len()), (3, 3, 3, 3));
        let features = vec![0.5; layout.list_values()];
        let values = vec![100.0; shape.values()];
        let view = View { shape, range: (0.0, 255.0), values: &values, features: &features };
        let mut canvas = Canvas::new(200, 200);
        panels.iter().for_each(|panel| panel.draw(&view, (5, 5), (112, 112), &mut canvas));
        assert!(canvas.dots.iter().any(|&dot| dot != GROUND));
    }
}
