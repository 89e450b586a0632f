//! One table of shapes and contents over every SIMD level and thread count, against the oracle.

use super::*;
use crate::base::pixels::Pixel;
use crate::base::random::Random;
use crate::base::shape::ImageShape;
use crate::features::FeatureSet;
use crate::reference;

/// A pixel type with test contents and a measure of what agrees with the oracle.
trait Case: Pixel {
    const MAX: Self;
    /// A pixel from random bits.
    fn draw(bits: u64) -> Self;
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
    fn agrees(got: f32, expected: f32) -> bool {
        // Where terms cancel, as in the odd moments of an image that is nearly symmetrical, only the second bound holds.
        f64::from(got - expected).abs() <= 1e-6 * f64::from(expected.abs()) + 1e-12
            || got.to_bits() == expected.to_bits()
    }
}

/// Every family alone, and all in one set.
fn sets() -> Vec<FeatureSet> {
    FeatureSet::examples()
}

fn featurized<P: Pixel>(level: Level, layout: &FeatureLayout, pixels: &[P]) -> Vec<f32> {
    let images = pixels.len() / layout.shape().values();
    let mut values = vec![f32::NAN; images * layout.stride()];
    featurize(level, layout, P::slice(pixels), FeaturesMut::new(&mut values, layout.stride()).unwrap());
    values
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The first place where an image's values are not what they must be.
fn difference<P: Case>(got: &[f32], image: usize, expected: &[f32]) -> Option<String> {
    let row = &got[image * expected.len()..][..expected.len()];
    let wrong = row.iter().zip(expected).position(|(&got, &expected)| !P::agrees(got, expected))?;
    Some(format!("value {wrong} is {} and not {}", row[wrong], expected[wrong]))
}

fn levels() -> Vec<Level> {
    let (here, not): (Vec<_>, Vec<_>) = Level::ALL.into_iter().partition(|level| level.is_available());
    println!("tested: {here:?}; not on this CPU: {not:?}");
    here
}

/// Values from which on an image has fewer contents, since its oracle takes long.
const LARGE: usize = 100_000;

/// Random and highest; in images that are not large also zero, and a cycle that no block size divides.
fn contents<P: Case>(shape: ImageShape) -> Vec<P> {
    let mut random = Random::new(shape.values() as u64, shape.width() as u64);
    let n = shape.values();
    let mut pixels: Vec<P> = (0..n).map(|_| P::draw(random.bits())).collect();
    pixels.extend((0..n).map(|_| P::MAX));
    if n > LARGE {
        return pixels;
    }
    pixels.extend((0..n).map(|_| P::default()));
    pixels.extend((0..n).map(|i| P::draw((i as u64 % 251) * 0x0101_0101_0101_0101)));
    pixels
}

fn check<P: Case>(levels: &[Level], shape: ImageShape) {
    let pixels = contents::<P>(shape);
    let layout = |set: &FeatureSet| set.layout(shape, P::TYPE.default_scale()).unwrap();
    // The last set has all families: what they must give is asked for once.
    let all = layout(&sets()[sets().len() - 1]);
    let rows: Vec<_> =
        pixels.chunks_exact(shape.values()).map(|image| reference::features(&all, P::slice(image))).collect();
    for set in sets() {
        let layout = layout(&set);
        let own: Vec<_> = all.features().filter(|(feature, _)| set.features().contains(feature)).collect();
        // One level for each family alone: what they compute does not depend on their company.
        let levels = if own.len() == all.features().len() { levels } else { &levels[levels.len() - 1..] };
        let plain = featurized(levels[0], &layout, &pixels);
        for (image, row) in rows.iter().enumerate() {
            let expected: Vec<f32> = own.iter().flat_map(|(_, range)| &row[range.clone()]).copied().collect();
            assert_eq!(expected.len(), layout.stride(), "{set} {shape}");
            if let Some(wrong) = difference::<P>(&plain, image, &expected) {
                panic!("{set}, {}, {} {shape}, image {image}: {wrong}", levels[0], P::TYPE);
            }
        }
        for &level in &levels[1..] {
            let found = featurized(level, &layout, &pixels);
            assert_eq!(bits(&found), bits(&plain), "{set}, {level}, {} {shape}", P::TYPE);
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
    for (h, w, c) in [(65_536, 1, 1), (1, 65_536, 1), (1, 65_536, 4), (65_536, 1, 3), (65_536, 3, 1), (50, 5_000, 1)] {
        let shape = ImageShape::new(h, w, c).unwrap();
        check::<u8>(&levels, shape);
        check::<u16>(&levels, shape);
    }
}

#[test]
fn the_number_of_threads_cannot_be_seen() {
    fn check<P: Case>(level: Level, shape: ImageShape, images: usize) {
        let mut random = Random::new(9, images as u64);
        let pixels: Vec<P> = (0..images * shape.values()).map(|_| P::draw(random.bits())).collect();
        // All families.
        for set in sets().split_off(sets().len() - 1) {
            let layout = set.layout(shape, P::TYPE.default_scale()).unwrap();
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                bits(&pool.install(|| featurized(level, &layout, &pixels)))
            };
            let one = with(1);
            assert_eq!(one, with(2), "{set}, {level}, {images} of {shape}");
            assert_eq!(one, with(3), "{set}, {level}, {images} of {shape}");
            assert!(one.iter().all(|&bits| !f32::from_bits(bits).is_nan()));
        }
    }
    for level in [Level::Portable, Level::detect()] {
        for (shape, images) in [("28x28", 1_000), ("300x700x3", 1), ("1031x517", 2), ("64x9000", 1)] {
            let shape = shape.parse().unwrap();
            check::<u8>(level, shape, images);
            check::<u16>(level, shape, images);
            check::<f32>(level, shape, images);
        }
    }
}

#[test]
fn bands_add_up_to_the_oracles_values() {
    let levels = levels();
    for shape in ["1030x517", "400x301x3"].map(|shape| shape.parse().unwrap()) {
        assert!(bands::rows_per_band(shape, u8::TYPE).is_some(), "{shape}");
        check::<u8>(&levels, shape);
        check::<u16>(&levels, shape);
        check::<f32>(&levels, shape);
    }
}

#[test]
fn one_wrong_value_is_seen() {
    let shape: ImageShape = "28x28".parse().unwrap();
    let pixels = contents::<u8>(shape);
    for set in sets() {
        let layout = set.layout(shape, 255.0).unwrap();
        let expected = reference::features(&layout, &pixels[..shape.values()]);
        let right = featurized(Level::detect(), &layout, &pixels);
        assert_eq!(difference::<u8>(&right, 0, &expected), None);
        for place in 0..layout.stride() {
            let mut wrong = right.clone();
            wrong[place] = f32::from_bits(wrong[place].to_bits() ^ 1);
            assert!(difference::<u8>(&wrong, 0, &expected).is_some(), "{set}, value {place}");
        }
        let mut other_pixels = pixels.clone();
        other_pixels[400] ^= 0xff;
        let wrong = featurized(Level::detect(), &layout, &other_pixels);
        assert!(difference::<u8>(&wrong, 0, &expected).is_some(), "{set}");
    }
}

#[test]
fn a_float_that_is_off_by_more_than_the_bound_is_seen() {
    assert!(f32::agrees(1.0, 1.0 + 1e-7) && !f32::agrees(1.0, 1.0 + 3e-6));
    assert!(!f32::agrees(f32::NAN, 1.0) && !f32::agrees(0.0, 1e-11));
}

#[test]
fn no_images_are_fine() {
    let layout = FeatureSet::default().layout("28x28".parse().unwrap(), 255.0).unwrap();
    for level in Level::ALL {
        assert!(featurized::<u8>(level, &layout, &[]).is_empty());
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
