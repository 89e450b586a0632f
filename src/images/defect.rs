//! Rows that cannot be featurized: why, where, and how a reader tells the featurizer of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, StructArray, UInt64Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields};

use crate::base::error::Error;
use crate::base::reason::Reason;
use crate::base::shape::PixelType;

/// One row that could not be featurized.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Defect {
    /// The row in its batch, from 0.
    pub row: usize,
    /// Why.
    pub reason: Reason,
    /// The value, length or text at fault, in words.
    pub detail: String,
    /// The narrowest pixel type that would take the row, where another one would.
    pub fits: Option<PixelType>,
    /// How many values the image has, if it is a flat list of another length than the shape asks for.
    pub values: Option<usize>,
    /// The line in its file, from 1, where the format has lines.
    pub line: Option<u64>,
    /// The text of the image in the file (of the whole line, for [`Reason::BrokenLine`]), if the Arrow column cannot hold
    /// it.
    pub raw: Option<String>,
}

impl Defect {
    /// A defect of row `row` of a batch, with what is at fault in words.
    pub fn new(row: usize, reason: Reason, detail: impl Into<String>) -> Self {
        Self { row, reason, detail: detail.into(), fits: None, values: None, line: None, raw: None }
    }

    /// Sets [`fits`](Defect::fits).
    #[must_use]
    pub fn with_fits(self, fits: impl Into<Option<PixelType>>) -> Self {
        Self { fits: fits.into(), ..self }
    }

    /// Sets [`values`](Defect::values).
    #[must_use]
    pub fn with_values(self, values: impl Into<Option<usize>>) -> Self {
        Self { values: values.into(), ..self }
    }

    /// Sets [`line`](Defect::line).
    #[must_use]
    pub fn with_line(self, line: impl Into<Option<u64>>) -> Self {
        Self { line: line.into(), ..self }
    }

    /// Sets [`raw`](Defect::raw).
    #[must_use]
    pub fn with_raw(self, raw: impl Into<Option<String>>) -> Self {
        Self { raw: raw.into(), ..self }
    }

    /// Where it is: in row `row` of `file`, from 0.
    pub(crate) fn place(&self, file: Option<&str>, row: u64) -> String {
        let line = self.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        file.map_or_else(|| format!("row {row}{line}"), |file| format!("{file}: row {row}{line}"))
    }

    /// The error of a run that stops at this row of the image column `column`: row `row` of `file`, from 0.
    pub(crate) fn error(&self, file: Option<&str>, row: u64, column: &str) -> Error {
        Error::InvalidRow {
            file: file.map(str::to_owned),
            row,
            line: self.line,
            column: column.to_owned(),
            reason: self.reason,
            detail: self.detail.clone(),
        }
    }
}

/// The metadata key of the column in which a reader reports what it could not put into the image column.
///
/// A text format meets values that no Arrow pixel column can hold. The reader leaves the image null and says why in a
/// nullable struct column, marked by this field metadata key (its value is the image column's name), and the
/// featurizer takes that column out again. Batches stay plain Arrow all the way.
pub const DEFECTS_OF: &str = "pixelfeat.defects_of";

fn struct_fields() -> Fields {
    Fields::from(vec![
        Field::new("reason", DataType::Utf8, true),
        Field::new("detail", DataType::Utf8, true),
        Field::new("fits", DataType::Utf8, true),
        Field::new("line", DataType::UInt64, true),
        Field::new("raw", DataType::Utf8, true),
    ])
}

/// The field of the defects column that belongs to the image column `image`.
pub fn defects_field(image: &str) -> Field {
    Field::new(format!("{image}.defect"), DataType::Struct(struct_fields()), true)
        .with_metadata(HashMap::from([(DEFECTS_OF.to_owned(), image.to_owned())]))
}

/// The defects column of a batch of `rows` rows; `defects` are in row order.
pub fn defects_array(rows: usize, defects: &[Defect]) -> ArrayRef {
    let mut at = vec![None; rows];
    for (index, defect) in defects.iter().enumerate() {
        at[defect.row] = Some(index);
    }
    let text = |value: &dyn Fn(&Defect) -> Option<String>| -> ArrayRef {
        Arc::new(at.iter().map(|i| i.and_then(|i| value(&defects[i]))).collect::<StringArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|d| Some(d.reason.name().to_owned())),
        text(&|d| Some(d.detail.clone())),
        text(&|d| d.fits.map(|t| t.to_string())),
        Arc::new(at.iter().map(|i| i.and_then(|i| defects[i].line)).collect::<UInt64Array>()),
        text(&|d| d.raw.clone()),
    ];
    let valid = NullBuffer::from_iter(at.iter().map(Option::is_some));
    Arc::new(StructArray::new(struct_fields(), columns, Some(valid)))
}

/// Whether a field is the defects column of `image`.
pub(crate) fn is_defects(field: &Field, image: &str) -> bool {
    field.metadata().get(DEFECTS_OF).is_some_and(|of| of == image)
}

/// Takes the defects column of `image` out of `batch`: the batch without it, and the defects.
pub(crate) fn take_defects(batch: RecordBatch, image: &str) -> (RecordBatch, Vec<Defect>) {
    let place = batch.schema_ref().fields().iter().position(|field| is_defects(field, image));
    let Some(place) = place else { return (batch, Vec::new()) };
    let mut batch = batch;
    let column = batch.remove_column(place);
    let Some(column) = column.as_struct_opt() else { return (batch, Vec::new()) };
    if column.null_count() == column.len() {
        return (batch, Vec::new());
    }
    let text = |name: &str, row: usize| -> Option<String> {
        let strings = column.column_by_name(name)?.as_string_opt::<i32>()?;
        strings.is_valid(row).then(|| strings.value(row).to_owned())
    };
    let lines = column.column_by_name("line").and_then(|c| c.as_primitive_opt::<UInt64Type>());
    let defects = (0..column.len())
        .filter(|&row| column.is_valid(row))
        .map(|row| Defect {
            row,
            reason: text("reason", row).and_then(|name| Reason::from_name(&name)).unwrap_or(Reason::Unparsable),
            detail: text("detail", row).unwrap_or_default(),
            fits: text("fits", row).and_then(|name| name.parse().ok()),
            values: None,
            line: lines.filter(|l| l.is_valid(row)).map(|l| l.value(row)),
            raw: text("raw", row),
        })
        .collect();
    (batch, defects)
}

/// Replaces the defects of rows that a reader left null by the reader's own; both are in row order.
pub(crate) fn explain(defects: &mut [Defect], known: Vec<Defect>) {
    let mut known = known.into_iter().peekable();
    for defect in defects {
        while known.next_if(|k| k.row < defect.row).is_some() {}
        if let Some(known) = known.next_if(|k| k.row == defect.row) {
            *defect = known;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int32Array;
    use arrow_schema::Schema;

    #[test]
    fn defects_travel_beside_the_rows() {
        let defects = vec![
            Defect {
                row: 1,
                reason: Reason::OutOfRange,
                detail: "pixel 3 is 256".into(),
                fits: Some(PixelType::U16),
                values: None,
                line: Some(4),
                raw: Some("[256]".into()),
            },
            Defect::new(2, Reason::Unparsable, "a string"),
        ];
        let schema = Schema::new(vec![Field::new("label", DataType::Int32, true), defects_field("image")]);
        let labels: ArrayRef = Arc::new(Int32Array::from(vec![7, 8, 9]));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![labels, defects_array(3, &defects)]).unwrap();
        let (rest, found) = take_defects(batch.clone(), "image");
        assert_eq!(found, defects);
        assert_eq!(rest.num_columns(), 1);
        let (untouched, none) = take_defects(batch, "other");
        assert_eq!((untouched.num_columns(), none.len()), (2, 0));
    }
}
