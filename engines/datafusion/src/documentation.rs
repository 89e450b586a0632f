//! What DataFusion tells of the functions.

use std::sync::LazyLock;

use datafusion::logical_expr::{DocSection, Documentation};

use crate::arguments::{EPOCH, FEATURES, ID, IMAGE, OPTIONS, PIPELINE, Parameter, SEED, SHAPE};
use crate::measure::Told;

const SECTION: DocSection = DocSection { include: true, label: "Image Functions", description: None };

/// The text of a function: what it does, how it is called, and its arguments.
pub fn documentation(does: &str, call: &str, parameters: &[&Parameter]) -> Documentation {
    let builder = Documentation::builder(SECTION, does, call).with_sql_example(format!("SELECT {call} FROM digits"));
    let with = |builder: datafusion::logical_expr::DocumentationBuilder, parameter: &&Parameter| {
        builder.with_argument(parameter.name, parameter.about)
    };
    parameters.iter().fold(builder, with).build()
}

/// The text of a function of [`Told`].
pub fn of(told: Told) -> &'static Documentation {
    static FEATURES_OF: LazyLock<Documentation> = LazyLock::new(|| {
        let does = "The features of each image, a list of Float32 values. NULL where they cannot be computed.";
        documentation(does, "pixel_features(image, '28x28', 'profiles')", &[&IMAGE, &SHAPE, &FEATURES, &OPTIONS])
    });
    static MEAN: LazyLock<Documentation> = LazyLock::new(|| {
        let does = "The mean of the pixels of each image. NULL where pixel_features is.";
        documentation(does, "pixel_mean(image, '28x28')", &[&IMAGE, &SHAPE, &OPTIONS])
    });
    static STD: LazyLock<Documentation> = LazyLock::new(|| {
        let does = "The standard deviation of the pixels of each image. NULL where pixel_features is.";
        documentation(does, "pixel_std(image, '28x28')", &[&IMAGE, &SHAPE, &OPTIONS])
    });
    static DEFECT: LazyLock<Documentation> = LazyLock::new(|| {
        let does = "Why the features of an image cannot be computed: a reason such as out_of_range, and what is at fault. \
                    NULL where they can.";
        documentation(does, "pixel_defect(image, '28x28')", &[&IMAGE, &SHAPE, &FEATURES, &OPTIONS])
    });
    match told {
        Told::Features => &FEATURES_OF,
        Told::Mean => &MEAN,
        Told::Std => &STD,
        Told::Defect => &DEFECT,
    }
}

/// The text of `pixel_augment`.
pub static AUGMENT: LazyLock<Documentation> = LazyLock::new(|| {
    let does = "The version that each image has in an epoch: the pixels, one after another, as pixel_features takes them. It \
                depends on the pipeline, the seed, the id and the epoch alone. NULL where there is no image.";
    let call = "pixel_augment(image, '28x28', 'crop(pad=4),hflip(0.5)', id, 0)";
    documentation(does, call, &[&IMAGE, &SHAPE, &PIPELINE, &ID, &EPOCH, &SEED, &OPTIONS])
});

/// The text of `pixel_profile`.
pub static PROFILE: LazyLock<Documentation> = LazyLock::new(|| {
    let does = "The profile of images and their features as JSON, which pixelfeat's tools read. An aggregate.";
    documentation(does, "pixel_profile(image, '28x28')", &[&IMAGE, &SHAPE, &FEATURES, &OPTIONS])
});
