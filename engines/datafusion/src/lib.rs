//! Features of images as SQL functions of [DataFusion](https://datafusion.apache.org).
//!
//! ```
//! use datafusion::prelude::SessionContext;
//!
//! # #[tokio::main]
//! # async fn main() -> datafusion::error::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = |name: &str| folder.path().join(name).display().to_string();
//! let context = SessionContext::new();
//! pixelfeat_datafusion::register_all(&context);
//! // Any file that DataFusion or pixelfeat reads; here one that is drawn.
//! let digits = path("digits.parquet");
//! let copy = format!("COPY (SELECT * FROM pixelfeat_digits(100)) TO '{digits}'");
//! context.sql(&copy).await?.collect().await?;
//! context.register_parquet("digits", &digits, Default::default()).await?;
//!
//! for sql in [
//!     "SELECT label, pixel_features(image, '28x28', 'profiles,gradients') AS features FROM digits",
//!     "SELECT label, avg(pixel_mean(image, '28x28')) FROM digits GROUP BY label",
//!     "SELECT pixel_defect(image, '28x28') AS why, count(*) FROM digits GROUP BY why",
//!     "SELECT pixel_augment(image, '28x28', 'crop(pad=4),hflip(0.5)', label, 3) AS image FROM digits",
//!     "SELECT pixel_profile(image, '28x28') FROM digits",
//! ] {
//!     assert!(context.sql(sql).await?.count().await? > 0);
//! }
//! let read = context.sql(&format!("SELECT label FROM pixelfeat('{digits}') LIMIT 5")).await?;
//! assert_eq!(read.count().await?, 5);
//! # Ok(())
//! # }
//! ```
//!
//! # The functions
//! - `pixel_features(image, shape [, features [, options]])`: `FixedSizeList<Float32>` of
//!   [`list_values`](pixelfeat::FeatureLayout::list_values), null where a row has no features.
//! - `pixel_mean(image, shape [, options])` and `pixel_std`: `Float32`, null where a row has no features.
//! - `pixel_defect(image, shape [, features [, options]])`: `Utf8`, the [`Reason`](pixelfeat::Reason) of a row without features and
//!   what is at fault; null for all others.
//! - `pixel_augment(image, shape, pipeline, id, epoch [, seed [, options]])`: the image after all
//!   [stages](pixelfeat::stages) for the sample `id` in an epoch, a `FixedSizeList` of its H·W·C pixels (Float32 after
//!   `normalize`), null where there is no image. `id` and `epoch` are integers, columns or literals; null is an error.
//! - `pixel_profile(image, shape [, features [, options]])`: an aggregate, the JSON of a
//!   [`Profile`](pixelfeat::quality::Profile) as `LargeUtf8`. Any number of partitions gives the same text; no rows give the
//!   profile of no rows.
//! - `pixelfeat(path [, options])` and `pixelfeat_digits(rows [, seed])`: tables.
//!
//! [`write`](fn@write) writes the rows of a query by pixelfeat's writers.
//!
//! Shape, features, pipeline, seed and options are literals. A query with a wrong one is refused when it is planned. A query is
//! also refused if its column cannot hold such images. Options are pairs such as
//! `'encoding=encoded, order=chw, pixel_type=u16, scale=1'`. Nothing is left to the first rows, so features do not depend on
//! partitions and batches: bytes are raw pixels and encoded images u8 unless the options say otherwise, and a struct of `data`
//! and `shape` needs an order.
//!
//! # What computes
//! Each thread of DataFusion has an engine of one thread, so partitions compute at the same time, and as many cores work as a
//! session has partitions. [`BACKEND`] is the environment variable that asks for a GPU.

mod arguments;
mod augment;
mod columnar;
mod engine;
#[cfg(feature = "gpu")]
mod gpu;
mod images;
mod measure;
mod output;
mod profile;
mod tables;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, Documentation, ScalarUDF};
use datafusion::prelude::SessionContext;

use crate::augment::Augment;
use crate::measure::{Measure, Measurement};
use crate::profile::PixelProfile;
use crate::tables::TableOf;

pub use engine::BACKEND;
pub use output::write;

/// Registers all functions, those that make tables as well.
pub fn register_all(context: &SessionContext) {
    for function in scalar_functions() {
        context.register_udf(ScalarUDF::clone(&function));
    }
    for function in aggregate_functions() {
        context.register_udaf(AggregateUDF::clone(&function));
    }
    for table in TableOf::ALL {
        context.register_udtf(table.name(), Arc::new(table));
    }
}

/// Registers the scalar and the aggregate functions, in a session's state or in the registry of an executor.
///
/// # Errors
/// If the registry takes no functions.
pub fn register_functions(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in scalar_functions() {
        registry.register_udf(function)?;
    }
    for function in aggregate_functions() {
        registry.register_udaf(function)?;
    }
    Ok(())
}

/// The scalar functions.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let measures = Measurement::ALL.into_iter().map(|measurement| ScalarUDF::from(Measure::new(measurement)));
    measures.chain([ScalarUDF::from(Augment::default())]).map(Arc::new).collect()
}

/// What there is to know of each function, those that make tables as well: an example of a call, what it does, its
/// arguments.
pub fn documentation() -> Vec<Documentation> {
    let (scalar, aggregate) = (scalar_functions(), aggregate_functions());
    let texts = scalar.iter().map(|f| f.documentation()).chain(aggregate.iter().map(|f| f.documentation()));
    texts.flatten().chain(TableOf::ALL.map(TableOf::documentation)).cloned().collect()
}

/// The aggregate functions.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::from(PixelProfile::default()))]
}

/// Compiles the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
