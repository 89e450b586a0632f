//! Files of encoded images: a row each, their bytes as they are. Whoever reads the column decodes them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{BinaryArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::batches::{Batches, made};
use super::options::ReadOptions;
use super::partition;
use super::progress::Progress;
use crate::base::error::{Error, Result};

const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "jpe", "webp", "bmp", "tif", "tiff"];
/// The column of the names of the folders that the files lie in.
const LABEL: &str = "label";
/// The column of the files' paths.
const PATH: &str = "path";
/// Bytes of files that a batch is closed at.
const BATCH_BYTES: usize = 16 << 20;
/// The longest file. With the bytes above it leaves a batch within 32-bit offsets.
const LONGEST: u64 = 1 << 30;

/// Whether a file is an image by its name.
pub fn is_image_name(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.is_some_and(|ending| ENDINGS.iter().any(|image| ending.eq_ignore_ascii_case(image)))
}

/// Whether bytes begin as a PNG, JPEG, WebP, BMP or TIFF file does.
pub fn is_image(head: &[u8]) -> bool {
    const MAGICS: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", &[0xff, 0xd8, 0xff], b"II*\0", b"MM\0*"];
    MAGICS.iter().any(|magic| head.starts_with(magic))
        || matches!(head, [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..])
        // Two letters are little to go by, but the four zeros after the size are in every BMP file.
        || matches!(head, [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..])
}

/// Rows of image files: their bytes, `label`, the name of the folder that each lies in (null for a file without one), as
/// integers where all names are, and `path`.
pub fn open(files: Vec<PathBuf>, options: &ReadOptions, progress: &Progress) -> Result<Batches> {
    if [LABEL, PATH].contains(&&*options.image) {
        return Err(Error::ColumnTaken { column: options.image.clone() });
    }
    let labels = partition::type_of(files.iter().map(|file| folder(file)));
    let schema = Arc::new(Schema::new(vec![
        Field::new(&options.image, DataType::Binary, false),
        Field::new(LABEL, labels.clone(), true),
        Field::new(PATH, DataType::Utf8, false),
    ]));
    let (of_batches, most, progress) = (schema.clone(), options.batch_rows, progress.clone());
    let mut at = 0;
    let next = move || -> Result<Option<RecordBatch>> {
        let (mut images, mut bytes, first) = (Vec::new(), 0, at);
        while at < files.len() && images.len() < most && bytes < BATCH_BYTES {
            let image = read(&files[at])?;
            progress.add(image.len() as u64);
            bytes += image.len();
            images.push(image);
            at += 1;
        }
        let taken = &files[first..at];
        if taken.is_empty() {
            return Ok(None);
        }
        let images = BinaryArray::from_iter_values(&images);
        let labels = partition::column(taken.iter().map(|file| folder(file)), &labels);
        let paths = StringArray::from_iter_values(taken.iter().map(|file| file.to_string_lossy()));
        let columns = vec![Arc::new(images) as _, labels, Arc::new(paths) as _];
        Ok(Some(RecordBatch::try_new(of_batches.clone(), columns).map_err(Error::from)?))
    };
    let mut next = next;
    Ok(made(schema, std::iter::from_fn(move || next().map_err(ArrowError::from).transpose())))
}

/// The name of the folder that a file lies in, as far as its path tells.
fn folder(file: &Path) -> Option<&str> {
    file.parent()?.file_name()?.to_str()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::io("read", path, e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::format(path.display().to_string(), format!("is longer than {LONGEST} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_by_their_first_bytes() {
        for head in [
            &b"\x89PNG\r\n\x1a\n\0"[..],
            b"\xff\xd8\xff\xe0",
            b"RIFF\x10\0\0\0WEBPVP8 ",
            b"BM\x36\x10\0\0\0\0\0\0\x36",
            b"II*\0\x08",
            b"MM\0*\0",
        ] {
            assert!(is_image(head), "{head:?}");
        }
        for head in [&b""[..], b"BMW drivers", b"RIFF\x10\0\0\0WAVE", b"PAR1", b"{\"a\": 1}", b"\x93NUMPY"] {
            assert!(!is_image(head), "{head:?}");
        }
    }
}
