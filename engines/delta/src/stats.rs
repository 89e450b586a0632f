//! What the log says of a file, so that readers can leave it out: its rows, nulls, least and largest values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use deltalake::arrow::compute::{max, min};
use serde_json::{Map, Value, json};

/// So many columns have statistics, as by default in Delta.
const COLUMNS: usize = 32;

/// The statistics of the rows of a file.
#[derive(Debug)]
pub struct Statistics {
    rows: usize,
    columns: Vec<(String, ColumnStatistics)>,
}

#[derive(Debug, Default)]
struct ColumnStatistics {
    nulls: usize,
    range: Option<(Number, Number)>,
    /// A NaN has no place between the least and the largest value.
    has_nan: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Number {
    Integer(i64),
    Float(f64),
    /// Days since 1970.
    Date(i32),
}

impl Statistics {
    pub fn new(schema: &Schema) -> Self {
        // The nulls of a struct are told of its members, which nobody asks for here.
        let has_counts = |data_type: &DataType| !matches!(data_type, DataType::Struct(_));
        let columns = schema.fields().iter().take(COLUMNS).filter(|field| has_counts(field.data_type()));
        Self { rows: 0, columns: columns.map(|field| (field.name().clone(), ColumnStatistics::default())).collect() }
    }

    pub fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        for (name, statistics) in &mut self.columns {
            if let Some(column) = batch.column_by_name(name) {
                statistics.add(column.as_ref());
            }
        }
    }

    /// As the log has them.
    pub fn to_json(&self) -> Value {
        let (mut least, mut largest, mut nulls) = (Map::new(), Map::new(), Map::new());
        for (name, statistics) in &self.columns {
            nulls.insert(name.clone(), statistics.nulls.into());
            if let Some((min, max)) = statistics.range.filter(|_| !statistics.has_nan) {
                least.insert(name.clone(), min.to_json());
                largest.insert(name.clone(), max.to_json());
            }
        }
        json!({ "numRecords": self.rows, "minValues": least, "maxValues": largest, "nullCount": nulls })
    }
}

impl ColumnStatistics {
    fn add(&mut self, column: &dyn Array) {
        self.nulls += column.null_count();
        match column.data_type() {
            DataType::Int8 => self.widen::<Int8Type>(column, |value| Number::Integer(value.into())),
            DataType::Int16 => self.widen::<Int16Type>(column, |value| Number::Integer(value.into())),
            DataType::Int32 => self.widen::<Int32Type>(column, |value| Number::Integer(value.into())),
            DataType::Int64 => self.widen::<Int64Type>(column, Number::Integer),
            DataType::Date32 => self.widen::<Date32Type>(column, Number::Date),
            DataType::Float32 => self.widen::<Float32Type>(column, |value| Number::Float(value.into())),
            DataType::Float64 => self.widen::<Float64Type>(column, Number::Float),
            _ => {}
        }
    }

    fn widen<T: ArrowPrimitiveType<Native: PartialOrd>>(
        &mut self,
        column: &dyn Array,
        number: impl Fn(T::Native) -> Number,
    ) {
        let values = column.as_primitive::<T>();
        let (Some(least), Some(largest)) = (min(values), max(values)) else { return };
        let (least, largest) = (number(least), number(largest));
        // Arrow takes a NaN for the largest value.
        self.has_nan |= matches!(largest, Number::Float(value) if value.is_nan());
        self.range = Some(match self.range {
            Some((min, max)) => (if least < min { least } else { min }, if largest > max { largest } else { max }),
            None => (least, largest),
        });
    }
}

impl Number {
    fn to_json(self) -> Value {
        match self {
            Number::Integer(value) => value.into(),
            // JSON has no infinity, and without a value nothing is claimed.
            Number::Float(value) => value.into(),
            Number::Date(days) => match Date32Type::to_naive_date_opt(days) {
                Some(date) => date.to_string().into(),
                None => Value::Null,
            },
        }
    }
}
