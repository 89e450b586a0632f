//! Small copies of the images of a run, for reports.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::gray::EightBit;
use super::hashes::some_images;
use super::issue::Issue;
use crate::base::shape::ImageShape;
use crate::run::observe::Observed;

/// The longest side of a small copy.
const SIDE: usize = 96;
/// The values of a small copy at most, so that a page of them stays small: those of 96×96 gray pixels or 55×55 colours.
const VALUES: usize = SIDE * SIDE;
/// The bytes of small copies that are kept of images that nobody has asked for yet, and what each takes beside its values.
const KEPT: usize = 32 << 20;
const EACH: usize = 128;

/// A small copy of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub height: usize,
    pub width: usize,
    /// Gray or RGB, row by row, without alpha.
    pub values: Vec<u8>,
}

impl Picture {
    fn of(image: &mut EightBit, shrunk: &mut EightBit) -> Self {
        let size = small_size(image.height, image.width, image.channels);
        let from = if size == [image.height, image.width] {
            image
        } else {
            image.shrunk(size, shrunk);
            shrunk
        };
        Self { height: from.height, width: from.width, values: from.colours.clone() }
    }

    pub fn channels(&self) -> usize {
        self.values.len() / (self.height * self.width).max(1)
    }
}

/// The height and width of a small copy.
fn small_size(height: usize, width: usize, channels: usize) -> [usize; 2] {
    let by_side = SIDE as f64 / height.max(width) as f64;
    let by_values = (VALUES as f64 / (height * width * channels) as f64).sqrt();
    let factor = by_side.min(by_values);
    if factor >= 1.0 {
        return [height, width];
    }
    [height, width].map(|side| ((side as f64 * factor) as usize).max(1))
}

/// An image with an issue.
#[derive(Debug, Clone)]
pub(super) struct Flagged {
    pub row: u64,
    /// What the issue says of it.
    pub value: String,
    /// The row that it repeats.
    pub first: Option<u64>,
}

/// The pictures of a run: those of the first images with each issue, and of its first images, among which those are that later
/// ones repeat.
#[derive(Debug, Clone, Default)]
pub(super) struct Gallery {
    /// So many images of each issue.
    each: usize,
    flagged: [Vec<Flagged>; Issue::NAMES.len()],
    pictures: BTreeMap<u64, Arc<Picture>>,
    bytes: usize,
    /// Of the batch that is looked at, which rows are to have a picture.
    wanted: Vec<bool>,
}

impl Gallery {
    pub fn new(each: usize) -> Self {
        Self { each, ..Self::default() }
    }

    pub fn begin_batch(&mut self, rows: usize) {
        self.wanted.clear();
        self.wanted.resize(rows, false);
    }

    /// Takes note of an image of the batch. It has a picture if there is room.
    pub fn see(&mut self, at: usize, shape: ImageShape) {
        let channels = if shape.channels() < 3 { 1 } else { 3 };
        let [height, width] = small_size(shape.height(), shape.width(), channels);
        let bytes = height * width * channels + EACH;
        if self.bytes + bytes <= KEPT {
            self.bytes += bytes;
            self.wanted[at] = true;
        }
    }

    /// Takes note of an issue of row `at` of the batch.
    pub fn flag(&mut self, at: usize, issue: Issue, flagged: impl FnOnce() -> Flagged) {
        let of_issue = &mut self.flagged[issue as usize];
        if of_issue.len() < self.each {
            of_issue.push(flagged());
            self.wanted[at] = true;
        }
    }

    /// Makes the pictures of the batch.
    pub fn end_batch(&mut self, batch: &Observed<'_>) {
        let (scale, wanted) = (batch.layout.scale(), &self.wanted);
        let made = some_images(
            batch,
            |row| wanted[row],
            |(image, shrunk): &mut (EightBit, EightBit), shape, pixels| {
                image.take(shape, pixels, scale);
                Arc::new(Picture::of(image, shrunk))
            },
        );
        self.pictures.extend((batch.first_row..).zip(made).filter_map(|(row, made)| Some((row, made?))));
    }

    /// The first images with an issue.
    pub fn flagged(&self, issue: Issue) -> &[Flagged] {
        &self.flagged[issue as usize]
    }

    /// The pictures by their rows.
    pub fn pictures(&self) -> &BTreeMap<u64, Arc<Picture>> {
        &self.pictures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_copies_keep_their_form_and_their_bound() {
        for (shape, expected) in [
            ([28, 28, 1], [28, 28]),
            ([96, 96, 1], [96, 96]),
            ([97, 30, 1], [96, 29]),
            ([1_000, 2_000, 3], [39, 78]),
            ([65_536, 1, 3], [96, 1]),
        ] {
            let [height, width, channels] = shape;
            let size = small_size(height, width, channels);
            assert_eq!(size, expected, "{shape:?}");
            assert!(size[0] * size[1] * channels <= VALUES);
        }
    }

    #[test]
    fn pictures_are_kept_within_a_bound_and_flagged_ones_beyond() {
        let mut gallery = Gallery::new(2);
        let shape = ImageShape::gray(1, 1).unwrap();
        gallery.begin_batch(1 << 19);
        (0..1 << 19).for_each(|at| gallery.see(at, shape));
        assert_eq!(gallery.wanted.iter().filter(|wanted| **wanted).count(), KEPT / (EACH + 1));
        gallery.begin_batch(3);
        for at in 0..3 {
            gallery.see(at, shape);
            gallery.flag(at, Issue::Dark, || Flagged { row: at as u64, value: String::new(), first: None });
        }
        assert_eq!((gallery.wanted, gallery.flagged[Issue::Dark as usize].len()), (vec![true, true, false], 2));
    }
}
