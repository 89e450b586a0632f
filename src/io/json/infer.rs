//! Which columns an input has, by a sample of its documents.

use std::sync::Arc;

use arrow_json::reader::infer_json_schema_from_iterator;
use arrow_schema::{ArrowError, Field, Schema};
use serde_json::Value;

use super::blocks::TextBlock;
use super::documents::{Documents, Row, Visitor};
use super::members::{append_member, around, close_members};
use super::nested::KeyPath;
use super::pixels;
use super::plan::{JsonPlan, MAX_ROWS, message_of};
use super::scan::{Key, Members, Scan, Scanner, SyntaxFault};
use crate::base::error::{Error, Result};
use crate::base::shape::PixelType;
use crate::images::defect::defects_field;
use crate::io::options::ReadOptions;

/// Decides the columns by a sample, the documents of the first blocks.
///
/// # Errors
/// Where the sample is not JSON and broken lines are not kept, or none of its objects has the image's key.
pub(super) fn infer(blocks: &[TextBlock], file: &str, options: &ReadOptions) -> Result<JsonPlan> {
    let mut sample = FirstRows::read(blocks, file, options, KeyPath::plain(&options.image))?;
    // A key of that very name comes before a path.
    if !sample.keys.contains(&options.image)
        && let Some(place) = KeyPath::nested(&options.image)
    {
        let nested = FirstRows::read(blocks, file, options, place)?;
        sample = if nested.keys.contains(&options.image) { nested } else { sample };
    }
    let FirstRows { image_path, keys, depths, values, .. } = sample;
    let image_at = match keys.iter().position(|key| *key == options.image) {
        Some(at) => at,
        None if keys.is_empty() && values.is_empty() => 0,
        None => return Err(Error::NoSuchColumn { column: options.image.clone(), available: keys }),
    };
    let inferred = infer_others(&values, blocks, file, options.keep_broken_lines)?;
    let others: Vec<Field> = keys.iter().filter_map(|key| inferred.field_with_name(key).ok().cloned()).collect();
    // The most common depth. `max_by_key` takes the last of several that are equally common, so 1 if there is no image.
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
    Ok(JsonPlan {
        file: file.to_owned(),
        image_path,
        pixel_type,
        keep_broken: options.keep_broken_lines,
        depth,
        batch_rows: options.batch_rows.clamp(1, MAX_ROWS),
        schema: Arc::new(Schema::new(fields)),
        others: Arc::new(Schema::new(others)),
        image_at,
    })
}

/// A row of the sample without its image, and where it stands.
struct Sampled {
    value: Value,
    block: usize,
    start: usize,
}

/// Collects the keys, the nesting of images and the other members of a sample's documents.
struct FirstRows<'a> {
    image: &'a str,
    image_path: KeyPath,
    /// The index of the current block.
    block: usize,
    /// In order of first appearance.
    keys: Vec<String>,
    /// How many images are encoded, or nested 1, 2 or 3 deep.
    depths: [usize; pixels::MAX_DEPTH + 1],
    values: Vec<Sampled>,
    /// How many of the values are of documents that were sound to their end.
    kept: usize,
    /// Of the current document: its members beside the image, its keys, and the nesting of its image.
    members: Vec<u8>,
    found: Vec<String>,
    depth: Option<usize>,
}

impl<'a> FirstRows<'a> {
    fn read(blocks: &[TextBlock], file: &str, options: &'a ReadOptions, image_path: KeyPath) -> Result<Self> {
        let mut sample = Self {
            image: &options.image,
            image_path,
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

impl Members for FirstRows<'_> {
    fn image(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        if self.image_path.below.is_empty() {
            self.found.push(self.image.to_owned());
            self.depth = pixels::depth(scanner)?;
            return Ok(());
        }
        let path = self.image_path.clone();
        let (image, found, depth) = (self.image, &mut self.found, &mut self.depth);
        around(scanner, &path, &mut |scanner| {
            found.push(image.to_owned());
            *depth = pixels::depth(scanner)?;
            Ok(())
        })?
        .hand_to(&path, self);
        Ok(())
    }

    fn other(&mut self, key: Key<'_>, text: &[u8], _fractional: bool) {
        self.found.push(key.name().into_owned());
        append_member(&mut self.members, 0, text);
    }
}

impl Visitor for FirstRows<'_> {
    fn read(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        self.members.clear();
        self.found.clear();
        self.depth = None;
        let start = scanner.at;
        let key = self.image_path.key.clone();
        scanner.document(&key, self)?;
        close_members(&mut self.members, 0);
        let value = serde_json::from_slice(&self.members)
            .map_err(|error| SyntaxFault { at: start, message: format!("the other members: {error}") })?;
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

/// Infers the columns beside the image. A row that contradicts the rows before it is broken.
fn infer_others(rows: &[Sampled], blocks: &[TextBlock], file: &str, keep_broken: bool) -> Result<Schema> {
    let infer = |rows: &mut dyn Iterator<Item = &Sampled>| {
        infer_json_schema_from_iterator(rows.map(|row| Ok::<_, ArrowError>(&row.value)))
    };
    if let Ok(schema) = infer(&mut rows.iter()) {
        return Ok(schema);
    }
    // Row by row, each together with the few rows before it that changed the schema.
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
