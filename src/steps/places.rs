//! What a step that moves pixels does to a mask and to a box beside the image.

use super::Step;
use crate::base::shape::ImageShape;

/// A box as left, top, right and bottom, in pixels from the upper left corner of the image.
pub(crate) type Rect = [f64; 4];

impl Step {
    /// The step for a mask of the image, whose values are not to be mixed; `None` if it moves no pixels.
    pub(crate) fn for_mask(&self, from: ImageShape) -> Option<Step> {
        match *self {
            Step::FlipX {} | Step::FlipY {} | Step::Crop { .. } | Step::Affine { .. } => Some(*self),
            Step::AffineBilinear { a, b, c, d, e, f } => Some(Step::Affine { a, b, c, d, e, f }),
            Step::CropResize { y, x, height, width, to_height, to_width } => {
                Some(Step::CropResizeNearest { y, x, height, width, to_height, to_width })
            }
            Step::Resize { height: to_height, width: to_width, .. } => {
                let (height, width) = (from.height() as i32, from.width() as i32);
                Some(Step::CropResizeNearest { y: 0, x: 0, height, width, to_height, to_width })
            }
            _ => None,
        }
    }

    /// Where a box of the image is afterwards, clipped to the new image; `None` if nothing of it is left. Where the image
    /// is turned or sheared, it is the smallest box around the four corners.
    pub(crate) fn for_box(&self, from: ImageShape, [left, top, right, bottom]: Rect) -> Option<Rect> {
        let (height, width) = (from.height() as f64, from.width() as f64);
        let moved = match *self {
            Step::FlipX {} => [width - right, top, width - left, bottom],
            Step::FlipY {} => [left, height - bottom, right, height - top],
            Step::Crop { y, x, .. } => {
                let (y, x) = (f64::from(y), f64::from(x));
                [left - x, top - y, right - x, bottom - y]
            }
            Step::CropResize { y, x, height, width, to_height, to_width } => {
                let (down, along) = (f64::from(to_height) / f64::from(height), f64::from(to_width) / f64::from(width));
                let (y, x) = (f64::from(y), f64::from(x));
                [(left - x) * along, (top - y) * down, (right - x) * along, (bottom - y) * down]
            }
            Step::Resize { height: to_height, width: to_width, .. } => {
                let (down, along) = (f64::from(to_height) / height, f64::from(to_width) / width);
                [left * along, top * down, right * along, bottom * down]
            }
            Step::Affine { a, b, c, d, e, f } | Step::AffineBilinear { a, b, c, d, e, f } => {
                let [a, b, c, d, e, f] = [a, b, c, d, e, f].map(|number| f64::from(number) / 65_536.0);
                // From the centre of the first pixel to its corner; then the map the other way round.
                let (c, f) = (c - (a + b) / 2.0, f - (d + e) / 2.0);
                let size = a * e - b * d;
                let corners = [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| {
                    let (x, y) = (x - c, y - f);
                    ((e * x - b * y) / size, (a * y - d * x) / size)
                });
                let start = (f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY);
                let (left, top, right, bottom) = corners.iter().fold(start, |(left, top, right, bottom), (x, y)| {
                    (left.min(*x), top.min(*y), right.max(*x), bottom.max(*y))
                });
                [left, top, right, bottom]
            }
            _ => return Some([left, top, right, bottom]),
        };
        let to = self.shape(from);
        let (height, width) = (to.height() as f64, to.width() as f64);
        let [left, top, right, bottom] = moved;
        let clipped =
            [left.clamp(0.0, width), top.clamp(0.0, height), right.clamp(0.0, width), bottom.clamp(0.0, height)];
        (clipped[0] < clipped[2] && clipped[1] < clipped[3]).then_some(clipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::Workspace;

    /// A filled box and its mask go through each step: the box lies around what is left of the mask.
    #[test]
    fn boxes_lie_around_the_pixels_they_are_of() {
        let from = ImageShape::gray(40, 50).unwrap();
        let (left, top, right, bottom) = (12usize, 9usize, 33usize, 27usize);
        let inside = |at: usize| (top..bottom).contains(&(at / 50)) && (left..right).contains(&(at % 50));
        let mask: Vec<u8> = (0..from.values()).map(|at| u8::from(inside(at))).collect();
        let turned = [60_547, 25_080, -300_000, -25_080, 60_547, 700_000];
        let [a, b, c, d, e, f] = turned;
        for step in [
            Step::FlipX {},
            Step::FlipY {},
            Step::Crop { y: 5, x: -4, height: 40, width: 50 },
            Step::Crop { y: 20, x: 20, height: 10, width: 30 },
            Step::Affine { a: 65_536, b: 20_000, c: 42_768, d: 0, e: 65_536, f: 32_768 },
            Step::AffineBilinear { a, b, c, d, e, f },
            Step::CropResize { y: 3, x: 8, height: 30, width: 40, to_height: 61, to_width: 83 },
            Step::Resize { height: 20, width: 100, area: 0 },
            Step::Invert {},
        ] {
            let moved = step.for_mask(from).unwrap_or(Step::Identity {});
            let to = moved.shape(from);
            assert_eq!(to, step.shape(from), "{step}");
            let mut new = vec![0; to.values()];
            moved.apply(from, &mask, &mut new, &mut Workspace::default());
            let places: Vec<_> =
                (0..new.len()).filter(|at| new[*at] == 1).map(|at| (at / to.width(), at % to.width())).collect();
            let got = step.for_box(from, [left as f64, top as f64, right as f64, bottom as f64]).unwrap();
            let want = [
                places.iter().map(|(_, x)| *x).min().unwrap() as f64,
                places.iter().map(|(y, _)| *y).min().unwrap() as f64,
                places.iter().map(|(_, x)| *x).max().unwrap() as f64 + 1.0,
                places.iter().map(|(y, _)| *y).max().unwrap() as f64 + 1.0,
            ];
            for side in 0..4 {
                // Sides of a pixel count from centres in one and from edges in the other.
                assert!((got[side] - want[side]).abs() < 2.5, "{step}: {got:?}, {want:?}");
            }
        }
    }

    #[test]
    fn a_box_that_is_cut_away_is_gone() {
        let from = ImageShape::gray(10, 10).unwrap();
        let cut = Step::Crop { y: 0, x: 5, height: 10, width: 5 };
        assert_eq!(cut.for_box(from, [0.0, 0.0, 5.0, 5.0]), None);
        assert_eq!(cut.for_box(from, [0.0, 0.0, 6.0, 5.0]), Some([0.0, 0.0, 1.0, 5.0]));
    }
}
