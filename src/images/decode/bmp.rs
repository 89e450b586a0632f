//! BMP. A reader of our own, because it is short: zune-bmp, the small crate for it, fills up what a file lacks and takes bytes
//! without meaning for alpha.

use super::header::Header;
use crate::base::shape::PixelType;

pub(super) struct Bmp<'a> {
    /// From where the header says that the pixels begin.
    stored: &'a [u8],
    header: Header,
    /// Bits of a stored pixel.
    bits: usize,
    /// Whether the first stored row is the upmost; mostly it is the lowest.
    top_down: bool,
    coding: Coding,
}

/// How pixels are stored.
enum Coding {
    /// Blue, green, red; with 32 bits also a byte without meaning.
    Bytes,
    /// Places in a palette.
    Indices(Box<Palette>),
    /// Runs of places in a palette.
    Runs(Box<Palette>),
    /// Some bits for each channel.
    Fields(Box<[Field]>),
}

/// RGB; black where the file has no colour.
type Palette = [[u8; 3]; 256];

impl<'a> Bmp<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<(Header, Self), String> {
        let (start, size) = (u32_at(bytes, 10)? as usize, u32_at(bytes, 14)? as usize);
        if ![12, 40, 52, 56, 108, 124].contains(&size) {
            return Err(format!("its header of {size} bytes is of an unknown kind"));
        }
        let is_core = size == 12;
        let (width, height, rest) = if is_core {
            (i32::from(u16_at(bytes, 18)?), i32::from(u16_at(bytes, 20)?), 22)
        } else {
            (u32_at(bytes, 18)?.cast_signed(), u32_at(bytes, 22)?.cast_signed(), 26)
        };
        let width = u32::try_from(width).map_err(|_| "its width is negative")?;
        if u16_at(bytes, rest)? != 1 {
            return Err("it has more than one plane".to_owned());
        }
        let bits = u16_at(bytes, rest + 2)?;
        let (compression, colours) = if is_core { (0, 0) } else { (u32_at(bytes, 30)?, u32_at(bytes, 46)?) };
        let palette = || palette(bytes, 14 + size, if is_core { 3 } else { 4 }, bits, colours);
        let top_down = height < 0;
        let coding = match (compression, bits) {
            (0, 1 | 4 | 8) => Coding::Indices(palette()?),
            (0, 2) if !is_core => Coding::Indices(palette()?),
            (0, 24) => Coding::Bytes,
            (0, 32) if !is_core => Coding::Bytes,
            (0, 16) if !is_core => Coding::Fields(fields(&[0x7c00, 0x3e0, 0x1f], 16)?),
            (1, 8) | (2, 4) if !top_down => Coding::Runs(palette()?),
            (3, 16 | 32) => {
                let [red, green, blue] = [54, 58, 62].map(|at| u32_at(bytes, at));
                // The shorter headers have none for alpha.
                let alpha = if size >= 56 { u32_at(bytes, 66)? } else { 0 };
                let masks = [red?, green?, blue?, alpha];
                Coding::Fields(fields(if alpha == 0 { &masks[..3] } else { &masks }, bits)?)
            }
            _ => return Err(format!("{bits} bits a pixel in its compression {compression} are not read")),
        };
        let channels = if let Coding::Fields(fields) = &coding { fields.len() } else { 3 };
        let header = Header::new((width, height.unsigned_abs()), channels, PixelType::U8)?;
        let stored = bytes.get(start..).unwrap_or_default();
        Ok((header, Self { stored, header, bits: bits.into(), top_down, coding }))
    }

    pub fn read(self, pixels: &mut [u8]) -> Result<(), String> {
        let shape = self.header.shape;
        let (height, line) = (shape.height(), shape.width() * shape.channels());
        let row = |number| if self.top_down { number } else { height - 1 - number } * line;
        if let Coding::Runs(palette) = &self.coding {
            return runs(self.stored, self.bits == 4, palette, shape.width(), height, pixels);
        }
        // A row is filled up to a multiple of four bytes.
        let stride = (shape.width() * self.bits).div_ceil(32) * 4;
        let stored = self.stored.get(..stride * height).ok_or("it breaks off: rows are missing")?;
        for (number, stored) in stored.chunks_exact(stride).enumerate() {
            let pixels = &mut pixels[row(number)..][..line];
            match &self.coding {
                Coding::Bytes if self.bits == 24 => swap(stored.as_chunks::<3>().0, pixels),
                Coding::Bytes => swap(stored.as_chunks::<4>().0, pixels),
                Coding::Fields(fields) if self.bits == 16 => {
                    let words = stored.as_chunks().0.iter().map(|&word| u16::from_le_bytes(word).into());
                    take_fields(words, fields, pixels);
                }
                Coding::Fields(fields) => {
                    take_fields(stored.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)), fields, pixels);
                }
                Coding::Indices(palette) | Coding::Runs(palette) => match self.bits {
                    1 => look_up::<8>(stored, palette, pixels),
                    2 => look_up::<4>(stored, palette, pixels),
                    4 => look_up::<2>(stored, palette, pixels),
                    _ => look_up::<1>(stored, palette, pixels),
                },
            }
        }
        Ok(())
    }
}

/// The values of a row in the order red, green, blue.
fn swap<const N: usize>(stored: &[[u8; N]], pixels: &mut [u8]) {
    for (pixel, stored) in pixels.as_chunks_mut().0.iter_mut().zip(stored) {
        *pixel = [stored[2], stored[1], stored[0]];
    }
}

/// The colours of a row of which a byte holds `PIXELS` pixels, the first in its highest bits.
fn look_up<const PIXELS: usize>(stored: &[u8], palette: &Palette, pixels: &mut [u8]) {
    let bits = 8 / PIXELS;
    let colour = |byte: u8, place: usize| palette[usize::from(byte << (place * bits) >> (8 - bits))];
    let (whole, rest) = pixels.as_chunks_mut::<3>().0.as_chunks_mut::<PIXELS>();
    let count = whole.len();
    for (pixels, &byte) in whole.iter_mut().zip(stored) {
        *pixels = std::array::from_fn(|place| colour(byte, place));
    }
    for (place, pixel) in rest.iter_mut().enumerate() {
        *pixel = colour(stored[count], place);
    }
}

/// The colours of an image that is stored as runs, from the lowest row up. A byte holds one pixel, or two if `is_half`. Pixels
/// that are left out are black.
fn runs(
    mut stored: &[u8],
    is_half: bool,
    palette: &Palette,
    width: usize,
    height: usize,
    pixels: &mut [u8],
) -> Result<(), String> {
    let beyond = || Err("its runs lead beyond the image".to_owned());
    let breaks_off = || "it breaks off: its runs do not end".to_owned();
    let colours = |byte: u8| if is_half { [byte >> 4, byte & 15] } else { [byte; 2] }.map(|i| palette[usize::from(i)]);
    let pixels = pixels.as_chunks_mut::<3>().0;
    pixels.fill([0; 3]);
    let (mut x, mut y) = (0, 0);
    while y < height {
        let row = &mut pixels[(height - 1 - y) * width..][..width];
        let (&[count, byte], rest) = stored.split_first_chunk().ok_or_else(breaks_off)?;
        stored = rest;
        match (count, byte) {
            // The end of a row, and of the image.
            (0, 0) => (x, y) = (0, y + 1),
            (0, 1) => return Ok(()),
            // A jump.
            (0, 2) => {
                let (jump, rest) = stored.split_first_chunk().ok_or_else(breaks_off)?;
                stored = rest;
                let [right, up] = jump.map(usize::from);
                if (right, up) != (0, 0) && x + right > width || y + up >= height {
                    return beyond();
                }
                (x, y) = (x + right, y + up);
            }
            // Pixels one by one, in a number of bytes that is even.
            (0, count) => {
                let count = usize::from(count);
                let Some(row) = row.get_mut(x..x + count) else { return beyond() };
                let each = if is_half { 2 } else { 1 };
                let length = count.div_ceil(each).next_multiple_of(2);
                let (bytes, rest) = stored.split_at_checked(length).ok_or_else(breaks_off)?;
                stored = rest;
                for (pixels, &byte) in row.chunks_mut(each).zip(bytes) {
                    for (pixel, colour) in pixels.iter_mut().zip(colours(byte)) {
                        *pixel = colour;
                    }
                }
                x += count;
            }
            (count, byte) => {
                let end = x + usize::from(count);
                // Some programs write runs of bytes that are longer than the row; what they mean is clear.
                if is_half && end > width {
                    return beyond();
                }
                let two = colours(byte);
                for (place, pixel) in row[x.min(width)..end.min(width)].iter_mut().enumerate() {
                    *pixel = two[place % 2];
                }
                x = end;
            }
        }
    }
    Ok(())
}

/// Some bits of a pixel.
struct Field {
    shift: u32,
    /// The values of 8 bits that they stand for.
    values: [u8; 256],
}

impl Field {
    fn new(mask: u32, bits: u16) -> Result<Self, String> {
        let (shift, count) = (mask.trailing_zeros(), mask.count_ones());
        if mask == 0 || mask >> shift != u32::MAX >> (32 - count) || shift + count > bits.into() {
            return Err(format!("its mask {mask:#x} is not one run of bits"));
        }
        // The highest eight of more.
        let shift = shift + count.saturating_sub(8);
        let most = (1 << count.min(8)) - 1;
        // Rounded. Pixels may have bits above the field, which do not count.
        let values = std::array::from_fn(|value| (((value & most) * 255 + most / 2) / most) as u8);
        Ok(Self { shift, values })
    }
}

fn fields(masks: &[u32], bits: u16) -> Result<Box<[Field]>, String> {
    masks.iter().map(|&mask| Field::new(mask, bits)).collect()
}

/// The channels of a row.
fn take_fields(words: impl Iterator<Item = u32>, fields: &[Field], pixels: &mut [u8]) {
    let value = |word: u32, field: &Field| field.values[usize::from((word >> field.shift) as u8)];
    if let [red, green, blue] = fields {
        for (pixel, word) in pixels.as_chunks_mut().0.iter_mut().zip(words) {
            *pixel = [red, green, blue].map(|field| value(word, field));
        }
    } else if let [red, green, blue, alpha] = fields {
        for (pixel, word) in pixels.as_chunks_mut().0.iter_mut().zip(words) {
            *pixel = [red, green, blue, alpha].map(|field| value(word, field));
        }
    }
}

/// The palette, blue first in the file; all colours that the bits can name, unless the header states fewer.
fn palette(bytes: &[u8], start: usize, entry: usize, bits: u16, colours: u32) -> Result<Box<Palette>, String> {
    let most = 1_usize << bits;
    let colours = if colours == 0 { most } else { colours as usize };
    if colours > most {
        return Err(format!("its palette has {colours} colours, more than {bits} bits can name"));
    }
    let stored = bytes.get(start..start + colours * entry).ok_or("it breaks off in its palette")?;
    let mut palette = Box::new([[0; 3]; 256]);
    for (colour, stored) in palette.iter_mut().zip(stored.chunks_exact(entry)) {
        *colour = [stored[2], stored[1], stored[0]];
    }
    Ok(palette)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], String> {
    let array = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    array.copied().ok_or_else(|| "it breaks off in its header".to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, String> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, String> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BMP with a header of 40 bytes, or more with masks in it. `height` is negative if rows go down.
    fn file(size: [i32; 2], [bits, compression]: [u32; 2], masks: &[u32], palette: &[[u8; 4]], data: &[u8]) -> Vec<u8> {
        let header = 40 + 4 * masks.len() as u32;
        let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        let start = 14 + header + 4 * palette.len() as u32;
        let mut bytes = b"BM".to_vec();
        bytes.extend(numbers(&[start + data.len() as u32, 0, start, header]));
        bytes.extend(numbers(&size.map(i32::cast_unsigned)));
        bytes.extend(numbers(&[1 | bits << 16, compression, data.len() as u32, 0, 0, palette.len() as u32, 0]));
        bytes.extend(numbers(masks));
        bytes.extend(palette.as_flattened());
        bytes.extend(data);
        bytes
    }

    fn pixels(bytes: &[u8]) -> Result<(usize, Vec<u8>), String> {
        let (header, bmp) = Bmp::open(bytes)?;
        let mut pixels = vec![7; header.shape.values()];
        bmp.read(&mut pixels)?;
        Ok((header.shape.channels(), pixels))
    }

    const BLACK: [u8; 3] = [0; 3];
    const RED: [u8; 3] = [255, 0, 0];
    const GREEN: [u8; 3] = [0, 255, 0];
    /// As a palette of a file has them.
    const COLOURS: [[u8; 4]; 3] = [[0; 4], [0, 0, 255, 9], [0, 255, 0, 9]];

    fn rgb(colours: &[[u8; 3]]) -> Result<(usize, Vec<u8>), String> {
        Ok((3, colours.as_flattened().to_vec()))
    }

    /// Would find red taken for blue, rows upside down, the bytes that fill up a row, and the fourth byte taken for alpha.
    #[test]
    fn rows_are_stored_from_the_lowest_up() {
        let data = [0, 0, 255, 0, 255, 0, 9, 9, 0, 0, 0, 0, 0, 255, 9, 9];
        let rows = [[BLACK, RED], [RED, GREEN]];
        assert_eq!(pixels(&file([2, 2], [24, 0], &[], &[], &data)), rgb(rows.as_flattened()));
        let rows = [rows[1], rows[0]];
        assert_eq!(pixels(&file([2, -2], [24, 0], &[], &[], &data)), rgb(rows.as_flattened()));
        assert_eq!(pixels(&file([2, 1], [32, 0], &[], &[], &[0, 0, 255, 9, 0, 255, 0, 9])), rgb(&[RED, GREEN]));
        // The header of OS/2, with sizes of 16 bits.
        let mut bytes = b"BM\x2a\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\x02\0\x02\0\x01\0\x18\0".to_vec();
        bytes.extend(data);
        let rows = [rows[1], rows[0]];
        assert_eq!(pixels(&bytes), rgb(rows.as_flattened()));
        // The decoder of the family of the JPEG decoder fills up what is missing with black.
        bytes.pop();
        assert_eq!(pixels(&bytes), Err("it breaks off: rows are missing".to_owned()));
    }

    /// Would find the places in a byte in the wrong order, and a colour that the palette lacks taken from elsewhere.
    #[test]
    fn palettes_have_one_to_eight_bits() {
        for (bits, data) in [(2, [0b01_10_00_11, 0b01_00_00_00]), (4, [0x12, 0x03]), (8, [1, 2])] {
            let width = [5, 4, 2][bits as usize / 4];
            let colours = [RED, GREEN, BLACK, BLACK, RED];
            let got = pixels(&file([width, 1], [bits, 0], &[], &COLOURS, &[data[0], data[1], 0, 0]));
            assert_eq!(got, rgb(&colours[..width as usize]), "{bits}");
        }
        let nine = [RED, BLACK, RED, RED, BLACK, BLACK, BLACK, BLACK, RED];
        assert_eq!(pixels(&file([9, 1], [1, 0], &[], &COLOURS[..2], &[0b1011_0000, 0b1000_0000, 0, 0])), rgb(&nine));
        let error = pixels(&file([9, 1], [1, 0], &[], &COLOURS, &[0; 4])).unwrap_err();
        assert_eq!(error, "its palette has 3 colours, more than 1 bits can name");
    }

    /// Would find fields shifted wrongly, not brought to 8 bits, rounded wrongly, and an alpha that is left out.
    #[test]
    fn fields_become_values_of_eight_bits() {
        let words = |words: &[u16]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let data = words(&[0x7c00 | 1, 3 << 5 | 0x8000]);
        assert_eq!(pixels(&file([2, 1], [16, 0], &[], &[], &data)), rgb(&[[255, 0, 8], [0, 25, 0]]));
        let data = words(&[0xf800 | 1, 1 << 5]);
        let got = pixels(&file([2, 1], [16, 3], &[0xf800, 0x7e0, 0x1f], &[], &data));
        assert_eq!(got, rgb(&[[255, 0, 8], [0, 4, 0]]));
        let masks = [0x3ff << 20, 0x3ff << 10, 0x3ff, 3 << 30];
        let got = pixels(&file([1, 1], [32, 3], &masks, &[], &(2 << 30 | 0x3ff << 20 | 4 << 10 | 3_u32).to_le_bytes()));
        assert_eq!(got, Ok((4, vec![255, 1, 0, 170])));
        for mask in [0, 0x505, 0x1_8000] {
            let error = pixels(&file([2, 1], [16, 3], &[0xf800, 0x7e0, mask], &[], &data)).unwrap_err();
            assert_eq!(error, format!("its mask {mask:#x} is not one run of bits"));
        }
    }

    /// Would find runs that lead beyond their row or the image, an odd byte read as a command, and jumps to the wrong place.
    #[test]
    fn runs_are_followed_within_the_image() {
        let read =
            |bits, data: &[u8]| pixels(&file([4, 2], [bits, if bits == 8 { 1 } else { 2 }], &[], &COLOURS, data));
        let rows = [[BLACK, BLACK, GREEN, BLACK], [RED, RED, GREEN, RED]];
        assert_eq!(read(8, &[2, 1, 0, 0, 0, 1]), rgb([[BLACK; 4], [RED, RED, BLACK, BLACK]].as_flattened()));
        assert_eq!(read(8, &[1, 1, 0, 3, 1, 2, 1, 9, 0, 0, 0, 2, 2, 0, 1, 2, 0, 1]), rgb(rows.as_flattened()));
        assert_eq!(read(4, &[2, 0x11, 2, 0x21, 0, 2, 0, 0, 0, 0, 2, 0, 1, 0x20, 0, 1]), rgb(rows.as_flattened()));
        assert_eq!(read(4, &[0, 4, 0x11, 0x21, 0, 0, 0, 3, 0, 0x20, 0, 1]), rgb(rows.as_flattened()));
        // Up and to the right, from where the run before has ended.
        assert_eq!(read(8, &[2, 0, 0, 2, 0, 1, 1, 2, 0, 1]), rgb([rows[0], [BLACK; 4]].as_flattened()));
        // A run that is too long fills the row.
        assert_eq!(read(8, &[9, 1, 0, 0, 0, 1]), rgb([[BLACK; 4], [RED; 4]].as_flattened()));
        for data in [&[5, 0x11][..], &[0, 5, 1, 1, 1, 1, 1, 1], &[0, 2, 5, 0], &[0, 2, 0, 2], &[4, 0, 0, 2, 1, 0]] {
            assert_eq!(read(4, data), Err("its runs lead beyond the image".to_owned()), "{data:?}");
        }
        for data in [&[][..], &[1], &[0, 2, 0], &[0, 3, 1, 1, 1], &[1, 1]] {
            assert_eq!(read(8, data), Err("it breaks off: its runs do not end".to_owned()), "{data:?}");
        }
    }

    /// Would find memory taken, or a panic, for what a header only claims.
    #[test]
    fn headers_that_lie_are_refused() {
        for (size, why) in [
            ([70_000, 1], "over 65536"),
            ([1, i32::MIN], "over 65536"),
            ([0, 1], "zero"),
            ([-1, 1], "negative"),
            ([65_000, 65_000], "at most"),
            ([16_000, 16_000], "over 256 MB"),
        ] {
            let error = pixels(&file(size, [24, 0], &[], &[], &[])).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let whole = file([4, 2], [4, 2], &[], &COLOURS, &[0, 0]);
        for cut in 0..whole.len() {
            let _ = pixels(&whole[..cut]).unwrap_err();
        }
    }
}
