//! What the inputs of a run are, for the record of its output.

use std::path::{Path, PathBuf};

use super::partition;
use super::paths::{InputSource, resolve};
use crate::base::error::Result;
use crate::lineage::Source;

/// The files that a name stands for, as [`open_all`](super::open_all) finds them, with the labels beside files of IDX.
///
/// # Errors
/// As [`open_all`](super::open_all) for names that stand for no files.
pub fn source(name: impl AsRef<Path>) -> Result<Source> {
    let name = name.as_ref();
    let mut source = Source { name: name.display().to_string(), ..Source::default() };
    for part in resolve([name.to_owned()])? {
        match part {
            part if part.is_live() => {}
            InputSource::Images(files) => {
                source.files.extend(files.iter().cloned());
                source.is_named = true;
            }
            InputSource::File(path) => {
                source.is_named |= !partition::of(&path).is_empty();
                let labels = labels_beside(&path);
                source.files.extend([path].into_iter().chain(labels));
            }
            InputSource::Stream(..) => {}
        }
    }
    source.is_named |= source.files.len() > 1;
    Ok(source)
}

#[cfg(feature = "arrays")]
fn labels_beside(path: &Path) -> Option<PathBuf> {
    super::arrays::labels_of(path)
}

#[cfg(not(feature = "arrays"))]
fn labels_beside(_path: &Path) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_stand_for_their_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["l=1/a.parquet", "l=2/a.parquet", "p/a.png", "plain.json"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let of = |name: &str| source(folder.path().join(name)).unwrap();
        assert_eq!((of("l=*/*.parquet").files.len(), of("l=*/*.parquet").is_named), (2, true));
        assert_eq!((of("plain.json").files.len(), of("plain.json").is_named), (1, false));
        assert!(of("l=1/a.parquet").is_named && of("p").is_named && of("p/a.png").is_named);
        assert_eq!(source("-").unwrap().files, [""; 0].map(PathBuf::from));
        assert!(source(folder.path().join("*.npz")).is_err());
    }
}
