//! Steps on their way to the device: drawn on the host, told as records, and applied batch by batch.

use std::ops::Range;

use rayon::prelude::*;

use super::command::{Command, Dispatch, submit};
use super::context::HEAD_BYTES;
use super::fault::GpuError;
use super::layout::{
    APPLY_ENTRY, HALF_WORDS, MEASURE_ENTRIES, MEASURED_PIXELS, MEASURES, PART_WORDS, StepParams, VECTOR_BYTES,
    WHOLE_STEPS_ENTRY, WORKGROUP_SIZE,
};
use super::resident::Images;
use super::ring::Ring;
use super::shader::StepFrame;
use super::step_kernels::StepBindings;
use crate::base::shape::{ImageShape, PixelType};
use crate::steps::device::{Kinds, Tables};
use crate::steps::{RECORD_WORDS, Step};

const WORD: usize = size_of::<u32>();
/// Bytes of pixels that a dispatch writes, about.
const BATCH_BYTES: usize = 64 << 20;
/// Records of a batch at most: 4 MiB.
const BATCH_RECORDS: usize = 128 << 10;
/// Images of a batch at most where they may be measured: about 6 MiB of measures.
const BATCH_MEASURED: usize = 2 << 10;
/// Words of tables from which on a batch ends.
const BATCH_TABLE_WORDS: usize = 512 << 10;

/// What draws the steps of a sample.
pub(super) type Draw<'a> = &'a (dyn Fn(u64, &mut Vec<Step>) + Sync);

/// The records of some images.
struct Records {
    images: usize,
    /// Slot by slot of image by image.
    words: Vec<u32>,
    tables: Tables,
    /// The kinds of steps in each slot.
    kinds: Vec<Kinds>,
}

impl Records {
    /// Of the first of these samples: of all of them, unless they need too many tables.
    fn drawn(ids: &[u64], draw: Draw<'_>, shapes: &[ImageShape], pixel_type: PixelType) -> Self {
        let slots = shapes.len() - 1;
        let none = || vec![Kinds::default(); slots];
        let mut words = vec![0; ids.len() * slots * RECORD_WORDS];
        let images = words.par_chunks_exact_mut(slots * RECORD_WORDS).zip(ids).with_min_len(64);
        let drawn = images.fold(
            || (none(), Vec::with_capacity(slots)),
            |(mut kinds, mut steps), (records, id)| {
                steps.clear();
                draw(*id, &mut steps);
                let slots = records.chunks_exact_mut(RECORD_WORDS).zip(&steps).zip(&mut kinds);
                slots.for_each(|((record, step), kinds)| {
                    record.copy_from_slice(&step.record());
                    kinds.add(record);
                });
                (kinds, steps)
            },
        );
        let kinds = drawn.map(|(kinds, _)| kinds).reduce(none, |mut one, other| {
            one.iter_mut().zip(other).for_each(|(one, other)| *one = one.with(other));
            one
        });
        let mut tables = Tables::new(pixel_type);
        let mut images = ids.len();
        if kinds.iter().any(|kinds| kinds.need_tables(pixel_type)) {
            for (at, records) in words.chunks_exact_mut(slots * RECORD_WORDS).enumerate() {
                if tables.words().len() > BATCH_TABLE_WORDS {
                    images = at;
                    break;
                }
                let records = records.chunks_exact_mut(RECORD_WORDS).zip(shapes);
                records.for_each(|(record, from)| tables.complete(record, *from));
            }
        }
        words.truncate(images * slots * RECORD_WORDS);
        Self { images, words, tables, kinds }
    }
}

/// Images on their way through steps.
pub(super) struct Work<'a> {
    pub(super) ring: &'a Ring,
    pub(super) images: &'a Images,
    /// The shape of images before each slot, and after the last one.
    pub(super) shapes: &'a [ImageShape],
    pub(super) frame: StepFrame,
    /// Images of each part.
    pub(super) part_images: usize,
}

/// Images of one part that go through all slots in one submission.
struct Batch<'a> {
    pixels: &'a wgpu::Buffer,
    results: &'a wgpu::Buffer,
    /// The first image, counted from the start of the part.
    first: usize,
    records: Records,
}

/// Buffers that the batches of a run share.
struct Shared {
    /// Where images are between two slots, in turn.
    between: [wgpu::Buffer; 2],
    /// `None` for small images, which need neither.
    measures: Option<wgpu::Buffer>,
}

impl Work<'_> {
    /// The frame for images that have these shapes on their way.
    pub(super) fn frame(pixel_type: PixelType, shapes: &[ImageShape]) -> StepFrame {
        let fits = |shape: &ImageShape| shape.values() * pixel_type.bytes() <= HALF_WORDS * WORD;
        if shapes.iter().all(fits) { StepFrame::Whole } else { StepFrame::Wide }
    }

    fn slots(&self) -> usize {
        self.shapes.len() - 1
    }

    /// Words of an image that begins a word.
    fn words(&self, shape: ImageShape) -> usize {
        self.images.image_bytes(shape).div_ceil(WORD)
    }

    /// Applies the steps part by part, and batch by batch.
    pub(super) fn run(&self, ids: &[u64], draw: Draw<'_>) -> Result<Vec<wgpu::Buffer>, GpuError> {
        use wgpu::BufferUsages as Use;
        let (context, images) = (&self.ring.context, self.images);
        let buffer = |label, bytes: usize, usage| {
            let bytes = bytes.next_multiple_of(VECTOR_BYTES).max(VECTOR_BYTES);
            context.buffer(label, bytes as u64, usage, false)
        };
        let largest = self.shapes.iter().map(|&shape| self.words(shape)).max().unwrap_or(1);
        let whole = self.frame == StepFrame::Whole;
        let batch_bytes = BATCH_BYTES.min(images.gpu.part_bytes(context));
        let batch = (batch_bytes / (largest * WORD)).min(BATCH_RECORDS / self.slots());
        let batch = batch.min(if whole { usize::MAX } else { BATCH_MEASURED }).max(1);
        let batch = batch.min(self.part_images).min(images.images);
        let inner = if self.slots() > 1 && !whole { batch * largest * WORD } else { 0 };
        let shared = Shared {
            between: [(); 2].map(|()| buffer("between steps", inner, Use::STORAGE)),
            measures: (!whole).then(|| buffer("measures", batch * MEASURES * WORD, Use::STORAGE)),
        };
        let last = self.shapes[self.slots()];
        let mut parts = Vec::with_capacity(images.parts.len());
        for (pixels, ids) in images.parts.iter().zip(ids.chunks(self.part_images)) {
            let results = buffer("images", ids.len() * images.image_bytes(last), Use::STORAGE | Use::COPY_SRC);
            let mut first = 0;
            while first < ids.len() {
                let ids = &ids[first..ids.len().min(first + batch)];
                let records = Records::drawn(ids, draw, self.shapes, images.pixel_type);
                let batch = Batch { pixels, results: &results, first, records };
                self.submit(&batch, &shared)?;
                first += batch.records.images;
            }
            parts.push(results);
        }
        Ok(parts)
    }

    /// The slots that a batch needs a dispatch for.
    fn dispatched(&self, kinds: &[Kinds]) -> Vec<usize> {
        if self.frame == StepFrame::Whole {
            return vec![0];
        }
        let slots: Vec<usize> = (0..self.slots()).filter(|&slot| !kinds[slot].are_identity()).collect();
        // Images that all stay as they are have to be copied once.
        if slots.is_empty() { vec![self.slots() - 1] } else { slots }
    }

    fn submit(&self, batch: &Batch<'_>, shared: &Shared) -> Result<(), GpuError> {
        use wgpu::BufferUsages as Use;
        let (context, kernels, pixel_type) = (&self.ring.context, &self.ring.steps, self.images.pixel_type);
        let Batch { pixels, results, first, records: Records { images, words, tables, kinds } } = batch;
        let slots = self.dispatched(kinds);
        let params = self.params(&slots, *first..*first + images);
        // Every dispatch has a head of its own, and what all are told follows the heads.
        let heads = (slots.len() as u64) * HEAD_BYTES;
        let shapes: Vec<[u32; 4]> =
            self.shapes.iter().map(|s| [s.height() as u32, s.width() as u32, s.channels() as u32, 0]).collect();
        let mut pieces: Vec<(u64, &[u8])> = Vec::new();
        for (at, params) in params.iter().enumerate() {
            pieces.push((at as u64 * HEAD_BYTES, bytemuck::bytes_of(params)));
        }
        let mut end = heads;
        for words in [bytemuck::cast_slice(&shapes), words, tables.words()] {
            let bytes: &[u8] = bytemuck::cast_slice::<u32, u8>(words);
            pieces.push((end, bytes));
            end += bytes.len().next_multiple_of(VECTOR_BYTES) as u64;
        }
        let told = context.buffer("steps", end, Use::UNIFORM | Use::STORAGE, true);
        let part = |offset, bytes| {
            let size = wgpu::BufferSize::new(bytes);
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &told, offset, size })
        };
        let last = slots.len() - 1;
        let bindings: Vec<_> = (0..slots.len())
            .map(|at| {
                let bindings = StepBindings {
                    params: part(at as u64 * HEAD_BYTES, HEAD_BYTES),
                    pixels: if at == 0 { pixels } else { &shared.between[(at - 1) % 2] },
                    results: if at == last { results } else { &shared.between[at % 2] },
                    told: part(heads, end - heads),
                    measures: shared.measures.as_ref(),
                };
                kernels.bind(&context.device, bindings)
            })
            .collect();
        let kernel = |entry| kernels.of(context, self.frame, pixel_type, entry);
        let whole = self.frame == StepFrame::Whole;
        let apply = kernel(if whole { WHOLE_STEPS_ENTRY } else { APPLY_ENTRY })?;
        let measured = |slot: usize| !whole && kinds[slot].are_measured();
        let measure = match slots.iter().any(|slot| measured(*slot)) {
            true => MEASURE_ENTRIES.iter().map(|entry| kernel(entry)).collect::<Result<Vec<_>, _>>()?,
            false => Vec::new(),
        };
        let mut dispatches = Vec::new();
        for (&slot, bindings) in slots.iter().zip(&bindings) {
            if measured(slot) {
                let groups = [
                    (images * MEASURES).div_ceil(WORKGROUP_SIZE as usize),
                    images * self.shapes[slot].pixels().div_ceil(MEASURED_PIXELS),
                    *images,
                ];
                let three = measure.iter().zip(groups);
                dispatches.extend(three.map(|(pipeline, groups)| Dispatch { pipeline, bindings, groups }));
            }
            // An image that begins within a word reaches into one more.
            let parts = if whole { 1 } else { self.words(self.shapes[slot + 1]) / PART_WORDS + 1 };
            dispatches.push(Dispatch { pipeline: &apply, bindings, groups: images * parts });
        }
        let compute = Command::Compute { dispatches, timestamps: None };
        submit(context, &[Command::Upload { to: &told, pieces, threads: 1 }, compute])?;
        Ok(())
    }

    /// What each dispatch is told. Between two of them every image begins a word; before and after them images have no
    /// gaps.
    fn params(&self, slots: &[usize], images: Range<usize>) -> Vec<StepParams> {
        let (all, last) = (self.slots(), slots.len() - 1);
        let spaced = |shape| self.words(shape) * (WORD / self.images.pixel_type.bytes());
        let records = 4 * self.shapes.len();
        let each = slots.iter().enumerate().map(|(at, &slot)| {
            let after = if self.frame == StepFrame::Whole { all } else { slot + 1 };
            let (from, to) = (self.shapes[slot], self.shapes[after]);
            StepParams {
                images: images.len() as u32,
                first: if at == 0 { images.start as u32 } else { 0 },
                stride: if at == 0 { from.values() } else { spaced(from) } as u32,
                to_first: if at == last { images.start as u32 } else { 0 },
                to_stride: if at == last { to.values() } else { spaced(to) } as u32,
                gapless: u32::from(at == last),
                slot: slot as u32,
                slots: all as u32,
                records: records as u32,
                tables: (records + images.len() * all * RECORD_WORDS) as u32,
            }
        });
        each.collect()
    }
}
