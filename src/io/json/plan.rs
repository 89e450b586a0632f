//! What every batch of an input is made by.

use std::sync::Arc;

use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef};

use super::nested::KeyPath;
use super::numbers::has;
use super::scan::Key;
use crate::base::error::Result;
use crate::base::shape::PixelType;
use crate::base::warnings::Warnings;
use crate::io::options::LateMembers;

/// The maximum rows of a batch, whatever was asked for: arrow-json allocates room for all of them at the start.
pub(super) const MAX_ROWS: usize = 1 << 16;

/// The columns of an input, and how its batches are made.
#[derive(Debug)]
pub(super) struct JsonPlan {
    pub(super) file: String,
    /// Where the image is in a document.
    pub(super) image_path: KeyPath,
    pub(super) pixel_type: PixelType,
    /// Whether a broken document is a row, not an error.
    pub(super) keep_broken: bool,
    /// The levels of lists of the image column; 0 for encoded images.
    pub(super) depth: usize,
    pub(super) batch_rows: usize,
    /// The columns of a batch.
    pub(super) schema: SchemaRef,
    /// The columns that arrow-json decodes.
    pub(super) others: SchemaRef,
    /// Which of these hold JSON text, since their values have no Arrow type in common.
    pub(super) is_text: Vec<bool>,
    /// What becomes of members that no column can take.
    pub(super) late: LateMembers,
    pub(super) warnings: Warnings,
    /// The place of the image column in the schema; the others keep their order around it.
    pub(super) image_at: usize,
}

impl JsonPlan {
    /// A decoder of the other columns, for batches of `rows` rows.
    pub(super) fn decoder(&self, rows: usize) -> Result<Decoder> {
        Ok(strict_decoder(self.others.clone(), rows)?)
    }

    /// A decoder of one of the other columns, row by row.
    pub(super) fn decoder_of(&self, column: usize) -> Result<Decoder> {
        let schema = Arc::new(Schema::new(vec![self.others.field(column).clone()]));
        Ok(strict_decoder(schema, 1)?)
    }

    /// The place of the column of a key among the others. `expected` is where it probably is.
    pub(super) fn column(&self, key: Key<'_>, expected: usize) -> Option<usize> {
        let fields = self.others.fields();
        let is_there = |field: &FieldRef| key.is(field.name());
        if fields.get(expected).is_some_and(is_there) { Some(expected) } else { fields.iter().position(is_there) }
    }

    /// Whether a column has numbers of a type in it.
    pub(super) fn has_numbers(&self, column: usize, number: &DataType) -> bool {
        has(self.others.field(column).data_type(), number)
    }
}

/// A decoder that fails at members that the schema does not have.
pub(super) fn strict_decoder(schema: SchemaRef, rows: usize) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(schema).with_batch_size(rows).with_strict_mode(true).build_decoder()
}

/// The message of an error of arrow-json.
pub(super) fn message_of(error: ArrowError) -> String {
    match error {
        ArrowError::JsonError(message) => message,
        other => other.to_string(),
    }
}
