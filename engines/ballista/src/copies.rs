//! What a `COPY … TO` leaves in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};

use datafusion::logical_expr::LogicalPlan;

use crate::Result;

/// A folder that a `COPY` writes to, and the files that it had before.
pub struct Target {
    folder: PathBuf,
    before: BTreeSet<PathBuf>,
}

impl Target {
    /// The target of a plan, if it writes to a path. A relative one becomes absolute: executors have folders of their own.
    ///
    /// # Errors
    /// The folder is there, but cannot be read.
    pub fn of(plan: &mut LogicalPlan) -> Result<Option<Self>> {
        let LogicalPlan::Copy(copy) = plan else { return Ok(None) };
        if copy.output_url.contains("://") {
            return Ok(None);
        }
        let is_folder = copy.output_url.ends_with('/');
        let folder = absolute(&copy.output_url)?;
        let text = folder.to_str().ok_or("the path of COPY … TO is not UTF-8")?;
        copy.output_url = text.trim_end_matches('/').to_owned() + if is_folder { "/" } else { "" };
        let before = files(&folder)?;
        Ok(Some(Self { folder, before }))
    }

    /// Whether the new files are all of one attempt.
    ///
    /// One task writes. If its executor is lost, another one writes all files once more, under other names; those that were
    /// complete stay, and nothing but their names tells them apart.
    ///
    /// # Errors
    /// There are files of several attempts, or the folder cannot be read.
    pub fn check(self) -> Result<()> {
        let files = files(&self.folder)?;
        let attempts: BTreeSet<&str> = files.difference(&self.before).filter_map(|file| attempt(file)).collect();
        if attempts.len() < 2 {
            return Ok(());
        }
        Err(format!(
            "{} has some rows twice: an executor was lost while it wrote, and another one wrote again (or another program \
             wrote there at the same time). The names of the files begin with {}. Remove the new files and run the \
             statement again",
            self.folder.display(),
            Vec::from_iter(attempts).join(" and ")
        )
        .into())
    }
}

/// What the names of all files of one attempt begin with: DataFusion names them `ATTEMPT_NUMBER.ENDING`, or `ATTEMPT.ENDING`
/// if the values of columns tell the folder.
fn attempt(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    name.split(['_', '.']).next()
}

/// All files in a folder and those below it; none if it is no folder.
fn files(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_two_attempts_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let target = || Target { folder: folder.path().to_owned(), before: files(folder.path()).unwrap() };
        write("old_0.parquet");
        for names in [&["a_0.parquet", "a_1.parquet"][..], &["part=1/b.parquet", "part=2/b.parquet"], &[]] {
            let target = target();
            names.iter().for_each(|name| write(name));
            target.check().unwrap();
        }
        let two = target();
        ["part=1/c.parquet", "part=1/d.parquet"].iter().for_each(|name| write(name));
        let told = two.check().unwrap_err().to_string();
        assert!(told.contains("begin with c and d"), "{told}");
    }
}
