//! PNG, also the first image of an APNG.

use std::io::Cursor;

use png::{BitDepth, ColorType, Limits, Reader, Transformations};

use super::header::{Header, MAX_BYTES};
use crate::base::shape::{ImageShape, PixelType};

pub(super) struct Png<'a> {
    reader: Reader<Cursor<&'a [u8]>>,
    pixel_type: PixelType,
}

impl<'a> Png<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<(Header, Self), String> {
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: 2 * MAX_BYTES });
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        // Colours of a palette, and 8 bits for fewer.
        decoder.set_transformations(Transformations::EXPAND);
        let size = decoder.read_header_info().map_err(|e| e.to_string())?.size();
        // Before the rest of the header is read, which makes room for rows.
        ImageShape::new(size.1 as usize, size.0 as usize, 1).map_err(|e| e.to_string())?;
        let reader = decoder.read_info().map_err(|e| e.to_string())?;
        let (colours, depth) = reader.output_color_type();
        let channels = match colours {
            ColorType::Grayscale => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb => 3,
            ColorType::Rgba => 4,
            ColorType::Indexed => return Err("it has no palette".to_owned()),
        };
        let pixel_type = if depth == BitDepth::Sixteen { PixelType::U16 } else { PixelType::U8 };
        Ok((Header::new(size, channels, pixel_type)?, Self { reader, pixel_type }))
    }

    pub fn read(mut self, pixels: &mut [u8]) -> Result<(), String> {
        self.reader.next_frame(pixels).map_err(|e| e.to_string())?;
        if self.pixel_type == PixelType::U16 {
            for value in pixels.as_chunks_mut().0 {
                *value = u16::from_be_bytes(*value).to_ne_bytes();
            }
        }
        Ok(())
    }
}
