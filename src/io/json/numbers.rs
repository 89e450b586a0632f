//! Numbers that their column could not hold exactly.

use arrow_schema::DataType;
use serde_json::Value;

/// Whether a column of this type holds numbers of type `number`, however deep.
pub(super) fn has(data_type: &DataType, number: &DataType) -> bool {
    match data_type {
        DataType::List(item) => has(item.data_type(), number),
        DataType::Struct(fields) => fields.iter().any(|field| has(field.data_type(), number)),
        other => other == number,
    }
}

/// Whether the text has a run of digits that is long enough for an integer that f64 cannot hold.
pub(super) fn has_long_number(text: &[u8]) -> bool {
    const DIGITS: usize = 16;
    text.len() > DIGITS && text.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit()).any(|run| run.len() >= DIGITS)
}

/// A message about the first number in `value` that its column would change: cut to an integer, or round to a float.
pub(super) fn inexact(value: &Value, data_type: &DataType) -> Option<String> {
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
