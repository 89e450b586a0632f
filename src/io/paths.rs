//! Finds the files that a name, a pattern or a folder stands for, in a stable order.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::formats::{Content, content_by_name};
use crate::base::error::{Error, Result};

/// One input, to be opened with one reader.
pub enum InputSource {
    /// A stream of bytes, and its name in messages.
    Stream(Box<dyn Read + Send>, String),
    File(PathBuf),
    /// Image files, a row each.
    Images(Arc<Vec<PathBuf>>),
}

impl InputSource {
    /// Whether its bytes may arrive at any time.
    pub fn is_live(&self) -> bool {
        match self {
            InputSource::Stream(..) => true,
            InputSource::File(path) => is_live(path),
            InputSource::Images(_) => false,
        }
    }
}

/// Whether a name of an input is that of a stream, whose bytes may arrive at any time: `-`, a FIFO, a device. A stream can be
/// read only once.
pub fn is_stream(path: impl AsRef<Path>) -> bool {
    path.as_ref().as_os_str() == "-" || is_live(path.as_ref())
}

fn is_live(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}

/// The name of a source in messages.
pub fn name_of(source: &InputSource) -> String {
    match source {
        InputSource::Stream(_, name) => name.clone(),
        InputSource::File(path) => path.display().to_string(),
        InputSource::Images(files) => files.first().map(|path| path.display().to_string()).unwrap_or_default(),
    }
}

fn is_image_name(path: &Path) -> bool {
    content_by_name(path) == Some(Content::Image)
}

/// The sources that the names stand for: `-` is stdin, a folder stands for the files in it, a pattern for the files that
/// match. Consecutive image files are one source.
pub fn resolve(names: impl IntoIterator<Item = PathBuf>) -> Result<Vec<InputSource>> {
    let mut sources = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            sources.push(InputSource::Stream(Box::new(std::io::stdin()), "stdin".to_owned()));
            continue;
        }
        for file in files(&name)? {
            match sources.last_mut() {
                Some(InputSource::Images(files)) if is_image_name(&file) => Arc::make_mut(files).push(file),
                _ if is_image_name(&file) => sources.push(InputSource::Images(vec![file].into())),
                _ => sources.push(InputSource::File(file)),
            }
        }
    }
    Ok(sources)
}

fn files(name: &Path) -> Result<Vec<PathBuf>> {
    let found = match fs::metadata(name) {
        Ok(there) if there.is_dir() => folder(name)?,
        Err(_) if name.to_str().is_some_and(|text| text.contains(['*', '?', '['])) => matching(name)?,
        // A missing file is an error when it is opened.
        _ => return Ok(vec![name.to_owned()]),
    };
    // A file of labels is read together with its file of images.
    #[cfg(feature = "arrays")]
    let found = super::arrays::without_labels(found);
    Ok(found)
}

/// The files that match a pattern; if it matches folders only, the files in them. Hidden files match only if the pattern
/// has the dot.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    let name = pattern.display().to_string();
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let found =
        glob::glob_with(&name, options).map_err(|e| Error::format(&name, format!("is not a valid pattern: {e}")))?;
    let unreadable = |error: glob::GlobError| {
        let path = error.path().to_owned();
        Error::io("read", path, error.into())
    };
    let found: Vec<PathBuf> = found.map(|path| path.map_err(unreadable)).collect::<Result<_>>()?;
    let (folders, files): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| path.is_dir());
    if files.is_empty() && folders.is_empty() {
        return Err(Error::format(name, "no file matches"));
    }
    if !files.is_empty() {
        return Ok(files);
    }
    let within: Vec<Vec<PathBuf>> = folders.iter().map(|path| folder(path)).collect::<Result<_>>()?;
    Ok(within.concat())
}

/// The files in a folder and its subfolders that have the ending of a known format: all files of rows, or all images.
/// Names that begin with a dot or an underscore are skipped.
fn folder(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(path, &mut Vec::new(), &mut found)?;
    let (images, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|file| is_image_name(file));
    let data: Vec<PathBuf> = others.into_iter().filter(|file| content_by_name(file) == Some(Content::Rows)).collect();
    let name = path.display();
    match (data.first(), images.first()) {
        (None, None) => Err(Error::format(name.to_string(), "is a folder without files of a known ending")),
        (Some(data), Some(image)) => {
            let message = format!(
                "holds both images ({}) and files of rows ({}): say which, as in '{name}/**/*.png'",
                image.display(),
                data.display()
            );
            Err(Error::format(name.to_string(), message))
        }
        (Some(_), None) => Ok(data),
        (None, Some(_)) => Ok(images),
    }
}

/// All files below a folder, by name; `above` are the folders on the way to it.
fn walk(folder: &Path, above: &mut Vec<PathBuf>, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e| Error::io("read", folder, e);
    let real = fs::canonicalize(folder).map_err(failed)?;
    if above.contains(&real) {
        return Err(Error::format(folder.display().to_string(), "is a link to a folder that contains it"));
    }
    above.push(real);
    let is_hidden = |name: &OsStr| matches!(name.as_encoded_bytes(), [b'.' | b'_', ..]);
    let mut entries: Vec<(OsString, bool)> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if !is_hidden(&name) {
            // A folder tells the type of each entry. Of a link it does not tell what the link leads to.
            let is_folder = match entry.file_type() {
                Ok(of) if !of.is_symlink() => of.is_dir(),
                _ => entry.path().is_dir(),
            };
            entries.push((name, is_folder));
        }
    }
    entries.sort();
    for (name, is_folder) in entries {
        let path = folder.join(name);
        if is_folder { walk(&path, above, found)? } else { found.push(path) }
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files and folders as a test wants them.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    fn found(root: &Path, name: &str) -> Vec<String> {
        let names = |files: &[PathBuf]| -> Vec<String> {
            let below = |file: &PathBuf| file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            files.iter().map(below).collect()
        };
        let sources = resolve([root.join(name)]).unwrap();
        sources
            .iter()
            .map(|source| match source {
                InputSource::Stream(_, name) => name.clone(),
                InputSource::File(file) => names(std::slice::from_ref(file)).concat(),
                InputSource::Images(files) => format!("images {}", names(files).join(" ")),
            })
            .collect()
    }

    #[test]
    fn folders_and_patterns_stand_for_their_files_in_order() {
        let root = tree(&[
            "d/l=1/b.parquet",
            "d/l=1/a.parquet",
            "d/l=0/a.parquet",
            "d/_metadata",
            "d/.hidden.parquet",
            "d/README.md",
            "p/2/b.png",
            "p/10/a.JPG",
            "p/a.png",
            "q/[1].json",
        ]);
        let rows = ["d/l=0/a.parquet", "d/l=1/a.parquet", "d/l=1/b.parquet"];
        for name in ["d", "d/**/*.parquet", "d/*/*", "d/l=*"] {
            assert_eq!(found(root.path(), name), rows, "{name}");
        }
        assert_eq!(found(root.path(), "d/l=?/b*"), [rows[2]]);
        assert_eq!(found(root.path(), "p/*/*.JPG"), ["images p/10/a.JPG"]);
        assert!(resolve([root.path().join("p/*/*.jpg")]).is_err(), "patterns are case-sensitive");
        assert_eq!(found(root.path(), "d/README.md"), ["d/README.md"]);
        assert_eq!(found(root.path(), "p"), ["images p/10/a.JPG p/2/b.png p/a.png"]);
        assert_eq!(found(root.path(), "q/[1].json"), ["q/[1].json"], "a file of that name comes first");
        assert_eq!(found(root.path(), "missing"), ["missing"]);
        assert_eq!(found(Path::new(""), "-"), ["stdin"]);
    }

    #[test]
    fn what_stands_for_no_file_or_for_two_kinds_is_refused() {
        let root = tree(&["empty/README.md", "both/a.png", "both/b.parquet"]);
        for (name, why) in [
            ("*.parquet", "no file matches"),
            ("empty", "without files of a known ending"),
            ("both", "holds both images"),
        ] {
            let error = resolve([root.path().join(name)]).err().unwrap().to_string();
            assert!(error.contains(why) && error.contains(name), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_within_itself_is_refused() {
        let root = tree(&["a/b/x.parquet"]);
        std::os::unix::fs::symlink(root.path().join("a"), root.path().join("a/b/up")).unwrap();
        let error = resolve([root.path().join("a")]).err().unwrap().to_string();
        assert!(error.contains("a/b/up: is a link to a folder that contains it"), "{error}");
    }
}
