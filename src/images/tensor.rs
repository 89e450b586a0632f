//! The order of the dimensions of an image, and the metadata of extension types, which is JSON of bounded size.

use std::fmt;
use std::str::FromStr;

use arrow_schema::Field;
use serde_json::Value;

use crate::base::error::Error;
use crate::base::shape::ImageShape;

/// Metadata is a few numbers and names; serde_json bounds the nesting.
const MAX_METADATA: usize = 64 << 10;

/// The names that people give to dimensions.
const HEIGHT: &[&str] = &["h", "height", "y", "row", "rows"];
const WIDTH: &[&str] = &["w", "width", "x", "col", "cols", "column", "columns"];
const CHANNELS: &[&str] = &["c", "ch", "channel", "channels", "band", "bands"];

/// The order in which the dimensions of an image are stored; the first varies slowest. Its text has a letter for each:
/// `hw`, `hwc`, `chw`, `wh`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DimensionOrder {
    height: usize,
    width: usize,
    channels: Option<usize>,
}

impl fmt::Display for DimensionOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.len()).try_for_each(|at| match at {
            at if at == self.height => f.write_str("h"),
            at if at == self.width => f.write_str("w"),
            _ => f.write_str("c"),
        })
    }
}

impl FromStr for DimensionOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let names: Vec<String> = text.chars().map(String::from).collect();
        let known = names.iter().all(|name| matches!(name.to_lowercase().as_str(), "h" | "w" | "c"));
        Self::by_name(&names).filter(|_| known).ok_or_else(|| Error::InvalidOption {
            option: "order",
            why: format!("`{text}` is not hw, hwc, chw or another order of the letters h, w and c"),
        })
    }
}

impl DimensionOrder {
    /// Rows of pixels of one channel.
    pub const HW: Self = Self { height: 0, width: 1, channels: None };
    /// Rows of pixels, the channels of a pixel side by side.
    pub const HWC: Self = Self { height: 0, width: 1, channels: Some(2) };
    /// Channel after channel, each of rows.
    pub const CHW: Self = Self { height: 1, width: 2, channels: Some(0) };

    fn len(&self) -> usize {
        2 + usize::from(self.channels.is_some())
    }

    /// The dimensions of an image of a shape, in this order; `None` if the shape has channels and the order has not.
    pub(super) fn dims(&self, shape: ImageShape) -> Option<Vec<usize>> {
        let mut dims = vec![shape.channels(); self.len()];
        (dims[self.height], dims[self.width]) = (shape.height(), shape.width());
        (self.channels.is_some() || shape.channels() == 1).then_some(dims)
    }

    fn by_name(names: &[String]) -> Option<Self> {
        let place = |of: &[&str]| {
            let mut places = names.iter().enumerate().filter(|(_, name)| of.contains(&name.to_lowercase().as_str()));
            places.next().map(|(place, _)| place).filter(|_| places.next().is_none())
        };
        let axes = Self { height: place(HEIGHT)?, width: place(WIDTH)?, channels: place(CHANNELS) };
        (names.len() == axes.len()).then_some(axes)
    }

    /// Whether pixels are interleaved, whatever their dimensions.
    pub(super) fn is_interleaved(&self) -> bool {
        (self.height, self.width) == (0, 1)
    }

    /// The shape of an image with these physical dimensions.
    pub(super) fn shape(&self, dims: &[usize]) -> Result<ImageShape, String> {
        let channels = self.channels.map_or(1, |at| dims[at]);
        ImageShape::new(dims[self.height], dims[self.width], channels).map_err(|e| e.to_string())
    }

    /// How many values lie from one row, one column and one channel to the next; `None` where pixels are interleaved.
    pub(super) fn strides(&self, dims: &[usize]) -> Option<[usize; 3]> {
        let stride = |at: usize| dims[at + 1..].iter().product::<usize>();
        let (height, width) = (dims[self.height], dims[self.width]);
        let channels = self.channels.map_or(1, |at| dims[at]);
        let strides = [stride(self.height), stride(self.width), self.channels.map_or(1, stride)];
        let interleaved = [width * channels, channels, 1];
        // From one to the next means nothing where there is one only.
        let differs = |i: usize, length: usize| length > 1 && strides[i] != interleaved[i];
        (differs(0, height) || differs(1, width) || differs(2, channels)).then_some(strides)
    }
}

/// What is known of the order of a tensor's dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AxisOrder {
    /// Named by the schema or declared.
    Known(DimensionOrder),
    /// Open; the permutation, if there is one, leads from the physical to the logical dimensions.
    Open(Option<Vec<usize>>),
}

impl AxisOrder {
    /// Which dimension is which, for tensors of these physical dimensions: as named; else logical dimensions are H×W,
    /// H×W×C if the last is 1 to 4, or C×H×W if only the first is. Where the logical ones are none of that, the physical
    /// ones are taken: PyArrow's `from_numpy_ndarray` writes the inverse of the permutation that it reads.
    pub fn axes(&self, dims: &[usize]) -> Result<DimensionOrder, String> {
        match self {
            AxisOrder::Known(axes) if dims.len() == axes.len() => Ok(*axes),
            AxisOrder::Known(axes) => Err(format!("its shape {dims:?} has other dimensions than {axes}")),
            AxisOrder::Open(Some(permutation)) if permutation.len() != dims.len() => {
                Err(format!("its shape {dims:?} has other dimensions than its permutation"))
            }
            AxisOrder::Open(permutation) => {
                let logical = permutation.as_ref().and_then(|permutation| image_axes(dims, |at| permutation[at]));
                logical
                    .or_else(|| image_axes(dims, |at| at))
                    .ok_or_else(|| format!("its shape {dims:?} is neither H×W, H×W×C nor C×H×W with 1 to 4 channels"))
            }
        }
    }
}

/// The axes of an image whose logical dimensions are these physical ones, if they make an image.
fn image_axes(dims: &[usize], physical: impl Fn(usize) -> usize) -> Option<DimensionOrder> {
    let is_channels = |logical: usize| (1..=ImageShape::MAX_CHANNELS).contains(&dims[physical(logical)]);
    let axes = |height, width, channels: Option<usize>| {
        Some(DimensionOrder { height: physical(height), width: physical(width), channels: channels.map(&physical) })
    };
    match dims.len() {
        2 => axes(0, 1, None),
        3 if is_channels(2) => axes(0, 1, Some(2)),
        3 if is_channels(0) => axes(1, 2, Some(0)),
        _ => None,
    }
}

/// What the metadata of `arrow.fixed_shape_tensor` or `arrow.variable_shape_tensor` says.
#[derive(Debug)]
pub(super) struct Tensor {
    /// The physical dimensions, of a fixed shape.
    pub shape: Option<Vec<usize>>,
    pub order: AxisOrder,
}

impl Tensor {
    /// Parses metadata; an empty one says nothing.
    pub fn parse(metadata: &str) -> Result<Self, String> {
        let fields = if metadata.trim().is_empty() { Value::Null } else { json(metadata)? };
        let shape = fields.get("shape").map(|value| numbers("shape", value)).transpose()?;
        let permutation = match fields.get("permutation") {
            None | Some(Value::Null) => None,
            Some(value) => Some(numbers("permutation", value)?),
        };
        let names = match fields.get("dim_names") {
            None | Some(Value::Null) => None,
            Some(value) => Some(strings("dim_names", value)?),
        };
        if let Some(permutation) = &permutation {
            let mut sorted = permutation.clone();
            sorted.sort_unstable();
            if sorted.iter().enumerate().any(|(i, &at)| i != at) {
                return Err(format!("its permutation {permutation:?} is none"));
            }
        }
        let lengths =
            [("permutation", permutation.as_ref().map(Vec::len)), ("dim_names", names.as_ref().map(Vec::len))];
        if let Some(shape) = &shape {
            for (key, length) in lengths {
                if length.is_some_and(|length| length != shape.len()) {
                    return Err(format!("its {key} are not as many as the dimensions of its shape {shape:?}"));
                }
            }
        }
        let order = names
            .and_then(|names| DimensionOrder::by_name(&names))
            .map_or(AxisOrder::Open(permutation), AxisOrder::Known);
        Ok(Self { shape, order })
    }
}

/// The shape in the metadata of Daft's images of fixed shape; `None` if it is another of Daft's types.
pub(super) fn daft_fixed_image(metadata: &str) -> Result<Option<ImageShape>, String> {
    let fields = json(metadata)?;
    let Some(image) = fields.get("datatype").and_then(|of| of.get("FixedShapeImage")) else { return Ok(None) };
    let wrong = || format!("its FixedShapeImage is not [mode, height, width]: {image}");
    let Some([mode, height, width]) = image.as_array().map(Vec::as_slice) else { return Err(wrong()) };
    // L16 and RGB32F have the channels of L and RGB.
    let name = mode.as_str().ok_or_else(wrong)?.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'F');
    let channels = ["L", "LA", "RGB", "RGBA"].iter().position(|known| *known == name).ok_or_else(wrong)? + 1;
    let side = |value: &Value| value.as_u64().and_then(|side| usize::try_from(side).ok()).ok_or_else(wrong);
    ImageShape::new(side(height)?, side(width)?, channels).map(Some).map_err(|e| e.to_string())
}

/// The extension type of a field: its name and metadata.
pub(super) fn extension(field: &Field) -> Option<(&str, &str)> {
    let metadata = field.extension_type_metadata().unwrap_or_default();
    field.extension_type_name().map(|name| (name, metadata))
}

fn json(text: &str) -> Result<Value, String> {
    if text.len() > MAX_METADATA {
        return Err(format!("its metadata is {} bytes long, over {MAX_METADATA}", text.len()));
    }
    let value: Value = serde_json::from_str(text).map_err(|e| format!("its metadata is not JSON: {e}"))?;
    if value.is_object() { Ok(value) } else { Err("its metadata is not a JSON object".to_owned()) }
}

fn numbers(key: &str, value: &Value) -> Result<Vec<usize>, String> {
    let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    let numbers = value.as_array().and_then(|all| all.iter().map(number).collect());
    numbers.ok_or_else(|| format!("the {key} in its metadata are not numbers"))
}

fn strings(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let string = |value: &Value| match value {
        Value::Null => Some(String::new()),
        value => value.as_str().map(str::to_owned),
    };
    let strings = value.as_array().and_then(|all| all.iter().map(string).collect());
    strings.ok_or_else(|| format!("the {key} in its metadata are not strings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(metadata: &str) -> (Option<Vec<usize>>, AxisOrder) {
        let tensor = Tensor::parse(metadata).unwrap();
        (tensor.shape, tensor.order)
    }

    fn axes(height: usize, width: usize, channels: Option<usize>) -> DimensionOrder {
        DimensionOrder { height, width, channels }
    }

    #[test]
    fn names_and_permutations_say_which_dimension_is_which() {
        let hwc = axes(0, 1, Some(2));
        let chw = axes(1, 2, Some(0));
        for (metadata, expected) in [
            (r#"{"shape": [8, 9, 3]}"#, hwc),
            (r#"{"shape": [3, 8, 9]}"#, chw),
            (r#"{"shape": [3, 8, 4]}"#, hwc),
            (r#"{"shape": [3, 8, 4], "dim_names": ["C", "H", "W"]}"#, chw),
            (r#"{"shape": [8, 9, 3], "dim_names": ["rows", "cols", "band"], "permutation": null}"#, hwc),
            // Logical H, W, C of a physical C, H, W: the format's own kind of example.
            (r#"{"shape": [3, 8, 9], "permutation": [1, 2, 0]}"#, chw),
            // Logical C, H, W of a physical H, W, C.
            (r#"{"shape": [8, 9, 3], "permutation": [2, 0, 1]}"#, hwc),
            (r#"{"shape": [9, 8], "dim_names": ["W", "H"]}"#, axes(1, 0, None)),
            (r#"{"shape": [9, 8], "permutation": [1, 0]}"#, axes(1, 0, None)),
            // What PyArrow writes of a NumPy array of H, W, C in a memory order of C, H, W.
            (r#"{"shape": [3, 8, 9], "permutation": [2, 0, 1]}"#, chw),
            // Names that say nothing, and keys of later versions.
            (r#"{"shape": [8, 9], "dim_names": ["a", "b"], "more": {}}"#, axes(0, 1, None)),
        ] {
            let (shape, order) = parse(metadata);
            assert_eq!(order.axes(&shape.unwrap()), Ok(expected), "{metadata}");
        }
    }

    #[test]
    fn strides_are_named_only_where_pixels_must_move() {
        assert_eq!(axes(1, 2, Some(0)).strides(&[3, 8, 9]), Some([9, 1, 72]));
        assert_eq!(axes(0, 1, Some(2)).strides(&[8, 9, 3]), None);
        assert_eq!(axes(1, 2, Some(0)).strides(&[1, 8, 9]), None);
        assert_eq!(axes(1, 0, None).strides(&[9, 8]), Some([1, 8, 1]));
        assert_eq!(axes(1, 0, None).strides(&[9, 1]), None);
        assert_eq!(axes(1, 2, Some(0)).shape(&[3, 8, 9]).unwrap(), "8x9x3".parse().unwrap());
    }

    #[test]
    fn metadata_that_lies_is_refused() {
        for (metadata, why) in [
            ("{", "not JSON"),
            ("[1]", "not a JSON object"),
            (r#"{"shape": 3}"#, "the shape in its metadata are not numbers"),
            (r#"{"shape": [-1]}"#, "not numbers"),
            (r#"{"shape": [2, 2], "permutation": [0, 2]}"#, "its permutation [0, 2] is none"),
            (r#"{"shape": [2, 2], "permutation": [0, 0]}"#, "is none"),
            (r#"{"shape": [2, 2], "permutation": [0]}"#, "not as many as the dimensions"),
            (r#"{"shape": [2, 2], "dim_names": ["H"]}"#, "not as many as the dimensions"),
            (r#"{"shape": [2, 2], "dim_names": [1, 2]}"#, "not strings"),
        ] {
            let error = Tensor::parse(metadata).unwrap_err();
            assert!(error.contains(why), "{metadata}: {error}");
        }
        assert!(Tensor::parse(&"[".repeat(1000)).unwrap_err().contains("recursion limit"));
        assert!(Tensor::parse(&" ".repeat(100_000)).is_ok());
        assert!(Tensor::parse(&format!("{{{}}}", " ".repeat(100_000))).unwrap_err().contains("over 65536"));
        assert!(parse(r#"{"shape": [7, 8, 9]}"#).1.axes(&[7, 8, 9]).unwrap_err().contains("[7, 8, 9] is neither"));
        assert!(parse(r#"{"permutation": [0, 1]}"#).1.axes(&[7, 8, 3]).is_err());
        assert_eq!(parse("").1, AxisOrder::Open(None));
    }

    #[test]
    fn dafts_fixed_images_tell_their_shape() {
        let image = |of: &str| daft_fixed_image(&format!(r#"{{"datatype":{of},"daft_version":"0.7.26"}}"#));
        assert_eq!(image(r#"{"FixedShapeImage":["RGB16",2,3]}"#), Ok(Some("2x3x3".parse().unwrap())));
        assert_eq!(image(r#"{"FixedShapeImage":["L",2,3]}"#), Ok(Some("2x3".parse().unwrap())));
        assert_eq!(image(r#"{"FixedShapeImage":["RGBA32F",2,3]}"#), Ok(Some("2x3x4".parse().unwrap())));
        assert_eq!(image(r#"{"Image":"RGB"}"#), Ok(None));
        for lie in [r#"["RGB",2]"#, r#"["CMYK",2,3]"#, r#"["RGB",0,3]"#, r#"["RGB",-1,3]"#, r#"[1,2,3]"#, "7"] {
            assert!(image(&format!(r#"{{"FixedShapeImage":{lie}}}"#)).is_err(), "{lie}");
        }
    }
}
