//! The GPU backend: moments by compute shaders through wgpu, features finished on the host.
//!
//! Pixels travel packed, as they are; sums come back, exact for integers, and every division and root is done on the
//! host, so that no GPU's rounding shows in a feature.

mod context;
mod kernels;
#[doc(hidden)]
pub mod layout;
mod pixel;
mod run;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

pub use self::context::{AdapterInfo, GpuError};
use self::context::{Context, Health, unpanicked};
use self::layout::Params;
pub use self::pixel::GpuPixel;
use self::run::{Cut, Session};
use crate::features::{Finisher, Output};
use crate::moments::Moments;

/// The least images that are worth a thread of their own.
const MIN_IMAGES_A_THREAD: usize = 32;

/// One GPU, opened. It can be shared by any number of threads; their chunks take turns.
///
/// The first failure of the device is final: its memory is given back, and every later call returns the same error at
/// once.
#[derive(Debug)]
pub struct Gpu {
    adapter: AdapterInfo,
    chunk_bytes: usize,
    health: Health,
    /// `None` once the device has failed.
    session: Mutex<Option<Session>>,
}

impl Gpu {
    /// Opens the best adapter: discrete, integrated, virtual, other, and a software one last and only if
    /// `allow_software`. The environment narrows the choice: `WGPU_BACKEND` by API, `WGPU_ADAPTER_NAME` by a part of the
    /// name.
    ///
    /// # Errors
    /// [`GpuError::NoAdapter`] if there is none, [`GpuError::Limits`] if it is too small, another if it gives no device.
    pub fn open(allow_software: bool) -> Result<Self, GpuError> {
        unpanicked(|| {
            let (context, adapter) = Context::open(allow_software)?;
            let (chunk_bytes, health) = (context.chunk_bytes(), context.health.clone());
            Ok(Self { adapter, chunk_bytes, health, session: Mutex::new(Some(Session::new(context)?)) })
        })
    }

    /// What is known of the adapter.
    pub fn adapter(&self) -> &AdapterInfo {
        &self.adapter
    }

    /// Writes the features, means and deviations of `pixels`, image after image, to every place of `out`.
    ///
    /// For `u8` and `u16` they are the same to the last bit as on any backend; for `f32` they are within the bounds that
    /// [`GpuPixel`] gives.
    ///
    /// # Errors
    /// [`GpuError::Lengths`] if `pixels` and `out` are not of the same number of images of the finisher's shape.
    /// [`GpuError::Range`] if a float pixel, or a sum of them or of their squared deviations, is not a finite f32. Any
    /// other error is the device's last. The contents of `out` are then unspecified.
    pub fn featurize<P: GpuPixel>(
        &self,
        finisher: &Finisher,
        pixels: &[P],
        mut out: Output<'_>,
    ) -> Result<(), GpuError> {
        let (shape, images) = (finisher.shape(), out.images());
        if pixels.len() != images * shape.values()
            || out.features.len() != images * shape.features()
            || out.stds.len() != images
        {
            return Err(GpuError::Lengths { pixels: pixels.len(), images });
        }
        self.health.check()?;
        let mut results = Vec::new();
        match Cut::of::<P>(shape, self.chunk_bytes) {
            Cut::Images(images) => {
                for pixels in pixels.chunks(images * shape.values()) {
                    let images = pixels.len() / shape.values();
                    let (now, later) = out.split_at(images);
                    out = later;
                    let params = Params::of::<P>(shape, images, shape.height());
                    self.attempt(|session| session.chunk(params, pixels, &mut results))?;
                    let (rows, cols) = results.split_at(params.cols_at as usize);
                    finish_images::<P>(finisher, rows, cols, now)?;
                }
            }
            Cut::Rows(rows) => {
                for image in pixels.chunks(shape.values()) {
                    let (now, later) = out.split_at(1);
                    out = later;
                    let mut moments = Moments::zeroed(shape);
                    for (band, pixels) in image.chunks(rows * shape.row_values()).enumerate() {
                        let height = pixels.len() / shape.row_values();
                        let params = Params::of::<P>(shape, 1, height);
                        self.attempt(|session| session.chunk(params, pixels, &mut results))?;
                        let (row_results, col_results) = results.split_at(params.cols_at as usize);
                        add_rows(&mut moments, row_results, col_results, band * rows, height);
                    }
                    P::settle(&mut moments)?;
                    (now.means[0], now.stds[0]) = finisher.finish(&moments, now.features);
                }
            }
        }
        Ok(())
    }

    /// Gives the device up, as if it were lost: for tests of what happens then.
    #[doc(hidden)]
    pub fn destroy(&self) {
        if let Some(session) = &*self.session.lock().unwrap_or_else(PoisonError::into_inner) {
            session.destroy();
        }
    }

    /// Makes chunks smaller than the adapter asks for.
    #[cfg(test)]
    pub(crate) fn with_chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = self.chunk_bytes.min(bytes);
        self
    }

    /// Does `work` on the device, alone. No rayon in here: its threads could come back for the lock that they hold.
    fn attempt<T>(&self, work: impl FnOnce(&mut Session) -> Result<T, GpuError>) -> Result<T, GpuError> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.health.check().and_then(|()| match held.as_mut() {
            Some(session) => work(session),
            None => Err(GpuError::Lost("closed".into())),
        });
        done.map_err(|error| {
            let first = self.health.fail(error);
            close(&mut held);
            first
        })
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        close(self.session.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Drops all that the device holds; wgpu may panic as it does, if the device has failed.
fn close(session: &mut Option<Session>) {
    let session = session.take();
    // The device is given up either way.
    let _ = unpanicked(|| {
        drop(session);
        Ok(())
    });
}

/// Finishes the images of a chunk from its results.
fn finish_images<P: GpuPixel>(
    finisher: &Finisher,
    rows: &[u32],
    cols: &[u32],
    out: Output<'_>,
) -> Result<(), GpuError> {
    let shape = finisher.shape();
    out.features
        .par_chunks_mut(shape.features())
        .zip(out.means)
        .zip(out.stds)
        .zip(rows.par_chunks(shape.channels() * shape.height() * P::ROW_WORDS))
        .zip(cols.par_chunks(shape.row_values()))
        .with_min_len(MIN_IMAGES_A_THREAD)
        .try_for_each_init(
            || Moments::zeroed(shape),
            |moments, ((((features, mean), std), rows), cols)| {
                let (_, col_sums, seconds) = moments.parts_mut();
                col_sums.fill(P::Sum::default());
                seconds.fill(P::Total::default());
                add_rows(moments, rows, cols, 0, shape.height());
                P::settle(moments)?;
                (*mean, *std) = finisher.finish(moments, features);
                Ok(())
            },
        )
}

/// Adds the rows `top..top + height` of one image to its moments: `rows` are their records, `cols` the sums of the
/// columns over them.
fn add_rows<P: GpuPixel>(moments: &mut Moments<P>, rows: &[u32], cols: &[u32], top: usize, height: usize) {
    let shape = moments.shape();
    let (full, width) = (shape.height(), shape.width());
    let (row_sums, col_sums, seconds) = moments.parts_mut();
    for (c, second) in seconds.iter_mut().enumerate() {
        let records = &rows[c * height * P::ROW_WORDS..][..height * P::ROW_WORDS];
        P::read_rows(records, width, &mut row_sums[c * full + top..][..height], second);
        P::add_cols(&cols[c * width..][..width], &mut col_sums[c * width..][..width]);
    }
}
