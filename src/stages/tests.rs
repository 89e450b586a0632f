//! Texts, draws and pipelines of all stages.

use std::collections::{BTreeMap, HashSet};

use super::*;

fn chain(text: &str) -> Chain {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn pipeline(text: &str, shape: &str) -> Pipeline {
    Pipeline::new(chain(text), 7, shape.parse().unwrap(), PixelType::U8).unwrap()
}

#[test]
fn texts_and_chains_agree() {
    assert_eq!(chain(""), Chain::new());
    assert_eq!(Chain::new().to_string(), "");
    for (text, written) in [
        (" gray , gray( 0.2 )", "gray,gray(0.2)"),
        ("crop(pad=4),hflip(p=0.5),randaugment", "crop(pad=4),hflip(0.5),randaugment(2,9)"),
        ("crop(24x20,pad=2)", "crop(24x20,pad=2)"),
        ("crop(pad=0)", "crop(pad=0)"),
        ("resized_crop(224x224,0.2..1)", "resized_crop(224x224,scale=0.2..1)"),
        ("jitter(0.4,0.4,hue=0.1,p=0.8)", "jitter(brightness=0.4,contrast=0.4,hue=0.1,p=0.8)"),
        ("one_of(invert,one_of(hflip,vflip(0.5)),p=0.25)", "one_of(invert,one_of(hflip,vflip(0.5)),p=0.25)"),
        (
            "affine(15,shear=5,scale=0.8..1.2,filter=bilinear)",
            "affine(rotate=15,shear=5,scale=0.8..1.2,filter=bilinear)",
        ),
        ("erase(0.5,fill=9),normalize(mean=0.5/0.4/0.3)", "erase(0.5,fill=9),normalize(mean=0.5/0.4/0.3)"),
        ("resize(28x28,area)", "resize(28x28,area)"),
        ("blur(0.5..2,p=0.1),noise(8)", "blur(0.5..2,p=0.1),noise(8)"),
    ] {
        assert_eq!(chain(text).to_string(), written);
        assert_eq!(chain(written), chain(text));
    }
    for stage in Stage::examples() {
        assert_eq!(stage.to_string().parse::<Stage>().unwrap(), stage);
    }
}

#[test]
fn a_wrong_text_is_told_with_its_place() {
    for (text, why) in [
        ("hflip,blurr(2)", "stages: at character 7: `blurr` is not gray, resize, "),
        ("gray,", "stages: at character 6: `` is not gray, "),
        ("hflip(2)", "stages: at character 7: hflip: p is `2`, not a number from 0 to 1"),
        ("gray, crop(pad=-1)", "stages: at character 16: crop: pad is `-1`, not a whole number from 0 to 8192"),
        ("crop", "stages: at character 1: crop: it needs a size"),
        ("crop(4x)", "stages: at character 6: crop: pad is `4x`"),
        ("hflip(0.5", "stages: at character 10: a `)` is missing"),
        ("hflip)", "stages: at character 6: `)` closes nothing"),
        ("hflip(0.5)x", "stages: at character 1: `hflip(0.5)x` does not end with `)`"),
        ("invert(0.5,0.2)", "stages: at character 12: invert: it takes no argument `0.2`"),
        ("invert(q=0.5)", "stages: at character 10: invert: it takes no argument `q`"),
        ("invert(p=0.5,0.2)", "stages: at character 14: invert: `0.2` stands behind an argument with a name"),
        ("invert(0.1,p=0.5)", "stages: at character 14: invert: `p` is given twice"),
        ("one_of()", "stages: at character 1: one_of: it needs stages"),
        ("hflip,one_of(invert,blur(9))", "stages: at character 26: blur: sigma is `9`"),
        ("blur(2..1)", "stages: at character 6: blur: sigma is `2..1`"),
        ("resize", "stages: at character 1: resize: it needs a size"),
    ] {
        let error = text.parse::<Chain>().unwrap_err().to_string();
        assert!(error.starts_with(why), "{text}: {error}");
    }
    // What only the images tell.
    for (text, pixel_type, why) in [
        (
            "hflip,crop(30x28,pad=0)",
            PixelType::U8,
            "stages: at character 7: crop: 30x28 is larger than the image of 28x28",
        ),
        (
            "crop(20x20),crop(21x20)",
            PixelType::U8,
            "stages: at character 13: crop: 21x20 is larger than the image of 20x20",
        ),
        ("hflip,invert", PixelType::F32, "stages: at character 7: invert: it is for 8 and 16-bit pixels"),
        ("normalize,hflip", PixelType::U8, "stages: at character 1: normalize: no stage can follow it"),
        ("normalize(mean=0.1/0.2)", PixelType::U8, "stages: at character 1: normalize: 2 numbers are not one for each"),
        (
            "one_of(hflip,crop(4x4))",
            PixelType::U8,
            "stages: at character 1: one_of: crop(4x4) gives images another shape",
        ),
        ("erase(fill=256)", PixelType::U8, "stages: at character 1: erase: fill 256 is no 8-bit value"),
        ("noise(300)", PixelType::U8, "stages: at character 1: noise: a deviation of 300"),
    ] {
        let shape = "28x28".parse().unwrap();
        let error = Pipeline::new(chain(text), 0, shape, pixel_type).unwrap_err().to_string();
        assert!(error.starts_with(why), "{text}: {error}");
    }
    let large = "8001x8000".parse().unwrap();
    assert!(Pipeline::new(chain("randaugment"), 0, large, PixelType::U8).is_err());
}

#[cfg(feature = "image")]
#[test]
fn shapes_go_through_the_chain() {
    let chain = chain("gray,resize(28x30,area),resize(2x3)");
    assert_eq!(chain.shape("64x65x3".parse().unwrap()).unwrap(), "2x3".parse().unwrap());
    assert!(chain.sets_size() && !Chain::new().with(Gray::default()).sets_size());
    let about: Vec<_> = chain.metadata(3).collect();
    let known = |key: &str| about.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
    assert_eq!(known("pixelfeat.stages"), Some("gray,resize(28x30,area),resize(2x3)"));
    assert_eq!((known("pixelfeat.gray"), known("pixelfeat.resize")), (Some("bt601"), Some("2x3")));
    assert_eq!((known("pixelfeat.seed"), known("pixelfeat.algorithm")), (Some("3"), Some(ALGORITHM)));
}

#[test]
fn names_have_hashes_of_their_own() {
    let hashes: HashSet<u32> = PARSERS.iter().map(|(name, _)| crate::base::philox::hash(name)).collect();
    assert_eq!(hashes.len(), PARSERS.len());
}

#[test]
fn a_stage_that_is_added_changes_no_other_draws() {
    let alone = pipeline("erase,trivial,crop(pad=4)", "28x28x3");
    let among = pipeline("gray(0.5),erase,hflip(0.5),trivial,noise(3),crop(pad=4)", "28x28x3");
    let twice = pipeline("erase,trivial,crop(pad=4),erase", "28x28x3");
    for id in 0..50 {
        let steps = |pipeline: &Pipeline| {
            let drawn = pipeline.parameters(id, 2);
            drawn.of_stages().map(<[Step]>::to_vec).collect::<Vec<_>>()
        };
        let (alone, among, twice) = (steps(&alone), steps(&among), steps(&twice));
        assert_eq!([&alone[0], &alone[1], &alone[2]], [&among[1], &among[3], &among[5]]);
        assert_eq!(alone, twice[..3]);
    }
    let drawn = |id, epoch, seed| {
        let shape = "28x28x3".parse().unwrap();
        Pipeline::new(chain("erase,erase"), seed, shape, PixelType::U8).unwrap().parameters(id, epoch)
    };
    let first = drawn(1, 1, 1);
    assert_ne!(first.steps()[0], first.steps()[1]);
    for other in [drawn(2, 1, 1), drawn(1, 2, 1), drawn(1, 1, 2), drawn(1 << 32 | 1, 1, 1)] {
        assert_ne!(first, other);
    }
}

#[test]
fn records_are_as_many_for_every_sample() {
    for stage in Stage::examples() {
        if Stage::shape(&stage, "28x28x3".parse().unwrap()).is_err() {
            continue;
        }
        let pipeline = pipeline(&stage.to_string(), "28x28x3");
        let ids: Vec<u64> = (0..40).collect();
        let together = pipeline.records(&ids, 0);
        for id in ids {
            let parameters = pipeline.parameters(id, 0);
            assert_eq!(parameters.records().len(), stage.slots(), "{stage}");
            assert_eq!(parameters.records()[..], together[id as usize * stage.slots()..][..stage.slots()], "{stage}");
            for (record, step) in parameters.records().iter().zip(parameters.steps()) {
                assert_eq!(record, &step.record(), "{stage}");
            }
        }
    }
}

/// The fixtures that Pillow wrote hold every step that RandAugment draws for images of their shapes.
#[test]
fn randaugment_draws_what_the_fixtures_hold_at_every_magnitude() {
    let fixtures = include_str!("../../tests/fixtures/augment.txt");
    let known: HashSet<(&str, &str)> = fixtures
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (shape, _, step) = (words.next()?, words.next()?, words.next()?);
            Some((shape, step))
        })
        .collect();
    for shape in ["28x28x1", "13x17x3"] {
        let mut seen = BTreeMap::<&str, HashSet<String>>::new();
        for magnitude in 0..=30 {
            let pipeline = pipeline(&format!("randaugment(16,{magnitude})"), shape);
            for id in 0..30 {
                for step in pipeline.parameters(id, 0).steps() {
                    let text = step.to_string();
                    assert!(known.contains(&(shape, text.as_str())), "{shape} {magnitude}: {text}");
                    seen.entry(step.name()).or_default().insert(text);
                }
            }
        }
        // A turn, two shears and 30 magnitudes with two signs, and the one that stays.
        assert_eq!(seen["affine"].len(), 3 * 60 + 1, "{shape}");
        assert_eq!((seen["brightness"].len(), seen["solarize"].len(), seen["posterize"].len()), (61, 31, 5));
    }
}

/// Every example on images of several shapes and types: at any batch size, and in any order, a sample stays the same.
#[test]
fn a_sample_gives_the_same_image_in_any_batch_and_order() {
    fn check<P: crate::base::pixels::Pixel>(cast: fn(u64) -> P) {
        let mut random = crate::base::random::Random::new(3, 0);
        for shape in ["9x11", "8x8x2", "12x10x3", "10x9x4"].map(|shape| shape.parse::<ImageShape>().unwrap()) {
            let ids: Vec<u64> = (0..40).collect();
            let pixels: Vec<P> = (0..ids.len() * shape.values()).map(|_| cast(random.bits())).collect();
            for stage in Stage::examples() {
                let chain = Chain::new().with(stage).with(VFlip(Chance::new(0.5).unwrap()));
                let Ok(pipeline) = Pipeline::new(chain, 5, shape, P::TYPE) else { continue };
                let to = pipeline.shape().values();
                let mut all = vec![P::default(); ids.len() * to];
                pipeline.apply(&ids, 1, &pixels, &mut all).unwrap();
                for batch in [1, 7] {
                    let images = ids.chunks(batch).zip(pixels.chunks(batch * shape.values()));
                    for ((ids, pixels), want) in images.zip(all.chunks(batch * to)) {
                        let mut some = vec![P::default(); ids.len() * to];
                        pipeline.apply(ids, 1, pixels, &mut some).unwrap();
                        assert!(some == want, "{} {shape} {} {ids:?}", pipeline.chain(), P::TYPE);
                    }
                }
                let backwards: Vec<u64> = ids.iter().rev().copied().collect();
                let turned: Vec<P> = pixels.chunks(shape.values()).rev().flatten().copied().collect();
                let mut other = vec![P::default(); all.len()];
                pipeline.apply(&backwards, 1, &turned, &mut other).unwrap();
                assert!(other.chunks(to).rev().flatten().eq(&all), "{} {shape}", pipeline.chain());
            }
        }
    }
    check::<u8>(|bits| bits as u8);
    check::<u16>(|bits| bits as u16);
    check::<f32>(|bits| bits as u16 as f32);
}

#[test]
fn pixels_are_normalized_behind_all_stages() {
    let shape = "1x2x3".parse().unwrap();
    let text = "invert,normalize(mean=0/0.5/1,std=1/0.5/0.25)";
    let pipeline = Pipeline::new(chain(text), 0, shape, PixelType::U8).unwrap();
    assert_eq!(pipeline.pixel_type(), PixelType::F32);
    let mut out = [0.0; 6];
    pipeline.apply_normalized(&[1], 0, &[255u8, 0, 255, 0, 255, 0], &mut out).unwrap();
    for (got, want) in out.into_iter().zip([0.0, 1.0, -4.0, 1.0, -1.0, 0.0]) {
        assert!((got - want).abs() < 1e-6, "{out:?}");
    }
    assert!(pipeline.apply_normalized(&[1], 0, &[0u16; 6], &mut out).is_err());
    assert!(pipeline.apply(&[1], 0, &[0u8; 5], &mut [0u8; 6]).is_err());
    assert!(pipeline.apply(&[1], 0, &[0u8; 6], &mut [0u8; 5]).is_err());
}
