//! Encoded images → pixels. No other folder names the decoders.
//!
//! Pixels come as the file stores them: channels in their order (gray, gray and alpha, RGB, RGBA; the colours of a
//! palette), alpha as a channel like the others, 16 bits where it has 16 and 8 where it has fewer. Alpha is not
//! blended, and neither EXIF orientation nor colour profiles are applied.

#[cfg(feature = "image")]
mod bmp;
mod header;
#[cfg(feature = "image")]
mod jpeg;
#[cfg(feature = "image")]
mod png;
#[cfg(feature = "image")]
mod tiff;
#[cfg(feature = "image")]
mod webp;

use crate::base::shape::{ImageShape, PixelType};
use crate::images::values::PixelValue;
use header::Header;

/// The file formats, recognised by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
    WebP,
    Bmp,
    Tiff,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            // Two letters alone could be pixels: the reserved bytes and the size of a header that exists must follow.
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, _, _, _, _, 12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0, ..] => {
                Some(Self::Bmp)
            }
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Self::Tiff),
            _ => None,
        }
    }
}

/// Whether bytes begin as an encoded image does.
pub(crate) fn is_encoded(bytes: &[u8]) -> bool {
    Format::of(bytes).is_some()
}

/// An encoded image of which the header has been read.
pub(crate) struct EncodedImage<'a> {
    header: Header,
    decoder: decoders::Decoder<'a>,
}

impl EncodedImage<'_> {
    /// The shape that the header states.
    pub fn shape(&self) -> ImageShape {
        self.header.shape
    }

    /// u8 or u16.
    pub fn pixel_type(&self) -> PixelType {
        self.header.pixel_type
    }

    /// Decodes the pixels, which must be of the type `T`; fails with what the decoder says.
    pub fn read<T: PixelValue>(self, pixels: &mut Vec<T>) -> Result<(), String> {
        pixels.clear();
        pixels.resize(self.header.shape.values(), T::default());
        let bytes = bytemuck::cast_slice_mut(pixels.as_mut_slice());
        decoders::guarded(|| self.decoder.read(bytes))
    }
}

/// The channels in which an image is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As the file has them.
    Stored,
    /// Colours will become gray at once. A format that stores brightness apart from colours may decode it alone.
    Gray,
}

/// Reads the header of an image; fails with what is wrong with it.
pub(crate) fn open(bytes: &[u8], wanted: Wanted) -> Result<EncodedImage<'_>, String> {
    let format = Format::of(bytes).ok_or("it does not begin as PNG, JPEG, WebP, BMP or TIFF do")?;
    let (header, decoder) = decoders::guarded(|| decoders::open(bytes, format, wanted))?;
    Ok(EncodedImage { header, decoder })
}

#[cfg(feature = "image")]
mod decoders {
    use super::bmp::Bmp;
    use super::header::Header;
    use super::jpeg::Jpeg;
    use super::png::Png;
    use super::tiff::Tiff;
    use super::webp::WebP;
    use super::{Format, Wanted};
    use crate::base::guard;

    pub enum Decoder<'a> {
        Png(Box<Png<'a>>),
        Jpeg(Box<Jpeg<'a>>),
        WebP(Box<WebP<'a>>),
        Bmp(Bmp<'a>),
        Tiff(Box<Tiff<'a>>),
    }

    impl Decoder<'_> {
        pub fn read(self, pixels: &mut [u8]) -> Result<(), String> {
            match self {
                Decoder::Png(decoder) => decoder.read(pixels),
                Decoder::Jpeg(decoder) => decoder.read(pixels),
                Decoder::WebP(decoder) => decoder.read(pixels),
                Decoder::Bmp(decoder) => decoder.read(pixels),
                Decoder::Tiff(decoder) => decoder.read(pixels),
            }
        }
    }

    pub fn open(bytes: &[u8], format: Format, wanted: Wanted) -> Result<(Header, Decoder<'_>), String> {
        Ok(match format {
            Format::Png => Png::open(bytes).map(|(header, png)| (header, Decoder::Png(Box::new(png))))?,
            Format::Jpeg => {
                let (header, jpeg) = Jpeg::open(bytes, wanted == Wanted::Gray)?;
                (header, Decoder::Jpeg(Box::new(jpeg)))
            }
            Format::WebP => WebP::open(bytes).map(|(header, webp)| (header, Decoder::WebP(Box::new(webp))))?,
            Format::Bmp => Bmp::open(bytes).map(|(header, bmp)| (header, Decoder::Bmp(bmp)))?,
            Format::Tiff => Tiff::open(bytes).map(|(header, tiff)| (header, Decoder::Tiff(Box::new(tiff))))?,
        })
    }

    /// Turns a panic of a decoder into an error, so that no image ends a run.
    pub fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        guard::guarded(work).unwrap_or_else(|_| Err("the decoder gave up on it".to_owned()))
    }
}

#[cfg(not(feature = "image"))]
mod decoders {
    use super::header::Header;
    use super::{Format, Wanted};

    /// There is none.
    pub enum Decoder<'a> {
        #[allow(dead_code, reason = "only so that the lifetime is used")]
        Never(std::convert::Infallible, &'a [u8]),
    }

    impl Decoder<'_> {
        pub fn read(self, _: &mut [u8]) -> Result<(), String> {
            match self {
                Decoder::Never(never, _) => match never {},
            }
        }
    }

    pub fn open(_: &[u8], format: Format, _: Wanted) -> Result<(Header, Decoder<'_>), String> {
        Err(format!("it is {format:?}, and this build has no feature `image`"))
    }

    pub fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let bmp = |header: u8, reserved: u8| {
            let mut bytes = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0".to_vec();
            bytes[6] = reserved;
            bytes.extend([header, 0, 0, 0]);
            bytes
        };
        for (bytes, format) in [
            (&b"\x89PNG\r\n\x1a\n"[..], Some(Format::Png)),
            (b"\xff\xd8\xff\xe0", Some(Format::Jpeg)),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", Some(Format::WebP)),
            (b"RIFF\x01\x02\x03\x04WAVE", None),
            (b"II*\0", Some(Format::Tiff)),
            (b"MM\0*", Some(Format::Tiff)),
            (&bmp(40, 0), Some(Format::Bmp)),
            (&bmp(41, 0), None),
            (&bmp(40, 1), None),
            (b"BM", None),
            (b"", None),
            (b"GIF89a", None),
        ] {
            assert_eq!(Format::of(bytes), format, "{bytes:?}");
            assert_eq!(is_encoded(bytes), format.is_some());
            // None of them is whole.
            assert!(open(bytes, Wanted::Stored).is_err(), "{bytes:?}");
        }
    }

    #[cfg(feature = "image")]
    #[test]
    fn brightness_with_fewer_values_than_pixels_is_read_with_its_colours() {
        let jpeg = include_bytes!("../../../tests/fixtures/luma/420.jpg");
        let channels = |bytes: &[u8], wanted| open(bytes, wanted).unwrap().shape().channels();
        assert_eq!([Wanted::Stored, Wanted::Gray].map(|wanted| channels(jpeg, wanted)), [3, 1]);
        let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        let mut swapped = jpeg.to_vec();
        let samples = [frame + 11, frame + 14, frame + 17];
        assert_eq!(samples.map(|at| jpeg[at]), [0x22, 0x11, 0x11]);
        (swapped[samples[0]], swapped[samples[1]]) = (0x11, 0x22);
        assert_eq!(channels(&swapped, Wanted::Gray), 3);
    }

    #[cfg(not(feature = "image"))]
    #[test]
    fn without_decoders_a_column_of_encoded_images_is_refused() {
        let column = arrow_array::BinaryArray::from(vec![b"\x89PNG\r\n\x1a\n".as_slice()]);
        let shape = ImageShape::gray(1, 1).unwrap();
        let error = crate::ImageBatch::from_array(&column, "image", shape, PixelType::U8).unwrap_err().to_string();
        assert!(error.ends_with("its images are encoded, and this build has no feature `image`"), "{error}");
    }
}
