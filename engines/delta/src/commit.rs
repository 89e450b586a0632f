//! Rows into a table: files first, then one commit that makes all of them visible at once.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatchReader;
use arrow_schema::{DataType, Field, Schema};
use deltalake::DeltaTableError;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, PreCommit, TableReference, TransactionError};
use deltalake::kernel::{Action, Add, Metadata, Protocol, StructType, new_metadata};
use deltalake::protocol::{DeltaOperation, SaveMode};
use pixelfeat::io;
use serde_json::{Value, json};

use crate::columns::{Converted, declared, stored};
use crate::error::{Error, Result};
use crate::files::{DataFile, DataFiles, may_become_table};
use crate::log::LOG;
use crate::properties;
use crate::table::{Table, runtime, unloaded};

/// Bytes of rows in a file before encoding, about: what Delta's tools take for a good size once it is compressed.
const FILE_BYTES: usize = 256 << 20;
/// How often a commit is tried again when others were faster.
const RETRIES: usize = 15;

/// What becomes of the rows that the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They stay. The new ones must have the same columns and features.
    Append,
    /// The new ones replace them, with their columns. Old versions can still be read.
    Overwrite,
}

/// How to write rows into a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TableOptions {
    /// What becomes of the rows that the table has.
    pub mode: Mode,
    /// The codec of the files, and what the commit says beside Delta's own entries: the pairs that a file would have in its
    /// footer. Partitions are not supported.
    pub write: io::WriteOptions,
    /// Bytes of rows in a file before encoding, about.
    pub file_bytes: usize,
}

impl TableOptions {
    /// Files of 256 MiB of rows before encoding.
    pub fn new(mode: Mode) -> Self {
        Self { mode, write: io::WriteOptions::default(), file_bytes: FILE_BYTES }
    }

    /// Sets the codec and what the commit says.
    pub fn with_write(self, write: io::WriteOptions) -> Self {
        Self { write, ..self }
    }

    /// Sets the bytes of rows in a file before encoding.
    pub fn with_file_bytes(self, file_bytes: usize) -> Self {
        Self { file_bytes, ..self }
    }
}

/// What was written into a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The version that has the rows.
    pub version: u64,
    /// The rows that were written.
    pub rows: u64,
    /// The bytes of their files.
    pub bytes: u64,
    /// How many files there are.
    pub files: usize,
}

/// Writes everything that a reader yields into a table, which is created if there is none. The rows appear all at once with the
/// commit at the end; if anything fails, nothing of them appears. Memory is bounded, however many rows there are.
///
/// # Errors
/// As [`prepare`] and [`Prepared::commit`].
pub fn write(path: impl AsRef<Path>, reader: impl RecordBatchReader, options: &TableOptions) -> Result<Committed> {
    prepare(path, reader, options)?.commit()
}

/// As [`write()`], but the rows appear only with [`Prepared::commit`], so that other things can be done before.
///
/// # Errors
/// - [`Error::NotATable`] if there is a folder with other files, or a file; [`Error::Log`] if the log is damaged.
/// - [`Error::UnsupportedColumn`] if Delta has no type for a column.
/// - [`Error::OtherColumns`] and [`Error::OtherFeatures`] if rows to append do not fit.
/// - [`Error::Unsupported`] if the table has partitions, constraints or other things that this crate does not know.
/// - Every error of the reader and of the disk.
pub fn prepare(path: impl AsRef<Path>, reader: impl RecordBatchReader, options: &TableOptions) -> Result<Prepared> {
    let path = path.as_ref();
    let rows = Rows::new(&reader.schema(), options)?;
    let table = if path.join(LOG).is_dir() && Table::has_commits(path) {
        let table = Table::open(path, None)?;
        rows.fit(&table)?;
        Some(table)
    } else {
        let why = |why: String| Error::NotATable { table: path.to_owned(), why };
        match may_become_table(path) {
            Ok(true) => None,
            Ok(false) => return Err(why(format!("it is a folder with other files and no {LOG}"))),
            Err(error) => return Err(why(error.to_string())),
        }
    };
    let reader = Converted::new(reader, rows.stored.clone());
    let files = DataFiles::write(path, reader, &options.write, options.file_bytes)?;
    let about = options.write.footer.pairs()?;
    Ok(Prepared { path: path.to_owned(), rows, table, files, about: about.into_iter().collect() })
}

/// What the rows are.
struct Rows {
    mode: Mode,
    schema: Schema,
    /// In the files.
    stored: Schema,
    /// In the table.
    declared: Schema,
}

impl Rows {
    fn new(schema: &Schema, options: &TableOptions) -> Result<Self> {
        if options.write.partition_by.is_some() {
            let why = "tables with partitions are not supported".to_owned();
            return Err(pixelfeat::Error::InvalidOption { option: "partition-by", why }.into());
        }
        let stored = stored(schema)?;
        Ok(Self { mode: options.mode, schema: schema.clone(), declared: declared(&stored), stored })
    }

    /// Checks that the rows fit a table.
    fn fit(&self, table: &Table) -> Result<()> {
        let (properties, columns) = (table.properties()?, table.columns()?);
        let refuse = |why: String| Err(Error::Unsupported { table: table.path().to_owned(), why });
        if !table.snapshot()?.metadata().partition_columns().is_empty() {
            return refuse("the table has partitions, which are not supported".to_owned());
        }
        table.check_names()?;
        if let Some(key) = properties.keys().find(|key| key.starts_with("delta.constraints.")) {
            return refuse(format!("rows must meet the constraint {key}, which is not supported"));
        }
        let rules = ["delta.invariants", "delta.generationExpression", "delta.identity.start"];
        let has_rule = |field: &Field| rules.iter().any(|rule| field.metadata().contains_key(*rule));
        if let Some(field) = columns.fields().iter().find(|field| has_rule(field)) {
            return refuse(format!(
                "column `{}` has an invariant or makes its own values, which is not supported",
                field.name()
            ));
        }
        if self.mode == Mode::Overwrite {
            return if has_local_times(&self.declared) && !has_local_times(&columns) {
                refuse("the table cannot hold times without a time zone: write these rows to a new table".to_owned())
            } else {
                Ok(())
            };
        }
        if let Some((key, has, given)) = properties::difference(&properties, &self.schema) {
            return Err(Error::OtherFeatures { table: table.path().to_owned(), key, has, given });
        }
        match self.misfits(&columns, &properties::original(&properties, &columns)) {
            why if why.is_empty() => Ok(()),
            why => Err(Error::OtherColumns { table: table.path().to_owned(), why: why.join("; ") }),
        }
    }

    /// How the columns differ from those of a table, and from those of its first rows, which came in the types of `original`.
    fn misfits(&self, columns: &Schema, original: &Schema) -> Vec<String> {
        let table = declared(columns);
        let mut why = Vec::new();
        for (field, own) in self.declared.fields().iter().zip(self.schema.fields()) {
            let name = field.name();
            match (table.field_with_name(name), columns.field_with_name(name), original.field_with_name(name)) {
                (Ok(known), _, _) if known.data_type() != field.data_type() => {
                    why.push(format!("column `{name}` is {}, in the table {}", field.data_type(), known.data_type()));
                }
                (_, Ok(known), _) if own.is_nullable() && !known.is_nullable() => {
                    why.push(format!("column `{name}` may be null, but not in the table"));
                }
                (_, Ok(known), Ok(first))
                    if first.data_type() != own.data_type() && first.data_type() != known.data_type() =>
                {
                    why.push(format!("column `{name}` is {}, in the table {}", own.data_type(), first.data_type()));
                }
                (Err(_), ..) => why.push(format!("the table has no column `{name}`")),
                _ => {}
            }
        }
        let missing = table.fields().iter().filter(|field| self.declared.field_with_name(field.name()).is_err());
        why.extend(missing.map(|field| format!("they have no column `{}`", field.name())));
        why
    }
}

/// Rows in files that no commit names yet. If this is dropped without [`Prepared::commit`], they are removed.
pub struct Prepared {
    path: PathBuf,
    rows: Rows,
    /// The version that the run began with; `None` if there was no table.
    table: Option<Table>,
    files: DataFiles,
    /// What the commit says.
    about: Vec<(String, String)>,
}

impl Prepared {
    /// Makes the rows visible, as a new version.
    ///
    /// Others may have written to the table meanwhile. Rows that they appended stay beside rows that are appended here.
    ///
    /// # Errors
    /// [`Error::Conflict`] if others changed what these rows depend on: the columns or the features, or with
    /// [`Mode::Overwrite`] anything. Then nothing of these rows is left.
    pub fn commit(mut self) -> Result<Committed> {
        match self.table.take() {
            Some(table) => self.commit_to(Some(table)),
            None => match self.commit_to(None) {
                // Another writer has created the table. Rows to append go into it if they fit.
                Err(Error::Conflict { .. }) if self.rows.mode == Mode::Append => {
                    let table = Table::open(&self.path, None)?;
                    self.rows.fit(&table)?;
                    self.commit_to(Some(table))
                }
                result => result,
            },
        }
    }

    fn commit_to(&mut self, table: Option<Table>) -> Result<Committed> {
        let path = self.path.clone();
        let failed = |error| Error::delta(&path, error);
        let mut actions = Vec::new();
        match &table {
            None => actions.extend(self.creation().map_err(failed)?),
            Some(table) if self.rows.mode == Mode::Overwrite => {
                let snapshot = table.snapshot()?;
                actions.extend(self.new_metadata(snapshot.metadata()).map_err(failed)?.map(Action::Metadata));
                actions.extend(snapshot.log_data().iter().map(|file| Action::Remove(file.remove_action(true))));
            }
            Some(_) => {}
        }
        actions.extend(self.additions().into_iter().map(Action::Add));
        let (retries, mode) = match self.rows.mode {
            Mode::Append => (RETRIES, SaveMode::Append),
            // What others have written since would be neither kept nor replaced.
            Mode::Overwrite => (0, SaveMode::Overwrite),
        };
        let info = self.about.iter().map(|(key, text)| {
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
            (key.clone(), value)
        });
        let properties = CommitProperties::default()
            .with_metadata(info)
            .with_max_retries(if table.is_some() { retries } else { 0 })
            .with_cleanup_expired_logs(Some(false));
        let operation = DeltaOperation::Write { mode, partition_by: None, predicate: None };
        let builder = CommitBuilder::from(properties).with_actions(actions);
        let version = match &table {
            Some(table) => {
                let state = table.snapshot()? as &dyn TableReference;
                let commit = builder.build(Some(state), table.table.log_store(), operation);
                table.runtime.block_on(self.finish(commit))
            }
            None => {
                let new = unloaded(&path)?;
                runtime(&path)?.block_on(self.finish(builder.build(None, new.log_store(), operation)))
            }
        }?;
        let written = self.files.files.iter().map(|file| file.written);
        let (rows, bytes) = written.fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
        Ok(Committed { version, rows, bytes, files: self.files.files.len() })
    }

    async fn finish(&mut self, commit: PreCommit<'_>) -> Result<u64> {
        let path = self.path.clone();
        let prepared = commit.into_prepared_commit_future().await.map_err(|error| Error::delta(&path, error))?;
        let committed = match prepared.await {
            Ok(committed) => committed,
            Err(error) => return Err(self.not_committed(error)),
        };
        self.files.keep();
        let version = committed.version;
        // The rows are in the table. What remains are checkpoints, which the next writer makes up for.
        let _ = committed.await;
        Ok(version)
    }

    /// Why there is no commit. If it is not certain that there is none, the files stay; they are no part of the table.
    fn not_committed(&mut self, error: DeltaTableError) -> Error {
        let conflict = |why: String| Error::Conflict { table: self.path.clone(), why };
        match error {
            DeltaTableError::VersionAlreadyExists(version) => conflict(format!("version {version} exists already")),
            DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) } => {
                conflict("it has a newer version".to_owned())
            }
            DeltaTableError::Transaction { source: TransactionError::CommitConflict(why) } => conflict(why.to_string()),
            other => {
                self.files.keep();
                Error::delta(&self.path, other)
            }
        }
    }

    /// What the first commit of a table says of it.
    fn creation(&self) -> Result<[Action; 2], DeltaTableError> {
        let protocol = if has_local_times(&self.rows.declared) {
            let features = ["timestampNtz"];
            json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features })
        } else {
            json!({ "minReaderVersion": 1, "minWriterVersion": 2 })
        };
        let protocol: Protocol = serde_json::from_value(protocol)?;
        let metadata = new_metadata(&self.columns()?, Vec::<String>::new(), properties::of(&self.rows.schema))?;
        Ok([Action::Protocol(protocol), Action::Metadata(metadata)])
    }

    /// The metadata of the table with the columns and properties of these rows; `None` if they are the same.
    fn new_metadata(&self, old: &Metadata) -> Result<Option<Metadata>, DeltaTableError> {
        let mut properties = old.configuration().clone();
        properties.retain(|key, _| !key.starts_with("pixelfeat."));
        properties.extend(properties::of(&self.rows.schema));
        let columns = self.columns()?;
        if properties == *old.configuration() && columns == old.parse_schema()? {
            return Ok(None);
        }
        let mut metadata = serde_json::to_value(old)?;
        metadata["schemaString"] = serde_json::to_string(&columns)?.into();
        metadata["configuration"] = serde_json::to_value(properties)?;
        Ok(Some(serde_json::from_value(metadata)?))
    }

    fn columns(&self) -> Result<StructType, DeltaTableError> {
        Ok((&self.rows.declared).try_into_kernel()?)
    }

    fn additions(&self) -> Vec<Add> {
        // The files of a commit have one time, so that their order is that of commits and then of names.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let add = |file: &DataFile| Add {
            path: file.name.clone(),
            partition_values: HashMap::new(),
            size: file.written.bytes as i64,
            modification_time: now,
            data_change: true,
            stats: Some(file.statistics.to_json().to_string()),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        };
        self.files.files.iter().map(add).collect()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("path", &self.path).field("files", &self.files).finish()
    }
}

/// Whether a column has times without a time zone, which only newer tables can hold.
fn has_local_times(schema: &Schema) -> bool {
    fn is_local(data_type: &DataType) -> bool {
        match data_type {
            DataType::Timestamp(_, None) => true,
            DataType::List(item) => is_local(item.data_type()),
            DataType::Struct(fields) => fields.iter().any(|field| is_local(field.data_type())),
            _ => false,
        }
    }
    schema.fields().iter().any(|field| is_local(field.data_type()))
}
