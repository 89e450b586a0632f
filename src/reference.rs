//! The oracle: what the features of an image must be, by the plain formulas of each family and nothing that a backend
//! uses. It is slow; tests and benches compare every backend with it.

use crate::base::pixels::PixelSlice;
use crate::features::FeatureLayout;

/// The row of one image: [`FeatureLayout::stride`] values.
///
/// Of integer pixels every backend gives these bits. Of float pixels the last digits may differ, since sums are added in
/// another order.
///
/// # Panics
/// If `image` does not have as many values as the layout's shape.
pub fn features<'a>(layout: &FeatureLayout, image: impl Into<PixelSlice<'a>>) -> Vec<f32> {
    let image = image.into();
    assert_eq!(image.len(), layout.shape().values(), "values of one image of {}", layout.shape());
    layout.features().flat_map(|(feature, _)| feature.family().expected(layout.images(), image)).collect()
}
