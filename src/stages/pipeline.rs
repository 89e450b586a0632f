//! A chain bound to a seed and to one kind of images, for whoever has pixels in memory.

use std::fmt;

use rayon::prelude::*;

use crate::base::error::{Error, Result};
use crate::base::philox::{FirstWords, Key, LANES, Stream};
use crate::base::pixels::Pixel;
use crate::base::shape::{ImageShape, PixelType};
use crate::base::simd::Level;
use crate::stages::{Chain, Format, Stage};
use crate::steps::{RECORD_WORDS, Step, Workspace};

/// A chain bound to a seed and to images of one shape and pixel type.
///
/// What it does to an image depends on the chain, the seed, the epoch and the number of the sample alone.
///
/// ```
/// use pixelfeat::PixelType;
/// use pixelfeat::stages::Pipeline;
///
/// # fn main() -> pixelfeat::Result<()> {
/// let pipeline = Pipeline::new("crop(pad=4),hflip(0.5)".parse()?, 7, "28x28".parse()?, PixelType::U8)?;
/// let (digits, mut augmented) = (vec![9u8; 2 * 784], vec![0; 2 * 784]);
/// // The samples 40 and 41 in epoch 3.
/// pipeline.apply(&[40, 41], 3, &digits, &mut augmented)?;
/// println!("{}", pipeline.parameters(40, 3));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    chain: Chain,
    seed: u64,
    formats: Vec<Format>,
    level: Level,
}

/// What is done to one image, stage by stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    steps: Vec<Step>,
    /// Where the steps of each stage end, and how many slots it has.
    stages: Vec<(usize, usize)>,
}

impl Parameters {
    /// All steps in their order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps of each stage of the chain.
    pub fn of_stages(&self) -> impl Iterator<Item = &[Step]> {
        let starts = std::iter::once(0).chain(self.stages.iter().map(|(end, _)| *end));
        starts.zip(&self.stages).map(|(start, (end, _))| &self.steps[start..*end])
    }

    /// The steps as a device reads them: as many for every image of a chain. A stage that draws fewer steps than it can
    /// has `identity` in the others.
    pub fn records(&self) -> Vec<[u32; RECORD_WORDS]> {
        let mut records = Vec::new();
        for (steps, (_, slots)) in self.of_stages().zip(&self.stages) {
            records.extend(steps.iter().map(Step::record));
            let left = slots.saturating_sub(steps.len());
            records.extend(std::iter::repeat_n(Step::Identity {}.record(), left));
        }
        records
    }
}

impl fmt::Display for Parameters {
    /// The steps with commas between, or `identity`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps.is_empty() {
            true => Step::Identity {}.fmt(f),
            false => crate::base::text::write_list(f, &self.steps),
        }
    }
}

impl Pipeline {
    /// A chain for images of this shape and pixel type.
    ///
    /// # Errors
    /// [`Error::InvalidShape`] if a stage gives such images no shape. [`Error::InvalidOption`] if a stage cannot work on
    /// them; it names the stage and its place in the chain's text.
    pub fn new(chain: Chain, seed: u64, shape: ImageShape, pixel_type: PixelType) -> Result<Self> {
        let formats = chain.formats(Format { shape, pixel_type })?;
        Ok(Self { chain, seed, formats, level: Level::detect() })
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The shape of the images that come out.
    pub fn shape(&self) -> ImageShape {
        self.last().shape
    }

    /// The type of the pixels that come out: f32 after `normalize`, or else that of those that go in.
    pub fn pixel_type(&self) -> PixelType {
        self.last().pixel_type
    }

    fn first(&self) -> Format {
        self.formats[0]
    }

    fn last(&self) -> Format {
        self.formats[self.formats.len() - 1]
    }

    /// What is done to sample `id` in an epoch.
    pub fn parameters(&self, id: u64, epoch: u32) -> Parameters {
        let (mut steps, mut stages) = (Vec::new(), Vec::new());
        let keys = self.chain.keys(self.seed, epoch);
        for ((stage, key), format) in self.chain.stages().iter().zip(keys).zip(&self.formats) {
            stage.draw(*format, &mut Stream::new(key, id), &mut steps);
            stages.push((steps.len(), stage.slots()));
        }
        Parameters { steps, stages }
    }

    /// The steps of some samples as a device reads them: for each sample as many records as the chain has slots.
    pub fn records(&self, ids: &[u64], epoch: u32) -> Vec<[u32; RECORD_WORDS]> {
        let keys = self.chain.keys(self.seed, epoch);
        let slots: Vec<usize> = self.chain.stages().iter().map(Stage::slots).collect();
        let all = slots.iter().sum::<usize>();
        // What no step overwrites does nothing.
        let mut records = vec![[0; RECORD_WORDS]; ids.len() * all];
        for (ids, records) in ids.chunks(LANES).zip(records.chunks_mut(LANES * all.max(1))) {
            let mut slot = 0;
            // Stage by stage, so that the draws of one are side by side.
            for (((stage, format), key), slots) in self.chain.stages().iter().zip(&self.formats).zip(&keys).zip(&slots)
            {
                let begun = FirstWords::new(self.level, *key, ids);
                for ((lane, id), records) in ids.iter().enumerate().zip(records.chunks_exact_mut(all)) {
                    let mut records = Records(records[slot..slot + slots].iter_mut());
                    stage.draw(*format, &mut Stream::begun(*key, *id, begun.of(lane)), &mut records);
                }
                slot += slots;
            }
        }
        records
    }

    /// This pipeline with the instructions of a SIMD level, if the CPU has them. Without this it is the fastest level. The
    /// results are the same.
    #[must_use]
    pub fn at_level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The shape of images before each slot of the records of [`Parameters::records`], and after the last one; and the
    /// type of their pixels.
    #[cfg(feature = "gpu")]
    pub(crate) fn slots(&self) -> (Vec<ImageShape>, PixelType) {
        let mut shapes = vec![self.first().shape];
        for (stage, after) in self.chain.stages().iter().zip(&self.formats[1..]) {
            shapes.extend(std::iter::repeat_n(after.shape, stage.slots()));
        }
        (shapes, self.first().pixel_type)
    }

    /// What draws the steps of a sample in an epoch: one for each slot, `identity` where a stage draws fewer.
    #[cfg(feature = "gpu")]
    pub(crate) fn drawing(&self, epoch: u32) -> impl Fn(u64, &mut Vec<Step>) + Sync + '_ {
        let keys = self.chain.keys(self.seed, epoch);
        move |id, steps| {
            for ((stage, key), format) in self.chain.stages().iter().zip(&keys).zip(&self.formats) {
                let end = steps.len() + stage.slots();
                stage.draw(*format, &mut Stream::new(*key, id), steps);
                steps.resize(end, Step::Identity {});
            }
        }
    }

    /// Applies the chain to images that lie one after another in `pixels`: image `i` is that of sample `ids[i]`. The
    /// results lie in the same order in `out`. All threads of the current rayon pool work. `normalize` is left out; see
    /// [`Pipeline::apply_normalized`].
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if `pixels` or `out` are of another type or length than so many images have.
    pub fn apply<P: Pixel>(&self, ids: &[u64], epoch: u32, pixels: &[P], out: &mut [P]) -> Result<()> {
        let (from, to) = (self.first().shape.values(), self.shape().values());
        self.lengths(ids.len(), P::TYPE, pixels.len(), out.len())?;
        let keys = self.chain.keys(self.seed, epoch);
        let images = ids.par_iter().zip(pixels.par_chunks_exact(from)).zip(out.par_chunks_exact_mut(to));
        // A part for a thread is some images, so that sharing them out costs little.
        let few = (1 << 14) / from.max(to);
        images.with_min_len(few.max(1)).for_each_init(
            || Hands::at(self.level),
            |hands, ((id, old), new)| {
                self.one(&keys, *id, old, new, hands);
            },
        );
        Ok(())
    }

    /// As [`Pipeline::apply`], followed by the chain's `normalize`, or by the conversion to f32 if there is none.
    ///
    /// # Errors
    /// As [`Pipeline::apply`].
    pub fn apply_normalized<P: Pixel>(&self, ids: &[u64], epoch: u32, pixels: &[P], out: &mut [f32]) -> Result<()> {
        let (from, to) = (self.first().shape.values(), self.shape().values());
        self.lengths(ids.len(), P::TYPE, pixels.len(), out.len())?;
        let keys = self.chain.keys(self.seed, epoch);
        let before = Format { shape: self.shape(), pixel_type: P::TYPE };
        let constants = self.chain.normalize().map(|normalize| normalize.constants(before));
        let constants = constants.unwrap_or_else(|| vec![[0.0, 1.0]; self.shape().channels()]);
        let images = ids.par_iter().zip(pixels.par_chunks_exact(from)).zip(out.par_chunks_exact_mut(to));
        images.for_each_init(
            || (Hands::at(self.level), vec![P::default(); to]),
            |(hands, whole), ((id, old), new)| {
                self.one(&keys, *id, old, whole, hands);
                normalize(whole, &constants, new);
            },
        );
        Ok(())
    }

    fn lengths(&self, images: usize, pixel_type: PixelType, pixels: usize, out: usize) -> Result<()> {
        let refuse = |why| Err(Error::InvalidOption { option: "pipeline", why });
        if pixel_type != self.first().pixel_type {
            return refuse(format!("its pixels are {}, not {pixel_type}", self.first().pixel_type));
        }
        let (from, to) = (self.first().shape, self.shape());
        if pixels != images * from.values() {
            return refuse(format!("{pixels} values are not {images} images of {from}"));
        }
        if out != images * to.values() {
            return refuse(format!("a place for {out} values is none for {images} images of {to}"));
        }
        Ok(())
    }

    /// One image from `old` to `new`. Only images between two steps are in buffers of their own.
    fn one<P: Pixel>(&self, keys: &[Key], id: u64, old: &[P], new: &mut [P], hands: &mut Hands<P>) {
        let Hands { steps, work, buffers } = hands;
        steps.clear();
        for ((stage, key), format) in self.chain.stages().iter().zip(keys).zip(&self.formats) {
            stage.draw(*format, &mut Stream::new(*key, id), steps);
        }
        let Some((last, inner)) = steps.split_last() else { return new.copy_from_slice(old) };
        let mut shape = self.first().shape;
        let [one, other] = buffers;
        for (at, step) in inner.iter().enumerate() {
            let to = step.shape(shape);
            other.resize(to.values(), P::default());
            step.apply(shape, if at == 0 { old } else { one }, other, work);
            std::mem::swap(one, other);
            shape = to;
        }
        last.apply(shape, if inner.is_empty() { old } else { one }, new, work);
    }
}

/// Takes steps as records. Where a step is made, its kind is known, so that nothing asks for it again.
struct Records<'a>(std::slice::IterMut<'a, [u32; RECORD_WORDS]>);

impl Extend<Step> for Records<'_> {
    #[inline]
    fn extend<I: IntoIterator<Item = Step>>(&mut self, steps: I) {
        steps.into_iter().zip(&mut self.0).for_each(|(step, record)| *record = step.record());
    }
}

/// What a thread keeps from one image to the next.
struct Hands<P> {
    steps: Vec<Step>,
    work: Workspace,
    buffers: [Vec<P>; 2],
}

impl<P> Hands<P> {
    fn at(level: Level) -> Self {
        Self { steps: Vec::new(), work: Workspace::at(level), buffers: [Vec::new(), Vec::new()] }
    }
}

/// (value − constant) · constant, by the constants of each channel.
pub(crate) fn normalize<P: Pixel>(values: &[P], constants: &[[f32; 2]], out: &mut [f32]) {
    let channels = constants.len();
    let each = |value: fn(&P) -> f32, out: &mut [f32]| {
        for (values, out) in values.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            for ((value_of, [mean, scale]), out) in values.iter().zip(constants).zip(out) {
                *out = (value(value_of) - mean) * scale;
            }
        }
    };
    match P::TYPE {
        PixelType::U8 => each(|value| f32::from(bytemuck::cast::<P, u8>(*value)), out),
        PixelType::U16 => each(|value| f32::from(bytemuck::cast::<P, u16>(*value)), out),
        PixelType::F32 => each(|value| bytemuck::cast::<P, f32>(*value), out),
    }
}
