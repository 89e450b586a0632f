//! What every room builds on: the shape of an image and the type of its pixels, errors, seeded numbers, ordered threads.

pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod keys;
#[cfg(any(feature = "arrays", feature = "json", feature = "parquet"))]
pub(crate) mod ordered;
pub(crate) mod philox;
pub(crate) mod pixels;
pub(crate) mod random;
pub(crate) mod reason;
pub(crate) mod select;
pub(crate) mod shape;
pub(crate) mod simd;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod warnings;
pub(crate) mod yaml;
