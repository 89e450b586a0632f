//! Other versions of images.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::{Field, Schema};
use pixelfeat::features::feature_fields;
use pixelfeat::stages::Mixing;
use pixelfeat::{Chain, Epochs, Featurizer, KeepImage, MaxInvalid, MixedLabels, OnInvalid, SAMPLE_ID};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{raised, refused};
use crate::featurize::one_batch;
use crate::input::{Input, Source, integers};
use crate::options::{Options, read_list};
use crate::output::{Array, Batch};
use crate::stream::Stream;

/// Makes the versions that images have in an epoch.
///
/// `data` is what ``featurize`` takes. `pipeline` names the stages: ``"crop(pad=4),hflip(0.5),randaugment(2,9)"``, or a list of them.
/// A version depends on the stages, the seed, the epoch and the number of the sample, and on nothing else.
///
/// Images alone become an ``Array`` of as many images (``numpy.asarray`` sees N×H×W or N×H×W×C), null where there is none. A batch
/// becomes a ``Batch`` and a table or stream a ``Stream``, with the new images in the column of the old ones and the columns
/// ``sample_id`` and ``epoch``; with features=… also with the features of the new images.
///
/// - epoch: 0 or more. ids: the numbers of the samples, an array or list of integers; by default those of the rows, or the column
///   ``sample_id``.
/// - mixup, cutmix: mixes images with others, λ from Beta(α, α). label: the column of their labels; the rows get ``label_b``,
///   ``lambda`` and ``sample_id_b``, or with soft_labels=N a list ``soft_label`` of N shares. For rows only.
/// - mask, boxes: columns that move with the images. log: whether a column ``augment_log`` tells what was done. For rows only.
/// - All other options of ``featurize``, seed among them.
///
/// Raises ``pixelfeat.Error`` as ``featurize``, and if a stage cannot work on such images: the message names its place in the text.
#[pyfunction(signature = (
    data, pipeline, *, epoch=0, ids=None, mixup=None, cutmix=None, label=None, soft_labels=None, mask=None, boxes=None, log=false,
    **options
))]
#[pyo3(
    text_signature = "(data, pipeline, *, seed=0, epoch=0, ids=None, column='image', shape=None, mixup=None, cutmix=None, \
    label='label', soft_labels=None, mask=None, boxes=None, log=False, **options)"
)]
#[expect(clippy::too_many_arguments, reason = "keywords of Python")]
pub fn augment<'py>(
    data: &Bound<'py, PyAny>,
    pipeline: &Bound<'py, PyAny>,
    epoch: u32,
    ids: Option<&Bound<'py, PyAny>>,
    mixup: Option<f64>,
    cutmix: Option<f64>,
    label: Option<String>,
    soft_labels: Option<usize>,
    mask: Option<String>,
    boxes: Option<String>,
    log: bool,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    let mut options = Options::new(options)?;
    let keeps_features = options.has("features");
    let labels = label.clone().unwrap_or_else(|| "label".to_owned());
    let for_rows = [
        ("mixup", mixup.is_some()),
        ("cutmix", cutmix.is_some()),
        ("label", label.is_some()),
        ("soft_labels", soft_labels.is_some()),
        ("mask", mask.is_some()),
        ("boxes", boxes.is_some()),
        ("log", log),
        ("features", keeps_features),
        ("keep_image", options.has("keep_image")),
        ("ragged", options.spec.ragged),
        ("on_invalid", options.spec.on_invalid == OnInvalid::Drop),
    ];
    let spec = &mut options.spec;
    spec.stages = spec.stages.clone().then(&read_list::<Chain>("pipeline", pipeline)?);
    spec.mixing = Mixing::new(mixup, cutmix).map_err(raised)?;
    spec.labels = match soft_labels {
        Some(classes) => MixedLabels::Soft(labels, classes),
        None => MixedLabels::Pair(labels),
    };
    (spec.mask, spec.boxes, spec.augment_log) = (mask, boxes, log);
    if spec.keep_image == KeepImage::No {
        spec.keep_image = KeepImage::Tensor;
    }
    let column = spec.image.clone();
    let input = Input::new(data, &column, options.spec.shape)?;
    if let Input::Images(..) | Input::Chunks(_) = input
        && let Some((option, _)) = for_rows.into_iter().find(|(_, given)| *given)
    {
        return Err(refused(
            option,
            "images alone have no other columns; give a table or a batch with a column of images",
        ));
    }
    if !matches!(input, Input::Stream(_)) && !options.has("max_invalid") {
        options.spec.max_invalid = MaxInvalid::Percent(100.0);
    }
    let ids = ids.map(|ids| integers("ids", ids)).transpose()?;
    let featurizer = options.featurizer()?;
    let is_batch = matches!(input, Input::Batch(_));
    let (source, is_images) = match input {
        Input::Images(images, field) => (numbered(images, field, ids)?, true),
        Input::Batch(batch) => (Source::batch(with_ids(batch, ids)?), false),
        Input::Chunks(_) | Input::Stream(_) if ids.is_some() => {
            return Err(PyTypeError::new_err(
                "ids belong to one array or batch; the rows of a stream have them in a column sample_id",
            ));
        }
        Input::Chunks(source) => (source, true),
        Input::Stream(source) => (source, false),
    };
    let may_need_python = source.may_need_python;
    let stream = run(py, &featurizer, source, epoch)?;
    let shape = stream.report().shape;
    if is_images {
        let batch = one_batch(py, stream)?;
        let (at, field) = batch
            .schema_ref()
            .column_with_name(&column)
            .map(|(at, field)| (at, field.clone()))
            .ok_or_else(|| refused("column", format!("a run does not keep images in a column `{column}`")))?;
        let mut sides = vec![shape.height(), shape.width()];
        sides.extend((shape.channels() > 1).then_some(shape.channels()));
        return Ok(Bound::new(py, Array::new(batch.column(at).clone(), field, sides))?.into_any());
    }
    let dropped: Vec<String> = match keeps_features {
        true => Vec::new(),
        false => {
            let layout = featurizer.spec().features.layout(shape, 1.0).map_err(raised)?;
            feature_fields(&layout, featurizer.spec().layout).iter().map(|field| field.name().clone()).collect()
        }
    };
    if is_batch {
        let batch = one_batch(py, stream)?;
        let batch = batch.project(&beside(batch.schema_ref(), &dropped)).map_err(|error| raised(error.into()))?;
        return Ok(Bound::new(py, Batch(batch))?.into_any());
    }
    let kept = beside(&stream.schema(), &dropped);
    let stream = Stream::of_run(stream, may_need_python)
        .with_source(|source| source.project(kept).map_err(|error| raised(error.into())))?;
    Ok(Bound::new(py, stream)?.into_any())
}

fn run(py: Python<'_>, featurizer: &Featurizer, source: Source, epoch: u32) -> PyResult<pixelfeat::FeatureStream> {
    let end = epoch.checked_add(1).ok_or_else(|| refused("epoch", "it is below 4294967295"))?;
    let (reader, about) = source.into_parts();
    let mut reader = Some(reader);
    // The one epoch opens its input once.
    let open = move |_| reader.take().ok_or(pixelfeat::Error::Internal("an epoch was opened twice".to_owned()));
    py.detach(|| featurizer.stream_with(Epochs::new(epoch..end, open)?, about)).map_err(raised)
}

/// Images as a batch, with their numbers if they have some.
fn numbered(images: ArrayRef, field: Field, ids: Option<ArrayRef>) -> PyResult<Source> {
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![images]).map_err(|error| raised(error.into()))?;
    with_ids(batch, ids).map(Source::batch)
}

fn with_ids(batch: RecordBatch, ids: Option<ArrayRef>) -> PyResult<RecordBatch> {
    let Some(ids) = ids else { return Ok(batch) };
    if ids.len() != batch.num_rows() {
        return Err(refused("ids", format!("{} numbers for {} rows", ids.len(), batch.num_rows())));
    }
    if batch.schema_ref().column_with_name(SAMPLE_ID).is_some() {
        return Err(refused("ids", "the rows have a column sample_id already"));
    }
    let mut fields = batch.schema_ref().fields().to_vec();
    fields.push(Arc::new(Field::new(SAMPLE_ID, ids.data_type().clone(), true)));
    let schema = Schema::new_with_metadata(fields, batch.schema_ref().metadata().clone());
    let columns = batch.columns().iter().cloned().chain([ids]).collect();
    RecordBatch::try_new(Arc::new(schema), columns).map_err(|error| raised(error.into()))
}

/// The places of the columns but for some.
fn beside(schema: &Schema, names: &[String]) -> Vec<usize> {
    let fields = schema.fields().iter().enumerate();
    fields.filter(|(_, field)| !names.contains(field.name())).map(|(at, _)| at).collect()
}
