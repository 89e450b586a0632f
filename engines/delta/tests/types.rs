//! Columns of types that Delta does not have.

use std::sync::Arc;

use arrow_array::types::{Int8Type, UInt8Type};
use arrow_array::{
    ArrayRef, DictionaryArray, DurationSecondArray, FixedSizeBinaryArray, FixedSizeListArray, Float16Array, Int64Array,
    LargeStringArray, ListArray, RecordBatch, TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use pixelfeat_delta::{Error, Mode, Table};
use tempfile::tempdir;

use crate::{put, read, rows};

#[test]
fn types_are_widened_in_the_table_and_come_back() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    let halves = cast(&arrow_array::Float32Array::from(vec![0.5, -2.0]), &DataType::Float16).unwrap();
    let halves = halves.as_any().downcast_ref::<Float16Array>().unwrap().clone();
    let fixed = FixedSizeListArray::from_iter_primitive::<UInt8Type, _, _>([Some([Some(1), Some(255)]), None], 2);
    let nanos = TimestampNanosecondArray::from(vec![Some(1_700_000_000_123_456_000), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("u8", Arc::new(UInt8Array::from(vec![0, u8::MAX]))),
        ("u16", Arc::new(UInt16Array::from(vec![0, u16::MAX]))),
        ("u32", Arc::new(UInt32Array::from(vec![0, u32::MAX]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ("f16", Arc::new(halves)),
        ("fixed", Arc::new(fixed)),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<UInt8Type, _, _>([Some(vec![Some(9), None]), Some(vec![])])),
        ),
        ("text", Arc::new(LargeStringArray::from(vec!["a", "é"]))),
        ("key", Arc::new(DictionaryArray::<Int8Type>::from_iter([Some("x"), Some("x")]))),
        ("bytes", Arc::new(FixedSizeBinaryArray::try_from_iter([[1, 2], [3, 4]].iter()).unwrap())),
        ("time", Arc::new(nanos.clone().with_timezone("Europe/Berlin"))),
        ("local", Arc::new(nanos)),
    ];
    put(&table, Mode::Append, rows(columns.clone())).unwrap();
    let of = |name: &str| {
        Table::open(&table, None).unwrap().columns().unwrap().field_with_name(name).unwrap().data_type().clone()
    };
    assert_eq!([of("u8"), of("u16"), of("u32")], [DataType::Int16, DataType::Int32, DataType::Int64]);
    assert_eq!([of("u64"), of("f16")], [DataType::Decimal128(20, 0), DataType::Float32]);
    assert!(
        matches!(of("fixed"), DataType::List(item) if item.name() == "element" && *item.data_type() == DataType::Int16)
    );
    assert_eq!(of("time"), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    assert_eq!(of("local"), DataType::Timestamp(TimeUnit::Microsecond, None));
    let back: RecordBatch = read(&table, None).unwrap().remove(0);
    for (name, column) in columns {
        assert_eq!(back.column_by_name(name).unwrap(), &column, "{name}");
    }
}

#[test]
fn what_delta_cannot_hold_is_refused_by_name() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    let took: ArrayRef = Arc::new(DurationSecondArray::from(vec![1]));
    let error = put(&table, Mode::Append, rows([("took", took)])).unwrap_err();
    assert!(matches!(&error, Error::UnsupportedColumn { column, .. } if column == "took"), "{error}");
    let fine: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_700_000_000_123_456_789]));
    let error = put(&table, Mode::Append, rows([("at", fine)])).unwrap_err().to_string();
    assert!(error.contains("column `at`") && error.contains("finer"), "{error}");
    assert!(!table.exists());
}

#[test]
fn a_column_keeps_the_type_of_its_first_rows() {
    let folder = tempdir().unwrap();
    let table = folder.path().join("table");
    put(&table, Mode::Append, rows([("n", Arc::new(UInt32Array::from(vec![1])) as ArrayRef)])).unwrap();
    // Both are `long` in the table, but 2^40 would not come back as u32.
    let error =
        put(&table, Mode::Append, rows([("n", Arc::new(Int64Array::from(vec![1 << 40])) as ArrayRef)])).unwrap_err();
    assert!(error.to_string().contains("column `n` is Int64, in the table UInt32"), "{error}");
}
