//! The table of file formats.
//!
//! Reading, writing, the search through folders and the messages about formats all use this table. A new format is a
//! module that reads or writes it, and a row here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatchReader;

use super::batches::Batches;
use super::options::{Compression, ReadOptions, WriteOptions};
use super::output_file::OutputFile;
use super::progress::Progress;
use super::{images, magic};
use crate::base::error::Result;
use crate::base::text::names;
use crate::base::warnings::Warnings;

/// A file format.
pub struct FileFormat {
    /// The name in messages.
    pub name: &'static str,
    /// The Cargo feature that builds its reader and writer in; `None` if they are always built in.
    pub feature: Option<&'static str>,
    /// How the names of its files end, in lower case. A folder is searched for files with these endings.
    pub endings: &'static [&'static str],
    /// What one of its files holds.
    pub content: Content,
    /// How it is read; `None` if it is only written.
    pub reading: Option<Reading>,
    /// How it is written; `None` if it is only read.
    pub writing: Option<Writing>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Rows of columns.
    Rows,
    /// One encoded image, which is one row.
    Image,
}

/// How a format is read.
pub struct Reading {
    /// Whether a file that begins with these bytes is of the format. Up to [`HEAD_BYTES`] are given.
    pub recognises: fn(&[u8]) -> bool,
    /// Whether its reader takes a read that fails with [`io::ErrorKind::WouldBlock`] for a pause.
    pub notices_pauses: bool,
    pub open: Open,
    /// How the key-value pairs in the footer of a file are read, if the format has them.
    pub footer: Option<Option<ReadPairs>>,
}

type OpenStream = fn(ByteStream<'_>, &ReadOptions) -> Result<Batches>;
type OpenFile = fn(RegularFile<'_>, &ReadOptions, &Progress) -> Result<Batches>;
type ReadPairs = fn(RegularFile<'_>) -> Result<BTreeMap<String, String>>;

/// What a reader needs. The functions are `None` where they are not built in.
pub enum Open {
    /// Any stream of bytes, so a pipe will do.
    Stream(Option<OpenStream>),
    /// A regular file, in which it can seek.
    File(Option<OpenFile>),
}

/// A stream of bytes to be read.
#[cfg_attr(
    not(all(feature = "arrays", feature = "json")),
    allow(dead_code, reason = "only IDX and NPY have files beside them, and only JSON has warnings")
)]
pub struct ByteStream<'a> {
    pub bytes: Box<dyn Read + Send>,
    /// What is to be said of the input.
    pub warnings: &'a Warnings,
    /// Where the bytes come from, if from a regular file.
    pub path: Option<&'a Path>,
    /// The name in messages.
    pub name: &'a str,
}

/// A regular file to be read.
#[cfg_attr(
    not(all(feature = "parquet", feature = "ipc", feature = "arrays")),
    allow(dead_code, reason = "no format needs all of it")
)]
pub struct RegularFile<'a> {
    pub file: File,
    pub path: &'a Path,
    /// The name in messages.
    pub name: &'a str,
    pub size: u64,
}

/// How a format is written.
pub struct Writing {
    pub format: OutputFormat,
    /// How names of outputs end that are to be of this format; `None` for the format that goes to stdout.
    pub ending: Option<&'static str>,
    /// The codecs that the format knows beside none.
    pub codecs: &'static [Compression],
    /// Whether it can be written as a folder of files, one for each value of a column.
    pub has_partitions: bool,
    /// `None` where it is not built in.
    pub writer: Option<Writer>,
}

/// A reader of any type, whose batches are to be written.
pub type AnyReader<'a> = Box<dyn RecordBatchReader + 'a>;

/// Writes everything that a reader yields; returns the rows. The path is for messages.
type WriteStream = fn(&mut (dyn Write + Send), &Path, AnyReader<'_>, &WriteOptions) -> Result<u64>;

type WriteFiles = fn(&Path, AnyReader<'_>) -> Result<(u64, Vec<OutputFile>)>;
type WriteFolder = fn(&Path, &Path, AnyReader<'_>, &str, &WriteOptions) -> Result<(u64, u64)>;

/// The functions that write a format.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(all(feature = "parquet", feature = "ipc", feature = "arrays", feature = "csv")),
    allow(dead_code, reason = "no format that is written so")
)]
pub enum Writer {
    /// One file, from front to back, so a pipe will do.
    Stream(WriteStream),
    /// As [`Writer::Stream`], or a folder of partitions.
    StreamOrPartitions(WriteStream, WritePartitions),
    /// Files of their own, of which the one with the given name comes last; returns the rows as well.
    Files(WriteFiles),
}

/// The functions that write a folder of partitions.
#[derive(Clone, Copy)]
pub struct WritePartitions {
    /// Whether a folder holds nothing but partitions by this column, so that it may be replaced.
    pub may_replace: fn(&Path, &str) -> io::Result<bool>,
    /// Writes everything that a reader yields into a folder, partitioned by a column; returns the rows and bytes. The second
    /// path is for messages.
    pub write: WriteFolder,
}

/// The bytes that are enough to recognise a format: longer than any magic number, and enough text to see past leading
/// blanks.
pub const HEAD_BYTES: usize = 512;

/// The format of what is written to stdout.
pub const STDOUT: OutputFormat = OutputFormat::ArrowStream;

/// `Some` of a value where a Cargo feature is on, `None` where it is off.
macro_rules! built_in {
    ($feature:literal, $type:ty, $value:expr) => {{
        #[cfg(feature = $feature)]
        const VALUE: Option<$type> = Some($value);
        #[cfg(not(feature = $feature))]
        const VALUE: Option<$type> = None;
        VALUE
    }};
}

/// All formats. Files are recognised by the first row that matches, so JSON, which takes any text, is the last to be read.
static FORMATS: [FileFormat; 9] = [
    FileFormat {
        name: "Parquet",
        feature: Some("parquet"),
        endings: &[".parquet"],
        content: Content::Rows,
        reading: Some(Reading {
            recognises: |head| head.starts_with(b"PAR1"),
            notices_pauses: false,
            open: Open::File(built_in!("parquet", OpenFile, |file, options, progress| {
                let (batches, rows) = super::parquet::open(file.file, file.name, options)?;
                Ok(super::progress::by_rows(batches, progress.clone(), file.size, rows))
            })),
            footer: Some(built_in!("parquet", ReadPairs, |file| super::parquet::footer(file.file, file.name))),
        }),
        writing: Some(Writing {
            format: OutputFormat::Parquet,
            ending: Some(".parquet"),
            codecs: &[Compression::Zstd, Compression::Snappy, Compression::Gzip],
            has_partitions: true,
            writer: built_in!(
                "parquet",
                Writer,
                Writer::StreamOrPartitions(
                    |out, path, reader, options| super::parquet::write(out, path, reader, options),
                    WritePartitions {
                        may_replace: super::parquet::is_partitions,
                        write: |folder, path, reader, column, options| {
                            super::parquet::write_partitions(folder, path, reader, column, options)
                        },
                    }
                )
            ),
        }),
    },
    FileFormat {
        name: "Arrow IPC file",
        feature: Some("ipc"),
        endings: &[".arrow", ".feather", ".ipc"],
        content: Content::Rows,
        reading: Some(Reading {
            recognises: |head| head.starts_with(b"ARROW1"),
            notices_pauses: false,
            open: Open::File(built_in!("ipc", OpenFile, |file, options, progress| {
                let batches = super::ipc::open_file(file.file, file.name, options)?;
                progress.add(file.size);
                Ok(batches)
            })),
            footer: Some(built_in!("ipc", ReadPairs, |file| super::ipc::footer(file.file, file.name))),
        }),
        writing: Some(Writing {
            format: OutputFormat::ArrowFile,
            ending: Some(".arrow"),
            codecs: &[Compression::Zstd],
            has_partitions: false,
            writer: built_in!(
                "ipc",
                Writer,
                Writer::Stream(|out, path, reader, options| super::ipc::write_file(out, path, reader, options))
            ),
        }),
    },
    FileFormat {
        name: "Arrow IPC stream",
        feature: Some("ipc"),
        endings: &[".arrows"],
        content: Content::Rows,
        reading: Some(Reading {
            recognises: |head| head.starts_with(&[0xff; 4]),
            notices_pauses: true,
            open: Open::Stream(built_in!("ipc", OpenStream, |input, options| {
                super::ipc::open_stream(input.bytes, input.name, options)
            })),
            footer: None,
        }),
        writing: Some(Writing {
            format: OutputFormat::ArrowStream,
            ending: None,
            codecs: &[Compression::Zstd],
            has_partitions: false,
            writer: built_in!(
                "ipc",
                Writer,
                Writer::Stream(|out, path, reader, options| super::ipc::write_stream(out, path, reader, options))
            ),
        }),
    },
    FileFormat {
        name: "NPZ",
        feature: Some("arrays"),
        endings: &[".npz"],
        content: Content::Rows,
        reading: Some(Reading {
            // The second is what an archive without members begins with.
            recognises: |head| head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06"),
            notices_pauses: false,
            open: Open::File(built_in!("arrays", OpenFile, |file, options, progress| {
                let (batches, rows) = super::arrays::open_npz(file.file, file.path, file.name, options)?;
                Ok(super::progress::by_rows(batches, progress.clone(), file.size, rows))
            })),
            footer: None,
        }),
        writing: None,
    },
    FileFormat {
        name: "NPY",
        feature: Some("arrays"),
        endings: &[".npy"],
        content: Content::Rows,
        reading: Some(Reading {
            recognises: |head| magic::is_npy(head) || magic::is_npy(&unpacked(head)),
            notices_pauses: false,
            open: Open::Stream(built_in!("arrays", OpenStream, |input, options| {
                super::arrays::open(input.bytes, input.path, input.name, options)
            })),
            footer: None,
        }),
        writing: Some(Writing {
            format: OutputFormat::Npy,
            ending: Some(".npy"),
            codecs: &[],
            has_partitions: false,
            writer: built_in!("arrays", Writer, Writer::Files(|path, reader| super::arrays::write(path, reader))),
        }),
    },
    FileFormat {
        name: "IDX",
        feature: Some("arrays"),
        endings: &[".idx", "-ubyte", ".ubyte"],
        content: Content::Rows,
        reading: Some(Reading {
            recognises: |head| magic::is_idx(head) || magic::is_idx(&unpacked(head)),
            notices_pauses: false,
            open: Open::Stream(built_in!("arrays", OpenStream, |input, options| {
                super::arrays::open(input.bytes, input.path, input.name, options)
            })),
            footer: None,
        }),
        writing: None,
    },
    FileFormat {
        name: "image",
        feature: None,
        endings: &[".png", ".jpg", ".jpeg", ".jpe", ".webp", ".bmp", ".tif", ".tiff"],
        content: Content::Image,
        reading: Some(Reading {
            recognises: magic::is_image,
            notices_pauses: false,
            open: Open::File(Some(|file, options, progress| {
                images::open(vec![PathBuf::from(file.path)].into(), options, progress)
            })),
            footer: None,
        }),
        writing: None,
    },
    FileFormat {
        name: "JSON",
        feature: Some("json"),
        // The last two may be packed IDX or NPY as well.
        endings: &[".json", ".jsonl", ".ndjson", ".gz", ".zst"],
        content: Content::Rows,
        reading: Some(Reading {
            recognises: |head| magic::is_text(head) || magic::is_compressed(head),
            notices_pauses: true,
            open: Open::Stream(built_in!("json", OpenStream, |input, options| {
                Ok(Box::new(super::json::open(input.bytes, input.name, options, input.warnings)?))
            })),
            footer: None,
        }),
        writing: None,
    },
    FileFormat {
        name: "CSV",
        feature: Some("csv"),
        endings: &[],
        content: Content::Rows,
        reading: None,
        writing: Some(Writing {
            format: OutputFormat::Csv,
            ending: Some(".csv"),
            codecs: &[],
            has_partitions: false,
            writer: built_in!(
                "csv",
                Writer,
                Writer::Stream(|out, path, reader, _| super::csv::write(out, path, reader))
            ),
        }),
    },
];

/// The first bytes of what a gzip file holds, if the head is one's.
#[cfg(feature = "arrays")]
fn unpacked(head: &[u8]) -> Vec<u8> {
    super::arrays::unpacked_head(head)
}

/// Without its reader there is no need to know a packed array.
#[cfg(not(feature = "arrays"))]
fn unpacked(_head: &[u8]) -> Vec<u8> {
    Vec::new()
}

impl FileFormat {
    /// What to do about a format that is not built in.
    pub fn not_built_in(&self) -> String {
        let feature = self.feature.unwrap_or_default();
        format!("the format {} is not built in; enable the Cargo feature `{feature}`", self.name)
    }
}

/// The format of a file that begins with these bytes, and how it is read; `None` if it is none of the formats.
pub fn recognise(head: &[u8]) -> Option<(&'static FileFormat, &'static Reading)> {
    readable().find(|(_, reading)| (reading.recognises)(head))
}

/// The formats that can be read.
pub fn readable() -> impl Iterator<Item = (&'static FileFormat, &'static Reading)> {
    FORMATS.iter().filter_map(|format| Some((format, format.reading.as_ref()?)))
}

/// The formats that can be written.
pub fn writable() -> impl Iterator<Item = (&'static FileFormat, &'static Writing)> {
    FORMATS.iter().filter_map(|format| Some((format, format.writing.as_ref()?)))
}

/// What a file holds, by the ending of its name; `None` if no format has it.
pub fn content_by_name(path: &Path) -> Option<Content> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    FORMATS
        .iter()
        .find(|format| format.endings.iter().any(|ending| name.ends_with(ending)))
        .map(|format| format.content)
}

/// A format of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// Parquet.
    Parquet,
    /// An Arrow IPC file.
    ArrowFile,
    /// An Arrow IPC stream: what a reader at the other end of a pipe can use batch by batch.
    ArrowStream,
    /// NumPy's format for one array. Each column becomes a file, so it cannot be written to a stream.
    Npy,
    /// Comma-separated values.
    Csv,
}

names!("output format", OutputFormat {
    "parquet" => Parquet,
    "arrow" => ArrowFile,
    "arrow-stream" => ArrowStream,
    "npy" => Npy,
    "csv" => Csv,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised_by_their_first_bytes() {
        let name = |head: &[u8]| recognise(head).map(|(format, _)| format.name);
        assert_eq!(name(b"PAR1...."), Some("Parquet"));
        assert_eq!(name(b"ARROW1\0\0"), Some("Arrow IPC file"));
        assert_eq!(name(&[0xff, 0xff, 0xff, 0xff, 0x10]), Some("Arrow IPC stream"));
        for text in [&b"{\"a\": 1}\n"[..], b"\xef\xbb\xbf [", b"", b"not json", &[0x1f, 0x8b, 8, 0]] {
            assert_eq!(name(text), Some("JSON"));
        }
        assert_eq!(name(b"\x93NUMPY\x01\0v\0"), Some("NPY"));
        assert_eq!(name(b"\0\0\x08\x03\0\0\0\x0a"), Some("IDX"));
        assert_eq!(name(b"PK\x03\x04"), Some("NPZ"));
        assert_eq!(name(b"\x89PNG\r\n\x1a\n\0\0"), Some("image"));
        for nothing in [&b"\x7fELF\x02\x01"[..], b"\0\0\x08\x05\0", b"GIF89a\x10\0"] {
            assert_eq!(name(nothing), None);
        }
    }

    #[test]
    fn every_row_of_the_table_is_consistent() {
        for format in &FORMATS {
            let built_in = match format.feature {
                None => true,
                Some("parquet") => cfg!(feature = "parquet"),
                Some("ipc") => cfg!(feature = "ipc"),
                Some("arrays") => cfg!(feature = "arrays"),
                Some("json") => cfg!(feature = "json"),
                Some("csv") => cfg!(feature = "csv"),
                Some(other) => panic!("{other} is no Cargo feature"),
            };
            if let Some(reading) = &format.reading {
                let opens = match reading.open {
                    Open::Stream(open) => open.is_some(),
                    Open::File(open) => open.is_some(),
                };
                assert_eq!(opens, built_in, "{}", format.name);
            }
            if let Some(writing) = &format.writing {
                assert_eq!(writing.writer.is_some(), built_in, "{}", format.name);
            }
            assert!(format.reading.is_some() || format.writing.is_some(), "{}", format.name);
            assert!(format.endings.iter().all(|ending| *ending == ending.to_ascii_lowercase()));
        }
    }

    #[test]
    fn names_lead_to_formats_and_back() {
        for &(name, format) in OutputFormat::NAMES {
            assert_eq!(format.to_string(), name);
            assert_eq!(name.parse::<OutputFormat>().unwrap(), format);
            assert_eq!(writable().filter(|(_, writing)| writing.format == format).count(), 1);
        }
        assert!("json".parse::<OutputFormat>().is_err());
    }

    #[test]
    fn files_are_found_by_their_endings() {
        for (name, content) in [
            ("a/b.parquet", Some(Content::Rows)),
            ("train-images-idx3-ubyte", Some(Content::Rows)),
            ("x.idx3-ubyte", Some(Content::Rows)),
            ("x.ndjson.gz", Some(Content::Rows)),
            ("x.JPG", Some(Content::Image)),
            ("README.md", None),
            ("png", None),
        ] {
            assert_eq!(content_by_name(Path::new(name)), content, "{name}");
        }
    }
}
