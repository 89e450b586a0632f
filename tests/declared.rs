//! Where shape, pixel type, encoding and order are declared, no row decides anything about another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use arrow_array::{
    Array, ArrayRef, BinaryArray, ListArray, RecordBatch, RecordBatchReader, StructArray, UInt8Array, UInt32Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use pixelfeat::{
    Backend, DimensionOrder, Encoding, Engine, EngineOptions, FeatureSpec, Featurizer, ImageShape, PixelType, Result,
};

/// Batches of so many rows of a column; remembers whether they were asked for on the thread that made it.
struct Watched {
    column: ArrayRef,
    schema: SchemaRef,
    rows: usize,
    next: usize,
    maker: ThreadId,
    read_ahead: Arc<AtomicBool>,
}

impl Iterator for Watched {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if thread::current().id() == self.maker {
            self.read_ahead.store(true, Ordering::SeqCst);
        }
        let rows = self.rows.min(self.column.len() - self.next);
        let slice = self.column.slice(self.next, rows);
        self.next += rows;
        (rows > 0).then(|| RecordBatch::try_new(self.schema.clone(), vec![slice]))
    }
}

impl RecordBatchReader for Watched {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

fn featurizer(spec: FeatureSpec) -> Featurizer {
    Featurizer::new(Engine::new(EngineOptions::backend(Backend::Cpu)).unwrap(), spec)
}

/// The output of a run over batches of so many rows, and whether rows were read before the stream was there.
fn run(spec: FeatureSpec, column: &ArrayRef, rows: usize) -> Result<(RecordBatch, bool)> {
    let schema = Arc::new(Schema::new(vec![Field::new("image", column.data_type().clone(), true)]));
    let read_ahead = Arc::new(AtomicBool::new(false));
    let maker = thread::current().id();
    let reader = Watched { column: column.clone(), schema, rows, next: 0, maker, read_ahead: read_ahead.clone() };
    let stream = featurizer(spec).stream(reader)?;
    let schema = stream.schema();
    let batches: Vec<_> = stream.map(|batch| batch.unwrap()).collect();
    Ok((concat_batches(&schema, &batches).unwrap(), read_ahead.load(Ordering::SeqCst)))
}

fn list(values: ArrayRef, lengths: impl IntoIterator<Item = usize>) -> ListArray {
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, None)
}

fn pixels(count: usize) -> ArrayRef {
    Arc::new(UInt8Array::from_iter_values((0..count).map(|i| (i * 37 % 251) as u8)))
}

/// Structs of values and dimensions.
fn tensors(values: ArrayRef, dims: &[&[u32]]) -> ArrayRef {
    let lengths = dims.iter().map(|dims| dims.iter().product::<u32>() as usize);
    let data: ArrayRef = Arc::new(list(values, lengths));
    let all: Vec<u32> = dims.iter().flat_map(|dims| dims.iter().copied()).collect();
    let shape: ArrayRef = Arc::new(list(Arc::new(UInt32Array::from(all)), dims.iter().map(|dims| dims.len())));
    let fields = [("data", data), ("shape", shape)];
    let fields = fields.map(|(name, column)| (Arc::new(Field::new(name, column.data_type().clone(), true)), column));
    Arc::new(StructArray::from(fields.to_vec()))
}

fn shape(text: &str) -> ImageShape {
    text.parse().unwrap()
}

fn spec(of: &str, encoding: Encoding, order: DimensionOrder) -> FeatureSpec {
    FeatureSpec::new(shape(of)).with_pixel_type(PixelType::U8).with_encoding(encoding).with_order(order)
}

#[test]
fn nothing_is_read_ahead_and_batches_do_not_matter() {
    // The first rows look otherwise: they begin as PNG files do, or have the channels last.
    let png = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', 1];
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&png[..], &png[..8], b"123456789", b"1"]));
    let dims: &[&[u32]] = &[&[4, 5, 3], &[3, 4, 5], &[3, 4, 5], &[4, 5]];
    let stored = tensors(pixels(200), dims);
    for (column, spec, valid) in [
        (bytes, spec("3x3", Encoding::Raw, DimensionOrder::HW), [true, false, true, false]),
        (stored, spec("4x5x3", Encoding::Raw, DimensionOrder::CHW), [false, true, true, false]),
    ] {
        let (whole, ahead) = run(spec.clone(), &column, 100).unwrap();
        assert!(!ahead, "{spec:?}");
        let found: Vec<bool> = (0..4).map(|row| whole.column(0).is_valid(row)).collect();
        assert_eq!(found, valid, "{spec:?}");
        let (single, ahead) = run(spec.clone(), &column, 1).unwrap();
        assert!(!ahead, "{spec:?}");
        assert_eq!(single, whole);
        // Without a word on encoding and order, rows are read.
        let open = spec.clone().with_encoding(None).with_order(None);
        assert!(run(open, &column, 1).unwrap().1, "{spec:?}");
    }
}

#[cfg(feature = "image")]
#[test]
fn encoded_images_can_be_declared() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images");
    let png = std::fs::read(folder.join("rgb.png")).unwrap();
    let column: ArrayRef = Arc::new(BinaryArray::from(vec![&b"123"[..], b"456", &png]));
    let spec = spec("5x7x3", Encoding::Encoded, DimensionOrder::HWC);
    let (whole, ahead) = run(spec.clone(), &column, 100).unwrap();
    assert!(!ahead);
    assert_eq!((0..3).map(|row| whole.column(0).is_valid(row)).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(run(spec, &column, 1).unwrap().0, whole);
}

#[test]
fn flat_lists_can_have_any_order() {
    // The same image, its channels side by side and one after another.
    let interleaved: Vec<u8> = (0..60).map(|i| (i * 37 % 251) as u8).collect();
    let planes: Vec<u8> = (0..60).map(|i| interleaved[i % 20 * 3 + i / 20]).collect();
    let turned: Vec<u8> = (0..60).map(|i| interleaved[(i / 3 % 4 * 5 + i / 12) * 3 + i % 3]).collect();
    let features = |values: &[u8], order: DimensionOrder| {
        let images: ArrayRef = Arc::new(list(Arc::new(UInt8Array::from(values.to_vec())), [60]));
        featurizer(spec("4x5x3", Encoding::Raw, order)).featurize(&images).unwrap().list().clone()
    };
    let expected = features(&interleaved, DimensionOrder::HWC);
    assert_eq!(features(&planes, DimensionOrder::CHW), expected);
    assert_eq!(features(&turned, "whc".parse().unwrap()), expected);
    assert_ne!(features(&planes, DimensionOrder::HWC), expected);
}

#[test]
fn what_contradicts_the_column_is_refused() {
    let flat: ArrayRef = Arc::new(list(pixels(12), [12]));
    let rows: ArrayRef = Arc::new(list(pixels(12), [4, 4, 4]));
    let nested: ArrayRef = Arc::new(list(rows, [3]));
    for (column, spec, why) in [
        (&flat, spec("2x2x3", Encoding::Raw, DimensionOrder::HW), "2x2x3 has channels, the order hw none"),
        (&nested, spec("3x4", Encoding::Raw, "wh".parse().unwrap()), "its images are H×W or H×W×C"),
        #[cfg(feature = "image")]
        (&flat, spec("3x4", Encoding::Encoded, DimensionOrder::HW), "encoded images were declared"),
        #[cfg(not(feature = "image"))]
        (&flat, spec("3x4", Encoding::Encoded, DimensionOrder::HW), "no feature `image`"),
    ] {
        let error = run(spec, column, 1).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn texts_and_values_agree() {
    for text in ["hw", "wh", "hwc", "chw", "whc", "cwh", "hcw", "wch"] {
        assert_eq!(text.parse::<DimensionOrder>().unwrap().to_string(), text);
    }
    assert_eq!("chw".parse::<DimensionOrder>().unwrap(), DimensionOrder::CHW);
    assert_eq!("HWC".parse::<DimensionOrder>().unwrap(), DimensionOrder::HWC);
    for text in ["", "h", "hh", "hwx", "hwcc", "xy", "hxc"] {
        assert!(text.parse::<DimensionOrder>().is_err(), "{text}");
    }
    for encoding in [Encoding::Raw, Encoding::Encoded] {
        assert_eq!(encoding.to_string().parse::<Encoding>().unwrap(), encoding);
    }
    assert!("png".parse::<Encoding>().is_err());
}
