//! Images of any size to one.

use std::fmt;
use std::str::FromStr;

use crate::base::error::{Error, Result};
use crate::base::philox::Stream;
use crate::base::shape::ImageShape;
#[cfg(feature = "gpu")]
use crate::base::shape::PixelType;
use crate::base::text::name_and_arguments;
use crate::stages::{Arguments, Format, Operation, Written};
use crate::steps::{Filter, Step};

/// The size that images are brought to, and how.
///
/// An image that has the size already is not touched. Every channel is resampled on its own, alpha like the others:
/// nothing is multiplied by it. The aspect ratio is not kept, and nothing is cropped or filled up. The pixels come out the
/// same at every SIMD level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resize {
    height: u32,
    width: u32,
    filter: Filter,
}

impl Resize {
    /// To `height` rows of `width` pixels.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] if a side is not 1 to 65,536.
    pub fn new(height: usize, width: usize, filter: Filter) -> Result<Self> {
        ImageShape::gray(height, width)?;
        Ok(Self { height: height as u32, width: width as u32, filter })
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.height as usize
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width as usize
    }

    /// How images are resampled.
    pub fn filter(&self) -> Filter {
        self.filter
    }

    fn step(&self) -> Step {
        let area = i32::from(self.filter == Filter::Area);
        Step::Resize { height: self.height as i32, width: self.width as i32, area }
    }
}

impl fmt::Display for Resize {
    /// `28x28`, or `28x28:area`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)?;
        match self.filter {
            Filter::Bilinear => Ok(()),
            other => write!(f, ":{other}"),
        }
    }
}

impl FromStr for Resize {
    type Err = Error;

    /// Reads `HxW` or `HxW:FILTER`, the filter being `bilinear` or `area`.
    fn from_str(text: &str) -> Result<Self> {
        let (size, filter) = name_and_arguments(text);
        let filter = filter.map_or(Ok(Filter::default()), str::parse)?;
        match size.parse::<ImageShape>() {
            Ok(shape) if shape.channels() == 1 => Self::new(shape.height(), shape.width(), filter),
            _ => Err(Error::InvalidOption {
                option: "resize",
                why: format!("`{text}` is not HxW or HxW:FILTER, as in 28x28 or 28x28:area"),
            }),
        }
    }
}

impl Operation for Resize {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self> {
        let size = arguments.size("size")?;
        let (height, width) = size.ok_or_else(|| arguments.refuse("it needs a size, as in resize(28x28)"))?;
        let filter = arguments.text("filter", "bilinear or area", |text| text.parse().ok())?;
        Self::new(height, width, filter.unwrap_or_default())
    }

    fn write(&self, out: &mut Written) {
        out.value(format!("{}x{}", self.height, self.width));
        if self.filter != Filter::default() {
            out.value(self.filter);
        }
    }

    fn shape(&self, from: ImageShape) -> Result<ImageShape> {
        ImageShape::new(self.height(), self.width(), from.channels())
    }

    fn sets_size(&self) -> bool {
        true
    }

    fn metadata(&self) -> Option<(&'static str, String)> {
        Some(("pixelfeat.resize", self.to_string()))
    }

    fn draw(&self, from: Format, _: &mut Stream, steps: &mut impl Extend<Step>) {
        if (from.shape.height(), from.shape.width()) != (self.height(), self.width()) {
            steps.extend([self.step()]);
        }
    }

    /// Sums of 16-bit values have 64 bits, and those of floats are floats of 64 bits. Shaders have neither.
    #[cfg(feature = "gpu")]
    fn on_device(&self, pixel_type: PixelType) -> bool {
        pixel_type == PixelType::U8
    }

    #[cfg(test)]
    fn examples() -> Vec<&'static str> {
        vec!["7x5", "3x9,area"]
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::pixels::Pixel;
    use crate::base::random::Random;
    use crate::base::simd::Level;
    use crate::steps::Workspace;

    #[test]
    fn text_and_size_agree() {
        for text in ["28x28", "1x7:area"] {
            assert_eq!(text.parse::<Resize>().unwrap().to_string(), text);
        }
        assert_eq!("28x28:bilinear".parse::<Resize>().unwrap().filter(), Filter::Bilinear);
        for text in ["", "28", "28x28x3", "28x28:", "28x28:best", "0x4", "65537x1"] {
            assert!(text.parse::<Resize>().is_err(), "{text}");
        }
    }

    /// The filter's own definition, in f64: a weighted mean over the pixels whose centres lie under it.
    fn expected(pixels: &[f64], from: usize, to: usize, filter: Filter) -> Vec<f64> {
        let scale = from as f64 / to as f64;
        let reach = scale.max(1.0);
        (0..to)
            .map(|i| {
                let centre = (i as f64 + 0.5) * scale;
                let weight = |j: usize| {
                    let distance = (j as f64 + 0.5 - centre) / reach;
                    match filter {
                        Filter::Bilinear => (1.0 - distance.abs()).max(0.0),
                        Filter::Area => f64::from(u8::from(distance > -0.5 && distance <= 0.5)),
                    }
                };
                let total: f64 = (0..from).map(weight).sum();
                (0..from).map(|j| weight(j) * pixels[j]).sum::<f64>() / total
            })
            .collect()
    }

    #[test]
    fn a_row_is_resampled_as_its_filter_is_defined() {
        let mut random = Random::new(5, 0);
        for filter in [Filter::Bilinear, Filter::Area] {
            for (from, to) in [(7, 3), (3, 7), (64, 28), (1, 5), (5, 1)] {
                let row: Vec<f32> = (0..from).map(|_| (random.bits() % 256) as f32).collect();
                let exact: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
                let shape = ImageShape::gray(1, from).unwrap();
                let to = Resize::new(1, to, filter).unwrap();
                let mut new = vec![0.0; to.width()];
                to.step().apply(shape, &row, &mut new, &mut Workspace::default());
                for (got, want) in new.iter().zip(expected(&exact, from, to.width(), filter)) {
                    assert!((f64::from(*got) - want).abs() < 1e-3, "{filter:?} {from} to {to}: {got}, {want}");
                }
            }
        }
    }

    #[test]
    fn pixels_are_the_same_at_every_simd_level() {
        fn check<T: Pixel>(cast: fn(u64) -> T) {
            let mut random = Random::new(6, 0);
            for channels in 1..=4 {
                for (h, w, to) in [
                    (41, 37, "28x28"),
                    (7, 5, "31x33"),
                    (133, 200, "19x17:area"),
                    (5, 7, "8x9:area"),
                    (9, 200, "9x7"),
                    (50, 4, "3x4"),
                ] {
                    let shape = ImageShape::new(h, w, channels).unwrap();
                    let pixels: Vec<T> = (0..shape.values()).map(|_| cast(random.bits())).collect();
                    let to: Resize = to.parse().unwrap();
                    let results = Level::ALL.into_iter().filter(|level| level.is_available()).map(|level| {
                        let mut new = vec![T::default(); to.height() * to.width() * channels];
                        to.step().apply(shape, &pixels, &mut new, &mut Workspace::at(level));
                        new
                    });
                    let results: Vec<Vec<T>> = results.collect();
                    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{shape} to {to}");
                }
            }
        }
        check::<u8>(|bits| bits as u8);
        check::<u16>(|bits| bits as u16);
        check::<f32>(|bits| bits as u16 as f32 / 7.0);
    }
}
