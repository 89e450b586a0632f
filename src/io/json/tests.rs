use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int64Type, UInt8Type, UInt16Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::*;
use crate::base::reason::Reason;
use crate::images::defect::{Defect, take_defects};
use crate::io::options::LateMembers;

const FINE: Tuning = Tuning { smallest: 16, first: 16, largest: 64, longest: 1 << 20 };

/// What came out of an input, its batches put together.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    batches: Vec<usize>,
    columns: Vec<ArrayRef>,
    /// With the row in the whole input.
    pub(super) defects: Vec<Defect>,
    pub(super) error: Option<String>,
}

impl Read {
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().sum()
    }

    /// Each image's pixels in order, whatever their nesting.
    pub(super) fn pixels<A: ArrowPrimitiveType>(&self) -> Vec<Option<Vec<A::Native>>> {
        fn flat<A: ArrowPrimitiveType>(array: &ArrayRef, out: &mut Vec<A::Native>) {
            match array.as_list_opt::<i32>() {
                Some(lists) => (0..lists.len()).for_each(|i| flat::<A>(&lists.value(i), out)),
                None => out.extend_from_slice(array.as_primitive::<A>().values()),
            }
        }
        let Some(images) = self.columns.first() else { return Vec::new() };
        let images = images.as_list::<i32>();
        let one = |row| {
            let mut pixels = Vec::new();
            flat::<A>(&images.value(row), &mut pixels);
            pixels
        };
        (0..images.len()).map(|row| images.is_valid(row).then(|| one(row))).collect()
    }

    fn u8s(&self) -> Vec<Option<Vec<u8>>> {
        self.pixels::<UInt8Type>()
    }
}

pub(super) fn options(pixel_type: PixelType) -> ReadOptions {
    ReadOptions { pixel_type: Some(pixel_type), threads: 2, ..ReadOptions::default() }
}

pub(super) fn keeping() -> ReadOptions {
    ReadOptions { keep_broken_lines: true, ..options(PixelType::U8) }
}

fn collect(reader: JsonReader) -> Read {
    let schema = reader.schema();
    let mut read = Read { batches: Vec::new(), columns: Vec::new(), defects: Vec::new(), error: None };
    let mut parts: Vec<Vec<ArrayRef>> = Vec::new();
    let mut reader = reader;
    while let Some(batch) = reader.next() {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                read.error = Some(Error::from(error).to_string());
                assert!(reader.next().is_none(), "an error is the last thing");
                break;
            }
        };
        assert_eq!(batch.schema(), schema);
        let before = read.rows();
        read.batches.push(batch.num_rows());
        let (rest, defects) = take_defects(batch, "image");
        read.defects.extend(defects.into_iter().map(|d| Defect { row: d.row + before, ..d }));
        parts.push(rest.columns().to_vec());
    }
    // The image column first, for the tests' convenience.
    let image = schema.index_of("image").unwrap();
    let width = parts.first().map_or(0, Vec::len);
    let mut order: Vec<usize> = (0..width).collect();
    if width > 0 {
        order.remove(image);
        order.insert(0, image);
    }
    for column in order {
        let arrays: Vec<&dyn Array> = parts.iter().map(|columns| columns[column].as_ref()).collect();
        read.columns.push(arrow_select::concat::concat(&arrays).unwrap());
    }
    read
}

fn open_bytes(bytes: &[u8], options: &ReadOptions, tuning: Tuning) -> Result<JsonReader> {
    open_with(Box::new(std::io::Cursor::new(bytes.to_vec())), "in.json", options, &Warnings::default(), tuning)
}

fn read_by(text: &[u8], options: &ReadOptions, tuning: Tuning) -> Read {
    open_bytes(text, options, tuning).map(collect).unwrap_or_else(|error| Read {
        batches: Vec::new(),
        columns: Vec::new(),
        defects: Vec::new(),
        error: Some(error.to_string()),
    })
}

/// Reads in one block and in many, which must come to the same but for what an error cuts off.
pub(super) fn read_with(text: impl AsRef<[u8]>, options: &ReadOptions) -> Read {
    let whole = read_by(text.as_ref(), options, Tuning::default());
    let fine = read_by(text.as_ref(), options, FINE);
    assert_eq!(whole.error, fine.error);
    if whole.error.is_none() {
        assert_eq!((&whole.columns, &whole.defects), (&fine.columns, &fine.defects));
    }
    whole
}

fn read(text: impl AsRef<[u8]>) -> Read {
    let read = read_with(text, &options(PixelType::U8));
    assert_eq!(read.error, None);
    read
}

fn error_of(text: impl AsRef<[u8]>) -> String {
    read_with(text, &options(PixelType::U8)).error.expect("an error")
}

/// The reason, detail, wider type and raw text of the one defect of `{"image": value}` after a sound row.
fn defect_of(value: &str, pixel_type: PixelType) -> (Reason, String, Option<PixelType>, Option<String>) {
    let text = format!("{{\"image\": [1, 2], \"label\": 1}}\n{{\"image\": {value}, \"label\": 2}}\n");
    let read = read_with(&text, &options(pixel_type));
    assert_eq!((read.rows(), &read.error), (2, &None), "{value}");
    assert_eq!(read.columns[1].as_primitive::<Int64Type>().values(), &[1, 2], "the other columns are there");
    assert!(read.columns[0].is_null(1) && read.columns[0].is_valid(0));
    let [defect] = &read.defects[..] else { panic!("{value}: {:?}", read.defects) };
    assert_eq!((defect.row, defect.line), (1, Some(2)));
    (defect.reason, defect.detail.clone(), defect.fits, defect.raw.clone())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn lines(rows: usize) -> String {
    (0..rows).map(|i| format!("{{\"image\": [{}, {}, 255], \"label\": {i}}}\n", i % 256, i / 256)).collect()
}

#[test]
fn columns_keep_the_order_of_keys() {
    let text = "{\"id\": \"a\", \"image\": [1, 2], \"label\": 7}\n{\"image\": [3,4], \"score\": 0.5, \"id\": null}";
    let reader = open_bytes(text.as_bytes(), &options(PixelType::U16), Tuning::default()).unwrap();
    let schema = reader.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["id", "image", "label", "score", "image.defect"]);
    let types: Vec<&DataType> = schema.fields().iter().map(|f| f.data_type()).take(4).collect();
    assert_eq!(types, [&DataType::Utf8, &pixels::column_type(PixelType::U16, 1), &DataType::Int64, &DataType::Float64]);
    let read = collect(reader);
    assert_eq!(read.pixels::<UInt16Type>(), [Some(vec![1, 2]), Some(vec![3, 4])]);
    assert_eq!(read.columns[1].as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None]);
    assert_eq!(read.columns[3].as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [None, Some(0.5)]);
}

#[test]
fn images_nest_to_three_levels() {
    let rows = "{\"image\": [[1, 2], [3, 4]]}\n{\"image\": []}\n{\"image\": [[5], []]}\n{\"image\": [7]}\n";
    let found = read(rows);
    assert_eq!(found.columns[0].data_type(), &pixels::column_type(PixelType::U8, 2));
    assert_eq!(found.u8s(), [Some(vec![1, 2, 3, 4]), Some(vec![]), Some(vec![5]), None]);
    let ragged = found.columns[0].as_list::<i32>().value(2);
    assert_eq!(ragged.as_list::<i32>().value_length(0), 1);
    assert_eq!(found.defects[0].detail, "row 0 is a number, not an array");

    let found = read("{\"image\": [ [ [1,2,3] , [4,5,6] ] , [ [7,8,9],\t[ 10 , 11,12]]\r]}");
    assert_eq!(found.columns[0].data_type(), &pixels::column_type(PixelType::U8, 3));
    assert_eq!(found.u8s(), [Some((1..=12).collect())]);
}

#[test]
fn the_most_common_nesting_wins_and_the_others_are_defects() {
    let found = read("{\"image\": [[1]]}\n{\"image\": [2]}\n{\"image\": [3]}\n{\"image\": \"x\"}\n");
    assert_eq!(found.u8s(), [None, Some(vec![2]), Some(vec![3]), None]);
    let details: Vec<&str> = found.defects.iter().map(|d| d.detail.as_str()).collect();
    assert_eq!(details, ["pixel 0 is an array", "a string"]);
    let even = read("{\"image\": [[1]]}\n{\"image\": [2]}\n");
    assert_eq!(even.u8s(), [None, Some(vec![2])]);
    let none = read("{\"image\": [[]]}\n{\"image\": [[[[1]]]]}\n{\"image\": []}\n");
    assert_eq!(none.u8s(), [None, None, Some(vec![])]);
}

#[test]
fn numbers_may_be_written_in_any_way() {
    let found = read("{\"image\": [ -0, 1e2,2.55e2 ,3.0\t,\r0.0, -0.0,  7,10e-1, 255,0e9, 0]}");
    assert_eq!(found.u8s(), [Some(vec![0, 100, 255, 3, 0, 0, 7, 1, 255, 0, 0])]);
    for (text, len) in [("[]", 0), ("[ ]", 0), ("[0]", 1), ("[ 9 ]", 1), ("[0,0]", 2), ("[00]", usize::MAX)] {
        let line = format!("{{\"image\":{text}}}");
        if len == usize::MAX {
            assert!(error_of(line).contains("leading zero"));
        } else {
            assert_eq!(read(line).u8s()[0].as_ref().unwrap().len(), len);
        }
    }
    let floats =
        read_with("{\"image\": [0.1, 1e-50, -0, 16777217, 3.4028235e38, 123456789, 0]}", &options(PixelType::F32));
    let found = floats.pixels::<Float32Type>()[0].clone().unwrap();
    assert_eq!(found, [0.1, 0.0, -0.0, 16_777_216.0, f32::MAX, 123_456_792.0, 0.0]);
    assert!(found[2].is_sign_negative());
    let wide = read_with(
        "{\"image\": [65535, 0, 256, 1000, 99999e0, 1]}\n{\"image\": [65535, 9, 65535]}",
        &options(PixelType::U16),
    );
    assert_eq!(wide.pixels::<UInt16Type>(), [None, Some(vec![65_535, 9, 65_535])]);
}

#[test]
fn long_runs_of_every_width_survive_the_fast_lane() {
    let mut rng = 7u32;
    for (comma, close) in [(", ", "]"), (",", "]"), (",\n", "\n]"), (" , ", " ]")] {
        for len in (0..40).chain([255, 784]) {
            let pixels: Vec<u8> = (0..len)
                .map(|_| {
                    rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    match rng >> 30 {
                        0 | 1 => 0,
                        2 => (rng >> 20) as u8 % 100,
                        _ => (rng >> 20) as u8,
                    }
                })
                .collect();
            let text: Vec<String> = pixels.iter().map(u8::to_string).collect();
            let found = read(format!("[{{\"image\":[{}{close}}}]", text.join(comma)));
            assert_eq!(found.u8s(), [Some(pixels)], "{comma:?}");
        }
    }
}

#[test]
fn values_that_are_no_images_are_defects() {
    use PixelType::{F32, U8, U16};
    let check = |value: &str, pixel_type, reason, detail: &str, fits| {
        let raw = Some(value.to_owned());
        assert_eq!(defect_of(value, pixel_type), (reason, detail.to_owned(), fits, raw), "{value}");
    };
    check("null", U8, Reason::NullImage, "null", None);
    check("\"[1, 2]\"", U8, Reason::Unparsable, "a string", None);
    check("true", U8, Reason::Unparsable, "a boolean", None);
    check("{\"a\": [1]}", U8, Reason::Unparsable, "an object", None);
    check("12", U8, Reason::Unparsable, "a number", None);
    check("[1, \"2\"]", U8, Reason::Unparsable, "pixel 1 is a string", None);
    check("[1, false]", U8, Reason::Unparsable, "pixel 1 is a boolean", None);
    check("[1, {}]", U8, Reason::Unparsable, "pixel 1 is an object", None);
    check("[[1, 2]]", U8, Reason::Unparsable, "pixel 0 is an array", None);
    check("[1, [2]]", U8, Reason::Unparsable, "pixel 1 is an array", None);
    check("[0, 1, 2, 3, 4, null, 300]", U8, Reason::NullPixel, "pixel 5 is null", None);
    check("[0, 1, 2, 256]", U8, Reason::OutOfRange, "pixel 3 is 256", Some(U16));
    check("[0, 1, 2, 256, 65536]", U8, Reason::OutOfRange, "pixel 3 is 256", Some(F32));
    check("[256, null]", U8, Reason::OutOfRange, "pixel 0 is 256", None);
    check("[256, 1e300]", U8, Reason::OutOfRange, "pixel 0 is 256", None);
    check("[-1]", U8, Reason::OutOfRange, "pixel 0 is -1", Some(F32));
    check("[65536]", U16, Reason::OutOfRange, "pixel 0 is 65536", Some(F32));
    check("[7, 3.5]", U8, Reason::NotAnInteger, "pixel 1 is 3.5", Some(F32));
    check("[7, 3.5]", U16, Reason::NotAnInteger, "pixel 1 is 3.5", Some(F32));
    check("[1e400]", U8, Reason::NotFinite, "pixel 0 is 1e400", None);
    check("[1, -1e400]", F32, Reason::NotFinite, "pixel 1 is -1e400", None);
    check("[1e39]", F32, Reason::OutOfRange, "pixel 0 is 1e39", None);
    check("[4294967296]", U8, Reason::OutOfRange, "pixel 0 is 4294967296", Some(F32));
    check("[9999999999999999999999]", U8, Reason::OutOfRange, "pixel 0 is 9999999999999999999999", Some(F32));
    let long = "9".repeat(1000);
    let (reason, detail, ..) = defect_of(&format!("[{long}]"), U8);
    assert_eq!((reason, detail), (Reason::NotFinite, format!("pixel 0 is {}… (1000 bytes)", "9".repeat(40))));
}

#[test]
fn nested_images_say_which_row_is_null() {
    let found = read("{\"image\": [[1], [2]]}\n{\"image\": [[1], null]}\n{\"image\": [[1], [2, null]]}\n");
    let details: Vec<(Reason, &str)> = found.defects.iter().map(|d| (d.reason, d.detail.as_str())).collect();
    assert_eq!(details, [(Reason::NullPixel, "row 1 is null"), (Reason::NullPixel, "pixel 2 is null")]);
    let found = read("{\"image\": [[[1]]]}\n{\"image\": [[[1]], [[2], null]]}\n{\"image\": [[[1]], [[2], 3]]}\n");
    let details: Vec<&str> = found.defects.iter().map(|d| d.detail.as_str()).collect();
    assert_eq!(details, ["row 1, column 1 is null", "row 1, column 1 is a number, not an array"]);
    assert_eq!(found.u8s(), [Some(vec![1]), None, None]);
}

#[test]
fn a_missing_key_is_a_defect() {
    let found = read("{\"image\": [1], \"label\": 1}\n\n{\"label\": 2}\n{}\n");
    assert_eq!(found.rows(), 3);
    for (defect, (row, line)) in found.defects.iter().zip([(1, 3), (2, 4)]) {
        let expected = Defect { line: Some(line), ..Defect::new(row, Reason::NullImage, "the key is missing") };
        assert_eq!(*defect, expected);
    }
}

#[test]
fn keys_are_found_whatever_surrounds_them() {
    let text = concat!(
        "{\"a\\\"]}\":\"[1,{\", \"image\":[1,2]}\n",
        "{\"im\\u0061ge\" : [3]}\n",
        "{\"a\\\"]}\": \"\\\\\", \"image\":[4]}\n",
        "{\"image\":[9], \"a\\\"]}\": \"image\", \"image\":[5,6]}\n",
        "{\"image\":[300], \"image\":[7]}\n",
        "{\"image\":[8], \"image\":null}\n",
    );
    let found = read(text);
    assert_eq!(found.u8s(), [Some(vec![1, 2]), Some(vec![3]), Some(vec![4]), Some(vec![5, 6]), Some(vec![7]), None]);
    assert_eq!(found.defects.len(), 1);
    let texts: Vec<Option<&str>> = found.columns[1].as_string::<i32>().iter().collect();
    assert_eq!(texts, [Some("[1,{"), None, Some("\\"), Some("image"), None, None]);
    let nested =
        read("{\"meta\": {\"image\": [9, {\"b\": \"}\"}]}, \"image\": [1]}\n".replace("9, {\"b\": \"}\"}", "9"));
    assert_eq!(nested.u8s(), [Some(vec![1])]);
}

#[test]
fn blank_lines_line_ends_and_a_byte_order_mark_are_passed_over() {
    let text = "\u{feff}\r\n{\"image\": [1]}\r\n \t\r\n\n{\"image\": [2]}  \r\n{\"image\": [\"x\"]}";
    let found = read(text);
    assert_eq!(found.u8s(), [Some(vec![1]), Some(vec![2]), None]);
    assert_eq!(found.defects[0].line, Some(6));
    assert_eq!(read("   {\"image\": [1]}\n\n\n   \n").u8s(), [Some(vec![1])]);
}

#[test]
fn arrays_are_read_as_lines_are() {
    let text = "\u{feff} [\n  {\n    \"image\": [\n      1,\n      2\n    ],\n    \"label\": \"]\\\",{\"\n  },\n  {\"image\": \"x\", \"label\": \"b\"} ,{\"image\":[3],\"label\":\"c\"}\n]\n";
    let found = read(text);
    assert_eq!(found.u8s(), [Some(vec![1, 2]), None, Some(vec![3])]);
    assert_eq!((found.defects[0].row, found.defects[0].line), (1, Some(9)));
    let labels: Vec<Option<&str>> = found.columns[1].as_string::<i32>().iter().collect();
    assert_eq!(labels, [Some("]\",{"), Some("b"), Some("c")]);
    assert_eq!(read("[]").rows(), 0);
    assert_eq!(read(" [ \n ] \n ").rows(), 0);
    let many: Vec<String> = lines(300).lines().map(str::to_owned).collect();
    assert_eq!(read(format!("[{}]", many.join(", "))).columns, read(lines(300)).columns);
}

#[test]
fn faults_in_arrays_are_found_where_they_are() {
    let at = |text: &str| error_of(text);
    assert_eq!(
        at("[{\"image\": [1]},]"),
        "in.json: line 1, column 17: expected an object, found the end"
            .replace("expected an object, found the end", "the text ends where an object should be")
    );
    assert_eq!(at("[,{\"image\": [1]}]"), "in.json: line 1, column 2: expected an object, found `,`");
    assert_eq!(at("[{\"image\": [1]},,{\"image\": [1]}]"), "in.json: line 1, column 17: expected an object, found `,`");
    assert_eq!(
        at("[{\"image\": [1]}\n {\"image\": [1]}]"),
        "in.json: line 2, column 2: expected `,` or `]`, found `{`"
    );
    assert_eq!(at("[{\"image\": [1]},\n7]"), "in.json: line 2, column 1: expected an object, found `7`");
    assert_eq!(at("[{\"image\": [1]}"), "in.json: line 1, column 16: the input ends before the array does");
    assert_eq!(at("[{\"image\": [1]}]\n]"), "in.json: line 2, column 1: something follows the array");
    assert_eq!(at("[{\"image\": [1}]\n]"), "in.json: line 1, column 14: `}` closes what it did not open");

    let text = "[{\"image\": [1], \"a\": 1},\n {\"image\": [01], \"a\": \",]\"}, 7,\n{\"image\": [2]}]";
    let found = read_with(text, &keeping());
    assert_eq!(found.u8s(), [Some(vec![1]), None, None, Some(vec![2])]);
    let seen: Vec<(Option<u64>, Option<&str>)> = found.defects.iter().map(|d| (d.line, d.raw.as_deref())).collect();
    assert_eq!(seen, [(Some(2), Some("{\"image\": [01], \"a\": \",]\"}")), (Some(2), Some("7"))]);
}

#[test]
fn compressed_inputs_are_recognised() {
    let text = lines(2000);
    let plain = read(&text);
    let half = text.len() / 2;
    let members = [gzip(&text.as_bytes()[..half]), gzip(b""), gzip(&text.as_bytes()[half..])].concat();
    let frames = [
        zstd::encode_all(&text.as_bytes()[..half], 1).unwrap(),
        zstd::encode_all(&text.as_bytes()[half..], 1).unwrap(),
    ]
    .concat();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9], &frames[..]].concat();
    for bytes in [gzip(text.as_bytes()), members, frames, skippable] {
        assert_eq!(read(bytes).columns, plain.columns);
    }
    assert_eq!(read(gzip(b"")).rows(), 0);
}

#[test]
fn damaged_compression_is_never_silently_short() {
    let text = lines(300);
    let members = [gzip(&text.as_bytes()[..2000]), gzip(&text.as_bytes()[2000..])].concat();
    let first = gzip(&text.as_bytes()[..2000]).len();
    let frames = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (bytes, format, whole) in [(&members, "gzip", Some(first)), (&frames, "zstd", None)] {
        for len in (4..bytes.len()).filter(|&len| Some(len) != whole) {
            let error = error_of(&bytes[..len]);
            assert_eq!(error, format!("in.json: the {format} data ends early"), "{len} bytes");
        }
    }
    let mut flipped = gzip(text.as_bytes());
    let at = flipped.len() - 6;
    flipped[at] ^= 1;
    let error = error_of(&flipped);
    assert!(error.starts_with("in.json: the gzip data is damaged: "), "{error}");
    let garbage = [gzip(text.as_bytes()), b"not gzip, not at all".to_vec()].concat();
    let error = error_of(&garbage);
    assert!(error.starts_with("in.json: the gzip data is damaged: "), "{error}");
}

#[test]
fn a_stream_that_fails_is_an_error_after_what_came_before() {
    struct Failing(std::io::Cursor<Vec<u8>>);
    impl std::io::Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::Error::other("the disk is gone")),
                read => Ok(read),
            }
        }
    }
    for bytes in [lines(100).into_bytes(), gzip(lines(100).as_bytes())[..200].to_vec()] {
        let input = Box::new(Failing(std::io::Cursor::new(bytes)));
        let error = match open_with(input, "in.json", &options(PixelType::U8), &Warnings::default(), FINE) {
            Ok(reader) => collect(reader).error.unwrap(),
            Err(error) => error.to_string(),
        };
        assert_eq!(error, "cannot read in.json: the disk is gone");
    }
}

#[test]
fn broken_grammar_is_an_error_with_its_place() {
    let good = "{\"image\": [1], \"a\": 1}\n\n";
    for (line, column, message) in [
        ("{\"image\": [01]}", 13, "a number has a leading zero"),
        ("{\"image\": [1.]}", 14, "expected a digit, found `]`"),
        ("{\"image\": [.5]}", 12, "expected a value, found `.`"),
        ("{\"image\": [+1]}", 12, "expected a value, found `+`"),
        ("{\"image\": [1e]}", 14, "expected a digit, found `]`"),
        ("{\"image\": [-]}", 13, "expected a digit, found `]`"),
        ("{\"image\": [1,]}", 14, "expected a value, found `]`"),
        ("{\"image\": [1 2]}", 14, "expected `,` or `]`, found `2`"),
        ("{\"image\": [NaN]}", 12, "expected a value, found `N`"),
        ("{\"image\": [Infinity]}", 12, "expected a value, found `I`"),
        ("{\"image\": [nul]}", 12, "expected a value, found what is not quite `null`"),
        ("{\"image\": [1]", 14, "the text ends where `,` or `}` should be"),
        ("{\"image\": [1", 13, "the text ends where `,` or `]` should be"),
        ("{\"image\": [1],}", 15, "expected a key, found `}`"),
        ("{\"image\" [1]}", 10, "expected `:`, found `[`"),
        ("{\"image\": [1]} x", 16, "expected the end of the line, found `x`"),
        ("{\"image\": [1]}{\"image\": [1]}", 15, "expected the end of the line, found `{`"),
        ("  7", 3, "expected an object, found `7`"),
        ("{\"a\": 01}", 8, "a number has a leading zero"),
        ("{\"a\": [1, 2,]}", 13, "expected a value, found `]`"),
        ("{\"a\": \"\\x\"}", 9, "expected an escape, found `x`"),
        ("{\"a\": \"\\ud800\"}", 8, "half a surrogate pair is escaped"),
        ("{\"a\": \"\\udc00\"}", 8, "half a surrogate pair is escaped"),
        ("{\"a\": \"\\u12g4\"}", 12, "expected a hexadecimal digit, found `g`"),
        ("{\"a\": \"\t\"}", 8, "expected no control character in a string, found byte 0x09"),
        ("{\"a\": \"b}", 10, "the text ends where the end of a string should be"),
        ("{\"image\": [1], \"image\": [2,]}", 28, "expected a value, found `]`"),
        ("{\"image\": [\"x\", 01]}", 18, "a number has a leading zero"),
    ] {
        let text = format!("{good}{line}\n{good}");
        assert_eq!(error_of(&text), format!("in.json: line 3, column {column}: {message}"), "{line}");
        let kept = read_with(&text, &keeping());
        assert_eq!((kept.rows(), kept.error), (3, None));
        let [defect] = &kept.defects[..] else { panic!("{:?}", kept.defects) };
        assert_eq!((defect.row, defect.reason, defect.line), (1, Reason::BrokenLine, Some(3)));
        assert_eq!((defect.detail.as_str(), defect.raw.as_deref()), (message, Some(line.trim_start())));
        assert_eq!(kept.columns[1].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, Some(1)]);
    }
    let deep = format!("{good}{{\"a\": {}{}}}\n", "[".repeat(200), "]".repeat(200));
    assert_eq!(error_of(&deep), "in.json: line 3, column 133: more than 127 arrays and objects lie in one another");
}

#[test]
fn strings_must_be_utf8() {
    let bytes = b"{\"image\": [1], \"a\": \"x\"}\n{\"image\": [1], \"a\": \"x\xff\"}\n";
    assert_eq!(error_of(bytes), "in.json: line 2, column 23: a string is not UTF-8");
    let kept = read_with(bytes, &keeping());
    assert_eq!(kept.defects[0].raw.as_deref(), Some("{\"image\": [1], \"a\": \"x\u{fffd}\"}"));
    let image = b"{\"image\": [1]}\n{\"image\": [\"\xc3\"]}\n";
    assert_eq!(error_of(image), "in.json: line 2, column 13: a string is not UTF-8");
}

/// Sound rows enough to fill the sample, so that what follows is not looked at for the columns.
fn beyond_the_sample(rows: &str) -> String {
    lines(1200) + rows
}

#[test]
fn columns_and_types_that_come_later_break_their_line() {
    let sound = "{\"image\": [9], \"label\": 9}\n";
    for (line, message) in [
        ("{\"image\": [1], \"other\": 1}", "column 'other' missing from schema"),
        ("{\"image\": [1], \"label\": \"x\"}", "whilst decoding field 'label': failed to parse \"x\" as Int64"),
        ("{\"image\": [1], \"label\": {}}", "whilst decoding field 'label': expected primitive got {}"),
        ("{\"image\": [1], \"label\": 3.5}", "3.5 in a column of integers"),
        ("{\"image\": [1], \"label\": 1e17}", "100000000000000000 in a column of integers"),
    ] {
        let text = beyond_the_sample(&format!("\n{sound}{line}\r\n{sound}"));
        for tuning in [FINE, Tuning { first: 5000, largest: 9000, ..FINE }] {
            let error = read_by(text.as_bytes(), &options(PixelType::U8), tuning).error;
            assert_eq!(error, Some(format!("in.json: line 1203, column 1: {message}")));
        }
        let kept = read_by(text.as_bytes(), &keeping(), Tuning { first: 5000, largest: 9000, ..FINE });
        assert_eq!((kept.rows(), &kept.error), (1203, &None));
        let expected =
            Defect { line: Some(1203), raw: Some(line.to_owned()), ..Defect::new(1201, Reason::BrokenLine, message) };
        assert_eq!(kept.defects, [expected]);
        let labels = kept.columns[1].as_primitive::<Int64Type>();
        assert!(labels.is_null(1201) && labels.null_count() == 1);
        assert_eq!(kept.u8s()[1200..], [Some(vec![9]), None, Some(vec![9])]);
    }
    let text = beyond_the_sample("{\"image\": [1], \"label\": 3.0}\n{\"image\": [1], \"label\": 1e3}\n");
    let exact = read_by(text.as_bytes(), &options(PixelType::U8), FINE);
    assert_eq!(exact.columns[1].as_primitive::<Int64Type>().values()[1200..], [3, 1000]);
}

/// The texts of a string column.
fn texts(column: &ArrayRef) -> Vec<Option<&str>> {
    column.as_string::<i32>().iter().collect()
}

#[test]
fn columns_without_a_common_type_hold_json_text() {
    let rows = [
        r#"{"image": [1], "none": {}, "list": [1, "a"], "either": {"a": 1}, "huge": 18446744073709551616, "label": 1}"#,
        r#"{"image": [2], "none": {}, "list": [ ], "either": 7, "huge": -1e400, "deep": {"x": {}}, "label": 2}"#,
        r#"{"image": [3], "either": null, "huge": 9223372036854775808, "day": "2026-11-21", "list": ["\u00e9"]}"#,
    ];
    for text in [rows.join("\n"), format!("[{}]", rows.join(","))] {
        let warnings = Warnings::default();
        let input = Box::new(std::io::Cursor::new(text.into_bytes()));
        let found = collect(open_with(input, "in.json", &options(PixelType::U8), &warnings, FINE).unwrap());
        assert_eq!((&found.error, found.u8s()), (&None, vec![Some(vec![1]), Some(vec![2]), Some(vec![3])]));
        let [_, none, list, either, huge, label, deep, day] = &found.columns[..] else { panic!("{found:?}") };
        assert_eq!(texts(none), [Some("{}"), Some("{}"), None]);
        assert_eq!(texts(list), [Some(r#"[1, "a"]"#), Some("[ ]"), Some(r#"["\u00e9"]"#)]);
        assert_eq!(texts(either), [Some(r#"{"a": 1}"#), Some("7"), None]);
        assert_eq!(texts(huge), [Some("18446744073709551616"), Some("-1e400"), Some("9223372036854775808")]);
        assert_eq!(texts(deep), [None, Some(r#"{"x": {}}"#), None]);
        assert_eq!(texts(day), [None, None, Some("2026-11-21")]);
        assert_eq!(label.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), Some(2), None]);
        let named =
            |key: &str| format!("column `{key}` holds JSON text, since its values have no Arrow type in common");
        assert_eq!(warnings.all(), ["deep", "either", "huge", "list", "none"].map(named));
    }
}

#[test]
fn numbers_that_a_column_would_round_make_it_text() {
    let found = read("{\"image\": [1], \"a\": 0.5}\n{\"image\": [2], \"a\": 9007199254740993}\n");
    assert_eq!(texts(&found.columns[1]), [Some("0.5"), Some("9007199254740993")]);
    let exact = read("{\"image\": [1], \"a\": 0.5}\n{\"image\": [2], \"a\": 9007199254740992}\n");
    assert_eq!(exact.columns[1].as_primitive::<Float64Type>().values(), &[0.5, 9_007_199_254_740_992.0]);
}

#[test]
fn late_members_go_into_the_rest_if_asked() {
    let sound = "{\"image\": [9], \"label\": 9}\n";
    for (line, rest, label, warning) in [
        ("\"label\": 1, \"other\": {\"a\": 1}", Some("{\"other\": {\"a\": 1}}"), Some(1), "key `other` is not in"),
        ("\"label\": \"x\"", Some("{\"label\": \"x\"}"), None, "column `label` cannot hold some"),
        ("\"label\": {}, \"b\": 2", Some("{\"b\": 2,\"label\": {}}"), None, "column `label` cannot hold some"),
        ("\"label\": 3.5", Some("{\"label\": 3.5}"), None, "column `label` cannot hold some"),
        ("\"label\": 1e400", Some("{\"label\": 1e400}"), None, "column `label` cannot hold some"),
        ("\"label\": 99999999999999999999", Some("{\"label\": 99999999999999999999}"), None, "column `label`"),
        ("\"label\": 3.0", None, Some(3), ""),
    ] {
        let text = beyond_the_sample(&format!("{sound}{{\"image\": [1], {line}}}\n{sound}"));
        for tuning in [FINE, Tuning { first: 5000, largest: 9000, ..FINE }] {
            let options = ReadOptions { late_members: LateMembers::Rest, ..options(PixelType::U8) };
            let warnings = Warnings::default();
            let input = Box::new(std::io::Cursor::new(text.clone().into_bytes()));
            let found = collect(open_with(input, "in.json", &options, &warnings, tuning).unwrap());
            assert_eq!((found.rows(), &found.error, found.defects.len()), (1203, &None, 0), "{line}");
            assert_eq!(found.u8s()[1200..], [Some(vec![9]), Some(vec![1]), Some(vec![9])]);
            let labels = found.columns[1].as_primitive::<Int64Type>();
            assert_eq!(labels.iter().skip(1200).collect::<Vec<_>>(), [Some(9), label, Some(9)], "{line}");
            let rests = texts(&found.columns[2]);
            assert_eq!(
                (rests[1201], found.columns[2].null_count()),
                (rest, 1203 - usize::from(rest.is_some())),
                "{line}"
            );
            let all = warnings.all().join("\n");
            assert!(all.contains(warning) && all.is_empty() == warning.is_empty(), "{all}");
        }
    }
    // A number beyond 64 bits is not rounded into a column of floats.
    let floats = lines(1200).replace("\"label\": ", "\"label\": 0.5, \"row\": ");
    let text = floats + "{\"image\": [1], \"label\": 99999999999999999999}\n";
    let options_of_rest = ReadOptions { late_members: LateMembers::Rest, ..options(PixelType::U8) };
    let found = read_by(text.as_bytes(), &options_of_rest, FINE);
    assert!(found.columns[1].is_null(1200), "{:?}", found.columns[1]);
    assert_eq!(texts(&found.columns[3])[1200], Some("{\"label\": 99999999999999999999}"));

    let text = beyond_the_sample("{\"image\": [1], \"other\": 1}\n");
    let failing = ReadOptions { late_members: LateMembers::Fail, ..keeping() };
    let error = read_by(text.as_bytes(), &failing, FINE).error;
    assert_eq!(error.as_deref(), Some("in.json: line 1201, column 1: column 'other' missing from schema"));
    let taken = "{\"image\": [1], \"_rest\": 1}\n";
    let rest = ReadOptions { late_members: LateMembers::Rest, ..options(PixelType::U8) };
    let error = read_by(taken.as_bytes(), &rest, FINE).error.unwrap();
    assert!(error.contains("already has a column `_rest`"), "{error}");
}

#[test]
fn defects_before_a_broken_line_are_still_there() {
    let kept = read_with("{\"image\": [1]}\n{\"image\": [256]}\nx\n{\"image\": null}\n", &keeping());
    let reasons: Vec<(usize, Reason)> = kept.defects.iter().map(|d| (d.row, d.reason)).collect();
    assert_eq!(reasons, [(1, Reason::OutOfRange), (2, Reason::BrokenLine), (3, Reason::NullImage)]);
    assert_eq!(kept.u8s(), [Some(vec![1]), None, None, None]);
}

#[test]
fn inputs_without_the_column_or_without_anything() {
    assert_eq!(error_of("{\"img\": [1], \"label\": 1}"), "no column `image`; there is `img`, `label`");
    assert_eq!(error_of("{}\n"), "no column `image`; there is none");
    for empty in ["", "\n\n \r\n", "\u{feff}", "[]"] {
        let reader = open_bytes(empty.as_bytes(), &options(PixelType::F32), FINE).unwrap();
        let names: Vec<String> = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["image", "image.defect"]);
        assert_eq!(reader.schema().field(0).data_type(), &pixels::column_type(PixelType::F32, 1));
        assert_eq!(collect(reader).batches, [0usize; 0]);
    }
    let broken = read_with("nothing\nof this\nis JSON", &keeping());
    assert_eq!((broken.rows(), broken.defects.len()), (3, 3));
    assert_eq!(
        error_of("{\"image\": [1], \"image.defect\": 1}"),
        "the input already has a column `image.defect`, which the output would need: rename it"
    );
}

#[test]
fn batches_of_any_size_hold_the_same_rows() {
    let mut text = lines(700);
    text.insert_str(text.len() / 2, "");
    text += "{\"image\": [300], \"label\": 1}\n{\"label\": 4}\n";
    let whole = read(&text);
    assert_eq!(whole.rows(), 702);
    for batch_rows in [1, 2, 7, 100, 701, 1 << 40] {
        for tuning in [FINE, Tuning::default()] {
            let options = ReadOptions { batch_rows, ..options(PixelType::U8) };
            let found = collect(open_bytes(text.as_bytes(), &options, tuning).unwrap());
            assert!(found.batches.iter().all(|&rows| rows <= batch_rows));
            assert_eq!((&found.columns, &found.defects), (&whole.columns, &whole.defects), "{batch_rows}");
        }
    }
}

#[test]
fn documents_longer_than_a_block_are_read_and_too_long_ones_refused() {
    let long = vec!["7"; 50_000].join(", ");
    let found = read(format!("{{\"image\": [1]}}\n{{\"image\": [{long}]}}\n"));
    assert_eq!(found.u8s()[1].as_ref().unwrap().len(), 50_000);
    let tuning = Tuning { longest: 1000, ..FINE };
    for text in [format!("{{\"image\": [1]}}\n{{\"image\": [{long}]}}\n"), format!("[{{\"image\": [{long}]}}]")] {
        let error = match open_bytes(text.as_bytes(), &options(PixelType::U8), tuning) {
            Ok(reader) => collect(reader).error.unwrap(),
            Err(error) => error.to_string(),
        };
        assert!(error.ends_with("a document is longer than 1000 bytes"), "{error}");
    }
}

#[test]
fn raw_text_is_cut_only_when_it_is_enormous_and_says_so() {
    let text = format!("{{\"image\": [1]}}\n{{\"image\": \"{}\"}}\n", "é".repeat(builder::MAX_RAW_BYTES / 2 + 100));
    let found = collect(open_bytes(text.as_bytes(), &options(PixelType::U8), Tuning::default()).unwrap());
    let (raw, len) = (found.defects[0].raw.as_ref().unwrap(), builder::MAX_RAW_BYTES + 202);
    let kept = raw.len();
    assert!(kept > builder::MAX_RAW_BYTES - 4 && raw.ends_with('é'));
    assert_eq!(found.defects[0].detail, format!("a string; only the first {kept} of {len} bytes are kept"));
}

#[test]
fn a_dropped_reader_lets_its_input_go() {
    struct Endless(Arc<AtomicBool>, usize);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let line = b"{\"image\": [1, 2, 3]}\n";
            for byte in buffer.iter_mut() {
                *byte = line[self.1 % line.len()];
                self.1 += 1;
            }
            Ok(buffer.len())
        }
    }
    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let gone = Arc::new(AtomicBool::new(false));
    let mut reader =
        open(Box::new(Endless(gone.clone(), 0)), "stdin", &options(PixelType::U8), &Warnings::default()).unwrap();
    assert!(reader.next().unwrap().is_ok());
    drop(reader);
    let start = Instant::now();
    while !gone.load(Ordering::SeqCst) {
        assert!(start.elapsed() < Duration::from_secs(10), "the input is still held");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_reader_works_inside_a_full_rayon_pool() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| read(lines(50)).rows()), 50);
}
