//! Pictures in the page: small images as PNG files in their address, and sheets of them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::markup::Html;
use crate::base::text::{cut, escaped};
use crate::quality::pictures::Picture;

/// The bytes of the files on a sheet at most, in base64.
const SHEET: usize = 180_000;

/// An image on a sheet.
pub(super) struct Shown<'a> {
    /// `None` where it was not kept.
    pub picture: Option<&'a Picture>,
    /// The image that it repeats, if it is about that.
    pub first: Option<Option<&'a Picture>>,
    /// What stands below it.
    pub lines: Vec<String>,
}

impl Html {
    /// Images side by side with words below each. `caption` gets the number of images that are shown.
    pub fn sheet(&mut self, images: &[Shown<'_>], caption: impl Fn(usize) -> String) {
        let (mut items, mut bytes, mut shown) = (String::new(), 0, 0);
        for image in images {
            let first = image.first.iter().flatten().copied();
            let files: Vec<String> = image.picture.into_iter().chain(first).map(address).collect();
            bytes += files.iter().map(String::len).sum::<usize>();
            if bytes > SHEET {
                break;
            }
            shown += 1;
            let words = escaped(&cut(&image.lines.join(", "), 200));
            let class = if image.first.is_some() { " class=\"pair\"" } else { "" };
            let _ = write!(items, "<li{class}><div class=\"images\">");
            let mut files = files.iter();
            let mut draw = |is_kept: bool, words: &str| {
                let _ = match is_kept.then(|| files.next()).flatten() {
                    Some(file) => write!(items, "<img src=\"{file}\" alt=\"{words}\">"),
                    None => write!(items, "<span class=\"none\">not kept</span>"),
                };
            };
            draw(image.picture.is_some(), &words);
            if let Some(first) = image.first {
                draw(first.is_some(), "the image that it repeats");
            }
            let lines: Vec<String> = image.lines.iter().map(|line| escaped(&cut(line, 100))).collect();
            let _ = writeln!(items, "</div>{}</li>", lines.join("<br>"));
        }
        if shown > 0 {
            let caption = escaped(&caption(shown));
            let _ = writeln!(
                self.0,
                "<figure class=\"sheet\"><figcaption>{caption}</figcaption><ul>\n{items}</ul></figure>"
            );
        }
    }
}

/// The picture as an address that is the file itself.
fn address(picture: &Picture) -> String {
    "data:image/png;base64,".to_owned() + &BASE64_STANDARD.encode(png(picture))
}

/// The picture as a PNG file, not compressed.
fn png(picture: &Picture) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8; 4], content: &[u8]| {
        let all = [name, content].concat();
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(&all);
        file.extend(crc32(&all).to_be_bytes());
    };
    let colour_type = if picture.channels() == 1 { 0 } else { 2 };
    let sides = [picture.width as u32, picture.height as u32].map(u32::to_be_bytes).concat();
    chunk(b"IHDR", &[&sides[..], &[8, colour_type, 0, 0, 0]].concat());
    let row = (picture.width * picture.channels()).max(1);
    // Each row of pixels begins with its filter: none.
    let rows: Vec<u8> = picture.values.chunks_exact(row).flat_map(|row| [&[0][..], row].concat()).collect();
    let mut stream = vec![0x78, 0x01];
    let blocks = rows.chunks(0xffff);
    let last = blocks.len().saturating_sub(1);
    for (at, block) in blocks.enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(at == last));
        stream.extend([length, !length].map(u16::to_le_bytes).concat());
        stream.extend(block);
    }
    stream.extend(adler32(&rows).to_be_bytes());
    chunk(b"IDAT", &stream);
    chunk(b"IEND", &[]);
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc: u32, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_png_files_that_a_decoder_reads() {
        for (height, width, channels) in [(2, 3, 1), (96, 96, 1), (5, 7, 3), (300, 300, 1)] {
            let values: Vec<u8> = (0..height * width * channels).map(|i| (i * i * 31 % 251) as u8).collect();
            let picture = Picture { height, width, values };
            let mut reader = png::Decoder::new(std::io::Cursor::new(super::png(&picture))).read_info().unwrap();
            let mut read = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut read).unwrap();
            assert_eq!((info.height as usize, info.width as usize), (height, width));
            assert_eq!(read, picture.values);
        }
    }

    #[test]
    fn a_sheet_shows_as_many_as_fit() {
        let picture = Picture { height: 96, width: 96, values: vec![7; 96 * 96] };
        let shown = |first| Shown { picture: Some(&picture), first, lines: vec!["<row> 1".to_owned()] };
        let mut html = Html::default();
        html.sheet(&(0..40).map(|_| shown(None)).collect::<Vec<_>>(), |count| format!("{count} images"));
        assert_eq!(html.0.matches("<img ").count(), 14);
        assert!(
            html.0.contains("14 images") && html.0.contains("alt=\"&lt;row&gt; 1\"") && html.0.len() < SHEET + 10_000
        );
        let mut pairs = Html::default();
        pairs.sheet(&[shown(Some(None)), shown(Some(Some(&picture)))], |_| String::new());
        assert_eq!((pairs.0.matches("<img ").count(), pairs.0.matches("not kept").count()), (3, 1));
    }
}
