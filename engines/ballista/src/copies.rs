//! What a `COPY … TO` leaves in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::logical_expr::LogicalPlan;

use crate::Result;

/// A folder that a `COPY` writes to, and the files that it had before.
pub struct Target {
    folder: PathBuf,
    before: BTreeSet<PathBuf>,
}

impl Target {
    /// The target of a plan, if it writes to a path or to a URL `file://…`. The plan gets a URL, because executors have folders
    /// of their own, where a relative path would lead elsewhere.
    ///
    /// # Errors
    /// The URL is not valid, or the folder is there, but cannot be read.
    pub fn of(plan: &mut LogicalPlan) -> Result<Option<Self>> {
        let LogicalPlan::Copy(copy) = plan else { return Ok(None) };
        let url = ListingTableUrl::parse(&copy.output_url)?;
        let folder = match url.get_url().to_file_path() {
            Ok(folder) if url.scheme() == "file" => folder,
            _ => return Ok(None),
        };
        copy.output_url = url.as_str().to_owned();
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
/// if the values of columns tell the folder. None of a file that is not complete: its name ends in `#` and a number. It keeps that
/// name if its writer is killed, and nobody reads it.
fn attempt(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    let (_, end) = name.rsplit_once('#').unwrap_or_default();
    let is_complete = end.is_empty() || end.contains(|c: char| !c.is_ascii_digit());
    name.split(['_', '.']).next().filter(|_| is_complete)
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
    use datafusion::prelude::SessionContext;
    use tokio::runtime::Runtime;

    use super::*;

    /// The folder of a statement, and what executors are told.
    fn target(to: &str) -> Option<(PathBuf, String)> {
        let sql = format!("COPY (SELECT 1 AS n) TO '{to}' STORED AS PARQUET");
        let state = SessionContext::new().state();
        let mut plan = Runtime::new().unwrap().block_on(state.create_logical_plan(&sql)).unwrap();
        let folder = Target::of(&mut plan).unwrap()?.folder;
        let LogicalPlan::Copy(copy) = plan else { panic!("{plan}") };
        Some((folder, copy.output_url))
    }

    #[test]
    fn paths_and_urls_of_files_are_told_from_other_urls() {
        let url = "file:///none/a%20b%231/".to_owned();
        let expected = Some(("/none/a b#1/".into(), url.clone()));
        assert_eq!(target("/none/a b#1/"), expected);
        assert_eq!(target(&url), expected);
        let (folder, url) = target("none/a.parquet").unwrap();
        assert!(folder == std::path::absolute("none/a.parquet").unwrap() && url.starts_with("file:///"), "{url}");
        assert_eq!(target("s3://none/a/"), None);
    }

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
        let one_each = [
            &["a_0.parquet", "a_1.parquet"][..],
            &["part=1/b.parquet", "part=2/b.parquet"],
            &["e_0.parquet#1", "f_0.parquet"],
            &[],
        ];
        for names in one_each {
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
