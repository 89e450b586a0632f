//! Which images there were, and which of them are the same in two data sets.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use serde_json::json;

use super::checks::{CheckReport, CheckResult, FailedRow, Severity, TOLD};
use super::dimension::Dimension;
use super::distinct::mixed;
use super::gray::EightBit;
use super::hashes::{each_image, fingerprint, phash};
use super::measure::contrast;
use crate::base::error::{Error, Result};
use crate::base::pixels::PixelSlice;
use crate::base::shape::ImageShape;
use crate::base::text::grouped;
use crate::run::observe::{Observed, Observer};
use crate::run::origins::RowOrigins;

/// Images whose gray has a population standard deviation below this share of white are near no other one: flat images all
/// have the same perceptual hash.
const LEAST_CONTRAST: f64 = 0.01;

/// The perceptual hash of an image that is near no other one. No image has it.
pub(super) const NO_HASH: u64 = u64::MAX;

/// What is kept of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Print {
    pub content: u128,
    pub phash: u64,
}

impl Print {
    /// Of an image that has been taken. `small` is a buffer.
    pub fn of(image: &mut EightBit, shape: ImageShape, pixels: PixelSlice<'_>, small: &mut Vec<u8>) -> Self {
        let phash = if contrast(image.gray()) < LEAST_CONTRAST { NO_HASH } else { phash(image, small) };
        Self { content: fingerprint(shape, pixels), phash }
    }
}

/// The images of a data set, in their order: 24 bytes for each.
#[derive(Debug, Default)]
pub(super) struct Prints {
    contents: Vec<u128>,
    phashes: Vec<u64>,
    /// Where rows do not follow on each other: an image and its row.
    breaks: Vec<(u32, u64)>,
}

impl Prints {
    pub fn len(&self) -> usize {
        self.contents.len()
    }

    /// Adds the image of a row and returns its number.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] beyond 4,294,967,295 images.
    pub fn add(&mut self, row: u64, print: Print) -> Result<u32> {
        let number = u32::try_from(self.len()).ok().filter(|number| *number < u32::MAX).ok_or_else(|| {
            let why = "duplicates are found among at most 4,294,967,295 images".to_owned();
            Error::InvalidOption { option: "images", why }
        })?;
        if self.breaks.is_empty() || row != self.row(number) {
            self.breaks.push((number, row));
        }
        self.contents.push(print.content);
        self.phashes.push(print.phash);
        Ok(number)
    }

    /// Takes the last image out again.
    pub fn pop(&mut self) {
        self.contents.pop();
        self.phashes.pop();
        let len = self.len();
        self.breaks.pop_if(|(first, _)| *first as usize == len);
    }

    /// The row of an image.
    pub fn row(&self, image: u32) -> u64 {
        match self.breaks[..self.breaks.partition_point(|(first, _)| *first <= image)].last() {
            Some((first, row)) => row + u64::from(image - first),
            None => u64::from(image),
        }
    }

    /// For each image the first one of another data set that is the same.
    fn same_in(&self, other: &Self) -> Vec<Option<u32>> {
        let order = other.first_of_each(|image| other.contents[image as usize]);
        let same = |content: &u128| {
            let at = order.binary_search_by_key(content, |&image| other.contents[image as usize]).ok()?;
            Some(order[at])
        };
        self.contents.par_iter().map(same).collect()
    }

    /// For each image the nearest one of another data set and its distance, at most `distance`; the first of those that are as near.
    /// What is `known` needs none.
    fn near_in(&self, other: &Self, distance: u32, known: &[Option<u32>]) -> Vec<Option<(u32, u32)>> {
        let mut found = vec![None; self.len()];
        // Two hashes that differ in at most so many bits are equal in one of so many parts and one.
        let parts = distance + 1;
        let candidates = other.first_of_each(|image| other.phashes[image as usize]);
        for part in 0..parts {
            let (from, to) = (64 * part / parts, 64 * (part + 1) / parts);
            let part_of = |hash: u64| hash >> from & (u64::MAX >> (64 - (to - from)));
            let key = |image: u32| part_of(other.phashes[image as usize]);
            let mut order = candidates.clone();
            order.par_sort_unstable_by_key(|&image| (key(image), image));
            let images = found.par_iter_mut().zip(&self.phashes).zip(known);
            images.filter(|((_, hash), known)| **hash != NO_HASH && known.is_none()).for_each(|((best, &hash), _)| {
                let own = part_of(hash);
                let start = order.partition_point(|&image| key(image) < own);
                for &image in order[start..].iter().take_while(|image| key(**image) == own) {
                    let far = (hash ^ other.phashes[image as usize]).count_ones();
                    let is_candidate = far <= distance && other.phashes[image as usize] != NO_HASH;
                    if is_candidate && best.is_none_or(|best| (far, image) < best) {
                        *best = Some((far, image));
                    }
                }
            });
        }
        found.into_iter().map(|best| best.map(|(far, image)| (image, far))).collect()
    }

    /// The first image with each key, in the order of the keys.
    fn first_of_each<K: Ord + Send>(&self, key: impl Fn(u32) -> K + Sync) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.par_sort_unstable_by_key(|&image| (key(image), image));
        order.dedup_by_key(|image| key(*image));
        order
    }
}

/// Finds the first image with a key: an open table of the numbers of images.
#[derive(Debug, Default)]
pub(super) struct Firsts {
    /// Numbers plus one; 0 is free.
    slots: Vec<u32>,
    used: usize,
}

impl Firsts {
    /// The first image with the key of image `new`. If there is none, `new` becomes it, where it is to be remembered.
    pub fn first_or<K: PartialEq>(&mut self, new: u32, remember: bool, key: impl Fn(u32) -> (K, u64)) -> Option<u32> {
        if self.used * 4 >= self.slots.len() * 3 {
            // A power of two.
            let slots = vec![0; (2 * self.slots.len()).max(1 << 10)];
            for image in std::mem::replace(&mut self.slots, slots).into_iter().filter(|slot| *slot > 0) {
                let (_, free) = self.place(image - 1, &key);
                self.slots[free] = image;
            }
        }
        let (found, free) = self.place(new, &key);
        if found.is_none() && remember {
            self.slots[free] = new + 1;
            self.used += 1;
        }
        found
    }

    /// The image with the key of `of`, or the free slot for it.
    fn place<K: PartialEq>(&self, of: u32, key: impl Fn(u32) -> (K, u64)) -> (Option<u32>, usize) {
        let (own, hash) = key(of);
        let last = self.slots.len() - 1;
        let mut at = hash as usize & last;
        loop {
            match self.slots[at] {
                0 => return (None, at),
                image if key(image - 1).0 == own => return (Some(image - 1), at),
                _ => at = (at + 1) & last,
            }
        }
    }
}

/// The keys of images in [`Firsts`], and their hashes.
pub(super) fn by_content(prints: &Prints) -> impl Fn(u32) -> (u128, u64) {
    |image| {
        let content = prints.contents[image as usize];
        (content, content as u64)
    }
}

/// As [`by_content`].
pub(super) fn by_phash(prints: &Prints) -> impl Fn(u32) -> (u64, u64) {
    |image| {
        let hash = prints.phashes[image as usize];
        (hash, mixed(hash))
    }
}

/// Remembers the images of a run, to find those that another data set has as well. Clones share what they know.
///
/// It keeps 24 bytes for each image: 128 bits that only equal images share, and a perceptual hash.
///
/// ```
/// use pixelfeat::quality::ImageSet;
/// use pixelfeat::{Engine, EngineOptions, FeatureSpec, Featurizer, StreamOptions, synthetic};
///
/// # fn main() -> pixelfeat::Result<()> {
/// let featurizer = Featurizer::new(Engine::new(EngineOptions::default())?, FeatureSpec::default());
/// let images = |seed| -> pixelfeat::Result<ImageSet> {
///     let set = ImageSet::new("digits");
///     let options = StreamOptions::default().with_observer(Box::new(set.clone()));
///     let mut stream = featurizer.stream_with(synthetic::Digits::new(100, seed, 100), options)?;
///     stream.try_for_each(|batch| batch.map(drop))?;
///     Ok(set)
/// };
/// assert!(images(1)?.leaks(&images(2)?, 0)?.verdict().is_ok());
/// let report = images(1)?.leaks(&images(1)?, 0)?;
/// assert_eq!((report.results[0].unexpected, report.verdict().is_err()), (100, true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ImageSet {
    name: String,
    images: Arc<Mutex<Images>>,
}

#[derive(Debug, Default)]
struct Images {
    prints: Prints,
    rows: u64,
    origins: RowOrigins,
}

impl Images {
    /// The file of an image, if it is known, and its row there.
    fn locate(&self, image: u32) -> (Option<Arc<str>>, u64) {
        self.origins.locate(self.prints.row(image))
    }
}

impl ImageSet {
    /// The largest distance that [`ImageSet::leaks`] takes. Hashes of images that have nothing in common are some 32 bits apart.
    pub const MAX_DISTANCE: u32 = 16;

    /// A set of no images, which reports call by a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), images: Arc::default() }
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.lock().prints.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rows there were, those without an image included.
    pub fn rows(&self) -> u64 {
        self.lock().rows
    }

    /// What reports call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn lock(&self) -> MutexGuard<'_, Images> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of these images another set has as well, as two checks.
    ///
    /// - The same image: of the same shape, pixel type and pixels, bit for bit. That is an error.
    /// - Near ones among the others: those whose [`phash`](super::ImageHashes::phash) differs in at most `distance` bits. That is a
    ///   warning: a person must look. Images with a contrast below 0.01 are near no other one.
    ///
    /// Failed rows are those of this set, and their values tell the row in the other one.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the distance is beyond [`ImageSet::MAX_DISTANCE`].
    pub fn leaks(&self, other: &Self, distance: u32) -> Result<CheckReport> {
        if distance > Self::MAX_DISTANCE {
            let why = format!("{distance} is more than {}", Self::MAX_DISTANCE);
            return Err(Error::InvalidOption { option: "near distance", why });
        }
        let places = [self, other].map(|set| Arc::as_ptr(&set.images).addr());
        // Who compares the two the other way round at the same time locks them in the same order.
        let (own, theirs) = match places[0].cmp(&places[1]) {
            Ordering::Equal => {
                let own = self.lock();
                return Ok(compared(&own, &own, distance, &other.name));
            }
            Ordering::Less => {
                let own = self.lock();
                (own, other.lock())
            }
            Ordering::Greater => {
                let theirs = other.lock();
                (self.lock(), theirs)
            }
        };
        Ok(compared(&own, &theirs, distance, &other.name))
    }
}

fn compared(own: &Images, theirs: &Images, distance: u32, name: &str) -> CheckReport {
    let images = own.prints.len();
    let same = own.prints.same_in(&theirs.prints);
    let result = |check: String, severity, found: &dyn Fn(usize) -> Option<(u32, String)>| {
        let all = || (0..images).filter_map(|image| Some((image, found(image)?)));
        let unexpected = all().count() as u64;
        let told = |(image, (partner, how)): (usize, (u32, String))| {
            let (file, row) = own.locate(image as u32);
            let (their_file, their_row) = theirs.locate(partner);
            let value = format!("{how} {}: row {their_row}", their_file.as_deref().unwrap_or(name));
            FailedRow { file: file.as_deref().map(str::to_owned), row, value }
        };
        CheckResult {
            check,
            target: None,
            severity,
            dimension: Dimension::Uniqueness,
            passed: unexpected == 0,
            observed: json!(unexpected),
            expected: format!("0 of {} images", grouped(images as u64)),
            elements: own.rows,
            missing: own.rows - images as u64,
            unexpected,
            rows: all().take(TOLD).map(told).collect(),
        }
    };
    let exact = result(format!("images that are in {name} as well"), Severity::Error, &|image| {
        Some((same[image]?, "the same as".to_owned()))
    });
    let near = own.prints.near_in(&theirs.prints, distance, &same);
    let near =
        result(format!("images that are near one in {name} (distance {distance})"), Severity::Warning, &|image| {
            near[image].map(|(partner, far)| (partner, format!("{far} bits from")))
        });
    CheckReport { results: vec![exact, near] }
}

impl Observer for ImageSet {
    fn observe(&mut self, batch: &Observed<'_>) -> Result<()> {
        let scale = batch.layout.scale();
        let prints = each_image(batch, |(image, small): &mut (EightBit, Vec<u8>), shape, pixels| {
            image.take(shape, pixels, scale);
            Print::of(image, shape, pixels, small)
        });
        let images = &mut *self.lock();
        images.origins = batch.origins.clone();
        images.rows += prints.len() as u64;
        for (row, print) in (batch.first_row..).zip(prints) {
            if let Some(print) = print {
                images.prints.add(row, print)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    fn prints(hashes: &[u64]) -> Prints {
        let mut prints = Prints::default();
        for (row, &phash) in (0..).zip(hashes) {
            prints.add(row, Print { content: u128::from(mixed(phash)), phash }).unwrap();
        }
        prints
    }

    #[test]
    fn near_hashes_are_those_that_a_look_at_all_pairs_finds() {
        let mut random = Random::new(5, 0);
        let mut near = |hash: u64| (0..random.bits() % 9).fold(hash, |hash, _| hash ^ 1 << (random.bits() % 64));
        let mut hashes: Vec<u64> = (0..40).map(mixed).collect();
        hashes.extend([hashes[0], NO_HASH, NO_HASH]);
        let other: Vec<u64> =
            hashes.iter().rev().map(|&hash| if hash == NO_HASH { hash } else { near(hash) }).collect();
        let (own, others) = (prints(&hashes), prints(&other));
        let known = vec![None; hashes.len()];
        for distance in [0, 1, 3, 7, 16] {
            let expected: Vec<Option<(u32, u32)>> = hashes
                .iter()
                .map(|&hash| {
                    let far = other
                        .iter()
                        .zip(0..)
                        .map(|(&other, at)| (if other == NO_HASH { 99 } else { (hash ^ other).count_ones() }, at));
                    let (far, at) = far.min()?;
                    (hash != NO_HASH && far <= distance).then_some((at, far))
                })
                .collect();
            assert_eq!(own.near_in(&others, distance, &known), expected, "{distance}");
        }
    }

    #[test]
    fn first_images_are_found_whatever_the_size_of_the_table() {
        let hashes: Vec<u64> = (0..5_000).map(|i| mixed(i % 1_777)).collect();
        let (mut firsts, all) = (Firsts::default(), prints(&hashes));
        for image in 0..5_000u32 {
            let expected = Some(image % 1_777).filter(|_| image >= 1_777);
            assert_eq!(firsts.first_or(image, true, by_phash(&all)), expected, "{image}");
        }
        assert_eq!(all.same_in(&all)[4_000], Some(4_000 % 1_777));
        assert_eq!((firsts.used, Firsts::default().first_or(7, false, by_phash(&all))), (1_777, None));
    }

    #[test]
    fn rows_without_an_image_are_counted_over() {
        let mut prints = Prints::default();
        let rows = [3, 4, 7, 8, 9, 20];
        for row in rows {
            let print = Print { content: 0, phash: 0 };
            prints.add(row, print).unwrap();
            // What is taken out again leaves no trace.
            prints.add(row + 1, print).unwrap();
            prints.pop();
        }
        assert_eq!([0, 1, 2, 3, 4, 5].map(|image| prints.row(image)), rows);
    }
}
