//! A file as if it had only some of its columns.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaDataBuilder};
use parquet::schema::types::{SchemaDescriptor, Type};

/// The footer without the columns other than the images and these; whole if it has no images, so that what is there can
/// be told. A footer says for each column where its data is, so what is not in it is not looked at.
pub fn projected(whole: &ArrowReaderMetadata, image: &str, columns: &[String]) -> Result<ArrowReaderMetadata> {
    let (schema, descriptor) = (whole.schema(), whole.parquet_schema());
    let wanted = |name: &String| name == image || columns.contains(name);
    let roots = descriptor.root_schema().get_fields();
    let kept: Vec<usize> = (0..schema.fields().len()).filter(|&at| wanted(schema.field(at).name())).collect();
    if kept.len() == roots.len() || schema.fields().len() != roots.len() || schema.column_with_name(image).is_none() {
        return Ok(whole.clone());
    }
    let file = whole.metadata().file_metadata();
    let root = Type::group_type_builder(descriptor.name())
        .with_fields(kept.iter().map(|&at| roots[at].clone()).collect())
        .build()?;
    let fewer = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let leaves: Vec<usize> =
        (0..descriptor.num_columns()).filter(|&leaf| kept.contains(&descriptor.get_column_root_idx(leaf))).collect();
    let orders = file.column_orders().map(|orders| leaves.iter().map(|&leaf| orders[leaf]).collect());
    let pairs =
        file.key_value_metadata().map(|pairs| with_schema(pairs, Arc::new(schema.project(&kept)?))).transpose()?;
    let about = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        pairs,
        fewer.clone(),
        orders,
    );
    let mut builder = ParquetMetaDataBuilder::new(about);
    for group in whole.metadata().row_groups() {
        let columns = leaves.iter().map(|&leaf| group.column(leaf).clone()).collect();
        builder = builder.add_row_group(
            parquet::file::metadata::RowGroupMetaData::builder(fewer.clone())
                .set_num_rows(group.num_rows())
                .set_total_byte_size(group.total_byte_size())
                .set_column_metadata(columns)
                .build()?,
        );
    }
    ArrowReaderMetadata::try_new(Arc::new(builder.build()), ArrowReaderOptions::new())
}

/// What the file says of itself, with the Arrow schema that it names, if it does, made to be this one.
fn with_schema(pairs: &[KeyValue], schema: SchemaRef) -> Result<Vec<KeyValue>> {
    let told = |pair: &KeyValue| match pair.key == ARROW_SCHEMA_META_KEY {
        true => KeyValue::new(pair.key.clone(), encode_arrow_schema(&schema)),
        false => pair.clone(),
    };
    Ok(pairs.iter().map(told).collect())
}
