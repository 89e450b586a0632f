//! Files in and out.

use std::path::PathBuf;

use pixelfeat::io;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{raised, refused};
use crate::input::{Input, Source};
use crate::options::{Options, read};
use crate::stream::Stream;

/// One path or several.
pub fn paths(path: &Bound<'_, PyAny>) -> PyResult<Vec<PathBuf>> {
    match path.extract::<PathBuf>() {
        Ok(path) => Ok(vec![path]),
        Err(_) => {
            path.extract().map_err(|_| PyTypeError::new_err("a path is a string or a path; several are a list of them"))
        }
    }
}

/// Opens files of images as a ``Stream`` of their rows, or of their features.
///
/// `path` is a file, a folder, a pattern such as ``"data/**/*.parquet"``, or a list of these: JSON (plain, gzip or zstd), Parquet,
/// Arrow IPC, IDX, NPY, NPZ and image files, told by their first bytes.
///
/// Without `features` the rows come as they are in the file. Those of JSON have a further column ``image.defect``, which says what
/// an Arrow column cannot hold; ``featurize`` takes it out again. With `features` the stream has the other columns and the
/// features; all options of ``featurize`` are then options of this function.
///
/// - column: the column of images; columns: which others to read; by default all.
/// - limit: only the first rows; sample: so many rows at random, decided by seed.
/// - labels: the file of labels of an IDX or NPY file.
/// - batch_rows: the most rows of a batch; threads: how many decode and compute, 0 for one a core.
///
/// Raises ``OSError`` if a file cannot be opened, ``pixelfeat.Error`` if it is damaged, of no known format or has no such column.
#[pyfunction(signature = (path, *, columns=None, limit=None, sample=None, labels=None, batch_rows=8192, **options))]
#[pyo3(
    text_signature = "(path, *, features=None, column='image', columns=None, limit=None, sample=None, seed=0, labels=None, \
    batch_rows=8192, threads=0, **options)"
)]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn open(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    columns: Option<Vec<String>>,
    limit: Option<u64>,
    sample: Option<usize>,
    labels: Option<PathBuf>,
    batch_rows: usize,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Stream> {
    let (paths, options) = (paths(path)?, Options::new(options)?);
    let rows = match (limit, sample) {
        (None, None) => io::Rows::All,
        (Some(rows), None) => io::Rows::First(rows),
        (None, Some(rows)) => io::Rows::Sample { rows, seed: options.spec.seed },
        _ => return Err(refused("sample", "give limit or sample, not both")),
    };
    let mut read = io::ReadOptions::image(&options.spec.image)
        .with_pixel_type(options.spec.pixel_type)
        .with_rows(rows)
        .with_batch_rows(batch_rows)
        .with_threads(options.threads);
    (read.columns, read.labels) = (columns, labels);
    if options.has("features") {
        let featurizer = options.featurizer()?;
        let files = io::FeatureFiles::new(&featurizer).with_read_options(read);
        let (stream, _) = py.detach(|| files.open(&paths)).map_err(raised)?;
        return Ok(Stream::of_run(stream, false));
    }
    if let Some(other) = options.given_beside(&["column", "pixel_type", "seed", "threads"]) {
        return Err(refused("features", format!("name the features to compute, or leave out {other}")));
    }
    let reader = py.detach(|| io::open_all(&paths, &read)).map_err(raised)?;
    Ok(Stream::new(Source::files(reader)))
}

/// Writes rows to a file, which appears when it is complete.
///
/// `data` is a ``Stream``, a ``Batch``, or any table, batch or stream that speaks Arrow. The ending of the name decides the format:
/// ``.parquet``, ``.arrow``, ``.npy`` or ``.csv``. compression is ``"zstd"``, ``"snappy"``, ``"gzip"`` or ``"none"``; partition_by is
/// a column for whose values there is to be a folder each, of Parquet files.
///
/// Returns a dict of ``rows`` and ``bytes``. Raises ``OSError`` if the file cannot be written, ``pixelfeat.Error`` if the format does
/// not suit, and every error of a stream that is written; then an older file stays as it was.
#[pyfunction(signature = (data, path, *, compression=None, partition_by=None))]
pub fn write<'py>(
    data: &Bound<'py, PyAny>,
    path: PathBuf,
    compression: Option<&Bound<'py, PyAny>>,
    partition_by: Option<String>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = data.py();
    let mut options = io::WriteOptions::default();
    options.compression = compression.map(|codec| read("compression", codec)).transpose()?;
    options.partition_by = partition_by;
    let source = Input::rows(data)?;
    let written = py.detach(|| io::write(path, source.reader, &options)).map_err(raised)?;
    let about = PyDict::new(py);
    about.set_item("rows", written.rows)?;
    about.set_item("bytes", written.bytes)?;
    Ok(about)
}
