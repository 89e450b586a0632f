//! A command line in one canonical form, for the record in the output: the options that decide its rows and how they are
//! stored, each in one way and only if it is not what it is by default.

use std::fmt::Display;

use pixelfeat::{FeatureSet, ImageShape, KeepImage, Layout, OnInvalid};

use crate::args::{Job, Options};

/// The options as words that `featurize` reads. Threads, batches, backends and names of outputs are not among them: they change
/// no row. `shape` is that of the images, if an option or a contract tells it.
pub fn canonical(job: &Job<'_>, shape: Option<ImageShape>) -> Vec<String> {
    // All options stand here, so that a new one is not forgotten: it decides rows, or it is named among the others.
    let Options {
        image,
        shape: _,
        pixel_type,
        encoding,
        order,
        columns,
        limit,
        sample,
        gray: _,
        resize: _,
        stages: _,
        seed,
        ragged,
        augment,
        epochs,
        mixup,
        cutmix,
        soft_labels,
        mask,
        boxes,
        augment_log,
        features,
        layout,
        hashes,
        scale,
        keep_image,
        on_invalid,
        quarantine,
        compression,
        quality,
        // Labels are recorded as the inputs are.
        labels: _,
        // No row depends on these.
        max_delay: _,
        report: _,
        digest: _,
        md5: _,
        lineage: _,
        backend: _,
        threads: _,
        batch_size: _,
        quiet: _,
    } = job.options;
    let mut words = Vec::new();
    let mut add =
        |name: &str, value: Option<&dyn Display>| words.extend(value.map(|value| format!("--{name}={value}")));
    /// The value, unless it is the default.
    fn other<T: PartialEq>(value: &T, default: T) -> Option<&T> {
        (*value != default).then_some(value)
    }
    macro_rules! add {
        ($($name:literal: $value:expr),+ $(,)?) => {
            $(add($name, $value.map(|value| value as &dyn Display));)+
        };
    }
    let columns = columns.as_ref().map(|columns| columns.join(","));
    let stages = Some(job.options.own_stages()).filter(|stages| !stages.is_empty());
    let epochs = epochs.as_ref().map(|epochs| format!("{}..{}", epochs.start, epochs.end));
    let label = quality.label.as_ref().filter(|_| mixup.is_some() || cutmix.is_some());
    // Where broken lines go does not matter, but that they are no error.
    let quarantine = quarantine.as_ref().map(|_| "quarantine.ndjson");
    add!(
        "image": other(image, "image".to_owned()),
        "shape": shape.as_ref(),
        "pixel-type": pixel_type.as_ref(),
        "encoding": encoding.as_ref(),
        "order": order.as_ref(),
        "columns": columns.as_ref(),
        "limit": limit.as_ref(),
        "sample": sample.as_ref(),
        "stages": stages.as_ref(),
        "seed": other(seed, 0),
        "augment": augment.as_ref(),
        "epochs": epochs.as_ref(),
        "mixup": mixup.as_ref(),
        "cutmix": cutmix.as_ref(),
        "soft-labels": soft_labels.as_ref(),
        "label": label,
        "mask": mask.as_ref(),
        "boxes": boxes.as_ref(),
        "features": other(features, FeatureSet::default()),
        "layout": other(layout, Layout::default()),
        "scale": scale.as_ref(),
        "keep-image": other(keep_image, KeepImage::default()),
        "on-invalid": other(on_invalid, OnInvalid::default()),
        "quarantine": quarantine.as_ref(),
        "max-invalid": quality.max_invalid.as_ref(),
        "compression": compression.as_ref(),
        "partition-by": job.partition_by.as_ref(),
    );
    let flags = [("ragged", ragged), ("augment-log", augment_log), ("hashes", hashes), ("issues", &quality.issues)];
    words.extend(flags.into_iter().filter(|(_, is_set)| **is_set).map(|(name, _)| format!("--{name}")));
    if quality.issues {
        words.extend(quality.issue_threshold.iter().map(|(issue, at)| format!("--issue-threshold={issue}={at}")));
    }
    words
}
