//! Images mixed with others: MixUp and CutMix.

use std::fmt;

use crate::base::error::{Error, Result};
use crate::base::philox::{Key, Stream, operation_key};
use crate::base::pixels::Pixel;
use crate::base::shape::ImageShape;
use crate::stages::beta::Beta;
use crate::steps::mixed;

/// Rows that can be partners of each other: so many that follow one another, counted from the first row of an epoch. It is
/// part of the algorithm, so that partners do not depend on batches.
pub const MIX_WINDOW: usize = 256;

/// One, as a share.
const ONE: u32 = 1 << 16;

/// How images are mixed with others, after all stages but `normalize`.
///
/// Every image gets a partner among the [`MIX_WINDOW`] rows that it stands in: a keyed permutation of the rows puts them
/// into a circle, and the partner is the next one. Only rows with an image take part. Which rows have which partners
/// depends on the seed, the epoch, the number of the window and the samples in it, not on their order.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mixing {
    mixup: Option<f64>,
    cutmix: Option<f64>,
}

impl Mixing {
    /// Mixes images by MixUp with λ ~ Beta(`mixup`, `mixup`), by CutMix with λ ~ Beta(`cutmix`, `cutmix`), or each image by
    /// one of the two, which is drawn.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if a parameter is not from 0.01 to 100.
    pub fn new(mixup: Option<f64>, cutmix: Option<f64>) -> Result<Self> {
        for (option, alpha) in [("mixup", mixup), ("cutmix", cutmix)] {
            if let Some(alpha) = alpha
                && !(0.01..=100.0).contains(&alpha)
            {
                return Err(Error::InvalidOption { option, why: format!("{alpha} is not from 0.01 to 100") });
            }
        }
        Ok(Self { mixup, cutmix })
    }

    /// Whether images stay as they are.
    pub fn is_empty(&self) -> bool {
        self.mixup.is_none() && self.cutmix.is_none()
    }

    /// Whether all pixels of some images are mixed, and not only a rectangle replaced.
    pub(crate) fn blends(&self) -> bool {
        self.mixup.is_some()
    }
}

impl fmt::Display for Mixing {
    /// `mixup(0.2),cutmix(1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [("mixup", self.mixup), ("cutmix", self.cutmix)];
        let texts = named.into_iter().filter_map(|(name, alpha)| alpha.map(|alpha| format!("{name}({alpha})")));
        f.write_str(&texts.collect::<Vec<_>>().join(","))
    }
}

/// How an image is mixed with its partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// The place of the partner among the samples of the window.
    pub partner: usize,
    /// The share of the image itself, in 65,536ths: that of its label.
    pub lambda: u32,
    /// The rectangle that is the partner's, as row, column, height and width; `None` if all pixels are mixed.
    pub cut: Option<[usize; 4]>,
}

/// A [`Mixing`] bound to a seed and to images of one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixer {
    mixing: Mixing,
    seed: u64,
    shape: ImageShape,
    mixup: Option<Beta>,
    cutmix: Option<Beta>,
}

impl Mixer {
    /// For images of this shape.
    pub fn new(mixing: Mixing, seed: u64, shape: ImageShape) -> Self {
        let beta = |alpha: Option<f64>| alpha.map(Beta::new);
        Self { mixing, seed, shape, mixup: beta(mixing.mixup), cutmix: beta(mixing.cutmix) }
    }

    /// What is mixed.
    pub fn mixing(&self) -> Mixing {
        self.mixing
    }

    /// How the images of a window are mixed. `ids` are the numbers of its samples that have an image, in their order.
    pub fn draw(&self, epoch: u32, ids: &[u64]) -> Vec<Mix> {
        let key = |name| operation_key(self.seed, epoch, name, 0);
        let partners = circle(key("partner"), ids);
        let (choice, mixup, cutmix) = (key("mix"), key("mixup"), key("cutmix"));
        let draw = |(id, partner): (&u64, usize)| {
            let cuts = match (&self.mixup, &self.cutmix) {
                (Some(_), Some(beta)) => (Stream::new(choice, *id).below(2) == 1).then_some(beta),
                (_, cutmix) => cutmix.as_ref(),
            };
            match (cuts, &self.mixup) {
                (Some(beta), _) => self.cut(beta, &mut Stream::new(cutmix, *id), partner),
                (None, Some(beta)) => Mix { partner, lambda: beta.of(Stream::new(mixup, *id).bits()), cut: None },
                (None, None) => Mix { partner, lambda: ONE, cut: None },
            }
        };
        ids.iter().zip(partners).map(draw).collect()
    }

    /// The rectangle about a uniform centre whose sides are √(1 − λ) of the image's, clipped; λ becomes what is left.
    fn cut(&self, beta: &Beta, stream: &mut Stream, partner: usize) -> Mix {
        let (height, width) = (self.shape.height() as i64, self.shape.width() as i64);
        let lambda = f64::from(beta.of(stream.bits())) / f64::from(ONE);
        let half = |side: i64| (0.5 * (1.0 - lambda).sqrt() * side as f64) as i64;
        let mut sides = |side: i64| {
            let centre = i64::from(stream.below(side as u32));
            let (first, end) = ((centre - half(side)).max(0), (centre + half(side)).min(side));
            [first, end - first].map(|number| number as usize)
        };
        let ([y, height_cut], [x, width_cut]) = (sides(height), sides(width));
        let area = (height_cut * width_cut) as u64;
        let all = (height * width) as u64;
        let lambda = ONE - ((area * u64::from(ONE) + all / 2) / all) as u32;
        Mix { partner, lambda, cut: Some([y, x, height_cut, width_cut]) }
    }

    /// Writes the mixed image of `image` and its `partner`.
    ///
    /// MixUp: (λ·a + (65536 − λ)·b + 32768) ÷ 65536, rounded down; of floats the sum in f64, rounded once.
    ///
    /// # Panics
    /// If a slice is shorter than an image of the mixer's shape.
    pub fn apply<P: Pixel>(&self, mix: &Mix, image: &[P], partner: &[P], out: &mut [P]) {
        match mix.cut {
            Some(window) => mixed::cut(self.shape, window, image, partner, out),
            None => mixed::mix(mix.lambda, image, partner, out),
        }
    }
}

/// For each of `ids`, in their order, the place of its partner: the next one in a circle.
fn circle(key: Key, ids: &[u64]) -> Vec<usize> {
    // By their numbers, so that the order in the window does not matter.
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&at| ids[at]);
    let mut stream = Stream::new(key, order.first().map_or(0, |&at| ids[at]));
    for last in (1..order.len()).rev() {
        order.swap(last, stream.below(last as u32 + 1) as usize);
    }
    let mut partners = vec![0; ids.len()];
    for (at, &place) in order.iter().enumerate() {
        partners[place] = order[(at + 1) % order.len()];
    }
    partners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixer(mixup: Option<f64>, cutmix: Option<f64>, shape: &str) -> Mixer {
        Mixer::new(Mixing::new(mixup, cutmix).unwrap(), 7, shape.parse().unwrap())
    }

    #[test]
    fn partners_are_one_circle_whatever_the_order() {
        let ids: Vec<u64> = (0..200).map(|at| at * 7 + 3).collect();
        let mixes = mixer(Some(0.2), Some(1.0), "8x8").draw(1, &ids);
        let (mut at, mut steps) = (0, 0);
        loop {
            (at, steps) = (mixes[at].partner, steps + 1);
            if at == 0 {
                break;
            }
        }
        assert_eq!(steps, 200);
        let backwards: Vec<u64> = ids.iter().rev().copied().collect();
        let turned = mixer(Some(0.2), Some(1.0), "8x8").draw(1, &backwards);
        for (at, mix) in mixes.iter().enumerate() {
            assert_eq!(turned[199 - at], Mix { partner: 199 - mix.partner, ..*mix });
        }
        assert_ne!(mixes, mixer(Some(0.2), Some(1.0), "8x8").draw(2, &ids));
        let one = mixer(Some(0.2), None, "8x8").draw(0, &[9]);
        assert_eq!((one.len(), one[0].partner), (1, 0));
        assert!(mixer(Some(0.2), None, "8x8").draw(0, &[]).is_empty());
    }

    #[test]
    fn the_share_is_that_of_the_pixels() {
        let mixer = mixer(None, Some(1.0), "12x10x2");
        let ids: Vec<u64> = (0..200).collect();
        let mut cut = 0;
        for mix in mixer.draw(0, &ids) {
            let mut out = [9u8; 240];
            mixer.apply(&mix, &[1; 240], &[0; 240], &mut out);
            let own: usize = out.iter().map(|value| usize::from(*value)).sum();
            assert!((own as f64 / 240.0 - f64::from(mix.lambda) / 65_536.0).abs() < 1e-5, "{mix:?}");
            cut += usize::from(own < 240);
        }
        assert!(cut > 150, "{cut}");
    }

    #[test]
    fn values_are_mixed_in_whole_numbers() {
        let mixer = mixer(Some(1.0), None, "1x2");
        let mut out = [0u8; 2];
        mixer.apply(&Mix { partner: 0, lambda: 32_768, cut: None }, &[255, 1], &[0, 4], &mut out);
        assert_eq!(out, [128, 3]);
        let mut out = [0u16; 2];
        mixer.apply(&Mix { partner: 0, lambda: 65_536, cut: None }, &[65_535, 1], &[0, 4], &mut out);
        assert_eq!(out, [65_535, 1]);
        mixer.apply(&Mix { partner: 0, lambda: 0, cut: None }, &[65_535, 1], &[65_535, 4], &mut out);
        assert_eq!(out, [65_535, 4]);
        assert!(Mixing::new(Some(0.0), None).is_err() && Mixing::new(None, Some(f64::NAN)).is_err());
    }
}
