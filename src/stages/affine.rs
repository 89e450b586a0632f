//! Images turned, sheared, moved and scaled.

use crate::base::error::{Error, Result};
use crate::base::philox::{Chance, Stream};
use crate::base::shape::{ImageShape, PixelType};
use crate::stages::grammar::Span;
use crate::stages::{Arguments, Format, Operation, Written};
use crate::steps::Step;

/// `affine(rotate=DEGREES,shear=DEGREES,translate=SHARE,scale=LOW..HIGH,filter=NAME,p=P)`: turns, shears, moves and scales
/// an image about its centre, with probability P (1). The shape stays; what comes from outside the image is 0.
///
/// The angles are uniform from −DEGREES to DEGREES; the shear has one angle along x and one along y. The image moves by a
/// share of its sides of up to SHARE, in whole pixels, and its size is multiplied by a factor from `scale` (1). The filter
/// is `nearest` (the default, as Pillow's `NEAREST`) or `bilinear`, for 8 and 16-bit pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    rotate: f64,
    shear: f64,
    translate: f64,
    scale: Span,
    bilinear: bool,
    chance: Chance,
}

const SCALE: Span = Span { low: 1.0, high: 1.0 };

impl Operation for Affine {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        Ok(Self {
            rotate: arguments.number("rotate", 0.0..=180.0)?.unwrap_or(0.0),
            shear: arguments.number("shear", 0.0..=60.0)?.unwrap_or(0.0),
            translate: arguments.number("translate", 0.0..=1.0)?.unwrap_or(0.0),
            scale: arguments.range("scale", 0.1..=10.0)?.unwrap_or(SCALE),
            bilinear: arguments
                .text("filter", "nearest or bilinear", |text| match text {
                    "nearest" => Some(false),
                    "bilinear" => Some(true),
                    _ => None,
                })?
                .unwrap_or(false),
            chance: arguments.chance()?,
        })
    }

    fn write(&self, out: &mut Written) {
        out.named("rotate", self.rotate, 0.0).named("shear", self.shear, 0.0);
        out.named("translate", self.translate, 0.0).named("scale", self.scale, SCALE);
        out.named("filter", if self.bilinear { "bilinear" } else { "nearest" }, "nearest").chance(self.chance);
    }

    fn check(&self, from: Format) -> Result<()> {
        if self.bilinear && from.pixel_type == PixelType::F32 {
            let why = "bilinear is for 8 and 16-bit pixels".to_owned();
            return Err(Error::InvalidOption { option: "affine", why });
        }
        let shear = 1.0 + libm::tan(radians(self.shear));
        fits("affine", from.shape, shear * shear / self.scale.low)
    }

    fn draw(&self, from: Format, stream: &mut Stream, steps: &mut impl Extend<Step>) {
        if !stream.happens(self.chance) {
            return;
        }
        let mut angle = |reach: f64| radians(stream.uniform(-reach, reach));
        let [turn, shear_x, shear_y] = [angle(self.rotate), angle(self.shear), angle(self.shear)];
        let scale = stream.uniform(self.scale.low, self.scale.high);
        let (height, width) = (from.shape.height() as f64, from.shape.width() as f64);
        let mut shift = |side: f64| stream.uniform(-self.translate * side, self.translate * side).round_ties_even();
        let (right, down) = (shift(width), shift(height));
        // torchvision's inverse of: shear, turn and scale about the centre, then move.
        let (sin, cos) =
            (libm::sin(turn - shear_y) / libm::cos(shear_y), libm::cos(turn - shear_y) / libm::cos(shear_y));
        let a = cos;
        let b = -cos * libm::tan(shear_x) - libm::sin(turn);
        let c = sin;
        let d = -sin * libm::tan(shear_x) + libm::cos(turn);
        let linear = [d / scale, -b / scale, -c / scale, a / scale];
        let map = Map::about(linear, [width / 2.0, height / 2.0], [right, down]);
        steps.extend([if self.bilinear { map.bilinear() } else { map.nearest() }]);
    }

    /// Values only change their places, unless they are interpolated.
    #[cfg(feature = "gpu")]
    fn on_device(&self, pixel_type: PixelType) -> bool {
        !self.bilinear || pixel_type != PixelType::F32
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["rotate=30", "shear=20,translate=0.2,scale=0.5..2", "rotate=90,filter=bilinear,p=0.7"]
    }
}

/// An angle of degrees in radians.
pub(super) fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

/// Fails if places in an image of this shape leave 16.16 fixed point under a map of coefficients up to `largest`.
pub(super) fn fits(option: &'static str, shape: ImageShape, largest: f64) -> Result<()> {
    if (shape.height() + shape.width()) as f64 * largest < 16_000.0 {
        return Ok(());
    }
    let why = format!("images of {shape} are too large for it: places in them leave 16-bit fixed point");
    Err(Error::InvalidOption { option, why })
}

/// Where the pixel at a place comes from: column a·x + b·y + c and row d·x + e·y + f, of corners of pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Map([f64; 6]);

impl Map {
    /// Pixels come from (a·x + b·y, d·x + e·y), where `linear` is a, b, d, e and both places count from `centre`, after the
    /// image has moved by `shift`.
    pub fn about([a, b, d, e]: [f64; 4], [x, y]: [f64; 2], [right, down]: [f64; 2]) -> Self {
        let (from_x, from_y) = (-x - right, -y - down);
        Self([a, b, a * from_x + b * from_y + x, d, e, d * from_x + e * from_y + y])
    }

    /// In fixed point, as Pillow's `transform` has it: c and f are those of the centre of the first pixel.
    fn fixed(self) -> [i32; 6] {
        let [a, b, c, d, e, f] = self.0;
        // Rounded down without a call.
        let fix = |value: f64| {
            let scaled = value * 65_536.0 + 0.5;
            let whole = scaled as i32;
            whole.saturating_sub(i32::from(f64::from(whole) > scaled))
        };
        [fix(a), fix(b), fix(c + a * 0.5 + b * 0.5), fix(d), fix(e), fix(f + d * 0.5 + e * 0.5)]
    }

    pub fn nearest(self) -> Step {
        let [a, b, c, d, e, f] = self.fixed();
        Step::Affine { a, b, c, d, e, f }
    }

    pub fn bilinear(self) -> Step {
        let [a, b, c, d, e, f] = self.fixed();
        Step::AffineBilinear { a, b, c, d, e, f }
    }
}
