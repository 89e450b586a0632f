//! The CPU backend: the kernel at several levels of SIMD, chosen once, and its distribution over threads.
//!
//! For integer pixels every level and thread count gives the same moments because they are exact; for floats because
//! the order of the additions is one and the same.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bands;
#[cfg(target_arch = "x86_64")]
mod bytes;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod wide;

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use self::portable::Portable;
use crate::base::error::{Error, Result, choose};
use crate::features::moments::{Moments, Pixel};
use crate::features::{Finisher, Output};

/// The work that is handed to a thread at a time, in bytes of pixels.
const LEAF_BYTES: usize = 128 << 10;
/// From how many bytes of pixels on several threads work. The caller's alone needs some 40 µs for as many; waking others
/// and their looking for more, while the rest of a pipeline wants the cores, costs no less.
pub(crate) const PARALLEL_BYTES: usize = 4 * LEAF_BYTES;

/// A set of instructions that the kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// What every CPU of the target has.
    Portable,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL, VBMI and VNNI: Ice Lake, Zen 4 and later.
    Avx512,
}

impl Level {
    /// All levels, from the plainest to the fastest.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// Whether this CPU has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Level::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => false,
        }
    }

    /// The fastest level of this CPU.
    pub fn detect() -> Level {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Level::ALL.into_iter().rfind(|level| level.is_available()).unwrap_or(Level::Portable))
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = Error;

    /// Reads what [`Level::name`] writes.
    fn from_str(text: &str) -> Result<Self> {
        choose("SIMD level", text, &Level::ALL.map(|level| (level.name(), level)))
    }
}

/// Writes the features of every image of `pixels`, H·W·C values each, one after another, to its place in `out`.
///
/// Works in parallel on the current rayon pool; little work is done at once on the calling thread. A `level` that the CPU
/// does not have is replaced by [`Level::Portable`]. No images are fine.
///
/// # Panics
/// If the lengths of `pixels` and `out` are not those of one number of images of the finisher's shape.
pub fn featurize<P: Pixel>(level: Level, finisher: &Finisher, pixels: &[P], out: Output<'_>) {
    let (shape, images) = (finisher.shape(), out.images());
    assert_eq!(pixels.len(), images * shape.values(), "pixels of {images} images of {shape}");
    assert_eq!(out.features.len(), images * shape.features(), "features of {images} images of {shape}");
    assert_eq!(out.stds.len(), images, "deviations of {images} images");
    if size_of_val(pixels) < PARALLEL_BYTES {
        leaf(level, finisher, pixels, out);
    } else {
        let most = LEAF_BYTES / (shape.values() * size_of::<P>());
        halve(level, finisher, pixels, out, most.max(1));
    }
}

/// Halves the work, for any thread that is idle, until a part has at most `most` images.
fn halve<P: Pixel>(level: Level, finisher: &Finisher, pixels: &[P], out: Output<'_>, most: usize) {
    let images = out.images();
    if images <= most {
        return leaf(level, finisher, pixels, out);
    }
    let (pixels, other_pixels) = pixels.split_at(images / 2 * finisher.shape().values());
    let (out, other_out) = out.split_at(images / 2);
    rayon::join(|| halve(level, finisher, pixels, out, most), || halve(level, finisher, other_pixels, other_out, most));
}

/// One thread's part, or one image large enough for several.
fn leaf<P: Pixel>(level: Level, finisher: &Finisher, pixels: &[P], out: Output<'_>) {
    let shape = finisher.shape();
    if let Some(rows) = bands::rows_per_band::<P>(shape) {
        let mut moments = Moments::zeroed(shape);
        let features = out.features.chunks_exact_mut(shape.features());
        let places = features.zip(out.means).zip(out.stds);
        for (pixels, ((features, mean), std)) in pixels.chunks_exact(shape.values()).zip(places) {
            bands::moments(level, pixels, rows, true, &mut moments);
            (*mean, *std) = finisher.finish(&moments, features);
        }
        return;
    }
    match level {
        Level::Portable => Portable.featurize(finisher, pixels, out),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => match avx2::Avx2::detect() {
            Some(avx2) => avx2.featurize(finisher, pixels, out),
            None => Portable.featurize(finisher, pixels, out),
        },
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => match avx512::Avx512::detect() {
            Some(avx512) => avx512.featurize(finisher, pixels, out),
            None => Portable.featurize(finisher, pixels, out),
        },
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 => Portable.featurize(finisher, pixels, out),
    }
}

/// Overwrites `into` with the moments of one image, H·W·C values, on the calling thread. What [`featurize`] works from.
///
/// # Panics
/// If `pixels` is not as long as the shape of `into` says.
pub fn moments<P: Pixel>(level: Level, pixels: &[P], into: &mut Moments<P>) {
    let shape = into.shape();
    assert_eq!(pixels.len(), shape.values(), "pixels of one image of {shape}");
    match bands::rows_per_band::<P>(shape) {
        Some(rows) => bands::moments(level, pixels, rows, false, into),
        None => unbanded(level, pixels, into),
    }
}

/// As [`moments`], whatever the size.
fn unbanded<P: Pixel>(level: Level, pixels: &[P], into: &mut Moments<P>) {
    match level {
        Level::Portable => Portable.moments(pixels, into),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => match avx2::Avx2::detect() {
            Some(avx2) => avx2.moments(pixels, into),
            None => Portable.moments(pixels, into),
        },
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => match avx512::Avx512::detect() {
            Some(avx512) => avx512.moments(pixels, into),
            None => Portable.moments(pixels, into),
        },
        #[cfg(not(target_arch = "x86_64"))]
        Level::Avx2 | Level::Avx512 => Portable.moments(pixels, into),
    }
}
