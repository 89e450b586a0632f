//! The files of an input: their sizes and hashes, and whether they change.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use super::input::Input;
use crate::base::error::{Error, Result};

/// An input of a run, and the files that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Source {
    /// Its name, as it was given; `-` for stdin.
    pub name: String,
    /// The option that names it, if rows are not read from it.
    pub option: Option<String>,
    /// Its files, in the order in which they are read; none for a stream.
    pub files: Vec<PathBuf>,
    /// Whether rows hold something of its name ([`Input::is_named`]).
    pub is_named: bool,
}

/// What tells that a file is another one than before.
type State = Option<(u64, Option<SystemTime>)>;

impl Source {
    /// A file that an option names.
    pub fn of_option(option: &str, path: &Path) -> Self {
        let (name, option) = (path.display().to_string(), Some(option.to_owned()));
        Self { name, option, files: vec![path.to_owned()], is_named: false }
    }

    /// Its name, number of files and size, without rows and hash.
    pub fn measured(&self) -> Input {
        let sizes = self.files.iter().map(|path| fs::metadata(path).ok().map(|about| about.len()));
        Input {
            name: self.name.clone(),
            option: self.option.clone(),
            files: self.files.len() as u64,
            bytes: if self.files.is_empty() { None } else { sizes.sum() },
            is_named: self.is_named,
            ..Input::default()
        }
    }

    /// The hash of its files, by the rule of [`Input::blake3`]; `None` for a stream.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read.
    pub fn hash(&self) -> Result<Option<String>> {
        match &self.files[..] {
            [] => Ok(None),
            [file] if self.name == file.display().to_string() => file_hash(file).map(Some),
            files => {
                let mut lines = blake3::Hasher::new();
                for file in files {
                    lines.update(format!("{}  {}\n", file_hash(file)?, file.display()).as_bytes());
                }
                Ok(Some(lines.finalize().to_string()))
            }
        }
    }

    fn states(&self) -> Vec<State> {
        let state = |path: &PathBuf| fs::metadata(path).ok().map(|about| (about.len(), about.modified().ok()));
        self.files.iter().map(state).collect()
    }
}

/// The BLAKE3 hash of the bytes of a file, in hexadecimal.
fn file_hash(path: &Path) -> Result<String> {
    let hash = || -> io::Result<String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        Ok(hasher.finalize().to_string())
    };
    hash().map_err(|e| Error::io("hash", path, e))
}

/// Gives this thread a low priority, so that it mostly takes the time in which a run leaves a core idle. Where that cannot be, it
/// goes on as it is.
fn stand_back() {
    // Elsewhere the priority is that of the whole process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(10);
}

/// The hashes of sources, computed on a thread beside a run.
#[derive(Debug)]
pub(super) struct Hashes(Mutex<Hashing>);

#[derive(Debug)]
enum Hashing {
    Runs(JoinHandle<Vec<Result<Option<String>>>>, Vec<Vec<State>>),
    /// The hashes, and what is to be said.
    Done(Vec<Option<String>>, Vec<String>),
}

impl Hashes {
    /// Starts the thread.
    pub fn start(sources: &[Source]) -> Result<Self> {
        let before = sources.iter().map(Source::states).collect();
        let sources = sources.to_owned();
        let work = move || {
            stand_back();
            sources.iter().map(Source::hash).collect()
        };
        let thread = thread::Builder::new().name("pixelfeat-hash".to_owned()).spawn(work);
        let thread = thread.map_err(|e| Error::Internal(format!("pixelfeat-hash: {e}")))?;
        Ok(Self(Mutex::new(Hashing::Runs(thread, before))))
    }

    /// Waits for the hashes of the sources it was started with. The second value is what is to be said of them: that one
    /// could not be read, or changed meanwhile.
    pub fn wait(&self, sources: &[Source]) -> (Vec<Option<String>>, Vec<String>) {
        let mut hashing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = std::mem::replace(&mut *hashing, Hashing::Done(Vec::new(), Vec::new()));
        let (hashes, told) = match running {
            Hashing::Done(hashes, told) => (hashes, told),
            Hashing::Runs(thread, before) => {
                let results = thread.join().unwrap_or_default();
                let mut told = Vec::new();
                let mut hashes = Vec::new();
                for (at, source) in sources.iter().enumerate() {
                    if source.states() != before[at] {
                        told.push(format!(
                            "{} changed while it was read: its hash may not be that of the rows",
                            source.name
                        ));
                    }
                    hashes.push(match results.get(at) {
                        Some(Ok(hash)) => hash.clone(),
                        Some(Err(error)) => {
                            told.push(error.to_string());
                            None
                        }
                        None => None,
                    });
                }
                (hashes, told)
            }
        };
        *hashing = Hashing::Done(hashes.clone(), told.clone());
        (hashes, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, files: &[&Path]) -> Source {
        let files = files.iter().map(|path| (*path).to_owned()).collect();
        Source { name: name.to_owned(), files, ..Source::default() }
    }

    /// Those that `b3sum` prints.
    #[test]
    fn hashes_are_those_of_b3sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let name = path.display().to_string();
        let abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(source(&name, &[&path]).hash().unwrap().as_deref(), Some(abc));
        let lines = blake3::hash(format!("{abc}  {name}\n{abc}  {name}\n").as_bytes()).to_string();
        assert_eq!(source("*", &[&path, &path]).hash().unwrap(), Some(lines));
        assert_eq!(source("-", &[]).hash().unwrap(), None);
        let measured = source("*", &[&path, &path]).measured();
        assert_eq!((measured.files, measured.bytes), (2, Some(6)));
        assert!(
            source("x", &[Path::new("missing")]).hash().unwrap_err().to_string().starts_with("cannot hash missing")
        );
    }

    #[test]
    fn a_change_beside_the_run_is_told_once_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "abc").unwrap();
        let sources = [source("a", &[&path])];
        let hashes = Hashes::start(&sources).unwrap();
        fs::write(&path, "abcd").unwrap();
        let (_, told) = hashes.wait(&sources);
        assert!(told[0].contains("a changed while it was read"), "{told:?}");
        assert_eq!(hashes.wait(&sources).1, told, "it is still known");
        let still = Hashes::start(&sources).unwrap();
        assert_eq!(still.wait(&sources).1, [""; 0]);
    }
}
