//! One table of cases over every backend, SIMD level and thread count, against the oracle.

use crate::support::{Content, column, compare, compare_at, engines, expected, expected_of, first_difference, values};
use pixelfeat::{FeatureLayout, FeatureSet, FeatureSpec, Featurizer, ImageShape, PixelType};
use proptest::prelude::*;

/// Height, width, channels, images: every side of a vector width and of a flush, primes, single rows and columns,
/// images beyond one thread's share, no images.
const CASES: &[(usize, usize, usize, usize)] = &[
    (1, 1, 1, 3),
    (1, 1, 4, 2),
    (1, 100, 1, 3),
    (100, 1, 1, 3),
    (2, 3, 1, 5),
    (3, 5, 1, 7),
    (7, 7, 1, 5),
    (8, 8, 2, 5),
    (10, 10, 1, 5),
    (11, 9, 3, 5),
    (15, 17, 1, 4),
    (16, 16, 1, 4),
    (27, 27, 1, 3),
    (28, 28, 1, 700),
    (28, 28, 1, 0),
    (29, 29, 3, 3),
    (31, 33, 1, 3),
    (32, 32, 4, 3),
    (37, 53, 1, 11),
    (63, 65, 1, 2),
    (64, 64, 3, 40),
    (13, 127, 2, 2),
    (257, 5, 1, 2),
    (258, 31, 1, 2),
    (515, 3, 3, 1),
    (2, 65_536, 1, 1),
    (65_536, 2, 1, 1),
    (1_030, 1_027, 1, 1),
    (700, 801, 3, 2),
];

const CONTENTS: [Content; 4] = [Content::Zero, Content::Max, Content::Cycle, Content::Random(11)];

#[test]
fn integer_features_are_the_oracles_bit_for_bit_on_every_backend() {
    let engines = engines();
    for &(h, w, c, images) in CASES {
        let shape = ImageShape::new(h, w, c).unwrap();
        for pixel_type in [PixelType::U8, PixelType::U16] {
            for content in CONTENTS {
                let values = values(content, pixel_type, images * shape.values());
                let images = column(&values, pixel_type, shape.values());
                // All families where it does not take long.
                let count = images.len() * shape.values();
                let all = count < 20_000 || count < 200_000 && matches!(content, Content::Random(_));
                let set = if all { "histogram:32,zones:7x5,texture,moments,profiles" } else { "histogram:32,profiles" };
                let set: FeatureSet = set.parse().unwrap();
                let expected = expected_of(&set, &values, pixel_type, shape);
                for (name, engine) in &engines {
                    let spec = FeatureSpec::new(shape).with_features(set.clone());
                    let features = Featurizer::new(engine.clone(), spec).featurize(&images).unwrap();
                    let difference = first_difference(&features, &expected);
                    assert_eq!(difference, None, "{name}, {shape} {pixel_type} {content:?}");
                }
            }
        }
    }
}

/// The windows of `gradients` reach over bands and tiles, and a pixel's neighbours over their borders.
#[test]
fn gradients_are_the_oracles_bit_for_bit_on_every_backend() {
    let (engines, set) = (engines(), "gradients".parse::<FeatureSet>().unwrap());
    let cases = [
        (1, 1, 1, 3),
        (2, 3, 1, 3),
        (10, 10, 1, 2),
        (11, 9, 1, 2),
        (28, 28, 1, 200),
        (13, 127, 2, 2),
        (29, 31, 4, 2),
        (65_536, 2, 1, 1),
        (2, 65_536, 1, 1),
        (500, 301, 3, 1),
    ];
    for (h, w, c, images) in cases {
        let shape = ImageShape::new(h, w, c).unwrap();
        for pixel_type in [PixelType::U8, PixelType::U16] {
            let values = values(Content::Random(12), pixel_type, images * shape.values());
            let images = column(&values, pixel_type, shape.values());
            let expected = expected_of(&set, &values, pixel_type, shape);
            for (name, engine) in &engines {
                let spec = FeatureSpec::new(shape).with_features(set.clone());
                let features = Featurizer::new(engine.clone(), spec).featurize(&images).unwrap();
                assert_eq!(first_difference(&features, &expected), None, "{name}, {shape} {pixel_type}");
            }
        }
    }
}

#[test]
fn gradients_of_a_large_image_are_the_same_on_every_backend() {
    let shape = ImageShape::gray(4_096, 4_096).unwrap();
    let values = values(Content::Random(13), PixelType::U8, shape.values());
    let images = column(&values, PixelType::U8, shape.values());
    let mut first: Option<Vec<Vec<f32>>> = None;
    for (name, engine) in engines().iter().filter(|(name, _)| !name.starts_with("cpu") || name.ends_with("x2")) {
        let spec = FeatureSpec::new(shape).with_features("gradients".parse().unwrap());
        let features = Featurizer::new(engine.clone(), spec).featurize(&images).unwrap();
        let rows = crate::support::rows(&features);
        let first = first.get_or_insert_with(|| rows.clone());
        assert!(first[0].iter().all(|value| (0.2..0.3).contains(value)), "no direction prevails: {:?}", first[0]);
        assert!(*first == rows, "{name}");
    }
}

#[test]
fn float_features_are_the_same_on_every_cpu_level_and_within_the_bound_on_a_gpu() {
    let engines = engines();
    for &(h, w, c, images) in CASES {
        let shape = ImageShape::new(h, w, c).unwrap();
        for content in [Content::Zero, Content::Cycle, Content::Random(5)] {
            let values = values(content, PixelType::F32, images * shape.values());
            let images = column(&values, PixelType::F32, shape.values());
            let expected = expected(&values, PixelType::F32, shape);
            let mut first: Option<(String, Vec<u32>)> = None;
            for (name, engine) in &engines {
                let features = Featurizer::new(engine.clone(), FeatureSpec::new(shape)).featurize(&images).unwrap();
                // What computes both ways leaves floats to the CPU.
                let gpu = name == "gpu";
                let difference = if gpu {
                    compare_at(&features, &expected, close_on_a_gpu(features.layout()))
                } else {
                    compare(&features, &expected, close_on_a_cpu(shape))
                };
                assert_eq!(difference, None, "{name}, {shape} {content:?}");
                if !gpu {
                    let bits: Vec<u32> = crate::support::rows(&features).concat().iter().map(|v| v.to_bits()).collect();
                    let (other, known) = first.get_or_insert_with(|| (name.clone(), bits.clone()));
                    assert!(*known == bits, "{name} is not {other} for {shape} {content:?}");
                }
            }
        }
    }
}

/// The largest sum of a row or column of the tests' floats, which lie within ±2,300.
fn largest_sum(shape: ImageShape) -> f64 {
    2_300.0 * shape.height().max(shape.width()) as f64
}

/// What the values of a CPU may differ from the oracle's by.
fn close_on_a_cpu(shape: ImageShape) -> impl Fn(f32, f32) -> bool {
    let absolute = 1e-9 * largest_sum(shape);
    move |got, want| (f64::from(got) - f64::from(want)).abs() <= f64::from(want.abs()) * 2e-7 + absolute
}

/// What the values of a GPU may differ from the oracle's by: a sum of n values by n²·2⁻²⁴ times the largest.
fn close_on_a_gpu(layout: &FeatureLayout) -> impl Fn(usize, f32, f32) -> bool {
    let (shape, blocks) = (layout.shape(), layout.blocks());
    let bound = largest_sum(shape) * shape.height().max(shape.width()) as f64 / f64::from(1 << 24);
    move |place, got, want| {
        let is_centroid = blocks.iter().any(|block| block.range.contains(&place) && block.name.ends_with("centroid"));
        // Where the mass nearly cancels, a centroid is large and as uncertain as the mass.
        let relative = if is_centroid { 0.02 } else { 2e-7 };
        (f64::from(got) - f64::from(want)).abs() <= bound.max(f64::from(want.abs()) * relative) + 1e-3
    }
}

#[test]
fn the_comparison_of_floats_notices_what_is_beyond_its_tolerance() {
    let shape = ImageShape::gray(28, 28).unwrap();
    let values = values(Content::Random(3), PixelType::F32, shape.values());
    let images = column(&values, PixelType::F32, shape.values());
    let (_, engine) = engines().swap_remove(0);
    let features = Featurizer::new(engine, FeatureSpec::new(shape)).featurize(&images).unwrap();
    let mut wanted = expected(&values, PixelType::F32, shape);
    let compare_both = |wanted: &[crate::support::Expected]| {
        let on_a_gpu = compare_at(&features, wanted, close_on_a_gpu(features.layout()));
        [compare(&features, wanted, close_on_a_cpu(shape)), on_a_gpu]
    };
    assert_eq!(compare_both(&wanted), [None, None]);
    let right = wanted[0][40];
    // A bound of a GPU is wider: n²·2⁻²⁴ times 2,300 is 0.11 here.
    for (off, is_noticed) in [(0.05, [true, false]), (0.2, [true, true]), (f32::NAN, [true, true])] {
        wanted[0][40] = right + off;
        assert_eq!(compare_both(&wanted).map(|difference| difference.is_some()), is_noticed, "off by {off}");
    }
}

#[test]
fn the_comparison_notices_one_flipped_value() {
    let shape = ImageShape::gray(28, 28).unwrap();
    let values = values(Content::Random(3), PixelType::U8, 5 * shape.values());
    let images = column(&values, PixelType::U8, shape.values());
    let (_, engine) = engines().swap_remove(0);
    let features = Featurizer::new(engine, FeatureSpec::new(shape)).featurize(&images).unwrap();
    let mut wrong = values.clone();
    wrong[3 * shape.values() + 400] ^= 1;
    assert_eq!(first_difference(&features, &expected(&values, PixelType::U8, shape)), None);
    let difference = first_difference(&features, &expected(&wrong, PixelType::U8, shape));
    assert!(difference.as_ref().is_some_and(|d| d.starts_with("row 3")), "{difference:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_and_content_is_exact(
        h in 1usize..90, w in 1usize..90, c in 1usize..=4, images in 0usize..6, wide in any::<bool>(), seed in any::<u64>()
    ) {
        let pixel_type = if wide { PixelType::U16 } else { PixelType::U8 };
        let shape = ImageShape::new(h, w, c).unwrap();
        let values = values(Content::Random(seed), pixel_type, images * shape.values());
        let images = column(&values, pixel_type, shape.values());
        let expected = expected(&values, pixel_type, shape);
        thread_local! {
            static ENGINES: Vec<(String, pixelfeat::Engine)> = engines();
        }
        ENGINES.with(|engines| {
            for (name, engine) in engines {
                let features = Featurizer::new(engine.clone(), FeatureSpec::new(shape)).featurize(&images).unwrap();
                prop_assert_eq!(first_difference(&features, &expected), None, "{} {}", name, shape);
            }
            Ok(())
        })?;
    }
}
