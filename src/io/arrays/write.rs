//! Writes columns as NPY files, one for each column.

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatchReader};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Schema};
use half::f16;

use super::npy;
use crate::base::error::{Error, Result};
use crate::features::{FEATURE_NAMES_KEY, FEATURES};
use crate::io::options::REST;
use crate::io::output_file::OutputFile;
use crate::io::partition;

/// The maximum dimensions of a row. With them a header has at most 128 bytes, whatever the number of rows.
const MAX_DIMENSIONS: usize = 3;

/// Writes all batches; returns the rows and the files, the one at `path` last.
///
/// The file at `path` takes the column `features`, or where there is none the first of fixed-size lists: N×F. Each other
/// column becomes a file beside it, `NAME.COLUMN.npy`, but for the rest of JSON members, as long as it is empty.
pub fn write(path: &Path, reader: impl RecordBatchReader) -> Result<(u64, Vec<OutputFile>)> {
    let schema = reader.schema();
    let main = main_column(&schema).ok_or_else(|| Error::InvalidOption {
        option: "output",
        why: format!("{}: NPY takes the features as one list, not as columns", path.display()),
    })?;
    let (mut columns, mut rest) = (Vec::new(), None);
    for (at, field) in schema.fields().iter().enumerate() {
        if field.name() == REST && field.data_type() == &DataType::Utf8 {
            rest = Some(at);
            continue;
        }
        let file = if at == main { path.to_owned() } else { beside(path, field.name()) };
        columns.push(NpyColumn::create(at, field.name(), field.data_type(), file)?);
    }
    // The main file gets its name last: if it is there, so are the others.
    let last = columns.remove(main - usize::from(rest.is_some_and(|rest| rest < main)));
    columns.push(last);
    let mut rows = 0u64;
    for batch in reader {
        let batch = batch.map_err(Error::from)?;
        if let Some(rest) = rest.map(|at| batch.column(at)).filter(|rest| rest.null_count() < rest.len()) {
            return Err(not_numbers(REST, rest.data_type()));
        }
        for column in &mut columns {
            column.append(batch.column(column.at).as_ref(), rows)?;
        }
        rows += batch.num_rows() as u64;
    }
    let files = columns.into_iter().map(|column| column.complete(rows)).collect::<Result<_>>()?;
    Ok((rows, files))
}

fn main_column(schema: &Schema) -> Option<usize> {
    let is_list = |data_type: &DataType| matches!(data_type, DataType::FixedSizeList(..));
    let features = schema.column_with_name(FEATURES).filter(|(_, field)| is_list(field.data_type())).map(|(at, _)| at);
    // If each feature has a column of its own, another list is not the features.
    let in_columns = schema.metadata().contains_key(FEATURE_NAMES_KEY);
    features.or_else(|| schema.fields().iter().position(|field| is_list(field.data_type())).filter(|_| !in_columns))
}

fn not_numbers(column: &str, data_type: &DataType) -> Error {
    Error::UnsupportedColumn {
        column: column.to_owned(),
        data_type: data_type.clone(),
        why: "NPY files hold numbers; leave it out by naming the columns to pass through".to_owned(),
    }
}

/// `features.npy` and `label` → `features.label.npy`.
fn beside(path: &Path, column: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{}.npy", partition::escaped(column)));
    path.with_file_name(name)
}

/// A column that is being written.
struct NpyColumn {
    at: usize,
    name: String,
    descr: &'static str,
    inner: Vec<usize>,
    path: PathBuf,
    out: OutputFile,
}

impl NpyColumn {
    fn create(at: usize, name: &str, data_type: &DataType, path: PathBuf) -> Result<Self> {
        let (mut inner, mut leaf) = (Vec::new(), data_type);
        while let DataType::FixedSizeList(item, side) = leaf {
            inner.push(*side as usize);
            leaf = item.data_type();
        }
        let descr = descr(leaf).filter(|_| inner.len() <= MAX_DIMENSIONS);
        let descr = descr.ok_or_else(|| not_numbers(name, data_type))?;
        let mut out = OutputFile::create(&path)?;
        let mut shape = vec![usize::MAX];
        shape.extend(&inner);
        out.write_all(&npy::head(descr, &shape)).map_err(|e| Error::io("write", &path, e))?;
        Ok(Self { at, name: name.to_owned(), descr, inner, path, out })
    }

    /// Adds a column of a batch; `first` is its first row.
    fn append(&mut self, array: &dyn Array, first: u64) -> Result<()> {
        let (mut leaf, mut nulls) = (array.slice(0, array.len()), array.nulls().cloned());
        while let Some(list) = leaf.as_fixed_size_list_opt() {
            let items = list.values().clone();
            let above = nulls.map(|nulls| nulls.expand(list.value_length() as usize));
            nulls = NullBuffer::union(above.as_ref(), items.nulls());
            leaf = items;
        }
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        if let (Some(nulls), false) = (&nulls, leaf.data_type().is_floating()) {
            let values: usize = self.inner.iter().product();
            let at = (0..nulls.len()).find(|&i| nulls.is_null(i)).unwrap_or(0);
            let row = first + (at / values.max(1)) as u64;
            let message = format!("row {row} of column `{}` is null, which NPY has no integer for", self.name);
            return Err(Error::format(self.path.display().to_string(), message));
        }
        let bytes = bytes(leaf.as_ref(), nulls.as_ref());
        self.out.write_all(&bytes).map_err(|e| Error::io("write", &self.path, e))
    }

    /// Writes the number of rows, which is now known, into the header.
    fn complete(mut self, rows: u64) -> Result<OutputFile> {
        let mut shape = vec![rows as usize];
        shape.extend(&self.inner);
        self.out.replace_start(&npy::head(self.descr, &shape))?;
        Ok(self.out)
    }
}

/// NumPy's name of a type.
fn descr(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Boolean => "|b1",
        DataType::UInt8 => "|u1",
        DataType::Int8 => "|i1",
        DataType::UInt16 => "<u2",
        DataType::Int16 => "<i2",
        DataType::UInt32 => "<u4",
        DataType::Int32 => "<i4",
        DataType::UInt64 => "<u8",
        DataType::Int64 => "<i8",
        DataType::Float16 => "<f2",
        DataType::Float32 => "<f4",
        DataType::Float64 => "<f8",
        _ => return None,
    })
}

/// The values in little-endian order; a null, which only floats have here, is not a number.
fn bytes(leaf: &dyn Array, nulls: Option<&NullBuffer>) -> Vec<u8> {
    macro_rules! numbers {
        ($arrow:ty, $nan:expr) => {{
            let values = leaf.as_primitive::<$arrow>().values();
            let value = |(at, value): (usize, &_)| if nulls.is_some_and(|n| n.is_null(at)) { $nan } else { *value };
            values.iter().enumerate().map(value).flat_map(|value| value.to_le_bytes()).collect()
        }};
    }
    match leaf.data_type() {
        DataType::UInt8 => numbers!(UInt8Type, 0),
        DataType::Int8 => numbers!(Int8Type, 0),
        DataType::UInt16 => numbers!(UInt16Type, 0),
        DataType::Int16 => numbers!(Int16Type, 0),
        DataType::UInt32 => numbers!(UInt32Type, 0),
        DataType::Int32 => numbers!(Int32Type, 0),
        DataType::UInt64 => numbers!(UInt64Type, 0),
        DataType::Int64 => numbers!(Int64Type, 0),
        DataType::Float16 => numbers!(Float16Type, f16::NAN),
        DataType::Float32 => numbers!(Float32Type, f32::NAN),
        DataType::Float64 => numbers!(Float64Type, f64::NAN),
        _ => leaf.as_boolean().values().iter().map(u8::from).collect(),
    }
}
