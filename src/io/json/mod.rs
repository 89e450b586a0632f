//! JSON: one object a line, or the objects of one array, plain or compressed.
//!
//! The numbers of the image go from the text directly into the pixel buffer; arrow-json decodes only the other members. One
//! thread reads, decompresses and cuts the input into blocks of whole documents. Other threads parse the blocks. The batches
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
#[cfg(test)]
mod random_tests;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};

use self::blocks::{BlockReader, TextBlock, Tuning};
use self::builder::BatchBuilder;
use self::infer::infer;
use self::pixel::JsonPixel;
use self::plan::JsonPlan;
use super::options::ReadOptions;
use crate::base::error::{Error, Result};
use crate::base::ordered::{self, Ordered};
use crate::base::shape::PixelType;
use crate::base::warnings::Warnings;

/// The columns are decided by a sample of so many bytes or lines, whichever comes first.
const SAMPLE_BYTES: usize = 1 << 20;
const SAMPLE_LINES: u64 = 1000;
/// Blocks that wait beside those that are being parsed. One thread decompresses, and takes turns with the others for the cores:
/// the work that it leaves behind must last until it goes on.
const BLOCKS_AHEAD: usize = 6;

/// Opens newline-delimited JSON or a top-level JSON array of objects from any stream of bytes.
///
/// gzip (also with several members) and zstd are recognised by their first bytes. The blocks of `bgzip` are decompressed in parallel. `name` is what errors call the input: the
/// name of a file, or `stdin`.
///
/// # Columns
/// The columns are the top-level keys of the input, in the order in which they first appear in a sample: the first 1,000
/// lines, the first 1 MiB, or the whole input. The last column is that of the defects.
///
/// - The image's key is the name in the options. If the sample has no such key and the name has dots, as `data.pixels`, it is
///   the key `pixels` in the object `data`. The rest of that object stays a struct column.
/// - The image column is a nullable list of pixels of the declared type: nested once for flat images, twice for rows of
///   pixels, three times for rows of pixels of channels, whichever is most common in the sample.
/// - If strings are most common that are the base64 of a PNG, JPEG, WebP, BMP or TIFF file, the image column is `Binary` and
///   holds the bytes of the files.
/// - The other columns have the types that arrow-json infers from the sample: booleans, 64-bit integers and floats, strings,
///   lists and structs. Where the values of a key have no such type in common, a type would not hold a number exactly, or
///   there are objects without any member, the column holds the values' JSON text as strings, with a warning.
/// - What comes after the sample may have another key, or a value that its column does not hold exactly.
///   [`LateMembers`](super::LateMembers) says what becomes of it.
/// - A string such as `"7"` in a column of numbers is read as the number, and of several members with one name the last.
///
/// # Pauses
/// If a read fails with [`WouldBlock`](std::io::ErrorKind::WouldBlock), the input pauses: what is complete comes out at
/// once, and then a batch without rows, which says so. A pause also ends the sample. An input without any document has
/// no batches, and only the columns of the image and its defects.
///
/// # Rows that are not images
/// An image is null in its batch if it is missing, null, not a list of numbers nested like the others, or has a pixel that the
/// pixel type cannot hold. The defects column says why, on which line, and what the text was (of a text above 5 MiB the first
/// 5 MiB; the detail says so). Numbers are read as the nearest f64, so `3.0` and `3e0` are the integer 3; as f32 pixels they
/// are rounded to the nearest f32. The number of pixels of an image is not checked.
///
/// A line is broken if it is not a JSON object. It ends the reading with [`Error::Syntax`]; with [`ReadOptions::keep_broken_lines`] it is a row of nulls with a
/// [`BrokenLine`](crate::Reason::BrokenLine) defect. In an array, the text between two commas outside of strings and brackets
/// counts as an element; after brackets that do not match, the array cannot be read any further.
///
/// # Limits
/// A document has at most 2³⁰ bytes. Memory is bounded by the blocks in flight: eight more than there are threads, each of at
/// most 512 KiB unless a document is longer. Batches have at most 65,536 rows, and end at 16 MiB of pixels.
///
/// # Errors
/// Those of the following that are found in the sample. The reader returns, once, the first error after the sample.
/// - [`Error::Io`] if the stream cannot be read or a thread not started
/// - [`Error::Format`] if compressed data is damaged or ends early, or a document is too long
/// - [`Error::Syntax`] for broken lines, [`Error::LateMember`] for members that come late, as above
/// - [`Error::NoSuchColumn`] if no object of the sample has the image's key
/// - [`Error::ColumnTaken`] if the input has a column of the name that the defects column needs
pub fn open(input: Box<dyn Read + Send>, name: &str, options: &ReadOptions, warnings: &Warnings) -> Result<JsonReader> {
    open_with(input, name, options, warnings, Tuning::default())
}

fn open_with(
    input: Box<dyn Read + Send>,
    name: &str,
    options: &ReadOptions,
    warnings: &Warnings,
    tuning: Tuning,
) -> Result<JsonReader> {
    let threads = options.decoders();
    let mut source = BlockReader::new(input, name, options.batch_rows.max(1), threads, tuning)?;
    let mut blocks = Vec::new();
    let mut failure = None;
    let mut bytes = 0;
    while bytes < SAMPLE_BYTES && source.documents() < SAMPLE_LINES {
        match source.next_block() {
            Some(Ok(block)) => {
                bytes += block.text().len();
                let paused = block.paused;
                blocks.push(block);
                if paused {
                    let documents = source.documents();
                    warnings.add(format!("the input paused after {documents} documents, which decided its columns"));
                    break;
                }
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
    let plan = Arc::new(infer(&blocks, name, options, warnings)?);
    let mut ahead: VecDeque<Result<TextBlock>> = blocks.into_iter().map(Ok).chain(failure).collect();
    let blocks = move || ahead.pop_front().or_else(|| source.next_block());
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
    blocks: impl FnMut() -> Option<Result<TextBlock>> + Send + 'static,
    plan: &Arc<JsonPlan>,
    threads: usize,
) -> std::io::Result<Ordered<Vec<RecordBatch>>> {
    let plan = plan.clone();
    ordered::map(threads, threads + BLOCKS_AHEAD, blocks, move || {
        let mut builder = BatchBuilder::<T>::new(plan.clone());
        let schema = plan.schema.clone();
        move |block: TextBlock| match &mut builder {
            Ok(builder) => {
                let mut batches = builder.parse(&block)?;
                if block.paused {
                    batches.push(RecordBatch::new_empty(schema.clone()));
                }
                Ok(batches)
            }
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
