//! Encoded images → pixels. No other file names the decoders.
//!
//! Pixels come as the file stores them: channels in their order (gray, gray and alpha, RGB, RGBA; the colours of a
//! palette), alpha as a channel like the others, 16 bits where it has 16 and 8 where it has fewer. Alpha is not
//! blended, and neither EXIF orientation nor colour profiles are applied.

use crate::base::shape::{ImageShape, PixelType};
use crate::images::values::PixelValue;

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
    shape: ImageShape,
    pixel_type: PixelType,
    decoder: decoders::Decoder<'a>,
}

impl EncodedImage<'_> {
    /// The shape that the header states.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// u8 or u16.
    pub fn pixel_type(&self) -> PixelType {
        self.pixel_type
    }

    /// Decodes the pixels, which must be of the type `T`; fails with what the decoder says.
    pub fn read<T: PixelValue>(self, pixels: &mut Vec<T>) -> Result<(), String> {
        pixels.clear();
        pixels.resize(self.shape.values(), T::default());
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
    decoders::guarded(|| decoders::open(bytes, format, wanted))
}

#[cfg(feature = "image")]
mod decoders {
    use std::io::Cursor;

    use image::{ColorType, ImageDecoder, ImageFormat, ImageReader, Limits};
    use tiff::decoder::DecodingResult;

    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::bytestream::ZCursor;
    use zune_jpeg::zune_core::colorspace::ColorSpace;
    use zune_jpeg::zune_core::options::DecoderOptions;

    use super::{EncodedImage, Format, Wanted};
    use crate::base::guard;
    use crate::base::shape::{ImageShape, PixelType};

    /// How many bytes the pixels of one image may take. The decoder itself may take as many again.
    const MAX_BYTES: usize = 256 << 20;

    pub enum Decoder<'a> {
        Image(Box<dyn ImageDecoder + 'a>),
        Jpeg(Box<JpegDecoder<ZCursor<&'a [u8]>>>),
        /// A TIFF of two channels, which `image` does not read.
        GrayAlphaTiff(Box<tiff::decoder::Decoder<Cursor<&'a [u8]>>>),
    }

    impl Decoder<'_> {
        pub fn read(self, pixels: &mut [u8]) -> Result<(), String> {
            match self {
                Decoder::Image(decoder) => decoder.read_image_boxed(pixels).map_err(|e| e.to_string()),
                Decoder::Jpeg(mut decoder) => decoder.decode_into(pixels).map_err(|e| e.to_string()),
                Decoder::GrayAlphaTiff(mut decoder) => {
                    let decoded = decoder.read_image().map_err(|e| e.to_string())?;
                    let decoded = match &decoded {
                        DecodingResult::U8(values) => values.as_slice(),
                        DecodingResult::U16(values) => bytemuck::cast_slice(values),
                        _ => return Err("its values are not unsigned integers".to_owned()),
                    };
                    if decoded.len() != pixels.len() {
                        return Err("its channels are stored apart".to_owned());
                    }
                    pixels.copy_from_slice(decoded);
                    Ok(())
                }
            }
        }
    }

    pub fn open(bytes: &[u8], format: Format, wanted: Wanted) -> Result<EncodedImage<'_>, String> {
        let image_format = match format {
            Format::Jpeg => return jpeg(bytes, wanted),
            Format::Png => ImageFormat::Png,
            Format::WebP => ImageFormat::WebP,
            Format::Bmp => ImageFormat::Bmp,
            Format::Tiff => ImageFormat::Tiff,
        };
        if format == Format::Tiff
            && let Some(image) = gray_alpha_tiff(bytes)?
        {
            return Ok(image);
        }
        let mut limits = Limits::default();
        limits.max_image_width = Some(ImageShape::MAX_SIDE as u32);
        limits.max_image_height = limits.max_image_width;
        limits.max_alloc = Some(2 * MAX_BYTES as u64);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), image_format);
        reader.limits(limits);
        let decoder = reader.into_decoder().map_err(|e| e.to_string())?;
        let (channels, pixel_type) = match decoder.color_type() {
            ColorType::L8 => (1, PixelType::U8),
            ColorType::La8 => (2, PixelType::U8),
            ColorType::Rgb8 => (3, PixelType::U8),
            ColorType::Rgba8 => (4, PixelType::U8),
            ColorType::L16 => (1, PixelType::U16),
            ColorType::La16 => (2, PixelType::U16),
            ColorType::Rgb16 => (3, PixelType::U16),
            ColorType::Rgba16 => (4, PixelType::U16),
            other => return Err(format!("its pixels are {other:?}, not 8 or 16-bit integers")),
        };
        let shape = bounded(decoder.dimensions(), channels, pixel_type)?;
        Ok(EncodedImage { shape, pixel_type, decoder: Decoder::Image(Box::new(decoder)) })
    }

    /// A JPEG: gray or RGB.
    fn jpeg(bytes: &[u8], wanted: Wanted) -> Result<EncodedImage<'_>, String> {
        if !ends(bytes) {
            return Err("it breaks off: its end-of-image mark is missing".to_owned());
        }
        let options = DecoderOptions::default()
            .set_strict_mode(false)
            .set_max_width(ImageShape::MAX_SIDE)
            .set_max_height(ImageShape::MAX_SIDE);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|e| e.to_string())?;
        let (colours, channels) = match decoder.input_colorspace() {
            Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
            Some(ColorSpace::YCbCr) if wanted == Wanted::Gray && has_full_luma(bytes) => (ColorSpace::Luma, 1),
            _ => (ColorSpace::RGB, 3),
        };
        decoder.set_options(options.jpeg_set_out_colorspace(colours));
        let (width, height) = decoder.dimensions().ok_or("it has no size")?;
        let shape = bounded((width as u32, height as u32), channels, PixelType::U8)?;
        Ok(EncodedImage { shape, pixel_type: PixelType::U8, decoder: Decoder::Jpeg(Box::new(decoder)) })
    }

    /// Whether the first component of a JPEG, which is its brightness, has a value for each pixel. It mostly has; the standard
    /// would let it have fewer than the colours.
    fn has_full_luma(bytes: &[u8]) -> bool {
        let mut rest = bytes.get(2..).unwrap_or_default();
        while let [0xff, mark, tail @ ..] = rest {
            rest = match mark {
                // Fill bytes, and marks without a segment.
                0xff => &rest[1..],
                0x01 | 0xd0..=0xd8 => tail,
                _ => {
                    let Some((length, _)) = tail.split_first_chunk::<2>() else { return false };
                    let Some(segment) = tail.get(2..usize::from(u16::from_be_bytes(*length))) else { return false };
                    // A frame; the others of this range are tables.
                    if (0xc0..=0xcf).contains(mark) && ![0xc4, 0xc8, 0xcc].contains(mark) {
                        let samples: Vec<u8> = segment.iter().skip(7).step_by(3).copied().collect();
                        let most = |of: fn(u8) -> u8| samples.iter().copied().map(of).max();
                        let (across, down) = (|s: u8| s >> 4, |s: u8| s & 15);
                        return samples
                            .first()
                            .is_some_and(|&luma| most(across) == Some(across(luma)) && most(down) == Some(down(luma)));
                    }
                    &tail[2 + segment.len()..]
                }
            };
        }
        false
    }

    fn bounded((width, height): (u32, u32), channels: usize, pixel_type: PixelType) -> Result<ImageShape, String> {
        let shape = ImageShape::new(height as usize, width as usize, channels).map_err(|e| e.to_string())?;
        if shape.values() * pixel_type.bytes() > MAX_BYTES {
            return Err(format!("a {shape} {pixel_type} image is over {} MB", MAX_BYTES >> 20));
        }
        Ok(shape)
    }

    /// A TIFF of two channels.
    fn gray_alpha_tiff(bytes: &[u8]) -> Result<Option<EncodedImage<'_>>, String> {
        let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        let pixel_type = match decoder.colortype().map_err(|e| e.to_string())? {
            tiff::ColorType::Multiband { bit_depth: 8, num_samples: 2 } => PixelType::U8,
            tiff::ColorType::Multiband { bit_depth: 16, num_samples: 2 } => PixelType::U16,
            _ => return Ok(None),
        };
        let shape = bounded(decoder.dimensions().map_err(|e| e.to_string())?, 2, pixel_type)?;
        let mut limits = tiff::decoder::Limits::default();
        limits.decoding_buffer_size = MAX_BYTES;
        limits.intermediate_buffer_size = MAX_BYTES;
        let decoder = Decoder::GrayAlphaTiff(Box::new(decoder.with_limits(limits)));
        Ok(Some(EncodedImage { shape, pixel_type, decoder }))
    }

    /// Whether the last scan of a JPEG is followed by the mark that ends an image: the decoder fills up what is missing.
    fn ends(bytes: &[u8]) -> bool {
        let last = bytes.windows(2).rev().find(|pair| pair[0] == 0xff && matches!(pair[1], 0xd9 | 0xda));
        last.is_some_and(|pair| pair[1] == 0xd9)
    }

    /// Turns a panic of a decoder into an error, so that no image ends a run.
    pub fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        guard::guarded(work).unwrap_or_else(|_| Err("the decoder gave up on it".to_owned()))
    }
}

#[cfg(not(feature = "image"))]
mod decoders {
    use super::{EncodedImage, Format, Wanted};

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

    pub fn open(_: &[u8], format: Format, _: Wanted) -> Result<EncodedImage<'_>, String> {
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
        let jpeg = include_bytes!("../../tests/fixtures/luma/420.jpg");
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
