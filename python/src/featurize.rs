//! Images in, features out.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::Field;
use arrow_select::concat::concat_batches;
use pixelfeat::features::FEATURES;
use pixelfeat::{
    Defect, Error, FeatureSet, FeatureStream, Featurizer, ImageShape, KeepImage, Layout, MaxInvalid, OnInvalid,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{raised, refused};
use crate::input::{Input, Source};
use crate::options::{Options, read_list, read_sides};
use crate::output::{Batch, Features};
use crate::stream::Stream;

/// Computes the features of images.
///
/// `data` has ``__arrow_c_array__``, ``__arrow_c_stream__`` or the buffer protocol:
///
/// - images alone: a NumPy array N×L, N×H×W or N×H×W×C; an Arrow array or a chunked one, such as ``polars.Series``. The result
///   is a ``Features``, an array of N lists, and null where a row could not be featurized;
/// - a batch of rows with a column of images: the result is a ``Batch`` of the other columns and the features;
/// - a table or a stream of batches: the result is a ``Stream`` of such batches. Nothing is computed before it is read.
///
/// Options, all by keyword; their text is that of the command line:
///
/// - shape: ``"28x28"``, ``"64x64x3"`` or a tuple; by default told by the data.
/// - column: the column of images, ``"image"``.
/// - features: such as ``"profiles,histogram:16"``, or a list of the parts.
/// - stages: what is done to each image before, such as ``"gray,resize(28x28)"``; gray=True and resize="28x28" are short for
///   these. seed: what random stages depend on.
/// - pixel_type: ``"u8"``, ``"u16"`` or ``"f32"``; encoding: ``"raw"`` or ``"encoded"``; order: ``"hw"``, ``"hwc"`` or ``"chw"``; by
///   default told by the type, metadata and first 1,000 rows. Declare them, and the shape, where an engine cuts the rows into
///   batches: then no row's result depends on any other row.
/// - scale: what sums and means are divided by; by default the largest value of the pixel type, or 1 for floats.
/// - on_invalid: ``"null"``, ``"drop"`` or ``"error"``: what becomes of a row that cannot be featurized. max_invalid: how many a
///   stream may have, ``100`` or ``"1%"``; by default all but one, and all of a single batch.
/// - layout: ``"list"``, ``"columns"`` or ``"tensor"``; ragged: whether images keep their sizes; keep_image: ``"no"``,
///   ``"original"``, ``"tensor"`` or ``"bytes"``. These are for rows.
/// - backend: ``"cpu"``, ``"gpu"``, ``"hybrid"`` or ``"auto"``; threads: 0 for one a core.
///
/// Raises ``pixelfeat.Error`` (a ``ValueError``) if the data has no images of this shape or an option is out of its range;
/// ``TypeError`` if `data` speaks none of the protocols or an option is unknown.
#[pyfunction(signature = (data, **options))]
#[pyo3(
    text_signature = "(data, *, shape=None, column='image', features='profiles', stages=None, gray=False, resize=None, seed=0, \
    encoding=None, order=None, pixel_type=None, scale=None, layout='list', ragged=False, keep_image='no', \
    on_invalid='null', max_invalid=None, backend='cpu', threads=0)"
)]
pub fn featurize<'py>(data: &Bound<'py, PyAny>, options: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    let mut options = Options::new(options)?;
    let input = Input::new(data, &options.spec.image, options.spec.shape)?;
    if matches!(input, Input::Images(..) | Input::Chunks(_)) {
        check_for_array(&options)?;
    }
    // How an engine cuts its rows into batches must not decide whether a run fails.
    if !matches!(input, Input::Stream(_)) && !options.has("max_invalid") {
        options.spec.max_invalid = MaxInvalid::Percent(100.0);
    }
    let featurizer = options.featurizer()?;
    let any = |features: Py<Features>| features.into_bound(py).into_any();
    match input {
        Input::Images(images, field) => of_images(py, &featurizer, &images, &field).map(any),
        Input::Chunks(source) => of_chunks(py, &featurizer, source).map(any),
        Input::Batch(batch) => {
            let stream = py.detach(|| featurizer.stream(Source::batch(batch).reader)).map_err(raised)?;
            Ok(Bound::new(py, Batch(one_batch(py, stream)?))?.into_any())
        }
        Input::Stream(source) => {
            let may_need_python = source.may_need_python;
            let (reader, about) = source.into_parts();
            let stream = py.detach(|| featurizer.stream_with(reader, about)).map_err(raised)?;
            Ok(Bound::new(py, Stream::of_run(stream, may_need_python))?.into_any())
        }
    }
}

/// Refuses what only rows with other columns can be.
fn check_for_array(options: &Options) -> PyResult<()> {
    let spec = &options.spec;
    let why = "the features of images alone are lists of one length, row for row; give a table or a batch with a column of images";
    for (option, is_for_rows) in [
        ("layout", spec.layout != Layout::List),
        ("ragged", spec.ragged),
        ("keep_image", spec.keep_image != KeepImage::No),
        ("on_invalid", spec.on_invalid == OnInvalid::Drop),
    ] {
        if is_for_rows {
            return Err(refused(option, why));
        }
    }
    Ok(())
}

fn of_images(py: Python<'_>, featurizer: &Featurizer, images: &ArrayRef, field: &Field) -> PyResult<Py<Features>> {
    let features = py.detach(|| featurizer.featurize_column(field, images)).map_err(raised)?;
    let blocks = features.layout().blocks();
    let names = blocks.iter().filter(|block| block.is_column).map(|block| block.name.clone());
    let columns = names.filter_map(|name| Some((name.clone(), Arc::new(features.column(&name)?.clone()) as ArrayRef)));
    let (columns, defects) = (columns.collect(), features.defects().to_vec());
    Features::new(py, Arc::new(features.list().clone()), columns, features.layout().list_names().to_vec(), defects)
}

/// Features of arrays that follow one another. What the rows tell, the first 1,000 of all tell, whatever the chunks.
fn of_chunks(py: Python<'_>, featurizer: &Featurizer, source: Source) -> PyResult<Py<Features>> {
    let (reader, about) = source.into_parts();
    let found = Arc::new(Mutex::new(Vec::<Defect>::new()));
    let seen = found.clone();
    let about = about.with_quarantine(Box::new(move |row| {
        let defect = Defect::new(row.row as usize, row.defect.reason, row.defect.detail.clone());
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(defect);
        Ok(())
    }));
    let stream = py.detach(|| featurizer.stream_with(reader, about)).map_err(raised)?;
    let shape = stream.report().shape;
    let batch = one_batch(py, stream)?;
    let layout = featurizer.spec().features.layout(shape, 1.0).map_err(raised)?;
    let (mut columns, mut list) = (Vec::new(), None);
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        match field.name().as_str() {
            FEATURES => list = Some(column.clone()),
            name => columns.push((name.to_owned(), column.clone())),
        }
    }
    let list = list.ok_or_else(|| refused("features", "they have no list of values"))?;
    let defects = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    Features::new(py, list, columns, layout.list_names().to_vec(), defects)
}

/// All batches of a run as one.
pub fn one_batch(py: Python<'_>, stream: FeatureStream) -> PyResult<RecordBatch> {
    let schema = stream.schema();
    py.detach(|| {
        let batches = stream.collect::<Result<Vec<_>, _>>().map_err(Error::from)?;
        match &batches[..] {
            [batch] => Ok(batch.clone()),
            batches => concat_batches(&schema, batches).map_err(Error::from),
        }
    })
    .map_err(raised)
}

/// The names of the values in the feature list of images of a shape, in order.
///
/// Raises ``pixelfeat.Error`` if a feature is unknown or the shape is none.
#[pyfunction(signature = (features, shape))]
pub fn feature_names(features: &Bound<'_, PyAny>, shape: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let (set, shape) = (read_list::<FeatureSet>("features", features)?, read_sides::<ImageShape>("shape", shape)?);
    Ok(set.layout(shape, 1.0).map_err(raised)?.list_names().to_vec())
}
