//! JSON: one object a line, or the objects of one array, plain or compressed.
//!
//! The image's numbers go straight from the text into the pixel buffer; only the other members are left to arrow-json.
//! One thread reads, decompresses and cuts the input into blocks of whole documents, others parse them, and the batches
//! come out in the order of the input.

mod blocks;
mod builder;
mod documents;
mod infer;
mod members;
mod naturals;
mod nested;
mod numbers;
mod pixel;
mod pixels;
mod plan;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use self::blocks::{Block, BlockReader, Tuning};
use self::builder::BatchBuilder;
use self::infer::infer;
use self::pixel::JsonPixel;
use self::plan::JsonPlan;
use super::options::ReadOptions;
use crate::base::error::{Error, Result};
use crate::base::ordered::{self, Ordered};
use crate::base::shape::PixelType;

/// The least to look at before the columns are decided, whichever comes first.
const SAMPLE_BYTES: usize = 1 << 20;
const SAMPLE_LINES: u64 = 1000;

/// Opens newline-delimited JSON or a top-level JSON array of objects from any stream of bytes.
///
/// gzip (also of several members) and zstd are recognised by their first bytes. `name` is what errors call the input:
/// the file's name, or `stdin`.
///
/// # Columns
/// The input's top-level keys in the order in which they first appear in a sample: the first 1,000 lines, 1 MiB, or all
/// there is. The image's key is that of the options' name; where the sample has no such key, and the name has dots, the
/// key in the object that the name says, as `data.pixels`. What else that object has stays a struct column. The image column is, at its place among them, a nullable list of pixels of the declared type, nested once
/// for flat images, twice for rows of pixels, three times for rows of pixels of channels: whichever is most common in
/// the sample. Where strings are, which are base64 of a PNG, JPEG, WebP, BMP or TIFF file, the column is `Binary` and holds
/// the files' bytes. The others have the types that arrow-json infers, where a number that its column could not hold
/// exactly, or a column that the sample has not, makes its line broken. arrow-json reads a string such as
/// `"7"` in a column of numbers as the number, and the last of several members of one name. Nothing is delivered before
/// the sample is complete, so a slow pipe has to fill it first. Last comes the column of defects.
/// An input without any document has no batches and the columns of the image and its defects.
///
/// # Rows that are not images
/// A row whose image is missing, null, no list of numbers nested like the others, or has a pixel that the pixel type
/// cannot hold stays in its batch with a null image, and the defects column says why, on which line, and what stood
/// there (of texts above 5 MiB the first 5 MiB; the detail says so). Numbers are taken as the f64 nearest to their text,
/// so `3.0` and `3e0` are the integer 3, and as f32 pixels they are rounded to the nearest f32. How many pixels an image has is not looked at.
///
/// A line that is not a JSON object, or whose other members are not of their columns' types, ends the reading with
/// [`Error::Syntax`], or is a row of nulls with a [`BrokenLine`](crate::Reason::BrokenLine) defect where
/// [`ReadOptions::keep_broken_lines`] asks for that. In an array, what lies between two commas outside of strings and
/// brackets is taken for an element; where brackets do not match, the array cannot be read on.
///
/// # Limits
/// A document has at most 2³⁰ bytes. Memory is bounded by the blocks in flight, two more than there are threads, of at
/// most 512 KiB unless one document is longer. Batches have at most 65,536 rows, and are closed at 16 MiB of pixels.
///
/// # Errors
/// Whatever of the following is found in the sample; the reader returns, once, what comes after it.
/// - [`Error::Io`] if the stream cannot be read or a thread not started
/// - [`Error::Format`] if compressed data is damaged or ends early, or a document is too long
/// - [`Error::Syntax`] for broken lines, as above
/// - [`Error::NoSuchColumn`] if no object of the sample has the image's key
/// - [`Error::ColumnTaken`] if the input has a column of the name that the defects column needs
pub fn open(input: Box<dyn Read + Send>, name: &str, options: &ReadOptions) -> Result<JsonReader> {
    open_with(input, name, options, Tuning::default())
}

fn open_with(input: Box<dyn Read + Send>, name: &str, options: &ReadOptions, tuning: Tuning) -> Result<JsonReader> {
    let mut source = BlockReader::new(input, name, options.batch_rows.max(1), tuning)?;
    let mut blocks = Vec::new();
    let mut failure = None;
    let mut bytes = 0;
    while bytes < SAMPLE_BYTES && source.documents() < SAMPLE_LINES {
        match source.next_block() {
            Some(Ok(block)) => {
                bytes += block.text().len();
                blocks.push(block);
            }
            // What was read before it may still be of use.
            Some(Err(error)) if !blocks.is_empty() => {
                failure = Some(Err(error));
                break;
            }
            Some(Err(error)) => return Err(error),
            None => break,
        }
    }
    let plan = Arc::new(infer(&blocks, name, options)?);
    let mut ahead: VecDeque<Result<Block>> = blocks.into_iter().map(Ok).chain(failure).collect();
    let blocks = move || ahead.pop_front().or_else(|| source.next_block());
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let batches = match plan.pixel_type {
        PixelType::U8 => parse::<u8>(blocks, &plan, threads),
        PixelType::U16 => parse::<u16>(blocks, &plan, threads),
        PixelType::F32 => parse::<f32>(blocks, &plan, threads),
    };
    let batches =
        batches.map_err(|source| Error::Io { action: "start a thread for", path: PathBuf::from(name), source })?;
    Ok(JsonReader { schema: plan.schema.clone(), batches, ready: VecDeque::new() })
}

fn parse<T: JsonPixel>(
    blocks: impl FnMut() -> Option<Result<Block>> + Send + 'static,
    plan: &Arc<JsonPlan>,
    threads: usize,
) -> std::io::Result<Ordered<Vec<RecordBatch>>> {
    let plan = plan.clone();
    ordered::map(threads, threads, blocks, move || {
        let mut builder = BatchBuilder::<T>::new(plan.clone());
        move |block: Block| match &mut builder {
            Ok(builder) => builder.parse(&block),
            Err(error) => Err(Error::Internal(error.to_string())),
        }
    })
}

/// The batches of a JSON input, in its order; made by [`open`].
///
/// After an error there is nothing more. Dropping the reader lets its threads end.
pub struct JsonReader {
    schema: SchemaRef,
    batches: Ordered<Vec<RecordBatch>>,
    ready: VecDeque<RecordBatch>,
}

impl std::fmt::Debug for JsonReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonReader").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Iterator for JsonReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            match self.batches.next()? {
                Ok(batches) => self.ready.extend(batches),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

impl RecordBatchReader for JsonReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
