//! What the columns are, found out from a sample, and the building of batches from documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_json::ReaderBuilder;
use arrow_json::reader::{Decoder, infer_json_schema_from_iterator};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use serde_json::Value;

use super::documents::{Documents, Row};
use super::nested::{self, Place};
use super::pixels::{self, Image, Lists, Target};
use super::scan::{Fault, Key, Members, Scan, Scanner};
use super::source::Block;
use crate::base::error::{Error, Result};
use crate::base::reason::Reason;
use crate::base::shape::PixelType;
use crate::images::defect::{Defect, defects_array, defects_field};
use crate::io::options::ReadOptions;

/// The longest text that a defect carries, in bytes: a 1024×1024 image of bytes written with spaces.
pub(super) const LONGEST_RAW: usize = 5 << 20;

/// Batches are closed at this many bytes of pixels.
const BATCH_BYTES: usize = 16 << 20;

/// The most rows of a batch, whatever was asked for: arrow-json makes room for all of them beforehand.
const MOST_ROWS: usize = 1 << 16;

/// What every batch of an input is made by.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) file: String,
    place: Place,
    pub(super) pixel_type: PixelType,
    pub(super) keep_broken: bool,
    depth: usize,
    batch_rows: usize,
    /// The columns of a batch.
    pub(super) schema: SchemaRef,
    /// The columns that arrow-json decodes.
    others: SchemaRef,
    /// The place of the image column in the schema; the others keep their order around it.
    image_at: usize,
}

impl Plan {
    /// Decides the columns by the documents of the first blocks.
    ///
    /// # Errors
    /// Where the sample is not JSON and broken lines are not kept, or none of its objects has the image's key.
    pub(super) fn infer(blocks: &[Block], file: &str, options: &ReadOptions) -> Result<Self> {
        let mut sample = Sample::read(blocks, file, options, Place::plain(&options.image))?;
        // A key of that very name comes before a path.
        if !sample.keys.contains(&options.image)
            && let Some(place) = Place::nested(&options.image)
        {
            let nested = Sample::read(blocks, file, options, place)?;
            sample = if nested.keys.contains(&options.image) { nested } else { sample };
        }
        let Sample { place, keys, depths, values, .. } = sample;
        let image_at = match keys.iter().position(|key| *key == options.image) {
            Some(at) => at,
            None if keys.is_empty() && values.is_empty() => 0,
            None => return Err(Error::NoSuchColumn { column: options.image.clone(), available: keys }),
        };
        let inferred = infer_others(&values, blocks, file, options.keep_broken_lines)?;
        let others: Vec<Field> = keys.iter().filter_map(|key| inferred.field_with_name(key).ok().cloned()).collect();
        // The last of those that are as common, so 1 where there is none.
        let depth = [3, 2, pixels::ENCODED, 1].into_iter().max_by_key(|&depth| depths[depth]).unwrap_or(1);
        let pixel_type = match depth {
            pixels::ENCODED => PixelType::U8,
            _ => options.pixel_type.unwrap_or(PixelType::U8),
        };
        let defects = defects_field(&options.image);
        if keys.contains(defects.name()) {
            return Err(Error::ColumnTaken { column: defects.name().clone() });
        }
        let mut fields = others.clone();
        // A column whose rows are all left out as broken is no column, so the image may have moved to the front.
        let image_at = keys[..image_at].iter().filter(|key| inferred.field_with_name(key).is_ok()).count();
        fields.insert(image_at, Field::new(&options.image, pixels::column_type(pixel_type, depth), true));
        fields.push(defects);
        Ok(Self {
            file: file.to_owned(),
            place,
            pixel_type,
            keep_broken: options.keep_broken_lines,
            depth,
            batch_rows: options.batch_rows.clamp(1, MOST_ROWS),
            schema: Arc::new(Schema::new(fields)),
            others: Arc::new(Schema::new(others)),
            image_at,
        })
    }

    fn decoder(&self, rows: usize) -> Result<Decoder> {
        let builder = ReaderBuilder::new(self.others.clone()).with_batch_size(rows).with_strict_mode(true);
        Ok(builder.build_decoder()?)
    }

    fn holds(&self, key: Key<'_>, number: &DataType) -> bool {
        self.others.field_with_name(&key.name()).is_ok_and(|field| has(field.data_type(), number))
    }
}

/// A row of the sample without its image, and where it stands.
struct Sampled {
    value: Value,
    block: usize,
    start: usize,
}

/// Collects the keys, the nesting of images and the other members of a sample's documents.
struct Sample<'a> {
    image: &'a str,
    place: Place,
    /// The place of the block in hand among those of the sample.
    block: usize,
    /// In order of first appearance.
    keys: Vec<String>,
    /// How many images are encoded, or nested 1, 2 or 3 deep.
    depths: [usize; pixels::DEEPEST + 1],
    values: Vec<Sampled>,
    /// Of the values, those whose document was sound to its end.
    kept: usize,
    /// Of the document in hand.
    members: Vec<u8>,
    found: Vec<String>,
    depth: Option<usize>,
}

impl<'a> Sample<'a> {
    fn read(blocks: &[Block], file: &str, options: &'a ReadOptions, place: Place) -> Result<Self> {
        let mut sample = Self {
            image: &options.image,
            place,
            block: 0,
            keys: Vec::new(),
            depths: Default::default(),
            values: Vec::new(),
            kept: 0,
            members: Vec::new(),
            found: Vec::new(),
            depth: None,
        };
        for (index, block) in blocks.iter().enumerate() {
            sample.block = index;
            Documents::new(block, file, options.keep_broken_lines).read(&mut sample)?;
        }
        Ok(sample)
    }
}

impl Members for Sample<'_> {
    fn image(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        if self.place.below.is_empty() {
            self.found.push(self.image.to_owned());
            self.depth = pixels::depth(scanner)?;
            return Ok(());
        }
        let place = self.place.clone();
        let (image, found, depth) = (self.image, &mut self.found, &mut self.depth);
        around(scanner, &place, &mut |scanner| {
            found.push(image.to_owned());
            *depth = pixels::depth(scanner)?;
            Ok(())
        })?
        .hand_to(&place, self);
        Ok(())
    }

    fn other(&mut self, key: Key<'_>, text: &[u8], _fractional: bool) {
        self.found.push(key.name().into_owned());
        append_member(&mut self.members, 0, text);
    }
}

impl super::documents::Visitor for Sample<'_> {
    fn read(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        self.members.clear();
        self.found.clear();
        self.depth = None;
        let start = scanner.at;
        let key = self.place.key.clone();
        scanner.document(&key, self)?;
        close_members(&mut self.members, 0);
        let value = serde_json::from_slice(&self.members)
            .map_err(|error| Fault { at: start, message: format!("the other members: {error}") })?;
        self.values.push(Sampled { value, block: self.block, start });
        Ok(())
    }

    fn undo(&mut self) {
        self.values.truncate(self.kept);
    }

    fn keep(&mut self, _row: Row, broken: Option<String>) -> Result<()> {
        if broken.is_some() {
            return Ok(());
        }
        for key in self.found.drain(..) {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        if let Some(depth) = self.depth {
            self.depths[depth] += 1;
        }
        self.kept = self.values.len();
        Ok(())
    }
}

/// What an object has beside the image in it.
struct Around {
    text: Vec<u8>,
    fractional: bool,
}

/// Walks over the value under the place's key, and with `image` over the image in it.
fn around(
    scanner: &mut Scanner<'_>,
    place: &Place,
    image: &mut impl FnMut(&mut Scanner<'_>) -> Scan<()>,
) -> Scan<Around> {
    let mut text = Vec::new();
    let fractional = nested::walk(scanner, &place.below, 1, &mut text, image)?;
    Ok(Around { text, fractional })
}

impl Around {
    /// Hands it on as a member of the document, if there is anything.
    fn hand_to(self, place: &Place, members: &mut impl Members) {
        if !nested::is_empty(&self.text) {
            let key = Value::from(place.key.as_str());
            let member = [key.to_string().as_bytes(), b":", &self.text].concat();
            members.other(Key::plain(&place.key), &member, self.fractional);
        }
    }
}

/// The columns beside the image; rows that do not agree with those before them are broken.
fn infer_others(rows: &[Sampled], blocks: &[Block], file: &str, keep_broken: bool) -> Result<Schema> {
    let infer = |rows: &mut dyn Iterator<Item = &Sampled>| {
        infer_json_schema_from_iterator(rows.map(|row| Ok::<_, ArrowError>(&row.value)))
    };
    if let Ok(schema) = infer(&mut rows.iter()) {
        return Ok(schema);
    }
    // Row by row, with the few before it that made the schema what it is.
    let mut schema = Schema::empty();
    let mut makers: Vec<&Sampled> = Vec::new();
    for row in rows {
        match infer(&mut makers.iter().copied().chain([row])) {
            Ok(with_row) if with_row != schema => {
                schema = with_row;
                makers.push(row);
            }
            Ok(_) => {}
            Err(_) if keep_broken => {}
            Err(error) => {
                let (line, column) = blocks[row.block].position(row.start);
                return Err(Error::Syntax { file: file.to_owned(), line, column, message: message_of(error) });
            }
        }
    }
    Ok(schema)
}

fn message_of(error: ArrowError) -> String {
    match error {
        ArrowError::JsonError(message) => message,
        other => other.to_string(),
    }
}

/// Adds a member to the object that begins at `start` of `out`.
fn append_member(out: &mut Vec<u8>, start: usize, text: &[u8]) {
    out.push(if out.len() == start { b'{' } else { b',' });
    out.extend_from_slice(text);
}

/// Ends the object that begins at `start` of `out`.
fn close_members(out: &mut Vec<u8>, start: usize) {
    if out.len() == start {
        out.push(b'{');
    }
    out.extend_from_slice(b"}\n");
}

fn has(data_type: &DataType, number: &DataType) -> bool {
    match data_type {
        DataType::List(item) => has(item.data_type(), number),
        DataType::Struct(fields) => fields.iter().any(|field| has(field.data_type(), number)),
        other => other == number,
    }
}

/// Whether there are as many digits in a row as it takes to write an integer that f64 cannot hold.
fn has_long_number(text: &[u8]) -> bool {
    const DIGITS: usize = 16;
    text.len() > DIGITS && text.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit()).any(|run| run.len() >= DIGITS)
}

/// The first number in `value` that its column would hold as another one: cut to an integer, or rounded to a float.
fn inexact(value: &Value, data_type: &DataType) -> Option<String> {
    match (value, data_type) {
        (Value::Number(number), DataType::Float64) => {
            let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from))?;
            (integer as f64 as i128 != integer).then(|| format!("{number} in a column of floats, which would round it"))
        }
        (Value::Number(number), DataType::Int64) if !number.is_i64() => {
            // Every integer up to 2⁵³ is an f64; beyond, a number with an exponent may be another than it says.
            const EXACT: f64 = 9_007_199_254_740_992.0;
            let inexact = number.as_f64().filter(|value| value.fract() != 0.0 || value.abs() > EXACT);
            inexact.map(|value| format!("{value} in a column of integers"))
        }
        (Value::Array(items), DataType::List(item)) => items.iter().find_map(|v| inexact(v, item.data_type())),
        (Value::Object(members), DataType::Struct(fields)) => {
            fields.iter().find_map(|field| inexact(members.get(field.name())?, field.data_type()))
        }
        _ => None,
    }
}

/// The text of a row as a defect carries it, and a remark where it had to be cut.
fn raw(text: &[u8]) -> (String, Option<String>) {
    if text.len() <= LONGEST_RAW {
        return (String::from_utf8_lossy(text).into_owned(), None);
    }
    let mut cut = LONGEST_RAW;
    // Not within a character: its later bytes are 0b10……
    while text[cut] & 0xC0 == 0x80 && cut > LONGEST_RAW - 4 {
        cut -= 1;
    }
    let remark = format!("; only the first {cut} of {} bytes are kept", text.len());
    (String::from_utf8_lossy(&text[..cut]).into_owned(), Some(remark))
}

/// A row of the batch in hand: where its text is, and why that is broken if it is.
struct Taken {
    row: Row,
    broken: Option<String>,
}

/// Builds batches from the documents of one block after another.
pub(super) struct Rows<T> {
    plan: Arc<Plan>,
    decoder: Decoder,
    batches: Vec<RecordBatch>,
    lists: Lists<T>,
    ends: Vec<i32>,
    valid: Vec<bool>,
    /// The other members of each row, as one object a line.
    members: Vec<u8>,
    member_ends: Vec<usize>,
    taken: Vec<Taken>,
    defects: Vec<Defect>,
    /// Rows with a number that may not be the same in its column's type.
    doubtful: Vec<usize>,
    /// Of the document in hand: what became of the image, and the image's text.
    image: Option<(Image, std::ops::Range<usize>)>,
    mark: pixels::Mark,
    doubt: bool,
}

impl<T: Target> Rows<T> {
    pub(super) fn new(plan: Arc<Plan>) -> Result<Self> {
        let lists = Lists::new(plan.depth);
        Ok(Self {
            decoder: plan.decoder(plan.batch_rows)?,
            batches: Vec::new(),
            mark: lists.mark(),
            lists,
            ends: Vec::new(),
            valid: Vec::new(),
            members: Vec::new(),
            member_ends: Vec::new(),
            taken: Vec::new(),
            defects: Vec::new(),
            doubtful: Vec::new(),
            image: None,
            doubt: false,
            plan,
        })
    }

    /// The batches of a block.
    pub(super) fn parse(&mut self, block: &Block) -> Result<Vec<RecordBatch>> {
        let plan = self.plan.clone();
        let mut rows = InBlock { rows: self, block };
        Documents::new(block, &plan.file, plan.keep_broken).read(&mut rows)?;
        self.flush(block)?;
        Ok(std::mem::take(&mut self.batches))
    }

    fn members_start(&self) -> usize {
        self.member_ends.last().copied().unwrap_or(0)
    }

    fn read(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        self.mark = self.lists.mark();
        self.image = None;
        self.doubt = false;
        let plan = self.plan.clone();
        scanner.document(&plan.place.key, self)
    }

    fn undo(&mut self) {
        self.lists.rewind(self.mark);
        self.members.truncate(self.members_start());
    }

    /// Takes the document that was read last, or one that is broken, as the next row.
    fn keep(&mut self, row: Row, broken: Option<String>, text: &[u8]) {
        let index = self.ends.len();
        let mut defect = |reason, detail: String, fits, source: Option<&[u8]>| {
            let (raw, remark) = source.map(raw).unzip();
            let detail = detail + &remark.flatten().unwrap_or_default();
            self.defects.push(Defect { row: index, reason, detail, fits, line: Some(row.line), raw });
        };
        let valid = match (&broken, self.image.take()) {
            (Some(message), _) => {
                defect(Reason::BrokenLine, message.clone(), None, Some(&text[row.start..row.end]));
                false
            }
            (None, Some((Image::Pixels, _))) => true,
            (None, Some((Image::Null, at))) => {
                defect(Reason::NullImage, "null".to_owned(), None, Some(&text[at]));
                false
            }
            (None, Some((Image::Refused { reason, detail, fits }, at))) => {
                defect(reason, detail, fits, Some(&text[at]));
                false
            }
            (None, None) => {
                defect(Reason::NullImage, "the key is missing".to_owned(), None, None);
                false
            }
        };
        if self.doubt && broken.is_none() {
            self.doubtful.push(index);
        }
        let start = self.members_start();
        close_members(&mut self.members, start);
        self.member_ends.push(self.members.len());
        self.ends.push(self.lists.end());
        self.valid.push(valid);
        self.taken.push(Taken { row, broken });
    }

    fn full(&self) -> bool {
        self.ends.len() >= self.plan.batch_rows || self.lists.pixel_bytes() >= BATCH_BYTES
    }

    /// Makes a batch of the rows in hand.
    fn flush(&mut self, block: &Block) -> Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let mut others = if self.doubtful.is_empty() { self.decode() } else { Err(None) };
        if let Err(error) = others {
            let broken = self.broken_rows()?;
            others = match (broken.first_key_value(), error) {
                (None, Some(error)) => return Err(error.into()),
                (None, None) => self.decode(),
                (Some((&row, message)), _) if !self.plan.keep_broken => {
                    let (line, column) = block.position(self.taken[row].row.start);
                    let (file, message) = (self.plan.file.clone(), message.clone());
                    return Err(Error::Syntax { file, line, column, message });
                }
                (Some(_), _) => {
                    self.again_without(broken, block);
                    self.decode()
                }
            };
        }
        let others = others.map_err(|error| match error {
            Some(error) => error.into(),
            None => Error::Internal("no reason not to decode".to_owned()),
        })?;
        let batch = self.assemble(others)?;
        self.batches.push(batch);
        self.clear();
        Ok(())
    }

    fn clear(&mut self) {
        self.lists.rewind(Lists::<T>::new(self.plan.depth).mark());
        self.ends.clear();
        self.valid.clear();
        self.members.clear();
        self.member_ends.clear();
        self.taken.clear();
        self.defects.clear();
        self.doubtful.clear();
    }

    fn assemble(&mut self, others: RecordBatch) -> Result<RecordBatch> {
        let rows = self.ends.len();
        let valid = self.valid.contains(&false).then(|| NullBuffer::from(std::mem::take(&mut self.valid)));
        let ends = std::mem::take(&mut self.ends);
        let mut columns: Vec<ArrayRef> = others.columns().to_vec();
        columns.insert(self.plan.image_at, self.lists.finish(ends, valid)?);
        columns.push(defects_array(rows, &self.defects));
        Ok(RecordBatch::try_new(self.plan.schema.clone(), columns)?)
    }

    /// The columns beside the image.
    fn decode(&mut self) -> Result<RecordBatch, Option<ArrowError>> {
        let decoded = self.decoder.decode(&self.members).and_then(|_| self.decoder.flush());
        if decoded.is_err() {
            // What a failed decoder holds is not to be relied on.
            self.decoder = self.plan.decoder(self.plan.batch_rows).map_err(|error| Some(error.into()))?;
        }
        match decoded {
            Ok(Some(batch)) if batch.num_rows() == self.ends.len() => Ok(batch),
            Ok(batch) => {
                let rows = batch.map_or(0, |batch| batch.num_rows());
                Err(Some(ArrowError::JsonError(format!("{rows} of {} rows were decoded", self.ends.len()))))
            }
            Err(error) => Err(Some(error)),
        }
    }

    /// Finds the rows that do not fit the columns by decoding each on its own.
    fn broken_rows(&self) -> Result<BTreeMap<usize, String>> {
        let mut broken = BTreeMap::new();
        let mut decoder = self.plan.decoder(1)?;
        let mut start = 0;
        for (row, &end) in self.member_ends.iter().enumerate() {
            let text = &self.members[start..end];
            start = end;
            if let Err(error) = decoder.decode(text).and_then(|_| decoder.flush()) {
                broken.insert(row, message_of(error));
                decoder = self.plan.decoder(1)?;
            } else if self.doubtful.binary_search(&row).is_ok()
                && let Some(message) = self.inexact_in(text)
            {
                broken.insert(row, message);
            }
        }
        Ok(broken)
    }

    fn inexact_in(&self, text: &[u8]) -> Option<String> {
        let value: Value = serde_json::from_slice(text).ok()?;
        inexact(&value, &DataType::Struct(self.plan.others.fields().clone()))
    }

    /// Takes the rows in hand once more, those in `broken` as broken lines.
    fn again_without(&mut self, mut broken: BTreeMap<usize, String>, block: &Block) {
        let taken = std::mem::take(&mut self.taken);
        self.clear();
        for (index, Taken { row, broken: message }) in taken.into_iter().enumerate() {
            let mut message = message.or_else(|| broken.remove(&index));
            if message.is_none()
                && let Err(fault) = self.read(&mut Scanner::new(&block.text()[..row.end], row.start))
            {
                message = Some(fault.message);
                self.undo();
            }
            self.keep(row, message, block.text());
        }
    }
}

impl<T: Target> Members for Rows<T> {
    fn image(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        let (lists, mark, found) = (&mut self.lists, self.mark, &mut self.image);
        let mut image = |scanner: &mut Scanner<'_>| {
            // Of several the last counts.
            lists.rewind(mark);
            let start = scanner.at;
            let image = lists.image(scanner)?;
            *found = Some((image, start..scanner.at));
            Ok(())
        };
        if self.plan.place.below.is_empty() {
            return image(scanner);
        }
        let plan = self.plan.clone();
        around(scanner, &plan.place, &mut image)?.hand_to(&plan.place, self);
        Ok(())
    }

    fn other(&mut self, key: Key<'_>, text: &[u8], fractional: bool) {
        if !self.doubt {
            self.doubt = if fractional {
                self.plan.holds(key, &DataType::Int64)
            } else {
                has_long_number(text) && self.plan.holds(key, &DataType::Float64)
            };
        }
        let start = self.members_start();
        append_member(&mut self.members, start, text);
    }
}

/// [`Rows`] at work on a block.
struct InBlock<'a, T> {
    rows: &'a mut Rows<T>,
    block: &'a Block,
}

impl<T: Target> super::documents::Visitor for InBlock<'_, T> {
    fn read(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        self.rows.read(scanner)
    }

    fn undo(&mut self) {
        self.rows.undo();
    }

    fn keep(&mut self, row: Row, broken: Option<String>) -> Result<()> {
        self.rows.keep(row, broken, self.block.text());
        if self.rows.full() { self.rows.flush(self.block) } else { Ok(()) }
    }
}
