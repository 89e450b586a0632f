//! The hashes by which DVC knows files and folders.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use rayon::prelude::*;

use super::digest::hex;
use crate::base::error::{Error, Result};

/// What `dvc add` notes as `md5` of a file or folder. Of a file it is the MD5 of its bytes. Of a folder it is the MD5 of a list of
/// the files in it and in its subfolders, sorted by their paths, with the ending `.dir`; the list is JSON as Python writes it:
/// `[{"md5": "…", "relpath": "label=3/part-0.parquet"}, …]`.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, or the name of a file in a folder is not Unicode.
pub fn dvc_md5(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let failed = |e| Error::io("read", path, e);
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return of_file(path).map_err(failed);
    }
    let mut files = Vec::new();
    walk(path, "", &mut files).map_err(failed)?;
    files.sort();
    let hashes = files.par_iter().map(|(name, path)| of_file(path).map(|hash| (name, hash)));
    let hashes = hashes.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let entries: Vec<String> = hashes
        .into_iter()
        .map(|(name, hash)| format!("{{\"md5\": \"{hash}\", \"relpath\": {}}}", quoted(name)))
        .collect();
    Ok(hex(&Md5::digest(format!("[{}]", entries.join(", ")))) + ".dir")
}

fn of_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Md5::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// All files below a folder, with their paths from there on.
fn walk(folder: &Path, above: &str, found: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| io::Error::other(format!("the name of {} is not Unicode", path.display())))?;
        let name = format!("{above}{name}");
        if path.is_dir() { walk(&path, &format!("{name}/"), found)? } else { found.push((name, path)) }
    }
    Ok(())
}

/// A text as Python's `json.dumps` writes it: in ASCII.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            '\u{8}' => quoted += "\\b",
            '\u{c}' => quoted += "\\f",
            ' '..='\u{7f}' => quoted.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                // A `String` takes everything.
                let _ = write!(quoted, "\\u{unit:04x}");
            }),
        }
    }
    quoted + "\""
}
