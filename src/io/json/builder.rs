//! Documents become batches.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_json::reader::Decoder;
use arrow_schema::{ArrowError, DataType, Fields};
use serde_json::Value;

use super::blocks::TextBlock;
use super::documents::{Documents, Row, Visitor};
use super::members::{append_member, around, close_members};
use super::numbers::{has_long_number, inexact};
use super::pixel::JsonPixel;
use super::pixels::{self, ImageValue, PixelLists};
use super::plan::{JsonPlan, message_of};
use super::scan::{Member, Members, Numbers, Scan, Scanner};
use crate::base::error::{Error, Result};
use crate::base::reason::Reason;
use crate::images::defect::{Defect, defects_array};
use crate::io::options::{LateMembers, REST};

/// The maximum of bytes of text that a defect carries: a 1024×1024 image of bytes, written with spaces.
pub(super) const MAX_RAW_BYTES: usize = 5 << 20;

/// Why a number is in no column.
const HUGE: &str = "a number that neither 64-bit integers nor 64-bit floats hold";

/// Batches are closed at this many bytes of pixels.
const BATCH_BYTES: usize = 16 << 20;

/// The text of a row for its defect, and a remark if it had to be cut.
fn raw(text: &[u8]) -> (String, Option<String>) {
    if text.len() <= MAX_RAW_BYTES {
        return (String::from_utf8_lossy(text).into_owned(), None);
    }
    let mut cut = MAX_RAW_BYTES;
    // Not within a character: its later bytes are 0b10……
    while text[cut] & 0xC0 == 0x80 && cut > MAX_RAW_BYTES - 4 {
        cut -= 1;
    }
    let remark = format!("; only the first {cut} of {} bytes are kept", text.len());
    (String::from_utf8_lossy(&text[..cut]).into_owned(), Some(remark))
}

/// A row of the current batch: where its text is, and the message if it is broken.
struct Taken {
    row: Row,
    broken: Option<String>,
}

/// Builds batches from the documents of one block after another.
pub(super) struct BatchBuilder<T> {
    plan: Arc<JsonPlan>,
    decoder: Decoder,
    batches: Vec<RecordBatch>,
    lists: PixelLists<T>,
    ends: Vec<i32>,
    valid: Vec<bool>,
    /// The other members of each row: one object on each line.
    members: Vec<u8>,
    member_ends: Vec<usize>,
    /// Of each row the members that no column can take, as a JSON object without its end; empty if there are none.
    rests: Vec<Vec<u8>>,
    taken: Vec<Taken>,
    defects: Vec<Defect>,
    /// Rows with a number that the type of their column might change.
    doubtful: Vec<usize>,
    /// Of the current document: what became of the image, and where its text is.
    image: Option<(ImageValue, std::ops::Range<usize>)>,
    mark: pixels::Mark,
    doubt: bool,
    rest: Vec<u8>,
    /// The column of the next member, if the members come in the order of the columns.
    next_column: usize,
    /// The keys that were warned of: they may be in every row.
    late_keys: HashSet<String>,
}

impl<T: JsonPixel> BatchBuilder<T> {
    pub(super) fn new(plan: Arc<JsonPlan>) -> Result<Self> {
        let lists = PixelLists::new(plan.depth);
        Ok(Self {
            decoder: plan.decoder(plan.batch_rows)?,
            batches: Vec::new(),
            mark: lists.mark(),
            lists,
            ends: Vec::new(),
            valid: Vec::new(),
            members: Vec::new(),
            member_ends: Vec::new(),
            rests: Vec::new(),
            taken: Vec::new(),
            defects: Vec::new(),
            doubtful: Vec::new(),
            image: None,
            doubt: false,
            rest: Vec::new(),
            next_column: 0,
            late_keys: HashSet::new(),
            plan,
        })
    }

    /// The batches of a block.
    pub(super) fn parse(&mut self, block: &TextBlock) -> Result<Vec<RecordBatch>> {
        let plan = self.plan.clone();
        let mut rows = InBlock { builder: self, block };
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
        (self.doubt, self.next_column) = (false, 0);
        self.rest.clear();
        let plan = self.plan.clone();
        scanner.document(&plan.image_path.key, self)
    }

    fn undo(&mut self) {
        self.lists.rewind(self.mark);
        self.members.truncate(self.members_start());
        self.rest.clear();
    }

    /// Takes the document that was read last as the next row, with a message if it is broken.
    fn keep(&mut self, row: Row, broken: Option<String>, text: &[u8]) {
        let index = self.ends.len();
        let mut defect = |reason, detail: String, fits, source: Option<&[u8]>| {
            let (raw, remark) = source.map(raw).unzip();
            let detail = detail + &remark.flatten().unwrap_or_default();
            self.defects.push(Defect { row: index, reason, detail, fits, values: None, line: Some(row.line), raw });
        };
        let valid = match (&broken, self.image.take()) {
            (Some(message), _) => {
                defect(Reason::BrokenLine, message.clone(), None, Some(&text[row.start..row.end]));
                false
            }
            (None, Some((ImageValue::Pixels, _))) => true,
            (None, Some((ImageValue::Null, at))) => {
                defect(Reason::NullImage, "null".to_owned(), None, Some(&text[at]));
                false
            }
            (None, Some((ImageValue::Refused { reason, detail, fits }, at))) => {
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
        if self.plan.late == LateMembers::Rest {
            self.rests.push(std::mem::take(&mut self.rest));
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

    /// Makes a batch of the current rows.
    fn flush(&mut self, block: &TextBlock) -> Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let mut others = if self.doubtful.is_empty() { self.decode() } else { Err(None) };
        if others.is_err() && self.plan.late == LateMembers::Rest {
            self.move_misfits()?;
            others = self.decode();
        } else if let Err(error) = others {
            let broken = self.broken_rows()?;
            others = match (broken.first_key_value(), error) {
                (None, Some(error)) => return Err(error.into()),
                (None, None) => self.decode(),
                (Some((&row, message)), _) if !self.plan.keep_broken || self.plan.late == LateMembers::Fail => {
                    let (line, column) = block.position(self.taken[row].row.start);
                    let (file, message) = (self.plan.file.clone(), message.clone());
                    return Err(Error::LateMember { file, line, column, message });
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
        self.lists.rewind(PixelLists::<T>::new(self.plan.depth).mark());
        self.ends.clear();
        self.valid.clear();
        self.members.clear();
        self.member_ends.clear();
        self.rests.clear();
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
        if self.plan.late == LateMembers::Rest {
            let texts = self.rests.iter().map(|rest| {
                let text = String::from_utf8_lossy(rest);
                (!rest.is_empty()).then(|| text.into_owned() + "}")
            });
            columns.push(Arc::new(texts.collect::<StringArray>()));
        }
        columns.push(defects_array(rows, &self.defects));
        Ok(RecordBatch::try_new(self.plan.schema.clone(), columns)?)
    }

    /// The columns beside the image.
    fn decode(&mut self) -> Result<RecordBatch, Option<ArrowError>> {
        let decoded = self.decoder.decode(&self.members).and_then(|_| self.decoder.flush());
        if decoded.is_err() {
            // The state of a decoder after a failure is unknown.
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

    /// A message about the first number in a row of members that its column would change.
    fn inexact_in(&self, text: &[u8]) -> Option<String> {
        let mut numbers = Numbers::default();
        // The text has been walked over once already, so there is no fault in it.
        let _ = Scanner::new(text, 0).members(|member| numbers |= member.numbers);
        let value: Option<Value> = serde_json::from_slice(text).ok();
        let found = value.and_then(|value| inexact(&value, &DataType::Struct(self.plan.others.fields().clone())));
        found.or_else(|| numbers.huge.then(|| HUGE.to_owned()))
    }

    /// Moves the members that their columns cannot hold exactly to the rests of their rows.
    fn move_misfits(&mut self) -> Result<()> {
        let (members, ends) = (std::mem::take(&mut self.members), std::mem::take(&mut self.member_ends));
        let mut whole_rows = self.plan.decoder(1)?;
        let mut decoders: Vec<Option<Decoder>> = self.plan.others.fields().iter().map(|_| None).collect();
        let mut start = 0;
        for (row, end) in ends.into_iter().enumerate() {
            let text = &members[std::mem::replace(&mut start, end)..end];
            let begin = self.members.len();
            let fits = whole_rows.decode(text).and_then(|_| whole_rows.flush()).is_ok();
            if fits && (self.doubtful.binary_search(&row).is_err() || self.inexact_in(text).is_none()) {
                self.members.extend_from_slice(text);
            } else {
                whole_rows = self.plan.decoder(1)?;
                let (kept, mut failed) = (&mut self.members, None);
                let walked = Scanner::new(text, 0).members(|member| {
                    let Some(column) = self.plan.column(member.key, 0) else { return };
                    match fits_column(&self.plan, column, &mut decoders[column], member) {
                        Ok(true) => append_member(kept, begin, member.text),
                        Ok(false) => {
                            append_member(&mut self.rests[row], 0, member.text);
                            let name = self.plan.others.field(column).name();
                            self.plan.warnings.add(format!(
                                "column `{name}` cannot hold some of its values; these are in column `{REST}`"
                            ));
                        }
                        Err(error) => failed = Some(error),
                    }
                });
                if let Some(error) = failed {
                    return Err(error);
                }
                walked.map_err(|fault| Error::Internal(fault.message))?;
                close_members(&mut self.members, begin);
            }
            self.member_ends.push(self.members.len());
        }
        Ok(())
    }

    /// Takes the current rows again, those in `broken` as broken lines.
    fn again_without(&mut self, mut broken: BTreeMap<usize, String>, block: &TextBlock) {
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

impl<T: JsonPixel> Members for BatchBuilder<T> {
    fn image(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        let (lists, mark, found) = (&mut self.lists, self.mark, &mut self.image);
        let mut image = |scanner: &mut Scanner<'_>| {
            // If the key is there several times, the last one counts.
            lists.rewind(mark);
            let start = scanner.at;
            let image = lists.image(scanner)?;
            *found = Some((image, start..scanner.at));
            Ok(())
        };
        if self.plan.image_path.below.is_empty() {
            return image(scanner);
        }
        let plan = self.plan.clone();
        around(scanner, &plan.image_path, &mut image)?.hand_to(&plan.image_path, self);
        Ok(())
    }

    fn other(&mut self, member: Member<'_>) {
        let column = self.plan.column(member.key, self.next_column);
        self.next_column = column.map_or(self.next_column, |column| column + 1);
        let start = self.members_start();
        match column {
            Some(column) if self.plan.is_text[column] => {
                let value = member.value();
                append_member(&mut self.members, start, &member.text[..member.value_at]);
                if value == b"null" {
                    self.members.extend_from_slice(value);
                } else {
                    let text = Value::from(String::from_utf8_lossy(value));
                    self.members.extend_from_slice(text.to_string().as_bytes());
                }
                return;
            }
            None if self.plan.late == LateMembers::Rest => {
                let key = member.key.name();
                if !self.late_keys.contains(&*key) {
                    let warning = format!("key `{key}` is not in the first rows; its values are in column `{REST}`");
                    self.plan.warnings.add(warning);
                    self.late_keys.insert(key.into_owned());
                }
                return append_member(&mut self.rest, 0, member.text);
            }
            _ => {}
        }
        if member.numbers.huge {
            self.doubt = true;
        } else if !self.doubt
            && let Some(column) = column
        {
            self.doubt = if member.numbers.fractional {
                self.plan.has_numbers(column, &DataType::Int64)
            } else {
                has_long_number(member.text) && self.plan.has_numbers(column, &DataType::Float64)
            };
        }
        append_member(&mut self.members, start, member.text);
    }
}

/// Whether a column holds the value of a member exactly. `decoder` is that of the column, once it is made.
fn fits_column(plan: &JsonPlan, column: usize, decoder: &mut Option<Decoder>, member: Member<'_>) -> Result<bool> {
    let mut text = Vec::new();
    append_member(&mut text, 0, member.text);
    close_members(&mut text, 0);
    let data_type = DataType::Struct(Fields::from(vec![plan.others.field(column).clone()]));
    let is_exact = !member.numbers.huge
        && serde_json::from_slice(&text).is_ok_and(|value: Value| inexact(&value, &data_type).is_none());
    let mut fresh = match decoder.take() {
        Some(decoder) => decoder,
        None => plan.decoder_of(column)?,
    };
    let holds = is_exact && fresh.decode(&text).and_then(|_| fresh.flush()).is_ok();
    // The state of a decoder after a failure is unknown.
    *decoder = holds.then_some(fresh);
    Ok(holds)
}

/// A [`BatchBuilder`] and the block that it takes documents from.
struct InBlock<'a, T> {
    builder: &'a mut BatchBuilder<T>,
    block: &'a TextBlock,
}

impl<T: JsonPixel> Visitor for InBlock<'_, T> {
    fn read(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        self.builder.read(scanner)
    }

    fn undo(&mut self) {
        self.builder.undo();
    }

    fn keep(&mut self, row: Row, broken: Option<String>) -> Result<()> {
        self.builder.keep(row, broken, self.block.text());
        if self.builder.full() { self.builder.flush(self.block) } else { Ok(()) }
    }
}
