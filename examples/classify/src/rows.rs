//! The labelled rows of a features file.

use std::collections::BTreeSet;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Schema};
use pixelfeat::features::FEATURE_NAMES_KEY;
use pixelfeat::quality::LabelledRows;
use pixelfeat::{Error, ImageBatch, ImageShape, PixelType, Pixels, io};

/// Where the rows of a file are from.
pub struct Source<'a> {
    pub path: &'a Path,
    /// The column of the classes.
    pub label: &'a str,
    /// The column of the images, if they are wanted.
    pub image: Option<&'a str>,
}

/// The rows that have a label and features, in their order.
#[derive(Default)]
pub struct Rows {
    labels: Vec<String>,
    features: Vec<f64>,
    width: usize,
    pub images: Option<Images>,
}

/// Images that were kept beside the features, one for each row, from 0 (black) to 255.
pub struct Images {
    pub shape: ImageShape,
    pub values: Vec<u8>,
}

impl Rows {
    pub fn read(source: &Source<'_>) -> Result<Self, Error> {
        let reader = io::open(source.path, &io::ReadOptions::default())?;
        let schema = reader.schema();
        let names = schema.metadata().get(FEATURE_NAMES_KEY).cloned().unwrap_or_default();
        let names: Vec<&str> = names.split(',').collect();
        let kept = source.image.and_then(|image| Kept::of(&schema, image));
        let images = kept.as_ref().map(|kept| Images { shape: kept.shape, values: Vec::new() });
        let mut rows = Rows { images, ..Rows::default() };
        for batch in reader {
            rows.add(&batch.map_err(Error::from)?, source.label, &names, kept.as_ref())?;
        }
        Ok(rows)
    }

    fn add(&mut self, batch: &RecordBatch, label: &str, names: &[&str], kept: Option<&Kept>) -> Result<(), Error> {
        let format = FormatOptions::default();
        let labels = batch.column(batch.schema_ref().index_of(label).map_err(Error::from)?);
        let text = ArrayFormatter::try_new(labels, &format).map_err(Error::from)?;
        let columns = feature_columns(batch, names).map_err(Error::from)?;
        let images = kept.map(|kept| kept.images(batch)).transpose()?;
        for row in 0..batch.num_rows() {
            if labels.is_null(row) || columns.iter().any(|column| column.is_null(row)) {
                continue;
            }
            self.labels.push(text.value(row).try_to_string().map_err(Error::from)?);
            let before = self.features.len();
            for column in &columns {
                match column.data_type() {
                    DataType::FixedSizeList(..) => self.push(column.as_fixed_size_list().value(row).as_primitive()),
                    DataType::List(_) => self.push(column.as_list::<i32>().value(row).as_primitive()),
                    _ => self.features.push(f64::from(column.as_primitive::<Float32Type>().value(row))),
                }
            }
            let width = self.features.len() - before;
            if self.width != 0 && self.width != width {
                let why = format!("a row has {width} features, others have {}", self.width);
                return Err(ArrowError::SchemaError(why).into());
            }
            self.width = width;
            if let (Some(images), Some(of_batch)) = (&mut self.images, &images) {
                let length = images.shape.values();
                images.values.extend_from_slice(&of_batch[row * length..][..length]);
            }
        }
        Ok(())
    }

    fn push(&mut self, values: &arrow_array::Float32Array) {
        self.features.extend(values.values().iter().map(|&value| f64::from(value)));
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Features of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Some of the rows, their labels as places in `classes`.
    pub fn take(&self, rows: &[usize], classes: &[String]) -> Result<LabelledRows, Error> {
        let class = |row: &usize| classes.iter().position(|class| *class == self.labels[*row]).unwrap_or(0);
        let features = rows.iter().flat_map(|&row| &self.features[row * self.width..][..self.width]).copied();
        LabelledRows::new(self.width, features.collect(), rows.iter().map(class).collect(), classes.len())
    }
}

/// The distinct labels of some files, in order: numbers by value.
pub fn classes(files: &[&Rows]) -> Vec<String> {
    let distinct: BTreeSet<&String> = files.iter().flat_map(|rows| &rows.labels).collect();
    let mut classes: Vec<String> = distinct.into_iter().cloned().collect();
    let numbers: Option<Vec<f64>> = classes.iter().map(|class| class.parse().ok()).collect();
    if numbers.is_some() {
        let number = |class: &String| class.parse().unwrap_or(f64::NAN);
        classes.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    classes
}

/// A column of images that featurize kept.
struct Kept {
    name: String,
    shape: ImageShape,
    pixel_type: PixelType,
    scale: f64,
}

impl Kept {
    /// `None` if there is no such column, or the file does not say what its images are.
    fn of(schema: &Schema, image: &str) -> Option<Self> {
        schema.column_with_name(image)?;
        let told = |key: &str| schema.metadata().get(&format!("pixelfeat.{key}"));
        Some(Self {
            name: image.to_owned(),
            shape: told("shape")?.parse().ok()?,
            pixel_type: told("pixel_type")?.parse().ok()?,
            scale: told("scale")?.parse().ok()?,
        })
    }

    /// The images of a batch, row by row; black where a row has none.
    fn images(&self, batch: &RecordBatch) -> Result<Vec<u8>, Error> {
        let column = batch.column(batch.schema_ref().index_of(&self.name).map_err(Error::from)?);
        let images = ImageBatch::from_array(column, &self.name, self.shape, self.pixel_type)?;
        let length = self.shape.values();
        let shade = |value: f64| (255.0 * value / self.scale).clamp(0.0, 255.0) as u8;
        let pixels: Vec<u8> = match images.pixels() {
            Pixels::U8(pixels) => pixels.iter().map(|&p| shade(p.into())).collect(),
            Pixels::U16(pixels) => pixels.iter().map(|&p| shade(p.into())).collect(),
            Pixels::F32(pixels) => pixels.iter().map(|&p| shade(p.into())).collect(),
        };
        let mut shades = vec![0; images.rows() * length];
        let mut defects = images.defects().iter().map(|defect| defect.row).peekable();
        let mut place = 0;
        for (row, shades) in shades.chunks_exact_mut(length).enumerate() {
            let is_defect = defects.next_if_eq(&row).is_some();
            // Either every row has its place, or only those with an image.
            if !is_defect {
                shades.copy_from_slice(&pixels[place * length..][..length]);
            }
            place += usize::from(!is_defect || images.images() == images.rows());
        }
        Ok(shades)
    }
}

/// The features: the list column, or the columns that the file's metadata names.
fn feature_columns<'a>(batch: &'a RecordBatch, names: &[&str]) -> Result<Vec<&'a dyn Array>, ArrowError> {
    if let Some(list) = batch.column_by_name("features") {
        // With null rows in it, the column comes back from Parquet as a plain list.
        if let DataType::FixedSizeList(item, _) | DataType::List(item) = list.data_type()
            && *item.data_type() == DataType::Float32
        {
            return Ok(vec![list.as_ref()]);
        }
    }
    let schema = batch.schema_ref();
    names
        .iter()
        .map(|name| {
            let at = schema.index_of(name).map_err(|_| {
                ArrowError::SchemaError("no column `features` and none that the file's metadata names".to_owned())
            })?;
            let column = batch.column(at);
            match column.data_type() {
                DataType::Float32 => Ok(column.as_ref()),
                other => Err(ArrowError::SchemaError(format!("column `{name}` is {other}, not Float32"))),
            }
        })
        .collect()
}
