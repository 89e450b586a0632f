//! WebP, also the first image of an animation.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::header::{Header, MAX_BYTES};
use crate::base::shape::PixelType;

pub(super) struct WebP<'a>(WebPDecoder<Cursor<&'a [u8]>>);

impl<'a> WebP<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<(Header, Self), String> {
        let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        decoder.set_memory_limit(MAX_BYTES);
        let channels = if decoder.has_alpha() { 4 } else { 3 };
        Ok((Header::new(decoder.dimensions(), channels, PixelType::U8)?, Self(decoder)))
    }

    pub fn read(mut self, pixels: &mut [u8]) -> Result<(), String> {
        self.0.read_image(pixels).map_err(|e| e.to_string())
    }
}
