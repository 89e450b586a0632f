//! What files of images hold: the pass over their rows, for whoever tells of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use pixelfeat::{
    Backend, Engine, EngineOptions, Error, FeatureSet, FeatureSpec, Featurizer, ImageBatch, ImageShape, KeepImage,
    MaxInvalid, PixelType, Pixels, Reason, Report, Result, StreamOptions, describe_column, io,
};

use super::picture::Sheet;
use super::values::{Ranges, list_blocks};

/// What to look at, and how.
#[derive(Debug, Clone)]
pub struct Look {
    pub inputs: Vec<PathBuf>,
    /// The image column; `None` for `image`, else the first that can hold images.
    pub image: Option<String>,
    pub shape: Option<ImageShape>,
    pub pixel_type: Option<PixelType>,
    pub labels: Option<PathBuf>,
    /// The first rows only.
    pub rows: Option<u64>,
    pub features: FeatureSet,
    /// Whether to draw the first images.
    pub draws: bool,
}

fn reader(look: &Look, image: &str) -> Result<io::Reader> {
    let mut options = io::ReadOptions::image(image)
        .with_pixel_type(look.pixel_type)
        .with_keep_broken_lines(true)
        .with_rows(look.rows.map_or(io::Rows::All, io::Rows::First));
    options.labels = look.labels.clone();
    io::open_all(&look.inputs, &options)
}

/// The image column and the reader: the column that was named, or `image`, or the first that can hold images.
pub fn open(look: &Look) -> Result<(String, io::Reader)> {
    if let Some(image) = &look.image {
        return Ok((image.clone(), reader(look, image)?));
    }
    let usual = io::ReadOptions::default().image;
    let keys = match reader(look, &usual) {
        Ok(reader) if reader.schema().column_with_name(&usual).is_some() => return Ok((usual, reader)),
        Ok(reader) => reader.schema().fields().iter().map(|field| field.name().clone()).collect(),
        // JSON has to be told the key before it can tell its columns.
        Err(Error::NoSuchColumn { available, .. }) => available,
        Err(error) => return Err(error),
    };
    for key in &keys {
        let reader = self::reader(look, key)?;
        if let Some(image) = candidates(&reader.schema(), key).into_iter().next() {
            return Ok((image.clone(), self::reader(look, &image)?));
        }
    }
    Err(Error::NoSuchColumn { column: usual, available: keys })
}

/// The columns that can hold images, and members of structs by their path. What is called `asked` has the type that
/// was asked for rather than its own where the format leaves it open.
fn candidates(schema: &Schema, asked: &str) -> Vec<String> {
    let holds = |field: &Field| *field.data_type() != DataType::Null && describe_column(field).is_ok();
    let mut found = Vec::new();
    for field in schema.fields().iter().filter(|field| !field.metadata().contains_key(pixelfeat::DEFECTS_OF)) {
        match field.data_type() {
            _ if field.name() != asked && holds(field) => found.push(field.name().clone()),
            DataType::Struct(members) => {
                let members = members.iter().filter(|member| holds(member));
                found.extend(members.map(|member| format!("{}.{}", field.name(), member.name())));
            }
            _ => {}
        }
    }
    found
}

/// Rows of one reason.
#[derive(Default)]
pub struct Odd {
    pub rows: u64,
    /// The first of them, in words.
    pub first: Vec<String>,
}

/// What a pass over the rows found.
pub struct Found {
    pub image: String,
    pub schema: SchemaRef,
    /// Rows looked at.
    rows: u64,
    /// Nulls of each column.
    nulls: Vec<u64>,
    /// The lowest and the highest value of a pixel.
    pub range: Option<(f64, f64)>,
    odd: Arc<Mutex<BTreeMap<Reason, Odd>>>,
    /// Of a pass that came to its end.
    pub report: Option<Report>,
    pub features: FeatureSet,
    pub ranges: Ranges,
    pub sheet: Option<Sheet>,
}

impl Found {
    pub fn new(schema: &SchemaRef, image: &str, look: &Look) -> Self {
        Self {
            image: image.to_owned(),
            schema: schema.clone(),
            rows: 0,
            nulls: vec![0; schema.fields().len()],
            range: None,
            odd: Arc::default(),
            report: None,
            features: look.features.clone(),
            ranges: Ranges::default(),
            sheet: look.draws.then(Sheet::default),
        }
    }

    /// Looks at all rows.
    pub fn read(&mut self, look: &Look, reader: io::Reader) -> Result<()> {
        // The image is kept as decoded, so that the values can be looked at.
        let spec = FeatureSpec::default()
            .with_image(&self.image)
            .with_shape(look.shape)
            .with_pixel_type(look.pixel_type)
            .with_features(look.features.clone())
            .with_keep_image(KeepImage::Tensor)
            // Files of odd rows alone are what people look at.
            .with_max_invalid(MaxInvalid::Percent(100.0));
        let engine = Engine::new(EngineOptions::backend(Backend::Cpu))?;
        let options =
            StreamOptions::default().with_origins(reader.origins()).with_quarantine(self.sink(look.inputs.len() > 1));
        let mut stream = Featurizer::new(engine, spec).stream_with(reader, options)?;
        while let Some(batch) = stream.next() {
            let batch = batch.map_err(Error::from)?;
            let report = stream.report();
            self.count(&batch, &report)?;
        }
        self.report = Some(stream.report());
        Ok(())
    }

    /// Takes the odd rows.
    fn sink(&self, with_files: bool) -> pixelfeat::OnInvalidRow {
        const SHOWN: usize = 5;
        let odd = self.odd.clone();
        Box::new(move |row| {
            let mut odd = odd.lock().unwrap_or_else(PoisonError::into_inner);
            let reason = odd.entry(row.defect.reason).or_default();
            reason.rows += 1;
            if reason.first.len() < SHOWN {
                let file = row.file.as_ref().filter(|_| with_files).map(|file| format!("{file}: ")).unwrap_or_default();
                let line = row.defect.line.map(|line| format!(" (line {line})")).unwrap_or_default();
                reason.first.push(format!("{file}row {}{line}: {}", row.row, row.defect.detail));
            }
            Ok(())
        })
    }

    fn count(&mut self, batch: &RecordBatch, report: &Report) -> Result<()> {
        // The image column has become what was made of it.
        let others = self.schema.fields().iter().zip(&mut self.nulls).filter(|(field, _)| *field.name() != self.image);
        for (field, nulls) in others {
            *nulls += batch.column_by_name(field.name()).map_or(0, |column| column.null_count() as u64);
        }
        let Some(column) = batch.column_by_name(&self.image) else { return Ok(()) };
        let images = ImageBatch::from_array(column, &self.image, report.shape, report.pixel_type)?;
        let values = Values::of(&images);
        for image in 0..values.images() {
            for value in values.image(image) {
                let (low, high) = self.range.unwrap_or((value, value));
                self.range = Some((low.min(value), high.max(value)));
            }
        }
        // A set may have columns of their own alone.
        let Some(features) = batch.column_by_name("features").and_then(|column| column.as_fixed_size_list_opt()) else {
            self.rows += batch.num_rows() as u64;
            return Ok(());
        };
        let of_row = |row: usize| features.value(row).as_primitive::<arrow_array::types::Float32Type>().clone();
        for row in (0..batch.num_rows()).filter(|&row| features.is_valid(row)) {
            self.ranges.add(of_row(row).values());
        }
        if let Some(sheet) = &mut self.sheet {
            if sheet.images() == 0 {
                sheet.begin(report.shape, &list_blocks(&self.features.layout(report.shape, 1.0)?));
            }
            let labels = batch.column_by_name("label").cloned();
            for (place, row) in values.rows.iter().enumerate().take(sheet.room()) {
                if features.is_null(*row) {
                    continue;
                }
                let features = of_row(*row).values().to_vec();
                let label = labels.as_ref().and_then(|labels| label(labels, *row));
                sheet.add(self.rows + *row as u64, values.image(place).collect(), features, label);
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// The columns, and how many nulls each has.
    pub fn columns(&self) -> Vec<(&Field, u64)> {
        let null_images = self.odd().get(&Reason::NullImage).map_or(0, |odd| odd.rows);
        let fields = self.schema.fields().iter().zip(&self.nulls);
        let shown = fields.filter(|(field, _)| !field.metadata().contains_key(pixelfeat::DEFECTS_OF));
        let nulls = |field: &Field| if *field.name() == self.image { null_images } else { 0 };
        shown.map(|(field, count)| (field.as_ref(), count + nulls(field))).collect()
    }

    /// How the images lie in their column.
    pub fn layout(&self) -> String {
        self.schema.field_with_name(&self.image).map_err(Error::from).and_then(describe_column).unwrap_or_default()
    }

    /// The rows that are not as they should be, by reason.
    pub fn odd(&self) -> MutexGuard<'_, BTreeMap<Reason, Odd>> {
        self.odd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pixels of the rows that have some.
struct Values<'a> {
    pixels: &'a Pixels,
    length: usize,
    /// The rows, in order; their images stand at the places that `places` says.
    rows: Vec<usize>,
    places: Vec<usize>,
}

impl<'a> Values<'a> {
    fn of(images: &'a ImageBatch) -> Self {
        let mut defects = images.defects().iter().map(|defect| defect.row).peekable();
        let rows: Vec<usize> = (0..images.rows()).filter(|row| defects.next_if_eq(row).is_none()).collect();
        // Either every row has its place, or only those with an image.
        let places = if images.images() == images.rows() { rows.clone() } else { (0..rows.len()).collect() };
        Self { pixels: images.pixels(), length: images.shape().values(), rows, places }
    }

    fn images(&self) -> usize {
        self.rows.len()
    }

    fn image(&self, at: usize) -> Box<dyn Iterator<Item = f64> + '_> {
        let range = self.places[at] * self.length..(self.places[at] + 1) * self.length;
        match self.pixels {
            Pixels::U8(pixels) => Box::new(pixels[range].iter().map(|&p| f64::from(p))),
            Pixels::U16(pixels) => Box::new(pixels[range].iter().map(|&p| f64::from(p))),
            Pixels::F32(pixels) => Box::new(pixels[range].iter().map(|&p| f64::from(p))),
        }
    }
}

/// A label that is a number.
fn label(labels: &ArrayRef, row: usize) -> Option<u64> {
    let number = arrow_cast::cast(&labels.slice(row, 1), &DataType::UInt64).ok()?;
    let number = number.as_primitive::<arrow_array::types::UInt64Type>();
    number.is_valid(0).then(|| number.value(0))
}

/// A type in few words: `28×28 UInt8`, `list of Int64`.
pub fn type_name(data_type: &DataType) -> String {
    let (mut sides, mut leaf) = (Vec::new(), data_type);
    while let DataType::FixedSizeList(item, side) = leaf {
        sides.push(side.to_string());
        leaf = item.data_type();
    }
    match leaf {
        _ if !sides.is_empty() => format!("{} {}", sides.join("×"), type_name(leaf)),
        DataType::List(item) | DataType::LargeList(item) => format!("list of {}", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let members: Vec<_> =
                fields.iter().map(|f| format!("{}: {}", f.name(), type_name(f.data_type()))).collect();
            format!("struct of {}", members.join(", "))
        }
        other => other.to_string(),
    }
}
