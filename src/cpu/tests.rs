//! Every level, pixel type and thread count against the oracle and against one another.

use super::*;
use crate::base::random::Random;
use crate::base::shape::ImageShape;
use crate::reference::{self, Expected};

/// A pixel type with test contents and an oracle.
trait Case: Pixel {
    const MAX: Self;
    /// A pixel from random bits.
    fn draw(bits: u64) -> Self;
    fn expected(pixels: &[Self], shape: ImageShape, scale: f64) -> Expected;
    /// Whether `got` is near enough to `expected`.
    fn agrees(got: f32, expected: f32) -> bool;
}

macro_rules! integer_case {
    ($t:ty) => {
        impl Case for $t {
            const MAX: Self = <$t>::MAX;
            fn draw(bits: u64) -> Self {
                (bits >> 32) as $t
            }
            fn expected(pixels: &[Self], shape: ImageShape, scale: f64) -> Expected {
                reference::integer(|i| u64::from(pixels[i]), shape, scale)
            }
            fn agrees(got: f32, expected: f32) -> bool {
                got.to_bits() == expected.to_bits()
            }
        }
    };
}
integer_case!(u8);
integer_case!(u16);

impl Case for f32 {
    const MAX: Self = 3.0e38;
    fn draw(bits: u64) -> Self {
        (bits >> 40) as f32 / (1 << 24) as f32
    }
    fn expected(pixels: &[Self], shape: ImageShape, scale: f64) -> Expected {
        reference::float(pixels, shape, scale)
    }
    fn agrees(got: f32, expected: f32) -> bool {
        f64::from(got - expected).abs() <= 1e-6 * f64::from(expected.abs()) || got.to_bits() == expected.to_bits()
    }
}

/// Features, means and deviations.
type Found = (Vec<f32>, Vec<f32>, Vec<f32>);

fn featurized<P: Pixel>(level: Level, finisher: &Finisher, pixels: &[P]) -> Found {
    let images = pixels.len() / finisher.shape().values();
    let mut features = vec![f32::NAN; images * finisher.shape().features()];
    let (mut means, mut stds) = (vec![f32::NAN; images], vec![f32::NAN; images]);
    featurize(level, finisher, pixels, Output { features: &mut features, means: &mut means, stds: &mut stds });
    (features, means, stds)
}

fn bits((features, means, stds): &Found) -> Vec<u32> {
    [features, means, stds].into_iter().flatten().map(|f| f.to_bits()).collect()
}

/// The first place where an image's features are not what they must be.
fn difference<P: Case>(got: &Found, image: usize, expected: &Expected) -> Option<String> {
    let width = expected.features.len();
    let features = &got.0[image * width..][..width];
    let wrong = features.iter().zip(&expected.features).position(|(&got, &expected)| !P::agrees(got, expected));
    if let Some(i) = wrong {
        return Some(format!("feature {i} is {} and not {}", features[i], expected.features[i]));
    }
    let means = (got.1[image], expected.pixel_mean);
    let stds = (got.2[image], expected.pixel_std);
    (!P::agrees(means.0, means.1) || !P::agrees(stds.0, stds.1)).then(|| format!("mean {means:?}, std {stds:?}"))
}

fn levels() -> Vec<Level> {
    let (here, not): (Vec<_>, Vec<_>) = Level::ALL.into_iter().partition(|level| level.is_available());
    println!("tested: {here:?}; not on this CPU: {not:?}");
    here
}

/// Random, zero, highest and a cycle that no block size divides.
fn contents<P: Case>(shape: ImageShape) -> Vec<P> {
    let mut random = Random::new(shape.values() as u64, shape.width() as u64);
    let n = shape.values();
    let mut pixels: Vec<P> = (0..n).map(|_| P::draw(random.bits())).collect();
    pixels.extend((0..n).map(|_| P::default()));
    pixels.extend((0..n).map(|_| P::MAX));
    pixels.extend((0..n).map(|i| P::draw((i as u64 % 251) * 0x0101_0101_0101_0101)));
    pixels
}

fn check<P: Case>(levels: &[Level], shape: ImageShape) {
    let finisher = Finisher::new(shape, P::TYPE.default_scale()).unwrap();
    let pixels = contents::<P>(shape);
    let expected: Vec<Expected> =
        pixels.chunks_exact(shape.values()).map(|image| P::expected(image, shape, finisher.scale())).collect();
    let plain = featurized(Level::Portable, &finisher, &pixels);
    for (image, expected) in expected.iter().enumerate() {
        if let Some(wrong) = difference::<P>(&plain, image, expected) {
            panic!("portable, {} {shape}, image {image}: {wrong}", P::TYPE);
        }
    }
    for &level in levels {
        let found = featurized(level, &finisher, &pixels);
        assert_eq!(bits(&found), bits(&plain), "{level}, {} {shape}", P::TYPE);
        let mut at_once = Moments::zeroed(shape);
        let mut plain = Moments::zeroed(shape);
        for image in pixels.chunks_exact(shape.values()) {
            moments(level, image, &mut at_once);
            moments(Level::Portable, image, &mut plain);
            assert_eq!(at_once, plain, "{level}, {} {shape}", P::TYPE);
        }
    }
}

/// (height, width, channels)
fn shapes() -> Vec<ImageShape> {
    let mut shapes = vec![(28, 28, 1), (64, 64, 3), (37, 53, 1), (53, 37, 3), (1, 1, 1), (101, 127, 4)];
    for side in [8, 16, 32, 64, 128] {
        shapes.extend([side - 1, side, side + 1].map(|w| (5, w, 1)));
        shapes.extend([side - 1, side, side + 1].map(|w| (6, w, 3)));
        shapes.extend([side - 1, side, side + 1].map(|h| (h, 11, 1)));
    }
    shapes.extend((1..=24).flat_map(|h| [8, 15, 28, 31, 32].map(|w| (h, w, 1))));
    shapes.extend([256, 257, 258, 259].map(|h| (h, 32, 1)));
    for channels in 1..=4 {
        shapes.extend((1..=70).map(|w| (3, w, channels)));
        shapes.extend((1..=9).map(|h| (h, 19, channels)));
        shapes.extend([(1, 331, channels), (331, 1, channels), (257, 33, channels), (258, 9, channels)]);
        shapes.extend([(5, 2048, channels), (5, 2049, channels), (4, 4097, channels), (1, 1, channels)]);
    }
    shapes.into_iter().map(|(h, w, c)| ImageShape::new(h, w, c).unwrap()).collect()
}

#[test]
fn every_level_agrees_with_the_oracle() {
    let levels = levels();
    for shape in shapes() {
        check::<u8>(&levels, shape);
        check::<u16>(&levels, shape);
        check::<f32>(&levels, shape);
    }
}

#[test]
fn the_longest_sides_do_not_overflow() {
    let levels = levels();
    for (h, w, c) in [(65_536, 1, 1), (1, 65_536, 1), (1, 65_536, 4), (65_536, 1, 3), (65_536, 9, 1), (300, 5_000, 1)] {
        let shape = ImageShape::new(h, w, c).unwrap();
        check::<u8>(&levels, shape);
        check::<u16>(&levels, shape);
    }
}

#[test]
fn a_tile_of_the_highest_values_does_not_overflow() {
    let shape = ImageShape::gray(256, 8_192).unwrap();
    let pixels = vec![u8::MAX; shape.values()];
    for level in levels() {
        let mut whole = Moments::zeroed(shape);
        unbanded(level, &pixels, &mut whole);
        assert!(whole.row_sums().iter().all(|&sum| sum == 255 * 8_192), "{level}");
        assert!(whole.col_sums().iter().all(|&sum| sum == 255 * 256), "{level}");
        assert_eq!(whole.seconds(), [255 * 255 * 256 * 8_192], "{level}");
    }
}

#[test]
fn the_number_of_threads_cannot_be_seen() {
    fn check<P: Case>(level: Level, shape: ImageShape, images: usize) {
        let finisher = Finisher::new(shape, P::TYPE.default_scale()).unwrap();
        let mut random = Random::new(9, images as u64);
        let pixels: Vec<P> = (0..images * shape.values()).map(|_| P::draw(random.bits())).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            bits(&pool.install(|| featurized(level, &finisher, &pixels)))
        };
        let one = with(1);
        assert_eq!(one, with(2), "{level}, {images} of {shape}");
        assert_eq!(one, with(3), "{level}, {images} of {shape}");
        assert!(one.iter().all(|&bits| !f32::from_bits(bits).is_nan()));
    }
    for level in levels() {
        for (shape, images) in [("28x28", 1_000), ("600x700x3", 2), ("1030x517", 1), ("1031x517", 3), ("64x9000", 2)] {
            let shape = shape.parse().unwrap();
            check::<u8>(level, shape, images);
            check::<u16>(level, shape, images);
            check::<f32>(level, shape, images);
        }
    }
}

#[test]
fn bands_add_up_to_the_oracles_moments() {
    let levels = levels();
    for shape in ["1030x517", "700x301x3"].map(|shape| shape.parse().unwrap()) {
        assert!(bands::rows_per_band::<u8>(shape).is_some(), "{shape}");
        check::<u8>(&levels, shape);
        check::<u16>(&levels, shape);
        check::<f32>(&levels, shape);
    }
}

#[test]
fn one_wrong_value_is_seen() {
    let shape: ImageShape = "28x28".parse().unwrap();
    let finisher = Finisher::new(shape, 255.0).unwrap();
    let pixels = contents::<u8>(shape);
    let expected = u8::expected(&pixels[..shape.values()], shape, 255.0);
    let right = featurized(Level::detect(), &finisher, &pixels);
    assert_eq!(difference::<u8>(&right, 0, &expected), None);
    for place in 0..shape.features() {
        let mut wrong = right.clone();
        wrong.0[place] = f32::from_bits(wrong.0[place].to_bits() ^ 1);
        assert!(difference::<u8>(&wrong, 0, &expected).is_some(), "feature {place}");
    }
    let mut wrong = right.clone();
    wrong.1[0] += 1.0;
    assert!(difference::<u8>(&wrong, 0, &expected).is_some());
    let mut other_pixels = pixels.clone();
    other_pixels[400] ^= 1;
    assert!(difference::<u8>(&featurized(Level::detect(), &finisher, &other_pixels), 0, &expected).is_some());
}

#[test]
fn no_images_are_fine() {
    let finisher = Finisher::new("28x28".parse().unwrap(), 255.0).unwrap();
    for level in Level::ALL {
        assert_eq!(featurized::<u8>(level, &finisher, &[]), Found::default());
    }
}

#[test]
fn a_level_is_named_as_it_is_read() {
    for level in Level::ALL {
        assert_eq!(level.to_string().parse::<Level>().unwrap(), level);
    }
    assert!("sse9".parse::<Level>().is_err());
    assert!(Level::detect().is_available());
}
