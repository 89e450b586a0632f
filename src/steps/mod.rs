//! What can be done to one image, in whole numbers.
//!
//! A [`Step`] is an operation with all that it needs to be applied: at most seven whole numbers. Stages draw steps, and
//! this room applies them. Nothing is drawn here. So whatever applies a step gives the same pixels, and a device needs no
//! more than [`Step::record`].

mod affine;
mod arithmetic;
mod colour;
#[cfg(feature = "gpu")]
pub(crate) mod device;
mod geometry;
pub(crate) mod mixed;
mod neighbours;
mod noise;
mod places;
mod points;
pub(crate) mod resample;
pub(crate) mod resized;
mod vector;

use std::fmt;

use self::vector::{Kernel, Vector, run_kernel};
use crate::base::pixels::Pixel;
use crate::base::shape::{ImageShape, PixelType};
use crate::base::simd::Level;

#[cfg(feature = "gpu")]
use self::arithmetic::LUMA_WEIGHTS;
pub use self::resample::Filter;

/// The words of a step as a device reads them: its code and seven arguments, which are two's complements.
pub const RECORD_WORDS: usize = 8;

macro_rules! steps {
    ($($(#[$about:meta])* $code:literal $name:literal $Step:ident { $($field:ident),* },)*) => {
        /// One operation on one image, with whole numbers as its parameters.
        ///
        /// Positions count from the upper left corner of the image that the step is applied to. Factors are in 32,768ths.
        /// *Colours* are the channels without alpha, which is the last of two or four; steps on colours leave it alone.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[allow(missing_docs)]
        pub enum Step {
            $($(#[$about])* $Step { $($field: i32),* },)*
        }

        impl Step {
            /// The code and the name of every step.
            #[cfg(feature = "gpu")]
            pub(crate) const TABLE: &[(u32, &str)] = &[$(($code, $name),)*];

            /// The name that texts use, such as `flip_x`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Step::$Step { .. } => $name,)*
                }
            }

            /// The names of the parameters and their values.
            pub fn parameters(&self) -> impl Iterator<Item = (&'static str, i32)> {
                let (names, values): (&'static [&'static str], [i32; RECORD_WORDS - 1]) = match *self {
                    $(Step::$Step { $($field),* } => (&[$(stringify!($field)),*], padded(&[$($field),*])),)*
                };
                names.iter().copied().zip(values)
            }

            /// The step of this name with these parameters.
            #[cfg(test)]
            fn of(name: &str, values: &[i32]) -> Self {
                let mut values = values.iter().copied();
                match name {
                    $($name => Step::$Step { $($field: values.next().unwrap()),* },)*
                    _ => panic!("{name}"),
                }
            }

            /// The step as a device reads it.
            #[inline]
            pub fn record(&self) -> [u32; RECORD_WORDS] {
                match *self {
                    $(Step::$Step { $($field),* } => {
                        let [a, b, c, d, e, f, g] = padded(&[$($field),*]).map(|value| value as u32);
                        [$code, a, b, c, d, e, f, g]
                    })*
                }
            }

            /// The number that stands for the operation on a device.
            pub const fn code(&self) -> u32 {
                match self {
                    $(Step::$Step { .. } => $code,)*
                }
            }
        }
    };
}

// The table of steps: code, name, parameters. Codes are below 32.
steps! {
    /// The image stays as it is.
    0 "identity" Identity {},
    /// Left becomes right.
    1 "flip_x" FlipX {},
    /// Top becomes bottom.
    2 "flip_y" FlipY {},
    /// The window of `height` rows of `width` pixels whose corner is at row `y` and column `x`. What lies outside the
    /// image is 0.
    3 "crop" Crop { y, x, height, width },
    /// All pixels of a rectangle become `fill`. The rectangle lies within the image.
    4 "erase" Erase { y, x, height, width, fill },
    /// The pixel at column `x` and row `y` is the one of the image at column `(a·x + b·y + c) >> 16` and row
    /// `(d·x + e·y + f) >> 16`, and 0 if there is none.
    5 "affine" Affine { a, b, c, d, e, f },
    /// As `affine`, but interpolated between the four pixels around that place. `c` and `f` are those of corners, as in
    /// `affine`; the centres of pixels lie half a pixel further. The weights are in 256ths, and the sum is rounded half up.
    6 "affine_bilinear" AffineBilinear { a, b, c, d, e, f },
    /// The window of `height` rows of `width` pixels at row `y` and column `x`, brought to `to_height` and `to_width` as
    /// Pillow's `BILINEAR` does. The window lies within the image.
    7 "crop_resize" CropResize { y, x, height, width, to_height, to_width },
    /// The whole image brought to a size; `area` is 1 for the filter `area` and 0 for `bilinear`.
    8 "resize" Resize { height, width, area },
    /// Colours become one channel of luma; alpha is dropped.
    9 "gray" Gray {},
    /// Every colour becomes the luma of its pixel; the channels stay.
    10 "luma" Luma {},
    /// Colours times `factor`.
    11 "brightness" Brightness { factor },
    /// Colours away from the mean luma of the image, by `factor`.
    12 "contrast" Contrast { factor },
    /// Colours away from the luma of their pixel, by `factor`.
    13 "saturation" Saturation { factor },
    /// The hue of each pixel turned by `turn` 256ths of the circle.
    14 "hue" Hue { turn },
    /// Colours away from their smoothed values, by `factor`.
    15 "sharpness" Sharpness { factor },
    /// Of each colour the smallest value becomes 0 and the largest the largest there can be.
    16 "autocontrast" Autocontrast {},
    /// The values of each colour are spread so that all are equally frequent, as nearly as possible.
    17 "equalize" Equalize {},
    /// Colours keep their first `bits` bits.
    18 "posterize" Posterize { bits },
    /// Colours from `threshold` on are inverted.
    19 "solarize" Solarize { threshold },
    /// Colours are inverted.
    20 "invert" Invert {},
    /// Gaussian noise is added to colours: `sigma` 256ths of a value times a normal draw, from Philox under a key.
    21 "noise" Noise { key_0, key_1, sigma },
    /// A weighted mean over 2·`radius` + 1 pixels along rows and then along columns. The weights from the centre on are
    /// in 32,768ths, two in a word, the first one below. Beyond the edge pixels are those of the edge.
    22 "blur" Blur { radius, w01, w23, w45, w67 },
    /// As `crop_resize`, but each pixel is that of the window in which its centre lies: for masks.
    23 "crop_resize_nearest" CropResizeNearest { y, x, height, width, to_height, to_width },
}

const fn padded(values: &[i32]) -> [i32; RECORD_WORDS - 1] {
    let mut all = [0; RECORD_WORDS - 1];
    let mut at = 0;
    while at < values.len() {
        all[at] = values[at];
        at += 1;
    }
    all
}

impl Step {
    /// The shape that an image of shape `from` gets.
    pub(crate) fn shape(&self, from: ImageShape) -> ImageShape {
        let sized =
            |height: i32, width: i32| ImageShape::new(height as usize, width as usize, from.channels()).unwrap_or(from);
        match *self {
            Step::Crop { height, width, .. } | Step::Resize { height, width, .. } => sized(height, width),
            Step::CropResize { to_height, to_width, .. } | Step::CropResizeNearest { to_height, to_width, .. } => {
                sized(to_height, to_width)
            }
            Step::Gray {} => ImageShape::gray(from.height(), from.width()).unwrap_or(from),
            _ => from,
        }
    }

    /// Applies the step to the image `old` of shape `from` and writes the new image, which has the shape
    /// [`Step::shape`]. Float images that the step does not take are copied.
    pub(crate) fn apply<P: Pixel>(&self, from: ImageShape, old: &[P], new: &mut [P], work: &mut Workspace) {
        let level = work.level;
        run_kernel(level, Apply { step: *self, from, old, new, work });
    }
}

impl fmt::Display for Step {
    /// `crop(y=-2,x=3,height=28,width=28)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for (at, (name, value)) in self.parameters().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '(' } else { ',' })?;
        }
        if self.parameters().next().is_some() { f.write_str(")") } else { Ok(()) }
    }
}

/// What a thread keeps from one image to the next.
pub(crate) struct Workspace {
    level: Level,
    resampler: resample::Resampler,
    bytes: Vec<u8>,
    words: Vec<u16>,
    sums: Vec<u32>,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::at(Level::detect())
    }
}

impl Workspace {
    /// Steps run at this level.
    pub fn at(level: Level) -> Self {
        Self {
            level,
            resampler: resample::Resampler::at(level),
            bytes: Vec::new(),
            words: Vec::new(),
            sums: Vec::new(),
        }
    }
}

/// An image as steps read it.
#[derive(Clone, Copy)]
struct View<'a, P> {
    shape: ImageShape,
    pixels: &'a [P],
}

struct Apply<'a, P> {
    step: Step,
    from: ImageShape,
    old: &'a [P],
    new: &'a mut [P],
    work: &'a mut Workspace,
}

impl<P: Pixel> Kernel for Apply<'_, P> {
    #[inline(always)]
    fn run<V: Vector>(self, vector: V) {
        let Self { step, from, old, new, work } = self;
        let to = step.shape(from);
        let view = View { shape: from, pixels: old };
        match step {
            Step::FlipX {} => geometry::flip_x(vector, view, new),
            Step::FlipY {} => geometry::flip_y(view, new),
            Step::Crop { y, x, .. } => geometry::crop(view, y, x, new, to),
            Step::Erase { y, x, height, width, fill } => {
                geometry::erase(view, [y, x, height, width].map(|side| side as usize), cast(fill), new);
            }
            Step::Affine { a, b, c, d, e, f } => affine::nearest(view, [a, b, c, d, e, f], new),
            Step::CropResizeNearest { y, x, height, width, .. } => {
                geometry::resize_nearest(view, [y, x, height, width].map(|side| side as usize), new, to);
            }
            Step::Resize { area, .. } => {
                let filter = if area == 1 { Filter::Area } else { Filter::Bilinear };
                work.resampler.resample(old, from, new, to, filter);
            }
            Step::Gray {} => colour::gray(view, new),
            step => match P::TYPE {
                PixelType::U8 => {
                    let view = View { shape: from, pixels: bytemuck::cast_slice(old) };
                    whole::<u8, V>(vector, step, view, bytemuck::cast_slice_mut(new), to, work);
                }
                PixelType::U16 => {
                    let view = View { shape: from, pixels: bytemuck::cast_slice(old) };
                    whole::<u16, V>(vector, step, view, bytemuck::cast_slice_mut(new), to, work);
                }
                PixelType::F32 => match step {
                    Step::CropResize { y, x, height, width, .. } => {
                        let window = [y, x, height, width].map(|side| side as usize);
                        resized::floats(view, window, bytemuck::cast_slice_mut(new), to, &mut work.resampler);
                    }
                    _ => new.copy_from_slice(old),
                },
            },
        }
    }
}

/// Steps whose arithmetic is on whole numbers.
#[inline(always)]
fn whole<P: Whole, V: Vector>(
    vector: V,
    step: Step,
    old: View<'_, P>,
    new: &mut [P],
    to: ImageShape,
    work: &mut Workspace,
) {
    match step {
        Step::AffineBilinear { a, b, c, d, e, f } => affine::bilinear(old, [a, b, c, d, e, f], new),
        Step::CropResize { y, x, height, width, .. } => {
            let window = [y, x, height, width].map(|side| side as usize);
            let mut between = std::mem::take(P::scratch(work));
            resized::whole(vector, old, window, new, to, &mut between);
            *P::scratch(work) = between;
        }
        Step::Luma {} => colour::luma_everywhere(old, new),
        Step::Brightness { factor } => points::brightness(vector, old, factor, new),
        Step::Contrast { factor } => points::contrast(vector, old, factor, new),
        Step::Saturation { factor } => colour::saturation(vector, old, factor, new),
        Step::Hue { turn } => colour::hue(old, turn, new),
        Step::Sharpness { factor } => neighbours::sharpness(old, factor, new),
        Step::Autocontrast {} => points::autocontrast(vector, old, new),
        Step::Equalize {} => points::equalize(vector, old, new),
        Step::Posterize { bits } => points::posterize(vector, old, bits, new),
        Step::Solarize { threshold } => points::solarize(vector, old, threshold, new),
        Step::Invert {} => points::invert(vector, old, new),
        Step::Noise { key_0, key_1, sigma } => {
            noise::Normal::shared().add(old, [key_0 as u32, key_1 as u32], sigma, new);
        }
        Step::Blur { radius, w01, w23, w45, w67 } => {
            let weights = [w01, w23, w45, w67].map(|pair| [pair as u32 & 0xffff, pair as u32 >> 16]);
            let mut between = std::mem::take(P::scratch(work));
            neighbours::blur(old, radius as usize, weights.as_flattened(), new, &mut between, &mut work.sums);
            *P::scratch(work) = between;
        }
        _ => new.copy_from_slice(old.pixels),
    }
}

/// Pixels that are whole numbers from 0 to [`Whole::MAX`].
trait Whole: Pixel + Ord {
    /// The largest value.
    const MAX: i32;
    /// Bits of a value.
    const BITS: u32;
    fn get(self) -> i32;
    /// `value` must be from 0 to [`Whole::MAX`].
    fn put(value: i32) -> Self;
    /// A thread's values between two passes.
    fn scratch(work: &mut Workspace) -> &mut Vec<Self>;
}

impl Whole for u8 {
    const MAX: i32 = 0xff;
    const BITS: u32 = 8;

    #[inline(always)]
    fn get(self) -> i32 {
        i32::from(self)
    }

    #[inline(always)]
    fn put(value: i32) -> Self {
        value as u8
    }

    fn scratch(work: &mut Workspace) -> &mut Vec<u8> {
        &mut work.bytes
    }
}

impl Whole for u16 {
    const MAX: i32 = 0xffff;
    const BITS: u32 = 16;

    #[inline(always)]
    fn get(self) -> i32 {
        i32::from(self)
    }

    #[inline(always)]
    fn put(value: i32) -> Self {
        value as u16
    }

    fn scratch(work: &mut Workspace) -> &mut Vec<u16> {
        &mut work.words
    }
}

/// A whole number as a pixel.
fn cast<P: Pixel>(value: i32) -> P {
    let mut pixel = [P::default()];
    match P::TYPE {
        PixelType::U8 => bytemuck::cast_slice_mut(&mut pixel)[0] = value as u8,
        PixelType::U16 => bytemuck::cast_slice_mut(&mut pixel)[0] = value as u16,
        PixelType::F32 => bytemuck::cast_slice_mut(&mut pixel)[0] = value as f32,
    }
    pixel[0]
}

/// How many of the channels are colours.
pub(crate) fn colours(channels: usize) -> usize {
    if channels < 3 { 1 } else { 3 }
}

#[cfg(test)]
mod tests;
