//! Which columns of the input each column of an output was made of.

use std::collections::BTreeSet;

use arrow_schema::Schema;

use super::record::Column;
use crate::features::FEATURES;
use crate::run::keep::KeepImage;
use crate::run::samples::{EPOCH, SAMPLE_ID};
use crate::run::spec::FeatureSpec;

/// What a run makes its columns of.
#[derive(Debug)]
pub(super) struct Made {
    image: String,
    /// Columns that are changed as the images are.
    companions: Vec<String>,
    boxes: Option<String>,
    label: String,
    keeps_original: bool,
    changes_images: bool,
}

impl Made {
    pub fn by(spec: &FeatureSpec) -> Self {
        Self {
            image: spec.image.clone(),
            companions: spec.mask.iter().chain(&spec.boxes).cloned().collect(),
            boxes: spec.boxes.clone(),
            label: spec.labels.column().to_owned(),
            keeps_original: spec.keep_image == KeepImage::Original,
            changes_images: !spec.stages.is_empty() || !spec.mixing.is_empty(),
        }
    }
}

/// The columns of an output. `features` are the names of those with features, `blocks` what the list of features consists of.
pub(super) fn columns(
    made: &Made,
    input: &Schema,
    output: &Schema,
    features: &BTreeSet<String>,
    blocks: &[(String, usize)],
) -> Vec<Column> {
    let is_input = |name: &str| input.column_with_name(name).is_some();
    // An input that is read once an epoch gets both.
    let is_numbered = is_input(SAMPLE_ID) && is_input(EPOCH);
    let of_boxes = |name: &str| {
        let boxes = made.boxes.as_deref()?;
        name.strip_prefix(boxes).filter(|rest| matches!(*rest, "_kept" | "_dropped")).map(|_| boxes)
    };
    let column = |name: &String| {
        let (from, is_copy) = match name.as_str() {
            name if features.contains(name) => (Some(made.image.as_str()), false),
            SAMPLE_ID | EPOCH if is_numbered => (None, false),
            name if name == made.image => (Some(name), made.keeps_original),
            name if made.companions.iter().any(|of| of == name) => (Some(name), !made.changes_images),
            name if is_input(name) => (Some(name), true),
            "label_b" | "soft_label" => (Some(made.label.as_str()), false),
            "lambda" | "sample_id_b" | "augment_log" => (None, false),
            // Sizes, hashes and issues of the images.
            name => (Some(of_boxes(name).unwrap_or(&made.image)), false),
        };
        let blocks = if name == FEATURES && features.contains(name) { blocks.to_vec() } else { Vec::new() };
        Column { name: name.clone(), from: from.map(str::to_owned).into_iter().collect(), is_copy, blocks }
    };
    output.fields().iter().map(|field| column(field.name())).collect()
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::stages::Mixing;

    #[test]
    fn each_column_has_its_origin() {
        let schema = |names: &[&str]| {
            Schema::new(names.iter().map(|name| Field::new(*name, DataType::UInt8, true)).collect::<Vec<_>>())
        };
        let input = schema(&["img", "boxes", "kind", "note", SAMPLE_ID, EPOCH]);
        let names = [
            "boxes",
            "kind",
            "note",
            SAMPLE_ID,
            EPOCH,
            "pixel_mean",
            FEATURES,
            "label_b",
            "boxes_kept",
            "phash",
            "img",
        ];
        let spec = FeatureSpec::default()
            .with_image("img")
            .with_boxes(Some("boxes".to_owned()))
            .with_labels(crate::MixedLabels::Pair("kind".to_owned()))
            .with_mixing(Mixing::new(Some(0.2), None).unwrap())
            .with_keep_image(KeepImage::Tensor);
        let features = BTreeSet::from(["pixel_mean".to_owned(), FEATURES.to_owned()]);
        let blocks = [("row_sums".to_owned(), 28)];
        let found = columns(&Made::by(&spec), &input, &schema(&names), &features, &blocks);
        let told: Vec<String> =
            found.iter().map(|of| format!("{}{}", of.from.join("+"), if of.is_copy { "=" } else { "" })).collect();
        assert_eq!(told, ["boxes", "kind=", "note=", "", "", "img", "img", "kind", "boxes", "img", "img"]);
        assert_eq!((found[6].blocks.len(), found[5].blocks.len()), (1, 0));
    }
}
