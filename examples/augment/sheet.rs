//! Lines of images with a text above each, as a PNG file.

use pixelfeat::ImageShape;

type Colour = [u8; 3];

const GROUND: Colour = [18, 20, 26];
const TEXT: Colour = [190, 198, 212];
const GAP: usize = 6;
/// The height of a text and of the room around it.
const HEAD: usize = 20;

/// An image: its shape and its values.
pub type Image = (ImageShape, Vec<u8>);

/// The sheet.
pub struct Sheet {
    side: usize,
    across: usize,
    lines: Vec<(String, Vec<Image>)>,
}

impl Sheet {
    /// For lines of `across` images of up to `side` × `side` dots.
    pub fn new(side: usize, across: usize) -> Self {
        Self { side, across, lines: Vec::new() }
    }

    /// Adds a line of u8 images, of which those of three channels are colours.
    pub fn add(&mut self, text: &str, images: Vec<Image>) {
        self.lines.push((text.to_owned(), images));
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The sheet as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let (line, column) = (HEAD + self.side + GAP, self.side + GAP);
        let (height, width) = (GAP + self.lines.len() * line, GAP + self.across * column);
        let mut dots = vec![GROUND; height * width];
        for (at, (text, images)) in self.lines.iter().enumerate() {
            let top = GAP + at * line;
            for (place, letter) in text.bytes().enumerate() {
                for (y, x) in letter_dots(letter) {
                    let (y, x) = (top + 2 + 2 * y, GAP + 8 * place + 2 * x);
                    for (y, x) in [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)] {
                        if x < width {
                            dots[y * width + x] = TEXT;
                        }
                    }
                }
            }
            for (place, (shape, pixels)) in images.iter().enumerate() {
                self.draw(*shape, pixels, |y, x, colour| {
                    dots[(top + HEAD + y) * width + GAP + place * column + x] = colour;
                });
            }
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(dots.as_flattened())?;
        Ok(bytes)
    }

    /// Draws an image as large as there is room; small ones grow by a whole factor.
    fn draw(&self, shape: ImageShape, pixels: &[u8], mut dot: impl FnMut(usize, usize, Colour)) {
        let (height, width, channels) = (shape.height(), shape.width(), shape.channels());
        let factor = (self.side / height.max(width)).max(1);
        for y in 0..(height * factor).min(self.side) {
            for x in 0..(width * factor).min(self.side) {
                let at = (y / factor * width + x / factor) * channels;
                let colour = if channels < 3 { [pixels[at]; 3] } else { [pixels[at], pixels[at + 1], pixels[at + 2]] };
                dot(y, x, colour);
            }
        }
    }
}

/// The dots of a letter of 3 by 5, as row and column.
fn letter_dots(letter: u8) -> impl Iterator<Item = (usize, usize)> {
    let bits: u16 = match letter {
        b'a' => 0b010_101_111_101_101,
        b'b' => 0b110_101_110_101_110,
        b'c' => 0b011_100_100_100_011,
        b'd' => 0b110_101_101_101_110,
        b'e' => 0b111_100_110_100_111,
        b'f' => 0b111_100_110_100_100,
        b'g' => 0b011_100_101_101_011,
        b'h' => 0b101_101_111_101_101,
        b'i' => 0b111_010_010_010_111,
        b'j' => 0b001_001_001_101_010,
        b'k' => 0b101_101_110_101_101,
        b'l' => 0b100_100_100_100_111,
        b'm' => 0b101_111_111_101_101,
        b'n' => 0b110_101_101_101_101,
        b'o' => 0b010_101_101_101_010,
        b'p' => 0b110_101_110_100_100,
        b'q' => 0b010_101_101_110_011,
        b'r' => 0b110_101_110_101_101,
        b's' => 0b011_100_010_001_110,
        b't' => 0b111_010_010_010_010,
        b'u' => 0b101_101_101_101_111,
        b'v' => 0b101_101_101_101_010,
        b'w' => 0b101_101_111_111_101,
        b'x' => 0b101_101_010_101_101,
        b'y' => 0b101_101_010_010_010,
        b'z' => 0b111_001_010_100_111,
        b'0' => 0b111_101_101_101_111,
        b'1' => 0b010_110_010_010_111,
        b'2' => 0b111_001_111_100_111,
        b'3' => 0b111_001_111_001_111,
        b'4' => 0b101_101_111_001_001,
        b'5' => 0b111_100_111_001_111,
        b'6' => 0b111_100_111_101_111,
        b'7' => 0b111_001_010_010_010,
        b'8' => 0b111_101_111_101_111,
        b'9' => 0b111_101_111_001_111,
        b'(' => 0b001_010_010_010_001,
        b')' => 0b100_010_010_010_100,
        b'=' => 0b000_111_000_111_000,
        b',' => 0b000_000_000_010_100,
        b'.' => 0b000_000_000_000_010,
        b'_' => 0b000_000_000_000_111,
        _ => 0,
    };
    (0..15usize).filter(move |bit| bits >> (14 - bit) & 1 == 1).map(|bit| (bit / 3, bit % 3))
}
