//! A version of a table: its files, its properties and its rows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatchReader as _;
use arrow_schema::{Field, Fields, Schema, SchemaRef};
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use pixelfeat::io;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::error::{Error, Result};
use crate::files::is_own;
use crate::log::{LOG, not_a_table};
use crate::properties;
use crate::reader::TableReader;

/// A version of a table.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    pub(crate) runtime: Runtime,
    pub(crate) table: DeltaTable,
}

impl Table {
    /// Opens a version, or the latest one.
    ///
    /// # Errors
    /// [`Error::NotATable`], [`Error::NoSuchVersion`], and [`Error::Log`] if the log has a gap or is damaged.
    pub fn open(path: impl AsRef<Path>, version: Option<u64>) -> Result<Self> {
        let path = path.as_ref();
        if !path.join(LOG).is_dir() {
            return Err(not_a_table(path));
        }
        let (runtime, mut table) = (runtime(path)?, unloaded(path)?);
        let table = runtime.block_on(async {
            match version {
                Some(version) => table.load_version(version).await?,
                None => table.load().await?,
            }
            Ok(table)
        });
        match table {
            Ok(table) => Ok(Self { path: path.to_owned(), runtime, table }),
            Err(error) => Err(unreadable(path, version, error)),
        }
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which version it is.
    pub fn version(&self) -> u64 {
        self.table.version().unwrap_or_default()
    }

    /// The table's properties, such as `pixelfeat.features`.
    pub fn properties(&self) -> Result<HashMap<String, String>> {
        Ok(self.snapshot()?.metadata().configuration().clone())
    }

    /// The columns in Delta's types.
    pub fn columns(&self) -> Result<SchemaRef> {
        Ok(self.snapshot()?.snapshot().arrow_schema())
    }

    /// The files of the version, oldest first; those of a commit in the order in which they were written.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if rows of a file are deleted, or columns have other names in the files.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let refuse = |why: &str| Err(Error::Unsupported { table: self.path.clone(), why: why.to_owned() });
        let snapshot = self.snapshot()?;
        self.check_names()?;
        let mut files = Vec::new();
        for file in snapshot.log_data().iter() {
            if file.deletion_vector_descriptor().is_some() {
                return refuse("rows are deleted by deletion vectors, which are not supported: purge the table first");
            }
            let path = file.path();
            let told = |column: &String| path.split('/').any(|folder| folder.starts_with(&format!("{column}=")));
            if !file.partition_values_map().keys().all(told) {
                return refuse("the folders of the files do not tell the columns that it is partitioned by");
            }
            files.push((file.modification_time(), path.into_owned()));
        }
        files.sort();
        // An absolute path replaces the table's.
        Ok(files.into_iter().map(|(_, path)| self.path.join(path)).collect())
    }

    /// Reads the rows. The columns have the types that they had when they were written, and the schema says of the features
    /// what a file of them would say.
    ///
    /// # Errors
    /// - As [`Table::files`] and [`io::open_all`]. The reader fails at a value that another writer has added and that is not of
    ///   the column's type.
    /// - [`pixelfeat::Error::InvalidOption`] for a sample of a table to which others have written.
    pub fn read(&self, options: &io::ReadOptions) -> Result<TableReader> {
        let files = self.files()?;
        let known = |columns: &Schema| Ok::<_, Error>(properties::original(&self.properties()?, columns));
        if files.iter().all(|file| is_own(file)) && !files.is_empty() {
            let reader = io::open_all(files, options)?;
            let schema = known(&reader.schema())?;
            return Ok(TableReader::of_files(reader, schema));
        }
        // Files of other writers may lack columns, and have others of a type that holds the same values.
        let columns = self.columns()?;
        let is_wanted = |field: &Field| match &options.columns {
            Some(names) => names.contains(field.name()) || *field.name() == options.image,
            None => true,
        };
        let columns = columns.fields().iter().filter(|field| is_wanted(field)).cloned().collect::<Fields>();
        TableReader::of_mixed_files(files, known(&Schema::new(columns))?, options)
    }

    /// Refuses columns that have other names in the files.
    pub(crate) fn check_names(&self) -> Result<()> {
        if self.properties()?.get("delta.columnMapping.mode").is_some_and(|mode| mode != "none") {
            let why = "the columns have other names in the files (column mapping), which is not supported";
            return Err(Error::Unsupported { table: self.path.clone(), why: why.to_owned() });
        }
        Ok(())
    }

    pub(crate) fn snapshot(&self) -> Result<&DeltaTableState> {
        self.table.snapshot().map_err(|error| Error::delta(&self.path, error))
    }

    /// Whether there is anything in the log.
    pub(crate) fn has_commits(path: &Path) -> bool {
        std::fs::read_dir(path.join(LOG)).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// The latest version whose commit stands in the log.
    fn latest(path: &Path) -> Option<u64> {
        let names = std::fs::read_dir(path.join(LOG)).ok()?.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.strip_suffix(".json")?.parse().ok()).max()
    }
}

/// A table of which nothing is read yet. Its folder is there.
pub(crate) fn unloaded(path: &Path) -> Result<DeltaTable> {
    let full = std::fs::canonicalize(path).map_err(|e| Error::io("open", path, e))?;
    let url = Url::from_directory_path(&full).map_err(|()| not_a_table(path))?;
    DeltaTableBuilder::from_url(url).and_then(DeltaTableBuilder::build).map_err(|error| Error::delta(path, error))
}

/// What deltalake's asynchronous calls run in.
pub(crate) fn runtime(path: &Path) -> Result<Runtime> {
    Builder::new_current_thread().build().map_err(|e| Error::io("start threads for", path, e))
}

fn unreadable(path: &Path, version: Option<u64>, error: DeltaTableError) -> Error {
    let latest = Table::latest(path);
    match (version, latest) {
        (Some(version), Some(latest)) if version > latest => {
            Error::NoSuchVersion { table: path.to_owned(), version, latest }
        }
        _ => Error::Log { table: path.to_owned(), why: error.to_string() },
    }
}
