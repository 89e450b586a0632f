//! A picture of dots: what the example programs draw on, and how it becomes a PNG file.

pub type Colour = [u8; 3];

pub const GROUND: Colour = [18, 20, 26];
pub const TEXT: Colour = [130, 138, 152];

/// A colour between two, `part` of the way.
pub fn blend(from: Colour, to: Colour, part: f64) -> Colour {
    let part = part.clamp(0.0, 1.0);
    std::array::from_fn(|i| (f64::from(from[i]) * (1.0 - part) + f64::from(to[i]) * part).round() as u8)
}

/// Dots of a picture.
pub struct Canvas {
    pub width: usize,
    /// Line by line.
    pub dots: Vec<Colour>,
}

impl Canvas {
    pub fn new(height: usize, width: usize) -> Self {
        Self { width, dots: vec![GROUND; height * width] }
    }

    pub fn dot(&mut self, y: usize, x: usize, colour: Colour) {
        self.dots[y * self.width + x] = colour;
    }

    pub fn height(&self) -> usize {
        self.dots.len() / self.width
    }

    pub fn fill(&mut self, corner: (usize, usize), size: (usize, usize), colour: Colour) {
        for y in corner.0..corner.0 + size.0 {
            self.dots[y * self.width + corner.1..][..size.1].fill(colour);
        }
    }

    /// Draws a number in digits of 3 by 5 dots, twice as large; says where it ends.
    pub fn number(&mut self, number: u64, corner: (usize, usize), colour: Colour) -> usize {
        // A bit a dot, line by line from the top left.
        const DIGITS: [u16; 10] = [
            0b111_101_101_101_111,
            0b010_110_010_010_111,
            0b111_001_111_100_111,
            0b111_001_111_001_111,
            0b101_101_111_001_001,
            0b111_100_111_001_111,
            0b111_100_111_101_111,
            0b111_001_010_010_010,
            0b111_101_111_101_111,
            0b111_101_111_001_111,
        ];
        let mut left = corner.1;
        for digit in number.to_string().bytes() {
            let dots = DIGITS[usize::from(digit - b'0')];
            for bit in (0..15).filter(|bit| dots >> (14 - bit) & 1 == 1) {
                let (y, x) = (corner.0 + bit / 3 * 2, left + bit % 3 * 2);
                if x + 2 < self.width {
                    self.fill((y, x), (2, 2), colour);
                }
            }
            left += 8;
        }
        left
    }

    pub fn png(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height() as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(self.dots.as_flattened()));
        written.map(|()| bytes).map_err(|e| e.to_string())
    }
}
