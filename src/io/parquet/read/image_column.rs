//! How the column that is read from its pages is stored, as far as the schema tells: that of the images, or in a table without
//! images one of lists.

use arrow_schema::{DataType, FieldRef};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Type;

use super::values;

/// The column that is read from its pages.
#[derive(Clone)]
pub struct LeafColumn {
    /// Whether it is the image column.
    pub is_image: bool,
    /// Its place among the top-level columns.
    pub root: usize,
    /// Its place among the columns of values.
    pub leaf: usize,
    pub field: FieldRef,
    pub kind: ImageKind,
}

#[derive(Clone, Copy, PartialEq)]
pub enum ImageKind {
    /// Lists of numbers. The level is that of a value that is not null.
    List { max_definition: u8 },
    /// Raw bytes. The level is that of a value that is not null.
    Bytes { max_definition: u8 },
    /// Any other type that is not nested.
    Flat,
}

impl LeafColumn {
    /// The column of that name, or the first one of lists of numbers if there is none; `None` if only the Arrow reader can read it.
    pub fn find(metadata: &ArrowReaderMetadata, name: &str) -> Option<Self> {
        let fields = metadata.schema().fields();
        match fields.iter().position(|field| field.name() == name) {
            Some(root) => Self::of(metadata, root, true),
            None => {
                let mut lists = (0..fields.len()).filter(|&root| item(fields[root].data_type()).is_some());
                lists.find_map(|root| Self::of(metadata, root, false))
            }
        }
    }

    fn of(metadata: &ArrowReaderMetadata, root: usize, is_image: bool) -> Option<Self> {
        let (schema, columns) = (metadata.schema(), metadata.parquet_schema());
        // The columns of the file and those of the Arrow schema are the same ones.
        if schema.fields().len() != columns.root_schema().get_fields().len() {
            return None;
        }
        let mut leaves = (0..columns.num_columns()).filter(|&leaf| columns.get_column_root_idx(leaf) == root);
        let (Some(leaf), None) = (leaves.next(), leaves.next()) else { return None };
        let (field, column) = (&schema.fields()[root], columns.column(leaf));
        let kind = match (column.max_rep_level(), item(field.data_type())) {
            (0, None) if is_bytes(field.data_type(), column.physical_type()) => {
                ImageKind::Bytes { max_definition: u8::try_from(column.max_def_level()).ok()? }
            }
            (0, None) if !field.data_type().is_nested() => ImageKind::Flat,
            (1, Some((item, _))) if values::is_leaf(item, column.physical_type()) => {
                ImageKind::List { max_definition: u8::try_from(column.max_def_level()).ok()? }
            }
            _ => return None,
        };
        Some(Self { is_image, root, leaf, field: field.clone(), kind })
    }
}

/// The item type of a list, and its length where that is the type's.
pub fn item(list: &DataType) -> Option<(&DataType, Option<usize>)> {
    match list {
        DataType::List(item) | DataType::LargeList(item) => Some((item.data_type(), None)),
        DataType::FixedSizeList(item, length) => Some((item.data_type(), usize::try_from(*length).ok())),
        _ => None,
    }
}

fn is_bytes(data_type: &DataType, stored: Type) -> bool {
    matches!(
        (data_type, stored),
        (DataType::Binary | DataType::LargeBinary, Type::BYTE_ARRAY)
            | (DataType::FixedSizeBinary(1..), Type::FIXED_LEN_BYTE_ARRAY)
    )
}
