//! The header of an IDX file, as MNIST's page describes it: two zeros, a type, the number of dimensions, and each of them
//! as a big-endian u32.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::element::Element;
use super::{ArrayHeader, read_error};
use crate::base::error::{Error, Result};

/// Reads the header; also returns its length in bytes.
pub fn header(input: &mut impl Read, name: &str) -> Result<(ArrayHeader, u64)> {
    let mut magic = [0; 4];
    input.read_exact(&mut magic).map_err(|e| read_error(e, name))?;
    let [_, _, kind, dimensions] = magic;
    let element = match kind {
        0x08 => Element::U8,
        0x09 => Element::I8,
        0x0b => Element::I16,
        0x0c => Element::I32,
        0x0d => Element::F32,
        0x0e => Element::F64,
        other => return Err(Error::format(name, format!("0x{other:02x} is not a type of an IDX file"))),
    };
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let mut side = [0; 4];
        input.read_exact(&mut side).map_err(|e| read_error(e, name))?;
        shape.push(u32::from_be_bytes(side) as usize);
    }
    let header = ArrayHeader { element, big_endian: true, fortran: false, shape };
    Ok((header, 4 + 4 * u64::from(dimensions)))
}

/// The file of labels beside a file of images, if it exists, by the names of MNIST's files, compressed or not:
/// `train-images-idx3-ubyte.gz` has `train-labels-idx1-ubyte.gz`.
pub fn labels_of(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    if !plain.contains("images") || !plain.contains("idx") {
        return None;
    }
    let labels = plain.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1");
    let packed = format!("{labels}.gz");
    let order = if name == plain { [labels, packed] } else { [packed, labels] };
    order.into_iter().map(|name| images.with_file_name(name)).find(|path| path.is_file())
}
