//! NPZ: a zip archive of NPY files, one of which holds images.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::{CrcReader, read::DeflateDecoder};
use zip::{CompressionMethod, ZipArchive};

use super::{ArrayColumn, ArrayHeader, npy, table};
use crate::base::error::{Error, Result};
use crate::io::batches::Batches;
use crate::io::options::ReadOptions;

/// The maximum of members that an archive may have.
const MAX_MEMBERS: usize = 4096;

/// An array of the archive.
struct Member {
    /// Without `.npy`.
    name: String,
    /// The name in messages: `file.npz: name`.
    in_messages: String,
    header: ArrayHeader,
    deflated: bool,
    /// Where its bytes start in the file, compressed or not.
    start: u64,
    packed: u64,
    size: u64,
    crc: u32,
}

/// Opens an NPZ file; returns its batches and how many rows they will have.
///
/// The images are the member with the name of the image column, or else the only member of two or more dimensions, which gets
/// that name. Each member of one dimension with an element for each image is a column under its own name.
pub fn open(file: File, path: &Path, name: &str, options: &ReadOptions) -> Result<(Batches, u64)> {
    let members = members(file, path, name)?;
    let images = images(&members, name, &options.image)?;
    let mut column = images.open(path)?;
    column.header.check_images(&images.in_messages)?;
    let rows = column.header.rows();
    let mut columns = vec![(options.image.clone(), column)];
    for member in members.iter().filter(|member| member.header.shape == [rows]) {
        if member.name == options.image {
            return Err(Error::ColumnTaken { column: member.name.clone() });
        }
        columns.push((member.name.clone(), member.open(path)?));
    }
    Ok((table(columns, options)?, rows as u64))
}

fn images<'a>(members: &'a [Member], name: &str, image: &str) -> Result<&'a Member> {
    if let Some(named) = members.iter().find(|member| member.name == image && member.header.shape.len() > 1) {
        return Ok(named);
    }
    let mut candidates =
        members.iter().filter(|member| member.header.shape.len() > 1 && !member.header.element.is_text());
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Error::format(name, "none of its arrays holds images")),
        (Some(first), Some(_)) => {
            let all = members.iter().filter(|member| member.header.shape.len() > 1);
            let listed: Vec<_> = all.map(|member| format!("`{}` ({})", member.name, member.header)).collect();
            let message = format!(
                "holds several arrays of images, {}: choose one, as with --image {}",
                listed.join(", "),
                first.name
            );
            Err(Error::format(name, message))
        }
    }
}

/// The arrays of the archive whose type can be read, in its order.
fn members(file: File, path: &Path, name: &str) -> Result<Vec<Member>> {
    let damaged = |e: &dyn std::fmt::Display| Error::format(name, format!("not a readable NPZ file: {e}"));
    let length = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| damaged(&e))?;
    if archive.len() > MAX_MEMBERS {
        return Err(damaged(&format!("it has {} members", archive.len())));
    }
    let mut members = Vec::new();
    for at in 0..archive.len() {
        let entry = archive.by_index_raw(at).map_err(|e| damaged(&e))?;
        let full = entry.name().map_err(|e| damaged(&e))?.into_owned();
        let Some(member) = full.strip_suffix(".npy") else { continue };
        let deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            other => return Err(damaged(&format!("`{full}` is compressed by {other}, not deflated or stored"))),
        };
        let (start, packed, size) = (entry.data_start(), entry.compressed_size(), entry.size());
        let start = start.filter(|start| start.checked_add(packed).is_some_and(|end| end <= length));
        let (Some(start), false) = (start, entry.encrypted()) else {
            return Err(damaged(&format!("`{full}` is encrypted or lies beyond the end of the file")));
        };
        let mut member = Member {
            name: member.to_owned(),
            in_messages: format!("{name}: {member}"),
            header: ArrayHeader { element: super::Element::U8, big_endian: false, fortran: false, shape: Vec::new() },
            deflated,
            start,
            packed,
            size,
            crc: entry.crc32(),
        };
        match npy::header(&mut member.bytes(path)?, &member.in_messages) {
            Ok((header, head)) => {
                header.check_size(size.saturating_sub(head), &member.in_messages)?;
                member.header = header;
                members.push(member);
            }
            // An array whose type cannot be a column, such as Python objects, may be beside those that are wanted.
            Err(error) => tracing::warn!(%error, "left out"),
        }
    }
    Ok(members)
}

impl Member {
    /// Its uncompressed bytes, read through a file handle of its own.
    fn bytes(&self, path: &Path) -> Result<Box<dyn Read + Send>> {
        let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        file.seek(SeekFrom::Start(self.start)).map_err(|e| Error::io("read", path, e))?;
        let packed = BufReader::with_capacity(128 << 10, file.take(self.packed));
        let plain: Box<dyn Read + Send> = match self.deflated {
            true => Box::new(DeflateDecoder::new(packed)),
            false => Box::new(packed),
        };
        Ok(Box::new(Checked { inner: CrcReader::new(plain), size: self.size, read: 0, crc: self.crc }))
    }

    fn open(&self, path: &Path) -> Result<ArrayColumn> {
        self.header.check(&self.in_messages)?;
        let mut bytes = self.bytes(path)?;
        let (header, head) = npy::header(&mut bytes, &self.in_messages)?;
        let place = (!self.deflated).then_some((path, self.start + head));
        ArrayColumn::new(header, bytes, place, &self.in_messages)
    }
}

/// Compares a member with the size and checksum in the directory of the archive.
struct Checked<R> {
    inner: CrcReader<R>,
    size: u64,
    read: u64,
    crc: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        let damaged = (read == 0 && !buffer.is_empty() && self.inner.crc().sum() != self.crc) || self.read > self.size;
        match damaged {
            true => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "its checksum or size is wrong")),
            false => Ok(read),
        }
    }
}
