//! How the images of a column are stored, as its field says.

use arrow_schema::{DataType, Field, Fields};

use super::lists::ListKind;
use super::tensor::{AxisOrder, DimensionOrder, Tensor, daft_fixed_image, extension};
use crate::base::error::{Error, Result};
use crate::base::shape::{ImageShape, PixelType};
use crate::base::text::names;

/// What the bytes of an image column hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// The pixels themselves.
    Raw,
    /// Encoded images: PNG, JPEG, WebP, BMP or TIFF.
    Encoded,
}

names!("encoding", Encoding { "raw" => Raw, "encoded" => Encoded });

/// The metadata key of a field that names the shape of its images, such as `28x28x3`.
pub(crate) const SHAPE_KEY: &str = "pixelfeat.shape";

/// Says in words how the images of a column are stored, as a run would take them.
///
/// # Errors
/// [`Error::UnsupportedColumn`] if it can hold no images, or its metadata contradicts its type.
pub fn describe_column(field: &Field) -> Result<String> {
    ImageColumn::of(field).map(|column| column.describe())
}

/// An image column, recognised by its field.
#[derive(Debug, Clone)]
pub(crate) struct ImageColumn {
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) form: Form,
    /// The shape that the field's metadata names.
    pub(super) hint: Option<ImageShape>,
}

/// The forms that images come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Lists of numbers, flat or nested by rows, pixels and channels; or bytes of one length.
    Lists,
    /// Lists of numbers, each a tensor of these physical dimensions.
    Tensor { dims: Vec<usize>, order: AxisOrder },
    /// A struct of a list of numbers and the list of its dimensions.
    Tensors { data: usize, shape: usize, order: AxisOrder },
    /// A struct of a list of numbers and its sides.
    Sides { data: usize, height: usize, width: usize, channels: Option<usize> },
    /// Bytes of any length: raw pixels or encoded images. The first rows decide which.
    Bytes,
    /// Encoded images: the column itself, or this field of a struct.
    Encoded(Option<usize>),
}

impl ImageColumn {
    /// Recognises a column.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`] if it can hold no images, or its metadata contradicts its type.
    pub fn of(field: &Field) -> Result<Self> {
        let refuse = |why: String| Error::UnsupportedColumn {
            column: field.name().clone(),
            data_type: field.data_type().clone(),
            why,
        };
        let form = form(field).map_err(refuse)?;
        let hint = match field.metadata().get(SHAPE_KEY) {
            Some(text) if matches!(form, Form::Lists | Form::Bytes) => {
                Some(text.parse().map_err(|e: Error| refuse(format!("its metadata {SHAPE_KEY}: {e}")))?)
            }
            _ => None,
        };
        Ok(Self { name: field.name().clone(), data_type: field.data_type().clone(), form, hint })
    }

    /// Settles what a run declares of the column.
    ///
    /// # Errors
    /// [`Error::UnsupportedColumn`] if the column cannot be as declared.
    pub fn declare(&mut self, encoding: Option<Encoding>, order: Option<DimensionOrder>) -> Result<()> {
        match (encoding, &self.form) {
            (Some(Encoding::Encoded), _) if !cfg!(feature = "image") => {
                return Err(self.unsupported("this build has no feature `image`, which encoded images need"));
            }
            (Some(Encoding::Raw), Form::Bytes) => self.form = Form::Lists,
            (Some(Encoding::Encoded), Form::Bytes) => self.form = Form::Encoded(None),
            (Some(Encoding::Raw), Form::Encoded(_)) => {
                return Err(self.unsupported("raw pixels were declared, its images are encoded"));
            }
            (Some(Encoding::Encoded), form) if !matches!(form, Form::Encoded(_)) => {
                return Err(self.unsupported("encoded images were declared, which are bytes of any length"));
            }
            _ => {}
        }
        let Some(declared) = order else { return Ok(()) };
        let refusal = match &mut self.form {
            Form::Tensor { order: AxisOrder::Known(named), .. }
            | Form::Tensors { order: AxisOrder::Known(named), .. } => {
                (*named != declared).then(|| format!("the order {declared} was declared, its metadata says {named}"))
            }
            Form::Tensor { order, .. } | Form::Tensors { order, .. } => {
                *order = AxisOrder::Known(declared);
                None
            }
            Form::Lists | Form::Bytes if ListKind::of(values_type(&self.data_type)).depth <= 1 => None,
            Form::Lists | Form::Bytes | Form::Sides { .. } | Form::Encoded(_) => (!declared.is_interleaved())
                .then(|| format!("the order {declared} was declared, its images are H×W or H×W×C")),
        };
        refusal.map_or(Ok(()), |why| Err(self.unsupported(why)))
    }

    /// The layout in words.
    fn describe(&self) -> String {
        match &self.form {
            Form::Lists => match ListKind::of(values_type(&self.data_type)).depth {
                0 => "bytes of one length: raw pixels",
                1 => "flat: all values of an image in one list",
                2 => "nested: rows of pixels",
                _ => "nested: rows of pixels of channels",
            }
            .to_owned(),
            Form::Tensor { dims, .. } => {
                let dims: Vec<_> = dims.iter().map(usize::to_string).collect();
                format!("tensors of {}", dims.join("×"))
            }
            Form::Tensors { .. } => "tensors, each with its shape".to_owned(),
            Form::Sides { .. } => "pixels, each image with its height and width".to_owned(),
            Form::Bytes => "bytes: encoded images if most of the first rows begin as such, else raw pixels".to_owned(),
            Form::Encoded(_) => "encoded images".to_owned(),
        }
    }

    /// Whether each row has a height and width of its own.
    pub fn is_sized(&self) -> bool {
        match self.form {
            Form::Lists => ListKind::of(values_type(&self.data_type)).depth > 1,
            Form::Tensor { .. } | Form::Bytes => false,
            Form::Tensors { .. } | Form::Sides { .. } | Form::Encoded(_) => true,
        }
    }

    /// Whether a batch can hold far more pixels than the column has bytes.
    pub fn expands(&self) -> bool {
        matches!(self.form, Form::Encoded(_))
            || matches!(self.data_type, DataType::Dictionary(..) | DataType::ListView(_) | DataType::LargeListView(_))
    }

    pub fn unsupported(&self, why: impl Into<String>) -> Error {
        Error::UnsupportedColumn { column: self.name.clone(), data_type: self.data_type.clone(), why: why.into() }
    }
}

/// The pixel type that a column is read as unless a run declares one: u16 for 16-bit unsigned integers, f32 for floats,
/// u8 for all else. The type of encoded images does not follow from the column: the first rows decide it.
pub fn default_pixel_type(column: &DataType) -> PixelType {
    match column {
        DataType::Dictionary(_, values) => default_pixel_type(values),
        DataType::Struct(fields) => match fields.find("data") {
            Some((_, data)) => default_pixel_type(data.data_type()),
            None => PixelType::U8,
        },
        DataType::UInt16 => PixelType::U16,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => PixelType::F32,
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => default_pixel_type(ListKind::of(column).leaf),
        _ => PixelType::U8,
    }
}

/// The type of a dictionary's values; any other type is returned as it is.
pub(super) fn values_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

fn form(field: &Field) -> Result<Form, String> {
    let data_type = values_type(field.data_type());
    match extension(field) {
        Some((name @ "arrow.fixed_shape_tensor", metadata)) => {
            fixed_tensor(data_type, metadata).map_err(|why| format!("{name}: {why}"))
        }
        Some((name @ "arrow.variable_shape_tensor", metadata)) => {
            let tensor = Tensor::parse(metadata).map_err(|why| format!("{name}: {why}"))?;
            match struct_form(data_type) {
                Some(Form::Tensors { data, shape, .. }) => Ok(Form::Tensors { data, shape, order: tensor.order }),
                _ => Err(format!("{name}: its storage is not a struct of a list `data` and a list `shape`")),
            }
        }
        Some((name @ "daft.super_extension", metadata)) => {
            match daft_fixed_image(metadata).map_err(|why| format!("{name}: {why}"))? {
                Some(image) => {
                    let dims = vec![image.height(), image.width(), image.channels()];
                    let tensor = Form::Tensor { dims, order: AxisOrder::Open(None) };
                    checked(tensor, data_type).map_err(|why| format!("{name}: {why}"))
                }
                None => plain(data_type),
            }
        }
        _ => plain(data_type),
    }
}

fn fixed_tensor(data_type: &DataType, metadata: &str) -> Result<Form, String> {
    let tensor = Tensor::parse(metadata)?;
    let dims = tensor.shape.ok_or("its metadata names no shape")?;
    // A flat one tells no more than any list.
    if dims.len() > 1 {
        tensor.order.axes(&dims)?.shape(&dims)?;
    }
    checked(Form::Tensor { dims, order: tensor.order }, data_type)
}

/// A tensor of fixed shape. Fails if its shape does not have as many values as the lists.
fn checked(tensor: Form, data_type: &DataType) -> Result<Form, String> {
    let Form::Tensor { dims, .. } = &tensor else { return Ok(tensor) };
    let DataType::FixedSizeList(item, size) = data_type else {
        return Err("its storage is not a fixed-size list".to_owned());
    };
    if !ListKind::is_number(item.data_type()) {
        return Err(format!("its values are {}, no numbers", item.data_type()));
    }
    let values = dims.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
    if values != usize::try_from(*size).ok() {
        return Err(format!("its metadata tells a shape of {dims:?}, its lists hold {size} values"));
    }
    Ok(if dims.len() > 1 { tensor } else { Form::Lists })
}

fn plain(data_type: &DataType) -> Result<Form, String> {
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => return Ok(Form::Bytes),
        DataType::Struct(_) => {
            if let Some(form) = struct_form(data_type) {
                return Ok(form);
            }
        }
        _ if ListKind::of(data_type).holds_images() => return Ok(Form::Lists),
        _ => {}
    }
    Err("images are lists of numbers, flat or nested to H×W or H×W×C; bytes, raw or an encoded image; or structs of \
         data and shape, of data, height, width and channel, or of bytes and path"
        .to_owned())
}

/// Recognises a struct by the names and types of its fields.
fn struct_form(data_type: &DataType) -> Option<Form> {
    let DataType::Struct(fields) = data_type else { return None };
    let field = |name: &str, fits: &dyn Fn(&DataType) -> bool| place(fields, name, fits);
    let values = |of: &DataType| ListKind::of(of).depth == 1 && ListKind::is_number(ListKind::of(of).leaf);
    let integer = |of: &DataType| of.is_integer();
    let bytes = |of: &DataType| matches!(of, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    if let Some(at) = field("bytes", &bytes) {
        return Some(Form::Encoded(Some(at)));
    }
    let data = field("data", &values)?;
    if let Some(shape) = field("shape", &|of| ListKind::of(of).depth == 1 && integer(ListKind::of(of).leaf)) {
        return Some(Form::Tensors { data, shape, order: AxisOrder::Open(None) });
    }
    let channels = field("channel", &integer);
    Some(Form::Sides { data, height: field("height", &integer)?, width: field("width", &integer)?, channels })
}

fn place(fields: &Fields, name: &str, fits: &dyn Fn(&DataType) -> bool) -> Option<usize> {
    fields.find(name).filter(|(_, field)| fits(field.data_type())).map(|(at, _)| at)
}
