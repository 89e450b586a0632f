//! JPEG: gray or RGB.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::header::Header;
use crate::base::shape::{ImageShape, PixelType};

pub(super) struct Jpeg<'a>(JpegDecoder<ZCursor<&'a [u8]>>);

impl<'a> Jpeg<'a> {
    /// If its colours will become gray at once, its brightness may be decoded alone.
    pub fn open(bytes: &'a [u8], becomes_gray: bool) -> Result<(Header, Self), String> {
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
            Some(ColorSpace::YCbCr) if becomes_gray && has_full_luma(bytes) => (ColorSpace::Luma, 1),
            _ => (ColorSpace::RGB, 3),
        };
        decoder.set_options(options.jpeg_set_out_colorspace(colours));
        let (width, height) = decoder.dimensions().ok_or("it has no size")?;
        Ok((Header::new((width as u32, height as u32), channels, PixelType::U8)?, Self(decoder)))
    }

    pub fn read(mut self, pixels: &mut [u8]) -> Result<(), String> {
        self.0.decode_into(pixels).map_err(|e| e.to_string())
    }
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

/// Whether the last scan of a JPEG is followed by the mark that ends an image: the decoder fills up what is missing.
fn ends(bytes: &[u8]) -> bool {
    let last = bytes.windows(2).rev().find(|pair| pair[0] == 0xff && matches!(pair[1], 0xd9 | 0xda));
    last.is_some_and(|pair| pair[1] == 0xd9)
}
