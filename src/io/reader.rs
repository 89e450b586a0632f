//! Several files as one input, of which some columns and rows are read.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::batches::{Batches, changed};
use super::footer::without_own_keys;
use super::input;
use super::options::{ReadOptions, Rows};
use super::partition;
use super::paths::{InputSource, name_of, resolve};
use super::progress::Progress;
use super::sample::Sample;
use crate::base::error::{Error, Result};
use crate::base::warnings::Warnings;
use crate::images::defect::is_defects;
use crate::run::origins::RowOrigins;

/// Opens one input, as [`open_all`] does with one name.
///
/// # Errors
/// As [`open_all`].
pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Reader> {
    open_all([path], options)
}

/// Opens several inputs, which are read one after the other as one. They must have the same columns, in any order.
///
/// # Names
/// `-` is stdin. A pattern with `*`, `**`, `?` or `[…]` stands for all files that match it, in the order of their names. A
/// folder stands for the files in it and its subfolders, in the order of their names: all files of rows with the ending of a
/// known format, or all images. Names in a folder that begin with a dot or an underscore are skipped.
///
/// # Columns from names
/// A folder `label=3` on the path of a file gives its rows a column `label`, as in Hive, Spark, PyArrow, Daft and DuckDB. Its
/// values are integers if those of all files are, else strings. If the file itself has a column of that name, that one is
/// used. Each image file is a row: the image's bytes; `label`, the name of the folder that the file is in, an integer if
/// all are; and `path`.
///
/// # Errors
/// - [`Error::Io`] if a file cannot be opened or read. Files after the first are opened when their turn comes.
/// - [`Error::Format`] if a file is of no known format, is damaged, or its format is not built in; if nothing matches a
///   pattern, or a folder has no files of a known format; if the folders of some files name other columns than those of
///   others.
/// - [`Error::Syntax`], [`Error::NoSuchColumn`] if the first lines of a JSON file are not JSON, or have no images.
/// - [`Error::NoSuchColumn`] if there is no column that [`ReadOptions::columns`] names.
/// - [`Error::InvalidOption`] if there is no input, a batch is to have no rows, or there are labels for several files.
pub fn open_all<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>, options: &ReadOptions) -> Result<Reader> {
    open_sources(resolve(paths.into_iter().map(|path| path.as_ref().to_owned()))?, options)
}

/// Reads a stream of bytes: a socket, a child's stdout, bytes in memory. `name` is what errors call it.
///
/// A thread reads it ahead. If JSON or Arrow IPC pauses, the rows that have come so far come out, and then a batch without
/// rows, which says so ([`ReadOptions::max_delay`]).
///
/// Its first bytes tell the format, which must be one that needs no seeking: JSON (plain, gzip or zstd), an Arrow IPC stream,
/// IDX or NPY.
///
/// ```
/// # #[cfg(feature = "json")] {
/// use pixelfeat::io;
///
/// let text = r#"{"image": [0, 1, 2, 3], "label": 7}"#;
/// let mut reader = io::read(text.as_bytes(), "text", &io::ReadOptions::default())?;
/// assert_eq!(reader.next().unwrap()?.num_rows(), 1);
/// # }
/// # Ok::<_, pixelfeat::Error>(())
/// ```
///
/// # Errors
/// As [`open_all`]; [`Error::Format`] also if the format needs a regular file.
pub fn read(input: impl Read + Send + 'static, name: impl Into<String>, options: &ReadOptions) -> Result<Reader> {
    open_sources(vec![InputSource::Stream(Box::new(input), name.into())], options)
}

fn open_sources(sources: Vec<InputSource>, options: &ReadOptions) -> Result<Reader> {
    let refuse = |option, why: &str| Err(Error::InvalidOption { option, why: why.to_owned() });
    if options.batch_rows == 0 {
        return refuse("batch size", "must be at least 1");
    }
    if options.labels.is_some() && sources.len() > 1 {
        return refuse("labels", "a file of labels belongs to one file of images");
    }
    let mut options = options.clone();
    if let Rows::First(rows) = options.rows {
        options.batch_rows = options.batch_rows.min(usize::try_from(rows).unwrap_or(usize::MAX)).max(1);
    }
    let taking = match options.rows {
        Rows::All => Taking::First(u64::MAX),
        Rows::First(rows) => Taking::First(rows),
        Rows::Sample { rows, seed } => Taking::Sampling(Sample::new(rows, seed)),
    };
    let chain = FileChain::open(sources.into(), options)?;
    let origins = match taking {
        Taking::First(_) => chain.origins.clone(),
        _ => RowOrigins::default(),
    };
    Ok(Reader { chain, taking, origins })
}

/// The batches of one or several inputs, in order.
pub struct Reader {
    chain: FileChain,
    taking: Taking,
    /// The files that the rows come from.
    origins: RowOrigins,
}

enum Taking {
    /// So many more rows.
    First(u64),
    Sampling(Sample),
    Sampled(std::vec::IntoIter<RecordBatch>),
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("schema", &self.chain.schema)
            .field("pending", &self.chain.pending.len())
            .field("rows", &self.chain.rows)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Which file each row came from; for [`StreamOptions::origins`](crate::StreamOptions::origins).
    pub fn origins(&self) -> RowOrigins {
        self.origins.clone()
    }

    /// How far it has got.
    pub fn progress(&self) -> Progress {
        self.chain.progress.clone()
    }

    /// What is to be said of the input; for [`StreamOptions::warnings`](crate::StreamOptions::warnings).
    pub fn warnings(&self) -> Warnings {
        self.chain.warnings.clone()
    }

    /// Whether an input is a stream; for [`StreamOptions::empty_is_pause`](crate::StreamOptions::empty_is_pause).
    pub fn is_live(&self) -> bool {
        self.chain.is_live
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            match &mut self.taking {
                Taking::First(0) => return Ok(None),
                Taking::First(left) => {
                    let Some(batch) = self.chain.advance()? else { return Ok(None) };
                    let rows = (batch.num_rows() as u64).min(*left);
                    *left -= rows;
                    if *left == 0 {
                        self.chain.stop();
                    }
                    return Ok(Some(batch.slice(0, rows as usize)));
                }
                Taking::Sampling(sample) => {
                    let first = self.chain.rows;
                    if let Some(batch) = self.chain.advance()? {
                        sample.add(first, &batch)?;
                        continue;
                    }
                    let Taking::Sampling(sample) = std::mem::replace(&mut self.taking, Taking::First(0)) else {
                        return Ok(None);
                    };
                    let (batches, rows) = sample.finish(self.chain.options.batch_rows)?;
                    for (at, row) in (0..).zip(rows) {
                        let (file, row) = self.chain.origins.locate(row);
                        self.origins.resume(at, file.unwrap_or_default(), row);
                    }
                    self.taking = Taking::Sampled(batches.into_iter());
                }
                Taking::Sampled(batches) => return Ok(batches.next()),
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance();
        if result.is_err() {
            self.chain.stop();
            self.taking = Taking::First(0);
        }
        result.map_err(ArrowError::from).transpose()
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.chain.schema.clone()
    }
}

/// One source after another.
struct FileChain {
    schema: SchemaRef,
    /// A batch of the current source that is already read.
    ahead: Option<Result<RecordBatch, ArrowError>>,
    current: Option<Batches>,
    pending: VecDeque<InputSource>,
    options: ReadOptions,
    /// The columns that stand in the names of folders.
    partitions: Vec<(String, DataType)>,
    origins: RowOrigins,
    /// Rows handed out.
    rows: u64,
    progress: Progress,
    warnings: Warnings,
    is_live: bool,
    /// Where the columns are in the current file, if not where they are in the first.
    order: Option<Vec<usize>>,
}

impl FileChain {
    fn open(pending: VecDeque<InputSource>, options: ReadOptions) -> Result<Self> {
        let mut chain = Self {
            schema: Arc::new(Schema::empty()),
            ahead: None,
            current: None,
            partitions: partitions(&pending)?,
            progress: Progress::new(total_size(&pending)),
            warnings: Warnings::default(),
            is_live: pending.iter().any(InputSource::is_live),
            pending,
            options,
            origins: RowOrigins::default(),
            rows: 0,
            order: None,
        };
        let several = chain.pending.len() > 1;
        // An input without rows may not know its columns. The first one with rows decides.
        while chain.ahead.is_none()
            && let Some(source) = chain.pending.pop_front()
        {
            let mut batches = chain.begin(source)?;
            chain.schema = without_own_keys(&batches.schema());
            if !several {
                chain.current = Some(batches);
                return Ok(chain);
            }
            chain.ahead = batches.next();
            chain.current = Some(batches);
        }
        if chain.current.is_none() {
            return Err(Error::InvalidOption { option: "input", why: "no file was given".to_owned() });
        }
        // Another file may have nulls in a column where this one has none.
        let fields: Vec<_> = chain.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        chain.schema = Arc::new(Schema::new_with_metadata(fields, chain.schema.metadata().clone()));
        Ok(chain)
    }

    /// Opens a source, whose rows come next.
    fn begin(&self, source: InputSource) -> Result<Batches> {
        let (files, partitioned) = match &source {
            InputSource::Images(files) => (files.iter().map(|file| file.display().to_string()).collect(), None),
            InputSource::File(path) => (vec![name_of(&source)], Some(path.clone())),
            InputSource::Stream(..) => (vec![name_of(&source)], None),
        };
        let batches = input::open(source, &self.options, &self.progress, &self.warnings)?;
        // Each image is a row; of any other source all rows are of one file.
        (self.rows..).zip(files).for_each(|(row, file)| self.origins.begin(row, file));
        let batches = match partitioned {
            Some(path) => with_partitions(batches, &path, &self.partitions),
            None => batches,
        };
        match &self.options.columns {
            Some(columns) => only(batches, columns, &self.options.image),
            None => Ok(batches),
        }
    }

    fn stop(&mut self) {
        (self.current, self.ahead) = (None, None);
        self.pending.clear();
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(current) = &mut self.current else { return Ok(None) };
            if let Some(batch) = self.ahead.take().or_else(|| current.next()) {
                let mut batch = match batch {
                    // What breaks off because it was stopped is not damaged.
                    Err(_) if self.is_live && self.options.stop.is_stopped() => return Ok(None),
                    batch => batch.map_err(Error::from)?,
                };
                if let Some(order) = &self.order {
                    batch = batch.project(order).map_err(Error::from)?;
                }
                self.rows += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
            self.current = None;
            if self.is_live && self.options.stop.is_stopped() {
                return Ok(None);
            }
            if let Some(source) = self.pending.pop_front() {
                let name = name_of(&source);
                let mut next = self.begin(source)?;
                self.ahead = next.next();
                if self.ahead.is_some() {
                    self.order = same_columns(&self.schema, &next.schema(), &name)?;
                }
                self.current = Some(next);
            }
        }
    }
}

/// The columns that the names of the folders of all files tell.
fn partitions(sources: &VecDeque<InputSource>) -> Result<Vec<(String, DataType)>> {
    let files: Vec<&PathBuf> = sources
        .iter()
        .filter_map(|source| match source {
            InputSource::File(path) => Some(path),
            _ => None,
        })
        .collect();
    let told: Vec<_> = files.iter().map(|path| partition::of(path)).collect();
    let Some(first) = told.first() else { return Ok(Vec::new()) };
    let names = |pairs: &[(String, Option<String>)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let columns = names(first);
    if let Some((path, pairs)) = files.iter().zip(&told).find(|(_, pairs)| names(pairs) != columns) {
        let listed = |columns: &[String]| if columns.is_empty() { "none".to_owned() } else { columns.join(", ") };
        let message = format!(
            "its folders name other columns ({}) than those of {} ({})",
            listed(&names(pairs)),
            files[0].display(),
            listed(&columns)
        );
        return Err(Error::format(path.display().to_string(), message));
    }
    let type_at = |at: usize| partition::type_of(told.iter().map(|pairs| pairs[at].1.as_deref()));
    Ok(columns.into_iter().enumerate().map(|(at, name)| (name, type_at(at))).collect())
}

/// Adds the columns that the folders of a file tell, except those that the file has itself.
fn with_partitions(batches: Batches, path: &Path, partitions: &[(String, DataType)]) -> Batches {
    let schema = batches.schema();
    let values = partition::of(path).into_iter().map(|(_, value)| value);
    let added: Vec<_> = partitions
        .iter()
        .zip(values)
        .filter(|((name, _), _)| schema.column_with_name(name).is_none())
        .map(|((name, data_type), value)| (Field::new(name, data_type.clone(), true), value))
        .collect();
    if added.is_empty() {
        return batches;
    }
    let mut fields = schema.fields().to_vec();
    fields.extend(added.iter().map(|(field, _)| Arc::new(field.clone())));
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let of_batches = schema.clone();
    changed(batches, schema, move |batch| {
        let mut columns = batch.columns().to_vec();
        for (field, value) in &added {
            columns.push(partition::column(std::iter::repeat_n(value.as_deref(), batch.num_rows()), field.data_type()));
        }
        RecordBatch::try_new(of_batches.clone(), columns).map_err(Error::from)
    })
}

/// Keeps the images, their defects and these columns.
fn only(batches: Batches, columns: &[String], image: &str) -> Result<Batches> {
    let schema = batches.schema();
    if let Some(missing) = columns.iter().find(|column| schema.column_with_name(column).is_none()) {
        let fields = schema.fields().iter().filter(|field| !is_defects(field, image));
        return Err(Error::NoSuchColumn {
            column: missing.clone(),
            available: fields.map(|field| field.name().clone()).collect(),
        });
    }
    let wanted = |field: &Field| field.name() == image || columns.contains(field.name()) || is_defects(field, image);
    let places: Vec<usize> = (0..schema.fields().len()).filter(|&at| wanted(schema.field(at))).collect();
    let schema = Arc::new(schema.project(&places).map_err(Error::from)?);
    Ok(changed(batches, schema, move |batch| batch.project(&places).map_err(Error::from)))
}

/// The places of the columns of `first` in `other`; `None` if they are the same places.
fn same_columns(first: &Schema, other: &Schema, name: &str) -> Result<Option<Vec<usize>>> {
    let type_of = |name: &str| other.column_with_name(name).map(|(at, field)| (at, field.data_type()));
    let places: Option<Vec<usize>> = first
        .fields()
        .iter()
        .map(|field| type_of(field.name()).filter(|(_, data_type)| *data_type == field.data_type()).map(|(at, _)| at))
        .collect();
    match places {
        Some(places) if first.fields().len() == other.fields().len() => Ok((!places.is_sorted()).then_some(places)),
        _ => {
            let listed = |schema: &Schema| -> String {
                let fields = schema.fields().iter().filter(|f| !f.metadata().contains_key(crate::DEFECTS_OF));
                fields.map(|f| format!("{} {}", f.name(), f.data_type())).collect::<Vec<_>>().join(", ")
            };
            let message =
                format!("its columns ({}) are not those of the first input ({})", listed(other), listed(first));
            Err(Error::format(name, message))
        }
    }
}

/// What tells the bytes of all sources; `None` if one of them is a pipe.
fn total_size(sources: &VecDeque<InputSource>) -> impl FnOnce() -> Option<u64> + Send + use<> {
    let files = |source: &InputSource| match source {
        InputSource::Stream(..) => None,
        InputSource::File(path) => Some(vec![path.clone()].into()),
        InputSource::Images(files) => Some(files.clone()),
    };
    let files: Option<Vec<Arc<Vec<PathBuf>>>> = sources.iter().map(files).collect();
    let size = |path: &PathBuf| std::fs::metadata(path).ok().filter(|m| m.is_file()).map(|m| m.len());
    move || files?.iter().flat_map(|files| files.iter()).map(size).sum()
}
