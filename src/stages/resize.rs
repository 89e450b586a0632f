//! Images of any size to one. The resampler is named here alone.

use std::fmt;
use std::str::FromStr;

use crate::base::error::{Error, Result, choose};
use crate::base::shape::ImageShape;

/// The size that images are brought to, and how.
///
/// An image that has the size already is not touched. Every channel is resampled on its own, alpha like the others:
/// nothing is multiplied by it. The aspect ratio is not kept, and nothing is cropped or filled up. 8 and 16-bit pixels
/// come out the same at every SIMD level; of floats the last digits may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resize {
    height: u32,
    width: u32,
    filter: Filter,
}

/// How an image is resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Filter {
    /// Linear interpolation; where the image gets smaller, over all the pixels that fall under the triangle, as Pillow's
    /// `BILINEAR` does.
    #[default]
    Bilinear,
    /// The mean of the pixels that fall into the new one, as Pillow's `BOX` does.
    Area,
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choose("resize filter", text, &[("bilinear", Filter::Bilinear), ("area", Filter::Area)])
    }
}

impl Resize {
    /// To `height` rows of `width` pixels.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] if a side is not 1 to 65,536; [`Error::InvalidOption`] if this build has no feature
    /// `image`.
    pub fn new(height: usize, width: usize, filter: Filter) -> Result<Self> {
        if !cfg!(feature = "image") {
            return Err(Error::InvalidOption { option: "resize", why: "this build has no feature `image`".to_owned() });
        }
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
}

impl fmt::Display for Resize {
    /// `28x28`, or `28x28:area`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)?;
        match self.filter {
            Filter::Bilinear => Ok(()),
            Filter::Area => f.write_str(":area"),
        }
    }
}

impl FromStr for Resize {
    type Err = Error;

    /// Reads `HxW` or `HxW:FILTER`, the filter being `bilinear` or `area`.
    fn from_str(text: &str) -> Result<Self> {
        let (size, filter) = text.split_once(':').map_or((text, None), |(size, filter)| (size, Some(filter)));
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

#[cfg(feature = "image")]
mod resampling {
    use fast_image_resize::images::{Image, ImageRef};
    use fast_image_resize::{FilterType, PixelType as Kind, ResizeAlg, ResizeOptions, Resizer};

    use super::{Filter, Resize};
    use crate::base::shape::{ImageShape, PixelType};
    use crate::images::Target;

    /// A pixel type that can be resampled.
    pub trait Resample: Target {}
    impl<T: Target> Resample for T {}

    /// A thread's buffers.
    #[derive(Default)]
    pub struct Resampler {
        pub(super) resizer: Resizer,
    }

    impl Resampler {
        /// Resizes interleaved pixels in place.
        pub fn resize<T: Resample>(&mut self, pixels: &mut Vec<T>, from: ImageShape, to: Resize) -> Result<(), String> {
            if (from.height(), from.width()) == (to.height(), to.width()) {
                return Ok(());
            }
            let kind = kind(T::TYPE, from.channels());
            let mut resized = vec![T::default(); to.height() * to.width() * from.channels()];
            let source = bytemuck::cast_slice(pixels.as_slice());
            let source = ImageRef::new(from.width() as u32, from.height() as u32, source, kind);
            let target = bytemuck::cast_slice_mut(resized.as_mut_slice());
            let target = Image::from_slice_u8(to.width, to.height, target, kind);
            let filter = match to.filter {
                Filter::Bilinear => FilterType::Bilinear,
                Filter::Area => FilterType::Box,
            };
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
            let (source, mut target) = (source.map_err(|e| e.to_string())?, target.map_err(|e| e.to_string())?);
            self.resizer.resize(&source, &mut target, &options).map_err(|e| e.to_string())?;
            *pixels = resized;
            Ok(())
        }
    }

    fn kind(pixel_type: PixelType, channels: usize) -> Kind {
        match (pixel_type, channels) {
            (PixelType::U8, 1) => Kind::U8,
            (PixelType::U8, 2) => Kind::U8x2,
            (PixelType::U8, 3) => Kind::U8x3,
            (PixelType::U8, _) => Kind::U8x4,
            (PixelType::U16, 1) => Kind::U16,
            (PixelType::U16, 2) => Kind::U16x2,
            (PixelType::U16, 3) => Kind::U16x3,
            (PixelType::U16, _) => Kind::U16x4,
            (PixelType::F32, 1) => Kind::F32,
            (PixelType::F32, 2) => Kind::F32x2,
            (PixelType::F32, 3) => Kind::F32x3,
            (PixelType::F32, _) => Kind::F32x4,
        }
    }
}

#[cfg(not(feature = "image"))]
mod resampling {
    use super::Resize;
    use crate::base::shape::ImageShape;

    /// A pixel type that could be resampled.
    pub trait Resample {}
    impl<T> Resample for T {}

    #[derive(Default)]
    pub struct Resampler;

    impl Resampler {
        pub fn resize<T>(&mut self, _: &mut Vec<T>, _: ImageShape, _: Resize) -> Result<(), String> {
            Err("this build has no feature `image`".to_owned())
        }
    }
}

pub(super) use resampling::{Resample, Resampler};

#[cfg(all(test, feature = "image"))]
mod tests {
    use super::*;
    use crate::base::random::Random;
    use crate::images::Target;

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
                let mut got = row;
                let to = Resize::new(1, to, filter).unwrap();
                Resampler::default().resize(&mut got, shape, to).unwrap();
                for (got, want) in got.iter().zip(expected(&exact, from, to.width(), filter)) {
                    assert!((f64::from(*got) - want).abs() < 1e-3, "{filter:?} {from} to {to}: {got}, {want}");
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn integers_are_the_same_at_every_simd_level() {
        use fast_image_resize::CpuExtensions;
        fn check<T: Target>(cast: fn(u64) -> T) {
            let mut random = Random::new(6, 0);
            for channels in 1..=4 {
                for (h, w, to) in [(41, 37, "28x28"), (7, 5, "31x33"), (133, 200, "19x17:area"), (5, 7, "8x9:area")] {
                    let shape = ImageShape::new(h, w, channels).unwrap();
                    let pixels: Vec<T> = (0..shape.values()).map(|_| cast(random.bits())).collect();
                    let levels = [CpuExtensions::None, CpuExtensions::Sse4_1, CpuExtensions::Avx2];
                    let results: Vec<Vec<T>> = levels
                        .into_iter()
                        .filter(|level| level.is_supported())
                        .map(|level| {
                            let (mut resampler, mut pixels) = (Resampler::default(), pixels.clone());
                            // SAFETY: this machine supports the level.
                            unsafe { resampler.resizer.set_cpu_extensions(level) };
                            resampler.resize(&mut pixels, shape, to.parse().unwrap()).unwrap();
                            pixels
                        })
                        .collect();
                    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{shape} to {to}");
                }
            }
        }
        check::<u8>(|bits| bits as u8);
        check::<u16>(|bits| bits as u16);
    }
}
