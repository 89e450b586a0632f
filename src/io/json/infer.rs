//! Which columns an input has, by a sample of its documents.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_json::reader::infer_json_schema_from_iterator;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde_json::{Value, json};

use super::blocks::TextBlock;
use super::documents::{Documents, Row, Visitor};
use super::members::{append_member, around, close_members};
use super::nested::KeyPath;
use super::numbers::inexact;
use super::pixels;
use super::plan::{JsonPlan, MAX_ROWS, strict_decoder};
use super::scan::{Member, Members, Scan, Scanner, SyntaxFault};
use crate::base::error::{Error, Result};
use crate::base::shape::PixelType;
use crate::base::warnings::Warnings;
use crate::images::defect::defects_field;
use crate::io::options::{LateMembers, REST, ReadOptions};

/// Decides the columns by a sample, the documents of the first blocks.
///
/// # Errors
/// Where the sample is not JSON and broken lines are not kept, or none of its objects has the image's key.
pub(super) fn infer(blocks: &[TextBlock], file: &str, options: &ReadOptions, warnings: &Warnings) -> Result<JsonPlan> {
    let mut sample = FirstRows::read(blocks, file, options, KeyPath::plain(&options.image))?;
    // A key of that very name comes before a path.
    if !sample.keys.contains(&options.image)
        && let Some(place) = KeyPath::nested(&options.image)
    {
        let nested = FirstRows::read(blocks, file, options, place)?;
        sample = if nested.keys.contains(&options.image) { nested } else { sample };
    }
    let FirstRows { image_path, keys, depths, texts, values, .. } = sample;
    let image_at = match keys.iter().position(|key| *key == options.image) {
        Some(at) => at,
        None if keys.is_empty() && values.is_empty() => 0,
        None => return Err(Error::NoSuchColumn { column: options.image.clone(), available: keys }),
    };
    let other_keys: Vec<&String> = keys.iter().filter(|key| **key != options.image).collect();
    let columns = infer_others(&other_keys, &texts, &values);
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
    let mut others = Vec::new();
    for (key, data_type) in other_keys.iter().zip(&columns) {
        if data_type.is_none() {
            warnings.add(format!("column `{key}` holds JSON text, since its values have no Arrow type in common"));
        }
        others.push(Field::new(key.as_str(), data_type.clone().unwrap_or(DataType::Utf8), true));
    }
    let mut fields = others.clone();
    fields.insert(image_at, Field::new(&options.image, pixels::column_type(pixel_type, depth), true));
    if options.late_members == LateMembers::Rest {
        if keys.iter().any(|key| key == REST) {
            return Err(Error::ColumnTaken { column: REST.to_owned() });
        }
        fields.push(Field::new(REST, DataType::Utf8, true));
    }
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
        is_text: columns.iter().map(Option::is_none).collect(),
        late: options.late_members,
        warnings: warnings.clone(),
        image_at,
    })
}

/// Collects the keys, the nesting of images and the other members of a sample's documents.
struct FirstRows<'a> {
    image: &'a str,
    image_path: KeyPath,
    /// In order of first appearance.
    keys: Vec<String>,
    /// How many images are encoded, or nested 1, 2 or 3 deep.
    depths: [usize; pixels::MAX_DEPTH + 1],
    /// The documents without their images.
    values: Vec<Value>,
    /// Keys with numbers that neither i64 nor f64 holds.
    texts: HashSet<String>,
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
            keys: Vec::new(),
            depths: Default::default(),
            values: Vec::new(),
            texts: HashSet::new(),
            kept: 0,
            members: Vec::new(),
            found: Vec::new(),
            depth: None,
        };
        for block in blocks {
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

    fn other(&mut self, member: Member<'_>) {
        let key = member.key.name().into_owned();
        if member.numbers.huge {
            self.texts.insert(key.clone());
        } else {
            append_member(&mut self.members, 0, member.text);
        }
        self.found.push(key);
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
        self.values.push(value);
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

/// The types of the columns beside the image; `None` for those whose values have no Arrow type in common, or none that
/// every format can hold.
fn infer_others(keys: &[&String], texts: &HashSet<String>, rows: &[Value]) -> Vec<Option<DataType>> {
    let all_at_once = || {
        let inferred = infer_json_schema_from_iterator(rows.iter().map(Ok::<_, ArrowError>)).ok()?;
        let types = keys.iter().map(|key| inferred.field_with_name(key).ok().map(|field| field.data_type().clone()));
        let types: Vec<DataType> = types.collect::<Option<_>>()?;
        let fields = keys.iter().zip(&types).map(|(key, data_type)| Field::new(key.as_str(), data_type.clone(), true));
        fits(rows, Schema::new(fields.collect::<Vec<_>>())).then_some(types)
    };
    if texts.is_empty()
        && let Some(types) = all_at_once()
    {
        return types.into_iter().map(Some).collect();
    }
    let one = |key: &&String| {
        let of_key = |row: &Value| row.get(key.as_str()).map(|value| json!({ key.as_str(): value }));
        let rows: Vec<Value> = rows.iter().filter_map(of_key).collect();
        let inferred = infer_json_schema_from_iterator(rows.iter().map(Ok::<_, ArrowError>)).ok()?;
        let field = inferred.field_with_name(key).ok()?.clone();
        let data_type = field.data_type().clone();
        (!texts.contains(key.as_str()) && fits(&rows, Schema::new(vec![field]))).then_some(data_type)
    };
    keys.iter().map(one).collect()
}

/// Whether columns of these types hold all rows exactly.
fn fits(rows: &[Value], schema: Schema) -> bool {
    let all = DataType::Struct(schema.fields().clone());
    let has_empty = schema.fields().iter().any(|field| has_empty_struct(field.data_type()));
    if has_empty || rows.iter().any(|row| inexact(row, &all).is_some()) {
        return false;
    }
    let decoded = strict_decoder(Arc::new(schema), rows.len().max(1)).and_then(|mut decoder| {
        decoder.serialize(rows)?;
        decoder.flush()
    });
    decoded.is_ok()
}

/// Whether there is a struct without fields in a type. Parquet has no such type.
fn has_empty_struct(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => has_empty_struct(item.data_type()),
        DataType::Struct(fields) => fields.is_empty() || fields.iter().any(|field| has_empty_struct(field.data_type())),
        _ => false,
    }
}
