//! Images decoded from their pages, compared with what the Arrow reader reads.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, FixedSizeListArray, Int32Array, LargeBinaryArray,
    LargeListArray, ListArray, PrimitiveArray, RecordBatch, RecordBatchIterator, RecordBatchReader, StringArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::read::open_reader;
use crate::io::{Compression as Codec, ReadOptions, WriteOptions};

fn by_arrow(path: &Path) -> Result<RecordBatch, String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).map_err(|e| e.to_string())?;
    let schema = builder.schema().clone();
    let batches = builder.build().map_err(|e| e.to_string())?.collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|e| e.to_string())?;
    let columns = concat_batches(&batches.first().map_or(schema.clone(), RecordBatch::schema), &batches);
    Ok(RecordBatch::try_new(schema, columns.unwrap().columns().to_vec()).unwrap())
}

/// What was read, how many rows of it from the pages, and how many rows were announced.
fn by_us(path: &Path, batch_rows: usize, threads: usize) -> Result<(RecordBatch, usize, u64), String> {
    let options = ReadOptions { batch_rows, threads, ..ReadOptions::default() };
    let (mut reader, rows) = open_reader(File::open(path).unwrap(), "file", &options).map_err(|e| e.to_string())?;
    let mut batches = Vec::new();
    for batch in reader.by_ref() {
        let batch = batch.map_err(|e| e.to_string())?;
        assert!((1..=batch_rows).contains(&batch.num_rows()), "{} rows", batch.num_rows());
        batches.push(batch);
    }
    assert!(reader.next().is_none());
    let all = concat_batches(&reader.schema(), &batches).unwrap();
    Ok((all, reader.fast_rows, rows))
}

/// Reads in several ways and compares; `fast` is the rows that have to come from the pages.
fn compare(path: &Path, fast: usize, what: &str) {
    let expected = by_arrow(path).unwrap();
    for (batch_rows, threads) in [(1000, 2), (1000, 1), (7, 2), (1, 3)] {
        let (found, fast_rows, rows) = by_us(path, batch_rows, threads).unwrap();
        assert_eq!(found.num_rows() as u64, rows);
        assert_eq!(found, expected, "{what}, {batch_rows} rows a batch");
        assert_eq!(fast_rows, fast, "{what}, {batch_rows} rows a batch");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Fixed,
    List,
    Large,
}

fn images<T: ArrowPrimitiveType>(kind: Kind, length: usize, values: Vec<T::Native>, optional: bool) -> ArrayRef {
    let rows = values.len() / length;
    let items: ArrayRef = Arc::new(PrimitiveArray::<T>::new(values.into(), None));
    let item = Arc::new(Field::new("item", T::DATA_TYPE, optional));
    match kind {
        Kind::Fixed => Arc::new(FixedSizeListArray::new(item, length as i32, items, None)),
        Kind::List => Arc::new(ListArray::new(item, OffsetBuffer::from_repeated_length(length, rows), items, None)),
        Kind::Large => {
            Arc::new(LargeListArray::new(item, OffsetBuffer::from_repeated_length(length, rows), items, None))
        }
    }
}

/// A batch with the images between two other columns, one of them nested.
fn with_image(image: ArrayRef, optional: bool) -> RecordBatch {
    let rows = image.len();
    let names: ArrayRef =
        Arc::new(StringArray::from_iter((0..rows).map(|n| (n % 5 > 0).then(|| format!("image {n}")))));
    let tags = (0..rows).map(|n| (n % 4 > 0).then(|| (0..n as i32 % 3).map(Some).collect::<Vec<_>>()));
    let tags: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(tags));
    let schema = Schema::new_with_metadata(
        vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("image", image.data_type().clone(), optional),
            Field::new("tags", tags.data_type().clone(), true),
        ],
        [("made by".to_owned(), "a test".to_owned())].into(),
    );
    RecordBatch::try_new(Arc::new(schema), vec![names, image, tags]).unwrap()
}

fn write(path: &Path, batch: &RecordBatch, properties: WriterProperties) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Numbers that look like pixels: runs, few values or many.
fn numbers(count: usize, different: usize) -> impl Iterator<Item = usize> {
    let mut state = 1u64;
    (0..count).map(move |at| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        if at % 60 < 25 { 0 } else { (state >> 33) as usize % different }
    })
}

#[test]
fn lists_of_one_length_are_read_from_their_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.parquet");
    let small = || WriterProperties::builder().set_data_page_size_limit(300).set_write_batch_size(16);
    let mut cases = Vec::new();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let plain = |b: parquet::file::properties::WriterPropertiesBuilder| {
            b.set_writer_version(version).set_dictionary_enabled(false).set_encoding(Encoding::PLAIN)
        };
        // Under version 2 values that fit no dictionary would be delta encoded.
        let dictionary = || small().set_writer_version(version).set_encoding(Encoding::PLAIN);
        cases.push(("plain", plain(small()).build()));
        cases.push(("dictionary", dictionary().build()));
        cases.push(("dictionary given up", dictionary().set_dictionary_page_size_limit(200).build()));
        cases.push(("row groups", dictionary().set_max_row_group_row_count(Some(31)).build()));
        cases.push(("one page", WriterProperties::builder().set_writer_version(version).build()));
        for codec in [Compression::SNAPPY, Compression::ZSTD(Default::default()), Compression::GZIP(Default::default())]
        {
            cases.push(("compressed", dictionary().set_compression(codec).build()));
        }
    }
    for (what, properties) in &cases {
        for (kind, length, optional) in [
            (Kind::Fixed, 10, true),
            (Kind::List, 1, true),
            (Kind::List, 49, false),
            (Kind::Large, 8, false),
            (Kind::Large, 16, true),
        ] {
            for different in [1, 2, 30, 256] {
                let numbers: Vec<usize> = numbers(100 * length, different).collect();
                macro_rules! check {
                    ($($t:ty),*) => {
                        $(
                            let values = numbers.iter().map(|&n| n as <$t as ArrowPrimitiveType>::Native).collect();
                            let batch = with_image(images::<$t>(kind, length, values, optional), optional);
                            write(&path, &batch, properties.clone());
                            compare(&path, 100, &format!("{what} {kind:?} {length} {optional} {different}"));
                        )*
                    };
                }
                if different == 256 {
                    check!(UInt8Type, UInt16Type, Int32Type, UInt64Type, Int64Type, Float32Type, Float64Type);
                } else {
                    check!(UInt8Type, Int64Type);
                }
            }
        }
    }
}

#[test]
fn many_different_values_take_wide_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.parquet");
    for different in [1000, 70_000] {
        let values = numbers(100_000, different).map(|n| n as f64 * 0.5).collect();
        let properties = WriterProperties::builder().set_dictionary_page_size_limit(16 << 20).build();
        write(&path, &with_image(images::<Float64Type>(Kind::List, 100, values, true), true), properties);
        compare(&path, 1000, "wide");
    }
}

#[test]
fn lists_of_a_table_without_images_are_read_from_their_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.parquet");
    let lists = images::<UInt8Type>(Kind::List, 9, numbers(900, 200).map(|n| n as u8).collect(), true);
    let tables = [
        // The first column of lists.
        (with_image(lists.clone(), true).project(&[0, 1]).unwrap(), 100),
        // Lists of several lengths come first.
        (with_image(lists, true).project(&[2, 1]).unwrap(), 0),
    ];
    for (table, fast) in tables {
        let columns: Vec<_> =
            table.schema().fields().iter().map(|field| field.name().replace("image", "digit")).collect();
        let named = columns.iter().map(String::as_str).zip(table.columns().iter().cloned()).map(|(n, c)| (n, c, true));
        let table = RecordBatch::try_from_iter_with_nullable(named).unwrap();
        write(&path, &table, WriterProperties::builder().build());
        compare(&path, fast, "one row group");
        // Threads share small row groups, whatever is in them.
        write(&path, &table, WriterProperties::builder().set_max_row_group_row_count(Some(30)).build());
        compare(&path, 0, "several row groups");
    }
    // All rows are in one page of lists, and their texts together are too large for one job.
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n("x".repeat(20_000), 2_000)));
    let sizes = images::<Int32Type>(Kind::List, 2, vec![224; 4_000], true);
    let table = RecordBatch::try_from_iter([("size", sizes), ("text", text)]).unwrap();
    write(&path, &table, WriterProperties::builder().build());
    let (found, fast, _) = by_us(&path, 1000, 2).unwrap();
    assert_eq!((found, fast), (by_arrow(&path).unwrap(), 0));
}

#[test]
fn what_is_not_regular_goes_through_the_arrow_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("irregular.parquet");
    let properties = || {
        WriterProperties::builder().set_data_page_size_limit(200).set_write_batch_size(16).set_encoding(Encoding::PLAIN)
    };
    let pixels = |row: usize| (0..9).map(move |n| Some((row * 7 + n) as i64 % 200));
    let lists = |row_of: &dyn Fn(usize) -> Option<Vec<Option<i64>>>| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>((0..90).map(row_of)))
    };
    let whole = |row: usize| Some(pixels(row).collect::<Vec<_>>());
    let null_row = lists(&|row| if row == 50 { None } else { whole(row) });
    let empty = lists(&|row| if row == 50 { Some(vec![]) } else { whole(row) });
    let null_pixel = lists(&|row| Some(pixels(row).map(|p| p.filter(|_| row != 50)).collect()));
    // As many values as if all were of one length.
    let ragged = lists(&|row| match row {
        50 => Some(pixels(row).chain([Some(3)]).collect()),
        51 => Some(pixels(row).take(8).collect()),
        _ => whole(row),
    });
    for (what, image) in [("null row", null_row), ("empty", empty), ("null pixel", null_pixel), ("ragged", ragged)] {
        let batch = with_image(image, true);
        write(&path, &batch, properties().build());
        // That rows are missing shows in the number of values; a null pixel in the statistics; the rest on the way.
        let expected = by_arrow(&path).unwrap();
        for batch_rows in [1000, 10, 1] {
            let (found, fast, _) = by_us(&path, batch_rows, 2).unwrap();
            assert_eq!(found, expected, "{what}");
            assert!(
                if what == "ragged" && batch_rows < 1000 { (1..=50).contains(&fast) } else { fast == 0 },
                "{what} {fast}"
            );
        }
        // Only the row group it is in.
        write(&path, &batch, properties().set_max_row_group_row_count(Some(30)).build());
        let (found, fast, _) = by_us(&path, 1000, 2).unwrap();
        assert_eq!(found, expected, "{what}");
        assert_eq!(fast, 60, "{what}");
    }
    let column = ColumnPath::new(["image", "list", "item"].map(str::to_owned).to_vec());
    let delta = properties()
        .set_column_dictionary_enabled(column.clone(), false)
        .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    write(&path, &with_image(lists(&whole), true), delta.set_encoding(Encoding::PLAIN).build());
    compare(&path, 0, "delta");
    write(&path, &with_image(lists(&whole), true).slice(0, 0), properties().build());
    compare(&path, 0, "no rows");
}

#[test]
fn bytes_are_read_by_ranges_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes.parquet");
    // Large enough not to be read as one job.
    const ROWS: usize = 5000;
    let image = |row: usize| vec![row as u8; 8000 + row % 3];
    let binary: ArrayRef = Arc::new(BinaryArray::from_iter((0..ROWS).map(|row| (row % 7 > 0).then(|| image(row)))));
    let fixed: ArrayRef = Arc::new(
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(
            (0..ROWS).map(|n| (n % 9 > 0).then_some([n as u8; 8000])),
            8000,
        )
        .unwrap(),
    );
    for image in [binary, fixed] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for dictionary in [false, true] {
                let properties = WriterProperties::builder()
                    .set_writer_version(version)
                    .set_dictionary_enabled(dictionary)
                    .set_compression(Compression::SNAPPY)
                    .set_data_page_row_count_limit(100);
                write(&path, &with_image(image.clone(), true), properties.build());
                let expected = by_arrow(&path).unwrap();
                for batch_rows in [1000, 33] {
                    assert_eq!(by_us(&path, batch_rows, 2).unwrap().0, expected);
                }
            }
        }
    }
}

#[test]
fn bytes_of_one_length_are_read_from_their_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytes.parquet");
    const ROWS: usize = 500;
    let one = |row: usize| (0..77).map(|n| (row * 31 + n) as u8).collect::<Vec<_>>();
    let arrays: [ArrayRef; 3] = [
        Arc::new(BinaryArray::from_iter_values((0..ROWS).map(one))),
        Arc::new(LargeBinaryArray::from_iter_values((0..ROWS).map(one))),
        Arc::new(FixedSizeBinaryArray::try_from_iter((0..ROWS).map(one)).unwrap()),
    ];
    let properties = |version| {
        let properties = WriterProperties::builder().set_writer_version(version).set_data_page_row_count_limit(60);
        // Under version 2 byte arrays would be delta encoded.
        properties.set_write_batch_size(20).set_dictionary_enabled(false).set_encoding(Encoding::PLAIN)
    };
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        let zstd = Compression::ZSTD(ZstdLevel::default());
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, zstd, Compression::LZ4_RAW] {
            for image in &arrays {
                for optional in [false, true] {
                    let properties = properties(version).set_compression(compression);
                    write(&path, &with_image(image.clone(), optional), properties.build());
                    compare(&path, ROWS, &format!("{:?} {optional}", image.data_type()));
                }
            }
            // A null, another length and an empty one send their pages to the Arrow reader, and only these.
            for odd in [None, Some(vec![1; 76]), Some(vec![])] {
                let rows = (0..ROWS).map(|row| if row == 250 { odd.clone() } else { Some(one(row)) });
                let image: ArrayRef = Arc::new(BinaryArray::from_iter(rows));
                write(&path, &with_image(image, true), properties(version).build());
                let expected = by_arrow(&path).unwrap();
                for batch_rows in [60, 7] {
                    let (found, fast, _) = by_us(&path, batch_rows, 2).unwrap();
                    assert_eq!(found, expected, "{odd:?}");
                    assert!((380..ROWS).contains(&fast), "{odd:?} {fast}");
                }
            }
        }
    }
}

/// A file of u8 images whose records go over from page to page, as older writers and PyArrow make them and this crate's
/// writer does not.
fn straddling(path: &Path, length: usize, pages: &[usize], dictionary: bool) {
    let levels: usize = pages.iter().sum();
    let rows = levels / length;
    let message = "message schema {
        OPTIONAL GROUP image (LIST) { REPEATED GROUP list { OPTIONAL INT32 item (INTEGER(8,false)); } }
        REQUIRED INT32 id;
    }";
    let schema = Arc::new(parse_message_type(message).unwrap());
    let properties = WriterProperties::builder()
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let image = file.schema_descr().column(0);
    let mut chunk = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut chunk);
    let write = |writer: &mut SerializedPageWriter<'_, Vec<u8>>, page: Page| {
        let size = page.buffer().len();
        writer.write_page(CompressedPage::new(page, size)).unwrap().bytes_written
    };
    let mut dictionary_bytes = 0;
    if dictionary {
        let values: Vec<u8> = (0..256i32).flat_map(|n| (255 - n).to_le_bytes()).collect();
        let encoding = Encoding::PLAIN;
        let page = Page::DictionaryPage { buf: values.into(), num_values: 256, encoding, is_sorted: false };
        dictionary_bytes = write(&mut writer, page);
    }
    // Runs of eight packed values, one for each byte of levels.
    let packed = |bits: Vec<u8>| {
        let mut bytes = Vec::new();
        for byte in bits {
            bytes.extend([3, byte]);
        }
        [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat()
    };
    let mut at = 0;
    for &count in pages {
        let repetition = (at..at + count).collect::<Vec<_>>();
        let repetition = repetition
            .chunks(8)
            .map(|levels| levels.iter().enumerate().fold(0, |byte, (bit, at)| byte | u8::from(at % length > 0) << bit));
        let mut definition = vec![(count << 1) as u8 | 0x80, (count >> 6) as u8];
        definition.push(3);
        let pixels = (at..at + count).map(|at| (at * 31 % 251) as u8);
        let values: Vec<u8> = if dictionary {
            let mut header = vec![8];
            for group in pixels.collect::<Vec<_>>().chunks(8) {
                header.push(3);
                header.extend(group.iter().copied().chain(std::iter::repeat(9)).take(8));
            }
            header
        } else {
            pixels.flat_map(|p| i32::from(p).to_le_bytes()).collect()
        };
        let definition = [&(definition.len() as u32).to_le_bytes()[..], &definition].concat();
        let bytes = [packed(repetition.collect()), definition, values].concat();
        let page = Page::DataPage {
            buf: bytes.into(),
            num_values: count as u32,
            encoding: if dictionary { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN },
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        write(&mut writer, page);
        at += count;
    }
    let bytes = chunk.into_inner().unwrap();
    let metadata = ColumnChunkMetaData::builder(image)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE_DICTIONARY, Encoding::RLE])
        .set_num_values(levels as i64)
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(bytes.len() as i64)
        .set_data_page_offset(dictionary_bytes as i64)
        .set_dictionary_page_offset(dictionary.then_some(0))
        .build()
        .unwrap();
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    let mut group = file.next_row_group().unwrap();
    group.append_column(&Bytes::from(bytes), close).unwrap();
    let mut id = group.next_column().unwrap().unwrap();
    let ids: Vec<i32> = (0..rows as i32).collect();
    id.typed::<parquet::data_type::Int32Type>().write_batch(&ids, None, None).unwrap();
    id.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn records_that_go_over_from_page_to_page_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("straddling.parquet");
    for dictionary in [false, true] {
        for (length, pages) in [
            (10, &[64, 3, 100, 7, 1, 25, 100][..]),
            (100, &[64, 64, 64, 8, 200]),
            // Records longer than pages.
            (784, &[500; 784 / 4]),
            (1000, &[90; 100]),
            (7, &[70, 140, 70]),
        ] {
            straddling(&path, length, pages, dictionary);
            let rows = pages.iter().sum::<usize>() / length;
            compare(&path, rows, &format!("{length} {dictionary}"));
            let (found, ..) = by_us(&path, 1000, 1).unwrap();
            let ids = found.column(1).as_any().downcast_ref::<Int32Array>().unwrap().clone();
            assert_eq!(ids.values().to_vec(), (0..rows as i32).collect::<Vec<_>>());
        }
    }
}

#[test]
fn damage_anywhere_is_an_error_or_other_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, bent) = (folder.path().join("whole.parquet"), folder.path().join("bent.parquet"));
    let values = || numbers(300 * 16, 256).map(|n| n as u8).collect();
    let small = || WriterProperties::builder().set_data_page_size_limit(300).set_write_batch_size(16);
    let files: [&dyn Fn(); 4] = [
        &|| straddling(&whole, 10, &[64, 3, 100, 33, 64, 64, 72], true),
        &|| {
            let zstd = small().set_compression(Compression::ZSTD(ZstdLevel::default()));
            write(&whole, &with_image(images::<UInt8Type>(Kind::Fixed, 16, values(), true), true), zstd.build());
        },
        &|| {
            let image = images::<UInt8Type>(Kind::List, 16, values(), true);
            let version = small().set_writer_version(WriterVersion::PARQUET_2_0).set_compression(Compression::SNAPPY);
            write(&whole, &with_image(image, true), version.build());
        },
        &|| {
            let rows = (0..300).map(|row| (row % 5 > 0).then(|| vec![row as u8; 9]));
            let snappy = small().set_compression(Compression::SNAPPY);
            write(&whole, &with_image(Arc::new(BinaryArray::from_iter(rows)), true), snappy.build());
        },
    ];
    for make in files {
        make();
        let sound = fs::read(&whole).unwrap();
        for at in (4..sound.len()).step_by(1 + sound.len() / 1500) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&bent, &bytes).unwrap();
            let expected = std::panic::catch_unwind(|| by_arrow(&bent));
            let found = std::panic::catch_unwind(|| by_us(&bent, 50, 2));
            match (expected, found) {
                // Where the Arrow reader took over, its answer to damage depends on where it begins.
                (Ok(Ok(expected)), Ok(Ok((found, fast, _)))) => {
                    assert!(fast < found.num_rows() || found == expected, "byte {at}");
                }
                (Ok(Ok(_)), other) => panic!("byte {at}: {other:?}"),
                // The Arrow reader may notice nothing in rows that it need not decode.
                (_, Ok(_)) => {}
                (expected, Err(_)) => panic!("byte {at}: a panic, where the Arrow reader says {expected:?}"),
            }
        }
    }
}

#[test]
fn nulls_among_fixed_size_lists_stay_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nulls.parquet");
    let item = Arc::new(Field::new("item", DataType::UInt8, true));
    let values: ArrayRef = Arc::new(PrimitiveArray::<UInt8Type>::from_iter_values((0..100).map(|n| n as u8)));
    let valid = NullBuffer::from((0..25).map(|row| row != 4).collect::<Vec<_>>());
    let image: ArrayRef = Arc::new(FixedSizeListArray::new(item, 4, values, Some(valid)));
    write(&path, &with_image(image, true), WriterProperties::builder().build());
    compare(&path, 0, "nulls");
}

#[test]
fn lists_that_are_written_page_by_page_come_back_as_they_were() {
    fn items<T: ArrowPrimitiveType>(count: usize, nulls: bool, value: impl Fn(usize) -> T::Native) -> ArrayRef {
        let items = (0..count).map(|n| (!nulls || n % 5 != 2).then(|| value(n)));
        Arc::new(PrimitiveArray::<T>::from_iter(items))
    }
    // With nulls the file calls them plain lists.
    fn plain(column: &ArrayRef) -> ArrayRef {
        let items = column.data_type().clone();
        let (DataType::List(item) | DataType::FixedSizeList(item, _)) = items else { unreachable!("lists") };
        arrow_cast::cast(column, &DataType::List(item)).unwrap()
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lists.parquet");
    // Two row groups, and pages whose last group of eight bytes is not full.
    for (length, count) in [(1, 66_000), (3, 700), (784, 300)] {
        for (lists_null, items_null) in [(false, false), (true, false), (false, true), (true, true)] {
            let all = length * (count + 3);
            for values in [
                items::<UInt8Type>(all, items_null, |n| (n * 7) as u8),
                items::<UInt16Type>(all, items_null, |n| (n * 77) as u16),
                items::<Float32Type>(all, items_null, |n| n as f32 / 3.0),
            ] {
                let item = Arc::new(Field::new("item", values.data_type().clone(), items_null));
                // The second page has no list at all.
                let is_there = |row| row % 4 != 1 && !(1027..2051).contains(&row);
                let valid = lists_null.then(|| NullBuffer::from_iter((0..count + 3).map(is_there)));
                let lists = FixedSizeListArray::new(item, length as i32, values, valid).slice(3, count);
                let field = Field::new("lists", lists.data_type().clone(), lists_null);
                let schema = Arc::new(Schema::new(vec![field]));
                let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(lists)]).unwrap();
                let parts = (0..count).step_by(613).map(|at| Ok(batch.slice(at, 613.min(count - at))));
                let options = WriteOptions::default().with_compression(match length {
                    1 => Codec::Gzip,
                    3 => Codec::Snappy,
                    _ => Codec::Zstd,
                });
                crate::io::write(&path, RecordBatchIterator::new(parts, schema), &options).unwrap();
                let what =
                    format!("{count} lists of {length} {} {lists_null} {items_null}", batch.column(0).data_type());
                assert!(plain(by_arrow(&path).unwrap().column(0)) == plain(batch.column(0)), "{what}");
            }
        }
    }
}
