//! TIFF. Its decoder expands strips and tiles; here samples become pixels.

use std::io::Cursor;

use tiff::ColorType;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{SampleFormat, Tag};

use super::header::{Header, MAX_BYTES};
use crate::base::shape::PixelType;

/// What the samples of a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Samples {
    /// Its channels.
    Channels,
    /// One bit.
    Bit,
    /// Four inks.
    Inks,
}

pub(super) struct Tiff<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    header: Header,
    samples: Samples,
    /// How many bytes the samples of all pixels are.
    stored: usize,
}

impl<'a> Tiff<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<(Header, Self), String> {
        let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
        let (channels, bits, samples) = match decoder.colortype().map_err(|e| e.to_string())? {
            ColorType::Gray(1) => (1, 8, Samples::Bit),
            ColorType::Gray(bits @ (8 | 16)) => (1, bits, Samples::Channels),
            // Gray and alpha.
            ColorType::GrayA(bits @ (8 | 16)) | ColorType::Multiband { bit_depth: bits @ (8 | 16), num_samples: 2 } => {
                (2, bits, Samples::Channels)
            }
            ColorType::RGB(bits @ (8 | 16)) => (3, bits, Samples::Channels),
            ColorType::RGBA(bits @ (8 | 16)) => (4, bits, Samples::Channels),
            ColorType::CMYK(bits @ (8 | 16)) => (3, bits, Samples::Inks),
            other => return Err(format!("its pixels are {other:?}, not gray, RGB or CMYK of 8 or 16 bits")),
        };
        let formats = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(|e| e.to_string())?;
        if formats.into_iter().flatten().any(|format| format != SampleFormat::Uint.to_u16()) {
            return Err("its values are not unsigned integers".to_owned());
        }
        let pixel_type = if bits == 16 { PixelType::U16 } else { PixelType::U8 };
        let header = Header::new(decoder.dimensions().map_err(|e| e.to_string())?, channels, pixel_type)?;
        let (pixel_count, value_bytes) = (header.shape.width() * header.shape.height(), pixel_type.bytes());
        let stored = match samples {
            Samples::Channels => pixel_count * channels * value_bytes,
            Samples::Bit => header.shape.width().div_ceil(8) * header.shape.height(),
            Samples::Inks => pixel_count * 4 * value_bytes,
        };
        let mut limits = Limits::default();
        // Strips and tiles before they are expanded.
        limits.intermediate_buffer_size = 2 * MAX_BYTES - stored;
        Ok((header, Self { decoder: decoder.with_limits(limits), header, samples, stored }))
    }

    pub fn read(mut self, pixels: &mut [u8]) -> Result<(), String> {
        let layout = self.decoder.image_buffer_layout().map_err(|e| e.to_string())?;
        if layout.complete_len != self.stored {
            return Err("its pixels have other samples than its header states".to_owned());
        }
        let mut decode = |into: &mut [u8]| self.decoder.read_image_bytes(into).map_err(|e| e.to_string());
        if self.samples == Samples::Channels && layout.planes == 1 {
            return decode(pixels);
        }
        if self.samples == Samples::Inks && layout.planes > 1 {
            return Err("its inks are stored apart".to_owned());
        }
        let mut samples = vec![0; self.stored];
        decode(&mut samples)?;
        match (self.samples, self.header.pixel_type.bytes()) {
            (Samples::Channels, 1) => interleave::<1>(&samples, pixels, layout.planes),
            (Samples::Channels, _) => interleave::<2>(&samples, pixels, layout.planes),
            (Samples::Bit, _) => expand_bits(&samples, pixels, self.header.shape.width()),
            (Samples::Inks, 1) => inks_to_rgb(&samples, pixels, 255.0, |[ink]| f32::from(ink), |light| [light as u8]),
            (Samples::Inks, _) => inks_to_rgb(
                &samples,
                pixels,
                65535.0,
                |ink| f32::from(u16::from_ne_bytes(ink)),
                |light| (light as u16).to_ne_bytes(),
            ),
        }
        Ok(())
    }
}

/// Brings channels that are stored one after the other, in values of `N` bytes, to their pixels.
fn interleave<const N: usize>(planes: &[u8], pixels: &mut [u8], channels: usize) {
    let pixels = pixels.as_chunks_mut::<N>().0;
    let planes = planes.as_chunks::<N>().0;
    for (channel, plane) in planes.chunks_exact(pixels.len() / channels).enumerate() {
        for (pixel, value) in pixels.chunks_exact_mut(channels).zip(plane) {
            pixel[channel] = *value;
        }
    }
}

/// Black and white as 0 and 255. A row begins with a byte of its own.
fn expand_bits(bits: &[u8], pixels: &mut [u8], width: usize) {
    for (bits, row) in bits.chunks_exact(width.div_ceil(8)).zip(pixels.chunks_exact_mut(width)) {
        for (bits, pixels) in bits.iter().zip(row.chunks_mut(8)) {
            for (place, pixel) in pixels.iter_mut().enumerate() {
                *pixel = if bits << place & 0x80 == 0 { 0 } else { 255 };
            }
        }
    }
}

/// The light that paper with cyan, magenta, yellow and black ink gives back, rounded down.
fn inks_to_rgb<const N: usize>(
    inks: &[u8],
    pixels: &mut [u8],
    most: f32,
    amount: impl Fn([u8; N]) -> f32,
    value: impl Fn(f32) -> [u8; N],
) {
    let inks = inks.as_chunks::<N>().0.as_chunks::<4>().0;
    for (pixel, [cyan, magenta, yellow, black]) in
        pixels.as_chunks_mut::<N>().0.as_chunks_mut::<3>().0.iter_mut().zip(inks)
    {
        let left = 1.0 - amount(*black) / most;
        *pixel = [cyan, magenta, yellow].map(|ink| value((most - amount(*ink)) * left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TIFF of one strip, or of as many as `planes`, uncompressed.
    fn file(big: bool, size: [u16; 2], bits: u16, samples: u16, photometric: u16, planes: u16, data: &[u8]) -> Vec<u8> {
        let short = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let long = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut bytes = if big { b"MM".to_vec() } else { b"II".to_vec() };
        bytes.extend(short(42));
        bytes.extend(long(8));
        // After the directory: bits of each sample, places and lengths of the strips, data.
        let tags = 10;
        let lists = 8 + 2 + 12 * tags + 4;
        let (places, lengths) =
            (lists + 2 * u32::from(samples), lists + 2 * u32::from(samples) + 4 * u32::from(planes));
        let start = lengths + 4 * u32::from(planes);
        let strip = data.len() as u32 / u32::from(planes);
        bytes.extend(short(tags as u16));
        let mut tag = |number: u16, kind: u16, values: &[u32], list: u32| {
            bytes.extend([short(number), short(kind)].concat());
            bytes.extend(long(values.len() as u32));
            match (kind, values) {
                (3, [value]) => bytes.extend([short(*value as u16), [0; 2]].concat()),
                (3, [a, b]) => bytes.extend([short(*a as u16), short(*b as u16)].concat()),
                (_, [value]) => bytes.extend(long(*value)),
                _ => bytes.extend(long(list)),
            }
        };
        let strips: Vec<u32> = (0..u32::from(planes)).map(|plane| start + plane * strip).collect();
        tag(256, 3, &[size[0].into()], 0);
        tag(257, 3, &[size[1].into()], 0);
        tag(258, 3, &vec![bits.into(); samples.into()], lists);
        tag(259, 3, &[1], 0);
        tag(262, 3, &[photometric.into()], 0);
        tag(273, 4, &strips, places);
        tag(277, 3, &[samples.into()], 0);
        tag(278, 3, &[size[1].into()], 0);
        tag(279, 4, &vec![strip; planes.into()], lengths);
        tag(284, 3, &[if planes > 1 { 2 } else { 1 }], 0);
        bytes.extend(long(0));
        bytes.extend((0..samples).flat_map(|_| short(bits)));
        bytes.extend(strips.iter().flat_map(|&place| long(place)));
        bytes.extend((0..planes).flat_map(|_| long(strip)));
        bytes.extend(data);
        bytes
    }

    fn pixels(bytes: &[u8]) -> Result<(String, Vec<u8>), String> {
        let (header, tiff) = Tiff::open(bytes)?;
        let mut pixels = vec![7; header.shape.values() * header.pixel_type.bytes()];
        tiff.read(&mut pixels)?;
        Ok((format!("{} {}", header.shape, header.pixel_type), pixels))
    }

    fn native(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    /// Would find bits taken from the wrong end, rows that do not begin with a byte, and white for black.
    #[test]
    fn bits_become_0_and_255() {
        let data = [0b1000_0001, 0b0111_1111, 0b0100_0000, 0b1000_0000];
        let rows = [[255, 0, 0, 0, 0, 0, 0, 255, 0, 255], [0, 255, 0, 0, 0, 0, 0, 0, 255, 0]].concat();
        assert_eq!(pixels(&file(false, [10, 2], 1, 1, 1, 1, &data)), Ok(("2x10 u8".to_owned(), rows.clone())));
        let swapped = rows.iter().map(|value| 255 - value).collect();
        assert_eq!(pixels(&file(false, [10, 2], 1, 1, 0, 1, &data)), Ok(("2x10 u8".to_owned(), swapped)));
    }

    /// Would find values of the other byte order.
    #[test]
    fn sixteen_bits_are_native() {
        for big in [false, true] {
            let data = [0x1234_u16, 0xfffe].map(|value| if big { value.to_be_bytes() } else { value.to_le_bytes() });
            let got = pixels(&file(big, [1, 2], 16, 1, 1, 1, data.as_flattened()));
            assert_eq!(got, Ok(("2x1 u16".to_owned(), native(&[0x1234, 0xfffe]))), "{big}");
        }
    }

    /// Would find channels, or the halves of their values, in the wrong places.
    #[test]
    fn channels_stored_apart_are_brought_together() {
        let bytes = [1, 2, 11, 12, 21, 22];
        let got = pixels(&file(false, [2, 1], 8, 3, 2, 3, &bytes));
        assert_eq!(got, Ok(("1x2x3 u8".to_owned(), vec![1, 11, 21, 2, 12, 22])));
        let values: Vec<u8> = [1_u16, 2, 0x101, 0x102, 0x201, 0x202].iter().flat_map(|v| v.to_be_bytes()).collect();
        let got = pixels(&file(true, [2, 1], 16, 3, 2, 3, &values));
        assert_eq!(got, Ok(("1x2x3 u16".to_owned(), native(&[1, 0x101, 0x201, 2, 0x102, 0x202]))));
        // Gray and alpha.
        assert_eq!(
            pixels(&file(false, [2, 1], 8, 2, 1, 2, &[1, 2, 11, 12])),
            Ok(("1x2x2 u8".to_owned(), vec![1, 11, 2, 12]))
        );
    }

    /// Would find ink taken for light, black ink left out, and values rounded instead of cut.
    #[test]
    fn inks_become_light() {
        let data = [[0, 0, 0, 0], [255, 0, 0, 0], [1, 100, 200, 100], [9, 9, 9, 255]];
        let rgb = [[255, 255, 255], [0, 255, 255], [154, 94, 33], [0, 0, 0]].concat();
        let got = pixels(&file(false, [4, 1], 8, 4, 5, 1, data.as_flattened()));
        assert_eq!(got, Ok(("1x4x3 u8".to_owned(), rgb)));
        let data = [0_u16, 65535, 32768, 0, 1, 1001, 65533, 32768].map(u16::to_le_bytes);
        let got = pixels(&file(false, [2, 1], 16, 4, 5, 1, data.as_flattened()));
        assert_eq!(got, Ok(("1x2x3 u16".to_owned(), native(&[65535, 0, 32767, 32766, 32266, 0]))));
        let apart = pixels(&file(false, [2, 1], 8, 4, 5, 4, &[0; 8]));
        assert_eq!(apart, Err("its inks are stored apart".to_owned()));
    }

    /// Would find depths read as others.
    #[test]
    fn other_depths_are_refused() {
        let error = pixels(&file(false, [2, 1], 4, 1, 1, 1, &[0x12])).unwrap_err();
        assert_eq!(error, "its pixels are Gray(4), not gray, RGB or CMYK of 8 or 16 bits");
    }
}
